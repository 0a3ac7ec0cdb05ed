/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_table.c: see status_table.h. A table is a list of columns over a JSON array of objects;
 * widths are measured first, so that each object is formatted twice and nothing is kept.
 */
#include "observe/status_table.h"

#include <jansson.h>
#include <string.h>

#include "base/codec.h"

#define CELL_MAX 512 /* bytes of a cell; longer ones are cut */
#define COLS_MAX 12

typedef void wr_cell_fn(const json_t *row, const char *key, struct wr_strbuf *b);

struct column {
    const char *title;
    const char *key;
    wr_cell_fn *write;
    bool is_right; /* numbers */
};

/* --- cells --- */

static void write_text(const json_t *row, const char *key, struct wr_strbuf *b)
{
    const json_t *v = json_object_get(row, key);

    if (json_is_string(v)) {
        wr_codec_escape(b, wr_str(json_string_value(v), json_string_length(v)), WR_ESCAPE_ERRLOG);
    } else {
        wr_strbuf_add_char(b, '-');
    }
}

static void write_num(const json_t *row, const char *key, struct wr_strbuf *b)
{
    const json_t *v = json_object_get(row, key);

    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        wr_strbuf_add_u64(b, (uint64_t)json_integer_value(v));
    } else {
        wr_strbuf_add_char(b, '-');
    }
}

static uint64_t num_of(const json_t *row, const char *key)
{
    const json_t *v = json_object_get(row, key);

    return json_is_integer(v) && json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
}

static bool is_true(const json_t *row, const char *key)
{
    return json_is_true(json_object_get(row, key));
}

/* "3 d 4 h", "12 min 5 s", "0.250 s". */
static void add_time(struct wr_strbuf *b, uint64_t ms)
{
    uint64_t s = ms / 1000;

    if (s >= 86400) {
        wr_strbuf_printf(b, "%llu d %llu h", (unsigned long long)(s / 86400),
                         (unsigned long long)(s % 86400 / 3600));
    } else if (s >= 3600) {
        wr_strbuf_printf(b, "%llu h %llu min", (unsigned long long)(s / 3600),
                         (unsigned long long)(s % 3600 / 60));
    } else if (s >= 60) {
        wr_strbuf_printf(b, "%llu min %llu s", (unsigned long long)(s / 60),
                         (unsigned long long)(s % 60));
    } else {
        wr_strbuf_printf(b, "%llu.%llu s", (unsigned long long)s,
                         (unsigned long long)(ms % 1000 / 100));
    }
}

static void write_time(const json_t *row, const char *key, struct wr_strbuf *b)
{
    if (json_object_get(row, key) == NULL) {
        wr_strbuf_add_char(b, '-');
    } else {
        add_time(b, num_of(row, key));
    }
}

static void add_bytes(struct wr_strbuf *b, uint64_t n)
{
    static const char *const units[] = {"B", "KB", "MB", "GB"};
    uint64_t tenths = n * 10;
    size_t u = 0;

    while (tenths >= 10240 && u + 1 < WR_ARRAY_LEN(units)) {
        tenths /= 1024;
        u++;
    }
    wr_strbuf_printf(b, "%llu.%llu %s", (unsigned long long)(tenths / 10),
                     (unsigned long long)(tenths % 10), units[u]);
}

static void write_load(const json_t *row, const char *key, struct wr_strbuf *b)
{
    const json_t *v = json_object_get(row, key);

    if (json_is_number(v)) {
        wr_strbuf_printf(b, "%.1f %%", json_number_value(v) * 100);
    } else {
        wr_strbuf_add_char(b, '-');
    }
}

static void write_thread_state(const json_t *row, const char *key, struct wr_strbuf *b)
{
    const char *s = json_string_value(json_object_get(row, key));

    if (s != NULL && strcmp(s, "silent") == 0) {
        wr_strbuf_add_z(b, "does not answer");
    } else {
        write_text(row, key, b);
    }
}

static void write_number(const json_t *row, const char *key, struct wr_strbuf *b)
{
    write_num(row, key, b);
    if (is_true(row, "served")) {
        wr_strbuf_add_z(b, " (served)");
    }
}

static void write_peer_state(const json_t *row, const char *key, struct wr_strbuf *b)
{
    write_text(row, key, b);
    if (json_object_get(row, "out_for_ms") != NULL) {
        wr_strbuf_add_z(b, ", next try in ");
        add_time(b, num_of(row, "out_for_ms"));
    }
    if (is_true(row, "backup")) {
        wr_strbuf_add_z(b, ", backup");
    }
}

/* "of" the maximum where there is one. */
static void write_active(const json_t *row, const char *key, struct wr_strbuf *b)
{
    write_num(row, key, b);
    if (num_of(row, "max_conns") > 0) {
        wr_strbuf_add_z(b, " of ");
        write_num(row, "max_conns", b);
    }
}

static void write_fails(const json_t *row, const char *key, struct wr_strbuf *b)
{
    write_num(row, key, b);
    wr_strbuf_add_z(b, " of ");
    write_num(row, "max_fails", b);
}

