/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access_log.c: see access_log.h. A thread has one batch for each file of each generation that it
 * serves:
 *
 *   thread -- gens: struct log_gen {gen, batch[file.no]}    made at the first line, gone at
 * thread_drop
 *          \- dirty: batches that hold lines
 *
 * A line is appended to the batch in one pass; it is at most LINE_MAX long, longer ones are cut.
 * What the kernel does not take (disk full) is dropped, counted and said once until a write works
 * again.
 */
#include "observe/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/stat.h"
#include "conf/gen.h"
#include "conf/types.h"
#include "event/loop.h"
#include "event/task.h"
#include "event/timer.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "http/path.h"
#include "io/file.h"
#include "observe/log_format.h"

#define LINE_LEN_MAX  65536u      /* bytes of one line */
#define PENDING_MAX   65536u      /* bytes that an unbuffered file gathers within a turn */
#define BUFFER_MAX    (64u << 20) /* buffer= */
#define DEFAULT_PATH  "logs/access.log"
#define LOG_FILE_MODE 0644

struct access_log {
    struct wr_access_file *file;    /* NULL: path */
    const struct wr_template *path; /* with variables */
    const struct wr_log_format *format;
    const struct wr_template *cond; /* if=; NULL: always */
};

struct access_logs {
    struct access_log *at;
    uint32_t cnt, _cap;
    bool is_off;
};

struct log_loc {
    struct wr_conf_head head;
    struct access_logs logs;
};

struct log_main {
    struct wr_conf_head head;
    struct wr_log_format *formats;
    struct wr_log_format *combined; /* made at its first use */
    struct wr_access_file *files;
    uint32_t file_cnt;
};

static struct wr_conf_module log_conf;

static struct log_main *main_of(const struct wr_gen *g)
{
    return wr_scope_get(g->root, &log_conf, WR_KIND_MAIN);
}

struct wr_access_file *wr_access_log_files(const struct wr_gen *g)
{
    return main_of(g)->files;
}

/* ---- batches of this thread ---------------------------------------------------------------------
 */

struct log_batch {
    struct wr_list node; /* in dirty, or alone */
    struct wr_access_file *file;
    struct wr_strbuf b;
    uint64_t flush_at_ms; /* buffered: when the first line must go; 0: no timer */
    bool has_failed;      /* said already */
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
    bool is_made;
};

/* Rule zero: floor 7 has no place in struct wr_local; only this thread sees it. */
static WR_THREAD_LOCAL struct log_thread mine;

static uint64_t count_lines(const char *p, size_t n)
{
    uint64_t cnt = 0;
    const char *end = p + n, *at;

    for (at = memchr(p, '\n', n); at; at = memchr(at + 1, '\n', (size_t)(end - at - 1))) {
        cnt++;
    }
    return cnt;
}

/* All of it or an errno; *ret_left: bytes that were not taken. */
static int write_all(int fd, const char *p, size_t n, size_t *ret_left)
{
    int err = 0;

    while (n > 0) {
        ssize_t done =
            write(fd, p, n); /* allow(syscall): one write a turn and file, no other layer between */

        if (done > 0) {
            p += done;
            n -= (size_t)done;
        } else if (done == 0 || errno != EINTR) {
            err = done == 0 ? EIO : errno;
            break;
        }
    }
    *ret_left = n;
    return err;
}

/* The first n bytes of the batch go to the file, or are lost. */
static void write_batch(struct log_batch *t, size_t n)
{
    size_t left = n;
    int err = EBADF;

    if (n == 0) {
        return;
    }
    if (t->file->fd >= 0) {
        err = write_all(t->file->fd, t->b.ptr, n, &left);
    }
    if (left > 0) {
        wr_stat_add(WR_CNT_LOG_DROPPED,
                    WR_MAX(count_lines(t->b.ptr + n - left, left), (uint64_t)1));
        if (!t->has_failed) {
            wr_log_errno(NULL, WR_LOG_ALERT, err, "write() to \"%.*s\" failed, lines are lost",
                         WR_STR_ARG(t->file->path));
        }
    }
    t->has_failed = left > 0;
    memmove(t->b.ptr, t->b.ptr + n, t->b.len - n);
    t->b.len -= n;
}

static void flush_batch(struct log_batch *t)
{
    write_batch(t, t->b.len);
    t->flush_at_ms = 0;
    wr_list_remove(&t->node);
}

