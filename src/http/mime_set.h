/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime_set.h: sets of media types as directives of filters name them: gzip_types, sub_filter_types,
 * charset_types ... "*" is every type. Parameters of a type ("; charset=utf-8") do not count, nor
 * does case. Memory of the generation.
 */
#ifndef WR_HTTP_MIME_SET_H
#define WR_HTTP_MIME_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "conf/dirs.h"

struct wr_mime_set {
    struct wr_str *at;
    uint32_t cnt, _cap;
    bool is_any;
};

/*
 * Setter: the field is a struct wr_mime_set. The row's data, if there is one, is a text of types
 * that are always in it; a type that stands twice is a [warn].
 */
wr_dir_set_fn wr_set_mime_types;
/* False for an empty type. */
bool wr_mime_set_has(const struct wr_mime_set *set, struct wr_str type);

#endif
