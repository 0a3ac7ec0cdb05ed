/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl.c: see ctl.h. Connections: their questions, gathering what workers answer, sending. The
 * socket's file is ctl_file.c's.
 *
 *   READ -> ASK (parts: one a worker) -> SEND -> closed
 *       \-> RELOAD -> SEND                          each with a deadline
 *
 * Whoever has an answer stores it and wakes the connection's task, the only one that ends it.
 */
#include "main/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "main/ctl_int.h"
#include "main/question.h"
#include "main/say.h"
#include "main/supervisor_int.h"
#include "observe/json_out.h"

#define READ_MS   5000u
#define ASK_MS    4000u
#define RELOAD_MS 600000u
#define SEND_MS   10000u
#define PARTS_MAX 64u
#define OPEN_MAX  4u /* questions that one worker has not answered */
#define SAID_MAX  ((size_t)1 << 20)
#define WHY_MAX   64u
#define NO_LOAD   UINT32_MAX

enum conn_state {
    CONN_READ,
    CONN_ASK,
    CONN_RELOAD,
    CONN_SEND
};

/* What one worker says. */
struct part {
    const struct wr_child *child; /* NULL: there is nothing to wait for */
    pid_t pid;
    enum wr_child_role role;
    uint64_t age_ms;
    int fd; /* its text; -1: none */
    uint32_t cnt;
    char why[WHY_MAX];         /* fd -1: why there is none */
    uint64_t asked_ms, cpu_us; /* when it was asked, and what its process had used then */
    uint32_t load;             /* of one that did not answer, since then, permille; NO_LOAD */
};

struct wr_ctl_conn {
    struct wr_list node; /* of ctl->conns */
    struct wr_grave grave;
    struct wr_ctl *ctl;
    struct wr_io io;
    struct wr_task task;
    struct wr_timer timer;
    enum conn_state state;
    char line[WR_QUESTION_MAX];
    size_t line_len;
    struct wr_question q;
    uint64_t ask_no;
    bool is_running; /* RELOAD: the one that runs now is ours */
    struct part *parts;
    unsigned part_cnt, waiting;
    struct wr_strbuf out;
    size_t sent;
};

/* --- life of a connection --- */

static void free_conn(struct wr_grave *g)
{
    wr_mem_free(wr_container_of(g, struct wr_ctl_conn, grave));
}

static void close_conn(struct wr_ctl_conn *k)
{
    struct wr_ctl *c = k->ctl;

    for (unsigned i = 0; i < k->part_cnt; i++) {
        if (k->parts[i].fd != -1) {
            (void)close(k->parts[i].fd);
        }
    }
    wr_mem_free(wr_take(&k->parts));
    k->part_cnt = 0;
    wr_strbuf_fini(&k->out);
    wr_io_close(&k->io, WR_IO_CLOSE_FIN);
    wr_timer_fini(&k->timer);
    wr_task_cancel(&k->task);
    wr_list_remove(&k->node);
    wr_grave_bury(&k->grave, free_conn);
    c->conn_cnt--;
    if (c->is_open && c->listener.is_paused) {
        wr_listener_resume(&c->listener);
        wr_task_wake(&c->task);
    }
}

static void set_state(struct wr_ctl_conn *k, enum conn_state state, uint64_t limit_ms)
{
    k->state = state;
    wr_timer_arm(&k->timer, wr_now_ms() + limit_ms);
}

/* k->out is whole. */
static void answer(struct wr_ctl_conn *k)
{
    if (k->out.status != WR_OK) {
        wr_strbuf_fini(&k->out);
        wr_strbuf_init(&k->out, WR_CTL_ANSWER_MAX);
        wr_strbuf_add_z(&k->out, "failed\nthe answer is larger than 64 MB\n");
    }
    set_state(k, CONN_SEND, SEND_MS);
    wr_task_wake(&k->task);
}

