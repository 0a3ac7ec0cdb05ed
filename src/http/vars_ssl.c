/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vars_ssl.c: $ssl_*, and the questions that a request on an address with TLS must pass: is it
 * encrypted (497), is it for the server whose rules about clients' certificates were applied (421),
 * is the client's certificate there (496) and good (495)? Rules are those of the request's server
 * now; what the client showed is of the handshake. Request's thread.
 */
#include "http/vars_ssl.h"

#include "http/module.h"
#include "http/req_int.h"
#include "http/server.h"
#include "http/ssl_conf.h"
#include "net/conn.h"
#include "tls/tls.h"

#define FACT_MAX (64u << 10)
#define LINE     "while reading client request headers"

/* ---- variables ------------------------------------------------------------------------------- */

static enum wr_status get_fact(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    struct wr_strbuf b;
    enum wr_status st;

    (void)rest;
    if (!r->tls) {
        return WR_EOF;
    }
    wr_strbuf_init_arena(&b, r->arena, FACT_MAX);
    st = wr_tls_write_fact(r->tls, (enum wr_tls_fact)v->data, &b);
    if (st != WR_OK) {
        return st == WR_ENOMEM ? st : WR_EOF;
    }
    *ret = wr_strbuf_str(&b);
    return WR_OK;
}

/* What this TLS library does not tell (signature algorithms before OpenSSL 3.5, ECH before 4). */
static enum wr_status get_nothing(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                  struct wr_str *ret)
{
    (void)r, (void)v, (void)rest, (void)ret;
    return WR_EOF;
}

/* clang-format off */
#define FACT(n, f)    {"ssl_" n, get_fact, WR_TLS_FACT_##f, 0}
#define NOTHING(n)    {"ssl_" n, get_nothing, 0, 0}

static const struct wr_var vars[] = {
    FACT("alpn_protocol", ALPN),
    FACT("cipher", CIPHER),
    FACT("ciphers", CIPHERS),
    FACT("client_cert", CLIENT_CERT),
    FACT("client_escaped_cert", CLIENT_ESCAPED_CERT),
    FACT("client_fingerprint", CLIENT_FINGERPRINT),
    FACT("client_i_dn", CLIENT_ISSUER),
    FACT("client_i_dn_legacy", CLIENT_ISSUER_OLD),
    FACT("client_raw_cert", CLIENT_RAW_CERT),
    FACT("client_s_dn", CLIENT_SUBJECT),
    FACT("client_s_dn_legacy", CLIENT_SUBJECT_OLD),
    FACT("client_serial", CLIENT_SERIAL),
    FACT("client_v_end", CLIENT_END),
    FACT("client_v_remain", CLIENT_REMAIN),
    FACT("client_v_start", CLIENT_START),
    FACT("client_verify", CLIENT_VERIFY),
    FACT("curve", CURVE),
    FACT("curves", CURVES),
    {"ssl_early_data", get_fact, WR_TLS_FACT_EARLY_DATA, WR_VAR_NOCACHE},
    NOTHING("client_sigalg"),
    NOTHING("ech_outer_server_name"),
    NOTHING("ech_status"),
    NOTHING("sigalg"),
    NOTHING("sigalgs"),
    FACT("protocol", PROTOCOL),
    FACT("server_name", SERVER_NAME),
    FACT("session_id", SESSION_ID),
    FACT("session_reused", SESSION_REUSED),
};

/* clang-format on */

/* ---- questions ------------------------------------------------------------------------------- */

/* The handshake asked for a certificate by the rules of another server{}. */
static bool is_misdirected(struct wr_req *r)
{
    struct wr_str name = wr_tls_server_name(r->tls), found;

    return name.len > 0 && wr_port_find(wr_server_port(r), name, NULL, &found) != r->server;
}

static unsigned check_client(struct wr_req *r, enum wr_tls_verify verify)
{
    const char *text = "";
    long code = 0;

    switch (wr_tls_client_trust(r->tls, &code, &text)) {
    case WR_TLS_TRUST_OK:
        return 0;
    case WR_TLS_TRUST_NO_CERT:
        if (verify != WR_TLS_VERIFY_ON) {
            return 0;
        }
        wr_log(&r->log, WR_LOG_INFO, "client sent no required SSL certificate " LINE);
        return 496;
    case WR_TLS_TRUST_NO_CA:
        if (verify == WR_TLS_VERIFY_OPTIONAL_NO_CA) {
            return 0;
        }
        break;
    case WR_TLS_TRUST_BAD:
        break;
    }
    wr_log(&r->log, WR_LOG_INFO, "client SSL certificate verify error: (%ld:%s) " LINE, code, text);
    return 495;
}

static enum wr_phase_result check_request(struct wr_req *r)
{
    enum wr_tls_verify verify;
    unsigned status = 0;

    if (!r->tls && !(wr_req_conn(r) && wr_req_conn(r)->is_tls)) {
        return WR_PHASE_NEXT;
    }
    verify = (enum wr_tls_verify)wr_ssl_srv_of(r->server)->verify;
    if (!r->tls) {
        wr_log(&r->log, WR_LOG_INFO, "client sent plain HTTP request to HTTPS port " LINE);
        status = 497;
    } else if (verify != WR_TLS_VERIFY_OFF && is_misdirected(r)) {
        wr_log(&r->log, WR_LOG_INFO,
               "client attempted to request the server name different from the one that was "
               "negotiated " LINE);
        status = 421;
    } else if (verify != WR_TLS_VERIFY_OFF) {
        status = check_client(r, verify);
    }
    if (status == 0) {
        return WR_PHASE_NEXT;
    }
    wr_reqx_of(r)->is_keepable = false;
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

static const struct wr_phase_row phases[] = {
    {WR_PHASE_POST_READ, 0, check_request}, /* before anybody else */
};

const struct wr_module wr_ssl_module = {
    .conf = &wr_ssl_conf,
    .vars = vars,
    .var_cnt = WR_ARRAY_LEN(vars),
    .phases = phases,
    .phase_cnt = WR_ARRAY_LEN(phases),
};
