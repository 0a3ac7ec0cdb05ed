/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_ask.c: answers questions about this worker. Each thread gets a mail, looks at its own
 * facts and sends the mail back; when all are back, or after the deadline, the answer is written to
 * a memfd and goes to the supervisor. A thread that is stuck is told of as such, and is not waited
 * for: its mail comes back whenever it can, finds no question of its number and is freed.
 *
 *   ASK -> struct ask {mails that came back} <- mails -- threads
 *                 \-> ANSWER no, text: how many requests match (trace), or why there is no answer
 *
 * Control thread, but look_on_thread.
 */
#include "main/worker_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "main/memfd.h"
#include "main/question.h"
#include "main/trace.h"
#include "observe/status.h"

#define DEADLINE_MS     1500u
#define ASKS_MAX        16u /* at once; the supervisor asks fewer */
#define TEXT_MAX        ((size_t)60 << 20)
#define THREAD_TEXT_MAX ((size_t)2 << 20)

struct ask_mail {
    struct wr_mail mail;      /* first */
    struct wr_worker *worker; /* outlives its threads and all mail */
    unsigned thread_no;
    uint64_t no;
    struct wr_question q;
    struct wr_status_thread facts; /* STATUS */
    struct wr_strbuf text;         /* TRACE */
    uint32_t cnt;
};

struct ask {
    struct wr_list node; /* of worker->asks */
    struct wr_worker *worker;
    uint64_t no, began_ms;
    struct wr_question q;
    struct wr_timer timer;
    struct wr_task task;
    unsigned left; /* mails that are not back */
    unsigned thread_cnt;
    struct ask_mail **got; /* by thread; NULL: not back */
    uint64_t *cpu_us;      /* of each thread at the begin */
};

/* --- the threads' part --- */

static void free_mail(struct ask_mail *a)
{
    wr_status_thread_fini(&a->facts);
    wr_strbuf_fini(&a->text);
    wr_mem_free(a);
}

static void run_back(struct wr_mail *m);

/* On the thread, at the mail point. */
static void look_on_thread(struct wr_mail *m)
{
    struct ask_mail *a = wr_container_of(m, struct ask_mail, mail);

    if (a->q.kind == WR_ASK_STATUS) {
        wr_status_look(&a->facts);
    } else {
        a->cnt = wr_trace_write(&a->q, &a->text);
    }
    a->mail.run = run_back;
    wr_mailbox_post(a->worker->mailbox, &a->mail);
}

/* --- the answer --- */

static void free_ask(struct ask *a)
{
    wr_list_remove(&a->node);
    wr_timer_fini(&a->timer);
    wr_task_cancel(&a->task);
    for (unsigned i = 0; i < a->thread_cnt; i++) {
        if (a->got[i] != NULL) {
            free_mail(a->got[i]);
        }
    }
    wr_mem_free(a->got);
    wr_mem_free(a->cpu_us);
    wr_mem_free(a);
}

