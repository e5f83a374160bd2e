"""Scripts of calls and segments, in the manner of packetdrill: what a program does, what comes from the wire, what
must go out.

A line begins with the time since the one before, `+.1`. What goes out must do so then, within a millisecond, in that
order, and nothing else may. Sequence numbers count from the initial one of each side; a timestamp that we send
counts milliseconds from our first.

    +0  socket() = 3                                  a call and its result; errors by name
    +.1 < S 0:0(0) win 1000 <mss 1000,sackOK>         a segment that comes in
    +0  > S. 0:0(0) ack 1 <mss 1460>                  one that must go out; options not named are not looked at
    +0  < icmp frag_needed 600 1:1001                 an ICMP error about a segment of ours
    +.2 %{ c.cwnd == 10000 }%                         what must hold of the record of the last connection named
    +0  accepted(mss 1000, sackOK) = 4                a listener on port 8080 and a handshake, of which nothing is
    checked +0  connected(mss 1000) = 4                       the same, begun by us

`C` before the flags is a segment marked by ECN (`[ce]`, `[ect0]` before them), `bad` one with a wrong sum.
"""

import ctypes
import re
import struct

from frames import FLAGS, ICMP, Segment, ethernet, icmp, ip, read, read_segment, words

from libos.net import structs
from libos.net.stack import Stack
from libos.net.tcp import user

SECOND = 10**9
US, PEER = "192.168.0.1", "192.168.0.2"
OUR_MAC, PEER_MAC = 0x020000000001, 0x020000000002
RTT = 60 * 10**6  # of the handshake in `accepted` and `connected`
PEER_ISN = 0xFFFFF000  # so that most scripts pass the end of sequence space
LINE = re.compile(r"\+(\d*\.?\d*)\s+(.*)")
SEGMENT = re.compile(
    r"(?:\[(?P<ecn>\w+)\] )?(?P<flags>[FSRP.UEC]+) (?P<seq>-?\d+):(?P<end>-?\d+)\((?P<length>\d+)\)"
    r"(?: ack (?P<ack>-?\d+))?(?: win (?P<win>\d+))?(?: urg (?P<up>\d+))?(?: <(?P<options>[^>]*)>)?(?P<bad> bad)?$"
)
ECN = {"ect0": 2, "ect1": 1, "ce": 3, "noecn": 0, None: 0}
OPTIONS = {
    name: getattr(structs, name) for name in
    ("NODELAY", "CORK", "KEEPALIVE", "REUSE_ADDRESS", "REUSE_PORT", "OOB_INLINE", "QUICK_ACK", "LINGER")
}  # fmt: skip
NUMBERS = ("keep_idle", "keep_interval", "keep_count", "user_timeout", "linger", "defer", "congestion", "user_mss",
           "tx_limit", "rx_limit")  # fmt: skip
ERRORS = {
    getattr(structs, name): name for name in
    ("WOULD_BLOCK REFUSED RESET TIMED_OUT HOST_UNREACHABLE NETWORK_UNREACHABLE NOT_CONNECTED BROKEN_PIPE INVALID "
     "IN_USE IN_PROGRESS ALREADY IS_CONNECTED ADDRESS_UNAVAILABLE PROTOCOL_UNREACHABLE").split()
}  # fmt: skip
STATES = ["CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT"]
STATES += ["CLOSING", "LAST_ACK", "TIME_WAIT"]
READY = {1: "IN", 2: "PRI", 4: "OUT", 8: "ERR", 16: "HUP", 0x2000: "RDHUP"}
ICMP_KINDS = {
    "net_unreachable": (3, 0), "host_unreachable": (3, 1), "protocol_unreachable": (3, 2), "port_unreachable": (3, 3),
    "frag_needed": (3, 4), "ttl_exceeded": (11, 0),
}  # fmt: skip


class Failed(AssertionError):
    """A script did not go as it says."""


def pattern(start, length):
    """The octets of a stream: none is like its neighbors."""
    return bytes((i * 7 + (i >> 8)) & 0xFF for i in range(start, start + length))


