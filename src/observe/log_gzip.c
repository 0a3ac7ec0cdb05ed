/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_gzip.c: see log_gzip.h. deflate is given a window of the size of the text, and room in `out`
 * before it is asked for bytes; what it needs itself comes from the run-time heap, so that a test
 * can make it fail.
 */
#include "observe/log_gzip.h"

#include <string.h>
#include <zlib.h>

#include "base/mem.h"

#define GZIP_FORMAT 16 /* added to the window's bits: a gzip header and trailer */
#define WINDOW_MIN  9
#define OUT_STEP    4096u
#define OUT_MAX     ((size_t)1 << 30) /* a member has at most a buffer of text */

struct wr_log_gzip {
    z_stream z;
    struct wr_strbuf out;
    uint64_t len, lines;
    bool is_made; /* z */
};

static voidpf zalloc(voidpf opaque, uInt n, uInt size)
{
    size_t all;

    (void)opaque;
    return __builtin_mul_overflow((size_t)n, (size_t)size, &all) ? NULL : wr_run_zalloc(all);
}

static void zfree(voidpf opaque, voidpf p)
{
    (void)opaque;
    wr_mem_free(p);
}

struct wr_log_gzip *wr_log_gzip_new(unsigned level, uint64_t size)
{
    struct wr_log_gzip *z = wr_run_zalloc(sizeof(*z));
    int bits = MAX_WBITS, memory = MAX_MEM_LEVEL - 1;

    if (!z) {
        return NULL;
    }
    while (bits > WINDOW_MIN && size < (uint64_t)1 << (bits - 1)) {
        bits--;
        memory = memory > 1 ? memory - 1 : 1;
    }
    z->z.zalloc = zalloc;
    z->z.zfree = zfree;
    wr_strbuf_init(&z->out, OUT_MAX);
    if (deflateInit2(&z->z, (int)level, Z_DEFLATED, bits + GZIP_FORMAT, memory,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        wr_log_gzip_free(z);
        return NULL;
    }
    z->is_made = true;
    return z;
}

void wr_log_gzip_free(struct wr_log_gzip *z)
{
    if (z) {
        if (z->is_made) {
            (void)deflateEnd(&z->z); /* says that bytes were left, which the caller knows */
        }
        wr_strbuf_fini(&z->out);
        wr_mem_free(z);
    }
}

uint64_t wr_log_gzip_len(const struct wr_log_gzip *z)
{
    return z->len;
}

uint64_t wr_log_gzip_lines(const struct wr_log_gzip *z)
{
    return z->lines;
}

static void begin(struct wr_log_gzip *z)
{
    (void)deflateReset(&z->z); /* fails for a stream that was not made only */
    wr_strbuf_reset(&z->out);
    z->len = z->lines = 0;
}

/* All that deflate was given and, to end a member, all that it has. False: no memory. */
static bool run(struct wr_log_gzip *z, int flush)
{
    int rc = Z_OK;

    while (rc != Z_STREAM_END && (flush == Z_FINISH || z->z.avail_in > 0)) {
        char *room = wr_strbuf_reserve(&z->out, OUT_STEP);

        if (!room) {
            return false;
        }
        z->z.next_out = (Bytef *)room;
        z->z.avail_out = OUT_STEP;
        rc = deflate(&z->z, flush);
        if (rc != Z_OK && rc != Z_STREAM_END) {
            return false;
        }
        wr_strbuf_commit(&z->out, OUT_STEP - z->z.avail_out);
    }
    return true;
}

static enum wr_status fail(struct wr_log_gzip *z, uint64_t more, uint64_t *ret_lost)
{
    *ret_lost = z->lines + more;
    begin(z);
    return WR_ENOMEM;
}

enum wr_status wr_log_gzip_add(struct wr_log_gzip *z, struct wr_str line, uint64_t *ret_lost)
{
    z->z.next_in = (Bytef *)(uintptr_t)line.ptr;
    z->z.avail_in = (uInt)line.len;
    if (!run(z, Z_NO_FLUSH)) {
        return fail(z, 1, ret_lost);
    }
    z->len += line.len;
    z->lines++;
    return WR_OK;
}

enum wr_status wr_log_gzip_finish(struct wr_log_gzip *z, struct wr_strbuf *b, uint64_t *ret_lost)
{
    char *room;
    bool fits = run(z, Z_FINISH);

    room = fits ? wr_strbuf_reserve(b, z->out.len) : NULL;
    if (!room) {
        b->status = WR_OK; /* nothing was added: it can go on */
        return fail(z, 0, ret_lost);
    }
    memcpy(room, z->out.ptr, z->out.len);
    wr_strbuf_commit(b, z->out.len);
    begin(z);
    return WR_OK;
}
