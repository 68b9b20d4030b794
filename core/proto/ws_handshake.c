/* ws_handshake.c: the opening handshake of RFC 6455, section 4, both sides.
 *
 * Heads are parsed by http1.c; this file judges what they say and writes the answers. SHA-1 and
 * base64 are wolfCrypt's. Only our own constants and base64 are ever written into a response, so
 * that nothing a peer sent can split it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/ws_handshake.h"

#include "base/base64.h"
#include "base/check.h"
#include "fanwire/status.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/sha.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

#if !defined(WOLFSSL_BASE64_ENCODE) || defined(NO_SHA)
#error "this wolfSSL was configured without --enable-base64encode or --enable-sha"
#endif

/* RFC 6455, section 1.3. */
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#define GUID_CHARS (sizeof GUID - 1)

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct fw_bytes skip(struct fw_bytes bytes, size_t count)
{
    return (struct fw_bytes){bytes.at + count, bytes.count - count};
}

static struct fw_bytes skip_blanks(struct fw_bytes bytes)
{
    while (bytes.count > 0 && is_blank(bytes.at[0]))
        bytes = skip(bytes, 1);
    return bytes;
}

/* Finds a header that may stand there once.
 *
 * returns      its occurrences, 2 for any more than one
 */
static int find_once(const struct fw_http_head *head, const uint8_t *in, const char *name,
                     struct fw_bytes *value_out)
{
    struct fw_bytes second;
    int at = fw_http_find(head, in, name, 0, value_out);
    if (at < 0)
        return 0;
    return fw_http_find(head, in, name, at + 1, &second) < 0 ? 1 : 2;
}

static_assert(FW_BASE64_CHARS(FW_WS_KEY_BYTES) == FW_WS_KEY_CHARS, "a key is 16 octets");
static_assert(FW_BASE64_CHARS(WC_SHA_DIGEST_SIZE) == FW_WS_ACCEPT_CHARS, "RFC 6455, section 4.2.2");

static int hash_accept(const uint8_t key[FW_WS_KEY_CHARS], char accept_out[FW_WS_ACCEPT_CHARS])
{
    uint8_t text[FW_WS_KEY_CHARS + GUID_CHARS];
    uint8_t digest[WC_SHA_DIGEST_SIZE];
    memcpy(text, key, FW_WS_KEY_CHARS);
    memcpy(text + FW_WS_KEY_CHARS, GUID, GUID_CHARS);
    if (wc_ShaHash(text, sizeof text, digest) != 0)
        return -ENOMEM;
    fw_base64_encode((struct fw_bytes){digest, sizeof digest}, accept_out);
    return 0;
}

static void encode_key(const uint8_t key[FW_WS_KEY_BYTES], uint8_t chars_out[FW_WS_KEY_CHARS])
{
    fw_base64_encode((struct fw_bytes){key, FW_WS_KEY_BYTES}, (char *)chars_out);
}

/* Judges the subprotocols of every occurrence as one list. At most FW_WS_LIST_TOKENS_MAX tokens are
 * kept, so that the search for equals stays a bounded number of short comparisons. */
static int check_protocols(const struct fw_http_head *head, const uint8_t *in)
{
    struct fw_bytes tokens[FW_WS_LIST_TOKENS_MAX];
    struct fw_bytes value;
    size_t count = 0;
    size_t bytes = 0;
    int at = -1;
    while ((at = fw_http_find(head, in, "sec-websocket-protocol", at + 1, &value)) >= 0) {
        struct fw_bytes token;
        size_t count_before = count;
        bytes += value.count;
        if (bytes > FW_WS_LIST_BYTES_MAX)
            return FW_ERR_WS_PROTOCOL;
        while (fw_http_list_next(&value, &token)) {
            if (count == FW_WS_LIST_TOKENS_MAX || fw_http_token_span(token) != token.count)
                return FW_ERR_WS_PROTOCOL;
            for (size_t i = 0; i < count; i++) {
                if (fw_bytes_equal(tokens[i], token))
                    return FW_ERR_WS_PROTOCOL;
            }
            tokens[count++] = token;
        }
        if (count == count_before)
            return FW_ERR_WS_PROTOCOL;
    }
    return 0;
}

/* Walks one value to its end.
 *
 * returns      its tokens, at least 1
 * errors       FW_ERR_WS_EXTENSION
 */
