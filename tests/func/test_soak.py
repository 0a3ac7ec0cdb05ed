# SPDX-License-Identifier: Apache-2.0
"""What must stay level: memory during very large bodies, memory and descriptors over 20,000 mixed requests.

WEIR_TEST_SOAK_MB (256) is the size of a large body, WEIR_TEST_SOAK_REQUESTS (20000) the number of mixed requests."""
import os
import threading
import time
import warnings

import pytest

from weirtest.client import Client, build_request
from weirtest.load import (GOOD, MIX, MIXED_HTTP, MIXED_SERVER, MemoryWatch, PeerProcess, body_of, descriptors,
                           digest_of, is_sanitized, processes_of, read_digest, resident, run_users, send_large, settle)
from weirtest.server import reserve_port
from weirtest.timing import SLOW, wait_for

MB = 1 << 20
SIZE = int(os.environ.get("WEIR_TEST_SOAK_MB", "256")) * MB
REQUESTS = int(os.environ.get("WEIR_TEST_SOAK_REQUESTS", "20000"))
WARM = 8 * MB
GROWTH = 16 * MB
TRANSFER = 50.0 * SLOW                   # the whole of one large transfer


def assert_level(server, before, after, what):
    """Less than 16 MB more. A sanitizer keeps what was freed, so its memory says nothing."""
    text = f"{what}: {before / MB:.1f} MB -> {after / MB:.1f} MB"
    print(text)
    if is_sanitized(server):
        warnings.warn(f"not checked, a sanitizer is in the program: {text}", stacklevel=2)
        return
    assert after - before < GROWTH, f"resident memory grew by {(after - before) / MB:.1f} MB; {text}"


def assert_no_temporary_files(server):
    def left():
        return [name for kind in ("body", "proxy") for _, _, names in os.walk(server.path(kind)) for name in names]
    wait_for(lambda: not left(), "temporary files to be removed")


def begin_upload(server, framing, size):
    client = server.client()
    headers = {"Transfer-Encoding": "chunked"} if framing == "chunked" else {"Content-Length": str(size)}
    client.send(build_request("PUT", "/x/digest", headers))
    client.sock.settimeout(TRANSFER)
    return client


def upload(server, framing, size, want):
    client = begin_upload(server, framing, size)
    send_large(client.sock, size, framing == "chunked")
    resp = client.read_response()
    assert (resp.status, resp.text) == (200, f"{size}:{want}")
    client.expect_open()
    client.close()


def begin_download(server, framing, size, rcvbuf=None):
    client = server.client(rcvbuf=rcvbuf)
    client.send(build_request("GET", f"/x/large/{size}/{framing}"))
    resp = client.read_response_head()
    assert resp.status == 200
    assert resp.headers.get("Content-Length") == (str(size) if framing == "length" else None)
    return client, resp


def end_download(client, resp, size, want):
    assert read_digest(client, resp) == (size, want)
    client.expect_open()
    client.close()


def serve(weir, up, more):
    server = weir("client_max_body_size 0; location / { proxy_http_version 1.1; proxy_set_header Connection '';" +
                  more + " proxy_pass http://pool; }", http="upstream pool { server {up}; keepalive 4; }", up=up)
    return server, processes_of(server)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("buffering", ["on", "off"])
def test_memory_of_a_large_upload(weir, buffering, framing):
    want, warm = digest_of(SIZE), digest_of(WARM)
    with PeerProcess("mixed") as up:
        server, pids = serve(weir, up, f"proxy_request_buffering {buffering};")
        upload(server, framing, WARM, warm)
        with MemoryWatch(pids) as watch:
            upload(server, framing, SIZE, want)
        assert_level(server, watch.start, watch.peak, f"an upload of {SIZE // MB} MB, {watch.samples} samples")
        assert processes_of(server) == pids
        assert_no_temporary_files(server)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("reader", ["eager", "late"])
