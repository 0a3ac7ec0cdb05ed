/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c: see names.h. One look-up at a time; of a service first its records, then the addresses
 * of the hosts that they name, all of which wake the same task. The next one is due when the
 * answer's time is over, a second later at the least.
 *
 * Addresses are sorted, so that a name server that turns its answers round changes nothing.
 */
#include "up/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "event/task.h"
#include "event/timer.h"
#include "http/resolver.h"

#define NEXT_MIN_MS   1000
#define KEY_MAX_BYTES 4608

struct wr_name {
    struct wr_fixture fixture;
    struct wr_resolver *resolver; /* referenced */
    enum wr_dns_kind kind;
    char text[WR_DNS_NAME_MAX + 1];
    uint16_t text_len;
    struct wr_name_addr *at; /* of the last good answer */
    uint32_t cnt, version;
    uint16_t why; /* of the last answer; enum wr_dns_why */
    bool is_answered;
    uint64_t failed_sum; /* sum_failures of the last answer */
    struct wr_list users;
    struct wr_dns_ask *ask;
    struct wr_dns_ask *targets[WR_DNS_RECORDS_MAX]; /* of the hosts of a service, by its records */
    uint32_t target_cnt;
    struct wr_task task;
    struct wr_timer timer;
};

/* Addresses that are being collected. */
struct harvest {
    struct wr_name_addr *at;
    uint32_t cnt;
    uint64_t until_ms; /* the first that is over */
};

static struct wr_str text_of(const struct wr_name *n)
{
    return wr_str(n->text, n->text_len);
}

static void end_asks(struct wr_name *n)
{
    uint32_t i;

    for (i = 0; i < n->target_cnt; i++) {
        wr_dns_end(&n->targets[i]);
    }
    n->target_cnt = 0;
    wr_dns_end(&n->ask);
}

static void tell_users(struct wr_name *n)
{
    struct wr_list *l;

    WR_LIST_FOREACH (l, &n->users) {
        wr_task_wake(wr_container_of(l, struct wr_name_user, node)->task);
    }
}

/* --- what an answer changes --- */

static int compare_addrs(const struct wr_addr *a, const struct wr_addr *b)
{
    const uint8_t *x = NULL, *y = NULL;
    size_t n = wr_addr_bytes(a, &x);
    int c;

    if (n != wr_addr_bytes(b, &y)) {
        return n == 4 ? -1 : 1;
    }
    c = memcmp(x, y, n);
    return c != 0 ? c : (int)wr_addr_port(a) - (int)wr_addr_port(b);
}

static int compare(const void *p, const void *q)
{
    const struct wr_name_addr *a = p, *b = q;

    return a->priority != b->priority ? (int)a->priority - (int)b->priority
                                      : compare_addrs(&a->addr, &b->addr);
}

/* Sorted, each address once: where it stands first. Value: how many are left. */
static uint32_t put_in_order(struct wr_name_addr *at, uint32_t cnt)
{
    uint32_t i, k, n = 0;

    qsort(at, cnt, sizeof(*at), compare);
    for (i = 0; i < cnt; i++) {
        for (k = 0; k < n && compare_addrs(&at[k].addr, &at[i].addr) != 0; k++) {
        }
        if (k == n) {
            at[n++] = at[i];
        }
    }
    return n;
}

static bool is_same(const struct wr_name *n, const struct harvest *h)
{
    uint32_t i;

    for (i = 0; i < h->cnt && n->cnt == h->cnt; i++) {
        if (compare(&n->at[i], &h->at[i]) != 0 || n->at[i].weight != h->at[i].weight) {
            return false;
        }
    }
    return n->cnt == h->cnt;
}

static void note_failure(struct wr_name *n, unsigned why)
{
    bool is_news = !n->is_answered || n->why != why;

    n->is_answered = true;
    n->why = (uint16_t)why;
    if (!is_news) {
        return;
    }
    if (n->cnt == 0) {
        wr_log(NULL, WR_LOG_ERROR, "%.*s could not be resolved (%u: %s)", WR_STR_ARG(text_of(n)),
               why, wr_dns_why_text(why));
    } else {
        wr_log(NULL, WR_LOG_ERROR,
               "%.*s could not be resolved (%u: %s), its last addresses stay: %u of them",
               WR_STR_ARG(text_of(n)), why, wr_dns_why_text(why), (unsigned)n->cnt);
    }
    tell_users(n);
}

/* Takes h's memory. */
static void note_success(struct wr_name *n, struct harvest *h)
{
    if (n->is_answered && n->why != WR_DNS_FOUND) {
        wr_log(NULL, WR_LOG_NOTICE, "%.*s is resolved again", WR_STR_ARG(text_of(n)));
    }
    n->why = WR_DNS_FOUND;
    if (n->is_answered && is_same(n, h)) {
        wr_mem_free(h->at);
        return;
    }
    wr_log(NULL, WR_LOG_INFO, "%.*s is resolved, addresses: %u (before: %u)",
           WR_STR_ARG(text_of(n)), (unsigned)h->cnt, (unsigned)n->cnt);
    n->is_answered = true;
    wr_mem_free(n->at);
    n->at = h->at;
    n->cnt = h->cnt;
    n->version++;
    tell_users(n);
}

