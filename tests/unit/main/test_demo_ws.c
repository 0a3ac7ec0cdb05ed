/* SPDX-License-Identifier: Apache-2.0 */
/* The demonstration's WebSocket: the digest of the handshake, and frames over a socket pair. */
#include "main/demo_ws.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>

static void assert_digest(const char *text, const char *hex)
{
    uint8_t out[20];
    char got[41];

    sha1_short(wr_str_z(text), out);
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(got + (size_t)2 * i, 3, "%02x", out[i]);
    }
    assert_string_equal(got, hex);
}

/* FIPS 180-4 examples, and lengths around the two block limits. */
static void test_sha1(void **state)
{
    (void)state;
    assert_digest("", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_digest("abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    assert_digest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                  "c1c8bbdc22796e28c0e15163d20899b65621d65a");
}

static const char head[] = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static size_t run(const char *frames, size_t len, uint64_t n, char *out, size_t size)
{
    static struct wr_demo_conn c;
    size_t got = 0;
    ssize_t more;
    int p[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
    c = (struct wr_demo_conn){.fd = p[0], .peer_no = 1, .have = sizeof(head) - 1};
    memcpy(c.buf, head, sizeof(head) - 1);
    c.head = wr_str(c.buf, sizeof(head) - 1);
    assert_int_equal(write(p[1], frames, len), (ssize_t)len);
    assert_int_equal(shutdown(p[1], SHUT_WR), 0);
    wr_demo_ws_run(&c, n);
    close(p[0]);
    while (got < size && (more = read(p[1], out + got, size - got)) > 0) {
        got += (size_t)more;
    }
    close(p[1]);
    return got;
}

/* RFC 6455 1.3 and 5.7. */
static void test_echo(void **state)
{
    static const char frames[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x88\x80\0\0\0\0";
    char out[1024];
    size_t n = run(frames, sizeof(frames) - 1, 0, out, sizeof(out));
    struct wr_str s = wr_str(out, n);

    (void)state;
    assert_true(wr_str_has_prefix(s, WR_STR("HTTP/1.1 101 ")));
    assert_true(
        wr_str_find_str(s, WR_STR("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")) < n);
    assert_true(wr_str_has_suffix(s, WR_STR("\r\n\r\n\x81\x05Hello\x88\x00")));
}

static void test_unmasked_frame_ends_it(void **state)
{
    char out[1024];
    size_t n = run("\x81\x05Hello", 7, 0, out, sizeof(out));

    (void)state;
    assert_true(wr_str_has_suffix(wr_str(out, n), WR_STR("\r\n\r\n")));
}

static void test_greetings(void **state)
{
    char out[1024];
    size_t n = run("", 0, 1, out, sizeof(out));

    (void)state;
    assert_true(
        wr_str_has_suffix(wr_str(out, n), WR_STR("greeting 1 from peer 1\n\x88\x02\x03\xe8")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha1),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_unmasked_frame_ends_it),
        cmocka_unit_test(test_greetings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
