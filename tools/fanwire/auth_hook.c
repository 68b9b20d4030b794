/* auth_hook.c: asks a web service who sends a request (--auth-url).
 *
 *   POST URL   {"method":"GET","path":"/topics/a","query":"...","headers":{"cookie":"..."}}
 *   200        {"subject":"alice","subscribe":"a.* b","publish":["c"],"observe":false,
 *               "expires":1700000000}     everything may be left out
 *   401, 403   refused
 *   else       503: a service that does not work lets nobody in
 *
 * libcurl does the talking: TLS, names, kept connections.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access.h"

#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_BYTES_MAX 16384u
#define PATTERNS_BYTES   4097

struct answer {
    size_t count;
    char bytes[ANSWER_BYTES_MAX];
};

/* ---- the question ---------------------------------------------------------------------------- */

/* Headers that say who it is, or where it comes from. */
static const char *const header_names[] = {"authorization",  "cookie",  "origin",
                                           "user-agent",     "referer", "sec-websocket-protocol",
                                           "x-forwarded-for"};

static void add_headers(json_t *headers, const fw_request *request)
{
    for (size_t i = 0; i < sizeof header_names / sizeof *header_names; i++) {
        size_t count;
        const char *value = fw_request_header(request, header_names[i], &count);
        if (value != NULL) /* one that is not UTF-8 is left out */
            json_object_set_new(headers, header_names[i], json_stringn(value, count));
    }
}

char *auth_hook_question(const fw_request *request)
{
    json_t *headers = json_object();
    size_t query_count;
    const char *query = fw_request_query_text(request, &query_count);
    add_headers(headers, request);
    json_t *question =
        json_pack("{s:s, s:s, s:s%, s:o}", "method", fw_request_method(request), "path",
                  fw_request_path(request), "query", query, query_count, "headers", headers);
    char *text = question == NULL ? NULL : json_dumps(question, JSON_COMPACT);
    json_decref(question);
    return text;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static size_t take_answer(char *bytes, size_t one, size_t count, void *context)
{
    struct answer *answer = context;
    count *= one;
    if (count > sizeof answer->bytes - answer->count)
        return 0; /* an answer that long is none */
    memcpy(answer->bytes + answer->count, bytes, count);
    answer->count += count;
    return count;
}

static int give_up(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return atomic_load((const atomic_bool *)context);
}

static pthread_key_t handle_key;
static pthread_once_t handle_once = PTHREAD_ONCE_INIT;

static void make_handle_key(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    pthread_key_create(&handle_key, curl_easy_cleanup);
}

/* The thread's own handle, which keeps its connections. */
static CURL *handle_of_thread(void)
{
    pthread_once(&handle_once, make_handle_key);
    CURL *curl = pthread_getspecific(handle_key);
    if (curl == NULL) {
        curl = curl_easy_init();
        pthread_setspecific(handle_key, curl);
    }
    return curl;
}

/* The answer's status, 0 when there is none. */
static long ask(const char *url, uint32_t timeout_ms, const char *question, struct answer *answer,
                const atomic_bool *stop)
{
    long status = 0;
    CURL *curl = handle_of_thread();
    if (curl == NULL)
        return 0;
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (headers == NULL)
        return 0;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "fanwire/" FANWIRE_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, question);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, give_up);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)(uintptr_t)stop);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    return status;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* Patterns as one text: a string, or an array of strings; false for anything else. */
static bool read_patterns(const json_t *value, char *patterns)
{
    size_t used = 0;
    patterns[0] = '\0';
    if (json_is_string(value)) {
        used = json_string_length(value);
        if (used < PATTERNS_BYTES)
            strcpy(patterns, json_string_value(value));
        return used < PATTERNS_BYTES;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *one = json_array_get(value, i);
        if (!json_is_string(one) || used + json_string_length(one) + 2 > PATTERNS_BYTES)
            return false;
        used += (size_t)sprintf(patterns + used, "%s%s", i > 0 ? " " : "", json_string_value(one));
    }
    return value == NULL || json_is_array(value);
}

/* Decides by an answer of 200; false when it is malformed, and nothing is decided. */
static bool decide(fw_authorization *authorization, const struct answer *answer)
{
    static _Thread_local char subscribe[PATTERNS_BYTES];
    static _Thread_local char publish[PATTERNS_BYTES];
    json_t *said = json_loadb(answer->bytes, answer->count, JSON_REJECT_DUPLICATES, NULL);
    const json_t *expires = json_object_get(said, "expires");
    const json_t *subject = json_object_get(said, "subject");
    const json_t *observe = json_object_get(said, "observe");
    struct fw_grant grant = FW_GRANT;
    bool good = json_is_object(said) && (expires == NULL || json_is_integer(expires)) &&
                (subject == NULL || json_is_string(subject)) &&
                (observe == NULL || json_is_boolean(observe)) &&
                read_patterns(json_object_get(said, "subscribe"), subscribe) &&
                read_patterns(json_object_get(said, "publish"), publish);
    if (good && expires != NULL && json_integer_value(expires) <= time(NULL)) {
        fw_authorization_refuse(authorization, 401, "the credential has expired");
    } else if (good) {
        grant.subject = json_string_value(subject);
        grant.subscribe = subscribe;
        grant.publish = publish;
        grant.observe = json_is_true(observe);
        grant.expires_s = expires == NULL ? 0 : (uint64_t)json_integer_value(expires);
        fw_authorization_grant(authorization, &grant); /* what it cannot use it answers 500 */
    }
    json_decref(said);
    return good;
}

void auth_hook_decide(const char *url, uint32_t timeout_ms, const char *question,
                      fw_authorization *authorization, const atomic_bool *stop)
{
    static _Thread_local struct answer answer;
    answer.count = 0;
    long status = ask(url, timeout_ms, question, &answer, stop);
    if (status == 401 || status == 403)
        fw_authorization_refuse(authorization, (unsigned)status, "the credential is not valid");
    else if (status != 200 || !decide(authorization, &answer))
        fw_authorization_refuse(authorization, 503, "who decides on this cannot be reached");
}

bool auth_hook_url_valid(const char *url)
{
    CURLU *parsed = curl_url();
    char *scheme = NULL;
    bool good = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(parsed);
    return good;
}
