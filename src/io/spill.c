/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spill.c: the temporary-file tail of a pipe. The file grows at its end only. Once none of its
 * bytes is queued it starts anew at 0, or, when somebody still holds slices of it (moved on to
 * another pipe, shared for replay), a new file is begun and the old one lives as long as they do.
 * So a file slice never changes its bytes. Owner thread only.
 */
#include "io/spill_int.h"

#include <errno.h>

#include "base/assert.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/stat.h"

#define SPILL_WRITE_MIN 4096u

struct wr_spill *wr_spill_new(const struct wr_spill_conf *conf)
{
    struct wr_spill *s = wr_slab_alloc(sizeof(*s));

    if (s) {
        s->conf = conf;
    }
    return s;
}

void wr_spill_free(struct wr_spill *s)
{
    if (s) {
        wr_file_unref(s->file);
        wr_slab_free(s, sizeof(*s));
    }
}

bool wr_spill_has_room(const struct wr_spill *s)
{
    return !s->is_full && s->conf->max > 0 && (s->queued == 0 || s->end < s->conf->max);
}

/* The file to write to, at s->end. */
static enum wr_status prepare_file(struct wr_spill *s, int *ret_errno)
{
    enum wr_status st;

    if (s->file && s->queued == 0 && s->end != 0) {
        s->end = 0;
        /*
         * Pages that sendfile gave to a socket are referred to, not copied, until they are on the
         * wire: writing over them would change what the client gets. Truncation lets the file have
         * new ones.
         */
        if (s->file->refs > 1 || wr_file_truncate(s->file) != WR_OK) {
            wr_file_unref(s->file);
            s->file = NULL;
        }
    }
    if (s->file) {
        return WR_OK;
    }
    st = wr_file_temp(s->conf->where, WR_TEMP_UNLINK, NULL, &s->file, ret_errno);
    if (st == WR_ENOMEM) {
        *ret_errno = ENOMEM;
        return WR_ESYS;
    }
    return st;
}

enum wr_status wr_spill_write(struct wr_spill *s, const char *bytes, size_t n, uint64_t *ret_off,
                              int *ret_errno)
{
    size_t piece = WR_MAX(s->conf->write_size, SPILL_WRITE_MIN);
    uint64_t end;

    if (!wr_add_ok(s->queued == 0 ? 0 : s->end, n, &end) || end > s->conf->max) {
        s->is_full = true;
        return WR_ELIMIT;
    }
    if (prepare_file(s, ret_errno) != WR_OK) {
        return WR_ESYS;
    }
    for (size_t done = 0; done < n;) {
        size_t k = WR_MIN(piece, n - done);

        if (wr_file_write(s->file, s->end + done, bytes + done, k, ret_errno) != WR_OK) {
            return WR_ESYS;
        }
        done += k;
    }
    *ret_off = s->end;
    s->end += n;
    s->queued += n;
    wr_stat_add(WR_CNT_SPILL_BYTES, n);
    return WR_OK;
}

void wr_spill_leave(struct wr_spill *s, uint64_t n)
{
    WR_ASSERT(n <= s->queued);
    s->queued -= n;
    if (s->queued == 0) {
        s->is_full = false;
    }
}
