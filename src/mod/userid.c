/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userid.c: cookies that tell clients apart. An identifier has 16 bytes, of which a client that has
 * none gets the base64 form in Set-Cookie, with the response whatever its status:
 *
 *   service   4 bytes: userid_service, else the last four bytes of the server's address (v1: 0)
 *   time      4 bytes: seconds since 1970
 *   random    8 bytes
 *
 * `on` writes the first two with the highest byte first, v1 with the lowest. $uid_got and $uid_set
 * show it as four words of eight hexadecimal digits, each word with the lowest byte first: what
 * tools that read such logs know. A new one is made when the first asks for it, the variable or the
 * header filter.
 *
 * userid_mark puts a letter in the place of the first '=' of the base64 form; a client whose cookie
 * has another there gets the same identifier once more, with the mark.
 */
#include "mod/userid.h"

#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/num.h"
#include "base/rng.h"
#include "conf/gen.h"
#include "conf/types.h"
#include "http/module.h"
#include "http/uri.h"

#define UID_BYTES   16
#define UID_LETTERS 22 /* of the base64 form, without the two '=' */
#define COOKIE_MAX  4096
#define EXPIRES_MAX INT64_C(2145916555) /* of `max`: Thu, 31 Dec 2037 23:55:55 GMT */

enum uid_mode {
    UID_OFF,
    UID_LOG,
    UID_V1,
    UID_ON
};

enum uid_flags {
    UID_SECURE = 1,
    UID_HTTPONLY = 2,
    UID_SAMESITE = 4, /* in all of the following, so that the first holds */
    UID_STRICT = UID_SAMESITE | 8,
    UID_LAX = UID_SAMESITE | 16,
    UID_NONE = UID_SAMESITE | 32
};

enum uid_expires {
    UID_EXPIRES_OFF,
    UID_EXPIRES_MAX,
    UID_EXPIRES_IN
};

struct uid_expiry {
    uint8_t how; /* enum uid_expires */
    uint64_t s;
};

struct uid_service {
    bool is_given;
    uint32_t value;
};

struct uid_main {
    struct wr_conf_head head;
    struct wr_template *reset, *address; /* $uid_reset, $server_addr; made with the first userid */
};

struct uid_loc {
    struct wr_conf_head head;
    uint32_t mode;                         /* enum uid_mode */
    uint32_t flags;                        /* enum uid_flags or-ed */
    struct wr_str name, domain, path, p3p; /* ptr NULL: none */
    struct uid_expiry expires;
    struct uid_service service;
    char mark; /* '\0': off */
};

/* What is known of the client; is_* tell what was looked for already. */
struct uid_ctx {
    bool is_read, has_got, is_decided, has_set;
    bool wants_mark; /* it has an identifier, but another mark */
    uint8_t got[UID_BYTES], set[UID_BYTES];
};

static struct wr_conf_module userid_conf;

/* ---- what the client sent -------------------------------------------------------------------- */

static bool find_cookie(const struct wr_req *r, struct wr_str name, struct wr_str *ret)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_COOKIE);

    for (; h; h = wr_hdrs_next(&r->head->hdrs, h)) {
        if (name.len > 0 && wr_uri_cookie(h->value, name, ret)) {
            return true;
        }
    }
    return false;
}

static void read_got(struct wr_req *r, const struct uid_loc *conf, struct uid_ctx *ctx)
{
    char bytes[UID_BYTES + 8]; /* the decoder asks for more room than it needs */
    struct wr_str s;
    struct wr_strbuf b;

    ctx->is_read = true;
    if (!find_cookie(r, conf->name, &s)) {
        return;
    }
    wr_strbuf_init_fixed(&b, bytes, sizeof(bytes));
    if (s.len < UID_LETTERS || wr_codec_base64_decode(&b, wr_str_sub(s, 0, UID_LETTERS)) != WR_OK ||
        b.len != UID_BYTES) {
        wr_log(&r->log, WR_LOG_ERROR, "client sent %s userid cookie \"%.*s=%.*s\"",
               s.len < UID_LETTERS ? "too short" : "invalid", WR_STR_ARG(conf->name),
               WR_STR_ARG(s));
        return;
    }
    memcpy(ctx->got, bytes, UID_BYTES);
    ctx->has_got = true;
    ctx->wants_mark =
        conf->mark != '\0' && (s.len == UID_LETTERS || s.ptr[UID_LETTERS] != conf->mark);
}

