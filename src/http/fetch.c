/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.c: see fetch.h.
 *
 *   RESOLVE --> CONNECT (address after address) --> SEND --> RECV --> DONE, or FAILED
 *
 * One deadline for all. An answer without a length ends with the connection; one in chunks is no
 * answer to HTTP/1.0. The connection's task only wakes ours.
 */
#include "http/fetch.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fsm.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "event/task.h"
#include "event/timer.h"
#include "http/h1_parse.h"
#include "net/conn.h"
#include "net/dns.h"

#define HEAD_MAX   8192u
#define FIELDS_MAX 64u
#define ARENA_MAX  ((size_t)1 << 20)
#define ERROR_ROOM 256

#define B(s) (1u << FETCH_##s)

#define FETCH_STATES(X)                                                                            \
    X(RESOLVE, B(CONNECT) | B(FAILED))                                                             \
    X(CONNECT, B(SEND) | B(FAILED))                                                                \
    X(SEND, B(RECV) | B(FAILED))                                                                   \
    X(RECV, B(DONE) | B(FAILED))                                                                   \
    X(DONE, 0)                                                                                     \
    X(FAILED, 0)

enum fetch_state {
#define X(name, moves) FETCH_##name,
    FETCH_STATES(X)
#undef X
};

static const char *const state_names[] = {
#define X(name, moves) #name,
    FETCH_STATES(X)
#undef X
};

static const uint32_t state_moves[] = {
#define X(name, moves) moves,
    FETCH_STATES(X)
#undef X
};

static const struct wr_fsm fetch_fsm = WR_FSM("fetch", state_names, state_moves);

struct fetch_conn {
    struct wr_conn conn; /* first */
    struct wr_fetch *f;
};

struct wr_fetch {
    struct wr_task task;
    struct wr_timer timer;
    struct wr_task *waiter;
    uint64_t until_ms;
    uint8_t state; /* enum fetch_state, by set_state only */
    bool is_faulty;
    struct wr_str host; /* in the arena */
    struct wr_dns *dns;
    struct wr_dns_ask *ask;
    struct wr_addr addrs[WR_FETCH_ADDRS_MAX];
    size_t addr_cnt, addr_no; /* the next to be tried */
    uint16_t port;
    struct wr_conn *conn; /* NULL: none */
    struct wr_str out;    /* what is left to be sent */
    struct wr_strbuf in;
    struct wr_h1_parser parser;
    struct wr_msg msg;
    bool has_head;
    uint32_t answer_max;
    struct wr_str body; /* DONE */
    struct wr_strbuf error;
    char error_room[ERROR_ROOM];
    struct wr_arena arena;
};

static void set_state(struct wr_fetch *f, enum fetch_state to)
{
    wr_fsm_move_on(&fetch_fsm, &f->state, to, 0, &f->is_faulty);
}

static void hang_up(struct wr_fetch *f)
{
    if (f->conn) {
        wr_conn_close(wr_take(&f->conn), WR_IO_CLOSE_FIN);
    }
    wr_dns_end(&f->ask);
    wr_timer_disarm(&f->timer);
}

static bool is_over(const struct wr_fetch *f)
{
    return f->state >= FETCH_DONE;
}

static void finish(struct wr_fetch *f, enum fetch_state how)
{
    hang_up(f);
    set_state(f, how);
    wr_task_wake(f->waiter);
}

WR_PRINTF(2, 3)

static void fail(struct wr_fetch *f, const char *fmt, ...)
{
    va_list ap;

    if (f->error.len == 0) {
        va_start(ap, fmt);
        wr_strbuf_vprintf(&f->error, fmt, ap);
        va_end(ap);
    }
    finish(f, FETCH_FAILED);
}

/* ---- RESOLVE --------------------------------------------------------------------------------- */

