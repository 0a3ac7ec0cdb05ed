/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_conform.c: what must hold for every protocol (U12.1), driven through the real engine over
 * real sockets: each test runs for every row of list.h by itself. An answer split at every byte and
 * cut at every byte, the next peer, heads that are bad or too big, bytes behind the end, HEAD,
 * silence, a client that leaves at each step, each allocation failing in turn. After each of them
 * slots, connections and memory are given back (kit_finish).
 */
#include "proto/list.h"

#define GET       "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
#define POST      "POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
#define HEAD_LINE "HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

static const struct conform *now; /* the row that is tried */

/* As ask; and until weir is through with it: a client may have all before the peer has said its
 * end. */
static const char *talk(const char *request)
{
    const char *r = ask(request);

    for (int i = 0; i < 200 && wr_http_req_cnt() > 0; i++) {
        turn();
    }
    return r;
}

static void answer(struct epeer *p, const char *text, size_t len)
{
    p->answer = text;
    p->answer_len = len;
}

static void begin(const char *pass, const char *more)
{
    char text[512];

    has_request = now->has_request;
    (void)snprintf(text, sizeof(text), "%s %s", now->extra, more);
    kit_begin(pass, text);
    answer(&peers[0], now->good, now->good_len);
    answer(&peers[1], now->good, now->good_len);
}

/* "NAME_directive value;" in the row's family */
static const char *dir(const char *directive)
{
    static char text[192];

    (void)snprintf(text, sizeof(text), "%s_%s;", now->prefix, directive);
    return text;
}

static void assert_good(const char *r)
{
    if (kit_status(r) != 200 || strcmp(kit_body(r), "hello") != 0) {
        fail_msg("%s: %s", now->name, r);
    }
}

static void assert_status(const char *r, unsigned status)
{
    if (kit_status(r) != status) {
        fail_msg("%s: not %u: %s", now->name, status, r);
    }
}

static void answers(void)
{
    begin(now->one, "");
    assert_good(talk(GET));
    assert_int_equal(peers[0].served, 1);
    if (now->has_post) {
        assert_good(talk(POST));
        assert_int_equal(peers[0].served, 2);
    }
    kit_finish();
    if (now->has_post) {
        begin(now->one, dir("request_buffering off"));
        assert_good(talk(POST));
        kit_finish();
    }
}

/* U5.1 */
static void split_at_every_byte(void)
{
    begin(now->one, "");
    for (size_t k = 1; k < now->good_len; k++) {
        peers[0].split = k;
        assert_good(talk(GET));
    }
    assert_int_equal(peers[0].accepted, now->is_kept ? 1 : now->good_len - 1);
    kit_finish();
}

/* U6.5: an answer that ends early is 502, or cut; never taken for whole. */
static void cut_at_every_byte(void)
{
    for (size_t k = 1; k < now->good_len; k++) {
        const char *r;

        begin(now->one, "");
        answer(&peers[0], now->good, k);
        peers[0].hangs_up = true;
        r = talk(GET);
        if (kit_status(r) != 502) {
            assert_status(r, 200);
            assert_memory_equal(kit_body(r), "hello", strlen(kit_body(r)));
            assert_non_null(strstr(r, "\r\nContent-Length: 5\r\n"));
        }
        kit_finish();
    }
}

static void next_peer(void)
{
    char more[64];

    begin(now->group, "");
    peers[0].is_rude = true;
    assert_good(talk(GET));
    assert_int_equal(peers[0].accepted, 1);
    assert_int_equal(peers[1].served, 1);
    kit_finish();

    for (int named = 0; named < 2; named++) {
        (void)snprintf(more, sizeof(more), "next_upstream %s", named ? now->next_bad : "error");
        begin(now->group, dir(more));
        answer(&peers[0], now->bad, 0);
        assert_status(talk(GET), named ? 200 : 502);
        assert_int_equal(peers[1].served, named ? 1 : 0);
        kit_finish();
    }
}

static void bad_head(void)
{
    begin(now->one, "");
    answer(&peers[0], now->bad, 0);
    assert_status(talk(GET), 502);
    kit_finish();
}

static void too_big_head(void)
{
    static char big[9000];

    memset(big, now->big[now->big_len - 1], sizeof(big));
    memcpy(big, now->big, now->big_len);
    begin(now->one, dir("buffer_size 4k"));
    answer(&peers[0], big, sizeof(big));
    assert_status(talk(GET), 502);
    kit_finish();
}

/* U10.2: bytes behind the end are nobody's answer. */
static void garbage_behind(void)
{
    char both[512];

    memcpy(both, now->good, now->good_len);
    memcpy(both + now->good_len, now->good, now->good_len);
    begin(now->one, "");
    for (size_t extra = 1; extra <= now->good_len; extra += now->good_len - 1) {
        unsigned before = peers[0].accepted;

        answer(&peers[0], both, now->good_len + extra);
        assert_good(talk(GET));
        assert_good(talk(GET));
        assert_int_equal(peers[0].accepted, before + 2);
    }
    kit_finish();
}

