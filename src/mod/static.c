/* SPDX-License-Identifier: Apache-2.0 */
/*
 * static.c: files below root or alias, and index files, as rows of the content phase:
 *
 *   index   a path that ends in '/': the first name of `index` that is there, by an internal
 * redirect to it static  all others: the file as one slice in a pipe (the codec sends it by
 * sendfile), 301 for a folder last    nobody wanted it: 403 for a folder, 404
 *
 * Log lines are worded as those of nginx, for the tools that read them. Files are opened as the
 * location says (http/open_file.h); a handler that has to wait for one is called again from its
 * beginning. Request's thread.
 */
#include "mod/static.h"

#include <errno.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/strbuf.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/mime.h"
#include "http/module.h"
#include "http/open_file.h"
#include "http/path.h"
#include "http/reply.h"
#include "io/file.h"
#include "io/pipe.h"

#define LOCATION_MAX 65536 /* bytes of a Location that is made */

struct index_loc {
    struct wr_conf_head head;
    struct wr_templates names;
};

static struct wr_conf_module static_conf;

static enum wr_phase_result fail(struct wr_req *r, unsigned status)
{
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

static bool is_folder_path(struct wr_str path)
{
    return path.len > 0 && path.ptr[path.len - 1] == '/';
}

/* Answers a path that could not be made into a file name. */
static enum wr_phase_result fail_map(struct wr_req *r, enum wr_status st)
{
    return fail(r, st == WR_ENOMEM ? 500 : 404);
}

/* ---- index ----------------------------------------------------------------------------------- */

/* "/abs/file.html", "index.$lang.html" ... behind the path. */
static enum wr_phase_result go_to_index(struct wr_req *r, struct wr_str name)
{
    struct wr_str uri = name;

    if (name.ptr[0] != '/' && wr_arena_printf(r->arena, &uri, "%.*s%.*s", WR_STR_ARG(r->uri.path),
                                              WR_STR_ARG(name)) != WR_OK) {
        return fail(r, 500);
    }
    wr_req_redirect(r, uri, r->uri.args);
    return WR_PHASE_DONE;
}

/* Is the folder itself there? Asked once, when the first name was not found in it. */
static enum wr_phase_result check_folder(struct wr_req *r, struct wr_str folder, struct wr_str name)
{
    struct wr_found found;
    int err = 0;
    enum wr_status st = wr_open_file(r, folder, WR_OPEN_LOOK, &found, &err);

    if (st == WR_OK) {
        if (found.facts.is_dir) {
            return WR_PHASE_NEXT;
        }
        wr_log(&r->log, WR_LOG_ALERT, "\"%.*s\" is not a directory", WR_STR_ARG(folder));
        return fail(r, 500);
    }
    if (st == WR_AGAIN) {
        return WR_PHASE_AGAIN;
    }
    if (st != WR_ESYS) {
        return fail(r, 500);
    }
    if (wr_open_is_missing(err)) {
        if (wr_core_loc_of(r)->log_not_found) {
            wr_log_errno(&r->log, WR_LOG_ERROR, err, "\"%.*s%.*s\" is not found",
                         WR_STR_ARG(folder), WR_STR_ARG(name));
        }
        return fail(r, 404);
    }
    if (err == EACCES) {
        return WR_PHASE_NEXT; /* it may be entered and not read */
    }
    if (err == ELOOP) {
        wr_log_errno(&r->log, WR_LOG_ERROR, err, "\"%.*s\" is forbidden", WR_STR_ARG(folder));
        return fail(r, 403);
    }
    wr_log_errno(&r->log, WR_LOG_CRIT, err, "stat() \"%.*s\" failed", WR_STR_ARG(folder));
    return fail(r, 500);
}

enum index_found {
    INDEX_FOUND,
    INDEX_MISSING,
    INDEX_NO_ACCESS,
    INDEX_WAIT,
    INDEX_ERROR
};

static enum index_found look_for(struct wr_req *r, struct wr_str file)
{
    struct wr_found found;
    int err = 0;
    enum wr_status st = wr_open_file(r, file, WR_OPEN_LOOK, &found, &err);

    if (st == WR_OK) {
        return INDEX_FOUND;
    }
    if (st == WR_AGAIN) {
        return INDEX_WAIT;
    }
    if (st != WR_ESYS) {
        return INDEX_ERROR;
    }
    if (wr_open_is_missing(err)) {
        return INDEX_MISSING;
    }
    if (err == EACCES || err == ELOOP) {
        wr_log_errno(&r->log, WR_LOG_ERROR, err, "\"%.*s\" is forbidden", WR_STR_ARG(file));
        return INDEX_NO_ACCESS;
    }
    wr_log_errno(&r->log, WR_LOG_CRIT, err, "stat() \"%.*s\" failed", WR_STR_ARG(file));
    return INDEX_ERROR;
}

/* NEXT: this name is not there. */
static enum wr_phase_result try_index(struct wr_req *r, struct wr_str folder, struct wr_str name)
{
    struct wr_str file;

