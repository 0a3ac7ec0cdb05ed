/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_group.c: upstream{} read from texts in memory (U1.1 to U1.4): what is said about bad ones,
 * where nginx 1.22 was asked for its words (`nginx -t`), and the members that come of good ones.
 */
#include "unit/up/t.h"

#include "base/slab.h"
#include "conf/dirs.h"
#include "conf/scope.h"
#include "conf/types.h"
#include "http/module.h"
#include "http/zone.h"
#include "up/group.h"
#include "up/idle.h"

/* ---- a module that knows http{}, pass HOST; and two methods -------------------------------------
 */

static const struct wr_lb weak_lb = {.name = "weak", .params = WR_LB_MAX_FAILS, .pick = NULL};
static const struct wr_lb strong_lb = {.name = "strong", .params = WR_LB_ALL, .pick = NULL};
static struct wr_members *passed[8];
static unsigned passed_cnt;

static enum wr_status set_http(struct wr_conf *cf, const struct wr_dir *d, const struct wr_node *n,
                               void *conf)
{
    struct wr_scope *s;

    (void)d, (void)conf;
    return wr_scope_new(cf, WR_CTX_HTTP, n, &s) == WR_OK ? wr_conf_apply(cf, n, s) : WR_ENOMEM;
}

static enum wr_status set_pass(struct wr_conf *cf, const struct wr_dir *d, const struct wr_node *n,
                               void *conf)
{
    struct wr_members *m = NULL;
    enum wr_status st = wr_group_refer(cf, n, wr_node_arg(n, 0), 80, &m);

    (void)d, (void)conf;
    passed[passed_cnt++ % 8] = m;
    return st;
}

static enum wr_status set_lb(struct wr_conf *cf, const struct wr_dir *d, const struct wr_node *n,
                             void *conf)
{
    (void)conf;
    return wr_group_set_lb(cf, n, d->data, NULL);
}

static const struct wr_dir test_dirs[] = {
    {.name = "http",
     .contexts = WR_CTX_MAIN,
     .flags = WR_DIR_BLOCK,
     .kind = WR_KIND_NONE,
     .set = set_http,
     .doc = "Holds all."},
    {  .name = "pass",
     .contexts = WR_CTX_HTTP,
     .min = 1,
     .max = 1,
     .flags = WR_DIR_REPEAT,
     .kind = WR_KIND_NONE,
     .set = set_pass,
     .doc = "Uses a group."},
    { .name = "weak",
     .contexts = WR_CTX_UPSTREAM,
     .flags = WR_DIR_REPEAT,
     .kind = WR_KIND_NONE,
     .set = set_lb,
     .data = &weak_lb,
     .doc = "A method."},
    {     .name = "strong",
     .contexts = WR_CTX_UPSTREAM,
     .flags = WR_DIR_REPEAT,
     .kind = WR_KIND_NONE,
     .set = set_lb,
     .data = &strong_lb,
     .doc = "A method."},
    WR_DIR_END
};
static struct wr_conf_module test_conf = {.name = "test", .dirs = test_dirs};

/* In place of http/module.c: the balancers of the program. */
const struct wr_module *const *wr_modules_get(size_t *ret_cnt)
{
    static const struct wr_lb *const lbs[] = {&wr_lb_rr};
    static const struct wr_module m = {.balancers = lbs, .balancer_cnt = 1};
    static const struct wr_module *const all[] = {&m};

    *ret_cnt = 1;
    return all;
}

/* Two addresses for "two.test", one for "one.test", none for others. */
static enum wr_status resolve(const struct wr_conf_source *s, struct wr_arena *a,
                              struct wr_str host, struct wr_addr **ret_addrs, size_t *ret_cnt)
{
    size_t cnt = wr_str_eq(host, WR_STR("two.test"))   ? 2
                 : wr_str_eq(host, WR_STR("one.test")) ? 1
                                                       : 0;

