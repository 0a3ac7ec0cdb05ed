/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_splice_up.c: uploads that stay in kernel pipes from the client's socket to the peer's, in
 * the simulator (which moves the bytes of real pipes): small pipes and low limits, as in
 * test_splice.c. Whole by seeds, to slow peers, without pipes, cut at every byte on each side,
 * answered early, and with every allocation failing in turn. The peer's bytes are compared; no pipe
 * is left behind.
 */
/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

/* clang-format off */
#define CONF \
    "http { upstream u { server 10.0.0.2:80 max_fails=0; server 10.0.0.3:80 max_fails=0 backup;" \
    " keepalive 4; }\n" \
    "server { listen 10.0.0.1:80; proxy_http_version 1.1; proxy_set_header Connection '';" \
    " client_max_body_size 1m; proxy_read_timeout 5s; proxy_send_timeout 5s; client_body_timeout 5s;" \
    " proxy_next_upstream error timeout non_idempotent;" \
    " location / { proxy_request_buffering off; client_body_buffer_size 1k; proxy_pass http://u; }" \
    " location /gathered { client_body_buffer_size 64k; proxy_pass http://u; } } }"
/* clang-format on */

#include "sim/proxy_kit.h"
#include "sim/sweep_kit.h"

#define BODY_LEN 9000u
#define OK       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static char body[BODY_LEN + 1];
static unsigned piped; /* receives that went to a kernel pipe; the sim's */

static int boot(void **state)
{
    (void)state;
    kit_fill_body(body, BODY_LEN);
    return proxy_boot();
}

struct play {
    struct sim_conf conf;
    struct wr_kpipe_conf pipes;
    const char *path;
    size_t sent;                 /* bytes of the body that the client sends before it ends */
    bool is_once;                /* one request; else a second one behind the first */
    uint32_t pause_ms;           /* of the client, between head and body */
    const struct sim_step *peer; /* NULL: reads a whole request and answers */
    enum sim_dir cut_dir;
    uint64_t cut_at;   /* the client's connection is reset there; 0: not */
    char got[4096];    /* what the client saw */
    char at[3 * 9200]; /* what came to the first connection of the peer */
    char at2[9500];    /* and to the backup's */
    size_t got_len, at_len;
    unsigned conns[2]; /* that the peers accepted */
};

static void run_play(void *data)
{
    static char head[300], first[BODY_LEN + 1], second[BODY_LEN + 300];
    struct play *p = data;
    struct wr_addr peer = sim_addr(2, 80), other = sim_addr(3, 80);
    const struct sim_step client[] = {SIM_SEND(head),  SIM_WAIT(p->pause_ms),
                                      SIM_SEND(first), SIM_SEND(second),
                                      SIM_DRAIN,       SIM_CLOSE};
    const struct sim_step at_once[] = {SIM_SEND(head), SIM_SEND(first), SIM_SEND(second), SIM_DRAIN,
                                       SIM_CLOSE};
    const struct sim_step usual[] = {SIM_UNTIL("\r\n\r\n"), SIM_READ(BODY_LEN), SIM_SEND(OK),
                                     SIM_LOOP};
    struct kit_world w;
    struct sim_sock *c;

    (void)snprintf(head, sizeof(head),
                   "POST %s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %u\r\n\r\n", p->path,
                   p->is_once ? "Connection: close\r\n" : "", BODY_LEN);
    (void)snprintf(first, sizeof(first), "%.*s", (int)p->sent, body);
    (void)snprintf(second, sizeof(second),
                   "POST %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                   "Content-Length: %u\r\n\r\n%s",
                   p->path, BODY_LEN, body);
    if (p->is_once) {
        second[0] = '\0';
    }
    wr_kpipe_set_conf(&p->pipes);
    kit_begin(&w, &p->conf, gen);
    kit_serve(&w, 2, p->peer != NULL ? p->peer : usual);
    kit_serve(&w, 3, usual);
    p->got_len = p->at_len = 0;
    if (kit_adopt(gen)) {
        c = kit_dial(&w, p->pause_ms != 0 ? client : at_once);
        if (p->cut_at != 0) {
            sim_reset_at(c, p->cut_dir, p->cut_at);
        }
        (void)sim_run_for(w.sim, 60000);
        p->got_len = kit_keep(c, p->got, sizeof(p->got));
        p->at_len = kit_keep(sim_accepted_sock(w.sim, &peer, 0), p->at, sizeof(p->at));
        (void)kit_keep(sim_accepted_sock(w.sim, &other, 0), p->at2, sizeof(p->at2));
        p->conns[0] = WR_MIN(sim_accepted(w.sim, &peer), 2u);
        p->conns[1] = WR_MIN(sim_accepted(w.sim, &other), 1u);
    }
    piped += kit_end(&w);
}