static void write_weight(const json_t *row, const char *key, struct wr_strbuf *b)
{
    write_num(row, "effective_weight", b);
    wr_strbuf_add_z(b, " of ");
    write_num(row, key, b);
}

/* The server as configured, and its address where that is another text. */
static void write_server(const json_t *row, const char *key, struct wr_strbuf *b)
{
    const char *server = json_string_value(json_object_get(row, key));
    const char *address = json_string_value(json_object_get(row, "address"));

    write_text(row, key, b);
    if (server != NULL && address != NULL && strcmp(server, address) != 0) {
        wr_strbuf_add_z(b, " (");
        write_text(row, "address", b);
        wr_strbuf_add_char(b, ')');
    }
}

/* --- tables --- */

static struct wr_str format_cell(const struct column *c, const json_t *row, char room[CELL_MAX])
{
    struct wr_strbuf b;

    wr_strbuf_init_fixed(&b, room, CELL_MAX);
    c->write(row, c->key, &b);
    return wr_strbuf_str(&b);
}

/* Columns as a terminal shows them: bytes that continue a character have no width. */
static size_t width_of(struct wr_str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    }
    return n;
}

static void pad(struct wr_strbuf *b, size_t n)
{
    for (; n > 0; n--) {
        wr_strbuf_add_char(b, ' ');
    }
}

static void add_cell(struct wr_strbuf *b, struct wr_str text, size_t width, const struct column *c,
                     bool is_last)
{
    size_t n = width_of(text), room = width > n ? width - n : 0;

    if (c->is_right) {
        pad(b, room);
    }
    wr_strbuf_add_str(b, text);
    if (!is_last) {
        pad(b, (c->is_right ? 0 : room) + 2);
    }
}

static void write_table(const json_t *rows, const struct column *cols, size_t cnt,
                        struct wr_strbuf *b)
{
    size_t widths[COLS_MAX], i;
    char room[CELL_MAX];
    const json_t *row;

    for (size_t k = 0; k < cnt; k++) {
        widths[k] = strlen(cols[k].title);
        json_array_foreach(rows, i, row)
        {
            size_t n = width_of(format_cell(&cols[k], row, room));

            widths[k] = WR_MAX(widths[k], n);
        }
    }
    wr_strbuf_add_z(b, "  ");
    for (size_t k = 0; k < cnt; k++) {
        add_cell(b, wr_str_z(cols[k].title), widths[k], &cols[k], k + 1 == cnt);
    }
    wr_strbuf_add_char(b, '\n');
    json_array_foreach(rows, i, row)
    {
        wr_strbuf_add_z(b, "  ");
        for (size_t k = 0; k < cnt; k++) {
            add_cell(b, format_cell(&cols[k], row, room), widths[k], &cols[k], k + 1 == cnt);
        }
        wr_strbuf_add_char(b, '\n');
    }
}

static void write_threads(const json_t *report, struct wr_strbuf *b)
{
    static const struct column cols[] = {
        {"thread",      "number",                write_num,          true },
        {"load",        "load",                  write_load,         true },
        {"connections", "connections",           write_num,          true },
        {"requests",    "requests",              write_num,          true },
        {"idle peers",  "idle_peer_connections", write_num,          true },
        {"descriptors", "descriptors",           write_num,          true },
        {"state",       "state",                 write_thread_state, false}
    };

    write_table(json_object_get(report, "threads"), cols, WR_ARRAY_LEN(cols), b);
}

static void write_configurations(const json_t *report, struct wr_strbuf *b)
{
    static const struct column cols[] = {
        {"configuration",     "number",      write_number, false},
        {"age",               "age_ms",      write_time,   true },
        {"held by: requests", "requests",    write_num,    true },
        {"connections",       "connections", write_num,    true },
        {"threads",           "threads",     write_num,    true }
    };

    wr_strbuf_add_char(b, '\n');
    write_table(json_object_get(report, "configurations"), cols, WR_ARRAY_LEN(cols), b);
}

static void write_group(const json_t *g, struct wr_strbuf *b)
{
    static const struct column cols[] = {
        {"server",   "server",   write_server,     false},
        {"active",   "active",   write_active,     true },
        {"requests", "requests", write_num,        true },
        {"failures", "failures", write_num,        true },
        {"fails",    "fails",    write_fails,      true },
        {"weight",   "weight",   write_weight,     true },
        {"state",    "state",    write_peer_state, false}
    };

    wr_strbuf_add_z(b, "\ngroup ");
    write_text(g, "name", b);
    wr_strbuf_add_z(b, ": ");
    write_text(g, "method", b);
    wr_strbuf_add_z(b, ", idle connections: ");
    write_num(g, "idle", b);
    wr_strbuf_add_z(b, " with threads, ");
    write_num(g, "shelf", b);
    wr_strbuf_add_z(b, " shared");
    if (num_of(g, "waiting") != 0) {
        wr_strbuf_add_z(b, ", in the queue: ");
        write_num(g, "waiting", b);
    }
    wr_strbuf_add_char(b, '\n');
    write_table(json_object_get(g, "peers"), cols, WR_ARRAY_LEN(cols), b);
}