    (void)s;
    if (cnt == 0) {
        return WR_EOF;
    }
    *ret_addrs = wr_arena_zalloc(a, 2 * sizeof(**ret_addrs));
    if (*ret_addrs == NULL) {
        return WR_ENOMEM;
    }
    assert_int_equal(wr_addr_parse_ip(WR_STR("10.9.0.1"), 0, &(*ret_addrs)[0]), WR_OK);
    assert_int_equal(wr_addr_parse_ip(WR_STR("fd00::2"), 0, &(*ret_addrs)[1]), WR_OK);
    *ret_cnt = cnt;
    return WR_OK;
}

struct load {
    struct wr_registry registry;
    struct wr_fixtures fixtures;
    struct wr_conf_source source;
    struct wr_arena diag_arena;
    struct wr_diags diags;
    struct wr_gen *gen, *failed;
    struct wr_strbuf out;
    enum wr_status status;
    size_t mem;
};

static uint64_t fail_at; /* the allocation that fails while a text is read; 0: none */

static void load(struct load *l, const char *text)
{
    static struct wr_conf_module *const mods[] = {&test_conf, &wr_zone_conf, &wr_group_conf};
    struct wr_conf_text file = {.path = "/c/x.conf", .text = text};
    struct wr_conf_texts texts = {&file, 1};
    struct wr_conf_opts opts = {.registry = &l->registry,
                                .source = &l->source,
                                .path = WR_STR("/c/x.conf"),
                                .prefix = WR_STR("/p"),
                                .fixtures = &l->fixtures,
                                .gen_no = 1,
                                .arena_cap = 64 << 20};
    static char err[256];
    struct wr_strbuf b;

    (void)wr_local_get();
    memset(l, 0, sizeof(*l));
    l->mem = wr_mem_in_use();
    passed_cnt = 0;
    wr_strbuf_init_fixed(&b, err, sizeof(err));
    assert_int_equal(wr_registry_init(&l->registry, mods, WR_ARRAY_LEN(mods), &b), WR_OK);
    wr_fixtures_init(&l->fixtures);
    wr_conf_source_texts(&l->source, &texts);
    l->source.resolve = resolve;
    wr_arena_init(&l->diag_arena, 1 << 20);
    wr_diags_init(&l->diags, &l->diag_arena);
    wr_strbuf_init(&l->out, 1 << 20);
    wr_mem_fault_set(fail_at);
    l->status = wr_conf_load(&opts, &l->diags, &l->gen, &l->failed);
    wr_mem_fault_set(0);
    wr_diags_write(&l->diags, WR_DIAG_PLAIN, &l->out);
}

static void unload(struct load *l)
{
    wr_gen_unref(l->gen);
    wr_gen_unref(l->failed);
    wr_fixtures_fini(&l->fixtures);
    wr_strbuf_fini(&l->out);
    wr_arena_fini(&l->diag_arena);
    wr_registry_fini(&l->registry);
    assert_int_equal(wr_mem_in_use(), l->mem);
}

/* ---- errors --------------------------------------------------------------------------------- */

#define E(text, line) "weir: [emerg] " text " in /c/x.conf:" line "\n"