static uint64_t resident_bytes(void)
{
    char text[128];
    struct wr_str s, field;
    uint64_t pages;
    ssize_t n;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd == -1) {
        return 0;
    }
    n = read(fd, text, sizeof(text));
    (void)close(fd);
    s = wr_str(text, n > 0 ? (size_t)n : 0);
    if (!wr_str_split(&s, ' ', &field) || !wr_str_split(&s, ' ', &field) ||
        wr_num_parse_u64(field, UINT32_MAX, &pages) != WR_OK) {
        return 0;
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Of a thread that did not answer: does it run, or hang? */
static void describe_silent(const struct ask *a, unsigned i, struct wr_status_thread *ret)
{
    const struct wr_worker_thread *t = &a->worker->threads[i];
    uint64_t span_ms = wr_now_ms() - a->began_ms;

    *ret = (struct wr_status_thread){.state = WR_STATUS_ENDED};
    if (t->is_up && !t->is_down) {
        ret->state = WR_STATUS_SILENT;
        ret->load = span_ms == 0
                        ? 0
                        : (uint32_t)WR_MIN((wr_thread_cpu_us(&t->thread) - a->cpu_us[i]) / span_ms,
                                           (uint64_t)1000);
    }
}

static size_t list_gens(const struct wr_worker *w, struct wr_status_gen *out)
{
    size_t cnt = 0;

    for (size_t i = 0; i < WR_ARRAY_LEN(w->gens); i++) {
        const struct wr_gen_mark *m = &w->gens[i];
        size_t at = cnt;

        if (m->no == 0) {
            continue;
        }
        for (; at > 0 && out[at - 1].no > m->no; at--) {
            out[at] = out[at - 1];
        }
        out[at] = (struct wr_status_gen){m->no, wr_now_ms() - m->since_ms};
        cnt++;
    }
    return cnt;
}

static enum wr_status write_status(const struct ask *a, struct wr_strbuf *b)
{
    const struct wr_worker *w = a->worker;
    struct wr_status_gen gens[WR_ARRAY_LEN(w->gens)];
    const struct wr_status_thread **ptrs = wr_run_zalloc((a->thread_cnt + 1) * sizeof(*ptrs));
    struct wr_status_thread *silent = wr_run_zalloc((a->thread_cnt + 1) * sizeof(*silent));
    struct wr_status_worker s = {.threads = ptrs,
                                 .thread_cnt = a->thread_cnt,
                                 .gens = gens,
                                 .gen = w->gen,
                                 .now_ms = wr_now_ms(),
                                 .resident = resident_bytes(),
                                 .fixtures = w->fixtures.cnt};
    enum wr_status st = WR_ENOMEM;

    if (ptrs != NULL && silent != NULL) {
        for (unsigned i = 0; i < a->thread_cnt; i++) {
            ptrs[i] = &silent[i];
            if (a->got[i] != NULL) {
                ptrs[i] = &a->got[i]->facts;
            } else {
                describe_silent(a, i, &silent[i]);
            }
        }
        s.gen_cnt = list_gens(w, gens);
        wr_status_write_worker(&s, b);
        st = b->status;
    }
    wr_mem_free(silent);
    wr_mem_free(ptrs);
    return st;
}

static enum wr_status write_trace(const struct ask *a, struct wr_strbuf *b, uint32_t *ret_cnt)
{
    for (unsigned i = 0; i < a->thread_cnt; i++) {
        const struct wr_worker_thread *t = &a->worker->threads[i];

        if (a->got[i] != NULL) {
            *ret_cnt += a->got[i]->cnt;
            wr_strbuf_add_str(b, wr_strbuf_str(&a->got[i]->text));
            if (a->got[i]->text.status != WR_OK) {
                wr_strbuf_printf(b, "\n(thread %u: cut here, %s)\n\n", i,
                                 wr_status_name(a->got[i]->text.status));
            }
        } else if (t->is_up && !t->is_down) {
            wr_strbuf_printf(b, "thread %u does not answer: its requests are not shown\n\n", i);
        }
    }
    return b->status;
}

/* b's text in a sealed memfd. */
static enum wr_status make_file(const struct wr_strbuf *b, int *ret_fd)
{
    int fd = memfd_create("weir-answer", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd == -1) {
        return WR_ESYS;
    }
    if (wr_memfd_write(fd, wr_strbuf_str(b)) != WR_OK ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1) {
        (void)close(fd);
        return WR_ESYS;
    }
    *ret_fd = fd;
    return WR_OK;
}

static void tell(struct wr_worker *w, uint64_t no, struct wr_str text, int fd)
{
    if (w->chan != -1 && wr_chan_send(w->chan, WR_CHAN_ANSWER, no, text, fd) != WR_OK) {
        wr_log(NULL, WR_LOG_ALERT, "an answer did not reach the supervisor");
    }
}

/* All that came back; frees a. */
static void finish(struct ask *a)
{
    uint32_t cnt = 0;
    struct wr_strbuf b;
    enum wr_status st;
    char text[32];
    int fd = -1, n;

    wr_strbuf_init(&b, TEXT_MAX);
    st = a->q.kind == WR_ASK_STATUS ? write_status(a, &b) : write_trace(a, &b, &cnt);
    if (st == WR_OK) {
        st = make_file(&b, &fd);
    }
    if (st == WR_OK) {
        n = snprintf(text, sizeof(text), "%u", cnt);
        tell(a->worker, a->no, wr_str(text, (size_t)n), fd);
        (void)close(fd);
    } else {
        tell(a->worker, a->no, wr_str_z(wr_status_name(st)), -1);
    }
    wr_strbuf_fini(&b);
    free_ask(a);
}

static struct ask *find_ask(struct wr_worker *w, uint64_t no)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &w->asks) {
        struct ask *a = wr_container_of(n, struct ask, node);

