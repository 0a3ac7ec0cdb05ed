/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_path.c: see log_path.h. A thread has two buffers of records and one job, which is under way
 * or at home; they change places when a job begins. The writer thread is a pool of one, made with
 * the first thread that needs it, ended by the last one that leaves; what it keeps open is its own.
 *
 *   record: struct record | path '\0' | root '\0' | line
 */
#include "observe/log_path.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/stat.h"
#include "base/strbuf.h"
#include "base/sync.h"
#include "event/loop.h"
#include "event/offload.h"
#include "event/timer.h"
#include "io/append.h"
#include "observe/log_cache.h"
#include "observe/log_target.h"

#define PENDING_MAX (1u << 20) /* bytes of records that a thread gathers */
#define GATHER_MAX  65536u     /* bytes of lines in one write */
#define QUEUE_MAX   1024u      /* jobs; a thread has one */
#define FINISH_MS   20

struct record {
    struct wr_log_path_cache cache;
    uint64_t conn_no;
    uint32_t path_len, root_len, line_len;
};

/* ---- writer: on its thread ----------------------------------------------------------------------
 */

struct writer {
    struct wr_offload *offload;
    unsigned refcnt; /* under writers.lock */
    struct wr_log_cache cache;
    uint64_t seen_no; /* of wr_log_path_close_all */
    struct wr_strbuf lines;
    uint64_t lost, said_ms;
};

static wr_atomic_u64 close_no; /* times that all was to be closed */

static void init_writer(struct writer *w)
{
    wr_log_cache_init(&w->cache);
    wr_strbuf_init(&w->lines, PENDING_MAX);
    w->seen_no = wr_load_acq(&close_no);
}

static void fini_writer(struct writer *w)
{
    if (w->lost > 0) {
        wr_log(NULL, WR_LOG_ALERT, "%llu lines of log files with variable names were lost",
               (unsigned long long)w->lost);
    }
    wr_log_cache_fini(&w->cache);
    wr_strbuf_fini(&w->lines);
}

static uint64_t now_ms(void)
{
    return wr_clock_mono_us() / 1000;
}

/* Told once a minute at most, whichever file it was. */
static void lose(struct writer *w, const struct wr_log *log, struct wr_str path, uint64_t lines,
                 int err)
{
    uint64_t now = now_ms();

    wr_stat_add(WR_CNT_LOG_DROPPED, lines);
    w->lost += lines;
    if (w->said_ms == 0 || now - w->said_ms >= WR_LOG_SAY_MS) {
        wr_log_errno(log, WR_LOG_ALERT, err, "%llu lines lost: write() to \"%.*s\" failed",
                     (unsigned long long)w->lost, WR_STR_ARG(path));
        w->lost = 0;
        w->said_ms = now;
    }
}

static uint64_t count_lines(struct wr_str s)
{
    uint64_t cnt = 0;
    const char *at = s.ptr, *end = s.ptr + s.len;

    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        cnt++;
        at++;
    }
    return cnt;
}

/* Nobody else of this process writes to files that have such a name, so half a line can be taken
 * back. */
static void write_to(struct writer *w, const struct wr_log *log, struct wr_str path,
                     const struct wr_log_use *u)
{
    struct wr_str all = wr_strbuf_str(&w->lines);
    size_t done = 0, whole;
    int err = 0;

    if (wr_append_write(u->fd, u->kind, all.ptr, all.len, &done, &err) == WR_OK) {
        return;
    }
    for (whole = done; whole > 0 && all.ptr[whole - 1] != '\n'; whole--) {
        continue;
    }
    if (whole < done) {
        wr_append_undo(u->fd, done - whole);
    }
    lose(w, log, path, count_lines(wr_str_sub(all, whole, SIZE_MAX)), err);
}

/* The lines gathered in w->lines go to the file of r. */
static void write_gathered(struct writer *w, const struct record *r, struct wr_str path,
                           struct wr_str root)
{
    struct wr_log log = {.conn_no = r->conn_no};
    uint64_t cnt = count_lines(wr_strbuf_str(&w->lines));
    struct wr_log_use u = {.now_ms = now_ms(), .uses = (uint32_t)cnt};
    int err = 0;

