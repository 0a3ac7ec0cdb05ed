/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_basic.c: a handler of ACCESS that asks for a user and a password. The user's hash is looked
 * up in the file (mod/auth_file.h). A cheap form is compared at once. A costly one is known from
 * the last minute (mod/auth_memory.h), or it is computed by a pool of threads that step aside for
 * those that serve (http/work.h), while the request waits:
 *
 *   at most QUEUE_MAX passwords wait in the process, each WAIT_MS at most; else the answer is 503
 *
 * A work that begins looks into the memory first: of ten requests with one password that come at
 * once only the first computes it.
 */
#include "mod/auth_basic.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/gen.h"
#include "conf/types.h"
#include "http/h1_write.h"
#include "http/module.h"
#include "http/path.h"
#include "http/vars_core.h"
#include "http/work.h"
#include "mod/auth_file.h"
#include "mod/auth_memory.h"
#include "mod/passwd.h"

#define QUEUE_MAX 256
#define WAIT_MS   10000u

/* auth_basic_user_file */
struct user_file {
    struct wr_template name;   /* absolute, or beginning with a variable */
    struct wr_str folder;      /* of the latter, when they are not */
    struct wr_auth_file *file; /* of one without variables; NULL in a dry run */
    const struct wr_node *node;
    struct user_file *next; /* of all in the configuration */
};

struct auth_main {
    struct wr_conf_head head;
    struct user_file *first;
    struct wr_work_pool *pool;
    struct wr_auth_memory *memory;
    struct wr_auth_files *files; /* by names with variables */
};

struct auth_loc {
    struct wr_conf_head head;
    struct wr_template *realm; /* NULL: off */
    struct user_file *users;   /* NULL: none */
};

/* A password that is checked by the pool. */
struct check {
    struct wr_req_work work; /* first */
    struct wr_auth_memory *memory;
    struct wr_auth_tag tag;
    enum wr_status result; /* of wr_passwd_check */
    uint16_t hash_len, password_len;
    char hash[WR_PASSWD_HASH_MAX];
    char password[WR_PASSWD_MAX];
};

struct auth_ctx {
    struct check *check; /* NULL: none is under way */
    uint64_t until_ms;
};

/* What is asked, and what came of it so far. */
struct ask {
    struct wr_req *r;
    const struct auth_loc *conf;
    const struct auth_main *main;
    struct auth_ctx *ctx;
    struct wr_str realm, user, password, path, hash;
};

static struct wr_conf_module auth_conf;

/* ---- answers --------------------------------------------------------------------------------- */

static enum wr_phase_result fail(struct wr_req *r, unsigned status)
{
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

static enum wr_phase_result ask_again(const struct ask *a)
{
    struct wr_str v;

    if (wr_arena_printf(a->r->arena, &v, "Basic realm=\"%.*s\"", WR_STR_ARG(a->realm)) != WR_OK) {
        return fail(a->r, 500);
    }
    if (!wr_h1_value_is_safe(v)) { /* U14.1: what a variable holds must not end the line */
        wr_log(&a->r->log, WR_LOG_ERROR, "the text of \"auth_basic\" holds control characters");
        return fail(a->r, 500);
    }
    if (wr_hdrs_set_id(&a->r->out.hdrs, WR_HDR_WWW_AUTHENTICATE, v) != WR_OK) {
        return fail(a->r, 500);
    }
    return wr_access_deny(a->r, 401);
}

static enum wr_phase_result answer(const struct ask *a, enum wr_status result)
{
    if (result == WR_OK) {
        return wr_access_grant(a->r);
    }
    if (result != WR_EPROTO) {
        return fail(a->r, 500);
    }
    wr_log(&a->r->log, WR_LOG_ERROR, "user \"%.*s\": password mismatch", WR_STR_ARG(a->user));
    return ask_again(a);
}

/* ---- costly hashes --------------------------------------------------------------------------- */

static struct check *check_of(struct wr_req_work *w)
{
    return wr_container_of(w, struct check, work);
}

static uint64_t mono_ms(void)
{
    return wr_clock_mono_us() / 1000;
}

/* On a thread of the pool. */
static void run_check(struct wr_req_work *w)
{
    struct check *c = check_of(w);

    if (wr_auth_memory_has(c->memory, &c->tag, mono_ms())) {
        c->result = WR_OK;
        return;
    }
    c->result = wr_passwd_check(wr_str(c->hash, c->hash_len), wr_str(c->password, c->password_len));
    if (c->result == WR_OK) {
        wr_auth_memory_add(c->memory, &c->tag, mono_ms());
    }
}

static void wipe_check(struct wr_req_work *w)
{
    struct check *c = check_of(w);

    explicit_bzero(c->password, sizeof(c->password));
}

/* The costly form: known, impossible, or for the pool. */
static enum wr_phase_result begin_check(const struct ask *a)
{
    struct wr_auth_tag tag;
    struct check *c;

