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
/* clang-format off */
static const struct wr_module *const modules[] = {&core_module, &up_module, &wr_vars_core_module,
                                                  &wr_range_module, &wr_proxy_module,
#ifdef MORE_MODULE /* a test may have one more, with directives */
                                                  &MORE_MODULE,
#endif
#ifdef MORE_MODULES /* or several, with a comma behind each */
                                                  MORE_MODULES
#endif
};
/* clang-format on */
static struct wr_conf_text kit_files[4]; /* the first is the configuration; a test may add others */
static size_t kit_file_cnt = 1;
static struct wr_registry registry;
static struct wr_gen *gen;
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

/* 0, or -1 with a word on stderr. */
static int proxy_boot(void)
{
    static struct wr_conf_module *confs[WR_ARRAY_LEN(modules)];
    static struct wr_conf_texts texts = {kit_files, 1};
    struct wr_conf_opts o = {
        .registry = &registry, .path = WR_STR("/t/weir.conf"), .prefix = WR_STR("/tmp/")};
    struct wr_conf_source source;
    const char *err = NULL;
    struct wr_diags diags;
    struct wr_strbuf b;
    struct wr_arena a;
    size_t conf_cnt = 0;

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
    kit_files[0] = (struct wr_conf_text){"/t/weir.conf", CONF, 0, 0};
    texts.cnt = kit_file_cnt;
    wr_strbuf_init(&b, 4096);
    if (wr_registry_init(&registry, confs, conf_cnt, &b) != WR_OK) {
        wr_log(NULL, WR_LOG_EMERG, "%.*s", WR_STR_ARG(wr_strbuf_str(&b)));
        return -1;
    }
    wr_strbuf_fini(&b);
    wr_conf_source_texts(&source, &texts);
    wr_fixtures_init(&fixtures);
    o.source = &source;
    o.fixtures = &fixtures;
    wr_arena_init(&a, 1 << 20);
    wr_diags_init(&diags, &a);
    if (wr_conf_load(&o, &diags, &gen, NULL) != WR_OK) {
        wr_strbuf_init(&b, 65536);
        wr_diags_write(&diags, WR_DIAG_PLAIN, &b);
        wr_log(NULL, WR_LOG_EMERG, "%.*s", WR_STR_ARG(wr_strbuf_str(&b)));
        return -1;
    }
    wr_arena_fini(&a);
    return 0;
}

static void proxy_end(void)
{
    wr_idle_process_end();
    wr_gen_unref(gen);
    (void)wr_fixtures_sweep(&fixtures);
    wr_fixtures_fini(&fixtures);
    wr_registry_fini(&registry);
}

#endif
