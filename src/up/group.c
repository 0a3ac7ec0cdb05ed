/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.c: upstream{} blocks and implicit groups: their directives, and how they become immutable
 * member lists once the whole file is read (U1.4): a group may be used above its definition.
 * Configuration code runs on the control thread; wr_group_find on any.
 *
 *   main conf: all groups of the file by name -> struct group_def {servers, method, keepalive} ->
 * wr_members
 */
#include "up/group.h"

#include <stddef.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/vec.h"
#include "conf/scope.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "http/resolver.h"
#include "http/zone.h"
#include "up/group_int.h"
#include "up/idle.h"
#include "up/moving.h"
#include "up/shelf.h"

#define RESOLVER_TIMEOUT_MS 30000

struct server_line {
    struct wr_str text; /* as configured */
    struct wr_hostport hp;
    uint32_t weight, max_conns, max_fails, fail_timeout_ms, slow_start_ms;
    bool is_backup, is_down, is_draining;
    bool is_moving;        /* resolve */
    struct wr_str service; /* service=, or empty */
    struct wr_str route;
    unsigned params; /* enum wr_lb_params that were given */
    const struct wr_node *node;
};

struct server_lines {
    struct server_line *at;
    uint32_t cnt, _cap;
};

/* conf of an upstream{} scope (kind GROUP) */
struct group_conf {
    struct wr_conf_head head;
    struct wr_members *members;
    struct server_lines servers;
    const struct wr_node *state; /* its lines are in another file; NULL: none */
    uint32_t keepalive;
    bool has_keepalive, keepalive_local, has_ntlm;
    uint32_t keepalive_requests;
    uint64_t keepalive_time_ms, keepalive_timeout_ms;
    struct wr_resolver *resolver; /* NULL: that of http{} */
    uint64_t resolver_timeout_ms;
    bool has_resolver_timeout;
    uint32_t queue_max; /* 0: no queue */
    uint64_t queue_timeout_ms;
};

struct group_def {
    struct wr_members *members;
    struct wr_scope *scope; /* NULL: implicit */
    struct group_def *next;
    struct wr_hostport hp;          /* implicit */
    const struct wr_node *portless; /* implicit: names it without a port where none is usual */
};

/* conf of the main level: every group of the generation */
struct groups {
    struct wr_conf_head head;
    struct wr_map by_name; /* lower-case name -> group_def */
    struct group_def *first, **tail;
    struct wr_group *named; /* its idle connections are to peers that requests name */
};

static struct groups *groups_of(struct wr_conf *cf)
{
    return wr_scope_get(cf->gen->root != NULL ? cf->gen->root : wr_scope_up(cf->scope, WR_CTX_MAIN),
                        &wr_group_conf, WR_KIND_MAIN);
}

static void end_map(void *data)
{
    wr_map_fini(data);
}

static enum wr_status created(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                              void *conf)
{
    struct groups *g = conf;

    (void)s; /* the struct is the same for all of the main level */
    if (kind != WR_KIND_MAIN) {
        return WR_OK;
    }
    wr_map_init(&g->by_name, WR_MAP_ICASE);
    g->tail = &g->first;
    return wr_arena_on_fini(cf->arena, end_map, &g->by_name);
}

static void end_members(void *data)
{
    wr_members_unseal(data);
}

static enum wr_status add_group(struct wr_conf *cf, struct wr_str name, const struct wr_node *node,
                                struct group_def **ret)
{
    struct groups *g = groups_of(cf);
    struct group_def *d = wr_arena_zalloc(cf->arena, sizeof(*d));
    struct wr_members *m = wr_arena_zalloc(cf->arena, sizeof(*m));

