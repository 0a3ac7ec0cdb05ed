/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shake.c: see shake.h. A header of the PROXY protocol that came whole is read where it lies. The
 * server{} that a client's name asks for is looked up on the port of the configuration that holds
 * at that moment; its context goes with the connection. Lines about it are worded and leveled as
 * nginx's: what a client can cause is info.
 */
#include "http/shake.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "base/mem.h"
#include "base/obj.h"
#include "http/core_conf.h"
#include "http/h1_conn.h"
#include "http/ocsp.h"
#include "http/resolver.h"
#include "http/server.h"
#include "http/ssl_conf.h"
#include "http/ssl_lazy.h"
#include "net/proxied.h"
#include "tls/tls.h"

#define B(s) (1u << SHAKE_##s)

/* state, deadline, may go to. */
#define SHAKE_STATES(X)                                                                            \
    X(PROXY, HEADER, B(FIRST) | B(ENDED))                                                          \
    X(FIRST, HEADER, B(SHAKE) | B(ENDED))                                                          \
    X(SHAKE, HEADER, B(OCSP) | B(ENDED))                                                           \
    X(OCSP, HEADER, B(ENDED))                                                                      \
    X(ENDED, NONE, 0)

enum shake_state {
#define X(name, deadline, moves) SHAKE_##name,
    SHAKE_STATES(X)
#undef X
};

static const char *const state_names[] = {
#define X(name, deadline, moves) #name,
    SHAKE_STATES(X)
#undef X
};

static const uint32_t state_moves[] = {
#define X(name, deadline, moves) moves,
    SHAKE_STATES(X)
#undef X
};

static const struct wr_fsm shake_fsm = WR_FSM("handshake", state_names, state_moves);

#define TLS_RECORD 0x16 /* a handshake record, RFC 8446 5.1 */
#define SSL2_BIT   0x80 /* first byte of a hello of long ago, RFC 5246 E.2 */
#define ERROR_MAX  1024
#define OCSP_MS    10000 /* for the answers about a client's certificates */

struct wr_shake {
    struct wr_conn conn; /* first */
    struct wr_list node;
    struct wr_shake_sink *sink;
    struct wr_tls_owner owner;
    struct wr_ocsp_check *check; /* OCSP; NULL: none */
    uint64_t at_ms;              /* deadline; 0: none */
    char *part;                  /* PROXY: what has come of a header in pieces; NULL: nothing yet */
    uint32_t part_len;
    uint8_t state;  /* enum shake_state, by set_state only */
    bool is_faulty; /* a bug of ours: to be closed */
};

static struct wr_shake *shake_of_conn(struct wr_conn *c)
{
    return wr_container_of(c, struct wr_shake, conn);
}

static void set_state(struct wr_shake *s, enum shake_state to)
{
    wr_fsm_move_on(&shake_fsm, &s->state, to, s->conn.no, &s->is_faulty);
}

/* ---- log ------------------------------------------------------------------------------------- */

static void write_context(const struct wr_log *log, struct wr_log_fields *f)
{
    struct wr_shake *s = log->data;
    char text[WR_ADDR_TEXT_MAX];
    struct wr_addr a;

    wr_conn_peer_addr(&s->conn, &a);
    wr_log_field(f, "client",
                 a.len > 0 ? wr_str(text, wr_addr_write_host(&a, text)) : WR_STR("unix:"),
                 WR_LOG_BARE);
    wr_log_field(f, "server", s->sink->port(s->sink, &s->conn)->text, WR_LOG_BARE);
}

static struct wr_log log_of(struct wr_shake *s)
{
    struct wr_log log = s->sink->log(s->sink, &s->conn);

    log.context = write_context;
    log.data = s;
    return log;
}

static const char *doing(const struct wr_shake *s)
{
    return s->state == SHAKE_PROXY ? "reading PROXY protocol" : "SSL handshaking";
}

static void log_timeout(struct wr_shake *s)
{
    struct wr_log log = log_of(s);

    wr_log_errno(&log, WR_LOG_INFO, 0, "client timed out (%d: %s) while %s", ETIMEDOUT,
                 wr_log_errno_text(ETIMEDOUT), doing(s));
}

