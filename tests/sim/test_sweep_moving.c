/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sweep_moving.c: groups whose peers move (`server NAME resolve`, U1.6) at every step of
 * requests: of those that wait for the first answer, for a slot in the queue, for the peer. Each
 * scene is a client, its peers, and what the name says in turn; it is played undisturbed, then once
 * for each turn of the loop and each act: the client or the peers go away, the name moves before
 * its time, the configuration is loaded anew. Then each allocation fails in turn, from the load on.
 * Whatever the moment: requests end, slots come back, no answer is whole that was not, and at the
 * end no peer, name or list is left.
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
#define CONF                                                                                       \
    "http { resolver 10.0.0.9; resolver_timeout 3s;\n"                                             \
    "proxy_connect_timeout 5s; proxy_read_timeout 5s; proxy_send_timeout 5s;\n"                    \
    "upstream u { zone u 64k; server move.test:80 resolve max_fails=0; keepalive 4; }\n"                       \
    "upstream m { zone m 64k; server 10.0.0.4:80 max_fails=0; server move.test:80 resolve max_fails=0; }\n"    \
    "upstream q { zone q 64k; server move.test:80 resolve max_conns=1 max_fails=0; queue 4 timeout=4s; }\n"    \
    "upstream f { zone f 64k; server move.test:80 resolve max_conns=1 fail_timeout=1s; queue 4 timeout=9s; }\n" \
    "upstream s { zone s 64k; server svc.test service=http resolve max_fails=0; }\n"                           \
    "server { listen 10.0.0.1:80; proxy_http_version 1.1; proxy_set_header Connection '';\n"       \
    "location /u { proxy_pass http://u; }\n"                                                       \
    "location /m { proxy_pass http://m; }\n"                                                       \
    "location /q { proxy_pass http://q; }\n"                                                       \
    "location /f { proxy_pass http://f; }\n"                                                       \
    "location /s { proxy_pass http://s; } } }"
/* clang-format on */

#include "sim/fake_dns.h"
#include "sim/proxy_kit.h"
#include "sim/sweep_kit.h"

#define PHASES   3
#define PHASE_MS 1500
#define TEN      "0123456789"

struct scene {
    const char *name;
    const char *says[PHASES]; /* hosts of the name, one after the other; "": not found; NULL: no
                                 answer */
    const struct sim_step *client, *before, *two, *three;
    const char *whole;  /* of the body of the undisturbed answer; NULL: none */
    uint32_t within_ms; /* it comes so soon; 0: any time */
};

enum {
    ACT_MOVE = KIT_ACT_CNT, /* the answer's time is over, and the next one is another */
    ACT_RELOAD,
    ACT_COUNT
};

struct play {
    const struct scene *scene;
    struct kit_step at;
    struct kit_world w;
    struct wr_gen *gen;
    uint64_t began_ms, took_ms; /* until the client's script came to its end */
    unsigned moves;
    char got[1 << 14];
};

static struct play *now; /* the one that goes on; for the name servers */

/* Where requests were when somebody acted. */
static struct {
    bool wait_for_list, wait_in_queue, relay, move_in_queue, move_while_connecting;
} seen;

static struct fake_dns_name look_up(enum wr_dns_kind kind, struct wr_str name)
{
    unsigned phase = (unsigned)((wr_now_ms() - now->began_ms) / PHASE_MS) + now->moves;
    const char *says = now->scene->says[WR_MIN(phase, PHASES - 1u)];
    struct fake_dns_name n = {.is_silent = says == NULL};

    if (kind == WR_DNS_SERVICES) {
        assert_true(wr_str_eq_z(name, "_http._tcp.svc.test"));
        n.target = says == NULL || *says == '\0' ? NULL : "move.test";
        return n;
    }
    assert_true(wr_str_eq_z(name, "move.test"));
    for (; says != NULL && *says != '\0'; says++) {
        n.hosts[n.host_cnt++] = (uint8_t)(*says - '0');
    }
    return n;
}

static void note_req(void *data, const struct wr_req *r)
{
    bool is_move = *(const unsigned *)data == ACT_MOVE;
    const struct wr_up *u;

    if (r->content == NULL || strcmp(r->content->ops->name, "upstream") != 0) {
        return;
    }
    u = wr_container_of(r->content, struct wr_up, content);
    seen.wait_for_list = seen.wait_for_list || u->list_wait != NULL;
    seen.wait_in_queue = seen.wait_in_queue || u->wait != NULL;
    seen.move_in_queue = seen.move_in_queue || (u->wait != NULL && is_move);
    seen.relay = seen.relay || u->attempt.state == WR_ATTEMPT_ACTIVE;
    seen.move_while_connecting =
        seen.move_while_connecting || (u->attempt.state == WR_ATTEMPT_CONNECT && is_move);
}

