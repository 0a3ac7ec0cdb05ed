/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send.h: the request towards the peer: its head from the protocol, its body from memory, file or
 * the client. Thread of the request.
 */
#ifndef WR_UP_SEND_H
#define WR_UP_SEND_H

struct wr_up;

/* The stream is new: builds the request and starts it; ends the attempt when that fails. */
void wr_up_send_start(struct wr_up *u);
/* Moves on what the client sent since (unbuffered bodies). */
void wr_up_send_step(struct wr_up *u);

#endif