/* At the end of a turn, and when a flush timer is due. */
static void run_task(struct wr_task *task)
{
    struct wr_list *n, *next;
    uint64_t now = wr_now_ms(), first = 0;

    (void)task;
    WR_LIST_FOREACH_SAFE (n, next, &mine.dirty) {
        struct log_batch *t = wr_container_of(n, struct log_batch, node);

        if (t->file->buffer_size == 0 || wr_deadline_is_due(t->flush_at_ms, now)) {
            flush_batch(t);
        } else if (t->flush_at_ms != 0 && (first == 0 || t->flush_at_ms < first)) {
            first = t->flush_at_ms;
        }
    }
    if (first != 0) {
        wr_timer_arm(&mine.timer, first);
    }
}

static void make_thread(void)
{
    if (!mine.is_made) {
        wr_task_init(&mine.task, run_task, "access log");
        wr_timer_init(&mine.timer, &mine.task);
        wr_list_init(&mine.gens);
        wr_list_init(&mine.dirty);
        mine.is_made = true;
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

/* NULL: no memory. */
static struct log_gen *add_gen(const struct wr_gen *g)
{
    const struct log_main *m = main_of(g);
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
        wr_strbuf_init(&t->b, BUFFER_MAX + 2 * LINE_LEN_MAX);
    }
    wr_list_push_front(&mine.gens, &lg->node);
    return lg;
}

static void free_gen(struct log_gen *lg)
{
    for (uint32_t i = 0; i < lg->cnt; i++) {
        flush_batch(&lg->at[i]);
        wr_strbuf_fini(&lg->at[i].b);
    }
    wr_list_remove(&lg->node);
    wr_mem_free(lg);
}

/* Nothing is held: the loop may end. */
static void rest_thread(void)
{
    if (wr_list_is_empty(&mine.gens)) {
        wr_task_cancel(&mine.task);
        wr_timer_fini(&mine.timer);
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
    while (!wr_list_is_empty(&mine.gens)) {
        n = mine.gens.next;
        free_gen(wr_container_of(n, struct log_gen, node));
    }
    rest_thread();
}

/* ---- a line
 * --------------------------------------------------------------------------------------- */

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
        t->flush_at_ms = wr_now_ms() + f->flush_ms;
        if (!wr_timer_is_armed(&mine.timer) || mine.timer.at_ms > t->flush_at_ms) {
            wr_timer_arm(&mine.timer, t->flush_at_ms);
        }
    }
}

static void log_to_file(struct wr_req *r, const struct access_log *l)
{
    struct log_gen *lg;
    struct log_batch *t;
    uint64_t max;
    size_t mark;

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
    mark = t->b.len;
    if (!append_line(r, l->format, &t->b)) {
        return;
    }
    max = l->file->buffer_size != 0 ? l->file->buffer_size : PENDING_MAX;
    if (t->b.len > max) {
        write_batch(t, mark); /* whole lines; the new one is the first of the next batch */
    }
    if (t->b.len > max) {
        write_batch(t, t->b.len);
    }
    wake_for(t);
}

/* ---- paths with variables
 * --------------------------------------------------------------------------- */

/* As documented for nginx: nothing is logged when the request's root is not there. */
static bool has_root(struct wr_req *r)
{
    struct wr_file *f;
    struct wr_str root;
    bool is_dir;
    int err;

    if (wr_path_root(r, &root) != WR_OK || wr_file_open(root.ptr, &f, &err) != WR_OK) {
        return false;
    }
    is_dir = f->is_dir;
    wr_file_unref(f);
    return is_dir;
}

/* The name of the file for this request, '\0' behind it. False: there is none. */
static bool eval_path(struct wr_req *r, const struct wr_template *t, struct wr_str *ret)
{
    struct wr_strbuf b;

    wr_strbuf_init_arena(&b, r->arena, WR_PATH_TEXT_MAX);
    if (wr_template_append(r, t, &b) != WR_OK || b.len == 0) {
        return false;
    }
    wr_strbuf_add_char(&b, '\0');
    if (b.status != WR_OK) {
        return false;
    }
    *ret = wr_str(b.ptr, b.len - 1);
    if (ret->ptr[0] != '/') {
        struct wr_str prefix = wr_core_loc_of(r)->prefix;

        if (wr_arena_printf(r->arena, ret, "%.*s%.*s", WR_STR_ARG(prefix), WR_STR_ARG(*ret)) !=
            WR_OK) {
            return false;
        }
    }
    if (wr_path_escapes(*ret, t->source)) {
        wr_log(&r->log, WR_LOG_ERROR, "the log name \"%.*s\" leads outside of \"%.*s\", refused",
               WR_STR_ARG(*ret), WR_STR_ARG(t->source));
        return false;
    }
    return true;
}

