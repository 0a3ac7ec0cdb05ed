/* SPDX-License-Identifier: Apache-2.0 */
/* test_auth.c: lines of a password file, and the memory of good passwords: its life and its size.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mod/auth_file.h"
#include "mod/auth_memory.h"
#include "unit/base/t.h"

static void lines(void **state)
{
    static const char text[] = "# c:x\nb:1\na:2:more\r\nc:3\r\nnone\n:4\nb:5\ne:\n\n\n d:6\nlast:7";

    static const struct {
        const char *user, *hash;
    } rows[] = {
        {"b",     "1" },
        {"a",     "2" },
        {"c",     "3" },
        {"e",     ""  },
        {" d",    "6" },
        {"last",  "7" },
        {"none",  NULL},
        {"",      NULL},
        {"# c",   NULL},
        {"d",     NULL},
        {"B",     NULL},
        {"las",   NULL},
        {"lastx", NULL},
        {"a:2",   NULL},
    };
    struct wr_auth_users *u = wr_auth_users_new(WR_STR(text));
    struct wr_str hash;

    (void)state;
    assert_non_null(u);
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        bool found = wr_auth_users_find(u, wr_str_z(rows[i].user), &hash);

        assert_int_equal(found, rows[i].hash != NULL);
        if (found) {
            assert_true(wr_str_eq_z(hash, rows[i].hash));
        }
    }
    wr_auth_users_free(u);
    u = wr_auth_users_new(WR_STR_NULL);
    assert_false(wr_auth_users_find(u, WR_STR("a"), &hash));
    wr_auth_users_free(u);
}

static void many_users(void **state)
{
    enum {
        CNT = 20000
    };

    char *text = malloc(CNT * 32), name[32], want[32];
    size_t len = 0;
    struct wr_auth_users *u;
    struct wr_str hash;

    (void)state;
    for (unsigned i = 0; i < CNT; i++) {
        len += (size_t)snprintf(text + len, 32, "user%u:h%u\n", (i * 7919) % CNT, i);
    }
    u = wr_auth_users_new(wr_str(text, len));
    free(text);
    for (unsigned i = 0; i < CNT; i++) {
        (void)snprintf(name, sizeof(name), "user%u", (i * 7919) % CNT);
        (void)snprintf(want, sizeof(want), "h%u", i);
        assert_true(wr_auth_users_find(u, wr_str_z(name), &hash));
        assert_true(wr_str_eq_z(hash, want));
    }
    wr_auth_users_free(u);
}

static void without_memory(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        wr_mem_fault_set(n);
        assert_null(wr_auth_users_new(WR_STR("a:b\n")));
        wr_mem_fault_set(0);
    }
}

static struct wr_auth_tag tag_of(struct wr_auth_memory *m, const char *hash, const char *password)
{
    struct wr_auth_tag t;

    wr_auth_memory_tag(m, wr_str_z(hash), wr_str_z(password), &t);
    return t;
}

static void remembered_for_a_minute(void **state)
{
    struct wr_auth_memory *m = wr_auth_memory_new(), *other = wr_auth_memory_new();
    struct wr_auth_tag t = tag_of(m, "$h", "pw"), x;
    uint64_t now = 1000;

    (void)state;
    assert_false(wr_auth_memory_has(m, &t, now));
    wr_auth_memory_add(m, &t, now);
    assert_true(wr_auth_memory_has(m, &t, now));
    /* Another password, another hash, the border between them, another process's key. */
    x = tag_of(m, "$h", "pW");
    assert_false(wr_auth_memory_has(m, &x, now));
    x = tag_of(m, "$i", "pw");
    assert_false(wr_auth_memory_has(m, &x, now));
    x = tag_of(m, "$hp", "w");
    assert_false(wr_auth_memory_has(m, &x, now));
    x = tag_of(other, "$h", "pw");
    assert_memory_not_equal(&x, &t, sizeof(x));
    /* Each use is a new minute; a clock that is behind does no harm. */
    for (int i = 0; i < 5; i++) {
        now += WR_AUTH_MEMORY_MS - 1;
        assert_true(wr_auth_memory_has(m, &t, now));
        assert_true(wr_auth_memory_has(m, &t, now - 10));
    }
    assert_false(wr_auth_memory_has(m, &t, now + WR_AUTH_MEMORY_MS));
    wr_auth_memory_add(m, &t, now + 2 * WR_AUTH_MEMORY_MS);
    assert_true(wr_auth_memory_has(m, &t, now + 2 * WR_AUTH_MEMORY_MS));
    wr_auth_memory_free(m);
    wr_auth_memory_free(other);
}

/* More than there is room for: the newest are there, the memory does not grow. */
static void bounded(void **state)
{
    struct wr_auth_memory *m = wr_auth_memory_new();
    size_t before = wr_mem_in_use();
    unsigned known = 0;
    char pw[32];

    (void)state;
    for (unsigned i = 0; i < 50000; i++) {
        struct wr_auth_tag t;

        (void)snprintf(pw, sizeof(pw), "pw%u", i);
        t = tag_of(m, "$h", pw);
        wr_auth_memory_add(m, &t, 1000 + i);
        assert_true(wr_auth_memory_has(m, &t, 1000 + i));
    }
    for (unsigned i = 0; i < 50000; i++) {
        struct wr_auth_tag t;
        bool has;

        (void)snprintf(pw, sizeof(pw), "pw%u", i);
        t = tag_of(m, "$h", pw);
        has = wr_auth_memory_has(m, &t, 51000);
        known += has;
        assert_true(i < 49000 || has || known > 0);
    }
    assert_int_equal(known, 8192);
    assert_int_equal(wr_mem_in_use(), before);
    wr_auth_memory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),          cmocka_unit_test(many_users),
        cmocka_unit_test(without_memory), cmocka_unit_test(remembered_for_a_minute),
        cmocka_unit_test(bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
