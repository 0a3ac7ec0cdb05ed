/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iptrie.c: the tree behind iptrie.h.
 *
 *   10.0.0.0/8 (value) -- kid 0: 10.1.0.0/16 (value)
 *                     \-- kid 1: 10.128.0.0/9 (no value: a branch) -- kid 0, kid 1
 *
 * A node has the first `len` bits of all below it; kid i is the one whose next bit is i. Addresses
 * are two words, the first bit is the highest of hi; IPv4 has its bits at the top of hi. Nodes are
 * never taken out, only their values.
 */
#include "base/iptrie.h"

#include <string.h>

#include "base/assert.h"

struct bits {
    uint64_t hi, lo;
};

struct wr_iptrie_node {
    struct bits key; /* zero behind len */
    unsigned len;
    void *value; /* NULL: a branch only */
    struct wr_iptrie_node *kids[2];
};

void wr_iptrie_init(struct wr_iptrie *t, struct wr_arena *a)
{
    *t = (struct wr_iptrie){.arena = a};
}

static struct bits bits_of(const uint8_t *p, size_t n)
{
    struct bits b = {0, 0};

    for (size_t i = 0; i < n; i++) {
        uint64_t *w = i < 8 ? &b.hi : &b.lo;

        *w |= (uint64_t)p[i] << (56 - 8 * (i & 7));
    }
    return b;
}

/* The first n bits. */
static struct bits head_of(struct bits b, unsigned n)
{
    if (n < 64) {
        return (struct bits){n == 0 ? 0 : b.hi & (UINT64_MAX << (64 - n)), 0};
    }
    return (struct bits){b.hi, n == 64 ? 0 : b.lo & (UINT64_MAX << (128 - n))};
}

static bool is_same(struct bits a, struct bits b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

static unsigned bit_at(struct bits b, unsigned i)
{
    return (unsigned)((i < 64 ? b.hi >> (63 - i) : b.lo >> (127 - i)) & 1);
}

/* How many first bits are the same, at most max. */
static unsigned common_len(struct bits a, struct bits b, unsigned max)
{
    unsigned n = 128;

    if (a.hi != b.hi) {
        n = (unsigned)__builtin_clzll(a.hi ^ b.hi);
    } else if (a.lo != b.lo) {
        n = 64 + (unsigned)__builtin_clzll(a.lo ^ b.lo);
    }
    return WR_MIN(n, max);
}

static struct wr_iptrie_node *new_node(struct wr_iptrie *t, struct bits key, unsigned len)
{
    struct wr_iptrie_node *n = wr_arena_zalloc(t->arena, sizeof(*n));

    if (n) {
        n->key = head_of(key, len);
        n->len = len;
    }
    return n;
}

static unsigned mask_len(const struct wr_cidr *net)
{
    unsigned n = 0;

    for (size_t i = 0; i < sizeof(net->mask) && net->mask[i] != 0; i++) {
        n += (unsigned)__builtin_popcount(net->mask[i]);
    }
    return n;
}

/* The node of this very network, made when needed. NULL: memory. */
static struct wr_iptrie_node *node_of(struct wr_iptrie *t, struct wr_iptrie_node **pp,
                                      struct bits key, unsigned len)
{
    struct wr_iptrie_node *n, *top;
    unsigned same = 0;

    while (*pp) {
        n = *pp;
        same = common_len(n->key, key, WR_MIN(n->len, len));
        if (same < n->len) {
            break;
        }
        if (n->len == len) {
            return n;
        }
        pp = &n->kids[bit_at(key, n->len)];
    }
    n = new_node(t, key, len);
    if (!n) {
        return NULL;
    }
    if (!*pp) {
        *pp = n;
        return n;
    }
    if (same == len) { /* it is around the one that was here */
        n->kids[bit_at((*pp)->key, len)] = *pp;
        *pp = n;
        return n;
    }
    top = new_node(t, key, same);
    if (!top) {
        return NULL;
    }
    top->kids[bit_at(key, same)] = n;
    top->kids[bit_at((*pp)->key, same)] = *pp;
    *pp = top;
    return n;
}

enum wr_status wr_iptrie_put(struct wr_iptrie *t, const struct wr_cidr *net, void *value,
                             void **ret_old)
{
    bool is_v4 = net->family == AF_INET;
    struct wr_iptrie_node *n;

    WR_ASSERT(is_v4 || net->family == AF_INET6);
    n = node_of(t, is_v4 ? &t->_v4 : &t->_v6, bits_of(net->net, is_v4 ? 4 : 16), mask_len(net));
    if (!n) {
        return WR_ENOMEM;
    }
    *ret_old = n->value;
    n->value = value;
    return WR_OK;
}

/* The longest one above the first `bits` bits of key. */
static void *find_above(const struct wr_iptrie_node *n, struct bits key, unsigned bits)
{
    void *best = NULL;

    while (n && n->len <= bits && is_same(n->key, head_of(key, n->len))) {
        best = n->value ? n->value : best;
        n = n->len == bits ? NULL : n->kids[bit_at(key, n->len)];
    }
    return best;
}

void *wr_iptrie_find_net(const struct wr_iptrie *t, const struct wr_cidr *net)
{
    bool is_v4 = net->family == AF_INET;

    WR_ASSERT(is_v4 || net->family == AF_INET6);
    return find_above(is_v4 ? t->_v4 : t->_v6, bits_of(net->net, is_v4 ? 4 : 16), mask_len(net));
}

void *wr_iptrie_find(const struct wr_iptrie *t, const struct wr_addr *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const uint8_t *p = NULL;
    size_t len = wr_addr_bytes(a, &p);

    if (len == 0) {
        return NULL;
    }
    if (len == 16 && memcmp(p, mapped, sizeof(mapped)) == 0) {
        p += sizeof(mapped);
        len = 4;
    }
    return find_above(len == 4 ? t->_v4 : t->_v6, bits_of(p, len), (unsigned)len * 8);
}
