/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.h: modules in files of their own, for `load_module` (U12.3). A file is read with the
 * configuration (so that a bundle has it), checked, and stays loaded until the process ends; which
 * of the loaded ones a configuration has is the configuration's business:
 *
 *   wr_conf_load -- tree -- wr_plugins_prepare -- dlopen, look at weir_module_file
 *                                              -- registry of this list of modules
 *
 * A worker takes the list it begins with. A configuration with another list, or other bytes at one
 * of the paths, has another registry (wr_gen.registry), by which the supervisor sees that a second
 * worker has to take over. Control thread or supervisor; one load at a time.
 */
#ifndef WR_MAIN_PLUGIN_H
#define WR_MAIN_PLUGIN_H

#include "base/compiler.h"
#include "base/status.h"
#include "conf/dirs.h"

#define WR_PLUGIN_BYTES_MAX ((size_t)64 << 20) /* of one file */

/* wr_conf_opts.prepare of every load in this program. Reports what is wrong with a file. */
enum wr_status wr_plugins_prepare(struct wr_conf *cf) WR_MUST_CHECK;
/*
 * Threads serve in this process from now on: no further module is loaded into it.
 * wr_plugins_prepare reports those that are missing.
 */
void wr_plugins_freeze(void);

#endif
