/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex.c: PCRE2, see regex.h. The compiled code is the library's memory (through wr_mem_*), freed
 * by a clean-up of the arena, on whatever thread ends the generation. Expressions are compiled for
 * the machine where the library can; a match that runs out of machine stack is done again without.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "http/regex.h"

#include <pcre2.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "conf/dirs.h"
#include "conf/gen.h"
#include "http/req.h"
#include "http/server.h"
#include "http/var.h"

#define MATCH_LIMIT 1000000u
#define DEPTH_LIMIT 100000u
#define HEAP_LIMIT  (4u * 1024) /* KiB */
#define PAIRS       64u         /* groups that a match reports */
#define NAMES_MAX   64u

struct regex_name {
    uint32_t group, var;
};

struct wr_regex {
    pcre2_code *code;
    struct wr_str text;
    uint32_t group_cnt;
    uint32_t name_cnt;
    struct regex_name *names;
};

/* Scratch of one thread: a match writes here, the results are copied out before the next. */
struct regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *ctx;
};

/* Rule zero: one scratch a thread, because making one for each match costs two heap allocations. */
static _Thread_local struct regex_scratch scratch;

static void *lib_alloc(size_t n, void *data)
{
    (void)data;
    return wr_run_alloc(n);
}

static void lib_free(void *p, void *data)
{
    (void)data;
    wr_mem_free(p);
}

static void free_code(void *data)
{
    pcre2_code_free(data);
}

static enum wr_status word_error(struct wr_arena *a, struct wr_str pattern, int code, size_t off,
                                 struct wr_str *ret_err)
{
    PCRE2_UCHAR text[256];

    if (pcre2_get_error_message(code, text, sizeof(text)) < 0) {
        memcpy(text, "unknown error", sizeof("unknown error"));
    }
    if (off >= pattern.len) {
        return wr_arena_printf(a, ret_err, "pcre2_compile() failed: %s in \"%.*s\"", (char *)text,
                               WR_STR_ARG(pattern));
    }
    return wr_arena_printf(a, ret_err, "pcre2_compile() failed: %s in \"%.*s\" at \"%.*s\"",
                           (char *)text, WR_STR_ARG(pattern), (int)(pattern.len - off),
                           pattern.ptr + off);
}

static enum wr_status compile_code(struct wr_arena *a, struct wr_str pattern, unsigned flags,
                                   pcre2_code **ret, struct wr_str *ret_err)
{
    pcre2_general_context *g = pcre2_general_context_create(lib_alloc, lib_free, NULL);
    pcre2_compile_context *cc = g ? pcre2_compile_context_create(g) : NULL;
    pcre2_code *code = NULL;
    enum wr_status st = WR_ENOMEM;
    PCRE2_SIZE off = 0;
    int err = 0;

    if (cc) {
        code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len,
                             (flags & WR_REGEX_ICASE) != 0 ? PCRE2_CASELESS : 0, &err, &off, cc);
        if (code) {
            *ret = code;
            st = WR_OK;
        } else {
            st = word_error(a, pattern, err, off, ret_err) == WR_OK ? WR_ECONFIG : WR_ENOMEM;
        }
    }
    pcre2_compile_context_free(cc);
    pcre2_general_context_free(g);
    return st;
}

enum wr_status wr_regex_new(struct wr_arena *a, struct wr_str pattern, unsigned flags,
                            struct wr_regex **ret, struct wr_str *ret_err)
{
    struct wr_regex *re = wr_arena_zalloc(a, sizeof(*re));
    enum wr_status st;

    if (!re || wr_arena_dup(a, pattern, &re->text) != WR_OK) {
        return WR_ENOMEM;
    }
    st = compile_code(a, re->text, flags, &re->code, ret_err);
    if (st != WR_OK) {
        return st;
    }
    st = wr_arena_on_fini(a, free_code, re->code);
    if (st != WR_OK) {
        pcre2_code_free(re->code);
        return st;
    }
    /* Without it the expression is interpreted: slower, the same result. */
    (void)pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &re->group_cnt);
    *ret = re;
    return WR_OK;
}

