# cython: infer_types=True
"""ICMP (RFC 792, RFC 1122 section 3.2.2) and ICMPv6 (RFC 4443): echo, errors that come in, errors that go out."""

from libos.net import host as hosts
from libos.net import neighbors, octets, output, routes, seq, structs
from libos.net.wire import icmp_message

HARD = 64  # the error ends what it concerns (RFC 1122, section 3.2.2.1), where nothing else forbids that
MTU = 128  # the way takes smaller packets than we thought


def arrives(host, p):
    """An ICMP message for us. The answer is an error that concerns the packet quoted in `host.quoted_at`, 0 for
    none.
    """
    if p.transport_length < 8:
        return 0
    at = p.transport
    if not icmp_message.sound(
        at, p.transport_length, p.source_high, p.source_low, p.target_high, p.target_low, p.protocol
    ):
        host.refused += 1
        return 0
    kind = octets.get8(at)
    if p.protocol == structs.PROTOCOL_ICMP:
        if kind == 8:
            echo(host, p, 0)
        elif kind == 3 or kind == 11 or kind == 12:
            return error(host, p)
    elif kind == 128:
        echo(host, p, 129)
    elif kind < 128:
        return error(host, p)
    else:
        neighbors.discovery(host, p)
    return 0


def echo(host, p, reply):
    """An echo is answered with what it brought, unless it was sent to a broadcast (RFC 1122, section 3.2.2.6)."""
    if hosts.is4(p.target_high, p.target_low) and (p.broadcast or not host.mine(p.target_high, p.target_low)):
        return
    if not host.mine(p.target_high, p.target_low):
        # to a group: from an address of ours (RFC 4443, section 4.2)
        if not host.source_for(p.source_high, p.source_low):
            return
    else:
        host.from_high = p.target_high
        host.from_low = p.target_low
    at = begin(host, p, p.protocol, 0, p.transport_length)
    if at:
        octets.copy(at, p.transport, p.transport_length)
        octets.put8(at, reply)
        end(host, p, p.protocol, at, p.transport_length)


def begin(host, p, protocol, traffic_class, length):
    """Address where a message to the sender of `p` goes, from `host.from_high, from_low`; 0 when it can't go."""
    if not routes.find(host, p.source_high, p.source_low):
        return 0
    return output.begin_datagram(
        host, protocol, host.from_high, host.from_low, p.source_high, p.source_low, 64, traffic_class, length
    )


def end(host, p, protocol, at, length):
    """The message that was begun is whole."""
    icmp_message.seal(at, length, host.from_high, host.from_low, p.source_high, p.source_low, protocol)
    output.end_datagram(host, length)


def error4(kind, code):
    """What a message of ICMP means; 0 when nothing (RFC 1122, sections 3.2.2 and 4.2.3.9)."""
    if kind == 3:
        if code == 2:
            return structs.PROTOCOL_UNREACHABLE | HARD
        if code == 3:
            return structs.REFUSED | HARD
        if code == 4:
            return MTU
        if code == 0 or code == 6 or code == 11:
            return structs.NETWORK_UNREACHABLE
        return structs.HOST_UNREACHABLE
    # Time exceeded, parameter problem.
    return structs.HOST_UNREACHABLE if kind == 11 else structs.PROTOCOL_UNREACHABLE


def error6(kind, code):
    """What a message of ICMPv6 means (RFC 4443, section 3)."""
    if kind == 1:
        if code == 4:
            return structs.REFUSED | HARD
        return structs.NETWORK_UNREACHABLE if code == 0 else structs.HOST_UNREACHABLE
    if kind == 2:
        return MTU
    if kind == 4 and code == 1:
        return structs.PROTOCOL_UNREACHABLE | HARD
    return structs.HOST_UNREACHABLE if kind == 3 else 0


def error(host, p):
    """An error message: what it means for the packet of ours that it quotes."""
    at = p.transport
    kind = octets.get8(at)
    code = octets.get8(at + 1)
    q = structs.packet(host.quoted_at)
    if not icmp_message.read_quoted(q, at + 8, p.transport_length - 8):
        return 0
    if not host.mine(q.source_high, q.source_low):
        return 0
    what = error4(kind, code) if p.protocol == structs.PROTOCOL_ICMP else error6(kind, code)
    if what == MTU:
        mtu = octets.get16(at + 6) if p.protocol == structs.PROTOCOL_ICMP else octets.get32(at + 4)
        if mtu == 0 and p.protocol == structs.PROTOCOL_ICMP:
            # A router from before RFC 1191 says none: the least plateau that is in use (section 5).
            mtu = 576
        q.mss = mtu
    return what


def send_error(host, p, kind, code, extra):
    """Tell the sender of a packet that is no ICMP message what is wrong with it, quoting as much as goes into the least
    MTU.
    """
    if p.broadcast or p.fragment_offset or not host.allowed():
        return
    if hosts.is_multicast(p.source_high, p.source_low) or (p.source_high == 0 and seq.low32(p.source_low) == 0):
        return
    if not host.mine(p.target_high, p.target_low):
        return
    host.from_high = p.target_high
    host.from_low = p.target_low
    most = 576 - 28 if p.family == 4 else 1280 - 48
    size = p.network_length if p.network_length < most else most
    protocol = structs.PROTOCOL_ICMP if p.family == 4 else structs.PROTOCOL_ICMPV6
    at = begin(host, p, protocol, 0xC0 if p.family == 4 else 0, size + 8)
    if at:
        octets.put32(at, kind << 24 | code << 16)
        octets.put32(at + 4, extra)
        octets.copy(at + 8, p.network, size)
        end(host, p, protocol, at, size + 8)
        host.unreachable += 1


def port_unreachable(host, p):
    """Nobody has the UDP port that a datagram was sent to."""
    if p.family == 4:
        send_error(host, p, 3, 3, 0)
    else:
        send_error(host, p, 1, 4, 0)


def protocol_unreachable(host, p):
    """Nobody speaks the protocol of a packet."""
    if p.family == 4:
        send_error(host, p, 3, 2, 0)
    else:
        send_error(host, p, 4, 1, 40)
