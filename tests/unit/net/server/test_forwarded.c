/* test_forwarded.c: who a proxy speaks for (net/server/forwarded.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/forwarded.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void set_proxies(struct fw_proxies *proxies)
{
    static const char *const texts[] = {"10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48"};
    proxies->count = 0;
    for (size_t i = 0; i < 3; i++)
        cr_assert(fw_cidr_parse(texts[i], &proxies->list[proxies->count++]));
}

/* The client of a request with these header lines, as text; "-" for none. */
static const char *client_of(enum fw_proxy_header header, const char *lines)
{
    static char text[INET6_ADDRSTRLEN];
    static char request[8192];
    struct fw_proxies proxies = {.count = 0};
    struct fw_http_head head;
    struct in6_addr client;
    set_proxies(&proxies);
    int count = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", lines);
    fw_http_head_init(&head);
    cr_assert_gt(fw_http_request_parse(&head, (uint8_t *)request, (size_t)count), 0, "%s", lines);
    if (!fw_forwarded_client(&proxies, header, &head, (uint8_t *)request, &client))
        return "-";
    if (IN6_IS_ADDR_V4MAPPED(&client))
        return inet_ntop(AF_INET, client.s6_addr + 12, text, sizeof text);
    return inet_ntop(AF_INET6, &client, text, sizeof text);
}

