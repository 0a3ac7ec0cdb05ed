# SPDX-License-Identifier: Apache-2.0
"""The traffic program of tests/soak/ and a configuration for it that has many versions.

The program is C, because 200 clients that check every byte must not take the machine from the server. `make func`
builds it and names it in WEIR_TRAFFIC; else it is compiled here, once a session. tests/soak/traffic.c tells its commands."""
import atexit
import glob
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time

from .server import ROOT
from .timing import LIMIT, SLOW

# What a server is like in version {n}. An odd one listens on {port2} too; each proxies to another group. Small buffers of
# the kernel keep slow downloads in the server.
HTTP = """
    upstream group{half} {{ server {{peer1}}{weight}; server {{peer2}}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{{port}} sndbuf=64k;
        {more}
        keepalive_requests 1000000000;
        client_max_body_size 0;
        location = /which {{ return 200 g{n}; }}
        location /s/ {{ root {{dir}}; }}
        location /ev/ {{ proxy_buffering off; proxy_pass http://group{half}; }}
        location = /ws {{
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_pass http://group{half};
        }}
        location /cut/ {{ proxy_pass http://{{peer2}}; }}
        location /version{n}/ {{ return 200 {n}; }}
        location / {{ {buffering} proxy_pass http://group{half}; }}
    }}
"""
EXTRA = """
    server {{ listen 127.0.0.1:{{port2}}; location / {{ proxy_pass http://group{half}; }} }}
"""


def compose_version(server, n, more="", http="", **other):
    """The whole configuration of version n, 1 and up. more: directives of the server; http: beside the server."""
    names = {"n": n, "more": more, "half": n % 4, "weight": " weight=2" if n % 3 == 0 else "",
             "buffering": "proxy_buffering off; proxy_request_buffering off;" if n % 2 else ""}
    http += HTTP.format(**names) + (EXTRA.format(**names) if n % 2 else "")
    return server.compose(http=http, connections=2048, **other)


def write_version(server, n, more=""):
    server.write_conf(compose_version(server, n, more))


def program():
    """The path of the traffic program."""
    path = os.environ.get("WEIR_TRAFFIC")
    if path:
        return path
    folder = tempfile.mkdtemp(prefix="wt-traffic-")
    atexit.register(shutil.rmtree, folder, True)
    path = os.path.join(folder, "traffic")
    sources = glob.glob(os.path.join(ROOT, "tests", "soak", "*.c"))
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-o", path, *sources], check=True)
    os.environ["WEIR_TRAFFIC"] = path
    return path


class Traffic:
    """with Traffic(keep=64, ...) as traffic: see tests/soak/traffic.c for the options."""

    def __init__(self, **options):
        options.setdefault("stuck", int(10000 * SLOW))
        self.argv = [program()] + [f"{name}={value}" for name, value in options.items()]
        self.faults = []
        self.said = queue.Queue()

    def __enter__(self):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True)
        threading.Thread(target=self._read, daemon=True).start()
        self.peers = [f"127.0.0.1:{port}" for port in self.wait("ready")["peers"]]
        return self

    def __exit__(self, kind, error, trace):
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        text = self.errors.read().decode("latin-1")
        self.errors.close()
        assert error is not None or not text, "the traffic program complains:\n" + text[-4000:]

    def _read(self):
        for line in self.process.stdout:
            said = json.loads(line)
            if said["what"] == "fault":
                self.faults.append(said)
            else:
                self.said.put(said)
        self.said.put({"what": "gone"})

    def tell(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()

    def wait(self, what, limit=LIMIT):
        """The next thing said, which must be `what`."""
        try:
            said = self.said.get(timeout=limit)
        except queue.Empty:
            raise AssertionError(f"the traffic program did not say {what!r} within {limit:.0f} s; {self.told()}") from None
        assert said["what"] == what, f"{said} instead of {what!r}; {self.told()}"
        return said

    def report(self):
        self.tell("report")
        return self.wait("report")

    def start(self, server):
        """Begin, and wait until all kinds of traffic flow."""
        self.tell("start", server.port, server.names.get("port2", 1))
        wanted = {name for name, kind in (("requests", "keep"), ("events", "events"), ("frames", "socket"))
                  if any(arg.startswith(kind + "=") for arg in self.argv)}
        end = time.monotonic() + LIMIT
        while True:
            report = self.report()
            if all(report[name] > 100 for name in wanted):
                return report
            assert time.monotonic() < end, f"the traffic does not flow: {report}; {self.told()}"
            time.sleep(0.02)

    def hold(self):
        self.tell("hold")
        self.wait("held", 3 * LIMIT)

    def stop(self):
        """All clients end what they do; returns the last report."""
        self.tell("stop")
        report = self.wait("end", 6 * LIMIT)
        return report

    def told(self):
        return f"{len(self.faults)} faults" + "".join("\n" + json.dumps(fault) for fault in self.faults[:20])

    def check(self, report):
        """No failed, raced or cut request, and nothing that was idle was closed."""
        bad = {name: report[name] for name in ("connect", "raced", "dropped", "cut", "status", "body", "protocol",
                                               "stuck", "early", "closes") if report[name]}
        assert not bad and report["faults"] == 0, f"{bad}; {self.told()}"
