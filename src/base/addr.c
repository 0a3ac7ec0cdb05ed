/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr.c: addresses from text and back. IP literals are read and written by the C library's
 * inet_pton and inet_ntop (no zone ids, no short forms); everything around them is here. A unix
 * address has the length that its name needs, an abstract one without a '\0' behind.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <stddef.h>

#include "base/chars.h"
#include "base/num.h"

#define UN_PATH_OFF offsetof(struct sockaddr_un, sun_path)
#define UN_PATH_MAX sizeof(((struct sockaddr_un *)NULL)->sun_path)

_Static_assert(sizeof("unix:") + UN_PATH_MAX <= WR_ADDR_TEXT_MAX, "each unix address has its text");

/* s as a literal of this family into out (4 or 16 bytes). */
static bool read_ip(int family, struct wr_str s, void *out)
{
    char z[INET6_ADDRSTRLEN + 1];

    if (s.len == 0 || s.len >= sizeof(z) || memchr(s.ptr, '\0', s.len) != NULL) {
        return false;
    }
    memcpy(z, s.ptr, s.len);
    z[s.len] = '\0';
    return inet_pton(family, z, out) == 1;
}

enum wr_status wr_addr_parse_ip(struct wr_str s, uint16_t port, struct wr_addr *ret)
{
    struct wr_addr a = {0};

    if (read_ip(AF_INET, s, &a.u.in.sin_addr)) {
        a.u.in.sin_family = AF_INET;
        a.u.in.sin_port = htons(port);
        a.len = sizeof(a.u.in);
        *ret = a;
        return WR_OK;
    }
    if (s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']') {
        s = wr_str(s.ptr + 1, s.len - 2);
    }
    if (!read_ip(AF_INET6, s, &a.u.in6.sin6_addr)) {
        return WR_EPROTO;
    }
    a.u.in6.sin6_family = AF_INET6;
    a.u.in6.sin6_port = htons(port);
    a.len = sizeof(a.u.in6);
    *ret = a;
    return WR_OK;
}

enum wr_status wr_addr_parse_unix(struct wr_str s, struct wr_addr *ret)
{
    const struct wr_str prefix = WR_STR("unix:");
    struct wr_addr a = {0};
    bool is_abstract;

    if (!wr_str_has_prefix(s, prefix)) {
        return WR_EPROTO;
    }
    s = wr_str_sub(s, prefix.len, s.len);
    if (s.len == 0 || s.len >= UN_PATH_MAX || memchr(s.ptr, '\0', s.len) != NULL) {
        return WR_EPROTO;
    }
    is_abstract = s.ptr[0] == '@';
    a.u.un.sun_family = AF_UNIX;
    memcpy(a.u.un.sun_path, s.ptr, s.len);
    if (is_abstract) {
        a.u.un.sun_path[0] = '\0';
    }
    a.len = (socklen_t)(UN_PATH_OFF + s.len + (is_abstract ? 0 : 1));
    *ret = a;
    return WR_OK;
}

static int family_of(const struct wr_addr *a)
{
    return a->len < sizeof(sa_family_t) ? AF_UNSPEC : a->u.sa.sa_family;
}

void wr_addr_set_port(struct wr_addr *a, uint16_t port)
{
    if (family_of(a) == AF_INET) {
        a->u.in.sin_port = htons(port);
    } else if (family_of(a) == AF_INET6) {
        a->u.in6.sin6_port = htons(port);
    }
}

uint16_t wr_addr_port(const struct wr_addr *a)
{
    if (family_of(a) == AF_INET) {
        return ntohs(a->u.in.sin_port);
    }
    return family_of(a) == AF_INET6 ? ntohs(a->u.in6.sin6_port) : 0;
}

/* Name of a unix address: the path, or "@name" with its first byte '\0'; empty when unnamed. */
static struct wr_str unix_name(const struct wr_addr *a)
{
    size_t n = a->len <= UN_PATH_OFF ? 0 : WR_MIN(a->len - UN_PATH_OFF, UN_PATH_MAX);

    if (n != 0 && a->u.un.sun_path[0] != '\0') {
        n = strnlen(a->u.un.sun_path, n);
    }
    return wr_str(a->u.un.sun_path, n);
}

