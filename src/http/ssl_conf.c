/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssl_conf.c: the `ssl_*` directives. Setters keep words and paths; when all servers and ports are
 * known (done), each server that has certificates, or refuses handshakes, gets a context. Servers
 * that say nothing of their own share their http{}'s struct, and so its context.
 *
 * Files are read through the configuration's source: by the supervisor, which may be root, and by
 * the worker from the bundle. Copies of keys are wiped once the context is made. Zones of
 * ssl_session_cache are fixtures: sessions survive a reload. Messages are nginx's, with the place
 * of the directive where nginx tells none. Control thread only.
 */
#include "http/ssl_conf.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/gen.h"
#include "http/core_conf.h"
#include "http/ssl_ocsp.h"
#include "http/zone.h"

#define FILE_MAX    ((size_t)16 << 20)
#define PASSWORDS   1024u /* lines of a password file */
#define ZONE_MIN    (32u << 10)
#define ZONE_MAX    ((uint64_t)4 << 30)
#define RECORD_MAX  16384u
#define BUILTIN_MAX (1u << 30)

/* ---- setters --------------------------------------------------------------------------------- */

static enum wr_status set_stapling(struct wr_conf *cf, const struct wr_dir *dir,
                                   const struct wr_node *node, void *conf)
{
    ((struct wr_ssl_srv *)conf)->stapling_node = node;
    return wr_set_flag(cf, dir, node, conf);
}

static const struct wr_word ocsp_words[] = {
    {"off",  WR_SSL_OCSP_OFF },
    {"on",   WR_SSL_OCSP_ON  },
    {"leaf", WR_SSL_OCSP_LEAF},
    WR_WORDS_END
};

static enum wr_status set_ocsp(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    ((struct wr_ssl_srv *)conf)->ocsp_node = node;
    return wr_set_enum(cf, dir, node, conf);
}

/* Of nginx before 1.25.1: TLS on all addresses whose default server says so. */
static enum wr_status set_on(struct wr_conf *cf, const struct wr_dir *dir,
                             const struct wr_node *node, void *conf)
{
    if (node->file) {
        wr_conf_warn(cf, node,
                     "the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive "
                     "instead");
    }
    ((struct wr_ssl_srv *)conf)->on_node = node;
    return wr_set_flag(cf, dir, node, conf);
}

static enum wr_status bad_cache(struct wr_conf *cf, const struct wr_node *n, uint32_t i)
{
    return wr_conf_err_arg(cf, n, i, "invalid session cache \"%.*s\"",
                           WR_STR_ARG(wr_node_arg(n, i)));
}

static const char zone_kind[] = "ssl_session_cache";

/* "NAME:SIZE" of shared:NAME:SIZE. */
static enum wr_status read_zone(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                struct wr_str s, struct wr_ssl_sessions *ret)
{
    size_t colon = wr_str_find(s, ':');
    uint64_t size = 0;

    if (colon == 0 || colon == s.len ||
        wr_num_parse_size(wr_str_sub(s, colon + 1, s.len), ZONE_MAX, &size) != WR_OK) {
        return bad_cache(cf, n, i);
    }
    if (size < ZONE_MIN) {
        return wr_conf_err_arg(cf, n, i, "session cache \"%.*s\" is too small",
                               WR_STR_ARG(wr_node_arg(n, i)));
    }
    ret->zone = wr_str_sub(s, 0, colon);
    ret->zone_size = size;
    return wr_zone_claim(cf, n, ret->zone, zone_kind);
}

