/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h: what all threads know of a peer: a fixture that survives reloads as long as some
 * generation names the same group and address. Facts are atomics, which a request that goes well
 * only reads, but where its slots are counted together (wr_peer_active); failure accounting is one
 * word changed by CAS (U2.2).
 *
 *   health word:  fails 16 bits | probing 1 bit | since_ms 47 bits
 *
 *     a failure  since older than fail_timeout: fails = 1, else fails + 1; since = now, probing off
 *     out        fails >= max_fails and (now - since < fail_timeout or probing)
 *     a probe    when the time is over one picker sets probing and since = now by CAS; others go on
 *     a success  clears the word if its attempt did not begin before the latest failure (failed_at)
 *     given up   (the client left) probing off, and the next one may probe at once
 */
#ifndef WR_UP_PEER_H
#define WR_UP_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "base/sync.h"
#include "conf/gen.h"

enum wr_time_kind {
    WR_TIME_HEADER,    /* until the response head */
    WR_TIME_LAST_BYTE, /* until the end of the response */
    WR_TIME_CNT
};

struct wr_peer {
    struct wr_fixture fixture;
    uint64_t id; /* names the peer where a pointer may outlive it (idle connections) */
    struct wr_addr addr;
    uint16_t text_len;
    char text[WR_ADDR_TEXT_MAX]; /* "10.0.0.1:80": $upstream_addr */
    uint32_t tally;              /* its number in up/tally.h; 0: none */
    wr_atomic_u32 active; /* slots in use of members that count together, see wr_peer_active */
    wr_atomic_u64 health;
    wr_atomic_u64 failed_at;          /* the latest failure; written before the word */
    wr_atomic_u64 requests, failures; /* for status; requests of threads without a tally */
    wr_atomic_u64 slow_since;         /* slow_start: came back at this time; 0: not */
    wr_atomic_u64 began_sum;          /* starts of the requests that are under way, summed */
    wr_atomic_u64 times[WR_TIME_CNT]; /* mean in 1/256 ms, upper half; when it was changed, lower */
};

/* A server{} line of a group with its parameters, and the peer behind one address of it. */
struct wr_member {
    struct wr_peer *peer;
    struct wr_str server; /* as configured: "app.example:8080" */
    uint32_t weight;      /* >= 1 */
    uint32_t max_conns;   /* 0: no limit */
    uint32_t max_fails;   /* 0: no accounting */
    uint32_t fail_timeout_ms;
    uint32_t slow_start_ms; /* 0: none */
    bool is_backup, is_down;
    bool is_draining;         /* only for sessions that are bound to it */
    bool counts_together;     /* its slots are counted in one word for all threads */
    struct wr_str route;      /* route=, or empty */
    wr_atomic_u32 *effective; /* effective weight, 0..weight (U2.1) */
};

enum wr_outcome {
    WR_OUTCOME_OK,      /* answered */
    WR_OUTCOME_FAILED,  /* counts against it */
    WR_OUTCOME_BROKE,   /* broke off after its header was accepted: neither (U2.2) */
    WR_OUTCOME_NEUTRAL, /* the client ended it, or the failure was ours */
};

/* Finds or makes the fixture (control thread). group: name of the group. */
enum wr_status wr_peer_get(struct wr_fixtures *r, struct wr_gen *g, struct wr_str group,
                           const struct wr_addr *addr, struct wr_peer **ret) WR_MUST_CHECK;

/* The same without a generation: the caller takes a reference before the next sweep. */
enum wr_status wr_peer_find(struct wr_fixtures *r, struct wr_str group, const struct wr_addr *addr,
                            struct wr_peer **ret) WR_MUST_CHECK;

/* Health of a member for picking: is it free of failures, or is a probe due? */
bool wr_peer_is_healthy(const struct wr_member *m, uint64_t now_ms);
/* When a peer that is out may be probed; 0: it is not out. */
uint64_t wr_peer_due_ms(const struct wr_member *m);
/* May a request that has a slot go there? When the peer is out but due, one gets the right to
 * probe.
 */
bool wr_peer_claim(const struct wr_member *m, uint64_t now_ms, bool *ret_probe);
/*
 * Takes a slot (max_conns) and, when the peer is out but due, the right to probe. False: another
 * was faster, or full: pick again. *ret_probe: this attempt is the probe.
 */
bool wr_peer_acquire(const struct wr_member *m, uint64_t now_ms, bool has_accounting,
                     bool *ret_probe);
/* How far it is in its slow start, 0 to 256; 256: not in one. */
unsigned wr_peer_ramp(const struct wr_member *m, uint64_t now_ms);
/* Mean time in 1/256 ms, halved for each 10 s without news, so that a slow one is asked again. */
uint64_t wr_peer_mean_time(const struct wr_peer *p, enum wr_time_kind kind, uint64_t now_ms);
void wr_peer_note_time(struct wr_peer *p, enum wr_time_kind kind, uint64_t took_ms,
                       uint64_t now_ms);

/* --- how an attempt's end changes the health of its peer --- */

enum wr_health_change {
    WR_HEALTH_SAME,
    WR_HEALTH_WORSE,   /* one failure more */
    WR_HEALTH_CLEARED, /* failures forgotten that had not taken it out yet */
    WR_HEALTH_BACK,    /* it was out and can be chosen again */
    WR_HEALTH_DUE      /* it is out and may be probed at once */
};

struct wr_health_in {
    uint64_t word, failed_at_ms;
    enum wr_outcome how;
    bool was_probe;
    uint32_t max_fails, fail_timeout_ms; /* max_fails > 0 */
    uint64_t began_ms, now_ms;
};

struct wr_health_out {
    uint64_t word;
    enum wr_health_change change; /* SAME: word is unchanged */
};

/* Pure: the rules of U2.2. */
struct wr_health_out wr_health_after(const struct wr_health_in *in);
/* Applies them to the peer. Any thread. began_ms: when the attempt started. */
enum wr_health_change wr_peer_account(const struct wr_member *m, enum wr_outcome how,
                                      uint64_t began_ms, uint64_t now_ms, bool was_probe);
/* Gives the slot back. */
void wr_peer_leave(const struct wr_member *m);
/*
 * Slots in use, of all threads. Where something decides by the number while requests come and go
 * (max_conns, least_conn and its kin: `counts_together`) they are in one word, and the limit is
 * kept exactly; elsewhere each thread has its own (up/tally.h), no request writes what others
 * write, and the sum is of almost one moment. A peer may have both, after a reload.
 */
uint32_t wr_peer_active(const struct wr_peer *p);
/* max_conns: is none left? */
bool wr_peer_is_full(const struct wr_member *m);

/* How it looks from outside. */
enum wr_peer_health {
    WR_PEER_UP,
    WR_PEER_PROBED, /* it was out: one request tries it */
    WR_PEER_OUT     /* of max_fails failures; for_ms until the next try (0: due) */
};

struct wr_peer_facts {
    enum wr_peer_health health;
    uint32_t fails, active;
    uint64_t requests, failures, for_ms;
};

/* Any thread. */
void wr_peer_look(const struct wr_member *m, bool has_accounting, uint64_t now_ms,
                  struct wr_peer_facts *ret);

#endif
