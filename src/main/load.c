/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c: see load.h. Messages are said before the half-built generation ends, because their places
 * point at its files.
 */
#include "main/load.h"

#include <errno.h>
#include <unistd.h>

#include "conf/dirs.h"
#include "conf/tree.h"
#include "event/thread.h"
#include "main/bundle.h"
#include "main/main_conf.h"
#include "main/modules.h"
#include "main/plugin.h"
#include "main/say.h"
#include "main/source_disk.h"

#define DIAGS_CAP ((size_t)4 << 20)

static void add_facts(struct wr_bundle_writer *w, const struct wr_start *s)
{
    wr_bundle_add(w, WR_BUNDLE_FACT, WR_STR("conf"), 0, s->conf);
    wr_bundle_add(w, WR_BUNDLE_FACT, WR_STR("prefix"), 0, s->prefix);
    wr_bundle_add(w, WR_BUNDLE_FACT, WR_STR("cmdline"), 0, s->cmdline);
}

static enum wr_status load(const struct wr_start *s, uint64_t no, struct wr_bundle_writer *bundle,
                           struct wr_gen **ret_gen)
{
    static struct wr_main_load kind; /* is_worker false; outlives the load */
    struct wr_source_disk disk = {.bundle = bundle};
    struct wr_gen *gen = NULL, *failed = NULL;
    struct wr_conf_source source;
    struct wr_conf_opts o = {.registry = wr_modules_registry(),
                             .source = &source,
                             .path = s->conf,
                             .prefix = s->prefix,
                             .cmdline = s->cmdline,
                             .prepare = wr_plugins_prepare,
                             .data = &kind,
                             .gen_no = no};
    struct wr_diags diags;
    struct wr_arena a;
    enum wr_status st;

    if (s->overlay.len > 0) {
        disk.overlay_path = s->conf;
        disk.overlay = s->overlay;
    }
    wr_source_disk_init(&source, &disk);
    wr_arena_init(&a, DIAGS_CAP);
    wr_diags_init(&diags, &a);
    st = wr_conf_load(&o, &diags, &gen, &failed);
    wr_say_diags(&diags);
    wr_gen_unref(failed);
    wr_arena_fini(&a);
    if (st == WR_OK) {
        *ret_gen = gen;
    }
    return st;
}

enum wr_status wr_load_disk(const struct wr_start *s, uint64_t no, bool with_bundle,
                            struct wr_loaded *ret)
{
    struct wr_loaded l = {NULL, -1};
    struct wr_bundle_writer w = {.fd = -1};
    enum wr_status st = WR_OK;

    if (with_bundle) {
        st = wr_bundle_begin(&w);
        if (st != WR_OK) {
            wr_say(WR_LOG_EMERG, errno, "memfd_create() failed");
            return st;
        }
        add_facts(&w, s);
    }
    st = load(s, no, with_bundle ? &w : NULL, &l.gen);
    if (st == WR_OK && with_bundle) {
        st = wr_bundle_end(&w, &l.bundle_fd);
        if (st != WR_OK) {
            wr_say(WR_LOG_EMERG, 0, "the configuration could not be bundled: %s",
                   wr_status_name(st));
        }
    }
    wr_bundle_abort(&w);
    if (st != WR_OK) {
        wr_loaded_end(&l);
        return st;
    }
    *ret = l;
    return WR_OK;
}

struct aside {
    const struct wr_start *start;
    uint64_t no;
    struct wr_loaded loaded;
    enum wr_status status;
};

static void run_aside(void *data)
{
    struct aside *a = data;

    wr_thread_step_aside();
    a->status = wr_load_disk(a->start, a->no, true, &a->loaded);
}

enum wr_status wr_load_disk_aside(const struct wr_start *s, uint64_t no, struct wr_loaded *ret)
{
    struct aside a = {.start = s, .no = no};
    struct wr_thread t;

    /* A thread of its own, because the nice value of this one would go to each new worker. */
    if (wr_thread_start(&t, 0, "weir load", run_aside, &a) != WR_OK) {
        return wr_load_disk(s, no, true, ret);
    }
    wr_thread_join(&t);
    if (a.status == WR_OK) {
        *ret = a.loaded;
    }
    return a.status;
}

enum wr_status wr_load_pid(const struct wr_start *s, enum wr_pid_flags how, struct wr_arena *a,
                           struct wr_str *ret)
{
    struct wr_source_disk disk = {.bundle = NULL};
    struct wr_conf_source source;
    const struct wr_node *n = NULL;
    struct wr_diags diags;
    struct wr_tree t;
    struct wr_str pid = WR_STR(WR_PID_PATH);
    enum wr_status st;

    wr_source_disk_init(&source, &disk);
    wr_diags_init(&diags, a);
    st = wr_tree_init(&t, a, &diags, &source);
    if (st == WR_OK && s->cmdline.len > 0) {
        st = wr_tree_parse_cmdline(&t, s->cmdline);
    }
    if (st == WR_OK) {
        st = wr_tree_parse_file(&t, s->conf);
    }
    if (t.root != NULL) {
        n = wr_node_find(t.root, WR_STR("pid"));
    }
    if (st != WR_OK && n == NULL) {
        if (how == WR_PID_SAY) {
            wr_say_diags(&diags);
        }
        return st;
    }
    if (n != NULL && n->arg_cnt > 0 && n->args[0].text.len > 0) {
        pid = n->args[0].text;
    }
    if (pid.ptr[0] == '/') {
        return wr_arena_printf(a, ret, "%.*s", WR_STR_ARG(pid));
    }
    return wr_arena_printf(a, ret, "%.*s%.*s", WR_STR_ARG(s->prefix), WR_STR_ARG(pid));
}

void wr_loaded_end(struct wr_loaded *l)
{
    wr_gen_unref(l->gen);
    l->gen = NULL;
    if (l->bundle_fd != -1) {
        (void)close(l->bundle_fd);
        l->bundle_fd = -1;
    }
}