        if (a->no == no) {
            return a;
        }
    }
    return NULL;
}

/* A mail is back. */
static void run_back(struct wr_mail *m)
{
    struct ask_mail *mail = wr_container_of(m, struct ask_mail, mail);
    struct ask *a = find_ask(mail->worker, mail->no);

    if (a == NULL) {
        free_mail(mail); /* too late */
        return;
    }
    a->got[mail->thread_no] = mail;
    if (--a->left == 0) {
        finish(a);
    }
}

static void run_deadline(struct wr_task *t)
{
    finish(wr_container_of(t, struct ask, task));
}

/* --- the question --- */

static void post_mails(struct ask *a)
{
    for (unsigned i = 0; i < a->thread_cnt; i++) {
        struct wr_worker_thread *t = &a->worker->threads[i];
        struct ask_mail *m;

        /* A mailbox lives as long as its loop: one that is down gets no mail. */
        if (!t->is_up || t->is_down) {
            continue;
        }
        a->cpu_us[i] = wr_thread_cpu_us(&t->thread);
        m = wr_run_zalloc(sizeof(*m));
        if (m == NULL) {
            continue; /* told of as one that does not answer */
        }
        m->mail.run = look_on_thread;
        m->worker = a->worker;
        m->thread_no = i;
        m->no = a->no;
        m->q = a->q;
        wr_strbuf_init(&m->text, THREAD_TEXT_MAX);
        a->left++;
        wr_mailbox_post(t->mailbox, &m->mail);
    }
}

static struct ask *new_ask(struct wr_worker *w, uint64_t no, const struct wr_question *q)
{
    struct ask *a = wr_run_zalloc(sizeof(*a));

    if (a == NULL) {
        return NULL;
    }
    a->worker = w;
    a->no = no;
    a->q = *q;
    a->began_ms = wr_now_ms();
    a->thread_cnt = w->thread_cnt;
    wr_list_init(&a->node);
    wr_task_init(&a->task, run_deadline, "question");
    wr_timer_init(&a->timer, &a->task);
    a->got = wr_run_zalloc((a->thread_cnt + 1) * sizeof(struct ask_mail *));
    a->cpu_us = wr_run_zalloc((a->thread_cnt + 1) * sizeof(*a->cpu_us));
    if (a->got == NULL || a->cpu_us == NULL) {
        a->thread_cnt = 0;
        free_ask(a);
        return NULL;
    }
    wr_list_push(&w->asks, &a->node);
    return a;
}

void wr_worker_ask(struct wr_worker *w, uint64_t no, struct wr_str text)
{
    struct wr_question q;
    struct wr_list *n;
    unsigned open = 0;
    struct ask *a;

    if (wr_question_parse(text, &q) != WR_OK || q.kind == WR_ASK_RELOAD) {
        tell(w, no, WR_STR("not a question for a worker"), -1);
        return;
    }
    WR_LIST_FOREACH (n, &w->asks) {
        open++;
    }
    a = open < ASKS_MAX ? new_ask(w, no, &q) : NULL;
    if (a == NULL) {
        tell(w, no, wr_str_z(wr_status_name(open < ASKS_MAX ? WR_ENOMEM : WR_ELIMIT)), -1);
        return;
    }
    post_mails(a);
    if (a->left == 0) {
        finish(a);
    } else {
        wr_timer_arm(&a->timer, wr_now_ms() + DEADLINE_MS);
    }
}

void wr_worker_end_asks(struct wr_worker *w)
{
    struct wr_list *n, *next;

    WR_LIST_FOREACH_SAFE (n, next, &w->asks) {
        free_ask(wr_container_of(n, struct ask, node));
    }
}
