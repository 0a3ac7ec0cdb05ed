/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types.h: typed setters for rows of directive tables. Each writes the row's field, whose type must
 * be the one named here (asserted by size), and words errors as nginx does. Without WR_DIR_REPEAT a
 * second use at a level is refused by the engine (`directive is duplicate`).
 *
 * Arrays live in the generation's arena; they are appended at one level and replaced whole by the
 * level below. A template's unknown variable is `unknown "x" variable`.
 */
/*
 *   setter                 field                    argument(s)                  data
 *   wr_set_flag            bool                     on | off                     -
 *   wr_set_num             uint64_t or uint32_t     17                           wr_bounds or NULL
 *   wr_set_size            uint64_t or uint32_t     8k 1m                        wr_bounds or NULL
 *   wr_set_offset          uint64_t                 8k 1m 2g                     wr_bounds or NULL
 *   wr_set_msec            uint64_t or uint32_t     60s 1m30s 500ms              wr_bounds or NULL
 *   wr_set_sec             uint64_t or uint32_t     60s 1h 30d                   wr_bounds or NULL
 *   wr_set_enum            uint32_t or an enum      one word of the table        wr_word table
 *   wr_set_mask            uint32_t                 words of the table           wr_word table
 *   wr_set_str             struct wr_str            text                         -
 *   wr_set_str_or_off      struct wr_str            text, off (ptr NULL)         -
 *   wr_set_strs            struct wr_strs           texts, appended              -
 *   wr_set_path            struct wr_str            path, made absolute          wr_path_opts or
 * NULL wr_set_path_or_off     struct wr_str            path, off (ptr NULL)         wr_path_opts or
 * NULL wr_set_template        struct wr_template *     text with variables          wr_template_set
 * or NULL wr_set_template_or_off struct wr_template *     the same, off (NULL) wr_template_set or
 * NULL wr_set_templates       struct wr_templates      texts, appended              wr_template_set
 * or NULL wr_set_kv              struct wr_kvs            name value, appended wr_template_set or
 * NULL wr_set_buffers         struct wr_buffers        8 4k wr_buffers_bounds or NULL wr_set_addr
 * struct wr_addr           1.2.3.4:80 [::1]:80 unix:/p  - wr_set_cidr            struct wr_cidrs
 * 10.0.0.0/8 ..., appended     -
 */
#ifndef WR_CONF_TYPES_H
#define WR_CONF_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/str.h"
#include "conf/dirs.h"
#include "conf/template.h"

/* One word of an enum or mask; tables end with {NULL, 0}: WR_WORDS_END. */
struct wr_word {
    const char *name;
    uint32_t value;
};

#define WR_WORDS_END                                                                               \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

/* All zero: no bounds, no off. max 0 means no maximum. */
struct wr_bounds {
    uint64_t min, max; /* inclusive */
    bool allow_off;    /* the word off is accepted */
    uint64_t off;      /* and stores this */
};

struct wr_path_opts {
    enum wr_path_base base;
};

enum wr_template_set_flags {
    WR_TSET_NONEMPTY = 1, /* an empty text is an `invalid value ""` */
};

struct wr_template_set {
    unsigned flags;          /* enum wr_template_set_flags or-ed */
    unsigned template_flags; /* enum wr_template_flags or-ed */
};

struct wr_strs {
    struct wr_str *at;
    uint32_t cnt, _cap;
};

struct wr_templates {
    struct wr_template *at;
    uint32_t cnt, _cap;
};

struct wr_kv {
    struct wr_str name;
    struct wr_template value;
    const struct wr_node *node; /* for messages */
};

struct wr_kvs {
    struct wr_kv *at;
    uint32_t cnt, _cap;
};

struct wr_buffers {
    uint32_t num;
    uint32_t size; /* bytes of each */
};

struct wr_buffers_bounds {
    uint32_t num_min;
};

struct wr_cidrs {
    struct wr_cidr *at;
    uint32_t cnt, _cap;
};

wr_dir_set_fn wr_set_flag;
wr_dir_set_fn wr_set_num;
wr_dir_set_fn wr_set_size;
wr_dir_set_fn wr_set_offset;
wr_dir_set_fn wr_set_msec;
wr_dir_set_fn wr_set_sec;
wr_dir_set_fn wr_set_enum;
wr_dir_set_fn wr_set_mask;
wr_dir_set_fn wr_set_str;
wr_dir_set_fn wr_set_str_or_off;
wr_dir_set_fn wr_set_strs;
wr_dir_set_fn wr_set_path;
wr_dir_set_fn wr_set_path_or_off;
wr_dir_set_fn wr_set_template;
wr_dir_set_fn wr_set_template_or_off;
wr_dir_set_fn wr_set_templates;
wr_dir_set_fn wr_set_kv;
wr_dir_set_fn wr_set_buffers;
wr_dir_set_fn wr_set_addr;
wr_dir_set_fn wr_set_cidr;
/* Accepts and forgets (arity and place are checked): for directives that have no meaning here. */
wr_dir_set_fn wr_set_ignore;

/*
 * The same parsers for argument i of a node, for custom set functions; they report and give
 * WR_ECONFIG as the setters do. b may be NULL.
 */
enum wr_status wr_arg_num(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                          const struct wr_bounds *b, uint64_t *ret_v) WR_MUST_CHECK;
enum wr_status wr_arg_size(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                           const struct wr_bounds *b, uint64_t *ret_v) WR_MUST_CHECK;
enum wr_status wr_arg_msec(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                           const struct wr_bounds *b, uint64_t *ret_v) WR_MUST_CHECK;
enum wr_status wr_arg_sec(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                          const struct wr_bounds *b, uint64_t *ret_v) WR_MUST_CHECK;
/* Compiles text, which is argument i or a part of it ("key=$var"), into the arena. */
enum wr_status wr_arg_template(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                               struct wr_str text, struct wr_template *ret_t) WR_MUST_CHECK;
/* Argument i is "key=value": *ret_value is the part behind '='. False: it is not. */
bool wr_arg_has_key(const struct wr_node *n, uint32_t i, const char *key, struct wr_str *ret_value);
/*
 * The number written in text (a part of an argument: "weight=5", "max_fails=3"); WR_ECONFIG is
 * `invalid parameter "ARG"`, the whole argument.
 */
enum wr_status wr_arg_part_num(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                               struct wr_str text, uint64_t *ret_v) WR_MUST_CHECK;
enum wr_status wr_arg_part_size(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                struct wr_str text, uint64_t *ret_v) WR_MUST_CHECK;
enum wr_status wr_arg_part_sec(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                               struct wr_str text, uint64_t *ret_v) WR_MUST_CHECK;
enum wr_status wr_arg_part_msec(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                struct wr_str text, uint64_t *ret_v) WR_MUST_CHECK;
/* [emerg] `invalid parameter "ARG"`; value: always WR_ECONFIG. */
/* allow(check): the value is always WR_ECONFIG */
enum wr_status wr_arg_invalid(struct wr_conf *cf, const struct wr_node *n, uint32_t i);

/* Room for one more element at the end of an array in the arena; NULL when memory is out. */
void *wr_arena_array_push(struct wr_arena *a, void **at, uint32_t *cnt, uint32_t *cap, size_t size);
#define wr_array_push(a, v)                                                                        \
    wr_arena_array_push((a), (void **)(void *)&(v)->at, &(v)->cnt, &(v)->_cap, sizeof(*(v)->at))

#endif
