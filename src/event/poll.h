/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll.h: the only way to a socket. One struct wr_io a descriptor, embedded in its owner. The back
 * end performs receives at readiness and leaves facts in the io, then wakes io->task; nothing is
 * called back. Chunk-and-completion shaped, so that epoll, the simulator and later io_uring fit.
 *
 *   io->rx            bytes that were received and not taken yet (one slice of a chunk)
 *   WR_IO_EOF/ERR     after those bytes: the stream ended, or broke with io->err
 *   WR_IO_RDHUP       the other side will send no more (seen maybe behind unread bytes)
 *   WR_IO_WRITABLE    a send that came short may go on; WR_IO_CONNECTED: connect() ended well
 *   WR_IO_READABLE    mode LISTEN and NOTIFY: the owner performs the call itself
 *
 * A receive reads into a chunk of the thread (64 KiB, filled one receive behind the other) or, once
 * receives came back full, into one of 256 KiB, at most rx_max bytes. One receive an event: the
 * poller is level-triggered and comes back. Owner thread only.
 */
#ifndef WR_EVENT_POLL_H
#define WR_EVENT_POLL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "base/chunk.h"
#include "base/list.h"
#include "base/status.h"
#include "event/handle.h"
#include "event/task.h"

/*
 * Interest (docs: io rules 2, 3, 4, 7): IN is on from the start, then what the owner says by
 * wr_io_want_in. Switching it off costs no system call until an event comes for it (then the
 * descriptor is disarmed); while bytes lie in rx nothing is received. Switching it on first looks
 * at facts already there. OUT is armed by the poller when a send came short, and off again at the
 * event. On HUP or ERR the descriptor leaves the set at once, later receives are served from a
 * ready list. RDHUP is armed always, off once seen.
 */
enum wr_io_fact {
    WR_IO_EOF = 1,
    WR_IO_ERR = 2,
    WR_IO_RDHUP = 4,
    WR_IO_WRITABLE = 8,
    WR_IO_CONNECTED = 16,
    WR_IO_READABLE = 32,   /* an owner that leaves it set after its run must want_in again */
    WR_IO_HUP = 64,        /* both directions are over; rx may still hold bytes */
    WR_IO_PIPE_FULL = 128, /* nothing could be spliced to rx_pipe: it goes to rx again */
};

enum wr_io_mode {
    WR_IO_STREAM, /* the poller receives */
    WR_IO_NOTIFY, /* the owner receives (TLS on the descriptor, eventfd, signalfd) */
    WR_IO_LISTEN, /* wr_io_accept */
};

struct wr_poll;

struct wr_io {
    uint32_t magic;
    int fd; /* -1: closed */
    struct wr_task *task;
    struct wr_poll *poll;
    wr_handle _handle;
    struct wr_chunk *rx; /* one reference of ours; NULL: nothing here */
    uint32_t rx_off, rx_len;
    uint32_t rx_max;   /* most bytes of the next receive; 0: as the class says */
    uint32_t rx_piped; /* bytes that went to rx_pipe and were not taken yet */
    int rx_pipe;       /* receives go to this kernel pipe, at most rx_max bytes; -1: to rx */
    int err;           /* errno behind WR_IO_ERR */
    uint16_t
        facts; /* enum wr_io_fact; the owner clears WRITABLE, READABLE, CONNECTED it has seen */
    uint8_t mode;
    uint8_t _cls;     /* receive class, grows */
    uint8_t _wants;   /* back end */
    uint8_t _armed;   /* back end */
    bool _in_set : 1; /* back end */
    bool is_connecting : 1;
    bool is_more : 1;            /* the sender has more to send at once: MSG_MORE */
    struct wr_list _ready;       /* back end: served without an event */
    uint64_t rx_total, tx_total; /* bytes over the life of the io */
};

/* How a socket to a peer is made. All optional. */
struct wr_connect_opts {
    const struct wr_addr *bind;
    bool is_transparent;
    bool keepalive;
    bool nodelay;            /* TCP_NODELAY for TCP sockets */
    uint32_t rcvbuf, sndbuf; /* 0: the system's */
};

/* What became of bytes that we sent on a connection which the other side has ended. */
enum wr_io_fate {
    WR_IO_TAKEN,  /* its system took some, or nobody knows: somebody may have read them */
    WR_IO_LOST,   /* it ended for good before its system had one of them: nobody can read them */
    WR_IO_FLYING, /* it may become either: a reset or an acknowledgement is still to come */
};

