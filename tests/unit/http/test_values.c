/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_values.c: the evaluation of variables against a second, simple one. Each round makes a
 * random configuration of maps that look up texts of each other's variables (and of their own), of
 * `set` and of values that count how often they were asked for; what a request answers must be what
 * the model says: each value computed once unless it is volatile, cycles empty, captures of the
 * last regex, no text longer than its bound.
 *
 * The seed of a round is in the message of a failure: seed(N) runs that one.
 */
#include "http/module.h"

static const struct wr_module prop_module;

#define FULL_KIT_MORE &prop_module,
#include "../http/full_kit.h"

#define VARS      10 /* 0 .. MAPS-1 are maps, the others are set */
#define MAPS      7
#define PARTS     6
#define KEYS      4
#define ROUNDS    250
#define VALUE_MAX 65536u

/* ---- values that count ----------------------------------------------------------------------- */

static unsigned once_cnt, each_cnt;

static enum wr_status get_count(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    unsigned *cnt = v->data == 0 ? &once_cnt : &each_cnt;

    (void)rest;
    return wr_arena_printf(r->arena, ret, "%u", ++*cnt);
}

static const struct wr_var prop_vars[] = {
    {"p_once", get_count, 0, 0             },
    {"p_each", get_count, 1, WR_VAR_NOCACHE},
};

static const struct wr_module prop_module = {.vars = prop_vars, .var_cnt = WR_ARRAY_LEN(prop_vars)};

/* ---- a configuration ------------------------------------------------------------------------- */

enum kind {
    LITERAL,
    VAR,
    ARG,
    ONCE,
    EACH,
    CAPTURE,
    KINDS
};

struct part {
    enum kind kind;
    unsigned n; /* VAR, CAPTURE, ARG: which */
    char text[8];
};

struct text {
    struct part at[PARTS];
    unsigned cnt;
};

struct entry {
    const char *key;
    struct text value;
};

struct map {
    struct text source;
    struct entry keys[KEYS];
    unsigned key_cnt;
    int regex; /* -1: none; 0: "^(.)(.*)$"; 1: "b", letters without case */
    struct text of_regex, deflt;
    bool has_default, is_volatile;
};

static struct map maps[MAPS];
static struct text sets[VARS - MAPS], answer;
static unsigned rng;

static unsigned draw(unsigned n)
{
    return (unsigned)rand_r(&rng) % n;
}

static void make_text(struct text *t, unsigned self)
{
    static const char *const literals[] = {"a", "b", "ab", "1", "-", "xy", "B"};

    t->cnt = draw(PARTS);
    for (unsigned i = 0; i < t->cnt; i++) {
        struct part *p = &t->at[i];

        p->kind = (enum kind)draw(KINDS);
        p->n = p->kind == CAPTURE ? 1 + draw(3) : draw(2);
        if (p->kind == VAR) {
            /* Mostly those in front, so that cycles are there and are not all there is. */
            p->n = self > 0 && draw(8) != 0 ? draw(self) : draw(VARS);
        }
        (void)snprintf(p->text, sizeof(p->text), "%s", literals[draw(WR_ARRAY_LEN(literals))]);
    }
}

static void make_conf(void)
{
    static const char *const keys[] = {"", "a", "B", "ab", "1", "2", "-", "xyA"};

    for (unsigned i = 0; i < MAPS; i++) {
        struct map *m = &maps[i];
        unsigned from = draw(4);

        make_text(&m->source, i);
        m->key_cnt = draw(KEYS + 1);
        for (unsigned k = 0; k < m->key_cnt; k++) {
            m->keys[k].key = keys[(from + k) % WR_ARRAY_LEN(keys)];
            make_text(&m->keys[k].value, i);
        }
        m->regex = (int)draw(3) - 1;
        make_text(&m->of_regex, i);
        m->has_default = draw(4) != 0;
        make_text(&m->deflt, i);
        m->is_volatile = draw(4) == 0;
    }
    for (unsigned i = 0; i < VARS - MAPS; i++) {
        make_text(&sets[i], VARS);
    }
    make_text(&answer, VARS);
}

static void write_text(struct wr_strbuf *b, const struct text *t)
{
    wr_strbuf_add_z(b, "\"");
    for (unsigned i = 0; i < t->cnt; i++) {
        const struct part *p = &t->at[i];

        switch (p->kind) {
        case LITERAL:
            wr_strbuf_add_z(b, p->text);
            break;
        case VAR:
            wr_strbuf_printf(b, "${v%u}", p->n);
            break;
        case ARG:
            wr_strbuf_printf(b, "${arg_%s}", p->n == 0 ? "x" : "y");
            break;
        case ONCE:
            wr_strbuf_add_z(b, "${p_once}");
            break;
        case EACH:
            wr_strbuf_add_z(b, "${p_each}");
            break;
        case CAPTURE:
            wr_strbuf_printf(b, "$%u", p->n);
            break;
        case KINDS:
            break;
        }
    }
    wr_strbuf_add_z(b, "\"");
}

