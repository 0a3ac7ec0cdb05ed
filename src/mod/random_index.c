/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random_index.c: `random_index on`: a path that ends in '/' goes on, by an internal redirect, with
 * one of the files in its folder, each as likely as the others; hidden ones do not take part.
 *
 * The n-th file replaces the one that was chosen before with a chance of 1/n: one pass, no list.
 * Names are taken on another thread in a large folder; the chance comes from a generator of the
 * reading's own. Request's thread otherwise.
 */
#include "mod/random_index.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/rng.h"
#include "conf/types.h"
#include "http/files_conf.h"
#include "http/folder_read.h"
#include "http/module.h"
#include "http/open_file.h"
#include "http/path.h"

#define NAME_BYTES 256

struct random_loc {
    struct wr_conf_head head;
    bool is_on;
};

static struct wr_conf_module random_conf;

/* The reading; heap. */
struct choice {
    struct wr_folder_read fr; /* first */
    uint64_t state;           /* of the generator */
    uint64_t cnt;
    size_t len;
    char name[NAME_BYTES];
    char path[];
};

struct random_index {
    struct wr_content content; /* first */
    struct choice *choice;
};

static struct choice *choice_of(struct wr_folder_read *fr)
{
    return wr_container_of(fr, struct choice, fr);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static enum wr_status take(struct wr_folder_read *fr, const struct wr_folder_name *n)
{
    struct choice *c = choice_of(fr);
    struct wr_file_facts facts;
    int err = 0;

    if (n->name[0] == '.' || n->len >= NAME_BYTES || n->kind == WR_FOLDER_DIR ||
        n->kind == WR_FOLDER_OTHER) {
        return WR_OK;
    }
    if (n->kind == WR_FOLDER_UNKNOWN &&
        (wr_folder_look(fr->folder, n->name, &facts, &err) != WR_OK || !facts.is_regular)) {
        return WR_OK;
    }
    c->cnt++;
    if (next_random(&c->state) % c->cnt == 0) {
        memcpy(c->name, n->name, n->len);
        c->len = n->len;
    }
    return WR_OK;
}

static void free_choice(struct wr_folder_read *fr)
{
    wr_mem_free(choice_of(fr));
}

static const struct wr_folder_ops choice_ops = {.take = take, .free = free_choice};

static void fail_read(struct wr_req *r, const struct choice *c)
{
    int err = c->fr.err;

    if (c->fr.status != WR_ESYS) {
        wr_req_fail(r, 500);
        return;
    }
    wr_log_errno(&r->log, WR_LOG_ERROR, err, "opendir() \"%s\" failed", c->path);
    wr_req_fail(r, wr_open_is_missing(err) ? 404 : err == EACCES || err == ELOOP ? 403 : 500);
}

static void step(struct wr_content *content)
{
    struct random_index *ri = wr_container_of(content, struct random_index, content);
    struct wr_req *r = content->req;
    const struct choice *c = ri->choice;
    struct wr_str uri;
    enum wr_status st = wr_folder_read_run(&ri->choice->fr, r);

    if (st == WR_AGAIN) {
        return;
    }
    if (st != WR_OK) {
        wr_req_fail(r, 500);
        return;
    }
    if (c->fr.status != WR_EOF) {
        fail_read(r, c);
        return;
    }
    if (c->cnt == 0) {
        wr_log(&r->log, WR_LOG_ERROR, "directory index of \"%s\" is forbidden", c->path);
        wr_req_fail(r, 403);
        return;
    }
    if (wr_arena_printf(r->arena, &uri, "%.*s%.*s", WR_STR_ARG(r->uri.path), (int)c->len,
                        c->name) != WR_OK) {
        wr_req_fail(r, 500);
        return;
    }
    wr_req_redirect(r, uri, r->uri.args);
}

static void close_content(struct wr_content *content)
{
    struct random_index *ri = wr_container_of(content, struct random_index, content);

    wr_folder_read_leave(&ri->choice->fr);
}

static const struct wr_content_ops ops = {
    .name = "random_index", .step = step, .close = close_content};

static enum wr_phase_result fail(struct wr_req *r, unsigned status)
{
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

static enum wr_phase_result run(struct wr_req *r)
{
    const struct random_loc *lc = wr_req_conf(r, &random_conf, WR_KIND_LOC);
    struct random_index *ri;
    struct choice *c;
    struct wr_str path;
    enum wr_status st;

    if (!lc->is_on || !wr_str_has_suffix(r->uri.path, WR_STR("/")) ||
        (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD &&
         r->method != WR_METHOD_POST)) {
        return WR_PHASE_NEXT;
    }
    st = wr_path_map(r, r->uri.path, &path);
    if (st != WR_OK) {
        return fail(r, st == WR_ENOMEM ? 500 : 404);
    }
    ri = wr_arena_zalloc(r->arena, sizeof(*ri));
    c = ri ? wr_run_zalloc(sizeof(*c) + path.len + 1) : NULL;
    if (!c) {
        return fail(r, 500);
    }
    memcpy(c->path, path.ptr, path.len);
    c->fr.ops = &choice_ops;
    c->fr.path = c->path;
    c->state = wr_rng_u64();
    if (wr_files_how(r, path, &c->fr.how) != WR_OK) {
        wr_mem_free(c);
        return fail(r, 500);
    }
    ri->choice = c;
    ri->content.ops = &ops;
    ri->content.req = r;
    r->content = &ri->content;
    return WR_PHASE_DONE;
}

static enum wr_status set_random_index(struct wr_conf *cf, const struct wr_dir *dir,
                                       const struct wr_node *node, void *conf)
{
    enum wr_status st = wr_files_need_default(cf);

    return st == WR_OK ? wr_set_flag(cf, dir, node, conf) : st;
}

static const struct wr_dir dirs[] = {
    {.name = "random_index",
     .contexts = WR_CTX_LOCATION,
     .min = 1,
     .max = 1,
     .set = set_random_index,
     WR_DIR_FIELD(LOC, struct random_loc, is_on),
     .def = "off",
     .doc = "A path that ends in '/' is answered with one of the files in its folder."},
    WR_DIR_END
};

static struct wr_conf_module random_conf = {
    .name = "random_index", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct random_loc)}};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_CONTENT, 50, run}
};

const struct wr_module wr_random_index_module = {
    .conf = &random_conf, .is_quiet = true, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
