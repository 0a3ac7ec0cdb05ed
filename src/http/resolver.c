/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver.c: see resolver.h. Control thread, while a configuration is built. The servers of
 * `system` come through the source of the configuration, as all files do: the worker sees what the
 * supervisor read.
 */
#include "http/resolver.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "conf/source.h"
#include "conf/types.h"
#include "event/loop.h"

#define DNS_PORT           53
#define SYSTEM_FILE        "/etc/resolv.conf"
#define SYSTEM_FILE_MAX    ((size_t)1 << 20)
#define SYSTEM_SERVERS_MAX 3
#define NAME_MAX_BYTES     4096

static void free_resolver(struct wr_fixture *f)
{
    struct wr_resolver *r = wr_container_of(f, struct wr_resolver, fixture);

    wr_dns_unref(r->dns);
    wr_mem_free(r);
}

static const struct wr_fixture_ops resolver_ops = {.kind = "resolver", .free = free_resolver};

static enum wr_status add_server(struct wr_conf *cf, const struct wr_node *node,
                                 struct wr_dns_conf *c, const struct wr_addr *a)
{
    if (c->server_cnt == WR_DNS_SERVERS_MAX) {
        return wr_conf_err(cf, node, "too many name servers, the most are %d", WR_DNS_SERVERS_MAX);
    }
    c->servers[c->server_cnt++] = *a;
    return WR_OK;
}

/*
 * Addresses of the "nameserver ADDRESS" lines of resolv.conf(5), at most three as the system's own
 * reader; one with a zone ("fe80::1%eth0") is left out. Value: how many.
 */
static size_t read_nameservers(struct wr_str text, struct wr_addr ret[SYSTEM_SERVERS_MAX])
{
    struct wr_str line, word = WR_STR("nameserver");
    size_t cnt = 0;

    while (cnt < SYSTEM_SERVERS_MAX && wr_str_split(&text, '\n', &line)) {
        if (!wr_str_has_prefix(line, word) || line.len == word.len ||
            (line.ptr[word.len] != ' ' && line.ptr[word.len] != '\t')) {
            continue;
        }
        line = wr_str_trim(wr_str_sub(line, word.len, line.len));
        line = wr_str_sub(line, 0, WR_MIN(wr_str_find(line, ' '), wr_str_find(line, '\t')));
        cnt += wr_addr_parse_ip(line, DNS_PORT, &ret[cnt]) == WR_OK;
    }
    return cnt;
}

/* Without a server in the file the machine itself is asked. */
static enum wr_status add_system(struct wr_conf *cf, const struct wr_node *node,
                                 struct wr_dns_conf *c)
{
    const struct wr_conf_source *src = cf->opts->source;
    struct wr_str text = WR_STR_NULL;
    struct wr_conf_fault fault = {0};
    struct wr_addr at[SYSTEM_SERVERS_MAX];
    enum wr_status st;
    size_t cnt = 0, i;

    st = src->read(src, cf->arena, WR_STR(SYSTEM_FILE), SYSTEM_FILE_MAX, &text, &fault);
    if (st == WR_ENOMEM) {
        return wr_conf_nomem(cf);
    }
    if (st == WR_OK) {
        cnt = read_nameservers(text, at);
    }
    if (cnt == 0 && wr_addr_parse_ip(WR_STR("127.0.0.1"), DNS_PORT, &at[cnt++]) != WR_OK) {
        return WR_ECONFIG;
    }
    for (i = 0; i < cnt; i++) {
        if (add_server(cf, node, c, &at[i]) != WR_OK) {
            return WR_ECONFIG;
        }
    }
    return WR_OK;
}

static enum wr_status add_named(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                struct wr_dns_conf *c)
{
    const struct wr_conf_source *src = cf->opts->source;
    struct wr_str text = wr_node_arg(node, i);
    struct wr_hostport hp;
    const char *err = NULL;
    struct wr_addr one, *at = &one;
    uint16_t port;
    size_t cnt = 1, k;

    if (wr_hostport_parse(text, &hp, &err) != WR_OK || hp.rest.len != 0 || hp.is_unix) {
        return wr_conf_err_arg(cf, node, i, "%s in resolver \"%.*s\"",
                               err != NULL ? err : "invalid host", WR_STR_ARG(text));
    }
    port = hp.has_port ? hp.port : DNS_PORT;
    if (wr_addr_parse_ip(hp.host, port, &one) != WR_OK &&
        (src->resolve == NULL || src->resolve(src, cf->arena, hp.host, &at, &cnt) != WR_OK)) {
        return wr_conf_err_arg(cf, node, i, "host not found in resolver \"%.*s\"",
                               WR_STR_ARG(text));
    }
    for (k = 0; k < cnt; k++) {
        wr_addr_set_port(&at[k], port);
        if (add_server(cf, node, c, &at[k]) != WR_OK) {
            return WR_ECONFIG;
        }
    }
    return WR_OK;
}

