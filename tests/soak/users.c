/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users.c: the life of a user: connect, ask, check what comes, rest. See users.h.
 */
#include "users.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "ws.h"

#define FAULTS_SHOWN 20
#define AFTER_FAULT  100 /* ms of rest */

struct options options;
struct stats stats;
uint16_t main_port, extra_port;
uint64_t epoch;
bool is_stopping, is_held;

static struct user *users;
static unsigned user_cnt, once_cnt;
static uint64_t fault_cnt;

static const char *const kind_names[] = {"keep", "visit", "down", "events", "socket", "once"};
static const char *const fault_names[] = {"connect", "raced",    "dropped", "cut",  "status",
                                          "body",    "protocol", "stuck",   "early"};

static void run_user(struct io *io, uint32_t events);

void note_fault(struct user *u, enum fault f, const char *detail)
{
    stats.faults[f]++;
    if (fault_cnt++ < FAULTS_SHOWN) {
        (void)printf(
            "{\"what\": \"fault\", \"at_ms\": %llu, \"kind\": \"%s\", \"user\": \"%s %u\", "
            "\"target\": \"%s\", \"answers\": \"%u of %u\", \"served\": %llu, "
            "\"got\": %llu, \"detail\": \"%s\"}\n",
            (unsigned long long)(clock_us() / 1000), fault_names[f], kind_names[u->kind], u->no,
            u->target, u->want_at, u->want_cnt, (unsigned long long)u->served,
            (unsigned long long)u->got, detail);
        (void)fflush(stdout);
    }
}

/* --- connection --- */

void user_close(struct user *u)
{
    if (u->c.io.fd != -1) {
        conn_fini(&u->c);
    }
    u->served = 0;
}

void user_rest(struct user *u, uint64_t ms)
{
    u->state = IDLE;
    u->at_ms = loop_now_ms() + ms;
    u->is_cancel = false;
    u->want_cnt = u->want_at = 0;
    u->has_head = false;
    if (u->c.io.fd != -1) {
        loop_watch(&u->c.io, EPOLLIN);
    }
}

/* Milliseconds since the last byte arrived, whether it was read or not. */
static uint64_t idle_of(const struct user *u)
{
    struct tcp_info ti;
    socklen_t len = sizeof(ti);

    memset(&ti, 0, sizeof(ti));
    if (getsockopt(u->c.io.fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == -1) {
        die("getsockopt");
    }
    return ti.tcpi_last_data_recv;
}

/* The server closed an idle connection. */
static void note_idle_end(struct user *u)
{
    char text[80];

    if (u->epoch == epoch) {
        uint64_t ms = idle_of(u);

        stats.idle_closed++;
        /* The server's clock is that of its loop's turn, which may have begun long ago. */
        if (ms < options.grace_ms / 4 * 3) {
            (void)snprintf(text, sizeof(text), "closed %llu ms after the last byte",
                           (unsigned long long)ms);
            note_fault(u, FAULT_EARLY, text);
        }
    }
    user_close(u);
}

/* Before a request on a connection that has served one. */
static void look_whether_closed(struct user *u)
{
    char byte;
    ssize_t n;

    u->idle_ms = 0;
    if (u->c.io.fd == -1) {
        return;
    }
    u->idle_ms = idle_of(u);
    n = recv(u->c.io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n == -1 && errno != EAGAIN)) {
        note_idle_end(u);
    }
}

/* An idle connection that the last kill may have ended. */
static void look_at_old(struct user *u)
{
    char byte;
    ssize_t n;

    if (u->c.io.fd == -1 || u->epoch == epoch) {
        return;
    }
    n = recv(u->c.io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == -1 && errno == EAGAIN) {
        u->epoch = epoch; /* it waits in the queue of the listener still */
        return;
    }
    user_close(u);
}