static void log_to_path(struct wr_req *r, const struct access_log *l)
{
    struct wr_strbuf b;
    struct wr_str path;
    size_t left;
    int fd, err;

    if (!has_root(r) || !eval_path(r, l->path, &path)) {
        return;
    }
    wr_strbuf_init_arena(&b, r->arena, LINE_LEN_MAX);
    if (!append_line(r, l->format, &b)) {
        return;
    }
    /* allow(syscall): the name is known only now */
    fd = open(path.ptr, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, LOG_FILE_MODE);
    if (fd == -1) {
        wr_stat_add(WR_CNT_LOG_DROPPED, 1);
        wr_log_errno(&r->log, WR_LOG_CRIT, errno, "open() \"%.*s\" failed", WR_STR_ARG(path));
        return;
    }
    err = write_all(fd, b.ptr, b.len, &left);
    if (left > 0) {
        wr_stat_add(WR_CNT_LOG_DROPPED, 1);
        wr_log_errno(&r->log, WR_LOG_ALERT, err, "write() to \"%.*s\" failed", WR_STR_ARG(path));
    }
    (void)close(fd); /* allow(syscall): as above; what can fail here was told by write */
}

/* ---- the phase
 * -------------------------------------------------------------------------------------- */

static bool is_wanted(struct wr_req *r, const struct access_log *l)
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
    const struct log_loc *lc = wr_req_conf(r, &log_conf, WR_KIND_LOC);

    if (lc->logs.is_off) {
        return WR_PHASE_NEXT;
    }
    for (uint32_t i = 0; i < lc->logs.cnt; i++) {
        const struct access_log *l = &lc->logs.at[i];

        if (!is_wanted(r, l)) {
            continue;
        }
        if (l->file) {
            log_to_file(r, l);
        } else {
            log_to_path(r, l);
        }
    }
    return WR_PHASE_NEXT;
}

/* ---- log_format
 * ----------------------------------------------------------------------------------- */

static struct wr_log_format *find_format(const struct log_main *m, struct wr_str name)
{
    struct wr_log_format *f;

    for (f = m->formats; f; f = f->next) {
        if (wr_str_eq(f->name, name)) {
            return f;
        }
    }
    return NULL;
}

static enum wr_status read_escape(struct wr_conf *cf, const struct wr_node *node,
                                  struct wr_str word, uint8_t *ret)
{
    static const struct wr_word words[] = {
        {"default", WR_LOG_ESCAPE_DEFAULT},
        {"json",    WR_LOG_ESCAPE_JSON   },
        {"none",    WR_LOG_ESCAPE_NONE   },
        WR_WORDS_END
    };

    for (const struct wr_word *w = words; w->name; w++) {
        if (wr_str_eq_z(word, w->name)) {
            *ret = (uint8_t)w->value;
            return WR_OK;
        }
    }
    return wr_conf_err_arg(cf, node, 1, "unknown log format escaping \"%.*s\"", WR_STR_ARG(word));
}

static enum wr_status set_format(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct log_main *m = main_of(cf->gen);
    struct wr_str name = wr_node_arg(node, 0), word;
    struct wr_log_format *f;
    enum wr_status st = WR_OK;
    uint32_t i = 1;

    (void)dir, (void)conf;
    if (find_format(m, name) || wr_str_eq(name, WR_STR("combined"))) {
        return wr_conf_err_arg(cf, node, 0, "duplicate \"log_format\" name \"%.*s\"",
                               WR_STR_ARG(name));
    }
    f = wr_arena_zalloc(cf->arena, sizeof(*f));
    if (!f) {
        return wr_conf_nomem(cf);
    }
    f->name = name;
    if (wr_arg_has_key(node, 1, "escape", &word)) {
        st = read_escape(cf, node, word, &f->escape);
        i = 2;
    }
    for (; i < node->arg_cnt && st == WR_OK; i++) {
        st = wr_log_format_add(cf, node, i, wr_node_arg(node, i), f);
    }
    if (st == WR_OK) {
        f->next = m->formats;
        m->formats = f;
    }
    return st;
}

