/* SPDX-License-Identifier: Apache-2.0 */
/* test_pipe.c: the rules of pipe.h one by one, then random operations against a simple model. */
#include "unit/event/looptest.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/rng.h"
#include "base/stat.h"
#include "io/pipe.h"

struct ends {
    struct wr_loop *loop;
    struct count_task producer, consumer;
    struct wr_pipe *p;
    char dir[64];
    struct wr_temp_path where;
    struct wr_spill_conf spill;
};

static int setup(void **state)
{
    struct ends *e = wr_mem_alloc(sizeof(*e));

    if (setup_loop((void **)&e->loop) != 0) {
        return -1;
    }
    memcpy(e->dir, "/tmp/wr_pipe_XXXXXX", 20);
    if (!mkdtemp(e->dir)) {
        return -1;
    }
    e->where.dir = wr_str_z(e->dir);
    e->spill = (struct wr_spill_conf){.where = &e->where, .max = 1 << 20, .write_size = 8192};
    count_task_init(&e->producer);
    count_task_init(&e->consumer);
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    struct ends *e = *state;

    wr_loop_free(e->loop);
    rmdir(e->dir);
    wr_mem_free(e);
    return 0;
}

static void make(struct ends *e, size_t high)
{
    e->p = wr_pipe_new(high, &e->producer.task, &e->consumer.task);
    assert_non_null(e->p);
}

static void leave(struct ends *e)
{
    wr_pipe_leave_consumer(e->p);
    wr_pipe_leave_producer(e->p);
    wr_loop_turn(e->loop, 0);
}

/* How often each end was woken since the last call. */
static void check_wakes(struct ends *e, unsigned producer, unsigned consumer)
{
    wr_loop_turn(e->loop, 0);
    assert_int_equal(e->producer.runs, producer);
    assert_int_equal(e->consumer.runs, consumer);
    e->producer.runs = e->consumer.runs = 0;
}

/* A slice of n bytes that go on counting from `from`. */
static struct wr_slice make_slice(size_t n, uint64_t from)
{
    struct wr_chunk *c = wr_chunk_new(wr_chunk_class_for(n));
    struct wr_slice s = {.kind = WR_SLICE_CHUNK, .u.chunk = c, .len = n};

    assert_non_null(c);
    for (size_t i = 0; i < n; i++) {
        c->data[i] = (char)((from + i) * 31 % 251);
    }
    c->fill = (uint32_t)n;
    return s;
}

static void check_bytes(const char *p, size_t n, uint64_t from)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(p[i], (char)((from + i) * 31 % 251));
    }
}

static void push(struct wr_pipe *p, size_t n)
{
    assert_int_equal(wr_pipe_push(p, make_slice(n, p->in_total)), WR_OK);
}

/* Reads at most max bytes from the front, file or memory, and checks them. Returns how many. */
static size_t pull(struct wr_pipe *p, size_t max)
{
    static char buf[1 << 18];
    const struct wr_slice *f = wr_pipe_front(p);
    struct iovec iov[3];
    size_t n = 0;
    uint64_t at = p->out_total;
    int cnt;

    if (!f) {
        return 0;
    }
    if (f->kind == WR_SLICE_FILE) {
        max = WR_MIN(max, (size_t)WR_MIN(f->len, sizeof(buf)));
        assert_int_equal(wr_file_read(f->u.file, f->off, buf, max, &n), WR_OK);
        assert_int_equal(n, max);
        check_bytes(buf, n, at);
    } else {
        cnt = wr_pipe_peek_now(p, iov, 3, max, &n);
        assert_true(cnt > 0 && n <= max);
        for (int i = 0; i < cnt; i++) {
            check_bytes(iov[i].iov_base, iov[i].iov_len, at);
            at += iov[i].iov_len;
        }
        assert_int_equal(at - p->out_total, n);
    }
    wr_pipe_consume(p, n);
    return n;
}

/* ---- rules ---------------------------------------------------------------------------------- */

