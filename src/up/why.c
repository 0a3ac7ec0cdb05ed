/* SPDX-License-Identifier: Apache-2.0 */
/*
 * why.c: the words of $upstream_why, see why.h and docs/why.md.
 *
 *   tries      try {", " | " : "} try ...
 *   try        chosen peer connection end [>what-followed] {-peer:reason}
 */
#include "up/why.h"

#include "base/clock.h"
#include "base/strbuf.h"
#include "http/server.h"
#include "up/up.h"

#define WHY_SKIPPED_MAX 16   /* peers that are named */
#define WHY_SKIPPED_LEN 1024 /* bytes of their list */
#define WHY_LOG_LEN     1000 /* in the error log, whose lines have 2048 */

static const char *const cause_words[] = {
    [WR_CAUSE_NONE] = "-",
    [WR_CAUSE_OK] = "ok",
    [WR_CAUSE_REFUSED] = "connect_error",
    [WR_CAUSE_CONNECT_TIMEOUT] = "connect_timeout",
    [WR_CAUSE_TLS] = "tls",
    [WR_CAUSE_READ_TIMEOUT] = "read_timeout",
    [WR_CAUSE_SEND_TIMEOUT] = "send_timeout",
    [WR_CAUSE_CLOSED] = "closed",
    [WR_CAUSE_BAD_HEAD] = "bad_header",
    [WR_CAUSE_BIG_HEAD] = "big_header",
    [WR_CAUSE_STATUS] = "status",
    [WR_CAUSE_TRUNCATED] = "truncated",
    [WR_CAUSE_CANCELED] = "canceled",
    [WR_CAUSE_OURS] = "own_error",
    [WR_CAUSE_CLIENT_BODY] = "client_body",
    [WR_CAUSE_DENIED] = "denied",
};

static const char *const stop_words[] = {
    [WR_STOP_NONE] = "",       [WR_STOP_FINAL] = "",        [WR_STOP_CLIENT] = "client",
    [WR_STOP_BODY] = "body",   [WR_STOP_METHOD] = "method", [WR_STOP_POLICY] = "policy",
    [WR_STOP_TRIES] = "tries", [WR_STOP_TIME] = "time",
};

/* ---- facts ---------------------------------------------------------------------------------- */

/* Why a member cannot be chosen now; NULL: it can, it was tried, or its turn has not come. */
static const char *find_reason(const struct wr_picker *p, uint32_t i, uint64_t now_ms)
{
    const struct wr_member *m = &p->members->at[i];

    if (m->is_down) {
        return "down";
    }
    if (p->tried != NULL ? (p->tried[i / 64] & (UINT64_C(1) << (i % 64))) != 0 : p->first == i) {
        return NULL;
    }
    if (m->is_draining) {
        return "drain";
    }
    if (p->members->has_accounting && !wr_peer_is_healthy(m, now_ms)) {
        return "failed";
    }
    return wr_peer_is_full(m) ? "full" : NULL;
}

/* The peers that were passed over, and why. */
static void list_skipped(struct wr_up *u)
{
    const struct wr_picker *p = &u->picker;
    /* Where one was chosen from the primaries the backups were not looked at. */
    bool with_backups = p->tier != 0 || u->try->why.chosen == WR_CHOSEN_NONE;
    uint64_t now = wr_now_ms();
    unsigned cnt = 0;
    struct wr_strbuf b;

    wr_strbuf_init_arena(&b, u->req->arena, WHY_SKIPPED_LEN);
    for (uint32_t i = 0; i < p->members->cnt; i++) {
        const struct wr_member *m = &p->members->at[i];
        const struct wr_peer *peer = m->peer;
        const char *why = m->is_backup && !with_backups ? NULL : find_reason(p, i, now);

        if (why == NULL) {
            continue;
        }
        if (cnt++ < WHY_SKIPPED_MAX) {
            wr_strbuf_printf(&b, " -%.*s:%s", (int)peer->text_len, peer->text, why);
        }
    }
    if (cnt > WHY_SKIPPED_MAX) {
        wr_strbuf_printf(&b, " -%u_more", cnt - WHY_SKIPPED_MAX);
    }
    u->try->why.skipped = wr_strbuf_str(&b);
}

void wr_up_why_begin(struct wr_up *u, enum wr_up_chosen how)
{
    const struct wr_members *m = u->start.members;
    struct wr_up_why *w = &u->try->why;

    if (how == WR_CHOSEN_METHOD && m->cnt == 1) {
        how = WR_CHOSEN_ONLY;
    }
    w->chosen = (uint8_t)how;
    if (how != WR_CHOSEN_NONE) {
        w->method = m->lb->name;
        w->is_backup = u->slot.member->is_backup;
        w->is_probe = u->slot.is_probe;
    }
    if (how != WR_CHOSEN_SAME && wr_vars_records(u->req->http->vars)) {
        list_skipped(u);
    }
}

static uint32_t limit_of(const struct wr_up_conf *c, enum wr_cause cause)
{
    switch (cause) {
    case WR_CAUSE_CONNECT_TIMEOUT:
        return c->connect_timeout_ms;
    case WR_CAUSE_READ_TIMEOUT:
        return c->read_timeout_ms;
    case WR_CAUSE_SEND_TIMEOUT:
        return c->send_timeout_ms;
    case WR_CAUSE_NONE:
    case WR_CAUSE_OK:
    case WR_CAUSE_REFUSED:
    case WR_CAUSE_TLS:
    case WR_CAUSE_CLOSED:
    case WR_CAUSE_BAD_HEAD:
    case WR_CAUSE_BIG_HEAD:
    case WR_CAUSE_STATUS:
    case WR_CAUSE_TRUNCATED:
    case WR_CAUSE_CANCELED:
    case WR_CAUSE_OURS:
    case WR_CAUSE_CLIENT_BODY:
    case WR_CAUSE_DENIED:
        break;
    }
    return 0;
}

