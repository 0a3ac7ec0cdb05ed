/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access_log_int.h: what the directives say (access_log_conf.c), for those who write the lines
 * (access_log.c), and the rounds of wr_access_log_sync (access_log_sync.c). Conf structs are memory
 * of the generation, constant once it is published.
 */
#ifndef WR_OBSERVE_ACCESS_LOG_INT_H
#define WR_OBSERVE_ACCESS_LOG_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "conf/gen.h"
#include "conf/scope.h"
#include "event/mailbox.h"
#include "observe/log_format.h"
#include "observe/log_path.h"

struct wr_access_file;
struct wr_syslog;
struct wr_template;

/* One access_log line. One of the first three is set. */
struct wr_access_log {
    struct wr_access_file *file;
    const struct wr_template *path; /* with variables; absolute */
    const struct wr_syslog *syslog;
    const struct wr_log_format *format;
    const struct wr_template *cond; /* if=; NULL: always */
};

struct wr_access_logs {
    struct wr_access_log *at;
    uint32_t cnt, _cap;
    bool is_off;
};

struct wr_access_log_loc {
    struct wr_conf_head head;
    struct wr_access_logs logs;
    struct wr_log_path_cache cache;
};

struct wr_access_log_main {
    struct wr_conf_head head;
    struct wr_map formats;          /* name -> struct wr_log_format; there may be one a server */
    struct wr_log_format *combined; /* made at its first use */
    struct wr_access_file *files;
    struct wr_map by_path; /* path -> struct wr_access_file */
    uint32_t file_cnt;
};

extern struct wr_conf_module wr_access_log_conf;

static inline struct wr_access_log_main *wr_access_log_main_of(const struct wr_gen *g)
{
    return (struct wr_access_log_main *)wr_scope_get(g->root, &wr_access_log_conf, WR_KIND_MAIN);
}

/*
 * A thread that may hold lines. It joins before its first line and leaves when it holds nothing;
 * in between `flush` is called at mail points of its loop when somebody asks for a sync.
 */
struct wr_access_log_member {
    struct wr_list node;
    struct wr_mailbox *mailbox;
    struct wr_mail mail;
    uint64_t done_no; /* the last round that it took part in */
    bool is_posted;
    void (*flush)(void); /* on the thread */
};

/* Owner thread, with a loop. */
void wr_access_log_join(struct wr_access_log_member *m, void (*flush)(void));
/* Owner thread; what it owes to rounds counts as done. */
void wr_access_log_leave(struct wr_access_log_member *m);

#endif
