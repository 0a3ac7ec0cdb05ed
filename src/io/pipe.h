/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipe.h: THE byte queue. Every body, both directions, goes through one: one producer end, one
 * consumer end, watermarks, optional temporary-file tail. Two-ended: freed by whoever leaves last.
 * One thread.
 *
 *   producer: reserve/commit, push, eof, fail, abort, leave      consumer: peek, consume, move,
 * leave
 *
 * Rules (docs/architecture.md, "Bytes: the pipe"):
 *  1. can_push is false when `queued` >= high; the producer that saw it is woken when queued <=
 * low. Bytes in kernel pipes do not count. With a spill only bytes in memory count, and room on
 * disk counts as room. reserve never hands out more than high - queued.
 *  2. The consumer is woken when an empty pipe gains bytes, and on eof, fail, abort.
 *  3. Slices under 2 KiB are copied into the tail chunk, so that ten bytes never pin a big one;
 *     what finds the pipe empty is only so if it is still there at the end of the loop's turn.
 *  4. When the consumer left, pushes are dropped and counted, and the producer's calls give
 * WR_EPEERGONE.
 *  5. With a spill: when memory reaches `high`, what comes goes to the file, and comes back as file
 *     slices in order; once the file is drained it starts anew. If the file cannot be made or
 * written (disk full) the pipe simply refuses at high (U14.5) and says so once by spill_errno.
 */
#ifndef WR_IO_PIPE_H
#define WR_IO_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/chunk.h"
#include "base/compiler.h"
#include "base/status.h"
#include "event/grave.h"
#include "event/task.h"
#include "io/file.h"
#include "io/kpipe.h"

enum wr_pipe_state {
    WR_PIPE_OPEN,
    WR_PIPE_EOF,     /* nothing more comes; what is queued is whole */
    WR_PIPE_FAILED,  /* nothing more comes; what is queued is to be delivered, then the failure */
    WR_PIPE_ABORTED, /* queue was dropped */
};

enum wr_slice_kind {
    WR_SLICE_CHUNK,
    WR_SLICE_FILE,
    WR_SLICE_CONST,
    WR_SLICE_KPIPE /* only where the consumer takes them; consumed as it is read from the pipe */
};

struct wr_slice {
    uint8_t kind;

    union {
        struct wr_chunk *chunk; /* one reference */
        struct wr_file *file;   /* one reference */
        const char *text;       /* constant: outlives the pipe */
        struct wr_kpipe *kpipe; /* one reference */
    } u;

    uint64_t off,
        len; /* off within chunk->data, the file, the text, all that went into the kpipe */
};

struct wr_spill_conf {
    const struct wr_temp_path *where;
    uint64_t max;        /* bytes on disk at one time */
    uint32_t write_size; /* bytes per write */
};

struct wr_slice_block;
struct wr_spill;

struct wr_pipe {
    uint32_t magic;
    uint8_t state; /* enum wr_pipe_state */
    uint8_t _ends; /* which are still here */
    bool _is_producer_waiting;
    bool _takes_kpipes, _wants_kpipes;
    bool is_spilled;      /* the temporary file was used at least once (for the log line) */
    int spill_errno;      /* the file could not be made or written; 0: fine */
    uint16_t reason;      /* enum wr_reason behind FAILED or ABORTED, opaque here */
    struct wr_slice *_at; /* ring of slices: inline ones first, then a block */
    uint32_t _head, _cnt, _cap;
    uint64_t in_total, out_total; /* bytes */
    size_t queued_mem;            /* bytes of chunks and constants queued */
    size_t queued_kpipe;          /* bytes in kernel pipes queued: they are bounded by the pipe */
    uint64_t queued_file;         /* bytes queued as file slices */
    size_t high, low;
    struct wr_task *producer, *consumer;    /* woken; NULL: nobody */
    const struct wr_spill_conf *spill_conf; /* NULL: none */
    struct wr_spill *spill;                 /* NULL before the first */
    struct wr_task *watcher; /* woken at the first spill, and when the file fails; NULL: nobody */
    struct wr_chunk
        *_tail; /* chunk of the last slice if this pipe fills it; no reference of its own */
    struct wr_chunk *_res; /* handed out by reserve, one reference; NULL: none */
    uint32_t _res_off, _res_len;
    bool _is_lent;              /* _loan is on its way to the end of the turn */
    struct wr_grave _loan;      /* then small slices of big chunks are copied */
    struct wr_slice _inline[4]; /* last: not zeroed */
};

/* high > 0; low = high / 2. From the slab; NULL when memory is out. */
struct wr_pipe *wr_pipe_new(size_t high, struct wr_task *producer,
                            struct wr_task *consumer) WR_MUST_CHECK;
void wr_pipe_set_marks(struct wr_pipe *p, size_t high, size_t low);
/* Attaches a temporary-file tail; conf must outlive the pipe. */
void wr_pipe_set_spill(struct wr_pipe *p, const struct wr_spill_conf *conf);

/* --- producer --- */

