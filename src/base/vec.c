/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vec.c: growth of typed arrays: capacity doubles, the new element is zeroed. All element types
 * share this one function; the macros of vec.h keep the types apart.
 * Thread: the owner of the array.
 */
#include "base/vec.h"

#include <string.h>

#include "base/num.h"

#define FIRST_CAP 8u

void wr_vec_grow(void **at, size_t cnt, size_t *cap, size_t size)
{
    if (cnt == *cap) {
        size_t more = *cap == 0 ? FIRST_CAP : *cap;
        size_t bytes;

        if (!wr_add_ok(*cap, more, &more) || !wr_mul_ok(more, size, &bytes)) {
            wr_mem_die(SIZE_MAX);
        }
        *at = wr_mem_realloc(*at, bytes);
        *cap = more;
    }
    memset((char *)*at + cnt * size, 0, size);
}
