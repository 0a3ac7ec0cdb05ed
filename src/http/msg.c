/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msg.c: what is known of methods and status codes, and the care of a message head's slices.
 * Pure look-ups in constant tables; nothing here allocates. Thread: any for the look-ups, the
 * owner's for a message.
 */
#include "http/msg.h"

#include "base/assert.h"
#include "base/mem.h"

static const struct wr_str method_names[WR_METHOD_COUNT] = {
    [WR_METHOD_OTHER] = WR_STR_INIT(""),
#define X(id, name) [WR_METHOD_##id] = WR_STR_INIT(name),
#include "http/tbl/methods.h"
#undef X
};

struct reason_row {
    uint16_t status;
    struct wr_str text;
};

/* In order of the status, for the binary search. Wordings as nginx sends them. */
static const struct reason_row reasons[] = {
    {100, WR_STR_INIT("Continue")                       },
    {101, WR_STR_INIT("Switching Protocols")            },
    {102, WR_STR_INIT("Processing")                     },
    {103, WR_STR_INIT("Early Hints")                    },
    {200, WR_STR_INIT("OK")                             },
    {201, WR_STR_INIT("Created")                        },
    {202, WR_STR_INIT("Accepted")                       },
    {204, WR_STR_INIT("No Content")                     },
    {206, WR_STR_INIT("Partial Content")                },
    {301, WR_STR_INIT("Moved Permanently")              },
    {302, WR_STR_INIT("Moved Temporarily")              },
    {303, WR_STR_INIT("See Other")                      },
    {304, WR_STR_INIT("Not Modified")                   },
    {307, WR_STR_INIT("Temporary Redirect")             },
    {308, WR_STR_INIT("Permanent Redirect")             },
    {400, WR_STR_INIT("Bad Request")                    },
    {401, WR_STR_INIT("Unauthorized")                   },
    {402, WR_STR_INIT("Payment Required")               },
    {403, WR_STR_INIT("Forbidden")                      },
    {404, WR_STR_INIT("Not Found")                      },
    {405, WR_STR_INIT("Not Allowed")                    },
    {406, WR_STR_INIT("Not Acceptable")                 },
    {408, WR_STR_INIT("Request Time-out")               },
    {409, WR_STR_INIT("Conflict")                       },
    {410, WR_STR_INIT("Gone")                           },
    {411, WR_STR_INIT("Length Required")                },
    {412, WR_STR_INIT("Precondition Failed")            },
    {413, WR_STR_INIT("Request Entity Too Large")       },
    {414, WR_STR_INIT("Request-URI Too Large")          },
    {415, WR_STR_INIT("Unsupported Media Type")         },
    {416, WR_STR_INIT("Requested Range Not Satisfiable")},
    {417, WR_STR_INIT("Expectation Failed")             },
    {421, WR_STR_INIT("Misdirected Request")            },
    {429, WR_STR_INIT("Too Many Requests")              },
    {431, WR_STR_INIT("Request Header Fields Too Large")},
    {500, WR_STR_INIT("Internal Server Error")          },
    {501, WR_STR_INIT("Not Implemented")                },
    {502, WR_STR_INIT("Bad Gateway")                    },
    {503, WR_STR_INIT("Service Temporarily Unavailable")},
    {504, WR_STR_INIT("Gateway Time-out")               },
    {505, WR_STR_INIT("HTTP Version Not Supported")     },
    {507, WR_STR_INIT("Insufficient Storage")           },
};

bool wr_msg_connection_has(const struct wr_msg *m, struct wr_str name)
{
    const struct wr_hdr *c = wr_hdrs_get(&m->hdrs, WR_HDR_CONNECTION);

    for (; c != NULL; c = wr_hdrs_next(&m->hdrs, c)) {
        if (wr_str_list_has(c->value, name)) {
            return true;
        }
    }
    return false;
}

bool wr_msg_connection_names(const struct wr_msg *m)
{
    const struct wr_hdr *c = NULL;

    if (!m->names_no_field) {
        c = wr_hdrs_get(&m->hdrs, WR_HDR_CONNECTION);
    }
    for (; c != NULL; c = wr_hdrs_next(&m->hdrs, c)) {
        if (!wr_str_ieq(c->value, WR_STR("keep-alive"))) {
            return true;
        }
    }
    return false;
}

void wr_msg_init(struct wr_msg *m, struct wr_arena *a, uint32_t max_fields)
{
    (void)wr_mem_zero(m, sizeof(*m)); /* it returns m */
    m->hdrs.max = max_fields;
    m->hdrs.arena = a;
}

#define LEN_AND_FIRST(len, c) (((len) << 8) | (unsigned char)(c))

