/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_memory.h: the last lines of the error log in memory (error_log memory:SIZE): one ring for the
 * process, whatever number of directives ask for it. Its text is plain, so that a core dump shows
 * it to `strings`, behind the words of WR_LOG_MEMORY_TITLE.
 * Thread: any; writers take no lock and never wait.
 */
#ifndef WR_BASE_LOG_MEMORY_H
#define WR_BASE_LOG_MEMORY_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/status.h"

#define WR_LOG_MEMORY_TITLE "weir: error_log memory:"
#define WR_LOG_MEMORY_MIN   2116u /* a line of the greatest length fits */
#define WR_LOG_MEMORY_MAX   (1u << 30)

/*
 * From now on the ring has at least so many bytes (MIN to MAX). One that must grow begins anew; its
 * predecessor stays allocated, as a thread may be writing to it. WR_ENOMEM.
 */
enum wr_status wr_log_memory_want(size_t size) WR_MUST_CHECK;
/* A sink's put: into the ring; never fails once somebody wanted it. */
bool wr_log_memory_put(const struct wr_log_sink *s, enum wr_log_level level, struct wr_str line);
/*
 * The newest whole lines that fit, oldest first, each with its line end; value: bytes in out. Lines
 * that are being written meanwhile may be garbled.
 */
size_t wr_log_memory_read(char *out, size_t size);

#endif
