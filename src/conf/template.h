/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template.h: text with variables, "text $name ${name}more $1", compiled once into a list of parts.
 * Evaluation is not here: http/var.c walks the parts of a request's template. Names are turned into
 * indexes by a callback, so this file knows no variable. Parts are immutable and live in an arena.
 *
 *   "http://$host/a$1"  ->  TEXT "http://" | VAR 7 (host) | TEXT "/a" | CAPTURE 1
 *   "plain"             ->  no parts; source is the value
 *
 * A name is a run of [A-Za-z0-9_]; one digit ($1 .. $9) is a capture; there is no way to write a
 * literal '$' (as in nginx), but WR_TEMPLATE_TAIL_DOLLAR accepts it at the very end (regexes).
 */
#ifndef WR_CONF_TEMPLATE_H
#define WR_CONF_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "conf/diag.h"

#define WR_TEMPLATE_PARTS_MAX 1024

enum wr_part_kind {
    WR_PART_TEXT,
    WR_PART_VAR,    /* index: what lookup gave */
    WR_PART_CAPTURE /* index: 1..9 */
};

struct wr_part {
    enum wr_part_kind kind;
    uint32_t index;
    struct wr_str text; /* TEXT: the bytes; VAR, CAPTURE: the name, for messages */
};

struct wr_template {
    struct wr_str source; /* as written; the value itself when part_cnt is 0. '\0' behind it */
    const struct wr_part *parts;
    uint32_t part_cnt;    /* 0: constant */
    uint32_t capture_max; /* highest $N, 0 when there is none */
};

/*
 * Turns names into indexes. lookup gives WR_OK and *ret_index; WR_ECONFIG: the variable is unknown
 * (the compiler reports `unknown "x" variable`); WR_ENOMEM. pos is where the text stands, for a
 * registry that accepts a name now and reports it later when nothing ever defines it.
 */
struct wr_template_env {
    enum wr_status (*lookup)(const struct wr_template_env *env, struct wr_str name,
                             const struct wr_pos *pos, uint32_t *ret_index);
    void *data;
};

enum wr_template_flags {
    WR_TEMPLATE_ANY = 0,
    WR_TEMPLATE_NO_CAPTURES = 1, /* $1 is an error: `unknown "1" variable` */
    WR_TEMPLATE_TAIL_DOLLAR = 2  /* a '$' at the end is a literal */
};

/*
 * Compiles src (copied). WR_ECONFIG: *ret_err has nginx's words without a place (in arena a).
 * env NULL: every variable is unknown. ret_err is written only then; WR_ENOMEM leaves it.
 */
enum wr_status wr_template_compile(struct wr_arena *a, const struct wr_template_env *env,
                                   struct wr_str src, const struct wr_pos *pos,
                                   struct wr_template *ret_t, struct wr_str *ret_err) WR_MUST_CHECK;

/* Same with flags (enum wr_template_flags or-ed), for callers that are not a directive's value. */
struct wr_template_opts {
    const struct wr_template_env *env;
    const struct wr_pos *pos; /* may be NULL */
    unsigned flags;
};
enum wr_status wr_template_compile_opts(struct wr_arena *a, const struct wr_template_opts *o,
                                        struct wr_str src, struct wr_template *ret_t,
                                        struct wr_str *ret_err) WR_MUST_CHECK;

/* Are there no variables in it? Then source is the value. */
static inline bool wr_template_is_const(const struct wr_template *t)
{
    return t->part_cnt == 0;
}

/* Does the text hold a '$' at all (so that it is worth compiling)? */
bool wr_template_has_vars(struct wr_str src);

#endif
