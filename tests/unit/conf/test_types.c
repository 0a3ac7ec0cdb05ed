/* SPDX-License-Identifier: Apache-2.0 */
/* test_types.c: what the typed setters store; their errors are in test_dirs.c. */
#include "conf/types.h"

#include "toy.h"

#include "t.h"

/* Loads "http { CONF }" and gives the LOC struct of http; NULL when the load failed. */
static const struct toy_loc *load(struct toy *t, const char *conf)
{
    static char text[4096];
    static struct wr_conf_text file;
    static struct wr_conf_texts texts;
    struct wr_strbuf b;

    wr_strbuf_init_fixed(&b, text, sizeof(text));
    wr_strbuf_printf(&b, "http { %s }", conf);
    (void)wr_strbuf_cstr(&b);
    file = (struct wr_conf_text){.path = "/c/x.conf", .text = text};
    texts = (struct wr_conf_texts){&file, 1};
    toy_open(t, &texts);
    toy_load(t, WR_DIAG_PLAIN);
    return t->gen == NULL ? NULL : wr_scope_get(t->gen->root->first, &toy_module, WR_KIND_LOC);
}

static void test_numbers(void **state)
{
    static const struct {
        const char *conf;
        size_t offset;
        uint64_t value;
    } cases[] = {

#define F(f) offsetof(struct toy_loc, f)
        {"",                                        F(timeout_ms), 60000     },
        {"proxy_read_timeout 5;",                   F(timeout_ms), 5000      },
        {"proxy_read_timeout 500ms;",               F(timeout_ms), 500       },
        {"proxy_read_timeout 1h30m;",               F(timeout_ms), 5400000   },
        {"proxy_read_timeout \"1d 2s\";",           F(timeout_ms), 86402000  },
        {"proxy_read_timeout 0;",                   F(timeout_ms), 0         },
        {"",                                        F(expire_sec), 3600      },
        {"cache_time 1w;",                          F(expire_sec), 604800    },
        {"cache_time 30d;",                         F(expire_sec), 2592000   },
        {"cache_time 2y;",                          F(expire_sec), 63072000  },
        {"",                                        F(max_body),   1 << 20   },
        {"client_max_body_size 2g;",                F(max_body),   2ull << 30},
        {"client_max_body_size 10K;",               F(max_body),   10240     },
        {"client_max_body_size 0;",                 F(max_body),   0         },
        {"",                                        F(temp_max),   77        },
        {"temp_max 3m;",                            F(temp_max),   3 << 20   },
        {"temp_max off;",                           F(temp_max),   77        },
        {"keepalive_requests 0;",                   F(requests),   0         },
        {"keepalive_requests 9223372036854775807;", F(requests),   INT64_MAX },
#undef F
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct toy t;
        const struct toy_loc *l = load(&t, cases[i].conf);
        uint64_t v;

        assert_non_null(l);
        memcpy(&v, (const char *)l + cases[i].offset, sizeof(v));
        if (v != cases[i].value) {
            fail_msg("%s: got %llu", cases[i].conf, (unsigned long long)v);
        }
        toy_close(&t);
    }
}

static void test_words(void **state)
{
    struct toy t;
    const struct toy_loc *l = load(&t, "sendfile ON; comp_level 9; method PUT; next off Timeout;");

    (void)state;
    assert_non_null(l);
    assert_true(l->sendfile);
    assert_int_equal(l->level, 9);
    assert_int_equal(l->method, 2);
    assert_int_equal(l->mask, 6);
    toy_close(&t);
    l = load(&t, "next error; next timeout;");
    assert_non_null(l);
    assert_int_equal(l->mask, 3);
    assert_int_equal(t.diags.warn_cnt, 0);
    toy_close(&t);
    l = load(&t, "least 4294967295;");
    assert_non_null(l);
    assert_int_equal(l->small, UINT32_MAX);
    toy_close(&t);
    l = load(&t, "least 4294967296;");
    assert_null(l);
    assert_text(wr_strbuf_str(&t.out),
                "weir: [emerg] \"least\" directive invalid number in /c/x.conf:1\n");
    toy_close(&t);
}

static void test_texts(void **state)
{
    struct toy t;
    const struct toy_loc *l = load(&t, "root a/b; store keys; label off; realm \"Name $host\";");

    (void)state;
    assert_non_null(l);
    assert_text(l->root, "/p/a/b");
    assert_text(l->store, "/c/keys");
    assert_null(l->label.ptr);
    assert_int_equal(l->realm->part_cnt, 2);
    toy_close(&t);
    l = load(&t, "root /abs; store off; label off2; realm off; pass http://up;");
    assert_non_null(l);
    assert_text(l->root, "/abs");
    assert_null(l->store.ptr);
    assert_text(l->label, "off2");
    assert_null(l->realm);
    assert_true(wr_template_is_const(l->pass));
    assert_text(l->pass->source, "http://up");
    toy_close(&t);
}

