/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssi_parse.h: commands in a page: `<!--# name key="value" ... -->`. A scanner that takes the page
 * in pieces of any size tells text from commands; a parser takes one whole command apart. Bytes in,
 * bytes out.
 */
#ifndef WR_MOD_SSI_PARSE_H
#define WR_MOD_SSI_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/strbuf.h"

#define WR_SSI_PARAMS_MAX 16

enum wr_ssi_event {
    WR_SSI_MORE,     /* all bytes were taken */
    WR_SSI_TEXT,     /* *ret_text goes out as it is */
    WR_SSI_COMMAND,  /* scan->raw is what stands between "<!--#" and "-->" */
    WR_SSI_TOO_LONG, /* a command was longer than the buffer (or there is no memory): skipped */
};

struct wr_ssi_scan {
    struct wr_strbuf raw;
    uint8_t state;  /* of ssi_parse.c */
    uint8_t marker; /* bytes of "<!--#" seen */
    uint8_t dashes; /* at the end of a command: two are enough */
    char quote;     /* of the value inside; 0: outside */
    bool is_escaped;
    bool is_value_next; /* behind '=' */
};

/* raw grows to max_command bytes in the arena; it is used again for each command. */
void wr_ssi_scan_init(struct wr_ssi_scan *s, struct wr_arena *a, size_t max_command);
/*
 * Takes bytes of p[0..n), *ret_used of them. Text is a slice of p, or constant; behind COMMAND and
 * TOO_LONG the next call goes on with the text. n 0 gives MORE.
 */
enum wr_ssi_event wr_ssi_scan(struct wr_ssi_scan *s, const char *p, size_t n, size_t *ret_used,
                              struct wr_str *ret_text);
/* The page ended: what it could have been the beginning of. */
struct wr_str wr_ssi_scan_end(const struct wr_ssi_scan *s);
/* Is a command open? */
bool wr_ssi_scan_is_open(const struct wr_ssi_scan *s);

struct wr_ssi_param {
    struct wr_str name, value;
};

struct wr_ssi_command {
    struct wr_str name;
    struct wr_ssi_param params[WR_SSI_PARAMS_MAX];
    uint32_t cnt;
};

/*
 * Takes raw apart: \" \' \\ in values are undone in place, all other '\' stay. WR_EPROTO: err says
 * what is wrong; WR_ELIMIT: a value is longer than value_max, or there are too many parameters
 * (err, too).
 */
enum wr_status wr_ssi_parse(char *raw, size_t n, size_t value_max, struct wr_ssi_command *ret,
                            struct wr_strbuf *err) WR_MUST_CHECK;

#endif
