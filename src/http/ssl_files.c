/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssl_files.c: see ssl_files.h. Files are read through the configuration's source: by the
 * supervisor, which may be root, and by the worker from the bundle. Messages are nginx's. Control
 * thread.
 */
#include "http/ssl_files.h"

#include "base/chars.h"
#include "base/log.h"
#include "base/num.h"

#define FILE_MAX  ((size_t)16 << 20)
#define PASSWORDS 1024u /* lines of a password file */
#define ERROR_MAX 4096
#define CERTS_MAX 10000u /* kept of those that are read in handshakes */

const struct wr_word wr_ssl_protocol_words[] = {
    {"SSLv2",   WR_TLS_SSL2},
    {"SSLv3",   WR_TLS_SSL3},
    {"TLSv1",   WR_TLS_1_0 },
    {"TLSv1.1", WR_TLS_1_1 },
    {"TLSv1.2", WR_TLS_1_2 },
    {"TLSv1.3", WR_TLS_1_3 },
    WR_WORDS_END
};

const struct wr_bounds wr_ssl_depth_bounds = {.max = 100};

/* Where certificates may come from, too; data: only out of a variable. True: told. */
static bool is_foreign(struct wr_conf *cf, const struct wr_node *n)
{
    struct wr_str s = wr_node_arg(n, 0);

    if (!wr_str_has_prefix(s, WR_STR("engine:")) && !wr_str_has_prefix(s, WR_STR("store:")) &&
        (!wr_str_has_prefix(s, WR_STR("data:")) || wr_template_has_vars(s))) {
        return false;
    }
    (void)!wr_conf_err_arg(cf, n, 0, "\"%.*s\" takes the name of a file only", WR_STR_ARG(n->name));
    return true;
}

/* The variable, not one whose name begins like it. */
static bool has_server_name(struct wr_str s)
{
    static const char *const forms[] = {"$ssl_server_name", "${ssl_server_name}"};

    for (size_t at = 0; at < s.len; at++) {
        for (size_t i = 0; i < WR_ARRAY_LEN(forms); i++) {
            struct wr_str rest = wr_str_sub(s, at, s.len), form = wr_str_z(forms[i]);
            char c = rest.len > form.len ? rest.ptr[form.len] : ' ';

            if (wr_str_has_prefix(rest, form) &&
                (i == 1 || (c != '_' && wr_char_hex((unsigned char)c) < 0 &&
                            (wr_char_lower[(unsigned char)c] < 'a' ||
                             wr_char_lower[(unsigned char)c] > 'z')))) {
                return true;
            }
        }
    }
    return false;
}

/* A name with variables; it is below the folder of the main file. */
static enum wr_status read_name(struct wr_conf *cf, const struct wr_node *n,
                                struct wr_ssl_path *ret)
{
    struct wr_str s = wr_node_arg(n, 0);
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));
    enum wr_status st;

    if (!t) {
        return wr_conf_nomem(cf);
    }
    *ret = (struct wr_ssl_path){.node = n, .path = s, .tmpl = t, .has_name = has_server_name(s)};
    st = wr_conf_path(cf, WR_STR("x"), WR_PATH_CONF, &ret->base);
    if (st != WR_OK) {
        return st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
    }
    ret->base.len--;
    return wr_arg_template(cf, n, 0, s, t);
}

static enum wr_status read_path(struct wr_conf *cf, const struct wr_node *n,
                                struct wr_ssl_path *ret)
{
    struct wr_str s = wr_node_arg(n, 0);

    *ret = (struct wr_ssl_path){.node = n};
    if (s.len == 0) {
        return WR_OK; /* none, and none of the level around */
    }
    return wr_conf_path(cf, s, WR_PATH_CONF, &ret->path);
}

enum wr_status wr_ssl_set_path(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    return read_path(cf, node, (struct wr_ssl_path *)(void *)((char *)conf + dir->offset));
}

