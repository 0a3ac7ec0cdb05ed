/* SPDX-License-Identifier: Apache-2.0 */
/* test_var.c: registry, numbering, values and texts, on a request made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/var.c"

#include "base/mem.h"

static int calls;

static enum wr_status get_const(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    (void)r, (void)rest;
    calls++;
    *ret = wr_str_z((const char *)v->data);
    return WR_OK;
}

static enum wr_status get_rest(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    (void)r, (void)v;
    *ret = rest;
    return WR_OK;
}

static enum wr_status get_absent(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                 struct wr_str *ret)
{
    (void)r, (void)v, (void)rest, (void)ret;
    calls++;
    return WR_EOF;
}

static enum wr_status get_nomem(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    (void)r, (void)v, (void)rest, (void)ret;
    return WR_ENOMEM;
}

/* Asks for variable number v->data. */
static enum wr_status get_other(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    bool is_set;

    (void)rest;
    calls++;
    return wr_var_value(r, (uint32_t)v->data, ret, &is_set);
}

static const struct wr_var table[] = {
    {"v_self",   get_other,  0,                 0                             }, /* number 0 in every test */
    {"v_a",      get_const,  (uintptr_t) "A",   0                             },
    {"v_nc",     get_const,  (uintptr_t) "N",   WR_VAR_NOCACHE                },
    {"v_late",   get_const,  (uintptr_t) "L",   WR_VAR_LATE                   },
    {"v_none",   get_absent, 0,                 0                             },
    {"v_nomem",  get_nomem,  0,                 0                             },
    {"v_change", get_const,  (uintptr_t) "C",   WR_VAR_CHANGEABLE             },
    {"v_pre_",   get_rest,   0,                 WR_VAR_PREFIX                 },
    {"v_",       get_const,  (uintptr_t) "any", WR_VAR_PREFIX | WR_VAR_NOCACHE},
};

struct fixture {
    struct wr_arena a, conf;
    struct wr_vars *vars;
    struct wr_http http;
    struct wr_req r;
    struct wr_log_sink sink;
};

static struct fixture f;

