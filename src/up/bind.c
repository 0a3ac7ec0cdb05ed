/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bind.c: *_bind for one request (bind.h): once, or for each try with *_bind_dynamic.
 */
#include "up/bind.h"

#include "base/hash.h"
#include "base/num.h"
#include "up/up.h"

enum wr_status wr_up_bind_parse(struct wr_str s, struct wr_addr *ret)
{
    size_t colon = wr_str_rfind(s, ':');
    struct wr_str host = wr_str_sub(s, 0, colon);
    uint64_t port;

    if (wr_addr_parse_ip(s, 0, ret) == WR_OK) {
        return WR_OK;
    }
    if (colon >= s.len || (wr_str_find(host, ':') < host.len && host.ptr[0] != '[') ||
        wr_num_parse_u64(wr_str_sub(s, colon + 1, s.len), UINT16_MAX, &port) != WR_OK) {
        return WR_EPROTO;
    }
    return wr_addr_parse_ip(host, (uint16_t)port, ret);
}

enum wr_status wr_up_bind_eval(struct wr_up *u)
{
    const struct wr_up_conf *c = u->start.conf;
    struct wr_str text;
    uint64_t parts[2];

    u->opts.bind = NULL;
    u->identity = u->start.identity;
    if (c->bind.addr == NULL) {
        return WR_OK;
    }
    if (wr_template_eval(u->req, c->bind.addr, &text) != WR_OK) {
        return WR_ENOMEM;
    }
    if (text.len == 0) {
        return WR_OK;
    }
    if (wr_up_bind_parse(text, &u->bind) != WR_OK) {
        wr_log(&u->req->log, WR_LOG_ERROR, "invalid local address \"%.*s\"", WR_STR_ARG(text));
        return WR_OK;
    }
    u->opts.bind = &u->bind;
    u->opts.is_transparent = c->bind.is_transparent;
    parts[0] = u->start.identity;
    parts[1] = wr_hash_sip(text.ptr, text.len);
    u->identity = wr_hash_sip(parts, sizeof(parts)); /* keyed: clients may choose the text */
    return WR_OK;
}
