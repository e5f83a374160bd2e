"""A host of a stress test: `segment_worker.py SEGMENT SECONDS SEED`. Talks to every port, checks every byte it hears,
and says at the end, in one line of JSON, what came.
"""

import json
import random
import select
import struct
import sys
import time
import zlib

from frame_host import Host

from libos.devices.segment import Segment

HEAD = struct.Struct("=QIII")  # who, which to this receiver, bytes, CRC 32 of those


def main(name, seconds, seed):
    chance = random.Random(seed)
    host = Host(Segment(name))
    me = chance.getrandbits(64)
    pool = chance.randbytes(65536)
    sent, last = {}, {}
    found = {"sent": 0, "full": 0, "heard": 0, "bad": 0, "disordered": 0, "slept": 0}
    ports = list(range(20)) + ["all"]
    print("up", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(chance.randrange(8)):
            port = chance.choice(ports)
            target = b"\xff" * 6 if port == "all" else host.device.mac[:5] + bytes([port])
            size = chance.choice((0, 1, 46, 100, 700, 1480))
            at = chance.randrange(len(pool) - size)
            body = pool[at : at + size]
            number = sent[port] = sent.get(port, 0) + 1
            if host.say(target, HEAD.pack(me ^ (port == "all"), number, size, zlib.crc32(body)) + body):
                found["sent"] += 1
            else:
                found["full"] += 1
        frames = host.burst()
        if not frames and chance.random() < 0.3 and host.device.arm():
            limit = host.device.deadline(time.monotonic_ns())
            wait = 0.02 if limit < 0 else max(0, limit - time.monotonic_ns()) / 1e9
            select.select([host.device.bell()], [], [], wait)
            host.device.disarm()
            found["slept"] += 1
        for frame in frames:
            who, number, size, crc = HEAD.unpack_from(frame, 14)
            body = frame[14 + HEAD.size :]
            found["heard"] += 1
            found["bad"] += len(body) != size or zlib.crc32(body) != crc
            found["disordered"] += number <= last.get(who, 0)
            last[who] = number
    found |= {"torn": host.device.ring.torn, "lost": host.device.ring.lost, "talkers": len(last)}
    host.device.close()
    print(json.dumps(found), flush=True)


main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
