/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.h: a simulated world for whole exchanges in one thread: a poll back end over sockets in
 * memory, a clock that stands still until somebody wants it later, and peers driven by the test.
 * Everything that is left to chance (short reads and writes, order of events, delays) comes from a
 * seed, so a run can be repeated.
 *
 *   code under test                                  test
 *   wr_listener, wr_conn ... -> wr_io -> [sim_sock]====[sim_sock] <- sim_write, sim_read, scripts
 *
 * A sim has the thread's loop. Make it, start things, sim_run, look, sim_free. Memory of the sim
 * itself comes from wr_mem_alloc, which fault injection does not touch. Descriptors of simulated
 * sockets are numbers from SIM_FD_BASE on; real ones (the mailbox) may be adopted, their events
 * never come.
 */
#ifndef WR_TESTS_SIM_H
#define WR_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "event/loop.h"
#include "event/poll.h"

#define SIM_FD_BASE (1 << 28)

struct sim;
struct sim_sock;
struct sim_step;

struct sim_conf {
    uint64_t seed;
    size_t buf_cap;      /* bytes in flight, each direction; 0: 64 KiB */
    bool short_io;       /* sends and receives of fewer bytes than possible */
    bool delays;         /* events that are ready may come some turns later */
    uint32_t connect_ms; /* most time that a connect takes; 0: next turn */
    uint64_t limit_ms;   /* longest simulated time of one sim_run; 0: a day */
};

struct sim *sim_new(const struct sim_conf *conf);
/* Frees the loop and all sockets. */
void sim_free(struct sim *s);
struct wr_loop *sim_loop(struct sim *s);

enum sim_result {
    SIM_IDLE,  /* nothing can happen any more, no timer is armed, all scripts have ended */
    SIM_STUCK, /* the same, but a script still waits: a deadlock */
    SIM_LIMIT, /* limit_ms, or 1,000,000 turns: it goes round in circles */
};

/* Turns the loop until nothing more can happen; time jumps to the next timer. */
enum sim_result sim_run(struct sim *s);
/* As sim_run, but ends at the latest `ms` from now (the clock then stands there exactly). */
enum sim_result sim_run_for(struct sim *s, uint64_t ms);
/* As sim_run, but at most n turns of the loop (then SIM_LIMIT); and how many there were so far. */
enum sim_result sim_run_turns(struct sim *s, unsigned n);
unsigned sim_turns(const struct sim *s);
uint64_t sim_now_ms(const struct sim *s);
/* Time passes without a turn of the loop, as when the machine was asleep. */
void sim_jump(struct sim *s, uint64_t ms);

/* 10.0.0.host:port */
struct wr_addr sim_addr(unsigned host, uint16_t port);

/* --- addresses --- */

/* A listening socket for the code under test: a descriptor for wr_listener_open. */
int sim_listen(struct sim *s, const struct wr_addr *a);
typedef void sim_accept_fn(struct sim_sock *k, void *data);
/* Peers of the test at an address; fn gets each connection (before its first byte). */
void sim_serve(struct sim *s, const struct wr_addr *a, sim_accept_fn *fn, void *data);
/* The same with one script for all connections. */
void sim_serve_script(struct sim *s, const struct wr_addr *a, const struct sim_step *steps);
/* Nobody is there any more: connects are refused (as for addresses never served). */
void sim_unserve(struct sim *s, const struct wr_addr *a);
/* Connects to this address are never answered. */
void sim_blackhole(struct sim *s, const struct wr_addr *a);
/* Connections accepted at an address so far. */
unsigned sim_accepted(const struct sim *s, const struct wr_addr *a);
/* The next n accepts of the code under test fail with EMFILE. */
void sim_fail_accepts(struct sim *s, unsigned n);

/* --- sockets of the test --- */

/* Connects to a listener of the code under test; NULL when nobody listens. Freed with the sim. */
struct sim_sock *sim_dial(struct sim *s, const struct wr_addr *a);
/* fn is called from a clean stack whenever something may have changed: bytes, room, an end. */
void sim_watch(struct sim_sock *k, sim_accept_fn *fn, void *data);
/* Bytes that found room. 0 after an end. */
size_t sim_write(struct sim_sock *k, const void *bytes, size_t n);
/* Bytes that were there. */
size_t sim_read(struct sim_sock *k, void *buf, size_t n);
size_t sim_readable(const struct sim_sock *k);
/* The other side sends no more, and all was read. */
bool sim_is_eof(const struct sim_sock *k);
bool sim_is_reset(const struct sim_sock *k);
bool sim_is_closed(const struct sim_sock *k);
void sim_shutdown(struct sim_sock *k);
/* As TCP: with bytes unread it is a reset. Idempotent. */
void sim_close(struct sim_sock *k);
void sim_reset(struct sim_sock *k);

