/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traffic.c: the traffic program: peers in a process of their own, clients in this one, commands on
 * standard input, one JSON object a line on standard output. It ends when its input does.
 *
 *   traffic NAME=VALUE...
 *
 *   keep, visit, down, events, socket, once   numbers of users
 *   pause          ms between two requests of a user, at most
 *   rate, long     bytes a second of a slow download; s that the longest of them takes
 *   stuck, grace   ms without a byte that are a fault; that a server which ends leaves the idle
 *   event, frame   ms between two
 *   rough          1: broken and cancelled requests too
 *   seed, files    of the random numbers; folder that gets the static files s/
 *
 *   start PORT EXTRA   begin, against the server at PORT; the listener at EXTRA may be absent
 *   hup PID            send HUP, and let everybody who waits send now
 *   kill PID           send KILL, wait for the end of that process, say what was in flight
 *   hold, go           keep-alive clients pause ("held" is said once they are quiet)
 *   until N            say "reached" at N requests
 *   transfer up|down SEED SIZE length|chunked
 *   clear              latencies are counted from now on
 *   report, stop       stop: all end what they do; then "end", which is a report, is said
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "origin.h"
#include "users.h"

static struct io commands;
static char line[512];
static size_t line_len;
static uint64_t until;
static bool is_started, is_hold_said;

static uint64_t latency_at(uint64_t total, unsigned thousandth)
{
    uint64_t seen = 0;

    for (unsigned i = 0; i < 160; i++) {
        seen += stats.latency[i];
        if (seen * 1000 >= total * thousandth && total > 0) {
            return (uint64_t)(8 + i % 8) << (i / 8);
        }
    }
    return 0;
}

static void report(const char *what)
{
    static const char *const names[] = {"connect", "raced",    "dropped", "cut",  "status",
                                        "body",    "protocol", "stuck",   "early"};
    static const char *const kinds[] = {"keep", "visit", "down", "events", "socket", "once"};
    uint64_t faults = 0, timed = 0;

#define N(name) (void)printf(", \"%s\": %llu", #name, (unsigned long long)stats.name)
    (void)printf("{\"what\": \"%s\"", what);
    N(requests), N(connects), N(closes), N(idle_closed), N(late), N(downloads), N(down_bytes),
        N(up_bytes);
    N(events), N(frames), N(visits), N(refused), N(cancelled), N(longest_gap_ms), N(generation);
#undef N
    for (int i = 0; i < FAULT_CNT; i++) {
        faults += stats.faults[i];
        (void)printf(", \"%s\": %llu", names[i], (unsigned long long)stats.faults[i]);
    }
    for (int k = 0; k < KIND_CNT; k++) {
        (void)printf(", \"lost_%s\": %llu", kinds[k], (unsigned long long)stats.lost[k]);
    }
    for (int i = 0; i < 160; i++) {
        timed += stats.latency[i];
    }
    (void)printf(", \"faults\": %llu, \"p50_us\": %llu, \"p99_us\": %llu, \"max_us\": %llu}\n",
                 (unsigned long long)faults, (unsigned long long)latency_at(timed, 500),
                 (unsigned long long)latency_at(timed, 990),
                 (unsigned long long)stats.latency_max_us);
    (void)fflush(stdout);
}

static void say(const char *what)
{
    (void)printf("{\"what\": \"%s\"}\n", what);
    (void)fflush(stdout);
}

/* The sockets of a process are closed when its end can be seen. */
static void kill_and_wait(pid_t pid)
{
    struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

    if (p.fd == -1) {
        die("pidfd_open");
    }
    if (kill(pid, SIGKILL) == -1 || poll(&p, 1, 5000) != 1) {
        die("kill");
    }
    (void)close(p.fd);
    users_note_kill();
}

static void obey(void)
{
    unsigned long long a, b;
    char way[16], framing[16];
    int pid;

    if (sscanf(line, "start %llu %llu", &a, &b) == 2) {
        main_port = (uint16_t)a;
        extra_port = (uint16_t)b;
        is_started = true;
        users_start();
    } else if (sscanf(line, "hup %d", &pid) == 1) {
        if (kill(pid, SIGHUP) == -1) {
            die("kill");
        }
        users_burst();
    } else if (sscanf(line, "kill %d", &pid) == 1) {
        kill_and_wait(pid);
    } else if (sscanf(line, "until %llu", &a) == 1) {
        until = a;
    } else if (sscanf(line, "transfer %15s %llu %llu %15s", way, &a, &b, framing) == 4) {
        users_transfer(strcmp(way, "up") == 0, a, b, strcmp(framing, "chunked") == 0);
    } else if (strcmp(line, "hold") == 0) {
        is_held = true;
        is_hold_said = false;
    } else if (strcmp(line, "go") == 0) {
        is_held = false;
    } else if (strcmp(line, "clear") == 0) {
        memset(stats.latency, 0, sizeof(stats.latency));
        stats.latency_max_us = 0;
    } else if (strcmp(line, "report") == 0) {
        report("report");
    } else if (strcmp(line, "stop") == 0) {
        is_stopping = true;
    } else {
        (void)fprintf(stderr, "traffic: what is \"%s\"?\n", line);
        _exit(2);
    }
}

