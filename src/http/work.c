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

/* Rule zero: of each thread of a pool. */
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

static struct wr_req_work *of(struct wr_work *w)
{
    return wr_container_of(w, struct wr_req_work, _work);
}

static void run_work(struct wr_work *w)
{
    if (!has_stepped_aside) {
        has_stepped_aside = true;
        wr_thread_step_aside();
    }
    of(w)->_run(of(w));
}

static void end_work(struct wr_work *w)
{
    if (of(w)->_wipe) {
        of(w)->_wipe(of(w));
    }
    wr_mem_free(of(w));
}

void *wr_req_work_new(struct wr_req *r, size_t size, wr_req_work_fn *run, wr_req_work_fn *wipe)
{
    struct wr_req_work *w = wr_run_zalloc(size);

    if (w) {
        w->_work = (struct wr_work){.work = run_work, .free = end_work};
        w->_req = r;
        w->_run = run;
        w->_wipe = wipe;
        wr_list_push(&wr_reqx_of(r)->works, &w->_node);
    }
    return w;
}

enum wr_status wr_req_work_start(struct wr_work_pool *p, struct wr_req_work *w)
{
    enum wr_status st;

    WR_ASSERT(!w->_is_started);
    st = wr_work_start(p->offload, &w->_work, &w->_req->task);
    w->_is_started = st == WR_OK;
    return st;
}

bool wr_req_work_is_done(const struct wr_req_work *w)
{
    return w->_work.is_home;
}

void wr_req_work_free(struct wr_req_work *w)
{
    if (!w) {
        return;
    }
    wr_list_remove(&w->_node);
    if (w->_is_started) {
        wr_work_leave(&w->_work);
    } else {
        end_work(&w->_work);
    }
}

void wr_req_work_free_all(struct wr_list *works)
{
    while (!wr_list_is_empty(works)) {
        wr_req_work_free(wr_container_of(works->next, struct wr_req_work, _node));
    }
}
