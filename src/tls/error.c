/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.c: the library's queue of errors as one text, in the words that operators search for:
 *
 *    (SSL: error:0A00010B:SSL routines::wrong version number)
 *
 * The queue is the calling thread's; it is empty afterwards.
 */
#include <openssl/err.h>

#include "tls/tls_int.h"

#define ERRORS_MAX 8 /* of one line */

void wr_tls_add_errors(struct wr_strbuf *b)
{
    unsigned cnt = 0;

    wr_strbuf_add_z(b, " (SSL:");
    for (;;) {
        const char *data = NULL;
        char text[256];
        int flags = 0;
        unsigned long code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);

        if (code == 0) {
            break;
        }
        if (cnt++ >= ERRORS_MAX) {
            continue;
        }
        ERR_error_string_n(code, text, sizeof(text));
        wr_strbuf_printf(b, " %s", text);
        if (data != NULL && data[0] != '\0' && (flags & ERR_TXT_STRING) != 0) {
            wr_strbuf_printf(b, ":%s", data);
        }
    }
    wr_strbuf_add_z(b, ")");
}

/* Whose fault is it? What only our side can cause is for the operator. */
static bool is_clients_fault(unsigned long code)
{
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
        /* A key share, signature or certificate of the client that a primitive refused. */
        return ERR_GET_LIB(code) != ERR_LIB_SYS && ERR_GET_LIB(code) != ERR_LIB_RAND;
    }
    switch (ERR_GET_REASON(code)) {
    case ERR_R_MALLOC_FAILURE:
    case ERR_R_INTERNAL_ERROR:
    case SSL_R_NO_CERTIFICATE_SET:
    case SSL_R_NO_PRIVATE_KEY_ASSIGNED:
    case SSL_R_MISSING_RSA_CERTIFICATE:
    case SSL_R_LIBRARY_BUG:
        return false;
    default: /* numbers of the library */
        return true;
    }
}

bool wr_tls_write_error(struct wr_strbuf *b)
{
    bool is_info = is_clients_fault(ERR_peek_error());

    wr_tls_add_errors(b);
    return is_info;
}
