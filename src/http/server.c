/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c: one thread's accepting side (server.h): which generation it serves, its listeners and
 * their connections, the limit of connections.
 *
 *   thread -- slots[]    generations in use here, the current one among them
 *          -- listens[]  struct wr_listen_ctx: a listening address; the sink of its connections.
 * Outlives its listener (a reload took the address away, quit) until the last connection ended
 *          -- reqs       requests that run
 *
 * A slot holds one atomic reference of its generation; requests and listeners count in plain
 * integers (io.md rule 11). Owner thread only.
 */
#include "http/server.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/slab.h"
#include "base/stat.h"
#include "event/grave.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "http/regex.h"
#include "http/req_int.h"
#include "http/shake.h"
#include "net/conn.h"
#include "net/listen.h"

#define REMOVED_GRACE_MS 1000u /* connections of an address that a reload took away (U14.9) */
#define REUSE_SCAN       256u  /* connections looked at for idle ones when all are in use */
#define ACCEPT_LAST_MAX  4096u /* connections taken from the queue of a listener that closes */
#define SILENT_MS        1000u /* a connection that sent nothing so long may give way */
#define REUSE_MAX        32u   /* idle ones closed at a time */
#define FULL_PAUSE_MS    100u  /* all in use: after this, maybe one has become idle */

struct wr_listen_ctx {
    struct wr_h1_sink sink; /* first */
    struct wr_shake_sink shake_sink;
    struct wr_listener listener;
    struct wr_task task;
    struct wr_timer full_timer; /* the thread is full: look again */
    struct wr_grave grave;
    struct wr_list node; /* in the thread's list */
    struct wr_list conns;
    struct wr_list shakes; /* connections before their protocol is known */
    uint32_t conn_cnt, req_cnt;
    struct wr_gen_slot *slot; /* pinned: port is in it */
    const struct wr_port *port;
    int source_fd; /* the fixture's descriptor the listener was made of */
    bool is_open;  /* accepts */
    bool is_kept;  /* adopt: the new generation has it */
};

struct wr_http_thread {
    bool is_ready;
    bool is_full; /* worker_connections reached: listeners pause */
    unsigned no;
    uint32_t conn_cnt, req_cnt;
    uint32_t background_cnt; /* subrequests that nobody waits for */
    uint64_t req_no;
    struct wr_gen_slot *cur;
    struct wr_list slots, listens, reqs;
};

/*
 * Rule zero: the thread's own serving side. Sinks and requests find it without a way through every
 * object, and it holds nothing that another thread may see.
 */
static _Thread_local struct wr_http_thread thread;

static void prepare_thread(void)
{
    if (!thread.is_ready) {
        thread.is_ready = true;
        wr_list_init(&thread.slots);
        wr_list_init(&thread.listens);
        wr_list_init(&thread.reqs);
    }
}

/* ---- generations ---------------------------------------------------------------------------- */

static void drop_slot(struct wr_gen_slot *slot)
{
    size_t cnt = 0;
    const struct wr_module *const *modules = wr_modules_get(&cnt);

    for (size_t i = cnt; i > 0; i--) {
        if (modules[i - 1]->thread_drop) {
            modules[i - 1]->thread_drop(slot->gen);
        }
    }
    wr_list_remove(&slot->node);
    wr_gen_unref(slot->gen);
    wr_slab_free(slot, sizeof(*slot));
}

static void pin(struct wr_gen_slot *slot)
{
    slot->cnt++;
}

static void unpin(struct wr_gen_slot *slot)
{
    WR_ASSERT(slot->cnt > 0);
    if (--slot->cnt == 0 && slot != thread.cur) {
        drop_slot(slot);
    }
}

static enum wr_status make_slot(struct wr_gen *g, struct wr_gen_slot **ret)
{
    size_t cnt = 0;
    const struct wr_module *const *modules = wr_modules_get(&cnt);
    struct wr_gen_slot *slot = wr_slab_alloc(sizeof(*slot));
    enum wr_status st = WR_OK;
    size_t i;