static void log_failure(struct wr_shake *s, enum wr_status st)
{
    struct wr_log log = log_of(s);
    char room[ERROR_MAX];
    struct wr_strbuf b;
    bool is_info;
    int err = s->conn.io.err;

    if (st == WR_EOF) {
        wr_log(&log, WR_LOG_INFO, "peer closed connection in SSL handshake while SSL handshaking");
    } else if (st == WR_ESYS) {
        wr_log(&log, WR_LOG_INFO,
               "peer closed connection in SSL handshake (%d: %s) while SSL handshaking", err,
               wr_log_errno_text(err));
    } else if (st == WR_ENOMEM) {
        wr_log(&log, WR_LOG_CRIT, "no memory for a connection while SSL handshaking");
    } else if (wr_tls_error(wr_tls_of_link(s->conn.link))) {
        wr_log(&log, WR_LOG_ERROR, "%s while SSL handshaking",
               wr_tls_error(wr_tls_of_link(s->conn.link)));
    } else if (wr_tls_is_rejected(wr_tls_of_link(s->conn.link))) {
        wr_log(&log, WR_LOG_INFO, "handshake rejected while SSL handshaking");
    } else {
        wr_strbuf_init_fixed(&b, room, sizeof(room));
        is_info = wr_tls_write_error(&b);
        wr_log(&log, is_info ? WR_LOG_INFO : WR_LOG_CRIT,
               "SSL_do_handshake() failed%.*s while SSL handshaking",
               WR_STR_ARG(wr_strbuf_str(&b)));
    }
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void end(struct wr_shake *s)
{
    struct wr_shake_sink *k = s->sink;

    set_state(s, SHAKE_ENDED);
    wr_mem_free(wr_take(&s->part));
    wr_ocsp_check_end(&s->check);
    wr_list_remove(&s->node);
    wr_conn_close(&s->conn, WR_IO_CLOSE_FIN);
    k->closed(k, &s->conn);
}

static void hand_over(struct wr_shake *s)
{
    struct wr_shake_sink *k = s->sink;

    set_state(s, SHAKE_ENDED);
    wr_ocsp_check_end(&s->check);
    wr_list_remove(&s->node);
    wr_timer_disarm(&s->conn.timer);
    memset(&s->conn + 1, 0, wr_h1_conn_size() - sizeof(s->conn)); /* the taker's now */
    k->ready(k, &s->conn);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static struct wr_shake *shake_of_owner(const struct wr_tls_owner *o)
{
    union {
        const struct wr_tls_owner *in;
        struct wr_tls_owner *out; /* it is in the shake, which is not const */
    } u = {.in = o};

    return wr_container_of(u.out, struct wr_shake, owner);
}

static struct wr_tls_ctx *pick_ctx(const struct wr_tls_owner *o, struct wr_str name)
{
    struct wr_shake *s = shake_of_owner(o);
    const struct wr_port *p = s->sink->port(s->sink, &s->conn);
    struct wr_str found;

    return name.len == 0 ? NULL : wr_ssl_srv_of(wr_port_find(p, name, NULL, &found))->ctx;
}

/* The server{} that the client's name asks for, as the configuration of now has it. */
static const struct wr_server *server_of(struct wr_shake *s, const struct wr_tls *t)
{
    const struct wr_port *p = s->sink->port(s->sink, &s->conn);
    struct wr_str name = wr_tls_server_name(t), found;

    return name.len == 0 ? p->deflt : wr_port_find(p, name, NULL, &found);
}

/* Within the turn in which pick_ctx was asked: both see the same configuration. */
static bool name_cert(const struct wr_tls_owner *o, uint32_t no, bool is_key, struct wr_strbuf *b,
                      struct wr_strbuf *err)
{
    struct wr_shake *s = shake_of_owner(o);
    struct wr_tls *t = wr_tls_of_link(s->conn.link);
    struct wr_ssl_stage at = {.conn = &s->conn,
                              .tls = t,
                              .listen = s->sink->listen(s->sink),
                              .server = server_of(s, t),
                              .log = log_of(s)};

    if (!wr_ssl_srv_of(at.server)->ctx) {
        at.server = s->sink->port(s->sink, &s->conn)->deflt; /* its context was kept */
    }
    return wr_ssl_name_of_shake(&at, no, is_key, b, err);
}

/* Nothing has come (yet). */
static void await_bytes(struct wr_shake *s)
{
    struct wr_chunk *c = NULL;
    uint32_t off, len;
    enum wr_status st = wr_conn_recv(&s->conn, 1, &c, &off, &len);
    struct wr_log log;

    if (st == WR_OK) {
        wr_chunk_unref(c); /* cannot be: there is nothing to peek at */
    } else if (st != WR_AGAIN) {
        log = log_of(s);
        wr_log(&log, WR_LOG_INFO, "client closed connection while %s", doing(s));
    } else if (wr_deadline_is_due(s->at_ms, wr_now_ms())) {
        log_timeout(s);
    } else {
        return;
    }
    end(s);
}

static void refuse_header(struct wr_shake *s, const char *why, const char *p, size_t n)
{
    struct wr_log log = log_of(s);

    if (why[0] == '\0') {
        wr_log(&log, WR_LOG_ERROR, "broken header: \"%.*s\" while reading PROXY protocol",
               (int)WR_MIN(n, (size_t)WR_PROXY_HEAD_V1_MAX), p);
    } else {
        wr_log(&log, WR_LOG_ERROR, "%s while reading PROXY protocol", why);
    }
    end(s);
}

static bool keep_header(struct wr_shake *s, const struct wr_proxy_head *h)
{
    char text[WR_ADDR_TEXT_MAX];
    struct wr_log log;

    s->conn.proxied = wr_proxied_new(h);
    if (!s->conn.proxied) {
        refuse_header(s, "no memory", NULL, 0);
        return false;
    }
    wr_mem_free(wr_take(&s->part));
    set_state(s, SHAKE_FIRST);
    if (wr_log_may_debug()) {
        log = log_of(s);
        wr_log_debug(&log, "PROXY protocol: client %.*s",
                     h->client.len > 0 ? (int)wr_addr_write(&h->client, text) : 1,
                     h->client.len > 0 ? text : "-");
    }
    return true;
}

/*
 * The header comes in one piece nearly always; if not, its pieces are put together. What follows it
 * stays where it is.
 */
static bool step_proxy(struct wr_shake *s)
{
    const char *p, *why = "";
    struct wr_proxy_head h;
    size_t n = 0, len = 0, had = s->part_len;
    enum wr_status st;

    p = wr_io_peek(&s->conn.io, &n);
    if (!p) {
        await_bytes(s);
        return false;
    }
    if (had > 0) {
        n = WR_MIN(n, (size_t)WR_PROXY_HEAD_MAX - had);
        memcpy(s->part + had, p, n);
        p = s->part;
    }
    st = wr_proxy_head_parse(p, had + n, &h, &len, &why);
    if (st == WR_OK) {
        bool is_kept = keep_header(s, &h);

        if (is_kept) {
            wr_io_consume(&s->conn.io, len - had);
        }
        return is_kept;
    }
    if (st != WR_AGAIN) {
        refuse_header(s, why, p, had + n);
        return false;
    }
    if (!s->part) {
        s->part = wr_run_alloc(WR_PROXY_HEAD_MAX);
        if (!s->part) {
            refuse_header(s, "no memory", NULL, 0);
            return false;
        }
        memcpy(s->part, p, n);
    }
    s->part_len += (uint32_t)n;
    wr_io_consume(&s->conn.io, n);
    wr_task_wake(&s->conn.task); /* the end of the connection may be known already */
    return false;
}

/* False: it waits, or is over. */
static bool step_first(struct wr_shake *s)
{
    const char *first;
    struct wr_tls_ctx *ctx;
    struct wr_tls *t = NULL;
    size_t n = 0;

    if (!s->conn.is_tls) {
        hand_over(s);
        return false;
    }
    first = wr_io_peek(&s->conn.io, &n);
    if (!first) {
        await_bytes(s);
        return false;
    }
    if ((unsigned char)first[0] != TLS_RECORD && ((unsigned char)first[0] & SSL2_BIT) == 0) {
        hand_over(s);
        return false;
    }
    ctx = wr_ssl_srv_of(s->sink->port(s->sink, &s->conn)->deflt)->ctx;
    if (!ctx || wr_tls_accept(s->conn.link, ctx, &s->owner, &t) != WR_OK) {
        log_failure(s, WR_ENOMEM);
        end(s);
        return false;
    }
    wr_conn_push(&s->conn, wr_tls_link(t));
    set_state(s, SHAKE_SHAKE);
    return true;
}

/* Only a certificate that is good so far is asked about. */
static bool wants_ocsp(struct wr_shake *s)
{
    struct wr_tls *t = wr_tls_of_link(s->conn.link);
    const char *text = "";
    long code = 0;

    return wr_ssl_srv_of(server_of(s, t))->ocsp != WR_SSL_OCSP_OFF &&
           wr_tls_client_trust(t, &code, &text) == WR_TLS_TRUST_OK;
}

static void step_ocsp(struct wr_shake *s)
{
    struct wr_tls *t = wr_tls_of_link(s->conn.link);
    const struct wr_server *v = server_of(s, t);
    const struct wr_core_loc *lc = wr_scope_get(v->scope, &wr_core_conf, WR_KIND_LOC);
    struct wr_log log = log_of(s);
    uint64_t most = wr_now_ms() + OCSP_MS;
    struct wr_ocsp_check_env env = {.conf = wr_ssl_srv_of(v),
                                    .dns = lc->resolver ? lc->resolver->dns : NULL,
                                    .log = &log,
                                    .task = &s->conn.task,
                                    .until_ms = s->at_ms != 0 ? WR_MIN(most, s->at_ms) : most};

    if ((s->conn.io.facts & (WR_IO_ERR | WR_IO_HUP)) != 0) {
        end(s);
    } else if (wr_ocsp_check_step(&s->check, t, &env) == WR_OK) {
        hand_over(s);
    } else if (wr_deadline_is_due(s->at_ms, wr_now_ms())) {
        wr_log(&log, WR_LOG_ERROR, "timed out (%d: %s) while requesting certificate status",
               ETIMEDOUT, wr_log_errno_text(ETIMEDOUT));
        wr_tls_client_condemn(t, WR_OCSP_FAILED);
        hand_over(s);
    }
}

static void step_shake(struct wr_shake *s)
{
    enum wr_status st;

    s->conn.io.facts &= (uint16_t)~WR_IO_WRITABLE;
    st = s->conn.link->ops->handshake(s->conn.link);
    if (st == WR_OK && wants_ocsp(s)) {
        set_state(s, SHAKE_OCSP);
        step_ocsp(s);
    } else if (st == WR_OK) {
        hand_over(s);
    } else if (st != WR_AGAIN) {
        log_failure(s, st);
        end(s);
    } else if (wr_deadline_is_due(s->at_ms, wr_now_ms())) {
        log_timeout(s);
        end(s);
    }
}

static void run_shake(struct wr_task *t)
{
    struct wr_shake *s = shake_of_conn(wr_container_of(t, struct wr_conn, task));

    wr_obj_check(&s->conn, WR_CONN_MAGIC);
    if (s->state == SHAKE_PROXY && !step_proxy(s)) {
        return;
    }
    if (s->state == SHAKE_FIRST && !step_first(s)) {
        return;
    }
    if (s->is_faulty) {
        end(s);
    } else if (s->state == SHAKE_OCSP) {
        step_ocsp(s);
    } else {
        step_shake(s);
    }
}

/* ---- for the sink ---------------------------------------------------------------------------- */

enum wr_status wr_shake_open(int fd, const struct wr_addr *peer, struct wr_shake_sink *k,
                             struct wr_shake **ret)
{
    struct wr_conn *conn;
    const struct wr_port *port;
    struct wr_shake *s;
    enum wr_status st;
    uint32_t timeout_ms;

    WR_ASSERT(sizeof(*s) <= wr_h1_conn_size());
    st = wr_conn_open(fd, peer, wr_h1_conn_size(), run_shake, "handshake", &conn);
    if (st != WR_OK) {
        return st;
    }
    s = shake_of_conn(conn);
    wr_list_init(&s->node);
    s->sink = k;
    s->owner.pick = pick_ctx;
    s->owner.name = name_cert;
    port = k->port(k, conn);
    conn->is_tls = port->is_tls;
    s->state = port->is_proxy ? SHAKE_PROXY : SHAKE_FIRST;
    timeout_ms = port->h1.header_timeout_ms;
    if (timeout_ms > 0) {
        s->at_ms = wr_now_ms() + timeout_ms;
        wr_timer_arm(&conn->timer, s->at_ms);
    }
    *ret = s;
    return WR_OK;
}

struct wr_list *wr_shake_node(struct wr_shake *s)
{
    return &s->node;
}

struct wr_shake *wr_shake_of_node(struct wr_list *n)
{
    return wr_container_of(n, struct wr_shake, node);
}

struct wr_conn *wr_shake_conn(struct wr_shake *s)
{
    return &s->conn;
}

bool wr_shake_is_silent(const struct wr_shake *s, uint32_t ms)
{
    return s->state <= SHAKE_FIRST && s->part_len == 0 && wr_now_ms() - s->conn.since_ms >= ms;
}

void wr_shake_quit(struct wr_shake *s, uint32_t grace_ms)
{
    uint64_t at = wr_now_ms() + grace_ms;

    if (s->at_ms == 0 || at < s->at_ms) {
        s->at_ms = at;
        wr_timer_arm(&s->conn.timer, at);
    }
    wr_task_wake(&s->conn.task);
}

void wr_shake_close(struct wr_shake *s)
{
    wr_obj_check(&s->conn, WR_CONN_MAGIC);
    end(s);
}
