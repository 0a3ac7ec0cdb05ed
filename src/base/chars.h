/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chars.h: character classes by table, ASCII only. A byte may be in several classes;
 * wr_char_is tells whether it is in one of those asked for. Thread: any; the tables are
 * constant.
 */
#ifndef WR_BASE_CHARS_H
#define WR_BASE_CHARS_H

#include <stdbool.h>
#include <stdint.h>

enum wr_char_class {
    WR_CH_TOKEN = 1, /* tchar, RFC 9110 5.6.2 */
    WR_CH_DIGIT = 2,
    WR_CH_HEX = 4,
    WR_CH_ALPHA = 8,
    WR_CH_VALUE = 16,       /* allowed in a field value: VCHAR, obs-text, SP, HTAB */
    WR_CH_TARGET = 32,      /* allowed in a request target: no CTL, no SP, no DEL */
    WR_CH_HOST = 64,        /* reg-name / IP-literal bytes we let into Host */
    WR_CH_UNRESERVED = 128, /* RFC 3986 2.3 */
};

extern const uint8_t wr_char_classes[256];
extern const uint8_t wr_char_lower[256];

static inline bool wr_char_is(unsigned char c, unsigned cls)
{
    return (wr_char_classes[c] & cls) != 0;
}

/* 0..15; -1 when c is no hex digit. */
int wr_char_hex(unsigned char c);

#endif
