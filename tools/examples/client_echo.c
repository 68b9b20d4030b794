/* client_echo.c: connects to a server, sends a line, prints what comes back, and leaves.
 *
 *     client-echo ws://127.0.0.1:8080/ "hello"
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fanwire/fanwire.h>
#include <stdio.h>
#include <string.h>

struct call {
    fw_client *client;
    const char *line;
    int result;
};

static void on_open(fw_conn *conn, const fw_response *response, void *context)
{
    const struct call *call = context;
    (void)response;
    fw_conn_send(conn, FW_TEXT, call->line, strlen(call->line));
}

static void on_message(fw_conn *conn, enum fw_message_type type, const void *bytes,
                       size_t bytes_count, void *context)
{
    struct call *call = context;
    (void)type;
    printf("%.*s\n", (int)bytes_count, (const char *)bytes);
    call->result = 0;
    fw_conn_close(conn, 1000, NULL);
}

static void on_close(fw_conn *conn, unsigned code, const char *reason, size_t reason_bytes,
                     void *context)
{
    const struct call *call = context;
    (void)conn;
    if (code != 1000)
        fprintf(stderr, "closed: %u %.*s\n", code, (int)reason_bytes, reason);
    fw_client_stop(call->client);
}

static void on_fail(void *user, int status, const fw_response *response, void *context)
{
    const struct call *call = context;
    (void)user;
    fprintf(stderr, "not connected: %s", fw_status_text(status));
    if (response != NULL)
        fprintf(stderr, " (HTTP %u)", fw_response_status(response));
    fputc('\n', stderr);
    fw_client_stop(call->client);
}

int main(int argc, char **argv)
{
    struct call call = {.line = argc > 2 ? argv[2] : "hello", .result = 1};
    struct fw_client_options options = FW_CLIENT_OPTIONS;
    options.context = &call;
    options.on_open = on_open;
    options.on_message = on_message;
    options.on_close = on_close;
    options.on_fail = on_fail;
    int status = fw_client_create(&options, &call.client);
    if (status == 0)
        status = fw_client_connect(call.client, argc > 1 ? argv[1] : "ws://127.0.0.1:8080/", NULL);
    if (status == 0)
        status = fw_client_run(call.client);
    fw_client_destroy(call.client);
    if (status != 0)
        fprintf(stderr, "client-echo: %s\n", fw_status_text(status));
    return status == 0 ? call.result : 1;
}