bool user_connect(struct user *u, uint16_t port, int rcvbuf)
{
    int fd;

    look_at_old(u);
    if (u->c.io.fd != -1) {
        return true;
    }
    fd = connect_to(port, rcvbuf);
    if (fd == -1 && u->kind == VISIT && errno == ECONNREFUSED) {
        stats.refused++;
        user_rest(u, 2 + random_below(8));
        return false;
    }
    if (fd == -1) {
        note_fault(u, FAULT_CONNECT, strerror(errno));
        user_rest(u, AFTER_FAULT);
        return false;
    }
    conn_init(&u->c, fd, false, run_user);
    u->epoch = epoch;
    stats.connects++;
    return true;
}

void user_send(struct user *u)
{
    uint32_t in = down_budget(u) > 0 ? (uint32_t)EPOLLIN : 0;

    /* What broke is seen by the receive, where an answer may still wait. */
    if (!conn_flush(&u->c, in)) {
        u->c.out_off = u->c.out_len;
        u->c.has_body = false;
        loop_watch(&u->c.io, EPOLLIN);
    }
}

static void ask(struct user *u)
{
    uint16_t port = u->kind == VISIT ? extra_port : main_port;

    look_whether_closed(u);
    if (!user_connect(u, port, u->kind == DOWN ? 65536 : 0)) {
        return;
    }
    u->state = BUSY;
    u->got = 0;
    u->text_len = 0;
    u->progress_ms = loop_now_ms();
    u->sent_us = clock_us();
    if (u->kind == KEEP || u->kind == VISIT) {
        keep_ask(u);
        u->at_ms = loop_now_ms() + random_below(60); /* of a cancel */
    } else {
        stream_ask(u);
    }
    user_send(u);
}

/* --- answers --- */

static bool see_head(struct user *u)
{
    const struct want *w = &u->wants[u->want_at];
    const struct reader *r = &u->c.in;
    char text[80];

    u->has_head = true;
    u->got = 0;
    u->text_len = 0;
    if (r->status != w->status) {
        (void)snprintf(text, sizeof(text), "%d instead of %d", r->status, w->status);
        note_fault(u, FAULT_STATUS, text);
        return false;
    }
    if (w->body == BODY_PATTERN && !w->is_head && r->length != -1 &&
        (uint64_t)r->length != w->size) {
        note_fault(u, FAULT_BODY, "a wrong length in the head");
        return false;
    }
    if (u->kind == SOCKET) {
        (void)snprintf(text, sizeof(text), "taken-key-%u", u->no);
        if (strcmp(text, r->key) != 0) {
            note_fault(u, FAULT_BODY, "a key of somebody else");
            return false;
        }
    }
    return true;
}

static bool see_data(struct user *u)
{
    const struct want *w = &u->wants[u->want_at];
    const struct reader *r = &u->c.in;

    if (u->kind == EVENTS) {
        return events_take(u, r->data, r->data_len);
    }
    if (w->body == BODY_PATTERN &&
        (u->got + r->data_len > w->size || !pattern_is(w->seed, u->got, r->data, r->data_len))) {
        note_fault(u, FAULT_BODY, "a wrong byte, or too many");
        return false;
    }
    if (w->body == BODY_TEXT || w->body == BODY_NUMBER) {
        if (u->text_len + r->data_len >= TEXT_MAX) {
            note_fault(u, FAULT_BODY, "a long text");
            return false;
        }
        memcpy(u->text + u->text_len, r->data, r->data_len);
        u->text_len += r->data_len;
    }
    u->got += r->data_len;
    return true;
}

