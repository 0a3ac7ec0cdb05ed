/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_origin.c: see demo_origin.h. Sockets, the process, the accepting thread of each peer, and
 * reading a request; what is answered is in demo_pages.c.
 */
#include "main/demo_origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sync.h"
#include "main/demo_pages.h"

#define IO_TIMEOUT_S 30

struct peer {
    int fd;
    unsigned no;
};

struct serving {
    struct wr_demo_conn conn;
};

static wr_atomic_u32 conn_cnt; /* all peers of this process */

static enum wr_status listen_any(int *ret_fd, uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd == -1) {
        return WR_ESYS;
    }
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1 || listen(fd, 128) == -1 ||
        getsockname(fd, (struct sockaddr *)&a, &len) == -1) {
        (void)close(fd);
        return WR_ESYS;
    }
    *ret_fd = fd;
    *ret_port = ntohs(a.sin_port);
    return WR_OK;
}

/* Reads a head into c->buf; false: the client is gone, or it is too large. c->have: bytes beyond it
 * stay. */
static bool read_head(struct wr_demo_conn *c)
{
    for (;;) {
        const char *end = memmem(c->buf, c->have, "\r\n\r\n", 4);
        ssize_t n;

        if (end != NULL) {
            c->head = wr_str(c->buf, (size_t)(end - c->buf) + 4);
            return true;
        }
        if (c->have == sizeof(c->buf)) {
            return false;
        }
        n = read(c->fd, c->buf + c->have, sizeof(c->buf) - c->have);
        if (n <= 0) {
            return false;
        }
        c->have += (size_t)n;
    }
}

static void *serve_conn(void *data)
{
    struct serving *s = data;
    struct wr_demo_conn *c = &s->conn;

    wr_local_start();
    while (read_head(c) && wr_demo_answer(c)) {
        size_t rest = c->have - c->head.len;

        memmove(c->buf, c->buf + c->head.len, rest);
        c->have = rest;
    }
    (void)close(c->fd);
    wr_mem_free(s);
    (void)wr_sub_rlx(&conn_cnt, 1);
    wr_local_fini();
    return NULL;
}

static void serve_accepted(int fd, unsigned no)
{
    const struct timeval limit = {.tv_sec = IO_TIMEOUT_S};
    struct serving *s;
    pthread_t id; /* not in *s: the thread may have freed that before it is detached */
    int rc;

    if (wr_add_rlx(&conn_cnt, 1) >= WR_DEMO_CONNS_MAX) {
        (void)wr_sub_rlx(&conn_cnt, 1);
        (void)close(fd);
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    s = wr_mem_alloc(sizeof(*s));
    s->conn.fd = fd;
    s->conn.peer_no = no;
    rc = pthread_create(&id, NULL, serve_conn, s);
    if (rc != 0) {
        (void)close(fd);
        wr_mem_free(s);
        (void)wr_sub_rlx(&conn_cnt, 1);
        return;
    }
    (void)pthread_detach(id);
}

static void *run_peer(void *data)
{
    const struct peer *p = data;

    wr_local_start();
    for (;;) {
        int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd != -1) {
            serve_accepted(fd, p->no);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            const struct timespec pause = {.tv_nsec = 50L * 1000 * 1000}; /* no descriptors, say */

            (void)nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

WR_NORETURN static void run_origin(const int *fds)
{
    static struct peer peers[WR_DEMO_PEERS]; /* of the threads */
    pthread_t id;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NAME, "weir-demo-peers"); /* cosmetic */
    for (unsigned i = 0; i < WR_DEMO_PEERS; i++) {
        peers[i] = (struct peer){fds[i], i + 1};
        if (pthread_create(&id, NULL, run_peer, &peers[i]) != 0) {
            _exit(1);
        }
    }
    for (;;) {
        (void)pause(); /* all signals but the deadly ones are blocked */
    }
}

enum wr_status wr_demo_origin_start(struct wr_demo_origin *o)
{
    int fds[WR_DEMO_PEERS];
    unsigned cnt = 0;

    while (cnt < WR_DEMO_PEERS && listen_any(&fds[cnt], &o->ports[cnt]) == WR_OK) {
        cnt++;
    }
    o->pid = cnt == WR_DEMO_PEERS ? fork() : -1;
    if (o->pid == 0) {
        run_origin(fds);
    }
    for (unsigned i = 0; i < cnt; i++) {
        (void)close(fds[i]);
    }
    if (o->pid == -1) {
        o->pid = 0;
        return WR_ESYS;
    }
    return WR_OK;
}

void wr_demo_origin_stop(struct wr_demo_origin *o)
{
    if (o->pid > 0) {
        (void)kill(o->pid, SIGKILL); /* it has nothing to tidy up */
        (void)waitpid(o->pid, NULL, 0);
        o->pid = 0;
    }
}
