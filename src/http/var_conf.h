/* SPDX-License-Identifier: Apache-2.0 */
/*
 * var_conf.h: directives that define variables (map, geo, split_clients, set): the name of an
 * argument "$name", and its row in the numbering of the generation that is being built.
 */
#ifndef WR_HTTP_VAR_CONF_H
#define WR_HTTP_VAR_CONF_H

#include "base/status.h"
#include "base/str.h"
#include "http/var.h"

struct wr_conf;
struct wr_node;

/* "$name" of argument i. WR_ECONFIG: `invalid variable name "name"`, reported. */
enum wr_status wr_var_conf_name(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                struct wr_str *ret_name) WR_MUST_CHECK;
/*
 * Defines the variable that argument i names; *row (get, data and flags are the caller's) lives as
 * long as the generation. WR_ECONFIG: reported, `the duplicate "name" variable` when a module has
 * it.
 */
enum wr_status wr_var_conf_define(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                  struct wr_var *row, uint32_t *ret_no) WR_MUST_CHECK;
/* Argument i as a text with variables, in the generation's arena. */
enum wr_status wr_var_conf_value(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                 const struct wr_template **ret) WR_MUST_CHECK;

#endif
