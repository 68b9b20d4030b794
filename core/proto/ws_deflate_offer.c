/* ws_deflate_offer.c: the negotiation of permessage-deflate (RFC 7692, sections 5 and 7.1).
 *
 *   parameter                     in an offer            in an answer
 *   server_no_context_takeover    asked for              promised
 *   client_no_context_takeover    a hint                 demanded
 *   server_max_window_bits=N      at most this           this, not more than was asked for
 *   client_max_window_bits[=N]    "I can be told"; N     =N demanded, only if it was offered
 *                                 is a hint
 *
 * Pure functions: no allocation, no state. The grammar of the header is ws_handshake.c's; the
 * coders are in ws_deflate.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/ws_deflate.h"

#include "base/check.h"
#include "fanwire/status.h"
#include "proto/ws_handshake.h"

#include <stdio.h>
#include <string.h>

static const char extension_name[] = "permessage-deflate";

enum side { OFFER, ANSWER };

/* Reads a decimal of 8 to 15 without leading zeros, quoted or not; 0 for anything else. */
static uint8_t bits_of(const struct fw_ws_extension_param *param)
{
    uint8_t digits[3];
    size_t count = 0;
    for (size_t i = 0; i < param->value.count; i++) {
        /* "1\0" is 10: a backslash in quotes stands for what follows it. */
        if (param->quoted && param->value.at[i] == '\\')
            i++;
        if (count == sizeof digits)
            return 0;
        digits[count++] = param->value.at[i];
    }
    if (count == 1 && (digits[0] == '8' || digits[0] == '9'))
        return (uint8_t)(digits[0] - '0');
    if (count == 2 && digits[0] == '1' && digits[1] >= '0' && digits[1] <= '5')
        return (uint8_t)(10 + digits[1] - '0');
    return 0;
}

/* Takes a flag, which has no value and stands there once. */
static bool take_flag(const struct fw_ws_extension_param *param, bool *flag)
{
    bool good = !param->has_value && !*flag;
    *flag = true;
    return good;
}

/* Takes a window's size, which stands there once; `bare` says whether the value may be missing. */
static bool take_bits(const struct fw_ws_extension_param *param, bool bare, uint8_t *bits)
{
    if (*bits != 0)
        return false;
    *bits = bare && !param->has_value ? FW_WS_DEFLATE_BITS_MAX : bits_of(param);
    return *bits != 0;
}

static bool take_param(const struct fw_ws_extension_param *param, enum side side,
                       struct fw_ws_deflate_offer *offer)
{
    static const struct {
        const char *name;
        bool flag;
        bool server;
    } known[] = {
        {"server_no_context_takeover", true, true},
        {"client_no_context_takeover", true, false},
        {"server_max_window_bits", false, true},
        {"client_max_window_bits", false, false},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!fw_bytes_equal(param->name, fw_bytes_of(known[i].name)))
            continue;
        if (known[i].flag)
            return take_flag(param, known[i].server ? &offer->server_no_takeover
                                                    : &offer->client_no_takeover);
        if (known[i].server)
            return take_bits(param, false, &offer->server_bits);
        return take_bits(param, side == OFFER, &offer->client_bits);
    }
    return false;
}

/* Reads the parameters of the reader's present extension.
 *
 * returns      1 when all are good, 0 when one is not
 * errors       FW_ERR_WS_EXTENSION: malformed
 */
static int read_params(struct fw_ws_extension_reader *reader, enum side side,
                       struct fw_ws_deflate_offer *offer_out)
{
    struct fw_ws_extension_param param;
    int more;
    *offer_out = (struct fw_ws_deflate_offer){0};
    while ((more = fw_ws_extension_param_next(reader, &param)) > 0) {
        if (!take_param(&param, side, offer_out))
            return 0;
    }
    return more < 0 ? more : 1;
}

/* Writes an extension's text. A bare client_max_window_bits is an offer's only. */
static size_t write_text(const struct fw_ws_deflate_offer *offer, enum side side,
                         char out[FW_WS_DEFLATE_TEXT_BYTES])
{
    char server_bits[32] = "";
    char client_bits[32] = "";
    if (offer->server_bits != 0)
        snprintf(server_bits, sizeof server_bits, "; server_max_window_bits=%u",
                 offer->server_bits);
    if (side == OFFER && offer->client_bits == FW_WS_DEFLATE_BITS_MAX)
        snprintf(client_bits, sizeof client_bits, "; client_max_window_bits");
    else if (offer->client_bits != 0)
        snprintf(client_bits, sizeof client_bits, "; client_max_window_bits=%u",
                 offer->client_bits);
    int count = snprintf(out, FW_WS_DEFLATE_TEXT_BYTES, "%s%s%s%s%s", extension_name,
                         offer->server_no_takeover ? "; server_no_context_takeover" : "",
                         offer->client_no_takeover ? "; client_no_context_takeover" : "",
                         server_bits, client_bits);
    fw_assert(count > 0 && count < FW_WS_DEFLATE_TEXT_BYTES);
    return (size_t)count;
}

