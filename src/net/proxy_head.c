/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_head.c: see proxy_head.h. Written from the specification of the PROXY protocol, section
 * numbers are its.
 */
#include "net/proxy_head.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/num.h"

enum {
    V2_HEAD = 16,
    V2_VERSION = 2,
    TLV_HEAD = 3,
    ADDRS_V4 = 12,
    ADDRS_V6 = 36,
    ADDRS_UNIX = 216
};

enum v2_command {
    V2_LOCAL,
    V2_PROXY
};

enum v2_family {
    V2_UNSPEC,
    V2_INET,
    V2_INET6,
    V2_UNIX
};

enum v2_protocol {
    V2_ANY,
    V2_STREAM,
    V2_DGRAM
};

static const char v1_signature[] = "PROXY ";
static const char v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";

#define V1_SIGNATURE (sizeof(v1_signature) - 1)
#define V2_SIGNATURE (sizeof(v2_signature) - 1)

/* ---- version 1 (2.1) ------------------------------------------------------------------------ */

static bool read_port(struct wr_str s, uint64_t *ret)
{
    return s.len <= 5 && wr_num_parse_u64(s, UINT16_MAX, ret) == WR_OK;
}

static bool read_addr(struct wr_str s, uint64_t port, int family, struct wr_addr *ret)
{
    return s.len > 0 && s.ptr[0] != '[' && wr_addr_parse_ip(s, (uint16_t)port, ret) == WR_OK &&
           ret->u.sa.sa_family == family;
}

/* One blank in front of each; empty ones are no words. */
static bool take_word(struct wr_str *line, struct wr_str *ret)
{
    return line->len > 0 && wr_str_split(line, ' ', ret) && ret->len > 0;
}

/* What is behind "PROXY ", without CR LF. */
static bool read_line(struct wr_str line, struct wr_proxy_head *h)
{
    struct wr_str word, src, dst, sport, dport;
    uint64_t from = 0, to = 0;
    int family;

    if (!take_word(&line, &word)) {
        return false;
    }
    if (wr_str_eq_z(word, "UNKNOWN")) {
        return true; /* whatever follows says nothing */
    }
    if (!wr_str_eq_z(word, "TCP4") && !wr_str_eq_z(word, "TCP6")) {
        return false;
    }
    family = word.ptr[3] == '4' ? AF_INET : AF_INET6;
    return take_word(&line, &src) && take_word(&line, &dst) && take_word(&line, &sport) &&
           take_word(&line, &dport) && line.len == 0 && dport.ptr[dport.len] == '\r' &&
           read_port(sport, &from) && read_port(dport, &to) &&
           read_addr(src, from, family, &h->client) && read_addr(dst, to, family, &h->server);
}

static enum wr_status parse_v1(const char *p, size_t n, struct wr_proxy_head *ret, size_t *ret_len)
{
    struct wr_proxy_head h = {.version = 1};
    size_t max = WR_MIN(n, (size_t)WR_PROXY_HEAD_V1_MAX);
    const char *lf = memchr(p, '\n', max);
    size_t len = lf ? (size_t)(lf - p) + 1 : 0;

    if (!lf) {
        return max == WR_PROXY_HEAD_V1_MAX ? WR_EPROTO : WR_AGAIN;
    }
    if (p[len - 2] != '\r' || memchr(p, '\r', len - 2) ||
        !read_line(wr_str(p + V1_SIGNATURE, len - 2 - V1_SIGNATURE), &h)) {
        return WR_EPROTO;
    }
    *ret = h;
    *ret_len = len;
    return WR_OK;
}

/* ---- version 2 (2.2) ------------------------------------------------------------------------ */

