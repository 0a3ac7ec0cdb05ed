/* SPDX-License-Identifier: Apache-2.0 */
/* test_static.c: files, index files and folders on a running server; watched at nginx 1.22. */
#include "../http/full_kit.h"

static struct kit k;

static void make_files(void)
{
    static const char *const dirs[] = {"h",  "h/d",     "h/empty", "h/idx", "h/idx/index.html",
                                       "al", "h/locked"};

    static const struct {
        const char *name, *text;
    } files[] = {
        {"h/index.html",   "root"  },
        {"h/a.txt",        "text"  },
        {"h/a.HTML",       "upper" },
        {"h/.html",        "hidden"},
        {"h/noext",        "noext" },
        {"h/d/index.html", "d"     },
        {"h/d/second.htm", "second"},
        {"h/sp ace",       "space" },
        {"h/de.x",         "german"},
        {"al/x",           "alias" },
        {"secret",         "secret"},
        {"h/zero",         ""      },
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(dirs); i++) {
        full_mkdir(dirs[i]);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(files); i++) {
        full_write(files[i].name, files[i].text, strlen(files[i].text));
    }
    assert_true(mkfifo(full_path("h/fifo"), 0600) == 0 || errno == EEXIST);
    assert_true(symlink("a.txt", full_path("h/link")) == 0 || errno == EEXIST);
    assert_true(symlink("loop", full_path("h/loop")) == 0 || errno == EEXIST);
}

static const char server[] =
    "access_log off; types { text/html html; text/plain txt; } default_type z/z; server { listen 127.0.0.1:1; "
    "server_name s.name; root @@/h; "
    "location /al/ { alias @@/al/; } location /bare { alias @@/al/; } location = /one { alias @@/h/a.txt; } "
    "location ~ ^/re(.*)$ { alias @@/al/$1; } "
    "location /second/ { alias @@/h/d/; index none second.htm; } "
    "location /abs/ { alias @@/h/empty/; index none /a.txt; } "
    "location /var/ { alias @@/h/; index $arg_a.x none; } "
    "location /dots/ { alias @@/h/d/; index ../a.txt; } "
    "location /dotsvar/ { alias @@/h/d/; index $arg_a; } "
    "location /rootvar/ { root @@/$arg_a; } "
    "location /quiet/ { root @@/h; log_not_found off; } "
    "location /notype/ { alias @@/h/; default_type ''; types { } } }";

static void answers(void **state)
{
    static const struct {
        const char *line;
        unsigned status;
        const char *body, *type;
    } cases[] = {
        {"GET /",                    200, "root",   "text/html" },
        {"GET /a.txt",               200, "text",   "text/plain"},
        {"GET /a.txt?x=/y",          200, "text",   "text/plain"},
        {"GET /a.HTML",              200, "upper",  "text/html" },
        {"GET /.html",               200, "hidden", "text/html" },
        {"GET /noext",               200, "noext",  "z/z"       },
        {"GET /zero",                200, "",       "z/z"       },
        {"GET /sp%20ace",            200, "space",  "z/z"       },
        {"GET /link",                200, "text",   "z/z"       },
        {"GET /d/",                  200, "d",      "text/html" },
        {"GET /al/x",                200, "alias",  "z/z"       },
        {"GET /bare/x",              200, "alias",  "z/z"       },
        {"GET /one",                 200, "text",   "z/z"       },
        {"GET /re/x",                200, "alias",  "z/z"       },
        {"GET /second/",             200, "second", "z/z"       },
        {"GET /abs/",                200, "text",   "text/plain"},
        {"GET /var/?a=de",           200, "german", "z/z"       },
        {"GET /notype/a.txt",        200, "text",   ""          },
        {"HEAD /a.txt",              200, "",       "text/plain"},
        {"GET /none",                404, NULL,     "text/html" },
        {"GET /none/",               404, NULL,     "text/html" },
        {"GET /a.txt/",              404, NULL,     "text/html" },
        {"GET /a.txt/b",             404, NULL,     "text/html" },
        {"GET /loop",                403, NULL,     "text/html" },
        {"GET /fifo",                404, NULL,     "text/html" },
        {"GET /empty/",              403, NULL,     "text/html" },
        {"POST /a.txt",              405, NULL,     "text/html" },
        {"POST /none",               404, NULL,     "text/html" },
        {"POST /d/",                 405, NULL,     "text/html" },
        {"PUT /a.txt",               405, NULL,     "text/html" },
        {"PUT /none",                405, NULL,     "text/html" },
        {"DELETE /d/",               405, NULL,     "text/html" },
 /* U14.8 */
        {"GET /bare../secret",       404, NULL,     "text/html" },
        {"GET /re../secret",         404, NULL,     "text/html" },
        {"GET /al/..%2fsecret",      404, NULL,     "text/html" },
        {"GET /rootvar/?a=..",       404, NULL,     "text/html" },
        {"GET /rootvar/x?a=h/../..", 404, NULL,     "text/html" },
        {"GET /dots/",               404, NULL,     "text/html" },
        {"GET /dotsvar/?a=../a.txt", 404, NULL,     "text/html" },
        {"GET /../secret",           400, NULL,     "text/html" },
        {"GET /secret%00",           400, NULL,     "text/html" },
    };

    (void)state;
    make_files();
    full_start(&k, server);
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const char *r = full_ask(
            &k, cases[i].line, strncmp(cases[i].line, "P", 1) == 0 ? "Content-Length: 0\r\n" : "");

        if (kit_status(r) != cases[i].status ||
            (cases[i].body && strcmp(kit_body(r), cases[i].body) != 0)) {
            fail_msg("%s: %s", cases[i].line, r);
        }
        assert_string_equal(full_field(r, "Content-Type"), cases[i].type);
    }
    full_stop(&k);
}

