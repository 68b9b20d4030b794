/* tls_wolfssl.c: a connection's cipher bytes through wolfSSL, in, and its handshake.
 *
 * wolfSSL pulls its input through a callback, and here it gets one whole record at a time, that the
 * guard has judged by its header:
 *
 *      lent bytes --open_record--> record --fw_tls_io_receive--> wolfSSL --> plain bytes
 *           |                         ^
 *           +--a record's first part--+ (the stash, only while a record is cut)
 *
 * So wolfSSL never holds memory for bytes that have not come, and between two records we know
 * whether the last had data. Its output goes straight into the owner's sink (tls_send.c); there is
 * always room, or the connection dies, so wolfSSL never waits for writing.
 *
 *      HELLO --(a whole ClientHello)--> HELLO_READY --begin--> HANDSHAKE --step--> OPEN
 *                                                                                   |
 *                        FAILED <--fail, from everywhere         CLOSED <--close_notify
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "base/mem.h"
#include "net/tls/tls_hello.h"
#include "net/tls/tls_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>

/* The least that the stash is made for, so that it does not grow byte by byte. */
#define STASH_BYTES_MIN 512

#define ALERT_RECORD_OVERFLOW   22
#define ALERT_HANDSHAKE_FAILURE 40
#define ALERT_DECODE_ERROR      50

/* Our part of an idle connection's memory; wolfSSL's is 2952 bytes in the private build. */
static_assert(sizeof(struct fw_tls) <= 160, "the budget of an idle connection");

/* ---- small things ---- */

int fw_tls_fail(struct fw_tls *tls, int status)
{
    tls->state = FW_TLS_FAILED;
    tls->status = status;
    return status;
}

static void free_stash(struct fw_tls *tls)
{
    fw_mem_free(tls->stash);
    tls->stash = NULL;
    tls->stash_bytes = 0;
    tls->stash_capacity = 0;
}

/* Appends to the stash, which grows by doubling up to what is wanted in all: announced lengths
 * alone allocate nothing. */
static int append_stash(struct fw_tls *tls, const uint8_t *bytes, size_t count, size_t wanted)
{
    size_t needed = tls->stash_bytes + count;
    if (needed > tls->stash_capacity) {
        size_t capacity = (size_t)tls->stash_capacity * 2;
        if (capacity < STASH_BYTES_MIN)
            capacity = STASH_BYTES_MIN;
        if (capacity > wanted)
            capacity = wanted;
        if (capacity < needed)
            capacity = needed;
        uint8_t *stash =
            tls->stash == NULL ? fw_mem_alloc(capacity) : fw_mem_resize(tls->stash, capacity);
        if (stash == NULL)
            return fw_tls_fail(tls, -ENOMEM);
        tls->stash = stash;
        tls->stash_capacity = (uint32_t)capacity;
    }
    memcpy(tls->stash + tls->stash_bytes, bytes, count);
    tls->stash_bytes = (uint32_t)needed;
    return 0;
}

static char *copy_string(const char *string)
{
    size_t bytes = strlen(string) + 1;
    char *copy = fw_mem_alloc(bytes);
    if (copy != NULL)
        memcpy(copy, string, bytes);
    return copy;
}

/* ---- records in ---- */

static enum fw_tls_phase phase(const struct fw_tls *tls)
{
    if (tls->state != FW_TLS_OPEN)
        return FW_TLS_PHASE_HANDSHAKE;
    return wolfSSL_GetVersion(tls->ssl) == WOLFSSL_TLSV1_3 ? FW_TLS_PHASE_OPEN_13
                                                           : FW_TLS_PHASE_OPEN_12;
}

static void consume(struct fw_tls *tls, size_t count)
{
    tls->input += count;
    tls->input_bytes -= count;
}

/* Moves what a record still lacks from the lent bytes to the stash. 1 when it has `wanted`. */
static int gather(struct fw_tls *tls, size_t wanted)
{
    size_t lacking = wanted > tls->stash_bytes ? wanted - tls->stash_bytes : 0;
    size_t count = lacking < tls->input_bytes ? lacking : tls->input_bytes;
    if (count > 0) {
        int status = append_stash(tls, tls->input, count, FW_TLS_RECORD_BODY_BYTES_MAX);
        if (status != 0)
            return status;
        consume(tls, count);
    }
    return count == lacking;
}

