/* server.h: a peer as it runs during one measurement: started here and ended for sure, or somebody
 * else's.
 *
 * A started server has a process group of its own, pinned to the servers' CPUs. It is ended with
 * SIGTERM, then SIGKILL; when this program dies, however it dies, the kernel ends it.
 *
 * thread: main
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_SERVER_H
#define FW_BENCH_SERVER_H

#include "settings.h"
#include "target.h"

/* What a scenario needs of a server that is started for it. */
struct bench_start {
    enum bench_role role;
    size_t payload_bytes;    /* what raw-echo moves instead of frames of such a payload */
    const char *ours_flags;  /* for fanwire itself; NULL for none */
    const char *listen_host; /* where fanwire listens; NULL: 127.0.0.1 */
    bool anywhere;           /* not pinned */
};

struct bench_server {
    const struct bench_peer *peer;
    struct bench_url url; /* where it is reached */
    pid_t pid;            /* 0: unknown */
    int output;           /* a memfd with what it printed; -1 for somebody else's */
    uint16_t port;
    bool started;
};

/* Starts a peer's command and waits until its port takes a connection, or takes the running one's
 * URL.
 *
 * returns      true; false when the peer cannot be run here or in this role (its command ended with
 *              77: the reason, its last line, is told on stderr). Whatever else goes wrong ends the
 *              program with what the server said.
 */
bool bench_server_start(const struct bench_peer *peer, const struct bench_start *start,
                        struct bench_server *server_out);

/* Ends a started server, with all its processes. */
void bench_server_stop(struct bench_server *server);

/* The first line that a started server printed; "" when there is none. */
void bench_server_said(const struct bench_server *server, char *line, size_t line_bytes);

/* Makes signals that end this program end the started servers first. Called once. */
void bench_server_guard(void);

/* The command's words for a port, split at spaces.
 *
 * words_out    NULL-terminated; room for `room` words; they live in `text`, whose room is
 *              text_bytes
 * returns      false when there is not room enough
 */
bool bench_server_words(const struct bench_peer *peer, const struct bench_start *start,
                        uint16_t port, char *text, size_t text_bytes, char **words_out,
                        size_t room);

#endif
