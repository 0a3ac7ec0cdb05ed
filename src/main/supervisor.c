/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor.c: start, signals, reload, restart, end.
 *
 *   load -> logs, folders, sockets -> background -> pid file -> worker -> READY: serving
 *
 * A worker that dies is replaced: at once when it lived long, else 1, 2, 4 ... 30 s later. One
 * thread, one loop; loads and look-ups of names block it, nothing else. Reloads are in reload.c.
 */
#include "main/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/tree.h"
#include "event/loop.h"
#include "main/daemon.h"
#include "main/gen_files.h"
#include "main/notify.h"
#include "main/say.h"
#include "main/supervisor_int.h"
#include "main/title.h"
#include "tls/tls.h"

#define STOP_WAIT_MS 5000 /* a worker that does not stop by then is killed */
#define HOUR_MS      3600000
#define GOOD_RUN_MS  60000 /* a worker that lived so long is restarted at once again */

/* --- a worker starts and ends --- */

void wr_supervisor_note_first_ready(struct wr_supervisor *s)
{
    s->is_served = true;
    wr_say_on_stderr(false);
    if (s->daemon_fd != -1) {
        wr_daemon_release(s->daemon_fd, 0);
        s->daemon_fd = -1;
    }
    if (s->start->on_ready != NULL) {
        s->start->on_ready(s->start->data);
    }
}

void wr_supervisor_ensure_worker(struct wr_supervisor *s)
{
    if (s->child != NULL || s->next != NULL || s->is_ending || s->is_winched || !s->is_served ||
        wr_timer_is_armed(&s->restart)) {
        return;
    }
    if (s->backoff_ms > 0) {
        wr_log(NULL, WR_LOG_ALERT, "a new worker starts in %u ms", s->backoff_ms);
    }
    wr_timer_arm(&s->restart, wr_now_ms() + s->backoff_ms);
    s->backoff_ms = s->backoff_ms == 0 ? 1000 : WR_MIN(s->backoff_ms * 2, WR_BACKOFF_MAX_MS);
}

static void note_serving_exit(struct wr_child *c)
{
    struct wr_supervisor *s = c->s;

    s->child = NULL;
    if (s->is_solo) {
        s->is_ending = true;
    } else if (!s->is_served && !s->is_ending) {
        wr_say(WR_LOG_EMERG, 0, "the worker could not start");
        s->exit_code = 1;
        s->is_ending = true;
    }
    if (wr_now_ms() - c->started_ms >= GOOD_RUN_MS) {
        s->backoff_ms = 0;
    }
    if (s->next == NULL) { /* else that one is about to serve */
        wr_supervisor_give_up(s);
        wr_supervisor_ensure_worker(s);
    }
}

void wr_supervisor_note_exit(struct wr_child *c)
{
    struct wr_supervisor *s = c->s;

    wr_supervisor_note_closed(c);
    if (c == s->child) {
        note_serving_exit(c);
    } else if (c == s->next) {
        s->next = NULL;
        wr_supervisor_give_up(s);
    }
    wr_supervisor_reload_again(s);
    if (s->is_ending && s->children.next == &c->node && s->children.prev == &c->node) {
        wr_loop_stop(wr_loop_get()); /* it was the last one */
    }
}

static void kill_all(struct wr_supervisor *s)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &s->children) {
        struct wr_child *c = wr_container_of(n, struct wr_child, node);

        if (c->pid > 0) {
            wr_log(NULL, WR_LOG_ALERT, "worker process %d does not stop, it is killed",
                   (int)c->pid);
            (void)kill(c->pid, SIGKILL); /* SIGCHLD tells the rest */
        }
    }
}

static void run_restart(struct wr_task *t)
{
    struct wr_supervisor *s = wr_container_of(t, struct wr_supervisor, restart_task);

    if (s->is_ending) {
        kill_all(s);
    } else if (s->child == NULL && s->next == NULL && !s->is_winched) {
        s->child = wr_child_start(s, &s->now, WR_CHILD_SERVES);
        wr_supervisor_ensure_worker(s);
    }
}

static void run_leave(struct wr_task *t)
{
    struct wr_supervisor *s = wr_container_of(t, struct wr_supervisor, leave_task);

    if (s->leaver == NULL || s->is_ending) {
        return;
    }
    if (!s->is_leaver_told) {
        wr_supervisor_tell_leaver(s);
    } else {
        wr_log(NULL, WR_LOG_WARN,
               "worker process %d does not answer: it may still take connections with the "
               "configuration before",
               (int)s->leaver->pid);
        wr_supervisor_note_closed(s->leaver);
    }
}

