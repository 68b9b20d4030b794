/* test_identity.c: who sends a request and what that allows (core/session/identity.h,
 * core/access/credential.h): every place of a credential, refusals before the upgrade, what waits
 * for the program, expiry.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "base/mem.h"
#include "support/fail_mem.h"
#include "unit/core/session/identity_rig.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POST_NEWS "POST /topics/news HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n%s\r\nhi"
#define HS256     "{\"alg\":\"HS256\"}"
#define CLAIMS    "{\"exp\":1700000010,\"sub\":\"alice\",\"subscribe\":\"a.*\",\"publish\":\"news\"}"

IDENTITY_SUITE(identity)

static void need_tokens(void)
{
    identity_rig_policy(&fake, (struct fw_access_options){0});
}

static const char *token(void)
{
    return token_of(key, HS256, CLAIMS);
}

static unsigned answered(void)
{
    return identity_rig_answered(&fake);
}

/* A format's one %s replaced; lives until the second call after it. */
static const char *with(const char *format, const char *value)
{
    static char texts[2][16384];
    static unsigned next;
    char *text = texts[next++ % 2];
    const char *at = strstr(format, "%s");
    sprintf(text, "%.*s%s%s", (int)(at - format), format, value, at + 2);
    return text;
}

/* A POST to "news" with header lines, on a connection of its own. */
static unsigned post(const char *lines)
{
    static char text[16384];
    snprintf(text, sizeof text,
             "POST /topics/news HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n%s\r\nhi", lines);
    identity_rig_renew(&fake);
    fake_host_say(&fake, text);
    return answered();
}

static unsigned open_path(const char *path, const char *lines)
{
    identity_rig_renew(&fake);
    fake_host_handshake(&fake, path, lines);
    return answered();
}

/* ---- where a credential may stand ------------------------------------------------------------ */

Test(identity, without_a_policy_is_everybodys)
{
    cr_assert_eq(post(""), 202u);
    cr_assert_eq(post("Authorization: Basic eDp5\r\n"), 202u, "a proxy's, and not ours to judge");
    cr_assert_eq(open_path("/topics/a", ""), 101u);
}

Test(identity, without_a_credential_is_refused_before_the_upgrade)
{
    need_tokens();
    cr_assert_eq(open_path("/topics/a.b", ""), 401u);
    cr_assert_not_null(strstr(fake_host_sent(&fake), "WWW-Authenticate: Bearer realm"));
    cr_assert_not_null(strstr(fake_host_sent(&fake), fw_status_text(FW_ERR_CREDENTIAL)));
    cr_assert_str_eq(fake.told, "", "the program was not asked");
    cr_assert_eq(post(""), 401u);
    cr_assert_str_eq(fake.published, "");
}

Test(identity, is_shown_by_a_bearer_token)
{
    need_tokens();
    cr_assert_eq(post(with("Authorization: Bearer %s\r\n", token())), 202u);
    cr_assert_str_eq(fake.published, "news text(hi)");
    cr_assert_eq(post(with("authorization: bearer   %s\r\n", token())), 202u);
    cr_assert_eq(open_path("/topics/a.b", with("Authorization: Bearer %s\r\n", token())), 101u);
}

Test(identity, is_shown_by_a_parameter_unless_that_is_off)
{
    need_tokens();
    cr_assert_eq(open_path(with("/topics/a.b?x=1&token=%s", token()), ""), 101u);
    identity_rig_policy(&fake, (struct fw_access_options){.no_query = true});
    cr_assert_eq(open_path(with("/topics/a.b?token=%s", token()), ""), 401u);
}

/* What a browser's WebSocket can do; it fails a handshake that chooses nothing it offered. */
Test(identity, is_shown_by_a_subprotocol_and_another_one_is_answered)
{
    need_tokens();
    cr_assert_eq(
        open_path("/topics/a.b", with("Sec-WebSocket-Protocol: fanwire, bearer.%s\r\n", token())),
        101u);
    cr_assert_not_null(strstr(fake_host_sent(&fake), "Sec-WebSocket-Protocol: fanwire\r\n"));
    cr_assert_null(strstr(fake_host_sent(&fake), "bearer."));
    cr_assert_eq(open_path("/topics/a.b", with("Sec-WebSocket-Protocol: x\r\n"
                                               "Sec-WebSocket-Protocol: bearer.%s, y\r\n",
                                               token())),
                 101u);
}

