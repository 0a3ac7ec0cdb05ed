/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tmpdir.c: see tmpdir.h. Removal walks with nftw(3), children first, never through links or into
 * other file systems.
 */
#include "main/tmpdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *wr_tmpdir_base(void)
{
    const char *base = getenv("TMPDIR");

    return base != NULL && base[0] == '/' ? base : "/tmp";
}

bool wr_tmpdir_is_shared(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & S_IWOTH) != 0;
}

enum wr_status wr_tmpdir_make(struct wr_tmpdir *t, const char *name)
{
    /* A path that is too long makes mkdtemp fail. */
    (void)snprintf(t->path, sizeof(t->path), "%s/%s-XXXXXX", wr_tmpdir_base(), name);
    if (mkdtemp(t->path) == NULL || chmod(t->path, 0755) == -1) {
        return WR_ESYS;
    }
    return WR_OK;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st, (void)type, (void)f; /* remove() sees what it is */
    (void)remove(path);
    return 0;
}

void wr_tmpdir_remove(struct wr_tmpdir *t)
{
    if (t->path[0] != '\0') {
        (void)nftw(t->path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
        t->path[0] = '\0';
    }
}
