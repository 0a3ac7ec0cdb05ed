/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_int.h: bits of struct wr_io that poll.c and the back ends (the simulator too) agree on.
 */
#ifndef WR_EVENT_POLL_INT_H
#define WR_EVENT_POLL_INT_H

#include "event/poll.h"

#define WR_IO_MAGIC 0x77696f21u

/* get_fate of a back end that uses the kernel's sockets (poll_fate.c). */
enum wr_io_fate wr_poll_tcp_fate(struct wr_poll *p, struct wr_io *io, uint64_t since);
/* count_sent of one. */
uint64_t wr_poll_tcp_sent(struct wr_poll *p, struct wr_io *io);
/*
 * Their arithmetic. acked: bytes that the other side's system has acknowledged, and one for the
 * SYN, since the connection was made; 0: not known. unacked: bytes that it has not, asked later.
 */
enum wr_io_fate wr_poll_judge_fate(uint64_t acked, uint64_t since, bool is_closed);
uint64_t wr_poll_add_sent(uint64_t acked, uint32_t unacked);

/* wr_io._wants */
enum {
    WR_IOW_IN = 1,      /* the owner's wish */
    WR_IOW_OUT = 2,     /* a send came short: WRITABLE is awaited */
    WR_IOW_RX_DONE = 4, /* nothing more will be received: EOF or ERR was stored */
};

/* wr_io._armed */
enum {
    WR_IOA_IN = 1,
    WR_IOA_OUT = 2,
    WR_IOA_RDHUP = 4,
};

#endif
