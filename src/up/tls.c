/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.c: see up/tls.h. A context is made once for each set of values, however many locations have
 * them. The identity is a hash of contents: bytes of files, not their names; so it is the same
 * after a reload that changed nothing, and another one when a file was exchanged. It is keyed for
 * the process: names come from clients.
 */
#include "up/tls.h"

#include <string.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "conf/gen.h"
#include "http/ssl_lazy.h"
#include "http/var.h"

#define ERROR_ROOM 512
#define NAME_MAX_  255u /* of a host, RFC 1035 */

/* ---- contexts -------------------------------------------------------------------------------- */

struct making {
    struct wr_conf *cf;
    const struct wr_up_tls_conf *c;
    struct wr_tls_opts o;
    struct wr_tls_pair pair;
};

static enum wr_status read_pair(struct making *m, const char *prefix)
{
    enum wr_status st;

    if (m->c->cert.path.len == 0) {
        return WR_OK;
    }
    if (m->c->key.path.len == 0) {
        return wr_conf_err(m->cf, m->c->cert.node,
                           "no \"%s_ssl_certificate_key\" is defined for certificate \"%.*s\"",
                           prefix, WR_STR_ARG(wr_node_arg(m->c->cert.node, 0)));
    }
    if (m->c->cert.tmpl || m->c->key.tmpl) {
        return WR_OK; /* read for each connection */
    }
    m->o.pairs = &m->pair;
    m->o.pair_cnt = 1;
    st = wr_ssl_read(m->cf, &m->c->cert, &m->pair.cert);
    return st == WR_OK ? wr_ssl_read(m->cf, &m->c->key, &m->pair.key) : st;
}

static enum wr_status read_all(struct making *m, const char *prefix)
{
    const struct wr_up_tls_conf *c = m->c;
    enum wr_status st = wr_ssl_read_passwords(m->cf, &c->password_file, &m->o);

    if (st == WR_OK) {
        st = read_pair(m, prefix);
    }
    if (st == WR_OK && c->verify) {
        if (c->trusted.path.len == 0) {
            return wr_conf_err(m->cf, NULL, "no %s_ssl_trusted_certificate for %s_ssl_verify",
                               prefix, prefix);
        }
        st = wr_ssl_read(m->cf, &c->trusted, &m->o.trusted);
        if (st == WR_OK) {
            st = wr_ssl_read(m->cf, &c->crl, &m->o.crl);
        }
    }
    m->o.side = WR_TLS_CLIENT;
    m->o.protocols = c->protocols;
    m->o.ciphers = c->ciphers.text;
    m->o.verify_depth = c->verify_depth;
    m->o.record_max = 16384;
    m->o.key_log = c->key_log.path;
    m->o.cert_cache = c->cert_cache;
    return st == WR_OK ? wr_ssl_take_commands(m->cf, &c->commands, &m->o) : st;
}

static void add_bytes(struct wr_strbuf *b, struct wr_str s)
{
    uint64_t n = s.len;

    wr_strbuf_add(b, (const char *)&n, sizeof(n));
    wr_strbuf_add_str(b, s);
}

/* Before secrets are wiped. */
static enum wr_status make_identity(const struct making *m, uint64_t *ret)
{
    const struct wr_up_tls_conf *c = m->c;
    uint64_t hashes[] = {
        wr_hash_sip(m->pair.cert.bytes.ptr, m->pair.cert.bytes.len),
        wr_hash_sip(m->pair.key.bytes.ptr, m->pair.key.bytes.len),
        wr_hash_sip(m->o.trusted.bytes.ptr, m->o.trusted.bytes.len),
        wr_hash_sip(m->o.crl.bytes.ptr, m->o.crl.bytes.len),
        c->protocols,
        c->verify ? c->verify_depth + 1u : 0,
        c->server_name,
    };
    struct wr_strbuf b;

    wr_strbuf_init_arena(&b, m->cf->arena, SIZE_MAX);
    wr_strbuf_add(&b, (const char *)hashes, sizeof(hashes));
    add_bytes(&b, c->ciphers.text);
    for (uint32_t i = 0; i < c->commands.cnt; i++) {
        add_bytes(&b, c->commands.at[i].cmd.name);
        add_bytes(&b, c->commands.at[i].cmd.value);
    }
    *ret = wr_hash_sip(wr_strbuf_str(&b).ptr, wr_strbuf_str(&b).len);
    return b.status == WR_OK ? WR_OK : wr_conf_nomem(m->cf);
}

static const struct wr_node *blame(const void *data, enum wr_tls_part part, uint32_t no)
{
    const struct wr_up_tls_conf *c = data;

    switch (part) {
    case WR_TLS_PART_CERT:
        return c->cert.node;
    case WR_TLS_PART_KEY:
        return c->key.node;
    case WR_TLS_PART_CIPHERS:
        return c->ciphers.node;
    case WR_TLS_PART_TRUSTED:
        return c->trusted.node;
    case WR_TLS_PART_CRL:
        return c->crl.node;
    case WR_TLS_PART_COMMAND:
        return c->commands.at[no].node;
    case WR_TLS_PART_CURVES:
    case WR_TLS_PART_DHPARAM:
    case WR_TLS_PART_CLIENT_CA:
    case WR_TLS_PART_STAPLE:
    case WR_TLS_PART_TICKET_KEY:
    case WR_TLS_PART_OTHER:
        return NULL;
    }
    WR_UNREACHABLE();
}

static void end_map(void *data)
{
    wr_map_fini(data);
}

