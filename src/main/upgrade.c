/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upgrade.c: another binary takes over (USR2).
 *
 *   old: pid file -> FILE.oldbin    new: started with the listening sockets, loads the file, makes
 *        exec of the program's path      FILE, starts its worker: both serve
 *        WINCH: workers drain
 *        HUP: they come back        or   dies: the old one takes FILE back and serves on
 *        QUIT: it ends
 *
 * The sockets are inherited as open descriptors; their names and numbers come in the environment
 * variable WEIR_LISTEN as text, "NO FD NAME\n" each. WEIR_SECRET is the number of a descriptor with
 * what keys of tickets are made of, so that sessions go on. Supervisor's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "main/notify.h"
#include "main/say.h"
#include "main/supervisor_int.h"
#include "net/sock.h"
#include "tls/tls.h"

#define LISTEN_ENV "WEIR_LISTEN"
#define PARENT_ENV "WEIR_PARENT"
#define SECRET_ENV "WEIR_SECRET"
#define LISTEN_MAX ((size_t)96 << 10) /* the kernel takes 128 KB for one variable */
#define OLD_SUFFIX ".oldbin"

bool wr_upgrade_is_shared(const struct wr_supervisor *s)
{
    return s->upgrade.child != 0 || (s->upgrade.parent != 0 && getppid() == s->upgrade.parent);
}

/* --- the new one --- */

/* Next piece of *rest up to `end`, which is skipped. */
static struct wr_str cut(struct wr_str *rest, char end)
{
    size_t n = wr_str_find(*rest, end);
    struct wr_str piece = wr_str_sub(*rest, 0, n);

    *rest = wr_str_sub(*rest, WR_MIN(n + 1, rest->len), rest->len);
    return piece;
}

static bool is_listener(int fd)
{
    int on = 0;
    socklen_t len = sizeof(on);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on == 1;
}

static bool take_line(struct wr_supervisor *s, struct wr_str line)
{
    uint64_t no, fd;

    if (wr_num_parse_u64(cut(&line, ' '), UINT32_MAX, &no) != WR_OK ||
        wr_num_parse_u64(cut(&line, ' '), INT32_MAX, &fd) != WR_OK || line.len == 0 ||
        !is_listener((int)fd) || fcntl((int)fd, F_SETFD, FD_CLOEXEC) == -1) {
        return false;
    }
    wr_files_add(&s->res.listeners, line, (uint32_t)no, (int)fd)->is_new = false;
    return true;
}

