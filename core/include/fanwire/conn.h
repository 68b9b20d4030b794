/* conn.h: what a callback may do with a connection and with a request.
 *
 * Everything here is for the connection's own worker: call it only from callbacks that were given
 * that connection, or that run on its worker. Sending, closing and subscribing only queue; the
 * socket is touched once, at the end of the worker's turn, and no callback runs inside a call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_CONN_H
#define FANWIRE_CONN_H

#include <fanwire/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sends one message.
 *
 * bytes        copied (or, when they are the message that on_message is being given, often not)
 * returns      0
 * errors       FW_ERR_BUSY when the connection owes more than its budget: on_drain tells when to go
 *              on; FW_ERR_NOT_UTF8 for text that is not; FW_ERR_CLOSED; FW_ERR_LIMIT for a message
 *              over 1 GiB; -ENOMEM
 * thread       the connection's worker
 */
FW_PUBLIC int fw_conn_send(fw_conn *conn, enum fw_message_type type, const void *bytes,
                           size_t bytes_count);

/* Begins the closing handshake; on_close follows when the connection has ended.
 *
 * code         1000-1003, 1007-1014 or 3000-4999
 * reason       UTF-8, at most 123 bytes; NULL for none
 * errors       FW_ERR_USAGE for another code or reason, FW_ERR_CLOSED when it is closing already
 * source       RFC 6455, sections 5.5.1 and 7.4
 */
FW_PUBLIC int fw_conn_close(fw_conn *conn, unsigned code, const char *reason);

/* A pointer of the program's, kept with the connection; NULL at first. */
FW_PUBLIC void fw_conn_set_user(fw_conn *conn, void *user);
FW_PUBLIC void *fw_conn_user(const fw_conn *conn);

/* The context that the server's options gave. */
FW_PUBLIC void *fw_conn_context(const fw_conn *conn);

/* Bytes that the connection owes its peer at this moment. */
FW_PUBLIC size_t fw_conn_queued_bytes(const fw_conn *conn);

/* Subscribes the connection to a topic: from now on each message published there is sent to it, as
 * published.
 *
 * errors       FW_ERR_TOPIC, FW_ERR_EXISTS, FW_ERR_LIMIT (its subscriptions, or the server's
 * topics), FW_ERR_CLOSED, -ENOMEM
 */
FW_PUBLIC int fw_conn_subscribe(fw_conn *conn, const char *topic);

/* Ends a subscription; FW_ERR_ABSENT when there is none. */
FW_PUBLIC int fw_conn_unsubscribe(fw_conn *conn, const char *topic);

/* ---- requests: readable during the callback that got one ---------------------------------------
 */

/* The method in capitals, and the path without its query, both terminated. */
FW_PUBLIC const char *fw_request_method(const fw_request *request);
FW_PUBLIC const char *fw_request_path(const fw_request *request);

/* A header's value (name without regard to case), or a query parameter's as sent, not decoded.
 *
 * bytes_out    how many bytes; the value is not terminated
 * returns      NULL when it is absent
 */
FW_PUBLIC const char *fw_request_header(const fw_request *request, const char *name,
                                        size_t *bytes_out);
FW_PUBLIC const char *fw_request_query(const fw_request *request, const char *name,
                                       size_t *bytes_out);

/* The whole query, what follows '?', as sent: it may hold a token. Not terminated. */
FW_PUBLIC const char *fw_request_query_text(const fw_request *request, size_t *bytes_out);

/* The body of a POST; NULL when there is none. */
FW_PUBLIC const void *fw_request_body(const fw_request *request, size_t *bytes_out);

/* What the connection's TLS agreed on: "TLSv1.3"; the server name that the client asked for (SNI),
 * lower case; the verified subject of its certificate as RFC 4514 writes it ("CN=alice,O=Example"),
 * with options.tls_client_ca_file.
 *
 * returns      NULL when there is none, or no TLS
 */
FW_PUBLIC const char *fw_request_tls_version(const fw_request *request);
FW_PUBLIC const char *fw_request_tls_server_name(const fw_request *request);
FW_PUBLIC const char *fw_request_tls_subject(const fw_request *request);

/* Answers a plain HTTP request, once, from inside on_request.
 *
 * status       200..599
 * headers      further header lines, each ended by CR LF, or NULL; not checked: constants only
 * body         copied
 * errors       FW_ERR_USAGE when it is answered already, -ENOMEM
 */
FW_PUBLIC int fw_request_answer(fw_request *request, unsigned status, const char *content_type,
                                const char *headers, const void *body, size_t body_bytes);

#ifdef __cplusplus
}
#endif

#endif
