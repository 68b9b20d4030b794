/* tls_ticket.c: session tickets, sealed with keys of our own that change every hour.
 *
 *      ticket = key name (16) | nonce (12 of the 16 for an IV) | AES-256-GCM(session) | tag (16 of
 * 32)
 *
 * wolfSSL fills the session in and lays the four out; the key name and the nonce are authenticated
 * too. All workers share one struct, so a client resumes on whichever it lands. Keys never leave
 * memory. There is no 0-RTT: a ticket shortens a handshake, it never carries a request that could
 * be played twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "net/tls/tls_internal.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <wolfssl/wolfcrypt/aes.h>

#define NONCE_BYTES 12
#define TAG_BYTES   16
static_assert(NONCE_BYTES <= WOLFSSL_TICKET_IV_SZ, "the nonce has room");
static_assert(TAG_BYTES <= WOLFSSL_TICKET_MAC_SZ, "the tag has room");

struct ticket_key {
    uint8_t name[WOLFSSL_TICKET_NAME_SZ];
    uint8_t secret[32];
    uint64_t made_ms;
    bool present;
};

struct fw_tls_tickets {
    _Atomic uint32_t references;
    uint64_t (*now_ms)(void *);
    void *now_context;
    pthread_mutex_t lock; /* held for a copy of a key, never for cryptography */
    struct ticket_key keys[FW_TLS_TICKET_KEYS_COUNT]; /* the newest first */
};

static uint64_t boot_now_ms(void *context)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* Up to 256 bytes come whole or not at all (getrandom(2)). */
static bool fill_random(void *bytes, size_t count)
{
    return getrandom(bytes, count, 0) == (ssize_t)count;
}

static bool make_key(struct ticket_key *key, uint64_t now_ms)
{
    key->made_ms = now_ms;
    key->present =
        fill_random(key->name, sizeof key->name) && fill_random(key->secret, sizeof key->secret);
    return key->present;
}

int fw_tls_tickets_create(uint64_t (*now_ms)(void *), void *now_context,
                          struct fw_tls_tickets **tickets_out)
{
    struct fw_tls_tickets *tickets = fw_mem_zero(sizeof *tickets);
    if (tickets == NULL)
        return -ENOMEM;
    atomic_init(&tickets->references, 1);
    tickets->now_ms = now_ms != NULL ? now_ms : boot_now_ms;
    tickets->now_context = now_context;
    if (!make_key(&tickets->keys[0], tickets->now_ms(now_context))) {
        int status = -errno;
        fw_mem_free(tickets);
        return status;
    }
    pthread_mutex_init(&tickets->lock, NULL);
    *tickets_out = tickets;
    return 0;
}

void fw_tls_tickets_hold(struct fw_tls_tickets *tickets)
{
    atomic_fetch_add_explicit(&tickets->references, 1, memory_order_relaxed);
}

void fw_tls_tickets_drop(struct fw_tls_tickets *tickets)
{
    /* Whoever frees must see what the others did before they let go. */
    if (tickets == NULL ||
        atomic_fetch_sub_explicit(&tickets->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&tickets->lock);
    explicit_bzero(tickets->keys, sizeof tickets->keys);
    fw_mem_free(tickets);
}

/* Whether a key still opens tickets: for as long as the keys behind it take to push it out. */
static bool is_alive(const struct ticket_key *key, uint64_t now_ms)
{
    return key->present &&
           now_ms - key->made_ms < (uint64_t)FW_TLS_TICKET_KEYS_COUNT * FW_TLS_TICKET_ROTATE_MS;
}

/* Rotation needs no timer: a key that nobody asks for harms nobody. */
static void rotate(struct fw_tls_tickets *tickets, uint64_t now_ms)
{
    struct ticket_key *keys = tickets->keys;
    if (now_ms - keys[0].made_ms >= FW_TLS_TICKET_ROTATE_MS) {
        struct ticket_key fresh;
        if (make_key(&fresh, now_ms)) {
            memmove(keys + 1, keys, (FW_TLS_TICKET_KEYS_COUNT - 1) * sizeof *keys);
            keys[0] = fresh;
        }
        explicit_bzero(&fresh, sizeof fresh);
    }
    for (unsigned i = 0; i < FW_TLS_TICKET_KEYS_COUNT; i++) {
        if (!is_alive(&keys[i], now_ms))
            explicit_bzero(&keys[i], sizeof keys[i]);
    }
}

/* Copies the newest key, or the one that is called `name`. false when there is none. */
static bool copy_key(struct fw_tls_tickets *tickets, const uint8_t *name,
                     struct ticket_key *key_out)
{
    bool found = false;
    pthread_mutex_lock(&tickets->lock);
    /* Read under the lock: a time from before another's rotation would look like an age of for
     * ever. */
    rotate(tickets, tickets->now_ms(tickets->now_context));
    for (unsigned i = 0; i < FW_TLS_TICKET_KEYS_COUNT && !found; i++) {
        const struct ticket_key *key = &tickets->keys[i];
        found = key->present && (name == NULL || memcmp(key->name, name, sizeof key->name) == 0);
        if (found)
            *key_out = *key;
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

/* Seals or opens `count` bytes in place. */
static int seal(const struct ticket_key *key, const uint8_t *iv, uint8_t *mac, bool encrypt,
                uint8_t *bytes, int count)
{
    uint8_t bound[WOLFSSL_TICKET_NAME_SZ + WOLFSSL_TICKET_IV_SZ];
    memcpy(bound, key->name, sizeof key->name);
    memcpy(bound + sizeof key->name, iv, WOLFSSL_TICKET_IV_SZ);

    Aes aes;
    int error = wc_AesInit(&aes, NULL, FW_TLS_DEVICE);
    if (error != 0)
        return error;
    error = wc_AesGcmSetKey(&aes, key->secret, sizeof key->secret);
    if (error == 0 && encrypt)
        error = wc_AesGcmEncrypt(&aes, bytes, bytes, (word32)count, iv, NONCE_BYTES, mac, TAG_BYTES,
                                 bound, sizeof bound);
    else if (error == 0)
        error = wc_AesGcmDecrypt(&aes, bytes, bytes, (word32)count, iv, NONCE_BYTES, mac, TAG_BYTES,
                                 bound, sizeof bound);
    wc_AesFree(&aes);
    return error;
}

int fw_tls_ticket_seal(WOLFSSL *ssl, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                       unsigned char iv[WOLFSSL_TICKET_IV_SZ],
                       unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int encrypt, unsigned char *ticket,
                       int ticket_bytes, int *sealed_bytes, void *tickets)
{
    (void)ssl;
    /* A ticket that does not open is no error: the peer gets a full handshake. One that cannot be
     * sealed must not be sent. */
    int refused = encrypt ? WOLFSSL_TICKET_RET_FATAL : WOLFSSL_TICKET_RET_REJECT;
    struct ticket_key key;
    if (!copy_key(tickets, encrypt ? NULL : name, &key))
        return refused;
    if (encrypt) {
        memcpy(name, key.name, sizeof key.name);
        memset(iv, 0, WOLFSSL_TICKET_IV_SZ);
        memset(mac, 0, WOLFSSL_TICKET_MAC_SZ);
        if (!fill_random(iv, NONCE_BYTES)) {
            explicit_bzero(&key, sizeof key);
            return refused;
        }
    }
    int error = seal(&key, iv, mac, encrypt != 0, ticket, ticket_bytes);
    explicit_bzero(&key, sizeof key);
    *sealed_bytes = ticket_bytes;
    return error == 0 ? WOLFSSL_TICKET_RET_OK : refused;
}
