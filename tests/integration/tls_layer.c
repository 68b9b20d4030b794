/* tls_layer.c: see tls_layer.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/tls_layer.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILES_MAX 64

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "tls_layer: %s\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

/* ---- the layer ------------------------------------------------------------------------------- */

static SSL_CTX *context;

SSL_CTX *tls_layer_context(void)
{
    if (context != NULL)
        return context;
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        die("SSL_CTX_new");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Reads as much as there is, as a plain client does: TCP opens a narrow window late for those
     * who read 5 octets and then a record. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, 64 * 1024);
    /* Held: OpenSSL's own memory is not what these tests look for leaks in. */
    return context;
}

/* What a call of OpenSSL's that did not go through is in the words of recv and send. */
static ssize_t result_of(SSL *ssl, int result)
{
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error();
        errno = errno == 0 || errno == EAGAIN ? EPROTO : errno;
        return -1;
    }
}

static bool wait_for(SSL *ssl, int result)
{
    int wanted = SSL_get_error(ssl, result);
    struct pollfd waiting = {.fd = SSL_get_fd(ssl),
                             .events = wanted == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
    if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE)
        return false;
    return poll(&waiting, 1, WS_CLIENT_PATIENCE_MS) > 0;
}

static const char *asked_name;
static SSL_SESSION *resumed;
static size_t split_bytes;

void tls_ask_for(const char *name)
{
    asked_name = name;
}

void tls_resume(SSL_SESSION *session)
{
    resumed = session;
}

void tls_split(size_t bytes)
{
    split_bytes = bytes;
}

/* A socket's BIO whose writes are cut: TCP_NODELAY makes a segment of each. */
static int write_split(BIO *bio, const char *bytes, int count)
{
    int (*write)(BIO *, const char *, int) = BIO_meth_get_write(BIO_s_socket());
    return write(bio, bytes, split_bytes < (size_t)count ? (int)split_bytes : count);
}

static BIO *open_split(int fd)
{
    const BIO_METHOD *socket = BIO_s_socket();
    static BIO_METHOD *method;
    if (method == NULL) {
        method = BIO_meth_new(BIO_TYPE_SOCKET, "split");
        BIO_meth_set_write(method, write_split);
        BIO_meth_set_read(method, BIO_meth_get_read(socket));
        BIO_meth_set_puts(method, BIO_meth_get_puts(socket));
        BIO_meth_set_ctrl(method, BIO_meth_get_ctrl(socket));
        BIO_meth_set_create(method, BIO_meth_get_create(socket));
        BIO_meth_set_destroy(method, BIO_meth_get_destroy(socket));
    }
    BIO *bio = BIO_new(method);
    if (bio == NULL)
        die("BIO_new");
    BIO_set_fd(bio, fd, BIO_NOCLOSE);
    return bio;
}

static SSL *open_session(int fd)
{
    SSL *ssl = SSL_new(tls_layer_context());
    if (ssl == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || SSL_set_fd(ssl, fd) != 1)
        die("SSL_new");
    if (split_bytes > 0) {
        BIO *bio = open_split(fd);
        SSL_set_bio(ssl, bio, bio);
    }
    if (asked_name != NULL)
        SSL_set_tlsext_host_name(ssl, asked_name);
    if (resumed != NULL)
        SSL_set_session(ssl, resumed);
    return ssl;
}

void tls_half_handshake(int fd)
{
    /* Into memory: on a socket it might find the answer there already, and go on. */
    SSL *ssl = SSL_new(tls_layer_context());
    BIO *out = BIO_new(BIO_s_mem());
    char *hello;
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    (void)SSL_connect(ssl);
    long count = BIO_get_mem_data(out, &hello);
    if (count <= 0 || send(fd, hello, (size_t)count, MSG_NOSIGNAL) != count)
        die("a ClientHello cannot be sent");
    ERR_clear_error();
    SSL_free(ssl);
}

/* A test may send in one thread and receive in another; OpenSSL does not bear that. */
struct layered {
    SSL *ssl;
    pthread_mutex_t lock;
};

static struct layered *layer(SSL *ssl)
{
    struct layered *self = calloc(1, sizeof *self);
    if (self == NULL)
        die("calloc");
    self->ssl = ssl;
    pthread_mutex_init(&self->lock, NULL);
    return self;
}

static void *layer_begin(int fd)
{
    SSL *ssl = open_session(fd);
    for (;;) {
        int result = SSL_connect(ssl);
        if (result == 1)
            return layer(ssl);
        if (!wait_for(ssl, result))
            break;
    }
    ERR_clear_error();
    SSL_free(ssl);
    return NULL;
}

