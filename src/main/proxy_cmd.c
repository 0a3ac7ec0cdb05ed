/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_cmd.c: makes a configuration of the flags and runs it as any other, without a pid file,
 * with logs on the terminal. Temporary files have no names: they are in $TMPDIR or /tmp, or, where
 * not everybody may make files there, in a private folder that goes away at the end.
 *
 * Texts from the command line end up between quotes in the configuration: those that could end a
 * word are refused, so no flag can smuggle in a directive.
 */
#include "main/proxy_cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/str.h"
#include "main/say.h"
#include "main/supervisor.h"
#include "main/tmpdir.h"

#define CONF_MAX    ((size_t)256 << 10)
#define DFLT_LISTEN "127.0.0.1:8080"

/* Letters that mean nothing to the configuration's grammar. */
static bool is_plain(struct wr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c <= 0x20 || c >= 0x7f || memchr("\"'\\;{}$#", c, 8) != NULL) {
            return false;
        }
    }
    return s.len > 0;
}

struct target {
    struct wr_str authority; /* host[:port], [v6]:port */
    struct wr_str path;      /* "" or "/..." */
};

static enum wr_status parse_target(const char *url, struct target *ret, struct wr_strbuf *err)
{
    const struct wr_str http = WR_STR("http://");
    struct wr_str s = wr_str_z(url), rest;
    struct wr_hostport hp;
    const char *why = "";
    size_t slash;

    if (wr_str_has_iprefix(s, WR_STR("https://"))) {
        wr_strbuf_printf(err, "--to %s: TLS to servers is not there yet, use http://", url);
        return WR_ECONFIG;
    }
    if (!wr_str_has_iprefix(s, http) || !is_plain(s)) {
        wr_strbuf_printf(err, "--to %s: it must be http://HOST[:PORT][/PATH]", url);
        return WR_ECONFIG;
    }
    rest = wr_str_sub(s, http.len, s.len);
    slash = wr_str_find(rest, '/');
    ret->authority = wr_str_sub(rest, 0, slash);
    ret->path = wr_str_sub(rest, slash, rest.len);
    if (wr_str_find(rest, '?') < rest.len ||
        wr_hostport_parse(ret->authority, &hp, &why) != WR_OK || hp.is_unix) {
        wr_strbuf_printf(err, "--to %s: %s", url,
                         why[0] != '\0' ? why : "it must be http://HOST[:PORT][/PATH]");
        return WR_ECONFIG;
    }
    return WR_OK;
}

static void write_servers(struct wr_strbuf *b, const struct target *t, unsigned cnt)
{
    wr_strbuf_add_z(b, "    upstream weir_targets {\n");
    for (unsigned i = 0; i < cnt; i++) {
        wr_strbuf_printf(b, "        server %.*s;\n", WR_STR_ARG(t[i].authority));
    }
    wr_strbuf_add_z(b, "        keepalive 32;\n    }\n");
}

static void write_head(struct wr_strbuf *b, const char *tmp)
{
    wr_strbuf_printf(
        b,
        "daemon off;\n"
        "worker_processes 1;\n"
        "error_log stderr warn;\n"
        "events {\n    worker_connections 4096;\n}\n"
        "http {\n"
        "    log_format weir_terminal '$time_iso8601 $remote_addr \"$request\" $status $body_bytes_sent '\n"
        "                             '${request_time}s $upstream_addr';\n"
        "    access_log /dev/stdout weir_terminal;\n"
        "    client_body_temp_path \"%s\";\n"
        "    proxy_temp_path \"%s\";\n"
        "    client_max_body_size 0;\n"
        "    keepalive_timeout 75s;\n",
        tmp, tmp);
}