static int count_extension_tokens(struct fw_bytes value)
{
    struct fw_ws_extension_reader reader;
    struct fw_bytes name;
    int more;
    fw_ws_extension_begin(&reader, value);
    do
        more = fw_ws_extension_next(&reader, &name);
    while (more > 0);
    return more < 0 || reader.tokens == 0 ? FW_ERR_WS_EXTENSION : reader.tokens;
}

static int check_extensions(const struct fw_http_head *head, const uint8_t *in)
{
    struct fw_bytes value;
    size_t bytes = 0;
    int tokens = 0;
    int at = -1;
    while ((at = fw_http_find(head, in, "sec-websocket-extensions", at + 1, &value)) >= 0) {
        int count = count_extension_tokens(value);
        bytes += value.count;
        tokens += count;
        if (count < 0 || bytes > FW_WS_LIST_BYTES_MAX || tokens > FW_WS_LIST_TOKENS_MAX)
            return FW_ERR_WS_EXTENSION;
    }
    return 0;
}

int fw_ws_handshake_check(const struct fw_http_head *head, const uint8_t *in,
                          char accept_out[FW_WS_ACCEPT_CHARS])
{
    struct fw_bytes value;
    if (head->method != FW_HTTP_GET)
        return FW_ERR_WS_METHOD;
    if (head->minor == 0) /* RFC 9110, section 7.8: Upgrade is ignored in HTTP/1.0 */
        return FW_ERR_HTTP_VERSION;
    if (head->has_length || fw_http_find(head, in, "transfer-encoding", 0, &value) >= 0)
        return FW_ERR_HTTP_BODY_UNEXPECTED;
    if (!head->upgrade || !fw_http_list_has(head, in, "upgrade", "websocket"))
        return FW_ERR_WS_UPGRADE;
    if (find_once(head, in, "sec-websocket-version", &value) != 1 ||
        !fw_bytes_equal(value, fw_bytes_of("13")))
        return FW_ERR_WS_VERSION;
    if (find_once(head, in, "sec-websocket-key", &value) != 1 ||
        !fw_base64_is_of(value, FW_WS_KEY_BYTES))
        return FW_ERR_WS_KEY;
    struct fw_bytes key = value;
    int result = check_protocols(head, in);
    if (result == 0)
        result = check_extensions(head, in);
    if (result == 0)
        result = hash_accept(key.at, accept_out);
    return result;
}

/* Whether a list holds a token, with regard to case. */
static bool list_holds(struct fw_bytes list, struct fw_bytes token)
{
    struct fw_bytes element;
    while (fw_http_list_next(&list, &element)) {
        if (fw_bytes_equal(element, token))
            return true;
    }
    return false;
}

bool fw_ws_handshake_offers(const struct fw_http_head *head, const uint8_t *in,
                            const char *protocol)
{
    struct fw_bytes wanted = fw_bytes_of(protocol);
    struct fw_bytes value;
    int at = -1;
    while ((at = fw_http_find(head, in, "sec-websocket-protocol", at + 1, &value)) >= 0) {
        if (list_holds(value, wanted))
            return true;
    }
    return false;
}

void fw_ws_extension_begin(struct fw_ws_extension_reader *reader, struct fw_bytes value)
{
    *reader = (struct fw_ws_extension_reader){
        .rest = value,
        .failed = value.count > FW_WS_LIST_BYTES_MAX,
    };
}

static int extension_fails(struct fw_ws_extension_reader *reader)
{
    reader->failed = true;
    return FW_ERR_WS_EXTENSION;
}

/* Takes the token at the front of what is unread of the present element. */
static bool take_token(struct fw_ws_extension_reader *reader, struct fw_bytes *token_out)
{
    size_t count = fw_http_token_span(reader->params);
    if (count == 0 || reader->tokens == FW_WS_LIST_TOKENS_MAX)
        return false;
    *token_out = (struct fw_bytes){reader->params.at, count};
    reader->params = skip(reader->params, count);
    reader->tokens++;
    return true;
}

