/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite_if.c: `if (CONDITION) { ... }`. A condition is
 *
 *   $a                      true unless empty or "0"
 *   $a = TEXT   $a != TEXT  the same text or not; TEXT may have variables
 *   $a ~ RE   ~*  !~  !~*   a regex; its captures are there afterwards
 *   -f NAME  -d  -e  -x     a file, a folder, anything, something executable; or not, with '!'
 *
 * When it holds the operations inside run in place of the `if`, and those behind it follow. In a
 * location the settings inside hold from then on: the request has the location of the `if`, which
 * inherits all from the one around it, what answers it included.
 */
#include <errno.h>

#include "base/log.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/location.h"
#include "http/regex.h"
#include "io/file.h"
#include "mod/rewrite_int.h"

#define WORDS_MAX 4 /* of a condition, and one more */

enum test {
    TEST_TRUE,
    TEST_EQUAL,
    TEST_REGEX,
    TEST_FILE
};

struct op_if {
    struct wr_rewrite_op op;
    uint8_t test; /* enum test */
    bool is_not;
    unsigned traits;      /* FILE: enum wr_file_traits; 0: that it is there */
    struct wr_template a; /* the variable, or the name */
    struct wr_template b; /* EQUAL */
    struct wr_regex *re;  /* REGEX */
    struct wr_scope *scope;
    const struct wr_location *location; /* in a location; NULL: in a server */
};

/* ---- run ------------------------------------------------------------------------------------- */

/* *ret: is the file what is asked for? A name with a NUL is none. */
static enum wr_status test_file(struct wr_req *r, const struct op_if *op, struct wr_str name,
                                bool *ret)
{
    struct wr_str path;
    unsigned traits = 0;
    int err = 0;
    enum wr_status st;

    *ret = false;
    if (name.len == 0 || memchr(name.ptr, '\0', name.len)) {
        return WR_OK;
    }
    st = wr_arena_printf(r->arena, &path, "%.*s%.*s",
                         WR_STR_ARG(name.ptr[0] == '/' ? WR_STR("") : wr_core_loc_of(r)->prefix),
                         WR_STR_ARG(name));
    if (st != WR_OK) {
        return st;
    }
    if (wr_file_traits(path.ptr, &traits, &err) == WR_OK) {
        *ret = (traits & op->traits) == op->traits;
    } else if (err != ENOENT && err != ENOTDIR && err != ENAMETOOLONG && err != EACCES) {
        wr_log_errno(&r->log, WR_LOG_CRIT, err, "stat() \"%.*s\" failed", WR_STR_ARG(path));
    }
    return WR_OK;
}

static enum wr_status test_text(struct wr_rewrite_run *run, const struct op_if *op, struct wr_str a,
                                bool *ret)
{
    struct wr_str b = WR_STR_NULL;
    enum wr_status st = WR_OK;

    switch ((enum test)op->test) {
    case TEST_TRUE:
        *ret = a.len > 0 && !wr_str_eq(a, WR_STR("0"));
        return WR_OK;
    case TEST_EQUAL:
        st = wr_rewrite_eval(run, &op->b, &b);
        *ret = wr_str_eq(a, b);
        return st;
    case TEST_REGEX:
        st = wr_rewrite_match(run, op->re, a);
        *ret = st == WR_OK;
        return st == WR_EOF ? WR_OK : st;
    case TEST_FILE:
        return test_file(run->r, op, a, ret);
    }
    WR_UNREACHABLE();
}

/*
 * The operations of the block, with its settings. In a location these stay for what stands behind
 * it and for the content; in a server they end with the block.
 */
static enum wr_rewrite_next run_block(struct wr_rewrite_run *run, const struct op_if *op)
{
    const struct wr_rewrite_loc *outer = run->conf;
    const struct wr_scope *scope = run->r->scope;
    enum wr_rewrite_next next;

    run->conf = wr_scope_get(op->scope, &wr_rewrite_conf, WR_KIND_LOC);
    if (op->location) {
        wr_req_use_location(run->r, op->location);
    } else {
        run->r->scope = op->scope;
    }
    next = wr_rewrite_run_ops(run);
    run->conf = outer;
    if (!op->location) {
        run->r->scope = scope;
    }
    return next;
}

static enum wr_rewrite_next run_if(struct wr_rewrite_run *run, const struct wr_rewrite_op *o)
{
    const struct op_if *op = (const struct op_if *)(const void *)o;
    struct wr_str a = WR_STR_NULL;
    bool holds = false;
    enum wr_status st = wr_template_eval(run->r, &op->a, &a);

    if (st == WR_OK) {
        st = test_text(run, op, a, &holds);
    }
    if (st != WR_OK) {
        return wr_rewrite_fail(run);
    }
    return holds == op->is_not ? WR_REWRITE_NEXT : run_block(run, op);
}

/* ---- the condition --------------------------------------------------------------------------- */

/* One word of the condition, and the argument it is of. */
struct word {
    struct wr_str text;
    uint32_t arg;
};

struct words {
    struct word at[WORDS_MAX];
    uint32_t cnt;
};

static enum wr_status invalid(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                              struct wr_str text)
{
    return wr_conf_err_arg(cf, n, i, "invalid condition \"%.*s\"", WR_STR_ARG(text));
}

/* The words between the brackets, of which only the first few are kept. */
static enum wr_status read_words(struct wr_conf *cf, const struct wr_node *n, struct words *ret)
{
    struct wr_str first = wr_node_arg(n, 0), last = wr_node_arg(n, n->arg_cnt - 1);
    struct words w = {.cnt = 0};

