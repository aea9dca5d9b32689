# SPDX-License-Identifier: GPL-2.0-or-later
"""`pyleak serve` as Prometheus, promtool and `go tool pprof` see it, and with clients that mean no good."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

import pyleak
from test_formats import COUNTED, flat_by_line, go_pprof

EVERYTHING = ["-top", "-lines", "-nodefraction=0", "-edgefraction=0", "-nodecount=10000", "-unit=B"]
QUICK_S = 2  # for an answer, whatever other clients do; it takes milliseconds


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """pyleak serve on a port of its own."""

    def __init__(self, *options, host="127.0.0.1", interval=0.5):
        self.port = free_port()
        self.address = "%s:%d" % (host, self.port)
        self.tracer = pyleak.Tracer(
            "serve", "--exact", "-i", interval, "--listen", self.address, *options, json_output=False,
        )
        self.pid = self.tracer.pid

    def get(self, path, timeout=pyleak.PATIENCE, **headers):
        request = urllib.request.Request("http://%s%s" % (self.address, path), headers=headers)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.read()

    def status(self, path, **headers):
        try:
            self.get(path, **headers)
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    def is_healthy(self):
        assert self.tracer.process.poll() is None
        try:
            return self.get("/healthz") == b"ok\n"
        except OSError:  # 503 before the first report; refused before it listens
            return False

    def report(self, pid):
        [report] = json.loads(self.get("/api/report?pid=%d" % pid))["reports"]
        return pyleak.Report(report)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=pyleak.PATIENCE)

    def files(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def stop(self, how=signal.SIGINT):
        self.tracer.process.send_signal(how)
        return self.tracer.process.wait(pyleak.PATIENCE)


@contextlib.contextmanager
def serving(*options, **how):
    server = Server(*options, **how)
    with server.tracer:
        pyleak.wait_until(server.is_healthy)
        yield server


@pytest.fixture(scope="module")
def leaked():
    """A server, its target, and that target's leak in what is served."""
    with pyleak.Target("leaks.py") as target, serving("-p", target.pid, "-t", "500") as server:
        target.ask("leak")
        line = target.line("bytes")
        pyleak.wait_until(
            lambda: server.report(target.pid).by_line(target.script).get(line) == [2000, 2000 * 80]
        )
        yield server, target


def metrics(text):
    """{(name, ((label, value), ...)): value}, read by Prometheus's own rules as far as these names need them."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        pairs = [pair.split("=", 1) for pair in labels.rstrip("}").split('",') if pair]
        found[name, tuple((label, text.strip('"')) for label, text in pairs)] = float(value)
    return found


def test_promtool_finds_nothing_to_complain_about(leaked):
    server, _ = leaked
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=server.get("/metrics"), capture_output=True, timeout=pyleak.PATIENCE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("name", COUNTED)
def test_metrics_hold_what_was_leaked(leaked, name):
    server, target = leaked
    here = ("file", target.script), ("line", str(target.line(name)))
    found = {
        kind: sum(value for (series, labels), value in metrics(server.get("/metrics").decode()).items()
                  if series == "pyleak_site_outstanding_" + kind and set(here) <= set(labels))
        for kind in ("bytes", "blocks")
    }
    assert found == {"bytes": COUNTED[name], "blocks": 2000}


def test_go_tool_pprof_fetches_the_profile(leaked):
    """The way `go tool pprof http://...` of any Go service works."""
    server, target = leaked
    text = go_pprof("http://%s/debug/pprof/heap?pid=%d" % (server.address, target.pid), *EVERYTHING)
    place = "leak_bytes %s:%d" % (target.script, target.line("bytes"))
    assert flat_by_line(text)[place] == "%dB" % COUNTED["bytes"]


def test_the_json_report_is_the_one_of_the_schema(leaked):
    import jsonschema

    server, target = leaked
    schema = json.loads((pyleak.TOP / "docs" / "report.schema.json").read_text())
    latest = json.loads(server.get("/api/report"))
    jsonschema.validators.validator_for(schema)(schema).validate(latest)
    assert [each["pid"] for each in latest["reports"]] == [target.pid]
    assert latest["header"]["targets"][0]["cmdline"] == [target.python.path, target.script]


def prometheus_query(port, query):
    url = "http://127.0.0.1:%d/api/v1/query?query=%s" % (port, urllib.parse.quote(query))
    try:
        with urllib.request.urlopen(url, timeout=pyleak.PATIENCE) as answer:
            return json.load(answer)["data"]["result"]
    except OSError:  # not up yet
        return []


DASHBOARD = pyleak.TOP / "docs" / "grafana-dashboard.json"
# Grafana puts values in the place of these.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1m", "$instance": ".*", "$program": ".*"}


def dashboard_queries():
    """The queries of the dashboard's panels, as Grafana would ask them with everything selected."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    for expression in [target["expr"] for panel in panels for target in panel["targets"]]:
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        assert "$" not in expression
        yield expression


