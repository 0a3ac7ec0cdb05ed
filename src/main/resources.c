/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resources.c: see resources.h. Addresses with a socket a thread (docs: several threads,
 * SO_REUSEPORT) are tried once without it first, since SO_REUSEPORT would hide that somebody else
 * has the port. A socket that is there keeps its options of the day it was made, but for those that
 * may change (retune).
 */
#include "main/resources.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/server.h"
#include "io/append.h"
#include "main/gen_files.h"
#include "main/privs.h"
#include "main/say.h"
#include "net/sock.h"

void wr_resources_init(struct wr_resources *r)
{
    wr_files_init(&r->logs);
    wr_files_init(&r->listeners);
}

void wr_resources_drop_listener(struct wr_file_entry *e, bool is_last)
{
    struct wr_str path = wr_str_sub(e->name, 5, e->name.len);

    if (is_last && wr_str_has_prefix(e->name, WR_STR("unix:")) && path.len > 0 &&
        path.ptr[0] == '/') {
        (void)unlink(path.ptr); /* ours: we bound it; whoever removed it first did no harm */
    }
    if (is_last) {
        /* A worker that still has it takes what waits: nothing may come behind its back. */
        wr_sock_ignore_new(e->fd);
    }
    wr_files_remove(e);
}

void wr_resources_fini(struct wr_resources *r, bool is_last)
{
    struct wr_file_entry *e;

    while ((e = wr_files_next(&r->listeners, NULL)) != NULL) {
        wr_resources_drop_listener(e, is_last);
    }
    wr_files_fini(&r->logs);
}

/* The number of a name of one of our own descriptors, -1. */
static int std_of(const char *path)
{
    if (strcmp(path, "/dev/stdout") == 0) {
        return STDOUT_FILENO;
    }
    return strcmp(path, "/dev/stderr") == 0 ? STDERR_FILENO : -1;
}

int wr_resources_open_log(const char *path)
{
    /* Opened by name they fail when they are sockets, and write over each other when they are
     * files. */
    int std = std_of(path), fd = -1, err = 0;
    enum wr_status st = std != -1 ? wr_append_again(std, &fd, &err)
                                  : wr_append_open(path, WR_APPEND_MODE, &fd, NULL, &err);

    errno = err;
    return st == WR_OK ? fd : -1;
}

/* A log could not be opened: the start fails, unless nobody asked for it. */
static enum wr_status say_no_log(struct wr_str path, int err, bool is_default)
{
    if (is_default) {
        wr_say(WR_LOG_WARN, err, "open() \"%.*s\" failed, nothing is logged there",
               WR_STR_ARG(path));
        return WR_OK;
    }
    wr_say(WR_LOG_EMERG, err, "open() \"%.*s\" failed", WR_STR_ARG(path));
    return WR_ESYS;
}

static enum wr_status prepare_log(void *data, struct wr_str path, int *fd, bool is_default)
{
    struct wr_resources *r = data;
    struct wr_file_entry *e = wr_files_find(&r->logs, path, 0);
    int n;

    if (e == NULL) {
        n = wr_resources_open_log(path.ptr);
        if (n == -1) {
            return say_no_log(path, errno, is_default);
        }
        e = wr_files_add(&r->logs, path, 0, n);
    }
    e->is_wanted = true;
    *fd = e->fd;
    return WR_OK;
}

/* path: '\0' behind it. The folder above is made as well when it alone is missing. */
static int make_private(char *path)
{
    char *slash = strrchr(path, '/');
    int rc = mkdir(path, 0700);

    if (rc == 0 || errno != ENOENT || slash == NULL || slash == path) {
        return rc;
    }
    *slash = '\0';
    rc = mkdir(path, 0755);
    *slash = '/';
    return rc == 0 ? mkdir(path, 0700) : rc;
}

/* Makes a folder that only the worker's user may enter, or takes over one that is there. */
static enum wr_status make_folder(const struct wr_main_conf *mc, struct wr_str path)
{
    char room[4096];
    struct stat st;

