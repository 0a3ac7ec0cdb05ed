/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uri.c: splitting and normalising of request targets, checking of Host values, look-up of
 * arguments and cookies. Pure functions on slices; only a path that really changes and a host with
 * capital letters are copied, into the caller's arena.
 *
 * Decoding comes before the dot segments, so that "%2e%2e" and "%2f" act as what they stand for,
 * once: what a decoded byte begins ("%2541") is not decoded again. Thread: any.
 */
#include "http/uri.h"

#include "base/addr.h"
#include "base/chars.h"
#include "base/scan.h"

/* Where in a raw path a byte has a meaning beyond itself. */
enum path_byte {
    BYTE_PLAIN,
    BYTE_SLASH,
    BYTE_ESCAPE, /* '%' */
    BYTE_END,    /* '?' or '#' */
    BYTE_BAD,    /* NUL */
};

static const uint8_t path_bytes[256] = {
    [0] = BYTE_BAD, ['/'] = BYTE_SLASH, ['%'] = BYTE_ESCAPE, ['?'] = BYTE_END, ['#'] = BYTE_END,
};

/*
 * Length of the path part of raw, which begins with '/'. *ret_has_work: it may have something to
 * decode, merge or resolve. A NUL counts as work: the slow way refuses it.
 */
static size_t scan_path(struct wr_str raw, unsigned flags, bool *ret_has_work)
{
    bool has_work = false;
    size_t i;

    for (i = 0; i < raw.len; i++) {
        uint8_t b = path_bytes[(unsigned char)raw.ptr[i]];
        if (WR_LIKELY(b == BYTE_PLAIN)) {
            continue;
        }
        if (b == BYTE_END) {
            break;
        }
        if (b != BYTE_SLASH) {
            has_work = true;
        } else if (i + 1 < raw.len) {
            char next = raw.ptr[i + 1];
            has_work |= next == '.' || (next == '/' && (flags & WR_URI_MERGE_SLASHES) != 0);
        }
    }
    *ret_has_work = has_work;
    return i;
}

/* What the normalised path is written to: out[seg..len) is the segment at hand. */
struct path_out {
    char *at;
    size_t len;
    size_t seg;
    bool is_merging;
};

/*
 * The segment at hand is over, by a slash or (is_last) by the path's end. False when it leads above
 * the root.
 */
static bool end_segment(struct path_out *o, bool is_last)
{
    size_t n = o->len - o->seg;
    const char *p = o->at + o->seg;

    if (n == 1 && p[0] == '.') {
        o->len = o->seg;
        return true;
    }
    if (n == 2 && p[0] == '.' && p[1] == '.') {
        if (o->seg == 1) {
            return false;
        }
        /* Back over the slash before "..", then to behind the one before that. */
        size_t i = o->seg - 1;
        while (o->at[i - 1] != '/') {
            i--;
        }
        o->len = o->seg = i;
        return true;
    }
    if (is_last || (n == 0 && o->is_merging)) {
        return true;
    }
    o->at[o->len++] = '/';
    o->seg = o->len;
    return true;
}

/* raw[*i] is '%': its byte, *i then at the last digit. -1: no escape, or NUL. */
static int decode_escape(struct wr_str raw, size_t *i)
{
    if (raw.len - *i < 3) {
        return -1;
    }
    int hi = wr_char_hex((unsigned char)raw.ptr[*i + 1]);
    int lo = wr_char_hex((unsigned char)raw.ptr[*i + 2]);
    if (hi < 0 || lo < 0 || (hi | lo) == 0) {
        return -1;
    }
    *i += 2;
    return hi * 16 + lo;
}

/* raw is the path part only. */
static enum wr_status normalise(struct wr_arena *a, struct wr_str raw, unsigned flags,
                                struct wr_str *ret)
{
    struct path_out o = {.is_merging = (flags & WR_URI_MERGE_SLASHES) != 0};

    o.at = wr_arena_bytes(a, raw.len);
    if (o.at == NULL) {
        return WR_ENOMEM;
    }
    o.at[0] = '/';
    o.len = o.seg = 1;
    for (size_t i = 1; i < raw.len; i++) {
        int c = (unsigned char)raw.ptr[i];
        if (c == '%') {
            c = decode_escape(raw, &i);
        }
        if (c <= 0) {
            return WR_EPROTO;
        }
        if (c != '/') {
            o.at[o.len++] = (char)c;
        } else if (!end_segment(&o, false)) {
            return WR_EPROTO;
        }
    }
    if (!end_segment(&o, true)) {
        return WR_EPROTO;
    }
    *ret = wr_str(o.at, o.len);
    return WR_OK;
}

