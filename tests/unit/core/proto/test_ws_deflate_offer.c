/* test_ws_deflate_offer.c: the negotiation of permessage-deflate, both roles (RFC 7692, sections 5
 * and 7.1).
 *
 * Every header value stands flush against an unreadable page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_deflate.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define PMD          "permessage-deflate"

static struct guard_buf guard;

static void set_up(void)
{
    guard_buf_init(&guard, 2048);
}

static void tear_down(void)
{
    guard_buf_clear(&guard);
}

TestSuite(ws_deflate_offer, .init = set_up, .fini = tear_down);

static struct fw_bytes guarded(const char *value)
{
    size_t bytes = strlen(value);
    return (struct fw_bytes){guard_buf_at_end(&guard, value, bytes), bytes};
}

static int accept(const char *offers, bool takeover, struct fw_ws_deflate *agreed, char *answer)
{
    return fw_ws_deflate_accept(guarded(offers), takeover, agreed, answer);
}

Test(ws_deflate_offer, is_answered_with_what_is_agreed_on)
{
    /* RFC 7692, section 7.1: each parameter of an offer, contexts kept and not */
    static const struct {
        const char *offers;
        bool takeover;
        const char *answer;
        struct fw_ws_deflate agreed; /* own_bits, peer_bits, own_takeover, peer_takeover */
    } cases[] = {
        {PMD, true, PMD, {15, 15, true, true}},
        {PMD,
         false,
         PMD "; server_no_context_takeover; client_no_context_takeover",
         {15, 15, false, false}},
        {PMD "; client_max_window_bits",
         true,
         PMD "; client_max_window_bits=12",
         {15, 12, true, true}},
        {PMD "; client_max_window_bits=10",
         true,
         PMD "; client_max_window_bits=10",
         {15, 10, true, true}},
        {PMD "; client_max_window_bits=8",
         true,
         PMD "; client_max_window_bits=8",
         {15, 8, true, true}},
        {PMD "; client_max_window_bits=15",
         true,
         PMD "; client_max_window_bits=12",
         {15, 12, true, true}},
        {PMD "; client_max_window_bits",
         false,
         PMD "; server_no_context_takeover; client_no_context_takeover",
         {15, 15, false, false}},
        {PMD "; server_max_window_bits=9",
         true,
         PMD "; server_max_window_bits=9",
         {9, 15, true, true}},
        {PMD "; server_max_window_bits=15",
         true,
         PMD "; server_max_window_bits=15",
         {15, 15, true, true}},
        {PMD "; server_max_window_bits=11",
         false,
         PMD "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11",
         {11, 15, false, false}},
        {PMD "; server_no_context_takeover",
         true,
         PMD "; server_no_context_takeover",
         {15, 15, false, true}},
        {PMD "; client_no_context_takeover",
         true,
         PMD "; client_no_context_takeover",
         {15, 15, true, false}},
        {PMD "; client_no_context_takeover; client_max_window_bits",
         true,
         PMD "; client_no_context_takeover",
         {15, 15, true, false}},
        {PMD "; client_max_window_bits; server_max_window_bits=10; server_no_context_takeover; "
             "client_no_context_takeover",
         true,
         PMD "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
         {10, 15, false, false}},
        {PMD ";server_max_window_bits=\"10\"",
         true,
         PMD "; server_max_window_bits=10",
         {10, 15, true, true}},
        {PMD "; server_max_window_bits=\"1\\2\"",
         true,
         PMD "; server_max_window_bits=12",
         {12, 15, true, true}},
        {"x-webkit-deflate-frame, " PMD, true, PMD, {15, 15, true, true}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fw_ws_deflate agreed;
        char answer[FW_WS_DEFLATE_TEXT_BYTES];
        cr_assert_eq(accept(cases[i].offers, cases[i].takeover, &agreed, answer), 1, "%s",
                     cases[i].offers);
        cr_expect_str_eq(answer, cases[i].answer, "%s: %s", cases[i].offers, answer);
        cr_expect_eq(agreed.own_bits, cases[i].agreed.own_bits, "%s", cases[i].offers);
        cr_expect_eq(agreed.peer_bits, cases[i].agreed.peer_bits, "%s", cases[i].offers);
        cr_expect_eq(agreed.own_takeover, cases[i].agreed.own_takeover, "%s", cases[i].offers);
        cr_expect_eq(agreed.peer_takeover, cases[i].agreed.peer_takeover, "%s", cases[i].offers);
    }
}

