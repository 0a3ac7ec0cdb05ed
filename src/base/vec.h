/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vec.h: typed growable array for boot and configuration (growth aborts when memory is out).
 *   struct { T *at; size_t cnt, cap; } v = {0};  *wr_vec_push(&v) = x;  wr_vec_fini(&v);
 */
#ifndef WR_BASE_VEC_H
#define WR_BASE_VEC_H

#include <stddef.h>

#include "base/mem.h"

#define WR_VEC(T)                                                                                  \
    struct {                                                                                       \
        T *at;                                                                                     \
        size_t cnt, cap;                                                                           \
    }

/* Grows *at so that one more element fits; for wr_vec_push. */
void wr_vec_grow(void **at, size_t cnt, size_t *cap, size_t size);

/* Pointer to a new zeroed last element, valid until the next push. */
#define wr_vec_push(v)                                                                             \
    (wr_vec_grow((void **)(void *)&(v)->at, (v)->cnt, &(v)->cap,                                   \
                 sizeof(*(v)->at)), /* NOLINT(bugprone-sizeof-expression): T may be a pointer */   \
     &(v)->at[(v)->cnt++])
#define wr_vec_fini(v)       (wr_mem_free((v)->at), (v)->at = NULL, (v)->cnt = (v)->cap = 0)
#define WR_VEC_FOREACH(p, v) for ((p) = (v)->at; (p) != NULL && (p) < (v)->at + (v)->cnt; (p)++)

#endif
