/* map.h: a hash map from names to structs that carry their own node.
 *
 * Names are chosen by strangers, so the hash is keyed (SipHash-1-3) with octets that the owner
 * draws at random: nobody can make them collide. The map allocates its bucket array only; nodes are
 * the caller's. Thread: the owner's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_MAP_H
#define FW_BASE_MAP_H

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

/* Stands in the struct that is mapped; its name lives as long as it is in the map. */
struct fw_map_node {
    struct fw_map_node *next;
    uint64_t hash;
    struct fw_bytes name;
};

struct fw_map {
    uint64_t key[2];
    struct fw_map_node **buckets; /* a power of two */
    size_t buckets_count;
    size_t count;
};

/* SipHash with 1 compression and 3 finalization rounds.
 *
 * source       Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012
 */
uint64_t fw_siphash(const uint64_t key[2], struct fw_bytes in);

/* Makes an empty map; nothing is allocated before the first add. */
void fw_map_init(struct fw_map *map, const uint64_t key[2]);

/* Frees the buckets; the nodes are the caller's. */
void fw_map_clear(struct fw_map *map);

/* The node of a name, or NULL. `hash` is fw_siphash(map->key, name). */
struct fw_map_node *fw_map_find(const struct fw_map *map, struct fw_bytes name, uint64_t hash);

/* Adds a node whose name is not in the map yet; node->name is set by the caller.
 *
 * errors       -ENOMEM
 */
int fw_map_add(struct fw_map *map, struct fw_map_node *node, uint64_t hash);

/* Takes a node out that is in. */
void fw_map_remove(struct fw_map *map, struct fw_map_node *node);

#endif
