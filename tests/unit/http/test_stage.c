/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stage.c: the contract of stage.h with stages that double letters, keep words back, or do
 * nothing: pieces of all sizes, marks, flushes, ends, failures, aborts, who leaves, files, memory.
 */
#include "unit/event/looptest.h"

#include "http/stage.c"

#include "base/rng.h"

#define BODY_MAX 200000

struct toy {
    struct wr_stage stage; /* first */
    char held[64];         /* keep: bytes up to the next blank */
    size_t held_len;
    unsigned flushes, finishes, closes;
    enum wr_status fault; /* of take */
};

struct rig {
    struct wr_reqx x;
    struct wr_stream stream;
    struct wr_arena arena;
    struct wr_loop *loop;
    struct wr_pipe *in, *out;
    struct count_task producer, consumer;
    struct toy a, b;
    size_t out_len;
    uint64_t taken, queued_max;
    char got[2 * BODY_MAX];
};

static struct rig g;
static char body[BODY_MAX];

/* ---- toys ------------------------------------------------------------------------------------ */

static enum wr_status take_double(struct wr_stage *s, const char *p, size_t n, size_t *ret_used)
{
    struct toy *t = (struct toy *)s;
    size_t i = 0;

    if (t->fault != WR_OK) {
        return t->fault;
    }
    for (; i < n && wr_stage_free(s) > 0; i++) {
        char two[2] = {p[i], p[i]};

        assert_int_equal(wr_stage_give(s, two, 2), WR_OK);
    }
    *ret_used = i;
    return WR_OK;
}

static enum wr_status give_held(struct toy *t)
{
    if (t->held_len > 0) {
        if (wr_stage_free(&t->stage) == 0) {
            return WR_AGAIN;
        }
        assert_int_equal(wr_stage_give(&t->stage, t->held, t->held_len), WR_OK);
        t->held_len = 0;
    }
    return WR_OK;
}

static enum wr_status take_keep(struct wr_stage *s, const char *p, size_t n, size_t *ret_used)
{
    struct toy *t = (struct toy *)s;
    size_t i = 0;

    for (; i < n; i++) {
        if (t->held_len == sizeof(t->held) && give_held(t) != WR_OK) {
            break;
        }
        t->held[t->held_len++] = p[i];
    }
    *ret_used = i;
    return WR_OK;
}

static enum wr_status flush_keep(struct wr_stage *s)
{
    ((struct toy *)s)->flushes++;
    return give_held((struct toy *)s);
}

static enum wr_status finish_keep(struct wr_stage *s)
{
    enum wr_status st = give_held((struct toy *)s);

    ((struct toy *)s)->finishes += st == WR_OK;
    return st;
}

static void close_toy(struct wr_stage *s)
{
    ((struct toy *)s)->closes++;
}

static const struct wr_stage_ops double_ops = {
    .name = "double", .take = take_double, .close = close_toy};
static const struct wr_stage_ops keep_ops = {.name = "keep",
                                             .take = take_keep,
                                             .flush = flush_keep,
                                             .finish = finish_keep,
                                             .close = close_toy};
static const struct wr_stage_ops pass_ops = {
    .name = "pass", .finish = finish_keep, .close = close_toy};

/* ---- the rig --------------------------------------------------------------------------------- */

static void make(const struct wr_stage_ops *a, const struct wr_stage_ops *b, size_t high)
{
    struct wr_loop *loop = g.loop;

    memset(&g, 0, offsetof(struct rig, got));
    g.loop = loop;
    wr_arena_init(&g.arena, 1 << 20);
    g.x.r.arena = &g.arena;
    g.x.r.stream = &g.stream;
    count_task_init(&g.producer);
    count_task_init(&g.consumer);
    g.in = wr_pipe_new(8192, &g.producer.task, NULL);
    g.x.r.out_pipe = g.in;
    assert_int_equal(wr_stage_add(&g.x.r, &g.a.stage, a, high), WR_OK);
    if (b) {
        assert_int_equal(wr_stage_add(&g.x.r, &g.b.stage, b, high), WR_OK);
    }
    g.out = g.x.r.out_pipe;
    wr_pipe_hand(g.out, WR_PIPE_CONSUMER, &g.consumer.task);
}

static void turn(void)
{
    for (int i = 0; i < 3; i++) {
        wr_loop_turn(g.loop, 0);
    }
}

