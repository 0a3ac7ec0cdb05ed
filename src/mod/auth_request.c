/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_request.c: a handler of ACCESS that asks a subrequest: 2xx lets the client in, 401 and 403
 * do not, all else is 500. What the answer says is kept in variables (auth_request_set) the moment
 * its head is there, whatever its status. Its body is dropped, nobody waits for that. Request's
 * task.
 */
#include "mod/auth_request.h"

#include "base/obj.h"
#include "conf/types.h"
#include "http/module.h"
#include "http/var_conf.h"
#include "http/vars_core.h"

/* auth_request_set */
struct auth_var {
    struct wr_var unset;    /* what it is before */
    wr_var_store_fn *store; /* of a variable of ours that is more than a value; NULL: none */
    uint32_t no;
    struct wr_template value;
};

struct auth_vars {
    struct auth_var **at;
    uint32_t cnt, _cap;
};

struct auth_loc {
    struct wr_conf_head head;
    struct wr_str uri; /* ptr NULL: off */
    struct auth_vars vars;
};

struct auth_ctx {
    struct wr_sub *sub;
    bool is_asked;
    bool has_failed; /* a variable could not be set */
};

static struct wr_conf_module auth_conf;

/* ---- run ------------------------------------------------------------------------------------- */

static enum wr_status set_var(struct wr_req *r, struct wr_req *child, const struct auth_var *v)
{
    struct wr_str value = WR_STR("");
    enum wr_status st = wr_template_eval(child, &v->value, &value);

    if (st == WR_OK && value.len > 0) {
        st = wr_arena_dup(r->arena, value, &value);
    }
    if (st != WR_OK) {
        return st;
    }
    return v->store ? v->store(r, value) : wr_var_set(r, v->no, value);
}

static void set_vars(struct wr_req *child, void *data)
{
    struct wr_req *r = child->parent;
    const struct auth_loc *conf = wr_req_conf(r, &auth_conf, WR_KIND_LOC);
    struct auth_ctx *c = data;

    for (uint32_t i = 0; i < conf->vars.cnt; i++) {
        if (set_var(r, child, conf->vars.at[i]) != WR_OK) {
            c->has_failed = true;
        }
    }
}

static enum wr_phase_result fail(struct wr_req *r, unsigned status)
{
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

static enum wr_phase_result ask(struct wr_req *r, const struct auth_loc *conf, struct auth_ctx *c)
{
    struct wr_sub_opts o = {
        .mode = WR_SUB_HEAD, .waiter = &r->task, .answered = set_vars, .data = c};

    wr_sub_split_uri(conf->uri, &o);
    c->is_asked = true;
    return wr_sub_open(r, &o, &c->sub) == WR_OK ? WR_PHASE_AGAIN : fail(r, 500);
}

/* Who asks for a password says how. */
static enum wr_status copy_challenge(struct wr_req *r, const struct wr_msg *head)
{
    const struct wr_hdr *h = wr_hdrs_get(&head->hdrs, WR_HDR_WWW_AUTHENTICATE);
    struct wr_str v;
    enum wr_status st = WR_OK;

    if (h) {
        st = wr_arena_dup(r->arena, h->value, &v);
    }
    return h && st == WR_OK ? wr_hdrs_set_id(&r->out.hdrs, WR_HDR_WWW_AUTHENTICATE, v) : st;
}

/* The head is there, or there will be none. */
static enum wr_phase_result decide(struct wr_req *r, const struct auth_ctx *c)
{
    const struct wr_msg *head = wr_sub_head(c->sub);
    unsigned status = wr_sub_status(c->sub);

    if (c->has_failed) {
        return fail(r, 500);
    }
    if (head && status >= 200 && status < 300) {
        return wr_access_grant(r);
    }
    if (head && status == 401 && copy_challenge(r, head) != WR_OK) {
        return fail(r, 500);
    }
    if (head && (status == 401 || status == 403)) {
        return wr_access_deny(r, status);
    }
    wr_log(&r->log, WR_LOG_ERROR, "auth request unexpected status: %u", status);
    return fail(r, 500);
}

static enum wr_phase_result run(struct wr_req *r)
{
    const struct auth_loc *conf = wr_req_conf(r, &auth_conf, WR_KIND_LOC);
    enum wr_phase_result res;
    struct auth_ctx *c;

    if (!conf->uri.ptr) {
        return WR_PHASE_NEXT;
    }
    c = wr_req_ctx(r, &wr_auth_request_module, sizeof(*c));
    if (!c) {
        return fail(r, 500);
    }
    if (!c->is_asked) {
        return ask(r, conf, c);
    }
    if (!wr_sub_head(c->sub) && wr_sub_get_state(c->sub) != WR_SUB_FAILED) {
        return WR_PHASE_AGAIN;
    }
    res = decide(r, c);
    wr_sub_leave(wr_take(&c->sub));
    c->is_asked = false;
    return res;
}

/* ---- directives ------------------------------------------------------------------------------ */

static enum wr_status get_unset(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    (void)r, (void)v, (void)rest, (void)ret;
    return WR_EOF;
}

static enum wr_status set_auth_var(struct wr_conf *cf, const struct wr_dir *dir,
                                   const struct wr_node *node, void *conf)
{
    struct auth_loc *lc = conf;
    struct auth_var *v = wr_arena_zalloc(cf->arena, sizeof(*v));
    struct auth_var **at = v ? wr_array_push(cf->arena, &lc->vars) : NULL;
    struct wr_str name = WR_STR_NULL;
    enum wr_status st;

    (void)dir;
    if (!at) {
        return wr_conf_nomem(cf);
    }
    *at = v;
    st = wr_var_conf_name(cf, node, 0, &name);
    if (st != WR_OK) {
        return st;
    }
    v->store = wr_vars_core_store(name);
    v->unset = (struct wr_var){.get = get_unset, .flags = WR_VAR_NOCACHE | WR_VAR_WEAK};
    st = wr_var_conf_define(cf, node, 0, &v->unset, &v->no);
    return st == WR_OK ? wr_arg_template(cf, node, 1, wr_node_arg(node, 1), &v->value) : st;
}

static const struct wr_dir dirs[] = {
    {.name = "auth_request",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_str_or_off,
     WR_DIR_FIELD(LOC,    struct auth_loc, uri),
     .def = "off",
     .doc = "The location whose answer to a subrequest says whether the client may come in."},
    {.name = "auth_request_set",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 2,
     .max = 2,
     .flags = WR_DIR_REPEAT,
     .set = set_auth_var,
     WR_DIR_FIELD(LOC,                     struct auth_loc, vars),
     .doc = "Keeps something of the answer of auth_request in a variable."                  },
    WR_DIR_END
};

static struct wr_conf_module auth_conf = {
    .name = "auth_request", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct auth_loc)}};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_ACCESS, 300, run}
};

const struct wr_module wr_auth_request_module = {
    .conf = &auth_conf, .is_quiet = true, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