static void run_commands(struct io *io, uint32_t events)
{
    char text[512];
    ssize_t n = read(io->fd, text, sizeof(text));

    (void)events;
    if (n <= 0) {
        _exit(2);
    }
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            line[line_len] = '\0';
            line_len = 0;
            obey();
        } else if (line_len < sizeof(line) - 1) {
            line[line_len++] = text[i];
        }
    }
}

static void tick(void)
{
    if (!is_started) {
        return;
    }
    users_tick();
    if (until > 0 && stats.requests >= until) {
        until = 0;
        say("reached");
    }
    if (is_held && !is_hold_said && users_are_quiet()) {
        is_hold_said = true;
        say("held");
    }
    if (is_stopping && users_are_gone()) {
        report("end");
        loop_end();
    }
}

/* The files that keep.c asks for. */
static void make_files(const char *folder)
{
    static const size_t sizes[] = {10, 5000, 300000};
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/s", folder);
    (void)mkdir(path, 0755);
    for (unsigned i = 0; i < 3; i++) {
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/s/%u.bin", folder, i);
        f = fopen(path, "wb");
        if (f == NULL) {
            die(path);
        }
        for (uint64_t off = 0; off < sizes[i];) {
            size_t n = sizes[i] - (size_t)off;
            const char *p = pattern_at(i, off, &n);

            off += fwrite(p, 1, n, f);
        }
        if (fclose(f) != 0) {
            die(path);
        }
    }
}

static bool is_option(const char *arg, size_t n, const char *name)
{
    return n > 0 && strlen(name) == n && memcmp(arg, name, n) == 0;
}

static void set_option(const char *arg)
{
    static const char *const kinds[] = {"keep", "visit", "down", "events", "socket", "once"};

    struct {
        const char *name;
        uint64_t *value;
    } const numbers[] = {
        {"pause", &options.pause_ms},
        {"rate",  &options.rate    },
        {"long",  &options.long_s  },
        {"stuck", &options.stuck_ms},
        {"grace", &options.grace_ms},
        {"event", &options.event_ms},
        {"frame", &options.frame_ms},
    };

    const char *eq = strchr(arg, '=');
    size_t n = eq != NULL ? (size_t)(eq - arg) : 0;
    uint64_t value = n > 0 ? strtoull(eq + 1, NULL, 10) : 0;

    for (int k = 0; k < KIND_CNT; k++) {
        if (is_option(arg, n, kinds[k])) {
            options.counts[k] = (unsigned)value;
            return;
        }
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (is_option(arg, n, numbers[i].name)) {
            *numbers[i].value = value;
            return;
        }
    }
    if (is_option(arg, n, "rough")) {
        options.is_rough = value != 0;
    } else if (is_option(arg, n, "seed")) {
        seed_random(value);
    } else if (is_option(arg, n, "files")) {
        make_files(eq + 1);
    } else {
        (void)fprintf(stderr, "traffic: what is \"%s\"?\n", arg);
        _exit(2);
    }
}

int main(int argc, char **argv)
{
    uint16_t ports[ORIGIN_PORTS];
    struct rlimit files;

    options = (struct options){.pause_ms = 20,
                               .rate = 400000,
                               .long_s = 20,
                               .stuck_ms = 10000,
                               .grace_ms = 1000,
                               .event_ms = 50,
                               .frame_ms = 150};
    pattern_init();
    for (int i = 1; i < argc; i++) {
        set_option(argv[i]);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    origin_start(ports);
    loop_open();
    commands = (struct io){.fd = STDIN_FILENO, .run = run_commands};
    loop_watch(&commands, EPOLLIN);
    (void)printf("{\"what\": \"ready\", \"peers\": [%u, %u]}\n", ports[0], ports[1]);
    (void)fflush(stdout);
    loop_run(tick, 1);
    return 0;
}