    if (!slot) {
        return WR_ENOMEM;
    }
    for (i = 0; i < cnt && st == WR_OK; i++) {
        if (modules[i]->thread_adopt) {
            st = modules[i]->thread_adopt(g);
        }
    }
    if (st != WR_OK) {
        /* Those before the one that failed let it go again. */
        for (i--; i > 0; i--) {
            if (modules[i - 1]->thread_drop) {
                modules[i - 1]->thread_drop(g);
            }
        }
        wr_slab_free(slot, sizeof(*slot));
        return st;
    }
    slot->gen = wr_gen_ref(g);
    slot->http = wr_http_of(g);
    wr_list_push(&thread.slots, &slot->node);
    *ret = slot;
    return WR_OK;
}

struct wr_gen *wr_http_current(void)
{
    return thread.cur ? thread.cur->gen : NULL;
}

/* ---- requests ------------------------------------------------------------------------------- */

static void bury_if_done(struct wr_listen_ctx *lc);

bool wr_server_take_background(const struct wr_http *h)
{
    if (thread.background_cnt >= h->worker_connections) {
        return false;
    }
    thread.background_cnt++;
    return true;
}

void wr_server_give_background(void)
{
    thread.background_cnt--;
}

uint64_t wr_server_next_id(void)
{
    return (uint64_t)thread.no << 48 | ++thread.req_no;
}

void wr_server_enter(struct wr_reqx *x, struct wr_listen_ctx *lc)
{
    struct wr_req *r = &x->r;

    x->slot = lc->slot;
    pin(x->slot);
    r->listen = lc;
    r->gen = x->slot->gen;
    r->http = x->slot->http;
    r->id = wr_server_next_id();
    thread.req_cnt++;
    lc->req_cnt++;
    wr_list_push(&thread.reqs, &r->node);
}

void wr_server_lend(struct wr_reqx *x, struct wr_listen_ctx *lc)
{
    x->slot = lc->slot;
    x->r.listen = lc;
    x->r.gen = x->slot->gen;
    x->r.http = x->slot->http;
}

void wr_server_leave(struct wr_reqx *x)
{
    struct wr_listen_ctx *lc = wr_take(&x->r.listen);

    if (x->r.parent) {
        return; /* the main request does */
    }
    thread.req_cnt--;
    lc->req_cnt--;
    unpin(wr_take(&x->slot));
    bury_if_done(lc);
}

static const struct wr_port *port_of_conn(const struct wr_listen_ctx *lc, struct wr_conn *c)
{
    struct wr_addr local;

    if (!lc->port->is_wildcard_of || !c) {
        return lc->port;
    }
    wr_conn_local_addr(c, &local);
    return wr_port_of_local(lc->port, &local);
}

const struct wr_port *wr_server_port(struct wr_req *r)
{
    return port_of_conn(r->listen, wr_req_conn(r));
}

uint32_t wr_http_conn_cnt(void)
{
    return thread.conn_cnt;
}

uint32_t wr_http_req_cnt(void)
{
    return thread.req_cnt;
}

/* ---- the sink ------------------------------------------------------------------------------- */

static struct wr_listen_ctx *ctx_of_sink(struct wr_h1_sink *k)
{
    return wr_container_of(k, struct wr_listen_ctx, sink);
}

static const struct wr_h1_opts *sink_opts(struct wr_h1_sink *k)
{
    return &ctx_of_sink(k)->port->h1;
}

static void sink_open(struct wr_h1_sink *k, struct wr_stream *s)
{
    wr_req_open(s, ctx_of_sink(k));
}

static void free_ctx(struct wr_grave *g)
{
    wr_mem_free(wr_container_of(g, struct wr_listen_ctx, grave));
}

/* An address without listener, connections and requests ends. */
static void bury_if_done(struct wr_listen_ctx *lc)
{
    if (lc->is_open || lc->conn_cnt > 0 || lc->req_cnt > 0 || !lc->slot) {
        return;
    }
    wr_list_remove(&lc->node);
    wr_timer_fini(&lc->full_timer);
    wr_task_cancel(&lc->task);
    unpin(wr_take(&lc->slot));
    wr_grave_bury(&lc->grave, free_ctx);
}

static void set_full(bool is_full)
{
    struct wr_list *n;

    if (thread.is_full == is_full) {
        return;
    }
    thread.is_full = is_full;
    WR_LIST_FOREACH (n, &thread.listens) {
        struct wr_listen_ctx *lc = wr_container_of(n, struct wr_listen_ctx, node);

        if (!lc->is_open) {
            continue;
        }
        if (is_full) {
            wr_listener_pause(&lc->listener);
        } else {
            wr_listener_resume(&lc->listener);
            wr_task_wake(&lc->task);
        }
    }
}

