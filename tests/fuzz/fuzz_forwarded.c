/* fuzz_forwarded.c: libFuzzer target of X-Forwarded-For, of Forwarded, and of the proxies that may
 * send them (net/server/forwarded.h).
 *
 *   line 1          prefixes of proxies, with spaces between them
 *   further lines   a header line's value each
 *
 * The oracle: the list of all elements, cut from the left and judged from the right, with prefixes
 * compared bit by bit, names the same client; an accepted prefix holds its own address, any other
 * bits behind it, and no address with one of its bits turned; and written again it is the same.
 * Addresses written as RFC 7239 wants them (section 4: quoted, IPv6 in brackets) name the client
 * that they name in X-Forwarded-For. The lines as they come are read as Forwarded too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/forwarded.h"
#include "fuzz/target.h"

#include <arpa/inet.h>

#define INPUT_BYTES_MAX 2048
#define ELEMENTS_MAX    (INPUT_BYTES_MAX + 1)

/* ---- prefixes -------------------------------------------------------------------------------- */

static bool bit_of(const struct in6_addr *address, unsigned bit)
{
    return address->s6_addr[bit / 8] >> (7 - bit % 8) & 1;
}

static bool is_within(const struct fw_cidr *cidr, const struct in6_addr *address)
{
    for (unsigned bit = 0; bit < cidr->bits; bit++) {
        if (bit_of(&cidr->address, bit) != bit_of(address, bit))
            return false;
    }
    return true;
}

static void check_prefix(const struct fw_cidr *cidr)
{
    const struct fw_proxies one = {.list = {*cidr}, .count = 1};
    char address[INET6_ADDRSTRLEN];
    char text[INET6_ADDRSTRLEN + 8];
    struct fw_cidr again;
    require(cidr->bits <= 128, "bits");
    require(fw_proxies_have(&one, &cidr->address), "its own address");
    for (unsigned bit = 0; bit < 128; bit++) {
        struct in6_addr turned = cidr->address;
        turned.s6_addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        require(bit < cidr->bits || !bit_of(&cidr->address, bit), "nothing behind the prefix");
        require(fw_proxies_have(&one, &turned) == (bit >= cidr->bits), "a turned bit");
    }
    inet_ntop(AF_INET6, &cidr->address, address, sizeof address);
    bool mapped = strchr(address, '.') != NULL && strncmp(address, "::ffff:", 7) == 0;
    snprintf(text, sizeof text, "%s/%u", address, cidr->bits);
    require(fw_cidr_parse(text, &again) && memcmp(&again, cidr, sizeof again) == 0, "again");
    if (!mapped || cidr->bits < 96)
        return;
    snprintf(text, sizeof text, "%s/%u", address + 7, cidr->bits - 96);
    require(fw_cidr_parse(text, &again) && memcmp(&again, cidr, sizeof again) == 0, "as IPv4");
}

static void read_proxies(struct fw_bytes line, struct fw_proxies *proxies)
{
    proxies->count = 0;
    while (line.count > 0 && proxies->count < FW_PROXIES_MAX) {
        char *text = string_of(cut_at(&line, ' '));
        struct fw_cidr cidr = {0};
        if (fw_cidr_parse(text, &cidr)) {
            check_prefix(&cidr);
            proxies->list[proxies->count++] = cidr;
        }
        free(text);
    }
}

/* ---- the other reading ----------------------------------------------------------------------- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct fw_bytes trim(struct fw_bytes text)
{
    for (; text.count > 0 && is_blank(text.at[0]); text.count--)
        text.at++;
    while (text.count > 0 && is_blank(text.at[text.count - 1]))
        text.count--;
    return text;
}

static bool read_address(char *text, struct in6_addr *out)
{
    struct in6_addr six = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    if (inet_pton(AF_INET, text, six.s6_addr + 12) != 1 && inet_pton(AF_INET6, text, &six) != 1)
        return false;
    *out = six;
    return true;
}

/* Nothing, or a colon with up to five digits or with a name of the proxy's own. */
static bool is_port(const char *text)
{
    size_t digits = text[0] == ':' ? strspn(text + 1, "0123456789") : 0;
    return text[0] == '\0' || (text[0] == ':' && text[1] == '_') ||
           (digits >= 1 && digits <= 5 && text[1 + digits] == '\0');
}

/* An address; one with a port is "1.2.3.4:5" or "[::1]:5". */
static bool read_element(struct fw_bytes element, struct in6_addr *out)
{
    char *text = string_of(element);
    char *address = text;
    char *close = strchr(text, ']');
    char *colon = strchr(text, ':');
    bool good = text[0] != '[' || close != NULL;
    if (text[0] == '[' && close != NULL) {
        good = is_port(close + 1);
        *close = '\0';
        address++;
    } else if (colon != NULL && colon == strrchr(text, ':')) {
        good = is_port(colon);
        *colon = '\0';
    }
    good = good && read_address(address, out);
    free(text);
    return good;
}

static bool is_ours(const struct fw_proxies *proxies, const struct in6_addr *address)
{
    bool ours = false;
    for (unsigned i = 0; i < proxies->count; i++)
        ours = ours || is_within(&proxies->list[i], address);
    return ours;
}

