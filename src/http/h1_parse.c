/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_parse.c: HTTP/1 heads, line by line.
 *
 *   buf |empty lines|first line CRLF|field CRLF|field CRLF|fie...      |
 *       0                                      ^_line        ^_seen    ^len
 *
 * The LF of the line at _line is looked for from _seen on, never behind the line's or the head's
 * limit. A first line that is not whole yet is checked as far as it goes, by the same
 * left-to-right function that reads it when it is whole: what is wrong with it is told at the same
 * byte and with the same word however the bytes are cut. Fields are only read whole. When the empty
 * line is here, the few fields that decide framing and persistence are looked at once (RFC 9112 6,
 * 9).
 *
 * A line's end is the first control byte of a good line: one search finds the end and that there
 * is nothing else. Lines that are whole and as nearly all are go a way of their own
 * (take_usual_lines), which takes what is good and leaves all else to the general one. A usual
 * field costs one look at its first 16 bytes, where its colon and the end of its name are, and one
 * at each 16 that follow; its name is compared with one known one, and checked byte by byte only
 * when it is none.
 * Takes memory for the field array only (and for "http://host?args", which has no "/" to point at).
 */
#include "http/h1_parse.h"

#include "base/assert.h"
#include "base/chars.h"
#include "base/scan.h"
#include "http/hdr_known.h"
#include "http/uri.h"

enum {
    STAGE_START,
    STAGE_FIELDS,
    STAGE_DONE,
    STAGE_BAD
};

enum {
    EMPTY_LINES_MAX = 4,
    LENGTH_DIGITS_MAX = 19, /* of Content-Length: fits INT64_MAX */
    VERSION_LEN = 8,        /* "HTTP/1.1" */
    STATUS_END = 12,        /* "HTTP/1.1 200" */
    USUAL_ROOM = 32,        /* bytes that a first line needs to be looked at as a usual one */
};

#define BIT(id) (UINT64_C(1) << WR_HDR_##id)

static enum wr_h1_result refuse(struct wr_h1_parser *p, enum wr_h1_bad bad)
{
    p->bad = bad;
    p->_stage = STAGE_BAD;
    return WR_H1_BAD;
}

/*
 * Is there a byte that no field value may have: a control byte (but HTAB) or DEL? Not inlined, so
 * that the search of each line's end is.
 */
static __attribute__((noinline)) bool has_controls(const char *p, size_t n)
{
    return wr_scan_control(p, n) != n;
}

/*
 * "HTTP/x.y" at the beginning of v[0..n). MORE: right as far as it goes. *ret_version is 10 * x +
 * y.
 */
static enum wr_h1_result scan_version(const char *v, size_t n, unsigned *ret_version)
{
    if (memcmp(v, "HTTP/", WR_MIN(n, 5)) != 0) {
        return WR_H1_BAD;
    }
    if (n > 5 && (unsigned)(unsigned char)v[5] - '1' > 8) {
        return WR_H1_BAD; /* not a digit, or 0 */
    }
    if (n > 6 && v[6] != '.') {
        return WR_H1_BAD;
    }
    if (n > 7 && !wr_char_is((unsigned char)v[7], WR_CH_DIGIT)) {
        return WR_H1_BAD;
    }
    if (n < VERSION_LEN) {
        return WR_H1_MORE;
    }
    *ret_version = (unsigned)(v[5] - '0') * 10 + (unsigned)(v[7] - '0');
    return WR_H1_DONE;
}

/* A request line in pieces; all are slices of the line, but `path` may be constant. */
struct request_line {
    enum wr_method id;
    struct wr_str method, target;
    struct wr_str scheme, authority, path;
    bool wants_slash; /* path is "?args": a '/' belongs before it */
    unsigned version;
    unsigned flags;
};

/* Length of the scheme that t begins with and that "://" follows; 0: there is none. */
static size_t scan_scheme(struct wr_str t)
{
    size_t i = 0;

    if (t.len == 0 || !wr_char_is((unsigned char)t.ptr[0], WR_CH_ALPHA)) {
        return 0;
    }
    while (i < t.len && (wr_char_is((unsigned char)t.ptr[i], WR_CH_ALPHA | WR_CH_DIGIT) ||
                         t.ptr[i] == '+' || t.ptr[i] == '-' || t.ptr[i] == '.')) {
        i++;
    }
    return t.len - i >= 3 && memcmp(t.ptr + i, "://", 3) == 0 ? i : 0;
}

/* RFC 9112 3.2.2: scheme "://" authority [path] ["?" query]. */
static bool split_absolute(struct request_line *r)
{
    const char *t = r->target.ptr;
    size_t n = r->target.len, i = scan_scheme(r->target), start;
    struct wr_str host;
    uint16_t port;

    if (i == 0) {
        return false;
    }
    r->scheme = wr_str(t, i);
    start = i + 3;
    i = start;
    while (i < n && t[i] != '/' && t[i] != '?' && t[i] != '#') {
        i++;
    }
    r->authority = wr_str(t + start, i - start);
    if (wr_uri_check_host(r->authority, &host, &port) != WR_OK) {
        return false;
    }
    r->path = i == n ? WR_STR("/") : wr_str(t + i, n - i);
    r->wants_slash = r->path.ptr[0] != '/';
    r->flags |= WR_MSG_ABSOLUTE;
    return true;
}

