/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.h: last words. A process that gets SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT or SIGSYS
 * writes to the error log which signal, where, on which thread, what ran there (task, connection,
 * request) and the last moves of the flight recorder; then the signal does what it does by default.
 * Builds with a sanitizer have handlers of their own, there nothing is installed.
 */
#ifndef WR_EVENT_FAULT_H
#define WR_EVENT_FAULT_H

#include <signal.h>

#include "base/compiler.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define WR_FAULT_SANITIZED 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                     \
        __has_feature(thread_sanitizer)
#        define WR_FAULT_SANITIZED 1
#    endif
#endif
#ifndef WR_FAULT_SANITIZED
#    define WR_FAULT_SANITIZED 0
#endif

/* Takes them out of a set that is to be blocked: a fault that is blocked ends without a word. */
void wr_fault_unblock(sigset_t *set);
/* For the process, and a stack for the calling thread. Before other threads start. */
void wr_fault_install(void);
/* Each other thread: a stack for its last words, and its end. Nothing when not installed. */
void wr_fault_thread_begin(void);
void wr_fault_thread_end(void);

#endif
