/* tls_rehearsal.c: a handshake with ourselves, before anybody else sees the certificate.
 *
 * Whether a key belongs to its certificate is a question that some wolfSSLs answer with yes
 * whatever is asked. A client cannot be deceived: the server's signature is checked with the
 * certificate's key. So a server with the pair shakes hands with a client that checks nothing else,
 * in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "net/tls/tls_internal.h"

#include <errno.h>

/* A flight with the longest chain that anybody sends. */
#define QUEUE_BYTES 65536

/* A handshake takes two turns of each side; more is not going to end. */
#define TURNS_MAX 8

struct queue {
    size_t at;
    size_t count;
    uint8_t bytes[QUEUE_BYTES];
};

/* Each side reads from one queue and writes to the other. */
struct wire {
    struct queue *in;
    struct queue *out;
};

struct stage {
    struct queue to_server;
    struct queue to_client;
    struct wire server;
    struct wire client;
};

static int receive(WOLFSSL *ssl, char *bytes, int bytes_count, void *context)
{
    (void)ssl;
    struct queue *queue = ((struct wire *)context)->in;
    size_t left = queue->count - queue->at;
    size_t count = (size_t)bytes_count < left ? (size_t)bytes_count : left;
    if (count == 0)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    memcpy(bytes, queue->bytes + queue->at, count);
    queue->at += count;
    return (int)count;
}

static int deliver(WOLFSSL *ssl, char *bytes, int bytes_count, void *context)
{
    (void)ssl;
    struct queue *queue = ((struct wire *)context)->out;
    if ((size_t)bytes_count > QUEUE_BYTES - queue->count)
        return WOLFSSL_CBIO_ERR_GENERAL;
    memcpy(queue->bytes + queue->count, bytes, (size_t)bytes_count);
    queue->count += (size_t)bytes_count;
    return bytes_count;
}

static WOLFSSL *open_side(WOLFSSL_CTX *ctx, struct wire *wire)
{
    wolfSSL_CTX_SetIORecv(ctx, receive);
    wolfSSL_CTX_SetIOSend(ctx, deliver);
    WOLFSSL *ssl = wolfSSL_new(ctx);
    if (ssl != NULL) {
        wolfSSL_SetIOReadCtx(ssl, wire);
        wolfSSL_SetIOWriteCtx(ssl, wire);
    }
    return ssl;
}

/* One side's turn: 1 when it is done, 0 when it waits, or why it failed. */
static int take_turn(WOLFSSL *ssl, int (*go_on)(WOLFSSL *))
{
    int result = go_on(ssl);
    if (result == WOLFSSL_SUCCESS)
        return 1;
    int error = wolfSSL_get_error(ssl, result);
    if (error == WOLFSSL_ERROR_WANT_READ)
        return 0;
    return fw_tls_status_of(error) == -ENOMEM ? -ENOMEM : FW_ERR_TLS_KEY_MISMATCH;
}

static int shake(WOLFSSL *server, WOLFSSL *client)
{
    int served = 0;
    int connected = 0;
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        if (connected == 0)
            connected = take_turn(client, wolfSSL_connect);
        if (served == 0)
            served = take_turn(server, wolfSSL_accept);
        if (connected < 0 || served < 0)
            return served < 0 ? served : connected;
        if (connected > 0 && served > 0)
            return 0;
    }
    return FW_ERR_TLS_KEY_MISMATCH;
}

static int rehearse_on(struct stage *stage, WOLFSSL_CTX *server_ctx, WOLFSSL_CTX *client_ctx)
{
    stage->server = (struct wire){&stage->to_server, &stage->to_client};
    stage->client = (struct wire){&stage->to_client, &stage->to_server};
    wolfSSL_CTX_set_verify(client_ctx, WOLFSSL_VERIFY_NONE, NULL);
    WOLFSSL *server = open_side(server_ctx, &stage->server);
    WOLFSSL *client = open_side(client_ctx, &stage->client);
    int status = -ENOMEM;
    if (server != NULL && client != NULL)
        status = shake(server, client);
    wolfSSL_free(server);
    wolfSSL_free(client);
    return status;
}

int fw_tls_rehearse(WOLFSSL_CTX *server_ctx)
{
    struct stage *stage = fw_mem_zero(sizeof *stage);
    WOLFSSL_CTX *client_ctx = wolfSSL_CTX_new(wolfSSLv23_client_method());
    int status = -ENOMEM;
    if (stage != NULL && client_ctx != NULL)
        status = rehearse_on(stage, server_ctx, client_ctx);
    wolfSSL_CTX_free(client_ctx);
    fw_mem_free(stage);
    return status;
}
