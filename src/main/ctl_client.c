/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_client.c: see ctl_client.h. One question, one answer, one connection; nothing waits longer
 * than ten seconds for a weir that is silent (stopped, or stuck), unless that said "wait".
 *
 * Which weir: the socket of --socket; else the one beside the pid file of -c; else beside the
 * built-in pid file; else beside the one that the default configuration file names.
 */
#include "main/ctl_client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "main/ctl_addr.h"
#include "main/pidfile.h"
#include "main/question.h"
#include "main/say.h"
#include "observe/status_table.h"

#define SILENCE_MS  10000u
#define PATIENCE_MS 620000u /* behind "wait"; the server's own limit is shorter */
#define LOOK_MS     50
#define BIRTH_MS    500u /* a supervisor holds its pid file, and makes its socket */
#define ANSWER_MAX  ((size_t)65 << 20)

static uint64_t now_ms(void)
{
    return wr_clock_mono_us() / 1000;
}

/* --- talking --- */

/* False: the time is over. */
static bool wait_for(int fd, short events, uint64_t until_ms)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        uint64_t now = now_ms();
        int rc;

        if (now >= until_ms) {
            return false;
        }
        rc = poll(&p, 1, (int)(until_ms - now));
        if (rc > 0) {
            return true;
        }
        if (rc == -1 && errno != EINTR) {
            return false;
        }
    }
}

/* -1: errno says why; ETIMEDOUT: its queue of connections stays full. */
static int open_socket(const char *path)
{
    uint64_t until = now_ms() + SILENCE_MS;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

    if (fd == -1) {
        return -1;
    }
    while (wr_ctl_connect(fd, path) != WR_OK) {
        err = errno;
        if (err == EAGAIN && now_ms() < until) {
            (void)poll(NULL, 0, LOOK_MS);
            continue;
        }
        (void)close(fd);
        errno = err == EAGAIN ? ETIMEDOUT : err;
        return -1;
    }
    return fd;
}

/* WR_ETIMEDOUT, or WR_EPEERGONE: it closed. */
static enum wr_status send_line(int fd, struct wr_str rest)
{
    uint64_t until = now_ms() + SILENCE_MS;

    while (rest.len > 0) {
        ssize_t n = write(fd, rest.ptr, rest.len);

        if (n > 0) {
            rest = wr_str_sub(rest, (size_t)n, rest.len);
        } else if (errno == EAGAIN) {
            if (!wait_for(fd, POLLOUT, until)) {
                return WR_ETIMEDOUT;
            }
        } else if (errno != EINTR) {
            return WR_EPEERGONE;
        }
    }
    return WR_OK;
}

static enum wr_status read_answer(int fd, struct wr_strbuf *b)
{
    static const struct wr_str patience = WR_STR_INIT("wait\n");
    uint64_t limit = SILENCE_MS;

    for (;;) {
        char *room = wr_strbuf_reserve(b, 65536);
        ssize_t n;

        if (room == NULL) {
            return b->status;
        }
        n = read(fd, room, 65536);
        if (n == 0) {
            return WR_OK;
        }
        if (n > 0) {
            wr_strbuf_commit(b, (size_t)n);
            if (wr_str_has_prefix(wr_strbuf_str(b), patience)) {
                limit = PATIENCE_MS;
            }
        } else if (errno == EAGAIN) {
            if (!wait_for(fd, POLLIN, now_ms() + limit)) {
                return WR_ETIMEDOUT;
            }
        } else if (errno != EINTR) {
            return WR_EPEERGONE;
        }
    }
}

/* One line off *s. */
static struct wr_str cut_line(struct wr_str *s)
{
    size_t n = wr_str_find(*s, '\n');
    struct wr_str line = wr_str_sub(*s, 0, n);

    *s = wr_str_sub(*s, WR_MIN(n + 1, s->len), s->len);
    return line;
}

struct answer {
    struct wr_strbuf b;
    bool is_ok;         /* its first line */
    struct wr_str text; /* behind that, in b */
};

/* WR_ETIMEDOUT; WR_ELIMIT, WR_ENOMEM; WR_EPEERGONE: it closed; WR_EPROTO: whoever listens there is
 * no supervisor. */
static enum wr_status ask(int fd, struct wr_str question, struct answer *a)
{
    enum wr_status st = send_line(fd, question);
    struct wr_str text, line;

    if (st != WR_ETIMEDOUT) {
        st = read_answer(fd, &a->b); /* who refuses to read may have said why */
    }
    if (st != WR_OK && st != WR_EPEERGONE) {
        return st;
    }
    text = wr_strbuf_str(&a->b);
    do {
        line = cut_line(&text);
    } while (wr_str_eq_z(line, "wait"));
    a->is_ok = wr_str_eq_z(line, "ok");
    a->text = text;
    if (wr_str_eq_z(line, "failed") || (a->is_ok && st == WR_OK)) {
        return WR_OK; /* who does not read the question closes with a reset behind the answer */
    }
    return st == WR_EPEERGONE || line.len == 0 ? WR_EPEERGONE : WR_EPROTO;
}