struct wr_poll_ops {
    const char *name;
    enum wr_status (*adopt)(struct wr_poll *p, struct wr_io *io, int fd);
    void (*close)(struct wr_poll *p, struct wr_io *io, bool reset);
    int (*detach)(struct wr_poll *p, struct wr_io *io);
    void (*want)(struct wr_poll *p, struct wr_io *io, bool in);
    enum wr_status (*send)(struct wr_poll *p, struct wr_io *io, const struct iovec *iov, int cnt,
                           size_t *ret_n);
    enum wr_status (*send_file)(struct wr_poll *p, struct wr_io *io, int file_fd, uint64_t off,
                                size_t n, size_t *ret_n);
    enum wr_status (*send_pipe)(struct wr_poll *p, struct wr_io *io, int pipe_fd, size_t n,
                                size_t *ret_n);
    enum wr_status (*accept)(struct wr_poll *p, struct wr_io *io, int *ret_fd,
                             struct wr_addr *ret_peer);
    enum wr_status (*connect)(struct wr_poll *p, struct wr_io *io, const struct wr_addr *to,
                              const struct wr_connect_opts *opts);
    enum wr_status (*shutdown)(struct wr_poll *p, struct wr_io *io);
    void (*look)(struct wr_poll *p, struct wr_io *io);
    uint32_t (*unread)(struct wr_poll *p, const struct wr_io *io);
    /* Waits up to timeout_ms (-1: for ever) and notes what is ready. */
    void (*wait)(struct wr_poll *p, int timeout_ms);
    /* Performs the next batch (at most 32 events or 256 KB): facts, wakes. False: nothing is left.
     */
    bool (*batch)(struct wr_poll *p);
    void (*free)(struct wr_poll *p);
    /* Optional: a duplicate of a listening descriptor; NULL: the system's dup. */
    int (*dup)(struct wr_poll *p, int fd);
    /* Optional: TLS of the system; NULL: it has none. */
    enum wr_status (*encrypt)(struct wr_poll *p, struct wr_io *io, const void *info, uint32_t len);
    enum wr_status (*send_record)(struct wr_poll *p, struct wr_io *io, uint8_t type,
                                  const void *buf, size_t n);
    /* Optional, as wr_io_get_fate; NULL: WR_IO_TAKEN. */
    enum wr_io_fate (*get_fate)(struct wr_poll *p, struct wr_io *io, uint64_t since);
    /* With it, as wr_io_count_sent. */
    uint64_t (*count_sent)(struct wr_poll *p, struct wr_io *io);
};

/* Back ends embed this first. */
struct wr_poll {
    const struct wr_poll_ops *ops;
    uint32_t io_cnt; /* descriptors in use */
};

/* epoll; NULL with errno set when the kernel refuses. */
struct wr_poll *wr_poll_epoll_new(void);
/* Its descriptor, readable while it has events. */
int wr_poll_epoll_fd(struct wr_poll *p);

void wr_io_init(struct wr_io *io, enum wr_io_mode mode, struct wr_task *task);
/* Takes the non-blocking descriptor, which is closed by wr_io_close (also when this fails). */
enum wr_status wr_io_adopt(struct wr_io *io, int fd) WR_MUST_CHECK;
/*
 * Starts a connection: WR_OK connected at once, WR_AGAIN the facts will tell (CONNECTED or ERR),
 * WR_ESYS with io->err: refused, unreachable; WR_ECONFIG with io->err: our own side failed (no
 * descriptors, a socket option, bind).
 */
enum wr_status wr_io_connect(struct wr_io *io, const struct wr_addr *to,
                             const struct wr_connect_opts *opts) WR_MUST_CHECK;

/* Idempotent; drops rx. `reset`: RST instead of FIN where the kernel can. */
enum wr_io_close_how {
    WR_IO_CLOSE_FIN,
    WR_IO_CLOSE_RESET
};

