/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secure_link.c: is a link one of those that were made with the secret?
 *
 *   secure_link HASH[,TIME]; secure_link_md5 TEXT;
 *       HASH is the base64url form of the MD5 of TEXT. $secure_link is "1", "0" where TIME is over,
 *       else empty; $secure_link_expires is TIME.
 *   secure_link_secret WORD;
 *       the client's path is /PREFIX/HASH/LINK, HASH the hexadecimal MD5 of LINK and WORD.
 *       $secure_link is LINK, else empty.
 *
 * A level has one of the two forms; the one that is written there wins over one of outside. Hashes
 * are compared in constant time.
 */
#include "mod/secure_link.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/md5.h"
#include "base/num.h"
#include "conf/types.h"
#include "http/module.h"

#define HASH_LETTERS 22 /* of 16 bytes in base64 */
#define HASH_PADS    2  /* '=' that may follow */

struct link_loc {
    struct wr_conf_head head;
    struct wr_template *link, *md5; /* NULL: not given */
    struct wr_str secret;           /* ptr NULL: not given */
};

static struct wr_conf_module link_conf;

static bool is_same(const uint8_t *a, const uint8_t *b)
{
    unsigned diff = 0;

    for (unsigned i = 0; i < WR_MD5_LEN; i++) {
        diff |= (unsigned)(a[i] ^ b[i]);
    }
    return diff == 0;
}

/* ---- secure_link, secure_link_md5 ------------------------------------------------------------ */

struct link_parts {
    struct wr_str hash, time;
    uint64_t time_s; /* 0: there is none */
};

/* WR_EOF: the time is none. */
static enum wr_status read_link(struct wr_req *r, const struct link_loc *conf,
                                struct link_parts *ret)
{
    struct wr_str s;
    enum wr_status st = wr_template_eval(r, conf->link, &s);
    size_t comma;

    if (st != WR_OK) {
        return st;
    }
    comma = wr_str_find(s, ',');
    *ret = (struct link_parts){.hash = wr_str_sub(s, 0, comma)};
    if (comma == s.len) {
        return WR_OK;
    }
    ret->time = wr_str_sub(s, comma + 1, s.len);
    return wr_num_parse_u64(ret->time, INT64_MAX, &ret->time_s) == WR_OK && ret->time_s > 0
               ? WR_OK
               : WR_EOF;
}

static enum wr_status check_link(struct wr_req *r, const struct link_loc *conf, struct wr_str *ret)
{
    uint8_t sum[WR_MD5_LEN];
    char has[WR_MD5_LEN + 8]; /* the decoder asks for more room than it needs */
    struct link_parts p;
    struct wr_str text;
    struct wr_strbuf b;
    enum wr_status st = read_link(r, conf, &p);

    if (st != WR_OK) {
        return st;
    }
    wr_strbuf_init_fixed(&b, has, sizeof(has));
    for (size_t i = 0; i < HASH_PADS && wr_str_has_suffix(p.hash, WR_STR("=")); i++) {
        p.hash.len--;
    }
    if (p.hash.len != HASH_LETTERS || wr_codec_base64_decode(&b, p.hash) != WR_OK ||
        b.len != WR_MD5_LEN) {
        return WR_EOF;
    }
    st = wr_template_eval(r, conf->md5, &text);
    if (st != WR_OK) {
        return st;
    }
    wr_md5(text.ptr, text.len, sum);
    if (!is_same(sum, (const uint8_t *)has)) {
        return WR_EOF;
    }
    *ret = p.time_s > 0 && p.time_s < wr_clock_wall_ms() / 1000 ? WR_STR("0") : WR_STR("1");
    return WR_OK;
}

/* ---- secure_link_secret ---------------------------------------------------------------------- */

/* Value of a digit; 16: it is none. */
static unsigned hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

