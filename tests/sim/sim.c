/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.c: the poll back end of the simulator, its sockets, its clock and its run, see sim.h.
 *
 * wait() notes all sockets in a random order; batch() looks at some of them and stores the facts
 * that a kernel would tell. Nothing is armed: a socket is asked each turn. `activity` counts
 * everything that has moved; a turn without activity and with an empty run queue means that only
 * time can help.
 */
#include "sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/stat.h"
#include "event/mailbox.h"
#include "event/poll_int.h"
#include "io/kpipe.h"
#include "sim/sim_int.h"

#define SIM_BUF_CAP   65536u
#define SIM_RX_MAX    65536u
#define SIM_TURNS_MAX 1000000u
#define SIM_DAY_MS    86400000u
#define SIM_START_MS  1000000u

/* An address somebody listens at, or that has a rule. */
struct sim_place {
    struct sim_place *next;
    struct wr_addr addr;
    bool is_open, is_blackhole;
    int fd;           /* listening socket of the code under test, or -1 */
    struct wr_io *io; /* its io */
    sim_accept_fn *fn;
    void *data;
    const struct sim_step *steps;
    unsigned accepted;
    struct sim_sock *queue[64]; /* for the code under test to accept */
    unsigned queued;
    struct sim_sock **socks; /* the listening side of each connection */
    unsigned sock_cap;
};

struct sim {
    struct wr_poll poll;
    struct sim_conf conf;
    struct wr_loop *loop;
    uint64_t now_us;
    uint64_t activity;
    unsigned turns;   /* of the loop so far */
    bool has_delayed; /* an event was put off in this turn */
    unsigned fail_accepts;
    unsigned piped; /* receives to kernel pipes */
    struct sim_place *places;
    struct sim_sock *socks;
    int next_fd;
    int *order; /* descriptors of this turn, shuffled */
    unsigned order_at, order_cnt, order_cap;
    void **by_fd; /* struct sim_sock or struct sim_place */
    bool *is_place;
    unsigned fd_cap;
};

/* ---- failing allocations -------------------------------------------------------------------- */

static struct {
    uint64_t at; /* 0: off */
    uint64_t seen;
} fault;

bool sim_is_faulted(void)
{
    return fault.at != 0;
}

unsigned sim_torture(sim_scenario_fn *fn, void *data)
{
    bool tries_all = getenv("WEIR_TORTURE") != NULL;
    unsigned runs = 0;
    size_t mem;
    uint64_t chunks;

    /* Once without faults: caches fill, and it must work at all. */
    fault.at = 0;
    fn(data);
    mem = wr_mem_in_use();
    chunks = wr_chunk_in_use();
    for (uint64_t n = 1;; n += tries_all ? 1 : 1 + n / 24) {
        fault.at = n;
        fn(data);
        WR_ASSERT(wr_mem_in_use() == mem);
        WR_ASSERT(wr_chunk_in_use() == chunks);
        if (fault.seen < n) {
            break;
        }
        runs++;
    }
    fault.at = 0;
    return runs;
}

/* ---- chance, time, addresses ---------------------------------------------------------------- */

static size_t pick_size(struct sim *s, size_t n)
{
    if (!s->conf.short_io || n <= 1 || wr_rng_below(3) == 0) {
        return n;
    }
    return 1 + (size_t)wr_rng_below(wr_rng_below(2) == 0 ? WR_MIN(n, 16) : n);
}

static uint64_t read_clock(void *data)
{
    return ((struct sim *)data)->now_us;
}

uint64_t sim_now_ms(const struct sim *s)
{
    return s->now_us / 1000;
}

void sim_jump(struct sim *s, uint64_t ms)
{
    s->now_us += ms * 1000;
}

struct wr_addr sim_addr(unsigned host, uint16_t port)
{
    struct wr_addr a;

    memset(&a, 0, sizeof(a));
    a.len = sizeof(a.u.in);
    a.u.in.sin_family = AF_INET;
    a.u.in.sin_addr.s_addr = htonl(0x0a000000u + host);
    a.u.in.sin_port = htons(port);
    return a;
}

static struct sim_place *find_place(const struct sim *s, const struct wr_addr *a)
{
    for (struct sim_place *p = s->places; p; p = p->next) {
        if (wr_addr_eq(&p->addr, a)) {
            return p;
        }
    }
    return NULL;
}

static struct sim_place *get_place(struct sim *s, const struct wr_addr *a)
{
    struct sim_place *p = find_place(s, a);

