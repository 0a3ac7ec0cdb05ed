/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmdline.c: see cmdline.h. One-letter options may be joined ("-tqc FILE", "-cFILE"), as scripts
 * around nginx write them. `proxy` and `demo` are words in the first place, `status` and `trace`
 * in any, and have options of their own.
 */
#include "main/cmdline.h"

#include <signal.h>
#include <string.h>

#include "base/str.h"

/* Walks the arguments; at: index of the next one. */
struct args {
    int argc;
    char *const *argv;
    int at;
};

/* PRE what POST; value: always WR_ECONFIG. */
static enum wr_status fail(struct wr_strbuf *err, const char *pre, const char *what,
                           const char *post)
{
    wr_strbuf_add_z(err, pre);
    wr_strbuf_add_z(err, what);
    wr_strbuf_add_z(err, post);
    return WR_ECONFIG;
}

static const struct {
    char letter;
    const char *wants;
} valued[] = {
    {'c', "file name"     },
    {'e', "file name"     },
    {'p', "directory name"},
    {'g', "parameter"     },
    {'s', "parameter"     }
};

/* What option `letter` wants, or NULL when it takes no value. */
static const char *value_name(char letter)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(valued); i++) {
        if (valued[i].letter == letter) {
            return valued[i].wants;
        }
    }
    return NULL;
}

static enum wr_status set_signal(struct wr_cmdline *c, const char *word, struct wr_strbuf *err)
{
    static const struct {
        const char *word;
        int signo;
    } words[] = {
        {"stop",   SIGTERM},
        {"quit",   SIGQUIT},
        {"reload", SIGHUP },
        {"reopen", SIGUSR1}
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i].word) == 0) {
            c->cmd = WR_CMD_SIGNAL;
            c->signo = words[i].signo;
            return WR_OK;
        }
    }
    return fail(err, "invalid option: \"-s ", word, "\"");
}

static enum wr_status set_value(struct wr_cmdline *c, char letter, const char *value,
                                struct wr_strbuf *err)
{
    switch (letter) {
    case 'c':
        c->conf = value;
        break;
    case 'e':
        c->error_log = value;
        break;
    case 'p':
        c->prefix = value;
        break;
    case 'g':
        c->directives = value;
        break;
    default:
        return set_signal(c, value, err);
    }
    return WR_OK;
}

static enum wr_status set_letter(struct wr_cmdline *c, char letter, struct wr_strbuf *err)
{
    char text[2] = {letter, '\0'};

    switch (letter) {
    case '?':
    case 'h':
        c->cmd = WR_CMD_HELP;
        break;
    case 'v':
        c->cmd = WR_CMD_VERSION;
        break;
    case 'V':
        c->cmd = WR_CMD_BUILD;
        break;
    case 't':
        c->cmd = WR_CMD_TEST;
        break;
    case 'T':
        c->cmd = WR_CMD_TEST;
        c->is_dump = true;
        break;
    case 'q':
        c->is_quiet = true;
        break;
    default:
        return fail(err, "invalid option: \"", text, "\"");
    }
    return WR_OK;
}

/* The letters of one argument behind its '-'; one that takes a value ends it. */
static enum wr_status parse_letters(struct args *a, const char *p, struct wr_cmdline *c,
                                    struct wr_strbuf *err)
{
    enum wr_status st = WR_OK;

    for (; *p != '\0' && st == WR_OK; p++) {
        const char *wants = value_name(*p);
        char text[2] = {*p, '\0'};

        if (wants == NULL) {
            st = set_letter(c, *p, err);
            continue;
        }
        if (p[1] != '\0') {
            return set_value(c, *p, p + 1, err);
        }
        if (a->at >= a->argc || a->argv[a->at][0] == '\0') {
            wr_strbuf_printf(err, "option \"-%s\" requires %s", text, wants);
            return WR_ECONFIG;
        }
        return set_value(c, *p, a->argv[a->at++], err);
    }
    return st;
}

static enum wr_status parse_long(const char *arg, struct wr_cmdline *c, struct wr_strbuf *err)
{
    if (strcmp(arg, "--directives") == 0) {
        c->cmd = WR_CMD_DIRECTIVES;
    } else if (strcmp(arg, "--directives=tsv") == 0) {
        c->cmd = WR_CMD_DIRECTIVES;
        c->is_tsv = true;
    } else if (strcmp(arg, "--help") == 0) {
        c->cmd = WR_CMD_HELP;
    } else if (strcmp(arg, "--version") == 0) {
        c->cmd = WR_CMD_VERSION;
    } else {
        return fail(err, "invalid option: \"", arg, "\"");
    }
    return WR_OK;
}

/* "--name VALUE" or "--name=VALUE"; *ret_value NULL: it is another option. */
static enum wr_status take_long_value(struct args *a, const char *name, const char **ret_value,
                                      struct wr_strbuf *err)
{
    const char *arg = a->argv[a->at];
    size_t n = strlen(name);

