/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.h: per-thread xoshiro256**, seeded from getrandom; not for secrets. A thread that wants a
 * sequence again seeds it; keys come from wr_rng_secret.
 * Thread: any, each has its own state.
 */
#ifndef WR_BASE_RNG_H
#define WR_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

uint64_t wr_rng_u64(void);
/* 0 .. n-1, unbiased; n > 0. */
uint64_t wr_rng_below(uint64_t n);
/* Makes this thread's sequence repeatable, for tests. */
void wr_rng_seed(uint64_t seed);
/* Straight from getrandom; aborts when the kernel refuses. */
void wr_rng_secret(void *out, size_t n);

#endif
