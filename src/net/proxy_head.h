/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_head.h: the header of the PROXY protocol, versions 1 (a line of text) and 2 (binary), with
 * which a proxy in front of us begins a connection to tell whom it is for. A codec: bytes in, a
 * struct out; nothing is allocated or kept. Strict where the specification says that a receiver
 * must be.
 *
 *   v1   "PROXY TCP4 1.2.3.4 5.6.7.8 1111 80\r\n"        at most 107 bytes
 *   v2   12 bytes of signature, version and command, family, length | addresses | TLV | TLV ...
 */
#ifndef WR_NET_PROXY_HEAD_H
#define WR_NET_PROXY_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

#define WR_PROXY_HEAD_MAX    8192 /* bytes of a header: a certificate fits into its TLVs */
#define WR_PROXY_HEAD_V1_MAX 107

enum wr_proxy_tlv_type {
    WR_PROXY_TLV_SSL = 0x20,
    WR_PROXY_TLV_SSL_HEAD = 5 /* bytes in front of the TLVs inside of it */
};

struct wr_proxy_head {
    uint8_t version; /* 1 or 2 */
    /* With ports; len 0: not told (UNKNOWN, LOCAL, datagrams, unix sockets). */
    struct wr_addr client, server;
    struct wr_str tlvs; /* of version 2: a part of the input */
};

/*
 * p[0..n) is what has come so far. WR_OK: the header is *ret_len bytes long. WR_AGAIN: it may go
 * on; never once n is WR_PROXY_HEAD_MAX. WR_EPROTO, WR_ELIMIT (too long): no header; *ret_why is
 * constant text, empty when it is none at all.
 */
enum wr_status wr_proxy_head_parse(const char *p, size_t n, struct wr_proxy_head *ret,
                                   size_t *ret_len, const char **ret_why) WR_MUST_CHECK;
/* The first TLV of this type; false: there is none. */
bool wr_proxy_tlv_find(struct wr_str tlvs, uint8_t type, struct wr_str *ret);

#endif
