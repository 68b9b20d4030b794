/* fuzz_ws_url.c: libFuzzer target of URLs (RFC 6455, section 3).
 *
 * The oracle: what is accepted makes a request that our own parser takes, with that host and
 * target; and written again as a URL it means the same. A crash, a sanitizer's finding or a
 * difference ends the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "proto/ws_handshake.h"
#include "proto/ws_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[FW_WS_KEY_BYTES];
    char text[FW_WS_URL_BYTES_MAX + 16];
    char again[2 * sizeof text];
    char request[FW_HTTP_HEAD_BYTES_MAX];
    struct fw_ws_url url;
    struct fw_ws_url same;
    struct fw_http_head head;
    if (size >= sizeof text)
        return -1;
    memcpy(text, data, size);
    text[size] = '\0';
    if (fw_ws_url_parse(text, &url) != 0)
        return 0;
    ssize_t bytes = fw_ws_handshake_request(url.host, url.target, key, NULL, NULL, NULL, request,
                                            sizeof request);
    require(bytes > 0, "a URL makes a request");
    fw_http_head_init(&head);
    require(fw_http_request_parse(&head, (const uint8_t *)request, (size_t)bytes) == bytes,
            "which is well-formed");
    require(fw_bytes_equal(fw_http_bytes((const uint8_t *)request, head.target),
                           fw_bytes_of(url.target)),
            "and has its target");
    if (url.local)
        snprintf(again, sizeof again, "%s:%s", url.address, url.target);
    else
        snprintf(again, sizeof again, "%s%s%s", url.secure ? "wss://" : "ws://", url.address,
                 url.target);
    if (strlen(again) > FW_WS_URL_BYTES_MAX) /* a port that was not written makes it longer */
        return 0;
    require(fw_ws_url_parse(again, &same) == 0 && strcmp(same.address, url.address) == 0 &&
                strcmp(same.target, url.target) == 0 && same.local == url.local,
            "it means the same when it is written again");
    return 0;
}
