/* tls_context.c: certificates, keys and rules, read and checked before anybody is served by them.
 *
 * A context is made whole or not at all, never changes, and lives as long as its last connection: a
 * reload makes another and puts it in the place that new connections take theirs from.
 *
 * Each certificate has a wolfSSL ctx of its own, chosen by the server name before the session is
 * made; wolfSSL's own callback for that exists only in builds with its OpenSSL layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "base/mem.h"
#include "net/tls/tls_file.h"
#include "net/tls/tls_internal.h"
#include "net/tls/tls_names.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <wolfssl/wolfcrypt/asn.h>

/* Mozilla's "intermediate" without DHE, which is slow, and in the order that hardware likes: AEAD
 * suites with forward secrecy only. */
static const char suites[] = "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384"
#if defined(HAVE_CHACHA) && defined(HAVE_POLY1305)
                             ":TLS13-CHACHA20-POLY1305-SHA256"
#endif
                             ":ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
                             ":ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

static int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};
#define GROUPS_COUNT (sizeof groups / sizeof groups[0])

#define RSA_BITS_MIN   2048
#define ECDSA_BITS_MIN 256

/* What the making of a context passes around. */
struct making {
    const struct fw_tls_options *options;
    char *why;
    size_t why_bytes;
    struct fw_tls_file ca; /* of ca_file, or empty */
};

static int refuse(struct making *making, int status, const char *what, const char *reason)
{
    snprintf(making->why, making->why_bytes, "%s: %s", what, reason);
    return status;
}

static int refuse_library(struct making *making, const char *what, int library_error)
{
    int status = library_error == MEMORY_E ? -ENOMEM : FW_ERR_TLS_FILE;
    return refuse(making, status, what,
                  library_error < 0 ? wolfSSL_ERR_reason_error_string((unsigned long)library_error)
                                    : "wolfSSL refuses it");
}

/* Appends a warning to what a success says. */
static void warn(struct making *making, const char *what, const char *warning)
{
    size_t at = strlen(making->why);
    snprintf(making->why + at, making->why_bytes - at, "%s%s: %s", at > 0 ? "; " : "", what,
             warning);
}

/* ---- rules ---- */

static WOLFSSL_METHOD *choose_method(enum fw_tls_role role, enum fw_tls_versions versions)
{
    bool server = role == FW_TLS_SERVER;
    switch (versions) {
    case FW_TLS_12_AND_13:
        return server ? wolfSSLv23_server_method() : wolfSSLv23_client_method();
    case FW_TLS_12_ONLY:
        return server ? wolfTLSv1_2_server_method() : wolfTLSv1_2_client_method();
    case FW_TLS_13_ONLY:
        return server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method();
    }
    return NULL;
}

/* Groups for key shares are TLS 1.3's notion; the curves below are what TLS 1.2 calls them. */
static bool set_versions(WOLFSSL_CTX *ctx, enum fw_tls_versions versions)
{
    if (versions == FW_TLS_12_ONLY)
        return true;
    int least = versions == FW_TLS_13_ONLY ? WOLFSSL_TLSV1_3 : WOLFSSL_TLSV1_2;
    return wolfSSL_CTX_SetMinVersion(ctx, least) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_groups(ctx, groups, GROUPS_COUNT) == WOLFSSL_SUCCESS;
}

static bool set_rules(WOLFSSL_CTX *ctx, enum fw_tls_versions versions)
{
    bool good = set_versions(ctx, versions) &&
                wolfSSL_CTX_set_cipher_list(ctx, suites) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_SetMinRsaKey_Sz(ctx, RSA_BITS_MIN) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_SetMinEccKey_Sz(ctx, ECDSA_BITS_MIN) == WOLFSSL_SUCCESS;
    for (size_t i = 0; good && i < GROUPS_COUNT; i++)
        good = wolfSSL_CTX_UseSupportedCurve(ctx, (word16)groups[i]) == WOLFSSL_SUCCESS;
    wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
#ifdef WOLFSSL_EARLY_DATA
    wolfSSL_CTX_set_max_early_data(ctx, 0); /* what is published must not be played twice */
#endif
    wolfSSL_CTX_SetIORecv(ctx, fw_tls_io_receive);
    wolfSSL_CTX_SetIOSend(ctx, fw_tls_io_send);
    return good;
}

