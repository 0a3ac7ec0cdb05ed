/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recode.h: conversion between two character sets of one byte each, or one of them and UTF-8, by
 * tables that `charset_map` fills. Pure; input may be split anywhere.
 */
#ifndef WR_MOD_RECODE_H
#define WR_MOD_RECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

enum wr_recode_kind {
    WR_RECODE_BYTES,     /* one byte to one byte */
    WR_RECODE_TO_UTF8,   /* one byte to UTF-8 */
    WR_RECODE_FROM_UTF8, /* UTF-8 to one byte */
};

struct wr_utf8_char {
    uint8_t len;
    char bytes[4];
};

#define WR_RECODE_PAGES 0x1100 /* of 256 code points each */

/* One direction. */
struct wr_recode {
    uint8_t kind; /* enum wr_recode_kind */
    uint8_t bytes[256];
    struct wr_utf8_char *chars; /* TO_UTF8: 256 */
    uint8_t **pages;            /* FROM_UTF8: WR_RECODE_PAGES; 0 or no page: not there */
};

/* What is not in a table: '?'; for a code point that a one-byte set has not: "&#NNN;". */
#define WR_RECODE_OUT_MAX 12 /* bytes that one input byte may become */

/* A sequence that has begun. */
struct wr_recode_state {
    uint8_t len, need;
    char bytes[4];
};

/* Both directions, as if nothing but ASCII was in them. */
enum wr_status wr_recode_init(struct wr_arena *a, bool is_utf8, struct wr_recode *to,
                              struct wr_recode *from) WR_MUST_CHECK;
enum wr_status wr_recode_add_byte(struct wr_recode *to, struct wr_recode *from, uint8_t src,
                                  uint8_t dst) WR_MUST_CHECK;
/* WR_EPROTO: dst is not one character in UTF-8. */
enum wr_status wr_recode_add_char(struct wr_arena *a, struct wr_recode *to, struct wr_recode *from,
                                  uint8_t src, struct wr_str dst) WR_MUST_CHECK;
/*
 * Converts until the input is used up or less than WR_RECODE_OUT_MAX bytes of room are left.
 * Returns the bytes written; *ret_used those taken.
 */
size_t wr_recode_run(const struct wr_recode *t, struct wr_recode_state *s, struct wr_str in,
                     char *out, size_t room, size_t *ret_used);
/* The input ended: what is left of a sequence. Room for WR_RECODE_OUT_MAX. */
size_t wr_recode_end(struct wr_recode_state *s, char *out);

#endif
