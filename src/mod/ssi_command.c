/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssi_command.c: what the commands of a page do (ssi_int.h). Each has a table of its parameters;
 * while a branch of `if` is not shown only `if` and kin are looked at. Request's thread.
 */
#include <stdarg.h>
#include <string.h>

#include "base/codec.h"
#include "mod/ssi_int.h"

#define ERROR_MAX 512u

/* ---- errors ---------------------------------------------------------------------------------- */

enum wr_status wr_ssi_complain(struct ssi_page *p, const char *fmt, ...)
{
    char text[ERROR_MAX];
    struct wr_strbuf b;
    va_list ap;

    wr_strbuf_init_fixed(&b, text, sizeof(text));
    va_start(ap, fmt);
    wr_strbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    if (b.len == 0) {
        wr_strbuf_reset(&b);
        wr_strbuf_add_z(&b, "a long error message");
    }
    wr_log(&p->g.req->log, WR_LOG_ERROR, "%.*s while sending response to client",
           WR_STR_ARG(wr_strbuf_str(&b)));
    return p->conf->is_silent ? WR_OK : wr_ssi_emit(p, p->errmsg);
}

/* Of a text with variables. */
static enum wr_status complain_of(struct ssi_page *p, enum wr_status st, const char *err,
                                  struct wr_str text)
{
    if (st != WR_EPROTO && st != WR_ELIMIT) {
        return st;
    }
    return wr_ssi_complain(p, "%s \"%.*s\"", err, (int)WR_MIN(text.len, (size_t)200), text.ptr);
}

static struct wr_str param(const struct wr_ssi_command *c, const char *name)
{
    struct wr_str key = wr_str_z(name);

    for (uint32_t i = 0; i < c->cnt; i++) {
        if (wr_str_eq(c->params[i].name, key)) {
            return c->params[i].value;
        }
    }
    return WR_STR_NULL; /* a value that is there has a pointer */
}

/* ---- if -------------------------------------------------------------------------------------- */

bool wr_ssi_is_shown(const struct ssi_run *run)
{
    return run->depth == 0 || run->ifs[run->depth - 1].is_on;
}

static enum wr_status test(struct ssi_page *p, struct ssi_run *run, const struct wr_ssi_command *c)
{
    struct ssi_if *top = &run->ifs[run->depth - 1];
    const char *err = NULL;
    struct wr_str expr = param(c, "expr");
    enum wr_status st;
    bool is_true = false;

    top->is_on = false;
    if (!top->is_outer_on || top->was_on) {
        return WR_OK;
    }
    st = wr_ssi_test(p, expr, &is_true, &err);
    if (st != WR_OK) {
        top->is_on = true; /* the message is shown where the branch would be */
        st = complain_of(p, st, err, expr);
        top->is_on = false;
        return st;
    }
    top->is_on = top->was_on = is_true;
    return WR_OK;
}

static enum wr_status run_if(struct ssi_page *p, struct ssi_run *run,
                             const struct wr_ssi_command *c)
{
    bool is_shown = wr_ssi_is_shown(run);

    if (run->depth == SSI_DEPTH_MAX) {
        return wr_ssi_complain(p, "the \"if\" commands are nested too deep");
    }
    run->ifs[run->depth++] = (struct ssi_if){.is_outer_on = is_shown};
    return test(p, run, c);
}

static enum wr_status run_elif(struct ssi_page *p, struct ssi_run *run,
                               const struct wr_ssi_command *c)
{
    if (run->depth == 0 || run->ifs[run->depth - 1].is_else) {
        return wr_ssi_complain(p, "invalid context of SSI command: \"elif\"");
    }
    return test(p, run, c);
}

static enum wr_status run_else(struct ssi_page *p, struct ssi_run *run,
                               const struct wr_ssi_command *c)
{
    struct ssi_if *top;

    (void)c;
    if (run->depth == 0 || run->ifs[run->depth - 1].is_else) {
        return wr_ssi_complain(p, "invalid context of SSI command: \"else\"");
    }
    top = &run->ifs[run->depth - 1];
    top->is_else = true;
    top->is_on = top->is_outer_on && !top->was_on;
    top->was_on = true;
    return WR_OK;
}

static enum wr_status run_endif(struct ssi_page *p, struct ssi_run *run,
                                const struct wr_ssi_command *c)
{
    (void)c;
    if (run->depth == 0) {
        return wr_ssi_complain(p, "invalid context of SSI command: \"endif\"");
    }
    run->depth--;
    return WR_OK;
}

/* ---- block ----------------------------------------------------------------------------------- */

