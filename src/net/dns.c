/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns.c: see dns.h. c-ares builds questions, chooses servers, repeats, goes over to TCP when an
 * answer is cut, and throws away what does not belong to a question; it makes the calls on its own
 * sockets. We tell it when a socket is ready (event/watch.h) and what time it is, and keep what it
 * reads. A server that says it failed is no end: the next one is asked, so that the reason of the
 * last is known; the library goes on by itself only where none answers. Hence a channel a server,
 * each with the servers in an order of its own.
 *
 *   wr_dns -- names: map of struct entry {answer, asks that wait, running look-up}
 *          -- lru: entries, least recently used first, with a second chance
 *
 * The map and each entry's `answer` are read by any thread under `lock` and written by the owner;
 * all else is the owner's alone. An ask travels as a mail: home -> owner -> home. Who changes its
 * `state` first decides: GIVEN_UP (by its thread), and the owner frees it when it comes across it;
 * ANSWERED (by the owner), and it goes home, where it is freed. So nothing is sent to a thread that
 * has no asks left.
 */
#include "net/dns.h"

#include <string.h>
#include <sys/time.h>

#define CARES_NO_DEPRECATED 1
#include <ares.h>

#include "base/chars.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/stat.h"
#include "event/mailbox.h"
#include "event/poll.h"
#include "event/timer.h"
#include "event/watch.h"

#define DNS_MAGIC     0x646e7373u
#define TRY_MS        2000 /* then 4, 8 and 16 seconds */
#define TRIES         4
#define NEGATIVE_MS   10000 /* where the answer does not say how long there is none */
#define NEGATIVE_MAX  300u  /* seconds */
#define MUTE_MS       10000
#define GRACE_MS      1000 /* for the other family, once one has addresses */
#define FAILURE_MS    1000 /* a server that fails is not asked again at once */
#define KEY_MAX       (WR_DNS_NAME_MAX + 1)
#define SOCKETS_BATCH 32
#define ROUNDS_MAX    64 /* looks at the sockets in one run */
#define BURST_MAX     64 /* look-ups that begin in ... */
#define BURST_MS      20 /* ... in this time, as a server's socket holds some hundred questions */

struct entry {
    struct wr_list lru;
    struct wr_list waiting; /* of wr_dns_ask */
    struct wr_list queue;   /* dns.queue, until its look-up begins */
    struct wr_list partial; /* dns.partials, when one family has come and the other has not */
    uint64_t partial_at_ms; /* ... until then it is waited for */
    struct query *queries[2];
    const struct wr_dns_answer *answer;
    struct wr_dns_answer *coming; /* being put together */
    uint64_t ttl_s;               /* least of `coming` */
    uint64_t negative_s;          /* of the answers without records; UINT64_MAX: not said */
    unsigned pending;             /* questions, and one while they are being sent */
    wr_atomic_u32 is_used;        /* since the eviction looked last */
    uint16_t failure;             /* enum wr_dns_why: the worst of the questions */
    uint8_t kind;
    uint8_t key_len;
    char key[KEY_MAX + 1]; /* kind, lower-case name */
};

/* The library with the servers in an order of its own: the one of this number first. */
struct channel {
    struct wr_dns *dns;
    ares_channel ares;
    uint64_t mute_until_ms; /* its first server did not answer: others begin */
    uint32_t no;
};

struct wr_dns {
    uint32_t magic;
    uint32_t refs;      /* owner thread */
    wr_atomic_u32 asks; /* on their way to us: each is a reference */
    struct wr_dns_conf conf;
    struct wr_mailbox *mailbox;
    struct wr_mutex lock; /* names, entry.answer */
    struct wr_map names;
    struct wr_list lru;
    struct channel channels[WR_DNS_SERVERS_MAX]; /* one a server */
    uint32_t turn;                               /* whose turn it is */
    struct wr_watch watch;
    struct wr_io io; /* the watch */
    struct wr_task task;
    struct wr_timer timer;
    uint64_t query_cnt;
    struct wr_list queue;              /* entries whose look-up is to begin */
    uint64_t burst_until_ms;           /* of those that began lately ... */
    uint32_t burst_cnt;                /* ... so many */
    struct wr_list partials;           /* entries, in the order in which their time comes */
    uint32_t stray_cnt;                /* queries without entry */
    uint32_t running_cnt, waiting_cnt; /* look-ups, queued ones too; asks that wait */
    bool has_more;                     /* sockets were left unserved */
    bool is_ending;
};