    if (d == NULL || m == NULL || wr_arena_dup(cf->arena, name, &m->name) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    if (wr_arena_on_fini(cf->arena, end_members, m) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    m->arena = cf->arena;
    m->node = node;
    m->keepalive = WR_IDLE_DEFAULT;
    m->keepalive_requests = 1000;
    m->keepalive_time_ms = 3600000;
    m->keepalive_timeout_ms = 60000;
    d->members = m;
    *g->tail = d;
    g->tail = &d->next;
    wr_map_put(&g->by_name, m->name, d);
    *ret = d;
    return WR_OK;
}

/* `state` stands alone: lines beside it would be lost when the file changes. */
static enum wr_status check_state(struct wr_conf *cf, const struct group_conf *gc)
{
    for (uint32_t i = 0; gc->state != NULL && i < gc->servers.cnt; i++) {
        if (gc->servers.at[i].node->file == gc->state->file) {
            return wr_conf_err(cf, gc->servers.at[i].node,
                               "\"server\" directive is not allowed beside \"state\"");
        }
    }
    return WR_OK;
}

static enum wr_status set_upstream(struct wr_conf *cf, const struct wr_dir *dir,
                                   const struct wr_node *node, void *conf)
{
    struct wr_str name = wr_node_arg(node, 0);
    struct groups *g = groups_of(cf);
    struct group_def *d = wr_map_get(&g->by_name, name);
    struct wr_scope *s;
    struct group_conf *gc;
    struct wr_pos pos;
    void *own;

    (void)dir, (void)conf; /* the block has no field of its own */
    if (d != NULL && d->scope != NULL) {
        return wr_conf_err(cf, node, "duplicate upstream \"%.*s\"", WR_STR_ARG(name));
    }
    if (d == NULL && add_group(cf, name, node, &d) != WR_OK) {
        return WR_ENOMEM;
    }
    d->members->is_implicit = false;
    d->members->node = node;
    if (wr_scope_new(cf, WR_CTX_UPSTREAM, node, &s) != WR_OK ||
        wr_scope_own(cf, s, &wr_group_conf, WR_KIND_GROUP, &own) != WR_OK) {
        return WR_ENOMEM;
    }
    gc = own;
    gc->members = d->members;
    d->scope = s;
    s->data = d->members;
    if (wr_conf_apply(cf, node, s) != WR_OK) {
        return WR_ENOMEM;
    }
    if (gc->servers.cnt == 0 && gc->state == NULL) {
        /* Where nginx sees it: at the end of the block. */
        pos = wr_node_pos(node);
        pos.line = node->end_line;
        pos.column = 0;
        wr_diag_add(cf->diags, WR_LOG_EMERG, &pos, WR_STR_NULL, "no servers are inside upstream");
        return WR_ECONFIG;
    }
    return check_state(cf, gc);
}

/* Parameters of a server line with a number or a time; those of `params` go by the method. */
/* clang-format off */
static const struct num_param {
    const char *key;
    size_t field;      /* uint32_t of struct server_line */
    uint64_t min, max; /* seconds for times */
    bool is_time;
    bool is_cut; /* larger ones mean max */
    unsigned param;
} num_params[] = {
    {"weight", offsetof(struct server_line, weight), 1, 65535, false, false, WR_LB_WEIGHT},
    {"max_conns", offsetof(struct server_line, max_conns), 0, UINT32_MAX, false, true, WR_LB_MAX_CONNS},
    {"max_fails", offsetof(struct server_line, max_fails), 0, 65535, false, true, WR_LB_MAX_FAILS},
    {"fail_timeout", offsetof(struct server_line, fail_timeout_ms), 0, 4000000, true, false, WR_LB_FAIL_TIMEOUT},
    {"slow_start", offsetof(struct server_line, slow_start_ms), 0, 4000000, true, false, WR_LB_SLOW_START},
};

/* clang-format on */

static enum wr_status set_num_param(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                    struct server_line *sl, const struct num_param *p)
{
    struct wr_str v = WR_STR_NULL;
    uint64_t n = 0;
    uint32_t field;
    enum wr_status st;

    (void)wr_arg_has_key(node, i, p->key, &v); /* the caller asked */
    st = p->is_time ? wr_arg_part_sec(cf, node, i, v, &n) : wr_arg_part_num(cf, node, i, v, &n);
    if (st != WR_OK) {
        return st;
    }
    if (n < p->min || (n > p->max && !p->is_cut)) {
        return wr_arg_invalid(cf, node, i);
    }
    field = (uint32_t)(WR_MIN(n, p->max) * (p->is_time ? 1000 : 1));
    memcpy((char *)sl + p->field, &field, sizeof(field));
    sl->params |= p->param;
    return WR_OK;
}

/* One "key=value" or word of a server line. */
static enum wr_status set_param(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                struct server_line *sl)
{
    struct wr_str a = wr_node_arg(node, i), v;
    size_t k;

    for (k = 0; k < WR_ARRAY_LEN(num_params); k++) {
        if (wr_arg_has_key(node, i, num_params[k].key, &v)) {
            return set_num_param(cf, node, i, sl, &num_params[k]);
        }
    }
    if (wr_arg_has_key(node, i, "route", &v) && v.len != 0) {
        sl->route = v;
    } else if (wr_str_eq(a, WR_STR("drain"))) {
        sl->is_draining = true;
    } else if (wr_str_eq(a, WR_STR("backup"))) {
        sl->is_backup = true;
        sl->params |= WR_LB_BACKUP;
    } else if (wr_str_eq(a, WR_STR("down"))) {
        sl->is_down = true;
        sl->params |= WR_LB_DOWN;
    } else if (wr_str_eq(a, WR_STR("resolve"))) {
        sl->is_moving = true;
    } else if (wr_arg_has_key(node, i, "service", &v) && v.len != 0) {
        sl->service = v;
    } else {
        return wr_arg_invalid(cf, node, i);
    }
    return WR_OK;
}

/* `resolve` means nothing to an address. */
static enum wr_status check_moving(struct wr_conf *cf, struct server_line *sl)
{
    struct wr_addr a;

    if (sl->service.len != 0 && !sl->is_moving) {
        return wr_conf_err(cf, sl->node, "parameter \"service\" needs \"resolve\" beside it");
    }
    if (sl->hp.is_unix || wr_addr_parse_ip(sl->hp.host, 0, &a) == WR_OK) {
        sl->is_moving = false;
    }
    if (sl->service.len != 0 && (!sl->is_moving || sl->hp.has_port)) {
        return wr_conf_err(cf, sl->node,
                           "parameter \"service\" needs a name without a port, not \"%.*s\"",
                           WR_STR_ARG(sl->text));
    }
    return WR_OK;
}

static enum wr_status set_server(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct group_conf *gc = conf;
    struct server_line *sl = wr_array_push(cf->arena, &gc->servers);
    const char *err = NULL;
    uint32_t i;

    (void)dir;
    if (sl == NULL) {
        return wr_conf_nomem(cf);
    }
    *sl = (struct server_line){.text = wr_node_arg(node, 0),
                               .weight = 1,
                               .max_fails = 1,
                               .fail_timeout_ms = 10000,
                               .node = node};
    if (wr_hostport_parse(sl->text, &sl->hp, &err) != WR_OK || sl->hp.rest.len != 0) {
        return wr_conf_err(cf, node, "%s in upstream \"%.*s\"", err != NULL ? err : "invalid host",
                           WR_STR_ARG(sl->text));
    }
    for (i = 1; i < node->arg_cnt; i++) {
        if (set_param(cf, node, i, sl) != WR_OK) {
            return WR_ECONFIG;
        }
    }
    return check_moving(cf, sl);
}

static enum wr_status set_keepalive(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    struct group_conf *gc = conf;
    uint64_t n;

    (void)dir;
    if (wr_num_parse_u64(wr_node_arg(node, 0), 1000000, &n) != WR_OK) {
        return wr_conf_err(cf, node, "invalid value \"%.*s\" in \"keepalive\" directive",
                           WR_STR_ARG(wr_node_arg(node, 0)));
    }
    if (node->arg_cnt == 2) {
        if (!wr_str_eq(wr_node_arg(node, 1), WR_STR("local"))) {
            return wr_arg_invalid(cf, node, 1);
        }
        gc->keepalive_local = true;
    }
    gc->keepalive = (uint32_t)n;
    gc->has_keepalive = true;
    return WR_OK;
}

static enum wr_status set_resolver_timeout(struct wr_conf *cf, const struct wr_dir *dir,
                                           const struct wr_node *node, void *conf)
{
    struct group_conf *gc = conf;

    gc->has_resolver_timeout = true;
    return wr_set_msec(cf, dir, node, conf);
}

static enum wr_status set_queue(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct group_conf *gc = conf;
    struct wr_str v;
    uint64_t n;

    (void)dir;
    if (wr_num_parse_u64(wr_node_arg(node, 0), 1000000, &n) != WR_OK || n == 0) {
        return wr_arg_invalid(cf, node, 0);
    }
    gc->queue_max = (uint32_t)n;
    gc->queue_timeout_ms = 60000;
    if (node->arg_cnt == 1) {
        return WR_OK;
    }
    if (!wr_arg_has_key(node, 1, "timeout", &v)) {
        return wr_arg_invalid(cf, node, 1);
    }
    return wr_arg_part_msec(cf, node, 1, v, &gc->queue_timeout_ms);
}

/* U1.3. Nothing is to be taken silently for what it was in nginx. */
static enum wr_status refuse_post_action(struct wr_conf *cf, const struct wr_dir *dir,
                                         const struct wr_node *node, void *conf)
{
    (void)dir;
    (void)conf;
    return wr_conf_err(
        cf, node,
        "\"post_action\" is not supported and will not be: it makes a second request "
        "that the client waits for; use an access log, or \"mirror\"");
}

static enum wr_status set_ntlm(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct group_conf *gc = conf;

    (void)cf;
    (void)dir;
    (void)node;
    gc->has_ntlm = true;
    return WR_OK;
}

/* The file's lines were read in its place (conf/tree.c). */
static enum wr_status set_state(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct group_conf *gc = conf;

    (void)cf;
    (void)dir;
    gc->state = node;
    return WR_OK;
}

static const char zone_kind[] = "upstream";

static enum wr_status set_zone(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct group_conf *gc = conf;
    struct wr_bounds b = {.min = 0, .max = UINT64_MAX};
    uint64_t size;

    (void)dir;
    if (node->arg_cnt == 2 && wr_arg_size(cf, node, 1, &b, &size) != WR_OK) {
        return WR_ECONFIG;
    }
    gc->members->has_zone = true;
    return wr_zone_claim(cf, node, wr_node_arg(node, 0), zone_kind);
}

enum wr_status wr_group_set_lb(struct wr_conf *cf, const struct wr_node *node,
                               const struct wr_lb *lb, const void *lb_conf)
{
    struct wr_members *m = cf->scope->data;
    struct group_conf *gc = wr_scope_get(cf->scope, &wr_group_conf, WR_KIND_GROUP);

    if (m->lb != NULL) {
        wr_conf_warn(cf, node, "load balancing method redefined");
    }
    if (gc->has_keepalive) {
        return wr_conf_err(
            cf, node, "\"%s\" must come before \"keepalive\": load balancing methods stand first",
            lb->name);
    }
    m->lb = lb;
    m->lb_conf = lb_conf;
    return WR_OK;
}

void wr_group_set_sticky(struct wr_conf *cf, const struct wr_sticky *sticky,
                         const void *sticky_conf)
{
    struct wr_members *m = cf->scope->data;

    m->sticky = sticky;
    m->sticky_conf = sticky_conf;
}

/* An implicit group for host:port (U1.4); one for all locations that name the same. */
static enum wr_status refer_implicit(struct wr_conf *cf, const struct wr_node *node,
                                     struct wr_str url_host, uint16_t default_port,
                                     struct group_def **ret)
{
    struct groups *g = groups_of(cf);
    struct group_def *d;
    struct wr_hostport hp;
    struct wr_str key = url_host;
    const char *err = NULL;

    if (wr_hostport_parse(url_host, &hp, &err) != WR_OK || hp.rest.len != 0) {
        return wr_conf_err(cf, node, "%s in upstream \"%.*s\"", err != NULL ? err : "invalid host",
                           WR_STR_ARG(url_host));
    }
    if (!hp.is_unix && !hp.has_port) {
        hp.port = default_port;
        if (wr_arena_printf(cf->arena, &key, "%.*s:%u", WR_STR_ARG(url_host), (unsigned)hp.port) !=
            WR_OK) {
            return wr_conf_nomem(cf);
        }
    }
    d = wr_map_get(&g->by_name, key);
    if (d == NULL) {
        if (add_group(cf, url_host, node, &d) != WR_OK) {
            return WR_ENOMEM;
        }
        d->members->is_implicit = true;
        d->hp = hp;
        d->members->host = hp.host;
        d->members->port = hp.port;
    }
    if (key.ptr != url_host.ptr) {
        wr_map_put(&g->by_name, key, d);
    }
    *ret = d;
    return WR_OK;
}

enum wr_status wr_group_refer(struct wr_conf *cf, const struct wr_node *node,
                              struct wr_str url_host, uint16_t default_port,
                              struct wr_members **ret)
{
    struct group_def *d = wr_map_get(&groups_of(cf)->by_name, url_host);
    enum wr_status st = WR_OK;

    if (d == NULL) {
        /* Maybe an upstream{} of this name comes below: it takes the place over then. */
        st = refer_implicit(cf, node, url_host, default_port, &d);
    }
    if (st == WR_OK) {
        WR_ASSERT(d != NULL);
        if (default_port == 0 && d->scope == NULL && !d->hp.is_unix && !d->hp.has_port) {
            d->portless = node;
        }
        *ret = d->members;
    }
    return st;
}

/* --- building, once the file is read --- */

static enum wr_status resolve_line(struct wr_conf *cf, const struct server_line *sl,
                                   struct wr_addr **ret, size_t *ret_cnt)
{
    const struct wr_conf_source *src = cf->opts->source;
    struct wr_addr *a = wr_arena_zalloc(cf->arena, sizeof(*a));
    uint16_t port = sl->hp.port != 0 ? sl->hp.port : 80;
    size_t i;

    if (a == NULL) {
        return wr_conf_nomem(cf);
    }
    if (sl->hp.is_unix) {
        if (wr_addr_parse_unix(sl->text, a) != WR_OK) {
            return wr_conf_err(cf, sl->node,
                               "too long path in the unix domain socket in upstream \"%.*s\"",
                               WR_STR_ARG(sl->text));
        }
        *ret = a;
        *ret_cnt = 1;
        return WR_OK;
    }
    if (wr_addr_parse_ip(sl->hp.host, port, a) == WR_OK) {
        *ret = a;
        *ret_cnt = 1;
        return WR_OK;
    }
    if (src->resolve == NULL || src->resolve(src, cf->arena, sl->hp.host, ret, ret_cnt) != WR_OK) {
        return wr_conf_err(cf, sl->node, "host not found in upstream \"%.*s\"",
                           WR_STR_ARG(sl->text));
    }
    for (i = 0; i < *ret_cnt; i++) {
        wr_addr_set_port(&(*ret)[i], port);
    }
    return WR_OK;
}

typedef WR_VEC(struct wr_member) wr_member_vec;
typedef WR_VEC(struct wr_moving_line) wr_moving_line_vec;

/* What the members of a group are made of. */
struct parts {
    wr_member_vec members;
    wr_moving_line_vec lines;
};

static struct wr_member make_member(const struct server_line *sl)
{
    return (struct wr_member){.server = sl->text,
                              .weight = sl->weight,
                              .max_conns = sl->max_conns,
                              .max_fails = sl->max_fails,
                              .fail_timeout_ms = sl->fail_timeout_ms,
                              .slow_start_ms = sl->slow_start_ms,
                              .is_backup = sl->is_backup,
                              .is_down = sl->is_down,
                              .is_draining = sl->is_draining,
                              .route = sl->route};
}

static enum wr_status add_members(struct wr_conf *cf, struct wr_members *m,
                                  const struct server_line *sl, struct parts *p)
{
    struct wr_addr *addrs = NULL;
    size_t cnt = 0, i;
    struct wr_member *e;

    if (resolve_line(cf, sl, &addrs, &cnt) != WR_OK) {
        return WR_ECONFIG;
    }
    for (i = 0; i < cnt; i++) {
        e = wr_vec_push(&p->members);
        *e = make_member(sl);
        if (wr_peer_get(cf->opts->fixtures, cf->gen, m->name, &addrs[i], &e->peer) != WR_OK) {
            return wr_conf_nomem(cf);
        }
    }
    return WR_OK;
}

/* "_http._tcp.app.test" of app.test and http; of a service with a dot only the two joined. */
static enum wr_status name_service(struct wr_conf *cf, const struct server_line *sl,
                                   struct wr_str *ret)
{
    bool is_whole = wr_str_find(sl->service, '.') != sl->service.len;

    if (wr_arena_printf(cf->arena, ret, is_whole ? "%.*s.%.*s" : "_%.*s._tcp.%.*s",
                        WR_STR_ARG(sl->service), WR_STR_ARG(sl->hp.host)) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    return WR_OK;
}

static enum wr_status add_moving_line(struct wr_conf *cf, const struct wr_members *m,
                                      const struct server_line *sl, struct parts *p)
{
    struct wr_moving_line *l = wr_vec_push(&p->lines);

    *l = (struct wr_moving_line){.like = make_member(sl),
                                 .name = sl->hp.host,
                                 .kind = WR_DNS_ADDRS,
                                 .before = (uint32_t)p->members.cnt,
                                 .port = sl->hp.has_port ? sl->hp.port : 80,
                                 .has_weight = (sl->params & WR_LB_WEIGHT) != 0,
                                 .has_backups = (m->lb->params & WR_LB_BACKUP) != 0};
    if (sl->service.len != 0) {
        l->kind = WR_DNS_SERVICES;
        if (name_service(cf, sl, &l->name) != WR_OK) {
            return WR_ENOMEM;
        }
    }
    if (l->name.len > WR_DNS_NAME_MAX) {
        return wr_conf_err(cf, sl->node, "too long name in upstream \"%.*s\"",
                           WR_STR_ARG(sl->text));
    }
    return WR_OK;
}

static const struct wr_lb *find_default_lb(void)
{
    const struct wr_module *const *mods;
    size_t cnt, i, k;

    mods = wr_modules_get(&cnt);
    for (i = 0; i < cnt; i++) {
        for (k = 0; k < mods[i]->balancer_cnt; k++) {
            if (strcmp(mods[i]->balancers[k]->name, "round_robin") == 0) {
                return mods[i]->balancers[k];
            }
        }
    }
    return NULL;
}

static const char *unsupported_param(unsigned params)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        {WR_LB_WEIGHT,       "weight"      },
        {WR_LB_MAX_CONNS,    "max_conns"   },
        {WR_LB_MAX_FAILS,    "max_fails"   },
        {WR_LB_FAIL_TIMEOUT, "fail_timeout"},
        {WR_LB_BACKUP,       "backup"      },
        {WR_LB_DOWN,         "down"        },
        {WR_LB_SLOW_START,   "slow_start"  }
    };

    size_t i;

    for (i = 0; i < WR_ARRAY_LEN(names); i++) {
        if ((params & names[i].bit) != 0) {
            return names[i].name;
        }
    }
    return "?";
}

static enum wr_status read_lines(struct wr_conf *cf, struct wr_members *m,
                                 const struct server_lines *lines, struct parts *p)
{
    const struct server_line *sl;
    enum wr_status st = WR_OK;
    uint32_t i;

    for (i = 0; i < lines->cnt && st == WR_OK; i++) {
        sl = &lines->at[i];
        if ((sl->params & ~m->lb->params) != 0) {
            st = wr_conf_err(cf, sl->node, "balancing method does not support parameter \"%s\"",
                             unsupported_param(sl->params & ~m->lb->params));
        } else {
            st = sl->is_moving ? add_moving_line(cf, m, sl, p) : add_members(cf, m, sl, p);
        }
    }
    return st;
}

static void count_members(struct wr_members *m)
{
    uint32_t i;

    m->primary_cnt = m->backup_cnt = m->up_cnt = 0;
    m->weight_shift = 0;
    for (i = 0; i < m->cnt; i++) {
        m->primary_cnt += !m->at[i].is_backup;
        m->backup_cnt += m->at[i].is_backup;
        m->up_cnt += !m->at[i].is_down;
        if (m->at[i].slow_start_ms != 0) {
            m->weight_shift = WR_RAMP_SHIFT;
        }
    }
    m->has_accounting = m->cnt > 1;
}

static enum wr_status pick_nobody(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    (void)ctx, (void)ret_i; /* there is none */
    return WR_EOF;
}

static const struct wr_lb nobody = {.name = "none", .params = WR_LB_ALL, .pick = pick_nobody};

enum wr_status wr_members_seal(struct wr_members *m, struct wr_arena *a)
{
    wr_atomic_u32 *effective = wr_arena_zalloc(a, (m->cnt + 1) * sizeof(*effective));
    uint32_t i;

