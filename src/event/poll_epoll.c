/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_epoll.c: the epoll back end, level-triggered, one per loop.
 *
 * A descriptor is added once, with IN|RDHUP (OUT too while it connects), and its event carries the
 * handle of its io. After that epoll_ctl is called only
 *   - lazily, to switch off what an event reported in vain (`silence`), and to switch it on again;
 *   - to arm OUT after a short send and to disarm it at the event;
 *   - to take the descriptor out after HUP or ERR, which cannot be switched off. Such an io is put
 *     on `ready` whenever its rx is empty and it wants bytes, until the receiving side is done.
 * io->_armed is what the kernel was told. A keep-alive request needs none of these.
 *
 * Receive room comes from two chunks of the thread, filled one receive behind the other:
 *
 *   head (64 KiB)   receives of at least 32 KiB room; every io begins here
 *   body (256 KiB)  receives of at least 64 KiB room; an io whose head receives came back full
 *
 * When no chunk is to be had the io waits on `ready`, disarmed, and the wait ends after 10 ms at
 * the latest. Owner thread only.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/obj.h"
#include "event/event_int.h"
#include "event/poll.h"
#include "event/poll_int.h"
#include "event/raw.h"

#define EPOLL_EVENTS_MAX   512
#define EPOLL_BATCH_EVENTS 32
#define EPOLL_NEAR_LINES   5
#define EPOLL_BATCH_BYTES  ((size_t)256 * 1024)
#define EPOLL_STARVED_MS   10
#define EPOLL_COPY_OUT_MAX 2048u
#define EPOLL_ROOM_SMALL   16384u
#define EPOLL_FLAT_MAX     6144u

enum rx_class {
    RX_HEAD,
    RX_BODY,
    RX_CLASSES
};

static const struct {
    enum wr_chunk_class chunk;
    uint32_t room; /* least room that a receive gets */
} rx_classes[RX_CLASSES] = {
    [RX_HEAD] = {WR_CHUNK_64K,  32u * 1024},
    [RX_BODY] = {WR_CHUNK_256K, 64u * 1024},
};

struct epoll_poll {
    struct wr_poll poll;
    int fd;
    int at, cnt;                           /* events not yet handled: ev[at .. cnt) */
    bool is_starved;                       /* an io on `ready` waits for a chunk */
    bool has_left;                         /* a chunk that somebody held gave way to another */
    struct wr_list ready;                  /* struct wr_io._ready */
    struct wr_chunk *chunks[RX_CLASSES];   /* may be NULL */
    wr_handle got[2 * EPOLL_BATCH_EVENTS]; /* ios that received in the last batch */
    unsigned got_cnt;
    struct epoll_event ev[EPOLL_EVENTS_MAX];
};

static struct epoll_poll *epoll_of(struct wr_poll *p)
{
    return wr_container_of(p, struct epoll_poll, poll);
}

/* ---- interest ------------------------------------------------------------------------------- */

static uint32_t kernel_events(unsigned armed)
{
    return ((armed & WR_IOA_IN) != 0 ? (uint32_t)EPOLLIN : 0) |
           ((armed & WR_IOA_OUT) != 0 ? (uint32_t)EPOLLOUT : 0) |
           ((armed & WR_IOA_RDHUP) != 0 ? (uint32_t)EPOLLRDHUP : 0);
}

static enum wr_status add_to_set(struct epoll_poll *ep, struct wr_io *io, unsigned armed)
{
    struct epoll_event ev = {.events = kernel_events(armed), .data = {.u64 = io->_handle}};

    if (io->mode == WR_IO_LISTEN) {
        /* One descriptor in several loops (unix sockets): one of them is woken. */
        ev.events |= (uint32_t)EPOLLEXCLUSIVE;
    }
    if (epoll_ctl(ep->fd, EPOLL_CTL_ADD, io->fd, &ev) == -1) {
        io->err = errno;
        return WR_ESYS;
    }
    io->_armed = (uint8_t)armed;
    io->_in_set = true;
    return WR_OK;
}

static void remove_from_set(struct epoll_poll *ep, struct wr_io *io)
{
    if (io->_in_set) {
        /* The descriptor is open and was added: it cannot fail. */
        (void)epoll_ctl(ep->fd, EPOLL_CTL_DEL, io->fd, NULL);
        io->_in_set = false;
        io->_armed = 0;
    }
}

