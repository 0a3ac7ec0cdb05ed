/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.c: see walk.h. A walk holds one folder open by O_PATH and the part of the name that is left:
 *
 *   /srv/www | /pub/a.html        from_len: what stands before the bar is opened as it is
 *              at ^     next part: a folder is entered, the last part is left to the caller
 *
 * A part that is a link is refused (ELOOP), or followed when it has the owner of what it leads to.
 * Between the two looks at owners the link can be exchanged by whoever may write to its folder; he
 * gains nothing that he could not have by a link of his own, which is what is compared.
 */
#include "io/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"

#define FOLDER_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#define OPEN_FLAGS   (O_RDONLY | O_NONBLOCK | O_CLOEXEC)

struct walk {
    int at;           /* folder; one descriptor of ours */
    const char *left; /* of the name */
    char part[NAME_MAX + 1];
};

/* Takes the next part off. WR_EOF: there is none. */
static enum wr_status next_part(struct walk *w, int *ret_errno)
{
    size_t n;

    w->left += strspn(w->left, "/");
    n = strcspn(w->left, "/");
    if (n == 0) {
        return WR_EOF;
    }
    if (n > NAME_MAX) {
        *ret_errno = ENAMETOOLONG;
        return WR_ESYS;
    }
    memcpy(w->part, w->left, n);
    w->part[n] = '\0';
    w->left += n;
    return WR_OK;
}

/* Opens w->part following it, if it has the owner of the link. */
static int follow_link(const struct walk *w, int flags, const struct stat *link)
{
    struct stat st;
    int fd = openat(w->at, w->part, flags);

    if (fd == -1) {
        return -1;
    }
    if (fstat(fd, &st) == -1 || st.st_uid != link->st_uid) {
        (void)close(fd);
        errno = ELOOP;
        return -1;
    }
    return fd;
}

/* Opens w->part; -1 with errno. */
static int open_part(const struct walk *w, const struct wr_file_how *how, int flags)
{
    struct stat st;
    int fd, err;

    do {
        fd = openat(w->at, w->part, flags | O_NOFOLLOW);
    } while (fd == -1 && errno == EINTR);
    if (fd != -1 || (errno != ELOOP && errno != ENOTDIR)) {
        return fd;
    }
    err = errno;
    if (fstatat(w->at, w->part, &st, AT_SYMLINK_NOFOLLOW) == -1) {
        return -1;
    }
    if (!S_ISLNK(st.st_mode)) {
        errno = err;
        return -1;
    }
    if (how->symlinks == WR_SYMLINKS_SAME_OWNER) {
        return follow_link(w, flags, &st);
    }
    errno = ELOOP;
    return -1;
}

/* Is there another part behind this one? */
static bool is_last(const struct walk *w)
{
    return w->left[strspn(w->left, "/")] == '\0';
}

static enum wr_status fail(struct walk *w, int err, int *ret_errno)
{
    if (w->at != -1) {
        (void)close(w->at);
    }
    *ret_errno = err;
    return WR_ESYS;
}

static int open_start(const char *path, const struct wr_file_how *how)
{
    char from[PATH_MAX];

    if (how->from_len == 0) {
        return open(path[0] == '/' ? "/" : ".", FOLDER_FLAGS);
    }
    if (how->from_len >= sizeof(from)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(from, path, how->from_len);
    from[how->from_len] = '\0';
    return open(from, FOLDER_FLAGS);
}

/* To the folder of the last part, which is in w->part then; WR_EOF: the name ends with w->at. */
static enum wr_status walk_to_last(struct walk *w, const char *path, const struct wr_file_how *how,
                                   int *ret_errno)
{
    enum wr_status st;

    w->at = open_start(path, how);
    w->left = path + how->from_len;
    if (w->at == -1) {
        return fail(w, errno, ret_errno);
    }
    for (st = next_part(w, ret_errno); st == WR_OK && !is_last(w); st = next_part(w, ret_errno)) {
        int fd = open_part(w, how, FOLDER_FLAGS);

        if (fd == -1) {
            return fail(w, errno, ret_errno);
        }
        (void)close(w->at);
        w->at = fd;
    }
    return st == WR_ESYS ? fail(w, *ret_errno, ret_errno) : st;
}

/* The name ends with '/': what it names must be a folder. */
static bool wants_folder(const struct walk *w)
{
    return w->left[0] == '/';
}

enum wr_status wr_walk_open(const char *path, const struct wr_file_how *how, int *ret_fd,
                            int *ret_errno)
{
    struct walk w;
    enum wr_status st = walk_to_last(&w, path, how, ret_errno);
    int fd;

    if (st == WR_ESYS) {
        return st;
    }
    if (st == WR_EOF) {
        fd = openat(w.at, ".", OPEN_FLAGS);
    } else {
        fd = open_part(&w, how, OPEN_FLAGS | (wants_folder(&w) ? O_DIRECTORY : 0));
    }
    if (fd == -1) {
        return fail(&w, errno, ret_errno);
    }
    (void)close(w.at);
    *ret_fd = fd;
    return WR_OK;
}

enum wr_status wr_walk_stat(const char *path, const struct wr_file_how *how, struct stat *ret,
                            int *ret_errno)
{
    struct walk w;
    enum wr_status st = walk_to_last(&w, path, how, ret_errno);
    struct stat found, link;

    if (st == WR_ESYS) {
        return st;
    }
    if (st == WR_EOF) {
        w.part[0] = '.';
        w.part[1] = '\0';
    }
    if (fstatat(w.at, w.part, &link, AT_SYMLINK_NOFOLLOW) == -1) {
        return fail(&w, errno, ret_errno);
    }
    found = link;
    if (S_ISLNK(link.st_mode)) {
        if (how->symlinks != WR_SYMLINKS_SAME_OWNER) {
            return fail(&w, ELOOP, ret_errno);
        }
        if (fstatat(w.at, w.part, &found, 0) == -1) {
            return fail(&w, errno, ret_errno);
        }
        if (found.st_uid != link.st_uid) {
            return fail(&w, ELOOP, ret_errno);
        }
    }
    if (wants_folder(&w) && !S_ISDIR(found.st_mode)) {
        return fail(&w, ENOTDIR, ret_errno);
    }
    (void)close(w.at);
    *ret = found;
    return WR_OK;
}