static enum wr_status run_block(struct ssi_page *p, struct ssi_run *run,
                                const struct wr_ssi_command *c)
{
    enum wr_status st = wr_arena_dup(p->g.req->main->arena, param(c, "name"), &run->block_name);

    if (st != WR_OK) {
        return st;
    }
    run->is_block = true;
    wr_strbuf_init_arena(&run->block, p->g.req->main->arena, SSI_BLOCK_MAX);
    return WR_OK;
}

static enum wr_status run_endblock(struct ssi_page *p, struct ssi_run *run,
                                   const struct wr_ssi_command *c)
{
    (void)p, (void)run, (void)c; /* without a block there is nothing to end */
    return WR_OK;
}

static struct ssi_block *find_block(const struct ssi_shared *sh, struct wr_str name)
{
    for (struct ssi_block *b = sh->blocks; b; b = b->next) {
        if (wr_str_eq(b->name, name)) {
            return b;
        }
    }
    return NULL;
}

static enum wr_status end_block(struct ssi_page *p, struct ssi_run *run)
{
    struct ssi_shared *sh = p->shared;
    struct ssi_block *b = find_block(sh, run->block_name);

    run->is_block = false;
    if (run->block.status == WR_ELIMIT) {
        return wr_ssi_complain(p, "the block \"%.*s\" is larger than %u bytes",
                               WR_STR_ARG(run->block_name), SSI_BLOCK_MAX);
    }
    if (run->block.status != WR_OK) {
        return run->block.status;
    }
    if (!b) {
        if (sh->block_cnt >= SSI_BLOCKS_MAX) {
            return wr_ssi_complain(p, "there are more than %u blocks", SSI_BLOCKS_MAX);
        }
        b = wr_arena_zalloc(p->g.req->main->arena, sizeof(*b));
        if (!b) {
            return WR_ENOMEM;
        }
        b->next = sh->blocks;
        sh->blocks = b;
        sh->block_cnt++;
    }
    b->name = run->block_name;
    b->source = wr_strbuf_str(&run->block);
    return WR_OK;
}

/* In a block all is kept as it stands but its end. */
static enum wr_status keep_command(struct ssi_page *p, struct ssi_run *run)
{
    struct wr_str raw = wr_strbuf_str(&run->scan.raw);

    if (wr_str_eq(wr_str_trim(raw), WR_STR("endblock"))) {
        return end_block(p, run);
    }
    wr_strbuf_add_z(&run->block, "<!--#");
    wr_strbuf_add_str(&run->block, raw);
    wr_strbuf_add_z(&run->block, "-->");
    return WR_OK;
}

/* ---- echo, set, config ----------------------------------------------------------------------- */

static enum wr_status encode(struct ssi_page *p, struct wr_str encoding, struct wr_str *s,
                             bool *ret_known)
{
    struct wr_strbuf b;

    *ret_known = true;
    if (wr_str_eq(encoding, WR_STR("none"))) {
        return WR_OK;
    }
    wr_strbuf_init_arena(&b, p->g.req->arena, SSI_TEXT_MAX * 6);
    if (!encoding.ptr || wr_str_eq(encoding, WR_STR("entity"))) {
        wr_codec_escape(&b, *s, WR_ESCAPE_HTML);
    } else if (wr_str_eq(encoding, WR_STR("url"))) {
        wr_ssi_escape_url(&b, *s);
    } else {
        *ret_known = false;
    }
    *s = wr_strbuf_str(&b);
    return b.status == WR_ENOMEM ? WR_ENOMEM : WR_OK;
}

static enum wr_status run_echo(struct ssi_page *p, struct ssi_run *run,
                               const struct wr_ssi_command *c)
{
    struct wr_str deflt = param(c, "default"), encoding = param(c, "encoding"), value;
    bool is_set, is_known = true;
    enum wr_status st = wr_ssi_get_var(p, param(c, "var"), &value, &is_set);

    (void)run;
    if (st != WR_OK) {
        return st;
    }
    if (!is_set) {
        value = deflt.ptr ? deflt : WR_STR("(none)");
    }
    st = encode(p, encoding, &value, &is_known);
    if (st == WR_OK && !is_known) {
        return wr_ssi_complain(p, "unknown encoding \"%.*s\" in the \"echo\" command",
                               WR_STR_ARG(encoding));
    }
    return st == WR_OK ? wr_ssi_emit(p, value) : st;
}

static enum wr_status run_set(struct ssi_page *p, struct ssi_run *run,
                              const struct wr_ssi_command *c)
{
    struct wr_str text = param(c, "value"), value = WR_STR_NULL;
    const char *err = NULL;
    enum wr_status st = wr_ssi_eval(p, text, &value, &err);

    (void)run;
    if (st == WR_OK) {
        st = wr_ssi_set_var(p, param(c, "var"), value);
        err = "too many variables at";
    }
    return st == WR_OK ? WR_OK : complain_of(p, st, err, text);
}

