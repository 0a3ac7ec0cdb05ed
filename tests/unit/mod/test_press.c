/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_press.c: the codecs of press.h: bytes that go through come back, in pieces of all sizes,
 * with flushes, with little room; states and memory are kept, within bounds, and none is left; each
 * allocation failing.
 */
#include "unit/event/looptest.h"

#include <zlib.h>
#include <zstd.h>

#include "base/rng.h"
#include "mod/press_pool.c"

#define DATA_MAX 40000
#define OUT_MAX  (DATA_MAX * 2)

static char data[DATA_MAX], packed[OUT_MAX], plain[OUT_MAX];

static void (*const ends[WR_PRESS_KINDS])(void *) = {
    wr_press_zlib_end,
    wr_press_zlib_end,
    wr_press_zlib_end,
    wr_press_zlib_end,
    [WR_PRESS_KIND_ZSTD] = wr_press_zstd_end,
};

static int setup(void **state)
{
    (void)state;
    wr_rng_seed(7);
    for (size_t i = 0; i < DATA_MAX; i++) {
        data[i] = (char)(i % 97 < 60 ? "some text that comes again "[i % 27] : (char)wr_rng_u64());
    }
    wr_press_pool_enter();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wr_press_pool_leave(ends);
    assert_null(pool.free);
    assert_int_equal(pool.free_bytes, 0);
    return 0;
}

/* All of it, with room for `room` bytes at a time. */
static enum wr_status push(const struct wr_press_codec *c, void *s, enum wr_press_op op,
                           struct wr_str in, size_t room, size_t *len)
{
    struct wr_press_io io = {.in = in.ptr, .in_len = in.len};
    enum wr_status st;

    do {
        assert_true(*len + room <= OUT_MAX);
        io.out = packed + *len;
        io.out_len = room;
        st = c->run(s, op, &io);
        *len += room - io.out_len;
    } while (st == WR_AGAIN);
    return st;
}

static size_t pack(const struct wr_press_codec *c, const struct wr_press_opts *o, size_t n,
                   size_t piece, size_t room)
{
    void *s = c->open(o);
    size_t len = 0;

    assert_non_null(s);
    for (size_t at = 0; at < n; at += piece) {
        assert_int_equal(
            push(c, s, WR_PRESS_RUN, wr_str(data + at, WR_MIN(piece, n - at)), room, &len), WR_OK);
        if (piece > 1000 && at / piece % 3 == 0) {
            assert_int_equal(push(c, s, WR_PRESS_FLUSH, WR_STR(""), room, &len), WR_OK);
        }
    }
    assert_int_equal(push(c, s, WR_PRESS_END, WR_STR(""), room, &len), WR_OK);
    c->close(s);
    return len;
}

static size_t unpack(const struct wr_press_codec *c, size_t len)
{
    z_stream z = {.next_in = (Bytef *)packed,
                  .avail_in = (uInt)len,
                  .next_out = (Bytef *)plain,
                  .avail_out = OUT_MAX};

    if (c == &wr_press_zstd) {
        return ZSTD_decompress(plain, OUT_MAX, packed, len);
    }
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    assert_int_equal(inflateEnd(&z), Z_OK);
    return OUT_MAX - z.avail_out;
}

static const struct wr_press_codec *const packers[] = {&wr_press_gzip, &wr_press_zstd,
                                                       &wr_press_brotli};

static void comes_back(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 8192, 8193, DATA_MAX};
    static const size_t pieces[] = {7, 1500, DATA_MAX};
    static const size_t rooms[] = {16, 4096};

    (void)state;
    for (size_t c = 0; c < WR_ARRAY_LEN(packers); c++) {
        for (size_t i = 0; i < WR_ARRAY_LEN(sizes); i++) {
            for (size_t k = 0; k < WR_ARRAY_LEN(pieces) * WR_ARRAY_LEN(rooms) * 2; k++) {
                size_t n = sizes[i];
                struct wr_press_opts o = {.level = (int)(1 + k % 6),
                                          .window_bits = c == 0 ? 0 : 12 + (unsigned)k % 3,
                                          .size = k % 2 == 0 ? n : UINT64_MAX};
                size_t len = pack(packers[c], &o, n, pieces[k / 2 % 3], rooms[k / 6 % 2]);

                /* brotli's first level compresses each piece by itself */
                assert_true(len > 0 && (len < n + 1000 || packers[c] == &wr_press_brotli));
                if (packers[c] != &wr_press_brotli) {
                    assert_int_equal(unpack(packers[c], len), n);
                    assert_memory_equal(plain, data, n);
                }
            }
        }
    }
}

