/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msg.h: one message head, request or response, of any HTTP version: method or status, target,
 * version, header fields, framing. Lives in an arena; slices point into it or into constant text.
 */
#ifndef WR_HTTP_MSG_H
#define WR_HTTP_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "http/hdr.h"

enum wr_method {
    WR_METHOD_OTHER = 0,
#define X(id, name) WR_METHOD_##id,
#include "http/tbl/methods.h"
#undef X
    WR_METHOD_COUNT
};

/* How the body that follows is delimited (RFC 9112 6.3). */
enum wr_framing {
    WR_FRAMING_NONE,    /* no body */
    WR_FRAMING_LENGTH,  /* content_length bytes, possibly 0 */
    WR_FRAMING_CHUNKED, /* to be encoded and decoded by the codec */
    WR_FRAMING_CLOSE,   /* response only: until the connection closes */
};

enum wr_msg_flags {
    WR_MSG_KEEP_ALIVE = 1, /* the connection persists after this message (RFC 9112 9.3) */
    WR_MSG_HTTP09 = 2,     /* request "GET /" without version */
    WR_MSG_UPGRADE = 4,    /* has Upgrade, and Connection names it */
    WR_MSG_ABSOLUTE = 8,   /* request target came in absolute form */
    WR_MSG_EXPECT = 16,    /* Expect: 100-continue */
    WR_MSG_ASTERISK = 32,  /* target is "*" */
};

struct wr_msg {
    enum wr_method method;
    struct wr_str method_name;  /* as received, case-sensitive */
    struct wr_str target;       /* origin form "/path?args", raw; for absolute form what follows the
                                   authority, at least "/" */
    struct wr_str authority;    /* from an absolute-form target; else empty */
    struct wr_str scheme;       /* likewise */
    struct wr_str request_line; /* as received, without CRLF; for logs */
    uint16_t status;            /* response */
    struct wr_str reason;       /* response: reason phrase as received, may be empty */
    uint16_t version;           /* 9, 10, 11, 20, 30: 9 is HTTP/0.9 */
    unsigned flags;             /* enum wr_msg_flags */
    struct wr_str dropped;      /* request: the first field line that was dropped, or the one that
                                   was refused; for the log */
    enum wr_framing framing;
    uint64_t content_length; /* for WR_FRAMING_LENGTH; UINT64_MAX: none announced */
    uint32_t host_len;   /* request: of Host's value so many bytes are the host; 0: not looked at */
    uint16_t host_port;  /* then: its port, 0: none */
    bool names_no_field; /* Connection was looked at: it is not there or just "keep-alive" */
    struct wr_hdrs hdrs;
};

#define WR_LENGTH_UNKNOWN UINT64_MAX

/* All zero, headers initialised. */
void wr_msg_init(struct wr_msg *m, struct wr_arena *a, uint32_t max_fields);
/* By exact, case-sensitive name (RFC 9110 9.1). */
enum wr_method wr_method_of(struct wr_str name);
struct wr_str wr_method_name(enum wr_method m);
/* GET, HEAD, OPTIONS, TRACE, PUT, DELETE, PROPFIND ...: RFC 9110 9.2.2; LOCK, POST, PATCH and OTHER
 * are not. */
bool wr_method_is_idempotent(enum wr_method m);
/* "OK", "Not Found"; empty when unknown. nginx's wordings, e.g. 302 "Moved Temporarily". */
struct wr_str wr_status_reason(unsigned status);
/* Has a response with this status, to this request method, no body whatever its fields say (RFC
 * 9110 6.4.1)? */
bool wr_status_is_bodyless(unsigned status, enum wr_method request_method);
/* Is this field named by Connection, so that it ends here (RFC 9110 7.6.1)? */
bool wr_msg_connection_has(const struct wr_msg *m, struct wr_str name);
/* May Connection name any field but Keep-Alive, which nobody passes on anyway? One look a head. */
bool wr_msg_connection_names(const struct wr_msg *m);
/* All slices that point into old[0..len) now point into new_base. */
void wr_msg_rebase(struct wr_msg *m, const char *old, size_t len, const char *new_base);
/* The same, where names and values of all fields lie there: as the parser leaves them. */
void wr_msg_move(struct wr_msg *m, const char *old, size_t len, const char *new_base);

#endif
