/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_conf.c: any bytes as a configuration: lexed, parsed, applied with the toy module, merged,
 * reported and printed. The input is cut at lines "%%" into the main file and files a, b, c for
 * include. What loads must print to a text that parses to the same text, and every failure must
 * have a message.
 */
#include <stddef.h>
#include <stdint.h>

#include "../unit/conf/toy.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILES 4

static const char *const paths[FILES] = {"/c/x.conf", "/c/a.conf", "/c/b.conf", "/c/c.conf"};

/* Cuts the input into files; empty ones get a blank, as len 0 would mean "take strlen". */
static size_t cut_files(const char *p, size_t size, struct wr_conf_text *files)
{
    struct wr_str rest = wr_str(p, size);
    size_t cnt = 0;

    while (cnt < FILES) {
        size_t at = cnt + 1 < FILES ? wr_str_find_str(rest, WR_STR("\n%%\n")) : rest.len;
        struct wr_str text = wr_str_sub(rest, 0, at);

        if (text.len == 0) {
            text = WR_STR(" ");
        }
        files[cnt] = (struct wr_conf_text){.path = paths[cnt], .text = text.ptr, .len = text.len};
        cnt++;
        if (at == rest.len) {
            break;
        }
        rest = wr_str_sub(rest, at + 4, rest.len);
    }
    return cnt;
}

/* The tree, printed; reads back to a tree that prints the same. */
static void check_printer(const struct wr_node *root)
{
    struct wr_strbuf first, second;
    struct wr_arena a;
    struct wr_diags d;
    struct wr_tree t;
    struct wr_conf_source source;

    wr_strbuf_init(&first, 4 << 20);
    wr_strbuf_init(&second, 4 << 20);
    wr_arena_init(&a, 64 << 20);
    wr_diags_init(&d, &a);
    wr_node_write(root, &first);
    if (first.status == WR_OK && first.len > 0) {
        const struct wr_conf_text file = {.path = paths[0], .text = first.ptr, .len = first.len};
        const struct wr_conf_texts texts = {&file, 1};
        enum wr_status st;

        wr_conf_source_texts(&source, &texts);
        st = wr_tree_init(&t, &a, &d, &source);
        WR_ASSERT(st == WR_OK);
        st = wr_tree_parse_file(&t, WR_STR("/c/x.conf"));
        WR_ASSERT(st == WR_OK && d.emerg_cnt == 0);
        wr_node_write(t.root, &second);
        WR_ASSERT(wr_str_eq(wr_strbuf_str(&first), wr_strbuf_str(&second)));
    }
    wr_arena_fini(&a);
    wr_strbuf_fini(&first);
    wr_strbuf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_conf_text files[FILES];
    struct wr_conf_texts texts = {files, 0};
    struct toy t;

    if (size == 0) {
        return 0;
    }
    texts.cnt = cut_files((const char *)data, size, files);
    toy_open(&t, &texts);
    t.opts.arena_cap = 16 << 20;
    /* The first byte may also ask for a failing allocation. */
    wr_mem_fault_set(data[0] < 32 && data[0] != '\n' && data[0] != '\t' ? data[0] : 0);
    toy_load(&t, WR_DIAG_TERMINAL);
    wr_mem_fault_set(0);
    WR_ASSERT((t.status == WR_OK) == (t.gen != NULL));
    WR_ASSERT((t.status == WR_OK) == (t.diags.emerg_cnt == 0));
    if (t.gen != NULL) {
        check_printer(t.gen->tree);
    }
    toy_close(&t);
    return 0;
}
