/* SPDX-License-Identifier: Apache-2.0 */
/* test_iptrie.c: the longest network, against a list that is walked; edges of both families. */
#include "base/iptrie.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "unit/base/t.h"

#define NETS 2000

static struct wr_arena arena;
static struct wr_iptrie trie;

static int set_up(void **state)
{
    (void)state;
    wr_arena_init(&arena, 8 << 20);
    wr_iptrie_init(&trie, &arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wr_mem_fault_set(0);
    wr_arena_fini(&arena);
    return 0;
}

static struct wr_cidr cidr(const char *text)
{
    struct wr_cidr c;
    bool is_trimmed;

    assert_int_equal(wr_cidr_parse(wr_str_z(text), &c, &is_trimmed), WR_OK);
    return c;
}

static const char *put(const char *net, const char *value)
{
    struct wr_cidr c = cidr(net);
    void *old = NULL;

    union {
        const char *in;
        void *out;
    } u = {.in = value};

    assert_int_equal(wr_iptrie_put(&trie, &c, u.out, &old), WR_OK);
    return old;
}

static const char *find(const char *addr)
{
    struct wr_addr a;

    assert_int_equal(wr_addr_parse_ip(wr_str_z(addr), 80, &a), WR_OK);
    return wr_iptrie_find(&trie, &a);
}

static void longest(void **state)
{
    struct wr_addr a;

    (void)state;
    assert_null(find("1.2.3.4"));
    assert_null(put("10.0.0.0/8", "ten"));
    assert_null(put("10.128.0.0/9", "high"));
    assert_null(put("10.1.2.3", "one"));
    assert_null(put("10.1.0.0/16", "net"));
    assert_string_equal(put("10.1.0.0/16", "net2"), "net");
    assert_null(put("2001:db8::/32", "doc"));
    assert_null(put("2001:db8::1", "host"));
    assert_null(put("2001:db8:0:1::/64", "net64"));
    assert_string_equal(find("10.0.0.0"), "ten");
    assert_string_equal(find("10.127.255.255"), "ten");
    assert_string_equal(find("10.128.0.0"), "high");
    assert_string_equal(find("10.255.255.255"), "high");
    assert_string_equal(find("10.1.2.3"), "one");
    assert_string_equal(find("10.1.2.4"), "net2");
    assert_string_equal(find("::ffff:10.1.2.3"), "one");
    assert_null(find("11.0.0.0"));
    assert_null(find("9.255.255.255"));
    assert_string_equal(find("2001:db8::1"), "host");
    assert_string_equal(find("2001:db8::2"), "doc");
    assert_string_equal(find("2001:db8:0:1:ffff::"), "net64");
    assert_null(find("2001:db9::"));
    assert_int_equal(wr_addr_parse_unix(WR_STR("unix:/x"), &a), WR_OK);
    assert_null(wr_iptrie_find(&trie, &a));
}

static void whole_families(void **state)
{
    (void)state;
    put("0.0.0.0/0", "v4");
    put("::/0", "v6");
    put("255.255.255.255", "last");
    put("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "last6");
    assert_string_equal(find("0.0.0.0"), "v4");
    assert_string_equal(find("255.255.255.254"), "v4");
    assert_string_equal(find("255.255.255.255"), "last");
    assert_string_equal(find("::"), "v6");
    assert_string_equal(find("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "last6");
}

static const char *find_net(const char *net)
{
    struct wr_cidr c = cidr(net);

    return wr_iptrie_find_net(&trie, &c);
}

static void around_a_network(void **state)
{
    (void)state;
    (void)put("10.0.0.0/8", "a");
    (void)put("10.1.2.0/24", "b");
    (void)put("10.1.2.3", "c");
    (void)put("2001:db8::/32", "d");
    assert_null(find_net("0.0.0.0/0"));
    assert_null(find_net("10.0.0.0/7"));
    assert_string_equal(find_net("10.0.0.0/8"), "a");
    assert_string_equal(find_net("10.1.0.0/16"), "a");
    assert_string_equal(find_net("10.1.2.0/23"), "a");
    assert_string_equal(find_net("10.1.2.0/24"), "b");
    assert_string_equal(find_net("10.1.2.2/31"), "b");
    assert_string_equal(find_net("10.1.2.3/32"), "c");
    assert_null(find_net("11.0.0.0/8"));
    assert_null(find_net("2001:db8::/31"));
    assert_string_equal(find_net("2001:db8::/32"), "d");
    assert_string_equal(find_net("2001:db8:ffff::1"), "d");
    assert_null(find_net("::/0"));
}

static void taken_out(void **state)
{
    (void)state;
    put("10.0.0.0/8", "ten");
    put("10.1.0.0/16", "net");
    assert_string_equal(put("10.1.0.0/16", NULL), "net");
    assert_null(put("10.1.0.0/16", NULL));
    assert_string_equal(find("10.1.2.3"), "ten");
}

/* Random networks of few bits, so that they lie inside of each other; the list is the truth. */
static void against_a_list(void **state)
{
    static struct wr_cidr nets[NETS];
    unsigned seed = 42;

    (void)state;
    for (size_t i = 0; i < NETS; i++) {
        char text[80];
        void *old;
        bool is_v6 = rand_r(&seed) % 2 == 0;
        unsigned a = (unsigned)rand_r(&seed) % 4, b = (unsigned)rand_r(&seed) % 256;

        (void)snprintf(text, sizeof(text), is_v6 ? "200%u:%x:0:%x::/%u" : "10.%u.%u.%u/%u", a, b,
                       (unsigned)rand_r(&seed) % 256, (unsigned)rand_r(&seed) % (is_v6 ? 129 : 33));
        nets[i] = cidr(text);
        assert_int_equal(wr_iptrie_put(&trie, &nets[i], &nets[i], &old), WR_OK);
    }
    for (size_t n = 0; n < 20000; n++) {
        const struct wr_cidr *best = NULL, *got;
        struct wr_addr a;
        char text[80];

        (void)snprintf(text, sizeof(text), n % 2 == 0 ? "200%u:%x:0:%x::%x" : "10.%u.%u.%u",
                       (unsigned)rand_r(&seed) % 4, (unsigned)rand_r(&seed) % 256,
                       (unsigned)rand_r(&seed) % 256, (unsigned)rand_r(&seed) % 3);
        assert_int_equal(wr_addr_parse_ip(wr_str_z(text), 0, &a), WR_OK);
        for (size_t i = 0; i < NETS; i++) {
            if (wr_cidr_has(&nets[i], &a) &&
                (!best || memcmp(nets[i].mask, best->mask, sizeof(best->mask)) >= 0)) {
                best = &nets[i];
            }
        }
        got = wr_iptrie_find(&trie, &a);
        if (got != best) {
            fail_msg("%s", text);
        }
    }
}

static void without_memory(void **state)
{
    static char b[] = "b";
    struct wr_cidr c = cidr("10.1.0.0/16");
    void *old;

    (void)state;
    put("10.0.0.0/16", "a");
    for (unsigned n = 1; n <= 2; n++) {
        wr_mem_fault_set(n);
        assert_int_equal(wr_iptrie_put(&trie, &c, b, &old), WR_ENOMEM);
        wr_mem_fault_set(0);
        assert_string_equal(find("10.0.1.1"), "a");
        assert_null(find("10.1.1.1"));
    }
    assert_int_equal(wr_iptrie_put(&trie, &c, b, &old), WR_OK);
    assert_string_equal(find("10.1.1.1"), "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(longest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whole_families, set_up, tear_down),
        cmocka_unit_test_setup_teardown(around_a_network, set_up, tear_down),
        cmocka_unit_test_setup_teardown(taken_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(against_a_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("base/iptrie", tests, NULL, NULL);
}
