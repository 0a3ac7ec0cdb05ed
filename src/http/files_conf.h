/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files_conf.h: directives about how files are opened and read: thread_pool, aio, open_file_cache,
 * disable_symlinks. Rows are in core_conf.c, the setters and what they make are here. Pools are
 * fixtures: a reload that does not change one keeps its threads. Immutable after the load.
 */
#ifndef WR_HTTP_FILES_CONF_H
#define WR_HTTP_FILES_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "conf/dirs.h"
#include "conf/template.h"

struct wr_offload;
struct wr_req;

/* thread_pool, or a name that `aio` used. */
struct wr_pool {
    struct wr_str name;
    uint32_t threads, queue_max;
    struct wr_offload *offload; /* NULL: the load was only a test, or nobody uses it */
    const struct wr_node *node; /* of thread_pool; NULL: not defined (yet) */
    const struct wr_node *user; /* the first `aio`; NULL: none */
    struct wr_pool *next;
};

/* aio threads[=POOL]; no such struct: off. */
struct wr_aio {
    struct wr_pool *pool; /* NULL: its name has variables */
    const struct wr_template *name;
};

/* open_file_cache; no such struct: off. */
struct wr_open_cache_conf {
    uint32_t max;
    uint32_t no; /* 0, 1, ... in the generation */
    uint64_t inactive_ms;
};

/* disable_symlinks */
struct wr_symlinks_conf {
    uint32_t how;                   /* enum wr_symlinks */
    const struct wr_template *from; /* NULL: none */
};

wr_dir_set_fn wr_files_set_pool;     /* MAIN; no field */
wr_dir_set_fn wr_files_set_aio;      /* const struct wr_aio * */
wr_dir_set_fn wr_files_set_cache;    /* const struct wr_open_cache_conf * */
wr_dir_set_fn wr_files_set_symlinks; /* struct wr_symlinks_conf */

/* The file is whole: every pool that is used is defined, and made ready. */
enum wr_status wr_files_done(struct wr_conf *cf) WR_MUST_CHECK;

/*
 * The pool of the request's location; NULL with WR_OK: aio is off. WR_ECONFIG: a name of variables
 * that is no pool's, logged. WR_ENOMEM.
 */
enum wr_status wr_files_pool(struct wr_req *r, struct wr_offload **ret) WR_MUST_CHECK;
/* The pool "default" for those who need one whatever `aio` says; it was asked for by
 * wr_files_need_default while the configuration was read. */
struct wr_offload *wr_files_default_pool(const struct wr_req *r);
enum wr_status wr_files_need_default(struct wr_conf *cf) WR_MUST_CHECK;
/* How the request's location opens this name. WR_ENOMEM. */
struct wr_file_how;
enum wr_status wr_files_how(struct wr_req *r, struct wr_str path,
                            struct wr_file_how *ret) WR_MUST_CHECK;

#endif
