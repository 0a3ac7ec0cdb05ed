/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c: a new configuration beside the running one.
 *
 *   HUP -> load (disk) -> logs, folders, sockets -> LOAD to the worker  -> READY: commit
 *                                                or to a second worker  -> READY: commit, the first
 *                                                                          one drains: CLOSED
 *
 * Only when a worker says READY does it become what a restarted worker gets, and only then are
 * sockets closed that it no longer names. Any failure before that leaves everything as it was. Who
 * waits for the reload hears of it when nothing takes connections with the old one any more.
 */
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "conf/tree.h"
#include "main/notify.h"
#include "main/say.h"
#include "main/supervisor_int.h"

#define LEAVE_MS 5000 /* a worker that has not closed its listeners by then is not waited for */

static bool is_same_env(const struct wr_strs *a, const struct wr_strs *b)
{
    for (uint32_t i = 0; i < a->cnt && i < b->cnt; i++) {
        if (!wr_str_eq(a->at[i], b->at[i])) {
            return false;
        }
    }
    return a->cnt == b->cnt;
}

static bool is_same_affinity(const struct wr_main_affinity *a, const struct wr_main_affinity *b)
{
    return a->is_auto == b->is_auto && a->cnt == b->cnt &&
           (a->cnt == 0 || memcmp(a->at, b->at, a->cnt * sizeof(*a->at)) == 0);
}

/* A running worker keeps its user, not its limit of descriptors; to raise that needs a capability.
 */
static bool can_set_nofile(const struct wr_child *c, const struct wr_main_conf *old,
                           const struct wr_main_conf *new)
{
    struct rlimit r = {.rlim_cur = (rlim_t) new->rlimit_nofile,
                       .rlim_max = (rlim_t) new->rlimit_nofile};

    if (new->rlimit_nofile == old->rlimit_nofile) {
        return true;
    }
    return new->rlimit_nofile != 0 && c->pid > 0 && prlimit(c->pid, RLIMIT_NOFILE, &r, NULL) == 0;
}

/* The first directive that a running worker cannot take on; NULL: there is none. */
static const char *find_fixed(const struct wr_child *c, const struct wr_gen *before,
                              const struct wr_gen *now)
{
    const struct wr_main_conf *old = wr_main_conf_of(before), *new = wr_main_conf_of(now);

    if (before->registry != now->registry) {
        return "load_module";
    }
    if (new->threads != old->threads) {
        return "worker_processes";
    }
    if (new->uid != old->uid || new->gid != old->gid || new->has_user != old->has_user) {
        return "user";
    }
    if (!is_same_env(&new->env, &old->env)) {
        return "env";
    }
    if (!is_same_affinity(&new->affinity, &old->affinity)) {
        return "worker_cpu_affinity";
    }
    if (!wr_str_eq(new->working_directory, old->working_directory)) {
        return "working_directory";
    }
    if (new->priority != old->priority) {
        return "worker_priority";
    }
    if (new->rlimit_core != old->rlimit_core) {
        return "worker_rlimit_core";
    }
    return can_set_nofile(c, old, new) ? NULL : "worker_rlimit_nofile";
}

/* " in FILE:LINE" of a main directive, where it stands now or stood before. */
static void write_place(const struct wr_gen *now, const struct wr_gen *before, const char *name,
                        struct wr_strbuf *b)
{
    const struct wr_node *n = wr_node_find(now->tree, wr_str_z(name));
    const char *what = "";

    if (n == NULL || n->file == NULL) {
        n = wr_node_find(before->tree, wr_str_z(name));
        what = " (it was there before)";
    }
    if (n != NULL && n->file != NULL) {
        wr_strbuf_printf(b, " in %.*s:%u%s", WR_STR_ARG(n->file->path), n->line, what);
    }
}

/* Must another worker process take over? Says why. */
static bool needs_second(struct wr_supervisor *s)
{
    const char *name = find_fixed(s->child, s->now.gen, s->coming.gen);
    char room[4200];
    struct wr_strbuf place;

    if (name == NULL) {
        return false;
    }
    wr_strbuf_init_fixed(&place, room, sizeof(room));
    write_place(s->coming.gen, s->now.gen, name, &place);
    if (s->is_solo) {
        wr_say(WR_LOG_WARN, 0,
               "\"%s\" has changed%.*s: with \"master_process off\" that takes effect when weir is "
               "started again",
               name, WR_STR_ARG(wr_strbuf_str(&place)));
        return false;
    }
    wr_say(WR_LOG_NOTICE, 0,
           "\"%s\" has changed%.*s: a second worker takes over, the first one ends when its "
           "requests have",
           name, WR_STR_ARG(wr_strbuf_str(&place)));
    return true;
}

static enum wr_status hand_over(struct wr_supervisor *s)
{
    enum wr_status st;

    if (s->child != NULL && !needs_second(s)) {
        st = wr_child_send_load(s->child, &s->coming, false);
        if (st != WR_OK) {
            wr_say(WR_LOG_ALERT, 0, "the worker could not be sent the configuration: %s",
                   wr_status_name(st));
        }
        return st;
    }
    s->next = wr_child_start(s, &s->coming, WR_CHILD_COMES);
    return s->next != NULL ? WR_OK : WR_ESYS;
}

/* The old binary of an upgrade serves again, as it did. */
static void come_back(struct wr_supervisor *s)
{
    wr_log(NULL, WR_LOG_NOTICE, "a worker starts with the configuration it had");
    s->is_winched = false;
    s->backoff_ms = 0;
    if (s->child != NULL) { /* it drains */
        s->child->role = WR_CHILD_LEAVES;
        s->child = NULL;
    }
    wr_supervisor_ensure_worker(s);
}

