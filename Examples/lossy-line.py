#!/usr/bin/env python3
"""A bad line between two network ports: what goes in at one comes out at the other, late,
and some frames are lost, overtaken, doubled or damaged. It does what `tc netem` does, on
kernels that have no netem too, and draws the same misfortunes from the same seed.

    lossy-line.py PORT-A PORT-B

Misfortune strikes only frames of 500 bytes and more that go from B to A: a download's data.
"""
import heapq
import random
import select
import socket
import sys
import time

DELAY = 0.008           # seconds, each way
OVERTAKEN_BY = 0.004    # further delay of a frame that others overtake
LOSS, REORDER, DOUBLE, DAMAGE = 0.010, 0.015, 0.004, 0.003
ETH_P_ALL = 0x0003


def open_port(name):
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    port.bind((name, ETH_P_ALL))
    return port


def main():
    port_a, port_b = open_port(sys.argv[1]), open_port(sys.argv[2])
    chance = random.Random(5)
    waiting = []        # heap of (due, arrival number, port, frame)
    arrivals = 0

    def send_later(port, frame, delay):
        nonlocal arrivals
        arrivals += 1
        heapq.heappush(waiting, (time.monotonic() + delay, arrivals, port, frame))

    while True:
        patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for port in select.select([port_a, port_b], [], [], patience)[0]:
            frame, address = port.recvfrom(65536)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            if port is port_a:
                send_later(port_b, frame, DELAY)
                continue
            delay = DELAY
            if len(frame) >= 500:
                if chance.random() < LOSS:
                    continue
                if chance.random() < REORDER:
                    delay += OVERTAKEN_BY
                if chance.random() < DOUBLE:
                    send_later(port_a, frame, delay + OVERTAKEN_BY)
                if chance.random() < DAMAGE:
                    frame = frame[:-100] + bytes([frame[-100] ^ 0x20]) + frame[-99:]
            send_later(port_a, frame, delay)
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, port, frame = heapq.heappop(waiting)
            port.send(frame)


if __name__ == "__main__":
    main()
