/* SPDX-License-Identifier: Apache-2.0 */
/* test_head.c: what of a peer's head reaches the client (U4.2, U5.6, U5.7, U5.9), field by field.
 */
#include "unit/up/t.h"

#include "base/slab.h"
#include "base/strbuf.h"
#include "up/head.h"
#include "up/up.h"

static enum wr_status rewrite_redirect(struct wr_up *u, struct wr_str v, struct wr_str *ret)
{
    if (!wr_str_has_prefix(v, WR_STR("http://peer/"))) {
        return WR_EOF;
    }
    return wr_arena_printf(u->req->arena, ret, "/front/%.*s", (int)v.len - 12, v.ptr + 12);
}

static enum wr_status rewrite_cookie(struct wr_up *u, struct wr_str v, struct wr_str *ret)
{
    if (wr_str_eq(v, WR_STR("nomem"))) {
        return WR_ENOMEM;
    }
    return wr_str_eq(v, WR_STR("plain"))
               ? WR_EOF
               : wr_arena_printf(u->req->arena, ret, "%.*s; x", WR_STR_ARG(v));
}

static const struct wr_proto rewriting = {
    .name = "t", .rewrite_redirect = rewrite_redirect, .rewrite_cookie = rewrite_cookie};
static const struct wr_proto plain = {.name = "t"};

struct env {
    struct wr_arena arena;
    struct wr_req req;
    struct wr_up up;
    struct wr_up_conf conf;
    struct wr_msg head;
    char text[4096];
};

/* fields: "Name: value" lines; status, proto. */
static struct env *begin(unsigned status, const struct wr_proto *proto, const char *fields)
{
    struct env *e;
    struct wr_str rest = wr_str_z(fields), line;

    (void)wr_local_get();
    e = wr_mem_alloc(sizeof(*e));
    wr_arena_init(&e->arena, 1 << 20);
    wr_map_init(&e->conf.hidden, WR_MAP_ICASE);
    wr_map_put(&e->conf.hidden, WR_STR("Date"), e);
    wr_map_put(&e->conf.hidden, WR_STR("Server"), e);
    wr_map_put(&e->conf.hidden, WR_STR("X-Accel-Redirect"), e);
    wr_map_put(&e->conf.hidden, WR_STR("X-Hide"), e);
    e->conf.hidden_ids = UINT64_C(1) << WR_HDR_DATE | UINT64_C(1) << WR_HDR_SERVER |
                         UINT64_C(1) << WR_HDR_X_ACCEL_REDIRECT;
    e->req.arena = &e->arena;
    e->req.out_mtime = -1;
    wr_msg_init(&e->req.out, &e->arena, 100);
    wr_msg_init(&e->head, &e->arena, 100);
    e->head.status = (uint16_t)status;
    e->head.framing = WR_FRAMING_CHUNKED;
    e->head.content_length = WR_LENGTH_UNKNOWN;
    e->up.req = &e->req;
    e->up.start.conf = &e->conf;
    e->up.start.proto = proto;
    while (rest.len > 0 && wr_str_split(&rest, '\n', &line)) {
        size_t i = wr_str_find(line, ':');

        if (line.len > 0) {
            assert_int_equal(wr_hdrs_add(&e->head.hdrs, wr_str_sub(line, 0, i),
                                         wr_str_trim(wr_str_sub(line, i + 1, line.len))),
                             WR_OK);
        }
    }
    return e;
}

static const char *out_of(struct env *e)
{
    size_t n = 0;

    e->text[0] = '\0';
    for (uint32_t i = 0; i < e->req.out.hdrs.cnt; i++) {
        const struct wr_hdr *h = &e->req.out.hdrs.at[i];

        if (!h->is_removed) {
            n += (size_t)snprintf(e->text + n, sizeof(e->text) - n, "%.*s: %.*s\n",
                                  WR_STR_ARG(h->name), WR_STR_ARG(h->value));
        }
    }
    return e->text;
}

static void finish(struct env *e)
{
    wr_map_fini(&e->conf.hidden);
    wr_arena_fini(&e->arena);
    wr_mem_free(e);
}

