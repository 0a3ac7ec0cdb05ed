/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssi_int.h: what the files of the ssi module share. A page is the stage of one response; what
 * pages of one client's request have in common (variables of `set`, blocks, captures) is in struct
 * ssi_shared, which lies with the main request.
 *
 *   input -> scan -> commands -> output                 while nothing is awaited
 *                             -> items: text | include | text | include ...   else
 *
 * Items are what comes behind an include that has not ended: the page is read on, so that includes
 * run side by side, up to SSI_AHEAD_MAX bytes of text and SSI_SUBS_MAX includes; then it waits.
 */
#ifndef WR_MOD_SSI_INT_H
#define WR_MOD_SSI_INT_H

#include "http/mime_set.h"
#include "http/module.h"
#include "http/regex.h"
#include "http/stage.h"
#include "mod/ssi_parse.h"

#define SSI_AHEAD_MAX  65536u /* bytes of text read ahead of an include */
#define SSI_SUBS_MAX   32u    /* includes of one page that run at a time */
#define SSI_BLOCK_MAX  65536u /* bytes of a block */
#define SSI_BLOCKS_MAX 256u   /* blocks of a client's request */
#define SSI_VARS_MAX   1024u  /* variables of `set` */
#define SSI_REGEX_MAX  64u    /* different expressions */
#define SSI_DEPTH_MAX  32u    /* of `if` in `if` */
#define SSI_TEXT_MAX   65536u /* bytes of a text with variables */
#define SSI_CAPTURES   10u

struct ssi_loc {
    struct wr_conf_head head;
    bool is_on, is_silent, keep_modified;
    struct wr_mime_set types;
    uint64_t min_file_chunk; /* accepted: bytes of files are looked at where they are */
    uint64_t value_max;
};

struct ssi_var {
    struct wr_str name; /* lower case */
    struct wr_str value;
    struct ssi_var *next;
};

struct ssi_block {
    struct wr_str name, source;
    struct ssi_block *next;
};

struct ssi_regex {
    struct wr_regex *re;
    struct ssi_regex *next;
};

/* In the main request's arena. */
struct ssi_shared {
    struct ssi_var *vars;
    struct ssi_block *blocks;
    struct ssi_regex *regexes;
    uint32_t var_cnt, block_cnt, regex_cnt;
    struct wr_str captures[SSI_CAPTURES];
    uint32_t capture_cnt;
};

struct ssi_item {
    struct wr_pipe *text; /* both ends; NULL: an include */
    struct wr_sub *sub;
    struct wr_str stub;   /* source of a block */
    struct wr_str set_to; /* name of the variable that gets the body */
    bool has_stub, is_set, is_begun;
    struct ssi_item *next;
};

struct ssi_if {
    bool is_outer_on; /* the text around is shown */
    bool is_on;       /* this branch is */
    bool was_on;      /* one of its branches was */
    bool is_else;
};

/* The page itself, or a stub. */
struct ssi_run {
    struct wr_ssi_scan scan;
    struct ssi_if ifs[SSI_DEPTH_MAX];
    uint32_t depth;
    bool is_block; /* what comes is kept in `block` */
    struct wr_str block_name;
    struct wr_strbuf block;
};

struct ssi_page {
    struct wr_stage g; /* first */
    const struct ssi_loc *conf;
    struct ssi_shared *shared;
    struct wr_str errmsg, timefmt;
    struct ssi_run run;
    struct ssi_item *first, *last;
    struct ssi_item *awaited; /* wait="yes", set: the page goes on behind it; NULL: none */
    size_t ahead;             /* bytes of text in items */
    uint32_t sub_cnt;
    bool is_stub; /* a stub is being put in place: all goes to items */
    bool is_ended;
};

/* Context of each request. */
struct ssi_ctx {
    struct ssi_page *page;    /* NULL: none */
    struct ssi_shared shared; /* of the main request */
};

/* --- ssi.c --- */

/* Text that goes out next. */
enum wr_status wr_ssi_emit(struct ssi_page *p, struct wr_str s) WR_MUST_CHECK;
/* An include behind what was emitted; *ret is zeroed. WR_ENOMEM. */
enum wr_status wr_ssi_add_item(struct ssi_page *p, struct ssi_item **ret) WR_MUST_CHECK;

/* --- ssi_command.c --- */

/*
 * A whole command; what is wrong with it is logged and shown. is_shown: the text around is. Only
 * WR_ENOMEM and failures of the output are returned.
 */
enum wr_status wr_ssi_execute(struct ssi_page *p, struct ssi_run *run) WR_MUST_CHECK;
bool wr_ssi_is_shown(const struct ssi_run *run);
/* Shows errmsg; fmt goes to the error log, both not with ssi_silent_errors. */
enum wr_status wr_ssi_complain(struct ssi_page *p, const char *fmt, ...)
    WR_PRINTF(2, 3) WR_MUST_CHECK;

/* --- ssi_text.c --- */

/* *ret_set false: there is no such variable, or it has no value. */
enum wr_status wr_ssi_get_var(struct ssi_page *p, struct wr_str name, struct wr_str *ret,
                              bool *ret_set) WR_MUST_CHECK;
/* Copies both. WR_ELIMIT: there are too many. */
enum wr_status wr_ssi_set_var(struct ssi_page *p, struct wr_str name,
                              struct wr_str value) WR_MUST_CHECK;
/* $name, ${name}, \$ in a text; in the request's arena, or s itself. WR_EPROTO: *ret_err. */
enum wr_status wr_ssi_eval(struct ssi_page *p, struct wr_str s, struct wr_str *ret,
                           const char **ret_err) WR_MUST_CHECK;
/* The expression of `if`. WR_EPROTO, WR_ELIMIT: *ret_err. */
enum wr_status wr_ssi_test(struct ssi_page *p, struct wr_str expr, bool *ret,
                           const char **ret_err) WR_MUST_CHECK;
/* For encoding="url". */
void wr_ssi_escape_url(struct wr_strbuf *b, struct wr_str s);
/* The time as `config timefmt` says; strftime(3), "%s" alone is seconds. */
enum wr_status wr_ssi_write_date(struct wr_req *r, struct wr_str format, bool is_gmt,
                                 struct wr_str *ret) WR_MUST_CHECK;

#endif