static void test_marks(void **state)
{
    struct ends *e = *state;

    make(e, 10000);
    assert_int_equal(wr_pipe_room(e->p), 10000);
    push(e->p, 6000);
    check_wakes(e, 0, 1); /* empty gains bytes */
    push(e->p, 3000);
    check_wakes(e, 0, 0);
    assert_int_equal(wr_pipe_room(e->p), 1000);
    push(e->p, 3000); /* one slice over */
    assert_false(wr_pipe_can_push(e->p));
    assert_int_equal(wr_pipe_room(e->p), 0);
    wr_pipe_consume(e->p, 6000);
    check_wakes(e, 0, 0); /* 6000 left: above low */
    wr_pipe_consume(e->p, 1000);
    check_wakes(e, 1, 0);
    wr_pipe_consume(e->p, 1000);
    check_wakes(e, 0, 0); /* only who was refused is woken, once */
    /* Raised marks let a refused producer go on. */
    wr_pipe_set_marks(e->p, 2000, 1000);
    assert_false(wr_pipe_can_push(e->p));
    wr_pipe_set_marks(e->p, 8000, 1000);
    check_wakes(e, 1, 0);
    wr_pipe_eof(e->p);
    check_wakes(e, 0, 1);
    assert_false(wr_pipe_is_spent(e->p));
    wr_pipe_consume(e->p, 4000);
    assert_true(wr_pipe_is_spent(e->p));
    leave(e);
}

static void test_small_are_copied(void **state)
{
    struct ends *e = *state;
    struct wr_slice s;
    struct wr_chunk *c;
    struct iovec iov[4];
    size_t n;

    make(e, 100000);
    push(e->p, 100); /* alone, and its chunk is a small one: it stays */
    s = make_slice(100, 100);
    c = wr_chunk_ref(s.u.chunk);
    assert_int_equal(wr_pipe_push(e->p, s), WR_OK);
    assert_int_equal(c->refs, 1); /* the pipe did not keep it */
    for (int i = 0; i < 19; i++) {
        push(e->p, 100);
    }
    assert_int_equal(wr_pipe_peek(e->p, iov, 4, SIZE_MAX, &n), 2); /* all others are one piece */
    assert_int_equal(n, 2100);
    check_bytes(iov[0].iov_base, 100, 0);
    check_bytes(iov[1].iov_base, 2000, 100);
    wr_pipe_consume(e->p, 100);
    /* A large one is referred to. */
    s = make_slice(2048, e->p->in_total);
    wr_chunk_unref(c);
    c = s.u.chunk;
    assert_int_equal(wr_pipe_push(e->p, s), WR_OK);
    assert_int_equal(c->refs, 1);
    assert_int_equal(wr_pipe_peek(e->p, iov, 4, SIZE_MAX, &n), 2);
    assert_ptr_equal(iov[1].iov_base, c->data);
    /* Pieces of one chunk that follow each other are one slice. */
    (void)wr_chunk_ref(c);
    c->fill += 2048;
    s.off = 2048;
    assert_int_equal(wr_pipe_push(e->p, s), WR_OK);
    assert_int_equal(wr_pipe_peek(e->p, iov, 4, SIZE_MAX, &n), 2);
    assert_int_equal(iov[1].iov_len, 4096);
    assert_int_equal(c->refs, 1);
    leave(e);
}

/* A slice of n bytes of a chunk of 64 KiB, of which the caller has a reference. */
static struct wr_slice make_lent(size_t n, uint64_t from, struct wr_chunk **ret_c)
{
    struct wr_slice small = make_slice(n, from), s = small;

    s.u.chunk = *ret_c = wr_chunk_new(WR_CHUNK_64K);
    assert_non_null(s.u.chunk);
    s.off = 1000;
    memcpy(s.u.chunk->data + s.off, small.u.chunk->data, n);
    s.u.chunk->fill = (uint32_t)(s.off + n);
    wr_chunk_unref(small.u.chunk);
    (void)wr_chunk_ref(s.u.chunk);
    return s;
}

