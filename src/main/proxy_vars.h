/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_vars.h: variables that the configurations of `weir proxy` and `weir demo` need: what `map`
 * would say.
 *
 *   $weir_connection_upgrade  "upgrade" when the client asks for one, else empty
 *   $weir_host                the client's Host field as it came, else the server's name
 */
#ifndef WR_MAIN_PROXY_VARS_H
#define WR_MAIN_PROXY_VARS_H

#include "http/var.h"

#define WR_PROXY_CMD_VARS 2

extern const struct wr_var wr_proxy_cmd_vars[WR_PROXY_CMD_VARS];

#endif
