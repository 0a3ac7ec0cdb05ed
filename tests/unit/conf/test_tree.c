/* SPDX-License-Identifier: Apache-2.0 */
/* test_tree.c: nodes, includes with globs, cycles and limits, the printers. */
#include "conf/tree.h"

#include <errno.h>

#include "base/mem.h"
#include "base/strbuf.h"

#include "t.h"

struct world {
    struct wr_arena arena, diag_arena;
    struct wr_diags diags;
    struct wr_conf_source source;
    struct wr_tree tree;
    struct wr_strbuf out;
};

static enum wr_status parse(struct world *w, const struct wr_conf_texts *texts, size_t cap)
{
    enum wr_status st;

    wr_arena_init(&w->arena, cap);
    wr_arena_init(&w->diag_arena, 1 << 20);
    wr_diags_init(&w->diags, &w->diag_arena);
    wr_strbuf_init(&w->out, 1 << 20);
    wr_conf_source_texts(&w->source, texts);
    st = wr_tree_init(&w->tree, &w->arena, &w->diags, &w->source);
    return st != WR_OK ? st : wr_tree_parse_file(&w->tree, WR_STR("/c/x.conf"));
}

static void end(struct world *w)
{
    wr_strbuf_fini(&w->out);
    wr_arena_fini(&w->arena);
    wr_arena_fini(&w->diag_arena);
}

static void test_nodes(void **state)
{
    const struct wr_conf_text file = {.path = "/c/x.conf",
                                      .text = "a 1 \"2 3\" '' {\n  b;\n  \"c\" d {}\n}\ne\n f;\n"};
    const struct wr_conf_texts texts = {&file, 1};
    struct world w;
    const struct wr_node *a, *c, *e;

    (void)state;
    assert_int_equal(parse(&w, &texts, 1 << 20), WR_OK);
    assert_int_equal(w.diags.cnt, 0);
    a = w.tree.root->first;
    assert_text(a->name, "a");
    assert_int_equal(a->arg_cnt, 3);
    assert_text(wr_node_arg(a, 1), "2 3");
    assert_true(a->args[1].is_quoted && a->args[2].is_quoted && !a->args[0].is_quoted);
    assert_int_equal(wr_node_arg(a, 3).len, 0);
    assert_true(a->has_block && a->depth == 1 && a->parent == w.tree.root);
    assert_int_equal(a->end_line, 4);
    c = wr_node_find(a, WR_STR("c"));
    assert_non_null(c);
    assert_true(c->is_name_quoted && c->has_block && c->first == NULL && c->depth == 2);
    assert_int_equal(c->line, 3);
    assert_int_equal(c->column, 3);
    assert_null(wr_node_find(a, WR_STR("d")));
    e = w.tree.root->last;
    assert_int_equal(e->line, 5);
    assert_int_equal(e->end_line, 6);
    assert_int_equal(wr_node_arg_pos(e, 0).line, 6);
    assert_int_equal(wr_node_arg_pos(e, 0).column, 2);
    assert_int_equal(wr_node_arg_pos(e, 1).line, 5);
    assert_true(a->seq < c->seq && c->seq < e->seq);
    end(&w);
}

static void test_includes(void **state)
{
    const struct wr_conf_text files[] = {
        {.path = "/c/x.conf",
         .text = "a { include d/*.conf; include /e/[xy]; include none*; }\n"
                 "include one;\ninclude one;\nb;"               },
        {.path = "/c/d/2.conf",   .text = "two { include one; }"},
        {.path = "/c/d/10.conf",  .text = "ten;"                },
        {.path = "/c/d/.h.conf",  .text = "hidden;"             },
        {.path = "/c/d/s/3.conf", .text = "deep;"               },
        {.path = "/c/one",        .text = "one;"                },
        {.path = "/e/y",          .text = "y;"                  },
        {.path = "/e/z",          .text = "z;"                  },
    };
    const struct wr_conf_texts texts = {files, WR_ARRAY_LEN(files)};
    struct world w;

    (void)state;
    assert_int_equal(parse(&w, &texts, 1 << 20), WR_OK);
    wr_diags_write(&w.diags, WR_DIAG_PLAIN, &w.out);
    wr_node_write(w.tree.root, &w.out);
    assert_text(wr_strbuf_str(&w.out), "a {\n    ten;\n    two {\n        one;\n    }\n    y;\n}\n"
                                       "one;\none;\nb;\n");
    assert_int_equal(w.tree.file_cnt, 5);
    assert_text(w.tree.root->first->first->file->path, "/c/d/10.conf");
    assert_int_equal(w.tree.root->first->first->file->included_line, 1);
    wr_strbuf_reset(&w.out);
    wr_tree_write_files(w.tree.files->next->next, &w.out);
    assert_text(wr_strbuf_str(&w.out), "# configuration file /c/d/2.conf:\ntwo { include one; }\n"
                                       "# configuration file /c/one:\none;\n"
                                       "# configuration file /e/y:\ny;\n");
    end(&w);
}

