/* guard_buf.h: memory with an unreadable page on either side, for the inputs of parsers and
 * kernels.
 *
 * A read or write of one octet too many dies of SIGSEGV at the very instruction, with or without a
 * sanitizer (which cannot see into SIMD loads of hand-written kernels as finely). One buffer serves
 * any number of cases: the two functions that place a piece reuse the same pages.
 *
 *     struct guard_buf guard;
 *     guard_buf_init(&guard, 4096);
 *     uint8_t *in = guard_buf_at_end(&guard, "GET /", 5);    in + 5 is the unreadable page
 *     ...
 *     guard_buf_clear(&guard);
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_GUARD_BUF_H
#define TESTS_SUPPORT_GUARD_BUF_H

#include <stddef.h>
#include <stdint.h>

/* The most octets that a piece of the pair below has. */
#define GUARD_PAIR_BYTES_MAX 1024

struct guard_buf {
    uint8_t *map;       /* the unreadable page in front */
    size_t map_bytes;   /* both unreadable pages included */
    uint8_t *pages;     /* what may be read and written */
    size_t pages_bytes; /* a multiple of the page size */
};

/* Maps a buffer for pieces of at most `bytes_max` octets; dies with a message when it cannot. */
void guard_buf_init(struct guard_buf *guard, size_t bytes_max);

/* Unmaps it; pieces placed in it are gone. */
void guard_buf_clear(struct guard_buf *guard);

/* Places a piece so that it ends flush against the unreadable page behind.
 *
 * from         copied; NULL to leave the octets as they are
 * bytes        at most the bytes_max of guard_buf_init; with 0, the address is the unreadable page
 * returns      the piece, writable, valid until the next piece is placed
 */
uint8_t *guard_buf_at_end(struct guard_buf *guard, const void *from, size_t bytes);

/* Places a piece so that it starts right behind the unreadable page in front. */
uint8_t *guard_buf_at_start(struct guard_buf *guard, const void *from, size_t bytes);

/* Two buffers in turns: a parser that kept an address of its last piece is found out. Set-up and
 * tear-down of a suite, whose tests have a process each. */
void guard_pair_init(void);
void guard_pair_clear(void);

/* Places a piece at the end of the buffer that the last piece is not in. */
uint8_t *guard_pair_show(const void *from, size_t bytes);

#endif
