# SPDX-License-Identifier: Apache-2.0
"""A page of `weir demo` in headless Chromium: fetches, an upload, a large download, an event stream and a WebSocket from
inside the page, while the configuration is reloaded. Chromium is driven over a pipe (--remote-debugging-pipe)."""
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Runs in the page; its value is what run() returns.
SCRIPT = """
(async () => {
    const result = {title: document.body.innerText.length > 0};
    const fetches = [];
    for (let i = 0; i < 60; i++) {
        fetches.push(fetch('/?n=' + i, {cache: 'no-store'}).then(r => r.ok && r.text()).then(t => t.includes('/?n=' + i)));
    }
    const download = async () => {
        const reader = (await fetch('/download?size=%(size)s', {cache: 'no-store'})).body.getReader();
        let total = 0;
        for (;;) {
            const {done, value} = await reader.read();
            if (done) { return total; }
            total += value.length;
        }
    };
    const upload = async () => (await fetch('/', {method: 'POST', body: new Uint8Array(900000)})).text();
    const events = () => new Promise((resolve, reject) => {
        const seen = [], source = new EventSource('/events?n=%(events)d');
        source.onmessage = e => {
            seen.push(e.data);
            if (seen.length === %(events)d) { source.close(); resolve(seen); }
        };
        source.onerror = () => { source.close(); reject(new Error('the event stream broke after ' + seen.length)); };
    });
    const socket = () => new Promise((resolve, reject) => {
        const s = new WebSocket('ws://' + location.host + '/ws');
        let heard = 0;
        const word = n => 'message ' + n + ' ' + 'x'.repeat(n * 7 %% 100);
        s.onopen = () => s.send(word(0));
        s.onmessage = e => {
            if (e.data !== word(heard)) { reject(new Error('another echo: ' + e.data)); s.close(); return; }
            heard++;
            if (heard === %(words)d) { s.close(1000); } else { setTimeout(() => s.send(word(heard)), 20); }
        };
        s.onclose = e => heard === %(words)d && e.wasClean ? resolve(heard)
            : reject(new Error('the WebSocket closed after ' + heard + ' with ' + e.code));
    });
    [result.fetches, result.download, result.upload, result.events, result.socket] = await Promise.all(
        [Promise.all(fetches).then(all => all.filter(Boolean).length), download(), upload(), events(), socket()]);
    return JSON.stringify(result);
})()
"""


class Chromium:
    def __init__(self, path):
        self.folder = tempfile.mkdtemp(prefix="weir-chromium-")
        to_child, self.write_fd = os.pipe()
        self.read_fd, from_child = os.pipe()

        def give_pipes():
            # Above 3 and 4 first: either end may be one of these numbers already.
            high = [os.dup(fd) for fd in (to_child, from_child)]
            while min(high) < 5:
                high = [os.dup(fd) for fd in high]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)
        self.process = subprocess.Popen(
            [path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-extensions", "--remote-debugging-pipe", "--user-data-dir=" + self.folder, "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False,
            preexec_fn=give_pipes, start_new_session=True, env={**os.environ, "HOME": self.folder})
        os.close(to_child)
        os.close(from_child)
        self.buffer = b""
        self.number = 0

    def call(self, method, limit, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.write_fd, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + limit
        while True:
            while b"\0" not in self.buffer:
                ready, _, _ = select.select([self.read_fd], [], [], max(0, end - time.monotonic()))
                if not ready:
                    raise AssertionError(f"Chromium did not answer {method} within {limit} s")
                data = os.read(self.read_fd, 1 << 16)
                if not data:
                    raise AssertionError("Chromium ended")
                self.buffer += data
            text, self.buffer = self.buffer.split(b"\0", 1)
            answer = json.loads(text)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.read_fd)
        os.close(self.write_fd)
        shutil.rmtree(self.folder, ignore_errors=True)


def find():
    return next((path for path in map(shutil.which, NAMES) if path), None)


def run(weir, reloads=10, size_mb=100, events=8, words=100):
    """Returns a line for the report; AssertionError where the page saw something wrong. None: no Chromium."""
    path = find()
    if path is None:
        return None
    demo = subprocess.Popen([weir, "demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    browser = None
    try:
        intro = ""
        while "Ctrl-C" not in intro:
            line = demo.stdout.readline()
            assert line, "the demonstration ended: " + intro
            intro += line
        url = re.search(r"http://\S+", intro)[0]
        # Its log lines go on; somebody must read them.
        drain = subprocess.Popen(["cat"], stdin=demo.stdout, stdout=subprocess.DEVNULL)
        browser = Chromium(path)
        target = browser.call("Target.createTarget", 60, url=url)["targetId"]
        session = browser.call("Target.attachToTarget", 30, targetId=target, flatten=True)["sessionId"]
        wait_until_loaded(browser, session)
        value = evaluate(browser, session, demo, reloads,
                         SCRIPT % {"size": f"{size_mb}m", "events": events, "words": words})
    finally:
        if browser:
            browser.close()
        demo.send_signal(signal.SIGINT)
        demo.wait(30)
    drain.wait(10)
    assert demo.returncode == 0, f"the demonstration ended with {demo.returncode}"
    assert value["title"] and value["fetches"] == 60, value
    assert value["download"] == size_mb << 20, value
    assert "900000 bytes" in value["upload"], value
    assert len(value["events"]) == events and value["socket"] == words, value
    return (f"{os.path.basename(path)}: 60 fetches, {size_mb} MB down, 0.9 MB up, {events} events, {words} echoes, "
            f"{reloads} reloads")


def wait_until_loaded(browser, session):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        state = browser.call("Runtime.evaluate", 30, session, expression="location.href + ' ' + document.readyState")
        if re.match(r"http:\S+ complete", state["result"].get("value", "")):
            return
        time.sleep(0.05)
    raise AssertionError(f"the page was not loaded: {state}")


def evaluate(browser, session, demo, reloads, script):
    """The script's value, with reloads while it runs: it leaves its result in the page, which is asked for."""
    browser.call("Runtime.evaluate", 30, session,
                 expression="window.outcome = ''; " + script.strip() + ".then(t => { window.outcome = t; }, "
                 "e => { window.outcome = JSON.stringify({error: String(e)}); }); 0")
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if reloads > 0:
            demo.send_signal(signal.SIGHUP)
            reloads -= 1
        text = browser.call("Runtime.evaluate", 30, session, expression="window.outcome")["result"]["value"]
        if text:
            value = json.loads(text)
            assert "error" not in value, value["error"]
            return value
        time.sleep(0.3)
    raise AssertionError("the page did not end")
