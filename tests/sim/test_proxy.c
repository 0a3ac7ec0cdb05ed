/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_proxy.c: the whole proxy in the simulator: a configuration, a client, two peers, the real
 * request engine, codec and upstream engine, on simulated sockets and clock. Played whole and by
 * seeds with short reads and writes and delays; cut at every byte on each side; with time jumping
 * over silent peers; with every allocation failing in turn. What a client may see is checked every
 * time: the whole answer, an error page, or a cut; never a truncated answer as whole.
 */
/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "sim/proxy_kit.h"
#include "sim/sweep_kit.h"

/* --- one exchange --- */

struct play {
    struct sim_conf conf;
    const struct sim_step *client, *peer2, *peer3;
    enum sim_dir cut_dir;
    uint64_t cut_at; /* the client's connection is reset there; 0: not */
    char got[1 << 16];
    size_t got_len;
    bool is_over; /* the client's script came to its end */
};

static void run_play(void *data)
{
    struct play *p = data;
    struct kit_world w;
    struct sim_sock *c;

    kit_begin(&w, &p->conf, gen);
    kit_serve(&w, 2, p->peer2);
    kit_serve(&w, 3, p->peer3);
    p->got_len = 0;
    p->is_over = true;
    if (kit_adopt(gen)) {
        c = kit_dial(&w, p->client);
        if (p->cut_at != 0) {
            sim_reset_at(c, p->cut_dir, p->cut_at);
        }
        (void)sim_run_for(w.sim, 30000);
        p->is_over = c == NULL || sim_script_is_done(c);
        p->got_len = kit_keep(c, p->got, sizeof(p->got));
    }
    p->got[p->got_len] = '\0';
    (void)kit_end(&w);
}

#define HEAD_OK "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"

