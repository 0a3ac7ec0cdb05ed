/* SPDX-License-Identifier: Apache-2.0 */
/*
 * try_files.c: `try_files FILE ... URI`, `... @NAME`, `... =CODE`. In PRECONTENT each name is put
 * behind the location's root or alias and looked for: as a folder when it was written with a '/' at
 * its end, else as anything but a folder. The first that is there becomes the path with which this
 * very location goes on; the client's own URI stays what a peer gets. When none is there the last
 * word is an internal redirect or an answer.
 *
 * A location without try_files has none: nothing is inherited but by an `if` in a location, and
 * that of a server counts only where no location was found. With `alias` a name that came from
 * variables and begins with what the alias replaces ($uri) loses that part, as in nginx.
 */
#include "mod/try_files.h"

#include <errno.h>

#include "base/num.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/mime.h"
#include "http/module.h"
#include "http/open_file.h"
#include "http/path.h"
#include "http/reply.h"

struct try_files {
    struct wr_templates names; /* all but the last word */
    struct wr_template last;   /* when code is 0 */
    unsigned code;
};

struct try_loc {
    struct wr_conf_head head;
    struct try_files *files; /* NULL: no directive in this block */
};

static struct wr_conf_module try_conf;

/* ---- run ------------------------------------------------------------------------------------- */

static enum wr_phase_result fail(struct wr_req *r, unsigned status)
{
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

/*
 * The file of a name, and the path with which the location finds it again: wr_path_map takes off
 * what is put on here. The alias of a regex location is a whole file name: the path stays.
 */
static enum wr_status map_name(struct wr_req *r, const struct wr_template *t, struct wr_str name,
                               struct wr_str *ret_path, struct wr_str *ret_file)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    struct wr_str path = name, replaced = wr_str_sub(r->uri.path, 0, lc->alias_len), root;
    enum wr_status st = WR_OK;

    if (lc->is_alias && lc->alias_len == SIZE_MAX) {
        st = wr_path_root(r, &root);
        if (st == WR_OK && wr_path_escapes(name, t->source)) {
            return WR_EPROTO;
        }
        *ret_path = r->uri.path;
        return st == WR_OK ? wr_arena_printf(r->arena, ret_file, "%.*s%.*s", WR_STR_ARG(root),
                                             WR_STR_ARG(name))
                           : st;
    }
    if (lc->is_alias && (wr_template_is_const(t) || !wr_str_has_prefix(name, replaced))) {
        st = wr_arena_printf(r->arena, &path, "%.*s%.*s", WR_STR_ARG(replaced), WR_STR_ARG(name));
    }
    if (st == WR_OK) {
        st = wr_path_map(r, path, ret_file);
    }
    if (st == WR_OK) {
        *ret_path = path;
    }
    return st;
}

enum found {
    FOUND,
    MISSING,
    WAIT,
    FOUND_ERROR
};

static enum found look_for(struct wr_req *r, const struct wr_template *t, bool want_folder,
                           struct wr_str *ret_path)
{
    struct wr_str name, file;
    struct wr_found found;
    enum wr_status st;
    int err = 0;

    if (wr_template_eval(r, t, &name) != WR_OK) {
        return FOUND_ERROR;
    }
    st = map_name(r, t, name, ret_path, &file);
    if (st != WR_OK) {
        return st == WR_ENOMEM ? FOUND_ERROR : MISSING; /* refused: said by wr_path_map */
    }
    st = wr_open_file(r, file, WR_OPEN_LOOK, &found, &err);
    if (st == WR_OK) {
        return found.facts.is_dir == want_folder ? FOUND : MISSING;
    }
    if (st != WR_ESYS) {
        return st == WR_AGAIN ? WAIT : FOUND_ERROR;
    }
    if (!wr_open_is_missing(err) && err != EACCES && err != ELOOP) {
        wr_log_errno(&r->log, WR_LOG_CRIT, err, "stat() \"%.*s\" failed", WR_STR_ARG(file));
    }
    return MISSING;
}

static enum wr_phase_result run_last(struct wr_req *r, const struct try_files *tf)
{
    struct wr_str uri, args = WR_STR("");
    size_t mark;

