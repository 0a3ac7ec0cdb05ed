/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sweep_tls.c: cancels at every step of handshakes: of clients (TLS 1.2 and 1.3), of clients
 * whose certificate a responder is asked about, and of peers. As test_sweep.c: each scene is played
 * once, then again for each turn of the loop and each way in which the client or a peer may go
 * away; and then with each allocation of ours failing in turn. Whatever happens: the connection
 * ends, slots come back, nothing leaks, and nobody gets an answer without having been looked at.
 */
/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/fsm.h"

/* The handshake tells where it is. */
static void note_move(const struct wr_fsm *f, uint8_t *state, unsigned to, uint64_t id,
                      bool *faulty);

#define wr_fsm_move_on note_move
#include "http/shake.c"
#undef wr_fsm_move_on
#undef B

#include "http/vars_ssl.h"

/* clang-format off */
#define CERT "ssl_certificate s.crt; ssl_certificate_key s.key; client_header_timeout 5s;"
#define CONF                                                                                       \
    "http { proxy_connect_timeout 5s; proxy_read_timeout 5s;\n"                                    \
    "upstream u { server 10.0.0.2:80 max_fails=0; }\n"                                             \
    "upstream t { server 10.0.0.3:443 max_fails=0; }\n"                                            \
    "server { listen 10.0.0.1:443 ssl; " CERT " location / { proxy_pass http://u; } }\n"           \
    "server { listen 10.0.0.1:444 ssl; " CERT                                                      \
    " ssl_client_certificate ca.crt; ssl_verify_client on; ssl_ocsp on;"                           \
    " ssl_ocsp_responder http://10.0.0.4/; location / { proxy_pass http://u; } }\n"                \
    "server { listen 10.0.0.1:80; location / { proxy_pass https://t; proxy_ssl_verify on;"         \
    " proxy_ssl_trusted_certificate ca.crt; proxy_ssl_name one.test; proxy_ssl_session_reuse off; } } }"
/* clang-format on */

#define MORE_MODULES &wr_ssl_module,
#include "sim/proxy_kit.h"
#include "sim/sweep_kit.h"

#define GOT_MAX  8192
#define WIRE_MAX 65536
#define BODY     "0123456789"

static unsigned last_state;            /* of the client's handshake */
static bool acted_in[SHAKE_ENDED + 1]; /* states in which somebody went away */

static void note_move(const struct wr_fsm *f, uint8_t *state, unsigned to, uint64_t id,
                      bool *faulty)
{
    last_state = to;
    wr_fsm_move_on(f, state, to, id, faulty);
}

/* ---- certificates ---------------------------------------------------------------------------- */

static EVP_PKEY *keys[3]; /* authority, server, client */
static X509 *certs[3];
static char pems[3][4096];

static X509 *make_cert(int no, const char *name)
{
    X509 *x = X509_new();
    X509_NAME *n = X509_get_subject_name(x);
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    keys[no] = EVP_EC_gen("P-256");
    assert_non_null(keys[no]);
    assert_int_equal(X509_set_version(x, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 7 + no), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 36000));
    assert_int_equal(
        X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0),
        1);
    assert_int_equal(X509_set_issuer_name(x, X509_get_subject_name(no == 0 ? x : certs[0])), 1);
    assert_int_equal(X509_set_pubkey(x, keys[no]), 1);
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, no == 0 ? x : certs[0], x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, NID_basic_constraints,
                            no == 0 ? "critical,CA:TRUE" : "CA:FALSE");
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
    assert_true(X509_sign(x, keys[0], EVP_sha256()) > 0);
    return x;
}

static void add_file(const char *path, X509 *x, EVP_PKEY *k)
{
    BIO *b = BIO_new(BIO_s_mem());
    size_t no = kit_file_cnt - 1;
    int n;

    assert_true(no < WR_ARRAY_LEN(pems));
    assert_int_equal(x != NULL ? PEM_write_bio_X509(b, x)
                               : PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL, NULL),
                     1);
    n = BIO_read(b, pems[no], sizeof(pems[no]) - 1);
    assert_true(n > 0);
    kit_files[kit_file_cnt++] = (struct wr_conf_text){path, pems[no], (size_t)n, 0};
    BIO_free(b);
}

/* ---- an end of a connection that speaks TLS ---------------------------------------------------
 */

struct end {
    SSL *ssl;
    struct sim_sock *k;
    const char *says; /* once the handshake is over */
    size_t said;
    bool waits; /* says it behind the first bytes of the other side */
    char got[GOT_MAX];
    size_t got_len;
    char wire[WIRE_MAX]; /* encrypted, on its way */
    size_t wire_len;
};

