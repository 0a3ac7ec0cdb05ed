/* SPDX-License-Identifier: Apache-2.0 */
/*
 * origin.c: one state machine a connection, see origin.h. What a connection waits for besides its
 * socket (a late answer, the next event) is an absolute time in `at_ms`, looked at every tick.
 */
#include "origin.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io.h"
#include "ws.h"

#define OUT_MAX ((size_t)1 << 20) /* of echoes and events that nobody takes */

enum task {
    TASK_NONE,
    TASK_UPLOAD,
    TASK_LATE,
    TASK_EVENTS,
    TASK_SOCKET
};

struct peer_conn {
    struct conn c; /* first */
    struct peer_conn *next, *prev;
    enum task task;
    uint64_t at_ms, every_ms, event_no;
    uint64_t seed, size, seen; /* of an upload, or of a late answer */
    bool is_wrong;
    uint64_t wrong_at;
};

static struct peer_conn *all;
static struct io listeners[ORIGIN_PORTS];
static pid_t parent;

static void free_peer(struct io *io)
{
    struct peer_conn *p = (struct peer_conn *)(void *)io;

    conn_fini(&p->c);
    free(p);
}

static void drop(struct peer_conn *p)
{
    if (p->c.io.fd == -1) {
        return;
    }
    if (p->prev != NULL) {
        p->prev->next = p->next;
    } else {
        all = p->next;
    }
    if (p->next != NULL) {
        p->next->prev = p->prev;
    }
    loop_close(&p->c.io);
}

static void answer_text(struct peer_conn *p, int status, const char *text)
{
    conn_addf(&p->c, "HTTP/1.1 %d Because\r\nContent-Length: %zu\r\n\r\n", status, strlen(text));
    if (!p->c.in.has_no_body) {
        conn_addf(&p->c, "%s", text);
    }
}

static void answer_body(struct peer_conn *p, uint64_t seed, uint64_t size, bool is_chunked)
{
    if (is_chunked) {
        conn_addf(&p->c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    } else {
        conn_addf(&p->c, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                  (unsigned long long)size);
    }
    if (strcmp(p->c.in.method, "HEAD") != 0) {
        conn_add_body(&p->c, seed, size, is_chunked);
    }
}

/* The head of a request is there. False: the connection is closed. */
static bool begin_answer(struct peer_conn *p)
{
    const char *t = p->c.in.target;
    unsigned long long a, b, c;

    p->task = TASK_NONE;
    if (sscanf(t, "/b/%llu/%llu", &a, &b) == 2) {
        answer_body(p, a, b, false);
    } else if (sscanf(t, "/c/%llu/%llu", &a, &b) == 2) {
        answer_body(p, a, b, true);
    } else if (sscanf(t, "/late/%llu/%llu/%llu", &a, &b, &c) == 3) {
        p->task = TASK_LATE;
        p->at_ms = loop_now_ms() + a;
        p->seed = b;
        p->size = c;
    } else if (sscanf(t, "/up/%llu/%llu", &a, &b) == 2) {
        p->task = TASK_UPLOAD;
        p->seed = a;
        p->size = b;
        p->seen = 0;
        p->is_wrong = false;
    } else if (sscanf(t, "/ev/%llu", &a) == 1) {
        p->task = TASK_EVENTS;
        p->at_ms = loop_now_ms();
        p->every_ms = a > 0 ? a : 1;
        p->event_no = 0;
        conn_addf(&p->c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                         "Cache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n");
    } else if (strcmp(t, "/ws") == 0 && p->c.in.is_upgrade && p->c.in.key[0] != '\0') {
        p->task = TASK_SOCKET;
        conn_addf(&p->c,
                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Accept: taken-%s\r\n\r\n",
                  p->c.in.key);
    } else if (strncmp(t, "/cut/", 5) == 0) {
        return false;
    } else {
        answer_text(p, 404, "none");
    }
    return true;
}

static void see_upload(struct peer_conn *p)
{
    struct reader *r = &p->c.in;

    if (p->task != TASK_UPLOAD || p->is_wrong) {
        return;
    }
    if (p->seen + r->data_len > p->size || !pattern_is(p->seed, p->seen, r->data, r->data_len)) {
        p->is_wrong = true;
        p->wrong_at = p->seen;
    }
    p->seen += r->data_len;
}

static void end_upload(struct peer_conn *p)
{
    char text[80];

    if (p->task != TASK_UPLOAD) {
        return;
    }
    if (!p->is_wrong && p->seen == p->size) {
        (void)snprintf(text, sizeof(text), "ok %llu", (unsigned long long)p->size);
    } else {
        (void)snprintf(text, sizeof(text), "bad at %llu of %llu",
                       (unsigned long long)(p->is_wrong ? p->wrong_at : p->seen),
                       (unsigned long long)p->size);
    }
    p->task = TASK_NONE;
    answer_text(p, 200, text);
}

/* False: over. */
static bool echo(struct peer_conn *p)
{
    struct reader *r = &p->c.in;
    struct ws_frame f;
    long n;

    while ((n = ws_parse(r->buf + r->start, r->len - r->start, true, &f)) > 0) {
        ws_add(&p->c, f.opcode, f.data, f.len, false);
        reader_take(r, (size_t)n);
        if (f.opcode == WS_CLOSE) {
            /* Nothing may follow it; the answer must leave before the end. */
            (void)conn_flush(&p->c, 0);
            (void)shutdown(p->c.io.fd, SHUT_WR);
            return true;
        }
    }
    return n == 0;
}

/* False: over. */
static bool handle(struct peer_conn *p)
{
    struct reader *r = &p->c.in;

    if (p->task == TASK_SOCKET) {
        return echo(p);
    }
    /* One request at a time: the proxy does not pipeline. */
    while (!conn_has_out(&p->c) && p->task != TASK_LATE) {
        switch (reader_next(r)) {
        case GOT_NOTHING:
            return true;
        case GOT_HEAD:
            if (!begin_answer(p)) {
                return false;
            }
            if (p->task == TASK_SOCKET) {
                return echo(p);
            }
            break;
        case GOT_DATA:
            see_upload(p);
            break;
        case GOT_END:
            end_upload(p);
            break;
        case GOT_BAD:
            (void)fprintf(stderr, "origin: a bad request: %s\n", r->fault);
            return false;
        }
    }
    return true;
}

static void run_peer(struct io *io, uint32_t events)
{
    struct peer_conn *p = (struct peer_conn *)(void *)io;
    bool go_on;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
        enum fill got = conn_fill(&p->c, PIECE_MAX);

        if (got == FILL_EOF || got == FILL_ERROR) {
            drop(p);
            return;
        }
    }
    go_on = handle(p) && conn_flush(&p->c, EPOLLIN);
    if (!go_on) {
        drop(p);
        return;
    }
    /* A writer that is behind does not read. */
    if (conn_has_out(&p->c) && p->task != TASK_SOCKET && p->task != TASK_UPLOAD) {
        loop_watch(&p->c.io, EPOLLOUT | EPOLLRDHUP);
    }
}

