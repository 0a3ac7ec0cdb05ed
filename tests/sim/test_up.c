/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_up.c: the upstream engine's decisions in the simulator: which peer is asked next and which
 * is not, what is made of a head before it is relayed, what the log says, early answers, bad
 * bodies, stale connections, redirects and tunnels. Each play is one client against scripted peers;
 * what the client, each peer and the operator saw is compared with what the requirement says. Where
 * order matters the second peer is a backup: the balancer's cursor then has no say.
 */
/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* clang-format off */
#define CONF                                                                                       \
    "http { client_body_timeout 3s; client_max_body_size 1000;\n"                                  \
    "proxy_connect_timeout 5s; proxy_read_timeout 5s; proxy_send_timeout 5s;\n"                    \
    "upstream u { server 10.0.0.2:80 max_fails=0; server 10.0.0.3:80 backup max_fails=0; }\n"      \
    "upstream d { server 10.0.0.5:80; server 10.0.0.6:80; }\n"                                     \
    "upstream e { server 10.0.0.7:80 max_fails=1; server 10.0.0.8:80 backup; }\n"                  \
    "upstream v { server 10.0.0.4:80; }\n"                                                         \
    "upstream k { server 10.0.0.2:80; keepalive 4; }\n"                                            \
    "upstream q { server 10.0.0.2:80 max_conns=1; queue 2 timeout=3s; }\n"                         \
    "server { listen 10.0.0.1:80;\n"                                                               \
    "location / { proxy_pass http://u; }\n"                                                        \
    "location /st { proxy_pass http://u; proxy_next_upstream error http_503 http_404; }\n"         \
    "location /non { proxy_pass http://u; proxy_next_upstream http_503 non_idempotent; }\n"        \
    "location /inv { proxy_pass http://u; proxy_next_upstream invalid_header; }\n"                 \
    "location /no { proxy_pass http://u; proxy_next_upstream off; }\n"                             \
    "location /once { proxy_pass http://u; proxy_next_upstream_tries 1; }\n"                       \
    "location /soon { proxy_pass http://u; proxy_next_upstream_timeout 4s; }\n"                    \
    "location /d { proxy_pass http://d; proxy_next_upstream http_503; }\n"                         \
    "location /e { proxy_pass http://e; }\n"                                                       \
    "location /v { proxy_pass http://v;"                                                           \
    " proxy_set_header X-Tries \"$upstream_addr|$upstream_status\"; }\n"                             \
    "location @v { proxy_pass http://v; }\n"                                                       \
    "location /ignore { proxy_pass http://u;"                                                      \
    " proxy_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate; }\n"                               \
    "location /err { proxy_pass http://u; proxy_intercept_errors on; error_page 404 /v/404;"       \
    " error_page 401 /v/401; }\n"                                                                  \
    "location /k { proxy_pass http://k; }\n"                                                       \
    "location /q { proxy_pass http://q; }\n"                                                       \
    "location /stream { proxy_request_buffering off; proxy_pass http://u; }\n"                     \
    "location /deaf { proxy_request_buffering off; client_max_body_size 1m;"                       \
    " proxy_pass http://u; }\n"                                                                    \
    "location /ws { proxy_pass http://u; proxy_set_header Upgrade $http_upgrade;"                  \
    " proxy_set_header Connection upgrade; }\n"                                                    \
    "location /field { proxy_pass http://u; proxy_set_header X-Uri $uri; }\n"                      \
    "location /bind { proxy_pass http://u; proxy_bind $arg_from; }\n"                              \
    "location /lit { proxy_pass http://$arg_to; }\n"                                               \
    "location /url { proxy_pass $arg_to; }\n"                                                      \
    "location /disk { proxy_pass http://u; proxy_temp_path /nonexistent/weir; proxy_buffers 2 4k;" \
    " proxy_buffer_size 4k; proxy_max_temp_file_size 1m; proxy_busy_buffers_size 4k; }\n"          \
    "} }"
/* clang-format on */

#include "io/kpipe.h"
#include "sim/proxy_kit.h"

#define PEERS 4

struct play_peer {
    unsigned host;
    const struct sim_step *steps; /* NULL: connects are never answered */
    const struct sim_step *then;  /* of later connections; NULL: as the first */
    unsigned served;
};

struct play {
    struct sim_conf conf;
    const struct sim_step *client;

    struct play_peer peers[PEERS];
    const struct sim_step *client2; /* on a second connection; may be NULL */
    enum sim_dir cut_dir;
    uint64_t cut_at; /* the client's connection is reset there; 0: not */
    uint64_t ms;     /* how long; 0: 60 s */
    /* what they saw */
    char got[1 << 18], got2[1 << 12], log[1 << 16], at[PEERS][1 << 16];
    unsigned accepted[PEERS];
    const char *script_error;
};

static int log_fd;
static struct wr_log_sink log_sink = {.level = WR_LOG_INFO};

static int boot(void **state)
{
    (void)state;
    log_fd = memfd_create("log", MFD_CLOEXEC);
    log_sink.fd = log_fd;
    return log_fd < 0 ? -1 : proxy_boot();
}

static int shutdown_all(void **state)
{
    (void)state;
    proxy_end();
    (void)close(log_fd);
    return 0;
}

static void keep_received(const struct sim_sock *k, char *to, size_t cap)
{
    size_t n = 0, old = strlen(to);
    const char *got = k == NULL ? NULL : sim_received(k, &n);

    n = WR_MIN(n, cap - 1 - old);
    if (got != NULL && n > 0) {
        memcpy(to + old, got, n);
        to[old + n] = '\0';
    }
}

static void look(struct play *p, const struct sim *s, const struct sim_sock *c,
                 const struct sim_sock *c2)
{
    ssize_t n = pread(log_fd, p->log, sizeof(p->log) - 1, 0);

    p->log[n < 0 ? 0 : n] = '\0';
    keep_received(c, p->got, sizeof(p->got));
    keep_received(c2, p->got2, sizeof(p->got2));
    for (int i = 0; i < PEERS; i++) {
        struct wr_addr a = sim_addr(p->peers[i].host, 80);

        if (p->peers[i].host != 0 && p->peers[i].steps != NULL) {
            p->accepted[i] = sim_accepted(s, &a);
            for (unsigned k = 0; k < p->accepted[i]; k++) {
                keep_received(sim_accepted_sock(s, &a, k), p->at[i], sizeof(p->at[i]));
            }
        }
    }
    p->script_error = sim_error(s);
}

