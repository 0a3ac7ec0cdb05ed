/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strbuf.c: growth of text. Storage doubles up to max; heap and arena storage may be one byte
 * longer than max, so that a '\0' always finds room. After the first failure nothing is added any
 * more.
 */
#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/num.h"

#define FIRST_CAP 64u

void wr_strbuf_init(struct wr_strbuf *b, size_t max)
{
    *b = (struct wr_strbuf){.max = WR_MIN(max, SIZE_MAX / 4)};
}

void wr_strbuf_init_arena(struct wr_strbuf *b, struct wr_arena *a, size_t max)
{
    *b = (struct wr_strbuf){.max = WR_MIN(max, SIZE_MAX / 4), .arena = a};
}

void wr_strbuf_init_fixed(struct wr_strbuf *b, char *storage, size_t size)
{
    *b = (struct wr_strbuf){.ptr = storage, .cap = size, .max = size, .fixed = true};
}

void wr_strbuf_fini(struct wr_strbuf *b)
{
    if (!b->fixed && b->arena == NULL) {
        wr_mem_free(b->ptr);
    }
    *b = (struct wr_strbuf){.fixed = true}; /* holds nothing, and nothing can be added */
}

void wr_strbuf_reset(struct wr_strbuf *b)
{
    b->len = 0;
    b->status = WR_OK;
}

static bool fail(struct wr_strbuf *b, enum wr_status why)
{
    b->status = why;
    return false;
}

/* Moves to storage of at least `need` bytes; need <= max + 1. */
static bool grow(struct wr_strbuf *b, size_t need)
{
    size_t cap = WR_MAX(b->cap, (size_t)FIRST_CAP);
    char *p;

    if (b->fixed) {
        return fail(b, WR_ELIMIT);
    }
    while (cap < need) {
        cap *= 2; /* cannot wrap: max is at most a quarter of the range */
    }
    cap = WR_MIN(cap, b->max + 1);
    if (b->arena != NULL) {
        p = wr_arena_bytes(b->arena, cap);
        if (p != NULL && b->len != 0) {
            memcpy(p, b->ptr, b->len);
        }
    } else {
        p = wr_run_realloc(b->ptr, cap);
    }
    if (p == NULL) {
        return fail(b, WR_ENOMEM);
    }
    b->ptr = p;
    b->cap = cap;
    return true;
}

char *wr_strbuf_reserve(struct wr_strbuf *b, size_t n)
{
    if (b->status != WR_OK) {
        return NULL;
    }
    if (n > b->max - b->len) {
        (void)fail(b, WR_ELIMIT);
        return NULL;
    }
    if ((n > b->cap - b->len || b->ptr == NULL) && !grow(b, b->len + n)) {
        return NULL;
    }
    return b->ptr + b->len;
}

void wr_strbuf_commit(struct wr_strbuf *b, size_t n)
{
    WR_ASSERT(n <= b->cap - b->len && n <= b->max - b->len);
    b->len += n;
}

void wr_strbuf_add(struct wr_strbuf *b, const void *p, size_t n)
{
    char *to;

    if (n == 0) {
        return;
    }
    to = wr_strbuf_reserve(b, n);
    if (to != NULL) {
        memcpy(to, p, n);
        b->len += n;
    }
}

void wr_strbuf_add_str(struct wr_strbuf *b, struct wr_str s)
{
    wr_strbuf_add(b, s.ptr, s.len);
}

void wr_strbuf_add_char(struct wr_strbuf *b, char c)
{
    wr_strbuf_add(b, &c, 1);
}

void wr_strbuf_add_u64(struct wr_strbuf *b, uint64_t v)
{
    char digits[20];

    wr_strbuf_add(b, digits, wr_num_write_u64(digits, v));
}

void wr_strbuf_printf(struct wr_strbuf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    wr_strbuf_vprintf(b, fmt, ap);
    va_end(ap);
}

void wr_strbuf_vprintf(struct wr_strbuf *b, const char *fmt, va_list ap)
{
    size_t room = b->cap - b->len;
    va_list again;
    int n;

    if (b->status != WR_OK) {
        return;
    }
    va_copy(again, ap);
    n = vsnprintf(room == 0 ? NULL : b->ptr + b->len, room, fmt, ap);
    if (n < 0 || (size_t)n > b->max - b->len) {
        (void)fail(b, WR_ELIMIT);
    } else if ((size_t)n < room) {
        b->len += (size_t)n;
    } else if (grow(b, b->len + (size_t)n + 1)) {
        (void)vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, again); /* length known */
        b->len += (size_t)n;
    }
    va_end(again);
}

struct wr_str wr_strbuf_str(const struct wr_strbuf *b)
{
    return wr_str(b->ptr, b->len);
}

const char *wr_strbuf_cstr(struct wr_strbuf *b)
{
    if (b->len == 0 || (b->len == b->cap && !grow(b, b->len + 1))) {
        return "";
    }
    b->ptr[b->len] = '\0';
    return b->ptr;
}
