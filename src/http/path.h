/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.h: file names of requests: root and alias of a location, with variables, joined with a path.
 * Nothing that a client sends leads outside the configured folder (U14.8): a name that has more
 * ".." segments than the configuration wrote, or a NUL, is refused. Request's thread.
 */
#ifndef WR_HTTP_PATH_H
#define WR_HTTP_PATH_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

struct wr_req;

/* Longest file name that is built; the system's own limit is lower. */
#define WR_PATH_TEXT_MAX 8192

/* Root or alias of the request's location, absolute, '\0' behind it. WR_EPROTO: refused. WR_ENOMEM.
 */
enum wr_status wr_path_root(struct wr_req *r, struct wr_str *ret) WR_MUST_CHECK;
/*
 * The file of `path` (decoded, beginning with '/'; usually r->uri.path), '\0' behind it. WR_EPROTO:
 * refused, logged. WR_ELIMIT: too long. WR_ENOMEM.
 */
enum wr_status wr_path_map(struct wr_req *r, struct wr_str path, struct wr_str *ret) WR_MUST_CHECK;
/* Does `built` have more ".." segments than `source`, of which it was made, or a NUL? */
bool wr_path_escapes(struct wr_str built, struct wr_str source);

#endif