static void clear(struct play *p)
{
    p->got[0] = p->got2[0] = p->log[0] = '\0';
    for (int i = 0; i < PEERS; i++) {
        p->at[i][0] = '\0';
        p->accepted[i] = 0;
    }
    (void)!ftruncate(log_fd, 0);
    (void)lseek(log_fd, 0, SEEK_SET);
}

static void serve(struct sim_sock *k, void *data)
{
    struct play_peer *peer = data;

    sim_script(k, peer->served++ > 0 && peer->then != NULL ? peer->then : peer->steps);
}

static void run_play(void *data)
{
    struct play *p = data;
    struct sim *s = sim_new(&p->conf);
    struct wr_addr front = sim_addr(1, 80);
    struct wr_http *h = wr_http_of(gen);
    int fd = sim_listen(s, &front);
    struct sim_sock *c = NULL, *c2 = NULL;

    clear(p);
    wr_log_set_default(&log_sink);
    h->ports[0].fds = &fd;
    h->ports[0].fd_cnt = 1;
    for (int i = 0; i < PEERS; i++) {
        struct wr_addr a = sim_addr(p->peers[i].host, 80);

        if (p->peers[i].steps != NULL) {
            p->peers[i].served = 0;
            sim_serve(s, &a, serve, &p->peers[i]);
        } else if (p->peers[i].host != 0) {
            sim_blackhole(s, &a);
        }
    }
    if (wr_http_adopt(gen, 0) == WR_OK) {
        c = sim_dial(s, &front);
        c2 = p->client2 == NULL ? NULL : sim_dial(s, &front);
        if (c != NULL && p->cut_at != 0) {
            sim_reset_at(c, p->cut_dir, p->cut_at);
        }
        if (c != NULL) {
            sim_script(c, p->client);
        }
        if (c2 != NULL) {
            sim_script(c2, p->client2);
        }
        (void)sim_run_for(s, p->ms == 0 ? 60000 : p->ms);
    }
    look(p, s, c, c2);
    wr_http_stop();
    (void)sim_run_for(s, 100);
    wr_idle_thread_end();
    (void)sim_run_for(s, 100);
    /* U8.3 */
    assert_int_equal(wr_http_req_cnt(), 0);
    assert_int_equal(wr_http_conn_cnt(), 0);
    sim_free(s);
    wr_log_set_default(NULL);
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (text = strstr(text, what); text != NULL; text = strstr(text + 1, what)) {
        n++;
    }
    return n;
}

static void show(const struct play *p, const char *name)
{
    print_error("play \"%s\"\n--- client\n%.1500s\n--- log\n%s\n", name, p->got, p->log);
    for (int i = 0; i < PEERS; i++) {
        if (p->peers[i].host != 0) {
            print_error("--- peer %u, %u connections\n%.1500s\n", p->peers[i].host, p->accepted[i],
                        p->at[i]);
        }
    }
}

static bool is_status(const struct play *p, unsigned status)
{
    char want[32];

    (void)snprintf(want, sizeof(want), "HTTP/1.1 %u ", status);
    return strncmp(p->got, want, strlen(want)) == 0;
}

/* --- one request, one answer: rows --- */

#define REQ(m, uri) m " " uri " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
#define GET(uri)    REQ("GET", uri) "\r\n"

#define OK(body_len, body) "HTTP/1.1 200 OK\r\nContent-Length: " body_len "\r\n\r\n" body
#define ST(line, body)     "HTTP/1.1 " line "\r\nContent-Length: 3\r\n\r\n" body

static const struct sim_step ok_two[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(OK("3", "two")), SIM_LOOP};
static const struct sim_step ok_three[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(OK("5", "three")),
                                           SIM_LOOP};
static const struct sim_step ok_four[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(OK("4", "four")),
                                          SIM_LOOP};
static const struct sim_step s503[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(ST("503 No", "bad")),
                                       SIM_LOOP};
static const struct sim_step s503_three[] = {SIM_UNTIL("\r\n\r\n"),
                                             SIM_SEND(ST("503 Gone fishing", "3.3")), SIM_LOOP};
static const struct sim_step s404[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(ST("404 No", "bad")),
                                       SIM_LOOP};
static const struct sim_step s101[] = {
    SIM_UNTIL("\r\n\r\n"),
    SIM_SEND("HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n"), SIM_DRAIN,
    SIM_CLOSE};
static const struct sim_step nonsense[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND("nonsense\r\n\r\n"),
                                           SIM_DRAIN, SIM_CLOSE};
static const struct sim_step resets[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND("HTTP/1.1 2"), SIM_WAIT(5),
                                         SIM_RESET};
static const struct sim_step closes[] = {SIM_UNTIL("\r\n\r\n"), SIM_CLOSE};
static const struct sim_step silent[] = {SIM_UNTIL("\r\n\r\n"), SIM_DRAIN, SIM_CLOSE};

#define BLACKHOLE NULL
static const struct sim_step nobody[] = {SIM_END}; /* stands for: refused */

