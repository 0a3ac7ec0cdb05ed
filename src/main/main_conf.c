/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main_conf.c: the rows of the main level and of events{}, and their setters. What other methods of
 * waiting, accept mutexes or dynamic modules would do is accepted and said so in the doc lines:
 * their presence changes nothing that a client sees. Control thread or supervisor, while a
 * generation is built.
 */
#include "main/main_conf.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"
#include "conf/scope.h"
#include "event/thread.h"
#include "http/server.h"
#include "main/load_module.h"
#include "up/group.h"

#define NAME_MAX_LEN 256

static bool is_worker(const struct wr_conf *cf)
{
    const struct wr_main_load *l = cf->opts->data;

    return l != NULL && l->is_worker;
}

/* A slice as a C string in buf; false when it is too long or has a NUL. */
static bool copy_z(struct wr_str s, char *buf, size_t size)
{
    if (s.len >= size || memchr(s.ptr, '\0', s.len) != NULL) {
        return false;
    }
    memcpy(buf, s.ptr, s.len);
    buf[s.len] = '\0';
    return true;
}

static enum wr_status find_group(struct wr_conf *cf, const struct wr_node *node,
                                 struct wr_main_conf *mc)
{
    char name[NAME_MAX_LEN];
    const struct group *gr = NULL;

    errno = 0;
    if (copy_z(mc->group, name, sizeof(name))) {
        gr = getgrnam(name);
    }
    if (gr == NULL) {
        return wr_conf_err_arg(cf, node, node->arg_cnt - 1, "getgrnam(\"%.*s\") failed",
                               WR_STR_ARG(mc->group));
    }
    mc->gid = gr->gr_gid;
    return WR_OK;
}

static enum wr_status set_user(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_main_conf *mc = conf;
    char name[NAME_MAX_LEN];
    const struct passwd *pw = NULL;

    (void)dir; /* one row */
    mc->user = wr_node_arg(node, 0);
    mc->group = node->arg_cnt > 1 ? wr_node_arg(node, 1) : mc->user;
    if (is_worker(cf)) {
        return WR_OK;
    }
    if (geteuid() != 0) {
        wr_conf_warn(cf, node,
                     "the \"user\" directive makes sense only if the master process runs with "
                     "super-user privileges, ignored");
        return WR_OK;
    }
    if (copy_z(mc->user, name, sizeof(name))) {
        pw = getpwnam(name);
    }
    if (pw == NULL) {
        return wr_conf_err_arg(cf, node, 0, "getpwnam(\"%.*s\") failed", WR_STR_ARG(mc->user));
    }
    mc->uid = pw->pw_uid;
    mc->has_user = true;
    return find_group(cf, node, mc);
}

static enum wr_status set_threads(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct wr_main_conf *mc = conf;
    uint64_t n;

    (void)dir; /* one row */
    if (wr_str_eq(wr_node_arg(node, 0), WR_STR("auto"))) {
        n = wr_thread_cpus();
    } else if (wr_num_parse_u64(wr_node_arg(node, 0), UINT32_MAX, &n) != WR_OK || n == 0) {
        return wr_conf_err_dir(cf, node, "invalid value");
    }
    if (n > WR_THREADS_MAX && !is_worker(cf)) {
        wr_conf_warn(cf, node, "%u threads are the most there can be", (unsigned)WR_THREADS_MAX);
    }
    mc->threads = (uint32_t)WR_MIN(n, WR_THREADS_MAX);
    mc->threads_node = node->file != NULL ? node : NULL;
    return WR_OK;
}

