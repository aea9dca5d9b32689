# SPDX-License-Identifier: GPL-2.0-or-later
"""A JSON service that remembers every request: thousands of dicts and strings, all made by the same C decoder."""
import ctypes
import http.client
import http.server
import json
import os
import signal

import case

options = case.start(__doc__)
AUDIT = []
LATEST = {}
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def decode(body):
    return json.loads(body)  # LEAK


def handle(body):
    order = decode(body)
    AUDIT.append(order)
    LATEST[order["customer"]] = len(AUDIT)  # as many as there are customers
    return {"total": sum(item["price"] for item in order["items"])}


class Orders(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def do_POST(self):
        answer = json.dumps(handle(self.rfile.read(int(self.headers["Content-Length"])))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


def order(chance):
    items = [{"article": "article %d" % chance.randrange(500), "price": chance.randrange(100)} for _ in range(6)]
    return json.dumps({"customer": "customer %d" % chance.randrange(50), "items": items})


def send_orders(port):
    """The customers, a process of their own that ends with the service."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in case.rounds(options.chance, options.chance.uniform(20, 60)):
        connection.request("POST", "/order", order(options.chance))
        connection.getresponse().read()


def main():
    server = http.server.HTTPServer(("127.0.0.1", 0), Orders)
    if os.fork() == 0:
        send_orders(server.server_port)
    case.ready()
    server.serve_forever()


main()
