/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_format.c: see log_format.h.
 *
 *   "$remote_addr [$time_local]"  ->  ADDR | TEXT " [" | TIME_LOCAL | TEXT "]"
 *
 * A name that has an operation of its own is written without the registry, the cache of values and
 * a copy in the request's memory. Both ways give the same text: the tests compare them.
 */
#include "observe/log_format.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/codec.h"
#include "conf/dirs.h"
#include "conf/types.h"
#include "http/module.h"
#include "http/server.h"
#include "http/vars_core.h"

enum op_kind {
    OP_TEXT,
    OP_VAR,
    OP_ADDR,
    OP_USER,
    OP_TIME_LOCAL,
    OP_TIME_ISO,
    OP_MSEC,
    OP_REQUEST_TIME,
    OP_STATUS,
    OP_BODY_BYTES,
    OP_BYTES,
    OP_LENGTH,
    OP_CONNECTION,
    OP_REQUEST,
    OP_METHOD,
    OP_REQUEST_URI,
    OP_URI,
    OP_HOST,
    OP_FIELD, /* $http_NAME of a known name */
};

struct wr_log_op {
    uint8_t kind;   /* enum op_kind */
    uint8_t id;     /* FIELD: enum wr_hdr_id */
    uint32_t index; /* VAR */
    struct wr_str text;
};

struct known_op {
    const char *name;
    enum op_kind kind;
};

static const struct known_op known_ops[] = {
    {"remote_addr",     OP_ADDR        },
    {"remote_user",     OP_USER        },
    {"time_local",      OP_TIME_LOCAL  },
    {"time_iso8601",    OP_TIME_ISO    },
    {"msec",            OP_MSEC        },
    {"request_time",    OP_REQUEST_TIME},
    {"status",          OP_STATUS      },
    {"body_bytes_sent", OP_BODY_BYTES  },
    {"bytes_sent",      OP_BYTES       },
    {"request_length",  OP_LENGTH      },
    {"connection",      OP_CONNECTION  },
    {"request",         OP_REQUEST     },
    {"request_method",  OP_METHOD      },
    {"request_uri",     OP_REQUEST_URI },
    {"uri",             OP_URI         },
    {"host",            OP_HOST        },
};

/* ---- compile ------------------------------------------------------------------------------------
 */

/* "user_agent" -> WR_HDR_USER_AGENT; OTHER: ask the variable. */
static enum wr_hdr_id field_of(struct wr_str name)
{
    char text[64];

    if (name.len > sizeof(text)) {
        return WR_HDR_OTHER;
    }
    for (size_t i = 0; i < name.len; i++) {
        text[i] = name.ptr[i] == '_' ? '-' : name.ptr[i];
    }
    return wr_hdr_id_of(wr_str(text, name.len));
}

static struct wr_log_op op_of_var(const struct wr_part *p)
{
    struct wr_log_op op = {.kind = OP_VAR, .index = p->index, .text = p->text};

    for (size_t i = 0; i < WR_ARRAY_LEN(known_ops); i++) {
        if (wr_str_eq_z(p->text, known_ops[i].name)) {
            op.kind = (uint8_t)known_ops[i].kind;
            return op;
        }
    }
    if (wr_str_has_prefix(p->text, WR_STR("http_"))) {
        op.id = (uint8_t)field_of(wr_str_sub(p->text, 5, SIZE_MAX));
        if (op.id != WR_HDR_OTHER) {
            op.kind = OP_FIELD;
        }
    }
    return op;
}

static enum wr_status push(struct wr_conf *cf, struct wr_log_format *f, struct wr_log_op op)
{
    struct wr_log_op *to = wr_array_push(cf->arena, f);

    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = op;
    return WR_OK;
}

enum wr_status wr_log_format_add(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                 struct wr_str text, struct wr_log_format *f)
{
    struct wr_pos pos = node ? wr_node_arg_pos(node, i) : (struct wr_pos){.file = NULL};
    struct wr_template_opts o = {
        .env = &cf->vars, .pos = node ? &pos : NULL, .flags = WR_TEMPLATE_NO_CAPTURES};
    struct wr_template t;
    struct wr_str err = WR_STR_NULL;
    enum wr_status st = wr_template_compile_opts(cf->arena, &o, text, &t, &err);

    if (st == WR_ECONFIG) {
        return wr_conf_err_arg(cf, node, i, "%.*s", WR_STR_ARG(err));
    }
    if (st != WR_OK) {
        return wr_conf_nomem(cf);
    }
    if (wr_template_is_const(&t)) {
        return push(cf, f, (struct wr_log_op){.kind = OP_TEXT, .text = t.source});
    }
    for (uint32_t k = 0; k < t.part_cnt && st == WR_OK; k++) {
        const struct wr_part *p = &t.parts[k];

        if (p->kind == WR_PART_TEXT) {
            st = push(cf, f, (struct wr_log_op){.kind = OP_TEXT, .text = p->text});
        } else {
            st = push(cf, f, op_of_var(p));
        }
    }
    return st;
}

/* ---- write --------------------------------------------------------------------------------------
 */

/* As it is but for what would end the line or hide the rest of it. */
static void write_raw(struct wr_strbuf *b, struct wr_str s)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t from = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c == '\n' || c == '\r' || c == '\0') {
            char text[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};

            wr_strbuf_add(b, s.ptr + from, i - from);
            wr_strbuf_add(b, text, sizeof(text));
            from = i + 1;
        }
    }
    wr_strbuf_add(b, s.ptr + from, s.len - from);
}