class Runner:
    """One script on one stack."""

    def __init__(self, seed=b"0123456789abcdef"):
        self.now = 1000 * SECOND
        self.stack = Stack(OUR_MAC, 1500, seed, 1 << 26, 64)
        self.tcp = self.stack.tcp
        self.stack.host.add_address(*words(US), 120)
        from libos.net import neighbors

        neighbors.add(self.stack.host, *words(PEER), PEER_MAC)
        self.stack.host.now = self.now
        self.sockets = {}  # number -> address of the record
        self.last = 0
        self.out = []  # (time, frame) not yet expected by a line
        self.isn = None
        self.first_stamp = None
        self.ports = (33333, 8080)  # the peer's and ours
        self.read_at = {}
        self.written = {}
        self.buffer = ctypes.create_string_buffer(1 << 20)
        self.at = ctypes.addressof(self.buffer)

    def close(self):
        self.stack.host.close()

    # time

    def collect(self):
        self.stack.poll(self.now)
        self.out += [(self.now, frame) for frame in self.stack.host.out.contents()]

    def advance(self, until):
        """Go on to a time, by all deadlines on the way."""
        self.collect()
        while True:
            due = self.stack.next_deadline()
            if due == 0 or due > until:
                break
            self.now = max(self.now, due)
            self.stack.host.now = self.now
            self.collect()
        self.now = until
        self.stack.host.now = until

    # lines

    def run(self, text):
        for number, line in enumerate(text.splitlines(), 1):
            line = line.split("//")[0].strip()
            if not line:
                continue
            try:
                found = LINE.fullmatch(line)
                if not found:
                    raise Failed("no such line")
                wait, what = found.groups()
                self.line(round(float(wait or 0) * SECOND), what)
            except Failed as failed:
                raise Failed(f"line {number}: {line}\n    {failed}") from None
        self.collect()
        self.nothing_more()

    def line(self, wait, what):
        if what.startswith("> "):
            self.expect(self.now + wait, what[2:])
            return
        self.advance(self.now + wait)
        self.nothing_more()
        if what.startswith("< icmp "):
            self.inject(self.icmp(what[7:].split()))
        elif what.startswith("< "):
            self.inject(self.segment(what[2:]))
        elif what.startswith("%{"):
            self.check(what[2:-2].strip())
        else:
            self.call(what)

    def nothing_more(self):
        if self.out:
            time, frame = self.out[0]
            raise Failed(f"unexpected {(time - self.now) / SECOND:+.3f} s: {self.shown(read_segment(frame))}")

    def check(self, expression):
        c = structs.Tcb.from_address(self.last) if self.last else None
        names = {name: getattr(structs, name) for name in STATES}
        if not eval(expression, {"c": c, "t": self.tcp, "host": self.stack.host, "run": self, "ms": 10**6, **names}):
            parts = re.findall(r"\bc\.(\w+)", expression)
            raise Failed("is not so: " + ", ".join(f"{part} {getattr(c, part)}" for part in parts))

    # segments

    def inject(self, packet):
        frame = ethernet(OUR_MAC, PEER_MAC, packet)
        buffer = ctypes.create_string_buffer(frame, len(frame))
        self.stack.receive(ctypes.addressof(buffer), len(frame), self.now)
        self.collect()

    def parsed(self, text):
        found = SEGMENT.fullmatch(text)
        if not found:
            raise Failed("no such segment")
        return found

    def option(self, word, incoming):
        name, _, rest = word.strip().partition(" ")
        base = (self.isn or 0) if incoming else 0
        if name in ("mss", "wscale"):
            return name, int(rest)
        if name == "sack":
            blocks = [tuple((base + int(n)) & 0xFFFFFFFF for n in block.split(":")) for block in rest.split()]
            return name, blocks
        if name == "TS":
            value, echo = re.fullmatch(r"val (\d+) ecr (\d+)", rest).groups()
            if incoming:
                echo = (int(echo) + (self.first_stamp or 0)) & 0xFFFFFFFF if int(echo) or self.first_stamp else 0
            return name, (int(value), int(echo))
        return name, rest or None

    def segment(self, text):
        """A packet for us."""
        found = self.parsed(text)
        start, length = int(found["seq"]), int(found["length"])
        options = [self.option(word, True) for word in (found["options"] or "").split(",") if word]
        segment = Segment(
            "".join(sorted(found["flags"], key=FLAGS.index)),
            (PEER_ISN + start) & 0xFFFFFFFF,
            ((self.isn or 0) + int(found["ack"])) & 0xFFFFFFFF if found["ack"] else 0,
            int(found["win"] or 65535),
            int(found["up"] or 0),
            pattern(start - 1, length),
            options,
            ECN[found["ecn"]],
            self.ports,
        )
        return segment.packet(PEER, US, bool(found["bad"]))

    def icmp(self, words):
        """An ICMP error about `first:last` of ours."""
        kind, code = ICMP_KINDS[words[0]]
        mtu = int(words[1]) if words[0] == "frag_needed" else 0
        start, end = (int(n) for n in words[-1].split(":"))
        quoted = struct.pack(">HHI", *reversed(self.ports), (self.isn + start) & 0xFFFFFFFF)
        quote = ip(US, PEER, 6, quoted + b"\0" * (12 + end - start))[:28]
        return icmp(PEER, US, kind, code, struct.pack(">HH", 0, mtu), quote)

    def relative(self, segment):
        """A segment of ours in the numbers of a script."""
        if "S" in segment.flags:
            self.isn = segment.seq
        seq = segment.seq - (self.isn or segment.seq) & 0xFFFFFFFF
        if seq > 1 << 31:
            seq -= 1 << 32
        ack = segment.ack - PEER_ISN & 0xFFFFFFFF if "." in segment.flags else None
        options = {}
        for name, value in segment.options:
            if name == "sack":
                value = [tuple(n - PEER_ISN & 0xFFFFFFFF for n in block) for block in value]
            if name == "TS":
                if self.first_stamp is None:
                    self.first_stamp = value[0]
                value = (value[0] - self.first_stamp & 0xFFFFFFFF, value[1])
            options[name] = value
        return seq, ack, options

    def shown(self, segment):
        if segment is None:
            return "no TCP segment"
        seq, ack, options = self.relative(segment)
        length = len(segment.payload)
        text = f"{segment.flags} {seq}:{seq + length}({length})" + (f" ack {ack}" if ack is not None else "")
        return (
            f"{text} win {segment.win}" + (f" urg {segment.up}" if segment.up else "") + f" ecn {segment.ecn} {options}"
        )

    def expect(self, time, text):
        self.advance(time)
        if not self.out:
            raise Failed("nothing went out" + self.soon())
        when, frame = self.out.pop(0)
        if abs(when - time) > SECOND // 1000:
            raise Failed(f"went out {(when - time) / SECOND:+.6f} s: {self.shown(read_segment(frame))}")
        if text.startswith("icmp"):
            protocol, *_ = read(frame)
            if protocol != ICMP:
                raise Failed("no ICMP message")
            return
        segment = read_segment(frame)
        if segment is None:
            raise Failed("no TCP segment")
        if segment.ports != tuple(reversed(self.ports)):
            raise Failed(f"ports {segment.ports}")
        shown = self.shown(segment)
        found = self.parsed(text)
        seq, ack, options = self.relative(segment)
        wrong = []
        if set(found["flags"]) != set(segment.flags):
            wrong.append("flags")
        if "R" in segment.flags and self.isn is None:
            seq = int(found["seq"])
        if seq != int(found["seq"]) or len(segment.payload) != int(found["length"]):
            wrong.append("octets")
        if (int(found["ack"]) if found["ack"] else None) != ack:
            wrong.append("ack")
        if found["win"] and int(found["win"]) != segment.win:
            wrong.append("win")
        if int(found["up"] or 0) != segment.up:
            wrong.append("urg")
        if found["ecn"] and ECN[found["ecn"]] != segment.ecn:
            wrong.append("ecn")
        if segment.payload != pattern(seq - 1, len(segment.payload)):
            wrong.append("payload")
        for word in (found["options"] or "").split(","):
            name, value = self.option(word, False) if word.strip() else (None, None)
            if name and name.startswith("no") and name != "nop":
                if name[2:] in options:
                    wrong.append(name)
            elif name and (name not in options or options[name] != value):
                wrong.append(name)
        if wrong:
            raise Failed(f"{', '.join(wrong)} differ: {shown}")

    def soon(self):
        due = self.stack.next_deadline()
        return f"; the next deadline is {(due - self.now) / SECOND:+.6f} s away" if due else ""

    # calls

    def call(self, text):
        found = re.fullmatch(r"(\w+)\((.*?)\)(?: = (.+))?", text)
        if not found:
            raise Failed("no such call")
        arguments = [word.strip() for word in found[2].split(",") if word.strip()]
        method = getattr(self, "call_" + found[1], None)
        if method is None:
            raise Failed(f"no call {found[1]}")
        result = method(*arguments)
        if isinstance(result, int) and result < 0:
            result = ERRORS.get(-result, result)
        self.collect()
        if found[3] and str(result) != found[3].strip():
            raise Failed(f"the result is {result}")

    def record(self, number):
        self.last = self.sockets[int(number)]
        return self.last

    def add(self, address):
        if address < 0:
            return address
        number = 3
        while number in self.sockets:
            number += 1
        self.sockets[number] = self.last = address
        self.read_at[number] = self.written[number] = 0
        return number

    def call_socket(self):
        return self.add(user.open(self.tcp, 4))

    def call_bind(self, fd, port):
        return user.bind(self.tcp, self.record(fd), 0, 0, int(port))

    def call_listen(self, fd, backlog):
        return user.listen(self.tcp, self.record(fd), int(backlog))

    def call_accept(self, fd):
        return self.add(user.accept(self.tcp, self.record(fd)))

    def call_connect(self, fd, port="33333"):
        address = self.record(fd)
        result = user.connect(self.tcp, address, *words(PEER), int(port))
        self.ports = (int(port), structs.Tcb.from_address(address).local_port)
        return result

    def call_write(self, fd, count, more=""):
        fd, count = int(fd), int(count)
        self.buffer[:count] = pattern(self.written[fd], count)
        result = user.send(self.tcp, self.record(fd), self.at, count, more == "MORE")
        self.written[fd] += max(result, 0)
        return result

    def call_urgent(self, fd, count):
        fd, count = int(fd), int(count)
        self.buffer[:count] = pattern(self.written[fd], count)
        result = user.send_urgent(self.tcp, self.record(fd), self.at, count)
        self.written[fd] += max(result, 0)
        return result

    def call_read(self, fd, count, skip="0"):
        fd = int(fd)
        result = user.receive_into(self.tcp, self.record(fd), self.at, int(count), False)
        if result > 0:
            self.read_at[fd] += int(skip)
            if self.buffer[:result] != pattern(self.read_at[fd], result):
                raise Failed("other octets were read")
            self.read_at[fd] += result
        return result

    def call_peek(self, fd, count, skip="0"):
        result = user.receive_into(self.tcp, self.record(fd), self.at, int(count), True)
        if result > 0 and self.buffer[:result] != pattern(self.read_at[int(fd)] + int(skip), result):
            raise Failed("other octets were peeked at")
        return result

    def call_read_urgent(self, fd):
        return user.receive_urgent(self.tcp, self.record(fd), self.at, False)

    def call_at_mark(self, fd):
        return int(user.at_mark(self.tcp, self.record(fd)))

    def call_shutdown(self, fd, how):
        return user.shutdown(self.tcp, self.record(fd), "rd" in how, "wr" in how)

    def call_close(self, fd):
        user.close(self.tcp, self.sockets.pop(int(fd)))
        return 0

    def call_abort(self, fd):
        user.abort(self.tcp, self.sockets.pop(int(fd)))
        return 0

    def call_error(self, fd):
        return ERRORS.get(user.take_error(self.tcp, self.record(fd)), 0)

    def call_state(self, fd):
        return STATES[structs.Tcb.from_address(self.record(fd)).state]

    def call_poll(self, fd):
        mask = user.ready(self.tcp, self.record(fd))
        return "|".join(name for bit, name in READY.items() if mask & bit) or "0"

    def call_inq(self, fd):
        return user.readable(self.tcp, self.record(fd))

    def call_outq(self, fd):
        return user.unacknowledged(self.tcp, self.record(fd))

    def call_set(self, fd, name, value):
        if name in OPTIONS:
            return user.set_option(self.tcp, self.record(fd), OPTIONS[name], bool(int(value)))
        if name not in NUMBERS:
            raise Failed(f"no option {name}")
        setattr(structs.Tcb.from_address(self.record(fd)), name, int(value))
        return 0

    def call_stack(self, name, value):
        setattr(self.tcp, name, int(value))
        return 0

    def call_records(self):
        return self.tcp.connections

    # whole connections

    def peer_options(self, words):
        options = ",".join(word for word in words if not word.startswith("win"))
        window = next((word.split()[1] for word in words if word.startswith("win ")), "65535")
        return options, window

    def call_accepted(self, *words):
        options, window = self.peer_options(words)
        listener = self.add(user.open(self.tcp, 4))
        self.call_bind(listener, 8080)
        self.call_listen(listener, 5)
        stamp = ",TS val 100 ecr 0" if "TS" in words else ""
        syn = f"S 0:0(0) win {min(int(window), 65535)} <{options.replace(',TS', '').replace('TS', '')}{stamp}>"
        self.inject(self.segment(syn))
        return self.complete(window, "TS" in words, lambda: self.call_accept(listener))

    def call_connected(self, *words):
        options, window = self.peer_options(words)
        number = self.add(user.open(self.tcp, 4))
        self.call_connect(number)
        self.collect()
        self.relative(read_segment(self.out.pop(0)[1]))
        self.advance(self.now + RTT)
        stamp = ",TS val 100 ecr 0" if "TS" in words else ""
        options = options.replace(",TS", "").replace("TS", "")
        self.inject(self.segment(f"S. 0:0(0) ack 1 win {min(int(window), 65535)} <{options}{stamp}>"))
        self.out.clear()
        return number

    def complete(self, window, stamps, accept):
        self.collect()
        self.relative(read_segment(self.out.pop(0)[1]))
        self.advance(self.now + RTT)
        stamp = " <TS val 100 ecr 0>" if stamps else ""
        self.inject(self.segment(f". 1:1(0) ack 1 win {window}{stamp}"))
        return accept()


def run(text):
    runner = Runner()
    try:
        runner.run(text)
    finally:
        runner.close()
    return runner
