/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hdr.c: the list of header fields, and the table of the known names (hdr_known.h).
 *
 * Arrays grow in the arena: 16, 32, ... fields, up to the list's maximum. Thread: the list's owner.
 */
#include "http/hdr.h"

#include "base/assert.h"
#include "http/hdr_known.h"

enum {
    CAP_FIRST = 16,
};

/* clang-format off */
const struct wr_hdr_known wr_hdr_known[WR_HDR_ID_COUNT] = {
    [WR_HDR_OTHER] = {"", 0},
#define X(id, name) [WR_HDR_##id] = {name, sizeof(name) - 1},
#include "http/tbl/header_ids.h"
#undef X
};
/* clang-format on */

#define X(id, name)                                                                                \
    _Static_assert(sizeof(name) <= WR_HDR_KNOWN_MAX, "a row of wr_hdr_known is shorter");
#include "http/tbl/header_ids.h"
#undef X
_Static_assert(WR_HDR_ID_COUNT <= 64, "wr_hdrs.have has 64 bits");

/* clang-format off */
const uint8_t wr_hdr_slots[256] = {
    [0] = WR_HDR_WWW_AUTHENTICATE, [5] = WR_HDR_CACHE_CONTROL, [8] = WR_HDR_IF_RANGE,
    [10] = WR_HDR_PROXY_AUTHENTICATE, [14] = WR_HDR_SERVER, [17] = WR_HDR_IF_MODIFIED_SINCE,
    [19] = WR_HDR_IF_UNMODIFIED_SINCE, [20] = WR_HDR_ETAG, [25] = WR_HDR_FORWARDED,
    [26] = WR_HDR_TE, [29] = WR_HDR_ACCEPT_RANGES, [36] = WR_HDR_HOST, [37] = WR_HDR_X_PAD,
    [38] = WR_HDR_STATUS, [46] = WR_HDR_ACCEPT, [50] = WR_HDR_CONNECTION, [55] = WR_HDR_EXPIRES,
    [59] = WR_HDR_CONTENT_DISPOSITION, [73] = WR_HDR_X_REAL_IP, [74] = WR_HDR_X_ACCEL_LIMIT_RATE,
    [75] = WR_HDR_VIA, [76] = WR_HDR_SEC_WEBSOCKET_ACCEPT, [78] = WR_HDR_EXPECT,
    [80] = WR_HDR_IF_MATCH, [85] = WR_HDR_IF_NONE_MATCH, [86] = WR_HDR_COOKIE,
    [87] = WR_HDR_TRAILER, [89] = WR_HDR_TRANSFER_ENCODING, [92] = WR_HDR_CONTENT_TYPE,
    [93] = WR_HDR_CONTENT_RANGE, [96] = WR_HDR_CONTENT_LANGUAGE,
    [103] = WR_HDR_UPGRADE, [108] = WR_HDR_LINK, [117] = WR_HDR_ALLOW,
    [121] = WR_HDR_X_ACCEL_BUFFERING, [127] = WR_HDR_X_FORWARDED_FOR, [140] = WR_HDR_VARY,
    [141] = WR_HDR_RANGE, [144] = WR_HDR_CONTENT_ENCODING, [151] = WR_HDR_X_ACCEL_EXPIRES,
    [154] = WR_HDR_KEEP_ALIVE, [156] = WR_HDR_DATE, [158] = WR_HDR_PRAGMA,
    [165] = WR_HDR_AUTHORIZATION, [166] = WR_HDR_CONTENT_LENGTH, [175] = WR_HDR_X_ACCEL_CHARSET,
    [176] = WR_HDR_X_ACCEL_REDIRECT, [184] = WR_HDR_LOCATION, [195] = WR_HDR_AGE,
    [199] = WR_HDR_REFERER, [203] = WR_HDR_RETRY_AFTER, [205] = WR_HDR_LAST_MODIFIED,
    [207] = WR_HDR_ACCEPT_LANGUAGE, [210] = WR_HDR_USER_AGENT, [215] = WR_HDR_REFRESH,
    [218] = WR_HDR_SET_COOKIE, [224] = WR_HDR_PROXY_CONNECTION, [255] = WR_HDR_ACCEPT_ENCODING,
};