enum wr_status wr_uri_parse(struct wr_arena *a, struct wr_str raw, unsigned flags,
                            struct wr_uri *ret)
{
    struct wr_uri u = {.raw = raw, .is_plain = true};
    bool has_work = false;

    if (raw.len == 1 && raw.ptr[0] == '*') {
        u.path = raw;
        *ret = u;
        return WR_OK;
    }
    if (raw.len == 0 || raw.ptr[0] != '/') {
        return WR_EPROTO;
    }
    size_t n = scan_path(raw, flags, &has_work);
    u.path = wr_str(raw.ptr, n);
    if (n < raw.len && raw.ptr[n] == '?') {
        struct wr_str rest = wr_str(raw.ptr + n + 1, raw.len - n - 1);
        const char *hash = rest.len == 0 ? NULL : memchr(rest.ptr, '#', rest.len);
        u.has_args = true;
        u.args = hash == NULL ? rest : wr_str(rest.ptr, (size_t)(hash - rest.ptr));
    }
    if (has_work) {
        struct wr_str path;
        enum wr_status st = normalise(a, u.path, flags, &path);
        if (st != WR_OK) {
            return st;
        }
        if (!wr_str_eq(path, u.path)) {
            u.path = path;
            u.is_plain = false;
        }
    }
    *ret = u;
    return WR_OK;
}

/* Behind the colon; empty is allowed (RFC 3986 3.2.3) and means none. */
static bool parse_port(struct wr_str s, uint16_t *ret_port)
{
    unsigned v = 0;

    if (s.len == 0) {
        *ret_port = 0;
        return true;
    }
    if (s.len > 5) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned d = (unsigned)(unsigned char)s.ptr[i] - '0';
        if (d > 9) {
            return false;
        }
        v = v * 10 + d;
    }
    if (v == 0 || v > UINT16_MAX) {
        return false;
    }
    *ret_port = (uint16_t)v;
    return true;
}

/* Bit i: byte i is a letter, a digit, '-' or '.'. */
static inline unsigned find_plain(union wr_scan_16 x)
{
    x.v =
        (__typeof__(x.v))((((x.v | 0x20) - 'a' < 26) | (x.v - '-' < '9' - '-' + 1)) & (x.v != '/'));
    return wr_scan_bits(x);
}

/*
 * How many bytes at the beginning of s, of the first 16, are plain and make no empty label; 0 also
 * when s is so short, or so bad, that the caller has to look.
 */
static inline size_t skip_plain(struct wr_str s)
{
    if (s.len < 4) {
        return 0;
    }
    union wr_scan_16 x = s.len >= 16 ? wr_scan_load(s.ptr) : wr_scan_load_part(s.ptr, s.len);
    unsigned plain = find_plain(x), dots = wr_scan_matches(x, '.');
    bool has_empty = (dots & (dots << 1 | 1)) != 0; /* of any byte: that is rare */
    return has_empty ? 0 : wr_scan_first(~plain);
}

/* Length of the registered name or IPv4 address that s begins with: up to ':' or the end; 0: bad.
 */
static size_t scan_reg_name(struct wr_str s)
{
    size_t i = skip_plain(s);
    unsigned char before = i == 0 ? '.' : (unsigned char)s.ptr[i - 1];

    for (; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (WR_LIKELY(wr_char_is(c, WR_CH_UNRESERVED))) {
            if (c == '.' && before == '.') {
                return 0; /* an empty label; the dot of a root may be the last byte */
            }
        } else if (c == ':') {
            break;
        } else if (!wr_char_is(c, WR_CH_HOST) || c == '[' || c == ']' || c == '@') {
            return 0;
        }
        before = c;
    }
    return i;
}

/* Length of "[v6]" at the beginning of s, brackets included; 0: bad. Zones have no place in HTTP.
 */
static size_t scan_ip_literal(struct wr_str s)
{
    const char *end = memchr(s.ptr, ']', s.len);
    struct wr_addr addr;

    if (end == NULL) {
        return 0;
    }
    struct wr_str in = wr_str(s.ptr + 1, (size_t)(end - s.ptr) - 1);
    if (in.len < 2 || memchr(in.ptr, ':', in.len) == NULL || memchr(in.ptr, '%', in.len) != NULL ||
        memchr(in.ptr, '[', in.len) != NULL || wr_addr_parse_ip(in, 0, &addr) != WR_OK) {
        return 0;
    }
    return in.len + 2;
}

enum wr_status wr_uri_check_host(struct wr_str s, struct wr_str *ret_host, uint16_t *ret_port)
{
    uint16_t port = 0;