/* The four forms of RFC 9112 3.2. */
static bool split_target(struct request_line *r)
{
    if (r->target.len == 0) {
        return false;
    }
    r->path = r->target;
    if (r->id == WR_METHOD_CONNECT) {
        struct wr_str host;
        uint16_t port;
        r->authority = r->target;
        return wr_uri_check_host(r->target, &host, &port) == WR_OK && port != 0;
    }
    if (r->target.ptr[0] == '/') {
        return true;
    }
    if (r->target.len == 1 && r->target.ptr[0] == '*') {
        r->flags |= WR_MSG_ASTERISK;
        return r->id == WR_METHOD_OPTIONS;
    }
    return split_absolute(r);
}

/* v[0..n): what stands behind the target and its blank. */
static enum wr_h1_result end_request_line(struct wr_h1_parser *p, const char *v, size_t n,
                                          bool is_whole, struct request_line *r)
{
    enum wr_h1_result res = scan_version(v, n, &r->version);

    if (res == WR_H1_BAD || n > VERSION_LEN || (is_whole && res == WR_H1_MORE)) {
        return refuse(p, WR_H1_BAD_VERSION);
    }
    if (!is_whole) {
        return WR_H1_MORE;
    }
    return r->version >= 20 ? refuse(p, WR_H1_BAD_MAJOR) : WR_H1_DONE;
}

/* HTTP/0.9 knows only "GET /path". */
static enum wr_h1_result end_simple_line(struct wr_h1_parser *p, struct request_line *r)
{
    r->version = 9;
    r->flags |= WR_MSG_HTTP09;
    bool is_simple = r->id == WR_METHOD_GET && r->target.ptr[0] == '/';
    return is_simple ? WR_H1_DONE : refuse(p, WR_H1_BAD_LINE);
}

