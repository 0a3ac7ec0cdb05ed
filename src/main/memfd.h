/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memfd.h: bytes into a file in memory: bundles, answers, copies of modules. Any thread.
 */
#ifndef WR_MAIN_MEMFD_H
#define WR_MAIN_MEMFD_H

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

/* All of s behind what is there. WR_ENOMEM: there is no room; WR_ESYS: errno says why. */
enum wr_status wr_memfd_write(int fd, struct wr_str s) WR_MUST_CHECK;

#endif
