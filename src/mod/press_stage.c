/* SPDX-License-Identifier: Apache-2.0 */
/*
 * press_stage.c: the body stage of all compressors and decompressors, see press.h. A flush that did
 * not fit is finished before more is taken: brotli wants it so.
 */
#include "base/mem.h"
#include "http/req.h"
#include "mod/press.h"

#define PIECE_MAX 16384u
#define PIECE_MIN 1024u

static struct wr_press_stage *press_of(struct wr_stage *g)
{
    return (struct wr_press_stage *)(void *)g;
}

/* Runs until all was taken and given, or there is no room: WR_AGAIN. */
static enum wr_status run_codec(struct wr_press_stage *s, enum wr_press_op op,
                                struct wr_press_io *io)
{
    enum wr_status st;

    do {
        size_t room, given;

        io->out = wr_stage_room(&s->stage, s->piece, &room);
        if (!io->out) {
            return wr_stage_free(&s->stage) > 0 ? WR_ENOMEM : WR_AGAIN;
        }
        io->out_len = room;
        st = s->codec->run(s->state, op, io);
        given = room - io->out_len;
        wr_stage_commit(&s->stage, given);
    } while (st == WR_AGAIN);
    return st;
}

static enum wr_status flush_press(struct wr_stage *g)
{
    struct wr_press_stage *s = press_of(g);
    struct wr_press_io io = {.in = "", .in_len = 0};
    enum wr_status st = run_codec(s, WR_PRESS_FLUSH, &io);

    s->is_flushing = st == WR_AGAIN;
    return st;
}

static enum wr_status take_press(struct wr_stage *g, const char *p, size_t n, size_t *ret_used)
{
    struct wr_press_stage *s = press_of(g);
    struct wr_press_io io = {.in = p, .in_len = n};
    enum wr_status st = s->is_flushing ? flush_press(g) : WR_OK;

    if (st == WR_OK) {
        st = run_codec(s, WR_PRESS_RUN, &io);
    }
    *ret_used = n - io.in_len;
    return st == WR_AGAIN ? WR_OK : st;
}

static enum wr_status finish_press(struct wr_stage *g)
{
    struct wr_press_stage *s = press_of(g);
    struct wr_press_io io = {.in = "", .in_len = 0};
    enum wr_status st = s->is_flushing ? flush_press(g) : WR_OK;

    return st == WR_OK ? run_codec(s, WR_PRESS_END, &io) : st;
}

static void close_press(struct wr_stage *g)
{
    struct wr_press_stage *s = press_of(g);

    if (s->state) {
        s->codec->close(wr_take(&s->state));
    }
}

static const struct wr_stage_ops press_ops = {.name = "press",
                                              .take = take_press,
                                              .flush = flush_press,
                                              .finish = finish_press,
                                              .close = close_press};

enum wr_status wr_press_add(struct wr_req *r, const struct wr_press_codec *codec,
                            const struct wr_press_opts *o, size_t high, struct wr_press_stage **ret)
{
    struct wr_press_stage *s = wr_arena_zalloc(r->arena, sizeof(*s));
    enum wr_status st;

    if (!s) {
        return WR_ENOMEM;
    }
    s->state = codec->open(o);
    if (!s->state) {
        return WR_ELIMIT;
    }
    s->codec = codec;
    s->piece = (size_t)WR_MIN(WR_MAX(o->size, (uint64_t)PIECE_MIN), (uint64_t)PIECE_MAX);
    st = wr_stage_add(r, &s->stage, &press_ops, high);
    if (st != WR_OK) {
        codec->close(wr_take(&s->state));
        return st;
    }
    *ret = s;
    return WR_OK;
}
