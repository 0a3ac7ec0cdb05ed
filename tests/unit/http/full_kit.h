/* SPDX-License-Identifier: Apache-2.0 */
/*
 * full_kit.h: the server of req_kit.h with all modules that answer by themselves: variables, maps,
 * ranges, files, return, the access log. full_start opens the logs as main/ does; files of a test
 * lie in kit_dir.
 */
#ifndef TESTS_HTTP_FULL_KIT_H
#define TESTS_HTTP_FULL_KIT_H

#include "../http/req_kit.h"

#include <dirent.h>
#include <sys/time.h>

#include "http/range.h"
#include "http/vars_core.h"
#include "mod/geo.h"
#include "mod/map.h"
#include "mod/rewrite.h"
#include "mod/split_clients.h"
#include "mod/static.h"
#include "observe/access_log.h"

/* A test's own modules, each with a comma behind it. */
#ifndef FULL_KIT_MORE
#    define FULL_KIT_MORE
#endif

static const struct wr_module *const full_modules[] = {
    FULL_KIT_MORE & kit_core, &wr_vars_core_module,
    &wr_map_module,           &wr_geo_module,
    &wr_split_clients_module, &wr_range_module,
    &wr_static_module,        &wr_rewrite_module,
    &wr_access_log_module,    &kit_say};

static void full_boot(void)
{
    static struct wr_conf_module *confs[WR_ARRAY_LEN(full_modules)];
    const char *err = NULL;
    struct wr_strbuf b;
    size_t cnt = 0;

    assert_non_null(mkdtemp(kit_dir));
    wr_strbuf_init(&b, 4096);
    assert_int_equal(wr_modules_set(full_modules, WR_ARRAY_LEN(full_modules), &err), WR_OK);
    for (size_t i = 0; i < WR_ARRAY_LEN(full_modules); i++) {
        if (full_modules[i]->conf) {
            confs[cnt++] = full_modules[i]->conf;
        }
    }
    assert_int_equal(wr_registry_init(&kit_registry, confs, cnt, &b), WR_OK);
    wr_strbuf_fini(&b);
}

/* "a/b" below kit_dir; one of four static buffers. */
static const char *full_path(const char *name)
{
    static char room[4][512];
    static unsigned turn;
    char *p = room[turn++ % 4];

    (void)snprintf(p, sizeof(room[0]), "%s/%s", kit_dir, name);
    return p;
}

static void full_mkdir(const char *name)
{
    assert_true(mkdir(full_path(name), 0755) == 0 || errno == EEXIST);
}

static void full_write(const char *name, const char *bytes, size_t len)
{
    FILE *f = fopen(full_path(name), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* The file's text, zero-terminated; "" when it is not there. */
static const char *full_read(const char *name)
{
    static char buf[1 << 18];
    FILE *f = fopen(full_path(name), "rb");
    size_t n = f ? fread(buf, 1, sizeof(buf) - 1, f) : 0;

    buf[n] = '\0';
    if (f) {
        (void)fclose(f);
    }
    return buf;
}

static void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    char name[1024];

    while (d && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            (void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
            if (unlink(name) != 0) {
                remove_tree(name);
            }
        }
    }
    if (d) {
        (void)closedir(d);
    }
    (void)rmdir(path);
}

static void full_end(void)
{
    remove_tree(kit_dir);
    wr_registry_fini(&kit_registry);
    wr_regex_thread_fini();
}

/* http is the inside of http{}, "@@" in it is kit_dir. */
static void full_start(struct kit *k, const char *http)
{
    char text[16384];
    size_t n = (size_t)snprintf(text, sizeof(text), "http { ");

    for (const char *p = http; *p != '\0' && n + 64 < sizeof(text); p++) {
        if (p[0] == '@' && p[1] == '@') {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", kit_dir);
            p++;
        } else {
            text[n++] = *p;
        }
    }
    (void)snprintf(text + n, sizeof(text) - n, " }");
    kit_start(k, text);
    for (struct wr_access_file *f = wr_access_log_files(k->gen); f; f = f->next) {
        f->fd = open(f->path.ptr, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    }
}

static void full_stop(struct kit *k)
{
    struct wr_gen *g = wr_gen_ref(k->gen);

    wr_http_stop();
    wr_access_log_flush();
    for (struct wr_access_file *f = wr_access_log_files(g); f; f = f->next) {
        (void)close(f->fd);
    }
    kit_stop(k);
    wr_gen_unref(g);
}

/* One request on a connection that closes: what the head holds besides Host and Connection. */
static const char *full_ask(struct kit *k, const char *line, const char *fields)
{
    char text[4096];

    (void)snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s\r\n",
                   line, fields);
    return kit_talk(k, text);
}

/* Value of a response field; "" when it is not there. */
static const char *full_field(const char *response, const char *name)
{
    static char buf[4][1024];
    static unsigned turn;
    char *to = buf[turn++ % 4], key[128];
    const char *p, *end = strstr(response, "\r\n\r\n");
    size_t n;

    (void)snprintf(key, sizeof(key), "\r\n%s: ", name);
    p = strstr(response, key);
    p = p && end && p > end ? NULL : p; /* of a part of the body */
    n = p ? strcspn(p + strlen(key), "\r") : 0;
    memcpy(to, p ? p + strlen(key) : "", n);
    to[n] = '\0';
    return to;
}

#endif