Test(forwarded, is_the_right_most_that_is_not_ours)
{
    static const struct {
        const char *lines;
        const char *client;
    } rows[] = {
        {"", "-"},
        {"X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1"},
        {"X-Forwarded-For: 1.1.1.1, 198.51.100.1\r\n", "198.51.100.1"},
        {"X-Forwarded-For: 1.1.1.1,198.51.100.1,10.1.2.3\r\n", "198.51.100.1"},
        {"X-Forwarded-For: 1.1.1.1, 198.51.100.1, 10.1.2.3 , 192.0.2.7\r\n", "198.51.100.1"},
        {"X-Forwarded-For: 198.51.100.1, 192.0.2.8\r\n", "192.0.2.8"},
        {"X-Forwarded-For: 10.0.0.1\r\n", "10.0.0.1"},
        {"X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", "10.0.0.1"},
        {"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1"},
        {"X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 10.0.0.1\r\n", "198.51.100.1"},
        {"x-forwarded-for: 198.51.100.1\r\nX-Other: 1\r\nX-FORWARDED-FOR: 10.0.0.1\r\n",
         "198.51.100.1"},
        {"X-Forwarded-For: 2001:db8:2::1\r\n", "2001:db8:2::1"},
        {"X-Forwarded-For: 2001:db8:2::1, 2001:db8:1:ffff::1\r\n", "2001:db8:2::1"},
        {"X-Forwarded-For: 198.51.100.1:4711\r\n", "198.51.100.1"},
        {"X-Forwarded-For: [2001:db8:2::1]:4711\r\n", "2001:db8:2::1"},
        {"X-Forwarded-For: [2001:db8:2::1]\r\n", "2001:db8:2::1"},
        {"X-Forwarded-For: ::ffff:198.51.100.1\r\n", "198.51.100.1"},
        {"X-Forwarded-For: ::ffff:10.0.0.1, 10.0.0.2\r\n", "10.0.0.1"},
        {"X-Forwarded-For: unknown\r\n", "-"},
        {"X-Forwarded-For: 198.51.100.1, unknown\r\n", "-"},
        {"X-Forwarded-For: 198.51.100.1, unknown, 10.0.0.1\r\n", "-"},
        {"X-Forwarded-For: unknown, 198.51.100.1\r\n", "198.51.100.1"},
        {"X-Forwarded-For: 198.51.100.1,\r\n", "-"},
        {"X-Forwarded-For: ,198.51.100.1\r\n", "198.51.100.1"},
        {"X-Forwarded-For: \r\n", "-"},
        {"X-Forwarded-For: 198.51.100.256\r\n", "-"},
        {"X-Forwarded-For: 198.51.100.1 10.0.0.1\r\n", "-"},
        {"X-Forwarded-For: 0x7f.1\r\n", "-"},
        {"X-Forwarded-For: 010.0.0.1\r\n", "-"},
        {"X-Forwarded-For: [2001:db8:2::1\r\n", "-"},
        {"X-Forwarded-For: fe80::1%eth0\r\n", "-"},
        {"X-Forwarded-For: localhost\r\n", "-"},
        {"X-Forwarded-For: 198.51.100.1:x\r\n", "-"},
        {"X-Forwarded-For: [2001:db8:2::1]4711\r\n", "-"},
        {"Forwarded: for=198.51.100.1\r\n", "-"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_str_eq(client_of(FW_PROXY_X_FORWARDED_FOR, rows[i].lines), rows[i].client, "%s",
                         rows[i].lines);
}

/* RFC 7239, sections 4 to 7.4; the examples of its sections 4 and 6 among them. */
Test(forwarded, is_the_same_in_the_header_of_rfc_7239)
{
    static const struct {
        const char *lines;
        const char *client;
    } rows[] = {
        {"", "-"},
        {"Forwarded: for=198.51.100.1\r\n", "198.51.100.1"},
        {"Forwarded: For=\"198.51.100.1\"\r\n", "198.51.100.1"},
        {"Forwarded: for=198.51.100.1;proto=http;by=203.0.113.43\r\n", "198.51.100.1"},
        {"Forwarded: proto=https; by=203.0.113.43; FOR=198.51.100.1\r\n", "198.51.100.1"},
        {"Forwarded: For=\"[2001:db8:cafe::17]:4711\"\r\n", "2001:db8:cafe::17"},
        {"Forwarded: for=\"[2001:db8:cafe::17]\"\r\n", "2001:db8:cafe::17"},
        {"Forwarded: for=\"[2001:db8:cafe::17]:_port\"\r\n", "2001:db8:cafe::17"},
        {"Forwarded: for=\"192.0.2.43:47011\"\r\n", "192.0.2.43"},
        {"Forwarded: for=192.0.2.43, for=198.51.100.17\r\n", "198.51.100.17"},
        {"Forwarded: for=192.0.2.43, for=10.0.0.1\r\n", "192.0.2.43"},
        {"Forwarded: for=192.0.2.43\r\nForwarded: for=10.0.0.1;proto=https\r\n", "192.0.2.43"},
        {"Forwarded: for=10.0.0.1, for=10.0.0.2\r\n", "10.0.0.1"},
        {"Forwarded: for=192.0.2.43,for=\"[2001:db8:1::1]\",for=10.0.0.1\r\n", "192.0.2.43"},
        /* inside quotes nothing ends an element or a pair */
        {"Forwarded: for=192.0.2.43;host=\"a, for=9.9.9.9;x\"\r\n", "192.0.2.43"},
        {"Forwarded: for=192.0.2.43;host=\"a\\\", for=9.9.9.9;x=\\\"\"\r\n", "192.0.2.43"},
        {"Forwarded: for=192.0.2.43;host=\"a\\\\\", for=10.0.0.1\r\n", "192.0.2.43"},
        {"Forwarded: for=192.0.2.43;x=\"for=9.9.9.9\"\r\n", "192.0.2.43"},
        /* a client's left end changes nothing on the right */
        {"Forwarded: for=\"9.9.9.9, for=192.0.2.43\r\n", "192.0.2.43"},
        {"Forwarded: x=\"\\\r\nForwarded: for=192.0.2.43\r\n", "192.0.2.43"},
        {"Forwarded: for=9.9.9.9;x=\", for=\"[2001:db8:2::1]:80\"\r\n", "2001:db8:2::1"},
        {"Forwarded: for=_hidden, for=192.0.2.43\r\n", "192.0.2.43"},
        /* nobody's address (sections 6.2 and 6.3), and what is no address */
        {"Forwarded: for=unknown\r\n", "-"},
        {"Forwarded: for=_SEVKISEK\r\n", "-"},
        {"Forwarded: for=\"_gazonk\"\r\n", "-"},
        {"Forwarded: for=192.0.2.43, for=unknown, for=10.0.0.1\r\n", "-"},
        {"Forwarded: for=192.0.2.43;for=192.0.2.44\r\n", "-"},
        {"Forwarded: proto=http\r\n", "-"},
        {"Forwarded: for\r\n", "-"},
        {"Forwarded: for=\r\n", "-"},
        {"Forwarded: for=\"\"\r\n", "-"},
        {"Forwarded: for=\"192.0.2.43\r\n", "-"},
        {"Forwarded: for=192.0.2.43 for=1.1.1.1\r\n", "-"},
        {"Forwarded: for=\"192.0.2.4\\3\"\r\n", "-"},
        {"Forwarded: for=\"[2001:db8::1\"\r\n", "-"},
        {"Forwarded: for=\"[2001:db8::1]80\"\r\n", "-"},
        {"Forwarded: for=\"192.0.2.43:\"\r\n", "-"},
        {"Forwarded: for=\"192.0.2.43:1234567\"\r\n", "-"},
        {"Forwarded: for=\"192.0.2.43:8o\"\r\n", "-"},
        {"Forwarded: xfor=192.0.2.43\r\n", "-"},
        {"Forwarded: for=192.0.2.43,\r\n", "-"},
        /* a client may send the header that our proxies do not */
        {"X-Forwarded-For: 9.9.9.9\r\n", "-"},
        {"X-Forwarded-For: 9.9.9.9\r\nForwarded: for=192.0.2.43\r\n", "192.0.2.43"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_str_eq(client_of(FW_PROXY_FORWARDED, rows[i].lines), rows[i].client, "%s",
                         rows[i].lines);
}

Test(forwarded, trusts_what_its_prefixes_say_and_no_more)
{
    static const char *const good[] = {"10.0.0.0/8", "0.0.0.0/0",   "::/0",
                                       "10.1.2.3",   "10.1.2.3/32", "2001:db8::/32",
                                       "::1",        "fe80::/10",   "::1/128"};
    static const char *const bad[] = {
        "",         "10.0.0.0/", "10.0.0.0/33",    "10.0.0.1/8", "10.0.0.0/-1", "10.0.0.0/8x",
        "10.0.0/8", "::/129",    "2001:db8::1/32", "localhost",  "10.0.0.0/ 8", "/8"};
    struct fw_cidr cidr;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(fw_cidr_parse(good[i], &cidr), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(fw_cidr_parse(bad[i], &cidr), "%s", bad[i]);
    struct fw_proxies all = {.count = 1};
    struct in6_addr six;
    cr_assert(fw_cidr_parse("0.0.0.0/0", &all.list[0]));
    cr_assert_eq(inet_pton(AF_INET6, "2001:db8::1", &six), 1);
    cr_assert_not(fw_proxies_have(&all, &six), "every IPv4 address is no IPv6 one");
    cr_assert_eq(inet_pton(AF_INET6, "::ffff:1.2.3.4", &six), 1);
    cr_assert(fw_proxies_have(&all, &six));
}
