/* tls_libcrypto.c: libcrypto as wolfSSL's crypto device, for wolfSSLs without hardware AES.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_internal.h"

#ifdef FW_WOLFSSL_LIBCRYPTO
#error later
#else

int fw_tls_libcrypto_start(void)
{
    return 0;
}

const char *fw_tls_libcrypto_version(void)
{
    return NULL;
}

#endif
