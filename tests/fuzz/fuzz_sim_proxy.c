/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_sim_proxy.c: the whole proxy in the simulator, with bytes of a stranger on both sides.
 * data[0], data[1]: seed and manners; data[2]: how much of the rest the client sends, the other
 * part is what the peers answer. Whatever comes, nothing crashes, hangs or stays behind.
 */
#include <stdlib.h>

#include "sim/proxy_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct side {
    const uint8_t *at;
    size_t len, done;
};

static void talk(struct sim_sock *k, void *data)
{
    struct side *s = data;
    char drop[4096];

    while (sim_read(k, drop, sizeof(drop)) > 0) {
    }
    if (s->done < s->len) {
        s->done += sim_write(k, s->at + s->done, s->len - s->done);
    } else if (sim_is_eof(k) || sim_is_reset(k)) {
        sim_close(k);
    }
}

/* Each connection to a peer gets the answer from its first byte. */
static void answer(struct sim_sock *k, void *data)
{
    struct side *s = data;

    s->done = 0;
    sim_watch(k, talk, s);
}

static void play(const uint8_t *data, size_t size)
{
    struct sim_conf conf = {
        .seed = data[0] + 1u, .short_io = (data[1] & 1) != 0, .delays = (data[1] & 2) != 0};
    size_t cut = (size_t)data[2] * (size - 3) / 255;
    struct side client = {data + 3, cut, 0}, peer = {data + 3 + cut, size - 3 - cut, 0};
    struct wr_addr front = sim_addr(1, 80), p2 = sim_addr(2, 80), p3 = sim_addr(3, 80);
    struct sim *s = sim_new(&conf);
    struct wr_http *h = wr_http_of(gen);
    int fd = sim_listen(s, &front);
    struct sim_sock *c;

    h->ports[0].fds = &fd;
    h->ports[0].fd_cnt = 1;
    sim_serve(s, &p2, answer, &peer);
    sim_serve(s, &p3, answer, &peer);
    WR_ASSERT(wr_http_adopt(gen, 0) == WR_OK);
    c = sim_dial(s, &front);
    WR_ASSERT(c != NULL);
    sim_watch(c, talk, &client);
    WR_ASSERT(sim_run_for(s, 200000) != SIM_LIMIT);
    wr_http_stop();
    (void)sim_run_for(s, 100);
    wr_idle_thread_end();
    (void)sim_run_for(s, 100);
    WR_ASSERT(wr_http_req_cnt() == 0 && wr_http_conn_cnt() == 0);
    sim_free(s);
    WR_ASSERT(wr_chunk_in_use() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct wr_log_sink quiet = {.fd = 2, .level = WR_LOG_STDERR};
    static bool is_up;

    if (!is_up) {
        is_up = true;
        wr_log_set_default(&quiet);
        WR_ASSERT(proxy_boot() == 0);
        (void)atexit(proxy_end);
    }
    if (size >= 3 && size <= 4096) {
        play(data, size);
    }
    return 0;
}
