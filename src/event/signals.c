/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.c: a signalfd as an io of mode NOTIFY. The kernel queues; take() reads one at a time and
 * clears the fact when none is left. Owner thread only.
 */
#include "event/signals.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"

void wr_signals_block(const sigset_t *set)
{
    int rc = pthread_sigmask(SIG_BLOCK, set, NULL);

    WR_ASSERT(rc == 0);
}

enum wr_status wr_signals_open(struct wr_signals *s, const sigset_t *set, struct wr_task *task)
{
    int fd = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);
    enum wr_status st;

    wr_io_init(&s->io, WR_IO_NOTIFY, task);
    if (fd == -1) {
        return WR_ESYS;
    }
    st = wr_io_adopt(&s->io, fd);
    if (st != WR_OK) {
        wr_io_close(&s->io, WR_IO_CLOSE_FIN);
    }
    return st;
}

void wr_signals_close(struct wr_signals *s)
{
    wr_io_close(&s->io, WR_IO_CLOSE_FIN);
}

bool wr_signals_take(struct wr_signals *s, int *ret_signo, int *ret_pid)
{
    struct signalfd_siginfo si;
    ssize_t n;

    if (s->io.fd == -1) {
        return false;
    }
    do {
        n = read(s->io.fd, &si, sizeof(si));
    } while (n == -1 && errno == EINTR);
    if (n != (ssize_t)sizeof(si)) {
        s->io.facts &= (uint16_t)~WR_IO_READABLE;
        return false;
    }
    *ret_signo = (int)si.ssi_signo;
    *ret_pid = (int)si.ssi_pid;
    return true;
}
