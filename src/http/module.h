/* SPDX-License-Identifier: Apache-2.0 */
/*
 * module.h: everything an HTTP module may use, and the tables by which it is found. A module is one
 * struct wr_module in main/modules.def; its rows name numbers (phase and order, filter slot), never
 * other modules. Tables are constant; handlers run on the request's thread and task.
 */
#ifndef WR_HTTP_MODULE_H
#define WR_HTTP_MODULE_H

#include <stddef.h>

#include "base/status.h"
#include "conf/dirs.h"
#include "conf/scope.h"
#include "http/req.h"
#include "http/stage.h"
#include "http/sub.h"
#include "http/var.h"

/* In this order. FIND_LOCATION is the engine's own. */
enum wr_phase {
    WR_PHASE_POST_READ,
    WR_PHASE_SERVER_REWRITE,
    WR_PHASE_FIND_LOCATION,
    WR_PHASE_REWRITE,
    WR_PHASE_POST_REWRITE, /* URI changed by REWRITE: back to FIND_LOCATION */
    WR_PHASE_PREACCESS,
    WR_PHASE_ACCESS,
    WR_PHASE_POST_ACCESS,
    WR_PHASE_PRECONTENT,
    WR_PHASE_CONTENT, /* the location's content handler, else rows (index, static, 404) */
    WR_PHASE_LOG,
    WR_PHASE_COUNT
};

enum wr_phase_result {
    WR_PHASE_NEXT,  /* go on with the next handler */
    WR_PHASE_AGAIN, /* waits; the same handler is called again when the task is woken */
    WR_PHASE_DONE,  /* the handler called wr_req_fail, _respond, _redirect or set r->content */
    WR_PHASE_SKIP,  /* go on behind this phase; what wr_access_grant and _deny give */
};

typedef enum wr_phase_result wr_phase_fn(struct wr_req *r);

struct wr_phase_row {
    enum wr_phase phase;
    int order; /* within the phase, small first */
    wr_phase_fn *fn;
};

/*
 * Answers of a handler of ACCESS, which it returns: the client may come in; it may not, for this
 * reason (401, 403). `satisfy` decides what comes of several of them, `auth_delay` when a 401 is
 * sent. A handler that has nothing against the client and nothing for it returns WR_PHASE_NEXT.
 * With 401 the handler has set WWW-Authenticate in r->out.
 */
enum wr_phase_result wr_access_grant(struct wr_req *r);
enum wr_phase_result wr_access_deny(struct wr_req *r, unsigned status);

/*
 * Header filters by slot; each edits r->out, may add a body stage (http/stage.h), never sends. The
 * order of the slots is the order of the stages.
 */
enum wr_filter_slot {
    WR_FILTER_NOT_MODIFIED = 100, /* conditionals */
    WR_FILTER_HEADERS = 200,      /* expires, add_header */
    WR_FILTER_DECOMPRESS = 300,   /* for those behind, and for clients that cannot */
    WR_FILTER_REPLACE = 400,      /* sub_filter */
    WR_FILTER_CHARSET = 450,
    WR_FILTER_INCLUDE = 500, /* server-side includes */
    WR_FILTER_ADD = 550,     /* text in front and behind; went through its own stages */
    WR_FILTER_COMPRESS = 600,
    WR_FILTER_RANGE = 700,   /* of what goes out: a body that a stage changed has none */
    WR_FILTER_TRAILER = 800, /* what comes behind the body */
    WR_FILTER_FINAL = 900,   /* Server, Date, Content-Type, Last-Modified */
};

/*
 * WR_OK: go on. WR_ECANCELED: the filter replaced the response: it called wr_req_replace; the rest
 * of the filters run on the new head. WR_EOF: the filter gives the response up for an error: it
 * called wr_req_fail, which goes through error_page; no other filter runs. WR_ENOMEM: 500.
 */
typedef enum wr_status wr_filter_fn(struct wr_req *r);

struct wr_filter_row {
    int slot;
    wr_filter_fn *fn;
};

struct wr_lb;

struct wr_module {
    struct wr_conf_module *conf; /* directives; NULL: none */
    const struct wr_var *vars;
    size_t var_cnt;
    const struct wr_phase_row *phases;
    size_t phase_cnt;
    const struct wr_filter_row *filters;
    size_t filter_cnt;
    /* Its handlers and filters have nothing to do where none of its directives stands in the whole
     * configuration: they are not asked then. */
    bool is_quiet;
    const struct wr_lb *const *balancers; /* up/lb.h; found by name */
    size_t balancer_cnt;
    /* A generation is published to this thread (every thread once): make per-thread state. May be
     * NULL. */
    enum wr_status (*thread_adopt)(struct wr_gen *g);
    /* This thread lets a generation go; before its last reference from here. May be NULL. */
    void (*thread_drop)(struct wr_gen *g);
};

/*
 * All modules of the program, in the order of main/modules.def, loaded ones behind them; before any
 * configuration is read, and again while no thread serves. Sorts phases and filters, registers
 * variables that are not. WR_ECONFIG: *ret_err names a clash, the list is as before. Kept for the
 * life of the process.
 */
enum wr_status wr_modules_set(const struct wr_module *const *modules, size_t cnt,
                              const char **ret_err) WR_MUST_CHECK;
const struct wr_module *const *wr_modules_get(size_t *ret_cnt);

/* Struct of the module at the request's location, server, http{} level. Never NULL inside http{}.
 */
static inline void *wr_req_conf(const struct wr_req *r, const struct wr_conf_module *m,
                                enum wr_conf_kind kind)
{
    return wr_scope_get(r->scope, m, kind);
}

/*
 * For filters: the response becomes one with this status and no body from out_pipe (dropped);
 * headers that describe the body (length, type, ranges, encoding) are removed.
 */
void wr_req_replace(struct wr_req *r, unsigned status);
/* The media type of the response, parameters and all: ours, or what a peer said. May be empty. */
struct wr_str wr_req_out_type(const struct wr_req *r);
/* Module context of this request by the module's pointer: made zeroed (size) at the first call;
 * NULL without memory. */
void *wr_req_ctx(struct wr_req *r, const struct wr_module *m, size_t size);
/* The same, but no redirect resets it, and subrequests share that of their main request: what is
 * counted or decided once a client's request. */
void *wr_req_keep(struct wr_req *r, const struct wr_module *m, size_t size);
/* What wr_req_keep made; NULL: nothing yet. */
void *wr_req_kept(const struct wr_req *r, const struct wr_module *m);

/* Whose rows these are is the module's own business: a content handler of a location is set by its
 * directive. */
struct wr_core_loc;
/*
 * For setters such as proxy_pass, root-less handlers: the content of the location being built. `is
 * duplicate` when the location has one (U1.3). conf is handed to start.
 */
enum wr_status wr_core_set_content(struct wr_conf *cf, const struct wr_node *node,
                                   wr_content_start_fn *start, void *conf) WR_MUST_CHECK;

/* Facts of the location that is being built (cf->scope): regex or named, its name (prefix), is it
 * an `if`... */
struct wr_loc_facts {
    struct wr_str name;                           /* "/app/", "@name", "\\.php$" */
    bool is_regex, is_named, is_exact, is_noname; /* noname: if, limit_except */
};

void wr_core_loc_facts(struct wr_conf *cf, struct wr_loc_facts *ret);
/* proxy_pass to a prefix that ends in '/': the same path without it is answered 301 (U4.1). */
void wr_core_set_auto_redirect(struct wr_conf *cf);

#endif