static void run_hourly(struct wr_task *t)
{
    struct wr_supervisor *s = wr_container_of(t, struct wr_supervisor, hourly_task);

    wr_tls_secret_age();
    wr_timer_arm(&s->hourly, wr_now_ms() + HOUR_MS);
}

/* --- signals --- */

/* All workers. */
static void tell_all(struct wr_supervisor *s, enum wr_chan_type how)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &s->children) {
        wr_child_tell_end(wr_container_of(n, struct wr_child, node), how);
    }
}

/* The service goes on without us when there is another supervisor: one that we have started, or the
 * one that started us, when its upgrade is taken back. */
static void notify_end(const struct wr_supervisor *s)
{
    if (s->upgrade.child != 0) {
        wr_notify_main_pid(s->upgrade.child);
    } else if (s->upgrade.parent != 0 && s->upgrade.parent == getppid()) {
        wr_notify_main_pid(s->upgrade.parent);
    } else {
        wr_notify_stopping();
    }
}

static void end(struct wr_supervisor *s, enum wr_chan_type how)
{
    struct wr_file_entry *e;

    s->is_ending = true;
    wr_ctl_refuse_reloads(&s->ctl, "weir is ending");
    notify_end(s);
    wr_timer_disarm(&s->restart);
    if (wr_list_is_empty(&s->children)) {
        wr_loop_stop(wr_loop_get());
        return;
    }
    if (how == WR_CHAN_STOP) {
        wr_timer_arm(&s->restart, wr_now_ms() + STOP_WAIT_MS);
    }
    /* The kernel must not take connections for a socket that no thread serves. */
    while (how == WR_CHAN_QUIT && (e = wr_files_next(&s->res.listeners, NULL)) != NULL) {
        wr_resources_drop_listener(e, !wr_upgrade_is_shared(s));
    }
    tell_all(s, how);
    if (how == WR_CHAN_QUIT && s->upgrade.is_parked) {
        wr_pidfile_close(&s->pidfile); /* the name is free for the next upgrade */
    }
}

/* WINCH: the workers end, we and the sockets stay (until HUP, or QUIT). */
static void winch(struct wr_supervisor *s)
{
    if (s->is_ending || s->is_winched || s->is_solo) {
        return;
    }
    wr_timer_disarm(&s->restart);
    s->is_winched = true;
    s->want_reload = false;
    wr_ctl_refuse_queued(&s->ctl, "its workers are being ended (WINCH)");
    tell_all(s, WR_CHAN_QUIT);
}

/* pid: who sent it; 0: the kernel. */
static void obey(struct wr_supervisor *s, int signo, int pid)
{
    switch (signo) {
    case SIGCHLD:
        wr_children_reap(s);
        break;
    case SIGHUP:
        if (!s->is_ending) {
            wr_supervisor_reload(s);
        }
        break;
    case SIGUSR1:
        wr_log(NULL, WR_LOG_NOTICE, "reopening logs");
        wr_resources_reopen(&s->res, s->start);
        wr_children_reopen(s);
        break;
    case SIGUSR2:
        wr_upgrade_start(s);
        break;
    case SIGWINCH:
        if (pid != 0) { /* else a terminal's size has changed */
            winch(s);
        }
        break;
    case SIGQUIT:
        end(s, WR_CHAN_QUIT);
        break;
    case SIGTERM:
    case SIGINT:
        end(s, WR_CHAN_STOP);
        break;
    default:
        break;
    }
}

static void run_signals(struct wr_task *t)
{
    struct wr_supervisor *s = wr_container_of(t, struct wr_supervisor, signal_task);
    int signo, pid;

    while (wr_signals_take(&s->signals, &signo, &pid)) {
        const char *name = sigabbrev_np(signo);

        wr_log(NULL, signo == SIGCHLD ? WR_LOG_INFO : WR_LOG_NOTICE,
               "signal %d (SIG%s) received from %d", signo, name != NULL ? name : "?", pid);
        obey(s, signo, pid);
    }
}

/* --- start --- */

/* A worker that could use more descriptors than it may have will refuse connections. */
static void check_limits(const struct wr_main_conf *mc)
{
    uint64_t need = (uint64_t)mc->worker_connections * mc->threads;
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == -1) {
        return;
    }
    if (mc->rlimit_nofile != 0) {
        r.rlim_cur = mc->rlimit_nofile;
    } else if (r.rlim_cur < need + 64 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = WR_MIN(r.rlim_max, need + 64);
        (void)setrlimit(RLIMIT_NOFILE, &r); /* what we may have anyway; the worker inherits it */
        (void)getrlimit(RLIMIT_NOFILE, &r);
    }
    if (need > r.rlim_cur) {
        wr_say(WR_LOG_WARN, 0, "%llu worker_connections exceed open file resource limit: %llu",
               (unsigned long long)need, (unsigned long long)r.rlim_cur);
    }
}