bool wr_regex_name(const struct wr_regex *re, uint32_t i, struct wr_str *ret_name,
                   uint32_t *ret_group)
{
    uint32_t cnt = 0, size = 0;
    PCRE2_SPTR table = NULL;

    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &cnt);
    if (i >= cnt) {
        return false;
    }
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
    table += (size_t)i * size;
    *ret_group = (uint32_t)table[0] << 8 | table[1];
    *ret_name = wr_str_z((const char *)table + 2);
    return true;
}

/* Named groups become variables. */
static enum wr_status bind_names(struct wr_conf *cf, const struct wr_node *node,
                                 struct wr_regex *re)
{
    uint32_t cnt = 0, size = 0;
    PCRE2_SPTR table = NULL;

    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &cnt);
    if (cnt == 0) {
        return WR_OK;
    }
    if (cnt > NAMES_MAX) {
        return wr_conf_err(cf, node, "too many named groups in \"%.*s\"", WR_STR_ARG(re->text));
    }
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
    re->names = wr_arena_alloc(cf->arena, cnt * sizeof(*re->names));
    if (!re->names) {
        return wr_conf_nomem(cf);
    }
    for (uint32_t i = 0; i < cnt; i++, table += size) {
        struct wr_str name = wr_str_z((const char *)table + 2);
        struct wr_str copy;
        enum wr_status st = wr_arena_dup(cf->arena, name, &copy);

        if (st == WR_OK) {
            st = wr_http_define_var(cf, copy, &re->names[i].var);
        }
        if (st == WR_ECONFIG) {
            return wr_conf_err(cf, node, "the group name \"%.*s\" cannot be a variable",
                               WR_STR_ARG(name));
        }
        if (st != WR_OK) {
            return wr_conf_nomem(cf);
        }
        re->names[i].group = (uint32_t)table[0] << 8 | table[1];
        re->name_cnt++;
    }
    return WR_OK;
}

/* The expressions that this generation has, by their text. */
static struct wr_map *find_map(struct wr_conf *cf, unsigned flags)
{
    struct wr_http *h = wr_http_building(cf);
    struct wr_map *maps = h->regexes;

    if (!maps) {
        maps = wr_arena_zalloc(cf->arena, 2 * sizeof(*maps));
        if (!maps) {
            return NULL;
        }
        wr_map_init_arena(&maps[WR_REGEX_CASE], WR_MAP_CASE, cf->arena);
        wr_map_init_arena(&maps[WR_REGEX_ICASE], WR_MAP_CASE, cf->arena);
        h->regexes = maps;
    }
    return &maps[(flags & WR_REGEX_ICASE) != 0 ? WR_REGEX_ICASE : WR_REGEX_CASE];
}

enum wr_status wr_regex_compile(struct wr_conf *cf, const struct wr_node *node,
                                struct wr_str pattern, unsigned flags, struct wr_regex **ret)
{
    struct wr_map *same = find_map(cf, flags);
    struct wr_regex *re = same ? wr_map_get(same, pattern) : NULL;
    struct wr_str err = WR_STR_NULL;
    enum wr_status st;

    if (!same) {
        return wr_conf_nomem(cf);
    }
    if (re) {
        *ret = re; /* thousands of servers have the same few */
        return WR_OK;
    }
    st = wr_regex_new(cf->arena, pattern, flags, &re, &err);
    if (st == WR_ECONFIG) {
        return wr_conf_err(cf, node, "%.*s", WR_STR_ARG(err));
    }
    if (st != WR_OK) {
        return wr_conf_nomem(cf);
    }
    st = bind_names(cf, node, re);
    if (st == WR_OK) {
        (void)wr_map_put(same, re->text, re); /* was not there */
        *ret = re;
    }
    return st;
}

uint32_t wr_regex_group_cnt(const struct wr_regex *re)
{
    return re->group_cnt;
}

struct wr_str wr_regex_text(const struct wr_regex *re)
{
    return re->text;
}

