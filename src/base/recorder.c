/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder.c: printing of the flight recorder, and where recorders lie. Printing uses write(2) and
 * the stack only, so a panic or a signal handler of the same thread may do it.
 *
 *   running task: req, connection *3, request 17, client: 127.0.0.1, request: "GET / HTTP/1.1"
 *   recorder: 123456 up 17: PICK -> TRY
 */
#include "base/recorder.h"

#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/fsm.h"
#include "base/local_int.h"
#include "base/log.h"
#include "base/mem.h"

#define LINE_CAP 2048u /* a request line that is escaped whole */
#define TEXT_MAX 48u   /* of a name */

const char wr_recorder_anchor = 'W';

/* Set once by wr_recorder_share, before there are other threads. */
static struct wr_recorder_area *shared;

/* ---- where they lie -------------------------------------------------------------------------- */

size_t wr_recorder_area_size(unsigned threads)
{
    return sizeof(struct wr_recorder_area) + threads * sizeof(struct wr_recorder);
}

/* A free place of the area, or NULL. */
static struct wr_recorder *take_place(void)
{
    for (uint32_t i = 0; shared != NULL && i < shared->cnt; i++) {
        struct wr_recorder *r = &shared->at[i];
        uint32_t is_taken = 0;

        /* Acquire: what the thread before us wrote there is behind us. */
        while (is_taken == 0 && !wr_cas_acqrel(&r->is_taken, &is_taken, 1)) {
        }
        if (is_taken == 0) {
            wr_recorder_end_task(r);
            r->_cnt = 0;
            r->last_id = 0;
            memset(r->reqs, 0, sizeof(r->reqs));
            r->is_shared = true;
            return r;
        }
    }
    return NULL;
}

void wr_recorder_local_init(struct wr_local *l)
{
    struct wr_recorder *r = take_place();

    if (r == NULL) {
        r = wr_mem_alloc(sizeof(*r));
    }
    r->no = l->thread_no;
    r->tid = (uint32_t)gettid();
    l->recorder = r;
}

void wr_recorder_local_fini(struct wr_local *l)
{
    struct wr_recorder *r = l->recorder;

    l->recorder = NULL;
    if (r->is_shared) {
        r->tid = 0;
        wr_store_rel(&r->is_taken, 0); /* release: who takes it sees it as we left it */
    } else {
        wr_mem_free(r);
    }
}

void wr_recorder_share(struct wr_recorder_area *a, size_t size)
{
    struct wr_local *l = wr_local_get();

    WR_ASSERT(shared == NULL && size >= wr_recorder_area_size(1));
    a->cnt = (uint32_t)((size - sizeof(*a)) / sizeof(a->at[0]));
    a->anchor = &wr_recorder_anchor;
    a->magic = WR_RECORDER_MAGIC;
    shared = a;
    wr_recorder_local_fini(l);
    wr_recorder_local_init(l);
}

struct wr_recorder_area *wr_recorder_shared(void)
{
    return shared;
}

/* ---- notes ----------------------------------------------------------------------------------- */

#define FSM_SPAN ((uintptr_t)1 << 25) /* addresses of machines are known modulo this */

void wr_recorder_read(const struct wr_recorder_note *n, const void *anchor, uint64_t now_ms,
                      struct wr_recorder_entry *ret)
{
    /* The one address with these bits that is next to the anchor. */
    uintptr_t from = (uintptr_t)anchor - FSM_SPAN / 2;
    uintptr_t low = n->move >> 10 << 3;

    ret->at_ms = now_ms + (uint64_t)(int32_t)(n->at_ms - (uint32_t)now_ms);
    ret->id = n->id;
    ret->fsm = low == 0 ? NULL : (const void *)(from + ((low - from) & (FSM_SPAN - 1)));
    ret->from = n->move >> 5 & 31;
    ret->to = n->move & 31;
}

void wr_recorder_copy_req(struct wr_recorder_req *q, const struct wr_addr *client,
                          struct wr_str line)
{
    const uint8_t *ip = NULL;
    size_t n = wr_addr_bytes(client, &ip);

    q->ip_len = (uint8_t)n;
    if (n > 0) {
        memcpy(q->ip, ip, n);
    }
    q->line_len = (uint32_t)WR_MIN(line.len, (size_t)WR_RECORDER_LINE_MAX);
    if (q->line_len > 0) {
        memcpy(q->line, line.ptr, q->line_len);
    }
}

/* ---- printing -------------------------------------------------------------------------------- */

static void add_name(struct wr_strbuf *b, const char *z)
{
    wr_strbuf_add(b, z, strnlen(z, TEXT_MAX));
}

static void add_state(struct wr_strbuf *b, const struct wr_fsm *fsm, uint32_t state)
{
    if (fsm != NULL && state < fsm->cnt) {
        add_name(b, fsm->names[state]);
    } else {
        wr_strbuf_add_u64(b, state);
    }
}

