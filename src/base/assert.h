/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert.h: assertions that stay on in production, for invariants of ours; never for what a
 * peer, a user, a file, the clock or memory pressure can cause.
 */
#ifndef WR_BASE_ASSERT_H
#define WR_BASE_ASSERT_H

#include <stdbool.h>

#include "base/compiler.h"

/* Prints the place, runs the dumpers, aborts. */
WR_NORETURN WR_COLD void wr_panic(const char *file, int line, const char *expr);

/* Counts, logs rarely; always returns false. */
WR_COLD bool wr_assert_req_failed(const char *file, int line, const char *expr);

/* The same with a text of its own. */
WR_COLD bool wr_assert_req_said(const char *text);

/* Counts, logs rarely; always returns true. */
WR_COLD bool wr_warn_on(const char *file, int line, const char *expr);

/*
 * Registers fn(data, fd) to write what it knows to fd when this thread panics; async-signal-safe
 * writes only. Up to 8 a thread, ended by wr_panic_remove with the same pair.
 */
typedef void wr_dump_fn(void *data, int fd);
void wr_panic_add(wr_dump_fn *fn, void *data);
void wr_panic_remove(wr_dump_fn *fn, void *data);

/* This thread panics: it has said, or is saying, why. */
bool wr_panic_is_on(void);

#define WR_ASSERT(x) ((void)(WR_LIKELY(x) ? 0 : (wr_panic(__FILE__, __LINE__, #x), 0)))

/*
 * For code that runs for one request or connection: value of x; when false it was counted and
 * dumped, and the caller ends that object: if (!WR_ASSERT_REQ(x)) { return ...; }
 */
#define WR_ASSERT_REQ(x) (WR_LIKELY(x) || wr_assert_req_failed(__FILE__, __LINE__, #x))

/* Surprising but survivable: value of x. */
#define WR_WARN_ON(x) (WR_UNLIKELY(x) && wr_warn_on(__FILE__, __LINE__, #x))

#ifdef WR_DEBUG
#    define WR_DEBUG_ASSERT(x) WR_ASSERT(x)
#else
#    define WR_DEBUG_ASSERT(x) ((void)0)
#endif

/* After a switch over one of our enums that handled all values. */
#define WR_UNREACHABLE() wr_panic(__FILE__, __LINE__, "unreachable")

#endif
