/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_h1_chunk.c: any bytes as a chunked body. Decoded whole and in pieces (size: first byte);
 * data, trailers and end must be the same, and data must be slices of the input in order.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "http/h1_chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    char *out;
    size_t len, used;
};

static enum wr_h1_chunk_result decode(struct wr_hdrs *h, const char *in, size_t n, size_t step,
                                      struct result *ret)
{
    struct wr_h1_chunk_decoder d;
    enum wr_h1_chunk_result res = WR_H1_CHUNK_MORE;
    size_t off = 0, len = 0;

    wr_h1_chunk_init(&d, h);
    while (off < n && (res == WR_H1_CHUNK_MORE || res == WR_H1_CHUNK_DATA)) {
        size_t used, data_len, room = WR_MIN(step, n - off);
        const char *p;
        uint64_t wants = wr_h1_chunk_wants(&d);
        res = wr_h1_chunk_decode(&d, in + off, room, &used, &p, &data_len);
        WR_ASSERT(used <= room);
        WR_ASSERT(res != WR_H1_CHUNK_DONE || used >= wants);
        if (res == WR_H1_CHUNK_DATA) {
            WR_ASSERT(data_len > 0 && p >= in + off && p + data_len == in + off + used);
            memcpy(ret->out + len, p, data_len);
            len += data_len;
        }
        off += used;
    }
    WR_ASSERT(d.total == len);
    ret->len = len;
    ret->used = off;
    return res;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_arena a;
    struct wr_hdrs h1, h2;
    struct result x1 = {.out = wr_mem_alloc(size + 1)}, x2 = {.out = wr_mem_alloc(size + 1)};

    if (size >= 1) {
        const char *in = (const char *)data + 1;
        wr_arena_init(&a, 1 << 20);
        wr_hdrs_init(&h1, &a, 10);
        wr_hdrs_init(&h2, &a, 10);
        enum wr_h1_chunk_result r1 = decode(&h1, in, size - 1, size, &x1);
        enum wr_h1_chunk_result r2 = decode(&h2, in, size - 1, data[0] + 1u, &x2);
        bool is_open1 = r1 == WR_H1_CHUNK_DATA || r1 == WR_H1_CHUNK_MORE;
        bool is_open2 = r2 == WR_H1_CHUNK_DATA || r2 == WR_H1_CHUNK_MORE;
        WR_ASSERT(is_open1 == is_open2 && (is_open1 || r1 == r2));
        WR_ASSERT(x1.len == x2.len && memcmp(x1.out, x2.out, x1.len) == 0);
        WR_ASSERT(x1.used == x2.used && h1.cnt == h2.cnt);
        for (uint32_t i = 0; i < h1.cnt; i++) {
            WR_ASSERT(wr_str_eq(h1.at[i].name, h2.at[i].name));
            WR_ASSERT(wr_str_eq(h1.at[i].value, h2.at[i].value));
        }
        wr_arena_fini(&a);
    }
    wr_mem_free(x1.out);
    wr_mem_free(x2.out);
    return 0;
}
