/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forwarded.c: reading X-Forwarded-For from its end, see forwarded.h. Pure functions on slices.
 */
#include "http/forwarded.h"

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

/* Cuts the last word off *list; false: there is none. */
static bool take_last(struct wr_str *list, struct wr_str *ret)
{
    size_t end = list->len, from;

    while (end > 0 && is_separator(list->ptr[end - 1])) {
        end--;
    }
    from = end;
    while (from > 0 && !is_separator(list->ptr[from - 1])) {
        from--;
    }
    *ret = wr_str_sub(*list, from, end - from);
    list->len = from;
    return end > 0;
}

/* "1.2.3.4", "::1", "1.2.3.4:80", "[::1]:80" */
static bool read_addr(struct wr_str s, struct wr_addr *ret)
{
    struct wr_hostport hp;
    const char *err = NULL;

    if (wr_addr_parse_ip(s, 0, ret) == WR_OK) {
        return true;
    }
    return wr_hostport_parse(s, &hp, &err) == WR_OK && !hp.is_unix && hp.rest.len == 0 &&
           wr_addr_parse_ip(hp.host, hp.port, ret) == WR_OK;
}

void wr_forwarded_client(struct wr_str list, bool is_recursive, wr_forwarded_trust_fn *is_trusted,
                         const void *data, struct wr_addr *addr)
{
    struct wr_str word;
    struct wr_addr a;

    while (take_last(&list, &word) && read_addr(word, &a)) {
        *addr = a;
        if (!is_recursive || !is_trusted(&a, data)) {
            return;
        }
    }
}