static bool set_tickets(WOLFSSL_CTX *ctx, const struct fw_tls_context *context,
                        enum fw_tls_versions versions)
{
    if (context->role == FW_TLS_CLIENT)
        return wolfSSL_CTX_UseSessionTicket(ctx) == WOLFSSL_SUCCESS;
    if (context->tickets == NULL)
        return (versions == FW_TLS_12_ONLY || wolfSSL_CTX_no_ticket_TLSv13(ctx) == 0) &&
               wolfSSL_CTX_NoTicketTLSv12(ctx) == WOLFSSL_SUCCESS;
    int seconds = (FW_TLS_TICKET_KEYS_COUNT - 1) * (int)(FW_TLS_TICKET_ROTATE_MS / 1000);
    wolfSSL_CTX_set_timeout(ctx, (unsigned)seconds);
    return wolfSSL_CTX_set_TicketEncCb(ctx, fw_tls_ticket_seal) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_TicketEncCtx(ctx, context->tickets) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_TicketHint(ctx, seconds) == WOLFSSL_SUCCESS;
}

static int load_trust(struct making *making, WOLFSSL_CTX *ctx)
{
    if (making->ca.count == 0) {
        if (wolfSSL_CTX_load_system_CA_certs(ctx) == WOLFSSL_SUCCESS)
            return 0;
        return refuse(making, FW_ERR_TLS_FILE, "the system's CA certificates",
                      "none could be loaded; name a file of CAs");
    }
    int loaded = wolfSSL_CTX_load_verify_buffer(ctx, making->ca.bytes, (long)making->ca.count,
                                                WOLFSSL_FILETYPE_PEM);
    if (loaded != WOLFSSL_SUCCESS)
        return refuse_library(making, making->options->ca_file, loaded);
    return 0;
}

/* A new wolfSSL ctx with everything but certificates. */
static int make_ctx(struct making *making, struct fw_tls_context *context, WOLFSSL_CTX **ctx_out)
{
    enum fw_tls_versions versions = making->options->versions;
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(choose_method(context->role, versions));
    *ctx_out = ctx;
    if (ctx == NULL)
        return refuse(making, -ENOMEM, "TLS", "out of memory");
#ifdef FW_WOLFSSL_LIBCRYPTO
    wolfSSL_CTX_SetDevId(ctx, FW_TLS_DEVICE); /* before keys are loaded */
#endif
    if (!set_rules(ctx, versions) || !set_tickets(ctx, context, versions))
        return refuse(making, FW_ERR_TLS_LIBRARY, "TLS",
                      "wolfSSL does not take the versions, suites and groups that are wanted");
    if (!context->checks_peer) {
        wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
        return 0;
    }
    wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           fw_tls_peer_verify);
    return load_trust(making, ctx);
}

/* ---- certificates ---- */

static bool is_pem(struct fw_bytes bytes)
{
    return memmem(bytes.at, bytes.count, "-----BEGIN ", 11) != NULL;
}

static int use_certificate(WOLFSSL_CTX *ctx, struct fw_bytes certificate)
{
    if (is_pem(certificate))
        return wolfSSL_CTX_use_certificate_chain_buffer(ctx, certificate.at,
                                                        (long)certificate.count);
    return wolfSSL_CTX_use_certificate_buffer(ctx, certificate.at, (long)certificate.count,
                                              WOLFSSL_FILETYPE_ASN1);
}

static int use_key(WOLFSSL_CTX *ctx, struct fw_bytes key)
{
    return wolfSSL_CTX_use_PrivateKey_buffer(
        ctx, key.at, (long)key.count, is_pem(key) ? WOLFSSL_FILETYPE_PEM : WOLFSSL_FILETYPE_ASN1);
}