static enum wr_status make_new(struct wr_conf *cf, const struct wr_up_tls_conf *c,
                               const char *prefix, struct wr_up_tls **ret)
{
    struct making m = {.cf = cf, .c = c};
    struct wr_up_tls *t = wr_arena_zalloc(cf->arena, sizeof(*t));
    enum wr_status st;

    if (!t) {
        return wr_conf_nomem(cf);
    }
    st = read_all(&m, prefix);
    if (st == WR_OK) {
        st = make_identity(&m, &t->identity);
    }
    if (st == WR_OK) {
        st = wr_ssl_make_ctx(cf, &m.o, blame, c, &t->ctx);
    }
    wr_tls_wipe(m.pair.key.bytes);
    for (uint32_t i = 0; i < m.o.password_cnt; i++) {
        wr_tls_wipe(m.o.passwords[i]);
    }
    if (st == WR_OK) {
        *ret = t;
    }
    return st;
}

enum wr_status wr_up_tls_make(struct wr_conf *cf, const struct wr_up_tls_conf *c,
                              struct wr_up_tls_made *made, const char *prefix,
                              const struct wr_up_tls **ret)
{
    struct wr_str key = wr_str((const char *)c, sizeof(*c));
    struct wr_up_tls *t;
    enum wr_status st;

    if (!made->is_init) {
        made->is_init = true;
        wr_map_init(&made->map, WR_MAP_CASE);
        if (wr_arena_on_fini(cf->arena, end_map, &made->map) != WR_OK) {
            return wr_conf_nomem(cf);
        }
    }
    t = wr_map_get(&made->map, key);
    if (!t) {
        st = make_new(cf, c, prefix, &t);
        if (st != WR_OK) {
            return st;
        }
        (void)wr_map_put(&made->map, key, t); /* it was not there */
    }
    *ret = t;
    return WR_OK;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Without a port. */
static struct wr_str host_of(struct wr_str s)
{
    size_t n;

    if (s.len > 0 && s.ptr[0] == '[') {
        return wr_str_sub(s, 0, WR_MIN(wr_str_find(s, ']') + 1, s.len));
    }
    n = wr_str_find(s, ':');
    return wr_str_sub(s, 0, n);
}

static uint64_t mix(const struct wr_up_tls *t, struct wr_str name, uint64_t other)
{
    struct {
        uint64_t tls, other, len;
        char name[NAME_MAX_ + 1];
    } all = {.tls = t->identity, .other = other, .len = name.len};

    memcpy(all.name, name.ptr, name.len);
    return wr_hash_sip(&all, offsetof(__typeof__(all), name) + name.len) | 1; /* never as plain */
}

/* Certificate and key with variables: their names, which count for the identity. */
static enum wr_status name_pair(struct wr_req *r, const struct wr_up_tls_conf *c,
                                struct wr_tls_target *to, uint64_t *identity)
{
    struct wr_strbuf cert, key, err;
    char room[ERROR_ROOM];
    enum wr_status st;

    wr_strbuf_init_arena(&cert, r->arena, WR_VAR_TEXT_MAX * 2);
    wr_strbuf_init_arena(&key, r->arena, WR_VAR_TEXT_MAX * 2);
    wr_strbuf_init_fixed(&err, room, sizeof(room));
    st = wr_ssl_eval_name(r, &c->cert, &cert, &err);
    if (st == WR_EOF) {
        return WR_OK; /* an empty name: no certificate */
    }
    if (st == WR_OK) {
        st = wr_ssl_eval_name(r, &c->key, &key, &err);
    }
    if (st == WR_EOF || st == WR_EPROTO) {
        wr_log(&r->log, WR_LOG_ERROR, "%.*s",
               WR_STR_ARG(st == WR_EOF ? WR_STR("the name of the certificate key is empty")
                                       : wr_strbuf_str(&err)));
        return WR_ELIMIT;
    }
    if (st != WR_OK || wr_strbuf_cstr(&cert)[0] == '\0' || wr_strbuf_cstr(&key)[0] == '\0') {
        return WR_ENOMEM;
    }
    to->cert = wr_strbuf_str(&cert);
    to->key = wr_strbuf_str(&key);
    *identity ^=
        wr_hash_sip(to->cert.ptr, to->cert.len) * 3 + wr_hash_sip(to->key.ptr, to->key.len);
    return WR_OK;
}

enum wr_status wr_up_tls_start(struct wr_req *r, const struct wr_up_tls_conf *c,
                               const struct wr_up_tls *t, struct wr_str host, uint64_t *identity,
                               const struct wr_tls_target **ret)
{
    struct wr_tls_target *to = wr_arena_zalloc(r->arena, sizeof(*to));
    struct wr_addr a;
    enum wr_status st;

    if (!to) {
        return WR_ENOMEM;
    }
    if (c->name) {
        st = wr_template_eval(r, c->name, &host);
        if (st != WR_OK) {
            return st;
        }
    }
    host = host_of(host);
    if (host.len > NAME_MAX_) {
        wr_log(&r->log, WR_LOG_ERROR, "SSL name of the upstream is longer than %u bytes",
               NAME_MAX_);
        return WR_ELIMIT;
    }
    st = wr_arena_dup(r->arena, host, &to->name);
    if (st != WR_OK) {
        return st;
    }
    to->ctx = t->ctx;
    to->verify = c->verify;
    to->keeps_session = c->session_reuse;
    /* RFC 6066 3: no literal addresses. */
    if (c->server_name && wr_addr_parse_ip(to->name, 0, &a) != WR_OK) {
        to->sni = to->name;
    }
    if (c->cert.tmpl || c->key.tmpl) {
        st = name_pair(r, c, to, identity);
        if (st != WR_OK) {
            return st;
        }
    }
    *identity = mix(t, to->name, *identity);
    *ret = to;
    return WR_OK;
}
