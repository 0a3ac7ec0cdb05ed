/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vars_core.c: $host, $args, $http_*, $sent_http_* and the other variables of the core module, one
 * row and one short getter each. Where values come from: the request's head, its URI, its response
 * head, the client's connection, the clock. A getter gives WR_EOF where nginx's variable is "not
 * found" (the log shows "-") and an empty text where it is found but empty.
 *
 * The connection's codec may have left a request that is being logged: wr_req_conn(r) is NULL
 * then.
 */
#include "http/vars_core.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/chars.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/num.h"
#include "base/rng.h"
#include "conf/gen.h"
#include "http/core_conf.h"
#include "http/h1_conn.h"
#include "http/module.h"
#include "http/path.h"
#include "http/req_int.h"
#include "http/server.h"
#include "http/var.h"
#include "net/conn.h"
#include "net/sock.h"

#ifndef WR_VERSION
#    define WR_VERSION "0"
#endif

#define BODY_TEXT_MAX (1u << 20) /* of $request_body that is in several pieces */
#define USER_MAX      1024       /* bytes of decoded credentials */

#define GETTER(fn)                                                                                 \
    static enum wr_status fn(struct wr_req *r, const struct wr_var *v, struct wr_str rest,         \
                             struct wr_str *ret)

/* ---- makers of values ------------------------------------------------------------------------ */

static enum wr_status put_u64(struct wr_req *r, uint64_t n, struct wr_str *ret)
{
    char *p = wr_arena_bytes(r->arena, 20);

    if (!p) {
        return WR_ENOMEM;
    }
    *ret = wr_str(p, wr_num_write_u64(p, n));
    return WR_OK;
}

/* "12.345" */
static enum wr_status put_ms(struct wr_req *r, uint64_t ms, struct wr_str *ret)
{
    return wr_arena_printf(r->arena, ret, "%llu.%03u", (unsigned long long)(ms / 1000),
                           (unsigned)(ms % 1000));
}

/* Absent when it is empty. */
static enum wr_status put_or_absent(struct wr_str s, struct wr_str *ret)
{
    if (s.len == 0) {
        return WR_EOF;
    }
    *ret = s;
    return WR_OK;
}

/* ---- the request line and URI -----------------------------------------------------------------
 */

enum text_var {
    TEXT_ARGS,
    TEXT_IS_ARGS,
    TEXT_URI,
    TEXT_REQUEST_URI,
    TEXT_REQUEST,
    TEXT_METHOD,
    TEXT_PROTOCOL,
    TEXT_HOST,
    TEXT_SERVER_NAME,
    TEXT_SCHEME,
    TEXT_HTTPS,
    TEXT_VERSION,
    TEXT_IS_REQUEST_PORT,
    TEXT_COMPLETION,
    TEXT_BODY_FILE,
};

static struct wr_str protocol_of(const struct wr_msg *head)
{
    switch (head->version) {
    case 10:
        return WR_STR("HTTP/1.0");
    case 11:
        return WR_STR("HTTP/1.1");
    case 20:
        return WR_STR("HTTP/2.0");
    case 30:
        return WR_STR("HTTP/3.0");
    default:
        return WR_STR_NULL; /* HTTP/0.9 has no word for itself, a bad line none at all */
    }
}

static struct wr_str completion_of(const struct wr_req *r)
{
    return r->is_responded && r->stream->tx == WR_HALF_DONE ? WR_STR("OK") : WR_STR("");
}

