/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passwd.h: does a password belong to what a password file has of it? Forms: crypt(3) as the system
 * has it ($1$, $2b$, $5$, $6$, $y$, ... and the old one of 13 letters), $apr1$, {PLAIN}, {SHA},
 * {SSHA}. Pure; any thread. The only door to libcrypt.
 */
#ifndef WR_MOD_PASSWD_H
#define WR_MOD_PASSWD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

/* Longer passwords fit no costly hash. */
#define WR_PASSWD_MAX      511
/* Longer costly hashes fit no password. */
#define WR_PASSWD_HASH_MAX 383

/* Is it one that takes long on purpose? */
bool wr_passwd_is_costly(struct wr_str hash);
/*
 * WR_OK: it does. WR_EPROTO: it does not, or the hash is of no known form. WR_ENOMEM. What is
 * compared is compared in constant time.
 */
enum wr_status wr_passwd_check(struct wr_str hash, struct wr_str password) WR_MUST_CHECK;

#endif
