/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep.c: the requests of keep-alive clients and of visitors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "users.h"

struct ask {
    unsigned share;
    bool is_rough; /* only where it was asked for */
    void (*run)(struct user *u);
};

static struct want *add_want(struct user *u, int status, enum body body)
{
    struct want *w = &u->wants[u->want_cnt++];

    *w = (struct want){.status = status, .body = body};
    return w;
}

static void set_target(struct user *u, const char *method, const char *path)
{
    (void)snprintf(u->target, sizeof(u->target), "%s %s", method, path);
}

static void add_get(struct user *u, const char *method, const char *path, const char *fields)
{
    set_target(u, method, path);
    conn_addf(&u->c, "%s %s HTTP/1.1\r\nHost: traffic\r\n%s\r\n", method, path, fields);
}

static struct want *want_pattern(struct user *u, uint64_t seed, uint64_t size)
{
    struct want *w = add_want(u, 200, BODY_PATTERN);

    w->seed = seed;
    w->size = size;
    return w;
}

/* A GET of a body of the pattern, at /FORM/SEED/SIZE. */
static struct want *ask_body(struct user *u, const char *form, uint64_t size)
{
    uint64_t seed = random_below(1000);
    char path[80];

    (void)snprintf(path, sizeof(path), "/%s/%llu/%llu", form, (unsigned long long)seed,
                   (unsigned long long)size);
    add_get(u, "GET", path, "");
    return want_pattern(u, seed, size);
}

static void ask_small(struct user *u)
{
    ask_body(u, "b", random_below(4000))->is_timed = true;
}

static void ask_chunked(struct user *u)
{
    (void)ask_body(u, "c", random_below(60000));
}

static void ask_big(struct user *u)
{
    (void)ask_body(u, random_below(2) ? "b" : "c", 100000 + random_below(400000));
}

static void ask_late(struct user *u)
{
    char form[24];

    (void)snprintf(form, sizeof(form), "late/%u", (unsigned)random_below(200));
    (void)ask_body(u, form, random_below(20000));
}

static void ask_pipelined(struct user *u)
{
    for (int i = 0; i < 3; i++) {
        (void)ask_body(u, i == 1 ? "c" : "b", random_below(3000));
    }
}

static void ask_close(struct user *u)
{
    add_get(u, "GET", "/b/5/3000", "Connection: close\r\n");
    want_pattern(u, 5, 3000)->ends_conn = true;
}

static void ask_head(struct user *u)
{
    add_get(u, "HEAD", "/b/1/5000", "");
    want_pattern(u, 1, 0)->is_head = true;
}

static void ask_static(struct user *u)
{
    static const uint64_t sizes[] = {10, 5000, 300000}; /* of the files that main() made */
    unsigned i = (unsigned)random_below(3);
    char path[80];

    (void)snprintf(path, sizeof(path), "/s/%u.bin", i);
    add_get(u, "GET", path, "");
    want_pattern(u, i, sizes[i])->is_timed = true;
}

static void ask_which(struct user *u)
{
    add_get(u, "GET", "/which", "");
    add_want(u, 200, BODY_NUMBER)->is_timed = true;
}

static void ask_missing(struct user *u)
{
    add_get(u, "GET", "/nowhere", "");
    (void)snprintf(add_want(u, 404, BODY_TEXT)->text, TEXT_MAX, "none");
}

static void post(struct user *u, uint64_t size, bool is_chunked)
{
    uint64_t seed = random_below(1000);
    char path[80];

    (void)snprintf(path, sizeof(path), "/up/%llu/%llu", (unsigned long long)seed,
                   (unsigned long long)size);
    set_target(u, "POST", path);
    conn_addf(&u->c, "POST %s HTTP/1.1\r\nHost: traffic\r\n", path);
    if (is_chunked) {
        conn_addf(&u->c, "Transfer-Encoding: chunked\r\n\r\n");
    } else {
        conn_addf(&u->c, "Content-Length: %llu\r\n\r\n", (unsigned long long)size);
    }
    conn_add_body(&u->c, seed, size, is_chunked);
    (void)snprintf(add_want(u, 200, BODY_TEXT)->text, TEXT_MAX, "ok %llu",
                   (unsigned long long)size);
    stats.up_bytes += size;
}

