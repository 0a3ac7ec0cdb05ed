/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_memory.c: see log_memory.h. The ring is made of words. A writer takes as many as its line
 * needs by one addition and fills them; what is left of the last word is NULs, which readers leave
 * out:
 *
 *   | l i n e \n 0 0 0 | n e x t ... \n 0 |   at: words ever taken, modulo word_cnt is the place
 *
 * Words are stored one by one as atomics, so a reader that comes too early sees the old text there,
 * but never breaks a rule of the language.
 */
#include "base/log_memory.h"

#include "base/mem.h"
#include "base/stat.h"
#include "base/sync.h"

#define WORD sizeof(uint64_t)

struct ring {
    char title[32]; /* for who looks into a core dump */
    size_t word_cnt;
    struct ring *older; /* kept: a thread may be writing to it */
    wr_atomic_u64 at;
    wr_atomic_u64 words[];
};

static struct wr_mutex want_lock = WR_MUTEX_INIT(WR_RANK_LEAF);
static wr_atomic_ptr current; /* struct ring; NULL: nobody wanted one */

enum wr_status wr_log_memory_want(size_t size)
{
    size_t cnt = size / WORD;
    struct ring *old, *r;
    enum wr_status st = WR_OK;

    wr_mutex_lock(&want_lock);
    old = wr_load_acq(&current);
    if (old == NULL || old->word_cnt < cnt) {
        r = wr_run_zalloc(sizeof(*r) + cnt * WORD);
        if (r == NULL) {
            st = WR_ENOMEM;
        } else {
            memcpy(r->title, WR_LOG_MEMORY_TITLE "\n", sizeof(WR_LOG_MEMORY_TITLE));
            r->word_cnt = cnt;
            r->older = old;
            wr_store_rel(&current, r); /* who sees it sees what is in it */
        }
    }
    wr_mutex_unlock(&want_lock);
    return st;
}

bool wr_log_memory_put(const struct wr_log_sink *s, enum wr_log_level level, struct wr_str line)
{
    struct ring *r = wr_load_acq(&current);
    size_t cnt = (line.len + WORD) / WORD; /* at least one byte more, for the line end */
    uint64_t at;

    (void)s, (void)level;
    if (r == NULL || cnt > r->word_cnt) {
        wr_stat_inc(WR_CNT_LOG_DROPPED);
        return false;
    }
    at = wr_add_rlx(&r->at, cnt);
    for (size_t i = 0; i < cnt; i++) {
        struct wr_str part = wr_str_sub(line, i * WORD, WORD);
        char bytes[WORD] = {0};
        uint64_t w;

        if (part.len > 0) {
            memcpy(bytes, part.ptr, part.len);
        }
        if (part.len < WORD) {
            bytes[part.len] = '\n'; /* the last word only */
        }
        memcpy(&w, bytes, WORD);
        wr_store_rlx(&r->words[(at + i) % r->word_cnt], w);
    }
    return true;
}

size_t wr_log_memory_read(char *out, size_t size)
{
    struct ring *r = wr_load_acq(&current);
    uint64_t end = r != NULL ? wr_load_acq(&r->at) : 0;
    uint64_t most = r != NULL ? WR_MIN(r->word_cnt, size / WORD) : 0;
    uint64_t at = end > most ? end - most : 0;
    bool is_partial = at > 0; /* the first line's begin is gone */
    size_t n = 0;

    for (; at < end; at++) {
        uint64_t w = wr_load_rlx(&r->words[at % r->word_cnt]);
        char bytes[WORD];

        memcpy(bytes, &w, WORD);
        for (size_t i = 0; i < WORD; i++) {
            if (bytes[i] != '\0' && !is_partial) {
                out[n++] = bytes[i];
            }
            is_partial = is_partial && bytes[i] != '\n';
        }
    }
    return n;
}
