/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handle.c: the handle table of a thread's loop: an array of {object, generation} that doubles, a
 * free list through the unused slots. A slot's generation counts up at each close, so an old
 * handle finds another number; it is never 0, so no handle is 0. Slots are taken again last in,
 * first out. Owner thread only.
 */
#include "event/handle.h"

#include "base/assert.h"
#include "base/local.h"
#include "base/mem.h"
#include "base/stat.h"
#include "event/event_int.h"
#include "event/loop.h"

#define HANDLE_SLOTS_MAX (1u << 24)
#define HANDLE_SLOT_NONE UINT32_MAX

struct handle_slot {
    void *object; /* NULL: free */
    uint32_t gen;
    uint32_t next_free;
};

struct wr_handles {
    struct handle_slot *at;
    uint32_t cap;
    uint32_t free_head;
    uint32_t used;
};

struct wr_handles *wr_handles_new(void)
{
    struct wr_handles *hs = wr_run_zalloc(sizeof(*hs));

    if (hs) {
        hs->free_head = HANDLE_SLOT_NONE;
    }
    return hs;
}

void wr_handles_free(struct wr_handles *hs)
{
    if (hs) {
        wr_mem_free(hs->at);
        wr_mem_free(hs);
    }
}

static struct wr_handles *get_handles(void)
{
    const struct wr_loop *l = wr_local_get()->loop;

    return l == NULL ? NULL : l->handles;
}

static uint8_t own_thread(void)
{
    return (uint8_t)wr_local_get()->thread_no;
}

static enum wr_status grow_table(struct wr_handles *hs)
{
    uint32_t cap = hs->cap == 0 ? 64 : hs->cap * 2;
    struct handle_slot *at;

    if (cap > HANDLE_SLOTS_MAX) {
        return WR_ENOMEM;
    }
    at = wr_run_realloc(hs->at, (size_t)cap * sizeof(*at));
    if (!at) {
        return WR_ENOMEM;
    }
    /* The lowest new slot is to be taken first. */
    for (uint32_t i = cap; i-- > hs->cap;) {
        at[i].object = NULL;
        at[i].gen = 1;
        at[i].next_free = hs->free_head;
        hs->free_head = i;
    }
    hs->at = at;
    hs->cap = cap;
    return WR_OK;
}

static uint32_t slot_of(wr_handle h)
{
    return (uint32_t)(h >> 32) & (HANDLE_SLOTS_MAX - 1);
}

void wr_handle_prefetch(wr_handle h)
{
    const struct wr_handles *hs = get_handles();
    uint32_t slot = slot_of(h);

    if (hs && slot < hs->cap) {
        wr_prefetch(&hs->at[slot]);
    }
}

/* NULL when h names nothing here. */
static struct handle_slot *find_slot(struct wr_handles *hs, wr_handle h)
{
    uint32_t slot = slot_of(h);
    struct handle_slot *s;

    if (!hs || wr_handle_thread(h) != own_thread() || slot >= hs->cap) {
        return NULL;
    }
    s = &hs->at[slot];
    return s->gen == (uint32_t)h && s->object != NULL ? s : NULL;
}

enum wr_status wr_handle_open(void *object, wr_handle *ret_h)
{
    struct wr_handles *hs = get_handles();
    struct handle_slot *s;
    uint32_t slot;

    WR_ASSERT(hs != NULL && object != NULL);
    if (hs->free_head == HANDLE_SLOT_NONE && grow_table(hs) != WR_OK) {
        return WR_ENOMEM;
    }
    slot = hs->free_head;
    s = &hs->at[slot];
    hs->free_head = s->next_free;
    hs->used++;
    s->object = object;
    *ret_h = (wr_handle)own_thread() << 56 | (wr_handle)slot << 32 | s->gen;
    return WR_OK;
}

void wr_handle_close(wr_handle h)
{
    struct wr_handles *hs = get_handles();
    struct handle_slot *s;

    if (h == 0) {
        return;
    }
    s = find_slot(hs, h);
    if (!s) {
        return;
    }
    s->object = NULL;
    s->gen = s->gen == UINT32_MAX ? 1 : s->gen + 1;
    s->next_free = hs->free_head;
    hs->free_head = (uint32_t)(s - hs->at);
    hs->used--;
}

void *wr_handle_find(wr_handle h)
{
    struct handle_slot *s = find_slot(get_handles(), h);

    return s == NULL ? NULL : s->object;
}

void *wr_handle_get(wr_handle h)
{
    void *object = wr_handle_find(h);

    if (!object) {
        wr_stat_inc(WR_CNT_STALE_HANDLES);
    }
    return object;
}