static void flush_end(struct end *e)
{
    size_t n;
    int more;

    while ((more = BIO_read(SSL_get_wbio(e->ssl), e->wire + e->wire_len,
                            (int)(sizeof(e->wire) - e->wire_len))) > 0) {
        e->wire_len += (size_t)more;
    }
    n = sim_write(e->k, e->wire, e->wire_len);
    memmove(e->wire, e->wire + n, e->wire_len - n);
    e->wire_len -= n;
}

static void talk(struct end *e)
{
    size_t n = 0;

    while (e->got_len < sizeof(e->got) - 1 &&
           SSL_read_ex(e->ssl, e->got + e->got_len, sizeof(e->got) - 1 - e->got_len, &n) == 1) {
        e->got_len += n;
    }
    e->got[e->got_len] = '\0';
    if (e->said < strlen(e->says) && (!e->waits || strstr(e->got, "\r\n\r\n") != NULL) &&
        SSL_write_ex(e->ssl, e->says + e->said, strlen(e->says) - e->said, &n) == 1) {
        e->said += n;
    }
}

static void pump(struct sim_sock *k, void *data)
{
    struct end *e = data;
    char buf[4096];
    size_t n;

    e->k = k;
    while ((n = sim_read(k, buf, sizeof(buf))) > 0) {
        assert_int_equal(BIO_write(SSL_get_rbio(e->ssl), buf, (int)n), (int)n);
    }
    ERR_clear_error();
    if (SSL_is_init_finished(e->ssl) || SSL_do_handshake(e->ssl) == 1) {
        talk(e);
    }
    flush_end(e);
    if (sim_is_eof(k) && sim_readable(k) == 0) {
        sim_close(k);
    }
}

static void open_end(struct end *e, SSL_CTX *ctx, bool is_server, const char *says)
{
    *e = (struct end){.ssl = SSL_new(ctx), .says = says, .waits = is_server};
    assert_non_null(e->ssl);
    SSL_set_bio(e->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(e->ssl), -1);
    if (is_server) {
        SSL_set_accept_state(e->ssl);
    } else {
        SSL_set_connect_state(e->ssl);
    }
}

static void accept_peer(struct sim_sock *k, void *data)
{
    struct end *e = data;

    if (e->k == NULL) { /* the first connection only */
        sim_watch(k, pump, e);
        pump(k, e);
    }
}

/* ---- scenes ---------------------------------------------------------------------------------- */

struct scene {
    const char *name;
    uint16_t port; /* 443: plain peer; 444: certificate and OCSP; 80: peer of TLS */
    int version;   /* of the TLS side that the test plays */
    const struct sim_step *responder; /* NULL: refused */
    const char *want;                 /* in an undisturbed answer */
};

struct play {
    const struct scene *scene;
    struct kit_step at;
    char got[GOT_MAX];
};

static SSL_CTX *client_ctx, *peer_ctx;

#define GET "GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" BODY

