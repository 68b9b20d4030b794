/* test_ws_frame.c: frame headers, bytes to struct and back (RFC 6455, section 5.2).
 *
 * Every input stands flush against an unreadable page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_frame.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct guard_buf guard;

static void set_up(void)
{
    guard_buf_init(&guard, FW_WS_HEADER_BYTES_MAX);
}

static void tear_down(void)
{
    guard_buf_clear(&guard);
}

TestSuite(ws_header_decode, .init = set_up, .fini = tear_down);
TestSuite(ws_header_encode, .init = set_up, .fini = tear_down);

static ssize_t decode(const void *in, size_t in_bytes, struct fw_ws_header *header_out)
{
    return fw_ws_header_decode(guard_buf_at_end(&guard, in, in_bytes), in_bytes, header_out);
}

/* The payload lengths at the edges of the three forms (RFC 6455, section 5.2). */
static const uint64_t edge_lengths[] = {
    0,          1,          124,        125,        126,        127,           255,
    256,        65534,      65535,      65536,      65537,      1u << 24,      0x7fffffff,
    0x80000000, 0xffffffff, 1ull << 32, 1ull << 48, 1ull << 62, INT64_MAX - 1, INT64_MAX,
};

static const uint8_t opcodes[] = {FW_WS_CONTINUATION, FW_WS_TEXT, FW_WS_BINARY,
                                  FW_WS_CLOSE,        FW_WS_PING, FW_WS_PONG};

Test(ws_header_decode, reads_the_examples_of_the_rfc)
{
    /* RFC 6455, section 5.7 */
    static const struct {
        const char *in;
        size_t in_bytes;
        ssize_t bytes;
        struct fw_ws_header header;
    } cases[] = {
        {"\x81\x05", 2, 2, {.payload_bytes = 5, .opcode = 1, .fin = true}},
        {"\x81\x85\x37\xfa\x21\x3d", 6, 6, {5, 0, 1, 0, true, true}},
        {"\x01\x03", 2, 2, {.payload_bytes = 3, .opcode = 1}},
        {"\x80\x02", 2, 2, {.payload_bytes = 2, .opcode = 0, .fin = true}},
        {"\x89\x05", 2, 2, {.payload_bytes = 5, .opcode = 9, .fin = true}},
        {"\x8a\x85\x37\xfa\x21\x3d", 6, 6, {5, 0, 0xa, 0, true, true}},
        {"\x82\x7e\x01\x00", 4, 4, {.payload_bytes = 256, .opcode = 2, .fin = true}},
        {"\x82\x7f\0\0\0\0\0\1\0\0", 10, 10, {.payload_bytes = 65536, .opcode = 2, .fin = true}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fw_ws_header header;
        cr_expect_eq(decode(cases[i].in, cases[i].in_bytes, &header), cases[i].bytes, "%zu", i);
        cr_expect_eq(header.payload_bytes, cases[i].header.payload_bytes, "%zu", i);
        cr_expect_eq(header.opcode, cases[i].header.opcode, "%zu", i);
        cr_expect_eq(header.fin, cases[i].header.fin, "%zu", i);
        cr_expect_eq(header.masked, cases[i].header.masked, "%zu", i);
        cr_expect_eq(header.rsv, 0, "%zu", i);
        if (header.masked)
            cr_expect_arr_eq(&header.key, "\x37\xfa\x21\x3d", 4, "%zu", i);
    }
}

Test(ws_header_decode, leaves_payload_behind_the_header_alone)
{
    /* RFC 6455, section 5.2: the header ends where the payload begins. */
    struct fw_ws_header header;
    cr_expect_eq(decode("\x81\x05Hello", 7, &header), 2);
    cr_expect_eq(decode("\x81\x85\1\2\3\4Hello", 11, &header), 6);
}

Test(ws_header_decode, judges_every_first_octet)
{
    /* RFC 6455, sections 5.2, 5.4, 5.5: opcodes 3 to 7 and b to f are reserved; control frames are
     * never fragmented. Reserved bits are handed out. */
    for (unsigned octet = 0; octet < 256; octet++) {
        uint8_t in[2] = {(uint8_t)octet, 0};
        unsigned opcode = octet & 0x0f;
        bool reserved = (opcode >= 3 && opcode <= 7) || opcode >= 0xb;
        bool fragmented = opcode >= 8 && octet < 0x80;
        int refused = reserved ? FW_ERR_WS_OPCODE : fragmented ? FW_ERR_WS_CONTROL_FRAGMENTED : 0;
        struct fw_ws_header header;
        cr_expect_eq(decode(in, 1, &header), refused, "octet %02x alone", octet);
        cr_expect_eq(decode(in, 2, &header), refused ? refused : 2, "octet %02x", octet);
        if (refused)
            continue;
        cr_expect_eq(header.opcode, opcode);
        cr_expect_eq(header.fin, octet >= 0x80);
        cr_expect_eq(header.rsv, octet & (FW_WS_RSV1 | FW_WS_RSV2 | FW_WS_RSV3));
    }
}

Test(ws_header_decode, needs_more_for_every_cut_header)
{
    /* RFC 6455, section 5.2: 2, 4 or 10 octets, and 4 more with a mask. */
    for (size_t i = 0; i < COUNT(edge_lengths); i++) {
        for (int masked = 0; masked < 2; masked++) {
            struct fw_ws_header in = {.payload_bytes = edge_lengths[i],
                                      .key = masked ? 0x01020304 : 0,
                                      .opcode = FW_WS_BINARY,
                                      .fin = true,
                                      .masked = masked};
            uint8_t bytes[FW_WS_HEADER_BYTES_MAX];
            size_t whole = fw_ws_header_encode(&in, bytes);
            for (size_t cut = 0; cut < whole; cut++) {
                struct fw_ws_header header = {.payload_bytes = 77};
                cr_expect_eq(decode(bytes, cut, &header), 0, "length %" PRIu64, in.payload_bytes);
                cr_expect_eq(header.payload_bytes, 77, "written without success");
            }
        }
    }
}

Test(ws_header_decode, rejects_length_126_form_below_126)
{
    /* RFC 6455, section 5.2: "the minimal number of bytes MUST be used to encode the length" */
    for (unsigned length = 0; length < 65536; length++) {
        uint8_t in[] = {0x82, 126, (uint8_t)(length >> 8), (uint8_t)length};
        struct fw_ws_header header;
        ssize_t expected = length < 126 ? FW_ERR_WS_LENGTH_NOT_MINIMAL : 4;
        cr_assert_eq(decode(in, 4, &header), expected, "length %u", length);
        cr_assert_eq(decode(in, 3, &header), 0, "length %u", length);
    }
}

Test(ws_header_decode, rejects_length_127_form_below_65536_as_soon_as_it_shows)
{
    /* RFC 6455, section 5.2: as above; six zero octets prove it, before the last two have come. */
    static const unsigned lengths[] = {0, 1, 125, 126, 127, 256, 65534, 65535};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        uint8_t in[14] = {0x82, 0xff};
        in[8] = (uint8_t)(lengths[i] >> 8);
        in[9] = (uint8_t)lengths[i];
        struct fw_ws_header header;
        for (size_t cut = 0; cut <= sizeof in; cut++) {
            ssize_t expected = cut < 8 ? 0 : FW_ERR_WS_LENGTH_NOT_MINIMAL;
            cr_expect_eq(decode(in, cut, &header), expected, "length %u cut %zu", lengths[i], cut);
        }
    }
}