/* What one request must come to. */
/* clang-format off */
static const struct row {
    const char *name, *request;
    const struct sim_step *two, *three; /* `nobody`: refused */
    unsigned status;
    const char *body, *log;
    unsigned at_two, at_three; /* requests that were seen there */
} rows[] = {
    /* U7.1, U7.4: a status moves on when it is named; the last peer's own answer passes. */
    {"503 named", GET("/st"), s503, ok_three, 200, "three", NULL, 1, 1},
    {"503 named, twice", GET("/st"), s503, s503_three, 503, "3.3", NULL, 1, 1},
    {"404 named", GET("/st"), s404, ok_three, 200, "three", NULL, 1, 1},
    {"503 not named", GET("/"), s503, ok_three, 503, "bad", NULL, 1, 0},
    {"503 named, the other refuses", GET("/st"), s503, nobody, 502, NULL,
     "connect() failed (111: Connection refused) while connecting to upstream", 1, 0},
    /* U7.2 */
    {"POST does not move", REQ("POST", "/st") "Content-Length: 0\r\n\r\n", s503, ok_three, 503,
     "bad", NULL, 1, 0},
    {"POST moves when named", REQ("POST", "/non") "Content-Length: 0\r\n\r\n", s503, ok_three,
     200, "three", NULL, 1, 1},
    {"POST moves when it was not sent", REQ("POST", "/st") "Content-Length: 0\r\n\r\n", nobody,
     ok_three, 200, "three", "connect() failed (111: Connection refused)", 0, 1},
    {"PUT is idempotent", REQ("PUT", "/st") "Content-Length: 0\r\n\r\n", s503, ok_three, 200,
     "three", NULL, 1, 1},
    /* U3.3, U7.4: errors and their words */
    {"refused, moves", GET("/"), nobody, ok_three, 200, "three",
     "connect() failed (111: Connection refused) while connecting to upstream, client: 10.", 0, 1},
    {"refused, off", GET("/no"), nobody, ok_three, 502, NULL, "Connection refused", 0, 0},
    {"connect timeout, off", GET("/no"), BLACKHOLE, ok_three, 504, NULL,
     "upstream timed out (110: Connection timed out) while connecting to upstream", 0, 0},
    {"connect timeout, why", GET("/no"), BLACKHOLE, ok_three, 504, NULL,
     ", why: \"round_robin 10.0.0.2:80 new connect_timeout=5s >stop:policy\"", 0, 0},
    {"silent, why", GET("/once"), silent, ok_three, 504, NULL,
     ", why: \"round_robin 10.0.0.2:80 new read_timeout=5s >stop:tries\"", 1, 0},
    {"connect timeout, moves", GET("/"), BLACKHOLE, ok_three, 200, "three",
     "while connecting to upstream", 0, 1},
    {"closed, moves", GET("/"), closes, ok_three, 200, "three",
     "upstream prematurely closed connection while reading response header from upstream", 1, 1},
    {"reset, moves", GET("/"), resets, ok_three, 200, "three",
     "recv() failed (104: Connection reset by peer) while reading response header from upstream",
     1, 1},
    {"reset, off", GET("/no"), resets, ok_three, 502, NULL, "recv() failed (104: ", 1, 0},
    {"silent, moves", GET("/"), silent, ok_three, 200, "three",
     "upstream timed out (110: Connection timed out) while reading response header from upstream",
     1, 1},
    {"silent, both", GET("/"), silent, silent, 504, NULL, "upstream timed out", 1, 1},
    /* U5.2, U2.2: a bad head ends it unless it is named. */
    {"no status line", GET("/"), nonsense, ok_three, 502, NULL,
     "upstream sent no valid HTTP/1.0 header while reading response header from upstream", 1, 0},
    {"no status line, named", GET("/inv"), nonsense, ok_three, 200, "three",
     "upstream sent no valid", 1, 1},
    /* U14.3: nobody asked for an upgrade */
    {"101 out of nowhere", GET("/"), s101, ok_three, 502, NULL, "upstream sent invalid header", 1,
     0},
    {"101 out of nowhere, named", GET("/inv"), s101, ok_three, 200, "three", "invalid header", 1,
     1},
    {"101 to another protocol", REQ("GET", "/ws") "Upgrade: websocket\r\n\r\n", s101, ok_three,
     502, NULL, "upstream sent invalid header", 1, 0},
    /* U2.5 */
    {"one try", GET("/once"), closes, ok_three, 502, NULL, "prematurely closed", 1, 0},
    {"time is over after the first", GET("/soon"), silent, ok_three, 504, NULL, "timed out", 1, 0},
    {"time is left after the first", GET("/soon"), closes, ok_three, 200, "three",
     "prematurely closed", 1, 1},
    /* U14.1: what a variable holds never ends a line */
    {"CR LF in a field", GET("/field%0d%0aX:y"), ok_two, ok_three, 400, NULL,
     "a header value or the URI has a CR, LF or NUL, the request is not sent", 0, 0},
    {"NUL in a field", GET("/field%00"), ok_two, ok_three, 400, NULL, NULL, 0, 0},
    /* U3.2: an address out of variables that is none is told, and none is bound. */
    {"bind to nonsense", GET("/bind?from=nonsense"), ok_two, ok_three, 200, "two",
     "invalid local address \"nonsense\"", 1, 0},
    {"bind to nothing", GET("/bind?from="), ok_two, ok_three, 200, "two", NULL, 1, 0},
    /* U1.5: proxy_pass of variables: a group, an address, a name without resolver, none of these */
    {"a group by name", GET("/lit?to=u"), ok_two, ok_three, 200, "two", NULL, 1, 0},
    {"an address", GET("/lit?to=10.0.0.3"), ok_two, ok_three, 200, "three", NULL, 0, 1},
    {"an address and port", GET("/lit?to=10.0.0.3:80"), ok_two, ok_three, 200, "three", NULL, 0,
     1},
    {"an address that refuses", GET("/lit?to=10.0.0.99"), ok_two, ok_three, 502, NULL,
     "Connection refused", 0, 0},
    {"an address that breaks off is not tried again", GET("/lit?to=10.0.0.2"), closes, ok_three,
     502, NULL, "prematurely closed", 1, 0},
    {"a name", GET("/lit?to=some.test"), ok_two, ok_three, 502, NULL,
     "no resolver defined to resolve some.test", 0, 0},
    {"a bad port", GET("/lit?to=a:99999"), ok_two, ok_three, 500, NULL, "in upstream \"a:99999\"",
     0, 0},
    {"a bad scheme", GET("/url?to=ftp://u/"), ok_two, ok_three, 500, NULL,
     "invalid URL prefix in \"ftp://u/\"", 0, 0},
    {"a whole URL", GET("/url?to=http://u/x"), ok_two, ok_three, 200, "two", NULL, 1, 0},
};

/* clang-format on */

