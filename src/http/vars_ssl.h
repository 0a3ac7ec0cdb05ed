/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vars_ssl.h: the ssl module: directives (ssl_conf.c), variables, and what is asked of a request
 * before its first phase.
 */
#ifndef WR_HTTP_VARS_SSL_H
#define WR_HTTP_VARS_SSL_H

struct wr_module;

extern const struct wr_module wr_ssl_module;

#endif