static ssize_t layer_send(void *state, const void *bytes, size_t count)
{
    struct layered *self = state;
    pthread_mutex_lock(&self->lock);
    errno = 0;
    int sent = SSL_write(self->ssl, bytes, count < 1 << 20 ? (int)count : 1 << 20);
    ssize_t result = sent > 0 ? sent : result_of(self->ssl, sent);
    pthread_mutex_unlock(&self->lock);
    return result;
}

static ssize_t layer_receive(void *state, void *bytes, size_t count)
{
    struct layered *self = state;
    pthread_mutex_lock(&self->lock);
    errno = 0;
    int got = SSL_read(self->ssl, bytes, count < 1 << 20 ? (int)count : 1 << 20);
    ssize_t result = got > 0 ? got : result_of(self->ssl, got);
    pthread_mutex_unlock(&self->lock);
    return result;
}

static void layer_finish(void *state)
{
    struct layered *self = state;
    SSL_shutdown(self->ssl);
}

static void layer_end(void *state)
{
    struct layered *self = state;
    SSL_free(self->ssl);
    pthread_mutex_destroy(&self->lock);
    free(self);
    ERR_clear_error();
}

const struct ws_client_layer tls_layer = {
    .begin = layer_begin,
    .send = layer_send,
    .receive = layer_receive,
    .finish = layer_finish,
    .end = layer_end,
};

SSL *tls_layer_of(struct ws_client *client)
{
    return ((struct layered *)client->layer_state)->ssl;
}

/* ---- certificates ---------------------------------------------------------------------------- */

static char made[FILES_MAX][64];
static unsigned made_count;
static pid_t made_by;

static void remove_files(void)
{
    for (unsigned i = 0; made_by == getpid() && i < made_count; i++)
        unlink(made[i]);
}

static FILE *open_file(char path[64])
{
    if (made_count == 0) {
        made_by = getpid();
        atexit(remove_files);
    }
    if (made_count == FILES_MAX)
        die("too many files");
    strcpy(path, "/tmp/fanwire-tls-XXXXXX");
    int fd = mkstemp(path); /* 0600 */
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL)
        die("mkstemp");
    strcpy(made[made_count++], path);
    return file;
}

static EVP_PKEY *read_key(const char *path)
{
    FILE *file = fopen(path, "r");
    EVP_PKEY *key = file == NULL ? NULL : PEM_read_PrivateKey(file, NULL, NULL, NULL);
    if (key == NULL)
        die(path);
    fclose(file);
    return key;
}

static X509 *read_certificate(const char *path)
{
    FILE *file = fopen(path, "r");
    X509 *certificate = file == NULL ? NULL : PEM_read_X509(file, NULL, NULL, NULL);
    if (certificate == NULL)
        die(path);
    fclose(file);
    return certificate;
}

static void extend(X509 *certificate, int what, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, what, value);
    if (extension == NULL || X509_add_ext(certificate, extension, -1) != 1)
        die(value);
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(EVP_PKEY *key, const char *name, const struct tls_files *issuer,
                              long from_seconds, long to_seconds)
{
    static long serial;
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    char names[300];
    snprintf(names, sizeof names, "DNS:%s,IP:127.0.0.1", name);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long)getpid() * 100 + ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from_seconds);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to_seconds);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    extend(certificate, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    extend(certificate, NID_subject_alt_name, names);
    EVP_PKEY *signer = issuer == NULL ? key : read_key(issuer->key);
    X509 *above = issuer == NULL ? NULL : read_certificate(issuer->certificate);
    X509_set_issuer_name(certificate, above == NULL ? subject : X509_get_subject_name(above));
    if (X509_sign(certificate, signer, EVP_sha256()) == 0)
        die("X509_sign");
    X509_free(above);
    if (signer != key)
        EVP_PKEY_free(signer);
    return certificate;
}

void tls_files_make(struct tls_files *files, const char *name, const struct tls_files *issuer)
{
    tls_files_make_between(files, name, issuer, -3600, 86400);
}

void tls_files_make_between(struct tls_files *files, const char *name,
                            const struct tls_files *issuer, long from_seconds, long to_seconds)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL)
        die("EVP_EC_gen");
    X509 *certificate = make_certificate(key, name, issuer, from_seconds, to_seconds);
    FILE *file = open_file(files->key);
    if (PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 || fclose(file) != 0)
        die("PEM_write_PrivateKey");
    file = open_file(files->certificate);
    if (PEM_write_X509(file, certificate) != 1 || fclose(file) != 0)
        die("PEM_write_X509");
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void tls_files_replace(const struct tls_files *from, const struct tls_files *to)
{
    if (rename(from->certificate, to->certificate) != 0 || rename(from->key, to->key) != 0)
        die("rename");
}

void tls_shown_name(struct ws_client *client, char *name, size_t name_bytes)
{
    X509 *certificate = SSL_get1_peer_certificate(tls_layer_of(client));
    name[0] = '\0';
    if (certificate == NULL)
        return;
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              (int)name_bytes);
    X509_free(certificate);
}
