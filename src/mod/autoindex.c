/* SPDX-License-Identifier: Apache-2.0 */
/*
 * autoindex.c: `autoindex on`: a folder without an index file is answered with a list of what is in
 * it, as html, json, jsonp or xml; hidden names are left out, folders come first, then bytes
 * decide.
 *
 *   READ     http/folder_read.h: names and facts into `names` and `entries`, sorted; heap
 *   WRITE    entry by entry into the response's pipe, as fast as the client takes it
 *
 * A list has at most ENTRIES_MAX names; the response is never in memory as a whole. The shape is
 * that of nginx, byte by byte, for scripts that read it. Request's thread, but take and finish.
 */
#include "mod/autoindex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "conf/types.h"
#include "http/files_conf.h"
#include "http/folder_read.h"
#include "http/module.h"
#include "http/open_file.h"
#include "http/path.h"
#include "http/var.h"
#include "io/pipe.h"

#define ENTRIES_MAX  (1u << 20)
#define NAMES_MAX    ((size_t)256 << 20) /* bytes of all names: as many as ENTRIES_MAX may have */
#define LINE_MAX_LEN 4096                /* a name has 255 bytes; each becomes 6 at most, and 3 */
#define NAME_COLUMN  50                  /* of html: longer names are cut */
#define PIPE_HIGH    65536
#define CALLBACK_MAX 4096

enum format {
    FORMAT_HTML,
    FORMAT_JSON,
    FORMAT_JSONP,
    FORMAT_XML
};

struct autoindex_loc {
    struct wr_conf_head head;
    bool is_on, is_local, is_exact;
    uint32_t format; /* enum format */
};

static struct wr_conf_module autoindex_conf;

struct entry {
    size_t at; /* in names */
    const char *name;
    uint32_t len;
    bool is_dir, is_file;
    uint64_t size;
    int64_t mtime;
};

/* The reading; heap. */
struct list {
    struct wr_folder_read fr; /* first */
    struct wr_strbuf names;
    struct entry *entries;
    uint32_t cnt, cap;
    char path[];
};

struct autoindex {
    struct wr_content content; /* first */
    struct list *list;
    uint32_t format;
    struct wr_str callback; /* jsonp; empty: none was given */
    struct wr_pipe *out;    /* producer end; NULL: READ, or it was left */
    uint32_t next;          /* entry */
    bool is_utf8;           /* `charset utf-8` holds: columns of html count characters */
    bool is_ended;
};

/* ---- reading: any thread ----------------------------------------------------------------------
 */

static struct list *list_of(struct wr_folder_read *fr)
{
    return wr_container_of(fr, struct list, fr);
}

static enum wr_status grow(struct list *l)
{
    uint32_t cap = l->cap == 0 ? 64 : l->cap * 2;
    struct entry *at;

    if (l->cnt < l->cap) {
        return WR_OK;
    }
    if (l->cnt >= ENTRIES_MAX) {
        return WR_ELIMIT;
    }
    at = wr_run_realloc(l->entries, cap * sizeof(*at));
    if (!at) {
        return WR_ENOMEM;
    }
    l->entries = at;
    l->cap = cap;
    return WR_OK;
}

static enum wr_status take(struct wr_folder_read *fr, const struct wr_folder_name *n)
{
    struct list *l = list_of(fr);
    struct wr_file_facts facts;
    enum wr_status st;
    int err = 0;

    if (n->name[0] == '.' || wr_folder_look(fr->folder, n->name, &facts, &err) != WR_OK) {
        return WR_OK; /* gone since, or none of our business */
    }
    st = grow(l);
    if (st != WR_OK) {
        return st;
    }
    l->entries[l->cnt++] = (struct entry){
        .at = l->names.len,
        .len = (uint32_t)n->len,
        .is_dir = facts.is_dir,
        .is_file = facts.is_regular,
        .size = facts.size,
        .mtime = facts.mtime < 0 ? 0 : facts.mtime,
    };
    wr_strbuf_add(&l->names, n->name, n->len + 1);
    return l->names.status;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->is_dir != y->is_dir) {
        return x->is_dir ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static void finish(struct wr_folder_read *fr)
{
    struct list *l = list_of(fr);

    for (uint32_t i = 0; i < l->cnt; i++) {
        l->entries[i].name = l->names.ptr + l->entries[i].at;
    }
    if (l->cnt > 1) {
        qsort(l->entries, l->cnt, sizeof(*l->entries), compare);
    }
}

static void free_list(struct wr_folder_read *fr)
{
    struct list *l = list_of(fr);

    wr_strbuf_fini(&l->names);
    wr_mem_free(l->entries);
    wr_mem_free(l);
}

static const struct wr_folder_ops list_ops = {.take = take, .finish = finish, .free = free_list};

/* ---- writing ----------------------------------------------------------------------------------
 */

static void add_spaces(struct wr_strbuf *b, size_t n)
{
    static const char blanks[] = "                                                   ";

    wr_strbuf_add(b, blanks, WR_MIN(n, sizeof(blanks) - 1));
}

static bool is_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* As one segment of a URI (RFC 3986 2.3): whatever it is, it is no ':' or '/'. */
static void add_segment(struct wr_strbuf *b, struct wr_str s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (is_unreserved(c)) {
            wr_strbuf_add_char(b, (char)c);
        } else {
            wr_strbuf_add(b, (char[3]){'%', hex[c >> 4], hex[c & 15]}, 3);
        }
    }
}

