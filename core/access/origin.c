/* origin.c: see origin.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/origin.h"

#include <stddef.h>

struct origin {
    struct fw_bytes scheme;
    struct fw_bytes host; /* "[::1]" with its brackets */
    unsigned port;
};

static bool host_character(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

/* Reads ":PORT" or nothing; the whole rest must be it. */
static bool parse_port(struct fw_bytes rest, unsigned default_port, unsigned *port_out)
{
    *port_out = default_port;
    if (rest.count == 0)
        return true;
    if (rest.at[0] != ':' || rest.count < 2 || rest.count > 6)
        return false;
    unsigned port = 0;
    for (size_t i = 1; i < rest.count; i++) {
        if (rest.at[i] < '0' || rest.at[i] > '9')
            return false;
        port = port * 10 + (unsigned)(rest.at[i] - '0');
    }
    *port_out = port;
    return port > 0 && port <= 65535;
}

/* Reads "host", "host:port", "[v6]" or "[v6]:port". A leading "*." is a name here: patterns use it.
 */
static bool parse_authority(struct fw_bytes in, unsigned default_port, struct origin *origin_out)
{
    size_t count = 0;
    if (in.count > 0 && in.at[0] == '[') {
        while (count < in.count && in.at[count] != ']')
            count++;
        if (count == in.count)
            return false;
        count++;
    } else {
        if (in.count > 2 && in.at[0] == '*' && in.at[1] == '.' && host_character(in.at[2]))
            count = 2;
        while (count < in.count && host_character(in.at[count]))
            count++;
    }
    origin_out->host = (struct fw_bytes){in.at, count};
    return count > 0 && parse_port((struct fw_bytes){in.at + count, in.count - count}, default_port,
                                   &origin_out->port);
}

/* Reads "scheme://authority" and nothing behind it: no path, no user. */
static bool parse_origin(struct fw_bytes in, struct origin *origin_out)
{
    size_t scheme = 0;
    while (scheme < in.count && in.at[scheme] != ':')
        scheme++;
    if (in.count < scheme + 3 || in.at[scheme + 1] != '/' || in.at[scheme + 2] != '/')
        return false;
    origin_out->scheme = (struct fw_bytes){in.at, scheme};
    unsigned port = fw_bytes_equal_lower(origin_out->scheme, "https") ? 443 : 80;
    if (port == 80 && !fw_bytes_equal_lower(origin_out->scheme, "http"))
        return false;
    struct fw_bytes rest = {in.at + scheme + 3, in.count - scheme - 3};
    return parse_authority(rest, port, origin_out);
}

/* "*.example.com" stands for every name that ends in ".example.com" and has a label before it. */
static bool host_matches(struct fw_bytes host, struct fw_bytes pattern)
{
    if (pattern.at[0] != '*')
        return fw_bytes_equal_any_case(host, pattern);
    struct fw_bytes tail = {pattern.at + 1, pattern.count - 1};
    if (host.count <= tail.count || host.at[0] == '.')
        return false;
    struct fw_bytes end = {host.at + host.count - tail.count, tail.count};
    return fw_bytes_equal_any_case(end, tail);
}

bool fw_origin_pattern_valid(const char *pattern)
{
    struct origin parsed;
    return fw_bytes_equal(fw_bytes_of(pattern), fw_bytes_of("*")) ||
           parse_origin(fw_bytes_of(pattern), &parsed);
}

bool fw_origin_allowed(struct fw_bytes origin, struct fw_bytes host, const char *const *allowed)
{
    for (size_t i = 0; allowed != NULL && allowed[i] != NULL; i++) {
        if (fw_bytes_equal(fw_bytes_of(allowed[i]), fw_bytes_of("*")))
            return true;
    }
    struct origin from;
    struct origin own;
    if (!parse_origin(origin, &from) || from.host.at[0] == '*')
        return false;
    unsigned default_port = fw_bytes_equal_lower(from.scheme, "https") ? 443 : 80;
    if (parse_authority(host, default_port, &own) && from.port == own.port &&
        fw_bytes_equal_any_case(from.host, own.host))
        return true;
    for (size_t i = 0; allowed != NULL && allowed[i] != NULL; i++) {
        struct origin entry;
        if (parse_origin(fw_bytes_of(allowed[i]), &entry) && from.port == entry.port &&
            fw_bytes_equal_any_case(from.scheme, entry.scheme) &&
            host_matches(from.host, entry.host))
            return true;
    }
    return false;
}

bool fw_origin_allowed_in(const struct fw_http_head *head, const uint8_t *bytes,
                          const char *const *allowed)
{
    struct fw_bytes origin;
    struct fw_bytes second;
    struct fw_bytes host = {0};
    int index = fw_http_find(head, bytes, "origin", 0, &origin);
    if (index < 0)
        return true;
    if (fw_http_find(head, bytes, "origin", index + 1, &second) >= 0)
        return false;
    fw_http_find(head, bytes, "host", 0, &host);
    return fw_origin_allowed(origin, host, allowed);
}

/* ---- hosts ----------------------------------------------------------------------------------- */

/* "127." and three more numbers of at most 255: "127.0.0.1.example.com" is a name. */
static bool is_loopback_ipv4(struct fw_bytes host)
{
    unsigned numbers = 0;
    size_t at = 0;
    while (at < host.count) {
        unsigned number = 0;
        size_t digits = 0;
        for (; at < host.count && host.at[at] >= '0' && host.at[at] <= '9' && digits < 4; digits++)
            number = number * 10 + (unsigned)(host.at[at++] - '0');
        if (digits == 0 || digits == 4 || number > 255 || (numbers == 0 && number != 127))
            return false;
        numbers++;
        if (at == host.count)
            return numbers == 4;
        if (host.at[at++] != '.')
            return false;
    }
    return false;
}

bool fw_host_allowed(struct fw_bytes host, const char *const *allowed)
{
    struct origin own;
    struct origin entry;
    if (!parse_authority(host, 80, &own) || own.host.at[0] == '*')
        return false;
    if (fw_bytes_equal_lower(own.host, "localhost") || fw_bytes_equal_lower(own.host, "[::1]") ||
        is_loopback_ipv4(own.host))
        return true;
    for (size_t i = 0; allowed != NULL && allowed[i] != NULL; i++) {
        if (fw_bytes_equal(fw_bytes_of(allowed[i]), fw_bytes_of("*")) ||
            (parse_authority(fw_bytes_of(allowed[i]), 80, &entry) &&
             host_matches(own.host, entry.host)))
            return true;
    }
    return false;
}

bool fw_host_pattern_valid(const char *pattern)
{
    struct origin parsed;
    return fw_bytes_equal(fw_bytes_of(pattern), fw_bytes_of("*")) ||
           parse_authority(fw_bytes_of(pattern), 80, &parsed);
}
