/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.c: tokens to directives, includes, and the printers. Nesting of blocks needs no stack (nodes
 * know their parents); nesting of includes is a recursion bounded by WR_TREE_INCLUDE_DEPTH_MAX, and
 * the number of inclusions by WR_TREE_FILES_MAX, so that files which include each other end.
 */
#include "conf/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "conf/lex.h"

#define BUCKETS 1024

/* One file (or the command line) being read. */
struct parse {
    struct wr_tree *t;
    struct wr_lex lex;
    struct wr_conf_file *file;
    struct wr_node *top; /* where this text's directives hang */
    struct wr_node *cur; /* innermost open block; top at first */
    uint32_t depth;      /* of includes */
    bool is_block;       /* of the directive being finished */
};

static enum wr_status parse_text(struct wr_tree *t, struct wr_conf_file *file, struct wr_node *top,
                                 uint32_t depth);

enum wr_status wr_tree_init(struct wr_tree *t, struct wr_arena *a, struct wr_diags *d,
                            const struct wr_conf_source *source)
{
    *t = (struct wr_tree){.arena = a, .diags = d, .source = source};
    t->root = wr_arena_zalloc(a, sizeof(*t->root));
    t->_buckets = wr_arena_zalloc(a, BUCKETS * sizeof(struct wr_conf_file *));
    if (!t->root || !t->_buckets) {
        return WR_ENOMEM;
    }
    t->root->has_block = true;
    t->_tail = &t->files;
    return WR_OK;
}

static enum wr_status fail_at(struct parse *p, const struct wr_token *k, struct wr_str hint,
                              const char *text)
{
    struct wr_pos pos = {p->file, k->line, k->column, k->span, p->t->_seq + 1};

    wr_diag_add(p->t->diags, WR_LOG_EMERG, &pos, hint, "%s", text);
    return WR_ECONFIG;
}

static enum wr_status push_word(struct parse *p, const struct wr_token *k)
{
    struct wr_tree *t = p->t;

    if (t->_word_cnt == t->_word_cap) {
        uint32_t cap = t->_word_cap == 0 ? 32 : t->_word_cap * 2;
        struct wr_arg *words;

        if (t->_word_cnt > WR_TREE_ARGS_MAX) {
            return fail_at(p, k, WR_STR_NULL, "too many arguments in one directive");
        }
        words = wr_arena_alloc(t->arena, cap * sizeof(*words));
        if (!words) {
            return WR_ENOMEM;
        }
        if (t->_word_cnt > 0) {
            memcpy(words, t->_words, t->_word_cnt * sizeof(*words));
        }
        t->_words = words;
        t->_word_cap = cap;
    }
    if (t->_word_cnt == 0) {
        t->_seq += 2; /* odd numbers are for syntax errors behind the directive */
    }
    t->_words[t->_word_cnt++] = (struct wr_arg){k->text, k->line, k->column, k->span, k->is_quoted};
    return WR_OK;
}

/* The node of the words read; not yet in the tree. */
static enum wr_status make_node(struct parse *p, uint32_t end_line, struct wr_node **ret_n)
{
    struct wr_tree *t = p->t;
    const struct wr_arg *w = t->_words;
    uint32_t cnt = t->_word_cnt - 1;
    struct wr_node *n = wr_arena_alloc(t->arena, sizeof(*n) + cnt * sizeof(struct wr_arg));
    struct wr_arg *args;

    if (!n) {
        return WR_ENOMEM;
    }
    args = (struct wr_arg *)(void *)(n + 1);
    if (cnt > 0) {
        memcpy(args, w + 1, cnt * sizeof(*args));
    }
    *n = (struct wr_node){.name = w[0].text,
                          .args = args,
                          .arg_cnt = cnt,
                          .line = w[0].line,
                          .column = w[0].column,
                          .seq = t->_seq,
                          .file = p->file,
                          .parent = p->cur,
                          .depth = p->cur->depth + 1,
                          .end_line = end_line,
                          .has_block = p->is_block,
                          .is_name_quoted = w[0].is_quoted};
    t->_word_cnt = 0;
    *ret_n = n;
    return WR_OK;
}

static void link_node(struct wr_node *parent, struct wr_node *n)
{
    if (parent->last == NULL) {
        parent->first = n;
    } else {
        parent->last->next = n;
    }
    parent->last = n;
}

