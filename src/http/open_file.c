/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open_file.c: see open_file.h.
 *
 *   wr_open_file -> remembered?  -> cache fresh?  -> here, or by the pool -> into the cache
 *
 * What the pool opens is a struct opening in the request's list, found again by its name. The list
 * belongs to one call of a handler, known by phase, place and number of redirects; at the first
 * call of another the old ones go.
 */
#include "http/open_file.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "http/core_conf.h"
#include "http/files_conf.h"
#include "http/module.h"
#include "http/open_cache.h"
#include "http/req_int.h"
#include "io/work.h"

/* One name that the pool opens, or has opened. */
struct wr_opening {
    struct wr_work work; /* first */
    struct wr_opening *next;
    struct wr_file_how how;
    struct wr_file_facts facts; /* of the work, then ours; its fd goes to `file` */
    struct wr_file *file;       /* one reference once it was made */
    enum wr_status status;
    int err;
    size_t path_len;
    char path[];
};

bool wr_open_is_missing(int err)
{
    return err == ENOENT || err == ENOTDIR || err == ENAMETOOLONG;
}

/* ---- the cache ------------------------------------------------------------------------------ */

struct wanted {
    struct wr_req *r;
    struct wr_str path;
    struct wr_file_how how;
    struct wr_offload *pool;
    struct wr_open_cache *cache; /* NULL: off, or no memory */
};

static bool is_fresh(const struct wanted *w, const struct wr_open_entry *e)
{
    const struct wr_core_loc *lc = wr_core_loc_of(w->r);
    uint64_t valid_ms = lc->open_file_cache_valid * 1000;

    /* An error may have been kept for another location. */
    return (e->err == 0 || lc->open_file_cache_errors) && wr_now_ms() - e->checked_ms < valid_ms &&
           e->symlinks == w->how.symlinks && e->from_len == w->how.from_len;
}

/* Does what is known suffice? */
static bool is_enough(const struct wanted *w, const struct wr_open_entry *e)
{
    return e->err != 0 || e->file || !w->how.want_fd || !e->facts.is_regular;
}

static bool is_same_file(const struct wr_file_facts *a, const struct wr_file_facts *b)
{
    return a->ino == b->ino && a->dev == b->dev && a->size == b->size && a->mtime == b->mtime;
}

/* Looks whether the name still means the file that is kept; with a pool it is opened anew. */
static bool recheck(const struct wanted *w, struct wr_open_entry *e)
{
    struct wr_file_how how = w->how;
    struct wr_file_facts facts;
    int err = 0;

    if (w->pool || e->err != 0 || e->symlinks != w->how.symlinks ||
        e->from_len != w->how.from_len) {
        return false;
    }
    how.want_fd = false;
    if (wr_file_find(w->path.ptr, &how, &facts, &err) != WR_OK ||
        !is_same_file(&facts, &e->facts)) {
        return false;
    }
    e->checked_ms = wr_now_ms();
    return true;
}

static enum wr_status answer(const struct wr_open_entry *e, bool want_fd, struct wr_found *ret,
                             int *ret_errno)
{
    if (e->err != 0) {
        *ret_errno = e->err;
        return WR_ESYS;
    }
    ret->facts = e->facts;
    ret->file = want_fd && e->facts.is_regular ? wr_file_ref(e->file) : NULL;
    return WR_OK;
}

/* WR_AGAIN: the cache cannot tell. */
static enum wr_status ask_cache(const struct wanted *w, struct wr_found *ret, int *ret_errno)
{
    struct wr_open_entry *e = wr_open_cache_find(w->cache, w->path);

    if (!e || !is_enough(w, e) || (!is_fresh(w, e) && !recheck(w, e))) {
        return WR_AGAIN;
    }
    return answer(e, w->how.want_fd, ret, ret_errno);
}

/* Not what may be otherwise in a moment: too many files, memory ... */
static bool is_lasting(int err)
{
    return wr_open_is_missing(err) || err == EACCES || err == ELOOP;
}

/* What was found out: err 0, facts, and a file if one was opened. */
static void tell_cache(const struct wanted *w, const struct wr_found *found, int err)
{
    const struct wr_core_loc *lc = wr_core_loc_of(w->r);
    struct wr_open_entry *e;

    if (err != 0 && (!lc->open_file_cache_errors || !is_lasting(err))) {
        wr_open_cache_forget(w->cache, w->path);
        return;
    }
    e = wr_open_cache_renew(w->cache, w->path);
    if (!e) {
        return;
    }
    e->err = err;
    e->checked_ms = wr_now_ms();
    e->symlinks = w->how.symlinks;
    e->from_len = w->how.from_len;
    if (err != 0) {
        return;
    }
    e->facts = found->facts;
    e->facts.fd = -1;
    if (found->file && e->uses >= lc->open_file_cache_min_uses) {
        e->file = wr_file_ref(found->file);
    }
}

/* ---- here ----------------------------------------------------------------------------------- */

/* A regular file's descriptor becomes a file; that of a folder is of no use. */
static enum wr_status make_found(struct wr_file_facts *facts, struct wr_found *ret)
{
    struct wr_file *f = NULL;

