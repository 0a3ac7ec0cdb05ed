/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fcgi_codec.h: FastCGI records (specification 1.0), sans-I/O. A record is
 *
 *   version 1 | type 1 | request id 2 | content length 2 | padding length 1 | 0 | content | padding
 *
 * The reader takes what an application sends of the one request on its connection (id 1): the bytes
 * of its standard output and error as they come, in any pieces, and the end. It keeps no bytes but
 * a header that is not whole.
 */
#ifndef WR_PROTO_FCGI_CODEC_H
#define WR_PROTO_FCGI_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/strbuf.h"

#define WR_FCGI_HEADER      8
#define WR_FCGI_CONTENT_MAX 65528 /* of records that we write: the largest without padding */

enum wr_fcgi_type {
    WR_FCGI_BEGIN_REQUEST = 1,
    WR_FCGI_ABORT_REQUEST,
    WR_FCGI_END_REQUEST,
    WR_FCGI_PARAMS,
    WR_FCGI_STDIN,
    WR_FCGI_STDOUT,
    WR_FCGI_STDERR
};

enum wr_fcgi_event {
    WR_FCGI_MORE,       /* all bytes are used */
    WR_FCGI_OUT,        /* *ret_data: a piece of standard output */
    WR_FCGI_ERR,        /* of standard error */
    WR_FCGI_OUT_CLOSED, /* standard output is over */
    WR_FCGI_ENDED,      /* the request is: protocol_status, app_status */
    WR_FCGI_BAD         /* bad, bad_value */
};

enum wr_fcgi_bad {
    WR_FCGI_BAD_NONE,
    WR_FCGI_BAD_VERSION,
    WR_FCGI_BAD_TYPE,   /* none that an application sends */
    WR_FCGI_BAD_ID,     /* another request's */
    WR_FCGI_BAD_LENGTH, /* of an end of request */
};

struct wr_fcgi_reader {
    uint8_t type;    /* of the record that is read */
    uint8_t bad;     /* enum wr_fcgi_bad */
    uint8_t padding; /* bytes of it that are still to come, behind the content */
    uint8_t protocol_status;
    uint16_t content;   /* likewise */
    uint16_t bad_value; /* what stands there in its place */
    uint32_t app_status;
    bool is_in_record; /* its header was read */
    uint8_t header_len;
    uint8_t header[WR_FCGI_HEADER]; /* of the record; then of an end its content */
};

/* All zero is the start. */
void wr_fcgi_reader_init(struct wr_fcgi_reader *rd);
/* One step: *ret_used bytes of p[0..n) are done with, data among them. Not called behind BAD. */
enum wr_fcgi_event wr_fcgi_read(struct wr_fcgi_reader *rd, const char *p, size_t n,
                                size_t *ret_used, struct wr_str *ret_data);
/* The last n bytes of an OUT were not used: they come again. */
void wr_fcgi_unread(struct wr_fcgi_reader *rd, size_t n);
/* "upstream sent unexpected FastCGI record: 4" into b. */
void wr_fcgi_bad_text(const struct wr_fcgi_reader *rd, struct wr_strbuf *b);

/* Writes the header of a record without padding; to[WR_FCGI_HEADER]. */
void wr_fcgi_write_header(char *to, enum wr_fcgi_type type, size_t len);
/* A whole BEGIN_REQUEST of a responder. keep: the connection stays. */
void wr_fcgi_add_begin(struct wr_strbuf *b, bool keep);
/* One name and value as they stand in PARAMS; each shorter than 2 GB. */
void wr_fcgi_add_pair(struct wr_strbuf *b, struct wr_str name, struct wr_str value);

#endif
