/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.c: see fault.h. The handler runs on a stack of its own, since the thread's may be what
 * overflowed. It calls nothing that is not async-signal-safe: texts are built on the stack and
 * written by write(2); the zone of the time is what the thread knows.
 *
 * A second fault while we write (memory is not what it was) goes on with the next part; a fault on
 * another thread waits for the end of the process; a log that takes no bytes is given up by alarm.
 * The rest is told by who finds our recorders (main/autopsy.c).
 */
#include "event/fault.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/local.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/recorder.h"
#include "base/strbuf.h"
#include "base/sync.h"

#define STACK_SIZE   (48u * 1024) /* beyond what the kernel needs for its frame */
#define MOVES        64u
#define WRITE_MAX_S  10u
#define ADDRESS_HEX  16
#define HEADLINE_MAX 256u

static const int signos[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
static bool is_installed;        /* set before other threads start */
static wr_atomic_u32 teller_tid; /* the thread that speaks; 0: none does */
static unsigned part;            /* the next to be told; the teller's */

static WR_THREAD_LOCAL void *alt_stack;

void wr_fault_unblock(sigset_t *set)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(signos); i++) {
        (void)sigdelset(set, signos[i]);
    }
}

static void add_hex(struct wr_strbuf *b, uintptr_t v)
{
    static const char digits[] = "0123456789abcdef";
    char text[ADDRESS_HEX];
    size_t n = ADDRESS_HEX;

    do {
        text[--n] = digits[v & 15];
        v >>= 4;
    } while (v != 0 && n > 0);
    wr_strbuf_add_z(b, "0x");
    wr_strbuf_add(b, text + n, ADDRESS_HEX - n);
}

/* "2026/11/21 10:00:00 [alert] 4711#3: signal 11 (SIGSEGV) at address 0x10" */
static void write_headline(int fd, int signo, const siginfo_t *si)
{
    const struct wr_local *l = wr_local_ptr;
    const char *name = sigabbrev_np(signo);
    char room[HEADLINE_MAX], when[WR_LOG_DATE_LEN];
    struct wr_strbuf b;

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    wr_clock_write_log_error(when);
    wr_strbuf_add(&b, when, sizeof(when));
    wr_strbuf_add_z(&b, " [alert] ");
    wr_strbuf_add_u64(&b, (uint64_t)getpid());
    wr_strbuf_add_char(&b, '#');
    wr_strbuf_add_u64(&b,
                      l != NULL && l->thread_no != UINT32_MAX ? l->thread_no : (uint64_t)gettid());
    wr_strbuf_add_z(&b, ": signal ");
    wr_strbuf_add_u64(&b, (uint64_t)signo);
    wr_strbuf_add_z(&b, " (SIG");
    wr_strbuf_add_z(&b, name != NULL ? name : "?");
    wr_strbuf_add_z(&b, ")");
    if (si->si_code <= 0) { /* kill, tgkill, abort */
        wr_strbuf_add_z(&b, " sent by process ");
        wr_strbuf_add_u64(&b, (uint64_t)si->si_pid);
    } else {
        wr_strbuf_add_z(&b, " at address ");
        add_hex(&b, (uintptr_t)si->si_addr);
    }
    wr_strbuf_add_char(&b, '\n');
    wr_log_raw(fd, b.ptr, b.len);
}

/* part 0: the signal; 1: what ran; 2: the moves before. */
static void write_part(unsigned no, int signo, const siginfo_t *si)
{
    for (const struct wr_log_sink *s = wr_log_default(); s != NULL; s = s->next) {
        if (s->put != NULL || s->level < WR_LOG_ALERT) {
            continue; /* syslog and memory cannot be written from here */
        }
        if (no == 0) {
            write_headline(s->fd, signo, si);
        } else if (no == 1) {
            wr_recorder_dump_running(s->fd);
        } else {
            wr_recorder_dump_last(s->fd, MOVES);
        }
    }
}

static void note_in_area(int signo)
{
    struct wr_recorder_area *a = wr_recorder_shared();

    if (a != NULL) {
        a->told_tid = (uint32_t)gettid();
        wr_store_rel(&a->told_sig, (uint32_t)signo); /* release: with told_tid before it */
    }
}

static void on_fault(int signo, siginfo_t *si, void *context)
{
    const struct sigaction deflt = {.sa_handler = SIG_DFL};
    uint32_t me = (uint32_t)gettid(), before = 0;

    (void)context;
    while (before == 0 && !wr_cas_acqrel(&teller_tid, &before, me)) {
    }
    while (before != 0 && before != me) {
        (void)pause(); /* the process is about to end */
    }
    if (before == 0) {
        (void)alarm(WRITE_MAX_S);
    }
    while (part < 3 && !wr_panic_is_on()) { /* a panic has said all this */
        unsigned no = part++;

        write_part(no, signo, si);
        if (no == 0) {
            note_in_area(signo);
        }
    }
    (void)sigaction(signo, &deflt, NULL);
    (void)raise(signo);
    _exit(128 + signo); /* not reached: the signal is not blocked here */
}

void wr_fault_thread_begin(void)
{
    long least = sysconf(_SC_MINSIGSTKSZ);
    stack_t s = {.ss_size = STACK_SIZE + (least > 0 ? (size_t)least : 0)};

    if (!is_installed || alt_stack != NULL) {
        return;
    }
    (void)wr_clock_log_error(); /* the zone is known from now on */
    alt_stack = s.ss_sp = wr_mem_alloc(s.ss_size);
    if (sigaltstack(&s, NULL) == -1) {
        wr_mem_free(wr_take(&alt_stack)); /* then the handler has the thread's stack */
    }
}

void wr_fault_thread_end(void)
{
    const stack_t off = {.ss_flags = SS_DISABLE};

    if (alt_stack != NULL && sigaltstack(&off, NULL) == 0) {
        wr_mem_free(wr_take(&alt_stack));
    }
}

void wr_fault_install(void)
{
    struct sigaction act = {.sa_sigaction = on_fault,
                            .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    if (WR_FAULT_SANITIZED != 0 || is_installed) {
        return;
    }
    is_installed = true;
    (void)sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < WR_ARRAY_LEN(signos); i++) {
        (void)sigaction(signos[i], &act, NULL); /* fails for no signal of the list */
    }
    wr_fault_thread_begin();
}
