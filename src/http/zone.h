/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone.h: named zones of a configuration: `limit_req_zone ... zone=one:10m` declares one,
 * `limit_req zone=one` uses it, before or behind it in the file. A name has one declaration and one
 * kind of user. The table (base/zone.h) is a fixture: a reload in which name, kind, size and key
 * are the same goes on with what the one before knew.
 *
 * Control thread, while a generation is built.
 */
#ifndef WR_HTTP_ZONE_H
#define WR_HTTP_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "base/zone.h"
#include "conf/dirs.h"

struct wr_gen;
struct wr_module;

extern struct wr_conf_module wr_zone_conf; /* for tests without the module */
extern const struct wr_module wr_zone_module;

/* A name in a generation; memory of the generation. */
struct wr_zone_name {
    struct wr_str name;
    const char *kind;      /* constant text of the kind of user: compared by its address */
    uint64_t size;         /* 0: not declared yet */
    bool is_claimed;       /* nobody needs to know its size */
    void *data;            /* of the user that declared it; NULL: not declared yet */
    struct wr_zone *table; /* NULL in a dry run */
    const struct wr_node *node;
    struct wr_zone_name *next;
};

/*
 * The zone of this name, which somebody uses or declares. WR_ECONFIG: it is another kind's,
 * reported as nginx does. That it was declared is checked when the file is whole.
 */
enum wr_status wr_zone_use(struct wr_conf *cf, const struct wr_node *node, struct wr_str name,
                           const char *kind, struct wr_zone_name **ret) WR_MUST_CHECK;
/* Likewise, with its size. WR_ECONFIG also: it was declared with another size. */
enum wr_status wr_zone_declare(struct wr_conf *cf, const struct wr_node *node, struct wr_str name,
                               uint64_t size, const char *kind,
                               struct wr_zone_name **ret) WR_MUST_CHECK;
/* The name is of a kind that has no table here and may come without a size. */
enum wr_status wr_zone_claim(struct wr_conf *cf, const struct wr_node *node, struct wr_str name,
                             const char *kind) WR_MUST_CHECK;
/*
 * "NAME:SIZE" behind zone= of argument i: at least WR_ZONE_SIZE_MIN bytes. WR_ECONFIG: reported as
 * nginx does; *ret_name is empty when there is no name, which the caller reports.
 */
enum wr_status wr_zone_parse(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                             struct wr_str text, struct wr_str *ret_name,
                             uint64_t *ret_size) WR_MUST_CHECK;
typedef void wr_zone_each_fn(void *data, const struct wr_zone_name *z);
/* Each zone of the generation that has a table, in the order of the file. Any thread. */
void wr_zone_each(const struct wr_gen *g, wr_zone_each_fn *fn, void *data);
/* The table of a zone that was declared, for z->table. key: its key as written. */
enum wr_status wr_zone_open(struct wr_conf *cf, struct wr_zone_name *z,
                            struct wr_str key) WR_MUST_CHECK;

#endif