/* The log of -e or the built-in one, for lines without a better place. */
static void open_default_log(struct wr_supervisor *s)
{
    const struct wr_start *start = s->start;
    int fd = start->error_log.len > 0 ? wr_resources_open_log(start->error_log.ptr) : -1;

    if (fd == -1 && start->error_log.len > 0 && wr_gen_core_main(s->now.gen)->sinks == NULL) {
        wr_say(WR_LOG_ALERT, errno, "could not open error log file: open() \"%.*s\" failed",
               WR_STR_ARG(start->error_log));
    }
    if (fd != -1) {
        (void)wr_files_add(&s->res.logs, WR_STR(""), 0, fd);
    }
}

static void set_signals(sigset_t *set)
{
    static const int all[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM,
                              SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD};

    (void)sigemptyset(set);
    for (size_t i = 0; i < WR_ARRAY_LEN(all); i++) {
        (void)sigaddset(set, all[i]);
    }
}

static enum wr_status open_pidfile(struct wr_supervisor *s)
{
    const struct wr_main_conf *mc = wr_main_conf_of(s->now.gen);
    struct wr_pidfile_fault f;
    enum wr_status st;

    if (s->start->has_no_pidfile) {
        return WR_OK;
    }
    st = wr_pidfile_open(&s->pidfile, mc->pid.ptr, &f);
    if (st == WR_ELIMIT) {
        wr_say(WR_LOG_EMERG, 0, "another weir runs with the pid file \"%.*s\"",
               WR_STR_ARG(mc->pid));
    } else if (st != WR_OK) {
        wr_say(WR_LOG_EMERG, f.err, "%s() \"%.*s\" failed", f.call, WR_STR_ARG(mc->pid));
    }
    return st;
}

/* What standard error becomes in the background: the main error log that is a file. -1: it stays.
 */
static int stderr_of_daemon(struct wr_supervisor *s)
{
    const struct wr_core_main *cm = wr_gen_core_main(s->now.gen);
    const struct wr_file_entry *e = wr_files_find(&s->res.logs, WR_STR(""), 0);
    const struct wr_log_sink *k = cm->sinks != NULL ? &cm->sinks->sink : NULL;

    if (k == NULL) {
        return e != NULL ? e->fd : -1;
    }
    while (k != NULL && k->put != NULL) {
        k = k->next; /* syslog and memory take no foreign text */
    }
    return k != NULL && k->fd != STDERR_FILENO ? k->fd : -1;
}

/* Everything that can fail before there is a loop. */
static enum wr_status prepare(struct wr_supervisor *s)
{
    const struct wr_main_conf *mc;

    if (wr_load_disk(s->start, s->gen_no + 1, true, &s->now) != WR_OK) {
        return WR_ECONFIG;
    }
    s->gen_no++;
    mc = wr_main_conf_of(s->now.gen);
    s->is_solo = !mc->master_process;
    check_limits(mc);
    open_default_log(s);
    if (wr_upgrade_inherit(s) != WR_OK) {
        return WR_ESYS;
    }
    if (wr_resources_prepare(&s->res, s->now.gen) != WR_OK) {
        return WR_ESYS;
    }
    (void)wr_resources_commit(&s->res, !wr_upgrade_is_shared(s));
    if (mc->daemon && !s->start->is_foreground && s->upgrade.parent == 0 &&
        wr_daemon_enter(stderr_of_daemon(s), &s->daemon_fd) != WR_OK) {
        return WR_ESYS;
    }
    return open_pidfile(s);
}

static enum wr_status open_signals(struct wr_supervisor *s)
{
    sigset_t set;

    wr_task_init(&s->signal_task, run_signals, "signals");
    wr_task_init(&s->restart_task, run_restart, "restart of the worker");
    wr_timer_init(&s->restart, &s->restart_task);
    wr_task_init(&s->leave_task, run_leave, "a worker leaves");
    wr_timer_init(&s->leave, &s->leave_task);
    wr_task_init(&s->hourly_task, run_hourly, "hourly");
    wr_timer_init(&s->hourly, &s->hourly_task);
    wr_timer_arm(&s->hourly, wr_now_ms() + HOUR_MS);
    set_signals(&set);
    if (wr_signals_open(&s->signals, &set, &s->signal_task) != WR_OK) {
        wr_say(WR_LOG_EMERG, errno, "signalfd() failed");
        return WR_ESYS;
    }
    return WR_OK;
}

