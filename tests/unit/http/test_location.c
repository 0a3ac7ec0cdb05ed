/* SPDX-License-Identifier: Apache-2.0 */
/* test_location.c: which location takes a path; the expectations were watched at nginx 1.22. */
#include "req_kit.h"

/* clang-format off */
#define LEVELS \
    "location / { say root; } location = / { say =root; } location = /exact { say exact; }" \
    "location /exact { say pexact; } location /images/ { say images; }" \
    "location ^~ /images/fast/ { say fast; } location ~ \\.(gif|jpg)$ { say re; }" \
    "location ~* \\.PNG$ { say png; } location /documents/ { say documents; }" \
    "location /documents/private { say private; } location \"/a b\" { say space; }" \
    "location /nest/ { say nest;" \
    "  location /nest/in/ { say in; location = /nest/in/exact { say in-exact; }" \
    "    location ~ \\.in$ { say in-re; } }" \
    "  location ~ \\.gif$ { say nest-gif; } }" \
    "location ^~ /stop/ { say stop; location ~ \\.gif$ { say stop-gif; } " \
    "  location /stop/d/ { say stop-d; } }" \
    "location /na/ { say a; location ^~ /na/b/ { say ab; } location ~ in$ { say ain; } }" \
    "location ~ ^/r { say r; location ~ x$ { say rx; } }" \
    "location /auto/ { say_go /x; } location /auto2/ { say_go /x; } location = /auto2 { say exact2; }" \
    "location /auto3/ { say_go /x; } location /auto3 { say prefix3; }" \
    "location ~ auto$ { say re-auto; } location @named { say named; } location @named2 { say n2; }"

/* clang-format on */

static const struct {
    const char *path, *want; /* what the location says; "301 ..." a redirect to its slash */
} cases[] = {
    {"/",                    "=root"     },
    {"/index",               "root"      },
    {"/exact",               "exact"     },
    {"/exact/",              "pexact"    },
    {"/exactly",             "pexact"    },
    {"/EXACT",               "root"      },
    {"/exac",                "root"      },
    {"/images",              "root"      },
    {"/images/",             "images"    },
    {"/images/x",            "images"    },
    {"/images/x.gif",        "re"        },
    {"/images/fast",         "images"    },
    {"/images/fast/",        "fast"      },
    {"/images/fast/x.gif",   "fast"      },
    {"/images/fas/x.gif",    "re"        },
    {"/x.jpg",               "re"        },
    {"/x.JPG",               "root"      },
    {"/x.png",               "png"       },
    {"/x.pNg",               "png"       },
    {"/x.pngx",              "root"      },
    {"/documents",           "root"      },
    {"/documents/",          "documents" },
    {"/documents/x",         "documents" },
    {"/documents/private",   "private"   },
    {"/documents/private/x", "private"   },
    {"/documents/priv",      "documents" },
    {"/a b",                 "space"     },
    {"/a b/c",               "space"     },
    {"/nest",                "root"      },
    {"/nest/x",              "nest"      },
    {"/nest/in/x",           "in"        },
    {"/nest/in/exact",       "in-exact"  },
    {"/nest/in/exact/",      "in"        },
    {"/nest/in/x.in",        "in-re"     },
    {"/nest/x.in",           "nest"      },
    {"/nest/x.gif",          "nest-gif"  },
    {"/nest/in/x.gif",       "nest-gif"  },
    {"/nest/in/x.jpg",       "re"        },
    {"/stop/x",              "stop"      },
    {"/stop/x.gif",          "stop-gif"  },
    {"/stop/x.jpg",          "stop"      },
    {"/stop/d/x.jpg",        "stop-d"    },
    {"/stop/d/x.gif",        "stop-gif"  },
    {"/na/x",                "a"         },
    {"/na/b/x",              "ab"        },
    {"/na/b/in",             "ab"        },
    {"/na/b/x.gif",          "re"        },
    {"/na/in",               "ain"       },
    {"/ry",                  "r"         },
    {"/rx",                  "rx"        },
    {"/auto",                "301 /auto/"},
    {"/auto/",               "/x"        },
    {"/auto2",               "exact2"    },
    {"/auto3",               "prefix3"   },
    {"/auto3x",              "prefix3"   },
    {"/zz/auto",             "re-auto"   },
    {"@named",               "root"      },
    {"",                     "none"      },
};

static const char *text_of(const struct wr_location *l)
{
    const struct say_conf *sc = l->start_conf;

    return sc->text->source.ptr;
}

static void check_path(const struct wr_locations *ls, const char *path, const char *want)
{
    const struct wr_location *l = NULL;
    char got[128];

    switch (wr_locations_find(ls, wr_str_z(path), NULL, &l)) {
    case WR_LOCATION_NONE:
        (void)snprintf(got, sizeof(got), "none");
        break;
    case WR_LOCATION_FOUND:
        (void)snprintf(got, sizeof(got), "%s", text_of(l));
        break;
    case WR_LOCATION_REDIRECT:
        (void)snprintf(got, sizeof(got), "301 %.*s", WR_STR_ARG(l->name));
        break;
    case WR_LOCATION_ERROR:
        (void)snprintf(got, sizeof(got), "error");
        break;
    }
    if (strcmp(got, want) != 0) {
        fail_msg("%s: got %s, want %s", path, got, want);
    }
}

