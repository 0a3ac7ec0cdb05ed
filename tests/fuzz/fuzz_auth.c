/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_auth.c: any bytes as a password file: whoever is found has a line of that name; the first
 * line as a user and a password. Hashes of crypt(3) are left out: how long one takes is for it to
 * say.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "mod/auth_file.h"
#include "mod/passwd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_hash(struct wr_str hash, struct wr_str password)
{
    if (wr_str_has_prefix(hash, WR_STR("{")) || wr_str_has_prefix(hash, WR_STR("$apr1$"))) {
        enum wr_status st = wr_passwd_check(hash, password);

        WR_ASSERT(st == WR_OK || st == WR_EPROTO);
        if (wr_str_has_prefix(hash, WR_STR("{PLAIN}"))) {
            WR_ASSERT((st == WR_OK) == wr_str_eq(wr_str_sub(hash, 7, hash.len), password));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_str text = wr_str((const char *)data, size), rest = text, first, line, hash;
    struct wr_auth_users *u = wr_auth_users_new(text);

    if (!u || !wr_str_split(&rest, '\n', &first)) {
        wr_auth_users_free(u);
        return 0;
    }
    if (wr_auth_users_find(u, first, &hash)) {
        check_hash(hash, first);
    }
    while (wr_str_split(&rest, '\n', &line)) {
        struct wr_str name = wr_str_sub(line, 0, wr_str_find(line, ':'));

        if (name.len > 0 && name.len < line.len && name.ptr[0] != '#') {
            WR_ASSERT(wr_auth_users_find(u, name, &hash));
            check_hash(hash, first);
        }
    }
    wr_auth_users_free(u);
    return 0;
}