/* RFC 9110 9.1 allows any token; as in nginx ours are of capitals, '-' and '_'. */
static bool is_method_byte(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/*
 * line[0..n): a request line without its end; or, when !is_whole, as much of it as is here. DONE
 * only when whole.
 */
static enum wr_h1_result scan_request_line(struct wr_h1_parser *p, const char *line, size_t n,
                                           bool is_whole, struct request_line *r)
{
    size_t i = 0;

    while (i < n && is_method_byte((unsigned char)line[i])) {
        i++;
    }
    if (i == n) {
        return is_whole ? refuse(p, WR_H1_BAD_LINE) : WR_H1_MORE;
    }
    if (i == 0 || line[i] != ' ') {
        return refuse(p, WR_H1_BAD_METHOD);
    }
    r->method = wr_str(line, i);
    r->id = wr_method_of(r->method);
    const char *t = line + i + 1;
    n -= i + 1;
    const char *sp = memchr(t, ' ', n);
    r->target = wr_str(t, sp == NULL ? n : (size_t)(sp - t));
    if (has_controls(t, r->target.len) || memchr(t, '\t', r->target.len) != NULL) {
        return refuse(p, WR_H1_BAD_TARGET);
    }
    if (sp == NULL && !is_whole) {
        return WR_H1_MORE;
    }
    if (!split_target(r)) {
        return refuse(p, WR_H1_BAD_TARGET);
    }
    if (sp == NULL) {
        return end_simple_line(p, r);
    }
    return end_request_line(p, sp + 1, n - (size_t)(sp + 1 - t), is_whole, r);
}

/* Higher minor versions are spoken to as 1.1 (RFC 9110 2.5). */
static uint16_t known_version(unsigned version)
{
    return version > 11 ? 11 : (uint16_t)version;
}

static enum wr_h1_result take_request_line(struct wr_h1_parser *p, const char *line, size_t n)
{
    struct request_line r = {0};
    struct wr_msg *m = p->_msg;

    m->request_line = wr_str(line, n);
    enum wr_h1_result res = scan_request_line(p, line, n, true, &r);
    if (res != WR_H1_DONE) {
        return res;
    }
    if (r.wants_slash) {
        char *path = wr_arena_bytes(m->hdrs.arena, r.path.len + 1);
        if (path == NULL) {
            return WR_H1_NOMEM;
        }
        path[0] = '/';
        memcpy(path + 1, r.path.ptr, r.path.len);
        r.path = wr_str(path, r.path.len + 1);
    }
    m->method = r.id;
    m->method_name = r.method;
    m->target = r.path;
    m->scheme = r.scheme;
    m->authority = r.authority;
    m->version = known_version(r.version);
    m->flags = r.flags;
    return WR_H1_DONE;
}

struct status_line {
    unsigned version, status;
    struct wr_str reason;
};

/* What stands behind the version: " 200 OK", or " 200" alone. */
static enum wr_h1_result end_status_line(struct wr_h1_parser *p, const char *line, size_t n,
                                         bool is_whole, struct status_line *s)
{
    if (n > VERSION_LEN && line[VERSION_LEN] != ' ') {
        return refuse(p, WR_H1_BAD_LINE);
    }
    s->status = 0;
    for (size_t i = VERSION_LEN + 1; i < WR_MIN(n, STATUS_END); i++) {
        unsigned d = (unsigned)(unsigned char)line[i] - '0';
        if (d > 9 || (d == 0 && i == VERSION_LEN + 1)) {
            return refuse(p, WR_H1_BAD_LINE);
        }
        s->status = s->status * 10 + d;
    }
    if (n < STATUS_END) {
        return is_whole ? refuse(p, WR_H1_BAD_LINE) : WR_H1_MORE;
    }
    s->reason = WR_STR_NULL;
    if (n > STATUS_END) {
        s->reason = wr_str(line + STATUS_END + 1, n - STATUS_END - 1);
        if (line[STATUS_END] != ' ' || has_controls(s->reason.ptr, s->reason.len)) {
            return refuse(p, WR_H1_BAD_LINE);
        }
    }
    return is_whole ? WR_H1_DONE : WR_H1_MORE;
}

/* As scan_request_line. "HTTP/1.1 200" without the blank behind it is accepted. */
static enum wr_h1_result scan_status_line(struct wr_h1_parser *p, const char *line, size_t n,
                                          bool is_whole, struct status_line *s)
{
    if ((is_whole && n < 5) || memcmp(line, "HTTP/", WR_MIN(n, 5)) != 0) {
        return refuse(p, WR_H1_BAD_NOT_HTTP);
    }
    enum wr_h1_result res = scan_version(line, n, &s->version);
    if (res == WR_H1_BAD || (is_whole && res == WR_H1_MORE)) {
        return refuse(p, WR_H1_BAD_VERSION);
    }
    if (res == WR_H1_MORE) {
        return WR_H1_MORE;
    }
    if (s->version >= 20) {
        return refuse(p, WR_H1_BAD_MAJOR);
    }
    return end_status_line(p, line, n, is_whole, s);
}

static enum wr_h1_result take_status_line(struct wr_h1_parser *p, const char *line, size_t n)
{
    struct status_line s = {0};
    struct wr_msg *m = p->_msg;
    enum wr_h1_result res = scan_status_line(p, line, n, true, &s);

    if (res != WR_H1_DONE) {
        return res;
    }
    m->version = known_version(s.version);
    m->status = (uint16_t)s.status;
    m->reason = s.reason;
    return WR_H1_DONE;
}

enum name_verdict {
    NAME_GOOD,
    NAME_DROP,
    NAME_BAD
};

/*
 * A name that is none of the known ones. A byte that no name may have is never forgiven: the peers
 * around us do not agree what "Length : 1" is (RFC 9112 5.1). In a request other bytes than
 * letters, digits, '-' (and '_' where it is allowed) make a name that ignore_invalid_headers drops.
 */
static enum name_verdict judge_name(const struct wr_h1_parser *p, struct wr_str name)
{
    unsigned all = WR_CH_TOKEN;
    bool is_usual = true;

    if (name.len == 0) {
        return NAME_BAD;
    }
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];

        all &= wr_char_classes[c];
        is_usual &= wr_char_is(c, WR_CH_ALPHA | WR_CH_DIGIT) || c == '-' ||
                    (c == '_' && (p->options & WR_H1_UNDERSCORES) != 0);
    }
    if (all == 0) {
        return NAME_BAD;
    }
    return is_usual || p->role == WR_H1_RESPONSE || (p->options & WR_H1_DROP_INVALID_FIELDS) == 0
               ? NAME_GOOD
               : NAME_DROP;
}