/* Cross-site requests carry cookies. */
Test(identity, is_shown_by_a_cookie_only_from_our_own_pages)
{
    static const struct {
        const char *lines;
        unsigned status;
    } rows[] = {
        {"Origin: http://x\r\nCookie: feed=%s\r\n", 202},
        {"Origin: http://x\r\nCookie: a=b; feed=%s; c=d\r\n", 202},
        {"Origin: http://x\r\nCookie: a=b\r\nCookie: feed=%s\r\n", 202},
        {"Sec-Fetch-Site: same-origin\r\nCookie: feed=%s\r\n", 202},
        {"Sec-Fetch-Site: same-site\r\nCookie: feed=%s\r\n", 403},
        {"Sec-Fetch-Site: cross-site\r\nCookie: feed=%s\r\n", 403},
        {"Sec-Fetch-Site: none\r\nCookie: feed=%s\r\n", 403},
        {"Cookie: feed=%s\r\n", 403},
        {"Origin: http://evil.example\r\nCookie: feed=%s\r\n", 403},
        {"Origin: null\r\nCookie: feed=%s\r\n", 403},
        {"Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\nCookie: feed=%s\r\n", 403},
        {"Origin: http://x\r\nCookie: feeds=%s\r\n", 401},
        {"Origin: http://x\r\nCookie: xfeed=%s\r\n", 401},
        {"Origin: http://x\r\nCookie: Feed=%s\r\n", 401},
        {"Origin: http://x\r\nCookie: a=\"; feed\"=%s\r\n", 401},
        {"Origin: http://x\r\nCookie: feed=x%s\r\n", 401},
        {"Origin: http://x\r\nCookie: feed\r\nX: %s\r\n", 401},
    };
    identity_rig_policy(&fake, (struct fw_access_options){.cookie = "feed"});
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(post(with(rows[i].lines, token())), rows[i].status, "%s: %s", rows[i].lines,
                     fake_host_sent(&fake));
}

Test(identity, is_not_looked_for_in_cookies_of_who_says_who_it_is)
{
    char lines[8192];
    identity_rig_policy(&fake, (struct fw_access_options){.cookie = "feed"});
    sprintf(lines, "Authorization: Bearer %s\r\nCookie: feed=garbage\r\n", token());
    cr_assert_eq(post(lines), 202u);
}

Test(identity, is_shown_once)
{
    char lines[16384];
    need_tokens();
    sprintf(lines, "Authorization: Bearer %s\r\nAuthorization: Bearer %s\r\n", token(), token());
    cr_assert_eq(post(lines), 400u);
    sprintf(lines, "Authorization: Bearer %s\r\nSec-WebSocket-Protocol: bearer.%s\r\n", token(),
            token());
    cr_assert_eq(open_path("/topics/a.b", lines), 400u);
    sprintf(lines, "/topics/a.b?token=%s", token());
    cr_assert_eq(open_path(lines, with("Authorization: Bearer %s\r\n", token())), 400u);
    sprintf(lines, "Sec-WebSocket-Protocol: bearer.%s, bearer.%s\r\n", token(), token());
    cr_assert_eq(open_path("/topics/a.b", lines), 400u);
}

Test(identity, that_is_malformed_or_nobody_can_read_is_refused_not_ignored)
{
    static const char *const lines[] = {
        "Authorization: \r\n",           "Authorization: Bearer\r\n",
        "Authorization: Bearer \r\n",    "Authorization: Bearer x\r\n",
        "Authorization: Basic eDp5\r\n", "Authorization: eyJ\r\n",
        "Authorization: Negotiate x\r\n"};
    identity_rig_policy(&fake, (struct fw_access_options){.anonymous_publish = "*"});
    cr_assert_eq(post(""), 202u);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_assert_eq(post(lines[i]), 401u, "%s", lines[i]);
}

Test(identity, says_why_it_is_refused)
{
    need_tokens();
    cr_assert_eq(post(with("Authorization: Bearer %s\r\n",
                           token_of(key, HS256, "{\"exp\":1,\"publish\":\"*\"}"))),
                 401u);
    cr_assert_not_null(strstr(fake_host_sent(&fake), "the token has expired"));
    cr_assert_not_null(strstr(fake.logged, "the token has expired"));
}

Test(identity, offers_basic_where_the_program_reads_it)
{
    identity_rig_policy(&fake, (struct fw_access_options){.basic = true});
    cr_assert_eq(post(""), 401u);
    cr_assert_not_null(strstr(fake_host_sent(&fake), "WWW-Authenticate: Basic realm=\"fanwire\""));
}

