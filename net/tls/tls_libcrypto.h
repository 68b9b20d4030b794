/* tls_libcrypto.h: libcrypto as wolfSSL's crypto device. The one file behind it cannot see
 * wolfSSL's TLS headers, whose OpenSSL layer takes the names of the real one; so this is apart.
 *
 * Thread: any, where not said.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_TLS_LIBCRYPTO_H
#define FW_NET_TLS_LIBCRYPTO_H

/* The number of the device, or none (wolfSSL's INVALID_DEVID). */
#ifdef FW_WOLFSSL_LIBCRYPTO
#define FW_TLS_DEVICE 0x4657
#else
#define FW_TLS_DEVICE (-2)
#endif

/* Registers the device. 0 or FW_ERR_TLS_LIBRARY. */
int fw_tls_libcrypto_start(void);

/* Frees what the calling thread's records needed. */
void fw_tls_libcrypto_thread_stop(void);

/* "OpenSSL 3.0.19 ..."; NULL when libcrypto is not used. */
const char *fw_tls_libcrypto_version(void);

#endif