static void note_reqs(void *data, unsigned what)
{
    (void)data;
    wr_http_reqs_each(note_req, &what);
}

/* What the process does on a reload: the new one is adopted, and the old one ends with the last
 * request that has it. */
static void load_anew(struct play *p)
{
    struct wr_gen *next = NULL;

    if (proxy_load(&next) != 0) {
        assert_true(sim_is_faulted());
        return;
    }
    kit_set_ports(&p->w, next);
    (void)kit_adopt(next);
    wr_gen_unref(p->gen);
    p->gen = next;
}

static void act_ours(void *data, unsigned what)
{
    struct play *p = data;

    if (what == ACT_RELOAD) {
        load_anew(p);
    } else {
        p->moves++;
        sim_jump(p->w.sim, 1001);
    }
}

static void sweep_up(struct play *p)
{
    wr_gen_unref(wr_take(&p->gen));
    (void)wr_fixtures_sweep(&fixtures);
    assert_int_equal(fixtures.cnt, 0);
}

static void run_play(struct play *p)
{
    const struct kit_own_acts own = {.before = note_reqs, .fn = act_ours, .data = p};
    const struct scene *sc = p->scene;
    struct sim_conf conf = {.seed = p->at.seed, .delays = true, .connect_ms = 30};
    struct sim_sock *c;

    now = p;
    p->w = (struct kit_world){.sim = sim_new(&conf), .ends_with_client = true};
    p->began_ms = wr_now_ms();
    if (proxy_load(&p->gen) != 0) {
        assert_true(sim_is_faulted());
        sweep_up(p);
        sim_free(p->w.sim);
        return;
    }
    kit_open_ports(&p->w, p->gen);
    kit_serve(&p->w, 2, sc->two);
    kit_serve(&p->w, 3, sc->three);
    kit_serve(&p->w, 4, sc->three);
    if (kit_adopt(p->gen)) {
        if (sc->before != NULL) {
            (void)kit_dial(&p->w, sc->before);
        }
        c = kit_dial(&p->w, sc->client);
        kit_disturb(&p->w, &p->at, c, &own);
        p->took_ms = p->w.ended_ms - p->began_ms;
        (void)kit_keep(c, p->got, sizeof(p->got));
    }
    kit_check_over(p->gen, sc->name, &p->at);
    kit_settle(&p->w);
    sweep_up(p);
    (void)kit_end(&p->w);
}

#define GET(uri) SIM_SEND("GET " uri " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
#define OK       "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"

