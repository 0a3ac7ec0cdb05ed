/* SPDX-License-Identifier: Apache-2.0 */
/*
 * brotli.c: brotli (RFC 7932) as a table of press.h. The library has no way to use an encoder
 * again, so its memory comes from the thread's pool instead.
 */
#include <brotli/encode.h>

#include "mod/press.h"

/* From 1 MB on the library takes tables that are several times as large. */
#define HINT_MAX ((1u << 20) - 1)

static void *lib_alloc(void *opaque, size_t n)
{
    (void)opaque;
    return wr_press_alloc_must(n);
}

static void lib_free(void *opaque, void *p)
{
    (void)opaque;
    wr_press_free(p);
}

/* The window need not be larger than the body. */
static unsigned window_of(const struct wr_press_opts *o)
{
    unsigned bits = o->window_bits == 0 ? BROTLI_DEFAULT_WINDOW : o->window_bits;

    while (bits > BROTLI_MIN_WINDOW_BITS && o->size <= (UINT64_C(1) << (bits - 1)) - 16) {
        bits--;
    }
    return bits;
}

static void *open_brotli(const struct wr_press_opts *o)
{
    BrotliEncoderState *b = BrotliEncoderCreateInstance(lib_alloc, lib_free, NULL);

    if (!b) {
        return NULL;
    }
    if (!BrotliEncoderSetParameter(b, BROTLI_PARAM_QUALITY, (uint32_t)o->level) ||
        !BrotliEncoderSetParameter(b, BROTLI_PARAM_LGWIN, window_of(o)) ||
        (o->size != UINT64_MAX &&
         !BrotliEncoderSetParameter(b, BROTLI_PARAM_SIZE_HINT,
                                    (uint32_t)WR_MIN(o->size, (uint64_t)HINT_MAX)))) {
        BrotliEncoderDestroyInstance(b);
        return NULL;
    }
    return b;
}

static enum wr_status run_brotli(void *state, enum wr_press_op op, struct wr_press_io *io)
{
    static const BrotliEncoderOperation ops[] = {[WR_PRESS_RUN] = BROTLI_OPERATION_PROCESS,
                                                 [WR_PRESS_FLUSH] = BROTLI_OPERATION_FLUSH,
                                                 [WR_PRESS_END] = BROTLI_OPERATION_FINISH};
    const uint8_t *in = (const uint8_t *)io->in;
    uint8_t *out = (uint8_t *)io->out;
    size_t in_len = io->in_len, out_len = io->out_len;
    bool is_fine = BrotliEncoderCompressStream(state, ops[op], &in_len, &in, &out_len, &out, NULL);

    io->in += io->in_len - in_len;
    io->in_len = in_len;
    io->out += io->out_len - out_len;
    io->out_len = out_len;
    if (!is_fine) {
        return WR_EPROTO; /* a wrong call */
    }
    if (in_len > 0 || (op != WR_PRESS_RUN && BrotliEncoderHasMoreOutput(state))) {
        return WR_AGAIN;
    }
    return op == WR_PRESS_END && !BrotliEncoderIsFinished(state) ? WR_AGAIN : WR_OK;
}

static void close_brotli(void *state)
{
    BrotliEncoderDestroyInstance(state);
}

const struct wr_press_codec wr_press_brotli = {
    .name = "brotli", .open = open_brotli, .run = run_brotli, .close = close_brotli};