static void complain_answer(enum wr_status st, const char *path)
{
    if (st == WR_ETIMEDOUT) {
        wr_say(WR_LOG_ERROR, 0,
               "weir does not answer on \"%s\": its supervisor is stopped or stuck", path);
    } else if (st == WR_ELIMIT || st == WR_ENOMEM) {
        wr_say(WR_LOG_ERROR, 0, "the answer of \"%s\" is too large", path);
    } else if (st == WR_EPROTO) {
        wr_say(WR_LOG_ERROR, 0, "\"%s\" is not the control socket of a weir", path);
    } else {
        wr_say(WR_LOG_ERROR, 0, "\"%s\" was closed without an answer: the error log may say why",
               path);
    }
}

/* --- finding the socket --- */

struct search {
    struct wr_arena a;
    char path[WR_CTL_PATH_MAX];
    int fd; /* -1: not found */
    int err;
};

static void look_at(struct search *f, const char *path)
{
    f->fd = open_socket(path);
    f->err = f->fd == -1 ? errno : 0;
}

static void complain(const struct search *f)
{
    if (f->err == EACCES || f->err == EPERM) {
        wr_say(WR_LOG_ERROR, f->err,
               "connect() \"%s\" failed: only root and the user that weir was started as may ask",
               f->path);
    } else if (f->err == ETIMEDOUT) {
        wr_say(WR_LOG_ERROR, 0,
               "weir does not answer on \"%s\": its supervisor is stopped or stuck", f->path);
    } else {
        wr_say(WR_LOG_ERROR, f->err, "no weir answers: connect() \"%s\" failed", f->path);
    }
}

/* False: there is no such name. */
static bool look_beside(struct search *f, struct wr_str pid_file)
{
    if (wr_ctl_path(pid_file, f->path) != WR_OK) {
        f->fd = -1;
        f->err = ENAMETOOLONG;
        return false;
    }
    look_at(f, f->path);
    return true;
}

static bool is_nobody(const struct search *f)
{
    return f->fd == -1 && (f->err == ENOENT || f->err == ECONNREFUSED || f->err == ENOTDIR);
}

/* Sets f->fd; when it is -1 all was said. */
static void find_socket(struct search *f, const struct wr_cmdline *c, const struct wr_start *s)
{
    struct wr_str pid;

    f->fd = -1;
    if (c->socket != NULL) {
        (void)snprintf(f->path, sizeof(f->path), "%s", c->socket);
        look_at(f, c->socket);
    } else if (c->conf != NULL || c->directives != NULL) {
        if (wr_load_pid(s, WR_PID_SAY, &f->a, &pid) != WR_OK) {
            return;
        }
        (void)look_beside(f, pid);
    } else {
        (void)look_beside(f, WR_STR(WR_PID_PATH));
        if (is_nobody(f) && wr_load_pid(s, WR_PID_QUIET, &f->a, &pid) == WR_OK &&
            !wr_str_eq_z(pid, WR_PID_PATH)) {
            complain(f);
            (void)look_beside(f, pid);
        }
    }
    if (f->fd == -1) {
        complain(f);
        if (is_nobody(f) && c->socket == NULL) {
            wr_say(WR_LOG_ERROR, 0,
                   "-c FILE names the configuration of another one, --socket PATH its socket");
        }
    }
}

/* Value: exit code. */
static int put(FILE *to, struct wr_str s)
{
    if (fwrite(s.ptr, 1, s.len, to) == s.len && fflush(to) == 0) {
        return 0;
    }
    wr_say(WR_LOG_ERROR, errno, "the answer could not be written");
    return 1;
}

/* Asks, and hands a good answer to `print`. */
static int run(const struct wr_cmdline *c, const struct wr_start *s, struct wr_str question,
               int (*print)(const struct wr_cmdline *c, struct wr_str text))
{
    struct search f = {.fd = -1};
    struct answer a = {.is_ok = false};
    enum wr_status st;
    int code = 1;

    wr_arena_init(&f.a, WR_PID_ARENA_MAX);
    wr_strbuf_init(&a.b, ANSWER_MAX);
    find_socket(&f, c, s);
    if (f.fd != -1) {
        st = ask(f.fd, question, &a);
        if (st != WR_OK) {
            complain_answer(st, f.path);
        } else if (a.is_ok) {
            code = print(c, a.text);
        } else {
            (void)put(stderr, a.text); /* what else could be said where? */
        }
        (void)close(f.fd);
    }
    wr_strbuf_fini(&a.b);
    wr_arena_fini(&f.a);
    return code;
}

/* --- commands --- */

