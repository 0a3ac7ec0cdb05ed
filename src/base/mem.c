/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c: the two kinds of plain allocation, their accounting and fault injection. Sizes are those
 * that the C library tells (malloc_usable_size), so no header is put before the memory. Each thread
 * sums its changes in wr_local and settles them with the process's sum when they pass 64 KiB, at
 * the next call that is not served by a cache of the thread.
 */
#include "base/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/local_int.h"
#include "base/log.h"
#include "base/num.h"
#include "base/sync.h"

static wr_atomic_u64 in_use; /* modulo 2^64: threads may settle in any order */

/* Works without a wr_local too: that struct itself is made by wr_mem_alloc. */
static void account(int64_t n)
{
    if (wr_local_ptr == NULL) {
        (void)wr_add_rlx(&in_use, (uint64_t)n);
        return;
    }
    wr_mem_account(n);
}

static void *note(void *p)
{
    if (p != NULL) {
        account((int64_t)malloc_usable_size(p));
    }
    return p;
}

void wr_mem_settle(void)
{
    struct wr_local *l = wr_local_get();

    (void)wr_add_rlx(&in_use, (uint64_t)l->_mem_delta); /* a sum: no order needed */
    l->_mem_delta = 0;
}

void wr_mem_local_fini(struct wr_local *l)
{
    (void)wr_add_rlx(&in_use, (uint64_t)l->_mem_delta);
    l->_mem_delta = 0;
}

size_t wr_mem_in_use(void)
{
    const struct wr_local *l = wr_local_get();
    int64_t n = (int64_t)(wr_load_rlx(&in_use) + (uint64_t)l->_mem_delta);

    return n > 0 ? (size_t)n : 0;
}

void wr_mem_die(size_t size)
{
    char text[96] = WR_LOG_PROGRAM ": no memory for bytes: ";
    size_t n = strlen(text);

    n += wr_num_write_u64(text + n, size);
    text[n++] = '\n';
    wr_log_raw(STDERR_FILENO, text, n);
    wr_panic(__FILE__, __LINE__, "out of memory");
}

void *wr_mem_alloc(size_t size)
{
    void *p = note(calloc(1, size + (size == 0)));

    if (p == NULL) {
        wr_mem_die(size);
    }
    return p;
}

/* realloc with accounting; NULL leaves p as it was. */
static void *resize(void *p, size_t size)
{
    size_t old = p == NULL ? 0 : malloc_usable_size(p);
    void *q = realloc(p, size + (size == 0));

    if (q != NULL) {
        account((int64_t)malloc_usable_size(q) - (int64_t)old);
    }
    return q;
}

void *wr_mem_realloc(void *p, size_t size)
{
    void *q = resize(p, size);

    if (q == NULL) {
        wr_mem_die(size);
    }
    return q;
}

char *wr_mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = wr_mem_alloc(n);

    memcpy(p, s, n);
    return p;
}

void wr_mem_free(void *p)
{
    if (p != NULL) {
        account(-(int64_t)malloc_usable_size(p));
        free(p);
    }
}

void *wr_run_alloc(size_t size)
{
    return wr_mem_fault_hit() ? NULL : note(malloc(size + (size == 0)));
}

void *wr_run_zalloc(size_t size)
{
    return wr_mem_fault_hit() ? NULL : note(calloc(1, size + (size == 0)));
}

void *wr_run_realloc(void *p, size_t size)
{
    return wr_mem_fault_hit() ? NULL : resize(p, size);
}

void wr_mem_fault_set(uint64_t n)
{
    struct wr_local *l = wr_local_get();

    l->fault_at = l->fault_left = n;
}

uint64_t wr_mem_fault_count(void)
{
    const struct wr_local *l = wr_local_get();

    return l->fault_at - l->fault_left;
}

bool wr_mem_pass_through(void)
{
    static wr_atomic_u32 known; /* 0: not asked yet, 1: no, 2: yes; racing threads find the same */
    uint32_t k = wr_load_rlx(&known);

    if (k == 0) {
        const char *e = getenv("WEIR_MEM");

        k = WR_MEM_SANITIZED || (e != NULL && strcmp(e, "malloc") == 0) ? 2 : 1;
        wr_store_rlx(&known, k);
    }
    return k == 2;
}
