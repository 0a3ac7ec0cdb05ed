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

#define STEPS_MAX 4000 /* turns of one scene */

struct scene {
    const char *name;
    const struct sim_step *client, *two, *three;
    const char *whole; /* body of the whole answer */
};

enum act {
    ACT_NONE,
    ACT_CLIENT_RESET,
    ACT_CLIENT_CLOSE,
    ACT_PEERS_RESET,
    ACT_PEERS_CLOSE,
    ACT_PARTS_RESET,
    ACT_STOP, /* requests of old generations end */
    ACT_COUNT
};

struct play {
    const struct scene *scene;
    uint64_t seed;
    unsigned turn; /* ACT behind this one */
    enum act act;
    unsigned turns; /* taken by the whole scene */
    char got[1 << 14];
};

static void act_on_peers(const struct sim *s, enum act act)
{
    for (unsigned host = act == ACT_PARTS_RESET ? 3 : 2; host <= 3; host++) {
        struct wr_addr a = sim_addr(host, 80);

        for (unsigned i = 0; i < sim_accepted(s, &a); i++) {
            struct sim_sock *k = sim_accepted_sock(s, &a, i);

            if (act == ACT_PEERS_CLOSE) {
                sim_close(k);
            } else {
                sim_reset(k);
            }
        }
    }
}

static void act(const struct play *p, struct sim *s, struct sim_sock *c)
{
    switch (p->act) {
    case ACT_NONE:
    case ACT_COUNT:
        break;
    case ACT_CLIENT_RESET:
        sim_reset(c);
        break;
    case ACT_CLIENT_CLOSE:
        sim_close(c);
        break;
    case ACT_PEERS_RESET:
    case ACT_PEERS_CLOSE:
    case ACT_PARTS_RESET:
        act_on_peers(s, p->act);
        break;
    case ACT_STOP:
        wr_http_stop();
        break;
    }
}

static void keep_received(struct play *p, const struct sim_sock *c)
{
    size_t n = 0;
    const char *got = sim_received(c, &n);

    n = WR_MIN(n, sizeof(p->got) - 1);
    if (n > 0) {
        memcpy(p->got, got, n);
    }
    p->got[n] = '\0';
}

static void check_slots(const struct play *p)
{
    static const struct wr_str groups[] = {WR_STR_INIT("a"), WR_STR_INIT("b")};

    for (size_t g = 0; g < WR_ARRAY_LEN(groups); g++) {
        const struct wr_members *m = wr_group_find(gen, groups[g], 0, false);

        for (uint32_t i = 0; i < m->cnt; i++) {
            if (wr_load_seq(&m->at[i].peer->active) != 0) {
                fail_msg("%s: act %d behind turn %u: a slot is left", p->scene->name, (int)p->act,
                         p->turn);
            }
        }
    }
}

static void run_play(struct play *p)
{
    const struct scene *sc = p->scene;
    struct sim *s = sim_new(&(struct sim_conf){.seed = p->seed, .delays = true});
    struct wr_addr front = sim_addr(1, 80), two = sim_addr(2, 80), three = sim_addr(3, 80);
    struct wr_http *h = wr_http_of(gen);
    int fd = sim_listen(s, &front);
    struct sim_sock *c;

    h->ports[0].fds = &fd;
    h->ports[0].fd_cnt = 1;
    sim_serve_script(s, &two, sc->two);
    sim_serve_script(s, &three, sc->three);
    if (wr_http_adopt(gen, 0) == WR_OK) {
        c = sim_dial(s, &front);
        assert_non_null(c);
        sim_script(c, sc->client);
        if (p->act != ACT_NONE) {
            (void)sim_run_turns(s, p->turn);
            act(p, s, c);
        }
        (void)sim_run_for(s, 60000);
        p->turns = sim_turns(s);
        keep_received(p, c);
    }
    if (wr_http_req_cnt() != 0) {
        fail_msg("%s: act %d behind turn %u: a request lives on", sc->name, (int)p->act, p->turn);
    }
    check_slots(p);
    wr_http_stop();
    (void)sim_run_for(s, 100);
    wr_idle_thread_end();
    (void)sim_run_for(s, 100);
    assert_int_equal(wr_http_conn_cnt(), 0);
    assert_int_equal(wr_chunk_in_use(), 0);
    sim_free(s);
}

