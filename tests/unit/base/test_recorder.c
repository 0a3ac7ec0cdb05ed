/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_recorder.c: the dump in order, the last 1,024 only, and moves of a machine (base/fsm.h).
 */
#include "unit/base/t.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/addr.h"
#include "base/fsm.h"
#include "base/log.h"
#include "base/recorder.h"
#include "base/stat.h"

static const char *const names[] = {"IDLE", "BUSY", "DONE"};
static const uint32_t moves[] = {1u << 1, 1u << 2 | 1u << 0, 0};
static const struct wr_fsm toy = WR_FSM("toy", names, moves);
static char out[200000];

static const char *dump(unsigned n)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    (void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 18);
    if (n == 0) {
        wr_recorder_dump(fds[1]);
    } else {
        wr_recorder_dump_last(fds[1], n);
    }
    t_drain(fds[0], out, sizeof(out));
    close(fds[0]);
    close(fds[1]);
    return out;
}

static void test_dump(void **state)
{
    uint8_t s = 0;

    (void)state;
    assert_string_equal(dump(0), "");
    wr_local_get()->now_ms = 55;
    assert_true(wr_fsm_move(&toy, &s, 1, 17));
    assert_true(wr_fsm_move(&toy, &s, 2, 17));
    wr_recorder_note(&toy, 18, 7, 9);
    assert_int_equal(s, 2);
    assert_string_equal(dump(0), "recorder: 55 toy 17: IDLE -> BUSY\n"
                                 "recorder: 55 toy 17: BUSY -> DONE\n"
                                 "recorder: 55 toy 18: 7 -> 9\n");
    assert_string_equal(dump(1), "recorder: 55 toy 18: 7 -> 9\n");
}

static void test_ring(void **state)
{
    unsigned lines = 0;

    (void)state;
    for (uint64_t i = 1; i <= 3000; i++) {
        wr_recorder_note(&toy, i, 0, 1);
    }
    dump(0);
    for (const char *p = out; (p = strchr(p, '\n')) != NULL; p++) {
        lines++;
    }
    assert_int_equal(lines, 1024);
    assert_ptr_equal(strstr(out, "toy 1977: "), out + strlen("recorder: 55 "));
    assert_non_null(strstr(out, "toy 3000: "));
    assert_null(strstr(out, "toy 1976: "));
}

/* What is not kept is found again: the time's upper half, the machine. */
static void test_read(void **state)
{
    static const uint64_t nows[] = {55, UINT32_MAX, UINT32_MAX + 1ull, 7ull << 32 | 9};
    struct wr_local *l = wr_local_get();
    const struct wr_recorder *r = l->recorder;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(nows); i++) {
        const struct wr_recorder_note *n = &r->_at[r->_cnt & (WR_RECORDER_CAP - 1)];
        struct wr_recorder_note strange = {.id = 1, .move = 2u << 5 | 1};
        struct wr_recorder_entry e;

        l->now_ms = nows[i];
        wr_recorder_note(&toy, UINT64_MAX - i, 31, 1);
        /* The reader's clock may be behind, or weeks ahead. */
        for (int64_t later = -1000; later <= INT32_MAX - 1000; later += INT32_MAX / 2) {
            wr_recorder_read(n, &wr_recorder_anchor, nows[i] + (uint64_t)later, &e);
            assert_int_equal(e.at_ms, nows[i]);
        }
        assert_int_equal(e.id, UINT64_MAX - i);
        assert_ptr_equal(e.fsm, &toy);
        assert_int_equal(e.from, 31);
        assert_int_equal(e.to, 1);
        wr_recorder_read(&strange, &wr_recorder_anchor, 0, &e);
        assert_null(e.fsm); /* of a module */
        assert_int_equal(e.from, 2);
    }
}

static void test_bad_move(void **state)
{
    static const struct {
        uint8_t from;
        unsigned to;
        const char *text;
    } rows[] = {
        {0, 2,  "toy 17 may not go from IDLE (0) to DONE (2)"},
        {2, 0,  "toy 17 may not go from DONE (2) to IDLE (0)"},
        {9, 1,  "toy 17 may not go from ? (9) to BUSY (1)"   },
        {0, 40, "toy 17 may not go from IDLE (0) to ? (40)"  },
    };
    struct wr_log_sink sink = {.level = WR_LOG_ERROR};
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    sink.fd = fds[1];
    wr_log_set_default(&sink);
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        uint64_t before = wr_stat_sum(WR_CNT_ASSERT_REQ);
        uint8_t s = rows[i].from;

        wr_local_get()->now_ms += 2000; /* each is told, not only the first of a second */
        assert_false(wr_fsm_move(&toy, &s, rows[i].to, 17));
        assert_int_equal(s, rows[i].from);
        assert_int_equal(wr_stat_sum(WR_CNT_ASSERT_REQ), before + 1);
        t_drain(fds[0], out, sizeof(out));
        assert_non_null(strstr(out, rows[i].text));
        assert_non_null(strstr(out, "recorder: ")); /* what came before */
        wr_fsm_force(&toy, &s, 1, 17);
        assert_int_equal(s, 1);
    }
    wr_log_set_default(NULL);
    close(fds[0]);
    close(fds[1]);
}

