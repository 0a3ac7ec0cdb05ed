/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dav.c: `dav_methods`: PUT, DELETE, MKCOL, COPY and MOVE (RFC 4918) on the files of a location.
 * Whatever touches the disk is done by a pool of threads, one job after the other:
 *
 *   LOOK -> decide (headers, preconditions) -> ACT ------------------------> answer
 *                                              BEGIN -> WRITE ... -> FINISH   (PUT)
 *
 * PUT writes the body, of any size, as it comes, into a hidden file beside its target, which it
 * replaces when it is whole. Symbolic links are what is removed, copied or replaced, never what
 * they lead to. Request's thread, but the work of a job.
 */
#include "mod/dav.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/files_conf.h"
#include "http/module.h"
#include "http/open_file.h"
#include "http/path.h"
#include "http/range.h"
#include "io/pipe.h"
#include "io/tree.h"
#include "io/work.h"

#define BODY_HIGH    ((size_t)256 * 1024)
#define WRITE_PIECES 64
#define LOCATION_MAX 65536

enum dav_method {
    DAV_OFF = 0,
    DAV_PUT = 1,
    DAV_DELETE = 2,
    DAV_MKCOL = 4,
    DAV_COPY = 8,
    DAV_MOVE = 16
};

struct dav_loc {
    struct wr_conf_head head;
    uint32_t methods; /* enum dav_method or-ed */
    bool full_path;
    uint32_t access; /* mode of files */
    uint64_t min_delete_depth;
};

static struct wr_conf_module dav_conf;

enum task {
    LOOK,
    REMOVE,
    MKDIR,
    COPY,
    MOVE,
    BEGIN,
    WRITE,
    FINISH
};

struct looked {
    bool exists, is_link;
    int err; /* why it does not */
    struct wr_file_facts facts;
};

/* Heap; the pool's while it is under way. */
struct job {
    struct wr_work work; /* first */
    uint8_t task;
    enum wr_status status;
    int err;
    struct wr_file_how how; /* of the folders around: disable_symlinks */
    mode_t file_mode, dir_mode;
    bool make_folders, is_alone;
    int64_t mtime; /* of a PUT; -1: now */
    struct looked at, to;
    struct wr_new_file file;
    struct wr_pipe *body; /* both ends: what is being written */
    struct iovec iov[WRITE_PIECES];
    int iov_cnt;
    size_t bytes;
    const char *to_path; /* NULL: none */
    char path[];         /* without '/' at its end, then to_path */
};

enum state {
    IS_LOOKING,
    IS_ACTING,
    IS_READING, /* the body: more of it is awaited */
    IS_WRITING,
    IS_FINISHING,
    IS_ANSWERED
};

struct dav {
    struct wr_content content; /* first */
    struct job *job;
    uint8_t state;
    bool is_folder;       /* the path ends in '/' */
    bool is_new;          /* the target was not there */
    struct wr_pipe *body; /* consumer end; NULL: there is none, or it was left */
};

/* ---- work: a thread of the pool -----------------------------------------------------------------
 */

/* Links in the folders that lead to it. */
static enum wr_status check_folder(const struct job *j, const char *path, int *ret_errno)
{
    struct wr_file_facts facts;
    char folder[WR_FILE_TREE_NAME];
    struct wr_file_how how = j->how;
    const char *end = strrchr(path, '/');
    size_t n = end ? (size_t)(end - path) : 0;

    if (how.symlinks == WR_SYMLINKS_FOLLOW || n == 0 || n >= sizeof(folder)) {
        return WR_OK;
    }
    memcpy(folder, path, n);
    folder[n] = '\0';
    how.want_fd = false;
    how.from_len = how.from_len <= n ? how.from_len : 0;
    if (wr_file_find(folder, &how, &facts, ret_errno) == WR_OK || *ret_errno != ELOOP) {
        return WR_OK;
    }
    return WR_ESYS;
}

static void look_at(const char *path, struct looked *l)
{
    l->exists = wr_tree_look(path, &l->facts, &l->is_link, &l->err) == WR_OK;
}