enum wr_status wr_ssl_set_name(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_ssl_path *p = (struct wr_ssl_path *)(void *)((char *)conf + dir->offset);

    if (is_foreign(cf, node)) {
        return WR_ECONFIG;
    }
    return wr_template_has_vars(wr_node_arg(node, 0)) ? read_name(cf, node, p)
                                                      : read_path(cf, node, p);
}

static enum wr_status read_cache_param(const struct wr_node *n, uint32_t i,
                                       struct wr_tls_cert_cache *c)
{
    struct wr_str v;
    uint64_t num = 0;
    enum wr_status st = WR_ECONFIG;

    if (wr_arg_has_key(n, i, "max", &v)) {
        st = wr_num_parse_u64(v, INT32_MAX, &num);
        st = num == 0 ? WR_ECONFIG : st;
        c->max = (uint32_t)WR_MIN(num, (uint64_t)CERTS_MAX);
    } else if (wr_arg_has_key(n, i, "inactive", &v)) {
        st = wr_num_parse_sec(v, &num);
        c->inactive_ms = num * 1000;
    } else if (wr_arg_has_key(n, i, "valid", &v)) {
        st = wr_num_parse_sec(v, &num);
        c->valid_ms = num * 1000;
    }
    return st;
}

enum wr_status wr_ssl_set_cert_cache(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    struct wr_tls_cert_cache c = {.inactive_ms = 10000, .valid_ms = 60000};

    if (node->arg_cnt == 1 && wr_str_eq_z(wr_node_arg(node, 0), "off")) {
        c.max = 0;
    } else {
        for (uint32_t i = 0; i < node->arg_cnt; i++) {
            if (read_cache_param(node, i, &c) != WR_OK) {
                return wr_conf_err_arg(cf, node, i, "invalid parameter \"%.*s\"",
                                       WR_STR_ARG(wr_node_arg(node, i)));
            }
        }
        if (c.max == 0) {
            return wr_conf_err_dir(cf, node, "must have the \"max\" parameter");
        }
    }
    *(struct wr_tls_cert_cache *)(void *)((char *)conf + dir->offset) = c;
    return WR_OK;
}

enum wr_status wr_ssl_set_log(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct wr_ssl_path *p = (struct wr_ssl_path *)(void *)((char *)conf + dir->offset);

    *p = (struct wr_ssl_path){.node = node};
    return wr_node_arg(node, 0).len == 0
               ? WR_OK
               : wr_conf_path(cf, wr_node_arg(node, 0), WR_PATH_PREFIX, &p->path);
}

enum wr_status wr_ssl_add_path(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_ssl_paths *ps = (struct wr_ssl_paths *)(void *)((char *)conf + dir->offset);
    struct wr_str s = wr_node_arg(node, 0);
    struct wr_ssl_path *p;

    if (is_foreign(cf, node)) {
        return WR_ECONFIG;
    }
    p = wr_array_push(cf->arena, ps);
    if (!p) {
        return wr_conf_nomem(cf);
    }
    return wr_template_has_vars(s) ? read_name(cf, node, p) : read_path(cf, node, p);
}

enum wr_status wr_ssl_set_text(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_ssl_text *t = (struct wr_ssl_text *)(void *)((char *)conf + dir->offset);

    t->node = node;
    return wr_arena_dup(cf->arena, wr_node_arg(node, 0), &t->text) == WR_OK ? WR_OK
                                                                            : wr_conf_nomem(cf);
}

