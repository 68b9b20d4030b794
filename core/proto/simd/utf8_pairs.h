/* utf8_pairs.h: what is wrong with two octets in a row, as three look-ups by nibble.
 *
 * The tables are those of Keiser and Lemire ("Validating UTF-8 in less than one instruction per
 * byte", 2021). Each bit is one class of wrong pair; it survives the AND of the three
 * look-ups (the octet before: high nibble, low nibble; the octet itself: high nibble) where that
 * pair stands. UTF8_TWO_CONTS alone is no mistake yet: whether two continuations in a row are right
 * depends on the octets two and three before (utf8_vectors.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_SIMD_UTF8_PAIRS_H
#define FW_PROTO_SIMD_UTF8_PAIRS_H

#include <stdint.h>

#define UTF8_TOO_SHORT      (1 << 0) /* 11______ 0_______, 11______ 11______ */
#define UTF8_TOO_LONG       (1 << 1) /* 0_______ 10______ */
#define UTF8_OVERLONG_3     (1 << 2) /* 11100000 100_____ */
#define UTF8_TOO_LARGE      (1 << 3) /* 11110100 1001____, 11110100 101_____, 111101_1 and up */
#define UTF8_SURROGATE      (1 << 4) /* 11101101 101_____ */
#define UTF8_OVERLONG_2     (1 << 5) /* 1100000_ 10______ */
#define UTF8_TOO_LARGE_1000 (1 << 6) /* 111101_1 1000____ and up */
#define UTF8_OVERLONG_4     (1 << 6) /* 11110000 1000____ */
#define UTF8_TWO_CONTS      (1 << 7) /* 10______ 10______ */
#define UTF8_CARRY          (UTF8_TOO_SHORT | UTF8_TOO_LONG | UTF8_TWO_CONTS)

/* By the high nibble of the octet before. */
static const uint8_t utf8_before_high[16] = {
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TWO_CONTS,
    UTF8_TWO_CONTS,
    UTF8_TWO_CONTS,
    UTF8_TWO_CONTS,
    UTF8_TOO_SHORT | UTF8_OVERLONG_2,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT | UTF8_OVERLONG_3 | UTF8_SURROGATE,
    UTF8_TOO_SHORT | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000 | UTF8_OVERLONG_4,
};

/* By the low nibble of the octet before. */
static const uint8_t utf8_before_low[16] = {
    UTF8_CARRY | UTF8_OVERLONG_2 | UTF8_OVERLONG_3 | UTF8_OVERLONG_4,
    UTF8_CARRY | UTF8_OVERLONG_2,
    UTF8_CARRY,
    UTF8_CARRY,
    UTF8_CARRY | UTF8_TOO_LARGE,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000 | UTF8_SURROGATE,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_1000,
};

/* By the high nibble of the octet itself. */
#define UTF8_CONT (UTF8_TOO_LONG | UTF8_OVERLONG_2 | UTF8_TWO_CONTS)
static const uint8_t utf8_self_high[16] = {
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_CONT | UTF8_OVERLONG_3 | UTF8_TOO_LARGE_1000 | UTF8_OVERLONG_4,
    UTF8_CONT | UTF8_OVERLONG_3 | UTF8_TOO_LARGE,
    UTF8_CONT | UTF8_SURROGATE | UTF8_TOO_LARGE,
    UTF8_CONT | UTF8_SURROGATE | UTF8_TOO_LARGE,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
};

/* The most that each of a vector's last octets may be without beginning a code point that goes on
 * in the next vector; a kernel loads the last octets of this, as many as its vector has. */
static const uint8_t utf8_last_max[64] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,  255,  255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,  255,  255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,  255,  255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0xef, 0xdf, 0xbf,
};

#endif
