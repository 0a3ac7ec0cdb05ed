/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.c: the worker process as the supervisor sees it. It is made by fork and exec of our own
 * program, so that it begins with clean memory, no descriptor but its channel, and a title of its
 * own; between fork and exec it takes on its user and limits. With master_process off the worker is
 * a thread that runs the same code.
 */
#include "main/supervisor_int.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/loop.h"
#include "main/privs.h"
#include "main/say.h"
#include "main/worker.h"
#include "tls/tls.h"

#define ENV_MAX   1024
#define WORKER_FD 3

extern char **environ;

static void run_chan(struct wr_task *t)
{
    struct wr_child *c = wr_container_of(t, struct wr_child, task);
    struct wr_chan_msg msg;
    enum wr_status st;

    while (c->chan != -1 && (st = wr_chan_recv(c->chan, &msg)) != WR_AGAIN) {
        if (st != WR_OK) {
            wr_child_end(c); /* may free it */
            return;
        }
        if (msg.type == WR_CHAN_ANSWER) {
            wr_ctl_note_answer(&c->s->ctl, c, &msg);
            continue;
        }
        if (msg.fd != -1) {
            (void)close(msg.fd); /* workers send none but answers */
        }
        if (msg.type == WR_CHAN_READY) {
            c->is_ready = true;
            wr_supervisor_note_ready(c, msg.no);
        } else if (msg.type == WR_CHAN_FAILED) {
            wr_supervisor_note_failed(c, msg.no, msg.text);
        } else if (msg.type == WR_CHAN_CLOSED) {
            wr_supervisor_note_closed(c);
        }
    }
    c->io.facts &= (uint16_t)~WR_IO_READABLE;
}

/* --- environment of the worker: what `env` names, and what the tools around us need --- */

