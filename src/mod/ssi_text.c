/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssi_text.c: variables, texts with variables, expressions and dates of pages (ssi_int.h).
 * Variables are looked for among those of `set` and of groups in expressions, then the captures,
 * then those of the request. Request's thread.
 */
#include <string.h>
#include <time.h>

#include "base/chars.h"
#include "base/clock.h"
#include "http/var.h"
#include "mod/ssi_int.h"

#define NAME_LEN_MAX   256u
#define FORMAT_LEN_MAX 255u
#define DATE_LEN_MAX   1024u

/* ---- variables ------------------------------------------------------------------------------- */

static struct wr_str lower(struct wr_str name, char *room)
{
    size_t n = WR_MIN(name.len, (size_t)NAME_LEN_MAX);

    for (size_t i = 0; i < n; i++) {
        room[i] = (char)wr_char_lower[(unsigned char)name.ptr[i]];
    }
    return wr_str(room, n);
}

static struct ssi_var *find_var(const struct ssi_shared *sh, struct wr_str low)
{
    for (struct ssi_var *v = sh->vars; v; v = v->next) {
        if (wr_str_eq(v->name, low)) {
            return v;
        }
    }
    return NULL;
}

enum wr_status wr_ssi_get_var(struct ssi_page *p, struct wr_str name, struct wr_str *ret,
                              bool *ret_set)
{
    const struct ssi_shared *sh = p->shared;
    char room[NAME_LEN_MAX];
    struct wr_str low = lower(name, room);
    const struct ssi_var *v = find_var(sh, low);

    *ret = WR_STR_NULL;
    *ret_set = false;
    if (v) {
        *ret = v->value;
        *ret_set = true;
        return WR_OK;
    }
    if (low.len == 1 && low.ptr[0] >= '0' && low.ptr[0] <= '9') {
        uint32_t i = (uint32_t)(low.ptr[0] - '0');

        *ret_set = i < sh->capture_cnt;
        *ret = *ret_set ? sh->captures[i] : WR_STR_NULL;
        return WR_OK;
    }
    return wr_var_find(p->g.req, low, ret, ret_set);
}

enum wr_status wr_ssi_set_var(struct ssi_page *p, struct wr_str name, struct wr_str value)
{
    struct wr_arena *a = p->g.req->main->arena;
    struct ssi_shared *sh = p->shared;
    char room[NAME_LEN_MAX];
    struct wr_str low = lower(name, room), copy = WR_STR("");
    struct ssi_var *v = find_var(sh, low);
    enum wr_status st = value.len > 0 ? wr_arena_dup(a, value, &copy) : WR_OK;