/* NULL: no memory. */
static struct uid_ctx *look(struct wr_req *r, const struct uid_loc *conf)
{
    struct uid_ctx *ctx = wr_req_ctx(r, &wr_userid_module, sizeof(*ctx));

    if (ctx && !ctx->is_read) {
        read_got(r, conf, ctx);
    }
    return ctx;
}

/* ---- what it gets ---------------------------------------------------------------------------- */

static void put_word(uint8_t *p, uint32_t v, bool is_v1)
{
    for (unsigned i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (is_v1 ? 8 * i : 24 - 8 * i));
    }
}

/* The last four bytes of the address that the client came to. */
static enum wr_status own_service(struct wr_req *r, const struct uid_main *m, uint32_t *ret)
{
    struct wr_str s;
    struct wr_addr a;
    const uint8_t *p;
    size_t n;
    enum wr_status st = wr_template_eval(r, m->address, &s);

    *ret = 0;
    if (st != WR_OK || wr_addr_parse_ip(s, 0, &a) != WR_OK) {
        return st; /* a unix socket has none */
    }
    n = wr_addr_bytes(&a, &p);
    if (n >= 4) {
        p += n - 4;
        *ret = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    return WR_OK;
}

static enum wr_status make_uid(struct wr_req *r, const struct uid_main *m,
                               const struct uid_loc *conf, uint8_t out[UID_BYTES])
{
    bool is_v1 = conf->mode == UID_V1;
    uint32_t service = conf->service.value;
    uint64_t random = wr_rng_u64();

    if (!conf->service.is_given && !is_v1) {
        enum wr_status st = own_service(r, m, &service);

        if (st != WR_OK) {
            return st;
        }
    }
    put_word(out, service, is_v1);
    put_word(out + 4, (uint32_t)(wr_clock_wall_ms() / 1000), is_v1);
    memcpy(out + 8, &random, sizeof(random));
    return WR_OK;
}

static enum wr_status wants_reset(struct wr_req *r, const struct uid_main *m, bool *ret)
{
    struct wr_str s;
    enum wr_status st = wr_template_eval(r, m->reset, &s);

    *ret = st == WR_OK && s.len > 0 && !wr_str_eq(s, WR_STR("0"));
    if (*ret && wr_str_eq(s, WR_STR("log"))) {
        wr_log(&r->log, WR_LOG_NOTICE, "the userid cookie is reset");
    }
    return st;
}

/* Does the client get an identifier, and which? Once. */
static enum wr_status decide(struct wr_req *r, const struct uid_loc *conf, struct uid_ctx *ctx)
{
    const struct uid_main *m = wr_scope_get(r->gen->root, &userid_conf, WR_KIND_MAIN);
    bool reset = false;
    enum wr_status st;

