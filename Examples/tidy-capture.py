#!/usr/bin/env python3
"""Makes a capture of dumpcap's fit to keep: its packets in order of time, whichever port saw
them, and without the description of the machine that took it.

    tidy-capture.py FROM.pcapng TO.pcapng

dumpcap reads each port by itself, so packets of two ports that are microseconds apart may
stand in its file in the wrong order. Prints the number of packets, and the times of the first
and the last in seconds. Fails if dumpcap missed a packet.
"""
import struct
import sys

SECTION, INTERFACE, STATISTICS, PACKET = 0x0A0D0D0A, 1, 5, 6
SECTION_HARDWARE, SECTION_OS, INTERFACE_OS = 2, 3, 12
INTERFACE_RESOLUTION, STATISTICS_MISSED = 9, 5


def blocks(data):
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        yield kind, data[at + 8:at + size - 4]
        at += size


def options(data):
    at = 0
    while at < len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if code == 0:
            return
        yield code, data[at + 4:at + 4 + size]
        at += 4 + (size + 3) // 4 * 4


def block(kind, body):
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def without(unwanted, fixed, body):
    """The body of a block whose options begin after `fixed` bytes, less some of the options."""
    kept = b""
    for code, value in options(body[fixed:]):
        if code not in unwanted:
            kept += struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
    return body[:fixed] + kept + (bytes(4) if kept else b"")


def main():
    with open(sys.argv[1], "rb") as source:
        data = source.read()
    head, packets, tail = b"", [], b""
    for kind, body in blocks(data):
        if kind == SECTION:
            head += block(kind, without({SECTION_HARDWARE, SECTION_OS}, 16, body))
        elif kind == INTERFACE:
            if dict(options(body[8:])).get(INTERFACE_RESOLUTION) != b"\x09":
                sys.exit("the capture's times are not in nanoseconds")
            head += block(kind, without({INTERFACE_OS}, 8, body))
        elif kind == PACKET:
            high, low = struct.unpack_from("<II", body, 4)
            packets.append((high << 32 | low, block(kind, body)))
        elif kind == STATISTICS:
            missed = dict(options(body[12:])).get(STATISTICS_MISSED, bytes(8))
            if any(missed):
                sys.exit("dumpcap missed packets")
            tail += block(kind, body)
    packets.sort(key=lambda packet: packet[0])
    with open(sys.argv[2], "wb") as target:
        target.write(head + b"".join(frame for _, frame in packets) + tail)
    times = [packets[0][0], packets[-1][0]]
    print(len(packets), *(f"{t // 10**9}.{t % 10**9:09}" for t in times))


if __name__ == "__main__":
    main()