static const char *dump_running(void)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    wr_recorder_dump_running(fds[1]);
    t_drain(fds[0], out, sizeof(out));
    close(fds[0]);
    close(fds[1]);
    return out;
}

static void test_running(void **state)
{
    struct wr_recorder *r = wr_local_get()->recorder;
    struct wr_addr v4, v6, ux = {.len = 2};
    char longest[300];

    (void)state;
    ux.u.sa.sa_family = AF_UNIX;
    assert_int_equal(wr_addr_parse_ip(WR_STR("10.1.2.3"), 80, &v4), WR_OK);
    assert_int_equal(wr_addr_parse_ip(WR_STR("::1"), 80, &v6), WR_OK);
    assert_string_equal(dump_running(), "");
    wr_recorder_begin_task(r, "toy task");
    assert_string_equal(dump_running(), "running task: toy task\n");
    wr_recorder_enter_conn(4);
    assert_string_equal(dump_running(), "running task: toy task, connection *4\n");
    wr_recorder_enter_req(9, 5, &v4, WR_STR("GET /a\"\x01 HTTP/1.1"));
    assert_string_equal(dump_running(), "running task: toy task, connection *5, request 9, client: "
                                        "10.1.2.3, request: \"GET /a\"\\x01 HTTP/1.1\"\n");
    wr_recorder_enter_req(10, 6, &v6, WR_STR("GET /b"));
    assert_non_null(strstr(dump_running(), "request 10, client: ::1, request: \"GET /b\"\n"));
    /* The first one is still known, but by its id, until another one takes its place. */
    wr_recorder_enter_req(9, 5, &v6, WR_STR("not looked at"));
    assert_non_null(strstr(dump_running(), "request 9, client: 10.1.2.3, request: \"GET /a"));
    wr_recorder_enter_req(9 + WR_RECORDER_REQS, 5, &ux, WR_STR("GET /c"));
    assert_non_null(strstr(dump_running(), "request 73, client: unix:, request: \"GET /c\"\n"));
    wr_recorder_enter_req(9, 7, &v4, WR_STR("GET /d"));
    assert_non_null(strstr(dump_running(), "request 9, client: 10.1.2.3, request: \"GET /d\"\n"));
    /* A line that is too long, all of it to be escaped. */
    memset(longest, 1, sizeof(longest));
    wr_recorder_enter_req(11, 6, &v4, wr_str(longest, sizeof(longest)));
    assert_int_equal(strlen(strstr(dump_running(), "\\x01")), 4 * WR_RECORDER_LINE_MAX + 2);
    wr_recorder_end_task(r);
    assert_string_equal(dump_running(), "");
}

static void *take_one(void *data)
{
    wr_local_start();
    wr_recorder_note(&toy, 1, 0, 1);
    *(bool *)data = wr_local_get()->recorder->is_shared;
    return NULL;
}

/* The last test: what is shared stays so. */
static void test_area(void **state)
{
    size_t size = wr_recorder_area_size(2);
    struct wr_recorder_area *a = calloc(1, size);
    bool is_shared = false;
    pthread_t t;

    (void)state;
    assert_null(wr_recorder_shared());
    wr_recorder_share(a, size);
    assert_ptr_equal(wr_recorder_shared(), a);
    assert_int_equal(a->magic, WR_RECORDER_MAGIC);
    assert_int_equal(a->cnt, 2);
    assert_ptr_equal(wr_local_get()->recorder, &a->at[0]);
    assert_int_equal(a->at[0].tid, gettid());
    for (int i = 0; i < 3; i++) { /* a place is free again when its thread has ended */
        assert_int_equal(pthread_create(&t, NULL, take_one, &is_shared), 0);
        assert_int_equal(pthread_join(t, NULL), 0);
        assert_true(is_shared);
        assert_int_equal(a->at[1].tid, 0);
        assert_int_equal(a->at[1]._cnt, 1);
    }
    wr_store_rlx(&a->at[1].is_taken, 1);
    assert_int_equal(pthread_create(&t, NULL, take_one, &is_shared), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_false(is_shared); /* no room: on the heap */
    assert_int_equal(a->at[1]._cnt, 1);
    wr_local_fini();
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump),    cmocka_unit_test(test_ring),
        cmocka_unit_test(test_read),    cmocka_unit_test(test_bad_move),
        cmocka_unit_test(test_running), cmocka_unit_test(test_area),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
