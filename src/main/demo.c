/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo.c: starts the servers (demo_origin.c), writes a configuration into a private folder, runs
 * weir with it in the foreground, and prints five commands once it serves. At the end the servers
 * and the folder go away.
 */
#include "main/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/strbuf.h"
#include "main/demo_origin.h"
#include "main/say.h"
#include "main/supervisor.h"
#include "main/tmpdir.h"
#include "net/sock.h"

#define FIRST_PORT 8080
#define PORT_TRIES 100
#define CONF_MAX   16384

struct demo {
    struct wr_tmpdir tmp;
    struct wr_demo_origin origin;
    char conf[4200];
    char listen[WR_ADDR_TEXT_MAX]; /* "127.0.0.1:8080" */
};

/*
 * Sockets that share their port do not tell that another demo has it, too: it begins in the same
 * moment. The name lives as long as this process and those it starts.
 */
static bool claim_port(unsigned port)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "weir demo %u", port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd == -1) {
        return true; /* then it is tried without */
    }
    if (bind(fd, (const struct sockaddr *)(const void *)&un,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0) {
        return true; /* stays open until the end */
    }
    (void)close(fd);
    return false;
}

/* The address that was asked for, or 127.0.0.1 with the first free port from 8080 on. */
static enum wr_status choose_address(const struct wr_cmdline *c, struct demo *d)
{
    struct wr_listen_opts o = {.backlog = 511, .fastopen = -1, .keepalive = -1};
    const char *call = "";
    int err = 0;

    if (c->listen != NULL) {
        struct wr_str s = wr_str_z(c->listen);
        struct wr_hostport hp;
        const char *why = "";

        if (s.len >= sizeof(d->listen) || wr_hostport_parse(s, &hp, &why) != WR_OK ||
            !hp.has_port) {
            wr_say(WR_LOG_EMERG, 0, "--listen %s: it must be ADDRESS:PORT", c->listen);
            return WR_ECONFIG;
        }
        memcpy(d->listen, s.ptr, s.len + 1);
        return WR_OK;
    }
    for (unsigned port = FIRST_PORT; port < FIRST_PORT + PORT_TRIES; port++) {
        if (wr_addr_parse_ip(WR_STR("127.0.0.1"), (uint16_t)port, &o.addr) != WR_OK) {
            break;
        }
        if (wr_sock_probe(&o, &err, &call) == WR_OK && claim_port(port)) {
            d->listen[wr_addr_write(&o.addr, d->listen)] = '\0';
            return WR_OK;
        }
    }
    wr_say(WR_LOG_EMERG, err, "no free port on 127.0.0.1 from %d on, %s failed", FIRST_PORT, call);
    return WR_ESYS;
}

static void write_conf(const struct demo *d, struct wr_strbuf *b)
{
    const char *tmp = d->tmp.path;

    wr_strbuf_printf(
        b,
        "# Made by `weir demo`, goes away with it. Change it and try: weir -s reload -c %s\n"
        "worker_processes auto;\n"
        "pid %s/weir.pid;\n"
        "error_log stderr warn;\n"
        "events {\n    worker_connections 1024;\n}\n"
        "http {\n"
        "    log_format demo '$remote_addr \"$request\" $status $body_bytes_sent ${request_time}s '\n"
        "                    '-> $upstream_addr ($upstream_status)';\n"
        "    access_log /dev/stdout demo;\n"
        "    client_body_temp_path %s/client_body;\n"
        "    proxy_temp_path %s/proxy;\n"
        "    upstream peers {\n",
        d->conf, tmp, tmp, tmp);
    for (unsigned i = 0; i < WR_DEMO_PEERS; i++) {
        wr_strbuf_printf(b, "        server 127.0.0.1:%u max_fails=0;\n", d->origin.ports[i]);
    }
    wr_strbuf_printf(b,
                     "        keepalive 16;\n    }\n"
                     "    server {\n"
                     "        listen %s;\n"
                     "        proxy_http_version 1.1;\n"
                     "        proxy_set_header Host $weir_host;\n"
                     "        proxy_set_header Connection \"\";\n"
                     "        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
                     "        proxy_set_header X-Forwarded-Proto $scheme;\n"
                     "        location / {\n"
                     "            proxy_pass http://peers;\n"
                     "        }\n"
                     "        location /flaky {\n"
                     "            proxy_pass http://peers;\n"
                     "            proxy_next_upstream error timeout http_503;\n"
                     "        }\n"
                     "        location /events {\n"
                     "            proxy_pass http://peers;\n"
                     "            proxy_buffering off;\n"
                     "        }\n"
                     "        location /ws {\n"
                     "            proxy_pass http://peers;\n"
                     "            proxy_set_header Host $weir_host;\n"
                     "            proxy_set_header Upgrade $http_upgrade;\n"
                     "            proxy_set_header Connection $weir_connection_upgrade;\n"
                     "            proxy_read_timeout 1h;\n"
                     "        }\n"
                     "    }\n"
                     "}\n",
                     d->listen);
}