    *ret_value = NULL;
    if (strncmp(arg, name, n) != 0 || (arg[n] != '\0' && arg[n] != '=')) {
        return WR_OK;
    }
    a->at++;
    if (arg[n] == '=') {
        *ret_value = arg + n + 1;
    } else if (a->at < a->argc) {
        *ret_value = a->argv[a->at++];
    }
    if (*ret_value == NULL || (*ret_value)[0] == '\0') {
        return fail(err, "option \"", name, "\" requires a value");
    }
    return WR_OK;
}

static enum wr_status parse_proxy(struct args *a, struct wr_cmdline *c, struct wr_strbuf *err)
{
    c->cmd = WR_CMD_PROXY;
    while (a->at < a->argc) {
        const char *to, *addr = NULL;
        enum wr_status st = take_long_value(a, "--to", &to, err);

        if (st == WR_OK && to == NULL) {
            st = take_long_value(a, "--listen", &addr, err);
        }
        if (st != WR_OK) {
            return st;
        }
        if (addr != NULL) {
            c->listen = addr;
        } else if (to == NULL) {
            return fail(err, "invalid option: \"", a->argv[a->at], "\"");
        } else if (c->target_cnt == WR_CMDLINE_TARGETS_MAX) {
            return fail(err, "too many ", "--to", "");
        } else {
            c->targets[c->target_cnt++] = to;
        }
    }
    if (c->target_cnt == 0) {
        return fail(err, "weir proxy needs ", "--to URL",
                    ", for example --to http://127.0.0.1:3000");
    }
    return WR_OK;
}

static enum wr_status parse_demo(struct args *a, struct wr_cmdline *c, struct wr_strbuf *err)
{
    c->cmd = WR_CMD_DEMO;
    while (a->at < a->argc) {
        const char *addr;
        enum wr_status st = take_long_value(a, "--listen", &addr, err);

        if (st != WR_OK) {
            return st;
        }
        if (addr == NULL) {
            return fail(err, "invalid option: \"", a->argv[a->at], "\"");
        }
        c->listen = addr;
    }
    return WR_OK;
}

/* -c FILE and its kin, as everywhere; others are not for this command. */
static enum wr_status parse_place(struct args *a, struct wr_cmdline *c, struct wr_strbuf *err)
{
    const char *arg = a->argv[a->at];
    enum wr_cmd cmd = c->cmd;
    enum wr_status st;

    if (arg[0] != '-' || arg[1] == '-' || arg[1] == '\0') {
        return fail(err, "invalid option: \"", arg, "\"");
    }
    a->at++;
    st = parse_letters(a, arg + 1, c, err);
    if (st == WR_OK && c->cmd != cmd && c->cmd != WR_CMD_HELP) {
        return fail(err, "invalid option: \"", arg, "\"");
    }
    return st;
}

static enum wr_status parse_status(struct args *a, struct wr_cmdline *c, struct wr_strbuf *err)
{
    enum wr_status st = WR_OK;

    c->cmd = WR_CMD_STATUS;
    while (a->at < a->argc && st == WR_OK && c->cmd == WR_CMD_STATUS) {
        const char *socket;

        st = take_long_value(a, "--socket", &socket, err);
        if (st == WR_OK && socket != NULL) {
            c->socket = socket;
        } else if (st == WR_OK && strcmp(a->argv[a->at], "--json") == 0) {
            c->is_json = true;
            a->at++;
        } else if (st == WR_OK) {
            st = parse_place(a, c, err);
        }
    }
    return st;
}

static enum wr_status set_trace(struct wr_cmdline *c, const char *word, const char *value,
                                struct wr_strbuf *err)
{
    if (c->trace_word != NULL) {
        return fail(err, "weir trace takes one connection, request or client: \"", value, "\"");
    }
    c->trace_word = word;
    c->trace_value = value;
    return WR_OK;
}

/* One argument, or one with its value. */
static enum wr_status parse_trace_arg(struct args *a, struct wr_cmdline *c, struct wr_strbuf *err)
{
    const char *request, *client;
    enum wr_status st = take_long_value(a, "--request", &request, err);

    if (st != WR_OK || request != NULL) {
        return st != WR_OK ? st : set_trace(c, "request", request, err);
    }
    st = take_long_value(a, "--client", &client, err);
    if (st != WR_OK || client != NULL) {
        return st != WR_OK ? st : set_trace(c, "client", client, err);
    }
    if (a->argv[a->at][0] != '-') {
        return set_trace(c, "connection", a->argv[a->at++], err);
    }
    return parse_place(a, c, err);
}

static enum wr_status parse_trace(struct args *a, struct wr_cmdline *c, struct wr_strbuf *err)
{
    enum wr_status st = WR_OK;

