/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c: loop, pattern and connections of the traffic program. See io.h.
 */
#include "io.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PERIOD     ((size_t)65521) /* prime */
#define EVENTS_MAX 256
#define IN_CAP     (PIECE_MAX + HEAD_MAX)

static int epoll_fd = -1;
static bool is_over;
static uint64_t turn_ms;
static struct io *dead;
static char table[2 * PERIOD];
static uint64_t random_state = 1;

void die(const char *what)
{
    perror(what);
    _exit(3);
}

uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 2685821657736338717u;
}

uint64_t random_below(uint64_t n)
{
    return (next_random() >> 16) % n;
}

void seed_random(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
}

/* --- loop --- */

uint64_t clock_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void loop_open(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd == -1) {
        die("epoll_create1");
    }
    turn_ms = clock_us() / 1000;
}

void loop_watch(struct io *io, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = io};

    if (io->fd == -1 || (io->is_added && io->watched == events)) {
        return;
    }
    if (epoll_ctl(epoll_fd, io->is_added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, io->fd, &e) == -1) {
        die("epoll_ctl");
    }
    io->is_added = true;
    io->watched = events;
}

void loop_close(struct io *io)
{
    if (io->fd == -1) {
        return;
    }
    (void)close(io->fd);
    io->fd = -1;
    io->is_added = false;
    if (io->free != NULL) {
        io->next_dead = dead;
        dead = io;
    }
}

static void bury(void)
{
    while (dead != NULL) {
        struct io *io = dead;

        dead = io->next_dead;
        io->free(io);
    }
}

void loop_run(void (*tick)(void), int idle_ms)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t ticked_ms = 0;

    while (!is_over) {
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, idle_ms);

        turn_ms = clock_us() / 1000;
        for (int i = 0; i < n; i++) {
            struct io *io = events[i].data.ptr;

            /* Closed in this turn, maybe opened again with another number: level-triggered. */
            if (io->fd != -1) {
                io->run(io, events[i].events);
            }
        }
        bury();
        if (turn_ms != ticked_ms) {
            ticked_ms = turn_ms;
            tick();
        }
    }
}

void loop_end(void)
{
    is_over = true;
}

uint64_t loop_now_ms(void)
{
    return turn_ms;
}

/* --- the known body --- */

void pattern_init(void)
{
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < PERIOD; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        table[i] = (char)(x >> 32);
    }
    memcpy(table + PERIOD, table, PERIOD);
}

/* Each block of PERIOD bytes begins at another place of the table, so that none can stand for
 * another. */
const char *pattern_at(uint64_t seed, uint64_t off, size_t *n)
{
    uint64_t block = off / PERIOD, in_block = off % PERIOD;
    size_t left = PERIOD - (size_t)in_block;

    if (*n > left) {
        *n = left;
    }
    if (*n > PIECE_MAX) {
        *n = PIECE_MAX;
    }
    return table + (seed * 7919 + block * 31 + in_block) % PERIOD;
}

bool pattern_is(uint64_t seed, uint64_t off, const char *p, size_t n)
{
    while (n > 0) {
        size_t piece = n;
        const char *want = pattern_at(seed, off, &piece);

        if (memcmp(p, want, piece) != 0) {
            return false;
        }
        p += piece;
        off += piece;
        n -= piece;
    }
    return true;
}

/* --- connections --- */

void conn_init(struct conn *c, int fd, bool is_request, void (*run)(struct io *, uint32_t))
{
    memset(c, 0, sizeof(*c));
    c->io.fd = fd;
    c->io.run = run;
    reader_init(&c->in, is_request);
}

void conn_fini(struct conn *c)
{
    loop_close(&c->io);
    reader_fini(&c->in);
    free(c->out);
    c->out = NULL;
    c->out_len = c->out_off = c->out_cap = 0;
    c->has_body = false;
}

void conn_add(struct conn *c, const void *p, size_t n)
{
    if (c->out_off == c->out_len) {
        c->out_off = c->out_len = 0;
    }
    if (c->out_len + n > c->out_cap) {
        c->out_cap = (c->out_len + n) * 2;
        c->out = realloc(c->out, c->out_cap);
        if (c->out == NULL) {
            die("realloc");
        }
    }
    memcpy(c->out + c->out_len, p, n);
    c->out_len += n;
}

