/* SPDX-License-Identifier: Apache-2.0 */
/* test_load_module.c: whose a module file is, and what `load_module` says about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/gen.h"
#include "conf/types.h"
#include "main/load_module.h"

/* A program that has `load_module`, `events` and `stream`: a registry of its own. */
static enum wr_status set_block(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    (void)cf, (void)dir, (void)node, (void)conf;
    return WR_OK;
}

static const struct wr_dir dirs[] = {
    {.name = "load_module",
     .contexts = WR_CTX_MAIN,
     .min = 1,
     .max = 1,
     .flags = WR_DIR_REPEAT,
     .kind = WR_KIND_NONE,
     .set = wr_load_module_set},
    {.name = "stream",
     .contexts = WR_CTX_MAIN,
     .flags = WR_DIR_BLOCK,
     .kind = WR_KIND_NONE,
     .set = set_block  },
    {.name = "geoip_country",
     .contexts = WR_CTX_STREAM,
     .min = 1,
     .max = 1,
     .kind = WR_KIND_NONE,
     .set = wr_set_ignore    },
    {.name = "user",
     .contexts = WR_CTX_MAIN,
     .min = 1,
     .max = 1,
     .kind = WR_KIND_NONE,
     .set = wr_set_ignore},
    WR_DIR_END
};

static struct wr_conf_module toy = {.name = "toy", .dirs = dirs};
static struct wr_conf_module *const toys[] = {&toy};

/* All messages, "[level] text" with '\n' between them. */
static enum wr_status load(const char *text, char *out, size_t size)
{
    const struct wr_conf_text file = {.path = "/t/weir.conf", .text = text};
    const struct wr_conf_texts texts = {&file, 1};
    struct wr_gen *gen = NULL, *failed = NULL;
    struct wr_conf_source source;
    struct wr_registry registry;
    struct wr_conf_opts o = {
        .registry = &registry, .source = &source, .path = WR_STR("/t/weir.conf"), .gen_no = 1};
    struct wr_diags diags;
    struct wr_strbuf b;
    struct wr_arena a;
    enum wr_status st;

    wr_strbuf_init(&b, 4096);
    assert_int_equal(wr_registry_init(&registry, toys, 1, &b), WR_OK);
    wr_strbuf_fini(&b);
    wr_conf_source_texts(&source, &texts);
    wr_arena_init(&a, 1 << 20);
    wr_diags_init(&diags, &a);
    st = wr_conf_load(&o, &diags, &gen, &failed);
    wr_strbuf_init_fixed(&b, out, size);
    for (const struct wr_diag *e = diags.head; e != NULL; e = e->next) {
        wr_strbuf_printf(&b, "[%s] ", wr_log_level_name(e->level));
        wr_diag_write_text(e, &b);
        wr_strbuf_add_char(&b, '\n');
    }
    assert_int_equal(b.status, WR_OK);
    out[b.len] = '\0';
    wr_gen_unref(failed);
    wr_gen_unref(gen);
    wr_arena_fini(&a);
    wr_registry_fini(&registry);
    return st;
}

static void test_messages(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
  /* Built in: skipped, wherever it lies and whether it is there or not. */
        {"load_module modules/ngx_stream_module.so;",
         "[notice] \"modules/ngx_stream_module.so\" is not loaded: weir itself has the directives of "
         "ngx_stream_module in /t/weir.conf:1\n"                                         },
        {"user x;\nload_module /no/where/ngx_stream_module.so;\nstream { }\n",
         "[notice] \"/no/where/ngx_stream_module.so\" is not loaded: weir itself has the directives of "
         "ngx_stream_module in /t/weir.conf:2\n"                                         },
        {"load_module ngx_stream_geoip_module.so;",
         "[notice] \"ngx_stream_geoip_module.so\" is not loaded: weir itself has the directives of "
         "ngx_stream_geoip_module in /t/weir.conf:1\n"                                   },
 /* The same directive in another place is another module. */
        {"load_module m/ngx_http_geoip_module.so;",
         "[emerg] cannot load \"m/ngx_http_geoip_module.so\": it is the file of "
         "ngx_http_geoip_module, a module of nginx in Debian's package libnginx-mod-http-geoip, "
         "whose directives are not supported yet in /t/weir.conf:1\n"                    },
        {"load_module m/ngx_http_naxsi_module.so;",
         "[emerg] cannot load \"m/ngx_http_naxsi_module.so\": it is the file of "
         "ngx_http_naxsi_module, a module for nginx by a third party, whose directives are not "
         "supported yet in /t/weir.conf:1\n"                                             },
        {"load_module ndk_http_module.so;",
         "[emerg] cannot load \"ndk_http_module.so\": it is the file of ndk_http_module, a module "
         "for nginx by a third party in Debian's package libnginx-mod-http-ndk, whose directives "
         "are not supported yet in /t/weir.conf:1\n"                                     },
 /* Files of ours are main/plugin.c's. */
        {"load_module modules/mine.so;",                                               ""},
        {"load_module a/mine.so;\nload_module b/mine.so;\n",                           ""},
        {"load_module a/mine.so;\nload_module a/mine.so;\n",
         "[emerg] module \"a/mine.so\" is already loaded in /t/weir.conf:2\n"            },
 /* As nginx. */
        {"stream { }\nload_module ngx_stream_module.so;",
         "[emerg] \"load_module\" directive is specified too late in /t/weir.conf:2\n"   },
        {"load_module a/ngx_stream_module.so;\nload_module b/ngx_stream_module.so;\n",
         "[notice] \"a/ngx_stream_module.so\" is not loaded: weir itself has the directives of "
         "ngx_stream_module in /t/weir.conf:1\n"
         "[emerg] module \"ngx_stream_module\" is already loaded in /t/weir.conf:2\n"    },
        {"load_module;",                                                               "[emerg] invalid number of arguments in \"load_module\" directive in "
                         "/t/weir.conf:1\n"                      },
        {"stream { load_module x.so; }",                                               ""}, /* data of the toy's block */
    };

    char out[2048];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        enum wr_status st = load(cases[i].text, out, sizeof(out));

        assert_string_equal(out, cases[i].says);
        assert_int_equal(st, strstr(out, "[emerg]") == NULL ? WR_OK : WR_ECONFIG);
    }
}

static void test_table(void **state)
{
    const struct wr_foreign_module *m, *before = NULL;
    size_t cnt = 0;

    (void)state;
    for (; (m = wr_foreign_module_at(cnt)) != NULL; cnt++) {
        char path[128];
        int n = snprintf(path, sizeof(path), "/usr/lib/nginx/modules/%s.so", m->file);

        assert_true(before == NULL || strcmp(before->file, m->file) < 0);
        assert_ptr_equal(wr_foreign_module_find(wr_str(path, (size_t)n)), m);
        assert_ptr_equal(wr_foreign_module_find(wr_str(path + 23, (size_t)n - 23)), m);
        assert_null(wr_foreign_module_find(wr_str(path, (size_t)n - 1)));
        assert_true((m->dir != NULL) == (m->ctx != 0));
        before = m;
    }
    assert_true(cnt > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
