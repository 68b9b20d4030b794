/* test_client_tls.c: wss connections of the client: whom it believes, what it shows, and what it
 * tells when nothing comes of it. The servers are ours, and one of OpenSSL's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/client_rig.h"
#include "support/fail_mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A server that shows a certificate, and demands one of clients when client_ca is given. */
static void start_server(struct server *server, enum fw_engine_choice engine,
                         const struct tls_files *files, const char *client_ca)
{
    server_init(server, engine);
    server_show(server, files, NULL);
    server->options.tls_client_ca_file = client_ca;
    server_start(server);
}

static const char *port_of(const struct server *server)
{
    return strrchr(server->address, ':') + 1;
}

/* A client that believes this CA's certificates; NULL: anybody's. */
static void start_caller(struct caller *caller, enum fw_engine_choice engine, const char *ca)
{
    caller_init(caller, engine);
    caller->options.tls_ca_file = ca;
    caller->options.tls_insecure = ca == NULL;
    caller_start(caller);
}

static void aim(struct caller *caller, const char *host, const char *port)
{
    snprintf(caller->url, sizeof caller->url, "wss://%s:%s/room", host, port);
}

/* Connects once, and gives what on_fail was told; 0 when it opened and was greeted. */
static int try_once(struct caller *caller)
{
    unsigned opened = atomic_load(&caller->opened);
    unsigned failed = atomic_load(&caller->failed);
    unsigned messages = atomic_load(&caller->messages);
    int status = fw_client_connect(caller->client, caller->url, NULL);
    if (status != 0)
        return status;
    EVENTUALLY(atomic_load(&caller->messages) > messages || atomic_load(&caller->failed) > failed);
    return atomic_load(&caller->opened) > opened ? 0 : atomic_load(&caller->status);
}

/* ---- whom it believes ------------------------------------------------------------------------ */

/* RFC 9525, section 6: the name or address of the URL is the one that counts. */
SERVER_TEST(client_tls, believes_a_certificate_of_its_ca_for_the_urls_host, 60)
{
    struct server server;
    struct caller caller;
    struct tls_files ca;
    struct tls_files files;
    tls_files_make(&ca, "the CA", NULL);
    tls_files_make(&files, "localhost", &ca);
    start_server(&server, engine, &files, NULL);
    start_caller(&caller, engine, ca.certificate);
    aim(&caller, "localhost", port_of(&server));
    cr_assert_eq(try_once(&caller), 0);
    aim(&caller, "127.0.0.1", port_of(&server));
    cr_assert_eq(try_once(&caller), 0);
    cr_assert(caller_noted(&caller, caller.text, "welcome"));
    caller_end(&caller);
    server_end(&server);
}