    if (st != WR_OK) {
        return st;
    }
    if (!v) {
        if (sh->var_cnt >= SSI_VARS_MAX) {
            return WR_ELIMIT;
        }
        v = wr_arena_zalloc(a, sizeof(*v));
        if (!v || wr_arena_dup(a, low, &v->name) != WR_OK) {
            return WR_ENOMEM;
        }
        v->next = sh->vars;
        sh->vars = v;
        sh->var_cnt++;
    }
    v->value = copy;
    return WR_OK;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* s begins behind a '$'. *ret_len: bytes of the name with its brackets. */
static enum wr_status read_name(struct wr_str s, struct wr_str *ret, size_t *ret_len,
                                const char **ret_err)
{
    bool has_bracket = s.len > 0 && s.ptr[0] == '{';
    size_t from = has_bracket ? 1 : 0, at = from;

    if (!has_bracket && s.len > 0 && s.ptr[0] >= '0' && s.ptr[0] <= '9') {
        at = 1;
    } else {
        while (at < s.len && is_name_char(s.ptr[at])) {
            at++;
        }
    }
    *ret = wr_str_sub(s, from, at - from);
    if (ret->len == 0) {
        *ret_err = "invalid variable name in";
        return WR_EPROTO;
    }
    if (has_bracket && (at >= s.len || s.ptr[at] != '}')) {
        *ret_err = "the closing bracket of a variable is missing in";
        return WR_EPROTO;
    }
    *ret_len = has_bracket ? at + 1 : at;
    return WR_OK;
}

static enum wr_status add_var(struct ssi_page *p, struct wr_strbuf *b, struct wr_str s, size_t *at,
                              const char **ret_err)
{
    struct wr_str name, value;
    size_t len = 0;
    bool is_set;
    enum wr_status st = read_name(wr_str_sub(s, *at, s.len), &name, &len, ret_err);

    if (st == WR_OK) {
        st = wr_ssi_get_var(p, name, &value, &is_set);
    }
    if (st == WR_OK) {
        wr_strbuf_add_str(b, value);
        *at += len;
    }
    return st;
}

enum wr_status wr_ssi_eval(struct ssi_page *p, struct wr_str s, struct wr_str *ret,
                           const char **ret_err)
{
    struct wr_strbuf b;
    size_t at = 0;
    enum wr_status st = WR_OK;

    if (wr_str_find(s, '$') == s.len) {
        *ret = s;
        return WR_OK;
    }
    wr_strbuf_init_arena(&b, p->g.req->arena, SSI_TEXT_MAX);
    while (at < s.len && st == WR_OK) {
        if (s.ptr[at] == '\\' && at + 1 < s.len && s.ptr[at + 1] == '$') {
            wr_strbuf_add_char(&b, '$');
            at += 2;
        } else if (s.ptr[at] == '$') {
            at++;
            st = add_var(p, &b, s, &at, ret_err);
        } else {
            wr_strbuf_add_char(&b, s.ptr[at++]);
        }
    }
    if (st == WR_OK && b.status != WR_OK) {
        *ret_err = "too long a value of";
        st = b.status == WR_ELIMIT ? WR_EPROTO : b.status;
    }
    if (st == WR_OK) {
        *ret = wr_strbuf_str(&b);
    }
    return st;
}

/* ---- expressions ----------------------------------------------------------------------------- */

/* Compiled once a client's request. */
static enum wr_status get_regex(struct ssi_page *p, struct wr_str text, struct wr_regex **ret,
                                const char **ret_err)
{
    struct wr_arena *a = p->g.req->main->arena;
    struct ssi_shared *sh = p->shared;
    struct ssi_regex *x;
    struct wr_str err = WR_STR_NULL;
    enum wr_status st;

    for (x = sh->regexes; x; x = x->next) {
        if (wr_str_eq(wr_regex_text(x->re), text)) {
            *ret = x->re;
            return WR_OK;
        }
    }
    if (sh->regex_cnt >= SSI_REGEX_MAX) {
        *ret_err = "too many regular expressions at";
        return WR_EPROTO;
    }
    x = wr_arena_zalloc(a, sizeof(*x));
    st = x ? wr_regex_new(a, text, WR_REGEX_CASE, &x->re, &err) : WR_ENOMEM;
    if (st != WR_OK) {
        *ret_err = st == WR_ECONFIG ? err.ptr : NULL; /* has a '\0' behind it */
        return st == WR_ECONFIG ? WR_EPROTO : st;
    }
    x->next = sh->regexes;
    sh->regexes = x;
    sh->regex_cnt++;
    *ret = x->re;
    return WR_OK;
}

/* Groups of a match: $1 ..., and by their names. */
static enum wr_status keep_groups(struct ssi_page *p, const struct wr_regex *re,
                                  const struct wr_str *caps, uint32_t cnt)
{
    struct ssi_shared *sh = p->shared;
    struct wr_str name;
    uint32_t group;
    enum wr_status st = WR_OK;

    sh->capture_cnt = 0;
    for (uint32_t i = 0; i < cnt && st == WR_OK; i++) {
        st = wr_arena_dup(p->g.req->main->arena, caps[i], &sh->captures[i]);
        sh->capture_cnt = i + 1;
    }
    for (uint32_t i = 0; st == WR_OK && wr_regex_name(re, i, &name, &group); i++) {
        st = wr_ssi_set_var(p, name, group < cnt ? caps[group] : WR_STR(""));
    }
    return st;
}

static enum wr_status match(struct ssi_page *p, struct wr_str left, struct wr_str pattern,
                            bool *ret, const char **ret_err)
{
    struct wr_str caps[SSI_CAPTURES];
    struct wr_regex *re = NULL;
    uint32_t cnt = 0;
    enum wr_status st = get_regex(p, pattern, &re, ret_err);

    if (st != WR_OK) {
        return st;
    }
    st = wr_regex_exec(re, left, caps, SSI_CAPTURES, &cnt);
    *ret = st == WR_OK;
    if (st == WR_EOF) {
        return WR_OK;
    }
    if (st == WR_ELIMIT) {
        *ret_err = "the match limit is exceeded by";
        return WR_EPROTO;
    }
    if (st != WR_OK) {
        return st;
    }
    st = keep_groups(p, re, caps, WR_MIN(cnt, SSI_CAPTURES));
    *ret_err = "too many variables at";
    return st == WR_ELIMIT ? WR_EPROTO : st;
}

enum wr_status wr_ssi_test(struct ssi_page *p, struct wr_str expr, bool *ret, const char **ret_err)
{
    struct wr_str left = wr_str_trim(expr), right = WR_STR_NULL;
    size_t eq = wr_str_find(left, '=');
    bool has_right = eq < left.len, is_not = false;
    enum wr_status st;

