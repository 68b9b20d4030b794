/* tls_layer.h: TLS for ws_client by OpenSSL, so that the peer of our wolfSSL is somebody else's;
 * and certificates to serve.
 *
 * Thread: each client one at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_INTEGRATION_TLS_LAYER_H
#define TESTS_INTEGRATION_TLS_LAYER_H

#include "support/ws_client.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* The layer: set ws_client_layer to it, and every client that connects speaks TLS. */
extern const struct ws_client_layer tls_layer;

/* The client's context, made on first use: TLS 1.2 and 1.3, any certificate is good. To be changed
 * before a client connects: versions, a certificate to show. */
SSL_CTX *tls_layer_context(void);

/* A client's TLS session; to be asked what it got. */
SSL *tls_layer_of(struct ws_client *client);

/* For clients that connect from now on; NULL or 0 for as usual: the name they ask for (SNI), the
 * session they resume, the most octets that one write to the socket has. */
void tls_ask_for(const char *name);
void tls_resume(SSL_SESSION *session);
void tls_split(size_t bytes);

/* Sends a ClientHello on a socket, and leaves it at that. */
void tls_half_handshake(int fd);

/* Writes a certificate for `name` and its key into files that the process removes at its end.
 *
 * issuer       a certificate made here signs it; NULL: it signs itself
 */
struct tls_files {
    char certificate[64];
    char key[64];
};
void tls_files_make(struct tls_files *files, const char *name, const struct tls_files *issuer);

/* The same, valid between two moments, seconds from now. */
void tls_files_make_between(struct tls_files *files, const char *name,
                            const struct tls_files *issuer, long from_seconds, long to_seconds);

/* Makes the files of `from` those of `to`, as a renewal does. */
void tls_files_replace(const struct tls_files *from, const struct tls_files *to);

/* The common name of the certificate that a client was shown. */
void tls_shown_name(struct ws_client *client, char *name, size_t name_bytes);

#endif
