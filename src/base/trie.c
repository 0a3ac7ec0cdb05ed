/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trie.c: the radix tree behind trie.h.
 *
 *   node: covers the bytes [from, to) of the keys below it; `key` is any of them
 *     kids[i] starts with byte bytes[i]; found by memchr
 *
 *   ""--"/api/"--+--"v1"      a node with a value ends a key there
 *                +--"users"
 *
 * "Byte i" of a key means the i-th from the end with WR_TRIE_REVERSE, and its small form with
 * WR_TRIE_ICASE. Nodes are never taken out; building aborts when memory is out.
 */
#include "base/trie.h"

#include "base/assert.h"
#include "base/chars.h"

struct wr_trie_node {
    struct wr_str key;
    size_t from, to;
    void *value;
    unsigned char *bytes;
    struct wr_trie_node **kids;
    uint16_t cnt, cap;
};

static unsigned char byte_at(const struct wr_trie *t, struct wr_str key, size_t i)
{
    size_t at = (t->flags & WR_TRIE_REVERSE) != 0 ? key.len - 1 - i : i;
    unsigned char c = (unsigned char)key.ptr[at];

    return (t->flags & WR_TRIE_ICASE) != 0 ? wr_char_lower[c] : c;
}

static struct wr_trie_node *new_node(struct wr_trie *t, struct wr_str key, size_t from, size_t to)
{
    struct wr_trie_node *n = wr_arena_must(t->arena, sizeof(*n));

    n->key = key;
    n->from = from;
    n->to = to;
    return n;
}

void wr_trie_init(struct wr_trie *t, struct wr_arena *a, unsigned flags)
{
    t->arena = a;
    t->flags = flags;
    t->cnt = 0;
    t->_root = new_node(t, WR_STR_NULL, 0, 0);
}

static struct wr_trie_node **find_kid(const struct wr_trie_node *n, unsigned char c)
{
    const unsigned char *p = n->cnt == 0 ? NULL : memchr(n->bytes, c, n->cnt);

    return p == NULL ? NULL : &n->kids[p - n->bytes];
}

static void add_kid(struct wr_trie *t, struct wr_trie_node *n, struct wr_trie_node *kid)
{
    if (n->cnt == n->cap) {
        uint16_t cap = (uint16_t)(n->cap == 0 ? 2 : n->cap * 2);
        struct wr_trie_node **kids = wr_arena_must(t->arena, cap * sizeof(struct wr_trie_node *));
        unsigned char *bytes = wr_arena_must(t->arena, cap);

        if (n->kids != NULL) {
            memcpy(kids, n->kids, n->cnt * sizeof(struct wr_trie_node *));
            memcpy(bytes, n->bytes, n->cnt);
        }
        n->kids = kids;
        n->bytes = bytes;
        n->cap = cap;
    }
    WR_ASSERT(n->kids != NULL);
    n->bytes[n->cnt] = byte_at(t, kid->key, kid->from);
    n->kids[n->cnt] = kid;
    n->cnt++;
}

/* How far key agrees with the bytes of n: n->from .. n->to. */
static size_t match(const struct wr_trie *t, const struct wr_trie_node *n, struct wr_str key)
{
    size_t end = WR_MIN(n->to, key.len);
    size_t i = n->from;

    while (i < end && byte_at(t, n->key, i) == byte_at(t, key, i)) {
        i++;
    }
    return i;
}

/* The node *pp ends at `at` instead; a new one below has the rest. */
static void split(struct wr_trie *t, struct wr_trie_node **pp, size_t at)
{
    struct wr_trie_node *low = *pp;
    struct wr_trie_node *top = new_node(t, low->key, low->from, at);

    low->from = at;
    add_kid(t, top, low);
    *pp = top;
}

void *wr_trie_put(struct wr_trie *t, struct wr_str key, void *value)
{
    struct wr_trie_node **pp = &t->_root;

    WR_ASSERT(value != NULL);
    for (;;) {
        struct wr_trie_node **kid;
        size_t at = match(t, *pp, key);

        if (at < (*pp)->to) {
            split(t, pp, at);
        }
        if (at == key.len) {
            break;
        }
        kid = find_kid(*pp, byte_at(t, key, at));
        if (kid == NULL) {
            struct wr_trie_node *n = new_node(t, key, at, key.len);

            n->value = value;
            add_kid(t, *pp, n);
            t->cnt++;
            return NULL;
        }
        pp = kid;
    }
    if ((*pp)->value != NULL) {
        return (*pp)->value;
    }
    (*pp)->value = value;
    t->cnt++;
    return NULL;
}

void *wr_trie_get(const struct wr_trie *t, struct wr_str key)
{
    const struct wr_trie_node *n = t->_root;

    while (match(t, n, key) == n->to) {
        struct wr_trie_node **kid;

        if (n->to == key.len) {
            return n->value;
        }
        kid = find_kid(n, byte_at(t, key, n->to));
        if (kid == NULL) {
            return NULL;
        }
        n = *kid;
    }
    return NULL;
}

void *wr_trie_longest(const struct wr_trie *t, struct wr_str key, wr_trie_want_fn *want, void *data,
                      size_t *ret_len)
{
    const struct wr_trie_node *n = t->_root;
    void *best = NULL;

    while (match(t, n, key) == n->to) {
        struct wr_trie_node **kid;

        if (n->value != NULL && (want == NULL || want(n->value, data, n->to, key))) {
            best = n->value;
            if (ret_len != NULL) {
                *ret_len = n->to;
            }
        }
        kid = n->to == key.len ? NULL : find_kid(n, byte_at(t, key, n->to));
        if (kid == NULL) {
            break;
        }
        n = *kid;
    }
    return best;
}
