/* client_tls.c: a client's side of wss: whom it trusts, what it shows, and its connections' TLS.
 *
 * The system's roots are some hundred certificates: they are read when the first wss connect asks
 * for them, unless the options name files, which are read at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/client/client_impl.h"

#include "net/conn/conn_tls.h"

#include <fanwire/status.h>

static int make_context(struct fw_client *client)
{
    const struct fw_client_options *own = &client->options;
    const struct fw_tls_certificate certificate = {.certificate_file = own->tls_cert_file,
                                                   .key_file = own->tls_key_file};
    const struct fw_tls_options options = {
        .role = FW_TLS_CLIENT,
        .certificates = &certificate,
        .certificates_count = own->tls_cert_file != NULL ? 1 : 0,
        .ca_file = own->tls_ca_file,
        .trust_anyone = own->tls_insecure,
        .alpn = "http/1.1",
    };
    char why[FW_TLS_WHY_BYTES];
    int result = fw_tls_context_create(&options, why, sizeof why, &client->tls);
    if (result != 0)
        fw_log(&client->log, FW_LOG_ERROR, "TLS: %s", why);
    else if (why[0] != '\0')
        fw_log(&client->log, FW_LOG_WARN, "TLS: %s", why);
    return result;
}

static const char *mistake_in(const struct fw_client_options *options)
{
    if ((options->tls_cert_file == NULL) != (options->tls_key_file == NULL))
        return "tls_cert_file and tls_key_file are given both or not at all";
    if (options->tls_insecure && options->tls_ca_file != NULL)
        return "tls_insecure trusts anybody, tls_ca_file does not: give one of them";
    return NULL;
}

int fw_client_tls_create(struct fw_client *client)
{
    const struct fw_client_options *options = &client->options;
    const char *mistake = mistake_in(options);
    if (mistake != NULL) {
        fw_log(&client->log, FW_LOG_ERROR, "an option is out of its range: %s", mistake);
        return FW_ERR_USAGE;
    }
    bool wanted =
        options->tls_ca_file != NULL || options->tls_cert_file != NULL || options->tls_insecure;
    return wanted ? make_context(client) : 0;
}

void fw_client_tls_destroy(struct fw_client *client)
{
    if (client->tls != NULL)
        fw_tls_context_drop(client->tls);
}

int fw_client_tls_need(struct fw_client *client)
{
    pthread_mutex_lock(&client->lock);
    int result = client->tls == NULL ? make_context(client) : 0;
    pthread_mutex_unlock(&client->lock);
    return result;
}

/* ---- connections ----------------------------------------------------------------------------- */

int fw_client_thread_begin_tls(struct fw_client_thread *thread, struct fw_conn *conn,
                               const char *name)
{
    int result = thread->conns.tls == NULL ? fw_conns_tls_create(&thread->conns, NULL) : 0;
    if (!thread->has_tls)
        fw_tls_thread_start();
    thread->has_tls = true;
    return result == 0 ? fw_conn_begin_tls(conn, thread->client->tls, name) : result;
}

void fw_client_thread_end_tls(struct fw_client_thread *thread)
{
    if (thread->has_tls)
        fw_tls_thread_stop();
}