static void set_armed(struct epoll_poll *ep, struct wr_io *io, unsigned armed)
{
    struct epoll_event ev = {.events = kernel_events(armed), .data = {.u64 = io->_handle}};

    if (!io->_in_set || io->_armed == armed) {
        return;
    }
    if (WR_WARN_ON(epoll_ctl(ep->fd, EPOLL_CTL_MOD, io->fd, &ev) == -1)) {
        return;
    }
    io->_armed = (uint8_t)armed;
}

static bool can_receive(const struct wr_io *io)
{
    return io->mode == WR_IO_STREAM && io->rx == NULL && io->rx_piped == 0 && !io->is_connecting &&
           (io->_wants & (WR_IOW_IN | WR_IOW_RX_DONE)) == WR_IOW_IN;
}

static void put_ready(struct epoll_poll *ep, struct wr_io *io)
{
    if (wr_list_is_empty(&io->_ready)) {
        wr_list_push(&ep->ready, &io->_ready);
    }
}

static void epoll_want(struct wr_poll *p, struct wr_io *io, bool in)
{
    struct epoll_poll *ep = epoll_of(p);

    if (!in) {
        io->_wants &= (uint8_t)~WR_IOW_IN;
        if (io->mode == WR_IO_LISTEN) {
            /* EPOLLEXCLUSIVE forbids MOD. */
            remove_from_set(ep, io);
        }
        return;
    }
    io->_wants |= WR_IOW_IN;
    if (io->_in_set) {
        if (io->rx == NULL && io->rx_piped == 0 && (io->_wants & WR_IOW_RX_DONE) == 0) {
            set_armed(ep, io, io->_armed | WR_IOA_IN);
        }
    } else if (io->mode == WR_IO_LISTEN) {
        if (WR_WARN_ON(add_to_set(ep, io, WR_IOA_IN) != WR_OK)) {
            io->facts |= WR_IO_ERR;
            wr_task_wake_opt(io->task);
        }
    } else if (can_receive(io)) {
        put_ready(ep, io);
    }
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* A chunk with room for a receive of the class; NULL when none is to be had. */
static struct wr_chunk *get_room(struct epoll_poll *ep, enum rx_class cls)
{
    struct wr_chunk *c = ep->chunks[cls];

    if (c && c->cap - c->fill >= rx_classes[cls].room) {
        return c;
    }
    if (c && c->refs == 1) {
        c->fill = 0;
        return c;
    }
    c = wr_chunk_new(rx_classes[cls].chunk);
    if (c) {
        if (ep->chunks[cls]) {
            wr_chunk_unref(ep->chunks[cls]);
            ep->has_left = true;
        }
        ep->chunks[cls] = c;
    }
    return c;
}

/* What is left unread in an rx and is small is copied out, so that a slow client's ten bytes pin 4
 * KiB. */
static void copy_out_unread(struct epoll_poll *ep)
{
    for (unsigned i = 0; i < ep->got_cnt; i++) {
        struct wr_io *io = wr_handle_find(ep->got[i]);
        struct wr_chunk *small;

        if (!io || !io->rx || io->rx_len > EPOLL_COPY_OUT_MAX ||
            io->rx->cap <= wr_chunk_class_size(WR_CHUNK_4K)) {
            continue;
        }
        small = wr_chunk_new(WR_CHUNK_4K);
        if (!small) {
            continue;
        }
        memcpy(small->data, io->rx->data + io->rx_off, io->rx_len);
        small->fill = io->rx_len;
        wr_chunk_unref(io->rx);
        io->rx = small;
        io->rx_off = 0;
    }
}

/* Does nobody but us hold chunks that the last batch received to? */
static bool is_all_taken(const struct epoll_poll *ep)
{
    for (unsigned i = 0; i < RX_CLASSES; i++) {
        if (ep->chunks[i] && ep->chunks[i]->refs != 1) {
            return false;
        }
    }
    return !ep->has_left;
}

/*
 * Called when the tasks of the last batch have run. A chunk that only we hold is filled from 0
 * again; one that somebody holds is filled on, and replaced when the room runs out.
 */
static void rewind_chunks(struct epoll_poll *ep)
{
    if (ep->got_cnt != 0 && !is_all_taken(ep)) {
        copy_out_unread(ep);
    }
    ep->got_cnt = 0;
    ep->has_left = false;
    for (unsigned i = 0; i < RX_CLASSES; i++) {
        if (ep->chunks[i] && ep->chunks[i]->refs == 1) {
            ep->chunks[i]->fill = 0;
        }
    }
}

static void end_receiving(struct wr_io *io, int err)
{
    io->_wants |= WR_IOW_RX_DONE;
    if (err != 0) {
        /* The first reason wins. */
        io->err = io->err == 0 ? err : io->err;
        io->facts |= WR_IO_ERR;
    } else if (io->err != 0) {
        /* The stream broke earlier; only what had come before it was still to be read. */
        io->facts |= WR_IO_ERR;
    } else {
        io->facts |= WR_IO_EOF;
    }
    wr_task_wake_opt(io->task);
}

static void note_class(struct wr_io *io, size_t got, size_t asked)
{
    if (got == asked) {
        if (asked >= rx_classes[RX_HEAD].room) {
            io->_cls = RX_BODY;
        }
    } else if (got < EPOLL_ROOM_SMALL) {
        io->_cls = RX_HEAD;
    }
}

/* Nothing came by a receive that ended so. */
static void note_nothing(struct wr_io *io, ssize_t n, int err)
{
    if (n == 0) {
        end_receiving(io, 0);
    } else if (err != EAGAIN) {
        end_receiving(io, err);
    } else if (!io->_in_set && (io->facts & WR_IO_HUP) != 0) {
        /* Out of the set with nothing to read: only the stored error is left. */
        end_receiving(io, io->err == 0 ? ECONNRESET : 0);
    }
}

/* False: nothing was moved. The pipe has no room, most likely; a receive to a chunk will tell. */
static bool receive_to_pipe(struct wr_io *io)
{
    ssize_t n;

    do {
        n = splice(io->fd, NULL, io->rx_pipe, NULL, io->rx_max, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (n == -1 && errno == EINTR);
    if (n == -1 && errno == EAGAIN) {
        io->facts |= WR_IO_PIPE_FULL;
        io->rx_pipe = -1;
        return false;
    }
    if (n <= 0) {
        note_nothing(io, n, errno);
        return true;
    }
    io->rx_piped = (uint32_t)n;
    io->rx_total += (uint64_t)n;
    wr_task_wake_opt(io->task);
    return true;
}

static size_t receive_to_chunk(struct epoll_poll *ep, struct wr_io *io)
{
    struct wr_chunk *c = get_room(ep, (enum rx_class)io->_cls);
    size_t room;
    ssize_t n;

    if (!c && io->_cls != RX_HEAD) {
        io->_cls = RX_HEAD;
        c = get_room(ep, RX_HEAD);
    }
    if (!c) {
        ep->is_starved = true;
        set_armed(ep, io, io->_armed & ~(unsigned)WR_IOA_IN);
        put_ready(ep, io);
        return 0;
    }
    room = c->cap - c->fill;
    if (io->rx_max != 0 && io->rx_max < room) {
        room = io->rx_max;
    }
    do {
        n = wr_raw_recv(io->fd, c->data + c->fill, room, MSG_DONTWAIT);
    } while (n == -1 && errno == EINTR);
    if (n <= 0) {
        note_nothing(io, n, errno);
        return 0;
    }
    io->rx = wr_chunk_ref(c);
    io->rx_off = c->fill;
    io->rx_len = (uint32_t)n;
    io->rx_total += (uint64_t)n;
    c->fill += (uint32_t)n;
    note_class(io, (size_t)n, room);
    if (ep->got_cnt < WR_ARRAY_LEN(ep->got)) {
        ep->got[ep->got_cnt++] = io->_handle;
    }
    wr_task_wake_opt(io->task);
    return (size_t)n;
}

/* One receive. Returns the bytes that came. */
static size_t receive(struct epoll_poll *ep, struct wr_io *io)
{
    if (io->rx_pipe != -1 && receive_to_pipe(io)) {
        return io->rx_piped;
    }
    return receive_to_chunk(ep, io);
}

static void epoll_look(struct wr_poll *p, struct wr_io *io)
{
    if (can_receive(io)) {
        (void)receive(epoll_of(p), io);
    }
}

/* ---- events --------------------------------------------------------------------------------- */

/*
 * An event that brought nothing new. If the owner has yet to run it changes nothing; else what was
 * reported in vain is switched off.
 */
static void silence(struct epoll_poll *ep, struct wr_io *io, uint32_t events)
{
    unsigned armed = io->_armed;

    if (io->task && io->task->_is_queued) {
        return;
    }
    if ((events & EPOLLIN) != 0) {
        armed &= ~(unsigned)WR_IOA_IN;
    }
    if ((events & EPOLLRDHUP) != 0) {
        armed &= ~(unsigned)WR_IOA_RDHUP;
    }
    set_armed(ep, io, armed);
}

static int take_error(int fd)
{
    int err = 0;
    socklen_t len = sizeof(err);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1) {
        return errno;
    }
    return err;
}

/* connect() has ended. False: badly. */
static bool end_connecting(struct epoll_poll *ep, struct wr_io *io)
{
    int err = take_error(io->fd);

    io->is_connecting = false;
    wr_task_wake_opt(io->task);
    if (err != 0) {
        remove_from_set(ep, io);
        io->err = err;
        io->facts |= WR_IO_ERR;
        io->_wants |= WR_IOW_RX_DONE;
        return false;
    }
    io->facts |= WR_IO_CONNECTED;
    set_armed(ep, io, io->_armed & ~(unsigned)WR_IOA_OUT);
    return true;
}

static void notify_owner(struct epoll_poll *ep, struct wr_io *io, uint32_t events)
{
    uint16_t old = io->facts;

    if (io->mode == WR_IO_LISTEN) {
        /* Always news: an owner pulls a few connections a run and leaves the rest in the queue. */
        io->facts |= WR_IO_READABLE;
        wr_task_wake_opt(io->task);
        return;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && (io->_wants & WR_IOW_IN) != 0) {
        io->facts |= WR_IO_READABLE;
    }
    if ((events & EPOLLRDHUP) != 0) {
        io->facts |= WR_IO_RDHUP;
    }
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        io->facts |= WR_IO_HUP;
        remove_from_set(ep, io);
    }
    if (io->facts != old) {
        wr_task_wake_opt(io->task);
    } else {
        silence(ep, io, events);
    }
}

/* Both directions are over, or the socket has an error. */
static void leave_at_hup(struct epoll_poll *ep, struct wr_io *io, uint32_t events)
{
    remove_from_set(ep, io);
    if ((io->facts & WR_IO_HUP) == 0) {
        io->facts |= WR_IO_HUP;
        wr_task_wake_opt(io->task);
    }
    if ((events & EPOLLERR) != 0 && !can_receive(io) && io->err == 0) {
        /* A receive would have told; the owner wants none now, it learns the reason after rx. */
        io->err = take_error(io->fd);
    }
}

/* What is not bytes alone. Returns bytes received. */
static size_t handle_other_event(struct epoll_poll *ep, struct wr_io *io, uint32_t events)
{
    size_t n = 0;

    if (io->is_connecting) {
        if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0 || !end_connecting(ep, io)) {
            return 0;
        }
        events &= ~(uint32_t)EPOLLOUT;
    }
    if ((events & EPOLLOUT) != 0 && (io->_armed & WR_IOA_OUT) != 0) {
        io->_wants &= (uint8_t)~WR_IOW_OUT;
        io->facts |= WR_IO_WRITABLE;
        set_armed(ep, io, io->_armed & ~(unsigned)WR_IOA_OUT);
        wr_task_wake_opt(io->task);
    }
    if (io->mode != WR_IO_STREAM) {
        if ((events & ~(uint32_t)EPOLLOUT) != 0) {
            notify_owner(ep, io, events);
        }
        return 0;
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) {
        return 0;
    }
    if (can_receive(io)) {
        n = receive(ep, io);
    } else if ((events & (EPOLLHUP | EPOLLERR)) == 0) {
        silence(ep, io, events);
    }
    if ((events & EPOLLRDHUP) != 0 && (io->facts & WR_IO_RDHUP) == 0) {
        io->facts |= WR_IO_RDHUP;
        wr_task_wake_opt(io->task);
    }
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        leave_at_hup(ep, io, events);
        if (can_receive(io)) {
            put_ready(ep, io);
        }
    }
    return n;
}