/* Without it tickets of the old one are not taken, that is all. */
static void take_secret(struct wr_str text)
{
    char room[WR_TLS_SECRET_TEXT_MAX];
    uint64_t fd = 0;
    struct stat st;
    ssize_t n;

    /* A descriptor that is none of ours is left alone. */
    if (wr_num_parse_u64(text, INT32_MAX, &fd) != WR_OK || fd <= STDERR_FILENO ||
        fstat((int)fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_nlink != 0) {
        return;
    }
    n = pread((int)fd, room, sizeof(room), 0);
    (void)close((int)fd);
    if (n <= 0 || !wr_tls_secret_read(wr_str(room, (size_t)n))) {
        wr_say(WR_LOG_WARN, 0,
               SECRET_ENV " has no secret: sessions of the old binary are not resumed");
    }
    wr_tls_wipe(wr_str(room, sizeof(room)));
}

enum wr_status wr_upgrade_inherit(struct wr_supervisor *s)
{
    const char *listen = getenv(LISTEN_ENV), *parent = getenv(PARENT_ENV);
    const char *secret = getenv(SECRET_ENV);
    struct wr_str rest;
    uint64_t pid;

    if (listen == NULL || parent == NULL) {
        return WR_OK;
    }
    /* Ours are left alone when it is not our parent that says so. */
    if (wr_num_parse_u64(wr_str_z(parent), INT32_MAX, &pid) == WR_OK && (pid_t)pid == getppid()) {
        s->upgrade.parent = (pid_t)pid;
        for (rest = wr_str_z(listen); rest.len > 0;) {
            struct wr_str line = cut(&rest, '\n');

            if (!take_line(s, line)) {
                wr_say(WR_LOG_EMERG, 0, "\"%.*s\" in " LISTEN_ENV " is no listening socket",
                       WR_STR_ARG(line));
                return WR_ESYS;
            }
        }
        wr_say(WR_LOG_NOTICE, 0, "listening sockets come from process %d", (int)pid);
        if (secret != NULL) {
            take_secret(wr_str_z(secret));
        }
    }
    (void)unsetenv(LISTEN_ENV);
    (void)unsetenv(PARENT_ENV);
    (void)unsetenv(SECRET_ENV);
    return WR_OK;
}

/* --- the old one --- */

static enum wr_status write_listen(struct wr_supervisor *s, struct wr_strbuf *b)
{
    struct wr_file_entry *e = NULL;

    while ((e = wr_files_next(&s->res.listeners, e)) != NULL) {
        wr_strbuf_printf(b, "%u %d %.*s\n", e->no, e->fd, WR_STR_ARG(e->name));
    }
    return b->status;
}

/* The new one talks to the same service manager. */
static void set_notify(void)
{
    const char *p = wr_notify_env();
    char *copy = p != NULL ? wr_mem_strdup(p) : NULL; /* of the child, which execs */

    if (copy != NULL) {
        (void)putenv(copy);
    }
}

/* In the child: a descriptor that the new binary inherits and closes. */
static void pass_secret(void)
{
    char room[WR_TLS_SECRET_TEXT_MAX], number[24];
    struct wr_strbuf b;
    int fd = memfd_create("weir-secret", 0);

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    if (fd == -1 || !wr_tls_secret_write(&b) || write(fd, b.ptr, b.len) != (ssize_t)b.len) {
        return; /* then clients do a whole handshake */
    }
    wr_tls_wipe(wr_strbuf_str(&b));
    number[wr_num_write_u64(number, (uint64_t)fd)] = '\0';
    (void)setenv(SECRET_ENV, number, 1);
}

WR_NORETURN static void become_new(struct wr_supervisor *s, const char *listen)
{
    struct wr_file_entry *e = NULL;
    char parent[24];
    size_t n = wr_num_write_u64(parent, (uint64_t)getppid());
    sigset_t none;

    parent[n] = '\0';
    wr_child_close_others(STDERR_FILENO);
    while ((e = wr_files_next(&s->res.listeners, e)) != NULL) {
        (void)fcntl(e->fd, F_SETFD, 0);
    }
    (void)setenv(LISTEN_ENV, listen, 1);
    (void)setenv(PARENT_ENV, parent, 1);
    pass_secret();
    set_notify();
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execv(s->start->program, s->start->argv);
    wr_log_errno(NULL, WR_LOG_EMERG, errno, "execve() \"%s\" failed", s->start->program);
    _exit(2);
}

static bool may_start(const struct wr_supervisor *s)
{
    if (s->is_ending || s->is_solo || s->start->program == NULL) {
        wr_log(NULL, WR_LOG_ALERT, "USR2 is ignored: %s",
               s->is_ending ? "this weir is ending"
                            : "only a supervisor with workers can be replaced");
        return false;
    }
    if (s->upgrade.child != 0) {
        wr_log(NULL, WR_LOG_ALERT, "USR2 is ignored: process %d is taking over already",
               (int)s->upgrade.child);
        return false;
    }
    return true;
}

static enum wr_status park_pidfile(struct wr_supervisor *s)
{
    struct wr_pidfile_fault f = {NULL, 0};
    enum wr_status st;

    if (s->start->has_no_pidfile) {
        return WR_OK;
    }
    st = wr_pidfile_move(&s->pidfile, OLD_SUFFIX, &f);
    if (st == WR_ELIMIT) {
        wr_log(NULL, WR_LOG_ALERT,
               "USR2 is ignored: another weir has \"%s" OLD_SUFFIX "\": end that one first (QUIT)",
               s->pidfile.path);
    } else if (st != WR_OK) {
        wr_log_errno(NULL, WR_LOG_ALERT, f.err, "%s() \"%s\" to \"%s" OLD_SUFFIX "\" failed",
                     f.call, s->pidfile.path, s->pidfile.path);
    }
    s->upgrade.is_parked = st == WR_OK;
    wr_ctl_follow(&s->ctl);
    return st;
}

static void unpark_pidfile(struct wr_supervisor *s)
{
    struct wr_pidfile_fault f;

    if (!s->upgrade.is_parked || s->pidfile.fd == -1) {
        return;
    }
    s->upgrade.is_parked = false;
    if (wr_pidfile_move_back(&s->pidfile, OLD_SUFFIX, &f) != WR_OK) {
        wr_log_errno(NULL, WR_LOG_ALERT, f.err, "%s() \"%s\" failed", f.call, s->pidfile.path);
    }
    wr_ctl_follow(&s->ctl);
}

void wr_upgrade_start(struct wr_supervisor *s)
{
    struct wr_strbuf b;
    pid_t pid;

    if (!may_start(s) || park_pidfile(s) != WR_OK) {
        return;
    }
    wr_strbuf_init(&b, LISTEN_MAX);
    if (write_listen(s, &b) != WR_OK) {
        wr_log(NULL, WR_LOG_ALERT, "too many listening sockets to hand on");
        wr_strbuf_fini(&b);
        unpark_pidfile(s);
        return;
    }
    wr_log(NULL, WR_LOG_NOTICE, "changing binary to \"%s\"", s->start->program);
    pid = fork();
    if (pid == 0) {
        become_new(s, wr_strbuf_cstr(&b));
    }
    if (pid == -1) {
        wr_log_errno(NULL, WR_LOG_ALERT, errno, "fork() failed");
        unpark_pidfile(s);
    } else {
        wr_log(NULL, WR_LOG_NOTICE, "start new binary process %d", (int)pid);
        s->upgrade.child = pid;
    }
    wr_strbuf_fini(&b);
}

/* A reload of the new one may have given up an address that our workers serve. */
static void welcome_again(struct wr_supervisor *s)
{
    struct wr_file_entry *e = NULL;

    while ((e = wr_files_next(&s->res.listeners, e)) != NULL) {
        wr_sock_welcome_new(e->fd);
    }
}

void wr_upgrade_note_exit(struct wr_supervisor *s, pid_t pid, int status)
{
    if (pid != s->upgrade.child) {
        return;
    }
    s->upgrade.child = 0;
    if (s->is_ending) {
        return; /* whoever ended both, or the new one went first: nothing to take back */
    }
    if (WIFSIGNALED(status)) {
        wr_log(NULL, WR_LOG_ALERT, "new binary process %d exited on signal %d: this one goes on",
               (int)pid, WTERMSIG(status));
    } else {
        wr_log(NULL, WEXITSTATUS(status) == 0 ? WR_LOG_NOTICE : WR_LOG_ALERT,
               "new binary process %d exited with code %d: this one goes on", (int)pid,
               WEXITSTATUS(status));
    }
    unpark_pidfile(s);
    welcome_again(s);
    wr_notify_main_pid(getpid()); /* it may have said that it is the service's */
    if (s->is_winched) {
        wr_supervisor_reload(s); /* brings the worker back */
    }
}