/* clang-format on */

/*
 * Bits in which name bytes differ from the canonical ones. Only where the canonical byte is a
 * letter (it has bit 6; the other bytes of known names are '-' and digits) the bit of the case is
 * free.
 */
static inline uint64_t differ64(const char *p, const char *canon)
{
    uint64_t a, c;

    memcpy(&a, p, sizeof(a));
    memcpy(&c, canon, sizeof(c));
    return (a ^ c) & ~((c & 0x4040404040404040u) >> 1);
}

static inline uint32_t differ32(const char *p, const char *canon)
{
    uint32_t a, c;

    memcpy(&a, p, sizeof(a));
    memcpy(&c, canon, sizeof(c));
    return (a ^ c) & ~((c & 0x40404040u) >> 1);
}

static inline unsigned differ8(char p, char canon)
{
    unsigned a = (unsigned char)p, c = (unsigned char)canon;

    return (a ^ c) & ~((c & 0x40u) >> 1);
}

/* n > 0, equal to the canonical name's. Pieces overlap, so that no byte outside the name is read.
 */
static inline bool is_same_name(const char *p, const char *canon, size_t n)
{
    if (n >= 8) {
        uint64_t d = differ64(p, canon) | differ64(p + n - 8, canon + n - 8);
        if (n > 16) {
            d |= differ64(p + 8, canon + 8);
        }
        return d == 0;
    }
    if (n >= 4) {
        return (differ32(p, canon) | differ32(p + n - 4, canon + n - 4)) == 0;
    }
    return (differ8(p[0], canon[0]) | differ8(p[n / 2], canon[n / 2]) |
            differ8(p[n - 1], canon[n - 1])) == 0;
}

enum wr_hdr_id wr_hdr_id_of(struct wr_str name)
{
    if (name.len == 0) {
        return WR_HDR_OTHER;
    }
    unsigned id = wr_hdr_slots[wr_hdr_slot(name.ptr, name.len)];
    const struct wr_hdr_known *k = &wr_hdr_known[id];
    if (k->len != name.len || !is_same_name(name.ptr, k->text, name.len)) {
        return WR_HDR_OTHER;
    }
    return (enum wr_hdr_id)id;
}

struct wr_str wr_hdr_name(enum wr_hdr_id id)
{
    WR_ASSERT((unsigned)id < WR_HDR_ID_COUNT);
    return wr_str(wr_hdr_known[id].text, wr_hdr_known[id].len);
}

void wr_hdrs_init(struct wr_hdrs *h, struct wr_arena *a, uint32_t max)
{
    *h = (struct wr_hdrs){.max = max, .arena = a};
}

enum wr_status wr_hdrs_grow(struct wr_hdrs *h)
{
    if (h->cnt >= h->max) {
        return WR_ELIMIT;
    }
    uint32_t cap = CAP_FIRST;
    if (h->cap > 0) {
        cap = h->cap > h->max / 2 ? h->max : h->cap * 2;
    }
    cap = WR_MIN(cap, h->max);
    struct wr_hdr *at = wr_arena_alloc(h->arena, (size_t)cap * sizeof(*at));
    if (at == NULL) {
        return WR_ENOMEM;
    }
    if (h->cnt > 0) {
        memcpy(at, h->at, h->cnt * sizeof(*at));
    }
    h->at = at;
    h->cap = cap;
    return WR_OK;
}

enum wr_status wr_hdrs_add(struct wr_hdrs *h, struct wr_str name, struct wr_str value)
{
    return wr_hdrs_push(h, name, value, wr_hdr_id_of(name));
}

enum wr_status wr_hdrs_add_id(struct wr_hdrs *h, enum wr_hdr_id id, struct wr_str value)
{
    WR_ASSERT(id != WR_HDR_OTHER);
    return wr_hdrs_push(h, wr_hdr_name(id), value, id);
}

