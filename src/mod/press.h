/* SPDX-License-Identifier: Apache-2.0 */
/*
 * press.h: a compressor or decompressor as a table over bytes, and the memory of compressors that a
 * thread keeps for the next response. The tables know their library, and nothing of requests; the
 * stage that drives them is in press_stage.c. Owner thread only.
 */
#ifndef WR_MOD_PRESS_H
#define WR_MOD_PRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "http/stage.h"

enum wr_press_op {
    WR_PRESS_RUN,   /* take bytes */
    WR_PRESS_FLUSH, /* give all that was taken, so that the other side can use it */
    WR_PRESS_END    /* the body is whole */
};

/* Moves on as bytes are taken and given. */
struct wr_press_io {
    const char *in;
    size_t in_len;
    char *out;
    size_t out_len;
};

struct wr_press_opts {
    int level;
    unsigned window_bits; /* 0: the library's own choice */
    uint64_t size;        /* bytes of the body; UINT64_MAX: unknown */
};

struct wr_press_codec {
    const char *name;
    /* NULL: no memory. */
    void *(*open)(const struct wr_press_opts *o);
    /*
     * WR_OK: all of `in` was taken and, but for RUN, all was given. WR_AGAIN: `out` is used up.
     * WR_EPROTO: bytes that cannot be decompressed. An op other than RUN is called with no input,
     * and repeated until it is WR_OK.
     */
    enum wr_status (*run)(void *state, enum wr_press_op op, struct wr_press_io *io);
    void (*close)(void *state);
};

extern const struct wr_press_codec wr_press_gzip;   /* mod/zlib.c */
extern const struct wr_press_codec wr_press_gunzip; /* mod/zlib.c */
extern const struct wr_press_codec wr_press_brotli; /* mod/brotli.c */
extern const struct wr_press_codec wr_press_zstd;   /* mod/zstd.c */

/* --- the stage (press_stage.c) --- */

struct wr_press_stage {
    struct wr_stage stage; /* first */
    const struct wr_press_codec *codec;
    void *state;
    size_t piece; /* of room that is asked for */
    bool is_flushing;
};

/*
 * Puts a stage of the codec behind r->out_pipe, with room for `high` bytes. WR_ELIMIT: no memory
 * for the compressor itself, nothing has changed. WR_ENOMEM.
 */
enum wr_status wr_press_add(struct wr_req *r, const struct wr_press_codec *codec,
                            const struct wr_press_opts *o, size_t high,
                            struct wr_press_stage **ret) WR_MUST_CHECK;

/* --- memory that is kept (press_pool.c) --- */

#define WR_PRESS_POOL_MAX (8u << 20) /* bytes that a thread keeps of those not in use */

/* As malloc and free; blocks of some size are kept for the next one who asks. */
void *wr_press_alloc(size_t n) WR_MUST_CHECK;
/* For a library that ends the process when it gets no memory: what is kept is given up first. */
void *wr_press_alloc_must(size_t n);
void wr_press_free(void *p);
/* States that are used again as they are, by kind: a small number of the codec's own. */
#define WR_PRESS_KINDS 5
void *wr_press_take_state(unsigned kind);
/* False: there are enough; the caller ends it. */
bool wr_press_keep_state(unsigned kind, void *state);
/*
 * A generation begins and ends on this thread: with the last one nothing is kept. `end` ends a
 * state of its kind.
 */
void wr_press_pool_enter(void);
void wr_press_pool_leave(void (*const *end)(void *state));

enum wr_press_kind {
    WR_PRESS_KIND_ZLIB, /* four sizes of it */
    WR_PRESS_KIND_ZSTD = WR_PRESS_KIND_ZLIB + 4
};

/* Of zlib.c and zstd.c, for the pool's owner. */
void wr_press_zlib_end(void *state);
void wr_press_zstd_end(void *state);

#endif