/* A field line that is refused stays in msg for the log. */
static enum wr_h1_result refuse_field(struct wr_h1_parser *p, const char *line, size_t n)
{
    p->_msg->dropped = wr_str(line, n);
    return refuse(p, WR_H1_BAD_FIELD);
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A field of a name that is none of the known ones. DONE: it is to be left out; MORE: taken. */
static __attribute__((noinline)) enum wr_h1_result
look_at_name(struct wr_h1_parser *p, const char *line, size_t n, size_t colon)
{
    enum name_verdict v = judge_name(p, wr_str(line, colon));

    if (v == NAME_BAD) {
        return refuse_field(p, line, n);
    }
    if (v == NAME_GOOD) {
        return WR_H1_MORE;
    }
    p->dropped_fields++;
    if (p->_msg->dropped.len == 0) {
        p->_msg->dropped = wr_str(line, n);
    }
    return WR_H1_DONE;
}

/* What stands behind the colon, without the blanks around it. */
static __attribute__((noinline)) struct wr_str trim_value(const char *a, const char *e)
{
    while (a < e && is_blank(*a)) {
        a++;
    }
    while (e > a && is_blank(e[-1])) {
        e--;
    }
    return wr_str(a, (size_t)(e - a));
}

/*
 * DONE: the line was taken. line[0..n) is whole, without its end, n > 0; is_clean: it is known to
 * have no control bytes but HTAB.
 */
static enum wr_h1_result take_field(struct wr_h1_parser *p, const char *line, size_t n,
                                    bool is_clean)
{
    if (!is_clean && has_controls(line, n)) {
        return refuse_field(p, line, n);
    }
    size_t colon = wr_str_find(wr_str(line, n), ':');
    if (colon == n) {
        return refuse_field(p, line, n); /* obs-fold often ends here too */
    }
    struct wr_str name = wr_str(line, colon);
    enum wr_hdr_id id = wr_hdr_id_of(name);
    if (id == WR_HDR_OTHER) {
        enum wr_h1_result res = look_at_name(p, line, n, colon);
        if (res != WR_H1_MORE) {
            return res;
        }
    }
    struct wr_str value = trim_value(line + colon + 1, line + n);
    bool is_line = line[colon + 1] == ' '; /* at the end of the line stands its end */
    enum wr_status st = wr_hdrs_push_line(&p->_msg->hdrs, name, value, id, is_line);
    if (st == WR_OK) {
        return WR_H1_DONE;
    }
    return st == WR_ELIMIT ? refuse(p, WR_H1_BAD_FIELDS) : WR_H1_NOMEM;
}

/* What the fields say that decide framing and persistence. */
struct head_facts {
    const struct wr_hdr *host, *coding, *length;
    unsigned host_cnt, coding_cnt, length_cnt;
    bool do_lengths_differ;
    bool has_close, has_keep_alive, has_upgrade;
    bool has_list; /* Connection says more than "keep-alive" */
};

static void note_connection(struct head_facts *f, struct wr_str list)
{
    struct wr_str item;

    if (wr_str_ieq(list, WR_STR("keep-alive"))) {
        f->has_keep_alive = true; /* what most say */
        return;
    }
    f->has_list = true;
    while (wr_str_split(&list, ',', &item)) {
        item = wr_str_trim(item);
        if (item.len == 5) {
            f->has_close |= wr_str_ieq(item, WR_STR("close"));
        } else if (item.len == 7) {
            f->has_upgrade |= wr_str_ieq(item, WR_STR("upgrade"));
        } else if (item.len == 10) {
            f->has_keep_alive |= wr_str_ieq(item, WR_STR("keep-alive"));
        }
    }
}

static void note_field(struct head_facts *f, const struct wr_hdr *h)
{
    if (h->id == WR_HDR_HOST) {
        f->host = h;
        f->host_cnt++;
    } else if (h->id == WR_HDR_CONNECTION) {
        note_connection(f, h->value);
    } else if (h->id == WR_HDR_TRANSFER_ENCODING) {
        f->coding = h;
        f->coding_cnt++;
    } else if (h->id == WR_HDR_CONTENT_LENGTH) {
        f->do_lengths_differ |= f->length != NULL && !wr_str_eq(f->length->value, h->value);
        f->length = h;
        f->length_cnt++;
    }
}

/* RFC 9112 3.2. An empty value is an authority only where the target brings its own. */
static bool is_host_good(struct wr_msg *m, const struct head_facts *f)
{
    if (f->host_cnt == 0) {
        return m->version < 11;
    }
    if (f->host_cnt > 1) {
        return false;
    }
    if (f->host->value.len == 0) {
        return m->authority.len > 0;
    }
    struct wr_str host;
    if (wr_uri_check_host(f->host->value, &host, &m->host_port) != WR_OK) {
        return false;
    }
    m->host_len = (uint32_t)host.len;
    return true;
}

/* RFC 9112 6.2: digits, and nothing else. */
static bool read_length(struct wr_str s, uint64_t *ret_v)
{
    uint64_t v = 0;

    if (s.len == 0 || s.len > LENGTH_DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned d = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (d > 9) {
            return false;
        }
        v = v * 10 + d; /* so many digits fit */
    }
    if (v > INT64_MAX) {
        return false;
    }
    *ret_v = v;
    return true;
}

/* Both framings' fields, checked whether or not a body follows; BAD_NONE when they are sound. */
static enum wr_h1_bad read_lengths(struct wr_h1_parser *p, const struct head_facts *f)
{
    struct wr_msg *m = p->_msg;
    bool is_request = p->role == WR_H1_REQUEST;

