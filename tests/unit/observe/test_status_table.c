/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of `weir status`: byte for byte, with documents of other versions, and with none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "observe/status_table.h"

static void expect(const char *json, const char *want)
{
    struct wr_strbuf b;

    wr_strbuf_init(&b, 65536);
    assert_int_equal(wr_status_table_write(wr_str_z(json), &b), WR_OK);
    assert_string_equal(wr_strbuf_cstr(&b), want);
    wr_strbuf_fini(&b);
}

static void test_whole(void **state)
{
    (void)state;
    expect(
        "{\"version\":\"0.1.0\",\"pid\":17,\"uptime_ms\":273600000,\"state\":\"serves\","
        "\"file\":\"/etc/weir.conf\",\"configuration\":3,\"last_reload\":{\"ok\":false,"
        "\"ago_ms\":61500},\"listen\":[\"0.0.0.0:80\",\"[::]:80\"],\"new_binary_pid\":99,"
        "\"workers\":[{\"pid\":18,\"role\":\"serves\",\"uptime_ms\":3720000,\"report\":{"
        "\"threads\":[{\"number\":0,\"state\":\"serves\",\"load\":0.25,\"connections\":1200,"
        "\"requests\":7,\"idle_peer_connections\":3,\"descriptors\":1210},"
        "{\"number\":1,\"state\":\"silent\",\"load\":1.000},{\"number\":2,\"state\":\"ended\"}],"
        "\"configurations\":[{\"number\":2,\"served\":false,\"age_ms\":90000,\"requests\":1,"
        "\"connections\":0,\"threads\":1},{\"number\":3,\"served\":true,\"age_ms\":61500,"
        "\"requests\":6,\"connections\":1200,\"threads\":1}],"
        "\"groups\":[{\"name\":\"app\",\"method\":\"round_robin\",\"idle\":3,\"shelf\":1,"
        "\"peers\":[{\"server\":\"a:80\",\"address\":\"10.0.0.1:80\",\"state\":\"up\",\"active\":7,"
        "\"requests\":100,\"failures\":0,\"fails\":0,\"max_fails\":1,\"weight\":2,"
        "\"effective_weight\":2,\"max_conns\":10,\"backup\":false},"
        "{\"server\":\"10.0.0.2:80\",\"address\":\"10.0.0.2:80\",\"state\":\"out\","
        "\"out_for_ms\":4200,\"active\":0,\"requests\":5,\"failures\":5,\"fails\":1,"
        "\"max_fails\":1,\"weight\":1,\"effective_weight\":0,\"max_conns\":0,\"backup\":true}]}],"
        "\"zones\":[{\"name\":\"z\",\"kind\":\"limit_req\",\"bytes\":1048576,\"room\":23700,"
        "\"keys\":12,\"forgotten\":3}],"
        "\"pools\":{\"resident_bytes\":5242880,\"objects_bytes\":1023,\"chunks_bytes\":0}}},"
        "{\"pid\":12,\"role\":\"leaves\",\"uptime_ms\":999,\"silent\":\"it does not answer\"},"
        "{\"pid\":13,\"role\":\"leaves\",\"uptime_ms\":999,\"silent\":\"it does not answer\","
        "\"load\":0.998}]}",
        "weir 0.1.0, process 17, up 3 d 4 h, state: serves\n"
        "configuration 3 of /etc/weir.conf; the last reload FAILED 1 min 1 s ago\n"
        "listens on 0.0.0.0:80 [::]:80\n"
        "a new binary takes over: process 99\n"
        "\n"
        "worker process 18, up 1 h 2 min\n"
        "  thread     load  connections  requests  idle peers  descriptors  state\n"
        "       0   25.0 %         1200         7           3         1210  serves\n"
        "       1  100.0 %            -         -           -            -  does not answer\n"
        "       2        -            -         -           -            -  ended\n"
        "\n"
        "  configuration         age  held by: requests  connections  threads\n"
        "  2              1 min 30 s                  1            0        1\n"
        "  3 (served)      1 min 1 s                  6         1200        1\n"
        "\n"
        "  memory: 5.0 MB resident, objects 1023.0 B, bytes in transit 0.0 B\n"
        "\n"
        "group app: round_robin, idle connections: 3 with threads, 1 shared\n"
        "  server               active  requests  failures   fails  weight  state\n"
        "  a:80 (10.0.0.1:80)  7 of 10       100         0  0 of 1  2 of 2  up\n"
        "  10.0.0.2:80               0         5         5  1 of 1  0 of 1  out, next try in "
        "4.2 s, backup\n"
        "\n"
        "zone z: limit_req, 1.0 MB, keys: 12 of 23700, forgotten: 3\n"
        "\n"
        "worker process 12, up 0.9 s, ends when its requests have\n"
        "  it does not answer\n"
        "\n"
        "worker process 13, up 0.9 s, ends when its requests have\n"
        "  it does not answer, load 99.8 %\n");
}