/* Returns bytes received. */
static size_t handle_event(struct epoll_poll *ep, struct wr_io *io, uint32_t events)
{
    if (WR_LIKELY(events == EPOLLIN && can_receive(io))) {
        return receive(ep, io);
    }
    return handle_other_event(ep, io, events);
}

/* Ios that are served without an event. */
static size_t serve_ready(struct epoll_poll *ep)
{
    struct wr_list list;
    struct wr_list *n;
    size_t bytes = 0;
    unsigned done = 0;

    wr_list_init(&list);
    wr_list_splice(&list, &ep->ready);
    ep->is_starved = false;
    while (bytes < EPOLL_BATCH_BYTES && done < EPOLL_BATCH_EVENTS &&
           (n = wr_list_pop(&list)) != NULL) {
        struct wr_io *io = wr_container_of(n, struct wr_io, _ready);

        if (!can_receive(io)) {
            continue;
        }
        done++;
        bytes += receive(ep, io);
        if (io->_in_set && wr_list_is_empty(&io->_ready)) {
            /* It waited for a chunk and goes on by events. */
            set_armed(ep, io, io->_armed | WR_IOA_IN);
        }
    }
    /* Those that were not served keep their place before the new ones. */
    wr_list_splice(&list, &ep->ready);
    wr_list_splice(&ep->ready, &list);
    return bytes;
}

