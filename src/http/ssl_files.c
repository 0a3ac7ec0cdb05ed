/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssl_files.c: see ssl_files.h. Files are read through the configuration's source: by the
 * supervisor, which may be root, and by the worker from the bundle. Messages are nginx's. Control
 * thread.
 */
#include "http/ssl_files.h"

#include "base/log.h"

#define FILE_MAX  ((size_t)16 << 20)
#define PASSWORDS 1024u /* lines of a password file */
#define ERROR_MAX 4096

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

/* Where files of certificates may come from, too. */
static bool is_foreign(struct wr_str s)
{
    return wr_str_has_prefix(s, WR_STR("data:")) || wr_str_has_prefix(s, WR_STR("engine:")) ||
           wr_str_has_prefix(s, WR_STR("store:"));
}

/* False: it has another variable than the client's server name. */
static bool check_vars(struct wr_str s, bool *ret_has_name)
{
    size_t at;

    while ((at = wr_str_find(s, '$')) < s.len) {
        s = wr_str_sub(s, at, s.len);
        if (!wr_str_has_prefix(s, WR_STR(WR_TLS_NAME_MARKER))) {
            return false;
        }
        s = wr_str_sub(s, sizeof(WR_TLS_NAME_MARKER) - 1, s.len);
        if (s.len > 0 && (s.ptr[0] == '_' || (s.ptr[0] >= 'a' && s.ptr[0] <= 'z'))) {
            return false;
        }
        *ret_has_name = true;
    }
    return true;
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
    enum wr_status st;
    bool has_name = false;

    if (!check_vars(s, &has_name)) {
        return wr_conf_err_arg(cf, node, 0,
                               "of variables only $ssl_server_name is supported in \"%.*s\" yet",
                               WR_STR_ARG(node->name));
    }
    if (is_foreign(s)) {
        return wr_conf_err_arg(cf, node, 0, "\"%.*s\" takes the name of a file only",
                               WR_STR_ARG(node->name));
    }
    p = wr_array_push(cf->arena, ps);
    if (!p) {
        return wr_conf_nomem(cf);
    }
    st = read_path(cf, node, p);
    p->has_name = has_name;
    return st;
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