    if (a->hash.len > WR_PASSWD_HASH_MAX || a->password.len > WR_PASSWD_MAX) {
        return answer(a, WR_EPROTO);
    }
    wr_auth_memory_tag(a->main->memory, a->hash, a->password, &tag);
    if (wr_auth_memory_has(a->main->memory, &tag, wr_now_ms())) {
        return answer(a, WR_OK);
    }
    c = wr_req_work_new(a->r, sizeof(*c), run_check, wipe_check);
    if (!c) {
        return fail(a->r, 500);
    }
    c->memory = a->main->memory;
    c->tag = tag;
    c->hash_len = (uint16_t)a->hash.len;
    c->password_len = (uint16_t)a->password.len;
    memcpy(c->hash, a->hash.ptr, a->hash.len);
    memcpy(c->password, a->password.ptr, a->password.len);
    if (wr_req_work_start(a->main->pool, &c->work) != WR_OK) {
        wr_req_work_free(&c->work);
        wr_log(&a->r->log, WR_LOG_ERROR, "too many passwords wait to be checked");
        return fail(a->r, 503);
    }
    a->ctx->check = c;
    a->ctx->until_ms = wr_now_ms() + WAIT_MS;
    wr_timer_arm(&a->r->timer, a->ctx->until_ms);
    return WR_PHASE_AGAIN;
}

static enum wr_phase_result see_check(const struct ask *a)
{
    struct check *c = a->ctx->check;
    enum wr_status result = c->result;

    if (!wr_req_work_is_done(&c->work) && !wr_deadline_is_due(a->ctx->until_ms, wr_now_ms())) {
        return WR_PHASE_AGAIN;
    }
    wr_timer_disarm(&a->r->timer);
    a->ctx->check = NULL;
    if (!wr_req_work_is_done(&c->work)) {
        wr_req_work_free(&c->work);
        wr_log(&a->r->log, WR_LOG_ERROR, "user \"%.*s\": the password was not checked in time",
               WR_STR_ARG(a->user));
        return fail(a->r, 503);
    }
    result = c->result;
    wr_req_work_free(&c->work);
    return answer(a, result);
}

/* ---- the user -------------------------------------------------------------------------------- */

static enum wr_status read_name(struct ask *a)
{
    const struct user_file *uf = a->conf->users;
    struct wr_str s;
    enum wr_status st = wr_template_eval(a->r, &uf->name, &s);

    if (st != WR_OK) {
        return st;
    }
    if (wr_path_escapes(s, uf->name.source)) {
        wr_log(&a->r->log, WR_LOG_ERROR, "\"%.*s\" of \"auth_basic_user_file\" is refused",
               WR_STR_ARG(s));
        return WR_EPROTO;
    }
    return wr_arena_printf(a->r->arena, &a->path, "%.*s%.*s",
                           WR_STR_ARG(s.len > 0 && s.ptr[0] == '/' ? WR_STR("") : uf->folder),
                           WR_STR_ARG(s));
}

static enum wr_status find_hash(struct ask *a, int *ret_errno)
{
    const struct wr_auth_query q = {a->user, a->r->arena, &a->r->log};
    const struct user_file *uf = a->conf->users;
    enum wr_status st;