    if (has_right) {
        right = wr_str_trim(wr_str_sub(left, eq + 1, left.len));
        is_not = eq > 0 && left.ptr[eq - 1] == '!';
        left = wr_str_trim(wr_str_sub(left, 0, eq - (is_not ? 1 : 0)));
    }
    *ret_err = "invalid expression in";
    if (left.len > 0 && left.ptr[0] == '!') {
        return WR_EPROTO;
    }
    st = wr_ssi_eval(p, left, &left, ret_err);
    if (st != WR_OK) {
        return st;
    }
    if (!has_right) {
        *ret = left.len > 0;
        return WR_OK;
    }
    if (right.len > 0 && right.ptr[0] == '/') {
        if (right.len < 2 || right.ptr[right.len - 1] != '/') {
            return WR_EPROTO;
        }
        st = match(p, left, wr_str_sub(right, 1, right.len - 2), ret, ret_err);
    } else {
        st = wr_ssi_eval(p, right, &right, ret_err);
        *ret = st == WR_OK && wr_str_eq(left, right);
    }
    *ret = *ret != is_not;
    return st;
}

/* ---- url ------------------------------------------------------------------------------------- */

static bool is_url_unsafe(unsigned char c)
{
    return c <= 0x20 || c >= 0x7f || strchr("\"#%'<>\\^`{|}", c) != NULL;
}

void wr_ssi_escape_url(struct wr_strbuf *b, struct wr_str s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (is_url_unsafe(c)) {
            char text[3] = {'%', hex[c >> 4], hex[c & 15]};

            wr_strbuf_add(b, text, sizeof(text));
        } else {
            wr_strbuf_add_char(b, (char)c);
        }
    }
}

/* ---- dates ----------------------------------------------------------------------------------- */

enum wr_status wr_ssi_write_date(struct wr_req *r, struct wr_str format, bool is_gmt,
                                 struct wr_str *ret)
{
    time_t now = (time_t)(wr_clock_wall_ms() / 1000);
    char fmt[FORMAT_LEN_MAX + 1], out[DATE_LEN_MAX];
    struct tm tm;
    size_t n;

    if (format.len > FORMAT_LEN_MAX) {
        return WR_EOF;
    }
    if (wr_str_eq(format, WR_STR("%s"))) {
        return wr_arena_printf(r->arena, ret, "%lld", (long long)now);
    }
    if ((is_gmt ? gmtime_r(&now, &tm) : localtime_r(&now, &tm)) == NULL) {
        return WR_EOF;
    }
    memcpy(fmt, format.ptr, format.len);
    fmt[format.len] = '\0';
#pragma GCC diagnostic push
/* Rule zero: the page's author writes the format, and n bounds what comes of it. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    n = strftime(out, sizeof(out), fmt, &tm);
#pragma GCC diagnostic pop
    return wr_arena_dup(r->arena, wr_str(out, n), ret);
}
