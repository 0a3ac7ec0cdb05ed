/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit_conn.c: how many requests of a key run at a time. A request is counted once, in each zone
 * of its location, when it comes to PREACCESS, and leaves those zones when it ends (LOG), however
 * it ends. An item's num is the number of its requests; one that comes to 0 is dropped.
 */
#include "mod/limit_conn.h"

#include "base/num.h"
#include "mod/limit_conf.h"

enum {
    ORDER = 20,       /* in PREACCESS: behind limit_req */
    ORDER_LEAVE = 90, /* in LOG */
    CONNS_MAX = 65535
};

static const char kind[] = "limit_conn";

/* Of limit_conn. */
struct conn_limit {
    struct wr_zone_name *zone;
    int64_t max;
};

struct conn_limits {
    struct conn_limit *at;
    uint32_t cnt, _cap;
};

struct conn_loc {
    struct wr_conf_head head;
    struct conn_limits limits;
    uint32_t level; /* enum wr_log_level */
    uint32_t status;
    bool is_dry_run;
};

enum conn_verdict {
    CONN_UNDECIDED,
    CONN_UNCOUNTED, /* all its keys are empty */
    CONN_PASSED,
    CONN_REJECTED,
    CONN_REJECTED_DRY_RUN
};

/* Where the request is counted. */
struct conn_place {
    struct wr_zone *zone;
    struct wr_zone_ref ref;
};

struct conn_kept {
    uint8_t verdict; /* enum conn_verdict */
    uint32_t cnt;
    struct conn_place *places;
};

static struct wr_conf_module conn_conf;

/* ---- a request ------------------------------------------------------------------------------ */

static void leave(struct conn_kept *kept)
{
    for (uint32_t i = 0; i < kept->cnt; i++) {
        const struct conn_place *p = &kept->places[i];
        struct wr_zone_item *e = wr_zone_lock_ref(p->zone, p->ref);

        if (!e) {
            continue; /* the zone was full and has forgotten it */
        }
        if (--e->num <= 0) {
            wr_zone_drop(p->zone, e);
        } else {
            wr_zone_unlock(p->zone, p->ref.key);
        }
    }
    kept->cnt = 0;
}

/* False: there are as many as may be. */
static bool enter(struct wr_zone *z, uint64_t key, int64_t max, struct wr_zone_ref *ret)
{
    struct wr_zone_item *e = wr_zone_lock(z, key);
    bool has_room = e->num < max;

    if (has_room) {
        e->num++;
        *ret = wr_zone_ref_of(e);
    }
    wr_zone_unlock(z, key);
    return has_room;
}

/* *ret_by: the limit that refuses it, or NULL. WR_ENOMEM. */
static enum wr_status enter_all(struct wr_req *r, const struct conn_limits *ls,
                                struct conn_kept *kept, const struct conn_limit **ret_by)
{
    kept->places = wr_arena_alloc(r->arena, ls->cnt * sizeof(*kept->places));
    if (!kept->places) {
        return WR_ENOMEM;
    }
    kept->verdict = CONN_UNCOUNTED;
    for (uint32_t i = 0; i < ls->cnt; i++) {
        const struct conn_limit *l = &ls->at[i];
        struct conn_place *p = &kept->places[kept->cnt];
        uint64_t key = 0;
        enum wr_status st = wr_limit_key(r, l->zone, &key);

        if (st == WR_ENOMEM) {
            return st;
        }
        if (st != WR_OK) {
            continue;
        }
        kept->verdict = CONN_PASSED;
        p->zone = l->zone->table;
        if (!enter(p->zone, key, l->max, &p->ref)) {
            *ret_by = l;
            return WR_OK;
        }
        kept->cnt++;
    }
    return WR_OK;
}

static enum wr_phase_result decide(struct wr_req *r, const struct conn_loc *lc,
                                   struct conn_kept *kept)
{
    const struct conn_limit *by = NULL;

    if (enter_all(r, &lc->limits, kept, &by) != WR_OK) {
        leave(kept);
        wr_req_fail(r, 500);
        return WR_PHASE_DONE;
    }
    if (!by) {
        return WR_PHASE_NEXT;
    }
    leave(kept);
    wr_log(&r->log, (enum wr_log_level)lc->level, "limiting connections%s by zone \"%.*s\"",
           lc->is_dry_run ? ", dry run," : "", WR_STR_ARG(by->zone->name));
    if (lc->is_dry_run) {
        kept->verdict = CONN_REJECTED_DRY_RUN;
        return WR_PHASE_NEXT;
    }
    kept->verdict = CONN_REJECTED;
    wr_req_fail(r, lc->status);
    return WR_PHASE_DONE;
}

static enum wr_phase_result limit_conns(struct wr_req *r)
{
    const struct conn_loc *lc = wr_req_conf(r, &conn_conf, WR_KIND_LOC);
    struct conn_kept *kept;

    /* What a late subrequest took, nobody would give back. */
    if (lc->limits.cnt == 0 || r->main->is_logged) {
        return WR_PHASE_NEXT;
    }
    kept = wr_req_keep(r, &wr_limit_conn_module, sizeof(*kept));
    if (!kept) {
        wr_req_fail(r, 500);
        return WR_PHASE_DONE;
    }
    return kept->verdict == CONN_UNDECIDED ? decide(r, lc, kept) : WR_PHASE_NEXT;
}

static enum wr_phase_result leave_zones(struct wr_req *r)
{
    struct conn_kept *kept = wr_req_kept(r, &wr_limit_conn_module);

    if (kept && !r->parent) {
        leave(kept);
    }
    return WR_PHASE_NEXT;
}

/* ---- the variable --------------------------------------------------------------------------- */