static enum wr_status run_config(struct ssi_page *p, struct ssi_run *run,
                                 const struct wr_ssi_command *c)
{
    struct wr_str errmsg = param(c, "errmsg"), timefmt = param(c, "timefmt");
    enum wr_status st = WR_OK;

    (void)run;
    if (errmsg.ptr) {
        st = wr_arena_dup(p->g.req->arena, errmsg, &p->errmsg);
    }
    if (timefmt.ptr && st == WR_OK) {
        st = wr_arena_dup(p->g.req->arena, timefmt, &p->timefmt);
    }
    return st;
}

/* ---- include --------------------------------------------------------------------------------- */

static enum wr_status open_include(struct ssi_page *p, const struct wr_ssi_command *c,
                                   struct wr_sub_opts *o, const struct ssi_block *stub)
{
    struct wr_str set = param(c, "set");
    struct ssi_item *it = NULL;
    struct wr_sub *sub = NULL;
    enum wr_status st;

    o->mode = set.ptr ? WR_SUB_MEMORY : WR_SUB_ORDER;
    o->waiter = wr_stage_task(&p->g);
    st = wr_sub_open(p->g.req, o, &sub);
    if (st == WR_ELIMIT) {
        return p->conf->is_silent ? WR_OK : wr_ssi_emit(p, p->errmsg); /* it is logged */
    }
    if (st == WR_OK) {
        st = wr_ssi_add_item(p, &it);
        if (st != WR_OK) {
            wr_sub_leave(sub);
        }
    }
    if (st != WR_OK) {
        return st;
    }
    it->sub = sub;
    p->sub_cnt++;
    it->has_stub = stub != NULL;
    it->stub = stub ? stub->source : WR_STR_NULL;
    it->is_set = set.ptr != NULL;
    if (!p->is_stub && (it->is_set || wr_str_ieq(param(c, "wait"), WR_STR("yes")))) {
        p->awaited = it;
    }
    return it->is_set ? wr_arena_dup(p->g.req->arena, set, &it->set_to) : WR_OK;
}

/* What include may not be told. WR_EPROTO: it was said. */
static enum wr_status check_include(struct ssi_page *p, const struct wr_ssi_command *c,
                                    struct wr_str *ret_uri)
{
    struct wr_str virt = param(c, "virtual"), file = param(c, "file"), wait = param(c, "wait");
    enum wr_status st = WR_OK;

    if (virt.ptr && file.ptr) {
        st = wr_ssi_complain(p, "inclusion may be either virtual=\"%.*s\" or file=\"%.*s\"",
                             WR_STR_ARG(virt), WR_STR_ARG(file));
    } else if (!virt.ptr && !file.ptr) {
        st = wr_ssi_complain(p, "no parameter in \"include\" SSI command");
    } else if (param(c, "set").ptr && param(c, "stub").ptr) {
        st = wr_ssi_complain(p, "\"set\" and \"stub\" cannot be used together in \"include\" SSI "
                                "command");
    } else if (wait.ptr && !wr_str_ieq(wait, WR_STR("yes")) && !wr_str_ieq(wait, WR_STR("no"))) {
        st = wr_ssi_complain(p, "invalid value \"%.*s\" in the \"wait\" parameter",
                             WR_STR_ARG(wait));
    } else {
        *ret_uri = virt.ptr ? virt : file;
        return WR_OK;
    }
    return st == WR_OK ? WR_EPROTO : st;
}

static enum wr_status run_include(struct ssi_page *p, struct ssi_run *run,
                                  const struct wr_ssi_command *c)
{
    struct wr_str uri = WR_STR_NULL, stub = param(c, "stub");
    const struct ssi_block *block = stub.ptr ? find_block(p->shared, stub) : NULL;
    struct wr_sub_opts o = {0};
    const char *err = NULL;
    enum wr_status st = check_include(p, c, &uri);

    (void)run;
    if (st != WR_OK) {
        return st == WR_EPROTO ? WR_OK : st;
    }
    if (stub.ptr && !block) {
        return wr_ssi_complain(p, "\"stub\"=\"%.*s\" for \"include\" not found", WR_STR_ARG(stub));
    }
    st = wr_ssi_eval(p, uri, &uri, &err);
    if (st != WR_OK) {
        return complain_of(p, st, err, uri);
    }
    st = wr_sub_set_uri(p->g.req, uri, &o);
    if (st == WR_EPROTO) {
        return wr_ssi_complain(p, "unsafe URI \"%.*s\" was detected", WR_STR_ARG(uri));
    }
    return st == WR_OK ? open_include(p, c, &o, block) : st;
}