static void ask_post(struct user *u)
{
    post(u, random_below(8) ? random_below(5000) : random_below(300000), false);
}

static void ask_post_chunked(struct user *u)
{
    post(u, random_below(100000), true);
}

/* --- rough --- */

static void ask_cancelled(struct user *u)
{
    (void)ask_body(u, random_below(2) ? "b" : "c", 3000000);
    u->is_cancel = true;
}

static void ask_late_cancelled(struct user *u)
{
    ask_late(u);
    u->is_cancel = true;
}

static void ask_bad(struct user *u)
{
    static const char *const heads[] = {
        "GET /b/1/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /b/1/1 HTTP/1.1\r\nHost : a\r\n\r\n",
        "POST /up/1/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET /b/1/1 HTTP/1.1\r\n\r\n",
    };
    const char *head = heads[random_below(4)];

    set_target(u, "bad", "request");
    conn_add(&u->c, head, strlen(head));
    add_want(u, 400, BODY_ANY)->ends_conn = true;
}

static void ask_cut(struct user *u)
{
    add_get(u, "GET", "/cut/1", "");
    (void)add_want(u, 502, BODY_ANY);
}

static const struct ask asks[] = {
    {24, false, ask_small         },
    {16, false, ask_chunked       },
    {3,  false, ask_big           },
    {12, false, ask_post          },
    {6,  false, ask_post_chunked  },
    {4,  false, ask_head          },
    {10, false, ask_static        },
    {8,  false, ask_which         },
    {6,  false, ask_late          },
    {4,  false, ask_pipelined     },
    {3,  false, ask_missing       },
    {3,  false, ask_close         },
    {2,  true,  ask_cancelled     },
    {2,  true,  ask_late_cancelled},
    {3,  true,  ask_bad           },
    {3,  true,  ask_cut           },
};

void keep_ask(struct user *u)
{
    const size_t cnt = sizeof(asks) / sizeof(asks[0]);
    unsigned total = 0, at;

    if (u->kind == VISIT) {
        ask_small(u);
        return;
    }
    for (size_t i = 0; i < cnt; i++) {
        total += !asks[i].is_rough || options.is_rough ? asks[i].share : 0;
    }
    at = (unsigned)random_below(total);
    for (size_t i = 0; i < cnt; i++) {
        if (asks[i].is_rough && !options.is_rough) {
            continue;
        }
        if (at < asks[i].share) {
            asks[i].run(u);
            return;
        }
        at -= asks[i].share;
    }
}

static void note_latency(uint64_t us)
{
    unsigned i = 0;
    uint64_t v = us;

    if (us > stats.latency_max_us) {
        stats.latency_max_us = us;
    }
    while (v >= 16) {
        v >>= 1;
        i += 8;
    }
    i += v >= 8 ? (unsigned)(v - 8) : 0;
    stats.latency[i < 159 ? i : 159]++;
}

void keep_note_answer(struct user *u)
{
    const struct want *w = &u->wants[u->want_at];

    stats.requests++;
    stats.visits += u->kind == VISIT;
    if (w->is_timed) {
        note_latency(clock_us() - u->sent_us);
    }
    if (w->body == BODY_PATTERN) {
        stats.down_bytes += u->got;
    } else if (w->body == BODY_NUMBER) {
        uint64_t no;

        u->text[u->text_len] = '\0';
        no = u->text[0] == 'g' ? strtoull(u->text + 1, NULL, 10) : 0;
        if (no == 0) {
            note_fault(u, FAULT_BODY, "no generation");
        } else if (no > stats.generation) {
            stats.generation = no;
        }
    }
}
