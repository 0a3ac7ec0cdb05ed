/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ocsp.c: see ocsp.h. A query is a fetch and what is made of its answer. A check asks about one
 * certificate of the chain after the other, the cache first; the first that is not good decides.
 * Any thread with a loop; bounded by its deadline and by the size of an answer.
 */
#include "http/ocsp.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "http/fetch.h"
#include "http/ssl_conf.h"

#define HTTP_PORT    80
#define URL_MAX      2048u
#define REQUEST_MAX  4096u
#define ERROR_ROOM   768u
#define NO_NEXT_SEC  3600u /* how long an answer counts that does not say */
#define LIFE_MAX_SEC 86400u

enum wr_status wr_ocsp_to_parse(struct wr_str url, struct wr_ocsp_to *ret, const char **ret_err,
                                struct wr_str *ret_what)
{
    struct wr_hostport hp;

    *ret_what = url;
    if (url.len < 7 || !wr_str_ieq(wr_str_sub(url, 0, 7), WR_STR("http://"))) {
        *ret_err = "invalid URL prefix";
        return WR_ECONFIG;
    }
    *ret_what = wr_str_sub(url, 7, url.len);
    if (ret_what->len == 0 || ret_what->ptr[0] == '/') {
        *ret_err = "no host";
        return WR_ECONFIG;
    }
    if (wr_hostport_parse(*ret_what, &hp, ret_err) != WR_OK || hp.is_unix) {
        return WR_ECONFIG;
    }
    for (size_t i = 0; i < url.len; i++) {
        if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == 127) {
            *ret_err = "invalid host";
            return WR_ECONFIG;
        }
    }
    *ret = (struct wr_ocsp_to){.url = url,
                               .host = hp.host,
                               .path = hp.rest.len > 0 ? hp.rest : WR_STR("/"),
                               .port = hp.has_port ? hp.port : HTTP_PORT};
    return WR_OK;
}

/* ---- one question ---------------------------------------------------------------------------- */

struct wr_ocsp_query {
    const struct wr_ocsp *q;
    struct wr_fetch *fetch; /* NULL: there was nobody to ask */
    struct wr_strbuf error;
    char room[ERROR_ROOM], host[256];
};

static void add_place(struct wr_ocsp_query *x)
{
    wr_strbuf_printf(&x->error, " while requesting certificate status, responder: %s", x->host);
}

/* Whom the certificate names; the text is in room. WR_EOF: told. */
static enum wr_status find_responder(struct wr_ocsp_query *x, char *room, struct wr_ocsp_to *ret)
{
    const char *err = "";
    struct wr_str what;
    struct wr_strbuf b;

    wr_strbuf_init_fixed(&b, room, URL_MAX);
    if (wr_ocsp_write_url(x->q, &b) != WR_OK) {
        wr_strbuf_add_z(&x->error, "no OCSP responder URL in certificate");
    } else if (wr_ocsp_to_parse(wr_strbuf_str(&b), ret, &err, &what) != WR_OK) {
        wr_strbuf_printf(&x->error, "%s in OCSP responder \"%.*s\"", err,
                         (int)WR_MIN(what.len, (size_t)256), what.ptr);
    } else {
        return WR_OK;
    }
    add_place(x);
    return WR_EOF;
}

static enum wr_status start_fetch(struct wr_ocsp_query *x, const struct wr_ocsp_to *to,
                                  struct wr_dns *dns, uint64_t until_ms, struct wr_task *task)
{
    char der[REQUEST_MAX];
    struct wr_strbuf b;
    struct wr_fetch_opts o = {.host = to->host,
                              .port = to->port,
                              .path = to->path,
                              .dns = dns,
                              .addrs = to->addrs,
                              .addr_cnt = to->addr_cnt,
                              .type = "application/ocsp-request",
                              .accept = "application/ocsp-response",
                              .until_ms = until_ms,
                              .answer_max = WR_OCSP_MAX};
    size_t n = WR_MIN(to->host.len, sizeof(x->host) - 1);

    memcpy(x->host, to->host.ptr, n);
    x->host[n] = '\0';
    wr_strbuf_init_fixed(&b, der, sizeof(der));
    if (wr_ocsp_write_request(x->q, &b) != WR_OK) {
        return WR_ENOMEM;
    }
    o.body = wr_strbuf_str(&b);
    return wr_fetch_start(&o, task, &x->fetch);
}

enum wr_status wr_ocsp_query_start(const struct wr_ocsp *q, const struct wr_ocsp_to *to,
                                   struct wr_dns *dns, uint64_t until_ms, struct wr_task *task,
                                   struct wr_ocsp_query **ret)
{
    struct wr_ocsp_query *x = wr_run_zalloc(sizeof(*x));
    struct wr_ocsp_to named;
    char room[URL_MAX];
    enum wr_status st = WR_OK;

    if (!x) {
        return WR_ENOMEM;
    }
    x->q = q;
    wr_strbuf_init_fixed(&x->error, x->room, sizeof(x->room));
    if (!to || to->url.len == 0) {
        st = find_responder(x, room, &named);
        to = &named;
    }
    if (st == WR_OK) {
        st = start_fetch(x, to, dns, until_ms, task);
    }
    if (st == WR_ENOMEM) {
        wr_ocsp_query_end(&x);
        return st;
    }
    *ret = x;
    return WR_OK;
}

