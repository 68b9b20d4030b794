/* tls_hello.h: a ClientHello, judged before a session is made for it (RFC 8446, section 4.1.2).
 *
 * Only what decides whether it is one, and the server name that chooses the certificate; all the
 * rest is wolfSSL's. Pure functions. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_TLS_HELLO_H
#define FW_NET_TLS_HELLO_H

#include "net/tls/tls.h"

/* Finds out whether a whole ClientHello stands at the start of a connection's bytes.
 *
 * in           in_bytes received so far, borrowed; may stop anywhere; a ClientHello may be spread
 *              over several records
 * host_out     written on success: the server name in lower case, "" when there is none
 * returns      bytes of the records that the ClientHello takes; 0 when more bytes are needed. An
 *              error that the bytes at hand already prove is returned at once.
 * errors       FW_ERR_TLS_NOT_TLS, FW_ERR_TLS_HELLO, FW_ERR_TLS_HELLO_TOO_LARGE; FW_ERR_TLS_CIPHER
 *              when it lists groups and none of ours
 * source       RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3
 */
ssize_t fw_tls_hello_check(const uint8_t *in, size_t in_bytes,
                           char host_out[FW_TLS_HOST_CHARS_MAX + 1]);

#endif
