/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_addr.c: see ctl_addr.h. A long name is reached through its folder's descriptor, as
 * /proc/self/fd/N/NAME.
 */
#include "main/ctl_addr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum wr_status wr_ctl_path(struct wr_str pid_file, char ret[WR_CTL_PATH_MAX])
{
    static const struct wr_str end = WR_STR_INIT(".pid");
    size_t len = pid_file.len - (wr_str_has_suffix(pid_file, end) ? end.len : 0);

    if (len + sizeof(".sock") > WR_CTL_PATH_MAX) {
        return WR_ELIMIT;
    }
    memcpy(ret, pid_file.ptr, len);
    memcpy(ret + len, ".sock", sizeof(".sock"));
    return WR_OK;
}

/* *ret_dir: to be closed after the call, or -1. */
static enum wr_status make_addr(const char *path, struct sockaddr_un *ret, int *ret_dir)
{
    struct wr_str s = wr_str_z(path);
    size_t slash = wr_str_rfind(s, '/');
    char dir[WR_CTL_PATH_MAX];
    int n;

    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    *ret_dir = -1;
    if (s.len < sizeof(ret->sun_path)) {
        memcpy(ret->sun_path, s.ptr, s.len);
        return WR_OK;
    }
    if (slash >= s.len || slash >= sizeof(dir)) {
        errno = ENAMETOOLONG;
        return WR_ESYS;
    }
    memcpy(dir, s.ptr, slash);
    dir[slash] = '\0';
    *ret_dir = open(slash == 0 ? "/" : dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_dir == -1) {
        return WR_ESYS;
    }
    n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d%s", *ret_dir,
                 path + slash);
    if (n < 0 || (size_t)n >= sizeof(ret->sun_path)) {
        (void)close(*ret_dir);
        *ret_dir = -1;
        errno = ENAMETOOLONG;
        return WR_ESYS;
    }
    return WR_OK;
}

static enum wr_status end_call(int rc, int dir)
{
    int err = errno;

    if (dir != -1) {
        (void)close(dir);
    }
    errno = err;
    return rc == 0 ? WR_OK : WR_ESYS;
}

enum wr_status wr_ctl_bind(int fd, const char *path)
{
    struct sockaddr_un a;
    int dir;

    if (make_addr(path, &a, &dir) != WR_OK) {
        return WR_ESYS;
    }
    return end_call(bind(fd, (const struct sockaddr *)(const void *)&a, sizeof(a)), dir);
}

enum wr_status wr_ctl_connect(int fd, const char *path)
{
    struct sockaddr_un a;
    int dir;

    if (make_addr(path, &a, &dir) != WR_OK) {
        return WR_ESYS;
    }
    return end_call(connect(fd, (const struct sockaddr *)(const void *)&a, sizeof(a)), dir);
}
