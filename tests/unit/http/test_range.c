/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_range.c: the parser of Range, entity tags, and both filters on a running server; the stage
 * that cuts a body that still comes, in pieces of all sizes. Watched at nginx 1.22 where not said
 * otherwise.
 */
#include "full_kit.h"

#include "http/range.c"

#include "base/rng.h"

static struct kit k;

#define MTIME 1500000000
#define DATE  "Fri, 14 Jul 2017 02:40:00 GMT"
#define LATER "Fri, 14 Jul 2017 02:41:00 GMT"
#define EARLY "Fri, 14 Jul 2017 02:39:00 GMT"
#define TAG   "\"59682f00-a\""

static void parser(void **state)
{
    static const struct {
        const char *value;
        uint64_t len;
        uint32_t max;
        enum wr_range_result result;
        uint64_t from, to;
    } cases[] = {
        {"bytes=0-0",                    10, 9, WR_RANGE_ONE,         0, 1 },
        {"bytes=2-4",                    10, 9, WR_RANGE_ONE,         2, 5 },
        {"bytes=2-",                     10, 9, WR_RANGE_ONE,         2, 10},
        {"bytes=-3",                     10, 9, WR_RANGE_ONE,         7, 10},
        {"bytes=-30",                    10, 9, WR_RANGE_ONE,         0, 10},
        {"bytes=5-300",                  10, 9, WR_RANGE_ONE,         5, 10},
        {"bytes=0-18446744073709551615", 10, 9, WR_RANGE_ONE,         0, 10},
        {"BYTES=1-2",                    10, 9, WR_RANGE_ONE,         1, 3 },
        {"bytes= 1 - 2 ",                10, 9, WR_RANGE_ONE,         1, 3 },
        {"bytes=1-2,20-30",              10, 9, WR_RANGE_ONE,         1, 3 },
        {"bytes=20-30,1-2",              10, 9, WR_RANGE_ONE,         1, 3 },
        {"bytes=0-1,3-4",                10, 9, WR_RANGE_SEVERAL,     0, 2 },
        {"bytes=0-1, 3-4",               10, 9, WR_RANGE_SEVERAL,     0, 2 },
        {"bytes=0-1,3-4",                10, 2, WR_RANGE_SEVERAL,     0, 2 },
        {"bytes=0-1,3-4",                10, 1, WR_RANGE_NONE,        0, 0 },
        {"bytes=0-,0-",                  10, 9, WR_RANGE_NONE,        0, 0 },
        {"bytes=10-",                    10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=10-11",                  10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=5-4",                    10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=-0",                     10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=a-b",                    10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=1",                      10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=--1",                    10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=0-1x",                   10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=0-1,",                   10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=,0-1",                   10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=18446744073709551616-",  10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=0-99999999999999999999", 10, 9, WR_RANGE_UNSATISFIED, 0, 0 },
        {"bytes=",                       10, 9, WR_RANGE_NONE,        0, 0 },
        {"bytes",                        10, 9, WR_RANGE_NONE,        0, 0 },
        {"lines=1-2",                    10, 9, WR_RANGE_NONE,        0, 0 },
        {"",                             10, 9, WR_RANGE_NONE,        0, 0 },
        {"bytes=0-",                     0,  9, WR_RANGE_NONE,        0, 0 },
        {"bytes=0-5",                    0,  9, WR_RANGE_NONE,        0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        uint64_t from = 0, to = 0;
        enum wr_range_result got =
            wr_range_parse(wr_str_z(cases[i].value), cases[i].len, cases[i].max, &from, &to);

        if (got != cases[i].result) {
            fail_msg("%s: %d", cases[i].value, (int)got);
        }
        if (got == WR_RANGE_ONE) {
            assert_int_equal(from, cases[i].from);
            assert_int_equal(to, cases[i].to);
        }
    }
}

static void tags(void **state)
{
    static const struct {
        const char *list, *tags[4];
    } cases[] = {
        {"\"a\"",                   {"\"a\""}                      },
        {"\"a\", W/\"b\" ,\"c,d\"", {"\"a\"", "W/\"b\"", "\"c,d\""}},
        {",,\"\"",                  {"\"\""}                       },
        {"\"a",                     {NULL}                         },
        {"a, \"b\"",                {NULL}                         },
        {"W/",                      {NULL}                         },
        {"",                        {NULL}                         },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct wr_str list = wr_str_z(cases[i].list), tag;
        size_t n = 0;

        for (tag = next_tag(&list); tag.len > 0; tag = next_tag(&list)) {
            assert_true(n < 4 && cases[i].tags[n]);
            assert_true(wr_str_eq_z(tag, cases[i].tags[n++]));
        }
        assert_null(cases[i].tags[n]);
    }
}

static void start_files(void)
{
    struct timeval when[2] = {
        {MTIME, 0},
        {MTIME, 0}
    };

    full_write("f", "0123456789", 10);
    full_write("empty", "", 0);
    assert_int_equal(utimes(full_path("f"), when), 0);
    full_start(&k, "access_log off; server { listen 127.0.0.1:1; root @@; "
                   "location /before { alias @@/f; if_modified_since before; } "
                   "location /off { alias @@/f; if_modified_since off; } "
                   "location /notag { alias @@/f; etag off; } "
                   "location /norange { alias @@/f; max_ranges 0; } "
                   "location /one { alias @@/f; max_ranges 1; } "
                   "location /text { return 200 0123456789; } }");
}

static void conditionals(void **state)
{
    static const struct {
        const char *line, *fields;
        unsigned status;
    } cases[] = {
        {"GET /f",      "If-Modified-Since: " DATE "\r\n",                            304},
        {"GET /f",      "If-Modified-Since: " LATER "\r\n",                           200},
        {"GET /f",      "If-Modified-Since: " EARLY "\r\n",                           200},
        {"GET /f",      "If-Modified-Since: nonsense\r\n",                            200},
        {"GET /before", "If-Modified-Since: " LATER "\r\n",                           304},
        {"GET /before", "If-Modified-Since: " EARLY "\r\n",                           200},
        {"GET /off",    "If-Modified-Since: " DATE "\r\n",                            200},
        {"HEAD /f",     "If-Modified-Since: " DATE "\r\n",                            304},
        {"GET /f",      "If-None-Match: " TAG "\r\n",                                 304},
        {"GET /f",      "If-None-Match: W/" TAG "\r\n",                               304},
        {"GET /f",      "If-None-Match: *\r\n",                                       304},
        {"GET /f",      "If-None-Match: \"x\", " TAG "\r\n",                          304},
        {"GET /f",      "If-None-Match: \"x\"\r\nIf-None-Match: " TAG "\r\n",         304},
        {"GET /f",      "If-None-Match: \"x\"\r\n",                                   200},
        {"GET /f",      "If-None-Match: \"x\"\r\nIf-Modified-Since: " DATE "\r\n",    200},
 /* RFC 9110 13.2.2, unlike nginx: the date does not count then */
        {"GET /f",      "If-None-Match: " TAG "\r\nIf-Modified-Since: " EARLY "\r\n", 304},
        {"GET /notag",  "If-None-Match: " TAG "\r\n",                                 200},
        {"GET /text",   "If-None-Match: *\r\n",                                       304},
        {"GET /text",   "If-Modified-Since: " DATE "\r\n",                            200},
        {"POST /text",  "If-None-Match: *\r\nContent-Length: 0\r\n",                  412},
        {"GET /f",      "If-Match: " TAG "\r\n",                                      200},
        {"GET /f",      "If-Match: *\r\n",                                            200},
        {"GET /f",      "If-Match: \"x\", " TAG "\r\n",                               200},
        {"GET /f",      "If-Match: \"x\"\r\n",                                        412},
        {"GET /f",      "If-Match: W/" TAG "\r\n",                                    412},
        {"GET /f",      "If-Unmodified-Since: " DATE "\r\n",                          200},
        {"GET /f",      "If-Unmodified-Since: " LATER "\r\n",                         200},
        {"GET /f",      "If-Unmodified-Since: " EARLY "\r\n",                         412},
        {"GET /f",      "If-Unmodified-Since: nonsense\r\n",                          200},
        {"GET /f",      "If-Match: " TAG "\r\nIf-Unmodified-Since: " EARLY "\r\n",    200},
        {"GET /f",      "If-Match: \"x\"\r\nIf-None-Match: " TAG "\r\n",              412},
        {"GET /none",   "If-None-Match: *\r\n",                                       404},
    };

    (void)state;
    start_files();
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const char *r = full_ask(&k, cases[i].line, cases[i].fields);

        if (kit_status(r) != cases[i].status) {
            fail_msg("%s %s: %s", cases[i].line, cases[i].fields, r);
        }
        if (cases[i].status == 304) {
            assert_string_equal(kit_body(r), "");
            assert_string_equal(full_field(r, "Content-Type"), "");
            assert_string_equal(full_field(r, "Content-Length"), "");
        }
        if (cases[i].status == 304 && strstr(cases[i].line, "/f")) {
            assert_string_equal(full_field(r, "Last-Modified"), DATE);
            assert_string_equal(full_field(r, "ETag"), TAG);
        }
        if (cases[i].status == 412) {
            assert_string_equal(full_field(r, "ETag"), "");
            assert_string_equal(full_field(r, "Last-Modified"), "");
            assert_non_null(strstr(kit_body(r), "<h1>412 Precondition Failed</h1>"));
        }
    }
    full_stop(&k);
}

static void ranges(void **state)
{
    static const struct {
        const char *line, *fields;
        unsigned status;
        const char *body, *content_range, *accept;
    } cases[] = {
        {"GET /f",       "",                                               200, "0123456789", "",             "bytes"},
        {"GET /f",       "Range: bytes=0-0\r\n",                           206, "0",          "bytes 0-0/10", ""     },
        {"GET /f",       "Range: bytes=3-5\r\n",                           206, "345",        "bytes 3-5/10", ""     },
        {"GET /f",       "Range: bytes=-2\r\n",                            206, "89",         "bytes 8-9/10", ""     },
        {"HEAD /f",      "Range: bytes=3-5\r\n",                           206, "",           "bytes 3-5/10", ""     },
        {"GET /f",       "Range: bytes=0-1,4-5\r\n",                       206, NULL,         "",             ""     },
        {"GET /f",       "Range: bytes=10-\r\n",                           416, NULL,         "bytes */10",   ""     },
        {"GET /norange", "Range: bytes=3-5\r\n",                           200, "0123456789", "",             ""     },
        {"GET /one",     "Range: bytes=3-5\r\n",                           206, "345",        "bytes 3-5/10", ""     },
        {"GET /text",    "Range: bytes=3-5\r\n",                           200, "0123456789", "",             ""     },
        {"GET /empty",   "Range: bytes=0-5\r\n",                           200, "",           "",             "bytes"},
        {"GET /none",    "Range: bytes=0-5\r\n",                           404, NULL,         "",             ""     },
        {"GET /f",       "Range: bytes=0-1\r\nIf-Range: " TAG "\r\n",      206, "01",         "bytes 0-1/10", ""     },
        {"GET /f",       "Range: bytes=0-1\r\nIf-Range: W/" TAG "\r\n",    200, "0123456789", "",             "bytes"},
        {"GET /f",       "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n",        200, "0123456789", "",             "bytes"},
        {"GET /f",       "Range: bytes=0-1\r\nIf-Range: " DATE "\r\n",     206, "01",         "bytes 0-1/10", ""     },
        {"GET /f",       "Range: bytes=0-1\r\nIf-Range: " LATER "\r\n",    200, "0123456789", "",             "bytes"},
        {"GET /f",       "Range: bytes=0-1\r\nIf-Range: x\r\n",            200, "0123456789", "",             "bytes"},
        {"GET /f",       "Range: bytes=0-1\r\nIf-None-Match: " TAG "\r\n", 304, "",           "",             ""     },
    };

    (void)state;
    start_files();
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const char *r = full_ask(&k, cases[i].line, cases[i].fields);

        if (kit_status(r) != cases[i].status) {
            fail_msg("%s %s: %s", cases[i].line, cases[i].fields, r);
        }
        assert_string_equal(full_field(r, "Content-Range"), cases[i].content_range);
        assert_string_equal(full_field(r, "Accept-Ranges"), cases[i].accept);
        if (cases[i].body) {
            assert_string_equal(kit_body(r), cases[i].body);
        }
    }
    full_stop(&k);
}

