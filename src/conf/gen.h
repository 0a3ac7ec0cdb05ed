/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen.h: one generation of the configuration, and fixtures, the objects that outlive generations.
 *
 * A generation owns an arena with everything that was read and built. It is immutable once
 * wr_conf_load returned it; threads share it by reference count; the last reference frees it whole,
 * on any thread, and gives back the fixtures it names. To free a large one takes milliseconds: who
 * publishes it to threads that serve has it handed over instead (wr_gen_on_last).
 *
 * A fixture is run-time state that survives a reload: a peer's facts, a zone, a listener. It is
 * known by (kind, name, shape); shape is a hash of what must be equal for the state to be reused.
 * The registry belongs to the control thread and holds one reference of its own to each fixture, so
 * a generation that ends on another thread never frees one: wr_fixtures_sweep does, on the control
 * thread, for those that nothing else names.
 */
#ifndef WR_CONF_GEN_H
#define WR_CONF_GEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/map.h"
#include "base/status.h"
#include "base/str.h"
#include "base/sync.h"
#include "conf/source.h"

#define WR_GEN_CAP ((size_t)1 << 30) /* default cap of the arena */

struct wr_fixture;
struct wr_node;
struct wr_registry;
struct wr_scope;

struct wr_fixture_ref {
    struct wr_fixture *fixture;
    struct wr_fixture_ref *next;
};

struct wr_gen;

typedef void wr_gen_last_fn(void *data);

struct wr_gen {
    uint32_t magic;
    wr_atomic_u32 _refcnt;
    uint64_t no; /* 1, 2, ... as given by the control thread */
    const struct wr_registry *registry;
    struct wr_scope *root;      /* main scope, merged */
    const struct wr_node *tree; /* root of the directive tree */
    struct wr_conf_file *files; /* all files, in order of first use (-T) */
    struct wr_fixture_ref *_fixtures;
    void *data; /* of the floors above: run-time tables (servers, ports) */
    wr_gen_last_fn *_on_last;
    void *_last_data;
    struct wr_arena arena;
    uint64_t used[4]; /* bit wr_conf_module._no: a directive of it stands in the files */
};

/* Number of conf modules of one registry at most. */
#define WR_CONF_MODULES_MAX 256

/* Does a directive of the module with this number stand anywhere? */
static inline bool wr_gen_uses(const struct wr_gen *g, uint16_t no)
{
    return (g->used[no / 64] >> no % 64 & 1) != 0;
}

/* One reference, the caller's. NULL when memory is out. cap 0: WR_GEN_CAP. */
struct wr_gen *wr_gen_new(uint64_t no, size_t cap) WR_MUST_CHECK;
/* Any thread that holds a reference. Value: g. */
struct wr_gen *wr_gen_ref(struct wr_gen *g);
/* Any thread; accepts NULL. The last one frees, or calls what wr_gen_on_last said. */
void wr_gen_unref(struct wr_gen *g);
/*
 * When the last reference goes, fn(data) is called on that thread, and g lives on until
 * wr_gen_free. Before g is shared.
 */
void wr_gen_on_last(struct wr_gen *g, wr_gen_last_fn *fn, void *data);
/* After fn was called, and only then (asserted). Any thread. */
void wr_gen_free(struct wr_gen *g);

struct wr_fixture_ops {
    const char *kind; /* "peer", "limit_zone": constant text */
    void (*free)(
        struct wr_fixture *f); /* ends the object the fixture is embedded in; control thread */
};

/* Embedded in the object; all fields are set by wr_fixtures_add and then constant but the count. */
struct wr_fixture {
    uint32_t magic;
    wr_atomic_u32 _refcnt;
    const struct wr_fixture_ops *ops;
    struct wr_str name; /* owned by the fixture */
    uint64_t shape;
    struct wr_list _link;
    struct wr_fixture *_same; /* next of the same (kind, name) with another shape */
    struct wr_str _key;
};

/* Control thread only. */
struct wr_fixtures {
    struct wr_list _all;
    struct wr_map _by_name; /* "kind\0name" -> chain */
    size_t cnt;
};

void wr_fixtures_init(struct wr_fixtures *r);
/* Frees all; nothing but the registry may hold any (asserted). */
void wr_fixtures_fini(struct wr_fixtures *r);
/* The one of (kind, name, shape), or NULL. No reference is taken. Control thread. */
struct wr_fixture *wr_fixtures_get(struct wr_fixtures *r, const struct wr_fixture_ops *ops,
                                   struct wr_str name, uint64_t shape);
/*
 * Enters a new one (there is none of its key) with the registry's reference. name is copied. The
 * object must be complete: from now on the sweep may free it. WR_ENOMEM. Control thread.
 */
enum wr_status wr_fixtures_add(struct wr_fixtures *r, struct wr_fixture *f,
                               const struct wr_fixture_ops *ops, struct wr_str name,
                               uint64_t shape) WR_MUST_CHECK;
/* Frees those that nothing but the registry names, and what only those named; value: how many.
 * Control thread. */
size_t wr_fixtures_sweep(struct wr_fixtures *r);

/* Any thread that already holds one (or the control thread). */
void wr_fixture_ref(struct wr_fixture *f);
/* Any thread; frees nothing (see sweep). Accepts NULL. */
void wr_fixture_unref(struct wr_fixture *f);

/* g names f from now on: takes a reference that ends with g. While g is built. WR_ENOMEM. */
enum wr_status wr_gen_use(struct wr_gen *g, struct wr_fixture *f) WR_MUST_CHECK;

#endif
