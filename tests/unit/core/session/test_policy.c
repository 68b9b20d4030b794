/* test_policy.c: subscribers that owe more than their budget (core/session/policy.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "support/fake_host.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct fake_host fake;

static void begin(void)
{
    fake_host_init(&fake);
    fake.rules.output_bytes_max = 60; /* six messages of 10 octets */
}

static void end(void)
{
    fake_host_clear(&fake);
}

TestSuite(policy, .init = begin, .fini = end, .timeout = 60);

/* Publishes "<from>......", as 10 octets each on the wire, with keys from..to modulo `keys`. */
static void publish(unsigned from, unsigned to, unsigned keys)
{
    char text[16];
    for (unsigned i = from; i <= to; i++) {
        snprintf(text, sizeof text, "%08u", i);
        fake_host_publish_as(&fake, "a", FW_WS_TEXT, keys == 0 ? 0 : 1 + i % keys, text, 8);
    }
}

static void open_blocked(enum fw_policy policy)
{
    fake.topic_rules.policy = (uint8_t)policy;
    fake_host_open(&fake, "/topics/a");
    fake.window = 3;
    publish(0, 0, 0); /* is partly on the wire: stays whatever happens */
    fake_host_flush(&fake);
    cr_assert(fake.session.begun);
}

/* owed = delivered + dropped + left, when it has ended. */
static void expect_counts(uint64_t delivered, uint64_t dropped, uint64_t left)
{
    const struct fw_topic *topic = fake.topics[0];
    cr_expect_eq(atomic_load(&topic->delivered), delivered);
    cr_expect_eq(atomic_load(&topic->dropped), dropped);
    cr_expect_eq(atomic_load(&topic->left), left);
    cr_expect_eq(topic->owed, delivered + dropped + left);
}

Test(policy, disconnects_by_default_and_tells_why)
{
    open_blocked(FW_POLICY_DISCONNECT);
    publish(1, 20, 0);
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_str_eq(fake_host_frames(&fake),
                     "text(00000000) close(1013 too slow: reconnect and resume)");
    expect_counts(1, 0, 20);
}

Test(policy, drops_the_oldest_and_goes_on)
{
    open_blocked(FW_POLICY_DROP_OLDEST);
    publish(1, 20, 0);
    cr_assert_leq(fake.session.outq.queued_bytes, 60u);
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_str_eq(fake_host_frames(&fake),
                     "text(00000000) text(00000016) text(00000017) text(00000018) text(00000019) "
                     "text(00000020)");
    expect_counts(6, 15, 0);
    cr_assert_eq(fake.host.dropped_messages, 15u);
    publish(21, 21, 0);
    fake_host_flush(&fake);
    cr_assert_not_null(strstr(fake_host_frames(&fake), "text(00000021)"));
}

Test(policy, keeps_the_newest_of_each_key)
{
    open_blocked(FW_POLICY_LATEST);
    publish(1, 30, 3);
    fake_host_take(&fake, SIZE_MAX);
    const char *frames = fake_host_frames(&fake);
    static const char *const newest[] = {"text(00000028)", "text(00000029)", "text(00000030)"};
    for (size_t i = 0; i < 3; i++)
        cr_expect_not_null(strstr(frames, newest[i]), "%s", frames);
    const struct fw_topic *topic = fake.topics[0];
    cr_expect_eq(topic->owed, atomic_load(&topic->delivered) + atomic_load(&topic->dropped));
    cr_expect_gt(atomic_load(&topic->dropped), 0u);
}

Test(policy, keeps_one_message_of_a_topic_without_keys)
{
    open_blocked(FW_POLICY_LATEST);
    publish(1, 100, 0);
    cr_assert_leq(fake.session.outq.queued_bytes, 60u);
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_not_null(strstr(fake_host_frames(&fake), "text(00000100)"));
}

/* A reply is not news: it stands where it stood. */
Test(policy, never_drops_what_is_no_message)
{
    open_blocked(FW_POLICY_DROP_OLDEST);
    fake_host_frame(&fake, WS_FIN | FW_WS_PING, "p");
    cr_assert_eq(fw_ws_session_send(&fake.session, FW_WS_TEXT, fw_bytes_of("reply")), 0);
    fake_host_flush(&fake);
    publish(1, 50, 0);
    fake_host_take(&fake, SIZE_MAX);
    const char *frames = fake_host_frames(&fake);
    cr_assert_not_null(strstr(frames, "text(reply)"), "%s", frames);
    cr_assert_not_null(strstr(frames, "pong(p)"), "%s", frames);
    cr_assert_not_null(strstr(frames, "text(00000050)"), "%s", frames);
}

/* The lines in front of an event of several topics go with it: what is left is whole events. */
Test(policy, drops_whole_events_of_a_stream)
{
    fake.rules.output_bytes_max = 400;
    fake.topic_rules.policy = FW_POLICY_DROP_OLDEST;
    fake_host_say(&fake,
                  "GET /topics/a,b HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    fake_host_forget(&fake);
    fake.window = 5;
    publish(1, 200, 0);
    fake_host_flush(&fake);
    publish(201, 400, 0);
    fake_host_take(&fake, SIZE_MAX);
    /* Lines that were partly on the wire when their data went are overruled by the next ones. */
    const char *event = strstr(fake_host_sent(&fake), "\nid: ");
    unsigned events = 0;
    cr_assert_not_null(event);
    event++;
    while (*event != '\0') {
        unsigned offset;
        unsigned value;
        int used = 0;
        int fields = sscanf(event, "id: abc:%u,abc:0\nevent: topic:a\ndata: %u\n\n%n", &offset,
                            &value, &used);
        cr_assert_eq(fields, 2, "%u: %s", events, event);
        cr_assert_eq(offset, value, "an event with another's position");
        event += used;
        events++;
    }
    cr_assert_geq(events, 3u);
    cr_assert_lt(events, 20u);
    const struct fw_topic *topic = fake.topics[0];
    cr_expect_eq(topic->owed, 400u);
    cr_expect_eq(atomic_load(&topic->delivered) + atomic_load(&topic->dropped), 400u);
}

Test(policy, lists_who_is_slow_until_it_has_taken_all)
{
    fake.rules.output_soft_bytes = 30;
    open_blocked(FW_POLICY_DROP_OLDEST);
    cr_assert_eq(fake.host.slow.all, 0u);
    publish(1, 20, 0);
    fake.host.now_ms += 250;
    cr_assert_eq(fake.host.slow.all, 1u);
    struct fw_http_head head = {.method = FW_HTTP_GET, .minor = 1, .keep_alive = true};
    struct fw_request request = {.session = &fake.session, .head = &head};
    fake.session.phase = FW_PHASE_HTTP; /* who asks is the same one here */
    fw_slow_answer(&request);
    fake.session.phase = FW_PHASE_OPEN;
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_not_null(strstr(fake_host_sent(&fake),
                              "{\"slow\":[{\"worker\":0,\"transport\":\"ws\",\"topic\":\"a\","
                              "\"topics\":1,\"queued\":57,\"dropped\":15,\"for_ms\":250}],"
                              "\"count\":1}\n"),
                       "%s", fake_host_sent(&fake));
    cr_assert_eq(fake.host.slow.all, 0u);
}

Test(policy, takes_one_message_that_is_larger_than_the_budget)
{
    static char large[200];
    fake.topic_rules.policy = FW_POLICY_DROP_OLDEST;
    fake_host_open(&fake, "/topics/a");
    fake_host_publish(&fake, "a", large, sizeof large);
    fake_host_flush(&fake);
    cr_assert_eq(fake.sent_count, 4 + sizeof large);
}
