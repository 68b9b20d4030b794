/* tls_self_signed.c: a certificate for trying out, made in memory and gone with the process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "net/tls/tls_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>

#if defined(WOLFSSL_CERT_GEN) && defined(WOLFSSL_KEY_GEN) && defined(WOLFSSL_ALT_NAMES)

#define DAYS_MAX   90
#define P256_BYTES 32

/* GeneralNames ::= SEQUENCE OF GeneralName (RFC 5280, section 4.2.1.6). */
#define DER_SEQUENCE              0x30
#define SEQUENCE_HEADER_BYTES_MAX 4
#define NAME_HEADER_BYTES         2
#define NAME_DNS                  0x82
#define NAME_ADDRESS              0x87
static_assert(FW_TLS_SELF_SIGNED_HOST_CHARS_MAX < 128, "a name's length fits the short form");
static_assert(FW_TLS_SELF_SIGNED_HOST_CHARS_MAX < CTC_NAME_SIZE, "and a subject");

/* The big things, off the stack: a Cert alone has 16 KB for names. */
struct work {
    Cert cert;
    ecc_key key;
    WC_RNG rng;
};

/* Writes one name or address as a GeneralName; its bytes, or 0 when it is neither. */
static size_t write_name(const char *host, uint8_t *out)
{
    uint8_t *content = out + NAME_HEADER_BYTES;
    size_t bytes = strlen(host);
    out[0] = NAME_ADDRESS;
    if (inet_pton(AF_INET, host, content) == 1) {
        bytes = 4;
    } else if (inet_pton(AF_INET6, host, content) == 1) {
        bytes = 16;
    } else {
        if (bytes == 0 || bytes > FW_TLS_SELF_SIGNED_HOST_CHARS_MAX)
            return 0;
        out[0] = NAME_DNS;
        memcpy(content, host, bytes);
    }
    out[1] = (uint8_t)bytes;
    return NAME_HEADER_BYTES + bytes;
}

/* Writes a sequence's tag and its length in the shortest form, as DER demands; the header's bytes.
 */
static size_t write_sequence_header(size_t content_bytes, uint8_t *out)
{
    size_t at = 0;
    out[at++] = DER_SEQUENCE;
    if (content_bytes > 0xff)
        out[at++] = 0x82;
    else if (content_bytes > 0x7f)
        out[at++] = 0x81;
    if (content_bytes > 0xff)
        out[at++] = (uint8_t)(content_bytes >> 8);
    out[at++] = (uint8_t)content_bytes;
    return at;
}

static int write_names(const char *const *hosts, unsigned hosts_count, Cert *cert)
{
    uint8_t names[FW_TLS_SELF_SIGNED_HOSTS_MAX *
                  (NAME_HEADER_BYTES + FW_TLS_SELF_SIGNED_HOST_CHARS_MAX)];
    static_assert(SEQUENCE_HEADER_BYTES_MAX + sizeof names <= sizeof cert->altNames, "they fit");
    size_t names_bytes = 0;
    for (unsigned i = 0; i < hosts_count; i++) {
        size_t bytes = write_name(hosts[i], names + names_bytes);
        if (bytes == 0)
            return FW_ERR_USAGE;
        names_bytes += bytes;
    }
    size_t header_bytes = write_sequence_header(names_bytes, cert->altNames);
    memcpy(cert->altNames + header_bytes, names, names_bytes);
    cert->altNamesSz = (int)(header_bytes + names_bytes);
    return 0;
}

static int fill_certificate(const char *const *hosts, unsigned hosts_count, unsigned days,
                            Cert *cert)
{
    if (wc_InitCert(cert) != 0)
        return FW_ERR_TLS_LIBRARY;
    cert->sigType = CTC_SHA256wECDSA;
    cert->daysValid = (int)days;
    cert->selfSigned = 1;
    size_t chars = strlen(hosts[0]);
    if (chars > FW_TLS_SELF_SIGNED_HOST_CHARS_MAX)
        return FW_ERR_USAGE;
    memcpy(cert->subject.commonName, hosts[0], chars + 1);
    memcpy(cert->subject.org, "Fanwire throw-away", sizeof "Fanwire throw-away");
    return write_names(hosts, hosts_count, cert);
}

