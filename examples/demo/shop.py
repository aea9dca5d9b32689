#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A small web shop with a leak, and customers that use it. Prints its address when it is ready."""
import collections
import functools
import http.client
import http.server
import json
import random
import threading
import time

CATALOGUE = {number: {"name": "article %d" % number, "price": 5 + number % 40} for number in range(500)}
RECENT = collections.deque(maxlen=200)  # bounded: not a leak
AUDIT = []


@functools.lru_cache(maxsize=1000)
def describe(article):
    """Warms up, then stays as it is: not a leak."""
    return "%(name)s for %(price)d EUR" % CATALOGUE[article]


def record(order, total):
    entry = {"customer": order["customer"], "total": total, "articles": [describe(a) for a in order["articles"]]}
    AUDIT.append(json.dumps(entry))  # never trimmed: this is the leak
    RECENT.append(entry)


def handle(order):
    total = sum(CATALOGUE[article]["price"] for article in order["articles"])
    record(order, total)
    return {"total": total, "articles": [describe(article) for article in order["articles"]]}


class Shop(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one packet

    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(handle(order)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


def customers(port):
    """About 90 orders a second, over one connection."""
    chance = random.Random(1)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        order = {"customer": "customer %d" % chance.randrange(10000), "articles": chance.sample(range(500), 8)}
        connection.request("POST", "/order", json.dumps(order))
        connection.getresponse().read()
        time.sleep(0.01)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever).start()
    threading.Thread(target=customers, args=(server.server_port,), daemon=True).start()
    while len(RECENT) < RECENT.maxlen:  # open for business when warm
        time.sleep(0.1)
    print("shop on port %d" % server.server_port, flush=True)


if __name__ == "__main__":
    main()