/* Adds a message at the directive; value: always WR_ECONFIG. */
static enum wr_status fail_node(struct wr_tree *t, const struct wr_node *n, struct wr_str text)
{
    struct wr_pos pos = wr_node_pos(n);

    wr_diag_add(t->diags, WR_LOG_EMERG, &pos, WR_STR_NULL, "%.*s", WR_STR_ARG(text));
    return WR_ECONFIG;
}

/* `open() "path" failed (2: ...)`, as nginx words it. n NULL: the main file. */
static enum wr_status fail_file(struct wr_tree *t, const struct wr_node *n, struct wr_str path,
                                const struct wr_conf_fault *f)
{
    struct wr_pos pos = {NULL, 0, 0, 0, 0};

    if (n != NULL) {
        pos = wr_node_arg_pos(n, 0);
    }
    wr_diag_add(t->diags, WR_LOG_EMERG, &pos, WR_STR_NULL, "%s() \"%.*s\" failed (%d: %s)", f->call,
                WR_STR_ARG(path), f->err, wr_log_errno_text(f->err));
    return WR_ECONFIG;
}

static struct wr_conf_file **bucket_of(struct wr_tree *t, struct wr_str path)
{
    return &t->_buckets[wr_hash_fnv(WR_HASH_FNV_INIT, path.ptr, path.len) % BUCKETS];
}

/* The file with its bytes, read at its first use. path has a '\0' behind it. */
static enum wr_status get_file(struct wr_tree *t, const struct wr_node *n, struct wr_str path,
                               struct wr_conf_file **ret_f)
{
    struct wr_conf_file **bucket = bucket_of(t, path), *f;
    struct wr_conf_fault fault = {"open", 0};
    enum wr_status st;

    for (f = *bucket; f != NULL; f = f->_same) {
        if (wr_str_eq(f->path, path)) {
            *ret_f = f;
            return WR_OK;
        }
    }
    f = wr_arena_zalloc(t->arena, sizeof(*f));
    if (!f) {
        return WR_ENOMEM;
    }
    f->path = path;
    if (n != NULL) {
        f->included = n->file;
        f->included_line = n->line;
        f->depth = n->file->depth + 1;
    }
    st = t->source->read(t->source, t->arena, path, WR_TREE_FILE_MAX, &f->bytes, &fault);
    if (st == WR_ESYS) {
        return fail_file(t, n, path, &fault);
    }
    if (st == WR_ELIMIT) {
        struct wr_pos pos = n != NULL ? wr_node_arg_pos(n, 0) : (struct wr_pos){.file = NULL};

        wr_diag_add(t->diags, WR_LOG_EMERG, &pos, WR_STR_NULL,
                    "\"%.*s\" is too large, at most %u bytes", WR_STR_ARG(path), WR_TREE_FILE_MAX);
        return WR_ECONFIG;
    }
    if (st != WR_OK) {
        return st;
    }
    f->no = t->file_cnt++;
    f->_same = *bucket;
    *bucket = f;
    *t->_tail = f;
    t->_tail = &f->next;
    *ret_f = f;
    return WR_OK;
}

static int compare_paths(const void *a, const void *b)
{
    return wr_str_cmp(*(const struct wr_str *)a, *(const struct wr_str *)b);
}

static enum wr_status include_one(struct parse *p, const struct wr_node *n, struct wr_str path)
{
    struct wr_conf_file *f;
    enum wr_status st;

    if (++p->t->_include_cnt > WR_TREE_FILES_MAX) {
        return fail_node(p->t, n, WR_STR("too many included files"));
    }
    st = get_file(p->t, n, path, &f);
    if (st != WR_OK) {
        return st;
    }
    return parse_text(p->t, f, p->cur, p->depth + 1);
}

static enum wr_status include_glob(struct parse *p, const struct wr_node *n, struct wr_str pattern)
{
    struct wr_conf_fault fault = {"glob", 0};
    struct wr_str *paths = NULL;
    size_t cnt = 0;
    enum wr_status st;

    st = p->t->source->glob(p->t->source, p->t->arena, pattern, &paths, &cnt, &fault);
    if (st == WR_ESYS) {
        return fail_file(p->t, n, pattern, &fault);
    }
    if (st != WR_OK) {
        return st;
    }
    if (cnt > 1) {
        qsort(paths, cnt, sizeof(*paths), compare_paths);
    }
    for (size_t i = 0; i < cnt; i++) {
        struct wr_str path;

        st = wr_arena_dup(p->t->arena, paths[i], &path);
        if (st == WR_OK) {
            st = include_one(p, n, path);
        }
        if (st == WR_ENOMEM) {
            return st;
        }
    }
    return WR_OK;
}

