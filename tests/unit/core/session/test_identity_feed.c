/* test_identity_feed.c: access to event streams, polls, commands and figures
 * (core/session/identity.h):
 * certificates, subprotocols, pages of other origins, expiry, without memory. What each credential
 * allows on a running server is tests/integration/test_server_access_feed.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "support/fail_mem.h"
#include "unit/core/session/identity_rig.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HS256  "{\"alg\":\"HS256\"}"
#define CLAIMS "{\"exp\":1700000010,\"subscribe\":\"a\",\"publish\":\"a\"}"
#define STREAM "Accept: text/event-stream\r\n"
#define PAGE   "Origin: https://app.example.com\r\n"

static const char *const origins[] = {"https://app.example.com", NULL};
IDENTITY_SUITE(identity_feed)

static void renew(void)
{
    const char *certificate = fake.certificate;
    identity_rig_renew(&fake);
    fake.certificate = certificate;
}

static const char *bearer(void)
{
    static char lines[4096];
    snprintf(lines, sizeof lines, "Authorization: Bearer %s\r\n", token_of(key, HS256, CLAIMS));
    return lines;
}

static void request(const char *method, const char *target, const char *more, const char *lines,
                    const char *body)
{
    static char text[8192];
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n%s%s", method, target, more, lines);
    if (*body != '\0')
        snprintf(text + strlen(text), sizeof text - strlen(text), "Content-Length: %zu\r\n",
                 strlen(body));
    snprintf(text + strlen(text), sizeof text - strlen(text), "\r\n%s", body);
    fake_host_say(&fake, text);
}

static unsigned answered(void)
{
    return identity_rig_answered(&fake);
}

static bool sent(const char *text)
{
    return memmem(fake_host_sent(&fake), fake.sent_count, text, strlen(text)) != NULL;
}

/* ---- certificates ---------------------------------------------------------------------------- */

struct certified {
    const char *method;
    const char *target;
    const char *lines;
    const char *body;
    unsigned statuses[3]; /* with the right, with a certificate without it, with none */
};

Test(identity_feed, of_a_certificate_is_its_rights_on_every_way)
{
    static const struct certified rows[] = {
        {"GET", "/topics/a", STREAM, "", {200, 403, 401}},
        {"GET", "/topics/a?since=first", "", "", {0, 403, 401}}, /* a poll that waits */
        {"GET", "/topics/a?info", "", "", {404, 403, 401}},      /* nobody has used it */
        {"POST", "/topics/a", "", "hi", {202, 403, 401}},
        {"POST", "/publish", "", "{\"topic\":\"a\",\"text\":\"hi\"}", {200, 403, 401}},
        {"GET", "/debug/slow", "", "", {200, 403, 401}},
    };
    for (unsigned state = 0; state < 3; state++) {
        struct fw_access_options options = {0};
        options.certificate_subscribe = state == 0 ? "a" : "";
        options.certificate_publish = state == 0 ? "a" : "";
        options.certificate_observe = state == 0;
        if (state == 1)
            options.certificate_subscribe = "b"; /* a credential, if not for this */
        identity_rig_policy(&fake, options);
        fake.certificate = state < 2 ? "CN=bot" : NULL;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            renew();
            request(rows[i].method, rows[i].target, rows[i].lines, "", rows[i].body);
            cr_expect_eq(answered(), rows[i].statuses[state], "%s, %u: %s", rows[i].target, state,
                         fake_host_sent(&fake));
        }
    }
}

/* ---- subprotocols ---------------------------------------------------------------------------- */

/* What is answered is the richest of ours, never the token (RFC 6455, section 4.2.2). */
Test(identity_feed, answers_the_subprotocol_that_is_ours_and_never_the_token)
{
    static const struct {
        const char *offered;
        const char *chosen;
    } rows[] = {{"fanwire, fanwire.v1, bearer.%s", "fanwire.v1"},
                {"bearer.%s, fanwire.v1", "fanwire.v1"},
                {"bearer.%s, fanwire", "fanwire"},
                {"bearer.%s", NULL}};
    identity_rig_policy(&fake, (struct fw_access_options){0});
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char offer[4096];
        char lines[4096 + 64];
        char wanted[64];
        const char *at = strstr(rows[i].offered, "%s");
        snprintf(offer, sizeof offer, "%.*s%s%s", (int)(at - rows[i].offered), rows[i].offered,
                 token_of(key, HS256, CLAIMS), at + 2);
        snprintf(lines, sizeof lines, "Sec-WebSocket-Protocol: %s\r\n", offer);
        renew();
        fake_host_handshake(&fake, "/topics/a", lines);
        cr_assert_eq(answered(), 101u);
        snprintf(wanted, sizeof wanted, "Sec-WebSocket-Protocol: %s\r\n",
                 rows[i].chosen == NULL ? "" : rows[i].chosen);
        cr_assert_eq(sent(wanted), rows[i].chosen != NULL, "%s", fake_host_sent(&fake));
        cr_assert_not(sent("bearer"));
    }
}

/* ---- pages of other origins ------------------------------------------------------------------ */

