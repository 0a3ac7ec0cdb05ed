/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen_conf.c: `listen` and `server_name`, and the ports that are made of them when the file is
 * whole:
 *
 *   server{} -- listens[]  --\      one struct site an address:      wr_http.ports[]
 *   server{} -- listens[]  ---> options, default server, servers --> with names; addresses that a
 *            -- names[]    --/                                       wildcard covers become its
 * virtuals
 *
 * An address of its own socket: a wildcard, one with options or `bind`, or one whose port no
 * wildcard of its family has. Messages are nginx's. Control thread only.
 */
#include <string.h>
#include <unistd.h>

#include "base/chars.h"
#include "base/num.h"
#include "conf/gen.h"
#include "http/core_conf.h"
#include "http/h1_parse.h"
#include "http/regex.h"
#include "http/server.h"

#define LISTEN_BACKLOG    511
#define LISTEN_PORT       80
#define REQUEST_MEMORY    (2u << 20) /* most memory of one request, heads included, bodies not */
#define HOSTNAME_MAX      256
#define BUFFERS_TOTAL_MAX (8u << 20)

/* ---- listen: the address -------------------------------------------------------------------- */

static const struct wr_listen_opts default_opts = {
    .backlog = LISTEN_BACKLOG,
    .fastopen = -1,
    .ipv6only = true,
    .nodelay_inherit = true,
    .keepalive = -1,
};

static enum wr_status bad_listen(struct wr_conf *cf, const struct wr_node *n, const char *what)
{
    return wr_conf_err_arg(cf, n, 0, "%s in \"%.*s\" of the \"listen\" directive", what,
                           WR_STR_ARG(wr_node_arg(n, 0)));
}

static bool is_digits(struct wr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!wr_char_is((unsigned char)s.ptr[i], WR_CH_DIGIT)) {
            return false;
        }
    }
    return s.len > 0;
}

/* "80" or "8080-8090". */
static enum wr_status read_ports(struct wr_conf *cf, const struct wr_node *n, struct wr_str s,
                                 uint16_t *ret_first, uint16_t *ret_last)
{
    size_t dash = wr_str_find(s, '-');
    struct wr_str a = wr_str_sub(s, 0, dash), b = wr_str_sub(s, dash + 1, s.len);
    uint64_t first = 0, last = 0;

    if (wr_num_parse_u64(a, 65535, &first) != WR_OK || first == 0) {
        return bad_listen(cf, n, "invalid port");
    }
    last = first;
    if (dash < s.len) {
        if (wr_num_parse_u64(b, 65535, &last) != WR_OK || last == 0) {
            return bad_listen(cf, n, "invalid port");
        }
        if (last < first) {
            return bad_listen(cf, n, "invalid port range");
        }
    }
    *ret_first = (uint16_t)first;
    *ret_last = (uint16_t)last;
    return WR_OK;
}

/* Host part: "*", an address; "localhost" is the only name. */
static enum wr_status read_host(struct wr_conf *cf, const struct wr_node *n, struct wr_str host,
                                struct wr_addr *ret)
{
    if (host.len == 0) {
        return bad_listen(cf, n, "no host");
    }
    if (wr_str_eq_z(host, "*")) {
        host = WR_STR("0.0.0.0");
    } else if (wr_str_ieq(host, WR_STR("localhost"))) {
        host = WR_STR("127.0.0.1");
    }
    if (wr_addr_parse_ip(host, LISTEN_PORT, ret) == WR_OK) {
        return WR_OK;
    }
    for (size_t i = 0; i < host.len; i++) {
        if (!wr_char_is((unsigned char)host.ptr[i], WR_CH_UNRESERVED)) {
            return bad_listen(cf, n, "invalid host");
        }
    }
    return bad_listen(cf, n, "host not found");
}

