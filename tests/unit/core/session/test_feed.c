/* test_feed.c: the resources of the feed server (core/session/feed.c): /topics/NAME, /healthz,
 * /readyz.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "support/fail_mem.h"
#include "support/fake_host.h"
#include "session/session_impl.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>

static struct fake_host fake;

static void begin(void)
{
    fake_host_init(&fake);
}

static void end(void)
{
    fake_host_clear(&fake);
}

TestSuite(feed, .init = begin, .fini = end, .timeout = 60);

static unsigned status_of(struct fake_host *host)
{
    unsigned status = 0;
    sscanf(fake_host_sent(host), "HTTP/1.1 %u", &status);
    return status;
}

static const char *body_of(struct fake_host *host)
{
    const char *end = strstr(fake_host_sent(host), "\r\n\r\n");
    cr_assert_not_null(end, "%s", fake_host_sent(host));
    return end + 4;
}

/* One request in a session of its own.
 *
 * returns      its status
 */
static unsigned ask(struct fake_host *host, const char *method, const char *target,
                    const char *lines, const char *body)
{
    char text[4096];
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s",
             method, target, lines, strlen(body), body);
    fake_host_forget(host);
    fake_host_say(host, text);
    return status_of(host);
}

/* ---- publishing ------------------------------------------------------------------------------ */

Test(feed, publishes_a_POST_and_says_where_it_went)
{
    fake.receivers = 3;
    cr_assert_eq(ask(&fake, "POST", "/topics/prices.AAPL", "", "187.5"), 200u);
    cr_assert_str_eq(fake.published, "prices.AAPL text(187.5)");
    cr_assert_str_eq(
        body_of(&fake),
        "{\"topic\":\"prices.AAPL\",\"epoch\":\"abc\",\"offset\":7,\"receivers\":3}\n");
    cr_assert_not_null(strstr(fake_host_sent(&fake), "Content-Type: application/json\r\n"));
    cr_assert_not_null(strstr(fake_host_sent(&fake), "Cache-Control: no-store\r\n"));
    cr_assert_not(fake.shut, "the next one may follow");
}

Test(feed, answers_202_when_nobody_listens)
{
    cr_assert_eq(ask(&fake, "POST", "/topics/a", "", "x"), 202u);
    cr_assert_not_null(strstr(body_of(&fake), "\"receivers\":0"));
}

Test(feed, publishes_an_empty_body)
{
    cr_assert_eq(ask(&fake, "POST", "/topics/a", "", ""), 202u);
    cr_assert_str_eq(fake.published, "a text()");
}

