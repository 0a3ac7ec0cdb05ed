/* SPDX-License-Identifier: Apache-2.0 */
/*
 * autopsy.c: see autopsy.h. Both processes run the same program at different addresses, so a
 * pointer of the worker is moved by the distance of one known object.
 */
#include "main/autopsy.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/recorder.h"
#include "event/fault.h"

#define SEALS          (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define MORE_THREADS   8u  /* the control thread, helpers */
#define THREADS_TOLD   16u /* of a worker with very many */
#define MOVES_RUNNING  12u
#define MOVES_WAITING  4u
#define NAME_MAX_SHOWN 48u
#define LINE_MAX_SHOWN 1900u
#define FILE_MAX       16384u
#define CGROUP_ROOT    "/sys/fs/cgroup"

/* ---- kills by the kernel ----------------------------------------------------------------------
 */

/* The beginning of a file, in text; empty when it cannot be read. */
static struct wr_str read_start(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd == -1) {
        return WR_STR_NULL;
    }
    n = read(fd, text, size);
    (void)close(fd);
    return wr_str(text, n > 0 ? (size_t)n : 0);
}

/* The number behind "oom_kill " in a small file; 0: unknown. */
static uint64_t read_oom_kills(const char *path)
{
    char text[FILE_MAX];
    struct wr_str rest = read_start(path, text, sizeof(text)), line;
    uint64_t v = 0;

    while (wr_str_split(&rest, '\n', &line)) {
        if (wr_str_has_prefix(line, WR_STR("oom_kill ")) &&
            wr_num_parse_u64(wr_str_sub(line, 9, line.len), UINT64_MAX, &v) == WR_OK) {
            return v;
        }
    }
    return 0;
}

/* Of our control group, which is the worker's, too. */
static uint64_t read_group_kills(void)
{
    char text[1024], path[1200];
    struct wr_str rest = read_start("/proc/self/cgroup", text, sizeof(text)), line;
    int len;

    while (wr_str_split(&rest, '\n', &line)) {
        if (wr_str_has_prefix(line, WR_STR("0::/"))) {
            line = wr_str_sub(line, 3, line.len);
            len = snprintf(path, sizeof(path), CGROUP_ROOT "%.*s/memory.events", WR_STR_ARG(line));
            return len > 0 && (size_t)len < sizeof(path) ? read_oom_kills(path) : 0;
        }
    }
    return 0;
}

static void report_oom(const struct wr_autopsy *a, int pid)
{
    const char *where = NULL;

    if (read_group_kills() > a->_oom_group) {
        where = "in this control group";
    } else if (read_oom_kills("/proc/vmstat") > a->_oom_machine) {
        where = "on this machine";
    }
    if (where != NULL) {
        wr_log(NULL, WR_LOG_ALERT,
               "worker process %d was perhaps killed for want of memory: since its start the "
               "kernel's out-of-memory killer has acted %s",
               pid, where);
    }
}

/* ---- the memory ------------------------------------------------------------------------------
 */