static enum wr_status set_priority(struct wr_conf *cf, const struct wr_dir *dir,
                                   const struct wr_node *node, void *conf)
{
    struct wr_main_conf *mc = conf;
    struct wr_str s = wr_node_arg(node, 0);
    bool is_minus = s.len > 0 && s.ptr[0] == '-';
    uint64_t n;

    (void)dir; /* one row */
    if (is_minus || (s.len > 0 && s.ptr[0] == '+')) {
        s = wr_str_sub(s, 1, s.len);
    }
    if (wr_num_parse_u64(s, 20, &n) != WR_OK) {
        return wr_conf_err_arg(cf, node, 0, "invalid number \"%.*s\"",
                               WR_STR_ARG(wr_node_arg(node, 0)));
    }
    mc->priority = is_minus ? -(int32_t)n : (int32_t)n;
    return WR_OK;
}

static enum wr_status set_rlimit_core(struct wr_conf *cf, const struct wr_dir *dir,
                                      const struct wr_node *node, void *conf)
{
    (void)dir; /* one row */
    if (wr_num_parse_offset(wr_node_arg(node, 0), INT64_MAX,
                            &((struct wr_main_conf *)conf)->rlimit_core) != WR_OK) {
        return wr_conf_err_dir(cf, node, "invalid value");
    }
    return WR_OK;
}

/* "0101": the rightmost digit is CPU 0. */
static bool parse_cpu_mask(struct wr_str s, cpu_set_t *ret)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (size_t i = 0; i < s.len; i++) {
        size_t cpu = s.len - 1 - i;

        if ((s.ptr[i] != '0' && s.ptr[i] != '1') || cpu >= CPU_SETSIZE) {
            return false;
        }
        if (s.ptr[i] == '1') {
            CPU_SET(cpu, &set);
        }
    }
    *ret = set;
    return s.len > 0;
}

static enum wr_status set_affinity(struct wr_conf *cf, const struct wr_dir *dir,
                                   const struct wr_node *node, void *conf)
{
    struct wr_main_affinity *a = &((struct wr_main_conf *)conf)->affinity;
    uint32_t i = 0;

    (void)dir; /* one row */
    a->at = wr_arena_alloc(cf->arena, node->arg_cnt * sizeof(*a->at));
    if (a->at == NULL) {
        return WR_ENOMEM;
    }
    if (wr_str_eq(wr_node_arg(node, 0), WR_STR("auto"))) {
        a->is_auto = true;
        i = 1;
        if (node->arg_cnt > 2) {
            return wr_conf_err(cf, node,
                               "invalid number of arguments in \"worker_cpu_affinity\" directive");
        }
    }
    for (; i < node->arg_cnt; i++) {
        if (!parse_cpu_mask(wr_node_arg(node, i), &a->at[a->cnt])) {
            return wr_conf_err_arg(cf, node, i, "invalid character in \"%.*s\"",
                                   WR_STR_ARG(wr_node_arg(node, i)));
        }
        a->cnt++;
    }
    return WR_OK;
}

static enum wr_status set_env(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct wr_str s = wr_node_arg(node, 0);

    if (s.len == 0 || s.ptr[0] == '=' || memchr(s.ptr, '\0', s.len) != NULL) {
        return wr_conf_err_dir(cf, node, "invalid value");
    }
    return wr_set_strs(cf, dir, node, conf);
}

static enum wr_status set_events(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct wr_scope *s;
    enum wr_status st;

    (void)dir; /* one row */
    ((struct wr_main_conf *)conf)->has_events = true;
    st = wr_scope_new(cf, WR_CTX_EVENTS, node, &s);
    return st == WR_OK ? wr_conf_apply(cf, node, s) : st;
}

static enum wr_status set_use(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct wr_str s = wr_node_arg(node, 0);

    (void)dir, (void)conf; /* there is one method */
    if (wr_str_eq(s, WR_STR("epoll"))) {
        return WR_OK;
    }
    if (!wr_str_eq(s, WR_STR("select")) && !wr_str_eq(s, WR_STR("poll")) &&
        !wr_str_eq(s, WR_STR("io_uring"))) {
        return wr_conf_err_arg(cf, node, 0, "invalid event type \"%.*s\"", WR_STR_ARG(s));
    }
    if (!is_worker(cf)) {
        wr_conf_warn(cf, node, "\"%.*s\" is not there, epoll is used", WR_STR_ARG(s));
    }
    return WR_OK;
}

