/* SPDX-License-Identifier: Apache-2.0 */
/*
 * question.h: what can be asked of a running weir, as one line of text: on the control socket
 * (ctl.h), and on the way from the supervisor to its workers (chan.h).
 *
 *   status                  how it is (observe/status.h)
 *   trace connection N      the live request of connection *N, as logs and $connection name it
 *   trace request N         the one of this number, as `weir trace` and dumps of a crash name it
 *   trace client ADDRESS    live requests of this address, or of a block of them
 *   reload [terminal]       the supervisor only: as HUP; messages with excerpts
 */
#ifndef WR_MAIN_QUESTION_H
#define WR_MAIN_QUESTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

#define WR_QUESTION_MAX 1024 /* bytes of the line, its end included */

enum wr_question_kind {
    WR_ASK_STATUS,
    WR_ASK_TRACE_CONN,
    WR_ASK_TRACE_REQ,
    WR_ASK_TRACE_CLIENT,
    WR_ASK_RELOAD
};

struct wr_question {
    enum wr_question_kind kind;
    uint64_t id;
    struct wr_cidr client;
    bool is_terminal;
};

/* Without its line end. WR_EPROTO: not a question. */
enum wr_status wr_question_parse(struct wr_str line, struct wr_question *ret) WR_MUST_CHECK;

#endif
