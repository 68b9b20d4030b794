/* client.h: connections that the program opens: a client's options, callbacks and life.
 *
 *   create --> run (blocks) ---------------> destroy
 *        \-> start --> stop --> wait --/
 *
 *   fw_client_connect --> on_open --> on_message ... --> on_close
 *                    \--> on_fail
 *
 * A client has threads with an engine each, like a server's workers. What conn.h offers works on
 * its connections, but for topics, which are a server's; a message that is sent is masked with a
 * key of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_CLIENT_H
#define FANWIRE_CLIENT_H

#include <fanwire/server.h>
#include <fanwire/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A client: its threads and connections. */
typedef struct fw_client fw_client;

/* A server's answer to the opening handshake, readable while the callback that was given it runs.
 */
typedef struct fw_response fw_response;

/* Start from FW_CLIENT_OPTIONS, which sets `size`. 0 and NULL mean the default. Callbacks run on
 * the connection's thread; each has `context` as its last argument. */
struct fw_client_options {
    size_t size;
    void *context;

    /* The server switched protocols: the connection may be sent to. */
    void (*on_open)(fw_conn *conn, const fw_response *response, void *context);
    /* A connect came to nothing; the last call for it.
     *
     * user         of the connect's options
     * status       -errno of the connect (-ECONNREFUSED, -ETIMEDOUT, ...); FW_ERR_WS_REFUSED when
     *              the server answered with another status than 101 (redirects are not followed);
     *              FW_ERR_WS_ACCEPT and others when the answer is not what RFC 6455 wants;
     *              FW_ERR_WS_NO_ANSWER; FW_ERR_TLS_*, of which FW_ERR_TLS_CERT_HOST, _EXPIRED,
     *              _SELF_SIGNED and _ISSUER say why the server was not trusted; FW_ERR_CLOSED when
     *              the client stops. fw_status_text says it in a sentence.
     * response     the answer, when a whole head of one came; else NULL
     */
    void (*on_fail)(void *user, int status, const fw_response *response, void *context);
    /* A whole message came; borrowed until the return. */
    void (*on_message)(fw_conn *conn, enum fw_message_type type, const void *bytes,
                       size_t bytes_count, void *context);
    /* An open connection has ended: with the server's close code, ours, 1005 (it gave none) or 1006
     * (it vanished). The last call for this connection. */
    void (*on_close)(fw_conn *conn, unsigned code, const char *reason, size_t reason_bytes,
                     void *context);
    /* What fw_conn_send answered with FW_ERR_BUSY may be tried again. */
    void (*on_drain)(fw_conn *conn, void *context);
    /* One line, without a newline. Called from several threads. NULL: no log. */
    void (*on_log)(int level, const char *line, void *context);

    unsigned threads;             /* default: 1 */
    enum fw_engine_choice engine; /* default: io_uring where it works, else epoll */

    /* Limits. */
    uint64_t message_bytes_max;    /* a server's message: 16 MiB */
    uint32_t fragments_max;        /* frames of a message; default and FW_UNLIMITED: any number */
    uint32_t output_bytes_max;     /* what a connection may owe: 1 MiB */
    uint32_t connections_max;      /* all threads together: what RLIMIT_NOFILE allows */
    uint32_t connect_timeout_ms;   /* until the network connection: 5000 */
    uint32_t handshake_timeout_ms; /* from there, over TLS if it is wss, to the answer: 5000 */
    uint32_t
        ping_interval_ms; /* silence of the server's before a ping: 25000; FW_UNLIMITED: never */
    uint32_t pong_timeout_ms; /* 10000 */

    bool deflate; /* offer permessage-deflate; default: off */
    /* Memory for compression that remembers earlier messages, about 50 KiB and the server's 32 KiB
     * a connection, of all threads together; 0: each message is compressed alone. */
    uint64_t deflate_bytes_max;

    /* wss. A server must show a certificate for the URL's host, by a CA of this file (PEM);
     * default: by one that the system trusts. */
    const char *tls_ca_file;
    /* What to show a server that asks for a certificate, its intermediates behind it, and its key
     * (PEM, both or none); default: nothing. */
    const char *tls_cert_file;
    const char *tls_key_file;
    /* Any certificate of anybody is good: whoever stands in between reads and writes along. For
     * trying out on one machine; the log says so. */
    bool tls_insecure;
};

#define FW_CLIENT_OPTIONS                                                                          \
    {                                                                                              \
        .size = sizeof(struct fw_client_options)                                                   \
    }