static enum wr_status look(struct job *j)
{
    if (check_folder(j, j->path, &j->err) != WR_OK ||
        (j->to_path && check_folder(j, j->to_path, &j->err) != WR_OK)) {
        return WR_ESYS;
    }
    look_at(j->path, &j->at);
    if (j->to_path) {
        look_at(j->to_path, &j->to);
    }
    return WR_OK;
}

static enum wr_status make_folders(struct job *j, const char *path)
{
    return j->make_folders ? wr_tree_mkdirs(path, j->dir_mode, &j->err) : WR_OK;
}

static enum wr_status act(struct job *j)
{
    enum wr_status st = WR_OK;

    switch ((enum task)j->task) {
    case LOOK:
        return look(j);
    case REMOVE:
        return wr_tree_remove(j->path, &j->err);
    case MKDIR:
        return wr_tree_mkdir(j->path, j->dir_mode, &j->err);
    case COPY:
        st = make_folders(j, j->to_path);
        return st == WR_OK ? wr_tree_copy(j->path, j->to_path,
                                          j->is_alone ? WR_TREE_ALONE : WR_TREE_WHOLE, &j->err)
                           : st;
    case MOVE:
        st = make_folders(j, j->to_path);
        return st == WR_OK ? wr_tree_move(j->path, j->to_path, &j->err) : st;
    case BEGIN:
        st = make_folders(j, j->path);
        return st == WR_OK ? wr_new_file_begin(&j->file, j->path, &j->err) : st;
    case WRITE:
        return wr_new_file_write(&j->file, j->iov, j->iov_cnt, &j->err);
    case FINISH:
        return wr_new_file_finish(&j->file, j->path, j->file_mode, j->mtime, &j->err);
    }
    WR_UNREACHABLE();
}

static struct job *job_of(struct wr_work *w)
{
    return wr_container_of(w, struct job, work);
}

static void work(struct wr_work *w)
{
    struct job *j = job_of(w);

    j->status = act(j);
}

static void free_job(struct wr_work *w)
{
    struct job *j = job_of(w);

    wr_new_file_drop(&j->file);
    if (j->body) {
        wr_pipe_leave_producer(j->body);
        wr_pipe_leave_consumer(j->body);
    }
    wr_mem_free(j);
}

/* ---- answers ------------------------------------------------------------------------------------
 */

static void fail(struct dav *d, unsigned status)
{
    d->state = IS_ANSWERED;
    wr_req_fail(d->content.req, status);
}

/* Starts the next task of the job. */
static void start(struct dav *d, enum task task, enum state state)
{
    struct wr_req *r = d->content.req;
    struct wr_offload *pool = NULL;
    enum wr_status st = wr_files_pool(r, &pool);

    d->job->task = (uint8_t)task;
    d->job->err = 0;
    d->state = (uint8_t)state;
    if (st == WR_OK) {
        st = wr_work_start(pool ? pool : wr_files_default_pool(r), &d->job->work, &r->task);
    }
    if (st != WR_OK) {
        d->job->work.is_home = true;
        wr_log(&r->log, WR_LOG_ERROR, "no thread of the pool takes on \"%s\": %s", d->job->path,
               wr_status_name(st));
        fail(d, 500);
    }
}

static const char *name_of(enum task task)
{
    static const char *const names[] = {
        [LOOK] = "lstat()",  [REMOVE] = "unlink()", [MKDIR] = "mkdir()", [COPY] = "copying",
        [MOVE] = "rename()", [BEGIN] = "open()",    [WRITE] = "write()", [FINISH] = "rename()"};

    return names[task];
}

/* The system refused. */
static void fail_errno(struct dav *d, int err)
{
    struct wr_req *r = d->content.req;
    enum wr_log_level level = WR_LOG_ERROR;
    unsigned status = 500;

    switch (err) {
    case ENOENT:
    case ENOTDIR:
    case EINVAL: /* a folder into itself */
    case ENAMETOOLONG:
        status = 409;
        break;
    case EEXIST:
        status = d->job->task == MKDIR ? 405 : 409;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
        status = 403;
        break;
    case ENOSPC:
    case EDQUOT:
        status = 507;
        level = WR_LOG_CRIT;
        break;
    default: /* errno has no end */
        level = WR_LOG_CRIT;
        break;
    }
    wr_log_errno(&r->log, level, err, "%s \"%s\" failed", name_of((enum task)d->job->task),
                 d->job->to_path ? d->job->to_path : d->job->path);
    fail(d, status);
}