static bool read_hex(struct wr_str s, uint8_t out[WR_MD5_LEN])
{
    if (s.len != (size_t)2 * WR_MD5_LEN) {
        return false;
    }
    for (size_t i = 0; i < WR_MD5_LEN; i++) {
        unsigned high = hex_of(s.ptr[2 * i]), low = hex_of(s.ptr[2 * i + 1]);

        if (high > 15 || low > 15) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* The client's own words: escapes count as they were sent. */
static enum wr_status check_path(struct wr_req *r, const struct link_loc *conf, struct wr_str *ret)
{
    struct wr_str rest = r->client_uri.raw, link, text;
    uint8_t sum[WR_MD5_LEN], has[WR_MD5_LEN];
    size_t slash;
    enum wr_status st;

    if (rest.len == 0 || rest.ptr[0] != '/') {
        return WR_EOF;
    }
    rest = wr_str_sub(rest, 1, rest.len);
    slash = wr_str_find(rest, '/'); /* behind the prefix */
    rest = wr_str_sub(rest, slash + 1, rest.len);
    slash = wr_str_find(rest, '/'); /* behind the hash */
    link = wr_str_sub(rest, slash + 1, rest.len);
    if (link.len == 0 || !read_hex(wr_str_sub(rest, 0, slash), has)) {
        return WR_EOF;
    }
    st = wr_arena_printf(r->arena, &text, "%.*s%.*s", WR_STR_ARG(link), WR_STR_ARG(conf->secret));
    if (st != WR_OK) {
        return st;
    }
    wr_md5(text.ptr, text.len, sum);
    if (!is_same(sum, has)) {
        return WR_EOF;
    }
    *ret = link;
    return WR_OK;
}

/* ---- variables ------------------------------------------------------------------------------- */

static enum wr_status get_link(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    const struct link_loc *conf = wr_req_conf(r, &link_conf, WR_KIND_LOC);

    (void)v, (void)rest;
    if (conf->secret.ptr) {
        return check_path(r, conf, ret);
    }
    return conf->link && conf->md5 ? check_link(r, conf, ret) : WR_EOF;
}

/* Known also while the text of secure_link_md5 is evaluated. */
static enum wr_status get_expires(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                  struct wr_str *ret)
{
    const struct link_loc *conf = wr_req_conf(r, &link_conf, WR_KIND_LOC);
    struct link_parts p;
    enum wr_status st;

    (void)v, (void)rest;
    if (!conf->link || !conf->md5 || conf->secret.ptr) {
        return WR_EOF;
    }
    st = read_link(r, conf, &p);
    if (st != WR_OK || p.time_s == 0) {
        return st == WR_OK ? WR_EOF : st;
    }
    *ret = p.time;
    return WR_OK;
}

/* ---- directives ------------------------------------------------------------------------------ */

static const struct wr_dir dirs[] = {
    {.name = "secure_link",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_template,
     WR_DIR_FIELD(LOC, struct link_loc, link),
     .doc = "Where the hash of a link, and its time behind a comma, are found."         },
    {.name = "secure_link_md5",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_template,
     WR_DIR_FIELD(LOC, struct link_loc, md5),
     .doc = "The text whose MD5 the hash must be: secret, path, time ..."               },
    {.name = "secure_link_secret",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_str,
     WR_DIR_FIELD(LOC, struct link_loc, secret),
     .doc = "The word of links /prefix/hash/link: the MD5 of link and word is the hash."},
    WR_DIR_END
};

static bool is_set(struct wr_conf *cf, const void *conf, size_t offset)
{
    return wr_conf_is_set(&link_conf, WR_KIND_LOC, cf->registry, conf, offset);
}

static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    struct link_loc *lc = conf;
    bool has_secret, has_link;

    (void)parent;
    if (kind != WR_KIND_LOC) {
        return WR_OK;
    }
    has_secret = is_set(cf, conf, offsetof(struct link_loc, secret));
    has_link = is_set(cf, conf, offsetof(struct link_loc, link)) ||
               is_set(cf, conf, offsetof(struct link_loc, md5));
    if (has_secret && has_link) {
        return wr_conf_err(cf, s->node,
                           "\"secure_link_secret\" cannot be mixed with \"secure_link\" and "
                           "\"secure_link_md5\"");
    }
    if (has_secret) {
        lc->link = lc->md5 = NULL;
    } else if (has_link) {
        lc->secret = WR_STR_NULL;
    }
    return WR_OK;
}

static struct wr_conf_module link_conf = {.name = "secure_link",
                                          .dirs = dirs,
                                          .size = {[WR_KIND_LOC] = sizeof(struct link_loc)},
                                          .merged = merged};

static const struct wr_var vars[] = {
    {"secure_link",         get_link,    0, WR_VAR_NOCACHE},
    {"secure_link_expires", get_expires, 0, WR_VAR_NOCACHE},
};

const struct wr_module wr_secure_link_module = {
    .conf = &link_conf, .vars = vars, .var_cnt = WR_ARRAY_LEN(vars)};
