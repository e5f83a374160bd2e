"""The guest's NVMe disk."""


def test_what_is_written_is_read_back(lab):
    """Past the page cache, in the last MiB, beyond which there is no more."""
    said = lab("""
        head -c 1M /dev/urandom >/run/written
        dd if=/run/written of=/dev/nvme0n1 bs=64K seek=1008 oflag=direct conv=fsync status=none
        dd if=/dev/nvme0n1 of=/run/read bs=64K skip=1008 iflag=direct status=none
        cmp /run/written /run/read
        blockdev --getsize64 /dev/nvme0n1
        dd if=/run/written of=/dev/nvme0n1 bs=64K seek=1024 oflag=direct 2>&1 || true
    """)
    assert said.splitlines()[0] == str(64 << 20)
    assert "No space left on device" in said
