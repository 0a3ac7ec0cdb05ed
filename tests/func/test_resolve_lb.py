# SPDX-License-Identifier: Apache-2.0
"""Groups whose peers come and go (U1.6) with each balancing method (U2)."""
import pytest

from test_resolve import GROUP, addrs, ns, start, texts  # noqa: F401 (fixtures)
from weirtest.timing import LIMIT, wait_for

pytestmark = pytest.mark.weir_only("nginx 1.22 has `resolve` in its commercial version only")


@pytest.mark.parametrize("method", [
    "least_conn;", "least_time header;", "ip_hash;", "hash $arg_k;", "hash $arg_k consistent;", "random;",
    "random two;", "random two least_time=last_byte;", "sticky cookie s;",
])
def test_methods(start, ns, method):  # noqa: F811
    server = start(method + " server app.test:{up_port} resolve;", ups="abc")
    assert server.get("/").status == 502
    for last, want in (((1,), "a"), ((1, 2, 3), "abc"), ((2,), "b")):
        ns.set("app.test", a=addrs(*last))

        def seen(want=want):
            client = server.client()
            got = {client.get(f"/?k={i}").text for i in range(40)}
            return got == set(want) if not method.startswith("ip_hash") else len(got) == 1 and got <= set(want)
        # One that was slow once (the machine was) is not asked for some time.
        wait_for(seen, f"{want}", limit=LIMIT * (6 if "least_time" in method else 1))