static void run_row(struct play *p, const struct row *r)
{
    static struct sim_step client[] = {SIM_SEND(NULL), SIM_DRAIN, SIM_CLOSE};

    client[0].text = r->request;
    *p = (struct play){
        .conf = {.seed = 5                      },
        .client = client,
        .peers = { {.host = 2, .steps = r->two}, {.host = 3, .steps = r->three}}
    };
    for (int i = 0; i < 2; i++) {
        if (p->peers[i].steps == nobody) {
            p->peers[i].host = 0;
            p->peers[i].steps = NULL;
        }
    }
    run_play(p);
}

static bool row_holds(const struct play *p, const struct row *r)
{
    const char *body = strstr(p->got, "\r\n\r\n");

    return is_status(p, r->status) && body != NULL &&
           (r->body == NULL || strcmp(body + 4, r->body) == 0) &&
           (r->log == NULL ? count(p->log, "[error]") == 0 || r->status != 200
                           : strstr(p->log, r->log) != NULL) &&
           count(p->at[0], " HTTP/1.1\r\n") == r->at_two &&
           count(p->at[1], " HTTP/1.1\r\n") == r->at_three;
}

static void decisions(void **state)
{
    static struct play p;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        run_row(&p, &rows[i]);
        if (!row_holds(&p, &rows[i])) {
            show(&p, rows[i].name);
            fail();
        }
    }
}

static void play(struct play *p, const struct sim_step *client, const struct sim_step *two,
                 const struct sim_step *four)
{
    *p = (struct play){.conf = {.seed = 6}, .client = client};
    p->peers[0].host = two == NULL ? 0 : 2;
    p->peers[0].steps = two;
    p->peers[1].host = four == NULL ? 0 : 4;
    p->peers[1].steps = four;
    run_play(p);
}

/* --- redirects of the peer's (U5.6, U5.9) --- */

#define ACCEL(to)                                                                                  \
    "HTTP/1.1 200 OK\r\nX-Accel-Redirect: " to "\r\nContent-Type: x/kept\r\nX-Lost: 1\r\n"         \
    "Content-Length: 4\r\n\r\ngone"

/* The peer's headers; the client's request; what the redirect's peer sees, NULL: nothing. */
/* clang-format off */
static const struct accel_row {
    const char *answer, *request, *seen;
    unsigned status;
} accel_rows[] = {
    {ACCEL("/v/a?b=c"), GET("/a"), "GET /v/a?b=c HTTP/1.1\r\n", 200},
    /* arguments are the URI's */
    {ACCEL("/v/a"), GET("/a?old=1"), "GET /v/a HTTP/1.1\r\n", 200},
    {ACCEL("/v/a"), REQ("POST", "/a") "Content-Length: 2\r\n\r\nhi", "GET /v/a HTTP/1.1\r\n", 200},
    {ACCEL("/v/a"), REQ("HEAD", "/a") "\r\n", "HEAD /v/a HTTP/1.1\r\n", 200},
    /* a name leaves method and URI */
    {ACCEL("@v"), GET("/a?b"), "GET /a?b HTTP/1.1\r\n", 200},
    {ACCEL("@v"), REQ("DELETE", "/a") "\r\n", "DELETE /a HTTP/1.1\r\n", 200},
    {ACCEL("/v/../../etc"), GET("/a"), NULL, 404},
    {ACCEL("v/a"), GET("/a"), NULL, 404},
    /* *_ignore_headers */
    {ACCEL("/v/a"), GET("/ignore"), NULL, 200},
};

/* clang-format on */

static void accel_redirects(void **state)
{
    static struct play p;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(accel_rows); i++) {
        const struct accel_row *r = &accel_rows[i];
        const struct sim_step two[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(r->answer), SIM_LOOP};
        const struct sim_step client[] = {SIM_SEND(r->request), SIM_DRAIN, SIM_CLOSE};

        play(&p, client, two, ok_four);
        if (!is_status(&p, r->status) ||
            (r->seen == NULL ? p.at[1][0] != '\0'
                             : strncmp(p.at[1], r->seen, strlen(r->seen)) != 0)) {
            show(&p, r->request);
            fail();
        }
        if (r->seen != NULL) {
            assert_null(strstr(p.got, "gone"));
            assert_non_null(strstr(p.got, "\r\nContent-Type: x/kept\r\n"));
            assert_null(strstr(p.got, "X-Lost"));
            assert_null(strstr(p.got, "X-Accel"));
        }
    }
    /* U7.5: the tries of both requests, the redirect between them. */
    play(&p, (const struct sim_step[]){SIM_SEND(GET("/a")), SIM_DRAIN, SIM_CLOSE},
         (const struct sim_step[]){SIM_UNTIL("\r\n\r\n"), SIM_SEND(ACCEL("/v/")), SIM_LOOP},
         ok_four);
    assert_non_null(strstr(p.at[1], "\r\nX-Tries: 10.0.0.2:80 : 10.0.0.4:80|200 : -\r\n"));
}

/* U5.8: the status goes to error_page; the challenge of a 401 stays. */
static void errors_are_intercepted(void **state)
{
    static const struct sim_step s401[] = {
        SIM_UNTIL("\r\n\r\n"),
        SIM_SEND(
            "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 3\r\n\r\nbad"),
        SIM_LOOP};
    static const struct sim_step client[] = {SIM_SEND(GET("/err")), SIM_DRAIN, SIM_CLOSE};
    static struct play p;

    (void)state;
    play(&p, client, s404, ok_four);
    assert_true(is_status(&p, 404));
    assert_non_null(strstr(p.got, "\r\n\r\nfour"));
    assert_non_null(strstr(p.at[1], "GET /v/404 HTTP/1.1\r\n"));
    play(&p, client, s401, ok_four);
    assert_true(is_status(&p, 401));
    assert_non_null(strstr(p.got, "\r\nWWW-Authenticate: Basic realm=x\r\n"));
    assert_non_null(strstr(p.got, "\r\n\r\nfour"));
    /* No error_page names it: the peer's own. */
    play(&p, client, s503, ok_four);
    assert_true(is_status(&p, 503));
    assert_non_null(strstr(p.got, "\r\n\r\nbad"));
    assert_string_equal(p.at[1], "");
}