/* For lines of a connection outside of requests: where the address's default server logs. */
static struct wr_log conn_log(const struct wr_listen_ctx *lc, const struct wr_conn *conn)
{
    const struct wr_core_loc *l = (const struct wr_core_loc *)wr_scope_get(
        lc->port->deflt->scope, &wr_core_conf, WR_KIND_LOC);

    return (struct wr_log){.sinks = l->sinks ? &l->sinks->sink : NULL,
                           .conn_no = conn->no,
                           .is_debug = conn->is_debug};
}

static void log_closed(struct wr_listen_ctx *lc, struct wr_h1_server *c)
{
    struct wr_log log = conn_log(lc, wr_h1_server_conn(c));

    wr_log_debug(&log, "close: %s, %u requests", wr_reason_text(wr_h1_server_why(c)),
                 (unsigned)wr_h1_server_requests(c));
}

static void count_closed(struct wr_listen_ctx *lc)
{
    lc->conn_cnt--;
    thread.conn_cnt--;
    wr_stat_inc(WR_CNT_CONN_CLOSED);
    set_full(false);
    if (lc->is_open && lc->listener.is_paused) {
        /* Descriptors had run out: there is one now (U14.6). */
        wr_listener_resume(&lc->listener);
    }
    bury_if_done(lc);
}

static void sink_closed(struct wr_h1_sink *k, struct wr_h1_server *c)
{
    struct wr_listen_ctx *lc = ctx_of_sink(k);

    if (wr_log_may_debug()) {
        log_closed(lc, c);
    }
    count_closed(lc);
}

/* ---- connections whose protocol is not known yet ----------------------------------------------
 */

static struct wr_listen_ctx *ctx_of_shake(struct wr_shake_sink *k)
{
    return wr_container_of(k, struct wr_listen_ctx, shake_sink);
}

static const struct wr_port *shake_port(struct wr_shake_sink *k, struct wr_conn *c)
{
    return port_of_conn(ctx_of_shake(k), c);
}

static struct wr_log shake_log(struct wr_shake_sink *k, struct wr_conn *c)
{
    return conn_log(ctx_of_shake(k), c);
}

static void shake_ready(struct wr_shake_sink *k, struct wr_conn *conn)
{
    struct wr_listen_ctx *lc = ctx_of_shake(k);
    struct wr_h1_server *c = wr_h1_take(conn, &lc->sink);

    wr_list_push(&lc->conns, wr_h1_server_node(c));
    if (!lc->is_open) {
        wr_h1_server_quit(c, REMOVED_GRACE_MS);
    }
    wr_task_wake(&conn->task); /* bytes of the first request may be here */
}

static void shake_closed(struct wr_shake_sink *k, struct wr_conn *conn)
{
    (void)conn;
    count_closed(ctx_of_shake(k));
}

static const struct wr_shake_sink shake_sink = {.port = shake_port,
                                                .log = shake_log,
                                                .listen = ctx_of_shake,
                                                .ready = shake_ready,
                                                .closed = shake_closed};

/* ---- accepting ------------------------------------------------------------------------------ */

/* How many idle ones are closed at a time: an eighth of what there may be. */
static unsigned reuse_max(void)
{
    uint32_t limit = thread.cur && thread.cur->http ? thread.cur->http->worker_connections : 0;

    return limit == 0 ? REUSE_MAX : WR_MIN(WR_MAX(limit / 8, 1u), REUSE_MAX);
}

/* Idle behind a request, or silent since it came. */
static bool is_expendable(const struct wr_h1_server *c)
{
    return wr_h1_server_is_idle(c) && (wr_h1_server_requests(c) > 0 ||
                                       wr_now_ms() - wr_h1_server_idle_since_ms(c) >= SILENT_MS);
}

static unsigned close_silent(struct wr_listen_ctx *lc, unsigned *scan)
{
    unsigned closed = 0, max = reuse_max();
    struct wr_list *n, *t;

    WR_LIST_FOREACH_SAFE (n, t, &lc->shakes) {
        struct wr_shake *s = wr_shake_of_node(n);

        /* In the order in which they came. */
        if (*scan == 0 || closed >= max || !wr_shake_is_silent(s, SILENT_MS)) {
            break;
        }
        (*scan)--;
        closed++;
        wr_shake_close(s);
    }
    return closed;
}

