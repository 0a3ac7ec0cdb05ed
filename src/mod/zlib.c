/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zlib.c: gzip and gunzip as tables of press.h. Deflate streams come in four sizes, by the length
 * of the body if that is known; the largest has 256 KB of memory. A stream that ended is reset for
 * the next response: no allocation, and only its hash table is cleared, which is small for small
 * bodies.
 *
 * gunzip takes several members (RFC 1952 2.2); zeros and other bytes behind the last one that do
 * not begin another are ignored, as gunzip(1) does.
 */
#include <zlib.h>

#include "base/mem.h"
#include "mod/press.h"

#define GZIP_FORMAT 16 /* added to the window's bits: a gzip header and trailer */
#define MAGIC_0     0x1f

struct zip {
    z_stream z;
    uint8_t kind; /* enum wr_press_kind */
    int level;
    bool is_ended;  /* inflate: behind a member */
    bool is_junk;   /* inflate: behind all of them */
    bool has_bytes; /* inflate: of a member that has not ended */
};

/* Memory: 1 << (window + 2), and 1 << (memory + 9). */
static const struct {
    uint64_t max; /* bytes of a body */
    int window, memory;
} sizes[] = {
    {2048,       11,        4},
    {8192,       13,        6},
    {16384,      14,        7},
    {UINT64_MAX, MAX_WBITS, 8},
};

_Static_assert(sizeof(sizes) / sizeof(sizes[0]) == WR_PRESS_KIND_ZSTD - WR_PRESS_KIND_ZLIB,
               "a kind for each size");

static voidpf lib_alloc(voidpf opaque, uInt n, uInt size)
{
    size_t all;

    (void)opaque;
    return __builtin_mul_overflow((size_t)n, (size_t)size, &all) ? NULL : wr_press_alloc(all);
}

static void lib_free(voidpf opaque, voidpf p)
{
    (void)opaque;
    wr_press_free(p);
}

static struct zip *new_zip(void)
{
    struct zip *g = wr_run_zalloc(sizeof(*g));

    if (g) {
        g->z.zalloc = lib_alloc;
        g->z.zfree = lib_free;
    }
    return g;
}

static void use_io(z_stream *z, const struct wr_press_io *io)
{
    union {
        const char *in;
        Bytef *out; /* zlib does not write there */
    } u = {.in = io->in};

    z->next_in = u.out;
    z->avail_in = (uInt)io->in_len;
    z->next_out = (Bytef *)io->out;
    z->avail_out = (uInt)io->out_len;
}

static void note_io(const z_stream *z, struct wr_press_io *io)
{
    io->in += io->in_len - z->avail_in;
    io->in_len = z->avail_in;
    io->out += io->out_len - z->avail_out;
    io->out_len = z->avail_out;
}

/* ---- gzip ------------------------------------------------------------------------------------ */

static void *open_gzip(const struct wr_press_opts *o)
{
    unsigned size = 0, kind;
    struct zip *g;

    while (o->size > sizes[size].max) {
        size++;
    }
    kind = WR_PRESS_KIND_ZLIB + size;
    g = wr_press_take_state(kind);
    if (g) {
        if (g->level != o->level) {
            g->level = o->level;
            /* Fails only for a stream that was not made, or with output pending. */
            (void)deflateParams(&g->z, o->level, Z_DEFAULT_STRATEGY);
        }
        return g;
    }
    g = new_zip();
    if (!g) {
        return NULL;
    }
    g->kind = (uint8_t)kind;
    g->level = o->level;
    if (deflateInit2(&g->z, o->level, Z_DEFLATED, sizes[size].window + GZIP_FORMAT,
                     sizes[size].memory, Z_DEFAULT_STRATEGY) != Z_OK) {
        wr_mem_free(g);
        return NULL;
    }
    return g;
}

static enum wr_status run_gzip(void *state, enum wr_press_op op, struct wr_press_io *io)
{
    static const int flushes[] = {
        [WR_PRESS_RUN] = Z_NO_FLUSH, [WR_PRESS_FLUSH] = Z_SYNC_FLUSH, [WR_PRESS_END] = Z_FINISH};
    struct zip *g = state;
    int rc;

    use_io(&g->z, io);
    rc = deflate(&g->z, flushes[op]);
    note_io(&g->z, io);
    if (rc == Z_STREAM_ERROR) {
        return WR_EPROTO;
    }
    if (op == WR_PRESS_END) {
        return rc == Z_STREAM_END ? WR_OK : WR_AGAIN;
    }
    if (op == WR_PRESS_FLUSH) {
        return io->out_len > 0 ? WR_OK : WR_AGAIN;
    }
    return io->in_len == 0 ? WR_OK : WR_AGAIN;
}

void wr_press_zlib_end(void *state)
{
    struct zip *g = state;

    (void)deflateEnd(&g->z); /* says that bytes were left, which the caller knows */
    wr_mem_free(g);
}

static void close_gzip(void *state)
{
    struct zip *g = state;

    if (deflateReset(&g->z) != Z_OK || !wr_press_keep_state(g->kind, g)) {
        wr_press_zlib_end(g);
    }
}

const struct wr_press_codec wr_press_gzip = {
    .name = "gzip", .open = open_gzip, .run = run_gzip, .close = close_gzip};

/* ---- gunzip ---------------------------------------------------------------------------------- */

static void *open_gunzip(const struct wr_press_opts *o)
{
    struct zip *g = new_zip();

    (void)o;
    if (g && inflateInit2(&g->z, MAX_WBITS + GZIP_FORMAT) != Z_OK) {
        wr_mem_free(g);
        return NULL;
    }
    return g;
}

/* Behind a member: does another one begin? If not, what follows is left out. */
static void begin_member(struct zip *g, struct wr_press_io *io)
{
    if ((unsigned char)io->in[0] != MAGIC_0) {
        g->is_junk = true;
        return;
    }
    g->is_ended = false;
    (void)inflateReset(&g->z); /* fails only for a stream that was not made */
}

/* One call of the library. WR_EOF: it can do no more with what is here. */
static enum wr_status inflate_some(struct zip *g, struct wr_press_io *io)
{
    int rc;

    g->has_bytes = true;
    use_io(&g->z, io);
    rc = inflate(&g->z, Z_NO_FLUSH);
    note_io(&g->z, io);
    if (rc == Z_STREAM_END) {
        g->is_ended = true;
        g->has_bytes = false;
        return WR_OK;
    }
    if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return rc == Z_MEM_ERROR ? WR_ENOMEM : WR_EPROTO;
    }
    if (io->out_len == 0) {
        return WR_AGAIN;
    }
    return io->in_len == 0 ? WR_EOF : WR_OK;
}

static enum wr_status run_gunzip(void *state, enum wr_press_op op, struct wr_press_io *io)
{
    struct zip *g = state;
    enum wr_status st = WR_OK;

    while (st == WR_OK) {
        if (g->is_ended && io->in_len > 0 && !g->is_junk) {
            begin_member(g, io);
        }
        if (g->is_junk) {
            io->in_len = 0;
        }
        if (g->is_ended) {
            return WR_OK;
        }
        st = io->in_len > 0 || g->has_bytes ? inflate_some(g, io) : WR_EOF;
    }
    return st == WR_EOF && op != WR_PRESS_END ? WR_OK : st;
}

static void close_gunzip(void *state)
{
    struct zip *g = state;

    (void)inflateEnd(&g->z);
    wr_mem_free(g);
}

const struct wr_press_codec wr_press_gunzip = {
    .name = "gunzip", .open = open_gunzip, .run = run_gunzip, .close = close_gunzip};
