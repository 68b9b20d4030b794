/* fuzz_ws_offer.c: libFuzzer target of the negotiation of permessage-deflate (RFC 7692,
 * section 7.1).
 *
 *   octet 0    bit 0: we may keep contexts; bits 1 to 4: what a client's offer asks for
 *   then       the value of Sec-WebSocket-Extensions, a client's offers or a server's answer
 *
 * The oracle: whatever is agreed on is within the RFC's bounds; an answer of ours is text that
 * names the extension once and that the strict check of a client takes; an offer of ours is always
 * accepted (but for a window of 8 bits, which ours never asks for).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_deflate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "a promise was broken: %s\n", what);
    abort();
}

static void check_agreed(const struct fw_ws_deflate *agreed, unsigned own_least)
{
    if (agreed->own_bits < own_least || agreed->own_bits > 15)
        die("our window");
    if (agreed->peer_bits < 8 || agreed->peer_bits > 15)
        die("the peer's window");
    if (agreed->own_takeover && agreed->own_bits < FW_WS_DEFLATE_OWN_BITS_MIN)
        die("a context that zlib cannot make");
}

/* An answer of ours, taken by a client whose offer said all that the answer answers. */
static void check_answer(const char *answer)
{
    const char *bits = strstr(answer, "server_max_window_bits=");
    struct fw_ws_deflate_offer offer = {
        .server_bits = bits == NULL ? 0 : (uint8_t)atoi(bits + strlen("server_max_window_bits=")),
        .client_bits = 15,
    };
    struct fw_ws_deflate agreed;
    if (strncmp(answer, "permessage-deflate", 18) != 0 || strstr(answer + 1, "permessage") != NULL)
        die("the extension's name");
    for (const char *at = answer; *at != '\0'; at++) {
        if (*at < 0x20 || *at > 0x7e)
            die("the answer is no text");
    }
    struct fw_bytes text = fw_bytes_of(answer);
    if (fw_ws_deflate_verify(text, &offer, &agreed) != 0)
        die("our client does not take our server's answer");
}

static void serve(struct fw_bytes value, bool takeover)
{
    struct fw_ws_deflate agreed;
    char answer[FW_WS_DEFLATE_TEXT_BYTES];
    memset(answer, 'x', sizeof answer);
    int result = fw_ws_deflate_accept(value, takeover, &agreed, answer);
    if (result != 0 && result != 1 && result != FW_ERR_WS_EXTENSION)
        die("a result that nobody documents");
    if (result != 1) {
        if (answer[0] != 'x')
            die("an answer to nothing");
        return;
    }
    if (memchr(answer, '\0', sizeof answer) == NULL)
        die("the answer has no end");
    check_agreed(&agreed, FW_WS_DEFLATE_OWN_BITS_MIN);
    if (!takeover && (agreed.own_takeover || agreed.peer_takeover))
        die("a context that there is no memory for");
    check_answer(answer);
}

static void ask(struct fw_bytes value, unsigned flags)
{
    static const uint8_t bits[] = {0, 9, 12, 15};
    struct fw_ws_deflate_offer offer = {
        .server_bits = bits[flags >> 1 & 3],
        .client_bits = bits[flags >> 3 & 3],
        .server_no_takeover = flags >> 5 & 1,
        .client_no_takeover = flags >> 6 & 1,
    };
    struct fw_ws_deflate agreed;
    char text[FW_WS_DEFLATE_TEXT_BYTES];
    char answer[FW_WS_DEFLATE_TEXT_BYTES];
    int result = fw_ws_deflate_verify(value, &offer, &agreed);
    if (result == 0)
        check_agreed(&agreed, FW_WS_DEFLATE_BITS_MIN);
    else if (result != FW_ERR_WS_OFFER)
        die("a result that nobody documents");
    fw_ws_deflate_offer_write(&offer, text);
    struct fw_bytes offers = fw_bytes_of(text);
    if (fw_ws_deflate_accept(offers, flags & 1, &agreed, answer) != 1 ||
        fw_ws_deflate_verify(fw_bytes_of(answer), &offer, &agreed) != 0)
        die("our two sides do not agree");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint8_t *copy = malloc(size);
    if (copy == NULL)
        die("no memory");
    memcpy(copy, data + 1, size - 1);
    serve((struct fw_bytes){copy, size - 1}, data[0] & 1);
    ask((struct fw_bytes){copy, size - 1}, data[0]);
    free(copy);
    return 0;
}
