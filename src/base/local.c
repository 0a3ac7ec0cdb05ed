/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c: makes and ends a thread's struct wr_local. The parts belong to the files named in
 * local.h; this file knows the order only: the counters come first and go last, because the others
 * count. A thread key ends the struct of a thread that forgot to.
 */
#include "base/local.h"

#include <pthread.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/local_int.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/recorder.h"
#include "base/rng.h"

_Thread_local struct wr_local *wr_local_ptr;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void end_thread(void *data)
{
    (void)data;
    wr_local_fini();
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, end_thread) == 0;
}

static void set_key(struct wr_local *l)
{
    (void)pthread_once(&key_once, make_key); /* fails only for a bad argument */
    if (has_key) {
        /* A failure costs only the safety net: the thread must then call wr_local_fini. */
        (void)pthread_setspecific(key, l);
    }
}

struct wr_local *wr_local_take_off(void)
{
    struct wr_local *l = wr_local_get();

    set_key(NULL);
    wr_local_ptr = NULL;
    return l;
}

void wr_local_put_on(struct wr_local *l)
{
    wr_obj_check(l, WR_LOCAL_MAGIC);
    WR_ASSERT(wr_local_ptr == NULL);
    wr_local_ptr = l;
    l->recorder->tid = (uint32_t)gettid();
    set_key(l);
}

/* The main thread's. */
__attribute__((constructor)) static void start_main_thread(void)
{
    wr_local_start();
}

void wr_local_start(void)
{
    struct wr_local *l;
    uint64_t seed;

    if (wr_local_ptr != NULL) {
        return;
    }
    l = wr_mem_alloc(sizeof(*l));
    wr_obj_init(l, WR_LOCAL_MAGIC);
    l->thread_no = UINT32_MAX;
    wr_local_ptr = l;
    wr_stat_local_init(l);
    wr_panic_local_init(l);
    wr_recorder_local_init(l);
    wr_clock_local_init(l);
    wr_log_local_init(l);
    wr_arena_local_init(l);
    wr_slab_local_init(l);
    wr_chunk_local_init(l);
    wr_rng_secret(&seed, sizeof(seed));
    wr_rng_seed(seed);
    set_key(l);
}

void wr_local_fini(void)
{
    struct wr_local *l = wr_local_ptr;

    if (l == NULL) {
        return;
    }
    wr_obj_check(l, WR_LOCAL_MAGIC);
    if (has_key) {
        (void)pthread_setspecific(key, NULL); /* the net is not needed any more */
    }
    wr_log_local_fini(l);
    wr_chunk_local_fini(l);
    wr_slab_local_fini(l);
    wr_arena_local_fini(l);
    wr_clock_local_fini(l);
    wr_recorder_local_fini(l);
    wr_panic_local_fini(l);
    wr_stat_local_fini(l);
    wr_mem_local_fini(l);
    wr_obj_kill(l);
    wr_local_ptr = NULL;
    wr_mem_free(l);
}