    if (f->coding != NULL) {
        if (f->length != NULL || f->coding_cnt > 1 || (is_request && m->version < 11)) {
            return WR_H1_BAD_FRAMING;
        }
        if (!wr_str_ieq(f->coding->value, WR_STR("chunked"))) {
            return WR_H1_BAD_CODING;
        }
        return WR_H1_BAD_NONE;
    }
    if (f->length == NULL) {
        return WR_H1_BAD_NONE;
    }
    if (f->do_lengths_differ || (is_request && f->length_cnt > 1)) {
        return WR_H1_BAD_FRAMING;
    }
    return read_length(f->length->value, &m->content_length) ? WR_H1_BAD_NONE : WR_H1_BAD_LENGTH;
}

/* The first field of an id keeps its place, the others of it are marked removed. */
static void keep_first_length(struct wr_msg *m, const struct head_facts *f)
{
    if (f->length_cnt > 1) {
        struct wr_hdr *first = wr_hdrs_get(&m->hdrs, WR_HDR_CONTENT_LENGTH);
        for (struct wr_hdr *h = wr_hdrs_next(&m->hdrs, first); h != NULL;
             h = wr_hdrs_next(&m->hdrs, h)) {
            h->is_removed = true;
        }
    }
}

static void decide_request(struct wr_msg *m, const struct head_facts *f)
{
    m->framing = WR_FRAMING_NONE;
    if (f->coding != NULL) {
        m->framing = WR_FRAMING_CHUNKED;
    } else if (f->length != NULL) {
        m->framing = WR_FRAMING_LENGTH;
    }
    if (m->version >= 11 && (m->hdrs.have & BIT(EXPECT)) != 0) {
        const struct wr_hdr *e = wr_hdrs_get(&m->hdrs, WR_HDR_EXPECT);
        m->flags |= wr_str_ieq(e->value, WR_STR("100-continue")) ? WR_MSG_EXPECT : 0;
    }
}

/* RFC 9112 6.3. */
static void decide_response(const struct wr_h1_parser *p, struct wr_msg *m,
                            const struct head_facts *f)
{
    if (wr_status_is_bodyless(m->status, p->request_method)) {
        m->framing = WR_FRAMING_NONE;
        bool is_tunnel =
            m->status == 101 || (p->request_method == WR_METHOD_CONNECT && m->status / 100 == 2);
        if (is_tunnel) {
            m->flags &= ~(unsigned)WR_MSG_KEEP_ALIVE;
        }
    } else if (f->coding != NULL) {
        m->framing = WR_FRAMING_CHUNKED;
    } else if (f->length != NULL) {
        m->framing = WR_FRAMING_LENGTH;
    } else {
        m->framing = WR_FRAMING_CLOSE;
        m->flags &= ~(unsigned)WR_MSG_KEEP_ALIVE;
    }
    if (f->coding != NULL && m->version < 11) {
        m->flags &= ~(unsigned)WR_MSG_KEEP_ALIVE; /* RFC 9112 6.1: close after it */
    }
}

static enum wr_h1_result finish_head(struct wr_h1_parser *p)
{
    const uint64_t ids = BIT(HOST) | BIT(CONNECTION) | BIT(TRANSFER_ENCODING) | BIT(CONTENT_LENGTH);
    struct wr_msg *m = p->_msg;
    struct head_facts f = {0};

