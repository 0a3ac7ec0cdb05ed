/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stub_status.c: `stub_status`: what the process serves at the moment, in the few lines that
 * monitoring of nginx reads, and the variables $connections_*. All threads are summed; the sums are
 * of slightly different moments. Request's thread.
 *
 *   active = reading (a request's head) + writing (a request runs) + waiting (none does)
 */
#include "mod/stub_status.h"

#include "base/stat.h"
#include "base/strbuf.h"
#include "conf/types.h"
#include "http/module.h"
#include "http/reply.h"

#define TEXT_MAX 512

struct stub_loc {
    struct wr_conf_head head;
    bool is_on;
};

static struct wr_conf_module stub_conf;

struct facts {
    uint64_t accepted, requests, active, reading, writing, waiting;
};

/* a is counted up, b later: their difference, never below 0. */
static uint64_t between(enum wr_counter a, enum wr_counter b)
{
    uint64_t ended = wr_stat_sum(b), begun = wr_stat_sum(a);

    return begun > ended ? begun - ended : 0;
}

static void look(struct facts *f)
{
    f->accepted = wr_stat_sum(WR_CNT_CONN_ACCEPTED);
    f->requests = wr_stat_sum(WR_CNT_REQ_STARTED);
    f->active = between(WR_CNT_CONN_ACCEPTED, WR_CNT_CONN_CLOSED);
    f->reading = between(WR_CNT_HEADS_BEGUN, WR_CNT_HEADS_ENDED);
    f->writing = between(WR_CNT_REQ_STARTED, WR_CNT_REQ_ENDED);
    f->waiting = f->active > f->reading + f->writing ? f->active - f->reading - f->writing : 0;
}

static enum wr_phase_result fail(struct wr_req *r, unsigned status)
{
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

static enum wr_phase_result reply(struct wr_req *r)
{
    struct wr_strbuf b;
    struct facts f;

    if (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD) {
        return fail(r, 405);
    }
    look(&f);
    wr_strbuf_init_arena(&b, r->arena, TEXT_MAX);
    wr_strbuf_printf(
        &b, "Active connections: %llu \nserver accepts handled requests\n %llu %llu %llu \n",
        (unsigned long long)f.active, (unsigned long long)f.accepted,
        (unsigned long long)f.accepted, (unsigned long long)f.requests);
    wr_strbuf_printf(&b, "Reading: %llu Writing: %llu Waiting: %llu \n",
                     (unsigned long long)f.reading, (unsigned long long)f.writing,
                     (unsigned long long)f.waiting);
    if (b.status != WR_OK) {
        return fail(r, 500);
    }
    wr_reply_text(r, 200, WR_STR("text/plain"), wr_strbuf_str(&b));
    return WR_PHASE_DONE;
}

/* As content of a location, which excludes another one. */
static enum wr_status start(struct wr_req *r, void *conf, struct wr_content **ret)
{
    (void)conf; /* nothing is configured */
    *ret = NULL;
    (void)reply(r);
    return WR_OK;
}

/* Of a server: where no location was found. */
static enum wr_phase_result run(struct wr_req *r)
{
    const struct stub_loc *lc = wr_req_conf(r, &stub_conf, WR_KIND_LOC);

    return lc->is_on && !r->location ? reply(r) : WR_PHASE_NEXT;
}

static enum wr_status set_stub_status(struct wr_conf *cf, const struct wr_dir *dir,
                                      const struct wr_node *node, void *conf)
{
    (void)dir; /* one row */
    if (cf->scope->ctx == WR_CTX_SERVER) {
        ((struct stub_loc *)conf)->is_on = true;
        return WR_OK;
    }
    return wr_core_set_content(cf, node, start, NULL);
}

static const struct wr_dir dirs[] = {
    {.name = "stub_status",
     .contexts = WR_CTX_SERVER | WR_CTX_LOCATION,
     .max = 1,
     .inherit = WR_NONE,
     .set = set_stub_status,
     WR_DIR_FIELD(LOC, struct stub_loc, is_on),
     .doc = "Answers with the numbers of connections and requests."},
    WR_DIR_END
};

static struct wr_conf_module stub_conf = {
    .name = "stub_status", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct stub_loc)}};

enum which {
    ACTIVE,
    READING,
    WRITING,
    WAITING
};

static enum wr_status get_count(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    struct facts f;
    uint64_t n = 0;

    (void)rest; /* no prefix */
    look(&f);
    switch ((enum which)v->data) {
    case ACTIVE:
        n = f.active;
        break;
    case READING:
        n = f.reading;
        break;
    case WRITING:
        n = f.writing;
        break;
    case WAITING:
        n = f.waiting;
        break;
    }
    return wr_arena_printf(r->arena, ret, "%llu", (unsigned long long)n);
}

static const struct wr_var vars[] = {
    {"connections_active",  get_count, ACTIVE,  WR_VAR_NOCACHE},
    {"connections_reading", get_count, READING, WR_VAR_NOCACHE},
    {"connections_writing", get_count, WRITING, WR_VAR_NOCACHE},
    {"connections_waiting", get_count, WAITING, WR_VAR_NOCACHE},
};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_CONTENT, 10, run}
};

const struct wr_module wr_stub_status_module = {.conf = &stub_conf,
                                                .is_quiet = true,
                                                .vars = vars,
                                                .var_cnt = WR_ARRAY_LEN(vars),
                                                .phases = phases,
                                                .phase_cnt = WR_ARRAY_LEN(phases)};
