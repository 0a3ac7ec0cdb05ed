/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h: a configuration as a tree of directives, includes already expanded in place.
 *
 *   root -- events { -- worker_connections 512;
 *        \- http { -- server { -- listen 80;          node: name, args, place, children, parent
 *                           \--- location / { ... }
 *
 * The tree is owned whole by an arena; nodes never move and never change after parsing. `include`
 * leaves no node: the directives of the file hang at its place, each knows its own file. An include
 * of a glob pattern takes the files sorted by bytes, and none is fine; a plain name must exist.
 * Relative names are seen from the folder of the main file.
 *
 * After a syntax error the rest of that file is not read, other files are; the block in which it
 * happened is marked is_cut.
 */
#ifndef WR_CONF_TREE_H
#define WR_CONF_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "conf/diag.h"
#include "conf/source.h"

#define WR_TREE_DEPTH_MAX         64 /* nested blocks */
#define WR_TREE_INCLUDE_DEPTH_MAX 16
#define WR_TREE_FILES_MAX         65536
#define WR_TREE_ARGS_MAX          65536        /* of one directive */
#define WR_TREE_FILE_MAX          (64u << 20)  /* bytes of one file */
#define WR_TREE_TOTAL_MAX         (256u << 20) /* bytes of all files, each as often as included */

struct wr_arg {
    struct wr_str text; /* unescaped, without quotes; not '\0'-terminated */
    uint32_t line, column, span;
    bool is_quoted;
};

struct wr_node {
    struct wr_str name;
    const struct wr_arg *args; /* without the name: args[0] is the first argument */
    uint32_t arg_cnt;
    uint32_t line, column;           /* of the name */
    uint64_t seq;                    /* 2, 4, ... in the order of reading, across files */
    const struct wr_conf_file *file; /* NULL only for the root and for default texts */
    struct wr_node *parent;          /* NULL only for the root and for default texts */
    struct wr_node *first, *last;    /* children */
    struct wr_node *next;            /* sibling */
    uint32_t depth;                  /* 0 for the root, 1 for main directives */
    uint32_t end_line;               /* line of the ';' or of the block's '}' */
    bool has_block;                  /* ended by "{ ... }", else by ";" */
    bool is_cut;                     /* block: its '}' was not found */
    bool is_name_quoted;
};

#define WR_NODE_FOREACH(child, node)                                                               \
    for ((child) = (node)->first; (child) != NULL; (child) = (child)->next)

struct wr_tree {
    struct wr_arena *arena;
    struct wr_diags *diags;
    const struct wr_conf_source *source;
    struct wr_node *root;
    struct wr_conf_file *files; /* in order of first use; the same path is there once */
    uint32_t file_cnt;
    size_t _total;      /* bytes parsed */
    uint64_t _seq;      /* last given */
    struct wr_str _dir; /* folder of the main file, with '/' at its end; empty before it is known */
    struct wr_conf_file **_tail;
    struct wr_conf_file **_buckets; /* files by path */
    struct wr_arg *_words;          /* of the directive being read, its name first */
    uint32_t _word_cnt, _word_cap;
    uint32_t _include_cnt;
};

/* arena and diags stay the caller's; *source is used until the last parse. */
enum wr_status wr_tree_init(struct wr_tree *t, struct wr_arena *a, struct wr_diags *d,
                            const struct wr_conf_source *source) WR_MUST_CHECK;
/*
 * Appends the directives of the file (absolute path, the main configuration file) to the root.
 * WR_OK also when there were syntax errors (they are in diags). WR_ECONFIG: the file itself could
 * not be had (in diags). WR_ENOMEM.
 */
enum wr_status wr_tree_parse_file(struct wr_tree *t, struct wr_str path) WR_MUST_CHECK;
/* Appends the directives of a text that came from the command line (-g). */
enum wr_status wr_tree_parse_cmdline(struct wr_tree *t, struct wr_str text) WR_MUST_CHECK;

/* Place of the whole directive (its name) and of argument i (of the name when there is none). */
struct wr_pos wr_node_pos(const struct wr_node *n);
struct wr_pos wr_node_arg_pos(const struct wr_node *n, uint32_t i);
/* Text of argument i; an empty slice when there is none. */
struct wr_str wr_node_arg(const struct wr_node *n, uint32_t i);
/* First child of this name, or NULL. */
const struct wr_node *wr_node_find(const struct wr_node *n, struct wr_str name);

/* Files as `nginx -T` prints them: "# configuration file PATH:\n" CONTENT "\n". */
void wr_tree_write_files(const struct wr_conf_file *files, struct wr_strbuf *b);
/* The tree itself, includes expanded, four blanks a level, quoted where needed; parses to the same.
 */
void wr_node_write(const struct wr_node *root, struct wr_strbuf *b);
/* One word so that it reads back as it is. */
void wr_node_write_word(struct wr_str word, bool is_quoted, struct wr_strbuf *b);

#endif
