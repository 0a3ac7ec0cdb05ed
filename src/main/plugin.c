/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.c: see plugin.h. The list of loaded files only grows: nothing could tell when the last
 * pointer into a file has gone. A file whose bytes have changed is another entry, which hides the
 * first. The first one of a path is opened by that path, so that debuggers find it; what cannot be
 * (a worker without the right to read it, the second version of a path, which the linker would take
 * for the first) is opened out of a memfd with the bytes of the configuration.
 */
#include "main/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sync.h"
#include "conf/tree.h"
#include "http/loadable.h"
#include "main/load_module.h"
#include "main/memfd.h"
#include "main/modules.h"

#define WORDS_MAX 512

/* A loaded file. */
struct plugin {
    char *path;
    uint64_t size, sum, other_sum;
};

/* A registry for each set of modules that a configuration had. */
struct choice {
    uint64_t mask; /* bit i: plugins[i] */
    const struct wr_registry *registry;
};

enum {
    CHOICES_MAX = 256
};

/* Rule zero: written by the thread that loads a configuration, under the lock: with master_process
 * off there are two such threads. */
static struct plugin plugins[WR_MODULES_MORE_MAX];
static struct wr_modules_more more; /* of the same index */
static struct choice choices[CHOICES_MAX];
static unsigned choice_cnt;
static uint64_t in_use; /* whose handlers and variables are known */
static bool is_frozen;

static struct wr_mutex *lock(void)
{
    static struct wr_mutex m;
    static wr_atomic_u32 is_made;

    /* The first call is the program's first load, before there are threads. */
    if (wr_load_acq(&is_made) == 0) {
        wr_mutex_init(&m, WR_RANK_CONTROL);
        wr_store_rel(&is_made, 1);
    }
    return &m;
}

/* One line of load_module. */
struct wanted {
    struct wr_conf *cf;
    const struct wr_node *node;
    struct wr_str path, bytes;
};

static enum wr_status refuse(const struct wanted *w, const char *why, const char *what)
{
    return wr_conf_err(w->cf, w->node, "cannot load \"%.*s\": %s%s", WR_STR_ARG(w->path), why,
                       what);
}

/* --- the file --- */

/* Are the bytes at the path those of the configuration? */
static bool is_on_disk(const struct wanted *w)
{
    int fd = open(w->path.ptr, O_RDONLY | O_CLOEXEC);
    struct stat st;
    bool is_same = false;
    char *p;

    if (fd == -1) {
        return false;
    }
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size == w->bytes.len && st.st_size > 0) {
        p = mmap(NULL, w->bytes.len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED) {
            is_same = memcmp(p, w->bytes.ptr, w->bytes.len) == 0;
            (void)munmap(p, w->bytes.len);
        }
    }
    (void)close(fd);
    return is_same;
}

static bool was_path_used(struct wr_str path)
{
    for (size_t i = 0; i < more.cnt; i++) {
        if (wr_str_eq_z(path, plugins[i].path)) {
            return true;
        }
    }
    return false;
}

/* NULL: dlerror() or errno says why. */
static void *open_copy(const struct wanted *w)
{
    size_t slash = wr_str_rfind(w->path, '/');
    const char *name = w->path.ptr + (slash < w->path.len ? slash + 1 : 0);
    int fd = memfd_create(name, MFD_CLOEXEC);
    char link[64];
    void *h = NULL;

    if (fd == -1) {
        return NULL;
    }
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (wr_memfd_write(fd, w->bytes) == WR_OK) {
        h = dlopen(link, RTLD_NOW | RTLD_LOCAL);
    }
    (void)close(fd);
    return h;
}

static bool has_text(struct wr_str bytes, const char *text)
{
    return memmem(bytes.ptr, bytes.len, text, strlen(text)) != NULL;
}

static enum wr_status say_foreign(const struct wanted *w)
{
    return refuse(w, "it is built for nginx; there has to be one for weir", "");
}

static bool is_foreign(const struct wanted *w)
{
    return has_text(w->bytes, "ngx_modules");
}

/* The linker's words begin with the path, too. */
static enum wr_status say_open(const struct wanted *w)
{
    const char *words = dlerror();

