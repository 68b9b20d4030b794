/* target.h: what fuzz targets share: an oracle's verdict, blocks of exactly a size, lines.
 *
 * A target is one function that libFuzzer calls with one input (tools/fuzz), and replay.c with each
 * file of its corpus. It aborts when an oracle is wrong; it returns -1 for an input that says
 * nothing, so that the corpus stays small.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run with what is broken, unless it is a fact. */
static inline void require(bool fact, const char *what)
{
    if (fact)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* A copy in a block of exactly its size, where the sanitizer sees a read behind its end; the
 * caller's to free. */
static inline uint8_t *block_of(const void *bytes, size_t count)
{
    uint8_t *block = malloc(count > 0 ? count : 1);
    require(block != NULL, "memory");
    if (count > 0)
        memcpy(block, bytes, count);
    return block;
}

/* The same as a string, with an end; NUL octets end it early. */
static inline char *string_of(struct fw_bytes bytes)
{
    char *string = malloc(bytes.count + 1);
    require(string != NULL, "memory");
    if (bytes.count > 0)
        memcpy(string, bytes.at, bytes.count);
    string[bytes.count] = '\0';
    return string;
}

/* Cuts off what stands before the next `mark`, and the mark; without one, all of it. */
static inline struct fw_bytes cut_at(struct fw_bytes *rest, uint8_t mark)
{
    const uint8_t *end = rest->count == 0 ? NULL : memchr(rest->at, mark, rest->count);
    size_t count = end == NULL ? rest->count : (size_t)(end - rest->at);
    size_t passed = end == NULL ? count : count + 1;
    struct fw_bytes piece = {rest->at, count};
    *rest = (struct fw_bytes){rest->at + passed, rest->count - passed};
    return piece;
}

/* Some number that hangs on every octet (FNV-1a): for cuts that the input's own octets decide. */
static inline uint32_t hash_of(const uint8_t *data, size_t size)
{
    uint32_t value = 2166136261u;
    for (size_t i = 0; i < size; i++)
        value = (value ^ data[i]) * 16777619u;
    return value;
}

#endif
