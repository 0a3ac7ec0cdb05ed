/* SPDX-License-Identifier: Apache-2.0 */
/* test_handle.c: handles: staleness, reuse of slots, foreign threads, growth, want of memory. */
#include "unit/event/looptest.h"

#include "base/stat.h"
#include "event/handle.h"

static void test_basic(void **state)
{
    int a, b;
    wr_handle ha, hb, hc;
    uint64_t stale = wr_stat_sum(WR_CNT_STALE_HANDLES);

    (void)state;
    assert_int_equal(wr_handle_open(&a, &ha), WR_OK);
    assert_int_equal(wr_handle_open(&b, &hb), WR_OK);
    assert_true(ha != 0 && hb != 0 && ha != hb);
    assert_int_equal(wr_handle_thread(ha), 3);
    assert_ptr_equal(wr_handle_get(ha), &a);
    assert_ptr_equal(wr_handle_get(hb), &b);
    wr_handle_close(ha);
    wr_handle_close(ha);
    wr_handle_close(0);
    assert_null(wr_handle_get(ha));
    assert_int_equal(wr_stat_sum(WR_CNT_STALE_HANDLES) - stale, 1);
    /* The slot is taken again under another generation. */
    assert_int_equal(wr_handle_open(&a, &hc), WR_OK);
    assert_int_equal((uint32_t)(hc >> 32), (uint32_t)(ha >> 32));
    assert_true(hc != ha);
    assert_null(wr_handle_get(ha));
    assert_ptr_equal(wr_handle_get(hc), &a);
    wr_handle_close(ha); /* stale: must not close the new one */
    assert_ptr_equal(wr_handle_get(hc), &a);
    /* Another thread's, and one out of range. */
    assert_null(wr_handle_get(hc ^ (1ull << 56)));
    assert_null(wr_handle_get(hc | (0xffffffull << 32)));
    assert_null(wr_handle_get(0));
    wr_handle_close(hb);
    wr_handle_close(hc);
}

static void test_growth(void **state)
{
    enum {
        N = 5000
    };

    wr_handle *h = wr_mem_alloc(N * sizeof(*h));
    char *obj = wr_mem_alloc(N);

    (void)state;
    for (int i = 0; i < N; i++) {
        assert_int_equal(wr_handle_open(&obj[i], &h[i]), WR_OK);
    }
    for (int i = 0; i < N; i += 2) {
        wr_handle_close(h[i]);
    }
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(wr_handle_get(h[i]), i % 2 == 0 ? NULL : &obj[i]);
    }
    for (int i = 1; i < N; i += 2) {
        wr_handle_close(h[i]);
    }
    wr_mem_free(h);
    wr_mem_free(obj);
}

static void test_no_memory(void **state)
{
    wr_handle h[200], kept = 7;
    unsigned n = 0;
    int x;

    (void)state;
    /* Fill what is there, then the table cannot grow. */
    for (; n < 200; n++) {
        wr_mem_fault_set(1);
        if (wr_handle_open(&x, &h[n]) != WR_OK) {
            break;
        }
    }
    assert_true(n < 200);
    wr_mem_fault_set(1);
    assert_int_equal(wr_handle_open(&x, &kept), WR_ENOMEM);
    assert_int_equal(kept, 7);
    wr_mem_fault_set(0);
    for (unsigned i = 0; i < n; i++) {
        assert_ptr_equal(wr_handle_get(h[i]), &x);
        wr_handle_close(h[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_basic, setup_loop, teardown_loop),
        cmocka_unit_test_setup_teardown(test_growth, setup_loop, teardown_loop),
        cmocka_unit_test_setup_teardown(test_no_memory, setup_loop, teardown_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