    if (!p) {
        p = wr_mem_alloc(sizeof(*p));
        p->addr = *a;
        p->fd = -1;
        p->next = s->places;
        s->places = p;
    }
    p->is_open = true;
    p->is_blackhole = false;
    p->fn = NULL;
    p->steps = NULL;
    return p;
}

static int take_fd(struct sim *s, void *what, bool is_place)
{
    unsigned i = (unsigned)(s->next_fd++ - SIM_FD_BASE);

    if (i >= s->fd_cap) {
        s->fd_cap = s->fd_cap == 0 ? 64 : s->fd_cap * 2;
        s->by_fd = wr_mem_realloc(s->by_fd, s->fd_cap * sizeof(*s->by_fd));
        s->is_place = wr_mem_realloc(s->is_place, s->fd_cap * sizeof(*s->is_place));
    }
    s->by_fd[i] = what;
    s->is_place[i] = is_place;
    return SIM_FD_BASE + (int)i;
}

static void *look_up(struct sim *s, int fd, bool want_place)
{
    if (fd < SIM_FD_BASE || fd >= s->next_fd || s->is_place[fd - SIM_FD_BASE] != want_place) {
        return NULL;
    }
    return s->by_fd[fd - SIM_FD_BASE];
}

int sim_listen(struct sim *s, const struct wr_addr *a)
{
    struct sim_place *p = get_place(s, a);

    p->fd = take_fd(s, p, true);
    return p->fd;
}

void sim_serve(struct sim *s, const struct wr_addr *a, sim_accept_fn *fn, void *data)
{
    struct sim_place *p = get_place(s, a);

    p->fn = fn;
    p->data = data;
}

void sim_serve_script(struct sim *s, const struct wr_addr *a, const struct sim_step *steps)
{
    get_place(s, a)->steps = steps;
}

void sim_unserve(struct sim *s, const struct wr_addr *a)
{
    get_place(s, a)->is_open = false;
}

void sim_blackhole(struct sim *s, const struct wr_addr *a)
{
    get_place(s, a)->is_blackhole = true;
}

unsigned sim_accepted(const struct sim *s, const struct wr_addr *a)
{
    const struct sim_place *p = find_place(s, a);

    return p ? p->accepted : 0;
}

struct sim_sock *sim_accepted_sock(const struct sim *s, const struct wr_addr *a, unsigned n)
{
    const struct sim_place *p = find_place(s, a);

    return p && n < p->accepted ? p->socks[n] : NULL;
}

void sim_fail_accepts(struct sim *s, unsigned n)
{
    s->fail_accepts = n;
}

/* ---- sockets -------------------------------------------------------------------------------- */

static void run_sock(struct wr_task *t)
{
    struct sim_sock *k = wr_container_of(t, struct sim_sock, task);

    if (k->watch) {
        k->watch(k, k->watch_data);
    }
}

/* Something that the owner of this end may see has changed. */
static void touch(struct sim_sock *k)
{
    k->sim->activity++;
    if (k->watch && !k->is_closed) {
        wr_task_wake(&k->task);
    }
}

static struct sim_sock *make_sock(struct sim *s)
{
    struct sim_sock *k = wr_mem_alloc(sizeof(*k));

    k->sim = s;
    k->next = s->socks;
    s->socks = k;
    k->fd = -1;
    k->rx.cap = s->conf.buf_cap;
    k->rx.buf = wr_mem_alloc(k->rx.cap);
    k->rx.reset_at = UINT64_MAX;
    wr_task_init(&k->task, run_sock, "sim socket");
    return k;
}

static struct sim_sock *make_pair(struct sim *s)
{
    struct sim_sock *a = make_sock(s);

    a->peer = make_sock(s);
    a->peer->peer = a;
    return a;
}

/* k is the listening side's end of a new connection. False: the queue is full. */
static bool arrive(struct sim *s, struct sim_place *p, struct sim_sock *k)
{
    if (p->fd != -1 && p->queued == WR_ARRAY_LEN(p->queue)) {
        return false;
    }
    if (p->accepted == p->sock_cap) {
        p->sock_cap = p->sock_cap == 0 ? 16 : p->sock_cap * 2;
        p->socks = wr_mem_realloc(p->socks, p->sock_cap * sizeof(struct sim_sock *));
    }
    p->socks[p->accepted++] = k;
    s->activity++;
    if (p->fd != -1) {
        p->queue[p->queued++] = k;
        return true;
    }
    if (p->steps) {
        sim_script(k, p->steps);
    } else if (p->fn) {
        p->fn(k, p->data);
    }
    return true;
}

