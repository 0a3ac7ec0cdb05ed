/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit_bucket.h: the leaky bucket of limit_req, one a key, in a zone. Requests are counted in
 * thousandths, time in milliseconds:
 *
 *   excess = max(0, excess - rate * ms / 1000 + 1000)      refused when it is more than burst
 *
 * so the first request of a key has the excess 0, and a refused one changes nothing. A new request
 * is decided and counted under one lock: threads together let no more pass than one would.
 */
#ifndef WR_MOD_LIMIT_BUCKET_H
#define WR_MOD_LIMIT_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/zone.h"

#define WR_BUCKET_UNIT 1000 /* of a request */

struct wr_bucket_rule {
    uint64_t rate;  /* thousandths of a request in a second; not 0 */
    uint64_t burst; /* thousandths */
};

/* What a request did to a bucket, to be undone. */
struct wr_bucket_taken {
    struct wr_zone_ref ref;
    bool is_new;
    int64_t before, after;
    uint64_t before_ms, after_ms;
};

/*
 * May one more pass at now_ms? *ret_excess in both cases; *ret when it may. now_ms of another
 * thread may be a little ahead.
 */
bool wr_bucket_take(struct wr_zone *z, uint64_t key, const struct wr_bucket_rule *rule,
                    uint64_t now_ms, struct wr_bucket_taken *ret, uint64_t *ret_excess);
/* Another zone refused the request: it was not here. */
void wr_bucket_undo(struct wr_zone *z, const struct wr_bucket_taken *t);

#endif
