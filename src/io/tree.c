/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.c: see tree.h. A walk goes down with a stack of open folders, by names relative to them:
 *
 *   frames[0] /srv/a   frames[1] x   frames[2] y      each: the folder that is read, and of a copy
 *                                                     the one that is written
 *
 * What is made is made under a name of its own in the same folder (".weir-" and a number), and
 * renamed when it is whole, so nobody ever sees half of it.
 */
#include "io/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sync.h"

#define COPY_PIECE   65536
#define TEMP_TRIES   1000
#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct frame {
    DIR *dir;
    int fd;    /* of dir */
    int to_fd; /* of a copy; -1 */
    bool is_again;
    char name[256]; /* in the frame below; nothing in the first */
};

struct walk {
    unsigned cnt;
    dev_t skip_dev; /* of a copy: its own beginning is not copied */
    ino_t skip_ino;
    bool has_skip;
    struct frame frames[WR_FILE_TREE_DEPTH];
};

static wr_atomic_u64 temp_no;

static enum wr_status fail(int err, int *ret_errno)
{
    *ret_errno = err;
    return WR_ESYS;
}

/* ---- names ------------------------------------------------------------------------------------
 */

/* Length of `path` up to its last name, with the '/'. */
static size_t folder_len(const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    while (n > 0 && path[n - 1] != '/') {
        n--;
    }
    return n;
}

/* "/srv/a/.weir-1234-7" beside `path`. False: too long. */
static bool write_temp_name(const char *path, char out[WR_FILE_TREE_NAME])
{
    size_t n = folder_len(path);
    int len = snprintf(out, WR_FILE_TREE_NAME, "%.*s.weir-%d-%llu", (int)n, path, (int)getpid(),
                       (unsigned long long)wr_add_rlx(&temp_no, 1));

    return len > 0 && len < WR_FILE_TREE_NAME;
}

enum wr_status wr_tree_look(const char *path, struct wr_file_facts *ret, bool *ret_is_link,
                            int *ret_errno)
{
    struct stat st;

    if (lstat(path, &st) == -1) {
        return fail(errno, ret_errno);
    }
    *ret = (struct wr_file_facts){.fd = -1,
                                  .size = (uint64_t)st.st_size,
                                  .mtime = st.st_mtime,
                                  .ino = st.st_ino,
                                  .dev = st.st_dev,
                                  .is_dir = S_ISDIR(st.st_mode),
                                  .is_regular = S_ISREG(st.st_mode)};
    *ret_is_link = S_ISLNK(st.st_mode);
    return WR_OK;
}

/* ---- folders ----------------------------------------------------------------------------------
 */

enum wr_status wr_tree_mkdir(const char *path, mode_t mode, int *ret_errno)
{
    if (mkdir(path, mode) == -1) {
        return fail(errno, ret_errno);
    }
    /* What the umask took away; the folder is there, whatever this says. */
    (void)chmod(path, mode);
    return WR_OK;
}

enum wr_status wr_tree_mkdirs(const char *path, mode_t mode, int *ret_errno)
{
    size_t end = folder_len(path);
    char part[WR_FILE_TREE_NAME];

    if (end >= sizeof(part)) {
        return fail(ENAMETOOLONG, ret_errno);
    }
    for (size_t i = 1; i < end; i++) {
        int err = 0;

        if (path[i] != '/') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        if (wr_tree_mkdir(part, mode, &err) != WR_OK && err != EEXIST && err != EACCES &&
            err != EROFS) {
            return fail(err, ret_errno);
        }
    }
    return WR_OK;
}

/* ---- the stack --------------------------------------------------------------------------------
 */

/* Goes into a folder; `to_fd` is the frame's from now on, also when this fails. */
static enum wr_status enter(struct walk *w, int at, const char *name, int to_fd, int *ret_errno)
{
    struct frame *f = &w->frames[w->cnt];
    int err = ELOOP;

    if (w->cnt < WR_FILE_TREE_DEPTH && (w->cnt == 0 || strlen(name) < sizeof(f->name))) {
        f->fd = openat(at, name, FOLDER_FLAGS);
        f->dir = f->fd == -1 ? NULL : fdopendir(f->fd);
        err = errno;
        if (f->dir) {
            if (w->cnt > 0) {
                memcpy(f->name, name, strlen(name) + 1);
            }
            f->to_fd = to_fd;
            f->is_again = false;
            w->cnt++;
            return WR_OK;
        }
        if (f->fd != -1) {
            (void)close(f->fd);
        }
    }
    if (to_fd != -1) {
        (void)close(to_fd);
    }
    return fail(err, ret_errno);
}

