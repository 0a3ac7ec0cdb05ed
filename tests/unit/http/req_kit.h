/* SPDX-License-Identifier: Apache-2.0 */
/*
 * req_kit.h: a whole server in a test: configuration text, event loop, listening sockets on ports
 * that the kernel chooses, clients on real connections. The module "say" gives locations a content:
 *
 *   say TEXT;            answers 200 with the text, variables evaluated
 *   say_fail CODE;       wr_req_fail
 *   say_go URI;          wr_req_redirect ("@name" too)
 *   say_body;            reads the body, answers with it
 *   say_stream;          hands the body's pipe over as the response
 *   say_late TEXT;       answers once the request's timer fired (20 ms)
 *   say_to CODE URL;     wr_reply_redirect
 *   say_hold;            never answers
 */
#ifndef TESTS_HTTP_REQ_KIT_H
#define TESTS_HTTP_REQ_KIT_H

/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "conf/dirs.h"
#include "conf/gen.h"
#include "event/loop.h"
#include "event/poll.h"
#include "http/core_conf.h"
#include "http/location.h"
#include "http/module.h"
#include "http/regex.h"
#include "http/reply.h"
#include "http/server.h"
#include "net/sock.h"

#define KIT_PORTS 4

/* ---- the module ------------------------------------------------------------------------------ */

struct say {
    struct wr_content content;
    const struct wr_template *text;
    struct wr_pipe *out;
    uint64_t at_ms;
    unsigned code;
    int closed;
};

struct say_conf {
    const struct wr_template *text;
    unsigned code;
    int how;
};

enum {
    SAY_TEXT,
    SAY_FAIL,
    SAY_GO,
    SAY_BODY,
    SAY_STREAM,
    SAY_LATE,
    SAY_TO,
    SAY_HOLD
};

static int say_closed, say_logged;
static unsigned say_last_status;
/* A test need not use all of this. */
#pragma GCC diagnostic ignored "-Wunused-function"

static struct wr_registry kit_registry;
static char kit_dir[] = "/tmp/weir-test-XXXXXX"; /* the prefix */

static void say_text(struct say *c)
{
    struct wr_str s;

    if (wr_template_eval(c->content.req, c->text, &s) != WR_OK) {
        wr_req_fail(c->content.req, 500);
        return;
    }
    wr_reply_text(c->content.req, 200, WR_STR_NULL, s);
    wr_req_end(c->content.req);
}

static void say_body(struct say *c)
{
    struct wr_req *r = c->content.req;
    enum wr_status st;

    if (r->is_responded) {
        return;
    }
    st = wr_req_body_read(r);
    if (st == WR_OK) {
        r->out.status = 200;
        r->out.content_length = r->body_len;
        r->out_pipe = wr_take(&r->body);
        if (wr_req_respond(r) == WR_OK) {
            wr_req_end(r);
        }
    } else if (st != WR_AGAIN) {
        wr_req_fail(r, st == WR_EPROTO ? r->body_status : 500);
    }
}

static void say_stream(struct say *c)
{
    struct wr_req *r = c->content.req;
    struct wr_pipe *p = NULL;
    uint64_t len = 0;

    if (r->is_responded) {
        if (r->stream->rx >= WR_HALF_DONE) {
            wr_req_end(r);
        }
        return;
    }
    (void)wr_req_has_body(r, &len);
    if (wr_req_body_stream(r, &p) != WR_OK) {
        wr_req_fail(r, r->body_status);
        return;
    }
    r->out.status = 200;
    r->out.content_length = len;
    r->out_pipe = p;
    if (wr_req_respond(r) != WR_OK) {
        wr_req_end(r);
    }
}

static void say_step_text(struct wr_content *w)
{
    struct say *c = wr_container_of(w, struct say, content);

    if (!w->req->is_responded) {
        say_text(c);
    }
}

static void say_step_fail(struct wr_content *w)
{
    wr_req_fail(w->req, wr_container_of(w, struct say, content)->code);
    wr_req_end(w->req); /* as the upstream engine does */
}

static void say_step_go(struct wr_content *w)
{
    struct say *c = wr_container_of(w, struct say, content);
    struct wr_str s;
    size_t q;

    if (wr_template_eval(w->req, c->text, &s) != WR_OK) {
        wr_req_fail(w->req, 500);
        return;
    }
    q = wr_str_find(s, '?');
    wr_req_redirect(w->req, wr_str_sub(s, 0, q),
                    q < s.len ? wr_str_sub(s, q + 1, s.len) : WR_STR_NULL);
    wr_req_end(w->req);
}