struct sim_sock *sim_dial(struct sim *s, const struct wr_addr *a)
{
    struct sim_place *p = find_place(s, a);
    struct sim_sock *k;

    if (!p || !p->is_open || p->fd == -1) {
        return NULL;
    }
    k = make_pair(s);
    k->addr = *a;
    k->peer->addr = sim_addr(0x10000u + (unsigned)(s->activity & 0xff), 40000);
    return arrive(s, p, k->peer) ? k : NULL;
}

void sim_watch(struct sim_sock *k, sim_accept_fn *fn, void *data)
{
    k->watch = fn;
    k->watch_data = data;
    wr_task_wake(&k->task);
}

void sim_break(struct sim_sock *k)
{
    k->is_reset = true;
    k->peer->is_reset = true;
    touch(k);
    touch(k->peer);
}

static void put_bytes(struct sim_pipe *p, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p->buf[(p->head + p->len + i) % p->cap] = bytes[i];
    }
    p->len += n;
    p->total += n;
}

static void get_bytes(struct sim_pipe *p, char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = p->buf[(p->head + i) % p->cap];
    }
    p->head = (p->head + n) % p->cap;
    p->len -= n;
}

unsigned sim_piped(const struct sim *s)
{
    return s->piped;
}

/* From k to its peer, as many as find room. */
static size_t pass_bytes(struct sim_sock *k, const char *bytes, size_t n)
{
    struct sim_pipe *p = &k->peer->rx;

    if (k->peer->is_closed) {
        /* Nobody is there any more: the answer is a reset, behind the end that came before it and
         * is what can be read, as on Linux. */
        k->is_refused = k->rx.is_fin;
        sim_break(k);
        return n;
    }
    n = WR_MIN(n, p->cap - p->len);
    if (n > 0 && p->total + n > p->reset_at) {
        n = (size_t)(p->reset_at - p->total);
    }
    put_bytes(p, bytes, n);
    if (n > 0) {
        touch(k->peer);
    }
    if (p->total >= p->reset_at) {
        sim_break(k);
    }
    return n;
}

size_t sim_write(struct sim_sock *k, const void *bytes, size_t n)
{
    if (k->is_closed || k->is_reset || k->peer->rx.is_fin) {
        return 0;
    }
    return pass_bytes(k, bytes, n);
}

size_t sim_readable(const struct sim_sock *k)
{
    return k->rx.len;
}

size_t sim_read(struct sim_sock *k, void *buf, size_t n)
{
    n = WR_MIN(n, k->rx.len);
    get_bytes(&k->rx, buf, n);
    if (n > 0) {
        touch(k->peer);
    }
    return n;
}

bool sim_is_eof(const struct sim_sock *k)
{
    return k->rx.len == 0 && k->rx.is_fin && !k->is_reset;
}

bool sim_is_reset(const struct sim_sock *k)
{
    return k->is_reset;
}

bool sim_is_closed(const struct sim_sock *k)
{
    return k->is_closed;
}

void sim_shutdown(struct sim_sock *k)
{
    if (!k->peer->rx.is_fin) {
        k->peer->rx.is_fin = true;
        touch(k->peer);
    }
}

static void close_sock(struct sim_sock *k, bool reset)
{
    if (k->is_closed) {
        return;
    }
    if (!k->is_reset && (reset || k->rx.len > 0)) {
        sim_break(k);
    }
    sim_shutdown(k);
    k->is_closed = true;
    k->io = NULL;
    k->fd = -1;
    k->sim->activity++;
}

void sim_close(struct sim_sock *k)
{
    close_sock(k, false);
}

void sim_reset(struct sim_sock *k)
{
    close_sock(k, true);
}

void sim_reset_at(struct sim_sock *k, enum sim_dir dir, uint64_t n)
{
    struct sim_pipe *p = dir == SIM_RX ? &k->rx : &k->peer->rx;

    p->reset_at = n;
    if (p->total >= n) {
        sim_break(k);
    }
}

uint64_t sim_total(const struct sim_sock *k, enum sim_dir dir)
{
    return dir == SIM_RX ? k->rx.total : k->peer->rx.total;
}

/* ---- the poll's operations ------------------------------------------------------------------ */

