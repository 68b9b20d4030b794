/* access.c: see access.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEY_FILE_BYTES    65537
#define CREDENTIALS_BYTES 1024
#define PATTERNS_BYTES    4097

/* What requests are decided by; replaced by a reload. */
static struct {
    pthread_mutex_t lock;
    struct passwords *passwords; /* NULL: none */
    char *url;                   /* NULL: none; set before the server runs */
    uint32_t timeout_ms;
} rules = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- from settings to a policy --------------------------------------------------------------- */

static bool has_credentials(const struct settings *settings)
{
    return settings->token_keys.count > 0 || settings->password_file != NULL ||
           settings->auth_url != NULL || settings->certificate_subscribe.count > 0 ||
           settings->certificate_publish.count > 0 || settings->certificate_observe;
}

/* Reads one file's keys behind those that there are. */
static bool read_keys(const char *path, fw_key **keys, size_t *count)
{
    static char text[KEY_FILE_BYTES];
    fw_key *read_now[FW_KEYS_MAX];
    FILE *file = fopen(path, "re");
    size_t bytes = file == NULL ? 0 : fread(text, 1, sizeof text, file);
    if (file == NULL || ferror(file)) {
        say_mistake("token-key: cannot read '%s': %s", path, strerror(errno));
        if (file != NULL)
            fclose(file);
        return false;
    }
    fclose(file);
    ssize_t found = fw_keys_read(text, bytes, read_now);
    explicit_bzero(text, sizeof text);
    for (ssize_t i = 0; i < found; i++) {
        if (*count < FW_KEYS_MAX)
            keys[(*count)++] = read_now[i];
        else
            fw_key_destroy(read_now[i]);
    }
    if (found < 0)
        say_mistake("token-key '%s': %s", path, fw_status_text((int)found));
    return found >= 0;
}

/* The patterns of a list as one text. */
static const char *join(const struct list *list, char *text)
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < list->count; i++) {
        int count =
            snprintf(text + used, PATTERNS_BYTES - used, "%s%s", i > 0 ? " " : "", list->at[i]);
        if (count < 0 || (size_t)count >= PATTERNS_BYTES - used)
            return "  "; /* too long: refused as malformed */
        used += (size_t)count;
    }
    return text;
}

/* A policy that cannot be made has a part that cannot be made either. */
static void say_wrong_part(const struct fw_access_options *options, int result)
{
    static const char pattern[] = "a pattern is a topic's name, or a beginning and '*'";
    struct fw_access_options parts[] = {FW_ACCESS_OPTIONS, FW_ACCESS_OPTIONS, FW_ACCESS_OPTIONS,
                                        FW_ACCESS_OPTIONS, FW_ACCESS_OPTIONS};
    static const char *const names[] = {"anonymous-subscribe", "anonymous-publish",
                                        "certificate-subscribe", "certificate-publish",
                                        "token-cookie"};
    parts[0].anonymous_subscribe = options->anonymous_subscribe;
    parts[1].anonymous_publish = options->anonymous_publish;
    parts[2].certificate_subscribe = options->certificate_subscribe;
    parts[3].certificate_publish = options->certificate_publish;
    parts[4].cookie = options->cookie;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fw_access *part = NULL;
        if (fw_access_create(&parts[i], &part) == FW_ERR_USAGE) {
            say_mistake("%s: %s", names[i], i < 4 ? pattern : "this is no cookie's name");
            return;
        }
        fw_access_destroy(part);
    }
    say_mistake("access: %s", fw_status_text(result));
}

/* Tokens name one of several keys by its id: one without is a key that nobody can use. */
static void say_nameless(fw_key *const *keys, size_t count)
{
    bool nameless = false;
    for (size_t i = 0; i < count; i++)
        nameless = nameless || fw_key_id(keys[i]) == NULL;
    if (nameless && count > 1)
        say_mistake("token-key: of several keys, one without an id (kid) checks no token: make "
                    "keys with `fanwire token --new-key KIND --id NAME`");
}