/* *ret_addr without its port, when that is a range: *ret_first .. *ret_last. */
static enum wr_status read_address(struct wr_conf *cf, const struct wr_node *n,
                                   struct wr_addr *ret_addr, uint16_t *ret_first,
                                   uint16_t *ret_last)
{
    struct wr_str s = wr_node_arg(n, 0), host = s, port = WR_STR_NULL;
    size_t colon = wr_str_rfind(s, ':');
    enum wr_status st;

    *ret_first = *ret_last = LISTEN_PORT;
    if (wr_str_has_iprefix(s, WR_STR("unix:"))) {
        *ret_first = *ret_last = 0;
        if (s.len == sizeof("unix:") - 1) {
            return bad_listen(cf, n, "no path in the unix domain socket");
        }
        return wr_addr_parse_unix(s, ret_addr) == WR_OK
                   ? WR_OK
                   : bad_listen(cf, n, "too long path in the unix domain socket");
    }
    if (is_digits(wr_str_sub(s, 0, wr_str_find(s, '-')))) {
        host = WR_STR("*");
        port = s;
    } else if (colon < s.len && wr_str_find(wr_str_sub(s, colon, s.len), ']') == s.len - colon) {
        host = wr_str_sub(s, 0, colon);
        port = wr_str_sub(s, colon + 1, s.len);
        if (wr_str_find(port, '/') < port.len) {
            return bad_listen(cf, n, "invalid host");
        }
        if (port.len == 0) {
            return bad_listen(cf, n, "invalid port");
        }
    }
    st = read_host(cf, n, host, ret_addr);
    if (st == WR_OK && port.len > 0) {
        st = read_ports(cf, n, port, ret_first, ret_last);
    }
    return st;
}

/* ---- listen: parameters --------------------------------------------------------------------- */

static enum wr_status bad_value(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                const char *what)
{
    return wr_conf_err_arg(cf, n, i, "invalid %s \"%.*s\"", what, WR_STR_ARG(wr_node_arg(n, i)));
}

static enum wr_status bad_param(struct wr_conf *cf, const struct wr_node *n, uint32_t i)
{
    return bad_value(cf, n, i, "parameter");
}

/* One field of so_keepalive=idle:interval:count; empty leaves the system's. */
static bool read_keepalive_field(struct wr_str s, bool is_time, uint32_t *ret)
{
    uint64_t v = 0;

    if (s.len == 0) {
        return true;
    }
    if ((is_time ? wr_num_parse_sec(s, &v) : wr_num_parse_u64(s, 127, &v)) != WR_OK || v > 32767) {
        return false;
    }
    *ret = (uint32_t)v;
    return true;
}

static enum wr_status read_so_keepalive(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                        struct wr_str v, struct wr_listen_opts *o)
{
    struct wr_str rest = v, idle = WR_STR_NULL, intvl = WR_STR_NULL, cnt = WR_STR_NULL;

    if (wr_str_eq_z(v, "on") || wr_str_eq_z(v, "off")) {
        o->keepalive = wr_str_eq_z(v, "on");
        return WR_OK;
    }
    if (wr_str_find(v, ':') < v.len && wr_str_split(&rest, ':', &idle) &&
        wr_str_split(&rest, ':', &intvl) && wr_str_split(&rest, ':', &cnt) && rest.len == 0 &&
        idle.len + intvl.len + cnt.len > 0 && wr_str_find(cnt, ':') == cnt.len &&
        read_keepalive_field(idle, true, &o->keepidle) &&
        read_keepalive_field(intvl, true, &o->keepintvl) &&
        read_keepalive_field(cnt, false, &o->keepcnt)) {
        o->keepalive = 1;
        return WR_OK;
    }
    return wr_conf_err_arg(cf, n, i, "invalid so_keepalive value: \"%.*s\"", WR_STR_ARG(v));
}

static enum wr_status read_size_option(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                       struct wr_str v, const char *name, uint32_t *ret)
{
    uint64_t size = 0;

    if (wr_num_parse_size(v, INT32_MAX, &size) != WR_OK || v.len == 0) {
        return bad_value(cf, n, i, name);
    }
    *ret = (uint32_t)size;
    return WR_OK;
}

