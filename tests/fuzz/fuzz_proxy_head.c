/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_proxy_head.c: any bytes as a header of the PROXY protocol. What is found whole is found the
 * same with less behind it and never with less of it; what was refused stays refused.
 */
#include "base/assert.h"
#include "base/compiler.h"
#include "net/proxy_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_whole(const char *p, const struct wr_proxy_head *h, size_t len)
{
    struct wr_proxy_head less;
    const char *why;
    struct wr_str v;
    size_t n = 0;

    WR_ASSERT(len <= WR_PROXY_HEAD_MAX && (h->version == 1 || h->version == 2));
    WR_ASSERT((h->client.len == 0) == (h->server.len == 0));
    WR_ASSERT(h->client.u.sa.sa_family == h->server.u.sa.sa_family);
    WR_ASSERT(wr_proxy_head_parse(p, len, &less, &n, &why) == WR_OK && n == len);
    WR_ASSERT(wr_addr_eq(&less.client, &h->client) || h->client.len == 0);
    WR_ASSERT(wr_proxy_head_parse(p, len - 1, &less, &n, &why) == WR_AGAIN);
    for (unsigned type = 0; type < 256; type++) {
        if (wr_proxy_tlv_find(h->tlvs, (uint8_t)type, &v)) {
            WR_ASSERT(v.len < h->tlvs.len);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    struct wr_proxy_head h;
    const char *why = NULL;
    size_t len = 0;
    enum wr_status st = wr_proxy_head_parse(p, size, &h, &len, &why);

    WR_ASSERT(why != NULL);
    if (st == WR_OK) {
        check_whole(p, &h, len);
    } else if (st == WR_AGAIN) {
        WR_ASSERT(size < WR_PROXY_HEAD_MAX);
    } else {
        WR_ASSERT(st == WR_EPROTO || st == WR_ELIMIT);
    }
    return 0;
}