static enum wr_status set_sessions(struct wr_conf *cf, const struct wr_dir *dir,
                                   const struct wr_node *node, void *conf)
{
    struct wr_ssl_sessions ss = {.mode = WR_TLS_SESSIONS_KEPT, .node = node};
    enum wr_status st = WR_OK;

    for (uint32_t i = 0; i < node->arg_cnt && st == WR_OK; i++) {
        struct wr_str s = wr_node_arg(node, i);
        uint64_t size = 0;

        if (wr_str_eq_z(s, "off")) {
            ss.mode = WR_TLS_SESSIONS_OFF;
        } else if (wr_str_eq_z(s, "none")) {
            ss.mode = WR_TLS_SESSIONS_NONE;
        } else if (wr_str_eq_z(s, "builtin")) {
            ss.is_builtin = true;
        } else if (wr_str_has_prefix(s, WR_STR("builtin:"))) {
            ss.is_builtin = true;
            if (wr_num_parse_u64(wr_str_sub(s, 8, s.len), BUILTIN_MAX, &size) != WR_OK) {
                st = bad_cache(cf, node, i);
            }
            ss.builtin_size = (uint32_t)size;
        } else if (wr_str_has_prefix(s, WR_STR("shared:"))) {
            st = read_zone(cf, node, i, wr_str_sub(s, 7, s.len), &ss);
        } else {
            st = bad_cache(cf, node, i);
        }
    }
    if (st == WR_OK) {
        *(struct wr_ssl_sessions *)(void *)((char *)conf + dir->offset) = ss;
    }
    return st;
}

/* ---- zones of sessions ----------------------------------------------------------------------- */

struct zone {
    struct wr_fixture fixture; /* first */
    struct wr_tls_cache *cache;
};

/* While a configuration is built: each name has one size. */
struct ssl_main {
    struct wr_conf_head head;

    struct ssl_zone_seen {
        struct wr_str name;
        const char *use; /* the directive */
        uint64_t size;
        struct ssl_zone_seen *next;
    } * zones;
};

static void free_zone(struct wr_fixture *f)
{
    struct zone *z = wr_container_of(f, struct zone, fixture);

    wr_tls_cache_unref(z->cache);
    wr_mem_free(z);
}

static const struct wr_fixture_ops zone_ops = {.kind = "ssl_session_cache", .free = free_zone};
static const struct wr_fixture_ops ocsp_ops = {.kind = "ssl_ocsp_cache", .free = free_zone};

static enum wr_status check_zone(struct wr_conf *cf, const struct wr_ssl_sessions *ss,
                                 const char *use)
{
    struct ssl_main *m = wr_scope_get(cf->gen->root, &wr_ssl_conf, WR_KIND_MAIN);
    struct ssl_zone_seen *z = m->zones;

    while (z && !wr_str_eq(z->name, ss->zone)) {
        z = z->next;
    }
    if (z && strcmp(z->use, use) != 0) {
        return wr_conf_err(cf, ss->node,
                           "the shared memory zone \"%.*s\" is already declared for a different "
                           "use",
                           WR_STR_ARG(ss->zone));
    }
    if (z && z->size != ss->zone_size) {
        return wr_conf_err(cf, ss->node,
                           "the size %llu of shared memory zone \"%.*s\" conflicts with already "
                           "declared size %llu",
                           (unsigned long long)ss->zone_size, WR_STR_ARG(ss->zone),
                           (unsigned long long)z->size);
    }
    if (!z) {
        z = wr_arena_zalloc(cf->arena, sizeof(*z));
        if (!z) {
            return wr_conf_nomem(cf);
        }
        *z = (struct ssl_zone_seen){
            .name = ss->zone, .use = use, .size = ss->zone_size, .next = m->zones};
        m->zones = z;
    }
    return WR_OK;
}

/* The cache of the zone, this generation's and the ones' before it. */
static enum wr_status find_zone(struct wr_conf *cf, const struct wr_ssl_sessions *ss,
                                const char *use, struct wr_tls_cache **ret)
{
    const struct wr_fixture_ops *ops = strcmp(use, "ssl_ocsp_cache") == 0 ? &ocsp_ops : &zone_ops;
    struct wr_fixtures *all = cf->opts->fixtures;
    struct wr_fixture *f;
    enum wr_status st = check_zone(cf, ss, use);

    if (st != WR_OK || !all) {
        return st; /* a dry run keeps nothing */
    }
    f = wr_fixtures_get(all, ops, ss->zone, ss->zone_size);
    if (!f) {
        struct zone *z = wr_mem_alloc(sizeof(*z));

        z->cache = wr_tls_cache_new((size_t)ss->zone_size);
        if (!z->cache || wr_fixtures_add(all, &z->fixture, ops, ss->zone, ss->zone_size) != WR_OK) {
            free_zone(&z->fixture);
            return wr_conf_nomem(cf);
        }
        f = &z->fixture;
    }
    *ret = wr_container_of(f, struct zone, fixture)->cache;
    return wr_gen_use(cf->gen, f) == WR_OK ? WR_OK : wr_conf_nomem(cf);
}

