/* SPDX-License-Identifier: Apache-2.0 */
/*
 * balance.h: the module of the balancing methods that have a directive.
 * Constant table; control thread reads it.
 */
#ifndef WR_LB_BALANCE_H
#define WR_LB_BALANCE_H

#include "http/module.h"

extern const struct wr_module wr_balance_module;

#endif
