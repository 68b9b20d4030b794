/* rate.c: see rate.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/rate.h"

/* How far a schedule may be ahead, an hour: what seems further ahead is of long ago. (Of the 49
 * days of the clock's low half, that is how much is taken for the future.) */
#define AHEAD_MS_MAX 3600000u

/* How far it is ahead of now; a schedule of the past owes nothing, however long ago. */
static uint32_t ahead(uint32_t paid_ms, uint32_t now_ms)
{
    uint32_t difference = paid_ms - now_ms;
    return difference > AHEAD_MS_MAX ? 0 : difference;
}

static uint32_t price_ms(uint64_t amount, uint32_t per_second)
{
    uint64_t price = amount * 1000 / per_second;
    return price > AHEAD_MS_MAX / 2 ? AHEAD_MS_MAX / 2 : (uint32_t)price;
}

bool fw_rate_take(struct fw_rate *rate, const struct fw_rate_rules *rules, uint64_t now_ms,
                  size_t bytes)
{
    uint32_t now = (uint32_t)now_ms;
    uint32_t messages = ahead(rate->messages_ms, now);
    uint32_t octets = ahead(rate->bytes_ms, now);
    if (rules->messages > 0) {
        if (messages > price_ms(rules->messages_burst - 1, rules->messages))
            return false;
        messages += price_ms(1, rules->messages);
    }
    if (rules->bytes > 0) {
        if (octets > 1000) /* one that is larger than a second's worth is paid for afterwards */
            return false;
        octets += price_ms(bytes, rules->bytes);
    }
    rate->messages_ms = now + messages;
    rate->bytes_ms = now + octets;
    return true;
}
