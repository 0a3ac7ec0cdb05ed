/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs.c: the registry: all rows of all modules by name, and for each pair (module, kind) a slot
 * with the fields that inheritance copies. Applying a tree is in dirs_apply.c, the whole load in
 * dirs_load.c. Made at boot, then read by any thread.
 */
#include "conf/dirs.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "conf/dirs_int.h"
#include "conf/gen.h"
#include "conf/scope.h"

static const char *const ctx_names[WR_CTX_CNT] = {
    "main",           "events",       "http",     "server",      "location",      "if in server",
    "if in location", "limit_except", "upstream", "stream",      "stream server", "stream upstream",
    "mail",           "mail server",  "mgmt",     "acme_issuer", "oidc_provider",
};

const char *wr_ctx_name(enum wr_ctx ctx)
{
    for (unsigned i = 0; i < WR_CTX_CNT; i++) {
        if ((uint32_t)ctx == 1u << i) {
            return ctx_names[i];
        }
    }
    return "?";
}

void wr_ctx_write_names(uint32_t contexts, struct wr_strbuf *b)
{
    const char *sep = "";

    for (unsigned i = 0; i < WR_CTX_CNT; i++) {
        if ((contexts & 1u << i) != 0) {
            wr_strbuf_add_z(b, sep);
            wr_strbuf_add_z(b, ctx_names[i]);
            sep = ", ";
        }
    }
}

/* Contexts in which a struct of the kind can be found. */
static uint32_t kind_contexts(enum wr_conf_kind kind)
{
    const uint32_t http = WR_CTX_HTTP | WR_CTX_SERVER | WR_CTX_LOCATION | WR_CTX_IF_SERVER |
                          WR_CTX_IF_LOCATION | WR_CTX_LIMIT_EXCEPT;

    switch (kind) {
    case WR_KIND_MAIN:
    case WR_KIND_NONE:
        return ~0u;
    case WR_KIND_SRV:
        return http | WR_CTX_STREAM | WR_CTX_STREAM_SERVER | WR_CTX_MAIL | WR_CTX_MAIL_SERVER;
    case WR_KIND_LOC:
        return http;
    case WR_KIND_GROUP:
        return WR_CTX_UPSTREAM | WR_CTX_STREAM_UPSTREAM | WR_CTX_MGMT | WR_CTX_ACME | WR_CTX_OIDC;
    }
    WR_UNREACHABLE();
}

/* What is wrong with a row by itself; NULL: nothing. */
static const char *check_row(const struct wr_conf_module *m, const struct wr_dir *d)
{
    if (d->contexts == 0) {
        return "has no context";
    }
    if (d->min > d->max) {
        return "has min above max";
    }
    if (d->set == NULL && (d->flags & WR_DIR_IGNORED) == 0) {
        return "has no set function";
    }
    if ((d->flags & (WR_DIR_FREE | WR_DIR_BLOCK)) == WR_DIR_FREE) {
        return "is FREE but no BLOCK";
    }
    if ((d->contexts & ~kind_contexts(d->kind)) != 0) {
        return "stands in a context that has no struct of its kind";
    }
    if (d->kind == WR_KIND_NONE) {
        return d->size == 0 ? NULL : "has a field but no kind";
    }
    if (m->size[d->kind] < sizeof(struct wr_conf_head)) {
        return "is of a kind of which the module has no struct";
    }
    if (d->size != 0 && (d->offset < sizeof(struct wr_conf_head) || d->offset > m->size[d->kind] ||
                         d->size > m->size[d->kind] - d->offset)) {
        return "has a field outside of its struct";
    }
    return NULL;
}

static size_t row_cnt(const struct wr_conf_module *m)
{
    size_t n = 0;

    while (m->dirs != NULL && m->dirs[n].name != NULL) {
        n++;
    }
    return n;
}

/*
 * The bit of a row: shared by rows of one field, and by rows without a field of one name. New bits
 * get an entry in the slot's fields. WR_CONF_ROWS_MAX: no room.
 */
