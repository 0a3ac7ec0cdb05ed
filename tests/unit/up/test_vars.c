/* SPDX-License-Identifier: Apache-2.0 */
/* test_vars.c: $upstream_*: one value a try, what was not reached, redirects, fields of the last
 * response (U7.5). */
#include "unit/up/t.h"

#include "up/up.h"

static struct wr_arena arena;
static struct wr_req req;
static struct wr_up_log log_of_req;

static void begin(void)
{
    (void)wr_local_get();
    wr_arena_init(&arena, 1 << 20);
    memset(&req, 0, sizeof(req));
    req.arena = &arena;
}

static void finish(void)
{
    wr_arena_fini(&arena);
}

/* As wr_up_new makes it. */
static struct wr_up_log *get_log(void)
{
    if (req.up_log == NULL) {
        log_of_req = (struct wr_up_log){.tail = &log_of_req.first};
        req.up_log = &log_of_req;
    }
    return req.up_log;
}

static struct wr_up_try *add_try(const char *addr)
{
    struct wr_up_log *l = get_log();
    struct wr_up_try *t = wr_arena_zalloc(&arena, sizeof(*t));

    assert_non_null(t);
    t->addr = wr_str_z(addr);
    t->connect_ms = t->header_ms = t->response_ms = UINT32_MAX;
    *l->tail = t;
    l->tail = &t->next;
    return t;
}

static enum wr_status get(const char *name, struct wr_str *ret)
{
    struct wr_str n = wr_str_z(name);

    for (size_t i = 0; i < wr_up_vars_cnt; i++) {
        const struct wr_var *v = &wr_up_vars[i];
        struct wr_str row = wr_str_z(v->name);
        bool is_prefix = (v->flags & WR_VAR_PREFIX) != 0;

        if (is_prefix ? wr_str_has_prefix(n, row) : wr_str_eq(n, row)) {
            return v->get(&req, v, wr_str_sub(n, row.len, n.len), ret);
        }
    }
    fail();
    return WR_ECONFIG;
}

static void assert_var(const char *name, const char *want)
{
    struct wr_str v = WR_STR_NULL;
    enum wr_status st = get(name, &v);

    if (want == NULL) {
        assert_int_equal(st, WR_EOF);
        return;
    }
    assert_int_equal(st, WR_OK);
    assert_text(v, want);
}

static const char *const names[] = {"upstream_addr",           "upstream_status",
                                    "upstream_connect_time",   "upstream_header_time",
                                    "upstream_response_time",  "upstream_bytes_sent",
                                    "upstream_bytes_received", "upstream_response_length"};

static void absent_without_a_try(void **state)
{
    (void)state;
    begin();
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++) {
        assert_var(names[i], NULL);
    }
    assert_var("upstream_http_x", NULL);
    assert_var("upstream_cookie_x", NULL);
    assert_var("upstream_trailer_x", NULL);
    assert_non_null(get_log()); /* a list without a try is the same */
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++) {
        assert_var(names[i], NULL);
    }
    finish();
}

static void tries_are_listed(void **state)
{
    struct wr_up_try *t;

    (void)state;
    begin();
    t = add_try("10.0.0.1:80");
    t->status = 502;
    t->response_ms = 5;
    t = add_try("unix:/a");
    t->status = 504;
    t->connect_ms = 0;
    t->response_ms = 60001;
    t->bytes_sent = 17;
    t = add_try("[::1]:8080");
    t->status = 200;
    t->connect_ms = 3;
    t->header_ms = 1999;
    t->response_ms = 12345;
    t->bytes_sent = 18;
    t->bytes_received = 5000000000;
    t->response_length = 4999999000;
    t->after_redirect = true;
    (void)add_try("backend");
    assert_var("upstream_addr", "10.0.0.1:80, unix:/a : [::1]:8080, backend");
    assert_var("upstream_status", "502, 504 : 200, -");
    assert_var("upstream_connect_time", "-, 0.000 : 0.003, -");
    assert_var("upstream_header_time", "-, - : 1.999, -");
    assert_var("upstream_response_time", "0.005, 60.001 : 12.345, -");
    assert_var("upstream_bytes_sent", "0, 17 : 18, 0");
    assert_var("upstream_bytes_received", "0, 0 : 5000000000, 0");
    assert_var("upstream_response_length", "0, 0 : 4999999000, 0");
    finish();
}

/* Bounded (D14): what does not fit is left out, nothing fails. */
static void a_thousand_tries_are_cut(void **state)
{
    struct wr_str v;

    (void)state;
    begin();
    for (int i = 0; i < 1000; i++) {
        (void)add_try("192.168.100.100:65535");
    }
    assert_int_equal(get("upstream_addr", &v), WR_OK);
    assert_true(v.len <= 8192);
    assert_true(v.len > 8000);
    finish();
}

static void fields_of_the_last_response(void **state)
{
    struct wr_up_log *l;
    struct wr_msg head;
    struct wr_hdrs trailers;
    char longest[200];

    (void)state;
    begin();
    (void)add_try("a");
    l = get_log();
    wr_msg_init(&head, &arena, 20);
    wr_hdrs_init(&trailers, &arena, 20);
    assert_int_equal(wr_hdrs_add(&head.hdrs, WR_STR("Content-Type"), WR_STR("a/b")), WR_OK);
    assert_int_equal(wr_hdrs_add(&head.hdrs, WR_STR("X-Own-Field"), WR_STR("")), WR_OK);
    assert_int_equal(wr_hdrs_add(&head.hdrs, WR_STR("Set-Cookie"), WR_STR("a=1; Path=/")), WR_OK);
    assert_int_equal(wr_hdrs_add(&head.hdrs, WR_STR("Set-Cookie"), WR_STR("flag; x=9")), WR_OK);
    assert_int_equal(wr_hdrs_add(&head.hdrs, WR_STR("Set-Cookie"), WR_STR(" b = 2 ")), WR_OK);
    assert_int_equal(wr_hdrs_add(&trailers, WR_STR("X-Sum"), WR_STR("42")), WR_OK);
    l->head = &head;
    l->trailers = &trailers;
    assert_var("upstream_http_content_type", "a/b");
    assert_var("upstream_http_CONTENT_TYPE", "a/b");
    assert_var("upstream_http_x_own_field", "");
    assert_var("upstream_http_nothing", NULL);
    assert_var("upstream_cookie_a", "1");
    assert_var("upstream_cookie_b", "2");
    assert_var("upstream_cookie_x", NULL);
    assert_var("upstream_cookie_flag", NULL);
    assert_var("upstream_trailer_x_sum", "42");
    assert_var("upstream_trailer_y", NULL);
    memset(longest, 'x', sizeof(longest) - 1);
    memcpy(longest, "upstream_http_", 14);
    longest[sizeof(longest) - 1] = '\0';
    assert_var(longest, NULL);
    finish();
}

static void no_memory(void **state)
{
    struct wr_str v;

    (void)state;
    begin();
    (void)add_try("a");
    wr_mem_fault_set(1);
    assert_int_equal(get("upstream_addr", &v), WR_ENOMEM);
    wr_mem_fault_set(0);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_without_a_try),
        cmocka_unit_test(tries_are_listed),
        cmocka_unit_test(a_thousand_tries_are_cut),
        cmocka_unit_test(fields_of_the_last_response),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("up/vars", tests, NULL, NULL);
}
