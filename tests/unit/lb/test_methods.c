/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_methods.c: what every balancing method owes (U2.4, U2.7, U2.8): shares by weight within 1 %
 * over 100,000 requests and several threads, threads that begin at different members, no allocation
 * in a pick, nobody chosen who may not be, everybody found who may; and what a pick costs, printed.
 */
#include "unit/up/t.h"

#include <pthread.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/local.h"
#include "base/rng.h"
#include "lb/hash.c" /* allow(path): it is asked by key, without a request */
#include "lb/lb_int.h"
#include "up/pick.h"

enum {
    NOW = 1000000,
    THREADS = 4,
    REQUESTS = 100000
};

/* A key for each pick; the requests that bring them are not needed. */
static _Thread_local unsigned key_no;

static struct wr_str next_key(char *buf, size_t size)
{
    int n = snprintf(buf, size, "/path/%u", key_no++);

    return wr_str(buf, (size_t)n);
}

static enum wr_status pick_any_key(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    char buf[32];

    return pick_by_key(ctx, next_key(buf, sizeof(buf)), ret_i);
}

static enum wr_status pick_any_point(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    char buf[32];

    return pick_on_ring(ctx, next_key(buf, sizeof(buf)), ret_i);
}

static enum wr_status pick_any_client(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    struct wr_addr a = {0};
    uint32_t n = key_no++;

    /* Networks of 256 addresses, far and near. */
    n = (n * 2654435761u) & 0xffffff00u;
    a.u.in.sin_family = AF_INET;
    memcpy(&a.u.in.sin_addr,
           (uint8_t[]){(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), 1}, 4);
    a.len = sizeof(a.u.in);
    return pick_by_address(ctx, &a, ret_i);
}

static const struct wr_lb keyed = {
    .name = "hash", .group_init = wr_lb_shares_init, .pick = pick_any_key};
static const struct wr_lb ring = {
    .name = "hash consistent", .group_init = init_ring, .pick = pick_any_point};
static const struct wr_lb client = {
    .name = "ip_hash", .group_init = wr_lb_shares_init, .pick = pick_any_client};
static const struct wr_lb_random_conf two = {.is_two = true};
static const struct wr_lb_least_conf header = {.load = WR_LOAD_HEADER};

/* clang-format off */
static const struct method {
    const char *name;
    const struct wr_lb *lb;
    const void *conf;
    bool has_zone;
    double allowed;  /* how far off its share a member may be */
    bool is_in_turn; /* its threads begin at different members */
    bool has_backups;
    bool is_serial;  /* a thread at a time: a peer that is held while a thread sleeps gets less */
} methods[] = {
    {"round robin",           &wr_lb_rr,         NULL,    false, 0.01, true,  true, false},
    {"round robin, zone",     &wr_lb_rr,         NULL,    true,  0.001, false, true, false},
    {"least_conn",            &wr_lb_least_conn, NULL,    false, 0.01, true,  true, true},
    {"least_conn, zone",      &wr_lb_least_conn, NULL,    true,  0.01, false, true, true},
    {"least_time header",     &wr_lb_least_time, &header, false, 0.01, true,  true, true},
    {"random",                &wr_lb_random,     NULL,    false, 0.03, false, false, false},
    {"random two",            &wr_lb_random,     &two,    false, 0.05, false, false, true},
    {"hash",                  &keyed,            NULL,    false, 0.05, false, false, false},
    /* 160 points a unit: the shares of ketama spread by about 1 / sqrt(160). */
    {"hash consistent",       &ring,             NULL,    false, 0.30, false, false, false},
    {"ip_hash",               &client,           NULL,    false, 0.05, false, false, false},
};

/* clang-format on */

struct kit {
    struct world *w;
    struct wr_arena arena;
    char (*names)[32];
};

static struct kit *make_kit(const struct method *md, uint32_t cnt)
{
    struct kit *k = wr_mem_alloc(sizeof(*k));

    k->w = world_new(cnt);
    k->names = wr_mem_alloc(cnt * sizeof(*k->names));
    wr_arena_init(&k->arena, (size_t)1 << 30);
    k->w->m.arena = &k->arena;
    k->w->m.lb = md->lb;
    k->w->m.lb_conf = md->conf;
    k->w->m.has_zone = md->has_zone;
    for (uint32_t i = 0; i < cnt; i++) {
        int n = snprintf(k->names[i], sizeof(k->names[i]), "10.%u.%u.%u:80",
                         (unsigned)(i >> 16) & 255, (unsigned)(i >> 8) & 255, (unsigned)i & 255);

        k->w->m.at[i].server = wr_str(k->names[i], (size_t)n);
    }
    return k;
}

/* Weights are set: the tables of the method. */
static void build(struct kit *k)
{
    if (k->w->m.lb->group_init != NULL) {
        assert_int_equal(k->w->m.lb->group_init(&k->w->m, &k->w->m.lb_state), WR_OK);
    }
}

static void free_kit(struct kit *k)
{
    world_free(k->w);
    wr_arena_fini(&k->arena);
    wr_mem_free(k->names);
    wr_mem_free(k);
}

