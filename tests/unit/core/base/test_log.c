/* test_log.c: log lines: their rate, and what strangers' octets look like (core/base/log.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- quoting --------------------------------------------------------------------------------- */

static const char *quoted(const char *in)
{
    static char out[2048];
    return fw_log_quote(fw_bytes_of(in), out, sizeof out);
}

Test(log_quote, leaves_printable_ascii_as_it_is)
{
    cr_assert_str_eq(quoted("/topics/a.b-c_d:1?x"), "\"/topics/a.b-c_d:1?x\"");
    cr_assert_str_eq(quoted(""), "\"\"");
}

/* SECURITY.md, logs: no octet that a stranger sends can forge a line or talk to a terminal. */
Test(log_quote, escapes_every_octet_that_is_not_printable_ascii_and_the_two_that_quote)
{
    for (unsigned c = 0; c < 256; c++) {
        char out[16];
        char wanted[16];
        uint8_t octet = (uint8_t)c;
        fw_log_quote((struct fw_bytes){&octet, 1}, out, sizeof out);
        bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        snprintf(wanted, sizeof wanted, plain ? "\"%c\"" : "\"\\x%02x\"", c);
        cr_assert_str_eq(out, wanted, "octet %02x became %s", c, out);
    }
}

Test(log_quote, cuts_after_256_octets_and_says_so)
{
    char in[300];
    memset(in, 'a', sizeof in);
    in[256] = '\0';
    const char *out = quoted(in);
    cr_assert_eq(strlen(out), 258u, "256 octets stand whole in their quotes");
    in[256] = 'a';
    in[257] = '\0';
    out = quoted(in);
    cr_assert_eq(strlen(out), 256u + 2 + 3);
    cr_assert_str_eq(out + 256, "a...\"");
}

/* Every size from the least that is allowed: what is written ends inside it, whatever comes. */
Test(log_quote, never_writes_beyond_its_room)
{
    static const char *inputs[] = {
        "", "a", "ab", "abcdefghijklmnop", "\x01", "\x01\x02\x03", "a\x01z\xff", "\"\\\"\\\"\\"};
    for (size_t room = 8; room < 40; room++) {
        for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
            char *out = malloc(room); /* exactly: a sanitizer sees one octet more */
            cr_assert_eq(fw_log_quote(fw_bytes_of(inputs[i]), out, room), out);
            size_t count = strlen(out);
            cr_assert_lt(count, room);
            cr_assert_eq(out[0], '"');
            cr_assert_eq(out[count - 1], '"');
            free(out);
        }
    }
}

/* ---- lines and their rate -------------------------------------------------------------------- */

struct sink {
    unsigned lines;
    int level;
    char last[FW_LOG_LINE_BYTES_MAX + 1];
    char before_last[FW_LOG_LINE_BYTES_MAX + 1];
};

static void take(void *context, int level, const char *line)
{
    struct sink *sink = context;
    sink->lines++;
    sink->level = level;
    memcpy(sink->before_last, sink->last, sizeof sink->last);
    snprintf(sink->last, sizeof sink->last, "%s", line);
}

Test(log, hands_lines_with_their_level_to_its_sink)
{
    struct sink sink = {0};
    struct fw_log log;
    fw_log_init(&log, take, &sink);
    fw_log(&log, FW_LOG_WARN, "%s is %d", "answer", 42);
    cr_assert_eq(sink.lines, 1u);
    cr_assert_eq(sink.level, FW_LOG_WARN);
    cr_assert_str_eq(sink.last, "answer is 42");
}

Test(log, cuts_a_line_that_is_too_long)
{
    struct sink sink = {0};
    struct fw_log log;
    char text[2 * FW_LOG_LINE_BYTES_MAX];
    fw_log_init(&log, take, &sink);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    fw_log(&log, FW_LOG_INFO, "%s", text);
    cr_assert_eq(strlen(sink.last), (size_t)FW_LOG_LINE_BYTES_MAX - 1);
}

Test(log, without_a_sink_does_nothing)
{
    struct fw_log log;
    fw_log_init(&log, NULL, NULL);
    fw_log(&log, FW_LOG_ERROR, "nobody hears %d", 1);
    fw_log_peer(&log, 1000, FW_LOG_ERROR, "nobody hears %d", 2);
    cr_assert_eq(log.tokens, FW_LOG_BURST, "and nothing is counted");
}

Test(log, suppresses_lines_about_peers_beyond_the_burst_but_never_our_own)
{
    struct sink sink = {0};
    struct fw_log log;
    fw_log_init(&log, take, &sink);
    for (unsigned i = 0; i < 1000; i++)
        fw_log_peer(&log, 5000, FW_LOG_WARN, "peer %u", i);
    cr_assert_eq(sink.lines, FW_LOG_BURST);
    for (unsigned i = 0; i < 100; i++)
        fw_log(&log, FW_LOG_ERROR, "ours %u", i);
    cr_assert_eq(sink.lines, FW_LOG_BURST + 100);
}

Test(log, says_how_many_were_left_out_once_there_is_room_again)
{
    struct sink sink = {0};
    struct fw_log log;
    fw_log_init(&log, take, &sink);
    for (unsigned i = 0; i < FW_LOG_BURST + 7; i++)
        fw_log_peer(&log, 5000, FW_LOG_WARN, "peer %u", i);
    fw_log_peer(&log, 6000, FW_LOG_WARN, "later");
    cr_assert_str_eq(sink.before_last, "7 lines about peers were left out");
    cr_assert_str_eq(sink.last, "later");
    fw_log_peer(&log, 6000, FW_LOG_WARN, "and on");
    cr_assert_str_eq(sink.before_last, "later", "it is said once");
}

Test(log, lets_ten_lines_about_peers_through_each_second)
{
    struct sink sink = {0};
    struct fw_log log;
    fw_log_init(&log, take, &sink);
    uint64_t now_ms = 1000000;
    for (unsigned i = 0; i < FW_LOG_BURST; i++)
        fw_log_peer(&log, now_ms, FW_LOG_WARN, "burst");
    sink.lines = 0;
    unsigned announced = 0;
    for (unsigned ms = 0; ms < 60000; ms++) {
        unsigned before = sink.lines;
        fw_log_peer(&log, now_ms + ms, FW_LOG_WARN, "flood");
        announced += sink.lines - before == 2;
    }
    unsigned lines = sink.lines - announced;
    cr_assert_leq(lines, 60 * FW_LOG_PER_SECOND);
    cr_assert_geq(lines, 60 * FW_LOG_PER_SECOND - 1);
}

Test(log, saves_no_more_than_a_burst_in_a_long_silence)
{
    struct sink sink = {0};
    struct fw_log log;
    fw_log_init(&log, take, &sink);
    fw_log_peer(&log, 1000, FW_LOG_WARN, "first");
    sink.lines = 0;
    for (unsigned i = 0; i < 1000; i++)
        fw_log_peer(&log, 1000 + 86400000, FW_LOG_WARN, "next day");
    cr_assert_eq(sink.lines, FW_LOG_BURST);
}
