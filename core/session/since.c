/* since.c: see since.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/since.h"
#include "base/check.h"
#include "session/request.h"
#include "session/session.h"

#include <fanwire/status.h>
#include <inttypes.h>
#include <stdio.h>

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = fw_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* Reads digits up to the end; false when there are none, others, or more than 64 bits. */
static bool read_number(struct fw_bytes text, unsigned base, uint64_t *number_out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.count; i++) {
        unsigned digit = (unsigned)digit_of(text.at[i]);
        if (digit >= base || number > (UINT64_MAX - digit) / base)
            return false;
        number = number * base + digit;
    }
    *number_out = number;
    return text.count > 0;
}

int fw_since_parse(struct fw_bytes text, struct fw_since *since_out)
{
    *since_out = (struct fw_since){.kind = FW_SINCE_NOW};
    if (fw_bytes_equal(text, fw_bytes_of("now")))
        return 0;
    since_out->kind = FW_SINCE_FIRST;
    if (fw_bytes_equal(text, fw_bytes_of("first")))
        return 0;
    const uint8_t *colon = text.count > 0 ? memchr(text.at, ':', text.count) : NULL;
    if (colon == NULL)
        return FW_ERR_POSITION;
    size_t before = (size_t)(colon - text.at);
    struct fw_bytes epoch = {text.at, before};
    struct fw_bytes offset = {colon + 1, text.count - before - 1};
    since_out->kind = FW_SINCE_AT;
    bool good =
        read_number(epoch, 16, &since_out->epoch) && read_number(offset, 10, &since_out->offset);
    return good ? 0 : FW_ERR_POSITION;
}

/* Takes the text of the positions, undone of its escapes. */
static int set_text(struct fw_since_list *list, struct fw_bytes text)
{
    if (text.count > sizeof list->text)
        return FW_ERR_POSITION;
    ssize_t count = fw_http_percent_decode(text, (uint8_t *)list->text);
    if (count < 0)
        return FW_ERR_POSITION;
    list->rest = (struct fw_bytes){(const uint8_t *)list->text, (size_t)count};
    list->each = memchr(list->text, ':', (size_t)count) != NULL;
    return list->each ? 0 : fw_since_parse(list->rest, &list->all);
}

int fw_since_begin(struct fw_since_list *list, const struct fw_request *request)
{
    struct fw_bytes query = fw_http_bytes(request->bytes, request->head->query);
    struct fw_bytes value;
    list->all = (struct fw_since){.kind = FW_SINCE_NOW};
    list->each = false;
    if (fw_http_find(request->head, request->bytes, "last-event-id", 0, &value) >= 0 &&
        value.count > 0)
        return set_text(list, value);
    if (fw_http_query_find(query, "since", &value))
        return set_text(list, value);
    if (fw_http_query_find(query, "last", &value)) {
        list->all.kind = FW_SINCE_LAST;
        return read_number(value, 10, &list->all.offset) ? 0 : FW_ERR_POSITION;
    }
    return 0;
}

int fw_since_next(struct fw_since_list *list, struct fw_since *since_out)
{
    if (!list->each) {
        *since_out = list->all;
        return 0;
    }
    if (list->rest.at == NULL)
        return FW_ERR_POSITION;
    struct fw_bytes next = list->rest;
    const uint8_t *comma = next.count > 0 ? memchr(next.at, ',', next.count) : NULL;
    if (comma == NULL) {
        list->rest = (struct fw_bytes){0};
    } else {
        next.count = (size_t)(comma - next.at);
        list->rest.at = comma + 1;
        list->rest.count -= next.count + 1;
    }
    return fw_since_parse(next, since_out);
}

bool fw_since_done(const struct fw_since_list *list)
{
    return !list->each || list->rest.at == NULL;
}

size_t fw_session_positions(const struct fw_session *session, char *out)
{
    char *at = out;
    for (unsigned i = 0; i < session->subscriptions_count; i++) {
        const struct fw_subscription *subscription = &session->subscriptions[i];
        char text[FW_POSITION_CHARS_MAX + 1];
        int count = snprintf(text, sizeof text, "%s%" PRIx64 ":%" PRIu64, i > 0 ? "," : "",
                             subscription->local->topic->epoch, subscription->next - 1);
        fw_assert(count > 0 && (size_t)count < sizeof text);
        memcpy(at, text, (size_t)count);
        at += count;
    }
    return (size_t)(at - out);
}
