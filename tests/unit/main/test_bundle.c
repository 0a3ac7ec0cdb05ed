/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles: what the supervisor's source gives, the worker's source gives again, failures included.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/bundle.h"
#include "main/source_bundle.h"
#include "main/source_disk.h"
#include "main/tmpdir.h"

static struct wr_tmpdir dir;

static struct wr_str path_of(struct wr_arena *a, const char *name)
{
    struct wr_str s;

    assert_int_equal(wr_arena_printf(a, &s, "%s/%s", dir.path, name), WR_OK);
    return s;
}

static void put(struct wr_arena *a, const char *name, const char *text)
{
    int fd = open(path_of(a, name).ptr, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd != -1);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void assert_str(struct wr_str s, const char *z)
{
    assert_true(wr_str_eq_z(s, z));
}

/* Everything below is asked of the disk first, then of the bundle, with the same answers. */
static void ask(const struct wr_conf_source *s, struct wr_arena *a)
{
    struct wr_conf_fault f = {NULL, 0};
    struct wr_str bytes, *names;
    struct wr_addr *addrs;
    size_t cnt;

    assert_int_equal(s->read(s, a, path_of(a, "a.conf"), 100, &bytes, &f), WR_OK);
    assert_str(bytes, "events {}\n");
    assert_int_equal(bytes.ptr[bytes.len], '\0');
    assert_int_equal(s->read(s, a, path_of(a, "a.conf"), 3, &bytes, &f), WR_ELIMIT);
    assert_int_equal(s->read(s, a, path_of(a, "empty.conf"), 100, &bytes, &f), WR_OK);
    assert_int_equal(bytes.len, 0);
    assert_int_equal(s->read(s, a, path_of(a, "none"), 100, &bytes, &f), WR_ESYS);
    assert_string_equal(f.call, "open");
    assert_int_equal(f.err, ENOENT);
    assert_int_equal(s->read(s, a, path_of(a, "."), 100, &bytes, &f), WR_ESYS);
    assert_string_equal(f.call, "read");
    assert_int_equal(f.err, EISDIR);
    assert_int_equal(s->glob(s, a, path_of(a, "*.conf"), &names, &cnt, &f), WR_OK);
    assert_int_equal(cnt, 2);
    assert_true(wr_str_has_suffix(names[0], WR_STR("/a.conf")));
    assert_true(wr_str_has_suffix(names[1], WR_STR("/empty.conf")));
    assert_int_equal(names[1].ptr[names[1].len], '\0');
    assert_int_equal(s->glob(s, a, path_of(a, "*.nothing"), &names, &cnt, &f), WR_OK);
    assert_int_equal(cnt, 0);
    assert_int_equal(s->resolve(s, a, WR_STR("127.0.0.1"), &addrs, &cnt), WR_OK);
    assert_int_equal(cnt, 1);
    assert_int_equal(addrs[0].u.sa.sa_family, AF_INET);
    assert_int_equal(wr_addr_port(&addrs[0]), 0);
    assert_int_equal(s->resolve(s, a, WR_STR("no such name"), &addrs, &cnt), WR_EOF);
}

static void test_round_trip(void **state)
{
    struct wr_bundle_writer w;
    struct wr_source_disk disk = {.bundle = &w};
    struct wr_conf_source s;
    struct wr_bundle b;
    struct wr_arena a;
    int fd;

    (void)state;
    wr_arena_init(&a, 1 << 20);
    put(&a, "a.conf", "events {}\n");
    put(&a, "empty.conf", "");
    assert_int_equal(wr_bundle_begin(&w), WR_OK);
    wr_source_disk_init(&s, &disk);
    ask(&s, &a);
    wr_bundle_add(&w, WR_BUNDLE_FACT, WR_STR("conf"), 0, WR_STR("/x"));
    wr_bundle_add(&w, WR_BUNDLE_FACT, WR_STR("conf"), 0, WR_STR("/second does not count"));
    assert_int_equal(wr_bundle_end(&w, &fd), WR_OK);
    /* The disk changes: the worker must not see it. */
    put(&a, "a.conf", "something else");
    assert_int_equal(unlink(path_of(&a, "empty.conf").ptr), 0);
    assert_int_equal(wr_bundle_open(&b, fd), WR_OK);
    wr_source_bundle_init(&s, &b);
    ask(&s, &a);
    assert_str(wr_bundle_fact(&b, "conf"), "/x");
    assert_str(wr_bundle_fact(&b, "absent"), "");
    /* Sealed: nobody can change it any more. */
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 1), -1);
    wr_bundle_close(&b);
    close(fd);
    wr_arena_fini(&a);
}