static void say_step_body(struct wr_content *w)
{
    say_body(wr_container_of(w, struct say, content));
}

static void say_step_stream(struct wr_content *w)
{
    say_stream(wr_container_of(w, struct say, content));
}

static void say_step_late(struct wr_content *w)
{
    struct say *c = wr_container_of(w, struct say, content);

    if (w->req->is_responded) {
        return;
    }
    if (c->at_ms == 0) {
        c->at_ms = wr_now_ms() + 20;
        wr_timer_arm(&w->req->timer, c->at_ms);
    }
    if (wr_now_ms() >= c->at_ms) {
        say_text(c);
    }
}

static void say_step_to(struct wr_content *w)
{
    struct say *c = wr_container_of(w, struct say, content);
    struct wr_str s;

    if (!w->req->is_responded && wr_template_eval(w->req, c->text, &s) == WR_OK) {
        wr_reply_redirect(w->req, c->code, s);
        wr_req_end(w->req);
    }
}

static void say_step_hold(struct wr_content *w)
{
    if (w->req->stream->is_gone) {
        wr_req_cancel(w->req, WR_REASON_CLIENT_GONE);
    }
}

static void say_close(struct wr_content *w)
{
    struct say *c = wr_container_of(w, struct say, content);

    assert_int_equal(c->closed, 0);
    c->closed = 1;
    say_closed++;
}

static const struct wr_content_ops say_ops[] = {
    {"say",    say_step_text,   say_close},
    {"fail",   say_step_fail,   say_close},
    {"go",     say_step_go,     say_close},
    {"body",   say_step_body,   say_close},
    {"stream", say_step_stream, say_close},
    {"late",   say_step_late,   say_close},
    {"to",     say_step_to,     say_close},
    {"hold",   say_step_hold,   say_close},
};

static enum wr_status say_start(struct wr_req *r, void *conf, struct wr_content **ret)
{
    const struct say_conf *sc = conf;
    struct say *c = wr_arena_zalloc(r->arena, sizeof(*c));

    if (!c) {
        return WR_ENOMEM;
    }
    c->content = (struct wr_content){&say_ops[sc->how], r};
    c->text = sc->text;
    c->code = sc->code;
    *ret = &c->content;
    return WR_OK;
}

static const char *const say_names[] = {"say",        "say_fail", "say_go", "say_body",
                                        "say_stream", "say_late", "say_to", "say_hold"};

static enum wr_status set_say(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct say_conf *sc = wr_arena_must(cf->arena, sizeof(*sc));
    struct wr_template *t = wr_arena_must(cf->arena, sizeof(*t));
    uint64_t code = 0;
    enum wr_status st = WR_OK;

    (void)conf;
    while (strcmp(say_names[sc->how], dir->name) != 0) {
        sc->how++;
    }
    if (node->arg_cnt > 0 && wr_num_parse_u64(wr_node_arg(node, 0), 999, &code) == WR_OK) {
        sc->code = (unsigned)code;
    }
    if (node->arg_cnt > 0) {
        st = wr_arg_template(cf, node, node->arg_cnt - 1, wr_node_arg(node, node->arg_cnt - 1), t);
    }
    sc->text = t;
    if (sc->how == SAY_GO) {
        wr_core_set_auto_redirect(cf);
    }
    return st == WR_OK ? wr_core_set_content(cf, node, say_start, sc) : st;
}

#define SAY(n, lo, hi)                                                                             \
    {                                                                                              \
        .name = n, .contexts = WR_CTX_LOCATION, .min = lo, .max = hi, .set = set_say,              \
        WR_DIR_CONF(NONE)                                                                          \
    }

static const struct wr_dir say_dirs[] = {
    SAY("say", 1, 1),      SAY("say_fail", 1, 1),   SAY("say_go", 1, 1),
    SAY("say_body", 0, 0), SAY("say_stream", 0, 0), SAY("say_late", 1, 1),
    SAY("say_to", 2, 2),   SAY("say_hold", 0, 0),   WR_DIR_END};

static enum wr_status say_done(struct wr_conf *cf)
{
    return wr_vars_check(wr_http_building(cf)->vars, cf->diags);
}

static struct wr_conf_module say_conf = {.name = "say", .dirs = say_dirs, .done = say_done};

static enum wr_status get_uri(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                              struct wr_str *ret)
{
    (void)v;
    (void)rest;
    *ret = r->uri.path;
    return WR_OK;
}

