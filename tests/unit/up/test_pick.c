/* SPDX-License-Identifier: Apache-2.0 */
/* test_pick.c: tiers, tried set, full and down peers, the way to the backups (U2.3 to U2.6), races
 * for a slot. */
#include "unit/up/t.h"

#include "up/pick.h"

enum {
    NOW = 1000000
};

/* Picks until nobody is left; indices into got, -1 at the end; slots are held. */
static unsigned pick_all(struct world *w, struct wr_picker *p, struct wr_peer_slot *slots, int *got,
                         unsigned max)
{
    unsigned n = 0;

    while (n < max && wr_pick(p, NOW, 0, &slots[n]) == WR_OK) {
        got[n] = (int)(slots[n].member - w->m.at);
        n++;
    }
    return n;
}

static void release_all(struct wr_peer_slot *slots, unsigned n, enum wr_outcome how)
{
    for (unsigned i = 0; i < n; i++) {
        wr_peer_slot_release(&slots[i], how, NOW);
        wr_peer_slot_release(&slots[i], how, NOW); /* idempotent */
        assert_null(slots[i].member);
    }
}

static void no_peer_twice_and_backups_last(void **state)
{
    struct world *w = world_new(5);
    struct wr_picker p;
    struct wr_peer_slot slots[8];
    int got[8];
    unsigned n;

    (void)state;
    world_backup(w, 1);
    world_backup(w, 3);
    w->m.at[2].is_down = true;
    assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
    n = pick_all(w, &p, slots, got, 8);
    assert_int_equal(n, 4);
    assert_int_equal(got[0] + got[1], 0 + 4);
    assert_int_equal(got[2] + got[3], 1 + 3);
    assert_int_equal(p.tier, 1);
    release_all(slots, n, WR_OUTCOME_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(wr_load_seq(&w->peers[i].active), 0);
    }
    world_free(w);
}

/* U2.4: it does not return to primaries that are well again. */
static void there_is_no_way_back_from_backups(void **state)
{
    struct world *w = world_new(3);
    struct wr_picker p;
    struct wr_peer_slot s;

    (void)state;
    world_backup(w, 2);
    w->m.at[0].is_down = w->m.at[1].is_down = true;
    assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_pick(&p, NOW, 0, &s), WR_OK);
    assert_ptr_equal(s.member, &w->m.at[2]);
    wr_peer_slot_release(&s, WR_OUTCOME_FAILED, NOW);
    w->m.at[0].is_down = w->m.at[1].is_down = false;
    assert_int_equal(wr_pick(&p, NOW, 0, &s), WR_EOF);
    world_free(w);
}

static void full_peers_are_passed_over(void **state)
{
    struct world *w = world_new(3);
    struct wr_picker a, b, c;
    struct wr_peer_slot s[3];

    (void)state;
    world_backup(w, 2);
    w->m.at[0].max_conns = 1;
    w->m.at[1].is_down = true;
    assert_int_equal(wr_picker_init(&a, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_picker_init(&b, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_picker_init(&c, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_pick(&a, NOW, 0, &s[0]), WR_OK);
    assert_ptr_equal(s[0].member, &w->m.at[0]);
    assert_int_equal(wr_pick(&b, NOW, 0, &s[1]), WR_OK);
    assert_ptr_equal(s[1].member, &w->m.at[2]);
    wr_peer_slot_release(&s[0], WR_OUTCOME_OK, NOW);
    assert_int_equal(wr_pick(&c, NOW, 0, &s[2]), WR_OK);
    assert_ptr_equal(s[2].member, &w->m.at[0]);
    /* U2.6: the same again: the slot is kept, unless the peer is out by now. */
    assert_true(wr_pick_again(&s[2], NOW + 5));
    assert_int_equal(s[2].began_ms, NOW + 5);
    assert_int_equal(wr_load_seq(&w->peers[0].active), 1);
    (void)wr_peer_account(&w->m.at[0], WR_OUTCOME_FAILED, NOW + 6, NOW + 6, false);
    assert_false(wr_pick_again(&s[2], NOW + 7));
    assert_false(s[2].is_probe);
    assert_true(wr_pick_again(&s[2], NOW + 6 + 10000));
    assert_true(s[2].is_probe);
    assert_true(wr_pick_again(&s[2], NOW + 7 + 10000));
    assert_int_equal(wr_load_seq(&w->peers[0].active), 1);
    release_all(s, 3, WR_OUTCOME_OK);
    assert_int_equal(wr_load_seq(&w->peers[0].active), 0);
    world_free(w);
}

static void failed_peers_wait_and_are_probed_once(void **state)
{
    struct world *w = world_new(2);
    struct wr_picker p;
    struct wr_peer_slot s, t;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
        assert_int_equal(wr_pick(&p, NOW, 0, &s), WR_OK);
        assert_false(s.is_probe);
        wr_peer_slot_release(&s, WR_OUTCOME_FAILED, NOW);
    }
    assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_pick(&p, NOW + 9999, 0, &s), WR_EOF);
    assert_int_equal(wr_pick(&p, NOW + 10000, 0, &s), WR_OK);
    assert_true(s.is_probe);
    assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_pick(&p, NOW + 10000, 0, &t), WR_OK);
    assert_true(t.is_probe);
    assert_ptr_not_equal(s.member, t.member);
    assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
    wr_peer_slot_release(&t, WR_OUTCOME_NEUTRAL, NOW + 10000);
    assert_int_equal(wr_pick(&p, NOW + 10000, 0, &t), WR_OK);
    wr_peer_slot_release(&t, WR_OUTCOME_OK, NOW + 10001);
    wr_peer_slot_release(&s, WR_OUTCOME_OK, NOW + 10001);
    world_free(w);
}

