/* target.c: URLs of targets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "target.h"

#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *prefix;
    enum bench_speech speech;
} schemes[] = {{"ws://", BENCH_WS}, {"http://", BENCH_HTTP}, {"tcp://", BENCH_RAW}};

/* Past the scheme; NULL when it is none of ours. */
static const char *read_scheme(const char *text, struct bench_url *url)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t bytes = strlen(schemes[i].prefix);
        if (strncmp(text, schemes[i].prefix, bytes) == 0) {
            url->speech = schemes[i].speech;
            return text + bytes;
        }
    }
    return NULL;
}

/* Control characters and spaces would end the request line early. */
static bool path_good(const char *path)
{
    for (; *path != '\0'; path++) {
        if (*path <= ' ' || *path == 0x7f || *path == '#')
            return false;
    }
    return true;
}

/* Whether an authority names a port: a colon behind the bracket of an IPv6 address, if any. */
static bool has_port(const char *host)
{
    const char *bracket = strrchr(host, ']');
    return strchr(bracket == NULL ? host : bracket, ':') != NULL;
}

int bench_url_parse(const char *text, struct bench_url *url_out)
{
    *url_out = (struct bench_url){0};
    if (strncmp(text, "wss://", 6) == 0 || strncmp(text, "https://", 8) == 0)
        return FW_ERR_ENGINE;
    const char *at = read_scheme(text, url_out);
    if (at == NULL)
        return FW_ERR_ADDRESS;
    size_t host_bytes = strcspn(at, "/?");
    const char *path = at + host_bytes;
    if (host_bytes == 0 || host_bytes + 4 > sizeof url_out->host ||
        strlen(path) + 2 > sizeof url_out->path || !path_good(path) || memchr(at, '@', host_bytes))
        return FW_ERR_ADDRESS;
    memcpy(url_out->host, at, host_bytes);
    if (!has_port(url_out->host))
        strcat(url_out->host, ":80");
    snprintf(url_out->path, sizeof url_out->path, "%s%s", *path == '?' ? "/" : "", path);
    return fw_sock_address_resolve(url_out->host, &url_out->address);
}
