/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types.c: typed setters. Parsing of numbers, sizes and times is base/num.h; here are the fields,
 * the bounds and nginx's words: `"x" directive invalid value`, `"x" directive invalid number`,
 * `invalid value "v"`, `value must be between 1 and 9`.
 */
#include "conf/types.h"

#include <string.h>

#include "base/assert.h"
#include "base/num.h"
#include "conf/gen.h"

/* nginx keeps sizes and times in signed machine words: larger ones are invalid there, too. */
#define VALUE_MAX ((uint64_t)INT64_MAX)

void *wr_arena_array_push(struct wr_arena *a, void **at, uint32_t *cnt, uint32_t *cap, size_t size)
{
    char *base;

    if (*cnt == *cap) {
        uint32_t n = *cap == 0 ? 4 : *cap * 2;
        size_t bytes;
        void *p;

        if (n < *cap || !wr_mul_ok((size_t)n, size, &bytes)) {
            return NULL;
        }
        p = wr_arena_alloc(a, bytes);
        if (!p) {
            return NULL;
        }
        if (*cnt > 0) {
            memcpy(p, *at, *cnt * size);
        }
        *at = p;
        *cap = n;
    }
    base = *at;
    base += (size_t)(*cnt)++ * size;
    memset(base, 0, size);
    return base;
}

static void *field_of(const struct wr_dir *d, void *conf, size_t size)
{
    WR_ASSERT(conf != NULL && d->size == size);
    return (char *)conf + d->offset;
}

static enum wr_status check_bounds(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                   const struct wr_bounds *b, uint64_t v)
{
    if (b == NULL || (v >= b->min && (b->max == 0 || v <= b->max))) {
        return WR_OK;
    }
    if (b->max == 0) {
        return wr_conf_err_arg(cf, n, i, "value must be equal to or greater than %llu",
                               (unsigned long long)b->min);
    }
    if (b->min == 0) {
        return wr_conf_err_arg(cf, n, i, "value must be equal to or less than %llu",
                               (unsigned long long)b->max);
    }
    return wr_conf_err_arg(cf, n, i, "value must be between %llu and %llu",
                           (unsigned long long)b->min, (unsigned long long)b->max);
}

static enum wr_status parse_plain(struct wr_str s, uint64_t *ret_v)
{
    return wr_num_parse_u64(s, VALUE_MAX, ret_v);
}

static enum wr_status parse_size(struct wr_str s, uint64_t *ret_v)
{
    return wr_num_parse_size(s, VALUE_MAX, ret_v);
}

static enum wr_status parse_offset(struct wr_str s, uint64_t *ret_v)
{
    return wr_num_parse_offset(s, VALUE_MAX, ret_v);
}

static enum wr_status parse_msec(struct wr_str s, uint64_t *ret_v)
{
    enum wr_status st = wr_num_parse_ms(s, ret_v);

    return st == WR_OK && *ret_v > VALUE_MAX ? WR_ELIMIT : st;
}

static enum wr_status parse_sec(struct wr_str s, uint64_t *ret_v)
{
    enum wr_status st = wr_num_parse_sec(s, ret_v);

    return st == WR_OK && *ret_v > VALUE_MAX ? WR_ELIMIT : st;
}

/* How one kind of number is read, and how its error ends. */
struct num_kind {
    enum wr_status (*parse)(struct wr_str s, uint64_t *ret_v);
    const char *err; /* `"x" directive ERR` */
};

static const struct num_kind num_plain = {parse_plain, "invalid number"};
static const struct num_kind num_size = {parse_size, "invalid value"};
static const struct num_kind num_offset = {parse_offset, "invalid value"};
static const struct num_kind num_msec = {parse_msec, "invalid value"};
static const struct num_kind num_sec = {parse_sec, "invalid value"};

