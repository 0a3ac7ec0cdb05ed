/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_dns.h: net/dns.h for the simulator, in place of net/dns.c: name servers of three names, or
 * of those that fake_dns_look, of the test, knows. It answers in simulated time, and as the real
 * one takes memory at run time, which may fail.
 *
 *   two.test   10.0.0.2, after FAKE_DNS_MS
 *   none.test  not found, after FAKE_DNS_MS
 *   others     no answer at all
 */
#ifndef WR_TESTS_SIM_FAKE_DNS_H
#define WR_TESTS_SIM_FAKE_DNS_H

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "event/task.h"
#include "event/timer.h"
#include "net/dns.h"
#include "sim/sim.h"

#define FAKE_DNS_MS    10
#define FAKE_DNS_HOSTS 4

/* What is known of a name. */
struct fake_dns_name {
    bool is_silent;                /* nobody answers */
    uint8_t hosts[FAKE_DNS_HOSTS]; /* 10.0.0.host; none: not found */
    uint32_t host_cnt;
    const char *target; /* of a service: its only host, port 80; NULL: not found */
};

typedef struct fake_dns_name fake_dns_look_fn(enum wr_dns_kind kind, struct wr_str name);

static inline struct fake_dns_name fake_dns_look_three(enum wr_dns_kind kind, struct wr_str name)
{
    bool is_two = wr_str_eq_z(name, "two.test");

    (void)kind;
    return (struct fake_dns_name){
        .is_silent = !is_two && !wr_str_eq_z(name, "none.test"), .hosts = {2}, .host_cnt = is_two};
}

static fake_dns_look_fn *fake_dns_look = fake_dns_look_three;

struct wr_dns {
    unsigned refs;
};

struct wr_dns_ask {
    struct wr_task task, *waiter;
    struct wr_timer timer;
    uint64_t at_ms; /* 0: never */
    bool is_over;
    enum wr_dns_kind kind;
    char name[WR_DNS_NAME_MAX + 1];
    struct wr_addr addrs[FAKE_DNS_HOSTS];
    struct wr_dns_srv srv;
    struct wr_dns_answer answer;
};

enum wr_status wr_dns_new(const struct wr_dns_conf *c, struct wr_dns **ret)
{
    (void)c;
    *ret = wr_mem_alloc(sizeof(**ret));
    return WR_OK;
}

void wr_dns_unref(struct wr_dns *d)
{
    wr_mem_free(d);
}

const char *wr_dns_why_text(unsigned why)
{
    return why == WR_DNS_NOT_FOUND ? "Host not found" : "Operation timed out";
}

/* Nothing is remembered: each request waits. */
const struct wr_dns_answer *wr_dns_get(struct wr_dns *d, enum wr_dns_kind kind, struct wr_str name)
{
    (void)d, (void)kind, (void)name;
    return NULL;
}

void wr_dns_answer_unref(const struct wr_dns_answer *a)
{
    (void)a;
}

static void fake_dns_run(struct wr_task *t)
{
    struct wr_dns_ask *a = wr_container_of(t, struct wr_dns_ask, task);
    struct fake_dns_name n;

    if (a->is_over || !wr_deadline_is_due(a->at_ms, wr_now_ms())) {
        return;
    }
    n = fake_dns_look(a->kind, wr_str_z(a->name));
    for (uint32_t i = 0; i < n.host_cnt; i++) {
        a->addrs[i] = sim_addr(n.hosts[i], 0);
    }
    if (n.target != NULL) {
        a->srv.port = 80;
        a->srv.weight = 1;
        a->srv.name_len = (uint16_t)snprintf(a->srv.name, sizeof(a->srv.name), "%s", n.target);
    }
    a->is_over = true;
    a->answer.addrs = a->addrs;
    a->answer.addr_cnt = n.host_cnt;
    a->answer.srvs = &a->srv;
    a->answer.srv_cnt = n.target != NULL;
    a->answer.why = n.host_cnt + a->answer.srv_cnt > 0 ? WR_DNS_FOUND : WR_DNS_NOT_FOUND;
    wr_task_wake(a->waiter);
}

enum wr_status wr_dns_start(struct wr_dns *d, enum wr_dns_kind kind, struct wr_str name,
                            struct wr_task *task, struct wr_dns_ask **ret)
{
    struct wr_dns_ask *a = wr_run_zalloc(sizeof(*a));

    (void)d;
    if (a == NULL) {
        return WR_ENOMEM;
    }
    wr_task_init(&a->task, fake_dns_run, "fake dns");
    wr_timer_init(&a->timer, &a->task);
    a->waiter = task;
    a->kind = kind;
    (void)snprintf(a->name, sizeof(a->name), "%.*s", WR_STR_ARG(name));
    if (!fake_dns_look(kind, name).is_silent) {
        a->at_ms = wr_now_ms() + FAKE_DNS_MS;
        wr_timer_arm(&a->timer, a->at_ms);
    }
    *ret = a;
    return WR_OK;
}

const struct wr_dns_answer *wr_dns_result(const struct wr_dns_ask *a)
{
    return a->is_over ? &a->answer : NULL;
}

void wr_dns_end(struct wr_dns_ask **at)
{
    struct wr_dns_ask *a = *at;

    if (a == NULL) {
        return;
    }
    *at = NULL;
    wr_task_cancel(&a->task);
    wr_timer_fini(&a->timer);
    wr_mem_free(a);
}

#endif
