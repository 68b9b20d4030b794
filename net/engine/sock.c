/* sock.c: addresses as text, and listening sockets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fanwire/status.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name of the domain name system as text (RFC 1035, section 2.3.4), without the last dot. */
#define HOST_BYTES_MAX 253

static const char local_prefix[] = "unix:";

/* ---- text to address ------------------------------------------------------------------------- */

/* The text of an internet address, cut at its last colon. */
struct parts {
    char host[HOST_BYTES_MAX + 1];
    in_port_t port; /* in network order */
    bool bracketed;
};

static int parse_port(const char *text, in_port_t *port_out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0' || (text[0] == '0' && digits > 1))
        return FW_ERR_ADDRESS;
    unsigned port = 0;
    for (size_t i = 0; i < digits; i++)
        port = port * 10 + (unsigned)(text[i] - '0');
    if (port > UINT16_MAX)
        return FW_ERR_ADDRESS;
    *port_out = htons((uint16_t)port);
    return 0;
}

static int cut(const char *text, struct parts *parts_out)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return FW_ERR_ADDRESS;
    const char *host = text;
    size_t host_bytes = (size_t)(colon - text);
    parts_out->bracketed = host_bytes >= 2 && host[0] == '[' && host[host_bytes - 1] == ']';
    if (parts_out->bracketed) {
        host++;
        host_bytes -= 2;
    }
    if (host_bytes == 0 || host_bytes > HOST_BYTES_MAX)
        return FW_ERR_ADDRESS;
    memcpy(parts_out->host, host, host_bytes);
    parts_out->host[host_bytes] = '\0';
    return parse_port(colon + 1, &parts_out->port);
}

static int parse_local(const char *path, struct fw_sock_address *address_out)
{
    size_t path_bytes = strlen(path);
    if (path[0] != '/' || path_bytes >= sizeof address_out->at.local.sun_path)
        return FW_ERR_ADDRESS;
    address_out->at.local.sun_family = AF_UNIX;
    memcpy(address_out->at.local.sun_path, path, path_bytes + 1);
    address_out->bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes + 1);
    return 0;
}

/* Takes a host that needs no look-up. inet_pton takes neither the short forms of IPv4 ("127.1") nor
 * leading zeros, which some read as octal. */
static int parse_literal(const struct parts *parts, struct fw_sock_address *address_out)
{
    if (parts->bracketed) {
        if (inet_pton(AF_INET6, parts->host, &address_out->at.in6.sin6_addr) != 1)
            return FW_ERR_ADDRESS;
        address_out->at.in6.sin6_family = AF_INET6;
        address_out->at.in6.sin6_port = parts->port;
        address_out->bytes = sizeof address_out->at.in6;
        return 0;
    }
    const char *host = strcmp(parts->host, "localhost") == 0 ? "127.0.0.1" : parts->host;
    if (inet_pton(AF_INET, host, &address_out->at.in4.sin_addr) != 1)
        return FW_ERR_ADDRESS;
    address_out->at.in4.sin_family = AF_INET;
    address_out->at.in4.sin_port = parts->port;
    address_out->bytes = sizeof address_out->at.in4;
    return 0;
}

int fw_sock_address_parse(const char *text, struct fw_sock_address *address_out)
{
    struct parts parts;
    struct fw_sock_address address = {0};
    int status;
    if (strncmp(text, local_prefix, sizeof local_prefix - 1) == 0) {
        status = parse_local(text + sizeof local_prefix - 1, &address);
    } else {
        status = cut(text, &parts);
        if (status == 0)
            status = parse_literal(&parts, &address);
    }
    if (status == 0)
        *address_out = address;
    return status;
}

/* Letters, digits, hyphens and dots (RFC 1123, section 2.1), and no mistyped address: the resolver
 * would read "127.1", "0x7f.0.0.1" and "2130706433" its own way. */
static bool is_name(const char *host)
{
    struct in_addr ignored;
    if (inet_aton(host, &ignored) != 0)
        return false;
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    return host[strspn(host, allowed)] == '\0' && host[strspn(host, "0123456789.")] != '\0';
}

static int look_up_status(int result)
{
    switch (result) {
    case 0:
        return 0;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    default:
        return FW_ERR_ABSENT;
    }
}

static int look_up(const struct parts *parts, struct fw_sock_address *address_out)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int status = look_up_status(getaddrinfo(parts->host, NULL, &hints, &found));
    if (status != 0)
        return status;
    struct fw_sock_address address = {.bytes = found->ai_addrlen};
    memcpy(&address.at, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (address.at.any.sa_family == AF_INET6)
        address.at.in6.sin6_port = parts->port;
    else
        address.at.in4.sin_port = parts->port;
    *address_out = address;
    return 0;
}

