/* opening.c: see opening.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "opening.h"
#include "message.h"
#include "settings.h"

#include <stdio.h>
#include <string.h>

/* By trust: the world's, then nobody's in particular. */
static struct fw_tls_context *contexts[2];

struct fw_tls_context *bench_tls_context(const struct bench_url *url)
{
    bool anyone = url->trust_anyone || bench_settings.insecure;
    const struct fw_tls_options options = {.role = FW_TLS_CLIENT,
                                           .ca_file = anyone ? NULL : bench_settings.ca_file,
                                           .trust_anyone = anyone,
                                           .alpn = "http/1.1"};
    char why[FW_TLS_WHY_BYTES];
    if (contexts[anyone] == NULL &&
        fw_tls_context_create(&options, why, sizeof why, &contexts[anyone]) != 0)
        bench_die("TLS: %s", why);
    return contexts[anyone];
}

void bench_opening_tls(struct bench_fleet *fleet, const struct bench_url *url,
                       struct bench_opening *opening)
{
    if (!url->tls)
        return;
    if (fleet->tls_name[0] == '\0')
        bench_url_name(url, fleet->tls_name);
    opening->tls = bench_tls_context(url);
    opening->tls_name = fleet->tls_name;
}

void bench_opening_dress(struct bench_fleet *fleet, const struct bench_url *url,
                         struct bench_opening *opening)
{
    struct bench_pattern pulse;
    opening->deflate = url->deflate;
    opening->dialect = url->dialect;
    if (url->dialect == BENCH_BARE)
        return;
    bench_pattern_clear(&fleet->greeting);
    bench_dialect_patterns(url, &fleet->greeting, &pulse);
    if (fleet->pulse.bytes == NULL) /* always the same: earlier connections may be using it */
        fleet->pulse = pulse;
    else
        bench_pattern_clear(&pulse);
    opening->greeting = &fleet->greeting;
    opening->pulse = &fleet->pulse;
}

const char *bench_opening_extensions(const struct bench_url *url,
                                     char text[FW_WS_DEFLATE_TEXT_BYTES])
{
    if (!url->deflate)
        return NULL;
    fw_ws_deflate_offer_write(&bench_deflate_offer, text);
    return text;
}

void bench_opening_clear(struct bench_fleet *fleet)
{
    bench_pattern_clear(&fleet->greeting);
    bench_pattern_clear(&fleet->pulse);
}
