/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sub.c: subrequests at every step (U13, U8.1, U8.3). Scenes with auth_request, mirror,
 * addition and includes, each with a peer of the page (10.0.0.2) and one of the parts (10.0.0.3),
 * are played undisturbed, then once for each turn of the loop with an act behind it: the client
 * resets or closes, the peers reset or close. Then each allocation fails in turn. Whatever the
 * moment: all requests end, each peer gets its slot back, nothing leaks, no answer is whole that
 * was not.
 */
/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "mod/addition.h"
#include "mod/auth_request.h"
#include "mod/mirror.h"
#include "mod/ssi.h"

/* clang-format off */
#define CONF                                                                                       \
    "http { client_body_timeout 3s;\n"                                                             \
    "proxy_connect_timeout 5s; proxy_read_timeout 5s; proxy_send_timeout 5s; proxy_http_version 1.1;\n" \
    "upstream a { server 10.0.0.2:80 max_fails=0; }\n"                                             \
    "upstream b { server 10.0.0.3:80 max_fails=0; }\n"                                             \
    "server { listen 10.0.0.1:80;\n"                                                               \
    "location / { proxy_pass http://a; }\n"                                                        \
    "location /part { proxy_pass http://b; }\n"                                                    \
    "location /auth { auth_request /part; proxy_pass http://a; }\n"                                \
    "location /mirror { mirror /part; proxy_pass http://a; }\n"                                    \
    "location /add { add_before_body /part; add_after_body /part; proxy_pass http://a; }\n"        \
    "location /ssi { ssi on; proxy_pass http://a; } } }"

#define MORE_MODULES                                                                               \
    &wr_auth_request_module, &wr_mirror_module, &wr_addition_module, &wr_ssi_module,
/* clang-format on */

#include "sim/proxy_kit.h"
#include "sim/sweep_kit.h"

struct scene {
    const char *name;
    const struct sim_step *client, *two, *three;
    const char *whole; /* body of the whole answer */
};

enum {
    ACT_PARTS_RESET = KIT_ACT_CNT,
    ACT_STOP, /* requests of old generations end */
    ACT_COUNT
};

struct play {
    const struct scene *scene;
    struct kit_step at;
    char got[1 << 14];
};

static void act_ours(void *data, unsigned act)
{
    struct wr_addr three = sim_addr(3, 80);

    if (act == ACT_PARTS_RESET) {
        kit_reset_peer(data, &three);
    } else {
        wr_http_stop();
    }
}

static void run_play(struct play *p)
{
    const struct scene *sc = p->scene;
    struct kit_world w;
    const struct kit_own_acts own = {.fn = act_ours, .data = &w};
    struct sim_sock *c;

    kit_begin(&w, &(struct sim_conf){.seed = p->at.seed, .delays = true}, gen);
    kit_serve(&w, 2, sc->two);
    kit_serve(&w, 3, sc->three);
    p->got[0] = '\0';
    if (kit_adopt(gen)) {
        c = kit_dial(&w, sc->client);
        kit_disturb(&w, &p->at, c, &own);
        (void)kit_keep(c, p->got, sizeof(p->got));
    }
    kit_check_over(gen, sc->name, &p->at);
    (void)kit_end(&w);
}

enum wholeness {
    NO_ANSWER, /* or another status than 200, or one that was cut */
    WHOLE,
    TELLS_ERROR, /* a part that failed before it began says so in its place */
    WRONG
};

