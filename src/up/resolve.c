/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.c: see resolve.h. Names out of variables: What the cache knows needs no wait.
 * resolver_timeout is this request's: the look-up itself goes on for those that wait for it too,
 * and for the cache.
 */
#include "up/resolve.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/core_conf.h"
#include "http/resolver.h"
#include "net/dns.h"
#include "up/moving.h"
#include "up/up.h"

static void tell(struct wr_up *u, unsigned why)
{
    wr_log(&u->req->log, WR_LOG_ERROR, "%.*s could not be resolved (%u: %s)",
           WR_STR_ARG(u->start.host), why, wr_dns_why_text(why));
}

static enum wr_status use_answer(struct wr_up *u, const struct wr_dns_answer *a)
{
    struct wr_named_addrs addrs;

    if (a->why != WR_DNS_FOUND) {
        tell(u, a->why);
        return WR_EOF;
    }
    addrs = (struct wr_named_addrs){a->addrs, a->addr_cnt, u->start.port};
    return wr_group_of_addrs(u->req->gen, u->req->arena, u->start.host_text, &addrs,
                             &u->start.members);
}

static enum wr_status begin(struct wr_up *u)
{
    const struct wr_core_loc *lc = wr_core_loc_of(u->req);
    const struct wr_dns_answer *a;
    enum wr_status st;

    if (lc->resolver == NULL || lc->resolver->dns == NULL) {
        wr_log(&u->req->log, WR_LOG_ERROR, "no resolver defined to resolve %.*s",
               WR_STR_ARG(u->start.host));
        return WR_EOF;
    }
    a = wr_dns_get(lc->resolver->dns, WR_DNS_ADDRS, u->start.host);
    if (a != NULL) {
        st = use_answer(u, a);
        wr_dns_answer_unref(a);
        return st;
    }
    st = wr_dns_start(lc->resolver->dns, WR_DNS_ADDRS, u->start.host, &u->req->task, &u->ask);
    if (st != WR_OK) {
        return st;
    }
    u->resolve_until_ms = wr_now_ms() + lc->resolver_timeout_ms;
    wr_timer_arm(&u->timer, u->resolve_until_ms);
    return WR_AGAIN;
}

/*
 * A group whose peers come and go. Where none is known yet the first answer is waited for; behind
 * resolver_timeout the list is taken as it is, and PICK says that nobody lives.
 */
static enum wr_status take_list(struct wr_up *u)
{
    struct wr_moving *mv = u->start.members->moving;
    bool is_due = wr_deadline_is_due(u->resolve_until_ms, wr_now_ms());
    const struct wr_members *m = NULL;
    enum wr_status st;

    if (u->list_wait != NULL && !is_due && !wr_moving_wait_is_over(u->list_wait)) {
        return WR_AGAIN;
    }
    wr_moving_wait_end(&u->list_wait);
    st = wr_moving_get(mv, u->req->arena, &u->req->task, &m, is_due ? NULL : &u->list_wait);
    if (st == WR_AGAIN && u->resolve_until_ms == 0) {
        u->resolve_until_ms = wr_now_ms() + wr_moving_timeout_ms(mv);
        wr_timer_arm(&u->timer, u->resolve_until_ms);
    }
    if (st == WR_OK) {
        wr_timer_disarm(&u->timer);
        u->start.members = m;
    }
    return st;
}

enum wr_status wr_up_resolve_again(struct wr_up *u)
{
    return wr_moving_get(u->start.members->list_of, u->req->arena, &u->req->task, &u->start.members,
                         NULL);
}

enum wr_status wr_up_resolve(struct wr_up *u)
{
    const struct wr_dns_answer *a;
    enum wr_status st = WR_AGAIN;

    if (u->start.members != NULL) {
        return take_list(u);
    }
    if (u->ask == NULL) {
        return begin(u);
    }
    a = wr_dns_result(u->ask);
    if (a != NULL) {
        st = use_answer(u, a);
    } else if (wr_deadline_is_due(u->resolve_until_ms, wr_now_ms())) {
        tell(u, WR_DNS_TIMED_OUT);
        st = WR_EOF;
    }
    if (st != WR_AGAIN) {
        wr_up_resolve_end(u);
    }
    return st;
}

void wr_up_resolve_end(struct wr_up *u)
{
    if (u->ask != NULL || u->list_wait != NULL) {
        wr_dns_end(&u->ask);
        wr_moving_wait_end(&u->list_wait);
        wr_timer_disarm(&u->timer);
    }
}