static void refuse(struct wr_ctl_conn *k, const char *why)
{
    wr_strbuf_add_z(&k->out, "failed\n" WR_LOG_PROGRAM ": [error] ");
    wr_strbuf_add_z(&k->out, why);
    wr_strbuf_add_char(&k->out, '\n');
    answer(k);
}

/* False: it was closed. */
static bool send_out(struct wr_ctl_conn *k)
{
    while (k->sent < k->out.len) {
        struct wr_str rest = wr_str_sub(wr_strbuf_str(&k->out), k->sent, k->out.len);
        struct iovec iov = {.iov_base = k->out.ptr + k->sent, .iov_len = rest.len};
        enum wr_status st;
        size_t n = 0;

        k->io.facts &= (uint16_t)~WR_IO_WRITABLE;
        st = wr_io_send(&k->io, &iov, 1, &n);
        if (st == WR_AGAIN) {
            return true;
        }
        if (st != WR_OK) {
            close_conn(k);
            return false;
        }
        k->sent += n;
        wr_timer_arm(&k->timer, wr_now_ms() + SEND_MS);
    }
    return true;
}

/* --- workers are asked --- */

/* Processor time of another process; 0: unknown. */
static uint64_t cpu_us_of(pid_t pid)
{
    struct timespec t;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) == -1) {
        return 0;
    }
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Does a worker that is silent hang, or spin? */
static void note_load(struct part *p)
{
    uint64_t now_us = cpu_us_of(p->pid), span_ms = wr_now_ms() - p->asked_ms;

    if (p->cpu_us != 0 && now_us >= p->cpu_us && span_ms > 0) {
        p->load = (uint32_t)WR_MIN((now_us - p->cpu_us) / span_ms, (uint64_t)UINT32_MAX - 1);
    }
}

static void fail_part(struct wr_ctl_conn *k, struct part *p, const char *why)
{
    if (p->child != NULL) {
        p->child = NULL;
        k->waiting--;
    }
    (void)snprintf(p->why, sizeof(p->why), "%s", why);
}

static void compose(struct wr_ctl_conn *k);

static void look_at_parts(struct wr_ctl_conn *k)
{
    if (k->waiting == 0) {
        compose(k);
        answer(k);
    }
}

static void ask_child(struct wr_ctl_conn *k, struct wr_child *child, struct wr_str line)
{
    struct part *p = &k->parts[k->part_cnt++];

    *p = (struct part){.child = child,
                       .pid = child->pid > 0 ? child->pid : getpid(),
                       .role = child->role,
                       .age_ms = wr_now_ms() - child->started_ms,
                       .fd = -1,
                       .asked_ms = wr_now_ms(),
                       .load = NO_LOAD};
    p->cpu_us = cpu_us_of(p->pid);
    k->waiting++;
    if (child->chan == -1) {
        fail_part(k, p, "it is ending");
    } else if (child->open_asks >= OPEN_MAX ||
               wr_chan_try(child->chan, WR_CHAN_ASK, k->ask_no, line, -1) != WR_OK) {
        fail_part(k, p, "it does not answer");
    } else {
        child->open_asks++;
    }
}

static void ask_all(struct wr_ctl_conn *k, struct wr_str line)
{
    struct wr_supervisor *s = k->ctl->s;
    struct wr_list *n;

    k->parts = wr_run_zalloc(PARTS_MAX * sizeof(*k->parts));
    if (k->parts == NULL) {
        refuse(k, "no memory");
        return;
    }
    k->ask_no = ++k->ctl->ask_no;
    set_state(k, CONN_ASK, ASK_MS);
    WR_LIST_FOREACH (n, &s->children) {
        if (k->part_cnt < PARTS_MAX) {
            ask_child(k, wr_container_of(n, struct wr_child, node), line);
        }
    }
    look_at_parts(k);
}

/* The question of this number, if somebody still waits. */
static struct wr_ctl_conn *find_conn(struct wr_ctl *c, uint64_t ask_no)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &c->conns) {
        struct wr_ctl_conn *k = wr_container_of(n, struct wr_ctl_conn, node);

