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
    bool tls;
} schemes[] = {{"ws://", BENCH_WS, false},
               {"wss://", BENCH_WS, true},
               {"http://", BENCH_HTTP, false},
               {"https://", BENCH_HTTP, true},
               {"tcp://", BENCH_RAW, false}};

static const struct {
    const char *prefix;
    enum bench_dialect dialect;
} dialects[] = {{"nats+", BENCH_NATS}, {"socket.io+", BENCH_SOCKET_IO}};

/* Past the scheme; NULL when it is none of ours. */
static const char *read_scheme(const char *text, struct bench_url *url)
{
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
        size_t bytes = strlen(dialects[i].prefix);
        if (url->dialect == BENCH_BARE && strncmp(text, dialects[i].prefix, bytes) == 0) {
            url->dialect = dialects[i].dialect;
            text += bytes;
        }
    }
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t bytes = strlen(schemes[i].prefix);
        if (strncmp(text, schemes[i].prefix, bytes) == 0) {
            url->speech = schemes[i].speech;
            url->tls = schemes[i].tls;
            return url->dialect == BENCH_BARE || url->speech == BENCH_WS ? text + bytes : NULL;
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
    const char *at = read_scheme(text, url_out);
    if (at == NULL)
        return FW_ERR_ADDRESS;
    size_t host_bytes = strcspn(at, "/?");
    const char *path = at + host_bytes;
    if (host_bytes == 0 || host_bytes + 5 > sizeof url_out->host ||
        strlen(path) + 2 > sizeof url_out->path || !path_good(path) || memchr(at, '@', host_bytes))
        return FW_ERR_ADDRESS;
    memcpy(url_out->host, at, host_bytes);
    if (!has_port(url_out->host))
        strcat(url_out->host, url_out->tls ? ":443" : ":80");
    snprintf(url_out->path, sizeof url_out->path, "%s%s", *path == '?' ? "/" : "", path);
    return fw_sock_address_resolve(url_out->host, &url_out->address);
}

void bench_url_name(const struct bench_url *url, char *host_out)
{
    const char *host = url->host;
    size_t bytes = strcspn(host, ":");
    if (*host == '[')
        bytes = strcspn(++host, "]");
    memcpy(host_out, host, bytes);
    host_out[bytes] = '\0';
}
