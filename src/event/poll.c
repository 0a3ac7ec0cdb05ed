/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll.c: the part of wr_io that every back end shares: life cycle, taking received bytes, wakes.
 * A back end moves bytes and facts only (poll_epoll.c, the simulator). Owner thread only.
 *
 * `_wants` holds what the owner wants (IN) and what the back end waits for (OUT), and whether the
 * receiving side has come to its end (RX_DONE): a send that failed sets ERR, yet bytes that came
 * before are still received (an early response of a peer that has closed).
 */
#include "event/poll.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/obj.h"
#include "event/loop.h"
#include "event/poll_int.h"

void wr_io_init(struct wr_io *io, enum wr_io_mode mode, struct wr_task *task)
{
    *io = (struct wr_io){
        .fd = -1, .rx_pipe = -1, .task = task, .mode = (uint8_t)mode, ._wants = WR_IOW_IN};
    wr_obj_init(io, WR_IO_MAGIC);
    wr_list_init(&io->_ready);
}

enum wr_status wr_io_adopt(struct wr_io *io, int fd)
{
    struct wr_loop *l = wr_loop_get();

    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(l != NULL && io->fd == -1 && fd >= 0);
    io->fd = fd;
    io->poll = l->poll;
    io->poll->io_cnt++;
    if (wr_handle_open(io, &io->_handle) != WR_OK) {
        return WR_ENOMEM;
    }
    return io->poll->ops->adopt(io->poll, io, fd);
}

enum wr_status wr_io_connect(struct wr_io *io, const struct wr_addr *to,
                             const struct wr_connect_opts *opts)
{
    static const struct wr_connect_opts no_opts = {0};
    struct wr_loop *l = wr_loop_get();
    enum wr_status st;

    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(l != NULL && io->fd == -1);
    if (wr_handle_open(io, &io->_handle) != WR_OK) {
        io->err = ENOMEM;
        return WR_ESYS;
    }
    io->poll = l->poll;
    st = io->poll->ops->connect(io->poll, io, to, opts == NULL ? &no_opts : opts);
    if (st != WR_OK && st != WR_AGAIN) {
        wr_handle_close(io->_handle);
        io->_handle = 0;
        io->poll = NULL;
        io->fd = -1;
        return st == WR_ECONFIG ? st : WR_ESYS;
    }
    io->poll->io_cnt++;
    io->is_connecting = st == WR_AGAIN;
    if (st == WR_OK) {
        io->facts |= WR_IO_CONNECTED;
    }
    return st;
}

/* What is common to close and detach. */
static void leave_poll(struct wr_io *io)
{
    wr_list_remove(&io->_ready);
    wr_handle_close(io->_handle);
    io->_handle = 0;
    io->poll->io_cnt--;
    io->poll = NULL;
    io->fd = -1;
    io->is_connecting = false;
    io->_in_set = false;
    io->_armed = 0;
}

void wr_io_close(struct wr_io *io, enum wr_io_close_how how)
{
    wr_obj_check(io, WR_IO_MAGIC);
    if (io->rx) {
        wr_chunk_unref(wr_take(&io->rx));
        io->rx_len = 0;
    }
    io->rx_piped = 0;
    io->rx_pipe = -1;
    if (io->fd == -1) {
        return;
    }
    io->poll->ops->close(io->poll, io, how == WR_IO_CLOSE_RESET);
    leave_poll(io);
}

int wr_io_detach(struct wr_io *io)
{
    int fd;

    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(io->fd != -1 && io->rx == NULL && io->rx_piped == 0 && !io->is_connecting);
    fd = io->poll->ops->detach(io->poll, io);
    leave_poll(io);
    return fd;
}

void wr_io_want_in(struct wr_io *io, bool on)
{
    wr_obj_check(io, WR_IO_MAGIC);
    if (io->fd == -1) {
        return;
    }
    io->poll->ops->want(io->poll, io, on);
    if (on && (io->rx != NULL || io->rx_piped != 0 || (io->_wants & WR_IOW_RX_DONE) != 0 ||
               (io->facts & WR_IO_READABLE) != 0)) {
        wr_task_wake_opt(io->task);
    }
}

enum wr_status wr_io_send(struct wr_io *io, const struct iovec *iov, int cnt, size_t *ret_n)
{
    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(io->fd != -1);
    return io->poll->ops->send(io->poll, io, iov, cnt, ret_n);
}

enum wr_status wr_io_send_file(struct wr_io *io, int file_fd, uint64_t off, size_t n, size_t *ret_n)
{
    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(io->fd != -1);
    return io->poll->ops->send_file(io->poll, io, file_fd, off, n, ret_n);
}

enum wr_status wr_io_send_pipe(struct wr_io *io, int pipe_fd, size_t n, size_t *ret_n)
{
    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(io->fd != -1);
    return io->poll->ops->send_pipe(io->poll, io, pipe_fd, n, ret_n);
}

enum wr_status wr_io_encrypt(struct wr_io *io, const void *info, uint32_t len)
{
    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(io->fd != -1);
    return io->poll->ops->encrypt ? io->poll->ops->encrypt(io->poll, io, info, len) : WR_ECONFIG;
}