static void take_answer(struct wr_fetch *f, const struct wr_dns_answer *a)
{
    if (a->why == WR_DNS_FOUND && a->addr_cnt > 0) {
        f->addr_cnt = WR_MIN((size_t)a->addr_cnt, (size_t)WR_FETCH_ADDRS_MAX);
        for (size_t i = 0; i < f->addr_cnt; i++) {
            f->addrs[i] = a->addrs[i];
            wr_addr_set_port(&f->addrs[i], f->port);
        }
    } else if (f->addr_cnt == 0) {
        fail(f, "\"%.*s\" could not be resolved (%u: %s)", WR_STR_ARG(f->host), (unsigned)a->why,
             wr_dns_why_text(a->why));
        return;
    }
    set_state(f, FETCH_CONNECT);
}

static void step_resolve(struct wr_fetch *f)
{
    const struct wr_dns_answer *a;

    if (!f->dns) {
        if (f->addr_cnt == 0) {
            fail(f, "no resolver defined to resolve %.*s", WR_STR_ARG(f->host));
        } else {
            set_state(f, FETCH_CONNECT);
        }
        return;
    }
    if (f->ask) {
        a = wr_dns_result(f->ask);
        if (a) {
            take_answer(f, a);
            wr_dns_end(&f->ask);
        }
        return;
    }
    a = wr_dns_get(f->dns, WR_DNS_ADDRS, f->host);
    if (a) {
        take_answer(f, a);
        wr_dns_answer_unref(a);
    } else if (wr_dns_start(f->dns, WR_DNS_ADDRS, f->host, &f->task, &f->ask) != WR_OK) {
        fail(f, "no memory");
    }
}

/* ---- CONNECT, SEND --------------------------------------------------------------------------- */

static void run_conn(struct wr_task *t)
{
    struct wr_conn *c = wr_container_of(t, struct wr_conn, task);

    wr_task_wake(&((struct fetch_conn *)(void *)c)->f->task);
}

/* The next address; without one it has failed by the last one's errno. */
static void dial(struct wr_fetch *f, int err)
{
    const struct wr_conn_owner owner = {sizeof(struct fetch_conn), run_conn, "fetch"};
    const struct wr_connect_opts opts = {.nodelay = true};

    while (f->addr_no < f->addr_cnt) {
        enum wr_status st = wr_conn_dial(&f->addrs[f->addr_no++], &opts, &owner, &f->conn, &err);

        if (st == WR_OK || st == WR_AGAIN) {
            ((struct fetch_conn *)(void *)f->conn)->f = f;
            return;
        }
        if (st == WR_ENOMEM) {
            err = ENOMEM;
        }
    }
    fail(f, "connect() failed (%d: %s)", err, wr_log_errno_text(err));
}

static void step_connect(struct wr_fetch *f)
{
    if (!f->conn) {
        dial(f, EADDRNOTAVAIL);
    } else if ((f->conn->io.facts & WR_IO_ERR) != 0) {
        int err = f->conn->io.err;

        wr_conn_close(wr_take(&f->conn), WR_IO_CLOSE_FIN);
        dial(f, err);
    }
    if (f->conn && wr_conn_is_connected(f->conn)) {
        set_state(f, FETCH_SEND);
    }
}

static void step_send(struct wr_fetch *f)
{
    union {
        const char *in;
        void *out; /* send does not write */
    } u = {.in = f->out.ptr};
    struct iovec v = {.iov_base = u.out, .iov_len = f->out.len};
    enum wr_status st;
    size_t n = 0;

    f->conn->io.facts &= (uint16_t) ~(WR_IO_WRITABLE | WR_IO_CONNECTED);
    st = wr_conn_send(f->conn, &v, 1, &n);
    if (st == WR_OK) {
        f->out = wr_str_sub(f->out, n, f->out.len);
        if (f->out.len == 0) {
            set_state(f, FETCH_RECV);
        }
    } else if (st != WR_AGAIN) {
        fail(f, "send() failed (%d: %s)", f->conn->io.err, wr_log_errno_text(f->conn->io.err));
    }
}

