/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stapling.c: see stapling.h. Each fixture is a task with a timer on the control thread's loop:
 *
 *   ask --> a good answer: given to clients until nextUpdate, asked again at half of that time
 *       --> anything else: said in the log, asked again in 1, 2, 4 ... 300 seconds; the answer of
 *           before is given until its own end, but not when the certificate has been revoked
 *
 * At most RUNNING_MAX questions at a time, so that a start with thousands of certificates is no
 * flood. A question ends by QUERY_MS.
 */
#include "http/stapling.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "conf/gen.h"
#include "event/loop.h"
#include "event/task.h"
#include "event/timer.h"
#include "http/resolver.h"

#define RUNNING_MAX   16u
#define QUERY_MS      30000u
#define WAIT_MS       100u /* for others to end */
#define RETRY_MIN_MS  1000u
#define RETRY_MAX_MS  300000u
#define REFRESH_MIN_S 1u
#define REFRESH_MAX_S 86400u
#define NO_NEXT_SEC   3600u /* how long an answer counts that does not say */
#define NAME_MAX_     4096u

struct stapling {
    struct wr_fixture fixture; /* first */
    struct wr_tls_staple *staple;
    struct wr_ocsp *q;
    struct wr_ocsp_to to; /* texts and addresses in the arena */
    struct wr_resolver *resolver;
    struct wr_str name;
    struct wr_task task;
    struct wr_timer timer;
    uint64_t ask_at_ms;
    struct wr_ocsp_query *query; /* NULL: none under way */
    unsigned fails;              /* in a row */
    struct wr_arena arena;
};

/* Rule zero: of the control thread, which alone asks. */
static unsigned running;

static void end_query(struct stapling *s)
{
    if (s->query) {
        wr_ocsp_query_end(&s->query);
        running--;
    }
}

static void free_stapling(struct wr_fixture *f)
{
    struct stapling *s = wr_container_of(f, struct stapling, fixture);

    end_query(s);
    wr_task_cancel(&s->task);
    wr_timer_fini(&s->timer);
    wr_tls_staple_unref(s->staple);
    wr_ocsp_free(s->q);
    if (s->resolver) {
        wr_fixture_unref(&s->resolver->fixture);
    }
    wr_arena_fini(&s->arena);
    wr_mem_free(s);
}

static const struct wr_fixture_ops stapling_ops = {.kind = "ssl_stapling", .free = free_stapling};

/* Seconds until the answer is asked for anew. */
static uint64_t refresh_sec(const struct wr_ocsp_answer *a)
{
    uint64_t life = a->life_sec != 0 ? a->life_sec : NO_NEXT_SEC;

    return WR_MIN(WR_MAX(life / 2, (uint64_t)REFRESH_MIN_S), (uint64_t)REFRESH_MAX_S);
}

static uint64_t retry_ms(unsigned fails)
{
    return fails > 8 ? RETRY_MAX_MS
                     : WR_MIN((uint64_t)RETRY_MIN_MS << (fails - 1), (uint64_t)RETRY_MAX_MS);
}

static void ask_in(struct stapling *s, uint64_t ms)
{
    s->ask_at_ms = wr_now_ms() + ms;
    wr_timer_arm(&s->timer, s->ask_at_ms);
}

static void note_failure(struct stapling *s)
{
    s->fails += s->fails < UINT32_MAX;
    ask_in(s, retry_ms(s->fails));
}

static void tell(const struct stapling *s, struct wr_str text)
{
    wr_log(NULL, WR_LOG_ERROR, "%.*s, certificate: \"%.*s\"", WR_STR_ARG(text),
           WR_STR_ARG(s->name));
}

/* Of a certificate that is not good. */
static void withhold(struct stapling *s, const struct wr_ocsp_answer *a)
{
    (void)!wr_tls_staple_set(s->staple, WR_STR("-"), 0); /* without memory it ends by itself */
    wr_log(NULL, WR_LOG_ERROR,
           "certificate status \"%s\" in the OCSP response while requesting certificate status, "
           "responder: %.*s, certificate: \"%.*s\"",
           a->says == WR_OCSP_REVOKED ? "revoked" : "unknown", WR_STR_ARG(s->to.host),
           WR_STR_ARG(s->name));
    note_failure(s);
}

static void take_answer(struct stapling *s)
{
    struct wr_ocsp_answer a;
    struct wr_str der;
    enum wr_status st = wr_ocsp_query_get(s->query, &a, &der);
    uint64_t life;

    if (st == WR_AGAIN) {
        return;
    }
    if (st != WR_OK) {
        tell(s, wr_ocsp_query_error(s->query));
        note_failure(s);
    } else if (a.says != WR_OCSP_GOOD) {
        withhold(s, &a);
    } else {
        life = a.life_sec != 0 ? a.life_sec : NO_NEXT_SEC;
        if (wr_tls_staple_set(s->staple, der, wr_now_ms() + life * 1000) != WR_OK) {
            note_failure(s);
        } else {
            s->fails = 0;
            ask_in(s, refresh_sec(&a) * 1000);
        }
    }
    end_query(s);
}

