/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_conn.c: what of h1_conn.h belongs to no state of a connection: a descriptor that carries
 * HTTP/1 from its first byte on. Owner thread only.
 */
#include "http/h1_conn.h"

#include "base/assert.h"
#include "net/conn.h"

/* Until the server role has the connection, which is before anything can wake it. */
static void run_nobody(struct wr_task *t)
{
    (void)t;
    WR_UNREACHABLE();
}

enum wr_status wr_h1_serve(int fd, const struct wr_addr *peer, struct wr_h1_sink *sink,
                           struct wr_h1_server **ret)
{
    struct wr_conn *conn;
    enum wr_status st = wr_conn_open(fd, peer, wr_h1_conn_size(), run_nobody, "h1 server", &conn);

    if (st == WR_OK) {
        *ret = wr_h1_take(conn, sink);
    }
    return st;
}