static void epoll_wait_op(struct wr_poll *p, int timeout_ms)
{
    struct epoll_poll *ep = epoll_of(p);
    int n;

    if (ep->at < ep->cnt) {
        return;
    }
    rewind_chunks(ep);
    if (!wr_list_is_empty(&ep->ready)) {
        if (!ep->is_starved) {
            timeout_ms = 0;
        } else if (timeout_ms < 0 || timeout_ms > EPOLL_STARVED_MS) {
            timeout_ms = EPOLL_STARVED_MS;
        }
    }
    n = wr_raw_epoll_wait(ep->fd, ep->ev, EPOLL_EVENTS_MAX, timeout_ms);
    WR_ASSERT(n >= 0 || errno == EINTR);
    ep->at = 0;
    ep->cnt = n < 0 ? 0 : n;
}

/*
 * With many connections what an event names is in no cache. The slot of its handle is fetched four
 * events ahead and the io two, with the lines behind it, which are most often its owner's.
 */
static void prefetch_events(const struct epoll_poll *ep)
{
    const char *io;

    if (ep->at + 3 < ep->cnt) {
        wr_handle_prefetch(ep->ev[ep->at + 3].data.u64);
    }
    if (ep->at + 1 >= ep->cnt) {
        return;
    }
    io = wr_handle_find(ep->ev[ep->at + 1].data.u64);
    if (io) {
        for (size_t i = 0; i < EPOLL_NEAR_LINES; i++) {
            wr_prefetch(io + i * WR_CACHE_LINE);
        }
    }
}

