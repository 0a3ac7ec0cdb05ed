/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rr.h: smooth weighted round robin, the method of groups that name none (U2.1).
 * Constant table; any thread.
 */
#ifndef WR_LB_RR_H
#define WR_LB_RR_H

#include "up/lb.h"

extern const struct wr_lb wr_lb_rr;

#endif
