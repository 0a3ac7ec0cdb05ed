/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr.h: socket addresses as values (IPv4, IPv6, unix), and CIDR blocks. Pure data: no sockets,
 * no DNS.
 */
#ifndef WR_BASE_ADDR_H
#define WR_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <sys/un.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

struct wr_addr {
    socklen_t len; /* 0: no address */

    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } u;
};

#define WR_ADDR_TEXT_MAX 140 /* longest text, "unix:" and '\0' included */

/* "1.2.3.4" or "::1" or "[::1]"; no port. WR_EPROTO when it is not a literal. */
enum wr_status wr_addr_parse_ip(struct wr_str s, uint16_t port, struct wr_addr *ret) WR_MUST_CHECK;
/* "unix:/path" (a leading '@' after unix: is an abstract name). */
enum wr_status wr_addr_parse_unix(struct wr_str s, struct wr_addr *ret) WR_MUST_CHECK;
void wr_addr_set_port(struct wr_addr *a, uint16_t port);
/* 0 for unix. */
uint16_t wr_addr_port(const struct wr_addr *a);
bool wr_addr_eq(const struct wr_addr *a, const struct wr_addr *b);
bool wr_addr_is_any(const struct wr_addr *a); /* 0.0.0.0 or :: */
/* "1.2.3.4:80", "[::1]:80", "unix:/path"; returns the length, out is WR_ADDR_TEXT_MAX bytes. */
size_t wr_addr_write(const struct wr_addr *a, char *out);
/* Without port and brackets: "1.2.3.4", "::1"; "unix:" for unix sockets. */
size_t wr_addr_write_host(const struct wr_addr *a, char *out);
/* Network-order bytes of the host part: 4, 16, or 0 for unix. */
size_t wr_addr_bytes(const struct wr_addr *a, const uint8_t **ret_p);

struct wr_cidr {
    int family; /* AF_INET, AF_INET6, AF_UNIX (the word unix:), AF_UNSPEC (the word all) */
    uint8_t net[16], mask[16];
};

/* "10.0.0.0/8", "::1", "unix:", "all"; *ret_trimmed when host bits were set (nginx warns). */
enum wr_status wr_cidr_parse(struct wr_str s, struct wr_cidr *ret, bool *ret_trimmed) WR_MUST_CHECK;
/* v4-mapped v6 addresses match v4 blocks. */
bool wr_cidr_has(const struct wr_cidr *c, const struct wr_addr *a);

/*
 * Splits "host", "host:port", "[v6]:port", "unix:/path[:/uri]" into parts (slices of s). port 0
 * when absent. WR_EPROTO with *ret_err: "no host", "invalid host", "invalid port", "no port" as
 * nginx says.
 */
struct wr_hostport {
    struct wr_str host; /* without brackets; for unix the path */
    struct wr_str rest; /* what follows: "" or "/uri..." */
    uint16_t port;
    bool has_port, is_unix, is_v6;
};
enum wr_status wr_hostport_parse(struct wr_str s, struct wr_hostport *ret,
                                 const char **ret_err) WR_MUST_CHECK;

#endif