static void respond(struct dav *d, unsigned status, bool has_location)
{
    struct wr_req *r = d->content.req;
    struct wr_strbuf b;
    enum wr_status st = WR_OK;

    d->state = IS_ANSWERED;
    r->out.status = (uint16_t)status;
    r->out.content_length = 0;
    if (has_location) {
        wr_strbuf_init_arena(&b, r->arena, LOCATION_MAX);
        wr_codec_escape(&b, r->uri.path, WR_ESCAPE_URI);
        st = b.status == WR_OK ? wr_hdrs_set_id(&r->out.hdrs, WR_HDR_LOCATION, wr_strbuf_str(&b))
                               : b.status;
    }
    if (st != WR_OK) {
        wr_req_fail(r, 500);
        return;
    }
    if (wr_req_respond(r) != WR_OK) {
        wr_req_cancel(r, WR_REASON_CLIENT_GONE); /* the first reason stays */
        return;
    }
    wr_req_end(r);
}

/* ---- headers ------------------------------------------------------------------------------------
 */

enum depth {
    DEPTH_0,
    DEPTH_1,
    DEPTH_ALL,
    DEPTH_BAD
};

static struct wr_str header(const struct wr_req *r, const char *name)
{
    const struct wr_hdr *h = wr_hdrs_find(&r->head->hdrs, wr_str_z(name), NULL);

    return h ? wr_str_trim(h->value) : WR_STR_NULL;
}

/* Without the field it is `infinity`. */
static enum depth read_depth(const struct wr_req *r)
{
    struct wr_str v = header(r, "Depth");

    if (v.len == 0 || wr_str_ieq(v, WR_STR("infinity"))) {
        return DEPTH_ALL;
    }
    if (wr_str_eq(v, WR_STR("0"))) {
        return DEPTH_0;
    }
    if (wr_str_eq(v, WR_STR("1"))) {
        return DEPTH_1;
    }
    wr_log(&r->log, WR_LOG_ERROR, "client sent invalid \"Depth\" header: \"%.*s\"", WR_STR_ARG(v));
    return DEPTH_BAD;
}

/* False: neither T nor F. */
static bool read_overwrite(const struct wr_req *r, bool *ret)
{
    struct wr_str v = header(r, "Overwrite");

    *ret = !wr_str_ieq(v, WR_STR("F"));
    if (v.len == 0 || wr_str_ieq(v, WR_STR("T")) || !*ret) {
        return true;
    }
    wr_log(&r->log, WR_LOG_ERROR, "client sent invalid \"Overwrite\" header: \"%.*s\"",
           WR_STR_ARG(v));
    return false;
}

/* What is behind the host, which must be ours. An https URL may reach us through a proxy as http.
 */
static bool strip_host(struct wr_req *r, struct wr_str *v)
{
    size_t skip = wr_str_has_iprefix(*v, WR_STR("http://"))    ? 7
                  : wr_str_has_iprefix(*v, WR_STR("https://")) ? 8
                                                               : 0;
    struct wr_str rest = wr_str_sub(*v, skip, v->len), host;
    size_t slash = wr_str_find(rest, '/');
    uint16_t port = 0;

    if (skip == 0) {
        return v->len > 0 && v->ptr[0] == '/';
    }
    if (slash == rest.len ||
        wr_uri_parse_host(r->arena, wr_str_sub(rest, 0, slash), &host, &port) != WR_OK) {
        return false;
    }
    if (!wr_str_eq(host, r->host)) {
        wr_log(&r->log, WR_LOG_ERROR,
               "\"Destination\" URI \"%.*s\" is handled by different repository than the source "
               "URI",
               WR_STR_ARG(*v));
        return false;
    }
    *v = wr_str_sub(rest, slash, rest.len);
    return true;
}

