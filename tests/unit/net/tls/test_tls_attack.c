/* test_tls_attack.c: what peers have sent to crash, stall or fill TLS servers. Each attack is
 * refused, crashes nothing, and costs little.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "net/tls/tls_internal.h"
#include "unit/net/tls/tls_pair.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

/* CPU that one attack may cost; instrumented builds are an order of magnitude slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CPU_MS_MAX 100.0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CPU_MS_MAX 100.0
#endif
#endif
#ifndef CPU_MS_MAX
#define CPU_MS_MAX 3.0
#endif

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static struct fw_tls_context *server;
static struct fw_tls_context *client;
static struct fw_tls_context *client_12;

static void open_contexts(void)
{
    server = pair_server_context();
    client = pair_client_context();
    client_12 = pair_context(&(struct fw_tls_options){
        .role = FW_TLS_CLIENT, .ca_file = pki_shared()->ca_file, .versions = FW_TLS_12_ONLY});
}

static void close_contexts(void)
{
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
    fw_tls_context_drop(client_12);
}

TestSuite(tls_attack, .init = open_contexts, .fini = close_contexts);

static void open_pair(struct pair *pair, bool twelve)
{
    *pair = (struct pair){.split = 0};
    pair_open(pair, server, twelve ? client_12 : client, "example.test", NULL);
}

/* The client's first flight, to be freed by the caller. */
static struct fw_tls_sink take_hello(struct pair *pair)
{
    side_feed(&pair->client, NULL, 0);
    return side_take(&pair->client);
}

/* ---- CVE-2024-0901: a record with a tag and nothing under it ---- */

Test(tls_attack, with_an_empty_encrypted_record_is_refused_at_every_stage)
{
    uint8_t record[5 + 16] = {23, 3, 3, 0, 0};
    for (int twelve = 0; twelve < 2; twelve++) {
        for (size_t body = 0; body <= 16; body++) {
            record[4] = (uint8_t)body;
            struct pair pair;
            open_pair(&pair, twelve);
            cr_expect_eq(side_feed(&pair.server, record, 5 + body), FW_ERR_TLS_NOT_TLS);
            pair_close(&pair);

            open_pair(&pair, twelve);
            struct fw_tls_sink hello = take_hello(&pair);
            cr_expect_eq(side_feed(&pair.server, hello.bytes, hello.count), 0);
            cr_expect_eq(side_feed(&pair.server, record, 5 + body), FW_ERR_TLS_EMPTY_RECORD);
            fw_mem_free(hello.bytes);
            pair_close(&pair);

            open_pair(&pair, twelve);
            pair_shake(&pair);
            double before_ms = cpu_ms();
            cr_expect_eq(side_feed(&pair.server, record, 5 + body), FW_ERR_TLS_EMPTY_RECORD);
            cr_expect_lt(cpu_ms() - before_ms, CPU_MS_MAX);
            cr_expect_eq(fw_tls_state(pair.server.tls), FW_TLS_FAILED);
            cr_expect_eq(side_feed(&pair.server, record, 5), FW_ERR_TLS_EMPTY_RECORD, "for good");
            pair_close(&pair);
        }
    }
}

/* ---- before anybody is known ---- */

Test(tls_attack, with_a_hello_of_15_kb_is_refused_for_nothing)
{
    static uint8_t hello[15000];
    memcpy(hello, "\x16\x03\x01\x3a\x93\x01\x00\x3a\x8f\x03\x03", 11);
    for (size_t cut = 1; cut <= sizeof hello; cut += 1499) {
        struct pair pair;
        open_pair(&pair, false);
        int64_t before = fw_tls_memory().bytes;
        double before_ms = cpu_ms();
        int status = fw_tls_received(pair.server.tls, hello, cut);
        cr_expect_eq(status, cut < 5 ? 0 : FW_ERR_TLS_HELLO_TOO_LARGE, "%zu: %d", cut, status);
        cr_expect_lt(cpu_ms() - before_ms, CPU_MS_MAX);
        cr_expect_eq(fw_tls_memory().bytes, before);
        /* It is told why: alert record_overflow, then the same error for ever. */
        if (status != 0) {
            uint8_t out[100];
            cr_expect_eq(fw_tls_plain(pair.server.tls, out, sizeof out, &pair.server.out), status);
            cr_assert_eq(pair.server.out.count, 7u);
            cr_expect_arr_eq(pair.server.out.bytes, "\x15\x03\x03\x00\x02\x02\x16", 7);
            cr_expect_eq(fw_tls_plain(pair.server.tls, out, sizeof out, &pair.server.out), status);
            cr_expect_eq(pair.server.out.count, 7u, "once");
        }
        pair_close(&pair);
    }
}