    if (is_foreign(w)) {
        return say_foreign(w);
    }
    if (words == NULL) {
        return refuse(w, "no copy of it could be made: ", wr_log_errno_text(errno));
    }
    if (strncmp(words, w->path.ptr, w->path.len) == 0 && words[w->path.len] == ':') {
        words += w->path.len + 1 + (words[w->path.len + 1] == ' ');
    }
    return refuse(w, words, "");
}

/* What the file says of itself; *ret NULL: refused. */
static enum wr_status look(const struct wanted *w, void *h, const struct wr_module **ret)
{
    const struct wr_module_file *f = dlsym(h, WR_MODULE_FILE_SYMBOL);

    if (f == NULL && is_foreign(w)) {
        return say_foreign(w);
    }
    if (f == NULL) {
        return refuse(w, "it has no symbol \"" WR_MODULE_FILE_SYMBOL "\", so it is no module", "");
    }
    if (f->magic != WR_MODULE_FILE_MAGIC || f->size < sizeof(*f) || f->module == NULL) {
        return refuse(w, "its \"" WR_MODULE_FILE_SYMBOL "\" is not made by WR_MODULE_FILE", "");
    }
    if (strcmp(f->interface, WR_INTERFACE_TEXT) != 0) {
        return wr_conf_err_hint(
            w->cf, w->node, WR_STR("build it again with the headers of this weir"),
            "cannot load \"%.*s\": it was built for the interface \"%.64s\", this "
            "is \"%s\"",
            WR_STR_ARG(w->path), f->interface, WR_INTERFACE_TEXT);
    }
    *ret = f->module;
    return WR_OK;
}

static bool is_linked_already(const struct wr_module *m)
{
    for (size_t i = 0; i < more.cnt; i++) {
        if (more.at[i] == m) {
            return true;
        }
    }
    return false;
}

static enum wr_status load(const struct wanted *w, size_t *ret_i)
{
    const struct wr_module *m = NULL;
    struct plugin *p = &plugins[more.cnt];
    void *h = NULL;

    if (more.cnt == WR_MODULES_MORE_MAX) {
        return refuse(w, "this process has loaded too many files; an upgrade (USR2) begins anew",
                      "");
    }
    if (!was_path_used(w->path) && is_on_disk(w)) {
        h = dlopen(w->path.ptr, RTLD_NOW | RTLD_LOCAL);
    } else {
        h = open_copy(w);
    }
    if (h == NULL) {
        return say_open(w);
    }
    if (look(w, h, &m) != WR_OK) {
        (void)dlclose(h);
        return WR_ECONFIG;
    }
    if (is_linked_already(m)) {
        (void)dlclose(h);
        return refuse(w, "the same file is loaded by another name", "");
    }
    p->path = wr_mem_alloc(w->path.len + 1);
    memcpy(p->path, w->path.ptr, w->path.len);
    p->size = w->bytes.len;
    p->sum = wr_hash_sip(w->bytes.ptr, w->bytes.len);
    p->other_sum = wr_hash_fnv(WR_HASH_FNV_INIT, w->bytes.ptr, w->bytes.len);
    more.at[more.cnt] = m;
    more.is_hidden[more.cnt] = true;
    *ret_i = more.cnt++;
    return WR_OK;
}

static bool is_this(const struct plugin *p, const struct wanted *w)
{
    return wr_str_eq_z(w->path, p->path) && p->size == w->bytes.len &&
           p->sum == wr_hash_sip(w->bytes.ptr, w->bytes.len) &&
           p->other_sum == wr_hash_fnv(WR_HASH_FNV_INIT, w->bytes.ptr, w->bytes.len);
}

static enum wr_status find_or_load(const struct wanted *w, size_t *ret_i)
{
    for (size_t i = 0; i < more.cnt; i++) {
        if (is_this(&plugins[i], w)) {
            *ret_i = i;
            return WR_OK;
        }
    }
    if (is_frozen) {
        return refuse(w, "with \"master_process off\" that takes a new start of weir", "");
    }
    return load(w, ret_i);
}

/* --- the list --- */

static void hide_others(uint64_t mask)
{
    for (size_t i = 0; i < more.cnt; i++) {
        more.is_hidden[i] = (mask & UINT64_C(1) << i) == 0;
    }
}

static enum wr_status use(uint64_t mask, struct wr_strbuf *err)
{
    enum wr_status st;