struct query {
    struct wr_dns *dns;
    struct entry *entry; /* NULL: its look-up ended without it */
    enum wr_dns_type type;
    uint32_t channel, tries, used; /* where it begins; channels it was given to; the last one */
};

enum ask_state {
    ASK_WAITS,
    ASK_ANSWERED,
    ASK_GIVEN_UP
};

struct wr_dns_ask {
    struct wr_mail mail; /* to the owner, and home with the answer */
    struct wr_list node; /* entry.waiting; owner */
    struct wr_dns *dns;  /* until the owner has seen it */
    struct wr_mailbox *home;
    const struct wr_dns_answer *answer; /* the owner's until it is home */
    struct wr_task *task;
    wr_atomic_u32 state; /* enum ask_state */
    bool is_here;        /* home with the answer */
    bool is_unwanted;    /* answered, but nobody waits at home */
    uint8_t kind, key_len;
    char key[KEY_MAX + 1];
};

static const struct wr_dns_answer no_memory = {._refs = 1, .why = WR_DNS_NO_MEMORY};
static const struct wr_dns_answer too_many = {._refs = 1, .why = WR_DNS_TOO_MANY};
static const struct wr_dns_answer bad_name = {._refs = 1, .why = WR_DNS_FORMAT};
static const struct wr_dns_answer canceled = {._refs = 1, .why = WR_DNS_CANCELED};

const char *wr_dns_why_text(unsigned why)
{
    static const struct {
        uint16_t why;
        const char *text;
    } texts[] = {
        {WR_DNS_FORMAT,          "Format error"       },
        {WR_DNS_SERVER,          "Server failure"     },
        {WR_DNS_NOT_FOUND,       "Host not found"     },
        {WR_DNS_NOT_IMPLEMENTED, "Unimplemented"      },
        {WR_DNS_REFUSED,         "Operation refused"  },
        {WR_DNS_NO_MEMORY,       "Out of memory"      },
        {WR_DNS_TOO_MANY,        "Too many look-ups"  },
        {WR_DNS_TIMED_OUT,       "Operation timed out"},
        {WR_DNS_NO_SERVER,       "Connection refused" },
        {WR_DNS_CANCELED,        "Operation canceled" },
    };

    size_t i;

    for (i = 0; i < WR_ARRAY_LEN(texts); i++) {
        if (texts[i].why == why) {
            return texts[i].text;
        }
    }
    return "unknown";
}

/* --- answers --- */

static bool is_static(const struct wr_dns_answer *a)
{
    return a == &no_memory || a == &too_many || a == &bad_name || a == &canceled;
}

static const struct wr_dns_answer *ref_answer(const struct wr_dns_answer *a)
{
    if (!is_static(a)) {
        wr_add_rlx((wr_atomic_u32 *)(uintptr_t)&a->_refs, 1);
    }
    return a;
}

static void free_answer(struct wr_dns_answer *a)
{
    wr_mem_free(a->addrs);
    wr_mem_free(a->srvs);
    wr_mem_free(a);
}

void wr_dns_answer_unref(const struct wr_dns_answer *a)
{
    if (a == NULL || is_static(a)) {
        return;
    }
    if (wr_sub_acqrel((wr_atomic_u32 *)(uintptr_t)&a->_refs, 1) == 1) {
        free_answer((struct wr_dns_answer *)(uintptr_t)a);
    }
}

