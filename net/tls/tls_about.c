/* tls_about.c: what a connection negotiated, what it costs, and what a client keeps of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "net/tls/tls_internal.h"

#include <errno.h>
#include <malloc.h>

/* A client's ticket; larger ones are not worth keeping. */
#define TICKET_BYTES_MAX 4096

const char *fw_tls_server_name(const struct fw_tls *tls)
{
    return tls->host;
}

const char *fw_tls_alpn(const struct fw_tls *tls)
{
    char *name = NULL;
    unsigned short bytes = 0;
    if (tls->ssl == NULL || wolfSSL_ALPN_GetProtocol(tls->ssl, &name, &bytes) != WOLFSSL_SUCCESS)
        return NULL;
    /* There is one protocol that it can be; the context's own string lives longer. */
    return bytes > 0 ? tls->context->alpn : NULL;
}

const char *fw_tls_peer_subject(const struct fw_tls *tls)
{
    return tls->peer_subject;
}

const char *fw_tls_version(const struct fw_tls *tls)
{
    return tls->ssl != NULL ? wolfSSL_get_version(tls->ssl) : NULL;
}

const char *fw_tls_cipher(const struct fw_tls *tls)
{
    return tls->ssl != NULL ? wolfSSL_get_cipher_name(tls->ssl) : NULL;
}

bool fw_tls_resumed(const struct fw_tls *tls)
{
    return tls->ssl != NULL && wolfSSL_session_reused(tls->ssl) != 0;
}

size_t fw_tls_bytes(const struct fw_tls *tls)
{
    size_t bytes = malloc_usable_size((void *)(uintptr_t)tls);
    if (tls->stash != NULL)
        bytes += malloc_usable_size(tls->stash);
    if (tls->host != NULL)
        bytes += malloc_usable_size(tls->host);
    if (tls->peer_subject != NULL)
        bytes += malloc_usable_size(tls->peer_subject);
    return bytes;
}

static bool has_ticket(struct fw_tls *tls)
{
    unsigned char ticket[TICKET_BYTES_MAX];
    word32 bytes = sizeof ticket;
    return wolfSSL_get_SessionTicket(tls->ssl, ticket, &bytes) == WOLFSSL_SUCCESS && bytes > 0;
}

int fw_tls_session_save(struct fw_tls *tls, struct fw_tls_session **session_out)
{
    if ((tls->state != FW_TLS_OPEN && tls->state != FW_TLS_CLOSED) || !has_ticket(tls))
        return FW_ERR_ABSENT;
    const char *host = tls->host != NULL ? tls->host : "";
    struct fw_tls_session *session = fw_mem_alloc(sizeof *session + strlen(host) + 1);
    if (session == NULL)
        return -ENOMEM;
    session->session = wolfSSL_get1_session(tls->ssl);
    if (session->session == NULL) {
        fw_mem_free(session);
        return FW_ERR_ABSENT;
    }
    session->peer_checked = tls->peer_checked;
    memcpy(session->host, host, strlen(host) + 1);
    *session_out = session;
    return 0;
}

void fw_tls_session_destroy(struct fw_tls_session *session)
{
    if (session == NULL)
        return;
    wolfSSL_SESSION_free(session->session);
    fw_mem_free(session);
}
