/* test_peers.c: limits by address (net/server/peers.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/peers.h"
#include "support/fail_mem.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static const uint64_t key[2] = {1, 2};
static struct fw_peers peers;

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)&storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&storage;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        storage.ss_family = AF_INET;
    } else {
        storage.ss_family = AF_INET6;
        cr_assert_eq(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
    }
    return storage;
}

static enum fw_peer_verdict admit(const char *text, uint64_t now_ms, uint32_t *index)
{
    struct sockaddr_storage storage = address_of(text);
    return fw_peers_admit(&peers, (struct sockaddr *)(void *)&storage, now_ms, index);
}

static void begin(uint32_t open_max, uint32_t rate, uint32_t burst)
{
    cr_assert_eq(fw_peers_init(&peers, key, open_max, rate, burst), 0);
}

Test(peers, may_have_so_many_connections_each)
{
    uint32_t index[4];
    begin(2, 0, 0);
    cr_assert_eq(admit("10.0.0.1", 0, &index[0]), FW_PEER_WELCOME);
    cr_assert_eq(admit("10.0.0.1", 0, &index[1]), FW_PEER_WELCOME);
    cr_assert_eq(index[0], index[1]);
    cr_assert_eq(admit("10.0.0.1", 0, &index[2]), FW_PEER_HAS_TOO_MANY);
    cr_assert_eq(admit("10.0.0.2", 0, &index[3]), FW_PEER_WELCOME);
    fw_peers_left(&peers, index[0]);
    cr_assert_eq(admit("10.0.0.1", 0, &index[2]), FW_PEER_WELCOME);
    cr_assert_eq(admit("10.0.0.1", 0, &index[2]), FW_PEER_HAS_TOO_MANY);
    fw_peers_clear(&peers);
}

/* RFC 6177: an end site has at least a /64, and whoever has it has every address in it. */
Test(peers, of_ipv6_are_a_64_and_mapped_ipv4_is_itself)
{
    uint32_t a, b, c, d, e;
    begin(100, 0, 0);
    admit("2001:db8:1:2::1", 0, &a);
    admit("2001:db8:1:2:ffff:ffff:ffff:ffff", 0, &b);
    admit("2001:db8:1:3::1", 0, &c);
    admit("10.0.0.1", 0, &d);
    admit("::ffff:10.0.0.1", 0, &e);
    cr_assert_eq(a, b);
    cr_assert_neq(a, c);
    cr_assert_eq(d, e);
    cr_assert_neq(a, d);
    fw_peers_clear(&peers);
}

Test(peers, may_come_in_a_burst_and_then_at_their_rate)
{
    uint32_t index;
    begin(0, 20, 50);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(admit("10.0.0.1", 1000, &index), FW_PEER_WELCOME, "%u", i);
    cr_assert_eq(admit("10.0.0.1", 1000, &index), FW_PEER_IS_TOO_FAST);
    cr_assert_eq(admit("10.0.0.1", 1049, &index), FW_PEER_IS_TOO_FAST);
    cr_assert_eq(admit("10.0.0.1", 1050, &index), FW_PEER_WELCOME);
    cr_assert_eq(admit("10.0.0.1", 1050, &index), FW_PEER_IS_TOO_FAST);
    cr_assert_eq(admit("10.0.0.2", 1050, &index), FW_PEER_WELCOME);
    unsigned welcome = 0;
    for (uint64_t now_ms = 2000; now_ms < 12000; now_ms++)
        welcome += admit("10.0.0.3", now_ms, &index) == FW_PEER_WELCOME;
    cr_assert_geq(welcome, 249u);
    cr_assert_leq(welcome, 251u);
    fw_peers_clear(&peers);
}

Test(peers, without_limits_or_without_an_address_are_not_counted)
{
    uint32_t index;
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    begin(0, 0, 0);
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(admit("10.0.0.1", 0, &index), FW_PEER_WELCOME);
    cr_assert_eq(index, 0u);
    fw_peers_clear(&peers);
    begin(1, 1, 1);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(
            fw_peers_admit(&peers, (const struct sockaddr *)(const void *)&local, 0, &index),
            FW_PEER_WELCOME);
    cr_assert_eq(index, 0u);
    fw_peers_left(&peers, 0);
    fw_peers_clear(&peers);
}

/* More addresses than there is room for: the idle make room, and beyond it nobody is counted. */
Test(peers, are_forgotten_when_they_are_idle_and_never_grow_without_bound, .timeout = 120)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    uint32_t index;
    uint64_t now_ms = 0;
    begin(1, 0, 0);
    for (uint32_t i = 0; i < 3 * FW_PEERS_MAX; i++) {
        four.sin_addr.s_addr = htonl(i);
        cr_assert_eq(fw_peers_admit(&peers, (struct sockaddr *)(void *)&four, ++now_ms, &index),
                     FW_PEER_WELCOME);
        cr_assert_neq(index, 0u);
        fw_peers_left(&peers, index);
    }
    cr_assert_leq(peers.used, 200u, "the idle were used again");
    for (uint32_t i = 0; i < FW_PEERS_MAX + 10; i++) {
        four.sin_addr.s_addr = htonl(0x80000000u + i);
        cr_assert_eq(fw_peers_admit(&peers, (struct sockaddr *)(void *)&four, ++now_ms, &index),
                     FW_PEER_WELCOME);
    }
    cr_assert_eq(index, 0u, "full of connections that are open");
    four.sin_addr.s_addr = htonl(0x80000000u);
    cr_assert_eq(fw_peers_admit(&peers, (struct sockaddr *)(void *)&four, ++now_ms, &index),
                 FW_PEER_HAS_TOO_MANY);
    fw_peers_clear(&peers);
}

Test(peers, survive_every_allocation_failing)
{
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        uint32_t index;
        begin(1, 1, 1);
        fail_mem_at(k, FAIL_ONCE);
        enum fw_peer_verdict verdict = admit("10.0.0.1", 0, &index);
        failed = fail_mem_off();
        cr_assert_eq(verdict, FW_PEER_WELCOME);
        cr_assert_eq(index == 0, failed);
        fw_peers_clear(&peers);
    }
}