static int print_status(const struct wr_cmdline *c, struct wr_str json)
{
    struct wr_strbuf b;
    enum wr_status st;
    int code = 1;

    if (c->is_json) {
        return put(stdout, json);
    }
    wr_strbuf_init(&b, ANSWER_MAX);
    st = wr_status_table_write(json, &b);
    if (st == WR_OK) {
        code = put(stdout, wr_strbuf_str(&b));
    } else {
        wr_say(WR_LOG_ERROR, 0, "the answer cannot be shown: %s", wr_status_name(st));
    }
    wr_strbuf_fini(&b);
    return code;
}

int wr_ctl_status(const struct wr_cmdline *c, const struct wr_start *s)
{
    return run(c, s, WR_STR("status\n"), print_status);
}

static int print_text(const struct wr_cmdline *c, struct wr_str text)
{
    (void)c;
    return put(stdout, text);
}

int wr_ctl_trace(const struct wr_cmdline *c, const struct wr_start *s)
{
    bool is_starred = strcmp(c->trace_word, "connection") == 0 && c->trace_value[0] == '*';
    char line[WR_QUESTION_MAX];
    struct wr_question q;
    int n = snprintf(line, sizeof(line), "trace %s %s\n", c->trace_word,
                     c->trace_value + (is_starred ? 1 : 0));

    if (n < 0 || (size_t)n >= sizeof(line) ||
        wr_question_parse(wr_str(line, (size_t)n - 1), &q) != WR_OK) {
        wr_say(WR_LOG_ERROR, 0, "\"%s\" is no %s", c->trace_value,
               strcmp(c->trace_word, "client") == 0 ? "address" : "number");
        return 1;
    }
    return run(c, s, wr_str(line, (size_t)n), print_text);
}

/* A weir without a control socket: nobody knows how it goes, which is said. */
static int signal_it(pid_t pid)
{
    if (kill(pid, SIGHUP) == -1) {
        wr_say(WR_LOG_ALERT, errno, "kill(%d, %d) failed", (int)pid, SIGHUP);
        return 1;
    }
    wr_say_least(WR_LOG_WARN);
    wr_say(WR_LOG_WARN, 0,
           "process %d was told to reload, but has no control socket to answer on: its error log "
           "says what came of it",
           (int)pid);
    return 0;
}

/* Value: exit code. */
static int end_reload(enum wr_status st, const struct answer *a, const struct search *f,
                      struct wr_str pid_file, pid_t pid)
{
    struct wr_pidfile_fault fault = {NULL, 0};

    if (st == WR_OK && a->is_ok) {
        return 0;
    }
    if (st == WR_OK) {
        (void)put(stderr, a->text);
        wr_say(WR_LOG_ERROR, 0, "the reload failed: everything stays as it was");
        return 1;
    }
    /* Somebody else listens there, while the one that holds the pid file lives. */
    if ((st == WR_EPROTO || (st == WR_EPEERGONE && a->b.len == 0)) &&
        wr_pidfile_find(pid_file.ptr, &pid, &fault) == WR_OK) {
        return signal_it(pid);
    }
    complain_answer(st, f->path);
    return 1;
}

static int reload_beside(struct wr_str pid_file, pid_t pid)
{
    struct wr_str question =
        isatty(STDERR_FILENO) == 1 ? WR_STR("reload terminal\n") : WR_STR("reload\n");
    uint64_t until = now_ms() + BIRTH_MS;
    struct search f = {.fd = -1};
    struct answer a = {.is_ok = false};
    int code;

    do { /* one that has just started, or changes its names in an upgrade, is about to have one */
        (void)look_beside(&f, pid_file);
    } while (is_nobody(&f) && now_ms() < until && poll(NULL, 0, LOOK_MS) == 0);
    if (f.fd == -1 && f.err == ETIMEDOUT) {
        complain(&f);
        return 1;
    }
    if (f.fd == -1) {
        return signal_it(pid);
    }
    wr_strbuf_init(&a.b, ANSWER_MAX);
    code = end_reload(ask(f.fd, question, &a), &a, &f, pid_file, pid);
    wr_strbuf_fini(&a.b);
    (void)close(f.fd);
    return code;
}

int wr_ctl_reload(const struct wr_start *s)
{
    struct wr_pidfile_fault fault = {NULL, 0};
    struct wr_str path;
    struct wr_arena a;
    enum wr_status st;
    int code = 1;
    pid_t pid;

    wr_say_least(WR_LOG_ERROR);
    wr_arena_init(&a, WR_PID_ARENA_MAX);
    if (wr_load_pid(s, WR_PID_SAY, &a, &path) == WR_OK) {
        st = wr_pidfile_find(path.ptr, &pid, &fault);
        if (st == WR_OK) {
            code = reload_beside(path, pid);
        } else {
            wr_pidfile_say(path, st, &fault);
        }
    }
    wr_arena_fini(&a);
    return code;
}