/* What another version does not tell, or tells otherwise, is no reason to show nothing. */
static void test_gaps(void **state)
{
    (void)state;
    expect("{\"workers\":[]}", "weir -, process -, up 0.0 s, state: -\nconfiguration - of -\n"
                               "listens on\n");
    expect("{\"pid\":\"x\",\"version\":7,\"listen\":[1,\"a\"],\"workers\":[{\"role\":\"comes\"}]}",
           "weir -, process -, up 0.0 s, state: -\nconfiguration - of -\nlistens on  a\n\n"
           "worker process -, up 0.0 s, about to serve\n  -\n");
    expect("{\"workers\":[{\"report\":{\"threads\":7,\"groups\":[{}]}}]}",
           "weir -, process -, up 0.0 s, state: -\nconfiguration - of -\nlistens on\n\n"
           "worker process -, up 0.0 s\n"
           "  thread  load  connections  requests  idle peers  descriptors  state\n\n"
           "  configuration  age  held by: requests  connections  threads\n\n"
           "  memory: 0.0 B resident, objects 0.0 B, bytes in transit 0.0 B\n\n"
           "group -: -, idle connections: - with threads, - shared\n"
           "  server  active  requests  failures  fails  weight  state\n");
}

/* Names reach a terminal: no control byte does; width counts characters, not bytes. */
static void test_texts(void **state)
{
    (void)state;
    expect("{\"version\":\"\\u001b[31m\",\"workers\":[]}",
           "weir \\x1B[31m, process -, up 0.0 s, state: -\nconfiguration - of -\nlistens on\n");
    expect("{\"workers\":[{\"report\":{\"groups\":[{\"peers\":[{\"server\":\"b\\u00fc\"},"
           "{\"server\":\"bu\"}]}]}}]}",
           "weir -, process -, up 0.0 s, state: -\nconfiguration - of -\nlistens on\n\n"
           "worker process -, up 0.0 s\n"
           "  thread  load  connections  requests  idle peers  descriptors  state\n\n"
           "  configuration  age  held by: requests  connections  threads\n\n"
           "  memory: 0.0 B resident, objects 0.0 B, bytes in transit 0.0 B\n\n"
           "group -: -, idle connections: - with threads, - shared\n"
           "  server  active  requests  failures   fails  weight  state\n"
           "  b\xc3\xbc           -         -         -  - of -  - of -  -\n"
           "  bu           -         -         -  - of -  - of -  -\n");
}

static void test_not_a_status(void **state)
{
    static const char *const rows[] = {"", "{", "[]", "7", "{\"workers\":{}}", "{}", "ok", "null"};
    struct wr_strbuf b;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        wr_strbuf_init(&b, 1024);
        assert_int_equal(wr_status_table_write(wr_str_z(rows[i]), &b), WR_EPROTO);
        assert_int_equal(b.len, 0);
        wr_strbuf_fini(&b);
    }
    wr_strbuf_init(&b, 10);
    assert_int_equal(wr_status_table_write(WR_STR("{\"workers\":[]}"), &b), WR_ELIMIT);
    wr_strbuf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_not_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