bool wr_addr_eq(const struct wr_addr *a, const struct wr_addr *b)
{
    if (family_of(a) != family_of(b)) {
        return false;
    }
    if (family_of(a) == AF_INET) {
        return a->u.in.sin_port == b->u.in.sin_port &&
               a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
    }
    if (family_of(a) == AF_INET6) {
        return a->u.in6.sin6_port == b->u.in6.sin6_port &&
               a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id &&
               memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr, 16) == 0;
    }
    return family_of(a) != AF_UNIX || wr_str_eq(unix_name(a), unix_name(b));
}

bool wr_addr_is_any(const struct wr_addr *a)
{
    static const uint8_t zero[16];
    const uint8_t *p;
    size_t n = wr_addr_bytes(a, &p);

    return n != 0 && memcmp(p, zero, n) == 0;
}

static size_t write_unix(const struct wr_addr *a, char *out)
{
    struct wr_str name = unix_name(a);

    memcpy(out, "unix:", 5);
    memcpy(out + 5, name.ptr, name.len);
    if (name.len != 0 && name.ptr[0] == '\0') {
        out[5] = '@';
    }
    out[5 + name.len] = '\0';
    return 5 + name.len;
}

static size_t write_ip(const struct wr_addr *a, char *out)
{
    const uint8_t *p;
    size_t n = wr_addr_bytes(a, &p);

    out[0] = '\0';
    if (n == 0 || inet_ntop(family_of(a), p, out, WR_ADDR_TEXT_MAX) == NULL) {
        return 0; /* no address; the room always does */
    }
    return strlen(out);
}

size_t wr_addr_write(const struct wr_addr *a, char *out)
{
    bool is_v6 = family_of(a) == AF_INET6;
    size_t n;

    if (family_of(a) == AF_UNIX) {
        return write_unix(a, out);
    }
    n = write_ip(a, out + is_v6) + is_v6;
    if (n == 0) {
        return 0;
    }
    if (is_v6) {
        out[0] = '[';
        out[n++] = ']';
    }
    out[n++] = ':';
    n += wr_num_write_u64(out + n, wr_addr_port(a));
    out[n] = '\0';
    return n;
}

size_t wr_addr_write_host(const struct wr_addr *a, char *out)
{
    if (family_of(a) == AF_UNIX) {
        memcpy(out, "unix:", sizeof("unix:"));
        return 5;
    }
    return write_ip(a, out);
}

size_t wr_addr_bytes(const struct wr_addr *a, const uint8_t **ret_p)
{
    if (family_of(a) == AF_INET) {
        *ret_p = (const uint8_t *)&a->u.in.sin_addr;
        return 4;
    }
    if (family_of(a) == AF_INET6) {
        *ret_p = (const uint8_t *)&a->u.in6.sin6_addr;
        return 16;
    }
    return 0;
}

/* Clears what lies outside the mask; true when there was something. */
static bool trim_net(struct wr_cidr *c)
{
    bool trimmed = false;

    for (size_t i = 0; i < 16; i++) {
        uint8_t kept = c->net[i] & c->mask[i];

        trimmed |= kept != c->net[i];
        c->net[i] = kept;
    }
    return trimmed;
}

static void set_mask(struct wr_cidr *c, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned here = bits > 8 * i ? WR_MIN(bits - 8 * i, 8u) : 0;

        c->mask[i] = (uint8_t)(0xff00u >> here);
    }
}

enum wr_status wr_cidr_parse(struct wr_str s, struct wr_cidr *ret, bool *ret_trimmed)
{
    size_t slash = wr_str_find(s, '/');
    struct wr_str ip = wr_str_sub(s, 0, slash);
    struct wr_cidr c = {0};
    uint64_t bits;

