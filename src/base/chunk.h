/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk.h: refcounted blocks of bytes in transit. Classes 4, 16, 64 and 256 KiB; a cache per
 * thread; a cap for the process. Bound to one thread (plain counters), never shared.
 *
 *   struct wr_chunk | data[cap]
 *
 * A writer fills data[fill ..cap) and moves fill; bytes below fill are immutable, so slices that
 * hold a reference stay valid while the tail still grows.
 */
#ifndef WR_BASE_CHUNK_H
#define WR_BASE_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/obj.h"

#define WR_CHUNK_MAGIC 0x43686e6bu

enum wr_chunk_class {
    WR_CHUNK_4K,
    WR_CHUNK_16K,
    WR_CHUNK_64K,
    WR_CHUNK_256K,
    WR_CHUNK_CLASSES
};

struct wr_chunk {
    uint32_t magic;
    uint32_t refs;
    uint32_t fill; /* bytes written so far */
    uint32_t cap;  /* 4096, 16384, ... */
    uint8_t cls;
    struct wr_chunk *_next;
    char data[]; /* cap bytes */
};

/* refs = 1, fill = 0; NULL at the process cap or when memory is out (the caller waits). */
struct wr_chunk *wr_chunk_new(enum wr_chunk_class cls) WR_MUST_CHECK;
void wr_chunk_free(struct wr_chunk *c); /* for wr_chunk_unref */

/* Accepts NULL. */
static inline void wr_chunk_unref(struct wr_chunk *c)
{
    if (c == NULL) {
        return;
    }
    wr_obj_check(c, WR_CHUNK_MAGIC);
    if (--c->refs == 0) {
        wr_chunk_free(c);
    }
}

static inline struct wr_chunk *wr_chunk_ref(struct wr_chunk *c)
{
    c->refs++;
    return c;
}

/* Smallest class that holds n bytes; the largest for anything beyond. */
enum wr_chunk_class wr_chunk_class_for(size_t n);
size_t wr_chunk_class_size(enum wr_chunk_class cls);

/*
 * Most bytes in chunks of the process (default 1 GiB). 0: no limit. For start, before other threads
 * make chunks: what a thread has reserved ahead (at most 1 MiB, nothing when the limit is below
 * 64 MiB) stays with it.
 */
void wr_chunk_set_limit(uint64_t bytes);
/* Bytes in live chunks of the process, caches not counted. */
uint64_t wr_chunk_in_use(void);

#endif
