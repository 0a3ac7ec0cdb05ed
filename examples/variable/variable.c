/* SPDX-License-Identifier: Apache-2.0 */
/*
 * variable.c: two variables.
 *
 *   $client_net          the client's network: 192.0.2.0/24 of 192.0.2.77, 2001:db8::/64 of
 * 2001:db8::1 $lower_NAME          the client's header field NAME in lower case:
 * $lower_accept_language
 *
 * A row of the table is all there is to it; they are known wherever variables are.
 */
#include <base/addr.h>
#include <base/chars.h>
#include <http/loadable.h>

/* The text lives as long as the request: its arena, or constant memory. WR_EOF: there is none. */
static enum wr_status get_client_net(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                     struct wr_str *ret)
{
    const uint8_t *p;
    size_t n = wr_addr_bytes(&r->peer, &p);

    (void)v, (void)rest;
    if (n == 4) {
        return wr_arena_printf(r->arena, ret, "%u.%u.%u.0/24", p[0], p[1], p[2]);
    }
    if (n != 16) {
        return WR_EOF; /* a unix socket */
    }
    return wr_arena_printf(r->arena, ret, "%x:%x:%x:%x::/64", p[0] << 8 | p[1], p[2] << 8 | p[3],
                           p[4] << 8 | p[5], p[6] << 8 | p[7]);
}

/* A row with PREFIX stands for all names that begin so; rest is what follows. */
static enum wr_status get_lower(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    char *name = wr_arena_alloc(r->arena, rest.len + 1), *text;
    const struct wr_hdr *h;

    (void)v;
    if (name == NULL) {
        return WR_ENOMEM;
    }
    for (size_t i = 0; i < rest.len; i++) {
        name[i] = rest.ptr[i] == '_' ? '-' : rest.ptr[i];
    }
    h = wr_hdrs_find(&r->head->hdrs, wr_str(name, rest.len), NULL);
    if (h == NULL) {
        return WR_EOF;
    }
    text = wr_arena_alloc(r->arena, h->value.len + 1);
    if (text == NULL) {
        return WR_ENOMEM;
    }
    for (size_t i = 0; i < h->value.len; i++) {
        text[i] = (char)wr_char_lower[(unsigned char)h->value.ptr[i]];
    }
    *ret = wr_str(text, h->value.len);
    return WR_OK;
}

static const struct wr_var vars[] = {
    {.name = "client_net", .get = get_client_net },
    { .name = "lower_",    .get = get_lower, .flags = WR_VAR_PREFIX},
};
static const struct wr_module module = {.vars = vars, .var_cnt = 2};
WR_MODULE_FILE(module);