/* The body of a whole chunked message into `to`; false: it is not whole. */
static bool join_chunks(const char *at, char *to, size_t cap)
{
    size_t n = 0;

    for (;;) {
        size_t size = 0;

        for (; *at != '\r' && *at != '\0'; at++) {
            size = size * 16 + (size_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
        }
        if (strncmp(at, "\r\n", 2) != 0) {
            return false;
        }
        at += 2;
        if (size == 0) {
            to[n] = '\0';
            return strstr(at, "\r\n") != NULL;
        }
        if (strlen(at) < size + 2 || n + size >= cap) {
            return false;
        }
        memcpy(to + n, at, size);
        n += size;
        at += size + 2;
    }
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
    const char *head = strstr(p->got, "HTTP/1.1 200 "), *end;
    char joined[1 << 12];

    end = head == NULL ? NULL : strstr(head, "\r\n\r\n");
    if (end == NULL) {
        return NO_ANSWER;
    }
    if (strstr(head, "Transfer-Encoding: chunked") == NULL) {
        return strcmp(end + 4, p->scene->whole) == 0 ? WHOLE : NO_ANSWER;
    }
    if (!join_chunks(end + 4, joined, sizeof(joined))) {
        return NO_ANSWER;
    }
    if (strcmp(joined, p->scene->whole) == 0) {
        return WHOLE;
    }
    return tells_error(joined) ? TELLS_ERROR : WRONG;
}

static unsigned plays;

static void sweep(const struct scene *sc)
{
    static struct play p;

    for (uint64_t seed = 1; seed <= 2; seed++) {
        unsigned turns;

        p = (struct play){.scene = sc, .seed = seed};
        run_play(&p);
        if (look(&p) != WHOLE) {
            fail_msg("%s, undisturbed: %s", sc->name, p.got);
        }
        turns = p.turns;
        assert_true(turns < STEPS_MAX);
        for (unsigned n = 0; n < turns; n++) {
            for (int a = ACT_NONE + 1; a < ACT_COUNT; a++) {
                p = (struct play){.scene = sc, .seed = seed, .turn = n, .act = (enum act)a};
                run_play(&p);
                if (look(&p) == WRONG || (look(&p) == TELLS_ERROR && a <= ACT_CLIENT_CLOSE)) {
                    fail_msg("%s: act %d behind turn %u: %s", sc->name, a, n, p.got);
                }
                plays++;
            }
        }
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
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scenes); i++) {
        size_t mem = wr_mem_in_use();

        sweep(&scenes[i]);
        if (wr_mem_in_use() > mem + 4096) {
            fail_msg("%s: %zu bytes are left", scenes[i].name, wr_mem_in_use() - mem);
        }
    }
    print_message("%u plays\n", plays);
    assert_true(plays > 1000);
}

static int boot(void **state)
{
    (void)state;
    return proxy_boot();
}

static int shutdown_all(void **state)
{
    (void)state;
    proxy_end();
    return 0;
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
        p = (struct play){.scene = &scenes[i], .seed = 1};
        failed += sim_torture(torture_play, &p);
    }
    print_message("%u plays with a failed allocation\n", failed);
    assert_true(failed > 50);
}

int main(void)
{
    static const struct wr_log_sink quiet = {.fd = 2, .level = WR_LOG_EMERG};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_at_each_step),
        cmocka_unit_test(each_allocation_fails),
    };

    wr_log_set_default(&quiet);
    return cmocka_run_group_tests_name("sim/sub", tests, boot, shutdown_all);
}
