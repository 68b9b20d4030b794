/* tls.h: TLS between the socket's bytes and the session's.
 *
 * Cipher bytes go in and come out, plain bytes come out and go in. There is no file descriptor
 * here, no clock but the tickets', and nothing above net/conn knows that TLS runs. wolfSSL does the
 * protocol and the cryptography (tls_wolfssl.c); what is ours is around it: the guards that stand
 * whatever its version (tls_guard.c), certificates and their reload (tls_context.c), who the peer
 * is (tls_peer.c), tickets (tls_ticket.c), the throw-away certificate (tls_self_signed.c).
 *
 * One connection, as a server:
 *
 *      HELLO --fw_tls_received--> HELLO_READY --fw_tls_plain--> HANDSHAKE --fw_tls_plain--> OPEN
 *
 * and as a client:
 *
 *      HANDSHAKE --fw_tls_plain--> OPEN
 *
 * How a connection uses it, each time cipher bytes come:
 *
 *      fw_tls_received(tls, bytes, count);                 lends the bytes
 *      if (fw_tls_state(tls) == FW_TLS_HELLO_READY && this turn has begun its share of handshakes)
 *          return;                                         go on in another turn, nothing is lost
 *      while ((got = fw_tls_plain(tls, scratch, sizeof scratch, sink)) > 0)
 *          the session takes scratch[0..got)
 *      send what is in the sink, also when got is an error: it ends in the alert that says why
 *
 * Until HELLO_READY a connection costs the bytes that came and nothing more: no wolfSSL session is
 * made for a peer that has not shown a whole, plausible ClientHello.
 *
 * Copies: plain bytes are copied once into a record and encrypted there, and the record is copied
 * into the sink; wolfSSL gives no way round either. Measured, the two are 5 % of the cost of a 16
 * KiB record; taking the traffic keys out of wolfSSL and sealing records here would save them, and
 * would make this folder responsible for every post-handshake rule of RFC 8446.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_TLS_H
#define FW_NET_TLS_H

#include "base/bytes.h"

#include <fanwire/status.h>

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* A TLS record's plaintext (RFC 8446, section 5.1). */
#define FW_TLS_PLAIN_BYTES_MAX 16384

/* All that a peer may send before its ClientHello is whole. 15 KB of it cost one wolfSSL 50 ms; the
 * largest that browsers send, with post-quantum key shares and a ticket, stays under 3 KiB. */
#define FW_TLS_HELLO_BYTES_MAX 4096

/* The rest of a client's handshake: a second ClientHello, CCS, Finished ... */
#define FW_TLS_CLIENT_FLIGHT_BYTES_MAX (FW_TLS_HELLO_BYTES_MAX + 2048)
/* ... and its certificates when it is asked for them: 4 of 4 KiB. */
#define FW_TLS_CLIENT_CERTIFICATE_BYTES_MAX 16384
/* A server's whole handshake, as a client sees it: certificates of 9 levels at 4 KiB and some. */
#define FW_TLS_SERVER_FLIGHT_BYTES_MAX 65536

/* Records without data (KeyUpdate, empty, alerts) that are borne. Each data record pays for itself,
 * each KiB of data for one more. A KeyUpdate costs 5 us to answer, so what 64 KiB received at once
 * can cost in this coin is bounded to (32 + 64) * 5 us; that is why an owner may give a connection
 * all that came at once, and need not cut it into turns. */
#define FW_TLS_DRY_RECORDS_MAX 32
#define FW_TLS_DRY_BYTES       1024

#define FW_TLS_CERTIFICATES_MAX  64
#define FW_TLS_HOST_CHARS_MAX    253 /* RFC 1035, section 2.3.4, as text */
#define FW_TLS_SUBJECT_CHARS_MAX 511
#define FW_TLS_WHY_BYTES         512 /* room that every sentence written to `why` fits in */

static_assert(FW_TLS_HELLO_BYTES_MAX < FW_TLS_PLAIN_BYTES_MAX, "a ClientHello fits one record");

