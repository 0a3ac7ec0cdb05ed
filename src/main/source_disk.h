/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_disk.h: a source of configurations on the disk, for the supervisor. It notes everything it
 * gives in a bundle when there is one, failures included. One file may be overlaid by a text that
 * is on no disk (the configurations that `weir proxy` makes).
 */
#ifndef WR_MAIN_SOURCE_DISK_H
#define WR_MAIN_SOURCE_DISK_H

#include "base/str.h"
#include "conf/source.h"
#include "main/bundle.h"

struct wr_source_disk {
    struct wr_bundle_writer *bundle; /* NULL: nothing is noted */
    struct wr_str overlay_path;      /* empty: none */
    struct wr_str overlay;
};

/* *d must live as long as the source. */
void wr_source_disk_init(struct wr_conf_source *s, struct wr_source_disk *d);

#endif