/* The client takes up to n bytes. */
static void drain(size_t n)
{
    struct iovec iov;
    size_t len;

    g.queued_max = WR_MAX(g.queued_max, wr_pipe_queued(g.out));
    while (n > 0 && wr_pipe_peek(g.out, &iov, 1, n, &len) > 0) {
        memcpy(g.got + g.out_len, iov.iov_base, len);
        g.out_len += len;
        n -= len;
        wr_pipe_consume(g.out, len);
    }
}

static void drain_all(void)
{
    for (int i = 0; i < 10000 && !wr_pipe_is_spent(g.out); i++) {
        drain(SIZE_MAX);
        turn();
    }
}

static void feed(const char *p, size_t n)
{
    assert_int_equal(wr_pipe_push_copy(g.in, p, n), WR_OK);
}

static void end(void)
{
    if (g.in) {
        wr_pipe_leave_producer(g.in);
    }
    if (g.out) {
        wr_pipe_leave_consumer(g.out);
    }
    turn();
    wr_stages_close(&g.x.r);
    wr_arena_fini(&g.arena);
    assert_int_equal(g.a.closes, 1);
    assert_true(g.b.closes == (g.b.stage.ops ? 1 : 0));
}

static void expect_doubled(size_t n)
{
    assert_int_equal(g.out_len, 2 * n);
    for (size_t i = 0; i < 2 * n; i++) {
        if (g.got[i] != body[i / 2]) {
            fail_msg("byte %zu", i);
        }
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* What is there already goes through at once; the end comes with it. */
static void whole_body_needs_no_task(void **state)
{
    (void)state;
    make(&double_ops, &keep_ops, 4096);
    feed(body, 500);
    wr_pipe_eof(g.in);
    wr_stages_start(&g.x.r);
    assert_int_equal(g.out->state, WR_PIPE_EOF);
    drain(SIZE_MAX);
    expect_doubled(500);
    assert_int_equal(g.a.closes, 1);
    assert_int_equal(g.b.finishes, 1);
    end();
}

/* Some more of the body, if there is room for it. */
static size_t feed_some(size_t at)
{
    size_t most = 1 + wr_rng_below(5000), n = WR_MIN(most, BODY_MAX - at);

    if (n == 0 || !wr_pipe_can_push(g.in)) {
        return at;
    }
    feed(body + at, n);
    if (at + n == BODY_MAX) {
        wr_pipe_eof(g.in);
    }
    return at + n;
}

static void run_pieces(const struct wr_stage_ops *b, size_t high)
{
    size_t at = 0;

    make(&double_ops, b, high);
    wr_stages_start(&g.x.r);
    for (int i = 0; i < 100000 && !wr_pipe_is_spent(g.out); i++) {
        at = feed_some(at);
        turn();
        drain(wr_rng_below(9000));
    }
    drain(SIZE_MAX);
    assert_int_equal(g.out->state, WR_PIPE_EOF);
    expect_doubled(BODY_MAX);
    assert_true(g.queued_max <= WR_MAX(high, (size_t)4096) + 64);
    end();
}

static void pieces_and_marks(void **state)
{
    static const size_t highs[] = {1, 4096, 10000};

    (void)state;
    wr_rng_seed(3);
    for (size_t h = 0; h < WR_ARRAY_LEN(highs); h++) {
        run_pieces(NULL, highs[h]);
        run_pieces(&keep_ops, highs[h]);
    }
}

/* Nobody takes: the producer is told to wait, and what is held is bounded. */
static void back_pressure(void **state)
{
    size_t at = 0;

    (void)state;
    make(&double_ops, &double_ops, 4096);
    wr_stages_start(&g.x.r);
    while (wr_pipe_can_push(g.in) && at < BODY_MAX) {
        feed(body + at, 1000);
        at += 1000;
        turn();
    }
    assert_true(at < 20000);
    assert_true(wr_pipe_queued(g.out) <= 4097);
    for (int i = 0; i < 20 && g.producer.runs == 0; i++) {
        drain(SIZE_MAX);
        turn();
    }
    assert_true(g.producer.runs > 0);
    end();
}

static void streams_are_flushed(void **state)
{
    (void)state;
    make(&keep_ops, &keep_ops, 4096);
    g.x.r.is_streamed = true;
    wr_stages_start(&g.x.r);
    for (size_t i = 1; i < 20; i++) {
        feed("event", 5);
        turn();
        drain(SIZE_MAX);
        assert_int_equal(g.out_len, 5 * i);
    }
    end();
}

/* What is not streamed waits for more, but not long. */
static void others_are_flushed_when_idle(void **state)
{
    (void)state;
    make(&keep_ops, NULL, 4096);
    wr_stages_start(&g.x.r);
    feed("abc", 3);
    turn();
    drain(SIZE_MAX);
    assert_int_equal(g.out_len, 0);
    assert_int_equal(g.a.flushes, 0);
    for (int i = 0; i < 100 && g.out_len == 0; i++) {
        wr_loop_turn(g.loop, 20);
        drain(SIZE_MAX);
    }
    assert_int_equal(g.out_len, 3);
    assert_int_equal(g.a.flushes, 1);
    end();
}

/* A failure passes on behind what was taken, and nothing is finished. */
static void failure(void **state)
{
    (void)state;
    make(&keep_ops, &keep_ops, 4096);
    wr_stages_start(&g.x.r);
    feed("only this", 9);
    wr_pipe_fail(g.in, WR_REASON_TRUNCATED);
    turn();
    drain(SIZE_MAX);
    assert_int_equal(g.out_len, 9);
    assert_int_equal(g.out->state, WR_PIPE_FAILED);
    assert_int_equal(g.out->reason, WR_REASON_TRUNCATED);
    assert_int_equal(g.a.finishes + g.b.finishes, 0);
    end();
}

static void producer_that_leaves(void **state)
{
    (void)state;
    make(&keep_ops, NULL, 4096);
    wr_stages_start(&g.x.r);
    feed("x", 1);
    wr_pipe_leave_producer(wr_take(&g.in));
    turn();
    drain(SIZE_MAX);
    assert_int_equal(g.out->state, WR_PIPE_FAILED);
    assert_int_equal(g.a.finishes, 0);
    end();
}

static void abort_drops_all(void **state)
{
    (void)state;
    make(&double_ops, &keep_ops, 4096);
    wr_stages_start(&g.x.r);
    feed(body, 1000);
    turn();
    assert_true(wr_pipe_queued(g.out) > 0);
    wr_pipe_abort(g.in, WR_REASON_CLIENT_GONE);
    turn();
    assert_int_equal(g.out->state, WR_PIPE_ABORTED);
    assert_int_equal(wr_pipe_queued(g.out), 0);
    end();
}

/* The client left: the producer learns of it, through both stages. */
static void consumer_that_leaves(void **state)
{
    (void)state;
    make(&double_ops, &keep_ops, 4096);
    wr_stages_start(&g.x.r);
    feed(body, 100);
    wr_pipe_leave_consumer(wr_take(&g.out));
    turn();
    assert_true(wr_pipe_is_orphan(g.in));
    assert_int_equal(g.a.closes + g.b.closes, 2);
    end();
}

static void fault_of_a_stage(void **state)
{
    static const struct {
        enum wr_status st;
        enum wr_reason why;
    } cases[] = {
        {WR_ENOMEM, WR_REASON_NOMEM    },
        {WR_EPROTO, WR_REASON_INTERNAL },
        {WR_EOF,    WR_REASON_TRUNCATED},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        make(&double_ops, &keep_ops, 4096);
        g.a.fault = cases[i].st;
        feed(body, 100);
        wr_stages_start(&g.x.r);
        turn();
        assert_int_equal(g.out->state, WR_PIPE_FAILED);
        assert_int_equal(g.out->reason, cases[i].why);
        assert_true(wr_pipe_is_orphan(g.in));
        end();
    }
}

static struct wr_file *make_file(void)
{
    char name[] = "/tmp/wr_stage_XXXXXX";
    int fd = mkstemp(name), err = 0;
    struct wr_file *f;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, body, BODY_MAX), BODY_MAX);
    assert_int_equal(close(fd), 0);
    assert_int_equal(wr_file_open(name, &f, &err), WR_OK);
    assert_int_equal(unlink(name), 0);
    return f;
}

