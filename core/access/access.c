/* access.c: see access.h; making policies is fanwire/access.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "base/mem.h"
#include "proto/http1.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>

static struct fw_bytes text_of(const char *text)
{
    return fw_bytes_of(text == NULL ? "" : text);
}

static bool cookie_valid(struct fw_bytes name)
{
    return name.count <= FW_COOKIE_NAME_BYTES_MAX && fw_http_token_span(name) == name.count;
}

static bool options_valid(const struct fw_access_options *options)
{
    return fw_patterns_valid(text_of(options->anonymous_subscribe)) &&
           fw_patterns_valid(text_of(options->anonymous_publish)) &&
           fw_patterns_valid(text_of(options->certificate_subscribe)) &&
           fw_patterns_valid(text_of(options->certificate_publish)) &&
           text_of(options->audience).count <= FW_PRINCIPAL_NAME_BYTES_MAX &&
           text_of(options->issuer).count <= FW_PRINCIPAL_NAME_BYTES_MAX &&
           cookie_valid(text_of(options->cookie)) && options->skew_s <= FW_TOKEN_SKEW_S_MAX;
}

static struct fw_bytes put(uint8_t **at, const char *text)
{
    struct fw_bytes copy = {*at, text_of(text).count};
    if (copy.count > 0)
        memcpy(*at, text, copy.count);
    *at += copy.count;
    return copy;
}

static struct fw_principal *make_rights(const char *subscribe, const char *publish, bool observe)
{
    const struct fw_principal of = {
        .subscribe = text_of(subscribe), .publish = text_of(publish), .observe = observe};
    return fw_principal_create(&of);
}

static bool certificate_counts(const struct fw_access_options *options)
{
    return options->certificate_subscribe != NULL || options->certificate_publish != NULL ||
           options->certificate_observe;
}

static int add_rights(struct fw_access *access, const struct fw_access_options *options)
{
    access->anonymous = make_rights(options->anonymous_subscribe, options->anonymous_publish,
                                    options->anonymous_observe);
    if (certificate_counts(options))
        access->certificate =
            make_rights(options->certificate_subscribe, options->certificate_publish,
                        options->certificate_observe);
    return access->anonymous == NULL || (certificate_counts(options) && access->certificate == NULL)
               ? -ENOMEM
               : 0;
}

static void fill(struct fw_access *access, const struct fw_access_options *options)
{
    uint8_t *at = access->text;
    access->rules = (struct fw_token_rules){.keys = access->keys,
                                            .keys_count = options->keys_count,
                                            .audience = put(&at, options->audience),
                                            .issuer = put(&at, options->issuer),
                                            .skew_s = options->skew_s};
    access->cookie = put(&at, options->cookie);
    access->query = !options->no_query;
    access->basic = options->basic;
    for (size_t i = 0; i < options->keys_count; i++)
        access->keys[i] = options->keys[i];
}

int fw_access_create(const struct fw_access_options *options, fw_access **access_out)
{
    struct fw_access_options own = {0};
    if (options == NULL || options->size < sizeof options->size)
        return FW_ERR_USAGE;
    memcpy(&own, options, options->size < sizeof own ? options->size : sizeof own);
    if (!options_valid(&own))
        return FW_ERR_USAGE;
    if (own.keys_count > FW_KEYS_MAX)
        return FW_ERR_LIMIT;
    size_t text_bytes =
        text_of(own.audience).count + text_of(own.issuer).count + text_of(own.cookie).count;
    struct fw_access *access = fw_mem_zero(sizeof *access + text_bytes);
    if (access == NULL)
        return -ENOMEM;
    atomic_init(&access->references, 1);
    int result = add_rights(access, &own);
    if (result != 0) {
        fw_access_destroy(access);
        return result;
    }
    fill(access, &own);
    *access_out = access;
    return 0;
}

void fw_access_hold(struct fw_access *access)
{
    atomic_fetch_add_explicit(&access->references, 1, memory_order_relaxed);
}

void fw_access_destroy(fw_access *access)
{
    /* Release pairs with acquire here: who frees has seen what the others did. */
    if (access == NULL ||
        atomic_fetch_sub_explicit(&access->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < access->rules.keys_count; i++)
        fw_key_destroy(access->keys[i]);
    fw_mem_free(access->anonymous);
    fw_mem_free(access->certificate);
    fw_mem_free(access);
}

/* ---- what it allows -------------------------------------------------------------------------- */

static bool grants(const struct fw_principal *principal, enum fw_right right, struct fw_bytes topic)
{
    switch (right) {
    case FW_MAY_SUBSCRIBE:
        return fw_patterns_match(principal->subscribe, topic);
    case FW_MAY_PUBLISH:
        return fw_patterns_match(principal->publish, topic);
    case FW_MAY_OBSERVE:
        return principal->observe;
    }
    return false;
}

static bool grants_some(const struct fw_principal *principal, enum fw_right right)
{
    switch (right) {
    case FW_MAY_SUBSCRIBE:
        return principal->subscribe.count > 0;
    case FW_MAY_PUBLISH:
        return principal->publish.count > 0;
    case FW_MAY_OBSERVE:
        return principal->observe;
    }
    return false;
}

int fw_access_may(const struct fw_access *access, const struct fw_principal *principal,
                  enum fw_right right, struct fw_bytes topic)
{
    if (principal != NULL)
        return grants(principal, right, topic) ? 0 : FW_ERR_FORBIDDEN;
    return access == NULL || grants(access->anonymous, right, topic) ? 0 : FW_ERR_CREDENTIAL;
}

int fw_access_may_some(const struct fw_access *access, const struct fw_principal *principal,
                       enum fw_right right)
{
    if (principal != NULL)
        return grants_some(principal, right) ? 0 : FW_ERR_FORBIDDEN;
    return access == NULL || grants_some(access->anonymous, right) ? 0 : FW_ERR_CREDENTIAL;
}

/* RFC 6750, section 3; RFC 7617, section 2. */
const char *fw_access_challenge(const struct fw_access *access)
{
    if (access != NULL && access->basic)
        return "WWW-Authenticate: Bearer realm=\"fanwire\"\r\n"
               "WWW-Authenticate: Basic realm=\"fanwire\", charset=\"UTF-8\"\r\n";
    return "WWW-Authenticate: Bearer realm=\"fanwire\"\r\n";
}
