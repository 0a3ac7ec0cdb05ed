/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sweep.c: cancels at every step. Each scene is a client and its peers, played once to count
 * the turns of the loop it takes; then again and again, and behind turn 1, 2, 3 ... the client
 * resets or closes, or all connections of the peers are reset or closed. Whatever the moment: the
 * request ends, each peer gets its slot back, nothing leaks, no answer is whole that was not
 * (U8.1, U8.3, U6.5). The states in which the engine and its attempt were met are noted: all that
 * can wait must be among them.
 */
/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "base/fsm.h"
#include "event/timer.h"

/* The engine tells where it is. */
static bool note_move(const struct wr_fsm *f, uint8_t *state, unsigned to, uint64_t id);
static void note_begin(struct wr_timer *t, struct wr_task *task);
static void note_end(struct wr_timer *t);

#define wr_fsm_move   note_move
#define wr_timer_init note_begin
#define wr_timer_fini note_end
#include "up/engine.c"
#undef wr_fsm_move
#undef wr_timer_init
#undef wr_timer_fini
#undef B

/* clang-format off */
#define CONF                                                                                       \
    "http { client_body_timeout 3s;\n"                                                             \
    "proxy_connect_timeout 5s; proxy_read_timeout 5s; proxy_send_timeout 5s;\n"                    \
    "upstream u { server 10.0.0.2:80 max_fails=0; server 10.0.0.3:80 backup max_fails=0; }\n"      \
    "upstream q { server 10.0.0.2:80 max_conns=1 max_fails=0; queue 4 timeout=300ms; }\n"          \
    "server { listen 10.0.0.1:80;\n"                                                               \
    "location / { proxy_pass http://u; }\n"                                                        \
    "location /one { proxy_buffering off; proxy_pass http://u; }\n"                                \
    "location /st { proxy_pass http://u; proxy_next_upstream error http_503; }\n"                  \
    "location /off { proxy_request_buffering off; proxy_buffering off; proxy_pass http://u; }\n"   \
    "location /rate { proxy_limit_rate 10; proxy_pass http://u; }\n"                               \
    "location /trail { proxy_pass_trailers on; proxy_pass http://u; }\n"                           \
    "location /q { proxy_pass http://q; }\n"                                                       \
    "location /name { resolver 10.0.0.9; resolver_timeout 1s; proxy_pass http://$arg_h:80; }\n"    \
    "location /err { proxy_pass http://u; proxy_intercept_errors on; error_page 503 /e; }\n"       \
    "location /up { proxy_set_header Upgrade $http_upgrade;"                                       \
    " proxy_set_header Connection upgrade; proxy_pass http://u; } } }"
/* clang-format on */

#include "sim/fake_dns.h"
#include "sim/proxy_kit.h"
#include "sim/sweep_kit.h"

#define LIVE_MAX 4 /* requests at a time */

static struct wr_up *live[LIVE_MAX]; /* requests that are watched */
static bool seen[WR_UP_WAIT][WR_ATTEMPT_RESULT + 1];

static bool note_move(const struct wr_fsm *f, uint8_t *state, unsigned to, uint64_t id)
{
    bool is_ours = false;

    assert_ptr_equal(f, &up_fsm);
    for (size_t i = 0; i < LIVE_MAX; i++) {
        is_ours = is_ours || (live[i] != NULL && state == &live[i]->state);
    }
    assert_true(is_ours);
    return wr_fsm_move(f, state, to, id);
}

static void note_begin(struct wr_timer *t, struct wr_task *task)
{
    size_t i = 0;

    while (live[i] != NULL) {
        i++;
        assert_true(i < LIVE_MAX);
    }
    live[i] = wr_container_of(t, struct wr_up, timer);
    wr_timer_init(t, task);
}

static void note_end(struct wr_timer *t)
{
    for (size_t i = 0; i < LIVE_MAX; i++) {
        if (live[i] != NULL && t == &live[i]->timer) {
            live[i] = NULL;
        }
    }
    wr_timer_fini(t);
}

