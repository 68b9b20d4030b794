/* tls_ipsec_mb.h: libIPSec_MB as wolfSSL's crypto device for the AES-GCM of large records.
 *
 * Thread: any, where not said.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_TLS_IPSEC_MB_H
#define FW_NET_TLS_IPSEC_MB_H

struct WOLFSSL;

/* wolfSSL's number for the device. */
#define FW_TLS_IPSEC_MB_DEVICE 0x4658

/* Registers the device where the processor has VAES; elsewhere wolfSSL does it all. 0 or
 * FW_ERR_TLS_LIBRARY. */
int fw_tls_ipsec_mb_start(void);

/* Lets the device serve the records of keys that are set from now on. */
void fw_tls_ipsec_mb_serve(struct WOLFSSL *ssl);

/* Wipes the keys that the calling thread's records had. */
void fw_tls_ipsec_mb_thread_stop(void);

/* "1.3.0"; NULL when it does not serve. After the start. */
const char *fw_tls_ipsec_mb_version(void);

#endif
