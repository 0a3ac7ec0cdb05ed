/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_cgi_codec.c: any bytes as the head of a CGI answer, whole and cut where the first byte says:
 * the same result, and nothing in the message that could end a line. One thread.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "http/h1_write.h"
#include "proto/cgi_codec.h"

static void check_field(const struct wr_hdr *h)
{
    if (h->name.len == 0 || memchr(h->name.ptr, ':', h->name.len) != NULL ||
        !wr_h1_value_is_safe(h->name) || !wr_h1_value_is_safe(h->value)) {
        abort();
    }
}

static enum wr_cgi_result run(struct wr_arena *a, struct wr_msg *m, const char *p, size_t n,
                              size_t cut, size_t *used)
{
    struct wr_cgi_head c;
    enum wr_cgi_result res = WR_CGI_MORE;

    wr_msg_init(m, a, 64);
    wr_cgi_head_init(&c);
    if (cut < n) {
        res = wr_cgi_head_parse(&c, p, cut, m, used);
    }
    if (res == WR_CGI_MORE) {
        res = wr_cgi_head_parse(&c, p, n, m, used);
    }
    if (res == WR_CGI_BAD) {
        (void)wr_cgi_head_why(&c, a); /* its words are for the log */
    }
    return res;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_msg whole, cut;
    size_t used[2] = {0, 0};
    enum wr_cgi_result res;
    struct wr_arena a;

    if (size == 0) {
        return 0;
    }
    wr_arena_init(&a, 1 << 20);
    res = run(&a, &whole, (const char *)data + 1, size - 1, SIZE_MAX, &used[0]);
    if (run(&a, &cut, (const char *)data + 1, size - 1, data[0], &used[1]) != res) {
        abort();
    }
    if (res == WR_CGI_DONE &&
        (used[0] != used[1] || used[0] > size - 1 || whole.status != cut.status ||
         whole.status < 100 || whole.status > 999 || whole.hdrs.cnt != cut.hdrs.cnt)) {
        abort();
    }
    for (uint32_t i = 0; i < whole.hdrs.cnt; i++) {
        check_field(&whole.hdrs.at[i]);
    }
    wr_arena_fini(&a);
    return 0;
}