    if (facts->fd != -1 && facts->is_regular) {
        if (wr_file_of_facts(facts, &f) != WR_OK) {
            return WR_ENOMEM;
        }
    } else {
        wr_file_facts_drop(facts);
    }
    ret->file = f;
    ret->facts = *facts;
    ret->facts.fd = -1;
    return WR_OK;
}

static enum wr_status find_here(const struct wanted *w, struct wr_found *ret, int *ret_errno)
{
    struct wr_file_facts facts;
    enum wr_status st = wr_file_find(w->path.ptr, &w->how, &facts, ret_errno);

    return st == WR_OK ? make_found(&facts, ret) : st;
}

/* ---- by the pool ---------------------------------------------------------------------------- */

static struct wr_opening *opening_of(struct wr_work *w)
{
    return wr_container_of(w, struct wr_opening, work);
}

static void work(struct wr_work *w)
{
    struct wr_opening *o = opening_of(w);

    o->facts.fd = -1;
    o->status = wr_file_find(o->path, &o->how, &o->facts, &o->err);
}

static void free_opening(struct wr_work *w)
{
    struct wr_opening *o = opening_of(w);

    wr_file_facts_drop(&o->facts);
    wr_file_unref(o->file);
    wr_mem_free(o);
}

/* This handler's list. */
static void use_list(struct wr_reqx *x)
{
    const struct wr_req *r = &x->r;
    uint32_t mark = (uint32_t)r->redirects << 24 | (uint32_t)r->phase << 16 | r->phase_next;

    if (x->opens_mark != mark) {
        wr_open_file_leave(&x->r);
        x->opens_mark = mark;
    }
}

static struct wr_opening *find_opening(const struct wr_reqx *x, const struct wanted *w)
{
    struct wr_opening *o = x->opens;

    while (o && (o->how.want_fd != w->how.want_fd ||
                 !wr_str_eq(wr_str(o->path, o->path_len), w->path))) {
        o = o->next;
    }
    return o;
}

static enum wr_status start_opening(struct wr_reqx *x, const struct wanted *w)
{
    struct wr_opening *o = wr_run_zalloc(sizeof(*o) + w->path.len + 1);
    enum wr_status st;

    if (!o) {
        return WR_ENOMEM;
    }
    o->work.work = work;
    o->work.free = free_opening;
    o->how = w->how;
    o->how.may_wait = true;
    o->facts.fd = -1;
    o->path_len = w->path.len;
    memcpy(o->path, w->path.ptr, w->path.len + 1);
    st = wr_work_start(w->pool, &o->work, &x->r.task);
    if (st != WR_OK) {
        wr_log(&x->r.log, WR_LOG_ERROR, "no thread of the pool takes on \"%.*s\": %s",
               WR_STR_ARG(w->path), wr_status_name(st));
        free_opening(&o->work);
        return st;
    }
    o->next = x->opens;
    x->opens = o;
    return WR_AGAIN;
}

static enum wr_status take_opening(struct wr_opening *o, struct wr_found *ret, int *ret_errno)
{
    struct wr_found found;

    if (!o->work.is_home) {
        return WR_AGAIN;
    }
    if (o->status != WR_OK) {
        *ret_errno = o->err;
        return o->status;
    }
    if (o->facts.fd != -1) {
        if (make_found(&o->facts, &found) != WR_OK) {
            o->facts.fd = -1;
            return WR_ENOMEM;
        }
        o->facts = found.facts;
        o->file = found.file;
    }
    ret->facts = o->facts;
    ret->file = o->file ? wr_file_ref(o->file) : NULL;
    return WR_OK;
}

static enum wr_status find_by_pool(const struct wanted *w, struct wr_found *ret, int *ret_errno)
{
    struct wr_reqx *x = wr_reqx_of(w->r);
    struct wr_opening *o = find_opening(x, w);

    return o ? take_opening(o, ret, ret_errno) : start_opening(x, w);
}

void wr_open_file_leave(struct wr_req *r)
{
    struct wr_reqx *x = wr_reqx_of(r);

    while (x->opens) {
        struct wr_opening *o = x->opens;

        x->opens = o->next;
        wr_work_leave(&o->work);
    }
}

/* ---- all of it ------------------------------------------------------------------------------ */

enum wr_status wr_open_file(struct wr_req *r, struct wr_str path, enum wr_open_want want,
                            struct wr_found *ret, int *ret_errno)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    struct wanted w = {.r = r, .path = path};
    enum wr_status st = wr_files_how(r, path, &w.how);

    if (st != WR_OK) {
        return st;
    }
    w.how.want_fd = want == WR_OPEN_READ;
    if (lc->aio) {
        st = wr_files_pool(r, &w.pool);
        if (st != WR_OK) {
            return st;
        }
        r->stream->file_pool = w.pool;
        use_list(wr_reqx_of(r));
    }
    if (lc->open_cache) {
        w.cache = wr_open_cache_of(r->gen, lc->open_cache);
    }
    if (w.cache) {
        st = ask_cache(&w, ret, ret_errno);
        if (st != WR_AGAIN) {
            return st;
        }
    }
    st = w.pool ? find_by_pool(&w, ret, ret_errno) : find_here(&w, ret, ret_errno);
    if (w.cache && (st == WR_OK || st == WR_ESYS)) {
        tell_cache(&w, ret, st == WR_OK ? 0 : *ret_errno);
    }
    return st;
}
