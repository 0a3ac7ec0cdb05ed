/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit_bucket.c: see limit_bucket.h. An item's num is the excess, its at_ms the time of the last
 * request that passed, 0 in a new one. The excess is negative, down to -1000, only between an undo
 * that came behind another request and the next request.
 */
#include "mod/limit_bucket.h"

#include "base/compiler.h"

/* Thousandths that ran off within ms. */
static int64_t drained(uint64_t rate, uint64_t ms)
{
    return ms > (uint64_t)INT64_MAX / rate ? INT64_MAX / 1000 : (int64_t)(rate * ms / 1000);
}

bool wr_bucket_take(struct wr_zone *z, uint64_t key, const struct wr_bucket_rule *rule,
                    uint64_t now_ms, struct wr_bucket_taken *ret, uint64_t *ret_excess)
{
    struct wr_zone_item *e = wr_zone_lock(z, key);
    bool is_new = e->at_ms == 0;
    uint64_t ms = !is_new && now_ms > e->at_ms ? now_ms - e->at_ms : 0;
    int64_t excess = 0;

    if (!is_new) {
        excess = WR_MAX(e->num - drained(rule->rate, ms) + WR_BUCKET_UNIT, (int64_t)0);
    }
    *ret_excess = (uint64_t)excess;
    if ((uint64_t)excess > rule->burst) {
        wr_zone_unlock(z, key);
        return false;
    }
    *ret = (struct wr_bucket_taken){.ref = wr_zone_ref_of(e),
                                    .is_new = is_new,
                                    .before = e->num,
                                    .before_ms = e->at_ms,
                                    .after = excess,
                                    .after_ms = WR_MAX(now_ms, e->at_ms)};
    e->num = ret->after;
    e->at_ms = ret->after_ms;
    wr_zone_unlock(z, key);
    return true;
}

void wr_bucket_undo(struct wr_zone *z, const struct wr_bucket_taken *t)
{
    struct wr_zone_item *e = wr_zone_lock_ref(z, t->ref);

    if (!e) {
        return; /* forgotten already */
    }
    if (e->num != t->after || e->at_ms != t->after_ms) {
        e->num = WR_MAX(e->num - WR_BUCKET_UNIT, (int64_t)-WR_BUCKET_UNIT);
        wr_zone_unlock(z, t->ref.key);
    } else if (t->is_new) {
        wr_zone_drop(z, e);
    } else {
        e->num = t->before;
        e->at_ms = t->before_ms;
        wr_zone_unlock(z, t->ref.key);
    }
}
