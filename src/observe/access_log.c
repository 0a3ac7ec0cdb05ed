/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access_log.c: see access_log.h: the LOG phase and what a thread holds. A thread has one batch for
 * each file of each generation that it serves:
 *
 *   thread -- gens: struct log_gen {gen, batch[file.no]}    made at the first line, gone at
 * thread_drop
 *          \- dirty: batches that hold lines
 *
 * A line is appended to the batch in one pass; it is at most LINE_MAX long, longer ones are cut.
 * How it gets into the file, and what happens when it does not, is log_target.c's.
 */
#include "observe/access_log.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stat.h"
#include "conf/gen.h"
#include "event/loop.h"
#include "event/task.h"
#include "event/timer.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "http/path.h"
#include "net/syslog.h"
#include "observe/access_log_int.h"
#include "observe/log_format.h"
#include "observe/log_gzip.h"
#include "observe/log_path.h"
#include "observe/log_target.h"

#define LINE_LEN_MAX 65536u      /* bytes of one line */
#define PENDING_MAX  65536u      /* bytes that an unbuffered file gathers within a turn */
#define BATCH_MAX    (65u << 20) /* bytes of a batch: the largest buffer= and what streams keep */
#define KEPT_MAX     (1u << 20)  /* bytes beyond that kept for a slow reader */
#define RETRY_MS     20          /* until a slow reader is tried again */

/* ---- batches of this thread ---------------------------------------------------------------------
 */

struct log_batch {
    struct wr_list node; /* in dirty, or alone */
    struct wr_access_file *file;
    struct wr_log_target *target; /* NULL: no line yet */
    struct wr_log_out out;
    struct wr_log_gzip *gzip; /* the open member, made at the first line */
    uint64_t flush_at_ms;     /* when the first line must go; 0: no timer */
    bool is_waiting;          /* flush_at_ms is when a slow reader is tried again */
};

struct log_gen {
    struct wr_list node;
    const struct wr_gen *gen;
    uint64_t gen_no;
    uint32_t cnt;
    struct log_batch at[];
};

struct log_thread {
    struct wr_task task;
    struct wr_timer timer;
    struct wr_list gens, dirty;
    struct wr_strbuf line; /* that is about to be compressed, or sent */
    struct wr_access_log_member member;
    bool is_made, is_member;
};

/* Rule zero: floor 7 has no place in struct wr_local; only this thread sees it. */
static WR_THREAD_LOCAL struct log_thread mine;

static enum wr_log_target_kind kind_of(const struct wr_access_file *f)
{
    if (f->is_stream) {
        return WR_LOG_STREAM;
    }
    return f->gzip != 0 ? WR_LOG_GZIP : WR_LOG_LINES;
}

/* The first n bytes of the batch go to the file, or are lost, or are kept for a slow reader. */
static void write_batch(struct log_batch *t, size_t n)
{
    wr_log_target_write(t->target, t->file->fd, kind_of(t->file), &t->out, n);
}

/* The open member is whole, and waits for the file. */
static void close_member(struct log_batch *t)
{
    uint64_t lines, lost;

    if (!t->gzip || wr_log_gzip_len(t->gzip) == 0) {
        return;
    }
    lines = wr_log_gzip_lines(t->gzip);
    if (wr_log_gzip_finish(t->gzip, &t->out.b, &lost) == WR_OK) {
        t->out.gzip_lines += lines;
    } else {
        wr_log_target_lost(t->target, lost, ENOMEM);
    }
}

static void flush_batch(struct log_batch *t)
{
    close_member(t);
    write_batch(t, t->out.b.len);
    t->is_waiting = t->out.b.len > 0;
    t->flush_at_ms = t->is_waiting ? wr_now_ms() + RETRY_MS : 0;
    if (!t->is_waiting) {
        wr_list_remove(&t->node);
    }
}