/* The connection is reset when n bytes have gone from (TX) or to (RX) this socket. */
enum sim_dir {
    SIM_TX,
    SIM_RX
};

void sim_reset_at(struct sim_sock *k, enum sim_dir dir, uint64_t n);
/* Bytes that have gone so far. */
uint64_t sim_total(const struct sim_sock *k, enum sim_dir dir);
/* Receives that went to a kernel pipe so far. */
unsigned sim_piped(const struct sim *s);
/* The n-th connection accepted at an address (0 is the first), or NULL. */
struct sim_sock *sim_accepted_sock(const struct sim *s, const struct wr_addr *a, unsigned n);

/* --- scripts (sim_script.c) --- */

enum sim_op {
    SIM_OP_END,    /* done; the socket stays open */
    SIM_OP_SEND,   /* text, or n bytes of a pattern when text is NULL */
    SIM_OP_EXPECT, /* exactly this text */
    SIM_OP_UNTIL,  /* any bytes up to and with this text */
    SIM_OP_READ,   /* any n bytes */
    SIM_OP_WAIT,   /* n milliseconds */
    SIM_OP_EOF,    /* nothing but the end */
    SIM_OP_DRAIN,  /* any bytes, then an end of either kind */
    SIM_OP_SHUTDOWN,
    SIM_OP_CLOSE,
    SIM_OP_RESET,
    SIM_OP_LOOP, /* from the first step again, unless the stream has ended */
};

struct sim_step {
    enum sim_op op;
    const char *text; /* zero-terminated */
    size_t n;
};

/* clang-format off */
#define SIM_SEND(t)    {SIM_OP_SEND, (t), 0}
#define SIM_SEND_N(k)  {SIM_OP_SEND, NULL, (k)}
#define SIM_EXPECT(t)  {SIM_OP_EXPECT, (t), 0}
#define SIM_UNTIL(t)   {SIM_OP_UNTIL, (t), 0}
#define SIM_READ(k)    {SIM_OP_READ, NULL, (k)}
#define SIM_WAIT(ms)   {SIM_OP_WAIT, NULL, (ms)}
#define SIM_EXPECT_EOF {SIM_OP_EOF, NULL, 0}
#define SIM_DRAIN      {SIM_OP_DRAIN, NULL, 0}
#define SIM_SHUTDOWN   {SIM_OP_SHUTDOWN, NULL, 0}
#define SIM_CLOSE      {SIM_OP_CLOSE, NULL, 0}
#define SIM_RESET      {SIM_OP_RESET, NULL, 0}
#define SIM_LOOP       {SIM_OP_LOOP, NULL, 0}
#define SIM_END        {SIM_OP_END, NULL, 0}
/* clang-format on */

/* steps end with SIM_END, SIM_CLOSE, SIM_RESET or SIM_LOOP and must outlive the sim. */
void sim_script(struct sim_sock *k, const struct sim_step *steps);
/* Ended, well or not. */
bool sim_script_is_done(const struct sim_sock *k);
/* NULL, or what was unexpected ("step 2: expected ..., got ..."). */
const char *sim_script_error(const struct sim_sock *k);
/* The first error of any script of the sim, or NULL. */
const char *sim_error(const struct sim *s);
/* All that the script has read so far. */
const char *sim_received(const struct sim_sock *k, size_t *ret_n);

/* --- failing allocations --- */

typedef void sim_scenario_fn(void *data);
/*
 * Runs the scenario (from sim_new to sim_free) again and again; the n-th run-time allocation after
 * sim_new fails, n = 1, 2 ... until a run needs fewer than n. Without WEIR_TORTURE in the
 * environment later n are sampled. After each run the memory in use must be what it was before.
 * Returns the number of runs in which an allocation failed. sim_is_faulted: in such a run (expect
 * less then).
 */
unsigned sim_torture(sim_scenario_fn *fn, void *data);
bool sim_is_faulted(void);

#endif
