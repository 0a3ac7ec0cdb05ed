/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c: the entry. Decides what this process is: a worker (its channel is in the environment), a
 * one-shot command, a supervisor, `weir proxy` or `weir demo`.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "conf/docs.h"
#include "event/signals.h"
#include "main/autopsy.h"
#include "main/cmdline.h"
#include "main/ctl_client.h"
#include "main/demo.h"
#include "main/modules.h"
#include "main/proxy_cmd.h"
#include "main/resources.h"
#include "main/say.h"
#include "main/supervisor.h"
#include "main/title.h"
#include "main/worker.h"

#define TEXT_MAX ((size_t)4 << 20)

/* Blocks what loops read by signalfd, before any thread; a broken pipe is an error code, no signal.
 */
static void set_signals(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;

    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGQUIT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGUSR2);
    (void)sigaddset(&set, SIGWINCH);
    (void)sigaddset(&set, SIGCHLD);
    wr_signals_block(&set);
}

/* A descriptor that a user closed before starting us must not become a socket's number. */
static void open_standard_fds(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd != -1 && fd <= STDERR_FILENO);
    if (fd != -1) {
        (void)close(fd);
    }
}

static int run_worker(const char *channel)
{
    uint64_t fd;
    int code;

    if (wr_num_parse_u64(wr_str_z(channel), INT_MAX, &fd) != WR_OK ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) == -1) {
        (void)fprintf(stderr, "weir: " WR_WORKER_ENV " is for weir's own use\n");
        return 1;
    }
    (void)prctl(PR_SET_NAME, "weir-worker"); /* cosmetic */
    wr_autopsy_attach(WR_AUTOPSY_FD);
    if (wr_modules_boot() != WR_OK) {
        return 1;
    }
    code = wr_worker_run((int)fd);
    wr_modules_end();
    return code;
}

/* path seen from base (which ends in '/' and is absolute), or from the current folder when base is
 * empty. */
static struct wr_str make_absolute(struct wr_arena *a, struct wr_str base, const char *path,
                                   bool is_folder)
{
    const char *end = is_folder && (path[0] == '\0' || path[strlen(path) - 1] != '/') ? "/" : "";
    char cwd[PATH_MAX];
    struct wr_str s;
    enum wr_status st;

    if (path[0] == '/') {
        st = wr_arena_printf(a, &s, "%s%s", path, end);
    } else if (base.len > 0) {
        st = wr_arena_printf(a, &s, "%.*s%s%s", WR_STR_ARG(base), path, end);
    } else {
        st = wr_arena_printf(a, &s, "%s/%s%s", getcwd(cwd, sizeof(cwd)) != NULL ? cwd : "", path,
                             end);
    }
    return st == WR_OK ? s : WR_STR("/");
}

static void make_start(const struct wr_cmdline *c, struct wr_arena *a, struct wr_start *s)
{
    s->prefix = make_absolute(a, WR_STR(""), c->prefix != NULL ? c->prefix : WR_PREFIX, true);
    s->conf = make_absolute(a, s->prefix, c->conf != NULL ? c->conf : WR_CONF_PATH, false);
    s->cmdline = wr_str_z(c->directives != NULL ? c->directives : "");
    s->has_error_log = c->error_log != NULL;
    if (c->error_log == NULL) {
        s->error_log = WR_STR(WR_LOG_DIR "/error.log");
    } else if (strcmp(c->error_log, "stderr") != 0) {
        s->error_log = make_absolute(a, s->prefix, c->error_log, false);
    }
}

/* One-shot commands, and a start that fails, tell the log of -e too. Value: its descriptor or -1.
 */
static int open_early_log(const struct wr_start *s)
{
    static struct wr_log_sink sink = {.fd = -1, .level = WR_LOG_NOTICE}; /* the process's for now */

    if (!s->has_error_log || s->error_log.len == 0) {
        return -1;
    }
    sink.fd = wr_resources_open_log(s->error_log.ptr);
    if (sink.fd == -1) {
        wr_say(WR_LOG_ALERT, errno, "could not open error log file: open() \"%s\" failed",
               s->error_log.ptr);
        return -1;
    }
    wr_log_set_default(&sink);
    wr_say_on_log(true);
    return sink.fd;
}

/*
 * Path of our binary as the user named it, so that a link or file put in its place is what an
 * upgrade starts. Empty: unknown.
 */
static struct wr_str find_program(struct wr_arena *a, const char *name)
{
    const char *path = getenv("PATH");
    struct wr_str rest = wr_str_z(path != NULL ? path : ""), s;

