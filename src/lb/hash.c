/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.c: hash, hash consistent (ketama) and ip_hash (U2.7). The tables are built once for a
 * members list and are immutable; a pick looks and allocates nothing but the key's text in the
 * request's arena. When WR_LB_TRIES choices cannot be had, peers are taken in turn.
 *
 *   hash        the numbers are those of the Perl library Cache::Memcached: the upper half of
 *               CRC-32, modulo the sum of weights; a further choice adds the hash of its
 *               number in front of the key
 *   consistent  those of Cache::Memcached::Fast with ketama_points 160: each server has 160
 *               points a weight unit on the ring of 32-bit numbers; a key belongs to the next point
 *   ip_hash     a number of our own from the first three octets of an IPv4 address, or all of IPv6
 */
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "http/req.h"
#include "http/var.h"
#include "lb/lb_int.h"
#include "lb/rr.h"

#define KETAMA_POINTS 160
#define KETAMA_WALK   160 /* points behind a key's own that are looked at */

/* Those with an empty key are served in turn. */
static enum wr_status key_of(struct wr_lb_ctx *ctx, struct wr_str *ret)
{
    const struct wr_lb_hash_conf *c = ctx->members->lb_conf;

    return wr_template_eval(ctx->req, c->key, ret);
}

/* --- hash KEY --- */

static uint32_t memcached_hash(struct wr_str key, unsigned number)
{
    char digits[4];
    size_t n = 0;
    uint32_t crc;

    if (number >= 10) {
        digits[n++] = (char)('0' + number / 10);
    }
    if (number != 0) {
        digits[n++] = (char)('0' + number % 10);
    }
    crc = wr_hash_crc32(0, digits, n);
    return (wr_hash_crc32(crc, key.ptr, key.len) >> 16) & 0x7fff;
}

static enum wr_status pick_by_key(struct wr_lb_ctx *ctx, struct wr_str key, uint32_t *ret_i)
{
    const struct wr_lb_shares *s = ctx->members->lb_state;
    uint64_t h = 0;
    unsigned tries;
    uint32_t i;

    for (tries = 0; tries < WR_LB_TRIES && key.len != 0; tries++) {
        h += memcached_hash(key, tries);
        i = wr_lb_shares_get(s, ctx->members->cnt, h % s->total);
        if (wr_peer_ok(ctx, i)) {
            *ret_i = i;
            return WR_OK;
        }
    }
    return wr_lb_rr.pick(ctx, ret_i);
}

static enum wr_status pick_hash(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    struct wr_str key;
    enum wr_status st = key_of(ctx, &key);

    return st == WR_OK ? pick_by_key(ctx, key, ret_i) : st;
}

/* --- hash KEY consistent --- */

struct ring {
    uint64_t cnt;
    uint64_t *at;     /* point 32 bits | member 32 bits, sorted */
    unsigned shift;   /* a point's part of the ring: point >> shift; about 8 points each */
    uint32_t *starts; /* by part, and one behind the last: its first point */
};

/* By the upper half, stable: four rounds of eight bits. */
static void sort_points(uint64_t *at, uint64_t *spare, uint64_t cnt)
{
    uint64_t start[256], k, *t;
    unsigned shift, b;

    for (shift = 32; shift < 64; shift += 8) {
        memset(start, 0, sizeof(start));
        for (k = 0; k < cnt; k++) {
            start[(at[k] >> shift) & 0xff]++;
        }
        for (b = 0, k = 0; b < 256; b++) {
            k += start[b];
            start[b] = k - start[b];
        }
        for (k = 0; k < cnt; k++) {
            spare[start[(at[k] >> shift) & 0xff]++] = at[k];
        }
        t = at;
        at = spare;
        spare = t;
    }
}

/* CRC-32 of host (the path of a unix socket), NUL, port as written, and the point before. */
static uint64_t *add_points(uint64_t *p, const struct wr_member *m, uint32_t i)
{
    struct wr_str host = m->server, port = WR_STR("");
    uint32_t base, prev = 0, k;
    size_t colon = host.len;
    unsigned char le[4];

    while (colon > 0 && host.ptr[colon - 1] != ':' && host.ptr[colon - 1] != ']') {
        colon--;
    }
    if (wr_str_has_prefix(host, WR_STR("unix:"))) {
        host = wr_str_sub(host, 5, host.len);
    } else if (colon > 0 && host.ptr[colon - 1] == ':') {
        port = wr_str_sub(host, colon, host.len);
        host = wr_str_sub(host, 0, colon - 1);
    }
    base = wr_hash_crc32(0, host.ptr, host.len);
    base = wr_hash_crc32(base, "", 1);
    base = wr_hash_crc32(base, port.ptr, port.len);
    for (k = 0; k < KETAMA_POINTS * m->weight; k++) {
        le[0] = (unsigned char)prev;
        le[1] = (unsigned char)(prev >> 8);
        le[2] = (unsigned char)(prev >> 16);
        le[3] = (unsigned char)(prev >> 24);
        prev = wr_hash_crc32(base, le, 4);
        *p++ = (uint64_t)prev << 32 | i;
    }
    return p;
}

/* The addresses of one name have their points in common; the first one stands for all. */
static bool is_same_server(const struct wr_members *m, uint32_t a, uint32_t b)
{
    return b < m->cnt && m->at[a].server.ptr == m->at[b].server.ptr;
}

static enum wr_status init_parts(struct wr_arena *a, struct ring *r)
{
    uint32_t parts = 1, part = 0;
    uint64_t k;