static enum wr_status set_connections(struct wr_conf *cf, const struct wr_dir *dir,
                                      const struct wr_node *node, void *conf)
{
    struct wr_str s = wr_node_arg(node, 0);
    uint64_t n;

    (void)dir; /* one row */
    if (wr_num_parse_u64(s, INT32_MAX, &n) != WR_OK || n == 0) {
        return wr_conf_err_arg(cf, node, 0,
                               "invalid number \"%.*s\" in \"worker_connections\" directive",
                               WR_STR_ARG(s));
    }
    ((struct wr_main_conf *)conf)->worker_connections = (uint32_t)n;
    return WR_OK;
}

static enum wr_status add_debug_client(struct wr_conf *cf, struct wr_main_conf *mc,
                                       const struct wr_cidr *c)
{
    struct wr_cidr *to = wr_array_push(cf->arena, &mc->debug_clients);

    if (to == NULL) {
        return wr_conf_nomem(cf);
    }
    *to = *c;
    wr_log_want_debug();
    return WR_OK;
}

/* A name: the addresses that it has now. */
static enum wr_status add_debug_host(struct wr_conf *cf, const struct wr_node *node,
                                     struct wr_main_conf *mc)
{
    const struct wr_conf_source *src = cf->opts->source;
    struct wr_str name = wr_node_arg(node, 0);
    struct wr_addr *at = NULL;
    enum wr_status st = WR_EOF;
    size_t cnt = 0;

    if (src->resolve != NULL && wr_str_find(name, '/') == name.len) {
        st = src->resolve(src, cf->arena, name, &at, &cnt);
    }
    if (st == WR_ENOMEM) {
        return wr_conf_nomem(cf);
    }
    if (st != WR_OK || cnt == 0) {
        return wr_conf_err_arg(cf, node, 0, "invalid address or CIDR \"%.*s\"", WR_STR_ARG(name));
    }
    for (size_t i = 0; i < cnt && st == WR_OK; i++) {
        char text[WR_ADDR_TEXT_MAX];
        struct wr_cidr c;
        bool trimmed;

        if (wr_cidr_parse(wr_str(text, wr_addr_write_host(&at[i], text)), &c, &trimmed) == WR_OK) {
            st = add_debug_client(cf, mc, &c);
        }
    }
    return st;
}

static enum wr_status set_debug_connection(struct wr_conf *cf, const struct wr_dir *dir,
                                           const struct wr_node *node, void *conf)
{
    struct wr_str s = wr_node_arg(node, 0);
    bool trimmed = false;
    struct wr_cidr c;

    (void)dir; /* one row */
    if (wr_str_eq_z(s, "all") || wr_cidr_parse(s, &c, &trimmed) != WR_OK) {
        return add_debug_host(cf, node, conf);
    }
    if (trimmed && !is_worker(cf)) {
        wr_conf_warn(cf, node, "low address bits of \"%.*s\" are meaningless", WR_STR_ARG(s));
    }
    return add_debug_client(cf, conf, &c);
}

static enum wr_status created(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                              void *conf)
{
    struct wr_main_conf *mc = conf;

    (void)cf, (void)s; /* MAIN only */
    if (kind == WR_KIND_MAIN) {
        mc->priority = WR_MAIN_UNSET_NUM;
        mc->rlimit_core = UINT64_MAX;
    }
    return WR_OK;
}

/* Without `user` a worker of root is nobody. */
static void set_default_user(struct wr_main_conf *mc)
{
    const struct passwd *pw;

    if (mc->has_user || geteuid() != 0) {
        return;
    }
    pw = getpwnam("nobody");
    mc->user = WR_STR("nobody");
    mc->uid = pw != NULL ? pw->pw_uid : 65534;
    mc->gid = pw != NULL ? pw->pw_gid : 65534;
    mc->has_user = true;
}