/* ---- access_log
 * ----------------------------------------------------------------------------------- */

static enum wr_status get_combined(struct wr_conf *cf, struct log_main *m,
                                   const struct wr_log_format **ret)
{
    enum wr_status st = WR_OK;

    if (!m->combined) {
        struct wr_log_format *f = wr_arena_zalloc(cf->arena, sizeof(*f));

        if (!f) {
            return wr_conf_nomem(cf);
        }
        f->name = WR_STR("combined");
        st = wr_log_format_add(cf, NULL, 0, WR_STR(WR_LOG_COMBINED), f);
        m->combined = f;
    }
    *ret = m->combined;
    return st;
}

struct log_params {
    uint64_t buffer_size, flush_ms;
    bool has_flush;
};

static enum wr_status read_condition(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                     struct wr_str text, struct access_log *l)
{
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));

    if (!t) {
        return wr_conf_nomem(cf);
    }
    l->cond = t;
    return wr_arg_template(cf, n, i, text, t);
}

static enum wr_status read_param(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                 struct access_log *l, struct log_params *p)
{
    struct wr_str v;

    if (wr_arg_has_key(n, i, "if", &v)) {
        return read_condition(cf, n, i, v, l);
    }
    if (wr_arg_has_key(n, i, "buffer", &v)) {
        if (wr_num_parse_size(v, BUFFER_MAX, &p->buffer_size) != WR_OK || p->buffer_size == 0) {
            return wr_conf_err_arg(cf, n, i, "invalid buffer size \"%.*s\"", WR_STR_ARG(v));
        }
        return WR_OK;
    }
    if (wr_arg_has_key(n, i, "flush", &v)) {
        if (wr_num_parse_ms(v, &p->flush_ms) != WR_OK || p->flush_ms == 0) {
            return wr_conf_err_arg(cf, n, i, "invalid flush time \"%.*s\"", WR_STR_ARG(v));
        }
        p->has_flush = true;
        return WR_OK;
    }
    if (wr_arg_has_key(n, i, "gzip", &v) || wr_str_eq(wr_node_arg(n, i), WR_STR("gzip"))) {
        return wr_conf_err_arg(cf, n, i,
                               "the \"gzip\" parameter of \"access_log\" is not supported yet");
    }
    return wr_arg_invalid(cf, n, i);
}

/* The entry of this path, made when it is new. */
static enum wr_status enter_file(struct wr_conf *cf, struct log_main *m, const struct wr_node *node,
                                 struct wr_str name, struct wr_access_file **ret)
{
    struct wr_access_file *f;
    struct wr_str path;
    enum wr_status st = wr_conf_path(cf, name, WR_PATH_PREFIX, &path);

    if (st != WR_OK) {
        return st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
    }
    for (f = m->files; f; f = f->next) {
        if (wr_str_eq(f->path, path)) {
            *ret = f;
            return WR_OK;
        }
    }
    f = wr_arena_zalloc(cf->arena, sizeof(*f));
    if (!f) {
        return wr_conf_nomem(cf);
    }
    *f = (struct wr_access_file){
        .path = path, .fd = -1, .node = node, .next = m->files, .no = m->file_cnt++};
    m->files = f;
    *ret = f;
    return WR_OK;
}

static enum wr_status set_buffer(struct wr_conf *cf, const struct wr_node *n,
                                 const struct access_log *l, const struct log_params *p)
{
    struct wr_access_file *f = l->file;
    struct wr_str name = wr_node_arg(n, 0);

    if (p->buffer_size == 0) {
        return p->has_flush ? wr_conf_err(cf, n, "no buffer is defined for access_log \"%.*s\"",
                                          WR_STR_ARG(name))
                            : WR_OK;
    }
    if (!f) {
        return wr_conf_err(cf, n, "buffered logs cannot have variables in name");
    }
    if (f->buffer_size != 0 && (f->buffer_size != p->buffer_size || f->flush_ms != p->flush_ms)) {
        return wr_conf_err(cf, n, "access_log \"%.*s\" already defined with conflicting parameters",
                           WR_STR_ARG(name));
    }
    f->buffer_size = p->buffer_size;
    f->flush_ms = p->flush_ms;
    return WR_OK;
}

static enum wr_status set_path(struct wr_conf *cf, const struct wr_node *n, struct access_log *l)
{
    struct wr_str name = wr_node_arg(n, 0);
    struct wr_template *t;
    enum wr_status st;

