/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_kit.h: real peers and a real server in one process, for tests of protocols: configuration
 * text, event loop, two scripted peers that answer what was asked, one client. Whether a request is
 * whole a peer asks `has_request`, which the test sets. Built on unit/http/req_kit.h.
 */
#ifndef TESTS_PROTO_ENGINE_KIT_H
#define TESTS_PROTO_ENGINE_KIT_H

#include "unit/http/req_kit.h"

#include "base/mem.h"
#include "lb/rr.h"
#include "up/idle.h"
#include "up/up.h"

#include <netinet/in.h>

/* ---- peers --------------------------------------------------------------------------------------
 */

struct epeer {
    int lfd, fd; /* fd -1: none */
    uint16_t port;
    const char *answer;
    size_t answer_len; /* 0: it is text */
    size_t split;      /* bytes of it in the first write; 0: all */
    bool hangs_up;     /* behind the answer */
    bool is_rude;      /* closes what it accepts */
    unsigned accepted, served, ticks;
    char got[4096];
    size_t len, sent;
};

static struct epeer peers[2];
static const struct wr_lb *const kit_lbs[] = {&wr_lb_rr};
static struct wr_module kit_up = {.conf = &wr_group_conf, .balancers = kit_lbs, .balancer_cnt = 1};
static struct wr_fixtures fixtures;
static struct kit kit;
static size_t mem_before;

static void peer_open(struct epeer *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);

    memset(p, 0, sizeof(*p));
    p->fd = -1;
    p->lfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(p->lfd >= 0);
    assert_int_equal(bind(p->lfd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(p->lfd, 16), 0);
    assert_int_equal(getsockname(p->lfd, (struct sockaddr *)&a, &n), 0);
    p->port = ntohs(a.sin_port);
    p->answer = "";
}

static void peer_drop(struct epeer *p)
{
    if (p->fd >= 0) {
        (void)close(p->fd);
    }
    p->fd = -1;
    p->len = p->sent = 0;
}

/* Is a request with its body here? */
static bool (*has_request)(const struct epeer *p);