/* Each for its own reason, with a sentence of its own, and with the host in the log. */
SERVER_TEST(client_tls, says_why_it_does_not_believe_a_certificate, 60)
{
    struct tls_files ca;
    struct tls_files other_ca;
    struct tls_files wrong_host;
    struct tls_files expired;
    struct tls_files early;
    struct tls_files stranger;
    tls_files_make(&ca, "the CA", NULL);
    tls_files_make(&other_ca, "another CA", NULL);
    tls_files_make(&wrong_host, "elsewhere.test", &ca);
    tls_files_make_between(&expired, "localhost", &ca, -7200, -3600);
    tls_files_make_between(&early, "localhost", &ca, 3600, 7200);
    tls_files_make(&stranger, "localhost", &other_ca);
    const struct {
        const struct tls_files *files;
        int status;
        const char *sentence;
    } cases[] = {
        {&wrong_host, FW_ERR_TLS_CERT_HOST, "the certificate is not for this host name: localhost"},
        {&expired, FW_ERR_TLS_CERT_EXPIRED, "the certificate has expired"},
        {&early, FW_ERR_TLS_CERT_NOT_YET, "the certificate is not valid yet"},
        {&other_ca, FW_ERR_TLS_CERT_SELF_SIGNED, "the certificate is self-signed and not trusted"},
        {&stranger, FW_ERR_TLS_CERT_ISSUER, "the certificate's issuer is not trusted"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server server;
        struct caller caller;
        start_server(&server, engine, cases[i].files, NULL);
        start_caller(&caller, engine, ca.certificate);
        aim(&caller, "localhost", port_of(&server));
        int status = try_once(&caller);
        cr_assert_eq(status, cases[i].status, "%s: %s", cases[i].sentence, fw_status_text(status));
        cr_assert(caller_logged(&caller, cases[i].sentence), "%s", caller.log);
        EVENTUALLY(server_logged(&server, "the peer refused with a TLS alert"));
        cr_assert_eq(atomic_load(&server.requests), 0u, "nothing of ours was said to it");
        caller_end(&caller);
        server_end(&server);
    }
}

/* The system's roots, which are read on the first connect: they do not know our CA. */
SERVER_TEST(client_tls, trusts_the_system_unless_told_otherwise, 60)
{
    struct server server;
    struct caller caller;
    struct tls_files ca;
    struct tls_files files;
    tls_files_make(&ca, "the CA", NULL);
    tls_files_make(&files, "localhost", &ca);
    if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) != 0)
        cr_skip_test("this system has no CA certificates");
    start_server(&server, engine, &files, NULL);
    caller_init(&caller, engine);
    caller_start(&caller);
    aim(&caller, "localhost", port_of(&server));
    cr_assert_eq(try_once(&caller), FW_ERR_TLS_CERT_ISSUER);
    cr_assert_eq(try_once(&caller), FW_ERR_TLS_CERT_ISSUER);
    caller_end(&caller);
    server_end(&server);
}

SERVER_TEST(client_tls, believes_anybody_when_it_is_told_to_and_says_so, 60)
{
    struct server server;
    struct caller caller;
    struct tls_files files;
    tls_files_make_between(&files, "elsewhere.test", NULL, -7200, -3600);
    start_server(&server, engine, &files, NULL);
    start_caller(&caller, engine, NULL);
    cr_assert(caller_logged(&caller, "the server's certificate is not checked"));
    aim(&caller, "localhost", port_of(&server));
    cr_assert_eq(try_once(&caller), 0);
    caller_end(&caller);
    server_end(&server);
}

/* ---- what it shows --------------------------------------------------------------------------- */

/* A server that demands certificates: shown, not shown, and one of a CA that it does not know. In
 * TLS 1.3 the client hears of it behind its own end of the handshake. */
SERVER_TEST(client_tls, shows_its_certificate_to_a_server_that_asks, 60)
{
    struct tls_files ca;
    struct tls_files other_ca;
    struct tls_files files;
    struct tls_files alice;
    struct tls_files stranger;
    struct server server;
    tls_files_make(&ca, "the CA", NULL);
    tls_files_make(&other_ca, "another CA", NULL);
    tls_files_make(&files, "localhost", &ca);
    tls_files_make(&alice, "alice", &ca);
    tls_files_make(&stranger, "alice", &other_ca);
    start_server(&server, engine, &files, ca.certificate);
    const struct {
        const struct tls_files *shown;
        int status;
    } cases[] = {{&alice, 0}, {NULL, FW_ERR_TLS_ALERT}, {&stranger, FW_ERR_TLS_ALERT}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct caller caller;
        caller_init(&caller, engine);
        caller.options.tls_ca_file = ca.certificate;
        if (cases[i].shown != NULL) {
            caller.options.tls_cert_file = cases[i].shown->certificate;
            caller.options.tls_key_file = cases[i].shown->key;
        }
        caller_start(&caller);
        aim(&caller, "localhost", port_of(&server));
        int status = try_once(&caller);
        cr_assert_eq(status, cases[i].status, "case %u: %s", i, fw_status_text(status));
        caller_end(&caller);
    }
    server_end(&server);
}

