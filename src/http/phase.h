/* SPDX-License-Identifier: Apache-2.0 */
/*
 * phase.h: phases of a request as flat arrays of handlers, made once of all modules' rows, and for
 * each generation without those of modules that its files do not use. r->phase and r->phase_next
 * say where a request stands, so that a handler that waits is called again.
 */
#ifndef WR_HTTP_PHASE_H
#define WR_HTTP_PHASE_H

#include "base/compiler.h"
#include "base/status.h"
#include "http/module.h"

struct wr_gen;
struct wr_phase_plan;

/* Sorts the rows by phase and order. WR_ECONFIG: *ret_err says which row is impossible. Boot only.
 */
enum wr_status wr_phases_build(const struct wr_module *const *modules, size_t cnt,
                               const char **ret_err) WR_MUST_CHECK;
/* Lists of a generation whose files are read, in its memory. WR_ENOMEM. Control thread. */
enum wr_status wr_phases_plan(struct wr_gen *g, const struct wr_phase_plan **ret) WR_MUST_CHECK;
/*
 * Runs on from r->phase. NEXT: all handlers passed and there is no content. AGAIN, DONE: as the
 * handler said (DONE also when the location's content was started).
 */
enum wr_phase_result wr_phases_run(struct wr_req *r);
/* All handlers of the LOG phase. */
void wr_phases_log(struct wr_req *r);
/* For REWRITE: r->uri changed and the location is to be found anew; at most WR_REQ_REDIRECTS_MAX
 * times. */
void wr_phase_relocate(struct wr_req *r);

#endif
