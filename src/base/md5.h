/* SPDX-License-Identifier: Apache-2.0 */
/*
 * md5.h: the digest of RFC 1321, for names and compatibility only: never where anybody gains by a
 * collision. Pure; any thread.
 */
#ifndef WR_BASE_MD5_H
#define WR_BASE_MD5_H

#include <stddef.h>
#include <stdint.h>

#define WR_MD5_LEN 16

void wr_md5(const void *p, size_t n, uint8_t out[WR_MD5_LEN]);

#endif
