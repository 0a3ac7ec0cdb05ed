/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h: the protocols that test_conform.c drives. A row says how a location is led to it, what a
 * peer of it answers, and how a peer sees that a request is whole. To try another one: its module
 * in conform_modules, and a row.
 *
 * Every good answer has status 200, the length 5 and the body "hello".
 */
#ifndef TESTS_PROTO_LIST_H
#define TESTS_PROTO_LIST_H

#include "proto/engine_kit.h"

#include "http/vars_core.h"
#include "mod/rewrite.h"
#include "proto/fastcgi.h"
#include "proto/http_int.h"
#include "proto/memcached.h"
#include "proto/scgi.h"
#include "proto/uwsgi.h"

struct conform {
    const char *name;
    const char *one, *group; /* the directive for the group of one peer, and for that of two */
    const char *prefix;      /* of the family of directives */
    const char *next_bad;    /* the word of *_next_upstream for a bad head */
    const char *extra;       /* what else a location needs */
    bool has_post;           /* bodies are passed on */
    bool is_kept;            /* the connection serves again */
    const char *good;
    size_t good_len;
    const char *bad; /* no head at all; text */
    const char *big; /* what an endless head is made of: before, then over and over the last byte */
    size_t big_len;
    bool (*has_request)(const struct epeer *p);
};

/* With their lengths. */
#define GOOD(s) s, .good_len = sizeof(s) - 1
#define BIG(s)  s, .big_len = sizeof(s) - 1

/* The method in what was asked; the tests send bodies of 4 bytes with POST only. */
static bool has_post_in(const struct epeer *p)
{
    return memmem(p->got, p->len, "POST", 4) != NULL;
}

/* An HTTP head, and the body. */
static bool has_http(const struct epeer *p)
{
    const char *end = memmem(p->got, p->len, "\r\n\r\n", 4);

    return end != NULL && p->len >= (size_t)(end + 4 - p->got) + (has_post_in(p) ? 4 : 0);
}

/* Records up to the empty one of the body. */
static bool has_fastcgi(const struct epeer *p)
{
    size_t i = 0, n;

    while (p->len - i >= 8) {
        const unsigned char *h = (const unsigned char *)p->got + i;

        n = (size_t)h[4] << 8 | h[5];
        if (h[1] == 5 && n == 0) {
            assert_int_equal(i + 8, p->len);
            return true;
        }
        i += 8 + n + h[6];
        if (i > p->len) {
            break;
        }
    }
    return false;
}

static bool has_uwsgi(const struct epeer *p)
{
    const unsigned char *h = (const unsigned char *)p->got;

    return p->len >= 4 && p->len == 4u + h[1] + ((size_t)h[2] << 8) + (has_post_in(p) ? 4 : 0);
}

static bool has_scgi(const struct epeer *p)
{
    const char *colon = memchr(p->got, ':', p->len);

    return colon != NULL && p->len == (size_t)(colon - p->got) + 1 + strtoul(p->got, NULL, 10) + 1 +
                                          (has_post_in(p) ? 4 : 0);
}

static bool has_get(const struct epeer *p)
{
    return p->len > 2 && memcmp(p->got + p->len - 2, "\r\n", 2) == 0;
}

#define REC(type, len, pad) "\x01" type "\0\x01\0" len pad "\0"
#define CGI_METHOD(p)       p "_param REQUEST_METHOD $t_method;"

/* clang-format off */
static const struct conform conforms[] = {
    {.name = "http", .one = "proxy_pass http://one", .group = "proxy_pass http://g", .prefix = "proxy",
     .next_bad = "invalid_header", .extra = "", .has_post = true, .is_kept = true,
     .good = GOOD("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"),
     .bad = "nonsense\r\n\r\n", .big = BIG("HTTP/1.1 200 OK\r\nX: a"), .has_request = has_http},
    {.name = "fastcgi", .one = "fastcgi_pass one", .group = "fastcgi_pass g", .prefix = "fastcgi",
     .next_bad = "invalid_header", .extra = CGI_METHOD("fastcgi"), .has_post = true,
     .good = GOOD(REC("\x06", "\x2d", "\x03") "Status: 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\n" "\0\0\0"
           REC("\x07", "\x04", "\0") "oops"
           REC("\x06", "\x05", "\x03") "hello" "\0\0\0" REC("\x06", "\0", "\0")
           REC("\x03", "\x08", "\0") "\0\0\0\0\0\0\0\0"),
     .bad = "\x02nonsense", .big = BIG("\x01\x06\0\x01\xff\xff\0\0X: a"), .has_request = has_fastcgi},
    {.name = "fastcgi, kept", .one = "fastcgi_pass one", .group = "fastcgi_pass g", .prefix = "fastcgi",
     .next_bad = "invalid_header", .extra = CGI_METHOD("fastcgi") "fastcgi_keep_conn on;",
     .has_post = true, .is_kept = true,
     .good = GOOD(REC("\x06", "\x05", "\0") "X-A: " REC("\x06", "\x18", "\0") "b\nContent-Length: 5\n\nhel"
           REC("\x06", "\x02", "\x02") "lo" "\0\0" REC("\x03", "\x08", "\0") "\0\0\0\0\0\0\0\0"),
     .bad = "\x02nonsense", .big = BIG("\x01\x06\0\x01\xff\xff\0\0X: a"), .has_request = has_fastcgi},
    {.name = "uwsgi", .one = "uwsgi_pass one", .group = "uwsgi_pass g", .prefix = "uwsgi",
     .next_bad = "invalid_header", .extra = CGI_METHOD("uwsgi"), .has_post = true,
     .good = GOOD("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"),
     .bad = "nonsense\r\n\r\n", .big = BIG("X: a"), .has_request = has_uwsgi},
    {.name = "scgi", .one = "scgi_pass one", .group = "scgi_pass g", .prefix = "scgi",
     .next_bad = "invalid_header", .extra = CGI_METHOD("scgi"), .has_post = true,
     .good = GOOD("Status: 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"),
     .bad = "nonsense\r\n\r\n", .big = BIG("X: a"), .has_request = has_scgi},
    {.name = "memcached", .one = "memcached_pass one", .group = "memcached_pass g", .prefix = "memcached",
     .next_bad = "invalid_response", .extra = "set $memcached_key /a;", .is_kept = true,
     .good = GOOD("VALUE /a 0 5\r\nhello\r\nEND\r\n"), .bad = "nonsense\r\n", .big = BIG("VALUE /a"),
     .has_request = has_get},
};

static const struct wr_module *const conform_modules[] = {
    &kit_core, &kit_up, &wr_vars_core_module, &kit_say, &wr_rewrite_module, &wr_proxy_module,
    &wr_fastcgi_module, &wr_uwsgi_module, &wr_scgi_module, &wr_memcached_module};
/* clang-format on */

#endif
