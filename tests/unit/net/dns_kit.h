/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_kit.h: a name server on loopback that the test itself plays between two turns of its loop,
 * and a clock that the test moves. (c-ares has a clock of its own.)
 */
#ifndef WR_TESTS_DNS_KIT_H
#define WR_TESTS_DNS_KIT_H

#include "unit/event/looptest.h"

#include "base/clock.h"
#include "net/dns.h"

static uint64_t now_us;

static inline uint64_t get_now(void *data)
{
    (void)data;
    return now_us;
}

static struct {
    struct wr_loop *loop;
    int fd;
    struct wr_addr addr;
    unsigned queries, answers;
    uint32_t ttl;
    bool is_silent, is_silent6; /* to all; to questions of AAAA */
    uint8_t rcode;
    uint8_t records, first; /* addresses of an answer: so many from 127.0.0.(1 + first) on */
} ns;

static inline void put16(uint8_t **p, unsigned v)
{
    *(*p)++ = (uint8_t)(v >> 8);
    *(*p)++ = (uint8_t)v;
}

/* An answer to a question of A; none to AAAA. */
static inline size_t make_answer(uint8_t *at, const uint8_t *q, size_t len)
{
    uint8_t *p = at + len;
    bool is_a = q[len - 4] == 0 && q[len - 3] == WR_DNS_A;
    unsigned n = ns.rcode == 0 && is_a ? ns.records : 0, i;

    memcpy(at, q, len);
    at[2] = 0x81;
    at[3] = (uint8_t)(0x80 | ns.rcode);
    at[7] = (uint8_t)n;
    for (i = 0; i < n; i++) {
        put16(&p, 0xc00c);
        put16(&p, WR_DNS_A);
        put16(&p, 1);
        put16(&p, ns.ttl >> 16);
        put16(&p, ns.ttl & 0xffff);
        put16(&p, 4);
        put16(&p, 0x7f00);
        put16(&p, 1 + ns.first + i);
    }
    return (size_t)(p - at);
}

static inline void serve(void)
{
    uint8_t q[512], answer[1024];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    ssize_t n;

    while ((n = recvfrom(ns.fd, q, sizeof(q), MSG_DONTWAIT, (void *)&from, &from_len)) > 0) {
        ns.queries++;
        if (!ns.is_silent && !(ns.is_silent6 && q[n - 3] == WR_DNS_AAAA)) {
            size_t len = make_answer(answer, q, (size_t)n);

            ns.answers++;
            assert_int_equal(sendto(ns.fd, answer, len, 0, (void *)&from, from_len), (ssize_t)len);
        }
        from_len = sizeof(from);
    }
}

static inline void turn(void)
{
    wr_loop_turn(ns.loop, 0);
    serve();
}

static inline int set_up(void **state)
{
    now_us = 1000000;
    wr_clock_set_source(&(struct wr_clock_source){get_now, get_now, NULL});
    memset(&ns, 0, sizeof(ns));
    ns.ttl = 60;
    ns.records = 1;
    ns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ns.addr.len = sizeof(ns.addr.u.in);
    ns.addr.u.in.sin_family = AF_INET;
    ns.addr.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(ns.fd, &ns.addr.u.sa, ns.addr.len), 0);
    assert_int_equal(getsockname(ns.fd, &ns.addr.u.sa, &ns.addr.len), 0);
    if (setup_loop(state) != 0) {
        return 1;
    }
    ns.loop = *state;
    return 0;
}

static inline int tear_down(void **state)
{
    turn_idle(ns.loop, 4);
    close(ns.fd);
    (void)teardown_loop(state);
    wr_clock_set_source(NULL);
    return 0;
}

static inline struct wr_dns *make_dns(uint64_t valid_ms)
{
    struct wr_dns_conf c = {
        .servers = {ns.addr}, .server_cnt = 1, .valid_ms = valid_ms, .ipv4 = true};
    struct wr_dns *d;

    assert_int_equal(wr_dns_new(&c, &d), WR_OK);
    return d;
}

static inline void pass_ms(uint64_t ms)
{
    now_us += ms * 1000;
    turn();
}

#endif