/* Adds a name to a list of strings; -ENOMEM when it cannot. */
static int add_name(struct fw_tls_identity *identity, size_t *names_bytes, struct fw_bytes name)
{
    if (name.count == 0 || name.count > FW_TLS_HOST_CHARS_MAX ||
        memchr(name.at, '\0', name.count) != NULL)
        return 0;
    char *names = identity->names == NULL
                      ? fw_mem_alloc(name.count + 1)
                      : fw_mem_resize(identity->names, *names_bytes + name.count + 1);
    if (names == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < name.count; i++)
        names[*names_bytes + i] = (char)fw_ascii_lower(name.at[i]);
    *names_bytes += name.count;
    names[(*names_bytes)++] = '\0';
    identity->names = names;
    identity->names_count++;
    return 0;
}

/* What clients may ask for to get this certificate. Here, where it only chooses, a certificate
 * without names may go by its subject. */
static int read_names(struct fw_tls_identity *identity, const DecodedCert *parsed)
{
    size_t bytes = 0;
    int status = 0;
    for (const DNS_entry *name = parsed->altNames; name != NULL && status == 0; name = name->next) {
        if (name->type == ASN_DNS_TYPE)
            status = add_name(identity, &bytes,
                              (struct fw_bytes){(const uint8_t *)name->name, (size_t)name->len});
    }
    if (status == 0 && parsed->altNames == NULL && parsed->subjectCN != NULL)
        status = add_name(
            identity, &bytes,
            (struct fw_bytes){(const uint8_t *)parsed->subjectCN, (size_t)parsed->subjectCNLen});
    return status;
}

static int read_certificate(struct making *making, struct fw_tls_identity *identity,
                            const char *what, struct fw_bytes der)
{
    DecodedCert parsed;
    wc_InitDecodedCert(&parsed, der.at, (word32)der.count, NULL);
    /* With VERIFY wolfSSL looks at the dates; that it misses the issuer is expected. */
    int error = wc_ParseCert(&parsed, CERT_TYPE, VERIFY, NULL);
    int status = 0;
    if (error == MEMORY_E)
        status = refuse_library(making, what, error);
    else if (parsed.badDate == ASN_AFTER_DATE_E)
        warn(making, what, "this certificate has expired; clients will refuse it");
    else if (parsed.badDate == ASN_BEFORE_DATE_E)
        warn(making, what, "this certificate is not valid yet; clients will refuse it");
    if (status == 0 && read_names(identity, &parsed) != 0)
        status = refuse(making, -ENOMEM, what, "out of memory");
    wc_FreeDecodedCert(&parsed);
    return status;
}

static int read_leaf(struct making *making, struct fw_tls_identity *identity, const char *what,
                     struct fw_bytes certificate)
{
    if (!is_pem(certificate))
        return read_certificate(making, identity, what, certificate);
    DerBuffer *der = NULL;
    int error =
        wc_PemToDer(certificate.at, (long)certificate.count, CERT_TYPE, &der, NULL, NULL, NULL);
    if (error != 0)
        return refuse_library(making, what, error);
    int status =
        read_certificate(making, identity, what, (struct fw_bytes){der->buffer, der->length});
    wc_FreeDer(&der);
    return status;
}

/* Whether the two belong together: asked, and then tried, since some wolfSSLs always say yes. */
static int check_key(struct making *making, const char *what, const char *what_key,
                     struct fw_bytes certificate, struct fw_bytes key)
{
    WOLFSSL_CTX *plain = wolfSSL_CTX_new(wolfSSLv23_server_method());
    if (plain == NULL)
        return refuse(making, -ENOMEM, what, "out of memory");
    int loaded = use_certificate(plain, certificate);
    if (loaded == WOLFSSL_SUCCESS)
        loaded = use_key(plain, key);
    int status = FW_ERR_TLS_KEY_MISMATCH;
    if (loaded != WOLFSSL_SUCCESS)
        status = refuse_library(making, what_key, loaded);
    else if (wolfSSL_CTX_check_private_key(plain) == WOLFSSL_SUCCESS)
        status = fw_tls_rehearse(plain);
    if (status == FW_ERR_TLS_KEY_MISMATCH)
        snprintf(making->why, making->why_bytes,
                 "%s: this key does not belong to the certificate %s", what_key, what);
    else if (status == -ENOMEM)
        refuse(making, status, what, "out of memory");
    wolfSSL_CTX_free(plain);
    return status;
}