Test(tls_attack, with_a_plain_request_is_named_as_what_it_is)
{
    struct pair pair;
    char why[FW_TLS_WHY_BYTES];
    open_pair(&pair, false);
    static uint8_t request[8000] = "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n";
    cr_expect_eq(side_feed(&pair.server, request, sizeof request), FW_ERR_TLS_NOT_TLS);
    cr_expect_eq(pair.server.out.count, 0u, "no alert to one who does not speak TLS");
    fw_tls_why(pair.server.tls, why, sizeof why);
    cr_expect_str_eq(why, "the first bytes are not TLS");
    pair_close(&pair);
}

/* Slow or stalled handshakes cost what was sent, not what was announced. */
Test(tls_attack, with_half_handshakes_costs_bounded_memory)
{
    struct pair pair;
    open_pair(&pair, false);
    struct fw_tls_sink hello = take_hello(&pair);
    size_t bytes_most = 0;
    int64_t before = fw_tls_memory().bytes;
    for (size_t cut = 1; cut < hello.count; cut += 7) {
        struct fw_tls *tls = NULL;
        cr_assert_eq(fw_tls_create(server, NULL, NULL, &tls), 0);
        for (size_t at = 0; at < cut; at++) /* byte by byte */
            cr_assert_eq(fw_tls_received(tls, hello.bytes + at, 1), 0);
        cr_expect_leq(fw_tls_bytes(tls), sizeof(struct fw_tls) + 560 + 2 * cut, "%zu", cut);
        bytes_most = fw_tls_bytes(tls) > bytes_most ? fw_tls_bytes(tls) : bytes_most;
        fw_tls_destroy(tls);
    }
    cr_expect_eq(fw_tls_memory().bytes, before, "wolfSSL has not heard of them");
    cr_expect_lt(bytes_most, 1500u, "%zu", bytes_most);
    fw_mem_free(hello.bytes);
    pair_close(&pair);
}

Test(tls_attack, with_an_announced_record_reserves_nothing_for_it)
{
    static const uint8_t header[] = {23, 3, 3, 0x40, 0x11};
    for (int twelve = 0; twelve < 2; twelve++) {
        struct pair pair;
        open_pair(&pair, twelve);
        pair_shake(&pair);
        int64_t before = fw_tls_memory().bytes;
        size_t own = fw_tls_bytes(pair.server.tls);
        cr_expect_eq(side_feed(&pair.server, header, sizeof header), 0);
        cr_expect_eq(fw_tls_memory().bytes, before);
        cr_expect_leq(fw_tls_bytes(pair.server.tls), own + 528);
        pair_close(&pair);
    }
}

/* What follows the hello is bounded as well: nobody asked this client for certificates. */
Test(tls_attack, with_an_endless_handshake_is_refused_at_the_header)
{
    static const uint8_t large[] = {22, 3, 3, 0x30, 0x00};
    static const uint8_t small[] = {22, 3, 3, 0x04, 0x00};
    for (int twelve = 0; twelve < 2; twelve++) {
        struct pair pair;
        open_pair(&pair, twelve);
        struct fw_tls_sink hello = take_hello(&pair);
        cr_expect_eq(side_feed(&pair.server, hello.bytes, hello.count), 0);
        cr_expect_eq(side_feed(&pair.server, large, sizeof large), FW_ERR_TLS_HANDSHAKE_TOO_LARGE);
        pair_close(&pair);

        open_pair(&pair, twelve);
        cr_expect_eq(side_feed(&pair.server, hello.bytes, hello.count), 0);
        cr_expect_eq(side_feed(&pair.server, small, sizeof small), 0, "a second hello may come");
        fw_mem_free(hello.bytes);
        pair_close(&pair);
    }
}