/* Parameters that no offer may have. */
static const char *const bad_params[] = {
    "unknown",
    "unknown=1",
    "Server_No_Context_Takeover",
    "server_no_context_takeover=1",
    "server_no_context_takeover=\"1\"",
    "client_no_context_takeover=true",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "server_max_window_bits=10; server_max_window_bits=10",
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits; client_max_window_bits=10",
    "client_max_window_bits=10; client_max_window_bits",
    "server_max_window_bits",
    "server_max_window_bits=8",
    "server_max_window_bits=\"8\"",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=0",
    "server_max_window_bits=1",
    "server_max_window_bits=09",
    "server_max_window_bits=010",
    "server_max_window_bits=+9",
    "server_max_window_bits=-9",
    "server_max_window_bits=1e1",
    "server_max_window_bits=0x9",
    "server_max_window_bits=10.0",
    "server_max_window_bits=100",
    "server_max_window_bits=99999999999999999999999999",
    "server_max_window_bits=4294967305",
    "server_max_window_bits=1a",
    "server_max_window_bits=a1",
    "server_max_window_bits=\"1\\6\"",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=08",
    "client_max_window_bits=abc",
};

Test(ws_deflate_offer, is_declined_for_one_bad_parameter)
{
    /* RFC 7692, section 7.1: "A server MUST decline"; undici CVE-2026-2229 */
    struct fw_ws_deflate agreed;
    char answer[FW_WS_DEFLATE_TEXT_BYTES];
    char offers[256];
    for (size_t i = 0; i < COUNT(bad_params); i++) {
        snprintf(offers, sizeof offers, PMD "; %s", bad_params[i]);
        cr_expect_eq(accept(offers, true, &agreed, answer), 0, "%s", offers);
        snprintf(offers, sizeof offers, PMD "; client_no_context_takeover; %s", bad_params[i]);
        cr_expect_eq(accept(offers, true, &agreed, answer), 0, "%s", offers);
    }
}

Test(ws_deflate_offer, that_is_declined_makes_place_for_the_next)
{
    /* RFC 7692, section 5.2: offers in order of preference */
    struct fw_ws_deflate agreed;
    char answer[FW_WS_DEFLATE_TEXT_BYTES];
    char offers[256];
    for (size_t i = 0; i < COUNT(bad_params); i++) {
        snprintf(offers, sizeof offers, PMD "; %s, " PMD "; server_max_window_bits=13",
                 bad_params[i]);
        cr_expect_eq(accept(offers, true, &agreed, answer), 1, "%s", offers);
        cr_expect_str_eq(answer, PMD "; server_max_window_bits=13", "%s", offers);
    }
    cr_expect_eq(accept(PMD "; a, " PMD "; b, other; c", true, &agreed, answer), 0);
}

Test(ws_deflate_offer, is_taken_in_the_order_of_preference)
{
    /* the public suite's case 13.7.1 offers three */
    struct fw_ws_deflate agreed;
    char answer[FW_WS_DEFLATE_TEXT_BYTES];
    const char *offers = PMD "; client_no_context_takeover; client_max_window_bits; "
                             "server_no_context_takeover; server_max_window_bits=9, " PMD
                             "; client_no_context_takeover; client_max_window_bits; "
                             "server_no_context_takeover, " PMD
                             "; client_no_context_takeover; client_max_window_bits";
    cr_assert_eq(accept(offers, true, &agreed, answer), 1);
    cr_expect_str_eq(answer, PMD "; server_no_context_takeover; client_no_context_takeover; "
                                 "server_max_window_bits=9");
    cr_expect_eq(agreed.own_bits, 9);
}

