/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syslog.h: where lines for a syslog server go, as access_log and error_log name it:
 *
 *   syslog:server=ADDR[:PORT]|unix:PATH[,facility=NAME][,severity=NAME][,tag=TEXT][,nohostname]
 *
 * RFC 3164 lines over UDP (port 514) or a datagram socket: "<PRI>Mon dd hh:mm:ss host tag: text".
 * A datagram that cannot leave at once is dropped and counted; nothing ever waits.
 */
#ifndef WR_NET_SYSLOG_H
#define WR_NET_SYSLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

#define WR_SYSLOG_TAG_MAX  32    /* letters, digits, '_' */
#define WR_SYSLOG_LINE_MAX 65000 /* bytes of a datagram (UDP has no more); longer lines are cut */

/* What one directive says; immutable; strings live in the arena it was parsed into. */
struct wr_syslog {
    struct wr_addr addr; /* of a literal; else has_addr is false and host is a name */
    struct wr_str host;  /* as written, without the port */
    uint16_t port;       /* 514 unless written */
    bool has_addr, no_hostname;
    uint8_t facility;     /* 0 ... 23, local7 by default */
    uint8_t severity;     /* 0 ... 7, info by default; of access logs, error logs have their own */
    struct wr_str tag;    /* "weir" by default; may be empty */
    struct wr_str server; /* the value of server=, for messages */
};

/*
 * s: all behind "syslog:". WR_ECONFIG: *ret_what says what is wrong, in nginx's words (memory of
 * a). WR_ENOMEM. A name is left to the caller: wr_syslog_set_addr.
 */
enum wr_status wr_syslog_parse(struct wr_str s, struct wr_arena *a, struct wr_syslog *ret,
                               struct wr_str *ret_what) WR_MUST_CHECK;

/* The first address that d->host has; d->port is put into it. While the configuration is built. */
void wr_syslog_set_addr(struct wr_syslog *d, const struct wr_addr *a);

/*
 * One that lives as long as the process, equal to d; asked again for an equal one it is the same.
 * For who may outlive the configuration. NULL: out of memory. Thread: any.
 */
const struct wr_syslog *wr_syslog_keep(const struct wr_syslog *d) WR_MUST_CHECK;

/*
 * Sends one line (no line end) with this severity to d->addr. Thread: any, at once; the sockets,
 * one for a family, are the process's and stay open. The time is that of the thread's loop turn.
 * False: it was dropped (counted in LOG_DROPPED), also when d has no address. errno is kept.
 */
bool wr_syslog_send(const struct wr_syslog *d, unsigned severity, struct wr_str line);

#endif