    if (wr_str_eq(s, WR_STR("all")) || wr_str_eq(s, WR_STR("unix:"))) {
        c.family = s.len == 3 ? AF_UNSPEC : AF_UNIX;
        *ret = c;
        *ret_trimmed = false;
        return WR_OK;
    }
    if (read_ip(AF_INET, ip, c.net)) {
        c.family = AF_INET;
        bits = 32;
    } else if (read_ip(AF_INET6, ip, c.net)) {
        c.family = AF_INET6;
        bits = 128;
    } else {
        return WR_EPROTO;
    }
    if (slash < s.len && wr_num_parse_u64(wr_str_sub(s, slash + 1, s.len), bits, &bits) != WR_OK) {
        return WR_EPROTO;
    }
    set_mask(&c, (unsigned)bits);
    *ret_trimmed = trim_net(&c);
    *ret = c;
    return WR_OK;
}

bool wr_cidr_has(const struct wr_cidr *c, const struct wr_addr *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const uint8_t *p;
    size_t n;

    if (c->family == AF_UNSPEC || c->family == AF_UNIX) {
        return c->family == AF_UNSPEC || family_of(a) == AF_UNIX;
    }
    n = wr_addr_bytes(a, &p);
    if (c->family == AF_INET && n == 16 && memcmp(p, mapped, sizeof(mapped)) == 0) {
        p += sizeof(mapped);
        n = 4;
    }
    if (n != (c->family == AF_INET ? 4u : 16u)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if ((p[i] & c->mask[i]) != c->net[i]) {
            return false;
        }
    }
    return true;
}

static enum wr_status refuse(const char **ret_err, const char *why)
{
    *ret_err = why;
    return WR_EPROTO;
}

static enum wr_status parse_unix_part(struct wr_str s, struct wr_hostport *h, const char **ret_err)
{
    size_t n = wr_str_find(s, ':');

    if (n == 0) {
        return refuse(ret_err, "no path in the unix domain socket");
    }
    if (n >= UN_PATH_MAX) {
        return refuse(ret_err, "too long path in the unix domain socket");
    }
    h->is_unix = true;
    h->host = wr_str_sub(s, 0, n);
    h->rest = wr_str_sub(s, n + 1, s.len);
    return WR_OK;
}

/* Takes the host off s; what is left begins with the port's colon, or is empty. */
static bool cut_host(struct wr_str *s, struct wr_hostport *h)
{
    struct in6_addr ip;
    size_t n;

    if (s->len != 0 && s->ptr[0] == '[') {
        n = wr_str_find(*s, ']');
        if (n == s->len) {
            return false;
        }
        h->is_v6 = true;
        h->host = wr_str_sub(*s, 1, n - 1);
        *s = wr_str_sub(*s, n + 1, s->len);
        return read_ip(AF_INET6, h->host, &ip) && (s->len == 0 || s->ptr[0] == ':');
    }
    n = wr_str_find(*s, ':');
    h->host = wr_str_sub(*s, 0, n);
    *s = wr_str_sub(*s, n, s->len);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)h->host.ptr[i];

        if (!wr_char_is(c, WR_CH_HOST) || c == '[' || c == ']') {
            return false;
        }
    }
    return true;
}

enum wr_status wr_hostport_parse(struct wr_str s, struct wr_hostport *ret, const char **ret_err)
{
    const struct wr_str unix_prefix = WR_STR("unix:");
    struct wr_hostport h = {0};
    uint64_t port;
    size_t end;

    if (wr_str_has_iprefix(s, unix_prefix)) {
        enum wr_status status = parse_unix_part(wr_str_sub(s, unix_prefix.len, s.len), &h, ret_err);

        if (status == WR_OK) {
            *ret = h;
        }
        return status;
    }
    end = WR_MIN(wr_str_find(s, '/'), wr_str_find(s, '?'));
    h.rest = wr_str_sub(s, end, s.len);
    s = wr_str_sub(s, 0, end);
    if (!cut_host(&s, &h)) {
        return refuse(ret_err, "invalid host");
    }
    if (h.host.len == 0) {
        return refuse(ret_err, "no host");
    }
    if (s.len != 0) {
        s = wr_str_sub(s, 1, s.len);
        if (wr_num_parse_u64(s, UINT16_MAX, &port) != WR_OK || port == 0) {
            return refuse(ret_err, "invalid port");
        }
        h.port = (uint16_t)port;
        h.has_port = true;
    }
    *ret = h;
    return WR_OK;
}
