/* test_tls_ticket.c: sessions that are resumed, and those that must not be (RFC 8446,
 * section 4.6.1; RFC 5077).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_internal.h"
#include "unit/net/tls/tls_pair.h"

#include <criterion/criterion.h>

#define HOUR_MS (60u * 60u * 1000u)

static uint64_t now_ms;

static uint64_t read_now(void *context)
{
    (void)context;
    return now_ms;
}

static struct fw_tls_tickets *make_tickets(void)
{
    struct fw_tls_tickets *tickets = NULL;
    now_ms = 1000u * HOUR_MS;
    cr_assert_eq(fw_tls_tickets_create(read_now, NULL, &tickets), 0);
    return tickets;
}

static struct fw_tls_context *make_server(struct fw_tls_tickets *tickets, const char *ca_file)
{
    struct fw_tls_certificate certificate = pki_in_memory(&pki_shared()->server);
    return pair_context(&(struct fw_tls_options){.role = FW_TLS_SERVER,
                                                 .certificates = &certificate,
                                                 .certificates_count = 1,
                                                 .ca_file = ca_file,
                                                 .tickets = tickets});
}

static struct fw_tls_context *make_client(enum fw_tls_versions versions)
{
    struct fw_tls_certificate certificate = pki_in_memory(&pki_shared()->client);
    return pair_context(&(struct fw_tls_options){.role = FW_TLS_CLIENT,
                                                 .certificates = &certificate,
                                                 .certificates_count = 1,
                                                 .ca_file = pki_shared()->ca_file,
                                                 .versions = versions});
}

/* Shakes, with a session or without; whether it was resumed. Keeps the new session, if there is
 * one, in *session_out. */
static bool shake(struct fw_tls_context *server, struct fw_tls_context *client,
                  const struct fw_tls_session *session, struct fw_tls_session **session_out)
{
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", session);
    pair_shake(&pair);
    pair_send(&pair, &pair.client, "ping", 4);
    pair_send(&pair, &pair.server, "pong", 4);
    cr_assert_eq(pair.server.plain_count, 4u);
    cr_assert_eq(pair.client.plain_count, 4u);
    bool resumed = fw_tls_resumed(pair.server.tls);
    cr_expect_eq(fw_tls_resumed(pair.client.tls), resumed);
    if (session_out != NULL)
        cr_assert_eq(fw_tls_session_save(pair.client.tls, session_out), 0);
    pair_close(&pair);
    return resumed;
}

Test(tls_ticket, resumes_in_both_versions_and_on_every_context_that_shares_the_keys)
{
    static const enum fw_tls_versions versions[] = {FW_TLS_13_ONLY, FW_TLS_12_ONLY};
    struct fw_tls_tickets *tickets = make_tickets();
    struct fw_tls_context *server = make_server(tickets, NULL);
    struct fw_tls_context *reloaded = make_server(tickets, NULL);
    for (int i = 0; i < 2; i++) {
        struct fw_tls_context *client = make_client(versions[i]);
        struct fw_tls_session *session = NULL;
        cr_expect_not(shake(server, client, NULL, &session));
        cr_expect(shake(server, client, session, NULL));
        cr_expect(shake(reloaded, client, session, NULL), "after a reload, or on another worker");
        fw_tls_session_destroy(session);
        fw_tls_context_drop(client);
    }
    fw_tls_context_drop(server);
    fw_tls_context_drop(reloaded);
    fw_tls_tickets_drop(tickets);
}

static const struct {
    unsigned made_after_minutes; /* of the first key's life */
    unsigned used_after_minutes;
    bool resumed;
} ages[] = {
    {0, 0, true},     {0, 59, true},       {0, 61, true},        {59, 61, true},
    {0, 119, true},   {0, 179, true},      {59, 178, true},      {0, 181, false},
    {59, 182, false}, {0, 25 * 60, false}, {0, 100 * 60, false},
};

