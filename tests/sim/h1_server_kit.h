/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_server_kit.h: the server role of the HTTP/1 codec in the simulator: a listener, kit_srv behind
 * it, and what a client of the test got.
 */
#ifndef WR_TESTS_SIM_H1_SERVER_KIT_H
#define WR_TESTS_SIM_H1_SERVER_KIT_H

#include "unit/http/h1_kit.h"

#include "net/listen.h"
#include "sim/sim.h"

struct env {
    struct sim *sim;
    struct kit_srv srv;
    struct wr_listener listener;
    struct wr_task accept_task;
    struct wr_addr addr;
    size_t mem;
    char out[1 << 18];
    size_t out_len;
};

static void run_accept(struct wr_task *t)
{
    struct env *e = wr_container_of(t, struct env, accept_task);
    struct wr_addr peer;
    int fd, err;

    while (wr_listener_pull(&e->listener, &fd, &peer, &err) == WR_OK) {
        (void)kit_serve(&e->srv, fd, &peer);
    }
}

/* Settles what can happen without time passing. */
static void run(struct env *e)
{
    (void)sim_run_for(e->sim, 0);
}

static void advance(struct env *e, uint64_t ms)
{
    (void)sim_run_for(e->sim, ms);
    run(e);
}

static struct env *begin(const struct sim_conf *conf)
{
    struct env *e;

    (void)wr_local_get();
    e = wr_mem_alloc(sizeof(*e));
    e->mem = wr_mem_in_use();
    e->sim = sim_new(conf);
    kit_srv_init(&e->srv);
    e->addr = sim_addr(1, 80);
    wr_task_init(&e->accept_task, run_accept, "accept");
    return e;
}

/* The listener may fail to open when allocations do. */
static bool listen_now(struct env *e)
{
    return wr_listener_open(&e->listener, sim_listen(e->sim, &e->addr), &e->accept_task) == WR_OK;
}

static void finish(struct env *e)
{
    wr_listener_close(&e->listener);
    wr_task_cancel(&e->accept_task);
    kit_close_all(&e->srv);
    run(e);
    kit_end_requests(&e->srv);
    run(e);
    assert_int_equal(e->srv.conn_cnt, e->srv.closed_cnt);
    assert_int_equal(e->srv.req_cnt, e->srv.released_cnt);
    assert_true(wr_list_is_empty(&e->srv.conns));
    sim_free(e->sim);
    assert_int_equal(wr_chunk_in_use(), 0);
    assert_int_equal(wr_mem_in_use(), e->mem);
    wr_mem_free(e);
}

static struct sim_sock *open_client(struct env *e)
{
    assert_true(listen_now(e));
    return sim_dial(e->sim, &e->addr);
}

static void put(struct env *e, struct sim_sock *k, const char *z)
{
    assert_int_equal(sim_write(k, z, strlen(z)), strlen(z));
    run(e);
}

static void collect(struct env *e, struct sim_sock *k)
{
    e->out_len += sim_read(k, e->out + e->out_len, sizeof(e->out) - 1 - e->out_len);
    e->out[e->out_len] = '\0';
}

#define GET   "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
#define CLOSE "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"

#endif
