/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expires.h: the directive `expires` as a value: read from text, turned into the two fields. Pure
 * but for the local time zone (daily times).
 */
#ifndef WR_MOD_EXPIRES_H
#define WR_MOD_EXPIRES_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

enum wr_expires_how {
    WR_EXPIRES_OFF,
    WR_EXPIRES_EPOCH,
    WR_EXPIRES_MAX,
    WR_EXPIRES_ACCESS,   /* seconds from now, may be negative */
    WR_EXPIRES_MODIFIED, /* seconds from the last modification */
    WR_EXPIRES_DAILY     /* seconds from midnight, local time */
};

struct wr_expires {
    uint8_t how; /* enum wr_expires_how */
    int64_t sec;
};

enum wr_expires_from {
    WR_EXPIRES_FROM_NOW,
    WR_EXPIRES_FROM_MODIFIED /* the word "modified" stood in front */
};

/* "30d", "-1", "@15h30m", "max", "epoch", "off". WR_ECONFIG: *ret_err has nginx's words. */
enum wr_status wr_expires_parse(struct wr_str s, enum wr_expires_from from, struct wr_expires *ret,
                                const char **ret_err) WR_MUST_CHECK;

#define WR_EXPIRES_AGE_MAX 32

/* Not for OFF. mtime -1: none. Expires is *ret_at; Cache-Control is text, *ret_len bytes of it. */
void wr_expires_eval(const struct wr_expires *e, int64_t now, int64_t mtime, int64_t *ret_at,
                     char text[WR_EXPIRES_AGE_MAX], uint32_t *ret_len);

#endif