enum wr_status wr_io_send_record(struct wr_io *io, uint8_t type, const void *buf, size_t n)
{
    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(io->fd != -1);
    return io->poll->ops->send_record ? io->poll->ops->send_record(io->poll, io, type, buf, n)
                                      : WR_ESYS;
}

void wr_io_aim(struct wr_io *io, int fd, uint32_t max)
{
    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(fd == -1 || io->mode == WR_IO_STREAM);
    io->rx_pipe = fd;
    io->rx_max = max;
    io->facts &= (uint16_t)~WR_IO_PIPE_FULL;
}

enum wr_io_fate wr_io_get_fate(struct wr_io *io, uint64_t since)
{
    wr_obj_check(io, WR_IO_MAGIC);
    /* EPIPE of a send: a reset that came behind the end. */
    if (io->fd == -1 || ((io->facts & WR_IO_EOF) == 0 && io->err != EPIPE) ||
        io->poll->ops->get_fate == NULL) {
        return WR_IO_TAKEN;
    }
    return io->poll->ops->get_fate(io->poll, io, since);
}

uint64_t wr_io_count_sent(struct wr_io *io)
{
    wr_obj_check(io, WR_IO_MAGIC);
    return io->fd != -1 && io->poll->ops->count_sent != NULL
               ? io->poll->ops->count_sent(io->poll, io)
               : 0;
}

enum wr_status wr_io_accept(struct wr_io *io, int *ret_fd, struct wr_addr *ret_peer)
{
    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(io->fd != -1 && io->mode == WR_IO_LISTEN);
    return io->poll->ops->accept(io->poll, io, ret_fd, ret_peer);
}

enum wr_status wr_io_shutdown(struct wr_io *io)
{
    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(io->fd != -1);
    return io->poll->ops->shutdown(io->poll, io);
}

void wr_io_look(struct wr_io *io)
{
    wr_obj_check(io, WR_IO_MAGIC);
    WR_ASSERT(io->mode == WR_IO_STREAM);
    if (io->fd != -1) {
        io->poll->ops->look(io->poll, io);
    }
}

uint32_t wr_io_unread(const struct wr_io *io)
{
    wr_obj_check(io, WR_IO_MAGIC);
    return io->fd != -1 ? io->poll->ops->unread(io->poll, io) : 0;
}

/* Why there will be no bytes any more. */
static enum wr_status why_over(const struct wr_io *io)
{
    return (io->facts & WR_IO_ERR) != 0 ? WR_ESYS : WR_EOF;
}

/* What was received is taken: a descriptor that was disarmed meanwhile, or has left the set, goes
 * on. */
static void resume_receiving(struct wr_io *io)
{
    if (io->fd != -1 && (io->_wants & WR_IOW_IN) != 0 && (io->_wants & WR_IOW_RX_DONE) == 0 &&
        (!io->_in_set || (io->_armed & WR_IOA_IN) == 0)) {
        io->poll->ops->want(io->poll, io, true);
    }
}

enum wr_status wr_io_take(struct wr_io *io, size_t max, struct wr_chunk **ret_c, uint32_t *ret_off,
                          uint32_t *ret_len)
{
    wr_obj_check(io, WR_IO_MAGIC);
    if (!io->rx) {
        return WR_LIKELY((io->_wants & WR_IOW_RX_DONE) == 0) ? WR_AGAIN : why_over(io);
    }
    *ret_off = io->rx_off;
    if (max < io->rx_len) {
        *ret_c = wr_chunk_ref(io->rx);
        *ret_len = (uint32_t)max;
        io->rx_off += (uint32_t)max;
        io->rx_len -= (uint32_t)max;
        return WR_OK;
    }
    *ret_len = io->rx_len;
    *ret_c = wr_take(&io->rx);
    io->rx_len = 0;
    resume_receiving(io);
    return WR_OK;
}

uint32_t wr_io_take_piped(struct wr_io *io)
{
    uint32_t n = io->rx_piped;

    wr_obj_check(io, WR_IO_MAGIC);
    io->rx_piped = 0;
    if (n > 0) {
        resume_receiving(io);
    }
    return n;
}

const char *wr_io_peek(const struct wr_io *io, size_t *ret_len)
{
    if (!io->rx) {
        *ret_len = 0;
        return NULL;
    }
    *ret_len = io->rx_len;
    return io->rx->data + io->rx_off;
}

void wr_io_consume(struct wr_io *io, size_t n)
{
    WR_ASSERT(n <= io->rx_len);
    io->rx_off += (uint32_t)n;
    io->rx_len -= (uint32_t)n;
    if (io->rx && io->rx_len == 0) {
        wr_chunk_unref(wr_take(&io->rx));
        resume_receiving(io);
    }
}

int wr_poll_dup(int fd)
{
    struct wr_loop *l = wr_loop_get();

    if (l && l->poll->ops->dup) {
        return l->poll->ops->dup(l->poll, fd);
    }
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}