static enum wr_status read_int_option(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                      struct wr_str v, const char *name, int *ret)
{
    uint64_t num = 0, min = wr_str_eq_z(wr_str_z(name), "backlog");

    if (wr_num_parse_u64(v, INT32_MAX, &num) != WR_OK || num < min) {
        return bad_value(cf, n, i, name);
    }
    *ret = (int)num;
    return WR_OK;
}

/* Parameters with "key=value". WR_EOF: it is none of them. */
static enum wr_status read_keyed(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                 struct wr_core_listen *l)
{
    struct wr_listen_opts *o = &l->opts;
    struct wr_str v;

    if (wr_arg_has_key(n, i, "backlog", &v)) {
        return read_int_option(cf, n, i, v, "backlog", &o->backlog);
    }
    if (wr_arg_has_key(n, i, "rcvbuf", &v)) {
        return read_size_option(cf, n, i, v, "rcvbuf", &o->rcvbuf);
    }
    if (wr_arg_has_key(n, i, "sndbuf", &v)) {
        return read_size_option(cf, n, i, v, "sndbuf", &o->sndbuf);
    }
    if (wr_arg_has_key(n, i, "fastopen", &v)) {
        return read_int_option(cf, n, i, v, "fastopen", &o->fastopen);
    }
    if (wr_arg_has_key(n, i, "so_keepalive", &v)) {
        return read_so_keepalive(cf, n, i, v, o);
    }
    if (wr_arg_has_key(n, i, "ipv6only", &v)) {
        if (!wr_str_eq_z(v, "on") && !wr_str_eq_z(v, "off")) {
            return bad_param(cf, n, i);
        }
        o->ipv6only = wr_str_eq_z(v, "on");
        return WR_OK;
    }
    if (wr_arg_has_key(n, i, "setfib", &v) || wr_arg_has_key(n, i, "accept_filter", &v)) {
        wr_conf_warn(cf, n, "\"%.*s\" is not supported on this platform, ignored",
                     WR_STR_ARG(wr_node_arg(n, i)));
        return WR_OK;
    }
    return WR_EOF;
}

/* Protocols: those that only change speed are left out. *ret_skip: no such socket is opened. */
static enum wr_status read_protocol(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                    bool *ret_skip)
{
    struct wr_str s = wr_node_arg(n, i);

    if (wr_str_eq_z(s, "http2") || wr_str_eq_z(s, "quic") || wr_str_eq_z(s, "multipath")) {
        wr_conf_warn(cf, n, "the \"%.*s\" parameter of \"listen\" is not supported yet, ignored",
                     WR_STR_ARG(s));
        *ret_skip = *ret_skip || wr_str_eq_z(s, "quic");
        return WR_OK;
    }
    return bad_param(cf, n, i);
}

static enum wr_status read_param(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                 struct wr_core_listen *l, bool *ret_skip)
{
    struct wr_str s = wr_node_arg(n, i);
    enum wr_status st;

    if (wr_str_eq_z(s, "default_server") || wr_str_eq_z(s, "default")) {
        l->is_default = true;
        return WR_OK;
    }
    if (wr_str_eq_z(s, "ssl")) {
        l->is_tls = true;
        return WR_OK;
    }
    if (wr_str_eq_z(s, "proxy_protocol")) {
        l->is_proxy = true;
        return WR_OK;
    }
    st = read_keyed(cf, n, i, l);
    if (st == WR_EOF) {
        if (wr_str_eq_z(s, "bind")) {
            st = WR_OK;
        } else if (wr_str_eq_z(s, "reuseport")) {
            l->opts.reuseport = true;
            st = WR_OK;
        } else if (wr_str_eq_z(s, "deferred")) {
            l->opts.deferred = true;
            st = WR_OK;
        } else {
            return read_protocol(cf, n, i, ret_skip);
        }
    }
    l->is_bind = l->has_opts = true;
    return st;
}