/* Closes idle connections of one address, those that were looked at longest ago first. */
static unsigned close_idle(struct wr_listen_ctx *lc, unsigned *scan)
{
    unsigned closed = close_silent(lc, scan), max = reuse_max();

    for (uint32_t left = lc->conn_cnt; left > 0 && *scan > 0 && closed < max; left--) {
        struct wr_list *n = lc->conns.next;
        struct wr_h1_server *c;

        if (n == &lc->conns) {
            break;
        }
        c = wr_h1_server_of_node(n);
        (*scan)--;
        wr_list_remove(n);
        wr_list_push(&lc->conns, n);
        if (is_expendable(c)) {
            closed++;
            wr_h1_server_close(c, WR_REASON_SHUTDOWN);
        }
    }
    return closed;
}

static bool make_room(void)
{
    unsigned scan = REUSE_SCAN, closed = 0;
    struct wr_list *n, *t;

    WR_LIST_FOREACH_SAFE (n, t, &thread.listens) {
        closed += close_idle(wr_container_of(n, struct wr_listen_ctx, node), &scan);
        if (closed >= reuse_max() || scan == 0) {
            break;
        }
    }
    return closed > 0;
}

static bool is_at_limit(void)
{
    const struct wr_http *h = thread.cur ? thread.cur->http : NULL;

    return h && h->worker_connections > 0 && thread.conn_cnt >= h->worker_connections;
}

/* Room for one more, if need be an idle one's. is_waiting: an event told that one more waits. */
static bool has_room(struct wr_listen_ctx *lc, bool is_waiting)
{
    if (!is_at_limit()) {
        return true;
    }
    if (!is_waiting) {
        lc->listener.io.facts &= (uint16_t)~WR_IO_READABLE; /* the poller will say so again */
        return false;
    }
    if (make_room()) {
        wr_log(NULL, WR_LOG_WARN, "%u worker_connections are not enough, reusing connections",
               (unsigned)thread.cur->http->worker_connections);
        return true;
    }
    wr_log(NULL, WR_LOG_ALERT, "%u worker_connections are not enough",
           (unsigned)thread.cur->http->worker_connections);
    set_full(true);
    wr_timer_arm(&lc->full_timer, wr_now_ms() + FULL_PAUSE_MS);
    return false;
}

static bool is_debug_client(const struct wr_addr *peer)
{
    const struct wr_http *h = thread.cur ? thread.cur->http : NULL;
    struct wr_addr a = *peer;

    if (a.len == 0) {
        a.u.sa.sa_family = AF_UNIX; /* of a unix socket */
    }
    for (uint32_t i = 0; h && i < h->debug_client_cnt; i++) {
        if (wr_cidr_has(&h->debug_clients[i], &a)) {
            return true;
        }
    }
    return false;
}

static void log_accepted(struct wr_listen_ctx *lc, struct wr_conn *conn, int fd)
{
    struct wr_log log = conn_log(lc, conn);
    char text[WR_ADDR_TEXT_MAX];
    struct wr_addr a;
    int len;

    wr_conn_peer_addr(conn, &a);
    len = a.len > 0 ? (int)wr_addr_write(&a, text) : 0;
    wr_log_debug(&log, "accept: %.*s at %.*s fd:%d", len > 0 ? len : 5,
                 len > 0 ? text : "unix:", WR_STR_ARG(lc->port->text), fd);
}

/* Does something come before the first request where this connection came in: TLS, PROXY? */
static bool is_shaken(const struct wr_listen_ctx *lc, int fd)
{
    const struct wr_port *p = lc->port;
    struct wr_addr local;

    if (!p->any_tls && !p->any_proxy) {
        return false;
    }
    if (p->is_wildcard_of && wr_sock_local(fd, &local) == WR_OK) { /* else it is gone already */
        p = wr_port_of_local(p, &local);
    }
    return p->is_tls || p->is_proxy;
}

/* The connection has one of the two owners. */
static enum wr_status open_conn(struct wr_listen_ctx *lc, int fd, const struct wr_addr *peer,
                                struct wr_conn **ret)
{
    struct wr_h1_server *c = NULL;
    struct wr_shake *s = NULL;
    enum wr_status st;

