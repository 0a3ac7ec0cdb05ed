/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit_req.c: a rate of requests a key, by leaky buckets (mod/limit_bucket.h). A request is
 * decided once, whatever redirects come later: it asks the buckets of its location's zones in the
 * order of the file; the first that refuses it ends it, and those before forget it. What was
 * decided is kept in the request; a delayed one waits by its timer, with nothing held.
 */
#include "mod/limit_req.h"

#include "base/clock.h"
#include "base/num.h"
#include "mod/limit_bucket.h"
#include "mod/limit_conf.h"

enum {
    ORDER = 10, /* in PREACCESS: before limit_conn */
    SEC_PER_MIN = 60,
    MS_PER_SEC = 1000
};

static const char kind[] = "limit_req";

/* Of limit_req_zone. */
struct req_zone {
    struct wr_limit_zone limit; /* first */
    uint64_t rate;              /* thousandths of a request in a second */
};

/* Of limit_req. */
struct req_limit {
    struct wr_zone_name *zone;
    uint64_t burst, delay; /* thousandths; delay UINT64_MAX: nodelay */
};

struct req_limits {
    struct req_limit *at;
    uint32_t cnt, _cap;
};

struct req_loc {
    struct wr_conf_head head;
    struct req_limits limits;
    uint32_t level; /* enum wr_log_level */
    uint32_t status;
    bool is_dry_run;
};

enum req_verdict {
    REQ_UNDECIDED,
    REQ_UNCOUNTED, /* all its keys are empty */
    REQ_PASSED,
    REQ_DELAYED,
    REQ_REJECTED,
    REQ_DELAYED_DRY_RUN,
    REQ_REJECTED_DRY_RUN
};

struct req_kept {
    uint8_t verdict;   /* enum req_verdict */
    uint64_t until_ms; /* delayed so long; 0: not (any more) */
};

/* What the buckets said. */
struct req_answer {
    bool is_refused, is_counted;
    uint64_t excess; /* of the one that refused, or that has the longest delay */
    const struct req_limit *by;
    uint64_t delay_ms;
};

static struct wr_conf_module req_conf;

/* ---- a request ------------------------------------------------------------------------------ */

static const struct req_zone *zone_of(const struct req_limit *l)
{
    return (const struct req_zone *)l->zone->data;
}

static void note_delay(const struct req_limit *l, uint64_t excess, struct req_answer *ret)
{
    uint64_t rate = zone_of(l)->rate, ms;

    if (excess <= l->delay) {
        return;
    }
    ms = (excess - l->delay) * MS_PER_SEC / rate;
    if (ms > ret->delay_ms) {
        ret->delay_ms = ms;
        ret->excess = excess;
        ret->by = l;
    }
}

static void undo(const struct req_limits *ls, uint32_t cnt, const struct wr_bucket_taken *taken)
{
    for (uint32_t i = 0; i < cnt; i++) {
        if (taken[i].after_ms != 0) {
            wr_bucket_undo(ls->at[i].zone->table, &taken[i]);
        }
    }
}

/* All buckets, or none. WR_ENOMEM. */
static enum wr_status ask(struct wr_req *r, const struct req_limits *ls, struct req_answer *ret)
{
    struct wr_bucket_taken one = {.after_ms = 0}, *taken = &one;

    if (ls->cnt > 1) {
        taken = wr_arena_zalloc(r->arena, ls->cnt * sizeof(*taken));
    }
    for (uint32_t i = 0; taken && i < ls->cnt; i++) {
        const struct req_limit *l = &ls->at[i];
        struct wr_bucket_rule rule = {.rate = zone_of(l)->rate, .burst = l->burst};
        uint64_t key = 0, excess = 0;
        enum wr_status st = wr_limit_key(r, l->zone, &key);

        if (st == WR_ENOMEM) {
            undo(ls, i, taken);
            return st;
        }
        if (st != WR_OK) {
            continue;
        }
        ret->is_counted = true;
        if (!wr_bucket_take(l->zone->table, key, &rule, wr_now_ms(), &taken[i], &excess)) {
            undo(ls, i, taken);
            ret->is_refused = true;
            ret->excess = excess;
            ret->by = l;
            return WR_OK;
        }
        note_delay(l, excess, ret);
    }
    return taken ? WR_OK : WR_ENOMEM;
}

static void say(struct wr_req *r, const struct req_loc *lc, const struct req_answer *a)
{
    const char *dry = lc->is_dry_run ? ", dry run" : "";
    unsigned whole = (unsigned)(a->excess / WR_BUCKET_UNIT),
             part = (unsigned)(a->excess % WR_BUCKET_UNIT);

    if (a->is_refused) {
        wr_log(&r->log, (enum wr_log_level)lc->level,
               "limiting requests%s, excess: %u.%03u by zone \"%.*s\"", dry, whole, part,
               WR_STR_ARG(a->by->zone->name));
    } else {
        /* One level less than a refusal. */
        wr_log(&r->log, (enum wr_log_level)WR_MIN(lc->level + 1, (uint32_t)WR_LOG_INFO),
               "delaying request%s, excess: %u.%03u, by zone \"%.*s\"", dry, whole, part,
               WR_STR_ARG(a->by->zone->name));
    }
}