    if (first.len == 0 || first.ptr[0] != '(') {
        return invalid(cf, n, 0, first);
    }
    if (last.len == 0 || last.ptr[last.len - 1] != ')' || (n->arg_cnt == 1 && last.len == 1)) {
        size_t bracket = n->arg_cnt == 1 && last.len > 1;

        return invalid(cf, n, n->arg_cnt - 1, wr_str_sub(last, bracket, last.len));
    }
    for (uint32_t i = 0; i < n->arg_cnt && w.cnt < WORDS_MAX; i++) {
        struct wr_str s = wr_node_arg(n, i);
        size_t skip = i == 0, cut = i + 1 == n->arg_cnt;

        if (s.len > skip + cut || (skip + cut == 0)) {
            w.at[w.cnt++] = (struct word){wr_str_sub(s, skip, s.len - skip - cut), i};
        }
    }
    if (w.cnt == 0) {
        return invalid(cf, n, n->arg_cnt - 1, WR_STR(")"));
    }
    *ret = w;
    return WR_OK;
}

/* "-f", "!-d" ... */
static bool read_file_test(struct wr_str s, struct op_if *op)
{
    bool is_not = s.len > 0 && s.ptr[0] == '!';

    s = wr_str_sub(s, is_not ? 1 : 0, s.len);
    if (s.len != 2 || s.ptr[0] != '-') {
        return false;
    }
    op->test = TEST_FILE;
    op->is_not = is_not;
    switch (s.ptr[1]) {
    case 'e':
        op->traits = 0;
        return true;
    case 'f':
        op->traits = WR_FILE_REGULAR;
        return true;
    case 'd':
        op->traits = WR_FILE_DIR;
        return true;
    case 'x':
        op->traits = WR_FILE_EXECUTABLE;
        return true;
    default: /* a letter of a file */
        return false;
    }
}

/* "$a OP TEXT": what OP says. False: there is no such. */
static bool read_operator(struct wr_str s, struct op_if *op, unsigned *ret_flags)
{
    op->is_not = s.len > 0 && s.ptr[0] == '!';
    s = wr_str_sub(s, op->is_not ? 1 : 0, s.len);
    if (wr_str_eq(s, WR_STR("="))) {
        op->test = TEST_EQUAL;
    } else if (wr_str_eq(s, WR_STR("~"))) {
        op->test = TEST_REGEX;
        *ret_flags = WR_REGEX_CASE;
    } else if (wr_str_eq(s, WR_STR("~*"))) {
        op->test = TEST_REGEX;
        *ret_flags = WR_REGEX_ICASE;
    } else {
        return false;
    }
    return true;
}

static enum wr_status read_comparison(struct wr_conf *cf, const struct wr_node *n,
                                      const struct words *w, struct op_if *op)
{
    unsigned flags = 0;

    if (!read_operator(w->at[1].text, op, &flags)) {
        return wr_conf_err_arg(cf, n, w->at[1].arg, "unexpected \"%.*s\" in condition",
                               WR_STR_ARG(w->at[1].text));
    }
    if (op->test == TEST_REGEX) {
        return wr_regex_compile(cf, n, w->at[2].text, flags, &op->re);
    }
    return wr_arg_template(cf, n, w->at[2].arg, w->at[2].text, &op->b);
}

static enum wr_status read_condition(struct wr_conf *cf, const struct wr_node *n, struct op_if *op)
{
    struct words w = {.cnt = 0};
    struct wr_str first;
    enum wr_status st = read_words(cf, n, &w);

    if (st != WR_OK) {
        return st;
    }
    first = w.at[0].text;
    if (read_file_test(first, op)) {
        if (w.cnt != 2) {
            return invalid(cf, n, w.at[0].arg, first);
        }
        return wr_arg_template(cf, n, w.at[1].arg, w.at[1].text, &op->a);
    }
    if (first.len < 2 || first.ptr[0] != '$' || (w.cnt != 1 && w.cnt != 3)) {
        return invalid(cf, n, w.at[0].arg, first);
    }
    st = wr_arg_template(cf, n, w.at[0].arg, first, &op->a);
    if (st == WR_OK && op->a.part_cnt != 1) {
        return invalid(cf, n, w.at[0].arg, first);
    }
    return st == WR_OK && w.cnt == 3 ? read_comparison(cf, n, &w, op) : st;
}

/* ---- the directive --------------------------------------------------------------------------- */

enum wr_status wr_rewrite_set_if(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct op_if *op = wr_rewrite_add(cf, conf, run_if, sizeof(*op));
    struct wr_location *l = NULL;
    enum wr_status st;

    (void)dir;
    if (!op) {
        return WR_ENOMEM;
    }
    st = read_condition(cf, node, op);
    if (st == WR_ENOMEM) {
        return st;
    }
    if (cf->scope->ctx == WR_CTX_LOCATION) {
        enum wr_status made = wr_location_new_noname(cf, WR_CTX_IF_LOCATION, node, &l);

        if (made != WR_OK) {
            return made;
        }
        op->location = l;
        op->scope = l->scope;
    } else if (wr_scope_new(cf, WR_CTX_IF_SERVER, node, &op->scope) != WR_OK) {
        return WR_ENOMEM;
    }
    /* After an error too, so that what is wrong inside is found in the same run. */
    return wr_conf_apply(cf, node, op->scope) == WR_ENOMEM ? WR_ENOMEM : st;
}