static enum wr_status save_conf(struct demo *d)
{
    struct wr_strbuf b;
    enum wr_status st;
    int fd;

    (void)snprintf(d->conf, sizeof(d->conf), "%s/weir.conf",
                   d->tmp.path); /* fits: path is 4096 at most */
    wr_strbuf_init(&b, CONF_MAX);
    write_conf(d, &b);
    st = b.status;
    fd = st == WR_OK ? open(d->conf, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1;
    if (fd == -1 || write(fd, b.ptr, b.len) != (ssize_t)b.len) {
        wr_say(WR_LOG_EMERG, errno, "open() \"%s\" failed", d->conf);
        st = WR_ESYS;
    }
    if (fd != -1) {
        (void)close(fd);
    }
    wr_strbuf_fini(&b);
    return st;
}

static void say_ready(void *data)
{
    const struct demo *d = data;

    (void)printf(
        "\nweir listens on http://%s/ in front of %d servers of its own.\n"
        "Its configuration: %s\n\nTry in another terminal (or a browser):\n\n"
        "  curl http://%s/\n"
        "  for i in 1 2 3 4 5 6; do curl -s http://%s/flaky; done\n"
        "  curl -o /dev/null -w '%%{size_download} bytes, %%{speed_download} per second\\n' "
        "'http://%s/download?size=100m'\n"
        "  curl -N 'http://%s/events?n=5'\n"
        "  curl -sN -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' "
        "-H 'Sec-WebSocket-Key: d2VpciBzYXlzIGhlbGxvLg==' 'http://%s/ws?n=3' | cat -v\n"
        "\nEach request is a line below. Ctrl-C ends all.\n\n",
        d->listen, WR_DEMO_PEERS, d->conf, d->listen, d->listen, d->listen, d->listen, d->listen);
    (void)fflush(stdout);
}

static int run(struct demo *d, const struct wr_cmdline *c, const struct wr_start *base)
{
    struct wr_start s = *base;

    if (choose_address(c, d) != WR_OK) {
        return 1;
    }
    if (wr_tmpdir_make(&d->tmp, "weir-demo") != WR_OK) {
        wr_say(WR_LOG_EMERG, errno, "mkdtemp() \"%s\" failed", d->tmp.path);
        return 1;
    }
    if (wr_demo_origin_start(&d->origin) != WR_OK) {
        wr_say(WR_LOG_EMERG, errno, "the demonstration servers could not start");
        return 1;
    }
    if (save_conf(d) != WR_OK) {
        return 1;
    }
    s.conf = wr_str_z(d->conf);
    s.error_log = WR_STR("");
    s.is_foreground = true;
    s.on_ready = say_ready;
    s.data = d;
    return wr_supervisor_run(&s);
}

int wr_demo_run(const struct wr_cmdline *c, const struct wr_start *base)
{
    struct demo d = {.origin = {.pid = 0}};
    int code = run(&d, c, base);

    wr_demo_origin_stop(&d.origin);
    wr_tmpdir_remove(&d.tmp);
    return code;
}
