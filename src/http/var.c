/* SPDX-License-Identifier: Apache-2.0 */
/*
 * var.c: the registry of variables, a generation's numbering, a request's values, see var.h.
 *
 *   registry (process)   "host" -> row, "http_" -> row (prefixes, longest first)
 *   struct wr_vars       number -> {row or none, rest of the name behind a prefix}   immutable once
 * built r->vars              number -> {value, state}, made at the first question, one arena block:
 *                        struct values {depth, at[count]}; r->vars is its `at`
 *
 * A value that needs itself finds its state BUSY: that is an error line and an empty string. Texts
 * are appended in one pass into a bounded buffer, no length is computed first (decision D14).
 */
#include "http/var.h"

#include <string.h>

#include "base/assert.h"
#include "base/chars.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "conf/diag.h"
#include "conf/template.h"
#include "http/req.h"
#include "http/server.h"

#define NAME_MAX_LEN 256 /* longer names are no variables */

struct registry {
    struct wr_map exact;
    WR_VEC(const struct wr_var *) prefixes;
    bool is_made;
};

/* Rule zero: the registry of the program, written at boot by wr_vars_register, then only read. */
static struct registry registry;

struct var_entry {
    struct wr_str name;       /* lower case */
    struct wr_str rest;       /* of the name, behind a prefix */
    const struct wr_var *row; /* NULL: a variable of the configuration without a getter */
    bool is_ours;             /* row is of the configuration: map, geo ... */
    bool is_defined;
    struct wr_pos pos; /* first use of an undefined one */
};

struct wr_vars {
    struct wr_arena *arena;
    struct wr_map by_name; /* -> entry_of index + 1, as a pointer-sized number */
    struct var_entry *at;
    uint32_t cnt, cap;
    bool has_record; /* an entry's row has WR_VAR_RECORD */
};

struct values {
    uint32_t depth; /* getters on the stack */
    uint32_t cnt;
    struct wr_value at[];
};

/* ---- registry ------------------------------------------------------------------------------- */

static const struct wr_var *find_prefix_row(struct wr_str name)
{
    for (size_t i = 0; i < registry.prefixes.cnt; i++) {
        const struct wr_var *row = registry.prefixes.at[i];

        if (wr_str_has_prefix(name, wr_str_z(row->name))) {
            return row;
        }
    }
    return NULL;
}

static const struct wr_var *find_same_prefix(const struct wr_var *row)
{
    for (size_t i = 0; i < registry.prefixes.cnt; i++) {
        if (strcmp(registry.prefixes.at[i]->name, row->name) == 0) {
            return registry.prefixes.at[i];
        }
    }
    return NULL;
}

/* Longer ones first, so that the first that fits is the longest. */
static void add_prefix(const struct wr_var *row)
{
    size_t len = strlen(row->name), i;

    *wr_vec_push(&registry.prefixes) = row;
    for (i = registry.prefixes.cnt - 1; i > 0; i--) {
        const struct wr_var *before = registry.prefixes.at[i - 1];

        if (strlen(before->name) >= len) {
            break;
        }
        registry.prefixes.at[i] = before;
        registry.prefixes.at[i - 1] = row;
    }
}

/* A row as the value of a map, which holds what may be written. */
static void *as_value(const struct wr_var *row)
{
    union {
        const struct wr_var *row;
        void *value;
    } u = {.row = row};

    return u.value;
}

enum wr_status wr_vars_register(const struct wr_var *rows, size_t cnt, const char **ret_name)
{
    if (!registry.is_made) {
        wr_map_init(&registry.exact, WR_MAP_CASE);
        registry.is_made = true;
    }
    for (size_t i = 0; i < cnt; i++) {
        const struct wr_var *row = &rows[i];
        bool is_prefix = (row->flags & WR_VAR_PREFIX) != 0;
        const struct wr_var *old =
            is_prefix ? find_same_prefix(row) : wr_map_get(&registry.exact, wr_str_z(row->name));

        if (old == row) {
            continue; /* the same table again */
        }
        if (old) {
            *ret_name = row->name;
            return WR_ECONFIG;
        }
        if (is_prefix) {
            add_prefix(row);
        } else {
            (void)wr_map_put(&registry.exact, wr_str_z(row->name), as_value(row)); /* is new */
        }
    }
    return WR_OK;
}

static void remove_prefix(const struct wr_var *row)
{
    size_t i = 0;

    while (i < registry.prefixes.cnt && registry.prefixes.at[i] != row) {
        i++;
    }
    for (; i + 1 < registry.prefixes.cnt; i++) {
        registry.prefixes.at[i] = registry.prefixes.at[i + 1];
    }
    if (i < registry.prefixes.cnt) {
        registry.prefixes.cnt--;
    }
}

