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
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "event/loop.h"
#include "main/privs.h"
#include "main/say.h"
#include "main/worker.h"

#define ENV_MAX   1024
#define WORKER_FD 3

extern char **environ;

static void run_chan(struct wr_task *t)
{
    struct wr_child *c = wr_container_of(t, struct wr_child, task);
    struct wr_supervisor *s = wr_container_of(c, struct wr_supervisor, child);
    struct wr_chan_msg msg;
    enum wr_status st;

    while (c->chan != -1 && (st = wr_chan_recv(c->chan, &msg)) != WR_AGAIN) {
        if (st != WR_OK) {
            wr_child_end(s);
            return;
        }
        if (msg.fd != -1) {
            (void)close(msg.fd); /* workers send none */
        }
        if (msg.type == WR_CHAN_READY) {
            c->is_ready = true;
            wr_supervisor_note_ready(s, msg.no);
        } else if (msg.type == WR_CHAN_FAILED) {
            wr_supervisor_note_failed(s, msg.no, msg.text);
        }
    }
    c->io.facts &= (uint16_t)~WR_IO_READABLE;
}

void wr_child_init(struct wr_supervisor *s)
{
    s->child = (struct wr_child){.chan = -1};
    wr_task_init(&s->child.task, run_chan, "worker's messages");
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

WR_NORETURN static void become_worker(struct wr_supervisor *s, int chan)
{
    static char title[] = "weir: worker process";
    static char channel[] = WR_WORKER_ENV "=3";
    const struct wr_main_conf *mc = wr_main_conf_of(s->now.gen);
    char *argv[] = {title, NULL};
    char *env[ENV_MAX];
    int self = s->start->self_fd;

    if (wr_privs_apply(mc) != WR_OK) {
        _exit(2);
    }
    make_env(mc, channel, env);
    /* Number 3 may be our own program. */
    if (self == WORKER_FD) {
        self = fcntl(self, F_DUPFD_CLOEXEC, WORKER_FD + 1);
    }
    if (chan == WORKER_FD) {
        (void)fcntl(chan, F_SETFD, 0);
    } else if (dup2(chan, WORKER_FD) == -1) {
        _exit(2);
    }
    /* Whatever else whoever started us left open stays behind; older kernels cannot. */
    (void)close_range(WORKER_FD + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    (void)fexecve(self, argv, env);
    wr_log_errno(NULL, WR_LOG_EMERG, errno, "execve() of the worker failed");
    _exit(2);
}

static void run_in_thread(void *data)
{
    struct wr_child *c = data;

    c->thread_code = wr_worker_run(c->thread_chan);
}

static enum wr_status spawn(struct wr_supervisor *s, int there)
{
    struct wr_child *c = &s->child;

    if (s->is_solo) {
        c->thread_chan = there;
        c->pid = -1;
        return wr_thread_start(&c->thread, UINT32_MAX, "weir control", run_in_thread, c);
    }
    c->pid = fork();
    if (c->pid == 0) {
        become_worker(s, there);
    }
    (void)close(there);
    if (c->pid == -1) {
        c->pid = 0;
        wr_say(WR_LOG_ALERT, errno, "fork() failed");
        return WR_ESYS;
    }
    wr_log(NULL, WR_LOG_NOTICE, "start worker process %d", (int)c->pid);
    return WR_OK;
}

enum wr_status wr_child_start(struct wr_supervisor *s)
{
    struct wr_child *c = &s->child;
    int here, there;

    if (wr_chan_open(&here, &there) != WR_OK) {
        wr_say(WR_LOG_ALERT, errno, "socketpair() failed");
        return WR_ESYS;
    }
    c->chan = here;
    c->is_ready = false;
    c->started_ms = wr_now_ms();
    wr_io_init(&c->io, WR_IO_NOTIFY, &c->task);
    if (wr_io_adopt(&c->io, here) != WR_OK) {
        (void)close(there);
        wr_io_close(&c->io, WR_IO_CLOSE_FIN);
        c->chan = -1;
        return WR_ESYS;
    }
    if (spawn(s, there) != WR_OK) {
        wr_child_end(s);
        return WR_ESYS;
    }
    return wr_child_send_load(s, &s->now, true);
}

/* --- sending --- */

static enum wr_status send_files(struct wr_supervisor *s, struct wr_files *t,
                                 enum wr_chan_type type, bool all)
{
    struct wr_file_entry *e = NULL;
    enum wr_status st = WR_OK;

    while (st == WR_OK && (e = wr_files_next(t, e)) != NULL) {
        if (all || e->is_new) {
            st = wr_chan_send(s->child.chan, type, e->no, e->name, e->fd);
        }
    }
    return st;
}

enum wr_status wr_child_send_load(struct wr_supervisor *s, const struct wr_loaded *l, bool all)
{
    enum wr_status st;

    if (s->child.chan == -1) {
        return WR_EPEERGONE;
    }
    st = send_files(s, &s->res.logs, WR_CHAN_LOG, all);
    if (st == WR_OK) {
        st = send_files(s, &s->res.listeners, WR_CHAN_LISTEN, all);
    }
    if (st == WR_OK) {
        st = wr_chan_send(s->child.chan, WR_CHAN_LOAD, l->gen->no, WR_STR(""), l->bundle_fd);
    }
    if (st != WR_OK) {
        wr_log(NULL, WR_LOG_ALERT, "sending the configuration to the worker failed: %s",
               wr_status_name(st));
    }
    return st;
}

enum wr_status wr_child_send(struct wr_supervisor *s, enum wr_chan_type type)
{
    if (s->child.chan == -1) {
        return WR_EPEERGONE;
    }
    return wr_chan_send(s->child.chan, type, 0, WR_STR(""), -1);
}

void wr_child_send_reopen(struct wr_supervisor *s)
{
    if (s->child.chan != -1 && send_files(s, &s->res.logs, WR_CHAN_REOPEN, true) != WR_OK) {
        wr_log(NULL, WR_LOG_ALERT, "sending the logs to the worker failed");
    }
}

/* --- ending --- */

static void close_chan(struct wr_child *c)
{
    if (c->chan != -1) {
        wr_io_close(&c->io, WR_IO_CLOSE_FIN);
        c->chan = -1;
    }
}

void wr_child_end(struct wr_supervisor *s)
{
    struct wr_child *c = &s->child;

    close_chan(c);
    if (c->pid == -1) {
        wr_thread_join(&c->thread);
        c->pid = 0;
        s->exit_code = c->thread_code;
        wr_supervisor_note_exit(s);
    }
}

static void log_end(pid_t pid, int status, bool is_expected)
{
    if (WIFSIGNALED(status)) {
        wr_log(NULL, WR_LOG_ALERT, "worker process %d exited on signal %d%s", (int)pid,
               WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
    } else {
        wr_log(NULL, is_expected && WEXITSTATUS(status) == 0 ? WR_LOG_NOTICE : WR_LOG_ALERT,
               "worker process %d exited with code %d", (int)pid, WEXITSTATUS(status));
    }
}

void wr_child_reap(struct wr_supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != s->child.pid) {
            continue; /* a resolver that was waited for, or a child we inherited */
        }
        log_end(pid, status, s->is_ending);
        if (s->is_ending && (WIFSIGNALED(status) || WEXITSTATUS(status) != 0)) {
            s->exit_code = 1;
        }
        s->child.pid = 0;
        close_chan(&s->child);
        wr_supervisor_note_exit(s);
    }
}