    if (s.len == 0) {
        return WR_EPROTO;
    }
    size_t n = s.ptr[0] == '[' ? scan_ip_literal(s) : scan_reg_name(s);
    if (n == 0) {
        return WR_EPROTO;
    }
    if (n < s.len &&
        (s.ptr[n] != ':' || !parse_port(wr_str(s.ptr + n + 1, s.len - n - 1), &port))) {
        return WR_EPROTO;
    }
    if (s.ptr[n - 1] == '.') {
        n--; /* never the only byte: scan_reg_name refuses a leading dot */
    }
    *ret_host = wr_str(s.ptr, n);
    *ret_port = port;
    return WR_OK;
}

/* Bit i: byte i is one of A to Z. */
static inline unsigned find_capitals(union wr_scan_16 x)
{
    x.v = (__typeof__(x.v))(x.v - 'A' < 26);
    return wr_scan_bits(x);
}

static bool has_capitals(struct wr_str s)
{
    unsigned found = 0;
    size_t i = 0;

    for (; s.len - i >= 16; i += 16) {
        found |= find_capitals(wr_scan_load(s.ptr + i));
    }
    if (s.len - i >= 4) {
        return (found | find_capitals(wr_scan_load_part(s.ptr + i, s.len - i))) != 0;
    }
    for (; i < s.len; i++) {
        found |= (unsigned)(unsigned char)s.ptr[i] - 'A' < 26;
    }
    return found != 0;
}

enum wr_status wr_uri_lower_host(struct wr_arena *a, struct wr_str host, struct wr_str *ret_host)
{
    if (has_capitals(host)) {
        char *low = wr_arena_bytes(a, host.len);
        if (low == NULL) {
            return WR_ENOMEM;
        }
        for (size_t i = 0; i < host.len; i++) {
            low[i] = (char)wr_char_lower[(unsigned char)host.ptr[i]];
        }
        host.ptr = low;
    }
    *ret_host = host;
    return WR_OK;
}

enum wr_status wr_uri_parse_host(struct wr_arena *a, struct wr_str s, struct wr_str *ret_host,
                                 uint16_t *ret_port)
{
    struct wr_str host;
    uint16_t port;
    enum wr_status st = wr_uri_check_host(s, &host, &port);

    if (st == WR_OK) {
        st = wr_uri_lower_host(a, host, ret_host);
    }
    if (st == WR_OK) {
        *ret_port = port;
    }
    return st;
}

bool wr_uri_arg(struct wr_str args, struct wr_str name, struct wr_str *ret_value)
{
    const char *p = args.ptr, *end = p + args.len;

    if (name.len == 0) {
        return false;
    }
    while (args.len > 0 && p < end) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        const char *stop = amp == NULL ? end : amp;
        size_t n = (size_t)(stop - p);
        if (n > name.len && p[name.len] == '=' && wr_str_ieq(wr_str(p, name.len), name)) {
            *ret_value = wr_str(p + name.len + 1, n - name.len - 1);
            return true;
        }
        p = amp == NULL ? end : amp + 1;
    }
    return false;
}

bool wr_uri_cookie(struct wr_str cookie, struct wr_str name, struct wr_str *ret_value)
{
    const char *p = cookie.ptr, *end = p + cookie.len;

    if (name.len == 0) {
        return false;
    }
    while (cookie.len > 0 && p < end) {
        const char *semi = memchr(p, ';', (size_t)(end - p));
        const char *stop = semi == NULL ? end : semi;
        struct wr_str pair = wr_str_trim(wr_str(p, (size_t)(stop - p)));
        if (pair.len > name.len && pair.ptr[name.len] == '=' &&
            memcmp(pair.ptr, name.ptr, name.len) == 0) {
            *ret_value = wr_str(pair.ptr + name.len + 1, pair.len - name.len - 1);
            return true;
        }
        p = semi == NULL ? end : semi + 1;
    }
    return false;
}

bool wr_uri_is_safe(struct wr_str path)
{
    size_t seg_len = 0, dots = 0;

    if (path.len == 0 || path.ptr[0] != '/') {
        return false;
    }
    if (memchr(path.ptr, '\0', path.len) != NULL) {
        return false;
    }
    for (size_t i = 1; i < path.len; i++) {
        int c = (unsigned char)path.ptr[i];
        if (c == '?' || c == '#') {
            break;
        }
        if (c == '%') {
            c = decode_escape(path, &i);
        }
        if (c < 0) {
            return false;
        }
        if (c == '/' && seg_len == 2 && dots == 2) {
            return false;
        }
        if (c == '/') {
            seg_len = dots = 0;
        } else {
            seg_len++;
            dots += c == '.';
        }
    }
    return !(seg_len == 2 && dots == 2);
}
