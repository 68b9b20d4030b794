/* tls_pair.h: a client and a server of net/tls with memory between them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_TESTS_TLS_PAIR_H
#define FW_TESTS_TLS_PAIR_H

#include "net/tls/tls.h"
#include "unit/net/tls/tls_pki.h"

struct side {
    struct fw_tls *tls;
    struct fw_tls_sink out;
    uint8_t *plain; /* all that came */
    size_t plain_count;
    size_t plain_room;
    int status; /* the first error */
};

struct pair {
    struct side client;
    struct side server;
    size_t split; /* cipher bytes are fed in pieces of this many; 0 for all at once */
};

/* Contexts that the test's process keeps; made with the options, asserted to succeed. */
struct fw_tls_context *pair_context(const struct fw_tls_options *options);
/* A server of pki_shared()'s server certificate, and a client that trusts its CA. */
struct fw_tls_context *pair_server_context(void);
struct fw_tls_context *pair_client_context(void);

void pair_open(struct pair *pair, struct fw_tls_context *server, struct fw_tls_context *client,
               const char *host, const struct fw_tls_session *session);
void pair_close(struct pair *pair);

/* Gives bytes to a side and takes its plain bytes, until it wants more; its status. */
int side_feed(struct side *side, const uint8_t *bytes, size_t count);
/* Takes what the sink has; free the bytes with fw_mem_free. */
struct fw_tls_sink side_take(struct side *side);

/* Moves bytes to and fro until both are quiet. */
void pair_run(struct pair *pair);
/* pair_run, and asserts that both are open. */
void pair_shake(struct pair *pair);

/* Sends and moves; the other side's `plain` grows. */
void pair_send(struct pair *pair, struct side *from, const void *bytes, size_t count);

#endif
