/* SPDX-License-Identifier: Apache-2.0 */
/*
 * empty_gif.c: `empty_gif`: a transparent picture of one pixel from memory, as content of a
 * location. Its date never changes, so that clients ask for it once. Request's thread.
 */
#include "mod/empty_gif.h"

#include "conf/types.h"
#include "http/module.h"
#include "http/reply.h"

#define GIF_MTIME 23349600 /* 28 Sep 1970 06:00: what users of nginx have in their caches */

/* GIF89a: one pixel, two colours, the first one transparent. */
static const char gif[] = "GIF89a"
                          "\x01\x00\x01\x00\x80\x01\x00"             /* screen 1x1 */
                          "\x00\x00\x00\xff\xff\xff"                 /* black, white */
                          "\x21\xf9\x04\x01\x00\x00\x01\x00"         /* colour 0 is clear */
                          "\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00" /* image 1x1 */
                          "\x02\x02\x4c\x01\x00\x3b";                /* its data, the end */

static enum wr_status start(struct wr_req *r, void *conf, struct wr_content **ret)
{
    (void)conf; /* nothing is configured */
    *ret = NULL;
    if (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD) {
        wr_req_fail(r, 405);
        return WR_OK;
    }
    r->out_mtime = GIF_MTIME;
    wr_reply_text(r, 200, WR_STR("image/gif"), wr_str(gif, sizeof(gif) - 1));
    return WR_OK;
}

static enum wr_status set_empty_gif(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    (void)dir, (void)conf; /* no field */
    return wr_core_set_content(cf, node, start, NULL);
}

static const struct wr_dir dirs[] = {
    {.name = "empty_gif",
     .contexts = WR_CTX_LOCATION,
     .set = set_empty_gif,
     WR_DIR_CONF(NONE),
     .doc = "Answers with a transparent picture of one pixel."},
    WR_DIR_END
};

static struct wr_conf_module empty_gif_conf = {.name = "empty_gif", .dirs = dirs};

const struct wr_module wr_empty_gif_module = {.conf = &empty_gif_conf};
