/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secure_link.h: `secure_link`: links that were made with a secret, and their time.
 */
#ifndef WR_MOD_SECURE_LINK_H
#define WR_MOD_SECURE_LINK_H

struct wr_module;

extern const struct wr_module wr_secure_link_module;

#endif
