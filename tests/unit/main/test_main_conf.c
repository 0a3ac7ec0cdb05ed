/* SPDX-License-Identifier: Apache-2.0 */
/* Directives of the main level and of events{}, loaded with the whole program's registry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/log.h"
#include "event/thread.h"
#include "event/watchdog.h"
#include "http/server.h"
#include "main/main_conf.h"
#include "main/modules.h"
#include "up/group.h"

static struct wr_main_load kind;

/* NULL: refused, the first message is in err. */
static struct wr_gen *load(const char *text, const char *cmdline, char *err, size_t size)
{
    const struct wr_conf_text file = {.path = "/t/weir.conf", .text = text};
    const struct wr_conf_texts texts = {&file, 1};
    struct wr_gen *gen = NULL, *failed = NULL;
    struct wr_conf_source source;
    struct wr_conf_opts o = {.registry = wr_modules_registry(),
                             .source = &source,
                             .path = WR_STR("/t/weir.conf"),
                             .prefix = WR_STR("/prefix/"),
                             .cmdline = wr_str_z(cmdline),
                             .data = &kind,
                             .gen_no = 1};
    struct wr_diags diags;
    struct wr_strbuf b;
    struct wr_arena a;
    enum wr_status st;

    wr_conf_source_texts(&source, &texts);
    wr_arena_init(&a, 1 << 20);
    wr_diags_init(&diags, &a);
    st = wr_conf_load(&o, &diags, &gen, &failed);
    wr_strbuf_init_fixed(&b, err, size);
    if (diags.head != NULL) {
        wr_diag_write_text(diags.head, &b);
    }
    err[b.len] = '\0';
    wr_gen_unref(failed);
    wr_arena_fini(&a);
    return st == WR_OK ? gen : NULL;
}

static void test_defaults(void **state)
{
    char err[512];
    struct wr_gen *g = load("events {}\n", "", err, sizeof(err));
    const struct wr_main_conf *mc;

    (void)state;
    assert_non_null(g);
    mc = wr_main_conf_of(g);
    assert_int_equal(mc->threads, 1);
    assert_null(mc->threads_node);
    assert_int_equal(mc->worker_connections, 512);
    assert_int_equal(mc->stall_threshold_ms, WR_WATCHDOG_STALL_MS);
    assert_true(mc->daemon && mc->master_process);
    assert_true(wr_str_eq_z(mc->pid, WR_PID_PATH));
    assert_int_equal(mc->priority, WR_MAIN_UNSET_NUM);
    assert_true(mc->rlimit_core == UINT64_MAX);
    assert_int_equal(mc->rlimit_nofile, 0);
    assert_int_equal(mc->env.cnt, 1);
    assert_true(wr_str_eq_z(mc->env.at[0], "TZ"));
    wr_gen_unref(g);
}

static void test_values(void **state)
{
    static const char text[] =
        "worker_processes 3; worker_priority -5; worker_cpu_affinity 0001 0110;\n"
        "worker_rlimit_nofile 1000; worker_rlimit_core 1g; worker_shutdown_timeout 10s;\n"
        "working_directory /w; pid run/x.pid; daemon off; env A; env B=c; pcre_jit on;\n"
        "thread_pool default threads=4 max_queue=8; lock_file x; timer_resolution 10ms;\n"
        "events { worker_connections 7; stall_threshold 2s; use epoll; multi_accept on; accept_mutex on;\n"
        "         accept_mutex_delay 1s; debug_connection ::1; worker_aio_requests 4; }\n";
    char err[512];
    struct wr_gen *g = load(text, "master_process off;", err, sizeof(err));
    const struct wr_main_conf *mc;

    (void)state;
    assert_string_equal(err, "");
    assert_non_null(g);
    mc = wr_main_conf_of(g);
    assert_int_equal(mc->threads, 3);
    assert_non_null(mc->threads_node);
    assert_int_equal(mc->priority, -5);
    assert_int_equal(mc->affinity.cnt, 2);
    assert_true(CPU_ISSET(0, &mc->affinity.at[0]) && CPU_COUNT(&mc->affinity.at[0]) == 1);
    assert_true(CPU_ISSET(1, &mc->affinity.at[1]) && CPU_ISSET(2, &mc->affinity.at[1]));
    assert_int_equal(mc->rlimit_nofile, 1000);
    assert_true(mc->rlimit_core == 1u << 30);
    assert_int_equal(mc->shutdown_timeout_ms, 10000);
    assert_true(wr_str_eq_z(mc->pid, "/prefix/run/x.pid"));
    assert_false(mc->daemon);
    assert_false(mc->master_process);
    assert_int_equal(mc->env.cnt, 2);
    assert_int_equal(mc->worker_connections, 7);
    assert_int_equal(mc->stall_threshold_ms, 2000);
    wr_gen_unref(g);
}