/* U2.2: the only peer of a group is exempt from accounting, not from down and max_conns. */
static void the_only_peer_is_exempt(void **state)
{
    struct world *w = world_new(1);
    struct wr_picker p;
    struct wr_peer_slot s, t;

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
        assert_int_equal(wr_pick(&p, NOW, 0, &s), WR_OK);
        assert_int_equal(wr_pick(&p, NOW, 0, &t), WR_EOF);
        wr_peer_slot_release(&s, WR_OUTCOME_FAILED, NOW);
    }
    w->m.at[0].max_conns = 1;
    assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_pick(&p, NOW, 0, &s), WR_OK);
    assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_pick(&p, NOW, 0, &t), WR_EOF);
    wr_peer_slot_release(&s, WR_OUTCOME_OK, NOW);
    w->m.at[0].is_down = true;
    assert_int_equal(wr_pick(&p, NOW, 0, &t), WR_EOF);
    world_free(w);
}

static void more_than_64_members(void **state)
{
    static const uint32_t counts[] = {64, 65, 128, 200};
    struct wr_arena a;

    (void)state;
    for (size_t k = 0; k < WR_ARRAY_LEN(counts); k++) {
        uint32_t cnt = counts[k], seen = 0;
        struct world *w = world_new(cnt);
        struct wr_peer_slot slots[256];
        struct wr_picker p;
        bool was[256] = {false};
        int got[256];
        unsigned n;

        wr_arena_init(&a, 65536);
        assert_int_equal(wr_picker_init(&p, &w->m, &a, NULL), WR_OK);
        assert_null(p.tried); /* nothing is allocated for the first pick */
        n = pick_all(w, &p, slots, got, 256);
        assert_int_equal(p.tried == &p.inline_tried, cnt <= 64);
        assert_int_equal(n, cnt);
        for (unsigned i = 0; i < n; i++) {
            seen += !was[got[i]];
            was[got[i]] = true;
        }
        assert_int_equal(seen, cnt);
        release_all(slots, n, WR_OUTCOME_OK);
        wr_arena_fini(&a);
        world_free(w);
    }
    /* No memory for the set: said at once. */
    struct world *w = world_new(65);
    struct wr_picker p;
    struct wr_peer_slot s, t;

    wr_arena_init(&a, 65536);
    assert_int_equal(wr_picker_init(&p, &w->m, &a, NULL), WR_OK);
    assert_int_equal(wr_pick(&p, NOW, 0, &s), WR_OK);
    wr_mem_fault_set(1);
    assert_int_equal(wr_pick(&p, NOW, 0, &t), WR_ENOMEM);
    wr_mem_fault_set(0);
    wr_peer_slot_release(&s, WR_OUTCOME_OK, NOW);
    wr_arena_fini(&a);
    world_free(w);
}

/* A balancer that never learns: the slot it names is always taken by another. */
static enum wr_status stubborn(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    (void)ctx;
    *ret_i = 0;
    return WR_OK;
}

/* A list of the same peers turned round, one of them gone, one new: what was tried stays tried. */
static void another_list_is_followed(void **state)
{
    static const uint32_t counts[] = {2, 5, 64, 65, 200};
    struct wr_arena a;

    (void)state;
    for (size_t k = 0; k < WR_ARRAY_LEN(counts); k++) {
        for (uint32_t tried = 0; tried < 4 && tried < counts[k]; tried++) {
            uint32_t cnt = counts[k], got = 0, i;
            struct world *w = world_new(cnt), *next = world_new(cnt);
            struct wr_peer_slot s;
            struct wr_picker p;
            bool was[256] = {false};

            next->m.group = &w->group;
            for (i = 1; i < cnt; i++) {
                next->m.at[i].peer = &w->peers[cnt - i];
            }
            wr_arena_init(&a, 65536);
            assert_int_equal(wr_picker_init(&p, &w->m, &a, NULL), WR_OK);
            for (i = 0; i < tried; i++) {
                assert_int_equal(wr_pick(&p, NOW, 0, &s), WR_OK);
                was[s.member - w->m.at] = true;
                wr_peer_slot_release(&s, WR_OUTCOME_NEUTRAL, NOW);
            }
            assert_int_equal(wr_picker_follow(&p, &next->m), WR_OK);
            assert_true(wr_picker_accepts(&p, 0));
            for (i = 1; i < cnt; i++) {
                assert_int_equal(wr_picker_accepts(&p, i), !was[cnt - i]);
            }
            /* A slot that was handed over before the list changed counts in the new one. */
            for (i = 1; i < cnt && was[i]; i++) {
            }
            if (i < cnt) {
                assert_true(wr_pick_member(&w->m, i, NOW, &s));
                wr_picker_adopt(&p, &s);
                assert_false(wr_picker_accepts(&p, cnt - i));
                wr_peer_slot_release(&s, WR_OUTCOME_NEUTRAL, NOW);
                was[i] = true;
            }
            while (wr_pick(&p, NOW, 0, &s) == WR_OK) {
                assert_int_equal(s.members == &next->m, true);
                got++;
                wr_peer_slot_release(&s, WR_OUTCOME_NEUTRAL, NOW);
            }
            for (i = 1; i < cnt; i++) {
                got += was[i];
            }
            assert_int_equal(got, cnt);
            wr_arena_fini(&a);
            world_free(next);
            world_free(w);
        }
    }
}