/* U5.6: 3000 bytes at 1000 a second take two to three seconds, unless the field is ignored. */
static void limit_rate(void **state)
{
    static const struct sim_step two[] = {
        SIM_UNTIL("\r\n\r\n"),
        SIM_SEND("HTTP/1.1 200 OK\r\nX-Accel-Limit-Rate: 1000\r\nX-Accel-Buffering: yes\r\n"
                 "Content-Length: 3000\r\n\r\n"),
        SIM_SEND_N(3000), SIM_LOOP};
    static struct play p;

    (void)state;
    for (int ignored = 0; ignored < 2; ignored++) {
        const struct sim_step client[] = {SIM_SEND(ignored ? GET("/ignore") : GET("/a")), SIM_DRAIN,
                                          SIM_CLOSE};

        p = (struct play){.client = client, .peers = {{.host = 2, .steps = two}}, .ms = 1500};
        run_play(&p);
        assert_int_equal(strlen(strstr(p.got, "\r\n\r\n") + 4) == 3000, ignored);
        p.ms = 5000;
        run_play(&p);
        assert_int_equal(strlen(strstr(p.got, "\r\n\r\n") + 4), 3000);
    }
}

/* --- the peers' account (U2.2, U2.4) --- */

/*
 * A named status counts where it makes the request move on; of the last try it is the answer, and
 * the peer stays (nginx 1.22 does the same). So the first request takes out peer 5, the second,
 * which begins at 6, takes out that and finds nobody.
 */
static void failures_take_peers_out(void **state)
{
#define KEPT(uri) "GET " uri " HTTP/1.1\r\nHost: h\r\n\r\n"
    static const struct sim_step client[] = {SIM_SEND(KEPT("/d/1")),
                                             SIM_UNTIL("bad"),
                                             SIM_SEND(KEPT("/d/2")),
                                             SIM_UNTIL("</html>"),
                                             SIM_WAIT(11000),
                                             SIM_SEND(GET("/d/3")),
                                             SIM_DRAIN,
                                             SIM_CLOSE};
    static struct play p;

    (void)state;
    p = (struct play){
        .client = client, .peers = {{.host = 5, .steps = s503}, {.host = 6, .steps = s503}}
    };
    run_play(&p);
    if (count(p.got, "HTTP/1.1 503 ") != 2 || count(p.got, "HTTP/1.1 502 ") != 1 ||
        count(p.log, "upstream server temporarily disabled") != 3 ||
        count(p.log, "no live upstreams while connecting to upstream") != 1) {
        show(&p, "max_fails");
        fail();
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(count(p.at[i], "GET /d/1 "), 1);
        assert_int_equal(count(p.at[i], "GET /d/2 "), i == 0 ? 0 : 1);
        assert_int_equal(count(p.at[i], "GET /d/3 "), 1); /* fail_timeout is over: probed */
    }
}

/* --- kept connections (U2.6) --- */

/* A kept connection ends without a byte: one new connection to the same peer, not a word of it. */
static void stale_connections(void **state)
{
    static const struct sim_step client[] = {SIM_SEND(KEPT("/k/1")), SIM_UNTIL("two"),
                                             SIM_SEND(GET("/k/2")), SIM_DRAIN, SIM_CLOSE};
    static const struct sim_step once[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(OK("3", "two")),
                                           SIM_UNTIL("\r\n\r\n"), SIM_CLOSE};
    static const struct sim_step post[] = {
        SIM_SEND(KEPT("/k/1")), SIM_UNTIL("two"),
        SIM_SEND(REQ("POST", "/k/2") "Content-Length: 0\r\n\r\n"), SIM_DRAIN, SIM_CLOSE};
    static struct play p;

    (void)state;
    p = (struct play){.client = client, .peers = {{.host = 2, .steps = once}}};
    run_play(&p);
    assert_int_equal(count(p.got, "HTTP/1.1 200 "), 2);
    assert_int_equal(p.accepted[0], 2);
    assert_int_equal(count(p.at[0], "GET /k/2 "), 2);
    /* U7.2: it may have had its effect. */
    p = (struct play){.client = post, .peers = {{.host = 2, .steps = once}}};
    run_play(&p);
    assert_int_equal(count(p.got, "HTTP/1.1 200 "), 1);
    assert_int_equal(count(p.got, "HTTP/1.1 502 "), 1);
    assert_int_equal(p.accepted[0], 1);
}

/*
 * A POST goes out while the end of its idle connection is under way: the peer had closed and took
 * no byte, so it is sent again (U2.6). Whatever the order of events, it is done exactly once.
 */
static void posts_meet_the_end(void **state)
{
    static const struct sim_step client[] = {
        SIM_SEND(KEPT("/k/1")),
        SIM_UNTIL("two"),
        SIM_WAIT(1000),
        SIM_SEND(REQ("POST", "/k/2") "Content-Length: 5\r\n\r\nhello"),
        SIM_DRAIN,
        SIM_CLOSE};
    static const struct sim_step once[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(OK("3", "two")),
                                           SIM_WAIT(1000), SIM_CLOSE};
    static const struct sim_step then[] = {SIM_UNTIL("hello"), SIM_SEND(OK("3", "two")), SIM_LOOP};
    static struct play p;
    unsigned met = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        p = (struct play){
            .conf = {.seed = seed, .delays = true},
            .client = client,
            .peers = {{.host = 2, .steps = once, .then = then}           }
        };
        run_play(&p);
        if (count(p.got, "HTTP/1.1 200 ") != 2 || count(p.at[0], "POST /k/2 ") != 1 ||
            p.accepted[0] != 2) {
            show(&p, "post meets the end");
            fail_msg("seed %d", (int)seed);
        }
        met += count(p.log, "an idle connection to upstream had ended") != 0;
    }
    assert_true(met >= 5);
}

/*
 * The peer of a stale connection was taken out meanwhile by another request (U2.2): it is not asked
 * again, the next peer answers.
 */
