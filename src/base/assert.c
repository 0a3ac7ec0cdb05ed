/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert.c: what happens when an invariant does not hold. A panic writes the place, what the
 * registered dumpers of this thread know and the flight recorder to stderr and to the first file of
 * the error log, then aborts. It neither allocates nor locks, since anything may be broken. The two
 * survivable kinds are counted always and written at most once a second a thread.
 */
#include "base/assert.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/local_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/recorder.h"
#include "base/stat.h"

#define DUMPERS         8
#define RARELY_MS       1000
#define RECORDS_OF_WARN 32

struct dumper {
    wr_dump_fn *fn;
    void *data;
};

struct wr_panic_list {
    struct dumper at[DUMPERS];
    unsigned cnt;
    bool in_panic;
    uint64_t req_at_ms, warn_at_ms; /* last time written, 0: never */
};

void wr_panic_local_init(struct wr_local *l)
{
    l->_panic = wr_mem_alloc(sizeof(*l->_panic));
}

void wr_panic_local_fini(struct wr_local *l)
{
    wr_mem_free(l->_panic);
    l->_panic = NULL;
}

void wr_panic_add(wr_dump_fn *fn, void *data)
{
    struct wr_panic_list *p = wr_local_get()->_panic;

    WR_ASSERT(p->cnt < DUMPERS);
    p->at[p->cnt++] = (struct dumper){fn, data};
}

void wr_panic_remove(wr_dump_fn *fn, void *data)
{
    struct wr_panic_list *p = wr_local_get()->_panic;
    unsigned i = p->cnt;

    while (i > 0) {
        i--;
        if (p->at[i].fn == fn && p->at[i].data == data) {
            p->cnt--;
            for (; i < p->cnt; i++) {
                p->at[i] = p->at[i + 1];
            }
            return;
        }
    }
}

static void put(int fd, const char *z)
{
    wr_log_raw(fd, z, strlen(z));
}

static void run_dumpers(const struct wr_panic_list *p, int fd)
{
    for (unsigned i = p->cnt; i > 0; i--) {
        p->at[i - 1].fn(p->at[i - 1].data, fd);
    }
}

static void write_panic(int fd, const char *file, const char *line, const char *expr)
{
    const struct wr_local *l = wr_local_ptr;

    put(fd, WR_LOG_PROGRAM ": panic at ");
    put(fd, file);
    put(fd, ":");
    put(fd, line);
    put(fd, ": ");
    put(fd, expr);
    put(fd, "\n");
    if (l != NULL && l->_panic != NULL) {
        run_dumpers(l->_panic, fd);
    }
    wr_recorder_dump(fd);
}

/* The first log that a dump can be written to as it is; STDERR_FILENO: there is none. */
static int find_log_fd(void)
{
    const struct wr_log_sink *s = wr_log_default();

    while (s != NULL && s->put != NULL) {
        s = s->next;
    }
    return s != NULL ? s->fd : STDERR_FILENO;
}

void wr_panic(const char *file, int line, const char *expr)
{
    const struct wr_local *l = wr_local_ptr;
    int fd = find_log_fd();
    char digits[24];

    if (l != NULL && l->_panic != NULL) {
        if (l->_panic->in_panic) {
            abort(); /* a dumper failed */
        }
        l->_panic->in_panic = true;
    }
    digits[wr_num_write_u64(digits, (uint64_t)line)] = '\0';
    write_panic(STDERR_FILENO, file, digits, expr);
    if (fd != STDERR_FILENO) {
        write_panic(fd, file, digits, expr);
    }
    abort();
}

/* True at most once a second for each *at_ms. */
static bool is_time(uint64_t *at_ms)
{
    uint64_t now = wr_local_get()->now_ms;

    if (*at_ms != 0 && now - *at_ms < RARELY_MS) {
        return false;
    }
    *at_ms = now == 0 ? 1 : now;
    return true;
}

bool wr_panic_is_on(void)
{
    const struct wr_local *l = wr_local_ptr;

    return l != NULL && l->_panic != NULL && l->_panic->in_panic;
}

/* What this thread knows, behind the line that says what failed. */
static void dump_some(const struct wr_panic_list *p)
{
    int fd = find_log_fd();

    run_dumpers(p, fd);
    wr_recorder_dump_running(fd);
    wr_recorder_dump_last(fd, RECORDS_OF_WARN);
}

bool wr_assert_req_said(const char *text)
{
    struct wr_panic_list *p = wr_local_get()->_panic;

    wr_stat_inc(WR_CNT_ASSERT_REQ);
    if (is_time(&p->req_at_ms)) {
        wr_log(NULL, WR_LOG_ALERT, "assertion failed: %s", text);
        dump_some(p);
    }
    return false;
}

bool wr_assert_req_failed(const char *file, int line, const char *expr)
{
    struct wr_panic_list *p = wr_local_get()->_panic;

    wr_stat_inc(WR_CNT_ASSERT_REQ);
    if (is_time(&p->req_at_ms)) {
        wr_log(NULL, WR_LOG_ALERT, "assertion failed at %s:%d: %s", file, line, expr);
        dump_some(p);
    }
    return false;
}

bool wr_warn_on(const char *file, int line, const char *expr)
{
    struct wr_panic_list *p = wr_local_get()->_panic;

    wr_stat_inc(WR_CNT_WARN_ON);
    if (is_time(&p->warn_at_ms)) {
        wr_log(NULL, WR_LOG_ALERT, "surprise at %s:%d: %s", file, line, expr);
    }
    return true;
}
