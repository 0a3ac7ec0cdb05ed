/* SPDX-License-Identifier: Apache-2.0 */
/*
 * browser.c: $modern_browser and $ancient_browser: what User-Agent says of a browser's age. Of what
 * is known of a client the first of these decides:
 *
 *   a browser that `modern_browser` lists      modern from that version on, ancient before
 *   a text that `ancient_browser` lists        ancient
 *   anything else, also no field               modern with `modern_browser unlisted`, else ancient
 *
 * The variable of the other age is empty. $msie is "1" for every Internet Explorer.
 */
#include "mod/browser.h"

#include "conf/types.h"
#include "http/module.h"

#define VERSION_PARTS 4

enum family {
    FAMILY_OPERA,
    FAMILY_MSIE,
    FAMILY_GECKO,
    FAMILY_SAFARI,
    FAMILY_KONQUEROR,
    FAMILY_CNT
};

struct version {
    uint32_t part[VERSION_PARTS];
};

struct modern_browser {
    uint8_t family; /* enum family */
    struct version from;
};

struct modern_browsers {
    struct modern_browser *at;
    uint32_t cnt, _cap;
    bool has_unlisted;
};

struct browser_loc {
    struct wr_conf_head head;
    struct wr_strs ancient;
    struct modern_browsers modern;
    struct wr_str ancient_value, modern_value;
};

static struct wr_conf_module browser_conf;

/* ---- User-Agent ------------------------------------------------------------------------------ */

/* Where its version stands, behind one of these; in this order: some claim to be others, too. */
static const struct {
    uint8_t family;
    const char *mark;
    const char *with; /* and this somewhere; NULL: nothing */
} signs[] = {
    {FAMILY_OPERA,     "Opera/",     NULL   },
    {FAMILY_OPERA,     "Opera ",     NULL   },
    {FAMILY_MSIE,      "MSIE ",      NULL   },
    {FAMILY_GECKO,     "rv:",        "Gecko"},
    {FAMILY_SAFARI,    "Safari/",    NULL   },
    {FAMILY_KONQUEROR, "Konqueror/", NULL   },
};

/* "10.0.1": digits and dots at the beginning of s. *ret_len: how many letters that are. */
static struct version read_version(struct wr_str s, size_t *ret_len)
{
    struct version v = {{0}};
    unsigned part = 0;
    size_t i = 0;

    for (; i < s.len && (s.ptr[i] == '.' || (s.ptr[i] >= '0' && s.ptr[i] <= '9')); i++) {
        if (s.ptr[i] == '.') {
            part++;
        } else if (part < VERSION_PARTS && v.part[part] < UINT32_MAX / 10 - 1) {
            v.part[part] = v.part[part] * 10 + (uint32_t)(s.ptr[i] - '0');
        }
    }
    *ret_len = i;
    return v;
}

/* Is a at least b? */
static bool is_from(const struct version *a, const struct version *b)
{
    for (unsigned i = 0; i < VERSION_PARTS; i++) {
        if (a->part[i] != b->part[i]) {
            return a->part[i] > b->part[i];
        }
    }
    return true;
}

static bool find_browser(struct wr_str agent, uint8_t *ret_family, struct version *ret_version)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(signs); i++) {
        struct wr_str mark = wr_str_z(signs[i].mark);
        size_t at = wr_str_find_str(agent, mark), len;

        if (at == agent.len ||
            (signs[i].with && wr_str_find_str(agent, wr_str_z(signs[i].with)) == agent.len)) {
            continue;
        }
        *ret_version = read_version(wr_str_sub(agent, at + mark.len, agent.len), &len);
        *ret_family = signs[i].family;
        return len > 0;
    }
    return false;
}

static bool is_msie(struct wr_str agent)
{
    return wr_str_find_str(agent, WR_STR("MSIE ")) < agent.len &&
           wr_str_find_str(agent, WR_STR("Opera")) == agent.len;
}

/* Of Mozilla/1 to /4: the word netscape4 stands for them. */
static bool is_netscape4(struct wr_str agent)
{
    return wr_str_has_prefix(agent, WR_STR("Mozilla/")) && agent.len > 8 && agent.ptr[8] >= '1' &&
           agent.ptr[8] <= '4';
}

static bool is_listed_ancient(const struct wr_strs *list, struct wr_str agent)
{
    for (uint32_t i = 0; i < list->cnt; i++) {
        if (wr_str_eq_z(list->at[i], "netscape4")
                ? is_netscape4(agent)
                : wr_str_find_str(agent, list->at[i]) < agent.len) {
            return true;
        }
    }
    return false;
}