    if (mask == in_use || is_frozen) {
        return WR_OK; /* frozen: one that is not named any more keeps its handlers */
    }
    hide_others(mask);
    st = wr_modules_use(&more, err);
    if (st != WR_OK) {
        struct wr_strbuf none;
        char room[WORDS_MAX];

        wr_strbuf_init_fixed(&none, room, sizeof(room));
        hide_others(in_use);
        WR_ASSERT(wr_modules_use(&more, &none) == WR_OK); /* it was so before */
        return st;
    }
    in_use = mask;
    return WR_OK;
}

static const struct wr_registry *find_choice(uint64_t mask)
{
    for (unsigned i = 0; i < choice_cnt; i++) {
        if (choices[i].mask == mask) {
            return choices[i].registry;
        }
    }
    return NULL;
}

static enum wr_status choose(const struct wanted *last, uint64_t mask)
{
    const struct wr_registry *r = mask == 0 ? wr_modules_registry() : find_choice(mask);
    char room[WORDS_MAX];
    struct wr_strbuf err;
    enum wr_status st;

    wr_strbuf_init_fixed(&err, room, sizeof(room));
    st = use(mask, &err);
    if (st == WR_OK && r == NULL) {
        if (choice_cnt == CHOICES_MAX) {
            return refuse(
                last, "there were too many lists of modules; an upgrade (USR2) begins anew", "");
        }
        hide_others(mask);
        st = wr_modules_extend(&more, &r, &err);
        if (st == WR_OK) {
            choices[choice_cnt++] = (struct choice){mask, r};
        }
    }
    if (st != WR_OK) {
        wr_strbuf_add_char(&err, '\0');
        return refuse(last, room, "");
    }
    last->cf->registry = r;
    return WR_OK;
}

/* One line. *mask gets its bit. */
static enum wr_status prepare_line(struct wanted *w, uint64_t *mask)
{
    struct wr_conf_fault fault = {"open", 0};
    struct wr_arena a;
    enum wr_status st;
    size_t i = 0;

    st = wr_conf_path(w->cf, wr_node_arg(w->node, 0), WR_PATH_PREFIX, &w->path);
    if (st != WR_OK) {
        return st;
    }
    wr_arena_init(&a, 2 * WR_PLUGIN_BYTES_MAX);
    st = w->cf->opts->source->read(w->cf->opts->source, &a, w->path, WR_PLUGIN_BYTES_MAX, &w->bytes,
                                   &fault);
    if (st == WR_OK) {
        st = find_or_load(w, &i);
    } else if (st == WR_ESYS) {
        st = wr_conf_err(w->cf, w->node, "cannot load \"%.*s\": %s() failed (%d: %s)",
                         WR_STR_ARG(w->path), fault.call, fault.err, wr_log_errno_text(fault.err));
    } else if (st == WR_ELIMIT) {
        st = refuse(w, "it is too large", "");
    }
    wr_arena_fini(&a);
    if (st == WR_OK) {
        *mask |= UINT64_C(1) << i;
        st = choose(w, *mask); /* each by itself, so that a clash has a line */
    }
    return st;
}

enum wr_status wr_plugins_prepare(struct wr_conf *cf)
{
    struct wanted w = {.cf = cf};
    enum wr_status st = WR_OK;
    const struct wr_node *n;
    uint64_t mask = 0;
    bool has_failed = false;

    wr_mutex_lock(lock());
    WR_NODE_FOREACH(n, cf->tree->root)
    {
        /* What else is wrong with a line its setter says. */
        if (!wr_str_eq_z(n->name, "load_module") || n->has_block || n->arg_cnt != 1 ||
            !wr_load_module_is_ours(wr_node_arg(n, 0))) {
            continue;
        }
        w.node = n;
        st = prepare_line(&w, &mask);
        if (st == WR_ENOMEM) {
            break;
        }
        has_failed = has_failed || st != WR_OK;
    }
    if (st != WR_ENOMEM) {
        if (mask == 0) {
            st = choose(&w, 0);
        }
        st = has_failed ? WR_ECONFIG : st;
    }
    wr_mutex_unlock(lock());
    return st;
}

void wr_plugins_freeze(void)
{
    wr_mutex_lock(lock());
    is_frozen = true;
    wr_mutex_unlock(lock());
}
