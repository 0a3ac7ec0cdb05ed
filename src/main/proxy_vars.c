/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_vars.c: see proxy_vars.h. Getters run on the request's task; values are slices of its head.
 */
#include "main/proxy_vars.h"

#include "http/req.h"

static enum wr_status get_connection_upgrade(struct wr_req *r, const struct wr_var *v,
                                             struct wr_str rest, struct wr_str *ret)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_UPGRADE);

    (void)v, (void)rest; /* one variable, no prefix */
    if (h == NULL || h->value.len == 0) {
        return WR_EOF;
    }
    *ret = WR_STR("upgrade");
    return WR_OK;
}

static enum wr_status get_host(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_HOST);

    (void)v, (void)rest; /* one variable, no prefix */
    *ret = h != NULL && h->value.len > 0 ? h->value : r->host;
    return WR_OK;
}

const struct wr_var wr_proxy_cmd_vars[WR_PROXY_CMD_VARS] = {
    {"weir_connection_upgrade", get_connection_upgrade, 0, 0},
    {"weir_host",               get_host,               0, 0},
};
