/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.h: all modules of the program (modules.def) and the registry of their directives. Made
 * once at the start, before any thread; read-only then.
 */
#ifndef WR_MAIN_MODULES_H
#define WR_MAIN_MODULES_H

#include "base/compiler.h"
#include "base/status.h"
#include "conf/dirs.h"

/* WR_ECONFIG: a clash between modules, said on stderr: a bug of ours. */
enum wr_status wr_modules_boot(void) WR_MUST_CHECK;
const struct wr_registry *wr_modules_registry(void);
void wr_modules_end(void);

#endif