    for (const struct wr_hdr *h = m->hdrs.at, *end = h + m->hdrs.cnt; h < end; h++) {
        if ((ids >> h->id & 1) != 0) {
            note_field(&f, h);
        }
    }
    if (p->role == WR_H1_REQUEST && !is_host_good(m, &f)) {
        return refuse(p, WR_H1_BAD_HOST);
    }
    enum wr_h1_bad bad = read_lengths(p, &f);
    if (bad != WR_H1_BAD_NONE) {
        return refuse(p, bad);
    }
    if (!f.has_close && (m->version >= 11 || f.has_keep_alive)) {
        m->flags |= WR_MSG_KEEP_ALIVE;
    }
    m->names_no_field = !f.has_list;
    if (f.has_upgrade && m->version >= 11 && (m->hdrs.have & BIT(UPGRADE)) != 0) {
        m->flags |= WR_MSG_UPGRADE;
    }
    if (p->role == WR_H1_REQUEST) {
        decide_request(m, &f);
    } else {
        keep_first_length(m, &f);
        decide_response(p, m, &f);
    }
    return WR_H1_DONE;
}

/* A whole line, without its end. MORE: go on with the next; DONE: the head is complete. */
static enum wr_h1_result take_line(struct wr_h1_parser *p, const char *line, size_t n, size_t end,
                                   bool is_clean)
{
    enum wr_h1_result res;

    if (p->_stage == STAGE_FIELDS) {
        if (n == 0) {
            return finish_head(p);
        }
        res = take_field(p, line, n, is_clean);
        return res == WR_H1_DONE ? WR_H1_MORE : res;
    }
    if (n == 0 && p->role == WR_H1_REQUEST) {
        if (p->_empty_lines == EMPTY_LINES_MAX) {
            return refuse(p, WR_H1_BAD_EMPTY_LINES);
        }
        p->_empty_lines++;
        p->skipped = end;
        return WR_H1_MORE;
    }
    res = p->role == WR_H1_REQUEST ? take_request_line(p, line, n) : take_status_line(p, line, n);
    if (res != WR_H1_DONE) {
        return res;
    }
    p->_stage = STAGE_FIELDS;
    return p->_msg->version == 9 ? WR_H1_DONE : WR_H1_MORE;
}

/*
 * The line at _line has no end within `avail`, all bytes that it may use. What is wrong already is
 * told before a limit, which is only reached later.
 */
static enum wr_h1_result take_part(struct wr_h1_parser *p, const char *buf, size_t len,
                                   size_t avail, size_t bound)
{
    const char *line = buf + p->_line;
    size_t n = avail - p->_line;
    bool is_line_limit = bound < p->limits.head_max;

    if (p->_stage == STAGE_START && n > 0) {
        struct request_line r = {0};
        struct status_line s = {0};
        size_t part = line[n - 1] == '\r' ? n - 1 : n; /* its LF may come */
        enum wr_h1_result res = p->role == WR_H1_REQUEST
                                    ? scan_request_line(p, line, part, false, &r)
                                    : scan_status_line(p, line, part, false, &s);
        if (res == WR_H1_MORE && len < bound) {
            return WR_H1_MORE;
        }
        if (p->role == WR_H1_REQUEST) {
            p->_msg->request_line = wr_str(line, part);
        }
        p->_line = avail; /* so that this slice follows a move too */
        if (res == WR_H1_BAD) {
            return res;
        }
        if (p->role == WR_H1_REQUEST || is_line_limit) {
            return refuse(p, WR_H1_BAD_LINE_TOO_LONG);
        }
    }
    if (len < bound) {
        return WR_H1_MORE;
    }
    p->_msg->dropped = wr_str(line, n);
    p->_line = avail; /* so that this slice follows a move too */
    return refuse(p, is_line_limit ? WR_H1_BAD_FIELD_TOO_LONG : WR_H1_BAD_HEAD_TOO_LONG);
}

void wr_h1_parser_init(struct wr_h1_parser *p, enum wr_h1_role role,
                       const struct wr_h1_limits *limits, unsigned options, struct wr_msg *msg)
{
    *p = (struct wr_h1_parser){.role = role, .options = options, .limits = *limits, ._msg = msg};
    msg->content_length = WR_LENGTH_UNKNOWN;
    if (msg->hdrs.max > limits->fields_max) {
        msg->hdrs.max = limits->fields_max;
    }
}

/*
 * The LF of the line at _line, or NULL. *ret_is_clean: the line was looked at from its beginning,
 * and nothing in it but its end is a control byte; else it may have some.
 */
static const char *find_line_end(const struct wr_h1_parser *p, const char *buf, size_t avail,
                                 bool *ret_is_clean)
{
    const char *at = buf + p->_seen;
    size_t n = p->_seen < avail ? avail - p->_seen : 0, i = wr_scan_control(at, n);

    *ret_is_clean = false;
    if (i == n) {
        return NULL;
    }
    if (at[i] == '\r' && i + 1 < n) {
        i++;
    }
    if (at[i] == '\n') {
        *ret_is_clean = p->_seen == p->_line;
        return at + i;
    }
    return memchr(at + i, '\n', n - i);
}

static inline bool is_crlf(const char *p)
{
    return memcmp(p, "\r\n", 2) == 0;
}

/*
 * Index of the first control byte, or HTAB, of line[0..room), or room, where the first 16 bytes
 * have none.
 */
static inline size_t find_far_end(const char *line, size_t room)
{
    size_t i = 0, last = room - 16;
    unsigned ends;

    do {
        i = WR_MIN(i + 16, last); /* a byte that is looked at twice has none */
        ends = wr_scan_controls(wr_scan_load(line + i));
    } while (ends == 0 && i < last);
    return ends != 0 ? i + wr_scan_first(ends) : room;
}

/* Index of the first blank or control byte of t[0..room), room >= 16, or room. */
static inline size_t find_target_end(const char *t, size_t room)
{
    size_t i = 0, last = room - 16;

    for (;;) {
        unsigned gaps = wr_scan_gaps(wr_scan_load(t + i));
        if (gaps != 0) {
            return i + wr_scan_first(gaps);
        }
        if (i == last) {
            return room;
        }
        i = WR_MIN(i + 16, last);
    }
}

/* A field line of no control byte at all: its first 16 bytes, its name, its length. */
struct usual_field {
    union wr_scan_16 x;
    size_t colon, n;
};

/* False: there is no field line at `line` that ends with CR LF within `room`, or it is not usual.
 */
static inline bool find_usual_field(const char *line, size_t room, struct usual_field *u)
{
    if (WR_LIKELY(room >= 16)) {
        u->x = wr_scan_load(line);
    } else if (room >= 4) {
        u->x = wr_scan_load_part(line, room);
    } else {
        return false;
    }
    unsigned ends = wr_scan_controls(u->x), colons = wr_scan_matches(u->x, ':');
    size_t n = ends != 0 ? wr_scan_first(ends) : find_far_end(line, room);
    if (WR_UNLIKELY(n + 2 > room || !is_crlf(line + n))) {
        return false;
    }
    u->n = n;
    u->colon = WR_LIKELY(colons != 0) ? wr_scan_first(colons) : wr_str_find(wr_str(line, n), ':');
    return u->colon < n && u->colon > 0;
}

/* All but the id. */
static inline void write_usual_field(const char *line, const struct usual_field *u,
                                     struct wr_hdr *f)
{
    const char *a = line + u->colon + 1, *e = line + u->n;

    f->name = wr_str(line, u->colon);
    f->is_removed = false;
    if (WR_LIKELY(a[0] == ' ' && a[1] != ' ' && e[-1] != ' ')) { /* at its end stands a CR */
        f->value = wr_str(a + 1, (size_t)(e - a) - 1);
        f->is_line = true;
    } else {
        f->value = trim_value(a, e);
        f->is_line = a[0] == ' ';
    }
}

/*
 * The field lines that are as nearly all are, whole, within the limits, and ended by CR LF, one
 * after another. MORE: the next one, at _line, is not, or is empty; else NOMEM.
 */
static enum wr_h1_result take_usual_fields(struct wr_h1_parser *p, const char *buf, size_t len)
{
    const char *line = buf + p->_line, *end = buf + WR_MIN(len, (size_t)p->limits.head_max);
    const size_t line_max = p->limits.line_max;
    struct wr_hdrs *h = &p->_msg->hdrs;
    struct wr_hdr *f = h->at + h->cnt, *last = h->at + h->cap;
    uint64_t have = h->have;
    enum wr_status st = WR_OK;
    struct usual_field u;

