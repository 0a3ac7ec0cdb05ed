/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passwd.c: see passwd.h. The form of a hash is told by its first bytes:
 *
 *   {PLAIN}pw          the password
 *   {SHA}base64        SHA-1 of it
 *   {SSHA}base64       SHA-1 of it and of the salt that stands behind the digest
 *   $apr1$salt$hash    MD5 over and over, a form of the Apache server
 *   else               crypt(3)
 *
 * Copies of passwords are wiped.
 */
#include "mod/passwd.h"

#include <crypt.h>
#include <string.h>

#include "base/codec.h"
#include "base/md5.h"
#include "base/mem.h"
#include "base/sha1.h"
#include "base/strbuf.h"

#define APR1        "$apr1$"
#define APR1_SALT   8
#define APR1_ROUNDS 1000
#define APR1_HASH   22
#define SSHA_MAX    1024 /* digest and salt */

/* Time does not depend on where they differ. */
static bool is_same(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned char diff = 0;

    for (size_t i = 0; i < n; i++) {
        diff |= x[i] ^ y[i];
    }
    return diff == 0;
}

static enum wr_status result(bool fits)
{
    return fits ? WR_OK : WR_EPROTO;
}

/* ---- cheap forms ------------------------------------------------------------------------------
 */

static void digest(struct wr_str a, struct wr_str b, uint8_t out[WR_SHA1_LEN])
{
    struct wr_sha1 s;

    wr_sha1_begin(&s);
    wr_sha1_add(&s, a.ptr, a.len);
    wr_sha1_add(&s, b.ptr, b.len);
    wr_sha1_end(&s, out);
}

/* By digests, so that their lengths do not show. */
static enum wr_status check_plain(struct wr_str want, struct wr_str password)
{
    uint8_t a[WR_SHA1_LEN], b[WR_SHA1_LEN];

    digest(want, WR_STR_NULL, a);
    digest(password, WR_STR_NULL, b);
    return result(is_same(a, b, sizeof(a)));
}

/* is_salted: what stands behind the digest is salt; else nothing may. */
static enum wr_status check_sha(struct wr_str text, struct wr_str password, bool is_salted)
{
    char bytes[SSHA_MAX];
    uint8_t sum[WR_SHA1_LEN];
    struct wr_strbuf b;
    struct wr_str has;

    wr_strbuf_init_fixed(&b, bytes, sizeof(bytes));
    if (wr_codec_base64_decode(&b, text) != WR_OK) {
        return WR_EPROTO;
    }
    has = wr_strbuf_str(&b);
    if (has.len < WR_SHA1_LEN || (!is_salted && has.len > WR_SHA1_LEN)) {
        return WR_EPROTO;
    }
    digest(password, wr_str_sub(has, WR_SHA1_LEN, has.len), sum);
    return result(is_same(has.ptr, sum, sizeof(sum)));
}

/* ---- $apr1$ ---------------------------------------------------------------------------------- */

/* Text whose digest is next; as long as what a round adds at most. */
struct apr1_text {
    char at[2 * WR_PASSWD_MAX + WR_MD5_LEN + APR1_SALT + sizeof(APR1) + 16];
    size_t len;
};

static void add(struct apr1_text *t, const void *p, size_t n)
{
    memcpy(t->at + t->len, p, n);
    t->len += n;
}

static void end_digest(struct apr1_text *t, uint8_t sum[WR_MD5_LEN])
{
    wr_md5(t->at, t->len, sum);
    t->len = 0;
}

static void apr1_first(struct apr1_text *t, struct wr_str salt, struct wr_str pw,
                       uint8_t sum[WR_MD5_LEN])
{
    add(t, pw.ptr, pw.len);
    add(t, salt.ptr, salt.len);
    add(t, pw.ptr, pw.len);
    end_digest(t, sum);
    add(t, pw.ptr, pw.len);
    add(t, APR1, sizeof(APR1) - 1);
    add(t, salt.ptr, salt.len);
    for (size_t left = pw.len; left > 0; left -= WR_MIN(left, (size_t)WR_MD5_LEN)) {
        add(t, sum, WR_MIN(left, (size_t)WR_MD5_LEN));
    }
    for (size_t bits = pw.len; bits > 0; bits >>= 1) {
        add(t, (bits & 1) != 0 ? "" : pw.ptr, 1);
    }
    end_digest(t, sum);
}

