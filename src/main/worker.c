/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c: life of the worker: messages of the supervisor, signals, the orderly end. A worker
 * whose supervisor is gone takes no new connections and ends when the running requests have.
 * Control thread.
 */
#include "main/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/loop.h"
#include "main/title.h"
#include "main/worker_int.h"
#include "tls/tls.h"
#include "up/idle.h"

void wr_worker_close_listeners(struct wr_worker *w)
{
    struct wr_file_entry *e;

    while ((e = wr_files_next(&w->listeners, NULL)) != NULL) {
        wr_files_remove(e);
    }
}

/* The supervisor hears it once nothing of this worker can take a connection. */
void wr_worker_note_closed(struct wr_worker *w)
{
    if (!w->is_quitting || w->has_told_closed || wr_files_next(&w->listeners, NULL) != NULL) {
        return;
    }
    for (unsigned i = 0; i < w->thread_cnt; i++) {
        if (!w->threads[i].has_closed && !w->threads[i].is_down) {
            return;
        }
    }
    w->has_told_closed = true;
    if (w->chan != -1) {
        wr_worker_tell(w, WR_CHAN_CLOSED, 0, WR_STR(""));
    }
}

static void end_worker(struct wr_worker *w, enum wr_worker_end how)
{
    if (w->is_stopping || (how == WR_WORKER_QUIT && w->is_quitting)) {
        return;
    }
    if (how == WR_WORKER_QUIT) {
        wr_log(NULL, WR_LOG_NOTICE, "gracefully shutting down");
        if (w->has_signals) {
            wr_title_set("weir: worker process is shutting down");
        }
    }
    w->is_quitting = true;
    w->is_stopping = how == WR_WORKER_STOP;
    if (w->coming == NULL) {
        wr_worker_close_listeners(w); /* else a thread may be about to duplicate them */
    }
    if (w->down_cnt == w->thread_cnt) {
        wr_loop_stop(wr_loop_get()); /* nothing serves */
        return;
    }
    if (how == WR_WORKER_QUIT && w->gen != NULL &&
        wr_main_conf_of(w->gen)->shutdown_timeout_ms != 0) {
        wr_timer_arm(&w->shutdown, wr_now_ms() + wr_main_conf_of(w->gen)->shutdown_timeout_ms);
    }
    wr_worker_post_end(w, how);
}

void wr_worker_note_up(struct wr_worker *w)
{
    w->up_cnt++;
    if (w->is_quitting) {
        /* It was told to end before this thread was there. Those that know it do not mind. */
        wr_worker_post_end(w, w->is_stopping ? WR_WORKER_STOP : WR_WORKER_QUIT);
    } else if (w->up_cnt == w->thread_cnt && w->coming != NULL) {
        wr_worker_publish(w);
    }
}

void wr_worker_note_down(struct wr_worker *w)
{
    w->down_cnt++;
    wr_worker_note_closed(w);
    if (!w->is_quitting) {
        w->has_failed = true; /* a thread has no loop: its message is in the log */
        end_worker(w, WR_WORKER_STOP);
    }
    if (w->down_cnt >= w->thread_cnt) {
        wr_loop_stop(wr_loop_get());
    }
}

/* Takes msg->fd. */
static void take_file(struct wr_worker *w, struct wr_files *t, const struct wr_chan_msg *msg)
{
    struct wr_file_entry *e = wr_files_find(t, msg->text, (uint32_t)msg->no);

    if (msg->fd == -1) {
        return;
    }
    if (e == NULL) {
        (void)wr_files_add(t, msg->text, (uint32_t)msg->no, msg->fd);
    } else if (t == &w->listeners) {
        (void)close(msg->fd); /* we have it already */
    } else if (wr_files_replace(e, msg->fd) != WR_OK) {
        wr_log_errno(NULL, WR_LOG_ALERT, errno, "dup3() of log \"%.*s\" failed",
                     WR_STR_ARG(msg->text));
    }
}

static void handle(struct wr_worker *w, struct wr_chan_msg *msg)
{
    switch (msg->type) {
    case WR_CHAN_LOG:
    case WR_CHAN_REOPEN:
        take_file(w, &w->logs, msg);
        return;
    case WR_CHAN_LISTEN:
        take_file(w, &w->listeners, msg);
        return;
    case WR_CHAN_LOAD:
        wr_worker_load(w, msg->no, msg->fd);
        break;
    case WR_CHAN_QUIT:
        end_worker(w, WR_WORKER_QUIT);
        break;
    case WR_CHAN_STOP:
        end_worker(w, WR_WORKER_STOP);
        break;
    case WR_CHAN_ASK:
        wr_worker_ask(w, msg->no, msg->text);
        break;
    case WR_CHAN_SECRET:
        if (!wr_tls_secret_read(msg->text)) {
            wr_log(NULL, WR_LOG_ALERT, "the secret of tickets is none");
        }
        wr_tls_wipe(msg->text);
        break;
    case WR_CHAN_READY:
    case WR_CHAN_FAILED:
    case WR_CHAN_CLOSED:
    case WR_CHAN_ANSWER:
        wr_log(NULL, WR_LOG_ALERT, "a message that only workers send");
        break;
    }
    if (msg->fd != -1) {
        (void)close(msg->fd);
    }
}

