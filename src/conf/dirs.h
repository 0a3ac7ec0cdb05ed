/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs.h: directive tables, and the engine that applies a tree with them.
 *
 * A module gives a struct wr_conf_module: a table of rows (struct wr_dir) and the sizes of its conf
 * structs, one for each kind:
 *
 *   kind    one exists for each                  inherits from
 *   MAIN    generation                           (nothing)
 *   SRV     http{} and server{}                  http -> server
 *   LOC     http{}, server{}, location{}, if{}, limit_except{}     the block around it
 *   GROUP   upstream{} and other named blocks    (nothing)
 *
 * Each conf struct begins with struct wr_conf_head, which knows which rows were set at this level:
 * no field needs a value that means "unset". After the whole tree is applied, scope.c fills what
 * was not set: from the block around it, else from the row's default text, which went once through
 * the same setter. Rows whose field is an array append within a level and are replaced whole by the
 * level below, because inheritance copies the field only when nothing was set there.
 *
 */
/*
 * A module's table:
 *   struct foo_loc { struct wr_conf_head head; bool on; uint64_t timeout_ms; };
 *   static const struct wr_dir foo_dirs[] = {
 *       {.name = "foo", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = wr_set_flag,
 *        WR_DIR_FIELD(LOC, struct foo_loc, on), .def = "off", .doc = "Switches foo."},
 *       {.name = "foo_timeout", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set =
 * wr_set_msec, WR_DIR_FIELD(LOC, struct foo_loc, timeout_ms), .def = "60s", .doc = "How long foo
 * waits."}, WR_DIR_END}; struct wr_conf_module foo_conf_module = { .name = "foo", .dirs = foo_dirs,
 * .size = {[WR_KIND_LOC] = sizeof(struct foo_loc)}};
 *   ...
 *   const struct foo_loc *lc = wr_scope_get(scope, &foo_conf_module, WR_KIND_LOC);
 *
 * Thread: a registry is made at boot and only read afterwards; a struct wr_conf belongs to the one
 * thread that builds the generation.
 */
#ifndef WR_CONF_DIRS_H
#define WR_CONF_DIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/map.h"
#include "base/status.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "conf/diag.h"
#include "conf/source.h"
#include "conf/template.h"
#include "conf/tree.h"

struct wr_conf;
struct wr_conf_module;
struct wr_dir;
struct wr_gen;
struct wr_registry;
struct wr_scope;

/* Where a directive may stand; a scope has exactly one of them. */
enum wr_ctx {
    WR_CTX_MAIN = 1 << 0,
    WR_CTX_EVENTS = 1 << 1,
    WR_CTX_HTTP = 1 << 2,
    WR_CTX_SERVER = 1 << 3,
    WR_CTX_LOCATION = 1 << 4,
    WR_CTX_IF_SERVER = 1 << 5,   /* if { } in server */
    WR_CTX_IF_LOCATION = 1 << 6, /* if { } in location */
    WR_CTX_LIMIT_EXCEPT = 1 << 7,
    WR_CTX_UPSTREAM = 1 << 8,
    WR_CTX_STREAM = 1 << 9,
    WR_CTX_STREAM_SERVER = 1 << 10,
    WR_CTX_STREAM_UPSTREAM = 1 << 11,
    WR_CTX_MAIL = 1 << 12,
    WR_CTX_MAIL_SERVER = 1 << 13,
    WR_CTX_MGMT = 1 << 14,
    WR_CTX_ACME = 1 << 15, /* acme_issuer { } */
    WR_CTX_OIDC = 1 << 16, /* oidc_provider { } */
};

#define WR_CTX_CNT         17
/* http, server, location: what most directives have. */
#define WR_CTX_HTTP_ALL    (WR_CTX_HTTP | WR_CTX_SERVER | WR_CTX_LOCATION)
/* and: if in location */
#define WR_CTX_HTTP_ALL_IF (WR_CTX_HTTP_ALL | WR_CTX_IF_LOCATION)

/* "http", "server", "if in location" ... for one bit. */
const char *wr_ctx_name(enum wr_ctx ctx);

enum wr_conf_kind {
    WR_KIND_MAIN,
    WR_KIND_SRV,
    WR_KIND_LOC,
    WR_KIND_GROUP,
    WR_KIND_NONE
};

#define WR_KIND_CNT 4 /* NONE has no struct: the row's set function gets conf == NULL */

enum wr_inherit {
    WR_INHERIT, /* a level that does not set it has the value of the level around it */
    WR_NONE     /* a level that does not set it has the default */
};

