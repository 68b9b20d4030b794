/* sock.h: addresses as people write them, and the sockets that listen on them.
 *
 * What a connection inherits from its listener (TCP_NODELAY, buffer sizes, the user timeout) is set
 * here once, and so costs no system call per connection. Moving bytes is the engine's (engine.h).
 *
 * thread: any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_SOCK_H
#define FW_NET_SOCK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct fw_sock_address {
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un local;
    } at;
    socklen_t bytes;
};

/* The longest address as text: "unix:", the 108 octets of a path, and the terminator. */
#define FW_SOCK_TEXT_BYTES 128

/* Connections that the kernel may queue for us; it takes the smaller of this and
 * net.core.somaxconn. Before Linux 4.1 it was 16 bits. */
#define FW_SOCK_BACKLOG_MAX 65535

/* Parses an address.
 *
 * text         "127.0.0.1:8080", "[::1]:8080", "localhost:8080" (127.0.0.1) or "unix:/path"; a port
 *              is 0 to 65535 in decimal, without leading zeros; a path is absolute
 * errors       FW_ERR_ADDRESS
 */
int fw_sock_address_parse(const char *text, struct fw_sock_address *address_out);

/* As fw_sock_address_parse, and looks up the names of other hosts, which may take seconds: for
 * start-up and for clients, never for an engine's thread.
 *
 * errors       FW_ERR_ADDRESS, FW_ERR_ABSENT when the name has no address, -EAGAIN when the
 * resolver does not answer, -ENOMEM
 */
int fw_sock_address_resolve(const char *text, struct fw_sock_address *address_out);

/* Writes an address as fw_sock_address_parse reads it; "unix:" for a socket without a name.
 *
 * text_bytes   FW_SOCK_TEXT_BYTES suffice always; a shorter text is cut
 */
void fw_sock_address_text(const struct sockaddr *address, socklen_t address_bytes, char *text,
                          size_t text_bytes);

/* Whether only this machine reaches the address: 127.0.0.0/8, ::1, or a path. */
bool fw_sock_address_is_local(const struct fw_sock_address *address);

/* The address that a socket is bound to; with port 0, this is where the port stands.
 *
 * errors       -errno
 */
int fw_sock_address_bound(int fd, struct fw_sock_address *address_out);

struct fw_sock_listen_options {
    int backlog;              /* 0: FW_SOCK_BACKLOG_MAX */
    int send_buffer_bytes;    /* of each connection; 0: the kernel tunes it */
    int receive_buffer_bytes; /* the same */
    int user_timeout_ms;      /* unacknowledged bytes for this long end a connection; 0: minutes */
    bool reuse_port;          /* other processes may listen on the same port */
};

/* Opens a listening socket: non-blocking, close-on-exec. An IPv6 address takes IPv6 only, whatever
 * the system's default. A path that a dead server left behind is taken over; one that somebody
 * listens on, or that is no socket, is not.
 *
 * options      NULL for all zeros
 * fd_out       gives the socket; closing it leaves a path in place, for the next start to take over
 * errors       -EADDRINUSE, -EACCES and what else socket, bind and listen say
 */
int fw_sock_listen(const struct fw_sock_address *address,
                   const struct fw_sock_listen_options *options, int *fd_out);

#endif
