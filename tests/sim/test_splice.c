/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_splice.c: bodies that stay in kernel pipes, in the simulator (which moves the bytes of real
 * pipes): small pipes and low limits, so that a body of a few KB fills them, runs out of them and
 * ends in one. Whole by seeds, with slow clients and temporary files, cut at every byte on each
 * side, with every allocation failing in turn. Every byte is compared; no pipe is left behind.
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
    "http { upstream u { server 10.0.0.2:80 max_fails=0; } proxy_buffer_size 1k;\n" \
    "server { listen 10.0.0.1:80; proxy_http_version 1.1; proxy_max_temp_file_size 0;" \
    " location / { proxy_buffers 8 1k; proxy_busy_buffers_size 1k; proxy_pass http://u; }" \
    " location /small { proxy_buffers 2 1k; proxy_busy_buffers_size 1k; proxy_pass http://u; }" \
    " location /file { proxy_buffers 2 1k; proxy_busy_buffers_size 1k; proxy_max_temp_file_size 1m;" \
    " proxy_pass http://u; }" \
    " location /slow { proxy_buffers 8 1k; proxy_busy_buffers_size 1k; limit_rate 1k; proxy_pass http://u; } } }"
/* clang-format on */

#include "sim/proxy_kit.h"
#include "sim/sweep_kit.h"

#define BODY_LEN 9000u

static char body[BODY_LEN + 1];
static char with_length[BODY_LEN + 100], with_close[BODY_LEN + 100];
static unsigned piped; /* receives that went to a kernel pipe; the sim's */

static int boot(void **state)
{
    (void)state;
    kit_fill_body(body, BODY_LEN);
    (void)snprintf(with_length, sizeof(with_length),
                   "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n%s", BODY_LEN, body);
    (void)snprintf(with_close, sizeof(with_close), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s",
                   body);
    return proxy_boot();
}

struct play {
    struct sim_conf conf;
    struct wr_kpipe_conf pipes;
    const char *path;   /* what the client asks for */
    const char *answer; /* the peer's bytes */
    bool closes;        /* the peer, behind them */
    size_t peer_cut;    /* only so many of them; 0: all */
    enum sim_dir cut_dir;
    uint64_t cut_at; /* the client's connection is reset there; 0: not */
    char got[3 * BODY_LEN];
    size_t got_len;
};

static void run_play(void *data)
{
    static char request[200], answer[sizeof(with_length)];
    struct play *p = data;
    const struct sim_step client[] = {SIM_SEND(request), SIM_DRAIN, SIM_CLOSE};
    const struct sim_step keeps[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(answer), SIM_LOOP};
    const struct sim_step closes[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(answer), SIM_CLOSE};
    struct kit_world w;
    struct sim_sock *c;

    (void)snprintf(request, sizeof(request),
                   "GET %s HTTP/1.1\r\nHost: h\r\n\r\nGET %s HTTP/1.1\r\nHost: h\r\n"
                   "Connection: close\r\n\r\n",
                   p->path, p->path);
    (void)snprintf(answer, p->peer_cut != 0 ? p->peer_cut + 1 : sizeof(answer), "%s", p->answer);
    wr_kpipe_set_conf(&p->pipes);
    kit_begin(&w, &p->conf, gen);
    kit_serve(&w, 2, p->closes ? closes : keeps);
    p->got_len = 0;
    if (kit_adopt(gen)) {
        c = kit_dial(&w, client);
        if (p->cut_at != 0) {
            sim_reset_at(c, p->cut_dir, p->cut_at);
        }
        (void)sim_run_for(w.sim, 60000);
        p->got_len = kit_keep(c, p->got, sizeof(p->got));
    }
    piped += kit_end(&w);
}

/* Every answer on the wire is the body, or its beginning at the end of the connection. Whole ones.
 */
static unsigned check_answers(const struct play *p)
{
    return kit_count_bodies(p->got, "HTTP/1.1 200", body, NULL);
}

static struct play make(const char *path, const char *answer, bool closes)
{
    return (struct play){.conf = {.seed = 1},
                         .pipes = kit_small_pipes,
                         .path = path,
                         .answer = answer,
                         .closes = closes};
}