struct fw_tls;         /* one connection; thread: its worker */
struct fw_tls_context; /* certificates, keys and rules; immutable, counted; thread: any */
struct fw_tls_session; /* what a client needs to resume; thread: any, one at a time */
struct fw_tls_tickets; /* a server's ticket keys; counted; thread: any */

/* ---- the library ---- */

/* Says which wolfSSL runs, where its speed comes from, and what a slow one costs: one line.
 *
 * thread       any
 */
void fw_tls_library(char *line_out, size_t line_bytes);

/* Whether the line above is bad news that belongs into the start-up log as a warning. */
bool fw_tls_library_is_slow(void);

/* Heap bytes that wolfSSL holds at this moment, for all sessions and contexts, and in how many
 * blocks. Sessions at rest cost the difference; see also fw_tls_bytes.
 *
 * thread       any
 */
struct fw_tls_memory {
    int64_t bytes;
    int64_t blocks;
};
struct fw_tls_memory fw_tls_memory(void);

/* A thread that handshakes calls these at its start and end: some builds of wolfSSL keep tables of
 * curve points per thread, which are filled here and not under the first peer, and freed there. */
void fw_tls_thread_start(void);
void fw_tls_thread_stop(void);

/* ---- contexts ---- */

enum fw_tls_role { FW_TLS_SERVER, FW_TLS_CLIENT };

enum fw_tls_versions { FW_TLS_12_AND_13, FW_TLS_12_ONLY, FW_TLS_13_ONLY };

/* A certificate and its key: both in files (PEM; the certificate first, its intermediates after
 * it), or, when certificate_file is NULL, both in memory (PEM or DER). */
struct fw_tls_certificate {
    const char *certificate_file;
    const char *key_file;
    struct fw_bytes certificate;
    struct fw_bytes key;
};

struct fw_tls_options {
    enum fw_tls_role role;
    /* A server has at least one; the first serves names that no certificate is for. A client has
     * at most one, to show when it is asked. */
    const struct fw_tls_certificate *certificates;
    unsigned certificates_count;
    /* PEM files of CAs. A server that has one demands a certificate of every client. For a client
     * it replaces the system's roots. */
    const char *ca_file;
    /* A client takes any certificate from anybody. For measuring on one machine, never else. */
    bool trust_anyone;
    /* A server's ticket keys, shared; NULL for no tickets. Not used when ca_file is set: a ticket
     * would outlive the certificate that it stands for. */
    struct fw_tls_tickets *tickets;
    /* The one application protocol, "http/1.1"; NULL offers none and refuses none. A client that
     * offers none gets none; one that offers only others is refused (RFC 7301, section 3.2). */
    const char *alpn;
    enum fw_tls_versions versions;
};

/* Reads certificates and keys, checks that they belong together, and makes a context of them.
 *
 * options      borrowed
 * why          written: on failure what is wrong with which file and what to do; on success the
 *              warnings (an expired certificate, trust_anyone), empty when there are none
 * thread       any; reads files
 * errors       FW_ERR_TLS_FILE, FW_ERR_TLS_KEY_EXPOSED, FW_ERR_TLS_KEY_MISMATCH,
 *              FW_ERR_TLS_LIBRARY, FW_ERR_USAGE, -ENOMEM
 */
int fw_tls_context_create(const struct fw_tls_options *options, char *why, size_t why_bytes,
                          struct fw_tls_context **context_out);

/* Each connection holds its context, so one that was replaced lives as long as its last. */
void fw_tls_context_hold(struct fw_tls_context *context);
void fw_tls_context_drop(struct fw_tls_context *context);

/* The place where a server keeps the context that new connections get, and where a reload puts
 * another: nobody is dropped, the next connection on any worker sees the new one.
 *
 * thread       any
 */
struct fw_tls_place;
/* gives the first context; on -ENOMEM it stays the caller's. */
int fw_tls_place_create(struct fw_tls_context *context, struct fw_tls_place **place_out);
void fw_tls_place_destroy(struct fw_tls_place *place);
/* shares the current context: the caller drops it. */
struct fw_tls_context *fw_tls_place_take(struct fw_tls_place *place);
/* gives a new context; the one before is dropped. */
void fw_tls_place_put(struct fw_tls_place *place, struct fw_tls_context *context);

