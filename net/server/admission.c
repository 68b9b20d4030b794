/* admission.c: whether a client may connect: by its own address, or by the one that a proxy of ours
 * tells of it, in a PROXY header or in a request's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/server_impl.h"

#include "proto/proxy_header.h"
#include "session/request.h"

#include <string.h>

static inline struct fw_conn *conn_of(struct fw_session *session)
{
    return (struct fw_conn *)(void *)session;
}

static void count_one(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

bool fw_server_admit(struct fw_server *server, struct fw_log *log, uint64_t now_ms,
                     const struct sockaddr *client, socklen_t client_bytes, uint32_t *index_out)
{
    struct fw_peers *peers = &server->peers;
    char text[FW_SOCK_TEXT_BYTES];
    enum fw_peer_verdict verdict = fw_peers_admit(peers, client, now_ms, index_out);
    if (verdict == FW_PEER_WELCOME)
        return true;
    fw_sock_address_text(client, client_bytes, text, sizeof text);
    if (verdict == FW_PEER_HAS_TOO_MANY) {
        count_one(&server->acceptor.address_full);
        fw_log_peer(log, now_ms, FW_LOG_WARN,
                    "a connection of %s was dropped: its address has %u already", text,
                    peers->open_max);
    } else {
        count_one(&server->acceptor.address_fast);
        fw_log_peer(log, now_ms, FW_LOG_WARN,
                    "a connection of %s was dropped: its address comes faster than %u a second",
                    text, peers->rate);
    }
    return false;
}

bool fw_server_trusts(const struct fw_server *server, const struct sockaddr *peer)
{
    struct in6_addr address;
    if (peer->sa_family == AF_UNIX)
        return server->proxies.local;
    return server->proxies.count > 0 && fw_address_map(peer, &address) &&
           fw_proxies_have(&server->proxies, &address);
}

/* Counts a connection, whose own address is a proxy's, for its client's; false: it may not stay. */
static bool count_for(struct fw_worker *worker, struct fw_conn *conn,
                      const struct in6_addr *address, uint16_t port)
{
    struct fw_server *server = worker->server;
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } client = {.six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *address}};
    socklen_t bytes = sizeof client.six;
    uint32_t index;
    if (IN6_IS_ADDR_V4MAPPED(address)) { /* the log writes it as everybody knows it */
        client.four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&client.four.sin_addr, address->s6_addr + 12, 4);
        bytes = sizeof client.four;
    }
    if (!fw_server_admit(server, &worker->log, worker->conns.host.now_ms, &client.any, bytes,
                         &index))
        return false;
    fw_peers_left(&server->peers, conn->tag & FW_TAG_ADDRESS);
    conn->tag = (conn->tag & ~FW_TAG_ADDRESS) | index;
    return true;
}

/* A connection whose PROXY header names another proxy of ours has its client in its requests. */
bool fw_worker_told(void *owner, struct fw_conn *conn, const struct fw_proxy_client *client)
{
    struct fw_worker *worker = owner;
    struct in6_addr address;
    memcpy(&address, client->address, sizeof address);
    if (fw_proxies_have(&worker->server->proxies, &address))
        return true;
    conn->tag &= ~FW_TAG_PROXY;
    return count_for(worker, conn, &address, client->port);
}

bool fw_worker_admit(struct fw_session *session, const struct fw_request *request)
{
    struct fw_worker *worker = (struct fw_worker *)(void *)session->host;
    struct fw_server *server = worker->server;
    struct fw_conn *conn = conn_of(session);
    struct in6_addr client;
    if ((conn->tag & FW_TAG_PROXY) == 0 ||
        !fw_forwarded_client(&server->proxies, server->options.proxy_header, request->head,
                             request->bytes, &client))
        return true;
    return count_for(worker, conn, &client, 0);
}
