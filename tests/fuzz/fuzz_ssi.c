/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_ssi.c: any bytes as a page with commands. Scanned whole and in pieces (size: first byte):
 * texts and commands must be the same, and each command is taken apart.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "mod/ssi_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COMMAND_MAX 256u

static void take_apart(const struct wr_strbuf *raw, struct wr_arena *a)
{
    struct wr_ssi_command c;
    struct wr_str copy;
    struct wr_strbuf err;
    char room[512];

    if (wr_arena_dup(a, wr_strbuf_str(raw), &copy) != WR_OK) {
        return;
    }
    wr_strbuf_init_fixed(&err, room, sizeof(room));
    if (wr_ssi_parse((char *)(uintptr_t)copy.ptr, copy.len, 64, &c, &err) == WR_OK) {
        WR_ASSERT(c.name.len > 0 && c.cnt <= WR_SSI_PARAMS_MAX);
        for (uint32_t i = 0; i < c.cnt; i++) {
            WR_ASSERT(c.params[i].name.len > 0 && c.params[i].value.len <= 64);
            WR_ASSERT(c.params[i].value.ptr >= copy.ptr &&
                      c.params[i].value.ptr + c.params[i].value.len <= copy.ptr + copy.len);
        }
    }
}

static void scan(struct wr_arena *a, struct wr_str in, size_t step, struct wr_strbuf *out)
{
    struct wr_ssi_scan s;
    size_t at = 0;

    wr_ssi_scan_init(&s, a, COMMAND_MAX);
    while (at < in.len) {
        struct wr_str text = WR_STR_NULL;
        size_t used = 0, n = WR_MIN(step, in.len - at);
        enum wr_ssi_event e = wr_ssi_scan(&s, in.ptr + at, n, &used, &text);

        WR_ASSERT(used <= n && (used > 0 || e == WR_SSI_TEXT));
        if (e == WR_SSI_TEXT) {
            WR_ASSERT(text.len > 0);
            wr_strbuf_add_str(out, text);
        } else if (e == WR_SSI_COMMAND) {
            wr_strbuf_add_char(out, '\0');
            wr_strbuf_add_str(out, wr_strbuf_str(&s.raw));
            take_apart(&s.raw, a);
        } else if (e == WR_SSI_TOO_LONG) {
            wr_strbuf_add_char(out, '\1');
        }
        at += used;
    }
    wr_strbuf_add_str(out, wr_ssi_scan_end(&s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_strbuf whole, pieces;
    struct wr_arena a;

    if (size < 1 || size > 65536) {
        return 0;
    }
    wr_arena_init(&a, 16 << 20);
    wr_strbuf_init(&whole, 1 << 20);
    wr_strbuf_init(&pieces, 1 << 20);
    scan(&a, wr_str((const char *)data + 1, size - 1), size, &whole);
    scan(&a, wr_str((const char *)data + 1, size - 1), data[0] + 1u, &pieces);
    WR_ASSERT(wr_str_eq(wr_strbuf_str(&whole), wr_strbuf_str(&pieces)));
    wr_strbuf_fini(&whole);
    wr_strbuf_fini(&pieces);
    wr_arena_fini(&a);
    return 0;
}