/* ---- tickets (RFC 5077, RFC 8446 section 4.6.1) ---- */

/* How long a key makes new tickets, and how many older ones still open theirs: a ticket works for
 * at least 2 hours and at most 3. */
#define FW_TLS_TICKET_ROTATE_MS  (60u * 60u * 1000u)
#define FW_TLS_TICKET_KEYS_COUNT 3
/* RFC 8446's own bound is 7 days; ours holds whatever the rotation. */
#define FW_TLS_TICKET_AGE_MS_MAX (24u * 60u * 60u * 1000u)
static_assert(FW_TLS_TICKET_KEYS_COUNT * FW_TLS_TICKET_ROTATE_MS <= FW_TLS_TICKET_AGE_MS_MAX,
              "no ticket outlives a day");

/* Makes ticket keys; they live in memory only and rotate by themselves.
 *
 * now_ms       a clock that counts through suspend; NULL for CLOCK_BOOTTIME
 * errors       -ENOMEM, -errno of getrandom
 */
int fw_tls_tickets_create(uint64_t (*now_ms)(void *), void *now_context,
                          struct fw_tls_tickets **tickets_out);
void fw_tls_tickets_hold(struct fw_tls_tickets *tickets);
void fw_tls_tickets_drop(struct fw_tls_tickets *tickets);

/* ---- the throw-away certificate ---- */

#define FW_TLS_SELF_SIGNED_HOSTS_MAX      8
#define FW_TLS_SELF_SIGNED_HOST_CHARS_MAX 63

struct fw_tls_self_signed {
    uint8_t certificate[1024]; /* DER */
    uint8_t key[256];          /* DER */
    size_t certificate_bytes;
    size_t key_bytes;
    char fingerprint[3 * 32]; /* SHA-256 of the certificate, "AB:CD:..." */
};

/* Makes an ECDSA P-256 key and a certificate for it, for trying out: nobody trusts it.
 *
 * hosts        names and addresses it is for; the first is also its subject
 * days         1..90, from now
 * self_out     wipe it with fw_tls_self_signed_clear when the context is made
 * errors       FW_ERR_USAGE, FW_ERR_TLS_LIBRARY, -ENOMEM
 */
int fw_tls_self_sign(const char *const *hosts, unsigned hosts_count, unsigned days,
                     struct fw_tls_self_signed *self_out);
void fw_tls_self_signed_clear(struct fw_tls_self_signed *self);

/* ---- connections; thread: worker ---- */

/* Where cipher bytes are appended. The owner sends bytes[0..count) when it likes; `grow` makes room
 * for `more` bytes behind count, and may move the bytes. */
struct fw_tls_sink {
    uint8_t *bytes;
    size_t count;
    size_t capacity;
    bool (*grow)(struct fw_tls_sink *sink, size_t more);
};

/* A `grow` for sinks whose bytes come from fw_mem_alloc; begin with all zero, free `bytes` after.
 */
bool fw_tls_sink_grow(struct fw_tls_sink *sink, size_t more);

enum fw_tls_state {
    FW_TLS_HELLO,       /* server: the ClientHello is not whole yet */
    FW_TLS_HELLO_READY, /* server: the next fw_tls_plain does a handshake's expensive step */
    FW_TLS_HANDSHAKE,
    FW_TLS_OPEN,
    FW_TLS_CLOSED, /* the peer said close_notify; sending still works */
    FW_TLS_FAILED, /* every call says the same error again */
};

/* Begins a connection in its context's role.
 *
 * context      shared
 * host         client: the name or address that the certificate must be for, sent as SNI when it is
 *              a name; NULL only with trust_anyone. Server: NULL. Copied.
 * session      client: what fw_tls_session_save kept, borrowed; NULL for a full handshake. Ignored
 *              when it is of another host.
 * errors       -ENOMEM, FW_ERR_USAGE, FW_ERR_TLS_LIBRARY
 */