Test(feed, takes_the_message_type_from_the_content_type)
{
    static const struct {
        const char *line;
        const char *wanted;
    } rows[] = {
        {"", "a text(x)"},
        {"Content-Type: text/plain\r\n", "a text(x)"},
        {"Content-Type: TEXT/html; charset=utf-8\r\n", "a text(x)"},
        {"Content-Type: application/json\r\n", "a text(x)"},
        {"Content-Type: Application/JSON;charset=utf-8\r\n", "a text(x)"},
        {"Content-Type: application/x-www-form-urlencoded\r\n", "a text(x)"},
        {"Content-Type: application/octet-stream\r\n", "a binary(x)"},
        {"Content-Type: image/png\r\n", "a binary(x)"},
        {"Content-Type: text/\r\n", "a binary(x)"},
        {"Content-Type: application/json-patch\r\n", "a binary(x)"},
        {"Content-Type: \r\n", "a binary(x)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert_eq(ask(&fake, "POST", "/topics/a", rows[i].line, "x"), 202u);
        cr_assert_str_eq(fake.published, rows[i].wanted, "%s", rows[i].line);
    }
}

Test(feed, answers_each_failure_of_a_publish_with_its_status_and_closes)
{
    static const struct {
        int result;
        unsigned status;
    } rows[] = {
        {FW_ERR_BUSY, 503}, {FW_ERR_LIMIT, 503}, {FW_ERR_CLOSED, 503},
        {-ENOMEM, 503},     {FW_ERR_TOPIC, 400}, {FW_ERR_NOT_UTF8, 400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_host host;
        fake_host_init(&host);
        host.publish_result = rows[i].result;
        cr_assert_eq(ask(&host, "POST", "/topics/a", "", "x"), rows[i].status, "%s",
                     fw_status_name(rows[i].result));
        bool retries = strstr(fake_host_sent(&host), "Retry-After: 1\r\n") != NULL;
        cr_assert_eq(retries, rows[i].status == 503);
        cr_assert(host.shut);
        fake_host_clear(&host);
    }
}

Test(feed, publishes_to_one_topic_with_a_valid_name_only)
{
    static const char *const targets[] = {"/topics/",      "/topics/a,b", "/topics/a/b",
                                          "/topics/a%20b", "/topics/%61", "/topics/a;b"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct fake_host host;
        fake_host_init(&host);
        cr_assert_eq(ask(&host, "POST", targets[i], "", "x"), 400u, "%s", targets[i]);
        cr_assert_str_eq(host.published, "");
        fake_host_clear(&host);
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

Test(feed, tells_what_it_knows_of_a_topic)
{
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("a")), 0);
    for (unsigned i = 0; i < 70; i++)
        fake_host_publish(&fake, "a", "x", 1);
    fw_session_unsubscribe_all(&fake.session);
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("a")), 0);
    cr_assert_eq(ask(&fake, "GET", "/topics/a?info", "", ""), 200u);
    const char *body = body_of(&fake);
    static const char *const wanted[] = {
        "{\"topic\":\"a\",\"epoch\":\"abc\",\"offset\":70,",
        "\"subscribers\":{\"ws\":1,\"sse\":0,\"longpoll\":0}",
        "\"history\":{\"count\":64,\"oldest\":7,",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        cr_assert_not_null(strstr(body, wanted[i]), "%s: %s", wanted[i], body);
    cr_assert_eq(ask(&fake, "HEAD", "/topics/a?info", "", ""), 200u);
    cr_assert_str_eq(body_of(&fake), "");
}

Test(feed, answers_404_for_a_topic_that_nobody_has_used)
{
    cr_assert_eq(ask(&fake, "GET", "/topics/b?info", "", ""), 404u);
    cr_assert_not(fake.shut);
}

Test(feed, answers_400_for_a_name_that_is_none)
{
    cr_assert_eq(ask(&fake, "GET", "/topics/a,b?info", "", ""), 400u);
}

Test(feed, answers_405_to_other_methods)
{
    static const char *const methods[] = {"PUT", "DELETE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < 4; i++) {
        struct fake_host host;
        fake_host_init(&host);
        cr_assert_eq(ask(&host, methods[i], "/topics/a", "", ""), 405u);
        fake_host_clear(&host);
    }
}

/* ---- subscribing ----------------------------------------------------------------------------- */

Test(feed, subscribes_a_websocket_to_the_topics_of_its_path)
{
    fake_host_handshake(&fake, "/topics/a,b,c.d:e_f-9?since=now", "");
    cr_assert_str_eq(fake.told, "open(/topics/a,b,c.d:e_f-9)");
    fake_host_publish(&fake, "b", "two", 3);
    fake_host_publish(&fake, "c.d:e_f-9", "three", 5);
    fake_host_publish(&fake, "d", "not ours", 8);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake_host_frames(&fake), "text(two) text(three)");
}

Test(feed, subscribes_once_to_a_topic_that_is_named_twice)
{
    fake_host_open(&fake, "/topics/a,a");
    fake_host_publish(&fake, "a", "x", 1);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake_host_frames(&fake), "text(x)");
}

Test(feed, refuses_names_that_are_none_before_the_upgrade)
{
    static const char *const paths[] = {"/topics/",     "/topics/,",    "/topics/a,", "/topics/,a",
                                        "/topics/a,,b", "/topics/a%20", "/topics/a/b"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct fake_host host;
        fake_host_init(&host);
        fake_host_handshake(&host, paths[i], "");
        cr_assert_eq(status_of(&host), 400u, "%s", paths[i]);
        cr_assert_str_eq(host.told, "");
        for (unsigned k = 0; k < host.topics_count; k++)
            cr_assert_eq(host.topics[k]->subscribers, 0u, "%s", paths[i]);
        fake_host_clear(&host);
    }
}

