/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_module.h: the `load_module` directive. Module files of nginx cannot be loaded; those whose
 * directives are built in are skipped with a notice, so that the `include modules-enabled` line of
 * a stock configuration works. All others are files for weir (main/plugin.h).
 */
#ifndef WR_MAIN_LOAD_MODULE_H
#define WR_MAIN_LOAD_MODULE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "conf/dirs.h"

/* A module file that is known from public documents. */
struct wr_foreign_module {
    const char *file;    /* without folder and ".so": also the module's name */
    const char *dir;     /* a directive that stands for it; NULL: never built in here */
    uint32_t ctx;        /* enum wr_ctx: where that directive stands */
    bool is_nginx;       /* of nginx itself, else a third party's */
    const char *package; /* Debian's, behind "libnginx-mod-"; NULL: none */
};

/* The row of a path such as "modules/ngx_stream_module.so"; NULL: unknown. */
const struct wr_foreign_module *wr_foreign_module_find(struct wr_str path);
/* All rows, sorted by file; NULL behind the last. */
const struct wr_foreign_module *wr_foreign_module_at(size_t i);
/* Are its directives among those of the registry? */
bool wr_foreign_module_is_built_in(const struct wr_foreign_module *m, const struct wr_registry *r);

/* Is this a file that may be a module for weir: one that is not known as somebody else's? */
bool wr_load_module_is_ours(struct wr_str path);
/* Setter of `load_module`, behind main/plugin.h, which says what is wrong with files of ours. */
wr_dir_set_fn wr_load_module_set;

#endif
