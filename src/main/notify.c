/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.c: see notify.h. A message is one datagram of NAME=value lines to the socket whose name
 * the service manager left in NOTIFY_SOCKET: a path, or '@' and an abstract name. Each message has
 * a socket of its own, so that nothing stays open that a child could inherit, and a manager that
 * was started again is found. A manager that does not read is waited for a second; what cannot be
 * told is logged and otherwise without effect. The name is the only state; it is set once, before
 * there are threads.
 */
#include "main/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"
#include "main/say.h"

#define ENV_NAME    "NOTIFY_SOCKET"
#define MESSAGE_MAX 256
#define WAIT_S      1

static struct sockaddr_un manager; /* supervisor's thread */
static socklen_t manager_len;      /* supervisor's thread; 0: there is none */
static char env_text[sizeof(ENV_NAME "=") + sizeof(manager.sun_path)]; /* supervisor's thread */

void wr_notify_init(void)
{
    const char *name = getenv(ENV_NAME);
    size_t n = name != NULL ? strlen(name) : 0;

    manager_len = 0;
    if (name == NULL) {
        return;
    }
    if (n < 2 || n >= sizeof(manager.sun_path) || (name[0] != '/' && name[0] != '@')) {
        wr_say(WR_LOG_WARN, 0, "the service manager's " ENV_NAME " \"%s\" is of no known kind",
               name);
    } else {
        memset(&manager, 0, sizeof(manager));
        manager.sun_family = AF_UNIX;
        memcpy(manager.sun_path, name, n);
        if (name[0] == '@') {
            manager.sun_path[0] = '\0';
        }
        /* An abstract name has no end of its own: every byte counts. */
        manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        manager_len += name[0] == '/';
        (void)snprintf(env_text, sizeof(env_text), ENV_NAME "=%s", name);
    }
    (void)unsetenv(ENV_NAME);
}

const char *wr_notify_env(void)
{
    return manager_len > 0 ? env_text : NULL;
}

static bool send_text(const char *text, size_t n)
{
    const struct timeval wait = {.tv_sec = WAIT_S};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t sent;
    int err;

    if (fd == -1) {
        return false;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)); /* else it waits longer */
    do {
        sent = sendto(fd, text, n, MSG_NOSIGNAL, (const struct sockaddr *)&manager, manager_len);
    } while (sent == -1 && errno == EINTR);
    err = errno;
    (void)close(fd);
    errno = err;
    return sent == (ssize_t)n;
}

static void tell(const char *fmt, ...) WR_PRINTF(1, 2);

static void tell(const char *fmt, ...)
{
    char text[MESSAGE_MAX];
    va_list ap;
    int n;

    if (manager_len == 0) {
        return;
    }
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (!send_text(text, WR_MIN((size_t)n, sizeof(text) - 1))) {
        wr_log_errno(NULL, WR_LOG_WARN, errno, "telling the service manager failed");
    }
}

void wr_notify_ready(uint64_t generation)
{
    tell("READY=1\nMAINPID=%d\nSTATUS=configuration %" PRIu64 " is being served", (int)getpid(),
         generation);
}

void wr_notify_reloading(void)
{
    /* The manager compares the time with that of its own request (Type=notify-reload). */
    tell("RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reading the configuration",
         wr_clock_mono_us());
}

void wr_notify_stopping(void)
{
    tell("STOPPING=1\nSTATUS=ending");
}

void wr_notify_main_pid(pid_t pid)
{
    tell("MAINPID=%d", (int)pid);
}
