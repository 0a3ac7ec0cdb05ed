/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.c: facts of a peer over all threads. One word holds the failure state (up/peer.h draws it)
 * and is changed by CAS only, so that exactly one request probes and a success clears only what is
 * older than itself. No function waits or locks.
 */
#include "up/peer.h"

#include <stddef.h>

#include "base/mem.h"
#include "base/obj.h"
#include "base/rng.h"

#define FAILS_SHIFT 48
#define PROBE_BIT   (UINT64_C(1) << 47)
#define SINCE_MASK  (PROBE_BIT - 1)

static void free_peer(struct wr_fixture *f)
{
    wr_mem_free(wr_container_of(f, struct wr_peer, fixture));
}

static const struct wr_fixture_ops peer_ops = {.kind = "peer", .free = free_peer};

static unsigned fails_of(uint64_t w)
{
    return (unsigned)(w >> FAILS_SHIFT);
}

static uint64_t since_of(uint64_t w)
{
    return w & SINCE_MASK;
}

/* How long ago that was; each thread has its own clock, and this one's may be a turn behind. */
static uint64_t age_of(uint64_t w, uint64_t now_ms)
{
    return now_ms > since_of(w) ? now_ms - since_of(w) : 0;
}

static uint64_t make_word(unsigned fails, bool is_probing, uint64_t since)
{
    return ((uint64_t)fails << FAILS_SHIFT) | (is_probing ? PROBE_BIT : 0) | (since & SINCE_MASK);
}

#define KEY_MAX 512

/* "GROUP ADDRESS". A group's name longer than the buffer is cut: then two groups may share facts,
 * which harms nobody. */
static struct wr_str write_key(char key[KEY_MAX], struct wr_str group, const struct wr_addr *addr)
{
    char text[WR_ADDR_TEXT_MAX];
    size_t text_len = wr_addr_write(addr, text);
    size_t n = WR_MIN(group.len, KEY_MAX - 1 - text_len);

    memcpy(key, group.ptr, n);
    key[n] = ' ';
    memcpy(key + n + 1, text, text_len);
    return wr_str(key, n + 1 + text_len);
}

/* NULL without memory. */
static struct wr_peer *make_peer(const struct wr_addr *addr)
{
    struct wr_peer *p = wr_run_zalloc(sizeof(*p));

    if (p != NULL) {
        p->id = wr_rng_u64();
        p->addr = *addr;
        p->text_len = (uint16_t)wr_addr_write(addr, p->text);
    }
    return p;
}

enum wr_status wr_peer_find(struct wr_fixtures *r, struct wr_str group, const struct wr_addr *addr,
                            struct wr_peer **ret)
{
    char room[KEY_MAX];
    struct wr_str key = write_key(room, group, addr);
    struct wr_fixture *f = wr_fixtures_get(r, &peer_ops, key, 0);
    struct wr_peer *p;
    enum wr_status st;

    if (f == NULL) {
        p = make_peer(addr);
        if (p == NULL) {
            return WR_ENOMEM;
        }
        st = wr_fixtures_add(r, &p->fixture, &peer_ops, key, 0);
        if (st != WR_OK) {
            wr_mem_free(p);
            return st;
        }
        f = &p->fixture;
    }
    *ret = wr_container_of(f, struct wr_peer, fixture);
    return WR_OK;
}

enum wr_status wr_peer_get(struct wr_fixtures *r, struct wr_gen *g, struct wr_str group,
                           const struct wr_addr *addr, struct wr_peer **ret)
{
    struct wr_peer *p = NULL;
    enum wr_status st;

    if (r != NULL) {
        st = wr_peer_find(r, group, addr, &p);
        if (st == WR_OK) {
            st = wr_gen_use(g, &p->fixture);
        }
    } else {
        /* A dry run: nothing is kept, the generation's arena ends it. */
        p = make_peer(addr);
        if (p == NULL) {
            return WR_ENOMEM;
        }
        st = wr_arena_on_fini(&g->arena, wr_mem_free, p);
        if (st != WR_OK) {
            wr_mem_free(p);
        }
    }
    if (st == WR_OK) {
        *ret = p;
    }
    return st;
}

bool wr_peer_is_healthy(const struct wr_member *m, uint64_t now_ms)
{
    uint64_t w = wr_load_acq(&m->peer->health);

    if (m->max_fails == 0 || fails_of(w) < m->max_fails) {
        return true;
    }
    return age_of(w, now_ms) >= m->fail_timeout_ms;
}

/* WR_OUT peers whose time is over are taken by one prober. False: another one was faster. */
static bool claim_probe(const struct wr_member *m, uint64_t now_ms, bool *ret_probe)
{
    uint64_t w = wr_load_acq(&m->peer->health);

    do {
        if (fails_of(w) < m->max_fails) {
            *ret_probe = false;
            return true;
        }
        if (age_of(w, now_ms) < m->fail_timeout_ms) {
            return false;
        }
    } while (!wr_cas_acqrel(&m->peer->health, &w, make_word(fails_of(w), true, now_ms)));
    *ret_probe = true;
    return true;
}