/* Records that are legal before the handshake is done, over and over. */
Test(tls_attack, with_a_flood_of_small_records_before_the_end_is_refused)
{
    static const uint8_t floods[][8] = {
        {20, 3, 3, 0, 1, 1},     /* change_cipher_spec */
        {21, 3, 3, 0, 2, 1, 90}, /* a warning: user_canceled */
        {22, 3, 3, 0, 1, 1},     /* a hello, octet by octet */
    };
    static const size_t sizes[] = {6, 7, 6};
    for (int twelve = 0; twelve < 2; twelve++) {
        for (size_t i = 0; i < 3; i++) {
            struct pair pair;
            open_pair(&pair, twelve);
            struct fw_tls_sink hello = take_hello(&pair);
            cr_expect_eq(side_feed(&pair.server, hello.bytes, hello.count), 0);
            fw_mem_free(hello.bytes);
            double before_ms = cpu_ms();
            unsigned records = 0;
            while (records < 2000 && side_feed(&pair.server, floods[i], sizes[i]) == 0)
                records++;
            cr_expect_lt(records, 1100u, "%zu: %u", i, records);
            cr_expect_lt(cpu_ms() - before_ms, CPU_MS_MAX);
            pair_close(&pair);
        }
    }
}

/* There is no 0-RTT: data behind the hello is refused. */
Test(tls_attack, with_early_data_is_refused)
{
    static uint8_t early[5 + 100] = {23, 3, 3, 0, 100};
    struct pair pair;
    open_pair(&pair, false);
    struct fw_tls_sink hello = take_hello(&pair);
    cr_expect_eq(side_feed(&pair.server, hello.bytes, hello.count), 0);
    cr_expect_lt(side_feed(&pair.server, early, sizeof early), 0);
    cr_expect_eq(pair.server.plain_count, 0u);
    fw_mem_free(hello.bytes);
    pair_close(&pair);
}

/* ---- after the handshake ---- */

/* One KeyUpdate from the client that asks for one back (RFC 8446, section 4.6.3). */
static void update_keys(struct pair *pair)
{
    pair->client.tls->sink = &pair->client.out;
    int updated = wolfSSL_update_keys(pair->client.tls->ssl);
    pair->client.tls->sink = NULL;
    cr_assert_eq(updated, WOLFSSL_SUCCESS);
}

Test(tls_attack, with_500_key_updates_at_once_is_ended)
{
    struct pair pair;
    open_pair(&pair, false);
    pair_shake(&pair);
    for (int i = 0; i < 500; i++)
        update_keys(&pair);
    struct fw_tls_sink flood = side_take(&pair.client);
    double before_ms = cpu_ms();
    cr_expect_eq(side_feed(&pair.server, flood.bytes, flood.count), FW_ERR_TLS_FLOOD, "%d",
                 pair.server.status);
    cr_expect_lt(cpu_ms() - before_ms, CPU_MS_MAX);
    cr_expect_lt(pair.server.out.count, 64 * 64u, "answers: %zu", pair.server.out.count);
    fw_mem_free(flood.bytes);
    pair_close(&pair);
}

Test(tls_attack, with_key_updates_between_crumbs_of_data_is_ended)
{
    struct pair pair;
    open_pair(&pair, false);
    pair_shake(&pair);
    struct iovec crumb = {(char[]){"x"}, 1};
    int rounds = 0;
    for (; rounds < 500 && pair.server.status == 0; rounds++) {
        update_keys(&pair);
        cr_assert_eq(fw_tls_send(pair.client.tls, &crumb, 1, &pair.client.out), 0);
        pair_run(&pair);
    }
    cr_expect_eq(pair.server.status, FW_ERR_TLS_FLOOD);
    cr_expect_lt(rounds, 64);
    pair_close(&pair);
}

/* And honest peers change keys as often as they like. */
Test(tls_attack, is_not_what_an_honest_key_update_looks_like)
{
    static uint8_t bytes[2048];
    struct pair pair;
    open_pair(&pair, false);
    pair_shake(&pair);
    for (int i = 0; i < 200; i++) {
        update_keys(&pair);
        pair_send(&pair, &pair.client, bytes, sizeof bytes);
        pair_send(&pair, &pair.server, bytes, sizeof bytes);
    }
    cr_expect_eq(pair.server.status, 0);
    cr_expect_eq(pair.server.plain_count, 200 * sizeof bytes);
    cr_expect_eq(pair.client.plain_count, 200 * sizeof bytes);
    pair_close(&pair);
}

/* RFC 8446, section 4.1.2: a ClientHello after the handshake is an error; TLS 1.2's renegotiation
 * is one that we do not take. */