static enum wr_status get_args(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    (void)v;
    (void)rest;
    *ret = r->uri.args;
    return WR_OK;
}

static enum wr_status get_arg(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                              struct wr_str *ret)
{
    (void)v;
    return wr_uri_arg(r->uri.args, rest, ret) ? WR_OK : WR_EOF;
}

static enum wr_status get_server(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                 struct wr_str *ret)
{
    (void)rest;
    *ret = v->data == 0 ? r->server->name : r->host;
    return WR_OK;
}

static enum wr_status get_method(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                 struct wr_str *ret)
{
    (void)v;
    (void)rest;
    *ret = r->method_name;
    return WR_OK;
}

static const struct wr_var say_vars[] = {
    {"t_uri",    get_uri,    0, WR_VAR_NOCACHE                },
    {"t_args",   get_args,   0, WR_VAR_NOCACHE                },
    {"t_arg_",   get_arg,    0, WR_VAR_PREFIX | WR_VAR_NOCACHE},
    {"t_server", get_server, 0, 0                             },
    {"t_host",   get_server, 1, 0                             },
    {"t_method", get_method, 0, WR_VAR_NOCACHE                },
};

static enum wr_phase_result say_log(struct wr_req *r)
{
    say_logged++;
    say_last_status = r->status;
    return WR_PHASE_NEXT;
}

static const struct wr_phase_row say_phases[] = {
    {WR_PHASE_LOG, 0, say_log},
};

static const struct wr_module kit_core = {.conf = &wr_core_conf};
static const struct wr_module kit_say = {.conf = &say_conf,
                                         .vars = say_vars,
                                         .var_cnt = WR_ARRAY_LEN(say_vars),
                                         .phases = say_phases,
                                         .phase_cnt = WR_ARRAY_LEN(say_phases)};
static const struct wr_module *const kit_modules[] = {&kit_core, &kit_say};
static struct wr_conf_module *const kit_confs[] = {&wr_core_conf, &say_conf};

static void kit_boot(void)
{
    const char *err = NULL;
    struct wr_strbuf b;
    char path[64];

    assert_non_null(mkdtemp(kit_dir));
    (void)snprintf(path, sizeof(path), "%s/client_body_temp", kit_dir);
    assert_int_equal(mkdir(path, 0700), 0);

    wr_strbuf_init(&b, 4096);
    assert_int_equal(wr_modules_set(kit_modules, WR_ARRAY_LEN(kit_modules), &err), WR_OK);
    assert_int_equal(wr_registry_init(&kit_registry, kit_confs, WR_ARRAY_LEN(kit_confs), &b),
                     WR_OK);
    wr_strbuf_fini(&b);
}

/* Fails when a temporary file was left behind. */
static void kit_end(void)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/client_body_temp", kit_dir);
    if (rmdir(path) != 0 || rmdir(kit_dir) != 0) {
        print_error("files were left in %s\n", kit_dir);
        _exit(1);
    }
    wr_registry_fini(&kit_registry);
    wr_regex_thread_fini();
}

/* ---- loading --------------------------------------------------------------------------------- */

/* The generation, or NULL with the messages ("[emerg] ... in F:1\n") in out. Warnings are there
 * too. */
static struct wr_gen *kit_load(const char *text, char *out, size_t size)
{
    struct wr_conf_text file = {.path = "/w/F", .text = text};
    struct wr_conf_texts texts = {&file, 1};
    struct wr_conf_source src;
    struct wr_conf_opts o = {
        .registry = &kit_registry, .path = WR_STR_INIT("/w/F"), .prefix = wr_str_z(kit_dir)};
    struct wr_gen *g = NULL, *failed = NULL;
    struct wr_arena a;
    struct wr_diags d;
    struct wr_strbuf b;

    wr_conf_source_texts(&src, &texts);
    o.source = &src;
    wr_arena_init(&a, 1 << 20);
    wr_diags_init(&d, &a);
    wr_strbuf_init_fixed(&b, out, size);
    if (wr_conf_load(&o, &d, &g, &failed) != WR_OK) {
        g = NULL;
    }
    wr_diags_write(&d, WR_DIAG_PLAIN, &b);
    out[WR_MIN(b.len, size - 1)] = '\0';
    wr_gen_unref(failed);
    wr_arena_fini(&a);
    return g;
}

/* ---- a running server ---------------------------------------------------------------------------
 */