static enum wr_status invalid(struct wr_conf *cf, const struct wr_node *node, uint32_t i)
{
    return wr_conf_err_arg(cf, node, i, "invalid parameter: %.*s",
                           WR_STR_ARG(wr_node_arg(node, i)));
}

static enum wr_status set_on_off(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                 struct wr_str v, bool *ret)
{
    if (!wr_str_eq(v, WR_STR("on")) && !wr_str_eq(v, WR_STR("off"))) {
        return invalid(cf, node, i);
    }
    *ret = v.len == 2;
    return WR_OK;
}

static enum wr_status read_arg(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                               struct wr_dns_conf *c)
{
    struct wr_str v;
    uint64_t sec;

    if (wr_arg_has_key(node, i, "valid", &v)) {
        if (wr_num_parse_sec(v, &sec) != WR_OK || sec > UINT32_MAX) {
            return invalid(cf, node, i);
        }
        c->valid_ms = sec * 1000;
        return WR_OK;
    }
    if (wr_arg_has_key(node, i, "ipv4", &v)) {
        return set_on_off(cf, node, i, v, &c->ipv4);
    }
    if (wr_arg_has_key(node, i, "ipv6", &v)) {
        return set_on_off(cf, node, i, v, &c->ipv6);
    }
    if (wr_arg_has_key(node, i, "status_zone", &v)) {
        return v.len != 0 ? WR_OK : invalid(cf, node, i);
    }
    if (wr_str_eq(wr_node_arg(node, i), WR_STR("system"))) {
        return add_system(cf, node, c);
    }
    return add_named(cf, node, i, c);
}

/* The fixture's name: all that must be equal. */
static void write_name(const struct wr_dns_conf *c, struct wr_strbuf *b)
{
    char text[WR_ADDR_TEXT_MAX];
    size_t i;

    for (i = 0; i < c->server_cnt; i++) {
        wr_strbuf_add(b, text, wr_addr_write(&c->servers[i], text));
        wr_strbuf_add_char(b, ' ');
    }
    wr_strbuf_printf(b, "valid=%llu%s%s", (unsigned long long)c->valid_ms, c->ipv4 ? " 4" : "",
                     c->ipv6 ? " 6" : "");
}

static enum wr_status make_resolver(struct wr_conf *cf, const struct wr_dns_conf *c,
                                    struct wr_resolver **ret)
{
    char room[NAME_MAX_BYTES];
    struct wr_strbuf b;
    struct wr_fixture *f;
    struct wr_resolver *r;
    enum wr_status st;

    if (cf->opts->fixtures == NULL || wr_loop_get() == NULL) {
        *ret = wr_arena_zalloc(cf->arena, sizeof(**ret));
        return *ret != NULL ? WR_OK : WR_ENOMEM;
    }
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    write_name(c, &b);
    f = wr_fixtures_get(cf->opts->fixtures, &resolver_ops, wr_strbuf_str(&b), 0);
    if (f == NULL) {
        r = wr_mem_alloc(sizeof(*r));
        st = wr_dns_new(c, &r->dns);
        if (st == WR_OK) {
            st = wr_fixtures_add(cf->opts->fixtures, &r->fixture, &resolver_ops, wr_strbuf_str(&b),
                                 0);
        }
        if (st != WR_OK) {
            wr_dns_unref(r->dns);
            wr_mem_free(r);
            return WR_ENOMEM;
        }
        f = &r->fixture;
    }
    *ret = wr_container_of(f, struct wr_resolver, fixture);
    return wr_gen_use(cf->gen, f);
}

enum wr_status wr_set_resolver(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_resolver **field = (struct wr_resolver **)(void *)((char *)conf + dir->offset);
    struct wr_dns_conf *c = wr_arena_zalloc(cf->arena, sizeof(*c));
    uint32_t i;

    if (c == NULL) {
        return wr_conf_nomem(cf);
    }
    c->ipv4 = c->ipv6 = true;
    for (i = 0; i < node->arg_cnt; i++) {
        enum wr_status st = read_arg(cf, node, i, c);

        if (st != WR_OK) {
            return st;
        }
    }
    if (c->server_cnt == 0) {
        return wr_conf_err(cf, node, "no name servers defined");
    }
    if (!c->ipv4 && !c->ipv6) {
        return wr_conf_err(cf, node, "\"ipv4\" and \"ipv6\" cannot both be \"off\"");
    }
    if (make_resolver(cf, c, field) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    return WR_OK;
}