static bool epoll_batch(struct wr_poll *p)
{
    struct epoll_poll *ep = epoll_of(p);
    size_t bytes = 0;

    rewind_chunks(ep);
    if (!wr_list_is_empty(&ep->ready)) {
        bytes = serve_ready(ep);
    }
    for (unsigned i = 0; i < EPOLL_BATCH_EVENTS && bytes < EPOLL_BATCH_BYTES && ep->at < ep->cnt;
         i++) {
        const struct epoll_event *ev = &ep->ev[ep->at++];
        struct wr_io *io = wr_handle_get(ev->data.u64);

        prefetch_events(ep);
        if (io) {
            bytes += handle_event(ep, io, ev->events);
            if (io->task) {
                wr_task_prefetch(io->task);
            }
        }
    }
    return ep->at < ep->cnt;
}

/* ---- life cycle ----------------------------------------------------------------------------- */

static enum wr_status epoll_adopt(struct wr_poll *p, struct wr_io *io, int fd)
{
    (void)fd;
    return add_to_set(epoll_of(p), io,
                      io->mode == WR_IO_LISTEN ? WR_IOA_IN : WR_IOA_IN | WR_IOA_RDHUP);
}

static void epoll_close(struct wr_poll *p, struct wr_io *io, bool reset)
{
    struct linger lg = {.l_onoff = 1, .l_linger = 0};

    if (io->mode != WR_IO_STREAM) {
        /* Other processes, or a duplicate, may hold it: closing would not take it out. */
        remove_from_set(epoll_of(p), io);
    }
    if (reset) {
        /* Fails for sockets that know no RST (unix); then the close alone must do. */
        (void)setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
    }
    /* Nothing can be done about an error; the descriptor is gone in every case on Linux. */
    (void)close(io->fd);
}

