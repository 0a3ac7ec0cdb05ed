/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memfd.c: see memfd.h. A write may come short or be interrupted by a signal.
 */
#include "main/memfd.h"

#include <errno.h>
#include <unistd.h>

enum wr_status wr_memfd_write(int fd, struct wr_str s)
{
    while (s.len > 0) {
        ssize_t n = write(fd, s.ptr, s.len);

        if (n == -1 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return errno == ENOSPC || errno == ENOMEM ? WR_ENOMEM : WR_ESYS;
        }
        s = wr_str_sub(s, (size_t)n, s.len);
    }
    return WR_OK;
}
