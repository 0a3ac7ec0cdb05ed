/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main_conf.h: directives outside of http{}: those of the process (user, pid, daemon, worker_*) and
 * of events{}. One struct of kind MAIN holds both. Memory of the generation; complete after the
 * load.
 *
 * User and group names are looked up by the supervisor only (struct wr_main_load), which is who
 * uses them.
 */
#ifndef WR_MAIN_MAIN_CONF_H
#define WR_MAIN_MAIN_CONF_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/str.h"
#include "conf/dirs.h"
#include "conf/gen.h"
#include "conf/types.h"

#define WR_MAIN_UNSET_NUM INT32_MIN

extern struct wr_conf_module wr_main_conf_module;

/* wr_conf_opts.data of every load in this program. */
struct wr_main_load {
    bool is_worker; /* users are not looked up, nothing is warned about twice */
};

struct wr_main_affinity {
    cpu_set_t *at; /* thread i has at[i], the last one goes on */
    uint32_t cnt;
    bool is_auto; /* thread i: the i-th CPU of at[0], or of those we may use */
};

struct wr_main_cidrs {
    struct wr_cidr *at;
    uint32_t cnt, _cap;
};

struct wr_main_conf {
    struct wr_conf_head head;
    struct wr_str user, group; /* names; empty: not given */
    uid_t uid;                 /* supervisor only, when has_user */
    gid_t gid;
    bool has_user;
    uint32_t threads;                   /* 1 ... WR_THREADS_MAX: `auto` is resolved */
    const struct wr_node *threads_node; /* NULL: default */
    uint64_t rlimit_nofile;             /* 0: not given */
    uint64_t rlimit_core;               /* UINT64_MAX: not given */
    struct wr_str working_directory;
    int32_t priority; /* WR_MAIN_UNSET_NUM: not given */
    struct wr_main_affinity affinity;
    uint32_t shutdown_timeout_ms; /* 0: none */
    struct wr_str pid;
    bool daemon, master_process;
    struct wr_strs env; /* NAME or NAME=value */
    bool has_events;
    /* events{} */
    uint32_t worker_connections; /* of each thread */
    uint32_t worker_aio_requests;
    bool multi_accept, accept_mutex;
    uint32_t accept_mutex_delay_ms;
    struct wr_main_cidrs debug_clients; /* debug_connection */
    uint32_t stall_threshold_ms;        /* 0: stalls are not looked for */
};

/* Of a generation that was loaded. */
const struct wr_main_conf *wr_main_conf_of(const struct wr_gen *g);

#endif
