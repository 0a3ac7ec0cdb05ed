/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder.c: printing of the flight recorder. One line a note:
 *   recorder: 123456 up 17: PICK -> TRY
 * (monotonic ms, machine, object, states). Only write(2) and the stack are used, so a panic or a
 * signal handler of the same thread may dump.
 */
#include "base/recorder.h"

#include <string.h>

#include "base/local_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

#define OUT_CAP  1024u
#define TEXT_MAX 48u /* of a name */

struct out {
    int fd;
    size_t len;
    char buf[OUT_CAP];
};

void wr_recorder_local_init(struct wr_local *l)
{
    l->recorder = wr_mem_alloc(sizeof(*l->recorder));
}

void wr_recorder_local_fini(struct wr_local *l)
{
    wr_mem_free(l->recorder);
    l->recorder = NULL;
}

static void flush(struct out *o)
{
    wr_log_raw(o->fd, o->buf, o->len);
    o->len = 0;
}

/* The caller flushed when less than a line was free. */
static void put(struct out *o, const char *z)
{
    size_t n = z == NULL ? 0 : strnlen(z, TEXT_MAX);

    if (n != 0) {
        memcpy(o->buf + o->len, z, n);
        o->len += n;
    }
}

static void put_num(struct out *o, uint64_t v)
{
    o->len += wr_num_write_u64(o->buf + o->len, v);
}

static void put_state(struct out *o, const char *const *names, uint32_t state)
{
    if (names == NULL) {
        put_num(o, state);
    } else {
        put(o, names[state]);
    }
}

static void put_entry(struct out *o, const struct wr_recorder_entry *e)
{
    if (OUT_CAP - o->len < 4 * TEXT_MAX + 64) {
        flush(o);
    }
    put(o, "recorder: ");
    put_num(o, e->at_ms);
    put(o, " ");
    put(o, e->machine);
    put(o, " ");
    put_num(o, e->id);
    put(o, ": ");
    put_state(o, e->names, e->from);
    put(o, " -> ");
    put_state(o, e->names, e->to);
    put(o, "\n");
}

void wr_recorder_dump_last(int fd, unsigned n)
{
    const struct wr_local *l = wr_local_ptr;
    struct out o = {.fd = fd};
    const struct wr_recorder *r;
    uint64_t cnt;

    if (l == NULL || l->recorder == NULL) {
        return;
    }
    r = l->recorder;
    cnt = WR_MIN(r->_cnt, (uint64_t)WR_MIN(n, WR_RECORDER_CAP));
    for (uint64_t i = r->_cnt - cnt; i < r->_cnt; i++) {
        put_entry(&o, &r->_at[i & (WR_RECORDER_CAP - 1)]);
    }
    flush(&o);
}

void wr_recorder_dump(int fd)
{
    wr_recorder_dump_last(fd, WR_RECORDER_CAP);
}