enum wr_status wr_ssl_add_command(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct wr_ssl_commands *cs = (struct wr_ssl_commands *)(void *)((char *)conf + dir->offset);
    struct wr_ssl_command *c = wr_array_push(cf->arena, cs);

    if (!c) {
        return wr_conf_nomem(cf);
    }
    c->node = node;
    if (wr_arena_dup(cf->arena, wr_node_arg(node, 0), &c->cmd.name) != WR_OK ||
        wr_arena_dup(cf->arena, wr_node_arg(node, 1), &c->cmd.value) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    return WR_OK;
}

enum wr_status wr_ssl_read(struct wr_conf *cf, const struct wr_ssl_path *p, struct wr_tls_file *ret)
{
    struct wr_conf_fault fault = {NULL, 0};
    enum wr_status st;

    *ret = (struct wr_tls_file){.name = p->path};
    if (p->path.len == 0) {
        return WR_OK;
    }
    st = wr_conf_read(cf, p->path, FILE_MAX, &ret->bytes, &fault);
    if (st == WR_ESYS) {
        ret->err = fault.err;
        return WR_OK;
    }
    if (st == WR_ELIMIT) {
        return wr_conf_err_arg(cf, p->node, 0, "\"%.*s\" is too large", WR_STR_ARG(p->path));
    }
    return st == WR_OK ? WR_OK : wr_conf_nomem(cf);
}

/* Files whose absence nginx words in its plain way. */
enum wr_status wr_ssl_must_read(struct wr_conf *cf, const struct wr_ssl_path *p,
                                struct wr_tls_file *ret)
{
    enum wr_status st = wr_ssl_read(cf, p, ret);

    if (st == WR_OK && ret->err != 0) {
        return wr_conf_err_arg(cf, p->node, 0, "open() \"%.*s\" failed (%d: %s)",
                               WR_STR_ARG(p->path), ret->err, wr_log_errno_text(ret->err));
    }
    return st;
}

enum wr_status wr_ssl_read_passwords(struct wr_conf *cf, const struct wr_ssl_path *p,
                                     struct wr_tls_opts *o)
{
    struct wr_tls_file f;
    struct wr_str rest, line, *at;
    enum wr_status st = wr_ssl_must_read(cf, p, &f);
    uint32_t cnt = 0;

    if (st != WR_OK || f.bytes.len == 0) {
        return st;
    }
    rest = f.bytes;
    while (cnt < PASSWORDS && wr_str_split(&rest, '\n', &line)) {
        cnt++;
    }
    at = wr_arena_zalloc(cf->arena, cnt * sizeof(*at));
    if (!at) {
        return wr_conf_nomem(cf);
    }
    rest = f.bytes;
    cnt = 0;
    while (cnt < PASSWORDS && wr_str_split(&rest, '\n', &line)) {
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
            line.len--;
        }
        if (line.len > 0) {
            at[cnt++] = line;
        }
    }
    o->passwords = at;
    o->password_cnt = cnt;
    return WR_OK;
}

enum wr_status wr_ssl_take_commands(struct wr_conf *cf, const struct wr_ssl_commands *cs,
                                    struct wr_tls_opts *o)
{
    struct wr_tls_command *at = wr_arena_zalloc(cf->arena, cs->cnt * sizeof(*at));

    if (!at) {
        return wr_conf_nomem(cf);
    }
    for (uint32_t i = 0; i < cs->cnt; i++) {
        at[i] = cs->at[i].cmd;
    }
    o->commands = at;
    o->command_cnt = cs->cnt;
    return WR_OK;
}

static void end_ctx(void *data)
{
    wr_tls_ctx_unref(data);
}

enum wr_status wr_ssl_make_ctx(struct wr_conf *cf, const struct wr_tls_opts *o,
                               wr_ssl_blame_fn *blame, const void *data, struct wr_tls_ctx **ret)
{
    enum wr_tls_part part = WR_TLS_PART_OTHER;
    struct wr_tls_ctx *ctx = NULL;
    char room[ERROR_MAX];
    struct wr_strbuf err;
    uint32_t no = 0;
    enum wr_status st;

    wr_strbuf_init_fixed(&err, room, sizeof(room));
    st = wr_tls_ctx_new(o, &err, &part, &no, &ctx);
    if (st == WR_ECONFIG) {
        return wr_conf_err(cf, blame(data, part, no), "%.*s", WR_STR_ARG(wr_strbuf_str(&err)));
    }
    if (st == WR_OK && wr_arena_on_fini(cf->arena, end_ctx, ctx) != WR_OK) {
        wr_tls_ctx_unref(ctx);
        st = WR_ENOMEM;
    }
    if (st != WR_OK) {
        return wr_conf_nomem(cf);
    }
    *ret = ctx;
    return WR_OK;
}