    if (wr_template_is_const(&uf->name)) {
        a->path = uf->name.source;
        return wr_auth_file_find(uf->file, &q, &a->hash, ret_errno);
    }
    st = read_name(a);
    return st == WR_OK ? wr_auth_files_find(a->main->files, a->path, &q, &a->hash, ret_errno) : st;
}

/* The hash could not be had. */
static enum wr_phase_result tell_fault(const struct ask *a, enum wr_status st, int err)
{
    struct wr_req *r = a->r;

    if (st == WR_EOF) {
        wr_log(&r->log, WR_LOG_ERROR, "user \"%.*s\" was not found in \"%.*s\"",
               WR_STR_ARG(a->user), WR_STR_ARG(a->path));
        return ask_again(a);
    }
    if (st == WR_EPROTO) {
        return wr_access_deny(r, 403);
    }
    if (st == WR_ESYS && err == ENOENT) {
        wr_log_errno(&r->log, WR_LOG_ERROR, err, "open() \"%.*s\" failed", WR_STR_ARG(a->path));
        return wr_access_deny(r, 403);
    }
    if (st == WR_ESYS) {
        wr_log_errno(&r->log, WR_LOG_CRIT, err, "open() \"%.*s\" failed", WR_STR_ARG(a->path));
    } else if (st == WR_ELIMIT) {
        wr_log(&r->log, WR_LOG_CRIT, "\"%.*s\" is larger than %zu bytes", WR_STR_ARG(a->path),
               WR_AUTH_FILE_MAX);
    }
    return fail(r, 500);
}

static enum wr_phase_result check_user(struct ask *a)
{
    enum wr_status st = wr_req_basic_auth(a->r, &a->user, &a->password);
    int err = 0;

    if (st == WR_ENOMEM) {
        return fail(a->r, 500);
    }
    if (st != WR_OK || a->user.len == 0) {
        wr_log(&a->r->log, WR_LOG_INFO, "no user/password was provided for basic authentication");
        return ask_again(a);
    }
    if (a->ctx->check) {
        return see_check(a);
    }
    st = find_hash(a, &err);
    if (st != WR_OK) {
        return tell_fault(a, st, err);
    }
    if (wr_passwd_is_costly(a->hash)) {
        return begin_check(a);
    }
    return answer(a, wr_passwd_check(a->hash, a->password));
}

static enum wr_phase_result run(struct wr_req *r)
{
    struct ask a = {.r = r, .conf = wr_req_conf(r, &auth_conf, WR_KIND_LOC)};