static bool is_modern(const struct wr_req *r, const struct browser_loc *conf)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->head->hdrs, WR_HDR_USER_AGENT);
    const struct modern_browsers *m = &conf->modern;
    struct version v;
    uint8_t family = FAMILY_CNT;
    bool is_listed = false;

    if (!f) {
        return m->has_unlisted;
    }
    if (m->cnt > 0 && !find_browser(f->value, &family, &v)) {
        family = FAMILY_CNT;
    }
    for (uint32_t i = 0; i < m->cnt; i++) {
        if (m->at[i].family == family) {
            if (is_from(&v, &m->at[i].from)) {
                return true;
            }
            is_listed = true;
        }
    }
    return !is_listed && m->has_unlisted && !is_listed_ancient(&conf->ancient, f->value);
}

/* ---- variables ------------------------------------------------------------------------------- */

static enum wr_status get_age(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                              struct wr_str *ret)
{
    const struct browser_loc *conf = wr_req_conf(r, &browser_conf, WR_KIND_LOC);
    bool want_modern = v->data != 0;

    (void)rest;
    *ret = WR_STR("");
    if (is_modern(r, conf) == want_modern) {
        *ret = want_modern ? conf->modern_value : conf->ancient_value;
    }
    return WR_OK;
}

static enum wr_status get_msie(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->head->hdrs, WR_HDR_USER_AGENT);

    (void)v, (void)rest;
    *ret = f && is_msie(f->value) ? WR_STR("1") : WR_STR("");
    return WR_OK;
}

static const struct wr_var vars[] = {
    {"msie",            get_msie, 0, 0             },
    {"modern_browser",  get_age,  1, WR_VAR_NOCACHE},
    {"ancient_browser", get_age,  0, WR_VAR_NOCACHE},
};

/* ---- directives ------------------------------------------------------------------------------ */

static const struct wr_word family_words[] = {
    {"msie",      FAMILY_MSIE     },
    {"gecko",     FAMILY_GECKO    },
    {"opera",     FAMILY_OPERA    },
    {"safari",    FAMILY_SAFARI   },
    {"konqueror", FAMILY_KONQUEROR},
    WR_WORDS_END
};

static enum wr_status set_modern(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct modern_browsers *m = &((struct browser_loc *)conf)->modern;
    struct wr_str name = wr_node_arg(node, 0), text = wr_node_arg(node, 1);
    const struct wr_word *w = family_words;
    struct modern_browser *b;
    struct version v;
    size_t len;

    (void)dir;
    if (node->arg_cnt == 1) {
        if (!wr_str_eq_z(name, "unlisted")) {
            return wr_conf_err_arg(cf, node, 0, "\"modern_browser %.*s\" needs a version",
                                   WR_STR_ARG(name));
        }
        m->has_unlisted = true;
        return WR_OK;
    }
    while (w->name && !wr_str_ieq(name, wr_str_z(w->name))) {
        w++;
    }
    if (!w->name) {
        return wr_conf_err_arg(cf, node, 0, "unknown browser name \"%.*s\"", WR_STR_ARG(name));
    }
    v = read_version(text, &len);
    if (len < text.len) {
        return wr_conf_err_arg(cf, node, 1, "invalid browser version \"%.*s\"", WR_STR_ARG(text));
    }
    b = wr_array_push(cf->arena, m);
    if (!b) {
        return wr_conf_nomem(cf);
    }
    *b = (struct modern_browser){(uint8_t)w->value, v};
    return WR_OK;
}

#define ROW(n, max_, set_, field_, ...)                                                            \
    {                                                                                              \
        .name = n, .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = max_, .flags = WR_DIR_REPEAT,     \
        .set = set_, WR_DIR_FIELD(LOC, struct browser_loc, field_), __VA_ARGS__                    \
    }

/* clang-format off */
static const struct wr_dir dirs[] = {
    ROW("ancient_browser", WR_ARGS_ANY, wr_set_strs, ancient, .doc = "Texts in User-Agent that tell an ancient browser."),
    ROW("ancient_browser_value", 1, wr_set_str, ancient_value, .def = "1", .doc = "Value of $ancient_browser for such."),
    ROW("modern_browser", 2, set_modern, modern, .doc = "The version from which on a browser is modern; unlisted: so are all others."),
    ROW("modern_browser_value", 1, wr_set_str, modern_value, .def = "1", .doc = "Value of $modern_browser for such."),
    WR_DIR_END
};

/* clang-format on */

static struct wr_conf_module browser_conf = {
    .name = "browser", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct browser_loc)}};

const struct wr_module wr_browser_module = {
    .conf = &browser_conf, .vars = vars, .var_cnt = WR_ARRAY_LEN(vars)};