static enum wr_status push_listen(struct wr_conf *cf, struct wr_core_listens *ls,
                                  const struct wr_core_listen *l, uint16_t port)
{
    struct wr_core_listen *p = wr_array_push(cf->arena, ls);
    char text[WR_ADDR_TEXT_MAX];
    size_t len;

    if (!p) {
        return wr_conf_nomem(cf);
    }
    *p = *l;
    if (port != 0) {
        wr_addr_set_port(&p->opts.addr, port);
    }
    len = wr_addr_write(&p->opts.addr, text);
    return wr_arena_dup(cf->arena, wr_str(text, len), &p->text) == WR_OK ? WR_OK
                                                                         : wr_conf_nomem(cf);
}

/* Does one of the first cnt listens have this text? */
static bool has_text(const struct wr_core_listens *ls, uint32_t cnt, struct wr_str text)
{
    for (uint32_t i = 0; i < cnt; i++) {
        if (wr_str_eq(ls->at[i].text, text)) {
            return true;
        }
    }
    return false;
}

enum wr_status wr_core_set_listen(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct wr_core_listens *ls = &((struct wr_core_srv *)conf)->listens;
    struct wr_core_listen l = {.opts = default_opts, .node = node};
    uint16_t first = 0, last = 0;
    uint32_t before = ls->cnt; /* the ports of a range differ from each other */
    bool is_skipped = false;
    enum wr_status st = read_address(cf, node, &l.opts.addr, &first, &last);

    (void)dir;
    for (uint32_t i = 1; i < node->arg_cnt && st == WR_OK; i++) {
        st = read_param(cf, node, i, &l, &is_skipped);
    }
    if (is_skipped) {
        return st;
    }
    for (uint32_t port = first; port <= last && st == WR_OK; port++) {
        st = push_listen(cf, ls, &l, (uint16_t)port);
        if (st == WR_OK && has_text(ls, before, ls->at[ls->cnt - 1].text)) {
            st = wr_conf_err_arg(cf, node, 0, "a duplicate listen %.*s",
                                 WR_STR_ARG(ls->at[ls->cnt - 1].text));
        }
    }
    return st;
}

/* ---- server_name ---------------------------------------------------------------------------- */

static enum wr_status lower(struct wr_conf *cf, struct wr_str s, struct wr_str *ret)
{
    char *p = wr_arena_bytes(cf->arena, s.len + 1);

    if (!p) {
        return wr_conf_nomem(cf);
    }
    for (size_t i = 0; i < s.len; i++) {
        p[i] = (char)wr_char_lower[(unsigned char)s.ptr[i]];
    }
    p[s.len] = '\0';
    *ret = wr_str(p, s.len);
    return WR_OK;
}

static bool is_valid_name(struct wr_str s)
{
    if (s.len > 0 && s.ptr[0] == '*') {
        return s.len >= 3 && s.ptr[1] == '.';
    }
    return !(s.len == 1 && s.ptr[0] == '.');
}

static enum wr_status read_name(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                struct wr_core_name *name)
{
    struct wr_str s = wr_node_arg(n, i);
    char host[HOSTNAME_MAX];

    if (s.len > 0 && s.ptr[0] == '~') {
        if (s.len == 1) {
            return wr_conf_err_arg(cf, n, i, "empty regex in server name \"%.*s\"", WR_STR_ARG(s));
        }
        name->text = s;
        return wr_regex_compile(cf, n, wr_str_sub(s, 1, s.len), WR_REGEX_ICASE, &name->re);
    }
    if (!is_valid_name(s)) {
        return wr_conf_err_arg(cf, n, i, "server name \"%.*s\" is invalid", WR_STR_ARG(s));
    }
    if (wr_str_find(s, '/') < s.len) {
        wr_conf_warn(cf, n, "server name \"%.*s\" has suspicious symbols", WR_STR_ARG(s));
    }
    if (wr_str_eq_z(s, "$hostname")) {
        /* Rule zero: a system call that reads a constant; the name is part of the configuration. */
        if (gethostname(host, sizeof(host)) != 0) {
            return wr_conf_err_arg(cf, n, i, "gethostname() failed");
        }
        host[sizeof(host) - 1] = '\0';
        s = wr_str_z(host);
    }
    return lower(cf, s, &name->text);
}