/* ---- contexts -------------------------------------------------------------------------------- */

/* Everything that is read for one context. */
struct making {
    struct wr_conf *cf;
    const struct wr_ssl_srv *s;
    struct wr_tls_opts o;
    struct wr_tls_pair *pairs;
    uint32_t *cert_no; /* of each pair: its place in the lists of directives */
    struct wr_tls_lazy *lazy;
    struct wr_tls_file *ticket_keys;
};

/* Number i of the list: read now, or, with the client's name in a path, during handshakes. */
static enum wr_status take_pair(struct making *m, uint32_t i)
{
    const struct wr_ssl_path *cert = &m->s->certs.at[i], *key;
    struct wr_tls_pair *p;
    enum wr_status st;

    if (i >= m->s->keys.cnt) {
        return wr_conf_err(m->cf, cert->node,
                           "no \"ssl_certificate_key\" is defined for certificate \"%.*s\"",
                           WR_STR_ARG(wr_node_arg(cert->node, 0)));
    }
    key = &m->s->keys.at[i];
    if (cert->tmpl || key->tmpl) {
        m->lazy[m->o.lazy_cnt++] = (struct wr_tls_lazy){cert->path, key->path};
        return WR_OK;
    }
    m->cert_no[m->o.pair_cnt] = i;
    p = &m->pairs[m->o.pair_cnt++];
    st = wr_ssl_read(m->cf, cert, &p->cert);
    return st == WR_OK ? wr_ssl_read(m->cf, key, &p->key) : st;
}

static enum wr_status read_pairs(struct making *m)
{
    uint32_t cnt = m->s->certs.cnt;
    enum wr_status st = WR_OK;

    m->pairs = wr_arena_zalloc(m->cf->arena, cnt * sizeof(*m->pairs));
    m->lazy = wr_arena_zalloc(m->cf->arena, cnt * sizeof(*m->lazy));
    m->cert_no = wr_arena_zalloc(m->cf->arena, cnt * sizeof(*m->cert_no));
    if (!m->pairs || !m->lazy || !m->cert_no) {
        return wr_conf_nomem(m->cf);
    }
    m->o.pairs = m->pairs;
    m->o.lazy = m->lazy;
    for (uint32_t i = 0; i < cnt && st == WR_OK; i++) {
        st = take_pair(m, i);
    }
    return st;
}

static enum wr_status read_lists(struct making *m)
{
    const struct wr_ssl_srv *s = m->s;
    enum wr_status st = WR_OK;

    m->ticket_keys = wr_arena_zalloc(m->cf->arena, s->ticket_keys.cnt * sizeof(*m->ticket_keys));
    if (!m->ticket_keys) {
        return wr_conf_nomem(m->cf);
    }
    for (uint32_t i = 0; i < s->ticket_keys.cnt && st == WR_OK; i++) {
        st = wr_ssl_must_read(m->cf, &s->ticket_keys.at[i], &m->ticket_keys[i]);
    }
    m->o.ticket_keys = m->ticket_keys;
    m->o.ticket_key_cnt = s->ticket_keys.cnt;
    return st == WR_OK ? wr_ssl_take_commands(m->cf, &s->commands, &m->o) : st;
}

static enum wr_status read_files(struct making *m)
{
    const struct {
        const struct wr_ssl_path *path;
        struct wr_tls_file *file;
    } rows[] = {
        {&m->s->dhparam,   &m->o.dhparam  },
        {&m->s->client_ca, &m->o.client_ca},
        {&m->s->trusted,   &m->o.trusted  },
        {&m->s->crl,       &m->o.crl      },
        {&m->s->staple,    &m->o.staple   },
    };
    enum wr_status st = wr_ssl_read_passwords(m->cf, &m->s->password_file, &m->o);

