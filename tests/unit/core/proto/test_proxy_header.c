/* test_proxy_header.c: what a proxy says before its client's first byte (the PROXY protocol's
 * version 2, section 2.2 of its specification).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/proxy_header.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SIGNATURE    "\r\n\r\n\0\r\nQUIT\n"
/* 198.51.100.1:4711 to 10.0.0.1:443. */
#define IPV4 "\xc6\x33\x64\x01\x0a\x00\x00\x01\x12\x67\x01\xbb"
/* [2001:db8::1]:4711 to [2001:db8::2]:443. */
#define IPV6_SOURCE "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define IPV6        IPV6_SOURCE "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x67\x01\xbb"

static struct guard_buf guard;

static void set_up(void)
{
    guard_buf_init(&guard, FW_PROXY_HEADER_BYTES_MAX);
}

static void tear_down(void)
{
    guard_buf_clear(&guard);
}

TestSuite(proxy_header, .init = set_up, .fini = tear_down);

static ssize_t decode(const void *bytes, size_t count, struct fw_proxy_client *client_out)
{
    struct fw_proxy_decoder decoder = {.left = 0};
    memset(client_out, 0xee, sizeof *client_out);
    return fw_proxy_decode(&decoder, guard_buf_at_end(&guard, bytes, count), count, client_out);
}

/* A header: version and command, family, a length, and so many octets behind it. */
static size_t header(uint8_t *out, uint8_t command, uint8_t family, size_t length, const void *rest,
                     size_t rest_bytes)
{
    memcpy(out, SIGNATURE, 12);
    out[12] = command;
    out[13] = family;
    out[14] = (uint8_t)(length >> 8);
    out[15] = (uint8_t)length;
    memcpy(out + 16, rest, rest_bytes);
    return 16 + rest_bytes;
}

Test(proxy_header, tells_the_address_of_an_ipv4_client)
{
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, 198, 51, 100, 1};
    struct fw_proxy_client client;
    uint8_t bytes[64];
    size_t count = header(bytes, 0x21, 0x11, 12, IPV4 "GET /", 17);
    cr_assert_eq(decode(bytes, count, &client), 28, "and not an octet of what follows");
    cr_assert_eq(client.family, 4);
    cr_assert_eq(client.port, 4711);
    cr_assert_arr_eq(client.address, mapped, 16);
}

Test(proxy_header, tells_the_address_of_an_ipv6_client)
{
    struct fw_proxy_client client;
    uint8_t bytes[64];
    size_t count = header(bytes, 0x21, 0x21, 36, IPV6, 36);
    cr_assert_eq(decode(bytes, count, &client), 52);
    cr_assert_eq(client.family, 6);
    cr_assert_eq(client.port, 4711);
    cr_assert_arr_eq(client.address, IPV6_SOURCE, 16);
}

/* A receiver must use the connection's own addresses for LOCAL, and ignore what UNSPEC comes with;
 * unix and datagram addresses are none of an IP client's. */
Test(proxy_header, tells_nobody_where_no_client_is_named)
{
    static const uint8_t addresses[216] = {1};
    static const struct {
        uint8_t command;
        uint8_t family;
        uint16_t length;
    } rows[] = {
        {0x20, 0x00, 0},  {0x20, 0x11, 12},  {0x20, 0x11, 3},   {0x20, 0xff, 7},
        {0x20, 0x21, 36}, {0x21, 0x00, 0},   {0x21, 0x00, 5},   {0x21, 0x12, 12},
        {0x21, 0x22, 36}, {0x21, 0x32, 216}, {0x21, 0x31, 216},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fw_proxy_client client;
        uint8_t bytes[256];
        size_t count = header(bytes, rows[i].command, rows[i].family, rows[i].length, addresses,
                              rows[i].length);
        cr_assert_eq(decode(bytes, count, &client), (ssize_t)count, "row %zu", i);
        cr_assert_eq(client.family, 0, "row %zu", i);
        cr_assert_eq(client.port, 0, "row %zu", i);
    }
}