/* tells        whether what is odd and no mistake is spoken of */
static int make_policy(const struct settings *settings, bool tells, fw_access **access_out)
{
    static char subscribe[PATTERNS_BYTES];
    static char publish[PATTERNS_BYTES];
    static char certificate_subscribe[PATTERNS_BYTES];
    static char certificate_publish[PATTERNS_BYTES];
    fw_key *keys[FW_KEYS_MAX];
    size_t count = 0;
    bool open = !has_credentials(settings);
    for (unsigned i = 0; i < settings->token_keys.count; i++) {
        if (read_keys(settings->token_keys.at[i], keys, &count))
            continue;
        while (count > 0)
            fw_key_destroy(keys[--count]);
        return EXIT_FAILED;
    }
    if (tells)
        say_nameless(keys, count);
    struct fw_access_options options = FW_ACCESS_OPTIONS;
    options.keys = keys;
    options.keys_count = count;
    options.audience = settings->token_audience;
    options.issuer = settings->token_issuer;
    options.skew_s = settings->token_skew_s;
    options.cookie = settings->token_cookie;
    options.no_query = settings->no_token_query;
    options.basic = settings->password_file != NULL;
    options.anonymous_subscribe = join(&settings->anonymous_subscribe, subscribe);
    options.anonymous_publish = join(&settings->anonymous_publish, publish);
    /* Without credentials figures are this machine's, as everything else is. */
    options.anonymous_observe = settings->anonymous_observe || (open && settings->local);
    if (settings->certificate_subscribe.count > 0)
        options.certificate_subscribe =
            join(&settings->certificate_subscribe, certificate_subscribe);
    if (settings->certificate_publish.count > 0)
        options.certificate_publish = join(&settings->certificate_publish, certificate_publish);
    options.certificate_observe = settings->certificate_observe;
    if (open && settings->anonymous_subscribe.count == 0)
        options.anonymous_subscribe = "*";
    if (open && settings->anonymous_publish.count == 0)
        options.anonymous_publish = "*";
    int result = fw_access_create(&options, access_out);
    if (result == 0)
        return 0;
    while (count > 0)
        fw_key_destroy(keys[--count]);
    say_wrong_part(&options, result);
    return EXIT_USAGE;
}

static bool check_cookie(const struct settings *settings)
{
    bool exact = settings->origins.count > 0;
    for (unsigned i = 0; i < settings->origins.count; i++)
        exact = exact && strcmp(settings->origins.at[i], "*") != 0;
    if (settings->token_cookie == NULL || exact)
        return true;
    say_mistake("token-cookie needs allow-origin, and not '*': any page makes a browser send its "
                "cookies");
    return false;
}

/* Rights of certificates that nobody is asked for would be a credential that nobody has. */
static bool check_certificates(const struct settings *settings)
{
    bool rights = settings->certificate_subscribe.count > 0 ||
                  settings->certificate_publish.count > 0 || settings->certificate_observe;
    if (rights && settings->options.tls_client_ca_file == NULL)
        say_mistake("certificate-subscribe, -publish and -observe need tls-client-ca");
    return !rights || settings->options.tls_client_ca_file != NULL;
}

int access_check(const struct settings *settings)
{
    fw_access *access;
    if (!check_cookie(settings) || !check_certificates(settings))
        return EXIT_USAGE;
    if (settings->auth_url != NULL && !auth_hook_url_valid(settings->auth_url)) {
        say_mistake("auth-url is an http or https address, not '%s'", settings->auth_url);
        return EXIT_USAGE;
    }
    int result = make_policy(settings, true, &access);
    if (result != 0)
        return result;
    fw_access_destroy(access);
    if (settings->password_file == NULL)
        return 0;
    struct passwords *passwords = passwords_read(settings->password_file);
    passwords_drop(passwords);
    return passwords == NULL ? EXIT_FAILED : 0;
}

/* ---- deciding -------------------------------------------------------------------------------- */

static void decide_password(struct job *job, const atomic_bool *stop)
{
    struct fw_grant grant;
    (void)stop;
    pthread_mutex_lock(&rules.lock);
    struct passwords *passwords = rules.passwords;
    if (passwords != NULL)
        passwords_hold(passwords);
    pthread_mutex_unlock(&rules.lock);
    if (passwords != NULL && passwords_check(passwords, job->text, &grant))
        fw_authorization_grant(job->authorization, &grant);
    else
        fw_authorization_refuse(job->authorization, 401, "the name or the password is wrong");
    explicit_bzero(job->text, strlen(job->text));
    passwords_drop(passwords);
}

