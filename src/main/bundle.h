/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle.h: everything the supervisor read for a configuration, in one sealed memfd, so that the
 * worker builds the very same generation without reading a file or asking a resolver (it may have
 * no right to, and the file may have changed meanwhile).
 *
 *   header | record | record ...      record = {kind, err, name_len, data_len} name data
 *
 *   FILE  name: path                  data: bytes; err: errno of `call` when it could not be read
 *   GLOB  name: pattern               data: names, '\0' behind each
 *   HOST  name: host name             data: struct wr_addr array; err: not found
 *   FACT  name: key                   data: text (path, prefix, command line ... of the load)
 *
 * The first record of a (kind, name) counts. Written by the supervisor, then immutable; any number
 * of readers.
 */
#ifndef WR_MAIN_BUNDLE_H
#define WR_MAIN_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/map.h"
#include "base/status.h"
#include "base/str.h"

#define WR_BUNDLE_MAX ((uint64_t)1 << 30) /* bytes of one */

enum wr_bundle_kind {
    WR_BUNDLE_FILE = 1,
    WR_BUNDLE_GLOB,
    WR_BUNDLE_HOST,
    WR_BUNDLE_FACT
};

/* While it is written. */
struct wr_bundle_writer {
    int fd; /* -1: none */
    uint64_t size;
    enum wr_status status; /* the first failure */
    struct wr_map _seen;
    struct wr_arena _names;
};

enum wr_status wr_bundle_begin(struct wr_bundle_writer *w) WR_MUST_CHECK;
/* Errors stick and are told by wr_bundle_end. A second record of the same name is dropped. */
void wr_bundle_add(struct wr_bundle_writer *w, enum wr_bundle_kind kind, struct wr_str name,
                   int err, struct wr_str data);
/* Seals. WR_OK: *ret_fd is the caller's. The writer is spent in every case. */
enum wr_status wr_bundle_end(struct wr_bundle_writer *w, int *ret_fd) WR_MUST_CHECK;
/* Gives up what was written. Idempotent. */
void wr_bundle_abort(struct wr_bundle_writer *w);

/* While it is read: maps the descriptor, which stays the caller's. */
struct wr_bundle {
    const char *_base;
    size_t _size;
    struct wr_map _at; /* kind byte and name -> record */
    struct wr_arena _keys;
};

/* WR_EPROTO: not a bundle of ours, or not sealed. */
enum wr_status wr_bundle_open(struct wr_bundle *b, int fd) WR_MUST_CHECK;
void wr_bundle_close(struct wr_bundle *b);
/* False: no such record. Slices live as long as b. */
bool wr_bundle_find(const struct wr_bundle *b, enum wr_bundle_kind kind, struct wr_str name,
                    int *ret_err, struct wr_str *ret_data);
/* Text of a FACT; empty when it is not there. */
struct wr_str wr_bundle_fact(const struct wr_bundle *b, const char *key);

#endif
