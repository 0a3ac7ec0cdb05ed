/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs.h: the directive tables as documentation (weir --directives, docs/directives.md). The tables
 * are the only source: contexts, arity, default, inheritance and the doc line of each row.
 */
#ifndef WR_CONF_DOCS_H
#define WR_CONF_DOCS_H

#include "base/strbuf.h"
#include "conf/dirs.h"

/* Markdown: a chapter a module, a table row a directive, in the order of the registry. */
void wr_docs_write_markdown(const struct wr_registry *r, struct wr_strbuf *b);
/* Tab-separated: name, module, contexts, min, max, block, default; for tests that walk all rows. */
void wr_docs_write_tsv(const struct wr_registry *r, struct wr_strbuf *b);

#endif
