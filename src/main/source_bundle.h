/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_bundle.h: a source of configurations that reads a bundle: what the supervisor found is
 * found again, and nothing else is. For the worker's control thread.
 */
#ifndef WR_MAIN_SOURCE_BUNDLE_H
#define WR_MAIN_SOURCE_BUNDLE_H

#include "conf/source.h"
#include "main/bundle.h"

/* *b must live as long as the source. */
void wr_source_bundle_init(struct wr_conf_source *s, struct wr_bundle *b);

#endif