static void decide_hook(struct job *job, const atomic_bool *stop)
{
    auth_hook_decide(rules.url, rules.timeout_ms, job->text, job->authorization, stop);
}

static int value_of(char c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);
    return at == NULL ? -1 : (int)(at - alphabet);
}

/* Decodes base64 (RFC 4648, section 4) into a text; false for anything else, and for NUL in it. */
static bool decode(const char *in, size_t count, char *out)
{
    unsigned bits = 0;
    unsigned held = 0;
    while (count > 0 && in[count - 1] == '=')
        count--;
    for (size_t i = 0; i < count; i++) {
        int value = value_of(in[i]);
        if (value < 0)
            return false;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *out = (char)(bits >> held & 0xff);
            if (*out++ == '\0')
                return false;
        }
    }
    *out = '\0';
    return true;
}

/* "Basic" credentials (RFC 7617, section 2) for a helper; false when the request has none. */
static bool take_basic(fw_authorization *authorization, const fw_request *request)
{
    size_t count;
    const char *value = fw_request_header(request, "authorization", &count);
    if (value == NULL || count < 6 || strncasecmp(value, "basic ", 6) != 0)
        return false;
    struct job *job = count > CREDENTIALS_BYTES ? NULL : job_create(authorization, count + 1);
    if (job == NULL || !decode(value + 6, count - 6, job->text)) {
        free(job);
        fw_authorization_refuse(authorization, 401, "the name or the password is wrong");
        return true;
    }
    job->decide = decide_password;
    helpers_give(job);
    return true;
}

static bool take_hook(fw_authorization *authorization, const fw_request *request)
{
    char *question = auth_hook_question(request);
    struct job *job = question == NULL ? NULL : job_create(authorization, strlen(question) + 1);
    if (job == NULL) {
        free(question);
        fw_authorization_refuse(authorization, 503, "out of memory");
        return true;
    }
    strcpy(job->text, question);
    free(question);
    job->decide = decide_hook;
    helpers_give(job);
    return true;
}

static bool on_authorize(fw_authorization *authorization, const fw_request *request, void *context)
{
    (void)context;
    pthread_mutex_lock(&rules.lock);
    bool has_passwords = rules.passwords != NULL;
    pthread_mutex_unlock(&rules.lock);
    if (has_passwords && take_basic(authorization, request))
        return true;
    return rules.url != NULL && take_hook(authorization, request);
}

/* ---- life ------------------------------------------------------------------------------------ */

void access_options(struct settings *settings)
{
    if (settings->password_file != NULL || settings->auth_url != NULL)
        settings->options.on_authorize = on_authorize;
}

static void replace_passwords(struct passwords *passwords)
{
    pthread_mutex_lock(&rules.lock);
    struct passwords *old = rules.passwords;
    rules.passwords = passwords;
    pthread_mutex_unlock(&rules.lock);
    passwords_drop(old);
}

int access_apply(const struct settings *settings, fw_server *server)
{
    fw_access *access;
    struct passwords *passwords = NULL;
    int result = make_policy(settings, false, &access);
    if (result != 0)
        return result;
    if (settings->password_file != NULL) {
        passwords = passwords_read(settings->password_file);
        result = passwords == NULL ? EXIT_FAILED : 0;
    }
    if (result == 0 && settings->options.on_authorize != NULL && !helpers_start()) {
        say_mistake("cannot start the threads that check passwords");
        result = EXIT_FAILED;
    }
    if (result == 0 && fw_server_set_access(server, access) != 0) {
        say_mistake("this policy cannot be set");
        result = EXIT_FAILED;
    }
    fw_access_destroy(access);
    if (result != 0) {
        passwords_drop(passwords);
        return result;
    }
    replace_passwords(passwords);
    if (rules.url == NULL && settings->auth_url != NULL) {
        rules.url = strdup(settings->auth_url);
        rules.timeout_ms = settings->options.authorize_timeout_ms == 0
                               ? 5000
                               : settings->options.authorize_timeout_ms;
    }
    return 0;
}

void access_stop(void)
{
    helpers_stop();
    replace_passwords(NULL);
    free(rules.url);
    rules.url = NULL;
}
