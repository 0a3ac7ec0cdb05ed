/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_fcgi_codec.c: any bytes as FastCGI records of an application; the first byte says how they
 * are cut. Whole and cut they must tell the same. One thread.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "proto/fcgi_codec.h"

struct sum {
    uint64_t hash;
    size_t bytes;
};

static void note(struct sum *s, uint8_t v)
{
    s->hash = (s->hash ^ v) * UINT64_C(1099511628211);
}

/* Pieces of at most `step` bytes. */
static struct sum run(const char *p, size_t n, size_t step)
{
    struct wr_fcgi_reader rd;
    struct sum s = {.hash = 1};
    enum wr_fcgi_event ev = WR_FCGI_MORE;
    size_t m, used, i;

    wr_fcgi_reader_init(&rd);
    for (; n > 0 && ev != WR_FCGI_BAD; p += used, n -= used) {
        struct wr_str data = WR_STR_NULL;

        m = WR_MIN(n, step);
        ev = wr_fcgi_read(&rd, p, m, &used, &data);
        if (used == 0 || used > m || (ev == WR_FCGI_MORE && used != m)) {
            abort();
        }
        if (data.len > 0 && (data.ptr < p || data.ptr + data.len > p + used)) {
            abort();
        }
        if (ev != WR_FCGI_MORE && ev != WR_FCGI_OUT && ev != WR_FCGI_ERR) {
            note(&s, (uint8_t)ev);
        }
        for (i = 0; i < data.len; i++) {
            note(&s, (uint8_t)(ev * 7));
            note(&s, (uint8_t)data.ptr[i]);
        }
        s.bytes += data.len;
    }
    note(&s, rd.bad);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sum whole, cut;

    if (size == 0) {
        return 0;
    }
    whole = run((const char *)data + 1, size - 1, SIZE_MAX);
    cut = run((const char *)data + 1, size - 1, (size_t)data[0] % 17 + 1);
    if (whole.hash != cut.hash || whole.bytes != cut.bytes) {
        abort();
    }
    return 0;
}
