/* fuzz_ws_handshake.c: libFuzzer target of the opening handshake, both sides (RFC 6455, section 4).
 *
 * The input is a head as it comes off the wire, a request or a response. The oracle: a request that
 * is accepted is answered with exactly the expected lines, whatever it said, and the answer passes
 * our own client; the input's first 16 octets, taken as a key, pass through both sides; walking an
 * extension list with and without its parameters ends the same. A crash, a sanitizer's finding or a
 * difference ends the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "fanwire/status.h"
#include "proto/ws_handshake.h"

#define PROTOCOL   "feed.v1"
#define EXTENSIONS "permessage-deflate; server_no_context_takeover"

/* The answer may hold nothing but these lines, in this order. */
static void require_answer(const char *accept, const char *protocol, const char *out, size_t bytes)
{
    char expected[512];
    int chars =
        snprintf(expected, sizeof expected,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n"
                 "%s%s%sSec-WebSocket-Extensions: " EXTENSIONS "\r\n\r\n",
                 FW_WS_ACCEPT_CHARS, accept, protocol != NULL ? "Sec-WebSocket-Protocol: " : "",
                 protocol != NULL ? protocol : "", protocol != NULL ? "\r\n" : "");
    require((size_t)chars == bytes && memcmp(expected, out, bytes) == 0, "the answer's lines");
}

static void serve(const struct fw_http_head *head, const uint8_t *in)
{
    char accept[FW_WS_ACCEPT_CHARS];
    char out[512];
    int result = fw_ws_handshake_check(head, in, accept);
    const char *protocol = fw_ws_handshake_offers(head, in, PROTOCOL) ? PROTOCOL : NULL;
    if (result != 0) {
        require(fw_status_answer(result) >= 400, "a refusal has an HTTP status");
        return;
    }
    for (size_t i = 0; i < sizeof accept; i++)
        require(strchr("+/=", accept[i]) != NULL ||
                    fw_http_token_span((struct fw_bytes){(const uint8_t *)accept + i, 1}) == 1,
                "the accept is base64");
    ssize_t bytes = fw_ws_handshake_accept(accept, protocol, EXTENSIONS, out, sizeof out);
    require(bytes > 0, "room");
    require_answer(accept, protocol, out, (size_t)bytes);
}

/* Our client against our server, the key as given. */
static void shake_hands(const uint8_t key[FW_WS_KEY_BYTES])
{
    struct fw_http_head head;
    struct fw_bytes protocol, extensions;
    char accept[FW_WS_ACCEPT_CHARS];
    char out[512];
    uint8_t *in = (uint8_t *)out;
    ssize_t bytes =
        fw_ws_handshake_request("a", "/", key, PROTOCOL, EXTENSIONS, NULL, out, sizeof out);
    fw_http_head_init(&head);
    require(bytes > 0 && fw_http_request_parse(&head, in, (size_t)bytes) == bytes, "request");
    require(fw_ws_handshake_check(&head, in, accept) == 0, "our request");
    bytes = fw_ws_handshake_accept(accept, PROTOCOL, EXTENSIONS, out, sizeof out);
    fw_http_head_init(&head);
    require(bytes > 0 && fw_http_response_parse(&head, in, (size_t)bytes) == bytes, "response");
    require(head.headers_count == 5, "exactly these headers");
    require(fw_ws_handshake_verify(&head, in, key, PROTOCOL, true, &protocol, &extensions) == 0,
            "our response");
}

/* Walks a list to its end, with the parameters or past them. */
static int walk(struct fw_bytes value, bool params)
{
    struct fw_ws_extension_reader reader;
    struct fw_ws_extension_param param;
    struct fw_bytes name;
    int more;
    fw_ws_extension_begin(&reader, value);
    while ((more = fw_ws_extension_next(&reader, &name)) > 0) {
        require(name.count > 0 && fw_http_token_span(name) == name.count, "an extension's name");
        while (params && fw_ws_extension_param_next(&reader, &param) > 0) {
            require(fw_http_token_span(param.name) == param.name.count, "a parameter's name");
            require(param.has_value == (param.value.count > 0), "a value has octets");
        }
    }
    require(reader.tokens <= FW_WS_LIST_TOKENS_MAX, "tokens");
    return more;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fw_http_head head;
    struct fw_bytes protocol, extensions;
    uint8_t key[FW_WS_KEY_BYTES] = {0};
    memcpy(key, data, size < sizeof key ? size : sizeof key);
    fw_http_head_init(&head);
    if (fw_http_request_parse(&head, data, size) > 0)
        serve(&head, data);
    fw_http_head_init(&head);
    if (fw_http_response_parse(&head, data, size) > 0)
        fw_ws_handshake_verify(&head, data, key, PROTOCOL, true, &protocol, &extensions);
    struct fw_bytes list = {data, size};
    require(walk(list, true) == walk(list, false), "parameters do not change the verdict");
    shake_hands(key);
    return 0;
}