struct kit {
    struct wr_loop *loop;
    struct wr_gen *gen;
    int fds[KIT_PORTS];
    struct wr_addr addrs[KIT_PORTS];
    size_t port_cnt;
};

static void kit_listen(struct kit *k)
{
    struct wr_http *h = wr_http_of(k->gen);

    for (size_t i = 0; i < h->port_cnt; i++) {
        if (i >= k->port_cnt) {
            struct wr_listen_opts o = h->ports[i].opts;
            const char *call = "";
            int err = 0;

            wr_addr_set_port(&o.addr, 0);
            assert_int_equal(wr_sock_listen(&o, &k->fds[i], &err, &call), WR_OK);
            assert_int_equal(wr_sock_local(k->fds[i], &k->addrs[i]), WR_OK);
            k->port_cnt = i + 1;
        }
        h->ports[i].fds = &k->fds[i];
        h->ports[i].fd_cnt = 1;
    }
}

static void kit_adopt(struct kit *k, const char *text)
{
    char out[4096];
    struct wr_gen *old = k->gen;

    k->gen = kit_load(text, out, sizeof(out));
    if (!k->gen) {
        fail_msg("%s", out);
    }
    kit_listen(k);
    assert_int_equal(wr_http_adopt(k->gen, 0), WR_OK);
    wr_gen_unref(old);
}

static void kit_start(struct kit *k, const char *text)
{
    memset(k, 0, sizeof(*k));
    say_closed = say_logged = 0;
    wr_clock_update();
    k->loop = wr_loop_new(wr_poll_epoll_new());
    assert_non_null(k->loop);
    kit_adopt(k, text);
}

static void kit_turn(struct kit *k)
{
    wr_loop_turn(k->loop, 5);
}

static void kit_stop(struct kit *k)
{
    wr_http_stop();
    for (int i = 0; i < 20; i++) {
        wr_loop_turn(k->loop, 0);
    }
    assert_int_equal(wr_http_req_cnt(), 0);
    assert_int_equal(wr_http_conn_cnt(), 0);
    wr_gen_unref(k->gen);
    wr_loop_free(k->loop);
    for (size_t i = 0; i < k->port_cnt; i++) {
        (void)close(k->fds[i]);
    }
}

static int kit_connect(struct kit *k, size_t port)
{
    int fd = socket(k->addrs[port].u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &k->addrs[port].u.sa, k->addrs[port].len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void kit_send(int fd, const char *s)
{
    size_t n = strlen(s);

    assert_int_equal(send(fd, s, n, MSG_NOSIGNAL), (ssize_t)n);
}

/*
 * Reads until `until` came (NULL: until the end), at most ms. Value: -1 when the connection was
 * reset, 0 at its end, 1 when `until` is there, 2 when time is up. buf is zero-terminated, appended
 * to.
 */
static int kit_read(struct kit *k, int fd, char *buf, size_t size, const char *until, uint64_t ms)
{
    uint64_t end = wr_clock_mono_us() / 1000 + ms;

    for (;;) {
        size_t have = strlen(buf);
        ssize_t n = recv(fd, buf + have, size - 1 - have, 0);

        if (n > 0) {
            buf[have + (size_t)n] = '\0';
        }
        if (until && strstr(buf, until)) {
            return 1;
        }
        if (n == 0) {
            return 0;
        }
        if (n < 0 && errno != EAGAIN) {
            return -1;
        }
        if (n < 0 && wr_clock_mono_us() / 1000 > end) {
            return 2;
        }
        if (n < 0) {
            kit_turn(k);
        }
    }
}

/* One connection: sends, reads to its end. */
static const char *kit_talk(struct kit *k, const char *request)
{
    static char buf[1 << 18];
    int fd = kit_connect(k, 0);

    buf[0] = '\0';
    kit_send(fd, request);
    (void)kit_read(k, fd, buf, sizeof(buf), NULL, 3000);
    (void)close(fd);
    kit_turn(k);
    return buf;
}

/* GET with Connection: close. */
static const char *kit_get(struct kit *k, const char *target)
{
    char text[1024];

    (void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                   target);
    return kit_talk(k, text);
}

static unsigned kit_status(const char *response)
{
    return strncmp(response, "HTTP/1.1 ", 9) == 0 ? (unsigned)strtoul(response + 9, NULL, 10) : 0;
}

static const char *kit_body(const char *response)
{
    const char *p = strstr(response, "\r\n\r\n");

    return p ? p + 4 : "";
}

#endif