static void finds(void **state)
{
    char out[4096];
    struct wr_gen *g = kit_load("http { server { " LEVELS " } }", out, sizeof(out));

    (void)state;
    if (!g) {
        fail_msg("%s", out);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        /* "@named" and "" are no paths: what begins with '/' alone may match "/". */
        const char *want = cases[i].path[0] == '@' ? "none" : cases[i].want;

        check_path(wr_http_of(g)->servers[0].locations, cases[i].path, want);
    }
    wr_gen_unref(g);
}

static void finds_named(void **state)
{
    char out[4096];
    struct wr_gen *g =
        kit_load("http { server { " LEVELS " location @named { say again; } } }", out, sizeof(out));
    const struct wr_locations *ls;

    (void)state;
    assert_non_null(g);
    ls = wr_http_of(g)->servers[0].locations;
    assert_string_equal(text_of(wr_locations_named(ls, WR_STR("@named"))), "named"); /* the first */
    assert_string_equal(text_of(wr_locations_named(ls, WR_STR("@named2"))), "n2");
    assert_null(wr_locations_named(ls, WR_STR("@none")));
    assert_non_null(strstr(out, "[warn] duplicate location \"@named\""));
    wr_gen_unref(g);
}

static void no_locations(void **state)
{
    char out[4096];
    struct wr_gen *g = kit_load("http { server { } }", out, sizeof(out));

    (void)state;
    assert_non_null(g);
    check_path(wr_http_of(g)->servers[0].locations, "/x", "none");
    wr_gen_unref(g);
}

/* The cost is the path's length: thousands of names change nothing but memory. */
static void thousands(void **state)
{
    static char text[1 << 20];
    char out[4096], path[64];
    size_t n = 0;
    struct wr_gen *g;

    (void)state;
    n += (size_t)snprintf(text, sizeof(text), "http { server { location / { say other; } ");
    for (int i = 0; i < 5000; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "location /p%d/ { say p%d; } location = /e%d { say e%d; } ", i, i, i,
                              i);
    }
    (void)snprintf(text + n, sizeof(text) - n, "} }");
    g = kit_load(text, out, sizeof(out));
    assert_non_null(g);
    for (int i = 0; i < 5000; i += 7) {
        (void)snprintf(path, sizeof(path), "/p%d/x", i);
        (void)snprintf(out, sizeof(out), "p%d", i);
        check_path(wr_http_of(g)->servers[0].locations, path, out);
        (void)snprintf(path, sizeof(path), "/e%d", i);
        (void)snprintf(out, sizeof(out), "e%d", i);
        check_path(wr_http_of(g)->servers[0].locations, path, out);
        (void)snprintf(path, sizeof(path), "/e%dx", i);
        check_path(wr_http_of(g)->servers[0].locations, path, "other");
    }
    wr_gen_unref(g);
}

static void errors(void **state)
{
    static const struct {
        const char *server, *want;
    } bad[] = {
        {"location /a {} location /a {}",      "duplicate location \"/a\" in "                                   },
        {"location /a {} location ^~ /a {}",   "duplicate location \"/a\" in "                                   },
        {"location = /a {} location = /a {}",  "duplicate location \"/a\" in "                                   },
        {"location /a { location /b {} }",     "location \"/b\" is outside location \"/a\" in "                  },
        {"location ~ /a { location /b {} }",   "location \"/b\" is outside location \"/a\" in "                  },
        {"location = /a { location /a/b {} }",
         "location \"/a/b\" cannot be inside the exact location \"/a\" in "                                      },
        {"location /a { location @b {} }",
         "named location \"@b\" can be on the server level only in "                                             },
        {"location @b { location /b {} }",
         "location \"/b\" cannot be inside the named location \"@b\" in "                                        },
        {"location ! /a {}",                   "invalid location modifier \"!\" in "                             },
        {"location ~ \"(\" {}",                "pcre2_compile() failed: missing closing parenthesis in \"(\" in "},
        {"location ~ \"(?<x>a)(?<x>b)\" {}",   "in \"(?<x>a)(?<x>b)\" at \"b)\" in "                             },
        {"location /a { say x; say_hold; }",   "\"say_hold\" directive is duplicate in "                         },
        {"location /a /b /c {}",               "invalid number of arguments in \"location\" directive in "       },
    };

    static const char *const fine[] = {
        "location = /a {} location /a {}",
        "location ~ a {} location ~ a {}",
        "location ~/a {} location ~*b {}",
        "location ^~/c {} location =/d {}",
        "location /a { location ~ b { location ~ c {} } }",
    };
    char text[512], out[4096];
    struct wr_gen *g;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        (void)snprintf(text, sizeof(text), "http { server { %s } }", bad[i].server);
        assert_null(kit_load(text, out, sizeof(out)));
        if (!strstr(out, bad[i].want) || strchr(out, '\n') != out + strlen(out) - 1) {
            fail_msg("%s: %s", bad[i].server, out);
        }
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(fine); i++) {
        (void)snprintf(text, sizeof(text), "http { server { %s } }", fine[i]);
        g = kit_load(text, out, sizeof(out));
        if (!g || out[0] != '\0') {
            fail_msg("%s: %s", fine[i], out);
        }
        wr_gen_unref(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),     cmocka_unit_test(finds_named), cmocka_unit_test(no_locations),
        cmocka_unit_test(thousands), cmocka_unit_test(errors),
    };
    int failed;

    kit_boot();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_end();
    return failed;
}