enum wr_status wr_core_set_server_name(struct wr_conf *cf, const struct wr_dir *dir,
                                       const struct wr_node *node, void *conf)
{
    struct wr_core_names *names = &((struct wr_core_srv *)conf)->names;
    enum wr_status st = WR_OK;

    (void)dir;
    for (uint32_t i = 0; i < node->arg_cnt && st == WR_OK; i++) {
        struct wr_core_name name = {.node = node}, *p;

        st = read_name(cf, node, i, &name);
        if (st != WR_OK) {
            break;
        }
        p = wr_array_push(cf->arena, names);
        if (!p) {
            return wr_conf_nomem(cf);
        }
        *p = name;
    }
    return st;
}

/* ---- sites: an address and who listens there ------------------------------------------------- */

struct site_server {
    struct wr_core_srv *srv;
    struct site_server *next;
};

struct site {
    struct wr_core_listen l; /* options: of the listen that has some, else of the first */
    struct wr_core_srv *deflt;
    struct site_server *first, *last;
    struct site *next;
    struct site *cover;      /* the wildcard whose socket serves this one */
    struct site *next_any;   /* in a bucket of wildcards */
    struct site *covered;    /* of a wildcard: the first that it serves ... */
    struct site *next_twin;  /* ... and the next */
    struct site **twin_tail; /* where one more is put */
    struct wr_port *port;
    uint32_t virtual_cnt;
};

#define ANY_BUCKETS 256

struct sites {
    struct wr_conf *cf;
    struct wr_map by_text;
    struct site *first, *last;
    struct site *any[ANY_BUCKETS]; /* wildcards, by port */
    size_t bound_cnt;
};

static struct site *new_site(struct sites *ss, const struct wr_core_listen *l,
                             struct wr_core_srv *srv)
{
    struct site *t = wr_arena_zalloc(ss->cf->arena, sizeof(*t));

    if (!t) {
        return NULL;
    }
    t->l = *l;
    t->deflt = srv;
    if (ss->last) {
        ss->last->next = t;
    } else {
        ss->first = t;
    }
    ss->last = t;
    t->twin_tail = &t->covered;
    if (wr_addr_is_any(&l->opts.addr)) {
        struct site **bucket = &ss->any[wr_addr_port(&l->opts.addr) % ANY_BUCKETS];

        t->next_any = *bucket;
        *bucket = t;
    }
    (void)wr_map_put(&ss->by_text, t->l.text, t); /* the caller looked: it is new */
    return t;
}

/* A further server on an address that is known. */
static void join_site(struct sites *ss, struct site *t, const struct wr_core_listen *l,
                      struct wr_core_srv *srv)
{
    bool was_default = t->l.is_default, was_tls = t->l.is_tls, was_proxy = t->l.is_proxy;

    if (l->has_opts && t->l.has_opts) {
        (void)wr_conf_err_arg(ss->cf, l->node, 0, "duplicate listen options for %.*s",
                              WR_STR_ARG(t->l.text));
    }
    if (l->is_default && was_default) {
        (void)wr_conf_err_arg(ss->cf, l->node, 0, "a duplicate default server for %.*s",
                              WR_STR_ARG(t->l.text));
    }
    if (l->has_opts && !t->l.has_opts) {
        t->l = *l;
    }
    if (l->is_default) {
        t->deflt = srv;
    }
    t->l.is_default = was_default || l->is_default;
    t->l.is_tls = was_tls || l->is_tls; /* one of the servers says it for the address */
    t->l.is_proxy = was_proxy || l->is_proxy;
}

static enum wr_status add_listen(struct sites *ss, const struct wr_core_listen *l,
                                 struct wr_core_srv *srv)
{
    struct site *t = wr_map_get(&ss->by_text, l->text);
    struct site_server *v = wr_arena_zalloc(ss->cf->arena, sizeof(*v));

