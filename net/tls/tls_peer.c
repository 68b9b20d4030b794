/* tls_peer.c: whose certificate it is.
 *
 * wolfSSL verifies the chain; then its callback comes here, where the leaf is looked at a second
 * time: against a store of CAs that no handshake has touched, for the host that a client means, and
 * for the subject that a server's handler may ask for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "net/tls/tls_internal.h"
#include "net/tls/tls_names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <wolfssl/wolfcrypt/asn.h>

static struct fw_bytes certificate_at(const WOLFSSL_X509_STORE_CTX *store, int depth)
{
    return (struct fw_bytes){store->certs[depth].buffer, store->certs[depth].length};
}

static int verify_with(WOLFSSL_CERT_MANAGER *store, struct fw_bytes certificate)
{
    return wolfSSL_CertManagerVerifyBuffer(store, certificate.at, (long)certificate.count,
                                           WOLFSSL_FILETYPE_ASN1);
}

/* The chain once more, from its top, each link by the trusted CAs or by a link that held before it.
 *
 * wolfSSL's own walk adds the intermediates it has verified to the store of the ctx, which all
 * connections share, and let a leaf pass that carried a CA's names and another key
 * (CVE-2026-93302). This one starts from a clean store each time. */
static int verify_again(const struct fw_tls_context *context, const WOLFSSL_X509_STORE_CTX *store)
{
    WOLFSSL_CERT_MANAGER *roots = wolfSSL_CTX_GetCertManager(context->roots);
    WOLFSSL_CERT_MANAGER *links = wolfSSL_CertManagerNew();
    if (links == NULL)
        return -ENOMEM;
    int result = ASN_NO_SIGNER_E;
    for (int depth = store->totalCerts - 1; depth >= 0; depth--) {
        struct fw_bytes certificate = certificate_at(store, depth);
        result = verify_with(roots, certificate);
        if (result == ASN_NO_SIGNER_E || result == ASN_SELF_SIGNED_E)
            result = verify_with(links, certificate);
        if (result == WOLFSSL_SUCCESS && depth > 0)
            wolfSSL_CertManagerLoadCABuffer(links, certificate.at, (long)certificate.count,
                                            WOLFSSL_FILETYPE_ASN1);
    }
    wolfSSL_CertManagerFree(links);
    return result == WOLFSSL_SUCCESS ? 0 : fw_tls_status_of(result);
}

/* Reads a certificate without judging it. */
static int parse(DecodedCert *parsed, struct fw_bytes certificate)
{
    wc_InitDecodedCert(parsed, certificate.at, (word32)certificate.count, NULL);
    return wc_ParseCert(parsed, CERT_TYPE, NO_VERIFY, NULL);
}

/* An address stands in the certificate as 4 or 16 octets (RFC 5280, section 4.2.1.6). */
static bool is_for_address(const DNS_entry *name, const char *host)
{
    uint8_t address[16];
    if (name->type != ASN_IP_TYPE)
        return false;
    if (name->len == 4)
        return inet_pton(AF_INET, host, address) == 1 && memcmp(address, name->name, 4) == 0;
    return name->len == 16 && inet_pton(AF_INET6, host, address) == 1 &&
           memcmp(address, name->name, 16) == 0;
}

/* Names in the subject do not count, as in browsers (RFC 9525, section 2): only a subjectAltName
 * says what a certificate is for. */
static bool is_for_host(const DecodedCert *parsed, const char *host)
{
    uint8_t address[16];
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    for (const DNS_entry *name = parsed->altNames; name != NULL; name = name->next) {
        struct fw_bytes text = {(const uint8_t *)name->name, (size_t)name->len};
        if (is_address ? is_for_address(name, host)
                       : name->type == ASN_DNS_TYPE && fw_tls_name_matches(text, host))
            return true;
    }
    return false;
}