static void write_location(struct wr_strbuf *b, struct wr_str path)
{
    wr_strbuf_printf(b,
                     "        location / {\n"
                     "            proxy_pass http://weir_targets%.*s;\n"
                     "            proxy_http_version 1.1;\n"
                     "            proxy_set_header Host $weir_host;\n"
                     "            proxy_set_header Upgrade $http_upgrade;\n"
                     "            proxy_set_header Connection $weir_connection_upgrade;\n"
                     "            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
                     "            proxy_set_header X-Forwarded-Proto $scheme;\n"
                     "            proxy_set_header X-Forwarded-Host $weir_host;\n"
                     "            proxy_buffering off;\n"
                     "            proxy_connect_timeout 10s;\n"
                     "            proxy_read_timeout 1h;\n"
                     "            proxy_send_timeout 1h;\n"
                     "        }\n",
                     WR_STR_ARG(path));
}

enum wr_status wr_proxy_write_conf(const struct wr_cmdline *c, const char *tmp, struct wr_strbuf *b,
                                   struct wr_strbuf *err)
{
    const char *addr = c->listen != NULL ? c->listen : DFLT_LISTEN;
    struct target t[WR_CMDLINE_TARGETS_MAX];

    WR_ASSERT(c->target_cnt > 0);
    for (unsigned i = 0; i < c->target_cnt; i++) {
        if (parse_target(c->targets[i], &t[i], err) != WR_OK) {
            return WR_ECONFIG;
        }
        if (!wr_str_eq(t[i].path, t[0].path)) {
            wr_strbuf_printf(err, "--to %s: all servers must have the same path", c->targets[i]);
            return WR_ECONFIG;
        }
    }
    if (addr[0] == ':') {
        addr++; /* ":8080" is "8080": all addresses */
    }
    if (!is_plain(wr_str_z(tmp))) {
        wr_strbuf_printf(err, "the name of the folder for temporary files cannot be used: %s", tmp);
        return WR_ECONFIG;
    }
    if (!is_plain(wr_str_z(addr))) {
        wr_strbuf_printf(err, "--listen %s: it must be ADDRESS:PORT, PORT or unix:PATH", addr);
        return WR_ECONFIG;
    }
    write_head(b, tmp);
    write_servers(b, t, c->target_cnt);
    wr_strbuf_printf(b, "    server {\n        listen %s;\n", addr);
    write_location(b, t[0].path);
    wr_strbuf_add_z(b, "    }\n}\n");
    return b->status;
}

static void say_ready(void *data)
{
    const struct wr_cmdline *c = data;

    (void)fprintf(stderr, "weir: %s -> %s%s; Ctrl-C ends\n",
                  c->listen != NULL ? c->listen : "http://" DFLT_LISTEN, c->targets[0],
                  c->target_cnt > 1 ? " and others" : "");
}

int wr_proxy_run(const struct wr_cmdline *c, const struct wr_start *base)
{
    struct wr_cmdline copy = *c;
    struct wr_start s = *base;
    struct wr_tmpdir tmp;
    struct wr_strbuf b, err;
    int code = 1;

    tmp.path[0] = '\0';
    if (!wr_tmpdir_is_shared(wr_tmpdir_base()) && wr_tmpdir_make(&tmp, "weir-proxy") != WR_OK) {
        wr_say(WR_LOG_EMERG, errno, "mkdtemp() \"%s\" failed", tmp.path);
        return 1;
    }
    wr_strbuf_init(&b, CONF_MAX);
    wr_strbuf_init(&err, CONF_MAX);
    if (wr_proxy_write_conf(c, tmp.path[0] != '\0' ? tmp.path : wr_tmpdir_base(), &b, &err) ==
        WR_OK) {
        s.conf = WR_STR("/weir-proxy");
        s.overlay = wr_strbuf_str(&b);
        s.error_log = WR_STR("");
        s.has_no_pidfile = s.is_foreground = true;
        s.on_ready = say_ready;
        s.data = &copy;
        code = wr_supervisor_run(&s);
    } else {
        (void)fprintf(stderr, "weir: %s\n", wr_strbuf_cstr(&err));
    }
    wr_strbuf_fini(&b);
    wr_strbuf_fini(&err);
    wr_tmpdir_remove(&tmp);
    return code;
}
