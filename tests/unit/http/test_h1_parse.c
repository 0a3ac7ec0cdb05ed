/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_h1_parse.c: heads of both roles from tables. Each one is parsed whole, with other bytes
 * behind it, cut in two at every byte, and byte by byte out of a piece that moves at each call; all
 * must say the same. What was parsed is written and parsed again; each allocation is made to fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "http/uri.h"

enum {
    ARENA_CAP = 1 << 20,
    TEXT_MAX = 4096
};

struct head_case {
    const char *in;
    size_t len;
    const char *want; /* as render() has it; NULL: see bad */
    enum wr_h1_bad bad;
    unsigned options;
    enum wr_method asked; /* responses */
};

#define GOOD(in, want)                                                                             \
    {                                                                                              \
        in, sizeof(in) - 1, want, WR_H1_BAD_NONE, 0, WR_METHOD_GET                                 \
    }
#define GOOD_OPT(in, want, opt)                                                                    \
    {                                                                                              \
        in, sizeof(in) - 1, want, WR_H1_BAD_NONE, opt, WR_METHOD_GET                               \
    }
#define GOOD_TO(method, in, want)                                                                  \
    {                                                                                              \
        in, sizeof(in) - 1, want, WR_H1_BAD_NONE, 0, WR_METHOD_##method                            \
    }
#define MORE(in)                                                                                   \
    {                                                                                              \
        in, sizeof(in) - 1, NULL, WR_H1_BAD_NONE, 0, WR_METHOD_GET                                 \
    }
#define BAD(why, in)                                                                               \
    {                                                                                              \
        in, sizeof(in) - 1, NULL, WR_H1_BAD_##why, 0, WR_METHOD_GET                                \
    }
#define BAD_OPT(why, in, opt)                                                                      \
    {                                                                                              \
        in, sizeof(in) - 1, NULL, WR_H1_BAD_##why, opt, WR_METHOD_GET                              \
    }

#define H    "Host: a\r\n"
#define HE   H "\r\n"
#define GET  "GET / HTTP/1.1\r\n" H
#define POST "POST / HTTP/1.1\r\n" H
#define RES  "HTTP/1.1 200 OK\r\n"
#define DROP WR_H1_DROP_INVALID_FIELDS