static int set_up(void **state)
{
    uint32_t no;

    (void)state;
    calls = 0;
    wr_arena_init(&f.a, 1 << 20);
    wr_arena_init(&f.conf, 4 << 20);
    f.vars = wr_vars_new(&f.conf);
    f.http = (struct wr_http){.vars = f.vars};
    f.sink = (struct wr_log_sink){.fd = -1, .level = WR_LOG_EMERG}; /* quiet */
    f.r = (struct wr_req){.arena = &f.a, .http = &f.http, .log = {.sinks = &f.sink}};
    assert_int_equal(wr_vars_use(f.vars, WR_STR("v_self"), NULL, &no), WR_OK);
    assert_int_equal(no, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wr_mem_fault_set(0);
    wr_arena_fini(&f.a);
    wr_arena_fini(&f.conf);
    return 0;
}

static uint32_t use(const char *name)
{
    uint32_t no = UINT32_MAX;

    assert_int_equal(wr_vars_use(f.vars, wr_str_z(name), NULL, &no), WR_OK);
    f.r.vars = NULL; /* a request lives with a complete numbering only */
    return no;
}

static void check_value(uint32_t no, const char *text, bool is_set)
{
    struct wr_str s = WR_STR("?");
    bool set = !is_set;

    assert_int_equal(wr_var_value(&f.r, no, &s, &set), WR_OK);
    assert_int_equal(set, is_set);
    assert_true(wr_str_eq_z(s, text));
}

static void registry_refuses_a_name_twice(void **state)
{
    static const struct wr_var again[] = {
        {"v_new", get_const, 0, 0},
        {"v_a",   get_const, 0, 0}
    };
    static const struct wr_var prefix[] = {
        {"v_pre_", get_rest, 0, WR_VAR_PREFIX}
    };
    const char *name = NULL;

    (void)state;
    assert_int_equal(wr_vars_register(table, WR_ARRAY_LEN(table), &name),
                     WR_OK); /* the same rows */
    assert_int_equal(wr_vars_register(again, 2, &name), WR_ECONFIG);
    assert_string_equal(name, "v_a");
    assert_int_equal(wr_vars_register(prefix, 1, &name), WR_ECONFIG);
    assert_string_equal(name, "v_pre_");
    assert_int_equal(wr_vars_register(NULL, 0, &name), WR_OK);
}

static void names_get_numbers(void **state)
{
    uint32_t a, b, no;
    char longest[NAME_MAX_LEN + 2];

    (void)state;
    a = use("v_a");
    b = use("V_A"); /* without case, as in nginx */
    assert_int_equal(a, b);
    assert_int_not_equal(use("v_nc"), a);
    assert_int_equal(wr_vars_count(f.vars), 3);
    assert_int_equal(wr_vars_use(f.vars, WR_STR(""), NULL, &no), WR_ECONFIG);
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(wr_vars_use(f.vars, wr_str(longest, NAME_MAX_LEN + 1), NULL, &no), WR_ECONFIG);
    assert_int_equal(wr_vars_use(f.vars, wr_str(longest, NAME_MAX_LEN), NULL, &no), WR_OK);
}

static void prefixes_take_the_longest(void **state)
{
    (void)state;
    check_value(use("v_pre_X_y"), "x_y", true);
    check_value(use("v_pre_"), "", true);
    check_value(use("v_pre"), "any", true);
    check_value(use("v_a"), "A", true); /* an exact name wins */
}

static void undefined_names_are_told(void **state)
{
    struct wr_diags d;
    struct wr_strbuf b;
    uint32_t no, early;
    char text[512];

    (void)state;
    wr_diags_init(&d, &f.conf);
    early = use("later");
    (void)use("never");
    assert_int_equal(wr_vars_number(f.vars, WR_STR("later"), &no), WR_OK);
    assert_int_equal(no, early);
    assert_int_equal(wr_vars_check(f.vars, &d), WR_ECONFIG);
    wr_strbuf_init_fixed(&b, text, sizeof(text));
    wr_diags_write(&d, WR_DIAG_PLAIN, &b);
    assert_true(wr_str_eq_z(wr_strbuf_str(&b), "weir: [emerg] unknown \"never\" variable\n"));
    check_value(early, "", false);
    assert_int_equal(wr_vars_number(f.vars, WR_STR("never"), &no), WR_OK);
    assert_int_equal(wr_vars_check(f.vars, &d), WR_OK);
}

static void rows_cannot_be_defined(void **state)
{
    uint32_t no = 77, used = use("v_pre_x");

    (void)state;
    assert_int_equal(wr_vars_number(f.vars, WR_STR("V_A"), &no), WR_ECONFIG);
    assert_int_equal(no, 77);
    /* Under a prefix they can, as in nginx. */
    assert_int_equal(wr_vars_number(f.vars, WR_STR("v_pre_x"), &no), WR_OK);
    assert_int_equal(no, used);
    check_value(no, "", false);
}

static void the_configuration_defines(void **state)
{
    static const struct wr_var one = {"own", get_const, (uintptr_t) "1", 0};
    static const struct wr_var two = {"own", get_const, (uintptr_t) "2", 0};
    static const struct wr_var weak = {"own", get_const, (uintptr_t) "w", WR_VAR_WEAK};
    uint32_t own = UINT32_MAX, no = UINT32_MAX;

    (void)state;
    assert_int_equal(wr_vars_define(f.vars, &one, WR_STR("v_a"), &no), WR_ECONFIG);
    assert_int_equal(no, UINT32_MAX);
    /* What is weak holds until something else is defined, and hides a prefix. */
    assert_int_equal(wr_vars_define(f.vars, &weak, WR_STR("Own"), &own), WR_OK);
    check_value(own, "w", true);
    f.r.vars = NULL;
    assert_int_equal(wr_vars_define(f.vars, &one, WR_STR("own"), &no), WR_OK);
    assert_int_equal(no, own);
    assert_int_equal(wr_vars_define(f.vars, &weak, WR_STR("own"), &no), WR_OK);
    check_value(own, "1", true);
    f.r.vars = NULL;
    /* The later one holds. */
    assert_int_equal(wr_vars_define(f.vars, &two, WR_STR("own"), &no), WR_OK);
    check_value(own, "2", true);
    f.r.vars = NULL;
    /* A capture of that name is set over it. */
    assert_int_equal(wr_vars_number(f.vars, WR_STR("own"), &no), WR_OK);
    check_value(own, "2", true);
    assert_int_equal(wr_var_set(&f.r, own, WR_STR("set")), WR_OK);
    check_value(own, "set", true);
    f.r.vars = NULL;
    assert_int_equal(wr_vars_define(f.vars, &weak, WR_STR("v_pre_z"), &no), WR_OK);
    check_value(no, "w", true);
    f.r.vars = NULL;
    assert_int_equal(wr_vars_define(f.vars, &one, WR_STR("v_pre_z"), &no), WR_OK);
    check_value(no, "1", true);
    f.r.vars = NULL;
    assert_int_equal(wr_vars_define(f.vars, &one, WR_STR("v_change"), &no), WR_OK);
    check_value(no, "1", true);
    assert_int_equal(wr_vars_check(f.vars, NULL), WR_OK);
}

static void there_is_a_limit(void **state)
{
    char name[32];
    uint32_t no, i;

    (void)state;
    for (i = wr_vars_count(f.vars); i < WR_VARS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "n%u", (unsigned)i);
        assert_int_equal(wr_vars_number(f.vars, wr_str_z(name), &no), WR_OK);
    }
    assert_int_equal(wr_vars_number(f.vars, WR_STR("one_more"), &no), WR_ECONFIG);
    assert_int_equal(wr_vars_number(f.vars, WR_STR("n77"), &no), WR_OK);
}