static int epoll_detach(struct wr_poll *p, struct wr_io *io)
{
    remove_from_set(epoll_of(p), io);
    return io->fd;
}

static void epoll_free(struct wr_poll *p)
{
    struct epoll_poll *ep = epoll_of(p);

    for (unsigned i = 0; i < RX_CLASSES; i++) {
        if (ep->chunks[i]) {
            wr_chunk_unref(wr_take(&ep->chunks[i]));
        }
    }
    (void)close(ep->fd);
    wr_mem_free(ep);
}

/* ---- connecting ----------------------------------------------------------------------------- */

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* Our own side of the connection, as the user asked for it. */
static bool bind_socket(int fd, const struct wr_connect_opts *o)
{
    sa_family_t family = o->bind->u.sa.sa_family;

    if (o->is_transparent && family == AF_INET && !set_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1)) {
        return false;
    }
    if (o->is_transparent && family == AF_INET6 &&
        !set_option(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1)) {
        return false;
    }
    if (family != AF_UNIX && wr_addr_port(o->bind) == 0) {
        /* The port is chosen at connect, when the four-tuple is known: no 28,000 limit. */
        (void)set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    }
    return bind(fd, &o->bind->u.sa, o->bind->len) == 0;
}

/* What may fail without harm is tried; what the user asked for must work. */
static bool prepare_socket(int fd, const struct wr_addr *to, const struct wr_connect_opts *o)
{
    bool is_ip = to->u.sa.sa_family == AF_INET || to->u.sa.sa_family == AF_INET6;

    if (is_ip && o->nodelay) {
        (void)set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (is_ip && o->keepalive && !set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1)) {
        return false;
    }
    if (o->rcvbuf != 0 && !set_option(fd, SOL_SOCKET, SO_RCVBUF, (int)o->rcvbuf)) {
        return false;
    }
    if (o->sndbuf != 0 && !set_option(fd, SOL_SOCKET, SO_SNDBUF, (int)o->sndbuf)) {
        return false;
    }
    return !o->bind || o->bind->len == 0 || bind_socket(fd, o);
}

static enum wr_status epoll_connect(struct wr_poll *p, struct wr_io *io, const struct wr_addr *to,
                                    const struct wr_connect_opts *opts)
{
    enum wr_status st = WR_OK;
    int fd = socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd == -1) {
        io->err = errno;
        return WR_ECONFIG;
    }
    io->fd = fd;
    if (!prepare_socket(fd, to, opts)) {
        io->err = errno;
        st = WR_ECONFIG;
        goto fail;
    }
    if (connect(fd, &to->u.sa, to->len) == -1) {
        if (errno != EINPROGRESS && errno != EINTR) {
            /* The queue of a unix socket is full: it will not tell us when it has room. */
            io->err = errno == EAGAIN ? ECONNREFUSED : errno;
            goto fail;
        }
        st = WR_AGAIN;
    }
    if (add_to_set(epoll_of(p), io, WR_IOA_IN | WR_IOA_RDHUP | (st == WR_AGAIN ? WR_IOA_OUT : 0)) !=
        WR_OK) {
        goto fail;
    }
    return st;

fail:
    (void)close(fd);
    io->fd = -1;
    return st == WR_ECONFIG ? st : WR_ESYS;
}

/* ---- sending -------------------------------------------------------------------------------- */

static void await_writable(struct epoll_poll *ep, struct wr_io *io)
{
    io->facts &= (uint16_t)~WR_IO_WRITABLE;
    io->_wants |= WR_IOW_OUT;
    set_armed(ep, io, io->_armed | WR_IOA_OUT);
}