void wr_vars_unregister(const struct wr_var *rows, size_t cnt)
{
    for (size_t i = 0; i < cnt && registry.is_made; i++) {
        const struct wr_var *row = &rows[i];
        struct wr_str name = wr_str_z(row->name);

        if ((row->flags & WR_VAR_PREFIX) != 0) {
            remove_prefix(row);
        } else if (wr_map_get(&registry.exact, name) == row) {
            (void)wr_map_remove(&registry.exact, name);
        }
    }
}

/* ---- numbering ------------------------------------------------------------------------------ */

static void end_vars(void *data)
{
    struct wr_vars *v = data;

    wr_map_fini(&v->by_name);
}

struct wr_vars *wr_vars_new(struct wr_arena *a)
{
    struct wr_vars *v = wr_arena_zalloc(a, sizeof(*v));

    if (!v) {
        return NULL;
    }
    v->arena = a;
    wr_map_init(&v->by_name, WR_MAP_CASE);
    return wr_arena_on_fini(a, end_vars, v) == WR_OK ? v : NULL;
}

bool wr_vars_records(const struct wr_vars *v)
{
    return v->has_record;
}

uint32_t wr_vars_count(const struct wr_vars *v)
{
    return v->cnt;
}

static enum wr_status grow_entries(struct wr_vars *v)
{
    uint32_t cap = v->cap == 0 ? 32 : v->cap * 2;
    struct var_entry *at;

    if (v->cnt < v->cap) {
        return WR_OK;
    }
    at = wr_arena_alloc(v->arena, cap * sizeof(*at));
    if (!at) {
        return WR_ENOMEM;
    }
    if (v->cnt > 0) {
        memcpy(at, v->at, v->cnt * sizeof(*at));
    }
    v->at = at;
    v->cap = cap;
    return WR_OK;
}

/* Finds the entry of this name or makes one; a new one that no row knows is undefined. */
static enum wr_status number_of(struct wr_vars *v, struct wr_str name, uint32_t *ret_no)
{
    char room[NAME_MAX_LEN];
    struct wr_str low;
    struct var_entry e = {.row = NULL};
    uintptr_t no;
    enum wr_status st;

    if (name.len == 0 || name.len > sizeof(room)) {
        return WR_ECONFIG;
    }
    for (size_t i = 0; i < name.len; i++) {
        room[i] = (char)wr_char_lower[(unsigned char)name.ptr[i]];
    }
    low = wr_str(room, name.len);
    no = (uintptr_t)wr_map_get(&v->by_name, low);
    if (no != 0) {
        *ret_no = (uint32_t)(no - 1);
        return WR_OK;
    }
    if (v->cnt >= WR_VARS_MAX) {
        return WR_ECONFIG;
    }
    st = wr_arena_dup(v->arena, low, &e.name);
    if (st == WR_OK) {
        st = grow_entries(v);
    }
    if (st != WR_OK) {
        return st;
    }
    if (registry.is_made) {
        e.row = wr_map_get(&registry.exact, low);
    }
    if (!e.row) {
        e.row = find_prefix_row(low);
        if (e.row) {
            e.rest = wr_str_sub(e.name, strlen(e.row->name), SIZE_MAX);
        }
    }
    e.is_defined = e.row != NULL;
    v->has_record = v->has_record || (e.row && (e.row->flags & WR_VAR_RECORD) != 0);
    v->at[v->cnt] = e;
    *ret_no = v->cnt++;
    (void)wr_map_put(&v->by_name, e.name, (void *)(uintptr_t)v->cnt); /* is new */
    return WR_OK;
}

/* The entry of a name that the configuration is about to define. WR_ECONFIG: a module has it. */
static enum wr_status claim(struct wr_vars *v, struct wr_str name, uint32_t *ret_no)
{
    uint32_t no = 0;
    enum wr_status st = number_of(v, name, &no);
    const struct var_entry *e;

    if (st != WR_OK) {
        return st;
    }
    e = &v->at[no];
    if (e->row && !e->is_ours && (e->row->flags & (WR_VAR_PREFIX | WR_VAR_CHANGEABLE)) == 0) {
        return WR_ECONFIG;
    }
    *ret_no = no;
    return WR_OK;
}

static bool has_flag(const struct var_entry *e, unsigned flag)
{
    return e->row && (e->row->flags & flag) != 0;
}

enum wr_status wr_vars_number(struct wr_vars *v, struct wr_str name, uint32_t *ret_no)
{
    enum wr_status st = claim(v, name, ret_no);

    if (st == WR_OK) {
        struct var_entry *e = &v->at[*ret_no];

        /* It hides what a prefix would give; the getter of a map gives the value until one is set.
         */
        if (has_flag(e, WR_VAR_PREFIX | WR_VAR_WEAK)) {
            e->row = NULL;
            e->is_ours = false;
        }
        e->is_defined = true;
    }
    return st;
}