Test(ws_deflate_offer, is_passed_over_when_it_is_for_another_extension)
{
    /* RFC 6455, section 9.1: names are compared whole */
    static const char *const others[] = {"",
                                         "permessage-deflat",
                                         "permessage-deflate2",
                                         "Permessage-Deflate",
                                         "permessage-bzip2; client_max_window_bits",
                                         "a, b; c=d"};
    struct fw_ws_deflate agreed;
    char answer[FW_WS_DEFLATE_TEXT_BYTES];
    for (size_t i = 0; i < COUNT(others); i++)
        cr_expect_eq(accept(others[i], true, &agreed, answer), 0, "%s", others[i]);
}

Test(ws_deflate_offer, that_is_malformed_is_an_error)
{
    /* RFC 6455, section 9.1: the server must fail the handshake */
    static const char *const malformed[] = {
        PMD ";",
        PMD "; server_max_window_bits=",
        PMD "; server_max_window_bits=\"10",
        PMD "; server_max_window_bits=\"\"",
        PMD "; server_max_window_bits= 10",
        PMD "; a b",
        ("a;, " PMD),
    };
    struct fw_ws_deflate agreed;
    char answer[FW_WS_DEFLATE_TEXT_BYTES];
    for (size_t i = 0; i < COUNT(malformed); i++)
        cr_expect_eq(accept(malformed[i], true, &agreed, answer), FW_ERR_WS_EXTENSION, "%s",
                     malformed[i]);
}

/* ---- client ---------------------------------------------------------------------------------- */

