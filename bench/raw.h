/* raw.h: what the bare servers share: a listener, an end, bytes that wait for a full socket.
 *
 * The bare servers are the ceilings that a real one is measured against: the fewest system calls
 * that move the same bytes. Their io_uring half shares raw_ring.h. They listen on loopback only.
 * Thread: one each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_RAW_H
#define FW_BENCH_RAW_H

#include "support.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens a non-blocking listener on 127.0.0.1; what it accepts has TCP_NODELAY from it. */
int raw_listen(size_t port);

/* Frees the listener's port now. A ring that accepts from it keeps the socket beyond the end of the
 * process, until the kernel gets to clean up. */
void raw_unlisten(int listener);

/* Says that the server is ready, and makes SIGTERM and SIGINT set raw_stopping. */
void raw_ready(size_t port, const char *engine);
bool raw_stopping(void);

/* What a server did in its life, told on stderr at its end: how far its turns were shared says
 * whether two runs compare. */
struct raw_figures {
    size_t turns;
    size_t receives;
    size_t sends;
    size_t sends_short;
    size_t receives_starved; /* io_uring: no buffer was left */
};
void raw_tell(const struct raw_figures *figures);

/* Bytes that a socket did not take yet. All zero: empty, owns nothing. */
struct raw_backlog {
    uint8_t *bytes;
    size_t begin;
    size_t end;
    size_t capacity;
};

static inline size_t raw_backlog_bytes(const struct raw_backlog *backlog)
{
    return backlog->end - backlog->begin;
}

/* Copies bytes to its end. */
void raw_backlog_append(struct raw_backlog *backlog, const void *bytes, size_t count);

/* Takes bytes off its front; frees what it owns when that was all. */
void raw_backlog_drop(struct raw_backlog *backlog, size_t count);

#endif
