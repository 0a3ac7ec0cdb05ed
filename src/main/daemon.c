/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.c: see daemon.h. One fork and a new session; a pipe carries the exit code to the process
 * that waits.
 */
#include "main/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "main/say.h"

/* The process that the user started: waits for the byte. */
WR_NORETURN static void wait_for_release(int fd)
{
    uint8_t code;
    ssize_t n;

    do {
        n = read(fd, &code, 1);
    } while (n == -1 && errno == EINTR);
    _exit(n == 1 ? code : 1); /* no byte: it died */
}

/* To /dev/null; stays as it is when that cannot be opened. */
static void silence(int fd, int flags)
{
    int null = open("/dev/null", flags | O_CLOEXEC | O_NOCTTY);

    if (null != -1) {
        (void)dup2(null, fd);
        (void)close(null);
    }
}

enum wr_status wr_daemon_enter(int stderr_fd, int *ret_fd)
{
    int p[2];
    pid_t pid;

    if (pipe2(p, O_CLOEXEC) == -1) {
        wr_say(WR_LOG_EMERG, errno, "pipe() failed");
        return WR_ESYS;
    }
    pid = fork();
    if (pid == -1) {
        wr_say(WR_LOG_EMERG, errno, "fork() failed");
        (void)close(p[0]);
        (void)close(p[1]);
        return WR_ESYS;
    }
    if (pid != 0) {
        (void)close(p[1]);
        wait_for_release(p[0]);
    }
    (void)close(p[0]);
    (void)setsid(); /* a child of a fork is never a group leader: this cannot fail */
    (void)umask(0);
    silence(STDIN_FILENO, O_RDONLY);
    silence(STDOUT_FILENO, O_WRONLY);
    if (stderr_fd > STDERR_FILENO) {
        wr_say_to(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
        (void)dup2(stderr_fd, STDERR_FILENO);
    }
    *ret_fd = p[1];
    return WR_OK;
}

void wr_daemon_release(int fd, int code)
{
    uint8_t byte = (uint8_t)code;

    while (write(fd, &byte, 1) == -1 && errno == EINTR) {
        continue;
    }
    (void)close(fd);
    wr_say_to(STDERR_FILENO); /* lets go of the terminal */
}
