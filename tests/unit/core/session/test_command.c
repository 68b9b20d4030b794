/* test_command.c: fanwire.v1 and batches of POST /publish (core/session/command.c, batch.c, json.c;
 * fanwire-protocol(7)).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "support/fail_mem.h"
#include "support/fake_host.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>

static struct fake_host fake;

static void begin(void)
{
    fake_host_init(&fake);
}

static void end(void)
{
    fake_host_clear(&fake);
}

TestSuite(command, .init = begin, .fini = end, .timeout = 60);

static void open_as(struct fake_host *host, const char *path)
{
    fake_host_handshake(host, path, "Sec-WebSocket-Protocol: other, fanwire.v1\r\n");
    cr_assert_not_null(strstr(fake_host_sent(host), "\r\nSec-WebSocket-Protocol: fanwire.v1\r\n"),
                       "%s", fake_host_sent(host));
    fake_host_forget(host);
}

/* Whether this was sent, zeros elsewhere or not. */
static bool sent(struct fake_host *host, const char *text)
{
    return memmem(fake_host_sent(host), host->sent_count, text, strlen(text)) != NULL;
}

/* Sends a command and expects one frame. */
static void expect(const char *command, const char *answer)
{
    char wanted[1024];
    fake_host_forget(&fake);
    fake_host_frame(&fake, WS_FIN | FW_WS_TEXT, command);
    snprintf(wanted, sizeof wanted, "%s\n", answer);
    const char *got = fake_host_sent(&fake) + 2; /* behind the frame's header, of 2 or 4 octets */
    cr_expect_str_eq(strlen(wanted) < 126 ? got : got + 2, wanted, "%s: %s", command, got);
}

Test(command, answers_each_verb)
{
    open_as(&fake, "/topics/");
    fake.receivers = 2;
    expect("{\"id\":1,\"ping\":true}", "{\"id\":1,\"pong\":true}");
    expect("{\"id\":2,\"subscribe\":\"a\"}",
           "{\"id\":2,\"subscribed\":\"a\",\"epoch\":\"abc\",\"offset\":0,\"recovered\":true}");
    expect("{\"id\":3,\"publish\":\"b\",\"text\":\"hi\"}",
           "{\"id\":3,\"published\":\"b\",\"epoch\":\"abc\",\"offset\":7,\"receivers\":2}");
    cr_assert_str_eq(fake.published, "b text(hi)");
    expect("{\"id\":4,\"unsubscribe\":\"a\"}", "{\"id\":4,\"unsubscribed\":\"a\"}");
    cr_assert_eq(fake.topics[0]->subscribers, 0u);
}

Test(command, gives_back_the_id_as_it_came_or_null)
{
    open_as(&fake, "/topics/");
    expect("{\"ping\":1}", "{\"id\":null,\"pong\":true}");
    expect("{\"id\":\"x\\\"y\\u0001\",\"ping\":1}", "{\"id\":\"x\\\"y\\u0001\",\"pong\":true}");
    expect("{\"id\":-9007199254740993,\"ping\":1}", "{\"id\":-9007199254740993,\"pong\":true}");
    expect("{\"id\":[1],\"ping\":1}", "{\"id\":null,\"pong\":true}");
    expect("{\"id\":\"0123456789012345678901234567890123456789012345678901234567890123456\","
           "\"ping\":1}",
           "{\"id\":null,\"pong\":true}");
}