#define WR_CONF_ROWS_MAX 256 /* different fields of one module and kind */

/* First member of every conf struct. */
struct wr_conf_head {
    uint64_t _set[WR_CONF_ROWS_MAX / 64]; /* by a directive at this level */
    uint64_t
        _given[WR_CONF_ROWS_MAX / 64]; /* here or, by inheritance, further out; not by default */
};

/*
 * Handles one directive. conf is the module's struct of the row's kind in the scope cf->scope (NULL
 * for WR_KIND_NONE); a typed setter writes at (char *)conf + dir->offset. The engine has checked
 * context, arity, block and duplicates. node is also a default's text made into a node (file NULL).
 * WR_ECONFIG: it has reported the reason through wr_conf_err and friends; the engine goes on with
 * the next directive. WR_ENOMEM ends everything. Others are not returned.
 */
typedef enum wr_status wr_dir_set_fn(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf);

enum wr_dir_flags {
    WR_DIR_BLOCK = 1,       /* ended by { }, not by ; */
    WR_DIR_FREE = 2,        /* with BLOCK: its children are data (map, types, geo), see child */
    WR_DIR_FREE_BLOCKS = 4, /* with FREE: children may have blocks of their own */
    WR_DIR_REPEAT = 8,      /* may be given more than once at a level: set is called for each */
    WR_DIR_DEF_DOC = 16,    /* def is for the documents only, it is not applied */
    WR_DIR_HIDDEN = 32,     /* not in the documents */
    WR_DIR_DEPRECATED = 64, /* a [warn] when used */
    WR_DIR_IGNORED = 128,   /* accepted and checked for arity and place; set may be NULL */
};

#define WR_ARGS_ANY 0xffff /* for max */

struct wr_dir {
    const char *name;
    uint32_t contexts; /* enum wr_ctx or-ed */
    uint16_t min, max; /* number of arguments */
    uint16_t flags;    /* enum wr_dir_flags or-ed */
    enum wr_conf_kind kind;
    enum wr_inherit inherit;
    wr_dir_set_fn *set; /* types.h, or the module's own; NULL only with IGNORED */
    wr_dir_set_fn
        *child;       /* FREE: called for each child, in order, after set; NULL: set walks them */
    uint32_t offset;  /* of the field in the conf struct; see WR_DIR_FIELD */
    uint32_t size;    /* of the field; 0: no field (nothing is inherited by the engine) */
    const void *data; /* for the setter: table of words, bounds, ...; see types.h */
    const char *def;  /* default as it would be written behind the name; NULL: field is zero */
    const char *doc;  /* one line for the documents */
};

/* kind, offset and size of a field: WR_DIR_FIELD(LOC, struct foo_loc, timeout_ms) */
/* The size is that of the field itself, also where it is a pointer to a struct. */
#define WR_DIR_FIELD(k, type, field)                                                               \
    .kind = WR_KIND_##k, .offset = offsetof(type, field),                                          \
    .size = sizeof(((type *)0)->field) /* NOLINT(bugprone-sizeof-expression): a pointer, too */
/* Only the struct, no field: a set function that does as it likes (and merges by itself). */
#define WR_DIR_CONF(k) .kind = WR_KIND_##k
#define WR_DIR_END                                                                                 \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/*
 * A module's part in the configuration; embedded in struct wr_module of the floors above. Not
 * const: wr_registry_init writes _slot and _no, once, before threads exist; all else is constant.
 */
struct wr_conf_module {
    const char *name;          /* unique; "core", "proxy": for messages and documents */
    const struct wr_dir *dirs; /* ends with WR_DIR_END; may be NULL */
    size_t size[WR_KIND_CNT];  /* of the conf structs; 0: none of this kind */
    /*
     * Bit (1 << kind): every scope has a struct of its own. Without it a scope in which no
     * directive of this module and kind stood shares the struct of the scope around it (if all its
     * rows inherit), which keeps 10,000 servers small; merged() is not called for a shared one.
     */
    uint32_t own_kinds;
    /* All hooks may be NULL. WR_ECONFIG: reported through wr_conf_err; WR_ENOMEM. */
    /* Before anything is applied; MAIN structs exist and are zeroed. */
    enum wr_status (*init)(struct wr_conf *cf);
    /* A conf struct was made, zeroed, no directive has been applied to it: lists, heads ... */
    enum wr_status (*created)(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                              void *conf);
    /*
     * After inheritance of this struct (the scopes around it are finished): checks and derived
     * values. parent is NULL where the kind begins (MAIN, GROUP, SRV and LOC of http{}).
     */
    enum wr_status (*merged)(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf);
    /* After all scopes of all modules are merged, modules in the order of the registry. */
    enum wr_status (*done)(struct wr_conf *cf);
    uint16_t _slot[WR_KIND_CNT];
    uint16_t _no; /* in the registry */
};