static enum wr_status read_num(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                               const struct num_kind *kind, const struct wr_bounds *b,
                               uint64_t *ret_v)
{
    struct wr_str s = wr_node_arg(n, i);
    uint64_t v = 0;
    enum wr_status st;

    if (b != NULL && b->allow_off && wr_str_eq(s, WR_STR("off"))) {
        *ret_v = b->off;
        return WR_OK;
    }
    if (s.len == 0 || kind->parse(s, &v) != WR_OK) {
        return wr_conf_err_arg(cf, n, i, "\"%.*s\" directive %s", WR_STR_ARG(n->name), kind->err);
    }
    st = check_bounds(cf, n, i, b, v);
    if (st == WR_OK) {
        *ret_v = v;
    }
    return st;
}

/* Writes a number into a field of 4 or 8 bytes. */
static enum wr_status set_num_kind(struct wr_conf *cf, const struct wr_dir *d,
                                   const struct wr_node *n, void *conf, const struct num_kind *kind)
{
    uint64_t v = 0;
    enum wr_status st;
    char *field;

    WR_ASSERT(conf != NULL && (d->size == sizeof(uint64_t) || d->size == sizeof(uint32_t)));
    field = (char *)conf + d->offset;
    st = read_num(cf, n, 0, kind, d->data, &v);
    if (st != WR_OK) {
        return st;
    }
    if (d->size == sizeof(uint64_t)) {
        memcpy(field, &v, sizeof(v));
        return WR_OK;
    }
    if (v > UINT32_MAX) {
        return wr_conf_err_dir(cf, n, "%s", kind->err);
    }
    memcpy(field, &(uint32_t){(uint32_t)v}, sizeof(uint32_t));
    return WR_OK;
}

enum wr_status wr_set_num(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                          void *conf)
{
    return set_num_kind(cf, dir, node, conf, &num_plain);
}

enum wr_status wr_set_size(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                           void *conf)
{
    return set_num_kind(cf, dir, node, conf, &num_size);
}

enum wr_status wr_set_offset(struct wr_conf *cf, const struct wr_dir *dir,
                             const struct wr_node *node, void *conf)
{
    return set_num_kind(cf, dir, node, conf, &num_offset);
}

enum wr_status wr_set_msec(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                           void *conf)
{
    return set_num_kind(cf, dir, node, conf, &num_msec);
}

enum wr_status wr_set_sec(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                          void *conf)
{
    return set_num_kind(cf, dir, node, conf, &num_sec);
}

enum wr_status wr_arg_num(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                          const struct wr_bounds *b, uint64_t *ret_v)
{
    return read_num(cf, n, i, &num_plain, b, ret_v);
}

enum wr_status wr_arg_size(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                           const struct wr_bounds *b, uint64_t *ret_v)
{
    return read_num(cf, n, i, &num_size, b, ret_v);
}

enum wr_status wr_arg_msec(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                           const struct wr_bounds *b, uint64_t *ret_v)
{
    return read_num(cf, n, i, &num_msec, b, ret_v);
}

enum wr_status wr_arg_sec(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                          const struct wr_bounds *b, uint64_t *ret_v)
{
    return read_num(cf, n, i, &num_sec, b, ret_v);
}

enum wr_status wr_arg_invalid(struct wr_conf *cf, const struct wr_node *n, uint32_t i)
{
    return wr_conf_err_arg(cf, n, i, "invalid parameter \"%.*s\"", WR_STR_ARG(wr_node_arg(n, i)));
}

static enum wr_status read_part(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                struct wr_str text, const struct num_kind *kind, uint64_t *ret_v)
{
    uint64_t v = 0;

    if (text.len == 0 || kind->parse(text, &v) != WR_OK) {
        return wr_arg_invalid(cf, n, i);
    }
    *ret_v = v;
    return WR_OK;
}

enum wr_status wr_arg_part_num(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                               struct wr_str text, uint64_t *ret_v)
{
    return read_part(cf, n, i, text, &num_plain, ret_v);
}