Test(feed, takes_128_topics_in_a_path_and_not_129)
{
    char path[2048] = "/topics/t0";
    for (unsigned i = 1; i < 128; i++)
        sprintf(path + strlen(path), ",t%u", i);
    fake_host_handshake(&fake, path, "");
    cr_assert_eq(status_of(&fake), 101u);
    strcat(path, ",t128");
    struct fake_host host;
    fake_host_init(&host);
    fake_host_handshake(&host, path, "");
    cr_assert_eq(status_of(&host), 400u);
    fake_host_clear(&host);
}

Test(feed, answers_503_when_the_server_has_no_room_for_a_topic)
{
    fake.subscribe_result = FW_ERR_LIMIT;
    fake_host_handshake(&fake, "/topics/a", "");
    cr_assert_eq(status_of(&fake), 503u);
    cr_assert_not_null(strstr(fake_host_sent(&fake), "Retry-After: 1\r\n"));
}

/* ---- the busiest topics ---------------------------------------------------------------------- */

Test(feed, lists_the_busiest_topics_first_and_the_sums_of_all)
{
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("quiet")), 0);
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("busy")), 0);
    fake_host_publish(&fake, "quiet", "x", 1);
    fake_host_publish(&fake, "busy", "x", 1);
    fake_host_publish(&fake, "busy", "x", 1);
    fw_session_unsubscribe_all(&fake.session);
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("quiet")), 0);
    fake.topics[0]->owed = 5;
    fake.host.now_ms = 1234567;
    cr_assert_eq(ask(&fake, "GET", "/debug/topics", "", ""), 200u);
    cr_assert_str_eq(body_of(&fake),
                     "{\"at_ms\":1234567,\"count\":2,\"messages\":3,\"owed\":7,"
                     "\"subscribers\":{\"ws\":1,\"sse\":0,\"longpoll\":0},\"topics\":["
                     "{\"topic\":\"busy\",\"epoch\":\"abc\",\"offset\":2,"
                     "\"subscribers\":{\"ws\":0,\"sse\":0,\"longpoll\":0}},"
                     "{\"topic\":\"quiet\",\"epoch\":\"abc\",\"offset\":1,"
                     "\"subscribers\":{\"ws\":1,\"sse\":0,\"longpoll\":0}}]}\n");
    cr_assert_not_null(strstr(fake_host_sent(&fake), "Cache-Control: no-store\r\n"));
    cr_assert_eq(ask(&fake, "HEAD", "/debug/topics", "", ""), 200u);
    cr_assert_str_eq(body_of(&fake), "");
}

Test(feed, asks_to_come_again_while_the_topics_are_counted)
{
    fake.counts_topics = true;
    cr_assert_eq(ask(&fake, "GET", "/debug/topics", "", ""), 503u);
    cr_assert_str_eq(body_of(&fake), "the topics are being counted: ask again in a second\n");
    cr_assert_not_null(strstr(fake_host_sent(&fake), "Retry-After: 1\r\n"));
}

Test(feed, lists_no_topics_where_there_are_none)
{
    cr_assert_eq(ask(&fake, "GET", "/debug/topics", "", ""), 200u);
    cr_assert_not_null(strstr(body_of(&fake), "\"count\":0,"));
    cr_assert_not_null(strstr(body_of(&fake), "\"topics\":[]}\n"));
}

/* The widest of everything fits what was set aside for it. */
static bool fill_busiest(struct fw_session *session, struct fw_busiest *busiest_out)
{
    (void)session;
    memset(busiest_out, 0xff, sizeof *busiest_out);
    busiest_out->count = FW_BUSIEST_MAX;
    for (unsigned i = 0; i < FW_BUSIEST_MAX; i++) {
        busiest_out->order[i] = (uint8_t)i;
        memset(busiest_out->topics[i].name, 'n', FW_TOPIC_NAME_BYTES_MAX);
        busiest_out->topics[i].name[FW_TOPIC_NAME_BYTES_MAX] = '\0';
    }
    return true;
}

