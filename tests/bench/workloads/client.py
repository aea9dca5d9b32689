# SPDX-License-Identifier: GPL-2.0-or-later
"""The other side of a service: sends requests over loopback and measures how long the answers take.

A process of its own, so that nothing that slows the service slows the clock. Once a second it says

    {"t": CLOCK_MONOTONIC in s, "requests": 1, "p50_ms": 1.0, "p99_ms": 1.0,
     "histogram": {"BUCKET": COUNT}}

for that second; buckets are those of latency.py. With a rate, a request that has to wait because
the one before is late counts from when it was due: a service that stops for 30 ms delays all that
come meanwhile.
"""
import argparse
import json
import os
import socket
import sys
import threading
import time

import latency


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")

    def ask(self, body):
        head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.socket.sendall(head.encode() + body)
        status = self.stream.readline()
        length = 0
        while True:
            line = self.stream.readline()
            if not line.strip():
                break
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        answer = self.stream.read(length)
        if b" 200 " not in status or not length or len(answer) != length:
            raise ConnectionError("no answer: %r" % status)


def bodies():
    """Orders of 20 lines: what the services are asked."""
    return [
        json.dumps(
            {
                "order": number,
                "customer": "customer-%d" % (number % 7),
                "lines": [
                    {"article": "article-%d" % (number + i), "price": i * 1.25, "count": i}
                    for i in range(20)
                ],
            }
        ).encode()
        for number in range(64)
    ]


def drive(port, pause, latencies):
    """Asks one request after the other, or one every pause seconds, until the service is gone."""
    connection, requests = Connection(port), bodies()
    due, number = time.monotonic(), 0
    while True:
        delay = due - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        # A late wake-up is this process's own; a late answer is the service's.
        start = time.monotonic() if delay > 0 or not pause else due
        connection.ask(requests[number % len(requests)])
        latencies.append(time.monotonic() - start)
        number += 1
        due += pause


def leave_with_the_service(*arguments):
    try:
        drive(*arguments)
    except ConnectionError:
        os._exit(0)


def say(latencies):
    histogram = {}
    for _ in range(len(latencies)):
        latency.add(histogram, {latency.bucket_of(latencies.pop()): 1})
    if not histogram:
        return
    line = {
        "t": time.monotonic(),
        "requests": sum(histogram.values()),
        "p50_ms": latency.quantile(histogram, 0.50) * 1e3,
        "p99_ms": latency.quantile(histogram, 0.99) * 1e3,
        "histogram": histogram,
    }
    # One write a line: the service writes into the same pipe.
    os.write(sys.stdout.fileno(), (json.dumps(line) + "\n").encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument(
        "--rate", type=float, default=0, help="requests a second and connection (as many as it can)"
    )
    options = parser.parse_args()
    latencies = []
    pause = 1 / options.rate if options.rate else 0
    for _ in range(options.connections):
        arguments = (options.port, pause, latencies)
        threading.Thread(target=leave_with_the_service, args=arguments, daemon=True).start()
    while True:
        time.sleep(1)
        say(latencies)


if __name__ == "__main__":
    main()