GETTER(get_text)
{
    (void)rest;
    switch ((enum text_var)v->data) {
    case TEXT_ARGS:
        return put_or_absent(r->uri.args, ret);
    case TEXT_IS_ARGS:
        *ret = r->uri.args.len > 0 ? WR_STR("?") : WR_STR("");
        return WR_OK;
    case TEXT_URI:
        return put_or_absent(r->uri.path, ret);
    case TEXT_REQUEST_URI:
        return put_or_absent(r->client_uri.raw, ret);
    case TEXT_REQUEST:
        return put_or_absent(r->head->request_line, ret);
    case TEXT_METHOD:
        return put_or_absent(r->method_name, ret);
    case TEXT_PROTOCOL:
        return put_or_absent(protocol_of(r->head), ret);
    case TEXT_HOST:
        *ret = r->host.len > 0 ? r->host : r->server->name;
        return WR_OK;
    case TEXT_SERVER_NAME:
        *ret = r->server->name;
        return WR_OK;
    case TEXT_SCHEME:
        *ret = r->tls ? WR_STR("https") : WR_STR("http");
        return WR_OK;
    case TEXT_HTTPS:
        *ret = r->tls ? WR_STR("on") : WR_STR("");
        return WR_OK;
    case TEXT_VERSION:
        *ret = WR_STR(WR_VERSION);
        return WR_OK;
    case TEXT_IS_REQUEST_PORT:
        *ret = r->host_port != 0 ? WR_STR(":") : WR_STR("");
        return WR_OK;
    case TEXT_COMPLETION:
        *ret = completion_of(r);
        return WR_OK;
    case TEXT_BODY_FILE:
        return put_or_absent(wr_req_body_file(r), ret);
    }
    WR_UNREACHABLE();
}

GETTER(get_arg)
{
    (void)v;
    return wr_uri_arg(r->uri.args, rest, ret) ? WR_OK : WR_EOF;
}

GETTER(get_request_port)
{
    (void)v, (void)rest;
    if (r->host_port == 0) {
        *ret = WR_STR("");
        return WR_OK;
    }
    return put_u64(r, r->host_port, ret);
}

/* ---- request fields ---------------------------------------------------------------------------
 */

/* Does the field "X-Y" read as "x_y"? */
static bool reads_as(struct wr_str field, struct wr_str name)
{
    if (field.len != name.len) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = wr_char_lower[(unsigned char)field.ptr[i]];

        if ((c == '-' ? '_' : c) != (unsigned char)name.ptr[i]) {
            return false;
        }
    }
    return true;
}

/* Joined values of the fields that read so. WR_EOF: none. */
static enum wr_status join_fields(struct wr_req *r, const struct wr_hdrs *h, struct wr_str name,
                                  struct wr_str *ret)
{
    const struct wr_hdr *found = NULL;
    struct wr_str sep = wr_str_eq(name, WR_STR("cookie")) ? WR_STR("; ") : WR_STR(", ");

    for (uint32_t i = 0; i < h->cnt; i++) {
        const struct wr_hdr *f = &h->at[i];

        if (f->is_removed || !reads_as(f->name, name)) {
            continue;
        }
        if (!found) {
            found = f;
            *ret = f->value;
        } else if (wr_arena_printf(r->arena, ret, "%.*s%.*s%.*s", WR_STR_ARG(*ret), WR_STR_ARG(sep),
                                   WR_STR_ARG(f->value)) != WR_OK) {
            return WR_ENOMEM;
        }
    }
    return found ? WR_OK : WR_EOF;
}

enum wr_status wr_req_field(struct wr_req *r, struct wr_str name, struct wr_str *ret)
{
    return join_fields(r, &r->head->hdrs, name, ret);
}

GETTER(get_http)
{
    (void)v;
    return wr_req_field(r, rest, ret);
}

GETTER(get_content_length)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_CONTENT_LENGTH);

    (void)v, (void)rest;
    if (h) {
        *ret = h->value;
        return WR_OK;
    }
    if (r->head->framing == WR_FRAMING_CHUNKED && r->body_state == WR_BODY_WHOLE) {
        return put_u64(r, r->body_len, ret);
    }
    return WR_EOF;
}

GETTER(get_content_type)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_CONTENT_TYPE);

    (void)v, (void)rest;
    return put_or_absent(h ? h->value : WR_STR_NULL, ret);
}