    if (!v) {
        return wr_conf_nomem(ss->cf);
    }
    v->srv = srv;
    if (t) {
        join_site(ss, t, l, srv);
    } else {
        t = new_site(ss, l, srv);
    }
    if (!t) {
        return wr_conf_nomem(ss->cf);
    }
    if (t->last) {
        t->last->next = v;
    } else {
        t->first = v;
    }
    t->last = v;
    return WR_OK;
}

static enum wr_status add_server(struct sites *ss, struct wr_core_srv *srv)
{
    struct wr_core_listen l = {.opts = default_opts};
    enum wr_status st = WR_OK;

    if (srv->listens.cnt == 0) {
        if (wr_addr_parse_ip(WR_STR("0.0.0.0"), LISTEN_PORT, &l.opts.addr) != WR_OK) {
            return WR_ECONFIG;
        }
        st = push_listen(ss->cf, &srv->listens, &l, LISTEN_PORT);
    }
    for (uint32_t i = 0; i < srv->listens.cnt && st == WR_OK; i++) {
        st = add_listen(ss, &srv->listens.at[i], srv);
    }
    return st;
}

/* The wildcard of the address's family and port; there is one at most. */
static struct site *find_any(const struct sites *ss, const struct wr_addr *a)
{
    struct site *w = a->u.sa.sa_family == AF_UNIX ? NULL : ss->any[wr_addr_port(a) % ANY_BUCKETS];

    while (w && (w->l.opts.addr.u.sa.sa_family != a->u.sa.sa_family ||
                 wr_addr_port(&w->l.opts.addr) != wr_addr_port(a))) {
        w = w->next_any;
    }
    return w;
}

/* Which addresses a wildcard of their port serves. */
static void find_covers(struct sites *ss)
{
    for (struct site *t = ss->first; t; t = t->next) {
        struct site *w = t->l.is_bind ? NULL : find_any(ss, &t->l.opts.addr);

        if (w && w != t) {
            t->cover = w;
            *w->twin_tail = t;
            w->twin_tail = &t->next_twin;
            w->virtual_cnt++;
        }
        ss->bound_cnt += t->cover == NULL;
    }
}

/* ---- ports: names --------------------------------------------------------------------------- */

static void put_exact(struct wr_port *p, struct wr_str name, struct wr_server *v, bool *ret_clash)
{
    struct wr_server *old = wr_map_get(&p->exact, name);

    if (old) {
        *ret_clash = *ret_clash || old != v;
        return;
    }
    (void)wr_map_put(&p->exact, name, v); /* is new */
}

static void put_wildcard(struct wr_trie *t, struct wr_str key, struct wr_server *v, bool *ret_clash)
{
    struct wr_server *old = wr_trie_put(t, key, v);

    *ret_clash = *ret_clash || (old && old != v);
}

/* A '*' is the first or the last label, or nothing; no label is empty, but before a first dot. */
static bool is_wild_inside(struct wr_str s)
{
    if (wr_str_has_prefix(s, WR_STR("*."))) {
        s = wr_str_sub(s, 1, s.len);
    } else if (wr_str_has_suffix(s, WR_STR(".*"))) {
        s.len--;
    }
    return wr_str_find(s, '*') < s.len || wr_str_find_str(s, WR_STR("..")) < s.len;
}

static void add_name(struct wr_conf *cf, struct wr_port *p, const struct wr_core_name *n,
                     struct wr_server *v)
{
    struct wr_str s = n->text;
    bool is_clash = false;

    if (n->re) {
        p->regexes[p->regex_cnt++] = (struct wr_name_regex){n->re, v, n->text};
        return;
    }
    if (s.len > 1 && s.ptr[0] == '*') {
        put_wildcard(&p->leading, wr_str_sub(s, 1, s.len), v, &is_clash);
    } else if (s.len > 1 && s.ptr[0] == '.') {
        put_wildcard(&p->leading, s, v, &is_clash);
        put_exact(p, wr_str_sub(s, 1, s.len), v, &is_clash);
    } else if (s.len > 2 && wr_str_has_suffix(s, WR_STR(".*"))) {
        put_wildcard(&p->trailing, wr_str_sub(s, 0, s.len - 1), v, &is_clash);
    } else {
        put_exact(p, s, v, &is_clash);
    }
    if (is_clash) {
        wr_conf_warn(cf, NULL, "conflicting server name \"%.*s\" on %.*s, ignored", WR_STR_ARG(s),
                     WR_STR_ARG(p->text));
    }
}

