/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle.c: see bundle.h. Records are written to the memfd as they come, so the supervisor never
 * holds a second copy of the configuration. The reader checks every length against the mapping,
 * though only we write it.
 */
#include "main/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/num.h"
#include "main/memfd.h"

#define BUNDLE_MAGIC 0x77726264u
#define SEALS        (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define NAMES_CAP    ((size_t)256 << 20)

struct record {
    uint32_t magic;
    uint32_t kind;
    int32_t err;
    uint32_t name_len;
    uint64_t data_len;
};

/* "F/etc/weir.conf": the kind is the first byte of the key. */
static bool make_key(struct wr_arena *a, uint32_t kind, struct wr_str name, struct wr_str *ret)
{
    char *p = wr_arena_bytes(a, name.len + 1);

    if (p == NULL) {
        return false;
    }
    p[0] = (char)('0' + kind);
    if (name.len > 0) {
        memcpy(p + 1, name.ptr, name.len);
    }
    *ret = wr_str(p, name.len + 1);
    return true;
}

enum wr_status wr_bundle_begin(struct wr_bundle_writer *w)
{
    *w = (struct wr_bundle_writer){
        .fd = memfd_create("weir-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (w->fd == -1) {
        return WR_ESYS;
    }
    wr_map_init(&w->_seen, WR_MAP_CASE);
    wr_arena_init(&w->_names, NAMES_CAP);
    return WR_OK;
}

static bool is_new(struct wr_bundle_writer *w, enum wr_bundle_kind kind, struct wr_str name)
{
    struct wr_str key;

    if (!make_key(&w->_names, (uint32_t)kind, name, &key)) {
        w->status = WR_ENOMEM;
        return false;
    }
    return wr_map_put(&w->_seen, key, w) == NULL;
}

void wr_bundle_add(struct wr_bundle_writer *w, enum wr_bundle_kind kind, struct wr_str name,
                   int err, struct wr_str data)
{
    struct record r = {BUNDLE_MAGIC, (uint32_t)kind, err, (uint32_t)name.len, data.len};
    uint64_t more = sizeof(r) + name.len + data.len;

    if (w->fd == -1 || w->status != WR_OK || !is_new(w, kind, name)) {
        return;
    }
    if (name.len > UINT32_MAX || !wr_add_ok(w->size, more, &w->size) || w->size > WR_BUNDLE_MAX) {
        w->status = WR_ELIMIT;
        return;
    }
    w->status = wr_memfd_write(w->fd, wr_str((const char *)&r, sizeof(r)));
    if (w->status == WR_OK) {
        w->status = wr_memfd_write(w->fd, name);
    }
    if (w->status == WR_OK) {
        w->status = wr_memfd_write(w->fd, data);
    }
}

void wr_bundle_abort(struct wr_bundle_writer *w)
{
    if (w->fd != -1) {
        (void)close(w->fd);
        w->fd = -1;
        wr_map_fini(&w->_seen);
        wr_arena_fini(&w->_names);
    }
}

enum wr_status wr_bundle_end(struct wr_bundle_writer *w, int *ret_fd)
{
    enum wr_status st = w->status;
    int fd = -1;

    if (st == WR_OK) {
        fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 3);
        st = fd == -1 || fcntl(fd, F_ADD_SEALS, SEALS) == -1 ? WR_ESYS : WR_OK;
    }
    wr_bundle_abort(w);
    if (st == WR_OK) {
        *ret_fd = fd;
    } else if (fd != -1) {
        (void)close(fd);
    }
    return st;
}

static enum wr_status index_records(struct wr_bundle *b)
{
    size_t at = 0;

    while (at < b->_size) {
        struct record r;
        struct wr_str key;
        size_t left = b->_size - at;

        if (left < sizeof(r)) {
            return WR_EPROTO;
        }
        memcpy(&r, b->_base + at, sizeof(r));
        left -= sizeof(r);
        if (r.magic != BUNDLE_MAGIC || r.name_len > left || r.data_len > left - r.name_len) {
            return WR_EPROTO;
        }
        if (!make_key(&b->_keys, r.kind, wr_str(b->_base + at + sizeof(r), r.name_len), &key)) {
            return WR_ENOMEM;
        }
        if (wr_map_get(&b->_at, key) == NULL) {
            union {
                const char *in;
                void *out;
            } u = {.in = b->_base + at}; /* the map's values are not const; this one is only read */

            (void)wr_map_put(&b->_at, key, u.out);
        }
        at += sizeof(r) + r.name_len + (size_t)r.data_len;
    }
    return WR_OK;
}

enum wr_status wr_bundle_open(struct wr_bundle *b, int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    enum wr_status status;
    struct stat st;
    void *p;

    if (seals == -1 || (seals & SEALS) != SEALS || fstat(fd, &st) == -1 || st.st_size <= 0) {
        return WR_EPROTO;
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        return WR_ESYS;
    }
    *b = (struct wr_bundle){._base = p, ._size = (size_t)st.st_size};
    wr_map_init(&b->_at, WR_MAP_CASE);
    wr_arena_init(&b->_keys, NAMES_CAP);
    status = index_records(b);
    if (status != WR_OK) {
        wr_bundle_close(b);
    }
    return status;
}

void wr_bundle_close(struct wr_bundle *b)
{
    union {
        const char *in;
        void *out;
    } u = {.in = b->_base}; /* munmap takes a void * */

    if (b->_base != NULL) {
        (void)munmap(u.out, b->_size);
        wr_map_fini(&b->_at);
        wr_arena_fini(&b->_keys);
        b->_base = NULL;
    }
}

bool wr_bundle_find(const struct wr_bundle *b, enum wr_bundle_kind kind, struct wr_str name,
                    int *ret_err, struct wr_str *ret_data)
{
    char room[4096];
    struct wr_arena big;
    struct wr_str key;
    struct record r;
    const char *p;

    wr_arena_init(&big, name.len + 8192);
    if (name.len + 1 <= sizeof(room)) {
        room[0] = (char)('0' + kind);
        memcpy(room + 1, name.ptr, name.len);
        key = wr_str(room, name.len + 1);
    } else if (!make_key(&big, (uint32_t)kind, name, &key)) {
        key = WR_STR_NULL;
    }
    p = wr_map_get(&b->_at, key);
    wr_arena_fini(&big);
    if (p == NULL) {
        return false;
    }
    memcpy(&r, p, sizeof(r));
    *ret_err = r.err;
    *ret_data = wr_str(p + sizeof(r) + r.name_len, (size_t)r.data_len);
    return true;
}

struct wr_str wr_bundle_fact(const struct wr_bundle *b, const char *key)
{
    struct wr_str data;
    int err;

    return wr_bundle_find(b, WR_BUNDLE_FACT, wr_str_z(key), &err, &data) ? data : WR_STR("");
}
