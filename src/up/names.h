/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h: names of peers that are looked up again and again (`server NAME resolve`, U1.6). A name
 * is a fixture, known by resolver, kind and text: groups that mean the same share it, and a reload
 * keeps what it knows. It has the addresses of the last good answer; one that is empty or failed
 * changes nothing but the log. Control thread only.
 *
 *   resolver (net/dns) --answer, TTL--> wr_name {at, version} --wakes--> users (up/moving.c)
 */
#ifndef WR_UP_NAMES_H
#define WR_UP_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "base/str.h"
#include "conf/gen.h"
#include "net/dns.h"

#define WR_NAME_ADDRS_MAX 1024 /* of one name that are used */

struct wr_resolver;
struct wr_task;

struct wr_name_addr {
    struct wr_addr addr; /* of a service: with its port */
    uint64_t target;     /* of a service: hash of the host's name */
    uint16_t priority, weight;
};

/* Who is told of changes. */
struct wr_name_user {
    struct wr_list node;
    struct wr_task *task;
};

struct wr_name; /* opaque */

/* What is known. `at` is good until the loop runs on. */
struct wr_name_facts {
    const struct wr_name_addr *at; /* by priority, then address; no address twice */
    uint32_t cnt;
    uint32_t version; /* another one when `at` changed; 0: never had any */
    bool is_answered; /* well or badly */
};

/* The fixture; one that is new asks at once. No reference is taken. WR_ENOMEM. */
enum wr_status wr_name_get(struct wr_fixtures *r, struct wr_resolver *resolver,
                           enum wr_dns_kind kind, struct wr_str text,
                           struct wr_name **ret) WR_MUST_CHECK;
/* Takes a reference until it is detached; u->task is woken by every answer that changed a fact. */
void wr_name_attach(struct wr_name *n, struct wr_name_user *u);
void wr_name_detach(struct wr_name *n, struct wr_name_user *u);
struct wr_name_facts wr_name_look(const struct wr_name *n);

#endif
