/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_script.c: peers and clients of the simulator that follow a list of steps. A step looks at
 * what is there, does what it can and is asked again when something changed.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "sim/sim.h"
#include "sim/sim_int.h"

static void fail_script(struct sim_sock *k, const char *what)
{
    struct sim_script *sc = k->script;
    const struct sim_step *st = &sc->steps[sc->at];

    if (sc->error[0] == '\0') {
        (void)snprintf(sc->error, sizeof(sc->error),
                       "step %zu: %s (wanted \"%.60s\" %zu, done %zu)", sc->at, what,
                       st->text ? st->text : "", st->n, sc->done);
    }
    sc->is_done = true;
    sim_close(k);
}

static void store_got(struct sim_script *sc, const char *bytes, size_t n)
{
    if (sc->got_len + n > sc->got_cap) {
        sc->got_cap = (sc->got_len + n) * 2;
        sc->got = wr_mem_realloc(sc->got, sc->got_cap);
    }
    memcpy(sc->got + sc->got_len, bytes, n);
    sc->got_len += n;
}

/* Up to n bytes; they are kept. */
static size_t read_some(struct sim_sock *k, size_t n)
{
    char buf[4096];
    size_t sum = 0, got;

    while (sum < n && (got = sim_read(k, buf, WR_MIN(n - sum, sizeof(buf)))) > 0) {
        store_got(k->script, buf, got);
        sum += got;
    }
    return sum;
}

static bool has_ended(const struct sim_sock *k)
{
    return sim_readable(k) == 0 && (sim_is_eof(k) || sim_is_reset(k));
}

/* Each step function: true when the step is done. */

static bool step_send(struct sim_sock *k, const struct sim_step *st)
{
    struct sim_script *sc = k->script;
    size_t n = st->text ? strlen(st->text) : st->n;

    while (sc->done < n) {
        char pattern[1024];
        const char *from = pattern;
        size_t want = WR_MIN(n - sc->done, sizeof(pattern)), put;

        if (st->text) {
            from = st->text + sc->done;
        } else {
            for (size_t i = 0; i < want; i++) {
                pattern[i] = (char)('a' + (sc->done + i) % 26);
            }
        }
        if (sim_is_reset(k)) {
            fail_script(k, "reset while sending");
            return false;
        }
        put = sim_write(k, from, want);
        sc->done += put;
        if (put == 0) {
            return false;
        }
    }
    return true;
}

static bool step_expect(struct sim_sock *k, const struct sim_step *st)
{
    struct sim_script *sc = k->script;
    size_t n = strlen(st->text);

    while (sc->done < n) {
        size_t got = read_some(k, n - sc->done);

        if (got == 0) {
            if (has_ended(k)) {
                fail_script(k, "the stream ended");
            }
            return false;
        }
        if (memcmp(sc->got + sc->got_len - got, st->text + sc->done, got) != 0) {
            fail_script(k, "other bytes came");
            return false;
        }
        sc->done += got;
    }
    return true;
}

static bool step_until(struct sim_sock *k, const struct sim_step *st)
{
    struct sim_script *sc = k->script;
    size_t n = strlen(st->text);

    if (sc->done == 0) {
        sc->searched = sc->got_len;
        sc->done = 1;
    }
    for (;;) {
        if (sc->got_len - sc->searched >= n &&
            memcmp(sc->got + sc->got_len - n, st->text, n) == 0) {
            return true;
        }
        /* One at a time, so that nothing behind the text is taken. */
        if (read_some(k, 1) == 0) {
            if (has_ended(k)) {
                fail_script(k, "the stream ended");
            }
            return false;
        }
    }
}

static bool step_read(struct sim_sock *k, const struct sim_step *st)
{
    struct sim_script *sc = k->script;

    sc->done += read_some(k, st->n - sc->done);
    if (sc->done < st->n && has_ended(k)) {
        fail_script(k, "the stream ended");
    }
    return sc->done == st->n;
}

static bool step_wait(struct sim_sock *k, const struct sim_step *st)
{
    struct sim_script *sc = k->script;

    if (!sc->is_waiting) {
        sc->is_waiting = true;
        wr_timer_arm(&sc->timer, wr_now_ms() + WR_MAX(st->n, 1u));
        return false;
    }
    if (wr_timer_is_armed(&sc->timer)) {
        return false;
    }
    sc->is_waiting = false;
    return true;
}

static bool step_eof(struct sim_sock *k)
{
    if (sim_readable(k) > 0) {
        fail_script(k, "bytes before the end");
        return false;
    }
    if (sim_is_reset(k)) {
        fail_script(k, "reset instead of the end");
        return false;
    }
    return sim_is_eof(k);
}

static bool run_step(struct sim_sock *k, const struct sim_step *st)
{
    switch (st->op) {
    case SIM_OP_END:
        k->script->is_done = true;
        return false;
    case SIM_OP_SEND:
        return step_send(k, st);
    case SIM_OP_EXPECT:
        return step_expect(k, st);
    case SIM_OP_UNTIL:
        return step_until(k, st);
    case SIM_OP_READ:
        return step_read(k, st);
    case SIM_OP_WAIT:
        return step_wait(k, st);
    case SIM_OP_EOF:
        return step_eof(k);
    case SIM_OP_DRAIN:
        (void)read_some(k, SIZE_MAX);
        return has_ended(k);
    case SIM_OP_SHUTDOWN:
        sim_shutdown(k);
        return true;
    case SIM_OP_CLOSE:
    case SIM_OP_RESET:
        k->script->is_done = true;
        if (st->op == SIM_OP_CLOSE) {
            sim_close(k);
        } else {
            sim_reset(k);
        }
        return false;
    case SIM_OP_LOOP:
        break;
    }
    /* The next round begins when there is something to read. */
    if (has_ended(k)) {
        k->script->is_done = true;
        sim_close(k);
        return false;
    }
    if (sim_readable(k) == 0) {
        return false;
    }
    k->script->at = SIZE_MAX; /* the step is counted up from here */
    return true;
}

static void run_script(struct sim_sock *k, void *data)
{
    struct sim_script *sc = k->script;

    (void)data;
    while (!sc->is_done && run_step(k, &sc->steps[sc->at])) {
        sc->at++;
        sc->done = 0;
    }
}

void sim_script(struct sim_sock *k, const struct sim_step *steps)
{
    WR_ASSERT(!k->script);
    k->script = wr_mem_alloc(sizeof(*k->script));
    k->script->steps = steps;
    wr_timer_init(&k->script->timer, &k->task);
    sim_watch(k, run_script, NULL);
}

bool sim_script_is_done(const struct sim_sock *k)
{
    return k->script && k->script->is_done;
}

const char *sim_script_error(const struct sim_sock *k)
{
    return k->script && k->script->error[0] != '\0' ? k->script->error : NULL;
}

const char *sim_received(const struct sim_sock *k, size_t *ret_n)
{
    *ret_n = k->script ? k->script->got_len : 0;
    return k->script ? k->script->got : NULL;
}
