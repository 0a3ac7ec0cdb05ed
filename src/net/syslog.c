/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syslog.c: see syslog.h. A process has at most one datagram socket a family, made at its first
 * line and never connected: a server that comes back is found again by the next line, and one that
 * is gone costs nothing but the line. Datagrams are whole or not at all, so threads share a socket
 * without a lock. Descriptors are kept as fd + 1; the thread that loses the race closes its own.
 */
#include "net/syslog.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/stat.h"
#include "base/strbuf.h"
#include "base/sync.h"

#define DEFAULT_PORT    514
#define SEVERITY_INFO   6
#define FACILITY_LOCAL7 23
#define HEAD_MAX        384 /* "<191>", time, host, tag */
#define HOST_MAX        255

/* clang-format off */
static const char *const facilities[] = {
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock",
    "authpriv", "ftp", "ntp", "audit", "alert", "cron", "local0", "local1", "local2", "local3",
    "local4", "local5", "local6", "local7",
};
static const char *const severities[] = {
    "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
};

/* clang-format on */

enum param {
    P_SERVER,
    P_FACILITY,
    P_SEVERITY,
    P_TAG,
    P_COUNT
};

static const struct wr_str params[P_COUNT] = {WR_STR_INIT("server="), WR_STR_INIT("facility="),
                                              WR_STR_INIT("severity="), WR_STR_INIT("tag=")};

enum family {
    F_UNIX,
    F_INET,
    F_INET6,
    F_COUNT
};

static wr_atomic_u32 sockets[F_COUNT]; /* fd + 1; 0: none yet */

static pthread_once_t host_once = PTHREAD_ONCE_INIT;
static char host_name[HOST_MAX + 1]; /* set once, then constant */

/* ---- what a directive says ------------------------------------------------------------------ */

/* The parser's: where words of complaint go. */
struct reader {
    struct wr_arena *arena;
    struct wr_syslog d;
    struct wr_str what;
    bool has[P_COUNT];
};

WR_PRINTF(2, 3) static enum wr_status complain(struct reader *r, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    n = n < 0 ? 0 : n;
    if (wr_arena_dup(r->arena, wr_str(text, WR_MIN((size_t)n, sizeof(text) - 1)), &r->what) !=
        WR_OK) {
        return WR_ENOMEM;
    }
    return WR_ECONFIG;
}

static bool find_word(const char *const *words, size_t cnt, struct wr_str s, uint8_t *ret)
{
    for (size_t i = 0; i < cnt; i++) {
        if (wr_str_eq_z(s, words[i])) {
            *ret = (uint8_t)i;
            return true;
        }
    }
    return false;
}

static enum wr_status read_path(struct reader *r)
{
    struct wr_syslog *d = &r->d;
    struct wr_str text; /* the word may have been in capitals */

    if (wr_arena_printf(r->arena, &text, "unix:%.*s", WR_STR_ARG(d->host)) != WR_OK) {
        return WR_ENOMEM;
    }
    if (wr_addr_parse_unix(text, &d->addr) != WR_OK) {
        return complain(r, "too long path in the unix domain socket in syslog server \"%.*s\"",
                        WR_STR_ARG(d->server));
    }
    d->has_addr = true;
    return WR_OK;
}

static enum wr_status read_server(struct reader *r, struct wr_str v)
{
    struct wr_syslog *d = &r->d;
    const char *err = "invalid host";
    struct wr_hostport hp;

    d->server = v;
    if (wr_hostport_parse(v, &hp, &err) != WR_OK || (hp.rest.len != 0 && !hp.is_unix)) {
        return complain(r, "%s in syslog server \"%.*s\"", err, WR_STR_ARG(v));
    }
    d->host = hp.host;
    d->port = hp.has_port ? hp.port : DEFAULT_PORT;
    if (hp.is_unix) {
        d->host = wr_str_sub(v, 5, v.len); /* a path may hold a colon */
        return read_path(r);
    }
    d->has_addr = wr_addr_parse_ip(hp.host, d->port, &d->addr) == WR_OK;
    return WR_OK;
}

