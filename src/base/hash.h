/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.h: hash functions. siphash is for anything whose keys a stranger can choose; its values
 * differ from process to process. The others are stable and may be stored.
 * Thread: any.
 */
#ifndef WR_BASE_HASH_H
#define WR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* SipHash-1-3 with a process-wide key from getrandom. */
uint64_t wr_hash_sip(const void *p, size_t n);
/* Same, of the ASCII lower-case form. */
uint64_t wr_hash_sip_lower(const void *p, size_t n);
/* CRC-32 (IEEE 802.3, reflected), as ip_hash-like and ketama users expect; start with crc = 0. */
uint32_t wr_hash_crc32(uint32_t crc, const void *p, size_t n);
/* FNV-1a 64: stable across runs, for contents (identities, versions), never for tables fed by
 * strangers. */
uint64_t wr_hash_fnv(uint64_t h, const void *p, size_t n);
/* MurmurHash2 with 32 bits, seed 0, words read as little-endian: what split_clients documents. */
uint32_t wr_hash_murmur2(const void *p, size_t n);
#define WR_HASH_FNV_INIT 0xcbf29ce484222325ull

#endif