/* At the end of a turn, and when a flush timer is due. */
static void run_task(struct wr_task *task)
{
    struct wr_list *n, *next;
    uint64_t now = wr_now_ms(), first = 0;

    (void)task;
    WR_LIST_FOREACH_SAFE (n, next, &mine.dirty) {
        struct log_batch *t = wr_container_of(n, struct log_batch, node);

        if (t->flush_at_ms == 0 ? t->file->buffer_size == 0
                                : wr_deadline_is_due(t->flush_at_ms, now)) {
            flush_batch(t);
        }
        if (t->flush_at_ms != 0 && (first == 0 || t->flush_at_ms < first)) {
            first = t->flush_at_ms;
        }
    }
    if (first != 0) {
        wr_timer_arm(&mine.timer, first);
    }
    wr_log_path_submit();
}

/* Somebody is about to reopen the logs. */
static void run_sync(void)
{
    struct wr_list *n, *next;

    WR_LIST_FOREACH_SAFE (n, next, &mine.dirty) {
        flush_batch(wr_container_of(n, struct log_batch, node));
    }
    if (!wr_list_is_empty(&mine.dirty)) {
        wr_task_wake(&mine.task); /* arms the timer for slow readers */
    }
    wr_log_path_close_all();
}

static void make_thread(void)
{
    if (!mine.is_made) {
        wr_task_init(&mine.task, run_task, "access log");
        wr_timer_init(&mine.timer, &mine.task);
        wr_list_init(&mine.gens);
        wr_list_init(&mine.dirty);
        wr_strbuf_init(&mine.line, LINE_LEN_MAX);
        mine.is_made = true;
    }
    if (!mine.is_member && wr_loop_get()) {
        wr_access_log_join(&mine.member, run_sync);
        mine.is_member = true;
    }
}

static struct log_gen *find_gen(const struct wr_gen *g)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &mine.gens) {
        struct log_gen *lg = wr_container_of(n, struct log_gen, node);

        if (lg->gen == g && lg->gen_no == g->no) {
            return lg;
        }
    }
    return NULL;
}

/* Nothing may be in the batches but what flush_batch left. */
static void free_gen(struct log_gen *lg)
{
    for (uint32_t i = 0; i < lg->cnt; i++) {
        struct log_batch *t = &lg->at[i];

        if (t->target) {
            flush_batch(t);
            wr_log_target_give_up(t->target, &t->out);
        }
        wr_list_remove(&t->node);
        wr_log_target_unref(t->target);
        wr_log_gzip_free(t->gzip);
        wr_strbuf_fini(&t->out.b);
    }
    wr_list_remove(&lg->node);
    wr_mem_free(lg);
}

/* NULL: no memory. */
static struct log_gen *add_gen(const struct wr_gen *g)
{
    const struct wr_access_log_main *m = wr_access_log_main_of(g);
    struct log_gen *lg = wr_run_zalloc(sizeof(*lg) + m->file_cnt * sizeof(lg->at[0]));

    if (!lg) {
        return NULL;
    }
    lg->gen = g;
    lg->gen_no = g->no;
    lg->cnt = m->file_cnt;
    for (struct wr_access_file *f = m->files; f; f = f->next) {
        struct log_batch *t = &lg->at[f->no];

        wr_list_init(&t->node);
        t->file = f;
        t->out.is_members = f->gzip != 0;
        wr_strbuf_init(&t->out.b, BATCH_MAX + 2 * LINE_LEN_MAX);
    }
    wr_list_push_front(&mine.gens, &lg->node);
    return lg;
}

/* Nothing is held: the loop may end. */
static void rest_thread(void)
{
    if (!wr_list_is_empty(&mine.gens) || wr_log_path_is_used()) {
        return;
    }
    wr_task_cancel(&mine.task);
    wr_timer_fini(&mine.timer);
    wr_strbuf_fini(&mine.line);
    mine.is_made = false;
    if (mine.is_member) {
        wr_access_log_leave(&mine.member);
        mine.is_member = false;
    }
}

static void drop_thread(struct wr_gen *g)
{
    struct log_gen *lg = mine.is_made ? find_gen(g) : NULL;

    if (lg) {
        free_gen(lg);
        rest_thread();
    }
}

void wr_access_log_flush(void)
{
    struct wr_list *n;

    if (!mine.is_made) {
        return;
    }
    wr_log_path_finish();
    while (!wr_list_is_empty(&mine.gens)) {
        n = mine.gens.next;
        free_gen(wr_container_of(n, struct log_gen, node));
    }
    rest_thread();
}

