/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simple.h: the second kind of protocol (up/proto.h): a table of functions about bytes becomes a
 * codec and a struct wr_proto, so that FastCGI, SCGI, uwsgi, memcached and modules of others need
 * no connections, timers or pipes of their own.
 *
 *   static const struct wr_proto_table echo_table = {.name = "echo", .create_request = ..., ...};
 *   WR_PROTO_SIMPLE(echo, echo_table);              gives: static const struct wr_proto echo
 *
 * A content handler starts it like any other (wr_up_new with .proto = &echo), and finds the
 * exchange by wr_simple_req(u), where it may leave its own `ctx`. u->ctx belongs to this file.
 *
 * What a table may rely on: its functions run on the request's thread, one exchange at a time, and
 * never once finalize_request ran. Slices of the head bytes may be kept in q->head only: those
 * follow when the bytes move.
 */
#ifndef WR_PROTO_SIMPLE_H
#define WR_PROTO_SIMPLE_H

#include "base/compiler.h"
#include "http/codec.h"
#include "up/proto.h"

#define WR_SIMPLE_REQUEST_MAX ((size_t)256 * 1024) /* bytes that create_request may append */

/* One for each table; constant. */
struct wr_simple_codec {
    struct wr_codec codec; /* first */
    const struct wr_proto_table *table;
};

/*
 * What the table's functions see of this request; made at the first call, NULL without memory. For
 * the content handler, between wr_up_new and its return.
 */
struct wr_proto_req *wr_simple_req(struct wr_up *u);

/* For the macros below only. */
enum wr_status wr_simple_dial(const struct wr_codec *codec, const struct wr_dial *d,
                              struct wr_task *user, struct wr_pconn **ret,
                              int *ret_errno) WR_MUST_CHECK;
enum wr_status wr_simple_open(struct wr_pconn *pc, struct wr_arena *a, struct wr_task *user,
                              struct wr_stream **ret) WR_MUST_CHECK;
void wr_simple_close(struct wr_pconn *pc, enum wr_reason why);
enum wr_status wr_simple_create(struct wr_up *u, struct wr_stream *s) WR_MUST_CHECK;
enum wr_status wr_simple_redirect(struct wr_up *u, struct wr_str value,
                                  struct wr_str *ret) WR_MUST_CHECK;
enum wr_status wr_simple_cookie(struct wr_up *u, struct wr_str value,
                                struct wr_str *ret) WR_MUST_CHECK;
void wr_simple_reinit(struct wr_up *u);
void wr_simple_abort(struct wr_up *u);
void wr_simple_finalize(struct wr_up *u, unsigned status);
/*
 * Puts a request on a stream that wr_simple_open made, without an engine: q->head is set, `bytes`
 * stay until the stream is released. Part of wr_simple_create; for tests of the codec.
 */
enum wr_status wr_simple_attach(struct wr_stream *s, struct wr_proto_req *q,
                                struct wr_str bytes) WR_MUST_CHECK;

#define WR_SIMPLE_CODEC_INIT(tbl)                                                                  \
    {                                                                                              \
        .codec = {.name = "simple",                                                                \
                  .dial = wr_simple_dial,                                                          \
                  .open = wr_simple_open,                                                          \
                  .close = wr_simple_close},                                                       \
        .table = &(tbl)                                                                            \
    }

/* Fields of a struct wr_proto, where more of them (ignores_accel_buffering) are to be set. */
#define WR_SIMPLE_PROTO_FIELDS(nm, cdc)                                                            \
    .name = (nm), .codec = &(cdc).codec, .create_request = wr_simple_create,                       \
    .rewrite_redirect = wr_simple_redirect, .rewrite_cookie = wr_simple_cookie,                    \
    .reinit_request = wr_simple_reinit, .abort_request = wr_simple_abort,                          \
    .finalize_request = wr_simple_finalize

#define WR_PROTO_SIMPLE(ident, tbl)                                                                \
    static const struct wr_simple_codec ident##_codec = WR_SIMPLE_CODEC_INIT(tbl);                 \
    static const struct wr_proto ident = {WR_SIMPLE_PROTO_FIELDS(#ident, ident##_codec)}

#endif
