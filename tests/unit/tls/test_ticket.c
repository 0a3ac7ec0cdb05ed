/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ticket.c: keys of tickets over hours, with a clock of the test's own: which key is in use,
 * how long the others are known, what two processes with one secret agree on, and that what was
 * forgotten stays so.
 */
#include "unit/base/t.h"

#include "tls/ticket.c"

#define HOUR ((uint64_t)3600)

static uint64_t wall_sec;

static uint64_t get_us(void *data)
{
    (void)data;
    return wall_sec * 1000000;
}

static void set_time(uint64_t hours)
{
    wall_sec = (500000 + hours) * HOUR + 17;
    (void)wr_clock_update();
}

static int set_up(void **state)
{
    (void)state;
    wr_clock_set_source(&(struct wr_clock_source){get_us, get_us, NULL});
    ring.is_made = false;
    ring.cnt = 0;
    ring.life_sec = HOUR_SEC;
    set_time(0);
    return 0;
}

static struct wr_tls_ticket_key key_in_use(void)
{
    struct wr_tls_ticket_key k;
    bool is_first = false;

    assert_true(wr_tls_find_ticket_key(NULL, &k, &is_first));
    assert_true(is_first);
    assert_int_equal(k.half, 32);
    return k;
}

/* 0: unknown; 1: the one in use; 2: an older one. */
static int find(const struct wr_tls_ticket_key *want)
{
    struct wr_tls_ticket_key k;
    bool is_first = false;

    if (!wr_tls_find_ticket_key(want->name, &k, &is_first)) {
        return 0;
    }
    assert_memory_equal(&k, want, sizeof(k));
    return is_first ? 1 : 2;
}

static void test_hours(void **state)
{
    struct wr_tls_ticket_key first = key_in_use(), second;

    (void)state;
    assert_int_equal(find(&first), 1);
    set_time(1);
    second = key_in_use();
    assert_memory_not_equal(first.name, second.name, sizeof(first.name));
    assert_memory_not_equal(first.aes, second.aes, sizeof(first.aes));
    assert_memory_not_equal(second.hmac, second.aes, sizeof(second.aes));
    assert_int_equal(find(&first), 2);
    assert_int_equal(find(&second), 1);
    set_time(2);
    assert_int_equal(find(&first), 0);
    assert_int_equal(find(&second), 2);
    set_time(1); /* set back: what was forgotten is gone, the rest works */
    assert_int_equal(find(&first), 0);
    assert_int_equal(find(&second), 1);
}

static void test_long_life(void **state)
{
    struct wr_tls_ticket_key first = key_in_use();

    (void)state;
    wr_tls_want_ticket_life(10 * HOUR_SEC + 1);
    set_time(11);
    assert_int_equal(find(&first), 2);
    set_time(12);
    assert_int_equal(find(&first), 0);
    wr_tls_want_ticket_life(UINT32_MAX); /* a week at most */
    first = key_in_use();
    set_time(12 + 7 * 24);
    assert_int_equal(find(&first), 2);
    set_time(13 + 7 * 24);
    assert_int_equal(find(&first), 0);
}

/* The bytes of the secret are overwritten: nothing in memory leads back. */
static void test_forgotten(void **state)
{
    unsigned char was[SECRET];

    (void)state;
    (void)key_in_use();
    memcpy(was, ring.secret, SECRET);
    set_time(3);
    wr_tls_secret_age(); /* also where nobody asks for a key */
    assert_memory_not_equal(was, ring.secret, SECRET);
    assert_int_equal(ring.oldest, 500002);
}

static void test_hand_over(void **state)
{
    char room[WR_TLS_SECRET_TEXT_MAX];
    struct wr_tls_ticket_key before, now, other;
    struct wr_strbuf b;

    (void)state;
    before = key_in_use();
    set_time(1);
    now = key_in_use();
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    assert_true(wr_tls_secret_write(&b));
    assert_true(b.len > 64 && b.len < sizeof(room));
    (void)begin_anew(500001); /* another process */
    other = key_in_use();
    assert_int_equal(find(&now), 0);
    assert_true(wr_tls_secret_read(wr_strbuf_str(&b)));
    assert_int_equal(find(&now), 1);
    assert_int_equal(find(&before), 2);
    assert_int_equal(find(&other), 0);
    set_time(2); /* each on its own */
    assert_int_equal(find(&now), 2);
}

static void test_bad_secrets(void **state)
{
    static const char *const bad[] = {
        "",
        "1",
        "1 ",
        "x 00",
        "1 00",
        " ",
        "1 zz00000000000000000000000000000000000000000000000000000000000000",
        "99999999999 0000000000000000000000000000000000000000000000000000000000000000"};
    struct wr_tls_ticket_key k = key_in_use();

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        assert_false(wr_tls_secret_read(wr_str_z(bad[i])));
    }
    assert_int_equal(find(&k), 1);
}

/* A clock that was wrong by decades costs no time. */
static void test_jump(void **state)
{
    struct wr_tls_ticket_key k = key_in_use();

    (void)state;
    set_time(100u * 366 * 24);
    assert_int_equal(find(&k), 0);
    assert_int_equal(ring.oldest, 500000 + 100u * 366 * 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_hours, set_up),
        cmocka_unit_test_setup(test_long_life, set_up),
        cmocka_unit_test_setup(test_forgotten, set_up),
        cmocka_unit_test_setup(test_hand_over, set_up),
        cmocka_unit_test_setup(test_bad_secrets, set_up),
        cmocka_unit_test_setup(test_jump, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
