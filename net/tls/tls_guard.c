/* tls_guard.c: records that wolfSSL must not see, and floods.
 *
 *      octet 0      type: 20 change_cipher_spec, 21 alert, 22 handshake, 23 application_data
 *      octets 1..2  legacy version, 3.0 to 3.4
 *      octets 3..4  length of what follows
 *
 * The stream is cut into records in tls_wolfssl.c; which certificates are good is tls_peer.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_guard.h"
#include "net/tls/tls.h"

void fw_tls_guard_init(struct fw_tls_guard *guard, uint32_t handshake_bytes)
{
    *guard = (struct fw_tls_guard){
        .handshake_left = handshake_bytes,
        .dry_left = FW_TLS_DRY_RECORDS_MAX,
    };
}

/* Shapes that no implementation sends. wolfSSL 5.5.4 dies of an application_data record whose inner
 * plaintext has not even a type (CVE-2024-0901), before anybody is authenticated. Fragments of
 * length 0 are forbidden for the other types (RFC 8446, section 5.1). */
static int check_shape(const uint8_t *header, size_t body_bytes)
{
    uint8_t type = header[0];
    if (type < FW_TLS_CHANGE_CIPHER_SPEC || type > FW_TLS_APPLICATION_DATA || header[1] != 3 ||
        header[2] > 4)
        return FW_ERR_TLS_RECORD;
    if (body_bytes > FW_TLS_RECORD_BODY_BYTES_MAX)
        return FW_ERR_TLS_RECORD_TOO_LARGE;
    if (body_bytes < (type == FW_TLS_APPLICATION_DATA ? FW_TLS_ENCRYPTED_BYTES_MIN : 1))
        return FW_ERR_TLS_EMPTY_RECORD;
    return 0;
}

/* After the handshake TLS 1.3 has encrypted records only, all of type 23: wolfSSL would obey a
 * plaintext alert that anybody on the path can forge. A handshake record in TLS 1.2 can only mean a
 * renegotiation. */
static int check_open(enum fw_tls_phase phase, uint8_t type)
{
    if (type == FW_TLS_APPLICATION_DATA)
        return 0;
    if (type == FW_TLS_HANDSHAKE_RECORD)
        return FW_ERR_TLS_RENEGOTIATION;
    return phase == FW_TLS_PHASE_OPEN_12 && type == FW_TLS_ALERT ? 0 : FW_ERR_TLS_RECORD;
}

ssize_t fw_tls_guard_record(struct fw_tls_guard *guard, enum fw_tls_phase phase,
                            const uint8_t *header)
{
    size_t body_bytes = (size_t)header[3] << 8 | header[4];
    int status = check_shape(header, body_bytes);
    if (status != 0)
        return status;

    size_t record_bytes = FW_TLS_RECORD_HEADER_BYTES + body_bytes;
    if (phase == FW_TLS_PHASE_HANDSHAKE) {
        if (record_bytes > guard->handshake_left)
            return FW_ERR_TLS_HANDSHAKE_TOO_LARGE;
        guard->handshake_left -= (uint32_t)record_bytes;
        return (ssize_t)record_bytes;
    }
    status = check_open(phase, header[0]);
    if (status != 0)
        return status;
    if (guard->dry_left == 0)
        return FW_ERR_TLS_FLOOD;
    guard->dry_left--;
    return (ssize_t)record_bytes;
}

void fw_tls_guard_paid(struct fw_tls_guard *guard, size_t plain_bytes)
{
    size_t bytes = guard->dry_bytes + plain_bytes;
    size_t left = guard->dry_left + 1 + bytes / FW_TLS_DRY_BYTES;
    guard->dry_left = (uint16_t)(left < FW_TLS_DRY_RECORDS_MAX ? left : FW_TLS_DRY_RECORDS_MAX);
    guard->dry_bytes = (uint16_t)(bytes % FW_TLS_DRY_BYTES);
}
