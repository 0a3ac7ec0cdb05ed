/* SPDX-License-Identifier: Apache-2.0 */
/*
 * browser.h: `modern_browser`, `ancient_browser`: what User-Agent says of the client's age.
 */
#ifndef WR_MOD_BROWSER_H
#define WR_MOD_BROWSER_H

struct wr_module;

extern const struct wr_module wr_browser_module;

#endif
