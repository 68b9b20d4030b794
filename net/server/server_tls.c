/* server_tls.c: a server's certificates: from its options to the place that workers take them from,
 * and again when they are reloaded; and what a request may ask of its connection's TLS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/server_impl.h"

#include "base/mem.h"
#include "net/conn/conn_tls.h"
#include "session/request.h"

#include <errno.h>
#include <fanwire/conn.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The throw-away certificate is for trying out, not for a service that stays. */
#define SELF_SIGNED_DAYS 30

/* ---- options --------------------------------------------------------------------------------- */

static unsigned count_of(const char *const *list)
{
    unsigned count = 0;
    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

bool fw_server_tls_wanted(const struct fw_server *server)
{
    const struct fw_server_options *options = &server->options;
    return options->tls_cert_files != NULL || options->tls_key_files != NULL ||
           options->tls_client_ca_file != NULL || options->tls_self_signed;
}

static const char *mistake_in(const struct fw_server_options *options)
{
    unsigned count = count_of(options->tls_cert_files);
    if (count != count_of(options->tls_key_files))
        return "tls_cert_files and tls_key_files must be as many, each key beside its certificate";
    if (count > FW_TLS_CERTIFICATES_MAX)
        return "tls_cert_files may be 64 at most";
    if (count > 0 && options->tls_self_signed)
        return "tls_self_signed is instead of tls_cert_files";
    if (count == 0 && !options->tls_self_signed)
        return "TLS wants tls_cert_files and tls_key_files, or tls_self_signed";
    return NULL;
}

/* ---- contexts -------------------------------------------------------------------------------- */

/* Makes a context of certificates; logs what is wrong with them, or what is remarkable. */
static int make_context(struct fw_server *server, const struct fw_tls_certificate *certificates,
                        unsigned count, struct fw_tls_context **context_out)
{
    const struct fw_tls_options options = {
        .role = FW_TLS_SERVER,
        .certificates = certificates,
        .certificates_count = count,
        .ca_file = server->options.tls_client_ca_file,
        .tickets = server->tls_tickets,
        .alpn = "http/1.1",
    };
    char why[FW_TLS_WHY_BYTES];
    int result = fw_tls_context_create(&options, why, sizeof why, context_out);
    if (result != 0)
        fw_log(&server->log, FW_LOG_ERROR, "TLS: %s", why);
    else if (why[0] != '\0')
        fw_log(&server->log, FW_LOG_WARN, "TLS: %s", why);
    return result;
}

static int read_files(struct fw_server *server, struct fw_tls_context **context_out)
{
    struct fw_tls_certificate certificates[FW_TLS_CERTIFICATES_MAX];
    unsigned count = count_of(server->options.tls_cert_files);
    for (unsigned i = 0; i < count; i++)
        certificates[i] =
            (struct fw_tls_certificate){.certificate_file = server->options.tls_cert_files[i],
                                        .key_file = server->options.tls_key_files[i]};
    return make_context(server, certificates, count, context_out);
}

/* A certificate that nobody trusts, for this machine's names. */
static int self_sign(struct fw_server *server, struct fw_tls_context **context_out)
{
    char name[FW_TLS_SELF_SIGNED_HOST_CHARS_MAX + 1] = "";
    const char *hosts[] = {"localhost", "127.0.0.1", "::1", name};
    unsigned hosts_count =
        gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' && strcmp(name, "localhost") != 0
            ? 4
            : 3;
    struct fw_tls_self_signed self;
    int result = fw_tls_self_sign(hosts, hosts_count, SELF_SIGNED_DAYS, &self);
    if (result != 0) {
        fw_log(&server->log, FW_LOG_ERROR, "TLS: no self-signed certificate can be made: %s",
               fw_status_text(result));
        return result;
    }
    const struct fw_tls_certificate certificate = {
        .certificate = {self.certificate, self.certificate_bytes},
        .key = {self.key, self.key_bytes}};
    result = make_context(server, &certificate, 1, context_out);
    if (result == 0)
        fw_log(&server->log, FW_LOG_WARN,
               "TLS: a throw-away certificate for localhost, for trying out: no client trusts it "
               "unless told to, and the next start makes another; SHA-256 %s",
               self.fingerprint);
    fw_tls_self_signed_clear(&self);
    return result;
}

static void say_library(struct fw_server *server)
{
    char line[300];
    fw_tls_library(line, sizeof line);
    fw_log(&server->log, fw_tls_library_is_slow() ? FW_LOG_WARN : FW_LOG_INFO, "TLS: %s", line);
}

int fw_server_tls_create(struct fw_server *server)
{
    if (!fw_server_tls_wanted(server))
        return 0;
    const char *mistake = mistake_in(&server->options);
    if (mistake != NULL) {
        fw_log(&server->log, FW_LOG_ERROR, "an option is out of its range: %s", mistake);
        return FW_ERR_USAGE;
    }
    int result = 0;
    /* A ticket would outlive the certificate that it stands for. */
    if (server->options.tls_client_ca_file == NULL)
        result = fw_tls_tickets_create(NULL, NULL, &server->tls_tickets);
    struct fw_tls_context *context = NULL;
    if (result == 0)
        result = server->options.tls_self_signed ? self_sign(server, &context)
                                                 : read_files(server, &context);
    if (result == 0)
        result = fw_tls_place_create(context, &server->tls_place);
    if (result != 0) {
        fw_tls_context_drop(context);
        return result;
    }
    say_library(server);
    return 0;
}

void fw_server_tls_destroy(struct fw_server *server)
{
    fw_tls_place_destroy(server->tls_place);
    if (server->tls_tickets != NULL)
        fw_tls_tickets_drop(server->tls_tickets);
}

int fw_server_reload_tls(fw_server *server)
{
    if (server->tls_place == NULL)
        return FW_ERR_ABSENT;
    if (server->options.tls_self_signed) /* there is nothing to read */
        return 0;
    struct fw_tls_context *context;
    int result = read_files(server, &context);
    if (result != 0) {
        fw_log(&server->log, FW_LOG_ERROR,
               "TLS: the certificates were not reloaded: those in use stay");
        return result;
    }
    fw_tls_place_put(server->tls_place, context);
    fw_log(&server->log, FW_LOG_INFO, "TLS: the certificates were reloaded");
    return 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

static const struct fw_tls *tls_of(const fw_request *request)
{
    return fw_conn_tls((const struct fw_conn *)(const void *)request->session);
}

const char *fw_request_tls_version(const fw_request *request)
{
    const struct fw_tls *tls = tls_of(request);
    return tls == NULL ? NULL : fw_tls_version(tls);
}

const char *fw_request_tls_server_name(const fw_request *request)
{
    const struct fw_tls *tls = tls_of(request);
    return tls == NULL ? NULL : fw_tls_server_name(tls);
}

bool fw_worker_certificate(struct fw_session *session, struct fw_bytes *subject_out)
{
    const struct fw_tls *tls = fw_conn_tls((const struct fw_conn *)(const void *)session);
    const char *subject = tls == NULL ? NULL : fw_tls_peer_subject(tls);
    if (subject != NULL)
        *subject_out = fw_bytes_of(subject);
    return subject != NULL;
}

const char *fw_request_tls_subject(const fw_request *request)
{
    const struct fw_tls *tls = tls_of(request);
    return tls == NULL ? NULL : fw_tls_peer_subject(tls);
}
