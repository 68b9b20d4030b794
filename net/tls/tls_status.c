/* tls_status.c: errors of TLS in Fanwire's words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_internal.h"

#include <errno.h>
#include <stdio.h>

/* Where wolfSSL tells apart what is the same to us, several of its errors have one status. */
static const struct {
    int library_error;
    int status;
} statuses[] = {
    {WOLFSSL_ERROR_ZERO_RETURN, FW_ERR_TLS_ENDED},
    {ZERO_RETURN, FW_ERR_TLS_ENDED},
    {MEMORY_E, -ENOMEM},
    {MEMORY_ERROR, -ENOMEM},
    {VERSION_ERROR, FW_ERR_TLS_VERSION},
    {MATCH_SUITE_ERROR, FW_ERR_TLS_CIPHER},
    {UNSUPPORTED_SUITE, FW_ERR_TLS_CIPHER},
    {ECC_CURVETYPE_ERROR, FW_ERR_TLS_CIPHER},
    {ECC_CURVE_ERROR, FW_ERR_TLS_CIPHER},
    {BAD_KEY_SHARE_DATA, FW_ERR_TLS_CIPHER},
    {KEY_SHARE_ERROR, FW_ERR_TLS_CIPHER},
    {UNKNOWN_ALPN_PROTOCOL_NAME_E, FW_ERR_TLS_ALPN},
    {DECRYPT_ERROR, FW_ERR_TLS_CORRUPT},
    {VERIFY_MAC_ERROR, FW_ERR_TLS_CORRUPT},
    {AES_GCM_AUTH_E, FW_ERR_TLS_CORRUPT},
    {MAC_CMP_FAILED_E, FW_ERR_TLS_CORRUPT},
    {BUFFER_ERROR, FW_ERR_TLS_RECORD},
    {UNKNOWN_RECORD_TYPE, FW_ERR_TLS_RECORD},
    {LENGTH_ERROR, FW_ERR_TLS_RECORD},
    {NO_PEER_CERT, FW_ERR_TLS_CERT_MISSING},
    {DOMAIN_NAME_MISMATCH, FW_ERR_TLS_CERT_HOST},
    {IPADDR_MISMATCH, FW_ERR_TLS_CERT_HOST},
    {ASN_AFTER_DATE_E, FW_ERR_TLS_CERT_EXPIRED},
    {ASN_BEFORE_DATE_E, FW_ERR_TLS_CERT_NOT_YET},
    {ASN_SELF_SIGNED_E, FW_ERR_TLS_CERT_SELF_SIGNED},
    {ASN_NO_SIGNER_E, FW_ERR_TLS_CERT_ISSUER},
    {ASN_SIG_CONFIRM_E, FW_ERR_TLS_CERT_SIGNATURE},
    {ASN_SIG_HASH_E, FW_ERR_TLS_CERT_SIGNATURE},
    {ASN_SIG_KEY_E, FW_ERR_TLS_CERT_SIGNATURE},
    {ASN_SIG_OID_E, FW_ERR_TLS_CERT_SIGNATURE},
    {ASN_PARSE_E, FW_ERR_TLS_CERT_INVALID},
    {ASN_NAME_INVALID_E, FW_ERR_TLS_CERT_INVALID},
    {ASN_PATHLEN_INV_E, FW_ERR_TLS_CERT_INVALID},
    {ASN_PATHLEN_SIZE_E, FW_ERR_TLS_CERT_INVALID},
    {ASN_CRIT_EXT_E, FW_ERR_TLS_CERT_INVALID},
    {ASN_VERSION_E, FW_ERR_TLS_CERT_INVALID},
    {KEYUSAGE_E, FW_ERR_TLS_CERT_INVALID},
    {EXTKEYUSAGE_E, FW_ERR_TLS_CERT_INVALID},
    {KEYUSE_SIGNATURE_E, FW_ERR_TLS_CERT_INVALID},
    {EXTKEYUSE_AUTH_E, FW_ERR_TLS_CERT_INVALID},
    {ECC_KEY_SIZE_E, FW_ERR_TLS_CERT_INVALID},
    {RSA_KEY_SIZE_E, FW_ERR_TLS_CERT_INVALID},
    {MAX_CHAIN_ERROR, FW_ERR_TLS_CERT_INVALID},
    {VERIFY_CERT_ERROR, FW_ERR_TLS_CERT_INVALID},
};

int fw_tls_status_of(int library_error)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (statuses[i].library_error == library_error)
            return statuses[i].status;
    }
    return FW_ERR_TLS_HANDSHAKE;
}

/* RFC 8446, section 6. */
static const char *alert_name(int alert)
{
    static const struct {
        int alert;
        const char *name;
    } names[] = {
        {10, "unexpected_message"},
        {20, "bad_record_mac"},
        {22, "record_overflow"},
        {40, "handshake_failure"},
        {42, "bad_certificate"},
        {43, "unsupported_certificate"},
        {44, "certificate_revoked"},
        {45, "certificate_expired"},
        {46, "certificate_unknown"},
        {47, "illegal_parameter"},
        {48, "unknown_ca"},
        {49, "access_denied"},
        {50, "decode_error"},
        {51, "decrypt_error"},
        {70, "protocol_version"},
        {71, "insufficient_security"},
        {80, "internal_error"},
        {86, "inappropriate_fallback"},
        {90, "user_canceled"},
        {100, "no_renegotiation"},
        {109, "missing_extension"},
        {110, "unsupported_extension"},
        {112, "unrecognized_name"},
        {116, "certificate_required"},
        {120, "no_application_protocol"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].alert == alert)
            return names[i].name;
    }
    return "of a number unknown here";
}

void fw_tls_why(const struct fw_tls *tls, char *why, size_t why_bytes)
{
    int status = tls->state == FW_TLS_CLOSED ? FW_ERR_TLS_ENDED : tls->status;
    const char *sentence = fw_status_text(status);
    if (status == 0)
        snprintf(why, why_bytes, "nothing is wrong");
    else if (status == FW_ERR_TLS_CERT_HOST)
        snprintf(why, why_bytes, "%s: %s", sentence, tls->host != NULL ? tls->host : "none");
    else if (status == FW_ERR_TLS_ALERT)
        snprintf(why, why_bytes, "%s: %s", sentence, alert_name(tls->alert));
    else if (tls->library_error != 0)
        snprintf(why, why_bytes, "%s (%s)", sentence,
                 wolfSSL_ERR_reason_error_string((unsigned long)tls->library_error));
    else
        snprintf(why, why_bytes, "%s", sentence);
}
