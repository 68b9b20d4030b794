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

/* A port, or a name that the proxy made up for it (RFC 7239, section 6.3), or nothing. */
static bool port_valid(struct fw_bytes port)
{
    if (port.count == 0)
        return true;
    if (port.at[0] != ':' || port.count == 1)
        return false;
    if (port.at[1] == '_')
        return true;
    for (size_t i = 1; i < port.count; i++) {
        if (port.at[i] < '0' || port.at[i] > '9')
            return false;
    }
    return port.count <= 6;
}

/* Cuts a port off an address, IPv6 then in brackets; false when it is neither. */
static bool cut_port(struct fw_bytes *node)
{
    const uint8_t *end = node->at + node->count;
    const uint8_t *colon = memchr(node->at, ':', node->count);
    struct fw_bytes port = {end, 0};
    if (node->count > 0 && node->at[0] == '[') {
        const uint8_t *close = memchr(node->at, ']', node->count);
        if (close == NULL)
            return false;
        port = (struct fw_bytes){close + 1, (size_t)(end - close) - 1};
        *node = (struct fw_bytes){node->at + 1, (size_t)(close - node->at) - 1};
    } else if (colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon) - 1) == NULL) {
        port = (struct fw_bytes){colon, (size_t)(end - colon)};
        node->count = (size_t)(colon - node->at);
    }
    return port_valid(port);
}

/* Reads a node: an address, and perhaps a port. */
static bool parse_node(struct fw_bytes node, struct in6_addr *out)
{
    char text[INET6_ADDRSTRLEN];
    if (node.count == 0 || !cut_port(&node) || node.count >= sizeof text)
        return false;
    memcpy(text, node.at, node.count);
    text[node.count] = '\0';
    return parse_address(text, out) >= 0;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct fw_bytes trimmed(struct fw_bytes text)
{
    while (text.count > 0 && is_space(text.at[0])) {
        text.at++;
        text.count--;
    }
    while (text.count > 0 && is_space(text.at[text.count - 1]))
        text.count--;
    return text;
}

/* Whether an octet of a quoted string has a backslash of its own before it. */
static bool is_escaped(struct fw_bytes text, size_t at)
{
    size_t count = 0;
    while (count < at && text.at[at - count - 1] == '\\')
        count++;
    return count % 2 == 1;
}

/* Takes the last element off a list; false when nothing is left. Quotes are read from the right,
 * too: what a client put on the left cannot open one over what our proxies wrote.
 *
 * quotes       whether a comma inside of quotes is none
 */
static bool take_last(struct fw_bytes *list, bool quotes, struct fw_bytes *element_out)
{
    bool quoted = false;
    if (list->count == 0)
        return false;
    size_t at = list->count;
    while (at > 0 && (quoted || list->at[at - 1] != ',')) {
        at--;
        if (quotes && list->at[at] == '"' && !(quoted && is_escaped(*list, at)))
            quoted = !quoted;
    }
    *element_out = trimmed((struct fw_bytes){list->at + at, list->count - at});
    list->count = at > 0 ? at - 1 : 0;
    return true;
}

/* Takes the first pair off an element of Forwarded, whose pairs are told apart by semicolons. */
static struct fw_bytes take_pair(struct fw_bytes *element)
{
    bool quoted = false;
    size_t at = 0;
    for (; at < element->count && (quoted || element->at[at] != ';'); at++) {
        if (element->at[at] == '"' && !(quoted && is_escaped(*element, at)))
            quoted = !quoted;
    }
    struct fw_bytes pair = {element->at, at};
    at += at < element->count;
    *element = (struct fw_bytes){element->at + at, element->count - at};
    return trimmed(pair);
}

/* The value of a pair of this name; false for others. An address needs no backslash: one that has
 * some is none. */
static bool value_of(struct fw_bytes pair, const char *name, struct fw_bytes *value_out)
{
    const uint8_t *equals = memchr(pair.at, '=', pair.count);
    if (equals == NULL ||
        !fw_bytes_equal_lower((struct fw_bytes){pair.at, (size_t)(equals - pair.at)}, name))
        return false;
    struct fw_bytes value = {equals + 1, pair.count - (size_t)(equals + 1 - pair.at)};
    if (value.count >= 2 && value.at[0] == '"' && value.at[value.count - 1] == '"')
        value = (struct fw_bytes){value.at + 1, value.count - 2};
    *value_out = value;
    return true;
}

/* Reads an element of Forwarded: its one `for` (RFC 7239, sections 4 and 5.2). */
static bool parse_forwarded(struct fw_bytes element, struct in6_addr *out)
{
    struct fw_bytes node = {NULL, 0};
    struct fw_bytes value;
    while (element.count > 0) {
        if (!value_of(take_pair(&element), "for", &value))
            continue;
        if (node.at != NULL) /* no parameter may stand twice */
            return false;
        node = value;
    }
    return parse_node(node, out);
}

/* The last header of the name before an index of headers; -1 when there is none. */
static int find_before(const struct fw_http_head *head, const uint8_t *in, const char *name,
                       int before, struct fw_bytes *value_out)
{
    struct fw_bytes value;
    int found = -1;
    int index = -1;
    while ((index = fw_http_find(head, in, name, index + 1, &value)) >= 0 && index < before) {
        found = index;
        *value_out = value;
    }
    return found;
}

/* Several headers are one list (RFC 9110, section 5.3): the last one is read first. */
bool fw_forwarded_client(const struct fw_proxies *proxies, enum fw_proxy_header header,
                         const struct fw_http_head *head, const uint8_t *in,
                         struct in6_addr *client_out)
{
    const bool pairs = header == FW_PROXY_FORWARDED;
    struct fw_bytes list = {0};
    struct fw_bytes element;
    bool found = false;
    int index = (int)FW_HTTP_HEADERS_MAX;
    while ((index = find_before(head, in, pairs ? "forwarded" : "x-forwarded-for", index, &list)) >=
           0) {
        while (take_last(&list, pairs, &element)) {
            if (!(pairs ? parse_forwarded(element, client_out) : parse_node(element, client_out)))
                return false;
            found = true;
            if (!fw_proxies_have(proxies, client_out))
                return true;
        }
    }
    return found; /* all of them ours: the one that is furthest away */
}