static struct wr_hdr *find_id_from(const struct wr_hdrs *h, uint32_t i, enum wr_hdr_id id)
{
    for (; i < h->cnt; i++) {
        if (h->at[i].id == id && !h->at[i].is_removed) {
            return &h->at[i];
        }
    }
    return NULL;
}

struct wr_hdr *wr_hdrs_first(const struct wr_hdrs *h, enum wr_hdr_id id)
{
    return find_id_from(h, 0, id);
}

struct wr_hdr *wr_hdrs_next(const struct wr_hdrs *h, const struct wr_hdr *f)
{
    return find_id_from(h, (uint32_t)(f - h->at) + 1, (enum wr_hdr_id)f->id);
}

struct wr_hdr *wr_hdrs_find(const struct wr_hdrs *h, struct wr_str name, const struct wr_hdr *after)
{
    enum wr_hdr_id id = wr_hdr_id_of(name);
    uint32_t i = after == NULL ? 0 : (uint32_t)(after - h->at) + 1;

    if ((h->have & (UINT64_C(1) << id)) == 0) {
        return NULL;
    }
    if (id != WR_HDR_OTHER) {
        return find_id_from(h, i, id);
    }
    for (; i < h->cnt; i++) {
        struct wr_hdr *f = &h->at[i];
        if (f->id == WR_HDR_OTHER && !f->is_removed && wr_str_ieq(f->name, name)) {
            return f;
        }
    }
    return NULL;
}

enum wr_status wr_hdrs_set_id(struct wr_hdrs *h, enum wr_hdr_id id, struct wr_str value)
{
    struct wr_hdr *f = wr_hdrs_get(h, id);

    if (f == NULL) {
        return wr_hdrs_add_id(h, id, value);
    }
    f->value = value;
    f->is_line = false;
    for (f = wr_hdrs_next(h, f); f != NULL; f = wr_hdrs_next(h, f)) {
        f->is_removed = true;
    }
    return WR_OK;
}

void wr_hdrs_remove_id(struct wr_hdrs *h, enum wr_hdr_id id)
{
    for (struct wr_hdr *f = wr_hdrs_get(h, id); f != NULL; f = wr_hdrs_next(h, f)) {
        f->is_removed = true;
    }
}

enum wr_status wr_hdrs_join(const struct wr_hdrs *h, struct wr_str name, struct wr_str sep,
                            struct wr_str *ret)
{
    struct wr_hdr *first = wr_hdrs_find(h, name, NULL);
    size_t total = 0;

    if (first == NULL) {
        *ret = WR_STR_NULL;
        return WR_OK;
    }
    if (wr_hdrs_find(h, name, first) == NULL) {
        *ret = first->value;
        return WR_OK;
    }
    for (struct wr_hdr *f = first; f != NULL; f = wr_hdrs_find(h, name, f)) {
        total += f->value.len + sep.len;
    }
    char *out = wr_arena_bytes(h->arena, total);
    if (out == NULL) {
        return WR_ENOMEM;
    }
    size_t n = 0;
    for (struct wr_hdr *f = first; f != NULL; f = wr_hdrs_find(h, name, f)) {
        if (f != first && sep.len > 0) {
            memcpy(out + n, sep.ptr, sep.len);
            n += sep.len;
        }
        if (f->value.len > 0) {
            memcpy(out + n, f->value.ptr, f->value.len);
            n += f->value.len;
        }
    }
    *ret = wr_str(out, n);
    return WR_OK;
}

void wr_hdrs_rebase(struct wr_hdrs *h, const char *old, size_t len, const char *new_base)
{
    for (struct wr_hdr *f = h->at, *end = f + h->cnt; f < end; f++) {
        wr_str_rebase(&f->name, (uintptr_t)old, len, new_base);
        wr_str_rebase(&f->value, (uintptr_t)old, len, new_base);
    }
}
