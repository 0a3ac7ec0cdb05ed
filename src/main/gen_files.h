/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_files.h: the descriptors that a generation needs: what it logs to, and what it listens on.
 * The one place that knows which modules name logs.
 */
#ifndef WR_MAIN_GEN_FILES_H
#define WR_MAIN_GEN_FILES_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "conf/gen.h"
#include "http/core_conf.h"

/*
 * Path of a log ('\0' behind it) and where its descriptor belongs. is_default: nobody named it, it
 * may be missing (-1). Others than WR_OK end the walk.
 */
typedef enum wr_status wr_gen_log_fn(void *data, struct wr_str path, int *fd, bool is_default);

/* Every log of the generation that is a file; the same path may come more than once. */
enum wr_status wr_gen_logs_each(struct wr_gen *g, wr_gen_log_fn *fn, void *data) WR_MUST_CHECK;
const struct wr_core_main *wr_gen_core_main(const struct wr_gen *g);
/*
 * Log lines without a request go to the generation's main error logs from now on, or to fallback_fd
 * at level error when it has none. The list lives as long as the process; the same list is not made
 * twice.
 */
void wr_gen_install_sinks(const struct wr_gen *g, int fallback_fd);

#endif