/* --- collecting --- */

static void harvest_addrs(struct harvest *h, const struct wr_dns_answer *a,
                          const struct wr_dns_srv *srv)
{
    struct wr_name_addr *to;
    uint32_t i;

    h->until_ms = WR_MIN(h->until_ms, a->until_ms);
    for (i = 0; i < a->addr_cnt && h->cnt < WR_NAME_ADDRS_MAX; i++) {
        to = &h->at[h->cnt++];
        *to = (struct wr_name_addr){.addr = a->addrs[i]};
        if (srv != NULL) {
            wr_addr_set_port(&to->addr, srv->port);
            to->target = wr_hash_sip_lower(srv->name, srv->name_len);
            to->priority = srv->priority;
            to->weight = srv->weight;
        }
    }
}

/* A host of a service that cannot be resolved now keeps the addresses that it had. */
static void harvest_kept(struct harvest *h, const struct wr_name *n, const struct wr_dns_srv *srv)
{
    uint64_t target = wr_hash_sip_lower(srv->name, srv->name_len);
    uint32_t i;

    for (i = 0; i < n->cnt && h->cnt < WR_NAME_ADDRS_MAX; i++) {
        if (n->at[i].target == target && wr_addr_port(&n->at[i].addr) == srv->port) {
            h->at[h->cnt] = n->at[i];
            h->at[h->cnt].priority = srv->priority;
            h->at[h->cnt++].weight = srv->weight;
        }
    }
}

/* Which hosts of a service failed, and why, in a number: it is told when that changes. */
static uint64_t sum_failures(const struct wr_name *n, const struct wr_dns_answer *srvs)
{
    const struct wr_dns_answer *a;
    uint64_t sum = 0;
    uint32_t i;

    for (i = 0; i < n->target_cnt; i++) {
        a = n->targets[i] == NULL ? NULL : wr_dns_result(n->targets[i]);
        if (a != NULL && a->why != WR_DNS_FOUND) {
            sum += wr_hash_sip_lower(srvs->srvs[i].name, srvs->srvs[i].name_len) + a->why;
        }
    }
    return sum;
}

static void tell_target(const struct wr_name *n, const struct wr_dns_srv *srv, unsigned why)
{
    wr_log(NULL, WR_LOG_ERROR, "%.*s of %.*s could not be resolved (%u: %s)", (int)srv->name_len,
           srv->name, WR_STR_ARG(text_of(n)), why, wr_dns_why_text(why));
}

static void harvest_service(struct harvest *h, struct wr_name *n, const struct wr_dns_answer *srvs,
                            unsigned *why)
{
    const struct wr_dns_answer *a;
    const struct wr_dns_srv *srv;
    uint32_t i;

    bool is_news = sum_failures(n, srvs) != n->failed_sum;

    n->failed_sum = sum_failures(n, srvs);
    for (i = 0; i < n->target_cnt; i++) {
        srv = &srvs->srvs[i];
        a = n->targets[i] == NULL ? NULL : wr_dns_result(n->targets[i]);
        if (a == NULL) {
            continue; /* it names no host, or memory was out */
        }
        if (a->why == WR_DNS_FOUND) {
            harvest_addrs(h, a, srv);
            continue;
        }
        if (is_news) {
            tell_target(n, srv, a->why);
        }
        *why = a->why;
        h->until_ms = WR_MIN(h->until_ms, a->until_ms);
        harvest_kept(h, n, srv);
    }
}

/* --- the look-up --- */

static void begin(struct wr_name *n)
{
    uint64_t again_ms = wr_now_ms() + NEXT_MIN_MS;

    if (wr_dns_start(n->resolver->dns, n->kind, text_of(n), &n->task, &n->ask) != WR_OK) {
        wr_timer_arm(&n->timer, again_ms);
    }
}

/* Of all hosts of a service; one that cannot be asked for is left out this time. */
static void ask_targets(struct wr_name *n, const struct wr_dns_answer *srvs)
{
    const struct wr_dns_srv *srv;
    uint32_t i;

    for (i = 0; i < srvs->srv_cnt; i++) {
        srv = &srvs->srvs[i];
        if (srv->name_len > 0) {
            (void)!wr_dns_start(n->resolver->dns, WR_DNS_ADDRS, wr_str(srv->name, srv->name_len),
                                &n->task, &n->targets[i]);
        }
    }
    n->target_cnt = srvs->srv_cnt;
}