static bool is_kept_anyway(const char *var)
{
    static const char *const prefixes[] = {
        "WEIR_",         "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS=",
        "MSAN_OPTIONS=", "LD_",           "GCOV_"};

    for (size_t i = 0; i < WR_ARRAY_LEN(prefixes); i++) {
        if (strncmp(var, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* NAME of NAME=value, or the whole. */
static struct wr_str name_of(struct wr_str s)
{
    return wr_str_sub(s, 0, wr_str_find(s, '='));
}

static bool is_named(const struct wr_strs *env, const char *var)
{
    struct wr_str name = name_of(wr_str_z(var));

    for (uint32_t i = 0; i < env->cnt; i++) {
        if (wr_str_eq(env->at[i], name)) {
            return true;
        }
    }
    return false;
}

/* ret: ENV_MAX pointers, the last NULL. */
static void make_env(const struct wr_main_conf *mc, char *channel, char **ret)
{
    size_t n = 0;

    ret[n++] = channel;
    for (char **e = environ; *e != NULL && n < ENV_MAX - 1; e++) {
        if (is_kept_anyway(*e) || is_named(&mc->env, *e)) {
            ret[n++] = *e;
        }
    }
    for (uint32_t i = 0; i < mc->env.cnt && n < ENV_MAX - 1; i++) {
        struct wr_str v = mc->env.at[i];
        char *copy;

        if (name_of(v).len == v.len) {
            continue;
        }
        copy = wr_mem_alloc(v.len + 1); /* of the child, which execs */
        memcpy(copy, v.ptr, v.len);
        ret[n++] = copy;
    }
    ret[n] = NULL;
}

/* --- starting --- */

void wr_child_close_others(int keep_to)
{
    /* Whatever else whoever started us left open stays behind; older kernels cannot. */
    (void)close_range((unsigned)keep_to + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
}

/* Out of the way of the numbers that the worker expects. */
static int lift(int fd)
{
    return fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, WR_AUTOPSY_FD + 1);
}

/* The supervisor is told, as a worker does that cannot take a configuration. */
WR_NORETURN static void end_early(const struct wr_loaded *l, int chan, struct wr_str why)
{
    if (wr_chan_send(chan, WR_CHAN_FAILED, l->gen->no, why, -1) != WR_OK) {
        wr_log(NULL, WR_LOG_EMERG, "the worker cannot start: %.*s", WR_STR_ARG(why));
    }
    _exit(2);
}

WR_NORETURN static void become_worker(const struct wr_child *c, const struct wr_loaded *l, int chan)
{
    static char title[] = "weir: worker process";
    static char channel[] = WR_WORKER_ENV "=3";
    const struct wr_main_conf *mc = wr_main_conf_of(l->gen);
    char *argv[] = {title, NULL};
    char *env[ENV_MAX];
    int self = lift(c->s->start->self_fd), recorders = lift(c->autopsy.fd);
    struct wr_strbuf why;
    char room[512];

    wr_strbuf_init_fixed(&why, room, sizeof(room));
    if (wr_privs_apply(mc, &why) != WR_OK) {
        end_early(l, chan, wr_strbuf_str(&why));
    }
    chan = lift(chan);
    make_env(mc, channel, env);
    if (chan == -1 || dup2(chan, WORKER_FD) == -1) {
        _exit(2);
    }
    (void)close(WR_AUTOPSY_FD); /* whatever it was */
    if (recorders != -1) {
        (void)dup2(recorders, WR_AUTOPSY_FD); /* without them it serves, too */
    }
    wr_child_close_others(WR_AUTOPSY_FD);
    (void)fexecve(self, argv, env);
    wr_strbuf_printf(&why, "execve() of the worker failed (%d: %s)", errno,
                     wr_log_errno_text(errno));
    end_early(l, WORKER_FD, wr_strbuf_str(&why));
}

static void run_in_thread(void *data)
{
    struct wr_child *c = data;

    c->thread_code = wr_worker_run(c->thread_chan);
}

/* Takes `there`. */
static enum wr_status spawn(struct wr_child *c, const struct wr_loaded *l, int there)
{
    if (c->s->is_solo) {
        enum wr_status st;

        c->thread_chan = there;
        c->pid = -1;
        st = wr_thread_start(&c->thread, UINT32_MAX, "weir control", run_in_thread, c);
        if (st != WR_OK) {
            c->pid = 0;
            (void)close(there);
        }
        return st;
    }
    wr_autopsy_open(&c->autopsy, wr_main_conf_of(l->gen)->threads);
    c->pid = fork();
    if (c->pid == 0) {
        become_worker(c, l, there);
    }
    wr_autopsy_close_fd(&c->autopsy);
    (void)close(there);
    if (c->pid == -1) {
        c->pid = 0;
        wr_say(WR_LOG_ALERT, errno, "fork() failed");
        return WR_ESYS;
    }
    wr_log(NULL, WR_LOG_NOTICE, "start worker process %d", (int)c->pid);
    return WR_OK;
}

static void close_chan(struct wr_child *c)
{
    if (c->chan != -1) {
        wr_io_close(&c->io, WR_IO_CLOSE_FIN);
        c->chan = -1;
        wr_ctl_forget(&c->s->ctl, c);
    }
}

static void free_child(struct wr_grave *g)
{
    struct wr_child *c = wr_container_of(g, struct wr_child, grave);

    wr_autopsy_close(&c->autopsy);
    wr_mem_free(c);
}

/* At the end of the loop's turn it is freed. */
static void bury(struct wr_child *c)
{
    close_chan(c);
    wr_task_cancel(&c->task);
    wr_list_remove(&c->node);
    wr_grave_bury(&c->grave, free_child);
}

/* All workers read each other's tickets. Without a secret each has its own. */
static enum wr_status send_secret(struct wr_child *c)
{
    char room[WR_TLS_SECRET_TEXT_MAX];
    struct wr_strbuf b;
    enum wr_status st = WR_OK;

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    if (wr_tls_secret_write(&b)) {
        st = wr_chan_send(c->chan, WR_CHAN_SECRET, 0, wr_strbuf_str(&b), -1);
    }
    wr_tls_wipe(wr_str(room, sizeof(room)));
    return st;
}

struct wr_child *wr_child_start(struct wr_supervisor *s, const struct wr_loaded *l,
                                enum wr_child_role role)
{
    struct wr_child *c = wr_mem_alloc(sizeof(*c));
    int there;

    *c = (struct wr_child){
        .s = s, .role = role, .chan = -1, .autopsy.fd = -1, .started_ms = wr_now_ms()};
    wr_list_push(&s->children, &c->node);
    wr_task_init(&c->task, run_chan, "worker's messages");
    wr_io_init(&c->io, WR_IO_NOTIFY, &c->task);
    if (wr_chan_open(&c->chan, &there) != WR_OK) {
        wr_say(WR_LOG_ALERT, errno, "socketpair() failed");
        bury(c);
        return NULL;
    }
    if (wr_io_adopt(&c->io, c->chan) != WR_OK) {
        wr_say(WR_LOG_ALERT, errno, "epoll_ctl() failed");
        (void)close(there);
        bury(c);
        return NULL;
    }
    if (spawn(c, l, there) != WR_OK) {
        bury(c);
        return NULL;
    }
    if (send_secret(c) != WR_OK || wr_child_send_load(c, l, true) != WR_OK) {
        wr_child_tell_end(c, WR_CHAN_STOP); /* its end is noticed as any other */
    }
    return c;
}

/* --- sending --- */

static enum wr_status send_files(struct wr_child *c, struct wr_files *t, enum wr_chan_type type,
                                 bool all)
{
    struct wr_file_entry *e = NULL;
    enum wr_status st = WR_OK;

    while (st == WR_OK && (e = wr_files_next(t, e)) != NULL) {
        if (all || e->is_new) {
            st = wr_chan_send(c->chan, type, e->no, e->name, e->fd);
        }
    }
    return st;
}

enum wr_status wr_child_send_load(struct wr_child *c, const struct wr_loaded *l, bool all)
{
    enum wr_status st = WR_EPEERGONE;

    if (c->chan != -1) {
        st = send_files(c, &c->s->res.logs, WR_CHAN_LOG, all);
    }
    if (st == WR_OK) {
        st = send_files(c, &c->s->res.listeners, WR_CHAN_LISTEN, all);
    }
    if (st == WR_OK) {
        st = wr_chan_send(c->chan, WR_CHAN_LOAD, l->gen->no, WR_STR(""), l->bundle_fd);
    }
    if (st != WR_OK) {
        wr_log(NULL, WR_LOG_ALERT, "sending the configuration to the worker failed: %s",
               wr_status_name(st));
    }
    return st;
}

void wr_child_tell_end(struct wr_child *c, enum wr_chan_type how)
{
    if (c->chan != -1 && wr_chan_send(c->chan, how, 0, WR_STR(""), -1) == WR_OK) {
        return;
    }
    if (c->pid > 0) {
        (void)kill(c->pid, how == WR_CHAN_QUIT ? SIGQUIT : SIGTERM); /* it may be gone already */
    }
}

void wr_children_reopen(struct wr_supervisor *s)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &s->children) {
        struct wr_child *c = wr_container_of(n, struct wr_child, node);

        if (c->chan != -1 && send_files(c, &s->res.logs, WR_CHAN_REOPEN, true) != WR_OK) {
            wr_log(NULL, WR_LOG_ALERT, "sending the logs to worker process %d failed", (int)c->pid);
        }
    }
}

/* --- ending --- */

void wr_child_end(struct wr_child *c)
{
    close_chan(c);
    if (c->pid == -1) {
        wr_thread_join(&c->thread);
        c->s->exit_code = c->thread_code;
        wr_supervisor_note_exit(c);
        bury(c);
    }
}

static void log_end(const struct wr_child *c, int status)
{
    bool is_expected = c->role == WR_CHILD_LEAVES || c->s->is_ending || c->s->is_winched;
    enum wr_log_level level = WR_LOG_ALERT;
    char text[96];

    if (WIFSIGNALED(status)) {
        (void)snprintf(text, sizeof(text), "worker process %d exited on signal %d%s", (int)c->pid,
                       WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
    } else {
        level = is_expected && WEXITSTATUS(status) == 0 ? WR_LOG_NOTICE : WR_LOG_ALERT;
        (void)snprintf(text, sizeof(text), "worker process %d exited with code %d", (int)c->pid,
                       WEXITSTATUS(status));
    }
    if (c->s->coming.gen != NULL && c->role != WR_CHILD_LEAVES) {
        wr_say(level, 0, "%s", text); /* it is why the reload will have failed */
    } else {
        wr_log(NULL, level, "%s", text);
    }
    if (WIFSIGNALED(status)) {
        wr_autopsy_report(&c->autopsy, (int)c->pid, WTERMSIG(status));
    }
}

static struct wr_child *find_child(const struct wr_supervisor *s, pid_t pid)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &s->children) {
        struct wr_child *c = wr_container_of(n, struct wr_child, node);

        if (c->pid == pid) {
            return c;
        }
    }
    return NULL;
}

void wr_children_reap(struct wr_supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct wr_child *c = find_child(s, pid);

        if (c == NULL) {
            /* The other binary, a resolver that was waited for, a child we inherited. */
            wr_upgrade_note_exit(s, pid, status);
            continue;
        }
        run_chan(&c->task); /* what it said last: it may have been ready */
        log_end(c, status);
        if (s->is_ending && (WIFSIGNALED(status) || WEXITSTATUS(status) != 0)) {
            s->exit_code = 1;
        }
        close_chan(c);
        wr_supervisor_note_exit(c);
        bury(c);
    }
}