    m->arena = a;
    m->thread_state = wr_arena_zalloc(a, WR_THREADS_MAX * sizeof(*m->thread_state));
    m->changes = wr_arena_zalloc(a, sizeof(*m->changes));
    if (effective == NULL || m->thread_state == NULL || m->changes == NULL) {
        return WR_ENOMEM;
    }
    for (i = 0; i < m->cnt; i++) {
        m->at[i].effective = &effective[i];
        wr_store_rlx(&effective[i], m->at[i].weight);
        m->at[i].counts_together = m->at[i].max_conns != 0 || m->lb->wants_load;
    }
    count_members(m);
    if (m->cnt == 0) {
        m->lb = &nobody;
        m->sticky = NULL;
    }
    m->is_alone = m->cnt == 1 && m->primary_cnt == 1 && !m->has_accounting && m->sticky == NULL &&
                  m->lb->is_moot_alone;
    if (m->lb->group_init != NULL && m->lb->group_init(m, &m->lb_state) != WR_OK) {
        return WR_ENOMEM;
    }
    return m->sticky == NULL ? WR_OK : m->sticky->init(m, &m->sticky_state);
}

void wr_members_unseal(struct wr_members *m)
{
    unsigned i;

    if (m->thread_state == NULL) {
        return;
    }
    if (m->lb->group_fini != NULL) {
        m->lb->group_fini(m);
    }
    for (i = 0; i < WR_THREADS_MAX; i++) {
        wr_mem_free(wr_load_acq(&m->thread_state[i]));
    }
}

/* The members that stay, in memory of the generation. */
static enum wr_status fill_members(struct wr_conf *cf, struct wr_members *m, const struct parts *p)
{
    m->cnt = (uint32_t)p->members.cnt;
    m->at = wr_arena_alloc(cf->arena, (m->cnt + 1) * sizeof(*m->at));
    if (m->at == NULL) {
        return wr_conf_nomem(cf);
    }
    if (m->cnt > 0) {
        memcpy(m->at, p->members.at, m->cnt * sizeof(*m->at));
    }
    count_members(m);
    return WR_OK;
}

static bool has_primaries(const struct wr_members *m, const struct parts *p)
{
    bool has = m->primary_cnt > 0;
    size_t i;

    for (i = 0; i < p->lines.cnt; i++) {
        has |= !p->lines.at[i].like.is_backup;
    }
    return has;
}

/* A group with names that are looked up: the plan, which lives as long as the generation. */
static enum wr_status plan_moving(struct wr_conf *cf, const struct group_def *d,
                                  const struct parts *p)
{
    struct wr_members *m = d->members;
    const struct group_conf *gc = wr_scope_get(d->scope, &wr_group_conf, WR_KIND_GROUP);
    struct wr_scope *http = wr_scope_up(d->scope, WR_CTX_HTTP);
    const struct wr_core_loc *lc =
        http == NULL ? NULL : wr_scope_get(http, &wr_core_conf, WR_KIND_LOC);
    struct wr_moving_plan *plan = wr_arena_zalloc(cf->arena, sizeof(*plan));
    struct wr_moving_line *lines = wr_arena_alloc(cf->arena, p->lines.cnt * sizeof(*lines));

    if (!m->has_zone) {
        return wr_conf_err(cf, m->node,
                           "resolving names at run time requires upstream \"%.*s\" "
                           "in shared memory",
                           WR_STR_ARG(m->name));
    }
    if (plan == NULL || lines == NULL) {
        return wr_conf_nomem(cf);
    }
    plan->members = m;
    plan->lines = lines;
    plan->line_cnt = (uint32_t)p->lines.cnt;
    memcpy(lines, p->lines.at, p->lines.cnt * sizeof(*lines));
    plan->resolver = gc->resolver != NULL || lc == NULL ? gc->resolver : lc->resolver;
    plan->timeout_ms = lc == NULL ? RESOLVER_TIMEOUT_MS : lc->resolver_timeout_ms;
    if (gc->has_resolver_timeout) {
        plan->timeout_ms = (uint32_t)WR_MIN(gc->resolver_timeout_ms, (uint64_t)UINT32_MAX);
    }
    if (plan->resolver == NULL) {
        return wr_conf_err(cf, m->node,
                           "no resolver defined to resolve names at run time in "
                           "upstream \"%.*s\"",
                           WR_STR_ARG(m->name));
    }
    if (cf->opts->fixtures == NULL || plan->resolver->dns == NULL) {
        return wr_members_seal(m, cf->arena); /* a dry run */
    }
    return wr_moving_new(cf, plan, &m->moving) == WR_OK ? WR_OK : wr_conf_nomem(cf);
}

/* proxy_pass http://a:80 beside upstream a {}: neither the group nor a host is meant for sure. */
static bool is_group_with_port(struct wr_conf *cf, const struct group_def *d)
{
    const struct group_def *named;

    if (d->scope != NULL || !d->hp.has_port) {
        return false;
    }
    named = wr_map_get(&groups_of(cf)->by_name, d->hp.host);
    return named != NULL && named->scope != NULL;
}

static enum wr_status finish_group(struct wr_conf *cf, const struct group_def *d,
                                   const struct parts *p)
{
    struct wr_members *m = d->members;

    if (!has_primaries(m, p)) {
        return wr_conf_err(cf, m->node, "no servers in upstream \"%.*s\"", WR_STR_ARG(m->name));
    }
    if (wr_idle_group_get(cf->opts->fixtures, cf->gen, m->name, &m->group) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    if (p->lines.cnt > 0) {
        return plan_moving(cf, d, p);
    }
    return wr_members_seal(m, cf->arena) == WR_OK ? WR_OK : wr_conf_nomem(cf);
}

static enum wr_status build_group(struct wr_conf *cf, struct group_def *d)
{
    struct wr_members *m = d->members;
    struct server_line one = {.text = m->name,
                              .hp = d->hp,
                              .weight = 1,
                              .max_fails = 1,
                              .fail_timeout_ms = 10000,
                              .node = m->node};
    struct server_lines lines = {.at = &one, .cnt = 1};
    struct parts p = {0};
    struct group_conf *gc;
    enum wr_status st;

    if (is_group_with_port(cf, d)) {
        return wr_conf_err(cf, m->node, "upstream \"%.*s\" may not have port %u",
                           WR_STR_ARG(d->hp.host), (unsigned)d->hp.port);
    }
    if (d->scope == NULL && d->portless != NULL) {
        return wr_conf_err(cf, d->portless, "no port in upstream \"%.*s\"", WR_STR_ARG(m->name));
    }
    if (d->scope != NULL) {
        gc = wr_scope_get(d->scope, &wr_group_conf, WR_KIND_GROUP);
        lines = gc->servers;
        if (gc->has_keepalive) {
            m->keepalive = gc->keepalive;
            m->keepalive_local = gc->keepalive_local;
        }
        m->has_ntlm = gc->has_ntlm;
        m->keepalive_requests = gc->keepalive_requests;
        m->keepalive_time_ms = gc->keepalive_time_ms;
        m->keepalive_timeout_ms = gc->keepalive_timeout_ms;
        m->queue_max = gc->queue_max;
        m->queue_timeout_ms = gc->queue_timeout_ms;
        if (lines.cnt == 0) {
            return WR_OK; /* was reported where it stands, or the state file is not there yet */
        }
    }
    if (m->lb == NULL) {
        m->lb = find_default_lb();
        if (m->lb == NULL) {
            return wr_conf_err(cf, m->node, "no balancing method for upstream \"%.*s\"",
                               WR_STR_ARG(m->name));
        }
    }
    st = read_lines(cf, m, &lines, &p);
    if (st == WR_OK) {
        st = fill_members(cf, m, &p);
    }
    if (st == WR_OK) {
        st = finish_group(cf, d, &p);
    }
    wr_vec_fini(&p.members);
    wr_vec_fini(&p.lines);
    return st;
}

static enum wr_status build_groups(struct wr_conf *cf)
{
    struct groups *g = groups_of(cf);
    struct group_def *d;

    for (d = g->first; d != NULL; d = d->next) {
        if (build_group(cf, d) == WR_ENOMEM) {
            return WR_ENOMEM;
        }
    }
    if (wr_idle_group_get(cf->opts->fixtures, cf->gen, WR_STR("(named by requests)"), &g->named) !=
        WR_OK) {
        return wr_conf_nomem(cf);
    }
    return WR_OK;
}

struct wr_group *wr_group_named(const struct wr_gen *g)
{
    const struct groups *gs = wr_scope_get(g->root, &wr_group_conf, WR_KIND_MAIN);

    return gs->named;
}

const struct wr_members *wr_group_find(const struct wr_gen *g, struct wr_str host, uint16_t port,
                                       bool has_port)
{
    const struct groups *gs = wr_scope_get(g->root, &wr_group_conf, WR_KIND_MAIN);
    const struct group_def *d;
    char key[300];
    int n;

    d = has_port ? NULL : wr_map_get(&gs->by_name, host);
    if (d == NULL && host.len < 256) {
        n = snprintf(key, sizeof(key), "%.*s:%u", WR_STR_ARG(host), (unsigned)port);
        d = wr_map_get(&gs->by_name, wr_str(key, (size_t)n));
    }
    return d == NULL ? NULL : d->members;
}

void wr_group_each(const struct wr_gen *g, wr_group_fn *fn, void *data)
{
    const struct groups *gs = wr_scope_get(g->root, &wr_group_conf, WR_KIND_MAIN);

    for (const struct group_def *d = gs->first; d != NULL; d = d->next) {
        const struct wr_members *m = d->members;

        if (m->moving == NULL) {
            fn(data, m);
            continue;
        }
        m = wr_moving_list_ref(m->moving);
        fn(data, m);
        wr_moving_list_unref(m);
    }
}

uint32_t wr_group_shelf_cnt(const struct wr_group *g)
{
    return g->shelf == NULL ? 0 : wr_shelf_cnt(g->shelf);
}

/* clang-format off */
static const struct wr_dir group_dirs[] = {
    {.name = "upstream",
     .contexts = WR_CTX_HTTP,
     .min = 1,
     .max = 1,
     .flags = WR_DIR_BLOCK | WR_DIR_REPEAT,
     .kind = WR_KIND_NONE,
     .set = set_upstream,
     .doc = "A group of peers."},
    {.name = "post_action",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .flags = WR_DIR_REPEAT,
     .kind = WR_KIND_NONE,
     .set = refuse_post_action,
     .doc = "Refused: it holds up the client's next request."},
    {.name = "server",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT,
     WR_DIR_CONF(GROUP),
     .set = set_server,
     .doc = "A peer and its weight, max_conns, max_fails, fail_timeout, slow_start, backup, down, drain, route, resolve, service."},
    {.name = "resolver",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = WR_ARGS_ANY,
     WR_DIR_FIELD(GROUP, struct group_conf, resolver),
     .set = wr_set_resolver,
     .doc = "Name servers for servers of the group with resolve; else those of http."},
    {.name = "resolver_timeout",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = 1,
     WR_DIR_FIELD(GROUP, struct group_conf, resolver_timeout_ms),
     .set = set_resolver_timeout,
     .doc = "How long a request waits for the first answer of a name server."},
    {.name = "queue",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = 2,
     WR_DIR_CONF(GROUP),
     .set = set_queue,
     .doc = "Requests that may wait for a peer that has room, and timeout= of that, 60s."},
    {.name = "state",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = 1,
     WR_DIR_CONF(GROUP),
     .set = set_state,
     .doc = "File with the group's server lines; a group whose file is not there is empty."},
    {.name = "ntlm",
     .contexts = WR_CTX_UPSTREAM,
     WR_DIR_FIELD(GROUP, struct group_conf, has_ntlm),
     .set = set_ntlm,
     .doc = "A client that authenticates by NTLM or Negotiate has a connection to a peer of its own."},
    {.name = "zone",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = 2,
     WR_DIR_CONF(GROUP),
     .set = set_zone,
     .doc = "Makes the order of choices exact over all threads; the size costs nothing."},
    {.name = "keepalive",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = 2,
     WR_DIR_CONF(GROUP),
     .set = set_keepalive,
     .def = "32",
     .flags = WR_DIR_DEF_DOC,
     .doc = "Idle connections kept to the peers of the group, for each thread; 0: none."},
    {.name = "keepalive_requests",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = 1,
     WR_DIR_FIELD(GROUP, struct group_conf, keepalive_requests),
     .set = wr_set_num,
     .def = "1000",
     .doc = "Requests after which a connection to a peer is closed."},
    {.name = "keepalive_time",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = 1,
     WR_DIR_FIELD(GROUP, struct group_conf, keepalive_time_ms),
     .set = wr_set_msec,
     .def = "1h",
     .doc = "Age after which a connection to a peer is closed behind a request."},
    {.name = "keepalive_timeout",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = 1,
     WR_DIR_FIELD(GROUP, struct group_conf, keepalive_timeout_ms),
     .set = wr_set_msec,
     .def = "60s",
     .doc = "How long a connection to a peer may be idle."},
    WR_DIR_END};
/* clang-format on */

struct wr_conf_module wr_group_conf = {
    .name = "upstream",
    .dirs = group_dirs,
    .size = {[WR_KIND_MAIN] = sizeof(struct groups), [WR_KIND_GROUP] = sizeof(struct group_conf)},
    .own_kinds = (1u << WR_KIND_MAIN) | (1u << WR_KIND_GROUP),
    .created = created,
    .done = build_groups
};