/* gunzip: what is packed, twice, with junk behind it, in pieces. */
static void gunzip(void **state)
{
    static char twice[OUT_MAX];
    struct wr_press_opts o = {.level = 6, .size = UINT64_MAX};
    size_t n = 9000, len = pack(&wr_press_gzip, &o, n, n, 4096);

    (void)state;
    memcpy(twice, packed, len);
    memcpy(twice + len, packed, len);
    memcpy(twice + 2 * len, "\0\0junk", 6);
    for (size_t cut = 0; cut < 2 * len; cut += 13) {
        void *s = wr_press_gunzip.open(&o);
        size_t out = 0;

        assert_non_null(s);
        assert_int_equal(push(&wr_press_gunzip, s, WR_PRESS_RUN, wr_str(twice, cut), 700, &out),
                         WR_OK);
        assert_int_equal(push(&wr_press_gunzip, s, WR_PRESS_FLUSH, WR_STR(""), 700, &out), WR_OK);
        assert_int_equal(push(&wr_press_gunzip, s, WR_PRESS_RUN,
                              wr_str(twice + cut, 2 * len + 6 - cut), 700, &out),
                         WR_OK);
        assert_int_equal(push(&wr_press_gunzip, s, WR_PRESS_END, WR_STR(""), 700, &out), WR_OK);
        assert_int_equal(out, 2 * n);
        assert_memory_equal(packed, data, n);
        assert_memory_equal(packed + n, data, n);
        wr_press_gunzip.close(s);
        s = wr_press_gunzip.open(&o);
        out = 0;
        assert_int_equal(push(&wr_press_gunzip, s, WR_PRESS_RUN, wr_str(twice, cut), 700, &out),
                         WR_OK);
        assert_int_equal(push(&wr_press_gunzip, s, WR_PRESS_END, WR_STR(""), 700, &out),
                         cut == len ? WR_OK : WR_EOF);
        wr_press_gunzip.close(s);
    }
}

static void bad_gzip(void **state)
{
    struct wr_press_opts o = {.size = UINT64_MAX};
    void *s = wr_press_gunzip.open(&o);
    size_t out = 0;

    (void)state;
    assert_int_equal(push(&wr_press_gunzip, s, WR_PRESS_RUN, WR_STR("not gzip at all"), 700, &out),
                     WR_EPROTO);
    wr_press_gunzip.close(s);
}

/* The second response of a thread allocates nothing large, and what is kept is bounded. */
static void is_kept(void **state)
{
    struct wr_press_opts o = {.level = 5, .window_bits = 16, .size = DATA_MAX};
    void *s[STATES_MAX + 2];

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        for (size_t i = 0; i < STATES_MAX + 2; i++) {
            s[i] = packers[c]->open(&o);
            assert_non_null(s[i]);
        }
        for (size_t i = 0; i < STATES_MAX + 2; i++) {
            packers[c]->close(s[i]);
        }
        wr_mem_fault_set(0);
        for (size_t i = 0; i < STATES_MAX; i++) {
            s[i] = packers[c]->open(&o);
        }
        assert_int_equal(wr_mem_fault_count(), 0);
        for (size_t i = 0; i < STATES_MAX; i++) {
            packers[c]->close(s[i]);
        }
    }
    assert_int_equal(pool.state_cnt[WR_PRESS_KIND_ZSTD - 1], STATES_MAX);
    assert_int_equal(pool.state_cnt[WR_PRESS_KIND_ZSTD], STATES_MAX);
    if (!WR_MEM_SANITIZED) {
        (void)pack(&wr_press_brotli, &o, DATA_MAX, 5000, 4096);
        assert_true(pool.free_bytes > 0 && pool.free_bytes <= WR_PRESS_POOL_MAX);
    }
}

static void without_memory(void **state)
{
    struct wr_press_opts o = {.level = 5, .window_bits = 16, .size = UINT64_MAX};

    (void)state;
    wr_press_pool_leave(ends); /* nothing is kept: each call allocates */
    for (size_t c = 0; c < WR_ARRAY_LEN(packers); c++) {
        for (uint64_t n = 1; n < 12; n++) {
            void *s;
            size_t len = 0;

            wr_mem_fault_set(n);
            s = packers[c]->open(&o);
            if (s) {
                enum wr_status st =
                    push(packers[c], s, WR_PRESS_RUN, wr_str(data, 20000), 4096, &len);

                if (st == WR_OK) {
                    st = push(packers[c], s, WR_PRESS_END, WR_STR(""), 4096, &len);
                }
                assert_true(st == WR_OK || st == WR_ENOMEM);
                packers[c]->close(s);
            }
            wr_mem_fault_set(0);
        }
    }
    wr_press_pool_enter();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(comes_back), cmocka_unit_test(gunzip),
                                       cmocka_unit_test(bad_gzip), cmocka_unit_test(is_kept),
                                       cmocka_unit_test(without_memory)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