static void leave(struct walk *w)
{
    struct frame *f = &w->frames[--w->cnt];

    (void)closedir(f->dir);
    if (f->to_fd != -1) {
        (void)close(f->to_fd);
    }
}

static void end_walk(struct walk *w)
{
    while (w->cnt > 0) {
        leave(w);
    }
    wr_mem_free(w);
}

/* Next name but dots; NULL at the end. */
static const char *next_name(const struct frame *f)
{
    for (;;) {
        const struct dirent *e = readdir(f->dir);

        if (!e) {
            return NULL;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            return e->d_name;
        }
    }
}

/* ---- removing ---------------------------------------------------------------------------------
 */

/* One name of the top folder. */
static enum wr_status remove_name(struct walk *w, const char *name, int *ret_errno)
{
    const struct frame *f = &w->frames[w->cnt - 1];

    if (unlinkat(f->fd, name, 0) == 0 || errno == ENOENT) {
        return WR_OK;
    }
    if (errno != EISDIR && errno != EPERM) {
        return fail(errno, ret_errno);
    }
    return enter(w, f->fd, name, -1, ret_errno);
}

/* The top folder is empty now. */
static enum wr_status remove_top(struct walk *w, const char *path, int *ret_errno)
{
    struct frame *f = &w->frames[w->cnt - 1];
    int rc;

    if (w->cnt > 1) {
        rc = unlinkat(w->frames[w->cnt - 2].fd, f->name, AT_REMOVEDIR);
    } else {
        rc = rmdir(path);
    }
    if (rc == -1 && (errno == ENOTEMPTY || errno == EEXIST) && !f->is_again) {
        /* Names may be passed over while others go. */
        f->is_again = true;
        rewinddir(f->dir);
        return WR_OK;
    }
    if (rc == -1) {
        return fail(errno, ret_errno);
    }
    leave(w);
    return WR_OK;
}

enum wr_status wr_tree_remove(const char *path, int *ret_errno)
{
    struct walk *w;
    enum wr_status st;

    if (unlink(path) == 0) {
        return WR_OK;
    }
    if (errno != EISDIR && errno != EPERM) {
        return fail(errno, ret_errno);
    }
    w = wr_run_zalloc(sizeof(*w));
    if (!w) {
        return fail(ENOMEM, ret_errno);
    }
    st = enter(w, AT_FDCWD, path, -1, ret_errno);
    while (st == WR_OK && w->cnt > 0) {
        const char *name = next_name(&w->frames[w->cnt - 1]);

        st = name ? remove_name(w, name, ret_errno) : remove_top(w, path, ret_errno);
    }
    end_walk(w);
    return st;
}

/* ---- copying ----------------------------------------------------------------------------------
 */

/* A name and the folder that it is relative to. */
struct place {
    int at;
    const char *name;
};

static bool is_not_for_kernel(int err)
{
    return err == EXDEV || err == EINVAL || err == EOPNOTSUPP || err == ENOSYS;
}

static enum wr_status write_all(int fd, const char *p, size_t n, int *ret_errno)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);

        if (k == -1 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            return fail(k == 0 ? ENOSPC : errno, ret_errno);
        }
        p += k;
        n -= (size_t)k;
    }
    return WR_OK;
}

static enum wr_status copy_by_buffer(int from, int to, int *ret_errno)
{
    char *buf = wr_run_alloc(COPY_PIECE);
    enum wr_status st = WR_OK;
    ssize_t n = 1;

    if (!buf) {
        return fail(ENOMEM, ret_errno);
    }
    while (st == WR_OK && n != 0) {
        n = read(from, buf, COPY_PIECE);
        if (n == -1 && errno != EINTR) {
            st = fail(errno, ret_errno);
        } else if (n > 0) {
            st = write_all(to, buf, (size_t)n, ret_errno);
        }
    }
    wr_mem_free(buf);
    return st;
}

static enum wr_status copy_bytes(int from, int to, int *ret_errno)
{
    ssize_t n;