/* method target version framing length flags [fields]; K keep-alive, 9, U upgrade, A, E, * */
static const struct head_case requests[] = {
    GOOD("GET / HTTP/1.1\r\n" HE, "GET / 11 none - K [Host=a]"),
    GOOD("GET / HTTP/1.1\nHost: a\n\n", "GET / 11 none - K [Host=a]"),
    GOOD("\r\n\nGET / HTTP/1.1\r\n" HE, "GET / 11 none - K [Host=a]"),
    GOOD("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HE, "GET / 11 none - K [Host=a]"),
    GOOD("HEAD /x?y=1#z HTTP/1.1\r\n" HE, "HEAD /x?y=1#z 11 none - K [Host=a]"),
    GOOD("FROB /x HTTP/1.1\r\n" HE, "FROB /x 11 none - K [Host=a]"),
    BAD(METHOD, "get /x HTTP/1.1\r\n" HE),
    BAD(METHOD, "G9 /x HTTP/1.1\r\n" HE),
    GOOD("M-SEARCH_X / HTTP/1.1\r\n" HE, "M-SEARCH_X / 11 none - K [Host=a]"),
    GOOD("GET /\xc3\xa9\"<>\\^`{|} HTTP/1.1\r\n" HE,
         "GET /\xc3\xa9\"<>\\^`{|} 11 none - K [Host=a]"),
    GOOD("GET / HTTP/1.0\r\n\r\n", "GET / 10 none - - []"),
    GOOD("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
         "GET / 10 none - K [Connection=keep-alive]"),
    GOOD("GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n",
         "GET / 10 none - - [Connection=Keep-Alive, close]"),
    GOOD("GET / HTTP/1.7\r\n" HE, "GET / 11 none - K [Host=a]"),
    GOOD("GET /\r\n", "GET / 9 none - 9 []"),
    GOOD("GET /a?b\n", "GET /a?b 9 none - 9 []"),
    GOOD(GET "Connection: close\r\n\r\n", "GET / 11 none - - [Host=a|Connection=close]"),
    GOOD(GET "Connection: CLOSE\r\n\r\n", "GET / 11 none - - [Host=a|Connection=CLOSE]"),
    GOOD(GET "Connection: x ,\tclose\t, y\r\n\r\n",
         "GET / 11 none - - [Host=a|Connection=x ,\tclose\t, y]"),
    GOOD(GET "Connection: keep-alive\r\nConnection: close\r\n\r\n",
         "GET / 11 none - - [Host=a|Connection=keep-alive|Connection=close]"),
    GOOD(GET "Connection: closed\r\n\r\n", "GET / 11 none - K [Host=a|Connection=closed]"),
    GOOD(GET "Connection:\r\n\r\n", "GET / 11 none - K [Host=a|Connection=]"),
    GOOD(GET "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
         "GET / 11 none - KU [Host=a|Upgrade=websocket|Connection=Upgrade]"),
    GOOD(GET "Connection: keep-alive, upgrade\r\nUpgrade: x\r\n\r\n",
         "GET / 11 none - KU [Host=a|Connection=keep-alive, upgrade|Upgrade=x]"),
    GOOD(GET "Connection: upgrade\r\n\r\n", "GET / 11 none - K [Host=a|Connection=upgrade]"),
    GOOD(GET "Upgrade: x\r\n\r\n", "GET / 11 none - K [Host=a|Upgrade=x]"),
    GOOD("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
         "GET / 10 none - - [Connection=upgrade|Upgrade=x]"),
    GOOD(POST "Content-Length: 0\r\n\r\n", "POST / 11 length 0 K [Host=a|Content-Length=0]"),
    GOOD(POST "Content-Length: 12\r\n\r\n", "POST / 11 length 12 K [Host=a|Content-Length=12]"),
    GOOD(POST "cOnTeNt-LeNgTh:\t12 \t\r\n\r\n", "POST / 11 length 12 K [Host=a|cOnTeNt-LeNgTh=12]"),
    GOOD(POST "Content-Length: 0012\r\n\r\n", "POST / 11 length 12 K [Host=a|Content-Length=0012]"),
    GOOD(POST "Content-Length: 9223372036854775807\r\n\r\n",
         "POST / 11 length 9223372036854775807 K [Host=a|Content-Length=9223372036854775807]"),
    GOOD("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n", "POST / 10 length 3 - [Content-Length=3]"),
    GOOD(POST "Transfer-Encoding: chunked\r\n\r\n",
         "POST / 11 chunked - K [Host=a|Transfer-Encoding=chunked]"),
    GOOD(POST "Transfer-Encoding: CHUNKED\r\n\r\n",
         "POST / 11 chunked - K [Host=a|Transfer-Encoding=CHUNKED]"),
    GOOD(POST "Transfer-Encoding:chunked\r\n\r\n",
         "POST / 11 chunked - K [Host=a|Transfer-Encoding=chunked]"),
    GOOD(POST "Transfer-Encoding: \t chunked \t\r\n\r\n",
         "POST / 11 chunked - K [Host=a|Transfer-Encoding=chunked]"),
    GOOD(POST "Expect: 100-Continue\r\n\r\n", "POST / 11 none - KE [Host=a|Expect=100-Continue]"),
    GOOD(POST "Expect: 100-continuex\r\n\r\n", "POST / 11 none - K [Host=a|Expect=100-continuex]"),
    GOOD("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
         "POST / 10 none - - [Expect=100-continue]"),
    GOOD("OPTIONS * HTTP/1.1\r\n" HE, "OPTIONS * 11 none - K* [Host=a]"),
    GOOD("CONNECT a:443 HTTP/1.1\r\n" HE, "CONNECT a:443@a:443 11 none - K [Host=a]"),
    GOOD("CONNECT [::1]:443 HTTP/1.1\r\n" HE, "CONNECT [::1]:443@[::1]:443 11 none - K [Host=a]"),
    GOOD("GET http://b.c/x?y HTTP/1.1\r\n" HE, "GET /x?y@b.c 11 none - KA [Host=a]"),
    GOOD("GET HTTPS://b.c:8443 HTTP/1.1\r\n" HE, "GET /@b.c:8443 11 none - KA [Host=a]"),
    GOOD("GET http://b?x=/1 HTTP/1.1\r\n" HE, "GET /?x=/1@b 11 none - KA [Host=a]"),
    GOOD("GET http://b#f HTTP/1.1\r\n" HE, "GET /#f@b 11 none - KA [Host=a]"),
    GOOD("GET http://[::1]:80/x HTTP/1.1\r\nHost:\r\n\r\n", "GET /x@[::1]:80 11 none - KA [Host=]"),
    GOOD("GET http://b/ HTTP/1.0\r\n\r\n", "GET /@b 10 none - A []"),
    GOOD("GET / HTTP/1.1\r\nHOST: A.example:8080\r\n\r\n",
         "GET / 11 none - K [HOST=A.example:8080]"),
    GOOD("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
         "GET / 11 none - K [Host=[2001:db8::1]:80]"),
    GOOD("GET / HTTP/1.1\r\nhost:a\r\n\r\n", "GET / 11 none - K [host=a]"),
    GOOD(GET "X:\r\n\r\n", "GET / 11 none - K [Host=a|X=]"),
    GOOD(GET "X: \t \r\n\r\n", "GET / 11 none - K [Host=a|X=]"),
    GOOD(GET "X: a b\tc\xff\r\n\r\n", "GET / 11 none - K [Host=a|X=a b\tc\xff]"),
    GOOD(GET "X: :a:b\r\n\r\n", "GET / 11 none - K [Host=a|X=:a:b]"),
    GOOD(GET "!#$%&'*+-.^`|~1: x\r\n\r\n", "GET / 11 none - K [Host=a|!#$%&'*+-.^`|~1=x]"),
    GOOD(GET "Accept-Encoding-And-A-Name-Of-More-Than-Twenty-Four: x\r\n\r\n",
         "GET / 11 none - K [Host=a|Accept-Encoding-And-A-Name-Of-More-Than-Twenty-Four=x]"),
    GOOD_OPT(GET "X_Y: 1\r\nZ: 2\r\n\r\n", "GET / 11 none - K [Host=a|Z=2]", DROP),
    GOOD_OPT(GET "X_Y: 1\r\n\r\n", "GET / 11 none - K [Host=a|X_Y=1]", WR_H1_UNDERSCORES),
    BAD_OPT(FIELD, GET "X(: 1\r\nZ: 2\r\n\r\n", DROP),
    GOOD_OPT(GET "X.A: 1\r\nZ: 2\r\n\r\n", "GET / 11 none - K [Host=a|Z=2]", DROP),
    GOOD_OPT(GET "Content_Length: 5\r\n\r\n", "GET / 11 none - K [Host=a]", DROP),
    BAD_OPT(FIELD, GET "\xc3\xa9: 5\r\n\r\n", DROP | WR_H1_UNDERSCORES),
    GOOD(GET
         "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: */*\r\n\r\n",
         "GET / 11 none - K [Host=a|User-Agent=Mozilla/5.0 (X11; Linux x86_64) "
         "AppleWebKit/537.36|Accept=*/*]"),
    GOOD(GET "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nG: 7\r\nI: 8\r\nJ: 9\r\nK: 10\r\n"
             "L: 11\r\nM: 12\r\nN: 13\r\nO: 14\r\nP: 15\r\nQ: 16\r\nR: 17\r\n\r\n",
         "GET / 11 none - K [Host=a|A=1|B=2|C=3|D=4|E=5|F=6|G=7|I=8|J=9|K=10|L=11|M=12|N=13|O=14|"
         "P=15|Q=16|R=17]"),
    MORE(""),
    MORE("\r"),
    MORE("\r\n"),
    MORE("GE"),
    MORE("GET "),
    MORE("GET /"),
    MORE("GET /\r"),
    MORE("GET / HTT"),
    MORE("GET / HTTP/1.1\r"),
    MORE("GET / HTTP/1.1\r\n"),
    MORE(GET),
    MORE(GET "\r"),
    MORE("GET / HTTP/2.0"),
    BAD(METHOD, " GET / HTTP/1.1\r\n" HE),
    BAD(METHOD, "G\0T / HTTP/1.1\r\n" HE),
    BAD(METHOD, "\x16\x03\x01\x02"),
    BAD(METHOD, "GET\t/ HTTP/1.1\r\n" HE),
    BAD(METHOD, "GE(T / HTTP/1.1\r\n" HE),
    BAD(METHOD, "\rGET / HTTP/1.1\r\n" HE),
    BAD(METHOD, "GET\r/ HTTP/1.1\r\n" HE),
    BAD(METHOD, ": a\r\n"),
    BAD(LINE, "GET\r\n\r\n"),
    BAD(LINE, "POST /\r\n"),
    BAD(LINE, "GET http://a/\r\n"),
    BAD(TARGET, "GET \r\n"),
    BAD(TARGET, "GET  / HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET  "),
    BAD(TARGET, "GET a HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET a:80 HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET * HTTP/1.1\r\n" HE),
    BAD(TARGET, "PRI * HTTP/2.0\r\n\r\n"),
    BAD(TARGET, "OPTIONS ** HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET /\x01 HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET /\0 HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET /\x7f HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET /\tx HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET /0123456789abcdef\x1f HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET /a\rb HTTP/1.1\r\n" HE),
    BAD(TARGET, "CONNECT /x HTTP/1.1\r\n" HE),
    BAD(TARGET, "CONNECT a HTTP/1.1\r\n" HE),
    BAD(TARGET, "CONNECT a: HTTP/1.1\r\n" HE),
    BAD(TARGET, "CONNECT http://a/ HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET http:///x HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET http://u@b/ HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET http://u:p@b/ HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET http:/b/ HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET 1http://b/ HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET ://b/ HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET http://b:99999/ HTTP/1.1\r\n" HE),
    BAD(TARGET, "GET http://b\\c/ HTTP/1.1\r\n" HE),
    BAD(VERSION, "GET / \r\n"),
    BAD(VERSION, "GET / HTTP\r\n"),
    BAD(VERSION, "GET / http/1.1\r\n" HE),
    BAD(VERSION, "GET / HTTP/1.1 \r\n" HE),
    BAD(VERSION, "GET /  HTTP/1.1\r\n" HE),
    BAD(VERSION, "GET /a b HTTP/1.1\r\n" HE),
    BAD(VERSION, "GET / HTTP/1.10\r\n" HE),
    BAD(VERSION, "GET / HTTP/01.1\r\n" HE),
    BAD(VERSION, "GET / HTTP/1,1\r\n" HE),
    BAD(VERSION, "GET / HTTP/1.\r\n" HE),
    BAD(VERSION, "GET / HTTP/1\r\n" HE),
    BAD(VERSION, "GET / HTTP/0.9\r\n"),
    BAD(VERSION, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
    BAD(VERSION, "GET / HTTP/1.1\r\r\n" HE),
    BAD(VERSION, "GET / X"),
    BAD(MAJOR, "GET / HTTP/2.0\r\n\r\n"),
    BAD(MAJOR, "GET / HTTP/3.7\r\n\r\n"),
    BAD(EMPTY_LINES, "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HE),
    BAD(HOST, "GET / HTTP/1.1\r\n\r\n"),
    BAD(HOST, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    BAD(HOST, "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n"),
    BAD(HOST, GET H "\r\n"),
    BAD(HOST, "GET / HTTP/1.0\r\n" H H "\r\n"),
    BAD(HOST, "GET / HTTP/1.1\r\nHost: a, b c\r\n\r\n"),
    BAD(HOST, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    BAD(HOST, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    BAD(HOST, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    BAD(HOST, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    BAD(HOST, "GET / HTTP/1.0\r\nHost: a..b\r\n\r\n"),
    BAD(HOST, "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n"),
    BAD(FIELD, GET " folded: x\r\n\r\n"),
    BAD(FIELD, GET "X: a\r\n b\r\n\r\n"),
    BAD(FIELD, GET "X: a\r\n\tb\r\n\r\n"),
    BAD(FIELD, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    BAD_OPT(FIELD, GET "X: a\r\n b: c\r\n\r\n", DROP),
    BAD(FIELD, GET "X : a\r\n\r\n"),
    BAD(FIELD, GET "X\t: a\r\n\r\n"),
    BAD_OPT(FIELD, GET "X : a\r\n\r\n", DROP),
    BAD_OPT(FIELD, POST "Transfer-Encoding : chunked\r\n\r\n", DROP),
    BAD_OPT(FIELD, POST "Content-Length\t: 5\r\n\r\n", DROP),
    BAD(FIELD, GET "X\r\n\r\n"),
    BAD_OPT(FIELD, GET "X\r\n\r\n", DROP),
    BAD(FIELD, GET ": a\r\n\r\n"),
    BAD_OPT(FIELD, GET ": a\r\n\r\n", DROP),
    GOOD(GET "X_Y: a\r\n\r\n", "GET / 11 none - K [Host=a|X_Y=a]"),
    BAD(FIELD, GET "X(: a\r\n\r\n"),
    BAD(FIELD, GET "X\0Y: a\r\n\r\n"),
    BAD_OPT(FIELD, GET "X\0Y: a\r\n\r\n", DROP),
    BAD(FIELD, GET "X: a\0b\r\n\r\n"),
    BAD(FIELD, GET "X: a\rb\r\n\r\n"),
    BAD(FIELD, GET "X: a\r\r\n\r\n"),
    BAD(FIELD, GET "X: a\x01\r\n\r\n"),
    BAD(FIELD, GET "X: a\x7f\r\n\r\n"),
    BAD(FIELD, GET "X-Longer: 0123456789\x0b"
                   "0123456789abcdef0123456789\r\n\r\n"),
    BAD(FIELD, GET "X-Longer: 0123456789abcdef0123456789abcdef0123456789\x7f\r\n\r\n"),
    BAD(FIELD, GET "\r\r\n"),
    BAD(FIELD, GET "\x0bTransfer-Encoding: chunked\r\n\r\n"),
    BAD(FRAMING, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(FRAMING, POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
    BAD(FRAMING, POST "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n"),
    BAD(FRAMING, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    BAD(FRAMING, POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    BAD(FRAMING, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(FRAMING, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
    BAD(FRAMING, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length:\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: +5\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: -5\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: 0x10\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length:  5 5\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: 5, 5\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: 5,\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: 5;\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: 5.0\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: 1e2\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: \"5\"\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: 9223372036854775808\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: 18446744073709551621\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: 00000000000000000005\r\n\r\n"),
    BAD(LENGTH, POST "Content-Length: 99999999999999999999999999\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding:\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: identity\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: gzip\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: chunked, identity\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: xchunked\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: chunkedx\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: chunked;a=b\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: chun ked\r\n\r\n"),
    BAD(CODING, POST "Transfer-Encoding: ,chunked\r\n\r\n"),
};

/* status "reason" version framing length flags [fields] */
static const struct head_case responses[] = {
    GOOD(RES "\r\n", "200 \"OK\" 11 close - - []"),
    GOOD("HTTP/1.1 200 OK\n\n", "200 \"OK\" 11 close - - []"),
    GOOD("HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\n", "200 \"\" 11 length 1 K [Content-Length=1]"),
    GOOD("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n", "200 \"\" 11 length 1 K [Content-Length=1]"),
    GOOD("HTTP/1.1 404 Not\tFound \xff\r\nContent-Length: 0\r\n\r\n",
         "404 \"Not\tFound \xff\" 11 length 0 K [Content-Length=0]"),
    GOOD("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
         "200 \"OK\" 10 length 1 - [Content-Length=1]"),
    GOOD("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
         "200 \"OK\" 10 length 1 K [Content-Length=1|Connection=keep-alive]"),
    GOOD("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
         "200 \"OK\" 10 close - - [Connection=keep-alive]"),
    GOOD("HTTP/1.9 200 OK\r\nContent-Length: 1\r\n\r\n",
         "200 \"OK\" 11 length 1 K [Content-Length=1]"),
    GOOD(RES "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
         "200 \"OK\" 11 length 5 K [Content-Length=5]"),
    GOOD(RES "Content-Length: 5\r\nConnection: close\r\n\r\n",
         "200 \"OK\" 11 length 5 - [Content-Length=5|Connection=close]"),
    GOOD(RES "Transfer-Encoding: Chunked\r\n\r\n",
         "200 \"OK\" 11 chunked - K [Transfer-Encoding=Chunked]"),
    GOOD("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
         "200 \"OK\" 10 chunked - - [Connection=keep-alive|Transfer-Encoding=chunked]"),
    GOOD("HTTP/1.1 204 No Content\r\n\r\n", "204 \"No Content\" 11 none - K []"),
    GOOD("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
         "304 \"Not Modified\" 11 none 9 K [Content-Length=9]"),
    GOOD("HTTP/1.1 100 Continue\r\n\r\n", "100 \"Continue\" 11 none - K []"),
    GOOD("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
         "103 \"Early Hints\" 11 none - K [Link=</x>]"),
    GOOD("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
         "101 \"Switching Protocols\" 11 none - U [Upgrade=x|Connection=upgrade]"),
    GOOD_TO(HEAD, RES "Content-Length: 77\r\n\r\n", "200 \"OK\" 11 none 77 K [Content-Length=77]"),
    GOOD_TO(HEAD, RES "Transfer-Encoding: chunked\r\n\r\n",
            "200 \"OK\" 11 none - K [Transfer-Encoding=chunked]"),
    GOOD_TO(HEAD, RES "\r\n", "200 \"OK\" 11 none - K []"),
    GOOD_TO(CONNECT, RES "\r\n", "200 \"OK\" 11 none - - []"),
    GOOD_TO(CONNECT, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n",
            "403 \"No\" 11 length 2 K [Content-Length=2]"),
    GOOD("HTTP/1.1 999 Odd\r\n\r\n", "999 \"Odd\" 11 close - - []"),
    GOOD_OPT(RES "X_Y: 1\r\n\r\n", "200 \"OK\" 11 close - - [X_Y=1]", WR_H1_UNDERSCORES),
    MORE(""),
    MORE("H"),
    MORE("HTTP/1.1 2"),
    MORE("HTTP/1.1 200 O"),
    MORE(RES "Content-Le"),
    BAD(NOT_HTTP, "\r\n" RES "\r\n"),
    BAD(NOT_HTTP, "\n"),
    BAD(NOT_HTTP, "<html>"),
    BAD(NOT_HTTP, "HTTX"),
    BAD(NOT_HTTP, "http/1.1 200 OK\r\n\r\n"),
    BAD(NOT_HTTP, "ICY 200 OK\r\n\r\n"),
    BAD(NOT_HTTP, "HTT\r\n"),
    BAD(NOT_HTTP, "\x15\x03\x01"),
    BAD(NOT_HTTP, " HTTP/1.1 200 OK\r\n\r\n"),
    BAD(VERSION, "HTTP/x"),
    BAD(VERSION, "HTTP/1,1 200 OK\r\n\r\n"),
    BAD(VERSION, "HTTP/\r\n"),
    BAD(VERSION, "HTTP/0.9 200 OK\r\n\r\n"),
    BAD(MAJOR, "HTTP/2.0 200 OK\r\n\r\n"),
    BAD(LINE, "HTTP/1.1\r\n\r\n"),
    BAD(LINE, "HTTP/1.1  200 OK\r\n\r\n"),
    BAD(LINE, "HTTP/1.1\t200 OK\r\n\r\n"),
    BAD(LINE, "HTTP/1.1 20 OK\r\n\r\n"),
    BAD(LINE, "HTTP/1.1 20\r\n\r\n"),
    BAD(LINE, "HTTP/1.1 2000 OK\r\n\r\n"),
    BAD(LINE, "HTTP/1.1 099 OK\r\n\r\n"),
    BAD(LINE, "HTTP/1.1 -20 OK\r\n\r\n"),
    BAD(LINE, "HTTP/1.1 200\tOK\r\n\r\n"),
    BAD(LINE, "HTTP/1.1 200 O\rK\r\n\r\n"),
    BAD(LINE, "HTTP/1.1 200 O\0K\r\n\r\n"),
    BAD(FRAMING, RES "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(FRAMING, RES "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    BAD(FRAMING, RES "Content-Length: 5\r\nContent-Length: 05\r\n\r\n"),
    BAD(FRAMING, RES "Content-Length: 5\r\nContent-Length: 6\r\nContent-Length: 5\r\n\r\n"),
    BAD(FRAMING, RES "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(LENGTH, RES "Content-Length: 5x\r\n\r\n"),
    BAD(LENGTH, RES "Content-Length: 9999999999999999999\r\n\r\n"),
    BAD(CODING, RES "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    BAD(CODING, RES "Transfer-Encoding: identity\r\n\r\n"),
    BAD(FIELD, RES "X : 1\r\n\r\n"),
    BAD(FIELD, RES "X: 1\r\n 2\r\n\r\n"),
    BAD(FIELD, RES "X: 1\r2\r\n\r\n"),
};

static const struct wr_h1_limits wide = {8192, 32768, 100};

struct outcome {
    enum wr_h1_result res;
    enum wr_h1_bad bad;
    size_t head_len, skipped;
    uint32_t dropped;
    char text[TEXT_MAX];
};

static void add_text(char *out, size_t *n, const char *p, size_t len)
{
    assert_true(*n + len < TEXT_MAX);
    memcpy(out + *n, p, len);
    *n += len;
    out[*n] = '\0';
}

static void add_z(char *out, size_t *n, const char *z)
{
    add_text(out, n, z, strlen(z));
}

/* What the parser noted of Connection and Host is what another look says. */
static void check_notes(const struct wr_msg *m)
{
    const struct wr_hdr *h = wr_hdrs_get(&m->hdrs, WR_HDR_HOST);
    struct wr_msg again = *m;
    struct wr_str host;
    uint16_t port;

    again.names_no_field = false;
    assert_int_equal(wr_msg_connection_names(m), wr_msg_connection_names(&again));
    if (m->host_len > 0) {
        assert_non_null(h);
        assert_int_equal(wr_uri_check_host(h->value, &host, &port), WR_OK);
        assert_int_equal(host.len, m->host_len);
        assert_int_equal(port, m->host_port);
    }
}

static void render(const struct wr_msg *m, enum wr_h1_role role, char *out)
{
    static const char *const framings[] = {"none", "length", "chunked", "close"};
    char num[64];
    size_t n = 0;

    check_notes(m);
    if (role == WR_H1_REQUEST) {
        assert_true(wr_method_of(m->method_name) == m->method);
        add_text(out, &n, m->method_name.ptr, m->method_name.len);
        add_z(out, &n, " ");
        add_text(out, &n, m->target.ptr, m->target.len);
        if (m->authority.len > 0) {
            add_z(out, &n, "@");
            add_text(out, &n, m->authority.ptr, m->authority.len);
        }
        assert_true((m->scheme.len > 0) == ((m->flags & WR_MSG_ABSOLUTE) != 0));
    } else {
        snprintf(num, sizeof(num), "%u \"", m->status);
        add_z(out, &n, num);
        add_text(out, &n, m->reason.ptr == NULL ? "" : m->reason.ptr, m->reason.len);
        add_z(out, &n, "\"");
    }
    snprintf(num, sizeof(num), " %u %s ", m->version, framings[m->framing]);
    add_z(out, &n, num);
    if (m->content_length == WR_LENGTH_UNKNOWN) {
        add_z(out, &n, "-");
    } else {
        snprintf(num, sizeof(num), "%llu", (unsigned long long)m->content_length);
        add_z(out, &n, num);
    }
    snprintf(
        num, sizeof(num), " %s%s%s%s%s%s%s [", m->flags == 0 ? "-" : "",
        (m->flags & WR_MSG_KEEP_ALIVE) != 0 ? "K" : "", (m->flags & WR_MSG_HTTP09) != 0 ? "9" : "",
        (m->flags & WR_MSG_UPGRADE) != 0 ? "U" : "", (m->flags & WR_MSG_ABSOLUTE) != 0 ? "A" : "",
        (m->flags & WR_MSG_EXPECT) != 0 ? "E" : "", (m->flags & WR_MSG_ASTERISK) != 0 ? "*" : "");
    add_z(out, &n, num);
    const char *sep = "";
    for (uint32_t i = 0; i < m->hdrs.cnt; i++) {
        const struct wr_hdr *f = &m->hdrs.at[i];
        if (f->is_removed) {
            continue;
        }
        assert_int_equal(f->id, wr_hdr_id_of(f->name));
        add_z(out, &n, sep);
        add_text(out, &n, f->name.ptr, f->name.len);
        add_z(out, &n, "=");
        add_text(out, &n, f->value.ptr, f->value.len);
        sep = "|";
    }
    add_z(out, &n, "]");
}

/* Shows cuts[0] bytes, then cuts[1] ..., each in fresh memory of that very size. */
static void run_cuts(const struct head_case *c, enum wr_h1_role role, const char *in,
                     const size_t *cuts, size_t cut_cnt, struct outcome *o)
{
    struct wr_arena a;
    struct wr_msg m;
    struct wr_h1_parser p;
    char *old = NULL;

    wr_arena_init(&a, ARENA_CAP);
    wr_msg_init(&m, &a, 100);
    wr_h1_parser_init(&p, role, &wide, c->options, &m);
    p.request_method = c->asked;
    for (size_t i = 0; i < cut_cnt; i++) {
        char *piece = wr_mem_alloc(cuts[i] == 0 ? 1 : cuts[i]);
        memcpy(piece, in, cuts[i]);
        wr_mem_free(old);
        old = piece;
        o->res = wr_h1_parse(&p, piece, cuts[i]);
        if (o->res != WR_H1_MORE) {
            break;
        }
    }
    o->bad = p.bad;
    o->head_len = p.head_len;
    o->skipped = p.skipped;
    o->dropped = p.dropped_fields;
    o->text[0] = '\0';
    if (o->res == WR_H1_DONE) {
        render(&m, role, o->text);
    }
    wr_mem_free(old);
    wr_arena_fini(&a);
}

static void assert_same(const struct outcome *x, const struct outcome *y)
{
    assert_int_equal(x->res, y->res);
    assert_int_equal(x->bad, y->bad);
    assert_int_equal(x->head_len, y->head_len);
    assert_int_equal(x->skipped, y->skipped);
    assert_int_equal(x->dropped, y->dropped);
    assert_string_equal(x->text, y->text);
}

static void check_case(const struct head_case *c, enum wr_h1_role role)
{
    static struct outcome whole, cut;
    size_t one[2] = {c->len, c->len};

    run_cuts(c, role, c->in, one, 1, &whole);
    if (c->want != NULL) {
        assert_int_equal(whole.res, WR_H1_DONE);
        assert_string_equal(whole.text, c->want);
        assert_int_equal(whole.head_len, c->len);
    } else if (c->bad != WR_H1_BAD_NONE) {
        assert_int_equal(whole.res, WR_H1_BAD);
        assert_int_equal(whole.bad, c->bad);
        assert_non_null(wr_h1_bad_text(whole.bad));
    } else {
        assert_int_equal(whole.res, WR_H1_MORE);
    }
    for (size_t i = 0; i <= c->len; i++) {
        one[0] = i;
        run_cuts(c, role, c->in, one, 2, &cut);
        assert_same(&whole, &cut);
    }
    size_t all[1024];
    assert_true(c->len + 1 < WR_ARRAY_LEN(all));
    for (size_t i = 0; i <= c->len; i++) {
        all[i] = i;
    }
    run_cuts(c, role, c->in, all, c->len + 1, &cut);
    assert_same(&whole, &cut);
    if (whole.res == WR_H1_DONE) {
        char more[1024];
        memcpy(more, c->in, c->len);
        memcpy(more + c->len, "GET /\0\r\n\n: x", 12);
        one[0] = c->len + 12;
        run_cuts(c, role, more, one, 1, &cut);
        assert_same(&whole, &cut);
    }
}

static void check_table(const struct head_case *at, size_t cnt, enum wr_h1_role role)
{
    for (size_t i = 0; i < cnt; i++) {
        print_message("%zu: %.40s\n", i, at[i].in);
        check_case(&at[i], role);
    }
}

static void test_requests(void **state)
{
    (void)state;
    check_table(requests, WR_ARRAY_LEN(requests), WR_H1_REQUEST);
}

/* U5.1 U5.2 U5.3 U6.7 */
static void test_responses(void **state)
{
    (void)state;
    check_table(responses, WR_ARRAY_LEN(responses), WR_H1_RESPONSE);
}

/* Whole heads go a way of their own; byte by byte all go the general one. They must agree. */
static void check_both_ways(const char *head, size_t len, enum wr_h1_role role, unsigned options)
{
    static const char bytes[] = "\0\t\n\r \":;,./09@AZ_az~\x7f\x80\xff";
    static struct outcome whole, slow;
    size_t all[512];
    char text[512];

    assert_true(len < WR_ARRAY_LEN(all));
    for (size_t i = 0; i < len; i++) {
        all[i] = i + 1;
    }
    for (size_t at = 0; at < len; at++) {
        memcpy(text, head, len);
        for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
            struct head_case c = {text, len, NULL, WR_H1_BAD_NONE, options, WR_METHOD_GET};
            text[at] = bytes[i];
            run_cuts(&c, role, text, &len, 1, &whole);
            run_cuts(&c, role, text, all, len, &slow);
            assert_same(&whole, &slow);
        }
    }
}

static void test_both_ways(void **state)
{
    static const char request[] =
        "GET /a/path?x=y HTTP/1.1\r\nHost: www.example.com:8080\r\nContent-Length: 12\r\n"
        "X-Short: 1\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nTE:\r\n"
        "Accept: */*\r\n\r\n";
    static const char response[] =
        "HTTP/1.1 404 Not Found\r\nServer: x\r\nTransfer-Encoding: chunked\r\n"
        "Set-Cookie: a=b; path=/; and some more \r\nSec-WebSocket-Accept: q\r\nVia:v\r\n\r\n";

    (void)state;
    check_both_ways(request, sizeof(request) - 1, WR_H1_REQUEST, 0);
    check_both_ways(request, sizeof(request) - 1, WR_H1_REQUEST, DROP);
    check_both_ways(response, sizeof(response) - 1, WR_H1_RESPONSE, 0);
}

static void parse_text(struct wr_msg *m, struct wr_arena *a, enum wr_h1_role role,
                       const struct head_case *c, struct wr_str in, char *text)
{
    struct wr_h1_parser p;

    wr_msg_init(m, a, 100);
    wr_h1_parser_init(&p, role, &wide, c->options, m);
    p.request_method = c->asked;
    assert_int_equal(wr_h1_parse(&p, in.ptr, in.len), WR_H1_DONE);
    render(m, role, text);
}

static void check_round_trip(const struct head_case *c, enum wr_h1_role role)
{
    static char first[TEXT_MAX], second[TEXT_MAX];
    struct wr_arena a;
    struct wr_msg m;
    struct wr_strbuf b;

    wr_arena_init(&a, ARENA_CAP);
    wr_strbuf_init(&b, ARENA_CAP);
    parse_text(&m, &a, role, c, wr_str(c->in, c->len), first);
    /* What goes out again: no 0.9, no foreign minor version, no absolute form, a reason. */
    bool is_same = m.version != 9 && (m.flags & WR_MSG_ABSOLUTE) == 0 &&
                   (role == WR_H1_REQUEST || (m.version == 11 && m.reason.len > 0));
    if (is_same) {
        enum wr_status st =
            role == WR_H1_REQUEST ? wr_h1_write_request(&b, &m) : wr_h1_write_response(&b, &m);
        assert_int_equal(st, WR_OK);
        parse_text(&m, &a, role, c, wr_strbuf_str(&b), second);
        assert_string_equal(first, second);
    }
    wr_strbuf_fini(&b);
    wr_arena_fini(&a);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(requests); i++) {
        if (requests[i].want != NULL) {
            check_round_trip(&requests[i], WR_H1_REQUEST);
        }
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(responses); i++) {
        if (responses[i].want != NULL) {
            check_round_trip(&responses[i], WR_H1_RESPONSE);
        }
    }
}

/* Each allocation fails in turn, until none is left to fail. */
static void test_no_memory(void **state)
{
    (void)state;
    unsigned nomem_cnt = 0;
    for (size_t i = 0; i < WR_ARRAY_LEN(requests); i++) {
        const struct head_case *c = &requests[i];
        if (c->want == NULL) {
            continue;
        }
        for (uint64_t n = 1; n < 20; n++) {
            struct wr_arena a;
            struct wr_msg m;
            struct wr_h1_parser p;
            wr_arena_init(&a, ARENA_CAP);
            wr_msg_init(&m, &a, 100);
            wr_h1_parser_init(&p, WR_H1_REQUEST, &wide, c->options, &m);
            wr_mem_fault_set(n);
            enum wr_h1_result res = wr_h1_parse(&p, c->in, c->len);
            bool was_hit = wr_mem_fault_count() >= n;
            wr_mem_fault_set(0);
            assert_int_equal(res, was_hit ? WR_H1_NOMEM : WR_H1_DONE);
            nomem_cnt += res == WR_H1_NOMEM;
            wr_arena_fini(&a);
            if (!was_hit) {
                break;
            }
        }
    }
    assert_true(nomem_cnt > 30);
}

struct limit_case {
    const char *in;
    struct wr_h1_limits limits;
    enum wr_h1_result res;
    enum wr_h1_bad bad;
    enum wr_h1_role role;
};

/* clang-format off */
#define REQ(in, line, head, fields, res, why) \
    {in, {line, head, fields}, WR_H1_##res, WR_H1_BAD_##why, WR_H1_REQUEST}
#define RSP(in, line, head, fields, res, why) \
    {in, {line, head, fields}, WR_H1_##res, WR_H1_BAD_##why, WR_H1_RESPONSE}
#define PLAIN "GET / HTTP/1.1\r\nHost: a\r\n"

static const struct limit_case limit_cases[] = {
    /* "GET / HTTP/1.1\r\n" is 16 bytes, "Host: a\r\n" 9, the whole 27. */
    REQ(PLAIN "\r\n", 16, 27, 1, DONE, NONE),
    REQ(PLAIN "\r\n", 15, 27, 1, BAD, LINE_TOO_LONG),
    REQ(PLAIN "\r\n", 16, 26, 1, BAD, HEAD_TOO_LONG),
    REQ(PLAIN "\r\n", 16, 20, 1, BAD, HEAD_TOO_LONG),
    REQ(PLAIN "\r\n", 16, 12, 1, BAD, LINE_TOO_LONG),
    REQ(PLAIN "\r\n", 16, 27, 0, BAD, FIELDS),
    REQ(PLAIN "B: c\r\n\r\n", 16, 99, 1, BAD, FIELDS),
    REQ(PLAIN "X: 0123456789012\r\n\r\n", 18, 99, 9, DONE, NONE),
    REQ(PLAIN "X: 0123456789012\r\n\r\n", 17, 99, 9, BAD, FIELD_TOO_LONG),
    /* No line end at all: told at the limit. */
    REQ("GET /0123456789", 15, 99, 9, BAD, LINE_TOO_LONG),
    REQ("GET /0123456789", 16, 99, 9, MORE, NONE),
    REQ("GET / HTTP/1.1\r\nX: 0123456789012", 16, 99, 9, BAD, FIELD_TOO_LONG),
    REQ("GET / HTTP/1.1\r\nX: 0123456789012", 17, 99, 9, MORE, NONE),
    REQ("GET / HTTP/1.1\r\nX: 0123456789012", 40, 32, 9, BAD, HEAD_TOO_LONG),
    /* A bad byte before the limit wins over the limit, one behind it does not. */
    REQ("GE\001T /0123456789 HTTP/1.1\r\n", 15, 99, 9, BAD, METHOD),
    REQ("GET /0123\0016789 HTTP/1.1\r\n", 15, 99, 9, BAD, TARGET),
    REQ("GET /0123456789\001 HTTP/1.1\r\n", 15, 99, 9, BAD, LINE_TOO_LONG),
    REQ("GET / HTTX/1.1   \r\n", 15, 99, 9, BAD, VERSION),
    REQ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 16, 31, 9, DONE, NONE),
    REQ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 16, 30, 9, BAD, HEAD_TOO_LONG),
    RSP("HTTP/1.1 200 OKAYOKAY\r\n\r\n", 16, 99, 9, BAD, LINE_TOO_LONG),
    RSP("HTTP/1.1 200 OKAYOKAY\r\n\r\n", 99, 16, 9, BAD, HEAD_TOO_LONG),
    RSP("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 17, 25, 1, DONE, NONE),
    RSP("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 17, 24, 1, BAD, HEAD_TOO_LONG),
};

/* clang-format on */

static void check_limit(const struct limit_case *c, size_t cut)
{
    struct wr_arena a;
    struct wr_msg m;
    struct wr_h1_parser p;

    wr_arena_init(&a, ARENA_CAP);
    wr_msg_init(&m, &a, 100);
    wr_h1_parser_init(&p, c->role, &c->limits, 0, &m);
    enum wr_h1_result res = WR_H1_MORE;
    size_t len = strlen(c->in);
    for (size_t n = cut == 0 ? len : cut; res == WR_H1_MORE && n <= len;
         n += cut == 0 ? len : cut) {
        res = wr_h1_parse(&p, c->in, n);
    }
    if (res == WR_H1_MORE) {
        res = wr_h1_parse(&p, c->in, len);
    }
    assert_int_equal(res, c->res);
    assert_int_equal(p.bad, c->bad);
    /* The answer stays. */
    assert_int_equal(wr_h1_parse(&p, c->in, len), c->res);
    wr_arena_fini(&a);
}

static void test_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(limit_cases); i++) {
        print_message("%zu: %.40s\n", i, limit_cases[i].in);
        for (size_t cut = 0; cut <= strlen(limit_cases[i].in); cut++) {
            check_limit(&limit_cases[i], cut);
        }
    }
}

/* The request line is kept for the log when something behind it is bad. */
static void test_request_line_kept(void **state)
{
    (void)state;
    static const char *const heads[][2] = {
        {"GET /x HTTP/1.1\r\nA\r\n\r\n", "GET /x HTTP/1.1"   },
        {"GET /x HTTP/1.1\r\n\r\n",      "GET /x HTTP/1.1"   },
        {"GET /x HTTP/5.1\r\n\r\n",      "GET /x HTTP/5.1"   },
        {"GET /x\ty HTTP/1.1",           "GET /x\ty HTTP/1.1"},
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(heads); i++) {
        struct wr_arena a;
        struct wr_msg m;
        struct wr_h1_parser p;
        wr_arena_init(&a, ARENA_CAP);
        wr_msg_init(&m, &a, 100);
        wr_h1_parser_init(&p, WR_H1_REQUEST, &wide, 0, &m);
        assert_int_equal(wr_h1_parse(&p, heads[i][0], strlen(heads[i][0])), WR_H1_BAD);
        assert_true(wr_str_eq_z(m.request_line, heads[i][1]));
        wr_arena_fini(&a);
    }
}

static void test_bad_words(void **state)
{
    (void)state;

    static const struct {
        enum wr_h1_bad bad;
        unsigned status;
    } rows[] = {
        {WR_H1_BAD_LINE,           400},
        {WR_H1_BAD_FIELD,          400},
        {WR_H1_BAD_HOST,           400},
        {WR_H1_BAD_MAJOR,          505},
        {WR_H1_BAD_CODING,         501},
        {WR_H1_BAD_LINE_TOO_LONG,  414},
        {WR_H1_BAD_HEAD_TOO_LONG,  494},
        {WR_H1_BAD_FIELD_TOO_LONG, 494},
        {WR_H1_BAD_FRAMING,        400},
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        assert_int_equal(wr_h1_bad_status(rows[i].bad), rows[i].status);
    }
    for (unsigned b = 0; b <= WR_H1_BAD_NOT_HTTP; b++) {
        assert_true(strlen(wr_h1_bad_text((enum wr_h1_bad)b)) > 5);
        assert_true(wr_h1_bad_status((enum wr_h1_bad)b) >= 400);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),   cmocka_unit_test(test_responses),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_request_line_kept),
        cmocka_unit_test(test_bad_words),  cmocka_unit_test(test_both_ways),
    };

    return cmocka_run_group_tests_name("h1_parse", tests, NULL, NULL);
}