def prometheus_understands(port, query):
    url = "http://127.0.0.1:%d/api/v1/query?query=%s" % (port, urllib.parse.quote(query))
    with urllib.request.urlopen(url, timeout=pyleak.PATIENCE) as answer:
        return json.load(answer)["status"] == "success"


def test_the_dashboard_asks_for_nothing_that_is_not_served(leaked):
    server, _ = leaked
    served = {name for name, _ in metrics(server.get("/metrics").decode())}
    asked = {name for query in dashboard_queries() for name in re.findall(r"pyleak_\w+", query)}
    assert asked and asked <= served


def test_a_real_prometheus_scrapes_it(leaked):
    server, target = leaked
    folder = pyleak.scratch() / "prometheus"
    folder.mkdir()
    (folder / "prometheus.yml").write_text(json.dumps({  # JSON is YAML
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "pyleak", "static_configs": [{"targets": [server.address]}]}],
    }))
    port = free_port()
    with open(folder / "log", "wb") as log:
        prometheus = subprocess.Popen(
            ["prometheus", "--config.file", "prometheus.yml", "--storage.tsdb.path", "data",
             "--web.listen-address", "127.0.0.1:%d" % port],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
    try:
        bytes_there = 'pyleak_site_outstanding_bytes{file="%s",line="%d"}' % (target.script, target.line("bytes"))
        [found] = pyleak.wait_until(lambda: prometheus_query(port, bytes_there))
        assert float(found["value"][1]) == COUNTED["bytes"]
        assert found["metric"]["pid"] == str(target.pid)
        enough = "count_over_time(up[1m]) >= 4"
        assert pyleak.wait_until(lambda: prometheus_query(port, enough))
        for query in dashboard_queries():
            assert prometheus_understands(port, query), query
        [always_up] = prometheus_query(port, "min_over_time(up[1m])")
        assert always_up["value"][1] == "1"
    finally:
        prometheus.terminate()
        prometheus.wait(pyleak.PATIENCE)


def test_what_there_is_not_is_said(leaked):
    server, _ = leaked
    assert server.status("/no/such/page") == 404
    assert server.status("/debug/pprof/heap?pid=1") == 404
    assert server.status("/debug/pprof/heap?pid=many") == 400
    assert server.status("/api/report?pid=-1") == 400


def test_a_page_from_elsewhere_cannot_read_it_through_a_browser(leaked):
    """DNS rebinding: the browser asks loopback, but under the name of the attacker's site."""
    server, _ = leaked
    assert server.status("/api/report", Host="evil.example") == 403
    assert server.status("/api/report", Host="localhost:%d" % server.port) == 200


def test_only_its_own_address_answers(leaked):
    """By the kernel's table: what is listened on is what was asked for, and nothing else."""
    server, _ = leaked
    shown = subprocess.run(["ss", "-Hltn", "sport = :%d" % server.port], capture_output=True, text=True, check=True)
    assert [line.split()[3] for line in shown.stdout.splitlines()] == [server.address]


MALFORMED = {
    "nothing": b"",
    "noise": bytes(range(256)) * 40,
    "no version": b"GET /metrics\r\n\r\n",
    "a long line": b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
    "many headers": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 20000 + b"\r\n",
    "a huge body": b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100000,
    "a body that lies": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    "chunks": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nx",
    "zero bytes": b"GET /metrics\0 HTTP/1.1\r\nHost: \0\r\n\r\n",
    "an upgrade": b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "escapes": b"GET /debug/pprof/heap?pid=%00%ff%zz&pid=%n HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_do_no_harm(leaked, name):
    server, target = leaked
    seq = server.report(target.pid)["seq"]
    for _ in range(5):
        with server.connect() as client, contextlib.suppress(OSError):  # it may be gone before all is sent
            client.sendall(MALFORMED[name])
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
    assert server.get("/healthz", timeout=QUICK_S) == b"ok\n"
    pyleak.wait_until(lambda: server.report(target.pid)["seq"] > seq)


def test_a_crowd_of_slow_clients_keeps_nobody_out(leaked):
    """200 connections that send one byte now and then: others are answered at once, and files stay few."""
    server, target = leaked
    before, seq = server.files(), server.report(target.pid)["seq"]
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(server.connect()) for _ in range(200)]
        for _ in range(3):
            for client in crowd:
                with contextlib.suppress(ConnectionError):
                    client.send(b"G")
            began = time.monotonic()
            assert server.get("/metrics", timeout=QUICK_S)
            assert time.monotonic() - began < QUICK_S
            assert server.files() - before <= 64
        pyleak.wait_until(lambda: server.report(target.pid)["seq"] > seq)
    pyleak.wait_until(lambda: server.files() <= before)


def test_a_request_that_never_ends_is_dropped(leaked):
    """Never silent for long, so that no idle timeout would catch it: 20 s after accept the connection is closed."""
    server, _ = leaked
    before = server.files()

    def only_the_old_ones_are_left():
        for client in crowd:
            with contextlib.suppress(ConnectionError):
                client.send(b"X")
        return server.files() <= before

    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(server.connect()) for _ in range(10)]
        for client in crowd:
            client.sendall(b"GET /metrics HTTP/1.1\r\n")
        pyleak.wait_until(lambda: server.files() >= before + 10)
        pyleak.wait_until(only_the_old_ones_are_left, timeout=30, pause=0.5)


