/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trie.h: longest-prefix look-up whose cost is the length of the key, not the number of entries
 * (radix tree over bytes). Built once, then read by any thread. Suffix look-up (server names): the
 * caller inserts reversed names and asks with WR_TRIE_REVERSE.
 */
#ifndef WR_BASE_TRIE_H
#define WR_BASE_TRIE_H

#include "base/arena.h"
#include "base/str.h"

struct wr_trie_node;

enum wr_trie_flags {
    WR_TRIE_DEFAULT = 0,
    WR_TRIE_ICASE = 1,   /* ASCII case-insensitive */
    WR_TRIE_REVERSE = 2, /* keys are read from their last byte to their first */
};

struct wr_trie {
    struct wr_arena *arena; /* nodes live here; keys are referred to, not copied */
    struct wr_trie_node *_root;
    size_t cnt; /* keys */
    unsigned flags;
};

void wr_trie_init(struct wr_trie *t, struct wr_arena *a, unsigned flags);
/* Returns the value that this very key already had (nothing changes then), else NULL. */
void *wr_trie_put(struct wr_trie *t, struct wr_str key, void *value);
/* Value of exactly this key, or NULL. */
void *wr_trie_get(const struct wr_trie *t, struct wr_str key);
/*
 * Value of the longest key that is a prefix of `key` (of its reverse), or NULL; *ret_len is that
 * key's length. With `want` not NULL only values for which want(value, data, matched, key) is true
 * count; it is asked from short to long, at most once for each key on the path.
 */
typedef bool wr_trie_want_fn(void *value, void *data, size_t matched, struct wr_str key);
void *wr_trie_longest(const struct wr_trie *t, struct wr_str key, wr_trie_want_fn *want, void *data,
                      size_t *ret_len);

#endif