    do {
        n = copy_file_range(from, NULL, to, NULL, (size_t)1 << 30, 0);
    } while (n > 0 || (n == -1 && errno == EINTR));
    if (n == 0) {
        return WR_OK;
    }
    /* Nothing was copied, or what was is where both have got to. */
    return is_not_for_kernel(errno) ? copy_by_buffer(from, to, ret_errno) : fail(errno, ret_errno);
}

static enum wr_status copy_file(struct place from, struct place to, int *ret_errno)
{
    struct stat st;
    struct timespec times[2];
    enum wr_status ret;
    int in = openat(from.at, from.name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), out;

    if (in == -1) {
        return fail(errno, ret_errno);
    }
    out = openat(to.at, to.name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out == -1 || fstat(in, &st) == -1) {
        ret = fail(errno, ret_errno);
    } else {
        times[0] = st.st_atim;
        times[1] = st.st_mtim;
        ret = copy_bytes(in, out, ret_errno);
        /* A copy with another mode or time is a copy. */
        (void)fchmod(out, st.st_mode & 0777);
        (void)futimens(out, times);
    }
    (void)close(in);
    if (out != -1) {
        (void)close(out);
    }
    return ret;
}

static enum wr_status copy_link(struct place from, struct place to, int *ret_errno)
{
    char text[WR_FILE_TREE_NAME];
    ssize_t n = readlinkat(from.at, from.name, text, sizeof(text));

    if (n == -1 || n == (ssize_t)sizeof(text)) {
        return fail(n == -1 ? errno : ENAMETOOLONG, ret_errno);
    }
    text[n] = '\0';
    return symlinkat(text, to.at, to.name) == 0 ? WR_OK : fail(errno, ret_errno);
}

/* A folder is made and gone into. */
static enum wr_status copy_folder(struct walk *w, struct place from, struct place to, mode_t mode,
                                  int *ret_errno)
{
    struct stat st;
    int fd;

    if (w->cnt >= WR_FILE_TREE_DEPTH) {
        return fail(ELOOP, ret_errno); /* not made, since it could not be removed */
    }
    if (mkdirat(to.at, to.name, 0700) == -1) {
        return fail(errno, ret_errno);
    }
    fd = openat(to.at, to.name, FOLDER_FLAGS);
    if (fd == -1 || fstat(fd, &st) == -1) {
        int err = errno;

        if (fd != -1) {
            (void)close(fd);
        }
        return fail(err, ret_errno);
    }
    (void)fchmod(fd, (mode & 0777) | 0700);
    if (!w->has_skip) {
        w->has_skip = true;
        w->skip_dev = st.st_dev;
        w->skip_ino = st.st_ino;
    }
    return enter(w, from.at, from.name, fd, ret_errno);
}

static enum wr_status copy_name(struct walk *w, struct place from, struct place to, int *ret_errno)
{
    struct stat st;

    if (fstatat(from.at, from.name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
        return fail(errno, ret_errno);
    }
    if (S_ISREG(st.st_mode)) {
        return copy_file(from, to, ret_errno);
    }
    if (S_ISLNK(st.st_mode)) {
        return copy_link(from, to, ret_errno);
    }
    if (!S_ISDIR(st.st_mode) ||
        (w->has_skip && st.st_dev == w->skip_dev && st.st_ino == w->skip_ino)) {
        return WR_OK; /* a FIFO or device is no content; the copy is not copied */
    }
    return copy_folder(w, from, to, st.st_mode, ret_errno);
}

/* Everything in `from` into the open folder `to`. */
static enum wr_status copy_members(struct walk *w, int *ret_errno)
{
    enum wr_status st = WR_OK;

