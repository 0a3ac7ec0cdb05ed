/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chan.h: messages with descriptors between the supervisor and its worker, over a socket pair of
 * type SEQPACKET: a message is whole or not there. Each end is used by one thread.
 *
 *   supervisor -> worker   LOG name fd       the file behind an error_log or access_log
 *                          LISTEN text fd    a listening socket, number no of those of its address
 *                          LOAD no fd        a bundle: build this generation and publish it
 *                          REOPEN name fd    the same name has a new file
 *                          QUIT, STOP
 *                          ASK no text       a question (question.h)
 *                          SECRET text       what keys of tickets are made of; before a LOAD
 *   worker -> supervisor   READY no          all threads serve this generation
 *                          FAILED no text    it could not be built; the one before goes on
 *                          CLOSED            it ends, and takes no connection any more
 *                          ANSWER no text fd to the question of that number
 */
#ifndef WR_MAIN_CHAN_H
#define WR_MAIN_CHAN_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

#define WR_CHAN_TEXT_MAX 4096
/*
 * An address that is removed answers nobody new, but stays open so long for those who had begun to
 * connect: a round trip, or the time that a busy machine takes for its packets.
 */
#define WR_LINGER_MS     200

enum wr_chan_type {
    WR_CHAN_LOG = 1,
    WR_CHAN_LISTEN,
    WR_CHAN_LOAD,
    WR_CHAN_REOPEN,
    WR_CHAN_QUIT,
    WR_CHAN_STOP,
    WR_CHAN_SECRET,
    WR_CHAN_READY,
    WR_CHAN_FAILED,
    WR_CHAN_CLOSED,
    WR_CHAN_ASK,
    WR_CHAN_ANSWER
};

struct wr_chan_msg {
    enum wr_chan_type type;
    uint64_t no;
    struct wr_str text;          /* points into room when received */
    int fd;                      /* -1: none; a received one belongs to the receiver */
    char room[WR_CHAN_TEXT_MAX]; /* of the receiver */
};

/* *ret_here, *ret_there: both close-on-exec; `here` is non-blocking. */
enum wr_status wr_chan_open(int *ret_here, int *ret_there) WR_MUST_CHECK;
/*
 * Sends; waits up to 10 s for room. fd -1: none; it stays the caller's. WR_EPEERGONE, WR_ETIMEDOUT,
 * WR_ELIMIT (text too long), WR_ESYS.
 */
enum wr_status wr_chan_send(int chan, enum wr_chan_type type, uint64_t no, struct wr_str text,
                            int fd) WR_MUST_CHECK;
/* Does not wait: WR_AGAIN when there is no room. */
enum wr_status wr_chan_try(int chan, enum wr_chan_type type, uint64_t no, struct wr_str text,
                           int fd) WR_MUST_CHECK;
/* WR_AGAIN: none now. WR_EPEERGONE: the other end is gone. WR_EPROTO: not a message of ours. */
enum wr_status wr_chan_recv(int chan, struct wr_chan_msg *ret) WR_MUST_CHECK;

#endif
