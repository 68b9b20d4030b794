/* fuzz_proxy_header.c: libFuzzer target of the PROXY protocol's version 2.
 *
 * The first octet says how the rest is cut. The oracle: pieces do not change what is read, what is
 * whole has the length that it says, and an address is told only of a client. A crash, a
 * sanitizer's finding or a difference ends the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "proto/proxy_header.h"

/* returns      octets of the header, 0 or an error */
static ssize_t read_pieces(const uint8_t *data, size_t size, size_t piece,
                           struct fw_proxy_client *client)
{
    struct fw_proxy_decoder decoder = {.left = 0};
    for (size_t at = 0; at < size; at += piece) {
        size_t count = size - at < piece ? size - at : piece;
        uint8_t *copy = malloc(count); /* its ends are seen by the sanitizer */
        if (copy == NULL)
            return 0;
        memcpy(copy, data + at, count);
        ssize_t taken = fw_proxy_decode(&decoder, copy, count, client);
        free(copy);
        require(taken <= (ssize_t)count, "no more is taken than there is");
        if (taken != 0)
            return taken < 0 ? taken : (ssize_t)at + taken;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fw_proxy_client whole = {.family = 0};
    struct fw_proxy_client cut = {.family = 0};
    if (size < 2)
        return -1;
    size_t piece = (size_t)data[0] % 64 + 1;
    data++;
    size--;
    ssize_t taken = read_pieces(data, size, size, &whole);
    require(read_pieces(data, size, piece, &cut) == taken, "pieces mean nothing");
    if (taken <= 0)
        return 0;
    require(taken == 16 + (data[14] << 8 | data[15]), "it is as long as it says");
    require(memcmp(&whole, &cut, sizeof whole) == 0, "and says the same");
    bool told = data[12] == 0x21 && (data[13] == 0x11 || data[13] == 0x21);
    require(told == (whole.family != 0), "who it speaks for");
    return 0;
}