static enum wr_status fail_send(struct epoll_poll *ep, struct wr_io *io, int err)
{
    if (err == EAGAIN) {
        await_writable(ep, io);
        return WR_AGAIN;
    }
    io->err = io->err == 0 ? err : io->err;
    io->facts |= WR_IO_ERR;
    return WR_ESYS;
}

/*
 * Several pieces. Of a few kilobytes one piece is made: the kernel takes some 170 ns longer for a
 * list than for one buffer, and a copy of 4 KB that the cache has costs less.
 */
static ssize_t send_pieces(int fd, const struct iovec *iov, int cnt, size_t total, int flags)
{
    char flat[EPOLL_FLAT_MAX];

    if (total <= sizeof(flat)) {
        char *to = flat;

        for (int i = 0; i < cnt; i++) {
            memcpy(to, iov[i].iov_base, iov[i].iov_len);
            to += iov[i].iov_len;
        }
        return wr_raw_send(fd, flat, total, flags);
    }

    union {
        const struct iovec *in;
        struct iovec *out; /* sendmsg does not write there */
    } v = {.in = iov};
    struct msghdr m = {.msg_iov = v.out, .msg_iovlen = (size_t)cnt};

    return wr_raw_sendmsg(fd, &m, flags);
}

static enum wr_status epoll_send(struct wr_poll *p, struct wr_io *io, const struct iovec *iov,
                                 int cnt, size_t *ret_n)
{
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (io->is_more ? MSG_MORE : 0);
    size_t total = iov[0].iov_len;
    ssize_t n;

    if (io->is_connecting) {
        return WR_AGAIN;
    }
    for (int i = 1; i < cnt; i++) {
        total += iov[i].iov_len;
    }
    do {
        n = cnt == 1 ? wr_raw_send(io->fd, iov[0].iov_base, total, flags)
                     : send_pieces(io->fd, iov, cnt, total, flags);
    } while (n == -1 && errno == EINTR);
    if (n == -1) {
        return fail_send(epoll_of(p), io, errno);
    }
    io->tx_total += (uint64_t)n;
    if ((size_t)n < total) {
        await_writable(epoll_of(p), io);
    }
    *ret_n = (size_t)n;
    return WR_OK;
}

static enum wr_status epoll_send_file(struct wr_poll *p, struct wr_io *io, int file_fd,
                                      uint64_t off, size_t n, size_t *ret_n)
{
    struct epoll_poll *ep = epoll_of(p);
    off_t at = (off_t)off;
    ssize_t sent;

    if (io->is_connecting) {
        return WR_AGAIN;
    }
    do {
        sent = sendfile(io->fd, file_fd, &at, n);
    } while (sent == -1 && errno == EINTR);
    if (sent == -1) {
        return fail_send(ep, io, errno);
    }
    *ret_n = (size_t)sent;
    if (sent == 0 && n != 0) {
        return WR_EOF;
    }
    io->tx_total += (uint64_t)sent;
    if ((size_t)sent < n) {
        await_writable(ep, io);
    }
    return WR_OK;
}

