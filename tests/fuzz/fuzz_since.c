/* fuzz_since.c: libFuzzer target of positions (core/session/since.h).
 *
 *   line 1     the query
 *   line 2     Last-Event-ID; none when it is empty
 *   line 3     one position, read alone
 *
 * The oracle: one more reading, by other means (regular expressions, 128 bits), says the same of
 * which text counts, of each position that is handed out, of their number and of what is no
 * position; and what is written as a position is read again as itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/since.h"
#include "fuzz/target.h"
#include "session/request.h"

#include <ctype.h>
#include <fanwire/status.h>
#include <inttypes.h>
#include <regex.h>

#define INPUT_BYTES_MAX 3000
#define TOPICS_MAX      200

/* ---- the other reading ----------------------------------------------------------------------- */

static bool matches(struct fw_bytes text, const char *pattern)
{
    regex_t compiled;
    char *string = string_of(text);
    require(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) == 0, "the pattern");
    bool matched = strlen(string) == text.count && regexec(&compiled, string, 0, NULL, 0) == 0;
    regfree(&compiled);
    free(string);
    return matched;
}

/* A number of at most 64 bits, whose digits are digits. */
static bool read_digits(struct fw_bytes text, unsigned base, uint64_t *number_out)
{
    unsigned __int128 number = 0;
    for (size_t i = 0; i < text.count; i++) {
        char digit[2] = {(char)text.at[i], '\0'};
        number = number * base + strtoul(digit, NULL, 16);
        if (number > UINT64_MAX)
            return false;
    }
    *number_out = (uint64_t)number;
    return true;
}

static bool read_position(struct fw_bytes text, struct fw_since *out)
{
    *out = (struct fw_since){.kind = FW_SINCE_NOW};
    if (matches(text, "^now$"))
        return true;
    out->kind = FW_SINCE_FIRST;
    if (matches(text, "^first$"))
        return true;
    out->kind = FW_SINCE_AT;
    if (!matches(text, "^[0-9a-fA-F]+:[0-9]+$"))
        return false;
    struct fw_bytes epoch = cut_at(&text, ':');
    return read_digits(epoch, 16, &out->epoch) && read_digits(text, 10, &out->offset);
}

static bool same(const struct fw_since *a, const struct fw_since *b)
{
    return a->kind == b->kind && a->epoch == b->epoch && a->offset == b->offset;
}

/* The value of a parameter, the first of the name; false without one. */
static bool find_parameter(struct fw_bytes query, const char *name, struct fw_bytes *value_out)
{
    while (query.count > 0) {
        *value_out = cut_at(&query, '&');
        if (fw_bytes_equal(cut_at(value_out, '='), fw_bytes_of(name)))
            return true;
    }
    return false;
}

/* Undoes escapes; -1 for one that is none, or a NUL. */
static ssize_t undo(struct fw_bytes text, uint8_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < text.count; i++) {
        if (text.at[i] != '%') {
            out[count++] = text.at[i];
            continue;
        }
        if (i + 2 >= text.count || !isxdigit(text.at[i + 1]) || !isxdigit(text.at[i + 2]))
            return -1;
        uint64_t octet;
        read_digits((struct fw_bytes){text.at + i + 1, 2}, 16, &octet);
        if (octet == 0)
            return -1;
        out[count++] = (uint8_t)octet;
        i += 2;
    }
    return (ssize_t)count;
}

/* ---- the comparison -------------------------------------------------------------------------- */

/* Positions, one for each topic: handed out in order, and no more than there are. */
static void check_each(struct fw_since_list *list, struct fw_bytes text)
{
    struct fw_bytes rest = text;
    for (bool more = true; more;) {
        struct fw_since got;
        struct fw_since wanted;
        require(!fw_since_done(list), "there is one more");
        more = memchr(rest.at, ',', rest.count) != NULL;
        bool good = read_position(cut_at(&rest, ','), &wanted);
        int result = fw_since_next(list, &got);
        require(result == (good ? 0 : FW_ERR_POSITION), "a position, or none");
        require(!good || same(&got, &wanted), "the position");
    }
    struct fw_since got;
    require(fw_since_done(list) && fw_since_next(list, &got) == FW_ERR_POSITION, "no more");
}

