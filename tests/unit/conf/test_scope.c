/* SPDX-License-Identifier: Apache-2.0 */
/* test_scope.c: sharing of structs, hooks, and a large configuration. Inheritance: test_dirs.c. */
#include "conf/scope.h"

#include <time.h>

#include "base/mem.h"
#include "toy.h"

#include "t.h"

struct lazy_loc {
    struct wr_conf_head head;
    uint64_t value, other;
    unsigned created, merged;
};

static enum wr_status lazy_created(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                                   void *conf)
{
    (void)cf;
    (void)s;
    (void)kind;
    ((struct lazy_loc *)conf)->created++;
    return WR_OK;
}

static enum wr_status lazy_merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                                  const void *parent, void *conf)
{
    struct lazy_loc *l = conf;

    (void)kind;
    l->merged++;
    if (l->value == 13) {
        return wr_conf_err(cf, s->node, "13 is unlucky");
    }
    if (l->value == 14) {
        return WR_ECONFIG; /* says nothing */
    }
    assert_true(parent == NULL || ((const struct lazy_loc *)parent)->merged == 1);
    return WR_OK;
}

static unsigned done_cnt;

static enum wr_status lazy_done(struct wr_conf *cf)
{
    assert_non_null(cf->gen->root);
    done_cnt++;
    return WR_OK;
}

static const struct wr_dir lazy_dirs[] = {
    {.name = "lazy",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_num,
     WR_DIR_FIELD(LOC,  struct lazy_loc, value),
     .def = "5"},
    {.name = "other",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_num,
     WR_DIR_FIELD(LOC, struct lazy_loc,                   other)         },
    WR_DIR_END
};
static struct wr_conf_module lazy = {.name = "lazy",
                                     .dirs = lazy_dirs,
                                     .size = {[WR_KIND_LOC] = sizeof(struct lazy_loc)},
                                     .created = lazy_created,
                                     .merged = lazy_merged,
                                     .done = lazy_done};
static struct wr_conf_module *const with_lazy[] = {&toy_core, &toy_module, &lazy};

static void load(struct toy *t, const char *conf)
{
    static struct wr_conf_text file;
    static struct wr_conf_texts texts;
    struct wr_strbuf err;

    file = (struct wr_conf_text){.path = "/c/x.conf", .text = conf};
    texts = (struct wr_conf_texts){&file, 1};
    toy_open(t, &texts);
    wr_registry_fini(&t->registry);
    wr_strbuf_init(&err, 100);
    assert_int_equal(wr_registry_init(&t->registry, with_lazy, 3, &err), WR_OK);
    wr_strbuf_fini(&err);
    toy_load(t, WR_DIAG_PLAIN);
}

static void test_sharing(void **state)
{
    struct toy t;
    const struct wr_scope *http, *s1, *s2;
    const struct lazy_loc *l0, *l1, *l2;

    (void)state;
    done_cnt = 0;
    load(&t, "http { server { location / { other 2; } } server { lazy 7; location / {} } }");
    assert_int_equal(t.status, WR_OK);
    http = t.gen->root->first;
    s1 = http->first;
    s2 = s1->next;
    l0 = wr_scope_get(http, &lazy, WR_KIND_LOC);
    l1 = wr_scope_get(s1->first, &lazy, WR_KIND_LOC);
    l2 = wr_scope_get(s2, &lazy, WR_KIND_LOC);
    assert_ptr_equal(l0, wr_scope_get(s1, &lazy, WR_KIND_LOC)); /* nothing set: shared */
    assert_ptr_not_equal(l0, l1);
    assert_ptr_equal(l2, wr_scope_get(s2->first, &lazy, WR_KIND_LOC));
    assert_int_equal(l0->value, 5);
    assert_int_equal(l1->value, 5);
    assert_int_equal(l1->other, 2);
    assert_int_equal(l2->value, 7);
    assert_true(l0->created == 1 && l1->created == 1 && l2->created == 1);
    assert_true(l0->merged == 1 && l1->merged == 1 && l2->merged == 1);
    assert_int_equal(done_cnt, 1);
    assert_ptr_equal(wr_scope_up(t.gen->root->first->first->first, WR_CTX_HTTP), http);
    assert_null(wr_scope_up(t.gen->root->first, WR_CTX_UPSTREAM));
    toy_close(&t);
}

static void test_hook_errors(void **state)
{
    struct toy t;

    (void)state;
    done_cnt = 0;
    load(&t, "http { server {\nlocation / { lazy 13; }\nlocation /a { lazy 13; } } }");
    assert_text(wr_strbuf_str(&t.out), "weir: [emerg] 13 is unlucky in /c/x.conf:2\n"
                                       "weir: [emerg] 13 is unlucky in /c/x.conf:3\n");
    assert_int_equal(t.status, WR_ECONFIG);
    toy_close(&t);
    load(&t, "http { lazy 14; }");
    assert_text(wr_strbuf_str(&t.out), "weir: [emerg] the merged hook of module \"lazy\" failed\n");
    assert_int_equal(t.status, WR_ECONFIG);
    assert_int_equal(done_cnt, 0);
    toy_close(&t);
}

/* 10,000 servers, 5 MB: the time must not grow with the square of anything. */
static void test_large(void **state)
{
    const size_t max = 8 << 20;
    struct wr_strbuf b;
    struct toy t;
    struct timespec from, to;
    const struct toy_main *m;
    uint64_t ms;

    (void)state;
    wr_strbuf_init(&b, max);
    wr_strbuf_add_z(&b, "worker_processes 2;\nhttp {\nproxy_set_header Host $host;\n");
    for (unsigned i = 0; i < 10000; i++) {
        wr_strbuf_printf(
            &b,
            "    server {\n        server_name www%u.example.com example%u.com;\n"
            "        client_header_buffer_size 4k;\n        root /srv/www/%u/html;\n"
            "        location / {\n            pass http://backend%u;\n"
            "            proxy_set_header Host $host;\n"
            "            proxy_set_header X-Forwarded-Proto \"https $arg_x\";\n"
            "            proxy_read_timeout 30s;\n        }\n"
            "        location /static/ {\n            root /srv/static;\n"
            "            sendfile on;\n            # a comment as people write them\n        }\n"
            "        location ~ \\.php$ {\n            next error timeout;\n        }\n    }\n",
            i, i, i, i);
    }
    wr_strbuf_add_z(&b, "}\n");
    assert_int_equal(b.status, WR_OK);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &from), 0);
    {
        const struct wr_conf_text file = {.path = "/c/x.conf", .text = b.ptr, .len = b.len};
        const struct wr_conf_texts texts = {&file, 1};

        toy_open(&t, &texts);
        t.opts.arena_cap = 512 << 20;
        toy_load(&t, WR_DIAG_PLAIN);
    }
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &to), 0);
    ms = (uint64_t)(to.tv_sec - from.tv_sec) * 1000 + (uint64_t)(to.tv_nsec / 1000000) -
         (uint64_t)(from.tv_nsec / 1000000);
    print_message("%zu bytes, %llu ms, %zu KiB of arena\n", b.len, (unsigned long long)ms,
                  t.gen != NULL ? t.gen->arena.used / 1024 : 0);
    assert_int_equal(t.status, WR_OK);
    m = wr_scope_get(t.gen->root, &toy_core, WR_KIND_MAIN);
    assert_int_equal(m->servers, 10000);
    assert_true(ms <
                20000); /* a square would take minutes, also with sanitizers on a busy machine */
    toy_close(&t);
    wr_strbuf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sharing),
                                       cmocka_unit_test(test_hook_errors),
                                       cmocka_unit_test(test_large)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