static enum wr_status read_tag(struct reader *r, struct wr_str v)
{
    if (v.len > WR_SYSLOG_TAG_MAX) {
        return complain(r, "syslog tag length exceeds %d", WR_SYSLOG_TAG_MAX);
    }
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        char low = (char)(c | 0x20);

        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && c != '_') {
            return complain(r, "syslog \"tag\" only allows alphanumeric characters and underscore");
        }
    }
    r->d.tag = v;
    return WR_OK;
}

static enum wr_status read_value(struct reader *r, enum param p, struct wr_str v)
{
    if (r->has[p]) {
        return complain(r, "duplicate syslog \"%.*s\"", (int)params[p].len - 1, params[p].ptr);
    }
    r->has[p] = true;
    switch (p) {
    case P_SERVER:
        return read_server(r, v);
    case P_FACILITY:
        return find_word(facilities, WR_ARRAY_LEN(facilities), v, &r->d.facility)
                   ? WR_OK
                   : complain(r, "unknown syslog facility \"%.*s\"", WR_STR_ARG(v));
    case P_SEVERITY:
        return find_word(severities, WR_ARRAY_LEN(severities), v, &r->d.severity)
                   ? WR_OK
                   : complain(r, "unknown syslog severity \"%.*s\"", WR_STR_ARG(v));
    case P_TAG:
        return read_tag(r, v);
    case P_COUNT:
        break;
    }
    WR_UNREACHABLE();
}

static enum wr_status read_param(struct reader *r, struct wr_str s)
{
    if (wr_str_eq_z(s, "nohostname")) {
        r->d.no_hostname = true;
        return WR_OK;
    }
    for (int p = 0; p < P_COUNT; p++) {
        if (wr_str_has_prefix(s, params[p])) {
            return read_value(r, (enum param)p, wr_str_sub(s, params[p].len, s.len));
        }
    }
    return complain(r, "unknown syslog parameter \"%.*s\"", WR_STR_ARG(s));
}

enum wr_status wr_syslog_parse(struct wr_str s, struct wr_arena *a, struct wr_syslog *ret,
                               struct wr_str *ret_what)
{
    struct reader r = {.arena = a};
    enum wr_status st = WR_OK;
    size_t at = 0;

    r.d.facility = FACILITY_LOCAL7;
    r.d.severity = SEVERITY_INFO;
    r.d.tag = WR_STR("weir");
    if (wr_arena_dup(a, s, &s) != WR_OK) {
        return WR_ENOMEM;
    }
    /* One field more than there are commas, empty ones included. */
    while (st == WR_OK && at <= s.len) {
        struct wr_str rest = wr_str_sub(s, at, s.len);
        size_t n = wr_str_find(rest, ',');

        st = read_param(&r, wr_str_sub(rest, 0, n));
        at += n + 1;
    }
    if (st == WR_OK && !r.has[P_SERVER]) {
        st = complain(&r, "no syslog server specified");
    }
    if (st != WR_OK) {
        *ret_what = st == WR_ECONFIG ? r.what : *ret_what;
        return st;
    }
    *ret = r.d;
    return WR_OK;
}

void wr_syslog_set_addr(struct wr_syslog *d, const struct wr_addr *a)
{
    d->addr = *a;
    wr_addr_set_port(&d->addr, d->port);
    d->has_addr = true;
}

/* ---- those that stay ------------------------------------------------------------------------- */

struct kept {
    struct wr_syslog d;
    char tag[WR_SYSLOG_TAG_MAX];
    struct kept *next;
};

static struct wr_mutex kept_lock = WR_MUTEX_INIT(WR_RANK_LEAF);
static struct kept *all_kept; /* kept_lock; one for each that was ever configured */

static bool is_same(const struct wr_syslog *a, const struct wr_syslog *b)
{
    return a->has_addr == b->has_addr && (!a->has_addr || wr_addr_eq(&a->addr, &b->addr)) &&
           a->no_hostname == b->no_hostname && a->facility == b->facility &&
           a->severity == b->severity && a->port == b->port && wr_str_eq(a->tag, b->tag);
}