static uint8_t least(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

/* Answers a good offer; false when it asks for what we cannot do.
 *
 * Nothing is put into the answer that old clients are known to fail over without need: a window of
 * ours smaller than it could be is simply used, not announced.
 */
static bool accept_offer(const struct fw_ws_deflate_offer *offer, bool takeover,
                         struct fw_ws_deflate *agreed_out, struct fw_ws_deflate_offer *answer_out)
{
    if (offer->server_bits != 0 && offer->server_bits < FW_WS_DEFLATE_OWN_BITS_MIN)
        return false;
    bool own = takeover && !offer->server_no_takeover;
    bool peer = takeover && !offer->client_no_takeover;
    uint8_t own_bits = offer->server_bits == 0 ? FW_WS_DEFLATE_BITS_MAX : offer->server_bits;
    uint8_t peer_bits = FW_WS_DEFLATE_BITS_MAX;
    if (peer && offer->client_bits != 0)
        peer_bits = least(offer->client_bits, FW_WS_DEFLATE_CONTEXT_BITS);
    *agreed_out = (struct fw_ws_deflate){
        .own_bits = own_bits, .peer_bits = peer_bits, .own_takeover = own, .peer_takeover = peer};
    *answer_out = (struct fw_ws_deflate_offer){
        .server_bits = offer->server_bits,
        .client_bits = peer && offer->client_bits != 0 ? peer_bits : 0,
        .server_no_takeover = !own,
        .client_no_takeover = !peer,
    };
    return true;
}

int fw_ws_deflate_accept(struct fw_bytes offers, bool takeover, struct fw_ws_deflate *agreed_out,
                         char answer_out[FW_WS_DEFLATE_TEXT_BYTES])
{
    struct fw_ws_extension_reader reader;
    struct fw_ws_deflate_offer offer;
    struct fw_ws_deflate_offer answer;
    struct fw_bytes name;
    int more;
    fw_ws_extension_begin(&reader, offers);
    while ((more = fw_ws_extension_next(&reader, &name)) > 0) {
        if (!fw_bytes_equal(name, fw_bytes_of(extension_name)))
            continue;
        int good = read_params(&reader, OFFER, &offer);
        if (good < 0)
            return good;
        if (good > 0 && accept_offer(&offer, takeover, agreed_out, &answer)) {
            write_text(&answer, ANSWER, answer_out);
            return 1;
        }
    }
    return more;
}

size_t fw_ws_deflate_offer_write(const struct fw_ws_deflate_offer *offer,
                                 char out[FW_WS_DEFLATE_TEXT_BYTES])
{
    fw_assert(offer->server_bits == 0 || (offer->server_bits >= FW_WS_DEFLATE_BITS_MIN &&
                                          offer->server_bits <= FW_WS_DEFLATE_BITS_MAX));
    fw_assert(offer->client_bits == 0 || (offer->client_bits >= FW_WS_DEFLATE_BITS_MIN &&
                                          offer->client_bits <= FW_WS_DEFLATE_BITS_MAX));
    return write_text(offer, OFFER, out);
}

/* Whether an answer's parameters go with what was offered. A client's window in an offer is a hint
 * that a server need not keep to; we keep to the smaller of both. */
static bool answer_fits(const struct fw_ws_deflate_offer *answer,
                        const struct fw_ws_deflate_offer *offer)
{
    if (offer->server_no_takeover && !answer->server_no_takeover)
        return false;
    if (offer->server_bits != 0 &&
        (answer->server_bits == 0 || answer->server_bits > offer->server_bits))
        return false;
    return answer->client_bits == 0 || offer->client_bits != 0;
}

int fw_ws_deflate_verify(struct fw_bytes answer, const struct fw_ws_deflate_offer *offer,
                         struct fw_ws_deflate *agreed_out)
{
    struct fw_ws_extension_reader reader;
    struct fw_ws_deflate_offer said;
    struct fw_bytes name;
    fw_ws_extension_begin(&reader, answer);
    if (fw_ws_extension_next(&reader, &name) <= 0 ||
        !fw_bytes_equal(name, fw_bytes_of(extension_name)) ||
        read_params(&reader, ANSWER, &said) <= 0 || !answer_fits(&said, offer) ||
        fw_ws_extension_next(&reader, &name) != 0)
        return FW_ERR_WS_OFFER;
    uint8_t own_bits = offer->client_bits == 0 ? FW_WS_DEFLATE_BITS_MAX : offer->client_bits;
    if (said.client_bits != 0)
        own_bits = least(own_bits, said.client_bits);
    *agreed_out = (struct fw_ws_deflate){
        .own_bits = own_bits,
        .peer_bits = said.server_bits == 0 ? FW_WS_DEFLATE_BITS_MAX : said.server_bits,
        .own_takeover = !offer->client_no_takeover && !said.client_no_takeover &&
                        own_bits >= FW_WS_DEFLATE_OWN_BITS_MIN,
        .peer_takeover = !said.server_no_takeover,
    };
    return 0;
}