static const struct {
    const char *conf, *out;
} errors[] = {
  /* clang-format off */
    {"upstream a { server 1.1.1.1; }\nupstream a { server 2.2.2.2; }", E("duplicate upstream \"a\"", "3")},
    {"upstream a { server 1.1.1.1; }\nupstream A { server 2.2.2.2; }", E("duplicate upstream \"A\"", "3")},
    {"upstream a { }", E("no servers are inside upstream", "2")},
    {"upstream a { server 1.1.1.1 backup; }", E("no servers in upstream \"a\"", "2")},
    {"upstream a { server 1.1.1.1 weight=0; }", E("invalid parameter \"weight=0\"", "2")},
    {"upstream a { server 1.1.1.1 weight=x; }", E("invalid parameter \"weight=x\"", "2")},
    {"upstream a { server 1.1.1.1 weight=; }", E("invalid parameter \"weight=\"", "2")},
    {"upstream a { server 1.1.1.1 weight; }", E("invalid parameter \"weight\"", "2")},
    {"upstream a { server 1.1.1.1 weight=-1; }", E("invalid parameter \"weight=-1\"", "2")},
    {"upstream a { server 1.1.1.1 max_conns=-1; }", E("invalid parameter \"max_conns=-1\"", "2")},
    {"upstream a { server 1.1.1.1 max_fails=x; }", E("invalid parameter \"max_fails=x\"", "2")},
    {"upstream a { server 1.1.1.1 fail_timeout=1.5s; }", E("invalid parameter \"fail_timeout=1.5s\"", "2")},
    {"upstream a { server 1.1.1.1 fail_timeout=500ms; }", E("invalid parameter \"fail_timeout=500ms\"", "2")},
    {"upstream a { server 1.1.1.1 foo; }", E("invalid parameter \"foo\"", "2")},
    {"upstream a { server 1.1.1.1 backup=1; }", E("invalid parameter \"backup=1\"", "2")},
    {"upstream a { server no.test; }", E("host not found in upstream \"no.test\"", "2")},
    {"upstream a { server no.test:81; }", E("host not found in upstream \"no.test:81\"", "2")},
    {"upstream a { server 1.1.1.1:99999; }", E("invalid port in upstream \"1.1.1.1:99999\"", "2")},
    {"upstream a { server 1.1.1.1:0; }", E("invalid port in upstream \"1.1.1.1:0\"", "2")},
    {"upstream a { server 1.1.1.1:; }", E("invalid port in upstream \"1.1.1.1:\"", "2")},
    {"upstream a { server 1.1.1.1:8x; }", E("invalid port in upstream \"1.1.1.1:8x\"", "2")},
    {"upstream a { server :80; }", E("no host in upstream \":80\"", "2")},
    {"upstream a { server \"\"; }", E("no host in upstream \"\"", "2")},
    {"upstream a { server [::1; }", E("invalid host in upstream \"[::1\"", "2")},
    {"upstream a { server 1.1.1.1/x; }", E("invalid host in upstream \"1.1.1.1/x\"", "2")},
    {"upstream a { server unix:; }", E("no path in the unix domain socket in upstream \"unix:\"", "2")},
    {"upstream a { server 1.1.1.1; keepalive x; }", E("invalid value \"x\" in \"keepalive\" directive", "2")},
    {"upstream a { server 1.1.1.1; keepalive 2; keepalive 3; }", E("\"keepalive\" directive is duplicate", "2")},
    {"upstream a { server 1.1.1.1; keepalive 2 global; }", E("invalid parameter \"global\"", "2")},
    {"upstream a { weak; server 1.1.1.1; server 2.2.2.2 backup; }", E("balancing method does not support parameter \"backup\"", "2")},
    {"upstream a { weak; server 1.1.1.1 weight=2; }", E("balancing method does not support parameter \"weight\"", "2")},
    {"upstream a { server 1.1.1.1 max_conns=2; weak; }", E("balancing method does not support parameter \"max_conns\"", "2")},
    /* U1.4, words of our own: nginx warns of the method only where it was set before */
    {"upstream a { server 1.1.1.1; keepalive 2; strong; }", E("\"strong\" must come before \"keepalive\": load balancing methods stand first", "2")},
    {"pass no.test;", E("host not found in upstream \"no.test\"", "2")},
    {"pass a:77777;", E("invalid port in upstream \"a:77777\"", "2")},
    {"pass a;\nupstream a { server 1.1.1.1 backup; }", E("no servers in upstream \"a\"", "3")},
    {"upstream a { server 1.1.1.1; }\npass a:8080;", E("upstream \"a\" may not have port 8080", "3")},
    {"pass a:8080;\nupstream a { server 1.1.1.1; }", E("upstream \"a\" may not have port 8080", "2")},
    /* All errors of a file in one run. */
    {"upstream a { server 1.1.1.1 x;\n server no.test;\n server 1.1.1.1:0; }", E("invalid parameter \"x\"", "2") E("invalid port in upstream \"1.1.1.1:0\"", "4")},
  /* clang-format on */
};

static void errors_have_their_words(void **state)
{
    unsigned bad = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(errors); i++) {
        char text[512];
        struct load l;

        (void)snprintf(text, sizeof(text), "http {\n%s\n}\n", errors[i].conf);
        load(&l, text);
        if (!wr_str_eq_z(wr_strbuf_str(&l.out), errors[i].out) || l.status != WR_ECONFIG) {
            print_error("%s\ngot  %s\nwant %s", errors[i].conf, wr_strbuf_cstr(&l.out),
                        errors[i].out);
            bad++;
        }
        unload(&l);
    }
    assert_int_equal(bad, 0);
}

