/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h: http{} of a generation ready for use: listening addresses, virtual servers, and this
 * thread's accepting side of them. The immutable part is built by the configuration hooks (done)
 * and hangs at gen->data; the per-thread part (struct wr_listen_ctx: listener, sink, list of
 * connections) lives as long as the thread listens on that address, over generations.
 *
 *   gen->data = struct wr_http -- ports[] : wr_port {listen options, fixture fd, default server,
 * names}
 *                              -- servers[]
 */
#ifndef WR_HTTP_SERVER_H
#define WR_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/map.h"
#include "base/status.h"
#include "base/trie.h"
#include "conf/gen.h"
#include "http/h1_conn.h"
#include "http/req.h"
#include "net/sock.h"

struct wr_conf;
struct wr_regex;
struct wr_locations; /* http/location.h */
struct wr_phase_plan;
struct wr_filter_plan;

/* A server{}: what a request needs of it. */
struct wr_server {
    struct wr_scope *scope;
    struct wr_str name; /* first server_name: $server_name */
    struct wr_locations *locations;
    const struct wr_node *node;
    uint32_t no;
};

struct wr_name_regex {
    struct wr_regex *re;
    struct wr_server *server;
    struct wr_str text; /* as configured, "~^www\\." */
};

/* One listening address with its virtual servers. */
struct wr_port {
    struct wr_listen_opts opts;
    struct wr_str text;  /* as configured, for -s messages and the fixture's name */
    bool is_wildcard_of; /* 0.0.0.0:80 beside 1.2.3.4:80: connections are told apart by local
                            address */
    struct wr_port
        *virtuals; /* is_wildcard_of: those addresses, which have no socket of their own */
    size_t virtual_cnt;
    struct wr_map by_local; /* is_wildcard_of: bytes of the local address -> one of virtuals */
    bool is_tls;            /* listen ... ssl */
    bool any_tls;           /* is_tls, here or of one of virtuals */
    bool is_proxy;          /* listen ... proxy_protocol */
    bool any_proxy;         /* likewise */
    struct wr_server *deflt;
    struct wr_map exact;     /* lower-case name -> wr_server */
    struct wr_trie leading;  /* "*.example.org" and ".example.org" as reversed suffix */
    struct wr_trie trailing; /* "www.example.*" */
    struct wr_name_regex *regexes;
    size_t regex_cnt;
    struct wr_h1_opts h1; /* of the default server */
    const struct wr_node *node;
    int *fds; /* sockets handed by the supervisor: one, or several that share the address
                 (reuseport); thread i serves i, i + threads ..., or i modulo their number */
    unsigned fd_cnt;
};

struct wr_http {
    struct wr_scope *scope; /* http{} */
    struct wr_port *ports;
    size_t port_cnt;
    struct wr_server *servers;
    size_t server_cnt;
    const struct wr_phase_plan *phases;   /* see phase.h */
    const struct wr_filter_plan *filters; /* see filter.h */
    struct wr_vars *vars;                 /* exists from the init hook of wr_core_conf on */
    struct wr_map *regexes;               /* regex.c: by text, [icase]; NULL: none */
    uint32_t worker_connections; /* of one thread; main/ may set it in its `done` hook. 512 */
    uint32_t threads;            /* that serve; likewise. 1 */
    /* Clients whose lines are written whatever the levels (debug_connection); main/ sets it too. */
    const struct wr_cidr *debug_clients;
    uint32_t debug_client_cnt;
};

/* Of a generation; NULL when the file has no http{}. */
static inline struct wr_http *wr_http_of(const struct wr_gen *g)
{
    return g->data;
}

/* --- while a generation is built (listen_conf.c) --- */

/* The http{} that is being built, also when the file has none (yet). After the init hooks. */
struct wr_http *wr_http_building(struct wr_conf *cf);
/* Number of a variable that something (a named group, set, map) is about to define: known from now
 * on. */
enum wr_status wr_http_define_var(struct wr_conf *cf, struct wr_str name,
                                  uint32_t *ret_no) WR_MUST_CHECK;

/*
 * The port that a connection to this local address belongs to: p itself, or one of its virtuals.
 */
const struct wr_port *wr_port_of_local(const struct wr_port *p, const struct wr_addr *local);

/*
 * Virtual server for a host (lower case, no port) on a port, with the name that matched; captures
 * of a regex name are left in the request (r may be NULL in tests).
 */
struct wr_server *wr_port_find(const struct wr_port *p, struct wr_str host, struct wr_req *r,
                               struct wr_str *ret_name);

/* --- one thread's side; called on that thread, from the mail point --- */

/*
 * This thread serves this generation from now on: opens listeners for new ports, leaves those alone
 * that stay; those that are gone still take whoever had begun to connect, until close_removed.
 * thread_no picks the socket of ports with one a thread. One reference of g is taken; the previous
 * generation's is given back when its last request ended.
 */
enum wr_status wr_http_adopt(struct wr_gen *g, unsigned thread_no) WR_MUST_CHECK;
/* Closes the listeners that the last adopt took away; their connections end gracefully (U14.9). */
void wr_http_close_removed(void);
/* The generation that new requests of this thread get; NULL before the first. */
struct wr_gen *wr_http_current(void);
/* No more accepting; idle connections close after grace, busy ones after their response. */
void wr_http_quit(uint32_t grace_ms);
/*
 * Requests of generation `no` and older ones end now, the wire sees them cut; so do connections
 * whose listener went with it. Value: how many.
 */
unsigned wr_http_end_old(uint64_t no);
/* Closes everything at once. */
void wr_http_stop(void);
/* Client connections of this thread, and requests that run. */
uint32_t wr_http_conn_cnt(void);
uint32_t wr_http_req_cnt(void);

/* --- for those who look from outside; on the thread --- */

#define WR_HTTP_GENS_MAX 32

/* What needs a generation on this thread. */
struct wr_http_gen_use {
    uint64_t no;
    uint32_t reqs, listens, conns; /* conns: of its listening addresses */
    bool is_current;
};

struct wr_http_facts {
    uint32_t conn_cnt, req_cnt;
    uint32_t gen_cnt;
    struct wr_http_gen_use gens[WR_HTTP_GENS_MAX];
};

void wr_http_look(struct wr_http_facts *ret);
typedef void wr_http_req_fn(void *data, const struct wr_req *r);
/* Each request of this thread that runs; fn changes nothing. */
void wr_http_reqs_each(wr_http_req_fn *fn, void *data);

#endif