void wr_access_log_reopened(struct wr_str path)
{
    wr_log_target_reopened(path);
}

/* ---- a line -------------------------------------------------------------------------------------
 */

/* Appends the line with its end. False: no memory, nothing was added. */
static bool append_line(struct wr_req *r, const struct wr_log_format *f, struct wr_strbuf *b)
{
    size_t mark = b->len;

    b->max = mark + LINE_LEN_MAX - 1;
    wr_log_format_write(r, f, b);
    if (b->status == WR_ELIMIT) {
        b->status = WR_OK; /* cut */
    }
    b->max = mark + LINE_LEN_MAX;
    wr_strbuf_add_char(b, '\n');
    if (b->status != WR_OK) {
        wr_strbuf_reset(b);
        b->len = mark;
        wr_stat_add(WR_CNT_LOG_DROPPED, 1);
        return false;
    }
    return true;
}

static void arm(struct log_batch *t, uint64_t at_ms)
{
    t->flush_at_ms = at_ms;
    if (!wr_timer_is_armed(&mine.timer) || mine.timer.at_ms > at_ms) {
        wr_timer_arm(&mine.timer, at_ms);
    }
}

static void wake_for(struct log_batch *t)
{
    const struct wr_access_file *f = t->file;

    if (t->node.next == &t->node) {
        wr_list_push(&mine.dirty, &t->node);
    }
    if (!wr_loop_get()) {
        flush_batch(t); /* no loop that would do it (a tool, a test) */
    } else if (f->buffer_size == 0) {
        wr_task_wake(&mine.task);
    } else if (f->flush_ms != 0 && t->flush_at_ms == 0) {
        arm(t, wr_now_ms() + f->flush_ms);
    }
}

/* A full buffer was written, but a slow reader left some of it. */
static void retry_later(struct log_batch *t)
{
    if (t->out.b.len > 0 && wr_loop_get()) {
        t->is_waiting = true;
        arm(t, wr_now_ms() + RETRY_MS);
    }
}

static bool is_room_for_line(struct log_batch *t)
{
    if (t->out.b.len < t->file->buffer_size + PENDING_MAX + KEPT_MAX) {
        return true;
    }
    wr_log_target_lost(t->target, 1, EAGAIN);
    return false;
}

static bool add_compressed(struct wr_req *r, const struct wr_access_log *l, struct log_batch *t)
{
    const struct wr_access_file *f = t->file;
    uint64_t lost;

    if (!t->gzip) {
        t->gzip = wr_log_gzip_new(f->gzip, f->buffer_size);
    }
    wr_strbuf_reset(&mine.line);
    if (!t->gzip) {
        wr_log_target_lost(t->target, 1, ENOMEM);
        return false;
    }
    if (!append_line(r, l->format, &mine.line)) {
        return false;
    }
    if (wr_log_gzip_len(t->gzip) > 0 && wr_log_gzip_len(t->gzip) + mine.line.len > f->buffer_size) {
        close_member(t);
        write_batch(t, t->out.b.len);
        retry_later(t);
    }
    if (wr_log_gzip_add(t->gzip, wr_strbuf_str(&mine.line), &lost) != WR_OK) {
        wr_log_target_lost(t->target, lost, ENOMEM);
        return false;
    }
    return true;
}

static bool add_plain(struct wr_req *r, const struct wr_access_log *l, struct log_batch *t)
{
    uint64_t max = l->file->buffer_size != 0 ? l->file->buffer_size : PENDING_MAX;
    size_t mark = t->out.b.len;

    if (!append_line(r, l->format, &t->out.b)) {
        return false;
    }
    if (t->out.b.len <= max || t->is_waiting) {
        return true; /* waiting: the timer looks after it */
    }
    write_batch(t, mark); /* whole lines; the new one is the first of the next batch */
    if (t->out.b.len > max) {
        write_batch(t, t->out.b.len);
        retry_later(t);
    }
    return true;
}