static ssize_t judge(struct fw_tls *tls, const uint8_t *header)
{
    bool first = tls->guard.handshake_left == FW_TLS_SERVER_FLIGHT_BYTES_MAX;
    ssize_t record_bytes = fw_tls_guard_record(&tls->guard, phase(tls), header);
    if (record_bytes == FW_ERR_TLS_RECORD && first) /* a server's: ours have said hello by now */
        return fw_tls_fail(tls, FW_ERR_TLS_NOT_TLS);
    return record_bytes < 0 ? fw_tls_fail(tls, (int)record_bytes) : record_bytes;
}

/* Goes on with a record that was cut. Its header is judged when it becomes whole, once: that is
 * what tls->cut_bytes, the length it said, remembers. */
static int open_cut_record(struct fw_tls *tls)
{
    if (tls->cut_bytes == 0) {
        int whole = gather(tls, FW_TLS_RECORD_HEADER_BYTES);
        if (whole <= 0)
            return whole;
        ssize_t record_bytes = judge(tls, tls->stash);
        if (record_bytes < 0)
            return (int)record_bytes;
        tls->cut_bytes = (uint32_t)record_bytes;
    }
    int whole = gather(tls, tls->cut_bytes);
    if (whole <= 0)
        return whole;
    tls->record = tls->stash;
    tls->record_bytes = tls->stash_bytes;
    tls->cut_bytes = 0;
    tls->stash_bytes = 0; /* its bytes stay until wolfSSL has asked for more than them */
    return 1;
}

/* Makes the next whole record available to wolfSSL.
 *
 * returns      1; 0 when more bytes must come, and then nothing lent is used any more
 */
static int open_record(struct fw_tls *tls)
{
    fw_assert(tls->record_bytes == 0);
    if (tls->stash != NULL && tls->stash_bytes == 0)
        free_stash(tls);
    if (tls->stash_bytes > 0 || tls->input_bytes < FW_TLS_RECORD_HEADER_BYTES)
        return tls->stash_bytes + tls->input_bytes > 0 ? open_cut_record(tls) : 0;

    ssize_t record_bytes = judge(tls, tls->input);
    if (record_bytes < 0)
        return (int)record_bytes;
    if ((size_t)record_bytes > tls->input_bytes) {
        tls->cut_bytes = (uint32_t)record_bytes;
        return open_cut_record(tls);
    }
    tls->record = tls->input;
    tls->record_bytes = (size_t)record_bytes;
    consume(tls, (size_t)record_bytes);
    return 1;
}

int fw_tls_io_receive(WOLFSSL *ssl, char *bytes, int bytes_count, void *context)
{
    (void)ssl;
    struct fw_tls *tls = context;
    if (tls->record_bytes == 0)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    size_t count =
        (size_t)bytes_count < tls->record_bytes ? (size_t)bytes_count : tls->record_bytes;
    memcpy(bytes, tls->record, count);
    tls->record += count;
    tls->record_bytes -= count;
    return (int)count;
}

/* ---- failing ---- */

static int16_t fatal_alert(const struct fw_tls *tls)
{
    WOLFSSL_ALERT_HISTORY history;
    if (wolfSSL_get_alert_history(tls->ssl, &history) != WOLFSSL_SUCCESS ||
        history.last_rx.code <= 0 || history.last_rx.code > 255)
        return -1;
    return (int16_t)history.last_rx.code;
}

/* Finds the clearest name for why wolfSSL stopped: what the certificate callback found, what the
 * peer said, what the sink could not hold, and only then wolfSSL's own error. */
int fw_tls_fail_library(struct fw_tls *tls, int library_error)
{
    tls->library_error = library_error;
    if (tls->peer_status != 0)
        return fw_tls_fail(tls, tls->peer_status);
    if (tls->status != 0)
        return fw_tls_fail(tls, tls->status);
    if (library_error == VERIFY_CERT_ERROR) /* and yet no certificate was judged */
        return fw_tls_fail(tls, FW_ERR_TLS_CERT_MISSING);
    tls->alert = fatal_alert(tls);
    if (tls->alert >= 0 && (library_error == FATAL_ERROR || library_error == WOLFSSL_FATAL_ERROR))
        return fw_tls_fail(tls, FW_ERR_TLS_ALERT);
    return fw_tls_fail(tls, fw_tls_status_of(library_error));
}

