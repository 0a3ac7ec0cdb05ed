/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vars_proxy.c: $proxy_protocol_*. A TLV is found by a name or by its number (tlv_alpn, tlv_0x01),
 * one inside of the SSL TLV behind "ssl_" (tlv_ssl_version, tlv_ssl_0x21); three TLVs of clouds
 * have names of their own. Request's thread.
 */
#include "http/vars_proxy.h"

#include <endian.h>
#include <string.h>

#include "base/num.h"
#include "net/proxied.h"

enum addr_part {
    PART_CLIENT_ADDR,
    PART_CLIENT_PORT,
    PART_SERVER_ADDR,
    PART_SERVER_PORT
};

struct tlv_name {
    const char *name;
    uint8_t type;
};

/* clang-format off */
static const struct tlv_name tlv_names[] = {
    {"alpn", 0x01}, {"authority", 0x02}, {"unique_id", 0x05}, {"ssl", WR_PROXY_TLV_SSL}, {"netns", 0x30}, {NULL, 0}};
static const struct tlv_name ssl_names[] = {
    {"version", 0x21}, {"cn", 0x22}, {"cipher", 0x23}, {"sig_alg", 0x24}, {"key_alg", 0x25}, {NULL, 0}};

/* clang-format on */

bool wr_req_proxied_client(const struct wr_req *r, struct wr_addr *ret)
{
    if (!r->proxied || r->proxied->head.client.len == 0) {
        return false;
    }
    *ret = r->proxied->head.client;
    return true;
}

static enum wr_status get_part(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    char text[WR_ADDR_TEXT_MAX];
    const struct wr_addr *a;
    bool is_port = v->data == PART_CLIENT_PORT || v->data == PART_SERVER_PORT;

    (void)rest;
    if (!r->proxied) {
        return WR_EOF;
    }
    a = v->data >= PART_SERVER_ADDR ? &r->proxied->head.server : &r->proxied->head.client;
    if (a->len == 0 || (is_port && wr_addr_port(a) == 0)) {
        *ret = WR_STR("");
        return WR_OK;
    }
    if (is_port) {
        return wr_arena_printf(r->arena, ret, "%u", (unsigned)wr_addr_port(a));
    }
    return wr_arena_dup(r->arena, wr_str(text, wr_addr_write_host(a, text)), ret);
}

/* "0x1f", or one of names. */
static bool find_type(const struct tlv_name *names, struct wr_str s, uint8_t *ret)
{
    uint64_t n = 0;

    if (wr_str_has_prefix(s, WR_STR("0x"))) {
        if (s.len > 4 || wr_num_parse_hex(wr_str_sub(s, 2, s.len), UINT8_MAX, &n) != WR_OK) {
            return false;
        }
        *ret = (uint8_t)n;
        return true;
    }
    for (; names->name; names++) {
        if (wr_str_eq_z(s, names->name)) {
            *ret = names->type;
            return true;
        }
    }
    return false;
}

/* Inside of the SSL TLV: one byte of flags, four of the verification's result, TLVs. */
static enum wr_status get_ssl_tlv(struct wr_req *r, struct wr_str ssl, struct wr_str name,
                                  struct wr_str *ret)
{
    uint32_t verify;
    uint8_t type = 0;

    if (ssl.len < WR_PROXY_TLV_SSL_HEAD) {
        return WR_EOF;
    }
    if (wr_str_eq_z(name, "verify")) {
        memcpy(&verify, ssl.ptr + 1, sizeof(verify));
        return wr_arena_printf(r->arena, ret, "%u", (unsigned)be32toh(verify));
    }
    ssl = wr_str_sub(ssl, WR_PROXY_TLV_SSL_HEAD, ssl.len);
    return find_type(ssl_names, name, &type) && wr_proxy_tlv_find(ssl, type, ret) ? WR_OK : WR_EOF;
}

static enum wr_status get_tlv(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                              struct wr_str *ret)
{
    struct wr_str ssl;
    uint8_t type = 0;

    (void)v;
    if (!r->proxied) {
        return WR_EOF;
    }
    if (wr_str_has_prefix(rest, WR_STR("ssl_"))) {
        return wr_proxy_tlv_find(r->proxied->head.tlvs, WR_PROXY_TLV_SSL, &ssl)
                   ? get_ssl_tlv(r, ssl, wr_str_sub(rest, 4, rest.len), ret)
                   : WR_EOF;
    }
    return find_type(tlv_names, rest, &type) && wr_proxy_tlv_find(r->proxied->head.tlvs, type, ret)
               ? WR_OK
               : WR_EOF;
}

/* ---- TLVs of clouds ------------------------------------------------------------------------- */

enum cloud {
    CLOUD_AWS,   /* type 0xea: a byte 1, the endpoint's name */
    CLOUD_AZURE, /* type 0xee: a byte 1, the link's number, 4 bytes, the lowest first */
    CLOUD_GCP    /* type 0xe0: the connection's number, 8 bytes, the highest first */
};

static enum wr_status get_cloud(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    static const uint8_t types[] = {[CLOUD_AWS] = 0xea, [CLOUD_AZURE] = 0xee, [CLOUD_GCP] = 0xe0};
    struct wr_str s;
    uint64_t id;
    uint32_t link;

    (void)rest;
    if (!r->proxied || !wr_proxy_tlv_find(r->proxied->head.tlvs, types[v->data], &s)) {
        return WR_EOF;
    }
    if (v->data == CLOUD_GCP) {
        if (s.len != sizeof(id)) {
            return WR_EOF;
        }
        memcpy(&id, s.ptr, sizeof(id));
        return wr_arena_printf(r->arena, ret, "%llu", (unsigned long long)be64toh(id));
    }
    if (s.len == 0 || s.ptr[0] != 1) {
        return WR_EOF; /* another kind of TLV of this cloud */
    }
    s = wr_str_sub(s, 1, s.len);
    if (v->data == CLOUD_AWS) {
        *ret = s;
        return WR_OK;
    }
    if (s.len != sizeof(link)) {
        return WR_EOF;
    }
    memcpy(&link, s.ptr, sizeof(link));
    return wr_arena_printf(r->arena, ret, "%u", (unsigned)le32toh(link));
}

/* clang-format off */
static const struct wr_var rows[] = {
    {"proxy_protocol_addr",             get_part,  PART_CLIENT_ADDR, 0            },
    {"proxy_protocol_port",             get_part,  PART_CLIENT_PORT, 0            },
    {"proxy_protocol_server_addr",      get_part,  PART_SERVER_ADDR, 0            },
    {"proxy_protocol_server_port",      get_part,  PART_SERVER_PORT, 0            },
    {"proxy_protocol_tlv_",             get_tlv,   0,                WR_VAR_PREFIX},
    {"proxy_protocol_tlv_aws_vpce_id",  get_cloud, CLOUD_AWS,        0            },
    {"proxy_protocol_tlv_azure_pel_id", get_cloud, CLOUD_AZURE,      0            },
    {"proxy_protocol_tlv_gcp_conn_id",  get_cloud, CLOUD_GCP,        0            },
};
/* clang-format on */

const struct wr_module wr_vars_proxy_module = {.vars = rows, .var_cnt = WR_ARRAY_LEN(rows)};