/* Rule 3: what finds the pipe empty is not copied before the end of the turn. */
static void test_loan(void **state)
{
    struct ends *e = *state;
    struct wr_pipe *dst;
    struct wr_chunk *c;
    struct iovec iov[4];
    const void *kept;
    size_t n;

    make(e, 100000);
    /* Gone before that: its chunk was never left. */
    assert_int_equal(wr_pipe_push(e->p, make_lent(100, 0, &c)), WR_OK);
    assert_ptr_equal(wr_pipe_front(e->p)->u.chunk, c);
    assert_int_equal(pull(e->p, 100), 100);
    assert_int_equal(c->refs, 1);
    wr_chunk_unref(c);
    check_wakes(e, 0, 1);
    /* Still there, but for its begin: copied, once, and filled on. */
    assert_int_equal(wr_pipe_push(e->p, make_lent(2000, 100, &c)), WR_OK);
    assert_int_equal(pull(e->p, 300), 300);
    assert_int_equal(c->refs, 2);
    check_wakes(e, 0, 1);
    assert_int_equal(c->refs, 1);
    assert_int_equal(wr_pipe_front(e->p)->u.chunk->cap, 4096);
    wr_chunk_unref(c);
    push(e->p, 500);
    assert_int_equal(wr_pipe_queued(e->p), 2200);
    assert_int_equal(pull(e->p, 3000), 2200); /* one piece */
    assert_null(wr_pipe_front(e->p));
    /* No memory for the copy: it stays. */
    assert_int_equal(wr_pipe_push(e->p, make_lent(10, 2600, &c)), WR_OK);
    wr_mem_fault_set(1);
    check_wakes(e, 0, 1);
    wr_mem_fault_set(0);
    assert_int_equal(c->refs, 2);
    assert_int_equal(pull(e->p, 10), 10);
    assert_int_equal(c->refs, 1);
    wr_chunk_unref(c);
    /* Moved on: where it is then it is copied. */
    dst = wr_pipe_new(1000, NULL, NULL);
    assert_non_null(dst);
    assert_int_equal(wr_pipe_push(e->p, make_lent(10, 0, &c)), WR_OK);
    assert_int_equal(wr_pipe_move(dst, e->p, UINT64_MAX), WR_OK);
    assert_int_equal(c->refs, 2);
    wr_loop_turn(e->loop, 0);
    assert_int_equal(c->refs, 1);
    wr_chunk_unref(c);
    assert_int_equal(pull(dst, 10), 10);
    wr_pipe_leave_producer(dst);
    wr_pipe_leave_consumer(dst);
    /* Who may keep what peek tells (a thread that writes it) gets what stays. */
    assert_int_equal(wr_pipe_push(e->p, make_lent(10, e->p->in_total, &c)), WR_OK);
    assert_int_equal(wr_pipe_peek(e->p, iov, 4, SIZE_MAX, &n), 1);
    assert_int_equal(c->refs, 1);
    wr_chunk_unref(c);
    kept = iov[0].iov_base;
    wr_loop_turn(e->loop, 0);
    assert_int_equal(wr_pipe_peek(e->p, iov, 4, SIZE_MAX, &n), 1);
    assert_ptr_equal(iov[0].iov_base, kept);
    assert_int_equal(pull(e->p, 10), 10);
    /* The pipe ends before the turn does. */
    assert_int_equal(wr_pipe_push(e->p, make_lent(10, 0, &c)), WR_OK);
    leave(e);
    assert_int_equal(c->refs, 1);
    wr_chunk_unref(c);
    assert_int_equal(wr_chunk_in_use(), 0);
}

static void test_constants(void **state)
{
    struct ends *e = *state;
    struct wr_slice s = {.kind = WR_SLICE_CONST, .u.text = "hello, world", .off = 7, .len = 5};
    struct iovec iov[4];
    size_t n;

    make(e, 100);
    assert_int_equal(wr_pipe_push(e->p, s), WR_OK);
    assert_int_equal(wr_pipe_peek(e->p, iov, 4, 3, &n), 1);
    assert_int_equal(n, 3);
    assert_memory_equal(iov[0].iov_base, "wor", 3);
    assert_int_equal(wr_pipe_push(e->p, s), WR_OK);
    assert_int_equal(wr_pipe_push_copy(e->p, "!", 1), WR_OK);
    assert_int_equal(wr_pipe_peek(e->p, iov, 4, SIZE_MAX, &n), 2);
    assert_memory_equal(iov[1].iov_base, "world!", 6);
    leave(e);
}

