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
#include "up/tally.h"

#define FAILS_SHIFT 48
#define PROBE_BIT   (UINT64_C(1) << 47)
#define SINCE_MASK  (PROBE_BIT - 1)

/* The moving mean of response times. */
#define MEAN_WEIGHT  8u /* a new value counts an eighth */
#define MEAN_HALF_MS 10000u
#define MEAN_MAX_MS  UINT64_C(10000000)

static void free_peer(struct wr_fixture *f)
{
    struct wr_peer *p = wr_container_of(f, struct wr_peer, fixture);

    wr_tally_drop(p->tally);
    wr_mem_free(p);
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
        p->tally = wr_tally_take();
        st = wr_fixtures_add(r, &p->fixture, &peer_ops, key, 0);
        if (st != WR_OK) {
            free_peer(&p->fixture);
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
    /* In one order with what a request that begins to wait does (up/queue.c). */
    uint64_t w = wr_load_seq(&m->peer->health);

    if (m->max_fails == 0 || fails_of(w) < m->max_fails) {
        return true;
    }
    return age_of(w, now_ms) >= m->fail_timeout_ms;
}

uint64_t wr_peer_due_ms(const struct wr_member *m)
{
    uint64_t w = wr_load_seq(&m->peer->health); /* as above */

    return m->max_fails == 0 || fails_of(w) < m->max_fails ? 0 : since_of(w) + m->fail_timeout_ms;
}

bool wr_peer_claim(const struct wr_member *m, uint64_t now_ms, bool *ret_probe)
{
    uint64_t w = wr_load_acq(&m->peer->health);

    if (m->max_fails == 0) {
        *ret_probe = false;
        return true;
    }
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

/* Slots in the common word and in the cells, which are read one by one: more may have been given
 * back than were seen. */
static uint32_t sum_active(const struct wr_peer *p, uint32_t word)
{
    uint32_t n = word + wr_tally_active(p->tally);

    return n > INT32_MAX ? 0 : n;
}

uint32_t wr_peer_active(const struct wr_peer *p)
{
    return sum_active(p, wr_load_seq(&p->active));
}

bool wr_peer_is_full(const struct wr_member *m)
{
    return m->max_conns != 0 && wr_peer_active(m->peer) >= m->max_conns;
}

/* False: max_conns is reached. */
static bool take_limited(const struct wr_member *m)
{
    uint32_t n = wr_load_seq(&m->peer->active);

    do {
        /* The others are of an older configuration, or of a line without a limit. */
        if (sum_active(m->peer, n) >= m->max_conns) {
            return false;
        }
    } while (!wr_cas_seq(&m->peer->active, &n, n + 1));
    return true;
}

/* Where this thread counts the slots of a member without a limit. */
static wr_atomic_u32 *active_of(const struct wr_member *m, struct wr_tally_cell *own)
{
    return own == NULL || m->counts_together ? &m->peer->active : &own->active;
}

static void count_request(struct wr_peer *p, struct wr_tally_cell *own)
{
    if (own == NULL) {
        wr_add_rlx(&p->requests, 1);
    } else {
        wr_store_rlx(&own->requests, wr_load_rlx(&own->requests) + 1); /* one writer */
    }
}

bool wr_peer_acquire(const struct wr_member *m, uint64_t now_ms, bool has_accounting,
                     bool *ret_probe)
{
    struct wr_tally_cell *own = wr_tally_own(m->peer->tally);
    wr_atomic_u32 *active = active_of(m, own);
    bool is_probe = false;

    if (m->max_conns != 0) {
        if (!take_limited(m)) {
            return false;
        }
    } else if (active == &m->peer->active) {
        wr_add_rlx(active, 1); /* no order is needed */
    } else {
        wr_store_rlx(active, wr_load_rlx(active) + 1); /* one writer */
    }
    if (has_accounting && !wr_peer_claim(m, now_ms, &is_probe)) {
        wr_peer_leave(m);
        return false;
    }
    count_request(m->peer, own);
    *ret_probe = is_probe;
    return true;
}

static uint64_t count_failure(const struct wr_health_in *in)
{
    uint64_t w = in->word;
    /* A peer that is out stays out: only a success clears it (U2.2). */
    bool is_first = age_of(w, in->now_ms) > in->fail_timeout_ms && fails_of(w) < in->max_fails;
    unsigned fails = is_first ? 1 : fails_of(w) + 1;

    return make_word(WR_MIN(fails, 0xffffu), false, WR_MAX(in->now_ms, since_of(w)));
}

/* The prober learned nothing: the next request may probe at once. */
static uint64_t make_due(const struct wr_health_in *in)
{
    uint64_t since = since_of(in->word);

    return make_word(fails_of(in->word), false,
                     since > in->fail_timeout_ms ? since - in->fail_timeout_ms : 0);
}

struct wr_health_out wr_health_after(const struct wr_health_in *in)
{
    struct wr_health_out out = {.word = in->word, .change = WR_HEALTH_SAME};
    uint64_t w = in->word;

    switch (in->how) {
    case WR_OUTCOME_OK:
        if (fails_of(w) != 0 && in->began_ms >= in->failed_at_ms) {
            out.word = 0;
            out.change = fails_of(w) >= in->max_fails ? WR_HEALTH_BACK : WR_HEALTH_CLEARED;
        }
        break;
    case WR_OUTCOME_FAILED:
        out.word = count_failure(in);
        out.change = WR_HEALTH_WORSE;
        break;
    case WR_OUTCOME_BROKE:
    case WR_OUTCOME_NEUTRAL:
        /* Unless a later probe has begun. */
        if (in->was_probe && (w & PROBE_BIT) != 0 && since_of(w) == (in->began_ms & SINCE_MASK)) {
            out.word = make_due(in);
            out.change = WR_HEALTH_DUE;
        }
        break;
    }
    return out;
}

static void note_failure_time(struct wr_peer *p, uint64_t now_ms)
{
    uint64_t t = wr_load_acq(&p->failed_at);

    while (t < now_ms && !wr_cas_acqrel(&p->failed_at, &t, now_ms)) {
    }
}

/* U2.1: a failure costs weight / max_fails; a pick gives one back (lb/rr.c). */
static void cut_weight(const struct wr_member *m)
{
    uint32_t cut = m->weight / m->max_fails, e = wr_load_rlx(m->effective);

    while (!wr_cas_acqrel(m->effective, &e, e > cut ? e - cut : 0)) {
    }
}

enum wr_health_change wr_peer_account(const struct wr_member *m, enum wr_outcome how,
                                      uint64_t began_ms, uint64_t now_ms, bool was_probe)
{
    struct wr_peer *p = m->peer;
    struct wr_health_in in = {.how = how,
                              .was_probe = was_probe,
                              .max_fails = m->max_fails,
                              .fail_timeout_ms = m->fail_timeout_ms,
                              .began_ms = began_ms,
                              .now_ms = now_ms};
    struct wr_health_out out;

    if (m->max_fails == 0) {
        return WR_HEALTH_SAME;
    }
    if (how == WR_OUTCOME_FAILED) {
        /* Before the word: who reads the word of this failure sees its time. */
        note_failure_time(p, now_ms);
    }
    in.word = wr_load_acq(&p->health);
    do {
        in.failed_at_ms = wr_load_acq(&p->failed_at);
        out = wr_health_after(&in);
    } while (out.change != WR_HEALTH_SAME && !wr_cas_seq(&p->health, &in.word, out.word));
    if (out.change == WR_HEALTH_WORSE) {
        wr_add_rlx(&p->failures, 1);
        cut_weight(m);
    } else if (out.change == WR_HEALTH_BACK && m->slow_start_ms != 0) {
        wr_store_rel(&p->slow_since, now_ms);
    }
    return out.change;
}

void wr_peer_leave(const struct wr_member *m)
{
    /* In one order with what a request that begins to wait does (up/queue.c). */
    wr_sub_seq(active_of(m, wr_tally_own(m->peer->tally)), 1);
}

void wr_peer_look(const struct wr_member *m, bool has_accounting, uint64_t now_ms,
                  struct wr_peer_facts *ret)
{
    uint64_t w = wr_load_acq(&m->peer->health);

    *ret = (struct wr_peer_facts){.fails = fails_of(w),
                                  .active = wr_peer_active(m->peer),
                                  .requests = wr_load_rlx(&m->peer->requests) +
                                              wr_tally_requests(m->peer->tally),
                                  .failures = wr_load_rlx(&m->peer->failures)};
    if (!has_accounting || m->max_fails == 0 || fails_of(w) < m->max_fails) {
        return;
    }
    ret->health = (w & PROBE_BIT) != 0 ? WR_PEER_PROBED : WR_PEER_OUT;
    if (age_of(w, now_ms) < m->fail_timeout_ms) {
        ret->for_ms = m->fail_timeout_ms - age_of(w, now_ms);
    }
}

unsigned wr_peer_ramp(const struct wr_member *m, uint64_t now_ms)
{
    uint64_t since, age;

    if (m->slow_start_ms == 0) {
        return 256;
    }
    since = wr_load_acq(&m->peer->slow_since);
    age = now_ms > since ? now_ms - since : 0;
    return since == 0 || age >= m->slow_start_ms ? 256 : (unsigned)(age * 256 / m->slow_start_ms);
}

/* The word of a mean: value 32 bits | low 32 bits of the time of its last change. */
static uint64_t mean_of(uint64_t w, uint64_t now_ms)
{
    uint32_t age = (uint32_t)now_ms - (uint32_t)w;

    /* A clock of another thread may be a turn ahead of this one's. */
    return age > INT32_MAX ? w >> 32 : (w >> 32) >> WR_MIN(age / MEAN_HALF_MS, 31u);
}

uint64_t wr_peer_mean_time(const struct wr_peer *p, enum wr_time_kind kind, uint64_t now_ms)
{
    /* A measure; nothing is ordered by it. */
    return mean_of(wr_load_rlx(&p->times[kind]), now_ms);
}

void wr_peer_note_time(struct wr_peer *p, enum wr_time_kind kind, uint64_t took_ms, uint64_t now_ms)
{
    uint64_t w = wr_load_rlx(&p->times[kind]), took = WR_MIN(took_ms, MEAN_MAX_MS) * 256, mean;

    do {
        mean = w == 0 ? took : (mean_of(w, now_ms) * (MEAN_WEIGHT - 1) + took) / MEAN_WEIGHT;
    } while (!wr_cas_acqrel(&p->times[kind], &w, (mean << 32) | (uint32_t)now_ms));
}