static void stale_and_out(void **state)
{
    static const struct sim_step client[] = {SIM_SEND(KEPT("/e/1")), SIM_UNTIL("two"),
                                             SIM_SEND(GET("/e/2")), SIM_DRAIN, SIM_CLOSE};
    static const struct sim_step other[] = {SIM_WAIT(1000), SIM_SEND(GET("/e/3")), SIM_DRAIN,
                                            SIM_CLOSE};
    static const struct sim_step once[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(OK("3", "two")),
                                           SIM_UNTIL("\r\n\r\n"), SIM_WAIT(2000), SIM_CLOSE};
    static struct play p;

    (void)state;
    p = (struct play){
        .client = client,
        .client2 = other,
        .peers = {{.host = 7, .steps = once, .then = closes}, {.host = 8, .steps = ok_three}}
    };
    run_play(&p);
    if (count(p.got, "HTTP/1.1 200 ") != 2 || strstr(p.got, "\r\n\r\nthree") == NULL ||
        strstr(p.got2, "\r\n\r\nthree") == NULL || count(p.at[0], "GET /e/2 ") != 1 ||
        count(p.at[0], "GET /e/3 ") != 1 || p.accepted[0] != 2) {
        show(&p, "stale and out");
        fail();
    }
    assert_int_equal(count(p.log, "upstream server temporarily disabled"), 1);
}

/* --- bodies of the client that go on part by part (U4.4, U4.5) --- */

#define CHUNKED(uri) REQ("POST", uri) "Transfer-Encoding: chunked\r\n\r\n"

static const struct sim_step takes_all[] = {SIM_DRAIN, SIM_CLOSE};

/* clang-format off */
static const struct body_row {
    const char *name;
    const struct sim_step *client;
    unsigned status; /* 0: nothing is written any more (U6.5) */
    const char *log;
} body_rows[] = {
    {"a bad chunk", (const struct sim_step[]){SIM_SEND(CHUNKED("/stream") "5\r\nhello\r\n"),
     SIM_WAIT(500), SIM_SEND("zz\r\n"), SIM_DRAIN, SIM_CLOSE}, 400,
     "client sent invalid chunked body"},
    {"too much", (const struct sim_step[]){SIM_SEND(CHUNKED("/stream") "5\r\nhello\r\n"),
     SIM_WAIT(500), SIM_SEND("400\r\n"), SIM_SEND_N(1024), SIM_SEND("\r\n"), SIM_DRAIN,
     SIM_CLOSE}, 413, "client intended to send too large chunked body"},
    {"no more", (const struct sim_step[]){SIM_SEND(CHUNKED("/stream") "5\r\nhello\r\n"),
     SIM_DRAIN, SIM_CLOSE}, 0,
     "client timed out, so upstream connection is closed too"},
};

/* clang-format on */

/* U4.4: the client's fault: its status, no next peer, nobody charged. */
static void bad_bodies(void **state)
{
    static struct play p;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(body_rows); i++) {
        p = (struct play){
            .client = body_rows[i].client,
            .peers = {{.host = 2, .steps = takes_all}, {.host = 3, .steps = ok_three}}
        };
        run_play(&p);
        if ((body_rows[i].status == 0 ? p.got[0] != '\0' : !is_status(&p, body_rows[i].status)) ||
            p.accepted[1] != 0 || strstr(p.log, body_rows[i].log) == NULL ||
            strstr(p.at[0], "5\r\nhello\r\n") == NULL) {
            show(&p, body_rows[i].name);
            fail();
        }
        /* A body that is too large is an error for who runs the server, the others are not. */
        assert_int_equal(count(p.log, "[error]"), body_rows[i].status == 413);
        assert_null(strstr(p.at[0], "\r\n0\r\n")); /* never finished as if whole */
    }
}

/* U4.5: a good early answer is relayed, and what the client still sends goes on. */
static void early_answers(void **state)
{
    static const struct sim_step client[] = {
        SIM_SEND(CHUNKED("/stream") "5\r\nhello\r\n"), SIM_UNTIL("early"), SIM_WAIT(1000),
        SIM_SEND("5\r\nworld\r\n0\r\n\r\n"),           SIM_DRAIN,          SIM_CLOSE};
    static const struct sim_step good[] = {SIM_UNTIL("hello\r\n"), SIM_SEND(OK("5", "early")),
                                           SIM_DRAIN, SIM_CLOSE};
    static const struct sim_step bad[] = {
        SIM_UNTIL("hello\r\n"), SIM_SEND("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nearly"),
        SIM_DRAIN, SIM_CLOSE};
    static struct play p;

    (void)state;
    play(&p, client, good, NULL);
    if (!is_status(&p, 200) || strstr(p.at[0], "5\r\nworld\r\n0\r\n\r\n") == NULL) {
        show(&p, "early 200");
        fail();
    }
    play(&p, client, bad, NULL);
    if (!is_status(&p, 403) || strstr(p.at[0], "world") != NULL) {
        show(&p, "early 403");
        fail();
    }
}

/* U4.6: the peer takes no more: 504, and the words for it. */
static void deaf_peer(void **state)
{
    static const struct sim_step client[] = {
        SIM_SEND(REQ("POST", "/deaf") "Content-Length: 200000\r\n\r\n"), SIM_SEND_N(200000),
        SIM_DRAIN, SIM_CLOSE};
    static const struct sim_step deaf[] = {SIM_UNTIL("\r\n\r\n"), SIM_WAIT(30000), SIM_CLOSE};
    static struct play p;

    (void)state;
    p = (struct play){
        .conf = {.buf_cap = 4096                },
        .client = client,
        .peers = { {.host = 2, .steps = deaf}, {.host = 3, .steps = ok_three}}
    };
    run_play(&p);
    if (!is_status(&p, 504) || p.accepted[1] != 0 ||
        strstr(p.log, "upstream timed out (110: Connection timed out) while sending request to "
                      "upstream") == NULL) {
        show(&p, "deaf");
        fail();
    }
}

/* U14.5: no temporary file can be made: the client gets all, the log says it once. Nor are there
 * kernel pipes, which would hold it. */
