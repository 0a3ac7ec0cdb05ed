/* SPDX-License-Identifier: Apache-2.0 */
/*
 * realip.c: the client's address as a trusted proxy tells it, in a field of the request or in its
 * PROXY protocol header. r->peer becomes it, once a request: by the server's configuration in
 * POST_READ, before anything looks at the address, else by the location's in PREACCESS. What the
 * connection said is kept for $realip_remote_addr and does not change.
 */
#include "mod/realip.h"

#include "base/iptrie.h"
#include "conf/types.h"
#include "http/forwarded.h"
#include "http/vars_proxy.h"

/* Whom is believed; of one block of the configuration. */
struct trusted {
    struct wr_iptrie nets; /* a value says nothing */
    bool has_unix;
};

enum real_source {
    REAL_FIELD,     /* the first field of a name */
    REAL_FORWARDED, /* all X-Forwarded-For */
    REAL_PROXY      /* proxy_protocol */
};

struct real_header {
    enum real_source source;
    struct wr_str name;
};

struct real_loc {
    struct wr_conf_head head;
    struct trusted *trusted; /* NULL: nobody */
    struct real_header header;
    bool is_recursive;
};

/* Of a request whose address was replaced. */
struct real_kept {
    struct wr_addr connected;
};

static struct wr_conf_module real_conf;

/* ---- a request ------------------------------------------------------------------------------ */

static bool is_trusted(const struct wr_addr *a, const void *data)
{
    const struct trusted *t = data;

    return a->u.sa.sa_family == AF_UNIX ? t->has_unix : wr_iptrie_find(&t->nets, a) != NULL;
}

/* The list in which the address is. WR_EOF: there is none. */
static enum wr_status read_list(struct wr_req *r, const struct real_header *h, struct wr_str *ret)
{
    const struct wr_hdr *f;
    enum wr_status st;

    if (h->source == REAL_FORWARDED) {
        st = wr_hdrs_has(&r->head->hdrs, WR_HDR_X_FORWARDED_FOR)
                 ? wr_hdrs_join(&r->head->hdrs, h->name, WR_STR(", "), ret)
                 : WR_EOF;
        return st;
    }
    f = wr_hdrs_find(&r->head->hdrs, h->name, NULL);
    if (!f) {
        return WR_EOF;
    }
    *ret = f->value;
    return WR_OK;
}

/* *addr is that of the connection, and stays so when nobody tells another. WR_ENOMEM. */
static enum wr_status find_client(struct wr_req *r, const struct real_loc *lc, struct wr_addr *addr)
{
    struct wr_str list = WR_STR_NULL;
    enum wr_status st;

    if (lc->header.source == REAL_PROXY) {
        (void)wr_req_proxied_client(r, addr); /* else it stays */
        return WR_OK;
    }
    st = read_list(r, &lc->header, &list);
    if (st == WR_OK) {
        wr_forwarded_client(list, lc->is_recursive, is_trusted, lc->trusted, addr);
    }
    return st == WR_EOF ? WR_OK : st;
}

static enum wr_phase_result replace_address(struct wr_req *r)
{
    const struct real_loc *lc = wr_req_conf(r, &real_conf, WR_KIND_LOC);
    struct real_kept *kept;
    struct wr_addr addr;
    enum wr_status st;

    if (!lc->trusted || wr_req_kept(r, &wr_realip_module) || !is_trusted(&r->peer, lc->trusted)) {
        return WR_PHASE_NEXT;
    }
    addr = r->peer;
    st = find_client(r, lc, &addr);
    if (st == WR_OK && wr_addr_eq(&addr, &r->peer)) {
        return WR_PHASE_NEXT;
    }
    kept = st == WR_OK ? wr_req_keep(r, &wr_realip_module, sizeof(*kept)) : NULL;
    if (!kept) {
        wr_req_fail(r, 500);
        return WR_PHASE_DONE;
    }
    kept->connected = r->peer;
    r->peer = addr;
    return WR_PHASE_NEXT;
}

/* ---- variables ------------------------------------------------------------------------------ */

static const struct wr_addr *connected(const struct wr_req *r)
{
    const struct real_kept *kept = wr_req_kept(r, &wr_realip_module);

    return kept ? &kept->connected : &r->peer;
}

static enum wr_status get_addr(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    char text[WR_ADDR_TEXT_MAX];

    (void)v, (void)rest;
    return wr_arena_dup(r->arena, wr_str(text, wr_addr_write_host(connected(r), text)), ret);
}

static enum wr_status get_port(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    unsigned port = wr_addr_port(connected(r));

    (void)v, (void)rest;
    *ret = WR_STR("");
    return port == 0 ? WR_OK : wr_arena_printf(r->arena, ret, "%u", port);
}

/* ---- directives ----------------------------------------------------------------------------- */

