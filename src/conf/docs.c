/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs.c: walks the rows of a registry and writes them out: for people as Markdown, for tests as
 * tab-separated lines. Reads constant data only; any thread.
 */
#include "conf/docs.h"

#include "conf/dirs_int.h"

/* What a row takes: "2", "1-3", "1 or more", "block". */
static void write_arity(const struct wr_dir *d, struct wr_strbuf *b)
{
    if (d->max == WR_ARGS_ANY) {
        wr_strbuf_printf(b, "%u or more", d->min);
    } else if (d->min == d->max) {
        wr_strbuf_printf(b, "%u", d->min);
    } else {
        wr_strbuf_printf(b, "%u-%u", d->min, d->max);
    }
    if ((d->flags & WR_DIR_BLOCK) != 0) {
        wr_strbuf_add_z(b, " { }");
    }
    if ((d->flags & WR_DIR_REPEAT) != 0) {
        wr_strbuf_add_z(b, ", repeatable");
    }
}

/* Text for a cell of a Markdown table. */
static void write_cell(const char *z, struct wr_strbuf *b)
{
    for (; z != NULL && *z != '\0'; z++) {
        if (*z == '|' || *z == '\\') {
            wr_strbuf_add_char(b, '\\');
        }
        wr_strbuf_add_char(b, *z == '\n' || *z == '\t' ? ' ' : *z);
    }
}

static void write_row(const struct wr_dir *d, struct wr_strbuf *b)
{
    wr_strbuf_printf(b, "| `%s` | ", d->name);
    wr_ctx_write_names(d->contexts, b);
    wr_strbuf_add_z(b, " | ");
    write_arity(d, b);
    wr_strbuf_add_z(b, " | ");
    if (d->def != NULL) {
        wr_strbuf_add_char(b, '`');
        write_cell(d->def, b);
        wr_strbuf_add_char(b, '`');
    }
    wr_strbuf_add_z(b, " | ");
    if (d->kind != WR_KIND_NONE && d->size != 0) {
        wr_strbuf_add_z(b, d->inherit == WR_INHERIT ? "yes" : "no");
    }
    wr_strbuf_add_z(b, " | ");
    write_cell(d->doc, b);
    if ((d->flags & WR_DIR_IGNORED) != 0) {
        wr_strbuf_add_z(b, " (Accepted, has no effect.)");
    }
    if ((d->flags & WR_DIR_DEPRECATED) != 0) {
        wr_strbuf_add_z(b, " (Deprecated.)");
    }
    wr_strbuf_add_z(b, " |\n");
}

static bool has_visible_row(const struct wr_conf_module *m)
{
    for (const struct wr_dir *d = m->dirs; d != NULL && d->name != NULL; d++) {
        if ((d->flags & WR_DIR_HIDDEN) == 0) {
            return true;
        }
    }
    return false;
}

void wr_docs_write_markdown(const struct wr_registry *r, struct wr_strbuf *b)
{
    wr_strbuf_add_z(b, "# Directives\n\nMade by `weir --directives`; do not edit.\n");
    for (size_t i = 0; i < r->module_cnt; i++) {
        const struct wr_conf_module *m = r->modules[i];

        if (!has_visible_row(m)) {
            continue;
        }
        wr_strbuf_printf(b, "\n## %s\n\n", m->name);
        wr_strbuf_add_z(b, "| directive | contexts | arguments | default | inherited | |\n");
        wr_strbuf_add_z(b, "| --- | --- | --- | --- | --- | --- |\n");
        for (const struct wr_dir *d = m->dirs; d->name != NULL; d++) {
            if ((d->flags & WR_DIR_HIDDEN) == 0) {
                write_row(d, b);
            }
        }
    }
}

void wr_docs_write_tsv(const struct wr_registry *r, struct wr_strbuf *b)
{
    wr_strbuf_add_z(b, "name\tmodule\tcontexts\tmin\tmax\tblock\tdefault\n");
    for (size_t i = 0; i < r->module_cnt; i++) {
        const struct wr_conf_module *m = r->modules[i];

        for (const struct wr_dir *d = m->dirs; d != NULL && d->name != NULL; d++) {
            wr_strbuf_printf(b, "%s\t%s\t", d->name, m->name);
            wr_ctx_write_names(d->contexts, b);
            wr_strbuf_printf(b, "\t%u\t", d->min);
            if (d->max == WR_ARGS_ANY) {
                wr_strbuf_add_z(b, "any");
            } else {
                wr_strbuf_add_u64(b, d->max);
            }
            wr_strbuf_printf(b, "\t%s\t%s\n", (d->flags & WR_DIR_BLOCK) != 0 ? "yes" : "no",
                             d->def != NULL ? d->def : "");
        }
    }
}