    if (st == WR_OK) {
        st = read_pairs(m);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(rows) && st == WR_OK; i++) {
        if (rows[i].path == &m->s->staple && !m->s->stapling) {
            continue;
        }
        st = wr_ssl_read(m->cf, rows[i].path, rows[i].file);
    }
    return st == WR_OK ? read_lists(m) : st;
}

static void fill_values(struct wr_tls_opts *o, const struct wr_ssl_srv *s)
{
    o->protocols = s->protocols;
    o->ciphers = s->ciphers.text;
    if (!wr_str_eq_z(s->curves.text, "auto")) {
        o->curves = s->curves.text;
    }
    o->verify = (enum wr_tls_verify)s->verify;
    o->verify_depth = s->verify_depth;
    o->sessions = s->sessions.mode;
    o->is_builtin = s->sessions.is_builtin;
    o->builtin_size = s->sessions.builtin_size;
    o->session_timeout_sec = s->session_timeout_sec;
    o->record_max = s->buffer_size == 0 ? RECORD_MAX : WR_MIN(s->buffer_size, RECORD_MAX);
    o->prefer_server_ciphers = s->prefer_server_ciphers;
    o->no_tickets = !s->tickets;
    o->is_rejecting = s->is_rejecting;
    o->early_data = s->early_data;
    o->cert_cache = s->cert_cache;
    o->key_log = s->key_log.path;
    o->staples = s->stapling && s->staple.path.len == 0;
    /* A resumed session has no chain to ask about, and its certificate may be revoked by now. */
    o->no_resumption = s->ocsp != WR_SSL_OCSP_OFF && s->verify != WR_TLS_VERIFY_OFF;
}

/* The directive that a failure is about. */
static const struct wr_node *blame(const void *data, enum wr_tls_part part, uint32_t no)
{
    const struct making *m = data;
    const struct wr_ssl_srv *s = m->s;

    switch (part) {
    case WR_TLS_PART_CERT:
        return s->certs.at[m->cert_no[no]].node;
    case WR_TLS_PART_KEY:
        return s->keys.at[m->cert_no[no]].node;
    case WR_TLS_PART_CIPHERS:
        return s->ciphers.node;
    case WR_TLS_PART_CURVES:
        return s->curves.node;
    case WR_TLS_PART_DHPARAM:
        return s->dhparam.node;
    case WR_TLS_PART_CLIENT_CA:
        return s->client_ca.node;
    case WR_TLS_PART_TRUSTED:
        return s->trusted.node;
    case WR_TLS_PART_CRL:
        return s->crl.node;
    case WR_TLS_PART_STAPLE:
        return s->staple.node;
    case WR_TLS_PART_TICKET_KEY:
        return no < s->ticket_keys.cnt ? s->ticket_keys.at[no].node : NULL;
    case WR_TLS_PART_COMMAND:
        return s->commands.at[no].node;
    case WR_TLS_PART_OTHER:
        return NULL;
    }
    WR_UNREACHABLE();
}

static void wipe_secrets(struct making *m)
{
    for (uint32_t i = 0; i < m->o.pair_cnt; i++) {
        wr_tls_wipe(m->pairs[i].key.bytes);
    }
    for (uint32_t i = 0; i < m->o.password_cnt; i++) {
        wr_tls_wipe(m->o.passwords[i]);
    }
    for (uint32_t i = 0; i < m->o.ticket_key_cnt; i++) {
        wr_tls_wipe(m->ticket_keys[i].bytes);
    }
}

static enum wr_status find_zones(struct making *m, struct wr_ssl_srv *s)
{
    enum wr_status st = WR_OK;

    if (s->ocsp_zone.zone.len > 0) {
        st = find_zone(m->cf, &s->ocsp_zone, "ssl_ocsp_cache", &s->ocsp_cache);
    }
    if (st == WR_OK && s->sessions.zone.len > 0 && s->sessions.mode == WR_TLS_SESSIONS_KEPT) {
        st = find_zone(m->cf, &s->sessions, "ssl_session_cache", &m->o.shared);
    }
    return st;
}

