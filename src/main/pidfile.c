/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pidfile.c: see pidfile.h. flock and not fcntl: the lock belongs to the open file, survives the
 * fork of the daemon, and is not lost when some library opens and closes the same path. The
 * descriptor is close-on-exec, so that a worker never holds it.
 */
#include "main/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "base/str.h"
#include "main/say.h"

static enum wr_status fail(struct wr_pidfile_fault *f, const char *call)
{
    *f = (struct wr_pidfile_fault){call, errno};
    return WR_ESYS;
}

enum wr_status wr_pidfile_rewrite(struct wr_pidfile *p)
{
    char text[24];
    size_t n = wr_num_write_u64(text, (uint64_t)getpid());

    text[n++] = '\n';
    if (ftruncate(p->fd, 0) == -1 || pwrite(p->fd, text, n, 0) != (ssize_t)n) {
        return WR_ESYS;
    }
    return WR_OK;
}

enum wr_status wr_pidfile_open(struct wr_pidfile *p, const char *path,
                               struct wr_pidfile_fault *ret_fault)
{
    struct wr_str s = wr_str_z(path);

    p->fd = -1;
    if (s.len >= sizeof(p->path)) {
        errno = ENAMETOOLONG;
        return fail(ret_fault, "open");
    }
    memcpy(p->path, s.ptr, s.len + 1);
    p->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
    if (p->fd == -1) {
        return fail(ret_fault, "open");
    }
    if (flock(p->fd, LOCK_EX | LOCK_NB) == -1) {
        enum wr_status st = errno == EWOULDBLOCK ? WR_ELIMIT : WR_ESYS;

        (void)fail(ret_fault, "flock");
        (void)close(p->fd);
        p->fd = -1;
        return st;
    }
    if (wr_pidfile_rewrite(p) != WR_OK) {
        (void)fail(ret_fault, "write");
        wr_pidfile_close(p);
        return WR_ESYS;
    }
    return WR_OK;
}

void wr_pidfile_close(struct wr_pidfile *p)
{
    struct stat here, there;

    if (p->fd == -1) {
        return;
    }
    /* Somebody may have put another file in its place. */
    if (fstat(p->fd, &here) == 0 && lstat(p->path, &there) == 0 && here.st_ino == there.st_ino &&
        here.st_dev == there.st_dev) {
        (void)unlink(p->path); /* it stays when we lost the right to remove it */
    }
    (void)close(p->fd);
    p->fd = -1;
}

/* Does a running weir hold the file of this name? */
static bool is_held(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool is;

    if (fd == -1) {
        return false;
    }
    is = flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK;
    (void)close(fd);
    return is;
}

static enum wr_status rename_to(struct wr_pidfile *p, const char *to, size_t len,
                                struct wr_pidfile_fault *ret_fault)
{
    if (rename(p->path, to) == -1) {
        return fail(ret_fault, "rename");
    }
    memcpy(p->path, to, len + 1);
    return WR_OK;
}

enum wr_status wr_pidfile_move(struct wr_pidfile *p, const char *suffix,
                               struct wr_pidfile_fault *ret_fault)
{
    char to[sizeof(p->path)];
    size_t len = strlen(p->path), more = strlen(suffix);

    if (len + more >= sizeof(to)) {
        errno = ENAMETOOLONG;
        return fail(ret_fault, "rename");
    }
    memcpy(to, p->path, len);
    memcpy(to + len, suffix, more + 1);
    if (is_held(to)) {
        return WR_ELIMIT;
    }
    return rename_to(p, to, len + more, ret_fault);
}

enum wr_status wr_pidfile_move_back(struct wr_pidfile *p, const char *suffix,
                                    struct wr_pidfile_fault *ret_fault)
{
    char to[sizeof(p->path)];
    size_t len = strlen(p->path) - strlen(suffix);

    memcpy(to, p->path, len);
    to[len] = '\0';
    return rename_to(p, to, len, ret_fault);
}

enum wr_status wr_pidfile_find(const char *path, pid_t *ret_pid, struct wr_pidfile_fault *ret_fault)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char text[64];
    struct wr_str s;
    uint64_t pid;
    ssize_t n;
    bool is_locked;

    if (fd == -1) {
        return fail(ret_fault, "open");
    }
    n = pread(fd, text, sizeof(text), 0);
    is_locked = flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK;
    (void)close(fd);
    if (n == -1) {
        return fail(ret_fault, "read");
    }
    s = wr_str(text, (size_t)n);
    while (s.len > 0 && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r')) {
        s.len--;
    }
    if (wr_num_parse_u64(s, INT32_MAX, &pid) != WR_OK || pid == 0) {
        return WR_EPROTO;
    }
    if (!is_locked) {
        return WR_EPEERGONE;
    }
    *ret_pid = (pid_t)pid;
    return WR_OK;
}

void wr_pidfile_say(struct wr_str path, enum wr_status st, const struct wr_pidfile_fault *fault)
{
    if (st == WR_ESYS) {
        wr_say(WR_LOG_ERROR, fault->err, "%s() \"%.*s\" failed", fault->call, WR_STR_ARG(path));
    } else if (st == WR_EPROTO) {
        wr_say(WR_LOG_ERROR, 0, "there is no process number in \"%.*s\"", WR_STR_ARG(path));
    } else {
        wr_say(WR_LOG_ERROR, 0, "no weir runs with the pid file \"%.*s\"", WR_STR_ARG(path));
    }
}
