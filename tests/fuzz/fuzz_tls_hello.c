/* fuzz_tls_hello.c: libFuzzer target of the ClientHello's check (RFC 8446, section 4.1.2).
 *
 * The input is what a client sends first. The oracle: what the octets at hand prove is said at
 * once, and no octet behind changes it, at every cut; a hello that is accepted is accepted as it
 * is, spread over records of any size and with anything behind it, for the same host; the host is
 * made of the characters of names, in lower case. The input ends flush against an unreadable page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_hello.h"
#include "fuzz/target.h"
#include "net/tls/tls_guard.h"
#include "support/guard_buf.h"

#define INPUT_BYTES_MAX (FW_TLS_HELLO_BYTES_MAX + 64)
#define CUTS_MAX        400

struct verdict {
    ssize_t result;
    char host[FW_TLS_HOST_CHARS_MAX + 1];
};

static struct guard_buf guard;

static struct verdict check(const uint8_t *in, size_t count)
{
    struct verdict verdict;
    memset(verdict.host, 'X', sizeof verdict.host);
    verdict.result = fw_tls_hello_check(guard_buf_at_end(&guard, in, count), count, verdict.host);
    return verdict;
}

static void require_host(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";
    const char *end = memchr(host, '\0', FW_TLS_HOST_CHARS_MAX + 1);
    require(end != NULL && strspn(host, allowed) == (size_t)(end - host), "a host's characters");
}

static void require_result(ssize_t result, size_t size)
{
    require(result == 0 || (result > 0 && (size_t)result <= size) || result == FW_ERR_TLS_NOT_TLS ||
                result == FW_ERR_TLS_HELLO || result == FW_ERR_TLS_HELLO_TOO_LARGE ||
                result == FW_ERR_TLS_CIPHER,
            "a result that is documented");
    require(result <= FW_TLS_HELLO_BYTES_MAX, "no hello is larger");
    require(result != 0 || size < FW_TLS_HELLO_BYTES_MAX, "nobody waits for more than may come");
}

/* Until something is said, nothing is; from then on, the same. */
static void check_cuts(const uint8_t *in, size_t size, const struct verdict *whole)
{
    size_t stride = 1 + size / CUTS_MAX;
    bool said = false;
    for (size_t cut = 0; cut < size; cut += stride) {
        struct verdict part = check(in, cut);
        require(!said || part.result == whole->result, "what was said stays");
        said = part.result != 0;
        require(!said || part.result == whole->result, "and is what all of it says");
        require(part.result <= 0 || strcmp(part.host, whole->host) == 0, "for the same host");
        require(whole->result <= 0 || said == (cut >= (size_t)whole->result), "when it is whole");
    }
}

/* The same message in records of `piece` octets, and an octet of something else behind. */
static void check_spread(const uint8_t *in, const struct verdict *whole, size_t piece)
{
    uint8_t message[FW_TLS_HELLO_BYTES_MAX];
    uint8_t spread[8 * FW_TLS_HELLO_BYTES_MAX];
    size_t message_count = 0;
    size_t count = 0;
    for (size_t at = 0; at < (size_t)whole->result;) {
        size_t body = (size_t)in[at + 3] << 8 | in[at + 4];
        memcpy(message + message_count, in + at + FW_TLS_RECORD_HEADER_BYTES, body);
        message_count += body;
        at += FW_TLS_RECORD_HEADER_BYTES + body;
    }
    for (size_t at = 0; at < message_count; at += piece) {
        size_t body = message_count - at < piece ? message_count - at : piece;
        const uint8_t header[] = {FW_TLS_HANDSHAKE_RECORD, 3, 1, (uint8_t)(body >> 8),
                                  (uint8_t)body};
        memcpy(spread + count, header, sizeof header);
        memcpy(spread + count + sizeof header, message + at, body);
        count += sizeof header + body;
    }
    if (count > FW_TLS_HELLO_BYTES_MAX)
        return;
    spread[count] = FW_TLS_ALERT;
    struct verdict again = check(spread, count + 1);
    require(again.result == (ssize_t)count && strcmp(again.host, whole->host) == 0,
            "spread over records");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (guard.map == NULL)
        guard_buf_init(&guard, INPUT_BYTES_MAX + FW_TLS_RECORD_HEADER_BYTES);
    if (size > INPUT_BYTES_MAX)
        return -1;
    struct verdict whole = check(data, size);
    require_result(whole.result, size);
    check_cuts(data, size, &whole);
    if (whole.result <= 0)
        return 0;
    require_host(whole.host);
    check_spread(data, &whole, 1 + hash_of(data, size) % 300);
    check_spread(data, &whole, 16384);
    return 0;
}