    if (!a.conf->realm || !a.conf->users) {
        return WR_PHASE_NEXT;
    }
    if (wr_template_eval(r, a.conf->realm, &a.realm) != WR_OK) {
        return fail(r, 500);
    }
    if (wr_str_eq(a.realm, WR_STR("off"))) {
        return WR_PHASE_NEXT;
    }
    a.main = wr_scope_get(r->gen->root, &auth_conf, WR_KIND_MAIN);
    a.ctx = wr_req_ctx(r, &wr_auth_basic_module, sizeof(*a.ctx));
    return a.ctx ? check_user(&a) : fail(r, 500);
}

/* ---- directives ------------------------------------------------------------------------------ */

static enum wr_status set_user_file(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    struct auth_main *m = wr_scope_get(cf->gen->root, &auth_conf, WR_KIND_MAIN);
    struct user_file *uf = wr_arena_zalloc(cf->arena, sizeof(*uf));
    struct wr_str s = wr_node_arg(node, 0);
    enum wr_status st;

    (void)dir;
    if (!uf) {
        return wr_conf_nomem(cf);
    }
    st = wr_conf_path(cf, WR_STR(""), WR_PATH_CONF, &uf->folder);
    if (st == WR_OK && (s.len == 0 || s.ptr[0] != '$')) {
        st = wr_conf_path(cf, s, WR_PATH_CONF, &s);
    }
    if (st != WR_OK) {
        return st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
    }
    uf->node = node;
    uf->next = m->first;
    m->first = uf;
    ((struct auth_loc *)conf)->users = uf;
    return wr_arg_template(cf, node, 0, s, &uf->name);
}

static const struct wr_dir dirs[] = {
    {.name = "auth_basic",
     .contexts = WR_CTX_HTTP_ALL | WR_CTX_LIMIT_EXCEPT,
     .min = 1,
     .max = 1,
     .set = wr_set_template_or_off,
     WR_DIR_FIELD(LOC,     struct auth_loc, realm),
     .def = "off",
     .doc = "Asks for a user and a password; the text (realm) tells for what."},
    {.name = "auth_basic_user_file",
     .contexts = WR_CTX_HTTP_ALL | WR_CTX_LIMIT_EXCEPT,
     .min = 1,
     .max = 1,
     .set = set_user_file,
     WR_DIR_FIELD(LOC, struct auth_loc,                      users),
     .doc = "File of users and hashed passwords, user:hash a line."},
    WR_DIR_END
};

/* nginx lets everybody in, and so do we; but somebody may have meant something else. */
static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    const struct auth_loc *lc = conf;

    (void)parent;
    if (kind == WR_KIND_LOC && lc->realm && !lc->users &&
        (s->ctx == WR_CTX_LOCATION || s->ctx == WR_CTX_LIMIT_EXCEPT)) {
        wr_conf_warn(cf, s->node,
                     "nobody is asked for a password here: there is an \"auth_basic\", but no "
                     "\"auth_basic_user_file\"");
    }
    return WR_OK;
}

static enum wr_status read_users(struct wr_conf *cf, struct user_file *uf)
{
    struct wr_conf_fault fault = {NULL, 0};
    struct wr_str bytes = WR_STR_NULL;
    enum wr_status st = wr_conf_read(cf, uf->name.source, WR_AUTH_FILE_MAX, &bytes, &fault);

    if (st == WR_ELIMIT) {
        return wr_conf_err_arg(cf, uf->node, 0, "\"%.*s\" is too large",
                               WR_STR_ARG(uf->name.source));
    }
    if (st == WR_OK || st == WR_ESYS) {
        /* A file that is not there may come. */
        st = wr_auth_file_get(cf, uf->name.source, st == WR_OK ? &bytes : NULL, &uf->file);
    }
    return st == WR_OK ? WR_OK : wr_conf_nomem(cf);
}

static enum wr_status done(struct wr_conf *cf)
{
    static const struct wr_work_pool_conf pool = {.name = "auth_basic", .queue_max = QUEUE_MAX};
    struct auth_main *m = wr_scope_get(cf->gen->root, &auth_conf, WR_KIND_MAIN);
    enum wr_status st = WR_OK;

    if (!m->first) {
        return WR_OK;
    }
    for (struct user_file *uf = m->first; uf && st == WR_OK; uf = uf->next) {
        if (wr_template_is_const(&uf->name)) {
            st = read_users(cf, uf);
        }
    }
    if (st != WR_OK) {
        return st;
    }
    if (wr_work_pool_get(cf, &pool, &m->pool) != WR_OK ||
        wr_auth_memory_get(cf, &m->memory) != WR_OK || wr_auth_files_get(cf, &m->files) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    return WR_OK;
}

static struct wr_conf_module auth_conf = {
    .name = "auth_basic",
    .dirs = dirs,
    .size = {[WR_KIND_MAIN] = sizeof(struct auth_main), [WR_KIND_LOC] = sizeof(struct auth_loc)},
    .merged = merged,
    .done = done
};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_ACCESS, 200, run}
};

const struct wr_module wr_auth_basic_module = {
    .conf = &auth_conf, .is_quiet = true, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