Test(feed, has_room_for_the_longest_list_of_topics)
{
    struct fw_session_upward up = *fake.host.up;
    up.busiest = fill_busiest;
    fake.host.up = &up;
    fake.host.now_ms = UINT64_MAX;
    cr_assert_eq(ask(&fake, "GET", "/debug/topics", "", ""), 200u);
    size_t count = strlen(body_of(&fake));
    cr_assert_gt(count, 100u * 260u);
    cr_assert_str_eq(body_of(&fake) + count - 4, "}]}\n");
}

Test(feed, refuses_to_list_topics_when_there_is_no_memory)
{
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        struct fake_host host;
        fake_host_init(&host);
        fail_mem_at(k, FAIL_ONCE);
        unsigned status = ask(&host, "GET", "/debug/topics", "", "");
        failed = fail_mem_off();
        /* The answer itself may fail: then the connection ends without one. */
        cr_assert(status == 200 || status == 503 || (status == 0 && (host.shut || host.gone)),
                  "k %u: %u", k, status);
        cr_assert(failed || status == 200);
        fake_host_clear(&host);
    }
}

/* ---- health, and what is no resource of ours ------------------------------------------------- */

Test(feed, says_that_it_is_healthy_and_ready)
{
    cr_assert_eq(ask(&fake, "GET", "/healthz", "", ""), 200u);
    cr_assert_str_eq(body_of(&fake), "ok\n");
    cr_assert_eq(ask(&fake, "GET", "/readyz", "", ""), 200u);
    cr_assert_str_eq(body_of(&fake), "ready\n");
    cr_assert_eq(ask(&fake, "HEAD", "/readyz", "", ""), 200u);
    cr_assert_str_eq(body_of(&fake), "");
}

Test(feed, is_healthy_but_not_ready_while_the_server_stops)
{
    fake.ready = false;
    cr_assert_eq(ask(&fake, "GET", "/readyz", "", ""), 503u);
    cr_assert_str_eq(body_of(&fake), "stopping\n");
    struct fake_host host;
    fake_host_init(&host);
    host.ready = false;
    cr_assert_eq(ask(&host, "GET", "/healthz", "", ""), 200u);
    fake_host_clear(&host);
}

Test(feed, takes_no_POST_for_health)
{
    cr_assert_eq(ask(&fake, "POST", "/healthz", "", ""), 405u);
}

/* Compared by exact string: no path is built from input. */
Test(feed, leaves_other_paths_to_the_program)
{
    static const char *const targets[] = {
        "/",          "/topics",    "/topicsx/a", "/Topics/a",
        "/healthz/",  "/healthz.",  "//healthz",  "/topics/../healthz2",
        "/./healthz", "/%68ealthz", "/readyz/x",  "/TOPICS/a"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct fake_host host;
        bool topic = strncmp(targets[i], "/topics/", 8) == 0;
        fake_host_init(&host);
        unsigned status = ask(&host, "GET", targets[i], "", "");
        cr_assert_eq(status, topic ? 400u : 404u, "%s: %u", targets[i], status);
        cr_assert_eq(host.told[0] == '\0', topic, "%s", targets[i]);
        fake_host_clear(&host);
    }
}

Test(feed, is_off_when_the_server_serves_none)
{
    fake.rules.feed = false;
    cr_assert_eq(ask(&fake, "POST", "/topics/a", "", "x"), 404u);
    cr_assert_eq(ask(&fake, "GET", "/healthz", "", ""), 404u);
    cr_assert_str_eq(fake.published, "");
    fake_host_handshake(&fake, "/topics/a", "");
    cr_assert_eq(fake.topics_count, 0u, "a WebSocket there is the program's");
    cr_assert_eq(fake.session.phase, FW_PHASE_OPEN);
}
