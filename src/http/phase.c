/* SPDX-License-Identifier: Apache-2.0 */
/*
 * phase.c: the run over the phases, see phase.h, and the engine's own steps in it: finding the
 * location, going back to that after a rewrite, starting the location's content.
 */
#include "http/phase.h"

#include "base/mem.h"
#include "conf/gen.h"
#include "http/core_conf.h"
#include "http/location.h"
#include "http/reply.h"
#include "http/req_int.h"
#include "http/server.h"

struct phase_step {
    wr_phase_fn *fn;
    const struct wr_conf_module
        *quiet; /* left out where its directives are not; NULL: always asked */
};

struct phase_list {
    struct phase_step *at;
    uint32_t cnt;
};

/* While the lists are made. */
struct phase_source {
    const struct wr_phase_row *row;
    const struct wr_module *module;
};

/* Rule zero: written once at boot by wr_phases_build, then only read. */
static struct phase_list phases[WR_PHASE_COUNT];

/* The same of one generation: without the handlers that its files do not use. */
struct wr_phase_plan {
    wr_phase_fn *const *at[WR_PHASE_COUNT];
    uint16_t cnt[WR_PHASE_COUNT];
    uint8_t
        busy_from[WR_PHASE_COUNT]; /* the first phase that has something to do, from this one on */
};

/* ---- at boot -------------------------------------------------------------------------------- */

static void collect(enum wr_phase phase, const struct wr_module *const *modules, size_t cnt,
                    struct phase_source *rows, uint32_t *ret_cnt)
{
    uint32_t n = 0;

    for (size_t i = 0; i < cnt; i++) {
        for (size_t k = 0; k < modules[i]->phase_cnt; k++) {
            const struct wr_phase_row *row = &modules[i]->phases[k];
            uint32_t at = n;

            if (row->phase != phase) {
                continue;
            }
            /* Insertion keeps the order of modules.def among equals. */
            while (at > 0 && rows[at - 1].row->order > row->order) {
                rows[at] = rows[at - 1];
                at--;
            }
            rows[at] = (struct phase_source){row, modules[i]};
            n++;
        }
    }
    *ret_cnt = n;
}

enum wr_status wr_phases_build(const struct wr_module *const *modules, size_t cnt,
                               const char **ret_err)
{
    struct phase_source *rows;
    size_t total = 0;

    for (size_t i = 0; i < cnt; i++) {
        for (size_t k = 0; k < modules[i]->phase_cnt; k++) {
            if (modules[i]->phases[k].phase >= WR_PHASE_COUNT ||
                modules[i]->phases[k].phase == WR_PHASE_FIND_LOCATION) {
                *ret_err = "a module has a handler in a phase that takes none";
                return WR_ECONFIG;
            }
            total++;
        }
    }
    rows = wr_mem_alloc((total + 1) * sizeof(*rows));
    for (unsigned p = 0; p < WR_PHASE_COUNT; p++) {
        struct phase_list *l = &phases[p];

        collect((enum wr_phase)p, modules, cnt, rows, &l->cnt);
        wr_mem_free(l->at);
        l->at = wr_mem_alloc((l->cnt + 1) * sizeof(*l->at));
        for (uint32_t i = 0; i < l->cnt; i++) {
            l->at[i] = (struct phase_step){rows[i].row->fn,
                                           rows[i].module->is_quiet ? rows[i].module->conf : NULL};
        }
    }
    wr_mem_free(rows);
    return WR_OK;
}

/* ---- while a generation is made -------------------------------------------------------------- */

/* The engine's own phases are, and the last is where the run ends. After REWRITE the engine acts
 * where somebody rewrites. */
static bool is_busy(const struct wr_phase_plan *plan, enum wr_phase p)
{
    if (p == WR_PHASE_POST_REWRITE && plan->cnt[WR_PHASE_REWRITE] > 0) {
        return true;
    }
    return plan->cnt[p] > 0 || p == WR_PHASE_FIND_LOCATION || p == WR_PHASE_CONTENT ||
           p == WR_PHASE_LOG;
}

enum wr_status wr_phases_plan(struct wr_gen *g, const struct wr_phase_plan **ret)
{
    struct wr_phase_plan *plan = wr_arena_zalloc(&g->arena, sizeof(*plan));

    if (plan == NULL) {
        return WR_ENOMEM;
    }
    for (unsigned p = 0; p < WR_PHASE_COUNT; p++) {
        const struct phase_list *l = &phases[p];
        wr_phase_fn **at = wr_arena_alloc(&g->arena, (l->cnt + 1) * sizeof(*at));

        if (at == NULL) {
            return WR_ENOMEM;
        }
        for (uint32_t i = 0; i < l->cnt; i++) {
            if (l->at[i].quiet == NULL || wr_gen_uses(g, l->at[i].quiet->_no)) {
                at[plan->cnt[p]++] = l->at[i].fn;
            }
        }
        plan->at[p] = at;
    }
    for (unsigned p = WR_PHASE_COUNT; p-- > 0;) {
        plan->busy_from[p] =
            (uint8_t)(is_busy(plan, (enum wr_phase)p) ? p : plan->busy_from[p + 1]);
    }
    *ret = plan;
    return WR_OK;
}

/* ---- the engine's own phases ------------------------------------------------------------------
 */

static enum wr_phase_result fail(struct wr_req *r, unsigned status)
{
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

/* "/app" where a location "/app/" passes to a peer. */
static enum wr_phase_result redirect_to_slash(struct wr_req *r, const struct wr_location *l)
{
    struct wr_str to;
    enum wr_status st;

