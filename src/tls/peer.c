/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.c: is a peer the one that we meant? Its chain was judged during the handshake, which goes on
 * whatever came out, so that the reason can be told; here it counts, and so does the name. Owner
 * thread only.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/obj.h"
#include "tls/tls_int.h"

#define NAME_ROOM (WR_TLS_NAME_MAX + 1)

/* An address is compared with the certificate's addresses, a name with its names. */
static bool is_for_name(X509 *x, struct wr_str name)
{
    char text[NAME_ROOM];
    struct wr_addr a;

    if (wr_addr_parse_ip(name, 0, &a) == WR_OK) {
        if (name.len > 2 && name.ptr[0] == '[') {
            name = wr_str_sub(name, 1, name.len - 1);
        }
        if (name.len >= sizeof(text)) {
            return false;
        }
        memcpy(text, name.ptr, name.len);
        text[name.len] = '\0';
        return X509_check_ip_asc(x, text, 0) == 1;
    }
    return name.len > 0 && X509_check_host(x, name.ptr, name.len, 0, NULL) == 1;
}

bool wr_tls_is_trusted(struct wr_tls *t)
{
    X509 *x;

    if (!t->target->verify) {
        return true;
    }
    x = SSL_get0_peer_certificate(t->ssl);
    if (x == NULL || SSL_get_verify_result(t->ssl) != X509_V_OK) {
        return false;
    }
    t->is_mismatch = !is_for_name(x, t->target->name);
    ERR_clear_error();
    return !t->is_mismatch;
}

void wr_tls_write_failure(struct wr_tls *t, enum wr_status st, int err, struct wr_strbuf *b)
{
    long code;

    wr_obj_check(t, WR_TLS_MAGIC);
    code = SSL_get_verify_result(t->ssl);
    if (t->is_refused) {
        wr_strbuf_add_z(b, t->error != NULL ? t->error : "cannot load certificate");
    } else if (st == WR_EOF) {
        wr_strbuf_add_z(b, "peer closed connection in SSL handshake");
    } else if (st == WR_ESYS) {
        wr_strbuf_printf(b, "peer closed connection in SSL handshake (%d: %s)", err,
                         wr_log_errno_text(err));
    } else if (st == WR_ENOMEM) {
        wr_strbuf_add_z(b, "no memory for a handshake");
    } else if (t->is_mismatch) {
        wr_strbuf_printf(b, "upstream SSL certificate does not match \"%.*s\"",
                         WR_STR_ARG(t->target->name));
    } else if (ERR_peek_error() != 0) {
        wr_strbuf_add_z(b, "SSL_do_handshake() failed");
        wr_tls_add_errors(b);
    } else if (SSL_get0_peer_certificate(t->ssl) == NULL) {
        wr_strbuf_add_z(b, "upstream did not send a certificate");
    } else {
        wr_strbuf_printf(b, "upstream SSL certificate verify error: (%ld:%s)", code,
                         X509_verify_cert_error_string(code));
    }
}