static int status_of(int library_result)
{
    return library_result == MEMORY_E ? -ENOMEM : FW_ERR_TLS_LIBRARY;
}

/* Makes the key, writes the certificate and signs it. */
static int make(struct work *work, struct fw_tls_self_signed *self)
{
    int result = wc_ecc_make_key_ex(&work->rng, P256_BYTES, &work->key, ECC_SECP256R1);
    if (result != 0)
        return status_of(result);
    result = wc_MakeCert_ex(&work->cert, self->certificate, sizeof self->certificate, ECC_TYPE,
                            &work->key, &work->rng);
    if (result < 0)
        return status_of(result);
    result = wc_SignCert_ex(work->cert.bodySz, work->cert.sigType, self->certificate,
                            sizeof self->certificate, ECC_TYPE, &work->key, &work->rng);
    if (result < 0)
        return status_of(result);
    self->certificate_bytes = (size_t)result;
    result = wc_EccKeyToDer(&work->key, self->key, sizeof self->key);
    if (result < 0)
        return status_of(result);
    self->key_bytes = (size_t)result;
    return 0;
}

static int write_fingerprint(struct fw_tls_self_signed *self)
{
    uint8_t digest[WC_SHA256_DIGEST_SIZE];
    if (wc_Sha256Hash(self->certificate, (word32)self->certificate_bytes, digest) != 0)
        return FW_ERR_TLS_LIBRARY;
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < sizeof digest; i++) {
        self->fingerprint[3 * i] = digits[digest[i] >> 4];
        self->fingerprint[3 * i + 1] = digits[digest[i] & 15];
        self->fingerprint[3 * i + 2] = ':';
    }
    self->fingerprint[sizeof self->fingerprint - 1] = '\0';
    return 0;
}

/* Begins and ends the key and the generator around the making. */
static int make_with(struct work *work, struct fw_tls_self_signed *self)
{
    int result = wc_InitRng_ex(&work->rng, NULL, FW_TLS_DEVICE);
    if (result != 0)
        return status_of(result);
    int status = FW_ERR_TLS_LIBRARY;
    result = wc_ecc_init_ex(&work->key, NULL, FW_TLS_DEVICE);
    if (result == 0) {
        status = make(work, self);
        wc_ecc_free(&work->key);
    }
    wc_FreeRng(&work->rng);
    return status == 0 ? write_fingerprint(self) : status;
}

int fw_tls_self_sign(const char *const *hosts, unsigned hosts_count, unsigned days,
                     struct fw_tls_self_signed *self_out)
{
    if (hosts_count == 0 || hosts_count > FW_TLS_SELF_SIGNED_HOSTS_MAX || days == 0 ||
        days > DAYS_MAX)
        return FW_ERR_USAGE;
    int status = fw_tls_library_start();
    if (status != 0)
        return status;
    struct work *work = fw_mem_zero(sizeof *work);
    if (work == NULL)
        return -ENOMEM;
    status = fill_certificate(hosts, hosts_count, days, &work->cert);
    if (status == 0)
        status = make_with(work, self_out);
    explicit_bzero(work, sizeof *work);
    fw_mem_free(work);
    if (status != 0)
        fw_tls_self_signed_clear(self_out);
    return status;
}

#else /* this wolfSSL cannot write certificates */

int fw_tls_self_sign(const char *const *hosts, unsigned hosts_count, unsigned days,
                     struct fw_tls_self_signed *self_out)
{
    (void)hosts;
    (void)hosts_count;
    (void)days;
    (void)self_out;
    return FW_ERR_TLS_LIBRARY;
}

#endif

void fw_tls_self_signed_clear(struct fw_tls_self_signed *self)
{
    explicit_bzero(self, sizeof *self);
}