static const struct sim_step get_client[] = {
    SIM_SEND("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step post_client[] = {
    SIM_SEND(
        "POST /off HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"
        "hello\r\n6\r\n world\r\n0\r\n\r\n"),
    SIM_DRAIN, SIM_CLOSE};
static const struct sim_step good_peer[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(HEAD_OK "0123456789"),
                                            SIM_LOOP};
static const struct sim_step post_peer[] = {SIM_UNTIL("0\r\n\r\n"), SIM_SEND(HEAD_OK "0123456789"),
                                            SIM_LOOP};
static const struct sim_step silent_peer[] = {SIM_UNTIL("\r\n\r\n"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step short_peer[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(HEAD_OK "01234"),
                                             SIM_CLOSE};

/* The body is whole only behind a whole head, else the answer is an error of ours, or was cut. */
static bool is_whole(const struct play *p)
{
    const char *body = strstr(p->got, "\r\n\r\n");

    return strncmp(p->got, "HTTP/1.1 200 OK\r\n", 17) == 0 && body != NULL &&
           strcmp(body + 4, "0123456789") == 0;
}

static void check_never_false(const struct play *p)
{
    const char *body = strstr(p->got, "\r\n\r\n");

    /* U6.5: a shorter body is never framed as whole. */
    if (body != NULL && strncmp(p->got, "HTTP/1.1 200", 12) == 0 && strlen(body + 4) < 10) {
        assert_non_null(strstr(p->got, "Content-Length: 10"));
    }
}

/* U3 U4 U5 U6: whole exchanges by seed */
static void by_seeds(void **state)
{
    static struct play p;

    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        p = (struct play){
            .conf = {.seed = seed, .short_io = seed > 1, .delays = seed % 2 == 0},
            .client = seed % 3 == 0 ? post_client : get_client,
            .peer2 = seed % 3 == 0 ? post_peer : good_peer,
            .peer3 = seed % 3 == 0 ? post_peer : good_peer
        };
        run_play(&p);
        if (!is_whole(&p)) {
            fail_msg("seed %d: %s", (int)seed, p.got);
        }
    }
}

/* U7: a refused, a silent and a cut peer: the next one answers, or the client is cut */
static void next_peer(void **state)
{
    static struct play p;

    (void)state;
    p = (struct play){.conf = {.seed = 7}, .client = get_client, .peer3 = good_peer};
    run_play(&p);
    assert_true(is_whole(&p));
    p = (struct play){
        .conf = {.seed = 8}, .client = get_client, .peer2 = silent_peer, .peer3 = good_peer};
    run_play(&p);
    assert_true(is_whole(&p)); /* 5 s of simulated time passed */
    p = (struct play){
        .conf = {.seed = 9}, .client = get_client, .peer2 = silent_peer, .peer3 = silent_peer};
    run_play(&p);
    assert_int_equal(strncmp(p.got, "HTTP/1.1 504", 12), 0);
    p = (struct play){.conf = {.seed = 10}, .client = get_client};
    run_play(&p);
    assert_int_equal(strncmp(p.got, "HTTP/1.1 502", 12), 0);
    p = (struct play){
        .conf = {.seed = 11}, .client = get_client, .peer2 = short_peer, .peer3 = short_peer};
    run_play(&p);
    assert_false(is_whole(&p));
    assert_non_null(strstr(p.got, "\r\n\r\n01234"));
    check_never_false(&p);
}

/* U8: the client is reset at every byte of either direction; nothing is left behind */
static void client_cut_at_every_byte(void **state)
{
    static struct play p;

    (void)state;
    for (uint64_t n = 1; n < 170; n++) {
        for (int dir = 0; dir < 2; dir++) {
            p = (struct play){
                .conf = {.seed = n, .short_io = true},
                .client = n % 2 != 0 ? get_client : post_client,
                .peer2 = n % 2 != 0 ? good_peer : post_peer,
                .peer3 = n % 2 != 0 ? good_peer : post_peer,
                .cut_dir = dir == 0 ? SIM_TX : SIM_RX,
                .cut_at = n
            };
            run_play(&p);
            check_never_false(&p);
        }
    }
}

/* U6.5: the peer closes behind every byte of its answer */
static void peer_cut_at_every_byte(void **state)
{
    static const char answer[] = HEAD_OK "0123456789";
    static struct play p;
    char part[sizeof(answer)];

    (void)state;
    for (size_t n = 0; n < sizeof(answer); n++) {
        const struct sim_step cut[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(part), SIM_CLOSE};

        memcpy(part, answer, n);
        part[n] = '\0';
        p = (struct play){
            .conf = {.seed = n + 1, .short_io = true},
            .client = get_client,
            .peer2 = cut,
            .peer3 = cut
        };
        run_play(&p);
        check_never_false(&p);
        if (n == sizeof(answer) - 1) {
            assert_true(is_whole(&p));
        } else if (strncmp(p.got, "HTTP/1.1 502", 12) != 0) {
            assert_false(is_whole(&p));
        }
    }
}

/* Every allocation fails in turn: an answer, an error or a cut, and nothing leaks (sim_torture
 * checks) */
static void allocations(void **state)
{
    static struct play p;

    (void)state;
    p = (struct play){
        .conf = {.seed = 3}, .client = get_client, .peer2 = good_peer, .peer3 = good_peer};
    assert_true(sim_torture(run_play, &p) > 10);
    assert_true(is_whole(&p));
    p = (struct play){
        .conf = {.seed = 3}, .client = post_client, .peer2 = post_peer, .peer3 = post_peer};
    assert_true(sim_torture(run_play, &p) > 10);
    assert_true(is_whole(&p));
}

/* U6.5: what stands behind a head on a kept connection is its body, or the connection ends. */
static void check_framing(const char *at)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\n", body[] = "0123456789";

    while (strncmp(at, ok, sizeof(ok) - 1) == 0) {
        const char *end = strstr(at, "\r\n\r\n");

        if (end == NULL) {
            return;
        }
        at = end + 4;
        if (strncmp(at, body, WR_MIN(strlen(at), sizeof(body) - 1)) != 0) {
            fail_msg("not a body: %s", at);
        }
        at += WR_MIN(strlen(at), sizeof(body) - 1);
    }
}

static void run_kept(void *data)
{
    struct play *p = data;

    run_play(p);
    check_framing(p->got);
    if (!p->is_over) {
        fail_msg("the client waits still behind: %s", p->got);
    }
}

/* Every allocation fails in turn while a connection carries two requests, or a tunnel. */
static void allocations_of_kept(void **state)
{
    static const struct sim_step two[] = {
        SIM_SEND("GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
                 "GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        SIM_DRAIN, SIM_CLOSE};
    static const struct sim_step talker[] = {
        SIM_SEND("GET /up HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        SIM_UNTIL("\r\n\r\n"), SIM_SEND("ping"), SIM_UNTIL("pong"), SIM_CLOSE};
    static const struct sim_step listener[] = {
        SIM_UNTIL("\r\n\r\n"),
        SIM_SEND("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        SIM_UNTIL("ping"),
        SIM_SEND("pong"),
        SIM_DRAIN,
        SIM_CLOSE};
    static struct play p;

    (void)state;
    p = (struct play){.conf = {.seed = 3}, .client = two, .peer2 = good_peer, .peer3 = good_peer};
    assert_true(sim_torture(run_kept, &p) > 10);
    p = (struct play){.conf = {.seed = 3}, .client = talker, .peer2 = listener, .peer3 = listener};
    assert_true(sim_torture(run_kept, &p) > 10);
    assert_non_null(strstr(p.got, "pong"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_seeds),
        cmocka_unit_test(next_peer),
        cmocka_unit_test(client_cut_at_every_byte),
        cmocka_unit_test(peer_cut_at_every_byte),
        cmocka_unit_test(allocations),
        cmocka_unit_test(allocations_of_kept),
    };

    proxy_be_quiet();
    return cmocka_run_group_tests(tests, proxy_setup, proxy_teardown);
}
