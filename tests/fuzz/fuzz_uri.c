/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_uri.c: any bytes as target, host, arguments and cookies. A normalised path has no dot
 * segment, no NUL, and no double slash when they are merged; a host that is accepted is so again as
 * returned.
 */
#include "base/assert.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_target(struct wr_arena *a, struct wr_str in, unsigned flags)
{
    struct wr_uri u;

    if (wr_uri_parse(a, in, flags, &u) != WR_OK || wr_str_eq(u.path, WR_STR("*"))) {
        return;
    }
    WR_ASSERT(u.path.len > 0 && u.path.len <= in.len && u.path.ptr[0] == '/');
    WR_ASSERT(wr_str_find(u.path, '\0') == u.path.len);
    if ((flags & WR_URI_MERGE_SLASHES) != 0) {
        WR_ASSERT(wr_str_find_str(u.path, WR_STR("//")) == u.path.len);
    }
    WR_ASSERT(wr_str_find_str(u.path, WR_STR("/../")) == u.path.len);
    WR_ASSERT(wr_str_find_str(u.path, WR_STR("/./")) == u.path.len);
    WR_ASSERT(!wr_str_has_suffix(u.path, WR_STR("/..")) &&
              !wr_str_has_suffix(u.path, WR_STR("/.")));
    WR_ASSERT(!u.is_plain || u.path.ptr == in.ptr);
}

static void check_host(struct wr_arena *a, struct wr_str in)
{
    struct wr_str host, again;
    uint16_t port;

    if (wr_uri_parse_host(a, in, &host, &port) == WR_OK) {
        WR_ASSERT(host.len > 0 && wr_str_find(host, '@') == host.len);
        WR_ASSERT(wr_uri_parse_host(a, host, &again, &port) == WR_OK);
        WR_ASSERT(wr_str_eq(host, again) && port == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_arena a;
    struct wr_str in = wr_str((const char *)data, size), v;

    if (size > 4096) {
        return 0;
    }
    wr_arena_init(&a, 1 << 20);
    check_target(&a, in, 0);
    check_target(&a, in, WR_URI_MERGE_SLASHES);
    check_host(&a, in);
    if (wr_uri_arg(in, WR_STR("a"), &v) || wr_uri_cookie(in, WR_STR("a"), &v)) {
        WR_ASSERT(v.ptr > in.ptr && v.ptr + v.len <= in.ptr + in.len);
    }
    (void)wr_uri_is_safe(in);
    wr_arena_fini(&a);
    return 0;
}
