/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_files.c: see gen_files.h. Lists of default sinks are never freed, because any thread may be
 * writing to the one before; equal lists are the same list, so reloads do not add up.
 */
#include "main/gen_files.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/sync.h"
#include "io/append.h"
#include "observe/access_log.h"

#define SINKS_MAX 8

struct sinks {
    struct wr_log_sink at[SINKS_MAX];
    size_t cnt;
    struct sinks *next;
};

static struct wr_mutex sinks_lock = WR_MUTEX_INIT(WR_RANK_LEAF);
static struct sinks *all_sinks; /* sinks_lock */

const struct wr_core_main *wr_gen_core_main(const struct wr_gen *g)
{
    return wr_scope_get(g->root, &wr_core_conf, WR_KIND_MAIN);
}

enum wr_status wr_gen_logs_each(struct wr_gen *g, wr_gen_log_fn *fn, void *data)
{
    const struct wr_core_main *cm = wr_gen_core_main(g);
    enum wr_status st = WR_OK;

    for (struct wr_error_log *l = cm->sinks_all; l != NULL && st == WR_OK; l = l->next) {
        if (l->path.len > 0) {
            st = fn(data, l->path, &l->sink.fd, false);
        }
    }
    for (struct wr_access_file *f = wr_access_log_files(g); f != NULL && st == WR_OK; f = f->next) {
        st = fn(data, f->path, &f->fd, f->node == NULL);
        f->is_stream = f->fd >= 0 && !wr_append_is_regular(f->fd);
    }
    return st;
}

static bool is_same(const struct sinks *a, const struct sinks *b)
{
    for (size_t i = 0; i < a->cnt && i < b->cnt; i++) {
        const struct wr_log_sink *x = &a->at[i], *y = &b->at[i];

        if (x->fd != y->fd || x->level != y->level || x->put != y->put || x->data != y->data ||
            x->form != y->form) {
            return false;
        }
    }
    return a->cnt == b->cnt;
}

static const struct wr_log_sink *intern(const struct sinks *s)
{
    struct sinks *p;

    wr_mutex_lock(&sinks_lock);
    for (p = all_sinks; p != NULL && !is_same(p, s); p = p->next) {
        continue;
    }
    if (p == NULL) {
        p = wr_mem_alloc(sizeof(*p));
        *p = *s;
        for (size_t i = 0; i < p->cnt; i++) {
            p->at[i].next = i + 1 < p->cnt ? &p->at[i + 1] : NULL;
        }
        p->next = all_sinks;
        all_sinks = p;
    }
    wr_mutex_unlock(&sinks_lock);
    return p->at;
}

void wr_gen_install_sinks(const struct wr_gen *g, int fallback_fd)
{
    const struct wr_core_main *cm = wr_gen_core_main(g);
    const struct wr_log_sink *k = cm->sinks != NULL ? &cm->sinks->sink : NULL;
    struct sinks s = {.cnt = 0};

    for (; k != NULL && s.cnt < SINKS_MAX; k = k->next) {
        s.at[s.cnt] = *k;
        s.at[s.cnt++].next = NULL;
    }
    if (s.cnt == 0) {
        s.at[s.cnt++] = (struct wr_log_sink){.fd = fallback_fd, .level = WR_LOG_ERROR};
    }
    wr_log_set_default(intern(&s));
}