/* The absolute path of the node's argument; relative ones begin at the folder of the main file. */
static enum wr_status get_path(const struct parse *p, const struct wr_node *n, struct wr_str *ret)
{
    struct wr_str path = n->args[0].text;

    if (path.len > 0 && path.ptr[0] == '/') {
        return wr_arena_dup(p->t->arena, path, ret);
    }
    return wr_arena_printf(p->t->arena, ret, "%.*s%.*s", WR_STR_ARG(p->t->_dir), WR_STR_ARG(path));
}

/* An include directive; faults of the file are reported and do not end the including file. */
static enum wr_status include_files(struct parse *p, const struct wr_node *n)
{
    struct wr_str path;
    enum wr_status st;

    if (n->has_block) {
        return fail_node(p->t, n, WR_STR("directive \"include\" is not terminated by \";\""));
    }
    if (n->arg_cnt != 1) {
        return fail_node(p->t, n, WR_STR("invalid number of arguments in \"include\" directive"));
    }
    if (p->depth >= WR_TREE_INCLUDE_DEPTH_MAX) {
        return fail_node(p->t, n, WR_STR("includes are nested too deep"));
    }
    st = get_path(p, n, &path);
    if (st != WR_OK) {
        return st;
    }
    return wr_conf_is_glob(path) ? include_glob(p, n, path) : include_one(p, n, path);
}

/* upstream { state FILE; }: the file holds the group's server lines; there may be none yet. */
static bool is_state(const struct parse *p, const struct wr_node *n)
{
    return wr_str_eq(n->name, WR_STR("state")) && !n->has_block && n->arg_cnt == 1 &&
           wr_str_eq(p->cur->name, WR_STR("upstream"));
}

static enum wr_status include_state(struct parse *p, const struct wr_node *n)
{
    struct wr_str path;
    enum wr_status st;

    if (p->depth >= WR_TREE_INCLUDE_DEPTH_MAX) {
        return fail_node(p->t, n, WR_STR("includes are nested too deep"));
    }
    st = get_path(p, n, &path);
    return st == WR_OK ? include_glob(p, n, path) : st;
}

static enum wr_status end_directive(struct parse *p, const struct wr_token *k, bool is_block)
{
    struct wr_node *n;
    enum wr_status st;

    if (p->t->_word_cnt == 0) {
        return fail_at(p, k, WR_STR_NULL, is_block ? "unexpected \"{\"" : "unexpected \";\"");
    }
    if (is_block && p->file->is_cmdline) {
        return fail_at(p, k, WR_STR_NULL, "block directives are not supported in -g option");
    }
    p->is_block = is_block;
    st = make_node(p, k->line, &n);
    if (st != WR_OK) {
        return st;
    }
    if (wr_str_eq(n->name, WR_STR("include"))) {
        st = include_files(p, n);
        /* A missing file is reported; the directives around it are still read. */
        return st == WR_ECONFIG && !is_block ? WR_OK : st;
    }
    if (is_block && n->depth > WR_TREE_DEPTH_MAX) {
        return fail_node(p->t, n, WR_STR("blocks are nested too deep"));
    }
    link_node(p->cur, n);
    if (is_block) {
        p->cur = n;
    } else if (is_state(p, n)) {
        st = include_state(p, n);
        return st == WR_ECONFIG ? WR_OK : st;
    }
    return WR_OK;
}

static enum wr_status close_block(struct parse *p, const struct wr_token *k)
{
    if (p->t->_word_cnt > 0) {
        struct wr_str hint = WR_STR_NULL;

        if (wr_arena_printf(p->t->arena, &hint, "is a \";\" missing at the end of line %u?",
                            p->t->_words[p->t->_word_cnt - 1].line) != WR_OK) {
            hint = WR_STR_NULL;
        }
        return fail_at(p, k, hint, "unexpected \"}\"");
    }
    if (p->cur == p->top) {
        return fail_at(p, k, WR_STR_NULL, "unexpected \"}\"");
    }
    p->cur->end_line = k->line;
    p->cur = p->cur->parent;
    return WR_OK;
}