/* A file is read in pieces; one that became shorter is no whole body. */
static void files(void **state)
{
    (void)state;
    for (int is_short = 0; is_short < 2; is_short++) {
        struct wr_slice s = {.kind = WR_SLICE_FILE, .len = BODY_MAX + (uint64_t)is_short * 10};

        make(&double_ops, &keep_ops, 20000);
        s.u.file = make_file();
        assert_int_equal(wr_pipe_push(g.in, s), WR_OK);
        wr_pipe_eof(g.in);
        wr_stages_start(&g.x.r);
        drain_all();
        drain(SIZE_MAX);
        assert_int_equal(g.out->state, is_short ? WR_PIPE_FAILED : WR_PIPE_EOF);
        expect_doubled(BODY_MAX);
        end();
    }
}

/* Without a take slices pass as they are. */
static void pass_through(void **state)
{
    struct wr_slice s = {.kind = WR_SLICE_FILE, .len = BODY_MAX};

    (void)state;
    make(&pass_ops, NULL, WR_STAGE_HIGH);
    s.u.file = make_file();
    feed("abc", 3);
    assert_int_equal(wr_pipe_push(g.in, s), WR_OK);
    wr_pipe_eof(g.in);
    wr_stages_start(&g.x.r);
    drain(SIZE_MAX);
    turn();
    assert_int_equal(g.out->state, WR_PIPE_EOF);
    assert_int_equal(g.a.finishes, 1);
    assert_int_equal(g.out->queued_file, BODY_MAX);
    assert_int_equal(g.a.stage.taken, BODY_MAX + 3);
    end();
}

