/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.c: starting and joining threads, and how many CPUs there are to use. A new thread gets its
 * wr_local before fn and loses it after; signals go to whoever reads the signalfd, so they are
 * blocked everywhere, but for those that
 * tell where the program failed (fault.h).
 */
#include "event/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/local.h"
#include "base/num.h"
#include "base/recorder.h"
#include "base/str.h"
#include "event/fault.h"

#define NICE_MAX        19
/* Longer than the usual slice, which is enough for kernels of 6.12 and later to let a thread that
 * wakes go first at once. */
#define ASIDE_SLICE_NS  (20u * 1000 * 1000)
#define CGROUP_ROOT     "/sys/fs/cgroup"
#define CGROUP_PATH_MAX 1024

static void *run_thread(void *data)
{
    struct wr_thread *t = data;
    struct wr_local *l;

    wr_local_start();
    l = wr_local_get();
    l->thread_no = l->recorder->no = t->no;
    wr_fault_thread_begin();
    t->fn(t->data);
    wr_fault_thread_end();
    wr_local_fini();
    return NULL;
}

enum wr_status wr_thread_start(struct wr_thread *t, uint32_t no, const char *name, wr_thread_fn *fn,
                               void *data)
{
    sigset_t all, old;
    int rc;

    *t = (struct wr_thread){.no = no, .name = name, .fn = fn, .data = data};
    /* The new thread inherits the mask. */
    (void)sigfillset(&all);
    wr_fault_unblock(&all);
    rc = pthread_sigmask(SIG_SETMASK, &all, &old);
    WR_ASSERT(rc == 0);
    rc = pthread_create(&t->_id, NULL, run_thread, t);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        return rc == EAGAIN ? WR_ENOMEM : WR_ESYS;
    }
    t->_is_started = true;
    /* Cosmetic; fails when the name is too long. */
    (void)pthread_setname_np(t->_id, name);
    return WR_OK;
}

void wr_thread_here(struct wr_thread *t, uint32_t no, wr_thread_fn *fn, void *data)
{
    struct wr_local *l;

    *t = (struct wr_thread){.no = no, .fn = fn, .data = data};
    wr_local_start();
    l = wr_local_get();
    t->_id = pthread_self();
    t->_is_started = true;
    l->thread_no = l->recorder->no = no;
    fn(data);
    t->_is_started = false;
    wr_local_fini();
}

uint64_t wr_thread_cpu_us(const struct wr_thread *t)
{
    struct timespec now;
    clockid_t clock;

    if (!t->_is_started || pthread_getcpuclockid(t->_id, &clock) != 0 ||
        clock_gettime(clock, &now) == -1) {
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void wr_thread_join(struct wr_thread *t)
{
    if (t->_is_started) {
        int rc = pthread_join(t->_id, NULL);

        WR_ASSERT(rc == 0);
        t->_is_started = false;
    }
}

enum wr_status wr_thread_pin(unsigned cpu)
{
    cpu_set_t set;

    if (cpu >= CPU_SETSIZE) {
        return WR_ESYS;
    }
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0 ? WR_OK : WR_ESYS;
}

/* As sched_setattr(2) has it; libraries of today do not. */
struct sched_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

void wr_thread_step_aside(void)
{
    int value = WR_MIN(getpriority(PRIO_PROCESS, 0) + WR_THREAD_ASIDE, NICE_MAX);
    struct sched_attributes a = {
        .size = sizeof(a), .policy = SCHED_BATCH, .nice = value, .runtime_ns = ASIDE_SLICE_NS};

    /* Of this thread only, on Linux. The second for where the first is not allowed; if both fail it
     * does not matter. */
    if (syscall(SYS_sched_setattr, 0, &a, 0) == -1) {
        (void)setpriority(PRIO_PROCESS, 0, value);
    }
}

/* Up to size bytes of a small file; empty when it cannot be read. */
static struct wr_str read_small(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd == -1) {
        return wr_str(buf, 0);
    }
    n = read(fd, buf, size);
    (void)close(fd);
    return wr_str(buf, n > 0 ? (size_t)n : 0);
}

/* "max 100000" or "150000 100000": quota / period rounded up; 0: no limit. */
static unsigned parse_cpu_max(struct wr_str s)
{
    struct wr_str quota_text;
    uint64_t quota, period;

    s.len = wr_str_find(s, '\n');
    if (!wr_str_split(&s, ' ', &quota_text) ||
        wr_num_parse_u64(quota_text, UINT32_MAX, &quota) != WR_OK ||
        wr_num_parse_u64(s, UINT32_MAX, &period) != WR_OK || period == 0) {
        return 0;
    }
    return (unsigned)((quota + period - 1) / period);
}

/* Our folder below the cgroup root: "0::/a/b" gives "/a/b". */
static struct wr_str find_cgroup(struct wr_str text)
{
    struct wr_str line;

    while (wr_str_split(&text, '\n', &line)) {
        if (wr_str_has_prefix(line, WR_STR("0::/"))) {
            return wr_str_sub(line, 3, line.len);
        }
    }
    return WR_STR("/");
}

/* The least limit of our cgroup and those above it; 0: none. */
static unsigned cgroup_cpus(void)
{
    char text[CGROUP_PATH_MAX], path[CGROUP_PATH_MAX + 64], value[64];
    struct wr_str group = find_cgroup(read_small("/proc/self/cgroup", text, sizeof(text)));
    unsigned least = 0;

    for (;;) {
        static const char root[] = CGROUP_ROOT, leaf[] = "/cpu.max";
        size_t n = sizeof(root) - 1;
        unsigned cpus;

        while (group.len > 0 && group.ptr[group.len - 1] == '/') {
            group.len--;
        }
        memcpy(path, root, n);
        memcpy(path + n, group.ptr, group.len);
        memcpy(path + n + group.len, leaf, sizeof(leaf));
        cpus = parse_cpu_max(read_small(path, value, sizeof(value)));
        if (cpus != 0 && (least == 0 || cpus < least)) {
            least = cpus;
        }
        if (group.len == 0) {
            return least;
        }
        group.len = wr_str_rfind(group, '/');
    }
}

unsigned wr_thread_cpus(void)
{
    cpu_set_t set;
    unsigned n = 1;
    unsigned limit = cgroup_cpus();

    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        n = (unsigned)CPU_COUNT(&set);
    }
    if (limit != 0 && limit < n) {
        n = limit;
    }
    return n == 0 ? 1 : n;
}