Test(command, names_what_is_wrong)
{
    static const struct {
        const char *command;
        const char *code;
    } rows[] = {
        {"", "json"},
        {"[]", "json"},
        {"nonsense", "json"},
        {"{\"ping\":1", "json"},
        {"{\"id\":1,\"id\":2,\"ping\":1}", "json"},
        {"{\"ping\":[[[[[[[[1]]]]]]]]}", "json"},
        {"{\"ping\":\"[[[[[[[[[[[[\"}", NULL},
        {"{}", "command"},
        {"{\"subscribe\":1}", "command"},
        {"{\"subscribe\":\"a\",\"ping\":1}", "command"},
        {"{\"subscribe\":\"a b\"}", "topic"},
        {"{\"subscribe\":\"\"}", "topic"},
        {"{\"subscribe\":\"a\",\"since\":\"x\"}", "position"},
        {"{\"subscribe\":\"a\",\"since\":1}", "command"},
        {"{\"subscribe\":\"a\",\"last\":-1}", "command"},
        {"{\"subscribe\":\"a\",\"last\":\"1\"}", "command"},
        {"{\"unsubscribe\":\"a\"}", "absent"},
        {"{\"publish\":\"a\"}", "command"},
        {"{\"publish\":\"a\",\"text\":1}", "command"},
        {"{\"publish\":\"a\",\"text\":\"x\",\"json\":1}", "command"},
        {"{\"publish\":\"a\",\"base64\":\"AAE\"}", "command"},
        {"{\"publish\":\"a\",\"base64\":\"!!!!\"}", "command"},
        {"{\"publish\":\"a\",\"base64\":\"AA==AAAA\"}", "command"},
        {"{\"publish\":\"a\",\"base64\":\"A===\"}", "command"},
        {"{\"publish\":\"a\",\"base64\":\"A\\nAA\"}", "command"},
        {"{\"publish\":\"a\",\"text\":\"x\",\"key\":1}", "command"},
        {"{\"publish\":\"a\",\"text\":\"x\",\"expires\":0}", "command"},
        {"{\"publish\":\"a\",\"text\":\"x\",\"expires\":\"1\"}", "command"},
        {"{\"publish\":\"a\",\"text\":\"x\",\"expires\":1e99}", "command"},
    };
    open_as(&fake, "/topics/");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char wanted[64] = "pong";
        fake_host_forget(&fake);
        fake_host_frame(&fake, WS_FIN | FW_WS_TEXT, rows[i].command);
        if (rows[i].code != NULL)
            snprintf(wanted, sizeof wanted, "\"error\":\"%s\",\"message\":\"", rows[i].code);
        cr_expect_not_null(strstr(fake_host_sent(&fake), wanted), "%s: %s", rows[i].command,
                           fake_host_sent(&fake));
    }
    cr_assert_str_eq(fake.published, "", "nothing of it was published");
}

Test(command, publishes_text_json_and_bytes_with_options)
{
    static const struct {
        const char *fields;
        const char *wanted;
    } rows[] = {
        {"\"text\":\"\"", "t text()"},
        {"\"text\":\"a\\u0000b\"", "t text(a\\x00b)"},
        {"\"json\":{\"x\": [1, null]}", "t text({\"x\":[1,null]})"},
        {"\"json\":null", "t text(null)"},
        {"\"base64\":\"\"", "t binary()"},
        {"\"base64\":\"AP8=\"", "t binary(\\x00\\xff)"},
        {"\"text\":\"x\",\"key\":\"k\",\"expires\":1.5", "t text(x) key(k) lives(1500)"},
    };
    open_as(&fake, "/topics/");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char command[256];
        snprintf(command, sizeof command, "{\"publish\":\"t\",%s}", rows[i].fields);
        fake_host_frame(&fake, WS_FIN | FW_WS_TEXT, command);
        cr_expect_str_eq(fake.published, rows[i].wanted, "%s", rows[i].fields);
    }
}

Test(command, names_each_failure_of_a_publish)
{
    static const struct {
        int result;
        const char *code;
    } rows[] = {{FW_ERR_BUSY, "busy"},         {FW_ERR_LIMIT, "limit"}, {FW_ERR_CLOSED, "stopping"},
                {FW_ERR_NOT_UTF8, "not-utf8"}, {-ENOMEM, "memory"},     {-EIO, "refused"}};
    open_as(&fake, "/topics/");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char wanted[64];
        fake.publish_result = rows[i].result;
        fake_host_forget(&fake);
        fake_host_frame(&fake, WS_FIN | FW_WS_TEXT, "{\"publish\":\"a\",\"text\":\"x\"}");
        snprintf(wanted, sizeof wanted, "\"error\":\"%s\"", rows[i].code);
        cr_expect_not_null(strstr(fake_host_sent(&fake), wanted), "%s", rows[i].code);
    }
}