    log.sinks = wr_log_default();
    if (!wr_append_has_folder(root.ptr, &err)) {
        /* As documented for nginx: without the request's root there is no log. */
        wr_log_errno(&log, WR_LOG_ERROR, err, "testing \"%.*s\" existence failed",
                     WR_STR_ARG(root));
    } else if (wr_log_cache_acquire(&w->cache, &r->cache, path, &u, &err) != WR_OK) {
        wr_stat_add(WR_CNT_LOG_DROPPED, cnt);
        wr_log_errno(&log, WR_LOG_CRIT, err, "open() \"%.*s\" failed", WR_STR_ARG(path));
    } else {
        write_to(w, &log, path, &u);
        wr_log_cache_release(&u);
    }
    wr_strbuf_reset(&w->lines);
}

static bool is_same_file(const struct record *a, struct wr_str path, struct wr_str root,
                         const char *next)
{
    struct record b;

    memcpy(&b, next, sizeof(b));
    next += sizeof(b);
    return memcmp(&a->cache, &b.cache, sizeof(b.cache)) == 0 &&
           wr_str_eq(path, wr_str(next, b.path_len)) &&
           wr_str_eq(root, wr_str(next + b.path_len + 1, b.root_len));
}

static void write_records(struct writer *w, struct wr_str records)
{
    const char *at = records.ptr, *end = records.ptr + records.len;

    while (at < end) {
        struct record r;
        struct wr_str path, root, line;

        memcpy(&r, at, sizeof(r));
        path = wr_str(at + sizeof(r), r.path_len);
        root = wr_str(path.ptr + path.len + 1, r.root_len);
        line = wr_str(root.ptr + root.len + 1, r.line_len);
        at = line.ptr + line.len;
        wr_strbuf_add_str(&w->lines, line);
        if (w->lines.status != WR_OK) {
            w->lines.status = WR_OK;
            wr_stat_add(WR_CNT_LOG_DROPPED, 1);
        }
        if (at == end || w->lines.len >= GATHER_MAX || !is_same_file(&r, path, root, at)) {
            write_gathered(w, &r, path, root);
        }
    }
}

/* ---- the one writer of the process --------------------------------------------------------------
 */

static struct {
    struct wr_mutex lock;
    struct writer *writer;
} writers = {.lock = WR_MUTEX_INIT(WR_RANK_LOG)};

/* NULL: no memory. */
static struct writer *join_writer(void)
{
    struct writer *w;

    wr_mutex_lock(&writers.lock);
    w = writers.writer;
    if (!w) {
        w = wr_run_zalloc(sizeof(*w));
        if (w) {
            init_writer(w);
            w->offload = wr_offload_new(1, QUEUE_MAX);
            writers.writer = w;
        }
    }
    if (w) {
        w->refcnt++;
    }
    wr_mutex_unlock(&writers.lock);
    return w;
}

static void leave_writer(struct writer *w)
{
    bool is_last;

    wr_mutex_lock(&writers.lock);
    is_last = --w->refcnt == 0;
    if (is_last) {
        writers.writer = NULL;
    }
    wr_mutex_unlock(&writers.lock);
    if (is_last) {
        wr_offload_free(w->offload); /* all jobs are home: each thread waited for its own */
        fini_writer(w);
        wr_mem_free(w);
    }
}

/* ---- a thread -----------------------------------------------------------------------------------
 */

struct path_thread {
    struct wr_job job;
    struct writer *writer; /* NULL: nothing was added yet */
    struct wr_strbuf pending, going;
    struct wr_task task;
    struct wr_timer timer;
    uint64_t expire_ms; /* of the job: when descriptors are to be closed; 0: there are none */
    bool is_going;
    bool want_close; /* wr_log_path_close_all came while a job was under way */
};

/* Rule zero: floor 7 has no place in struct wr_local; only this thread sees it, and its job. */
static WR_THREAD_LOCAL struct path_thread mine;

static void work(struct wr_job *j)
{
    struct path_thread *t = wr_container_of(j, struct path_thread, job);
    uint64_t no = wr_load_acq(&close_no);

    if (no != t->writer->seen_no) {
        t->writer->seen_no = no;
        wr_log_cache_fini(&t->writer->cache);
    }
    write_records(t->writer, wr_strbuf_str(&t->going));
    t->expire_ms = wr_log_cache_expire(&t->writer->cache, now_ms());
}