static void run_chan(struct wr_task *t)
{
    struct wr_worker *w = wr_container_of(t, struct wr_worker, task);
    struct wr_chan_msg msg;
    enum wr_status st;

    while ((st = wr_chan_recv(w->chan, &msg)) == WR_OK) {
        handle(w, &msg);
    }
    if (st == WR_AGAIN) {
        w->io.facts &= (uint16_t)~WR_IO_READABLE;
        return;
    }
    wr_io_close(&w->io, WR_IO_CLOSE_FIN);
    w->chan = -1;
    if (!w->is_quitting) {
        wr_log(NULL, WR_LOG_ALERT,
               "the supervisor is gone, the worker ends when its requests have");
        end_worker(w, WR_WORKER_QUIT);
    }
}

static void run_signals(struct wr_task *t)
{
    struct wr_worker *w = wr_container_of(t, struct wr_worker, signal_task);
    int signo, pid;

    while (wr_signals_take(&w->signals, &signo, &pid)) {
        end_worker(w, signo == SIGQUIT ? WR_WORKER_QUIT : WR_WORKER_STOP);
    }
}

static void run_shutdown(struct wr_task *t)
{
    struct wr_worker *w = wr_container_of(t, struct wr_worker, shutdown_task);

    wr_log(NULL, WR_LOG_NOTICE, "worker_shutdown_timeout: closing what is still open");
    end_worker(w, WR_WORKER_STOP);
}

static void run_linger(struct wr_task *t)
{
    wr_worker_close_removed(wr_container_of(t, struct wr_worker, linger_task));
}

static void run_sweep(struct wr_task *t)
{
    wr_worker_sweep(wr_container_of(t, struct wr_worker, sweep_task));
}

static enum wr_status open_worker(struct wr_worker *w, int chan)
{
    bool is_process = getenv(WR_WORKER_ENV) != NULL; /* signals are the supervisor's otherwise */
    sigset_t set;

    w->chan = chan;
    wr_files_init(&w->logs);
    wr_files_init(&w->listeners);
    wr_fixtures_init(&w->fixtures);
    wr_list_init(&w->asks);
    w->mailbox = wr_mailbox_of_loop();
    wr_task_init(&w->task, run_chan, "supervisor's messages");
    wr_task_init(&w->signal_task, run_signals, "signals");
    wr_task_init(&w->shutdown_task, run_shutdown, "shutdown timeout");
    wr_task_init(&w->sweep_task, run_sweep, "sweep");
    wr_task_init(&w->linger_task, run_linger, "removed listeners");
    wr_timer_init(&w->linger, &w->linger_task);
    wr_timer_init(&w->shutdown, &w->shutdown_task);
    wr_timer_init(&w->sweep, &w->sweep_task);
    wr_io_init(&w->io, WR_IO_NOTIFY, &w->task);
    if (wr_io_adopt(&w->io, chan) != WR_OK) {
        return WR_ESYS;
    }
    if (!is_process) {
        return WR_OK;
    }
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGQUIT);
    w->has_signals = true;
    return wr_signals_open(&w->signals, &set, &w->signal_task);
}

/* False: a thread left works behind. The process ends with its memory, which they use. */
static bool close_worker(struct wr_worker *w)
{
    bool has_works = false;

    for (unsigned i = 0; i < w->thread_cnt; i++) {
        wr_thread_join(&w->threads[i].thread);
        has_works = has_works || w->threads[i].has_works;
    }
    if (has_works) {
        wr_log(NULL, WR_LOG_NOTICE, "what a pool of threads still does is given up");
        return false;
    }
    wr_idle_process_end();
    wr_loop_turn(wr_loop_get(), 0); /* last answers of threads */
    wr_worker_end_asks(w);
    wr_timer_fini(&w->shutdown);
    wr_timer_fini(&w->sweep);
    wr_timer_fini(&w->linger);
    if (w->has_signals) {
        wr_signals_close(&w->signals);
    }
    wr_gen_unref(w->coming);
    wr_gen_unref(w->gen);
    wr_loop_turn(wr_loop_get(), 0); /* frees them */
    (void)wr_fixtures_sweep(&w->fixtures);
    if (w->fixtures.cnt == 0) {
        wr_fixtures_fini(&w->fixtures);
    } else {
        /* A request was cut off in the middle; the process ends with its memory. */
        wr_log(NULL, WR_LOG_INFO, "%zu fixtures are still named at the end", w->fixtures.cnt);
    }
    wr_mem_free(w->threads);
    wr_io_close(&w->io, WR_IO_CLOSE_FIN);
    wr_files_fini(&w->listeners);
    return true;
}

int wr_worker_run(int chan)
{
    struct wr_poll *poll = wr_poll_epoll_new();
    struct wr_loop *loop = NULL;
    struct wr_worker w = {.chan = -1};
    bool has_failed;

    if (poll != NULL) {
        loop = wr_loop_new(poll);
    }
    if (loop == NULL) {
        wr_log_errno(NULL, WR_LOG_EMERG, errno, "the worker has no event loop");
        (void)close(chan);
        return 1;
    }
    loop->watchdog.limit_ms = WR_WATCHDOG_BUILD_MS;
    if (open_worker(&w, chan) == WR_OK) {
        wr_loop_run(loop);
        if (w.serves_here) {
            wr_worker_serve_here(&w);
            wr_loop_run(loop); /* when it could not serve at all: what is to be done about that */
        }
    } else {
        wr_log_errno(NULL, WR_LOG_EMERG, errno, "the worker cannot read its channel");
        w.has_failed = true;
    }
    has_failed = w.has_failed;
    wr_log(NULL, WR_LOG_NOTICE, "exit");
    if (close_worker(&w)) {
        wr_loop_free(loop);
        wr_files_fini(&w.logs);
    } else if (w.has_signals) {
        _exit(has_failed ? 1 : 0); /* a process of its own: nothing else may be torn down */
    }
    return has_failed ? 1 : 0;
}
