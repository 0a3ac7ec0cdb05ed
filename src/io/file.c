/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c: refcounted open files and temporary files. Bound to one thread (plain counters); only the
 * number of the next temporary file is shared by all threads. Reads and writes are positional, so
 * slices of one file in several pipes do not disturb each other.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/obj.h"
#include "base/slab.h"
#include "base/sync.h"
#include "io/walk.h"

#define FILE_MAGIC       0x66696c65u
#define TEMP_PATH_MAX    512
#define TEMP_DIGITS      10u
#define TEMP_TRIES       1000
#define TEMP_LEVELS      3
#define TEMP_FOLDER_MODE 0700

static wr_atomic_u64 temp_no;

static enum wr_status make_file(int fd, struct wr_file **ret)
{
    struct wr_file *f = wr_slab_alloc(sizeof(*f));

    if (!f) {
        return WR_ENOMEM;
    }
    wr_obj_init(f, FILE_MAGIC);
    f->refs = 1;
    f->fd = fd;
    *ret = f;
    return WR_OK;
}

static int open_plainly(const char *path)
{
    int fd;

    do {
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    } while (fd == -1 && errno == EINTR);
    return fd;
}

/*
 * A file that another process has a lease on: whoever may wait does so until that gives it back. A
 * FIFO would be waited for as well, so only what is regular is opened so.
 */
static int open_waiting(const char *path)
{
    struct stat st;
    int fd;

    if (stat(path, &st) == -1) {
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        errno = EAGAIN;
        return -1;
    }
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC);
    } while (fd == -1 && errno == EINTR);
    return fd;
}

static void note_facts(const struct stat *st, int fd, struct wr_file_facts *ret)
{
    *ret = (struct wr_file_facts){
        .fd = fd,
        .size = (uint64_t)st->st_size,
        .mtime = st->st_mtime,
        .ino = st->st_ino,
        .dev = st->st_dev,
        .is_dir = S_ISDIR(st->st_mode),
        .is_regular = S_ISREG(st->st_mode),
        .is_executable = (st->st_mode & S_IXUSR) != 0,
    };
}

static enum wr_status look(const char *path, const struct wr_file_how *how,
                           struct wr_file_facts *ret, int *ret_errno)
{
    struct stat st;

    if (how->symlinks != WR_SYMLINKS_FOLLOW) {
        if (wr_walk_stat(path, how, &st, ret_errno) != WR_OK) {
            return WR_ESYS;
        }
    } else if (stat(path, &st) == -1) {
        *ret_errno = errno;
        return WR_ESYS;
    }
    note_facts(&st, -1, ret);
    return WR_OK;
}