int fw_ws_extension_next(struct fw_ws_extension_reader *reader, struct fw_bytes *name_out)
{
    struct fw_ws_extension_param unread;
    int more;
    do
        more = fw_ws_extension_param_next(reader, &unread);
    while (more > 0);
    if (more < 0)
        return more;
    /* A comma inside quotes cuts the element there, and its quote is then never closed: right, for
     * what stands in the quotes must be a token, which holds no comma. */
    if (!fw_http_list_next(&reader->rest, &reader->params))
        return 0;
    return take_token(reader, name_out) ? 1 : extension_fails(reader);
}

/* Takes a quoted-string, which must read as a token once its backslashes are gone (RFC 6455,
 * section 9.1).
 *
 * returns      the octets between the quotes; none when it is malformed
 */
static struct fw_bytes take_quoted(struct fw_bytes *from)
{
    static const struct fw_bytes malformed = {NULL, 0};
    size_t at = 1;
    while (at < from->count && from->at[at] != '"') {
        if (from->at[at] == '\\')
            at++;
        if (at == from->count || fw_http_token_span((struct fw_bytes){from->at + at, 1}) == 0)
            return malformed;
        at++;
    }
    if (at >= from->count)
        return malformed;
    struct fw_bytes inner = {from->at + 1, at - 1};
    *from = skip(*from, at + 1);
    return inner;
}

static bool take_value(struct fw_bytes *from, struct fw_ws_extension_param *param_out)
{
    param_out->has_value = true;
    param_out->quoted = from->count > 0 && from->at[0] == '"';
    if (param_out->quoted) {
        param_out->value = take_quoted(from);
    } else {
        param_out->value = (struct fw_bytes){from->at, fw_http_token_span(*from)};
        *from = skip(*from, param_out->value.count);
    }
    return param_out->value.count > 0;
}

int fw_ws_extension_param_next(struct fw_ws_extension_reader *reader,
                               struct fw_ws_extension_param *param_out)
{
    if (reader->failed)
        return FW_ERR_WS_EXTENSION;
    reader->params = skip_blanks(reader->params);
    if (reader->params.count == 0)
        return 0;
    if (reader->params.at[0] != ';')
        return extension_fails(reader);
    reader->params = skip_blanks(skip(reader->params, 1));
    *param_out = (struct fw_ws_extension_param){.quoted = false};
    if (!take_token(reader, &param_out->name))
        return extension_fails(reader);
    if (reader->params.count == 0 || reader->params.at[0] != '=')
        return 1;
    reader->params = skip(reader->params, 1);
    return take_value(&reader->params, param_out) ? 1 : extension_fails(reader);
}

/* A head being written; once something did not fit, nothing more is. */
struct writer {
    char *out;
    size_t room;
    size_t used;
    bool full;
};

static void put(struct writer *writer, const char *from, size_t count)
{
    writer->full = writer->full || count > writer->room - writer->used;
    if (writer->full)
        return;
    memcpy(writer->out + writer->used, from, count);
    writer->used += count;
}