static const struct sim_step answers[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(OK), SIM_LOOP};
static const struct sim_step asks[] = {SIM_SEND(GET), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step garbage[] = {
    SIM_UNTIL("\r\n\r\n"),
    SIM_WAIT(5),
    SIM_SEND("HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nno "),
    SIM_WAIT(5),
    SIM_SEND("DER"),
    SIM_DRAIN,
    SIM_CLOSE};
static const struct sim_step status[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND("HTTP/1.0 404 No\r\n\r\n"),
                                         SIM_CLOSE};
static const struct sim_step silent[] = {SIM_DRAIN, SIM_CLOSE};

/* clang-format off */
static const struct scene scenes[] = {
    {"TLS 1.3", 443, TLS1_3_VERSION, NULL, BODY},
    {"TLS 1.2", 443, TLS1_2_VERSION, NULL, BODY},
    {"a responder that says nothing of use", 444, TLS1_3_VERSION, garbage, "400 Bad Request"},
    {"a responder that says no", 444, TLS1_2_VERSION, status, "400 Bad Request"},
    {"a responder that says nothing", 444, TLS1_3_VERSION, silent, "400 Bad Request"},
    {"no responder", 444, TLS1_2_VERSION, NULL, "400 Bad Request"},
    {"a peer of TLS 1.3", 80, TLS1_3_VERSION, NULL, BODY},
    {"a peer of TLS 1.2", 80, TLS1_2_VERSION, NULL, BODY},
};

/* clang-format on */

static void note_state(void *data, unsigned what)
{
    (void)data, (void)what;
    acted_in[last_state] = true;
}

static void set_version(SSL *ssl, int version)
{
    assert_int_equal(SSL_set_min_proto_version(ssl, version), 1);
    assert_int_equal(SSL_set_max_proto_version(ssl, version), 1);
}

static struct sim_sock *dial_tls(struct kit_world *w, uint16_t port, struct end *client)
{
    struct wr_addr front = sim_addr(1, port);
    struct sim_sock *c = sim_dial(w->sim, &front);

    assert_non_null(c);
    client->k = c;
    sim_watch(c, pump, client);
    pump(c, client);
    return c;
}

static void run_play(struct play *p)
{
    static const struct kit_own_acts own = {.before = note_state};
    static struct end client, peer;
    const struct scene *sc = p->scene;
    bool is_plain = sc->port == 80;
    struct wr_addr three = sim_addr(3, 443);
    struct kit_world w;
    struct sim_sock *c;

    kit_begin(&w,
              &(struct sim_conf){
                  .seed = p->at.seed, .delays = true, .short_io = p->at.seed == 3, .connect_ms = 5},
              gen);
    last_state = SHAKE_FIRST;
    open_end(&client, client_ctx, false, GET);
    open_end(&peer, peer_ctx, true, OK);
    set_version(is_plain ? peer.ssl : client.ssl, sc->version);
    kit_serve(&w, 2, answers);
    kit_serve_fn(&w, &three, accept_peer, &peer);
    kit_serve(&w, 4, sc->responder);
    p->got[0] = '\0';
    if (kit_adopt(gen)) {
        c = is_plain ? kit_dial(&w, asks) : dial_tls(&w, sc->port, &client);
        kit_disturb(&w, &p->at, c, &own);
        (void)snprintf(p->got, sizeof(p->got), "%s", client.got);
        if (is_plain) {
            (void)kit_keep(c, p->got, sizeof(p->got));
        }
    }
    kit_check_over(gen, sc->name, &p->at);
    (void)kit_end(&w);
    SSL_free(client.ssl);
    SSL_free(peer.ssl);
}

/* Of a client of whom no responder said anything good nothing may reach the peer's answer. */
static void check_refused(const struct play *p)
{
    if (p->scene->port == 444 && strstr(p->got, BODY) != NULL) {
        fail_msg("%s: act %u behind turn %u: served: %s", p->scene->name, p->at.act, p->at.turn,
                 p->got);
    }
}

static void play_step(void *data, struct kit_step *step)
{
    static struct play p;

    p = (struct play){.scene = data, .at = *step};
    run_play(&p);
    *step = p.at;
    if (step->act == KIT_NONE && strstr(p.got, p.scene->want) == NULL) {
        fail_msg("%s, undisturbed: %s", p.scene->name, p.got);
    }
    check_refused(&p);
}

static void every_step(void **state)
{
    unsigned plays = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scenes); i++) {
        struct scene scene = scenes[i];
        struct kit_step first = {.seed = 1};

        play_step(&scene, &first); /* what the process keeps is made now */
        plays += kit_sweep(play_step, &scene, scene.name, 3, KIT_ACT_CNT);
    }
    print_message("%u plays\n", plays);
    assert_true(plays > 1000 / KIT_STRIDE);
    assert_true(acted_in[SHAKE_FIRST] && acted_in[SHAKE_SHAKE] && acted_in[SHAKE_OCSP]);
}

static void run_undisturbed(void *data)
{
    struct play *p = data;

    run_play(p);
    if (!sim_is_faulted() && strstr(p->got, p->scene->want) == NULL) {
        fail_msg("%s: %s", p->scene->name, p->got);
    }
    check_refused(p);
}

static void every_allocation(void **state)
{
    static struct play p;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scenes); i++) {
        p = (struct play){.scene = &scenes[i], .at = {.seed = 1}};
        assert_true(sim_torture(run_undisturbed, &p) > 5);
    }
}

static SSL_CTX *make_side(const SSL_METHOD *method, int no)
{
    SSL_CTX *c = SSL_CTX_new(method);

    assert_non_null(c);
    assert_int_equal(SSL_CTX_use_certificate(c, certs[no]), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(c, keys[no]), 1);
    return c;
}

static int boot(void **state)
{
    (void)state;
    certs[0] = make_cert(0, "authority");
    certs[1] = make_cert(1, "one.test");
    certs[2] = make_cert(2, "client");
    add_file("/t/ca.crt", certs[0], NULL);
    add_file("/t/s.crt", certs[1], NULL);
    add_file("/t/s.key", NULL, keys[1]);
    client_ctx = make_side(TLS_client_method(), 2);
    peer_ctx = make_side(TLS_server_method(), 1);
    return proxy_boot();
}

static int shutdown_all(void **state)
{
    (void)state;
    proxy_end();
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(peer_ctx);
    for (size_t i = 0; i < WR_ARRAY_LEN(certs); i++) {
        X509_free(certs[i]);
        EVP_PKEY_free(keys[i]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step),
        cmocka_unit_test(every_allocation),
    };

    proxy_be_quiet();
    return cmocka_run_group_tests_name("sim/sweep_tls", tests, boot, shutdown_all);
}
