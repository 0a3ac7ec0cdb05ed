/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_conf.h: conf structs of the core HTTP module, complete after the merge and read-only then.
 *
 *   MAIN  struct wr_core_main   the generation: error logs and temporary folders that it names
 *   SRV   struct wr_core_srv    http{} and server{}: names, what is asked before a location is
 * known LOC   struct wr_core_loc    http{}, server{}, location{}, if{}: all else
 *
 * Get them by wr_req_conf(r, &wr_core_conf, WR_KIND_LOC), or shorter wr_core_loc_of(r).
 * Memory of the generation.
 */
#ifndef WR_HTTP_CORE_CONF_H
#define WR_HTTP_CORE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "conf/dirs.h"
#include "conf/scope.h"
#include "conf/template.h"
#include "conf/types.h"
#include "http/files_conf.h"
#include "http/req.h"
#include "io/file.h"
#include "io/pipe.h"
#include "net/sock.h"

struct wr_location;
struct wr_regex;
struct wr_resolver;

extern struct wr_conf_module wr_core_conf;

/*
 * An `error_log` line. main/ opens the file and writes the descriptor into sink.fd after the load
 * and before the generation is published; until then it is 2 (stderr).
 */
struct wr_error_log {
    struct wr_log_sink sink; /* first; sink.next is the next of this level */
    struct wr_str path;      /* absolute, '\0' behind it; empty: stderr */
    const struct wr_node *node;
    struct wr_error_log *next; /* of all in the generation */
};

/* An `error_log_tag` line: a field of records in JSON. */
struct wr_error_log_tag {
    const char *name; /* zero-terminated */
    const struct wr_template *value;
};

struct wr_error_log_tags {
    struct wr_error_log_tag *at;
    uint32_t cnt, _cap;
};

/* A temporary folder that main/ makes (mode 0700, owned by the worker's user) before it publishes.
 */
struct wr_temp_dir {
    struct wr_temp_path path;
    const struct wr_node *node; /* NULL or without a file: a default */
    struct wr_temp_dir *next;
};

struct wr_core_main {
    struct wr_conf_head head;
    const struct wr_error_log *sinks; /* of the main level; NULL: main/ decides (-e, stderr) */
    struct wr_error_log *sinks_all;   /* every error_log of the file, this level's included */
    struct wr_temp_dir *temp_dirs;    /* each folder once */
    struct wr_http *http;             /* that is built; exists from init on, also without http{} */
    struct wr_map *default_types;     /* made when needed */
    struct wr_pool *pools;            /* thread_pool, aio */
    uint32_t open_cache_cnt;          /* open_file_cache lines */
};

/* One argument of server_name. */
struct wr_core_name {
    struct wr_str text;  /* lower case but for a regex; "~..." with its '~' */
    struct wr_regex *re; /* NULL: no regex */
    const struct wr_node *node;
};

struct wr_core_names {
    struct wr_core_name *at;
    uint32_t cnt, _cap;
};

/* One address of a listen. */
struct wr_core_listen {
    struct wr_listen_opts opts;
    struct wr_str text; /* "0.0.0.0:80", "unix:/x" */
    bool is_default, is_bind, has_opts, is_tls, is_proxy;
    const struct wr_node *node; /* NULL: the server has no listen */
};

struct wr_core_listens {
    struct wr_core_listen *at;
    uint32_t cnt, _cap;
};

struct wr_core_srv {
    struct wr_conf_head head;
    struct wr_server *server; /* of a server{}; NULL in http{} */
    struct wr_location *first_location,
        *last_location; /* of a server{}, in the order of the file */
    struct wr_core_names names;
    struct wr_core_listens listens;
    uint32_t header_timeout_ms;  /* client_header_timeout */
    uint32_t header_buffer_size; /* client_header_buffer_size */
    struct wr_buffers large_header_buffers;
    uint32_t max_headers;
    uint32_t connection_pool_size; /* for checks only */
    bool ignore_invalid_headers;
    bool underscores_in_headers;
    bool merge_slashes;
};

enum wr_lingering {
    WR_LINGERING_OFF,
    WR_LINGERING_ON,
    WR_LINGERING_ALWAYS
};

enum wr_body_file {
    WR_BODY_FILE_OFF,
    WR_BODY_FILE_CLEAN,
    WR_BODY_FILE_ON
};

enum wr_tokens {
    WR_TOKENS_OFF,
    WR_TOKENS_ON,
    WR_TOKENS_BUILD
};

enum wr_ims {
    WR_IMS_OFF,
    WR_IMS_EXACT,
    WR_IMS_BEFORE
};

enum wr_keepalive_disable {
    WR_KEEPALIVE_NO_NONE = 1,
    WR_KEEPALIVE_NO_MSIE6 = 2,
    WR_KEEPALIVE_NO_SAFARI = 4
};

enum wr_satisfy {
    WR_SATISFY_ALL,
    WR_SATISFY_ANY
};

/* keepalive_timeout */
struct wr_keepalive {
    uint32_t ms;         /* 0 closes */
    uint32_t header_sec; /* second argument: value of Keep-Alive: timeout=; 0: not sent */
};

/* A rate or size that may have variables. */
struct wr_rate {
    const struct wr_template *t; /* NULL: `value` holds */
    uint64_t value;
};

struct wr_error_page {
    uint16_t status;       /* that is handled */
    int16_t overwrite;     /* -1: none; 0: "=": the handler's own; else the code */
    bool is_named, is_url; /* "@name"; "http://...", "https://...", "$scheme..." */
    const struct wr_template *uri;
};

