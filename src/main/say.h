/* SPDX-License-Identifier: Apache-2.0 */
/*
 * say.h: messages of the program itself. While it starts (and for one-shot commands) they go to
 * standard error as `weir: [emerg] ...`, on a terminal with excerpts and hints, and into the error
 * log when that is a file. Once it serves they go to the error log only. Supervisor's thread.
 */
#ifndef WR_MAIN_SAY_H
#define WR_MAIN_SAY_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "conf/diag.h"

/* From now on standard error is (not) told; at the start it is. */
void wr_say_on_stderr(bool is_on);
/* Takes fd, which is told in place of standard error (then STDERR_FILENO again); -1: nobody. */
void wr_say_to(int fd);
/* Standard error is told only what is at least so severe (WR_LOG_ERROR with -q); WR_LOG_WARN at the
 * start. */
void wr_say_least(enum wr_log_level least);
/* The error log, at present the default of base/log.h, is a file of its own: tell it, too. */
void wr_say_on_log(bool is_on);
/*
 * Somebody listens: warnings and worse are appended to b as standard error had them at a start.
 * NULL: nobody any more.
 */
void wr_say_tee(struct wr_strbuf *b, enum wr_diag_style style);
/* With the errno's text behind it when err != 0. */
void wr_say(enum wr_log_level level, int err, const char *fmt, ...) WR_PRINTF(3, 4);
/* All entries. */
void wr_say_diags(const struct wr_diags *d);

#endif