static bool prepare_scratch(void)
{
    pcre2_general_context *g;

    if (scratch.data) {
        return true;
    }
    g = pcre2_general_context_create(lib_alloc, lib_free, NULL);
    if (!g) {
        return false;
    }
    scratch.ctx = pcre2_match_context_create(g);
    scratch.data = scratch.ctx ? pcre2_match_data_create(PAIRS, g) : NULL;
    pcre2_general_context_free(g);
    if (!scratch.data) {
        wr_regex_thread_fini();
        return false;
    }
    (void)pcre2_set_match_limit(scratch.ctx, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(scratch.ctx, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(scratch.ctx, HEAP_LIMIT);
    return true;
}

void wr_regex_thread_fini(void)
{
    pcre2_match_data_free(scratch.data);
    pcre2_match_context_free(scratch.ctx);
    scratch = (struct regex_scratch){NULL, NULL};
}

/* *ret_rc: as of the library, > 0. */
static enum wr_status run_match(const struct wr_regex *re, struct wr_str s, int *ret_rc)
{
    const char *p = s.ptr ? s.ptr : "";
    int rc;

    if (!prepare_scratch()) {
        return WR_ENOMEM;
    }
    rc = pcre2_match(re->code, (PCRE2_SPTR)p, s.len, 0, 0, scratch.data, scratch.ctx);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        rc =
            pcre2_match(re->code, (PCRE2_SPTR)p, s.len, 0, PCRE2_NO_JIT, scratch.data, scratch.ctx);
    }
    if (rc >= 0) {
        *ret_rc = rc == 0 ? (int)PAIRS : rc;
        return WR_OK;
    }
    if (rc == PCRE2_ERROR_NOMATCH) {
        return WR_EOF;
    }
    return rc == PCRE2_ERROR_NOMEMORY ? WR_ENOMEM : WR_ELIMIT;
}

static struct wr_str group_text(struct wr_str s, int rc, uint32_t i)
{
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(scratch.data);
    size_t at = 2 * (size_t)i;

    if ((int)i >= rc || v[at] == PCRE2_UNSET || v[at + 1] < v[at]) {
        return WR_STR_NULL;
    }
    return wr_str_sub(s, v[at], v[at + 1] - v[at]);
}

enum wr_status wr_regex_exec(const struct wr_regex *re, struct wr_str s, struct wr_str *caps,
                             uint32_t cnt, uint32_t *ret_cnt)
{
    int rc = 0;
    enum wr_status st = run_match(re, s, &rc);

    if (st != WR_OK) {
        if (st == WR_ELIMIT) {
            wr_log(NULL, WR_LOG_ALERT, "pcre2_match() failed on \"%.*s\" using \"%.*s\"",
                   WR_STR_ARG(s), WR_STR_ARG(re->text));
        }
        return st;
    }
    for (uint32_t i = 0; i < cnt; i++) {
        caps[i] = group_text(s, rc, i);
    }
    *ret_cnt = WR_MIN(cnt, re->group_cnt + 1);
    return WR_OK;
}

enum wr_status wr_regex_match(const struct wr_regex *re, struct wr_str s, struct wr_req *r)
{
    uint32_t cnt = 0;
    struct wr_str caps[WR_REGEX_CAPTURES];
    struct wr_str named[NAMES_MAX];
    enum wr_status st = wr_regex_exec(re, s, caps, WR_REGEX_CAPTURES, &cnt);

    if (st != WR_OK || !r) {
        return st;
    }
    memcpy(r->captures, caps, sizeof(r->captures));
    r->captures_cnt = cnt;
    /* All are read before the first is set: setting may run another match. */
    for (uint32_t i = 0; i < re->name_cnt; i++) {
        named[i] = group_text(s, (int)WR_MIN(re->group_cnt + 1, PAIRS), re->names[i].group);
    }
    for (uint32_t i = 0; i < re->name_cnt && st == WR_OK; i++) {
        st = wr_var_set(r, re->names[i].var, named[i]);
    }
    return st;
}
