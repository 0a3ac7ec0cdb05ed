#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes src/conf/tbl/known.h: directives of nginx, their modules, contexts, and what is lost without.

Usage: tools/known-directives.py directives.tsv > src/conf/tbl/known.h

The input is tab-separated with a head line; the columns module, directive and contexts are used.
An entry is SPEED when leaving the directive out changes how fast or how observable the server is,
but not what it answers or whom; everything else is MEANING.
"""
import csv
import re
import sys

CONTEXTS = {
    "main": "MAIN",
    "events": "EVENTS",
    "http": "HTTP",
    "server": "SERVER",
    "location": "LOCATION",
    "if": "IF_SERVER | WR_CTX_IF_LOCATION",
    "if in server": "IF_SERVER",
    "if in location": "IF_LOCATION",
    "limit_except": "LIMIT_EXCEPT",
    "upstream": "UPSTREAM",
    "stream": "STREAM",
    "mail": "MAIL",
    "mgmt": "MGMT",
    "acme_issuer": "ACME",
    "oidc_provider": "OIDC",
}
IN_STREAM = {"server": "STREAM_SERVER", "upstream": "STREAM_UPSTREAM"}
IN_MAIL = {"server": "MAIL_SERVER"}

SPEED = [
    r"http2", r"http2_.*", r"http3", r"http3_.*", r"quic_.*", r"spdy_.*",
    r".*_cache", r".*_cache_.*", r".*_no_cache", r"open_file_cache.*", r"slice",
    r"status_zone", r"gzip_static",
    r"gzip", r"gzip_.*", r"brotli.*", r"zstd.*",
    r"aio", r"aio_write", r"directio", r"directio_alignment", r"sendfile_max_chunk",
    r"output_buffers", r"postpone_output", r"read_ahead", r"thread_pool",
    r"accept_mutex", r"accept_mutex_delay", r"multi_accept", r"worker_aio_requests",
    r"worker_cpu_affinity", r"worker_priority", r"pcre_jit", r"lock_file", r"timer_resolution",
    r".*_hash_max_size", r".*_hash_bucket_size", r"connection_pool_size", r"request_pool_size",
    r"tcp_nopush", r"tcp_nodelay", r"ssl_buffer_size", r"debug_points", r"debug_connection",
    r"working_directory", r"worker_rlimit_core",
    # Settings of a protocol mean nothing without its *_pass, and that is MEANING.
    r"(?:fastcgi|uwsgi|scgi|grpc|memcached)_(?!pass\Z).*",
    r"ssl_certificate_compression", r"ssl_ech_file", r"(?:.*_)?ssl_key_log", r"ssl_object_cache_inheritable",
]
SPEED_RE = re.compile("(?:" + "|".join(SPEED) + r")\Z")


def context_bits(module, text):
    """The contexts of a row as or-ed WR_CTX_ names; 0 when none is told."""
    special = IN_STREAM if module.startswith("ngx_stream") else {}
    special = IN_MAIL if module.startswith("ngx_mail") else special
    names = []
    for word in (w.strip() for w in text.split(",")):
        name = special.get(word, CONTEXTS.get(word))
        if word and name is None:
            raise SystemExit("unknown context %r of %s" % (word, module))
        if name and name not in names:
            names.append(name)
    return " | ".join("WR_CTX_" + n for n in names) or "0"


def main(argv):
    if len(argv) != 2:
        raise SystemExit(__doc__)
    rows = {}
    with open(argv[1], newline="", encoding="utf-8") as f:
        for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE):
            name, module = row["directive"].strip(), row["module"].strip()
            if not re.fullmatch(r"[a-z0-9_]+", name) or not re.fullmatch(r"[a-z0-9_]+", module):
                print("skipped: %s %s" % (module, name), file=sys.stderr)
                continue
            bits = context_bits(module, row["contexts"] or "")
            if (name, module) in rows and rows[name, module] != bits:
                both = (rows[name, module] + " | " + bits).split(" | ")
                bits = " | ".join(dict.fromkeys(b for b in both if b != "0"))
            rows[name, module] = bits
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* known.h: made by tools/known-directives.py, do not edit.")
    print(" * X(directive, nginx module, contexts, SPEED or MEANING), sorted by name. */")
    print("/* clang-format off */")
    for (name, module), bits in sorted(rows.items()):
        effect = "SPEED" if SPEED_RE.match(name) else "MEANING"
        print('X("%s", "%s", %s, %s)' % (name, module, bits, effect))
    print("/* clang-format on */")


if __name__ == "__main__":
    main(sys.argv)
