/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.h: a stop between the peer's pipe and the client's, for the few responses that need one:
 * *_limit_rate (bytes wait for their time) and *_pass_trailers (the end waits until the trailers
 * are known). Slices change pipes, nothing is copied. All others are relayed without it.
 */
#ifndef WR_UP_STAGE_H
#define WR_UP_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

struct wr_up;
struct wr_pipe;

struct wr_up_stage {
    struct wr_pipe *in,
        *out;      /* consumer end of the peer's, producer end of the client's; or NULL */
    uint64_t rate; /* bytes a second; 0: no limit */
    uint64_t began_ms, sent;
    bool has_trailers; /* they are to be passed on */
};

/*
 * The head was accepted and r->out_pipe is the peer's pipe: puts a stage behind it where the
 * configuration asks for one; r->out_pipe is its end then. WR_ENOMEM.
 */
enum wr_status wr_up_stage_begin(struct wr_up *u) WR_MUST_CHECK;
/* Moves what may go now; at the request's wakes. */
void wr_up_stage_step(struct wr_up *u);
/* Holds it bytes, or the end, that are still to go? */
bool wr_up_stage_is_busy(const struct wr_up *u);
/* Idempotent. */
void wr_up_stage_end(struct wr_up *u);

#endif
