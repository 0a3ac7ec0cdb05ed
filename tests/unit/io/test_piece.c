/* SPDX-License-Identifier: Apache-2.0 */
/* test_piece.c: pieces of files by each way, works that are left, folders' names. */
#include "unit/event/looptest.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/stat.h>

#include "io/folder.h"
#include "io/piece.h"
#include "io/work.h"

#define LEN 200000u

static char dir[] = "/tmp/wr_piece_XXXXXX";
static char path[64];
static char data[LEN];
static struct wr_offload *pool;
static struct count_task task;

static int setup_all(void **state)
{
    int fd;

    (void)state;
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    for (unsigned i = 0; i < LEN; i++) {
        data[i] = (char)(i * 31 + i / 251);
    }
    (void)snprintf(path, sizeof(path), "%s/f", dir);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, data, LEN), LEN);
    return close(fd);
}

static int teardown_all(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(dir);
}

static int setup(void **state)
{
    int rc = setup_loop(state);

    pool = wr_offload_new(2, 10);
    count_task_init(&task);
    return rc;
}

static int teardown(void **state)
{
    assert_true(wr_work_thread_end(10000));
    wr_task_cancel(&task.task);
    wr_offload_free(pool);
    return teardown_loop(state);
}

static struct wr_file *open_file(bool is_direct, bool is_cold)
{
    struct wr_file_how how = {
        .want_fd = true, .direct_min = is_direct ? 1 : UINT64_MAX, .ahead_min = is_direct ? 0 : 1};
    struct wr_file_facts facts;
    struct wr_file *f;
    int err = 0;

    assert_int_equal(wr_file_find(path, &how, &facts, &err), WR_OK);
    assert_int_equal(wr_file_of_facts(&facts, &f), WR_OK);
    if (is_cold) {
        /* Where the file system heeds it, what follows has to wait for the disk. */
        assert_int_equal(fsync(f->fd), 0);
        (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    return f;
}

/* Reads [from, to) piece by piece and compares. */
static void read_range(struct wr_file *f, uint64_t from, uint64_t to, struct wr_piece p)
{
    while (from < to) {
        struct wr_work *w = NULL;
        struct wr_chunk *c = NULL;
        uint32_t off = 0;
        enum wr_status st;

        p.file = f;
        p.off = from;
        p.len = to - from;
        p.task = &task.task;
        st = wr_piece_read(&p, &c, &off, &w);
        if (st == WR_AGAIN) {
            while (!w->is_home) {
                wr_loop_turn(wr_loop_get(), 20);
            }
            st = wr_piece_take(w, &c, &off);
        }
        assert_int_equal(st, WR_OK);
        assert_true(c->fill > off && c->fill - off <= p.size && c->fill - off <= p.len);
        assert_memory_equal(c->data + off, data + from, c->fill - off);
        from += c->fill - off;
        wr_chunk_unref(c);
    }
}

static void test_every_way(void **state)
{
    static const uint32_t sizes[] = {1000, 4096, 65536, 262144}, aligns[] = {0, 512, 4096};

    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        struct wr_file *f = open_file(way >= 2, way % 2 == 1);

        for (unsigned i = 0; i < 12; i++) {
            struct wr_piece p = {
                .size = sizes[i % 4], .align = aligns[i % 3], .pool = way % 2 == 1 ? pool : NULL};

            read_range(f, 0, sizes[i % 4] < 4096 ? 20000 : LEN, p);
            read_range(f, 511, 9000, p);
            read_range(f, LEN - 1, LEN, p);
        }
        wr_file_unref(f);
    }
}

static void test_end_of_file(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        struct wr_file *f = open_file(way >= 2, false);
        struct wr_piece p = {.file = f,
                             .off = LEN,
                             .len = 100,
                             .size = 4096,
                             .pool = way % 2 == 1 ? pool : NULL,
                             .task = &task.task};
        struct wr_work *w = NULL;
        struct wr_chunk *c;
        uint32_t off;
        enum wr_status st = wr_piece_read(&p, &c, &off, &w);

        if (st == WR_AGAIN) {
            while (!w->is_home) {
                wr_loop_turn(wr_loop_get(), 20);
            }
            st = wr_piece_take(w, &c, &off);
        }
        assert_int_equal(st, WR_EOF);
        wr_file_unref(f);
    }
}