/* Wrong files are told of when the client is made, not when it connects. */
SERVER_TEST(client_tls, refuses_wrong_files_at_its_creation, 60)
{
    struct tls_files files;
    struct tls_files other;
    tls_files_make(&files, "alice", NULL);
    tls_files_make(&other, "alice", NULL);
    const struct {
        const char *ca;
        const char *certificate;
        const char *key;
        bool insecure;
        bool exposed;
        int status;
        const char *sentence;
    } cases[] = {
        {"/nowhere/ca.pem", NULL, NULL, false, false, FW_ERR_TLS_FILE, "/nowhere/ca.pem"},
        {other.key, NULL, NULL, false, false, FW_ERR_TLS_FILE, other.key},
        {NULL, files.certificate, other.key, false, false, FW_ERR_TLS_KEY_MISMATCH, other.key},
        {NULL, files.certificate, NULL, false, false, FW_ERR_USAGE, "both or not at all"},
        {other.certificate, NULL, NULL, true, false, FW_ERR_USAGE, "give one of them"},
        {NULL, files.certificate, files.key, false, true, FW_ERR_TLS_KEY_EXPOSED, files.key},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct caller caller;
        caller_init(&caller, engine);
        caller.options.tls_ca_file = cases[i].ca;
        caller.options.tls_cert_file = cases[i].certificate;
        caller.options.tls_key_file = cases[i].key;
        caller.options.tls_insecure = cases[i].insecure;
        if (cases[i].exposed)
            cr_assert_eq(chmod(files.key, 0644), 0);
        cr_assert_eq(fw_client_create(&caller.options, &caller.client), cases[i].status, "case %u",
                     i);
        cr_assert(caller_logged(&caller, cases[i].sentence), "case %u: %s", i, caller.log);
        pthread_mutex_destroy(&caller.lock);
    }
}

/* ---- servers that are none ------------------------------------------------------------------- */

static int listen_somewhere(char port[8])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, bytes), 0);
    cr_assert_eq(listen(fd, 64), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    snprintf(port, 8, "%u", ntohs(address.sin_port));
    return fd;
}

SERVER_TEST(client_tls, tells_of_a_server_that_speaks_plainly, 60)
{
    struct server server;
    struct caller caller;
    server_init(&server, engine);
    server_start(&server);
    start_caller(&caller, engine, NULL);
    aim(&caller, "127.0.0.1", port_of(&server));
    int status = try_once(&caller);
    cr_assert_eq(status, FW_ERR_TLS_NOT_TLS, "%s", fw_status_text(status));
    caller_end(&caller);
    server_end(&server);
}

/* The time for the answer runs from the connection on, whatever the handshake has come to. */
SERVER_TEST(client_tls, tells_when_nobody_answers_its_hello, 60)
{
    struct caller caller;
    char port[8];
    int listener = listen_somewhere(port);
    caller_init(&caller, engine);
    caller.options.tls_insecure = true;
    caller.options.handshake_timeout_ms = 200;
    caller_start(&caller);
    aim(&caller, "127.0.0.1", port);
    cr_assert_eq(try_once(&caller), -ETIMEDOUT);
    close(listener);
    caller_end(&caller);
}

/* Ends each connection after so many octets of the client's, by FIN and by RST in turns. */
struct ender {
    int listener;
    unsigned rounds;
    size_t octets;
};

