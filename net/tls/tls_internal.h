/* tls_internal.h: what the files of net/tls share among themselves; nobody else includes it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_TLS_INTERNAL_H
#define FW_NET_TLS_INTERNAL_H

#include "net/tls/tls.h"
#include "net/tls/tls_guard.h"
#include "net/tls/tls_libcrypto.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/error-ssl.h>

#include <stdatomic.h>

#if !defined(WOLFSSL_TLS13) || !defined(HAVE_SNI) || !defined(HAVE_ALPN) ||                        \
    !defined(HAVE_SESSION_TICKET) || !defined(HAVE_AESGCM) || !defined(HAVE_ECC)
#error "this wolfSSL lacks what Fanwire needs: TLS 1.3, SNI, ALPN, session tickets, AES-GCM, ECC"
#endif
#ifndef WOLFSSL_ALWAYS_VERIFY_CB
#error                                                                                             \
    "wolfSSL must be built with WOLFSSL_ALWAYS_VERIFY_CB: the second look at certificates needs it"
#endif

#ifndef FW_WOLFSSL_LIBCRYPTO
static_assert(FW_TLS_DEVICE == INVALID_DEVID, "without libcrypto there is no device");
#endif

/* One certificate with its key, and the names it serves. */
struct fw_tls_identity {
    WOLFSSL_CTX *ctx;
    char *names; /* names_count strings, lower case, one behind the other */
    unsigned names_count;
};

struct fw_tls_context {
    _Atomic uint32_t references;
    enum fw_tls_role role;
    bool checks_peer;
    char alpn[32]; /* "" for none */
    struct fw_tls_tickets *tickets;
    /* Holds the trusted CAs a second time. No handshake runs in it, so no peer's chain can add to
     * its store, as it does to the store of the ctx that it shook hands with. */
    WOLFSSL_CTX *roots;
    unsigned identities_count;
    struct fw_tls_identity identities[];
};

struct fw_tls {
    WOLFSSL *ssl;
    struct fw_tls_context *context;
    struct fw_tls_sink *sink; /* while a call with a sink runs */

    const uint8_t *input; /* whole and cut records that were not begun yet: lent, or in `kept` */
    size_t input_bytes;
    uint8_t *kept;         /* our copy of what was lent, until it is used */
    const uint8_t *record; /* what wolfSSL reads from: the rest of one whole record */
    size_t record_bytes;
    uint8_t *stash; /* a ClientHello that grows, or a record that was cut */
    uint32_t stash_bytes;
    uint32_t stash_capacity;

    struct fw_tls_guard guard;
    uint8_t state;      /* enum fw_tls_state */
    uint32_t cut_bytes; /* of the record in the stash, once its header is judged; else 0 */
    bool peer_checked;
    bool session_checked; /* client: it was when the session that is resumed was made */
    bool ended;           /* we said close_notify */
    uint8_t alert_owed;   /* to a peer that was refused before it had a session; 0 for none */
    int16_t alert;        /* the peer's fatal alert, -1 for none */
    int status;           /* of FW_TLS_FAILED */
    int library_error;    /* wolfSSL's, for fw_tls_why */
    int peer_status;      /* what the certificate callback found */
    uint16_t record_plain_max;

    char *host;         /* client: who it must be; server: SNI */
    char *peer_subject; /* RFC 4514 */
};

struct fw_tls_session {
    WOLFSSL_SESSION *session;
    bool peer_checked; /* else it is no proof for a client that checks */
    char host[];
};

/* ---- tls_library.c ---- */

/* Starts wolfSSL, until it has: allocators, crypto device. 0 or FW_ERR_TLS_LIBRARY. */
int fw_tls_library_start(void);

/* ---- tls_status.c ---- */

/* The status for an error of wolfSSL's. */
int fw_tls_status_of(int library_error);

/* ---- tls_peer.c ---- */

/* wolfSSL's verify callback; its userCtx is the struct fw_tls. */
int fw_tls_peer_verify(int preverified, WOLFSSL_X509_STORE_CTX *store);

/* ---- tls_ticket.c ---- */

/* wolfSSL's ticket callback; its context is the struct fw_tls_tickets. */
int fw_tls_ticket_seal(WOLFSSL *ssl, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                       unsigned char iv[WOLFSSL_TICKET_IV_SZ],
                       unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int encrypt, unsigned char *ticket,
                       int ticket_bytes, int *sealed_bytes, void *tickets);

/* ---- tls_context.c ---- */

/* The identity for a server name; the first when there is none for it or `host` is NULL. */
struct fw_tls_identity *fw_tls_context_choose(struct fw_tls_context *context, const char *host);

/* ---- tls_rehearsal.c ---- */

/* Shakes hands with itself, to see whether a server's key belongs to its certificate.
 *
 * server_ctx   a ctx of its own, with nothing but the two in it
 * errors       FW_ERR_TLS_KEY_MISMATCH, -ENOMEM
 */
int fw_tls_rehearse(WOLFSSL_CTX *server_ctx);

/* ---- tls_wolfssl.c ---- */

/* The callback for wolfSSL_CTX_SetIORecv: gives wolfSSL the record that was opened for it. */
int fw_tls_io_receive(WOLFSSL *ssl, char *bytes, int bytes_count, void *tls);

/* Fails a connection for good; returns `status`. */
int fw_tls_fail(struct fw_tls *tls, int status);

/* Fails it for an error of wolfSSL's; returns the clearest status there is. */
int fw_tls_fail_library(struct fw_tls *tls, int library_error);

/* ---- tls_send.c ---- */

/* The callback for wolfSSL_CTX_SetIOSend: appends to the sink of the call that runs. */
int fw_tls_io_send(WOLFSSL *ssl, char *bytes, int bytes_count, void *tls);

/* Whether there is room for `more` bytes, or can be made. */
bool fw_tls_sink_reserve(struct fw_tls_sink *sink, size_t more);

#endif