static void test_lists(void **state)
{
    struct toy t;
    const struct toy_loc *l = load(&t, "items a $uri; items b c d e f; proxy_set_header X \"\";"
                                       "proxy_set_header Y $host; proxy_buffers 2 8k;"
                                       "allow 10.0.0.0/8 all; allow ::1;");

    (void)state;
    assert_non_null(l);
    assert_int_equal(l->items.cnt, 7);
    assert_text(l->items.at[6].source, "f");
    assert_int_equal(l->items.at[1].part_cnt, 1);
    assert_int_equal(l->headers.cnt, 2);
    assert_int_equal(l->headers.at[0].value.source.len, 0);
    assert_int_equal(l->headers.at[1].value.parts[0].index, 1);
    assert_int_equal(l->headers.at[1].node->line, 1);
    assert_int_equal(l->buffers.num, 2);
    assert_int_equal(l->buffers.size, 8192);
    assert_int_equal(l->allow.cnt, 3);
    assert_int_equal(l->allow.at[2].family, AF_INET6);
    toy_close(&t);
}

static void test_addr(void **state)
{
    static const struct {
        const char *conf, *text;
    } cases[] = {
        {"bind 1.2.3.4;",    "1.2.3.4:0" },
        {"bind 1.2.3.4:80;", "1.2.3.4:80"},
        {"bind [::1]:443;",  "[::1]:443" },
        {"bind unix:/a/b;",  "unix:/a/b" },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct toy t;
        const struct toy_loc *l = load(&t, cases[i].conf);
        char out[WR_ADDR_TEXT_MAX];

        assert_non_null(l);
        assert_text(wr_str(out, wr_addr_write(&l->bind, out)), cases[i].text);
        toy_close(&t);
    }
}

/* The parsers for custom set functions. */
static void test_args(void **state)
{
    struct wr_arg args[] = {{.text = WR_STR("max_fails=3")},
                            {.text = WR_STR("fail_timeout=1m")},
                            {.text = WR_STR("4k")},
                            {.text = WR_STR("=x")},
                            {.text = WR_STR("90")}};
    struct wr_node n = {.name = WR_STR("server"), .args = args, .arg_cnt = 5};
    struct wr_arena a;
    struct wr_diags d;
    struct wr_registry r = {.modules = NULL};
    struct wr_conf cf = {.registry = &r, .arena = &a, .diags = &d};
    struct wr_str v;
    struct wr_template tpl;
    uint64_t num;

    (void)state;
    wr_arena_init(&a, 1 << 20);
    wr_diags_init(&d, &a);
    assert_true(wr_arg_has_key(&n, 0, "max_fails", &v));
    assert_int_equal(wr_arg_part_num(&cf, &n, 0, v, &num), WR_OK);
    assert_int_equal(num, 3);
    assert_false(wr_arg_has_key(&n, 0, "max", &v));
    assert_false(wr_arg_has_key(&n, 2, "4k", &v));
    assert_true(wr_arg_has_key(&n, 3, "", &v));
    assert_false(wr_arg_has_key(&n, 9, "x", &v));
    assert_true(wr_arg_has_key(&n, 1, "fail_timeout", &v));
    assert_int_equal(wr_arg_part_sec(&cf, &n, 1, v, &num), WR_OK);
    assert_int_equal(num, 60);
    assert_int_equal(wr_arg_part_msec(&cf, &n, 1, v, &num), WR_OK);
    assert_int_equal(num, 60000);
    assert_int_equal(wr_arg_part_size(&cf, &n, 1, WR_STR("8k"), &num), WR_OK);
    assert_int_equal(num, 8192);
    assert_int_equal(wr_arg_size(&cf, &n, 2, NULL, &num), WR_OK);
    assert_int_equal(num, 4096);
    assert_int_equal(wr_arg_num(&cf, &n, 4, NULL, &num), WR_OK);
    assert_int_equal(num, 90);
    assert_int_equal(wr_arg_msec(&cf, &n, 4, NULL, &num), WR_OK);
    assert_int_equal(num, 90000);
    assert_int_equal(wr_arg_sec(&cf, &n, 4, NULL, &num), WR_OK);
    assert_int_equal(num, 90);
    assert_int_equal(wr_arg_template(&cf, &n, 4, WR_STR("a$1"), &tpl), WR_OK);
    assert_int_equal(tpl.capture_max, 1);
    assert_int_equal(d.cnt, 0);
    assert_int_equal(wr_arg_num(&cf, &n, 2, NULL, &num), WR_ECONFIG);
    assert_text(d.head->message, "\"server\" directive invalid number");
    assert_int_equal(wr_arg_part_num(&cf, &n, 1, WR_STR("x"), &num), WR_ECONFIG);
    assert_text(d.head->next->message, "invalid parameter \"fail_timeout=1m\"");
    wr_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_words), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_lists),   cmocka_unit_test(test_addr),  cmocka_unit_test(test_args),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
