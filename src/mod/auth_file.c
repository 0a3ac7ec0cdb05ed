/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_file.c: see auth_file.h. Users are an array in the order of their names. A file's state is
 * under its lock; it is read without the lock by the one thread that found it due, while the others
 * go on with what was there.
 *
 *   found: users of the bundle, never looked at -> look: same mark | read | gone | may not be read
 */
#include "mod/auth_file.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/sync.h"
#include "conf/dirs.h"
#include "conf/gen.h"
#include "io/file.h"

/* A file that was written to less than this before it was read may be written to again within the
 * same tick of its clock. */
#define FRESH_NS ((int64_t)1000000000)

struct user {
    struct wr_str name, hash;
};

struct wr_auth_users {
    struct user *at;
    size_t cnt;
    char text[];
};

struct wr_auth_file {
    struct wr_fixture fixture; /* of one that the configuration names */
    struct wr_mutex lock;
    struct wr_str path;
    /* under the lock */
    struct wr_auth_users *users; /* NULL: there is no file, err says why */
    struct wr_file_mark mark;    /* of what was read */
    bool has_mark;
    bool is_told; /* that it changed and may not be read */
    int err;      /* errno; 0 with too_large */
    bool is_too_large;
    uint64_t check_at_ms; /* when it is looked at again */
    /* of one with variables in its name: under the lock of the table */
    uint32_t refcnt;
    uint64_t used_no;
};

struct wr_auth_files {
    struct wr_fixture fixture;
    struct wr_mutex lock;
    struct wr_auth_file *at[WR_AUTH_FILES_MAX]; /* NULL: free */
    uint64_t use_no;
};

/* ---- users ----------------------------------------------------------------------------------- */

