# SPDX-License-Identifier: GPL-2.0-or-later
"""An HTTP service on loopback, its client a process of its own: what request workloads share."""
import http.server
import os
import subprocess
import sys
import threading

CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "client.py")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.answer(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer

    def handle_error(self, request, client_address):
        # A client that is gone is the end, not an error.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(running, answer, *client_options):
    """Serves with answer(body) until the workload's time is up."""
    server = Server(answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = subprocess.Popen([sys.executable, CLIENT, str(server.server_port), *client_options])
    try:
        running.wait()
    finally:
        client.kill()
        client.wait()