    if (wr_arena_printf(r->arena, &file, "%.*s%.*s", WR_STR_ARG(folder), WR_STR_ARG(name)) !=
        WR_OK) {
        return fail(r, 500);
    }
    if (wr_path_escapes(name, WR_STR(""))) {
        wr_log(&r->log, WR_LOG_ERROR, "the index \"%.*s\" leads outside, refused",
               WR_STR_ARG(name));
        return fail(r, 404);
    }
    switch (look_for(r, file)) {
    case INDEX_FOUND:
        return go_to_index(r, name);
    case INDEX_MISSING:
        return WR_PHASE_NEXT;
    case INDEX_WAIT:
        return WR_PHASE_AGAIN;
    case INDEX_NO_ACCESS:
        return fail(r, 403);
    case INDEX_ERROR:
        return fail(r, 500);
    }
    WR_UNREACHABLE();
}

static enum wr_phase_result run_index(struct wr_req *r)
{
    const struct index_loc *lc = wr_req_conf(r, &static_conf, WR_KIND_LOC);
    struct wr_str folder, name;
    bool is_checked = false;
    enum wr_status st;

    if (!is_folder_path(r->uri.path) ||
        (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD &&
         r->method != WR_METHOD_POST)) {
        return WR_PHASE_NEXT;
    }
    st = wr_path_map(r, r->uri.path, &folder);
    if (st != WR_OK) {
        return fail_map(r, st);
    }
    for (uint32_t i = 0; i < lc->names.cnt; i++) {
        enum wr_phase_result res;

        if (wr_template_eval(r, &lc->names.at[i], &name) != WR_OK) {
            return fail(r, 500);
        }
        if (name.len == 0) {
            continue;
        }
        if (name.ptr[0] == '/') {
            return go_to_index(r, name);
        }
        res = try_index(r, folder, name);
        if (res == WR_PHASE_NEXT && !is_checked) {
            is_checked = true;
            res = check_folder(r, folder, name);
        }
        if (res != WR_PHASE_NEXT) {
            return res;
        }
    }
    return WR_PHASE_NEXT;
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum wr_phase_result fail_open(struct wr_req *r, struct wr_str path, int err)
{
    enum wr_log_level level = WR_LOG_ERROR;
    unsigned status;

    switch (err) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        status = 404;
        break;
    case EACCES:
    case ELOOP:
        status = 403;
        break;
    default: /* errno has no end */
        level = WR_LOG_CRIT;
        status = 500;
        break;
    }
    if (status != 404 || wr_core_loc_of(r)->log_not_found) {
        wr_log_errno(&r->log, level, err, "open() \"%.*s\" failed", WR_STR_ARG(path));
    }
    return fail(r, status);
}

/* A folder's path without '/': the client asks again with it. */
static enum wr_phase_result add_slash(struct wr_req *r)
{
    struct wr_strbuf b;

    wr_strbuf_init_arena(&b, r->arena, LOCATION_MAX);
    wr_codec_escape(&b, r->uri.path, WR_ESCAPE_URI);
    wr_strbuf_add_char(&b, '/');
    if (r->uri.args.len > 0) {
        wr_strbuf_add_char(&b, '?');
        wr_strbuf_add_str(&b, r->uri.args);
    }
    if (b.status != WR_OK) {
        return fail(r, 500);
    }
    wr_reply_redirect(r, 301, wr_strbuf_str(&b));
    return WR_PHASE_DONE;
}

/* The whole file as one slice. Takes the reference of f in every case. */
static struct wr_pipe *pipe_of_file(struct wr_file *f)
{
    struct wr_slice s = {.kind = WR_SLICE_FILE, .off = 0, .len = f->size};
    struct wr_pipe *p = wr_pipe_new(1, NULL, NULL);

    s.u.file = f;
    if (!p) {
        wr_file_unref(f);
        return NULL;
    }
    if (wr_pipe_push(p, s) != WR_OK) {
        wr_pipe_leave_producer(p);
        wr_pipe_leave_consumer(p);
        return NULL;
    }
    wr_pipe_eof(p);
    wr_pipe_leave_producer(p);
    return p;
}

static enum wr_status set_head(struct wr_req *r, const struct wr_file *f)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    struct wr_str etag;
    enum wr_status st = WR_OK;