    if (is_shaken(lc, fd)) {
        st = wr_shake_open(fd, peer, &lc->shake_sink, &s);
        if (st == WR_OK) {
            wr_list_push(&lc->shakes, wr_shake_node(s));
            *ret = wr_shake_conn(s);
        }
        return st;
    }
    st = wr_h1_serve(fd, peer, &lc->sink, &c);
    if (st == WR_OK) {
        wr_list_push(&lc->conns, wr_h1_server_node(c));
        *ret = wr_h1_server_conn(c);
    }
    return st;
}

static void serve(struct wr_listen_ctx *lc, int fd, const struct wr_addr *peer)
{
    struct wr_conn *c = NULL;

    wr_stat_inc(WR_CNT_CONN_ACCEPTED);
    if (open_conn(lc, fd, peer, &c) != WR_OK) {
        wr_stat_inc(WR_CNT_CONN_CLOSED);
        return; /* memory: the descriptor is closed */
    }
    lc->conn_cnt++;
    thread.conn_cnt++;
    if (wr_log_may_debug()) {
        c->is_debug = is_debug_client(peer);
        log_accepted(lc, c, fd);
    }
}

static void run_listen(struct wr_task *t)
{
    struct wr_listen_ctx *lc = wr_container_of(t, struct wr_listen_ctx, task);

    if (thread.is_full && !wr_timer_is_armed(&lc->full_timer)) {
        set_full(false); /* if one more waits its event comes now */
    }
    for (unsigned i = 0; i < WR_LISTEN_PULL_MAX && lc->is_open; i++) {
        struct wr_addr peer = {.len = 0};
        int fd = -1, err = 0;
        enum wr_status st;

        if (!has_room(lc, i == 0 && (lc->listener.io.facts & WR_IO_READABLE) != 0)) {
            return;
        }
        st = wr_listener_pull(&lc->listener, &fd, &peer, &err);
        if (st == WR_ELIMIT) {
            wr_log_errno(NULL, WR_LOG_CRIT, err, "accept4() failed");
            (void)make_room(); /* each that closes resumes */
        }
        if (st != WR_OK) {
            return;
        }
        serve(lc, fd, &peer);
    }
    if (lc->is_open) {
        wr_task_wake(&lc->task); /* there may be more: the others first */
    }
}

/* ---- addresses ------------------------------------------------------------------------------ */

/*
 * The listener of this socket, not taken yet. Those that were taken stand behind all others
 * (keep_or_open), and ports mostly come in the same order again: the first one is it.
 */
static struct wr_listen_ctx *find_open(const struct wr_port *p, int source_fd)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &thread.listens) {
        struct wr_listen_ctx *lc = wr_container_of(n, struct wr_listen_ctx, node);

        if (lc->is_kept) {
            break;
        }
        if (lc->is_open && lc->source_fd == source_fd && wr_str_eq(lc->port->text, p->text)) {
            return lc;
        }
    }
    return NULL;
}

static enum wr_status open_port(struct wr_gen_slot *slot, const struct wr_port *p, int source_fd)
{
    struct wr_listen_ctx *lc;
    enum wr_status st;
    int fd = wr_poll_dup(source_fd);

    if (fd == -1) {
        return WR_ESYS;
    }
    lc = wr_run_zalloc(sizeof(*lc));
    if (!lc) {
        wr_sock_close(fd);
        return WR_ENOMEM;
    }
    lc->sink = (struct wr_h1_sink){.opts = sink_opts, .open = sink_open, .closed = sink_closed};
    lc->shake_sink = shake_sink;
    lc->port = p;
    lc->slot = slot;
    lc->source_fd = source_fd;
    lc->is_open = lc->is_kept = true;
    wr_list_init(&lc->conns);
    wr_list_init(&lc->shakes);
    wr_list_init(&lc->node);
    wr_task_init(&lc->task, run_listen, "listen");
    wr_timer_init(&lc->full_timer, &lc->task);
    st = wr_listener_open(&lc->listener, fd, &lc->task);
    if (st != WR_OK) {
        wr_listener_close(&lc->listener);
        wr_mem_free(lc);
        return st;
    }
    pin(slot);
    wr_list_push(&thread.listens, &lc->node);
    if (thread.is_full) {
        wr_listener_pause(&lc->listener);
    }
    return WR_OK;
}