enum wr_status wr_ocsp_query_get(struct wr_ocsp_query *x, struct wr_ocsp_answer *ret,
                                 struct wr_str *ret_der)
{
    struct wr_str body;
    enum wr_status st;

    if (!x->fetch) {
        return WR_EOF;
    }
    st = wr_fetch_get(x->fetch, &body);
    if (st == WR_AGAIN) {
        return st;
    }
    if (st == WR_OK && wr_ocsp_read(x->q, body, ret, &x->error) == WR_OK) {
        *ret_der = body;
        return WR_OK;
    }
    if (st != WR_OK && x->error.len == 0) {
        wr_strbuf_add_str(&x->error, wr_fetch_error(x->fetch));
    }
    add_place(x);
    return WR_EOF;
}

struct wr_str wr_ocsp_query_error(const struct wr_ocsp_query *x)
{
    return wr_strbuf_str(&x->error);
}

void wr_ocsp_query_end(struct wr_ocsp_query **at)
{
    struct wr_ocsp_query *x = wr_take(at);

    if (x) {
        wr_fetch_end(&x->fetch);
        wr_mem_free(x);
    }
}

/* ---- a client's certificates ----------------------------------------------------------------- */

struct wr_ocsp_check {
    uint32_t no;       /* in the chain */
    struct wr_ocsp *q; /* about that one */
    struct wr_ocsp_query *query;
};

/* False: it is the last word. */
static bool goes_on(struct wr_tls *t, enum wr_ocsp_says says)
{
    switch (says) {
    case WR_OCSP_GOOD:
        return true;
    case WR_OCSP_REVOKED:
        wr_tls_client_condemn(t, WR_OCSP_IS_REVOKED);
        return false;
    case WR_OCSP_UNKNOWN:
        wr_tls_client_condemn(t, WR_OCSP_IS_UNKNOWN);
        return false;
    }
    WR_UNREACHABLE();
}

static void drop_question(struct wr_ocsp_check *x)
{
    wr_ocsp_query_end(&x->query);
    wr_ocsp_free(wr_take(&x->q));
}

/* Of the query that is under way. WR_OK: the next certificate. WR_EOF: it is decided. */
static enum wr_status take_answer(struct wr_ocsp_check *x, struct wr_tls *t,
                                  const struct wr_ocsp_check_env *env)
{
    struct wr_ocsp_answer a;
    struct wr_str der;
    enum wr_status st = wr_ocsp_query_get(x->query, &a, &der);

    if (st == WR_AGAIN) {
        return st;
    }
    if (st != WR_OK) {
        wr_log(env->log, WR_LOG_ERROR, "%.*s", WR_STR_ARG(wr_ocsp_query_error(x->query)));
        wr_tls_client_condemn(t, WR_OCSP_FAILED);
        return WR_EOF;
    }
    if (env->conf->ocsp_cache) {
        uint64_t life = a.life_sec != 0 ? a.life_sec : NO_NEXT_SEC;

        wr_ocsp_remember(env->conf->ocsp_cache, x->q, a.says,
                         (uint32_t)WR_MIN(life, (uint64_t)LIFE_MAX_SEC));
    }
    return goes_on(t, a.says) ? WR_OK : WR_EOF;
}

/* About certificate x->no. As take_answer. */
static enum wr_status ask(struct wr_ocsp_check *x, struct wr_tls *t,
                          const struct wr_ocsp_check_env *env)
{
    enum wr_ocsp_says says = WR_OCSP_UNKNOWN;
    enum wr_status st;

    if (x->no > 0 && env->conf->ocsp == WR_SSL_OCSP_LEAF) {
        return WR_EOF;
    }
    st = wr_tls_client_ocsp(t, x->no, &x->q);
    if (st == WR_OK && env->conf->ocsp_cache &&
        wr_ocsp_recall(env->conf->ocsp_cache, x->q, &says)) {
        return goes_on(t, says) ? WR_OK : WR_EOF;
    }
    if (st == WR_OK) {
        st = wr_ocsp_query_start(x->q, env->conf->ocsp_to, env->dns, env->until_ms, env->task,
                                 &x->query);
        st = st == WR_OK ? WR_AGAIN : st;
    }
    if (st == WR_ENOMEM) {
        wr_tls_client_condemn(t, WR_OCSP_FAILED);
        st = WR_EOF;
    }
    return st;
}

enum wr_status wr_ocsp_check_step(struct wr_ocsp_check **at, struct wr_tls *t,
                                  const struct wr_ocsp_check_env *env)
{
    struct wr_ocsp_check *x = *at;
    enum wr_status st = WR_OK;

    if (!x) {
        x = *at = wr_run_zalloc(sizeof(*x));
        if (!x) {
            wr_tls_client_condemn(t, WR_OCSP_FAILED);
            return WR_OK;
        }
    }
    while (st == WR_OK) {
        st = x->query ? WR_OK : ask(x, t, env);
        if (x->query) {
            st = take_answer(x, t, env); /* one that failed at once wakes nobody */
        }
        if (st == WR_OK) {
            drop_question(x);
            x->no++;
        }
    }
    return st == WR_EOF ? WR_OK : st;
}

void wr_ocsp_check_end(struct wr_ocsp_check **at)
{
    struct wr_ocsp_check *x = wr_take(at);

    if (x) {
        drop_question(x);
        wr_mem_free(x);
    }
}
