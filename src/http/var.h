/* SPDX-License-Identifier: Apache-2.0 */
/*
 * var.h: variables. A row names a variable (or a prefix such as "http_") and its getter; a
 * generation numbers those that its configuration uses; a request caches values by number. Text
 * with variables (conf/template.h) is evaluated by one appending pass into a bounded buffer
 * (decision D14).
 */
#ifndef WR_HTTP_VAR_H
#define WR_HTTP_VAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "base/strbuf.h"

#define WR_VARS_MAX      16384 /* variables of one generation */
#define WR_VAR_DEPTH_MAX 100   /* values that need values */
#define WR_VAR_TEXT_MAX  65536 /* bytes of an evaluated text */

struct wr_diags;
struct wr_pos;
struct wr_req;
struct wr_template;
struct wr_vars;

struct wr_value {
    struct wr_str s;
    uint8_t state; /* enum wr_value_state */
};

enum wr_value_state {
    WR_VALUE_UNKNOWN,
    WR_VALUE_BUSY,
    WR_VALUE_SET,
    WR_VALUE_ABSENT
};

enum wr_var_flags {
    WR_VAR_PREFIX = 1,  /* name is a prefix; `rest` is what follows: http_, arg_ */
    WR_VAR_NOCACHE = 2, /* evaluated anew at each use */
    WR_VAR_LATE = 4,    /* cached only once the request is in LOG (bytes_sent ...) */
    WR_VAR_CHANGEABLE =
        8,              /* a configuration may define a variable of this name: $args, $limit_rate */
    WR_VAR_WEAK = 16,   /* of wr_vars_define: what is defined already stays */
    WR_VAR_RECORD = 32, /* wr_vars_records says whether a text uses one of these: what they tell
                           must be written down while the request goes on */
};

struct wr_var;

/*
 * Value into *ret (bytes in the request's arena or longer-lived memory); leaves it absent by
 * returning WR_EOF. WR_ENOMEM. At most 20 lines each.
 */
typedef enum wr_status wr_var_get_fn(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                     struct wr_str *ret);

struct wr_var {
    const char *name;
    wr_var_get_fn *get;
    uintptr_t data;
    unsigned flags;
};

/* The registry of all modules' rows; built once at start. A name twice is refused (*ret_name). */
enum wr_status wr_vars_register(const struct wr_var *rows, size_t cnt,
                                const char **ret_name) WR_MUST_CHECK;

/* Rows that are not registered are passed over. No generation that is built may use them. */
void wr_vars_unregister(const struct wr_var *rows, size_t cnt);

/* A generation's numbering. NULL when memory is out. */
struct wr_vars *wr_vars_new(struct wr_arena *a);
/*
 * Defines a variable of this generation by name without '$', without a value until wr_var_set gives
 * it one: for captures by name; the same name gives the same number again. Names are
 * compared in lower case. WR_ECONFIG: it is no name, a row has it, or there are WR_VARS_MAX
 * already.
 */
enum wr_status wr_vars_number(struct wr_vars *v, struct wr_str name,
                              uint32_t *ret_no) WR_MUST_CHECK;
/*
 * Defines a variable of this generation that has a getter: map, geo and kin; of two definitions the
 * later one holds, and a row with WR_VAR_WEAK holds where there is no other. row and its name live
 * as long as the generation. WR_ECONFIG as for wr_vars_number.
 */
enum wr_status wr_vars_define(struct wr_vars *v, const struct wr_var *row, struct wr_str name,
                              uint32_t *ret_no) WR_MUST_CHECK;
/*
 * Number of a variable for a text that uses it: of a row, of a prefix, or of one that is or will be
 * defined by wr_vars_number; pos (may be NULL) is kept for wr_vars_check, which tells of those that
 * were not.
 */
enum wr_status wr_vars_use(struct wr_vars *v, struct wr_str name, const struct wr_pos *pos,
                           uint32_t *ret_no) WR_MUST_CHECK;
/* Reports `unknown "x" variable` for each that nothing defined. WR_ECONFIG: there was one. */
enum wr_status wr_vars_check(const struct wr_vars *v, struct wr_diags *d) WR_MUST_CHECK;
uint32_t wr_vars_count(const struct wr_vars *v);
/* Does a text use a variable of a row with WR_VAR_RECORD? */
bool wr_vars_records(const struct wr_vars *v);

/* Value by number; absent ones give an empty string and *ret_set false. WR_ENOMEM. */
enum wr_status wr_var_value(struct wr_req *r, uint32_t no, struct wr_str *ret,
                            bool *ret_set) WR_MUST_CHECK;
/*
 * Value by name, any case, where no text of the configuration names the variable: what the
 * configuration defines, and the rows of modules. *ret_set false: it has none, or there is no such
 * variable. WR_ENOMEM.
 */
enum wr_status wr_var_find(struct wr_req *r, struct wr_str name, struct wr_str *ret,
                           bool *ret_set) WR_MUST_CHECK;
/* Sets a cached value (regex captures by name, set, auth). */
enum wr_status wr_var_set(struct wr_req *r, uint32_t no, struct wr_str value) WR_MUST_CHECK;
/* Appends the text; what does not fit marks b bad. */
enum wr_status wr_template_append(struct wr_req *r, const struct wr_template *t,
                                  struct wr_strbuf *b) WR_MUST_CHECK;
/* Into the request's arena; constant text is not copied. At most 64 KiB. */
enum wr_status wr_template_eval(struct wr_req *r, const struct wr_template *t,
                                struct wr_str *ret) WR_MUST_CHECK;

#endif
