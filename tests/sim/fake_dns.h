/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_dns.h: net/dns.h for the simulator, in place of net/dns.c: name servers of three names. It
 * answers in simulated time, and as the real one takes memory at run time, which may fail.
 *
 *   two.test   10.0.0.2, after FAKE_DNS_MS
 *   none.test  not found, after FAKE_DNS_MS
 *   others     no answer at all
 */
#ifndef WR_TESTS_SIM_FAKE_DNS_H
#define WR_TESTS_SIM_FAKE_DNS_H

#include "base/clock.h"
#include "base/mem.h"
#include "event/task.h"
#include "event/timer.h"
#include "net/dns.h"
#include "sim/sim.h"

#define FAKE_DNS_MS 10

struct wr_dns {
    unsigned refs;
};

struct wr_dns_ask {
    struct wr_task task, *waiter;
    struct wr_timer timer;
    uint64_t at_ms; /* 0: never */
    bool is_found, is_over;
    struct wr_addr addr;
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

    if (!a->is_over && wr_deadline_is_due(a->at_ms, wr_now_ms())) {
        a->is_over = true;
        a->answer.why = a->is_found ? WR_DNS_FOUND : WR_DNS_NOT_FOUND;
        a->answer.addrs = &a->addr;
        a->answer.addr_cnt = a->is_found ? 1 : 0;
        wr_task_wake(a->waiter);
    }
}

enum wr_status wr_dns_start(struct wr_dns *d, enum wr_dns_kind kind, struct wr_str name,
                            struct wr_task *task, struct wr_dns_ask **ret)
{
    struct wr_dns_ask *a = wr_run_zalloc(sizeof(*a));

    (void)d, (void)kind;
    if (a == NULL) {
        return WR_ENOMEM;
    }
    wr_task_init(&a->task, fake_dns_run, "fake dns");
    wr_timer_init(&a->timer, &a->task);
    a->waiter = task;
    a->addr = sim_addr(2, 0);
    a->is_found = wr_str_eq_z(name, "two.test");
    if (a->is_found || wr_str_eq_z(name, "none.test")) {
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