/* What the peer got on its first connection is requests whose bodies are ours, the last one maybe
 * cut. Whole ones. */
static unsigned check_peer(const struct play *p)
{
    const char *end;
    unsigned whole = kit_count_bodies(p->at, "POST ", body, &end);

    assert_true(*end == '\0' || strncmp(end, "POST ", 5) == 0);
    return whole;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (text = strstr(text, what); text != NULL; text = strstr(text + 1, what)) {
        n++;
    }
    return n;
}

static struct play make(uint64_t seed)
{
    return (struct play){
        .conf = {.seed = seed, .short_io = seed % 3 != 0, .delays = seed % 2 == 0},
        .pipes = kit_small_pipes,
        .path = "/",
        .sent = BODY_LEN
    };
}

/* U4.4: two requests on one connection of the client, and of the peer. */
static void by_seeds(void **state)
{
    static struct play p;

    (void)state;
    piped = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        p = make(seed);
        p.conf.buf_cap = seed % 5 == 0 ? 512 : seed % 5 == 1 ? 3000 : 0;
        run_play(&p);
        if (check_peer(&p) != 2 || count(p.got, "200 OK") != 2 || p.conns[0] != 1) {
            fail_msg("seed %d: %u bytes", (int)seed, (unsigned)p.at_len);
        }
    }
    assert_true(piped > 120);
}

/* A body that is gathered, because it may have to be sent again, is never in a pipe. */
static void gathered(void **state)
{
    static struct play p;

    (void)state;
    piped = 0;
    p = make(1);
    p.path = "/gathered";
    run_play(&p);
    assert_int_equal(check_peer(&p), 2);
    assert_int_equal(piped, 0);
}

/* One pipe for all, or none: chunks do. */
static void pipes_run_out(void **state)
{
    static struct play p;

    (void)state;
    for (uint32_t pipes = 0; pipes < 2; pipes++) {
        for (uint64_t seed = 1; seed <= 30; seed++) {
            p = make(seed);
            p.conf.buf_cap = 700;
            p.pipes.all_max = pipes * p.pipes.cap;
            piped = 0;
            run_play(&p);
            if (check_peer(&p) != 2) {
                fail_msg("seed %d, %d pipes: %u bytes, %u connections: %s", (int)seed, (int)pipes,
                         (unsigned)p.at_len, p.conns[0], p.got);
            }
            assert_true(pipes == 0 ? piped == 0 : piped > 0);
        }
    }
}

/* The client ends or is reset anywhere: the peer's connection is closed and not used again, and no
 * other peer is asked once bytes went. U4.4 U8.1 */
static void client_cut_anywhere(void **state)
{
    static struct play p;

    (void)state;
    for (size_t n = 1; n < BODY_LEN; n += n < 300 ? 7 : 97) {
        p = make(n);
        p.is_once = true;
        p.sent = n;
        run_play(&p); /* it waits, until client_body_timeout */
        assert_int_equal(check_peer(&p), 0);
        assert_true(p.conns[0] <= 1 && p.conns[1] == 0);
        p = make(n);
        p.is_once = true;
        p.cut_dir = SIM_TX;
        p.cut_at = n;
        run_play(&p);
        assert_int_equal(check_peer(&p), 0);
        assert_true(p.conns[0] <= 1 && p.conns[1] == 0);
        assert_int_equal(p.got_len, 0);
    }
}