static const struct row {
    const char *name;
    unsigned status;
    const struct wr_proto *proto;
    const char *in, *out;
} rows[] = {
    {"all others pass, in order",        200, &plain,     "X-B: 1\nContent-Type: a/b\nX-A: 2\nX-B: 3",
     "X-B: 1\nContent-Type: a/b\nX-A: 2\nX-B: 3\n"                                                                                                                                            },
    {"hop-by-hop",                       200, &plain,
     "Connection: close\nKeep-Alive: 1\nProxy-Connection: x\nTransfer-Encoding: chunked\nTE: x\nTrailer: a\nUpgrade: h2c\nA: b",
     "A: b\n"                                                                                                                                                                                 },
    {"named by Connection",              200, &plain,
     "Connection: X-One , x-two\nX-One: 1\nX-Two: 2\nX-Three: 3",                                                                "X-Three: 3\n"                                               },
    {"named by a second Connection",     200, &plain,
     "Connection: close\nConnection: x-two\nX-Two: 2\nX-Three: 3",                                                               "X-Three: 3\n"                                               },
    {"length is the codec's",            200, &plain,     "Content-Length: 5\nA: b",                                             "A: b\n"                                                     },
    {"hidden, whatever the case",        200, &plain,
     "DATE: x\nserver: y\nx-hide: z\nX-Hidden: no\nx-accel-redirect: /a",                                                        "X-Hidden: no\n"                                             },
    {"101 keeps its upgrade",            101, &plain,     "Connection: upgrade\nUpgrade: websocket\nKeep-Alive: 1",
     "Connection: upgrade\nUpgrade: websocket\n"                                                                                                                                              },
    {"cookies keep their order",         200, &plain,
     "Set-Cookie: a=1\nX: y\nSet-Cookie: b=2\nSet-Cookie: a=3",                                                                  "Set-Cookie: a=1\nX: y\nSet-Cookie: b=2\nSet-Cookie: a=3\n"  },
    {"cookies are rewritten one by one", 200, &rewriting,
     "Set-Cookie: a=1\nSet-Cookie: plain\nSet-Cookie: b=2",                                                                      "Set-Cookie: a=1; x\nSet-Cookie: plain\nSet-Cookie: b=2; x\n"},
    {"Location",                         302, &rewriting, "Location: http://peer/a?b",                                           "Location: /front/a?b\n"                                     },
    {"Location of another",              302, &rewriting, "Location: http://other/a",
     "Location: http://other/a\n"                                                                                                                                                             },
    {"Location without a rewriter",      302, &plain,     "Location: http://peer/a",
     "Location: http://peer/a\n"                                                                                                                                                              },
    {"URL of Refresh",                   200, &rewriting, "Refresh: 5; URL=http://peer/x",
     "Refresh: 5; URL=/front/x\n"                                                                                                                                                             },
    {"Refresh of another",               200, &rewriting, "Refresh: 5; url=http://other/x",
     "Refresh: 5; url=http://other/x\n"                                                                                                                                                       },
    {"Refresh without URL",              200, &rewriting, "Refresh: 5\nA: b",                                                    "Refresh: 5\nA: b\n"                                         },
    {"short Refresh",                    200, &rewriting, "Refresh: url",                                                        "Refresh: url\n"                                             },
    {"empty value",                      200, &plain,     "X-A:",                                                                "X-A: \n"                                                    },
};

static void table_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct env *e = begin(rows[i].status, rows[i].proto, rows[i].in);

        assert_int_equal(wr_up_head_copy(&e->up, &e->head), WR_OK);
        if (strcmp(out_of(e), rows[i].out) != 0) {
            print_error("row \"%s\"\n", rows[i].name);
        }
        assert_string_equal(e->text, rows[i].out);
        assert_int_equal(e->req.out.status, rows[i].status);
        assert_int_equal(e->req.status, rows[i].status);
        assert_true(e->req.is_proxied);
        finish(e);
    }
}

static void removed_fields_stay_away(void **state)
{
    struct env *e = begin(200, &plain, "X-A: 1\nX-B: 2\nX-C: 3");

    (void)state;
    e->head.hdrs.at[1].is_removed = true;
    assert_int_equal(wr_up_head_copy(&e->up, &e->head), WR_OK);
    assert_string_equal(out_of(e), "X-A: 1\nX-C: 3\n");
    finish(e);
}

/* U5.7: *_pass_header Server: what the peer sent, nothing if it sent none. */
static void server_and_date(void **state)
{
    struct env *e = begin(200, &plain, "Server: theirs");

    (void)state;
    assert_int_equal(wr_up_head_copy(&e->up, &e->head), WR_OK);
    assert_false(e->req.no_server);
    assert_false(e->req.no_date);
    finish(e);

    e = begin(200, &plain, "Server: theirs");
    wr_map_remove(&e->conf.hidden, WR_STR("server"));
    wr_map_remove(&e->conf.hidden, WR_STR("date"));
    e->conf.hidden_ids &= ~(UINT64_C(1) << WR_HDR_SERVER | UINT64_C(1) << WR_HDR_DATE);
    e->conf.passed_ids = UINT64_C(1) << WR_HDR_SERVER | UINT64_C(1) << WR_HDR_DATE;
    assert_int_equal(wr_up_head_copy(&e->up, &e->head), WR_OK);
    assert_string_equal(out_of(e), "Server: theirs\n");
    assert_true(e->req.no_server);
    assert_true(e->req.no_date);
    finish(e);

    /* Where a protocol does not hide them by itself: ours if the peer sent none. */
    e = begin(200, &plain, "Server: theirs");
    wr_map_remove(&e->conf.hidden, WR_STR("server"));
    wr_map_remove(&e->conf.hidden, WR_STR("date"));
    e->conf.hidden_ids &= ~(UINT64_C(1) << WR_HDR_SERVER | UINT64_C(1) << WR_HDR_DATE);
    assert_int_equal(wr_up_head_copy(&e->up, &e->head), WR_OK);
    assert_string_equal(out_of(e), "Server: theirs\n");
    assert_true(e->req.no_server);
    assert_false(e->req.no_date);
    finish(e);
}