static void add_size(struct wr_strbuf *b, uint64_t size, bool is_exact)
{
    static const struct {
        uint64_t unit;
        char letter;
    } units[] = {
        {UINT64_C(1) << 30, 'G'},
        {UINT64_C(1) << 20, 'M'},
        {UINT64_C(1) << 10, 'K'},
    };

    if (is_exact) {
        wr_strbuf_printf(b, "%20llu", (unsigned long long)size);
        return;
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(units); i++) {
        uint64_t from = units[i].letter == 'K' ? 10000 : units[i].unit;

        if (size >= from) {
            wr_strbuf_printf(b, "%7llu%c",
                             (unsigned long long)((size + units[i].unit / 2) / units[i].unit),
                             units[i].letter);
            return;
        }
    }
    wr_strbuf_printf(b, "%8llu", (unsigned long long)size);
}

/* Bytes of the character at the front of s; 0: none of UTF-8. */
static size_t utf8_at(struct wr_str s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    size_t n = c < 0x80                ? 1
               : c >= 0xc2 && c < 0xe0 ? 2
               : c >= 0xe0 && c < 0xf0 ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;

    if (n > s.len) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)s.ptr[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

/*
 * Width of a name, and how many bytes of it stay when it is too wide. A name that is no UTF-8
 * counts by bytes as a whole.
 */
static size_t measure(struct wr_str name, bool is_utf8, size_t *ret_cut)
{
    size_t width = 0, at = 0, cut = 0;

    *ret_cut = NAME_COLUMN - 3;
    while (is_utf8 && at < name.len) {
        size_t n = utf8_at(wr_str_sub(name, at, name.len));

        if (n == 0) {
            return name.len;
        }
        at += n;
        if (++width == NAME_COLUMN - 3) {
            cut = at;
        }
    }
    if (!is_utf8) {
        return name.len;
    }
    *ret_cut = cut;
    return width;
}

static void add_html(struct wr_strbuf *b, const struct autoindex *ai,
                     const struct autoindex_loc *lc, const struct entry *e)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct wr_str name = wr_str(e->name, e->len);
    time_t t = (time_t)e->mtime;
    size_t cut = 0, shown = measure(name, ai->is_utf8, &cut);
    struct tm tm;

    wr_strbuf_add_z(b, "<a href=\"");
    add_segment(b, name);
    wr_strbuf_add_z(b, e->is_dir ? "/\">" : "\">");
    if (shown > NAME_COLUMN) {
        wr_codec_escape(b, wr_str_sub(name, 0, cut), WR_ESCAPE_HTML);
        wr_strbuf_add_z(b, "..&gt;</a>");
        shown = NAME_COLUMN;
    } else {
        wr_codec_escape(b, name, WR_ESCAPE_HTML);
        if (e->is_dir && shown < NAME_COLUMN) {
            wr_strbuf_add_char(b, '/');
            shown++;
        }
        wr_strbuf_add_z(b, "</a>");
    }
    add_spaces(b, NAME_COLUMN + 1 - shown);
    if ((lc->is_local ? localtime_r(&t, &tm) : gmtime_r(&t, &tm)) == NULL) {
        t = 0;
        (void)gmtime_r(&t, &tm); /* a year that has no number */
    }
    wr_strbuf_printf(b, "%02d-%s-%d %02d:%02d", tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
                     tm.tm_hour, tm.tm_min);
    if (e->is_dir) {
        add_spaces(b, lc->is_exact ? 19 : 7);
        wr_strbuf_add_char(b, '-');
    } else {
        add_size(b, e->size, lc->is_exact);
    }
    wr_strbuf_add_z(b, "\r\n");
}

