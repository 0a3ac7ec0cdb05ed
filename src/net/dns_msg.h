/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_msg.h: what an answer of a name server says: addresses and services (by c-ares' readers of
 * messages), and how long it holds. c-ares 1.18 tells the TTL of addresses only; that of services
 * (RFC 2782) and of "there is none" (RFC 2308) is read here, by a walk over the records that never
 * leaves the bytes. That an answer belongs to a question (source, id, name) is c-ares' to know.
 */
#ifndef WR_NET_DNS_MSG_H
#define WR_NET_DNS_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

#define WR_DNS_NAME_MAX    253 /* bytes of a name as text, without the dot at its end */
#define WR_DNS_RECORDS_MAX 64  /* of one type that are taken from an answer */

enum wr_dns_type {
    WR_DNS_A = 1,
    WR_DNS_CNAME = 5,
    WR_DNS_SOA = 6,
    WR_DNS_AAAA = 28,
    WR_DNS_SRV = 33
};

struct wr_dns_srv {
    uint16_t priority, weight, port;
    uint16_t name_len; /* 0: the record names no host ("."), the service is not offered */
    char name[WR_DNS_NAME_MAX + 1];
};

/* The bytes of a message. */
struct wr_dns_bytes {
    const uint8_t *at;
    size_t len;
};

/*
 * Addresses (port 0) of the asked name or of what it is an alias of; at most max, which is at most
 * WR_DNS_RECORDS_MAX. *ret_ttl: seconds that all of it holds. WR_EOF: the message has none.
 * WR_EPROTO: it is malformed. WR_ENOMEM.
 */
enum wr_status wr_dns_msg_addrs(struct wr_dns_bytes b, enum wr_dns_type type, struct wr_addr *ret,
                                size_t max, size_t *ret_cnt, uint32_t *ret_ttl) WR_MUST_CHECK;
/* The same for services; a name that no host can have is left out. */
enum wr_status wr_dns_msg_srvs(struct wr_dns_bytes b, struct wr_dns_srv *ret, size_t max,
                               size_t *ret_cnt, uint32_t *ret_ttl) WR_MUST_CHECK;
/* How long "there is none" holds (RFC 2308 5). WR_EOF: the message does not say. */
enum wr_status wr_dns_msg_negative_ttl(struct wr_dns_bytes b, uint32_t *ret_ttl) WR_MUST_CHECK;

#endif
