/* SPDX-License-Identifier: Apache-2.0 */
/* test_passwd.c: forms of hashes: the right password, wrong ones, hashes that are none. */
#include "mod/passwd.h"

#include <string.h>

#include "base/mem.h"
#include "unit/base/t.h"

struct row {
    const char *hash, *password;
};

static const struct row good[] = {
    {"{PLAIN}pw",                                                                 "pw"},
    {"{PLAIN}",                                                                   ""  },
    {"$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1",                                     "pw"},
    {"$apr1$ab$S8K6Sgp3W8c9Jb6LxgywZ.",                                           ""  },
    {"$1$abcdefgh$IQtUouv7y7Q9dRWkQEPCc.",                                        "pw"},
    {"$5$abcdefgh$ijtOJ//yvc/9bq1g0llFn9dB688BwBDRD90DlKKSKE1",                   "pw"},
    {"$2y$04$/jHAyxzoY4kynYnrh7IjNu2eB8GoUdcwqY076xAzqskp4B6vmgYvS",              "pw"},
    {"$y$j75$F5Jx5fExrKuPp53xLKQ..1$6z8bJ9aRId.8ArLYSYDplRF69XwusC3CguNEDPO713.", "pw"},
    {"2QgDQCF8n2GDE",                                                             "pw"},
};

static const char *const bad[] = {
    "",
    "*",
    "*0",
    "*1",
    "!",
    "x",
    "pw",
    "{plain}pw",
    "{SHA}",
    "{SHA}pw",
    "{SHA}****",
    "{SSHA}AA==",
    "{SSHA}",
    "{MD5}x",
    "$apr1$",
    "$apr1$abcdefgh",
    "$apr1$abcdefgh$",
    "$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z",
    "$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z11",
    "$1$",
    "$2y$04$short",
    "$nope$x$y",
};

static enum wr_status check(const char *hash, const char *password)
{
    return wr_passwd_check(wr_str_z(hash), wr_str_z(password));
}

static void the_right_one(void **state)
{
    char wrong[64];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(good); i++) {
        size_t n = strlen(good[i].password);

        assert_int_equal(check(good[i].hash, good[i].password), WR_OK);
        memcpy(wrong, good[i].password, n + 1);
        wrong[n] = 'x';
        wrong[n + 1] = '\0';
        assert_int_equal(check(good[i].hash, wrong), WR_EPROTO);
        if (n > 0) {
            wrong[n - 1] = '\0';
            assert_int_equal(check(good[i].hash, wrong), WR_EPROTO);
        }
        assert_int_equal(wr_passwd_is_costly(wr_str_z(good[i].hash)), good[i].hash[0] != '{');
    }
}

/* Digests of RFC 3174: "abc". */
static void digests(void **state)
{
    (void)state;
    assert_int_equal(check("{SHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "abc"), WR_OK);
    assert_int_equal(check("{SHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J0", "abc"), WR_OK);
    assert_int_equal(check("{SHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "abd"), WR_EPROTO);
    /* The salt is "c". */
    assert_int_equal(check("{SSHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J1j", "ab"), WR_OK);
    assert_int_equal(check("{SSHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J1j", "abc"), WR_EPROTO);
    assert_int_equal(check("{SSHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "abc"), WR_OK);
    assert_int_equal(check("{SHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J1j", "abc"), WR_EPROTO);
}

static void what_is_no_hash(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        assert_int_equal(check(bad[i], "pw"), WR_EPROTO);
        assert_int_equal(check(bad[i], bad[i]), WR_EPROTO);
        assert_int_equal(check(bad[i], ""), WR_EPROTO);
    }
}

static void sizes(void **state)
{
    static char text[2048];
    const char *des = "2QgDQCF8n2GDE";

    (void)state;
    memset(text, 'a', sizeof(text));
    for (size_t n = 380; n < 520; n++) {
        assert_int_equal(wr_passwd_check(wr_str(text, n), wr_str(text, n)), WR_EPROTO);
        assert_int_equal(wr_passwd_check(wr_str_z(des), wr_str(text, n)), WR_EPROTO);
        assert_int_equal(
            wr_passwd_check(WR_STR("$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1"), wr_str(text, n)),
            WR_EPROTO);
    }
    /* A NUL ends nothing. */
    assert_int_equal(wr_passwd_check(wr_str_z(des), wr_str("pw\0x", 4)), WR_EPROTO);
    assert_int_equal(wr_passwd_check(wr_str_z(des), wr_str("pw\0", 3)), WR_EPROTO);
    assert_int_equal(wr_passwd_check(WR_STR("{PLAIN}pw"), wr_str("pw\0", 3)), WR_EPROTO);
    assert_int_equal(wr_passwd_check(wr_str("2QgDQCF8n2GDE\0", 14), WR_STR("pw")), WR_EPROTO);
    /* Longer ones fit where the form is cheap. */
    memcpy(text, "{PLAIN}", 7);
    assert_int_equal(wr_passwd_check(wr_str(text, 1007), wr_str(text + 7, 1000)), WR_OK);
}

static void without_memory(void **state)
{
    (void)state;
    wr_mem_fault_set(1);
    assert_int_equal(check("2QgDQCF8n2GDE", "pw"), WR_ENOMEM);
    wr_mem_fault_set(0);
    assert_int_equal(check("2QgDQCF8n2GDE", "pw"), WR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_one),   cmocka_unit_test(digests),
        cmocka_unit_test(what_is_no_hash), cmocka_unit_test(sizes),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
