/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h: the worker process (or, with master_process off, the worker part of the only process):
 * one control thread without traffic, which talks to the supervisor, builds generations and owns
 * the fixtures; and the threads that serve, each with its loop.
 *
 *   supervisor <==chan==> control thread --mail--> thread 0 .. n-1   adopt, quit, stop
 *                                        <--mail--                   up, adopted, down
 *
 * Threads are started by the first configuration. Everything here runs on the control thread, but
 * the mails.
 */
#ifndef WR_MAIN_WORKER_H
#define WR_MAIN_WORKER_H

#define WR_WORKER_ENV                                                                              \
    "WEIR_WORKER_CHANNEL" /* number of the descriptor, for the process that exec made */

/* Serves until it is told to end or the supervisor is gone. Takes chan. Value: exit code. */
int wr_worker_run(int chan);

#endif