/* nginx compares names of cookies without case and skips blanks around '=', and so do variables. */
static bool find_cookie(struct wr_str value, struct wr_str name, struct wr_str *ret)
{
    struct wr_str pair;

    while (wr_str_split(&value, ';', &pair)) {
        size_t eq = wr_str_find(pair, '=');

        if (eq < pair.len && wr_str_ieq(wr_str_trim(wr_str_sub(pair, 0, eq)), name)) {
            *ret = wr_str_trim(wr_str_sub(pair, eq + 1, SIZE_MAX));
            return true;
        }
    }
    return false;
}

GETTER(get_cookie)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_COOKIE);

    (void)v;
    for (; h; h = wr_hdrs_next(&r->head->hdrs, h)) {
        if (rest.len > 0 && find_cookie(h->value, rest, ret)) {
            return WR_OK;
        }
    }
    return WR_EOF;
}

enum wr_status wr_req_basic_auth(struct wr_req *r, struct wr_str *ret_user,
                                 struct wr_str *ret_password)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_AUTHORIZATION);
    struct wr_str text;
    struct wr_strbuf b;
    size_t colon;

    if (!h || !wr_str_has_iprefix(h->value, WR_STR("basic "))) {
        return WR_EOF;
    }
    text = wr_str_trim(wr_str_sub(h->value, 6, SIZE_MAX));
    wr_strbuf_init_arena(&b, r->arena, USER_MAX);
    if (wr_codec_base64_decode(&b, text) != WR_OK) {
        return b.status == WR_ENOMEM ? WR_ENOMEM : WR_EOF;
    }
    text = wr_strbuf_str(&b);
    colon = wr_str_find(text, ':');
    if (colon == text.len) {
        return WR_EOF;
    }
    *ret_user = wr_str_sub(text, 0, colon);
    *ret_password = wr_str_sub(text, colon + 1, text.len);
    return WR_OK;
}

enum wr_status wr_req_remote_user(struct wr_req *r, struct wr_str *ret)
{
    struct wr_str user, password;
    enum wr_status st = wr_req_basic_auth(r, &user, &password);

    return st == WR_OK ? put_or_absent(user, ret) : st;
}

GETTER(get_remote_user)
{
    (void)v, (void)rest;
    return wr_req_remote_user(r, ret);
}

/* ---- the request's body ------------------------------------------------------------------------
 */

/* Only a body that is whole and in memory; it is looked at, not taken. */
GETTER(get_request_body)
{
    struct iovec iov[64];
    struct wr_strbuf b;
    size_t bytes = 0;
    int cnt;

    (void)v, (void)rest;
    if (r->body_state != WR_BODY_WHOLE || !r->body || r->body_len == 0 ||
        r->body->queued_file > 0) {
        return WR_EOF;
    }
    cnt = wr_pipe_peek(r->body, iov, (int)WR_ARRAY_LEN(iov), BODY_TEXT_MAX, &bytes);
    if (bytes != r->body_len) {
        return WR_EOF;
    }
    wr_strbuf_init_arena(&b, r->arena, bytes);
    for (int i = 0; i < cnt; i++) {
        wr_strbuf_add(&b, iov[i].iov_base, iov[i].iov_len);
    }
    *ret = wr_strbuf_str(&b);
    return b.status;
}

/* ---- files -------------------------------------------------------------------------------------
 */

GETTER(get_document_root)
{
    enum wr_status st = wr_path_root(r, ret);

    (void)v, (void)rest;
    return st == WR_ENOMEM ? st : st == WR_OK ? WR_OK : WR_EOF;
}

GETTER(get_request_filename)
{
    enum wr_status st = wr_path_map(r, r->uri.path, ret);

    (void)v, (void)rest;
    return st == WR_ENOMEM ? st : st == WR_OK ? WR_OK : WR_EOF;
}

