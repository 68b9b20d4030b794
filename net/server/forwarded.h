/* forwarded.h: who a proxy of ours speaks for (X-Forwarded-For; Forwarded, RFC 7239).
 *
 * Anybody can send the header; what counts is what our own proxies added to it. Each adds, on the
 * right, the address that it was spoken to from. So it is read from the right, over addresses that
 * are our proxies', to the first that is not: that one is the client. What stands further left is
 * the client's own invention: of Forwarded not even its quotes are believed (a quote that is never
 * closed would take what the proxy wrote into it).
 *
 * Only the header that our proxies write is read: the other one passes through them as the client
 * sent it. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_FORWARDED_H
#define FW_NET_FORWARDED_H

#include "base/bytes.h"
#include "proto/http1.h"

#include <fanwire/server.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#define FW_PROXIES_MAX 32u

/* Addresses: an IPv6 prefix; IPv4 ones are mapped (RFC 4291, section 2.5.5.2). */
struct fw_cidr {
    struct in6_addr address;
    unsigned bits; /* 0..128 */
};

struct fw_proxies {
    struct fw_cidr list[FW_PROXIES_MAX];
    unsigned count;
    bool local; /* who comes by a path */
};

/* Reads "10.0.0.0/8", "2001:db8::/32" or one address; false for anything else, a prefix with bits
 * behind it among it. */
bool fw_cidr_parse(const char *text, struct fw_cidr *cidr_out);

/* Whether an address is one of our proxies'. */
bool fw_proxies_have(const struct fw_proxies *proxies, const struct in6_addr *address);

/* An address of the kernel's as IPv6; false when it is none of IP. */
bool fw_address_map(const struct sockaddr *any, struct in6_addr *address_out);

/* Finds the client that a trusted proxy speaks for.
 *
 * header       which one our proxies write
 * returns      false when the request does not say, or says it in a way that is no address:
 *              "unknown", or a name that the proxy made up (RFC 7239, sections 6.2 and 6.3)
 */
bool fw_forwarded_client(const struct fw_proxies *proxies, enum fw_proxy_header header,
                         const struct fw_http_head *head, const uint8_t *in,
                         struct in6_addr *client_out);

#endif