static enum wr_status get_status(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                 struct wr_str *ret)
{
    static const char *const names[] = {
        [CONN_UNDECIDED] = "",
        [CONN_UNCOUNTED] = "",
        [CONN_PASSED] = "PASSED",
        [CONN_REJECTED] = "REJECTED",
        [CONN_REJECTED_DRY_RUN] = "REJECTED_DRY_RUN",
    };
    const struct conn_kept *kept = wr_req_kept(r, &wr_limit_conn_module);

    (void)v, (void)rest;
    if (!kept || kept->verdict <= CONN_UNCOUNTED) {
        return WR_EOF;
    }
    *ret = wr_str_z(names[kept->verdict]);
    return WR_OK;
}

/* ---- directives ----------------------------------------------------------------------------- */

static enum wr_status set_zone(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_limit_zone_args args = {.kind = kind, .size = sizeof(struct wr_limit_zone)};
    struct wr_limit_zone *z = NULL;
    struct wr_str v;
    enum wr_status st;

    (void)dir, (void)conf;
    if (!wr_arg_has_key(node, 1, "zone", &v)) {
        return wr_arg_invalid(cf, node, 1);
    }
    st = wr_zone_parse(cf, node, 1, v, &args.name, &args.zone_size);
    return st == WR_OK ? wr_limit_zone_add(cf, node, &args, &z) : st;
}

static enum wr_status set_limit(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct conn_limits *ls = &((struct conn_loc *)conf)->limits;
    struct conn_limit l = {.zone = NULL}, *to;
    uint64_t n = 0;
    enum wr_status st = wr_zone_use(cf, node, wr_node_arg(node, 0), kind, &l.zone);

    (void)dir;
    if (st != WR_OK) {
        return st;
    }
    for (uint32_t i = 0; i < ls->cnt; i++) {
        if (ls->at[i].zone == l.zone) {
            return wr_conf_err_dir(cf, node, "is duplicate");
        }
    }
    if (wr_num_parse_u64(wr_node_arg(node, 1), UINT64_MAX, &n) != WR_OK || n == 0) {
        return wr_conf_err_arg(cf, node, 1, "invalid number of connections \"%.*s\"",
                               WR_STR_ARG(wr_node_arg(node, 1)));
    }
    if (n > CONNS_MAX) {
        return wr_conf_err_arg(cf, node, 1, "connection limit must be less 65536");
    }
    l.max = (int64_t)n;
    to = wr_array_push(cf->arena, ls);
    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = l;
    return WR_OK;
}

/* Of nginx before 1.7.6. */
static enum wr_status refuse_old_zone(struct wr_conf *cf, const struct wr_dir *dir,
                                      const struct wr_node *node, void *conf)
{
    (void)dir, (void)conf;
    return wr_conf_err(
        cf, node, "unknown directive \"limit_zone\", now \"limit_conn_zone %.*s zone=%.*s:%.*s\"",
        WR_STR_ARG(wr_node_arg(node, 1)), WR_STR_ARG(wr_node_arg(node, 0)),
        WR_STR_ARG(wr_node_arg(node, 2)));
}

/* clang-format off */
static const struct wr_dir dirs[] = {
    {.name = "limit_zone", .contexts = WR_CTX_HTTP, .min = 3, .max = 3,
     .flags = WR_DIR_REPEAT | WR_DIR_HIDDEN,
     .set = refuse_old_zone, WR_DIR_CONF(NONE),
     .doc = "What limit_conn_zone was called once: an error that says what to write."},
    {.name = "limit_conn_zone", .contexts = WR_CTX_HTTP, .min = 2, .max = 2, .flags = WR_DIR_REPEAT,
     .set = set_zone, WR_DIR_CONF(NONE),
     .doc = "A zone of numbers of connections: key, zone=NAME:SIZE."},
    {.name = "limit_conn", .contexts = WR_CTX_HTTP_ALL, .min = 2, .max = 2, .flags = WR_DIR_REPEAT,
     .set = set_limit, WR_DIR_FIELD(LOC, struct conn_loc, limits),
     .doc = "Most connections of a key of a zone whose requests are served at a time."},
    {.name = "limit_conn_log_level", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1,
     .set = wr_set_enum, WR_DIR_FIELD(LOC, struct conn_loc, level), .data = wr_limit_levels,
     .def = "error",
     .doc = "Level of the line about a refused request."},
    {.name = "limit_conn_status", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1,
     .set = wr_limit_set_status, WR_DIR_FIELD(LOC, struct conn_loc, status),
     .def = WR_LIMIT_STATUS_DEF,
     .doc = "Code of a refusal."},
    {.name = "limit_conn_dry_run", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1,
     .set = wr_set_flag, WR_DIR_FIELD(LOC, struct conn_loc, is_dry_run), .def = "off",
     .doc = "Nothing is refused, only logged and told by $limit_conn_status."},
    WR_DIR_END
};

static struct wr_conf_module conn_conf = {
    .name = "limit_conn", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct conn_loc)}};

static const struct wr_phase_row phases[] = {{WR_PHASE_PREACCESS, ORDER, limit_conns},
                                             {WR_PHASE_LOG, ORDER_LEAVE, leave_zones}};

static const struct wr_var vars[] = {{"limit_conn_status", get_status, 0, WR_VAR_NOCACHE}};
/* clang-format on */

const struct wr_module wr_limit_conn_module = {.conf = &conn_conf,
                                               .is_quiet = true,
                                               .vars = vars,
                                               .var_cnt = WR_ARRAY_LEN(vars),
                                               .phases = phases,
                                               .phase_cnt = WR_ARRAY_LEN(phases)};