        if (k->state == CONN_ASK && k->ask_no == ask_no) {
            return k;
        }
    }
    return NULL;
}

static struct part *find_part(struct wr_ctl_conn *k, const struct wr_child *child)
{
    for (unsigned i = 0; i < k->part_cnt; i++) {
        if (k->parts[i].child == child) {
            return &k->parts[i];
        }
    }
    return NULL;
}

void wr_ctl_note_answer(struct wr_ctl *c, struct wr_child *child, const struct wr_chan_msg *msg)
{
    struct wr_ctl_conn *k = find_conn(c, msg->no);
    struct part *p = k == NULL ? NULL : find_part(k, child);
    char why[WHY_MAX];
    uint64_t cnt = 0;

    if (child->open_asks > 0) {
        child->open_asks--;
    }
    if (p == NULL) {
        if (msg->fd != -1) {
            (void)close(msg->fd); /* nobody waits any more */
        }
        return;
    }
    if (msg->fd == -1) {
        (void)snprintf(why, sizeof(why), "%.*s", (int)WR_MIN(msg->text.len, sizeof(why) - 1),
                       msg->text.ptr);
        fail_part(k, p, why);
    } else {
        p->child = NULL;
        k->waiting--;
        p->fd = msg->fd;
        if (wr_num_parse_u64(msg->text, UINT32_MAX, &cnt) == WR_OK) {
            p->cnt = (uint32_t)cnt;
        }
    }
    look_at_parts(k);
}

void wr_ctl_forget(struct wr_ctl *c, const struct wr_child *child)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &c->conns) {
        struct wr_ctl_conn *k = wr_container_of(n, struct wr_ctl_conn, node);
        struct part *p = k->state == CONN_ASK ? find_part(k, child) : NULL;

        if (p != NULL) {
            fail_part(k, p, "it has ended");
            look_at_parts(k);
        }
    }
}

/* --- what is answered --- */

/* Text of a part, appended. */
static void add_text(struct wr_strbuf *b, const struct part *p)
{
    struct stat st;
    size_t off = 0, size;
    char *room;

    if (fstat(p->fd, &st) == -1 || st.st_size < 0) {
        b->status = WR_ESYS;
        return;
    }
    size = (size_t)st.st_size;
    room = size > WR_CTL_ANSWER_MAX ? NULL : wr_strbuf_reserve(b, size + 1);
    if (room == NULL) {
        b->status = WR_ELIMIT;
        return;
    }
    while (off < size) {
        ssize_t n = pread(p->fd, room + off, size - off, (off_t)off);

        if (n <= 0) {
            b->status = WR_ESYS; /* a memfd has no reason to */
            return;
        }
        off += (size_t)n;
    }
    wr_strbuf_commit(b, size);
}

static const char *state_of(const struct wr_supervisor *s)
{
    if (s->is_ending) {
        return "ends";
    }
    if (s->is_winched) {
        return "workers ended";
    }
    if (s->coming.gen != NULL || s->leaver != NULL) {
        return "reloads";
    }
    return s->child != NULL ? "serves" : "no worker";
}

static void write_part(struct wr_json *j, const struct part *p)
{
    static const char *const roles[] = {
        [WR_CHILD_SERVES] = "serves", [WR_CHILD_COMES] = "comes", [WR_CHILD_LEAVES] = "leaves"};

    wr_json_object(j, NULL);
    wr_json_num(j, "pid", (uint64_t)p->pid);
    wr_json_str(j, "role", wr_str_z(roles[p->role]));
    wr_json_num(j, "uptime_ms", p->age_ms);
    if (p->fd == -1) {
        wr_json_str(j, "silent", wr_str_z(p->why));
        if (p->load != NO_LOAD) {
            wr_json_milli(j, "load", p->load);
        }
    } else {
        wr_json_raw(j, "report", WR_STR(""));
        add_text(j->b, p);
    }
    wr_json_end(j);
}

