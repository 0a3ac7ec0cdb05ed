/* SPDX-License-Identifier: Apache-2.0 */
/*
 * append.c: see append.h. A FIFO is opened for reading and writing: so it can be opened before its
 * reader comes, and a reader that is restarted misses nothing that the pipe had room for.
 *
 * What cannot be made non-blocking (a standard output that we may not open again) is asked by
 * RWF_NOWAIT; where the kernel does not know that for its kind, by poll, and then given at most a
 * piece that fits.
 */
#include "io/append.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/num.h"

#define OPEN_FLAGS (O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

static int open_fifo(const char *path, int fd)
{
    int both = open(path, O_RDWR | OPEN_FLAGS);

    if (both == -1) {
        return fd; /* we may not read it: then only with a reader */
    }
    if (fd != -1) {
        (void)close(fd);
    }
    return both;
}

static bool is_fifo(const char *path, int fd)
{
    struct stat st;

    return (fd != -1 ? fstat(fd, &st) : stat(path, &st)) == 0 && S_ISFIFO(st.st_mode);
}

enum wr_status wr_append_open(const char *path, mode_t mode, int *ret_fd, bool *ret_is_new,
                              int *ret_errno)
{
    bool is_new = false;
    int fd = -1, err = ENOENT;

    /* Twice: somebody else may make or remove it in between. */
    for (int i = 0; i < 2 && fd == -1 && (err == ENOENT || err == EEXIST); i++) {
        fd = open(path, O_WRONLY | OPEN_FLAGS);
        err = errno;
        if (fd == -1 && err == ENOENT) {
            fd = open(path, O_WRONLY | O_CREAT | O_EXCL | OPEN_FLAGS, mode);
            err = errno;
            is_new = fd != -1;
        }
    }
    if (fd == -1 && err == EEXIST) {
        /* A symbolic link to what does not exist yet. */
        fd = open(path, O_WRONLY | O_CREAT | OPEN_FLAGS, mode);
        err = errno;
    }
    if ((fd != -1 || err == ENXIO) && is_fifo(path, fd)) {
        fd = open_fifo(path, fd);
    }
    if (fd == -1) {
        *ret_errno = err;
        return WR_ESYS;
    }
    *ret_fd = fd;
    if (ret_is_new) {
        *ret_is_new = is_new;
    }
    return WR_OK;
}

enum wr_status wr_append_again(int fd, int *ret_fd, int *ret_errno)
{
    char name[32];
    struct stat st;
    int again = -1;

    /* A file keeps its one position, which others that write to it share. */
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        again = open(name, O_WRONLY | OPEN_FLAGS);
    }
    if (again == -1) {
        again = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    if (again == -1) {
        *ret_errno = errno;
        return WR_ESYS;
    }
    *ret_fd = again;
    return WR_OK;
}

void wr_append_close(int fd)
{
    (void)close(fd); /* what can fail here was told by write */
}

bool wr_append_is_regular(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

bool wr_append_id_of(int fd, struct wr_append_id *ret)
{
    struct stat st;

    if (fstat(fd, &st) == -1) {
        return false;
    }
    *ret = (struct wr_append_id){.dev = st.st_dev, .ino = st.st_ino};
    return true;
}

bool wr_append_is_named(const char *path, const struct wr_append_id *id)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_dev == id->dev && st.st_ino == id->ino;
}

bool wr_append_has_folder(const char *path, int *ret_errno)
{
    struct stat st;

    if (stat(path, &st) == -1) {
        *ret_errno = errno;
        return false;
    }
    *ret_errno = ENOTDIR;
    return S_ISDIR(st.st_mode);
}

/* One piece to something that may be slow. -1 with EAGAIN: not now. */
static ssize_t write_piece(int fd, const char *p, size_t n)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
    struct pollfd pfd = {.fd = fd, .events = POLLOUT};
    int flags = fcntl(fd, F_GETFL);
    ssize_t done;

    if (flags != -1 && (flags & O_NONBLOCK) != 0) {
        return write(fd, p, n);
    }
    done = pwritev2(fd, &iov, 1, -1, RWF_NOWAIT);
    if (done != -1 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)) {
        return done;
    }
    if (poll(&pfd, 1, 0) != 1 || (pfd.revents & (POLLOUT | POLLERR | POLLHUP)) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd, p, n);
}

enum wr_status wr_append_write(int fd, enum wr_append_kind kind, const char *p, size_t n,
                               size_t *ret_done, int *ret_errno)
{
    size_t at = 0;
    int err = 0;

    while (at < n && err == 0) {
        ssize_t done = kind == WR_APPEND_FILE
                           ? write(fd, p + at, n - at)
                           : write_piece(fd, p + at, WR_MIN(n - at, (size_t)WR_APPEND_PIECE));

        if (done > 0) {
            at += (size_t)done;
        } else if (done == 0 || errno != EINTR) {
            err = done == 0 ? EIO : errno;
        }
    }
    *ret_done = at;
    if (err == 0) {
        return WR_OK;
    }
    *ret_errno = err;
    return kind == WR_APPEND_STREAM && err == EAGAIN ? WR_AGAIN : WR_ESYS;
}

void wr_append_undo(int fd, size_t n)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size >= n) {
        (void)!ftruncate(fd, st.st_size - (off_t)n); /* then the bytes stay */
    }
}
