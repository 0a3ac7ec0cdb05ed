/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.c: the registry of modules. Nothing but modules.def names a concrete module, balancer or
 * protocol; a missing symbol fails the link, two rows of one name fail the start with both named.
 */
#include "main/modules.h"

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

const struct wr_registry *wr_modules_registry(void)
{
    return &registry;
}

void wr_modules_end(void)
{
    wr_registry_fini(&registry);
}