static enum wr_status add_net(struct wr_conf *cf, struct trusted *t, const struct wr_cidr *net)
{
    void *old = NULL;

    return wr_iptrie_put(&t->nets, net, t, &old) == WR_OK ? WR_OK : wr_conf_nomem(cf);
}

static void make_host_net(const struct wr_addr *a, struct wr_cidr *ret)
{
    const uint8_t *p = NULL;
    size_t n = wr_addr_bytes(a, &p);

    memset(ret, 0, sizeof(*ret));
    ret->family = a->u.sa.sa_family;
    memcpy(ret->net, p, n);
    memset(ret->mask, 0xff, n);
}

/* All addresses of a name. */
static enum wr_status add_host(struct wr_conf *cf, const struct wr_node *node, struct trusted *t)
{
    const struct wr_conf_source *src = cf->opts->source;
    struct wr_str s = wr_node_arg(node, 0);
    struct wr_addr *at = NULL;
    size_t cnt = 0;
    enum wr_status st = WR_OK;
    bool is_name = s.len > 0 && wr_str_find(s, '/') == s.len && wr_str_find(s, ':') == s.len &&
                   !wr_str_eq_z(s, "all");

    if (!is_name || !src->resolve || src->resolve(src, cf->arena, s, &at, &cnt) != WR_OK) {
        return wr_conf_err_arg(cf, node, 0, "host not found in set_real_ip_from \"%.*s\"",
                               WR_STR_ARG(s));
    }
    for (size_t i = 0; i < cnt && st == WR_OK; i++) {
        struct wr_cidr net;

        make_host_net(&at[i], &net);
        st = add_net(cf, t, &net);
    }
    return st;
}

static enum wr_status set_from(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct real_loc *lc = conf;
    struct wr_str s = wr_node_arg(node, 0);
    bool is_trimmed = false;
    struct wr_cidr net;

    (void)dir;
    if (!lc->trusted) {
        lc->trusted = wr_arena_zalloc(cf->arena, sizeof(*lc->trusted));
        if (!lc->trusted) {
            return wr_conf_nomem(cf);
        }
        wr_iptrie_init(&lc->trusted->nets, cf->arena);
    }
    if (wr_str_eq_z(s, "unix:")) {
        lc->trusted->has_unix = true;
        return WR_OK;
    }
    if (wr_cidr_parse(s, &net, &is_trimmed) != WR_OK ||
        (net.family != AF_INET && net.family != AF_INET6)) {
        return add_host(cf, node, lc->trusted);
    }
    if (is_trimmed) {
        wr_conf_warn(cf, node, "low address bits of %.*s are meaningless", WR_STR_ARG(s));
    }
    return add_net(cf, lc->trusted, &net);
}

static enum wr_status set_header(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct real_header *h = &((struct real_loc *)conf)->header;

    (void)cf, (void)dir;
    h->name = wr_node_arg(node, 0);
    h->source = REAL_FIELD;
    if (wr_str_eq_z(h->name, "proxy_protocol")) {
        h->source = REAL_PROXY;
    } else if (wr_str_ieq(h->name, WR_STR("X-Forwarded-For"))) {
        h->source = REAL_FORWARDED;
    }
    return WR_OK;
}

/* clang-format off */
static const struct wr_dir dirs[] = {
    {.name = "set_real_ip_from", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .flags = WR_DIR_REPEAT,
     .set = set_from, WR_DIR_FIELD(LOC, struct real_loc, trusted),
     .doc = "A proxy that is believed about the client's address: address, network, name or unix:."},
    {.name = "real_ip_header", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = set_header,
     WR_DIR_FIELD(LOC, struct real_loc, header), .def = "X-Real-IP",
     .doc = "Field of the request that has the address; proxy_protocol: the header before it."},
    {.name = "real_ip_recursive", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = wr_set_flag,
     WR_DIR_FIELD(LOC, struct real_loc, is_recursive), .def = "off",
     .doc = "The last address of the field that is not a trusted proxy's, instead of the last one."},
    WR_DIR_END
};

static struct wr_conf_module real_conf = {
    .name = "realip", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct real_loc)}};

/* Before all others of their phases, which may look at the address. */
static const struct wr_phase_row phases[] = {{WR_PHASE_POST_READ, -100, replace_address},
                                             {WR_PHASE_PREACCESS, -100, replace_address}};

static const struct wr_var vars[] = {{"realip_remote_addr", get_addr, 0, 0},
                                     {"realip_remote_port", get_port, 0, 0}};
/* clang-format on */

const struct wr_module wr_realip_module = {.conf = &real_conf,
                                           .is_quiet = true,
                                           .vars = vars,
                                           .var_cnt = WR_ARRAY_LEN(vars),
                                           .phases = phases,
                                           .phase_cnt = WR_ARRAY_LEN(phases)};