/* Those that wait in the queue would be reset when the listener closes: they are served as well. */
static void accept_waiting(struct wr_listen_ctx *lc)
{
    for (unsigned i = 0; i < ACCEPT_LAST_MAX && !is_at_limit(); i++) {
        struct wr_addr peer = {.len = 0};
        int fd = -1, err = 0;

        if (wr_listener_pull(&lc->listener, &fd, &peer, &err) != WR_OK) {
            return;
        }
        serve(lc, fd, &peer);
    }
}

/* No more accepting; connections end gracefully. */
static void close_ctx(struct wr_listen_ctx *lc, uint32_t grace_ms)
{
    struct wr_list *n, *t;

    if (lc->is_open) {
        accept_waiting(lc);
        lc->is_open = false;
        wr_listener_close(&lc->listener);
        wr_task_cancel(&lc->task);
    }
    WR_LIST_FOREACH_SAFE (n, t, &lc->shakes) {
        wr_shake_quit(wr_shake_of_node(n), grace_ms);
    }
    WR_LIST_FOREACH_SAFE (n, t, &lc->conns) {
        wr_h1_server_quit(wr_h1_server_of_node(n), grace_ms);
    }
    bury_if_done(lc);
}

/* The listener of this socket serves the generation from now on; there may be none yet. */
static enum wr_status keep_or_open(struct wr_gen_slot *slot, const struct wr_port *p, int source_fd)
{
    struct wr_listen_ctx *lc = find_open(p, source_fd);
    struct wr_gen_slot *old;

    if (!lc) {
        return open_port(slot, p, source_fd);
    }
    old = lc->slot;
    wr_list_remove(&lc->node);
    wr_list_push(&thread.listens, &lc->node);
    lc->is_kept = true;
    lc->port = p;
    lc->slot = slot;
    pin(slot);
    unpin(old);
    return WR_OK;
}

/* Of the sockets that share the address this thread's; no socket is without a thread. */
static enum wr_status open_sockets(struct wr_gen_slot *slot, const struct wr_port *p)
{
    unsigned i = thread.no, step = slot->http->threads;
    enum wr_status st = WR_OK;

    if (p->fd_cnt <= thread.no) {
        return p->fd_cnt == 0 ? WR_ESYS : keep_or_open(slot, p, p->fds[thread.no % p->fd_cnt]);
    }
    for (; i < p->fd_cnt && st == WR_OK; i += step) {
        st = keep_or_open(slot, p, p->fds[i]);
    }
    return st;
}

/* All ports of the generation have a listener of this thread, or none was changed. */
static enum wr_status open_ports(struct wr_gen_slot *slot)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &thread.listens) {
        wr_container_of(n, struct wr_listen_ctx, node)->is_kept = false;
    }
    for (size_t i = 0; slot->http && i < slot->http->port_cnt; i++) {
        enum wr_status st = open_sockets(slot, &slot->http->ports[i]);

        if (st != WR_OK) {
            return st;
        }
    }
    return WR_OK;
}

enum wr_status wr_http_adopt(struct wr_gen *g, unsigned thread_no)
{
    struct wr_gen_slot *slot = NULL, *old;
    struct wr_list *n;
    enum wr_status st;

    prepare_thread();
    thread.no = thread_no;
    st = make_slot(g, &slot);
    if (st != WR_OK) {
        return st;
    }
    /* From now on it is current also if a socket fails: the others serve it. */
    old = thread.cur;
    thread.cur = slot;
    if (old) {
        pin(old);
    }
    st = open_ports(slot);
    WR_LIST_FOREACH (n, &thread.listens) {
        struct wr_listen_ctx *lc = wr_container_of(n, struct wr_listen_ctx, node);

        if (lc->is_open && !lc->is_kept) {
            wr_listener_ignore_new(&lc->listener);
        }
    }
    if (old) {
        unpin(old);
    }
    return st;
}

void wr_http_close_removed(void)
{
    struct wr_list *n, *t;

    prepare_thread();
    WR_LIST_FOREACH_SAFE (n, t, &thread.listens) {
        struct wr_listen_ctx *lc = wr_container_of(n, struct wr_listen_ctx, node);

        if (lc->is_open && !lc->is_kept) {
            close_ctx(lc, REMOVED_GRACE_MS);
        }
    }
}

void wr_http_quit(uint32_t grace_ms)
{
    struct wr_list *n, *t;

    prepare_thread();
    WR_LIST_FOREACH_SAFE (n, t, &thread.listens) {
        close_ctx(wr_container_of(n, struct wr_listen_ctx, node), grace_ms);
    }
}

