/* SPDX-License-Identifier: Apache-2.0 */
/* test_docs.c: the documents made from the tables. */
#include "conf/docs.h"

#include "toy.h"

#include "t.h"

static void has(struct wr_str s, const char *z)
{
    if (wr_str_find_str(s, wr_str_z(z)) == s.len) {
        fail_msg("no %s", z);
    }
}

static void test_docs(void **state)
{
    const struct wr_conf_texts none = {NULL, 0};
    struct toy t;
    struct wr_str s;
    size_t lines = 0;

    (void)state;
    toy_open(&t, &none);
    wr_docs_write_markdown(&t.registry, &t.out);
    s = wr_strbuf_str(&t.out);
    has(s, "\n## toy\n\n| directive | contexts |");
    has(s, "| `events` | main | 0 { } |  |  | Holds settings of the event loop. |\n");
    has(s, "| `sendfile` | http, server, location, if in location | 1 | `off` | yes | A toy. |\n");
    has(s, "| `label` | http, server, location, if in location | 1 | `plain` | no | A toy. |\n");
    has(s, "| `location` | server, location | 1-2 { } |");
    has(s, "| `server_name` | server | 1 or more, repeatable | `\"\"` | yes | Names. |");
    has(s, "A table \\| of values.");
    has(s, "| `use` | events | 1 |  |  | Ignored. (Accepted, has no effect.) |");
    has(s, "Old. (Accepted, has no effect.) (Deprecated.)");
    assert_int_equal(wr_str_find_str(s, WR_STR("silent")), s.len);
    wr_strbuf_reset(&t.out);
    wr_docs_write_tsv(&t.registry, &t.out);
    s = wr_strbuf_str(&t.out);
    has(s, "\nproxy_buffers\ttoy\thttp, server, location, if in location\t2\t2\tno\t8 4k\n");
    has(s, "\nif\tcore\tserver, location\t1\tany\tyes\t\n");
    for (size_t i = 0; i < s.len; i++) {
        lines += s.ptr[i] == '\n';
    }
    assert_int_equal(lines, t.registry.entry_cnt + 1);
    toy_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_docs)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