static void test_error(void **state)
{
    struct wr_file *f;
    struct wr_work *w = NULL;
    struct wr_chunk *c;
    uint32_t off;
    int err = 0;
    struct wr_piece p = {.len = 100, .size = 4096, .pool = pool, .task = &task.task};

    (void)state;
    assert_int_equal(wr_file_open(dir, &f, &err), WR_OK); /* a folder cannot be read so */
    p.file = f;
    assert_int_equal(wr_piece_read(&p, &c, &off, &w), WR_AGAIN);
    while (!w->is_home) {
        wr_loop_turn(wr_loop_get(), 20);
    }
    assert_int_equal(wr_piece_take(w, &c, &off), WR_ESYS);
    p.pool = NULL;
    assert_int_equal(wr_piece_read(&p, &c, &off, &w), WR_ESYS);
    wr_file_unref(f);
}

/* ---- works ------------------------------------------------------------------------------------
 */

struct gate_work {
    struct wr_work work;
    unsigned *freed;
};

static sem_t gate;

static void wait_at_gate(struct wr_work *w)
{
    (void)w;
    while (sem_wait(&gate) != 0) {
        continue;
    }
}

static void free_gate(struct wr_work *w)
{
    struct gate_work *g = wr_container_of(w, struct gate_work, work);

    (*g->freed)++;
    wr_mem_free(g);
}

static struct gate_work *make_work(unsigned *freed)
{
    struct gate_work *g = wr_mem_alloc(sizeof(*g));

    g->work.work = wait_at_gate;
    g->work.free = free_gate;
    g->freed = freed;
    return g;
}

static void test_left_work(void **state)
{
    struct gate_work *a, *b;
    unsigned freed = 0;

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    a = make_work(&freed);
    b = make_work(&freed);
    assert_int_equal(wr_work_start(pool, &a->work, &task.task), WR_OK);
    assert_int_equal(wr_work_start(pool, &b->work, &task.task), WR_OK);
    wr_work_leave(&a->work);
    wr_work_leave(NULL);
    assert_int_equal(freed, 0);
    assert_int_equal(sem_post(&gate), 0);
    assert_int_equal(sem_post(&gate), 0);
    while (!b->work.is_home) {
        wr_loop_turn(wr_loop_get(), 20);
    }
    wr_work_leave(&b->work);
    assert_true(wr_work_thread_end(10000));
    assert_int_equal(freed, 2);
    assert_true(task.runs <= 1); /* the one that was left woke nobody */
}

static void test_full_pool(void **state)
{
    struct wr_offload *small = wr_offload_new(1, 1);
    struct gate_work *w[4];
    unsigned freed = 0, refused = 0;

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    for (unsigned i = 0; i < 4; i++) {
        w[i] = make_work(&freed);
        if (wr_work_start(small, &w[i]->work, &task.task) != WR_OK) {
            refused++;
            free_gate(&w[i]->work);
            w[i] = NULL;
        }
    }
    assert_true(refused >= 2);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(sem_post(&gate), 0);
        wr_work_leave(w[i] ? &w[i]->work : NULL);
    }
    assert_true(wr_work_thread_end(10000));
    assert_int_equal(freed, 4);
    wr_offload_free(small);
}

/* ---- folders ----------------------------------------------------------------------------------
 */

static void test_folder(void **state)
{
    static const struct wr_file_how how = {.direct_min = UINT64_MAX};
    struct wr_file_facts facts;
    struct wr_folder *f;
    struct wr_folder_name n;
    char name[128];
    int err = 0;

    (void)state;
    (void)snprintf(name, sizeof(name), "%s/ln", dir);
    assert_int_equal(symlink("nowhere", name), 0);
    assert_int_equal(wr_folder_open(path, &how, &f, &err), WR_ESYS);
    assert_int_equal(err, ENOTDIR);
    assert_int_equal(wr_folder_open("/nonexistent", &how, &f, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_int_equal(wr_folder_open(dir, &how, &f, &err), WR_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(wr_folder_next(f, &n, &err), WR_OK);
        assert_int_equal(wr_folder_look(f, n.name, &facts, &err), WR_OK);
        if (n.len == 1) {
            assert_true(n.kind == WR_FOLDER_FILE && facts.is_regular && facts.size == LEN);
        } else {
            assert_true(n.kind == WR_FOLDER_UNKNOWN && !facts.is_regular && !facts.is_dir);
        }
    }
    assert_int_equal(wr_folder_next(f, &n, &err), WR_EOF);
    assert_int_equal(wr_folder_look(f, "none", &facts, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    wr_folder_close(f);
    wr_folder_close(NULL);
    (void)unlink(name);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_every_way), T(test_end_of_file), T(test_error),
        T(test_left_work), T(test_full_pool),   T(test_folder),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