/* Path of the Destination, below the same alias as the request's. 0, or a status. */
static unsigned read_destination(struct wr_req *r, struct wr_uri *ret)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    struct wr_str v = header(r, "Destination"), all = v;

    if (v.len == 0) {
        wr_log(&r->log, WR_LOG_ERROR, "client sent no \"Destination\" header");
        return 400;
    }
    if (!strip_host(r, &v) || wr_uri_parse(r->arena, v, WR_URI_MERGE_SLASHES, ret) != WR_OK) {
        wr_log(&r->log, WR_LOG_ERROR, "client sent invalid \"Destination\" header: \"%.*s\"",
               WR_STR_ARG(all));
        return 400;
    }
    if (lc->is_alias &&
        (lc->alias_len == SIZE_MAX ||
         !wr_str_has_prefix(ret->path, wr_str_sub(r->uri.path, 0, lc->alias_len)))) {
        wr_log(&r->log, WR_LOG_ERROR, "\"Destination\" \"%.*s\" is not below the same alias",
               WR_STR_ARG(all));
        return 400;
    }
    return 0;
}

static bool is_folder_path(struct wr_str path)
{
    return wr_str_has_suffix(path, WR_STR("/"));
}

/* ---- decisions: what was looked at is known -----------------------------------------------------
 */

/* RFC 9110 13: against what is at this name now. */
static bool may_change(struct wr_req *r, const struct looked *l)
{
    struct wr_range_target t = {.exists = l->exists, .mtime = l->facts.mtime};

    if (l->exists && l->facts.is_regular && wr_core_loc_of(r)->etag &&
        wr_arena_printf(r->arena, &t.etag, "\"%llx-%llx\"", (unsigned long long)l->facts.mtime,
                        (unsigned long long)l->facts.size) != WR_OK) {
        return false;
    }
    return wr_range_may_change(r, &t);
}

/* Nothing is there: 404; or it cannot be said. */
static void fail_missing(struct dav *d, int err)
{
    struct wr_req *r = d->content.req;

    if (!wr_open_is_missing(err)) {
        fail_errno(d, err);
        return;
    }
    if (wr_core_loc_of(r)->log_not_found) {
        wr_log_errno(&r->log, WR_LOG_ERROR, err, "lstat() \"%s\" failed", d->job->path);
    }
    fail(d, 404);
}

static void decide_put(struct dav *d)
{
    struct wr_req *r = d->content.req;
    const struct job *j = d->job;
    int64_t t;
    const struct wr_hdr *date = wr_hdrs_get(&r->head->hdrs, WR_HDR_DATE);

    d->is_new = !j->at.exists;
    if (!j->at.exists && j->at.err != ENOENT) {
        fail_errno(d, j->at.err);
        return;
    }
    if (j->at.exists && j->at.facts.is_dir) {
        wr_log_errno(&r->log, WR_LOG_ERROR, EISDIR, "\"%s\" could not be created", j->path);
        fail(d, 409);
        return;
    }
    if (!may_change(r, &j->at)) {
        fail(d, 412);
        return;
    }
    if (date && wr_clock_parse_http_date(date->value, &t) == WR_OK) {
        d->job->mtime = t;
    }
    start(d, BEGIN, IS_ACTING);
}

static void decide_delete(struct dav *d)
{
    struct wr_req *r = d->content.req;
    const struct job *j = d->job;
    enum depth depth = read_depth(r);

    if (depth == DEPTH_BAD) {
        fail(d, 400);
    } else if (!j->at.exists) {
        fail_missing(d, j->at.err);
    } else if (!j->at.is_link && j->at.facts.is_dir != d->is_folder) {
        wr_log_errno(&r->log, WR_LOG_ERROR, d->is_folder ? ENOTDIR : EISDIR, "DELETE \"%s\" failed",
                     j->path);
        fail(d, 409);
    } else if (depth == DEPTH_1 || (d->is_folder && depth != DEPTH_ALL)) {
        wr_log(&r->log, WR_LOG_ERROR, "\"Depth\" header must be %sinfinity",
               d->is_folder ? "" : "0 or ");
        fail(d, 400);
    } else if (!may_change(r, &j->at)) {
        fail(d, 412);
    } else {
        start(d, REMOVE, IS_ACTING);
    }
}

static void decide_mkcol(struct dav *d)
{
    d->is_new = true;
    if (d->job->at.exists) {
        wr_log_errno(&d->content.req->log, WR_LOG_ERROR, EEXIST, "mkdir() \"%s\" failed",
                     d->job->path);
        fail(d, 405);
        return;
    }
    start(d, MKDIR, IS_ACTING);
}