    while (path.len > 1 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    if (path.len >= sizeof(room)) {
        errno = ENAMETOOLONG;
        return WR_ESYS;
    }
    memcpy(room, path.ptr, path.len);
    room[path.len] = '\0';
    if (stat(room, &st) == 0) {
        if (!S_ISDIR(st.st_mode)) {
            errno = ENOTDIR;
            return WR_ESYS;
        }
        /* One of the user before, or of root, must be the worker's; /tmp and its like are
         * everybody's. */
        return mc->has_user && st.st_uid != mc->uid && (st.st_mode & S_IWOTH) == 0
                   ? wr_privs_chown(mc, room)
                   : WR_OK;
    }
    return make_private(room) == 0 ? wr_privs_chown(mc, room) : WR_ESYS;
}

static enum wr_status prepare_folders(const struct wr_gen *g)
{
    const struct wr_main_conf *mc = wr_main_conf_of(g);
    const struct wr_temp_dir *d = wr_gen_core_main(g)->temp_dirs;

    for (; d != NULL; d = d->next) {
        struct wr_str path = d->path.dir;

        if (make_folder(mc, path) == WR_OK) {
            continue;
        }
        if (d->node == NULL || d->node->file == NULL) {
            /* Nobody named it: only what does not fit into memory will miss it. */
            wr_say(WR_LOG_WARN, errno,
                   "mkdir() \"%.*s\" failed, large bodies cannot be put on the disk",
                   WR_STR_ARG(path));
            continue;
        }
        wr_say(WR_LOG_EMERG, errno, "mkdir() \"%.*s\" failed", WR_STR_ARG(path));
        return WR_ESYS;
    }
    return WR_OK;
}

static bool is_unix(const struct wr_listen_opts *o)
{
    return o->addr.u.sa.sa_family == AF_UNIX;
}

static enum wr_status say_failed(const char *call, struct wr_str name, int err)
{
    wr_say(WR_LOG_EMERG, err, "%s to %.*s failed", call, WR_STR_ARG(name));
    return WR_ESYS;
}

static enum wr_status bind_port(struct wr_resources *r, const struct wr_listen_opts *port_opts,
                                struct wr_str name, uint32_t cnt)
{
    struct wr_listen_opts o = *port_opts;
    const char *call = "";
    int err = 0, fd;

    o.reuseport = !is_unix(&o) && (o.reuseport || cnt > 1);
    if (o.reuseport && wr_sock_probe(&o, &err, &call) != WR_OK) {
        return say_failed(call, name, err);
    }
    for (uint32_t i = 0; i < cnt; i++) {
        if (wr_sock_listen(&o, &fd, &err, &call) != WR_OK) {
            return say_failed(call, name, err);
        }
        (void)wr_files_add(&r->listeners, name, i, fd);
    }
    if (is_unix(&o)) {
        struct wr_str path = wr_str_sub(name, 5, name.len);

        /* As nginx: everyone may connect; the folder decides. */
        if (path.len > 0 && path.ptr[0] == '/' && chmod(path.ptr, 0666) == -1) {
            return say_failed("chmod()", name, errno);
        }
    }
    return WR_OK;
}

static enum wr_status prepare_port(struct wr_resources *r, const struct wr_port *p,
                                   uint32_t threads)
{
    char text[WR_ADDR_TEXT_MAX];
    struct wr_str name = wr_str(text, wr_addr_write(&p->opts.addr, text));
    struct wr_file_entry *e;
    uint32_t no = 0;

    text[name.len] = '\0';
    for (; (e = wr_files_find(&r->listeners, name, no)) != NULL; no++) {
        e->is_wanted = true;
        if (wr_sock_retune(e->fd, &p->opts) != WR_OK) {
            wr_say(WR_LOG_ALERT, errno, "setsockopt() for %.*s failed, ignored", WR_STR_ARG(name));
        }
    }
    if (no > 0) {
        return WR_OK;
    }
    return bind_port(r, &p->opts, name, is_unix(&p->opts) ? 1 : threads);
}

static void unwant_all(struct wr_files *t)
{
    struct wr_file_entry *e = NULL;

    while ((e = wr_files_next(t, e)) != NULL) {
        e->is_wanted = false;
    }
}

enum wr_status wr_resources_prepare(struct wr_resources *r, struct wr_gen *g)
{
    const struct wr_http *http = wr_http_of(g);
    uint32_t threads = wr_main_conf_of(g)->threads;
    struct wr_file_entry *e;
    enum wr_status st;