static void values_are_kept(void **state)
{
    uint32_t a = use("v_a"), nc = use("v_nc"), late = use("v_late"), none = use("v_none");

    (void)state;
    check_value(a, "A", true);
    check_value(a, "A", true);
    assert_int_equal(calls, 1);
    check_value(nc, "N", true);
    check_value(nc, "N", true);
    assert_int_equal(calls, 3);
    check_value(late, "L", true);
    check_value(late, "L", true);
    assert_int_equal(calls, 5);
    check_value(none, "", false);
    check_value(none, "", false);
    assert_int_equal(calls, 6);
}

static void values_can_be_set(void **state)
{
    uint32_t a = use("v_a"), own = UINT32_MAX;

    (void)state;
    assert_int_equal(wr_vars_number(f.vars, WR_STR("own"), &own), WR_OK);
    check_value(own, "", false);
    assert_int_equal(wr_var_set(&f.r, own, WR_STR("set")), WR_OK);
    check_value(own, "set", true);
    assert_int_equal(wr_var_set(&f.r, a, WR_STR("over")), WR_OK);
    check_value(a, "over", true);
    assert_int_equal(calls, 0);
}

static void a_value_that_needs_itself_is_empty(void **state)
{
    (void)state;
    check_value(0, "", true); /* v_self asks for number 0, itself */
    assert_int_equal(calls, 1);
    check_value(0, "", true);
}

static void nesting_is_bounded(void **state)
{
    static struct wr_var chain[WR_VAR_DEPTH_MAX + 10];
    static char names[WR_ARRAY_LEN(chain)][16];
    const char *err;
    uint32_t no = 0;
    struct wr_str s;
    bool is_set;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(chain); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "w_chain%u", (unsigned)i);
        chain[i] = (struct wr_var){names[i], get_other, i + 2,
                                   0}; /* number 0 is v_self, chain[i] is i + 1 */
    }
    assert_int_equal(wr_vars_register(chain, WR_ARRAY_LEN(chain), &err), WR_OK);
    for (size_t i = 0; i < WR_ARRAY_LEN(chain); i++) {
        no = use(names[i]);
        assert_int_equal(no, i + 1);
    }
    (void)use("v_a"); /* what the last one asks for */
    assert_int_equal(wr_var_value(&f.r, 1, &s, &is_set), WR_OK);
    assert_int_equal(calls, WR_VAR_DEPTH_MAX);
    assert_int_equal(s.len, 0);
}

