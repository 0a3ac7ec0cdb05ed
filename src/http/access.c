/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.c: what comes of the answers of the handlers in ACCESS (module.h): `satisfy` and
 * `auth_delay`.
 *
 *              grant               deny                        all have spoken
 *   all        the next is asked   401 or 403 at once          in
 *   any        in                  noted, the next is asked    401 or 403 if one was noted; 401
 * wins
 *
 * Request's task.
 */
#include "base/clock.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "http/req_int.h"

static bool is_any_enough(const struct wr_req *r)
{
    return wr_core_loc_of(r)->satisfy == WR_SATISFY_ANY;
}

enum wr_phase_result wr_access_grant(struct wr_req *r)
{
    if (!is_any_enough(r)) {
        return WR_PHASE_NEXT;
    }
    wr_reqx_of(r)->access_status = 0;
    wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_WWW_AUTHENTICATE);
    return WR_PHASE_SKIP;
}

enum wr_phase_result wr_access_deny(struct wr_req *r, unsigned status)
{
    struct wr_reqx *x = wr_reqx_of(r);

    if (x->access_status != 401) {
        x->access_status = (uint16_t)status;
    }
    return is_any_enough(r) ? WR_PHASE_NEXT : WR_PHASE_SKIP;
}

/* Is it time for the 401? */
static bool is_due(struct wr_req *r, struct wr_reqx *x)
{
    uint32_t delay_ms = wr_core_loc_of(r)->auth_delay_ms;

    if (delay_ms == 0) {
        return true;
    }
    if (x->access_at_ms == 0) {
        wr_log(&r->log, WR_LOG_INFO, "delaying unauthorized request");
        x->access_at_ms = wr_now_ms() + delay_ms;
        wr_timer_arm(&r->timer, x->access_at_ms);
    }
    return wr_deadline_is_due(x->access_at_ms, wr_now_ms());
}

enum wr_phase_result wr_access_end(struct wr_req *r)
{
    struct wr_reqx *x = wr_reqx_of(r);
    unsigned status = x->access_status;

    if (status == 0) {
        return WR_PHASE_NEXT;
    }
    if (status == 401 && !is_due(r, x)) {
        return WR_PHASE_AGAIN;
    }
    if (status == 403 && is_any_enough(r)) {
        wr_log(&r->log, WR_LOG_ERROR, "access forbidden by rule");
    }
    x->access_status = 0;
    x->access_at_ms = 0;
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}
