/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_int.h: the two writers of a record (log.c, log_json.c), and what log_loss.c keeps:
 *
 * Lines that a sink could not take, counted for each until there is room again. A sink
 * is known by a key: its descriptor, or a number above 2^31 of what has none. There is a fixed
 * table; what finds no place in it is not told in the log (the counter LOG_DROPPED has it anyway).
 * Thread: any; a few atomics, no locks.
 */
#ifndef WR_BASE_LOG_INT_H
#define WR_BASE_LOG_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/str.h"
#include "base/strbuf.h"

struct wr_log_fields {
    struct wr_strbuf *b;
    enum wr_log_form form;
    bool is_cut; /* JSON: something was left out */
};

/* Who writes; the same in both formats. */
struct wr_log_head {
    enum wr_log_level level;
    uint64_t pid, tid, conn_no; /* conn_no 0: none */
};

/* A whole record with its line end, at most this many bytes: a pipe takes it whole or not at all.
 */
#define WR_LOG_JSON_MAX 4096u

/*
 * {"time":...,"message":"text", fields of log (NULL: none)} and '\n' into b, which is fixed and has
 * WR_LOG_JSON_MAX bytes. cut: text is not whole.
 */
void wr_log_json_write(struct wr_strbuf *b, const struct wr_log_head *h, struct wr_str text,
                       bool cut, const struct wr_log *log);
void wr_log_json_field(struct wr_log_fields *f, const char *name, const struct wr_str *parts,
                       size_t cnt);

/* May any sink have something to tell? One load. */
bool wr_log_loss_any(void);
/* cnt lines more are lost; err: why, 0 unknown. cnt 0 does nothing. */
void wr_log_loss_add(uint32_t key, uint32_t cnt, int err);
/* The last line was written in part: what comes next must begin with a line end. */
void wr_log_loss_cut(uint32_t key);
/* Was it? Forgets it. */
bool wr_log_loss_take_cut(uint32_t key);
/* What is to tell of this sink: true for one of those who ask. err: of the latest loss. */
bool wr_log_loss_take(uint32_t key, uint32_t *ret_cnt, int *ret_err);

#endif