static const struct sim_step get_u[] = {GET("/u"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_m[] = {GET("/m"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_q[] = {GET("/q"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_q_later[] = {SIM_WAIT(100), GET("/q"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_f[] = {GET("/f"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_s[] = {GET("/s"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_u_late[] = {SIM_WAIT(3500), GET("/u"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_u_thrice[] = {SIM_SEND("GET /u HTTP/1.1\r\nHost: h\r\n\r\n"),
                                               SIM_UNTIL(TEN),
                                               SIM_WAIT(700),
                                               SIM_SEND("GET /u HTTP/1.1\r\nHost: h\r\n\r\n"),
                                               SIM_UNTIL(TEN),
                                               SIM_WAIT(700),
                                               GET("/u"),
                                               SIM_DRAIN,
                                               SIM_CLOSE};

static const struct sim_step ok[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(OK TEN), SIM_LOOP};
static const struct sim_step slow_ok[] = {SIM_UNTIL("\r\n\r\n"), SIM_WAIT(900),
                                          SIM_SEND(OK "0123"),   SIM_WAIT(900),
                                          SIM_SEND("456789"),    SIM_LOOP};
static const struct sim_step slow_chunked[] = {
    SIM_UNTIL("\r\n\r\n"),
    SIM_WAIT(900),
    SIM_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234"),
    SIM_WAIT(900),
    SIM_SEND("\r\n5\r\n56789\r\n0\r\n\r\n"),
    SIM_LOOP};
static const struct sim_step very_slow[] = {SIM_UNTIL("\r\n\r\n"), SIM_WAIT(3500), SIM_SEND(OK TEN),
                                            SIM_LOOP};
static const struct sim_step silent[] = {SIM_UNTIL("\r\n\r\n"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step closes[] = {SIM_UNTIL("\r\n\r\n"), SIM_WAIT(500), SIM_CLOSE};

/* clang-format off */
static const struct scene scenes[] = {
    {"the first answer", {"2", "2", "2"}, get_u, NULL, ok, ok, TEN, 0},
    {"an answer at the second look", {"", "2", "2"}, get_u_late, NULL, ok, ok, TEN, 0},
    {"not found", {"", "", ""}, get_u, NULL, ok, ok, NULL, 0},
    {"no answer", {NULL, NULL, NULL}, get_u, NULL, ok, ok, NULL, 0},
    {"a peer that goes while it answers", {"2", "3", "3"}, get_u, NULL, slow_chunked, ok, TEN, 0},
    {"peers come and go", {"2", "23", "3"}, get_u_thrice, NULL, slow_ok, ok, TEN, 0},
    {"the last addresses stay", {"23", "", ""}, get_u_thrice, NULL, slow_ok, ok, TEN, 0},
    {"closed, then the next", {"23", "3", "2"}, get_u, NULL, closes, slow_ok, TEN, 0},
    {"all are closed", {"2", "23", "2"}, get_u, NULL, closes, closes, NULL, 0},
    {"beside one that stays", {"2", "23", "3"}, get_m, get_m, slow_ok, slow_ok, TEN, 0},
    {"beside one that stays, no answer", {NULL, "2", "2"}, get_m, get_m, slow_ok, slow_ok, TEN, 0},
    {"a queue, another peer comes", {"2", "23", "3"}, get_q_later, get_q, silent, ok, TEN, 2500},
    {"a queue, its peer goes", {"2", "3", "3"}, get_q_later, get_q, silent, ok, TEN, 2500},
    {"a queue, nobody comes", {"2", "", "2"}, get_q_later, get_q, silent, ok, NULL, 0},
    {"a queue, a slot comes", {"2", "", "2"}, get_q_later, get_q, slow_ok, ok, TEN, 0},
    {"a queue, failures", {"23", "23", "3"}, get_f, get_f, closes, very_slow, TEN, 0},
    {"a queue, the name is late", {"", "2", "3"}, get_q, get_q, very_slow, ok, NULL, 0},
    {"a service", {"2", "23", "3"}, get_s, NULL, slow_ok, ok, TEN, 0},
    {"a service that is not there", {"", "2", "2"}, get_s, NULL, ok, ok, NULL, 0},
};

/* clang-format on */

static void check(const struct play *p)
{
    char body[1 << 12];
    enum kit_body how = kit_body_of(p->got, body, sizeof(body));

    if (p->at.act == KIT_NONE && !sim_is_faulted() &&
        (p->scene->whole == NULL ? how != KIT_NO_ANSWER : strstr(p->got, "\r\n\r\n" TEN) == NULL) &&
        (how != KIT_WHOLE || strcmp(body, TEN) != 0)) {
        fail_msg("%s, undisturbed: %s", p->scene->name, p->got);
    }
    if (p->at.act == KIT_NONE && p->scene->within_ms != 0 && !sim_is_faulted() &&
        p->took_ms > p->scene->within_ms) {
        fail_msg("%s, undisturbed: it took %u ms", p->scene->name, (unsigned)p->took_ms);
    }
    if (how == KIT_WHOLE && strcmp(body, TEN) != 0) {
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
    check(&p);
}

static void every_step(void **state)
{
    unsigned plays = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scenes); i++) {
        struct scene scene = scenes[i];
        struct kit_step first = {.seed = 1};

        play_step(&scene, &first); /* what the process keeps is made now */
        plays += kit_sweep(play_step, &scene, scene.name, 1, ACT_COUNT);
    }
    print_message("%u plays\n", plays);
    assert_true(plays > 4000 / KIT_STRIDE);
    assert_true(seen.wait_for_list && seen.wait_in_queue && seen.relay);
    assert_true(seen.move_in_queue && seen.move_while_connecting);
}

static void run_undisturbed(void *data)
{
    struct play *p = data;

    p->got[0] = '\0';
    p->moves = 0;
    p->at = (struct kit_step){.seed = 1};
    run_play(p);
    check(p);
}

/* The same, and a reload in the middle. */
static void run_reload(void *data)
{
    struct play *p = data;

    p->got[0] = '\0';
    p->moves = 0;
    p->at = (struct kit_step){.seed = 1, .turn = 12, .act = ACT_RELOAD};
    run_play(p);
    check(p);
}

static void every_allocation(void **state)
{
    static struct play p;
    unsigned failed = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scenes); i++) {
        p = (struct play){.scene = &scenes[i]};
        failed += sim_torture(i % 2 == 0 ? run_undisturbed : run_reload, &p);
    }
    print_message("%u plays with a failed allocation\n", failed);
    assert_true(failed > 500);
}

static int boot(void **state)
{
    (void)state;
    fake_dns_look = look_up;
    return proxy_register();
}

static int shutdown_all(void **state)
{
    (void)state;
    wr_idle_process_end();
    proxy_unregister();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step),
        cmocka_unit_test(every_allocation),
    };

    proxy_be_quiet();
    return cmocka_run_group_tests_name("sim/sweep_moving", tests, boot, shutdown_all);
}
