/* SPDX-License-Identifier: Apache-2.0 */
/*
 * piece.h: a piece of a file as a chunk, for files that the kernel does not send by itself: read
 * here when that does not wait, else by a thread of a pool. Owner thread only.
 */
#ifndef WR_IO_PIECE_H
#define WR_IO_PIECE_H

#include <stdint.h>

#include "base/chunk.h"
#include "base/compiler.h"
#include "base/status.h"
#include "io/file.h"
#include "io/work.h"

#define WR_PIECE_ALIGN_MAX 65536u

/* What is wanted. */
struct wr_piece {
    struct wr_file *file;
    uint64_t off, len;       /* at most so many bytes from there */
    uint32_t size;           /* and at most so many at a time */
    uint32_t align;          /* of a file that is_direct: a power of 2, at most the above */
    struct wr_offload *pool; /* NULL: read here, even if that waits */
    struct wr_task *task;    /* with a pool: woken when the piece is read */
};

/*
 * WR_OK: *ret_chunk is the caller's, the bytes are [*ret_off, fill). WR_AGAIN: *ret_work is under
 * way; when it is_home, wr_piece_take gets the bytes. WR_EOF: the file ends before. WR_ESYS,
 * WR_ENOMEM, WR_ELIMIT.
 */
enum wr_status wr_piece_read(const struct wr_piece *p, struct wr_chunk **ret_chunk,
                             uint32_t *ret_off, struct wr_work **ret_work) WR_MUST_CHECK;
/* Ends the work, which is home. */
enum wr_status wr_piece_take(struct wr_work *w, struct wr_chunk **ret_chunk,
                             uint32_t *ret_off) WR_MUST_CHECK;

#endif
