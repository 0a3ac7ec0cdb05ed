/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h: what a worker tells of itself (`weir status`), as JSON. The threads' facts are gathered
 * by main/ (each thread looks at its own, wr_status_look); the control thread adds what all share
 * and writes. Groups are those of the configuration that is served.
 */
#ifndef WR_OBSERVE_STATUS_H
#define WR_OBSERVE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "conf/gen.h"
#include "http/server.h"
#include "up/group.h"

/* Idle connections of one thread to one group; the group is a key, it may be gone. */
struct wr_status_idle {
    const struct wr_group *group;
    uint64_t cnt;
};

enum wr_status_thread_state {
    WR_STATUS_SERVES,
    WR_STATUS_SILENT, /* it did not answer in time */
    WR_STATUS_ENDED   /* or it has not begun */
};

struct wr_status_thread {
    enum wr_status_thread_state state;
    uint32_t load; /* thousandths of a processor */
    uint32_t idle_peers, descriptors;
    struct wr_http_facts http;
    struct wr_status_idle *idle; /* of the run-time heap; NULL: none, or no memory */
    size_t idle_cnt, idle_cap;
};

/* A configuration that lives. */
struct wr_status_gen {
    uint64_t no, age_ms;
};

struct wr_status_worker {
    const struct wr_status_thread *const *threads;
    size_t thread_cnt;
    const struct wr_status_gen *gens;
    size_t gen_cnt;
    const struct wr_gen *gen; /* served; NULL: none yet */
    uint64_t now_ms;
    uint64_t resident; /* bytes */
    size_t fixtures;
};

/* This thread's facts; *ret zeroed before. */
void wr_status_look(struct wr_status_thread *ret);
void wr_status_thread_fini(struct wr_status_thread *t);

/* Whether all was written says b. */
void wr_status_write_worker(const struct wr_status_worker *w, struct wr_strbuf *b);

#endif