    c->cmd = WR_CMD_TRACE;
    while (a->at < a->argc && st == WR_OK && c->cmd == WR_CMD_TRACE) {
        const char *socket;

        st = take_long_value(a, "--socket", &socket, err);
        if (st == WR_OK && socket != NULL) {
            c->socket = socket;
        } else if (st == WR_OK) {
            st = parse_trace_arg(a, c, err);
        }
    }
    if (st == WR_OK && c->cmd == WR_CMD_TRACE && c->trace_word == NULL) {
        return fail(err, "weir trace needs ", "CONNECTION, --request NUMBER or --client ADDRESS",
                    ", for example 17 where a log says *17");
    }
    return st;
}

static const struct {
    const char *word;
    enum wr_status (*parse)(struct args *a, struct wr_cmdline *c, struct wr_strbuf *err);
    bool is_first; /* stands before all options */
} words[] = {
    {"proxy",  parse_proxy,  true },
    {"demo",   parse_demo,   true },
    {"status", parse_status, false},
    {"trace",  parse_trace,  false}
};

/* The word at a->at and what belongs to it. WR_EOF: it is none. */
static enum wr_status parse_word(struct args *a, struct wr_cmdline *c, struct wr_strbuf *err)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(words); i++) {
        if (strcmp(a->argv[a->at], words[i].word) == 0 && c->cmd == WR_CMD_RUN &&
            (a->at == 1 || !words[i].is_first)) {
            a->at++;
            return words[i].parse(a, c, err);
        }
    }
    return WR_EOF;
}

enum wr_status wr_cmdline_parse(int argc, char *const *argv, struct wr_cmdline *ret,
                                struct wr_strbuf *err)
{
    struct args a = {argc, argv, 1};
    struct wr_cmdline c = {.cmd = WR_CMD_RUN};
    enum wr_status st = WR_OK;

    while (st == WR_OK && a.at < a.argc) {
        const char *arg = argv[a.at];

        st = parse_word(&a, &c, err);
        if (st != WR_EOF) {
            continue;
        }
        a.at++;
        if (arg[0] != '-') {
            st = fail(err, "invalid option: \"", arg, "\"");
        } else if (arg[1] == '-') {
            st = parse_long(arg, &c, err);
        } else {
            st = parse_letters(&a, arg + 1, &c, err);
        }
    }
    if (st == WR_OK) {
        *ret = c;
    }
    return st;
}

void wr_cmdline_write_help(struct wr_strbuf *b)
{
    wr_cmdline_write_version(b, false);
    wr_strbuf_add_z(
        b,
        "Usage: weir [-?hvVtTq] [-s signal] [-p prefix]\n"
        "            [-e filename] [-c filename] [-g directives]\n"
        "       weir proxy --to URL [--to URL ...] [--listen ADDRESS]\n"
        "       weir demo [--listen ADDRESS]\n"
        "       weir status [--json] [-c filename | --socket PATH]\n"
        "       weir trace CONNECTION | --client ADDRESS | --request NUMBER\n"
        "            [-c filename | --socket PATH]\n"
        "       weir --directives\n"
        "\n"
        "Options:\n"
        "  -?,-h         : this help\n"
        "  -v            : show version and exit\n"
        "  -V            : show version, compiler and built-in paths, and exit\n"
        "  -t            : test configuration and exit\n"
        "  -T            : test configuration, dump it and exit\n"
        "  -q            : suppress non-error messages during configuration testing\n"
        "  -s signal     : send signal to a running weir: stop, quit, reopen, reload\n"
        "  -p prefix     : set prefix path (default: " WR_PREFIX "/)\n"
        "  -e filename   : set error log file (default: " WR_LOG_DIR "/error.log)\n"
        "  -c filename   : set configuration file (default: " WR_CONF_PATH ")\n"
        "  -g directives : set global directives out of configuration file\n"
        "  --directives  : show every directive with its contexts, default and meaning\n"
        "\n"
        "Commands:\n"
        "  proxy         : a proxy in the foreground, without a configuration file;\n"
        "                  requests go to the servers of --to in turn\n"
        "  demo          : weir in front of servers of its own, with commands to try\n"
        "  status        : what a running weir does: configurations, threads, groups, peers\n"
        "  trace         : what became of live requests, by connection (17 where a log says *17),\n"
        "                  client or number\n"
        "\n");
}

void wr_cmdline_write_version(struct wr_strbuf *b, bool with_build)
{
    wr_strbuf_add_z(b, "weir version: weir/" WR_VERSION "\n");
    if (with_build) {
#ifdef __clang__
        wr_strbuf_add_z(b, "built by clang " __clang_version__ "\n");
#else
        wr_strbuf_add_z(b, "built by gcc " __VERSION__ "\n");
#endif
        wr_strbuf_add_z(b,
                        "prefix: " WR_PREFIX "\nconfiguration: " WR_CONF_PATH "\npid: " WR_PID_PATH
                        "\nlogs: " WR_LOG_DIR "\nstate: " WR_STATE_DIR "\n");
    }
}
