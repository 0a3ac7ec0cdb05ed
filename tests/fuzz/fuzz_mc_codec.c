/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_mc_codec.c: any bytes as an answer of memcached, and as a key: what is written for a key is
 * one line, and its value is found by it. One thread.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mc_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_str key = WR_STR_NULL;
    struct wr_mc_head h;
    struct wr_strbuf b;
    size_t used = 0;

    wr_strbuf_init(&b, 4 * size + 64);
    wr_mc_write_get(&b, wr_str((const char *)data, size), &key);
    if (b.status != WR_OK || memchr(b.ptr, '\n', b.len) != b.ptr + b.len - 1 ||
        memchr(key.ptr, ' ', key.len) != NULL) {
        abort();
    }
    if (wr_mc_parse((const char *)data, size, WR_STR("k"), &h, &used) == WR_MC_VALUE &&
        (used == 0 || used > size || h.line.len + 2 != used)) {
        abort();
    }
    wr_strbuf_reset(&b);
    wr_strbuf_add_z(&b, "VALUE ");
    wr_strbuf_add(&b, data, size);
    wr_strbuf_add_z(&b, " 1 2\r\n");
    if (memchr(data, '\n', size) == NULL && size > 0 &&
        wr_mc_parse(b.ptr, b.len, wr_str((const char *)data, size), &h, &used) != WR_MC_VALUE) {
        abort();
    }
    wr_strbuf_fini(&b);
    return 0;
}
