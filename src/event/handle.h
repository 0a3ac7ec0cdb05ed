/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handle.h: names for thread-bound objects that another thread, or an event in flight, may outlive.
 * {thread, slot, generation} in one word; a stale one finds nothing. Registered and looked up on
 * the owner thread only; the word itself may travel.
 */
#ifndef WR_EVENT_HANDLE_H
#define WR_EVENT_HANDLE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

/* allow(typedef): a word that travels between threads must not be taken for a number */
typedef uint64_t wr_handle; /* 0: none. thread 8 bits | slot 24 bits | generation 32 bits */

/* WR_ENOMEM when the table cannot grow. */
enum wr_status wr_handle_open(void *object, wr_handle *ret_h) WR_MUST_CHECK;
/* Accepts 0. Afterwards `get` gives NULL for it. */
void wr_handle_close(wr_handle h);
/* NULL when the object is gone or belongs to another thread. */
void *wr_handle_get(wr_handle h);

static inline uint32_t wr_handle_thread(wr_handle h)
{
    return (uint32_t)(h >> 56);
}

#endif
