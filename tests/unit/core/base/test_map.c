/* test_map.c: the keyed hash map (core/base/map.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/map.h"

#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Aumasson and Bernstein, "SipHash: a fast short-input PRF": inputs are 00 01 02 ... The values of
 * key 0 are those of two other implementations (CPython's and OCaml's), the one of key 00 01 .. 0f
 * is the reference's. */
Test(siphash, agrees_with_other_implementations)
{
    static const struct {
        size_t count;
        uint64_t hash;
    } rows[] = {
        {0, 0xd1fba762150c532c},  {1, 0x68a914128e01e473},  {3, 0x4d4c9a4a8ef6e0ad},
        {7, 0x2f098ab0c751325a},  {8, 0xead411e67ebe2eea},  {9, 0x75927f9d95124362},
        {15, 0xf30eb725bb91c9ea}, {16, 0x8972188433a5c5b7}, {63, 0x385d3e39e5f37359},
    };
    static const uint64_t zero[2] = {0, 0};
    static const uint64_t counting[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        /* Flush against the end of the heap block: a sanitizer sees one octet too many. */
        uint8_t *in = malloc(rows[i].count + 1);
        for (size_t k = 0; k < rows[i].count; k++)
            in[k + 1] = (uint8_t)k;
        uint64_t hash = fw_siphash(zero, (struct fw_bytes){in + 1, rows[i].count});
        cr_assert_eq(hash, rows[i].hash, "%zu octets: %llx", rows[i].count,
                     (unsigned long long)hash);
        free(in);
    }
    cr_assert_eq(fw_siphash(counting, (struct fw_bytes){NULL, 0}), 0xabac0158050fc4dcu);
}

Test(siphash, depends_on_both_halves_of_the_key)
{
    struct fw_bytes name = fw_bytes_of("prices.AAPL");
    uint64_t a = fw_siphash((uint64_t[]){1, 2}, name);
    cr_assert_neq(a, fw_siphash((uint64_t[]){1, 3}, name));
    cr_assert_neq(a, fw_siphash((uint64_t[]){2, 2}, name));
}

/* ---- the map --------------------------------------------------------------------------------- */

#define NAMES 1000

struct named {
    struct fw_map_node node;
    char name[16];
};

static const uint64_t key[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};

static struct named *make(unsigned number)
{
    struct named *named = calloc(1, sizeof *named);
    snprintf(named->name, sizeof named->name, "name-%u", number);
    named->node.name = fw_bytes_of(named->name);
    return named;
}

static int add(struct fw_map *map, struct named *named)
{
    return fw_map_add(map, &named->node, fw_siphash(map->key, named->node.name));
}

static struct fw_map_node *find(const struct fw_map *map, const char *name)
{
    return fw_map_find(map, fw_bytes_of(name), fw_siphash(map->key, fw_bytes_of(name)));
}

Test(map, finds_what_was_added_and_nothing_else)
{
    struct fw_map map;
    struct named *all[NAMES];
    fw_map_init(&map, key);
    cr_assert_null(find(&map, "name-0"), "an empty map finds nothing");
    for (unsigned i = 0; i < NAMES; i++) {
        all[i] = make(i);
        cr_assert_eq(add(&map, all[i]), 0);
        cr_assert_eq(map.count, i + 1);
    }
    for (unsigned i = 0; i < NAMES; i++)
        cr_assert_eq(find(&map, all[i]->name), &all[i]->node);
    cr_assert_null(find(&map, "name-1000"));
    cr_assert_null(find(&map, ""));
    cr_assert_null(find(&map, "name-"));
    fw_map_clear(&map);
    for (unsigned i = 0; i < NAMES; i++)
        free(all[i]);
}

Test(map, removes_from_any_place_of_a_chain)
{
    struct fw_map map;
    struct named *all[NAMES];
    fw_map_init(&map, key);
    for (unsigned i = 0; i < NAMES; i++) {
        all[i] = make(i);
        cr_assert_eq(add(&map, all[i]), 0);
    }
    /* 7 and 1000 have no common factor: each once, in a scattered order. */
    for (unsigned i = 0; i < NAMES; i++) {
        struct named *gone = all[i * 7 % NAMES];
        fw_map_remove(&map, &gone->node);
        cr_assert_null(find(&map, gone->name));
        cr_assert_eq(map.count, NAMES - 1 - i);
        struct named *there = all[(i + 1) * 7 % NAMES];
        cr_assert(i + 1 == NAMES || find(&map, there->name) == &there->node);
    }
    fw_map_clear(&map);
    for (unsigned i = 0; i < NAMES; i++)
        free(all[i]);
}

