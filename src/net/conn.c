/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c: connections, see conn.h. One allocation holds the conn and the owner's part behind it:
 * from the slab up to 2 KiB. Serial numbers count through the process. Thread-bound.
 */
#include "net/conn.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/slab.h"
#include "base/sync.h"
#include "net/link_sock.h"
#include "net/proxied.h"
#include "net/sock.h"

#define CONN_SLAB_MAX 2048u

_Static_assert(sizeof(struct wr_conn) <= 360, "an idle connection shall be small");

static wr_atomic_u64 last_no;

static void free_mem(struct wr_conn *c)
{
    uint32_t size = c->_size;

    wr_obj_kill(c);
    if (size <= CONN_SLAB_MAX) {
        wr_slab_free(c, size);
    } else {
        wr_mem_free(c);
    }
}

static void free_buried(struct wr_grave *g)
{
    struct wr_conn *c = wr_container_of(g, struct wr_conn, grave);

    /* Woken after it was closed: it must not stay in the queue. */
    wr_task_cancel(&c->task);
    free_mem(c);
}

static void store_addr(union wr_addr46 *dst, const struct wr_addr *a)
{
    sa_family_t family = a == NULL || a->len == 0 ? AF_UNSPEC : a->u.sa.sa_family;

    if (family == AF_INET) {
        dst->in = a->u.in;
    } else if (family == AF_INET6) {
        dst->in6 = a->u.in6;
    } else {
        memset(dst, 0, sizeof(*dst));
        dst->sa.sa_family = family;
    }
}

static void load_addr(const union wr_addr46 *src, struct wr_addr *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (src->sa.sa_family == AF_INET) {
        ret->len = sizeof(src->in);
        ret->u.in = src->in;
    } else if (src->sa.sa_family == AF_INET6) {
        ret->len = sizeof(src->in6);
        ret->u.in6 = src->in6;
    }
}

static struct wr_conn *make_conn(const struct wr_addr *peer, size_t size, wr_task_fn *run,
                                 const char *name)
{
    struct wr_conn *c;

    WR_ASSERT(size >= sizeof(*c) && size <= UINT32_MAX);
    c = size <= CONN_SLAB_MAX ? wr_slab_alloc(size) : wr_run_zalloc(size);
    if (!c) {
        return NULL;
    }
    wr_obj_init(c, WR_CONN_MAGIC);
    c->_size = (uint32_t)size;
    c->no = wr_add_rlx(&last_no, 1) + 1;
    wr_task_init(&c->task, run, name);
    wr_timer_init(&c->timer, &c->task);
    wr_io_init(&c->io, WR_IO_STREAM, &c->task);
    wr_link_sock_init(&c->sock_link);
    c->link = &c->sock_link;
    store_addr(&c->peer, peer);
    c->since_ms = wr_now_ms();
    return c;
}

/* A descriptor that nobody can use: through the poll, which alone knows what it is. */
static void drop_fd(int fd)
{
    struct wr_io io;

    wr_io_init(&io, WR_IO_STREAM, NULL);
    /* Whether it could be adopted or not, close ends it. */
    (void)!wr_io_adopt(&io, fd);
    wr_io_close(&io, WR_IO_CLOSE_FIN);
}

enum wr_status wr_conn_open(int fd, const struct wr_addr *peer, size_t size, wr_task_fn *run,
                            const char *name, struct wr_conn **ret)
{
    struct wr_conn *c = make_conn(peer, size, run, name);
    enum wr_status st;

    if (!c) {
        drop_fd(fd);
        return WR_ENOMEM;
    }
    st = wr_io_adopt(&c->io, fd);
    if (st != WR_OK) {
        wr_io_close(&c->io, WR_IO_CLOSE_FIN);
        free_mem(c);
        return st;
    }
    *ret = c;
    return WR_OK;
}

enum wr_status wr_conn_dial(const struct wr_addr *to, const struct wr_connect_opts *opts,
                            const struct wr_conn_owner *owner, struct wr_conn **ret, int *ret_errno)
{
    struct wr_conn *c = make_conn(to, owner->size, owner->run, owner->name);
    enum wr_status st;

    if (!c) {
        return WR_ENOMEM;
    }
    st = wr_io_connect(&c->io, to, opts);
    if (st != WR_OK && st != WR_AGAIN) {
        int err = c->io.err;

        free_mem(c);
        if (err == ENOMEM) {
            return WR_ENOMEM;
        }
        *ret_errno = err;
        return st == WR_ECONFIG ? st : WR_ESYS;
    }
    *ret = c;
    return st;
}

