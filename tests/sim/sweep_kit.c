/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_kit.c: see sweep_kit.h.
 */
#include "sim/sweep_kit.h"

/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/chunk.h"
#include "base/mem.h"
#include "http/server.h"
#include "up/group.h"
#include "up/idle.h"

const struct wr_kpipe_conf kit_small_pipes = {
    .cap = 4096, .all_max = 4 * 4096, .body_min = 64, .piece_min = 2};

/* --- a world --- */

void kit_set_ports(struct kit_world *w, const struct wr_gen *gen)
{
    struct wr_http *h = wr_http_of(gen);

    for (size_t i = 0; i < h->port_cnt; i++) {
        h->ports[i].fds = &w->fds[i];
        h->ports[i].fd_cnt = 1;
    }
}

void kit_open_ports(struct kit_world *w, const struct wr_gen *gen)
{
    struct wr_http *h = wr_http_of(gen);

    assert_true(h->port_cnt <= KIT_PORTS);
    for (size_t i = 0; i < h->port_cnt; i++) {
        w->fds[i] = sim_listen(w->sim, &h->ports[i].opts.addr);
    }
    kit_set_ports(w, gen);
}

void kit_begin(struct kit_world *w, const struct sim_conf *conf, const struct wr_gen *gen)
{
    *w = (struct kit_world){.sim = sim_new(conf)};
    kit_open_ports(w, gen);
}

static void note_peer(struct kit_world *w, const struct wr_addr *a)
{
    assert_true(w->peer_cnt < KIT_PEERS);
    w->peers[w->peer_cnt++] = *a;
}

void kit_serve(struct kit_world *w, unsigned host, const struct sim_step *steps)
{
    struct wr_addr a = sim_addr(host, 80);

    if (steps != NULL) {
        note_peer(w, &a);
        sim_serve_script(w->sim, &a, steps);
    }
}

void kit_serve_fn(struct kit_world *w, const struct wr_addr *a, sim_accept_fn *fn, void *data)
{
    note_peer(w, a);
    sim_serve(w->sim, a, fn, data);
}

bool kit_adopt(struct wr_gen *gen)
{
    if (wr_http_adopt(gen, 0) == WR_OK) {
        return true;
    }
    assert_true(sim_is_faulted());
    return false;
}

struct sim_sock *kit_dial(struct kit_world *w, const struct sim_step *steps)
{
    struct wr_addr front = sim_addr(1, 80);
    struct sim_sock *c = sim_dial(w->sim, &front);

    assert_true(c != NULL || sim_is_faulted());
    if (c != NULL) {
        sim_script(c, steps);
    }
    return c;
}

void kit_settle(struct kit_world *w)
{
    wr_http_stop();
    (void)sim_run_for(w->sim, 100);
    wr_idle_thread_end();
    (void)sim_run_for(w->sim, 100);
    assert_int_equal(wr_http_req_cnt(), 0);
    assert_int_equal(wr_http_conn_cnt(), 0);
    assert_int_equal(wr_chunk_in_use(), 0);
}

unsigned kit_end(struct kit_world *w)
{
    unsigned piped;

    kit_settle(w);
    piped = sim_piped(w->sim);
    sim_free(w->sim);
    return piped;
}

size_t kit_keep(const struct sim_sock *k, char *to, size_t cap)
{
    size_t n = 0;
    const char *from = k != NULL ? sim_received(k, &n) : NULL;

    n = WR_MIN(n, cap - 1);
    if (n > 0) {
        memcpy(to, from, n);
    }
    to[n] = '\0';
    return n;
}

/* --- acts --- */

static void end_peer(struct kit_world *w, const struct wr_addr *a, bool is_reset)
{
    for (unsigned i = 0; i < sim_accepted(w->sim, a); i++) {
        struct sim_sock *k = sim_accepted_sock(w->sim, a, i);

        if (is_reset) {
            sim_reset(k);
        } else {
            sim_close(k);
        }
    }
}

void kit_reset_peer(struct kit_world *w, const struct wr_addr *a)
{
    end_peer(w, a, true);
}

static void act(struct kit_world *w, unsigned what, struct sim_sock *c,
                const struct kit_own_acts *own)
{
    if (own != NULL && own->before != NULL) {
        own->before(own->data, what);
    }
    switch (what) {
    case KIT_CLIENT_RESET:
        sim_reset(c);
        break;
    case KIT_CLIENT_CLOSE:
        sim_close(c);
        break;
    case KIT_PEERS_RESET:
    case KIT_PEERS_CLOSE:
        for (unsigned i = 0; i < w->peer_cnt; i++) {
            end_peer(w, &w->peers[i], what == KIT_PEERS_RESET);
        }
        break;
    default:
        assert_non_null(own);
        own->fn(own->data, what);
        break;
    }
}

/* It went away, or came to the end of its script. */
static bool is_over(const struct sim_sock *c, unsigned act)
{
    return c == NULL || act == KIT_CLIENT_RESET || act == KIT_CLIENT_CLOSE || sim_script_is_done(c);
}