/* False: nobody is there. */
static bool peer_accept(struct epeer *p)
{
    if (p->fd >= 0) {
        return true;
    }
    p->fd = accept4(p->lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (p->fd < 0) {
        return false;
    }
    p->accepted++;
    p->len = p->sent = 0;
    if (p->is_rude) {
        peer_drop(p);
    }
    return p->fd >= 0;
}

static void peer_step(struct epeer *p)
{
    size_t total = p->answer_len != 0 ? p->answer_len : strlen(p->answer), n;
    ssize_t got;

    if (!peer_accept(p)) {
        return;
    }
    got = recv(p->fd, p->got + p->len, sizeof(p->got) - 1 - p->len, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        peer_drop(p);
        return;
    }
    p->len += got > 0 ? (size_t)got : 0;
    p->got[p->len] = '\0';
    if (!has_request(p) || total == 0) {
        return;
    }
    n = p->split != 0 && p->sent == 0 ? p->split : total - p->sent;
    if (p->sent != 0 && p->ticks++ < 3) {
        return; /* the second part comes some turns later */
    }
    assert_int_equal(send(p->fd, p->answer + p->sent, n, MSG_NOSIGNAL), (ssize_t)n);
    p->sent += n;
    p->ticks = 0;
    if (p->sent == total) {
        p->served++;
        p->len = p->sent = 0;
        if (p->hangs_up) {
            peer_drop(p);
        }
    }
}

static void turn(void)
{
    wr_loop_turn(kit.loop, 1);
    peer_step(&peers[0]);
    peer_step(&peers[1]);
}

/* ---- the world
 * ------------------------------------------------------------------------------------ */

/* pass: the directive that leads to the group g or one; location: what else stands beside it. */
static void kit_begin(const char *pass, const char *location)
{
    static char text[2048];
    struct wr_conf_text file = {.path = "/w/F", .text = text};
    struct wr_conf_texts texts = {&file, 1};
    struct wr_conf_source src;
    struct wr_conf_opts o = {.registry = &kit_registry,
                             .path = WR_STR_INIT("/w/F"),
                             .fixtures = &fixtures,
                             .source = &src};
    struct wr_gen *failed = NULL;
    struct wr_arena a;
    struct wr_diags d;

    o.prefix = wr_str_z(kit_dir);
    memset(&kit, 0, sizeof(kit));
    wr_clock_update();
    mem_before = wr_mem_in_use();
    wr_fixtures_init(&fixtures);
    peer_open(&peers[0]);
    peer_open(&peers[1]);
    (void)snprintf(
        text, sizeof(text),
        "http { upstream g { server 127.0.0.1:%u max_fails=0; server 127.0.0.1:%u max_fails=0; }\n"
        "upstream one { server 127.0.0.1:%u; }\n"
        "server { listen 127.0.0.1:80; location / { %s; %s } } }",
        peers[0].port, peers[1].port, peers[0].port, pass, location);
    kit.loop = wr_loop_new(wr_poll_epoll_new());
    assert_non_null(kit.loop);
    wr_conf_source_texts(&src, &texts);
    wr_arena_init(&a, 1 << 20);
    wr_diags_init(&d, &a);
    if (wr_conf_load(&o, &d, &kit.gen, &failed) != WR_OK) {
        fail_msg("%.*s", d.head == NULL ? 0 : (int)d.head->message.len,
                 d.head == NULL ? "" : d.head->message.ptr);
    }
    wr_arena_fini(&a);
    kit_listen(&kit);
    assert_int_equal(wr_http_adopt(kit.gen, 0), WR_OK);
}

static void kit_finish(void)
{
    const struct wr_members *m = wr_group_find(kit.gen, WR_STR("g"), 80, false);

    for (int i = 0; i < 20 && wr_http_conn_cnt() > 0; i++) {
        turn();
    }
    wr_http_stop();
    wr_idle_thread_end();
    for (int i = 0; i < 20; i++) {
        wr_loop_turn(kit.loop, 0);
    }
    for (uint32_t i = 0; i < m->cnt; i++) {
        assert_int_equal(wr_load_seq(&m->at[i].peer->active), 0); /* U8.3 */
    }
    assert_int_equal(wr_http_req_cnt(), 0);
    assert_int_equal(wr_http_conn_cnt(), 0);
    wr_gen_unref(kit.gen);
    wr_fixtures_fini(&fixtures);
    wr_loop_free(kit.loop);
    for (size_t i = 0; i < kit.port_cnt; i++) {
        (void)close(kit.fds[i]);
    }
    for (int i = 0; i < 2; i++) {
        peer_drop(&peers[i]);
        (void)close(peers[i].lfd);
    }
    assert_int_equal(wr_chunk_in_use(), 0);
    assert_int_equal(wr_mem_in_use(), mem_before);
}

/* Sends a request with Connection: close; all that comes until the end. */
static const char *ask(const char *request)
{
    static char buf[1 << 16];
    int fd = kit_connect(&kit, 0);
    size_t len = 0;
    ssize_t n;

    kit_send(fd, request);
    for (int i = 0; i < 5000; i++) {
        turn();
        n = recv(fd, buf + len, sizeof(buf) - 1 - len, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            break;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    buf[len] = '\0';
    (void)close(fd);
    turn();
    return buf;
}

/* Before all: the modules, kit_core and kit_up among them. False: said why. */
static bool kit_register(const struct wr_module *const *modules, size_t cnt)
{
    static struct wr_conf_module *confs[32];
    const char *err = NULL;
    struct wr_strbuf b;
    char path[64];

    (void)wr_local_get();
    if (mkdtemp(kit_dir) == NULL || cnt > WR_ARRAY_LEN(confs)) {
        return false;
    }
    kit_up.vars = wr_up_vars;
    kit_up.var_cnt = wr_up_vars_cnt;
    for (size_t i = 0; i < cnt; i++) {
        confs[i] = modules[i]->conf;
    }
    wr_strbuf_init(&b, 4096);
    if (wr_modules_set(modules, cnt, &err) != WR_OK ||
        wr_registry_init(&kit_registry, confs, cnt, &b) != WR_OK) {
        print_error("%s %s\n", err == NULL ? "" : err, wr_strbuf_cstr(&b));
        return false;
    }
    wr_strbuf_fini(&b);
    (void)snprintf(path, sizeof(path), "%s/client_body_temp", kit_dir);
    return mkdir(path, 0700) == 0;
}

#endif