/* Is b the same as a, or inside of it? */
static bool is_inside(const char *a, const char *b)
{
    size_t n = strlen(a);

    return strncmp(a, b, n) == 0 && (b[n] == '\0' || b[n] == '/');
}

/* 0: they may go on; else the status. */
static unsigned check_pair(const struct dav *d, bool is_move)
{
    const struct job *j = d->job;
    bool is_folder = j->at.facts.is_dir;

    if (is_inside(j->path, j->to_path)) {
        return j->path[0] != '\0' && strcmp(j->path, j->to_path) == 0 ? 403 : 409;
    }
    if (is_inside(j->to_path, j->path)) {
        return 409; /* it would take the place of what it is part of */
    }
    if (is_move && j->to.exists && j->to.facts.ino == j->at.facts.ino &&
        j->to.facts.dev == j->at.facts.dev) {
        return 403; /* two names of one file */
    }
    if (j->to.exists && j->to.facts.is_dir != is_folder && !(is_folder && d->is_folder)) {
        return 409;
    }
    return 0;
}

/* Of source and destination, as they were found. 0: they may go on; else the status. */
static unsigned check_found(const struct dav *d, bool is_move, bool may_overwrite)
{
    struct wr_req *r = d->content.req;
    const struct job *j = d->job;

    if (!j->at.is_link && j->at.facts.is_dir != d->is_folder) {
        wr_log(&r->log, WR_LOG_ERROR, "\"%.*s\" is %s collection", WR_STR_ARG(r->uri.path),
               d->is_folder ? "no" : "a");
        return d->is_folder ? 409 : 400;
    }
    if (j->to.exists && !may_overwrite) {
        wr_log_errno(&r->log, WR_LOG_ERROR, EEXIST, "\"%s\" could not be created", j->to_path);
        return 412;
    }
    return may_change(r, &j->at) ? check_pair(d, is_move) : 412;
}

static void decide_copy(struct dav *d, bool is_move)
{
    struct wr_req *r = d->content.req;
    struct job *j = d->job;
    enum depth depth = read_depth(r);
    bool may_overwrite = true;
    unsigned status;

    d->is_new = !j->to.exists;
    if (depth == DEPTH_BAD || !read_overwrite(r, &may_overwrite)) {
        fail(d, 400);
        return;
    }
    if (depth == DEPTH_1 || (is_move && depth != DEPTH_ALL)) {
        wr_log(&r->log, WR_LOG_ERROR, "\"Depth\" header must be %sinfinity",
               is_move ? "" : "0 or ");
        fail(d, 400);
        return;
    }
    if (!j->at.exists) {
        fail_missing(d, j->at.err);
        return;
    }
    status = check_found(d, is_move, may_overwrite);
    if (status != 0) {
        fail(d, status);
        return;
    }
    j->is_alone = depth == DEPTH_0;
    start(d, is_move ? MOVE : COPY, IS_ACTING);
}

static void decide(struct dav *d)
{
    enum wr_method method = d->content.req->method;

    if (d->job->status != WR_OK) {
        fail_errno(d, d->job->err);
        return;
    }
    if (method == WR_METHOD_PUT) {
        decide_put(d);
    } else if (method == WR_METHOD_DELETE) {
        decide_delete(d);
    } else if (method == WR_METHOD_MKCOL) {
        decide_mkcol(d);
    } else {
        decide_copy(d, method == WR_METHOD_MOVE);
    }
}

/* ---- the body of a PUT --------------------------------------------------------------------------
 */

/* The next bytes go to the pool; or they are awaited, or it was all. */
static void pump(struct dav *d)
{
    struct wr_req *r = d->content.req;
    struct job *j = d->job;

    d->state = IS_READING;
    if (d->body && wr_pipe_queued(d->body) > 0 &&
        wr_pipe_move(j->body, d->body, BODY_HIGH) == WR_ENOMEM) {
        fail(d, 500);
        return;
    }
    j->iov_cnt = wr_pipe_peek(j->body, j->iov, WRITE_PIECES, SIZE_MAX, &j->bytes);
    if (j->iov_cnt > 0) {
        start(d, WRITE, IS_WRITING);
        return;
    }
    if (!d->body || (d->body->state == WR_PIPE_EOF && wr_pipe_is_spent(d->body))) {
        start(d, FINISH, IS_FINISHING);
        return;
    }
    if (d->body->state != WR_PIPE_OPEN) {
        wr_log(&r->log, WR_LOG_INFO, "the body of the client's PUT broke off");
        d->state = IS_ANSWERED;
        wr_req_cancel(r, WR_REASON_CLIENT_GONE); /* or 408, 413 where there is somebody to tell */
    }
}

