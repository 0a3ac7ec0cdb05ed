/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_map.c: map, geo and split_clients with failing memory, while they are built and while a
 * request asks them. What they find is in tests/func/test_map.py and kin, which nginx passes too.
 */
#include "../http/full_kit.h"

#include "base/mem.h"

static const char http[] =
    "http { map $arg_a $m { hostnames; a.b 1; *.c.d 2; e.* 3; ~^(?<n>x)(.*)$ $2$n; default $arg_b; } "
    "geo $arg_a $g { default d; proxy 127.0.0.1; proxy_recursive; 10.0.0.0/8 a; 10.1.0.0/16 b; "
    "delete 10.2.0.0/16; ::1 c; } "
    "geo $r { ranges; default d; 127.0.0.0-127.255.255.255 a; 127.0.0.1-127.0.0.1 b; } "
    "split_clients $arg_a$arg_b $s { 50% a; * b; } "
    "access_log off; server { listen 127.0.0.1:1; location / { return 200 $m,$g,$r,$s; } } }";

static void without_memory_at_load(void **state)
{
    char out[4096];
    unsigned n;

    (void)state;
    for (n = 1; n < 5000; n++) {
        struct wr_gen *g;

        wr_mem_fault_set(n);
        g = kit_load(http, out, sizeof(out));
        wr_mem_fault_set(0);
        if (g) {
            wr_gen_unref(g);
            break;
        }
        assert_non_null(strstr(out, "[emerg]"));
    }
    assert_in_range(n, 50, 4999);
}

static void values(void **state)
{
    static const struct {
        const char *target, *body;
    } cases[] = {
        {"/?a=A.B",         "1,d,b,"  },
        {"/?a=z.C.d&b=q",   "2,d,b,"  },
        {"/?a=e.f",         "3,d,b,"  },
        {"/?a=xyz",         "yzx,d,b,"},
        {"/?a=none&b=x",    "x,d,b,"  },
        {"/?a=10.1.2.3&b=", ",b,b,"   },
        {"/?a=::1",         ",c,b,"   },
        {"/?a=127.0.0.1",   ",a,b,"   },
    };
    struct kit k;

    (void)state;
    kit_start(&k, http);
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        char line[128];
        const char *body;

        (void)snprintf(line, sizeof(line), "GET %s", cases[i].target);
        body = kit_body(full_ask(&k, line, "X-Forwarded-For: 10.3.3.3, 127.0.0.1\r\n"));
        if (strncmp(body, cases[i].body, strlen(cases[i].body)) != 0) {
            fail_msg("%s: %s", cases[i].target, body);
        }
    }
    full_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_at_load),
        cmocka_unit_test(values),
    };
    int rc;

    full_boot();
    rc = cmocka_run_group_tests_name("mod/map", tests, NULL, NULL);
    full_end();
    return rc;
}
