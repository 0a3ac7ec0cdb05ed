/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_gen.c: building a generation from a bundle beside the running one, giving it its
 * descriptors, and publishing it to all threads. One at a time: the supervisor waits for READY or
 * FAILED. Control thread.
 *
 * An entry of the tables of descriptors stays open while a generation that uses it lives (refs),
 * because a request of an old generation may still write to its log; wr_worker_sweep closes the
 * others. A generation that was published is freed here, whoever had the last reference: threads
 * that serve never wait for that.
 */
#include "main/worker_int.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/dirs.h"
#include "http/server.h"
#include "main/bundle.h"
#include "main/gen_files.h"
#include "main/modules.h"
#include "main/plugin.h"
#include "main/source_bundle.h"

#define DIAGS_CAP      ((size_t)4 << 20)
#define SWEEP_MS       2000
#define SWEEP_LATER_MS 60000 /* for what a very long request still held */

void wr_worker_tell(struct wr_worker *w, enum wr_chan_type type, uint64_t no, struct wr_str text)
{
    enum wr_status st = wr_chan_send(w->chan, type, no, wr_str_sub(text, 0, WR_CHAN_TEXT_MAX), -1);

    /* That it is gone is told by who receives from it. */
    if (st != WR_OK && st != WR_EPEERGONE) {
        wr_log(NULL, WR_LOG_ALERT, "the supervisor does not listen");
    }
}

static void tell_failed(struct wr_worker *w, uint64_t no, const char *why)
{
    wr_log(NULL, WR_LOG_EMERG, "configuration %llu was not taken: %s", (unsigned long long)no, why);
    wr_worker_tell(w, WR_CHAN_FAILED, no, wr_str_z(why));
}

/* The last thing of a generation: this descriptor is no longer used by it. Any thread. */
static void release_entry(void *data)
{
    struct wr_file_entry *e = data;

    (void)wr_sub_acqrel(&e->refs, 1);
}

static enum wr_status use_entry(struct wr_gen *g, struct wr_file_entry *e)
{
    (void)wr_add_acqrel(&e->refs, 1);
    if (wr_arena_on_fini(&g->arena, release_entry, e) != WR_OK) {
        release_entry(e);
        return WR_ENOMEM;
    }
    return WR_OK;
}

struct give {
    struct wr_worker *w;
    struct wr_gen *g;
};

static enum wr_status give_log(void *data, struct wr_str path, int *fd, bool is_default)
{
    struct give *give = data;
    struct wr_file_entry *e = wr_files_find(&give->w->logs, path, 0);

    if (e == NULL && is_default) {
        return WR_OK; /* the supervisor could not open it and said so */
    }
    if (e == NULL) {
        wr_log(NULL, WR_LOG_ALERT, "the supervisor sent no log \"%.*s\"", WR_STR_ARG(path));
        return WR_ECONFIG;
    }
    *fd = e->fd;
    e->is_new = false;
    return use_entry(give->g, e);
}

static enum wr_status give_port(struct wr_worker *w, struct wr_gen *g, struct wr_port *p)
{
    char text[WR_ADDR_TEXT_MAX];
    struct wr_str name = wr_str(text, wr_addr_write(&p->opts.addr, text));
    uint32_t cnt = 0;

    while (wr_files_find(&w->listeners, name, cnt) != NULL) {
        cnt++;
    }
    p->fds = wr_arena_alloc(&g->arena, (cnt + 1) * sizeof(*p->fds));
    if (cnt == 0 || p->fds == NULL) {
        return cnt == 0 ? WR_ECONFIG : WR_ENOMEM;
    }
    p->fd_cnt = cnt;
    for (uint32_t i = 0; i < cnt; i++) {
        struct wr_file_entry *e = wr_files_find(&w->listeners, name, i);

        p->fds[i] = e->fd;
        e->is_wanted = true;
    }
    return WR_OK;
}

/* Descriptors of logs and ports, as the supervisor sent them. */
static enum wr_status give_files(struct wr_worker *w, struct wr_gen *g)
{
    struct give give = {w, g};
    struct wr_http *http = wr_http_of(g);
    struct wr_file_entry *e = NULL;
    enum wr_status st = wr_gen_logs_each(g, give_log, &give);

    while ((e = wr_files_next(&w->listeners, e)) != NULL) {
        e->is_wanted = false;
    }
    for (size_t i = 0; http != NULL && i < http->port_cnt && st == WR_OK; i++) {
        st = give_port(w, g, &http->ports[i]);
    }
    return st;
}

