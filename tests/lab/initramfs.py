"""The guest's first file system: an archive of cpio's "newc" form (Linux, driver-api/early-userspace/buffer-format).

It holds busybox, modules and init.sh, and no more: everything else the guest has of this machine's own files.
"""

import os
import shutil
import stat

import linux_package

HERE = os.path.dirname(os.path.abspath(__file__))
# crc32_generic: rdma_rxe asks for it by an alias, which only a modprobe could follow
MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay", "virtio_net", "nvme", "crc32_generic",
           "rdma_rxe", "ib_uverbs", "rdma_ucm")  # fmt: skip
FOLDERS = ("bin", "dev", "modules", "proc", "root", "host", "writes")


class Archive:
    """What goes into an initramfs, entry by entry."""

    def __init__(self):
        self.parts = []
        self.entries = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        """An entry at the path `name`, of root's; `mode` with its type (stat(2)), `device`: (major, minor)."""
        self.entries += 1
        path = name.encode() + b"\0"
        fields = (self.entries, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        for part in (head, content):
            self.parts.append(part + bytes(-len(part) % 4))

    def write(self, path):
        self.add("TRAILER!!!", 0)
        with open(path, "wb") as file:
            file.writelines(self.parts)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path):
    """Make the initramfs at `path`; RuntimeError where something is missing."""
    busybox = shutil.which("busybox")
    if not busybox:
        raise RuntimeError("busybox is missing: apt-get install busybox-static")
    archive = Archive()
    for folder in FOLDERS:
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))  # the first process's output, before devtmpfs
    archive.add("bin/busybox", stat.S_IFREG | 0o755, read(busybox))
    archive.add("init", stat.S_IFREG | 0o755, read(os.path.join(HERE, "init.sh")))
    for place, module in enumerate(linux_package.loading_order(MODULES)):
        archive.add(f"modules/{place:02}-{os.path.basename(module)}", stat.S_IFREG | 0o644, read(module))
    archive.write(path)