enum wr_status wr_vars_define(struct wr_vars *v, const struct wr_var *row, struct wr_str name,
                              uint32_t *ret_no)
{
    enum wr_status st = claim(v, name, ret_no);
    struct var_entry *e;

    if (st != WR_OK) {
        return st;
    }
    e = &v->at[*ret_no];
    if ((row->flags & WR_VAR_WEAK) == 0 || !e->is_defined || has_flag(e, WR_VAR_PREFIX)) {
        e->row = row;
        e->rest = WR_STR_NULL;
        e->is_ours = true;
        e->is_defined = true;
    }
    return st;
}

enum wr_status wr_vars_use(struct wr_vars *v, struct wr_str name, const struct wr_pos *pos,
                           uint32_t *ret_no)
{
    uint32_t cnt = v->cnt;
    enum wr_status st = number_of(v, name, ret_no);

    if (st == WR_OK && v->cnt > cnt && pos) {
        v->at[*ret_no].pos = *pos;
    }
    return st;
}

enum wr_status wr_vars_check(const struct wr_vars *v, struct wr_diags *d)
{
    enum wr_status st = WR_OK;

    for (uint32_t i = 0; i < v->cnt; i++) {
        const struct var_entry *e = &v->at[i];

        if (!e->is_defined) {
            wr_diag_add(d, WR_LOG_EMERG, e->pos.file ? &e->pos : NULL, WR_STR_NULL,
                        "unknown \"%.*s\" variable", WR_STR_ARG(e->name));
            st = WR_ECONFIG;
        }
    }
    return st;
}

/* ---- values --------------------------------------------------------------------------------- */

static struct values *values_of(struct wr_req *r)
{
    struct values *vs;
    uint32_t cnt;

    if (r->vars) {
        return wr_container_of(r->vars, struct values, at);
    }
    cnt = wr_vars_count(r->http->vars);
    vs = wr_arena_zalloc(r->arena, sizeof(*vs) + cnt * sizeof(vs->at[0]));
    if (vs) {
        vs->cnt = cnt;
        r->vars = vs->at;
    }
    return vs;
}

/*
 * Whose values hold for a variable: those that are only set (set, auth_request_set, named groups)
 * have one value for the main request and all its subrequests (http/sub.h).
 */
static struct wr_req *owner_of(struct wr_req *r, uint32_t no)
{
    const struct wr_var *row;

    if (!r->parent || no >= wr_vars_count(r->http->vars)) {
        return r;
    }
    row = r->http->vars->at[no].row;
    return row && (row->flags & WR_VAR_WEAK) == 0 ? r : r->main;
}

/* Asks the row. The state is BUSY meanwhile. */
static enum wr_status compute(struct wr_req *r, struct values *vs, uint32_t no)
{
    const struct var_entry *e = &r->http->vars->at[no];
    struct wr_value *v = &vs->at[no];
    struct wr_str s = WR_STR_NULL;
    enum wr_status st;

    if (vs->depth >= WR_VAR_DEPTH_MAX) {
        wr_log(&r->log, WR_LOG_ERROR, "too many nested variables at \"%.*s\"", WR_STR_ARG(e->name));
        v->state = WR_VALUE_ABSENT;
        return WR_OK;
    }
    v->state = WR_VALUE_BUSY;
    vs->depth++;
    st = e->row->get(r, e->row, e->rest, &s);
    vs->depth--;
    if (st == WR_OK) {
        v->s = s;
        v->state = WR_VALUE_SET;
        return WR_OK;
    }
    v->s = WR_STR_NULL;
    v->state = st == WR_EOF ? WR_VALUE_ABSENT : WR_VALUE_UNKNOWN;
    return st == WR_EOF ? WR_OK : st;
}

enum wr_status wr_var_value(struct wr_req *r, uint32_t no, struct wr_str *ret, bool *ret_set)
{
    struct values *vs = values_of(owner_of(r, no));
    const struct var_entry *e;
    struct wr_value *v;

    if (!vs) {
        return WR_ENOMEM;
    }
    if (!WR_ASSERT_REQ(no < vs->cnt)) {
        return WR_ECANCELED;
    }
    e = &r->http->vars->at[no];
    v = &vs->at[no];
    if (v->state == WR_VALUE_UNKNOWN && e->row) {
        enum wr_status st = compute(r, vs, no);

        if (st != WR_OK) {
            return st;
        }
        *ret = v->s;
        *ret_set = v->state == WR_VALUE_SET;
        if ((e->row->flags & (WR_VAR_NOCACHE | WR_VAR_LATE)) != 0) {
            v->state = WR_VALUE_UNKNOWN;
        }
        return WR_OK;
    }
    if (v->state == WR_VALUE_BUSY) {
        wr_log(&r->log, WR_LOG_ERROR, "cycle while evaluating variable \"%.*s\"",
               WR_STR_ARG(e->name));
    }
    *ret_set = v->state == WR_VALUE_SET;
    *ret = *ret_set ? v->s : WR_STR_NULL;
    return WR_OK;
}