static void test_reserve(void **state)
{
    struct ends *e = *state;
    struct wr_chunk *c;
    size_t n;
    char *room;

    make(e, 5000);
    room = wr_pipe_reserve(e->p, SIZE_MAX, &n);
    assert_non_null(room);
    assert_int_equal(n, 5000); /* never more than high - queued */
    memcpy(room, "abc", 3);
    wr_pipe_commit(e->p, 3);
    check_wakes(e, 0, 1);
    c = wr_pipe_front(e->p)->u.chunk;
    /* The same chunk goes on. */
    room = wr_pipe_reserve(e->p, 100, &n);
    assert_int_equal(n, 100);
    assert_ptr_equal(room, c->data + 3);
    memcpy(room, "def", 3);
    wr_pipe_commit(e->p, 3);
    assert_int_equal(wr_pipe_queued(e->p), 6);
    assert_memory_equal(c->data, "abcdef", 6);
    /* Giving it back leaves no trace. */
    room = wr_pipe_reserve(e->p, 10, &n);
    assert_non_null(room);
    wr_pipe_commit(e->p, 0);
    assert_int_equal(c->refs, 1);
    push(e->p, 6000);
    assert_null(wr_pipe_reserve(e->p, 10, &n));
    assert_true(e->p->_is_producer_waiting);
    wr_pipe_consume(e->p, 6006);
    check_wakes(e, 1, 0);
    /* Without memory: refused. */
    wr_mem_fault_set(1);
    assert_null(wr_pipe_reserve(e->p, 10, &n));
    wr_mem_fault_set(0);
    /* A reserved chunk that is never committed does not leak. */
    assert_non_null(wr_pipe_reserve(e->p, 10, &n));
    leave(e);
    assert_int_equal(wr_chunk_in_use(), 0);
}

static void test_ends(void **state)
{
    struct ends *e = *state;
    uint64_t dropped = wr_stat_sum(WR_CNT_PIPE_DROPPED);

    /* The consumer leaves: dropped and counted, the producer learns it. */
    make(e, 1000);
    push(e->p, 3000);
    assert_false(wr_pipe_can_push(e->p));
    check_wakes(e, 0, 1);
    wr_pipe_leave_consumer(e->p);
    check_wakes(e, 1, 0);
    assert_true(wr_pipe_is_orphan(e->p));
    assert_true(wr_pipe_can_push(e->p));
    assert_int_equal(wr_pipe_push(e->p, make_slice(500, 0)), WR_EPEERGONE);
    assert_int_equal(wr_pipe_push_copy(e->p, "x", 1), WR_EPEERGONE);
    assert_int_equal(wr_stat_sum(WR_CNT_PIPE_DROPPED) - dropped, 3501);
    wr_pipe_leave_producer(e->p);
    check_wakes(e, 0, 0);
    /* The producer leaves an open pipe: what is queued, then a failure. */
    make(e, 1000);
    push(e->p, 300);
    wr_pipe_leave_producer(e->p);
    check_wakes(e, 0, 1);
    assert_int_equal(e->p->state, WR_PIPE_FAILED);
    assert_false(wr_pipe_is_spent(e->p));
    wr_pipe_consume(e->p, 300);
    assert_true(wr_pipe_is_spent(e->p));
    wr_pipe_leave_consumer(e->p);
    /* First reason wins; abort drops the queue. */
    make(e, 1000);
    push(e->p, 300);
    wr_pipe_fail(e->p, 7);
    wr_pipe_fail(e->p, 8);
    wr_pipe_eof(e->p);
    assert_int_equal(e->p->reason, 7);
    wr_pipe_abort(e->p, 9);
    assert_int_equal(e->p->state, WR_PIPE_ABORTED);
    assert_int_equal(e->p->reason, 7);
    assert_int_equal(wr_pipe_queued(e->p), 0);
    leave(e);
    /* After EOF neither failure nor abort change what is whole. */
    make(e, 1000);
    wr_pipe_eof(e->p);
    wr_pipe_fail(e->p, 7);
    wr_pipe_abort(e->p, 7);
    assert_int_equal(e->p->state, WR_PIPE_EOF);
    leave(e);
    assert_int_equal(wr_chunk_in_use(), 0);
}

