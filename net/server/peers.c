/* peers.c: see peers.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/peers.h"

#include "base/check.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>

#define ADDRESS_BYTES_MAX 9 /* family, and 4 or 8 octets */
/* Idle entries that are looked for when one is needed and none is free. */
#define SWEEP_ENTRIES 64u

struct fw_peer {
    struct fw_map_node node; /* its name is `address`; its `next` links the free ones, too */
    uint64_t paid_ms;        /* when the accepts so far are paid for: the rate, as a schedule */
    atomic_uint open;
    uint8_t address[ADDRESS_BYTES_MAX];
    bool used;
};
static_assert(sizeof(struct fw_peer) <= 64, "what an address costs");

int fw_peers_init(struct fw_peers *peers, const uint64_t key[2], uint32_t open_max, uint32_t rate,
                  uint32_t burst)
{
    *peers = (struct fw_peers){.open_max = open_max, .rate = rate, .burst = burst, .used = 1};
    fw_map_init(&peers->map, key);
    pthread_mutex_init(&peers->lock, NULL);
    if (open_max == 0 && rate == 0)
        return 0;
    void *table = mmap(NULL, sizeof(struct fw_peer) * FW_PEERS_MAX, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED)
        return -ENOMEM;
    peers->table = table;
    return 0;
}

void fw_peers_clear(struct fw_peers *peers)
{
    fw_map_clear(&peers->map);
    if (peers->table == NULL)
        return;
    munmap(peers->table, sizeof(struct fw_peer) * FW_PEERS_MAX);
    pthread_mutex_destroy(&peers->lock);
    peers->table = NULL;
}

/* Writes what counts of an address; 0 when it is not an IP address. An IPv4 address that came in as
 * IPv6 (RFC 4291, section 2.5.5.2) is itself. */
static size_t address_of(const struct sockaddr *any, uint8_t out[ADDRESS_BYTES_MAX])
{
    if (any->sa_family == AF_INET) {
        out[0] = 4;
        memcpy(out + 1, &((const struct sockaddr_in *)(const void *)any)->sin_addr, 4);
        return 5;
    }
    if (any->sa_family != AF_INET6)
        return 0;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)any)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(six)) {
        out[0] = 4;
        memcpy(out + 1, six->s6_addr + 12, 4);
        return 5;
    }
    out[0] = 6;
    memcpy(out + 1, six->s6_addr, 8);
    return 9;
}

static bool is_idle(const struct fw_peer *peer, uint64_t now_ms)
{
    return peer->used && atomic_load_explicit(&peer->open, memory_order_relaxed) == 0 &&
           peer->paid_ms <= now_ms;
}

static void forget(struct fw_peers *peers, uint32_t index)
{
    struct fw_peer *peer = &peers->table[index];
    fw_map_remove(&peers->map, &peer->node);
    peer->used = false;
    peer->paid_ms = peers->free_first; /* it is in no schedule: the list's link */
    peers->free_first = index;
}

/* Looks at a few entries in turn, and forgets the idle ones: bounded work for each new address. */
static void sweep(struct fw_peers *peers, uint64_t now_ms)
{
    for (uint32_t i = 0; i < SWEEP_ENTRIES && peers->used > 1; i++) {
        peers->swept = peers->swept + 1 >= peers->used ? 1 : peers->swept + 1;
        if (is_idle(&peers->table[peers->swept], now_ms))
            forget(peers, peers->swept);
    }
}

/* An entry for an address that has none; 0 when there is no room. */
static uint32_t add(struct fw_peers *peers, struct fw_bytes address, uint64_t hash, uint64_t now_ms)
{
    if (peers->free_first == 0)
        sweep(peers, now_ms);
    uint32_t index = peers->free_first;
    if (index != 0)
        peers->free_first = (uint32_t)peers->table[index].paid_ms;
    else if (peers->used < FW_PEERS_MAX)
        index = peers->used++;
    else
        return 0;
    struct fw_peer *peer = &peers->table[index];
    memcpy(peer->address, address.at, address.count);
    peer->node.name = (struct fw_bytes){peer->address, address.count};
    peer->paid_ms = 0;
    peer->used = true;
    if (fw_map_add(&peers->map, &peer->node, hash) == 0)
        return index;
    peer->used = false;
    peer->paid_ms = peers->free_first;
    peers->free_first = index;
    return 0;
}

static uint32_t find(struct fw_peers *peers, const struct sockaddr *any, uint64_t now_ms)
{
    uint8_t octets[ADDRESS_BYTES_MAX];
    struct fw_bytes address = {octets, address_of(any, octets)};
    if (address.count == 0)
        return 0;
    uint64_t hash = fw_siphash(peers->map.key, address);
    struct fw_map_node *node = fw_map_find(&peers->map, address, hash);
    if (node == NULL)
        return add(peers, address, hash, now_ms);
    return (uint32_t)(fw_container_of(node, struct fw_peer, node) - peers->table);
}

/* Each accept is paid for by 1/rate seconds; `burst` of them may be paid for later. */
static bool pay(const struct fw_peers *peers, struct fw_peer *peer, uint64_t now_ms)
{
    if (peers->rate == 0)
        return true;
    uint64_t price_ms = peers->rate > 1000 ? 1 : 1000 / peers->rate;
    uint64_t from_ms = peer->paid_ms > now_ms ? peer->paid_ms : now_ms;
    if (from_ms + price_ms > now_ms + price_ms * peers->burst)
        return false;
    peer->paid_ms = from_ms + price_ms;
    return true;
}

static enum fw_peer_verdict admit(struct fw_peers *peers, const struct sockaddr *address,
                                  uint64_t now_ms, uint32_t *index_out)
{
    uint32_t index = find(peers, address, now_ms);
    *index_out = index;
    if (index == 0)
        return FW_PEER_WELCOME;
    struct fw_peer *peer = &peers->table[index];
    if (peers->open_max != 0 &&
        atomic_load_explicit(&peer->open, memory_order_relaxed) >= peers->open_max)
        return FW_PEER_HAS_TOO_MANY;
    if (!pay(peers, peer, now_ms))
        return FW_PEER_IS_TOO_FAST;
    atomic_fetch_add_explicit(&peer->open, 1, memory_order_relaxed);
    return FW_PEER_WELCOME;
}

enum fw_peer_verdict fw_peers_admit(struct fw_peers *peers, const struct sockaddr *address,
                                    uint64_t now_ms, uint32_t *index_out)
{
    *index_out = 0;
    if (peers->table == NULL)
        return FW_PEER_WELCOME;
    pthread_mutex_lock(&peers->lock);
    enum fw_peer_verdict verdict = admit(peers, address, now_ms, index_out);
    pthread_mutex_unlock(&peers->lock);
    return verdict;
}

void fw_peers_left(struct fw_peers *peers, uint32_t index)
{
    if (index == 0)
        return;
    unsigned before = atomic_fetch_sub_explicit(&peers->table[index].open, 1, memory_order_relaxed);
    fw_assert(before > 0);
}