enum wr_status wr_arg_part_size(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                struct wr_str text, uint64_t *ret_v)
{
    return read_part(cf, n, i, text, &num_size, ret_v);
}

enum wr_status wr_arg_part_sec(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                               struct wr_str text, uint64_t *ret_v)
{
    return read_part(cf, n, i, text, &num_sec, ret_v);
}

enum wr_status wr_arg_part_msec(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                struct wr_str text, uint64_t *ret_v)
{
    return read_part(cf, n, i, text, &num_msec, ret_v);
}

bool wr_arg_has_key(const struct wr_node *n, uint32_t i, const char *key, struct wr_str *ret_value)
{
    struct wr_str s = wr_node_arg(n, i);
    size_t len = strlen(key);

    if (s.len <= len || s.ptr[len] != '=' || memcmp(s.ptr, key, len) != 0) {
        return false;
    }
    *ret_value = wr_str_sub(s, len + 1, s.len);
    return true;
}

enum wr_status wr_set_flag(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                           void *conf)
{
    bool *field = field_of(dir, conf, sizeof(bool));
    struct wr_str s = wr_node_arg(node, 0);

    if (wr_str_ieq(s, WR_STR("on"))) {
        *field = true;
    } else if (wr_str_ieq(s, WR_STR("off"))) {
        *field = false;
    } else {
        return wr_conf_err_arg(
            cf, node, 0,
            "invalid value \"%.*s\" in \"%.*s\" directive, it must be \"on\" or \"off\"",
            WR_STR_ARG(s), WR_STR_ARG(node->name));
    }
    return WR_OK;
}

/* Adds `invalid value "x"` with the words of the table as a hint. */
static enum wr_status refuse_word(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                  const struct wr_word *words)
{
    char room[512];
    struct wr_strbuf b;
    const char *sep = "one of: ";
    struct wr_pos pos = wr_node_arg_pos(n, i);

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    for (; words->name != NULL; words++) {
        wr_strbuf_printf(&b, "%s%s", sep, words->name);
        sep = ", ";
    }
    wr_diag_add(cf->diags, WR_LOG_EMERG, &pos, wr_strbuf_str(&b), "invalid value \"%.*s\"",
                WR_STR_ARG(wr_node_arg(n, i)));
    return WR_ECONFIG;
}

static const struct wr_word *find_word(const struct wr_word *words, struct wr_str s)
{
    for (; words->name != NULL; words++) {
        if (wr_str_ieq(s, wr_str_z(words->name))) {
            return words;
        }
    }
    return NULL;
}

enum wr_status wr_set_enum(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                           void *conf)
{
    uint32_t *field = field_of(dir, conf, sizeof(uint32_t));
    const struct wr_word *w;

    WR_ASSERT(dir->data != NULL);
    w = find_word(dir->data, wr_node_arg(node, 0));
    if (w == NULL) {
        return refuse_word(cf, node, 0, dir->data);
    }
    *field = w->value;
    return WR_OK;
}

enum wr_status wr_set_mask(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                           void *conf)
{
    uint32_t *field = field_of(dir, conf, sizeof(uint32_t));
    uint32_t mask = *field; /* a repeated directive adds to it */

    WR_ASSERT(dir->data != NULL);
    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        const struct wr_word *w = find_word(dir->data, node->args[i].text);

        if (w == NULL) {
            return refuse_word(cf, node, i, dir->data);
        }
        if (w->value != 0 && (mask & w->value) == w->value) {
            wr_conf_warn(cf, node, "duplicate value \"%.*s\"", WR_STR_ARG(node->args[i].text));
        }
        mask |= w->value;
    }
    *field = mask;
    return WR_OK;
}

enum wr_status wr_set_str(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                          void *conf)
{
    struct wr_str *field = field_of(dir, conf, sizeof(struct wr_str));

    return wr_arena_dup(cf->arena, wr_node_arg(node, 0), field);
}

static bool is_off(const struct wr_node *n)
{
    return n->arg_cnt == 1 && wr_str_eq(n->args[0].text, WR_STR("off"));
}

