/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder.c: see folder.h. The folder is opened as files are (symbolic links as the location wants),
 * then read by readdir; names are looked at relative to it, so that it may be renamed meanwhile.
 */
#include "io/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

struct wr_folder {
    DIR *dir;
    int fd; /* of dir */
};

enum wr_status wr_folder_open(const char *path, const struct wr_file_how *how,
                              struct wr_folder **ret, int *ret_errno)
{
    struct wr_file_how want = *how;
    struct wr_file_facts facts;
    struct wr_folder *f;
    enum wr_status st;

    want.want_fd = true;
    st = wr_file_find(path, &want, &facts, ret_errno);
    if (st != WR_OK) {
        return st;
    }
    if (!facts.is_dir) {
        wr_file_facts_drop(&facts);
        *ret_errno = ENOTDIR;
        return WR_ESYS;
    }
    f = wr_run_zalloc(sizeof(*f));
    if (!f) {
        wr_file_facts_drop(&facts);
        return WR_ENOMEM;
    }
    f->fd = facts.fd;
    f->dir = fdopendir(facts.fd);
    if (!f->dir) {
        *ret_errno = errno;
        wr_file_facts_drop(&facts);
        wr_mem_free(f);
        return WR_ESYS;
    }
    *ret = f;
    return WR_OK;
}

void wr_folder_close(struct wr_folder *f)
{
    if (f) {
        (void)closedir(f->dir);
        wr_mem_free(f);
    }
}

static uint8_t kind_of(const struct dirent *e)
{
    switch (e->d_type) {
    case DT_REG:
        return WR_FOLDER_FILE;
    case DT_DIR:
        return WR_FOLDER_DIR;
    case DT_UNKNOWN:
    case DT_LNK:
        return WR_FOLDER_UNKNOWN;
    default: /* numbers of the system */
        return WR_FOLDER_OTHER;
    }
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

enum wr_status wr_folder_next(struct wr_folder *f, struct wr_folder_name *ret, int *ret_errno)
{
    for (;;) {
        const struct dirent *e;

        errno = 0;
        e = readdir(f->dir);
        if (!e && errno != 0) {
            *ret_errno = errno;
            return WR_ESYS;
        }
        if (!e) {
            return WR_EOF;
        }
        if (!is_dots(e->d_name)) {
            *ret = (struct wr_folder_name){e->d_name, strlen(e->d_name), kind_of(e)};
            return WR_OK;
        }
    }
}

enum wr_status wr_folder_look(struct wr_folder *f, const char *name, struct wr_file_facts *ret,
                              int *ret_errno)
{
    struct stat st;

    if (fstatat(f->fd, name, &st, 0) == -1 &&
        ((errno != ENOENT && errno != ELOOP) ||
         fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)) {
        *ret_errno = errno;
        return WR_ESYS;
    }
    *ret = (struct wr_file_facts){
        .fd = -1,
        .size = (uint64_t)st.st_size,
        .mtime = st.st_mtime,
        .ino = st.st_ino,
        .dev = st.st_dev,
        .is_dir = S_ISDIR(st.st_mode),
        .is_regular = S_ISREG(st.st_mode),
    };
    return WR_OK;
}