static const char *kind_of(const struct entry *e)
{
    return e->is_dir ? "directory" : e->is_file ? "file" : "other";
}

static void add_json(struct wr_strbuf *b, const struct entry *e, bool is_last)
{
    char date[WR_HTTP_DATE_LEN];

    wr_strbuf_add_z(b, "{ \"name\":\"");
    wr_codec_escape(b, wr_str(e->name, e->len), WR_ESCAPE_JSON);
    wr_clock_write_http_date(date, e->mtime);
    wr_strbuf_printf(b, "\", \"type\":\"%s\", \"mtime\":\"%.*s\"", kind_of(e), WR_HTTP_DATE_LEN,
                     date);
    if (e->is_file) {
        wr_strbuf_printf(b, ", \"size\":%llu", (unsigned long long)e->size);
    }
    wr_strbuf_add_z(b, is_last ? " }\r\n" : " },\r\n");
}

static void add_xml(struct wr_strbuf *b, const struct entry *e)
{
    time_t t = (time_t)e->mtime;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL) {
        t = 0;
        (void)gmtime_r(&t, &tm);
    }
    wr_strbuf_printf(b, "<%s mtime=\"%04d-%02d-%02dT%02d:%02d:%02dZ\"", kind_of(e),
                     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                     tm.tm_sec);
    if (e->is_file) {
        wr_strbuf_printf(b, " size=\"%llu\"", (unsigned long long)e->size);
    }
    wr_strbuf_add_char(b, '>');
    wr_codec_escape(b, wr_str(e->name, e->len), WR_ESCAPE_HTML);
    wr_strbuf_printf(b, "</%s>\r\n", kind_of(e));
}

static void add_entry(struct wr_strbuf *b, const struct autoindex *ai, uint32_t i)
{
    const struct autoindex_loc *lc = wr_req_conf(ai->content.req, &autoindex_conf, WR_KIND_LOC);
    const struct entry *e = &ai->list->entries[i];

    switch ((enum format)ai->format) {
    case FORMAT_HTML:
        add_html(b, ai, lc, e);
        return;
    case FORMAT_JSON:
    case FORMAT_JSONP:
        add_json(b, e, i + 1 == ai->list->cnt);
        return;
    case FORMAT_XML:
        add_xml(b, e);
        return;
    }
    WR_UNREACHABLE();
}

static enum wr_status write_begin(const struct autoindex *ai)
{
    struct wr_req *r = ai->content.req;
    struct wr_strbuf b;

    wr_strbuf_init_arena(&b, r->arena, 16 * LINE_MAX_LEN);
    switch ((enum format)ai->format) {
    case FORMAT_HTML:
        wr_strbuf_add_z(&b, "<html>\r\n<head><title>Index of ");
        wr_codec_escape(&b, r->uri.path, WR_ESCAPE_HTML);
        wr_strbuf_add_z(&b, "</title></head>\r\n<body>\r\n<h1>Index of ");
        wr_codec_escape(&b, r->uri.path, WR_ESCAPE_HTML);
        wr_strbuf_add_z(&b, "</h1><hr><pre><a href=\"../\">../</a>\r\n");
        break;
    case FORMAT_JSONP:
        wr_strbuf_printf(&b, "/* callback */\r\n%.*s(", WR_STR_ARG(ai->callback));
        wr_strbuf_add_z(&b, "[\r\n");
        break;
    case FORMAT_JSON:
        wr_strbuf_add_z(&b, "[\r\n");
        break;
    case FORMAT_XML:
        wr_strbuf_add_z(&b, "<?xml version=\"1.0\"?>\r\n<list>\r\n");
        break;
    }
    return b.status == WR_OK ? wr_pipe_push_copy(ai->out, b.ptr, b.len) : b.status;
}

static enum wr_status write_end(const struct autoindex *ai)
{
    struct wr_str s = WR_STR_NULL;

    switch ((enum format)ai->format) {
    case FORMAT_HTML:
        s = WR_STR("</pre><hr></body>\r\n</html>\r\n");
        break;
    case FORMAT_JSON:
        s = WR_STR("]");
        break;
    case FORMAT_JSONP:
        s = WR_STR("]);");
        break;
    case FORMAT_XML:
        s = WR_STR("</list>\r\n");
        break;
    }
    return wr_pipe_push_copy(ai->out, s.ptr, s.len);
}

static void leave_out(struct autoindex *ai)
{
    if (ai->out) {
        wr_pipe_leave_producer(wr_take(&ai->out));
    }
}