static uint16_t bit_of_row(struct wr_slot *slot, const struct wr_dir_entry *rows, size_t row_no,
                           const struct wr_dir *d)
{
    for (size_t i = 0; i < row_no; i++) {
        const struct wr_dir *o = rows[i].dir;

        if (o->kind != d->kind || o->size != d->size) {
            continue;
        }
        if (d->size != 0 ? o->offset == d->offset : strcmp(o->name, d->name) == 0) {
            return rows[i].bit;
        }
    }
    if (slot->bit_cnt == WR_CONF_ROWS_MAX) {
        return WR_CONF_ROWS_MAX;
    }
    if (d->size != 0) {
        slot->fields[slot->field_cnt++] = (struct wr_slot_field){
            d->offset, d->size, (uint16_t)slot->bit_cnt, d->inherit == WR_INHERIT};
    }
    return (uint16_t)slot->bit_cnt++;
}

static void add_slots(struct wr_registry *r, struct wr_conf_module *m)
{
    for (unsigned k = 0; k < WR_KIND_CNT; k++) {
        struct wr_slot *slot = &r->slots[r->slot_cnt];

        uint16_t no = m->size[k] == 0 ? UINT16_MAX : (uint16_t)r->slot_cnt;

        /* It is what it was in another registry, which threads may be using. */
        if (m->_slot[k] != no) {
            m->_slot[k] = no;
        }
        if (m->size[k] == 0) {
            continue;
        }
        *slot = (struct wr_slot){.module = m, .kind = (enum wr_conf_kind)k};
        slot->fields = wr_mem_alloc((row_cnt(m) + 1) * sizeof(*slot->fields));
        slot->is_own = (m->own_kinds & 1u << k) != 0;
        r->slot_cnt++;
    }
}

/* Puts the entry into its name's chain; the row it clashes with, or NULL. */
static const struct wr_dir_entry *chain_entry(struct wr_registry *r, struct wr_dir_entry *e)
{
    struct wr_str name = wr_str_z(e->dir->name);
    struct wr_dir_entry *at = wr_map_get(&r->_names, name);

    if (at == NULL) {
        (void)wr_map_put(&r->_names, name, e); /* was absent */
        return NULL;
    }
    for (;; at = at->next) {
        if ((at->dir->contexts & e->dir->contexts) != 0) {
            return at;
        }
        if (at->next == NULL) {
            at->next = e;
            return NULL;
        }
    }
}

/* Hidden rows have their fields in the slot, and no name. */
static enum wr_status add_rows(struct wr_registry *r, struct wr_conf_module *m, bool is_hidden,
                               struct wr_strbuf *err)
{
    struct wr_dir_entry *rows = r->_entries + r->entry_cnt;

    for (size_t i = 0; m->dirs != NULL && m->dirs[i].name != NULL; i++) {
        const struct wr_dir *d = &m->dirs[i];
        const char *fault = check_row(m, d);
        const struct wr_dir_entry *clash;

        if (fault != NULL) {
            wr_strbuf_printf(err, "directive \"%s\" of module \"%s\" %s", d->name, m->name, fault);
            return WR_ECONFIG;
        }
        rows[i] = (struct wr_dir_entry){.dir = d, .module = m, .bit = WR_CONF_ROWS_MAX};
        if (d->kind != WR_KIND_NONE) {
            struct wr_slot *slot = &r->slots[m->_slot[d->kind]];

            rows[i].bit = bit_of_row(slot, rows, i, d);
            slot->is_own = slot->is_own || d->inherit == WR_NONE;
            if (rows[i].bit == WR_CONF_ROWS_MAX) {
                wr_strbuf_printf(err, "module \"%s\" has too many directives", m->name);
                return WR_ECONFIG;
            }
        }
        r->entry_cnt++;
        clash = is_hidden ? NULL : chain_entry(r, &rows[i]);
        if (clash != NULL) {
            wr_strbuf_printf(err, "directive \"%s\" of module \"%s\" is also in module \"%s\"",
                             d->name, m->name, clash->module->name);
            return WR_ECONFIG;
        }
    }
    return WR_OK;
}

