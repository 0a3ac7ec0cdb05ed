/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.c: what the family of upstream directives needs beyond the typed setters: words, temporary
 * path, bind, checks of sizes against each other, the table of hidden names. Control thread, while
 * a generation is built.
 */
#include "up/conf.h"

#include <stdio.h>

#include "base/chars.h"
#include "conf/scope.h"
#include "up/bind.h"

#define PAGE_SIZE_MIN 4096u /* what an unset size counts as in checks: nginx's default */

const struct wr_word wr_up_next_words[] = {
    {"error",          WR_UP_NEXT_ERROR         },
    {"timeout",        WR_UP_NEXT_TIMEOUT       },
    {"denied",         WR_UP_NEXT_DENIED        },
    {"invalid_header", WR_UP_NEXT_INVALID_HEADER},
    {"non_idempotent", WR_UP_NEXT_NON_IDEMPOTENT},
    {"http_500",       WR_UP_NEXT_HTTP_500      },
    {"http_502",       WR_UP_NEXT_HTTP_502      },
    {"http_503",       WR_UP_NEXT_HTTP_503      },
    {"http_504",       WR_UP_NEXT_HTTP_504      },
    {"http_403",       WR_UP_NEXT_HTTP_403      },
    {"http_404",       WR_UP_NEXT_HTTP_404      },
    {"http_429",       WR_UP_NEXT_HTTP_429      },
    {"updating",       WR_UP_NEXT_UPDATING      },
    {"off",            WR_UP_NEXT_OFF           },
    WR_WORDS_END
};

const struct wr_word wr_up_next_app_words[] = {
    {"error",          WR_UP_NEXT_ERROR         },
    {"timeout",        WR_UP_NEXT_TIMEOUT       },
    {"denied",         WR_UP_NEXT_DENIED        },
    {"invalid_header", WR_UP_NEXT_INVALID_HEADER},
    {"non_idempotent", WR_UP_NEXT_NON_IDEMPOTENT},
    {"http_500",       WR_UP_NEXT_HTTP_500      },
    {"http_503",       WR_UP_NEXT_HTTP_503      },
    {"http_403",       WR_UP_NEXT_HTTP_403      },
    {"http_404",       WR_UP_NEXT_HTTP_404      },
    {"http_429",       WR_UP_NEXT_HTTP_429      },
    {"updating",       WR_UP_NEXT_UPDATING      },
    {"off",            WR_UP_NEXT_OFF           },
    WR_WORDS_END
};

const struct wr_word wr_up_next_store_words[] = {
    {"error",            WR_UP_NEXT_ERROR         },
    {"timeout",          WR_UP_NEXT_TIMEOUT       },
    {"denied",           WR_UP_NEXT_DENIED        },
    {"invalid_response", WR_UP_NEXT_INVALID_HEADER},
    {"not_found",        WR_UP_NEXT_HTTP_404      },
    {"off",              WR_UP_NEXT_OFF           },
    WR_WORDS_END
};

const struct wr_word wr_up_ignore_words[] = {
    {"X-Accel-Redirect",   WR_UP_IGNORE_ACCEL_REDIRECT  },
    {"X-Accel-Expires",    WR_UP_IGNORE_ACCEL_EXPIRES   },
    {"X-Accel-Limit-Rate", WR_UP_IGNORE_ACCEL_LIMIT_RATE},
    {"X-Accel-Buffering",  WR_UP_IGNORE_ACCEL_BUFFERING },
    {"X-Accel-Charset",    WR_UP_IGNORE_ACCEL_CHARSET   },
    {"Expires",            WR_UP_IGNORE_EXPIRES         },
    {"Cache-Control",      WR_UP_IGNORE_CACHE_CONTROL   },
    {"Set-Cookie",         WR_UP_IGNORE_SET_COOKIE      },
    {"Vary",               WR_UP_IGNORE_VARY            },
    WR_WORDS_END
};

const struct wr_word wr_up_buffering_words[] = {
    {"off",  WR_UP_BUFFERING_OFF },
    {"on",   WR_UP_BUFFERING_ON  },
    {"auto", WR_UP_BUFFERING_AUTO},
    WR_WORDS_END
};

/* What the kernel takes for an int. */
const struct wr_bounds wr_up_sockbuf_bounds = {.max = INT32_MAX};
/* A head smaller than its status line is of no use; 16 MB bounds the memory of one response's head.
 */
const struct wr_bounds wr_up_buffer_bounds = {.min = 64, .max = 16u << 20};
const struct wr_buffers_bounds wr_up_buffers_bounds = {.num_min = 2};

enum wr_status wr_set_up_send_lowat(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    enum wr_status st = wr_set_size(cf, dir, node, conf);

    if (st == WR_OK) {
        wr_conf_warn(cf, node, "\"%.*s\" is not supported, ignored", WR_STR_ARG(node->name));
    }
    return st;
}