static void write_entry(struct wr_strbuf *b, const char *key, const struct text *value)
{
    wr_strbuf_printf(b, " %s ", key);
    write_text(b, value);
    wr_strbuf_add_z(b, ";");
}

static void write_conf(struct wr_strbuf *b)
{
    static const char *const regexes[] = {"'~^(.)(.*)$'", "~*b"};

    wr_strbuf_add_z(b, "http { access_log off; error_log memory:64k; ");
    for (unsigned i = 0; i < MAPS; i++) {
        const struct map *m = &maps[i];

        wr_strbuf_add_z(b, "map ");
        write_text(b, &m->source);
        wr_strbuf_printf(b, " $v%u {%s", i, m->is_volatile ? " volatile;" : "");
        for (unsigned k = 0; k < m->key_cnt; k++) {
            char key[16];

            (void)snprintf(key, sizeof(key), "'%s'", m->keys[k].key);
            write_entry(b, key, &m->keys[k].value);
        }
        if (m->regex >= 0) {
            write_entry(b, regexes[m->regex], &m->of_regex);
        }
        if (m->has_default) {
            write_entry(b, "default", &m->deflt);
        }
        wr_strbuf_add_z(b, " } ");
    }
    wr_strbuf_add_z(b, "server { listen 127.0.0.1:1; uninitialized_variable_warn off; ");
    for (unsigned i = 0; i < VARS - MAPS; i++) {
        wr_strbuf_printf(b, "set $v%u ", MAPS + i);
        write_text(b, &sets[i]);
        wr_strbuf_add_z(b, "; ");
    }
    wr_strbuf_add_z(b, "location / { return 200 ");
    write_text(b, &answer);
    wr_strbuf_add_z(b, "; } } }");
    assert_int_equal(b->status, WR_OK);
}

/* ---- the model ------------------------------------------------------------------------------- */

struct value {
    enum {
        UNKNOWN,
        BUSY,
        KNOWN
    } state;

    char *text; /* of KNOWN */
};

static struct {
    struct value vars[VARS];
    char captures[3][VALUE_MAX + 1]; /* $1 .. $3 */
    unsigned once, each;             /* last value given; once: 0, not yet in this request */
    unsigned once_seen;
    const char *args[2];
    bool has_failed;
} model;

static char *model_text(const struct text *t);

static char *copy(const char *s)
{
    char *p = test_malloc(strlen(s) + 1);

    memcpy(p, s, strlen(s) + 1);
    return p;
}

static bool holds_b(const char *s)
{
    return strpbrk(s, "bB") != NULL;
}

static const struct text *model_find(const struct map *m, const char *s)
{
    for (unsigned k = 0; k < m->key_cnt; k++) {
        if (strcasecmp(m->keys[k].key, s) == 0) {
            return &m->keys[k].value;
        }
    }
    if (m->regex == 0 && s[0] != '\0') {
        (void)snprintf(model.captures[0], sizeof(model.captures[0]), "%c", s[0]);
        (void)snprintf(model.captures[1], sizeof(model.captures[1]), "%s", s + 1);
        model.captures[2][0] = '\0';
        return &m->of_regex;
    }
    if (m->regex == 1 && holds_b(s)) {
        model.captures[0][0] = model.captures[1][0] = model.captures[2][0] = '\0';
        return &m->of_regex;
    }
    return m->has_default ? &m->deflt : NULL;
}

/* The caller owns it. */
static char *model_var(unsigned n)
{
    struct value *v = &model.vars[n];
    const struct text *found;
    char *source, *s;

    if (v->state == BUSY || (v->state == UNKNOWN && n >= MAPS)) {
        return copy("");
    }
    if (v->state == KNOWN) {
        return copy(v->text);
    }
    v->state = BUSY;
    source = model_text(&maps[n].source);
    found = model.has_failed ? NULL : model_find(&maps[n], source);
    s = found ? model_text(found) : copy("");
    test_free(source);
    v->state = maps[n].is_volatile || model.has_failed ? UNKNOWN : KNOWN;
    v->text = v->state == KNOWN ? copy(s) : NULL;
    return s;
}