static void serve(struct wr_supervisor *s)
{
    struct wr_poll *poll = wr_poll_epoll_new();
    struct wr_loop *loop = NULL;

    s->exit_code = 1;
    if (poll != NULL) {
        loop = wr_loop_new(poll);
    }
    if (loop == NULL) {
        wr_say(WR_LOG_EMERG, errno, "epoll_create() failed");
        return;
    }
    loop->watchdog.limit_ms = WR_WATCHDOG_BUILD_MS;
    if (open_signals(s) == WR_OK) {
        wr_ctl_open(&s->ctl);
        s->child = wr_child_start(s, &s->now, WR_CHILD_SERVES);
        if (s->child != NULL) {
            s->exit_code = 0;
            wr_loop_run(loop);
        }
    }
    wr_ctl_close(&s->ctl);
    wr_signals_close(&s->signals);
    wr_timer_fini(&s->restart);
    wr_timer_fini(&s->leave);
    wr_timer_fini(&s->hourly);
    wr_loop_free(loop);
}

int wr_supervisor_run(const struct wr_start *start)
{
    struct wr_supervisor *s = wr_mem_alloc(sizeof(*s));
    int code = 1;

    wr_notify_init();
    s->start = start;
    s->now.bundle_fd = s->coming.bundle_fd = -1;
    s->daemon_fd = s->pidfile.fd = -1;
    wr_resources_init(&s->res);
    wr_list_init(&s->children);
    wr_ctl_init(&s->ctl, s);
    if (prepare(s) == WR_OK) {
        if (!s->is_solo) {
            wr_title_set_args("weir: master process", start->argv);
        }
        wr_say_on_log(true);
        wr_resources_install_log(&s->res, s->now.gen);
        wr_log(NULL, WR_LOG_NOTICE, "weir/" WR_VERSION);
        serve(s);
        code = s->exit_code;
        wr_log(NULL, WR_LOG_NOTICE, "exit");
    }
    if (s->daemon_fd != -1) {
        wr_daemon_release(s->daemon_fd, code);
    }
    wr_pidfile_close(&s->pidfile);
    wr_log_set_default(NULL);
    wr_resources_fini(&s->res, !wr_upgrade_is_shared(s));
    wr_loaded_end(&s->coming);
    wr_loaded_end(&s->now);
    wr_mem_free(s);
    return code;
}

/* --- one-shot commands --- */

static void dump_files(const struct wr_gen *g)
{
    struct wr_strbuf b;

    wr_strbuf_init(&b, (size_t)512 << 20);
    wr_tree_write_files(g->files, &b);
    (void)fwrite(b.ptr, 1, b.len, stdout);
    (void)fflush(stdout);
    wr_strbuf_fini(&b);
}

int wr_supervisor_test(const struct wr_start *start, bool is_dump, bool is_quiet)
{
    struct wr_loaded l = {NULL, -1};
    enum wr_status st;

    if (is_quiet) {
        wr_say_least(WR_LOG_WARN);
    }
    st = wr_load_disk(start, 1, false, &l);
    if (st == WR_OK && !is_quiet) {
        (void)fprintf(stderr, "weir: the configuration file %s syntax is ok\n", start->conf.ptr);
    }
    if (st == WR_OK) {
        st = wr_resources_test(l.gen);
    }
    if (st == WR_OK && !is_quiet) {
        (void)fprintf(stderr, "weir: configuration file %s test is successful\n", start->conf.ptr);
    } else if (st != WR_OK) {
        (void)fprintf(stderr, "weir: configuration file %s test failed\n", start->conf.ptr);
    }
    if (st == WR_OK && is_dump) {
        dump_files(l.gen);
    }
    wr_loaded_end(&l);
    return st == WR_OK ? 0 : 1;
}

int wr_supervisor_signal(const struct wr_start *start, int signo)
{
    struct wr_pidfile_fault f = {NULL, 0};
    struct wr_arena a;
    enum wr_status st;
    struct wr_str path;
    pid_t pid = 0;

    wr_say_least(WR_LOG_ERROR); /* the running one has said its warnings */
    wr_arena_init(&a, WR_PID_ARENA_MAX);
    st = wr_load_pid(start, WR_PID_SAY, &a, &path);
    if (st == WR_OK) {
        st = wr_pidfile_find(path.ptr, &pid, &f);
        if (st != WR_OK) {
            wr_pidfile_say(path, st, &f);
        } else if (kill(pid, signo) == -1) {
            wr_say(WR_LOG_ALERT, errno, "kill(%d, %d) failed", (int)pid, signo);
            st = WR_ESYS;
        }
    }
    wr_arena_fini(&a);
    return st == WR_OK ? 0 : 1;
}
