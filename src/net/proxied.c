/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxied.c: see proxied.h. Few headers have many TLVs, so most come from the slab.
 */
#include "net/proxied.h"

#include <string.h>

#include "base/assert.h"
#include "base/slab.h"

struct wr_proxied *wr_proxied_new(const struct wr_proxy_head *h)
{
    size_t size = sizeof(struct wr_proxied) + h->tlvs.len;
    struct wr_proxied *p = size <= WR_SLAB_MAX ? wr_slab_alloc(size) : wr_run_alloc(size);

    if (!p) {
        return NULL;
    }
    p->_refcnt = 1;
    p->_size = (uint32_t)size;
    p->head = *h;
    if (h->tlvs.len > 0) {
        memcpy(p + 1, h->tlvs.ptr, h->tlvs.len);
    }
    p->head.tlvs = wr_str((const char *)(p + 1), h->tlvs.len);
    return p;
}

struct wr_proxied *wr_proxied_ref(struct wr_proxied *p)
{
    if (p) {
        p->_refcnt++;
    }
    return p;
}

void wr_proxied_unref(struct wr_proxied *p)
{
    if (!p) {
        return;
    }
    WR_ASSERT(p->_refcnt > 0);
    if (--p->_refcnt > 0) {
        return;
    }
    if (p->_size <= WR_SLAB_MAX) {
        wr_slab_free(p, p->_size);
    } else {
        wr_mem_free(p);
    }
}
