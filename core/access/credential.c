/* credential.c: see credential.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/credential.h"
#include "access/origin.h"

#include <fanwire/status.h>
#include <string.h>

/* The prefix of a subprotocol that is a token. */
static const char protocol_prefix[] = "bearer.";

/* Splits "Bearer TOKEN" (RFC 9110, section 11.4); another scheme is the program's to read. */
static void read_authorization(struct fw_bytes value, struct fw_credential *found)
{
    size_t scheme = 0;
    while (scheme < value.count && value.at[scheme] != ' ')
        scheme++;
    size_t token = scheme;
    while (token < value.count && value.at[token] == ' ')
        token++;
    found->is_token = fw_bytes_equal_lower((struct fw_bytes){value.at, scheme}, "bearer");
    found->token = (struct fw_bytes){value.at + token, value.count - token};
}

static int find_authorization(const struct fw_http_head *head, const uint8_t *bytes,
                              struct fw_credential *found)
{
    struct fw_bytes value;
    int index = fw_http_find(head, bytes, "authorization", 0, &value);
    if (index < 0)
        return 0;
    found->is_there = true;
    read_authorization(value, found);
    return fw_http_find(head, bytes, "authorization", index + 1, &value) < 0
               ? 0
               : FW_ERR_CREDENTIAL_TWICE;
}

/* Notes a token; a second one is one too many: which of them would count? (RFC 6750, section 2) */
static int note(struct fw_credential *found, struct fw_bytes token)
{
    if (found->is_there)
        return FW_ERR_CREDENTIAL_TWICE;
    *found = (struct fw_credential){.is_there = true, .is_token = true, .token = token};
    return 0;
}

static int find_parameter(const struct fw_http_head *head, const uint8_t *bytes,
                          const struct fw_access *access, struct fw_credential *found)
{
    struct fw_bytes token;
    struct fw_bytes query = fw_http_bytes(bytes, head->query);
    if ((access != NULL && !access->query) || !fw_http_query_find(query, "token", &token))
        return 0;
    return note(found, token);
}

static int find_protocol(const struct fw_http_head *head, const uint8_t *bytes,
                         struct fw_credential *found)
{
    struct fw_bytes list;
    struct fw_bytes element;
    size_t prefix = sizeof protocol_prefix - 1;
    int index = -1;
    const char name[] = "sec-websocket-protocol";
    while ((index = fw_http_find(head, bytes, name, index + 1, &list)) >= 0) {
        while (fw_http_list_next(&list, &element)) {
            if (element.count < prefix || memcmp(element.at, protocol_prefix, prefix) != 0)
                continue;
            int result =
                note(found, (struct fw_bytes){element.at + prefix, element.count - prefix});
            if (result != 0)
                return result;
        }
    }
    return 0;
}

/* Finds a cookie's value in one Cookie line (RFC 6265, section 4.2.1). */
static bool cookie_in(struct fw_bytes line, struct fw_bytes name, struct fw_bytes *value_out)
{
    while (line.count > 0) {
        const uint8_t *semicolon = memchr(line.at, ';', line.count);
        size_t count = semicolon == NULL ? line.count : (size_t)(semicolon - line.at);
        size_t taken = semicolon == NULL ? count : count + 1;
        struct fw_bytes pair = {line.at, count};
        while (pair.count > 0 && pair.at[0] == ' ') {
            pair.at++;
            pair.count--;
        }
        if (pair.count > name.count && pair.at[name.count] == '=' &&
            memcmp(pair.at, name.at, name.count) == 0) {
            *value_out = (struct fw_bytes){pair.at + name.count + 1, pair.count - name.count - 1};
            return true;
        }
        line = (struct fw_bytes){line.at + taken, line.count - taken};
    }
    return false;
}

/* A cookie rides along on what any page makes a browser send. It counts only when the browser says
 * that the request is ours: an Origin that may, or, where a browser sends none, Sec-Fetch-Site. */
static bool cookie_counts(const struct fw_http_head *head, const uint8_t *bytes,
                          const char *const *allow_origins)
{
    struct fw_bytes value;
    if (fw_http_find(head, bytes, "origin", 0, &value) >= 0)
        return fw_origin_allowed_in(head, bytes, allow_origins);
    return fw_http_find(head, bytes, "sec-fetch-site", 0, &value) >= 0 &&
           fw_bytes_equal(value, fw_bytes_of("same-origin"));
}

/* Looked for last: who says explicitly who it is is not asked for its cookies. */
static int find_cookie(const struct fw_http_head *head, const uint8_t *bytes,
                       const struct fw_access *access, const char *const *allow_origins,
                       struct fw_credential *found)
{
    struct fw_bytes line;
    struct fw_bytes token;
    int index = -1;
    if (access == NULL || access->cookie.count == 0 || found->is_there)
        return 0;
    while ((index = fw_http_find(head, bytes, "cookie", index + 1, &line)) >= 0) {
        if (!cookie_in(line, access->cookie, &token))
            continue;
        return cookie_counts(head, bytes, allow_origins) ? note(found, token)
                                                         : FW_ERR_COOKIE_ORIGIN;
    }
    return 0;
}

int fw_credential_find(const struct fw_http_head *head, const uint8_t *bytes,
                       const struct fw_access *access, const char *const *allow_origins,
                       struct fw_credential *credential_out)
{
    *credential_out = (struct fw_credential){0};
    int result = find_authorization(head, bytes, credential_out);
    if (result == 0)
        result = find_parameter(head, bytes, access, credential_out);
    if (result == 0)
        result = find_protocol(head, bytes, credential_out);
    if (result == 0)
        result = find_cookie(head, bytes, access, allow_origins, credential_out);
    return result;
}