static void head_has_no_body(void)
{
    const char *r;

    begin(now->one, "");
    if (strcmp(now->name, "http") == 0) {
        answer(&peers[0], now->good, now->good_len - 5);
    }
    for (int i = 0; i < 2; i++) {
        r = talk(HEAD_LINE);
        assert_status(r, 200);
        assert_string_equal(kit_body(r), "");
    }
    kit_finish();
}

static void silence(void)
{
    begin(now->one, dir("read_timeout 30ms"));
    answer(&peers[0], "", 0);
    assert_status(talk(GET), 504);
    kit_finish();

    begin(now->one, dir("read_timeout 30ms"));
    answer(&peers[0], now->good, 3);
    assert_status(talk(GET), 504);
    kit_finish();
}

/* U2.6 */
static void stale_connection(void)
{
    begin(now->one, "");
    for (unsigned i = 1; i < 4; i++) {
        assert_good(talk(GET));
        assert_int_equal(peers[0].accepted, i);
        peer_drop(&peers[0]);
    }
    kit_finish();
}

/* U4.7, U8.1 */
static void cancel_at_each_step(void)
{
    begin(now->group, "");
    peers[0].split = peers[1].split = now->good_len / 2;
    for (int turns = 0; turns < 25; turns++) {
        int fd = kit_connect(&kit, 0);

        kit_send(fd, now->has_post ? POST : GET);
        for (int i = 0; i < turns; i++) {
            turn();
        }
        (void)close(fd);
        for (int i = 0; i < 200 && wr_http_req_cnt() + wr_http_conn_cnt() > 0; i++) {
            turn();
        }
        assert_int_equal(wr_http_req_cnt(), 0);
    }
    kit_finish();
}

/* An answer, an error or a cut, never a leak, never a wrong body. Without WEIR_TORTURE each third
 * one, another third for each row. */
static void every_allocation_may_fail(void)
{
    uint64_t step = getenv("WEIR_TORTURE") != NULL ? 1 : 3;
    uint64_t count, n = step == 1 ? 0 : (uint64_t)(now - conforms) % step;

    do {
        const char *r;

        begin(now->group, "");
        n += step;
        wr_mem_fault_set(n);
        r = talk(now->has_post ? POST : GET);
        count = wr_mem_fault_count();
        wr_mem_fault_set(0);
        if (r[0] != '\0' && kit_status(r) != 500 && kit_status(r) != 502) {
            assert_status(r, 200);
            assert_memory_equal(kit_body(r), "hello", strlen(kit_body(r)));
        }
        kit_finish();
    } while (count >= n);
    assert_in_range(n, 10, 1000);
}

/* ---- all of it for each row ------------------------------------------------------------------ */

static const struct part {
    const char *name;
    void (*fn)(void);
} parts[] = {
    {"answers",                   answers                  },
    {"split at every byte",       split_at_every_byte      },
    {"cut at every byte",         cut_at_every_byte        },
    {"next peer",                 next_peer                },
    {"bad head",                  bad_head                 },
    {"too big head",              too_big_head             },
    {"garbage behind the end",    garbage_behind           },
    {"HEAD",                      head_has_no_body         },
    {"silence",                   silence                  },
    {"stale connection",          stale_connection         },
    {"cancel at each step",       cancel_at_each_step      },
    {"every allocation may fail", every_allocation_may_fail},
};

struct job {
    const struct conform *row;
    const struct part *part;
};

static void run_job(void **state)
{
    const struct job *j = *state;

    now = j->row;
    j->part->fn();
}

int main(void)
{
    enum {
        CNT = WR_ARRAY_LEN(conforms) * WR_ARRAY_LEN(parts)
    };

    static struct job jobs[CNT];
    static char names[CNT][64];
    static struct CMUnitTest tests[CNT];
    int failed;

    if (!kit_register(conform_modules, WR_ARRAY_LEN(conform_modules))) {
        return 1;
    }
    for (size_t i = 0; i < CNT; i++) {
        jobs[i] = (struct job){&conforms[i / WR_ARRAY_LEN(parts)], &parts[i % WR_ARRAY_LEN(parts)]};
        (void)snprintf(names[i], sizeof(names[i]), "%s: %s", jobs[i].row->name, jobs[i].part->name);
        tests[i] =
            (struct CMUnitTest){.name = names[i], .test_func = run_job, .initial_state = &jobs[i]};
    }
    failed = _cmocka_run_group_tests("proto/conform", tests, CNT, NULL, NULL);
    kit_end();
    return failed;
}