    if (ctx->is_decided || conf->mode < UID_V1) {
        return WR_OK;
    }
    st = wants_reset(r, m, &reset);
    if (st == WR_OK && (!ctx->has_got || reset)) {
        st = make_uid(r, m, conf, ctx->set);
        ctx->has_set = st == WR_OK;
    } else if (ctx->wants_mark) {
        memcpy(ctx->set, ctx->got, UID_BYTES);
        ctx->has_set = true;
    }
    ctx->is_decided = st == WR_OK;
    return st;
}

/* ---- the header ------------------------------------------------------------------------------ */

static void add_flags(struct wr_strbuf *b, uint32_t flags)
{
    wr_strbuf_add_z(b, (flags & UID_SECURE) != 0 ? "; secure" : "");
    wr_strbuf_add_z(b, (flags & UID_HTTPONLY) != 0 ? "; httponly" : "");
    if ((flags & UID_STRICT) == UID_STRICT) {
        wr_strbuf_add_z(b, "; samesite=strict");
    } else if ((flags & UID_LAX) == UID_LAX) {
        wr_strbuf_add_z(b, "; samesite=lax");
    } else if ((flags & UID_NONE) == UID_NONE) {
        wr_strbuf_add_z(b, "; samesite=none");
    }
}

static void add_text(struct wr_strbuf *b, const char *key, struct wr_str value)
{
    if (value.ptr) {
        wr_strbuf_add_z(b, key);
        wr_strbuf_add_str(b, value);
    }
}

static enum wr_status write_cookie(struct wr_req *r, const struct uid_loc *conf,
                                   const uint8_t uid[UID_BYTES], struct wr_str *ret)
{
    struct wr_strbuf b;
    char date[WR_HTTP_DATE_LEN];

    wr_strbuf_init_arena(&b, r->arena, COOKIE_MAX);
    wr_strbuf_add_str(&b, conf->name);
    wr_strbuf_add_char(&b, '=');
    wr_codec_base64(&b, wr_str((const char *)uid, UID_BYTES));
    if (conf->mark != '\0' && b.status == WR_OK) {
        b.ptr[b.len - 2] = conf->mark;
    }
    if (conf->expires.how != UID_EXPIRES_OFF) {
        wr_clock_write_http_date(date,
                                 conf->expires.how == UID_EXPIRES_MAX
                                     ? EXPIRES_MAX
                                     : (int64_t)(wr_clock_wall_ms() / 1000 + conf->expires.s));
        add_text(&b, "; expires=", wr_str(date, sizeof(date)));
    }
    add_text(&b, "; domain=", conf->domain);
    add_text(&b, "; path=", conf->path);
    add_flags(&b, conf->flags);
    *ret = wr_strbuf_str(&b);
    return b.status;
}

static enum wr_status filter(struct wr_req *r)
{
    const struct uid_loc *conf = wr_req_conf(r, &userid_conf, WR_KIND_LOC);
    struct uid_ctx *ctx;
    struct wr_str cookie;
    enum wr_status st;

    if (conf->mode < UID_V1) {
        return WR_OK;
    }
    ctx = look(r, conf);
    st = ctx ? decide(r, conf, ctx) : WR_ENOMEM;
    if (st != WR_OK || !ctx->has_set) {
        return st;
    }
    st = write_cookie(r, conf, ctx->set, &cookie);
    if (st == WR_ELIMIT) {
        wr_log(&r->log, WR_LOG_ERROR, "the userid cookie would be too long");
        return WR_OK;
    }
    if (st == WR_OK) {
        st = wr_hdrs_add_id(&r->out.hdrs, WR_HDR_SET_COOKIE, cookie);
    }
    if (st == WR_OK && conf->p3p.ptr) {
        st = wr_hdrs_add(&r->out.hdrs, WR_STR("P3P"), conf->p3p);
    }
    return st;
}

/* ---- variables ------------------------------------------------------------------------------- */

/* "uid=" and four words. */
static enum wr_status write_value(struct wr_req *r, const struct uid_loc *conf,
                                  const uint8_t uid[UID_BYTES], struct wr_str *ret)
{
    struct wr_strbuf b;

    wr_strbuf_init_arena(&b, r->arena, COOKIE_MAX);
    wr_strbuf_add_str(&b, conf->name);
    wr_strbuf_add_char(&b, '=');
    for (unsigned i = 0; i < UID_BYTES; i++) {
        static const char digits[] = "0123456789ABCDEF";
        uint8_t c = uid[(i & ~3u) + 3 - (i & 3u)];

        wr_strbuf_add_char(&b, digits[c >> 4]);
        wr_strbuf_add_char(&b, digits[c & 15]);
    }
    *ret = wr_strbuf_str(&b);
    return b.status == WR_ELIMIT ? WR_EOF : b.status;
}

static enum wr_status get_uid(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                              struct wr_str *ret)
{
    const struct uid_loc *conf = wr_req_conf(r, &userid_conf, WR_KIND_LOC);
    bool want_set = v->data != 0;
    struct uid_ctx *ctx;
    enum wr_status st = WR_OK;

