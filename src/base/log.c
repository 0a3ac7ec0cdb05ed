/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c: builds a record on the stack, once for each format that a sink wants, and writes it with
 * one write(2) a sink; nothing is allocated and no lock is taken. A text that is too long ends in
 * "...".
 *
 * Rate limit: each thread has SLOTS slots, found by the address of the format string, each with a
 * window of a second. What was suppressed is told, at its level and to the default sinks, by the
 * first record (of any format) that the thread writes after the window, and at the thread's end.
 *
 * Lost lines: log_loss.c keeps how many for each file (log_int.h); who writes the first line that
 * fits again takes the number and says it, so it is said once.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/local_int.h"
#include "base/log_int.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/stat.h"
#include "base/sync.h"

#define RECORD_MAX 2048u
#define SLOTS      64u
#define WAYS       4u /* slots that one format may use */
#define WINDOW_MS  1000u
#define IN_WINDOW  100u

struct slot {
    const char *fmt; /* NULL: free */
    uint64_t from_ms;
    uint32_t cnt, more; /* in this window: seen, suppressed */
    enum wr_log_level level;
};

struct wr_log_cache {
    struct slot at[SLOTS];
    uint32_t owing; /* slots with more != 0 */
};

static const struct wr_log_sink stderr_sink = {.fd = STDERR_FILENO, .level = WR_LOG_NOTICE};
static wr_atomic_ptr default_sinks; /* NULL: stderr_sink */
wr_atomic_u32 wr_log_debug_wanted;

static const char *const level_names[] = {"stderr", "emerg",  "alert", "crit", "error",
                                          "warn",   "notice", "info",  "debug"};

void wr_log_local_init(struct wr_local *l)
{
    l->_log = wr_mem_alloc(sizeof(*l->_log));
}

void wr_log_set_default(const struct wr_log_sink *sinks)
{
    /* Release: another thread that sees the list sees what is in it. */
    wr_store_rel(&default_sinks, (void *)(uintptr_t)sinks);
}

const struct wr_log_sink *wr_log_default(void)
{
    const struct wr_log_sink *s = wr_load_acq(&default_sinks);

    return s != NULL ? s : &stderr_sink;
}

static const struct wr_log_sink *sinks_of(const struct wr_log *log)
{
    return log != NULL && log->sinks != NULL ? log->sinks : wr_log_default();
}

static bool is_on(const struct wr_log_sink *s, enum wr_log_level level)
{
    while (s != NULL && s->level < level) {
        s = s->next;
    }
    return s != NULL;
}

bool wr_log_is_on(const struct wr_log *log, enum wr_log_level level)
{
    return (log != NULL && log->is_debug) || is_on(sinks_of(log), level);
}

void wr_log_want_debug(void)
{
    wr_store_rlx(&wr_log_debug_wanted, 1);
}

/* The time of this record: the loop's turn, or now where no loop keeps the clock. */
static uint64_t record_time(void)
{
    if (wr_local_get()->loop != NULL) {
        return wr_now_ms();
    }
    wr_clock_update_wall();
    return wr_clock_mono_us() / 1000;
}

/* Appends as much of s as fits; false when it was cut. */
static bool add_cut(struct wr_strbuf *b, struct wr_str s)
{
    size_t room = b->max - b->len;

    wr_strbuf_add_str(b, wr_str_sub(s, 0, room));
    return s.len <= room;
}

static struct wr_log_head head_of(const struct wr_log *log, enum wr_log_level level)
{
    uint32_t no = wr_local_get()->thread_no;

    return (struct wr_log_head){.level = level,
                                .pid = (uint64_t)getpid(),
                                .tid = no != UINT32_MAX ? no : (uint64_t)gettid(),
                                .conn_no = log != NULL ? log->conn_no : 0};
}

static void add_prefix(struct wr_strbuf *b, const struct wr_log_head *h)
{
    wr_strbuf_add_str(b, wr_clock_log_error());
    wr_strbuf_add_z(b, " [");
    wr_strbuf_add_z(b, wr_log_level_name(h->level));
    wr_strbuf_add_z(b, "] ");
    wr_strbuf_add_u64(b, h->pid);
    wr_strbuf_add_char(b, '#');
    wr_strbuf_add_u64(b, h->tid);
    wr_strbuf_add_z(b, ": ");
    if (h->conn_no != 0) {
        wr_strbuf_add_char(b, '*');
        wr_strbuf_add_u64(b, h->conn_no);
        wr_strbuf_add_char(b, ' ');
    }
}

