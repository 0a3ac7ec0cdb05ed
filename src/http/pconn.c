/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pconn.c: what all codecs of the client role do alike: from dialing to a connection that carries
 * their protocol, TLS in between (codec.h). Owner thread only.
 */
#include "base/clock.h"
#include "base/strbuf.h"
#include "http/codec.h"
#include "net/conn.h"
#include "net/sock.h"
#include "tls/tls.h"

static bool has_tls(const struct wr_pconn *pc)
{
    return pc->conn->link != &pc->conn->sock_link;
}

bool wr_pconn_is_shaking(const struct wr_pconn *pc)
{
    return pc->state == WR_PCONN_CONNECTING && pc->conn && has_tls(pc);
}

static enum wr_status begin(struct wr_pconn *pc)
{
    struct wr_tls *t = NULL;
    enum wr_status st = wr_tls_connect(pc->conn->link, pc->dial->tls, &t);

    if (st == WR_OK) {
        wr_conn_push(pc->conn, wr_tls_link(t));
    } else {
        wr_strbuf_add_z(pc->dial->why, "no memory for a handshake");
    }
    return st;
}

/* Connected, and the handshake is over, if there was one. */
static enum wr_status be_ready(struct wr_pconn *pc)
{
    pc->dial = NULL;
    pc->since_ms = wr_now_ms();
    return WR_OK;
}

void wr_pconn_init(struct wr_pconn *pc, const struct wr_codec *codec, struct wr_conn *conn,
                   struct wr_task *user)
{
    *pc =
        (struct wr_pconn){.codec = codec, .conn = conn, .user = user, .state = WR_PCONN_CONNECTING};
}

enum wr_status wr_pconn_begin(struct wr_pconn *pc, const struct wr_dial *d, enum wr_status st)
{
    pc->dial = d->tls ? d : NULL;
    if (st != WR_OK) {
        return st;
    }
    if (d->tls) {
        wr_task_wake(&pc->conn->task); /* to begin the handshake */
        return WR_AGAIN;
    }
    return be_ready(pc);
}

enum wr_reason wr_pconn_shake_reason(enum wr_status st)
{
    return st == WR_ESYS ? WR_REASON_CLOSED : WR_REASON_TLS;
}

enum wr_status wr_pconn_shake(struct wr_pconn *pc)
{
    struct wr_conn *c = pc->conn;
    enum wr_status st;

    if (!has_tls(pc) && !wr_conn_is_connected(c)) {
        return (c->io.facts & WR_IO_ERR) != 0 ? WR_ESYS : WR_AGAIN;
    }
    if (!pc->dial || !pc->dial->tls) {
        return be_ready(pc);
    }
    if (!has_tls(pc) && begin(pc) != WR_OK) {
        return WR_EPROTO;
    }
    c->io.facts &= (uint16_t)~WR_IO_WRITABLE;
    st = c->link->ops->handshake(c->link);
    if (st == WR_AGAIN) {
        return st;
    }
    if (st == WR_OK) {
        return be_ready(pc);
    }
    wr_tls_write_failure(wr_tls_of_link(c->link), st, c->io.err, pc->dial->why);
    pc->dial = NULL;
    return WR_EPROTO;
}

enum wr_status wr_pconn_take_tls(struct wr_pconn *pc, struct wr_pconn_seed *seed)
{
    struct wr_conn *c = pc->conn;
    struct wr_tls *t;

    if (!has_tls(pc)) {
        return WR_OK;
    }
    t = wr_tls_of_link(c->link);
    if (!t || c->link->next != &c->sock_link) {
        return WR_AGAIN;
    }
    wr_conn_pop(c); /* detaching cuts the way down */
    if (wr_tls_detach(t) != WR_OK) {
        wr_conn_push(c, wr_tls_link(t));
        return WR_AGAIN;
    }
    seed->tls = t;
    return WR_OK;
}

void wr_pconn_give_tls(struct wr_conn *c, const struct wr_pconn_seed *seed)
{
    if (seed->tls) {
        wr_tls_attach(seed->tls, c->link);
        wr_conn_push(c, wr_tls_link(seed->tls));
    }
}

void wr_pconn_drop_seed(struct wr_pconn_seed *seed)
{
    wr_sock_close(seed->fd);
    seed->fd = -1;
    wr_tls_unref(wr_take(&seed->tls));
}