GETTER(get_realpath_root)
{
    char real[PATH_MAX];
    struct wr_str root;
    enum wr_status st = wr_path_root(r, &root);

    (void)v, (void)rest;
    if (st != WR_OK) {
        return st == WR_ENOMEM ? st : WR_EOF;
    }
    if (!realpath(root.ptr, real)) {
        wr_log_errno(&r->log, WR_LOG_CRIT, errno, "realpath() \"%.*s\" failed", WR_STR_ARG(root));
        return WR_EOF;
    }
    return wr_arena_dup(r->arena, wr_str_z(real), ret);
}

/* ---- the connection ----------------------------------------------------------------------------
 */

/* Where the client connected to; without the connection, or for a unix socket, that of the
 * listener. */
static bool local_addr(struct wr_req *r, struct wr_addr *ret)
{
    const struct wr_port *port = wr_server_port(r);

    if (wr_req_conn(r)) {
        wr_conn_local_addr(wr_req_conn(r), ret);
        if (ret->len != 0 && ret->u.sa.sa_family != AF_UNIX) {
            return true;
        }
    }
    if (!port || wr_addr_is_any(&port->opts.addr)) {
        return false;
    }
    *ret = port->opts.addr;
    return true;
}

enum addr_var {
    ADDR_REMOTE,
    ADDR_SERVER
};

static enum wr_status put_host(struct wr_req *r, const struct wr_addr *a, struct wr_str *ret)
{
    char text[WR_ADDR_TEXT_MAX];

    return wr_arena_dup(r->arena, wr_str(text, wr_addr_write_host(a, text)), ret);
}

GETTER(get_addr)
{
    struct wr_addr a;

    (void)rest;
    if (v->data == ADDR_REMOTE) {
        return put_host(r, &r->peer, ret);
    }
    if (!local_addr(r, &a)) {
        return WR_EOF;
    }
    if (a.u.sa.sa_family == AF_UNIX) {
        char text[WR_ADDR_TEXT_MAX];

        return wr_arena_dup(r->arena, wr_str(text, wr_addr_write(&a, text)), ret);
    }
    return put_host(r, &a, ret);
}

GETTER(get_port)
{
    struct wr_addr a = r->peer;
    unsigned port;

    (void)rest;
    if (v->data == ADDR_SERVER && !local_addr(r, &a)) {
        return WR_EOF;
    }
    port = wr_addr_port(&a);
    if (port == 0) {
        *ret = WR_STR("");
        return WR_OK;
    }
    return put_u64(r, port, ret);
}

GETTER(get_binary_remote_addr)
{
    const uint8_t *p = NULL;
    size_t n = wr_addr_bytes(&r->peer, &p);

    (void)v, (void)rest;
    *ret = n > 0 ? wr_str((const char *)p, n) : WR_STR("unix:");
    return WR_OK;
}

GETTER(get_tcpinfo)
{
    struct wr_sock_tcpinfo t = {0};
    const uint32_t *fields[] = {&t.rtt, &t.rttvar, &t.snd_cwnd, &t.rcv_space};

    (void)rest;
    if (!wr_req_conn(r) || wr_sock_tcpinfo(wr_req_conn(r)->io.fd, &t) != WR_OK) {
        return WR_EOF;
    }
    return put_u64(r, *fields[v->data], ret);
}

/* ---- numbers -----------------------------------------------------------------------------------
 */

enum num_var {
    NUM_BODY_BYTES_SENT,
    NUM_BYTES_SENT,
    NUM_CONNECTION,
    NUM_CONNECTION_REQUESTS,
    NUM_LIMIT_RATE,
    NUM_PID,
    NUM_REQUEST_LENGTH,
};

GETTER(get_num)
{
    const struct wr_stream *s = r->stream;

    (void)rest;
    switch ((enum num_var)v->data) {
    case NUM_BODY_BYTES_SENT:
        return put_u64(r, s->tx_body_bytes, ret);
    case NUM_BYTES_SENT:
        return put_u64(r, s->tx_bytes, ret);
    case NUM_CONNECTION:
        return put_u64(r, r->log.conn_no, ret);
    case NUM_CONNECTION_REQUESTS:
        return put_u64(r, r->conn_requests, ret);
    case NUM_LIMIT_RATE:
        return put_u64(r, r->limit_rate, ret);
    case NUM_PID:
        return put_u64(r, (uint64_t)getpid(), ret);
    case NUM_REQUEST_LENGTH:
        return put_u64(r, s->rx_bytes, ret);
    }
    WR_UNREACHABLE();
}