static bool see_end(struct user *u)
{
    const struct want *w = &u->wants[u->want_at];
    const struct reader *r = &u->c.in;

    if (u->kind == EVENTS) {
        note_fault(u, FAULT_CUT, "the end of an endless answer");
        return false;
    }
    if (w->body == BODY_PATTERN && u->got != w->size) {
        note_fault(u, FAULT_BODY, "a short body");
        return false;
    }
    if (w->body == BODY_TEXT &&
        (u->text_len != strlen(w->text) || memcmp(u->text, w->text, u->text_len) != 0)) {
        u->text[u->text_len] = '\0';
        note_fault(u, FAULT_BODY, u->text);
        return false;
    }
    if (w->ends_conn && !r->is_close) {
        note_fault(u, FAULT_PROTOCOL, "no Connection: close");
        return false;
    }
    keep_note_answer(u);
    u->has_head = false;
    u->served++;
    u->want_at++;
    return true;
}

/* All answers are there. */
static bool finish(struct user *u)
{
    bool was_close = u->c.in.is_close;

    if (!was_close && (u->c.in.start < u->c.in.len || conn_has_out(&u->c))) {
        note_fault(u, FAULT_PROTOCOL, "bytes behind an answer, or an early one");
        return false;
    }
    /* Of a listener that goes: its connections end gracefully. */
    if (was_close && !u->wants[u->want_at - 1].ends_conn && u->kind != VISIT) {
        stats.closes++;
    }
    if (was_close || (u->kind == VISIT && u->served == 2) || (u->kind == DOWN && u->served == 2)) {
        user_close(u);
    }
    if (u->kind == ONCE) {
        uint64_t us = clock_us() - u->sent_us;

        (void)printf("{\"what\": \"transfer\", \"target\": \"%s\", \"seconds\": %llu.%03llu}\n",
                     u->target, (unsigned long long)(us / 1000000),
                     (unsigned long long)(us / 1000 % 1000));
        (void)fflush(stdout);
        user_close(u);
        u->state = GONE;
        return true;
    }
    stats.downloads += u->kind == DOWN;
    user_rest(u, u->kind == KEEP || u->kind == VISIT ? random_below(options.pause_ms + 1) : 0);
    return true;
}

/* Nobody waits for an answer: there must be nothing. */
static bool take_nothing(struct user *u)
{
    if (u->c.in.start == u->c.in.len) {
        return true;
    }
    note_fault(u, FAULT_PROTOCOL, "bytes that nobody asked for");
    return false;
}

/* False: a fault. */
static bool take_bytes(struct user *u)
{
    bool is_good = true;

    if (u->c.in.state == READ_TUNNEL) {
        return socket_take(u);
    }
    if (u->state == IDLE) {
        return take_nothing(u);
    }
    while (is_good && u->want_at < u->want_cnt) {
        u->c.in.has_no_body = u->wants[u->want_at].is_head;
        switch (reader_next(&u->c.in)) {
        case GOT_NOTHING:
            return true;
        case GOT_HEAD:
            is_good = see_head(u);
            if (is_good && u->c.in.state == READ_TUNNEL) {
                u->want_at = u->want_cnt;
                return socket_take(u);
            }
            break;
        case GOT_DATA:
            is_good = see_data(u);
            break;
        case GOT_END:
            is_good = see_end(u);
            if (is_good && u->c.in.is_close) {
                return finish(u); /* what else was asked on this connection was not taken */
            }
            break;
        case GOT_BAD:
            note_fault(u, FAULT_PROTOCOL, u->c.in.fault);
            return false;
        }
    }
    return is_good && finish(u);
}

/* The connection ended before the answer did. */
static void note_unanswered(struct user *u, enum fill how)
{
    const char *detail = how == FILL_EOF ? "the connection was closed" : strerror(u->c.error);
    bool is_started = u->has_head || u->c.in.start < u->c.in.len || u->c.in.state == READ_TUNNEL;

    /* The error may have been told to a send; a receive says the end then. */
    if (u->kind == VISIT && u->c.error == ECONNREFUSED) {
        stats.refused++;
    } else if (u->epoch < epoch) {
        stats.lost[u->kind]++;
    } else if (!is_started && u->served > 0 && u->idle_ms >= options.grace_ms) {
        stats.late++;
    } else {
        note_fault(u, is_started ? FAULT_CUT : u->served > 0 ? FAULT_RACED : FAULT_DROPPED, detail);
    }
}

