/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work.c: see work.h.
 *
 *   new -> request's list -> start -> pool: run -> home: done, task woken -> free
 *                                  \-- freed meanwhile: unlinked -> home: wiped, freed
 *
 * The pool of a name is a fixture: it survives reloads, and a generation that lets it go has no
 * requests any more; works without a reader may still be in it, they touch nothing but themselves
 * when they come home.
 */
#include "http/work.h"

#include "base/assert.h"
#include "base/mem.h"
#include "conf/dirs.h"
#include "conf/gen.h"
#include "event/thread.h"
#include "http/req_int.h"

#define THREADS_MAX 16u

struct wr_work_pool {
    struct wr_fixture fixture;
    struct wr_offload *offload;
};

/* Rule zero: of each thread that serves; there is no room for it in struct wr_local. */
static WR_THREAD_LOCAL unsigned away_cnt;
/* Of each thread of a pool. */
static WR_THREAD_LOCAL bool has_stepped_aside;

/* ---- pools ----------------------------------------------------------------------------------- */

static void free_pool(struct wr_fixture *f)
{
    struct wr_work_pool *p = wr_container_of(f, struct wr_work_pool, fixture);

    wr_offload_free(p->offload);
    wr_mem_free(p);
}

static const struct wr_fixture_ops pool_ops = {.kind = "work_pool", .free = free_pool};

static struct wr_work_pool *make_pool(const struct wr_work_pool_conf *pc)
{
    struct wr_work_pool *p = wr_mem_alloc(sizeof(*p));
    unsigned threads = pc->threads;

    if (threads == 0) {
        threads = WR_MIN(WR_MAX(wr_thread_cpus() / 2, 1u), THREADS_MAX);
    }
    p->offload = wr_offload_new(threads, pc->queue_max);
    return p;
}

enum wr_status wr_work_pool_get(struct wr_conf *cf, const struct wr_work_pool_conf *pc,
                                struct wr_work_pool **ret)
{
    struct wr_fixtures *all = cf->opts->fixtures;
    struct wr_str name = wr_str_z(pc->name);
    struct wr_fixture *f;
    enum wr_status st;

    if (!all) {
        *ret = NULL;
        return WR_OK;
    }
    f = wr_fixtures_get(all, &pool_ops, name, 0);
    if (!f) {
        struct wr_work_pool *p = make_pool(pc);

        f = &p->fixture;
        st = wr_fixtures_add(all, f, &pool_ops, name, 0);
        if (st != WR_OK) {
            free_pool(f);
            return st;
        }
    }
    st = wr_gen_use(cf->gen, f);
    if (st == WR_OK) {
        *ret = wr_container_of(f, struct wr_work_pool, fixture);
    }
    return st;
}

/* ---- works ----------------------------------------------------------------------------------- */

static void end_work(struct wr_work *w)
{
    if (w->_wipe) {
        w->_wipe(w);
    }
    wr_mem_free(w);
}

static void run_job(struct wr_job *j)
{
    struct wr_work *w = wr_container_of(j, struct wr_work, _job);

    if (!has_stepped_aside) {
        has_stepped_aside = true;
        wr_thread_step_aside();
    }
    w->_run(w);
}

/* At home. */
static void done_job(struct wr_job *j)
{
    struct wr_work *w = wr_container_of(j, struct wr_work, _job);

    away_cnt--;
    w->_is_away = false;
    w->is_done = true;
    wr_task_wake(&w->_req->task);
}

/* Likewise, and nobody waits. */
static void drop_job(struct wr_job *j)
{
    away_cnt--;
    end_work(wr_container_of(j, struct wr_work, _job));
}

void *wr_work_new(struct wr_req *r, size_t size, wr_work_fn *run, wr_work_fn *wipe)
{
    struct wr_work *w = wr_run_zalloc(size);

    if (w) {
        w->_job = (struct wr_job){.work = run_job, .done = done_job, .drop = drop_job};
        w->_req = r;
        w->_run = run;
        w->_wipe = wipe;
        wr_list_push(&wr_reqx_of(r)->works, &w->_node);
    }
    return w;
}

enum wr_status wr_work_start(struct wr_work_pool *p, struct wr_work *w)
{
    enum wr_status st;

    WR_ASSERT(!w->_is_away && !w->is_done);
    st = wr_offload_submit(p->offload, &w->_job);
    if (st == WR_OK) {
        w->_is_away = true;
        away_cnt++;
    }
    return st;
}

void wr_work_free(struct wr_work *w)
{
    if (!w) {
        return;
    }
    wr_list_remove(&w->_node);
    w->_req = NULL;
    if (w->_is_away) {
        wr_offload_drop(&w->_job);
    } else {
        end_work(w);
    }
}

void wr_work_free_all(struct wr_list *works)
{
    while (!wr_list_is_empty(works)) {
        wr_work_free(wr_container_of(works->next, struct wr_work, _node));
    }
}

unsigned wr_work_away_cnt(void)
{
    return away_cnt;
}
