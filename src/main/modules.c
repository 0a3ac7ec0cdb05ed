/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.c: the registry of modules. Nothing but modules.def names a concrete module, balancer or
 * protocol; a missing symbol fails the link, two rows of one name fail the start with both named.
 */
#include "main/modules.h"

#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "lb/rr.h"
#include "main/main_conf.h"
#include "main/proxy_vars.h"
#include "main/say.h"
#include "up/group.h"
#include "up/up.h"

#define OWN(name)
#define MODULE(name) extern const struct wr_module name;
#include "main/modules.def" /* allow(path): a list, no header */
#undef OWN
#undef MODULE

static const struct wr_lb *const balancers[] = {&wr_lb_rr};

static struct wr_module core_module = {.conf = &wr_core_conf};
static struct wr_module main_module = {
    .conf = &wr_main_conf_module, .vars = wr_proxy_cmd_vars, .var_cnt = WR_PROXY_CMD_VARS};
/* Its number of variables is written at boot. */
static struct wr_module upstream_module = {.conf = &wr_group_conf,
                                           .vars = wr_up_vars,
                                           .balancers = balancers,
                                           .balancer_cnt = WR_ARRAY_LEN(balancers)};

static const struct wr_module *const modules[] = {
#define OWN(name)    &(name),
#define MODULE(name) &(name),
#include "main/modules.def" /* allow(path): a list, no header */
#undef OWN
#undef MODULE
};

static struct wr_conf_module *conf_modules[WR_ARRAY_LEN(modules)]; /* written at boot */
static struct wr_registry registry;                                /* written at boot */

enum wr_status wr_modules_boot(void)
{
    const char *clash = "";
    struct wr_strbuf err;
    size_t cnt = 0;
    enum wr_status st;

    upstream_module.var_cnt = wr_up_vars_cnt;
    if (wr_modules_set(modules, WR_ARRAY_LEN(modules), &clash) != WR_OK) {
        wr_say(WR_LOG_EMERG, 0, "two modules define \"%s\"", clash);
        return WR_ECONFIG;
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(modules); i++) {
        if (modules[i]->conf != NULL) {
            conf_modules[cnt++] = modules[i]->conf;
        }
    }
    wr_strbuf_init(&err, 4096);
    st = wr_registry_init(&registry, conf_modules, cnt, &err);
    if (st != WR_OK) {
        wr_say(WR_LOG_EMERG, 0, "%.*s", WR_STR_ARG(wr_strbuf_str(&err)));
    }
    wr_strbuf_fini(&err);
    return st;
}

/* Written by wr_modules_use. */
static const struct wr_module *extended[WR_ARRAY_LEN(modules) + WR_MODULES_MORE_MAX];

/* A registry with modules that were loaded; all of them, for the end. */
struct extension {
    struct wr_registry registry;
    struct wr_conf_module *confs[WR_ARRAY_LEN(modules) + WR_MODULES_MORE_MAX];
    bool is_hidden[WR_ARRAY_LEN(modules) + WR_MODULES_MORE_MAX];
    struct extension *next;
};

static struct extension *extensions; /* the thread that loads a configuration */

enum wr_status wr_modules_use(const struct wr_modules_more *more, struct wr_strbuf *err)
{
    size_t n = WR_ARRAY_LEN(modules);
    const char *clash = "";

    memcpy(extended, modules, sizeof(modules));
    for (size_t i = 0; i < more->cnt; i++) {
        const struct wr_module *m = more->at[i];

        if (more->is_hidden[i]) {
            wr_vars_unregister(m->vars, m->var_cnt);
        } else {
            extended[n++] = m;
        }
    }
    if (wr_modules_set(extended, n, &clash) != WR_OK) {
        wr_strbuf_printf(err, "\"%s\" is defined by another module", clash);
        return WR_ECONFIG;
    }
    return WR_OK;
}

enum wr_status wr_modules_extend(const struct wr_modules_more *more, const struct wr_registry **ret,
                                 struct wr_strbuf *err)
{
    struct extension *x = wr_mem_alloc(sizeof(*x));
    size_t n = registry.module_cnt;

    memcpy(x->confs, conf_modules, n * sizeof(struct wr_conf_module *));
    for (size_t i = 0; i < more->cnt; i++) {
        if (more->at[i]->conf != NULL) {
            x->is_hidden[n] = more->is_hidden[i];
            x->confs[n++] = more->at[i]->conf;
        }
    }
    if (wr_registry_init_some(&x->registry, x->confs, n, x->is_hidden, err) != WR_OK) {
        wr_registry_fini(&x->registry);
        wr_mem_free(x);
        return WR_ECONFIG;
    }
    x->next = extensions;
    extensions = x;
    *ret = &x->registry;
    return WR_OK;
}

const struct wr_registry *wr_modules_registry(void)
{
    return &registry;
}

void wr_modules_end(void)
{
    struct extension *x;

    while ((x = extensions) != NULL) {
        extensions = x->next;
        wr_registry_fini(&x->registry);
        wr_mem_free(x);
    }
    wr_registry_fini(&registry);
}