static void no_disk(void **state)
{
    static const struct wr_kpipe_conf no_pipes = {.cap = 4096};
    const struct wr_kpipe_conf usual = *wr_kpipe_conf();
    static const struct sim_step client[] = {SIM_SEND(GET("/disk")), SIM_UNTIL("\r\n\r\n"),
                                             SIM_WAIT(2000), SIM_DRAIN, SIM_CLOSE};
    static const struct sim_step two[] = {
        SIM_UNTIL("\r\n\r\n"), SIM_SEND("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
        SIM_SEND_N(100000), SIM_LOOP};
    static struct play p;

    (void)state;
    p = (struct play){
        .conf = {.buf_cap = 4096}, .client = client, .peers = {{.host = 2, .steps = two}}};
    wr_kpipe_set_conf(&no_pipes);
    run_play(&p);
    wr_kpipe_set_conf(&usual);
    assert_true(is_status(&p, 200));
    assert_int_equal(strlen(strstr(p.got, "\r\n\r\n") + 4), 100000);
    assert_int_equal(count(p.log, "the temporary file of an upstream response cannot be made"), 1);
}

/* --- waiting for a slot (U2.3): the second client has it, the first one waits --- */

static const struct sim_step q_holder[] = {SIM_SEND(GET("/q/held")), SIM_DRAIN, SIM_CLOSE};
static const struct sim_step q_waiter[] = {SIM_WAIT(100), SIM_SEND(GET("/q/late")), SIM_DRAIN,
                                           SIM_CLOSE};
static const struct sim_step q_leaver[] = {SIM_WAIT(100), SIM_SEND(GET("/q/late")), SIM_WAIT(100),
                                           SIM_RESET};
static const struct sim_step after_1s[] = {SIM_UNTIL("\r\n\r\n"), SIM_WAIT(1000),
                                           SIM_SEND(OK("4", "held")), SIM_LOOP};
static const struct sim_step after_4s[] = {SIM_UNTIL("\r\n\r\n"), SIM_WAIT(4000),
                                           SIM_SEND(OK("4", "held")), SIM_LOOP};
static const struct sim_step breaks_off[] = {SIM_UNTIL("\r\n\r\n"), SIM_WAIT(1000), SIM_RESET};

static void queue_row(const char *name, const struct sim_step *client, const struct sim_step *peer,
                      unsigned status, const char *log)
{
    static struct play p;

    p = (struct play){.client = client,
                      .client2 = q_holder,
                      .peers = {{.host = 2, .steps = peer, .then = ok_two}}};
    run_play(&p);
    if ((status == 0 ? p.got[0] != '\0' : !is_status(&p, status)) ||
        (log != NULL && strstr(p.log, log) == NULL) || strstr(p.at[0], "/q/held") == NULL ||
        (strstr(p.at[0], "/q/late") != NULL) != (status == 200)) {
        show(&p, name);
        fail();
    }
}

static void waiting_in_the_queue(void **state)
{
    (void)state;
    queue_row("served when the slot is free", q_waiter, after_1s, 200, NULL);
    queue_row("served when the one before it failed", q_waiter, breaks_off, 200, NULL);
    queue_row("the time is over", q_waiter, after_4s, 502,
              "no live upstreams within the time of the queue while connecting to upstream");
    queue_row("leaves", q_leaver, after_1s, 0, "client prematurely closed connection, client: ");
}

static void run_queue(void *data)
{
    struct play *p = data;

    run_play(p);
    /* An answer, an error, or nothing: whoever waits is not forgotten (run_play counts them). */
    assert_true(p->got[0] == '\0' || strncmp(p->got, "HTTP/1.1 ", 9) == 0);
}

/* Every allocation fails in turn while one has the slot and another waits for it. */
static void waiting_without_memory(void **state)
{
    static struct play p;

    (void)state;
    p = (struct play){.client = q_waiter,
                      .client2 = q_holder,
                      .peers = {{.host = 2, .steps = after_1s, .then = ok_two}}};
    assert_true(sim_torture(run_queue, &p) > 10);
}

/* --- tunnels (U9) --- */

#define ASK_WS "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
#define GIVE_WS                                                                                    \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

/* Bytes behind the heads at once; both ways; the client ends first, then the peer. */
static const struct sim_step ws_client[] = {
    SIM_SEND(ASK_WS "c-early "), SIM_UNTIL("p-early "), SIM_SEND("c-late"), SIM_SHUTDOWN,
    SIM_UNTIL("p-last"),         SIM_EXPECT_EOF,        SIM_CLOSE};
static const struct sim_step ws_peer[] = {SIM_UNTIL("\r\n\r\n"),
                                          SIM_SEND(GIVE_WS "p-early "),
                                          SIM_UNTIL("c-late"),
                                          SIM_EXPECT_EOF,
                                          SIM_WAIT(10),
                                          SIM_SEND("p-last"),
                                          SIM_CLOSE};

static bool is_tunnel_whole(const struct play *p)
{
    const char *body = strstr(p->got, "\r\n\r\n"), *sent = strstr(p->at[0], "\r\n\r\n");

    return is_status(p, 101) && body != NULL && strcmp(body + 4, "p-early p-last") == 0 &&
           sent != NULL && strcmp(sent + 4, "c-early c-late") == 0 && p->script_error == NULL;
}

static void tunnels(void **state)
{
    static struct play p;

    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        p = (struct play){
            .conf = {.seed = seed,             .short_io = seed > 1, .delays = seed % 2 == 0},
            .client = ws_client,
            .peers = {{.host = 2, .steps = ws_peer}}
        };
        run_play(&p);
        if (!is_tunnel_whole(&p)) {
            show(&p, p.script_error == NULL ? "tunnel" : p.script_error);
            fail();
        }
    }
}

/* U8.1: cut at every byte of either direction; what came is never more than what was sent. */
static void tunnels_cut_at_every_byte(void **state)
{
    static struct play p;

    (void)state;
    for (uint64_t n = 1; n < 110; n++) {
        for (int dir = 0; dir < 2; dir++) {
            const char *body;

            p = (struct play){
                .conf = {.seed = n, .short_io = true},
                .client = ws_client,
                .peers = {{.host = 2, .steps = ws_peer}        },
                .cut_dir = dir == 0 ? SIM_TX : SIM_RX,
                .cut_at = n
            };
            run_play(&p);
            body = strstr(p.got, "\r\n\r\n");
            assert_true(body == NULL || strncmp(body + 4, "p-early p-last", strlen(body + 4)) == 0);
        }
    }
}