static void write_self(struct wr_json *j, struct wr_ctl *c)
{
    struct wr_supervisor *s = c->s;
    struct wr_file_entry *e = NULL;

    wr_json_str(j, "version", WR_STR(WR_VERSION));
    wr_json_num(j, "pid", (uint64_t)getpid());
    wr_json_num(j, "uptime_ms", wr_now_ms() - c->started_ms);
    wr_json_str(j, "state", wr_str_z(state_of(s)));
    wr_json_str(j, "file", s->start->conf);
    wr_json_num(j, "configuration", s->now.gen->no);
    if (c->reload_ms != 0) {
        wr_json_object(j, "last_reload");
        wr_json_bool(j, "ok", c->was_reload_ok);
        wr_json_num(j, "ago_ms", wr_now_ms() - c->reload_ms);
        wr_json_end(j);
    }
    wr_json_str(j, "pid_file", wr_str_z(s->pidfile.path));
    wr_json_array(j, "listen");
    while ((e = wr_files_next(&s->res.listeners, e)) != NULL) {
        if (e->no == 0) {
            wr_json_str(j, NULL, e->name);
        }
    }
    wr_json_end(j);
    if (s->upgrade.child > 0) {
        wr_json_num(j, "new_binary_pid", (uint64_t)s->upgrade.child);
    }
    if (s->upgrade.parent > 0 && getppid() == s->upgrade.parent) {
        wr_json_num(j, "old_binary_pid", (uint64_t)s->upgrade.parent);
    }
}

static void compose_status(struct wr_ctl_conn *k)
{
    struct wr_json j;

    wr_strbuf_add_z(&k->out, "ok\n");
    wr_json_init(&j, &k->out);
    wr_json_object(&j, NULL);
    write_self(&j, k->ctl);
    wr_json_array(&j, "workers");
    for (unsigned i = 0; i < k->part_cnt; i++) {
        write_part(&j, &k->parts[i]);
    }
    wr_json_end(&j);
    wr_json_end(&j);
    wr_strbuf_add_char(&k->out, '\n');
}

static void compose_trace(struct wr_ctl_conn *k)
{
    uint64_t cnt = 0;

    for (unsigned i = 0; i < k->part_cnt; i++) {
        cnt += k->parts[i].cnt;
    }
    wr_strbuf_add_z(&k->out, cnt > 0 ? "ok\n" : "failed\n");
    for (unsigned i = 0; i < k->part_cnt; i++) {
        const struct part *p = &k->parts[i];

        if (p->fd == -1) {
            wr_strbuf_printf(&k->out, "worker process %d: its requests are not shown: %s\n",
                             (int)p->pid, p->why);
            continue;
        }
        if (k->part_cnt > 1 && p->cnt > 0) {
            wr_strbuf_printf(&k->out, "worker process %d\n\n", (int)p->pid);
        }
        add_text(&k->out, p);
    }
    if (cnt == 0) {
        wr_strbuf_add_z(&k->out, "no live request matches\n");
    }
}

static void compose(struct wr_ctl_conn *k)
{
    if (k->q.kind == WR_ASK_STATUS) {
        compose_status(k);
    } else {
        compose_trace(k);
    }
}

/* --- reloads --- */

void wr_ctl_reload_begins(struct wr_ctl *c)
{
    enum wr_diag_style style = WR_DIAG_TERMINAL;
    bool is_awaited = false;
    struct wr_list *n;

    WR_LIST_FOREACH (n, &c->conns) {
        struct wr_ctl_conn *k = wr_container_of(n, struct wr_ctl_conn, node);

        if (k->state == CONN_RELOAD) {
            k->is_running = is_awaited = true;
            style = k->q.is_terminal ? style : WR_DIAG_PLAIN;
        }
    }
    if (is_awaited) {
        wr_strbuf_reset(&c->said);
        c->is_hearing = true;
        wr_say_tee(&c->said, style);
    }
}