static void test_hand(void **state)
{
    struct ends *e = *state;
    struct count_task other;

    count_task_init(&other);
    make(e, 1000);
    push(e->p, 100);
    check_wakes(e, 0, 1);
    wr_pipe_hand(e->p, WR_PIPE_CONSUMER, &other.task);
    check_wakes(e, 0, 0);
    assert_int_equal(other.runs, 1); /* bytes are there: look */
    push(e->p, 1000);
    assert_false(wr_pipe_can_push(e->p));
    wr_pipe_hand(e->p, WR_PIPE_PRODUCER, &other.task);
    wr_pipe_consume(e->p, 1100);
    check_wakes(e, 0, 0);
    assert_int_equal(other.runs, 2);
    leave(e);
}

static void test_move(void **state)
{
    struct ends *e = *state;
    struct wr_pipe *src = wr_pipe_new(100000, &e->producer.task, NULL);
    struct iovec iov[8];
    size_t n;

    make(e, 5000);
    assert_int_equal(wr_pipe_move(e->p, src, UINT64_MAX), WR_AGAIN);
    for (int i = 0; i < 5; i++) {
        push(src, 3000);
    }
    /* Splits at max, references only. */
    assert_int_equal(wr_pipe_move(e->p, src, 4000), WR_OK);
    check_wakes(e, 0, 1);
    assert_int_equal(wr_pipe_queued(e->p), 4000);
    assert_int_equal(wr_pipe_peek(e->p, iov, 8, SIZE_MAX, &n), 2);
    check_bytes(iov[0].iov_base, iov[0].iov_len, 0);
    /* Stops when dst is full, one slice over. */
    assert_int_equal(wr_pipe_move(e->p, src, UINT64_MAX), WR_OK);
    assert_int_equal(wr_pipe_queued(e->p), 6000);
    assert_int_equal(wr_pipe_move(e->p, src, UINT64_MAX), WR_AGAIN);
    wr_pipe_fail(src, 5);
    while (e->p->state == WR_PIPE_OPEN) {
        assert_true(pull(e->p, 2500) > 0);
        (void)!wr_pipe_move(e->p, src, UINT64_MAX);
    }
    assert_int_equal(e->p->state, WR_PIPE_FAILED);
    assert_int_equal(e->p->reason, 5);
    while (pull(e->p, 2500) > 0) {
        continue;
    }
    assert_int_equal(e->p->out_total, 15000);
    wr_pipe_leave_consumer(src);
    wr_pipe_leave_producer(src);
    leave(e);
    assert_int_equal(wr_chunk_in_use(), 0);
}

static void test_move_to_gone(void **state)
{
    struct ends *e = *state;
    struct wr_pipe *src = wr_pipe_new(100000, NULL, NULL);

    make(e, 5000);
    push(src, 3000);
    wr_pipe_leave_consumer(e->p);
    assert_int_equal(wr_pipe_move(e->p, src, UINT64_MAX), WR_EPEERGONE);
    assert_int_equal(wr_pipe_queued(src), 3000); /* the mover decides what becomes of it */
    wr_pipe_leave_producer(e->p);
    wr_pipe_leave_consumer(src);
    wr_pipe_leave_producer(src);
}

static void test_share(void **state)
{
    struct ends *e = *state;
    struct wr_pipe *src = wr_pipe_new(100000, NULL, NULL);
    uint64_t n;

    make(e, 100000);
    push(src, 3000);
    push(src, 100);
    push(src, 3000);
    assert_int_equal(wr_pipe_share(e->p, src, 6100, 10, &n), WR_AGAIN);
    assert_int_equal(wr_pipe_share(e->p, src, 0, 2000, &n), WR_OK);
    assert_int_equal(n, 2000);
    assert_int_equal(wr_pipe_share(e->p, src, 2000, UINT64_MAX, &n), WR_OK);
    assert_int_equal(n, 4100);
    /* src has all of it still, and may grow: dst does not see that. */
    push(src, 50);
    assert_int_equal(wr_pipe_queued(src), 6150);
    assert_int_equal(wr_pipe_queued(e->p), 6100);
    while (pull(e->p, 777) > 0) {
        continue;
    }
    assert_int_equal(e->p->out_total, 6100);
    while (pull(src, 777) > 0) {
        continue;
    }
    wr_pipe_leave_consumer(src);
    wr_pipe_leave_producer(src);
    leave(e);
    assert_int_equal(wr_chunk_in_use(), 0);
}