static int keep_subject(struct fw_tls *tls, const DecodedCert *parsed)
{
    char text[FW_TLS_SUBJECT_CHARS_MAX + 1];
    struct fw_bytes name = {parsed->subjectRaw, (size_t)parsed->subjectRawLen};
    if (!fw_tls_name_write(name, text, sizeof text))
        return FW_ERR_TLS_CERT_INVALID;
    size_t bytes = strlen(text) + 1;
    fw_mem_free(tls->peer_subject);
    tls->peer_subject = fw_mem_alloc(bytes);
    if (tls->peer_subject == NULL)
        return -ENOMEM;
    memcpy(tls->peer_subject, text, bytes);
    return 0;
}

static int check_leaf(struct fw_tls *tls, const WOLFSSL_X509_STORE_CTX *store)
{
    int status = verify_again(tls->context, store);
    if (status != 0)
        return status;
    DecodedCert parsed;
    status = parse(&parsed, certificate_at(store, 0)) == 0 ? 0 : FW_ERR_TLS_CERT_INVALID;
    if (status == 0 && tls->context->role == FW_TLS_CLIENT && !is_for_host(&parsed, tls->host))
        status = FW_ERR_TLS_CERT_HOST;
    if (status == 0)
        status = keep_subject(tls, &parsed);
    wc_FreeDecodedCert(&parsed);
    return status;
}

/* A wolfSSL with its OpenSSL layer gives the callback OpenSSL's codes (X509_V_ERR_*), which are
 * positive, instead of its own. */
static int status_of_store(int error)
{
    static const struct {
        int error;
        int status;
    } statuses[] = {
        {2, FW_ERR_TLS_CERT_ISSUER},       /* UNABLE_TO_GET_ISSUER_CERT */
        {7, FW_ERR_TLS_CERT_SIGNATURE},    /* CERT_SIGNATURE_FAILURE */
        {9, FW_ERR_TLS_CERT_NOT_YET},      /* CERT_NOT_YET_VALID */
        {10, FW_ERR_TLS_CERT_EXPIRED},     /* CERT_HAS_EXPIRED */
        {13, FW_ERR_TLS_CERT_NOT_YET},     /* ERROR_IN_CERT_NOT_BEFORE_FIELD */
        {14, FW_ERR_TLS_CERT_EXPIRED},     /* ERROR_IN_CERT_NOT_AFTER_FIELD */
        {18, FW_ERR_TLS_CERT_SELF_SIGNED}, /* DEPTH_ZERO_SELF_SIGNED_CERT */
        {19, FW_ERR_TLS_CERT_ISSUER},      /* SELF_SIGNED_CERT_IN_CHAIN */
        {20, FW_ERR_TLS_CERT_ISSUER},      /* UNABLE_TO_GET_ISSUER_CERT_LOCALLY */
        {21, FW_ERR_TLS_CERT_ISSUER},      /* UNABLE_TO_VERIFY_LEAF_SIGNATURE */
    };
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (statuses[i].error == error)
            return statuses[i].status;
    }
    return error < 0 ? fw_tls_status_of(error) : FW_ERR_TLS_CERT_INVALID;
}

/* Not every wolfSSL tells a stranger's certificate from one that vouches for itself. */
static int name_refusal(const WOLFSSL_X509_STORE_CTX *store)
{
    int status = status_of_store(store->error);
    if (status != FW_ERR_TLS_CERT_ISSUER || store->totalCerts != 1)
        return status;
    DecodedCert parsed;
    if (parse(&parsed, certificate_at(store, 0)) == 0 && parsed.selfSigned)
        status = FW_ERR_TLS_CERT_SELF_SIGNED;
    wc_FreeDecodedCert(&parsed);
    return status;
}

int fw_tls_peer_verify(int preverified, WOLFSSL_X509_STORE_CTX *store)
{
    struct fw_tls *tls = store->userCtx;
    if (store->totalCerts == 0) { /* Debian 12's calls nothing a good certificate */
        tls->peer_status = FW_ERR_TLS_CERT_MISSING;
        return 0;
    }
    if (!preverified) {
        if (tls->peer_status == 0)
            tls->peer_status = name_refusal(store);
        return 0;
    }
    if (store->error_depth != 0)
        return 1;
    tls->peer_status = check_leaf(tls, store);
    tls->peer_checked = tls->peer_status == 0;
    return tls->peer_checked;
}
