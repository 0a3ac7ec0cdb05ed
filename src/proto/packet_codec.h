/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet_codec.h: how uwsgi and SCGI put the variables of a request in front of its body; pure.
 * What is written goes behind what b has; `at` is where the packet began.
 *
 *   uwsgi   modifier1 1 | length 2, little endian | modifier2 1 | {length 2, name, length 2, value}
 * ... SCGI    "LENGTH:" CONTENT_LENGTH \0 N \0 {name \0 value \0} ... ","       (a netstring)
 */
#ifndef WR_PROTO_PACKET_CODEC_H
#define WR_PROTO_PACKET_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/strbuf.h"

/* Room for the beginning. */
void wr_uwsgi_begin(struct wr_strbuf *b, size_t *ret_at);
/* WR_ELIMIT: a name or value of more than 65535 bytes. */
enum wr_status wr_uwsgi_add(struct wr_strbuf *b, struct wr_str name,
                            struct wr_str value) WR_MUST_CHECK;
/* WR_ELIMIT: all of it has more than 65535 bytes; *ret_len: how many it has. */
enum wr_status wr_uwsgi_end(struct wr_strbuf *b, size_t at, unsigned modifier1, unsigned modifier2,
                            size_t *ret_len) WR_MUST_CHECK;

/* body_len: of the request's body. */
void wr_scgi_begin(struct wr_strbuf *b, uint64_t body_len, size_t *ret_at);
/* WR_EPROTO: a NUL would end the name or value early. */
enum wr_status wr_scgi_add(struct wr_strbuf *b, struct wr_str name,
                           struct wr_str value) WR_MUST_CHECK;
void wr_scgi_end(struct wr_strbuf *b, size_t at);

#endif
