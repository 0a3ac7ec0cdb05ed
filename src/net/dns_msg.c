/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_msg.c: see dns_msg.h.
 *
 *   header 12 bytes | question | answers | authority | additional
 *   record: name | type 2 | class 2 | ttl 4 | rdlength 2 | rdata
 *
 * The walk steps over names without reading them; data are looked at within their rdlength.
 */
#include "net/dns_msg.h"

#include <string.h>

/* What newer ones advise does not exist in those of Debian 12 and Ubuntu 22.04. */
#define CARES_NO_DEPRECATED
#include <ares.h>

#define HEADER_LEN 12
#define CLASS_IN   1
#define TTL_MAX    604800u /* a week */

struct record {
    uint16_t type, class;
    uint32_t ttl;
    size_t data, data_len; /* offset in the message */
};

struct cursor {
    struct wr_dns_bytes b;
    size_t off;
    uint32_t left; /* records of the section */
};

static uint16_t get16(struct wr_dns_bytes b, size_t off)
{
    return (uint16_t)(b.at[off] << 8 | b.at[off + 1]);
}

static uint32_t get32(struct wr_dns_bytes b, size_t off)
{
    return (uint32_t)get16(b, off) << 16 | get16(b, off + 2);
}

static bool has(struct wr_dns_bytes b, size_t off, size_t n)
{
    return off <= b.len && n <= b.len - off;
}

/* Moves *off behind the name there; a name ends with an empty label or a pointer. */
static enum wr_status skip_name(struct wr_dns_bytes b, size_t *off)
{
    uint8_t len;

    do {
        if (!has(b, *off, 1)) {
            return WR_EPROTO;
        }
        len = b.at[*off];
        if (len >= 0xc0) {
            *off += 2;
            break;
        }
        if (len >= 0x40) {
            return WR_EPROTO;
        }
        *off += 1 + (size_t)len;
    } while (len != 0);
    return *off <= b.len ? WR_OK : WR_EPROTO;
}

static enum wr_status open_answers(struct wr_dns_bytes b, struct cursor *c)
{
    size_t off = HEADER_LEN;

    if (b.len < HEADER_LEN || get16(b, 4) != 1 || skip_name(b, &off) != WR_OK || !has(b, off, 4)) {
        return WR_EPROTO;
    }
    *c = (struct cursor){.b = b, .off = off + 4, .left = get16(b, 6)};
    return WR_OK;
}

static uint32_t clamp_ttl(uint32_t ttl)
{
    return ttl > INT32_MAX ? 0 : WR_MIN(ttl, TTL_MAX); /* RFC 2181 8 */
}

/* WR_EOF: the section is over. */
static enum wr_status next_record(struct cursor *c, struct record *r)
{
    size_t off = c->off;

    if (c->left == 0) {
        return WR_EOF;
    }
    if (skip_name(c->b, &off) != WR_OK || !has(c->b, off, 10)) {
        return WR_EPROTO;
    }
    r->type = get16(c->b, off);
    r->class = get16(c->b, off + 2);
    r->ttl = clamp_ttl(get32(c->b, off + 4));
    r->data_len = get16(c->b, off + 8);
    r->data = off + 10;
    if (!has(c->b, r->data, r->data_len)) {
        return WR_EPROTO;
    }
    c->off = r->data + r->data_len;
    c->left--;
    return WR_OK;
}

/* The least TTL of the answers of this type and of the aliases before them. */
static enum wr_status read_ttl(struct wr_dns_bytes b, uint16_t type, uint32_t *ret_ttl)
{
    uint32_t ttl = TTL_MAX;
    struct cursor c;
    struct record r;
    enum wr_status st;

    if (open_answers(b, &c) != WR_OK) {
        return WR_EPROTO;
    }
    while ((st = next_record(&c, &r)) == WR_OK) {
        if (r.class == CLASS_IN && (r.type == type || r.type == WR_DNS_CNAME)) {
            ttl = WR_MIN(ttl, r.ttl);
        }
    }
    if (st != WR_EOF) {
        return st;
    }
    *ret_ttl = ttl;
    return WR_OK;
}

/* Of c-ares' readers of messages. */
static enum wr_status status_of(int ares)
{
    switch (ares) {
    case ARES_SUCCESS:
        return WR_OK;
    case ARES_ENODATA:
        return WR_EOF;
    case ARES_ENOMEM:
        return WR_ENOMEM;
    default: /* numbers of a library */
        return WR_EPROTO;
    }
}

static enum wr_status read_in4(struct wr_dns_bytes b, struct wr_addr *ret, int *cnt, uint32_t *ttl)
{
    struct ares_addrttl at[WR_DNS_RECORDS_MAX];
    enum wr_status st = status_of(ares_parse_a_reply(b.at, (int)b.len, NULL, at, cnt));
    int i;

