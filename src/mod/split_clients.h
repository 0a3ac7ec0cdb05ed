/* SPDX-License-Identifier: Apache-2.0 */
/*
 * split_clients.h: the `split_clients` block: a variable with shares of values.
 */
#ifndef WR_MOD_SPLIT_CLIENTS_H
#define WR_MOD_SPLIT_CLIENTS_H

struct wr_module;

extern const struct wr_module wr_split_clients_module;

#endif
