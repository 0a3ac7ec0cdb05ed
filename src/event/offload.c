/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offload.c: a queue of jobs and a few threads that take from it.
 *
 *   submit (owner) -> queue -> work() (pool) -> mail -> owner thread: done(), or drop() if the
 * owner left
 *
 * A job comes home in every case, so `done` and `drop` are decided and called on one thread; the
 * only thing that the pool reads of the owner's decision is the state, once, to spare the work. The
 * queue is under a mutex; threads sleep on a semaphore that counts jobs (and wake-ups to stop). Any
 * thread with a loop may submit.
 */
#include "event/offload.h"

#include <errno.h>
#include <semaphore.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/sync.h"
#include "event/thread.h"

#define OFFLOAD_THREADS_MAX 64u

enum job_state {
    JOB_WANTED = 1,
    JOB_DROPPED
};

struct wr_offload {
    struct wr_mutex lock;
    struct wr_job *head, **tail; /* under lock */
    unsigned queued;             /* under lock: waiting, not yet taken */
    unsigned started;            /* under lock: threads running */
    bool is_starting;            /* under lock: a submitter is starting the threads */
    bool is_stopping;            /* under lock */
    unsigned thread_cnt, queue_max;
    sem_t jobs;
    struct wr_thread threads[OFFLOAD_THREADS_MAX];
};

static void come_home(struct wr_mail *m)
{
    struct wr_job *j = wr_container_of(m, struct wr_job, _mail);

    if (wr_load_rlx(&j->_state) == JOB_DROPPED) {
        j->drop(j);
    } else {
        j->done(j);
    }
}

/* Next job; NULL when stopping and the queue is empty. */
static struct wr_job *take_job(struct wr_offload *o)
{
    for (;;) {
        struct wr_job *j;
        bool is_stopping;

        while (sem_wait(&o->jobs) == -1 && errno == EINTR) {
            continue;
        }
        wr_mutex_lock(&o->lock);
        j = o->head;
        if (j) {
            o->head = j->_next;
            if (!o->head) {
                o->tail = &o->head;
            }
            o->queued--;
        }
        is_stopping = o->is_stopping;
        wr_mutex_unlock(&o->lock);
        if (j || is_stopping) {
            return j;
        }
    }
}

static void run_pool_thread(void *data)
{
    struct wr_offload *o = data;
    struct wr_job *j;

    while ((j = take_job(o)) != NULL) {
        if (wr_load_rlx(&j->_state) == JOB_WANTED) {
            j->work(j);
        }
        j->_mail.run = come_home;
        wr_mailbox_post(j->_home, &j->_mail);
    }
}

struct wr_offload *wr_offload_new(unsigned threads, unsigned queue_max)
{
    struct wr_offload *o = wr_mem_alloc(sizeof(*o));
    int rc = sem_init(&o->jobs, 0, 0);

    WR_ASSERT(rc == 0 && threads >= 1 && threads <= OFFLOAD_THREADS_MAX);
    wr_mutex_init(&o->lock, WR_RANK_LEAF);
    o->tail = &o->head;
    o->thread_cnt = threads;
    o->queue_max = queue_max;
    return o;
}

void wr_offload_free(struct wr_offload *o)
{
    if (!o) {
        return;
    }
    wr_mutex_lock(&o->lock);
    o->is_stopping = true;
    wr_mutex_unlock(&o->lock);
    for (unsigned i = 0; i < o->started; i++) {
        (void)sem_post(&o->jobs);
    }
    for (unsigned i = 0; i < o->started; i++) {
        wr_thread_join(&o->threads[i]);
    }
    while (o->head) {
        /* No thread could be started. */
        struct wr_job *j = o->head;

        o->head = j->_next;
        j->drop(j);
    }
    wr_mutex_fini(&o->lock);
    (void)sem_destroy(&o->jobs);
    wr_mem_free(o);
}

/* The first submitter starts the threads; those that cannot be started are done without. */
static enum wr_status start_threads(struct wr_offload *o)
{
    unsigned n = 0;
    bool is_mine;

    wr_mutex_lock(&o->lock);
    is_mine = o->started == 0 && !o->is_starting;
    o->is_starting = true;
    wr_mutex_unlock(&o->lock);
    if (!is_mine) {
        return WR_OK;
    }
    while (n < o->thread_cnt &&
           wr_thread_start(&o->threads[n], UINT32_MAX, "offload", run_pool_thread, o) == WR_OK) {
        n++;
    }
    wr_mutex_lock(&o->lock);
    o->started = n;
    o->is_starting = n > 0;
    wr_mutex_unlock(&o->lock);
    return n > 0 ? WR_OK : WR_ESYS;
}

enum wr_status wr_offload_submit(struct wr_offload *o, struct wr_job *j)
{
    bool is_full;

    WR_ASSERT(j->work && j->done && j->drop);
    if (start_threads(o) != WR_OK) {
        return WR_ESYS;
    }
    j->_next = NULL;
    j->_home = wr_mailbox_of_loop();
    wr_store_rlx(&j->_state, JOB_WANTED);
    wr_mutex_lock(&o->lock);
    is_full = o->queued >= o->queue_max;
    if (!is_full) {
        *o->tail = j;
        o->tail = &j->_next;
        o->queued++;
    }
    wr_mutex_unlock(&o->lock);
    if (is_full) {
        return WR_ELIMIT;
    }
    (void)sem_post(&o->jobs);
    return WR_OK;
}

void wr_offload_drop(struct wr_job *j)
{
    wr_store_rlx(&j->_state, JOB_DROPPED);
}