static void *end_them(void *argument)
{
    const struct ender *ender = argument;
    for (unsigned i = 0; i < ender->rounds; i++) {
        char bytes[4096];
        int fd = accept(ender->listener, NULL, NULL);
        size_t got = 0;
        while (got < ender->octets) {
            ssize_t count = recv(fd, bytes, ender->octets - got, 0);
            if (count <= 0)
                break;
            got += (size_t)count;
        }
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        if (i % 2 == 1)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    return NULL;
}

SERVER_TEST(client_tls, tells_of_a_server_that_goes_in_the_middle_of_its_handshake, 60)
{
    struct caller caller;
    struct ender ender = {.rounds = 6, .octets = 100};
    pthread_t thread;
    char port[8];
    ender.listener = listen_somewhere(port);
    pthread_create(&thread, NULL, end_them, &ender);
    start_caller(&caller, engine, NULL);
    aim(&caller, "127.0.0.1", port);
    for (unsigned i = 0; i < ender.rounds; i++) {
        int status = try_once(&caller);
        cr_assert(status == FW_ERR_WS_NO_ANSWER || status == -ECONNRESET || status == -EPIPE, "%s",
                  fw_status_text(status));
    }
    pthread_join(thread, NULL);
    close(ender.listener);
    caller_end(&caller);
}

/* ---- a server of OpenSSL's ------------------------------------------------------------------- */

struct foreign {
    int listener;
    SSL_CTX *context;
    atomic_bool ends;
    atomic_uint served;   /* clients */
    pthread_mutex_t lock; /* of what is below, which is of the last one */
    char name[64];        /* that the last client asked for */
    char alpn[16];        /* that it offered first */
    pthread_t thread;
};

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                       const unsigned char *offered, unsigned offered_bytes, void *context)
{
    struct foreign *foreign = context;
    (void)ssl;
    if (offered_bytes < 1u + offered[0])
        return SSL_TLSEXT_ERR_NOACK;
    pthread_mutex_lock(&foreign->lock);
    snprintf(foreign->alpn, sizeof foreign->alpn, "%.*s", (int)offered[0],
             (const char *)offered + 1);
    pthread_mutex_unlock(&foreign->lock);
    *out = offered + 1;
    *out_bytes = offered[0];
    return SSL_TLSEXT_ERR_OK;
}

/* Shakes hands, reads what the client asks, and refuses it. */
static void refuse_one(struct foreign *foreign, int fd)
{
    static const char answer[] = "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n";
    const struct timeval patience = {.tv_sec = 2};
    char request[4096];
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    SSL *ssl = SSL_new(foreign->context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        pthread_mutex_lock(&foreign->lock);
        snprintf(foreign->name, sizeof foreign->name, "%s", name == NULL ? "" : name);
        pthread_mutex_unlock(&foreign->lock);
        atomic_fetch_add(&foreign->served, 1);
        if (SSL_read(ssl, request, sizeof request) > 0) {
            SSL_write(ssl, answer, sizeof answer - 1);
            SSL_shutdown(ssl);
        }
    }
    SSL_free(ssl);
    close(fd);
}

static void *serve_foreign(void *argument)
{
    struct foreign *foreign = argument;
    for (;;) {
        int fd = accept(foreign->listener, NULL, NULL);
        if (fd < 0 || atomic_load(&foreign->ends)) {
            close(fd);
            return NULL;
        }
        refuse_one(foreign, fd);
    }
}