static struct sim *sim_of(struct wr_poll *p)
{
    return wr_container_of(p, struct sim, poll);
}

static enum wr_status op_adopt(struct wr_poll *p, struct wr_io *io, int fd)
{
    struct sim_sock *k = look_up(sim_of(p), fd, false);
    struct sim_place *place = look_up(sim_of(p), fd, true);

    if (k) {
        k->io = io;
    } else if (place) {
        place->io = io;
    }
    io->_in_set = true;
    io->_armed = WR_IOA_IN | WR_IOA_RDHUP;
    sim_of(p)->activity++;
    return WR_OK;
}

static void close_place(struct sim_place *place)
{
    place->io = NULL;
    place->fd = -1;
    place->is_open = false;
    while (place->queued > 0) {
        close_sock(place->queue[--place->queued], true);
    }
}

static void op_close(struct wr_poll *p, struct wr_io *io, bool reset)
{
    struct sim_sock *k = look_up(sim_of(p), io->fd, false);
    struct sim_place *place = look_up(sim_of(p), io->fd, true);

    if (k) {
        close_sock(k, reset);
    } else if (place) {
        close_place(place);
    } else {
        close(io->fd);
    }
}

static int op_detach(struct wr_poll *p, struct wr_io *io)
{
    struct sim_sock *k = look_up(sim_of(p), io->fd, false);

    if (k) {
        k->io = NULL;
    }
    return io->fd;
}

static void op_want(struct wr_poll *p, struct wr_io *io, bool in)
{
    unsigned old = io->_wants;

    io->_wants = (uint8_t)(in ? old | WR_IOW_IN : old & ~(unsigned)WR_IOW_IN);
    if (io->_wants != old) {
        sim_of(p)->activity++;
    }
}

static enum wr_status fail_send(struct wr_io *io, int err)
{
    io->err = io->err == 0 ? err : io->err;
    io->facts |= WR_IO_ERR;
    return WR_ESYS;
}

static enum wr_status op_send(struct wr_poll *p, struct wr_io *io, const struct iovec *iov, int cnt,
                              size_t *ret_n)
{
    struct sim *s = sim_of(p);
    struct sim_sock *k = look_up(s, io->fd, false);
    size_t total = 0, room, sent = 0;

    WR_ASSERT(k);
    if (io->is_connecting) {
        return WR_AGAIN;
    }
    if (k->is_reset || k->peer->rx.is_fin) {
        return fail_send(io, k->is_reset ? ECONNRESET : EPIPE);
    }
    for (int i = 0; i < cnt; i++) {
        total += iov[i].iov_len;
    }
    room = k->peer->rx.cap - k->peer->rx.len;
    if (k->peer->is_closed) {
        room = total;
    }
    room = pick_size(s, WR_MIN(room, total));
    for (int i = 0; i < cnt && sent < room; i++) {
        size_t n = WR_MIN(iov[i].iov_len, room - sent);

        if (k->is_reset) {
            break;
        }
        sent += pass_bytes(k, iov[i].iov_base, n);
    }
    if (sent == 0 && k->is_reset) {
        return fail_send(io, ECONNRESET);
    }
    io->tx_total += sent;
    if (sent < total) {
        io->facts &= (uint16_t)~WR_IO_WRITABLE;
        io->_wants |= WR_IOW_OUT;
    }
    if (sent == 0 && total > 0) {
        return WR_AGAIN;
    }
    *ret_n = sent;
    return WR_OK;
}

/* What was passed to a socket that is closed was lost, and broke the connection (pass_bytes). */
static enum wr_io_fate op_get_fate(struct wr_poll *p, struct wr_io *io, uint64_t since)
{
    const struct sim_sock *k = look_up(sim_of(p), io->fd, false);

    WR_ASSERT(k);
    if (k->peer->rx.total > since) {
        return WR_IO_TAKEN;
    }
    return k->peer->is_closed ? WR_IO_LOST : WR_IO_FLYING;
}

static enum wr_status op_send_file(struct wr_poll *p, struct wr_io *io, int file_fd, uint64_t off,
                                   size_t n, size_t *ret_n)
{
    static char buf[16384];
    ssize_t k = pread(file_fd, buf, WR_MIN(n, sizeof(buf)), (off_t)off);
    struct iovec iov = {buf, 0};

    if (k < 0) {
        return fail_send(io, errno);
    }
    if (k == 0) {
        *ret_n = 0;
        return WR_EOF;
    }
    iov.iov_len = (size_t)k;
    return op_send(p, io, &iov, 1, ret_n);
}