void conn_addf(struct conn *c, const char *format, ...)
{
    char text[2048];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(text)) {
        die("conn_addf");
    }
    conn_add(c, text, (size_t)n);
}

void conn_add_body(struct conn *c, uint64_t seed, uint64_t size, bool is_chunked)
{
    c->seed = seed;
    c->off = 0;
    c->end = size;
    c->is_body_chunked = is_chunked;
    c->has_body = size > 0 || is_chunked;
}

bool conn_has_out(const struct conn *c)
{
    return c->out_off < c->out_len || c->has_body;
}

/* The next piece of a chunked body, as text. */
static void add_chunk(struct conn *c)
{
    size_t n = PIECE_MAX / 2;
    const char *p;

    if (c->off == c->end) {
        conn_add(c, "0\r\n\r\n", 5);
        c->has_body = false;
        return;
    }
    if (n > c->end - c->off) {
        n = (size_t)(c->end - c->off);
    }
    p = pattern_at(c->seed, c->off, &n);
    conn_addf(c, "%zx\r\n", n);
    conn_add(c, p, n);
    conn_add(c, "\r\n", 2);
    c->off += n;
}

/* One write; 0: the socket is full. */
static ssize_t write_some(struct conn *c)
{
    const char *p;
    size_t n;
    ssize_t done;

    if (c->out_off == c->out_len && c->is_body_chunked) {
        add_chunk(c);
    }
    if (c->out_off < c->out_len) {
        p = c->out + c->out_off;
        n = c->out_len - c->out_off;
    } else {
        n = PIECE_MAX < c->end - c->off ? PIECE_MAX : (size_t)(c->end - c->off);
        p = pattern_at(c->seed, c->off, &n);
    }
    /* A small head waits for its body. */
    done = send(c->io.fd, p, n,
                MSG_NOSIGNAL | (p != c->out + c->out_off || !c->has_body ? 0 : MSG_MORE));
    if (done == -1) {
        c->error = errno;
        return errno == EAGAIN ? 0 : -1;
    }
    if (c->out_off < c->out_len) {
        c->out_off += (size_t)done;
    } else {
        c->off += (uint64_t)done;
        c->has_body = c->off < c->end;
    }
    return done;
}

bool conn_flush(struct conn *c, uint32_t more_events)
{
    int budget = 32; /* writes, so that others have their turn */

    while (conn_has_out(c) && budget-- > 0) {
        ssize_t done = write_some(c);

        if (done < 0) {
            return false;
        }
        if (done == 0) {
            break;
        }
    }
    loop_watch(&c->io, more_events | (conn_has_out(c) ? (uint32_t)EPOLLOUT : 0));
    return true;
}

enum fill conn_fill(struct conn *c, size_t max)
{
    struct reader *r = &c->in;
    size_t room;
    ssize_t n;

    if (r->start > 0) {
        memmove(r->buf, r->buf + r->start, r->len - r->start);
        r->len -= r->start;
        r->start = 0;
    }
    room = IN_CAP - r->len;
    n = recv(c->io.fd, r->buf + r->len, room < max ? room : max, MSG_DONTWAIT);
    c->last_fill = n > 0 ? (size_t)n : 0;
    if (n > 0) {
        r->len += (size_t)n;
        return FILL_OK;
    }
    if (n == 0) {
        return FILL_EOF;
    }
    c->error = errno;
    return errno == EAGAIN ? FILL_AGAIN : FILL_ERROR;
}

void reader_init(struct reader *r, bool is_request)
{
    memset(r, 0, sizeof(*r));
    r->is_request = is_request;
    r->length = -1;
    r->buf = malloc(IN_CAP);
    if (r->buf == NULL) {
        die("malloc");
    }
}

void reader_fini(struct reader *r)
{
    free(r->buf);
    r->buf = NULL;
}

int listen_on_loopback(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd == -1 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) == -1 ||
        listen(fd, 4096) == -1 || getsockname(fd, (struct sockaddr *)&a, &len) == -1) {
        die("listen");
    }
    *port = ntohs(a.sin_port);
    return fd;
}

int connect_to(uint16_t port, int rcvbuf)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd == -1) {
        die("socket");
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (rcvbuf > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
    }
    if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == -1 && errno != EINPROGRESS) {
        int error = errno;

        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}