Test(ws_header_decode, rejects_the_highest_length_bit_as_soon_as_it_shows)
{
    /* RFC 6455, section 5.2: "the most significant bit MUST be 0" */
    for (unsigned first = 0x80; first < 256; first++) {
        uint8_t in[14] = {0x82, 0xff, (uint8_t)first};
        struct fw_ws_header header;
        for (size_t cut = 0; cut <= sizeof in; cut++) {
            ssize_t expected = cut < 3 ? 0 : FW_ERR_WS_LENGTH_TOO_LARGE;
            cr_expect_eq(decode(in, cut, &header), expected, "octet %02x cut %zu", first, cut);
        }
    }
}

Test(ws_header_decode, rejects_long_control_frames_at_the_second_octet)
{
    /* RFC 6455, section 5.5: "MUST have a payload length of 125 bytes or less" */
    for (uint8_t opcode = FW_WS_CLOSE; opcode <= FW_WS_PONG; opcode++) {
        for (unsigned second = 0; second < 256; second++) {
            uint8_t in[6] = {(uint8_t)(0x80 | opcode), (uint8_t)second};
            struct fw_ws_header header;
            bool too_long = (second & 0x7f) > FW_WS_CONTROL_BYTES_MAX;
            ssize_t whole = second & 0x80 ? 6 : 2;
            cr_expect_eq(decode(in, 2, &header), too_long     ? FW_ERR_WS_CONTROL_TOO_LONG
                                                 : whole == 2 ? 2
                                                              : 0);
            cr_expect_eq(decode(in, 6, &header), too_long ? FW_ERR_WS_CONTROL_TOO_LONG : whole);
        }
    }
}

static void expect_round_trip(const struct fw_ws_header *in)
{
    uint8_t *out = guard_buf_at_end(&guard, NULL, FW_WS_HEADER_BYTES_MAX);
    size_t bytes = fw_ws_header_encode(in, out);
    struct fw_ws_header header;
    cr_assert_eq(bytes, fw_ws_header_bytes(in->payload_bytes, in->masked));
    cr_assert_eq(fw_ws_header_decode(out, bytes, &header), (ssize_t)bytes);
    cr_assert_eq(header.payload_bytes, in->payload_bytes);
    cr_assert_eq(header.key, in->key);
    cr_assert_eq(header.opcode, in->opcode);
    cr_assert_eq(header.rsv, in->rsv);
    cr_assert_eq(header.fin, in->fin);
    cr_assert_eq(header.masked, in->masked);
}