Test(tls_attack, with_renegotiation_is_refused)
{
    for (int twelve = 0; twelve < 2; twelve++) {
        struct pair pair;
        struct pair other;
        open_pair(&pair, twelve);
        open_pair(&other, twelve);
        struct fw_tls_sink hello = take_hello(&other);
        pair_shake(&pair);
        double before_ms = cpu_ms();
        cr_expect_eq(side_feed(&pair.server, hello.bytes, hello.count), FW_ERR_TLS_RENEGOTIATION);
        cr_expect_lt(cpu_ms() - before_ms, CPU_MS_MAX);
        pair_close(&pair);
        open_pair(&pair, twelve);
        pair_shake(&pair);
        cr_expect_eq(side_feed(&pair.client, hello.bytes, hello.count), FW_ERR_TLS_RENEGOTIATION);
        fw_mem_free(hello.bytes);
        pair_close(&other);
        pair_close(&pair);
    }
}

/* Anybody on the path can write these seven bytes; they must not pass for the peer's goodbye. */
Test(tls_attack, with_a_forged_close_notify_ends_nothing_quietly)
{
    static const uint8_t forged[][7] = {
        {21, 3, 3, 0, 2, 1, 0}, {21, 3, 3, 0, 2, 2, 0}, {21, 3, 3, 0, 2, 2, 40}};
    for (int twelve = 0; twelve < 2; twelve++) {
        for (size_t i = 0; i < 3; i++) {
            struct pair pair;
            open_pair(&pair, twelve);
            pair_shake(&pair);
            int status = side_feed(&pair.server, forged[i], 7);
            cr_expect_lt(status, 0);
            cr_expect_neq(status, FW_ERR_TLS_ENDED);
            cr_expect_neq(status, FW_ERR_TLS_ALERT);
            pair_close(&pair);
        }
    }
}

static struct fw_tls_sink take_record(struct pair *pair, const char *text)
{
    struct iovec piece = {(void *)(uintptr_t)text, strlen(text)};
    cr_assert_eq(fw_tls_send(pair->client.tls, &piece, 1, &pair->client.out), 0);
    return side_take(&pair->client);
}

Test(tls_attack, with_a_changed_record_is_noticed_wherever_it_was_changed)
{
    for (int twelve = 0; twelve < 2; twelve++) {
        for (size_t at = 5;; at++) {
            struct pair pair;
            open_pair(&pair, twelve);
            pair_shake(&pair);
            struct fw_tls_sink record = take_record(&pair, "attack at dawn");
            bool last = at + 1 >= record.count;
            record.bytes[at] ^= 0x40;
            cr_expect_eq(side_feed(&pair.server, record.bytes, record.count), FW_ERR_TLS_CORRUPT,
                         "octet %zu: %d", at, pair.server.status);
            cr_expect_eq(pair.server.plain_count, 0u);
            fw_mem_free(record.bytes);
            pair_close(&pair);
            if (last)
                break;
        }
    }
}

Test(tls_attack, with_a_record_played_twice_or_left_out_is_noticed)
{
    for (int twelve = 0; twelve < 2; twelve++) {
        struct pair pair;
        open_pair(&pair, twelve);
        pair_shake(&pair);
        struct fw_tls_sink record = take_record(&pair, "once");
        cr_expect_eq(side_feed(&pair.server, record.bytes, record.count), 0);
        cr_expect_eq(side_feed(&pair.server, record.bytes, record.count), FW_ERR_TLS_CORRUPT);
        cr_expect_eq(pair.server.plain_count, 4u);
        fw_mem_free(record.bytes);
        pair_close(&pair);

        open_pair(&pair, twelve);
        pair_shake(&pair);
        record = take_record(&pair, "lost");
        fw_mem_free(record.bytes);
        record = take_record(&pair, "next");
        cr_expect_eq(side_feed(&pair.server, record.bytes, record.count), FW_ERR_TLS_CORRUPT);
        fw_mem_free(record.bytes);
        pair_close(&pair);
    }
}

/* A peer may ask for records of 512 octets (RFC 6066, section 4) from a server whose wolfSSL knows
 * that; then gathered pieces are cut smaller, and still arrive whole. */
