/* SPDX-License-Identifier: Apache-2.0 */
/*
 * title.c: see title.h. The kernel puts the arguments, then the environment, into one piece of the
 * stack; strings of it that follow each other without a gap are ours to write over once copied.
 */
#include "main/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"

extern char **environ;

static char *room; /* main thread, as the others here */
static size_t room_len;
static char **args, **env; /* the copies, for the life of the process */

/*
 * Copies of cnt strings; the room grows by each that follows the one before. The copies and the
 * list are one block: unsetenv forgets a string of the environment, and nobody could free it.
 */
static char **move_away(char **list, size_t cnt, char **end)
{
    size_t list_size = (cnt + 1) * sizeof(*list), text_size = 0;
    char **moved, *text;

    for (size_t i = 0; i < cnt; i++) {
        text_size += strlen(list[i]) + 1;
    }
    moved = wr_mem_alloc(list_size + text_size);
    text = (char *)moved + list_size;
    for (size_t i = 0; i < cnt; i++) {
        size_t n = strlen(list[i]) + 1;

        if (*end == NULL || *end == list[i]) {
            *end = list[i] + n;
        }
        moved[i] = memcpy(text, list[i], n);
        text += n;
    }
    moved[cnt] = NULL;
    return moved;
}

char **wr_title_init(int argc, char **argv)
{
    size_t env_cnt = 0;
    char *end = NULL;

    while (environ[env_cnt] != NULL) {
        env_cnt++;
    }
    args = move_away(argv, (size_t)argc, &end);
    env = move_away(environ, env_cnt, &end);
    environ = env;
    if (argc > 0) {
        room = argv[0];
        room_len = (size_t)(end - room);
    }
    return args;
}

void wr_title_set(const char *fmt, ...)
{
    va_list ap;
    int n;

    if (room_len == 0) {
        return;
    }
    va_start(ap, fmt);
    n = vsnprintf(room, room_len, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < room_len) {
        memset(room + n, 0, room_len - (size_t)n);
    }
}

void wr_title_set_args(const char *prefix, char *const *argv)
{
    struct wr_strbuf b;

    if (room_len == 0) {
        return;
    }
    wr_strbuf_init(&b, 4096); /* what does not fit is left out */
    wr_strbuf_add_z(&b, prefix);
    for (; *argv != NULL; argv++) {
        wr_strbuf_printf(&b, " %s", *argv);
    }
    wr_title_set("%.*s", (int)b.len, b.ptr != NULL ? b.ptr : "");
    wr_strbuf_fini(&b);
}
