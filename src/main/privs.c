/* SPDX-License-Identifier: Apache-2.0 */
/*
 * privs.c: see privs.h. The order is the one that works: what needs root first (limits, priority),
 * then the groups, the group, the user; the folder, seen with the user's rights. A worker of a user
 * other than root keeps no capability, can never get one again, and no worker gains rights by a
 * program it starts.
 */
#include "main/privs.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

static void set_limit(__rlimit_resource_t what, const char *name, uint64_t n)
{
    struct rlimit r = {.rlim_cur = (rlim_t)n, .rlim_max = (rlim_t)n};

    if (setrlimit(what, &r) == -1) {
        wr_log_errno(NULL, WR_LOG_ALERT, errno, "setrlimit(%s, %llu) failed", name,
                     (unsigned long long)n);
    }
}

/* No program that this process starts, as whatever user, gets a capability. Needs root. */
static void drop_bounds(void)
{
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1) {
            return; /* without CAP_SETPCAP (a container): no_new_privs does it alone */
        }
    }
}

/* Of a program file with capabilities, or handed on by whoever started us. */
static void drop_caps(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {
        {0, 0, 0}
    };

    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0,
                0); /* kernels before 4.3 have none */
    if (syscall(SYS_capset, &head, none) == -1) {
        wr_log_errno(NULL, WR_LOG_ALERT, errno, "capset() failed");
    }
}

/* "CALL failed (13: Permission denied)"; value: always WR_ESYS. */
static enum wr_status fail(struct wr_strbuf *why, int err)
{
    wr_strbuf_printf(why, " failed (%d: %s)", err, wr_log_errno_text(err));
    return WR_ESYS;
}

static enum wr_status become_user(const struct wr_main_conf *mc, struct wr_strbuf *why)
{
    char user[256];
    int err;

    if (!mc->has_user || geteuid() != 0 || mc->user.len >= sizeof(user)) {
        return WR_OK;
    }
    memcpy(user, mc->user.ptr, mc->user.len);
    user[mc->user.len] = '\0';
    if (setgid(mc->gid) == -1) {
        err = errno;
        wr_strbuf_printf(why, "setgid(%u)", (unsigned)mc->gid);
        return fail(why, err);
    }
    if (initgroups(user, mc->gid) == -1) {
        err = errno;
        wr_strbuf_printf(why, "initgroups(%s, %u)", user, (unsigned)mc->gid);
        return fail(why, err);
    }
    if (setuid(mc->uid) == -1) {
        err = errno;
        wr_strbuf_printf(why, "setuid(%u)", (unsigned)mc->uid);
        return fail(why, err);
    }
    return WR_OK;
}

enum wr_status wr_privs_apply(const struct wr_main_conf *mc, struct wr_strbuf *why)
{
    int err;

    if (mc->priority != WR_MAIN_UNSET_NUM && setpriority(PRIO_PROCESS, 0, mc->priority) == -1) {
        wr_log_errno(NULL, WR_LOG_ALERT, errno, "setpriority(%d) failed", mc->priority);
    }
    if (mc->rlimit_nofile != 0) {
        set_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", mc->rlimit_nofile);
    }
    if (mc->rlimit_core != UINT64_MAX) {
        set_limit(RLIMIT_CORE, "RLIMIT_CORE", mc->rlimit_core);
    }
    if (mc->has_user && mc->uid != 0) {
        drop_bounds();
    }
    if (become_user(mc, why) != WR_OK) {
        return WR_ESYS;
    }
    if (geteuid() != 0) {
        drop_caps();
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) {
        wr_log_errno(NULL, WR_LOG_ALERT, errno, "prctl(PR_SET_NO_NEW_PRIVS) failed");
    }
    if (mc->rlimit_core != UINT64_MAX && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1) {
        wr_log_errno(NULL, WR_LOG_ALERT, errno, "prctl(PR_SET_DUMPABLE) failed");
    }
    if (mc->working_directory.len > 0 && chdir(mc->working_directory.ptr) == -1) {
        err = errno;
        wr_strbuf_printf(why, "chdir(\"%.*s\")", WR_STR_ARG(mc->working_directory));
        return fail(why, err);
    }
    return WR_OK;
}

enum wr_status wr_privs_chown(const struct wr_main_conf *mc, const char *path)
{
    if (!mc->has_user || geteuid() != 0) {
        return WR_OK;
    }
    return chown(path, mc->uid, mc->gid) == 0 ? WR_OK : WR_ESYS;
}
