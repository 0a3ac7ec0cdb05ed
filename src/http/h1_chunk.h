/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_chunk.h: chunked coding, sans-I/O (RFC 9112 7.1). Decoding yields slices of the input, never
 * copies. Sizes, extensions and trailers are bounded; a bare LF in framing is an error.
 */
#ifndef WR_HTTP_H1_CHUNK_H
#define WR_HTTP_H1_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "http/hdr.h"

enum wr_h1_chunk_result {
    WR_H1_CHUNK_DATA, /* *ret_data / *ret_len: body bytes inside the input */
    WR_H1_CHUNK_MORE, /* input used up */
    WR_H1_CHUNK_DONE, /* last chunk and trailers were read */
    WR_H1_CHUNK_BAD,
};

#define WR_H1_CHUNK_EXT_MAX     4096 /* bytes of extensions over the whole body */
#define WR_H1_CHUNK_TRAILER_MAX 8192 /* bytes of the trailer section */

struct wr_h1_chunk_decoder {
    uint64_t left;  /* of the current chunk */
    uint64_t total; /* body bytes so far */
    uint32_t ext_len, trailer_len;
    uint8_t state;
    uint8_t digits;
    /* Trailer bytes gathered here, so that they can be parsed when whole; NULL: only checked and
     * dropped. */
    struct wr_hdrs *trailers;
    char *_buf; /* arena of trailers; allocated at the first trailer byte */
};

void wr_h1_chunk_init(struct wr_h1_chunk_decoder *d, struct wr_hdrs *trailers);
/*
 * Reads from p[0..n); *ret_used bytes of it are done with (framing plus data). Call again with the
 * rest until MORE, DONE or BAD. Never consumes a byte behind the end of the body. Forbidden trailer
 * fields (RFC 9110 6.5.1: framing, Host, Authorization, Set-Cookie, ...) are dropped.
 */
enum wr_h1_chunk_result wr_h1_chunk_decode(struct wr_h1_chunk_decoder *d, const char *p, size_t n,
                                           size_t *ret_used, const char **ret_data,
                                           size_t *ret_len) WR_MUST_CHECK;
/* At least how many more bytes must come before the body can end (for receive sizes); 0 when done.
 */
uint64_t wr_h1_chunk_wants(const struct wr_h1_chunk_decoder *d);

#define WR_H1_CHUNK_HEAD_MAX 18 /* 16 hex digits and CRLF */
/* "1f\r\n" into out (WR_H1_CHUNK_HEAD_MAX bytes); returns its length. */
size_t wr_h1_chunk_write_head(char *out, uint64_t n);
/* Behind the data: "\r\n"; end of body: "0\r\n" [trailers] "\r\n". */

#endif
