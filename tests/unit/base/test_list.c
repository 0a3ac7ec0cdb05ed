/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_list.c: the ring keeps its order through pushes, removals, splices and safe walks.
 */
#include "unit/base/t.h"

#include "base/list.h"

struct item {
    int no;
    struct wr_list node;
};

/* The list has exactly the digits of `want`, both ways. */
static void check(struct wr_list *l, const char *want)
{
    struct wr_list *n;
    size_t i = 0;

    WR_LIST_FOREACH (n, l) {
        assert_int_equal(wr_container_of(n, struct item, node)->no, want[i] - '0');
        assert_ptr_equal(n->next->prev, n);
        i++;
    }
    assert_int_equal(i, strlen(want));
    assert_int_equal(wr_list_is_empty(l), i == 0);
}

static void test_list(void **state)
{
    struct item it[6];
    struct wr_list a = WR_LIST_INIT(a), b = WR_LIST_INIT(b);
    struct wr_list *n, *t;

    (void)state;
    for (int i = 0; i < 6; i++) {
        it[i].no = i;
        wr_list_init(&it[i].node);
    }
    check(&a, "");
    assert_null(wr_list_pop(&a));
    wr_list_push(&a, &it[1].node);
    wr_list_push(&a, &it[2].node);
    wr_list_push_front(&a, &it[0].node);
    check(&a, "012");
    wr_list_splice(&a, &b);
    check(&a, "012");
    wr_list_push(&b, &it[3].node);
    wr_list_push(&b, &it[4].node);
    wr_list_splice(&a, &b);
    check(&a, "01234");
    check(&b, "");
    wr_list_splice(&b, &a);
    check(&b, "01234");
    wr_list_remove(&it[2].node);
    wr_list_remove(&it[2].node);
    check(&b, "0134");
    assert_ptr_equal(wr_list_pop(&b), &it[0].node);
    WR_LIST_FOREACH_SAFE (n, t, &b) {
        wr_list_remove(n);
        wr_list_push_front(&a, n);
    }
    check(&b, "");
    check(&a, "431");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
