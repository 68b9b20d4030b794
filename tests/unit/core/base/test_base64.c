/* test_base64.c: base64url without padding, base64 with (core/base/base64.h; RFC 4648, sections 4,
 * 5, 10).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/base64.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static const struct {
    const char *octets;
    const char *text;
} rows[] = {{"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
            {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};

Test(base64url, is_written_and_read_as_in_rfc_4648)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[16] = {0};
        uint8_t octets[16];
        size_t count = strlen(rows[i].octets);
        cr_assert_eq(fw_base64url_encode(fw_bytes_of(rows[i].octets), text), strlen(rows[i].text));
        cr_assert_str_eq(text, rows[i].text);
        cr_assert_eq(FW_BASE64URL_CHARS(count), strlen(rows[i].text));
        cr_assert_eq(fw_base64url_decode(fw_bytes_of(rows[i].text), octets, count), (ssize_t)count);
        cr_assert_eq(memcmp(octets, rows[i].octets, count), 0);
    }
}

Test(base64url, round_trips_every_length_between_unreadable_pages)
{
    struct guard_buf in;
    struct guard_buf out;
    uint8_t octets[256];
    char text[FW_BASE64URL_CHARS(256)];
    guard_buf_init(&in, 1024);
    guard_buf_init(&out, 1024);
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(i * 167 + 13);
    for (size_t count = 0; count <= sizeof octets; count++) {
        size_t chars = fw_base64url_encode((struct fw_bytes){octets, count}, text);
        struct fw_bytes flush = {guard_buf_at_end(&in, text, chars), chars};
        uint8_t *back = guard_buf_at_end(&out, NULL, count);
        cr_assert_eq(fw_base64url_decode(flush, back, count), (ssize_t)count);
        cr_assert_eq(memcmp(back, octets, count), 0);
    }
    guard_buf_clear(&in);
    guard_buf_clear(&out);
}

Test(base64url, refuses_every_other_character)
{
    for (unsigned c = 0; c < 256; c++) {
        bool is_ours = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_';
        uint8_t out[3];
        uint8_t text[4] = {'A', 'A', 'A', 'A'};
        for (unsigned at = 0; at < 4; at++) {
            text[at] = (uint8_t)c;
            cr_assert_eq(fw_base64url_decode((struct fw_bytes){text, 4}, out, 3),
                         is_ours ? 3 : -EINVAL, "octet %u", c);
            text[at] = 'A';
        }
    }
}

Test(base64url, refuses_padding_spare_bits_lone_characters_and_too_little_room)
{
    static const char *const texts[] = {"A", "Zg==", "Zg=", "Zh", "Zm9", "AAAAA", "Zm9v="};
    uint8_t out[16];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_eq(fw_base64url_decode(fw_bytes_of(texts[i]), out, sizeof out), -EINVAL, "%s",
                     texts[i]);
    cr_assert_eq(fw_base64url_decode(fw_bytes_of("Zm9v"), out, 2), -EINVAL);
}

static const struct {
    const char *octets;
    const char *text;
} padded[] = {{"", ""},
              {"f", "Zg=="},
              {"fo", "Zm8="},
              {"foo", "Zm9v"},
              {"foob", "Zm9vYg=="},
              {"fooba", "Zm9vYmE="},
              {"foobar", "Zm9vYmFy"},
              {"\xfb\xff", "+/8="}};

Test(base64, is_written_as_in_rfc_4648)
{
    for (size_t i = 0; i < sizeof padded / sizeof *padded; i++) {
        char text[16] = {0};
        size_t octets_count = strlen(padded[i].octets);
        size_t count = fw_base64_encode(fw_bytes_of(padded[i].octets), text);
        cr_assert_eq(count, strlen(padded[i].text));
        cr_assert_eq(count, FW_BASE64_CHARS(octets_count));
        cr_assert_str_eq(text, padded[i].text);
        cr_assert(fw_base64_is_of(fw_bytes_of(text), octets_count));
        for (size_t other = 0; other < 8; other++)
            cr_assert_eq(fw_base64_is_of(fw_bytes_of(text), other), other == octets_count,
                         "'%s' of %zu octets", text, other);
    }
}

Test(base64, of_a_text_is_the_canonical_one_only)
{
    for (unsigned at = 0; at < 4; at++) {
        for (unsigned c = 0; c < 256; c++) {
            char text[5] = "AA==";
            text[at] = (char)c;
            bool is_digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                            (c >= '0' && c <= '9') || c == '+' || c == '/';
            bool is_good = at == 0   ? is_digit
                           : at == 1 ? c == 'A' || c == 'Q' || c == 'g' || c == 'w'
                                     : c == '=';
            cr_assert_eq(fw_base64_is_of((struct fw_bytes){(const uint8_t *)text, 4}, 1), is_good,
                         "octet %u of 0x%02x", at, c);
        }
    }
}