/* Escapes text into b; when not all fits, as many bytes of it as do, and false. */
static bool add_escaped(struct wr_strbuf *b, struct wr_str text)
{
    size_t from = b->len;

    wr_codec_escape(b, text, WR_ESCAPE_ERRLOG);
    if (b->status == WR_OK) {
        return true;
    }
    wr_strbuf_reset(b);
    wr_strbuf_commit(b, from);
    for (size_t i = 0; b->status == WR_OK; i++) {
        wr_codec_escape(b, wr_str_sub(text, i, 1), WR_ESCAPE_ERRLOG);
    }
    b->status = WR_OK;
    return false;
}

/* What base/log_loss.c knows a sink by; those of one file share it. */
static uint32_t key_of(const struct wr_log_sink *s)
{
    uintptr_t p = (uintptr_t)(s->put != NULL ? s->data : NULL);

    return s->put == NULL ? (uint32_t)s->fd : 0x80000000u | (uint32_t)(p >> 4);
}

/*
 * Standard error was opened by somebody else, as a rule to block. A pipe that poll calls writable
 * has room for a record; when several threads take it at once one may wait, until the reader reads.
 */
static bool would_block(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return fd == STDERR_FILENO && poll(&p, 1, 0) == 0;
}

/* line ends in '\n'. False: *ret_err says why. */
static bool write_fd(int fd, struct wr_str line, int *ret_err)
{
    ssize_t n;

    if (would_block(fd)) {
        *ret_err = EAGAIN;
        return false;
    }
    do {
        n = write(fd, line.ptr, line.len);
    } while (n == -1 && errno == EINTR);
    *ret_err = n == -1 ? errno : ENOSPC; /* a file takes a part when the disk gets full */
    if (n > 0 && n < (ssize_t)line.len) {
        wr_log_loss_cut((uint32_t)fd);
    }
    return n == (ssize_t)line.len;
}

/* A line to one sink; false: it is lost, which is noted. */
static bool write_sink(const struct wr_log_sink *s, enum wr_log_level level, struct wr_str line)
{
    int err = 0;

    if (s->put != NULL) {
        if (s->put(s, level, wr_str_sub(line, 0, line.len - 1))) {
            return true;
        }
        wr_log_loss_add(key_of(s), 1, 0);
        return false;
    }
    if (wr_log_loss_any() && wr_log_loss_take_cut((uint32_t)s->fd) &&
        !write_fd(s->fd, WR_STR("\n"), &err)) {
        wr_log_loss_cut((uint32_t)s->fd); /* the next one tries again */
    }
    if (write_fd(s->fd, line, &err)) {
        return true;
    }
    wr_stat_inc(WR_CNT_LOG_DROPPED);
    wr_log_loss_add(key_of(s), 1, err);
    return false;
}

/* text, raw, as a line of s's format into b, which has WR_LOG_JSON_MAX bytes. */
static void write_plain(const struct wr_log_sink *s, struct wr_strbuf *b,
                        const struct wr_log_head *h, struct wr_str text)
{
    if (s->form == WR_LOG_JSON) {
        wr_log_json_write(b, h, text, false, NULL);
        return;
    }
    add_prefix(b, h);
    wr_strbuf_add_str(b, text);
    wr_strbuf_add_char(b, '\n');
}

/* There is room again: says what was lost while there was none. */
static void tell_loss(const struct wr_log_sink *s)
{
    const struct wr_log_head h = head_of(NULL, WR_LOG_ALERT);
    char line[WR_LOG_JSON_MAX], text[160];
    struct wr_strbuf b, t;
    uint32_t cnt;
    int err;

    if (!wr_log_loss_take(key_of(s), &cnt, &err)) {
        return;
    }
    wr_strbuf_init_fixed(&t, text, sizeof(text));
    wr_strbuf_add_u64(&t, cnt);
    wr_strbuf_add_z(&t, cnt == 1 ? " line was lost here" : " lines were lost here");
    if (err != 0) {
        wr_strbuf_printf(&t, " (%d: %s)", err, wr_log_errno_text(err));
    }
    wr_strbuf_init_fixed(&b, line, sizeof(line));
    write_plain(s, &b, &h, wr_strbuf_str(&t));
    if (!write_sink(s, WR_LOG_ALERT, wr_strbuf_str(&b))) {
        wr_log_loss_add(key_of(s), cnt - 1, err); /* said later: this line needs no mention */
    }
}

static bool takes(const struct wr_log *log, const struct wr_log_sink *s, enum wr_log_level level)
{
    return s->level >= level || (log != NULL && log->is_debug);
}

