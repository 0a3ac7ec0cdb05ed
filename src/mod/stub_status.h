/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stub_status.h: `stub_status`: numbers of connections and requests.
 */
#ifndef WR_MOD_STUB_STATUS_H
#define WR_MOD_STUB_STATUS_H

struct wr_module;

extern const struct wr_module wr_stub_status_module;

#endif
