/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body.c: the request body as content sees it (req.h). Buffered: the codec's own pipe gathers it,
 * with the temporary file behind it, so that not a byte is copied; it is whole when the pipe says
 * so. In client_body_in_file_only the bytes move on into a file of their own. Unbuffered: the pipe
 * is given away. Deadline: the stream's rx_timeout_ms, kept by the codec. The request's task only.
 */
#include <errno.h>
#include <unistd.h>

#include "base/num.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "http/req_int.h"

#define FILE_ONLY_HIGH 65536u
#define FILE_NAME_MAX  512u
#define WRITE_PIECES   16

bool wr_req_has_body(const struct wr_req *r, uint64_t *ret_len)
{
    const struct wr_msg *m = r->head;

    if (r->body_state == WR_BODY_NONE) {
        return false;
    }
    if (ret_len) {
        *ret_len = m->framing == WR_FRAMING_LENGTH ? m->content_length : WR_LENGTH_UNKNOWN;
        if (r->body_state == WR_BODY_WHOLE) {
            *ret_len = r->body_len;
        }
    }
    return true;
}

static enum wr_status fail_body(struct wr_req *r, unsigned status)
{
    r->body_status = (uint16_t)status;
    r->body_state = WR_BODY_FAILED;
    return WR_EPROTO;
}

static bool is_gone(unsigned reason)
{
    return reason == WR_REASON_CLOSED || reason == WR_REASON_RESET ||
           reason == WR_REASON_TRUNCATED || reason == WR_REASON_CLIENT_GONE;
}

/* The codec gave up: why, for the log and the client. */
static enum wr_status fail_by_reason(struct wr_req *r, unsigned reason)
{
    unsigned status = wr_reason_status((enum wr_reason)reason);

    if (is_gone(reason)) {
        wr_log(&r->log, WR_LOG_INFO, "client prematurely closed connection");
        status = 400;
    } else if (reason == WR_REASON_TIMEOUT) {
        wr_log_errno(&r->log, WR_LOG_INFO, ETIMEDOUT, "client timed out");
    } else if (reason == WR_REASON_BIG_BODY) {
        wr_log(&r->log, WR_LOG_ERROR, "client intended to send too large chunked body");
    } else if (reason == WR_REASON_BAD_BODY) {
        wr_log(&r->log, WR_LOG_INFO, "client sent invalid chunked body");
    }
    return fail_body(r, status != 0 ? status : 500);
}

static unsigned reason_of(const struct wr_req *r, const struct wr_pipe *p)
{
    return p && p->reason != 0 ? p->reason : r->stream->reason;
}

/* Makes the codec's pipe. */
static enum wr_status ask_for_body(struct wr_req *r, size_t high)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    struct wr_stream *s = r->stream;
    uint64_t len = 0;
    enum wr_status st;

    if (lc->body_max > 0 && wr_req_has_body(r, &len) && len != WR_LENGTH_UNKNOWN &&
        len > lc->body_max) {
        wr_log(&r->log, WR_LOG_ERROR, "client intended to send too large body: %llu bytes",
               (unsigned long long)len);
        return fail_body(r, 413);
    }
    s->body_max = lc->body_max;
    s->rx_timeout_ms = lc->body_timeout_ms;
    st = s->ops->want_body(s, high > 0 ? high : 1);
    if (st == WR_ENOMEM) {
        return st;
    }
    if (st != WR_OK || !s->in) {
        return fail_by_reason(r, reason_of(r, NULL));
    }
    r->body = s->in;
    wr_pipe_hand(r->body, WR_PIPE_CONSUMER, &r->task);
    return WR_OK;
}

/* ---- client_body_in_file_only -----------------------------------------------------------------
 */

static enum wr_status open_body_file(struct wr_reqx *x)
{
    const struct wr_core_loc *lc = wr_core_loc_of(&x->r);
    char name[FILE_NAME_MAX];
    enum wr_status st;
    int err = 0;

    st = wr_file_temp(lc->body_temp, WR_TEMP_KEEP, name, &x->body_file, &err);
    if (st == WR_OK) {
        st = wr_arena_dup(x->r.arena, wr_str_z(name), &x->body_file_name);
    } else if (st == WR_ESYS) {
        wr_log_errno(&x->r.log, WR_LOG_CRIT, err, "open() of a file in \"%.*s\" failed",
                     WR_STR_ARG(lc->body_temp->dir));
    }
    x->is_body_file_kept = lc->body_in_file == WR_BODY_FILE_ON;
    return st;
}

/* All that is in the pipe goes to the file. */
static enum wr_status move_to_file(struct wr_reqx *x)
{
    struct wr_pipe *p = x->r.body;
    struct iovec iov[WRITE_PIECES];
    size_t bytes = 0;
    int err = 0;

    if (!x->body_file) {
        enum wr_status st = open_body_file(x);

        if (st != WR_OK) {
            return st;
        }
    }
    for (;;) {
        int n = wr_pipe_peek(p, iov, WRITE_PIECES, SIZE_MAX, &bytes);

        if (n == 0) {
            return WR_OK;
        }
        for (int i = 0; i < n; i++) {
            if (wr_file_write(x->body_file, x->body_file_len, iov[i].iov_base, iov[i].iov_len,
                              &err) != WR_OK) {
                wr_log_errno(&x->r.log, WR_LOG_CRIT, err, "write() to \"%.*s\" failed",
                             WR_STR_ARG(x->body_file_name));
                return WR_ESYS;
            }
            x->body_file_len += iov[i].iov_len;
        }
        wr_pipe_consume(p, bytes);
    }
}

