/* peers.h: what each address of a client's has: connections open, and accepts of late.
 *
 * An address is an IPv4 address or the /64 that an IPv6 address is in: who has one of those has all
 * of it. The table is bounded; an address that has nothing open and no debt is forgotten. Where it
 * is full, new addresses are not counted (index 0): limits fail open, memory does not.
 *
 * thread: any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_PEERS_H
#define FW_NET_PEERS_H

#include "base/map.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

/* Addresses at once: 64 octets each, 16 MiB in all, of which only what is used is touched. */
#define FW_PEERS_MAX 262144u

enum fw_peer_verdict {
    FW_PEER_WELCOME,
    FW_PEER_HAS_TOO_MANY, /* connections open */
    FW_PEER_IS_TOO_FAST,  /* accepts */
};

struct fw_peer; /* peers.c */

struct fw_peers {
    pthread_mutex_t lock; /* of all but the counts of open connections */
    struct fw_map map;
    struct fw_peer *table; /* mapped; index 0 is nobody */
    uint32_t used;         /* entries ever used */
    uint32_t free_first;   /* list of those that were forgotten; 0: none */
    uint32_t swept;        /* where the search for idle ones goes on */
    uint32_t open_max;     /* connections of one address; 0: any number */
    uint32_t rate;         /* accepts a second; 0: any number */
    uint32_t burst;
};

/* errors: -ENOMEM. Without limits nothing is allocated, and everybody is welcome. */
int fw_peers_init(struct fw_peers *peers, const uint64_t key[2], uint32_t open_max, uint32_t rate,
                  uint32_t burst);
void fw_peers_clear(struct fw_peers *peers);

/* Judges a new connection, and counts it when it is welcome.
 *
 * index_out    the address's entry, for fw_peers_left; 0: it is not counted (no IP address)
 */
enum fw_peer_verdict fw_peers_admit(struct fw_peers *peers, const struct sockaddr *address,
                                    uint64_t now_ms, uint32_t *index_out);

/* A connection that was welcome has ended. */
void fw_peers_left(struct fw_peers *peers, uint32_t index);

#endif