Test(command, hands_messages_over_behind_a_header_line)
{
    fake_host_publish(&fake, "a", "one", 3);
    open_as(&fake, "/topics/b");
    fake_host_frame(&fake, WS_FIN | FW_WS_TEXT,
                    "{\"id\":1,\"subscribe\":\"a\",\"since\":\"first\"}");
    fake_host_publish_as(&fake, "a", FW_WS_BINARY, 0, "\x00", 1);
    fake_host_publish(&fake, "b", "two", 3);
    fake_host_flush(&fake);
    const char *frames = strchr(fake_host_frames(&fake), ' '); /* behind the answer */
    cr_assert_not_null(frames);
    cr_assert_str_eq(frames + 1,
                     "text({\"topic\":\"a\",\"offset\":1}\\x0aone) "
                     "binary({\"topic\":\"a\",\"offset\":2}\\x0a\\x00) "
                     "text({\"topic\":\"b\",\"offset\":1}\\x0atwo)",
                     "%s", fake_host_frames(&fake));
}

Test(command, tells_a_gap_and_goes_on)
{
    for (unsigned i = 0; i < 100; i++)
        fake_host_publish(&fake, "a", "x", 1);
    fake.page_messages = 3;
    open_as(&fake, "/topics/");
    fake.window = 0;
    fake_host_frame(&fake, WS_FIN | FW_WS_TEXT,
                    "{\"id\":1,\"subscribe\":\"a\",\"since\":\"first\"}");
    for (unsigned i = 0; i < 100; i++)
        fake_host_publish(&fake, "a", "y", 1);
    fake_host_take(&fake, SIZE_MAX);
    cr_assert(
        sent(&fake, "{\"topic\":\"a\",\"recovered\":false,\"epoch\":\"abc\",\"offset\":136}\n"));
    cr_assert(sent(&fake, "{\"topic\":\"a\",\"offset\":137}\ny"));
    cr_assert_eq(fake.session.phase, FW_PHASE_OPEN);
}

Test(command, takes_text_only)
{
    open_as(&fake, "/topics/");
    fake_host_frame(&fake, WS_FIN | FW_WS_BINARY, "{}");
    cr_assert_str_eq(fake_host_frames(&fake), "close(1003 a command is a text message)");
}

Test(command, is_what_a_client_asked_for_and_only_on_topics)
{
    fake_host_handshake(&fake, "/topics/a", "Sec-WebSocket-Protocol: fanwire.v2\r\n");
    cr_assert_null(strstr(fake_host_sent(&fake), "Sec-WebSocket-Protocol"));
    struct fake_host host;
    fake_host_init(&host);
    fake_host_handshake(&host, "/chat", "Sec-WebSocket-Protocol: fanwire.v1\r\n");
    cr_assert_null(strstr(fake_host_sent(&host), "Sec-WebSocket-Protocol"));
    fake_host_frame(&host, WS_FIN | FW_WS_TEXT, "{\"ping\":1}");
    cr_assert_not_null(strstr(host.told, "text("));
    fake_host_clear(&host);
}

/* ---- batches --------------------------------------------------------------------------------- */

static const char *post(struct fake_host *host, const char *body)
{
    char text[8192];
    snprintf(text, sizeof text,
             "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
             body);
    fake_host_forget(host);
    fake_host_say(host, text);
    const char *end = strstr(fake_host_sent(host), "\r\n\r\n");
    return end == NULL ? "" : end + 4;
}