def test_many_clients_at_once_are_all_answered(leaked):
    server, _ = leaked
    wrong = []

    def ask():
        for path in ("/metrics", "/api/report", "/debug/pprof/heap", "/healthz") * 5:
            try:
                if not server.get(path, timeout=pyleak.PATIENCE):
                    wrong.append(path)
            except OSError as error:
                wrong.append("%s: %s" % (path, error))

    clients = [threading.Thread(target=ask) for _ in range(16)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(pyleak.PATIENCE)
    assert not wrong


def test_merged_workers_are_served_under_one_pid_also_when_their_parent_has_gone():
    with pyleak.Target("prefork.py") as target:
        workers = sorted(target.ask("fork") for _ in range(2))
        try:
            with serving("-p", target.pid, "--merge-children") as server:

                def served():
                    reports = json.loads(server.get("/api/report"))["reports"]
                    return [(report["pid"], report.get("pids")) for report in reports]

                pyleak.wait_until(lambda: served() == [(target.pid, sorted([target.pid, *workers]))])
                assert server.status("/api/report?pid=%d" % workers[0]) == 404
                target.process.kill()
                target.process.wait()
                pyleak.wait_until(lambda: served() == [(workers[0], workers)])
                assert server.status("/api/report?pid=%d" % target.pid) == 404
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGKILL)


def test_a_target_that_exits_ends_it_as_a_trace_ends():
    with pyleak.Target("leaks.py") as target, serving("-p", target.pid) as server:
        target.process.kill()
        target.process.wait()
        assert server.tracer.process.wait(pyleak.PATIENCE) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_with_clients_connected(how):
    with pyleak.Target("leaks.py") as target, serving("-p", target.pid) as server:
        with server.connect() as idle, server.connect() as half:
            half.sendall(b"GET /metr")
            began = time.monotonic()
            assert server.stop(how) == 0
            assert time.monotonic() - began < 10
            assert idle.fileno() >= 0
        assert not pyleak.breakpoints(target.pid)


def test_an_address_that_is_taken_is_an_error_of_one_line():
    with pyleak.Target("leaks.py") as target, socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        done = pyleak.run("serve", "-q", "-p", target.pid, "--listen", address)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.count("\n") == 1 and "--listen" in done.stderr and "in use" in done.stderr
        assert not pyleak.breakpoints(target.pid)


def test_another_address_than_loopback_is_warned_of():
    with pyleak.Target("leaks.py") as target:
        with serving("-p", target.pid, host="0.0.0.0") as server:
            server.stop()
        text = "".join(iter(lambda: server.tracer.errors.get(pyleak.PATIENCE)[1] or "", ""))
    assert "whoever can reach 0.0.0.0:%d" % server.port in text


def test_reports_go_to_a_file_as_well():
    path = pathlib.Path(pyleak.scratch()) / "served.ndjson"
    with pyleak.Target("leaks.py") as target, serving("-p", target.pid, "-j", "-o", path) as server:
        assert server.stop() == 0
    types = [json.loads(line)["type"] for line in path.read_text().splitlines()]
    assert types[0] == "header" and types[-1] == "end" and "report" in types
