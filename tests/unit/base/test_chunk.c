/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_chunk.c: classes, references, the process's limit to the byte, faults, bounded caches.
 */
#include "unit/base/t.h"

#include "base/chunk.h"
#include "base/mem.h"

static void test_classes(void **state)
{
    static const struct {
        size_t n;
        enum wr_chunk_class cls;
    } rows[] = {
        {0,        WR_CHUNK_4K  },
        {4096,     WR_CHUNK_4K  },
        {4097,     WR_CHUNK_16K },
        {16384,    WR_CHUNK_16K },
        {16385,    WR_CHUNK_64K },
        {65536,    WR_CHUNK_64K },
        {65537,    WR_CHUNK_256K},
        {1u << 30, WR_CHUNK_256K},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        assert_int_equal(wr_chunk_class_for(rows[i].n), rows[i].cls);
    }
    assert_int_equal(wr_chunk_class_size(WR_CHUNK_64K), 65536);
}

static void test_life(void **state)
{
    uint64_t before = wr_chunk_in_use();

    (void)state;
    for (int cls = 0; cls < WR_CHUNK_CLASSES; cls++) {
        struct wr_chunk *c[100];
        uint64_t size = wr_chunk_class_size((enum wr_chunk_class)cls);

        for (int i = 0; i < 100; i++) {
            c[i] = wr_chunk_new((enum wr_chunk_class)cls);
            assert_non_null(c[i]);
            assert_int_equal(c[i]->refs, 1);
            assert_int_equal(c[i]->fill, 0);
            assert_int_equal(c[i]->cap, size);
            memset(c[i]->data, i, size);
            c[i]->fill = 7;
        }
        assert_int_equal(wr_chunk_in_use(), before + 100 * size);
        for (int i = 0; i < 100; i++) {
            assert_ptr_equal(wr_chunk_ref(c[i]), c[i]);
            wr_chunk_unref(c[i]);
            assert_int_equal(wr_chunk_in_use(), before + (uint64_t)(100 - i) * size);
            wr_chunk_unref(c[i]);
        }
    }
    wr_chunk_unref(NULL);
    assert_int_equal(wr_chunk_in_use(), before);
}

static void test_limit(void **state)
{
    struct wr_chunk *a, *b;

    (void)state;
    wr_chunk_set_limit(20480);
    a = wr_chunk_new(WR_CHUNK_16K);
    b = wr_chunk_new(WR_CHUNK_4K);
    assert_true(a != NULL && b != NULL);
    assert_null(wr_chunk_new(WR_CHUNK_4K));
    assert_null(wr_chunk_new(WR_CHUNK_256K));
    wr_chunk_unref(b);
    assert_null(wr_chunk_new(WR_CHUNK_16K));
    b = wr_chunk_new(WR_CHUNK_4K);
    assert_non_null(b);
    wr_chunk_set_limit(0);
    wr_chunk_unref(wr_chunk_new(WR_CHUNK_256K));
    wr_chunk_unref(a);
    wr_chunk_unref(b);
    wr_chunk_set_limit(1024 * 1024 * 1024);
    assert_int_equal(wr_chunk_in_use(), 0);
}

static void test_faults(void **state)
{
    struct wr_chunk *c;

    (void)state;
    for (int round = 0; round < 2; round++) {
        wr_mem_fault_set(1);
        assert_null(wr_chunk_new(WR_CHUNK_4K));
        c = wr_chunk_new(WR_CHUNK_4K);
        assert_non_null(c);
        wr_mem_fault_set(0);
        wr_chunk_unref(c);
    }
    assert_int_equal(wr_chunk_in_use(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