void wr_ctl_reload_ends(struct wr_ctl *c, bool is_ok)
{
    struct wr_list *n;

    if (c->is_hearing) {
        wr_say_tee(NULL, WR_DIAG_PLAIN);
        c->is_hearing = false;
    }
    c->reload_ms = wr_now_ms();
    c->was_reload_ok = is_ok;
    WR_LIST_FOREACH (n, &c->conns) {
        struct wr_ctl_conn *k = wr_container_of(n, struct wr_ctl_conn, node);

        if (k->state != CONN_RELOAD || !k->is_running) {
            continue;
        }
        wr_strbuf_add_z(&k->out, is_ok ? "ok\n" : "failed\n");
        wr_strbuf_add_str(&k->out, wr_strbuf_str(&c->said));
        if (!is_ok && c->said.len == 0) {
            wr_strbuf_add_z(&k->out, WR_LOG_PROGRAM
                            ": [error] the worker did not take it: the error log says more\n");
        }
        answer(k);
    }
}

void wr_ctl_refuse_reloads(struct wr_ctl *c, const char *why)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &c->conns) {
        struct wr_ctl_conn *k = wr_container_of(n, struct wr_ctl_conn, node);

        if (k->state == CONN_RELOAD) {
            refuse(k, why);
        }
    }
}

void wr_ctl_refuse_queued(struct wr_ctl *c, const char *why)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &c->conns) {
        struct wr_ctl_conn *k = wr_container_of(n, struct wr_ctl_conn, node);

        if (k->state == CONN_RELOAD && !k->is_running) {
            refuse(k, why);
        }
    }
}

static void begin_reload(struct wr_ctl_conn *k)
{
    struct wr_supervisor *s = k->ctl->s;

    if (s->is_ending) {
        refuse(k, "weir is ending");
        return;
    }
    if (s->is_winched) {
        wr_supervisor_reload(s);
        refuse(k, "its workers had been ended (WINCH): one comes back with the configuration that "
                  "it had; the next reload reads the new one");
        return;
    }
    wr_strbuf_add_z(&k->out, "wait\n");
    if (send_out(k)) { /* before files are read and names are looked up */
        set_state(k, CONN_RELOAD, RELOAD_MS);
        wr_log(NULL, WR_LOG_NOTICE, "a reload was asked for on the control socket");
        wr_supervisor_reload(s);
    }
}

/* --- reading --- */

static void take_question(struct wr_ctl_conn *k, struct wr_str line)
{
    if (wr_question_parse(line, &k->q) != WR_OK) {
        refuse(k, "this is no question that weir " WR_VERSION " understands");
    } else if (k->q.kind == WR_ASK_RELOAD) {
        begin_reload(k);
    } else {
        ask_all(k, line);
    }
}

/* The poller receives again once all that came was consumed. */
static void read_line(struct wr_ctl_conn *k)
{
    size_t len = 0;
    const char *p = wr_io_peek(&k->io, &len);
    size_t n = WR_MIN(len, sizeof(k->line) - k->line_len), end;

    if (p != NULL) {
        memcpy(k->line + k->line_len, p, n);
        k->line_len += n;
        wr_io_consume(&k->io, len);
    }
    end = wr_str_find(wr_str(k->line, k->line_len), '\n');
    if (end < k->line_len) {
        take_question(k, wr_str(k->line, end));
    } else if (k->line_len == sizeof(k->line)) {
        refuse(k, "the question is too long");
    } else if ((k->io.facts & (WR_IO_EOF | WR_IO_ERR)) != 0) {
        close_conn(k);
    }
}