/* ---- RECV ------------------------------------------------------------------------------------ */

/* False: it has failed, or more must come. */
static bool parse_head(struct wr_fetch *f)
{
    switch (wr_h1_parse(&f->parser, f->in.ptr, f->in.len)) {
    case WR_H1_MORE:
        return false;
    case WR_H1_BAD:
        fail(f, "invalid response: %s", wr_h1_bad_text(f->parser.bad));
        return false;
    case WR_H1_NOMEM:
        fail(f, "no memory");
        return false;
    case WR_H1_DONE:
        f->has_head = true;
        break;
    }
    if (f->msg.status != 200) {
        fail(f, "status %u", f->msg.status);
    } else if (f->msg.framing == WR_FRAMING_CHUNKED) {
        fail(f, "a response in chunks to a request of HTTP/1.0");
    } else if (f->msg.framing == WR_FRAMING_LENGTH && f->msg.content_length > f->answer_max) {
        fail(f, "the response is larger than %u bytes", f->answer_max);
    }
    return !is_over(f);
}

static void look_at_answer(struct wr_fetch *f, bool is_end)
{
    size_t got;

    if (!f->has_head && (f->in.len == 0 || !parse_head(f))) {
        if (is_end && !is_over(f)) {
            fail(f, "the connection was closed before a response");
        }
        return;
    }
    got = f->in.len - f->parser.head_len;
    if (f->msg.framing == WR_FRAMING_LENGTH && got >= f->msg.content_length) {
        got = (size_t)f->msg.content_length;
    } else if (!is_end) {
        return;
    } else if (f->msg.framing == WR_FRAMING_LENGTH) {
        fail(f, "the response is not whole");
        return;
    }
    f->body = wr_str(f->in.ptr + f->parser.head_len, got);
    finish(f, FETCH_DONE);
}

static void step_recv(struct wr_fetch *f)
{
    enum wr_status st;

    do {
        struct wr_chunk *c = NULL;
        uint32_t off = 0, len = 0;

        st = wr_conn_recv(f->conn, SIZE_MAX, &c, &off, &len);
        if (st == WR_OK) {
            wr_strbuf_add(&f->in, c->data + off, len);
            wr_chunk_unref(c);
        }
        if (f->in.status != WR_OK) {
            fail(f, f->in.status == WR_ENOMEM ? "no memory" : "the response is too large");
            return;
        }
    } while (st == WR_OK);
    if (st == WR_ESYS) {
        fail(f, "recv() failed (%d: %s)", f->conn->io.err, wr_log_errno_text(f->conn->io.err));
        return;
    }
    look_at_answer(f, st != WR_AGAIN);
}

/* ---- the task -------------------------------------------------------------------------------- */

static void step(struct wr_fetch *f)
{
    switch ((enum fetch_state)f->state) {
    case FETCH_RESOLVE:
        step_resolve(f);
        return;
    case FETCH_CONNECT:
        step_connect(f);
        return;
    case FETCH_SEND:
        step_send(f);
        return;
    case FETCH_RECV:
        step_recv(f);
        return;
    case FETCH_DONE:
    case FETCH_FAILED:
        return;
    }
    WR_UNREACHABLE();
}