/* All elements of all lines; an empty one in front of a line is none (RFC 9110, section 5.6.1). */
static size_t cut_elements(const struct fw_http_head *head, const uint8_t *in,
                           struct fw_bytes *elements)
{
    struct fw_bytes list;
    size_t count = 0;
    int at = -1;
    while ((at = fw_http_find(head, in, "x-forwarded-for", at + 1, &list)) >= 0) {
        bool ends_empty = list.count > 0 && list.at[list.count - 1] == ',';
        for (bool first = true; list.count > 0; first = false) {
            struct fw_bytes element = cut_at(&list, ',');
            if (!first || element.count > 0)
                elements[count++] = trim(element);
        }
        if (ends_empty)
            elements[count++] = (struct fw_bytes){in, 0};
    }
    return count;
}

static bool find_client(const struct fw_proxies *proxies, const struct fw_http_head *head,
                        const uint8_t *in, struct in6_addr *out)
{
    static struct fw_bytes elements[ELEMENTS_MAX];
    size_t count = cut_elements(head, in, elements);
    for (size_t i = count; i-- > 0;) {
        if (!read_element(elements[i], out))
            return false;
        if (!is_ours(proxies, out))
            return true;
    }
    return count > 0;
}

/* Makes the request; 0 when it has too many lines. */
static size_t write_request(const char *name, struct fw_bytes lines, char *out, size_t room)
{
    size_t count = (size_t)snprintf(out, room, "GET / HTTP/1.1\r\nHost: x\r\n");
    while (lines.count > 0 && count < room) {
        struct fw_bytes line = cut_at(&lines, '\n');
        count += (size_t)snprintf(out + count, room - count, "%s: %.*s\r\n", name, (int)line.count,
                                  (const char *)line.at);
    }
    if (count + 3 > room)
        return 0;
    return count + (size_t)snprintf(out + count, room - count, "\r\n");
}

/* The elements as a Forwarded line; 0 when one of them is no address, or there is too little room.
 */
static size_t write_forwarded(const struct fw_http_head *head, const uint8_t *in, char *out,
                              size_t room)
{
    static struct fw_bytes elements[ELEMENTS_MAX];
    size_t elements_count = cut_elements(head, in, elements);
    size_t count = 0;
    for (size_t i = 0; i < elements_count && count < room; i++) {
        struct in6_addr address;
        char text[INET6_ADDRSTRLEN];
        if (!read_element(elements[i], &address))
            return 0;
        inet_ntop(AF_INET6, &address, text, sizeof text);
        count += (size_t)snprintf(out + count, room - count, "%sfor=\"[%s]\"",
                                  i == 0 ? "" : ", by=_x;", text);
    }
    return count < room ? count : 0;
}

/* Parses the request, and asks who it is for.
 *
 * returns      whether the request was good
 */
static bool ask(const struct fw_proxies *proxies, enum fw_proxy_header header, const char *name,
                struct fw_bytes lines, bool *found_out, struct in6_addr *client_out)
{
    char text[FW_HTTP_HEAD_BYTES_MAX];
    struct fw_http_head head;
    size_t count = write_request(name, lines, text, sizeof text);
    uint8_t *in = block_of(text, count);
    fw_http_head_init(&head);
    bool good = count > 0 && fw_http_request_parse(&head, in, count) > 0;
    if (good)
        *found_out = fw_forwarded_client(proxies, header, &head, in, client_out);
    free(in);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[FW_HTTP_HEAD_BYTES_MAX];
    char line[FW_HTTP_HEAD_BYTES_MAX];
    struct fw_bytes lines = {data, size};
    struct fw_proxies proxies = {.count = 0};
    struct fw_http_head head;
    struct in6_addr got = {0};
    struct in6_addr wanted = {0};
    bool found;
    if (size > INPUT_BYTES_MAX)
        return -1;
    read_proxies(cut_at(&lines, '\n'), &proxies);
    (void)ask(&proxies, FW_PROXY_FORWARDED, "Forwarded", lines, &found, &got);

    size_t count = write_request("X-Forwarded-For", lines, text, sizeof text);
    uint8_t *in = block_of(text, count);
    fw_http_head_init(&head);
    if (count > 0 && fw_http_request_parse(&head, in, count) > 0) {
        found = find_client(&proxies, &head, in, &wanted);
        require(fw_forwarded_client(&proxies, FW_PROXY_X_FORWARDED_FOR, &head, in, &got) == found,
                "a client, or none");
        require(!found || memcmp(&got, &wanted, sizeof got) == 0, "the client");
        size_t line_bytes = write_forwarded(&head, in, line, sizeof line);
        struct fw_bytes forwarded = {(const uint8_t *)line, line_bytes};
        bool again;
        if (line_bytes > 0 &&
            ask(&proxies, FW_PROXY_FORWARDED, "Forwarded", forwarded, &again, &got)) {
            require(again == found, "a client, or none, of Forwarded");
            require(!found || memcmp(&got, &wanted, sizeof got) == 0, "the client of Forwarded");
        }
    }
    free(in);
    return 0;
}