static void run_listener(struct io *io, uint32_t events)
{
    int fd, on = 1;

    (void)events;
    while ((fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
        struct peer_conn *p = calloc(1, sizeof(*p));

        if (p == NULL) {
            die("calloc");
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        conn_init(&p->c, fd, true, run_peer);
        p->c.io.free = free_peer;
        p->next = all;
        if (all != NULL) {
            all->prev = p;
        }
        all = p;
        loop_watch(&p->c.io, EPOLLIN);
    }
}

static void send_event(struct peer_conn *p)
{
    char text[48];
    int n = snprintf(text, sizeof(text), "data: %llu\n\n", (unsigned long long)p->event_no++);

    conn_addf(&p->c, "%x\r\n%s\r\n", (unsigned)n, text);
    p->at_ms += p->every_ms;
}

static void tick(void)
{
    struct peer_conn *p, *next;

    if (getppid() != parent) {
        loop_end();
    }
    for (p = all; p != NULL; p = next) {
        bool is_due = p->at_ms <= loop_now_ms();

        next = p->next;
        if (p->task == TASK_LATE && is_due) {
            p->task = TASK_NONE;
            answer_body(p, p->seed, p->size, false);
        } else if (p->task == TASK_EVENTS && is_due && p->c.out_len - p->c.out_off < OUT_MAX) {
            send_event(p);
        } else {
            continue;
        }
        if (!conn_flush(&p->c, EPOLLIN)) {
            drop(p);
        }
    }
}

void origin_start(uint16_t ports[ORIGIN_PORTS])
{
    int fds[ORIGIN_PORTS];
    pid_t pid;

    for (int i = 0; i < ORIGIN_PORTS; i++) {
        fds[i] = listen_on_loopback(&ports[i]);
    }
    parent = getpid();
    pid = fork();
    if (pid == -1) {
        die("fork");
    }
    if (pid > 0) {
        for (int i = 0; i < ORIGIN_PORTS; i++) {
            (void)close(fds[i]);
        }
        return;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)close(STDIN_FILENO);
    (void)close(STDOUT_FILENO);
    loop_open();
    for (int i = 0; i < ORIGIN_PORTS; i++) {
        listeners[i] = (struct io){.fd = fds[i], .run = run_listener};
        loop_watch(&listeners[i], EPOLLIN);
    }
    loop_run(tick, 5);
    _exit(0);
}
