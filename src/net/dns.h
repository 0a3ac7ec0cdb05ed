/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns.h: asking name servers at run time (`resolver`): addresses and services of names, kept as
 * long as their TTL says. One struct wr_dns is one set of servers with its cache. It lives on the
 * thread that made it (the control thread): all questions and answers go over that thread's loop.
 *
 *   any thread:  wr_dns_get (the cache)  ->  wr_dns_start ... the task wakes ... wr_dns_result
 *                     mail: ask ->   one running look-up a name, all who wait  -> mail: the answer
 *
 * An answer is immutable and counted; who has one keeps it as long as he likes.
 */
#ifndef WR_NET_DNS_H
#define WR_NET_DNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "base/sync.h"
#include "net/dns_msg.h"

#define WR_DNS_SERVERS_MAX 16
#define WR_DNS_NAMES_MAX   4096  /* in the cache; the least recently used goes */
#define WR_DNS_RUNNING_MAX 1024  /* look-ups at a time */
#define WR_DNS_WAITING_MAX 16384 /* asks that wait for them */

struct wr_task;
struct wr_dns;
struct wr_dns_ask;

/* What a `resolver` directive says. */
struct wr_dns_conf {
    struct wr_addr servers[WR_DNS_SERVERS_MAX]; /* with ports; asked in turn */
    size_t server_cnt;
    uint64_t valid_ms; /* 0: as the answer says */
    bool ipv4, ipv6;   /* at least one */
    uint32_t try_ms;   /* until a question is sent again, doubled each time; 0: the default */
};

enum wr_dns_kind {
    WR_DNS_ADDRS,
    WR_DNS_SERVICES
};

/* The numbers are those of the protocol, and appear in log lines. */
enum wr_dns_why {
    WR_DNS_FOUND = 0,
    WR_DNS_FORMAT = 1,
    WR_DNS_SERVER = 2,
    WR_DNS_NOT_FOUND = 3,
    WR_DNS_NOT_IMPLEMENTED = 4,
    WR_DNS_REFUSED = 5,
    WR_DNS_NO_MEMORY = 12,  /* ours, or all names of a full cache are being looked up */
    WR_DNS_TOO_MANY = 105,  /* look-ups or waiting asks */
    WR_DNS_TIMED_OUT = 110, /* no server answered */
    WR_DNS_NO_SERVER = 111, /* no server listens */
    WR_DNS_CANCELED = 125,  /* the resolver went away */
};

struct wr_dns_answer {
    wr_atomic_u32 _refs;
    uint16_t why;      /* enum wr_dns_why */
    uint64_t until_ms; /* good for use by others until then */
    uint32_t addr_cnt, srv_cnt;
    struct wr_addr *addrs; /* port 0; IPv4 first, in the order of the answers */
    struct wr_dns_srv *srvs;
};

/* "Host not found"; constant text. */
const char *wr_dns_why_text(unsigned why);

/*
 * On the thread that serves it, which has a loop; the caller has the one reference. WR_ENOMEM;
 * WR_ESYS: no descriptors.
 */
enum wr_status wr_dns_new(const struct wr_dns_conf *c, struct wr_dns **ret) WR_MUST_CHECK;
/*
 * Its thread. The last reference ends it: who waits gets WR_DNS_CANCELED. Accepts NULL. Askers must
 * be alive or have cancelled.
 */
void wr_dns_unref(struct wr_dns *d);

/*
 * What is known of the name, good or bad; the caller's reference. NULL: nothing, or too old. A name
 * is compared without regard to case; one dot at its end is nothing. Any thread.
 */
const struct wr_dns_answer *wr_dns_get(struct wr_dns *d, enum wr_dns_kind kind, struct wr_str name);
/* Any thread; accepts NULL. */
void wr_dns_answer_unref(const struct wr_dns_answer *a);

/*
 * Asks; `task`, of this thread, is woken when the answer is there. Somebody else's look-up of the
 * same name is joined. The caller ends it by wr_dns_end in every case, and d must live until this
 * call returned. WR_ENOMEM. Any thread with a loop.
 */
enum wr_status wr_dns_start(struct wr_dns *d, enum wr_dns_kind kind, struct wr_str name,
                            struct wr_task *task, struct wr_dns_ask **ret) WR_MUST_CHECK;
/* NULL: not yet. The ask keeps the reference. The asker's thread. */
const struct wr_dns_answer *wr_dns_result(const struct wr_dns_ask *a);
/* Gives up or has seen the answer: the task will not be woken for it. Accepts NULL pointers. */
void wr_dns_end(struct wr_dns_ask **a);

/* Questions this object has sent, retries of the library not counted. Its thread; for tests. */
uint64_t wr_dns_query_cnt(const struct wr_dns *d);

#endif
