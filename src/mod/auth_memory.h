/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_memory.h: remembers that a password fitted a hash, for a minute since it was last asked, so
 * that a costly hash is not computed for each request. What is kept is a keyed digest of both: not
 * the password, nor anything that could be tried without the key of this process. A hash that was
 * changed or taken out of its file is another key. One table for the process, over reloads; when it
 * is full the entry that was not used for longest among few goes. Any thread.
 */
#ifndef WR_MOD_AUTH_MEMORY_H
#define WR_MOD_AUTH_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/sha1.h"
#include "base/status.h"
#include "base/str.h"

struct wr_auth_memory;
struct wr_conf;

#define WR_AUTH_MEMORY_MS 60000u

struct wr_auth_tag {
    uint8_t bytes[WR_SHA1_LEN];
};

/* The process's, which the generation that is built uses from now on. *ret NULL in a dry run.
 * WR_ENOMEM. Control thread. */
enum wr_status wr_auth_memory_get(struct wr_conf *cf, struct wr_auth_memory **ret) WR_MUST_CHECK;
void wr_auth_memory_tag(const struct wr_auth_memory *m, struct wr_str hash, struct wr_str password,
                        struct wr_auth_tag *ret);
/* Does it know? Counts as use. */
bool wr_auth_memory_has(struct wr_auth_memory *m, const struct wr_auth_tag *tag, uint64_t now_ms);
void wr_auth_memory_add(struct wr_auth_memory *m, const struct wr_auth_tag *tag, uint64_t now_ms);

/* For tests; freed by wr_auth_memory_free. */
struct wr_auth_memory *wr_auth_memory_new(void);
void wr_auth_memory_free(struct wr_auth_memory *m);

#endif