    if (r->uri.has_args) {
        st = wr_arena_printf(r->arena, &to, "%.*s?%.*s", WR_STR_ARG(l->name),
                             WR_STR_ARG(r->uri.args));
    } else {
        to = l->name;
        st = WR_OK;
    }
    if (st != WR_OK) {
        return fail(r, 500);
    }
    wr_reply_redirect(r, 301, to);
    return WR_PHASE_DONE;
}

static enum wr_phase_result find_location(struct wr_req *r)
{
    const struct wr_location *l = NULL;
    const struct wr_core_loc *lc;
    uint64_t len = 0;

    r->uri_in_place = false;
    switch (wr_locations_find(r->server->locations, r->uri.path, r, &l)) {
    case WR_LOCATION_NONE:
    case WR_LOCATION_FOUND:
        break;
    case WR_LOCATION_REDIRECT:
        wr_req_use_location(r, l);
        return redirect_to_slash(r, l);
    case WR_LOCATION_ERROR:
        return fail(r, 500);
    }
    wr_req_use_location(r, l);
    wr_log_debug(&r->log, "req %llu: \"%.*s\" is of location \"%.*s\"", (unsigned long long)r->id,
                 WR_STR_ARG(r->uri.path), WR_STR_ARG(l ? l->name : WR_STR_NULL));
    if (l && l->is_internal && !r->is_internal) {
        return fail(r, 404);
    }
    lc = wr_core_loc_of(r);
    if (r->body_state == WR_BODY_WAITING && lc->body_max > 0 && wr_req_has_body(r, &len) &&
        len != WR_LENGTH_UNKNOWN && len > lc->body_max && !r->is_error_page) {
        wr_log(&r->log, WR_LOG_ERROR, "client intended to send too large body: %llu bytes",
               (unsigned long long)len);
        return fail(r, 413);
    }
    return WR_PHASE_NEXT;
}

void wr_phase_relocate(struct wr_req *r)
{
    wr_reqx_of(r)->want_relocate = true;
}

/* After REWRITE: back, or on. */
static enum wr_phase_result check_relocate(struct wr_req *r)
{
    struct wr_reqx *x = wr_reqx_of(r);

    if (!x->want_relocate) {
        return WR_PHASE_NEXT;
    }
    x->want_relocate = false;
    if (r->redirects++ >= WR_REQ_REDIRECTS_MAX) {
        wr_log(&r->log, WR_LOG_ERROR,
               "rewrite or internal redirection cycle while processing \"%.*s\"",
               WR_STR_ARG(r->uri.path));
        return fail(r, 500);
    }
    r->phase = WR_PHASE_FIND_LOCATION;
    r->phase_next = 0;
    return WR_PHASE_AGAIN; /* for wr_phases_run: go on there */
}

static enum wr_phase_result start_content(struct wr_req *r)
{
    const struct wr_location *l = r->location;
    struct wr_content *c = NULL;
    enum wr_status st;

    if (!l || !l->start) {
        return WR_PHASE_NEXT;
    }
    st = l->start(r, l->start_conf, &c);
    if (st != WR_OK) {
        return fail(r, 500);
    }
    r->content = c;
    if (c) {
        c->req = r;
    }
    return WR_PHASE_DONE;
}

/* ---- the run -------------------------------------------------------------------------------- */

static enum wr_phase_result run_rows(struct wr_req *r, const struct wr_phase_plan *plan)
{
    wr_phase_fn *const *at = plan->at[r->phase];
    uint32_t cnt = plan->cnt[r->phase];

    for (; r->phase_next < cnt; r->phase_next++) {
        enum wr_phase_result res = at[r->phase_next](r);

        if (WR_UNLIKELY(res != WR_PHASE_NEXT)) {
            if (res != WR_PHASE_SKIP) {
                return res;
            }
            r->phase_next = (uint16_t)cnt;
            return WR_PHASE_NEXT;
        }
    }
    return WR_PHASE_NEXT;
}

/* Phases that a subrequest has not: the main request was let in; who asks whether it may be has to
 * answer. */
static bool skips(uint8_t phase)
{
    return phase == WR_PHASE_ACCESS || phase == WR_PHASE_POST_ACCESS;
}

enum wr_phase_result wr_phases_run(struct wr_req *r)
{
    const struct wr_phase_plan *plan = wr_http_of(r->gen)->phases;

    while (r->phase < WR_PHASE_LOG) {
        if (r->phase_next == 0) {
            r->phase = plan->busy_from[r->phase];
        }
        if (r->parent && skips(r->phase)) {
            r->phase++;
            r->phase_next = 0;
            continue;
        }
        enum wr_phase_result res = WR_PHASE_NEXT;

        if (r->phase == WR_PHASE_FIND_LOCATION) {
            res = find_location(r);
        } else if (r->phase == WR_PHASE_CONTENT && r->phase_next == 0) {
            res = start_content(r);
        }
        if (res == WR_PHASE_NEXT) {
            res = run_rows(r, plan);
        }
        if (res == WR_PHASE_NEXT && r->phase == WR_PHASE_POST_REWRITE) {
            res = check_relocate(r);
            if (res == WR_PHASE_AGAIN) {
                continue;
            }
        }
        if (res == WR_PHASE_NEXT && r->phase == WR_PHASE_ACCESS) {
            res = wr_access_end(r);
        }
        if (res != WR_PHASE_NEXT) {
            return res;
        }
        r->phase++;
        r->phase_next = 0;
    }
    return WR_PHASE_NEXT;
}

void wr_phases_log(struct wr_req *r)
{
    const struct wr_phase_plan *plan = wr_http_of(r->gen)->phases;

    for (uint32_t i = 0; i < plan->cnt[WR_PHASE_LOG]; i++) {
        (void)plan->at[WR_PHASE_LOG][i](r); /* there is nothing left to decide */
    }
}