/* Neither the answers nor the log may hold what was shown. */
Test(identity, leaves_no_token_in_the_log)
{
    char path[8192];
    need_tokens();
    const char *expired = token_of(key, HS256, "{\"exp\":1}");
    sprintf(path, "/topics/a.b?token=%s", expired);
    cr_assert_eq(open_path(path, ""), 401u);
    cr_assert_eq(strlen(fake.logged) > 0, true);
    cr_assert_null(strstr(fake.logged, "eyJ"));
    cr_assert_null(strstr(fake.logged, "token="));
    cr_assert_null(strstr(fake_host_sent(&fake), "eyJ"));
    cr_assert_eq(open_path("/topics/a.b", with("Authorization: Bearer %s\r\n", expired)), 401u);
    cr_assert_null(strstr(fake.logged, "eyJ"));
}

/* ---- rights ---------------------------------------------------------------------------------- */

Test(identity, to_a_topic_is_as_its_patterns_say)
{
    static const struct {
        const char *path;
        unsigned status;
    } rows[] = {{"/topics/a.b", 101},   {"/topics/a.", 101},      {"/topics/a", 403},
                {"/topics/news", 403},  {"/topics/a.b,a.c", 101}, {"/topics/a.b,news", 403},
                {"/topics/b,a.b", 403}, {"/elsewhere", 101}};
    need_tokens();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(open_path(rows[i].path, with("Authorization: Bearer %s\r\n", token())),
                     rows[i].status, "%s", rows[i].path);
    cr_assert_eq(post(with("Authorization: Bearer %s\r\n",
                           token_of(key, HS256, "{\"exp\":1700000010,\"subscribe\":\"*\"}"))),
                 403u);
}

Test(identity, of_anonymous_is_as_the_policy_says)
{
    identity_rig_policy(&fake, (struct fw_access_options){.anonymous_subscribe = "pub.* a",
                                                          .anonymous_publish = "in"});
    cr_assert_eq(open_path("/topics/pub.x", ""), 101u);
    cr_assert_eq(open_path("/topics/a", ""), 101u);
    cr_assert_eq(open_path("/topics/b", ""), 401u);
    cr_assert_eq(post(""), 401u);
    /* A credential stands for itself: it does not add to what everybody may. */
    cr_assert_eq(open_path("/topics/pub.x", with("Authorization: Bearer %s\r\n", token())), 403u);
}

Test(identity, of_a_certificate_is_as_the_policy_says)
{
    identity_rig_policy(&fake, (struct fw_access_options){.certificate_publish = "news"});
    fake.certificate = "CN=bot";
    fake_host_say(&fake, with(POST_NEWS, ""));
    cr_assert_eq(answered(), 202u);
    size_t bytes;
    const char *name = fw_conn_subject((const fw_conn *)(const void *)&fake.session, &bytes);
    cr_assert_eq(strncmp(name, "CN=bot", bytes), 0);
    cr_assert_eq(bytes, strlen("CN=bot"));
    cr_assert_eq(post(""), 401u, "who has none");
}

/* Each request of a connection stands for itself. */
Test(identity, does_not_last_to_the_next_request)
{
    need_tokens();
    fake_host_say(&fake, with(POST_NEWS, with("Authorization: Bearer %s\r\n", token())));
    cr_assert_eq(answered(), 202u);
    fake_host_forget(&fake);
    fake_host_say(&fake, with(POST_NEWS, ""));
    cr_assert_eq(answered(), 401u);
}

Test(identity, is_not_needed_for_what_only_shows_that_we_are_here)
{
    need_tokens();
    fake_host_say(&fake, "GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n");
    cr_assert_eq(answered(), 200u);
}

static void ask_rights(struct fake_host *host, const struct fw_request *request)
{
    size_t bytes;
    const char *name = fw_request_subject(request, &bytes);
    fake_host_tell(host, "is(%.*s)", (int)bytes, name);
    cr_assert_eq(fw_request_may(request, FW_MAY_SUBSCRIBE, "a.b"), 0);
    cr_assert_eq(fw_request_may(request, FW_MAY_SUBSCRIBE, "b"), FW_ERR_FORBIDDEN);
    cr_assert_eq(fw_request_may(request, FW_MAY_PUBLISH, "news"), 0);
    cr_assert_eq(fw_request_may(request, FW_MAY_OBSERVE, NULL), FW_ERR_FORBIDDEN);
    const fw_conn *conn = (const fw_conn *)(const void *)&host->session;
    cr_assert_eq(fw_conn_may(conn, FW_MAY_PUBLISH, "news"), 0);
    cr_assert_eq(fw_conn_may(conn, FW_MAY_PUBLISH, "a.b"), FW_ERR_FORBIDDEN);
}