/* A run takes a bounded number of bytes, whatever is there. */
static void runs_are_bounded(void **state)
{
    struct wr_slice s = {.kind = WR_SLICE_FILE, .len = BODY_MAX};

    (void)state;
    make(&keep_ops, NULL, 4 * BODY_MAX);
    s.u.file = make_file();
    assert_int_equal(wr_pipe_push(g.in, s), WR_OK);
    wr_pipe_eof(g.in);
    wr_stages_start(&g.x.r);
    assert_true(g.a.stage.taken == WR_STAGE_RUN_MAX);
    drain_all();
    assert_int_equal(g.a.stage.taken, BODY_MAX);
    end();
}

static void replaced_response(void **state)
{
    (void)state;
    make(&double_ops, &keep_ops, 4096);
    wr_pipe_leave_consumer(wr_take(&g.out));
    wr_stages_drop(&g.x.r);
    assert_null(g.x.stages);
    assert_null(wr_stages_source(&g.x.r));
    assert_int_equal(g.a.closes + g.b.closes, 2);
    end();
}

static void entity_tags(void **state)
{
    static const struct {
        const char *tag, *want;
    } cases[] = {
        {"\"a\"",   "W/\"a\""},
        {"W/\"a\"", "W/\"a\""},
        {"abc",     NULL     },
        {"",        NULL     },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct wr_req *r = &g.x.r;
        const struct wr_hdr *f;

        memset(&g.x, 0, sizeof(g.x));
        wr_arena_init(&g.arena, 1 << 20);
        r->arena = &g.arena;
        r->can_range = true;
        wr_msg_init(&r->out, r->arena, 10);
        r->out.content_length = 5;
        assert_int_equal(wr_hdrs_add_id(&r->out.hdrs, WR_HDR_ACCEPT_RANGES, WR_STR("bytes")),
                         WR_OK);
        assert_int_equal(wr_hdrs_add_id(&r->out.hdrs, WR_HDR_ETAG, wr_str_z(cases[i].tag)), WR_OK);
        assert_int_equal(wr_stage_changes_body(r), WR_OK);
        f = wr_hdrs_get(&r->out.hdrs, WR_HDR_ETAG);
        assert_true(cases[i].want ? f && wr_str_eq_z(f->value, cases[i].want) : f == NULL);
        assert_false(wr_hdrs_has(&r->out.hdrs, WR_HDR_ACCEPT_RANGES));
        assert_true(r->out.content_length == WR_LENGTH_UNKNOWN && !r->can_range);
        wr_arena_fini(&g.arena);
    }
}

static int setup(void **state)
{
    for (size_t i = 0; i < BODY_MAX; i++) {
        body[i] = (char)('a' + i % 23);
    }
    return setup_loop((void **)&g.loop) || (*state = g.loop) == NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_body_needs_no_task),
        cmocka_unit_test(pieces_and_marks),
        cmocka_unit_test(back_pressure),
        cmocka_unit_test(streams_are_flushed),
        cmocka_unit_test(others_are_flushed_when_idle),
        cmocka_unit_test(failure),
        cmocka_unit_test(producer_that_leaves),
        cmocka_unit_test(abort_drops_all),
        cmocka_unit_test(consumer_that_leaves),
        cmocka_unit_test(fault_of_a_stage),
        cmocka_unit_test(files),
        cmocka_unit_test(pass_through),
        cmocka_unit_test(runs_are_bounded),
        cmocka_unit_test(replaced_response),
        cmocka_unit_test(entity_tags),
    };

    return cmocka_run_group_tests(tests, setup, teardown_loop);
}