/* May a push be made now? If not, the producer's task is woken once it may. */
bool wr_pipe_can_push(struct wr_pipe *p);
/*
 * Bytes that may be pushed now; 0 arms the wake as can_push. When memory is full and a spill takes
 * over: 64 KiB, whatever is left on disk.
 */
size_t wr_pipe_room(struct wr_pipe *p);
/*
 * Takes the slice's reference in every case. A push beyond room is accepted whole (one slice over),
 * so that no caller has to split. WR_EPEERGONE: dropped. WR_ENOMEM: dropped, the pipe is as before.
 */
enum wr_status wr_pipe_push(struct wr_pipe *p, struct wr_slice s) WR_MUST_CHECK;
/* Copies n bytes into the tail chunk. */
enum wr_status wr_pipe_push_copy(struct wr_pipe *p, const void *bytes, size_t n) WR_MUST_CHECK;
/* Room in the tail chunk to be written in place, at most `want`; NULL at high (as can_push) or
 * without memory. */
char *wr_pipe_reserve(struct wr_pipe *p, size_t want, size_t *ret_len) WR_MUST_CHECK;
/* The first n bytes of the last reserve, nothing else was called in between; 0 gives the room back.
 */
void wr_pipe_commit(struct wr_pipe *p, size_t n);
void wr_pipe_eof(struct wr_pipe *p);
/* First reason wins; also after eof it changes nothing. */
void wr_pipe_fail(struct wr_pipe *p, unsigned reason);
void wr_pipe_abort(struct wr_pipe *p, unsigned reason);
/* The producer's task will not be woken any more. An open pipe becomes FAILED. Frees when last. */
void wr_pipe_leave_producer(struct wr_pipe *p);

/*
 * May what comes now stay in a kernel pipe? If only the consumer does not take them yet, the
 * producer's task is woken once he does.
 */
bool wr_pipe_can_kpipe(struct wr_pipe *p);
/* What lies in kernel pipes is copied to chunks, in place. WR_ENOMEM, WR_ESYS: not all of it; what
 * was not copied is as before. */
enum wr_status wr_pipe_copy_kpipes(struct wr_pipe *p) WR_MUST_CHECK;

/* The consumer has left: what is pushed is dropped (can_push and room say yes, push WR_EPEERGONE).
 */
static inline bool wr_pipe_is_orphan(const struct wr_pipe *p)
{
    return (p->_ends & 2u) == 0;
}

/* --- consumer --- */

static inline uint64_t wr_pipe_queued(const struct wr_pipe *p)
{
    return (uint64_t)p->queued_mem + p->queued_kpipe + p->queued_file;
}

/* Nothing queued and nothing more comes. */
static inline bool wr_pipe_is_spent(const struct wr_pipe *p)
{
    return p->state != WR_PIPE_OPEN && p->_cnt == 0;
}

/*
 * The memory slices at the front as iovecs, up to cnt and max bytes; *ret_bytes their sum. Stops at
 * a file or kernel pipe. Returns the number of iovecs, 0 when the first is one or nothing is there.
 */
int wr_pipe_peek(struct wr_pipe *p, struct iovec *iov, int cnt, size_t max, size_t *ret_bytes);
/* The same for one who is done with the bytes in this turn of the loop: then they may move. */
int wr_pipe_peek_now(const struct wr_pipe *p, struct iovec *iov, int cnt, size_t max,
                     size_t *ret_bytes);
/* The first slice (of any kind), or NULL. Valid until consume, in this turn of the loop. */
const struct wr_slice *wr_pipe_front(const struct wr_pipe *p);
/* The first n bytes are done with: of a kernel pipe the consumer has read them. */
void wr_pipe_consume(struct wr_pipe *p, uint64_t n);
/* From now on the queue may hold slices of kernel pipes; until the end is handed on. */
void wr_pipe_take_kpipes(struct wr_pipe *p);

static inline bool wr_pipe_takes_kpipes(const struct wr_pipe *p)
{
    return p->_takes_kpipes;
}

/*
 * Slices change pipes, no copy (but of kernel pipes that dst does not take), at most max bytes and
 * while dst can be pushed to; then the end state follows if src is spent. WR_AGAIN: nothing to move
 * now; WR_EOF: src is spent and dst was ended alike.
 */
enum wr_status wr_pipe_move(struct wr_pipe *dst, struct wr_pipe *src, uint64_t max) WR_MUST_CHECK;
/* Shares (references) up to max bytes from position `from` (bytes from the front) into dst; for
 * replay. */
enum wr_status wr_pipe_share(struct wr_pipe *dst, const struct wr_pipe *src, uint64_t from,
                             uint64_t max, uint64_t *ret_n) WR_MUST_CHECK;
/* Queue dropped, later pushes are dropped, the producer learns WR_EPEERGONE and is woken. Frees
 * when last. */
void wr_pipe_leave_consumer(struct wr_pipe *p);

/* One end changes its task: the pipe is handed over (a response relayed without stages). */
enum wr_pipe_end {
    WR_PIPE_PRODUCER = 1,
    WR_PIPE_CONSUMER = 2
};

void wr_pipe_hand(struct wr_pipe *p, enum wr_pipe_end end, struct wr_task *task);

#endif
