/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resources.h: what the supervisor opens for its worker: logs, listening sockets, temporary
 * folders. A new configuration is prepared beside the running one: what is there already is kept,
 * the rest opened; then either committed (what is no longer named is closed) or rolled back (what
 * was opened is closed again). Supervisor's thread.
 */
#ifndef WR_MAIN_RESOURCES_H
#define WR_MAIN_RESOURCES_H

#include "base/compiler.h"
#include "base/status.h"
#include "conf/gen.h"
#include "main/files.h"
#include "main/load.h"
#include "main/main_conf.h"

struct wr_resources {
    struct wr_files logs;      /* the name "" is the log of -e, or the built-in one */
    struct wr_files listeners; /* address as text, number */
};

void wr_resources_init(struct wr_resources *r);
/*
 * Closes all. is_last, here and below: socket files go, too, and who connects now gets no answer;
 * not so while the other binary of an upgrade may serve them.
 */
void wr_resources_fini(struct wr_resources *r, bool is_last);

/* Failures are said; WR_ESYS then (call rollback). */
enum wr_status wr_resources_prepare(struct wr_resources *r, struct wr_gen *g) WR_MUST_CHECK;
/* True: an address was closed that somebody may be on the way to. */
bool wr_resources_commit(struct wr_resources *r, bool is_last);
void wr_resources_rollback(struct wr_resources *r);
/* The supervisor's own lines go where the generation says. After prepare. */
void wr_resources_install_log(struct wr_resources *r, const struct wr_gen *g);
/* Opens each log anew, under its number. Failures are said, the old file stays. */
void wr_resources_reopen(struct wr_resources *r, const struct wr_start *s);

/* Closes one of the listeners. */
void wr_resources_drop_listener(struct wr_file_entry *e, bool is_last);

/* -t: could the logs be written and the addresses be bound? Nothing stays open. WR_ESYS: said. */
enum wr_status wr_resources_test(struct wr_gen *g) WR_MUST_CHECK;

/* Descriptor for appending, -1 with errno. */
int wr_resources_open_log(const char *path);

#endif