void wr_supervisor_reload(struct wr_supervisor *s)
{
    if (s->is_winched) {
        come_back(s);
        return;
    }
    if (s->coming.gen != NULL || s->leaver != NULL || (s->child != NULL && !s->child->is_ready)) {
        s->want_reload = true; /* when the worker has answered */
        return;
    }
    s->want_reload = false;
    wr_ctl_reload_begins(&s->ctl);
    wr_say(WR_LOG_NOTICE, 0, "reconfiguring");
    wr_notify_reloading();
    if (wr_load_disk_aside(s->start, s->gen_no + 1, &s->coming) != WR_OK) {
        wr_notify_ready(s->now.gen->no);
        wr_ctl_reload_ends(&s->ctl, false);
        return;
    }
    s->gen_no++;
    if (wr_resources_prepare(&s->res, s->coming.gen) != WR_OK || hand_over(s) != WR_OK) {
        wr_supervisor_give_up(s);
    }
}

void wr_supervisor_reload_again(struct wr_supervisor *s)
{
    if (s->want_reload && !s->is_ending) {
        wr_supervisor_reload(s);
    }
}

void wr_supervisor_give_up(struct wr_supervisor *s)
{
    if (s->coming.gen == NULL) {
        return;
    }
    wr_resources_rollback(&s->res);
    wr_loaded_end(&s->coming);
    wr_notify_ready(s->now.gen->no);
    wr_ctl_reload_ends(&s->ctl, false);
    wr_supervisor_ensure_worker(s);
}

static void follow_pidfile(struct wr_supervisor *s, const struct wr_main_conf *mc)
{
    struct wr_pidfile fresh;
    struct wr_pidfile_fault f;

    if (s->start->has_no_pidfile || s->upgrade.is_parked || wr_str_eq_z(mc->pid, s->pidfile.path)) {
        return;
    }
    if (wr_pidfile_open(&fresh, mc->pid.ptr, &f) != WR_OK) {
        wr_say(WR_LOG_EMERG, f.err, "%s() \"%.*s\" failed, the old pid file stays", f.call,
               WR_STR_ARG(mc->pid));
        return;
    }
    wr_pidfile_close(&s->pidfile);
    s->pidfile = fresh;
    wr_ctl_follow(&s->ctl);
}

void wr_supervisor_tell_leaver(struct wr_supervisor *s)
{
    s->is_leaver_told = true;
    wr_timer_arm(&s->leave, wr_now_ms() + LEAVE_MS);
    wr_child_tell_end(s->leaver, WR_CHAN_QUIT);
}

static void take_over(struct wr_supervisor *s, struct wr_child *c)
{
    bool is_last = !wr_upgrade_is_shared(s), lingers;

    wr_loaded_end(&s->now);
    s->now = s->coming;
    s->coming = (struct wr_loaded){NULL, -1};
    wr_resources_install_log(&s->res, s->now.gen);
    lingers = wr_resources_commit(&s->res, is_last) && is_last;
    follow_pidfile(s, wr_main_conf_of(s->now.gen));
    if (c != s->next) {
        return;
    }
    s->next = NULL;
    wr_timer_disarm(&s->restart); /* of the one that died meanwhile */
    if (s->child != NULL) {
        s->leaver = s->child;
        s->leaver->role = WR_CHILD_LEAVES;
        s->is_leaver_told = false;
        if (lingers) {
            wr_timer_arm(&s->leave, wr_now_ms() + WR_LINGER_MS);
        } else {
            wr_supervisor_tell_leaver(s);
        }
    }
    s->child = c;
    c->role = WR_CHILD_SERVES;
    if (s->is_winched) {
        wr_child_tell_end(c, WR_CHAN_QUIT);
    }
}

static void note_served(struct wr_supervisor *s, uint64_t no)
{
    wr_log(NULL, WR_LOG_NOTICE, "configuration %llu is being served", (unsigned long long)no);
    if (!s->is_served) {
        wr_supervisor_note_first_ready(s);
    }
    if (!s->is_ending) {
        wr_notify_ready(no);
    }
    wr_supervisor_reload_again(s);
}

void wr_supervisor_note_ready(struct wr_child *c, uint64_t no)
{
    struct wr_supervisor *s = c->s;

    if (s->coming.gen != NULL && s->coming.gen->no == no) {
        take_over(s, c);
        if (s->leaver != NULL) {
            return; /* it still takes connections */
        }
        wr_ctl_reload_ends(&s->ctl, true);
    }
    note_served(s, no);
}

void wr_supervisor_note_closed(struct wr_child *c)
{
    struct wr_supervisor *s = c->s;

    if (c != s->leaver) {
        return;
    }
    s->leaver = NULL;
    wr_timer_disarm(&s->leave);
    wr_ctl_reload_ends(&s->ctl, true);
    note_served(s, s->now.gen->no);
}

void wr_supervisor_note_failed(struct wr_child *c, uint64_t no, struct wr_str why)
{
    struct wr_supervisor *s = c->s;

    wr_say(WR_LOG_EMERG, 0, "the worker did not take configuration %llu: %.*s",
           (unsigned long long)no, WR_STR_ARG(why));
    if (c == s->next) {
        s->next = NULL;
        c->role = WR_CHILD_LEAVES;
    }
    if (s->coming.gen != NULL && s->coming.gen->no == no) {
        wr_supervisor_give_up(s);
    }
    /* A worker without a configuration is of no use. */
    if (!c->is_ready) {
        wr_child_tell_end(c, WR_CHAN_STOP);
    }
    wr_supervisor_reload_again(s);
}