static char *model_part(const struct part *p)
{
    char num[16];

    switch (p->kind) {
    case LITERAL:
        return copy(p->text);
    case VAR:
        return model_var(p->n);
    case ARG:
        return copy(model.args[p->n]);
    case ONCE:
        if (model.once_seen == 0) {
            model.once_seen = ++model.once;
        }
        (void)snprintf(num, sizeof(num), "%u", model.once_seen);
        return copy(num);
    case EACH:
        (void)snprintf(num, sizeof(num), "%u", ++model.each);
        return copy(num);
    case CAPTURE:
        return copy(model.captures[p->n - 1]);
    case KINDS:
        break;
    }
    return copy("");
}

static char *model_text(const struct text *t)
{
    char *sum = test_malloc(VALUE_MAX + 1);
    size_t len = 0;

    sum[0] = '\0';
    for (unsigned i = 0; i < t->cnt && !model.has_failed; i++) {
        char *s = model_part(&t->at[i]);
        size_t n = strlen(s);

        if (len + n > VALUE_MAX) {
            model.has_failed = true;
        } else {
            memcpy(sum + len, s, n + 1);
            len += n;
        }
        test_free(s);
    }
    return sum;
}

/* What the request answers. */
static char *model_run(void)
{
    for (unsigned i = 0; i < VARS; i++) {
        model.vars[i] = (struct value){UNKNOWN, NULL};
    }
    for (unsigned i = 0; i < 3; i++) {
        model.captures[i][0] = '\0';
    }
    model.once_seen = 0;
    model.has_failed = false;
    for (unsigned i = 0; i < VARS - MAPS && !model.has_failed; i++) {
        struct value *v = &model.vars[MAPS + i];
        char *s = model_text(&sets[i]);

        if (v->state == KNOWN) {
            test_free(v->text);
        }
        *v = (struct value){KNOWN, s};
    }
    return model_text(&answer);
}

static void model_end(void)
{
    for (unsigned i = 0; i < VARS; i++) {
        if (model.vars[i].text) {
            test_free(model.vars[i].text);
        }
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void ask(struct kit *k, unsigned seed)
{
    static const char *const args[] = {"", "a", "b", "1", "xya", "-", "aB"};
    char target[64];
    const char *r;
    char *want;

    model.args[0] = args[draw(WR_ARRAY_LEN(args))];
    model.args[1] = args[draw(WR_ARRAY_LEN(args))];
    (void)snprintf(target, sizeof(target), "/?x=%s&y=%s", model.args[0], model.args[1]);
    model.once = once_cnt;
    model.each = each_cnt;
    want = model_run();
    r = kit_get(k, target);
    if (kit_status(r) != (model.has_failed ? 500u : 200u) ||
        (!model.has_failed && strcmp(kit_body(r), want) != 0)) {
        fail_msg("seed %u, %s: want %.200s, got %.400s", seed, target, want, r);
    }
    if (!model.has_failed && (model.once != once_cnt || model.each != each_cnt)) {
        fail_msg("seed %u, %s: asked %u and %u times, not %u and %u", seed, target, once_cnt,
                 each_cnt, model.once, model.each);
    }
    test_free(want);
    model_end();
}

static void one_round(unsigned seed)
{
    struct wr_strbuf b;
    struct kit k;

    rng = seed;
    wr_strbuf_init(&b, 1 << 20);
    make_conf();
    write_conf(&b);
    wr_strbuf_add_char(&b, 0);
    kit_start(&k, b.ptr);
    for (unsigned i = 0; i < 3; i++) {
        ask(&k, seed);
    }
    full_stop(&k);
    wr_strbuf_fini(&b);
}

static void random_expressions(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= ROUNDS; seed++) {
        one_round(seed);
    }
}

/* Each value three times the one before: the request ends at the bound, others go on. */
static void values_that_explode(void **state)
{
    char text[8192];
    size_t n = (size_t)snprintf(text, sizeof(text),
                                "http { access_log off; error_log memory:64k; "
                                "map $arg_x $v0 { default aaaaaaaaaa; } ");
    struct kit k;

    (void)state;
    for (unsigned i = 1; i <= 40; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "map $arg_x $v%u { default $v%u$v%u$v%u; } ", i, i - 1, i - 1, i - 1);
    }
    (void)snprintf(text + n, sizeof(text) - n,
                   "server { listen 127.0.0.1:1; location /7 { return 200 $v7; } "
                   "location /8 { return 200 $v8; } location /40 { return 200 $v40; } } }");
    kit_start(&k, text);
    assert_int_equal(kit_status(kit_get(&k, "/40")), 500);
    assert_int_equal(kit_status(kit_get(&k, "/8")), 500); /* 65610 bytes */
    assert_int_equal(strlen(kit_body(kit_get(&k, "/7"))), 21870);
    full_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_expressions),
        cmocka_unit_test(values_that_explode),
    };
    int rc;

    full_boot();
    rc = cmocka_run_group_tests_name("http/values", tests, NULL, NULL);
    full_end();
    return rc;
}