unsigned wr_req_shown_status(const struct wr_req *r)
{
    if (r->status != 0) {
        return r->status;
    }
    return r->err_status != 0 ? r->err_status : r->out.status;
}

GETTER(get_status)
{
    (void)v, (void)rest;
    return wr_arena_printf(r->arena, ret, "%03u", wr_req_shown_status(r));
}

GETTER(get_pipe)
{
    (void)v, (void)rest;
    *ret = r->stream->is_pipelined ? WR_STR("p") : WR_STR(".");
    return WR_OK;
}

/* ---- time --------------------------------------------------------------------------------------
 */

uint64_t wr_req_elapsed_ms(const struct wr_req *r)
{
    uint64_t now = wr_now_ms(), began = r->stream->began_us / 1000;

    return now > began ? now - began : 0;
}

GETTER(get_request_time)
{
    (void)v, (void)rest;
    return put_ms(r, wr_req_elapsed_ms(r), ret);
}

GETTER(get_connection_time)
{
    uint64_t now = wr_now_ms(), since;

    (void)v, (void)rest;
    if (!wr_req_conn(r)) {
        return WR_EOF;
    }
    since = wr_req_conn(r)->since_ms;
    return put_ms(r, now > since ? now - since : 0, ret);
}

GETTER(get_msec)
{
    (void)v, (void)rest;
    return put_ms(r, wr_clock_wall_ms(), ret);
}

GETTER(get_time_local)
{
    (void)v, (void)rest;
    return wr_arena_dup(r->arena, wr_clock_log_local(), ret); /* the thread's text changes */
}

GETTER(get_time_iso)
{
    (void)v, (void)rest;
    return wr_arena_dup(r->arena, wr_clock_iso8601(), ret);
}

/* "1994-11-06T08:49:37.123+00:00" */
GETTER(get_time_iso_ms)
{
    struct wr_str s = wr_clock_iso8601();
    size_t zone = s.len > 6 ? s.len - 6 : 0;

    (void)v, (void)rest;
    return wr_arena_printf(r->arena, ret, "%.*s.%03u%.*s", (int)zone, s.ptr,
                           (unsigned)(wr_clock_wall_ms() % 1000), (int)(s.len - zone),
                           s.ptr + zone);
}

/* ---- ids ----------------------------------------------------------------------------------------
 */

GETTER(get_request_id)
{
    uint64_t bits[2] = {wr_rng_u64(), wr_rng_u64()};
    struct wr_strbuf b;
    bool is_set;

    (void)v, (void)rest;
    if (r->parent) {
        return wr_var_find(r->main, WR_STR("request_id"), ret, &is_set); /* one, for all logs */
    }
    wr_strbuf_init_arena(&b, r->arena, 2 * sizeof(bits));
    wr_codec_hex(&b, wr_str((const char *)bits, sizeof(bits)));
    *ret = wr_strbuf_str(&b);
    return b.status;
}

GETTER(get_hostname)
{
    char name[256];
    size_t n;

    (void)v, (void)rest;
    if (gethostname(name, sizeof(name) - 1) == -1) {
        return WR_EOF;
    }
    name[sizeof(name) - 1] = '\0';
    n = wr_str_z(name).len;
    for (size_t i = 0; i < n; i++) {
        name[i] = (char)wr_char_lower[(unsigned char)name[i]];
    }
    return wr_arena_dup(r->arena, wr_str(name, n), ret);
}

/* ---- the response -------------------------------------------------------------------------------
 */