static enum wr_status build(struct wr_worker *w, uint64_t no, struct wr_bundle *b,
                            struct wr_gen **ret_gen)
{
    static struct wr_main_load kind = {.is_worker = true}; /* outlives the load */
    struct wr_gen *gen = NULL, *failed = NULL;
    struct wr_conf_source source;
    struct wr_conf_opts o = {.registry = wr_modules_registry(),
                             .source = &source,
                             .path = wr_bundle_fact(b, "conf"),
                             .prefix = wr_bundle_fact(b, "prefix"),
                             .cmdline = wr_bundle_fact(b, "cmdline"),
                             .prepare = wr_plugins_prepare,
                             .data = &kind,
                             .gen_no = no,
                             .fixtures = &w->fixtures};
    struct wr_diags diags;
    struct wr_arena a;
    enum wr_status st;

    wr_source_bundle_init(&source, b);
    wr_arena_init(&a, DIAGS_CAP);
    wr_diags_init(&diags, &a);
    st = wr_conf_load(&o, &diags, &gen, &failed);
    /* Warnings were said by the supervisor; an error here is one that the dry run did not see. */
    for (const struct wr_diag *e = diags.head; e != NULL && st != WR_OK; e = e->next) {
        char room[1024];
        struct wr_strbuf text;

        wr_strbuf_init_fixed(&text, room, sizeof(room));
        wr_diag_write_text(e, &text);
        wr_log(NULL, e->level, "%.*s", WR_STR_ARG(wr_strbuf_str(&text)));
    }
    wr_gen_unref(failed);
    wr_arena_fini(&a);
    if (st == WR_OK) {
        st = give_files(w, gen);
    }
    if (st != WR_OK) {
        wr_gen_unref(gen);
        return st;
    }
    *ret_gen = gen;
    return WR_OK;
}

/* --- how many live --- */

/* Control thread. */
static void run_gone(struct wr_mail *mail)
{
    struct wr_gen_mark *m = wr_container_of(mail, struct wr_gen_mark, gone);

    struct wr_worker *w = m->worker;

    wr_gen_free(wr_take(&m->gen));
    m->no = 0;
    if (!w->is_quitting) {
        w->sweep_cnt = 0;
        wr_timer_arm(&w->sweep, wr_now_ms() + SWEEP_MS);
    }
}

/* The last reference of a generation is gone. Any thread. */
static void post_gone(void *data)
{
    struct wr_gen_mark *m = data;

    m->gone.run = run_gone;
    wr_mailbox_post(m->worker->mailbox, &m->gone);
}

/* The place for a generation; when too many live, the oldest one's requests end. */
static struct wr_gen_mark *find_place(struct wr_worker *w)
{
    struct wr_gen_mark *place = NULL, *oldest = NULL;
    unsigned live = 0;

    for (size_t i = 0; i < WR_ARRAY_LEN(w->gens); i++) {
        struct wr_gen_mark *m = &w->gens[i];

        if (m->no == 0) {
            place = m;
            continue;
        }
        live++;
        oldest = oldest == NULL || m->no < oldest->no ? m : oldest;
    }
    if (live >= WR_GENS_MAX) {
        wr_log(NULL, WR_LOG_WARN,
               "%u configurations are still in use: requests of the oldest one, %llu, end now",
               live, (unsigned long long)oldest->no);
        wr_worker_post_end_old(w, oldest->no);
    }
    return place;
}

static enum wr_status mark_live(struct wr_worker *w, struct wr_gen *g)
{
    struct wr_gen_mark *m = find_place(w);

    if (m == NULL) {
        return WR_ELIMIT; /* those that were told to end have not yet */
    }
    m->no = g->no;
    m->gen = g;
    m->worker = w;
    wr_gen_on_last(g, post_gone, m);
    m->since_ms = wr_now_ms();
    return WR_OK;
}