static void foreign_start(struct foreign *foreign, const struct tls_files *files, char port[8])
{
    memset(foreign, 0, sizeof *foreign);
    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&foreign->lock, NULL);
    foreign->listener = listen_somewhere(port);
    foreign->context = SSL_CTX_new(TLS_server_method());
    cr_assert_eq(SSL_CTX_use_certificate_chain_file(foreign->context, files->certificate), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey_file(foreign->context, files->key, SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_alpn_select_cb(foreign->context, choose_alpn, foreign);
    pthread_create(&foreign->thread, NULL, serve_foreign, foreign);
}

static void foreign_end(struct foreign *foreign)
{
    atomic_store(&foreign->ends, true);
    shutdown(foreign->listener, SHUT_RDWR);
    pthread_join(foreign->thread, NULL);
    close(foreign->listener);
    SSL_CTX_free(foreign->context);
}

/* SNI is for names (RFC 6066, section 3); ALPN says http/1.1 (RFC 7301); 1.2 and 1.3 both work. */
SERVER_TEST(client_tls, asks_a_server_of_openssls_for_its_name_and_protocol, 60)
{
    struct caller caller;
    struct foreign foreign;
    struct tls_files files;
    char port[8];
    unsigned served = 0;
    tls_files_make(&files, "localhost", NULL);
    foreign_start(&foreign, &files, port);
    start_caller(&caller, engine, files.certificate);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX_set_max_proto_version(foreign.context, version);
        SSL_CTX_set_min_proto_version(foreign.context, version);
        aim(&caller, "localhost", port);
        cr_assert_eq(try_once(&caller), FW_ERR_WS_REFUSED);
        cr_assert_eq(atomic_load(&caller.http_status), 418u);
        cr_assert_eq(atomic_load(&foreign.served), ++served);
        pthread_mutex_lock(&foreign.lock);
        cr_assert_str_eq(foreign.name, "localhost");
        cr_assert_str_eq(foreign.alpn, "http/1.1");
        pthread_mutex_unlock(&foreign.lock);
        aim(&caller, "127.0.0.1", port);
        cr_assert_eq(try_once(&caller), FW_ERR_WS_REFUSED);
        cr_assert_eq(atomic_load(&foreign.served), ++served);
        pthread_mutex_lock(&foreign.lock);
        cr_assert_str_eq(foreign.name, "", "an address is not asked for");
        pthread_mutex_unlock(&foreign.lock);
    }
    caller_end(&caller);
    foreign_end(&foreign);
}

SERVER_TEST(client_tls, has_no_version_in_common_with_an_old_server, 60)
{
    struct caller caller;
    struct foreign foreign;
    struct tls_files files;
    char port[8];
    tls_files_make(&files, "localhost", NULL);
    foreign_start(&foreign, &files, port);
    SSL_CTX_set_min_proto_version(foreign.context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(foreign.context, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(foreign.context, "DEFAULT@SECLEVEL=0");
    start_caller(&caller, engine, NULL);
    aim(&caller, "127.0.0.1", port);
    int status = try_once(&caller);
    cr_assert(status == FW_ERR_TLS_VERSION || status == FW_ERR_TLS_ALERT, "%s",
              fw_status_text(status));
    caller_end(&caller);
    foreign_end(&foreign);
}

static void stop_after_failure(void *user, int status, const fw_response *response, void *context)
{
    struct caller *caller = context;
    caller_on_fail(user, status, response, context);
    fw_client_stop(caller->client);
}

/* From wolfSSL's start to the answer, whatever finds no memory: told of once, and nothing is lost;
 * a start that failed is tried again. */
SERVER_TEST(client_tls, survives_every_failed_allocation, 120)
{
    struct foreign foreign;
    struct tls_files files;
    char port[8];
    unsigned refused = 0;
    tls_files_make(&files, "localhost", NULL);
    foreign_start(&foreign, &files, port);
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        struct caller caller;
        caller_init(&caller, engine);
        caller.options.on_fail = stop_after_failure;
        caller.options.tls_ca_file = files.certificate;
        aim(&caller, "127.0.0.1", port);
        fail_mem_at(k, k % 2 == 0 ? FAIL_ONCE : FAIL_FROM_ON);
        if (fw_client_create(&caller.options, &caller.client) == 0) {
            int status = fw_client_connect(caller.client, caller.url, NULL);
            if (status == 0 && fw_client_run(caller.client) == 0) {
                cr_assert_eq(atomic_load(&caller.failed), 1u);
                refused += atomic_load(&caller.status) == FW_ERR_WS_REFUSED;
            }
            fw_client_destroy(caller.client);
        }
        failed = fail_mem_off();
        pthread_mutex_destroy(&caller.lock);
    }
    cr_assert_gt(refused, 0u, "the last had all the memory it wanted");
    foreign_end(&foreign);
}
