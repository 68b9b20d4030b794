/* fuzz_credential.c: libFuzzer target of where a request shows who sends it
 * (core/access/credential.h), and of what a policy then makes of its session.
 *
 *   octet 0    bit 0: the policy knows no parameter; bit 1: it knows a cookie
 *   then       a request's head
 *
 * In the input "@T" stands for a token that is good, "@X" for one of another key. The oracle: all
 * credentials, collected line by line, say the same: none, which one, or one too many; and over a
 * session nobody publishes or subscribes without a good token, nor what that does not grant, and
 * what is sent is the same, octet for octet, however the input is cut.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/credential.h"
#include "access/origin.h"
#include "base/base64.h"
#include "fuzz/publications.h"

#define INPUT_BYTES_MAX 800
#define COOKIE          "session"

static const char *const origins[] = {"https://app.example", NULL};

/* ---- tokens ---------------------------------------------------------------------------------- */

static struct fw_key *key_of(const char *secret)
{
    struct fw_key *key;
    require(fw_keys_read(secret, strlen(secret), &key) == 1, "a key");
    return key;
}

/* {"alg":"HS256"} and rights on "a.*" and "news", signed. */
static const char *token_of(const char *secret)
{
    static const char claims[] = "{\"exp\":1700000900,\"subscribe\":\"a.*\",\"publish\":\"news\"}";
    static char tokens[2][512];
    static unsigned next;
    char *token = tokens[next++ % 2];
    uint8_t signature[FW_SIGNATURE_BYTES_MAX];
    struct fw_key *key = key_of(secret);
    size_t at = fw_base64url_encode(fw_bytes_of("{\"alg\":\"HS256\"}"), token);
    token[at++] = '.';
    at += fw_base64url_encode(fw_bytes_of(claims), token + at);
    ssize_t count = fw_key_sign(key, (struct fw_bytes){(uint8_t *)token, at}, signature);
    require(count > 0, "a signature");
    token[at++] = '.';
    at += fw_base64url_encode((struct fw_bytes){signature, (size_t)count}, token + at);
    token[at] = '\0';
    fw_key_destroy(key);
    return token;
}

static const char ours[] = "correct horse battery staple 123";
static const char theirs[] = "another horse, of another stable";

/* The input with its tokens; NULL when it becomes too long for a head. The caller's to free. */
static uint8_t *fill_in(struct fw_bytes input, size_t *count_out, bool *is_good_out)
{
    static const char *good;
    static const char *wrong;
    if (good == NULL) {
        good = token_of(ours);
        wrong = token_of(theirs);
    }
    uint8_t *out = malloc(FW_HTTP_HEAD_BYTES_MAX);
    size_t count = 0;
    require(out != NULL, "memory");
    for (size_t i = 0; i < input.count; i++) {
        const char *token = NULL;
        if (input.at[i] == '@' && i + 1 < input.count)
            token = input.at[i + 1] == 'T' ? good : input.at[i + 1] == 'X' ? wrong : NULL;
        size_t needed = token == NULL ? 1 : strlen(token);
        if (count + needed > FW_HTTP_HEAD_BYTES_MAX) {
            free(out);
            return NULL;
        }
        memcpy(out + count, token == NULL ? (const char *)input.at + i : token, needed);
        count += needed;
        i += token != NULL;
        *is_good_out = *is_good_out || token == good;
    }
    *count_out = count;
    return out;
}

/* ---- the other search ------------------------------------------------------------------------ */

struct found {
    unsigned count;
    bool is_token;
    struct fw_bytes token;
};

static void add(struct found *found, bool is_token, struct fw_bytes token)
{
    found->count++;
    found->is_token = is_token;
    found->token = token;
}

static struct fw_bytes skip_blanks(struct fw_bytes text)
{
    for (; text.count > 0 && (text.at[0] == ' ' || text.at[0] == '\t'); text.count--)
        text.at++;
    return text;
}