static enum wr_status make_ctx(struct making *m, struct wr_ssl_srv *s, const struct wr_scope *scope)
{
    enum wr_status st = read_files(m);

    if (st == WR_OK) {
        st = find_zones(m, s);
    }
    if (st == WR_OK) {
        fill_values(&m->o, s);
        st = wr_ssl_make_ctx(m->cf, &m->o, blame, m, &s->ctx);
    }
    if (st == WR_OK && m->o.staples) {
        struct wr_str trusted = m->o.trusted.bytes;

        st = wr_ssl_start_stapling(m->cf, s, scope, wr_hash_sip(trusted.ptr, trusted.len));
    }
    wipe_secrets(m);
    return st;
}

/* Once for each struct, however many servers share it. */
static enum wr_status make(struct wr_conf *cf, struct wr_ssl_srv *s, const struct wr_scope *scope)
{
    struct making m = {.cf = cf, .s = s};
    enum wr_status st;

    if (s->is_made) {
        return WR_OK;
    }
    s->is_made = true;
    if (s->certs.cnt == 0 && !s->is_rejecting) {
        return WR_OK;
    }
    if ((s->verify == WR_TLS_VERIFY_ON || s->verify == WR_TLS_VERIFY_OPTIONAL) &&
        s->client_ca.path.len == 0 && s->trusted.path.len == 0) {
        return wr_conf_err(cf, s->certs.cnt > 0 ? s->certs.at[0].node : NULL,
                           "no ssl_client_certificate for ssl_verify_client");
    }
    st = wr_ssl_prepare_ocsp(cf, s);
    return st == WR_OK ? make_ctx(&m, s, scope) : st;
}

/* ---- ports ----------------------------------------------------------------------------------- */

static enum wr_status no_cert(struct wr_conf *cf, const struct wr_server *v)
{
    const struct wr_ssl_srv *s = wr_ssl_srv_of(v);

    if (s->is_on) {
        return wr_conf_err(cf, s->on_node,
                           "no \"ssl_certificate\" is defined for the \"ssl\" directive");
    }
    return wr_conf_err(cf, v->node,
                       "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive");
}

static bool can_shake(const struct wr_server *v)
{
    const struct wr_ssl_srv *s = wr_ssl_srv_of(v);

    return s->certs.cnt > 0 || s->is_rejecting;
}

static bool listens_on(const struct wr_server *v, const struct wr_port *p)
{
    const struct wr_core_srv *srv = wr_scope_get(v->scope, &wr_core_conf, WR_KIND_SRV);

    for (uint32_t i = 0; i < srv->listens.cnt; i++) {
        if (wr_str_eq(srv->listens.at[i].text, p->text)) {
            return true;
        }
    }
    return false;
}

/*
 * The default server needs a certificate, and so do all others when it is there to refuse: they
 * have none of its to show.
 */
static enum wr_status check_port(struct wr_conf *cf, const struct wr_http *h, struct wr_port *p)
{
    enum wr_status st = WR_OK;

    if (wr_ssl_srv_of(p->deflt)->is_on) {
        p->is_tls = p->any_tls = true;
    }
    if (!p->is_tls) {
        return WR_OK;
    }
    if (!can_shake(p->deflt)) {
        return no_cert(cf, p->deflt);
    }
    if (wr_ssl_srv_of(p->deflt)->certs.cnt > 0) {
        return WR_OK;
    }
    for (size_t i = 0; i < h->server_cnt; i++) {
        if (listens_on(&h->servers[i], p) && !can_shake(&h->servers[i])) {
            st = no_cert(cf, &h->servers[i]);
        }
    }
    return st;
}

static enum wr_status done(struct wr_conf *cf)
{
    struct wr_http *h = wr_http_of(cf->gen);
    enum wr_status st = WR_OK;