/* A row and the module it belongs to; rows of one name are chained. */
struct wr_dir_entry {
    const struct wr_dir *dir;
    struct wr_conf_module *module;
    struct wr_dir_entry *next;
    uint16_t bit; /* in wr_conf_head; WR_CONF_ROWS_MAX when kind is NONE */
};

/* What inheritance copies, for one slot. Private to dirs.c and scope.c. */
struct wr_slot_field {
    uint32_t offset, size;
    uint16_t bit;
    bool inherits;
};

struct wr_slot {
    struct wr_conf_module *module;
    enum wr_conf_kind kind;
    bool is_own; /* each scope has its own struct */
    struct wr_slot_field *fields;
    uint32_t field_cnt, bit_cnt;
};

struct wr_registry {
    struct wr_conf_module *const *modules;
    size_t module_cnt;
    struct wr_map _names; /* name -> struct wr_dir_entry chain */
    struct wr_dir_entry *_entries;
    size_t entry_cnt;
    struct wr_slot *slots;
    uint32_t slot_cnt;
};

/*
 * Builds the look-up from all modules; the array must live as long as the registry. WR_ECONFIG: two
 * rows clash or a row is impossible; err has the text, both modules named. Boot only (aborts when
 * memory is out).
 */
enum wr_status wr_registry_init(struct wr_registry *r, struct wr_conf_module *const *modules,
                                size_t cnt, struct wr_strbuf *err) WR_MUST_CHECK;
/*
 * The same; is_hidden has a truth value for each module: directives of hidden ones are not found,
 * but their structs exist, so that the slots of modules keep their numbers from one registry to the
 * next that has the same modules in front.
 */
enum wr_status wr_registry_init_some(struct wr_registry *r, struct wr_conf_module *const *modules,
                                     size_t cnt, const bool *is_hidden,
                                     struct wr_strbuf *err) WR_MUST_CHECK;
void wr_registry_fini(struct wr_registry *r);
/* Rows of that name (chained by next), or NULL. */
const struct wr_dir_entry *wr_registry_find(const struct wr_registry *r, struct wr_str name);

/* How a path in a directive becomes absolute. */
enum wr_path_base {
    WR_PATH_PREFIX, /* from the prefix (-p): logs, temporary folders, root */
    WR_PATH_CONF    /* from the folder of the main file: includes, certificates */
};

/* What wr_conf_load is given. */
struct wr_conf_opts {
    const struct wr_registry *registry;
    const struct wr_conf_source *source;
    struct wr_str path;    /* of the main file, absolute */
    struct wr_str prefix;  /* -p, absolute, for WR_PATH_PREFIX; empty: the folder of path */
    struct wr_str cmdline; /* -g, applied before the file; may be empty */
    /* Replaces the rule of prefix and folder, when not NULL. *ret_path has a '\0' behind it. */
    enum wr_status (*resolve_path)(struct wr_conf *cf, struct wr_str path, enum wr_path_base base,
                                   struct wr_str *ret_path);
    /*
     * The tree was read, nothing is applied: may put cf->registry in place of that of the options
     * (it outlives the generation). WR_ECONFIG: reported through wr_conf_err, the load goes on to
     * find more errors. WR_ENOMEM. May be NULL.
     */
    enum wr_status (*prepare)(struct wr_conf *cf);
    void *data;                   /* of the caller, for hooks */
    uint64_t gen_no;              /* number of the generation */
    size_t arena_cap;             /* 0: WR_GEN_CAP */
    struct wr_fixtures *fixtures; /* of the control thread; NULL: dry run, nothing is kept */
};

/* One build of a generation. Fields are readable by set functions and hooks. */
struct wr_conf {
    const struct wr_conf_opts *opts;
    const struct wr_registry *registry;
    struct wr_gen *gen;
    struct wr_arena *arena; /* of gen: everything that lives as long as the configuration */
    struct wr_diags *diags;
    struct wr_tree *tree;
    struct wr_scope *scope;      /* in which directives are being applied */
    struct wr_template_env vars; /* set by the module that owns variables, in init */
    void
        *block; /* for set and child of one FREE row: set stores, child finds it; NULL before set */
    uint32_t _depth;
    void **_defaults; /* one struct a slot with all defaults applied, made on demand */
    bool _in_default, _nomem, _cut_told;
};