static void begin_body(struct dav *d)
{
    struct wr_req *r = d->content.req;
    enum wr_status st;

    d->job->body = wr_pipe_new(BODY_HIGH, NULL, NULL);
    if (!d->job->body) {
        fail(d, 500);
        return;
    }
    st = wr_req_body_stream(r, &d->body);
    if (st != WR_OK) {
        fail(d, st == WR_EPROTO ? r->body_status : 500);
        return;
    }
    if (d->body) {
        wr_pipe_set_marks(d->body, BODY_HIGH, BODY_HIGH / 2);
    }
    pump(d);
}

/* ---- the content --------------------------------------------------------------------------------
 */

/* ACT has ended. */
static void acted(struct dav *d)
{
    const struct job *j = d->job;

    if (j->status != WR_OK) {
        fail_errno(d, j->err);
    } else if (j->task == BEGIN) {
        begin_body(d);
    } else if (j->task == MKDIR) {
        respond(d, 201, true);
    } else {
        respond(d, j->task != REMOVE && d->is_new ? 201 : 204, false);
    }
}

static void wrote(struct dav *d)
{
    if (d->job->status != WR_OK) {
        fail_errno(d, d->job->err);
        return;
    }
    wr_pipe_consume(d->job->body, d->job->bytes);
    pump(d);
}

static void finished(struct dav *d)
{
    if (d->job->status != WR_OK) {
        fail_errno(d, d->job->err);
    } else {
        respond(d, d->is_new ? 201 : 204, d->is_new);
    }
}

static void step(struct wr_content *c)
{
    struct dav *d = wr_container_of(c, struct dav, content);

    if (!d->job->work.is_home) {
        return;
    }
    switch ((enum state)d->state) {
    case IS_LOOKING:
        decide(d);
        return;
    case IS_ACTING:
        acted(d);
        return;
    case IS_READING:
        pump(d);
        return;
    case IS_WRITING:
        wrote(d);
        return;
    case IS_FINISHING:
        finished(d);
        return;
    case IS_ANSWERED:
        return;
    }
    WR_UNREACHABLE();
}

static void close_dav(struct wr_content *c)
{
    struct dav *d = wr_container_of(c, struct dav, content);

    if (d->body) {
        wr_pipe_leave_consumer(wr_take(&d->body));
    }
    wr_work_leave(&d->job->work);
}

static const struct wr_content_ops ops = {.name = "dav", .step = step, .close = close_dav};

/* ---- the handler --------------------------------------------------------------------------------
 */

static uint32_t method_bit(const struct wr_req *r)
{
    static const struct {
        enum wr_method method;
        enum dav_method bit;
    } methods[] = {
        {WR_METHOD_PUT,    DAV_PUT   },
        {WR_METHOD_DELETE, DAV_DELETE},
        {WR_METHOD_MKCOL,  DAV_MKCOL },
        {WR_METHOD_COPY,   DAV_COPY  },
        {WR_METHOD_MOVE,   DAV_MOVE  },
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(methods); i++) {
        if (methods[i].method == r->method) {
            return methods[i].bit;
        }
    }
    return 0;
}

/* Elements of the path. */
static uint64_t count_depth(struct wr_str path)
{
    uint64_t n = 0;

    for (size_t i = 0; i < path.len; i++) {
        n += path.ptr[i] == '/' && i + 1 < path.len;
    }
    return n;
}

