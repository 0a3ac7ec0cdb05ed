/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ntlm.c: connections to peers that belong to one client connection, see ntlm.h.
 */
#include "up/ntlm.h"

#include "base/clock.h"
#include "base/hash.h"
#include "net/conn.h"
#include "up/idle.h"
#include "up/up.h"

static bool is_scheme(struct wr_str v, struct wr_str name)
{
    return wr_str_has_iprefix(v, name) && (v.len == name.len || v.ptr[name.len] == ' ');
}

static bool authenticates(const struct wr_req *r)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_AUTHORIZATION);

    return h != NULL &&
           (is_scheme(h->value, WR_STR("Negotiate")) || is_scheme(h->value, WR_STR("NTLM")));
}

static uint64_t mix(uint64_t identity, uint64_t conn_no)
{
    uint64_t parts[2] = {identity, conn_no};

    return wr_hash_sip(parts, sizeof(parts));
}

uint64_t wr_up_ntlm_identity(const struct wr_up *u)
{
    return mix(u->identity, u->bound_no);
}

bool wr_up_ntlm_pick(struct wr_up *u)
{
    const struct wr_members *m = u->start.members;
    const struct wr_conn *client = wr_req_conn(u->req);
    const struct wr_member *bound;

    if (client == NULL || u->tries != 0) {
        return false;
    }
    u->bound_no = authenticates(u->req) ? client->no : 0;
    bound = wr_idle_find(m, mix(u->identity, client->no));
    if (bound == NULL || bound->is_down ||
        !wr_pick_member(m, (uint32_t)(bound - m->at), wr_now_ms(), &u->slot)) {
        return false;
    }
    wr_picker_adopt(&u->picker, &u->slot);
    u->bound_no = client->no;
    return true;
}