static bool tells_error(const char *text)
{
    static const char *const words[] = {"502 Bad Gateway",    "504 Gateway", "500 Internal Server",
                                        "[an error occurred", "(none)",      "||<part>]"};

    for (size_t i = 0; i < WR_ARRAY_LEN(words); i++) {
        if (strstr(text, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static enum wholeness look(const struct play *p)
{
    char body[1 << 12];

    switch (kit_body_of(p->got, body, sizeof(body))) {
    case KIT_NO_ANSWER:
    case KIT_CUT:
        break;
    case KIT_HAS_LENGTH:
        return strcmp(body, p->scene->whole) == 0 ? WHOLE : NO_ANSWER;
    case KIT_WHOLE:
        if (strcmp(body, p->scene->whole) == 0) {
            return WHOLE;
        }
        return tells_error(body) ? TELLS_ERROR : WRONG;
    }
    return NO_ANSWER;
}

static void play_step(void *data, struct kit_step *step)
{
    static struct play p;
    enum wholeness how;

    p = (struct play){.scene = data, .at = *step};
    run_play(&p);
    *step = p.at;
    how = look(&p);
    if (step->act == KIT_NONE && how != WHOLE) {
        fail_msg("%s, undisturbed: %s", p.scene->name, p.got);
    }
    if (how == WRONG || (how == TELLS_ERROR && step->act <= KIT_CLIENT_CLOSE)) {
        fail_msg("%s: act %u behind turn %u: %s", p.scene->name, step->act, step->turn, p.got);
    }
}

#define GET(uri) SIM_SEND("GET " uri " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

static const struct sim_step get_auth[] = {GET("/auth"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_mirror[] = {GET("/mirror"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_add[] = {GET("/add"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step get_ssi[] = {GET("/ssi"), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step post_mirror[] = {
    SIM_SEND("POST /mirror HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 10\r\n\r\n"),
    SIM_WAIT(5),
    SIM_SEND("01234"),
    SIM_WAIT(5),
    SIM_SEND("56789"),
    SIM_DRAIN,
    SIM_CLOSE};

/* clang-format off */
static const struct sim_step page[] = {
    SIM_UNTIL("\r\n\r\n"), SIM_WAIT(5),
    SIM_SEND("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\npa"), SIM_WAIT(5),
    SIM_SEND("ge"), SIM_LOOP};
static const struct sim_step part[] = {
    SIM_UNTIL("\r\n\r\n"), SIM_WAIT(5),
    SIM_SEND("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<p"), SIM_WAIT(5), SIM_SEND("art>"), SIM_LOOP};
static const struct sim_step takes_post[] = {
    SIM_UNTIL("6789"), SIM_WAIT(5), SIM_SEND("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"), SIM_LOOP};
static const struct sim_step ssi_page[] = {
    SIM_UNTIL("\r\n\r\n"), SIM_WAIT(5),
    SIM_SEND("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
             "22\r\n[<!--# include virtual=\"/part\" -->\r\n"), SIM_WAIT(5),
    SIM_SEND("2b\r\n|<!--# include virtual=\"/part\" set=\"x\" -->|\r\n"), SIM_WAIT(5),
    SIM_SEND("31\r\n<!--# include virtual=\"/part\" wait=\"yes\" --><!--#\r\n"), SIM_WAIT(5),
    SIM_SEND("11\r\n echo var=\"x\" -->\r\n1\r\n]\r\n0\r\n\r\n"), SIM_LOOP};

static const struct scene scenes[] = {
    {"auth_request", get_auth, page, part, "page"},
    {"mirror", get_mirror, page, part, "page"},
    {"mirror of a body", post_mirror, takes_post, takes_post, "page"},
    {"addition", get_add, page, part, "<part>page<part>"},
    {"ssi", get_ssi, ssi_page, part, "[<part>||<part>&lt;part&gt;]"},
};

/* clang-format on */

static void cancel_at_each_step(void **state)
{
    unsigned plays = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scenes); i++) {
        struct scene scene = scenes[i];

        plays += kit_sweep(play_step, &scene, scene.name, 2, ACT_COUNT);
    }
    print_message("%u plays\n", plays);
    assert_true(plays > 1000 / KIT_STRIDE);
}

static void torture_play(void *data)
{
    struct play *p = data;

    run_play(p);
    if (!sim_is_faulted()) {
        assert_int_equal(look(p), WHOLE);
    } else if (look(p) == WRONG) {
        fail_msg("%s: %s", p->scene->name, p->got);
    }
}

static void each_allocation_fails(void **state)
{
    static struct play p;
    unsigned failed = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scenes); i++) {
        p = (struct play){.scene = &scenes[i], .at = {.seed = 1}};
        failed += sim_torture(torture_play, &p);
    }
    print_message("%u plays with a failed allocation\n", failed);
    assert_true(failed > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_at_each_step),
        cmocka_unit_test(each_allocation_fails),
    };

    proxy_be_quiet();
    return cmocka_run_group_tests_name("sim/sub", tests, proxy_setup, proxy_teardown);
}
