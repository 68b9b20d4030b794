/* chat.c: rooms. ws://HOST/room/NAME joins a room; what one says, all hear, with a name before it.
 *
 *     cc chat.c $(pkg-config --cflags --libs fanwire) -o chat && ./chat 127.0.0.1:8080
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fanwire/fanwire.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct member {
    unsigned number;
    char room[64];
};

static fw_server *server;
static atomic_uint members;

static unsigned on_open(fw_conn *conn, const fw_request *request, void *context)
{
    const char *path = fw_request_path(request);
    (void)context;
    if (strncmp(path, "/room/", 6) != 0 || strlen(path + 6) >= sizeof((struct member *)0)->room)
        return 404;
    struct member *member = calloc(1, sizeof *member);
    if (member == NULL)
        return 503;
    member->number = atomic_fetch_add(&members, 1) + 1;
    snprintf(member->room, sizeof member->room, "%s", path + 6);
    if (fw_conn_subscribe(conn, member->room) != 0) {
        free(member);
        return 400; /* not a topic's name */
    }
    fw_conn_set_user(conn, member);
    return 0;
}

static void on_message(fw_conn *conn, enum fw_message_type type, const void *bytes,
                       size_t bytes_count, void *context)
{
    struct member *member = fw_conn_user(conn);
    char line[1024];
    (void)context;
    if (type != FW_TEXT || bytes_count > sizeof line - 32) {
        fw_conn_close(conn, 1009, "one short line of text at a time");
        return;
    }
    int count = snprintf(line, sizeof line, "guest %u: %.*s", member->number, (int)bytes_count,
                         (const char *)bytes);
    if (fw_publish(server, member->room, FW_TEXT, line, (size_t)count, NULL) != 0)
        fw_conn_close(conn, 1013, "the room is too loud");
}

static void on_close(fw_conn *conn, unsigned code, const char *reason, size_t reason_bytes,
                     void *context)
{
    (void)code, (void)reason, (void)reason_bytes, (void)context;
    free(fw_conn_user(conn));
}

int main(int argc, char **argv)
{
    struct fw_server_options options = FW_SERVER_OPTIONS;
    options.on_open = on_open;
    options.on_message = on_message;
    options.on_close = on_close;
    if (fw_server_create(&options, &server) != 0 ||
        fw_server_listen(server, argc > 1 ? argv[1] : "127.0.0.1:8080") != 0)
        return 1;
    printf("listening on %s\n", fw_server_address(server, 0));
    fflush(stdout);
    return fw_server_run(server) == 0 ? 0 : 1;
}