/* What can be said before the disk is asked. 0, or the status. */
static unsigned check_request(const struct wr_req *r, const struct dav_loc *lc, uint32_t bit)
{
    uint64_t depth;

    if (bit != DAV_PUT && wr_req_has_body(r, NULL)) {
        wr_log(&r->log, WR_LOG_ERROR, "%.*s with body is unsupported", WR_STR_ARG(r->method_name));
        return 415;
    }
    switch ((enum dav_method)bit) {
    case DAV_PUT:
        if (is_folder_path(r->uri.path)) {
            wr_log(&r->log, WR_LOG_ERROR, "cannot PUT to a collection");
            return 409;
        }
        if (wr_hdrs_has(&r->head->hdrs, WR_HDR_CONTENT_RANGE)) {
            wr_log(&r->log, WR_LOG_ERROR, "PUT with range is unsupported");
            return 501;
        }
        return 0;
    case DAV_DELETE:
        depth = count_depth(r->uri.path);
        if (depth < lc->min_delete_depth) {
            wr_log(&r->log, WR_LOG_ERROR, "insufficient URI depth:%llu to DELETE",
                   (unsigned long long)depth);
            return 409;
        }
        return 0;
    case DAV_MKCOL:
        if (!is_folder_path(r->uri.path)) {
            wr_log(&r->log, WR_LOG_ERROR, "MKCOL can create a collection only");
            return 409;
        }
        return 0;
    case DAV_OFF:
    case DAV_COPY:
    case DAV_MOVE:
        return 0;
    }
    WR_UNREACHABLE();
}

static struct wr_str strip_slashes(struct wr_str s)
{
    while (s.len > 1 && s.ptr[s.len - 1] == '/') {
        s.len--;
    }
    return s;
}

/* A file name for a path of the location; not its root, which would take everything with it. 0, or
 * the status. */
static unsigned map_path(struct wr_req *r, struct wr_str path, struct wr_str *ret)
{
    struct wr_str root;
    enum wr_status st = wr_path_map(r, path, ret);

    if (st == WR_OK) {
        st = wr_path_root(r, &root);
    }
    if (st != WR_OK) {
        return st == WR_ENOMEM ? 500 : 404;
    }
    *ret = strip_slashes(*ret);
    root = strip_slashes(root);
    if (root.len >= ret->len && wr_str_eq(wr_str_sub(root, 0, ret->len), *ret) &&
        r->method != WR_METHOD_MKCOL) {
        wr_log(&r->log, WR_LOG_ERROR, "%.*s of the root of the location is refused",
               WR_STR_ARG(r->method_name));
        return 403;
    }
    return 0;
}

static struct job *make_job(struct wr_req *r, const struct dav_loc *lc, struct wr_str path,
                            struct wr_str to)
{
    struct job *j = wr_run_zalloc(sizeof(*j) + path.len + 1 + to.len + 1);
    mode_t mode = lc->access;

    if (!j) {
        return NULL;
    }
    j->work.work = work;
    j->work.free = free_job;
    j->work.is_home = true;
    j->file.fd = -1;
    j->mtime = -1;
    j->file_mode = mode;
    /* Who may read a folder may enter it. */
    j->dir_mode = mode | ((mode & 0444) >> 2);
    j->make_folders = lc->full_path;
    memcpy(j->path, path.ptr, path.len);
    if (to.len > 0) {
        memcpy(j->path + path.len + 1, to.ptr, to.len);
        j->to_path = j->path + path.len + 1;
    }
    if (wr_files_how(r, path, &j->how) != WR_OK) {
        wr_mem_free(j);
        return NULL;
    }
    return j;
}

static unsigned find_names(struct wr_req *r, uint32_t bit, struct wr_str *ret_path,
                           struct wr_str *ret_to)
{
    unsigned status = map_path(r, r->uri.path, ret_path);
    struct wr_uri to;

    *ret_to = WR_STR_NULL;
    if (status != 0 || (bit != DAV_COPY && bit != DAV_MOVE)) {
        return status;
    }
    status = read_destination(r, &to);
    if (status != 0) {
        return status;
    }
    if (is_folder_path(r->uri.path) != is_folder_path(to.path)) {
        wr_log(&r->log, WR_LOG_ERROR,
               "both URI \"%.*s\" and \"Destination\" URI \"%.*s\" should be either collections "
               "or non-collections",
               WR_STR_ARG(r->uri.path), WR_STR_ARG(to.path));
        return 409;
    }
    return map_path(r, to.path, ret_to);
}

