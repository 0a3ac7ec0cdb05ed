/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forwarded.h: the client's address as proxies in front of us tell it in X-Forwarded-For: each adds
 * whom it talked to at the end, so the list is read from its end, and only as far as those who say
 * so are trusted.
 */
#ifndef WR_HTTP_FORWARDED_H
#define WR_HTTP_FORWARDED_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

typedef bool wr_forwarded_trust_fn(const struct wr_addr *a, const void *data);

/*
 * The last address of `list` ("1.1.1.1, 2.2.2.2, [::1]:80": commas or blanks); with is_recursive
 * the last one that is not trusted, or the first of all. *addr keeps its value when the list ends
 * in something else than an address. The caller has seen to it that the one who sent the list is
 * trusted.
 */
void wr_forwarded_client(struct wr_str list, bool is_recursive, wr_forwarded_trust_fn *is_trusted,
                         const void *data, struct wr_addr *addr);

#endif
