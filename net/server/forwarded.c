/* forwarded.c: see forwarded.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/forwarded.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED_BITS 96u

static void map_four(const struct in_addr *four, struct in6_addr *out)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(out->s6_addr, prefix, sizeof prefix);
    memcpy(out->s6_addr + sizeof prefix, four, sizeof *four);
}

bool fw_address_map(const struct sockaddr *any, struct in6_addr *address_out)
{
    if (any->sa_family == AF_INET)
        map_four(&((const struct sockaddr_in *)(const void *)any)->sin_addr, address_out);
    else if (any->sa_family == AF_INET6)
        *address_out = ((const struct sockaddr_in6 *)(const void *)any)->sin6_addr;
    else
        return false;
    return true;
}

/* How many bits of a prefix stand before a text's numbers: 96 for IPv4; -1 for no address. */
static int parse_address(const char *text, struct in6_addr *out)
{
    struct in_addr four;
    if (inet_pton(AF_INET, text, &four) == 1) {
        map_four(&four, out);
        return (int)MAPPED_BITS;
    }
    return inet_pton(AF_INET6, text, out) == 1 ? 0 : -1;
}

/* Whether two addresses begin with the same bits. */
static bool same_prefix(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;
    if (memcmp(a->s6_addr, b->s6_addr, whole) != 0)
        return false;
    return rest == 0 || ((a->s6_addr[whole] ^ b->s6_addr[whole]) >> (8 - rest)) == 0;
}

bool fw_cidr_parse(const char *text, struct fw_cidr *cidr_out)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t count = slash == NULL ? strlen(text) : (size_t)(slash - text);
    if (count >= sizeof address)
        return false;
    memcpy(address, text, count);
    address[count] = '\0';
    int before = parse_address(address, &cidr_out->address);
    if (before < 0)
        return false;
    cidr_out->bits = 128;
    if (slash != NULL) {
        char *end;
        unsigned long bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > 128 - (unsigned)before)
            return false;
        cidr_out->bits = (unsigned)bits + (unsigned)before;
    }
    for (unsigned bit = cidr_out->bits; bit < 128; bit++) {
        if (cidr_out->address.s6_addr[bit / 8] >> (7 - bit % 8) & 1)
            return false; /* 10.0.0.1/8 is a mistake, and nobody knows which */
    }
    return true;
}

bool fw_proxies_have(const struct fw_proxies *proxies, const struct in6_addr *address)
{
    for (unsigned i = 0; i < proxies->count; i++) {
        if (same_prefix(&proxies->list[i].address, address, proxies->list[i].bits))
            return true;
    }
    return false;
}

/* Reads an element: an address, some proxies write it with a port, IPv6 then in brackets. */
static bool parse_element(struct fw_bytes element, struct in6_addr *out)
{
    char text[INET6_ADDRSTRLEN];
    const uint8_t *colon = memchr(element.at, ':', element.count);
    if (element.count > 0 && element.at[0] == '[') {
        const uint8_t *close = memchr(element.at, ']', element.count);
        if (close == NULL)
            return false;
        element = (struct fw_bytes){element.at + 1, (size_t)(close - element.at) - 1};
    } else if (colon != NULL &&
               memchr(colon + 1, ':', element.count - (size_t)(colon + 1 - element.at)) == NULL) {
        element.count = (size_t)(colon - element.at);
    }
    if (element.count >= sizeof text)
        return false;
    memcpy(text, element.at, element.count);
    text[element.count] = '\0';
    return parse_address(text, out) >= 0;
}

/* Takes the last element off a list; false when nothing is left. */
static bool take_last(struct fw_bytes *list, struct fw_bytes *element_out)
{
    if (list->count == 0)
        return false;
    size_t at = list->count;
    while (at > 0 && list->at[at - 1] != ',')
        at--;
    *element_out = (struct fw_bytes){list->at + at, list->count - at};
    list->count = at > 0 ? at - 1 : 0;
    while (element_out->count > 0 && strchr(" \t", element_out->at[0]) != NULL) {
        element_out->at++;
        element_out->count--;
    }
    while (element_out->count > 0 && strchr(" \t", element_out->at[element_out->count - 1]) != NULL)
        element_out->count--;
    return true;
}

/* The last header of the name before an index of headers; -1 when there is none. */
static int find_before(const struct fw_http_head *head, const uint8_t *in, int before,
                       struct fw_bytes *value_out)
{
    struct fw_bytes value;
    int found = -1;
    int index = -1;
    while ((index = fw_http_find(head, in, "x-forwarded-for", index + 1, &value)) >= 0 &&
           index < before) {
        found = index;
        *value_out = value;
    }
    return found;
}

/* Several headers are one list (RFC 9110, section 5.3): the last one is read first. */
bool fw_forwarded_client(const struct fw_proxies *proxies, const struct fw_http_head *head,
                         const uint8_t *in, struct in6_addr *client_out)
{
    struct fw_bytes list;
    struct fw_bytes element;
    bool found = false;
    int index = (int)FW_HTTP_HEADERS_MAX;
    while ((index = find_before(head, in, index, &list)) >= 0) {
        while (take_last(&list, &element)) {
            if (!parse_element(element, client_out))
                return false;
            found = true;
            if (!fw_proxies_have(proxies, client_out))
                return true;
        }
    }
    return found; /* all of them ours: the one that is furthest away */
}
