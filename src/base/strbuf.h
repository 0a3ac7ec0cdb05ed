/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strbuf.h: text being built. Grows up to a maximum that is a constructor argument; an append that
 * would pass it, or finds no memory, adds nothing and marks the buffer bad: check once at the end.
 */
#ifndef WR_BASE_STRBUF_H
#define WR_BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

struct wr_strbuf {
    char *ptr; /* not zero-terminated; see wr_strbuf_cstr */
    size_t len, cap, max;
    struct wr_arena *arena; /* memory from here; NULL: run-time heap, freed by fini */
    enum wr_status status;  /* WR_OK, else the first failure: WR_ELIMIT or WR_ENOMEM */
    bool fixed;             /* caller's storage, cannot grow */
};

/* Grows on the heap up to max; ended by fini. */
void wr_strbuf_init(struct wr_strbuf *b, size_t max);
/* Grows in the arena (old copies stay until the arena ends). */
void wr_strbuf_init_arena(struct wr_strbuf *b, struct wr_arena *a, size_t max);
/* Uses the caller's storage only. */
void wr_strbuf_init_fixed(struct wr_strbuf *b, char *storage, size_t size);
void wr_strbuf_fini(struct wr_strbuf *b);
/* Length 0, status OK, memory kept. */
void wr_strbuf_reset(struct wr_strbuf *b);

void wr_strbuf_add(struct wr_strbuf *b, const void *p, size_t n);
void wr_strbuf_add_str(struct wr_strbuf *b, struct wr_str s);

/* Inline, so that the length of a literal is known. */
static inline void wr_strbuf_add_z(struct wr_strbuf *b, const char *z)
{
    wr_strbuf_add(b, z, strlen(z));
}

void wr_strbuf_add_char(struct wr_strbuf *b, char c);
void wr_strbuf_add_u64(struct wr_strbuf *b, uint64_t v);
/* With fixed storage these need one byte more than the text has. */
void wr_strbuf_printf(struct wr_strbuf *b, const char *fmt, ...) WR_PRINTF(2, 3);
void wr_strbuf_vprintf(struct wr_strbuf *b, const char *fmt, va_list ap) WR_PRINTF(2, 0);
/* Room for n bytes at ptr + len, or NULL (marked bad); then commit what was written. */
char *wr_strbuf_reserve(struct wr_strbuf *b, size_t n) WR_MUST_CHECK;
void wr_strbuf_commit(struct wr_strbuf *b, size_t n);

struct wr_str wr_strbuf_str(const struct wr_strbuf *b);
/* Zero-terminated; "" when the buffer is empty or no room for the '\0' is left. */
const char *wr_strbuf_cstr(struct wr_strbuf *b);

#endif