/* The module whose name this one has, too; NULL: it has a name of its own. */
static const struct wr_conf_module *find_namesake(struct wr_conf_module *const *modules, size_t i,
                                                  const bool *is_hidden)
{
    for (size_t j = 0; j < i; j++) {
        if ((is_hidden == NULL || (!is_hidden[i] && !is_hidden[j])) &&
            strcmp(modules[i]->name, modules[j]->name) == 0) {
            return modules[j];
        }
    }
    return NULL;
}

enum wr_status wr_registry_init_some(struct wr_registry *r, struct wr_conf_module *const *modules,
                                     size_t cnt, const bool *is_hidden, struct wr_strbuf *err)
{
    size_t rows = 0;

    WR_ASSERT(cnt <= WR_CONF_MODULES_MAX);
    *r = (struct wr_registry){.modules = modules, .module_cnt = cnt};
    wr_map_init(&r->_names, WR_MAP_CASE);
    for (size_t i = 0; i < cnt; i++) {
        rows += row_cnt(modules[i]);
    }
    r->_entries = wr_mem_alloc((rows + 1) * sizeof(*r->_entries));
    r->slots = wr_mem_alloc((cnt * WR_KIND_CNT + 1) * sizeof(*r->slots));
    for (size_t i = 0; i < cnt; i++) {
        enum wr_status st;

        if (find_namesake(modules, i, is_hidden) != NULL) {
            wr_strbuf_printf(err, "two modules have the name \"%s\"", modules[i]->name);
            return WR_ECONFIG;
        }
        if (modules[i]->_no != i) {
            modules[i]->_no = (uint16_t)i; /* as the slots */
        }
        add_slots(r, modules[i]);
        st = add_rows(r, modules[i], is_hidden != NULL && is_hidden[i], err);
        if (st != WR_OK) {
            return st;
        }
    }
    return WR_OK;
}

enum wr_status wr_registry_init(struct wr_registry *r, struct wr_conf_module *const *modules,
                                size_t cnt, struct wr_strbuf *err)
{
    return wr_registry_init_some(r, modules, cnt, NULL, err);
}

void wr_registry_fini(struct wr_registry *r)
{
    for (uint32_t i = 0; i < r->slot_cnt; i++) {
        wr_mem_free(r->slots[i].fields);
    }
    wr_mem_free(r->slots);
    wr_mem_free(r->_entries);
    wr_map_fini(&r->_names);
    *r = (struct wr_registry){.modules = NULL};
}

const struct wr_dir_entry *wr_registry_find(const struct wr_registry *r, struct wr_str name)
{
    return wr_map_get(&r->_names, name);
}

/* The bit of the field at offset. */
static uint16_t bit_at(const struct wr_registry *r, const struct wr_conf_module *m,
                       enum wr_conf_kind kind, size_t offset)
{
    const struct wr_slot *slot;

    WR_ASSERT(kind < WR_KIND_NONE && m->_slot[kind] < r->slot_cnt);
    slot = &r->slots[m->_slot[kind]];
    for (uint32_t i = 0; i < slot->field_cnt; i++) {
        if (slot->fields[i].offset == offset) {
            return slot->fields[i].bit;
        }
    }
    WR_UNREACHABLE(); /* no row has a field there */
}

bool wr_conf_is_set(const struct wr_conf_module *m, enum wr_conf_kind kind,
                    const struct wr_registry *r, const void *conf, size_t offset)
{
    const struct wr_conf_head *h = conf;

    return wr_bit_has(h->_set, bit_at(r, m, kind, offset));
}

bool wr_conf_is_given(const struct wr_conf_module *m, enum wr_conf_kind kind,
                      const struct wr_registry *r, const void *conf, size_t offset)
{
    const struct wr_conf_head *h = conf;

    return wr_bit_has(h->_given, bit_at(r, m, kind, offset));
}

void wr_conf_mark_set(const struct wr_conf_module *m, enum wr_conf_kind kind,
                      const struct wr_registry *r, void *conf, size_t offset)
{
    struct wr_conf_head *h = conf;

    wr_bit_set(h->_set, bit_at(r, m, kind, offset));
}
