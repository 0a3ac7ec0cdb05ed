/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_int.h: what base/local.c asks of the files that keep something in struct wr_local. Each
 * init fills its field of *l (boot-time memory: aborts when there is none), each fini frees it and
 * clears the field. Called on the thread that *l belongs to, with wr_local_ptr already set.
 */
#ifndef WR_BASE_LOCAL_INT_H
#define WR_BASE_LOCAL_INT_H

#include "base/local.h"

void wr_stat_local_init(struct wr_local *l);
void wr_stat_local_fini(struct wr_local *l);
void wr_chunk_local_init(struct wr_local *l);
void wr_chunk_local_fini(struct wr_local *l);
void wr_slab_local_init(struct wr_local *l);
void wr_slab_local_fini(struct wr_local *l);
void wr_arena_local_init(struct wr_local *l);
void wr_arena_local_fini(struct wr_local *l);
void wr_recorder_local_init(struct wr_local *l);
void wr_recorder_local_fini(struct wr_local *l);
void wr_clock_local_init(struct wr_local *l);
void wr_clock_local_fini(struct wr_local *l);
void wr_log_local_init(struct wr_local *l);
void wr_log_local_fini(struct wr_local *l);
void wr_panic_local_init(struct wr_local *l);
void wr_panic_local_fini(struct wr_local *l);
void wr_mem_local_fini(struct wr_local *l);

/* base/clock.c: reads the wall clock only; for records of threads that have no loop. */
void wr_clock_update_wall(void);

#endif
