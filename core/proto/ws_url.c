/* ws_url.c: see ws_url.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/ws_url.h"

#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>

/* RFC 3986: unreserved, sub-delims, and what may stand in a path or query besides. */
static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
static const char target_marks[] = "-._~!$&'()*+,;=:@/?";
/* What a sockaddr_un's path has room for, its terminator not counted. */
#define LOCAL_PATH_BYTES_MAX 107

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* strchr finds the terminator, too. */
static bool stands_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool target_valid(const char *target)
{
    for (const char *at = target; *at != '\0'; at++) {
        if (*at == '%') {
            if (!is_hex(at[1]) || !is_hex(at[2]))
                return false;
            at += 2;
        } else if (!stands_in(*at, letters) && !stands_in(*at, target_marks)) {
            return false;
        }
    }
    return true;
}

/* A path, a query without a path, or nothing, which is "/". */
static int take_target(const char *text, struct fw_ws_url *url)
{
    if (!target_valid(text) || (*text != '\0' && *text != '/' && *text != '?'))
        return FW_ERR_URL;
    snprintf(url->target, sizeof url->target, "%s%s", *text == '/' ? "" : "/", text);
    return 0;
}

/* The octets of a host that begins the text; 0 when it is none. Brackets count. */
static size_t host_span(const char *text)
{
    if (*text != '[') {
        size_t count = strspn(text, letters);
        while (text[count] == '-' || text[count] == '.' || text[count] == '_') {
            count++;
            count += strspn(text + count, letters);
        }
        return count;
    }
    size_t count = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
    return count > 2 && text[count] == ']' ? count + 1 : 0;
}

/* A port of 1 to 65535 behind a colon, or none.
 *
 * returns      octets consumed, or -1
 */
static int take_port(const char *text, unsigned standard, unsigned *port_out)
{
    *port_out = standard;
    if (*text != ':')
        return 0;
    size_t digits = strspn(text + 1, "0123456789");
    if (digits == 0 || digits > 5 || text[1] == '0')
        return -1;
    unsigned port = 0;
    for (size_t i = 1; i <= digits; i++)
        port = port * 10 + (unsigned)(text[i] - '0');
    *port_out = port;
    return port > 65535 ? -1 : (int)digits + 1;
}

/* Without brackets, and without the dot of a name that is whole as it stands: neither a certificate
 * nor SNI has it (RFC 6066, section 3). */
static void take_name(const char *host, size_t host_bytes, struct fw_ws_url *url)
{
    if (*host == '[') {
        host++;
        host_bytes -= 2;
    } else if (host[host_bytes - 1] == '.') {
        host_bytes--;
    }
    snprintf(url->name, sizeof url->name, "%.*s", (int)host_bytes, host);
}

static int parse_internet(const char *text, struct fw_ws_url *url)
{
    const unsigned standard = url->secure ? 443 : 80;
    size_t host_bytes = host_span(text);
    if (host_bytes == 0 || host_bytes > FW_WS_URL_HOST_BYTES_MAX || *text == '.' || *text == '-')
        return FW_ERR_URL;
    unsigned port;
    int port_bytes = take_port(text + host_bytes, standard, &port);
    if (port_bytes < 0)
        return FW_ERR_URL;
    snprintf(url->address, sizeof url->address, "%.*s:%u", (int)host_bytes, text, port);
    int cut = port == standard ? (int)host_bytes : (int)strlen(url->address);
    snprintf(url->host, sizeof url->host, "%.*s", cut, url->address);
    take_name(text, host_bytes, url);
    return take_target(text + host_bytes + port_bytes, url);
}

/* The path ends at a colon that a target follows. */
static int parse_local(const char *path, struct fw_ws_url *url)
{
    const char *colon = strstr(path, ":/");
    size_t path_bytes = colon == NULL ? strlen(path) : (size_t)(colon - path);
    if (*path != '/' || path_bytes < 2 || path_bytes > LOCAL_PATH_BYTES_MAX)
        return FW_ERR_URL;
    url->local = true;
    snprintf(url->address, sizeof url->address, "unix:%.*s", (int)path_bytes, path);
    snprintf(url->host, sizeof url->host, "localhost");
    snprintf(url->name, sizeof url->name, "localhost");
    return take_target(colon == NULL ? "" : colon + 1, url);
}

/* Schemes are compared without regard to case (RFC 3986, section 3.1).
 *
 * scheme       lower case
 */
static const char *behind(const char *text, const char *scheme)
{
    for (; *scheme != '\0'; scheme++, text++) {
        char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        if (c != *scheme)
            return NULL;
    }
    return text;
}

int fw_ws_url_parse(const char *text, struct fw_ws_url *url_out)
{
    struct fw_ws_url url = {.secure = false};
    const char *rest;
    int status = FW_ERR_URL;
    if (text == NULL || strnlen(text, FW_WS_URL_BYTES_MAX + 1) > FW_WS_URL_BYTES_MAX)
        return status;
    if ((rest = behind(text, "ws://")) != NULL) {
        status = parse_internet(rest, &url);
    } else if ((rest = behind(text, "wss://")) != NULL) {
        url.secure = true;
        status = parse_internet(rest, &url);
    } else if ((rest = behind(text, "unix:")) != NULL) {
        status = parse_local(rest, &url);
    }
    if (status == 0)
        *url_out = url;
    return status;
}