    (void)rest;
    if (conf->mode == UID_OFF) {
        return WR_EOF;
    }
    ctx = look(r, conf);
    if (!ctx) {
        return WR_ENOMEM;
    }
    if (want_set) {
        st = decide(r, conf, ctx);
    }
    if (st != WR_OK || !(want_set ? ctx->has_set : ctx->has_got)) {
        return st == WR_OK ? WR_EOF : st;
    }
    return write_value(r, conf, want_set ? ctx->set : ctx->got, ret);
}

static enum wr_status get_reset(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    (void)r, (void)v, (void)rest;
    *ret = WR_STR("");
    return WR_OK; /* until `set` gives it another value */
}

static const struct wr_var vars[] = {
    {"uid_got",   get_uid,   0, WR_VAR_NOCACHE                    },
    {"uid_set",   get_uid,   1, WR_VAR_NOCACHE                    },
    {"uid_reset", get_reset, 0, WR_VAR_NOCACHE | WR_VAR_CHANGEABLE},
};

/* ---- directives ------------------------------------------------------------------------------ */

static const struct wr_word mode_words[] = {
    {"off", UID_OFF},
    {"log", UID_LOG},
    {"v1",  UID_V1 },
    {"on",  UID_ON },
    WR_WORDS_END
};

static const struct wr_word flag_words[] = {
    {"off",             0           },
    {"secure",          UID_SECURE  },
    {"httponly",        UID_HTTPONLY},
    {"samesite=strict", UID_STRICT  },
    {"samesite=lax",    UID_LAX     },
    {"samesite=none",   UID_NONE    },
    WR_WORDS_END
};

static enum wr_status compile(struct wr_conf *cf, const struct wr_node *node, const char *text,
                              struct wr_template **ret)
{
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));

    if (!t) {
        return wr_conf_nomem(cf);
    }
    *ret = t;
    return wr_arg_template(cf, node, 0, wr_str_z(text), t);
}

static enum wr_status set_userid(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct uid_main *m = wr_scope_get(cf->gen->root, &userid_conf, WR_KIND_MAIN);
    enum wr_status st = wr_set_enum(cf, dir, node, conf);

    if (st == WR_OK && !m->reset && ((struct uid_loc *)conf)->mode >= UID_V1) {
        st = compile(cf, node, "$uid_reset", &m->reset);
        if (st == WR_OK) {
            st = compile(cf, node, "$server_addr", &m->address);
        }
    }
    return st;
}

/* samesite= is there once: the first holds. */
static enum wr_status set_flags(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct uid_loc *lc = conf;

    (void)dir;
    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        struct wr_str s = wr_node_arg(node, i);
        const struct wr_word *w = flag_words;

        while (w->name && !wr_str_eq_z(s, w->name)) {
            w++;
        }
        if (!w->name) {
            return wr_conf_err_arg(cf, node, i, "invalid value \"%.*s\"", WR_STR_ARG(s));
        }
        if ((lc->flags & w->value & (UID_SECURE | UID_HTTPONLY | UID_SAMESITE)) != 0) {
            wr_conf_warn(cf, node, "duplicate value \"%.*s\"", WR_STR_ARG(s));
            continue;
        }
        lc->flags |= w->value;
    }
    return WR_OK;
}

