/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h: string-keyed open-addressing table, siphash with a process-wide random key (keys may come
 * from outside). Keys are not copied: the caller keeps them alive. Built at boot or under one
 * owner; growth aborts when memory is out, so run-time users pre-size it or use bounded tables.
 * A key of a length that no key has is absent without a hash: most look-ups of a request are.
 * A map of an arena has its table there, and ends with it: for the many small ones of a
 * configuration.
 */
#ifndef WR_BASE_MAP_H
#define WR_BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct wr_arena;
struct wr_map_slot;

struct wr_map {
    struct wr_map_slot *_slots;
    size_t cnt;
    size_t _cap;
    uint64_t _lens; /* bit of each length that a key has or had; 63: and longer */
    bool icase;     /* keys compare ASCII case-insensitively */
    struct wr_arena *_arena;
};

enum wr_map_flags {
    WR_MAP_CASE = 0,
    WR_MAP_ICASE = 1
};

void wr_map_init(struct wr_map *m, enum wr_map_flags flags);
/* Needs no fini. Growing leaves the smaller tables behind: reserve when the number is known. */
void wr_map_init_arena(struct wr_map *m, enum wr_map_flags flags, struct wr_arena *a);
void wr_map_fini(struct wr_map *m);
/* Makes room for n keys in all, so that putting them never grows. */
void wr_map_reserve(struct wr_map *m, size_t n);
/* NULL when absent. */
void *wr_map_get(const struct wr_map *m, struct wr_str key);
/* Stores value (not NULL); returns the value that was there before, or NULL. */
void *wr_map_put(struct wr_map *m, struct wr_str key, void *value);
void *wr_map_remove(struct wr_map *m, struct wr_str key);
/* Iteration in no order: *pos starts at 0; false at the end. */
bool wr_map_next(const struct wr_map *m, size_t *pos, struct wr_str *ret_key, void **ret_value);

#endif
