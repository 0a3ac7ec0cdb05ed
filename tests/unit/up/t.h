/* SPDX-License-Identifier: Apache-2.0 */
/* t.h: cmocka with the headers that it wants before it, and a small group of peers without a
 * configuration. */
#ifndef WR_TESTS_UNIT_UP_T_H
#define WR_TESTS_UNIT_UP_T_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lb/rr.h"
#include "up/group.h"

struct world {
    struct wr_members m;
    struct wr_group group;
    struct wr_peer *peers;
    wr_atomic_u32 *effective;
    void *atomics[2]; /* their memory */
    wr_atomic_u32 changes;
};

/* cnt peers of weight 1, max_fails 1, fail_timeout 10 s, round robin, with accounting. */
static inline struct world *world_new(uint32_t cnt)
{
    struct world *w;

    (void)wr_local_get();
    w = wr_mem_alloc(sizeof(*w));
    w->peers = wr_mem_alloc(cnt * sizeof(*w->peers));
    w->effective = w->atomics[0] = wr_mem_alloc(cnt * sizeof(*w->effective));
    w->m.at = wr_mem_alloc(cnt * sizeof(*w->m.at));
    w->m.thread_state = w->atomics[1] = wr_mem_alloc(WR_THREADS_MAX * sizeof(*w->m.thread_state));
    w->m.cnt = w->m.primary_cnt = w->m.up_cnt = cnt;
    w->m.has_accounting = cnt > 1;
    w->m.group = &w->group;
    w->m.changes = &w->changes;
    w->m.lb = &wr_lb_rr;
    wr_mutex_init(&w->group.lock, WR_RANK_GROUP);
    wr_list_init(&w->group.queue.waiters);
    for (uint32_t i = 0; i < cnt; i++) {
        w->peers[i].id = i + 1;
        w->m.at[i] = (struct wr_member){.peer = &w->peers[i],
                                        .weight = 1,
                                        .max_fails = 1,
                                        .fail_timeout_ms = 10000,
                                        .effective = &w->effective[i]};
        wr_store_rlx(&w->effective[i], 1);
    }
    return w;
}

static inline void world_weight(struct world *w, uint32_t i, uint32_t weight)
{
    w->m.at[i].weight = weight;
    wr_store_rlx(&w->effective[i], weight);
}

static inline void world_backup(struct world *w, uint32_t i)
{
    w->m.at[i].is_backup = true;
    w->m.primary_cnt--;
    w->m.backup_cnt++;
}

static inline void world_free(struct world *w)
{
    for (unsigned i = 0; i < WR_THREADS_MAX; i++) {
        wr_mem_free(wr_load_acq(&w->m.thread_state[i]));
    }
    wr_mutex_fini(&w->group.lock);
    wr_mem_free(w->atomics[1]);
    wr_mem_free(w->m.at);
    wr_mem_free(w->atomics[0]);
    wr_mem_free(w->peers);
    wr_mem_free(w);
}

#define assert_text(s, z)                                                                          \
    do {                                                                                           \
        struct wr_str _s = (s);                                                                    \
        if (!wr_str_eq_z(_s, (z))) {                                                               \
            print_error("got  %.*s\nwant %s\n", WR_STR_ARG(_s), (z));                              \
        }                                                                                          \
        assert_true(wr_str_eq_z(_s, (z)));                                                         \
    } while (0)

#endif
