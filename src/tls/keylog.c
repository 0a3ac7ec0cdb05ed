/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keylog.c: secrets of connections, for who looks at captured traffic (ssl_key_log): lines that
 * wireshark knows (RFC 9850). The file is opened for each line, as the worker's user: so it may be
 * moved away at any time, and nothing of it is held; this is no mode of operation to be fast in.
 * Connection's thread.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "base/log.h"
#include "io/append.h"
#include "tls/tls_int.h"

#define MODE         0600
#define KEY_LINE_MAX 512u /* the longest has 32 + 64 + 2 * 64 bytes of hex and a label */

static void write_line(const char *path, const char *line)
{
    char room[KEY_LINE_MAX];
    size_t n = strlen(line), done = 0;
    int fd = -1, err = 0;
    enum wr_status st;

    if (n >= sizeof(room)) {
        return;
    }
    memcpy(room, line, n);
    room[n] = '\n';
    st = wr_append_open(path, MODE, &fd, NULL, &err);
    if (st == WR_OK) {
        st = wr_append_write(fd, WR_APPEND_STREAM, room, n + 1, &done, &err);
        wr_append_close(fd);
    }
    OPENSSL_cleanse(room, sizeof(room));
    if (st == WR_ESYS) {
        wr_log_errno(NULL, WR_LOG_ERROR, err, "the key log \"%s\" cannot be written", path);
    }
}

static void log_key(const SSL *ssl, const char *line)
{
    const struct wr_tls_ctx *c = wr_tls_ctx_of(SSL_get_SSL_CTX(ssl));

    if (c == NULL) {
        return;
    }
    if (c->key_log != NULL) {
        write_line(c->key_log, line);
    }
    if (c->wants_kernel) {
        wr_ktls_note_secret(SSL_get_app_data(ssl), line);
    }
}

enum wr_status wr_tls_use_key_log(struct wr_tls_ctx *c, struct wr_str path)
{
    if (path.len > 0) {
        c->key_log = OPENSSL_strndup(path.ptr, path.len);
        if (c->key_log == NULL) {
            return WR_ENOMEM;
        }
    }
    if (c->key_log != NULL || c->wants_kernel) {
        SSL_CTX_set_keylog_callback(c->ssl, log_key);
    }
    return WR_OK;
}