static void run_fetch(struct wr_task *t)
{
    struct wr_fetch *f = wr_container_of(t, struct wr_fetch, task);
    uint8_t before;

    do {
        before = f->state;
        step(f);
    } while (f->state != before && !is_over(f));
    if (!is_over(f) && wr_deadline_is_due(f->until_ms, wr_now_ms())) {
        fail(f, "timed out (%d: %s)", ETIMEDOUT, wr_log_errno_text(ETIMEDOUT));
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static enum wr_status write_request(struct wr_fetch *f, const struct wr_fetch_opts *o)
{
    struct wr_strbuf b;
    bool is_v6 = memchr(o->host.ptr, ':', o->host.len) != NULL;

    wr_strbuf_init_arena(&b, &f->arena, ARENA_MAX / 2);
    wr_strbuf_printf(&b, "POST %.*s HTTP/1.0\r\nHost: %s%.*s%s", WR_STR_ARG(o->path),
                     is_v6 ? "[" : "", WR_STR_ARG(o->host), is_v6 ? "]" : "");
    if (o->port != 80) {
        wr_strbuf_printf(&b, ":%u", o->port);
    }
    wr_strbuf_printf(&b,
                     "\r\nContent-Type: %s\r\nAccept: %s\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n",
                     o->type, o->accept, o->body.len);
    wr_strbuf_add_str(&b, o->body);
    f->out = wr_strbuf_str(&b);
    return b.status == WR_OK ? wr_arena_dup(&f->arena, o->host, &f->host) : WR_ENOMEM;
}

/* An address among the names needs no question. */
static void note_addrs(struct wr_fetch *f, const struct wr_fetch_opts *o)
{
    struct wr_addr a;

    f->port = o->port;
    if (wr_addr_parse_ip(o->host, o->port, &a) == WR_OK) {
        f->addrs[0] = a;
        f->addr_cnt = 1;
        return;
    }
    f->dns = o->dns;
    f->addr_cnt = WR_MIN(o->addr_cnt, (size_t)WR_FETCH_ADDRS_MAX);
    for (size_t i = 0; i < f->addr_cnt; i++) {
        f->addrs[i] = o->addrs[i];
        wr_addr_set_port(&f->addrs[i], o->port);
    }
}

enum wr_status wr_fetch_start(const struct wr_fetch_opts *o, struct wr_task *waiter,
                              struct wr_fetch **ret)
{
    static const struct wr_h1_limits limits = {HEAD_MAX, HEAD_MAX, FIELDS_MAX};
    struct wr_fetch *f = wr_run_zalloc(sizeof(*f));

    if (!f) {
        return WR_ENOMEM;
    }
    wr_arena_init(&f->arena, ARENA_MAX);
    wr_task_init(&f->task, run_fetch, "fetch");
    wr_timer_init(&f->timer, &f->task);
    wr_strbuf_init(&f->in, (size_t)HEAD_MAX + o->answer_max);
    wr_strbuf_init_fixed(&f->error, f->error_room, sizeof(f->error_room));
    wr_msg_init(&f->msg, &f->arena, FIELDS_MAX);
    wr_h1_parser_init(&f->parser, WR_H1_RESPONSE, &limits, 0, &f->msg);
    f->parser.request_method = WR_METHOD_POST;
    f->waiter = waiter;
    f->until_ms = o->until_ms;
    f->answer_max = o->answer_max;
    f->state = FETCH_RESOLVE;
    note_addrs(f, o);
    if (write_request(f, o) != WR_OK) {
        wr_fetch_end(&f);
        return WR_ENOMEM;
    }
    wr_timer_arm(&f->timer, f->until_ms);
    wr_task_wake(&f->task);
    *ret = f;
    return WR_OK;
}

enum wr_status wr_fetch_get(struct wr_fetch *f, struct wr_str *ret_body)
{
    if (!is_over(f)) {
        return WR_AGAIN;
    }
    if (f->state == FETCH_FAILED) {
        return WR_EOF;
    }
    *ret_body = f->body;
    return WR_OK;
}

struct wr_str wr_fetch_error(const struct wr_fetch *f)
{
    return wr_strbuf_str(&f->error);
}

void wr_fetch_end(struct wr_fetch **at)
{
    struct wr_fetch *f = wr_take(at);

    if (!f) {
        return;
    }
    hang_up(f);
    wr_task_cancel(&f->task);
    wr_timer_fini(&f->timer);
    wr_strbuf_fini(&f->in);
    wr_arena_fini(&f->arena);
    wr_mem_free(f);
}