static struct wr_str connection_of(const struct wr_req *r)
{
    if (r->out.status == 101) {
        return WR_STR("upgrade");
    }
    return r->stream->want_close || (r->head->flags & WR_MSG_KEEP_ALIVE) == 0
               ? WR_STR("close")
               : WR_STR("keep-alive");
}

/* Fields that are not in the list: the codec writes them, or the last filter has not run yet. */
static enum wr_status sent_special(struct wr_req *r, struct wr_str name, struct wr_str *ret)
{
    uint64_t len = r->out.content_length;

    if (wr_str_eq(name, WR_STR("content_length"))) {
        return r->out.status == 0 || len == WR_LENGTH_UNKNOWN ? WR_EOF : put_u64(r, len, ret);
    }
    if (wr_str_eq(name, WR_STR("content_type"))) {
        return put_or_absent(r->out_type, ret);
    }
    if (wr_str_eq(name, WR_STR("connection"))) {
        *ret = connection_of(r);
        return WR_OK;
    }
    if (wr_str_eq(name, WR_STR("transfer_encoding")) && r->out.status != 0 &&
        r->head->version == 11 && r->is_responded && len == WR_LENGTH_UNKNOWN && r->out_pipe &&
        wr_core_loc_of(r)->chunked) {
        *ret = WR_STR("chunked");
        return WR_OK;
    }
    return WR_EOF;
}

GETTER(get_sent_http)
{
    enum wr_status st = join_fields(r, &r->out.hdrs, rest, ret);

    (void)v;
    return st == WR_EOF ? sent_special(r, rest, ret) : st;
}

GETTER(get_sent_trailer)
{
    (void)v;
    return r->stream->trailers_out ? join_fields(r, r->stream->trailers_out, rest, ret) : WR_EOF;
}

/* ---- variables that may be set -----------------------------------------------------------------
 */

static enum wr_status store_args(struct wr_req *r, struct wr_str value)
{
    r->uri.args = value;
    r->uri.has_args = value.len > 0;
    r->uri_changed = true;
    return WR_OK;
}

static enum wr_status store_limit_rate(struct wr_req *r, struct wr_str value)
{
    uint64_t rate = 0;

    if (wr_num_parse_size(value, UINT32_MAX, &rate) != WR_OK) {
        wr_log(&r->log, WR_LOG_ERROR, "invalid $limit_rate \"%.*s\"", WR_STR_ARG(value));
        return WR_OK;
    }
    r->limit_rate = rate;
    r->is_limit_set = true;
    return WR_OK;
}