static enum wr_phase_result decide(struct wr_req *r, const struct req_loc *lc,
                                   struct req_kept *kept)
{
    struct req_answer a = {.by = NULL};

    if (ask(r, &lc->limits, &a) != WR_OK) {
        wr_req_fail(r, 500);
        return WR_PHASE_DONE;
    }
    if (!a.by) {
        kept->verdict = a.is_counted ? REQ_PASSED : REQ_UNCOUNTED;
        return WR_PHASE_NEXT;
    }
    say(r, lc, &a);
    if (lc->is_dry_run) {
        kept->verdict = a.is_refused ? REQ_REJECTED_DRY_RUN : REQ_DELAYED_DRY_RUN;
        return WR_PHASE_NEXT;
    }
    kept->verdict = a.is_refused ? REQ_REJECTED : REQ_DELAYED;
    if (a.is_refused) {
        wr_req_fail(r, lc->status);
        return WR_PHASE_DONE;
    }
    kept->until_ms = wr_now_ms() + a.delay_ms;
    return WR_PHASE_NEXT;
}

static enum wr_phase_result limit_request(struct wr_req *r)
{
    const struct req_loc *lc = wr_req_conf(r, &req_conf, WR_KIND_LOC);
    enum wr_phase_result res = WR_PHASE_NEXT;
    struct req_kept *kept;

    if (lc->limits.cnt == 0) {
        return WR_PHASE_NEXT;
    }
    kept = wr_req_keep(r, &wr_limit_req_module, sizeof(*kept));
    if (!kept) {
        wr_req_fail(r, 500);
        return WR_PHASE_DONE;
    }
    if (kept->verdict == REQ_UNDECIDED) {
        res = decide(r, lc, kept);
    }
    if (kept->until_ms != 0 && !wr_deadline_is_due(kept->until_ms, wr_now_ms())) {
        wr_timer_arm(&r->timer, kept->until_ms);
        return WR_PHASE_AGAIN;
    }
    if (kept->until_ms != 0) {
        kept->until_ms = 0;
        wr_timer_disarm(&r->timer);
    }
    return res;
}

/* ---- the variable --------------------------------------------------------------------------- */

static enum wr_status get_status(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                 struct wr_str *ret)
{
    static const char *const names[] = {
        [REQ_UNDECIDED] = "",
        [REQ_UNCOUNTED] = "",
        [REQ_PASSED] = "PASSED",
        [REQ_DELAYED] = "DELAYED",
        [REQ_REJECTED] = "REJECTED",
        [REQ_DELAYED_DRY_RUN] = "DELAYED_DRY_RUN",
        [REQ_REJECTED_DRY_RUN] = "REJECTED_DRY_RUN",
    };
    const struct req_kept *kept = wr_req_kept(r, &wr_limit_req_module);

    (void)v, (void)rest;
    if (!kept || kept->verdict <= REQ_UNCOUNTED) {
        return WR_EOF;
    }
    *ret = wr_str_z(names[kept->verdict]);
    return WR_OK;
}

/* ---- directives ----------------------------------------------------------------------------- */

/* "rate=10r/s", "rate=30r/m", "rate=10" */
static bool read_rate(struct wr_str s, uint64_t *ret)
{
    uint64_t v = 0, per = 1;

    if (wr_str_has_suffix(s, WR_STR("r/s"))) {
        s.len -= 3;
    } else if (wr_str_has_suffix(s, WR_STR("r/m"))) {
        s.len -= 3;
        per = SEC_PER_MIN;
    }
    if (wr_num_parse_u64(s, UINT32_MAX, &v) != WR_OK || v == 0) {
        return false;
    }
    *ret = v * WR_BUCKET_UNIT / per;
    return true;
}

static enum wr_status set_zone(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_limit_zone_args args = {.kind = kind, .size = sizeof(struct req_zone)};
    struct wr_limit_zone *z = NULL;
    uint64_t rate = WR_BUCKET_UNIT;
    struct wr_str v;
    enum wr_status st = WR_OK;

    (void)dir, (void)conf;
    for (uint32_t i = 1; i < node->arg_cnt && st == WR_OK; i++) {
        if (wr_arg_has_key(node, i, "zone", &v)) {
            st = wr_zone_parse(cf, node, i, v, &args.name, &args.zone_size);
        } else if (wr_arg_has_key(node, i, "rate", &v)) {
            st = read_rate(v, &rate) ? WR_OK
                                     : wr_conf_err_arg(cf, node, i, "invalid rate \"%.*s\"",
                                                       WR_STR_ARG(wr_node_arg(node, i)));
        } else {
            st = wr_arg_invalid(cf, node, i);
        }
    }
    if (st == WR_OK) {
        st = wr_limit_zone_add(cf, node, &args, &z);
    }
    if (st == WR_OK) {
        wr_container_of(z, struct req_zone, limit)->rate = rate;
    }
    return st;
}

