/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmdline.h: what the command line asks for. Parsing has no effects; texts are the arguments
 * themselves, which live as long as the process.
 */
#ifndef WR_MAIN_CMDLINE_H
#define WR_MAIN_CMDLINE_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/strbuf.h"

#define WR_CMDLINE_TARGETS_MAX 64

enum wr_cmd {
    WR_CMD_RUN,
    WR_CMD_TEST,       /* -t, -T */
    WR_CMD_SIGNAL,     /* -s */
    WR_CMD_VERSION,    /* -v */
    WR_CMD_BUILD,      /* -V */
    WR_CMD_HELP,       /* -h */
    WR_CMD_DIRECTIVES, /* --directives */
    WR_CMD_PROXY,      /* weir proxy */
    WR_CMD_DEMO,       /* weir demo */
    WR_CMD_STATUS,     /* weir status */
    WR_CMD_TRACE       /* weir trace */
};

struct wr_cmdline {
    enum wr_cmd cmd;
    const char *conf, *prefix, *error_log, *directives; /* NULL: not given */
    int signo;                                          /* -s */
    bool is_dump;                                       /* -T */
    bool is_quiet;                                      /* -q */
    bool is_tsv;                                        /* --directives=tsv */
    const char *targets[WR_CMDLINE_TARGETS_MAX];        /* --to */
    unsigned target_cnt;
    const char *listen;     /* --listen; NULL: not given */
    const char *socket;     /* --socket; NULL: not given */
    bool is_json;           /* --json */
    const char *trace_word; /* "connection", "request", "client", and its value */
    const char *trace_value;
};

/* WR_ECONFIG: err has the message, without the program's name. */
enum wr_status wr_cmdline_parse(int argc, char *const *argv, struct wr_cmdline *ret,
                                struct wr_strbuf *err) WR_MUST_CHECK;
/* Text of -h; of -v; of -V. */
void wr_cmdline_write_help(struct wr_strbuf *b);
void wr_cmdline_write_version(struct wr_strbuf *b, bool with_build);

#endif
