/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw.h: the system calls of the data path without the C library's cancellation points. In a
 * process with several threads the library marks the thread as cancellable around each blocking
 * call, with two locked instructions and some thirty others; we cancel no thread. errno is set as
 * always. Under sanitizers the library is asked, for they look there for what is written.
 */
#ifndef WR_EVENT_RAW_H
#define WR_EVENT_RAW_H

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __has_feature
#    if __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer) ||                      \
        __has_feature(address_sanitizer)
#        define WR_RAW_BY_LIBRARY 1
#    endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define WR_RAW_BY_LIBRARY 1
#endif
/* 32 bits: other numbers for wide times, or one call for all of a socket. */
#if !defined(__LP64__) || !defined(SYS_recvfrom) || !defined(SYS_sendto)
#    define WR_RAW_BY_LIBRARY 1
#endif

#ifdef WR_RAW_BY_LIBRARY

static inline ssize_t wr_raw_recv(int fd, void *p, size_t n, int flags)
{
    return recv(fd, p, n, flags);
}

static inline ssize_t wr_raw_send(int fd, const void *p, size_t n, int flags)
{
    return send(fd, p, n, flags);
}

static inline ssize_t wr_raw_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return sendmsg(fd, m, flags);
}

static inline int wr_raw_epoll_wait(int fd, struct epoll_event *ev, int max, int timeout_ms)
{
    return epoll_wait(fd, ev, max, timeout_ms);
}

#else

static inline ssize_t wr_raw_recv(int fd, void *p, size_t n, int flags)
{
    return syscall(SYS_recvfrom, (long)fd, p, n, (long)flags, NULL, NULL);
}

static inline ssize_t wr_raw_send(int fd, const void *p, size_t n, int flags)
{
    return syscall(SYS_sendto, (long)fd, p, n, (long)flags, NULL, 0L);
}

static inline ssize_t wr_raw_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return syscall(SYS_sendmsg, (long)fd, m, (long)flags);
}

#    ifdef SYS_epoll_wait
static inline int wr_raw_epoll_wait(int fd, struct epoll_event *ev, int max, int timeout_ms)
{
    return (int)syscall(SYS_epoll_wait, (long)fd, ev, (long)max, (long)timeout_ms);
}
#    else /* newer machines never had it */
static inline int wr_raw_epoll_wait(int fd, struct epoll_event *ev, int max, int timeout_ms)
{
    return (int)syscall(SYS_epoll_pwait, (long)fd, ev, (long)max, (long)timeout_ms, NULL, 0L);
}
#    endif

#endif

#endif
