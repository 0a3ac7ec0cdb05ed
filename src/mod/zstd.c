/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd.c: Zstandard (RFC 8878) as a table of press.h. Contexts are kept by the thread and reset;
 * one that grew beyond KEEP_MAX (high levels) is not. The window is at most what the directive
 * says, 8 MB in any case: no browser takes more (RFC 9659).
 */
#include <zstd.h>

#include "mod/press.h"

#define KEEP_MAX ((size_t)6 << 20)

static enum wr_status set_up(ZSTD_CCtx *c, const struct wr_press_opts *o)
{
    size_t rc = ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, o->level);

    if (!ZSTD_isError(rc) && o->window_bits > 0) {
        rc = ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, (int)o->window_bits);
    }
    if (!ZSTD_isError(rc) && o->size != UINT64_MAX) {
        rc = ZSTD_CCtx_setPledgedSrcSize(c, o->size);
    }
    return ZSTD_isError(rc) ? WR_ENOMEM : WR_OK;
}

static void *open_zstd(const struct wr_press_opts *o)
{
    ZSTD_CCtx *c = wr_press_take_state(WR_PRESS_KIND_ZSTD);

    if (!c) {
        c = ZSTD_createCCtx();
    }
    if (c && set_up(c, o) != WR_OK) {
        (void)ZSTD_freeCCtx(c);
        return NULL;
    }
    return c;
}

static enum wr_status run_zstd(void *state, enum wr_press_op op, struct wr_press_io *io)
{
    static const ZSTD_EndDirective ops[] = {[WR_PRESS_RUN] = ZSTD_e_continue,
                                            [WR_PRESS_FLUSH] = ZSTD_e_flush,
                                            [WR_PRESS_END] = ZSTD_e_end};
    ZSTD_inBuffer in = {io->in, io->in_len, 0};
    ZSTD_outBuffer out = {io->out, io->out_len, 0};
    size_t left = ZSTD_compressStream2(state, &out, &in, ops[op]);

    io->in += in.pos;
    io->in_len -= in.pos;
    io->out += out.pos;
    io->out_len -= out.pos;
    if (ZSTD_isError(left)) {
        return WR_ENOMEM; /* or a body that is not as long as was said, which cannot be */
    }
    return io->in_len > 0 || (op != WR_PRESS_RUN && left > 0) ? WR_AGAIN : WR_OK;
}

void wr_press_zstd_end(void *state)
{
    (void)ZSTD_freeCCtx(state);
}

static void close_zstd(void *state)
{
    if (ZSTD_sizeof_CCtx(state) > KEEP_MAX ||
        ZSTD_isError(ZSTD_CCtx_reset(state, ZSTD_reset_session_and_parameters)) ||
        !wr_press_keep_state(WR_PRESS_KIND_ZSTD, state)) {
        wr_press_zstd_end(state);
    }
}

const struct wr_press_codec wr_press_zstd = {
    .name = "zstd", .open = open_zstd, .run = run_zstd, .close = close_zstd};