static bool is_old(const struct wr_gen_slot *slot, uint64_t no)
{
    return slot && slot != thread.cur && slot->gen->no <= no;
}

/* The address, which does not accept any more, ends with the last of them. */
static void close_all(struct wr_listen_ctx *lc)
{
    struct wr_list *n, *t;

    lc->req_cnt++; /* until the lists are empty */
    WR_LIST_FOREACH_SAFE (n, t, &lc->shakes) {
        wr_shake_close(wr_shake_of_node(n));
    }
    WR_LIST_FOREACH_SAFE (n, t, &lc->conns) {
        wr_h1_server_close(wr_h1_server_of_node(n), WR_REASON_SHUTDOWN);
    }
    lc->req_cnt--;
    bury_if_done(lc);
}

unsigned wr_http_end_old(uint64_t no)
{
    struct wr_list *n, *t;
    unsigned cnt = 0;

    prepare_thread();
    WR_LIST_FOREACH_SAFE (n, t, &thread.reqs) {
        struct wr_req *r = wr_container_of(n, struct wr_req, node);

        if (!is_old(wr_reqx_of(r)->slot, no) || !r->stream) {
            continue;
        }
        if (r->stream->codec) {
            r->stream->ops->reset(r->stream, WR_REASON_SHUTDOWN);
        }
        wr_req_cancel(r, WR_REASON_SHUTDOWN); /* also when it waits for its subrequests only */
        cnt++;
    }
    WR_LIST_FOREACH_SAFE (n, t, &thread.listens) {
        struct wr_listen_ctx *lc = wr_container_of(n, struct wr_listen_ctx, node);

        if (lc->is_open || !is_old(lc->slot, no)) {
            continue;
        }
        cnt += lc->conn_cnt;
        close_all(lc);
    }
    return cnt;
}

void wr_http_stop(void)
{
    struct wr_gen_slot *cur;
    struct wr_list *n, *t;

    prepare_thread();
    WR_LIST_FOREACH_SAFE (n, t, &thread.listens) {
        struct wr_listen_ctx *lc = wr_container_of(n, struct wr_listen_ctx, node);

        if (lc->is_open) {
            lc->is_open = false;
            wr_listener_close(&lc->listener);
            wr_task_cancel(&lc->task);
        }
        close_all(lc);
    }
    WR_LIST_FOREACH (n, &thread.reqs) {
        wr_req_cancel(wr_container_of(n, struct wr_req, node), WR_REASON_SHUTDOWN);
    }
    cur = wr_take(&thread.cur);
    if (cur) {
        pin(cur);
        unpin(cur); /* requests that still end keep it */
    }
    wr_regex_thread_fini();
}

/* ---- looking ----------------------------------------------------------------------------------
 */

/* slot->cnt is what pins it: requests and addresses. */
static void look_at_slot(const struct wr_gen_slot *slot, struct wr_http_gen_use *ret)
{
    struct wr_list *n;

    *ret = (struct wr_http_gen_use){.no = slot->gen->no, .is_current = slot == thread.cur};
    WR_LIST_FOREACH (n, &thread.listens) {
        const struct wr_listen_ctx *lc = wr_container_of(n, struct wr_listen_ctx, node);

        if (lc->slot == slot) {
            ret->listens++;
            ret->conns += lc->conn_cnt;
        }
    }
    ret->reqs = slot->cnt - ret->listens;
}

void wr_http_look(struct wr_http_facts *ret)
{
    struct wr_list *n;

    prepare_thread();
    ret->conn_cnt = thread.conn_cnt;
    ret->req_cnt = thread.req_cnt;
    ret->gen_cnt = 0;
    WR_LIST_FOREACH (n, &thread.slots) {
        if (ret->gen_cnt < WR_HTTP_GENS_MAX) {
            look_at_slot(wr_container_of(n, struct wr_gen_slot, node), &ret->gens[ret->gen_cnt++]);
        }
    }
}

void wr_http_reqs_each(wr_http_req_fn *fn, void *data)
{
    struct wr_list *n;

    prepare_thread();
    WR_LIST_FOREACH (n, &thread.reqs) {
        fn(data, wr_container_of(n, struct wr_req, node));
    }
}