/*
 * Reads, applies, merges: the whole way from a path to a generation. WR_OK: *ret_gen with one
 * reference for the caller, diags may have warnings. WR_ECONFIG: diags has at least one [emerg] or
 * the reason. WR_ENOMEM: also in diags. With ret_failed the
 * half-built generation goes there on failure (diags point at its files: write them, then end it by
 * wr_gen_unref; it may be NULL). With ret_failed NULL the places are moved into the messages and
 * excerpts are lost. On success *ret_gen keeps the files alive.
 */
enum wr_status wr_conf_load(const struct wr_conf_opts *o, struct wr_diags *diags,
                            struct wr_gen **ret_gen, struct wr_gen **ret_failed) WR_MUST_CHECK;

/*
 * Applies the children of node in scope s (set functions of blocks call it after wr_scope_new).
 * WR_OK also when children had errors: they are in diags, and the load fails at the end.
 */
enum wr_status wr_conf_apply(struct wr_conf *cf, const struct wr_node *node,
                             struct wr_scope *s) WR_MUST_CHECK;

/* Adds an [emerg] at the directive, at argument i, or with a hint; value: always WR_ECONFIG. */
/* allow(check): the value is always WR_ECONFIG */
enum wr_status wr_conf_err(struct wr_conf *cf, const struct wr_node *node, const char *fmt, ...)
    WR_PRINTF(3, 4);
/* allow(check): the value is always WR_ECONFIG */
enum wr_status wr_conf_err_arg(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                               const char *fmt, ...) WR_PRINTF(4, 5);
/* allow(check): the value is always WR_ECONFIG */
enum wr_status wr_conf_err_hint(struct wr_conf *cf, const struct wr_node *node, struct wr_str hint,
                                const char *fmt, ...) WR_PRINTF(4, 5);
/* Adds an [emerg] `"NAME" directive TEXT`, the form most of nginx's setters have. */
/* allow(check): the value is always WR_ECONFIG */
enum wr_status wr_conf_err_dir(struct wr_conf *cf, const struct wr_node *node, const char *fmt, ...)
    WR_PRINTF(3, 4);
/* Adds a [warn]. node may be NULL. */
void wr_conf_warn(struct wr_conf *cf, const struct wr_node *node, const char *fmt, ...)
    WR_PRINTF(3, 4);
/* Adds a [notice]. */
void wr_conf_notice(struct wr_conf *cf, const struct wr_node *node, const char *fmt, ...)
    WR_PRINTF(3, 4);
/* Adds an [emerg] `the configuration needs more memory than allowed`, once. */
void wr_conf_say_nomem(struct wr_conf *cf);

/* allow(check): says so; value: always WR_ENOMEM, in sight of who looks at what comes after */
static inline enum wr_status wr_conf_nomem(struct wr_conf *cf)
{
    wr_conf_say_nomem(cf);
    return WR_ENOMEM;
}

/* Absolute path of what a directive names, by opts. */
enum wr_status wr_conf_path(struct wr_conf *cf, struct wr_str path, enum wr_path_base base,
                            struct wr_str *ret_path) WR_MUST_CHECK;
/*
 * Bytes of a file that a directive names (certificate, password file, geo table), through the
 * source, so that a bundle has it. WR_ESYS: `open() "path" failed (2: No such file or directory)`
 * was NOT reported, the caller words it with ret_fault. WR_ELIMIT: larger than max.
 */
enum wr_status wr_conf_read(struct wr_conf *cf, struct wr_str path, size_t max,
                            struct wr_str *ret_bytes,
                            struct wr_conf_fault *ret_fault) WR_MUST_CHECK;

/* Was the field at offset set by a directive in this very struct? May be asked before and after
 * merge. */
bool wr_conf_is_set(const struct wr_conf_module *m, enum wr_conf_kind kind,
                    const struct wr_registry *r, const void *conf, size_t offset);
/* Was it set here or in a block around (so it is no default)? Only after merge. */
bool wr_conf_is_given(const struct wr_conf_module *m, enum wr_conf_kind kind,
                      const struct wr_registry *r, const void *conf, size_t offset);
/* Marks a field as set, for set functions that fill the field of another row. */
void wr_conf_mark_set(const struct wr_conf_module *m, enum wr_conf_kind kind,
                      const struct wr_registry *r, void *conf, size_t offset);

#endif