void wr_worker_load(struct wr_worker *w, uint64_t no, int bundle_fd)
{
    struct wr_file_entry *e = wr_files_find(&w->logs, WR_STR(""), 0);
    struct wr_bundle b;
    enum wr_status st;

    if (w->coming != NULL || w->is_quitting) {
        tell_failed(w, no, "another one is being published, or the worker ends");
        return;
    }
    st = wr_bundle_open(&b, bundle_fd);
    if (st == WR_OK) {
        st = build(w, no, &b, &w->coming);
        wr_bundle_close(&b);
    }
    if (st == WR_OK && mark_live(w, w->coming) != WR_OK) {
        st = WR_ELIMIT;
        wr_gen_unref(w->coming);
        w->coming = NULL;
    }
    if (st != WR_OK) {
        tell_failed(w, no, wr_status_name(st));
        return;
    }
    w->adopted_cnt = 0;
    w->adopt_status = WR_OK;
    /* Before threads start: what the generation began by itself (names) may tell something. */
    wr_gen_install_sinks(w->coming, e != NULL ? e->fd : STDERR_FILENO);
    if (w->threads != NULL) {
        wr_worker_publish(w);
        return;
    }
    wr_plugins_freeze();
    if (wr_worker_start_threads(w, wr_main_conf_of(w->coming)) != WR_OK) {
        w->has_failed = true;
        tell_failed(w, no, "threads could not be started");
    }
}

void wr_worker_publish(struct wr_worker *w)
{
    wr_worker_post_adopt(w, w->coming);
}

/* ret_remote: one of them has an address that somebody may be on the way to. */
static bool has_removed(struct wr_worker *w, bool *ret_remote)
{
    struct wr_file_entry *e = NULL;
    bool has_one = false;

    *ret_remote = false;
    while ((e = wr_files_next(&w->listeners, e)) != NULL) {
        if (!e->is_wanted) {
            has_one = true;
            *ret_remote = *ret_remote || !wr_str_has_prefix(e->name, WR_STR("unix:"));
        }
    }
    return has_one;
}

/* Every thread has duplicates of the new ones only. */
static void finish(struct wr_worker *w)
{
    struct wr_file_entry *e, *next;

    for (e = wr_files_next(&w->listeners, NULL); e != NULL; e = next) {
        next = wr_files_next(&w->listeners, e);
        if (!e->is_wanted) {
            wr_files_remove(e);
        }
    }
    wr_worker_tell(w, WR_CHAN_READY, w->gen->no, WR_STR(""));
    if (w->gen->no > 1) {
        w->sweep_cnt = 0;
        wr_timer_arm(&w->sweep, wr_now_ms() + SWEEP_MS);
    }
}

void wr_worker_note_removed(struct wr_worker *w, uint64_t no)
{
    if (no == w->gen->no && w->removed_cnt > 0 && --w->removed_cnt == 0 && !w->is_quitting) {
        finish(w);
    }
}

void wr_worker_close_removed(struct wr_worker *w)
{
    if (!w->is_quitting) {
        w->removed_cnt = wr_worker_post_close_removed(w, w->gen->no);
    }
}

static void close_old(struct wr_worker *w)
{
    bool is_remote;

    if (!has_removed(w, &is_remote)) {
        finish(w);
    } else if (is_remote) {
        wr_timer_arm(&w->linger, wr_now_ms() + WR_LINGER_MS);
    } else {
        wr_worker_close_removed(w);
    }
}

void wr_worker_note_adopted(struct wr_worker *w, enum wr_status st)
{
    if (st != WR_OK) {
        w->adopt_status = st;
    }
    if (++w->adopted_cnt < w->thread_cnt) {
        return;
    }
    if (w->adopt_status != WR_OK) {
        tell_failed(w, w->coming->no, wr_status_name(w->adopt_status));
        wr_gen_unref(w->coming);
        (void)wr_worker_post_close_removed(w, 0);
    } else {
        wr_gen_unref(w->gen);
        w->gen = w->coming;
    }
    w->coming = NULL;
    if (w->is_quitting) {
        wr_worker_close_listeners(w);
        wr_worker_note_closed(w);
    } else if (w->adopt_status == WR_OK) {
        close_old(w);
    }
}

void wr_worker_sweep(struct wr_worker *w)
{
    struct wr_file_entry *e, *next;

    (void)wr_fixtures_sweep(&w->fixtures);
    for (e = wr_files_next(&w->logs, NULL); e != NULL; e = next) {
        next = wr_files_next(&w->logs, e);
        if (e->name.len > 0 && !e->is_new && wr_load_acq(&e->refs) == 0) {
            wr_files_remove(e);
        }
    }
    if (!w->is_quitting) {
        wr_timer_arm(&w->sweep, wr_now_ms() + (w->sweep_cnt++ < 8 ? SWEEP_MS : SWEEP_LATER_MS));
    }
}