int fw_tls_create(struct fw_tls_context *context, const char *host,
                  const struct fw_tls_session *session, struct fw_tls **tls_out);

/* Wipes and frees; says nothing to the peer. */
void fw_tls_destroy(struct fw_tls *tls);

enum fw_tls_state fw_tls_state(const struct fw_tls *tls);

/* Lends cipher bytes, until fw_tls_plain returns 0 or an error, or fw_tls_keep is called. A
 * server's connection copies them as long as it is not past HELLO_READY.
 *
 * errors       FW_ERR_TLS_NOT_TLS, FW_ERR_TLS_HELLO, FW_ERR_TLS_HELLO_TOO_LARGE, FW_ERR_TLS_CIPHER,
 *              -ENOMEM, and the connection's error when it has failed before; one more fw_tls_plain
 *              puts the alert that says so into the sink
 */
int fw_tls_received(struct fw_tls *tls, const uint8_t *bytes, size_t bytes_count);

/* Goes on with what was received: a step of the handshake, and then plain bytes.
 *
 * out          FW_TLS_PLAIN_BYTES_MAX are always enough for a record; with fewer, wolfSSL keeps the
 *              rest of it
 * sink         takes handshake messages, answers and alerts
 * returns      bytes of plaintext; 0 when it needs more cipher bytes, and all that were lent have
 *              been used or copied. A client's first call, before anything came, sends its hello.
 * errors       FW_ERR_TLS_ENDED after close_notify, every other FW_ERR_TLS_*, -ENOMEM
 */
ssize_t fw_tls_plain(struct fw_tls *tls, uint8_t *out, size_t out_bytes, struct fw_tls_sink *sink);

/* Copies what is lent and not used yet, for an owner that stops asking for plain bytes before there
 * are none left. It is used before anything received later.
 *
 * errors       -ENOMEM
 */
int fw_tls_keep(struct fw_tls *tls);

/* Encrypts pieces, in order, into as few records as they fit in.
 *
 * pieces       borrowed; none of more than INT_MAX bytes
 * errors       -ENOMEM, FW_ERR_TLS_LIBRARY, and the connection's error when it has failed before;
 *              after one, what is in the sink must not be sent
 */
int fw_tls_send(struct fw_tls *tls, const struct iovec *pieces, unsigned pieces_count,
                struct fw_tls_sink *sink);

/* Says close_notify, once. Nothing may be sent after it. */
int fw_tls_end(struct fw_tls *tls, struct fw_tls_sink *sink);

/* Why the connection failed, with the host, the alert or wolfSSL's reason: one sentence. */
void fw_tls_why(const struct fw_tls *tls, char *why, size_t why_bytes);

/* What was negotiated; the strings live as long as the connection. NULL where there is none.
 *
 * server_name  the name the client asked for (SNI), lower case
 * alpn         the application protocol, "http/1.1"
 * peer_subject the verified subject of the peer's certificate, as RFC 4514 writes it:
 *              "CN=alice,O=Example"; a client that resumed sees no certificate, and has none
 */
const char *fw_tls_server_name(const struct fw_tls *tls);
const char *fw_tls_alpn(const struct fw_tls *tls);
const char *fw_tls_peer_subject(const struct fw_tls *tls);
const char *fw_tls_version(const struct fw_tls *tls);
const char *fw_tls_cipher(const struct fw_tls *tls);
bool fw_tls_resumed(const struct fw_tls *tls);

/* Heap bytes of this connection that are not in fw_tls_memory: its own struct, cut records, names.
 */
size_t fw_tls_bytes(const struct fw_tls *tls);

/* Keeps what an open client connection needs to resume with the same host.
 *
 * errors       FW_ERR_ABSENT when the server gave no ticket (in TLS 1.3 it comes with the first
 *              bytes after the handshake), -ENOMEM
 */
int fw_tls_session_save(struct fw_tls *tls, struct fw_tls_session **session_out);
void fw_tls_session_destroy(struct fw_tls_session *session);

#endif
