/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssl_files.h: what the directives of both sides of TLS have in common: fields that hold paths,
 * texts and commands, their setters, and reading the files through the configuration's source.
 * Control thread, while a generation is built.
 */
#ifndef WR_HTTP_SSL_FILES_H
#define WR_HTTP_SSL_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "conf/dirs.h"
#include "conf/types.h"
#include "tls/tls.h"

/* A path of a directive. */
struct wr_ssl_path {
    struct wr_str path; /* absolute; empty: none */
    const struct wr_node *node;
    const struct wr_template *tmpl; /* of one with variables; then path is what was written */
    struct wr_str base;             /* then: before a name that is not absolute */
    bool has_name;                  /* $ssl_server_name stands in it */
};

struct wr_ssl_paths {
    struct wr_ssl_path *at;
    uint32_t cnt, _cap;
};

struct wr_ssl_command {
    struct wr_tls_command cmd;
    const struct wr_node *node;
};

struct wr_ssl_commands {
    struct wr_ssl_command *at;
    uint32_t cnt, _cap;
};

/* A text of a directive, with '\0' behind it. */
struct wr_ssl_text {
    struct wr_str text;
    const struct wr_node *node;
};

/* For rows whose field is a wr_ssl_path, wr_ssl_paths, wr_ssl_text, wr_ssl_commands. */
wr_dir_set_fn wr_ssl_set_path;
wr_dir_set_fn wr_ssl_add_path;
/* A wr_ssl_path that may have variables. */
wr_dir_set_fn wr_ssl_set_name;
/* off | max=N [inactive=TIME] [valid=TIME]: the field is a struct wr_tls_cert_cache. */
wr_dir_set_fn wr_ssl_set_cert_cache;
/* A wr_ssl_path too, but of a file that is written: below the prefix, as logs are. */
wr_dir_set_fn wr_ssl_set_log;
wr_dir_set_fn wr_ssl_set_text;
wr_dir_set_fn wr_ssl_add_command;
/* Words of ssl_protocols. */
extern const struct wr_word wr_ssl_protocol_words[];
/* Of ssl_verify_depth. */
extern const struct wr_bounds wr_ssl_depth_bounds;

/* A file that cannot be opened leaves ret->err; without a path ret is empty. */
enum wr_status wr_ssl_read(struct wr_conf *cf, const struct wr_ssl_path *p,
                           struct wr_tls_file *ret) WR_MUST_CHECK;
/* The same for files whose absence nginx words in its plain way. */
enum wr_status wr_ssl_must_read(struct wr_conf *cf, const struct wr_ssl_path *p,
                                struct wr_tls_file *ret) WR_MUST_CHECK;
/* Lines of a password file, into o. */
enum wr_status wr_ssl_read_passwords(struct wr_conf *cf, const struct wr_ssl_path *p,
                                     struct wr_tls_opts *o) WR_MUST_CHECK;
/* The directive that a failure is about; NULL: none. */
typedef const struct wr_node *wr_ssl_blame_fn(const void *data, enum wr_tls_part part, uint32_t no);
/* A context that ends with the generation. WR_ECONFIG: told, at the directive that blame names. */
enum wr_status wr_ssl_make_ctx(struct wr_conf *cf, const struct wr_tls_opts *o,
                               wr_ssl_blame_fn *blame, const void *data,
                               struct wr_tls_ctx **ret) WR_MUST_CHECK;
/* Commands, into o. */
enum wr_status wr_ssl_take_commands(struct wr_conf *cf, const struct wr_ssl_commands *cs,
                                    struct wr_tls_opts *o) WR_MUST_CHECK;

#endif