static void fill_h1_opts(struct wr_h1_opts *o, const struct wr_core_srv *srv,
                         const struct wr_core_loc *lc)
{
    uint64_t large = (uint64_t)srv->large_header_buffers.num * srv->large_header_buffers.size;

    *o = (struct wr_h1_opts){
        .header_timeout_ms = srv->header_timeout_ms,
        .header_buffer_size = srv->header_buffer_size,
        .large_cnt = srv->large_header_buffers.num,
        .large_size = srv->large_header_buffers.size,
        .send_timeout_ms = lc->send_timeout_ms,
        .lingering_time_ms = lc->lingering_time_ms,
        .lingering_timeout_ms = lc->lingering_timeout_ms,
        .lingering = (uint8_t)lc->lingering,
        .reset_timedout = lc->reset_timedout,
        .parse_options = (srv->ignore_invalid_headers ? WR_H1_DROP_INVALID_FIELDS : 0u) |
                         (srv->underscores_in_headers ? WR_H1_UNDERSCORES : 0u),
        /* The request decides by its location and says want_close. */
        .keepalive_requests = UINT32_MAX,
        .keepalive_time_ms = UINT32_MAX,
        .first_timeout_ms = srv->header_timeout_ms,
        .keepalive_min_ms = lc->keepalive_min_ms,
        .arena_max = (uint32_t)(REQUEST_MEMORY + 2 * WR_MIN(large, (uint64_t)BUFFERS_TOTAL_MAX)),
    };
}

static enum wr_status fill_port(struct wr_conf *cf, struct wr_port *p, struct site *t)
{
    size_t names = 0, regexes = 0;

    p->opts = t->l.opts;
    p->text = t->l.text;
    p->node = t->l.node;
    p->is_tls = p->any_tls = t->l.is_tls;
    p->is_proxy = p->any_proxy = t->l.is_proxy;
    p->deflt = t->deflt->server;
    wr_map_init_arena(&p->exact, WR_MAP_CASE, cf->arena);
    wr_map_init_arena(&p->by_local, WR_MAP_CASE, cf->arena);
    wr_trie_init(&p->leading, cf->arena, WR_TRIE_REVERSE);
    wr_trie_init(&p->trailing, cf->arena, WR_TRIE_DEFAULT);
    for (struct site_server *v = t->first; v; v = v->next) {
        for (uint32_t i = 0; i < v->srv->names.cnt; i++) {
            regexes += v->srv->names.at[i].re != NULL;
        }
        names += v->srv->names.cnt;
    }
    wr_map_reserve(&p->exact, names - regexes);
    p->regexes = wr_arena_zalloc(cf->arena, regexes * sizeof(*p->regexes));
    if (!p->regexes) {
        return wr_conf_nomem(cf);
    }
    for (struct site_server *v = t->first; v; v = v->next) {
        for (uint32_t i = 0; i < v->srv->names.cnt; i++) {
            const struct wr_core_name *n = &v->srv->names.at[i];

            /* An address of one server looks at no name, so nginx lets it pass there. */
            if (!n->re && t->first != t->last && is_wild_inside(n->text)) {
                (void)wr_conf_err(cf, NULL, "invalid server name or wildcard \"%.*s\" on %.*s",
                                  WR_STR_ARG(n->text), WR_STR_ARG(p->text));
                continue;
            }
            add_name(cf, p, n, v->srv->server);
        }
    }
    fill_h1_opts(&p->h1, t->deflt,
                 wr_scope_get(t->deflt->server->scope, &wr_core_conf, WR_KIND_LOC));
    t->port = p;
    return WR_OK;
}

static struct wr_str local_key(const struct wr_addr *a)
{
    const uint8_t *p = NULL;
    size_t n = wr_addr_bytes(a, &p);

