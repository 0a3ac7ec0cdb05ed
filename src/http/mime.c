/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime.c: media types, see mime.h. The map compares without case, so the extension is looked up as
 * it is.
 */
#include "http/mime.h"

#include "base/map.h"
#include "http/core_conf.h"

struct wr_str wr_mime_type_of(const struct wr_core_loc *lc, struct wr_str path)
{
    size_t slash = wr_str_rfind(path, '/');
    struct wr_str name = slash < path.len ? wr_str_sub(path, slash + 1, SIZE_MAX) : path;
    size_t dot = wr_str_rfind(name, '.');
    const struct wr_mime_type *t = NULL;

    if (dot + 1 < name.len) {
        t = wr_map_get(lc->types, wr_str_sub(name, dot + 1, SIZE_MAX));
    }
    return t ? t->type : lc->default_type;
}
