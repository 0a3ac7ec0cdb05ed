/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder.h: the flight recorder. For each thread: the task and the request that run now, and a
 * ring of the last 1,024 state changes, written by every set_state (base/fsm.h). Printed on panic,
 * on a fault, and on demand.
 *
 *   area (memory shared with another process) -> recorder of a thread | recorder | recorder ...
 *
 * Recorders lie in the area when there is one and it has room, else on the heap of their thread.
 * Who reads the area of another process must not believe it: pointers in it are addresses of that
 * process, and it may have written anything.
 */
#ifndef WR_BASE_RECORDER_H
#define WR_BASE_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/local.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "base/sync.h"

#define WR_RECORDER_CAP      1024u /* a power of 2 */
#define WR_RECORDER_LINE_MAX 200u
#define WR_RECORDER_REQS     64u /* a power of 2 */

struct wr_addr;
struct wr_fsm;

/*
 * A change of state as it is kept: a quarter of a cache line.
 *
 *   move: |22 bits of the machine's address, from bit 3 up|5 bits: from|5 bits: to|
 *
 * The rest of both is the reader's to find: the machine lies in the program, at most 16 MiB from
 * the anchor, and a change is less than 24 days from now (of an older one the time is wrong).
 */
struct wr_recorder_note {
    uint64_t id;
    uint32_t at_ms;
    uint32_t move;
};

/* What it says. fsm NULL: of a loaded module, which may lie anywhere. */
struct wr_recorder_entry {
    uint64_t at_ms;
    uint64_t id;
    const struct wr_fsm *fsm;
    uint32_t from, to;
};

/* What is known of a request. */
struct wr_recorder_req {
    uint64_t id; /* 0: none yet */
    uint64_t conn_no;
    uint8_t ip_len; /* 4, 16; 0: a unix socket */
    uint8_t ip[16];
    uint32_t line_len;
    char line[WR_RECORDER_LINE_MAX]; /* begin of the request line */
};

struct wr_recorder {
    uint64_t _cnt;    /* notes ever written; the next goes to _at[_cnt % cap] */
    const char *task; /* name of the one that runs; NULL: none does */
    uint64_t conn_no; /* connection of that task; 0: none known */
    uint64_t req_id;  /* request of that task; 0: none */
    uint64_t last_id; /* request whose task ran last; 0: none yet */
    uint32_t no;      /* thread_no of wr_local */
    uint32_t tid;     /* of the system; 0: this place was never used */
    bool is_shared;   /* lies in the area */
    wr_atomic_u32 is_taken;
    /* Those that ran lately, a request at its id modulo their number: while few are under way each
     * is noted once. */
    struct wr_recorder_req reqs[WR_RECORDER_REQS];
    struct wr_recorder_note _at[WR_RECORDER_CAP];
};

#define WR_RECORDER_MAGIC 0x77724652u

struct wr_recorder_area {
    uint32_t magic;
    uint32_t cnt;           /* of at */
    const void *anchor;     /* &wr_recorder_anchor as the writer sees it */
    wr_atomic_u32 told_sig; /* the writer has told about its end by this signal; 0: not so */
    uint32_t told_tid;      /* on whose stack */
    struct wr_recorder at[];
};

/* By its address a reader finds how far apart two images of the program lie. */
extern const char wr_recorder_anchor;

/* States are below 32. */
static inline void wr_recorder_note(const struct wr_fsm *fsm, uint64_t id, unsigned from,
                                    unsigned to)
{
    const struct wr_local *l = wr_local_get();
    struct wr_recorder *r = l->recorder;
    struct wr_recorder_note *n = &r->_at[r->_cnt & (WR_RECORDER_CAP - 1)];

#if defined(__PIC__) && !defined(__PIE__)
    fsm = NULL;
#endif
    n->id = id;
    n->at_ms = (uint32_t)l->now_ms;
    n->move = (uint32_t)((uintptr_t)fsm << 7) | (from & 31) << 5 | (to & 31);
    r->_cnt++; /* last: a dump from a signal handler never sees half a note as the newest */
}

/* anchor: as the writer of the note has it, and so is the address of the machine. */
void wr_recorder_read(const struct wr_recorder_note *n, const void *anchor, uint64_t now_ms,
                      struct wr_recorder_entry *ret);

/* Each note of this thread that is still there, oldest first. */
typedef void wr_recorder_fn(void *data, const struct wr_recorder_entry *e);
void wr_recorder_each(wr_recorder_fn *fn, void *data);

/* The task that runs on this thread; name is constant text. */
static inline void wr_recorder_begin_task(struct wr_recorder *r, const char *name)
{
    r->task = name;
}

static inline void wr_recorder_end_task(struct wr_recorder *r)
{
    r->task = NULL;
    r->conn_no = 0;
    r->req_id = 0;
}

/* The running task is this connection's. */
static inline void wr_recorder_enter_conn(uint64_t conn_no)
{
    wr_local_get()->recorder->conn_no = conn_no;
}

void wr_recorder_copy_req(struct wr_recorder_req *q, const struct wr_addr *client,
                          struct wr_str line);

static inline const struct wr_recorder_req *wr_recorder_req_of(const struct wr_recorder *r,
                                                               uint64_t id)
{
    return &r->reqs[id & (WR_RECORDER_REQS - 1)];
}

/* The running task is this request's. id is not 0. The rest is copied if it is not there. */
static inline void wr_recorder_enter_req(uint64_t id, uint64_t conn_no,
                                         const struct wr_addr *client, struct wr_str line)
{
    struct wr_recorder *r = wr_local_get()->recorder;
    struct wr_recorder_req *q = &r->reqs[id & (WR_RECORDER_REQS - 1)];

    r->req_id = r->last_id = id;
    r->conn_no = conn_no;
    if (q->id != id) {
        q->id = id;
        q->conn_no = conn_no;
        wr_recorder_copy_req(q, client, line);
    }
}

/* --- printing; all async-signal-safe when b is fixed --- */

/* "123456 up 17: PICK -> TRY": monotonic ms, machine, object, states. */
void wr_recorder_write_entry(struct wr_strbuf *b, const struct wr_recorder_entry *e,
                             const struct wr_fsm *fsm);
/* `connection *3, request 17, client: 127.0.0.1, request: "GET / HTTP/1.1"` as far as known. */
void wr_recorder_write_req(struct wr_strbuf *b, uint64_t conn_no, uint64_t req_id,
                           const struct wr_recorder_req *q);
/* To fd: what this thread runs; nothing when it runs no task. */
void wr_recorder_dump_running(int fd);
/* To fd: what this thread runs, and its ring, oldest first. */
void wr_recorder_dump(int fd);
/* The newest n changes. */
void wr_recorder_dump_last(int fd, unsigned n);

/* --- the area --- */

/* Bytes of an area for so many threads. */
size_t wr_recorder_area_size(unsigned threads);
/*
 * Recorders lie in a from now on: that of this thread, and of those that come. a: zeroed, `size`
 * bytes, as long as the process lives. Before other threads start.
 */
void wr_recorder_share(struct wr_recorder_area *a, size_t size);
/* The area; NULL: none. */
struct wr_recorder_area *wr_recorder_shared(void);

#endif