const struct wr_syslog *wr_syslog_keep(const struct wr_syslog *d)
{
    struct kept *p;

    wr_mutex_lock(&kept_lock);
    for (p = all_kept; p != NULL && !is_same(&p->d, d); p = p->next) {
        continue;
    }
    if (p == NULL) {
        p = wr_run_zalloc(sizeof(*p));
        if (p != NULL) {
            memcpy(p->tag, d->tag.ptr, d->tag.len);
            p->d = *d;
            p->d.tag = wr_str(p->tag, d->tag.len);
            p->d.host = p->d.server = WR_STR(""); /* of the configuration's memory */
            p->next = all_kept;
            all_kept = p;
        }
    }
    wr_mutex_unlock(&kept_lock);
    return p != NULL ? &p->d : NULL;
}

/* ---- sending -------------------------------------------------------------------------------- */

static void read_host(void)
{
    /* What does not fit is cut; without a name the line goes without one. */
    if (gethostname(host_name, HOST_MAX) == -1) {
        host_name[0] = '\0';
    }
}

/* -1: there is none. */
static int get_socket(int domain)
{
    enum family f = domain == AF_UNIX ? F_UNIX : domain == AF_INET ? F_INET : F_INET6;
    uint32_t v = wr_load_acq(&sockets[f]), none = 0;
    int fd;

    if (v != 0) {
        return (int)v - 1;
    }
    fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -1; /* the next line tries again */
    }
    while (none == 0) {
        if (wr_cas_acqrel(&sockets[f], &none, (uint32_t)fd + 1)) {
            return fd;
        }
    }
    (void)close(fd); /* another thread was first */
    return (int)none - 1;
}

/*
 * "<PRI>Mon dd hh:mm:ss " (RFC 3164 4.1.1, 4.1.2) from "dd/Mon/yyyy:hh:mm:ss +zzzz": local time,
 * a blank for the first digit of a day below ten. Then "host tag: ".
 */
static void write_head(const struct wr_syslog *d, unsigned severity, struct wr_strbuf *b)
{
    struct wr_str t = wr_clock_log_local();

    wr_strbuf_add_char(b, '<');
    wr_strbuf_add_u64(b, (uint64_t)d->facility * 8 + (severity & 7));
    wr_strbuf_add_char(b, '>');
    wr_strbuf_add_str(b, wr_str_sub(t, 3, 3));
    wr_strbuf_add_char(b, ' ');
    wr_strbuf_add_char(b, t.ptr[0] == '0' ? ' ' : t.ptr[0]);
    wr_strbuf_add_char(b, t.ptr[1]);
    wr_strbuf_add_char(b, ' ');
    wr_strbuf_add_str(b, wr_str_sub(t, 12, 8));
    wr_strbuf_add_char(b, ' ');
    if (!d->no_hostname) {
        (void)pthread_once(&host_once, read_host); /* fails only for a bad argument */
        wr_strbuf_add_z(b, host_name);
        wr_strbuf_add_char(b, ' ');
    }
    wr_strbuf_add_str(b, d->tag);
    wr_strbuf_add_z(b, ": ");
}

static bool send_parts(const struct wr_syslog *d, struct wr_str head, struct wr_str line)
{
    struct iovec parts[2] = {
        {.iov_base = (void *)(uintptr_t)head.ptr, .iov_len = head.len},
        {.iov_base = (void *)(uintptr_t)line.ptr, .iov_len = line.len}
    };
    struct wr_addr to = d->addr;
    struct msghdr m = {.msg_name = &to.u, .msg_namelen = to.len, .msg_iov = parts, .msg_iovlen = 2};
    int fd = get_socket(to.u.sa.sa_family);
    ssize_t n;

    if (fd == -1) {
        return false;
    }
    do {
        n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n == -1 && errno == EINTR);
    return n != -1;
}

bool wr_syslog_send(const struct wr_syslog *d, unsigned severity, struct wr_str line)
{
    char room[HEAD_MAX];
    struct wr_strbuf head;
    int saved = errno;
    bool ok = false;

    if (d->has_addr) {
        wr_strbuf_init_fixed(&head, room, sizeof(room));
        write_head(d, severity, &head);
        line.len = WR_MIN(line.len, WR_SYSLOG_LINE_MAX - head.len);
        ok = send_parts(d, wr_strbuf_str(&head), line);
    }
    if (!ok) {
        wr_stat_inc(WR_CNT_LOG_DROPPED);
    }
    errno = saved;
    return ok;
}