static void write_sinks(const struct wr_log *log, enum wr_log_level level, enum wr_log_form form,
                        struct wr_str line)
{
    for (const struct wr_log_sink *s = sinks_of(log); s != NULL; s = s->next) {
        if (s->form == form && takes(log, s, level) && write_sink(s, level, line) &&
            wr_log_loss_any()) {
            tell_loss(s);
        }
    }
}

static void add_context(const struct wr_log *log, enum wr_log_level level, struct wr_strbuf *b)
{
    struct wr_log_fields f = {.b = b, .form = WR_LOG_TEXT};

    if (log != NULL && log->context != NULL && level != WR_LOG_DEBUG && b->status == WR_OK) {
        log->context(log, &f);
    }
}

/* b: the message, raw. cut: it is not whole. */
static void write_text(const struct wr_log *log, enum wr_log_level level, struct wr_strbuf b,
                       bool cut)
{
    const struct wr_str dots = WR_STR("...");
    const struct wr_log_head h = head_of(log, level);
    char line[RECORD_MAX];
    struct wr_strbuf to;

    add_context(log, level, &b);
    wr_strbuf_init_fixed(&to, line, sizeof(line) - 1);
    add_prefix(&to, &h);
    to.max -= dots.len;
    if (!add_escaped(&to, wr_strbuf_str(&b)) || cut || b.status != WR_OK) {
        to.max += dots.len;
        (void)add_cut(&to, dots); /* room was kept */
    }
    line[to.len] = '\n';
    write_sinks(log, level, WR_LOG_TEXT, wr_str(line, to.len + 1));
}

static void write_json(const struct wr_log *log, enum wr_log_level level, struct wr_str text,
                       bool cut)
{
    const struct wr_log_head h = head_of(log, level);
    char line[WR_LOG_JSON_MAX];
    struct wr_strbuf to;

    wr_strbuf_init_fixed(&to, line, sizeof(line));
    wr_log_json_write(&to, &h, text, cut, level != WR_LOG_DEBUG ? log : NULL);
    write_sinks(log, level, WR_LOG_JSON, wr_strbuf_str(&to));
}

/* b: the message, raw, and room for the fields. cut: it is not whole. */
static void write_record(const struct wr_log *log, enum wr_log_level level,
                         const struct wr_strbuf *b, bool cut)
{
    bool wants[WR_LOG_FORMS] = {false};

    for (const struct wr_log_sink *s = sinks_of(log); s != NULL; s = s->next) {
        wants[s->form] = wants[s->form] || takes(log, s, level);
    }
    if (wants[WR_LOG_TEXT]) {
        write_text(log, level, *b, cut);
    }
    if (wants[WR_LOG_JSON]) {
        write_json(log, level, wr_strbuf_str(b), cut || b->status != WR_OK);
    }
}

static void pay(struct wr_log_cache *c, struct slot *s)
{
    char text[160];
    uint32_t more = s->more;
    struct wr_strbuf b;

    if (more == 0) {
        return;
    }
    s->more = 0;
    c->owing--;
    wr_strbuf_init_fixed(&b, text, sizeof(text));
    wr_strbuf_printf(&b, "... %u more of \"%.100s\"", more, s->fmt);
    write_record(NULL, s->level, &b, false);
}

static void pay_all(struct wr_log_cache *c, uint64_t now_ms, uint64_t older_ms)
{
    for (size_t i = 0; i < SLOTS && c->owing != 0; i++) {
        if (now_ms - c->at[i].from_ms >= older_ms) {
            pay(c, &c->at[i]);
        }
    }
}

void wr_log_local_fini(struct wr_local *l)
{
    pay_all(l->_log, UINT64_MAX, 0);
    wr_mem_free(l->_log);
    l->_log = NULL;
}

/* The slot of fmt; if it has none, the least lately begun of its ways. */
static struct slot *find_slot(struct wr_log_cache *c, const char *fmt)
{
    uint64_t h = (uint64_t)(uintptr_t)fmt * 0x9e3779b97f4a7c15ull >> 32;
    struct slot *first = &c->at[h % (SLOTS / WAYS) * WAYS];
    struct slot *best = first;

    for (struct slot *s = first; s < first + WAYS; s++) {
        if (s->fmt == fmt) {
            return s;
        }
        if (s->from_ms < best->from_ms) {
            best = s;
        }
    }
    pay(c, best);
    *best = (struct slot){.fmt = fmt};
    return best;
}

