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
 * Of a connection that the kernel encrypts nobody here knows how many bytes its records had: it is
 * asked where the stream is when a request begins (count_sent). What it has not given to TCP yet
 * (an open record), and what is acknowledged between the two questions, is missing in the sum. That
 * errs to the side of TAKEN: with a smaller `since` more counts as acknowledged.
 *
 * One peer is beyond this: who half-closes, and so says that it answers nothing more, reads a
 * request then, acts on it, and resets before its system's delayed acknowledgement (40 ms).
 * Owner thread of the io.
 */
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "event/poll_int.h"

#define TCP_STATE_CLOSE 7 /* TCP_CLOSE, whose name only netinet/tcp.h has */

/* How many bytes of ours the peer's system has acknowledged, and the SYN; 0: that is not known. */
static uint64_t read_acked(const struct wr_io *io, uint8_t *ret_state)
{
    struct tcp_info ti;
    socklen_t n = sizeof(ti);

    memset(&ti, 0, sizeof(ti));
    if (getsockopt(io->fd, IPPROTO_TCP, TCP_INFO, &ti, &n) == -1 ||
        n < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(ti.tcpi_bytes_acked)) {
        return 0;
    }
    *ret_state = ti.tcpi_state;
    return ti.tcpi_bytes_acked;
}

enum wr_io_fate wr_poll_judge_fate(uint64_t acked, uint64_t since, bool is_closed)
{
    if (acked == 0 || acked - 1 > since) {
        return WR_IO_TAKEN;
    }
    return is_closed ? WR_IO_LOST : WR_IO_FLYING;
}

uint64_t wr_poll_add_sent(uint64_t acked, uint32_t unacked)
{
    return acked == 0 ? 0 : acked - 1 + unacked;
}

enum wr_io_fate wr_poll_tcp_fate(struct wr_poll *p, struct wr_io *io, uint64_t since)
{
    uint8_t state = 0;
    uint64_t acked = read_acked(io, &state);

    (void)p; /* the descriptor says it all */
    return wr_poll_judge_fate(acked, since, state == TCP_STATE_CLOSE);
}

uint64_t wr_poll_tcp_sent(struct wr_poll *p, struct wr_io *io)
{
    uint8_t state = 0;
    uint64_t acked = read_acked(io, &state); /* first: what is acknowledged now leaves the queue */
    int queued = 0;

    (void)p;
    if (ioctl(io->fd, SIOCOUTQ, &queued) == -1 || queued < 0) {
        return 0;
    }
    return wr_poll_add_sent(acked, (uint32_t)queued);
}