/* ---- the table ------------------------------------------------------------------------------- */

struct command {
    const char *name;
    const char *mandatory; /* " a b ", or NULL */
    const char *params;    /* all: " a b " */
    enum wr_status (*run)(struct ssi_page *p, struct ssi_run *run, const struct wr_ssi_command *c);
    bool is_branch; /* also looked at where nothing is shown */
};

/* clang-format off */
static const struct command commands[] = {
    {"include", NULL, " virtual file wait set stub ", run_include, false},
    {"echo", "var", " var default encoding ", run_echo, false},
    {"set", "value", " var value ", run_set, false},
    {"config", NULL, " errmsg timefmt ", run_config, false},
    {"if", "expr", " expr ", run_if, true},
    {"elif", "expr", " expr ", run_elif, true},
    {"else", NULL, " ", run_else, true},
    {"endif", NULL, " ", run_endif, true},
    {"block", "name", " name ", run_block, false},
    {"endblock", NULL, " ", run_endblock, false},
};

/* clang-format on */

static const struct command *find_command(struct wr_str name)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(commands); i++) {
        if (wr_str_eq(name, wr_str_z(commands[i].name))) {
            return &commands[i];
        }
    }
    return NULL;
}

static bool is_in_list(const char *list, struct wr_str name)
{
    struct wr_str rest = wr_str_z(list), word;

    while (wr_str_split(&rest, ' ', &word)) {
        if (word.len > 0 && wr_str_eq(word, name)) {
            return true;
        }
    }
    return false;
}

static enum wr_status check_params(struct ssi_page *p, const struct command *d,
                                   const struct wr_ssi_command *c, bool *ret_ok)
{
    *ret_ok = false;
    for (uint32_t i = 0; i < c->cnt; i++) {
        if (!is_in_list(d->params, c->params[i].name)) {
            return wr_ssi_complain(p, "invalid parameter name: \"%.*s\" in \"%s\" SSI command",
                                   WR_STR_ARG(c->params[i].name), d->name);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (wr_str_eq(c->params[i].name, c->params[k].name)) {
                return wr_ssi_complain(p, "duplicate \"%.*s\" parameter in \"%s\" SSI command",
                                       WR_STR_ARG(c->params[i].name), d->name);
            }
        }
    }
    if (d->run == run_set && !param(c, "var").ptr) {
        return wr_ssi_complain(p, "mandatory \"var\" parameter is absent in \"set\" SSI command");
    }
    if (d->mandatory && !param(c, d->mandatory).ptr) {
        return wr_ssi_complain(p, "mandatory \"%s\" parameter is absent in \"%s\" SSI command",
                               d->mandatory, d->name);
    }
    *ret_ok = true;
    return WR_OK;
}

/* A branch command that is wrong still nests: what is inside is not shown. */
static enum wr_status run_bad(struct ssi_run *run, const struct command *d, enum wr_status st)
{
    if (st != WR_OK || !d || d->run != run_if || run->depth == SSI_DEPTH_MAX) {
        return st;
    }
    run->ifs[run->depth] = (struct ssi_if){.is_outer_on = wr_ssi_is_shown(run)};
    run->depth++;
    return WR_OK;
}

enum wr_status wr_ssi_execute(struct ssi_page *p, struct ssi_run *run)
{
    struct wr_ssi_command c;
    const struct command *d;
    char text[ERROR_MAX];
    struct wr_strbuf err;
    enum wr_status st;
    bool is_ok, is_shown = wr_ssi_is_shown(run);

    if (run->is_block) {
        return keep_command(p, run);
    }
    wr_strbuf_init_fixed(&err, text, sizeof(text));
    st = wr_ssi_parse(run->scan.raw.ptr, run->scan.raw.len, (size_t)p->conf->value_max, &c, &err);
    d = find_command(c.name);
    if (!is_shown && (!d || !d->is_branch)) {
        return WR_OK;
    }
    if (st == WR_OK && !d) {
        return wr_ssi_complain(p, "invalid SSI command: \"%.*s\"", WR_STR_ARG(c.name));
    }
    if (st != WR_OK) {
        st = is_shown ? wr_ssi_complain(p, "%.*s", WR_STR_ARG(wr_strbuf_str(&err))) : WR_OK;
        return run_bad(run, d, st);
    }
    st = check_params(p, d, &c, &is_ok);
    return is_ok ? d->run(p, run, &c) : run_bad(run, d, st);
}
