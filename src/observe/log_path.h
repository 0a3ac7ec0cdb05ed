/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_path.h: lines for files whose names have variables. Such names are opened by the worker, with
 * its user's rights, on one thread of its own, since opening may take long:
 *
 *   thread -- pending: records {root, path, line} -- one job at a time --> writer thread
 *                                                                          root there? open, write
 *
 * What comes while a job is under way waits for the next, PENDING_MAX bytes a thread; what does not
 * fit is lost and counted. The writer thread writes lines in the order that a thread gave them,
 * those of one file that follow each other in one write.
 */
#ifndef WR_OBSERVE_LOG_PATH_H
#define WR_OBSERVE_LOG_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

/* open_log_file_cache: descriptors of names that came up. */
struct wr_log_path_cache {
    uint32_t max;      /* names; 0: off */
    uint32_t min_uses; /* within inactive_ms for the descriptor to stay open */
    uint64_t inactive_ms;
    uint64_t valid_ms; /* between two looks whether the name still means that file */
};

struct wr_log_path_line {
    struct wr_str root, path; /* absolute */
    struct wr_str line;       /* with its end */
    uint64_t conn_no;         /* for messages */
};

/* Copies it; goes out at wr_log_path_submit. Without a loop it is written at once. Owner thread. */
void wr_log_path_add(const struct wr_log_path_cache *c, const struct wr_log_path_line *l);
/* End of a turn: what is there goes to the writer thread, unless that is still busy with ours. */
void wr_log_path_submit(void);
/* All descriptors kept open are closed (logs are reopened). Any thread that has added lines. */
void wr_log_path_close_all(void);
/* Has this thread added lines since it last finished? */
bool wr_log_path_is_used(void);
/* Turns this thread's loop until all its lines are written. Then it holds nothing. */
void wr_log_path_finish(void);

#endif