Test(identity, can_be_asked_for_by_the_program)
{
    need_tokens();
    fake.on_open = ask_rights;
    fake_host_handshake(&fake, "/chat", with("Authorization: Bearer %s\r\n", token()));
    cr_assert_str_eq(fake.told, "open(/chat) is(alice)");
}

/* ---- expiry ---------------------------------------------------------------------------------- */

Test(identity, ends_when_the_token_expires)
{
    need_tokens();
    fake_host_handshake(&fake, "/topics/a.b", with("Authorization: Bearer %s\r\n", token()));
    cr_assert_eq(answered(), 101u);
    cr_assert_eq(fake.timer_ms, fake.host.now_ms + 10000, "before the next ping");
    fake_host_forget(&fake);
    fake_host_advance(&fake, 9999);
    cr_assert_str_eq(fake_host_frames(&fake), "");
    fake_host_advance(&fake, 1);
    cr_assert_str_eq(fake_host_frames(&fake), "close(4401 the credential has expired)");
    fake_host_advance(&fake, FW_CLOSE_MS);
    cr_assert(fake.gone);
}

Test(identity, ends_without_any_ping)
{
    need_tokens();
    fake.rules.ping_interval_ms = 0;
    fake_host_handshake(&fake, "/topics/a.b", with("Authorization: Bearer %s\r\n", token()));
    fake_host_forget(&fake);
    fake_host_advance(&fake, 10000);
    cr_assert_str_eq(fake_host_frames(&fake), "close(4401 the credential has expired)");
}

Test(identity, goes_on_being_pinged_until_it_ends)
{
    need_tokens();
    fake.rules.ping_interval_ms = 1000;
    fake_host_handshake(&fake, "/topics/a.b", with("Authorization: Bearer %s\r\n", token()));
    fake_host_forget(&fake);
    for (unsigned i = 0; i < 9; i++) {
        fake_host_advance(&fake, 1000);
        fake_host_frame(&fake, WS_FIN | FW_WS_PONG, "");
    }
    cr_assert_eq(fake.session.phase, FW_PHASE_OPEN);
    fake_host_advance(&fake, 1000);
    cr_assert_not_null(strstr(fake_host_frames(&fake), "close(4401"));
}

/* ---- the program decides --------------------------------------------------------------------- */

static void grant(const char *publish, uint64_t expires_s)
{
    const struct fw_principal of = {
        .publish = fw_bytes_of(publish), .subscribe = fw_bytes_of("*"), .expires_s = expires_s};
    fake.authorization.principal = fw_principal_create(&of);
    fw_session_decided(&fake.authorization);
    fake_host_flush(&fake);
}

Test(identity, waits_for_the_program)
{
    fake_host_ask_program(&fake, true);
    fake_host_say(&fake, with(POST_NEWS, "Authorization: Basic eDp5\r\n"));
    cr_assert_str_eq(fake.told, "authorize(/topics/news)");
    cr_assert_str_eq(fake_host_sent(&fake), "");
    grant("news", 0);
    cr_assert_eq(answered(), 202u);
    cr_assert_str_eq(fake.published, "news text(hi)");
}

/* Seconds that are no milliseconds any more: the farthest, and those whose product wraps to little.
 */
Test(identity, of_the_program_may_last_for_ever)
{
    static const uint64_t ends[] = {UINT64_MAX, UINT64_MAX / 1000 + FAKE_WALL_S + 2,
                                    (uint64_t)1 << 61, (uint64_t)UINT32_MAX + FAKE_WALL_S};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        fake_host_clear(&fake);
        fake_host_init(&fake);
        fake.rules.ping_interval_ms = 0;
        fake_host_ask_program(&fake, true);
        fake_host_handshake(&fake, "/topics/a", "");
        grant("", ends[i]);
        cr_assert_eq(answered(), 101u);
        fake_host_advance(&fake, (uint64_t)1000 * 3600 * 24 * 365);
        cr_assert_eq(fake.session.phase, FW_PHASE_OPEN, "row %zu", i);
    }
}