void wr_io_close(struct wr_io *io, enum wr_io_close_how how);
/* Out of this thread's set without closing; returns the descriptor. rx must be empty. */
int wr_io_detach(struct wr_io *io);
/* Interest in bytes. Wakes the task when facts or bytes are there already. */
void wr_io_want_in(struct wr_io *io, bool on);
/*
 * Sends the pieces in one call. WR_OK: *ret_n bytes left (may be short: WRITABLE will come).
 * WR_AGAIN: none, WRITABLE will come. WR_ESYS: io->err (EPIPE, ECONNRESET...), ERR fact set.
 * Every piece must stay as it is until the poller took it (chunk references, constant text).
 */
enum wr_status wr_io_send(struct wr_io *io, const struct iovec *iov, int cnt,
                          size_t *ret_n) WR_MUST_CHECK;
/* sendfile; *ret_n 0 with WR_EOF when the file is shorter than off. */
enum wr_status wr_io_send_file(struct wr_io *io, int file_fd, uint64_t off, size_t n,
                               size_t *ret_n) WR_MUST_CHECK;
/* splice of n bytes that lie in a kernel pipe; as wr_io_send. */
enum wr_status wr_io_send_pipe(struct wr_io *io, int pipe_fd, size_t n,
                               size_t *ret_n) WR_MUST_CHECK;
/*
 * The system's TLS (kTLS): what is sent from now on becomes records encrypted by it. info: struct
 * tls_crypto_info of linux/tls.h and what belongs to the cipher. WR_ECONFIG: this system cannot;
 * WR_ESYS: not with this connection. Nothing has changed then.
 */
enum wr_status wr_io_encrypt(struct wr_io *io, const void *info, uint32_t len) WR_MUST_CHECK;
/* After it: one record of another type than data, whole, or WR_AGAIN or WR_ESYS as wr_io_send. */
enum wr_status wr_io_send_record(struct wr_io *io, uint8_t type, const void *buf,
                                 size_t n) WR_MUST_CHECK;
/*
 * After WR_IO_EOF: the fate of what was sent since tx_total was `since`. One system call. Only a
 * connection that we made; a reset without an end before it says nothing (TAKEN): the other side
 * may have read all and acknowledged nothing.
 */
enum wr_io_fate wr_io_get_fate(struct wr_io *io, uint64_t since);
/*
 * For `since` where tx_total is not the bytes on the wire, because the system encrypts: how many
 * there were until now, or fewer. Two system calls. Only a connection that we made; 0: not known.
 */
uint64_t wr_io_count_sent(struct wr_io *io);
/* WR_AGAIN: queue empty; WR_ELIMIT: EMFILE, ENFILE, ENOBUFS, ENOMEM; WR_ESYS: others (io->err). */
enum wr_status wr_io_accept(struct wr_io *io, int *ret_fd, struct wr_addr *ret_peer) WR_MUST_CHECK;
/* No more bytes from us (FIN). */
enum wr_status wr_io_shutdown(struct wr_io *io) WR_MUST_CHECK;
/*
 * Mode STREAM: one receive now, without an event, when bytes are wanted and none are here: for who
 * would close because nothing came. What it brings is told as by an event.
 */
void wr_io_look(struct wr_io *io);
/* Bytes sent that the other side has not acknowledged, as far as the kernel knows; 0: none. */
uint32_t wr_io_unread(const struct wr_io *io);
/*
 * Takes at most max received bytes: *ret_c gets a reference, bytes at off. WR_AGAIN: none now;
 * WR_EOF, WR_ESYS: after the last byte, as the facts say.
 */
enum wr_status wr_io_take(struct wr_io *io, size_t max, struct wr_chunk **ret_c, uint32_t *ret_off,
                          uint32_t *ret_len) WR_MUST_CHECK;
/*
 * The next receives go to a kernel pipe, non-blocking, at most max bytes; fd -1: to rx again. What
 * was spliced is taken by wr_io_take_piped, before rx: bytes that wait come in the order of
 * arrival.
 */
void wr_io_aim(struct wr_io *io, int fd, uint32_t max);
/* The bytes that went to the pipe since. */
uint32_t wr_io_take_piped(struct wr_io *io);
/* Looks without taking: the bytes in rx, or NULL. */
const char *wr_io_peek(const struct wr_io *io, size_t *ret_len);
/* The first n bytes of rx are done with. */
void wr_io_consume(struct wr_io *io, size_t n);

/* Another descriptor of a listening socket for this thread's loop, close-on-exec; -1: none is left.
 */
int wr_poll_dup(int fd);

#endif