static void folders_get_a_slash(void **state)
{
    static const struct {
        const char *target, *path;
    } cases[] = {
        {"/d",           "/d/"          },
        {"/d?a=b%20c",   "/d/?a=b%20c"  },
        {"/n%0Al%20%3F", "/n%0Al%20%3F/"},
        {"/al/sub",      "/al/sub/"     },
    };

    (void)state;
    make_files();
    full_mkdir("h/n\nl ?");
    full_mkdir("al/sub");
    full_start(&k, server);
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const char *r = kit_get(&k, cases[i].target);
        char want[256];

        (void)snprintf(want, sizeof(want), "http://x:%u%s", wr_addr_port(&k.addrs[0]),
                       cases[i].path);
        assert_int_equal(kit_status(r), 301);
        assert_string_equal(full_field(r, "Location"), want);
    }
    full_stop(&k);
}

static void validators(void **state)
{
    struct timeval when[2] = {
        {1500000000, 0},
        {1500000000, 0}
    };
    const char *r;

    (void)state;
    make_files();
    assert_int_equal(utimes(full_path("h/a.txt"), when), 0);
    full_start(&k, server);
    r = kit_get(&k, "/a.txt");
    assert_string_equal(full_field(r, "ETag"), "\"59682f00-4\"");
    assert_string_equal(full_field(r, "Last-Modified"), "Fri, 14 Jul 2017 02:40:00 GMT");
    assert_string_equal(full_field(r, "Accept-Ranges"), "bytes");
    assert_string_equal(full_field(r, "Content-Length"), "4");
    full_stop(&k);
}

/* A file that is shorter than it was is never taken for whole. */
static void a_file_that_shrinks(void **state)
{
    enum {
        SIZE = 8 << 20
    };

    static char buf[1 << 16];
    char *big = calloc(1, SIZE);
    int fd, rc;
    size_t total = 0;

    (void)state;
    make_files();
    full_write("h/big", big, SIZE);
    free(big);
    full_start(&k, server);
    fd = kit_connect(&k, 0);
    kit_send(fd, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    buf[0] = '\0';
    rc = kit_read(&k, fd, buf, 4096, "\r\n\r\n", 2000);
    assert_int_equal(rc, 1);
    assert_int_equal(truncate(full_path("h/big"), 1000), 0);
    for (;;) {
        ssize_t n = recv(fd, buf, sizeof(buf), 0);

        if (n > 0) {
            total += (size_t)n;
        } else if (n == 0 || errno != EAGAIN) {
            break;
        } else {
            kit_turn(&k);
        }
    }
    assert_true(total < SIZE);
    (void)close(fd);
    full_stop(&k);
}

static void errors(void **state)
{
    static const struct {
        const char *conf, *message;
    } cases[] = {
        {"index;",          "invalid number of arguments in \"index\" directive"                  },
        {"index \"\";",     "index \"\" in \"index\" directive is invalid"                        },
        {"index $no_such;", "unknown \"no_such\" variable"                                        },
        {"index a /b c;",   "[warn] only the last index in \"index\" directive should be absolute"},
    };

    char text[256], out[1024];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct wr_gen *g;

        (void)snprintf(text, sizeof(text), "http { server { %s } }", cases[i].conf);
        g = kit_load(text, out, sizeof(out));
        assert_int_equal(g != NULL, strstr(cases[i].message, "[warn]") != NULL);
        wr_gen_unref(g);
        if (!strstr(out, cases[i].message)) {
            fail_msg("%s: %s", cases[i].conf, out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),    cmocka_unit_test(folders_get_a_slash),
        cmocka_unit_test(validators), cmocka_unit_test(a_file_that_shrinks),
        cmocka_unit_test(errors),
    };
    int rc;

    full_boot();
    rc = cmocka_run_group_tests_name("mod/static", tests, NULL, NULL);
    full_end();
    return rc;
}
