/* map.c: see map.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/map.h"
#include "base/check.h"
#include "base/mem.h"

#include <errno.h>

#define BUCKETS_START 64

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

uint64_t fw_siphash(const uint64_t key[2], struct fw_bytes in)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                     key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    size_t whole = in.count / 8;
    for (size_t i = 0; i < whole; i++) {
        uint64_t word;
        memcpy(&word, in.at + i * 8, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)in.count << 56;
    for (size_t i = 0; i < in.count % 8; i++)
        last |= (uint64_t)in.at[whole * 8 + i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void fw_map_init(struct fw_map *map, const uint64_t key[2])
{
    *map = (struct fw_map){.key = {key[0], key[1]}};
}

void fw_map_clear(struct fw_map *map)
{
    fw_mem_free(map->buckets);
    map->buckets = NULL;
    map->buckets_count = 0;
    map->count = 0;
}

struct fw_map_node *fw_map_find(const struct fw_map *map, struct fw_bytes name, uint64_t hash)
{
    if (map->buckets_count == 0)
        return NULL;
    struct fw_map_node *node = map->buckets[hash & (map->buckets_count - 1)];
    while (node != NULL && (node->hash != hash || !fw_bytes_equal(node->name, name)))
        node = node->next;
    return node;
}

static void insert(struct fw_map_node **buckets, size_t buckets_count, struct fw_map_node *node)
{
    struct fw_map_node **bucket = &buckets[node->hash & (buckets_count - 1)];
    node->next = *bucket;
    *bucket = node;
}

/* Doubles the buckets; when there is no memory the old ones serve on, only slower. */
static int grow(struct fw_map *map)
{
    size_t wanted = map->buckets_count == 0 ? BUCKETS_START : map->buckets_count * 2;
    struct fw_map_node **buckets = fw_mem_zero(wanted * sizeof(struct fw_map_node *));
    if (buckets == NULL)
        return map->buckets_count == 0 ? -ENOMEM : 0;
    for (size_t i = 0; i < map->buckets_count; i++) {
        struct fw_map_node *node = map->buckets[i];
        while (node != NULL) {
            struct fw_map_node *next = node->next;
            insert(buckets, wanted, node);
            node = next;
        }
    }
    fw_mem_free(map->buckets);
    map->buckets = buckets;
    map->buckets_count = wanted;
    return 0;
}

int fw_map_add(struct fw_map *map, struct fw_map_node *node, uint64_t hash)
{
    if (map->count >= map->buckets_count && grow(map) != 0)
        return -ENOMEM;
    node->hash = hash;
    insert(map->buckets, map->buckets_count, node);
    map->count++;
    return 0;
}

void fw_map_remove(struct fw_map *map, struct fw_map_node *node)
{
    struct fw_map_node **at = &map->buckets[node->hash & (map->buckets_count - 1)];
    while (*at != node) {
        fw_assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    map->count--;
}