void wr_up_why_end(struct wr_up *u)
{
    const struct wr_attempt *a = &u->attempt;
    struct wr_up_why *w = &u->try->why;

    w->cause = a->cause;
    w->err = a->err;
    w->is_reused = a->is_reused;
    w->is_stale = a->cause == WR_CAUSE_CLOSED && a->is_reused && !a->got_bytes;
    w->idle_ms = a->idle_ms;
    w->limit_ms = limit_of(u->start.conf, (enum wr_cause)a->cause);
}

/* ---- words ---------------------------------------------------------------------------------- */

static void add_chosen(struct wr_strbuf *b, const struct wr_up_why *w)
{
    switch ((enum wr_up_chosen)w->chosen) {
    case WR_CHOSEN_METHOD:
        wr_strbuf_add_z(b, w->method);
        break;
    case WR_CHOSEN_ONLY:
        wr_strbuf_add_z(b, "only");
        break;
    case WR_CHOSEN_SAME:
        wr_strbuf_add_z(b, "same");
        break;
    case WR_CHOSEN_BOUND:
        wr_strbuf_add_z(b, "bound");
        break;
    case WR_CHOSEN_NONE:
        wr_strbuf_add_z(b, "none");
        break;
    }
    if (w->is_backup) {
        wr_strbuf_add_z(b, "+backup");
    }
    if (w->is_probe) {
        wr_strbuf_add_z(b, "+probe");
    }
}

static void add_cause(struct wr_strbuf *b, const struct wr_up_why *w)
{
    wr_strbuf_add_z(b, w->is_stale ? "stale" : cause_words[w->cause]);
    if (w->limit_ms % 1000 != 0) {
        wr_strbuf_printf(b, "=%ums", (unsigned)w->limit_ms);
    } else if (w->limit_ms != 0) {
        wr_strbuf_printf(b, "=%us", (unsigned)(w->limit_ms / 1000));
    } else if (w->err != 0) {
        wr_strbuf_printf(b, ":%d", w->err);
    }
}

static void add_end(struct wr_strbuf *b, const struct wr_up_try *t)
{
    const struct wr_up_why *w = &t->why;
    bool has_head = t->header_ms != UINT32_MAX;
    bool is_plain = w->cause == WR_CAUSE_OK || w->cause == WR_CAUSE_STATUS;

    if (has_head) {
        wr_strbuf_add_u64(b, t->status);
    }
    if (!has_head || (!is_plain && w->cause != WR_CAUSE_NONE)) {
        if (has_head) {
            wr_strbuf_add_char(b, '/');
        }
        add_cause(b, w);
    }
}

static void add_followed(struct wr_strbuf *b, const struct wr_up_why *w)
{
    if (!w->is_decided) {
        return;
    }
    switch ((enum wr_retry_action)w->action) {
    case WR_RETRY_NEXT:
        wr_strbuf_add_z(b, " >next");
        break;
    case WR_RETRY_SAME:
        wr_strbuf_add_z(b, " >same");
        break;
    case WR_RETRY_GIVE_UP:
        if (stop_words[w->stop][0] != '\0') {
            wr_strbuf_printf(b, " >stop:%s", stop_words[w->stop]);
        }
        break;
    }
}

static void add_try(struct wr_strbuf *b, const struct wr_up_try *t)
{
    const struct wr_up_why *w = &t->why;

    add_chosen(b, w);
    wr_strbuf_add_char(b, ' ');
    wr_strbuf_add_str(b, t->addr);
    if (w->chosen != WR_CHOSEN_NONE) {
        if (w->is_reused) {
            wr_strbuf_printf(b, " idle:%u.%03u ", (unsigned)(w->idle_ms / 1000),
                             (unsigned)(w->idle_ms % 1000));
        } else {
            wr_strbuf_add_z(b, " new ");
        }
        add_end(b, t);
        add_followed(b, w);
    }
    wr_strbuf_add_str(b, w->skipped);
}

struct wr_str wr_up_why_text(struct wr_req *r, size_t max)
{
    const struct wr_up_log *l = r->up_log;
    const struct wr_up_try *t = l == NULL ? NULL : l->first;
    struct wr_strbuf b;

    wr_strbuf_init_arena(&b, r->arena, max);
    for (; t != NULL; t = t->next) {
        if (t != l->first) {
            wr_strbuf_add_z(&b, t->after_redirect ? " : " : ", ");
        }
        add_try(&b, t);
    }
    return wr_strbuf_str(&b);
}

void wr_up_why_set_log(struct wr_up *u)
{
    if (!wr_log_is_on(&u->req->log, WR_LOG_ERROR)) {
        return;
    }
    if (u->try->why.skipped.len == 0 && u->try->why.chosen != WR_CHOSEN_SAME) {
        list_skipped(u);
    }
    u->req->up_why = wr_up_why_text(u->req, WHY_LOG_LEN);
}

void wr_up_why_clear_log(struct wr_up *u)
{
    u->req->up_why = WR_STR_NULL;
}