/* ---- good ones ------------------------------------------------------------------------------ */

static void members_have_their_parameters(void **state)
{
    struct load l;
    const struct wr_members *m;

    (void)state;
    load(
        &l,
        "http { pass g;\n"
        "upstream g { zone z 64k; server 1.1.1.1:81 weight=3 max_conns=7 max_fails=2 fail_timeout=1m30s;\n"
        "server two.test:82 backup; server unix:/run/a down; server [::1]; keepalive 5 local; keepalive_requests 9;\n"
        "keepalive_time 2m; keepalive_timeout 3s; } }");
    assert_text(wr_strbuf_str(&l.out), "");
    m = passed[0];
    assert_ptr_equal(m, wr_group_find(l.gen, WR_STR("G"), 80, false));
    assert_int_equal(m->cnt, 5);
    assert_int_equal(m->primary_cnt, 3);
    assert_int_equal(m->backup_cnt, 2);
    assert_int_equal(m->up_cnt, 4);
    assert_true(m->has_accounting);
    assert_true(m->has_zone);
    assert_false(m->is_implicit);
    assert_ptr_equal(m->lb, &wr_lb_rr);
    assert_int_equal(m->keepalive, 5);
    assert_true(m->keepalive_local);
    assert_int_equal(m->keepalive_requests, 9);
    assert_int_equal(m->keepalive_time_ms, 120000);
    assert_int_equal(m->keepalive_timeout_ms, 3000);
    assert_int_equal(m->at[0].weight, 3);
    assert_int_equal(wr_load_rlx(m->at[0].effective), 3);
    assert_int_equal(m->at[0].max_conns, 7);
    assert_int_equal(m->at[0].max_fails, 2);
    assert_int_equal(m->at[0].fail_timeout_ms, 90000);
    assert_string_equal(m->at[0].peer->text, "1.1.1.1:81");
    assert_string_equal(m->at[1].peer->text, "10.9.0.1:82");
    assert_string_equal(m->at[2].peer->text, "[fd00::2]:82");
    assert_true(m->at[1].is_backup && m->at[2].is_backup);
    assert_string_equal(m->at[3].peer->text, "unix:/run/a");
    assert_true(m->at[3].is_down);
    assert_string_equal(m->at[4].peer->text, "[::1]:80");
    assert_text(m->at[1].server, "two.test:82");
    assert_int_equal(m->at[4].weight, 1);
    assert_int_equal(m->at[4].max_fails, 1);
    assert_int_equal(m->at[4].fail_timeout_ms, 10000);
    unload(&l);
}

/* U1.4, U1.5: locations that name one host and port share one group; found by host and port, case
 * aside. */
static void implicit_groups(void **state)
{
    struct load l;
    const struct wr_members *m;

    (void)state;
    load(&l, "http { pass two.test; pass TWO.test:80; pass one.test:81; pass 10.0.0.1; }");
    assert_text(wr_strbuf_str(&l.out), "");
    m = passed[0];
    assert_ptr_equal(passed[1], m);
    assert_ptr_not_equal(passed[2], m);
    assert_true(m->is_implicit);
    assert_int_equal(m->cnt, 2);
    assert_true(m->has_accounting);
    assert_false(m->is_alone);
    assert_int_equal(m->keepalive, WR_IDLE_DEFAULT);
    assert_int_equal(m->at[0].max_fails, 1);
    assert_string_equal(m->at[0].peer->text, "10.9.0.1:80");
    assert_string_equal(passed[2]->at[0].peer->text, "10.9.0.1:81");
    assert_false(passed[2]->has_accounting);
    assert_true(passed[2]->is_alone);
    assert_ptr_equal(wr_group_find(l.gen, WR_STR("Two.test"), 80, true), m);
    assert_ptr_equal(wr_group_find(l.gen, WR_STR("two.test"), 80, false), m);
    assert_ptr_equal(wr_group_find(l.gen, WR_STR("one.test"), 81, true), passed[2]);
    assert_null(wr_group_find(l.gen, WR_STR("one.test"), 80, false));
    assert_null(wr_group_find(l.gen, WR_STR("none.test"), 80, false));
    unload(&l);
}