/* WR_EOF: a clean end. */
static enum wr_status end_file(struct parse *p, const struct wr_token *k)
{
    const char *what = p->file->is_cmdline ? "parameter" : "file";
    struct wr_str hint = WR_STR_NULL;
    char text[80];
    enum wr_status st = WR_OK;

    if (p->t->_word_cnt > 0 || p->lex.open_quote_line != 0) {
        if (p->lex.open_quote_line != 0) {
            st = wr_arena_printf(p->t->arena, &hint, "the quote opened in line %u is not closed",
                                 p->lex.open_quote_line);
        }
        (void)snprintf(text, sizeof(text), "unexpected end of %s, expecting \";\"%s", what,
                       p->file->is_cmdline ? "" : " or \"}\"");
    } else if (p->cur != p->top) {
        st = wr_arena_printf(p->t->arena, &hint,
                             "the block \"%.*s\" opened in line %u is not closed",
                             WR_STR_ARG(p->cur->name), p->cur->line);
        (void)snprintf(text, sizeof(text), "unexpected end of %s, expecting \"}\"", what);
    } else {
        return WR_EOF;
    }
    if (st != WR_OK) {
        hint = WR_STR_NULL;
    }
    return fail_at(p, k, hint, text);
}

static enum wr_status take_token(struct parse *p, const struct wr_token *k)
{
    switch (k->kind) {
    case WR_TOKEN_WORD:
        return push_word(p, k);
    case WR_TOKEN_SEMI:
        return end_directive(p, k, false);
    case WR_TOKEN_OPEN:
        return end_directive(p, k, true);
    case WR_TOKEN_CLOSE:
        return close_block(p, k);
    case WR_TOKEN_END:
        return end_file(p, k);
    }
    WR_UNREACHABLE();
}

/* WR_OK also after a syntax error, which is in diags then. WR_ENOMEM. */
static enum wr_status parse_text(struct wr_tree *t, struct wr_conf_file *file, struct wr_node *top,
                                 uint32_t depth)
{
    struct parse p = {.t = t, .file = file, .top = top, .cur = top, .depth = depth};
    enum wr_status st = WR_OK;

    t->_total += file->bytes.len;
    if (t->_total > WR_TREE_TOTAL_MAX) {
        wr_diag_add(t->diags, WR_LOG_EMERG, NULL, WR_STR_NULL,
                    "the configuration is too large, at most %u bytes", WR_TREE_TOTAL_MAX);
        return WR_ECONFIG;
    }
    t->_word_cnt = 0;
    wr_lex_init(&p.lex, t->arena, file->bytes);
    while (st == WR_OK) {
        struct wr_token k;

        st = wr_lex_next(&p.lex, &k);
        if (st == WR_ECONFIG) {
            struct wr_pos pos = {file, p.lex.err_line, p.lex.err_column, 1, t->_seq + 1};

            wr_diag_add(t->diags, WR_LOG_EMERG, &pos, WR_STR_NULL, "%.*s", WR_STR_ARG(p.lex.err));
        } else if (st == WR_OK) {
            st = take_token(&p, &k);
        }
    }
    if (st != WR_EOF) {
        for (struct wr_node *n = p.cur; n != top; n = n->parent) {
            n->is_cut = true;
        }
    }
    t->_word_cnt = 0;
    return st == WR_ENOMEM ? st : WR_OK;
}

enum wr_status wr_tree_parse_file(struct wr_tree *t, struct wr_str path)
{
    struct wr_conf_file *f;
    struct wr_str copy;
    enum wr_status st = wr_arena_dup(t->arena, path, &copy);

    if (st != WR_OK) {
        return st;
    }
    t->_dir = wr_str_sub(copy, 0, wr_str_rfind(copy, '/') + 1);
    st = get_file(t, NULL, copy, &f);
    return st != WR_OK ? st : parse_text(t, f, t->root, 0);
}

enum wr_status wr_tree_parse_cmdline(struct wr_tree *t, struct wr_str text)
{
    struct wr_conf_file *f = wr_arena_zalloc(t->arena, sizeof(*f));
    enum wr_status st;

    if (!f) {
        return WR_ENOMEM;
    }
    st = wr_arena_dup(t->arena, text, &f->bytes);
    if (st != WR_OK) {
        return st;
    }
    f->path = WR_STR("command line");
    f->is_cmdline = true;
    return parse_text(t, f, t->root, 0);
}