static void run_deadline(struct wr_ctl_conn *k)
{
    switch (k->state) {
    case CONN_READ:
    case CONN_SEND:
        close_conn(k);
        return;
    case CONN_ASK:
        for (unsigned i = 0; i < k->part_cnt; i++) {
            if (k->parts[i].child != NULL) {
                note_load(&k->parts[i]);
                fail_part(k, &k->parts[i], "it does not answer");
            }
        }
        look_at_parts(k);
        return;
    case CONN_RELOAD:
        refuse(k, "the reload has not ended yet");
        return;
    }
}

static void run_conn(struct wr_task *t)
{
    struct wr_ctl_conn *k = wr_container_of(t, struct wr_ctl_conn, task);

    if (!wr_timer_is_armed(&k->timer)) {
        run_deadline(k); /* it has fired: it is armed in every state */
        return;
    }
    switch (k->state) {
    case CONN_READ:
        read_line(k);
        break;
    case CONN_ASK:
    case CONN_RELOAD:
        if ((k->io.facts & (WR_IO_ERR | WR_IO_HUP)) != 0) {
            close_conn(k); /* the client has left */
        }
        break;
    case CONN_SEND:
        if (send_out(k) && k->sent == k->out.len) {
            close_conn(k);
        }
        break;
    }
}

/* --- accepting --- */

static bool is_allowed(int fd)
{
    struct ucred who;
    socklen_t len = sizeof(who);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
           (who.uid == 0 || who.uid == geteuid());
}

static void open_conn(struct wr_ctl *c, int fd)
{
    struct wr_ctl_conn *k = wr_run_zalloc(sizeof(*k));

    if (k == NULL) {
        (void)close(fd);
        return;
    }
    k->ctl = c;
    wr_strbuf_init(&k->out, WR_CTL_ANSWER_MAX);
    wr_task_init(&k->task, run_conn, "control connection");
    wr_timer_init(&k->timer, &k->task);
    wr_io_init(&k->io, WR_IO_STREAM, &k->task);
    wr_list_push(&c->conns, &k->node);
    c->conn_cnt++;
    if (wr_io_adopt(&k->io, fd) != WR_OK) {
        close_conn(k);
        return;
    }
    set_state(k, CONN_READ, READ_MS);
    if (!is_allowed(fd)) {
        refuse(k, "only root and the user that weir was started as may ask");
    }
}

static void run_listen(struct wr_task *t)
{
    struct wr_ctl *c = wr_container_of(t, struct wr_ctl, task);

    while (c->is_open) {
        struct wr_addr peer;
        int fd = -1, err = 0;

        if (c->conn_cnt >= WR_CTL_CONNS_MAX) {
            wr_listener_pause(&c->listener); /* each that closes resumes */
            return;
        }
        if (wr_listener_pull(&c->listener, &fd, &peer, &err) != WR_OK) {
            return;
        }
        open_conn(c, fd);
    }
}

void wr_ctl_init(struct wr_ctl *c, struct wr_supervisor *s)
{
    *c = (struct wr_ctl){.s = s};
    wr_list_init(&c->conns);
    wr_strbuf_init(&c->said, SAID_MAX);
    wr_task_init(&c->task, run_listen, "control socket");
}

void wr_ctl_open(struct wr_ctl *c)
{
    c->started_ms = wr_now_ms();
    wr_ctl_open_file(c);
}

void wr_ctl_close(struct wr_ctl *c)
{
    struct wr_list *n, *next;

    WR_LIST_FOREACH_SAFE (n, next, &c->conns) {
        struct wr_ctl_conn *k = wr_container_of(n, struct wr_ctl_conn, node);

        (void)send_out(k); /* what the kernel takes at once; it closes k when that fails */
    }
    wr_ctl_close_file(c);
    WR_LIST_FOREACH_SAFE (n, next, &c->conns) {
        close_conn(wr_container_of(n, struct wr_ctl_conn, node));
    }
    if (c->is_hearing) {
        wr_say_tee(NULL, WR_DIAG_PLAIN);
        c->is_hearing = false;
    }
    wr_strbuf_fini(&c->said);
}