/* U6.1 U6.3: two answers on one connection, by seeds, into less memory than a body, or a file */
static void by_seeds(void **state)
{
    static const char *const paths[] = {"/a", "/small", "/file", "/slow"};
    static struct play p;

    (void)state;
    piped = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        p = make(paths[seed % 4], with_length, false);
        p.conf.seed = seed;
        p.conf.short_io = seed % 3 != 0;
        p.conf.delays = seed % 2 == 0;
        p.conf.buf_cap = seed % 5 == 0 ? 512 : 0;
        run_play(&p);
        if (check_answers(&p) != 2) {
            fail_msg("seed %d: %u bytes", (int)seed, (unsigned)p.got_len);
        }
    }
    assert_true(piped > 120);
}

/* One pipe for all, or none: chunks do. The pipe of somebody slow is given back. */
static void pipes_run_out(void **state)
{
    static struct play p;

    (void)state;
    for (uint32_t pipes = 0; pipes < 2; pipes++) {
        for (uint64_t seed = 1; seed <= 30; seed++) {
            p = make(seed % 2 == 0 ? "/small" : "/file", with_length, false);
            p.conf.seed = seed;
            p.conf.short_io = true;
            p.conf.buf_cap = 300;
            p.pipes.all_max = pipes * p.pipes.cap;
            piped = 0;
            run_play(&p);
            assert_int_equal(check_answers(&p), 2);
            assert_true(pipes == 0 ? piped == 0 : piped > 0);
        }
    }
}

/* Small pieces are no work for a pipe: after the first ones they come as chunks. */
static void small_pieces(void **state)
{
    static struct play p;

    (void)state;
    p = make("/a", with_length, false);
    p.conf.buf_cap = 100;
    p.pipes.piece_min = 1000;
    piped = 0;
    run_play(&p);
    assert_int_equal(check_answers(&p), 2);
    assert_true(piped > 0 && piped <= 2 * 16);
}

/* U6.5: the peer ends or the client resets anywhere; nothing false, nothing left behind. */
static void cut_anywhere(void **state)
{
    static struct play p;

    (void)state;
    for (size_t n = 1; n < BODY_LEN; n += n < 300 ? 7 : 97) {
        p = make(n % 2 == 0 ? "/a" : "/file", with_length, true);
        p.conf.seed = n;
        p.conf.short_io = true;
        p.peer_cut = n;
        run_play(&p);
        assert_int_equal(check_answers(&p), 0);
        p.peer_cut = 0;
        p.cut_dir = SIM_RX;
        p.cut_at = n;
        run_play(&p);
        assert_int_equal(check_answers(&p), 0);
    }
}

/* A body that ends with the connection, chunked for the client. */
static void until_close(void **state)
{
    static struct play p;

    (void)state;
    piped = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        size_t body_bytes = 0;
        const char *at;

        p = make(seed % 2 == 0 ? "/a" : "/file", with_close, true);
        p.conf.seed = seed;
        p.conf.short_io = true;
        run_play(&p);
        at = strstr(p.got, "\r\n\r\n");
        assert_non_null(at);
        at += 4;
        for (;;) {
            size_t n = 0;
            int used = 0;

            assert_int_equal(sscanf(at, "%zx\r\n%n", &n, &used), 1);
            at += used;
            if (n == 0) {
                break;
            }
            assert_true(body_bytes + n <= BODY_LEN);
            assert_memory_equal(at, body + body_bytes, n);
            body_bytes += n;
            at += n + 2;
        }
        assert_int_equal(body_bytes, BODY_LEN);
    }
    assert_true(piped > 20);
}

static void allocations(void **state)
{
    static struct play p;

    (void)state;
    p = make("/file", with_length, false);
    p.conf.buf_cap = 2000;
    assert_true(sim_torture(run_play, &p) > 10);
    assert_int_equal(check_answers(&p), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_seeds),     cmocka_unit_test(pipes_run_out),
        cmocka_unit_test(small_pieces), cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(until_close),  cmocka_unit_test(allocations),
    };

    proxy_be_quiet();
    return cmocka_run_group_tests(tests, boot, proxy_teardown);
}
