/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h: base64, hex and percent coding, log escapes, appended to a strbuf. What does not fit
 * marks the strbuf, as with any append; decoders append all or nothing.
 * Thread: the owner of the strbuf.
 */
#ifndef WR_BASE_CODEC_H
#define WR_BASE_CODEC_H

#include "base/status.h"
#include "base/str.h"
#include "base/strbuf.h"

void wr_codec_hex(struct wr_strbuf *b, struct wr_str s);
void wr_codec_base64(struct wr_strbuf *b, struct wr_str s);
/* Standard or URL alphabet, padding optional at the end; WR_EPROTO on anything else. */
enum wr_status wr_codec_base64_decode(struct wr_strbuf *b, struct wr_str s) WR_MUST_CHECK;
/* Undoes %XX; a bad escape is WR_EPROTO. '+' stays. */
enum wr_status wr_codec_percent_decode(struct wr_strbuf *b, struct wr_str s) WR_MUST_CHECK;

enum wr_escape {
    WR_ESCAPE_URI,   /* path and redirect targets: CTL, SP, ", %, ?, #, DEL and 8-bit are escaped */
    WR_ESCAPE_ARGS,  /* values in query strings: CTL, SP, ", #, %, &, +, ;, ?, DEL, 8-bit */
    WR_ESCAPE_HTML,  /* < > & " */
    WR_ESCAPE_LOG,   /* access log default: ", \ and bytes < 32 or > 126 as \xXX */
    WR_ESCAPE_JSON,  /* JSON string contents (RFC 8259 7) */
    WR_ESCAPE_ERRLOG /* error log: control bytes as \xXX, the rest raw */
};

/* Length of the well-formed sequence of 2 to 4 bytes at s, not empty; 0: none (RFC 3629). */
size_t wr_codec_utf8_len(struct wr_str s);

void wr_codec_escape(struct wr_strbuf *b, struct wr_str s, enum wr_escape how);

#endif