    r->out.status = 200;
    r->out.content_length = f->size;
    r->out_mtime = f->mtime;
    r->out_type = wr_mime_type_of(lc, r->uri.path);
    r->can_range = true;
    if (lc->etag) {
        st = wr_arena_printf(r->arena, &etag, "\"%llx-%llx\"", (unsigned long long)f->mtime,
                             (unsigned long long)f->size);
        if (st == WR_OK) {
            st = wr_hdrs_set_id(&r->out.hdrs, WR_HDR_ETAG, etag);
        }
    }
    return st;
}

/* Takes the reference of f in every case. */
static enum wr_phase_result send_file(struct wr_req *r, struct wr_file *f)
{
    enum wr_status st = set_head(r, f);

    if (st != WR_OK || f->size == 0 || r->head->method == WR_METHOD_HEAD) {
        wr_file_unref(f);
    } else {
        r->out_pipe = pipe_of_file(f);
        st = r->out_pipe ? WR_OK : WR_ENOMEM;
    }
    if (st != WR_OK) {
        return fail(r, 500);
    }
    if (wr_req_respond(r) != WR_OK) {
        wr_req_cancel(r, WR_REASON_CLIENT_GONE); /* the first reason stays */
    }
    return WR_PHASE_DONE;
}

static enum wr_phase_result run_static(struct wr_req *r)
{
    struct wr_found found;
    struct wr_str path;
    int err = 0;
    enum wr_status st;

    if (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD && r->method != WR_METHOD_POST) {
        return fail(r, 405);
    }
    if (is_folder_path(r->uri.path)) {
        return WR_PHASE_NEXT;
    }
    st = wr_path_map(r, r->uri.path, &path);
    if (st != WR_OK) {
        return fail_map(r, st);
    }
    st = wr_open_file(r, path, WR_OPEN_READ, &found, &err);
    if (st != WR_OK) {
        return st == WR_AGAIN  ? WR_PHASE_AGAIN
               : st == WR_ESYS ? fail_open(r, path, err)
                               : fail(r, 500);
    }
    if (found.facts.is_dir) {
        return add_slash(r);
    }
    if (!found.file) {
        wr_log(&r->log, WR_LOG_CRIT, "\"%.*s\" is not a regular file", WR_STR_ARG(path));
        return fail(r, 404);
    }
    if (r->method == WR_METHOD_POST) {
        wr_file_unref(found.file);
        return fail(r, 405);
    }
    return send_file(r, found.file);
}

/* ---- nobody wanted it --------------------------------------------------------------------------
 */

static enum wr_phase_result run_last(struct wr_req *r)
{
    struct wr_str path;
    enum wr_status st;

    if (!is_folder_path(r->uri.path)) {
        wr_log(&r->log, WR_LOG_ERROR, "no handler found");
        return fail(r, 404);
    }
    st = wr_path_map(r, r->uri.path, &path);
    if (st != WR_OK) {
        return fail_map(r, st);
    }
    wr_log(&r->log, WR_LOG_ERROR, "directory index of \"%.*s\" is forbidden", WR_STR_ARG(path));
    return fail(r, 403);
}

/* ---- the directive -----------------------------------------------------------------------------
 */

static enum wr_status set_index(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct index_loc *lc = conf;

    (void)dir;
    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        struct wr_str name = wr_node_arg(node, i);
        struct wr_template *t;
        enum wr_status st;

        if (name.len == 0) {
            return wr_conf_err(cf, node, "index \"%.*s\" in \"index\" directive is invalid",
                               WR_STR_ARG(name));
        }
        if (name.ptr[0] == '/' && i + 1 < node->arg_cnt) {
            wr_conf_warn(cf, node, "only the last index in \"index\" directive should be absolute");
        }
        t = wr_array_push(cf->arena, &lc->names);
        if (!t) {
            return wr_conf_nomem(cf);
        }
        st = wr_arg_template(cf, node, i, name, t);
        if (st != WR_OK) {
            return st;
        }
    }
    return WR_OK;
}

static const struct wr_dir dirs[] = {
    {.name = "index",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT,
     .set = set_index,
     WR_DIR_FIELD(LOC, struct index_loc, names),
     .def = "index.html",
     .doc = "Files that are looked for in a folder, in this order."},
    WR_DIR_END
};

static struct wr_conf_module static_conf = {
    .name = "static", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct index_loc)}};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_CONTENT, 100,  run_index },
    {WR_PHASE_CONTENT, 900,  run_static},
    {WR_PHASE_CONTENT, 1000, run_last  },
};

const struct wr_module wr_static_module = {
    .conf = &static_conf, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
