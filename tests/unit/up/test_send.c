/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_send.c: a streamed request body between two pipes (U4.4): it moves with backpressure, a byte
 * of it cannot be sent again, and when the client's side fails the attempt ends with the client's
 * status. What ends the attempt is a stand-in that notes the cause.
 */
#include "unit/up/t.h"

#include "up/send.c"

static enum wr_cause ended;
static unsigned ends;

/* In place of up/attempt.c. */
void wr_attempt_end(struct wr_up *u, enum wr_cause cause, int err)
{
    (void)err;
    u->attempt.state = WR_ATTEMPT_RESULT;
    ended = cause;
    ends++;
}

struct env {
    struct wr_up up;
    struct wr_stream peer;
    struct wr_pipe *src;
};

static void begin(struct env *e, size_t room)
{
    (void)wr_local_get();
    memset(e, 0, sizeof(*e));
    e->src = wr_pipe_new(4096, NULL, NULL);
    e->peer.out = wr_pipe_new(room, NULL, NULL);
    assert_true(e->src != NULL && e->peer.out != NULL);
    e->peer.tx = WR_HALF_BODY;
    e->up.body_src = e->src;
    e->up.attempt.stream = &e->peer;
    e->up.attempt.state = WR_ATTEMPT_ACTIVE;
    ends = 0;
}

static void finish(struct env *e)
{
    if (e->src != NULL) {
        wr_pipe_leave_producer(e->src);
    }
    wr_pipe_leave_consumer(e->up.body_src);
    wr_pipe_leave_producer(e->peer.out);
    wr_pipe_leave_consumer(e->peer.out);
}

static void parts_move_and_are_lost(void **state)
{
    struct env e;

    (void)state;
    begin(&e, 4096);
    wr_up_send_step(&e.up);
    assert_false(e.up.body_lost); /* nothing went: another peer may have it all */
    assert_int_equal(wr_pipe_push_copy(e.src, "hello", 5), WR_OK);
    wr_up_send_step(&e.up);
    assert_true(e.up.body_lost);
    assert_int_equal(wr_pipe_queued(e.peer.out), 5);
    wr_pipe_eof(e.src);
    wr_up_send_step(&e.up);
    assert_int_equal(e.peer.out->state, WR_PIPE_EOF);
    assert_int_equal(ends, 0);
    finish(&e);
}

/* What the peer does not take stays at the client's side, which then stops reading. */
static void backpressure(void **state)
{
    struct env e;

    (void)state;
    begin(&e, 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wr_pipe_push_copy(e.src, "0123456789", 10), WR_OK);
        wr_up_send_step(&e.up);
    }
    assert_int_equal(wr_pipe_queued(e.peer.out), 10);
    assert_int_equal(wr_pipe_queued(e.src), 20);
    finish(&e);
}

static const struct {
    enum wr_reason reason;
    unsigned status;
} rows[] = {
    {WR_REASON_BAD_BODY,    400},
    {WR_REASON_BIG_BODY,    413},
    {WR_REASON_TIMEOUT,     408},
    {WR_REASON_TRUNCATED,   400},
    {WR_REASON_CLIENT_GONE, 400}, /* a cut body is no whole one, whoever
  still listens */
    {WR_REASON_NONE,        400},
    {WR_REASON_NOMEM,       500},
};

static void the_clients_fault(void **state)
{
    struct env e;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        begin(&e, 4096);
        assert_int_equal(wr_pipe_push_copy(e.src, "hello", 5), WR_OK);
        wr_pipe_fail(e.src, rows[i].reason);
        wr_up_send_step(&e.up); /* what came before it still goes */
        assert_int_equal(wr_pipe_queued(e.peer.out), 5);
        wr_up_send_step(&e.up);
        assert_int_equal(ends, 1);
        assert_int_equal(ended, WR_CAUSE_CLIENT_BODY);
        assert_int_equal(e.up.fail_status, rows[i].status);
        assert_int_not_equal(e.peer.out->state, WR_PIPE_EOF); /* never as if whole */
        finish(&e);
    }
}

static void no_memory(void **state)
{
    static const char text[8192];
    struct env e;

    (void)state;
    begin(&e, 1 << 30);
    for (int i = 0; i < 200; i++) {
        /* Slices that are not joined: the ring of the other pipe has to grow for them. */
        struct wr_slice s = {.kind = WR_SLICE_CONST, .len = sizeof(text), .u.text = text};

        assert_int_equal(wr_pipe_push(e.src, s), WR_OK);
    }
    /* What found room counts; when nothing does any more the attempt ends. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ends, 0);
        wr_mem_fault_set(1);
        wr_up_send_step(&e.up);
        wr_mem_fault_set(0);
    }
    assert_int_equal(ends, 1);
    assert_int_equal(ended, WR_CAUSE_OURS);
    finish(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_move_and_are_lost),
        cmocka_unit_test(backpressure),
        cmocka_unit_test(the_clients_fault),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("up/send", tests, NULL, NULL);
}
