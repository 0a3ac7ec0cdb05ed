/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_kit.h: what the simulator's tests of the whole proxy share: a world (a simulator, the ports
 * of a generation in it, peers), acts that disturb what happens there, and the sweep, which plays a
 * scene again and again with an act behind each turn of the loop.
 *
 *   kit_begin -> kit_serve ... -> kit_adopt -> kit_dial -> kit_disturb -> kit_end
 *
 * The configuration comes from proxy_kit.h. Behind kit_end nothing is left of what was played, or
 * the test fails.
 */
#ifndef WR_TESTS_SIM_SWEEP_KIT_H
#define WR_TESTS_SIM_SWEEP_KIT_H

#include "conf/gen.h"
#include "io/kpipe.h"
#include "sim/sim.h"

#define KIT_PORTS     4
#define KIT_PEERS     4
#define KIT_TURNS_MAX 4000 /* of one scene */

/* One act of so many is played: all, but where one thread's work is slow and shows little. */
#ifdef __SANITIZE_THREAD__
#    define KIT_STRIDE 3u
#else
#    define KIT_STRIDE 1u
#endif

struct kit_world {
    struct sim *sim;
    int fds[KIT_PORTS];
    struct wr_addr peers[KIT_PEERS]; /* that were served */
    unsigned peer_cnt;
    bool ends_with_client; /* no act comes behind the end of its script, though the world goes on */
    uint64_t ended_ms;     /* then: when that was */
};

/* --- a world --- */

void kit_begin(struct kit_world *w, const struct sim_conf *conf, const struct wr_gen *gen);
/* The second half of kit_begin, where the generation is loaded in the simulator. */
void kit_open_ports(struct kit_world *w, const struct wr_gen *gen);
/* A peer at 10.0.0.host; steps NULL: nobody is there. */
void kit_serve(struct kit_world *w, unsigned host, const struct sim_step *steps);
void kit_serve_fn(struct kit_world *w, const struct wr_addr *a, sim_accept_fn *fn, void *data);
/* The same sockets for a generation that follows the first one. */
void kit_set_ports(struct kit_world *w, const struct wr_gen *gen);
/* False: an allocation failed, as it was told to. */
bool kit_adopt(struct wr_gen *gen);
/* A client of 10.0.0.1:80. NULL, when an allocation failed: nobody listens. */
struct sim_sock *kit_dial(struct kit_world *w, const struct sim_step *steps);
/* All ends, idle connections, too; the simulator is still there. */
void kit_settle(struct kit_world *w);
/* Settles and ends the simulator. How often bytes went to a kernel pipe. */
unsigned kit_end(struct kit_world *w);

/* What a client or peer has got, cut to cap, with a zero behind it. NULL got nothing. */
size_t kit_keep(const struct sim_sock *k, char *to, size_t cap);

/* --- acts --- */

enum kit_act {
    KIT_NONE,
    KIT_CLIENT_RESET,
    KIT_CLIENT_CLOSE,
    KIT_PEERS_RESET,
    KIT_PEERS_CLOSE,
    KIT_ACT_CNT /* from here on the test's own */
};

/* Where in a sweep. */
struct kit_step {
    uint64_t seed;
    unsigned turn; /* act behind this one */
    unsigned act;
    unsigned turns; /* taken by the whole scene; written by kit_disturb */
};

typedef void kit_act_fn(void *data, unsigned act);

struct kit_own_acts {
    kit_act_fn *before; /* called in front of every act; may be NULL */
    kit_act_fn *fn;     /* does those from KIT_ACT_CNT on */
    void *data;
};

/* Runs to the step's turn, acts on c or all peers, and runs on for a minute. own may be NULL. c
 * may be NULL without an act. */
void kit_disturb(struct kit_world *w, struct kit_step *step, struct sim_sock *c,
                 const struct kit_own_acts *own);
void kit_reset_peer(struct kit_world *w, const struct wr_addr *a);

/* --- sweeps --- */

/* Plays once; sets step->turns by kit_disturb; checks. step->act KIT_NONE: undisturbed. */
typedef void kit_play_fn(void *data, struct kit_step *step);

/*
 * For each seed from 1 on: undisturbed, then each act before act_cnt behind each turn. Fails, by
 * the scene's name, when the plays leave memory. Value: how many were disturbed.
 */
unsigned kit_sweep(kit_play_fn *play, void *data, const char *name, uint64_t seeds,
                   unsigned act_cnt);

/* All requests are over, and no peer of any group has a slot taken. */
void kit_check_over(const struct wr_gen *gen, const char *name, const struct kit_step *step);

/* --- texts --- */

/* The body of a whole chunked message into `to`; false: it is not whole. */
bool kit_join_chunks(const char *at, char *to, size_t cap);

/* The body of an answer of 200 as far as it says that it is whole. */
enum kit_body {
    KIT_NO_ANSWER,  /* or another status */
    KIT_HAS_LENGTH, /* its length says whether it is whole: all that came */
    KIT_CUT,        /* chunks that do not end */
    KIT_WHOLE       /* chunks that end */
};
enum kit_body kit_body_of(const char *got, char *to, size_t cap);

/* --- bodies in kernel pipes --- */

/* Small ones, and few, so that a body of a few KB fills them. */
extern const struct wr_kpipe_conf kit_small_pipes;
/* len letters and a zero. */
void kit_fill_body(char *body, size_t len);
/* Answers or requests with a length that begin with `first`; each body is body, the last one may be
 * cut. Whole ones; *ret_end, if not NULL: behind the last. */
unsigned kit_count_bodies(const char *at, const char *first, const char *body,
                          const char **ret_end);

#endif