Test(ws_deflate_offer, of_ours_says_what_we_want)
{
    /* RFC 7692, section 7.1 */
    static const struct {
        struct fw_ws_deflate_offer offer;
        const char *text;
    } cases[] = {
        {{0}, PMD},
        {{.client_bits = 15}, PMD "; client_max_window_bits"},
        {{.client_bits = 9}, PMD "; client_max_window_bits=9"},
        {{.server_bits = 15}, PMD "; server_max_window_bits=15"},
        {{12, 15, true, true},
         PMD "; server_no_context_takeover; client_no_context_takeover; "
             "server_max_window_bits=12; client_max_window_bits"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[FW_WS_DEFLATE_TEXT_BYTES];
        size_t count = fw_ws_deflate_offer_write(&cases[i].offer, text);
        cr_expect_str_eq(text, cases[i].text);
        cr_expect_eq(count, strlen(text));
    }
}

Test(ws_deflate_offer, of_ours_is_agreed_on_by_an_answer_that_fits)
{
    /* RFC 7692, section 7.1: what a server may say */
    static const struct {
        struct fw_ws_deflate_offer offer; /* server_bits, client_bits, server_no, client_no */
        const char *answer;
        struct fw_ws_deflate agreed;
    } cases[] = {
        {{0}, PMD, {15, 15, true, true}},
        {{0}, PMD "; server_no_context_takeover", {15, 15, true, false}},
        {{0}, PMD "; client_no_context_takeover", {15, 15, false, true}},
        {{0}, PMD "; server_max_window_bits=8", {15, 8, true, true}},
        {{.server_bits = 12}, PMD "; server_max_window_bits=12", {15, 12, true, true}},
        {{.server_bits = 12}, PMD "; server_max_window_bits=9", {15, 9, true, true}},
        {{.client_bits = 15}, PMD, {15, 15, true, true}},
        {{.client_bits = 15}, PMD "; client_max_window_bits=9", {9, 15, true, true}},
        {{.client_bits = 15}, PMD "; client_max_window_bits=\"11\"", {11, 15, true, true}},
        /* A window that zlib cannot keep to: we then send nothing compressed. */
        {{.client_bits = 15}, PMD "; client_max_window_bits=8", {8, 15, false, true}},
        {{.client_bits = 10}, PMD "; client_max_window_bits=12", {10, 15, true, true}},
        {{.client_bits = 10}, PMD, {10, 15, true, true}},
        {{.client_no_takeover = true}, PMD, {15, 15, false, true}},
        {{.server_no_takeover = true}, PMD "; server_no_context_takeover", {15, 15, true, false}},
        {{12, 15, true, true},
         PMD "; client_max_window_bits=10; server_max_window_bits=11; "
             "client_no_context_takeover; server_no_context_takeover",
         {10, 11, false, false}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fw_ws_deflate agreed;
        cr_assert_eq(fw_ws_deflate_verify(guarded(cases[i].answer), &cases[i].offer, &agreed), 0,
                     "%s", cases[i].answer);
        cr_expect_eq(agreed.own_bits, cases[i].agreed.own_bits, "%s", cases[i].answer);
        cr_expect_eq(agreed.peer_bits, cases[i].agreed.peer_bits, "%s", cases[i].answer);
        cr_expect_eq(agreed.own_takeover, cases[i].agreed.own_takeover, "%s", cases[i].answer);
        cr_expect_eq(agreed.peer_takeover, cases[i].agreed.peer_takeover, "%s", cases[i].answer);
    }
}

Test(ws_deflate_offer, of_ours_is_not_met_by_any_other_answer)
{
    /* RFC 7692, sections 5.1 and 7.1: the client must fail the connection */
    static const struct {
        struct fw_ws_deflate_offer offer;
        const char *answer;
    } cases[] = {
        {{0}, ""},
        {{0}, "permessage-bzip2"},
        {{0}, "Permessage-deflate"},
        {{0}, PMD ", " PMD},
        {{0}, PMD ", other"},
        {{0}, "other, " PMD},
        {{0}, PMD ";"},
        {{0}, PMD "; unknown"},
        {{0}, PMD "; server_no_context_takeover=1"},
        {{0}, PMD "; server_no_context_takeover; server_no_context_takeover"},
        {{0}, PMD "; server_max_window_bits"},
        {{0}, PMD "; server_max_window_bits=7"},
        {{0}, PMD "; server_max_window_bits=16"},
        {{0}, PMD "; client_max_window_bits=10"},
        {{.client_bits = 15}, PMD "; client_max_window_bits"},
        {{.client_bits = 15}, PMD "; client_max_window_bits=010"},
        {{.client_bits = 15}, PMD "; client_max_window_bits=16"},
        {{.client_bits = 15}, PMD "; client_max_window_bits=9; client_max_window_bits=9"},
        {{.server_bits = 12}, PMD},
        {{.server_bits = 12}, PMD "; server_max_window_bits=13"},
        {{.server_no_takeover = true}, PMD},
        {{.server_no_takeover = true}, PMD "; client_no_context_takeover"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fw_ws_deflate agreed;
        int result = fw_ws_deflate_verify(guarded(cases[i].answer), &cases[i].offer, &agreed);
        cr_expect_eq(result, FW_ERR_WS_OFFER, "%s", cases[i].answer);
    }
}

Test(ws_deflate_offer, of_each_kind_brings_both_sides_to_one_agreement)
{
    /* RFC 7692, section 7.1: what our server answers, our client takes, and both mean the same */
    for (unsigned i = 0; i < 9u * 9 * 2 * 2 * 2; i++) {
        struct fw_ws_deflate_offer offer = {
            .server_bits = i % 9 == 0 ? 0 : (uint8_t)(7 + i % 9),
            .client_bits = i / 9 % 9 == 0 ? 0 : (uint8_t)(7 + i / 9 % 9),
            .server_no_takeover = i / 81 & 1,
            .client_no_takeover = i / 162 & 1,
        };
        bool takeover = i / 324 & 1;
        char text[FW_WS_DEFLATE_TEXT_BYTES];
        char answer[FW_WS_DEFLATE_TEXT_BYTES];
        struct fw_ws_deflate server;
        struct fw_ws_deflate client;
        fw_ws_deflate_offer_write(&offer, text);
        int accepted = accept(text, takeover, &server, answer);
        cr_assert_eq(accepted, offer.server_bits != 8, "%s", text);
        if (!accepted)
            continue;
        cr_assert_eq(fw_ws_deflate_verify(guarded(answer), &offer, &client), 0, "%s: %s", text,
                     answer);
        cr_expect_eq(server.own_bits, client.peer_bits, "%s: %s", text, answer);
        cr_expect_eq(server.own_takeover, client.peer_takeover, "%s: %s", text, answer);
        cr_expect_geq(server.peer_bits, client.own_bits, "%s: %s", text, answer);
        cr_expect(server.peer_takeover || !client.own_takeover, "%s: %s", text, answer);
    }
}