    for (r->shift = 32; r->shift > 8 && (uint64_t)parts * 8 < r->cnt; r->shift--) {
        parts *= 2;
    }
    r->starts = wr_arena_alloc(a, ((size_t)parts + 1) * sizeof(*r->starts));
    if (r->starts == NULL) {
        return WR_ENOMEM;
    }
    for (k = 0; k < r->cnt; k++) {
        while (part <= r->at[k] >> 32 >> r->shift) {
            r->starts[part++] = (uint32_t)k;
        }
    }
    while (part <= parts) {
        r->starts[part++] = (uint32_t)r->cnt;
    }
    return WR_OK;
}

static enum wr_status init_ring(struct wr_members *m, void **ret_state)
{
    struct ring *r = wr_arena_zalloc(m->arena, sizeof(*r));
    uint64_t *spare, *p;
    uint32_t i;

    if (r == NULL) {
        return WR_ENOMEM;
    }
    for (i = 0; i < m->cnt; i++) {
        r->cnt += i > 0 && is_same_server(m, i - 1, i) ? 0 : KETAMA_POINTS * m->at[i].weight;
    }
    r->at = wr_arena_alloc(m->arena, r->cnt * sizeof(*r->at));
    spare = wr_run_alloc(r->cnt * sizeof(*spare));
    if (r->at == NULL || spare == NULL || r->cnt > UINT32_MAX) {
        wr_mem_free(spare);
        return WR_ENOMEM;
    }
    for (i = 0, p = r->at; i < m->cnt; i++) {
        if (i == 0 || !is_same_server(m, i - 1, i)) {
            p = add_points(p, &m->at[i], i);
        }
    }
    sort_points(r->at, spare, r->cnt);
    wr_mem_free(spare);
    *ret_state = r;
    return init_parts(m->arena, r);
}

/* First point at or behind h; the ring is closed. */
static uint64_t find_point(const struct ring *r, uint32_t h)
{
    uint64_t part = (uint64_t)h >> r->shift;
    uint64_t lo = r->starts[part], hi = r->starts[part + 1], mid;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;
        if (r->at[mid] >> 32 < h) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo == r->cnt ? 0 : lo;
}

/* Of the addresses behind a point: the one the key falls to, else the next that can be had. */
static bool pick_address(const struct wr_lb_ctx *ctx, uint32_t first, uint32_t h, uint32_t *ret_i)
{
    const struct wr_members *m = ctx->members;
    uint32_t cnt = 1, k, i;

    while (is_same_server(m, first, first + cnt)) {
        cnt++;
    }
    for (k = 0; k < cnt; k++) {
        i = first + (h % cnt + k) % cnt;
        if (wr_peer_ok(ctx, i)) {
            *ret_i = i;
            return true;
        }
    }
    return false;
}

static enum wr_status pick_on_ring(struct wr_lb_ctx *ctx, struct wr_str key, uint32_t *ret_i)
{
    const struct ring *r = ctx->members->lb_state;
    uint32_t h = wr_hash_crc32(0, key.ptr, key.len), k;
    uint64_t at = find_point(r, h);

    for (k = 0; k < KETAMA_WALK && key.len != 0; k++) {
        if (pick_address(ctx, (uint32_t)r->at[at], h, ret_i)) {
            return WR_OK;
        }
        at = at + 1 == r->cnt ? 0 : at + 1;
    }
    return wr_lb_rr.pick(ctx, ret_i);
}

static enum wr_status pick_ketama(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    struct wr_str key;
    enum wr_status st = key_of(ctx, &key);

    return st == WR_OK ? pick_on_ring(ctx, key, ret_i) : st;
}

/* --- ip_hash --- */

static uint64_t number_of_address(const struct wr_addr *a, uint64_t h)
{
    const uint8_t *ip = NULL;
    size_t n = wr_addr_bytes(a, &ip);

    h = wr_hash_fnv(h, ip, n == 4 ? 3 : n);
    return h ^ h >> 32;
}

static enum wr_status pick_by_address(struct wr_lb_ctx *ctx, const struct wr_addr *a,
                                      uint32_t *ret_i)
{
    const struct wr_lb_shares *s = ctx->members->lb_state;
    uint64_t h = WR_HASH_FNV_INIT;
    unsigned tries;
    uint32_t i;

    for (tries = 0; tries < WR_LB_TRIES; tries++) {
        h = number_of_address(a, h);
        i = wr_lb_shares_get(s, ctx->members->cnt, h % s->total);
        if (wr_peer_ok(ctx, i)) {
            *ret_i = i;
            return WR_OK;
        }
    }
    return wr_lb_rr.pick(ctx, ret_i);
}

static enum wr_status pick_ip(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    return pick_by_address(ctx, &ctx->req->peer, ret_i);
}

#define HASH_PARAMS (WR_LB_ALL & ~(WR_LB_BACKUP | WR_LB_SLOW_START))

const struct wr_lb wr_lb_hash = {
    .name = "hash", .params = HASH_PARAMS, .group_init = wr_lb_shares_init, .pick = pick_hash};
const struct wr_lb wr_lb_ketama = {
    .name = "hash", .params = HASH_PARAMS, .group_init = init_ring, .pick = pick_ketama};
const struct wr_lb wr_lb_ip_hash = {
    .name = "ip_hash", .params = HASH_PARAMS, .group_init = wr_lb_shares_init, .pick = pick_ip};
