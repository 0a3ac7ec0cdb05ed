/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lex.h: tokens of nginx.conf with their positions. Pure: bytes in, tokens out, the text of a word
 * that needs unescaping is copied into the arena, all other texts are slices of the input.
 *
 * The grammar, as nginx documents and shows it:
 *   - blanks (space, tab, CR, LF) separate words; `;` `{` end a directive, `}` ends a block;
 *   - `#` at the start of a word begins a comment up to the end of the line;
 *   - a word that starts with " or ' runs to the same quote and must be followed by a blank, `;`,
 *     `{` or `)`; quotes, `#` and `}` inside a bare word are ordinary characters;
 *   - in both kinds of words `\` takes the next character with it; then \" \' \\ lose the
 *     backslash, \t \r \n become control characters, every other pair stays as it is;
 *   - `${` in a bare word does not open a block, and the `}` behind it does not close one.
 * A NUL byte is refused (nginx takes it as a character). Lines count from 1, columns in bytes
 * from 1.
 */
#ifndef WR_CONF_LEX_H
#define WR_CONF_LEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

#define WR_LEX_WORD_MAX 65536 /* most bytes of one word, before unescaping */

enum wr_token_kind {
    WR_TOKEN_WORD,
    WR_TOKEN_SEMI,  /* ; */
    WR_TOKEN_OPEN,  /* { */
    WR_TOKEN_CLOSE, /* } */
    WR_TOKEN_END    /* of the input */
};

struct wr_token {
    enum wr_token_kind kind;
    struct wr_str text;    /* of a WORD: unescaped, without quotes; has no '\0' behind it */
    bool is_quoted;        /* WORD: was in quotes */
    uint32_t line, column; /* where it starts (the quote, when there is one) */
    uint32_t span;         /* bytes in the input, at most up to the end of its line */
};

/* All fields are private but err and the position, which are for messages. */
struct wr_lex {
    const char *_base, *_cur, *_end, *_line_start;
    struct wr_arena *_arena;
    uint32_t line;     /* of _cur */
    struct wr_str err; /* set when next gives WR_ECONFIG: nginx's words, without "in FILE:LINE" */
    uint32_t err_line, err_column;
    uint32_t open_quote_line; /* at END inside quotes: where they began; else 0 */
};

/* text must live as long as the tokens do. */
void wr_lex_init(struct wr_lex *l, struct wr_arena *a, struct wr_str text);
/* WR_ECONFIG: err, err_line, err_column say what and where; no further call. WR_ENOMEM. */
enum wr_status wr_lex_next(struct wr_lex *l, struct wr_token *ret_t) WR_MUST_CHECK;

#endif