static void add_protocols(struct found *found, struct fw_bytes list)
{
    while (list.count > 0) {
        struct fw_bytes element = skip_blanks(cut_at(&list, ','));
        while (element.count > 0 && strchr(" \t", element.at[element.count - 1]) != NULL)
            element.count--;
        if (element.count >= 7 && memcmp(element.at, "bearer.", 7) == 0)
            add(found, true, (struct fw_bytes){element.at + 7, element.count - 7});
    }
}

static void add_authorization(struct found *found, struct fw_bytes value)
{
    struct fw_bytes scheme = cut_at(&value, ' ');
    while (value.count > 0 && value.at[0] == ' ')
        value = (struct fw_bytes){value.at + 1, value.count - 1};
    add(found, fw_bytes_equal_lower(scheme, "bearer"), value);
}

/* The parameters' first token. */
static void add_parameter(struct found *found, struct fw_bytes query)
{
    while (query.count > 0) {
        struct fw_bytes value = cut_at(&query, '&');
        if (!fw_bytes_equal(cut_at(&value, '='), fw_bytes_of("token")))
            continue;
        add(found, true, value);
        return;
    }
}

/* The first cookie of the name, in all lines. */
static bool find_cookie(const struct fw_http_head *head, const uint8_t *in, struct fw_bytes *out)
{
    for (int i = 0; i < head->headers_count; i++) {
        struct fw_bytes line = fw_http_bytes(in, head->headers[i].value);
        if (!fw_bytes_equal_lower(fw_http_bytes(in, head->headers[i].name), "cookie"))
            continue;
        while (line.count > 0) {
            struct fw_bytes value = cut_at(&line, ';');
            while (value.count > 0 && value.at[0] == ' ')
                value = (struct fw_bytes){value.at + 1, value.count - 1};
            bool has_value = value.count > 0 && memchr(value.at, '=', value.count) != NULL;
            struct fw_bytes name = cut_at(&value, '=');
            *out = value;
            if (has_value && fw_bytes_equal(name, fw_bytes_of(COOKIE)))
                return true;
        }
    }
    return false;
}

/* What the line of a name says first, and how many there are. */
static unsigned lines_of(const struct fw_http_head *head, const uint8_t *in, const char *name,
                         struct fw_bytes *first_out)
{
    unsigned count = 0;
    for (int i = head->headers_count; i-- > 0;) {
        if (!fw_bytes_equal_lower(fw_http_bytes(in, head->headers[i].name), name))
            continue;
        *first_out = fw_http_bytes(in, head->headers[i].value);
        count++;
    }
    return count;
}

static bool is_our_page(const struct fw_http_head *head, const uint8_t *in)
{
    struct fw_bytes origin;
    struct fw_bytes host = {0};
    struct fw_bytes site;
    unsigned count = lines_of(head, in, "origin", &origin);
    lines_of(head, in, "host", &host);
    if (count > 0)
        return count == 1 && fw_origin_allowed(origin, host, origins);
    return lines_of(head, in, "sec-fetch-site", &site) > 0 &&
           fw_bytes_equal(site, fw_bytes_of("same-origin"));
}

static int search(const struct fw_http_head *head, const uint8_t *in, unsigned flags,
                  struct found *found)
{
    *found = (struct found){0};
    for (int i = 0; i < head->headers_count; i++) {
        struct fw_bytes name = fw_http_bytes(in, head->headers[i].name);
        struct fw_bytes value = fw_http_bytes(in, head->headers[i].value);
        if (fw_bytes_equal_lower(name, "authorization"))
            add_authorization(found, value);
        else if (fw_bytes_equal_lower(name, "sec-websocket-protocol"))
            add_protocols(found, value);
    }
    if (!(flags & 1))
        add_parameter(found, fw_http_bytes(in, head->query));
    if (found->count > 1)
        return FW_ERR_CREDENTIAL_TWICE;
    struct fw_bytes cookie;
    if (found->count == 1 || !(flags & 2) || !find_cookie(head, in, &cookie))
        return 0;
    if (!is_our_page(head, in))
        return FW_ERR_COOKIE_ORIGIN;
    add(found, true, cookie);
    return 0;
}