static void write_zone(const json_t *z, struct wr_strbuf *b)
{
    wr_strbuf_add_z(b, "\nzone ");
    write_text(z, "name", b);
    wr_strbuf_add_z(b, ": ");
    write_text(z, "kind", b);
    wr_strbuf_add_z(b, ", ");
    add_bytes(b, num_of(z, "bytes"));
    wr_strbuf_add_z(b, ", keys: ");
    write_num(z, "keys", b);
    wr_strbuf_add_z(b, " of ");
    write_num(z, "room", b);
    wr_strbuf_add_z(b, ", forgotten: ");
    write_num(z, "forgotten", b);
    wr_strbuf_add_char(b, '\n');
}

static void write_pools(const json_t *report, struct wr_strbuf *b)
{
    const json_t *p = json_object_get(report, "pools");

    wr_strbuf_add_z(b, "\n  memory: ");
    add_bytes(b, num_of(p, "resident_bytes"));
    wr_strbuf_add_z(b, " resident, objects ");
    add_bytes(b, num_of(p, "objects_bytes"));
    wr_strbuf_add_z(b, ", bytes in transit ");
    add_bytes(b, num_of(p, "chunks_bytes"));
    wr_strbuf_add_char(b, '\n');
}

/* --- the whole --- */

static void write_worker(const json_t *w, struct wr_strbuf *b)
{
    const json_t *report = json_object_get(w, "report"), *g;
    const char *role = json_string_value(json_object_get(w, "role"));
    size_t i;

    wr_strbuf_add_z(b, "\nworker process ");
    write_num(w, "pid", b);
    wr_strbuf_add_z(b, ", up ");
    add_time(b, num_of(w, "uptime_ms"));
    if (role != NULL && strcmp(role, "serves") != 0) {
        wr_strbuf_add_z(b, strcmp(role, "comes") == 0 ? ", about to serve"
                                                      : ", ends when its requests have");
    }
    if (!json_is_object(report)) {
        wr_strbuf_add_z(b, "\n  ");
        write_text(w, "silent", b);
        if (json_is_number(json_object_get(w, "load"))) {
            wr_strbuf_add_z(b, ", load ");
            write_load(w, "load", b);
        }
        wr_strbuf_add_char(b, '\n');
        return;
    }
    wr_strbuf_add_char(b, '\n');
    write_threads(report, b);
    write_configurations(report, b);
    write_pools(report, b);
    if (role == NULL || strcmp(role, "leaves") != 0) {
        json_array_foreach(json_object_get(report, "groups"), i, g)
        {
            write_group(g, b);
        }
        json_array_foreach(json_object_get(report, "zones"), i, g)
        {
            write_zone(g, b);
        }
    }
}

static void write_head(const json_t *d, struct wr_strbuf *b)
{
    const json_t *last = json_object_get(d, "last_reload"), *v;
    size_t i;

    wr_strbuf_add_z(b, "weir ");
    write_text(d, "version", b);
    wr_strbuf_add_z(b, ", process ");
    write_num(d, "pid", b);
    wr_strbuf_add_z(b, ", up ");
    add_time(b, num_of(d, "uptime_ms"));
    wr_strbuf_add_z(b, ", state: ");
    write_text(d, "state", b);
    wr_strbuf_add_z(b, "\nconfiguration ");
    write_num(d, "configuration", b);
    wr_strbuf_add_z(b, " of ");
    write_text(d, "file", b);
    if (last != NULL) {
        wr_strbuf_add_z(b, is_true(last, "ok") ? ", reloaded " : "; the last reload FAILED ");
        add_time(b, num_of(last, "ago_ms"));
        wr_strbuf_add_z(b, " ago");
    }
    wr_strbuf_add_z(b, "\nlistens on");
    json_array_foreach(json_object_get(d, "listen"), i, v)
    {
        wr_strbuf_add_char(b, ' ');
        wr_codec_escape(b, wr_str_z(json_string_value(v)), WR_ESCAPE_ERRLOG);
    }
    wr_strbuf_add_char(b, '\n');
    if (json_object_get(d, "new_binary_pid") != NULL) {
        wr_strbuf_add_z(b, "a new binary takes over: process ");
        write_num(d, "new_binary_pid", b);
        wr_strbuf_add_char(b, '\n');
    }
    if (json_object_get(d, "old_binary_pid") != NULL) {
        wr_strbuf_add_z(b, "the old binary is still there: process ");
        write_num(d, "old_binary_pid", b);
        wr_strbuf_add_char(b, '\n');
    }
}

enum wr_status wr_status_table_write(struct wr_str json, struct wr_strbuf *b)
{
    json_t *d = json_loadb(json.ptr, json.len, 0, NULL);
    const json_t *w;
    size_t i;

    if (!json_is_object(d) || !json_is_array(json_object_get(d, "workers"))) {
        json_decref(d);
        return WR_EPROTO;
    }
    write_head(d, b);
    json_array_foreach(json_object_get(d, "workers"), i, w)
    {
        write_worker(w, b);
    }
    json_decref(d);
    return b->status;
}