static void submit(struct path_thread *t)
{
    struct wr_strbuf b = t->pending;

    t->pending = t->going;
    t->going = b;
    t->want_close = false;
    if (wr_offload_submit(t->writer->offload, &t->job) == WR_OK) {
        t->is_going = true;
        return;
    }
    wr_log(NULL, WR_LOG_ALERT, "no thread could be started for log files with variable names");
    wr_strbuf_reset(&t->going);
}

static void done(struct wr_job *j)
{
    struct path_thread *t = wr_container_of(j, struct path_thread, job);

    t->is_going = false;
    wr_strbuf_reset(&t->going);
    if (t->pending.len > 0 || t->want_close) {
        submit(t);
    } else if (t->expire_ms != 0) {
        wr_timer_arm(&t->timer, t->expire_ms + 1);
    }
}

/* Descriptors are due, or all are to be closed. */
static void run_expire(struct wr_task *task)
{
    struct path_thread *t = wr_container_of(task, struct path_thread, task);

    if (t->writer && !t->is_going) {
        submit(t);
    }
}

static bool make_thread(struct path_thread *t)
{
    if (!t->writer) {
        t->writer = join_writer();
        if (!t->writer) {
            return false;
        }
        t->job = (struct wr_job){.work = work, .done = done, .drop = done};
        wr_strbuf_init(&t->pending, PENDING_MAX);
        wr_strbuf_init(&t->going, PENDING_MAX);
        wr_task_init(&t->task, run_expire, "log files' expiry");
        wr_timer_init(&t->timer, &t->task);
        t->expire_ms = 0;
    }
    return true;
}

static void add_record(struct wr_strbuf *b, const struct wr_log_path_cache *c,
                       const struct wr_log_path_line *l)
{
    size_t mark = b->len;
    struct record r;

    memset(&r, 0, sizeof(r)); /* is_same_file compares bytes */
    r.cache.max = c->max;
    r.cache.min_uses = c->min_uses;
    r.cache.inactive_ms = c->inactive_ms;
    r.cache.valid_ms = c->valid_ms;
    r.conn_no = l->conn_no;
    r.path_len = (uint32_t)l->path.len;
    r.root_len = (uint32_t)l->root.len;
    r.line_len = (uint32_t)l->line.len;
    wr_strbuf_add(b, &r, sizeof(r));
    wr_strbuf_add_str(b, l->path);
    wr_strbuf_add_char(b, '\0');
    wr_strbuf_add_str(b, l->root);
    wr_strbuf_add_char(b, '\0');
    wr_strbuf_add_str(b, l->line);
    if (b->status != WR_OK) {
        b->status = WR_OK;
        b->len = mark;
        wr_stat_add(WR_CNT_LOG_DROPPED, 1); /* the writer thread is stuck, or there is no memory */
    }
}

static void write_now(const struct wr_log_path_cache *c, const struct wr_log_path_line *l)
{
    struct writer w = {.refcnt = 0};
    struct wr_strbuf b;

    init_writer(&w);
    wr_strbuf_init(&b, PENDING_MAX);
    add_record(&b, c, l);
    write_records(&w, wr_strbuf_str(&b));
    wr_strbuf_fini(&b);
    fini_writer(&w);
}

void wr_log_path_add(const struct wr_log_path_cache *c, const struct wr_log_path_line *l)
{
    if (!wr_loop_get()) {
        write_now(c, l);
    } else if (make_thread(&mine)) {
        add_record(&mine.pending, c, l);
    } else {
        wr_stat_add(WR_CNT_LOG_DROPPED, 1);
    }
}

void wr_log_path_submit(void)
{
    if (mine.writer && !mine.is_going && mine.pending.len > 0) {
        submit(&mine);
    }
}

void wr_log_path_close_all(void)
{
    if (mine.writer) {
        (void)wr_add_acqrel(&close_no, 1);
        mine.want_close = true;
        wr_task_wake(&mine.task);
    }
}

bool wr_log_path_is_used(void)
{
    return mine.writer != NULL;
}

void wr_log_path_finish(void)
{
    if (!mine.writer) {
        return;
    }
    while (mine.is_going || mine.pending.len > 0) {
        wr_log_path_submit();
        wr_loop_turn(wr_loop_get(), FINISH_MS);
    }
    wr_task_cancel(&mine.task);
    wr_timer_fini(&mine.timer);
    wr_strbuf_fini(&mine.pending);
    wr_strbuf_fini(&mine.going);
    leave_writer(wr_take(&mine.writer));
}