/* True when this record is one too many. */
static bool is_too_many(enum wr_log_level level, const char *fmt)
{
    struct wr_log_cache *c = wr_local_get()->_log;
    uint64_t now = record_time();
    struct slot *s;

    if (c->owing != 0) {
        pay_all(c, now, WINDOW_MS);
    }
    if (level == WR_LOG_STDERR || level == WR_LOG_DEBUG) {
        return false;
    }
    s = find_slot(c, fmt);
    if (s->cnt == 0 || now - s->from_ms >= WINDOW_MS) {
        s->from_ms = now;
        s->cnt = 0;
    }
    if (s->cnt < IN_WINDOW) {
        s->cnt++;
        return false;
    }
    wr_stat_inc(WR_CNT_LOG_LIMITED);
    c->owing += s->more == 0;
    s->more += s->more != UINT32_MAX;
    s->level = level;
    return true;
}

WR_PRINTF(4, 0)

static void log_text(const struct wr_log *log, enum wr_log_level level, int err, const char *fmt,
                     va_list ap)
{
    char text[RECORD_MAX];
    struct wr_strbuf b;
    bool cut;
    int n;

    if (!wr_log_is_on(log, level) || is_too_many(level, fmt)) {
        return;
    }
    n = vsnprintf(text, sizeof(text), fmt, ap);
    n = n < 0 ? 0 : n;
    cut = (size_t)n >= sizeof(text);
    wr_strbuf_init_fixed(&b, text, sizeof(text));
    b.len = cut ? sizeof(text) - 1 : (size_t)n;
    if (err != 0 && !cut) {
        wr_strbuf_printf(&b, " (%d: %s)", err, wr_log_errno_text(err));
    }
    write_record(log, level, &b, cut);
}

/* ---- fields --------------------------------------------------------------------------------- */

static void add_text_field(struct wr_strbuf *b, const char *name, const struct wr_str *parts,
                           size_t cnt, const char *quote)
{
    size_t from = b->len;

    wr_strbuf_add_z(b, ", ");
    wr_strbuf_add_z(b, name);
    wr_strbuf_add_z(b, ": ");
    wr_strbuf_add_z(b, quote);
    for (size_t i = 0; i < cnt; i++) {
        wr_strbuf_add_str(b, parts[i]);
    }
    wr_strbuf_add_z(b, quote);
    if (b->status != WR_OK) {
        b->len = from; /* none of it; the line will end in dots */
    }
}

void wr_log_field(struct wr_log_fields *f, const char *name, struct wr_str value,
                  enum wr_log_quote how)
{
    if (f->form == WR_LOG_JSON) {
        wr_log_json_field(f, name, &value, 1);
    } else {
        add_text_field(f->b, name, &value, 1, how == WR_LOG_QUOTED ? "\"" : "");
    }
}

void wr_log_field_parts(struct wr_log_fields *f, const char *name, const struct wr_str *parts,
                        size_t cnt)
{
    if (f->form == WR_LOG_JSON) {
        wr_log_json_field(f, name, parts, cnt);
    } else {
        add_text_field(f->b, name, parts, cnt, "\"");
    }
}

bool wr_log_fields_are_json(const struct wr_log_fields *f)
{
    return f->form == WR_LOG_JSON;
}

void wr_log(const struct wr_log *log, enum wr_log_level level, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    va_start(ap, fmt);
    log_text(log, level, 0, fmt, ap);
    va_end(ap);
    errno = saved;
}

void wr_log_errno(const struct wr_log *log, enum wr_log_level level, int err, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    va_start(ap, fmt);
    log_text(log, level, err, fmt, ap);
    va_end(ap);
    errno = saved;
}

enum wr_status wr_log_level_parse(struct wr_str s, enum wr_log_level *ret)
{
    /* "stderr" is a destination in the configuration, not a level. */
    for (size_t i = WR_LOG_EMERG; i < WR_ARRAY_LEN(level_names); i++) {
        if (wr_str_eq_z(s, level_names[i])) {
            *ret = (enum wr_log_level)i;
            return WR_OK;
        }
    }
    return WR_EPROTO;
}

const char *wr_log_level_name(enum wr_log_level level)
{
    return (unsigned)level < WR_ARRAY_LEN(level_names) ? level_names[level] : "?";
}

const char *wr_log_errno_text(int err)
{
    const char *z = strerrordesc_np(err);

    return z != NULL ? z : "Unknown error";
}

void wr_log_raw(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);

        if (done <= 0 && !(done == -1 && errno == EINTR)) {
            return; /* nobody to tell */
        }
        p += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}