    if (wr_str_has_prefix(name, WR_STR("syslog:"))) {
        return wr_conf_err_arg(cf, n, 0, "\"syslog:\" of \"access_log\" is not supported yet");
    }
    if (!wr_template_has_vars(name)) {
        return enter_file(cf, main_of(cf->gen), n, name, &l->file);
    }
    t = wr_arena_zalloc(cf->arena, sizeof(*t));
    if (!t) {
        return wr_conf_nomem(cf);
    }
    if (name.ptr[0] != '$') {
        st = wr_conf_path(cf, name, WR_PATH_PREFIX, &name);
        if (st != WR_OK) {
            return st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
        }
    }
    l->path = t;
    return wr_arg_template(cf, n, 0, name, t);
}

static enum wr_status find_named_format(struct wr_conf *cf, const struct wr_node *n,
                                        struct access_log *l)
{
    struct log_main *m = main_of(cf->gen);
    struct wr_str name = wr_node_arg(n, 1);

    if (n->arg_cnt < 2 || wr_str_eq(name, WR_STR("combined"))) {
        return get_combined(cf, m, &l->format);
    }
    l->format = find_format(m, name);
    if (!l->format) {
        return wr_conf_err_arg(cf, n, 1, "unknown log format \"%.*s\"", WR_STR_ARG(name));
    }
    return WR_OK;
}

static enum wr_status set_access_log(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    struct access_logs *logs = &((struct log_loc *)conf)->logs;
    struct access_log l = {.file = NULL}, *to;
    struct log_params p = {.has_flush = false};
    enum wr_status st;

    (void)dir;
    if (wr_str_eq(wr_node_arg(node, 0), WR_STR("off"))) {
        logs->is_off = true;
        return node->arg_cnt == 1 ? WR_OK : wr_arg_invalid(cf, node, 1);
    }
    st = set_path(cf, node, &l);
    if (st == WR_OK) {
        st = find_named_format(cf, node, &l);
    }
    for (uint32_t i = 2; i < node->arg_cnt && st == WR_OK; i++) {
        st = read_param(cf, node, i, &l, &p);
    }
    if (st == WR_OK) {
        st = set_buffer(cf, node, &l, &p);
    }
    if (st != WR_OK) {
        return st;
    }
    to = wr_array_push(cf->arena, logs);
    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = l;
    return WR_OK;
}

/* http{} without access_log has the default one. */
static enum wr_status merge_log(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                                const void *parent, void *conf)
{
    struct access_logs *logs = &((struct log_loc *)conf)->logs;
    struct access_log l = {.file = NULL}, *to;
    enum wr_status st;

    (void)s;
    if (kind != WR_KIND_LOC || parent || logs->cnt > 0 || logs->is_off) {
        return WR_OK;
    }
    st = enter_file(cf, main_of(cf->gen), NULL, WR_STR(DEFAULT_PATH), &l.file);
    if (st == WR_OK) {
        st = get_combined(cf, main_of(cf->gen), &l.format);
    }
    if (st != WR_OK) {
        return st;
    }
    to = wr_array_push(cf->arena, logs);
    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = l;
    return WR_OK;
}

static const struct wr_dir dirs[] = {
    {.name = "log_format",
     .contexts = WR_CTX_HTTP,
     .min = 2,
     .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT,
     .set = set_format,
     WR_DIR_CONF(MAIN),
     .doc = "A named format of log lines: escape=default|json|none, then texts that are joined."},
    { .name = "access_log",
     .contexts = WR_CTX_HTTP_ALL_IF | WR_CTX_LIMIT_EXCEPT,
     .min = 1,
     .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT | WR_DIR_DEF_DOC,
     .set = set_access_log,
     WR_DIR_FIELD(LOC, struct log_loc,               logs),
     .def = "logs/access.log combined",
     .doc = "File for a line a request, its format, buffer=, flush=, if=; or off."},
    WR_DIR_END
};

static struct wr_conf_module log_conf = {
    .name = "access_log",
    .dirs = dirs,
    .size = {[WR_KIND_MAIN] = sizeof(struct log_main), [WR_KIND_LOC] = sizeof(struct log_loc)},
    .merged = merge_log,
};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_LOG, 100, run_log}
};

const struct wr_module wr_access_log_module = {.conf = &log_conf,
                                               .phases = phases,
                                               .phase_cnt = WR_ARRAY_LEN(phases),
                                               .thread_drop = drop_thread};
