/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_file.c: the file of the control socket. It is bound under a fresh name and renamed, so that
 * its name always means a socket that listens; whose it is, is known by its inode. A file that is
 * no socket, or a socket on which somebody else listens, is left alone: then there is none of ours.
 *
 *   start     weir.sock
 *   USR2      old: weir.pid.oldbin.sock, new: weir.sock; back again when the new one ends
 *   reload    with another `pid`: renamed, or made anew
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "main/ctl_int.h"
#include "main/say.h"
#include "main/supervisor_int.h"

#define BACKLOG 16

static void complain(const char *call, const char *path, int err)
{
    wr_say(WR_LOG_WARN, err, "%s(\"%s\") failed: there is no control socket for \"weir status\"",
           call, path);
}

static bool is_ours(const struct wr_ctl *c)
{
    struct stat st;

    return lstat(c->path, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino;
}

/* Does the configuration listen there? Its file may be about to be made. */
static bool is_listener(const struct wr_ctl *c, const char *path)
{
    struct wr_file_entry *e = NULL;

    while ((e = wr_files_next(&c->s->res.listeners, e)) != NULL) {
        if (wr_str_has_prefix(e->name, WR_STR("unix:")) &&
            wr_str_eq_z(wr_str_sub(e->name, 5, e->name.len), path)) {
            return true;
        }
    }
    return false;
}

/* May the name be taken? There is nothing, or a socket that a weir left behind. */
static bool is_free(const struct wr_ctl *c, const char *path)
{
    struct stat st;
    bool is_dead;
    int fd;

    if (lstat(path, &st) == -1) {
        return !is_listener(c, path);
    }
    if (!S_ISSOCK(st.st_mode) || is_listener(c, path)) {
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return false;
    }
    is_dead = wr_ctl_connect(fd, path) != WR_OK && errno == ECONNREFUSED;
    (void)close(fd);
    return is_dead;
}

static void complain_taken(const char *path)
{
    wr_say(WR_LOG_WARN, 0,
           "\"%s\" is there and not ours: there is no control socket for "
           "\"weir status\"",
           path);
}

/* A bound socket of mode 0600 that listens, at c->path. -1: said. */
static int make_socket(struct wr_ctl *c)
{
    char fresh[WR_CTL_PATH_MAX + 24];
    const char *call = "socket";
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd == -1) {
        complain(call, c->path, errno);
        return -1;
    }
    (void)snprintf(fresh, sizeof(fresh), "%s.%d", c->path, (int)getpid());
    (void)unlink(fresh); /* of one that had our number and died between two lines */
    call = "bind";
    /* The file takes the descriptor's mode, so there is no moment in which others may connect. */
    if (fchmod(fd, 0600) == -1 || wr_ctl_bind(fd, fresh) != WR_OK) {
        goto fail;
    }
    call = "listen";
    if (chmod(fresh, 0600) == -1 || lstat(fresh, &st) == -1 || listen(fd, BACKLOG) == -1) {
        goto fail;
    }
    call = "rename";
    if (rename(fresh, c->path) == -1) {
        goto fail;
    }
    c->dev = st.st_dev;
    c->ino = st.st_ino;
    return fd;
fail:
    complain(call, c->path, errno);
    (void)unlink(fresh);
    (void)close(fd);
    return -1;
}

void wr_ctl_open_file(struct wr_ctl *c)
{
    int fd;

    if (c->s->pidfile.fd == -1 || c->is_open) {
        return;
    }
    if (wr_ctl_path(wr_str_z(c->s->pidfile.path), c->path) != WR_OK) {
        complain("bind", c->s->pidfile.path, ENAMETOOLONG);
        return;
    }
    if (!is_free(c, c->path)) {
        complain_taken(c->path);
        return;
    }
    fd = make_socket(c);
    if (fd == -1) {
        return;
    }
    if (wr_listener_open(&c->listener, fd, &c->task) != WR_OK) {
        complain("epoll_ctl", c->path, errno);
        wr_listener_close(&c->listener);
        (void)unlink(c->path);
        return;
    }
    c->is_open = true;
}

void wr_ctl_close_file(struct wr_ctl *c)
{
    if (!c->is_open) {
        return;
    }
    c->is_open = false;
    if (is_ours(c)) {
        (void)unlink(c->path); /* it stays when we lost the right to remove it */
    }
    wr_listener_close(&c->listener);
    wr_task_cancel(&c->task);
}

void wr_ctl_follow(struct wr_ctl *c)
{
    char path[WR_CTL_PATH_MAX];

    if (wr_ctl_path(wr_str_z(c->s->pidfile.path), path) != WR_OK) {
        path[0] = '\0'; /* said when it is opened */
    }
    if (c->is_open && strcmp(path, c->path) == 0) {
        return;
    }
    if (c->is_open && path[0] != '\0' && c->s->pidfile.fd != -1 && is_ours(c) && is_free(c, path) &&
        rename(c->path, path) == 0) {
        memcpy(c->path, path, sizeof(path));
        return;
    }
    wr_ctl_close_file(c);
    wr_ctl_open_file(c);
}