int fw_sock_address_resolve(const char *text, struct fw_sock_address *address_out)
{
    struct parts parts;
    if (fw_sock_address_parse(text, address_out) == 0)
        return 0;
    if (strncmp(text, local_prefix, sizeof local_prefix - 1) == 0 || cut(text, &parts) != 0 ||
        parts.bracketed || !is_name(parts.host))
        return FW_ERR_ADDRESS;
    return look_up(&parts, address_out);
}

/* ---- address to text ------------------------------------------------------------------------- */

static void local_text(const struct sockaddr_un *address, socklen_t address_bytes, char *text,
                       size_t text_bytes)
{
    /* The kernel need not terminate a path, and gives no octet of it for a socket without a name.
     */
    const size_t path_at = offsetof(struct sockaddr_un, sun_path);
    size_t path_bytes_max = address_bytes > path_at ? address_bytes - path_at : 0;
    size_t path_bytes = strnlen(address->sun_path, path_bytes_max);
    snprintf(text, text_bytes, "%s%.*s", local_prefix, (int)path_bytes, address->sun_path);
}

void fw_sock_address_text(const struct sockaddr *address, socklen_t address_bytes, char *text,
                          size_t text_bytes)
{
    /* A copy, because what is pointed to need not be aligned for its family. */
    struct fw_sock_address copy = {.bytes = address_bytes};
    memcpy(&copy.at, address, address_bytes < sizeof copy.at ? address_bytes : sizeof copy.at);
    char host[INET6_ADDRSTRLEN] = "";
    if (copy.at.any.sa_family == AF_UNIX) {
        local_text(&copy.at.local, address_bytes, text, text_bytes);
    } else if (copy.at.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &copy.at.in6.sin6_addr, host, sizeof host);
        snprintf(text, text_bytes, "[%s]:%u", host, ntohs(copy.at.in6.sin6_port));
    } else if (copy.at.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &copy.at.in4.sin_addr, host, sizeof host);
        snprintf(text, text_bytes, "%s:%u", host, ntohs(copy.at.in4.sin_port));
    } else {
        snprintf(text, text_bytes, "family %u", copy.at.any.sa_family);
    }
}

bool fw_sock_address_is_local(const struct fw_sock_address *address)
{
    switch (address->at.any.sa_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(address->at.in4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&address->at.in6.sin6_addr);
    default:
        return false;
    }
}

int fw_sock_address_bound(int fd, struct fw_sock_address *address_out)
{
    *address_out = (struct fw_sock_address){.bytes = sizeof address_out->at};
    return getsockname(fd, &address_out->at.any, &address_out->bytes) == 0 ? 0 : -errno;
}

/* ---- listening ------------------------------------------------------------------------------- */

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

static int set_internet_options(int fd, int family, const struct fw_sock_listen_options *options)
{
    int status = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (status == 0)
        status = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (status == 0 && family == AF_INET6)
        status = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (status == 0 && options->reuse_port)
        status = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (status == 0 && options->user_timeout_ms > 0)
        status = set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout_ms);
    return status;
}

static int set_options(int fd, int family, const struct fw_sock_listen_options *options)
{
    int status = 0;
    if (family != AF_UNIX)
        status = set_internet_options(fd, family, options);
    if (status == 0 && options->send_buffer_bytes > 0)
        status = set_option(fd, SOL_SOCKET, SO_SNDBUF, options->send_buffer_bytes);
    if (status == 0 && options->receive_buffer_bytes > 0)
        status = set_option(fd, SOL_SOCKET, SO_RCVBUF, options->receive_buffer_bytes);
    return status;
}

/* Removes the socket that a dead server left at a path: one that refuses connections. A full
 * backlog (EAGAIN) is somebody, and so is anything else. */
static int remove_stale(const struct fw_sock_address *address)
{
    const char *path = address->at.local.sun_path;
    struct stat there;
    if (lstat(path, &there) != 0 || !S_ISSOCK(there.st_mode))
        return -EADDRINUSE;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    bool stale = connect(fd, &address->at.any, address->bytes) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!stale)
        return -EADDRINUSE;
    return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

static int bind_to(int fd, const struct fw_sock_address *address)
{
    int status = bind(fd, &address->at.any, address->bytes) == 0 ? 0 : -errno;
    if (status != -EADDRINUSE || address->at.any.sa_family != AF_UNIX)
        return status;
    status = remove_stale(address);
    if (status != 0)
        return status;
    return bind(fd, &address->at.any, address->bytes) == 0 ? 0 : -errno;
}

int fw_sock_listen(const struct fw_sock_address *address,
                   const struct fw_sock_listen_options *options, int *fd_out)
{
    static const struct fw_sock_listen_options none;
    if (options == NULL)
        options = &none;
    int family = address->at.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int backlog = options->backlog > 0 ? options->backlog : FW_SOCK_BACKLOG_MAX;
    int status = set_options(fd, family, options);
    if (status == 0)
        status = bind_to(fd, address);
    if (status == 0 && listen(fd, backlog) != 0)
        status = -errno;
    if (status != 0) {
        close(fd);
        return status;
    }
    *fd_out = fd;
    return 0;
}