Test(tls_attack, with_tiny_records_breaks_no_message)
{
#ifdef HAVE_MAX_FRAGMENT
    static uint8_t bytes[3000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    for (int twelve = 0; twelve < 2; twelve++) {
        struct pair pair;
        open_pair(&pair, twelve);
        cr_assert_eq(wolfSSL_UseMaxFragment(pair.client.tls->ssl, WOLFSSL_MFL_2_9),
                     WOLFSSL_SUCCESS);
        pair_shake(&pair);
        struct iovec pieces[] = {{bytes, 100}, {bytes + 100, 2000}, {bytes + 2100, 900}};
        cr_assert_eq(fw_tls_send(pair.server.tls, pieces, 3, &pair.server.out), 0);
        pair_run(&pair);
        cr_assert_eq(pair.client.plain_count, sizeof bytes);
        cr_expect_arr_eq(pair.client.plain, bytes, sizeof bytes);
        pair_close(&pair);
    }
#else
    cr_skip("this wolfSSL does not negotiate record sizes");
#endif
}

/* ---- anything ---- */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Feeds a changed copy; whatever it says, it must neither crash nor hang, nor open. */
static void feed_changed(struct side *side, const struct fw_tls_sink *good, uint32_t *state)
{
    uint8_t *bytes = malloc(good->count);
    memcpy(bytes, good->bytes, good->count);
    unsigned changes = 1 + next_random(state) % 4;
    for (unsigned i = 0; i < changes; i++)
        bytes[next_random(state) % good->count] = (uint8_t)next_random(state);
    size_t count = next_random(state) % 8 == 0 ? 1 + next_random(state) % good->count : good->count;
    side_feed(side, bytes, count);
    free(bytes);
}

Test(tls_attack, with_changed_handshakes_crashes_nobody)
{
    uint32_t state = 20261121;
    for (int twelve = 0; twelve < 2; twelve++) {
        struct pair pair;
        open_pair(&pair, twelve);
        struct fw_tls_sink hello = take_hello(&pair);
        for (int i = 0; i < 1500; i++) {
            struct side victim = {.out = {.grow = fw_tls_sink_grow}};
            cr_assert_eq(fw_tls_create(server, NULL, NULL, &victim.tls), 0);
            feed_changed(&victim, &hello, &state);
            cr_assert_neq(fw_tls_state(victim.tls), FW_TLS_OPEN);
            fw_tls_destroy(victim.tls);
            fw_mem_free(victim.out.bytes);
            free(victim.plain);
        }
        cr_assert_eq(side_feed(&pair.server, hello.bytes, hello.count), 0);
        struct fw_tls_sink answer = side_take(&pair.server);
        for (int i = 0; i < 300; i++) { /* the server's flight, to clients */
            struct pair other;
            open_pair(&other, twelve);
            side_feed(&other.client, NULL, 0);
            feed_changed(&other.client, &answer, &state);
            cr_assert_neq(fw_tls_state(other.client.tls), FW_TLS_OPEN);
            pair_close(&other);
        }
        fw_mem_free(hello.bytes);
        fw_mem_free(answer.bytes);
        pair_close(&pair);
    }
}

/* Shakes with one octet of the client's last flight changed; whether the server opened. */
static bool opens_with_change(bool twelve, size_t at, size_t *count_out, uint8_t *type_out)
{
    struct pair pair;
    open_pair(&pair, twelve);
    struct fw_tls_sink hello = take_hello(&pair);
    side_feed(&pair.server, hello.bytes, hello.count);
    struct fw_tls_sink answer = side_take(&pair.server);
    side_feed(&pair.client, answer.bytes, answer.count);
    struct fw_tls_sink finish = side_take(&pair.client);
    *count_out = finish.count;
    *type_out = 0; /* of the record whose body the octet is in; 0 for a header */
    for (size_t record = 0; record < finish.count;) {
        size_t body = (size_t)finish.bytes[record + 3] << 8 | finish.bytes[record + 4];
        if (at >= record + 5 && at < record + 5 + body)
            *type_out = finish.bytes[record];
        record += 5 + body;
    }
    finish.bytes[at] ^= 0x01;
    side_feed(&pair.server, finish.bytes, finish.count);
    bool opened = fw_tls_state(pair.server.tls) == FW_TLS_OPEN;
    fw_mem_free(hello.bytes);
    fw_mem_free(answer.bytes);
    fw_mem_free(finish.bytes);
    pair_close(&pair);
    return opened;
}

Test(tls_attack, with_a_changed_finish_opens_nothing)
{
    for (int twelve = 0; twelve < 2; twelve++) {
        size_t count = 1;
        for (size_t at = 0; at < count; at++) {
            uint8_t type;
            bool opened = opens_with_change(twelve, at, &count, &type);
            cr_expect(type == 0 || !opened, "octet %zu", at);
        }
    }
}