static bool has_all(const struct wr_name *n)
{
    uint32_t i;

    for (i = 0; i < n->target_cnt; i++) {
        if (n->targets[i] != NULL && wr_dns_result(n->targets[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static void finish(struct wr_name *n, const struct wr_dns_answer *a)
{
    struct harvest h = {.until_ms = a->until_ms};
    unsigned why = a->why;

    if (why == WR_DNS_FOUND) {
        h.at = wr_run_alloc(WR_NAME_ADDRS_MAX * sizeof(*h.at));
        why = h.at == NULL ? WR_DNS_NO_MEMORY : WR_DNS_NOT_FOUND;
    }
    if (h.at != NULL && n->kind == WR_DNS_ADDRS) {
        harvest_addrs(&h, a, NULL);
    } else if (h.at != NULL) {
        harvest_service(&h, n, a, &why);
    }
    end_asks(n);
    wr_timer_arm(&n->timer, WR_MAX(h.until_ms, wr_now_ms() + NEXT_MIN_MS));
    if (h.cnt == 0) {
        wr_mem_free(h.at);
        if (why != WR_DNS_TOO_MANY) { /* thousands of names at the start: it has its turn later */
            note_failure(n, why);
        }
        return;
    }
    h.cnt = put_in_order(h.at, h.cnt);
    note_success(n, &h);
}

static void run_name(struct wr_task *t)
{
    struct wr_name *n = wr_container_of(t, struct wr_name, task);
    const struct wr_dns_answer *a;

    if (wr_list_is_empty(&n->users)) {
        end_asks(n); /* the sweep takes it, or somebody attaches */
        wr_timer_disarm(&n->timer);
        return;
    }
    if (n->ask == NULL) {
        if (!wr_timer_is_armed(&n->timer)) {
            begin(n);
        }
        return;
    }
    a = wr_dns_result(n->ask);
    if (a == NULL) {
        return;
    }
    if (a->why == WR_DNS_FOUND && n->kind == WR_DNS_SERVICES && n->target_cnt == 0) {
        ask_targets(n, a);
    }
    if (has_all(n)) {
        finish(n, a);
    }
}

/* --- life --- */

static void free_name(struct wr_fixture *f)
{
    struct wr_name *n = wr_container_of(f, struct wr_name, fixture);

    end_asks(n);
    wr_timer_fini(&n->timer);
    wr_task_cancel(&n->task);
    wr_fixture_unref(&n->resolver->fixture);
    wr_mem_free(n->at);
    wr_mem_free(n);
}

static const struct wr_fixture_ops name_ops = {.kind = "name", .free = free_name};

enum wr_status wr_name_get(struct wr_fixtures *r, struct wr_resolver *resolver,
                           enum wr_dns_kind kind, struct wr_str text, struct wr_name **ret)
{
    char room[KEY_MAX_BYTES];
    struct wr_strbuf key;
    struct wr_fixture *f;
    struct wr_name *n;
    enum wr_status st;

    wr_strbuf_init_fixed(&key, room, sizeof(room));
    wr_strbuf_printf(&key, "%c %.*s ", kind == WR_DNS_ADDRS ? 'a' : 's', WR_STR_ARG(text));
    wr_strbuf_add(&key, resolver->fixture.name.ptr, resolver->fixture.name.len);
    f = wr_fixtures_get(r, &name_ops, wr_strbuf_str(&key), 0);
    if (f != NULL) {
        *ret = wr_container_of(f, struct wr_name, fixture);
        return WR_OK;
    }
    n = wr_run_zalloc(sizeof(*n));
    if (n == NULL) {
        return WR_ENOMEM;
    }
    n->resolver = resolver;
    n->kind = kind;
    n->text_len = (uint16_t)WR_MIN(text.len, (size_t)WR_DNS_NAME_MAX);
    memcpy(n->text, text.ptr, n->text_len);
    wr_list_init(&n->users);
    wr_task_init(&n->task, run_name, "name");
    wr_timer_init(&n->timer, &n->task);
    st = wr_fixtures_add(r, &n->fixture, &name_ops, wr_strbuf_str(&key), 0);
    if (st != WR_OK) {
        wr_mem_free(n);
        return st;
    }
    wr_fixture_ref(&resolver->fixture);
    *ret = n;
    return WR_OK;
}

void wr_name_attach(struct wr_name *n, struct wr_name_user *u)
{
    wr_fixture_ref(&n->fixture);
    wr_list_push(&n->users, &u->node);
    wr_task_wake(&n->task);
}

void wr_name_detach(struct wr_name *n, struct wr_name_user *u)
{
    wr_list_remove(&u->node);
    wr_task_wake(&n->task);
    wr_fixture_unref(&n->fixture);
}

struct wr_name_facts wr_name_look(const struct wr_name *n)
{
    return (struct wr_name_facts){
        .at = n->at, .cnt = n->cnt, .version = n->version, .is_answered = n->is_answered};
}