Test(identity, waits_for_the_program_at_every_split_point_with_requests_behind)
{
    char text[512];
    sprintf(text, POST_NEWS "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "");
    size_t count = strlen(text);
    for (size_t cut = 0; cut <= count; cut++) {
        fake_host_clear(&fake);
        fake_host_init(&fake);
        fake_host_ask_program(&fake, true);
        fake_host_receive(&fake, text, cut);
        fake_host_flush(&fake);
        fake_host_say(&fake, text + cut);
        cr_assert_str_eq(fake_host_sent(&fake), "", "cut at %zu", cut);
        grant("news", 0);
        const char *first = strstr(fake_host_sent(&fake), "HTTP/1.1 202 ");
        cr_assert_not_null(first, "cut at %zu", cut);
        cr_assert_gt(strstr(fake_host_sent(&fake), "HTTP/1.1 200 "), first, "cut at %zu", cut);
    }
}

Test(identity, opens_once_the_program_has_said_so_with_frames_behind)
{
    struct ws_stream stream = {0};
    fake_host_ask_program(&fake, true);
    fake_host_handshake(&fake, "/topics/a", "");
    ws_stream_text(&stream, WS_FIN | FW_WS_TEXT | WS_MASKED, "early");
    fake_host_receive(&fake, stream.bytes, stream.bytes_count);
    fake_host_flush(&fake);
    ws_stream_clear(&stream);
    cr_assert_eq(answered(), 0u);
    grant("", FAKE_WALL_S + 5);
    cr_assert_eq(answered(), 101u);
    cr_assert_str_eq(fake.told, "authorize(/topics/a) open(/topics/a) text(early)");
    fake_host_forget(&fake);
    fake_host_advance(&fake, 5000);
    cr_assert_str_eq(fake_host_frames(&fake), "close(4401 the credential has expired)");
}

Test(identity, is_refused_with_the_programs_words)
{
    fake_host_ask_program(&fake, true);
    fake_host_handshake(&fake, "/topics/a", "");
    fake.authorization.status = 429;
    strcpy(fake.authorization.reason, "come back tomorrow");
    fw_session_decided(&fake.authorization);
    fake_host_flush(&fake);
    cr_assert_eq(answered(), 429u);
    cr_assert_not_null(strstr(fake_host_sent(&fake), "come back tomorrow"));
    cr_assert_str_eq(fake.told, "authorize(/topics/a)");
}

Test(identity, is_as_the_policy_says_when_the_program_has_no_opinion)
{
    identity_rig_policy(&fake, (struct fw_access_options){.anonymous_publish = "news"});
    fake_host_ask_program(&fake, false);
    fake_host_say(&fake, with(POST_NEWS, ""));
    cr_assert_eq(answered(), 202u);
    fake_host_forget(&fake);
    fake_host_say(&fake, with(POST_NEWS, "Authorization: Basic eDp5\r\n"));
    cr_assert_eq(answered(), 401u);
}

Test(identity, of_a_token_is_not_the_programs_to_decide)
{
    need_tokens();
    fake_host_ask_program(&fake, true);
    fake_host_say(&fake, with(POST_NEWS, with("Authorization: Bearer %s\r\n", token())));
    cr_assert_eq(answered(), 202u);
    cr_assert_str_eq(fake.told, "");
}

Test(identity, that_takes_too_long_is_answered_503_and_a_late_decision_harms_nobody)
{
    fake_host_ask_program(&fake, true);
    fake_host_say(&fake, with(POST_NEWS, ""));
    fake_host_advance(&fake, FW_AUTHORIZE_MS_DEFAULT - 1);
    cr_assert_eq(answered(), 0u);
    fake_host_advance(&fake, 1);
    cr_assert_eq(answered(), 503u);
    cr_assert_null(fake.authorization.session);
    grant("news", 0);
    cr_assert_str_eq(fake.published, "");
}

Test(identity, of_who_has_left_is_forgotten)
{
    fake_host_ask_program(&fake, true);
    fake_host_say(&fake, with(POST_NEWS, ""));
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    cr_assert(fake.gone);
    cr_assert_null(fake.authorization.session);
    grant("news", 0);
    cr_assert_str_eq(fake.published, "");
}

Test(identity, survives_every_allocation_failing)
{
    bool failed = true;
    struct fw_access *access;
    need_tokens();
    access = fake.host.access;
    for (unsigned k = 1; failed; k++) {
        identity_rig_renew(&fake);
        const char *text = with(POST_NEWS, with("Authorization: Bearer %s\r\n", token()));
        fail_mem_at(k, FAIL_ONCE);
        fake_host_say(&fake, text);
        failed = fail_mem_off();
        cr_assert(failed ? answered() == 503 || fake.gone : answered() == 202u);
    }
    failed = true;
    for (unsigned k = 1; failed; k++) {
        fake_host_clear(&fake);
        fake_host_init(&fake);
        fake_host_ask_program(&fake, true);
        fail_mem_at(k, FAIL_ONCE);
        fake_host_say(&fake, with(POST_NEWS, ""));
        failed = fail_mem_off();
        if (fake.authorization.session != NULL)
            grant("news", 0);
        cr_assert(fake.gone || answered() == 202u);
    }
    fake.host.access = access;
}
