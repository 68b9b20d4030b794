/* test_tls_handshake.c: two ends of net/tls shake hands and talk (RFC 8446, RFC 5246).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "unit/net/tls/tls_pair.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* Contexts of one version on both sides. */
static struct fw_tls_context *server_of(enum fw_tls_versions versions)
{
    struct fw_tls_certificate certificate = pki_in_memory(&pki_shared()->server);
    return pair_context(&(struct fw_tls_options){.role = FW_TLS_SERVER,
                                                 .certificates = &certificate,
                                                 .certificates_count = 1,
                                                 .alpn = "http/1.1",
                                                 .versions = versions});
}

static struct fw_tls_context *client_of(enum fw_tls_versions versions, const char *alpn)
{
    return pair_context(&(struct fw_tls_options){.role = FW_TLS_CLIENT,
                                                 .ca_file = pki_shared()->ca_file,
                                                 .alpn = alpn,
                                                 .versions = versions});
}

/* ---- opening ---- */

static const struct {
    enum fw_tls_versions server;
    enum fw_tls_versions client;
    const char *version;
    const char *cipher;
} versions[] = {
    {FW_TLS_12_AND_13, FW_TLS_12_AND_13, "TLSv1.3", "AES128-GCM-SHA256"},
    {FW_TLS_12_AND_13, FW_TLS_12_ONLY, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {FW_TLS_12_AND_13, FW_TLS_13_ONLY, "TLSv1.3", "AES128-GCM-SHA256"},
    {FW_TLS_12_ONLY, FW_TLS_12_AND_13, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {FW_TLS_13_ONLY, FW_TLS_12_AND_13, "TLSv1.3", "AES128-GCM-SHA256"},
};

Test(tls_handshake, takes_the_best_version_that_both_have)
{
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct fw_tls_context *server = server_of(versions[i].server);
        struct fw_tls_context *client = client_of(versions[i].client, "http/1.1");
        struct pair pair = {.split = 0};
        pair_open(&pair, server, client, "example.test", NULL);
        pair_shake(&pair);
        cr_expect_str_eq(fw_tls_version(pair.server.tls), versions[i].version);
        cr_expect_str_eq(fw_tls_version(pair.client.tls), versions[i].version);
        cr_expect_not_null(strstr(fw_tls_cipher(pair.server.tls), versions[i].cipher), "%s",
                           fw_tls_cipher(pair.server.tls));
        cr_expect_str_eq(fw_tls_alpn(pair.server.tls), "http/1.1");
        cr_expect_str_eq(fw_tls_alpn(pair.client.tls), "http/1.1");
        cr_expect_str_eq(fw_tls_server_name(pair.server.tls), "example.test");
        cr_expect_str_eq(fw_tls_peer_subject(pair.client.tls), "CN=s");
        cr_expect_null(fw_tls_peer_subject(pair.server.tls));
        cr_expect_not(fw_tls_resumed(pair.server.tls));

        pair_send(&pair, &pair.client, "hello", 5);
        pair_send(&pair, &pair.server, "there", 5);
        cr_assert_eq(pair.server.plain_count, 5u);
        cr_assert_eq(pair.client.plain_count, 5u);
        cr_expect_arr_eq(pair.server.plain, "hello", 5);
        cr_expect_arr_eq(pair.client.plain, "there", 5);
        pair_close(&pair);
        fw_tls_context_drop(server);
        fw_tls_context_drop(client);
    }
}

Test(tls_handshake, without_a_version_in_common_says_so_on_both_sides)
{
    struct fw_tls_context *server = server_of(FW_TLS_13_ONLY);
    struct fw_tls_context *client = client_of(FW_TLS_12_ONLY, NULL);
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", NULL);
    pair_run(&pair);
    cr_expect_eq(pair.server.status, FW_ERR_TLS_VERSION, "%d", pair.server.status);
    cr_expect_eq(pair.client.status, FW_ERR_TLS_ALERT, "%d", pair.client.status);
    char why[FW_TLS_WHY_BYTES];
    fw_tls_why(pair.client.tls, why, sizeof why);
    cr_expect_not_null(strstr(why, "protocol_version"), "%s", why);
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

Test(tls_handshake, waits_for_its_owner_when_the_hello_is_whole)
{
    struct fw_tls_context *server = pair_server_context();
    struct fw_tls_context *client = pair_client_context();
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", NULL);
    side_feed(&pair.client, NULL, 0);
    struct fw_tls_sink hello = side_take(&pair.client);

    int64_t before = fw_tls_memory().bytes;
    cr_assert_eq(fw_tls_received(pair.server.tls, hello.bytes, 100), 0);
    cr_expect_eq(fw_tls_state(pair.server.tls), FW_TLS_HELLO);
    cr_assert_eq(fw_tls_received(pair.server.tls, hello.bytes + 100, hello.count - 100), 0);
    cr_expect_eq(fw_tls_state(pair.server.tls), FW_TLS_HELLO_READY);
    cr_expect_eq(fw_tls_memory().bytes, before, "no session is made for a hello that waits");
    cr_expect_str_eq(fw_tls_server_name(pair.server.tls), "example.test");

    memset(hello.bytes, 0, hello.count); /* it was only borrowed */
    fw_mem_free(hello.bytes);
    pair_shake(&pair);
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

Test(tls_handshake, goes_on_for_every_size_of_piece)
{
    struct fw_tls_context *server = server_of(FW_TLS_12_AND_13);
    for (int twelve = 0; twelve < 2; twelve++) {
        struct fw_tls_context *client =
            client_of(twelve ? FW_TLS_12_ONLY : FW_TLS_13_ONLY, "http/1.1");
        for (size_t split = 1; split < 1200; split += split < 40 ? 1 : 61) {
            struct pair pair = {.split = split};
            pair_open(&pair, server, client, "example.test", NULL);
            pair_shake(&pair);
            pair_send(&pair, &pair.client, "0123456789", 10);
            pair_send(&pair, &pair.server, "abcdefghij", 10);
            cr_assert_eq(pair.server.plain_count, 10u, "split %zu", split);
            cr_assert_eq(pair.client.plain_count, 10u, "split %zu", split);
            pair_close(&pair);
        }
        fw_tls_context_drop(client);
    }
    fw_tls_context_drop(server);
}

/* Two pieces, cut at every byte of the client's first flight. */
Test(tls_handshake, goes_on_for_every_cut_of_the_hello)
{
    struct fw_tls_context *server = pair_server_context();
    struct fw_tls_context *client = pair_client_context();
    struct pair first = {.split = 0};
    pair_open(&first, server, client, "example.test", NULL);
    side_feed(&first.client, NULL, 0);
    struct fw_tls_sink hello = side_take(&first.client);
    for (size_t cut = 1; cut < hello.count; cut++) {
        struct fw_tls *tls = NULL;
        cr_assert_eq(fw_tls_create(server, NULL, NULL, &tls), 0);
        cr_assert_eq(fw_tls_received(tls, hello.bytes, cut), 0, "cut %zu", cut);
        cr_assert_eq(fw_tls_state(tls), FW_TLS_HELLO, "cut %zu", cut);
        cr_assert_eq(fw_tls_received(tls, hello.bytes + cut, hello.count - cut), 0);
        cr_assert_eq(fw_tls_state(tls), FW_TLS_HELLO_READY, "cut %zu", cut);
        fw_tls_destroy(tls);
    }
    fw_mem_free(hello.bytes);
    pair_close(&first);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

/* ---- data ---- */

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 8));
}

static void expect_pattern(const struct side *side, size_t count)
{
    cr_assert_eq(side->plain_count, count);
    for (size_t i = 0; i < count; i++) {
        if (side->plain[i] != pattern(i))
            cr_assert_fail("octet %zu of %zu", i, count);
    }
}

Test(tls_data, crosses_both_ways_in_every_shape)
{
    enum { MOST = 1 << 20 };
    static const size_t counts[] = {1, 2, 100, 8191, 8192, 16383, 16384, 16385, 40000, MOST};
    uint8_t *bytes = malloc(MOST);
    for (size_t i = 0; i < MOST; i++)
        bytes[i] = pattern(i);
    struct fw_tls_context *server = server_of(FW_TLS_12_AND_13);
    for (int twelve = 0; twelve < 2; twelve++) {
        struct fw_tls_context *client = client_of(twelve ? FW_TLS_12_ONLY : FW_TLS_13_ONLY, NULL);
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            struct pair pair = {.split = counts[i] < 20000 ? 1000 : 65536};
            pair_open(&pair, server, client, "example.test", NULL);
            pair_shake(&pair);
            pair_send(&pair, &pair.client, bytes, counts[i]);
            expect_pattern(&pair.server, counts[i]);
            pair_send(&pair, &pair.server, bytes, counts[i]);
            expect_pattern(&pair.client, counts[i]);
            pair_close(&pair);
        }
        fw_tls_context_drop(client);
    }
    fw_tls_context_drop(server);
    free(bytes);
}