/* A key seals for an hour and opens for two more. The server is busy meanwhile, so keys rotate. */
Test(tls_ticket, works_for_two_hours_at_least_and_three_at_most)
{
    struct fw_tls_context *client = make_client(FW_TLS_13_ONLY);
    for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++) {
        struct fw_tls_tickets *tickets = make_tickets();
        struct fw_tls_context *server = make_server(tickets, NULL);
        struct fw_tls_session *session = NULL;
        uint64_t start_ms = now_ms;
        now_ms = start_ms + ages[i].made_after_minutes * 60000u;
        shake(server, client, NULL, &session);
        for (unsigned minute = ages[i].made_after_minutes; minute < ages[i].used_after_minutes;
             minute += 20) {
            now_ms = start_ms + minute * 60000u;
            shake(server, client, NULL, NULL);
        }
        now_ms = start_ms + ages[i].used_after_minutes * 60000u;
        cr_expect_eq(shake(server, client, session, NULL), ages[i].resumed, "made %u used %u",
                     ages[i].made_after_minutes, ages[i].used_after_minutes);
        fw_tls_session_destroy(session);
        fw_tls_context_drop(server);
        fw_tls_tickets_drop(tickets);
    }
    fw_tls_context_drop(client);
}

/* Nobody came for a day: the old key must not have waited for the next ticket. */
Test(tls_ticket, is_refused_after_a_quiet_day)
{
    struct fw_tls_context *client = make_client(FW_TLS_13_ONLY);
    struct fw_tls_tickets *tickets = make_tickets();
    struct fw_tls_context *server = make_server(tickets, NULL);
    struct fw_tls_session *session = NULL;
    shake(server, client, NULL, &session);
    now_ms += 25u * HOUR_MS;
    cr_expect_not(shake(server, client, session, NULL));
    fw_tls_session_destroy(session);
    fw_tls_context_drop(server);
    fw_tls_tickets_drop(tickets);
    fw_tls_context_drop(client);
}

Test(tls_ticket, of_other_keys_means_a_full_handshake)
{
    struct fw_tls_context *client = make_client(FW_TLS_13_ONLY);
    struct fw_tls_tickets *tickets = make_tickets();
    struct fw_tls_tickets *others = make_tickets();
    struct fw_tls_context *server = make_server(tickets, NULL);
    struct fw_tls_context *stranger = make_server(others, NULL);
    struct fw_tls_session *session = NULL;
    shake(server, client, NULL, &session);
    cr_expect_not(shake(stranger, client, session, NULL));
    fw_tls_session_destroy(session);
    fw_tls_context_drop(server);
    fw_tls_context_drop(stranger);
    fw_tls_tickets_drop(tickets);
    fw_tls_tickets_drop(others);
    fw_tls_context_drop(client);
}

/* Without keys, and whenever clients show certificates (CVE-2026-11703). */
Test(tls_ticket, is_never_given_without_keys_or_with_client_certificates)
{
    static const enum fw_tls_versions versions[] = {FW_TLS_13_ONLY, FW_TLS_12_ONLY};
    struct fw_tls_tickets *tickets = make_tickets();
    struct fw_tls_context *servers[] = {make_server(NULL, NULL),
                                        make_server(tickets, pki_shared()->ca_file)};
    for (int i = 0; i < 4; i++) {
        struct fw_tls_context *client = make_client(versions[i / 2]);
        struct fw_tls_session *session = NULL;
        struct pair pair = {.split = 0};
        pair_open(&pair, servers[i % 2], client, "example.test", NULL);
        pair_shake(&pair);
        pair_send(&pair, &pair.server, "pong", 4);
        cr_expect_eq(fw_tls_session_save(pair.client.tls, &session), FW_ERR_ABSENT);
        pair_close(&pair);
        fw_tls_context_drop(client);
    }
    fw_tls_context_drop(servers[0]);
    fw_tls_context_drop(servers[1]);
    fw_tls_tickets_drop(tickets);
}

/* A ticket of a server that asked for no certificate must not open one that does. */
Test(tls_ticket, opens_no_server_that_wants_certificates)
{
    struct fw_tls_tickets *tickets = make_tickets();
    struct fw_tls_context *open_server = make_server(tickets, NULL);
    struct fw_tls_context *strict = make_server(tickets, pki_shared()->ca_file);
    struct fw_tls_context *client = pair_client_context(); /* has no certificate */
    struct fw_tls_session *session = NULL;
    shake(open_server, client, NULL, &session);
    struct pair pair = {.split = 0};
    pair_open(&pair, strict, client, "example.test", session);
    pair_run(&pair);
    cr_expect_eq(pair.server.status, FW_ERR_TLS_CERT_MISSING, "%d", pair.server.status);
    pair_close(&pair);
    fw_tls_session_destroy(session);
    fw_tls_context_drop(open_server);
    fw_tls_context_drop(strict);
    fw_tls_context_drop(client);
    fw_tls_tickets_drop(tickets);
}

