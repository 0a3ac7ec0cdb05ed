/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dav.h: PUT, DELETE, MKCOL, COPY and MOVE of WebDAV on files.
 */
#ifndef WR_MOD_DAV_H
#define WR_MOD_DAV_H

struct wr_module;

extern const struct wr_module wr_dav_module;

#endif