/* How many records stand in what was sent. */
static unsigned records_in(const struct fw_tls_sink *sink)
{
    unsigned records = 0;
    for (size_t at = 0; at < sink->count; records++) {
        cr_assert_leq(at + 5, sink->count);
        at += 5u + ((size_t)sink->bytes[at + 3] << 8 | sink->bytes[at + 4]);
        cr_assert_leq(at, sink->count);
    }
    return records;
}

static const struct {
    unsigned pieces;
    size_t bytes; /* each */
    unsigned records;
} gatherings[] = {
    {1, 1, 1},    {2, 10, 1},    {64, 100, 1},   {64, 256, 1},  {64, 257, 2},
    {4, 4096, 1}, {5, 4096, 2},  {1, 16384, 1},  {1, 16385, 2}, {1, 40000, 3},
    {2, 8192, 2}, {3, 16384, 3}, {64, 8000, 32},
};

/* RFC 8446, section 5.1: a record has up to 2^14 octets; the messages of a turn share them. */
Test(tls_data, of_one_call_shares_records)
{
    static uint8_t bytes[65536];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = pattern(i);
    struct fw_tls_context *server = pair_server_context();
    struct fw_tls_context *client = pair_client_context();
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", NULL);
    pair_shake(&pair);
    for (size_t i = 0; i < sizeof gatherings / sizeof gatherings[0]; i++) {
        struct iovec pieces[64];
        for (unsigned p = 0; p < gatherings[i].pieces; p++)
            pieces[p] = (struct iovec){bytes, gatherings[i].bytes};
        cr_assert_eq(fw_tls_send(pair.server.tls, pieces, gatherings[i].pieces, &pair.server.out),
                     0);
        cr_expect_eq(records_in(&pair.server.out), gatherings[i].records, "%u of %zu: %u records",
                     gatherings[i].pieces, gatherings[i].bytes, records_in(&pair.server.out));
        pair.client.plain_count = 0;
        pair_run(&pair);
        cr_assert_eq(pair.client.plain_count, gatherings[i].pieces * gatherings[i].bytes);
        for (size_t at = 0; at < pair.client.plain_count; at++)
            cr_assert_eq(pair.client.plain[at], pattern(at % gatherings[i].bytes), "%zu", at);
    }
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

Test(tls_data, gathers_pieces_of_mixed_and_no_size_in_order)
{
    static uint8_t bytes[60000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = pattern(i);
    static const size_t sizes[] = {0, 4, 0, 20000, 1, 0, 0, 9000, 300, 16000, 5, 8192, 0};
    struct iovec pieces[sizeof sizes / sizeof sizes[0]];
    size_t at = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        pieces[i] = (struct iovec){bytes + at, sizes[i]};
        at += sizes[i];
    }
    struct fw_tls_context *server = pair_server_context();
    struct fw_tls_context *client = pair_client_context();
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", NULL);
    pair_shake(&pair);
    cr_assert_eq(
        fw_tls_send(pair.server.tls, pieces, sizeof sizes / sizeof sizes[0], &pair.server.out), 0);
    pair_run(&pair);
    expect_pattern(&pair.client, at);
    cr_assert_eq(fw_tls_send(pair.server.tls, pieces, 1, &pair.server.out), 0);
    cr_assert_eq(fw_tls_send(pair.server.tls, pieces, 0, &pair.server.out), 0);
    cr_expect_eq(pair.server.out.count, 0u, "nothing to send is nothing sent");
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

/* An owner may stop taking plain bytes and come back: what was lent is kept for it. */
Test(tls_data, that_is_kept_is_read_later_and_in_order)
{
    static uint8_t bytes[50000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = pattern(i);
    struct fw_tls_context *server = pair_server_context();
    struct fw_tls_context *client = pair_client_context();
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", NULL);
    pair_shake(&pair);
    struct iovec piece = {bytes, sizeof bytes};
    cr_assert_eq(fw_tls_send(pair.client.tls, &piece, 1, &pair.client.out), 0);
    struct fw_tls_sink cipher = side_take(&pair.client);

    static uint8_t out[65536];
    size_t half = cipher.count / 2;
    cr_assert_eq(fw_tls_received(pair.server.tls, cipher.bytes, half), 0);
    ssize_t got = fw_tls_plain(pair.server.tls, out, 1000, &pair.server.out);
    cr_assert_eq(got, 1000);
    cr_assert_eq(fw_tls_keep(pair.server.tls), 0);
    cr_assert_eq(fw_tls_keep(pair.server.tls), 0, "keeping twice is keeping once");
    memset(cipher.bytes, 0, half);
    cr_assert_eq(fw_tls_received(pair.server.tls, cipher.bytes + half, cipher.count - half), 0);
    size_t at = 1000;
    while ((got = fw_tls_plain(pair.server.tls, out + at, sizeof out - at, &pair.server.out)) > 0)
        at += (size_t)got;
    cr_assert_eq(got, 0);
    cr_assert_eq(at, sizeof bytes);
    cr_expect_arr_eq(out, bytes, sizeof bytes);
    fw_mem_free(cipher.bytes);
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

/* ---- ends ---- */

/* RFC 8446, section 6.1: close_notify ends one direction only. */
Test(tls_end, is_told_and_leaves_the_other_direction_open)
{
    struct fw_tls_context *server = server_of(FW_TLS_12_AND_13);
    for (int twelve = 0; twelve < 2; twelve++) {
        struct fw_tls_context *client = client_of(twelve ? FW_TLS_12_ONLY : FW_TLS_13_ONLY, NULL);
        struct pair pair = {.split = 0};
        pair_open(&pair, server, client, "example.test", NULL);
        pair_shake(&pair);
        cr_assert_eq(fw_tls_end(pair.client.tls, &pair.client.out), 0);
        cr_assert_eq(fw_tls_end(pair.client.tls, &pair.client.out), 0, "twice is once");
        pair_run(&pair);
        cr_expect_eq(pair.server.status, FW_ERR_TLS_ENDED, "%d", pair.server.status);
        cr_expect_eq(fw_tls_state(pair.server.tls), FW_TLS_CLOSED);
        struct iovec piece = {(char[]){"bye"}, 3};
        cr_expect_eq(fw_tls_send(pair.server.tls, &piece, 1, &pair.server.out), 0);
        cr_expect_eq(fw_tls_end(pair.server.tls, &pair.server.out), 0);
        cr_expect_gt(pair.server.out.count, 0u);
        cr_expect_eq(fw_tls_received(pair.server.tls, (const uint8_t *)"x", 1), FW_ERR_TLS_ENDED);
        char why[FW_TLS_WHY_BYTES];
        fw_tls_why(pair.server.tls, why, sizeof why);
        cr_expect_str_eq(why, "the peer ended the TLS session");
        pair_close(&pair);
        fw_tls_context_drop(client);
    }
    fw_tls_context_drop(server);
}

/* ---- ALPN (RFC 7301, section 3.2) ---- */

Test(tls_alpn, is_none_for_clients_that_offer_none)
{
    struct fw_tls_context *server = server_of(FW_TLS_12_AND_13);
    struct fw_tls_context *client = client_of(FW_TLS_12_AND_13, NULL);
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", NULL);
    pair_shake(&pair);
    cr_expect_null(fw_tls_alpn(pair.server.tls));
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

Test(tls_alpn, refuses_clients_that_offer_only_others)
{
    struct fw_tls_context *server = server_of(FW_TLS_12_AND_13);
    for (int twelve = 0; twelve < 2; twelve++) {
        struct fw_tls_context *client = client_of(twelve ? FW_TLS_12_ONLY : FW_TLS_13_ONLY, "h2");
        struct pair pair = {.split = 0};
        pair_open(&pair, server, client, "example.test", NULL);
        pair_run(&pair);
        cr_expect_eq(pair.server.status, FW_ERR_TLS_ALPN, "%d", pair.server.status);
        cr_expect_eq(pair.client.status, FW_ERR_TLS_ALERT, "%d", pair.client.status);
        char why[FW_TLS_WHY_BYTES];
        fw_tls_why(pair.client.tls, why, sizeof why);
        cr_expect_not_null(strstr(why, "no_application_protocol"), "%s", why);
        pair_close(&pair);
        fw_tls_context_drop(client);
    }
    fw_tls_context_drop(server);
}

/* ---- SNI (RFC 6066, section 3) ---- */

static const struct {
    const char *host;
    const char *subject;
} choices[] = {
    {"example.test", "CN=s"},  {"EXAMPLE.Test", "CN=s"},  {"second.test", "CN=t"},
    {"two.wild.test", "CN=s"}, {"one.wild.test", "CN=t"}, /* the exact one before the wild one */
    {"192.0.2.7", "CN=s"},     {"2001:db8::7", "CN=s"},
};

Test(tls_sni, chooses_the_certificate)
{
    struct fw_tls_certificate certificates[] = {pki_in_memory(&pki_shared()->server),
                                                pki_in_memory(&pki_shared()->second)};
    struct fw_tls_context *server = pair_context(&(struct fw_tls_options){
        .role = FW_TLS_SERVER, .certificates = certificates, .certificates_count = 2});
    struct fw_tls_context *client = pair_client_context();
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        struct pair pair = {.split = 0};
        pair_open(&pair, server, client, choices[i].host, NULL);
        pair_shake(&pair);
        cr_expect_str_eq(fw_tls_peer_subject(pair.client.tls), choices[i].subject, "%s",
                         choices[i].host);
        pair_close(&pair);
    }
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

Test(tls_sni, that_nobody_has_gets_the_first_certificate)
{
    struct fw_tls_context *server = pair_server_context();
    struct fw_tls_context *client = pair_client_context();
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "nobody.test", NULL);
    pair_run(&pair);
    cr_expect_eq(pair.client.status, FW_ERR_TLS_CERT_HOST, "%d", pair.client.status);
    cr_expect_str_eq(fw_tls_server_name(pair.server.tls), "nobody.test");
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}
