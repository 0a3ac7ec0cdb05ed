/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h: what all threads know of a peer: a fixture that survives reloads as long as some
 * generation names the same group and address. Facts are atomics; failure accounting is one word
 * changed by CAS (U2.2).
 *
 *   health word:  fails 16 bits | probing 1 bit | since_ms 47 bits
 *     a failure     since older than fail_timeout: fails = 1, else fails + 1; since = now; probing
 * off out           fails >= max_fails and (now - since < fail_timeout or probing) a probe when the
 * time is over one picker sets probing and since = now by CAS; others go on a success     clears
 * the word if its attempt began at or after `since` given up      (client left) the prober switches
 * probing off and lets the next one probe at once
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

struct wr_peer {
    struct wr_fixture fixture;
    uint64_t id; /* names the peer where a pointer may outlive it (idle connections) */
    struct wr_addr addr;
    uint16_t text_len;
    char text[WR_ADDR_TEXT_MAX]; /* "10.0.0.1:80": $upstream_addr */
    wr_atomic_u32 active;        /* slots in use */
    wr_atomic_u64 health;
    wr_atomic_u64 requests, failures; /* for status */
};

/* A server{} line of a group with its parameters, and the peer behind one address of it. */
struct wr_member {
    struct wr_peer *peer;
    struct wr_str server; /* as configured: "app.example:8080" */
    uint32_t weight;      /* >= 1 */
    uint32_t max_conns;   /* 0: no limit */
    uint32_t max_fails;   /* 0: no accounting */
    uint32_t fail_timeout_ms;
    bool is_backup, is_down;
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
/*
 * Takes a slot (max_conns) and, when the peer is out but due, the right to probe. False: another
 * was faster, or full: pick again. *ret_probe: this attempt is the probe.
 */
bool wr_peer_acquire(const struct wr_member *m, uint64_t now_ms, bool has_accounting,
                     bool *ret_probe);
/* Gives the slot back with the outcome. began_ms: when the attempt started. */
void wr_peer_release(const struct wr_member *m, enum wr_outcome how, uint64_t began_ms,
                     uint64_t now_ms, bool has_accounting, bool was_probe);

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
