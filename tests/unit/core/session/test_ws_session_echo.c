/* test_ws_session_echo.c: echoes that are sent from where they were received
 * (core/session/ws_session.c): each a frame of its own (RFC 6455, section 5.2), whatever lies
 * between them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/fake_host.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define TEXT   (WS_FIN | FW_WS_TEXT)
#define BINARY (WS_FIN | FW_WS_BINARY)
#define PING   (WS_FIN | FW_WS_PING)
#define PONG   (WS_FIN | FW_WS_PONG)

static struct fake_host fake;
static struct ws_stream input;
static struct ws_stream wanted;
static uint8_t payload[70000];

static void open_session(void)
{
    fake_host_init(&fake);
    fake_host_open(&fake, "/chat");
    fake.keeps = true;
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)('a' + i % 23);
}

static void clear_session(void)
{
    ws_stream_clear(&input);
    ws_stream_clear(&wanted);
    fake_host_clear(&fake);
}

TestSuite(ws_session_echo, .init = open_session, .fini = clear_session, .timeout = 60);

static void send_bytes(uint8_t type, const uint8_t *bytes, size_t count)
{
    cr_assert_eq(fw_ws_session_send(&fake.session, type, (struct fw_bytes){bytes, count}), 0);
}

static void echo(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count)
{
    (void)host;
    send_bytes(type, bytes, count);
    cr_assert_eq(memcmp(bytes, payload, count), 0, "the program may go on reading it");
}

static void expect_wanted(const char *what, unsigned round)
{
    fake_host_flush(&fake);
    cr_assert_eq(fake.sent_count, wanted.bytes_count, "%s %u: %zu octets, not %zu", what, round,
                 fake.sent_count, wanted.bytes_count);
    bool same = wanted.bytes_count == 0 || memcmp(fake.sent, wanted.bytes, wanted.bytes_count) == 0;
    cr_assert(same, "%s %u", what, round);
}

/* One entry of the queue, and so one piece of the send: nothing was copied to the arena. */
Test(ws_session_echo, of_what_came_together_is_one_piece)
{
    static const size_t sizes[] = {300, 0, 1, 125, 126, 1024, 20, 65535};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ws_stream_frame(&input, (i % 2 == 0 ? TEXT : BINARY) | WS_MASKED, payload, sizes[i]);
        ws_stream_frame(&wanted, i % 2 == 0 ? TEXT : BINARY, payload, sizes[i]);
    }
    fake.on_message = echo;
    fake_host_receive(&fake, input.bytes, input.bytes_count);
    cr_assert(fake.kept);
    cr_assert_null(fake.session.outq.more);
    cr_assert_eq(fake.host.arena->reserved_bytes, 0u);
    expect_wanted("together", 0);
}

Test(ws_session_echo, that_is_small_and_alone_is_copied)
{
    ws_stream_text(&input, TEXT | WS_MASKED, "abc");
    ws_stream_text(&wanted, TEXT, "abc");
    fake.on_message = echo;
    fake_host_receive(&fake, input.bytes, input.bytes_count);
    cr_assert_not(fake.kept);
    expect_wanted("alone", 0);
}

/* ---- any mixture ----------------------------------------------------------------------------- */

enum action { PASS, ECHO, ECHO_TWICE, ECHO_AND_ANSWER, ANSWER_AND_ECHO, ACTIONS };

static unsigned seed;
static enum action actions[64];
static unsigned told_count;

static unsigned any(unsigned bound)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % bound;
}

static void act(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count)
{
    enum action action = actions[told_count++];
    if (action == ANSWER_AND_ECHO)
        send_bytes(FW_WS_TEXT, payload, 5);
    if (action != PASS)
        echo(host, type, bytes, count);
    if (action == ECHO_TWICE)
        echo(host, type, bytes, count);
    if (action == ECHO_AND_ANSWER)
        send_bytes(FW_WS_TEXT, payload, 5);
}

/* Adds a frame to what comes, and what is owed for it to what is wanted. */
static void add_message(unsigned index)
{
    static const size_t sizes[] = {0, 1, 4, 20, 125, 126, 127, 300, 1024, 2048, 5000, 65536};
    size_t size = sizes[any(sizeof sizes / sizeof *sizes)];
    unsigned first = any(2) == 0 ? TEXT : BINARY;
    enum action action = (enum action)any(ACTIONS);
    actions[index] = action;
    ws_stream_frame(&input, first | WS_MASKED, payload, size);
    if (action == ANSWER_AND_ECHO)
        ws_stream_frame(&wanted, TEXT, payload, 5);
    if (action != PASS)
        ws_stream_frame(&wanted, first, payload, size);
    if (action == ECHO_TWICE)
        ws_stream_frame(&wanted, first, payload, size);
    if (action == ECHO_AND_ANSWER)
        ws_stream_frame(&wanted, TEXT, payload, 5);
}

static void add_ping(void)
{
    ws_stream_text(&input, PING | WS_MASKED, "there?");
    ws_stream_text(&wanted, PONG, "there?");
}

/* One turn of up to 12 messages and pings, cut once, with memory that may be kept or not. */
static void play(unsigned round)
{
    input.bytes_count = 0;
    wanted.bytes_count = 0;
    told_count = 0;
    unsigned messages = 1 + any(12);
    for (unsigned i = 0; i < messages; i++) {
        add_message(i);
        if (any(5) == 0)
            add_ping();
    }
    size_t cut = any(3) == 0 ? any((unsigned)input.bytes_count) : 0;
    fake_host_forget(&fake);
    fake.keeps = any(4) != 0;
    fake_host_receive(&fake, input.bytes, cut);
    fake.keeps = any(4) != 0;
    fake_host_receive(&fake, input.bytes + cut, input.bytes_count - cut);
    expect_wanted("round", round);
    cr_assert_eq(told_count, messages, "round %u", round);
}

Test(ws_session_echo, is_byte_for_byte_among_pings_answers_and_messages_without)
{
    fake.on_message = act;
    for (unsigned round = 0; round < 2000; round++) {
        seed = round;
        play(round);
    }
}
