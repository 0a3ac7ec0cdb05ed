/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_h1_response.c: any bytes as a response head; all of it stands in fuzz_h1.h.
 * One thread.
 */
#define FUZZ_ROLE  WR_H1_RESPONSE
#define FUZZ_WRITE wr_h1_write_response
#include "fuzz/fuzz_h1.h"
