"""The guest: a virtual machine, emulated by QEMU, with Debian's kernel and this machine's files, that runs scripts.

It has two processors, a network of its own with one interface (eth0), an RDMA device in software on that (rxe0), and an
NVMe disk (/dev/nvme0n1). It changes nothing outside: what it writes stays in its memory and on that disk.
"""

import base64
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import initramfs
import linux_package

ADDRESS = "10.1.1.1"
# For scripts. listening PORT: returns once something listens there.
LISTENING = """
listening() {
    until ss -Hltn "sport = :$1" | grep -q .; do sleep 0.1; done
}
"""
DISK = 64 << 20  # bytes
# Seconds, many times what an idle machine takes: they end what hangs, and judge nothing.
TO_BOOT = 600
TO_RUN = 300


class GuestError(Exception):
    """The guest did not start or ended, or a script did not end in time; with what was said last."""


def machine(folder, channel):
    """QEMU's arguments; `folder` is where the guest's files are, `channel` a socket by which scripts come and go."""
    # no_timer_check: on a busy machine an emulated timer is late, which Linux takes for a broken one
    command_line = f"console=ttyS0 quiet panic=-1 no_timer_check ADDRESS={ADDRESS}"
    return [
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", linux_package.image(), "-initrd", f"{folder}/initramfs", "-append", command_line),
        *("-serial", f"file:{folder}/console"),
        *("-chardev", f"socket,id=channel,fd={channel}"),
        *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=channel"),
        *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
        *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
        # a wire with nobody at its other end
        *("-netdev", "hubport,id=wire,hubid=0", "-device", "virtio-net-pci,netdev=wire,host_mtu=9000,romfile="),
        *("-drive", f"if=none,id=disk,format=raw,file={folder}/disk", "-device", "nvme,drive=disk,serial=lab"),
    ]


class Guest:
    """A running guest. A context manager: on leaving it, the machine and its files are gone.

    Raises GuestError where it does not start, and RuntimeError, with what to install, where something is missing.
    """

    def __init__(self):
        qemu = shutil.which("qemu-system-x86_64")
        if not qemu:
            raise RuntimeError("qemu-system-x86_64 is missing: apt-get install qemu-system-x86")
        self.folder = tempfile.mkdtemp(prefix="flap-lab-")
        self.process = self.channel = None
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            initramfs.write(f"{self.folder}/initramfs")
            with open(f"{self.folder}/disk", "wb") as disk:
                disk.truncate(DISK)
            self.channel, theirs = socket.socketpair()
            with theirs, open(f"{self.folder}/qemu", "wb") as complaints:
                self.process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", qemu, *machine(self.folder, theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=complaints,
                    stderr=complaints,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            self.until(rb"ready\n", TO_BOOT, "the guest did not start")
            undo.pop_all()

    @property
    def running(self):
        return self.process is not None

    def run(self, script, seconds=TO_RUN):
        """(exit status, output) of a script for bash -e, run by root; then all it has started is ended.

        Raises GuestError, and ends the guest, when it takes longer than `seconds` or the guest breaks down.
        """
        token = secrets.token_hex(8)
        text = base64.b64encode(script.encode()).decode()
        self.channel.sendall(f"{token} {text}\n".encode())
        said, status = self.until(rb"\n%s (\d+)\n" % token.encode(), seconds, "the script did not end")
        return int(status), said.decode(errors="backslashreplace")

    def until(self, pattern, seconds, complaint):
        """(what comes by the channel before `pattern`, the pattern's group if it has one)."""
        end, said = time.monotonic() + seconds, b""
        while not (found := re.search(pattern, said)):
            self.channel.settimeout(max(end - time.monotonic(), 0.001))
            try:
                came = self.channel.recv(1 << 16)
            except TimeoutError:
                self.fail(f"{complaint} within {seconds} s", said)
            except ConnectionError:
                came = b""
            if not came:
                self.fail(f"{complaint}: the guest is gone", said)
            said += came
        return said[: found.start()], *found.groups()

    def fail(self, complaint, said):
        parts = [complaint]
        for title, path in (("console", f"{self.folder}/console"), ("QEMU", f"{self.folder}/qemu")):
            with contextlib.suppress(FileNotFoundError), open(path, errors="backslashreplace") as file:
                parts.append(f"--- {title}\n{file.read()[-4000:]}")
        self.close()
        raise GuestError("\n".join([*parts, f"--- output\n{said[-4000:].decode(errors='backslashreplace')}"]))

    def close(self):
        """End the machine, at once."""
        if self.channel:
            self.channel.close()
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = self.channel = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