/* The bytes of a real kernel pipe; what finds no room at the other side stays in it. */
static enum wr_status op_send_pipe(struct wr_poll *p, struct wr_io *io, int pipe_fd, size_t n,
                                   size_t *ret_n)
{
    static char buf[16384];
    struct sim *s = sim_of(p);
    struct sim_sock *k = look_up(s, io->fd, false);
    size_t room = k->peer->is_closed ? SIZE_MAX : k->peer->rx.cap - k->peer->rx.len;
    size_t fits = WR_MIN(WR_MIN(n, sizeof(buf)), room);
    struct iovec iov = {buf, 1};
    ssize_t got = 0;
    size_t sent = 0;
    enum wr_status st;

    if (fits > 0 && !k->is_reset && !k->peer->rx.is_fin) {
        fits = pick_size(s, fits);
        got = read(pipe_fd, buf, fits);
        WR_ASSERT(got > 0 && (size_t)got == fits);
        if (k->is_reset) {
            return fail_send(io, ECONNRESET);
        }
        while (sent < fits) {
            size_t passed = pass_bytes(k, buf + sent, fits - sent);

            if (passed == 0) {
                return fail_send(io, ECONNRESET);
            }
            sent += passed;
        }
        io->tx_total += sent;
        *ret_n = sent;
        if (sent < n) {
            io->facts &= (uint16_t)~WR_IO_WRITABLE;
            io->_wants |= WR_IOW_OUT;
        }
        return WR_OK;
    }
    if (fits == 0) {
        io->facts &= (uint16_t)~WR_IO_WRITABLE;
        io->_wants |= WR_IOW_OUT;
        return WR_AGAIN;
    }
    st = op_send(p, io, &iov, 1, &sent); /* says why nothing goes */
    WR_ASSERT(st != WR_OK);
    return st;
}

static enum wr_status op_accept(struct wr_poll *p, struct wr_io *io, int *ret_fd,
                                struct wr_addr *ret_peer)
{
    struct sim *s = sim_of(p);
    struct sim_place *place = look_up(s, io->fd, true);
    struct sim_sock *k;

    WR_ASSERT(place);
    if (place->queued == 0) {
        io->facts &= (uint16_t)~WR_IO_READABLE;
        return WR_AGAIN;
    }
    if (s->fail_accepts > 0) {
        s->fail_accepts--;
        io->err = EMFILE;
        return WR_ELIMIT;
    }
    k = place->queue[0];
    place->queued--;
    memmove(place->queue, place->queue + 1, place->queued * sizeof(struct sim_sock *));
    k->fd = take_fd(s, k, false);
    s->activity++;
    *ret_fd = k->fd;
    *ret_peer = k->addr;
    return WR_OK;
}

static enum wr_status op_connect(struct wr_poll *p, struct wr_io *io, const struct wr_addr *to,
                                 const struct wr_connect_opts *opts)
{
    struct sim *s = sim_of(p);
    struct sim_place *place = find_place(s, to);
    bool is_refused = !place || (!place->is_open && !place->is_blackhole);
    struct sim_sock *k;

    (void)opts;
    if (is_refused && wr_rng_below(2) == 0) {
        io->err = ECONNREFUSED;
        return WR_ESYS;
    }
    k = make_pair(s);
    k->addr = *to;
    k->peer->addr = sim_addr(1, 50000);
    k->fd = take_fd(s, k, false);
    k->io = io;
    k->connect_at_ms = sim_now_ms(s) + wr_rng_below((uint64_t)s->conf.connect_ms + 1);
    if (place && place->is_blackhole) {
        k->connect_at_ms = UINT64_MAX;
    }
    k->connect_errno = is_refused ? ECONNREFUSED : 0;
    io->fd = k->fd;
    io->_in_set = true;
    io->_armed = WR_IOA_IN | WR_IOA_RDHUP | WR_IOA_OUT;
    s->activity++;
    return WR_AGAIN;
}

static enum wr_status op_shutdown(struct wr_poll *p, struct wr_io *io)
{
    struct sim_sock *k = look_up(sim_of(p), io->fd, false);

    WR_ASSERT(k);
    if (k->is_reset) {
        return WR_ESYS;
    }
    sim_shutdown(k);
    return WR_OK;
}