static void apr1_round(struct apr1_text *t, unsigned i, struct wr_str salt, struct wr_str pw,
                       uint8_t sum[WR_MD5_LEN])
{
    const struct wr_str digest_ = wr_str((const char *)sum, WR_MD5_LEN);
    bool is_odd = i % 2 != 0;
    struct wr_str first = is_odd ? pw : digest_, last = is_odd ? digest_ : pw;

    add(t, first.ptr, first.len);
    if (i % 3 != 0) {
        add(t, salt.ptr, salt.len);
    }
    if (i % 7 != 0) {
        add(t, pw.ptr, pw.len);
    }
    add(t, last.ptr, last.len);
    end_digest(t, sum);
}

static char *put_letters(char *out, uint32_t v, unsigned n)
{
    static const char letters[] =
        "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    for (; n > 0; n--, v >>= 6) {
        *out++ = letters[v & 63];
    }
    return out;
}

static void write_apr1(const uint8_t s[WR_MD5_LEN], char out[APR1_HASH])
{
    static const uint8_t order[5][3] = {
        {0, 6,  12},
        {1, 7,  13},
        {2, 8,  14},
        {3, 9,  15},
        {4, 10, 5 }
    };

    for (unsigned i = 0; i < 5; i++) {
        const uint8_t *o = order[i];

        out = put_letters(out, (uint32_t)s[o[0]] << 16 | (uint32_t)s[o[1]] << 8 | s[o[2]], 4);
    }
    (void)put_letters(out, s[11], 2);
}

static enum wr_status check_apr1(struct wr_str rest, struct wr_str pw)
{
    size_t salt_len = wr_str_find(rest, '$');
    struct wr_str salt = wr_str_sub(rest, 0, WR_MIN(salt_len, (size_t)APR1_SALT));
    struct wr_str want = wr_str_sub(rest, salt_len + 1, rest.len);
    uint8_t sum[WR_MD5_LEN];
    char has[APR1_HASH];
    struct apr1_text t;

    if (salt_len == rest.len || want.len != APR1_HASH) {
        return WR_EPROTO;
    }
    t.len = 0;
    apr1_first(&t, salt, pw, sum);
    for (unsigned i = 0; i < APR1_ROUNDS; i++) {
        apr1_round(&t, i, salt, pw, sum);
    }
    write_apr1(sum, has);
    explicit_bzero(&t, sizeof(t));
    return result(is_same(has, want.ptr, sizeof(has)));
}

/* ---- crypt(3) -------------------------------------------------------------------------------- */

static void copy_z(char *out, struct wr_str s)
{
    if (s.len > 0) {
        memcpy(out, s.ptr, s.len);
    }
    out[s.len] = '\0';
}

static enum wr_status check_crypt(struct wr_str hash, struct wr_str password)
{
    char setting[WR_PASSWD_HASH_MAX + 1], pw[WR_PASSWD_MAX + 1];
    struct crypt_data *data = wr_run_zalloc(sizeof(*data));
    enum wr_status st;
    const char *got;

    if (!data) {
        return WR_ENOMEM;
    }
    copy_z(setting, hash);
    copy_z(pw, password);
    got = crypt_r(pw, setting, data);
    st =
        result(got && got[0] != '*' && strlen(got) == hash.len && is_same(got, hash.ptr, hash.len));
    explicit_bzero(pw, sizeof(pw));
    explicit_bzero(data, sizeof(*data));
    wr_mem_free(data);
    return st;
}

/* ---- */

bool wr_passwd_is_costly(struct wr_str hash)
{
    return hash.len > 0 && hash.ptr[0] != '{';
}

enum wr_status wr_passwd_check(struct wr_str hash, struct wr_str password)
{
    static const struct wr_str plain = WR_STR_INIT("{PLAIN}"), sha = WR_STR_INIT("{SHA}"),
                               ssha = WR_STR_INIT("{SSHA}"), apr1 = WR_STR_INIT(APR1);

    if (wr_str_has_prefix(hash, plain)) {
        return check_plain(wr_str_sub(hash, plain.len, hash.len), password);
    }
    if (wr_str_has_prefix(hash, sha)) {
        return check_sha(wr_str_sub(hash, sha.len, hash.len), password, false);
    }
    if (wr_str_has_prefix(hash, ssha)) {
        return check_sha(wr_str_sub(hash, ssha.len, hash.len), password, true);
    }
    if (hash.len == 0 || hash.len > WR_PASSWD_HASH_MAX || password.len > WR_PASSWD_MAX ||
        memchr(hash.ptr, '\0', hash.len) ||
        (password.len > 0 && memchr(password.ptr, '\0', password.len))) {
        return WR_EPROTO;
    }
    if (wr_str_has_prefix(hash, apr1)) {
        return check_apr1(wr_str_sub(hash, apr1.len, hash.len), password);
    }
    return check_crypt(hash, password);
}
