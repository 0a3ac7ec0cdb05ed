/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_int.h: lines that a sink could not take, counted for each until there is room again. A sink
 * is known by a key: its descriptor, or a number above 2^31 of what has none. There is a fixed
 * table; what finds no place in it is not told in the log (the counter LOG_DROPPED has it anyway).
 * Thread: any; a few atomics, no locks.
 */
#ifndef WR_BASE_LOG_INT_H
#define WR_BASE_LOG_INT_H

#include <stdbool.h>
#include <stdint.h>

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