/* The end of one pipe becomes that of the next one (U6.5): a cut body is never passed off as whole.
 */
static void test_move_ends(void **state)
{
    static const struct {
        void (*end)(struct wr_pipe *p, unsigned reason);
        enum wr_pipe_state state;
        uint64_t kept;
    } rows[] = {
        {wr_pipe_fail,  WR_PIPE_FAILED,  3000},
        {wr_pipe_abort, WR_PIPE_ABORTED, 0   },
    };
    struct ends *e = *state;

    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_pipe *src = wr_pipe_new(100000, NULL, NULL);

        make(e, 100000);
        push(src, 3000);
        rows[i].end(src, 7);
        assert_int_equal(wr_pipe_move(e->p, src, UINT64_MAX), WR_EOF);
        assert_int_equal(e->p->state, rows[i].state);
        assert_int_equal(e->p->reason, 7);
        assert_int_equal(wr_pipe_queued(e->p), rows[i].kept);
        /* Nothing goes into an ended pipe any more. */
        assert_int_equal(wr_pipe_move(e->p, src, UINT64_MAX), WR_EPEERGONE);
        wr_pipe_leave_consumer(src);
        wr_pipe_leave_producer(src);
        leave(e);
        assert_int_equal(wr_chunk_in_use(), 0);
    }
}

/* As much as finds room or memory, never a part of it twice; the source keeps all. */
static void test_share_bounds(void **state)
{
    static const char text[4096] = "constant";
    struct ends *e = *state;
    struct wr_pipe *src = wr_pipe_new(1 << 20, NULL, NULL);
    uint64_t n = 0, got = 0;

    make(e, 10000);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(wr_pipe_push(src, (struct wr_slice){.kind = WR_SLICE_CONST,
                                                             .len = sizeof(text),
                                                             .u.text = text}),
                         WR_OK);
    }
    assert_int_equal(wr_pipe_share(e->p, src, 0, UINT64_MAX, &n), WR_OK);
    assert_int_equal(n, 3 * sizeof(text)); /* until the mark is passed */
    assert_int_equal(wr_pipe_share(e->p, src, n, UINT64_MAX, &n), WR_AGAIN);
    wr_pipe_set_marks(e->p, 1 << 20, 0);
    for (got = n; got < 100 * sizeof(text); got += n) {
        enum wr_status st;

        wr_mem_fault_set(1);
        st = wr_pipe_share(e->p, src, got, UINT64_MAX, &n);
        wr_mem_fault_set(0);
        if (st != WR_OK) {
            assert_int_equal(st, WR_ENOMEM);
            assert_int_equal(wr_pipe_share(e->p, src, got, sizeof(text), &n), WR_OK);
        }
    }
    assert_int_equal(wr_pipe_queued(e->p), 100 * sizeof(text));
    assert_int_equal(wr_pipe_queued(src), 100 * sizeof(text));
    wr_pipe_eof(e->p);
    assert_int_equal(wr_pipe_share(e->p, src, 0, UINT64_MAX, &n), WR_EPEERGONE);
    wr_pipe_leave_consumer(src);
    wr_pipe_leave_producer(src);
    leave(e);
}

/* ---- spill ---------------------------------------------------------------------------------- */