enum wr_status wr_var_set(struct wr_req *r, uint32_t no, struct wr_str value)
{
    struct wr_req *owner = owner_of(r, no);
    struct values *vs = values_of(owner);
    enum wr_status st;

    if (!vs) {
        return WR_ENOMEM;
    }
    if (!WR_ASSERT_REQ(no < vs->cnt)) {
        return WR_ECANCELED;
    }
    if (owner != r && value.len > 0) {
        st = wr_arena_dup(owner->arena, value, &value); /* it outlives the subrequest */
        if (st != WR_OK) {
            return st;
        }
    }
    vs->at[no] = (struct wr_value){.s = value, .state = WR_VALUE_SET};
    return WR_OK;
}

/* A row that this generation has given no number: asked each time. */
static enum wr_status ask_row(struct wr_req *r, struct wr_str low, struct wr_str *ret,
                              bool *ret_set)
{
    const struct wr_var *row = wr_map_get(&registry.exact, low);
    struct wr_str rest = WR_STR_NULL, kept;
    enum wr_status st;

    if (!row) {
        row = find_prefix_row(low);
    }
    if (!row) {
        return WR_OK;
    }
    if ((row->flags & WR_VAR_PREFIX) != 0) {
        rest = wr_str_sub(low, strlen(row->name), SIZE_MAX);
        st = wr_arena_dup(r->arena, rest, &kept); /* a getter may keep it */
        if (st != WR_OK) {
            return st;
        }
        rest = kept;
    }
    st = row->get(r, row, rest, ret);
    *ret_set = st == WR_OK;
    return st == WR_EOF ? WR_OK : st;
}

enum wr_status wr_var_find(struct wr_req *r, struct wr_str name, struct wr_str *ret, bool *ret_set)
{
    const struct wr_vars *v = r->http->vars;
    char room[NAME_MAX_LEN];
    struct wr_str low;
    uintptr_t no;

    *ret = WR_STR_NULL;
    *ret_set = false;
    if (name.len == 0 || name.len > sizeof(room)) {
        return WR_OK;
    }
    for (size_t i = 0; i < name.len; i++) {
        room[i] = (char)wr_char_lower[(unsigned char)name.ptr[i]];
    }
    low = wr_str(room, name.len);
    no = (uintptr_t)wr_map_get(&v->by_name, low);
    return no != 0 ? wr_var_value(r, (uint32_t)(no - 1), ret, ret_set)
                   : ask_row(r, low, ret, ret_set);
}

/* ---- texts ---------------------------------------------------------------------------------- */

static enum wr_status part_value(struct wr_req *r, const struct wr_part *p, struct wr_str *ret)
{
    bool is_set;

    switch (p->kind) {
    case WR_PART_TEXT:
        *ret = p->text;
        return WR_OK;
    case WR_PART_VAR:
        return wr_var_value(r, p->index, ret, &is_set);
    case WR_PART_CAPTURE:
        *ret = p->index < r->captures_cnt ? r->captures[p->index] : WR_STR_NULL;
        return WR_OK;
    }
    WR_UNREACHABLE();
}

enum wr_status wr_template_append(struct wr_req *r, const struct wr_template *t,
                                  struct wr_strbuf *b)
{
    if (t->part_cnt == 0) {
        wr_strbuf_add_str(b, t->source);
        return b->status;
    }
    for (uint32_t i = 0; i < t->part_cnt; i++) {
        struct wr_str s;
        enum wr_status st = part_value(r, &t->parts[i], &s);

        if (st != WR_OK) {
            return st;
        }
        wr_strbuf_add_str(b, s);
    }
    return b->status;
}

enum wr_status wr_template_eval(struct wr_req *r, const struct wr_template *t, struct wr_str *ret)
{
    struct wr_strbuf b;
    enum wr_status st;

    if (t->part_cnt == 0) {
        *ret = t->source;
        return WR_OK;
    }
    if (t->part_cnt == 1) {
        return part_value(r, &t->parts[0], ret); /* no copy: it lives as long as the request */
    }
    wr_strbuf_init_arena(&b, r->arena, WR_VAR_TEXT_MAX);
    st = wr_template_append(r, t, &b);
    if (st == WR_ELIMIT) {
        wr_log(&r->log, WR_LOG_ERROR, "the text of \"%.*s\" is longer than %u bytes",
               WR_STR_ARG(t->source), (unsigned)WR_VAR_TEXT_MAX);
    }
    if (st == WR_OK) {
        *ret = wr_strbuf_str(&b);
    }
    return st;
}