Test(tls_ticket, is_not_used_for_another_host_or_by_one_who_did_not_check)
{
    struct fw_tls_tickets *tickets = make_tickets();
    struct fw_tls_context *server = make_server(tickets, NULL);
    struct fw_tls_context *careful = pair_client_context();
    struct fw_tls_context *careless =
        pair_context(&(struct fw_tls_options){.role = FW_TLS_CLIENT, .trust_anyone = true});
    struct fw_tls_session *checked = NULL;
    struct fw_tls_session *unchecked = NULL;
    cr_expect_not(shake(server, careful, NULL, &checked));
    cr_expect_not(shake(server, careless, NULL, &unchecked));
    cr_expect_not(shake(server, careful, unchecked, NULL), "that would be the check's end");
    cr_expect(shake(server, careless, unchecked, NULL));
    struct pair pair = {.split = 0};
    pair_open(&pair, server, careful, "a.wild.test", checked);
    pair_shake(&pair);
    cr_expect_not(fw_tls_resumed(pair.client.tls));
    pair_close(&pair);
    fw_tls_session_destroy(checked);
    fw_tls_session_destroy(unchecked);
    fw_tls_context_drop(server);
    fw_tls_context_drop(careful);
    fw_tls_context_drop(careless);
    fw_tls_tickets_drop(tickets);
}

/* ---- the sealing itself ---- */

struct sealed {
    uint8_t name[WOLFSSL_TICKET_NAME_SZ];
    uint8_t iv[WOLFSSL_TICKET_IV_SZ];
    uint8_t mac[WOLFSSL_TICKET_MAC_SZ];
    uint8_t bytes[200];
};

static int seal(struct fw_tls_tickets *tickets, struct sealed *sealed, int encrypt)
{
    int count = 0;
    int result = fw_tls_ticket_seal(NULL, sealed->name, sealed->iv, sealed->mac, encrypt,
                                    sealed->bytes, sizeof sealed->bytes, &count, tickets);
    if (result == WOLFSSL_TICKET_RET_OK)
        cr_expect_eq(count, (int)sizeof sealed->bytes);
    return result;
}

Test(tls_ticket, that_was_changed_anywhere_does_not_open)
{
    struct fw_tls_tickets *tickets = make_tickets();
    struct sealed sealed = {{0}, {0}, {0}, {0}};
    cr_assert_eq(seal(tickets, &sealed, 1), WOLFSSL_TICKET_RET_OK);
    struct sealed good = sealed;
    cr_assert_eq(seal(tickets, &good, 0), WOLFSSL_TICKET_RET_OK);
    for (size_t i = 0; i < sizeof good.bytes; i++)
        cr_assert_eq(good.bytes[i], 0);
    for (size_t at = 0; at < sizeof sealed; at++) {
        struct sealed bad = sealed;
        ((uint8_t *)&bad)[at] ^= 0x10;
        /* The second half of wolfSSL's field for a MAC is not ours. */
        bool ours = at < offsetof(struct sealed, mac) + 16 || at >= offsetof(struct sealed, bytes);
        cr_expect_eq(seal(tickets, &bad, 0),
                     ours ? WOLFSSL_TICKET_RET_REJECT : WOLFSSL_TICKET_RET_OK, "octet %zu", at);
    }
    fw_tls_tickets_drop(tickets);
}

Test(tls_ticket, never_uses_a_nonce_twice)
{
    enum { COUNT = 1000 };
    static struct sealed sealed[COUNT];
    struct fw_tls_tickets *tickets = make_tickets();
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(seal(tickets, &sealed[i], 1), WOLFSSL_TICKET_RET_OK);
        for (int k = 0; k < i; k++)
            cr_assert_neq(memcmp(sealed[i].iv, sealed[k].iv, 12), 0);
    }
    fw_tls_tickets_drop(tickets);
}