wr_var_store_fn *wr_vars_core_store(struct wr_str name)
{
    if (wr_str_ieq(name, WR_STR("args"))) {
        return store_args;
    }
    return wr_str_ieq(name, WR_STR("limit_rate")) ? store_limit_rate : NULL;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

#define NC WR_VAR_NOCACHE
#define CH WR_VAR_CHANGEABLE

/* clang-format off */
static const struct wr_var rows[] = {
    {"arg_",                       get_arg,                0,                       WR_VAR_PREFIX | NC},
    {"args",                       get_text,               TEXT_ARGS,               NC | CH           },
    {"binary_remote_addr",         get_binary_remote_addr, 0,                       NC                },
    {"body_bytes_sent",            get_num,                NUM_BODY_BYTES_SENT,     WR_VAR_LATE       },
    {"bytes_sent",                 get_num,                NUM_BYTES_SENT,          WR_VAR_LATE       },
    {"connection",                 get_num,                NUM_CONNECTION,          0                 },
    {"connection_requests",        get_num,                NUM_CONNECTION_REQUESTS, 0                 },
    {"connection_time",            get_connection_time,    0,                       NC                },
    {"content_length",             get_content_length,     0,                       NC                },
    {"content_type",               get_content_type,       0,                       0                 },
    {"cookie_",                    get_cookie,             0,                       WR_VAR_PREFIX     },
    {"document_root",              get_document_root,      0,                       NC                },
    {"document_uri",               get_text,               TEXT_URI,                NC                },
    {"host",                       get_text,               TEXT_HOST,               0                 },
    {"hostname",                   get_hostname,           0,                       0                 },
    {"http_",                      get_http,               0,                       WR_VAR_PREFIX     },
    {"https",                      get_text,               TEXT_HTTPS,              0                 },
    {"is_args",                    get_text,               TEXT_IS_ARGS,            NC                },
    {"is_request_port",            get_text,               TEXT_IS_REQUEST_PORT,    0                 },
    {"limit_rate",                 get_num,                NUM_LIMIT_RATE,          NC | CH           },
    {"msec",                       get_msec,               0,                       NC                },
    {"nginx_version",              get_text,               TEXT_VERSION,            0                 },
    {"pid",                        get_num,                NUM_PID,                 0                 },
    {"pipe",                       get_pipe,               0,                       0                 },
    {"query_string",               get_text,               TEXT_ARGS,               NC                },
    {"realpath_root",              get_realpath_root,      0,                       NC                },
    {"remote_addr",                get_addr,               ADDR_REMOTE,             0                 },
    {"remote_port",                get_port,               ADDR_REMOTE,             0                 },
    {"remote_user",                get_remote_user,        0,                       0                 },
    {"request",                    get_text,               TEXT_REQUEST,            0                 },
    {"request_body",               get_request_body,       0,                       NC                },
    {"request_body_file",          get_text,               TEXT_BODY_FILE,          NC                },
    {"request_completion",         get_text,               TEXT_COMPLETION,         NC                },
    {"request_filename",           get_request_filename,   0,                       NC                },
    {"request_id",                 get_request_id,         0,                       0                 },
    {"request_length",             get_num,                NUM_REQUEST_LENGTH,      NC                },
    {"request_method",             get_text,               TEXT_METHOD,             NC                },
    {"request_port",               get_request_port,       0,                       0                 },
    {"request_time",               get_request_time,       0,                       NC                },
    {"request_uri",                get_text,               TEXT_REQUEST_URI,        0                 },
    {"scheme",                     get_text,               TEXT_SCHEME,             0                 },
    {"sent_http_",                 get_sent_http,          0,                       WR_VAR_PREFIX | NC},
    {"sent_trailer_",              get_sent_trailer,       0,                       WR_VAR_PREFIX | NC},
    {"server_addr",                get_addr,               ADDR_SERVER,             0                 },
    {"server_name",                get_text,               TEXT_SERVER_NAME,        NC                },
    {"server_port",                get_port,               ADDR_SERVER,             0                 },
    {"server_protocol",            get_text,               TEXT_PROTOCOL,           0                 },
    {"status",                     get_status,             0,                       NC                },
    {"tcpinfo_rcv_space",          get_tcpinfo,            3,                       NC                },
    {"tcpinfo_rtt",                get_tcpinfo,            0,                       NC                },
    {"tcpinfo_rttvar",             get_tcpinfo,            1,                       NC                },
    {"tcpinfo_snd_cwnd",           get_tcpinfo,            2,                       NC                },
    {"time_iso8601",               get_time_iso,           0,                       NC                },
    {"time_iso8601_ms",            get_time_iso_ms,        0,                       NC                },
    {"time_local",                 get_time_local,         0,                       NC                },
    {"uri",                        get_text,               TEXT_URI,                NC                },
};

/* clang-format on */

/* ---- texts of a configuration
 * -------------------------------------------------------------------- */

/* All that defines variables was read: those that are used must be there. */
static enum wr_status done_vars(struct wr_conf *cf)
{
    struct wr_http *h = wr_http_building(cf);

    return h ? wr_vars_check(h->vars, cf->diags) : WR_OK;
}

static struct wr_conf_module vars_conf = {.name = "vars", .done = done_vars};

const struct wr_module wr_vars_core_module = {
    .conf = &vars_conf, .vars = rows, .var_cnt = WR_ARRAY_LEN(rows)};