static void lengths_reason_and_times(void **state)
{
    static const struct {
        enum wr_framing framing;
        uint64_t length, want;
    } rows_[] = {
        {WR_FRAMING_LENGTH,  5,                 5                },
        {WR_FRAMING_CHUNKED, WR_LENGTH_UNKNOWN, WR_LENGTH_UNKNOWN},
        {WR_FRAMING_CLOSE,   WR_LENGTH_UNKNOWN, WR_LENGTH_UNKNOWN},
        {WR_FRAMING_NONE,    77,                77               }
    }; /* HEAD, 304: what was announced */

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows_); i++) {
        struct env *e = begin(200, &plain, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT");

        e->head.framing = rows_[i].framing;
        e->head.content_length = rows_[i].length;
        e->head.reason = WR_STR("Fine");
        e->conf.force_ranges = i == 0;
        assert_int_equal(wr_up_head_copy(&e->up, &e->head), WR_OK);
        assert_true(e->req.out.content_length == rows_[i].want);
        assert_int_equal(wr_req_mtime(&e->req), 784111777);
        assert_text(e->req.out.reason, "Fine");
        assert_int_equal(e->req.can_range, i == 0);
        finish(e);
    }
}

static void no_memory(void **state)
{
    struct env *e = begin(200, &rewriting, "Set-Cookie: nomem");

    (void)state;
    assert_int_equal(wr_up_head_copy(&e->up, &e->head), WR_ENOMEM);
    finish(e);
    for (uint64_t n = 1;; n++) {
        enum wr_status st;

        e = begin(200, &rewriting,
                  "Set-Cookie: a\nLocation: http://peer/x\nRefresh: 1;url=http://peer/y");
        wr_mem_fault_set(n);
        st = wr_up_head_copy(&e->up, &e->head);
        wr_mem_fault_set(0);
        finish(e);
        if (st == WR_OK) {
            assert_true(n > 2);
            break;
        }
        assert_int_equal(st, WR_ENOMEM);
    }
}

/* U5.6 */
static void accel_fields(void **state)
{
    static const char fields[] =
        "X-Accel-Redirect: /r\nX-Accel-Limit-Rate: 10\nX-Accel-Buffering: no\nX-Accel-Charset: x";
    static const struct wr_proto fixed = {.name = "t", .ignores_accel_buffering = true};
    struct env *e = begin(200, &plain, fields);
    struct wr_up_accel a;

    (void)state;
    wr_up_accel_read(&e->up, &e->head, &a);
    assert_text(a.redirect, "/r");
    assert_text(a.limit_rate, "10");
    assert_text(a.buffering, "no");
    assert_text(a.charset, "x");
    e->conf.ignore_headers = WR_UP_IGNORE_ACCEL_REDIRECT | WR_UP_IGNORE_ACCEL_BUFFERING;
    wr_up_accel_read(&e->up, &e->head, &a);
    assert_int_equal(a.redirect.len, 0);
    assert_int_equal(a.buffering.len, 0);
    assert_text(a.limit_rate, "10");
    e->conf.ignore_headers = WR_UP_IGNORE_ACCEL_LIMIT_RATE | WR_UP_IGNORE_ACCEL_CHARSET;
    wr_up_accel_read(&e->up, &e->head, &a);
    assert_int_equal(a.limit_rate.len + a.charset.len, 0);
    assert_text(a.redirect, "/r");
    finish(e);

    e = begin(200, &fixed, fields);
    wr_up_accel_read(&e->up, &e->head, &a);
    assert_int_equal(a.buffering.len, 0);
    finish(e);
}

/* U5.9 */
static void what_a_redirect_keeps(void **state)
{
    struct env *e = begin(
        200, &plain,
        "X-A: 1\nContent-Type: a/b\nSet-Cookie: a\nETag: x\nContent-Disposition: c\nAccept-Ranges: d\n"
        "Set-Cookie: b\nCache-Control: e\nExpires: f\nLocation: g");

    (void)state;
    assert_int_equal(wr_up_head_keep(&e->up, &e->head), WR_OK);
    assert_string_equal(
        out_of(e), "Content-Type: a/b\nContent-Disposition: c\nAccept-Ranges: d\nSet-Cookie: a\n"
                   "Set-Cookie: b\nCache-Control: e\nExpires: f\n");
    finish(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_holds),
        cmocka_unit_test(removed_fields_stay_away),
        cmocka_unit_test(server_and_date),
        cmocka_unit_test(lengths_reason_and_times),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(accel_fields),
        cmocka_unit_test(what_a_redirect_keeps),
    };

    return cmocka_run_group_tests_name("up/head", tests, NULL, NULL);
}