static void test_include_errors(void **state)
{
    static const struct {
        const char *conf, *inc, *out;
    } cases[] = {
        {"include;",           "",               "invalid number of arguments in \"include\" directive in /c/x.conf:1"},
        {"include a b;",       "",               "invalid number of arguments in \"include\" directive in /c/x.conf:1"},
        {"include a {}",       "",               "directive \"include\" is not terminated by \";\" in /c/x.conf:1"    },
        {"\ninclude nofile;",  "",
         "open() \"/c/nofile\" failed (2: No such file or directory) in /c/x.conf:2"                                  },
        {"include bad;",       "",               "open() \"/c/bad\" failed (13: Permission denied) in /c/x.conf:1"    },
        {"a { include inc; }", "}",              "unexpected \"}\" in /c/inc:1"                                       },
        {"a { include inc; }", "b {\n",          "unexpected end of file, expecting \"}\" in /c/inc:2"                },
        {"a { include inc; }", "b\n",
         "unexpected end of file, expecting \";\" or \"}\" in /c/inc:2"                                               },
        {"include x.conf;",    "",               "includes are nested too deep in /c/x.conf:1"                        },
        {"include inc;",       "\ninclude inc;", "includes are nested too deep in /c/inc:2"                           },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const struct wr_conf_text files[] = {
            {.path = "/c/x.conf", .text = cases[i].conf},
            {.path = "/c/inc",    .text = cases[i].inc },
            {.path = "/c/bad",    .err = EACCES        },
        };
        const struct wr_conf_texts texts = {files, WR_ARRAY_LEN(files)};
        struct world w;

        assert_int_equal(parse(&w, &texts, 1 << 20), WR_OK);
        assert_int_equal(w.diags.cnt, 1);
        wr_diag_write_text(w.diags.head, &w.out);
        assert_text(wr_strbuf_str(&w.out), cases[i].out);
        end(&w);
    }
}

/* Files that include each other twice grow as 2^16: the number of inclusions is bounded. */
static void test_include_bomb(void **state)
{
    const struct wr_conf_text files[] = {
        {.path = "/c/x.conf", .text = "include y; include y; include y; include y;"                    },
        {.path = "/c/y",      .text = "include x.conf; include x.conf; include x.conf; include x.conf;"},
    };
    const struct wr_conf_texts texts = {files, WR_ARRAY_LEN(files)};
    struct world w;

    (void)state;
    assert_int_equal(parse(&w, &texts, 256 << 20), WR_OK);
    assert_true(w.diags.emerg_cnt > 0);
    assert_true(w.tree._include_cnt <= WR_TREE_FILES_MAX + 2 * WR_TREE_INCLUDE_DEPTH_MAX * 4);
    end(&w);
}

/* A broken included file does not hide what stands behind the include. */
static void test_go_on(void **state)
{
    const struct wr_conf_text files[] = {
        {.path = "/c/x.conf", .text = "a { include none; include inc; b; } c }"},
        {.path = "/c/inc",    .text = "d; }"                                   },
    };
    const struct wr_conf_texts texts = {files, WR_ARRAY_LEN(files)};
    struct world w;

    (void)state;
    assert_int_equal(parse(&w, &texts, 1 << 20), WR_OK);
    assert_int_equal(w.diags.emerg_cnt, 3);
    wr_node_write(w.tree.root, &w.out);
    assert_text(wr_strbuf_str(&w.out), "a {\n    d;\n    b;\n}\n");
    end(&w);
}

static void test_limits(void **state)
{
    static char text[400000];
    const struct wr_conf_text file = {.path = "/c/x.conf", .text = text};
    const struct wr_conf_texts texts = {&file, 1};
    struct world w;
    struct wr_strbuf b;

    (void)state;
    for (unsigned depth = WR_TREE_DEPTH_MAX; depth <= WR_TREE_DEPTH_MAX + 1; depth++) {
        wr_strbuf_init_fixed(&b, text, sizeof(text));
        for (unsigned i = 0; i < depth; i++) {
            wr_strbuf_add_z(&b, "a{");
        }
        for (unsigned i = 0; i < depth; i++) {
            wr_strbuf_add_z(&b, "}");
        }
        (void)wr_strbuf_cstr(&b);
        assert_int_equal(parse(&w, &texts, 1 << 20), WR_OK);
        assert_int_equal(w.diags.cnt, depth > WR_TREE_DEPTH_MAX ? 1 : 0);
        if (w.diags.head != NULL) {
            assert_text(w.diags.head->message, "blocks are nested too deep");
        }
        end(&w);
    }
    wr_strbuf_init_fixed(&b, text, sizeof(text));
    for (unsigned i = 0; i < 2 * WR_TREE_ARGS_MAX + 2; i++) {
        wr_strbuf_add_z(&b, "a ");
    }
    (void)wr_strbuf_cstr(&b);
    assert_int_equal(parse(&w, &texts, 64 << 20), WR_OK);
    assert_int_equal(w.diags.cnt, 1);
    assert_text(w.diags.head->message, "too many arguments in one directive");
    end(&w);
}