enum wr_status wr_set_str_or_off(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct wr_str *field = field_of(dir, conf, sizeof(struct wr_str));

    if (is_off(node)) {
        *field = WR_STR_NULL;
        return WR_OK;
    }
    return wr_set_str(cf, dir, node, conf);
}

enum wr_status wr_set_strs(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                           void *conf)
{
    struct wr_strs *field = field_of(dir, conf, sizeof(struct wr_strs));

    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        struct wr_str *s = wr_array_push(cf->arena, field);

        if (!s || wr_arena_dup(cf->arena, node->args[i].text, s) != WR_OK) {
            return WR_ENOMEM;
        }
    }
    return WR_OK;
}

enum wr_status wr_set_path(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                           void *conf)
{
    struct wr_str *field = field_of(dir, conf, sizeof(struct wr_str));
    const struct wr_path_opts *o = dir->data;

    return wr_conf_path(cf, wr_node_arg(node, 0), o != NULL ? o->base : WR_PATH_PREFIX, field);
}

enum wr_status wr_set_path_or_off(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct wr_str *field = field_of(dir, conf, sizeof(struct wr_str));

    if (is_off(node)) {
        *field = WR_STR_NULL;
        return WR_OK;
    }
    return wr_set_path(cf, dir, node, conf);
}

static enum wr_status compile_arg(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                  struct wr_str text, unsigned flags, struct wr_template *ret_t)
{
    struct wr_pos pos = wr_node_arg_pos(n, i);
    const struct wr_template_opts o = {&cf->vars, &pos, flags};
    struct wr_str err = WR_STR_NULL;
    enum wr_status st = wr_template_compile_opts(cf->arena, &o, text, ret_t, &err);

    if (st == WR_ECONFIG) {
        return wr_conf_err_arg(cf, n, i, "%.*s", WR_STR_ARG(err));
    }
    return st;
}

enum wr_status wr_arg_template(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                               struct wr_str text, struct wr_template *ret_t)
{
    return compile_arg(cf, n, i, text, WR_TEMPLATE_ANY, ret_t);
}

/* Argument i by the row's rules. */
static enum wr_status template_arg(struct wr_conf *cf, const struct wr_dir *d,
                                   const struct wr_node *n, uint32_t i, struct wr_template *ret_t)
{
    const struct wr_template_set *o = d->data;
    struct wr_str text = wr_node_arg(n, i);

    if (o != NULL && (o->flags & WR_TSET_NONEMPTY) != 0 && text.len == 0) {
        return wr_conf_err_arg(cf, n, i, "invalid value \"\" in \"%.*s\" directive",
                               WR_STR_ARG(n->name));
    }
    return compile_arg(cf, n, i, text, o != NULL ? o->template_flags : WR_TEMPLATE_ANY, ret_t);
}

enum wr_status wr_set_template(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_template **field = field_of(dir, conf, sizeof(struct wr_template *));
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));
    enum wr_status st = !t ? WR_ENOMEM : template_arg(cf, dir, node, 0, t);

    if (st == WR_OK) {
        *field = t;
    }
    return st;
}

enum wr_status wr_set_template_or_off(struct wr_conf *cf, const struct wr_dir *dir,
                                      const struct wr_node *node, void *conf)
{
    struct wr_template **field = field_of(dir, conf, sizeof(struct wr_template *));

    if (is_off(node)) {
        *field = NULL;
        return WR_OK;
    }
    return wr_set_template(cf, dir, node, conf);
}

enum wr_status wr_set_templates(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct wr_templates *field = field_of(dir, conf, sizeof(struct wr_templates));

    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        struct wr_template t, *at;
        enum wr_status st = template_arg(cf, dir, node, i, &t);

        if (st != WR_OK) {
            return st;
        }
        at = wr_array_push(cf->arena, field);
        if (!at) {
            return WR_ENOMEM;
        }
        *at = t;
    }
    return WR_OK;
}

