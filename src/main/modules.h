/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.h: all modules of the program (modules.def) and the registry of their directives. Made
 * once at the start, before any thread, and once more when modules are loaded (main/plugin.h);
 * read-only then.
 */
#ifndef WR_MAIN_MODULES_H
#define WR_MAIN_MODULES_H

#include "base/compiler.h"
#include "base/status.h"
#include "conf/dirs.h"

/* WR_ECONFIG: a clash between modules, said on stderr: a bug of ours. */
enum wr_status wr_modules_boot(void) WR_MUST_CHECK;
const struct wr_registry *wr_modules_registry(void);

#define WR_MODULES_MORE_MAX 64

/* Modules behind those of the program. Hidden ones only keep their place. */
struct wr_modules_more {
    const struct wr_module *at[WR_MODULES_MORE_MAX];
    bool is_hidden[WR_MODULES_MORE_MAX];
    size_t cnt;
};

/*
 * Handlers and variables of those of the program and more; nothing of hidden ones. No thread serves
 * meanwhile. WR_ECONFIG: *err has the reason, and it is to be called again with fewer. Aborts when
 * memory is out, as the next one does.
 */
enum wr_status wr_modules_use(const struct wr_modules_more *more,
                              struct wr_strbuf *err) WR_MUST_CHECK;
/*
 * A registry of the same: directives of hidden ones are not found. Lives until wr_modules_end.
 * WR_ECONFIG: *err has the reason.
 */
enum wr_status wr_modules_extend(const struct wr_modules_more *more, const struct wr_registry **ret,
                                 struct wr_strbuf *err) WR_MUST_CHECK;
void wr_modules_end(void);

#endif