void wr_autopsy_open(struct wr_autopsy *a, unsigned threads)
{
    size_t size = wr_recorder_area_size(threads + MORE_THREADS);
    void *p = MAP_FAILED;

    *a = (struct wr_autopsy){.fd = memfd_create("weir-recorders", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (a->fd != -1 && ftruncate(a->fd, (off_t)size) == 0 &&
        fcntl(a->fd, F_ADD_SEALS, SEALS) == 0) {
        p = mmap(NULL, size, PROT_READ, MAP_SHARED, a->fd, 0);
    }
    if (p == MAP_FAILED) {
        wr_log_errno(NULL, WR_LOG_WARN, errno, "no memory for the worker's flight recorders");
        wr_autopsy_close(a);
        return;
    }
    a->_area = p;
    a->_size = size;
    a->_oom_group = read_group_kills();
    a->_oom_machine = read_oom_kills("/proc/vmstat");
}

void wr_autopsy_close_fd(struct wr_autopsy *a)
{
    if (a->fd > 0) {
        (void)close(a->fd);
    }
    a->fd = -1;
}

void wr_autopsy_close(struct wr_autopsy *a)
{
    wr_autopsy_close_fd(a);
    if (a->_area != NULL) {
        (void)munmap(a->_area, a->_size);
        a->_area = NULL;
    }
}

void wr_autopsy_attach(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    void *p;

    wr_fault_install();
    if (seals == -1 || (seals & SEALS) != SEALS || fstat(fd, &st) == -1 ||
        (size_t)st.st_size < wr_recorder_area_size(1)) {
        return; /* another program's descriptor, or there was no memory */
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) {
        wr_recorder_share(p, (size_t)st.st_size);
    }
    (void)close(fd);
}

/* ---- pointers of the other process -----------------------------------------------------------
 */

struct range {
    uintptr_t at;
    size_t len;
    bool is_constant; /* asked: not in memory that is written */
    bool is_ours;     /* answer */
};

static int look_at_object(struct dl_phdr_info *info, size_t size, void *data)
{
    struct range *r = data;

    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + h->p_vaddr;

        if (h->p_type == PT_LOAD && (h->p_flags & PF_R) != 0 &&
            (!r->is_constant || (h->p_flags & PF_W) == 0) && r->at >= from &&
            r->at - from < h->p_memsz && h->p_memsz - (r->at - from) >= r->len) {
            r->is_ours = true;
        }
    }
    return 1; /* the program itself is the first; libraries are not looked at */
}

/* Where our image has what `theirs` points to; NULL: nowhere. */
static const void *find_here(const void *anchor, const void *theirs, size_t len, bool is_constant)
{
    struct range r = {.at = (uintptr_t)theirs - (uintptr_t)anchor + (uintptr_t)&wr_recorder_anchor,
                      .len = len,
                      .is_constant = is_constant};

    if (theirs == NULL) {
        return NULL;
    }
    (void)dl_iterate_phdr(look_at_object, &r);
    return r.is_ours ? (const void *)r.at : NULL;
}

/*
 * What a dead worker says is an address within our image, which may be between two objects: a
 * sanitizer has nothing to say about that.
 */
__attribute__((no_sanitize_address)) static void copy_raw(void *to, const void *from, size_t n)
{
    const volatile char *p = from;

    for (size_t i = 0; i < n; i++) {
        ((volatile char *)to)[i] = p[i];
    }
}

static const struct wr_fsm *find_fsm(const void *anchor, const struct wr_fsm *theirs)
{
    const struct wr_fsm *f;
    struct wr_fsm copy;

    if ((uintptr_t)theirs % _Alignof(struct wr_fsm) != 0) {
        return NULL;
    }
    f = find_here(anchor, theirs, sizeof(*f), false);
    if (f == NULL) {
        return NULL;
    }
    copy_raw(&copy, f, sizeof(copy));
    return copy.magic == WR_FSM_MAGIC ? f : NULL;
}

/* ---- the report ------------------------------------------------------------------------------
 */

static void add_moves(struct wr_strbuf *b, const void *anchor, const struct wr_recorder *r,
                      unsigned most)
{
    uint64_t cnt = WR_MIN(r->_cnt, (uint64_t)most);

    for (uint64_t i = r->_cnt - cnt; i < r->_cnt; i++) {
        struct wr_recorder_entry e;

        wr_recorder_read(&r->_at[i & (WR_RECORDER_CAP - 1)], anchor, wr_now_ms(), &e);
        wr_strbuf_add_z(b, i == r->_cnt - cnt ? "; moves: " : ", ");
        wr_recorder_write_entry(b, &e, find_fsm(anchor, e.fsm));
    }
}

/* r is a copy. */
static void report_thread(const void *anchor, const struct wr_recorder *r, int pid, bool is_told)
{
    const char *task = find_here(anchor, r->task, NAME_MAX_SHOWN, true);
    char room[LINE_MAX_SHOWN], name[NAME_MAX_SHOWN];
    struct wr_strbuf b;

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    if (r->no == UINT32_MAX) {
        wr_strbuf_add_z(&b, "control thread");
    } else {
        wr_strbuf_add_z(&b, "thread ");
        wr_strbuf_add_u64(&b, r->no);
    }
    if (task != NULL) {
        wr_strbuf_add_z(&b, " ran task \"");
        copy_raw(name, task, sizeof(name));
        wr_strbuf_add(&b, name, strnlen(name, sizeof(name)));
        wr_strbuf_add_z(&b, r->conn_no != 0 || r->req_id != 0 ? "\", " : "\"");
        wr_recorder_write_req(&b, r->conn_no, r->req_id, wr_recorder_req_of(r, r->req_id));
    } else {
        wr_strbuf_add_z(&b, " waited");
        if (r->last_id != 0) {
            const struct wr_recorder_req *q = wr_recorder_req_of(r, r->last_id);

            wr_strbuf_add_z(&b, ", before: ");
            wr_recorder_write_req(&b, q->conn_no, r->last_id, q);
        }
    }
    if (!is_told) {
        add_moves(&b, anchor, r, task != NULL ? MOVES_RUNNING : MOVES_WAITING);
    }
    wr_log(NULL, WR_LOG_ALERT, "worker process %d: %.*s", pid, WR_STR_ARG(wr_strbuf_str(&b)));
}

/* Those that ran something, or those that waited. Value: how many were told. */
static unsigned report_threads(const struct wr_autopsy *a, int pid, bool is_running, unsigned most)
{
    uint32_t cnt = (uint32_t)((a->_size - sizeof(*a->_area)) / sizeof(a->_area->at[0]));
    const struct wr_recorder_area *area = a->_area;
    struct wr_recorder *r = wr_run_alloc(sizeof(*r));
    unsigned told = 0;

    for (uint32_t i = 0; r != NULL && i < cnt && told < most; i++) {
        if (area->at[i].tid == 0 || (area->at[i].task != NULL) != is_running) {
            continue;
        }
        *r = area->at[i]; /* a copy does not change under our eyes */
        if (is_running || r->no != UINT32_MAX) {
            report_thread(area->anchor, r, pid,
                          r->tid == area->told_tid && wr_load_acq(&area->told_sig) != 0);
            told++;
        }
    }
    wr_mem_free(r);
    return told;
}

void wr_autopsy_report(const struct wr_autopsy *a, int pid, int signo)
{
    uint32_t told_sig;
    unsigned told;

    if (signo == SIGKILL) {
        report_oom(a, pid);
    }
    if (a->_area == NULL || a->_area->magic != WR_RECORDER_MAGIC) {
        return; /* it died before it was a worker */
    }
    told_sig = wr_load_acq(&a->_area->told_sig);
    if (told_sig != 0 && told_sig != (uint32_t)signo) {
        wr_log(NULL, WR_LOG_ALERT, "worker process %d: signal %u had come before that", pid,
               told_sig);
    }
    told = report_threads(a, pid, true, THREADS_TOLD);
    (void)report_threads(a, pid, false, THREADS_TOLD - told);
}
