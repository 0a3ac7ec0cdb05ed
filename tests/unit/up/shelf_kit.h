/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shelf_kit.h: what the tests of the shelf share: one clock for all threads that only the test
 * moves, and two groups that need no configuration.
 */
#ifndef WR_TESTS_UNIT_UP_SHELF_KIT_H
#define WR_TESTS_UNIT_UP_SHELF_KIT_H

#include "unit/event/looptest.h"

#include <dirent.h>

#include "base/stat.h"
#include "base/sync.h"
#include "conf/gen.h"
#include "up/idle.h"

enum {
    ACTORS_MAX = 4,
    PEERS = 3
};

/* ---- the clock ------------------------------------------------------------------------------ */

static wr_atomic_u64 clock_us;

static inline uint64_t get_us(void *data)
{
    (void)data;
    return wr_load_acq(&clock_us);
}

static const struct wr_clock_source test_clock = {.mono_us = get_us, .wall_us = get_us};

/* ---- groups --------------------------------------------------------------------------------- */

struct world {
    struct wr_fixtures fixtures;
    struct wr_gen *gen;
    struct wr_members m, other;
    struct wr_peer peers[PEERS];
    struct wr_member members[PEERS];
    int fds; /* descriptors open before the test */
    uint64_t warnings;
};

static inline int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n;
}

static inline struct world *world_new(uint32_t threads)
{
    struct world *w = wr_mem_alloc(sizeof(*w));

    w->fds = count_fds();
    w->warnings = wr_stat_sum(WR_CNT_WARN_ON);
    wr_store_rel(&clock_us, 1000000000);
    wr_fixtures_init(&w->fixtures);
    w->gen = wr_gen_new(1, 0);
    w->m.keepalive = 8;
    w->m.keepalive_requests = UINT32_MAX;
    w->m.keepalive_time_ms = 3600000;
    w->m.keepalive_timeout_ms = 60000;
    w->other = w->m;
    assert_int_equal(wr_idle_group_get(&w->fixtures, w->gen, WR_STR("backend"), &w->m.group),
                     WR_OK);
    assert_int_equal(wr_idle_group_get(&w->fixtures, w->gen, WR_STR("other"), &w->other.group),
                     WR_OK);
    for (unsigned i = 0; i < PEERS; i++) {
        w->peers[i].id = 100 + i;
        assert_int_equal(
            wr_addr_parse_ip(WR_STR("192.0.2.1"), (uint16_t)(8000 + i), &w->peers[i].addr), WR_OK);
        w->members[i].peer = &w->peers[i];
    }
    wr_idle_set_threads(threads);
    return w;
}

/* All threads have ended. */
static inline void world_free(struct world *w)
{
    wr_idle_process_end();
    wr_idle_set_threads(1);
    wr_gen_unref(w->gen);
    wr_fixtures_fini(&w->fixtures);
    assert_int_equal(count_fds(), w->fds);
    assert_int_equal(wr_stat_sum(WR_CNT_WARN_ON), w->warnings);
    wr_mem_free(w);
}

#endif
