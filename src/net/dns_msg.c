/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_msg.c: see dns_msg.h.
 *
 *   header 12 bytes | question | answers | authority | additional
 *   record: name | type 2 | class 2 | ttl 4 | rdlength 2 | rdata
 *
 * A cursor walks the records in order; data are looked at within their rdlength.
 */
#include "net/dns_msg.h"

#include <string.h>

#define HEADER_LEN    12
#define CLASS_IN      1
#define ALIASES_MAX   16
#define JUMPS_MAX     32
#define TTL_MAX       604800u /* a week */
#define NAME_WIRE_MAX 255

struct name {
    char text[NAME_WIRE_MAX + 1];
    size_t len;
};

struct record {
    struct name owner;
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

/* One label to the end of the name. A byte that no host name has makes the name useless. */
static bool add_label(struct name *n, const uint8_t *p, size_t len)
{
    size_t i;

    if (n->len + len + 1 > NAME_WIRE_MAX) {
        return false;
    }
    if (n->len > 0) {
        n->text[n->len++] = '.';
    }
    for (i = 0; i < len; i++) {
        if (p[i] <= ' ' || p[i] >= 0x7f || p[i] == '.') {
            return false;
        }
        n->text[n->len++] = (char)p[i];
    }
    return true;
}

/* The name at *off, which is moved behind it. */
static enum wr_status read_name(struct wr_dns_bytes b, size_t *off, struct name *ret)
{
    size_t at = *off, end = 0, least = *off;
    unsigned jumps = 0;
    uint8_t len;

    ret->len = 0;
    for (;;) {
        if (!has(b, at, 1)) {
            return WR_EPROTO;
        }
        len = b.at[at];
        if (len >= 0xc0) {
            if (!has(b, at, 2)) {
                return WR_EPROTO;
            }
            end = end == 0 ? at + 2 : end;
            at = get16(b, at) & 0x3fffu;
            /* Only backwards, so that it ends. */
            if (at >= least || ++jumps > JUMPS_MAX) {
                return WR_EPROTO;
            }
            least = at;
            continue;
        }
        if (len >= 0x40 || !has(b, at + 1, len)) {
            return WR_EPROTO;
        }
        if (len == 0) {
            break;
        }
        if (!add_label(ret, b.at + at + 1, len)) {
            return WR_EPROTO;
        }
        at += 1 + (size_t)len;
    }
    *off = end == 0 ? at + 1 : end;
    return WR_OK;
}

/* To the first record of the answers; *ret_name is what was asked. */
static enum wr_status open_answers(struct wr_dns_bytes b, struct cursor *c, struct name *ret_name)
{
    size_t off = HEADER_LEN;

    if (b.len < HEADER_LEN || get16(b, 4) != 1 || read_name(b, &off, ret_name) != WR_OK ||
        !has(b, off, 4)) {
        return WR_EPROTO;
    }
    *c = (struct cursor){.b = b, .off = off + 4, .left = get16(b, 6)};
    return WR_OK;
}

/* WR_EOF: the section is over. */
static enum wr_status next_record(struct cursor *c, struct record *r)
{
    size_t off = c->off;

    if (c->left == 0) {
        return WR_EOF;
    }
    if (read_name(c->b, &off, &r->owner) != WR_OK || !has(c->b, off, 10)) {
        return WR_EPROTO;
    }
    r->type = get16(c->b, off);
    r->class = get16(c->b, off + 2);
    r->ttl = get32(c->b, off + 4);
    if (r->ttl > INT32_MAX) {
        r->ttl = 0; /* RFC 2181 8 */
    }
    r->ttl = WR_MIN(r->ttl, TTL_MAX);
    r->data_len = get16(c->b, off + 8);
    r->data = off + 10;
    if (!has(c->b, r->data, r->data_len)) {
        return WR_EPROTO;
    }
    c->off = r->data + r->data_len;
    c->left--;
    return WR_OK;
}

static bool is_about(const struct record *r, const struct name *n)
{
    return r->class == CLASS_IN &&
           wr_str_ieq(wr_str(r->owner.text, r->owner.len), wr_str(n->text, n->len));
}

/* Whom the asked name is an alias of in the end; servers may send aliases in any order. */
static enum wr_status follow_aliases(const struct cursor *answers, struct name *n, uint32_t *ttl)
{
    struct cursor c = *answers;
    struct record r;
    unsigned hops = 0;
    enum wr_status st;
    size_t off;