    for (i = 0; st == WR_OK && i < *cnt; i++) {
        memset(&ret[i], 0, sizeof(ret[i]));
        ret[i].len = sizeof(ret[i].u.in);
        ret[i].u.in.sin_family = AF_INET;
        ret[i].u.in.sin_addr = at[i].ipaddr;
        *ttl = WR_MIN(*ttl, clamp_ttl((uint32_t)at[i].ttl));
    }
    return st;
}

static enum wr_status read_in6(struct wr_dns_bytes b, struct wr_addr *ret, int *cnt, uint32_t *ttl)
{
    struct ares_addr6ttl at[WR_DNS_RECORDS_MAX];
    enum wr_status st = status_of(ares_parse_aaaa_reply(b.at, (int)b.len, NULL, at, cnt));
    int i;

    for (i = 0; st == WR_OK && i < *cnt; i++) {
        memset(&ret[i], 0, sizeof(ret[i]));
        ret[i].len = sizeof(ret[i].u.in6);
        ret[i].u.in6.sin6_family = AF_INET6;
        memcpy(&ret[i].u.in6.sin6_addr, &at[i].ip6addr, sizeof(at[i].ip6addr));
        *ttl = WR_MIN(*ttl, clamp_ttl((uint32_t)at[i].ttl));
    }
    return st;
}

enum wr_status wr_dns_msg_addrs(struct wr_dns_bytes b, enum wr_dns_type type, struct wr_addr *ret,
                                size_t max, size_t *ret_cnt, uint32_t *ret_ttl)
{
    int cnt = (int)WR_MIN(max, (size_t)WR_DNS_RECORDS_MAX);
    uint32_t ttl = TTL_MAX;
    enum wr_status st;

    if (b.len > UINT16_MAX) {
        return WR_EPROTO;
    }
    st = type == WR_DNS_A ? read_in4(b, ret, &cnt, &ttl) : read_in6(b, ret, &cnt, &ttl);
    if (st != WR_OK || cnt <= 0) {
        return st != WR_OK ? st : WR_EOF;
    }
    *ret_cnt = (size_t)cnt;
    *ret_ttl = ttl;
    return WR_OK;
}

/* Printing characters, and no escape (c-ares writes some of the others as such). */
static bool is_host_name(struct wr_str s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        uint8_t ch = (uint8_t)s.ptr[i];

        if (ch <= ' ' || ch >= 0x7f || ch == '\\') {
            return false;
        }
    }
    return s.len <= WR_DNS_NAME_MAX;
}

enum wr_status wr_dns_msg_srvs(struct wr_dns_bytes b, struct wr_dns_srv *ret, size_t max,
                               size_t *ret_cnt, uint32_t *ret_ttl)
{
    struct ares_srv_reply *first = NULL, *s;
    uint32_t ttl = 0;
    size_t cnt = 0;
    enum wr_status st;

    if (b.len > UINT16_MAX || read_ttl(b, WR_DNS_SRV, &ttl) != WR_OK) {
        return WR_EPROTO;
    }
    st = status_of(ares_parse_srv_reply(b.at, (int)b.len, &first));
    for (s = first; st == WR_OK && s != NULL && cnt < max; s = s->next) {
        struct wr_str name = wr_str_z(s->host);

        if (!is_host_name(name)) {
            continue;
        }
        ret[cnt] = (struct wr_dns_srv){.priority = s->priority,
                                       .weight = s->weight,
                                       .port = s->port,
                                       .name_len = (uint16_t)name.len};
        memcpy(ret[cnt].name, name.ptr, name.len);
        cnt++;
    }
    ares_free_data(first);
    if (st != WR_OK || cnt == 0) {
        return st != WR_OK ? st : WR_EOF;
    }
    *ret_cnt = cnt;
    *ret_ttl = ttl;
    return WR_OK;
}

enum wr_status wr_dns_msg_negative_ttl(struct wr_dns_bytes b, uint32_t *ret_ttl)
{
    struct cursor c;
    struct record r;
    enum wr_status st;

    if (open_answers(b, &c) != WR_OK) {
        return WR_EPROTO;
    }
    c.left += get16(b, 8); /* the SOA stands in the authority section */
    while ((st = next_record(&c, &r)) == WR_OK) {
        if (r.type == WR_DNS_SOA && r.class == CLASS_IN && r.data_len >= 22) {
            /* Its last field is the minimum. */
            *ret_ttl = WR_MIN(r.ttl, clamp_ttl(get32(b, r.data + r.data_len - 4)));
            return WR_OK;
        }
    }
    return st;
}