static int load_identity(struct making *making, struct fw_tls_identity *identity, const char *what,
                         const char *what_key, struct fw_bytes certificate, struct fw_bytes key)
{
    int loaded = use_certificate(identity->ctx, certificate);
    if (loaded != WOLFSSL_SUCCESS)
        return refuse_library(making, what, loaded);
    loaded = use_key(identity->ctx, key);
    if (loaded != WOLFSSL_SUCCESS)
        return refuse_library(making, what_key, loaded);
    int status = check_key(making, what, what_key, certificate, key);
    if (status != 0)
        return status;
    return read_leaf(making, identity, what, certificate);
}

static int load_identity_files(struct making *making, struct fw_tls_identity *identity,
                               const struct fw_tls_certificate *from)
{
    struct fw_tls_file certificate;
    struct fw_tls_file key;
    int status = fw_tls_file_read(from->certificate_file, FW_TLS_FILE_PUBLIC, making->why,
                                  making->why_bytes, &certificate);
    if (status != 0)
        return status;
    status =
        fw_tls_file_read(from->key_file, FW_TLS_FILE_SECRET, making->why, making->why_bytes, &key);
    if (status != 0)
        goto clear_certificate;
    status = load_identity(making, identity, from->certificate_file, from->key_file,
                           (struct fw_bytes){certificate.bytes, certificate.count},
                           (struct fw_bytes){key.bytes, key.count});
    fw_tls_file_clear(&key);
clear_certificate:
    fw_tls_file_clear(&certificate);
    return status;
}

static int make_identity(struct making *making, struct fw_tls_context *context,
                         const struct fw_tls_certificate *from)
{
    struct fw_tls_identity *identity = &context->identities[context->identities_count];
    context->identities_count++; /* from here on the drop cleans up */
    int status = make_ctx(making, context, &identity->ctx);
    if (status != 0 || from == NULL)
        return status;
    if (from->certificate_file != NULL)
        return load_identity_files(making, identity, from);
    return load_identity(making, identity, "the certificate in memory", "the key in memory",
                         from->certificate, from->key);
}

/* ---- contexts ---- */

static int check_options(const struct fw_tls_options *options)
{
    bool server = options->role == FW_TLS_SERVER;
    if (options->certificates_count > (server ? FW_TLS_CERTIFICATES_MAX : 1) ||
        (server && options->certificates_count == 0) || (server && options->trust_anyone))
        return FW_ERR_USAGE;
    for (unsigned i = 0; i < options->certificates_count; i++) {
        const struct fw_tls_certificate *one = &options->certificates[i];
        if ((one->certificate_file == NULL) != (one->key_file == NULL) ||
            (one->certificate_file == NULL && (one->certificate.count == 0 || one->key.count == 0)))
            return FW_ERR_USAGE;
    }
    if (options->alpn != NULL && strlen(options->alpn) >= sizeof((struct fw_tls_context *)0)->alpn)
        return FW_ERR_USAGE;
    return 0;
}

static struct fw_tls_context *allocate(const struct fw_tls_options *options)
{
    unsigned count = options->certificates_count > 0 ? options->certificates_count : 1;
    struct fw_tls_context *context =
        fw_mem_zero(sizeof *context + count * sizeof context->identities[0]);
    if (context == NULL)
        return NULL;
    atomic_init(&context->references, 1);
    context->role = options->role;
    context->checks_peer =
        options->role == FW_TLS_CLIENT ? !options->trust_anyone : options->ca_file != NULL;
    if (options->alpn != NULL)
        memcpy(context->alpn, options->alpn, strlen(options->alpn) + 1);
    if (options->role == FW_TLS_SERVER && options->tickets != NULL && options->ca_file == NULL) {
        fw_tls_tickets_hold(options->tickets);
        context->tickets = options->tickets;
    }
    return context;
}

static int fill(struct making *making, struct fw_tls_context *context)
{
    const struct fw_tls_options *options = making->options;
    if (options->ca_file != NULL) {
        int status = fw_tls_file_read(options->ca_file, FW_TLS_FILE_PUBLIC, making->why,
                                      making->why_bytes, &making->ca);
        if (status != 0)
            return status;
    }
    if (context->checks_peer) {
        int status = make_ctx(making, context, &context->roots);
        if (status != 0)
            return status;
    }
    if (options->certificates_count == 0)
        return make_identity(making, context, NULL);
    for (unsigned i = 0; i < options->certificates_count; i++) {
        int status = make_identity(making, context, &options->certificates[i]);
        if (status != 0)
            return status;
    }
    return 0;
}