    while (find_usual_field(line, WR_MIN((size_t)(end - line), line_max), &u)) {
        enum wr_hdr_id id = wr_hdr_id_of_clean(u.x, line, u.colon);
        if (WR_UNLIKELY(id == WR_HDR_OTHER) && judge_name(p, wr_str(line, u.colon)) != NAME_GOOD) {
            break;
        }
        if (WR_UNLIKELY(f == last)) {
            h->cnt = h->cap;
            st = wr_hdrs_grow(h);
            if (st != WR_OK) {
                break;
            }
            f = h->at + h->cnt;
            last = h->at + h->cap;
        }
        write_usual_field(line, &u, f);
        f->id = (uint8_t)id;
        f++;
        have |= UINT64_C(1) << id;
        line += u.n + 2;
    }
    h->cnt = (uint32_t)(f - h->at);
    h->have = have;
    p->_line = p->_seen = (size_t)(line - buf);
    return st == WR_ENOMEM ? WR_H1_NOMEM : WR_H1_MORE; /* too many: the general way tells */
}

/* The empty line is over: the head is, if it is good. */
static enum wr_h1_result end_head(struct wr_h1_parser *p, size_t end)
{
    enum wr_h1_result res = finish_head(p);

    p->_line = p->_seen = end;
    if (res == WR_H1_DONE) {
        p->head_len = end;
        p->_stage = STAGE_DONE;
    }
    return res;
}

/* "GET /path HTTP/1.1" and the like. False: it is another, and nothing was taken. */
static bool take_usual_request_line(struct wr_h1_parser *p, const char *line, size_t room)
{
    unsigned blanks = wr_scan_matches(wr_scan_load(line), ' ');
    struct wr_msg *m = p->_msg;

    if (blanks == 0) {
        return false;
    }
    size_t n = wr_scan_first(blanks);
    const char *t = line + n + 1;
    enum wr_method id =
        memcmp(line, "GET ", 4) == 0 ? WR_METHOD_GET : wr_method_of(wr_str(line, n));
    if (id == WR_METHOD_OTHER || id == WR_METHOD_CONNECT || t[0] != '/') {
        return false;
    }
    size_t len = find_target_end(t, room - n - 1);
    const char *v = t + len;
    if (room - (size_t)(v - line) < VERSION_LEN + 3 || memcmp(v, " HTTP/1.", VERSION_LEN) != 0 ||
        (v[VERSION_LEN] != '1' && v[VERSION_LEN] != '0') || !is_crlf(v + VERSION_LEN + 1)) {
        return false;
    }
    m->request_line = wr_str(line, (size_t)(v - line) + VERSION_LEN + 1);
    m->method = id;
    m->method_name = wr_str(line, n);
    m->target = wr_str(t, len);
    m->version = v[VERSION_LEN] == '1' ? 11 : 10;
    p->_line += m->request_line.len + 2;
    return true;
}

/* "HTTP/1.1 200 OK" and the like. */
static bool take_usual_status_line(struct wr_h1_parser *p, const char *line, size_t room)
{
    struct wr_msg *m = p->_msg;
    unsigned a = (unsigned char)line[STATUS_END - 3] - (unsigned)'0';
    unsigned b = (unsigned char)line[STATUS_END - 2] - (unsigned)'0';
    unsigned c = (unsigned char)line[STATUS_END - 1] - (unsigned)'0';

    if (memcmp(line, "HTTP/1.1 ", VERSION_LEN + 1) != 0 || line[STATUS_END] != ' ' || a - 1 > 8 ||
        b > 9 || c > 9) {
        return false;
    }
    unsigned ends = wr_scan_controls(wr_scan_load(line));
    size_t n = ends != 0 ? wr_scan_first(ends) : find_far_end(line, room);
    if (room - n < 2 || !is_crlf(line + n)) {
        return false;
    }
    m->version = 11;
    m->status = (uint16_t)(a * 100 + b * 10 + c);
    m->reason = wr_str(line + STATUS_END + 1, n - STATUS_END - 1);
    p->_line += n + 2;
    return true;
}

/* The line at _line, if it is whole and a usual one. */
static bool take_usual_first_line(struct wr_h1_parser *p, const char *buf, size_t len)
{
    size_t room =
        WR_MIN(WR_MIN(len, (size_t)p->limits.head_max) - p->_line, (size_t)p->limits.line_max);

    if (room < USUAL_ROOM) {
        return false;
    }
    const char *line = buf + p->_line;
    return p->role == WR_H1_REQUEST ? take_usual_request_line(p, line, room)
                                    : take_usual_status_line(p, line, room);
}

/*
 * What of a head is whole and usual, unless a part of the line at _line was looked at already.
 * MORE: there may be more than that, from _line on.
 */
static enum wr_h1_result take_usual_lines(struct wr_h1_parser *p, const char *buf, size_t len)
{
    if (p->_seen != p->_line) {
        return WR_H1_MORE;
    }
    if (p->_stage == STAGE_START) {
        if (!take_usual_first_line(p, buf, len)) {
            return WR_H1_MORE;
        }
        p->_stage = STAGE_FIELDS;
    }
    if (take_usual_fields(p, buf, len) == WR_H1_NOMEM) {
        return WR_H1_NOMEM;
    }
    size_t room = WR_MIN(len, (size_t)p->limits.head_max) - p->_line;
    if (WR_MIN(room, (size_t)p->limits.line_max) >= 2 && is_crlf(buf + p->_line)) {
        return end_head(p, p->_line + 2);
    }
    return WR_H1_MORE;
}

/* The line at _line, of any kind, if it is whole. DONE: it was taken. */
static enum wr_h1_result take_any_line(struct wr_h1_parser *p, const char *buf, size_t len)
{
    size_t bound = WR_MIN(p->_line + p->limits.line_max, (size_t)p->limits.head_max);
    size_t avail = WR_MIN(len, bound);
    bool is_clean;
    const char *lf = find_line_end(p, buf, avail, &is_clean);

