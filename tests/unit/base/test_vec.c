/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vec.c: elements stay in order over growth, new ones are zeroed, also after a shrink by hand.
 */
#include "unit/base/t.h"

#include "base/vec.h"

struct pair {
    int a;
    char pad[13];
};

static void test_push(void **state)
{
    size_t before = wr_mem_in_use();
    WR_VEC(struct pair) v = {0};
    struct pair *p;
    int n = 0;

    (void)state;
    WR_VEC_FOREACH (p, &v) {
        fail();
    }
    for (int i = 0; i < 1000; i++) {
        p = wr_vec_push(&v);
        assert_int_equal(p->a, 0);
        assert_int_equal(p->pad[12], 0);
        *p = (struct pair){.a = i, .pad = "full of text"};
    }
    WR_VEC_FOREACH (p, &v) {
        assert_int_equal(p->a, n++);
    }
    assert_int_equal(n, 1000);
    v.cnt = 10;
    assert_int_equal(wr_vec_push(&v)->a, 0);
    assert_int_equal(v.cnt, 11);
    wr_vec_fini(&v);
    assert_true(v.at == NULL && v.cnt == 0 && v.cap == 0);
    assert_int_equal(wr_mem_in_use(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_push)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