static void note_state(void *data, unsigned what)
{
    (void)data, (void)what;
    for (size_t i = 0; i < LIVE_MAX; i++) {
        if (live[i] != NULL && wr_http_req_cnt() > 0 && live[i]->state < WR_UP_WAIT) {
            seen[live[i]->state][live[i]->attempt.state] = true;
        }
    }
}

struct scene {
    const char *name;
    const struct sim_step *client, *two, *three; /* NULL: refused */
    const char *whole;                           /* a whole answer holds it; NULL: there is none */
    uint32_t connect_ms;
    bool ends_with_close;          /* a close of the peer is the end of the answer */
    const struct sim_step *before; /* another client, who comes first; NULL: none */
};

struct play {
    const struct scene *scene;
    struct kit_step at;
    char got[1 << 14];
};

static void run_play(struct play *p)
{
    static const struct kit_own_acts own = {.before = note_state};
    const struct scene *sc = p->scene;
    struct kit_world w;
    struct sim_sock *c;

    memset(live, 0, sizeof(live));
    kit_begin(&w,
              &(struct sim_conf){.seed = p->at.seed, .delays = true, .connect_ms = sc->connect_ms},
              gen);
    kit_serve(&w, 2, sc->two);
    kit_serve(&w, 3, sc->three);
    p->got[0] = '\0';
    if (kit_adopt(gen)) {
        if (sc->before != NULL) {
            (void)kit_dial(&w, sc->before);
        }
        c = kit_dial(&w, sc->client);
        kit_disturb(&w, &p->at, c, &own);
        (void)kit_keep(c, p->got, sizeof(p->got));
    }
    kit_check_over(gen, sc->name, &p->at);
    (void)kit_end(&w);
}

/* What the client may take for whole answers. */
static bool has_whole(const struct play *p, const char *whole)
{
    char body[1 << 12];

    switch (kit_body_of(p->got, body, sizeof(body))) {
    case KIT_NO_ANSWER:
    case KIT_HAS_LENGTH:
        return strstr(p->got, whole) != NULL;
    case KIT_CUT:
        break;
    case KIT_WHOLE:
        return strcmp(body, whole) == 0;
    }
    return false;
}

/* An answer that says that it is whole is. */
static void check_whole(const struct play *p)
{
    char body[1 << 12];

    if (p->scene->ends_with_close && p->at.act == KIT_PEERS_CLOSE) {
        return;
    }
    if (kit_body_of(p->got, body, sizeof(body)) == KIT_WHOLE &&
        strcmp(body, p->scene->whole) != 0) {
        fail_msg("%s: act %u behind turn %u: whole? %s", p->scene->name, p->at.act, p->at.turn,
                 p->got);
    }
}

static void play_step(void *data, struct kit_step *step)
{
    static struct play p;

    p = (struct play){.scene = data, .at = *step};
    run_play(&p);
    *step = p.at;
    if (step->act == KIT_NONE && p.scene->whole != NULL && !has_whole(&p, p.scene->whole)) {
        fail_msg("%s, undisturbed: %s", p.scene->name, p.got);
    }
    check_whole(&p);
}

#define GET(uri) SIM_SEND("GET " uri " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
#define TEN      "0123456789"

