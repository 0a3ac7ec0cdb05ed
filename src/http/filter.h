/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter.h: header filters in the order of their slots, as one flat array made at boot of all
 * modules' rows and the engine's own last filter (Server, Date, Content-Type, Last-Modified,
 * absolute Location), and for each generation without those of modules that its files do not use.
 */
#ifndef WR_HTTP_FILTER_H
#define WR_HTTP_FILTER_H

#include "base/compiler.h"
#include "base/status.h"
#include "http/module.h"

struct wr_filter_plan;
struct wr_gen;

enum wr_status wr_filters_build(const struct wr_module *const *modules, size_t cnt,
                                const char **ret_err) WR_MUST_CHECK;
/* Of a generation whose files are read, in its memory. WR_ENOMEM. Control thread. */
enum wr_status wr_filters_plan(struct wr_gen *g, const struct wr_filter_plan **ret) WR_MUST_CHECK;
/*
 * All filters on r->out. WR_EOF: one asked for an error in place of the response. WR_ENOMEM,
 * WR_EPROTO: a field of ours would not be safe to send.
 */
enum wr_status wr_filters_run(struct wr_req *r) WR_MUST_CHECK;
/* "weir/0.1.0" or "weir", as server_tokens says here. */
struct wr_str wr_filter_server_name(const struct wr_req *r);

#endif