    if (lf == NULL) {
        p->_seen = avail;
        return take_part(p, buf, len, avail, bound);
    }
    const char *line = buf + p->_line;
    size_t n = (size_t)(lf - line), end = (size_t)(lf - buf) + 1;
    if (n > 0 && line[n - 1] == '\r') {
        n--;
    }
    enum wr_h1_result res = take_line(p, line, n, end, is_clean);
    if (res == WR_H1_NOMEM) {
        return res;
    }
    /* Behind it also when it is refused: its slices are in msg and follow a move. */
    p->_line = p->_seen = end;
    if (res == WR_H1_DONE) {
        p->head_len = end;
        p->_stage = STAGE_DONE;
    }
    return res == WR_H1_MORE ? WR_H1_DONE : res;
}

enum wr_h1_result wr_h1_parse(struct wr_h1_parser *p, const char *buf, size_t len)
{
    WR_DEBUG_ASSERT(len >= p->_seen);
    if (p->_base != buf && p->_base != NULL) {
        wr_msg_move(p->_msg, p->_base, p->_line, buf);
    }
    p->_base = buf;
    if (p->_stage >= STAGE_DONE) {
        return p->_stage == STAGE_DONE ? WR_H1_DONE : WR_H1_BAD;
    }
    for (;;) {
        enum wr_h1_result res = take_usual_lines(p, buf, len);
        if (WR_LIKELY(res != WR_H1_MORE)) {
            return res;
        }
        res = take_any_line(p, buf, len);
        if (res != WR_H1_DONE || p->_stage == STAGE_DONE) {
            return res;
        }
    }
}

/* long: one case for each reason */
const char *wr_h1_bad_text(enum wr_h1_bad bad)
{
    switch (bad) {
    case WR_H1_BAD_NONE:
        return "nothing wrong";
    case WR_H1_BAD_LINE:
        return "invalid first line";
    case WR_H1_BAD_METHOD:
        return "invalid method";
    case WR_H1_BAD_TARGET:
        return "invalid request target";
    case WR_H1_BAD_VERSION:
        return "invalid version";
    case WR_H1_BAD_MAJOR:
        return "unsupported major version";
    case WR_H1_BAD_FIELD:
        return "invalid header line";
    case WR_H1_BAD_HOST:
        return "missing, repeated or invalid Host";
    case WR_H1_BAD_FRAMING:
        return "contradictory Content-Length and Transfer-Encoding";
    case WR_H1_BAD_LENGTH:
        return "invalid Content-Length";
    case WR_H1_BAD_CODING:
        return "unknown Transfer-Encoding";
    case WR_H1_BAD_LINE_TOO_LONG:
        return "too long first line";
    case WR_H1_BAD_FIELD_TOO_LONG:
        return "too long header line";
    case WR_H1_BAD_HEAD_TOO_LONG:
        return "too big header";
    case WR_H1_BAD_FIELDS:
        return "too many header lines";
    case WR_H1_BAD_EMPTY_LINES:
        return "too many empty lines before the request";
    case WR_H1_BAD_NOT_HTTP:
        return "no status line";
    }
    WR_UNREACHABLE();
}

unsigned wr_h1_bad_status(enum wr_h1_bad bad)
{
    switch (bad) {
    case WR_H1_BAD_MAJOR:
        return 505;
    case WR_H1_BAD_CODING:
        return 501;
    case WR_H1_BAD_LINE_TOO_LONG:
        return 414;
    case WR_H1_BAD_FIELD_TOO_LONG:
    case WR_H1_BAD_HEAD_TOO_LONG:
    case WR_H1_BAD_FIELDS:
        return 494;
    case WR_H1_BAD_NONE:
    case WR_H1_BAD_LINE:
    case WR_H1_BAD_METHOD:
    case WR_H1_BAD_TARGET:
    case WR_H1_BAD_VERSION:
    case WR_H1_BAD_FIELD:
    case WR_H1_BAD_HOST:
    case WR_H1_BAD_FRAMING:
    case WR_H1_BAD_LENGTH:
    case WR_H1_BAD_EMPTY_LINES:
    case WR_H1_BAD_NOT_HTTP:
        return 400;
    }
    WR_UNREACHABLE();
}