def test_memory_of_a_large_download(weir, reader, buffering, framing):
    """An eager client keeps up more or less: where bodies go through a temporary file it is emptied and filled many
    times, and what the kernel still has to send must not change. A late one reads nothing at first: with buffering
    the peer must get rid of everything all the same; without, it must be held back while memory stays level."""
    want, warm = digest_of(SIZE), digest_of(WARM)
    with PeerProcess("mixed") as up:
        server, pids = serve(weir, up, f"proxy_buffering {buffering};")
        client, resp = begin_download(server, framing, WARM)
        end_download(client, resp, WARM, warm)
        up.wait_sent(1, TRANSFER)
        with MemoryWatch(pids) as watch:
            client, resp = begin_download(server, framing, SIZE, rcvbuf=65536 if reader == "late" else None)
            if reader == "late" and buffering == "on":
                up.wait_sent(2, TRANSFER)
            elif reader == "late":
                time.sleep(0.5)          # the subject is what a server does with a client that does nothing
                assert SIZE < 64 * MB or len(up.lines) == 1, f"nothing held the peer back from {SIZE // MB} MB"
            end_download(client, resp, SIZE, want)
        assert_level(server, watch.start, watch.peak, f"a download of {SIZE // MB} MB, {watch.samples} samples")
        assert processes_of(server) == pids
        assert_no_temporary_files(server)


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_memory_of_large_bodies_at_once(weir, buffering):
    """Four each way at the same time, together as much as the others."""
    size = SIZE // 8
    want, warm = digest_of(size), digest_of(WARM)
    problems = []

    def run(server, way, size, want):
        try:
            if way % 2:
                upload(server, ("length", "chunked")[way // 2 % 2], size, want)
            else:
                client, resp = begin_download(server, ("length", "chunked")[way // 2 % 2], size)
                end_download(client, resp, size, want)
        except Exception as error:  # a thread's failure must reach the test
            problems.append(f"{way}: {error!r}")

    def run_all(server, size, want):
        threads = [threading.Thread(target=run, args=(server, way, size, want), daemon=True) for way in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TRANSFER)
        assert not problems and not any(thread.is_alive() for thread in threads), problems
    with PeerProcess("mixed") as up:
        server, pids = serve(weir, up, f"proxy_request_buffering {buffering}; proxy_buffering {buffering};")
        run_all(server, WARM, warm)
        with MemoryWatch(pids) as watch:
            run_all(server, size, want)
        assert_level(server, watch.start, watch.peak, f"8 bodies of {size // MB} MB, {watch.samples} samples")


def test_mixed_requests(weir):
    """Good, broken and cancelled requests, and peers that fail: every good one is answered right, descriptors and
    memory end where they started. The first tenth is the warm-up; the peak is printed for information."""
    assert GOOD < set(MIX)
    holder, dead = reserve_port()        # bound and not listening: refuses
    users = 12
    with holder, PeerProcess("mixed") as up:
        server = weir(MIXED_SERVER, http=MIXED_HTTP, connections=1024, up=up, dead=f"127.0.0.1:{dead}",
                      files={f"s/{size}.bin": body_of(0, size) for size in (10, 5000, 300000)})
        pids = processes_of(server)
        fresh = settle(lambda: descriptors(pids))
        address = ("127.0.0.1", server.port)
        warm = max(200, REQUESTS // 10 // 200 * 200)
        run_users(address, warm, users, 1)
        # Kernel pipes of big bodies are kept for some seconds.
        wait_for(lambda: descriptors(pids)["pipe"] == fresh["pipe"], "the end of the kernel pipes")
        fds_before = settle(lambda: descriptors(pids), 0.5)
        memory_before = resident(pids)
        start = time.monotonic()
        with MemoryWatch(pids) as watch:
            right, problems = run_users(address, REQUESTS - warm, users, 2)
        took = time.monotonic() - start
        assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])
        wanted = {kind: share * (REQUESTS - warm) // 200 for kind, share in MIX.items()}
        assert right == wanted
        try:
            wait_for(lambda: descriptors(pids) == fds_before, "descriptors to come back")
        except AssertionError:
            now = descriptors(pids)
            raise AssertionError(f"descriptors: {dict(fds_before)} before, {dict(now)} after") from None
        sockets = descriptors(pids)["socket"]
        assert sockets == fresh["socket"], f"{sockets} sockets, {fresh['socket']} before any request"
        assert_no_temporary_files(server)
        assert_level(server, memory_before, resident(pids),
                     f"{REQUESTS - warm} mixed requests in {took:.1f} s, peak {watch.peak / MB:.1f} MB")
        assert processes_of(server) == pids, "a process of the server was replaced"
        assert server.get("/alive").text == "alive"
        with Client(address) as client:
            assert client.get("/k/b/0/10").body == body_of(0, 10)