/* A peer that is refused before wolfSSL has a session for it is told why as well, once. */
static void send_owed_alert(struct fw_tls *tls, struct fw_tls_sink *sink)
{
    const uint8_t record[] = {FW_TLS_ALERT, 3, 3, 0, 2, 2, tls->alert_owed};
    if (tls->alert_owed == 0 || !fw_tls_sink_reserve(sink, sizeof record))
        return;
    memcpy(sink->bytes + sink->count, record, sizeof record);
    sink->count += sizeof record;
    tls->alert_owed = 0;
}

static int fail_hello(struct fw_tls *tls, int status)
{
    if (status == FW_ERR_TLS_HELLO)
        tls->alert_owed = ALERT_DECODE_ERROR;
    else if (status == FW_ERR_TLS_HELLO_TOO_LARGE)
        tls->alert_owed = ALERT_RECORD_OVERFLOW;
    else if (status == FW_ERR_TLS_CIPHER)
        tls->alert_owed = ALERT_HANDSHAKE_FAILURE;
    return fw_tls_fail(tls, status);
}

/* ---- the handshake ---- */

static int begin_session(struct fw_tls *tls, struct fw_tls_identity *identity)
{
    const struct fw_tls_context *context = tls->context;
    tls->ssl = wolfSSL_new(identity->ctx);
    if (tls->ssl == NULL)
        return fw_tls_fail(tls, -ENOMEM);
    wolfSSL_SetIOReadCtx(tls->ssl, tls);
    wolfSSL_SetIOWriteCtx(tls->ssl, tls);
    wolfSSL_SetCertCbCtx(tls->ssl, tls);
    if (context->alpn[0] != '\0') {
        char alpn[sizeof context->alpn];
        memcpy(alpn, context->alpn, sizeof alpn);
        int used = wolfSSL_UseALPN(tls->ssl, alpn, (unsigned)strlen(alpn),
                                   WOLFSSL_ALPN_FAILED_ON_MISMATCH);
        if (used != WOLFSSL_SUCCESS)
            return fw_tls_fail(tls, used == MEMORY_E || used == MEMORY_ERROR ? -ENOMEM
                                                                             : FW_ERR_TLS_LIBRARY);
    }
    return 0;
}

/* A server's session, now that its ClientHello is whole: the stash becomes what is lent. */
static int begin_server(struct fw_tls *tls)
{
    int status = begin_session(tls, fw_tls_context_choose(tls->context, tls->host));
    if (status != 0)
        return status;
    uint32_t left = FW_TLS_CLIENT_FLIGHT_BYTES_MAX + tls->stash_bytes;
    if (tls->context->checks_peer)
        left += FW_TLS_CLIENT_CERTIFICATE_BYTES_MAX;
    fw_tls_guard_init(&tls->guard, left);
    tls->state = FW_TLS_HANDSHAKE;
    return 0;
}

static int become_open(struct fw_tls *tls)
{
    /* A build whose callback is not called would let everybody in: no word, no entry. */
    if (tls->session_checked && wolfSSL_session_reused(tls->ssl))
        tls->peer_checked = true;
    if (tls->context->checks_peer && !tls->peer_checked)
        return fw_tls_fail(tls, FW_ERR_TLS_CERT_MISSING);
    int plain_max = wolfSSL_GetMaxOutputSize(tls->ssl);
    if (plain_max <= 0)
        return fw_tls_fail(tls, FW_ERR_TLS_LIBRARY);
    tls->record_plain_max =
        (uint16_t)(plain_max < FW_TLS_PLAIN_BYTES_MAX ? plain_max : FW_TLS_PLAIN_BYTES_MAX);
    tls->state = FW_TLS_OPEN;
    return 0;
}

/* One call of wolfSSL's, handshake or read. Bytes read; 0 when the handshake went on or more input
 * is wanted, which *wants_out tells; or the error. */