    while ((st = next_record(&c, &r)) == WR_OK) {
        if (r.type != WR_DNS_CNAME || !is_about(&r, n)) {
            continue;
        }
        off = r.data;
        if (++hops > ALIASES_MAX || read_name(c.b, &off, n) != WR_OK) {
            return WR_EPROTO;
        }
        *ttl = WR_MIN(*ttl, r.ttl);
        c = *answers;
    }
    return st == WR_EOF ? WR_OK : st;
}

static void set_addr(const struct cursor *c, const struct record *r, struct wr_addr *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (r->type == WR_DNS_A) {
        ret->len = sizeof(ret->u.in);
        ret->u.in.sin_family = AF_INET;
        memcpy(&ret->u.in.sin_addr, c->b.at + r->data, 4);
    } else {
        ret->len = sizeof(ret->u.in6);
        ret->u.in6.sin6_family = AF_INET6;
        memcpy(&ret->u.in6.sin6_addr, c->b.at + r->data, 16);
    }
}

enum wr_status wr_dns_msg_addrs(struct wr_dns_bytes b, enum wr_dns_type type, struct wr_addr *ret,
                                size_t max, size_t *ret_cnt, uint32_t *ret_ttl)
{
    size_t want = type == WR_DNS_A ? 4 : 16, cnt = 0;
    uint32_t ttl = TTL_MAX;
    struct cursor c;
    struct record r;
    struct name n;
    enum wr_status st;

    if (open_answers(b, &c, &n) != WR_OK || follow_aliases(&c, &n, &ttl) != WR_OK) {
        return WR_EPROTO;
    }
    while ((st = next_record(&c, &r)) == WR_OK) {
        if (r.type != (uint16_t)type || !is_about(&r, &n) || cnt == max) {
            continue;
        }
        if (r.data_len != want) {
            return WR_EPROTO;
        }
        set_addr(&c, &r, &ret[cnt++]);
        ttl = WR_MIN(ttl, r.ttl);
    }
    if (st != WR_EOF || cnt == 0) {
        return st;
    }
    *ret_cnt = cnt;
    *ret_ttl = ttl;
    return WR_OK;
}

static enum wr_status read_srv(const struct cursor *c, const struct record *r,
                               struct wr_dns_srv *ret)
{
    size_t off = r->data + 6;
    struct name n;

    if (r->data_len < 7 || read_name(c->b, &off, &n) != WR_OK || off > r->data + r->data_len ||
        n.len > WR_DNS_NAME_MAX) {
        return WR_EPROTO;
    }
    ret->priority = get16(c->b, r->data);
    ret->weight = get16(c->b, r->data + 2);
    ret->port = get16(c->b, r->data + 4);
    memcpy(ret->name, n.text, n.len);
    ret->name[n.len] = '\0';
    ret->name_len = (uint16_t)n.len;
    return WR_OK;
}

enum wr_status wr_dns_msg_srvs(struct wr_dns_bytes b, struct wr_dns_srv *ret, size_t max,
                               size_t *ret_cnt, uint32_t *ret_ttl)
{
    uint32_t ttl = TTL_MAX;
    size_t cnt = 0;
    struct cursor c;
    struct record r;
    struct name n;
    enum wr_status st;

    if (open_answers(b, &c, &n) != WR_OK || follow_aliases(&c, &n, &ttl) != WR_OK) {
        return WR_EPROTO;
    }
    while ((st = next_record(&c, &r)) == WR_OK) {
        if (r.type != WR_DNS_SRV || !is_about(&r, &n) || cnt == max) {
            continue;
        }
        if (read_srv(&c, &r, &ret[cnt]) != WR_OK) {
            return WR_EPROTO;
        }
        cnt++;
        ttl = WR_MIN(ttl, r.ttl);
    }
    if (st != WR_EOF || cnt == 0) {
        return st;
    }
    *ret_cnt = cnt;
    *ret_ttl = ttl;
    return WR_OK;
}

enum wr_status wr_dns_msg_negative_ttl(struct wr_dns_bytes b, uint32_t *ret_ttl)
{
    struct cursor c;
    struct record r;
    struct name n;
    enum wr_status st;
    uint32_t minimum;

    if (open_answers(b, &c, &n) != WR_OK) {
        return WR_EPROTO;
    }
    c.left += get16(b, 8); /* the SOA stands in the authority section */
    while ((st = next_record(&c, &r)) == WR_OK) {
        if (r.type == WR_DNS_SOA && r.class == CLASS_IN && r.data_len >= 22) {
            minimum = get32(b, r.data + r.data_len - 4);
            *ret_ttl = WR_MIN(r.ttl, WR_MIN(minimum, TTL_MAX));
            return WR_OK;
        }
    }
    return st;
}
