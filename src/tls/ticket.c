/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ticket.c: the keys of tickets where no file has them. Each hour has a secret, made of the one of
 * the hour before by a function that cannot be undone; the keys of an hour are made of its secret:
 *
 *   oldest --next--> secret --next--> ... --next--> secret of this hour
 *      |               |                                |
 *    keys            keys                             keys (the first of `keys`)
 *
 * Only the oldest that a ticket may still need is kept: behind the longest ssl_session_timeout it
 * is overwritten by the next, and what was encrypted before cannot be read any more, not even by
 * who has all our memory. Processes that were given the same secret have the same keys, as they
 * agree on the hour. Of the process, under a lock.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/chars.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/num.h"
#include "base/sync.h"
#include "tls/tls_int.h"

#define HOUR_SEC  3600u
#define LIFE_MAX  (7u * 24 * HOUR_SEC) /* of a ticket, RFC 8446 4.6.1 */
#define HOURS_MAX (LIFE_MAX / HOUR_SEC + 2)
#define STEPS_MAX (20u * 366 * 24) /* a clock that jumps further ends all tickets */
#define SECRET    32

/* Rule zero: of the process: a reload and a second configuration must find them again. */
static struct {
    struct wr_mutex lock;
    bool is_made;
    uint64_t oldest; /* hour since 1970 */
    unsigned char secret[SECRET];
    uint32_t life_sec;
    uint64_t hour; /* that keys[0] is of */
    uint32_t cnt;  /* 0: to be made */
    struct wr_tls_ticket_key keys[HOURS_MAX];
} ring = {.lock = WR_MUTEX_INIT(WR_RANK_LEAF), .life_sec = HOUR_SEC};

static bool derive(const unsigned char secret[SECRET], const char *what, unsigned char out[SECRET])
{
    unsigned int n = 0;

    return HMAC(EVP_sha256(), secret, SECRET, (const unsigned char *)what, strlen(what), out, &n) !=
               NULL &&
           n == SECRET;
}

static bool make_key(const unsigned char secret[SECRET], struct wr_tls_ticket_key *ret)
{
    unsigned char name[SECRET];

    ret->half = 32;
    if (!derive(secret, "name", name) || !derive(secret, "hmac", ret->hmac) ||
        !derive(secret, "aes", ret->aes)) {
        return false;
    }
    memcpy(ret->name, name, sizeof(ret->name));
    return true;
}

/* Lock held. */
static bool begin_anew(uint64_t hour)
{
    ring.is_made = RAND_priv_bytes(ring.secret, SECRET) == 1;
    ring.oldest = hour;
    ring.cnt = 0;
    return ring.is_made;
}

/* Lock held. Hours that no ticket needs are forgotten. */
static bool age(uint64_t hour)
{
    uint64_t keep = (WR_MIN(ring.life_sec, LIFE_MAX) + HOUR_SEC - 1) / HOUR_SEC;
    uint64_t want = hour > keep ? hour - keep : 0;

    if (!ring.is_made || (want > ring.oldest && want - ring.oldest > STEPS_MAX)) {
        return begin_anew(hour);
    }
    while (ring.oldest < want) {
        unsigned char next[SECRET];

        if (!derive(ring.secret, "next", next)) {
            return false;
        }
        memcpy(ring.secret, next, SECRET);
        OPENSSL_cleanse(next, SECRET);
        ring.oldest++;
        ring.cnt = 0;
    }
    return true;
}

/* Lock held. A clock that is set back does not go behind what is forgotten. */
static uint64_t hour_now(void)
{
    return WR_MAX(wr_clock_wall_ms() / 1000 / HOUR_SEC, ring.is_made ? ring.oldest : 0);
}

/* Lock held. Newest first. */
static bool make_keys(uint64_t hour)
{
    unsigned char secret[SECRET], next[SECRET];
    uint32_t cnt = (uint32_t)(hour - ring.oldest + 1);
    bool ok = cnt <= HOURS_MAX;

    memcpy(secret, ring.secret, SECRET);
    for (uint32_t i = 0; ok && i < cnt; i++) {
        ok = make_key(secret, &ring.keys[cnt - 1 - i]) && derive(secret, "next", next);
        memcpy(secret, next, ok ? SECRET : 0);
    }
    OPENSSL_cleanse(secret, SECRET);
    OPENSSL_cleanse(next, SECRET);
    ring.hour = hour;
    ring.cnt = ok ? cnt : 0;
    return ok;
}

/* Lock held. */
static bool refresh(void)
{
    uint64_t hour = hour_now();

    if (ring.cnt > 0 && ring.hour == hour) {
        return true;
    }
    return age(hour) && make_keys(hour);
}

bool wr_tls_find_ticket_key(const unsigned char *name, struct wr_tls_ticket_key *ret,
                            bool *ret_is_first)
{
    bool found = false;

    wr_mutex_lock(&ring.lock);
    if (refresh()) {
        for (uint32_t i = 0; i < ring.cnt && !found; i++) {
            found = name == NULL || memcmp(ring.keys[i].name, name, sizeof(ret->name)) == 0;
            if (found) {
                *ret = ring.keys[i];
                *ret_is_first = i == 0;
            }
        }
    }
    wr_mutex_unlock(&ring.lock);
    return found;
}

void wr_tls_want_ticket_life(uint32_t sec)
{
    wr_mutex_lock(&ring.lock);
    ring.life_sec = WR_MAX(ring.life_sec, sec);
    wr_mutex_unlock(&ring.lock);
}

void wr_tls_secret_age(void)
{
    wr_mutex_lock(&ring.lock);
    if (ring.is_made) {
        (void)!age(hour_now()); /* tried again the next time */
    }
    wr_mutex_unlock(&ring.lock);
}

/* "HOUR HEX" */
bool wr_tls_secret_write(struct wr_strbuf *b)
{
    bool ok;

    wr_mutex_lock(&ring.lock);
    ok = age(hour_now());
    if (ok) {
        wr_strbuf_add_u64(b, ring.oldest);
        wr_strbuf_add_char(b, ' ');
        wr_codec_hex(b, wr_str((const char *)ring.secret, SECRET));
    }
    wr_mutex_unlock(&ring.lock);
    return ok && b->status == WR_OK;
}

bool wr_tls_secret_read(struct wr_str text)
{
    size_t blank = wr_str_find(text, ' ');
    struct wr_str hex = wr_str_sub(text, blank + 1, text.len);
    unsigned char secret[SECRET];
    uint64_t hour;

    if (wr_num_parse_u64(wr_str_sub(text, 0, blank), UINT32_MAX, &hour) != WR_OK ||
        hex.len != 2 * (size_t)SECRET) {
        return false;
    }
    for (size_t i = 0; i < SECRET; i++) {
        int hi = wr_char_hex((unsigned char)hex.ptr[2 * i]);
        int lo = wr_char_hex((unsigned char)hex.ptr[2 * i + 1]);

        if (hi < 0 || lo < 0) {
            return false;
        }
        secret[i] = (unsigned char)(hi << 4 | lo);
    }
    wr_mutex_lock(&ring.lock);
    memcpy(ring.secret, secret, SECRET);
    ring.oldest = hour;
    ring.is_made = true;
    ring.cnt = 0;
    wr_mutex_unlock(&ring.lock);
    OPENSSL_cleanse(secret, SECRET);
    return true;
}
