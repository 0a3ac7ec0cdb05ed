/* SPDX-License-Identifier: Apache-2.0 */
/* test_template.c: parts, captures, errors, limits and memory. */
#include "conf/template.h"

#include "base/strbuf.h"

#include "t.h"

static enum wr_status lookup(const struct wr_template_env *env, struct wr_str name,
                             const struct wr_pos *pos, uint32_t *ret_index)
{
    (void)pos;
    ++*(unsigned *)env->data;
    if (wr_str_eq(name, WR_STR("nope"))) {
        return WR_ECONFIG;
    }
    if (wr_str_eq(name, WR_STR("full"))) {
        return WR_ENOMEM;
    }
    *ret_index = (uint32_t)name.len;
    return WR_OK;
}

/* Parts are written as 'text', <name:index>, and $n. */
static const struct {
    const char *in, *out;
    unsigned flags;
} cases[] = {
    {"",               "const",                                              0                      },
    {"plain",          "const",                                              0                      },
    {"$host",          "<host:4>",                                           0                      },
    {"${host}",        "<host:4>",                                           0                      },
    {"http://$host/a", "'http://'<host:4>'/a'",                              0                      },
    {"${a}b$c-$d_e.",  "<a:1>'b'<c:1>'-'<d_e:3>'.'",                         0                      },
    {"$a$b",           "<a:1><b:1>",                                         0                      },
    {"$1x$12",         "$1'x'$1'2'",                                         0                      },
    {"$0",             "<0:1>",                                              0                      },
    {"$A_9",           "<A_9:3>",                                            0                      },
    {"a{b}",           "const",                                              0                      },
    {"$a{b}",          "<a:1>'{b}'",                                         0                      },
    {"$a}",            "<a:1>'}'",                                           0                      },
    {"x$",             "const",                                              WR_TEMPLATE_TAIL_DOLLAR},
    {"$a$",            "<a:1>'$'",                                           WR_TEMPLATE_TAIL_DOLLAR},
    {"$",              "! invalid variable name",                            0                      },
    {"a$",             "! invalid variable name",                            0                      },
    {"$-",             "! invalid variable name",                            0                      },
    {"$$",             "! invalid variable name",                            0                      },
    {"${}",            "! invalid variable name",                            0                      },
    {"${",             "! invalid variable name",                            0                      },
    {"${-}",           "! invalid variable name",                            0                      },
    {"${b",            "! the closing bracket in \"b\" variable is missing", 0                      },
    {"${a-b}",         "! the closing bracket in \"a\" variable is missing", 0                      },
    {"x$nope",         "! unknown \"nope\" variable",                        0                      },
    {"${nope}",        "! unknown \"nope\" variable",                        0                      },
    {"$1",             "! unknown \"1\" variable",                           WR_TEMPLATE_NO_CAPTURES},
};

static void show(const struct wr_template *t, struct wr_strbuf *b)
{
    if (wr_template_is_const(t)) {
        wr_strbuf_add_z(b, "const");
    }
    for (uint32_t i = 0; i < t->part_cnt; i++) {
        const struct wr_part *p = &t->parts[i];

        switch (p->kind) {
        case WR_PART_TEXT:
            wr_strbuf_printf(b, "'%.*s'", WR_STR_ARG(p->text));
            break;
        case WR_PART_VAR:
            wr_strbuf_printf(b, "<%.*s:%u>", WR_STR_ARG(p->text), p->index);
            break;
        case WR_PART_CAPTURE:
            assert_true(p->index <= t->capture_max);
            wr_strbuf_printf(b, "$%u", p->index);
            break;
        }
    }
}

static void test_cases(void **state)
{
    unsigned calls = 0;
    const struct wr_template_env env = {lookup, &calls};

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const struct wr_template_opts o = {.env = &env, .flags = cases[i].flags};
        struct wr_arena a;
        struct wr_template t;
        struct wr_str err;
        struct wr_strbuf b;
        char room[256];

        wr_arena_init(&a, 1 << 20);
        wr_strbuf_init_fixed(&b, room, sizeof(room));
        if (wr_template_compile_opts(&a, &o, wr_str_z(cases[i].in), &t, &err) == WR_OK) {
            show(&t, &b);
            assert_text(t.source, cases[i].in);
        } else {
            wr_strbuf_printf(&b, "! %.*s", WR_STR_ARG(err));
        }
        assert_text(wr_strbuf_str(&b), cases[i].out);
        assert_int_equal(wr_template_has_vars(wr_str_z(cases[i].in)),
                         strchr(cases[i].in, '$') != NULL);
        wr_arena_fini(&a);
    }
    assert_true(calls > 10);
}

static void test_limits(void **state)
{
    static char many[4 * WR_TEMPLATE_PARTS_MAX];
    unsigned calls = 0;
    const struct wr_template_env env = {lookup, &calls};
    struct wr_arena a;
    struct wr_template t;
    struct wr_str err = WR_STR_NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(many); i++) {
        many[i] = "$a-"[i % 3];
    }
    wr_arena_init(&a, 1 << 20);
    assert_int_equal(
        wr_template_compile(&a, &env, wr_str(many, WR_TEMPLATE_PARTS_MAX / 2 * 3), NULL, &t, &err),
        WR_OK);
    assert_int_equal(t.part_cnt, WR_TEMPLATE_PARTS_MAX);
    assert_int_equal(wr_template_compile(&a, &env, wr_str(many, WR_TEMPLATE_PARTS_MAX / 2 * 3 + 2),
                                         NULL, &t, &err),
                     WR_ECONFIG);
    assert_text(err, "too many variables");
    assert_int_equal(wr_template_compile(&a, NULL, WR_STR("$a"), NULL, &t, &err), WR_ECONFIG);
    assert_text(err, "unknown \"a\" variable");
    assert_int_equal(wr_template_compile(&a, &env, WR_STR("$full"), NULL, &t, &err), WR_ENOMEM);
    wr_arena_fini(&a);
    wr_arena_init(&a, 0);
    assert_int_equal(wr_template_compile(&a, &env, WR_STR("a"), NULL, &t, &err), WR_ENOMEM);
    wr_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