Test(map, keeps_apart_names_of_one_hash)
{
    struct fw_map map;
    struct named *a = make(1);
    struct named *b = make(2);
    fw_map_init(&map, key);
    cr_assert_eq(fw_map_add(&map, &a->node, 42), 0);
    cr_assert_eq(fw_map_add(&map, &b->node, 42), 0);
    cr_assert_eq(fw_map_find(&map, a->node.name, 42), &a->node);
    cr_assert_eq(fw_map_find(&map, b->node.name, 42), &b->node);
    cr_assert_null(fw_map_find(&map, fw_bytes_of("name-3"), 42));
    cr_assert_null(fw_map_find(&map, a->node.name, 43), "the hash is compared, too");
    fw_map_remove(&map, &a->node);
    cr_assert_eq(fw_map_find(&map, b->node.name, 42), &b->node);
    fw_map_clear(&map);
    free(a);
    free(b);
}

Test(map, stays_shallow_as_it_grows)
{
    struct fw_map map;
    struct named *all[NAMES];
    size_t deepest = 0;
    fw_map_init(&map, key);
    for (unsigned i = 0; i < NAMES; i++) {
        all[i] = make(i);
        cr_assert_eq(add(&map, all[i]), 0);
    }
    cr_assert_geq(map.buckets_count, map.count);
    for (size_t i = 0; i < map.buckets_count; i++) {
        size_t depth = 0;
        for (struct fw_map_node *node = map.buckets[i]; node != NULL; node = node->next)
            depth++;
        deepest = depth > deepest ? depth : deepest;
    }
    cr_assert_leq(deepest, 10u, "a thousand random names fill no chain with %zu", deepest);
    fw_map_clear(&map);
    for (unsigned i = 0; i < NAMES; i++)
        free(all[i]);
}

/* SECURITY.md, hash flooding: names that all meet in one bucket of 64 under key 0 are as good as
 * any others under a key that nobody knows. What a lookup costs is the nodes that it passes. */
#define CRAFTED 65536u

static size_t passed_by_lookups(const struct fw_map *map)
{
    size_t passed = 0;
    for (size_t i = 0; i < map->buckets_count; i++) {
        size_t depth = 0;
        for (struct fw_map_node *node = map->buckets[i]; node != NULL; node = node->next)
            passed += ++depth;
    }
    return passed;
}

static const uint64_t zero_key[2] = {0, 0};

/* Names that are any, or that collide under key 0. */
static void make_names(struct named all[CRAFTED], bool crafted)
{
    unsigned number = 0;
    for (unsigned i = 0; i < CRAFTED; i++) {
        do
            snprintf(all[i].name, sizeof all[i].name, "name-%u", number++);
        while (crafted && fw_siphash(zero_key, fw_bytes_of(all[i].name)) % 64 != 0);
        all[i].node.name = fw_bytes_of(all[i].name);
    }
}

/* What it costs to look up each of the names once. */
static size_t cost_of(struct named all[CRAFTED], const uint64_t own_key[2])
{
    struct fw_map map;
    fw_map_init(&map, own_key);
    for (unsigned i = 0; i < CRAFTED; i++)
        cr_assert_eq(add(&map, &all[i]), 0);
    size_t cost = passed_by_lookups(&map);
    fw_map_clear(&map);
    return cost;
}

Test(map, costs_no_more_for_names_that_collide_under_another_key)
{
    static struct named any[CRAFTED];
    static struct named crafted[CRAFTED];
    make_names(any, false);
    make_names(crafted, true);
    size_t random = cost_of(any, key);
    cr_assert_gt(cost_of(crafted, zero_key), 20 * random, "they do collide under key 0");
    size_t cost = cost_of(crafted, key);
    cr_assert_lt(cost, 2 * random, "%zu instead of %zu", cost, random);
}

Test(map, says_ENOMEM_when_the_first_buckets_cannot_be_had)
{
    struct fw_map map;
    struct named *named = make(1);
    fw_map_init(&map, key);
    fail_mem_at(1, FAIL_ONCE);
    cr_assert_eq(add(&map, named), -ENOMEM);
    fail_mem_off();
    cr_assert_eq(map.count, 0u);
    cr_assert_eq(add(&map, named), 0, "and takes it later");
    fw_map_clear(&map);
    free(named);
}

Test(map, serves_on_with_the_old_buckets_when_it_cannot_grow)
{
    struct fw_map map;
    struct named *all[NAMES];
    fw_map_init(&map, key);
    fail_mem_at(2, FAIL_FROM_ON);
    for (unsigned i = 0; i < NAMES; i++) {
        all[i] = make(i);
        cr_assert_eq(add(&map, all[i]), 0);
    }
    cr_assert(fail_mem_off());
    for (unsigned i = 0; i < NAMES; i++)
        cr_assert_eq(find(&map, all[i]->name), &all[i]->node);
    fw_map_clear(&map);
    for (unsigned i = 0; i < NAMES; i++)
        free(all[i]);
}