void kit_disturb(struct kit_world *w, struct kit_step *step, struct sim_sock *c,
                 const struct kit_own_acts *own)
{
    if (step->act != KIT_NONE) {
        (void)sim_run_turns(w->sim, step->turn);
        act(w, step->act, c, own);
    }
    if (!w->ends_with_client) {
        (void)sim_run_for(w->sim, 60000);
        step->turns = sim_turns(w->sim);
        return;
    }
    /* By turns: to stop at a time would be a turn of its own. */
    while (sim_turns(w->sim) < KIT_TURNS_MAX && !is_over(c, step->act)) {
        (void)sim_run_turns(w->sim, 1);
    }
    step->turns = sim_turns(w->sim);
    w->ended_ms = sim_now_ms(w->sim);
    while (sim_turns(w->sim) < KIT_TURNS_MAX && wr_http_req_cnt() > 0) {
        (void)sim_run_turns(w->sim, 1);
    }
}

/* --- sweeps --- */

unsigned kit_sweep(kit_play_fn *play, void *data, const char *name, uint64_t seeds,
                   unsigned act_cnt)
{
    size_t mem = wr_mem_in_use();
    unsigned plays = 0;

    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct kit_step step = {.seed = seed};
        unsigned turns;

        play(data, &step);
        turns = step.turns;
        assert_true(turns < KIT_TURNS_MAX);
        for (unsigned turn = 0; turn < turns; turn++) {
            for (unsigned what = KIT_NONE + 1; what < act_cnt; what++) {
                if ((turn + what) % KIT_STRIDE != 0) {
                    continue;
                }
                step = (struct kit_step){.seed = seed, .turn = turn, .act = what};
                play(data, &step);
                plays++;
            }
        }
    }
    /* The registry's table does not shrink. */
    if (wr_mem_in_use() > mem + 4096) {
        fail_msg("%s: %zu bytes are left", name, wr_mem_in_use() - mem);
    }
    return plays;
}

struct place {
    const char *name;
    const struct kit_step *step;
};

static void check_group(void *data, const struct wr_members *m)
{
    const struct place *at = data;

    for (uint32_t i = 0; i < m->cnt; i++) {
        if (wr_peer_active(m->at[i].peer) != 0) {
            fail_msg("%s: act %u behind turn %u: a slot is left", at->name, at->step->act,
                     at->step->turn);
        }
    }
    if (m->group != NULL && wr_load_seq(&m->group->queue.cnt) != 0) {
        fail_msg("%s: act %u behind turn %u: one waits in the queue", at->name, at->step->act,
                 at->step->turn);
    }
}

void kit_check_over(const struct wr_gen *gen, const char *name, const struct kit_step *step)
{
    struct place at = {name, step};

    if (wr_http_req_cnt() != 0) {
        fail_msg("%s: act %u behind turn %u: a request lives on", name, step->act, step->turn);
    }
    wr_group_each(gen, check_group, &at);
}

/* --- texts --- */

bool kit_join_chunks(const char *at, char *to, size_t cap)
{
    size_t n = 0;

    for (;;) {
        size_t size = 0;

        for (; *at != '\r' && *at != '\0'; at++) {
            size = size * 16 + (size_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
        }
        if (strncmp(at, "\r\n", 2) != 0) {
            return false;
        }
        at += 2;
        if (size == 0) {
            to[n] = '\0';
            return strstr(at, "\r\n") != NULL;
        }
        if (strlen(at) < size + 2 || n + size >= cap) {
            return false;
        }
        memcpy(to + n, at, size);
        n += size;
        at += size + 2;
    }
}

enum kit_body kit_body_of(const char *got, char *to, size_t cap)
{
    const char *head = strstr(got, "HTTP/1.1 200 "), *end;

    end = head == NULL ? NULL : strstr(head, "\r\n\r\n");
    if (end == NULL) {
        return KIT_NO_ANSWER;
    }
    if (strstr(head, "Transfer-Encoding: chunked") != NULL) {
        return kit_join_chunks(end + 4, to, cap) ? KIT_WHOLE : KIT_CUT;
    }
    (void)snprintf(to, cap, "%s", end + 4);
    return KIT_HAS_LENGTH;
}

/* --- bodies in kernel pipes --- */

void kit_fill_body(char *body, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        body[i] = (char)('!' + (i * 7 + i / 90) % 90);
    }
    body[len] = '\0';
}

unsigned kit_count_bodies(const char *at, const char *first, const char *body, const char **ret_end)
{
    size_t len = strlen(body), n;
    unsigned whole = 0;
    const char *end;

    while (strncmp(at, first, strlen(first)) == 0) {
        end = strstr(at, "\r\n\r\n");
        if (end == NULL) {
            break;
        }
        at = end + 4;
        n = WR_MIN(strlen(at), len);
        if (memcmp(at, body, n) != 0) {
            fail_msg("a byte is wrong");
        }
        whole += n == len;
        at += n;
    }
    if (ret_end != NULL) {
        *ret_end = at;
    }
    return whole;
}