/* As much as the pipe takes now. */
static void write_on(struct autoindex *ai)
{
    char line[LINE_MAX_LEN];
    enum wr_status st = WR_OK;

    while (st == WR_OK && ai->next < ai->list->cnt) {
        struct wr_strbuf b;

        if (!wr_pipe_can_push(ai->out)) {
            return;
        }
        wr_strbuf_init_fixed(&b, line, sizeof(line));
        add_entry(&b, ai, ai->next++);
        st = b.status == WR_OK ? wr_pipe_push_copy(ai->out, b.ptr, b.len) : b.status;
    }
    if (st == WR_OK) {
        st = write_end(ai);
    }
    if (st == WR_OK) {
        wr_pipe_eof(ai->out);
    } else {
        wr_pipe_fail(ai->out, st == WR_EPEERGONE ? WR_REASON_CLIENT_GONE : WR_REASON_NOMEM);
    }
    leave_out(ai);
    ai->is_ended = true;
    wr_req_end(ai->content.req);
}

/* ---- the content ------------------------------------------------------------------------------
 */

static struct wr_str type_of(uint32_t format)
{
    switch ((enum format)format) {
    case FORMAT_HTML:
        return WR_STR("text/html");
    case FORMAT_JSON:
        return WR_STR("application/json");
    case FORMAT_JSONP:
        return WR_STR("application/javascript");
    case FORMAT_XML:
        return WR_STR("text/xml; charset=utf-8");
    }
    WR_UNREACHABLE();
}

/* The filters have run: what they said of the charset is in the head. */
static bool is_utf8(const struct wr_req *r)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->out.hdrs, WR_HDR_CONTENT_TYPE);
    struct wr_str word = WR_STR("; charset=utf-8");

    return h && h->value.len > word.len &&
           wr_str_ieq(wr_str_sub(h->value, h->value.len - word.len, word.len), word);
}

static void respond(struct autoindex *ai)
{
    struct wr_req *r = ai->content.req;

    r->out.status = 200;
    r->out_type = type_of(ai->format);
    ai->out = wr_pipe_new(PIPE_HIGH, &r->task, NULL);
    if (!ai->out) {
        wr_req_fail(r, 500);
        return;
    }
    r->out_pipe = ai->out;
    if (write_begin(ai) != WR_OK) {
        wr_pipe_leave_consumer(wr_take(&r->out_pipe));
        leave_out(ai);
        wr_req_fail(r, 500);
        return;
    }
    if (wr_req_respond(r) != WR_OK) {
        wr_req_cancel(r, WR_REASON_CLIENT_GONE); /* the first reason stays */
        return;
    }
    ai->is_utf8 = is_utf8(r);
    write_on(ai);
}

static void fail_read(struct autoindex *ai)
{
    struct wr_req *r = ai->content.req;
    const struct list *l = ai->list;
    enum wr_log_level level = WR_LOG_ERROR;
    unsigned status = 500;

    if (l->fr.status != WR_ESYS) {
        wr_log(&r->log, WR_LOG_ERROR, "the folder \"%s\" is too large for a list: %s", l->path,
               wr_status_name(l->fr.status));
        wr_req_fail(r, 500);
        return;
    }
    if (wr_open_is_missing(l->fr.err)) {
        status = 404;
    } else if (l->fr.err == EACCES || l->fr.err == ELOOP) {
        status = 403;
    } else {
        level = WR_LOG_CRIT;
    }
    wr_log_errno(&r->log, level, l->fr.err, "opendir() \"%s\" failed", l->path);
    wr_req_fail(r, status);
}

static void step(struct wr_content *content)
{
    struct autoindex *ai = wr_container_of(content, struct autoindex, content);
    struct wr_req *r = content->req;
    enum wr_status st;

    if (ai->is_ended) {
        return;
    }
    if (ai->out) {
        write_on(ai);
        return;
    }
    st = wr_folder_read_run(&ai->list->fr, r);
    if (st == WR_AGAIN) {
        return;
    }
    if (st != WR_OK) {
        wr_log(&r->log, WR_LOG_ERROR, "no thread reads the folder \"%s\": %s", ai->list->path,
               wr_status_name(st));
        wr_req_fail(r, 500);
    } else if (ai->list->fr.status != WR_EOF) {
        fail_read(ai);
    } else {
        respond(ai);
    }
}

static void close_content(struct wr_content *content)
{
    struct autoindex *ai = wr_container_of(content, struct autoindex, content);

    leave_out(ai);
    wr_folder_read_leave(&ai->list->fr);
}

static const struct wr_content_ops ops = {
    .name = "autoindex", .step = step, .close = close_content};