/* ---- events --------------------------------------------------------------------------------- */

static void tell(struct sim *s, struct wr_io *io)
{
    s->activity++;
    wr_task_wake_opt(io->task);
}

static void end_connect(struct sim *s, struct sim_sock *k)
{
    struct wr_io *io = k->io;
    struct sim_place *place = find_place(s, &k->addr);

    if (k->connect_at_ms > sim_now_ms(s)) {
        return;
    }
    io->is_connecting = false;
    if (k->connect_errno == 0 && (!place || !place->is_open || !arrive(s, place, k->peer))) {
        k->connect_errno = ECONNREFUSED;
    }
    if (k->connect_errno != 0) {
        io->err = k->connect_errno;
        io->facts |= WR_IO_ERR;
        io->_wants |= WR_IOW_RX_DONE;
        k->is_reset = true;
    } else {
        io->facts |= WR_IO_CONNECTED;
    }
    tell(s, io);
}

static void end_receiving(struct sim *s, struct wr_io *io, int err)
{
    io->_wants |= WR_IOW_RX_DONE;
    if (err != 0 && io->err == 0) {
        io->err = err;
    }
    io->facts |= io->err != 0 ? WR_IO_ERR : WR_IO_EOF;
    tell(s, io);
}

/* False: the pipe is full. */
static bool receive_to_pipe(struct sim *s, struct sim_sock *k)
{
    static char buf[16384];
    struct wr_io *io = k->io;
    size_t n = WR_MIN(WR_MIN(k->rx.len, sizeof(buf)), (size_t)io->rx_max);
    ssize_t sent;

    n = pick_size(s, n);
    for (size_t i = 0; i < n; i++) {
        buf[i] = k->rx.buf[(k->rx.head + i) % k->rx.cap];
    }
    sent = write(io->rx_pipe, buf, n);
    if (sent <= 0) {
        io->facts |= WR_IO_PIPE_FULL;
        io->rx_pipe = -1;
        return false;
    }
    get_bytes(&k->rx, buf, (size_t)sent);
    s->piped++;
    io->rx_piped = (uint32_t)sent;
    io->rx_total += (uint64_t)sent;
    touch(k->peer);
    tell(s, io);
    return true;
}

static void receive(struct sim *s, struct sim_sock *k)
{
    struct wr_io *io = k->io;
    size_t n = WR_MIN(k->rx.len, (size_t)SIM_RX_MAX);
    struct wr_chunk *c;

    if (n == 0) {
        if (k->is_reset || k->rx.is_fin) {
            end_receiving(s, io, k->is_reset && !k->is_refused ? ECONNRESET : 0);
        }
        return;
    }
    if (io->rx_pipe != -1 && receive_to_pipe(s, k)) {
        return;
    }
    if (io->rx_max != 0) {
        n = WR_MIN(n, (size_t)io->rx_max);
    }
    n = pick_size(s, n);
    c = wr_chunk_new(wr_chunk_class_for(n));
    if (!c) {
        s->has_delayed = true; /* tried again next turn */
        return;
    }
    get_bytes(&k->rx, c->data, n);
    c->fill = (uint32_t)n;
    io->rx = c;
    io->rx_off = 0;
    io->rx_len = (uint32_t)n;
    io->rx_total += n;
    touch(k->peer);
    tell(s, io);
}

static bool can_receive(const struct wr_io *io)
{
    return io->rx == NULL && io->rx_piped == 0 &&
           (io->_wants & (WR_IOW_IN | WR_IOW_RX_DONE)) == WR_IOW_IN;
}

static void op_look(struct wr_poll *p, struct wr_io *io)
{
    struct sim_sock *k = look_up(sim_of(p), io->fd, false);

    if (k && !io->is_connecting && can_receive(io)) {
        receive(sim_of(p), k);
    }
}

static uint32_t op_unread(struct wr_poll *p, const struct wr_io *io)
{
    struct sim_sock *k = look_up(sim_of(p), io->fd, false);

    return k ? (uint32_t)k->peer->rx.len : 0;
}

