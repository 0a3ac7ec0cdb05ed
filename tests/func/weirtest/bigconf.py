# SPDX-License-Identifier: Apache-2.0
"""A configuration as large sites have: server blocks with names, locations, headers, and a few groups of peers.

As a program: python3 -m weirtest.bigconf SERVERS > FILE"""
import sys

GROUPS = 20

SITE = """
server {{
    listen 127.0.0.1:{port};
    server_name site{i}.example.com www.site{i}.example.com *.cdn.site{i}.example.net;
    root /srv/www/site{i};
    location / {{
        proxy_pass http://pool{group};
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
    location /static/ {{
        index index.html index.htm;
    }}
    location = /health {{ return 200 "site{i} {mark}"; }}
    location ~ \\.php$ {{ proxy_pass http://pool{group}; proxy_read_timeout 30s; }}
    # site {i}: what people write beside it
}}
"""


def sites(servers, port, mark="one"):
    """The inside of http{}: about 550 bytes a server."""
    groups = [f"upstream pool{g} {{ server 127.0.0.1:{19000 + g}; server 127.0.0.1:{19100 + g}; keepalive 16; }}\n"
              for g in range(GROUPS)]
    return "".join(groups + [SITE.format(i=i, group=i % GROUPS, port=port, mark=mark) for i in range(servers)])


if __name__ == "__main__":
    print("events {}\nhttp {\naccess_log off;\n" + sites(int(sys.argv[1]), 8080) + "}")
