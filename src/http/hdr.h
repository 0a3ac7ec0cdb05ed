/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hdr.h: an ordered list of header fields. Names and values are slices of memory that outlives the
 * list (a head in an arena, constant text). A known name carries its id (tbl/header_ids.h); `have`
 * has a bit for each id that is or was in the list, so that a look-up of an absent one costs
 * nothing. One thread; the array grows in the arena up to `max` fields.
 */
#ifndef WR_HTTP_HDR_H
#define WR_HTTP_HDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

enum wr_hdr_id {
    WR_HDR_OTHER = 0,
#define X(id, name) WR_HDR_##id,
#include "http/tbl/header_ids.h"
#undef X
    WR_HDR_ID_COUNT
};

struct wr_hdr {
    struct wr_str name, value;
    uint8_t id;      /* enum wr_hdr_id */
    bool is_removed; /* stays in the array, is skipped by all calls but direct iteration */
    /*
     * `name` and `value` are of one line "Name: value" that was checked, by the parser of a head or
     * when a configuration was read, so that it can be written in one piece, and unchecked, as long
     * as they lie so. Whoever gives a field another value clears it.
     */
    bool is_line;
};

struct wr_hdrs {
    struct wr_hdr *at;
    uint32_t cnt, cap, max;
    uint64_t have; /* bit id */
    struct wr_arena *arena;
};

/* max: most fields; more give WR_ELIMIT. Takes no memory yet. */
void wr_hdrs_init(struct wr_hdrs *h, struct wr_arena *a, uint32_t max);
/* Id of a name, case-insensitive, by one hash look-up; WR_HDR_OTHER when unknown. */
enum wr_hdr_id wr_hdr_id_of(struct wr_str name);
/* Canonical name; empty for OTHER. */
struct wr_str wr_hdr_name(enum wr_hdr_id id);

/* Appends; id is computed. WR_ELIMIT, WR_ENOMEM. */
enum wr_status wr_hdrs_add(struct wr_hdrs *h, struct wr_str name,
                           struct wr_str value) WR_MUST_CHECK;
/* Appends with the canonical name. */
enum wr_status wr_hdrs_add_id(struct wr_hdrs *h, enum wr_hdr_id id,
                              struct wr_str value) WR_MUST_CHECK;
/* For wr_hdrs_get. */
struct wr_hdr *wr_hdrs_first(const struct wr_hdrs *h, enum wr_hdr_id id);

/* First with this id, or NULL. */
static inline struct wr_hdr *wr_hdrs_get(const struct wr_hdrs *h, enum wr_hdr_id id)
{
    return (h->have & (UINT64_C(1) << id)) == 0 ? NULL : wr_hdrs_first(h, id);
}

/* Next with the same id after `f`, or NULL. */
struct wr_hdr *wr_hdrs_next(const struct wr_hdrs *h, const struct wr_hdr *f);
/* By name (case-insensitive), after `after` or from the start (NULL). */
struct wr_hdr *wr_hdrs_find(const struct wr_hdrs *h, struct wr_str name,
                            const struct wr_hdr *after);
/* The first keeps its place with the new value, others of that id go; appended when absent. */
enum wr_status wr_hdrs_set_id(struct wr_hdrs *h, enum wr_hdr_id id,
                              struct wr_str value) WR_MUST_CHECK;
void wr_hdrs_remove_id(struct wr_hdrs *h, enum wr_hdr_id id);
/* Values of all fields with this name joined by ", " ("; " for Cookie) in the list's arena. */
enum wr_status wr_hdrs_join(const struct wr_hdrs *h, struct wr_str name, struct wr_str sep,
                            struct wr_str *ret) WR_MUST_CHECK;
/* All slices that point into old[0..len) now point into new_base. */
void wr_hdrs_rebase(struct wr_hdrs *h, const char *old, size_t len, const char *new_base);

/* Makes room for one more; for wr_hdrs_push. Moves the array: pointers to fields are dead then. */
enum wr_status wr_hdrs_grow(struct wr_hdrs *h) WR_MUST_CHECK;

/* Appends a copy of a field, for instance of another list, where it is not removed. */
static inline WR_MUST_CHECK enum wr_status wr_hdrs_push_like(struct wr_hdrs *h,
                                                             const struct wr_hdr *f)
{
    if (WR_UNLIKELY(h->cnt == h->cap)) {
        enum wr_status st = wr_hdrs_grow(h);
        if (st != WR_OK) {
            return st;
        }
    }
    h->at[h->cnt++] = *f;
    h->have |= UINT64_C(1) << f->id;
    return WR_OK;
}

/* As wr_hdrs_push; is_line: see struct wr_hdr. */
static inline WR_MUST_CHECK enum wr_status wr_hdrs_push_line(struct wr_hdrs *h, struct wr_str name,
                                                             struct wr_str value, enum wr_hdr_id id,
                                                             bool is_line)
{
    if (WR_UNLIKELY(h->cnt == h->cap)) {
        enum wr_status st = wr_hdrs_grow(h);
        if (st != WR_OK) {
            return st;
        }
    }
    struct wr_hdr *f = &h->at[h->cnt++];
    f->name = name;
    f->value = value;
    f->id = (uint8_t)id;
    f->is_removed = false;
    f->is_line = is_line;
    h->have |= UINT64_C(1) << id;
    return WR_OK;
}

/* As wr_hdrs_add, where the caller knows the id of this very name (of wr_hdr_id_of). */
static inline WR_MUST_CHECK enum wr_status wr_hdrs_push(struct wr_hdrs *h, struct wr_str name,
                                                        struct wr_str value, enum wr_hdr_id id)
{
    return wr_hdrs_push_line(h, name, value, id, false);
}

static inline bool wr_hdrs_has(const struct wr_hdrs *h, enum wr_hdr_id id)
{
    return wr_hdrs_get(h, id) != NULL;
}

#endif