enum wr_status wr_set_kv(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                         void *conf)
{
    struct wr_kvs *field = field_of(dir, conf, sizeof(struct wr_kvs));
    struct wr_kv kv = {.node = node}, *at;
    enum wr_status st = wr_arena_dup(cf->arena, wr_node_arg(node, 0), &kv.name);

    if (st == WR_OK) {
        st = template_arg(cf, dir, node, 1, &kv.value);
    }
    if (st != WR_OK) {
        return st;
    }
    at = wr_array_push(cf->arena, field);
    if (!at) {
        return WR_ENOMEM;
    }
    *at = kv;
    return WR_OK;
}

enum wr_status wr_set_buffers(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct wr_buffers *field = field_of(dir, conf, sizeof(struct wr_buffers));
    const struct wr_buffers_bounds *b = dir->data;
    uint64_t num = 0, size = 0;

    if (parse_plain(wr_node_arg(node, 0), &num) != WR_OK || num == 0 || num > UINT32_MAX ||
        parse_size(wr_node_arg(node, 1), &size) != WR_OK || size == 0 || size > UINT32_MAX) {
        return wr_conf_err_dir(cf, node, "invalid value");
    }
    if (b != NULL && num < b->num_min) {
        return wr_conf_err_arg(cf, node, 0, "there must be at least %u \"%.*s\"", b->num_min,
                               WR_STR_ARG(node->name));
    }
    *field = (struct wr_buffers){(uint32_t)num, (uint32_t)size};
    return WR_OK;
}

/* host:port of an address literal; the port may be absent (0). */
static enum wr_status parse_addr(struct wr_str s, struct wr_addr *ret)
{
    struct wr_hostport hp;
    const char *err;
    enum wr_status st;

    if (wr_str_has_prefix(s, WR_STR("unix:"))) {
        return wr_addr_parse_unix(s, ret);
    }
    st = wr_addr_parse_ip(s, 0, ret);
    if (st == WR_OK) {
        return st;
    }
    st = wr_hostport_parse(s, &hp, &err);
    if (st != WR_OK || hp.rest.len > 0) {
        return WR_EPROTO;
    }
    return wr_addr_parse_ip(hp.host, hp.port, ret);
}

enum wr_status wr_set_addr(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                           void *conf)
{
    struct wr_addr *field = field_of(dir, conf, sizeof(struct wr_addr));
    struct wr_addr a;

    if (parse_addr(wr_node_arg(node, 0), &a) != WR_OK) {
        return wr_conf_err_arg(cf, node, 0, "invalid address \"%.*s\"",
                               WR_STR_ARG(wr_node_arg(node, 0)));
    }
    *field = a;
    return WR_OK;
}

enum wr_status wr_set_cidr(struct wr_conf *cf, const struct wr_dir *dir, const struct wr_node *node,
                           void *conf)
{
    struct wr_cidrs *field = field_of(dir, conf, sizeof(struct wr_cidrs));

    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        struct wr_cidr c, *at;
        bool trimmed = false;

        if (wr_cidr_parse(node->args[i].text, &c, &trimmed) != WR_OK) {
            return wr_conf_err_arg(cf, node, i, "invalid parameter \"%.*s\"",
                                   WR_STR_ARG(node->args[i].text));
        }
        if (trimmed) {
            wr_conf_warn(cf, node, "low address bits of %.*s are meaningless",
                         WR_STR_ARG(node->args[i].text));
        }
        at = wr_array_push(cf->arena, field);
        if (!at) {
            return WR_ENOMEM;
        }
        *at = c;
    }
    return WR_OK;
}

enum wr_status wr_set_ignore(struct wr_conf *cf, const struct wr_dir *dir,
                             const struct wr_node *node, void *conf)
{
    (void)cf;
    (void)dir;
    (void)node;
    (void)conf;
    return WR_OK;
}
