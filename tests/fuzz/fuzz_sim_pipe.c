/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_sim_pipe.c: the input is a list of operations on two pipes, the first moves into the second.
 * Bytes count on by a pattern, so that whatever comes out can be checked by its position alone; at
 * the end all that was accepted must have come out and no memory may be left.
 *
 *   byte 0, 1: high marks; byte 2: spill or not; then pairs {operation, size}
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/chunk.h"
#include "base/mem.h"
#include "io/pipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char pattern_at(uint64_t i)
{
    return (char)(i * 31 % 251);
}

static void fill(char *p, size_t n, uint64_t from)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = pattern_at(from + i);
    }
}

static void check(const char *p, size_t n, uint64_t from)
{
    for (size_t i = 0; i < n; i++) {
        WR_ASSERT(p[i] == pattern_at(from + i));
    }
}

static void push_some(struct wr_pipe *p, unsigned how, size_t n)
{
    static char flat[70000];
    uint64_t before = p->in_total;
    struct wr_slice s = {.kind = WR_SLICE_CHUNK};
    enum wr_status st;
    char *room;
    size_t got;

    if (how == 0) {
        room = wr_pipe_reserve(p, n + 1, &got);
        if (room) {
            got = WR_MIN(got, n);
            fill(room, got, before);
            wr_pipe_commit(p, got);
            WR_ASSERT(p->in_total == before + got);
        }
        return;
    }
    if (how == 1) {
        fill(flat, n, before);
        st = wr_pipe_push_copy(p, flat, n);
    } else {
        s.u.chunk = wr_chunk_new(wr_chunk_class_for(n));
        if (!s.u.chunk) {
            return;
        }
        s.len = n;
        s.u.chunk->fill = (uint32_t)n;
        fill(s.u.chunk->data, n, before);
        st = wr_pipe_push(p, s);
    }
    WR_ASSERT(st == WR_OK || st == WR_ENOMEM);
    WR_ASSERT(p->in_total == before + (st == WR_OK ? n : 0));
}

static void pull_some(struct wr_pipe *p, size_t max)
{
    static char buf[70000];
    const struct wr_slice *f = wr_pipe_front(p);
    struct iovec iov[2];
    uint64_t at = p->out_total;
    size_t n = 0;
    int cnt;

    if (!f || max == 0) {
        return;
    }
    if (f->kind == WR_SLICE_FILE) {
        n = (size_t)WR_MIN(f->len, (uint64_t)max);
        if (wr_file_read(f->u.file, f->off, buf, n, &n) != WR_OK) {
            WR_UNREACHABLE();
        }
        check(buf, n, at);
    } else {
        cnt = wr_pipe_peek(p, iov, 2, max, &n);
        for (int i = 0; i < cnt; i++) {
            check(iov[i].iov_base, iov[i].iov_len, at);
            at += iov[i].iov_len;
        }
    }
    wr_pipe_consume(p, n);
}

static void end_pipe(struct wr_pipe *p)
{
    wr_pipe_leave_consumer(p);
    wr_pipe_leave_producer(p);
}

/* One step: two bytes say what. */
static void play(struct wr_pipe *a, struct wr_pipe *b, const uint8_t *what)
{
    size_t k = (size_t)what[1] * ((what[0] & 64) != 0 ? 270 : 9);
    uint64_t n;

    /* Now and then there is no memory. */
    wr_mem_fault_set((what[0] & 128) != 0 ? 1 + what[1] % 3 : 0);
    switch (what[0] % 6) {
    case 0:
    case 1:
    case 2:
        if (wr_pipe_can_push(a)) {
            push_some(a, what[0] % 6, k);
        }
        break;
    case 3:
        (void)!wr_pipe_move(b, a, k);
        break;
    case 4:
        pull_some(b, k);
        break;
    default:
        /* Replay: what is shared is what lies there. */
        if (a->_cnt > 0 && a->out_total == b->in_total && b->_cnt == 0 &&
            wr_pipe_share(b, a, 0, k, &n) == WR_OK) {
            wr_pipe_consume(a, n);
        }
        break;
    }
    wr_mem_fault_set(0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct wr_temp_path where = {WR_STR_INIT("/tmp"), {0}};
    static const struct wr_spill_conf spill = {&where, 300000, 8192};
    struct wr_pipe *a, *b;

    if (size < 3) {
        return 0;
    }
    a = wr_pipe_new(1 + data[0] * 300u, NULL, NULL);
    b = wr_pipe_new(1 + data[1] * 300u, NULL, NULL);
    WR_ASSERT(a && b);
    if ((data[2] & 1) != 0) {
        wr_pipe_set_spill(a, &spill);
    }
    for (size_t i = 3; i + 1 < size && i < 2000; i += 2) {
        play(a, b, data + i);
    }
    wr_pipe_eof(a);
    while (!wr_pipe_is_spent(b)) {
        (void)!wr_pipe_move(b, a, UINT64_MAX);
        pull_some(b, sizeof(char[70000]));
    }
    WR_ASSERT(b->out_total == a->in_total);
    end_pipe(a);
    end_pipe(b);
    WR_ASSERT(wr_chunk_in_use() == 0);
    return 0;
}