    return wr_str((const char *)p, n);
}

static enum wr_status make_virtuals(struct wr_conf *cf, struct site *w)
{
    struct wr_port *p = w->port;
    enum wr_status st = WR_OK;

    if (w->virtual_cnt == 0) {
        return WR_OK;
    }
    p->is_wildcard_of = true;
    p->virtuals = wr_arena_zalloc(cf->arena, w->virtual_cnt * sizeof(*p->virtuals));
    if (!p->virtuals) {
        return wr_conf_nomem(cf);
    }
    for (struct site *t = w->covered; t && st == WR_OK; t = t->next_twin) {
        struct wr_port *v = &p->virtuals[p->virtual_cnt++];

        st = fill_port(cf, v, t);
        p->any_tls = p->any_tls || v->is_tls;
        p->any_proxy = p->any_proxy || v->is_proxy;
        (void)wr_map_put(&p->by_local, local_key(&v->opts.addr), v); /* addresses differ */
    }
    return st;
}

static enum wr_status make_ports(struct wr_conf *cf, struct sites *ss, struct wr_http *h)
{
    enum wr_status st = WR_OK;

    h->ports = wr_arena_zalloc(cf->arena, (ss->bound_cnt + 1) * sizeof(*h->ports));
    if (!h->ports) {
        return wr_conf_nomem(cf);
    }
    for (struct site *t = ss->first; t && st == WR_OK; t = t->next) {
        if (!t->cover) {
            st = fill_port(cf, &h->ports[h->port_cnt++], t);
        }
    }
    for (struct site *t = ss->first; t && st == WR_OK; t = t->next) {
        if (!t->cover) {
            st = make_virtuals(cf, t);
        }
    }
    return st;
}

enum wr_status wr_core_build_ports(struct wr_conf *cf, struct wr_http *h)
{
    struct sites ss = {.cf = cf};
    enum wr_status st = WR_OK;

    wr_map_init(&ss.by_text, WR_MAP_CASE);
    for (size_t i = 0; i < h->server_cnt && st == WR_OK; i++) {
        st = add_server(&ss, wr_scope_get(h->servers[i].scope, &wr_core_conf, WR_KIND_SRV));
    }
    if (st == WR_OK) {
        find_covers(&ss);
        st = make_ports(cf, &ss, h);
    }
    wr_map_fini(&ss.by_text);
    return st;
}

/* ---- look-ups (server.h) -------------------------------------------------------------------- */

const struct wr_port *wr_port_of_local(const struct wr_port *p, const struct wr_addr *local)
{
    const struct wr_port *v = NULL;

    if (p->is_wildcard_of && local->len != 0) {
        v = wr_map_get(&p->by_local, local_key(local));
    }
    return v ? v : p;
}

/* "www.*" wants something behind the dot, "*.org" something in front of it. */
static bool is_longer(void *value, void *data, size_t matched, struct wr_str key)
{
    (void)value;
    (void)data;
    return matched < key.len;
}

struct wr_server *wr_port_find(const struct wr_port *p, struct wr_str host, struct wr_req *r,
                               struct wr_str *ret_name)
{
    struct wr_server *v = p->exact.cnt > 0 ? wr_map_get(&p->exact, host) : NULL;

    *ret_name = host;
    if (!v && host.len > 0 && p->leading.cnt > 0) {
        v = wr_trie_longest(&p->leading, host, is_longer, NULL, NULL);
    }
    if (!v && host.len > 0 && p->trailing.cnt > 0) {
        v = wr_trie_longest(&p->trailing, host, is_longer, NULL, NULL);
    }
    for (size_t i = 0; !v && host.len > 0 && i < p->regex_cnt; i++) {
        if (wr_regex_match(p->regexes[i].re, host, r) == WR_OK) {
            v = p->regexes[i].server;
            *ret_name = p->regexes[i].text;
        }
    }
    if (!v) {
        v = p->deflt;
        *ret_name = v->name;
    }
    return v;
}