static ssize_t step(struct fw_tls *tls, uint8_t *out, size_t out_bytes, bool *wants_out)
{
    int got;
    *wants_out = false;
    if (tls->state == FW_TLS_HANDSHAKE) {
        got = tls->context->role == FW_TLS_SERVER ? wolfSSL_accept(tls->ssl)
                                                  : wolfSSL_connect(tls->ssl);
        if (got == WOLFSSL_SUCCESS)
            return become_open(tls);
    } else {
        got = wolfSSL_read(tls->ssl, out, out_bytes < INT_MAX ? (int)out_bytes : INT_MAX);
        if (got > 0) {
            fw_tls_guard_paid(&tls->guard, (size_t)got);
            return got;
        }
    }
    int error = wolfSSL_get_error(tls->ssl, got);
    if (error == WOLFSSL_ERROR_WANT_READ) {
        *wants_out = true;
        return 0;
    }
    if (error == WOLFSSL_ERROR_ZERO_RETURN && tls->state == FW_TLS_OPEN) {
        tls->state = FW_TLS_CLOSED;
        return FW_ERR_TLS_ENDED;
    }
    return fw_tls_fail_library(tls, error);
}

static ssize_t run(struct fw_tls *tls, uint8_t *out, size_t out_bytes)
{
    for (;;) {
        bool wants;
        ssize_t got = step(tls, out, out_bytes, &wants);
        if (got != 0)
            return got;
        if (wants) {
            int opened = open_record(tls);
            if (opened <= 0)
                return opened;
        }
    }
}

/* ---- the public functions, in the header's order ---- */

static int begin_client(struct fw_tls *tls, const struct fw_tls_session *session)
{
    int status = begin_session(tls, &tls->context->identities[0]);
    if (status != 0)
        return status;
    uint8_t address[16];
    const char *host = tls->host;
    bool is_name = host != NULL && inet_pton(AF_INET, host, address) != 1 &&
                   inet_pton(AF_INET6, host, address) != 1;
    if (is_name && wolfSSL_UseSNI(tls->ssl, WOLFSSL_SNI_HOST_NAME, host,
                                  (unsigned short)strlen(host)) != WOLFSSL_SUCCESS)
        return fw_tls_fail(tls, -ENOMEM);
    if (session != NULL && strcmp(session->host, host != NULL ? host : "") == 0 &&
        (session->peer_checked || !tls->context->checks_peer)) {
        wolfSSL_set_session(tls->ssl, session->session); /* if it refuses: a full handshake */
        tls->session_checked = session->peer_checked;
    }
    fw_tls_guard_init(&tls->guard, FW_TLS_SERVER_FLIGHT_BYTES_MAX);
    tls->state = FW_TLS_HANDSHAKE;
    return 0;
}

int fw_tls_create(struct fw_tls_context *context, const char *host,
                  const struct fw_tls_session *session, struct fw_tls **tls_out)
{
    bool client = context->role == FW_TLS_CLIENT;
    if (client ? host == NULL && context->checks_peer : host != NULL)
        return FW_ERR_USAGE;
    if (host != NULL && (host[0] == '\0' || strlen(host) > FW_TLS_HOST_CHARS_MAX))
        return FW_ERR_USAGE;
    struct fw_tls *tls = fw_mem_zero(sizeof *tls);
    if (tls == NULL)
        return -ENOMEM;
    tls->state = FW_TLS_HELLO;
    tls->alert = -1;
    fw_tls_context_hold(context);
    tls->context = context;
    int status = 0;
    if (host != NULL && (tls->host = copy_string(host)) == NULL)
        status = -ENOMEM;
    if (status == 0 && client)
        status = begin_client(tls, session);
    if (status != 0) {
        fw_tls_destroy(tls);
        return status;
    }
    *tls_out = tls;
    return 0;
}

void fw_tls_destroy(struct fw_tls *tls)
{
    if (tls == NULL)
        return;
    wolfSSL_free(tls->ssl);
    free_stash(tls);
    fw_mem_free(tls->kept);
    fw_mem_free(tls->host);
    fw_mem_free(tls->peer_subject);
    fw_tls_context_drop(tls->context);
    fw_mem_free(tls);
}

enum fw_tls_state fw_tls_state(const struct fw_tls *tls)
{
    return (enum fw_tls_state)tls->state;
}