static enum wr_status epoll_send_pipe(struct wr_poll *p, struct wr_io *io, int pipe_fd, size_t n,
                                      size_t *ret_n)
{
    struct epoll_poll *ep = epoll_of(p);
    ssize_t sent;

    if (io->is_connecting) {
        return WR_AGAIN;
    }
    do {
        sent = splice(pipe_fd, NULL, io->fd, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (sent == -1 && errno == EINTR);
    if (sent <= 0) {
        /* The pipe has the bytes, or that is our mistake. */
        return fail_send(ep, io, sent == 0 ? EPIPE : errno);
    }
    *ret_n = (size_t)sent;
    io->tx_total += (uint64_t)sent;
    if ((size_t)sent < n) {
        await_writable(ep, io);
    }
    return WR_OK;
}

/* Is it the system that cannot, and not this connection? */
static bool is_unknown(int err)
{
    return err == ENOENT || err == ENOPROTOOPT || err == EINVAL;
}

static enum wr_status epoll_encrypt(struct wr_poll *p, struct wr_io *io, const void *info,
                                    uint32_t len)
{
    (void)p;
    if (io->is_connecting ||
        (setsockopt(io->fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == -1 && errno != EEXIST)) {
        return !io->is_connecting && is_unknown(errno) ? WR_ECONFIG : WR_ESYS;
    }
    /* Without keys the socket remains what it was. */
    if (setsockopt(io->fd, SOL_TLS, TLS_TX, info, len) == -1) {
        return is_unknown(errno) ? WR_ECONFIG : WR_ESYS;
    }
    return WR_OK;
}

static enum wr_status epoll_send_record(struct wr_poll *p, struct wr_io *io, uint8_t type,
                                        const void *buf, size_t n)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(type))];
    } c = {
        .head = {.cmsg_level = SOL_TLS,
                 .cmsg_type = TLS_SET_RECORD_TYPE,
                 .cmsg_len = CMSG_LEN(sizeof(type))}
    };

    union {
        const void *in;
        void *out; /* sendmsg does not write there */
    } v = {.in = buf};
    struct iovec iov = {.iov_base = v.out, .iov_len = n};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.room, .msg_controllen = sizeof(c.room)};
    ssize_t sent;

    memcpy(CMSG_DATA(&c.head), &type, sizeof(type));
    do {
        sent = wr_raw_sendmsg(io->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent == -1 && errno == EINTR);
    if (sent == -1) {
        return fail_send(epoll_of(p), io, errno);
    }
    return (size_t)sent == n ? WR_OK : WR_ESYS;
}

static enum wr_status epoll_shutdown(struct wr_poll *p, struct wr_io *io)
{
    (void)p;
    if (shutdown(io->fd, SHUT_WR) == -1) {
        /* Only reported: the receiving side tells by itself if the stream is broken. */
        return WR_ESYS;
    }
    return WR_OK;
}

static enum wr_status epoll_accept(struct wr_poll *p, struct wr_io *io, int *ret_fd,
                                   struct wr_addr *ret_peer)
{
    struct wr_addr peer;

    (void)p;
    for (;;) {
        int fd;

        peer.len = sizeof(peer.u);
        fd = accept4(io->fd, &peer.u.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd != -1) {
            *ret_fd = fd;
            *ret_peer = peer;
            return WR_OK;
        }
        if (errno == EAGAIN) {
            io->facts &= (uint16_t)~WR_IO_READABLE;
            return WR_AGAIN;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            io->err = errno;
            return WR_ELIMIT;
        }
        if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK || errno == EOPNOTSUPP ||
            errno == EFAULT) {
            io->err = errno;
            return WR_ESYS;
        }
        /* ECONNABORTED, EINTR, and the errors of a client that is gone already: the next one. */
    }
}

static uint32_t epoll_unread(struct wr_poll *p, const struct wr_io *io)
{
    int n = 0;

    (void)p;
    /* A descriptor that is no socket has no such queue. */
    return ioctl(io->fd, SIOCOUTQ, &n) == -1 || n < 0 ? 0 : (uint32_t)n;
}

static const struct wr_poll_ops epoll_ops = {
    .name = "epoll",
    .adopt = epoll_adopt,
    .close = epoll_close,
    .detach = epoll_detach,
    .want = epoll_want,
    .send = epoll_send,
    .send_file = epoll_send_file,
    .send_pipe = epoll_send_pipe,
    .accept = epoll_accept,
    .connect = epoll_connect,
    .shutdown = epoll_shutdown,
    .look = epoll_look,
    .unread = epoll_unread,
    .encrypt = epoll_encrypt,
    .send_record = epoll_send_record,
    .get_fate = wr_poll_tcp_fate,
    .count_sent = wr_poll_tcp_sent,
    .wait = epoll_wait_op,
    .batch = epoll_batch,
    .free = epoll_free,
};

struct wr_poll *wr_poll_epoll_new(void)
{
    struct epoll_poll *ep = wr_run_zalloc(sizeof(*ep));

    if (!ep) {
        errno = ENOMEM;
        return NULL;
    }
    ep->fd = epoll_create1(EPOLL_CLOEXEC);
    if (ep->fd == -1) {
        int err = errno;

        wr_mem_free(ep);
        errno = err;
        return NULL;
    }
    ep->poll.ops = &epoll_ops;
    wr_list_init(&ep->ready);
    return &ep->poll;
}

int wr_poll_epoll_fd(struct wr_poll *p)
{
    return epoll_of(p)->fd;
}
