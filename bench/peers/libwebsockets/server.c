/* server.c: libwebsockets as an echo server.
 *
 * What comes in pieces goes out in pieces; a message that waits to be written keeps the next one
 * from being read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

struct piece {
    struct piece *next;
    size_t count;
    int flags;
    unsigned char bytes[]; /* LWS_PRE, then the piece */
};

struct session {
    struct piece *first;
    struct piece **last;
};

static int take(struct lws *wsi, struct session *session, const void *in, size_t count)
{
    struct piece *piece = malloc(sizeof *piece + LWS_PRE + count);
    if (piece == NULL)
        return -1;
    *piece = (struct piece){
        .count = count,
        .flags = lws_write_ws_flags(lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT,
                                    lws_is_first_fragment(wsi), lws_is_final_fragment(wsi))};
    memcpy(piece->bytes + LWS_PRE, in, count);
    *session->last = piece;
    session->last = &piece->next;
    lws_callback_on_writable(wsi);
    return 0;
}

static int give(struct lws *wsi, struct session *session)
{
    while (session->first != NULL) {
        struct piece *piece = session->first;
        int written = lws_write(wsi, piece->bytes + LWS_PRE, piece->count,
                                (enum lws_write_protocol)piece->flags);
        session->first = piece->next;
        if (session->first == NULL)
            session->last = &session->first;
        free(piece);
        if (written < 0)
            return -1;
        if (lws_send_pipe_choked(wsi))
            break;
    }
    if (session->first != NULL)
        lws_callback_on_writable(wsi);
    return 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t count)
{
    struct session *session = user;
    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED:
        session->first = NULL;
        session->last = &session->first;
        return 0;
    case LWS_CALLBACK_RECEIVE:
        return take(wsi, session, in, count);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return give(wsi, session);
    case LWS_CALLBACK_CLOSED:
        while (session->first != NULL) {
            struct piece *piece = session->first;
            session->first = piece->next;
            free(piece);
        }
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, count);
    }
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {
        {.name = "echo",
         .callback = callback,
         .per_session_data_size = sizeof(struct session),
         .rx_buffer_size = 65536},
        {.name = NULL}};
    const struct lws_context_creation_info info = {.port = argc > 2 ? atoi(argv[2]) : 0,
                                                   .iface = "127.0.0.1",
                                                   .protocols = protocols,
                                                   .pt_serv_buf_size = 65536,
                                                   .fd_limit_per_thread = 0};
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    while (context != NULL && lws_service(context, 0) >= 0)
        continue;
    return 1;
}