static void log_to_file(struct wr_req *r, const struct wr_access_log *l)
{
    struct log_gen *lg;
    struct log_batch *t;

    make_thread();
    lg = find_gen(r->gen);
    if (!lg) {
        lg = add_gen(r->gen);
    }
    if (!lg) {
        wr_stat_add(WR_CNT_LOG_DROPPED, 1);
        return;
    }
    t = &lg->at[l->file->no];
    if (!t->target) {
        t->target = wr_log_target_get(l->file->path);
    }
    if (!t->target) {
        wr_stat_add(WR_CNT_LOG_DROPPED, 1);
        return;
    }
    if (is_room_for_line(t) &&
        (l->file->gzip != 0 ? add_compressed(r, l, t) : add_plain(r, l, t))) {
        wake_for(t);
    }
}

static void log_to_syslog(struct wr_req *r, const struct wr_access_log *l)
{
    make_thread();
    wr_strbuf_reset(&mine.line);
    wr_log_format_write(r, l->format, &mine.line); /* what does not fit is cut */
    (void)wr_syslog_send(l->syslog, l->syslog->severity,
                         wr_strbuf_str(&mine.line)); /* counted there */
}

/* ---- paths with variables -----------------------------------------------------------------------
 */

/* The name of the file for this request, absolute. False: there is none. */
static bool eval_path(struct wr_req *r, const struct wr_template *t, struct wr_str *ret)
{
    struct wr_strbuf b;

    wr_strbuf_init_arena(&b, r->arena, WR_PATH_TEXT_MAX);
    if (wr_template_append(r, t, &b) != WR_OK || b.len == 0) {
        return false;
    }
    *ret = wr_strbuf_str(&b);
    if (wr_path_escapes(*ret, t->source)) {
        wr_log(&r->log, WR_LOG_ERROR, "the log name \"%.*s\" leads outside of \"%.*s\", refused",
               WR_STR_ARG(*ret), WR_STR_ARG(t->source));
        return false;
    }
    return true;
}

static void log_to_path(struct wr_req *r, const struct wr_access_log *l)
{
    const struct wr_access_log_loc *lc = wr_req_conf(r, &wr_access_log_conf, WR_KIND_LOC);
    struct wr_log_path_line pl = {.conn_no = r->log.conn_no};
    struct wr_strbuf b;

    if (wr_path_root(r, &pl.root) != WR_OK || !eval_path(r, l->path, &pl.path)) {
        return;
    }
    wr_strbuf_init_arena(&b, r->arena, LINE_LEN_MAX);
    if (!append_line(r, l->format, &b)) {
        return;
    }
    pl.line = wr_strbuf_str(&b);
    make_thread();
    wr_log_path_add(&lc->cache, &pl);
    if (wr_loop_get()) {
        wr_task_wake(&mine.task);
    }
}

/* ---- the phase ----------------------------------------------------------------------------------
 */

static bool is_wanted(struct wr_req *r, const struct wr_access_log *l)
{
    struct wr_str v;

    if (!l->cond) {
        return true;
    }
    if (wr_template_eval(r, l->cond, &v) != WR_OK) {
        return true; /* rather a line too many */
    }
    return v.len > 0 && !(v.len == 1 && v.ptr[0] == '0');
}

static enum wr_phase_result run_log(struct wr_req *r)
{
    const struct wr_access_log_loc *lc = wr_req_conf(r, &wr_access_log_conf, WR_KIND_LOC);

    if (lc->logs.is_off) {
        return WR_PHASE_NEXT;
    }
    for (uint32_t i = 0; i < lc->logs.cnt; i++) {
        const struct wr_access_log *l = &lc->logs.at[i];

        if (!is_wanted(r, l)) {
            continue;
        }
        if (l->file) {
            log_to_file(r, l);
        } else if (l->path) {
            log_to_path(r, l);
        } else {
            log_to_syslog(r, l);
        }
    }
    return WR_PHASE_NEXT;
}

static const struct wr_phase_row phases[] = {
    {WR_PHASE_LOG, 100, run_log}
};

const struct wr_module wr_access_log_module = {.conf = &wr_access_log_conf,
                                               .phases = phases,
                                               .phase_cnt = WR_ARRAY_LEN(phases),
                                               .thread_drop = drop_thread};