static enum wr_phase_result run(struct wr_req *r)
{
    const struct dav_loc *lc = wr_req_conf(r, &dav_conf, WR_KIND_LOC);
    uint32_t bit = lc->methods != 0 ? method_bit(r) & lc->methods : 0;
    struct wr_str path, to = WR_STR_NULL;
    struct dav *d;
    unsigned status;

    if (bit == 0) {
        return WR_PHASE_NEXT;
    }
    status = check_request(r, lc, bit);
    if (status == 0) {
        status = find_names(r, bit, &path, &to);
    }
    if (status != 0) {
        wr_req_fail(r, status);
        return WR_PHASE_DONE;
    }
    d = wr_arena_zalloc(r->arena, sizeof(*d));
    if (d) {
        d->job = make_job(r, lc, path, to);
    }
    if (!d || !d->job) {
        wr_req_fail(r, 500);
        return WR_PHASE_DONE;
    }
    d->is_folder = is_folder_path(r->uri.path);
    d->content.ops = &ops;
    d->content.req = r;
    r->content = &d->content;
    start(d, LOOK, IS_LOOKING);
    return WR_PHASE_DONE;
}

/* ---- directives ---------------------------------------------------------------------------------
 */

static const struct wr_word method_words[] = {
    {"off",    DAV_OFF   },
    {"put",    DAV_PUT   },
    {"delete", DAV_DELETE},
    {"mkcol",  DAV_MKCOL },
    {"copy",   DAV_COPY  },
    {"move",   DAV_MOVE  },
    WR_WORDS_END
};

static enum wr_status set_methods(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    enum wr_status st = wr_files_need_default(cf);

    return st == WR_OK ? wr_set_mask(cf, dir, node, conf) : st;
}

/* user:rw group:r all:r */
static enum wr_status set_access(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    static const struct {
        const char *name;
        unsigned shift;
    } who[] = {
        {"user:",  6},
        {"group:", 3},
        {"all:",   0},
    };
    struct dav_loc *lc = conf;
    uint32_t mode = 0600;

    (void)dir; /* one row */
    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        struct wr_str s = wr_node_arg(node, i), rights = WR_STR_NULL;
        size_t k = 0;

        while (k < WR_ARRAY_LEN(who) && !wr_str_has_prefix(s, wr_str_z(who[k].name))) {
            k++;
        }
        if (k < WR_ARRAY_LEN(who)) {
            rights = wr_str_sub(s, strlen(who[k].name), s.len);
        }
        if (wr_str_eq_z(rights, "rw")) {
            mode |= 6u << who[k].shift;
        } else if (wr_str_eq_z(rights, "r")) {
            mode |= 4u << who[k].shift;
        } else {
            return wr_conf_err_arg(cf, node, i, "invalid value \"%.*s\"", WR_STR_ARG(s));
        }
    }
    lc->access = mode;
    return WR_OK;
}

static const struct wr_dir dirs[] = {
    {.name = "dav_methods",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = WR_ARGS_ANY,
     .set = set_methods,
     .data = method_words,
     WR_DIR_FIELD(LOC, struct dav_loc,    methods),
     .def = "off",
     .doc = "Methods that change files: PUT, DELETE, MKCOL, COPY, MOVE."},
    {.name = "create_full_put_path",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_flag,
     WR_DIR_FIELD(LOC,   struct dav_loc, full_path),
     .def = "off",
     .doc = "Make the folders that are missing before a file is?"    },
    {.name = "dav_access",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 3,
     .set = set_access,
     WR_DIR_FIELD(LOC,    struct dav_loc, access),
     .def = "user:rw",
     .doc = "Who may do what with files and folders that are made: user:rw group:r all:r."},
    {.name = "min_delete_depth",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_num,
     WR_DIR_FIELD(LOC,    struct dav_loc, min_delete_depth),
     .def = "0",
     .doc = "Elements that the path of a DELETE has at least."      },
    WR_DIR_END
};

static struct wr_conf_module dav_conf = {
    .name = "dav", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct dav_loc)}};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_CONTENT, 20, run}
};

const struct wr_module wr_dav_module = {
    .conf = &dav_conf, .is_quiet = true, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
