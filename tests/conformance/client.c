/* client.c: the client that tests/conformance/run plays against: it echoes every message until it
 * is closed.
 *
 *     fanwire-conformance-client uring|epoll|auto URL [CA-FILE]
 *
 * Exit code 0 when the connection was open and has ended, 1 when it never was, 77 when the engine
 * does not work here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fanwire/fanwire.h>
#include <stdio.h>
#include <string.h>

/* The longest message of the cases is 16 MiB; what echoes them may be owed twice. */
#define MESSAGE_BYTES_MAX ((uint64_t)17 << 20)
#define OUTPUT_BYTES_MAX  ((uint32_t)64 << 20)

struct echoer {
    fw_client *client;
    int result;
};

static void on_open(fw_conn *conn, const fw_response *response, void *context)
{
    struct echoer *echoer = context;
    (void)conn;
    (void)response;
    echoer->result = 0;
}

static void on_message(fw_conn *conn, enum fw_message_type type, const void *bytes,
                       size_t bytes_count, void *context)
{
    (void)context;
    int status = fw_conn_send(conn, type, bytes, bytes_count);
    if (status != 0)
        fprintf(stderr, "echo: %s\n", fw_status_text(status));
}

static void on_close(fw_conn *conn, unsigned code, const char *reason, size_t reason_bytes,
                     void *context)
{
    const struct echoer *echoer = context;
    (void)conn;
    fprintf(stderr, "closed: %u %.*s\n", code, (int)reason_bytes, reason);
    fw_client_stop(echoer->client);
}

static void on_fail(void *user, int status, const fw_response *response, void *context)
{
    const struct echoer *echoer = context;
    (void)user;
    (void)response;
    fprintf(stderr, "failed: %s\n", fw_status_text(status));
    fw_client_stop(echoer->client);
}

int main(int argc, char **argv)
{
    struct echoer echoer = {.result = 1};
    struct fw_client_options options = FW_CLIENT_OPTIONS;
    if (argc != 3 && argc != 4) {
        fputs("fanwire-conformance-client: uring|epoll|auto URL [CA-FILE]\n", stderr);
        return 2;
    }
    options.context = &echoer;
    options.on_open = on_open;
    options.on_message = on_message;
    options.on_close = on_close;
    options.on_fail = on_fail;
    options.engine = strcmp(argv[1], "epoll") == 0   ? FW_USE_EPOLL
                     : strcmp(argv[1], "uring") == 0 ? FW_USE_URING
                                                     : FW_USE_AUTO;
    options.message_bytes_max = MESSAGE_BYTES_MAX;
    options.output_bytes_max = OUTPUT_BYTES_MAX;
    options.deflate = true;
    options.deflate_bytes_max = (uint64_t)16 << 20;
    options.tls_ca_file = argv[3]; /* or NULL */
    int status = fw_client_create(&options, &echoer.client);
    if (status == FW_ERR_ENGINE)
        return 77;
    if (status == 0)
        status = fw_client_connect(echoer.client, argv[2], NULL);
    if (status == 0)
        status = fw_client_run(echoer.client);
    fw_client_destroy(echoer.client);
    return status == 0 ? echoer.result : 1;
}