    unwant_all(&r->logs);
    unwant_all(&r->listeners);
    e = wr_files_find(&r->logs, WR_STR(""), 0);
    if (e != NULL) {
        e->is_wanted = true;
    }
    st = wr_gen_logs_each(g, prepare_log, r);
    if (st == WR_OK) {
        st = prepare_folders(g);
    }
    for (size_t i = 0; http != NULL && i < http->port_cnt && st == WR_OK; i++) {
        st = prepare_port(r, &http->ports[i], threads);
    }
    return st;
}

/* Is e one to remove: of what was opened for nothing (rollback), or is no longer named? */
static bool is_over(struct wr_file_entry *e, bool is_rollback)
{
    bool is_over = is_rollback ? e->is_new : !e->is_wanted;

    e->is_new = e->is_new && is_over;
    return is_over;
}

static bool drop(struct wr_resources *r, bool is_rollback, bool is_last)
{
    struct wr_file_entry *e, *next;
    bool was_remote = false;

    for (e = wr_files_next(&r->listeners, NULL); e != NULL; e = next) {
        next = wr_files_next(&r->listeners, e);
        if (is_over(e, is_rollback)) {
            was_remote = was_remote || !wr_str_has_prefix(e->name, WR_STR("unix:"));
            wr_resources_drop_listener(e, is_last);
        }
    }
    for (e = wr_files_next(&r->logs, NULL); e != NULL; e = next) {
        next = wr_files_next(&r->logs, e);
        if (is_over(e, is_rollback)) {
            wr_files_remove(e);
        }
    }
    return was_remote;
}

bool wr_resources_commit(struct wr_resources *r, bool is_last)
{
    return drop(r, false, is_last);
}

void wr_resources_rollback(struct wr_resources *r)
{
    (void)drop(r, true, true); /* what we made just now is nobody else's */
}

void wr_resources_install_log(struct wr_resources *r, const struct wr_gen *g)
{
    struct wr_file_entry *e = wr_files_find(&r->logs, WR_STR(""), 0);

    wr_gen_install_sinks(g, e != NULL ? e->fd : STDERR_FILENO);
}

/* A log that has to be made gets owner and mode of the one before: who could read it still can. */
static int open_next(const char *path, int old)
{
    struct stat st;
    bool is_new = false;
    int fd = -1, err = 0;

    if (std_of(path) != -1 || fstat(old, &st) == -1 || !S_ISREG(st.st_mode)) {
        return wr_resources_open_log(path);
    }
    if (wr_append_open(path, st.st_mode & 0777, &fd, &is_new, &err) != WR_OK) {
        errno = err;
        return -1;
    }
    /* May be refused to who is not root; that there is a log is more important. */
    if (is_new &&
        (fchown(fd, st.st_uid, st.st_gid) == -1 || fchmod(fd, st.st_mode & 07777) == -1)) {
        wr_say(WR_LOG_WARN, errno, "owner and mode of \"%s\" are not those of the file before",
               path);
    }
    return fd;
}

void wr_resources_reopen(struct wr_resources *r, const struct wr_start *s)
{
    struct wr_file_entry *e = NULL;

    while ((e = wr_files_next(&r->logs, e)) != NULL) {
        struct wr_str path = e->name.len > 0 ? e->name : s->error_log;
        int fd;

        if (path.len == 0 || e->fd <= STDERR_FILENO) {
            continue;
        }
        fd = open_next(path.ptr, e->fd);
        if (fd == -1 || wr_files_replace(e, fd) != WR_OK) {
            wr_say(WR_LOG_EMERG, errno, "open() \"%.*s\" failed", WR_STR_ARG(path));
        }
    }
}

static enum wr_status test_log(void *data, struct wr_str path, int *fd, bool is_default)
{
    int n = wr_resources_open_log(path.ptr);

    (void)data, (void)fd; /* nothing is kept */
    if (n == -1) {
        return say_no_log(path, errno, is_default);
    }
    (void)close(n);
    return WR_OK;
}

enum wr_status wr_resources_test(struct wr_gen *g)
{
    const struct wr_http *http = wr_http_of(g);
    enum wr_status st = wr_gen_logs_each(g, test_log, NULL);

    for (size_t i = 0; http != NULL && i < http->port_cnt && st == WR_OK; i++) {
        const struct wr_listen_opts *o = &http->ports[i].opts;
        char text[WR_ADDR_TEXT_MAX];
        const char *call = "";
        int err = 0;

        /* A running weir may have the address: that is no fault of the configuration. */
        if (!is_unix(o) && wr_sock_probe(o, &err, &call) != WR_OK && err != EADDRINUSE) {
            st = say_failed(call, wr_str(text, wr_addr_write(&o->addr, text)), err);
        }
    }
    return st;
}
