/* example.c: a program outside the tree: what it needs is what `cmake --install` gave.
 *
 * Starts a server on a free port, publishes from a thread that is none of the server's, connects to
 * it as a client, and stops.
 * tests/install/run builds it by pkg-config and by CMake's find_package.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fanwire/fanwire.h>

#include <stdio.h>

static int fail(const char *what, int status)
{
    fprintf(stderr, "%s: %s\n", what, fw_status_text(status));
    return 1;
}

static int publish_one(fw_server *server)
{
    struct fw_published published;
    struct fw_topic_info info;
    int status = fw_publish(server, "news", FW_TEXT, "hello", 5, &published);
    if (status != 0)
        return fail("fw_publish", status);
    status = fw_topic_info(server, "news", &info);
    if (status != 0)
        return fail("fw_topic_info", status);
    if (published.offset != 1 || info.offset != 1 || published.receivers != 0) {
        fprintf(stderr, "the first message has offset %llu\n", (unsigned long long)info.offset);
        return 1;
    }
    return 0;
}

struct call {
    fw_client *client;
    int status; /* 0: it was open */
};

static void on_open(fw_conn *conn, const fw_response *response, void *context)
{
    struct call *call = context;
    call->status = fw_response_status(response) == 101 ? fw_conn_close(conn, 1000, "bye") : -1;
}

static void on_close(fw_conn *conn, unsigned code, const char *reason, size_t reason_bytes,
                     void *context)
{
    (void)conn;
    (void)code;
    (void)reason;
    (void)reason_bytes;
    fw_client_stop(((struct call *)context)->client);
}

static void on_fail(void *user, int status, const fw_response *response, void *context)
{
    struct call *call = context;
    (void)user;
    (void)response;
    call->status = status;
    fw_client_stop(call->client);
}

static int connect_one(fw_server *server)
{
    struct call call = {.status = -1};
    struct fw_client_options options = FW_CLIENT_OPTIONS;
    char url[128];
    options.context = &call;
    options.on_open = on_open;
    options.on_close = on_close;
    options.on_fail = on_fail;
    snprintf(url, sizeof url, "ws://%s/topics/news", fw_server_address(server, 0));
    int status = fw_client_create(&options, &call.client);
    if (status == 0)
        status = fw_client_connect(call.client, url, NULL);
    if (status == 0)
        status = fw_client_run(call.client);
    fw_client_destroy(call.client);
    if (status == 0)
        status = call.status;
    return status == 0 ? 0 : fail("the client", status);
}

int main(void)
{
    struct fw_server_options options = FW_SERVER_OPTIONS;
    options.workers = 1;
    options.feed = true;

    fw_server *server;
    int status = fw_server_create(&options, &server);
    if (status != 0)
        return fail("fw_server_create", status);
    status = fw_server_listen(server, "127.0.0.1:0");
    if (status != 0)
        return fail("fw_server_listen", status);
    status = fw_server_start(server);
    if (status != 0)
        return fail("fw_server_start", status);

    printf("fanwire %s on %s (%s)\n", FANWIRE_VERSION, fw_server_address(server, 0),
           fw_server_engine(server));
    int failed = publish_one(server) + connect_one(server);
    fw_server_stop(server);
    fw_server_wait(server);
    fw_server_destroy(server);
    return failed;
}
