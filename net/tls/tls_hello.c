/* tls_hello.c: is it a ClientHello, is it whole, and for whom.
 *
 *      handshake header   type 1, length (3)
 *      legacy_version (2), random (32)
 *      legacy_session_id            length (1), at most 32
 *      cipher_suites                length (2), even, not empty
 *      legacy_compression_methods   length (1), not empty
 *      extensions                   length (2): type (2), length (2), data; may be missing in
 * TLS 1.2
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_hello.h"
#include "net/tls/tls_guard.h"

#define HANDSHAKE_HEADER_BYTES 4
#define CLIENT_HELLO           1
#define SERVER_NAME            0 /* the extension, and in it the type host_name */
#define SUPPORTED_GROUPS       10

/* RFC 8446, section 4.2.7; those that tls_context.c lists. */
#define GROUP_P256   23
#define GROUP_P384   24
#define GROUP_X25519 29

/* A piece of the hello that is read from the front. Reading past its end makes it bad for good, so
 * that only the end of the reading must be checked. */
struct reader {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static struct reader take(struct reader *from, size_t bytes)
{
    if (from->bad || bytes > from->left) {
        from->bad = true;
        return (struct reader){.bad = true};
    }
    struct reader piece = {from->at, bytes, false};
    from->at += bytes;
    from->left -= bytes;
    return piece;
}

static size_t take_number(struct reader *from, size_t bytes)
{
    struct reader piece = take(from, bytes);
    size_t number = 0;
    for (size_t i = 0; i < piece.left; i++)
        number = number << 8 | piece.at[i];
    return number;
}

/* A piece with its own length, of `length_bytes`, in front. */
static struct reader take_counted(struct reader *from, size_t length_bytes)
{
    return take(from, take_number(from, length_bytes));
}

static bool is_host_character(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* What could not be a name of ours (an address, UTF-8) chooses nothing, and is no error: the peer
 * gets the first certificate and decides. */
static void read_host(struct reader name, char *host_out)
{
    if (name.left > FW_TLS_HOST_CHARS_MAX)
        return;
    for (size_t i = 0; i < name.left; i++) {
        uint8_t c = fw_ascii_lower(name.at[i]);
        if (!is_host_character(c)) {
            host_out[0] = '\0';
            return;
        }
        host_out[i] = (char)c;
    }
    host_out[name.left] = '\0';
}

static bool read_server_name(struct reader extension, char *host_out)
{
    struct reader list = take_counted(&extension, 2);
    while (!list.bad && list.left > 0) {
        size_t type = take_number(&list, 1);
        struct reader name = take_counted(&list, 2);
        if (!name.bad && type == SERVER_NAME)
            read_host(name, host_out);
    }
    return !list.bad && !extension.bad && extension.left == 0;
}

/* Whether the peer names a group of ours. Asked here because wolfSSL, when there is none, goes on
 * and answers with one that was not offered. */
static bool has_our_group(struct reader extension)
{
    struct reader list = take_counted(&extension, 2);
    while (!list.bad && list.left > 0) {
        size_t group = take_number(&list, 2);
        if (group == GROUP_X25519 || group == GROUP_P256 || group == GROUP_P384)
            return true;
    }
    return false;
}

static int read_extensions(struct reader extensions, char *host_out)
{
    while (!extensions.bad && extensions.left > 0) {
        size_t type = take_number(&extensions, 2);
        struct reader extension = take_counted(&extensions, 2);
        if (extension.bad)
            break;
        if (type == SERVER_NAME && !read_server_name(extension, host_out))
            return FW_ERR_TLS_HELLO;
        if (type == SUPPORTED_GROUPS && !has_our_group(extension))
            return FW_ERR_TLS_CIPHER;
    }
    return extensions.bad ? FW_ERR_TLS_HELLO : 0;
}

static int read_hello(const uint8_t *message, size_t message_bytes, char *host_out)
{
    struct reader hello = {message, message_bytes, false};
    take(&hello, HANDSHAKE_HEADER_BYTES + 2 + 32);
    struct reader session_id = take_counted(&hello, 1);
    struct reader suites = take_counted(&hello, 2);
    struct reader compressions = take_counted(&hello, 1);
    host_out[0] = '\0';
    if (hello.bad || session_id.left > 32 || suites.left == 0 || suites.left % 2 != 0 ||
        compressions.left == 0)
        return FW_ERR_TLS_HELLO;
    if (hello.left == 0)
        return 0;
    struct reader extensions = take_counted(&hello, 2);
    return hello.bad || hello.left > 0 ? FW_ERR_TLS_HELLO : read_extensions(extensions, host_out);
}

/* Checks one record header, as far as it is there. 1 when it is whole. */
static int check_header(const uint8_t *in, size_t in_bytes)
{
    if (in_bytes > 0 && in[0] != FW_TLS_HANDSHAKE_RECORD)
        return FW_ERR_TLS_NOT_TLS;
    if (in_bytes > 1 && in[1] != 3)
        return FW_ERR_TLS_NOT_TLS;
    if (in_bytes < FW_TLS_RECORD_HEADER_BYTES)
        return 0;
    size_t body_bytes = (size_t)in[3] << 8 | in[4];
    if (body_bytes == 0)
        return FW_ERR_TLS_HELLO;
    if (body_bytes > FW_TLS_HELLO_BYTES_MAX - FW_TLS_RECORD_HEADER_BYTES)
        return FW_ERR_TLS_HELLO_TOO_LARGE;
    return 1;
}

/* The length of the handshake message from what there is of it: 0 when that cannot be told yet. */
static ssize_t message_length(const uint8_t *message, size_t message_bytes)
{
    if (message_bytes > 0 && message[0] != CLIENT_HELLO)
        return FW_ERR_TLS_HELLO;
    if (message_bytes < HANDSHAKE_HEADER_BYTES)
        return 0;
    size_t length = (size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3];
    if (length > FW_TLS_HELLO_BYTES_MAX)
        return FW_ERR_TLS_HELLO_TOO_LARGE;
    return (ssize_t)(HANDSHAKE_HEADER_BYTES + length);
}

ssize_t fw_tls_hello_check(const uint8_t *in, size_t in_bytes,
                           char host_out[FW_TLS_HOST_CHARS_MAX + 1])
{
    uint8_t message[FW_TLS_HELLO_BYTES_MAX];
    size_t message_bytes = 0;
    size_t at = 0;
    for (;;) {
        int whole = check_header(in + at, in_bytes - at);
        if (whole <= 0)
            return whole;
        size_t body_bytes = (size_t)in[at + 3] << 8 | in[at + 4];
        at += FW_TLS_RECORD_HEADER_BYTES;
        if (at + body_bytes > FW_TLS_HELLO_BYTES_MAX)
            return FW_ERR_TLS_HELLO_TOO_LARGE;

        size_t here = body_bytes < in_bytes - at ? body_bytes : in_bytes - at;
        memcpy(message + message_bytes, in + at, here);
        message_bytes += here;
        ssize_t length = message_length(message, message_bytes);
        if (length < 0)
            return length;
        if (here < body_bytes)
            return 0;
        at += body_bytes;
        if (length == 0 || message_bytes < (size_t)length)
            continue;
        /* Nothing else may share the record: keys have not changed yet, but nobody may speak. */
        if (message_bytes > (size_t)length)
            return FW_ERR_TLS_HELLO;
        int status = read_hello(message, message_bytes, host_out);
        return status != 0 ? status : (ssize_t)at;
    }
}