/* U8: what threads share outlives the generation that another one with the same names follows. */
static void state_survives_a_reload(void **state)
{
    static const char text[] = "http { upstream g { server 1.1.1.1; server 2.2.2.2; } }";
    static const char less[] = "http { upstream g { server 2.2.2.2; } }";
    struct load l, n;
    struct wr_conf_text file = {.path = "/c/x.conf", .text = less};
    struct wr_conf_texts texts = {&file, 1};
    struct wr_peer *p;
    struct wr_gen *g2 = NULL, *failed = NULL;
    const struct wr_members *m;

    (void)state;
    (void)n;
    load(&l, text);
    m = wr_group_find(l.gen, WR_STR("g"), 80, false);
    p = m->at[1].peer;
    assert_int_equal(l.fixtures.cnt, 4); /* two peers, their group, that of named peers */
    wr_conf_source_texts(&l.source, &texts);
    assert_int_equal(wr_conf_load(&(struct wr_conf_opts){.registry = &l.registry,
                                                         .source = &l.source,
                                                         .path = WR_STR("/c/x.conf"),
                                                         .prefix = WR_STR("/p"),
                                                         .fixtures = &l.fixtures,
                                                         .gen_no = 2},
                                  &l.diags, &g2, &failed),
                     WR_OK);
    assert_ptr_equal(wr_group_find(g2, WR_STR("g"), 80, false)->at[0].peer, p);
    assert_ptr_equal(wr_group_find(g2, WR_STR("g"), 80, false)->group, m->group);
    assert_false(wr_group_find(g2, WR_STR("g"), 80, false)->has_accounting);
    assert_int_equal(wr_fixtures_sweep(&l.fixtures), 0);
    wr_gen_unref(wr_take(&l.gen));
    assert_int_equal(wr_fixtures_sweep(&l.fixtures), 1);
    wr_gen_unref(g2);
    wr_gen_unref(failed);
    unload(&l);
}

/* A dry run (-t) keeps nothing. */
static void a_dry_run_has_no_fixtures(void **state)
{
    struct load l;
    struct wr_gen *g = NULL, *failed = NULL;
    struct wr_conf_text file = {.path = "/c/x.conf",
                                .text = "http { upstream g { server 1.1.1.1; } pass one.test; }"};
    struct wr_conf_texts texts = {&file, 1};

    (void)state;
    load(&l, "http { }");
    assert_int_equal(l.fixtures.cnt, 1);
    wr_conf_source_texts(&l.source, &texts);
    l.source.resolve = resolve;
    assert_int_equal(wr_conf_load(&(struct wr_conf_opts){.registry = &l.registry,
                                                         .source = &l.source,
                                                         .path = WR_STR("/c/x.conf"),
                                                         .prefix = WR_STR("/p"),
                                                         .gen_no = 2},
                                  &l.diags, &g, &failed),
                     WR_OK);
    assert_int_equal(l.fixtures.cnt, 1);
    wr_gen_unref(g);
    wr_gen_unref(failed);
    unload(&l);
}

/* A reload without memory is refused, at whichever allocation, and leaves nothing behind. */
static void every_allocation_may_fail(void **state)
{
    static const char text[] =
        "http { pass g; pass one.test; upstream g { strong; zone z 64k; server 1.1.1.1 weight=2;\n"
        "server two.test backup; keepalive 3; } }";
    struct load l;
    unsigned refused = 0;

    (void)state;
    for (uint64_t n = 1;; n++) {
        fail_at = n;
        load(&l, text);
        fail_at = 0;
        if (l.status == WR_OK) {
            assert_non_null(wr_group_find(l.gen, WR_STR("g"), 80, false));
            unload(&l);
            break;
        }
        refused++;
        assert_null(l.gen);
        unload(&l);
    }
    assert_in_range(refused, 10, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_their_words),
        cmocka_unit_test(members_have_their_parameters),
        cmocka_unit_test(implicit_groups),
        cmocka_unit_test(state_survives_a_reload),
        cmocka_unit_test(a_dry_run_has_no_fixtures),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("up/group", tests, NULL, NULL);
}
