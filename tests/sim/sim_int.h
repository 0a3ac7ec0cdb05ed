/* SPDX-License-Identifier: Apache-2.0 */
/* sim_int.h: what sim.c and sim_script.c share. */
#ifndef WR_TESTS_SIM_INT_H
#define WR_TESTS_SIM_INT_H

#include "event/task.h"
#include "event/timer.h"
#include "sim/sim.h"

/* Bytes on their way to one socket: a ring of cap bytes. */
struct sim_pipe {
    char *buf;
    size_t cap, head, len;
    uint64_t total;    /* bytes that were put in */
    uint64_t reset_at; /* UINT64_MAX: never */
    bool is_fin;       /* the writer sends no more */
};

struct sim_script {
    const struct sim_step *steps;
    size_t at;   /* step */
    size_t done; /* bytes of the step sent or matched */
    bool is_done;
    bool is_waiting; /* SIM_OP_WAIT was begun */
    struct wr_timer timer;
    char *got; /* all bytes read */
    size_t got_len, got_cap;
    size_t searched; /* SIM_OP_UNTIL: from here on in got */
    char error[160];
};

struct sim_sock {
    struct sim *sim;
    struct sim_sock *next; /* of the sim */
    struct sim_sock *peer; /* the other end; lives as long as the sim */
    struct sim_pipe rx;
    int fd;           /* code under test: from accept or connect; -1: the test's, or closed */
    struct wr_io *io; /* who has adopted it */
    bool is_closed, is_reset;
    bool is_refused;        /* reset since it sent to one that had closed */
    uint64_t connect_at_ms; /* io->is_connecting: when it is answered; UINT64_MAX: never */
    int connect_errno;
    struct wr_addr addr; /* the other side's, as accept tells it */
    struct wr_task task; /* test side */
    sim_accept_fn *watch;
    void *watch_data;
    struct sim_script *script;
};

/* Makes the connection dead: both ends see a reset behind what they have got. */
void sim_break(struct sim_sock *k);

#endif