Test(proxy_header, refuses_what_is_none_at_its_first_wrong_octet)
{
    static const struct {
        const char *bytes;
        size_t count;
        int status;
    } rows[] = {
        {"G", 1, FW_ERR_PROXY_MISSING},
        {"\x16\x03\x01", 1, FW_ERR_PROXY_MISSING},
        {"\0", 1, FW_ERR_PROXY_MISSING},
        {"POST / HTTP/1.1\r\n", 2, FW_ERR_PROXY_MISSING},
        {"PROX\n", 5, FW_ERR_PROXY_MISSING},
        {"PROXY TCP4 198.51.100.1 10.0.0.1 4711 443\r\n", 6, FW_ERR_PROXY_V1},
        {"PROXY UNKNOWN\r\n", 6, FW_ERR_PROXY_V1},
        {"\r\n\r\n\r", 5, FW_ERR_PROXY_MISSING},
        {"P\n\r\n\0\r\nQUIT\n\x21\x11", 2, FW_ERR_PROXY_MISSING},
        {"\r\n\r\n\0\r\nQUIT\r", 12, FW_ERR_PROXY_MISSING},
        {SIGNATURE "\x11", 13, FW_ERR_PROXY_VERSION},
        {SIGNATURE "\x01", 13, FW_ERR_PROXY_VERSION},
        {SIGNATURE "\x31", 13, FW_ERR_PROXY_VERSION},
        {SIGNATURE "\x22", 13, FW_ERR_PROXY_VERSION},
        {SIGNATURE "\x2f", 13, FW_ERR_PROXY_VERSION},
        {SIGNATURE "\x21\x01", 14, FW_ERR_PROXY_FAMILY},
        {SIGNATURE "\x21\x10", 14, FW_ERR_PROXY_FAMILY},
        {SIGNATURE "\x21\x13", 14, FW_ERR_PROXY_FAMILY},
        {SIGNATURE "\x21\x41", 14, FW_ERR_PROXY_FAMILY},
        {SIGNATURE "\x21\xff", 14, FW_ERR_PROXY_FAMILY},
        {SIGNATURE "\x21\x11\x00\x00", 16, FW_ERR_PROXY_LENGTH},
        {SIGNATURE "\x21\x11\x00\x0b", 16, FW_ERR_PROXY_LENGTH},
        {SIGNATURE "\x21\x21\x00\x23", 16, FW_ERR_PROXY_LENGTH},
        {SIGNATURE "\x21\x31\x00\xd7", 16, FW_ERR_PROXY_LENGTH},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fw_proxy_client client;
        cr_assert_eq(decode(rows[i].bytes, rows[i].count - 1, &client), 0, "row %zu: before it", i);
        cr_assert_eq(decode(rows[i].bytes, rows[i].count, &client), rows[i].status, "row %zu", i);
    }
}

/* PP2_TYPE_ALPN, PP2_TYPE_NOOP and one of no type that anybody knows. */
Test(proxy_header, reads_over_tlvs)
{
    static const char rest[] = IPV4 "\x01\x00\x02h2\x04\x00\x00\xee\x01\x00";
    struct fw_proxy_client client;
    static uint8_t bytes[512];
    size_t tlvs = 12 + 5 + 3 + 3 + 256;
    memset(bytes, 0xaa, sizeof bytes);
    header(bytes, 0x21, 0x11, tlvs, rest, sizeof rest - 1);
    cr_assert_eq(decode(bytes, 16 + tlvs - 1, &client), 0);
    cr_assert_eq(decode(bytes, 16 + tlvs, &client), (ssize_t)(16 + tlvs));
    cr_assert_eq(client.port, 4711);
}

Test(proxy_header, refuses_tlvs_that_do_not_fit)
{
    static const struct {
        const char *tlvs;
        size_t count;
        size_t length;
    } rows[] = {
        {"\x04", 1, 1},                                      /* a type without a length */
        {"\x04\x00", 2, 2},                                  /* half a length */
        {"\x04\x00\x01", 3, 3},                              /* a value outside the header */
        {"\x04\xff\xff", 3, 100},                            /* the same, far outside */
        {"\x04\x00\x00\x04", 4, 4},                          /* a whole one, and half a one */
        {"\x04\x00\x01x\x05\x00\x02yz\x06\x00\x09", 12, 12}, /* the third */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fw_proxy_client client;
        uint8_t bytes[64];
        memcpy(bytes, IPV4, 12);
        uint8_t whole[80];
        memcpy(bytes + 12, rows[i].tlvs, rows[i].count);
        size_t count = header(whole, 0x21, 0x11, 12 + rows[i].length, bytes, 12 + rows[i].count);
        cr_assert_eq(decode(whole, count, &client), FW_ERR_PROXY_LENGTH, "row %zu", i);
    }
}

/* The longest that a 16-bit length can say, one value to its very end. */
Test(proxy_header, takes_the_longest_there_is)
{
    static uint8_t bytes[FW_PROXY_HEADER_BYTES_MAX];
    static const char rest[] = IPV6 "\xe0";
    struct fw_proxy_client client;
    size_t value = 65535 - 36 - 3;
    header(bytes, 0x21, 0x21, 65535, rest, 37);
    bytes[16 + 37] = (uint8_t)(value >> 8);
    bytes[16 + 38] = (uint8_t)value;
    cr_assert_eq(decode(bytes, sizeof bytes - 1, &client), 0);
    cr_assert_eq(decode(bytes, sizeof bytes, &client), (ssize_t)sizeof bytes);
    cr_assert_eq(client.family, 6);
}