struct wr_error_pages {
    struct wr_error_page *at;
    uint32_t cnt, _cap;
};

/* A MIME type by file name extension (lower case key, without the dot) in a map: value of `types`.
 */
struct wr_mime_type {
    struct wr_str type;
};

struct wr_core_loc {
    struct wr_conf_head head;
    /* files; what is content of a location and `internal` are in struct wr_location (location.h) */
    const struct wr_template
        *root;     /* of root or alias; made absolute unless it begins with a variable */
    bool is_alias; /* root holds an alias */
    size_t
        alias_len; /* bytes of the path that the alias replaces; SIZE_MAX: all (regex location) */
    struct wr_str prefix; /* with '/' at its end: before a root that evaluates to a relative path */
    struct wr_map *types; /* extension -> struct wr_mime_type; never NULL */
    struct wr_str default_type;
    bool etag;
    uint32_t if_modified_since; /* enum wr_ims */
    uint32_t max_ranges;        /* UINT32_MAX: no limit */
    bool sendfile;
    uint64_t sendfile_max_chunk; /* 0: no limit */
    uint64_t directio;           /* bytes; UINT64_MAX: off */
    uint64_t directio_alignment, read_ahead;
    bool log_not_found, log_subrequest;
    uint32_t satisfy; /* enum wr_satisfy */
    uint32_t auth_delay_ms;
    /* request body */
    uint64_t body_max;         /* client_max_body_size; 0: no limit */
    uint64_t body_buffer_size; /* client_body_buffer_size */
    uint32_t body_timeout_ms;
    uint32_t body_in_file; /* enum wr_body_file */
    bool body_in_single_buffer;
    const struct wr_temp_path *body_temp;
    struct wr_spill_conf body_spill; /* made of the above: no limit on disk */
    /* response */
    uint32_t send_timeout_ms;
    uint32_t postpone_output;
    struct wr_buffers output_buffers;
    bool tcp_nodelay, tcp_nopush;
    bool chunked; /* chunked_transfer_encoding */
    bool reset_timedout;
    struct wr_rate limit_rate, limit_rate_after;
    uint32_t server_tokens; /* enum wr_tokens */
    bool absolute_redirect, port_in_redirect, server_name_in_redirect;
    struct wr_error_pages error_pages;
    bool recursive_error_pages;
    bool msie_padding, msie_refresh;
    struct wr_templates early_hints; /* one that is not empty and not "0": pass 103 on */
    uint64_t subrequest_buffer_size;
    /* connection */
    struct wr_keepalive keepalive;
    uint32_t keepalive_min_ms;
    uint32_t keepalive_requests;
    uint32_t keepalive_time_ms;
    uint32_t keepalive_disable; /* enum wr_keepalive_disable or-ed */
    uint32_t lingering;         /* enum wr_lingering */
    uint32_t lingering_time_ms, lingering_timeout_ms;
    /* logs, names */
    const struct wr_error_log *sinks; /* NULL: the process's */
    struct wr_error_log_tags log_tags;
    struct wr_resolver *resolver; /* http/resolver.h; NULL: none */
    uint32_t resolver_timeout_ms;
    /* files_conf.h */
    const struct wr_aio *aio;                    /* NULL: off */
    const struct wr_open_cache_conf *open_cache; /* NULL: off */
    struct wr_symlinks_conf symlinks;
    uint64_t open_file_cache_valid, open_file_cache_min_uses; /* seconds, uses */
    bool open_file_cache_errors;
    const struct wr_node *root_node; /* of root or alias, for messages */
};

static inline const struct wr_core_loc *wr_core_loc_of(const struct wr_req *r)
{
    return (const struct wr_core_loc *)wr_scope_get(r->scope, &wr_core_conf, WR_KIND_LOC);
}

static inline const struct wr_core_srv *wr_core_srv_of(const struct wr_req *r)
{
    return (const struct wr_core_srv *)wr_scope_get(r->scope, &wr_core_conf, WR_KIND_SRV);
}

/*
 * Setter for rows such as proxy_temp_path PATH [level1 [level2 [level3]]]: the field is a
 * const struct wr_temp_path *; the folder enters wr_core_main.temp_dirs once.
 */
wr_dir_set_fn wr_core_set_temp_path;
/* Setter for rows such as limit_rate: the field is a struct wr_rate. */
wr_dir_set_fn wr_core_set_rate;
/* listen_conf.c: rows of core_conf.c, and what is made of them when the file is whole. */
wr_dir_set_fn wr_core_set_listen;
wr_dir_set_fn wr_core_set_server_name;
enum wr_status wr_core_build_ports(struct wr_conf *cf, struct wr_http *h) WR_MUST_CHECK;
/* Does the location pass a peer's 103 (Early Hints) on? WR_ENOMEM. */
enum wr_status wr_core_wants_hints(struct wr_req *r, bool *ret) WR_MUST_CHECK;

/* No variable, and no limit. */
static inline bool wr_core_rate_is_none(const struct wr_rate *rate)
{
    return !rate->t && rate->value == 0;
}

/* Value of a rate for this request; text of variables that is no size counts as 0. WR_ENOMEM. */
enum wr_status wr_core_rate(struct wr_req *r, const struct wr_rate *rate,
                            uint64_t *ret_v) WR_MUST_CHECK;

#endif
