/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.h: a stackable transport. The bottom link is the socket (net/link_sock.c), TLS stacks on it
 * (tls/link_tls.c). Bytes that arrive come as chunk slices, bytes to send are pieces that stay
 * put. A link belongs to its connection and thread. Links never call up: they wake conn->io.task.
 */
#ifndef WR_NET_LINK_H
#define WR_NET_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/chunk.h"
#include "base/compiler.h"
#include "base/status.h"
#include "io/file.h"
#include "io/kpipe.h"

struct wr_link;

enum wr_link_pending {
    WR_LINK_NOTHING,
    WR_LINK_BYTES, /* maybe */
    WR_LINK_END,
    WR_LINK_MORE /* nothing now, but the other side is about to send for sure */
};

struct wr_link_ops {
    const char *name;
    /* WR_OK: ready for data; WR_AGAIN; WR_EPROTO. */
    enum wr_status (*handshake)(struct wr_link *l);
    /* Takes at most max received bytes; WR_AGAIN, WR_EOF, WR_ESYS, WR_EPROTO. */
    enum wr_status (*recv)(struct wr_link *l, size_t max, struct wr_chunk **ret_c,
                           uint32_t *ret_off, uint32_t *ret_len);
    enum wr_status (*send)(struct wr_link *l, const struct iovec *iov, int cnt, size_t *ret_n);
    /* NULL: not possible, the caller reads the file itself. */
    enum wr_status (*send_file)(struct wr_link *l, struct wr_file *f, uint64_t off, size_t n,
                                size_t *ret_n);
    /* NULL: not possible. */
    enum wr_status (*send_pipe)(struct wr_link *l, struct wr_kpipe *k, size_t n, size_t *ret_n);
    /* No more bytes from us. */
    enum wr_status (*shutdown)(struct wr_link *l);
    /* is_clean: the other side may be told that all was said. */
    void (*close)(struct wr_link *l, bool is_clean);
    /* What recv would give though no fact of the io tells of it; NULL: nothing, ever. */
    enum wr_link_pending (*pending)(struct wr_link *l);
    /* The system encrypts what is sent from now on, as wr_io_encrypt. NULL: not possible. */
    enum wr_status (*encrypt)(struct wr_link *l, const void *info, uint32_t len);
    /* After encrypt, as wr_io_send_record. */
    enum wr_status (*send_record)(struct wr_link *l, uint8_t type, const void *p, size_t n);
    bool can_recv_pipe; /* receives to a kernel pipe are possible (wr_io_aim) */
};

struct wr_link {
    const struct wr_link_ops *ops;
    struct wr_link *next; /* below; NULL for the socket */
};

#endif