static void check_all(struct fw_since_list *list, const struct fw_since *wanted)
{
    struct fw_since got;
    for (int i = 0; i < TOPICS_MAX; i++)
        require(fw_since_done(list) && fw_since_next(list, &got) == 0 && same(&got, wanted),
                "the same for all");
}

static void check_text(struct fw_since_list *list, int result, struct fw_bytes text)
{
    static uint8_t undone[INPUT_BYTES_MAX];
    struct fw_since wanted;
    ssize_t count = undo(text, undone);
    if (count < 0) {
        require(result == FW_ERR_POSITION, "a broken escape");
        return;
    }
    struct fw_bytes positions = {undone, (size_t)count};
    if (count > 0 && memchr(undone, ':', positions.count) != NULL) {
        require(result == 0, "positions are judged as they are handed out");
        check_each(list, positions);
        return;
    }
    bool good = read_position(positions, &wanted);
    require(result == (good ? 0 : FW_ERR_POSITION), "a word for all, or none");
    if (good)
        check_all(list, &wanted);
}

static void check_request(const struct fw_request *request, struct fw_bytes last_event_id)
{
    static struct fw_since_list list;
    struct fw_bytes query = fw_http_bytes(request->bytes, request->head->query);
    struct fw_bytes value;
    struct fw_since wanted = {.kind = FW_SINCE_NOW};
    memset(&list, 0xee, sizeof list); /* what it does not set would be seen */
    int result = fw_since_begin(&list, request);
    if (last_event_id.count > 0) {
        check_text(&list, result, last_event_id);
    } else if (find_parameter(query, "since", &value)) {
        check_text(&list, result, value);
    } else if (find_parameter(query, "last", &value)) {
        wanted.kind = FW_SINCE_LAST;
        bool good = matches(value, "^[0-9]+$") && read_digits(value, 10, &wanted.offset);
        require(result == (good ? 0 : FW_ERR_POSITION), "the last so many");
        if (good)
            check_all(&list, &wanted);
    } else {
        require(result == 0, "nothing is said");
        check_all(&list, &wanted);
    }
}

/* Makes the request, if its lines can stand in one. */
static void check_head(struct fw_bytes query, struct fw_bytes last_event_id)
{
    char text[INPUT_BYTES_MAX + 200];
    struct fw_http_head head;
    struct fw_bytes value = {0};
    int count =
        snprintf(text, sizeof text, "GET /topics/a?%.*s HTTP/1.1\r\nHost: x\r\n%s%.*s%s\r\n",
                 (int)query.count, (const char *)query.at,
                 last_event_id.count > 0 ? "Last-Event-ID: " : "", (int)last_event_id.count,
                 (const char *)last_event_id.at, last_event_id.count > 0 ? "\r\n" : "");
    fw_http_head_init(&head);
    uint8_t *in = block_of(text, (size_t)count);
    if (fw_http_request_parse(&head, in, (size_t)count) == count) {
        const struct fw_request request = {.head = &head, .bytes = in};
        fw_http_find(&head, in, "last-event-id", 0, &value);
        check_request(&request, value);
    }
    free(in);
}

static void check_alone(struct fw_bytes text)
{
    struct fw_since got;
    struct fw_since wanted;
    struct fw_since again;
    char written[FW_POSITION_CHARS_MAX + 1];
    uint8_t *in = block_of(text.at, text.count);
    struct fw_bytes copy = {in, text.count};
    bool good = read_position(text, &wanted);
    require(fw_since_parse(copy, &got) == (good ? 0 : FW_ERR_POSITION), "alone");
    require(!good || same(&got, &wanted), "what it says alone");
    if (good && got.kind == FW_SINCE_AT) {
        snprintf(written, sizeof written, "%" PRIx64 ":%" PRIu64, got.epoch, got.offset);
        require(fw_since_parse(fw_bytes_of(written), &again) == 0 && same(&got, &again),
                "what is written is read");
    }
    free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fw_bytes rest = {data, size};
    if (size > INPUT_BYTES_MAX)
        return -1;
    struct fw_bytes query = cut_at(&rest, '\n');
    struct fw_bytes last_event_id = cut_at(&rest, '\n');
    check_head(query, last_event_id);
    check_alone(rest);
    return 0;
}