static void put_text(struct writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

static void put_header(struct writer *writer, const char *name, const char *value)
{
    if (value == NULL)
        return;
    put_text(writer, name);
    put_text(writer, value);
    put_text(writer, "\r\n");
}

static ssize_t written(const struct writer *writer)
{
    return writer->full ? FW_ERR_LIMIT : (ssize_t)writer->used;
}

/* Whether a string may stand in a line of a head; NULL may. */
static bool is_line_text(const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

ssize_t fw_ws_handshake_accept(const char accept[FW_WS_ACCEPT_CHARS], const char *protocol,
                               const char *extensions, char *out, size_t out_bytes)
{
    struct writer writer = {.out = out, .room = out_bytes};
    fw_assert(is_line_text(protocol) && is_line_text(extensions));
    put_text(&writer, "HTTP/1.1 101 Switching Protocols\r\n"
                      "Upgrade: websocket\r\n"
                      "Connection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: ");
    put(&writer, accept, FW_WS_ACCEPT_CHARS);
    put_text(&writer, "\r\n");
    put_header(&writer, "Sec-WebSocket-Protocol: ", protocol);
    put_header(&writer, "Sec-WebSocket-Extensions: ", extensions);
    put_text(&writer, "\r\n");
    return written(&writer);
}

/* Whether a string is one word of a line: not empty, no space. */
static bool is_word(const char *text)
{
    return *text != '\0' && strchr(text, ' ') == NULL && is_line_text(text);
}

/* Whether a string is whole lines, none of them empty, with CR LF at each end and nowhere else. */
static bool is_header_lines(const char *text)
{
    bool line_empty = true;
    for (; text != NULL && *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\r' && text[1] == '\n' && !line_empty) {
            line_empty = true;
            text++;
        } else if (c < 0x20 || c == 0x7f) {
            return false;
        } else {
            line_empty = false;
        }
    }
    return line_empty;
}

ssize_t fw_ws_handshake_request(const char *host, const char *target,
                                const uint8_t key[FW_WS_KEY_BYTES], const char *protocols,
                                const char *extensions, const char *more_headers, char *out,
                                size_t out_bytes)
{
    struct writer writer = {.out = out, .room = out_bytes};
    uint8_t key_chars[FW_WS_KEY_CHARS];
    if (!is_word(host) || !is_word(target) || target[0] != '/' || !is_line_text(protocols) ||
        !is_line_text(extensions) || !is_header_lines(more_headers))
        return FW_ERR_USAGE;
    encode_key(key, key_chars);
    put_text(&writer, "GET ");
    put_text(&writer, target);
    put_text(&writer, " HTTP/1.1\r\n");
    put_header(&writer, "Host: ", host);
    put_text(&writer, "Upgrade: websocket\r\n"
                      "Connection: Upgrade\r\n"
                      "Sec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: ");
    put(&writer, (const char *)key_chars, FW_WS_KEY_CHARS);
    put_text(&writer, "\r\n");
    put_header(&writer, "Sec-WebSocket-Protocol: ", protocols);
    put_header(&writer, "Sec-WebSocket-Extensions: ", extensions);
    if (more_headers != NULL)
        put_text(&writer, more_headers);
    put_text(&writer, "\r\n");
    return written(&writer);
}

/* Checks Sec-WebSocket-Accept against the key. */
static int verify_accept(const struct fw_http_head *head, const uint8_t *in,
                         const uint8_t key[FW_WS_KEY_BYTES])
{
    uint8_t key_chars[FW_WS_KEY_CHARS];
    char accept[FW_WS_ACCEPT_CHARS];
    struct fw_bytes value;
    encode_key(key, key_chars);
    int result = hash_accept(key_chars, accept);
    if (result != 0)
        return result;
    struct fw_bytes wanted = {(const uint8_t *)accept, FW_WS_ACCEPT_CHARS};
    bool once = find_once(head, in, "sec-websocket-accept", &value) == 1;
    return once && fw_bytes_equal(value, wanted) ? 0 : FW_ERR_WS_ACCEPT;
}

/* Finds the one subprotocol that the server chose; none at all is its right. */
static bool chosen_protocol(const struct fw_http_head *head, const uint8_t *in,
                            const char *protocols, struct fw_bytes *protocol_out)
{
    int count = find_once(head, in, "sec-websocket-protocol", protocol_out);
    return count == 0 ||
           (count == 1 && protocols != NULL && list_holds(fw_bytes_of(protocols), *protocol_out));
}

static bool chosen_extensions(const struct fw_http_head *head, const uint8_t *in, bool offered,
                              struct fw_bytes *extensions_out)
{
    int count = find_once(head, in, "sec-websocket-extensions", extensions_out);
    return count == 0 || (count == 1 && offered && count_extension_tokens(*extensions_out) > 0);
}

int fw_ws_handshake_verify(const struct fw_http_head *head, const uint8_t *in,
                           const uint8_t key[FW_WS_KEY_BYTES], const char *protocols,
                           bool extensions_offered, struct fw_bytes *protocol_out,
                           struct fw_bytes *extensions_out)
{
    struct fw_bytes value;
    *protocol_out = (struct fw_bytes){in, 0};
    *extensions_out = (struct fw_bytes){in, 0};
    if (head->status != 101)
        return FW_ERR_WS_REFUSED;
    if (head->minor == 0 || !head->upgrade || find_once(head, in, "upgrade", &value) != 1 ||
        !fw_bytes_equal_lower(value, "websocket"))
        return FW_ERR_WS_UPGRADE;
    int result = verify_accept(head, in, key);
    if (result != 0)
        return result;
    if (!chosen_protocol(head, in, protocols, protocol_out) ||
        !chosen_extensions(head, in, extensions_offered, extensions_out))
        return FW_ERR_WS_OFFER;
    return 0;
}
