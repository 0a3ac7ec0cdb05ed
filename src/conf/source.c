/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.c: the in-memory source: an array of paths and texts that the caller keeps. Matching is
 * fnmatch(3) with the rules of glob(7): '*' crosses no '/' and no leading dot.
 */
#include "conf/source.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "base/assert.h"

bool wr_conf_is_glob(struct wr_str path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '*' || path.ptr[i] == '?' || path.ptr[i] == '[') {
            return true;
        }
    }
    return false;
}

static enum wr_status read_text(const struct wr_conf_source *s, struct wr_arena *a,
                                struct wr_str path, size_t max, struct wr_str *ret_bytes,
                                struct wr_conf_fault *ret_fault)
{
    const struct wr_conf_texts *texts = s->data;

    for (size_t i = 0; i < texts->cnt; i++) {
        const struct wr_conf_text *t = &texts->at[i];
        size_t len;

        if (!wr_str_eq_z(path, t->path)) {
            continue;
        }
        if (t->text == NULL) {
            *ret_fault = (struct wr_conf_fault){"open", t->err};
            return WR_ESYS;
        }
        len = t->len != 0 ? t->len : strlen(t->text);
        if (len > max) {
            return WR_ELIMIT;
        }
        return wr_arena_dup(a, wr_str(t->text, len), ret_bytes);
    }
    *ret_fault = (struct wr_conf_fault){"open", ENOENT};
    return WR_ESYS;
}

static enum wr_status glob_texts(const struct wr_conf_source *s, struct wr_arena *a,
                                 struct wr_str pattern, struct wr_str **ret_paths, size_t *ret_cnt,
                                 struct wr_conf_fault *ret_fault)
{
    const struct wr_conf_texts *texts = s->data;
    struct wr_str *paths;
    size_t cnt = 0;

    (void)ret_fault; /* memory has no system calls that fail */
    paths = wr_arena_alloc(a, (texts->cnt + 1) * sizeof(*paths));
    if (!paths) {
        return WR_ENOMEM;
    }
    for (size_t i = 0; i < texts->cnt; i++) {
        if (fnmatch(pattern.ptr, texts->at[i].path, FNM_PATHNAME | FNM_PERIOD) == 0) {
            paths[cnt++] = wr_str_z(texts->at[i].path);
        }
    }
    *ret_paths = paths;
    *ret_cnt = cnt;
    return WR_OK;
}

void wr_conf_source_texts(struct wr_conf_source *s, const struct wr_conf_texts *texts)
{
    /* data is void * for sources that change; this one only reads through it. */
    union {
        const struct wr_conf_texts *in;
        void *out;
    } u = {.in = texts};

    WR_ASSERT(texts != NULL);
    *s = (struct wr_conf_source){.read = read_text, .glob = glob_texts, .data = u.out};
}
