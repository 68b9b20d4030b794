/* tls_send.c: plain bytes to records, and the sink that they end in.
 *
 * All that one turn owes a connection is one call, and shares records:
 *
 *      [ piece ][ piece ][      large piece            ][ piece ]
 *      |<-- one record ->|<-- 16 KiB -->|<-- rest ---->|<- one ->|
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "base/mem.h"
#include "net/tls/tls_internal.h"
#include "net/tls/tls_ipsec_mb.h"

#include <errno.h>

/* What a record has beside its plaintext: header 5, explicit nonce 8, inner type 1, tag 16. */
#define RECORD_EXTRA_BYTES 32

/* A piece with at least as much left is encrypted where it lies; smaller ones are gathered first.
 * Copying 8 KiB costs what a record's header, tag and call cost. */
#define GATHER_BYTES_MAX 8192

/* The least that a sink of our own is made for. */
#define SINK_BYTES_MIN 4096

/* ---- the sink ---- */

bool fw_tls_sink_grow(struct fw_tls_sink *sink, size_t more)
{
    size_t capacity = sink->capacity < SINK_BYTES_MIN ? SINK_BYTES_MIN : sink->capacity;
    while (capacity - sink->count < more)
        capacity *= 2;
    uint8_t *bytes =
        sink->bytes == NULL ? fw_mem_alloc(capacity) : fw_mem_resize(sink->bytes, capacity);
    if (bytes == NULL)
        return false;
    sink->bytes = bytes;
    sink->capacity = capacity;
    return true;
}

bool fw_tls_sink_reserve(struct fw_tls_sink *sink, size_t more)
{
    return sink->capacity - sink->count >= more || sink->grow(sink, more);
}

/* Whether its records get a device with its first flight. Not before: a device is asked about every
 * hash as well, and the keys of the application's data are set when the flight is out. TLS 1.2 and
 * clients, whose version is known later, are served by wolfSSL itself. */
static bool is_server_of_13(const struct fw_tls *tls)
{
    return tls->context->role == FW_TLS_SERVER && wolfSSL_GetVersion(tls->ssl) == WOLFSSL_TLSV1_3;
}

int fw_tls_io_send(WOLFSSL *ssl, char *bytes, int bytes_count, void *context)
{
    struct fw_tls *tls = context;
    if (tls->sink == NULL || !fw_tls_sink_reserve(tls->sink, (size_t)bytes_count)) {
        tls->status = -ENOMEM;
        return WOLFSSL_CBIO_ERR_GENERAL;
    }
    if (tls->state == FW_TLS_HANDSHAKE && is_server_of_13(tls))
        fw_tls_ipsec_mb_serve(ssl);
    memcpy(tls->sink->bytes + tls->sink->count, bytes, (size_t)bytes_count);
    tls->sink->count += (size_t)bytes_count;
    return bytes_count;
}

/* ---- records out ---- */

static int seal(struct fw_tls *tls, const uint8_t *plain, size_t count)
{
    int written = wolfSSL_write(tls->ssl, plain, (int)count);
    if (written == (int)count)
        return 0;
    return fw_tls_fail_library(tls, wolfSSL_get_error(tls->ssl, written));
}

/* Where in the pieces the sending stands. */
struct cursor {
    const struct iovec *piece;
    unsigned pieces_left;
    size_t at; /* in *piece */
};

static size_t here(const struct cursor *cursor)
{
    return cursor->piece->iov_len - cursor->at;
}

static const uint8_t *advance(struct cursor *cursor, size_t count)
{
    const uint8_t *bytes = (const uint8_t *)cursor->piece->iov_base + cursor->at;
    cursor->at += count;
    while (cursor->pieces_left > 0 && cursor->at == cursor->piece->iov_len) {
        cursor->piece++;
        cursor->pieces_left--;
        cursor->at = 0;
    }
    return bytes;
}

/* The bytes of small pieces from the cursor on, no more than fit a record. */
static size_t gatherable(const struct cursor *cursor, size_t most)
{
    size_t sum = here(cursor);
    for (unsigned i = 1; i < cursor->pieces_left && sum < most; i++) {
        if (cursor->piece[i].iov_len >= GATHER_BYTES_MAX)
            break;
        sum += cursor->piece[i].iov_len;
    }
    return sum < most ? sum : most;
}

/* Encrypts what begins at the cursor as one record.
 *
 * Small pieces are gathered in the sink's free space, just where the record will stand: wolfSSL has
 * copied the plaintext into the record before it hands the record over, so the one may overwrite
 * the other. */
static int send_record(struct fw_tls *tls, struct cursor *cursor)
{
    size_t most = tls->record_plain_max;
    if (cursor->pieces_left == 1 || here(cursor) >= GATHER_BYTES_MAX) {
        size_t count = here(cursor) < most ? here(cursor) : most;
        return seal(tls, advance(cursor, count), count);
    }
    if (!fw_tls_sink_reserve(tls->sink, gatherable(cursor, most) + RECORD_EXTRA_BYTES))
        return fw_tls_fail(tls, -ENOMEM);
    uint8_t *gathered = tls->sink->bytes + tls->sink->count;
    size_t gathered_bytes = 0;
    while (cursor->pieces_left > 0 && gathered_bytes < most && here(cursor) < GATHER_BYTES_MAX) {
        size_t room = most - gathered_bytes;
        size_t count = here(cursor) < room ? here(cursor) : room;
        memcpy(gathered + gathered_bytes, advance(cursor, count), count);
        gathered_bytes += count;
    }
    return seal(tls, gathered, gathered_bytes);
}

int fw_tls_send(struct fw_tls *tls, const struct iovec *pieces, unsigned pieces_count,
                struct fw_tls_sink *sink)
{
    if (tls->state == FW_TLS_FAILED)
        return tls->status;
    fw_assert((tls->state == FW_TLS_OPEN || tls->state == FW_TLS_CLOSED) && !tls->ended);
    int status = 0;
    struct cursor cursor = {pieces, pieces_count, 0};
    tls->sink = sink;
    if (pieces_count > 0)
        advance(&cursor, 0); /* over empty pieces */
    while (cursor.pieces_left > 0 && status == 0)
        status = send_record(tls, &cursor);
    tls->sink = NULL;
    return status;
}

int fw_tls_end(struct fw_tls *tls, struct fw_tls_sink *sink)
{
    if (tls->state == FW_TLS_FAILED)
        return tls->status;
    if (tls->ended || (tls->state != FW_TLS_OPEN && tls->state != FW_TLS_CLOSED))
        return 0;
    tls->ended = true;
    tls->sink = sink;
    int told = wolfSSL_shutdown(tls->ssl); /* "not done": the peer has not answered, nor need it */
    tls->sink = NULL;
    return told < 0 ? fw_tls_fail_library(tls, wolfSSL_get_error(tls->ssl, told)) : 0;
}
