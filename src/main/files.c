/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.c: a list each, and buckets by name: a configuration may have a log or an address a server.
 * Entries, and the new files that wait for them, belong to the thread that has the table.
 */
#include "main/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/loop.h"
#include "event/mailbox.h"
#include "observe/access_log.h"

void wr_files_init(struct wr_files *t)
{
    wr_list_init(&t->_all);
    for (unsigned i = 0; i < WR_FILES_BUCKETS; i++) {
        wr_list_init(&t->_by_name[i]);
    }
}

static struct wr_list *bucket_of(struct wr_files *t, struct wr_str name)
{
    return &t->_by_name[wr_hash_sip(name.ptr, name.len) % WR_FILES_BUCKETS];
}

void wr_files_fini(struct wr_files *t)
{
    struct wr_file_entry *e;

    while ((e = wr_files_next(t, NULL)) != NULL) {
        wr_files_remove(e);
    }
}

struct wr_file_entry *wr_files_next(struct wr_files *t, struct wr_file_entry *e)
{
    struct wr_list *n = e == NULL ? t->_all.next : e->_node.next;

    return n == &t->_all ? NULL : wr_container_of(n, struct wr_file_entry, _node);
}

struct wr_file_entry *wr_files_find(struct wr_files *t, struct wr_str name, uint32_t no)
{
    struct wr_list *n, *bucket = bucket_of(t, name);

    WR_LIST_FOREACH (n, bucket) {
        struct wr_file_entry *e = wr_container_of(n, struct wr_file_entry, _same);

        if (e->no == no && wr_str_eq(e->name, name)) {
            return e;
        }
    }
    return NULL;
}

struct wr_file_entry *wr_files_add(struct wr_files *t, struct wr_str name, uint32_t no, int fd)
{
    struct wr_file_entry *e = wr_mem_alloc(sizeof(*e) + name.len + 1);
    char *copy = (char *)(e + 1);

    memcpy(copy, name.len > 0 ? name.ptr : "", name.len);
    e->name = wr_str(copy, name.len);
    e->no = no;
    e->fd = fd;
    e->is_new = e->is_wanted = true;
    wr_list_push(&t->_all, &e->_node);
    wr_list_push(bucket_of(t, e->name), &e->_same);
    return e;
}

/* A new file on its way to its number. */
struct wr_file_swap {
    struct wr_mail mail;
    struct wr_file_entry *entry; /* NULL: it is gone, or a later file took its place */
    int fd;
};

static void forget_swap(struct wr_file_entry *e)
{
    if (e->_swap != NULL) {
        e->_swap->entry = NULL;
        e->_swap = NULL;
    }
}

void wr_files_remove(struct wr_file_entry *e)
{
    wr_list_remove(&e->_node);
    wr_list_remove(&e->_same);
    forget_swap(e);
    if (e->fd > STDERR_FILENO) {
        (void)close(e->fd);
    }
    wr_mem_free(e);
}

/* Standard error of a daemon is its error log: it must follow. */
static bool is_stderr_too(const struct wr_file_entry *e)
{
    struct stat a, b;

    return e->fd != STDERR_FILENO && fstat(e->fd, &a) == 0 && fstat(STDERR_FILENO, &b) == 0 &&
           S_ISREG(a.st_mode) && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static enum wr_status replace_now(struct wr_file_entry *e, int fd)
{
    int rc;

    if (is_stderr_too(e)) {
        (void)dup2(fd, STDERR_FILENO); /* the log itself matters more */
    }
    rc = dup3(fd, e->fd, e->fd > STDERR_FILENO ? O_CLOEXEC : 0);
    (void)close(fd);
    wr_access_log_reopened(e->name);
    return rc == -1 ? WR_ESYS : WR_OK;
}

/* All lines of before are in the file of before. */
static void run_swap(struct wr_mail *m)
{
    struct wr_file_swap *s = wr_container_of(m, struct wr_file_swap, mail);
    struct wr_file_entry *e = s->entry;

    if (e == NULL) {
        (void)close(s->fd);
    } else {
        e->_swap = NULL;
        if (replace_now(e, s->fd) != WR_OK) {
            wr_log_errno(NULL, WR_LOG_ALERT, errno, "dup3() of log \"%.*s\" failed",
                         WR_STR_ARG(e->name));
        }
    }
    wr_mem_free(s);
}

enum wr_status wr_files_replace(struct wr_file_entry *e, int fd)
{
    struct wr_file_swap *s;

    forget_swap(e);
    s = wr_mem_alloc(sizeof(*s));
    *s = (struct wr_file_swap){.mail = {.run = run_swap}, .entry = e, .fd = fd};
    if (wr_loop_get() != NULL && wr_access_log_sync(&s->mail)) {
        e->_swap = s;
        return WR_OK;
    }
    wr_mem_free(s);
    return replace_now(e, fd);
}