enum wr_status wr_set_up_bind(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct wr_up_bind *b = (struct wr_up_bind *)(void *)((char *)conf + dir->offset);
    struct wr_template *t;
    struct wr_addr a;

    *b = (struct wr_up_bind){0};
    if (wr_str_eq(wr_node_arg(node, 0), WR_STR("off"))) {
        return node->arg_cnt == 1 ? WR_OK : wr_arg_invalid(cf, node, 1);
    }
    if (node->arg_cnt == 2) {
        if (!wr_str_eq(wr_node_arg(node, 1), WR_STR("transparent"))) {
            return wr_arg_invalid(cf, node, 1);
        }
        b->is_transparent = true;
    }
    t = wr_arena_zalloc(cf->arena, sizeof(*t));
    if (t == NULL) {
        return wr_conf_nomem(cf);
    }
    if (wr_arg_template(cf, node, 0, wr_node_arg(node, 0), t) != WR_OK) {
        return WR_ECONFIG;
    }
    if (wr_template_is_const(t) && wr_up_bind_parse(t->source, &a) != WR_OK) {
        return wr_conf_err(cf, node, "invalid address \"%.*s\"", WR_STR_ARG(t->source));
    }
    b->addr = t;
    return WR_OK;
}

static void make_hidden(struct wr_conf *cf, struct wr_up_conf *c, const struct wr_str *names,
                        size_t cnt)
{
    /* A non-NULL value; the map is asked for presence only. */
    static const char yes[] = "hidden";
    size_t i;

    wr_map_init_arena(&c->hidden, WR_MAP_ICASE, cf->arena);
    wr_map_reserve(&c->hidden, cnt + c->hide_headers.cnt);
    for (i = 0; i < cnt; i++) {
        wr_map_put(&c->hidden, names[i], (void *)(uintptr_t)yes);
    }
    for (i = 0; i < c->hide_headers.cnt; i++) {
        wr_map_put(&c->hidden, c->hide_headers.at[i], (void *)(uintptr_t)yes);
    }
    for (i = 0; i < c->pass_headers.cnt; i++) {
        wr_map_remove(&c->hidden, c->pass_headers.at[i]);
    }
    c->hidden_ids = c->passed_ids = 0;
    for (i = 0; i < c->pass_headers.cnt; i++) {
        c->passed_ids |= UINT64_C(1) << wr_hdr_id_of(c->pass_headers.at[i]);
    }
    for (i = WR_HDR_OTHER + 1; i < WR_HDR_ID_COUNT; i++) {
        if (wr_map_get(&c->hidden, wr_hdr_name((enum wr_hdr_id)i)) != NULL) {
            c->hidden_ids |= UINT64_C(1) << i;
        }
    }
}

struct wr_up_given wr_up_given_of(const struct wr_conf *cf, const struct wr_conf_module *m,
                                  const void *conf, size_t up_off)
{
    const size_t offs[] = {up_off + offsetof(struct wr_up_conf, buffer_size),
                           up_off + offsetof(struct wr_up_conf, buffers),
                           up_off + offsetof(struct wr_up_conf, temp_file_write_size),
                           up_off + offsetof(struct wr_up_conf, busy_buffers_size)};
    bool is[WR_ARRAY_LEN(offs)];
    size_t i;

    for (i = 0; i < WR_ARRAY_LEN(offs); i++) {
        is[i] = wr_conf_is_given(m, WR_KIND_LOC, cf->registry, conf, offs[i]);
    }
    return (struct wr_up_given){
        .buffer_size = is[0], .buffers = is[1], .temp_write_size = is[2], .busy_buffers = is[3]};
}

enum wr_status wr_up_conf_merged(struct wr_conf *cf, struct wr_scope *s, struct wr_up_conf *c,
                                 const char *prefix, struct wr_up_given given,
                                 struct wr_up_hidden hidden)
{
    uint64_t total = (uint64_t)c->buffers.num * c->buffers.size;
    uint64_t head = given.buffer_size ? c->buffer_size : PAGE_SIZE_MIN;
    uint64_t one = given.buffers ? c->buffers.size : PAGE_SIZE_MIN;
    uint64_t least = WR_MAX(head, one);

    if ((c->next_upstream & WR_UP_NEXT_OFF) != 0) {
        c->next_upstream = WR_UP_NEXT_OFF;
    }
    if (given.busy_buffers && c->busy_buffers_size < least) {
        return wr_conf_err(
            cf, s->node,
            "\"%s_busy_buffers_size\" must be equal to or greater than the maximum of the value of "
            "\"%s_buffer_size\" and one of the \"%s_buffers\"",
            prefix, prefix, prefix);
    }
    if (c->busy_buffers_size != 0 && c->busy_buffers_size > total - c->buffers.size) {
        return wr_conf_err(
            cf, s->node,
            "\"%s_busy_buffers_size\" must be less than the size of all \"%s_buffers\" minus one buffer",
            prefix, prefix);
    }
    if (c->max_temp_file_size != 0 && c->max_temp_file_size < least) {
        return wr_conf_err(
            cf, s->node,
            "\"%s_max_temp_file_size\" must be equal to zero to disable temporary files usage or must be "
            "equal to or greater than the maximum of the value of \"%s_buffer_size\" and one of the "
            "\"%s_buffers\"",
            prefix, prefix, prefix);
    }
    if (given.temp_write_size && c->temp_file_write_size < least) {
        return wr_conf_err(
            cf, s->node,
            "\"%s_temp_file_write_size\" must be equal to or greater than the maximum of the value "
            "of \"%s_buffer_size\" and one of the \"%s_buffers\"",
            prefix, prefix, prefix);
    }
    c->spill = (struct wr_spill_conf){
        .where = c->temp_path,
        .max = c->max_temp_file_size,
        .write_size = (uint32_t)WR_MIN(WR_MAX(c->temp_file_write_size, 4096u), 1u << 20)};
    make_hidden(cf, c, hidden.at, hidden.cnt);
    return WR_OK;
}