static void test_spill(void **state)
{
    struct ends *e = *state;

    make(e, 10000);
    wr_pipe_set_spill(e->p, &e->spill);
    for (int i = 0; i < 50; i++) {
        assert_true(wr_pipe_can_push(e->p));
        push(e->p, 5000);
    }
    assert_true(e->p->is_spilled);
    assert_int_equal(e->p->queued_mem, 10000);
    assert_int_equal(e->p->queued_file, 240000);
    assert_int_equal(wr_pipe_room(e->p), 65536);
    while (pull(e->p, 4000) > 0) {
        continue;
    }
    assert_int_equal(e->p->out_total, 250000);
    /* Drained: the file starts anew and is not larger than before. */
    for (int i = 0; i < 20; i++) {
        push(e->p, 5000);
    }
    while (pull(e->p, 4000) > 0) {
        continue;
    }
    assert_int_equal(e->p->spill_errno, 0);
    leave(e);
    assert_int_equal(wr_chunk_in_use(), 0);
}

/* Many tiny pushes are gathered: memory stays near the mark. */
static void test_spill_tiny(void **state)
{
    struct ends *e = *state;

    make(e, 10000);
    wr_pipe_set_spill(e->p, &e->spill);
    for (int i = 0; i < 2000; i++) {
        push(e->p, i % 7 == 0 ? 3000 : 100);
        assert_true(e->p->queued_mem <= 10000 + 3000 + 16384);
        if (!wr_pipe_can_push(e->p)) {
            break;
        }
    }
    assert_true(e->p->in_total > 900000);
    while (pull(e->p, 5000) > 0) {
        continue;
    }
    leave(e);
}

/* U14.5: at `max`, and with a full disk, the pipe refuses at high and nothing is lost. */
static void test_spill_limits(void **state)
{
    struct ends *e = *state;
    struct rlimit old, low;

    e->spill.max = 20000;
    make(e, 10000);
    wr_pipe_set_spill(e->p, &e->spill);
    while (wr_pipe_can_push(e->p)) {
        push(e->p, 3000);
    }
    assert_int_equal(e->p->queued_file, 18000);
    assert_int_equal(e->p->queued_mem, 12000 + 3000);
    check_wakes(e, 0, 1);
    assert_int_equal(pull(e->p, 9000), 9000);
    check_wakes(e, 0, 0);
    assert_int_equal(pull(e->p, 3000), 3000);
    check_wakes(e, 1, 0);
    while (pull(e->p, 4000) > 0) {
        continue;
    }
    leave(e);

    /* RLIMIT_FSIZE as a disk that is full after 5,000 bytes. */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 5000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    make(e, 10000);
    wr_pipe_set_spill(e->p, &e->spill);
    while (wr_pipe_can_push(e->p)) {
        push(e->p, 3000);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(e->p->spill_errno, EFBIG);
    assert_int_equal(e->p->queued_file, 3000);
    while (pull(e->p, 4000) > 0) {
        continue;
    }
    assert_int_equal(e->p->out_total, e->p->in_total);
    leave(e);

    /* No folder for it. */
    e->where.dir = WR_STR("/nonexistent/folder");
    make(e, 10000);
    wr_pipe_set_spill(e->p, &e->spill);
    while (wr_pipe_can_push(e->p)) {
        push(e->p, 3000);
    }
    assert_int_equal(e->p->spill_errno, ENOENT);
    assert_false(e->p->is_spilled);
    leave(e);
    e->where.dir = wr_str_z(e->dir);
}

/* File slices that were moved on keep their bytes when the file's pipe starts anew. */
static void test_spill_moved(void **state)
{
    struct ends *e = *state;
    struct wr_pipe *src = wr_pipe_new(5000, NULL, NULL);

    wr_pipe_set_spill(src, &e->spill);
    make(e, 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 10; i++) {
            push(src, 4000);
        }
        assert_true(src->queued_file > 0);
        while (wr_pipe_move(e->p, src, 7000) == WR_OK) {
            continue;
        }
        assert_int_equal(src->queued_file, 0);
    }
    assert_int_equal(wr_pipe_queued(e->p), 120000);
    wr_pipe_leave_consumer(src);
    wr_pipe_leave_producer(src);
    while (pull(e->p, 4000) > 0) {
        continue;
    }
    assert_int_equal(e->p->out_total, 120000);
    leave(e);
}

/* ---- random --------------------------------------------------------------------------------- */