/* The key of a name: its kind and its lower-case form. False: no name can be like that. */
static bool make_key(enum wr_dns_kind kind, struct wr_str name, char *ret, uint8_t *ret_len)
{
    size_t i;

    if (name.len > 1 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    if (name.len == 0 || name.len > WR_DNS_NAME_MAX) {
        return false;
    }
    ret[0] = kind == WR_DNS_ADDRS ? 'a' : 's';
    for (i = 0; i < name.len; i++) {
        uint8_t ch = (uint8_t)name.ptr[i];

        if (ch <= ' ' || ch >= 0x7f || ch == '\\') {
            return false; /* a backslash would begin an escape of the library's */
        }
        ret[1 + i] = (char)wr_char_lower[ch];
    }
    ret[1 + i] = '\0';
    *ret_len = (uint8_t)(1 + i);
    return true;
}

const struct wr_dns_answer *wr_dns_get(struct wr_dns *d, enum wr_dns_kind kind, struct wr_str name)
{
    const struct wr_dns_answer *a = NULL;
    char key[KEY_MAX + 1];
    uint8_t key_len;
    struct entry *e;

    if (!make_key(kind, name, key, &key_len)) {
        return &bad_name;
    }
    wr_mutex_lock(&d->lock);
    e = wr_map_get(&d->names, wr_str(key, key_len));
    if (e != NULL && e->answer != NULL && wr_now_ms() < e->answer->until_ms) {
        wr_store_rlx(&e->is_used, 1);
        a = ref_answer(e->answer);
    }
    wr_mutex_unlock(&d->lock);
    return a;
}

/* --- asking: the asker's thread --- */

static void free_ask(struct wr_dns_ask *a)
{
    wr_dns_answer_unref(a->answer);
    wr_mem_free(a);
}

static void run_answered(struct wr_mail *m)
{
    struct wr_dns_ask *a = wr_container_of(m, struct wr_dns_ask, mail);

    if (a->is_unwanted) {
        free_ask(a);
        return;
    }
    a->is_here = true;
    wr_task_wake(a->task);
}

/* Owner thread. */
static void send_home(struct wr_dns_ask *a, const struct wr_dns_answer *answer)
{
    uint32_t state = ASK_WAITS;

    a->answer = ref_answer(answer);
    a->mail.run = run_answered;
    while (state == ASK_WAITS && !wr_cas_acqrel(&a->state, &state, ASK_ANSWERED)) {
    }
    if (state == ASK_GIVEN_UP) {
        free_ask(a);
        return;
    }
    wr_mailbox_post(a->home, &a->mail);
}

static void run_ask(struct wr_mail *m);

enum wr_status wr_dns_start(struct wr_dns *d, enum wr_dns_kind kind, struct wr_str name,
                            struct wr_task *task, struct wr_dns_ask **ret)
{
    struct wr_dns_ask *a = wr_run_zalloc(sizeof(*a));

    if (a == NULL) {
        return WR_ENOMEM;
    }
    wr_list_init(&a->node);
    a->home = wr_mailbox_of_loop();
    a->task = task;
    a->kind = (uint8_t)kind;
    *ret = a;
    if (!make_key(kind, name, a->key, &a->key_len)) {
        a->answer = &bad_name;
        a->is_here = true;
        wr_task_wake(task);
        return WR_OK;
    }
    /* The owner takes it back when it has seen the mail. */
    wr_add_acqrel(&d->asks, 1);
    a->dns = d;
    a->mail.run = run_ask;
    wr_mailbox_post(d->mailbox, &a->mail);
    return WR_OK;
}

const struct wr_dns_answer *wr_dns_result(const struct wr_dns_ask *a)
{
    return a->is_here ? a->answer : NULL;
}

void wr_dns_end(struct wr_dns_ask **pa)
{
    struct wr_dns_ask *a = wr_take(pa);
    uint32_t state = ASK_WAITS;

    if (a == NULL) {
        return;
    }
    if (a->is_here) {
        free_ask(a);
        return;
    }
    while (state == ASK_WAITS && !wr_cas_acqrel(&a->state, &state, ASK_GIVEN_UP)) {
    }
    if (state == ASK_ANSWERED) {
        a->is_unwanted = true; /* its mail is on the way */
    }
}

/* --- entries: the owner's thread --- */

static void free_entry(struct entry *e)
{
    wr_dns_answer_unref(e->answer);
    if (e->coming != NULL) {
        free_answer(e->coming);
    }
    wr_mem_free(e);
}

static struct wr_str key_of(const struct entry *e)
{
    return wr_str(e->key, e->key_len);
}

/* Makes room for one more; false: all are being looked up. */
static bool evict(struct wr_dns *d)
{
    struct wr_list *n;
    struct entry *e;
    size_t looked;

    for (looked = 0; looked < 2 * (size_t)WR_DNS_NAMES_MAX; looked++) {
        n = wr_list_pop(&d->lru);
        if (n == NULL) {
            return false;
        }
        e = wr_container_of(n, struct entry, lru);
        if (e->pending != 0 || wr_load_rlx(&e->is_used) != 0) {
            wr_store_rlx(&e->is_used, 0);
            wr_list_push(&d->lru, &e->lru);
            continue;
        }
        wr_mutex_lock(&d->lock);
        (void)wr_map_remove(&d->names, key_of(e));
        wr_mutex_unlock(&d->lock);
        free_entry(e);
        return true;
    }
    return false;
}

static struct entry *get_entry(struct wr_dns *d, const struct wr_dns_ask *a)
{
    struct entry *e = wr_map_get(&d->names, wr_str(a->key, a->key_len));

    if (e != NULL) {
        return e;
    }
    if (d->names.cnt >= WR_DNS_NAMES_MAX && !evict(d)) {
        return NULL;
    }
    e = wr_run_zalloc(sizeof(*e));
    if (e == NULL) {
        return NULL;
    }
    wr_list_init(&e->lru);
    wr_list_init(&e->waiting);
    wr_list_init(&e->queue);
    wr_list_init(&e->partial);
    e->kind = a->kind;
    e->key_len = a->key_len;
    memcpy(e->key, a->key, (size_t)a->key_len + 1);
    wr_list_push(&d->lru, &e->lru);
    wr_mutex_lock(&d->lock);
    (void)wr_map_put(&d->names, key_of(e), e);
    wr_mutex_unlock(&d->lock);
    return e;
}

static void answer_all(struct wr_dns *d, struct entry *e, const struct wr_dns_answer *answer)
{
    struct wr_list *n;

    while ((n = wr_list_pop(&e->waiting)) != NULL) {
        d->waiting_cnt--;
        send_home(wr_container_of(n, struct wr_dns_ask, node), answer);
    }
}

/* How long what came may be used. */
static uint64_t life_ms(const struct wr_dns *d, const struct entry *e, unsigned why)
{
    if (why == WR_DNS_FOUND) {
        return d->conf.valid_ms != 0 ? d->conf.valid_ms : e->ttl_s * 1000;
    }
    if (why != WR_DNS_NOT_FOUND) {
        return FAILURE_MS;
    }
    if (d->conf.valid_ms != 0) {
        return d->conf.valid_ms;
    }
    return e->negative_s == UINT64_MAX ? NEGATIVE_MS : WR_MIN(e->negative_s, NEGATIVE_MAX) * 1000;
}

/* The last question was answered. */
static void finish(struct wr_dns *d, struct entry *e)
{
    struct wr_dns_answer *a = wr_take(&e->coming);
    const struct wr_dns_answer *old;

    d->running_cnt--;
    wr_list_remove(&e->partial);
    if (d->is_ending) {
        free_answer(a);
        answer_all(d, e, &canceled);
        return;
    }
    a->why = a->addr_cnt + a->srv_cnt > 0 ? WR_DNS_FOUND : e->failure;
    a->until_ms = wr_now_ms() + life_ms(d, e, a->why);
    if (a->why != WR_DNS_FOUND) {
        wr_stat_inc(WR_CNT_DNS_FAILED);
    }
    wr_store_rlx(&a->_refs, 1);
    wr_mutex_lock(&d->lock);
    old = e->answer;
    e->answer = a;
    wr_mutex_unlock(&d->lock);
    wr_dns_answer_unref(old);
    answer_all(d, e, a);
}

static void drop_pending(struct wr_dns *d, struct entry *e)
{
    if (--e->pending == 0) {
        finish(d, e);
    }
}

/* --- the library --- */

static uint16_t why_of(int status)
{
    switch (status) {
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
        return WR_DNS_NOT_FOUND;
    case ARES_EFORMERR:
    case ARES_EBADQUERY:
    case ARES_EBADNAME:
        return WR_DNS_FORMAT;
    case ARES_ENOTIMP:
        return WR_DNS_NOT_IMPLEMENTED;
    case ARES_EREFUSED:
        return WR_DNS_REFUSED;
    case ARES_ECONNREFUSED:
        return WR_DNS_NO_SERVER;
    case ARES_ETIMEOUT:
        return WR_DNS_TIMED_OUT;
    case ARES_ENOMEM:
        return WR_DNS_NO_MEMORY;
    default: /* numbers of a library */
        return WR_DNS_SERVER;
    }
}

static enum wr_status add_addrs(struct entry *e, struct wr_dns_bytes b, enum wr_dns_type type)
{
    struct wr_addr at[WR_DNS_RECORDS_MAX], *room;
    struct wr_dns_answer *a = e->coming;
    size_t cnt = 0, first = 0;
    uint32_t ttl = 0;
    enum wr_status st = wr_dns_msg_addrs(b, type, at, WR_DNS_RECORDS_MAX, &cnt, &ttl);

    if (st != WR_OK) {
        return st;
    }
    room = wr_run_realloc(a->addrs, (a->addr_cnt + cnt) * sizeof(*room));
    if (room == NULL) {
        return WR_ENOMEM;
    }
    a->addrs = room;
    if (type == WR_DNS_A) {
        /* Whichever answer came first. */
        memmove(room + cnt, room, a->addr_cnt * sizeof(*room));
    } else {
        first = a->addr_cnt;
    }
    memcpy(room + first, at, cnt * sizeof(*room));
    a->addr_cnt += (uint32_t)cnt;
    e->ttl_s = WR_MIN(e->ttl_s, ttl);
    return WR_OK;
}

static enum wr_status add_srvs(struct entry *e, struct wr_dns_bytes b)
{
    struct wr_dns_srv *at = wr_run_zalloc(WR_DNS_RECORDS_MAX * sizeof(*at));
    size_t cnt = 0;
    uint32_t ttl = 0;
    enum wr_status st;

    if (at == NULL) {
        return WR_ENOMEM;
    }
    st = wr_dns_msg_srvs(b, at, WR_DNS_RECORDS_MAX, &cnt, &ttl);
    if (st != WR_OK) {
        wr_mem_free(at);
        return st;
    }
    e->coming->srvs = at;
    e->coming->srv_cnt = (uint32_t)cnt;
    e->ttl_s = WR_MIN(e->ttl_s, ttl);
    return WR_OK;
}

/* A failure says more than "not found" of the other family. */
static void note_failure(struct entry *e, uint16_t why)
{
    if (e->failure == WR_DNS_FOUND || e->failure == WR_DNS_NOT_FOUND) {
        e->failure = why;
    }
}

static void note_negative(struct entry *e, struct wr_dns_bytes b)
{
    uint32_t ttl;

    note_failure(e, WR_DNS_NOT_FOUND);
    if (b.at != NULL && wr_dns_msg_negative_ttl(b, &ttl) == WR_OK) {
        e->negative_s = WR_MIN(e->negative_s, ttl);
    }
}

/* Some servers never answer questions of AAAA: what has come is enough then. */
static void note_partial(struct wr_dns *d, struct entry *e)
{
    if (e->pending > 1 && wr_list_is_empty(&e->partial)) {
        e->partial_at_ms = wr_now_ms() + GRACE_MS;
        wr_list_push(&d->partials, &e->partial);
    }
}

/* Ends look-ups whose other family is too late; the library goes on for itself. */
static void serve_partials(struct wr_dns *d)
{
    struct entry *e;
    size_t i;

    while (!wr_list_is_empty(&d->partials)) {
        e = wr_container_of(d->partials.next, struct entry, partial);
        if (wr_now_ms() < e->partial_at_ms) {
            return;
        }
        wr_list_remove(&e->partial);
        if (d->stray_cnt >= WR_DNS_RUNNING_MAX) {
            continue; /* then it is waited for */
        }
        for (i = 0; i < WR_ARRAY_LEN(e->queries); i++) {
            if (e->queries[i] != NULL) {
                wr_take(&e->queries[i])->entry = NULL;
                d->stray_cnt++;
            }
        }
        e->pending = 0;
        finish(d, e);
    }
}

static void take_reply(struct query *q, int status, struct wr_dns_bytes b)
{
    struct entry *e = q->entry;
    enum wr_status st;

    if (status != ARES_SUCCESS) {
        if (why_of(status) == WR_DNS_NOT_FOUND) {
            note_negative(e, b);
        } else {
            note_failure(e, why_of(status));
        }
        return;
    }
    st = q->type == WR_DNS_SRV ? add_srvs(e, b) : add_addrs(e, b, q->type);
    if (st == WR_OK) {
        note_partial(q->dns, e);
    } else if (st == WR_EOF) {
        note_negative(e, b); /* an alias of nothing */
    } else {
        note_failure(e, st == WR_ENOMEM ? WR_DNS_NO_MEMORY : WR_DNS_FORMAT);
    }
}

static void on_reply(void *data, int status, int timeouts, unsigned char *buf, int len);

static void send_query(struct query *q)
{
    struct wr_dns *d = q->dns;
    uint32_t no = (q->channel + q->tries) % (uint32_t)d->conf.server_cnt;

    q->used = no;
    q->tries++;
    d->query_cnt++;
    wr_stat_inc(WR_CNT_DNS_QUESTIONS);
    ares_query(d->channels[no].ares, q->entry->key + 1, 1, (int)q->type, on_reply, q);
}

/* From within a call of ours to the library. */
static void on_reply(void *data, int status, int timeouts, unsigned char *buf, int len)
{
    struct query *q = data;
    struct wr_dns_bytes b = {buf, buf != NULL && len > 0 ? (size_t)len : 0};
    bool is_servers = status == ARES_ESERVFAIL || status == ARES_EREFUSED ||
                      status == ARES_ENOTIMP || status == ARES_EFORMERR;

    if (timeouts > 0) {
        q->dns->channels[q->used].mute_until_ms = wr_now_ms() + MUTE_MS;
    }
    if (q->entry == NULL) {
        q->dns->stray_cnt--;
        wr_mem_free(q);
        return;
    }
    if (is_servers && q->tries < q->dns->conf.server_cnt && !q->dns->is_ending) {
        send_query(q);
        return;
    }
    q->entry->queries[q->type == WR_DNS_AAAA] = NULL;
    take_reply(q, status, b);
    drop_pending(q->dns, q->entry);
    wr_mem_free(q);
}

static void on_socket(void *data, ares_socket_t fd, int in, int out)
{
    const struct channel *c = data;
    unsigned want = (in != 0 ? WR_WATCH_IN : 0u) | (out != 0 ? WR_WATCH_OUT : 0u);

    /* Refused by the kernel: the library's own timeout ends the question. */
    (void)!wr_watch_want(&c->dns->watch, fd, (uint64_t)c->no << 32 | (uint32_t)fd, want);
}

/* When the library wants to be asked again, or the queue may move. */
static void arm(struct wr_dns *d)
{
    struct timeval room, *tv;
    uint64_t first = UINT64_MAX, ms;
    size_t i;

    for (i = 0; i < d->conf.server_cnt; i++) {
        tv = ares_timeout(d->channels[i].ares, NULL, &room);
        if (tv != NULL) {
            ms = (uint64_t)tv->tv_sec * 1000 + ((uint64_t)tv->tv_usec + 999) / 1000 + 1;
            first = WR_MIN(first, ms);
        }
    }
    first = first == UINT64_MAX ? first : wr_now_ms() + first;
    if (!wr_list_is_empty(&d->queue)) {
        first = WR_MIN(first, d->burst_until_ms);
    }
    if (!wr_list_is_empty(&d->partials)) {
        first =
            WR_MIN(first, wr_container_of(d->partials.next, struct entry, partial)->partial_at_ms);
    }
    if (first == UINT64_MAX) {
        wr_timer_disarm(&d->timer);
    } else {
        wr_timer_arm(&d->timer, first);
    }
}

/* Who has something; the library takes one message of a stream at a time. */
static void serve_sockets(struct wr_dns *d)
{
    uint64_t no[SOCKETS_BATCH];
    unsigned round;
    size_t n = 1, i;

    d->io.facts &= (uint16_t)~WR_IO_READABLE;
    for (round = 0; round < ROUNDS_MAX && n > 0; round++) {
        n = wr_watch_get(&d->watch, no, SOCKETS_BATCH);
        for (i = 0; i < n; i++) {
            ares_socket_t fd = (ares_socket_t)(no[i] & UINT32_MAX);

            ares_process_fd(d->channels[no[i] >> 32].ares, fd, fd);
        }
    }
    d->has_more = n > 0;
    if (d->has_more) {
        wr_task_wake(&d->task);
    }
}

static void ask_servers(struct wr_dns *d, struct entry *e, enum wr_dns_type type)
{
    struct query *q = wr_run_alloc(sizeof(*q));

    if (q == NULL) {
        note_failure(e, WR_DNS_NO_MEMORY);
        return;
    }
    *q = (struct query){d, e, type, d->turn, 0, 0};
    e->pending++;
    e->queries[type == WR_DNS_AAAA] = q;
    send_query(q);
}

/* Servers take turns; one that was silent lately begins only where all were. */
static void take_turn(struct wr_dns *d)
{
    uint32_t cnt = (uint32_t)d->conf.server_cnt, i, no;

    d->turn = (d->turn + 1) % cnt;
    for (i = 0; i < cnt; i++) {
        no = (d->turn + i) % cnt;
        if (wr_now_ms() >= d->channels[no].mute_until_ms) {
            d->turn = no;
            return;
        }
    }
}

static void begin_look_up(struct wr_dns *d, struct entry *e)
{
    take_turn(d);
    if (e->kind == WR_DNS_SERVICES) {
        ask_servers(d, e, WR_DNS_SRV);
    }
    if (e->kind == WR_DNS_ADDRS && d->conf.ipv4) {
        ask_servers(d, e, WR_DNS_A);
    }
    if (e->kind == WR_DNS_ADDRS && d->conf.ipv6) {
        ask_servers(d, e, WR_DNS_AAAA);
    }
    drop_pending(d, e);
}

/* As many as may begin now; the timer brings the others. */
static void serve_queue(struct wr_dns *d)
{
    struct wr_list *n;

    if (wr_now_ms() >= d->burst_until_ms) {
        d->burst_until_ms = wr_now_ms() + BURST_MS;
        d->burst_cnt = 0;
    }
    while (d->burst_cnt < BURST_MAX && (n = wr_list_pop(&d->queue)) != NULL) {
        d->burst_cnt++;
        begin_look_up(d, wr_container_of(n, struct entry, queue));
    }
    arm(d);
}

static void run_dns(struct wr_task *t)
{
    struct wr_dns *d = wr_container_of(t, struct wr_dns, task);
    size_t i;

    if ((d->io.facts & WR_IO_READABLE) != 0 || d->has_more) {
        serve_sockets(d);
    }
    for (i = 0; i < d->conf.server_cnt; i++) {
        ares_process_fd(d->channels[i].ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
    serve_partials(d);
    serve_queue(d);
}

static enum wr_status look_up(struct wr_dns *d, struct entry *e)
{
    e->coming = wr_run_zalloc(sizeof(*e->coming));
    if (e->coming == NULL) {
        return WR_ENOMEM;
    }
    d->running_cnt++;
    e->ttl_s = e->negative_s = UINT64_MAX;
    e->failure = WR_DNS_FOUND;
    e->pending = 1;
    wr_list_push(&d->queue, &e->queue);
    serve_queue(d);
    return WR_OK;
}

/* Behind it the ask is answered, waits, or is gone. */
static void take_ask(struct wr_dns *d, struct wr_dns_ask *a)
{
    struct entry *e;

    if (wr_load_acq(&a->state) == ASK_GIVEN_UP) {
        free_ask(a);
        return;
    }
    e = get_entry(d, a);
    if (e == NULL) {
        send_home(a, &no_memory);
        return;
    }
    if (e->pending == 0 && e->answer != NULL && wr_now_ms() < e->answer->until_ms) {
        send_home(a, e->answer);
        return;
    }
    if (d->waiting_cnt >= WR_DNS_WAITING_MAX ||
        (e->pending == 0 && d->running_cnt >= WR_DNS_RUNNING_MAX)) {
        send_home(a, &too_many);
        return;
    }
    d->waiting_cnt++;
    wr_list_push(&e->waiting, &a->node);
    if (e->pending == 0 && look_up(d, e) != WR_OK) {
        answer_all(d, e, &no_memory);
    }
}

static void run_ask(struct wr_mail *m)
{
    struct wr_dns_ask *a = wr_container_of(m, struct wr_dns_ask, mail);
    struct wr_dns *d = wr_take(&a->dns);

    take_ask(d, a);
    d->refs++;
    wr_sub_acqrel(&d->asks, 1);
    wr_dns_unref(d);
}

/* --- life --- */

/* Nothing is read from files: neither servers nor search domains nor aliases are the system's. */
static enum wr_status open_channel(struct wr_dns *d, uint32_t no)
{
    struct channel *c = &d->channels[no];
    struct ares_addr_port_node nodes[WR_DNS_SERVERS_MAX];
    struct ares_options o = {.flags =
                                 ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP,
                             .timeout = d->conf.try_ms != 0 ? (int)d->conf.try_ms : TRY_MS,
                             .tries = TRIES,
                             .ndots = 0,
                             .lookups = (char *)(uintptr_t) "b",
                             .resolvconf_path = (char *)(uintptr_t) "/dev/null",
                             .sock_state_cb = on_socket,
                             .sock_state_cb_data = c};
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
               ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_NOROTATE |
               ARES_OPT_RESOLVCONF;
    size_t i;

#ifdef ARES_OPT_QUERY_CACHE
    mask |= ARES_OPT_QUERY_CACHE; /* of no second: we have our own, which obeys valid= */
#endif
    c->dns = d;
    c->no = no;
    if (ares_init_options(&c->ares, &o, mask) != ARES_SUCCESS) {
        c->ares = NULL;
        return WR_ENOMEM;
    }
    for (i = 0; i < d->conf.server_cnt; i++) {
        const struct wr_addr *s = &d->conf.servers[(no + i) % d->conf.server_cnt];

        nodes[i] =
            (struct ares_addr_port_node){.next = i + 1 < d->conf.server_cnt ? &nodes[i + 1] : NULL,
                                         .family = s->u.sa.sa_family,
                                         .udp_port = wr_addr_port(s),
                                         .tcp_port = wr_addr_port(s)};
        if (s->u.sa.sa_family == AF_INET) {
            nodes[i].addr.addr4 = s->u.in.sin_addr;
        } else {
            memcpy(&nodes[i].addr.addr6, &s->u.in6.sin6_addr, sizeof(nodes[i].addr.addr6));
        }
    }
    return ares_set_servers_ports(c->ares, nodes) == ARES_SUCCESS ? WR_OK : WR_ENOMEM;
}

static void free_names(struct wr_dns *d)
{
    struct wr_list *n;

    while ((n = wr_list_pop(&d->lru)) != NULL) {
        free_entry(wr_container_of(n, struct entry, lru));
    }
    wr_map_fini(&d->names);
}

/* Also of one that was opened in part only. */
static void close_dns(struct wr_dns *d)
{
    struct wr_list *n;
    size_t i;

    d->is_ending = true;
    for (i = 0; i < d->conf.server_cnt; i++) {
        if (d->channels[i].ares != NULL) {
            ares_destroy(d->channels[i].ares); /* calls on_reply for all that run */
        }
    }
    while ((n = wr_list_pop(&d->queue)) != NULL) {
        drop_pending(d, wr_container_of(n, struct entry, queue));
    }
    free_names(d);
    wr_timer_fini(&d->timer);
    wr_task_cancel(&d->task);
    if (d->io.fd != -1) {
        (void)wr_io_detach(&d->io); /* the descriptor is the watch's */
    }
    wr_watch_close(&d->watch);
    wr_mutex_fini(&d->lock);
    wr_obj_kill(d);
    wr_mem_free(d);
}

enum wr_status wr_dns_new(const struct wr_dns_conf *c, struct wr_dns **ret)
{
    struct wr_dns *d = wr_run_zalloc(sizeof(*d));
    enum wr_status st;
    uint32_t i;

    if (d == NULL) {
        return WR_ENOMEM;
    }
    wr_obj_init(d, DNS_MAGIC);
    d->refs = 1;
    d->conf = *c;
    d->mailbox = wr_mailbox_of_loop();
    wr_mutex_init(&d->lock, WR_RANK_LEAF);
    wr_map_init(&d->names, WR_MAP_CASE);
    wr_list_init(&d->lru);
    wr_list_init(&d->queue);
    wr_list_init(&d->partials);
    wr_task_init(&d->task, run_dns, "resolver");
    wr_timer_init(&d->timer, &d->task);
    wr_io_init(&d->io, WR_IO_NOTIFY, &d->task);
    d->watch.fd = -1;
    st = wr_watch_open(&d->watch);
    if (st == WR_OK) {
        st = wr_io_adopt(&d->io, d->watch.fd);
    }
    for (i = 0; i < c->server_cnt && st == WR_OK; i++) {
        st = open_channel(d, i);
    }
    if (st != WR_OK) {
        close_dns(d);
        return st;
    }
    *ret = d;
    return WR_OK;
}

void wr_dns_unref(struct wr_dns *d)
{
    if (d == NULL) {
        return;
    }
    wr_obj_check(d, DNS_MAGIC);
    /* The mail of an ask that is still on its way ends it. */
    if (--d->refs == 0 && wr_load_acq(&d->asks) == 0) {
        close_dns(d);
    }
}

uint64_t wr_dns_query_cnt(const struct wr_dns *d)
{
    return d->query_cnt;
}
