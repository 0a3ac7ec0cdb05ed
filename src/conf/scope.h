/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scope.h: one block in which directives are applied (main, http, a server, a location ...) with
 * the conf structs of all modules, and their inheritance.
 *
 *   main -- events            each scope: ctx, parent, node, confs[slot]
 *       \-- http -- upstream
 *               \-- server -- location -- location
 *                         \-- if in server
 *
 * A slot is a pair (module, kind); confs[slot] points to the struct that holds here: own, shared
 * with the scope around (slots of a kind that this block does not begin, or in which nothing was
 * set), or NULL (SRV outside of http, GROUP outside of upstream). Scopes form a tree in the
 * generation's arena; wr_scope_merge walks it top-down after the whole file was applied, so that a
 * directive that stands behind a nested block still reaches into it.
 *
 * Kinds that a context begins anew (with defaults) or continues (inheriting):
 *   main: MAIN   http: SRV LOC   server: SRV LOC   location, if, limit_except: LOC
 *   stream: SRV   server in stream: SRV   upstream, acme_issuer, oidc_provider, mgmt: GROUP
 */
#ifndef WR_CONF_SCOPE_H
#define WR_CONF_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/status.h"
#include "conf/dirs.h"

struct wr_scope {
    uint32_t magic;
    enum wr_ctx ctx;
    struct wr_scope *parent;       /* NULL for main */
    struct wr_scope *first, *last; /* children, in file order */
    struct wr_scope *next;
    const struct wr_node *node; /* the block's directive; the root node for main */
    void *data;     /* of the module whose set function opened it (server, location ...) */
    uint64_t *_own; /* bit a slot: confs[slot] was made for this scope */
    void *confs[];
};

/*
 * A new scope inside cf->scope (the main scope when that is NULL). The caller then calls
 * wr_conf_apply(cf, node, s). node may be NULL (a block made by code).
 */
enum wr_status wr_scope_new(struct wr_conf *cf, enum wr_ctx ctx, const struct wr_node *node,
                            struct wr_scope **ret_s) WR_MUST_CHECK;

/* The struct that holds here; complete only after merge. NULL where the kind does not exist. */
static inline void *wr_scope_get(const struct wr_scope *s, const struct wr_conf_module *m,
                                 enum wr_conf_kind kind)
{
    WR_DEBUG_ASSERT(m->_slot[kind] != UINT16_MAX); /* the module has a struct of this kind */
    return s->confs[m->_slot[kind]];
}

/*
 * The scope's own struct for writing while directives are applied: made when it is not there yet.
 * Set functions that fill a struct of another module or kind use it (before merge only). A kind
 * this context does not begin is the struct of the scope around.
 */
enum wr_status wr_scope_own(struct wr_conf *cf, struct wr_scope *s, const struct wr_conf_module *m,
                            enum wr_conf_kind kind, void **ret_conf) WR_MUST_CHECK;

/* Inheritance, defaults and merged hooks for the tree under s, top-down. By wr_conf_load. */
enum wr_status wr_scope_merge(struct wr_conf *cf, struct wr_scope *s) WR_MUST_CHECK;

/* The nearest scope of this context, s itself included; NULL when there is none. */
struct wr_scope *wr_scope_up(struct wr_scope *s, enum wr_ctx ctx);

#endif