/* --- shares --- */

struct sharer {
    struct world *w;
    uint32_t no, first;
    uint32_t *cnt;
    bool is_whole;
};

static void *share(void *data)
{
    struct sharer *t = data;

    wr_local_start();
    wr_local_get()->thread_no = t->no;
    key_no = t->no * (REQUESTS / THREADS);
    wr_rng_seed(t->no + 1);
    for (uint32_t k = 0; k < REQUESTS / THREADS; k++) {
        struct wr_picker p;
        struct wr_peer_slot s;
        uint32_t i;

        if (wr_picker_init(&p, &t->w->m, NULL, NULL) != WR_OK ||
            wr_pick(&p, NOW, t->no, &s) != WR_OK) {
            return NULL;
        }
        if (k == 0) {
            /* From the second one on nothing is allocated. */
            wr_mem_fault_set(1);
        }
        i = (uint32_t)(s.member - t->w->m.at);
        t->first = k == 0 ? i : t->first;
        t->cnt[i]++;
        wr_peer_slot_release(&s, WR_OUTCOME_OK, NOW);
    }
    wr_mem_fault_set(0);
    t->is_whole = true;
    return NULL;
}

/* By least_time idle peers with more weight come first, always: here all have the same. */
static uint32_t weight_of_member(const struct method *md, uint32_t i)
{
    return md->lb == &wr_lb_least_time ? 1 : 1 + i % 3;
}

static void share_by_weight(const struct method *md, uint32_t cnt)
{
    struct kit *k = make_kit(md, cnt);
    struct sharer t[THREADS];
    pthread_t id[THREADS];
    uint32_t total = 0, firsts = 0;
    double worst = 0;

    for (uint32_t i = 0; i < cnt; i++) {
        world_weight(k->w, i, weight_of_member(md, i));
        total += weight_of_member(md, i);
    }
    build(k);
    for (uint32_t n = 0; n < THREADS; n++) {
        t[n] = (struct sharer){.w = k->w, .no = n, .cnt = wr_mem_alloc(cnt * sizeof(*t[n].cnt))};
        assert_int_equal(pthread_create(&id[n], NULL, share, &t[n]), 0);
        if (md->is_serial) {
            assert_int_equal(pthread_join(id[n], NULL), 0);
        }
    }
    for (uint32_t n = 0; n < THREADS && !md->is_serial; n++) {
        assert_int_equal(pthread_join(id[n], NULL), 0);
    }
    for (uint32_t i = 0; i < cnt; i++) {
        double sum = 0, want = (double)REQUESTS * weight_of_member(md, i) / total, off;

        for (uint32_t n = 0; n < THREADS; n++) {
            sum += t[n].cnt[i];
        }
        off = sum > want ? sum / want - 1 : 1 - sum / want;
        worst = off > worst ? off : worst;
    }
    for (uint32_t n = 0; n < THREADS; n++) {
        assert_true(t[n].is_whole);
        for (uint32_t o = 0; o < n; o++) {
            firsts += t[n].first != t[o].first;
        }
        wr_mem_free(t[n].cnt);
    }
    print_message("  %s, %u peers: shares within %.2f %%\n", md->name, (unsigned)cnt, worst * 100);
    assert_true(worst <= md->allowed);
    if (md->is_in_turn) {
        assert_true(firsts >= 5); /* of 6 pairs */
    }
    free_kit(k);
}

static void shares_follow_weights(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(methods); i++) {
        share_by_weight(&methods[i], 10);
    }
    share_by_weight(&methods[0], 100);
    share_by_weight(&methods[2], 100); /* the heap of least_conn */
    share_by_weight(&methods[3], 100);
}

/* --- who may be chosen --- */

/* Of 40 members one is left, whichever: it is found. Then nobody is. */
static void the_last_one_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(methods); i++) {
        for (uint32_t cnt = 3; cnt <= 40; cnt += 37) {
            struct kit *k = make_kit(&methods[i], cnt);
            struct wr_lb_ctx ctx = {.members = &k->w->m, .now_ms = NOW};
            uint32_t got = 0;

            build(k);
            assert_int_equal(k->w->m.lb->pick(&ctx, &got), WR_OK);
            for (uint32_t n = 0; n < cnt; n++) {
                k->w->m.at[n].max_conns = 1;
                wr_store_seq(&k->w->peers[n].active, 1);
            }
            assert_int_equal(k->w->m.lb->pick(&ctx, &got), WR_EOF);
            for (uint32_t n = 0; n < cnt; n++) {
                wr_store_seq(&k->w->peers[n].active, 0);
                assert_int_equal(k->w->m.lb->pick(&ctx, &got), WR_OK);
                assert_int_equal(got, n);
                wr_store_seq(&k->w->peers[n].active, 1);
            }
            free_kit(k);
        }
    }
}

/* A request that tries them all meets each once; backups, where the method has them, last (U2.4).
 */
