/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.c: `allow` and `deny` with an address, a network, `unix:` or `all`. The first rule of the
 * file that has the client's address decides; without one the client may come in.
 *
 * The rules of a level become a tree of networks (base/iptrie.h) while they are read. A rule whose
 * network lies within that of an earlier one can never be the first, so it is left out; of two
 * networks in the tree of which one lies in the other the smaller one came first. So the first
 * rule is the one with the longest network, and a look-up costs the same for 100,000 rules.
 *
 * An IPv4 address that came mapped into IPv6 is looked up as IPv4; where no rule of the level is
 * about IPv4, an IPv6 network around all mapped addresses ("::/0") has it. A mapped network of a
 * rule is the IPv4 network. A level with rules of its own inherits none.
 */
#include "mod/access.h"

#include "base/iptrie.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/module.h"

enum verdict {
    VERDICT_NONE,
    VERDICT_ALLOW,
    VERDICT_DENY
};

struct access_rules {
    struct wr_iptrie networks; /* values: of verdict_marks */
    uint8_t unix_verdict;      /* enum verdict */
    uint8_t mapped_verdict;    /* of the first IPv6 network around the mapped addresses */
    bool has_v4;
};

struct access_loc {
    struct wr_conf_head head;
    struct access_rules *rules; /* NULL: none */
};

static struct wr_conf_module access_conf;

/* Only their addresses count. */
static char verdict_marks[3];

static enum verdict verdict_of(const void *mark)
{
    return mark ? (enum verdict)((const char *)mark - verdict_marks) : VERDICT_NONE;
}

/* ---- run ------------------------------------------------------------------------------------- */

static enum verdict find_verdict(const struct access_rules *rules, const struct wr_addr *a)
{
    enum verdict v;

    if (a->u.sa.sa_family == AF_UNIX) {
        return (enum verdict)rules->unix_verdict;
    }
    v = verdict_of(wr_iptrie_find(&rules->networks, a));
    if (v == VERDICT_NONE && !rules->has_v4 && a->u.sa.sa_family == AF_INET6 &&
        IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr)) {
        v = (enum verdict)rules->mapped_verdict;
    }
    return v;
}

static enum wr_phase_result run(struct wr_req *r)
{
    const struct access_loc *conf = wr_req_conf(r, &access_conf, WR_KIND_LOC);

    if (!conf->rules) {
        return WR_PHASE_NEXT;
    }
    switch (find_verdict(conf->rules, &r->peer)) {
    case VERDICT_NONE:
        return WR_PHASE_NEXT;
    case VERDICT_ALLOW:
        return wr_access_grant(r);
    case VERDICT_DENY:
        if (wr_core_loc_of(r)->satisfy == WR_SATISFY_ALL) {
            wr_log(&r->log, WR_LOG_ERROR, "access forbidden by rule");
        }
        return wr_access_deny(r, 403);
    }
    WR_UNREACHABLE();
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void note_first(uint8_t *verdict, enum verdict v)
{
    if (*verdict == VERDICT_NONE) {
        *verdict = (uint8_t)v;
    }
}

static enum wr_status add_net(struct access_rules *rules, const struct wr_cidr *net, enum verdict v)
{
    void *old;

    if (wr_iptrie_find_net(&rules->networks, net)) {
        return WR_OK;
    }
    return wr_iptrie_put(&rules->networks, net, &verdict_marks[v], &old);
}

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* Has the network all mapped addresses in it? */
static bool is_around_mapped(const struct wr_cidr *net)
{
    for (size_t i = 0; i < sizeof(mapped); i++) {
        if ((mapped[i] & net->mask[i]) != net->net[i]) {
            return false;
        }
    }
    return net->mask[12] == 0;
}

static bool is_mapped(const struct wr_cidr *net)
{
    return memcmp(net->net, mapped, sizeof(mapped)) == 0 && net->mask[11] == 0xff &&
           net->mask[10] == 0xff;
}

static enum wr_status add_v6(struct access_rules *rules, const struct wr_cidr *net, enum verdict v)
{
    struct wr_cidr v4 = {.family = AF_INET};

    if (is_around_mapped(net)) {
        note_first(&rules->mapped_verdict, v);
    }
    if (!is_mapped(net)) {
        return add_net(rules, net, v);
    }
    if (rules->mapped_verdict != VERDICT_NONE && !is_around_mapped(net)) {
        return WR_OK; /* an earlier one has it */
    }
    memcpy(v4.net, net->net + sizeof(mapped), 4);
    memcpy(v4.mask, net->mask + sizeof(mapped), 4);
    return add_net(rules, &v4, v);
}

static enum wr_status add_all(struct access_rules *rules, enum verdict v)
{
    const struct wr_cidr v4 = {.family = AF_INET}, v6 = {.family = AF_INET6};
    enum wr_status st = add_net(rules, &v4, v);

    note_first(&rules->unix_verdict, v);
    rules->has_v4 = true;
    return st == WR_OK ? add_net(rules, &v6, v) : st;
}

static enum wr_status add_rule(struct access_rules *rules, const struct wr_cidr *net,
                               enum verdict v)
{
    switch (net->family) {
    case AF_INET:
        rules->has_v4 = true;
        return add_net(rules, net, v);
    case AF_INET6:
        return add_v6(rules, net, v);
    case AF_UNIX:
        note_first(&rules->unix_verdict, v);
        return WR_OK;
    default: /* a family is a number; AF_UNSPEC is "all" */
        return add_all(rules, v);
    }
}

static enum wr_status set_rule(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct access_loc *lc = conf;
    struct wr_str s = wr_node_arg(node, 0);
    enum verdict v = dir->name[0] == 'a' ? VERDICT_ALLOW : VERDICT_DENY;
    bool is_trimmed = false;
    struct wr_cidr net;

    if (wr_cidr_parse(s, &net, &is_trimmed) != WR_OK) {
        return wr_arg_invalid(cf, node, 0);
    }
    if (is_trimmed) {
        wr_conf_warn(cf, node, "low address bits of %.*s are meaningless", WR_STR_ARG(s));
    }
    if (!lc->rules) {
        lc->rules = wr_arena_zalloc(cf->arena, sizeof(*lc->rules));
        if (!lc->rules) {
            return wr_conf_nomem(cf);
        }
        wr_iptrie_init(&lc->rules->networks, cf->arena);
    }
    return add_rule(lc->rules, &net, v) == WR_OK ? WR_OK : wr_conf_nomem(cf);
}

#define RULE(n, doc_)                                                                              \
    {                                                                                              \
        .name = n, .contexts = WR_CTX_HTTP_ALL | WR_CTX_LIMIT_EXCEPT, .min = 1, .max = 1,          \
        .flags = WR_DIR_REPEAT, .set = set_rule, WR_DIR_FIELD(LOC, struct access_loc, rules),      \
        .doc = doc_                                                                                \
    }

static const struct wr_dir dirs[] = {
    RULE(
        "allow",
        "These clients may come in: an address, a network, unix:, all. The first rule that fits decides."),
    RULE("deny", "These clients get 403, unless an earlier rule fits."), WR_DIR_END};

static struct wr_conf_module access_conf = {
    .name = "access", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct access_loc)}};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_ACCESS, 100, run}
};

const struct wr_module wr_access_module = {
    .conf = &access_conf, .is_quiet = true, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