struct wr_pos wr_node_pos(const struct wr_node *n)
{
    return (struct wr_pos){n->file, n->line, n->column,
                           (uint32_t)WR_MIN(n->name.len, (size_t)UINT32_MAX), n->seq};
}

struct wr_pos wr_node_arg_pos(const struct wr_node *n, uint32_t i)
{
    if (i >= n->arg_cnt) {
        return wr_node_pos(n);
    }
    return (struct wr_pos){n->file, n->args[i].line, n->args[i].column, n->args[i].span, n->seq};
}

struct wr_str wr_node_arg(const struct wr_node *n, uint32_t i)
{
    return i < n->arg_cnt ? n->args[i].text : WR_STR_NULL;
}

const struct wr_node *wr_node_find(const struct wr_node *n, struct wr_str name)
{
    const struct wr_node *c;

    WR_NODE_FOREACH(c, n)
    {
        if (wr_str_eq(c->name, name)) {
            return c;
        }
    }
    return NULL;
}

void wr_tree_write_files(const struct wr_conf_file *files, struct wr_strbuf *b)
{
    for (const struct wr_conf_file *f = files; f != NULL; f = f->next) {
        wr_strbuf_printf(b, "# configuration file %.*s:\n", WR_STR_ARG(f->path));
        wr_strbuf_add_str(b, f->bytes);
        wr_strbuf_add_char(b, '\n');
    }
}

static bool is_word_end(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';';
}

/* Would the lexer read the word back as it is without quotes? */
static bool is_plain_word(struct wr_str w)
{
    if (w.len == 0 || w.ptr[0] == '#' || w.ptr[0] == '}' || w.ptr[0] == '"' || w.ptr[0] == '\'') {
        return false;
    }
    for (size_t i = 0; i < w.len; i++) {
        if (is_word_end(w.ptr[i]) || w.ptr[i] == '\\') {
            return false;
        }
        if (w.ptr[i] == '{' && (i == 0 || w.ptr[i - 1] != '$')) {
            return false;
        }
    }
    return true;
}

void wr_node_write_word(struct wr_str word, bool is_quoted, struct wr_strbuf *b)
{
    if (!is_quoted && is_plain_word(word)) {
        wr_strbuf_add_str(b, word);
        return;
    }
    wr_strbuf_add_char(b, '"');
    for (size_t i = 0; i < word.len; i++) {
        switch (word.ptr[i]) {
        case '\t':
            wr_strbuf_add_z(b, "\\t");
            break;
        case '\r':
            wr_strbuf_add_z(b, "\\r");
            break;
        case '\n':
            wr_strbuf_add_z(b, "\\n");
            break;
        case '"':
        case '\\':
            wr_strbuf_add_char(b, '\\');
            wr_strbuf_add_char(b, word.ptr[i]);
            break;
        default:
            wr_strbuf_add_char(b, word.ptr[i]);
            break;
        }
    }
    wr_strbuf_add_char(b, '"');
}

static void indent(struct wr_strbuf *b, uint32_t depth)
{
    for (uint32_t i = 1; i < depth; i++) {
        wr_strbuf_add_z(b, "    ");
    }
}

static void write_head(const struct wr_node *n, struct wr_strbuf *b)
{
    indent(b, n->depth);
    wr_node_write_word(n->name, n->is_name_quoted, b);
    for (uint32_t i = 0; i < n->arg_cnt; i++) {
        wr_strbuf_add_char(b, ' ');
        wr_node_write_word(n->args[i].text, n->args[i].is_quoted, b);
    }
    wr_strbuf_add_z(b, n->has_block ? " {\n" : ";\n");
}

static void write_end(const struct wr_node *n, struct wr_strbuf *b)
{
    indent(b, n->depth);
    wr_strbuf_add_z(b, "}\n");
}

void wr_node_write(const struct wr_node *root, struct wr_strbuf *b)
{
    const struct wr_node *n = root->first;

    while (n != NULL) {
        write_head(n, b);
        if (n->first != NULL) {
            n = n->first;
            continue;
        }
        if (n->has_block) {
            write_end(n, b);
        }
        while (n->next == NULL) {
            n = n->parent;
            if (n == root) {
                return;
            }
            write_end(n, b);
        }
        n = n->next;
    }
}