/* The file becomes the body. */
static enum wr_status take_file(struct wr_reqx *x)
{
    struct wr_slice s = {.kind = WR_SLICE_FILE, .off = 0, .len = x->body_file_len};
    struct wr_pipe *p = wr_pipe_new(FILE_ONLY_HIGH, NULL, &x->r.task);
    enum wr_status st = WR_OK;

    if (!p) {
        return WR_ENOMEM;
    }
    if (x->body_file_len > 0) {
        s.u.file = wr_file_ref(x->body_file);
        st = wr_pipe_push(p, s);
    }
    wr_pipe_eof(p);
    wr_pipe_leave_producer(p);
    wr_pipe_leave_consumer(x->r.body);
    x->r.body = p;
    return st;
}

/* ---- buffered ------------------------------------------------------------------------------- */

static bool is_file_only(struct wr_req *r)
{
    return wr_core_loc_of(r)->body_in_file != WR_BODY_FILE_OFF;
}

static enum wr_status begin_read(struct wr_req *r)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    bool in_file = is_file_only(r);
    enum wr_status st = ask_for_body(r, in_file ? FILE_ONLY_HIGH : (size_t)lc->body_buffer_size);

    if (st == WR_OK && !in_file) {
        wr_pipe_set_spill(r->body, &lc->body_spill);
    }
    if (st == WR_OK) {
        r->body_state = WR_BODY_READING;
    }
    return st;
}

static void tell_spill(struct wr_req *r)
{
    struct wr_reqx *x = wr_reqx_of(r);

    if (r->body->is_spilled && !x->is_body_told) {
        x->is_body_told = true;
        wr_log(&r->log, WR_LOG_WARN, "a client request body is buffered to a temporary file %.*s",
               WR_STR_ARG(wr_core_loc_of(r)->body_temp->dir));
    }
}

static enum wr_status finish_read(struct wr_req *r)
{
    struct wr_reqx *x = wr_reqx_of(r);

    r->body_len = r->body->in_total;
    if (x->body_file) {
        enum wr_status st = take_file(x);

        if (st != WR_OK) {
            return st;
        }
    }
    r->body_state = WR_BODY_WHOLE;
    return WR_OK;
}

static enum wr_status go_on_reading(struct wr_req *r)
{
    struct wr_reqx *x = wr_reqx_of(r);
    struct wr_pipe *p = r->body;

    if (is_file_only(r)) {
        enum wr_status st = move_to_file(x);

        if (st != WR_OK) {
            return st == WR_ENOMEM ? st : fail_body(r, 500);
        }
    }
    tell_spill(r);
    switch ((enum wr_pipe_state)p->state) {
    case WR_PIPE_EOF:
        return finish_read(r);
    case WR_PIPE_FAILED:
    case WR_PIPE_ABORTED:
        return fail_by_reason(r, reason_of(r, p));
    case WR_PIPE_OPEN:
        break;
    }
    if (r->stream->rx == WR_HALF_RESET) {
        return fail_by_reason(r, reason_of(r, p));
    }
    if (p->spill_errno != 0) {
        /* The pipe would hold the client back for ever. */
        wr_log_errno(&r->log, WR_LOG_CRIT, p->spill_errno, "writing to a file in \"%.*s\" failed",
                     WR_STR_ARG(wr_core_loc_of(r)->body_temp->dir));
        return fail_body(r, 500);
    }
    return WR_AGAIN;
}

enum wr_status wr_req_body_read(struct wr_req *r)
{
    enum wr_status st;

    switch ((enum wr_body_state)r->body_state) {
    case WR_BODY_NONE:
    case WR_BODY_WHOLE:
    case WR_BODY_HANDED:
        return WR_OK;
    case WR_BODY_FAILED:
        return WR_EPROTO;
    case WR_BODY_WAITING:
        st = begin_read(r);
        return st == WR_OK ? go_on_reading(r) : st;
    case WR_BODY_READING:
        return go_on_reading(r);
    }
    WR_UNREACHABLE();
}

/* ---- unbuffered ----------------------------------------------------------------------------- */

enum wr_status wr_req_body_stream(struct wr_req *r, struct wr_pipe **ret)
{
    enum wr_status st = WR_OK;

    switch ((enum wr_body_state)r->body_state) {
    case WR_BODY_NONE:
    case WR_BODY_HANDED:
        *ret = NULL;
        return WR_OK;
    case WR_BODY_FAILED:
        return WR_EPROTO;
    case WR_BODY_WAITING:
        st = ask_for_body(r, (size_t)wr_core_loc_of(r)->body_buffer_size);
        break;
    case WR_BODY_READING:
    case WR_BODY_WHOLE:
        break;
    }
    if (st != WR_OK) {
        return st;
    }
    *ret = r->body;
    r->body = NULL;
    r->body_state = WR_BODY_HANDED;
    return WR_OK;
}

/* ---- the end -------------------------------------------------------------------------------- */

void wr_req_body_release(struct wr_req *r)
{
    if (r->body) {
        wr_pipe_leave_consumer(r->body);
        r->body = NULL;
    }
}

struct wr_str wr_req_body_file(const struct wr_req *r)
{
    return wr_reqx_of_const(r)->body_file_name;
}

void wr_body_close(struct wr_reqx *x)
{
    wr_req_body_release(&x->r);
    if (!x->body_file) {
        return;
    }
    wr_file_unref(x->body_file);
    x->body_file = NULL;
    if (x->is_body_file_kept || x->body_file_name.len == 0) {
        return;
    }
    /* allow(syscall): io/file.h has no call that takes a name away */
    if (unlink(x->body_file_name.ptr) != 0) {
        wr_log(&x->r.log, WR_LOG_ALERT, "unlink() \"%.*s\" failed", WR_STR_ARG(x->body_file_name));
    }
}