static void test_limit_is_not_noted_as_the_file(void **state)
{
    struct wr_bundle_writer w;
    struct wr_source_disk disk = {.bundle = &w};
    struct wr_conf_fault f;
    struct wr_conf_source s;
    struct wr_str bytes;
    struct wr_arena a;

    (void)state;
    wr_arena_init(&a, 1 << 20);
    put(&a, "big", "0123456789");
    assert_int_equal(wr_bundle_begin(&w), WR_OK);
    wr_source_disk_init(&s, &disk);
    assert_int_equal(s.read(&s, &a, path_of(&a, "big"), 9, &bytes, &f), WR_ELIMIT);
    assert_int_equal(s.read(&s, &a, path_of(&a, "big"), 10, &bytes, &f), WR_OK);
    wr_bundle_abort(&w);
    wr_bundle_abort(&w);
    wr_arena_fini(&a);
}

static void test_overlay(void **state)
{
    struct wr_source_disk disk = {.overlay_path = WR_STR("/made/up"),
                                  .overlay = WR_STR("events {}")};
    struct wr_conf_fault f;
    struct wr_conf_source s;
    struct wr_str bytes;
    struct wr_arena a;

    (void)state;
    wr_arena_init(&a, 1 << 20);
    wr_source_disk_init(&s, &disk);
    assert_int_equal(s.read(&s, &a, WR_STR("/made/up"), 100, &bytes, &f), WR_OK);
    assert_str(bytes, "events {}");
    wr_arena_fini(&a);
}

static int memfd(const void *p, size_t n, bool seal)
{
    int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd != -1);
    assert_int_equal(write(fd, p, n), (ssize_t)n);
    if (seal) {
        assert_int_equal(
            fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    }
    return fd;
}

static void test_not_a_bundle(void **state)
{
    char odd[64] = "this is no bundle at all, whatever it says about itself";
    uint32_t lies[6] = {0x77726264u, 1, 0, 0xffffffff, 0xffffffff, 0xffffffff};
    struct wr_bundle b;
    int fd;

    (void)state;
    fd = memfd(odd, sizeof(odd), true);
    assert_int_equal(wr_bundle_open(&b, fd), WR_EPROTO);
    close(fd);
    fd = memfd(lies, sizeof(lies), true);
    assert_int_equal(wr_bundle_open(&b, fd), WR_EPROTO);
    close(fd);
    fd = memfd(odd, 8, true);
    assert_int_equal(wr_bundle_open(&b, fd), WR_EPROTO);
    close(fd);
    fd = memfd(odd, sizeof(odd), false);
    assert_int_equal(wr_bundle_open(&b, fd), WR_EPROTO); /* not sealed */
    close(fd);
}

static int make_dir(void **state)
{
    (void)state;
    return wr_tmpdir_make(&dir, "weir-unit") == WR_OK ? 0 : -1;
}

static int remove_dir(void **state)
{
    struct stat st;
    char path[sizeof(dir.path)];

    (void)state;
    memcpy(path, dir.path, sizeof(path));
    wr_tmpdir_remove(&dir);
    return stat(path, &st) == -1 && errno == ENOENT ? 0 : -1; /* nothing stays */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_limit_is_not_noted_as_the_file),
        cmocka_unit_test(test_overlay),
        cmocka_unit_test(test_not_a_bundle),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
