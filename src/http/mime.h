/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime.h: media type of a path by the extension of its last segment (`types`), else `default_type`.
 */
#ifndef WR_HTTP_MIME_H
#define WR_HTTP_MIME_H

#include "base/str.h"

struct wr_core_loc;

/* Memory of the generation; empty: there is none. */
struct wr_str wr_mime_type_of(const struct wr_core_loc *lc, struct wr_str path);

#endif
