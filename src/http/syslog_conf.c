/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syslog_conf.c: see syslog_conf.h. Called while a configuration is built, by its thread. A name's
 * first address is the one that lines go to until the next load, as in nginx.
 */
#include "http/syslog_conf.h"

#include "conf/source.h"
#include "conf/tree.h"

enum wr_status wr_syslog_conf_read(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                   struct wr_syslog *ret)
{
    const struct wr_conf_source *src = cf->opts->source;
    struct wr_str s = wr_node_arg(node, i), what = WR_STR("");
    struct wr_addr *at = NULL;
    struct wr_syslog d;
    size_t cnt = 0;
    enum wr_status st =
        wr_syslog_parse(wr_str_sub(s, sizeof("syslog:") - 1, s.len), cf->arena, &d, &what);

    if (st == WR_ECONFIG) {
        return wr_conf_err_arg(cf, node, i, "%.*s", WR_STR_ARG(what));
    }
    if (st != WR_OK) {
        return wr_conf_nomem(cf);
    }
    if (!d.has_addr) {
        st = src->resolve != NULL ? src->resolve(src, cf->arena, d.host, &at, &cnt) : WR_EOF;
        if (st == WR_ENOMEM) {
            return wr_conf_nomem(cf);
        }
        if (st != WR_OK || cnt == 0) {
            return wr_conf_err_arg(cf, node, i, "host not found in syslog server \"%.*s\"",
                                   WR_STR_ARG(d.server));
        }
        wr_syslog_set_addr(&d, &at[0]);
    }
    *ret = d;
    return WR_OK;
}