    while (st == WR_OK && w->cnt > 0) {
        const struct frame *f = &w->frames[w->cnt - 1];
        const char *name = next_name(f);

        if (name) {
            st = copy_name(w, (struct place){f->fd, name}, (struct place){f->to_fd, name},
                           ret_errno);
        } else {
            leave(w);
        }
    }
    return st;
}

static enum wr_status copy_to_temp(const char *from, const char *temp, enum wr_tree_depth depth,
                                   int *ret_errno)
{
    struct walk *w = wr_run_zalloc(sizeof(*w));
    enum wr_status st;

    if (!w) {
        return fail(ENOMEM, ret_errno);
    }
    st = copy_name(w, (struct place){AT_FDCWD, from}, (struct place){AT_FDCWD, temp}, ret_errno);
    if (st == WR_OK && depth == WR_TREE_WHOLE) {
        st = copy_members(w, ret_errno);
    }
    end_walk(w);
    return st;
}

static bool is_in_the_way(int err)
{
    return err == ENOTEMPTY || err == EEXIST || err == EISDIR || err == ENOTDIR;
}

/* `from` takes the place of `to`; what was there goes. */
static enum wr_status put_in_place(const char *from, const char *to, int *ret_errno)
{
    if (rename(from, to) == 0) {
        return WR_OK;
    }
    if (!is_in_the_way(errno)) {
        return fail(errno, ret_errno);
    }
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0) {
        return wr_tree_remove(from, ret_errno);
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return fail(errno, ret_errno);
    }
    /* This file system cannot exchange names. */
    if (wr_tree_remove(to, ret_errno) != WR_OK) {
        return WR_ESYS;
    }
    return rename(from, to) == 0 ? WR_OK : fail(errno, ret_errno);
}

enum wr_status wr_tree_copy(const char *from, const char *to, enum wr_tree_depth depth,
                            int *ret_errno)
{
    char temp[WR_FILE_TREE_NAME];
    enum wr_status st;
    int ignored;

    if (!write_temp_name(to, temp)) {
        return fail(ENAMETOOLONG, ret_errno);
    }
    st = copy_to_temp(from, temp, depth, ret_errno);
    if (st == WR_OK) {
        st = put_in_place(temp, to, ret_errno);
    }
    if (st != WR_OK) {
        if (wr_tree_remove(temp, &ignored) != WR_OK) {
            return st; /* the first error is the one that counts */
        }
    }
    return st;
}

enum wr_status wr_tree_move(const char *from, const char *to, int *ret_errno)
{
    int err = 0;

    if (put_in_place(from, to, &err) == WR_OK) {
        return WR_OK;
    }
    if (err != EXDEV) {
        return fail(err, ret_errno);
    }
    if (wr_tree_copy(from, to, WR_TREE_WHOLE, ret_errno) != WR_OK) {
        return WR_ESYS;
    }
    return wr_tree_remove(from, ret_errno);
}

/* ---- a file being made ------------------------------------------------------------------------
 */

enum wr_status wr_new_file_begin(struct wr_new_file *n, const char *path, int *ret_errno)
{
    n->has_name = false;
    for (int i = 0; i < TEMP_TRIES; i++) {
        if (!write_temp_name(path, n->temp)) {
            return fail(ENAMETOOLONG, ret_errno);
        }
        n->fd = open(n->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (n->fd != -1) {
            n->has_name = true;
            return WR_OK;
        }
        if (errno != EEXIST && errno != EINTR) {
            break;
        }
    }
    return fail(errno, ret_errno);
}

enum wr_status wr_new_file_write(struct wr_new_file *n, const struct iovec *iov, int cnt,
                                 int *ret_errno)
{
    for (int i = 0; i < cnt; i++) {
        const char *p = iov[i].iov_base;
        size_t left = iov[i].iov_len;

        while (left > 0) {
            ssize_t k = write(n->fd, p, left);

            if (k == -1 && errno == EINTR) {
                continue;
            }
            if (k <= 0) {
                return fail(k == 0 ? ENOSPC : errno, ret_errno);
            }
            p += k;
            left -= (size_t)k;
        }
    }
    return WR_OK;
}

enum wr_status wr_new_file_finish(struct wr_new_file *n, const char *path, mode_t mode,
                                  int64_t mtime, int *ret_errno)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime}};
    int err = 0;

    if (fchmod(n->fd, mode) == -1 || (mtime != -1 && futimens(n->fd, times) == -1)) {
        err = errno;
    }
    if (close(n->fd) == -1 && err == 0) {
        err = errno; /* a disk that is full may say so only now */
    }
    n->fd = -1;
    if (err == 0 && rename(n->temp, path) == -1) {
        err = errno;
    }
    if (err == 0) {
        n->has_name = false;
        return WR_OK;
    }
    wr_new_file_drop(n);
    return fail(err, ret_errno);
}

void wr_new_file_drop(struct wr_new_file *n)
{
    if (n->fd != -1) {
        (void)close(n->fd);
        n->fd = -1;
    }
    if (n->has_name) {
        n->has_name = false;
        (void)unlink(n->temp); /* best effort: it is hidden */
    }
}