Test(ws_header_encode, is_undone_by_decode)
{
    /* RFC 6455, section 5.2: every opcode, every bit, every length form at its edges. */
    for (size_t o = 0; o < COUNT(opcodes); o++) {
        for (size_t i = 0; i < COUNT(edge_lengths); i++) {
            bool control = opcodes[o] >= FW_WS_CLOSE;
            if (control && edge_lengths[i] > FW_WS_CONTROL_BYTES_MAX)
                continue;
            for (unsigned bits = 0; bits < 32; bits++) {
                struct fw_ws_header header = {.payload_bytes = edge_lengths[i],
                                              .key = bits & 8 ? 0xdeadbe0fu + bits : 0,
                                              .opcode = opcodes[o],
                                              .rsv = (uint8_t)((bits & 7) << 4),
                                              .fin = control || bits & 16,
                                              .masked = bits & 8};
                expect_round_trip(&header);
            }
        }
    }
}

Test(ws_header_encode, uses_the_shortest_form)
{
    /* RFC 6455, section 5.2 */
    static const struct {
        uint64_t payload_bytes;
        size_t bytes;
    } cases[] = {{0, 2},     {125, 2},    {126, 4},          {127, 4},
                 {65535, 4}, {65536, 10}, {0xffffffffu, 10}, {INT64_MAX, 10}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_expect_eq(fw_ws_header_bytes(cases[i].payload_bytes, false), cases[i].bytes);
        cr_expect_eq(fw_ws_header_bytes(cases[i].payload_bytes, true), cases[i].bytes + 4);
    }
}

Test(ws_header_encode, writes_no_octet_beyond_its_count)
{
    /* RFC 6455, section 5.2; here flush against the unreadable page at every size. */
    for (size_t i = 0; i < COUNT(edge_lengths); i++) {
        struct fw_ws_header header = {
            .payload_bytes = edge_lengths[i], .opcode = FW_WS_BINARY, .fin = true};
        size_t bytes = fw_ws_header_bytes(header.payload_bytes, false);
        uint8_t *out = guard_buf_at_end(&guard, NULL, bytes);
        cr_expect_eq(fw_ws_header_encode(&header, out), bytes);
    }
}

Test(ws_header_encode, writes_lengths_big_endian)
{
    /* RFC 6455, section 5.2: "expressed in network byte order" */
    struct fw_ws_header header = {
        .payload_bytes = 0x0102030405060708, .opcode = FW_WS_BINARY, .fin = true};
    uint8_t out[FW_WS_HEADER_BYTES_MAX];
    cr_expect_eq(fw_ws_header_encode(&header, out), 10);
    cr_expect_arr_eq(out, "\x82\x7f\1\2\3\4\5\6\7\10", 10);
}

#define ASSERTS(name, ...)                                                                         \
    Test(ws_header_encode, asserts_##name, .signal = SIGABRT)                                      \
    {                                                                                              \
        struct fw_ws_header header = {__VA_ARGS__};                                                \
        uint8_t out[FW_WS_HEADER_BYTES_MAX];                                                       \
        fw_ws_header_encode(&header, out);                                                         \
    }

/* RFC 6455, sections 5.2 and 5.5: what our own side may never send. */
ASSERTS(a_known_opcode, .opcode = 3, .fin = true)
ASSERTS(an_opcode_of_four_bits, .opcode = 0x12, .fin = true)
ASSERTS(only_reserved_bits_in_rsv, .opcode = FW_WS_TEXT, .rsv = 0x80, .fin = true)
ASSERTS(a_length_of_63_bits, .opcode = FW_WS_BINARY, .fin = true, .payload_bytes = 1ull << 63)
ASSERTS(short_control_frames, .opcode = FW_WS_PING, .fin = true, .payload_bytes = 126)
ASSERTS(whole_control_frames, .opcode = FW_WS_CLOSE, .fin = false)

Test(ws_close_code_valid, knows_every_code_there_is)
{
    /* RFC 6455, section 7.4, and the IANA registry */
    for (unsigned code = 0; code < 65536; code++) {
        bool valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                     (code >= 3000 && code <= 4999);
        cr_expect_eq(fw_ws_close_code_valid(code), valid, "code %u", code);
    }
}

Test(ws_close_code_valid, refuses_the_codes_that_only_stand_in)
{
    /* RFC 6455, section 7.4.1: 1004 reserved; 1005, 1006, 1015 "MUST NOT be set" by an endpoint */
    static const unsigned codes[] = {1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536 + 1000};
    for (size_t i = 0; i < COUNT(codes); i++)
        cr_expect_not(fw_ws_close_code_valid(codes[i]), "code %u", codes[i]);
}