bool wr_conn_is_connected(const struct wr_conn *c)
{
    return c->io.fd != -1 && !c->io.is_connecting && (c->io.facts & WR_IO_ERR) == 0;
}

void wr_conn_set_run(struct wr_conn *c, wr_task_fn *run, const char *name)
{
    wr_obj_check(c, WR_CONN_MAGIC);
    c->task.run = run;
    c->task.name = name;
}

/* A wake that comes after the close (from the other end of a pipe) finds nobody. */
static void run_closed(struct wr_task *t)
{
    (void)t;
}

void wr_conn_close(struct wr_conn *c, enum wr_io_close_how how)
{
    wr_obj_check(c, WR_CONN_MAGIC);
    if (c->is_closed) {
        return;
    }
    c->is_closed = true;
    while (c->link != &c->sock_link) {
        struct wr_link *l = c->link;

        /* It may be gone afterwards. */
        c->link = l->next;
        l->ops->close(l, how == WR_IO_CLOSE_FIN && !c->is_failed);
    }
    c->link->ops->close(c->link, how == WR_IO_CLOSE_FIN && !c->is_failed);
    wr_io_close(&c->io, how);
    wr_task_cancel(&c->task);
    c->task.run = run_closed;
    wr_timer_fini(&c->timer);
    wr_proxied_unref(wr_take(&c->proxied));
    wr_grave_bury(&c->grave, free_buried);
}

int wr_conn_detach(struct wr_conn *c)
{
    int fd;

    wr_obj_check(c, WR_CONN_MAGIC);
    WR_ASSERT(!c->is_closed && c->link == &c->sock_link);
    fd = wr_io_detach(&c->io);
    wr_conn_close(c, WR_IO_CLOSE_FIN);
    return fd;
}

void wr_conn_push(struct wr_conn *c, struct wr_link *l)
{
    wr_obj_check(c, WR_CONN_MAGIC);
    WR_ASSERT(!c->is_closed && l->next == c->link);
    c->link = l;
}

void wr_conn_pop(struct wr_conn *c)
{
    wr_obj_check(c, WR_CONN_MAGIC);
    WR_ASSERT(!c->is_closed && c->link != &c->sock_link);
    c->link = c->link->next;
}

static enum wr_link_pending pending(const struct wr_conn *c)
{
    return c->link->ops->pending ? c->link->ops->pending(c->link) : WR_LINK_NOTHING;
}

bool wr_conn_has_bytes(const struct wr_conn *c)
{
    return c->io.rx != NULL || pending(c) == WR_LINK_BYTES;
}

bool wr_conn_is_sent_to(const struct wr_conn *c)
{
    return wr_conn_has_bytes(c) || pending(c) == WR_LINK_MORE;
}

enum wr_conn_quiet wr_conn_look_close(struct wr_conn *c)
{
    if (c->link != &c->sock_link && (c->io.rx || pending(c) != WR_LINK_NOTHING)) {
        struct wr_chunk *chunk = NULL;
        uint32_t off = 0, len = 0;
        enum wr_status st = wr_conn_recv(c, 1, &chunk, &off, &len);

        wr_chunk_unref(chunk);
        if (st != WR_AGAIN) {
            return st == WR_OK ? WR_CONN_SPOKE : WR_CONN_OVER;
        }
    }
    if (c->io.rx) {
        return WR_CONN_SPOKE;
    }
    return (c->io.facts & (WR_IO_EOF | WR_IO_ERR | WR_IO_RDHUP | WR_IO_HUP)) != 0 ? WR_CONN_OVER
                                                                                  : WR_CONN_QUIET;
}

void wr_conn_want_in(struct wr_conn *c, bool on)
{
    enum wr_link_pending what = pending(c);

    wr_io_want_in(&c->io, on);
    if (on && (what == WR_LINK_BYTES || what == WR_LINK_END)) {
        wr_task_wake(&c->task);
    }
}

void wr_conn_peer_addr(const struct wr_conn *c, struct wr_addr *ret)
{
    load_addr(&c->peer, ret);
}

void wr_conn_local_addr(struct wr_conn *c, struct wr_addr *ret)
{
    struct wr_addr a;

    if (c->local.sa.sa_family == AF_UNSPEC && c->io.fd != -1 &&
        wr_sock_local(c->io.fd, &a) == WR_OK) {
        store_addr(&c->local, &a);
    }
    load_addr(&c->local, ret);
}