static enum wr_status done(struct wr_conf *cf)
{
    struct wr_main_conf *mc = wr_scope_get(cf->gen->root, &wr_main_conf_module, WR_KIND_MAIN);
    struct wr_http *http = wr_http_building(cf);

    if (!mc->has_events) {
        return wr_conf_err(cf, NULL, "no \"events\" section in configuration");
    }
    if (!is_worker(cf)) {
        set_default_user(mc);
    }
    if (http != NULL) {
        http->worker_connections = mc->worker_connections;
        http->threads = mc->threads;
        http->debug_clients = mc->debug_clients.at;
        http->debug_client_cnt = mc->debug_clients.cnt;
    }
    return WR_OK;
}

const struct wr_main_conf *wr_main_conf_of(const struct wr_gen *g)
{
    return wr_scope_get(g->root, &wr_main_conf_module, WR_KIND_MAIN);
}

static const struct wr_bounds at_least_one = {.min = 1, .max = INT32_MAX};
static const struct wr_path_opts from_prefix = {.base = WR_PATH_PREFIX};

/* clang-format 14 dies of the rows when it sees their braces. */
#define ROW(ctx, nm, lo, hi, ...)                                                                  \
    {                                                                                              \
        .name = (nm), .contexts = (ctx), .min = (lo), .max = (hi), __VA_ARGS__                     \
    }
#define MAIN_ROW(nm, lo, hi, ...)   ROW(WR_CTX_MAIN, nm, lo, hi, __VA_ARGS__)
#define EVENTS_ROW(nm, lo, hi, ...) ROW(WR_CTX_EVENTS, nm, lo, hi, __VA_ARGS__)
#define FIELD(f)                    WR_DIR_FIELD(MAIN, struct wr_main_conf, f)

/* Checked for place and number of arguments, then forgotten. */
#define ACCEPTED .kind = WR_KIND_NONE, .flags = WR_DIR_IGNORED, .set = wr_set_ignore

