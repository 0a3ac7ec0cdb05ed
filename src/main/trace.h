/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.h: the flight recorder's notes of the live requests that somebody asks for (`weir trace`),
 * as text for people.
 */
#ifndef WR_MAIN_TRACE_H
#define WR_MAIN_TRACE_H

#include <stdint.h>

#include "base/strbuf.h"
#include "main/question.h"

#define WR_TRACE_REQS_MAX 200u /* requests of one thread that are written; others are counted */

/* This thread's requests that match q, appended to b. Value: how many match. */
uint32_t wr_trace_write(const struct wr_question *q, struct wr_strbuf *b);

#endif
