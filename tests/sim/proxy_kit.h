/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_kit.h: a configuration with the real modules for the simulator: one address, 10.0.0.1:80,
 * before a group of 10.0.0.2:80 and 10.0.0.3:80; for the simulator's proxy test and its fuzz
 * target.
 */
#ifndef WR_TESTS_SIM_PROXY_KIT_H
#define WR_TESTS_SIM_PROXY_KIT_H

#include <string.h>

#include "base/chunk.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/gen.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "http/range.h"
#include "http/server.h"
#include "http/vars_core.h"
#include "lb/rr.h"
#include "sim/sim.h"
#include "up/group.h"
#include "up/idle.h"
#include "up/up.h"

extern const struct wr_module wr_proxy_module;

static const struct wr_lb *const lbs[] = {&wr_lb_rr};
static const struct wr_module core_module = {.conf = &wr_core_conf};
static struct wr_module up_module = {.conf = &wr_group_conf, .balancers = lbs, .balancer_cnt = 1};
#ifndef MORE_MODULES /* a test may have some more, with a comma behind each */
#    define MORE_MODULES
#endif
static const struct wr_module *const modules[] = {&core_module, &up_module, &wr_vars_core_module,
                                                  &wr_range_module, MORE_MODULES &wr_proxy_module};
static struct wr_conf_text kit_files[4]; /* the first is the configuration; a test may add others */
static size_t kit_file_cnt = 1;
static struct wr_registry registry;
static WR_UNUSED struct wr_gen *gen;
static struct wr_fixtures fixtures;

/* clang-format off */
#ifndef CONF /* a test may have its own */
#define CONF \
    "http { upstream u { server 10.0.0.2:80 max_fails=0; server 10.0.0.3:80 max_fails=0; }\n" \
    "server { listen 10.0.0.1:80; location / { proxy_pass http://u; proxy_read_timeout 5s;" \
    " proxy_connect_timeout 5s; proxy_next_upstream error timeout non_idempotent; }" \
    " location /off { proxy_request_buffering off; proxy_buffering off; proxy_pass http://u; }" \
    " location /up { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;" \
    " proxy_set_header Connection upgrade; proxy_pass http://u; } } }"
#endif
/* clang-format on */

/* The modules and their directives. 0, or -1 with a word on stderr. */
static inline int proxy_register(void)
{
    static struct wr_conf_module *confs[WR_ARRAY_LEN(modules)];
    const char *err = NULL;
    size_t conf_cnt = 0;
    struct wr_strbuf b;

    up_module.var_cnt = wr_up_vars_cnt;
    up_module.vars = wr_up_vars;
    if (wr_modules_set(modules, WR_ARRAY_LEN(modules), &err) != WR_OK) {
        return -1;
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(modules); i++) {
        if (modules[i]->conf != NULL) {
            confs[conf_cnt++] = modules[i]->conf;
        }
    }
    wr_strbuf_init(&b, 4096);
    if (wr_registry_init(&registry, confs, conf_cnt, &b) != WR_OK) {
        wr_log(NULL, WR_LOG_EMERG, "%.*s", WR_STR_ARG(wr_strbuf_str(&b)));
        return -1;
    }
    wr_strbuf_fini(&b);
    wr_fixtures_init(&fixtures);
    return 0;
}

/* A generation of CONF. 0, or -1 with a word on stderr; none where an allocation was made to fail.
 */
static inline int proxy_load(struct wr_gen **ret)
{
    static struct wr_conf_texts texts = {kit_files, 1};
    struct wr_conf_source source;
    struct wr_conf_opts o = {.registry = &registry,
                             .path = WR_STR("/t/weir.conf"),
                             .prefix = WR_STR("/tmp/"),
                             .source = &source,
                             .fixtures = &fixtures};
    struct wr_diags diags;
    struct wr_strbuf b;
    enum wr_status st;
    struct wr_arena a;

    kit_files[0] = (struct wr_conf_text){"/t/weir.conf", CONF, 0, 0};
    texts.cnt = kit_file_cnt;
    wr_conf_source_texts(&source, &texts);
    wr_arena_init(&a, 1 << 20);
    wr_diags_init(&diags, &a);
    st = wr_conf_load(&o, &diags, ret, NULL);
    if (st != WR_OK && !sim_is_faulted()) {
        wr_strbuf_init(&b, 65536);
        wr_diags_write(&diags, WR_DIAG_PLAIN, &b);
        wr_log(NULL, WR_LOG_EMERG, "%.*s", WR_STR_ARG(wr_strbuf_str(&b)));
        wr_strbuf_fini(&b);
    }
    wr_arena_fini(&a);
    return st == WR_OK ? 0 : -1;
}

static inline int proxy_boot(void)
{
    return proxy_register() == 0 ? proxy_load(&gen) : -1;
}

static inline void proxy_unregister(void)
{
    (void)wr_fixtures_sweep(&fixtures);
    wr_fixtures_fini(&fixtures);
    wr_registry_fini(&registry);
}

static inline void proxy_end(void)
{
    wr_idle_process_end();
    wr_gen_unref(gen);
    proxy_unregister();
}

/* The same for a group of tests. */
static inline int proxy_setup(void **state)
{
    (void)state;
    return proxy_boot();
}

static inline int proxy_teardown(void **state)
{
    (void)state;
    proxy_end();
    return 0;
}

/* Only what stops weir is told: tests cause all the rest on purpose. */
static inline void proxy_be_quiet(void)
{
    static const struct wr_log_sink quiet = {.fd = 2, .level = WR_LOG_EMERG};

    wr_log_set_default(&quiet);
}

#endif