static const struct sim_step get[] = {GET("/a"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_one[] = {GET("/one"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_st[] = {GET("/st"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_rate[] = {GET("/rate"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_trail[] = {GET("/trail"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_err[] = {GET("/err"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_q[] = {GET("/q"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_name[] = {GET("/name?h=two.test"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_no_name[] = {GET("/name?h=none.test"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_slow_name[] = {GET("/name?h=slow.test"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_twice[] = {SIM_SEND("GET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
                                            SIM_UNTIL(TEN),
                                            SIM_WAIT(20),
                                            GET("/b"),
                                            SIM_DRAIN,
                                            SIM_CLOSE};
static const struct sim_step post_in_parts[] = {
    SIM_SEND("POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 10\r\n\r\n"),
    SIM_WAIT(5),
    SIM_SEND("01234"),
    SIM_WAIT(5),
    SIM_SEND("56789"),
    SIM_DRAIN,
    SIM_CLOSE};
static const struct sim_step post_streamed[] = {
    SIM_SEND("POST /off HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
             "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n"),
    SIM_WAIT(5),
    SIM_SEND("5\r\n56789\r\n"),
    SIM_WAIT(5),
    SIM_SEND("0\r\n\r\n"),
    SIM_DRAIN,
    SIM_CLOSE};
static const struct sim_step talks[] = {
    SIM_SEND("GET /up HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    SIM_UNTIL("\r\n\r\n"),
    SIM_SEND("ping"),
    SIM_UNTIL("pong"),
    SIM_WAIT(5),
    SIM_CLOSE};

static const struct sim_step ok[] = {
    SIM_UNTIL("\r\n\r\n"), SIM_SEND("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" TEN), SIM_LOOP};
static const struct sim_step slow_ok[] = {
    SIM_UNTIL("\r\n\r\n"),
    SIM_WAIT(5),
    SIM_SEND("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"),
    SIM_WAIT(5),
    SIM_SEND("Content-Length: 10\r\n\r\n0123"),
    SIM_WAIT(5),
    SIM_SEND("456789"),
    SIM_LOOP};
static const struct sim_step slow_chunked[] = {
    SIM_UNTIL("\r\n\r\n"),
    SIM_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234"),
    SIM_WAIT(5),
    SIM_SEND("\r\n5\r\n56789\r\n"),
    SIM_WAIT(5),
    SIM_SEND("0\r\nX-Sum: 1\r\n\r\n"),
    SIM_LOOP};
static const struct sim_step to_the_close[] = {SIM_UNTIL("\r\n\r\n"),
                                               SIM_SEND("HTTP/1.1 200 OK\r\n\r\n01234"),
                                               SIM_WAIT(5), SIM_SEND("56789"), SIM_CLOSE};
static const struct sim_step takes_post[] = {
    SIM_UNTIL("6789"), SIM_WAIT(5),
    SIM_SEND("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\n" TEN), SIM_DRAIN,
    SIM_CLOSE};
static const struct sim_step early[] = {
    SIM_UNTIL("\r\n\r\n"), SIM_SEND("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" TEN), SIM_DRAIN,
    SIM_CLOSE};
static const struct sim_step unavailable[] = {
    SIM_UNTIL("\r\n\r\n"), SIM_WAIT(5), SIM_SEND("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"),
    SIM_LOOP};
static const struct sim_step very_slow[] = {SIM_UNTIL("\r\n\r\n"), SIM_WAIT(1000), SIM_CLOSE};
static const struct sim_step closes[] = {SIM_UNTIL("\r\n\r\n"), SIM_WAIT(5), SIM_CLOSE};
static const struct sim_step accel[] = {
    SIM_UNTIL("\r\n\r\n"),
    SIM_WAIT(5),
    SIM_SEND("HTTP/1.1 200 OK\r\nX-Accel-Redirect: /one\r\nContent-Length: 0\r\n\r\n"),
    SIM_UNTIL("\r\n\r\n"),
    SIM_WAIT(5),
    SIM_SEND("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" TEN),
    SIM_LOOP};
static const struct sim_step listens[] = {
    SIM_UNTIL("\r\n\r\n"),
    SIM_WAIT(5),
    SIM_SEND("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    SIM_UNTIL("ping"),
    SIM_WAIT(5),
    SIM_SEND("pong"),
    SIM_DRAIN,
    SIM_CLOSE};

/* clang-format off */
static const struct scene scenes[] = {
    {"GET", get, slow_ok, ok, TEN, 0, false, NULL},
    {"GET, unbuffered", get_one, slow_ok, ok, TEN, 0, false, NULL},
    {"chunked", get, slow_chunked, ok, TEN, 0, false, NULL},
    {"chunked, unbuffered", get_one, slow_chunked, ok, TEN, 0, false, NULL},
    {"to the close", get, to_the_close, ok, TEN, 0, true, NULL},
    {"on a kept connection", get_twice, ok, ok, TEN, 0, false, NULL},
    {"a connect that takes its time", get, ok, ok, TEN, 30, false, NULL},
    {"refused, then the next", get, NULL, ok, TEN, 10, false, NULL},
    {"closed, then the next", get, closes, ok, TEN, 10, false, NULL},
    {"all are closed", get, closes, closes, NULL, 0, false, NULL},
    {"503, then the next", get_st, unavailable, ok, TEN, 0, false, NULL},
    {"503 for error_page", get_err, unavailable, ok, NULL, 0, false, NULL},
    {"a body that is gathered", post_in_parts, takes_post, takes_post, TEN, 0, false, NULL},
    {"a body that is streamed", post_streamed, takes_post, takes_post, TEN, 0, false, NULL},
    {"an early answer", post_streamed, early, ok, TEN, 0, false, NULL},
    {"a rate", get_rate, ok, ok, TEN, 0, false, NULL},
    {"trailers", get_trail, slow_chunked, ok, TEN, 0, false, NULL},
    {"X-Accel-Redirect", get, accel, ok, TEN, 0, false, NULL},
    {"a tunnel", talks, listens, ok, "pong", 0, false, NULL},
    {"a queue", get_q, slow_ok, ok, TEN, 0, false, get_q},
    {"a queue, connects that take their time", get_q, slow_ok, ok, TEN, 30, false, get_q},
    {"a queue whose time is over", get_q, very_slow, ok, NULL, 0, false, get_q},
    {"a queue before a peer that closes", get_q, closes, ok, NULL, 0, false, get_q},
    {"a name that is looked up", get_name, slow_ok, ok, TEN, 0, false, NULL},
    {"a name that is not there", get_no_name, NULL, NULL, NULL, 0, false, NULL},
    {"a name of which nobody knows", get_slow_name, NULL, NULL, NULL, 0, false, NULL},
};

/* clang-format on */

/* With a loop: the resolver of the configuration belongs to it. */
static int boot(void **state)
{
    struct sim *s = sim_new(&(struct sim_conf){.seed = 1});
    int ret = proxy_boot();

    (void)state;
    sim_free(s);
    return ret;
}

static void every_step(void **state)
{
    unsigned plays = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scenes); i++) {
        struct scene scene = scenes[i];

        plays += kit_sweep(play_step, &scene, scene.name, 2, KIT_ACT_CNT);
    }
    print_message("%u plays\n", plays);
    assert_true(plays > 2000 / KIT_STRIDE);
}

static void run_undisturbed(void *data)
{
    struct play *p = data;

    run_play(p);
    if (!sim_is_faulted() && p->scene->whole != NULL && !has_whole(p, p->scene->whole)) {
        fail_msg("%s: %s", p->scene->name, p->got);
    }
    check_whole(p);
}

/* Every allocation fails in turn where a request waits for a slot, or for a name. */
static void every_allocation(void **state)
{
    static struct play p;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scenes); i++) {
        if (scenes[i].client == get_q || strncmp(scenes[i].name, "a name", 6) == 0) {
            p = (struct play){.scene = &scenes[i], .at = {.seed = 1}};
            assert_true(sim_torture(run_undisturbed, &p) > 10);
        }
    }
}

/* The states in which a request can wait; the others are passed through within one run. */
static void every_state_was_met(void **state)
{
    (void)state;
    assert_true(seen[WR_UP_START][WR_ATTEMPT_NONE]);
    assert_true(seen[WR_UP_RESOLVE][WR_ATTEMPT_NONE]);
    assert_true(seen[WR_UP_QUEUE][WR_ATTEMPT_NONE]);
    assert_true(seen[WR_UP_TRY][WR_ATTEMPT_CONNECT]);
    assert_true(seen[WR_UP_TRY][WR_ATTEMPT_ACTIVE]);
    assert_true(seen[WR_UP_RELAY][WR_ATTEMPT_ACTIVE]);
    assert_true(seen[WR_UP_TUNNEL][WR_ATTEMPT_ACTIVE]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step),
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(every_state_was_met),
    };

    proxy_be_quiet();
    return cmocka_run_group_tests_name("sim/sweep", tests, boot, proxy_teardown);
}