bool wr_peer_acquire(const struct wr_member *m, uint64_t now_ms, bool has_accounting,
                     bool *ret_probe)
{
    bool is_probe = false;
    uint32_t n;

    if (m->max_conns != 0) {
        n = wr_load_seq(&m->peer->active);
        do {
            if (n >= m->max_conns) {
                return false;
            }
        } while (!wr_cas_seq(&m->peer->active, &n, n + 1));
    } else {
        /* Read by least_conn and by status; no order is needed. */
        wr_add_rlx(&m->peer->active, 1);
    }
    if (has_accounting && m->max_fails != 0 && !claim_probe(m, now_ms, &is_probe)) {
        wr_sub_seq(&m->peer->active, 1);
        return false;
    }
    wr_add_rlx(&m->peer->requests, 1);
    *ret_probe = is_probe;
    return true;
}

static void count_failure(const struct wr_member *m, uint64_t now_ms)
{
    uint64_t w = wr_load_acq(&m->peer->health), next;
    unsigned fails;
    uint32_t e, cut;

    do {
        /* A peer that is out stays out: only a success clears it (U2.2). */
        fails = age_of(w, now_ms) > m->fail_timeout_ms && fails_of(w) < m->max_fails
                    ? 1
                    : fails_of(w) + 1;
        next = make_word(WR_MIN(fails, 0xffffu), false, WR_MAX(now_ms, since_of(w)));
    } while (!wr_cas_acqrel(&m->peer->health, &w, next));
    wr_add_rlx(&m->peer->failures, 1);
    /* U2.1: a failure costs weight / max_fails; a pick gives one back (lb/rr.c). */
    cut = m->weight / m->max_fails;
    e = wr_load_rlx(m->effective);
    while (!wr_cas_acqrel(m->effective, &e, e > cut ? e - cut : 0)) {
    }
}

static void clear_failures(const struct wr_member *m, uint64_t began_ms, bool was_probe)
{
    uint64_t w = wr_load_acq(&m->peer->health);

    /*
     * Only failures that are older than this attempt's start (U2.2). While PROBE_BIT is on `since`
     * is when the latest probe began, and no failure came behind it: then any probe clears.
     */
    while (fails_of(w) != 0 && (began_ms >= since_of(w) || (was_probe && (w & PROBE_BIT) != 0))) {
        if (wr_cas_acqrel(&m->peer->health, &w, 0)) {
            return;
        }
    }
}

/* The prober learned nothing: the next request may probe at once, unless a later probe has begun.
 */
static void give_up_probe(const struct wr_member *m, uint64_t began_ms)
{
    uint64_t w = wr_load_acq(&m->peer->health), since;

    while ((w & PROBE_BIT) != 0 && since_of(w) == (began_ms & SINCE_MASK)) {
        since = since_of(w) > m->fail_timeout_ms ? since_of(w) - m->fail_timeout_ms : 0;
        if (wr_cas_acqrel(&m->peer->health, &w, make_word(fails_of(w), false, since))) {
            return;
        }
    }
}

void wr_peer_release(const struct wr_member *m, enum wr_outcome how, uint64_t began_ms,
                     uint64_t now_ms, bool has_accounting, bool was_probe)
{
    if (has_accounting && m->max_fails != 0) {
        switch (how) {
        case WR_OUTCOME_OK:
            clear_failures(m, began_ms, was_probe);
            break;
        case WR_OUTCOME_FAILED:
            count_failure(m, now_ms);
            break;
        case WR_OUTCOME_BROKE:
        case WR_OUTCOME_NEUTRAL:
            if (was_probe) {
                give_up_probe(m, began_ms);
            }
            break;
        }
    }
    wr_sub_seq(&m->peer->active, 1);
}

void wr_peer_look(const struct wr_member *m, bool has_accounting, uint64_t now_ms,
                  struct wr_peer_facts *ret)
{
    uint64_t w = wr_load_acq(&m->peer->health);

    *ret = (struct wr_peer_facts){.fails = fails_of(w),
                                  .active = wr_load_rlx(&m->peer->active),
                                  .requests = wr_load_rlx(&m->peer->requests),
                                  .failures = wr_load_rlx(&m->peer->failures)};
    if (!has_accounting || m->max_fails == 0 || fails_of(w) < m->max_fails) {
        return;
    }
    ret->health = (w & PROBE_BIT) != 0 ? WR_PEER_PROBED : WR_PEER_OUT;
    if (age_of(w, now_ms) < m->fail_timeout_ms) {
        ret->for_ms = m->fail_timeout_ms - age_of(w, now_ms);
    }
}