int fw_tls_context_create(const struct fw_tls_options *options, char *why, size_t why_bytes,
                          struct fw_tls_context **context_out)
{
    struct making making = {.options = options, .why = why, .why_bytes = why_bytes};
    why[0] = '\0';
    if (check_options(options) != 0)
        return refuse(&making, FW_ERR_USAGE, "TLS", "the options contradict each other");
    if (fw_tls_library_start() != 0)
        return refuse(&making, FW_ERR_TLS_LIBRARY, "TLS", "wolfSSL does not start");
    struct fw_tls_context *context = allocate(options);
    if (context == NULL)
        return refuse(&making, -ENOMEM, "TLS", "out of memory");

    int status = fill(&making, context);
    fw_tls_file_clear(&making.ca);
    if (status != 0) {
        fw_tls_context_drop(context);
        return status;
    }
    if (options->trust_anyone)
        warn(&making, "TLS", "the server's certificate is not checked, anybody can be in between");
    *context_out = context;
    return 0;
}

void fw_tls_context_hold(struct fw_tls_context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

void fw_tls_context_drop(struct fw_tls_context *context)
{
    /* Whoever frees must see what the others did before they let go. */
    if (context == NULL ||
        atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < context->identities_count; i++) {
        wolfSSL_CTX_free(context->identities[i].ctx);
        fw_mem_free(context->identities[i].names);
    }
    wolfSSL_CTX_free(context->roots);
    fw_tls_tickets_drop(context->tickets);
    fw_mem_free(context);
}

static struct fw_tls_identity *find(struct fw_tls_context *context, const char *host, bool wild)
{
    for (unsigned i = 0; i < context->identities_count; i++) {
        const char *name = context->identities[i].names;
        for (unsigned n = 0; n < context->identities[i].names_count; n++) {
            if ((name[0] == '*') == wild && fw_tls_name_matches(fw_bytes_of(name), host))
                return &context->identities[i];
            name += strlen(name) + 1;
        }
    }
    return NULL;
}

struct fw_tls_identity *fw_tls_context_choose(struct fw_tls_context *context, const char *host)
{
    struct fw_tls_identity *found = NULL;
    if (host != NULL) {
        found = find(context, host, false);
        if (found == NULL)
            found = find(context, host, true);
    }
    return found != NULL ? found : &context->identities[0];
}

/* ---- the place ---- */

/* A lock and not a bare atomic pointer: between reading the pointer and taking the reference the
 * context could be freed. It is taken once per connection, held for two instructions. */
struct fw_tls_place {
    pthread_mutex_t lock;
    struct fw_tls_context *context;
};

int fw_tls_place_create(struct fw_tls_context *context, struct fw_tls_place **place_out)
{
    struct fw_tls_place *place = fw_mem_alloc(sizeof *place);
    if (place == NULL)
        return -ENOMEM;
    pthread_mutex_init(&place->lock, NULL);
    place->context = context;
    *place_out = place;
    return 0;
}

void fw_tls_place_destroy(struct fw_tls_place *place)
{
    if (place == NULL)
        return;
    fw_tls_context_drop(place->context);
    pthread_mutex_destroy(&place->lock);
    fw_mem_free(place);
}

struct fw_tls_context *fw_tls_place_take(struct fw_tls_place *place)
{
    pthread_mutex_lock(&place->lock);
    struct fw_tls_context *context = place->context;
    fw_tls_context_hold(context);
    pthread_mutex_unlock(&place->lock);
    return context;
}

void fw_tls_place_put(struct fw_tls_place *place, struct fw_tls_context *context)
{
    pthread_mutex_lock(&place->lock);
    struct fw_tls_context *before = place->context;
    place->context = context;
    pthread_mutex_unlock(&place->lock);
    fw_tls_context_drop(before); /* may free a lot: not under the lock */
}