static enum wr_status read_count(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                 struct wr_str v, uint64_t *ret)
{
    uint64_t n = 0;

    if (wr_num_parse_u64(v, UINT32_MAX, &n) != WR_OK || n == 0) {
        return wr_conf_err_arg(cf, node, i, "invalid %.*s value \"%.*s\"", 5,
                               wr_node_arg(node, i).ptr, WR_STR_ARG(wr_node_arg(node, i)));
    }
    *ret = n * WR_BUCKET_UNIT;
    return WR_OK;
}

static enum wr_status read_limit(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                 struct req_limit *l)
{
    struct wr_str v;

    if (wr_arg_has_key(node, i, "zone", &v)) {
        return wr_zone_use(cf, node, v, kind, &l->zone);
    }
    if (wr_arg_has_key(node, i, "burst", &v)) {
        return read_count(cf, node, i, v, &l->burst);
    }
    if (wr_arg_has_key(node, i, "delay", &v)) {
        return read_count(cf, node, i, v, &l->delay);
    }
    if (wr_str_eq_z(wr_node_arg(node, i), "nodelay")) {
        l->delay = UINT64_MAX;
        return WR_OK;
    }
    return wr_arg_invalid(cf, node, i);
}

static enum wr_status set_limit(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct req_limits *ls = &((struct req_loc *)conf)->limits;
    struct req_limit l = {.zone = NULL}, *to;
    enum wr_status st = WR_OK;

    (void)dir;
    for (uint32_t i = 0; i < node->arg_cnt && st == WR_OK; i++) {
        st = read_limit(cf, node, i, &l);
    }
    if (st != WR_OK) {
        return st;
    }
    if (!l.zone) {
        return wr_conf_err(cf, node, "\"limit_req\" must have \"zone\" parameter");
    }
    for (uint32_t i = 0; i < ls->cnt; i++) {
        if (ls->at[i].zone == l.zone) {
            return wr_conf_err_dir(cf, node, "is duplicate");
        }
    }
    to = wr_array_push(cf->arena, ls);
    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = l;
    return WR_OK;
}

/* clang-format off */
static const struct wr_dir dirs[] = {
    {.name = "limit_req_zone", .contexts = WR_CTX_HTTP, .min = 3, .max = 3, .flags = WR_DIR_REPEAT,
     .set = set_zone, WR_DIR_CONF(NONE),
     .doc = "A zone of request rates: key, zone=NAME:SIZE, rate=Nr/s or Nr/m."},
    {.name = "limit_req", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 3, .flags = WR_DIR_REPEAT,
     .set = set_limit, WR_DIR_FIELD(LOC, struct req_loc, limits),
     .doc = "Requests pass at the rate of a zone: zone=NAME [burst=N] [nodelay | delay=N]."},
    {.name = "limit_req_log_level", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1,
     .set = wr_set_enum, WR_DIR_FIELD(LOC, struct req_loc, level), .data = wr_limit_levels,
     .def = "error",
     .doc = "Level of the line about a refused request; of a delayed one it is one less."},
    {.name = "limit_req_status", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1,
     .set = wr_limit_set_status, WR_DIR_FIELD(LOC, struct req_loc, status),
     .def = WR_LIMIT_STATUS_DEF,
     .doc = "Code of a refusal."},
    {.name = "limit_req_dry_run", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1,
     .set = wr_set_flag, WR_DIR_FIELD(LOC, struct req_loc, is_dry_run), .def = "off",
     .doc = "Nothing is refused or delayed, only counted, logged and told by $limit_req_status."},
    WR_DIR_END
};

static struct wr_conf_module req_conf = {
    .name = "limit_req", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct req_loc)}};

static const struct wr_phase_row phases[] = {{WR_PHASE_PREACCESS, ORDER, limit_request}};

static const struct wr_var vars[] = {{"limit_req_status", get_status, 0, WR_VAR_NOCACHE}};
/* clang-format on */

const struct wr_module wr_limit_req_module = {.conf = &req_conf,
                                              .is_quiet = true,
                                              .vars = vars,
                                              .var_cnt = WR_ARRAY_LEN(vars),
                                              .phases = phases,
                                              .phase_cnt = WR_ARRAY_LEN(phases)};
