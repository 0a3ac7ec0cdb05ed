/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_bundle.c: read, glob and resolve from a bundle. A name that is not in the bundle is
 * answered with ENOENT: the dry run of the supervisor asked for the same names, so this would be a
 * bug of ours.
 */
#include "main/source_bundle.h"

#include <errno.h>
#include <string.h>

/* The supervisor's word for the call that failed, as constant text. */
static const char *call_of(struct wr_str s)
{
    static const char *const calls[] = {"open", "read", "fstat", "glob"};

    for (size_t i = 0; i < WR_ARRAY_LEN(calls); i++) {
        if (wr_str_eq_z(s, calls[i])) {
            return calls[i];
        }
    }
    return "open";
}

static enum wr_status read_bundle(const struct wr_conf_source *s, struct wr_arena *a,
                                  struct wr_str path, size_t max, struct wr_str *ret_bytes,
                                  struct wr_conf_fault *ret_fault)
{
    struct wr_str data;
    int err;

    if (!wr_bundle_find(s->data, WR_BUNDLE_FILE, path, &err, &data)) {
        *ret_fault = (struct wr_conf_fault){"open", ENOENT};
        return WR_ESYS;
    }
    if (err != 0) {
        *ret_fault = (struct wr_conf_fault){call_of(data), err};
        return WR_ESYS;
    }
    if (data.len > max) {
        return WR_ELIMIT;
    }
    return wr_arena_dup(a, data, ret_bytes);
}

static enum wr_status glob_bundle(const struct wr_conf_source *s, struct wr_arena *a,
                                  struct wr_str pattern, struct wr_str **ret_paths, size_t *ret_cnt,
                                  struct wr_conf_fault *ret_fault)
{
    struct wr_str data, *paths;
    size_t cnt = 0, i = 0;
    int err;

    if (!wr_bundle_find(s->data, WR_BUNDLE_GLOB, pattern, &err, &data) || err != 0) {
        *ret_fault = (struct wr_conf_fault){"glob", ENOENT};
        return WR_ESYS;
    }
    for (size_t k = 0; k < data.len; k++) {
        cnt += data.ptr[k] == '\0';
    }
    paths = wr_arena_alloc(a, (cnt + 1) * sizeof(*paths));
    if (paths == NULL) {
        return WR_ENOMEM;
    }
    while (i < cnt) {
        size_t n = wr_str_find(data, '\0');

        if (wr_arena_dup(a, wr_str_sub(data, 0, n), &paths[i]) != WR_OK) {
            return WR_ENOMEM;
        }
        data = wr_str_sub(data, n + 1, data.len);
        i++;
    }
    *ret_paths = paths;
    *ret_cnt = cnt;
    return WR_OK;
}

static enum wr_status resolve_bundle(const struct wr_conf_source *s, struct wr_arena *a,
                                     struct wr_str host, struct wr_addr **ret_addrs,
                                     size_t *ret_cnt)
{
    struct wr_addr *at;
    struct wr_str data;
    int err;

    if (!wr_bundle_find(s->data, WR_BUNDLE_HOST, host, &err, &data) || err != 0 ||
        data.len < sizeof(*at)) {
        return WR_EOF;
    }
    at = wr_arena_alloc(a, data.len);
    if (at == NULL) {
        return WR_ENOMEM;
    }
    memcpy(at, data.ptr, data.len);
    *ret_addrs = at;
    *ret_cnt = data.len / sizeof(*at);
    return WR_OK;
}

void wr_source_bundle_init(struct wr_conf_source *s, struct wr_bundle *b)
{
    *s = (struct wr_conf_source){
        .read = read_bundle, .glob = glob_bundle, .resolve = resolve_bundle, .data = b};
}
