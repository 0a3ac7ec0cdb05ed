/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.c: getaddrinfo(3) in a child process that writes the addresses to a pipe. A resolver that
 * hangs is killed after WR_HOSTS_TIMEOUT_MS, and what libraries of the name service keep (sockets,
 * memory, threads) ends with the child. The child does nothing else; the supervisor has one thread,
 * so forking is safe.
 */
#include "main/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define HOST_MAX 1024

/* Each address as a whole struct wr_addr. */
static void write_addrs(int fd, const struct addrinfo *ai)
{
    for (size_t n = 0; ai != NULL && n < WR_HOSTS_MAX; ai = ai->ai_next, n++) {
        struct wr_addr a;

        memset(&a, 0, sizeof(a));
        if (ai->ai_addrlen > sizeof(a.u) ||
            (ai->ai_family != AF_INET && ai->ai_family != AF_INET6)) {
            continue;
        }
        memcpy(&a.u, ai->ai_addr, ai->ai_addrlen);
        a.len = ai->ai_addrlen;
        if (write(fd, &a, sizeof(a)) != (ssize_t)sizeof(a)) {
            return;
        }
    }
}

static void run_child(int fd, const char *host)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *ai = NULL;
    int rc;

    rc = getaddrinfo(host, NULL, &hints, &ai);
    if (rc == 0) {
        write_addrs(fd, ai);
    }
    _exit(rc == 0 ? 0 : 1);
}

/* Reads until the end or the deadline; value: bytes. */
static size_t read_answer(int fd, char *buf, size_t size)
{
    uint64_t end_ms = wr_clock_mono_us() / 1000 + WR_HOSTS_TIMEOUT_MS;
    size_t len = 0;

    while (len < size) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t now_ms = wr_clock_mono_us() / 1000;
        ssize_t n;
        int rc;

        rc = now_ms >= end_ms ? 0 : poll(&p, 1, (int)(end_ms - now_ms));
        if (rc == -1 && errno == EINTR) {
            continue;
        }
        if (rc <= 0) {
            return 0; /* a part of an answer is none */
        }
        n = read(fd, buf + len, size - len);
        if (n == -1 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return len;
        }
        len += (size_t)n;
    }
    return len;
}

static size_t ask(const char *host, struct wr_addr *at)
{
    int p[2];
    pid_t pid;
    size_t len;

    if (pipe2(p, O_CLOEXEC) == -1) {
        return 0;
    }
    pid = fork();
    if (pid == 0) {
        run_child(p[1], host);
    }
    (void)close(p[1]);
    len = pid == -1 ? 0 : read_answer(p[0], (char *)at, WR_HOSTS_MAX * sizeof(*at));
    (void)close(p[0]);
    if (pid != -1) {
        (void)kill(pid, SIGKILL); /* it is done, or too late */
        while (waitpid(pid, NULL, 0) == -1 && errno == EINTR) {
            continue;
        }
    }
    return len / sizeof(*at);
}

enum wr_status wr_hosts_resolve(struct wr_arena *a, struct wr_str host, struct wr_addr **ret_addrs,
                                size_t *ret_cnt)
{
    char name[HOST_MAX];
    struct wr_addr *at;
    size_t cnt;

    if (host.len == 0 || host.len >= sizeof(name) || memchr(host.ptr, '\0', host.len) != NULL) {
        return WR_EOF;
    }
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    at = wr_arena_alloc(a, WR_HOSTS_MAX * sizeof(*at));
    if (at == NULL) {
        return WR_ENOMEM;
    }
    cnt = ask(name, at);
    if (cnt == 0) {
        return WR_EOF;
    }
    *ret_addrs = at;
    *ret_cnt = cnt;
    return WR_OK;
}