static enum wr_status look_up(const struct wr_template_env *env, struct wr_str name,
                              const struct wr_pos *pos, uint32_t *ret_index)
{
    return wr_vars_use(env->data, name, pos, ret_index);
}

static struct wr_template compile(const char *text)
{
    struct wr_template_env env = {look_up, f.vars};
    struct wr_template t = {.part_cnt = 0};
    struct wr_str err;

    assert_int_equal(wr_template_compile(&f.conf, &env, wr_str_z(text), NULL, &t, &err), WR_OK);
    return t;
}

static void texts(void **state)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"",                     ""           },
        {"plain",                "plain"      },
        {"$v_a",                 "A"          },
        {"<$v_a>",               "<A>"        },
        {"${v_a}b$v_nc-$v_none", "AbN-"       },
        {"$1",                   "one"        },
        {"[$1|$2|$3|$9]",        "[one|two||]"},
        {"$v_pre_q$v_pre_q",     "qq"         },
    };
    struct wr_template t[WR_ARRAY_LEN(cases)];
    struct wr_str s;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        t[i] = compile(cases[i].text);
    }
    f.r.captures[0] = WR_STR("all");
    f.r.captures[1] = WR_STR("one");
    f.r.captures[2] = WR_STR("two");
    f.r.captures[3] = WR_STR("stale");
    f.r.captures_cnt = 3;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        assert_int_equal(wr_template_eval(&f.r, &t[i], &s), WR_OK);
        assert_true(wr_str_eq_z(s, cases[i].value));
    }
}

/* D14: one pass, a bound. */
static void texts_are_bounded(void **state)
{
    static char big[WR_VAR_TEXT_MAX];
    struct wr_template one = compile("$big"), fits = compile("$big."), over = compile("$big..");
    uint32_t no;
    struct wr_str s = WR_STR_NULL;
    struct wr_strbuf b;
    char room[8];

    (void)state;
    memset(big, 'b', sizeof(big));
    assert_int_equal(wr_vars_number(f.vars, WR_STR("big"), &no), WR_OK);
    assert_int_equal(wr_var_set(&f.r, no, wr_str(big, sizeof(big) - 1)), WR_OK);
    assert_int_equal(wr_template_eval(&f.r, &one, &s), WR_OK);
    assert_ptr_equal(s.ptr, big); /* not copied */
    assert_int_equal(wr_template_eval(&f.r, &fits, &s), WR_OK);
    assert_int_equal(s.len, WR_VAR_TEXT_MAX);
    assert_int_equal(wr_template_eval(&f.r, &over, &s), WR_ELIMIT);
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    assert_int_equal(wr_template_append(&f.r, &one, &b), WR_ELIMIT);
    assert_int_equal(b.len, 0);
}

static void memory_may_fail(void **state)
{
    struct wr_template t = compile("<$v_nomem>"), u = compile("<$v_a>");
    struct wr_str s;

    (void)state;
    assert_int_equal(wr_template_eval(&f.r, &t, &s), WR_ENOMEM);
    for (uint64_t n = 1; n < 20; n++) {
        enum wr_status st;

        f.r.vars = NULL;
        wr_mem_fault_set(n);
        st = wr_template_eval(&f.r, &u, &s);
        wr_mem_fault_set(0);
        if (st == WR_OK) {
            assert_true(n > 1);
            assert_true(wr_str_eq_z(s, "<A>"));
            return;
        }
        assert_int_equal(st, WR_ENOMEM);
    }
    fail_msg("never succeeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(registry_refuses_a_name_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_get_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prefixes_take_the_longest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(undefined_names_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_cannot_be_defined, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_configuration_defines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_is_a_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_can_be_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_value_that_needs_itself_is_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nesting_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_may_fail, set_up, tear_down),
    };
    const char *err = NULL;

    if (wr_vars_register(table, WR_ARRAY_LEN(table), &err) != WR_OK) {
        return 1;
    }
    return cmocka_run_group_tests_name("http/var", tests, NULL, NULL);
}