    if (strchr(name, '/') != NULL) {
        return make_absolute(a, WR_STR(""), name, false);
    }
    while (rest.len > 0) {
        size_t n = wr_str_find(rest, ':');
        struct wr_str dir = wr_str_sub(rest, 0, n);

        rest = wr_str_sub(rest, WR_MIN(n + 1, rest.len), rest.len);
        if (dir.len > 0 && dir.ptr[0] == '/' &&
            wr_arena_printf(a, &s, "%.*s/%s", WR_STR_ARG(dir), name) == WR_OK &&
            access(s.ptr, X_OK) == 0) {
            return s;
        }
    }
    return WR_STR("");
}

static int run_command(const struct wr_cmdline *c, char *const *argv)
{
    struct wr_start s = {.argv = argv, .self_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC)};
    struct wr_str program;
    struct wr_arena a;
    int code, log_fd;

    wr_arena_init(&a, TEXT_MAX);
    make_start(c, &a, &s);
    program = find_program(&a, argv[0]);
    s.program = program.len > 0 ? program.ptr : NULL;
    log_fd = open_early_log(&s);
    if (c->cmd == WR_CMD_TEST) {
        code = wr_supervisor_test(&s, c->is_dump, c->is_quiet);
    } else if (c->cmd == WR_CMD_SIGNAL && c->signo == SIGHUP) {
        code = wr_ctl_reload(&s);
    } else if (c->cmd == WR_CMD_STATUS) {
        code = wr_ctl_status(c, &s);
    } else if (c->cmd == WR_CMD_TRACE) {
        code = wr_ctl_trace(c, &s);
    } else if (c->cmd == WR_CMD_SIGNAL) {
        code = wr_supervisor_signal(&s, c->signo);
    } else if (c->cmd == WR_CMD_PROXY) {
        code = wr_proxy_run(c, &s);
    } else if (c->cmd == WR_CMD_DEMO) {
        code = wr_demo_run(c, &s);
    } else {
        code = wr_supervisor_run(&s);
    }
    wr_log_set_default(NULL);
    if (log_fd != -1) {
        (void)close(log_fd);
    }
    if (s.self_fd != -1) {
        (void)close(s.self_fd);
    }
    wr_arena_fini(&a);
    return code;
}

/* What only prints. */
static int print(const struct wr_cmdline *c)
{
    bool is_docs = c->cmd == WR_CMD_DIRECTIVES;
    struct wr_strbuf b;

    wr_strbuf_init(&b, TEXT_MAX);
    if (c->cmd == WR_CMD_HELP) {
        wr_cmdline_write_help(&b);
    } else if (is_docs && c->is_tsv) {
        wr_docs_write_tsv(wr_modules_registry(), &b);
    } else if (is_docs) {
        wr_docs_write_markdown(wr_modules_registry(), &b);
    } else {
        wr_cmdline_write_version(&b, c->cmd == WR_CMD_BUILD);
    }
    (void)fwrite(b.ptr, 1, b.len, is_docs ? stdout : stderr);
    (void)fflush(stdout);
    wr_strbuf_fini(&b);
    return 0;
}

int main(int argc, char **argv)
{
    const char *channel;
    struct wr_cmdline c;
    struct wr_strbuf err;
    enum wr_status st;
    int code = 1;

    argv = wr_title_init(argc, argv);
    channel = getenv(WR_WORKER_ENV);
    open_standard_fds();
    set_signals();
    if (channel != NULL) {
        return run_worker(channel);
    }
    wr_strbuf_init(&err, 8192);
    st = wr_cmdline_parse(argc, argv, &c, &err);
    if (st != WR_OK) {
        (void)fprintf(stderr, "weir: %s\n", wr_strbuf_cstr(&err));
    }
    wr_strbuf_fini(&err);
    if (st != WR_OK || wr_modules_boot() != WR_OK) {
        return 1;
    }
    switch (c.cmd) {
    case WR_CMD_VERSION:
    case WR_CMD_BUILD:
    case WR_CMD_HELP:
    case WR_CMD_DIRECTIVES:
        code = print(&c);
        break;
    case WR_CMD_RUN:
    case WR_CMD_TEST:
    case WR_CMD_SIGNAL:
    case WR_CMD_PROXY:
    case WR_CMD_DEMO:
    case WR_CMD_STATUS:
    case WR_CMD_TRACE:
        code = run_command(&c, argv);
        break;
    }
    wr_modules_end();
    return code;
}