/* U9: the two timeouts are idle limits; a silent tunnel ends, one that talks does not. */
static void tunnels_idle(void **state)
{
    static const struct sim_step silent_ws[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(GIVE_WS), SIM_DRAIN,
                                                SIM_CLOSE};
    static const struct sim_step waits[] = {SIM_SEND(ASK_WS), SIM_DRAIN, SIM_CLOSE};
    static const struct sim_step talks[] = {SIM_SEND(ASK_WS), SIM_WAIT(4000), SIM_SEND("1"),
                                            SIM_WAIT(4000),   SIM_SEND("2"),  SIM_WAIT(4000),
                                            SIM_SEND("3"),    SIM_CLOSE};
    static const struct sim_step pushes[] = {
        SIM_UNTIL("\r\n\r\n"), SIM_SEND(GIVE_WS), SIM_WAIT(4000), SIM_SEND("a"), SIM_WAIT(4000),
        SIM_SEND("b"),         SIM_WAIT(4000),    SIM_SEND("c"),  SIM_CLOSE};
    static const struct sim_step answers[] = {
        SIM_UNTIL("\r\n\r\n"), SIM_SEND(GIVE_WS), SIM_UNTIL("1"), SIM_SEND("a"),
        SIM_UNTIL("2"),        SIM_SEND("b"),     SIM_DRAIN,      SIM_CLOSE};
    static struct play p;

    (void)state;
    play(&p, waits, silent_ws, NULL);
    assert_true(is_status(&p, 101));
    assert_non_null(strstr(
        p.log,
        "upstream timed out (110: Connection timed out) while proxying upgraded connection"));
    play(&p, talks, answers, NULL);
    assert_non_null(strstr(p.at[0], "\r\n\r\n123"));
    assert_null(strstr(p.log, "timed out"));
    /* Only the peer has to talk: a client that listens stays. */
    play(&p, waits, pushes, NULL);
    assert_non_null(strstr(p.got, "\r\n\r\nabc"));
    assert_null(strstr(p.log, "timed out"));
    play(&p, talks, silent_ws, NULL);
    assert_null(strstr(p.at[0], "\r\n\r\n123"));
    assert_non_null(strstr(p.log, "upstream timed out"));
}

/* A peer that ended its half: the client has the same limit from then on. */
static void tunnels_half_idle(void **state)
{
    static const struct sim_step waits[] = {SIM_SEND(ASK_WS), SIM_UNTIL("bye"), SIM_EXPECT_EOF,
                                            SIM_WAIT(3000),   SIM_SEND("1"),    SIM_WAIT(60000),
                                            SIM_CLOSE};
    static const struct sim_step ends[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(GIVE_WS "bye"),
                                           SIM_SHUTDOWN, SIM_DRAIN, SIM_CLOSE};
    static struct play p;

    (void)state;
    p = (struct play){.client = waits, .peers = {{.host = 2, .steps = ends}}, .ms = 7000};
    run_play(&p);
    assert_non_null(strstr(p.at[0], "\r\n\r\n1"));
    assert_null(strstr(p.log, "timed out"));
    p.ms = 9000; /* the byte came at three seconds, the limit is five */
    run_play(&p);
    assert_non_null(strstr(
        p.log, "client timed out (110: Connection timed out) while proxying upgraded connection"));
}

/* A reset of either side is told, and of which side it was. */
static void tunnels_reset(void **state)
{
    static const struct sim_step stays[] = {SIM_SEND(ASK_WS), SIM_DRAIN, SIM_CLOSE};
    static const struct sim_step leaves[] = {SIM_SEND(ASK_WS), SIM_UNTIL("x"), SIM_RESET};
    static const struct sim_step cuts[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(GIVE_WS "x"),
                                           SIM_WAIT(5), SIM_RESET};
    static const struct sim_step holds[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(GIVE_WS "x"), SIM_DRAIN,
                                            SIM_CLOSE};
    static struct play p;

    (void)state;
    play(&p, stays, cuts, NULL);
    assert_non_null(strstr(p.got, "\r\n\r\nx"));
    assert_non_null(strstr(p.log, "[error]"));
    assert_non_null(strstr(p.log, "upstream broke off while proxying upgraded connection"));
    play(&p, leaves, holds, NULL);
    assert_null(strstr(p.log, "[error]"));
    assert_non_null(strstr(p.log, "client broke off while proxying upgraded connection"));
}

/* Every allocation of a tunnel fails in turn. */
static void tunnels_without_memory(void **state)
{
    static struct play p;

    (void)state;
    p = (struct play){
        .conf = {.seed = 3}, .client = ws_client, .peers = {{.host = 2, .steps = ws_peer}}};
    assert_true(sim_torture(run_play, &p) > 10);
    assert_true(is_tunnel_whole(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions),
        cmocka_unit_test(accel_redirects),
        cmocka_unit_test(errors_are_intercepted),
        cmocka_unit_test(limit_rate),
        cmocka_unit_test(failures_take_peers_out),
        cmocka_unit_test(stale_connections),
        cmocka_unit_test(posts_meet_the_end),
        cmocka_unit_test(stale_and_out),
        cmocka_unit_test(bad_bodies),
        cmocka_unit_test(early_answers),
        cmocka_unit_test(deaf_peer),
        cmocka_unit_test(no_disk),
        cmocka_unit_test(tunnels),
        cmocka_unit_test(waiting_in_the_queue),
        cmocka_unit_test(waiting_without_memory),
        cmocka_unit_test(tunnels_cut_at_every_byte),
        cmocka_unit_test(tunnels_idle),
        cmocka_unit_test(tunnels_half_idle),
        cmocka_unit_test(tunnels_reset),
        cmocka_unit_test(tunnels_without_memory),
    };

    return cmocka_run_group_tests(tests, boot, shutdown_all);
}
