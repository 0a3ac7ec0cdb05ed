/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scope.c: scopes and inheritance. While directives are applied only the structs exist in which
 * something was set; merge makes or shares the rest, outermost first. The walk over the tree of
 * scopes needs no recursion: scopes know their parents.
 */
#include "conf/scope.h"

#include <string.h>

#include "base/assert.h"
#include "base/obj.h"
#include "conf/dirs_int.h"
#include "conf/gen.h"

#define SCOPE_MAGIC 0x73636f31u

/* Kinds that begin with a context, and kinds that it continues. */
static void context_kinds(enum wr_ctx ctx, uint32_t *ret_begins, uint32_t *ret_continues)
{
    const uint32_t main_bit = 1u << WR_KIND_MAIN, srv = 1u << WR_KIND_SRV, loc = 1u << WR_KIND_LOC,
                   group = 1u << WR_KIND_GROUP;

    *ret_begins = *ret_continues = 0;
    switch (ctx) {
    case WR_CTX_MAIN:
        *ret_begins = main_bit;
        return;
    case WR_CTX_EVENTS:
        return;
    case WR_CTX_HTTP:
        *ret_begins = srv | loc;
        return;
    case WR_CTX_SERVER:
        *ret_continues = srv | loc;
        return;
    case WR_CTX_LOCATION:
    case WR_CTX_IF_SERVER:
    case WR_CTX_IF_LOCATION:
    case WR_CTX_LIMIT_EXCEPT:
        *ret_continues = loc;
        return;
    case WR_CTX_STREAM:
    case WR_CTX_MAIL:
        *ret_begins = srv;
        return;
    case WR_CTX_STREAM_SERVER:
    case WR_CTX_MAIL_SERVER:
        *ret_continues = srv;
        return;
    case WR_CTX_UPSTREAM:
    case WR_CTX_STREAM_UPSTREAM:
    case WR_CTX_MGMT:
    case WR_CTX_ACME:
    case WR_CTX_OIDC:
        *ret_begins = group;
        return;
    }
    WR_UNREACHABLE();
}

enum wr_status wr_scope_new(struct wr_conf *cf, enum wr_ctx ctx, const struct wr_node *node,
                            struct wr_scope **ret_s)
{
    uint32_t slots = cf->registry->slot_cnt;
    size_t words = (slots + 63) / 64;
    struct wr_scope *s, *parent = cf->scope;

    WR_ASSERT(parent != NULL || ctx == WR_CTX_MAIN);
    s = wr_arena_zalloc(cf->arena,
                        sizeof(*s) + slots * sizeof(s->confs[0]) + words * sizeof(uint64_t));
    if (!s) {
        return wr_conf_nomem(cf);
    }
    wr_obj_init(s, SCOPE_MAGIC);
    s->ctx = ctx;
    s->parent = parent;
    s->node = node;
    s->_own = (uint64_t *)(void *)&s->confs[slots];
    if (parent != NULL) {
        wr_obj_check(parent, SCOPE_MAGIC);
        if (parent->last != NULL) {
            parent->last->next = s;
        } else {
            parent->first = s;
        }
        parent->last = s;
    }
    *ret_s = s;
    return WR_OK;
}

/* Makes the scope's own struct of the slot. */
static enum wr_status make_conf(struct wr_conf *cf, struct wr_scope *s, uint32_t slot_no)
{
    const struct wr_slot *slot = &cf->registry->slots[slot_no];
    void *conf = wr_arena_zalloc(cf->arena, slot->module->size[slot->kind]);

    if (!conf) {
        return wr_conf_nomem(cf);
    }
    s->confs[slot_no] = conf;
    wr_bit_set(s->_own, slot_no);
    if (slot->module->created != NULL) {
        return slot->module->created(cf, s, slot->kind, conf);
    }
    return WR_OK;
}

enum wr_status wr_scope_own(struct wr_conf *cf, struct wr_scope *s, const struct wr_conf_module *m,
                            enum wr_conf_kind kind, void **ret_conf)
{
    uint32_t slot_no, begins, continues;
    enum wr_status st;

