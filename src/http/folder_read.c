/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder_read.c: see folder_read.h. Where aio is off the first names are taken on the request's
 * thread; if there are more the folder goes on to the pool, open as it is. Nothing but the pool's
 * thread touches it then, until the work is home.
 */
#include "http/folder_read.h"

#include "base/assert.h"
#include "http/core_conf.h"
#include "http/files_conf.h"
#include "http/open_file.h"
#include "http/req.h"

#define AT_ONCE 256u /* names that are taken on the request's thread */

static void close_folder(struct wr_folder_read *fr)
{
    wr_folder_close(fr->folder);
    fr->folder = NULL;
}

/* At most max names. False: there may be more. */
static bool take_names(struct wr_folder_read *fr, size_t max)
{
    struct wr_folder_name n;

    fr->status = WR_OK;
    if (!fr->folder) {
        fr->status = wr_folder_open(fr->path, &fr->how, &fr->folder, &fr->err);
    }
    for (size_t i = 0; i < max && fr->status == WR_OK; i++) {
        fr->status = wr_folder_next(fr->folder, &n, &fr->err);
        if (fr->status == WR_OK) {
            fr->status = fr->ops->take(fr, &n);
        }
    }
    if (fr->status == WR_OK) {
        return false;
    }
    close_folder(fr);
    if (fr->status == WR_EOF && fr->ops->finish) {
        fr->ops->finish(fr);
    }
    return true;
}

static struct wr_folder_read *read_of(struct wr_work *w)
{
    return wr_container_of(w, struct wr_folder_read, work);
}

static void work(struct wr_work *w)
{
    (void)take_names(read_of(w), SIZE_MAX);
}

static void free_work(struct wr_work *w)
{
    struct wr_folder_read *fr = read_of(w);

    close_folder(fr);
    fr->ops->free(fr);
}

enum wr_status wr_folder_read_run(struct wr_folder_read *fr, struct wr_req *r)
{
    struct wr_offload *pool = NULL;
    enum wr_status st;

    if (fr->is_started) {
        fr->is_over = fr->is_over || fr->work.is_home;
        return fr->is_over ? WR_OK : WR_AGAIN;
    }
    st = wr_files_pool(r, &pool);
    if (st != WR_OK) {
        return st;
    }
    if (!pool && take_names(fr, AT_ONCE)) {
        fr->is_started = fr->is_over = fr->work.is_home = true;
        fr->work.free = free_work;
        return WR_OK;
    }
    fr->work.work = work;
    fr->work.free = free_work;
    st = wr_work_start(pool ? pool : wr_files_default_pool(r), &fr->work, &r->task);
    if (st != WR_OK) {
        fr->work.is_home = true; /* it never left */
        return st;
    }
    fr->is_started = true;
    return WR_AGAIN;
}

void wr_folder_read_leave(struct wr_folder_read *fr)
{
    if (!fr) {
        return;
    }
    if (!fr->is_started) {
        free_work(&fr->work);
        return;
    }
    wr_work_leave(&fr->work);
}