Test(command, publishes_a_batch_line_by_line_and_answers_each)
{
    fake.receivers = 1;
    cr_assert_str_eq(
        post(&fake, "{\"topic\":\"a\",\"text\":\"1\"}\r\n\n"
                    "{\"topic\":\"a b\",\"text\":\"1\"}\n"
                    "{\"text\":\"1\"}\n"
                    "{\"topic\":\"c\",\"json\":{},\"key\":\"k\"}"),
        "{\"topic\":\"a\",\"epoch\":\"abc\",\"offset\":7,\"receivers\":1}\n"
        "{\"error\":\"topic\",\"message\":\"a topic name is 1 to 128 of A-Z a-z 0-9 _ - "
        ". :\"}\n"
        "{\"error\":\"command\",\"message\":\"a field is missing, of the wrong type or "
        "unknown\"}\n"
        "{\"topic\":\"c\",\"epoch\":\"abc\",\"offset\":7,\"receivers\":1}\n");
    cr_assert_str_eq(fake.published, "c text({}) key(k)");
    cr_assert_str_eq(post(&fake, ""), "");
}

Test(command, refuses_a_batch_of_too_many_lines_before_the_first)
{
    size_t count = FW_BATCH_LINES_MAX + 1;
    char *body = malloc(count * 3 + 128);
    int head = sprintf(body, "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                       count * 3);
    for (size_t i = 0; i < count; i++)
        memcpy(body + head + i * 3, "{}\n", 3);
    fake_host_receive(&fake, body, (size_t)head + count * 3);
    fake_host_flush(&fake);
    cr_assert_not_null(strstr(fake_host_sent(&fake), "HTTP/1.1 413 "));
    free(body);
}

Test(command, publishes_a_POST_with_its_options)
{
    fake_host_say(&fake, "POST /topics/a?key=k.1&expires=60 HTTP/1.1\r\nHost: x\r\n"
                         "Content-Length: 1\r\n\r\nx");
    cr_assert_str_eq(fake.published, "a text(x) key(k.1) lives(60000)");
    fake_host_say(&fake, "POST /topics/a?expires=1.5 HTTP/1.1\r\nHost: x\r\n"
                         "Content-Length: 1\r\n\r\nx");
    cr_assert_not_null(strstr(fake_host_sent(&fake), "HTTP/1.1 400 "));
}

/* A key of 128 bytes is taken as it stands, escapes and all; one more is the publisher's mistake.
 */
Test(command, refuses_a_POST_whose_key_is_too_long)
{
    for (int count = 128; count <= 129; count++) {
        char request[512];
        char key[130];
        memset(key, 'k', sizeof key);
        memcpy(key, "%41", 3);
        snprintf(request, sizeof request,
                 "POST /topics/a?key=%.*s HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", count,
                 key);
        fake.published[0] = '\0';
        fake_host_say(&fake, request);
        if (count == 128)
            cr_assert_str_eq(fake.published, "a text(x) key(#128)");
        else
            cr_assert_str_eq(fake.published, "");
    }
    cr_assert_not_null(strstr(fake_host_sent(&fake), "HTTP/1.1 400 "));
    cr_assert_not_null(strstr(fake_host_sent(&fake), "a key is at most 128 bytes"));
}

Test(command, answers_or_ends_whichever_allocation_fails)
{
    static const char *const commands[] = {
        "{\"id\":1,\"subscribe\":\"a\",\"since\":\"first\"}",
        "{\"id\":1,\"publish\":\"a\",\"json\":{\"x\":[1,2]},\"key\":\"k\"}",
        "{\"id\":1,\"publish\":\"a\",\"base64\":\"AAEC\"}",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        bool failed = true;
        for (unsigned k = 1; failed; k++) {
            struct fake_host host;
            cr_assert_lt(k, 100u);
            fake_host_init(&host);
            fake_host_publish(&host, "a", "one", 3);
            open_as(&host, "/topics/");
            fail_mem_at(k, FAIL_ONCE);
            fake_host_frame(&host, WS_FIN | FW_WS_TEXT, commands[i]);
            failed = fail_mem_off();
            cr_expect(sent(&host, "{\"id\":") || host.gone || host.shut, "%zu, %u", i, k);
            fake_host_clear(&host);
        }
    }
}
