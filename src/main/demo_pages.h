/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_pages.h: what the demonstration servers answer. One connection, one thread.
 */
#ifndef WR_MAIN_DEMO_PAGES_H
#define WR_MAIN_DEMO_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct wr_demo_conn {
    int fd;
    unsigned peer_no; /* 1, 2 ... */
    char buf[16384];
    size_t have;        /* bytes in buf */
    struct wr_str head; /* at its beginning; blank line included */
};

/* Answers the request in c->head, its body skipped. False: the connection is over. */
bool wr_demo_answer(struct wr_demo_conn *c);

#endif