    if (tf->code >= 300) {
        return fail(r, tf->code);
    }
    if (tf->code != 0) {
        wr_reply_text(r, tf->code, wr_mime_type_of(wr_core_loc_of(r), r->uri.path), WR_STR(""));
        return WR_PHASE_DONE;
    }
    if (wr_template_eval(r, &tf->last, &uri) != WR_OK) {
        return fail(r, 500);
    }
    if (uri.len > 0 && uri.ptr[0] == '@') {
        wr_req_redirect(r, uri, r->uri.args);
        return WR_PHASE_DONE;
    }
    mark = wr_str_find(uri, '?');
    if (mark < uri.len) {
        args = wr_str_sub(uri, mark + 1, uri.len);
        uri = wr_str_sub(uri, 0, mark);
    }
    if (uri.len == 0 || uri.ptr[0] != '/' || wr_path_escapes(uri, tf->last.source)) {
        wr_log(&r->log, WR_LOG_ERROR, "\"try_files\" leads to \"%.*s\", which is no path",
               WR_STR_ARG(uri));
        return fail(r, 404);
    }
    wr_req_redirect(r, uri, args);
    return WR_PHASE_DONE;
}

/* The folder goes without its '/', so that a client who left it out is told to put it there. */
static void use_path(struct wr_req *r, struct wr_str path, bool is_folder)
{
    if (is_folder && path.len > 1) {
        path.len--;
    }
    r->uri.path = path;
    r->uri.is_plain = false;
}

static enum wr_phase_result run(struct wr_req *r)
{
    const struct try_loc *conf = wr_req_conf(r, &try_conf, WR_KIND_LOC);

    if (!conf->files) {
        return WR_PHASE_NEXT;
    }
    for (uint32_t i = 0; i < conf->files->names.cnt; i++) {
        const struct wr_template *t = &conf->files->names.at[i];
        bool is_folder = wr_str_has_suffix(t->source, WR_STR("/"));
        struct wr_str path;

        switch (look_for(r, t, is_folder, &path)) {
        case FOUND:
            use_path(r, path, is_folder);
            return WR_PHASE_NEXT;
        case MISSING:
            break;
        case WAIT:
            return WR_PHASE_AGAIN; /* the names before are remembered */
        case FOUND_ERROR:
            return fail(r, 500);
        }
    }
    return run_last(r, conf->files);
}

/* ---- the directive --------------------------------------------------------------------------- */

static enum wr_status set_last(struct wr_conf *cf, const struct wr_node *node, struct try_files *tf)
{
    uint32_t i = node->arg_cnt - 1;
    struct wr_str s = wr_node_arg(node, i);
    uint64_t code = 0;

    if (s.len == 0 || s.ptr[0] != '=') {
        return wr_arg_template(cf, node, i, s, &tf->last);
    }
    if (wr_num_parse_u64(wr_str_sub(s, 1, s.len), 999, &code) != WR_OK || code < 200) {
        return wr_conf_err_arg(cf, node, i, "invalid code \"%.*s\"", WR_STR_ARG(s));
    }
    tf->code = (unsigned)code;
    return WR_OK;
}

static enum wr_status set_try_files(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    struct try_files *tf = wr_arena_zalloc(cf->arena, sizeof(*tf));

    (void)dir; /* one row */
    if (!tf) {
        return wr_conf_nomem(cf);
    }
    for (uint32_t i = 0; i + 1 < node->arg_cnt; i++) {
        struct wr_template *t = wr_array_push(cf->arena, &tf->names);
        enum wr_status st;

        if (!t) {
            return wr_conf_nomem(cf);
        }
        st = wr_arg_template(cf, node, i, wr_node_arg(node, i), t);
        if (st != WR_OK) {
            return st;
        }
    }
    ((struct try_loc *)conf)->files = tf;
    return set_last(cf, node, tf);
}

static const struct wr_dir dirs[] = {
    {.name = "try_files",
     .contexts = WR_CTX_SERVER | WR_CTX_LOCATION,
     .min = 2,
     .max = WR_ARGS_ANY,
     .inherit = WR_NONE,
     .set = set_try_files,
     WR_DIR_FIELD(LOC, struct try_loc, files),
     .doc =
         "Goes on with the first of these files that is there; the last word is a URI or =code."},
    WR_DIR_END
};

/* A block without a name has that of its location. */
static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    (void)cf, (void)kind;
    if (s->ctx == WR_CTX_IF_LOCATION || s->ctx == WR_CTX_LIMIT_EXCEPT) {
        ((struct try_loc *)conf)->files = ((const struct try_loc *)parent)->files;
    }
    return WR_OK;
}

static struct wr_conf_module try_conf = {.name = "try_files",
                                         .dirs = dirs,
                                         .size = {[WR_KIND_LOC] = sizeof(struct try_loc)},
                                         .merged = merged};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_PRECONTENT, 100, run}
};

const struct wr_module wr_try_files_module = {
    .conf = &try_conf, .is_quiet = true, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
