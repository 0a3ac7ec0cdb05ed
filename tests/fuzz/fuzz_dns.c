/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dns.c: any bytes as the answer of a name server. What is taken is within its bounds, and a
 * time to live is never longer than a week.
 */
#include "base/assert.h"
#include "net/dns_msg.h"

#define WEEK 604800u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_addrs(struct wr_dns_bytes b, enum wr_dns_type type)
{
    struct wr_addr at[WR_DNS_RECORDS_MAX];
    uint32_t ttl = 0;
    size_t cnt = 0, i;

    if (wr_dns_msg_addrs(b, type, at, WR_DNS_RECORDS_MAX, &cnt, &ttl) != WR_OK) {
        return;
    }
    WR_ASSERT(cnt > 0 && cnt <= WR_DNS_RECORDS_MAX && ttl <= WEEK);
    for (i = 0; i < cnt; i++) {
        WR_ASSERT(at[i].u.sa.sa_family == (type == WR_DNS_A ? AF_INET : AF_INET6));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_dns_bytes b = {data, size};
    struct wr_dns_srv at[WR_DNS_RECORDS_MAX];
    uint32_t ttl = 0;
    size_t cnt = 0, i;

    check_addrs(b, WR_DNS_A);
    check_addrs(b, WR_DNS_AAAA);
    if (wr_dns_msg_srvs(b, at, WR_DNS_RECORDS_MAX, &cnt, &ttl) == WR_OK) {
        WR_ASSERT(cnt > 0 && cnt <= WR_DNS_RECORDS_MAX && ttl <= WEEK);
        for (i = 0; i < cnt; i++) {
            WR_ASSERT(at[i].name_len <= WR_DNS_NAME_MAX);
            WR_ASSERT(wr_str_find(wr_str(at[i].name, at[i].name_len), '\0') == at[i].name_len);
        }
    }
    ttl = 0;
    (void)!wr_dns_msg_negative_ttl(b, &ttl);
    WR_ASSERT(ttl <= WEEK);
    return 0;
}