static void all_are_tried_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(methods); i++) {
        struct kit *k = make_kit(&methods[i], 60);
        uint32_t backups = 0;

        for (uint32_t n = 0; n < 60 && methods[i].has_backups; n += 7) {
            world_backup(k->w, n);
            backups++;
        }
        build(k);
        for (int round = 0; round < 20; round++) {
            bool seen[60] = {false};
            struct wr_picker p;
            struct wr_peer_slot s;
            uint32_t cnt = 0;

            assert_int_equal(wr_picker_init(&p, &k->w->m, NULL, NULL), WR_OK);
            while (wr_pick(&p, NOW, 0, &s) == WR_OK) {
                uint32_t at = (uint32_t)(s.member - k->w->m.at);

                assert_false(seen[at]);
                seen[at] = true;
                assert_int_equal(s.member->is_backup, cnt >= 60 - backups);
                cnt++;
                wr_peer_slot_release(&s, WR_OUTCOME_NEUTRAL, NOW);
            }
            assert_int_equal(cnt, 60);
        }
        free_kit(k);
    }
}

/* least_conn with many members: the least busy by weight, also after what other threads did. */
static void least_conn_finds_the_least_busy(void **state)
{
    enum {
        CNT = 100
    };
    struct kit *k = make_kit(&methods[2], CNT);
    struct wr_peer_slot s[CNT * 4] = {{0}};
    uint32_t held[CNT] = {0};
    struct wr_picker p;

    (void)state;
    for (uint32_t i = 0; i < CNT; i++) {
        world_weight(k->w, i, 1 + i % 2);
    }
    for (uint32_t n = 0; n < WR_ARRAY_LEN(s); n++) {
        assert_int_equal(wr_picker_init(&p, &k->w->m, NULL, NULL), WR_OK);
        assert_int_equal(wr_pick(&p, NOW, 0, &s[n]), WR_OK);
        held[s[n].member - k->w->m.at]++;
    }
    for (uint32_t i = 0; i < CNT; i++) {
        assert_in_range(held[i], 2 * (1 + i % 2), 3 * (1 + i % 2)); /* 400 over weights of 150 */
    }
    /* Another thread takes 50 of member 7's, behind our back: it is not asked any more. */
    wr_add_seq(&k->w->peers[7].active, 50);
    for (int n = 0; n < 50; n++) {
        struct wr_peer_slot t;

        assert_int_equal(wr_picker_init(&p, &k->w->m, NULL, NULL), WR_OK);
        assert_int_equal(wr_pick(&p, NOW, 0, &t), WR_OK);
        assert_int_not_equal(t.member - k->w->m.at, 7);
        wr_peer_slot_release(&t, WR_OUTCOME_OK, NOW);
    }
    wr_sub_seq(&k->w->peers[7].active, 50);
    for (uint32_t n = 0; n < WR_ARRAY_LEN(s); n++) {
        wr_peer_slot_release(&s[n], WR_OUTCOME_OK, NOW);
    }
    free_kit(k);
}

/* --- cost --- */

/* 64 requests under way, as the bench has them; the best of some batches: others use the machine.
 */
static unsigned cost_ns(const struct method *md, uint32_t cnt)
{
    enum {
        BATCH = 5000,
        BATCHES = 8
    };
    struct kit *k = make_kit(md, cnt);
    struct wr_peer_slot s[64] = {{0}};
    uint64_t began = wr_clock_mono_us(), now, best = UINT64_MAX;
    struct wr_picker p;

    build(k);
    for (uint32_t n = 0; n < BATCH * BATCHES; n++) {
        if (n % BATCH == 0) {
            now = wr_clock_mono_us();
            best = n > BATCH ? WR_MIN(best, now - began) : best;
            began = now;
        }
        wr_peer_slot_release(&s[n % 64], WR_OUTCOME_OK, NOW + n / 50);
        assert_int_equal(wr_picker_init(&p, &k->w->m, NULL, NULL), WR_OK);
        assert_int_equal(wr_pick(&p, NOW + n / 50, 0, &s[n % 64]), WR_OK);
    }
    for (uint32_t n = 0; n < 64; n++) {
        wr_peer_slot_release(&s[n], WR_OUTCOME_OK, NOW);
    }
    free_kit(k);
    return (unsigned)(best * 1000 / BATCH);
}

/* Not a test of speed, only numbers for whoever changes a method. */
static void what_a_pick_costs(void **state)
{
    (void)state;
    wr_local_get()->thread_no = 0;
    for (size_t i = 0; i < WR_ARRAY_LEN(methods); i++) {
        print_message("  %s: a pick of 10 %u ns, of 10,000 %u ns\n", methods[i].name,
                      cost_ns(&methods[i], 10), cost_ns(&methods[i], 10000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_weights), cmocka_unit_test(the_last_one_is_found),
        cmocka_unit_test(all_are_tried_once), cmocka_unit_test(least_conn_finds_the_least_busy),
        cmocka_unit_test(what_a_pick_costs)};

    return cmocka_run_group_tests_name("lb/methods", tests, NULL, NULL);
}