/* "name:hash[:more]". False: a comment, or no such line. */
static bool read_line(struct wr_str line, struct user *ret)
{
    size_t colon = wr_str_find(line, ':');
    struct wr_str rest;

    if (colon == 0 || colon == line.len || line.ptr[0] == '#') {
        return false;
    }
    if (line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    rest = wr_str_sub(line, colon + 1, line.len);
    ret->name = wr_str_sub(line, 0, colon);
    ret->hash = wr_str_sub(rest, 0, wr_str_find(rest, ':'));
    return true;
}

/* By name; of one name the first line first. */
static int compare_users(const void *a, const void *b)
{
    const struct user *x = a, *y = b;
    int d = wr_str_cmp(x->name, y->name);

    return d != 0 ? d : x->name.ptr < y->name.ptr ? -1 : x->name.ptr > y->name.ptr;
}

struct wr_auth_users *wr_auth_users_new(struct wr_str text)
{
    struct wr_auth_users *u = wr_run_alloc(sizeof(*u) + text.len + 1);
    struct wr_str rest, line;
    struct user one;

    if (!u) {
        return NULL;
    }
    if (text.len > 0) {
        memcpy(u->text, text.ptr, text.len);
    }
    u->cnt = 0;
    rest = wr_str(u->text, text.len);
    while (wr_str_split(&rest, '\n', &line)) {
        u->cnt += read_line(line, &one);
    }
    u->at = wr_run_alloc(u->cnt * sizeof(*u->at) + 1);
    if (!u->at) {
        wr_mem_free(u);
        return NULL;
    }
    u->cnt = 0;
    rest = wr_str(u->text, text.len);
    while (wr_str_split(&rest, '\n', &line)) {
        if (read_line(line, &one)) {
            u->at[u->cnt++] = one;
        }
    }
    qsort(u->at, u->cnt, sizeof(*u->at), compare_users);
    return u;
}

void wr_auth_users_free(struct wr_auth_users *u)
{
    if (u) {
        wr_mem_free(u->at);
        wr_mem_free(u);
    }
}

bool wr_auth_users_find(const struct wr_auth_users *u, struct wr_str user, struct wr_str *ret_hash)
{
    size_t low = 0, high = u->cnt;

    while (low < high) { /* the first that is not before it */
        size_t mid = low + (high - low) / 2;

        if (wr_str_cmp(u->at[mid].name, user) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == u->cnt || !wr_str_eq(u->at[low].name, user)) {
        return false;
    }
    *ret_hash = u->at[low].hash;
    return true;
}

/* ---- a file ---------------------------------------------------------------------------------- */

static void end_file(struct wr_auth_file *f)
{
    wr_auth_users_free(f->users);
    wr_mutex_fini(&f->lock);
    wr_mem_free(f);
}

static void free_file(struct wr_fixture *x)
{
    end_file(wr_container_of(x, struct wr_auth_file, fixture));
}

static const struct wr_fixture_ops file_ops = {.kind = "auth_file", .free = free_file};

static struct wr_auth_file *make_file(struct wr_str path)
{
    struct wr_auth_file *f = wr_run_zalloc(sizeof(*f) + path.len + 1);
    char *copy;

    if (f) {
        copy = (char *)(f + 1);
        memcpy(copy, path.ptr, path.len);
        f->path = wr_str(copy, path.len);
        f->err = ENOENT;
        wr_mutex_init(&f->lock, WR_RANK_LEAF);
    }
    return f;
}

/* What is there from now on; mark NULL: of the bundle, of which it is not known when it was. */
static void put_users(struct wr_auth_file *f, struct wr_auth_users *users,
                      const struct wr_file_mark *mark)
{
    struct wr_auth_users *old;

    wr_mutex_lock(&f->lock);
    old = f->users;
    f->users = users;
    f->has_mark = mark != NULL && (int64_t)wr_clock_wall_ms() * 1000000 - mark->mtime_ns > FRESH_NS;
    if (mark) {
        f->mark = *mark;
    }
    f->is_told = f->is_too_large = false;
    f->err = 0;
    wr_mutex_unlock(&f->lock);
    wr_auth_users_free(old);
}

static void put_fault(struct wr_auth_file *f, int err)
{
    struct wr_auth_users *old;

    wr_mutex_lock(&f->lock);
    old = wr_take(&f->users);
    f->has_mark = false;
    f->err = err;
    f->is_too_large = err == 0;
    wr_mutex_unlock(&f->lock);
    wr_auth_users_free(old);
}

/* May not be opened: the users of before stay, if there are some. */
static void keep_users(struct wr_auth_file *f, int err, const struct wr_log *log)
{
    bool has_users, is_told;

    wr_mutex_lock(&f->lock);
    has_users = f->users != NULL;
    is_told = f->is_told;
    f->is_told = true;
    wr_mutex_unlock(&f->lock);
    if (!has_users) {
        put_fault(f, err);
    } else if (!is_told) {
        wr_log_errno(log, WR_LOG_NOTICE, err,
                     "\"%.*s\" cannot be read by this user: it is as it was at the last reload",
                     WR_STR_ARG(f->path));
    }
}

static void read_file(struct wr_auth_file *f, const struct wr_log *log)
{
    struct wr_file_mark mark;
    struct wr_auth_users *users;
    char *bytes = NULL;
    size_t len = 0;
    int err = 0;

    enum wr_status st = wr_file_read_all(f->path.ptr, WR_AUTH_FILE_MAX, &mark, &bytes, &len, &err);

    if (st == WR_ELIMIT) {
        put_fault(f, 0);
    } else if (st == WR_ESYS && (err == EACCES || err == EPERM)) {
        keep_users(f, err, log);
    } else if (st == WR_ESYS && err != EMFILE && err != ENFILE && err != ENOMEM) {
        put_fault(f, err);
    } else if (st == WR_OK) {
        users = wr_auth_users_new(wr_str(bytes, len));
        wr_mem_free(bytes);
        if (users) {
            put_users(f, users, &mark);
        }
    } /* else it stays as it was, and is tried again: memory, descriptors */
}

/* One thread at a time finds that it is due. */
static bool is_due(struct wr_auth_file *f, struct wr_file_mark *ret_mark, bool *ret_has_mark)
{
    uint64_t now = wr_now_ms();
    bool due;

    wr_mutex_lock(&f->lock);
    due = now >= f->check_at_ms;
    if (due) {
        f->check_at_ms = now + WR_AUTH_RECHECK_MS;
        *ret_mark = f->mark;
        *ret_has_mark = f->has_mark;
    }
    wr_mutex_unlock(&f->lock);
    return due;
}

static bool is_same_mark(const struct wr_file_mark *a, const struct wr_file_mark *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static void look(struct wr_auth_file *f, const struct wr_log *log)
{
    struct wr_file_mark had, now;
    bool has = false;
    int err = 0;

    if (is_due(f, &had, &has) &&
        !(has && wr_file_mark(f->path.ptr, &now, &err) == WR_OK && is_same_mark(&had, &now))) {
        read_file(f, log);
    }
}

enum wr_status wr_auth_file_find(struct wr_auth_file *f, const struct wr_auth_query *q,
                                 struct wr_str *ret_hash, int *ret_errno)
{
    struct wr_str hash;
    enum wr_status st;

    look(f, q->log);
    wr_mutex_lock(&f->lock);
    if (!f->users) {
        *ret_errno = f->err;
        st = f->is_too_large ? WR_ELIMIT : WR_ESYS;
    } else if (!wr_auth_users_find(f->users, q->user, &hash)) {
        st = WR_EOF;
    } else {
        st = wr_arena_dup(q->arena, hash, ret_hash);
    }
    wr_mutex_unlock(&f->lock);
    return st;
}

enum wr_status wr_auth_file_get(struct wr_conf *cf, struct wr_str path, const struct wr_str *bytes,
                                struct wr_auth_file **ret)
{
    struct wr_fixtures *all = cf->opts->fixtures;
    struct wr_auth_users *users = NULL;
    struct wr_auth_file *f;
    struct wr_fixture *x;
    enum wr_status st;

    if (!all) {
        *ret = NULL;
        return WR_OK;
    }
    if (bytes) {
        users = wr_auth_users_new(*bytes);
        if (!users) {
            return WR_ENOMEM;
        }
    }
    x = wr_fixtures_get(all, &file_ops, path, 0);
    f = x ? wr_container_of(x, struct wr_auth_file, fixture) : make_file(path);
    if (!f) {
        wr_auth_users_free(users);
        return WR_ENOMEM;
    }
    if (users) {
        put_users(f, users, NULL);
    }
    if (!x) {
        st = wr_fixtures_add(all, &f->fixture, &file_ops, path, 0);
        if (st != WR_OK) {
            end_file(f);
            return st;
        }
    }
    st = wr_gen_use(cf->gen, &f->fixture);
    if (st == WR_OK) {
        *ret = f;
    }
    return st;
}

/* ---- files by names with variables ----------------------------------------------------------- */

static void free_files(struct wr_fixture *x)
{
    struct wr_auth_files *fs = wr_container_of(x, struct wr_auth_files, fixture);

    for (unsigned i = 0; i < WR_AUTH_FILES_MAX; i++) {
        if (fs->at[i]) {
            end_file(fs->at[i]);
        }
    }
    wr_mutex_fini(&fs->lock);
    wr_mem_free(fs);
}

static const struct wr_fixture_ops files_ops = {.kind = "auth_files", .free = free_files};

enum wr_status wr_auth_files_get(struct wr_conf *cf, struct wr_auth_files **ret)
{
    struct wr_fixtures *all = cf->opts->fixtures;
    struct wr_auth_files *fs;
    struct wr_fixture *x;
    enum wr_status st;

    if (!all) {
        *ret = NULL;
        return WR_OK;
    }
    x = wr_fixtures_get(all, &files_ops, WR_STR("all"), 0);
    if (!x) {
        fs = wr_mem_alloc(sizeof(*fs));
        wr_mutex_init(&fs->lock, WR_RANK_SHARD);
        x = &fs->fixture;
        st = wr_fixtures_add(all, x, &files_ops, WR_STR("all"), 0);
        if (st != WR_OK) {
            free_files(x);
            return st;
        }
    }
    st = wr_gen_use(cf->gen, x);
    if (st == WR_OK) {
        *ret = wr_container_of(x, struct wr_auth_files, fixture);
    }
    return st;
}

/* The table's lock held: its place, or that of the one that may go for it; NULL: all are in use. */
static struct wr_auth_file **find_place(struct wr_auth_files *fs, struct wr_str path)
{
    struct wr_auth_file **best = NULL;

    for (unsigned i = 0; i < WR_AUTH_FILES_MAX; i++) {
        struct wr_auth_file **p = &fs->at[i];

        if (*p && wr_str_eq((*p)->path, path)) {
            return p;
        }
        if (!*p) {
            best = best && !*best ? best : p;
        } else if ((*p)->refcnt == 0 && (!best || (*best && (*p)->used_no < (*best)->used_no))) {
            best = p;
        }
    }
    return best;
}

static struct wr_auth_file *acquire_file(struct wr_auth_files *fs, struct wr_str path)
{
    struct wr_auth_file **p, *f = NULL;

    wr_mutex_lock(&fs->lock);
    p = find_place(fs, path);
    if (p && !(*p && wr_str_eq((*p)->path, path))) {
        f = make_file(path);
        if (f && *p) {
            end_file(*p);
        }
        if (f) {
            *p = f;
        }
    } else if (p) {
        f = *p;
    }
    if (f) {
        f->refcnt++;
        f->used_no = ++fs->use_no;
    }
    wr_mutex_unlock(&fs->lock);
    return f;
}

enum wr_status wr_auth_files_find(struct wr_auth_files *fs, struct wr_str path,
                                  const struct wr_auth_query *q, struct wr_str *ret_hash,
                                  int *ret_errno)
{
    struct wr_auth_file *f = acquire_file(fs, path);
    enum wr_status st;

    if (!f) {
        return WR_ENOMEM;
    }
    st = wr_auth_file_find(f, q, ret_hash, ret_errno);
    wr_mutex_lock(&fs->lock);
    f->refcnt--;
    wr_mutex_unlock(&fs->lock);
    return st;
}