/* ---- the stage ----------------------------------------------------------------------------------
 */

static struct wr_task producer, consumer;

static void do_nothing(struct wr_task *t)
{
    (void)t;
}

/* What is behind the range is taken and dropped. */
static void push_rest(struct wr_loop *loop, struct wr_pipe *in, const char *p, size_t n)
{
    for (int i = 0; i < 200 && n > 0; i++) {
        size_t part = WR_MIN((size_t)600, n);

        if (wr_pipe_can_push(in)) {
            assert_int_equal(wr_pipe_push_copy(in, p, part), WR_OK);
            p += part;
            n -= part;
        }
        wr_loop_turn(loop, 0);
    }
    assert_int_equal(n, 0);
    wr_pipe_eof(in);
    wr_loop_turn(loop, 0);
}

/* Pushes data in random pieces, reads random pieces: what comes out of [from, to). */
static void cut_in_pieces(struct wr_loop *loop, uint64_t from, uint64_t to, bool fail_early)
{
    enum {
        LEN = 9000
    };

    static char data[LEN], got[LEN];
    struct wr_arena a;
    struct wr_req r = {.arena = &a};
    struct wr_pipe *in;
    size_t pushed = 0, have = 0, end = fail_early ? (size_t)from + 1 : LEN;
    bool is_ended = false;

    wr_arena_init(&a, 1 << 20);
    for (size_t i = 0; i < LEN; i++) {
        data[i] = (char)(i * 7 + i / 256);
    }
    in = wr_pipe_new(1000, &producer, NULL);
    r.out_pipe = in;
    assert_int_equal(insert_stage(&r, from, to), WR_OK);
    wr_pipe_hand(r.out_pipe, WR_PIPE_CONSUMER, &consumer);
    for (int i = 0; i < 20000 && !wr_pipe_is_spent(r.out_pipe); i++) {
        size_t n = wr_rng_below(700) + 1;
        struct iovec v;

        if (pushed < end && wr_pipe_can_push(in)) {
            n = WR_MIN(n, end - pushed);
            assert_int_equal(wr_pipe_push_copy(in, data + pushed, n), WR_OK);
            pushed += n;
        }
        if (pushed == end && !is_ended) {
            is_ended = true;
            if (fail_early) {
                wr_pipe_fail(in, WR_REASON_PEER_FAILED);
            } else {
                wr_pipe_eof(in);
            }
        }
        wr_loop_turn(loop, 0);
        if (wr_pipe_peek(r.out_pipe, &v, 1, wr_rng_below(900) + 1, &n) == 1) {
            memcpy(got + have, v.iov_base, n);
            have += n;
            wr_pipe_consume(r.out_pipe, n);
        }
    }
    if (!is_ended) {
        push_rest(loop, in, data + pushed, end - pushed);
        pushed = end;
    }
    assert_int_equal(pushed, end);
    assert_int_equal(r.out_pipe->state, fail_early ? WR_PIPE_FAILED : WR_PIPE_EOF);
    assert_int_equal(have, fail_early ? 1 : to - from);
    assert_memory_equal(got, data + from, have);
    wr_pipe_leave_producer(in);
    wr_pipe_leave_consumer(r.out_pipe);
    wr_arena_fini(&a);
}

