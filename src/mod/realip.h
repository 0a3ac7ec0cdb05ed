/* SPDX-License-Identifier: Apache-2.0 */
/*
 * realip.h: the module of set_real_ip_from, real_ip_header, real_ip_recursive, $realip_remote_addr
 * and $realip_remote_port.
 */
#ifndef WR_MOD_REALIP_H
#define WR_MOD_REALIP_H

#include "http/module.h"

extern const struct wr_module wr_realip_module;

#endif