/* The peer resets after any number of bytes: 502, never a second try with half a body. */
static void peer_cut_anywhere(void **state)
{
    static struct play p;

    (void)state;
    for (uint32_t n = 1; n < BODY_LEN; n += n < 300 ? 23 : 197) {
        const struct sim_step dies[] = {SIM_UNTIL("\r\n\r\n"), SIM_READ(n), SIM_RESET};

        p = make(n);
        p.is_once = true;
        p.peer = dies;
        p.conf.buf_cap = 1024;
        run_play(&p);
        assert_int_equal(count(p.got, "HTTP/1.1 502"), 1);
        assert_int_equal(p.conns[0], 1);
        assert_int_equal(p.conns[1], 0);
    }
}

/* The first peer ends before a byte of the body came, and the client sends while the second one is
 * dialed: what waits in a kernel pipe goes there, whole. U4.4 */
static void next_peer(void **state)
{
    static const struct sim_step dies[] = {SIM_UNTIL("\r\n\r\n"), SIM_WAIT(100), SIM_RESET};
    static struct play p;
    unsigned moved_on = 0;

    (void)state;
    piped = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        p = make(seed);
        p.is_once = true;
        p.peer = dies;
        p.pause_ms = 60 + (uint32_t)seed * 2;
        p.conf.connect_ms = 50;
        run_play(&p);
        if (p.conns[1] == 0) {
            /* The first one had a part of it. */
            assert_int_equal(count(p.got, "HTTP/1.1 502"), 1);
            continue;
        }
        moved_on++;
        assert_int_equal(count(p.got, "200 OK"), 1);
        assert_memory_equal(strstr(p.at2, "\r\n\r\n") + 4, body, BODY_LEN);
    }
    assert_true(moved_on > 10 && moved_on < 60 && piped > 0);
}

/* U4.5: an answer before the body is over. The peer reads on, or does not. */
static void early_answers(void **state)
{
    static struct play p;

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const struct sim_step reads[] = {SIM_UNTIL("\r\n\r\n"), SIM_READ(seed * 100), SIM_SEND(OK),
                                         SIM_READ(BODY_LEN - seed * 100), SIM_LOOP};
        const struct sim_step ends[] = {
            SIM_UNTIL("\r\n\r\n"), SIM_READ(seed * 100),
            SIM_SEND("HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
            SIM_CLOSE};

        p = make(seed);
        p.conf.buf_cap = 800;
        p.peer = reads;
        run_play(&p);
        assert_true(count(p.got, "200 OK") >= 1);
        (void)check_peer(&p);
        p = make(seed);
        p.conf.buf_cap = 800;
        p.is_once = true;
        p.peer = ends;
        run_play(&p);
        assert_int_equal(count(p.got, "HTTP/1.1 413"), 1);
        assert_int_equal(p.conns[1], 0);
    }
}

/* U4.6: the peer takes no more: 504 by proxy_send_timeout; the client is not the one to blame. */
static void deaf_peer(void **state)
{
    static const struct sim_step deaf[] = {SIM_UNTIL("\r\n\r\n"), SIM_READ(2000), SIM_WAIT(30000),
                                           SIM_CLOSE};
    static struct play p;

    (void)state;
    p = make(1);
    p.is_once = true;
    p.peer = deaf;
    p.conf.buf_cap = 1000;
    piped = 0;
    run_play(&p);
    assert_true(piped > 0);
    assert_int_equal(count(p.got, "HTTP/1.1 504"), 1);
    assert_int_equal(p.conns[1], 0);
}

static void allocations(void **state)
{
    static struct play p;

    (void)state;
    p = make(3);
    p.conf.buf_cap = 2000;
    assert_true(sim_torture(run_play, &p) > 10);
    assert_int_equal(check_peer(&p), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_seeds),          cmocka_unit_test(gathered),
        cmocka_unit_test(pipes_run_out),     cmocka_unit_test(client_cut_anywhere),
        cmocka_unit_test(peer_cut_anywhere), cmocka_unit_test(next_peer),
        cmocka_unit_test(early_answers),     cmocka_unit_test(deaf_peer),
        cmocka_unit_test(allocations),
    };

    proxy_be_quiet();
    return cmocka_run_group_tests(tests, boot, proxy_teardown);
}
