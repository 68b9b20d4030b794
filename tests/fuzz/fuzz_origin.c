/* fuzz_origin.c: libFuzzer target of origins and hosts (core/access/origin.h; RFC 6454).
 *
 *   line 1          an Origin
 *   line 2          a Host
 *   further lines   what is allowed
 *
 * The oracle: a reading by regular expressions says the same of each: which entries are
 * well-formed, whether the origin may use the server, whether the host is meant.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/origin.h"
#include "fuzz/target.h"

#include <regex.h>
#include <strings.h>

#define INPUT_BYTES_MAX 1024
#define ALLOWED_MAX     8

#define HOST      "([[][^]]*[]]|[A-Za-z0-9_.-]+|[*][.][A-Za-z0-9_.-]+)"
#define AUTHORITY HOST "(:([0-9]{1,5}))?$"

/* "https://host:port" and "host:port", cut. */
struct parts {
    char scheme[8];
    char host[INPUT_BYTES_MAX + 1];
    unsigned port; /* 0: none is said */
};

static void copy_group(char *out, size_t room, const char *text, regmatch_t group)
{
    size_t count = group.rm_so < 0 ? 0 : (size_t)(group.rm_eo - group.rm_so);
    require(count < room, "a piece of the text");
    memcpy(out, count == 0 ? "" : text + group.rm_so, count);
    out[count] = '\0';
}

static bool read_authority(const char *text, struct parts *out)
{
    static regex_t authority = {.re_nsub = SIZE_MAX};
    regmatch_t groups[4];
    char digits[8];
    if (authority.re_nsub == SIZE_MAX)
        require(regcomp(&authority, "^" AUTHORITY, REG_EXTENDED) == 0, "the expression");
    if (regexec(&authority, text, 4, groups, 0) != 0)
        return false;
    copy_group(out->host, sizeof out->host, text, groups[1]);
    copy_group(digits, sizeof digits, text, groups[3]);
    out->port = (unsigned)atoi(digits);
    return groups[3].rm_so < 0 || (out->port > 0 && out->port <= 65535);
}

static bool read_origin(const char *text, struct parts *out)
{
    bool secure = strncasecmp(text, "https://", 8) == 0;
    if (!secure && strncasecmp(text, "http://", 7) != 0)
        return false;
    strcpy(out->scheme, secure ? "https" : "http");
    if (!read_authority(text + (secure ? 8 : 7), out))
        return false;
    if (out->port == 0)
        out->port = secure ? 443 : 80;
    return true;
}

static bool host_matches(const char *host, const char *pattern)
{
    size_t host_count = strlen(host);
    size_t tail_count = strlen(pattern) - 1;
    if (pattern[0] != '*')
        return strcasecmp(host, pattern) == 0;
    return host_count > tail_count && host[0] != '.' &&
           strcasecmp(host + host_count - tail_count, pattern + 1) == 0;
}

static bool has_star(char *const *allowed)
{
    for (; *allowed != NULL; allowed++) {
        if (strcmp(*allowed, "*") == 0)
            return true;
    }
    return false;
}

static bool origin_allowed(const char *origin, const char *host, char *const *allowed)
{
    static struct parts from;
    static struct parts own;
    if (has_star(allowed))
        return true;
    if (!read_origin(origin, &from) || from.host[0] == '*')
        return false;
    if (read_authority(host, &own)) {
        unsigned port = own.port != 0 ? own.port : strcmp(from.scheme, "https") == 0 ? 443 : 80;
        if (from.port == port && strcasecmp(from.host, own.host) == 0)
            return true;
    }
    for (; *allowed != NULL; allowed++) {
        if (read_origin(*allowed, &own) && strcmp(from.scheme, own.scheme) == 0 &&
            from.port == own.port && host_matches(from.host, own.host))
            return true;
    }
    return false;
}

static bool is_loopback(const char *host)
{
    unsigned numbers[4];
    static regex_t four = {.re_nsub = SIZE_MAX};
    if (four.re_nsub == SIZE_MAX)
        require(regcomp(&four, "^127([.][0-9]{1,3}){3}$", REG_EXTENDED) == 0, "the expression");
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return regexec(&four, host, 0, NULL, 0) == 0 &&
           sscanf(host, "%u.%u.%u.%u", &numbers[0], &numbers[1], &numbers[2], &numbers[3]) == 4 &&
           numbers[1] <= 255 && numbers[2] <= 255 && numbers[3] <= 255;
}

static bool host_allowed(const char *host, char *const *allowed)
{
    static struct parts own;
    static struct parts entry;
    if (!read_authority(host, &own) || own.host[0] == '*')
        return false;
    if (is_loopback(own.host) || has_star(allowed))
        return true;
    for (; *allowed != NULL; allowed++) {
        if (read_authority(*allowed, &entry) && host_matches(own.host, entry.host))
            return true;
    }
    return false;
}

static void check_entry(const char *entry)
{
    static struct parts ignored;
    bool star = strcmp(entry, "*") == 0;
    require(fw_origin_pattern_valid(entry) == (star || read_origin(entry, &ignored)),
            "an entry of origins");
    require(fw_host_pattern_valid(entry) == (star || read_authority(entry, &ignored)),
            "an entry of hosts");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *texts[2 + ALLOWED_MAX + 1] = {NULL};
    struct fw_bytes rest = {data, size};
    size_t count = 0;
    if (size > INPUT_BYTES_MAX || memchr(data, '\0', size) != NULL)
        return -1;
    while (count < 2 || (rest.count > 0 && count < 2 + ALLOWED_MAX))
        texts[count++] = string_of(cut_at(&rest, '\n'));
    char **allowed = texts + 2;
    const char *const *list = (const char *const *)allowed;
    uint8_t *origin = block_of(texts[0], strlen(texts[0]));
    uint8_t *host = block_of(texts[1], strlen(texts[1]));
    struct fw_bytes origin_bytes = {origin, strlen(texts[0])};
    struct fw_bytes host_bytes = {host, strlen(texts[1])};
    require(fw_origin_allowed(origin_bytes, host_bytes, list) ==
                origin_allowed(texts[0], texts[1], allowed),
            "an origin");
    require(fw_host_allowed(host_bytes, list) == host_allowed(texts[1], allowed), "a host");
    for (size_t i = 0; i < count; i++)
        check_entry(texts[i]);
    free(origin);
    free(host);
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    return 0;
}
