/* tls_guard.h: what a TLS record must look like before wolfSSL may see it.
 *
 * Each rule here answers a crash or a stall that some wolfSSL had; they stay whatever the version.
 * Pure functions on five bytes of header; no wolfSSL, no allocation. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_TLS_GUARD_H
#define FW_NET_TLS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* type, legacy version, length (RFC 8446, section 5.1). */
#define FW_TLS_RECORD_HEADER_BYTES 5

/* Plaintext, inner type, tag and TLS 1.2's explicit nonce stay far below this (section 5.2). */
#define FW_TLS_RECORD_BODY_BYTES_MAX (16384 + 256)

/* An encrypted record is a tag of 16 octets and, in TLS 1.3, at least the inner type. */
#define FW_TLS_ENCRYPTED_BYTES_MIN 17

enum fw_tls_record_type {
    FW_TLS_CHANGE_CIPHER_SPEC = 20,
    FW_TLS_ALERT = 21,
    FW_TLS_HANDSHAKE_RECORD = 22,
    FW_TLS_APPLICATION_DATA = 23,
};

enum fw_tls_phase {
    FW_TLS_PHASE_HANDSHAKE,
    FW_TLS_PHASE_OPEN_12,
    FW_TLS_PHASE_OPEN_13,
};

struct fw_tls_guard {
    uint32_t handshake_left; /* bytes that the peer's handshake may still have */
    uint16_t dry_left;       /* records without data that are still borne */
    uint16_t dry_bytes;      /* of data that have not paid for one yet */
};

/* handshake_bytes  what the peer may send until the handshake is done */
void fw_tls_guard_init(struct fw_tls_guard *guard, uint32_t handshake_bytes);

/* Judges the next record by its header, and counts it.
 *
 * header       FW_TLS_RECORD_HEADER_BYTES of them
 * returns      the record's bytes, header included
 * errors       FW_ERR_TLS_RECORD, FW_ERR_TLS_RECORD_TOO_LARGE, FW_ERR_TLS_EMPTY_RECORD,
 *              FW_ERR_TLS_HANDSHAKE_TOO_LARGE, FW_ERR_TLS_RENEGOTIATION, FW_ERR_TLS_FLOOD
 */
ssize_t fw_tls_guard_record(struct fw_tls_guard *guard, enum fw_tls_phase phase,
                            const uint8_t *header);

/* The last record had data: it pays for itself, and its bytes for others. */
void fw_tls_guard_paid(struct fw_tls_guard *guard, size_t plain_bytes);

#endif