static void stage(void **state)
{
    static const struct {
        uint64_t from, to;
    } cases[] = {
        {0,    1   },
        {0,    9000},
        {0,    4000},
        {1,    2   },
        {1000, 1001},
        {999,  3001},
        {8999, 9000},
        {5000, 9000},
    };
    struct wr_loop *loop;

    (void)state;
    wr_clock_update();
    loop = wr_loop_new(wr_poll_epoll_new());
    wr_rng_seed(17);
    wr_task_init(&producer, do_nothing, "producer");
    wr_task_init(&consumer, do_nothing, "consumer");
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        for (int n = 0; n < 4; n++) {
            cut_in_pieces(loop, cases[i].from, cases[i].to, false);
        }
    }
    cut_in_pieces(loop, 3, 100, true);
    wr_loop_free(loop);
}

/* The client leaves: the producer learns it. */
static void stage_without_consumer(void **state)
{
    struct wr_loop *loop;
    struct wr_arena a;
    struct wr_req r = {.arena = &a};
    struct wr_pipe *in;

    (void)state;
    wr_clock_update();
    loop = wr_loop_new(wr_poll_epoll_new());
    wr_task_init(&producer, do_nothing, "producer");
    wr_arena_init(&a, 1 << 20);
    in = wr_pipe_new(1000, &producer, NULL);
    r.out_pipe = in;
    assert_int_equal(insert_stage(&r, 5, 10), WR_OK);
    wr_pipe_leave_consumer(r.out_pipe);
    assert_int_equal(wr_pipe_push_copy(in, "0123456789", 10), WR_OK);
    wr_loop_turn(loop, 0);
    assert_true(wr_pipe_is_orphan(in));
    wr_pipe_leave_producer(in);
    wr_arena_fini(&a);
    wr_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parser), cmocka_unit_test(tags),  cmocka_unit_test(conditionals),
        cmocka_unit_test(ranges), cmocka_unit_test(stage), cmocka_unit_test(stage_without_consumer),
    };
    int rc;

    full_boot();
    rc = cmocka_run_group_tests_name("http/range", tests, NULL, NULL);
    full_end();
    return rc;
}
