/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_msg.c: answers of name servers, well-formed and not: addresses, services, how long they
 * hold; each cut at every byte.
 */
#include "unit/base/t.h"

#include <stdlib.h>

#include "net/dns_msg.c"

struct msg {
    uint8_t at[4096];
    size_t len;
};

static void add(struct msg *m, const void *p, size_t n)
{
    memcpy(m->at + m->len, p, n);
    m->len += n;
}

static void add16(struct msg *m, unsigned v)
{
    add(m, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void add_name(struct msg *m, const char *name)
{
    struct wr_str rest = wr_str_z(name), label;

    while (wr_str_split(&rest, '.', &label)) {
        if (label.len > 0) {
            add(m, (uint8_t[]){(uint8_t)label.len}, 1);
            add(m, label.ptr, label.len);
        }
    }
    add(m, "", 1);
}

/* A message about `name` with room for counts. */
static void begin(struct msg *m, const char *name, unsigned type, unsigned answers,
                  unsigned authority)
{
    m->len = 0;
    add16(m, 7);
    add16(m, 0x8180);
    add16(m, 1);
    add16(m, answers);
    add16(m, authority);
    add16(m, 0);
    add_name(m, name);
    add16(m, type);
    add16(m, 1);
}

/* name NULL: a pointer to the question's. */
static void add_record(struct msg *m, const char *name, unsigned type, uint32_t ttl,
                       const void *data, size_t len)
{
    if (name == NULL) {
        add16(m, 0xc00c);
    } else {
        add_name(m, name);
    }
    add16(m, type);
    add16(m, 1);
    add16(m, ttl >> 16);
    add16(m, ttl & 0xffff);
    add16(m, (unsigned)len);
    add(m, data, len);
}

static void add_srv(struct msg *m, uint32_t ttl, unsigned priority, unsigned weight, unsigned port,
                    const char *target)
{
    struct msg d = {.len = 0};

    add16(&d, priority);
    add16(&d, weight);
    add16(&d, port);
    add_name(&d, target);
    add_record(m, NULL, WR_DNS_SRV, ttl, d.at, d.len);
}

static struct wr_dns_bytes bytes_of(const struct msg *m)
{
    return (struct wr_dns_bytes){m->at, m->len};
}

/* No byte less is enough; exact room, so that ASan sees what is read behind the end. */
static void check_cut(const struct msg *m, enum wr_dns_type type)
{
    struct wr_dns_srv srvs[4];
    struct wr_addr addrs[4];
    uint32_t ttl;
    size_t cnt, n;

    for (n = 0; n < m->len; n++) {
        uint8_t *copy = malloc(n + 1);
        struct wr_dns_bytes b = {copy, n};

        memcpy(copy, m->at, n);
        if (type == WR_DNS_SRV) {
            assert_int_not_equal(wr_dns_msg_srvs(b, srvs, 4, &cnt, &ttl), WR_OK);
        } else if (type == WR_DNS_SOA) {
            assert_int_not_equal(wr_dns_msg_negative_ttl(b, &ttl), WR_OK);
        } else {
            assert_int_not_equal(wr_dns_msg_addrs(b, type, addrs, 4, &cnt, &ttl), WR_OK);
        }
        free(copy);
    }
}

static void check_addrs(const struct msg *m, enum wr_dns_type type, size_t want_cnt,
                        const char *first, uint32_t want_ttl)
{
    struct wr_addr at[4];
    char text[WR_ADDR_TEXT_MAX];
    size_t cnt = 0, len;
    uint32_t ttl = 1;

    assert_int_equal(wr_dns_msg_addrs(bytes_of(m), type, at, 4, &cnt, &ttl), WR_OK);
    assert_int_equal(cnt, want_cnt);
    assert_int_equal(ttl, want_ttl);
    len = wr_addr_write(&at[0], text);
    assert_true(wr_str_eq(wr_str(text, len), wr_str_z(first)));
    check_cut(m, type);
}

static void test_addrs(void **state)
{
    static const uint8_t six[16] = {0x20, 1, [15] = 9};
    struct wr_addr at[2];
    struct msg m;
    uint32_t ttl;
    size_t cnt;

    (void)state;
    begin(&m, "a.test", WR_DNS_A, 2, 0);
    add_record(&m, NULL, WR_DNS_A, 300, "\x0a\x00\x00\x01", 4);
    add_record(&m, "a.test", WR_DNS_A, 60, "\x0a\x00\x00\x02", 4);
    check_addrs(&m, WR_DNS_A, 2, "10.0.0.1:0", 60);
    assert_int_equal(wr_dns_msg_addrs(bytes_of(&m), WR_DNS_A, at, 1, &cnt, &ttl), WR_OK);
    assert_int_equal(cnt, 1);

    begin(&m, "a.test", WR_DNS_AAAA, 1, 0);
    add_record(&m, NULL, WR_DNS_AAAA, 30, six, 16);
    check_addrs(&m, WR_DNS_AAAA, 1, "[2001::9]:0", 30);

    /* An alias holds no longer than its own TTL says. */
    begin(&m, "a.test", WR_DNS_A, 2, 0);
    add_record(&m, NULL, WR_DNS_CNAME, 20, "\1b\4test", 8);
    add_record(&m, "b.test", WR_DNS_A, 300, "\x0a\x00\x00\x01", 4);
    check_addrs(&m, WR_DNS_A, 1, "10.0.0.1:0", 20);

    /* Of somebody else, or of another type: none. */
    begin(&m, "a.test", WR_DNS_A, 1, 0);
    add_record(&m, "b.test", WR_DNS_A, 300, "\x0a\x00\x00\x01", 4);
    assert_int_not_equal(wr_dns_msg_addrs(bytes_of(&m), WR_DNS_A, at, 2, &cnt, &ttl), WR_OK);
    begin(&m, "a.test", WR_DNS_A, 1, 0);
    add_record(&m, NULL, WR_DNS_AAAA, 30, six, 16);
    assert_int_not_equal(wr_dns_msg_addrs(bytes_of(&m), WR_DNS_A, at, 2, &cnt, &ttl), WR_OK);
    begin(&m, "a.test", WR_DNS_A, 0, 0);
    assert_int_equal(wr_dns_msg_addrs(bytes_of(&m), WR_DNS_A, at, 2, &cnt, &ttl), WR_EOF);
    /* A length that no address has. */
    begin(&m, "a.test", WR_DNS_A, 1, 0);
    add_record(&m, NULL, WR_DNS_A, 30, "\x0a\x00\x00", 3);
    assert_int_not_equal(wr_dns_msg_addrs(bytes_of(&m), WR_DNS_A, at, 2, &cnt, &ttl), WR_OK);
}

static void test_srvs(void **state)
{
    struct wr_dns_srv at[4];
    struct msg m;
    uint32_t ttl;
    size_t cnt;

    (void)state;
    begin(&m, "_http._tcp.a.test", WR_DNS_SRV, 3, 0);
    add_srv(&m, 60, 1, 5, 8080, "x.test");
    add_srv(&m, 30, 2, 0, 65535, "y.test");
    add_srv(&m, 90, 3, 0, 1, "z z.test");
    assert_int_equal(wr_dns_msg_srvs(bytes_of(&m), at, 4, &cnt, &ttl), WR_OK);
    assert_int_equal(cnt, 2); /* no host has a name with a blank */
    assert_int_equal(ttl, 30);
    assert_int_equal(at[0].priority, 1);
    assert_int_equal(at[0].weight, 5);
    assert_int_equal(at[0].port, 8080);
    assert_string_equal(at[0].name, "x.test");
    assert_int_equal(at[1].port, 65535);
    assert_int_equal(at[1].name_len, 6);
    check_cut(&m, WR_DNS_SRV);
    assert_int_equal(wr_dns_msg_srvs(bytes_of(&m), at, 1, &cnt, &ttl), WR_OK);
    assert_int_equal(cnt, 1);

    /* "." says that the service is not offered (RFC 2782). */
    begin(&m, "_http._tcp.a.test", WR_DNS_SRV, 1, 0);
    add_srv(&m, 60, 0, 0, 0, "");
    assert_int_equal(wr_dns_msg_srvs(bytes_of(&m), at, 4, &cnt, &ttl), WR_OK);
    assert_int_equal(at[0].name_len, 0);

    begin(&m, "_http._tcp.a.test", WR_DNS_SRV, 0, 0);
    assert_int_equal(wr_dns_msg_srvs(bytes_of(&m), at, 4, &cnt, &ttl), WR_EOF);
}

static void test_negative_ttl(void **state)
{
    static const struct {
        uint32_t ttl;
        uint8_t minimum[4];
        uint32_t want;
    } rows[] = {
        {60,         {0, 0, 0, 5},    5     },
        {5,          {0, 0, 1, 0},    5     },
        {0x7fffffff, {0x7f, 0, 0, 0}, 604800},
        {60,         {0xff, 0, 0, 0}, 0     },
    };
    struct msg m, soa;
    uint32_t ttl;
    size_t i;

    (void)state;
    for (i = 0; i < WR_ARRAY_LEN(rows); i++) {
        soa.len = 0;
        add_name(&soa, "ns.test");
        add_name(&soa, "root.test");
        add(&soa, (uint8_t[16]){0}, 16);
        add(&soa, rows[i].minimum, 4);
        begin(&m, "a.test", WR_DNS_A, 1, 1);
        add_record(&m, NULL, WR_DNS_CNAME, 20, "\1b\4test", 8);
        add_record(&m, "test", WR_DNS_SOA, rows[i].ttl, soa.at, soa.len);
        assert_int_equal(wr_dns_msg_negative_ttl(bytes_of(&m), &ttl), WR_OK);
        assert_int_equal(ttl, rows[i].want);
        check_cut(&m, WR_DNS_SOA);
    }
    begin(&m, "a.test", WR_DNS_A, 0, 0);
    assert_int_equal(wr_dns_msg_negative_ttl(bytes_of(&m), &ttl), WR_EOF);
}

/* Pointers that go round, lengths that no label has, several questions. */
static void test_malformed(void **state)
{
    struct wr_dns_srv srvs[2];
    struct wr_addr at[2];
    struct msg m;
    uint32_t ttl;
    size_t cnt;

    (void)state;
    begin(&m, "a.test", WR_DNS_A, 1, 0);
    m.at[12] = 0xc0; /* the question's name is a pointer to itself */
    m.at[13] = 12;
    add_record(&m, NULL, WR_DNS_A, 300, "\x0a\x00\x00\x01", 4);
    assert_int_not_equal(wr_dns_msg_addrs(bytes_of(&m), WR_DNS_A, at, 2, &cnt, &ttl), WR_OK);

    begin(&m, "a.test", WR_DNS_SRV, 1, 0);
    add_srv(&m, 60, 1, 5, 8080, "x.test");
    m.at[12] = 0x41;
    assert_int_equal(wr_dns_msg_srvs(bytes_of(&m), srvs, 2, &cnt, &ttl), WR_EPROTO);
    m.at[12] = 1;
    m.at[5] = 2;
    assert_int_equal(wr_dns_msg_srvs(bytes_of(&m), srvs, 2, &cnt, &ttl), WR_EPROTO);
    assert_int_equal(wr_dns_msg_negative_ttl(bytes_of(&m), &ttl), WR_EPROTO);

    assert_int_equal(
        wr_dns_msg_addrs((struct wr_dns_bytes){m.at, 70000}, WR_DNS_A, at, 2, &cnt, &ttl),
        WR_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addrs),
        cmocka_unit_test(test_srvs),
        cmocka_unit_test(test_negative_ttl),
        cmocka_unit_test(test_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