static void test_threads(void **state)
{
    char err[512];
    struct wr_gen *g = load("worker_processes auto; events {}", "", err, sizeof(err));

    (void)state;
    assert_non_null(g);
    assert_int_equal(wr_main_conf_of(g)->threads, wr_thread_cpus());
    wr_gen_unref(g);
    g = load("worker_processes 100000; events {}", "", err, sizeof(err));
    assert_non_null(g);
    assert_int_equal(wr_main_conf_of(g)->threads, WR_THREADS_MAX);
    assert_string_equal(err, "128 threads are the most there can be in /t/weir.conf:1");
    wr_gen_unref(g);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *err;
    } table[] = {
        {"daemon off;",                          "no \"events\" section in configuration"                    },
        {"worker_processes x; events {}",
         "\"worker_processes\" directive invalid value in /t/weir.conf:1"                                    },
        {"worker_processes 0; events {}",
         "\"worker_processes\" directive invalid value in /t/weir.conf:1"                                    },
        {"worker_priority 21; events {}",        "invalid number \"21\" in /t/weir.conf:1"                   },
        {"worker_cpu_affinity 012; events {}",   "invalid character in \"012\" in /t/weir.conf:1"            },
        {"worker_rlimit_core x; events {}",
         "\"worker_rlimit_core\" directive invalid value in /t/weir.conf:1"                                  },
        {"env =x; events {}",                    "\"env\" directive invalid value in /t/weir.conf:1"         },
        {"thread_pool a max_queue=1; events {}",
         "\"thread_pool\" must have \"threads\" parameter in /t/weir.conf:1"                                 },
        {"thread_pool a threads=0; events {}",
         "invalid threads value \"threads=0\" in /t/weir.conf:1"                                             },
        {"events { use kqueue; }",               "invalid event type \"kqueue\" in /t/weir.conf:1"           },
        {"events { worker_connections 0; }",
         "invalid number \"0\" in \"worker_connections\" directive in /t/weir.conf:1"                        },
        {"events {} events {}",                  "\"events\" directive is duplicate in /t/weir.conf:1"       },
        {"events { daemon on; }",                "\"daemon\" directive is not allowed here in /t/weir.conf:1"},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(table); i++) {
        char err[512];

        assert_null(load(table[i].text, "", err, sizeof(err)));
        assert_string_equal(err, table[i].err);
    }
}

static int boot(void **state)
{
    (void)state;
    return wr_modules_boot() == WR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    wr_modules_end();
    return 0;
}

static void test_debug_connection(void **state)
{
    static const struct {
        const char *addr, *text; /* text NULL: fine */
    } rows[] = {
        {"10.0.0.0/8", NULL                                                },
        {"::1",        NULL                                                },
        {"fe80::/10",  NULL                                                },
        {"unix:",      NULL                                                },
        {"10.1.0.0/8", "low address bits of \"10.1.0.0/8\" are meaningless"},
        {"1.2.3.4/33", "invalid address or CIDR \"1.2.3.4/33\""            },
        {"all",        "invalid address or CIDR \"all\""                   },
        {"no.such",    "invalid address or CIDR \"no.such\""               },
    };

    char text[200], err[512];
    const struct wr_main_conf *mc;
    struct wr_gen *g;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        (void)snprintf(text, sizeof(text),
                       "events { debug_connection 1.2.3.4; debug_connection %s; }", rows[i].addr);
        err[0] = '\0';
        g = load(text, "", err, sizeof(err));
        if (rows[i].text != NULL) {
            assert_non_null(strstr(err, rows[i].text));
        }
        assert_int_equal(g == NULL, strstr(err, "invalid") != NULL);
        if (g != NULL) {
            mc = wr_main_conf_of(g);
            assert_int_equal(mc->debug_clients.cnt, 2);
            assert_int_equal(mc->debug_clients.at[0].family, AF_INET);
        }
        wr_gen_unref(g);
    }
    assert_true(wr_log_may_debug());
    g = load("events { debug_connection unix:; } http { server { } }", "", err, sizeof(err));
    assert_non_null(g);
    assert_int_equal(wr_http_of(g)->debug_client_cnt, 1);
    assert_int_equal(wr_http_of(g)->debug_clients[0].family, AF_UNIX);
    wr_gen_unref(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),         cmocka_unit_test(test_values),
        cmocka_unit_test(test_threads),          cmocka_unit_test(test_refused),
        cmocka_unit_test(test_debug_connection),
    };

    return cmocka_run_group_tests(tests, boot, end);
}