/* What the printer writes is read back to the same tree. */
static void test_round_trip(void **state)
{
    const struct wr_conf_text file = {
        .path = "/c/x.conf",
        .text = "a \"\" 'b c' \"d\\\"e\" f\\g \\; \"\\n\\t\\r\" \"#\" ${x}y '${' \"{\" { }\n"
                "\"a b\" { \"}\" { c \"it's\"; } }\nd \\\\.php$ \"\\\\.php$\" 'x{2}' \"'\";"};
    struct wr_conf_texts texts = {&file, 1};
    struct world w, v;
    struct wr_conf_text again;

    (void)state;
    assert_int_equal(parse(&w, &texts, 1 << 20), WR_OK);
    assert_int_equal(w.diags.cnt, 0);
    wr_node_write(w.tree.root, &w.out);
    again = (struct wr_conf_text){.path = "/c/x.conf", .text = wr_strbuf_cstr(&w.out)};
    texts.at = &again;
    assert_int_equal(parse(&v, &texts, 1 << 20), WR_OK);
    assert_int_equal(v.diags.cnt, 0);
    for (const struct wr_node *x = w.tree.root->first, *y = v.tree.root->first; x != NULL;
         x = x->next, y = y->next) {
        assert_int_equal(x->arg_cnt, y->arg_cnt);
        assert_true(wr_str_eq(x->name, y->name));
        for (uint32_t i = 0; i < x->arg_cnt; i++) {
            assert_true(wr_str_eq(x->args[i].text, y->args[i].text));
        }
    }
    wr_node_write(v.tree.root, &v.out);
    assert_true(wr_str_eq(wr_strbuf_str(&w.out), wr_strbuf_str(&v.out)));
    end(&v);
    end(&w);
}

static void test_is_glob(void **state)
{
    (void)state;
    assert_true(wr_conf_is_glob(WR_STR("a*")));
    assert_true(wr_conf_is_glob(WR_STR("?")));
    assert_true(wr_conf_is_glob(WR_STR("x[ab]")));
    assert_false(wr_conf_is_glob(WR_STR("a]{b}")));
    assert_false(wr_conf_is_glob(WR_STR_NULL));
}

/* A source whose glob or read fails in other ways. */
static enum wr_status glob_fails(const struct wr_conf_source *s, struct wr_arena *a,
                                 struct wr_str pattern, struct wr_str **ret_paths, size_t *ret_cnt,
                                 struct wr_conf_fault *ret_fault)
{
    (void)s;
    (void)a;
    (void)pattern;
    (void)ret_paths;
    (void)ret_cnt;
    *ret_fault = (struct wr_conf_fault){"glob", EIO};
    return WR_ESYS;
}

static enum wr_status read_large(const struct wr_conf_source *s, struct wr_arena *a,
                                 struct wr_str path, size_t max, struct wr_str *ret_bytes,
                                 struct wr_conf_fault *ret_fault)
{
    (void)max;
    (void)ret_fault;
    (void)s;
    (void)a;
    *ret_bytes = WR_STR("include a*; include large;");
    return wr_str_has_suffix(path, WR_STR("large")) ? WR_ELIMIT : WR_OK;
}

static void test_source_faults(void **state)
{
    const struct wr_conf_source source = {.read = read_large, .glob = glob_fails, .data = NULL};
    struct world w;

    (void)state;
    wr_arena_init(&w.arena, 1 << 20);
    wr_arena_init(&w.diag_arena, 1 << 20);
    wr_diags_init(&w.diags, &w.diag_arena);
    wr_strbuf_init(&w.out, 1 << 20);
    assert_int_equal(wr_tree_init(&w.tree, &w.arena, &w.diags, &source), WR_OK);
    assert_int_equal(wr_tree_parse_file(&w.tree, WR_STR("/c/x.conf")), WR_OK);
    wr_diags_write(&w.diags, WR_DIAG_PLAIN, &w.out);
    assert_text(wr_strbuf_str(&w.out),
                "weir: [emerg] glob() \"/c/a*\" failed (5: Input/output error) in /c/x.conf:1\n"
                "weir: [emerg] \"/c/large\" is too large, at most 67108864 bytes in /c/x.conf:1\n");
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),          cmocka_unit_test(test_includes),
        cmocka_unit_test(test_include_errors), cmocka_unit_test(test_include_bomb),
        cmocka_unit_test(test_go_on),          cmocka_unit_test(test_limits),
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_is_glob),
        cmocka_unit_test(test_source_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
