/* echo.c: sends every message back. The smallest server there is.
 *
 *     cc echo.c $(pkg-config --cflags --libs fanwire) -o echo && ./echo 127.0.0.1:8080
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fanwire/fanwire.h>
#include <stdio.h>

static void on_message(fw_conn *conn, enum fw_message_type type, const void *bytes,
                       size_t bytes_count, void *context)
{
    (void)context;
    if (fw_conn_send(conn, type, bytes, bytes_count) != 0)
        fw_conn_close(conn, 1013, "slow down");
}

int main(int argc, char **argv)
{
    struct fw_server_options options = FW_SERVER_OPTIONS;
    options.on_message = on_message;

    fw_server *server;
    int result = fw_server_create(&options, &server);
    if (result == 0)
        result = fw_server_listen(server, argc > 1 ? argv[1] : "127.0.0.1:8080");
    if (result != 0) {
        fprintf(stderr, "echo: %s\n", fw_status_text(result));
        return 1;
    }
    printf("listening on %s\n", fw_server_address(server, 0));
    fflush(stdout);
    return fw_server_run(server) == 0 ? 0 : 1;
}