static void compare(const struct fw_access *access, unsigned flags, const uint8_t *in, size_t count)
{
    struct fw_http_head head;
    struct fw_credential got;
    struct found wanted;
    fw_http_head_init(&head);
    if (fw_http_request_parse(&head, in, count) <= 0)
        return;
    int expected = search(&head, in, flags, &wanted);
    require(fw_credential_find(&head, in, access, origins, &got) == expected, "how it ends");
    if (expected != 0)
        return;
    require(got.is_there == (wanted.count == 1), "whether it is there");
    require(!got.is_there ||
                (got.is_token == wanted.is_token && fw_bytes_equal(got.token, wanted.token)),
            "which it is");
}

/* ---- sessions -------------------------------------------------------------------------------- */

static struct fw_access *policy_of(unsigned flags)
{
    struct fw_access *access;
    struct fw_key *key = key_of(ours);
    struct fw_access_options options = FW_ACCESS_OPTIONS;
    options.keys = &key;
    options.keys_count = 1;
    options.no_query = flags & 1;
    options.cookie = flags & 2 ? COOKIE : NULL;
    require(fw_access_create(&options, &access) == 0, "a policy");
    return access;
}

/* What came of it is what the token grants. */
static void require_rights(const struct fake_host *fake, bool is_good)
{
    require(is_good || (noted_count == 0 && fake->topics_count == 0), "nothing without a token");
    for (size_t i = 0; i < noted_count; i++)
        require(strcmp(noted[i].topic, "news") == 0, "what may be published to");
    for (unsigned i = 0; i < fake->topics_count; i++)
        require(strncmp((const char *)fake->topics[i]->node.name.at, "a.", 2) == 0,
                "what may be subscribed to");
}

/* Takes out what is sent only to who waits for it before the body (RFC 9110, section 10.1.1). */
static void drop_interim(struct fw_bytes *sent)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t interim_count = sizeof interim - 1;
    uint8_t *at;
    while ((at = memmem(sent->at, sent->count, interim, interim_count)) != NULL) {
        size_t before = (size_t)(at - sent->at);
        memmove(at, at + interim_count, sent->count - before - interim_count);
        sent->count -= interim_count;
    }
}

/* One life; returns what was sent, the caller's to free. */
static struct fw_bytes live(struct fw_access *access, const uint8_t *in, size_t count, bool is_good,
                            size_t piece)
{
    struct fake_host fake;
    fake_host_init(&fake);
    note_publications(&fake);
    fake.host.access = access;
    fake.rules.allow_origins = origins;
    fake_host_receive_pieces(&fake, in, count, piece);
    require_rights(&fake, is_good);
    struct fw_bytes sent = {block_of(fake.sent, fake.sent_count), fake.sent_count};
    fake_host_clear(&fake);
    drop_interim(&sent);
    return sent;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fw_access *policies[4];
    size_t count = 0;
    bool is_good = false;
    if (size < 2 || size > INPUT_BYTES_MAX)
        return -1;
    unsigned flags = data[0] & 3;
    if (policies[flags] == NULL)
        policies[flags] = policy_of(flags);
    uint8_t *in = fill_in((struct fw_bytes){data + 1, size - 1}, &count, &is_good);
    if (in == NULL)
        return -1;
    compare(policies[flags], flags, in, count);
    struct fw_bytes whole = live(policies[flags], in, count, is_good, count);
    struct fw_bytes cut = live(policies[flags], in, count, is_good, 1 + hash_of(data, size) % 40);
    require(fw_bytes_equal(whole, cut), "whole as cut");
    free((uint8_t *)(uintptr_t)whole.at);
    free((uint8_t *)(uintptr_t)cut.at);
    free(in);
    return 0;
}