/* Length and first letter tell the methods of tbl/methods.h apart. long: one case for each */
static enum wr_method guess_method(struct wr_str name)
{
    switch (LEN_AND_FIRST(name.len, name.ptr[0])) {
    case LEN_AND_FIRST(3, 'G'):
        return WR_METHOD_GET;
    case LEN_AND_FIRST(3, 'P'):
        return WR_METHOD_PUT;
    case LEN_AND_FIRST(4, 'H'):
        return WR_METHOD_HEAD;
    case LEN_AND_FIRST(4, 'P'):
        return WR_METHOD_POST;
    case LEN_AND_FIRST(4, 'C'):
        return WR_METHOD_COPY;
    case LEN_AND_FIRST(4, 'M'):
        return WR_METHOD_MOVE;
    case LEN_AND_FIRST(4, 'L'):
        return WR_METHOD_LOCK;
    case LEN_AND_FIRST(5, 'P'):
        return WR_METHOD_PATCH;
    case LEN_AND_FIRST(5, 'T'):
        return WR_METHOD_TRACE;
    case LEN_AND_FIRST(5, 'M'):
        return WR_METHOD_MKCOL;
    case LEN_AND_FIRST(6, 'D'):
        return WR_METHOD_DELETE;
    case LEN_AND_FIRST(6, 'U'):
        return WR_METHOD_UNLOCK;
    case LEN_AND_FIRST(7, 'O'):
        return WR_METHOD_OPTIONS;
    case LEN_AND_FIRST(7, 'C'):
        return WR_METHOD_CONNECT;
    case LEN_AND_FIRST(8, 'P'):
        return WR_METHOD_PROPFIND;
    case LEN_AND_FIRST(9, 'P'):
        return WR_METHOD_PROPPATCH;
    default:
        return WR_METHOD_OTHER;
    }
}

enum wr_method wr_method_of(struct wr_str name)
{
    if (name.len == 0) {
        return WR_METHOD_OTHER;
    }
    enum wr_method m = guess_method(name);
    return wr_str_eq(name, method_names[m]) ? m : WR_METHOD_OTHER;
}

struct wr_str wr_method_name(enum wr_method m)
{
    WR_ASSERT((unsigned)m < WR_METHOD_COUNT);
    return method_names[m];
}

bool wr_method_is_idempotent(enum wr_method m)
{
    const unsigned others =
        1u << WR_METHOD_OTHER | 1u << WR_METHOD_POST | 1u << WR_METHOD_PATCH | 1u << WR_METHOD_LOCK;

    return (others & (1u << m)) == 0;
}

struct wr_str wr_status_reason(unsigned status)
{
    size_t lo = 0, hi = WR_ARRAY_LEN(reasons);

    if (status == 200) {
        return WR_STR("OK");
    }
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (reasons[mid].status == status) {
            return reasons[mid].text;
        }
        if (reasons[mid].status < status) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return WR_STR_NULL;
}

bool wr_status_is_bodyless(unsigned status, enum wr_method request_method)
{
    if (status < 200 || status == 204 || status == 304 || request_method == WR_METHOD_HEAD) {
        return true;
    }
    return request_method == WR_METHOD_CONNECT && status < 300;
}

static void rebase_line(struct wr_msg *m, uintptr_t from, size_t len, const char *new_base)
{
    wr_str_rebase(&m->method_name, from, len, new_base);
    wr_str_rebase(&m->target, from, len, new_base);
    wr_str_rebase(&m->authority, from, len, new_base);
    wr_str_rebase(&m->scheme, from, len, new_base);
    wr_str_rebase(&m->request_line, from, len, new_base);
    wr_str_rebase(&m->reason, from, len, new_base);
    wr_str_rebase(&m->dropped, from, len, new_base);
}

void wr_msg_rebase(struct wr_msg *m, const char *old, size_t len, const char *new_base)
{
    rebase_line(m, (uintptr_t)old, len, new_base);
    wr_hdrs_rebase(&m->hdrs, old, len, new_base);
}

void wr_msg_move(struct wr_msg *m, const char *old, size_t len, const char *new_base)
{
    uintptr_t from = (uintptr_t)old; /* a number: that piece may be gone already */

    rebase_line(m, from, len, new_base);
    for (struct wr_hdr *f = m->hdrs.at, *end = f + m->hdrs.cnt; f < end; f++) {
        WR_DEBUG_ASSERT((uintptr_t)f->name.ptr - from < len);
        WR_DEBUG_ASSERT((uintptr_t)f->value.ptr - from < len);
        f->name.ptr = new_base + ((uintptr_t)f->name.ptr - from);
        f->value.ptr = new_base + ((uintptr_t)f->value.ptr - from);
    }
}