static const struct wr_dir main_dirs[] = {
    MAIN_ROW("user", 1, 2, WR_DIR_CONF(MAIN), .set = set_user,
             .doc = "User and group that the worker runs as."),
    MAIN_ROW("worker_processes", 1, 1, FIELD(threads), .set = set_threads, .def = "1",
             .doc = "Threads of the worker process; auto: as many as there are CPUs to use."),
    MAIN_ROW("worker_priority", 1, 1, WR_DIR_CONF(MAIN), .set = set_priority,
             .doc = "Scheduling priority of the worker, -20 to 20, as of nice."),
    MAIN_ROW("worker_cpu_affinity", 1, WR_ARGS_ANY, WR_DIR_CONF(MAIN), .set = set_affinity,
             .doc = "CPUs of each thread: a mask a thread, or auto."),
    MAIN_ROW("worker_rlimit_nofile", 1, 1, FIELD(rlimit_nofile), .set = wr_set_num,
             .data = &at_least_one, .doc = "Most open files of the worker."),
    MAIN_ROW("worker_rlimit_core", 1, 1, WR_DIR_CONF(MAIN), .set = set_rlimit_core,
             .doc = "Largest core file of the worker."),
    MAIN_ROW("worker_shutdown_timeout", 1, 1, FIELD(shutdown_timeout_ms), .set = wr_set_msec,
             .doc = "Time after which a graceful end closes what is still open."),
    MAIN_ROW("working_directory", 1, 1, FIELD(working_directory), .set = wr_set_path,
             .data = &from_prefix, .doc = "Current folder of the worker."),
    MAIN_ROW("pid", 1, 1, FIELD(pid), .set = wr_set_path, .data = &from_prefix, .def = WR_PID_PATH,
             .doc = "File with the process number of the supervisor."),
    MAIN_ROW("daemon", 1, 1, FIELD(daemon), .set = wr_set_flag, .def = "on",
             .doc = "Goes on in the background once it serves."),
    MAIN_ROW("master_process", 1, 1, FIELD(master_process), .set = wr_set_flag, .def = "on",
             .doc = "off: one process without a supervisor, for debugging."),
    MAIN_ROW("env", 1, 1, .flags = WR_DIR_REPEAT, FIELD(env), .set = set_env, .def = "TZ",
             .doc = "An environment variable that the worker keeps or gets."),
    MAIN_ROW("events", 0, 0, .flags = WR_DIR_BLOCK, WR_DIR_CONF(MAIN), .set = set_events,
             .doc = "Connections and how they are waited for."),
    MAIN_ROW(
        "load_module", 1, 1, .flags = WR_DIR_REPEAT, .kind = WR_KIND_NONE,
        .set = wr_load_module_set,
        .doc =
            "Loads a module for weir. A module file of nginx is skipped where its directives are built in."),
    MAIN_ROW("pcre_jit", 1, 1, ACCEPTED,
             .doc = "Accepted; regular expressions are always compiled."),
    MAIN_ROW("timer_resolution", 1, 1, ACCEPTED, .doc = "Accepted; the clock is read once a turn."),
    MAIN_ROW("lock_file", 1, 1, ACCEPTED, .doc = "Accepted; there are no locks between processes."),
    MAIN_ROW("debug_points", 1, 1, ACCEPTED, .doc = "Accepted; assertions are always on."),
    MAIN_ROW("ssl_engine", 1, 1, ACCEPTED, .doc = "Accepted; engines are not used."),
    MAIN_ROW("ssl_object_cache_inheritable", 1, 1, ACCEPTED,
             .doc = "Accepted; certificates are read anew at each reload."),
    EVENTS_ROW("worker_connections", 1, 1, FIELD(worker_connections), .set = set_connections,
               .def = "512",
               .doc = "Connections of each thread, to clients and to peers together."),
    EVENTS_ROW("use", 1, 1, .kind = WR_KIND_NONE, .set = set_use,
               .doc = "Method of waiting; epoll is the only one."),
    EVENTS_ROW("multi_accept", 1, 1, FIELD(multi_accept), .set = wr_set_flag, .def = "off",
               .doc = "Accepted; all connections that wait are taken at once."),
    EVENTS_ROW("accept_mutex", 1, 1, FIELD(accept_mutex), .set = wr_set_flag, .def = "off",
               .doc = "Accepted; the kernel chooses the thread."),
    EVENTS_ROW("accept_mutex_delay", 1, 1, FIELD(accept_mutex_delay_ms), .set = wr_set_msec,
               .def = "500ms", .doc = "Accepted, see accept_mutex."),
    EVENTS_ROW("debug_connection", 1, 1, .flags = WR_DIR_REPEAT, FIELD(debug_clients),
               .set = set_debug_connection,
               .doc = "Clients whose lines are all written, whatever the level of error_log."),
    EVENTS_ROW("stall_threshold", 1, 1, FIELD(stall_threshold_ms), .set = wr_set_msec,
               .def = "250ms",
               .doc = "A warning tells when a thread was held up for longer; 0: none does."),
    EVENTS_ROW("worker_aio_requests", 1, 1, FIELD(worker_aio_requests), .set = wr_set_num,
               .data = &at_least_one, .def = "32",
               .doc = "Accepted; aio goes through a pool of threads."),
    WR_DIR_END};

struct wr_conf_module wr_main_conf_module = {.name = "main",
                                             .dirs = main_dirs,
                                             .size = {[WR_KIND_MAIN] = sizeof(struct wr_main_conf)},
                                             .own_kinds = 1u << WR_KIND_MAIN,
                                             .created = created,
                                             .done = done};