    for (size_t i = 0; h && i < h->server_cnt && st != WR_ENOMEM; i++) {
        struct wr_ssl_srv *s =
            (struct wr_ssl_srv *)wr_scope_get(h->servers[i].scope, &wr_ssl_conf, WR_KIND_SRV);
        enum wr_status one = make(cf, s, h->servers[i].scope);

        st = one != WR_OK ? one : st;
    }
    for (size_t i = 0; h && i < h->port_cnt && st != WR_ENOMEM; i++) {
        struct wr_port *p = &h->ports[i];
        enum wr_status one = check_port(cf, h, p);

        st = one != WR_OK ? one : st;
        for (size_t k = 0; k < p->virtual_cnt; k++) {
            one = check_port(cf, h, &p->virtuals[k]);
            p->any_tls = p->any_tls || p->virtuals[k].is_tls;
            st = one != WR_OK ? one : st;
        }
    }
    return st;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct wr_word verify_words[] = {
    {"off",            WR_TLS_VERIFY_OFF           },
    {"on",             WR_TLS_VERIFY_ON            },
    {"optional",       WR_TLS_VERIFY_OPTIONAL      },
    {"optional_no_ca", WR_TLS_VERIFY_OPTIONAL_NO_CA},
    WR_WORDS_END
};

#define BOTH (WR_CTX_HTTP | WR_CTX_SERVER)
/* clang-format off */
#define ROW(n, a, b, f, setter, more, text)                                                        \
    .name = (n), .contexts = BOTH, .min = (a), .max = (b), .flags = (more), .set = (setter),       \
    WR_DIR_FIELD(SRV, struct wr_ssl_srv, f), .doc = (text)

#define NOTHING(n, a, b, setter, text)                                                             \
    .name = (n), .contexts = BOTH, .min = (a), .max = (b), .flags = WR_DIR_IGNORED,                \
    .kind = WR_KIND_NONE, .set = (setter), .doc = (text)

static const struct wr_dir ssl_dirs[] = {
    {ROW("ssl", 1, 1, is_on, set_on, 0,
        "TLS on the addresses of which this is the default server; better: listen ... ssl."),
        .def = "off"},
    {ROW("ssl_buffer_size", 1, 1, buffer_size, wr_set_size, 0,
        "Most bytes of one TLS record; 16k is the most there is."), .def = "16k"},
    {ROW("ssl_certificate", 1, 1, certs, wr_ssl_add_path, WR_DIR_REPEAT,
        "File with the certificate and its chain (PEM); several for keys of several kinds.")},
    {ROW("ssl_certificate_key", 1, 1, keys, wr_ssl_add_path, WR_DIR_REPEAT,
        "File with the key (PEM) of the certificate at the same place in the list.")},
    {ROW("ssl_ciphers", 1, 1, ciphers, wr_ssl_set_text, 0,
        "Ciphers up to TLSv1.2, in OpenSSL's words."), .def = "HIGH:!aNULL:!MD5"},
    {ROW("ssl_client_certificate", 1, 1, client_ca, wr_ssl_set_path, 0,
        "File with certificates of those who sign clients' certificates; clients are told.")},
    {ROW("ssl_conf_command", 2, 2, commands, wr_ssl_add_command, WR_DIR_REPEAT,
        "A configuration command of OpenSSL with its value; none that names a file.")},
    {ROW("ssl_crl", 1, 1, crl, wr_ssl_set_path, 0, "File with revoked certificates of clients (PEM).")},
    {ROW("ssl_dhparam", 1, 1, dhparam, wr_ssl_set_path, 0, "File with parameters for DHE ciphers.")},
    {ROW("ssl_early_data", 1, 1, early_data, wr_set_flag, 0,
        "Requests before the end of the handshake (0-RTT), which may be replayed: see $ssl_early_data."),
        .def = "off"},
    {ROW("ssl_ecdh_curve", 1, 1, curves, wr_ssl_set_text, 0,
        "Curves for ECDHE, or auto: the library's."), .def = "auto"},
    {ROW("ssl_password_file", 1, 1, password_file, wr_ssl_set_path, 0,
        "File with passwords of encrypted keys, one a line, tried in order.")},
    {ROW("ssl_prefer_server_ciphers", 1, 1, prefer_server_ciphers, wr_set_flag, 0,
        "Does the server's order of ciphers count?"), .def = "off"},
    {ROW("ssl_protocols", 1, WR_ARGS_ANY, protocols, wr_set_mask, 0,
        "Versions that are spoken."), .def = "TLSv1.2 TLSv1.3", .data = wr_ssl_protocol_words},
    {ROW("ssl_reject_handshake", 1, 1, is_rejecting, wr_set_flag, 0,
        "Refuses handshakes for this server's names."), .def = "off"},
    {ROW("ssl_session_cache", 1, 2, sessions, set_sessions, 0,
        "Where sessions are kept for resumption: off, none, builtin[:size], shared:name:size."),
        .def = "none"},
    {ROW("ssl_session_ticket_key", 1, 1, ticket_keys, wr_ssl_add_path, WR_DIR_REPEAT,
        "File with a key for tickets (48 or 80 bytes); the first one encrypts.")},
    {ROW("ssl_session_tickets", 1, 1, tickets, wr_set_flag, 0,
        "Resumption by tickets?"), .def = "on"},
    {ROW("ssl_session_timeout", 1, 1, session_timeout_sec, wr_set_sec, 0,
        "How long a session may be resumed."), .def = "5m"},
    {ROW("ssl_key_log", 1, 1, key_log, wr_ssl_set_log, 0,
        "File for secrets of connections, to read captured traffic with; written by the worker's user.")},
    {ROW("ssl_ocsp", 1, 1, ocsp, set_ocsp, 0,
        "Are responders asked about clients' certificates, all of the chain or the leaf?"),
        .def = "off", .data = ocsp_words},
    {ROW("ssl_ocsp_cache", 1, 1, ocsp_zone, wr_ssl_set_ocsp_cache, 0,
        "Where their answers are remembered: off, shared:name:size."), .def = "off"},
    {ROW("ssl_ocsp_responder", 1, 1, ocsp_responder, wr_ssl_set_text, 0,
        "URL of the responder that is asked instead of the certificates'.")},
    {ROW("ssl_stapling", 1, 1, stapling, set_stapling, 0,
        "Are clients given an OCSP response? The one of ssl_stapling_file, else fetched ones."),
        .def = "off"},
    {ROW("ssl_stapling_file", 1, 1, staple, wr_ssl_set_path, 0,
        "File with an OCSP response (DER) for clients.")},
    {ROW("ssl_stapling_responder", 1, 1, stapling_responder, wr_ssl_set_text, 0,
        "URL of the responder that is asked instead of the certificate's.")},
    {ROW("ssl_stapling_verify", 1, 1, stapling_verify, wr_set_flag, 0,
        "Must a response lead to ssl_trusted_certificate?"), .def = "off"},
    {ROW("ssl_certificate_cache", 1, 3, cert_cache, wr_ssl_set_cert_cache, 0,
        "Certificates with variables in their names that stay read: off, max=, inactive=, valid=."),
        .def = "off"},
    {NOTHING("ssl_certificate_compression", 1, 1, wr_set_ignore,
        "Accepted; certificates are sent as they are.")},
    {ROW("ssl_trusted_certificate", 1, 1, trusted, wr_ssl_set_path, 0,
        "As ssl_client_certificate, but clients are not told of these.")},
    {ROW("ssl_verify_client", 1, 1, verify, wr_set_enum, 0,
        "Are clients asked for a certificate, and must it be good?"), .def = "off",
        .data = verify_words},
    {ROW("ssl_verify_depth", 1, 1, verify_depth, wr_set_num, 0,
        "Longest chain of a client's certificate."), .def = "1", .data = &wr_ssl_depth_bounds},
    WR_DIR_END
};

/* clang-format on */

struct wr_conf_module wr_ssl_conf = {
    .name = "ssl",
    .dirs = ssl_dirs,
    .size = {[WR_KIND_MAIN] = sizeof(struct ssl_main), [WR_KIND_SRV] = sizeof(struct wr_ssl_srv)},
    .done = done,
};
