/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loadable.h: what a shared object for `load_module` exports (U12.3): one symbol that names a
 * struct wr_module (http/module.h) and the interface that it was built for.
 *
 *   static const struct wr_module hello_module = {.conf = &hello_conf};
 *   WR_MODULE_FILE(hello_module);
 *
 * The interface is the text of all installed headers and the version: structures may change with
 * each of them, so that a file that was built with others is refused. A module is never unloaded.
 * Its tables are constant; what is said of threads in http/module.h holds.
 */
#ifndef WR_HTTP_LOADABLE_H
#define WR_HTTP_LOADABLE_H

#include <stdint.h>

#include "base/compiler.h"
#include "http/module.h"

#ifndef WR_INTERFACE
#    if __has_include("interface.h")
#        include "interface.h" /* allow(path): made by make install */
#    else
#        define WR_INTERFACE "unknown" /* only to look at this header by itself */
#    endif
#endif

/* Objects of a debug build are laid out by other inline functions. */
#ifdef WR_DEBUG
#    define WR_INTERFACE_TEXT WR_INTERFACE "-debug"
#else
#    define WR_INTERFACE_TEXT WR_INTERFACE
#endif

#define WR_MODULE_FILE_MAGIC  0x77726d66u
#define WR_MODULE_FILE_SYMBOL "weir_module_file"

/* These four stay as they are in all versions. */
struct wr_module_file {
    uint32_t magic;
    uint32_t size;         /* of this struct */
    const char *interface; /* WR_INTERFACE_TEXT of the headers that it was built with */
    const struct wr_module *module;
};

#define WR_MODULE_FILE(m)                                                                          \
    extern const struct wr_module_file weir_module_file;                                           \
    __attribute__((visibility("default"))) const struct wr_module_file weir_module_file = {        \
        WR_MODULE_FILE_MAGIC, sizeof(struct wr_module_file), WR_INTERFACE_TEXT, &(m)}

#endif