/* A text, or a word that means none. */
static enum wr_status set_text(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_str *field = (struct wr_str *)(void *)((char *)conf + dir->offset);

    if (wr_str_eq_z(wr_node_arg(node, 0), "none")) {
        *field = WR_STR_NULL;
        return WR_OK;
    }
    return wr_set_str(cf, dir, node, conf);
}

static enum wr_status set_expires(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct uid_expiry *e = &((struct uid_loc *)conf)->expires;
    struct wr_str s = wr_node_arg(node, 0);

    (void)dir;
    if (wr_str_eq_z(s, "off") || wr_str_eq_z(s, "max")) {
        e->how = s.ptr[0] == 'o' ? UID_EXPIRES_OFF : UID_EXPIRES_MAX;
        return WR_OK;
    }
    e->how = UID_EXPIRES_IN;
    return wr_arg_sec(cf, node, 0, NULL, &e->s);
}

static enum wr_status set_mark(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct uid_loc *lc = conf;
    struct wr_str s = wr_node_arg(node, 0);
    char c = s.len == 1 ? s.ptr[0] : '\0';

    (void)dir;
    if (wr_str_eq_z(s, "off")) {
        lc->mark = '\0';
        return WR_OK;
    }
    if (c != '=' && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z')) {
        return wr_conf_err_dir(cf, node,
                               "value must be \"off\" or a single letter, digit or \"=\"");
    }
    lc->mark = c;
    return WR_OK;
}

static enum wr_status set_service(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct uid_service *s = &((struct uid_loc *)conf)->service;
    uint64_t v = 0;
    enum wr_status st = wr_arg_num(cf, node, 0, NULL, &v);

    (void)dir;
    if (st == WR_OK) {
        *s = (struct uid_service){true, (uint32_t)v};
    }
    return st;
}

#define ROW(n, set_, field_, ...)                                                                  \
    {                                                                                              \
        .name = n, .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = set_,                   \
        WR_DIR_FIELD(LOC, struct uid_loc, field_), __VA_ARGS__                                     \
    }

/* clang-format off */
static const struct wr_dir dirs[] = {
    ROW("userid", set_userid, mode, .data = mode_words, .def = "off", .doc = "Give clients cookies that tell them apart (on, v1), or read them only (log)?"),
    ROW("userid_name", wr_set_str, name, .def = "uid", .doc = "Name of the cookie."),
    ROW("userid_domain", set_text, domain, .def = "none", .doc = "Its domain."),
    ROW("userid_path", wr_set_str, path, .def = "/", .doc = "Its path."),
    ROW("userid_expires", set_expires, expires, .def = "off", .doc = "How long it lives; off: as long as the browser runs, max: until 2037."),
    ROW("userid_p3p", set_text, p3p, .def = "none", .doc = "Field P3P that goes with it."),
    ROW("userid_mark", set_mark, mark, .def = "off", .doc = "Letter in the cookie; a client with another one gets the cookie again."),
    ROW("userid_service", set_service, service, .doc = "Number of the server that gave an identifier; without it the last bytes of its address."),
    {.name = "userid_flags", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = WR_ARGS_ANY, .flags = WR_DIR_REPEAT,
     .set = set_flags, WR_DIR_FIELD(LOC, struct uid_loc, flags), .def = "off",
     .doc = "secure, httponly, samesite=strict, samesite=lax, samesite=none, off."},
    WR_DIR_END
};

/* clang-format on */

static struct wr_conf_module userid_conf = {
    .name = "userid",
    .dirs = dirs,
    .size = {[WR_KIND_MAIN] = sizeof(struct uid_main), [WR_KIND_LOC] = sizeof(struct uid_loc)}
};

static const struct wr_filter_row filters[] = {
    {WR_FILTER_HEADERS - 50, filter}
};

const struct wr_module wr_userid_module = {.conf = &userid_conf,
                                           .is_quiet = true,
                                           .vars = vars,
                                           .var_cnt = WR_ARRAY_LEN(vars),
                                           .filters = filters,
                                           .filter_cnt = WR_ARRAY_LEN(filters)};