/* The connection ended. */
static void note_end(struct user *u, enum fill how)
{
    if (u->state == IDLE) {
        note_idle_end(u);
        return;
    }
    if (u->state == ENDING && u->heard == u->said) {
        user_close(u);
        u->state = GONE;
        return;
    }
    note_unanswered(u, how);
    user_close(u);
    if (u->kind == ONCE) {
        u->state = GONE;
        return;
    }
    user_rest(u, u->epoch < epoch ? random_below(20) : AFTER_FAULT);
}

static void note_progress(struct user *u)
{
    uint64_t gap = loop_now_ms() - u->progress_ms;

    if (u->kind == EVENTS && u->epoch == epoch && u->has_head && gap > stats.longest_gap_ms) {
        stats.longest_gap_ms = gap;
    }
    u->progress_ms = loop_now_ms();
}

static void run_user(struct io *io, uint32_t events)
{
    struct user *u = (struct user *)(void *)io;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        size_t may = down_budget(u);
        enum fill got;

        if (may == 0 && (events & (EPOLLHUP | EPOLLERR))) {
            may = PIECE_MAX;
        }
        if (may == 0) {
            loop_watch(&u->c.io, 0);
            return;
        }
        got = conn_fill(&u->c, may);
        if (got == FILL_EOF || got == FILL_ERROR) {
            note_end(u, got);
            return;
        }
        if (got == FILL_OK) {
            note_progress(u);
            if (!take_bytes(u)) {
                user_close(u);
                user_rest(u, AFTER_FAULT);
            }
        }
    }
    if (u->c.io.fd != -1 && u->state != GONE && conn_has_out(&u->c)) {
        u->progress_ms = events & EPOLLOUT ? loop_now_ms() : u->progress_ms;
        user_send(u);
    } else if (u->c.io.fd != -1 && u->c.io.watched & EPOLLOUT) {
        user_send(u);
    }
}

/* --- all of them --- */

void users_start(void)
{
    unsigned at = 0;

    for (int k = 0; k < KIND_CNT; k++) {
        user_cnt += options.counts[k];
    }
    users = calloc(user_cnt + 1, sizeof(*users));
    if (users == NULL) {
        die("calloc");
    }
    for (int k = 0; k < KIND_CNT; k++) {
        for (unsigned i = 0; i < options.counts[k]; i++) {
            struct user *u = &users[at++];

            u->kind = (enum kind)k;
            u->no = i;
            u->c.io.fd = -1;
            u->state = k == ONCE ? GONE : IDLE;
            u->at_ms = loop_now_ms() + random_below(options.pause_ms + 1);
        }
    }
}

static void leave(struct user *u)
{
    user_close(u);
    u->state = GONE;
}

static void look_whether_stuck(struct user *u)
{
    if (loop_now_ms() - u->progress_ms <= options.stuck_ms) {
        return;
    }
    note_fault(u, FAULT_STUCK, "nothing for too long");
    if (u->kind == ONCE || is_stopping) {
        leave(u);
    } else {
        user_close(u);
        user_rest(u, AFTER_FAULT);
    }
}

static void tick_busy(struct user *u)
{
    if (u->is_cancel && loop_now_ms() >= u->at_ms) {
        stats.cancelled++;
        user_close(u);
        user_rest(u, random_below(options.pause_ms + 1));
        return;
    }
    if (u->kind == EVENTS && is_stopping && u->text_len == 0 && u->heard > 0) {
        leave(u);
        return;
    }
    if (u->kind == SOCKET && u->state == BUSY && u->c.in.state == READ_TUNNEL) {
        socket_tick(u);
        if (u->said == u->heard) {
            return; /* nothing is waited for */
        }
    }
    if (u->kind == DOWN && !(u->c.io.watched & EPOLLIN)) {
        u->progress_ms = loop_now_ms();
        if (down_budget(u) >= options.rate / 50) {
            user_send(u);
        }
    }
    look_whether_stuck(u);
}

