/* fuzz_mask.c: libFuzzer target of the masking kernels (RFC 6455, section 5.3).
 *
 *   octets 0..3  the key
 *   octet 4      alignment of the input
 *   octet 5      alignment of the output
 *   octet 6      seed of the pieces
 *   then         the payload
 *
 * The oracle, for each kernel that this machine has: the octets are those of a loop over octets
 * (simd_reference.h), in place, beside each other, and in pieces that carry the key; the key that
 * comes back is the one for the next octet; nothing before or behind the output is written; the
 * input ends flush against an unreadable page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "proto/cpu.h"
#include "support/guard_buf.h"
#include "support/random.h"
#include "support/simd_reference.h"

#define HEAD_BYTES        7
#define PAYLOAD_BYTES_MAX 4096
#define ALIGNMENT_MAX     64
#define CANARY            0xa5
#define PIECE_BYTES_MAX   200

typedef uint32_t mask_function(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key);

static struct guard_buf in_guard;
static struct guard_buf out_guard;
static uint8_t expected[PAYLOAD_BYTES_MAX];

struct input {
    uint8_t key[4];
    size_t in_alignment;
    size_t out_alignment;
    uint64_t seed;
    const uint8_t *payload;
    size_t bytes;
};

static uint32_t key_at(const uint8_t key[4], size_t octet)
{
    uint8_t turned[4];
    uint32_t word;
    for (size_t i = 0; i < 4; i++)
        turned[i] = key[(octet + i) % 4];
    memcpy(&word, turned, sizeof word);
    return word;
}

static void require_canaries(const uint8_t *from, const uint8_t *to)
{
    for (; from < to; from++)
        require(*from == CANARY, "what is not the output is not written");
}

/* From one buffer into another, whose other octets stay as they were. */
static void check_beside(mask_function *mask, const struct input *input)
{
    const uint8_t *in = guard_buf_at_end(&in_guard, input->payload, input->bytes);
    uint8_t *start = out_guard.pages;
    uint8_t *end = start + out_guard.pages_bytes;
    uint8_t *out = start + input->out_alignment;
    memset(start, CANARY, out_guard.pages_bytes);
    uint32_t next = mask(out, in, input->bytes, key_at(input->key, 0));
    require(next == key_at(input->key, input->bytes), "the key that comes back");
    require(memcmp(out, expected, input->bytes) == 0, "beside each other");
    require_canaries(start, out);
    require_canaries(out + input->bytes, end);
}

/* In place, at an alignment and at either end of the pages; twice is nothing. */
static void check_in_place(mask_function *mask, const struct input *input)
{
    uint8_t *places[] = {
        guard_buf_at_start(&in_guard, NULL, input->bytes) + input->in_alignment,
        guard_buf_at_start(&in_guard, NULL, input->bytes),
        guard_buf_at_end(&in_guard, NULL, input->bytes),
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        memcpy(places[i], input->payload, input->bytes);
        mask(places[i], places[i], input->bytes, key_at(input->key, 0));
        require(memcmp(places[i], expected, input->bytes) == 0, "in place");
        mask(places[i], places[i], input->bytes, key_at(input->key, 0));
        require(memcmp(places[i], input->payload, input->bytes) == 0, "masked twice");
    }
}

static void check_pieces(mask_function *mask, const struct input *input)
{
    uint64_t seed = input->seed;
    uint8_t *at = guard_buf_at_end(&in_guard, input->payload, input->bytes);
    uint32_t key = key_at(input->key, 0);
    for (size_t from = 0; from < input->bytes;) {
        size_t count = (size_t)(random_next(&seed) >> 32) % PIECE_BYTES_MAX;
        count = input->bytes - from < count ? input->bytes - from : count;
        key = mask(at + from, at + from, count, key);
        from += count;
        require(key == key_at(input->key, from), "the key between two pieces");
    }
    require(memcmp(at, expected, input->bytes) == 0, "in pieces");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t variants_count;
    const struct fw_simd_variant *variants = fw_simd_variants(&variants_count);
    if (in_guard.map == NULL) {
        guard_buf_init(&in_guard, PAYLOAD_BYTES_MAX + ALIGNMENT_MAX);
        guard_buf_init(&out_guard, PAYLOAD_BYTES_MAX + ALIGNMENT_MAX);
    }
    if (size < HEAD_BYTES || size - HEAD_BYTES > PAYLOAD_BYTES_MAX)
        return -1;
    struct input input = {.in_alignment = data[4] % ALIGNMENT_MAX,
                          .out_alignment = data[5] % ALIGNMENT_MAX,
                          .seed = 1u + data[6],
                          .payload = data + HEAD_BYTES,
                          .bytes = size - HEAD_BYTES};
    memcpy(input.key, data, sizeof input.key);
    reference_mask(expected, input.payload, input.bytes, input.key);
    for (size_t i = 0; i < variants_count; i++) {
        if (!variants[i].supported())
            continue;
        check_beside(variants[i].mask, &input);
        check_in_place(variants[i].mask, &input);
        check_pieces(variants[i].mask, &input);
    }
    return 0;
}