    wr_obj_check(s, SCOPE_MAGIC);
    WR_ASSERT(kind < WR_KIND_NONE && m->_slot[kind] < cf->registry->slot_cnt);
    slot_no = m->_slot[kind];
    for (;; s = s->parent) {
        WR_ASSERT(s != NULL); /* a row's contexts have its kind: see check_row of dirs.c */
        context_kinds(s->ctx, &begins, &continues);
        if (((begins | continues) & 1u << kind) != 0) {
            break;
        }
    }
    if (!wr_bit_has(s->_own, slot_no)) {
        st = make_conf(cf, s, slot_no);
        if (st != WR_OK) {
            return st;
        }
    }
    *ret_conf = s->confs[slot_no];
    return WR_OK;
}

/* Fills what was not set. parent NULL: the kind begins here. */
static enum wr_status fill_conf(struct wr_conf *cf, uint32_t slot_no, const void *parent,
                                void *conf)
{
    const struct wr_slot *slot = &cf->registry->slots[slot_no];
    struct wr_conf_head *h = conf;
    const struct wr_conf_head *ph = parent;
    const void *defaults = NULL;
    enum wr_status st;

    memcpy(h->_given, h->_set, sizeof(h->_given));
    for (uint32_t i = 0; i < slot->field_cnt; i++) {
        const struct wr_slot_field *f = &slot->fields[i];
        const void *from = parent;

        if (wr_bit_has(h->_set, f->bit)) {
            continue;
        }
        if (parent == NULL || !f->inherits) {
            if (defaults == NULL) {
                st = wr_conf_defaults(cf, slot_no, &defaults);
                if (st != WR_OK) {
                    return st;
                }
            }
            from = defaults;
        } else if (wr_bit_has(ph->_given, f->bit)) {
            wr_bit_set(h->_given, f->bit);
        }
        memcpy((char *)conf + f->offset, (const char *)from + f->offset, f->size);
    }
    return WR_OK;
}

static enum wr_status merge_slot(struct wr_conf *cf, struct wr_scope *s, uint32_t slot_no,
                                 uint32_t begins, uint32_t continues)
{
    const struct wr_slot *slot = &cf->registry->slots[slot_no];
    uint32_t bit = 1u << slot->kind;
    void *around = s->parent != NULL ? s->parent->confs[slot_no] : NULL;
    const void *parent = (begins & bit) != 0 ? NULL : around;
    enum wr_status st;

    if (((begins | continues) & bit) == 0) {
        s->confs[slot_no] = around;
        return WR_OK;
    }
    if (!wr_bit_has(s->_own, slot_no)) {
        if (!slot->is_own && parent != NULL) {
            s->confs[slot_no] = around;
            return WR_OK;
        }
        st = make_conf(cf, s, slot_no);
        if (st != WR_OK) {
            return st;
        }
    }
    st = fill_conf(cf, slot_no, parent, s->confs[slot_no]);
    if (st == WR_OK && slot->module->merged != NULL) {
        st = slot->module->merged(cf, s, slot->kind, parent, s->confs[slot_no]);
    }
    return st;
}

static enum wr_status merge_one(struct wr_conf *cf, struct wr_scope *s)
{
    uint32_t begins, continues;

    context_kinds(s->ctx, &begins, &continues);
    cf->scope = s;
    for (uint32_t i = 0; i < cf->registry->slot_cnt; i++) {
        enum wr_status st = merge_slot(cf, s, i, begins, continues);

        if (st == WR_ENOMEM) {
            return st;
        }
        if (st == WR_ECONFIG) { /* go on, to find the rest */
            wr_conf_hook_failed(cf, cf->registry->slots[i].module, "merged");
        }
    }
    return WR_OK;
}

enum wr_status wr_scope_merge(struct wr_conf *cf, struct wr_scope *s)
{
    struct wr_scope *at = s, *saved = cf->scope;
    enum wr_status st;

    for (;;) {
        st = merge_one(cf, at);
        if (st != WR_OK) {
            break;
        }
        if (at->first != NULL) {
            at = at->first;
            continue;
        }
        while (at != s && at->next == NULL) {
            at = at->parent;
        }
        if (at == s) {
            break;
        }
        at = at->next;
    }
    cf->scope = saved;
    return st;
}

struct wr_scope *wr_scope_up(struct wr_scope *s, enum wr_ctx ctx)
{
    while (s != NULL && s->ctx != ctx) {
        s = s->parent;
    }
    return s;
}
