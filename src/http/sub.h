/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sub.h: subrequests (U13). One is a struct wr_req that runs the phases by itself, with a URI of
 * its own and the fields of its parent, and whose response goes to its holder and never to the
 * client. The request's codec is this file: a struct wr_stream in the role of a server without a
 * connection.
 *
 *   parent -- subs: wr_sub -- stream -- wr_req (child) -- subs ...
 *               \-- holder: a handler or a body stage of the parent, or nobody
 *
 * Modes: ORDER, the holder puts the body into the parent's output when its turn has come (until
 * then it stays in the child's own buffers and file, which hold the producer back); HEAD, status
 * and fields; MEMORY, a body of at most subrequest_output_buffer_size; BACKGROUND, nobody looks.
 */
/*
 * What holds for a child:
 *  - Parent's thread. The parent's memory outlives it: a parent that has children left at its end
 *    waits for them without holding the client (state CHILDREN), and pins the generation meanwhile.
 *  - SERVER_REWRITE is its first phase; `internal` locations are open to it; ACCESS and POST_ACCESS
 *    are skipped. LOG runs with `log_subrequest on` only.
 *  - Of the header filters those run whose slot concerns the body's text: DECOMPRESS, REPLACE,
 *    CHARSET, INCLUDE.
 *  - $request and $request_uri, captures aside all that tells of the client and its request, are
 * the main request's. Variables that have no getter (set, auth_request_set, named groups) are one
 * for the main request and all below it; values of getters (map, geo ...) are each request's own.
 *  - Cancel: the end of the parent's response ends all but those of BACKGROUND and answered ones of
 *    HEAD, a parent that is given up (client gone, shutdown) ends all. An internal redirect or an
 *    error page of the parent ends all but those of BACKGROUND.
 *  - Bounds: WR_SUB_DEPTH_MAX levels, WR_SUB_TOTAL_MAX a main request, worker_connections in the
 *    background of a thread; a body that is dropped is read up to WR_SUB_DROP_MAX bytes, then the
 *    producer is cut.
 */
#ifndef WR_HTTP_SUB_H
#define WR_HTTP_SUB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "http/msg.h"

#define WR_SUB_DEPTH_MAX 50u
#define WR_SUB_TOTAL_MAX 2000u
#define WR_SUB_DROP_MAX  262144u

struct wr_req;
struct wr_stage;
struct wr_sub;
struct wr_task;

enum wr_sub_mode {
    WR_SUB_ORDER,
    WR_SUB_HEAD,
    WR_SUB_MEMORY,
    WR_SUB_BACKGROUND, /* has no holder: wr_sub_open gives no pointer */
};

enum wr_sub_flags {
    WR_SUB_SAME_METHOD = 1, /* that of the parent; else GET */
    WR_SUB_SEND_BODY = 2,   /* the parent's body, which must be whole, by a cursor of its own */
};

enum wr_sub_state {
    WR_SUB_RUNNING,
    WR_SUB_ANSWERED, /* status and fields are there, the body is on its way */
    WR_SUB_WHOLE,    /* MEMORY: all of the body is there; ORDER: all of it was passed */
    WR_SUB_FAILED,   /* no answer, or it broke off */
};

struct wr_sub_opts {
    struct wr_str uri, args; /* decoded path, raw arguments; copied */
    enum wr_sub_mode mode;
    unsigned flags; /* enum wr_sub_flags or-ed */
    /* Woken at each change of what the calls below say; lives until wr_sub_leave. NULL: nobody. */
    struct wr_task *waiter;
    /*
     * Called once when the answer's head is known, on the child's task, while its variables can be
     * evaluated; changes nothing of the child. May be NULL.
     */
    void (*answered)(struct wr_req *child, void *data);
    void *data;
};

/*
 * Starts one; it runs from its own task, never within this call. The holder's end of *ret is to be
 * left by wr_sub_leave at the latest when the parent closes (which leaves what was forgotten). ret
 * is NULL for BACKGROUND. WR_ELIMIT: too deep or too many (logged); WR_ENOMEM.
 */
enum wr_status wr_sub_open(struct wr_req *parent, const struct wr_sub_opts *o,
                           struct wr_sub **ret) WR_MUST_CHECK;
/* Of a directive, as it is: o->args is what follows the first '?'. */
void wr_sub_split_uri(struct wr_str text, struct wr_sub_opts *o);
/*
 * Decodes and splits a URI as pages write it ("/a%20b?x=1") into o->uri and o->args, in r's
 * arena. A relative one is put behind the folder of r's own path. WR_EPROTO: a bad escape, or the
 * path has "..". WR_ENOMEM.
 */
enum wr_status wr_sub_set_uri(struct wr_req *r, struct wr_str text,
                              struct wr_sub_opts *o) WR_MUST_CHECK;
enum wr_sub_state wr_sub_get_state(const struct wr_sub *s);
/* Of an answer; of a failed one why it failed as a status (502 ...), 0: cut without one. */
unsigned wr_sub_status(const struct wr_sub *s);
/* The answer's head, with ANSWERED, WHOLE and until wr_sub_leave; NULL: there was none. */
const struct wr_msg *wr_sub_head(const struct wr_sub *s);
/* MEMORY, WHOLE: the body, until wr_sub_leave. Empty when the status is 300 or more. */
struct wr_str wr_sub_body(const struct wr_sub *s);
/*
 * ORDER: what is there goes to the output of the stage, as far as there is room. WR_OK: that was
 * all of it; WR_AGAIN: there will be more, or room; WR_ECANCELED: it broke off, so must the parent.
 */
enum wr_status wr_sub_pass(struct wr_sub *s, struct wr_stage *g) WR_MUST_CHECK;
/* Is somebody's answer, or part of it, there to be passed? For those who wait for the first byte.
 */
bool wr_sub_has_bytes(const struct wr_sub *s);
/* The holder leaves: what runs still is ended, but HEAD ones that have answered. Accepts NULL. */
void wr_sub_leave(struct wr_sub *s);

#endif
