/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_disk.c: read, glob and resolve of the supervisor, see conf/source.h for what each gives.
 * Only regular files (and what reads like one, such as a pipe of a shell) are read; a folder is an
 * error.
 */
#include "main/source_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "main/hosts.h"

#define READ_STEP ((size_t)64 << 10)

static enum wr_status fail(struct wr_conf_fault *f, const char *call, int err)
{
    *f = (struct wr_conf_fault){call, err};
    return WR_ESYS;
}

/* All of fd into b, which has a maximum of its own. */
static enum wr_status read_all(int fd, struct wr_strbuf *b, struct wr_conf_fault *ret_fault)
{
    for (;;) {
        size_t room = WR_MIN(READ_STEP, b->max - b->len);
        char *p = room == 0 ? NULL : wr_strbuf_reserve(b, room);
        ssize_t n;

        if (p == NULL) {
            return room == 0 ? WR_ELIMIT : b->status;
        }
        n = read(fd, p, room);
        if (n == -1 && errno == EINTR) {
            continue;
        }
        if (n == -1) {
            return fail(ret_fault, "read", errno);
        }
        if (n == 0) {
            return WR_OK;
        }
        wr_strbuf_commit(b, (size_t)n);
    }
}

static enum wr_status read_path(const char *path, struct wr_strbuf *b,
                                struct wr_conf_fault *ret_fault)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum wr_status status;
    struct stat st;

    if (fd == -1) {
        return fail(ret_fault, "open", errno);
    }
    if (fstat(fd, &st) == -1) {
        status = fail(ret_fault, "fstat", errno);
    } else if (S_ISDIR(st.st_mode)) {
        status = fail(ret_fault, "read", EISDIR);
    } else {
        status = read_all(fd, b, ret_fault);
    }
    (void)close(fd);
    return status;
}

/* "open:2" in the record's data tells the reader which call failed. */
static void note_fault(struct wr_source_disk *d, struct wr_str path, const struct wr_conf_fault *f)
{
    if (d->bundle != NULL) {
        wr_bundle_add(d->bundle, WR_BUNDLE_FILE, path, f->err, wr_str_z(f->call));
    }
}

static enum wr_status read_disk(const struct wr_conf_source *s, struct wr_arena *a,
                                struct wr_str path, size_t max, struct wr_str *ret_bytes,
                                struct wr_conf_fault *ret_fault)
{
    struct wr_source_disk *d = s->data;
    enum wr_status st = WR_OK;
    struct wr_strbuf b;

    wr_strbuf_init(&b, max + 1);
    if (d->overlay_path.len > 0 && wr_str_eq(path, d->overlay_path)) {
        wr_strbuf_add_str(&b, d->overlay);
        st = b.status;
    } else {
        st = read_path(path.ptr, &b, ret_fault);
    }
    if (st == WR_OK && b.len > max) {
        st = WR_ELIMIT;
    }
    if (st == WR_OK && d->bundle != NULL) {
        wr_bundle_add(d->bundle, WR_BUNDLE_FILE, path, 0, wr_strbuf_str(&b));
    } else if (st == WR_ESYS) {
        note_fault(d, path, ret_fault);
    }
    if (st == WR_OK) {
        st = wr_arena_dup(a, wr_strbuf_str(&b), ret_bytes);
    }
    wr_strbuf_fini(&b);
    return st;
}

static enum wr_status copy_names(struct wr_arena *a, const glob_t *g, struct wr_str **ret_paths,
                                 struct wr_strbuf *all)
{
    struct wr_str *paths = wr_arena_alloc(a, (g->gl_pathc + 1) * sizeof(*paths));

    if (paths == NULL) {
        return WR_ENOMEM;
    }
    for (size_t i = 0; i < g->gl_pathc; i++) {
        struct wr_str p = wr_str_z(g->gl_pathv[i]);

        if (wr_arena_dup(a, p, &paths[i]) != WR_OK) {
            return WR_ENOMEM;
        }
        wr_strbuf_add(all, p.ptr, p.len + 1);
    }
    *ret_paths = paths;
    return all->status;
}

static enum wr_status glob_disk(const struct wr_conf_source *s, struct wr_arena *a,
                                struct wr_str pattern, struct wr_str **ret_paths, size_t *ret_cnt,
                                struct wr_conf_fault *ret_fault)
{
    struct wr_source_disk *d = s->data;
    struct wr_strbuf all;
    enum wr_status st;
    glob_t g = {0};
    int rc;

    errno = 0;
    rc = glob(pattern.ptr, 0, NULL, &g);
    if (rc != 0 && rc != GLOB_NOMATCH) {
        int err = rc == GLOB_NOSPACE ? ENOMEM : errno;

        globfree(&g);
        return fail(ret_fault, "glob", err);
    }
    wr_strbuf_init(&all, (size_t)64 << 20);
    st = copy_names(a, &g, ret_paths, &all);
    if (st == WR_OK) {
        *ret_cnt = g.gl_pathc;
        if (d->bundle != NULL) {
            wr_bundle_add(d->bundle, WR_BUNDLE_GLOB, pattern, 0, wr_strbuf_str(&all));
        }
    }
    wr_strbuf_fini(&all);
    globfree(&g);
    return st == WR_ELIMIT ? WR_ENOMEM : st;
}

static enum wr_status resolve_disk(const struct wr_conf_source *s, struct wr_arena *a,
                                   struct wr_str host, struct wr_addr **ret_addrs, size_t *ret_cnt)
{
    struct wr_source_disk *d = s->data;
    enum wr_status st = wr_hosts_resolve(a, host, ret_addrs, ret_cnt);
    struct wr_str data = WR_STR("");

    if (st == WR_ENOMEM) {
        return st;
    }
    if (st == WR_OK) {
        data = wr_str((const char *)*ret_addrs, *ret_cnt * sizeof(**ret_addrs));
    }
    if (d->bundle != NULL) {
        wr_bundle_add(d->bundle, WR_BUNDLE_HOST, host, st == WR_OK ? 0 : ENOENT, data);
    }
    return st;
}

void wr_source_disk_init(struct wr_conf_source *s, struct wr_source_disk *d)
{
    *s = (struct wr_conf_source){
        .read = read_disk, .glob = glob_disk, .resolve = resolve_disk, .data = d};
}