/* How the file is going to be read. Without success it is read as any other. */
static void prepare_reading(const struct wr_file_how *how, struct wr_file_facts *f)
{
    int flags;

    if (!f->is_regular) {
        return;
    }
    if (f->size >= how->direct_min) {
        flags = fcntl(f->fd, F_GETFL);
        f->is_direct = flags != -1 && fcntl(f->fd, F_SETFL, flags | O_DIRECT) != -1;
    } else if (how->ahead_min > 0 && f->size > how->ahead_min) {
        (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
}

enum wr_status wr_file_find(const char *path, const struct wr_file_how *how,
                            struct wr_file_facts *ret, int *ret_errno)
{
    struct wr_file_facts f;
    struct stat st;
    int fd;

    if (!how->want_fd) {
        return look(path, how, ret, ret_errno);
    }
    if (how->symlinks == WR_SYMLINKS_FOLLOW) {
        fd = open_plainly(path);
        if (fd == -1 && errno == EWOULDBLOCK && how->may_wait) {
            fd = open_waiting(path);
        }
        *ret_errno = errno;
    } else if (wr_walk_open(path, how, &fd, ret_errno) != WR_OK) {
        fd = -1;
    }
    if (fd == -1) {
        return WR_ESYS;
    }
    if (fstat(fd, &st) == -1) {
        *ret_errno = errno;
        (void)close(fd);
        return WR_ESYS;
    }
    note_facts(&st, fd, &f);
    prepare_reading(how, &f);
    *ret = f;
    return WR_OK;
}

enum wr_status wr_file_of_facts(const struct wr_file_facts *facts, struct wr_file **ret)
{
    struct wr_file *f;

    if (make_file(facts->fd, &f) != WR_OK) {
        (void)close(facts->fd);
        return WR_ENOMEM;
    }
    f->size = facts->size;
    f->mtime = facts->mtime;
    f->ino = facts->ino;
    f->dev = facts->dev;
    f->is_dir = facts->is_dir;
    f->is_regular = facts->is_regular;
    f->is_direct = facts->is_direct;
    *ret = f;
    return WR_OK;
}

void wr_file_facts_drop(struct wr_file_facts *facts)
{
    if (facts->fd != -1) {
        (void)close(facts->fd);
        facts->fd = -1;
    }
}

enum wr_status wr_file_open(const char *path, struct wr_file **ret, int *ret_errno)
{
    static const struct wr_file_how how = {.want_fd = true, .direct_min = UINT64_MAX};
    struct wr_file_facts facts;
    enum wr_status st = wr_file_find(path, &how, &facts, ret_errno);

    return st == WR_OK ? wr_file_of_facts(&facts, ret) : st;
}

enum wr_status wr_file_look(const char *path, bool *ret_is_dir, int *ret_errno)
{
    struct stat st;

    if (stat(path, &st) == -1) {
        *ret_errno = errno;
        return WR_ESYS;
    }
    *ret_is_dir = S_ISDIR(st.st_mode);
    return WR_OK;
}

enum wr_status wr_file_traits(const char *path, unsigned *ret, int *ret_errno)
{
    struct stat st;

    if (stat(path, &st) == -1) {
        *ret_errno = errno;
        return WR_ESYS;
    }
    *ret = (S_ISREG(st.st_mode) ? WR_FILE_REGULAR : 0u) | (S_ISDIR(st.st_mode) ? WR_FILE_DIR : 0u) |
           ((st.st_mode & S_IXUSR) != 0 ? WR_FILE_EXECUTABLE : 0u);
    return WR_OK;
}

/*
 * "dir/7/45/0000000457": a level of k digits is a folder named by the k last digits not used by the
 * levels before it. ends[] gets where each folder's name ends. Returns the length, 0 when it is too
 * long.
 */
static size_t write_temp_path(char *out, const struct wr_temp_path *where, uint64_t no,
                              size_t ends[TEMP_LEVELS])
{
    char name[TEMP_DIGITS];
    size_t n = where->dir.len;
    size_t left = TEMP_DIGITS;

    for (size_t i = TEMP_DIGITS; i-- > 0; no /= 10) {
        name[i] = (char)('0' + no % 10);
    }
    /* Three levels of at most nine digits with slashes, the name, the '\0'. */
    if (n + (size_t)TEMP_LEVELS * (TEMP_DIGITS + 1) + 1 + TEMP_DIGITS + 1 > TEMP_PATH_MAX) {
        return 0;
    }
    memcpy(out, where->dir.ptr, n);
    for (unsigned i = 0; i < TEMP_LEVELS; i++) {
        size_t k = WR_MIN(where->levels[i], left);

        ends[i] = 0;
        if (k == 0) {
            continue;
        }
        left -= k;
        out[n++] = '/';
        memcpy(out + n, name + left, k);
        n += k;
        ends[i] = n;
    }
    out[n++] = '/';
    memcpy(out + n, name, TEMP_DIGITS);
    n += TEMP_DIGITS;
    out[n] = '\0';
    return n;
}

/* Makes the folders of the path, as far as there are levels. 0 or an errno. */
static int make_folders(char *path, const size_t ends[TEMP_LEVELS])
{
    for (unsigned i = 0; i < TEMP_LEVELS; i++) {
        int rc;

        if (ends[i] == 0) {
            continue;
        }
        path[ends[i]] = '\0';
        rc = mkdir(path, TEMP_FOLDER_MODE);
        path[ends[i]] = '/';
        if (rc == -1 && errno != EEXIST) {
            return errno;
        }
    }
    return 0;
}

/* A file that was not there. Returns the descriptor, -1 with *ret_errno. */
static int create_temp(const struct wr_temp_path *where, char *path, int *ret_errno)
{
    size_t ends[TEMP_LEVELS];
    bool made_folders = false;

    for (int tries = 0; tries < TEMP_TRIES; tries++) {
        uint64_t no = wr_add_rlx(&temp_no, 1) + 1;
        int fd;

        if (write_temp_path(path, where, no, ends) == 0) {
            *ret_errno = ENAMETOOLONG;
            return -1;
        }
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd == -1 && errno == ENOENT && !made_folders) {
            int err = make_folders(path, ends);

            if (err != 0) {
                *ret_errno = err;
                return -1;
            }
            fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        }
        if (fd != -1) {
            return fd;
        }
        if (errno != EEXIST && errno != EINTR) {
            *ret_errno = errno;
            return -1;
        }
    }
    *ret_errno = EEXIST;
    return -1;
}

enum wr_status wr_file_temp(const struct wr_temp_path *where, enum wr_temp_flags how,
                            char *ret_name, struct wr_file **ret, int *ret_errno)
{
    char path[TEMP_PATH_MAX];
    struct wr_file *f;
    int fd = create_temp(where, path, ret_errno);

    if (fd == -1) {
        return WR_ESYS;
    }
    if (how == WR_TEMP_UNLINK) {
        /* The file lives on without a name; if this fails it is left behind, which does no harm. */
        (void)unlink(path);
    }
    if (make_file(fd, &f) != WR_OK) {
        if (how == WR_TEMP_KEEP) {
            (void)unlink(path);
        }
        (void)close(fd);
        return WR_ENOMEM;
    }
    f->is_regular = true;
    if (ret_name) {
        memcpy(ret_name, path, sizeof(path));
    }
    *ret = f;
    return WR_OK;
}

struct wr_file *wr_file_ref(struct wr_file *f)
{
    wr_obj_check(f, FILE_MAGIC);
    f->refs++;
    return f;
}

void wr_file_unref(struct wr_file *f)
{
    if (!f) {
        return;
    }
    wr_obj_check(f, FILE_MAGIC);
    WR_ASSERT(f->refs > 0);
    if (--f->refs > 0) {
        return;
    }
    /* Only our own data could be lost, and it was for us only. */
    (void)close(f->fd);
    wr_obj_kill(f);
    wr_slab_free(f, sizeof(*f));
}

enum wr_status wr_file_read(struct wr_file *f, uint64_t off, void *buf, size_t n, size_t *ret_n)
{
    size_t got = 0;

    wr_obj_check(f, FILE_MAGIC);
    while (got < n) {
        ssize_t k = pread(f->fd, (char *)buf + got, n - got, (off_t)(off + got));

        if (k == -1 && errno == EINTR) {
            continue;
        }
        if (k == -1) {
            return WR_ESYS;
        }
        if (k == 0) {
            break;
        }
        got += (size_t)k;
    }
    if (got == 0 && n != 0) {
        return WR_EOF;
    }
    *ret_n = got;
    return WR_OK;
}

enum wr_status wr_file_write(struct wr_file *f, uint64_t off, const void *buf, size_t n,
                             int *ret_errno)
{
    size_t done = 0;

    wr_obj_check(f, FILE_MAGIC);
    while (done < n) {
        ssize_t k = pwrite(f->fd, (const char *)buf + done, n - done, (off_t)(off + done));

        if (k == -1 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            *ret_errno = k == 0 ? ENOSPC : errno;
            return WR_ESYS;
        }
        done += (size_t)k;
    }
    if (off + n > f->size) {
        f->size = off + n;
    }
    return WR_OK;
}

enum wr_status wr_file_truncate(struct wr_file *f)
{
    wr_obj_check(f, FILE_MAGIC);
    if (ftruncate(f->fd, 0) != 0) {
        return WR_ESYS;
    }
    f->size = 0;
    return WR_OK;
}

/* ---- small files as a whole -------------------------------------------------------------------
 */

static struct wr_file_mark mark_of(const struct stat *st)
{
    const int64_t ns = 1000000000;

    return (struct wr_file_mark){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = st->st_mtim.tv_sec * ns + st->st_mtim.tv_nsec,
        .ctime_ns = st->st_ctim.tv_sec * ns + st->st_ctim.tv_nsec,
    };
}

enum wr_status wr_file_mark(const char *path, struct wr_file_mark *ret, int *ret_errno)
{
    struct stat st;

    if (stat(path, &st) == -1) {
        *ret_errno = errno;
        return WR_ESYS;
    }
    *ret = mark_of(&st);
    return WR_OK;
}

/* At most n bytes; fewer when the file became shorter meanwhile. */
static enum wr_status read_some(int fd, char *p, size_t n, size_t *ret_n, int *ret_errno)
{
    size_t have = 0;

    while (have < n) {
        ssize_t k = pread(fd, p + have, n - have, (off_t)have);

        if (k == -1 && errno == EINTR) {
            continue;
        }
        if (k == -1) {
            *ret_errno = errno;
            return WR_ESYS;
        }
        if (k == 0) {
            break;
        }
        have += (size_t)k;
    }
    *ret_n = have;
    return WR_OK;
}

static enum wr_status read_open(int fd, size_t max, struct wr_file_mark *ret_mark, char **ret,
                                size_t *ret_len, int *ret_errno)
{
    enum wr_status status;
    struct stat st;
    char *p;

    if (fstat(fd, &st) == -1) {
        *ret_errno = errno;
        return WR_ESYS;
    }
    if (!S_ISREG(st.st_mode)) {
        *ret_errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        return WR_ESYS;
    }
    if ((uint64_t)st.st_size > max) {
        return WR_ELIMIT;
    }
    p = wr_run_alloc((size_t)st.st_size + 1);
    if (!p) {
        return WR_ENOMEM;
    }
    status = read_some(fd, p, (size_t)st.st_size, ret_len, ret_errno);
    if (status != WR_OK) {
        wr_mem_free(p);
        return status;
    }
    p[*ret_len] = '\0';
    *ret_mark = mark_of(&st);
    *ret = p;
    return WR_OK;
}

enum wr_status wr_file_read_all(const char *path, size_t max, struct wr_file_mark *ret_mark,
                                char **ret, size_t *ret_len, int *ret_errno)
{
    enum wr_status st;
    int fd;

    do {
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    } while (fd == -1 && errno == EINTR);
    if (fd == -1) {
        *ret_errno = errno;
        return WR_ESYS;
    }
    st = read_open(fd, max, ret_mark, ret, ret_len, ret_errno);
    (void)close(fd);
    return st;
}