static void lost_races_end(void **state)
{
    static const struct wr_lb lb = {.name = "stubborn", .params = WR_LB_ALL, .pick = stubborn};
    struct world *w = world_new(2);
    struct wr_picker p;
    struct wr_peer_slot s;

    (void)state;
    w->m.lb = &lb;
    w->m.at[0].max_conns = 1;
    wr_store_seq(&w->peers[0].active, 1);
    assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_pick(&p, NOW, 0, &s), WR_EOF);
    assert_int_equal(wr_load_seq(&w->peers[0].active), 1);
    world_free(w);
}

/* U2.8: with a zone one order over all threads, without one an order for each. */
static void zones_make_one_order(void **state)
{
    static const char *const want[] = {"0110", "0101"}; /* thread 1 begins with the other one */

    (void)state;
    for (int zone = 0; zone < 2; zone++) {
        struct world *w = world_new(2);
        char got[5] = "";

        w->m.has_zone = zone == 1;
        for (uint32_t i = 0; i < 4; i++) {
            struct wr_picker p;
            struct wr_peer_slot s;

            assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
            assert_int_equal(wr_pick(&p, NOW, i % 2, &s), WR_OK); /* threads 0 1 0 1 */
            got[i] = (char)('0' + (s.member - w->m.at));
            wr_peer_slot_release(&s, WR_OUTCOME_OK, NOW);
        }
        assert_string_equal(got, want[zone]);
        world_free(w);
    }
}

/* With one peer round robin is not asked, and nobody sees a difference. */
static void one_alone_is_picked_as_by_its_method(void **state)
{
    (void)state;
    for (unsigned alone = 0; alone < 2; alone++) {
        struct world *w = world_new(1);
        struct wr_picker p;
        struct wr_peer_slot s[2];
        int got[2];

        w->m.is_alone = alone != 0;
        w->m.at[0].max_conns = 1;
        assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
        assert_int_equal(pick_all(w, &p, s, got, 2), 1); /* once a request */
        assert_int_equal(got[0], 0);
        assert_ptr_equal(s[0].members, &w->m);
        assert_false(s[0].is_probe);
        assert_int_equal(wr_load_seq(&w->peers[0].active), 1);
        assert_false(wr_picker_accepts(&p, 0));
        assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
        assert_int_equal(wr_pick(&p, NOW, 0, &s[1]), WR_EOF); /* full */
        assert_true(wr_picker_accepts(&p, 0));
        release_all(s, 1, WR_OUTCOME_OK);
        assert_int_equal(wr_load_seq(&w->peers[0].active), 0);
        w->m.at[0].is_draining = true;
        assert_int_equal(wr_pick(&p, NOW, 0, &s[1]), WR_EOF);
        w->m.at[0].is_draining = false;
        w->m.at[0].is_down = true;
        assert_int_equal(wr_pick(&p, NOW, 0, &s[1]), WR_EOF);
        w->m.at[0].is_down = false;
        /* What failures took in another list comes back pick by pick (U2.1). */
        world_weight(w, 0, 2);
        wr_store_rlx(&w->effective[0], 1);
        assert_int_equal(wr_pick(&p, NOW, 0, &s[1]), WR_OK);
        assert_int_equal(wr_load_rlx(&w->effective[0]), 2);
        release_all(&s[1], 1, WR_OUTCOME_OK);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_peer_twice_and_backups_last),
        cmocka_unit_test(there_is_no_way_back_from_backups),
        cmocka_unit_test(full_peers_are_passed_over),
        cmocka_unit_test(failed_peers_wait_and_are_probed_once),
        cmocka_unit_test(the_only_peer_is_exempt),
        cmocka_unit_test(more_than_64_members),
        cmocka_unit_test(another_list_is_followed),
        cmocka_unit_test(lost_races_end),
        cmocka_unit_test(zones_make_one_order),
        cmocka_unit_test(one_alone_is_picked_as_by_its_method),
    };

    return cmocka_run_group_tests_name("up/pick", tests, NULL, NULL);
}
