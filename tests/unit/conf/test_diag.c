/* SPDX-License-Identifier: Apache-2.0 */
/* test_diag.c: order, styles, excerpts, escaping, and a list without memory. */
#include "conf/diag.h"

#include "t.h"

static struct wr_conf_file file = {.path = WR_STR_INIT("/c/x.conf"),
                                   .bytes = WR_STR_INIT("one;\n\ttwo \xc3\xa4 bad;\r\nlast")};

static void check(const struct wr_diag *e, enum wr_diag_style style, const char *want)
{
    struct wr_strbuf b;

    wr_strbuf_init(&b, 1 << 20);
    wr_diag_write(e, style, &b);
    assert_text(wr_strbuf_str(&b), want);
    wr_strbuf_fini(&b);
}

static void test_styles(void **state)
{
    struct wr_diag e = {.level = WR_LOG_EMERG, .message = WR_STR("text"), .hint = WR_STR("do it")};

    (void)state;
    check(&e, WR_DIAG_PLAIN, "weir: [emerg] text\n");
    check(&e, WR_DIAG_TERMINAL, "weir: [emerg] text\n       = do it\n");
    e.pos = (struct wr_pos){.file = &file, .line = 2, .column = 9, .span = 3};
    e.level = WR_LOG_WARN;
    check(&e, WR_DIAG_PLAIN, "weir: [warn] text in /c/x.conf:2\n");
    check(&e, WR_DIAG_TERMINAL,
          "weir: [warn] text in /c/x.conf:2\n"
          "     2 |  two \xc3\xa4 bad;\n"
          "       |        ^~~\n"
          "       = do it\n");
    e.hint = WR_STR_NULL;
    e.pos = (struct wr_pos){.file = &file, .line = 3, .column = 0};
    check(&e, WR_DIAG_TERMINAL, "weir: [warn] text in /c/x.conf:3\n     3 | last\n");
    e.pos.line = 9;
    check(&e, WR_DIAG_TERMINAL, "weir: [warn] text in /c/x.conf:9\n");
    e.pos.file = &(struct wr_conf_file){.path = WR_STR("command line"), .is_cmdline = true};
    check(&e, WR_DIAG_PLAIN, "weir: [warn] text in command line\n");
}

static void test_escape(void **state)
{
    struct wr_diag e = {.level = WR_LOG_EMERG, .message = WR_STR("a\x1b[31m\n\x7f\xc3\xa4")};

    (void)state;
    check(&e, WR_DIAG_PLAIN, "weir: [emerg] a\\x1B[31m\\x0A\\x7F\xc3\xa4\n");
}

/* A line of many KiB is shown around the place. */
static void test_long_line(void **state)
{
    static char text[10000];
    struct wr_conf_file f = {.path = WR_STR("f"), .bytes = wr_str(text, sizeof(text))};
    struct wr_diag e = {
        .level = WR_LOG_EMERG,
        .message = WR_STR("m"),
        .pos = {.file = &f, .line = 1, .column = 5001, .span = 100000}
    };
    struct wr_strbuf b;

    (void)state;
    memset(text, 'a', sizeof(text));
    text[5000] = 'X';
    wr_strbuf_init(&b, 1 << 20);
    wr_diag_write(&e, WR_DIAG_TERMINAL, &b);
    assert_true(b.len < 500);
    assert_true(wr_str_find(wr_strbuf_str(&b), 'X') < b.len);
    /* the caret stands under the X */
    assert_int_equal(wr_str_find(wr_strbuf_str(&b), '^') % (9 + 160 + 1),
                     (wr_str_find(wr_strbuf_str(&b), 'X')) % (9 + 160 + 1));
    wr_strbuf_fini(&b);
}

static void test_order(void **state)
{
    struct wr_arena a;
    struct wr_diags d;
    struct wr_strbuf b;
    const struct wr_pos p1 = {.file = &file, .line = 1, .seq = 2},
                        p2 = {.file = &file, .line = 2, .seq = 4};

    (void)state;
    wr_arena_init(&a, 1 << 20);
    wr_diags_init(&d, &a);
    wr_strbuf_init(&b, 1 << 20);
    wr_diag_add(&d, WR_LOG_EMERG, NULL, WR_STR_NULL, "none");
    wr_diag_add(&d, WR_LOG_EMERG, &p2, WR_STR_NULL, "b%d", 1);
    wr_diag_add(&d, WR_LOG_WARN, &p1, WR_STR_NULL, "a");
    wr_diag_add(&d, WR_LOG_EMERG, &p2, WR_STR_NULL, "b%d", 2);
    assert_int_equal(d.cnt, 4);
    assert_int_equal(d.emerg_cnt, 3);
    assert_int_equal(d.warn_cnt, 1);
    wr_diags_sort(&d);
    wr_diag_add(&d, WR_LOG_NOTICE, NULL, WR_STR_NULL, "end");
    wr_diags_write(&d, WR_DIAG_PLAIN, &b);
    assert_text(wr_strbuf_str(&b),
                "weir: [warn] a in /c/x.conf:1\nweir: [emerg] b1 in /c/x.conf:2\n"
                "weir: [emerg] b2 in /c/x.conf:2\nweir: [emerg] none\n"
                "weir: [notice] end\n");
    wr_strbuf_reset(&b);
    wr_diags_detach(&d);
    wr_diags_write(&d, WR_DIAG_TERMINAL, &b);
    assert_true(
        wr_str_has_prefix(wr_strbuf_str(&b), WR_STR("weir: [warn] a in /c/x.conf:1\nweir:")));
    wr_strbuf_fini(&b);
    wr_arena_fini(&a);
}

static void test_no_memory(void **state)
{
    static char big[20000];
    struct wr_arena a;
    struct wr_diags d;

    (void)state;
    wr_arena_init(&a, 0);
    wr_diags_init(&d, &a);
    wr_diag_add(&d, WR_LOG_EMERG, NULL, WR_STR("hint"), "x");
    assert_null(d.head);
    assert_int_equal(d.emerg_cnt, 1);
    assert_int_equal(d.dropped_cnt, 1);
    wr_arena_fini(&a);
    /* a message that is too long for one line */
    memset(big, 'x', sizeof(big) - 1);
    wr_arena_init(&a, 1 << 20);
    wr_diags_init(&d, &a);
    wr_diag_add(&d, WR_LOG_EMERG, NULL, WR_STR_NULL, "unknown directive \"%s\"", big);
    assert_non_null(d.head);
    assert_true(d.head->message.len > 0 && d.head->message.len < sizeof(big));
    wr_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_styles),    cmocka_unit_test(test_escape),
        cmocka_unit_test(test_long_line), cmocka_unit_test(test_order),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