/* Creates a client; no thread runs yet. Options are copied, strings and context borrowed for its
 * life.
 *
 * errors       FW_ERR_USAGE (an option is out of its range; the log says which), FW_ERR_ENGINE,
 *              -ENOTSUP (deflate, with a zlib that is not safe), FW_ERR_TLS_FILE,
 *              FW_ERR_TLS_KEY_EXPOSED, FW_ERR_TLS_KEY_MISMATCH (the log says which file and why),
 *              -ENOMEM
 */
FW_PUBLIC int fw_client_create(const struct fw_client_options *options, fw_client **client_out);

/* Starts the threads. errors: -errno of what failed. */
FW_PUBLIC int fw_client_start(fw_client *client);

/* Waits until a started client has stopped. */
FW_PUBLIC void fw_client_wait(fw_client *client);

/* Starts, and lends the calling thread to the first of them until the client has stopped: with one
 * thread every callback runs on the caller's own. */
FW_PUBLIC int fw_client_run(fw_client *client);

/* Makes the client stop: each connection is closed with 1001, each connect fails. Returns at once.
 *
 * thread       any, and signal handlers
 */
FW_PUBLIC void fw_client_stop(fw_client *client);

/* Frees a client that was never started or has stopped. NULL is allowed. */
FW_PUBLIC void fw_client_destroy(fw_client *client);

/* "uring" or "epoll", and the number of threads. */
FW_PUBLIC const char *fw_client_engine(const fw_client *client);
FW_PUBLIC unsigned fw_client_threads(const fw_client *client);

/* What to say in the opening handshake; all of it is copied. */
struct fw_connect_options {
    size_t size;
    void *user;            /* fw_conn_user of the connection, and on_fail's */
    const char *protocols; /* subprotocols, the best first: "chat, chat.v1" */
    const char *origin;    /* for servers that look at it */
    const char *headers;   /* further lines, each ended by CR LF */
};

#define FW_CONNECT_OPTIONS                                                                         \
    {                                                                                              \
        .size = sizeof(struct fw_connect_options)                                                  \
    }

/* Opens a connection; on_open or on_fail follows, on one of the client's threads (they take turns),
 * once the client runs. From a callback too: never from inside the call.
 *
 * url          "ws://HOST[:PORT][/PATH][?QUERY]", HOST a name or an address, "[::1]" for IPv6; the
 *              same with "wss:", which is over TLS 1.2 or 1.3; or
 *              "unix:/path/of/socket[:/PATH[?QUERY]]". A name is looked up before the call returns,
 *              which may take seconds: from a callback give an address.
 * options      NULL for none
 * errors       FW_ERR_URL, FW_ERR_ABSENT (the name has no address), -EAGAIN (its look-up got no
 *              answer), FW_ERR_USAGE (a string holds what a request must not), FW_ERR_LIMIT (the
 *              request is over 8 KiB), FW_ERR_TLS_FILE (wss: the system has no CA certificates),
 *              FW_ERR_CLOSED (the client stops), -ENOMEM; nothing follows then
 * thread       any
 */
FW_PUBLIC int fw_client_connect(fw_client *client, const char *url,
                                const struct fw_connect_options *options);

/* Has a function run on one of the client's threads: where its connections may be sent to.
 *
 *     fw_client_post(client, fw_conn_thread(conn), send_later, note);
 *
 * Functions of one thread's posts run in the order of its calls. One that is posted to a client
 * that stops is run before it has stopped, or not at all when it had.
 *
 * thread_index   0 to fw_client_threads - 1
 * errors         FW_ERR_USAGE, FW_ERR_CLOSED (it has stopped), -ENOMEM
 * thread         any
 */
FW_PUBLIC int fw_client_post(fw_client *client, unsigned thread_index,
                             void (*function)(void *argument), void *argument);

/* The index of a client connection's thread. Thread: any, while the connection lives. */
FW_PUBLIC unsigned fw_conn_thread(const fw_conn *conn);

/* ---- responses: readable during the callback that got one --------------------------------------
 */

/* The HTTP status: 101 in on_open. */
FW_PUBLIC unsigned fw_response_status(const fw_response *response);

/* A header's value (name without regard to case).
 *
 * bytes_out    how many bytes; the value is not terminated
 * returns      NULL when it is absent
 */
FW_PUBLIC const char *fw_response_header(const fw_response *response, const char *name,
                                         size_t *bytes_out);

/* The subprotocol that the server chose; NULL for none. */
FW_PUBLIC const char *fw_response_protocol(const fw_response *response, size_t *bytes_out);

/* Of a refusal's body what came, at most 1 KiB; NULL when there is none. */
FW_PUBLIC const void *fw_response_body(const fw_response *response, size_t *bytes_out);

#ifdef __cplusplus
}
#endif

#endif
