/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_sock.c: the bottom of every link stack: the connection's io as a link. No state of its own.
 */
#include "net/link_sock.h"

#include "net/conn.h"

static struct wr_io *io_of(struct wr_link *l)
{
    return &wr_container_of(l, struct wr_conn, sock_link)->io;
}

static enum wr_status handshake_sock(struct wr_link *l)
{
    (void)l;
    return WR_OK;
}

static enum wr_status recv_sock(struct wr_link *l, size_t max, struct wr_chunk **ret_c,
                                uint32_t *ret_off, uint32_t *ret_len)
{
    return wr_io_take(io_of(l), max, ret_c, ret_off, ret_len);
}

static enum wr_status send_sock(struct wr_link *l, const struct iovec *iov, int cnt, size_t *ret_n)
{
    return wr_io_send(io_of(l), iov, cnt, ret_n);
}

static enum wr_status send_file_sock(struct wr_link *l, struct wr_file *f, uint64_t off, size_t n,
                                     size_t *ret_n)
{
    return wr_io_send_file(io_of(l), f->fd, off, n, ret_n);
}

static enum wr_status send_pipe_sock(struct wr_link *l, struct wr_kpipe *k, size_t n, size_t *ret_n)
{
    enum wr_status st = wr_io_send_pipe(io_of(l), k->rd, n, ret_n);

    if (st == WR_OK) {
        wr_kpipe_took(k, *ret_n);
    }
    return st;
}

static enum wr_status encrypt_sock(struct wr_link *l, const void *info, uint32_t len)
{
    return wr_io_encrypt(io_of(l), info, len);
}

static enum wr_status send_record_sock(struct wr_link *l, uint8_t type, const void *p, size_t n)
{
    return wr_io_send_record(io_of(l), type, p, n);
}

static enum wr_status shutdown_sock(struct wr_link *l)
{
    return wr_io_shutdown(io_of(l));
}

static void close_sock(struct wr_link *l, bool is_clean)
{
    /* The connection closes the io itself: it knows how (FIN or RST). */
    (void)l, (void)is_clean;
}

static const struct wr_link_ops sock_ops = {
    .name = "sock",
    .handshake = handshake_sock,
    .recv = recv_sock,
    .send = send_sock,
    .send_file = send_file_sock,
    .send_pipe = send_pipe_sock,
    .shutdown = shutdown_sock,
    .close = close_sock,
    .encrypt = encrypt_sock,
    .send_record = send_record_sock,
    .can_recv_pipe = true,
};

void wr_link_sock_init(struct wr_link *l)
{
    l->ops = &sock_ops;
    l->next = NULL;
}
