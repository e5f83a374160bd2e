"""An interface of the kernel, as those devices ask for it that share it with the kernel (netdevice(7))."""

import _socket
import fcntl
import struct

from libos import calls
from libos.devices.tap import SIOCGIFHWADDR, SIOCGIFMTU
from libos.errors import Fail, Kind

SIOCGIFINDEX, SIOCGIFFLAGS = 0x8933, 0x8913
IFF_UP, ARPHRD_ETHER = 1, 1


class Interface:
    """`index`, `mac` and `mtu` of the Ethernet interface `name`, which is there and up. Raises Fail, whose one line
    begins with `device`.
    """

    def __init__(self, device, name):
        self.device = device
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:

            def asked(request, form):
                answer = fcntl.ioctl(sock.fileno(), request, struct.pack("=16s24x", name.encode()))
                return struct.unpack_from(form, answer, 16)

            self.index = asked(SIOCGIFINDEX, "=i")[0]
            up = asked(SIOCGIFFLAGS, "=H")[0] & IFF_UP
            kind, self.mac = asked(SIOCGIFHWADDR, "=H6s")
            self.mtu = asked(SIOCGIFMTU, "=i")[0]
        except OSError as error:
            raise self.fail(f"there is no interface {name!r} ({error.strerror})")
        finally:
            sock.close()
        if kind != ARPHRD_ETHER:
            raise self.fail(f"{name} is not an Ethernet interface")
        if not up:
            raise self.fail(f"{name} is down; ip link set {name} up")

    def fail(self, why):
        return Fail(Kind.DEVICE, f"{self.device}: {why}")

    def refused(self, error, capability):
        """The Fail for what the kernel has answered to a call of the device's."""
        if error.errno == calls.EPERM:
            return self.fail(f"needs {capability}; run as root or give the program that capability")
        return self.fail(error.strerror or str(error))


def check_addresses(device, own):
    """Refuse addresses that the kernel has too: it would answer for them. Raises Fail."""
    for packed, _ in own:
        family, nobodys = (_socket.AF_INET, "192.0.2.1") if len(packed) == 4 else (_socket.AF_INET6, "2001:db8::1")
        text = _socket.inet_ntop(family, packed)
        if takes(family, text) and not takes(family, nobodys):  # the kernel may take any (ip_nonlocal_bind)
            raise Fail(Kind.INVALID, f"{device}: the kernel has {text} itself; give an address that no interface has")


def takes(family, address):
    """Whether the kernel lets a socket have an address."""
    try:
        sock = _socket.socket(family, _socket.SOCK_DGRAM)
    except OSError:  # it has none of that family
        return False
    try:
        sock.bind((address, 0))
        return True
    except OSError:
        return False
    finally:
        sock.close()