static void look_at_sock(struct sim *s, struct sim_sock *k)
{
    struct wr_io *io = k->io;

    if (io->is_connecting) {
        end_connect(s, k);
        return;
    }
    if ((io->_wants & WR_IOW_OUT) != 0 &&
        (k->is_reset || k->peer->is_closed || k->peer->rx.len < k->peer->rx.cap)) {
        io->_wants &= (uint8_t)~WR_IOW_OUT;
        io->facts |= WR_IO_WRITABLE;
        tell(s, io);
    }
    if (can_receive(io)) {
        receive(s, k);
    }
    if (k->rx.is_fin && (io->facts & WR_IO_RDHUP) == 0) {
        io->facts |= WR_IO_RDHUP;
        tell(s, io);
    }
    if (k->is_reset && (io->facts & WR_IO_HUP) == 0) {
        io->facts |= WR_IO_HUP;
        tell(s, io);
    }
}

static void look_at(struct sim *s, int fd)
{
    struct sim_sock *k = look_up(s, fd, false);
    struct sim_place *place = look_up(s, fd, true);

    if (place && place->io && place->queued > 0 && (place->io->_wants & WR_IOW_IN) != 0 &&
        (place->io->facts & WR_IO_READABLE) == 0) {
        place->io->facts |= WR_IO_READABLE;
        tell(s, place->io);
    } else if (place && place->io && place->queued > 0 && (place->io->_wants & WR_IOW_IN) != 0) {
        /* Level-triggered: an owner that left connections in the queue is told again. */
        tell(s, place->io);
    }
    if (k && k->io) {
        look_at_sock(s, k);
    }
}

static void add_to_order(struct sim *s, int fd)
{
    if (s->order_cnt == s->order_cap) {
        s->order_cap = s->order_cap == 0 ? 64 : s->order_cap * 2;
        s->order = wr_mem_realloc(s->order, s->order_cap * sizeof(*s->order));
    }
    s->order[s->order_cnt++] = fd;
}

static void op_wait(struct wr_poll *p, int timeout_ms)
{
    struct sim *s = sim_of(p);

    (void)timeout_ms;
    if (s->order_at < s->order_cnt) {
        return;
    }
    s->order_at = s->order_cnt = 0;
    for (struct sim_place *place = s->places; place; place = place->next) {
        if (place->io) {
            add_to_order(s, place->fd);
        }
    }
    for (struct sim_sock *k = s->socks; k; k = k->next) {
        if (k->io) {
            add_to_order(s, k->fd);
        }
    }
    for (unsigned i = s->order_cnt; i > 1; i--) {
        unsigned j = (unsigned)wr_rng_below(i);
        int fd = s->order[i - 1];

        s->order[i - 1] = s->order[j];
        s->order[j] = fd;
    }
}

static bool op_batch(struct wr_poll *p)
{
    struct sim *s = sim_of(p);
    unsigned left = 1 + (unsigned)wr_rng_below(32);

    for (; left > 0 && s->order_at < s->order_cnt; left--) {
        int fd = s->order[s->order_at++];

        if (s->conf.delays && wr_rng_below(4) == 0) {
            s->has_delayed = true;
            continue;
        }
        look_at(s, fd);
    }
    return s->order_at < s->order_cnt;
}

static void op_free(struct wr_poll *p)
{
    /* The sim frees itself after the loop. */
    (void)p;
}

/* A listening socket has one user here: the duplicate is the descriptor itself. */
static int op_dup(struct wr_poll *p, int fd)
{
    (void)p;
    return fd;
}

static const struct wr_poll_ops sim_ops = {
    .name = "sim",
    .adopt = op_adopt,
    .close = op_close,
    .detach = op_detach,
    .want = op_want,
    .send = op_send,
    .send_file = op_send_file,
    .send_pipe = op_send_pipe,
    .accept = op_accept,
    .connect = op_connect,
    .shutdown = op_shutdown,
    .look = op_look,
    .unread = op_unread,
    .get_fate = op_get_fate,
    .wait = op_wait,
    .batch = op_batch,
    .free = op_free,
    .dup = op_dup,
};

/* ---- life and run --------------------------------------------------------------------------- */

struct sim *sim_new(const struct sim_conf *conf)
{
    struct sim *s = wr_mem_alloc(sizeof(*s));
    struct wr_clock_source src = {read_clock, read_clock, s};

    s->conf = *conf;
    s->conf.buf_cap = conf->buf_cap == 0 ? SIM_BUF_CAP : conf->buf_cap;
    s->conf.limit_ms = conf->limit_ms == 0 ? SIM_DAY_MS : conf->limit_ms;
    s->poll.ops = &sim_ops;
    s->next_fd = SIM_FD_BASE;
    s->now_us = SIM_START_MS * 1000u;
    wr_mem_fault_set(0);
    wr_rng_seed(conf->seed);
    wr_clock_set_source(&src);
    s->loop = wr_loop_new(&s->poll);
    WR_ASSERT(s->loop);
    s->loop->watchdog.limit_ms = 0;
    wr_mem_fault_set(fault.at);
    return s;
}