static void random_push(struct wr_pipe *p)
{
    static char flat[70000];
    size_t n = 1 + (size_t)wr_rng_below(wr_rng_below(3) == 0 ? 70000 : 3000), got;
    uint64_t before = p->in_total;
    enum wr_status st;
    char *room;

    if (!wr_pipe_can_push(p)) {
        return;
    }
    switch (wr_rng_below(3)) {
    case 0:
        room = wr_pipe_reserve(p, n, &got);
        if (room) {
            assert_true(got > 0 && got <= n);
            got = (size_t)wr_rng_below(got + 1);
            for (size_t i = 0; i < got; i++) {
                room[i] = (char)((before + i) * 31 % 251);
            }
            wr_pipe_commit(p, got);
            assert_int_equal(p->in_total, before + got);
        }
        return;
    case 1:
        for (size_t i = 0; i < n; i++) {
            flat[i] = (char)((before + i) * 31 % 251);
        }
        st = wr_pipe_push_copy(p, flat, n);
        break;
    default: {
        uint64_t count = wr_mem_fault_count();
        struct wr_slice s;

        (void)count;
        s.u.chunk = wr_chunk_new(wr_chunk_class_for(n));
        if (!s.u.chunk) {
            return;
        }
        wr_chunk_unref(s.u.chunk);
        wr_mem_fault_set(0);
        s = make_slice(n, before);
        if (wr_rng_below(10) == 0) {
            wr_mem_fault_set(1);
        }
        st = wr_pipe_push(p, s);
        break;
    }
    }
    /* All or nothing. */
    assert_true(st == WR_OK || st == WR_ENOMEM);
    assert_int_equal(p->in_total, before + (st == WR_OK ? n : 0));
}

static void check_sums(const struct wr_pipe *p)
{
    uint64_t mem = 0, file = 0;

    for (uint32_t i = 0; i < p->_cnt; i++) {
        const struct wr_slice *s = &p->_at[(p->_head + i) & (p->_cap - 1)];

        assert_true(s->len > 0);
        *(s->kind == WR_SLICE_FILE ? &file : &mem) += s->len;
    }
    assert_int_equal(mem, p->queued_mem);
    assert_int_equal(file, p->queued_file);
    assert_int_equal(p->in_total - p->out_total, mem + file);
}

static void test_random(void **state)
{
    struct ends *e = *state;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct wr_pipe *src = wr_pipe_new(1 + seed * 1237 % 60000, &e->producer.task, NULL);

        wr_rng_seed(seed);
        make(e, 1 + seed * 311 % 90000);
        if (seed % 2 == 0) {
            e->spill.max = 1 + seed * 9001 % 400000;
            wr_pipe_set_spill(src, &e->spill);
        }
        for (int step = 0; step < 400; step++) {
            wr_mem_fault_set(wr_rng_below(20) == 0 ? 1 + wr_rng_below(3) : 0);
            switch (wr_rng_below(4)) {
            case 0:
            case 1:
                random_push(src);
                break;
            case 2:
                (void)!wr_pipe_move(e->p, src, 1 + wr_rng_below(100000));
                break;
            default:
                (void)pull(e->p, 1 + (size_t)wr_rng_below(50000));
                break;
            }
            wr_mem_fault_set(0);
            check_sums(src);
            check_sums(e->p);
        }
        wr_pipe_eof(src);
        while (!wr_pipe_is_spent(e->p)) {
            (void)!wr_pipe_move(e->p, src, UINT64_MAX);
            (void)pull(e->p, 50000);
        }
        assert_int_equal(e->p->state, WR_PIPE_EOF);
        assert_int_equal(e->p->out_total, src->in_total);
        wr_pipe_leave_consumer(src);
        wr_pipe_leave_producer(src);
        leave(e);
        assert_int_equal(wr_chunk_in_use(), 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_marks),        T(test_small_are_copied),
        T(test_loan),         T(test_constants),
        T(test_reserve),      T(test_ends),
        T(test_hand),         T(test_move),
        T(test_move_to_gone), T(test_share),
        T(test_spill),        T(test_spill_tiny),
        T(test_spill_limits), T(test_spill_moved),
        T(test_random),       T(test_move_ends),
        T(test_share_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