Test(identity_feed, lets_a_page_read_why_it_was_refused)
{
    identity_rig_policy(&fake, (struct fw_access_options){0});
    fake.rules.allow_origins = origins;
    request("GET", "/topics/a", PAGE, "Authorization: Bearer x\r\n", "");
    cr_assert_eq(answered(), 401u);
    cr_assert(sent("Access-Control-Allow-Origin: https://app.example.com\r\n"));
    cr_assert_not(sent("Access-Control-Allow-Credentials"));
}

/* Fetch, section 3.2.5: only where a cookie may be the credential, and never for every origin. */
Test(identity_feed, allows_pages_their_cookies_where_the_policy_reads_one)
{
    identity_rig_policy(&fake, (struct fw_access_options){.cookie = "feed"});
    fake.rules.allow_origins = origins;
    request("GET", "/topics/a?info", PAGE, bearer(), "");
    cr_assert(sent("Access-Control-Allow-Origin: https://app.example.com\r\n"
                   "Access-Control-Allow-Credentials: true\r\n"));
    renew();
    fake.rules.allow_origins = origins;
    request("GET", "/topics/a?info", "Origin: https://evil.example.com\r\n", bearer(), "");
    cr_assert_eq(answered(), 403u);
    cr_assert_not(sent("Access-Control"));
}

/* Fetch, section 4.8: a preflight carries no credential. */
Test(identity_feed, does_not_ask_who_sends_a_preflight)
{
    identity_rig_policy(&fake, (struct fw_access_options){0});
    fake.rules.allow_origins = origins;
    fake_host_ask_program(&fake, true);
    request("OPTIONS", "/topics/a", PAGE "Access-Control-Request-Method: POST\r\n", "", "");
    cr_assert_eq(answered(), 204u);
    cr_assert_str_eq(fake.told, "");
}

/* ---- expiry ---------------------------------------------------------------------------------- */

Test(identity_feed, that_expires_ends_a_stream_behind_what_waits)
{
    identity_rig_policy(&fake, (struct fw_access_options){0});
    request("GET", "/topics/a", STREAM, bearer(), "");
    cr_assert_eq(answered(), 200u);
    fake_host_forget(&fake);
    fake.window = 0;
    fake_host_publish(&fake, "a", "last", 4);
    fake_host_flush(&fake);
    fake_host_advance(&fake, 10000);
    fake_host_take(&fake, SIZE_MAX);
    const char *message = strstr(fake_host_sent(&fake), "data: last\n");
    cr_assert_not_null(message);
    cr_assert_gt(strstr(fake_host_sent(&fake), "event: expired\n"), message);
    cr_assert(fake.gone);
}

Test(identity_feed, that_expires_ends_a_stream_without_keep_alive)
{
    identity_rig_policy(&fake, (struct fw_access_options){0});
    fake.rules.ping_interval_ms = 0;
    request("GET", "/topics/a", STREAM, bearer(), "");
    cr_assert_eq(fake.timer_ms, fake.host.now_ms + 10000);
    fake_host_advance(&fake, 9999);
    cr_assert_not(fake.gone);
    fake_host_advance(&fake, 1);
    cr_assert(sent("event: expired\n"));
    cr_assert(fake.gone);
}

Test(identity_feed, that_expires_answers_a_poll_with_its_position)
{
    identity_rig_policy(&fake, (struct fw_access_options){0});
    request("GET", "/topics/a", "", bearer(), "");
    fake_host_advance(&fake, 10000);
    cr_assert_eq(answered(), 401u);
    cr_assert(sent("\r\nWWW-Authenticate: Bearer realm=\"fanwire\"\r\n"));
    cr_assert(sent("\r\nFanwire-Position: abc:0\r\n"));
    cr_assert_not(fake.gone);
    cr_assert_eq(fake.topics[0]->subscribers, 0u);
}

/* Each request says anew who sends it: the last one's credential is no deadline for the next. */
Test(identity_feed, that_expires_between_requests_cuts_no_upload)
{
    identity_rig_policy(&fake, (struct fw_access_options){0});
    request("POST", "/topics/a", "", bearer(), "hi");
    cr_assert_eq(answered(), 202u);
    fake_host_forget(&fake);
    fake_host_advance(&fake, 9000);
    fake_host_say(&fake, "GET /healthz HTTP/1.1\r\nHost:");
    fake_host_advance(&fake, 1500);
    fake_host_say(&fake, " x\r\n\r\n");
    cr_assert_eq(answered(), 200u);
}

/* ---- without memory -------------------------------------------------------------------------- */

Test(identity_feed, that_expires_ends_streams_and_polls_whichever_allocation_fails)
{
    static const char *const accepts[] = {STREAM, ""};
    identity_rig_policy(&fake, (struct fw_access_options){0});
    for (size_t i = 0; i < 2; i++) {
        bool failed = true;
        for (unsigned k = 1; failed; k++) {
            renew();
            request("GET", "/topics/a", accepts[i], bearer(), "");
            fake_host_forget(&fake);
            fail_mem_at(k, FAIL_ONCE);
            fake_host_advance(&fake, 10000);
            failed = fail_mem_off();
            cr_assert(fake.gone || answered() == 401, "%s, %u", accepts[i], k);
        }
    }
}