static void free_sock(struct sim_sock *k)
{
    wr_task_cancel(&k->task);
    if (k->script) {
        wr_timer_fini(&k->script->timer);
        wr_mem_free(k->script->got);
        wr_mem_free(k->script);
    }
    wr_mem_free(k->rx.buf);
    wr_mem_free(k);
}

void sim_free(struct sim *s)
{
    fault.seen = wr_mem_fault_count();
    wr_mem_fault_set(0);
    while (s->socks) {
        struct sim_sock *k = s->socks;

        /* The loop is freed after them: their timers sit in its wheel. */
        WR_ASSERT(!k->io);
        s->socks = k->next;
        free_sock(k);
    }
    wr_kpipe_thread_end();
    wr_loop_free(s->loop);
    wr_clock_set_source(NULL);
    while (s->places) {
        struct sim_place *p = s->places;

        s->places = p->next;
        wr_mem_free(p->socks);
        wr_mem_free(p);
    }
    wr_mem_free(s->order);
    wr_mem_free(s->by_fd);
    wr_mem_free(s->is_place);
    wr_mem_free(s);
}

struct wr_loop *sim_loop(struct sim *s)
{
    return s->loop;
}

/* When time must be advanced to; 0: nothing is awaited. */
static uint64_t next_ms(const struct sim *s)
{
    uint64_t next = wr_loop_next_timer(s->loop);

    for (const struct sim_sock *k = s->socks; k; k = k->next) {
        if (k->io && k->io->is_connecting && k->connect_at_ms != UINT64_MAX &&
            (next == 0 || k->connect_at_ms < next)) {
            next = k->connect_at_ms;
        }
    }
    return next;
}

static bool has_waiting_script(const struct sim *s)
{
    for (const struct sim_sock *k = s->socks; k; k = k->next) {
        /* One that has gone round and waits for the next request is idle, not stuck. */
        if (k->script && !k->script->is_done && !k->is_closed &&
            k->script->steps[k->script->at].op != SIM_OP_LOOP) {
            return true;
        }
    }
    return false;
}

const char *sim_error(const struct sim *s)
{
    for (const struct sim_sock *k = s->socks; k; k = k->next) {
        if (k->script && k->script->error[0] != '\0') {
            return k->script->error;
        }
    }
    return NULL;
}

static enum sim_result run_until(struct sim *s, uint64_t end_ms, unsigned turns_max)
{
    for (unsigned turns = 0; turns < turns_max; turns++) {
        uint64_t before = s->activity, next, runs = wr_stat_sum(WR_CNT_TASK_RUNS);

        s->has_delayed = false;
        s->turns++;
        wr_loop_turn(s->loop, 0);
        if (s->activity != before || s->has_delayed || !wr_list_is_empty(&s->loop->runq) ||
            s->order_at < s->order_cnt || wr_stat_sum(WR_CNT_TASK_RUNS) != runs) {
            s->now_us += 1 + wr_rng_below(20);
            continue;
        }
        next = next_ms(s);
        if (next == 0) {
            return has_waiting_script(s) ? SIM_STUCK : SIM_IDLE;
        }
        if (next >= end_ms) {
            return SIM_LIMIT;
        }
        if (next > sim_now_ms(s)) {
            s->now_us = next * 1000;
        }
    }
    return SIM_LIMIT;
}

enum sim_result sim_run(struct sim *s)
{
    return run_until(s, sim_now_ms(s) + s->conf.limit_ms, SIM_TURNS_MAX);
}

enum sim_result sim_run_turns(struct sim *s, unsigned n)
{
    return run_until(s, sim_now_ms(s) + s->conf.limit_ms, n);
}

unsigned sim_turns(const struct sim *s)
{
    return s->turns;
}

enum sim_result sim_run_for(struct sim *s, uint64_t ms)
{
    uint64_t end_ms = sim_now_ms(s) + ms;
    enum sim_result r = run_until(s, end_ms, SIM_TURNS_MAX);

    if (r == SIM_LIMIT && sim_now_ms(s) < end_ms) {
        s->now_us = end_ms * 1000;
        wr_clock_update();
    }
    return r;
}
