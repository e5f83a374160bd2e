"""One stream over a bad path: `unshare -m -n python -m benchmarks.goodput_path SIDE SEED OCTETS LOSS DELAY [CAPTURE]`.

In namespaces of its own, which end with it:

    host a (namespace)                this process               host b (namespace)
    [Catnip ─ cat0 ─] br0 ─ wire0 ══ a lane each way ══ wire1 ─ br1 [─ cat1 ─ Catnip]

Linux' stack has its address on the bridge, Catnip the same one behind a TAP that is another port of it; everything in
between is the same, offloads are off everywhere, and the lanes draw what they lose from the seed. SIDE: linux (CUBIC)
or catnip. LOSS: a chance; DELAY: ms, each way; CAPTURE: a file for what passes wire0. Prints JSON: octets, seconds.
"""

import select
import subprocess
import sys

from libos.devices.capture import Capture
from libos.devices.impair import Harm, Lane
from libos.devices.tap import Tap
from libos.devices.tray import Basket, sent
from libos.runtime.clock import Clock

ADDRESSES = ("10.9.0.1", "10.9.0.2")
HOSTS = ("a", "b")
CLOCK = Clock()


def ip(words):
    subprocess.run(["ip", *words.split()], check=True)


def plain(host, interface):
    """No work of TCP's is left to an interface."""
    command = f"ip netns exec {host} ethtool -K {interface} tso off gso off gro off tx off rx off sg off"
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def host(i, side):
    """Make a host, and our end of its wire."""
    name, wire, bridge, port = HOSTS[i], f"wire{i}", f"br{i}", f"cat{i}"
    ip(f"netns add {name}")
    silent = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"
    subprocess.run(["ip", "netns", "exec", name, "sh", "-c", silent], check=True)
    ip(f"-n {name} link add {bridge} type bridge")
    device = Tap(wire)
    ip(f"link set {wire} netns {name}")
    ip(f"-n {name} tuntap add {port} mode tap")
    for interface in (wire, port):
        ip(f"-n {name} link set {interface} up master {bridge}")
        plain(name, interface)
    ip(f"-n {name} link set {bridge} up")
    plain(name, bridge)
    if side == "linux":
        ip(f"-n {name} address add {ADDRESSES[i]}/24 dev {bridge}")
    return device


def forward(devices, lanes, ended):
    """Carry frames until the descriptor `ended` is readable."""
    basket = Basket()
    while True:
        now = CLOCK.now()
        for lane, here, there in zip(lanes, devices, devices[::-1], strict=True):
            for frame in basket.collect(here):
                lane.put(frame, now)
            while (frame := lane.take(now)) is not None:
                sent(there, frame)
        due = min((lane.due() for lane in lanes if lane.frames), default=now + 10**9)
        readable = select.select([*(d.bell() for d in devices), ended], [], [], max(due - CLOCK.now(), 0) / 1e9)[0]
        if ended in readable:
            return


def main(side, seed, octets, loss, delay, capture=None):
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)  # whose netns is for nobody else
    devices = [host(i, side) for i in (0, 1)]
    if capture:
        devices[0] = Capture(devices[0], capture, CLOCK)
    harm = Harm(loss=float(loss), delay=int(float(delay) * 1e6))
    lanes = [Lane(harm, f"{seed} {way}") for way in ("there", "back")]
    ends = []
    try:
        for i, role in ((1, "sink"), (0, "source")):
            command = ["ip", "netns", "exec", HOSTS[i], sys.executable, "-m", "benchmarks.goodput_end", role, side]
            ends.append(subprocess.Popen([*command, octets], stdout=subprocess.PIPE, text=True))
            if role == "sink" and ends[0].stdout.readline() != "up\n":
                raise SystemExit("catflap: no host at the end of the path")
        forward(devices, lanes, ends[0].stdout.fileno())
        print(ends[0].stdout.readline(), end="")
    finally:
        for process in ends:
            process.kill()
            process.wait()
        for device in devices:
            device.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