static void write_value(const struct wr_log_format *f, struct wr_strbuf *b, struct wr_str s)
{
    switch ((enum wr_log_escape)f->escape) {
    case WR_LOG_ESCAPE_DEFAULT:
        wr_codec_escape(b, s, WR_ESCAPE_LOG);
        return;
    case WR_LOG_ESCAPE_JSON:
        wr_codec_escape(b, s, WR_ESCAPE_JSON);
        return;
    case WR_LOG_ESCAPE_NONE:
        write_raw(b, s);
        return;
    }
    WR_UNREACHABLE();
}

static void write_absent(const struct wr_log_format *f, struct wr_strbuf *b)
{
    if (f->escape == WR_LOG_ESCAPE_DEFAULT) {
        wr_strbuf_add_char(b, '-');
    }
}

static void write_or_absent(const struct wr_log_format *f, struct wr_strbuf *b, struct wr_str s)
{
    if (s.len == 0) {
        write_absent(f, b);
    } else {
        write_value(f, b, s);
    }
}

/* "12.345" */
static void write_ms(struct wr_strbuf *b, uint64_t ms)
{
    char text[4] = {'.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10),
                    (char)('0' + ms % 10)};

    wr_strbuf_add_u64(b, ms / 1000);
    wr_strbuf_add(b, text, sizeof(text));
}

static void write_addr(struct wr_req *r, struct wr_strbuf *b)
{
    char text[WR_ADDR_TEXT_MAX];

    wr_strbuf_add(b, text, wr_addr_write_host(&r->peer, text));
}

static void write_status(struct wr_req *r, struct wr_strbuf *b)
{
    unsigned s = wr_req_shown_status(r);
    char text[3] = {(char)('0' + s / 100 % 10), (char)('0' + s / 10 % 10), (char)('0' + s % 10)};

    wr_strbuf_add(b, text, sizeof(text));
}

static void write_var(struct wr_req *r, const struct wr_log_format *f, const struct wr_log_op *op,
                      struct wr_strbuf *b)
{
    struct wr_str s = WR_STR_NULL;
    bool is_set = false;

    if (wr_var_value(r, op->index, &s, &is_set) != WR_OK || !is_set) {
        write_absent(f, b); /* without memory too: the line is worth more than the value */
    } else {
        write_value(f, b, s);
    }
}

static void write_user(struct wr_req *r, const struct wr_log_format *f, struct wr_strbuf *b)
{
    struct wr_str s;

    if (wr_req_remote_user(r, &s) == WR_OK) {
        write_value(f, b, s);
    } else {
        write_absent(f, b);
    }
}

static void write_field(struct wr_req *r, const struct wr_log_format *f, const struct wr_log_op *op,
                        struct wr_strbuf *b)
{
    const struct wr_hdrs *hs = &r->head->hdrs;
    const struct wr_hdr *h = wr_hdrs_get(hs, (enum wr_hdr_id)op->id), *more;

    if (!h) {
        write_absent(f, b);
        return;
    }
    write_value(f, b, h->value);
    for (more = wr_hdrs_next(hs, h); more; more = wr_hdrs_next(hs, more)) {
        wr_strbuf_add_z(b, op->id == WR_HDR_COOKIE ? "; " : ", ");
        write_value(f, b, more->value);
    }
}

/* long: a table */
static void write_op(struct wr_req *r, const struct wr_log_format *f, const struct wr_log_op *op,
                     struct wr_strbuf *b)
{
    switch ((enum op_kind)op->kind) {
    case OP_TEXT:
        wr_strbuf_add_str(b, op->text);
        return;
    case OP_VAR:
        write_var(r, f, op, b);
        return;
    case OP_ADDR:
        write_addr(r, b);
        return;
    case OP_USER:
        write_user(r, f, b);
        return;
    case OP_TIME_LOCAL:
        wr_strbuf_add_str(b, wr_clock_log_local());
        return;
    case OP_TIME_ISO:
        wr_strbuf_add_str(b, wr_clock_iso8601());
        return;
    case OP_MSEC:
        write_ms(b, wr_clock_wall_ms());
        return;
    case OP_REQUEST_TIME:
        write_ms(b, wr_req_elapsed_ms(r));
        return;
    case OP_STATUS:
        write_status(r, b);
        return;
    case OP_BODY_BYTES:
        wr_strbuf_add_u64(b, r->stream->tx_body_bytes);
        return;
    case OP_BYTES:
        wr_strbuf_add_u64(b, r->stream->tx_bytes);
        return;
    case OP_LENGTH:
        wr_strbuf_add_u64(b, r->stream->rx_bytes);
        return;
    case OP_CONNECTION:
        wr_strbuf_add_u64(b, r->log.conn_no);
        return;
    case OP_REQUEST:
        write_or_absent(f, b, r->head->request_line);
        return;
    case OP_METHOD:
        write_or_absent(f, b, r->method_name);
        return;
    case OP_REQUEST_URI:
        write_or_absent(f, b, r->client_uri.raw);
        return;
    case OP_URI:
        write_or_absent(f, b, r->uri.path);
        return;
    case OP_HOST:
        write_value(f, b, r->host.len > 0 ? r->host : r->server->name);
        return;
    case OP_FIELD:
        write_field(r, f, op, b);
        return;
    }
    WR_UNREACHABLE();
}

void wr_log_format_write(struct wr_req *r, const struct wr_log_format *f, struct wr_strbuf *b)
{
    for (uint32_t i = 0; i < f->cnt; i++) {
        write_op(r, f, &f->at[i], b);
    }
}
