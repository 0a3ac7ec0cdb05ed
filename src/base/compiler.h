/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compiler.h: attributes and the few macros that every file may use.
 */
#ifndef WR_BASE_COMPILER_H
#define WR_BASE_COMPILER_H

#include <stddef.h>

#define WR_MUST_CHECK   __attribute__((warn_unused_result))
#define WR_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define WR_NORETURN     __attribute__((noreturn))
#define WR_UNUSED       __attribute__((unused))
#define WR_COLD         __attribute__((cold))
#define WR_THREAD_LOCAL _Thread_local
#define WR_LIKELY(x)    __builtin_expect(!!(x), 1)
#define WR_UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define WR_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define WR_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define WR_MAX(a, b)    ((a) > (b) ? (a) : (b))

/* Bytes in a line of the processor's caches. */
#define WR_CACHE_LINE 64u

/* The struct that has `member` at `ptr`. */
#define wr_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * The line that has p is fetched while the program goes on. Nothing is read: p may point to what is
 * no longer there.
 */
static inline void wr_prefetch(const void *p)
{
    __builtin_prefetch(p);
}

#endif