void wr_recorder_write_entry(struct wr_strbuf *b, const struct wr_recorder_entry *e,
                             const struct wr_fsm *fsm)
{
    wr_strbuf_add_u64(b, e->at_ms);
    wr_strbuf_add_char(b, ' ');
    add_name(b, fsm != NULL ? fsm->machine : "?");
    wr_strbuf_add_char(b, ' ');
    wr_strbuf_add_u64(b, e->id);
    wr_strbuf_add_z(b, ": ");
    add_state(b, fsm, e->from);
    wr_strbuf_add_z(b, " -> ");
    add_state(b, fsm, e->to);
}

/* The address, as it was when the request began. */
static void add_client(struct wr_strbuf *b, const struct wr_recorder_req *q)
{
    struct wr_addr a = {0};
    char text[WR_ADDR_TEXT_MAX];

    if (q->ip_len == 4) {
        a.len = sizeof(a.u.in);
        a.u.in.sin_family = AF_INET;
        memcpy(&a.u.in.sin_addr, q->ip, 4);
    } else if (q->ip_len == 16) {
        a.len = sizeof(a.u.in6);
        a.u.in6.sin6_family = AF_INET6;
        memcpy(&a.u.in6.sin6_addr, q->ip, 16);
    } else {
        wr_strbuf_add_z(b, "unix:");
        return;
    }
    wr_strbuf_add(b, text, wr_addr_write_host(&a, text));
}

void wr_recorder_write_req(struct wr_strbuf *b, uint64_t conn_no, uint64_t req_id,
                           const struct wr_recorder_req *q)
{
    const char *sep = "";

    if (conn_no != 0) {
        wr_strbuf_add_z(b, "connection *");
        wr_strbuf_add_u64(b, conn_no);
        sep = ", ";
    }
    if (req_id == 0) {
        return;
    }
    wr_strbuf_add_z(b, sep);
    wr_strbuf_add_z(b, "request ");
    wr_strbuf_add_u64(b, req_id);
    if (q->id != req_id) {
        return;
    }
    wr_strbuf_add_z(b, ", client: ");
    add_client(b, q);
    wr_strbuf_add_z(b, ", request: \"");
    wr_strbuf_add(b, q->line, WR_MIN(q->line_len, WR_RECORDER_LINE_MAX));
    wr_strbuf_add_char(b, '"');
}

static void flush(struct wr_strbuf *b, int fd)
{
    wr_log_raw(fd, b->ptr, b->len);
    wr_strbuf_reset(b);
}

void wr_recorder_dump_running(int fd)
{
    const struct wr_local *l = wr_local_ptr;
    const struct wr_recorder *r = l != NULL ? l->recorder : NULL;
    char room[512], line[LINE_CAP];
    struct wr_strbuf raw, b;

    if (r == NULL || r->task == NULL) {
        return;
    }
    wr_strbuf_init_fixed(&raw, room, sizeof(room));
    wr_strbuf_init_fixed(&b, line, sizeof(line));
    wr_strbuf_add_z(&raw, "running task: ");
    add_name(&raw, r->task);
    if (r->conn_no != 0 || r->req_id != 0) {
        wr_strbuf_add_z(&raw, ", ");
        wr_recorder_write_req(&raw, r->conn_no, r->req_id, wr_recorder_req_of(r, r->req_id));
    }
    wr_codec_escape(&b, wr_strbuf_str(&raw), WR_ESCAPE_ERRLOG);
    wr_strbuf_add_char(&b, '\n');
    flush(&b, fd);
}

void wr_recorder_each(wr_recorder_fn *fn, void *data)
{
    const struct wr_recorder *r = wr_local_get()->recorder;
    struct wr_recorder_entry e;

    for (uint64_t i = r->_cnt - WR_MIN(r->_cnt, (uint64_t)WR_RECORDER_CAP); i < r->_cnt; i++) {
        wr_recorder_read(&r->_at[i & (WR_RECORDER_CAP - 1)], &wr_recorder_anchor, wr_now_ms(), &e);
        fn(data, &e);
    }
}

void wr_recorder_dump_last(int fd, unsigned n)
{
    const struct wr_local *l = wr_local_ptr;
    const struct wr_recorder *r;
    char room[LINE_CAP];
    struct wr_strbuf b;
    uint64_t cnt;

    if (l == NULL || l->recorder == NULL) {
        return;
    }
    r = l->recorder;
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    cnt = WR_MIN(r->_cnt, (uint64_t)WR_MIN(n, WR_RECORDER_CAP));
    for (uint64_t i = r->_cnt - cnt; i < r->_cnt; i++) {
        struct wr_recorder_entry e;

        wr_recorder_read(&r->_at[i & (WR_RECORDER_CAP - 1)], &wr_recorder_anchor, l->now_ms, &e);
        wr_strbuf_add_z(&b, "recorder: ");
        wr_recorder_write_entry(&b, &e, e.fsm);
        wr_strbuf_add_char(&b, '\n');
        if (LINE_CAP - b.len < 4 * TEXT_MAX + 96) {
            flush(&b, fd);
        }
    }
    flush(&b, fd);
}

void wr_recorder_dump(int fd)
{
    wr_recorder_dump_running(fd);
    wr_recorder_dump_last(fd, WR_RECORDER_CAP);
}
