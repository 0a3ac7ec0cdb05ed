/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c: see status.h. Idle connections are counted by thread and by group: each thread tells
 * its groups by address, all are sorted once, and each group of the configuration finds its sum.
 */
#include "observe/status.h"

#include <stdlib.h>

#include "base/chunk.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/stat.h"
#include "event/loop.h"
#include "event/poll.h"
#include "http/zone.h"
#include "observe/json_out.h"
#include "up/idle.h"
#include "up/peer.h"

#define IDLE_MAX 65536u /* groups of which a thread tells idle connections */

/* --- a thread looks --- */

static void note_idle(void *data, const struct wr_group *g, uint32_t cnt)
{
    struct wr_status_thread *t = data;

    if (t->idle_cnt == t->idle_cap) {
        size_t cap = t->idle_cap == 0 ? 64 : t->idle_cap * 2;
        struct wr_status_idle *p =
            cap > IDLE_MAX ? NULL : wr_run_realloc(t->idle, cap * sizeof(*p));

        if (p == NULL) {
            return;
        }
        t->idle = p;
        t->idle_cap = cap;
    }
    t->idle[t->idle_cnt++] = (struct wr_status_idle){g, cnt};
}

void wr_status_look(struct wr_status_thread *ret)
{
    struct wr_loop *l = wr_loop_get();

    ret->state = WR_STATUS_SERVES;
    ret->load = wr_load_permille(&l->load, wr_now_ms());
    ret->descriptors = l->poll->io_cnt;
    ret->idle_peers = wr_idle_thread_cnt();
    wr_http_look(&ret->http);
    wr_idle_thread_each(note_idle, ret);
}

void wr_status_thread_fini(struct wr_status_thread *t)
{
    wr_mem_free(t->idle);
    t->idle = NULL;
    t->idle_cnt = t->idle_cap = 0;
}

/* --- the control thread writes --- */

static void write_thread(struct wr_json *j, const struct wr_status_thread *t, size_t no)
{
    static const char *const states[] = {
        [WR_STATUS_SERVES] = "serves", [WR_STATUS_SILENT] = "silent", [WR_STATUS_ENDED] = "ended"};

    wr_json_object(j, NULL);
    wr_json_num(j, "number", no);
    wr_json_str(j, "state", wr_str_z(states[t->state]));
    if (t->state != WR_STATUS_ENDED) {
        wr_json_milli(j, "load", t->load);
    }
    if (t->state == WR_STATUS_SERVES) {
        wr_json_num(j, "connections", t->http.conn_cnt);
        wr_json_num(j, "requests", t->http.req_cnt);
        wr_json_num(j, "idle_peer_connections", t->idle_peers);
        wr_json_num(j, "descriptors", t->descriptors);
    }
    wr_json_end(j);
}

/* What holds a configuration, over all threads. */
static void write_gen(struct wr_json *j, const struct wr_status_worker *w,
                      const struct wr_status_gen *g)
{
    uint64_t reqs = 0, conns = 0, listens = 0, threads = 0;

    for (size_t i = 0; i < w->thread_cnt; i++) {
        const struct wr_http_facts *h = &w->threads[i]->http;

        for (uint32_t k = 0; k < h->gen_cnt; k++) {
            if (h->gens[k].no == g->no) {
                reqs += h->gens[k].reqs;
                conns += h->gens[k].conns;
                listens += h->gens[k].listens;
                threads++;
            }
        }
    }
    wr_json_object(j, NULL);
    wr_json_num(j, "number", g->no);
    wr_json_bool(j, "served", w->gen != NULL && w->gen->no == g->no);
    wr_json_num(j, "age_ms", g->age_ms);
    wr_json_num(j, "threads", threads);
    wr_json_num(j, "requests", reqs);
    wr_json_num(j, "addresses", listens);
    wr_json_num(j, "connections", conns);
    wr_json_end(j);
}

struct groups_out {
    struct wr_json *j;
    const struct wr_status_worker *w;
    struct wr_status_idle *idle; /* sorted, each group once */
    size_t idle_cnt;
};

static int compare_idle(const void *a, const void *b)
{
    const struct wr_status_idle *x = a, *y = b;

    return x->group < y->group ? -1 : x->group > y->group;
}

/* NULL idle: without memory the sums are left out. */
static void sum_idle(struct groups_out *o)
{
    size_t cnt = 0, n = 0;

    for (size_t i = 0; i < o->w->thread_cnt; i++) {
        cnt += o->w->threads[i]->idle_cnt;
    }
    o->idle = cnt == 0 ? NULL : wr_run_alloc(cnt * sizeof(*o->idle));
    if (o->idle == NULL) {
        return;
    }
    cnt = 0;
    for (size_t i = 0; i < o->w->thread_cnt; i++) {
        for (size_t k = 0; k < o->w->threads[i]->idle_cnt; k++) {
            o->idle[cnt++] = o->w->threads[i]->idle[k];
        }
    }
    qsort(o->idle, cnt, sizeof(*o->idle), compare_idle);
    for (size_t i = 1; i < cnt; i++) {
        if (o->idle[i].group == o->idle[n].group) {
            o->idle[n].cnt += o->idle[i].cnt;
        } else {
            o->idle[++n] = o->idle[i];
        }
    }
    o->idle_cnt = n + 1;
}

static uint64_t find_idle(const struct groups_out *o, const struct wr_group *g)
{
    struct wr_status_idle key = {g, 0};
    const struct wr_status_idle *e = NULL;

    if (o->idle_cnt > 0) {
        e = bsearch(&key, o->idle, o->idle_cnt, sizeof(key), compare_idle);
    }
    return e == NULL ? 0 : e->cnt;
}