/* Before the ClientHello is whole, all that comes is kept, and judged as far as it goes. */
static int receive_hello(struct fw_tls *tls, const uint8_t *bytes, size_t bytes_count)
{
    char host[FW_TLS_HOST_CHARS_MAX + 1];
    if (bytes_count > FW_TLS_HELLO_BYTES_MAX - tls->stash_bytes) {
        /* Garbage is called garbage, however long: its first bytes tell. */
        ssize_t whole = tls->stash_bytes == 0 ? fw_tls_hello_check(bytes, bytes_count, host) : 0;
        return fail_hello(tls, whole < 0 ? (int)whole : FW_ERR_TLS_HELLO_TOO_LARGE);
    }
    int status = append_stash(tls, bytes, bytes_count, FW_TLS_HELLO_BYTES_MAX);
    if (status != 0 || tls->state == FW_TLS_HELLO_READY)
        return status;
    ssize_t whole = fw_tls_hello_check(tls->stash, tls->stash_bytes, host);
    if (whole <= 0)
        return whole < 0 ? fail_hello(tls, (int)whole) : 0;
    if (host[0] != '\0' && (tls->host = copy_string(host)) == NULL)
        return fw_tls_fail(tls, -ENOMEM);
    tls->state = FW_TLS_HELLO_READY;
    return 0;
}

static void free_kept(struct fw_tls *tls)
{
    fw_mem_free(tls->kept);
    tls->kept = NULL;
    tls->input = NULL;
    tls->input_bytes = 0;
}

/* Makes the input, and more bytes behind it, our own. */
static int keep(struct fw_tls *tls, const uint8_t *more, size_t more_count)
{
    uint8_t *kept = fw_mem_alloc(tls->input_bytes + more_count);
    if (kept == NULL)
        return fw_tls_fail(tls, -ENOMEM);
    memcpy(kept, tls->input, tls->input_bytes);
    if (more_count > 0)
        memcpy(kept + tls->input_bytes, more, more_count);
    size_t kept_bytes = tls->input_bytes + more_count;
    free_kept(tls);
    tls->kept = kept;
    tls->input = kept;
    tls->input_bytes = kept_bytes;
    return 0;
}

int fw_tls_received(struct fw_tls *tls, const uint8_t *bytes, size_t bytes_count)
{
    switch (fw_tls_state(tls)) {
    case FW_TLS_HELLO:
    case FW_TLS_HELLO_READY:
        return receive_hello(tls, bytes, bytes_count);
    case FW_TLS_HANDSHAKE:
    case FW_TLS_OPEN:
        if (tls->input_bytes > 0) {
            fw_assert(tls->kept != NULL); /* else what was lent before is gone */
            return keep(tls, bytes, bytes_count);
        }
        tls->input = bytes;
        tls->input_bytes = bytes_count;
        return 0;
    case FW_TLS_CLOSED:
        return FW_ERR_TLS_ENDED;
    case FW_TLS_FAILED:
        return tls->status;
    }
    return FW_ERR_TLS_LIBRARY;
}

/* Runs on the ClientHello, which lies in the stash: that becomes the input. */
static ssize_t run_hello(struct fw_tls *tls, uint8_t *out, size_t out_bytes)
{
    int status = begin_server(tls);
    if (status != 0)
        return status;
    tls->kept = tls->stash;
    tls->input = tls->stash;
    tls->input_bytes = tls->stash_bytes;
    tls->stash = NULL;
    tls->stash_bytes = 0;
    tls->stash_capacity = 0;
    return run(tls, out, out_bytes);
}

static ssize_t run_state(struct fw_tls *tls, uint8_t *out, size_t out_bytes)
{
    switch (fw_tls_state(tls)) {
    case FW_TLS_HELLO:
        return 0;
    case FW_TLS_HELLO_READY:
        return run_hello(tls, out, out_bytes);
    case FW_TLS_HANDSHAKE:
    case FW_TLS_OPEN:
        return run(tls, out, out_bytes);
    case FW_TLS_CLOSED:
        return FW_ERR_TLS_ENDED;
    case FW_TLS_FAILED:
        send_owed_alert(tls, tls->sink);
        return tls->status;
    }
    return FW_ERR_TLS_LIBRARY;
}

ssize_t fw_tls_plain(struct fw_tls *tls, uint8_t *out, size_t out_bytes, struct fw_tls_sink *sink)
{
    tls->sink = sink;
    ssize_t got = run_state(tls, out, out_bytes);
    tls->sink = NULL;
    if (got > 0)
        return got;
    free_kept(tls);
    if (got < 0) {
        free_stash(tls);
        tls->record_bytes = 0;
    }
    return got;
}

int fw_tls_keep(struct fw_tls *tls)
{
    /* A record that wolfSSL has begun to read, it has read whole: only bytes behind it are lent. */
    fw_assert(tls->record_bytes == 0);
    if (tls->input_bytes == 0 || tls->kept != NULL)
        return 0;
    return keep(tls, NULL, 0);
}