/* ---- the handler ------------------------------------------------------------------------------
 */

static enum wr_phase_result fail(struct wr_req *r, unsigned status)
{
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

/* What "callback" of the query names, as it stands there; no more than a name. */
static bool read_callback(const struct wr_req *r, struct wr_str *ret)
{
    struct wr_str args = r->uri.args, arg, name = WR_STR("callback=");

    *ret = WR_STR_NULL;
    while (wr_str_split(&args, '&', &arg)) {
        if (wr_str_has_iprefix(arg, name)) {
            *ret = wr_str_sub(arg, name.len, arg.len);
            break;
        }
    }
    for (size_t i = 0; i < ret->len; i++) {
        char c = ret->ptr[i];

        if (!is_unreserved((unsigned char)c) || c == '-' || c == '~') {
            return false;
        }
    }
    return ret->len <= CALLBACK_MAX;
}

static struct list *make_list(struct wr_req *r, struct wr_str path)
{
    struct list *l = wr_run_zalloc(sizeof(*l) + path.len + 1);

    if (!l) {
        return NULL;
    }
    memcpy(l->path, path.ptr, path.len);
    l->fr.ops = &list_ops;
    l->fr.path = l->path;
    wr_strbuf_init(&l->names, NAMES_MAX);
    if (wr_files_how(r, path, &l->fr.how) != WR_OK) {
        free_list(&l->fr);
        return NULL;
    }
    return l;
}

static enum wr_phase_result begin(struct wr_req *r, const struct autoindex_loc *lc)
{
    struct autoindex *ai = wr_arena_zalloc(r->arena, sizeof(*ai));
    struct wr_str path;
    enum wr_status st = ai ? wr_path_map(r, r->uri.path, &path) : WR_ENOMEM;

    if (st != WR_OK) {
        return fail(r, st == WR_ENOMEM ? 500 : 404);
    }
    ai->format = lc->format;
    if (lc->format == FORMAT_JSONP) {
        if (!read_callback(r, &ai->callback)) {
            wr_log(&r->log, WR_LOG_INFO, "client sent invalid callback name");
            return fail(r, 400);
        }
        ai->format = ai->callback.len > 0 ? FORMAT_JSONP : FORMAT_JSON;
    }
    ai->list = make_list(r, path);
    if (!ai->list) {
        return fail(r, 500);
    }
    ai->content.ops = &ops;
    ai->content.req = r;
    r->content = &ai->content;
    return WR_PHASE_DONE;
}

static enum wr_phase_result run(struct wr_req *r)
{
    const struct autoindex_loc *lc = wr_req_conf(r, &autoindex_conf, WR_KIND_LOC);

    if (!lc->is_on || !wr_str_has_suffix(r->uri.path, WR_STR("/")) ||
        (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD)) {
        return WR_PHASE_NEXT;
    }
    return begin(r, lc);
}

/* ---- directives -------------------------------------------------------------------------------
 */

static const struct wr_word format_words[] = {
    {"html",  FORMAT_HTML },
    {"json",  FORMAT_JSON },
    {"jsonp", FORMAT_JSONP},
    {"xml",   FORMAT_XML  },
    WR_WORDS_END
};

static enum wr_status set_autoindex(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    enum wr_status st = wr_files_need_default(cf);

    return st == WR_OK ? wr_set_flag(cf, dir, node, conf) : st;
}

static const struct wr_dir dirs[] = {
    {.name = "autoindex",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = set_autoindex,
     WR_DIR_FIELD(LOC,     struct autoindex_loc, is_on),
     .def = "off",
     .doc = "List a folder that has no index file?"},
    {.name = "autoindex_format",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_enum,
     .data = format_words,
     WR_DIR_FIELD(LOC,                           struct autoindex_loc, format),
     .def = "html",
     .doc = "As html, json, jsonp (the callback is an argument of the request) or xml."},
    {.name = "autoindex_exact_size",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_flag,
     WR_DIR_FIELD(LOC,   struct autoindex_loc,                           is_exact),
     .def = "on",
     .doc = "In html: sizes in bytes? Else in K, M and G."                                   },
    {.name = "autoindex_localtime",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_flag,
     WR_DIR_FIELD(LOC,   struct autoindex_loc,                           is_local),
     .def = "off",
     .doc = "In html: times of the server's zone? Else UTC."                                  },
    WR_DIR_END
};

static struct wr_conf_module autoindex_conf = {
    .name = "autoindex", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct autoindex_loc)}};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_CONTENT, 200, run}
};

const struct wr_module wr_autoindex_module = {
    .conf = &autoindex_conf, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
