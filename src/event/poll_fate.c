/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_fate.c: what the kernel knows of bytes that a peer may never have read. A file of its own:
 * linux/tcp.h has the tcp_info with all fields and excludes netinet/tcp.h.
 *
 * The kernel counts our SYN as one byte acknowledged. An end (FIN) carries an acknowledgement of
 * all that the peer's system had then: with nothing acknowledged, nobody could have read a byte
 * before it. Who only half-closed may still read; its system then acknowledges, while a socket that
 * is gone answers with a reset (state CLOSE here). A reset alone acknowledges nothing, whatever the
 * peer has read: that is not asked (wr_io_get_fate).
 *
 * One peer is beyond this: who half-closes, and so says that it answers nothing more, reads a
 * request then, acts on it, and resets before its system's delayed acknowledgement (40 ms).
 * Owner thread of the io.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "event/poll_int.h"

#define TCP_STATE_CLOSE 7 /* TCP_CLOSE, whose name only netinet/tcp.h has */

enum wr_io_fate wr_poll_tcp_fate(struct wr_poll *p, struct wr_io *io, uint64_t since)
{
    struct tcp_info ti;
    socklen_t n = sizeof(ti);

    (void)p; /* the descriptor says it all */
    memset(&ti, 0, sizeof(ti));
    if (getsockopt(io->fd, IPPROTO_TCP, TCP_INFO, &ti, &n) == -1 ||
        n < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(ti.tcpi_bytes_acked) ||
        ti.tcpi_bytes_acked > since + 1) {
        return WR_IO_TAKEN;
    }
    return ti.tcpi_state == TCP_STATE_CLOSE ? WR_IO_LOST : WR_IO_FLYING;
}