static const char *state_of(const struct wr_member *m, const struct wr_peer_facts *f)
{
    if (m->is_down) {
        return "down";
    }
    switch (f->health) {
    case WR_PEER_UP:
        return m->is_draining ? "drains" : "up";
    case WR_PEER_PROBED:
        return "probed";
    case WR_PEER_OUT:
        return "out";
    }
    WR_UNREACHABLE();
}

static void write_peer(const struct groups_out *o, const struct wr_members *g,
                       const struct wr_member *m)
{
    struct wr_json *j = o->j;
    struct wr_peer_facts f;

    wr_peer_look(m, g->has_accounting, o->w->now_ms, &f);
    wr_json_object(j, NULL);
    wr_json_str(j, "server", m->server);
    wr_json_str(j, "address", wr_str(m->peer->text, m->peer->text_len));
    wr_json_str(j, "state", wr_str_z(state_of(m, &f)));
    if (f.health == WR_PEER_OUT) {
        wr_json_num(j, "out_for_ms", f.for_ms);
    }
    wr_json_bool(j, "backup", m->is_backup);
    wr_json_num(j, "weight", m->weight);
    wr_json_num(j, "effective_weight", wr_load_rlx(m->effective));
    wr_json_num(j, "active", f.active);
    wr_json_num(j, "max_conns", m->max_conns);
    wr_json_num(j, "requests", f.requests);
    wr_json_num(j, "failures", f.failures);
    wr_json_num(j, "fails", f.fails);
    wr_json_num(j, "max_fails", m->max_fails);
    wr_json_end(j);
}

static void write_group(void *data, const struct wr_members *m)
{
    struct groups_out *o = data;

    wr_json_object(o->j, NULL);
    wr_json_str(o->j, "name", m->name);
    wr_json_bool(o->j, "implicit", m->is_implicit);
    wr_json_str(o->j, "method", wr_str_z(m->lb->name));
    wr_json_num(o->j, "idle", find_idle(o, m->group));
    wr_json_num(o->j, "shelf", wr_group_shelf_cnt(m->group));
    /* A measure; nothing is ordered by it. */
    wr_json_num(o->j, "waiting", wr_load_rlx(&m->group->queue.cnt));
    wr_json_array(o->j, "peers");
    for (uint32_t i = 0; i < m->cnt; i++) {
        write_peer(o, m, &m->at[i]);
    }
    wr_json_end(o->j);
    wr_json_end(o->j);
}

static void write_groups(struct wr_json *j, const struct wr_status_worker *w)
{
    struct groups_out o = {.j = j, .w = w};

    sum_idle(&o);
    wr_json_array(j, "groups");
    if (w->gen != NULL) {
        wr_group_each(w->gen, write_group, &o);
    }
    wr_json_end(j);
    wr_mem_free(o.idle);
}

static void write_zone(void *data, const struct wr_zone_name *z)
{
    struct wr_json *j = data;

    wr_json_object(j, NULL);
    wr_json_str(j, "name", z->name);
    wr_json_str(j, "kind", wr_str_z(z->kind));
    wr_json_num(j, "bytes", z->size);
    wr_json_num(j, "room", wr_zone_room(z->table));
    wr_json_num(j, "keys", wr_zone_cnt(z->table));
    wr_json_num(j, "forgotten", wr_zone_evicted(z->table));
    wr_json_end(j);
}

static void write_zones(struct wr_json *j, const struct wr_status_worker *w)
{
    wr_json_array(j, "zones");
    if (w->gen != NULL) {
        wr_zone_each(w->gen, write_zone, j);
    }
    wr_json_end(j);
}

/* CONN_ACCEPTED as conn_accepted. */
static void write_counters(struct wr_json *j)
{
    wr_json_object(j, "counters");
    for (unsigned c = 0; c < WR_CNT_COUNT; c++) {
        const char *name = wr_stat_name((enum wr_counter)c);
        char key[64];
        size_t n = 0;

        for (; name[n] != '\0' && n < sizeof(key) - 1; n++) {
            key[n] = name[n] >= 'A' && name[n] <= 'Z' ? (char)(name[n] + 32) : name[n];
        }
        key[n] = '\0';
        wr_json_num(j, key, wr_stat_sum((enum wr_counter)c));
    }
    wr_json_end(j);
}

static void write_pools(struct wr_json *j, const struct wr_status_worker *w)
{
    wr_json_object(j, "pools");
    wr_json_num(j, "resident_bytes", w->resident);
    wr_json_num(j, "objects_bytes", wr_mem_in_use());
    wr_json_num(j, "chunks_bytes", wr_chunk_in_use());
    wr_json_num(j, "fixtures", w->fixtures);
    wr_json_end(j);
}

void wr_status_write_worker(const struct wr_status_worker *w, struct wr_strbuf *b)
{
    struct wr_json j;

    wr_json_init(&j, b);
    wr_json_object(&j, NULL);
    wr_json_array(&j, "threads");
    for (size_t i = 0; i < w->thread_cnt; i++) {
        write_thread(&j, w->threads[i], i);
    }
    wr_json_end(&j);
    wr_json_array(&j, "configurations");
    for (size_t i = 0; i < w->gen_cnt; i++) {
        write_gen(&j, w, &w->gens[i]);
    }
    wr_json_end(&j);
    write_groups(&j, w);
    write_zones(&j, w);
    write_pools(&j, w);
    write_counters(&j);
    wr_json_end(&j);
}