void users_tick(void)
{
    for (unsigned i = 0; i < user_cnt; i++) {
        struct user *u = &users[i];

        if (u->state == IDLE && is_stopping) {
            user_close(u);
            u->state = GONE;
        } else if (u->state == IDLE) {
            if (loop_now_ms() >= u->at_ms && !(is_held && (u->kind == KEEP || u->kind == VISIT))) {
                ask(u);
            }
        } else if (u->state == BUSY || u->state == ENDING) {
            tick_busy(u);
        }
    }
}

void users_burst(void)
{
    for (unsigned i = 0; i < user_cnt; i++) {
        struct user *u = &users[i];

        if (u->state == IDLE && (u->kind == KEEP || u->kind == VISIT)) {
            u->at_ms = loop_now_ms() + (i % 3 == 0 ? 0 : random_below(10));
        }
    }
    users_tick();
}

void users_note_kill(void)
{
    unsigned busy[KIND_CNT] = {0};

    epoch++;
    for (unsigned i = 0; i < user_cnt; i++) {
        busy[users[i].kind] += users[i].state == BUSY || users[i].state == ENDING;
    }
    (void)printf("{\"what\": \"killed\"");
    for (int k = 0; k < KIND_CNT; k++) {
        (void)printf(", \"%s\": %u", kind_names[k], busy[k]);
    }
    (void)printf("}\n");
    (void)fflush(stdout);
}

void users_transfer(bool is_up, uint64_t seed, uint64_t size, bool is_chunked)
{
    struct user *u = NULL;

    for (unsigned i = 0; i < user_cnt; i++) {
        if (users[i].kind == ONCE && users[i].state == GONE) {
            u = &users[i];
        }
    }
    if (u == NULL || !user_connect(u, main_port, 0)) {
        die("transfer: no free user, or no connection");
    }
    u->no = once_cnt++;
    u->state = BUSY;
    u->got = u->text_len = 0;
    u->want_at = 0;
    u->want_cnt = 1;
    u->has_head = false;
    u->progress_ms = loop_now_ms();
    u->sent_us = clock_us();
    u->wants[0] = (struct want){
        .status = 200, .body = is_up ? BODY_TEXT : BODY_PATTERN, .seed = seed, .size = size};
    (void)snprintf(u->target, sizeof(u->target), "/%s/%llu/%llu",
                   is_up        ? "up"
                   : is_chunked ? "c"
                                : "b",
                   (unsigned long long)seed, (unsigned long long)size);
    conn_addf(&u->c, "%s %s HTTP/1.1\r\nHost: traffic\r\n", is_up ? "POST" : "GET", u->target);
    if (is_up && is_chunked) {
        conn_addf(&u->c, "Transfer-Encoding: chunked\r\n");
    } else if (is_up) {
        conn_addf(&u->c, "Content-Length: %llu\r\n", (unsigned long long)size);
    }
    conn_addf(&u->c, "\r\n");
    if (is_up) {
        (void)snprintf(u->wants[0].text, TEXT_MAX, "ok %llu", (unsigned long long)size);
        conn_add_body(&u->c, seed, size, is_chunked);
    }
    user_send(u);
}

bool users_are_gone(void)
{
    for (unsigned i = 0; i < user_cnt; i++) {
        if (users[i].state != GONE) {
            return false;
        }
    }
    return true;
}

bool users_are_quiet(void)
{
    for (unsigned i = 0; i < user_cnt; i++) {
        if (users[i].state != GONE && users[i].state != IDLE &&
            (users[i].kind == KEEP || users[i].kind == VISIT || users[i].kind == ONCE)) {
            return false;
        }
    }
    return true;
}