static size_t read_u16(const char *p)
{
    return (size_t)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static void read_v4(const char *p, const char *port, struct wr_addr *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->len = sizeof(ret->u.in);
    ret->u.in.sin_family = AF_INET;
    memcpy(&ret->u.in.sin_addr, p, sizeof(ret->u.in.sin_addr));
    ret->u.in.sin_port = htons((uint16_t)read_u16(port));
}

static void read_v6(const char *p, const char *port, struct wr_addr *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->len = sizeof(ret->u.in6);
    ret->u.in6.sin6_family = AF_INET6;
    memcpy(&ret->u.in6.sin6_addr, p, sizeof(ret->u.in6.sin6_addr));
    ret->u.in6.sin6_port = htons((uint16_t)read_u16(port));
}

/* Bytes of addresses of a family; SIZE_MAX: there is no such family. */
static size_t addrs_len(unsigned family)
{
    static const size_t lens[] = {
        [V2_UNSPEC] = 0, [V2_INET] = ADDRS_V4, [V2_INET6] = ADDRS_V6, [V2_UNIX] = ADDRS_UNIX};

    return family < WR_ARRAY_LEN(lens) ? lens[family] : SIZE_MAX;
}

static bool are_tlvs_whole(struct wr_str s)
{
    while (s.len > 0) {
        size_t len;

        if (s.len < TLV_HEAD) {
            return false;
        }
        len = TLV_HEAD + read_u16(s.ptr + 1);
        if (len > s.len) {
            return false;
        }
        s = wr_str(s.ptr + len, s.len - len);
    }
    return true;
}

/* The bytes behind the first 16; NULL: they are good. */
static const char *read_v2(unsigned family, unsigned protocol, struct wr_str body,
                           struct wr_proxy_head *h)
{
    size_t addrs = addrs_len(family);

    if (addrs == SIZE_MAX) {
        return "unknown PROXY protocol address family";
    }
    if (protocol > V2_DGRAM) {
        return "unknown PROXY protocol transport";
    }
    if (body.len < addrs) {
        return "not enough bytes for PROXY protocol addresses";
    }
    if (family == V2_UNSPEC) {
        return NULL; /* 2.2: the receiver ignores the address part, and here nobody knows its end */
    }
    h->tlvs = wr_str(body.ptr + addrs, body.len - addrs);
    if (!are_tlvs_whole(h->tlvs)) {
        return "invalid PROXY protocol TLV";
    }
    if (protocol == V2_STREAM && family == V2_INET) {
        read_v4(body.ptr, body.ptr + 8, &h->client);
        read_v4(body.ptr + 4, body.ptr + 10, &h->server);
    } else if (protocol == V2_STREAM && family == V2_INET6) {
        read_v6(body.ptr, body.ptr + 32, &h->client);
        read_v6(body.ptr + 16, body.ptr + 34, &h->server);
    }
    return NULL;
}

static enum wr_status parse_v2(const char *p, size_t n, struct wr_proxy_head *ret, size_t *ret_len,
                               const char **ret_why)
{
    struct wr_proxy_head h = {.version = 2};
    unsigned version, command, family;
    size_t len;
    const char *why = NULL;

    if (n <= V2_SIGNATURE) {
        return WR_AGAIN;
    }
    version = (unsigned char)p[V2_SIGNATURE] >> 4;
    command = (unsigned char)p[V2_SIGNATURE] & 15;
    if (version != V2_VERSION || command > V2_PROXY) {
        *ret_why = version != V2_VERSION ? "unknown PROXY protocol version"
                                         : "unknown PROXY protocol command";
        return WR_EPROTO;
    }
    if (n < V2_HEAD) {
        return WR_AGAIN;
    }
    len = V2_HEAD + read_u16(p + V2_SIGNATURE + 2);
    if (len > WR_PROXY_HEAD_MAX) {
        *ret_why = "header is too large";
        return WR_ELIMIT;
    }
    if (n < len) {
        return WR_AGAIN;
    }
    family = (unsigned char)p[V2_SIGNATURE + 1];
    if (command == V2_PROXY) {
        why = read_v2(family >> 4, family & 15, wr_str(p + V2_HEAD, len - V2_HEAD), &h);
    }
    if (why) {
        *ret_why = why;
        return WR_EPROTO;
    }
    *ret = h;
    *ret_len = len;
    return WR_OK;
}

/* ---- for all -------------------------------------------------------------------------------- */

enum wr_status wr_proxy_head_parse(const char *p, size_t n, struct wr_proxy_head *ret,
                                   size_t *ret_len, const char **ret_why)
{
    *ret_why = "";
    if (n == 0) {
        return WR_AGAIN;
    }
    if (memcmp(p, v1_signature, WR_MIN(n, V1_SIGNATURE)) == 0) {
        return n < V1_SIGNATURE ? WR_AGAIN : parse_v1(p, n, ret, ret_len);
    }
    if (memcmp(p, v2_signature, WR_MIN(n, V2_SIGNATURE)) == 0) {
        return parse_v2(p, n, ret, ret_len, ret_why);
    }
    return WR_EPROTO;
}

bool wr_proxy_tlv_find(struct wr_str tlvs, uint8_t type, struct wr_str *ret)
{
    while (tlvs.len >= TLV_HEAD) {
        size_t len = read_u16(tlvs.ptr + 1);

        if (len > tlvs.len - TLV_HEAD) {
            return false;
        }
        if ((unsigned char)tlvs.ptr[0] == type) {
            *ret = wr_str(tlvs.ptr + TLV_HEAD, len);
            return true;
        }
        tlvs = wr_str(tlvs.ptr + TLV_HEAD + len, tlvs.len - TLV_HEAD - len);
    }
    return false;
}
