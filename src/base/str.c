/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str.c: looking at slices. Nothing here allocates or keeps state; a slice that comes back points
 * into the one that was given. Thread: any.
 */
#include "base/str.h"

#include <stdint.h>

#include "base/chars.h"

/* Longest text that wr_str_distance compares in full: directive and variable names. */
#define DISTANCE_MAX 64

static unsigned char lower(char c)
{
    return wr_char_lower[(unsigned char)c];
}

static bool eq_lower(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

/* Eight bytes of each: do they differ in more than the case of letters? */
static inline bool differ8(const char *a, const char *b)
{
    const uint64_t ones = 0x0101010101010101ull;
    uint64_t x, y, low7, letters;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    y ^= x;
    if (y == 0) {
        return false;
    }
    if ((y & ~(0x20 * ones)) != 0) {
        return true;
    }
    /* The bytes with bit 5 set are small letters where they are letters: no sum leaves its byte. */
    x |= 0x20 * ones;
    low7 = x & (0x7f * ones);
    letters = (low7 + (0x80 - 'a') * ones) & ~(low7 + (0x80 - 'z' - 1) * ones) & ~x;
    return (y & ~(letters >> 2)) != 0;
}

bool wr_str_ieq_bytes(const char *a, const char *b, size_t n)
{
    if (n < 8) {
        return eq_lower(a, b, n);
    }
    for (size_t i = 0; i + 8 < n; i += 8) {
        if (differ8(a + i, b + i)) {
            return false;
        }
    }
    return !differ8(a + n - 8, b + n - 8);
}

bool wr_str_eq_z(struct wr_str a, const char *z)
{
    return wr_str_eq(a, wr_str_z(z));
}

static int cmp_len(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

int wr_str_cmp(struct wr_str a, struct wr_str b)
{
    size_t n = WR_MIN(a.len, b.len);
    int d = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);

    return d != 0 ? d : cmp_len(a.len, b.len);
}

int wr_str_icmp(struct wr_str a, struct wr_str b)
{
    size_t n = WR_MIN(a.len, b.len);

    for (size_t i = 0; i < n; i++) {
        int d = (int)lower(a.ptr[i]) - (int)lower(b.ptr[i]);

        if (d != 0) {
            return d;
        }
    }
    return cmp_len(a.len, b.len);
}

bool wr_str_has_prefix(struct wr_str s, struct wr_str prefix)
{
    return prefix.len == 0 || (s.len >= prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool wr_str_has_suffix(struct wr_str s, struct wr_str suffix)
{
    return suffix.len == 0 || (s.len >= suffix.len &&
                               memcmp(s.ptr + (s.len - suffix.len), suffix.ptr, suffix.len) == 0);
}

size_t wr_str_find(struct wr_str s, char c)
{
    const char *p = s.len == 0 ? NULL : memchr(s.ptr, c, s.len);

    return p == NULL ? s.len : (size_t)(p - s.ptr);
}

size_t wr_str_rfind(struct wr_str s, char c)
{
    const char *p = s.len == 0 ? NULL : memrchr(s.ptr, c, s.len);

    return p == NULL ? s.len : (size_t)(p - s.ptr);
}

size_t wr_str_find_str(struct wr_str s, struct wr_str needle)
{
    const char *p;

    if (needle.len == 0) {
        return 0;
    }
    p = s.len == 0 ? NULL : memmem(s.ptr, s.len, needle.ptr, needle.len);
    return p == NULL ? s.len : (size_t)(p - s.ptr);
}

struct wr_str wr_str_sub(struct wr_str s, size_t off, size_t n)
{
    if (off >= s.len) {
        return wr_str(s.ptr == NULL ? NULL : s.ptr + s.len, 0);
    }
    return wr_str(s.ptr + off, WR_MIN(n, s.len - off));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct wr_str wr_str_trim(struct wr_str s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

bool wr_str_split(struct wr_str *s, char sep, struct wr_str *ret_field)
{
    size_t n;

    if (s->ptr == NULL) {
        return false;
    }
    n = wr_str_find(*s, sep);
    *ret_field = wr_str(s->ptr, n);
    if (n == s->len) {
        *s = WR_STR_NULL; /* spent: no separator was left, so no field follows */
    } else {
        *s = wr_str(s->ptr + n + 1, s->len - n - 1);
    }
    return true;
}

bool wr_str_list_has(struct wr_str list, struct wr_str token)
{
    struct wr_str field;

    while (wr_str_split(&list, ',', &field)) {
        field = wr_str_trim(field);
        if (field.len != 0 && wr_str_ieq(field, token)) {
            return true;
        }
    }
    return false;
}

unsigned wr_str_distance(struct wr_str a, struct wr_str b, unsigned max)
{
    unsigned row[DISTANCE_MAX + 1];
    size_t longer = WR_MAX(a.len, b.len);

    if (longer > DISTANCE_MAX || longer - WR_MIN(a.len, b.len) > max) {
        return max + 1;
    }
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        unsigned diag = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned change = diag + (a.ptr[i - 1] != b.ptr[j - 1]);
            unsigned skip = WR_MIN(row[j], row[j - 1]) + 1;

            diag = row[j];
            row[j] = WR_MIN(change, skip);
        }
    }
    return WR_MIN(row[b.len], max + 1);
}
