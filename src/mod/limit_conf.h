/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit_conf.h: what limit_req and limit_conn have in common: a zone with its key, the value of the
 * key for a request, log levels, codes of refusals.
 */
#ifndef WR_MOD_LIMIT_CONF_H
#define WR_MOD_LIMIT_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "conf/dirs.h"
#include "conf/template.h"
#include "conf/types.h"
#include "http/zone.h"

#define WR_LIMIT_KEY_MAX    65535 /* bytes of a key */
#define WR_LIMIT_STATUS_DEF "503"

struct wr_req;

/* Of a zone that was declared; first member of what wr_zone_name.data points at. */
struct wr_limit_zone {
    struct wr_zone_name *name;
    struct wr_template key;
};

extern const struct wr_word wr_limit_levels[]; /* of a ..._log_level, for wr_set_enum */
/* Of a ..._status; the field is a uint32_t. */
wr_dir_set_fn wr_limit_set_status;

struct wr_limit_zone_args {
    const char *kind;
    size_t size;        /* of the struct that begins with a struct wr_limit_zone */
    struct wr_str name; /* empty: reported */
    uint64_t zone_size;
};

/*
 * The declaration of a zone by a directive such as limit_req_zone, whose argument 0 is the key.
 * *ret is new, in the generation's arena.
 */
enum wr_status wr_limit_zone_add(struct wr_conf *cf, const struct wr_node *node,
                                 const struct wr_limit_zone_args *args,
                                 struct wr_limit_zone **ret) WR_MUST_CHECK;
/*
 * The request's key in the zone. WR_EOF: it has none (or one that is too long, which is logged) and
 * is not counted there. WR_ENOMEM.
 */
enum wr_status wr_limit_key(struct wr_req *r, const struct wr_zone_name *z,
                            uint64_t *ret_key) WR_MUST_CHECK;

#endif
