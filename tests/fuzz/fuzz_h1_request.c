/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_h1_request.c: any bytes as a request head; all of it stands in fuzz_h1.h.
 * One thread.
 */
#define FUZZ_ROLE  WR_H1_REQUEST
#define FUZZ_WRITE wr_h1_write_request
#include "fuzz/fuzz_h1.h"