static void ask(struct stapling *s)
{
    struct wr_dns *dns = s->resolver ? s->resolver->dns : NULL;

    if (running >= RUNNING_MAX) {
        ask_in(s, WAIT_MS);
        return;
    }
    if (wr_ocsp_query_start(s->q, &s->to, dns, wr_now_ms() + QUERY_MS, &s->task, &s->query) !=
        WR_OK) {
        note_failure(s);
        return;
    }
    running++;
    take_answer(s); /* one that failed at once wakes nobody */
}

static void run_stapling(struct wr_task *t)
{
    struct stapling *s = wr_container_of(t, struct stapling, task);

    if (s->query) {
        take_answer(s);
    } else if (wr_deadline_is_due(s->ask_at_ms, wr_now_ms())) {
        ask(s);
    }
}

/* ---- making one ------------------------------------------------------------------------------ */

static enum wr_status copy_responder(struct stapling *s, const struct wr_ocsp_to *to)
{
    struct wr_str url = WR_STR_NULL, what;
    const char *err = "";

    if (wr_arena_dup(&s->arena, to->url, &url) != WR_OK ||
        wr_ocsp_to_parse(url, &s->to, &err, &what) != WR_OK) {
        return WR_ENOMEM; /* it was parsed before */
    }
    s->to.addrs = wr_arena_zalloc(&s->arena, (to->addr_cnt + 1) * sizeof(*s->to.addrs));
    if (!s->to.addrs) {
        return WR_ENOMEM;
    }
    for (size_t i = 0; i < to->addr_cnt; i++) {
        s->to.addrs[i] = to->addrs[i];
    }
    s->to.addr_cnt = to->addr_cnt;
    return WR_OK;
}

/* q is taken. */
static struct stapling *make(const struct wr_stapling_opts *o)
{
    struct stapling *s = wr_mem_alloc(sizeof(*s));

    wr_arena_init(&s->arena, 1u << 20);
    wr_task_init(&s->task, run_stapling, "ssl_stapling");
    wr_timer_init(&s->timer, &s->task);
    s->q = o->q;
    s->resolver = o->resolver && o->resolver->dns ? o->resolver : NULL;
    if (s->resolver) {
        wr_fixture_ref(&s->resolver->fixture);
    }
    s->staple = wr_tls_staple_new();
    if (!s->staple || copy_responder(s, o->to) != WR_OK ||
        wr_arena_dup(&s->arena, o->name, &s->name) != WR_OK) {
        free_stapling(&s->fixture);
        return NULL;
    }
    return s;
}

/* All that must be equal for a response to be used further. */
static void write_name(const struct wr_stapling_opts *o, struct wr_strbuf *b)
{
    unsigned char key[WR_OCSP_KEY_LEN];

    wr_ocsp_write_key(o->q, key);
    wr_codec_hex(b, wr_str((const char *)key, sizeof(key)));
    wr_strbuf_add_char(b, ' ');
    wr_strbuf_add_str(b, o->to->url);
    if (o->resolver) {
        wr_strbuf_add_char(b, ' ');
        wr_strbuf_add_str(b, o->resolver->fixture.name);
    }
}

enum wr_status wr_stapling_use(struct wr_conf *cf, struct wr_tls_ctx *c, uint32_t no,
                               const struct wr_stapling_opts *o)
{
    char room[NAME_MAX_];
    struct wr_strbuf b;
    struct wr_fixture *f;
    struct stapling *s;

    if (cf->opts->fixtures == NULL || wr_loop_get() == NULL) {
        wr_ocsp_free(o->q);
        return WR_OK;
    }
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    write_name(o, &b);
    f = wr_fixtures_get(cf->opts->fixtures, &stapling_ops, wr_strbuf_str(&b), o->trust);
    if (f != NULL) {
        wr_ocsp_free(o->q);
        s = wr_container_of(f, struct stapling, fixture);
    } else {
        s = make(o);
        if (!s) {
            return WR_ENOMEM;
        }
        if (wr_fixtures_add(cf->opts->fixtures, &s->fixture, &stapling_ops, wr_strbuf_str(&b),
                            o->trust) != WR_OK) {
            free_stapling(&s->fixture);
            return WR_ENOMEM;
        }
        ask_in(s, 0);
        wr_task_wake(&s->task);
    }
    wr_tls_ctx_set_staple(c, no, s->staple);
    return wr_gen_use(cf->gen, &s->fixture);
}
