/* SPDX-License-Identifier: Apache-2.0 */
/*
 * location.h: location{} blocks ready for use, and which of them takes a path. One table a level:
 *
 *   struct wr_locations (server) | exact    path -> location
 *                                | prefix   trie: longest name that the path begins with
 *                                | regexes  in the order of the file
 *                                | named    "@x" -> location (server level only)
 *        \-- location /a/ -> struct wr_locations of what is nested in it
 *
 * As documented for nginx: an exact name wins at once; else the longest prefix is remembered and
 * what is nested in it is asked; then, unless that prefix has ^~, the regexes of this level in
 * order. The cost is the length of the path and the number of regexes, never the number of
 * locations. Immutable, memory of the generation. A recursion is as deep as blocks nest
 * (WR_TREE_DEPTH_MAX).
 */
#ifndef WR_HTTP_LOCATION_H
#define WR_HTTP_LOCATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/status.h"
#include "base/str.h"
#include "base/trie.h"
#include "conf/dirs.h"
#include "http/req.h"

struct wr_core_loc;
struct wr_regex;

enum wr_location_kind {
    WR_LOC_PREFIX,
    WR_LOC_EXACT,  /* = */
    WR_LOC_REGEX,  /* ~ ~* */
    WR_LOC_NAMED,  /* @ */
    WR_LOC_NONAME, /* if, limit_except; and the server's own level */
};

struct wr_locations;

struct wr_location {
    struct wr_scope *scope;
    const struct wr_core_loc *core; /* complete after the merge */
    const struct wr_node *node;
    struct wr_str name; /* without modifier; "@x" with the '@' */
    uint8_t kind;       /* enum wr_location_kind */
    bool no_regex;      /* ^~ */
    bool is_internal;
    bool auto_redirect;         /* the name without its last '/' is answered 301 */
    struct wr_regex *re;        /* REGEX */
    wr_content_start_fn *start; /* NULL: rows of the content phase */
    void *start_conf;
    const struct wr_node *start_node;
    struct wr_location *parent;       /* NULL at the server's level */
    struct wr_location *first, *last; /* nested, in the order of the file */
    struct wr_location *nonames;      /* if{}, limit_except{}: in no table */
    struct wr_location *next;
    struct wr_locations *nested; /* NULL: none */
    struct wr_location *limited; /* limit_except: for all methods but these; NULL: none */
    uint32_t methods;            /* bit enum wr_method */
};

struct wr_locations {
    struct wr_map exact, named;
    struct wr_trie prefix;
    struct wr_map
        redirects; /* "/app" -> location "/app/" with auto_redirect, where nothing is named so */
    struct wr_location **regexes;
    uint32_t regex_cnt;
    bool has_prefix;
    const struct wr_location *lone; /* where it is the only prefix, so that no trie is asked */
};

enum wr_location_found {
    WR_LOCATION_NONE, /* the level around holds */
    WR_LOCATION_FOUND,
    WR_LOCATION_REDIRECT, /* answer 301 to the path with '/' */
    WR_LOCATION_ERROR,    /* a regex failed: 500 */
};

/* Tables of a level, nested ones included, from a list of locations. Reports duplicates. */
enum wr_status wr_locations_build(struct wr_conf *cf, struct wr_location *first,
                                  struct wr_locations **ret) WR_MUST_CHECK;
/* r takes captures; NULL in tests. *ret is written for FOUND and REDIRECT. */
enum wr_location_found wr_locations_find(const struct wr_locations *ls, struct wr_str path,
                                         struct wr_req *r, const struct wr_location **ret);
/* NULL when there is none. */
const struct wr_location *wr_locations_named(const struct wr_locations *ls, struct wr_str name);

/* The `location` directive. */
wr_dir_set_fn wr_location_set;
/* The `limit_except` directive. */
wr_dir_set_fn wr_location_set_limit;
/*
 * A location that is in no table: of an if{} or limit_except{} (ctx) in the location that is being
 * applied. It inherits all from that one, its content too, unless it sets one. The caller applies
 * the block in (*ret)->scope.
 */
enum wr_status wr_location_new_noname(struct wr_conf *cf, enum wr_ctx ctx,
                                      const struct wr_node *node,
                                      struct wr_location **ret) WR_MUST_CHECK;
/*
 * The location whose block is being applied (cf->scope), made at the first call for a block without
 * a name whose scope was made without one; NULL at the levels of http and server.
 */
enum wr_status wr_location_here(struct wr_conf *cf, struct wr_location **ret) WR_MUST_CHECK;

/* --- of a request --- */

/* The location from now on: scope, log, timeouts. NULL: the server's level. */
void wr_req_use_location(struct wr_req *r, const struct wr_location *l);

#endif
