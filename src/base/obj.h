/* SPDX-License-Identifier: Apache-2.0 */
/*
 * obj.h: typed magic words. A struct with a life of its own has `uint32_t magic` and a constant
 * WR_<TYPE>_MAGIC; it is set by wr_obj_init, checked at public entries and casts, wiped by
 * wr_obj_kill.
 */
#ifndef WR_BASE_OBJ_H
#define WR_BASE_OBJ_H

#include <stdint.h>

#include "base/assert.h"
#include "base/compiler.h"

#define WR_DEAD_MAGIC 0xdeadbeefu

#define wr_obj_init(o, m)  ((void)((o)->magic = (m)))
/* No pointer at all is a fault at once, which is told as well (event/fault.h). */
#define wr_obj_check(o, m) WR_ASSERT((o)->magic == (m))
#define wr_obj_kill(o)     ((void)((o)->magic = WR_DEAD_MAGIC))

/* Moves a pointer out of *pp and nulls it. */
#define wr_take(pp)                                                                                \
    __extension__({                                                                                \
        __typeof__(*(pp)) _wr_taken = *(pp);                                                       \
        *(pp) = NULL;                                                                              \
        _wr_taken;                                                                                 \
    })

#endif
