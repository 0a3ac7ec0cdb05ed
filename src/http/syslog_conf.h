/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syslog_conf.h: "syslog:..." as an argument of a directive: net/syslog.h reads it, the source of
 * the configuration resolves a name in it, and what is wrong is told at the directive.
 */
#ifndef WR_HTTP_SYSLOG_CONF_H
#define WR_HTTP_SYSLOG_CONF_H

#include <stdint.h>

#include "base/status.h"
#include "conf/dirs.h"
#include "net/syslog.h"

/*
 * Argument i of node, which begins with "syslog:". *ret has an address, the first of a name.
 * WR_ECONFIG, WR_ENOMEM: told.
 */
enum wr_status wr_syslog_conf_read(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                   struct wr_syslog *ret) WR_MUST_CHECK;

#endif
