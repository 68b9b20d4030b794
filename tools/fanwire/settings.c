/* settings.c: the table of settings, and setting them (settings.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "settings.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define AGE_SECONDS_MAX 604800 /* a week */
#define AT(member)      .offset = offsetof(struct settings, member)
#define OPTION(member)  .offset = offsetof(struct settings, options.member)

static const char *const engines[] = {"auto", "uring", "epoll", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};
static const char *const proxy_headers[] = {"x-forwarded-for", "forwarded", NULL};
static const char *const booleans[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

const struct setting settings_table[] = {
    {"config", "FILE", "a YAML file with settings: see fanwire.yaml(5)", NULL, AT(config),
     .kind = TEXT, .commands = FOR_BOTH},
    {"listen", "ADDR:PORT",
     "where to listen; repeatable; unix:/path, systemd's fd:N; plain:... without TLS",
     "127.0.0.1:8080", AT(listen), .kind = LIST, .most = 16, .commands = FOR_BOTH},
    {"workers", "N", "worker threads, 1 to 256", "one per allowed CPU", OPTION(workers),
     .kind = NUMBER, .least = 1, .most = 256, .commands = FOR_BOTH},
    {"engine", "auto|uring|epoll", "how sockets are served", "auto", OPTION(engine), .kind = CHOICE,
     .choices = engines, .commands = FOR_BOTH},
    {"max-message", "BYTES", "largest message of a client", "65536", OPTION(message_bytes_max),
     .kind = LARGE, .least = 1, .most = 1u << 30, .commands = FOR_BOTH},
    {"max-fragments", "N", "most frames of one message, 0 for any number", "128",
     OPTION(fragments_max), .kind = NUMBER, .most = 1000000000, .zero_is_never = true,
     .commands = FOR_BOTH},
    {"max-output", "BYTES", "what a connection may owe before it is too slow", "1048576",
     OPTION(output_bytes_max), .kind = NUMBER, .least = 4096, .most = 1u << 30,
     .commands = FOR_BOTH},
    {"max-connections", "N", "all workers together", "what RLIMIT_NOFILE allows",
     OPTION(connections_max), .kind = NUMBER, .least = 1, .most = 1000000000, .commands = FOR_BOTH},
    {"memory-max", "BYTES", "what the process may take, 33554432 at least, 0 for any amount", "0",
     OPTION(memory_bytes_max), .kind = LARGE, .most = (uint64_t)1 << 50, .commands = FOR_BOTH},
    {"ping-interval", "SECONDS", "silence before a ping, 0 for never", "25",
     OPTION(ping_interval_ms), .kind = SECONDS, .most = 3600, .zero_is_never = true,
     .commands = FOR_BOTH},
    {"handshake-timeout", "SECONDS", "from the accept to the whole request", "5",
     OPTION(handshake_timeout_ms), .kind = SECONDS, .least = 1, .most = 3600, .commands = FOR_BOTH},
    {"allow-origin", "ORIGIN", "a browser origin besides our own; repeatable; * for every one",
     NULL, AT(origins), .kind = LIST, .most = LIST_MAX, .commands = FOR_BOTH},
    {"allow-host", "NAME", "a Host besides localhost on a loopback listener; repeatable; *", NULL,
     AT(hosts), .kind = LIST, .most = LIST_MAX, .commands = FOR_BOTH},
    {"max-control-rate", "N", "pings and pongs of a client a second, 0 for any number", "10",
     OPTION(control_per_second), .kind = NUMBER, .most = 1000, .zero_is_never = true,
     .commands = FOR_BOTH},
    {"tls-cert", "FILE", "a certificate (PEM, its intermediates after it); repeatable", NULL,
     AT(tls_certs), .kind = LIST, .most = LIST_MAX, .commands = FOR_BOTH},
    {"tls-key", "FILE", "its key, readable by nobody else; one for each certificate", NULL,
     AT(tls_keys), .kind = LIST, .most = LIST_MAX, .commands = FOR_BOTH},
    {"tls-client-ca", "FILE", "demand a certificate by these CAs of every client", NULL,
     OPTION(tls_client_ca_file), .kind = TEXT, .commands = FOR_BOTH},
    {"tls-self-signed", NULL, "TLS with a throw-away certificate, for trying out", "false",
     OPTION(tls_self_signed), .kind = SWITCH, .commands = FOR_BOTH},
    {"deflate", NULL, "compress for clients that offer permessage-deflate", "false",
     OPTION(deflate), .kind = SWITCH, .commands = FOR_BOTH},
    {"deflate-memory", "BYTES", "for compression that remembers earlier messages", "0",
     OPTION(deflate_bytes_max), .kind = LARGE, .most = UINT64_MAX, .commands = FOR_BOTH},
    {"address-connections", "N", "connections of one address (an IPv6 /64), 0 for any number",
     "256 where other hosts connect", OPTION(address_connections_max), .kind = NUMBER,
     .most = 1000000000, .commands = FOR_BOTH},
    {"address-accept-rate", "N", "new connections a second of one address, 0 for any number",
     "20 where other hosts connect", OPTION(address_accepts_per_s), .kind = NUMBER, .most = 1000000,
     .commands = FOR_BOTH},
    {"address-accept-burst", "N", "of them at once", "50", OPTION(address_accepts_burst),
     .kind = NUMBER, .least = 1, .most = 1000000, .commands = FOR_BOTH},
    {"accept-rate", "N", "new connections a second in all, 0 for any number",
     "5000 a CPU where other hosts connect, 3000 with TLS", OPTION(accepts_per_s), .kind = NUMBER,
     .most = 1000000, .commands = FOR_BOTH},
    {"trust-proxy", "CIDR", "a proxy that is believed: 10.0.0.0/8, or unix:; repeatable", NULL,
     AT(proxies), .kind = LIST, .most = 32, .commands = FOR_BOTH},
    {"proxy-header", "x-forwarded-for|forwarded", "where it names its client", "x-forwarded-for",
     OPTION(proxy_header), .kind = CHOICE, .choices = proxy_headers, .commands = FOR_BOTH},
    {"proxy-protocol", NULL, "its connections begin with the PROXY protocol's version 2", "false",
     OPTION(proxy_protocol), .kind = SWITCH, .commands = FOR_BOTH},
    {"message-rate", "N", "messages a second of one connection, 0 for any number",
     "50 where other hosts connect", OPTION(messages_per_s), .kind = NUMBER, .most = 1000000,
     .commands = FOR_BOTH},
    {"message-burst", "N", "of them at once", "100", OPTION(messages_burst), .kind = NUMBER,
     .least = 1, .most = 1000000, .commands = FOR_BOTH},
    {"byte-rate", "BYTES", "what they may hold a second, 0 for any number",
     "262144 where other hosts connect", OPTION(message_bytes_per_s), .kind = NUMBER,
     .most = 4000000000u, .commands = FOR_BOTH},
    {"turn-times", NULL, "measure how long workers' turns take, for /metrics", "false",
     OPTION(turn_times), .kind = SWITCH, .commands = FOR_BOTH},
    {"drain-time", "SECONDS", "over which SIGTERM closes connections", "30", OPTION(drain_time_ms),
     .kind = SECONDS, .most = 3600, .commands = FOR_SERVE},
    {"quiet", NULL, "log warnings and errors only", "false", AT(quiet), .kind = SWITCH,
     .commands = FOR_BOTH, .reloads = true},
    {"log-format", "auto|text|json", "auto: text on a terminal, JSON lines elsewhere", "auto",
     AT(log_format), .kind = CHOICE, .choices = log_formats, .commands = FOR_BOTH, .reloads = true},
    {"demo", NULL, "publish a ticker of made-up prices", "false", AT(demo), .kind = SWITCH,
     .commands = FOR_SERVE},
    {"insecure-publish", NULL, "let other hosts publish without a credential", "false",
     AT(insecure_publish), .kind = SWITCH, .commands = FOR_SERVE},
    {"max-publish", "BYTES", "largest published message", "1048576", OPTION(publish_bytes_max),
     .kind = NUMBER, .least = 1, .most = 1u << 30, .commands = FOR_SERVE},
    {"history", "COUNT", "messages kept of each topic, 0 for none", "64", OPTION(history_count),
     .kind = NUMBER, .most = 1u << 24, .zero_is_never = true, .commands = FOR_SERVE},
    {"history-bytes", "BYTES", "the same in bytes", "1048576", OPTION(history_bytes), .kind = LARGE,
     .least = 1, .most = UINT64_MAX, .commands = FOR_SERVE},
    {"history-age", "SECONDS", "the same in time", "300", OPTION(history_age_ms), .kind = SECONDS,
     .least = 1, .most = AGE_SECONDS_MAX, .commands = FOR_SERVE},
    {"history-max", "BYTES", "kept of all topics together", "268435456",
     OPTION(history_total_bytes), .kind = LARGE, .least = 1, .most = UINT64_MAX,
     .commands = FOR_SERVE},
    {"topic", "PREFIX:SETTINGS",
     "of a prefix's topics: history=N, bytes=N, age=N, policy=disconnect|drop-oldest|latest", NULL,
     AT(topics), .kind = LIST, .most = LIST_MAX, .commands = FOR_SERVE, .has_commas = true},
    {"max-topics", "N", "topics at once", "65536", OPTION(topics_max), .kind = NUMBER, .least = 64,
     .most = 1000000000, .commands = FOR_SERVE},
    {"token-key", "FILE", "a key of tokens: JWK, JWK set, PEM or secret; repeatable", NULL,
     AT(token_keys), .kind = LIST, .most = LIST_MAX, .commands = FOR_SERVE, .reloads = true},
    {"token-audience", "NAME", "the aud that tokens must have", NULL, AT(token_audience),
     .kind = TEXT, .commands = FOR_SERVE, .reloads = true},
    {"token-issuer", "NAME", "the iss that tokens must have", NULL, AT(token_issuer), .kind = TEXT,
     .commands = FOR_SERVE, .reloads = true},
    {"token-skew", "SECONDS", "how far clocks may differ, at most 60", "60", AT(token_skew_s),
     .kind = NUMBER, .most = 60, .commands = FOR_SERVE, .reloads = true},
    {"token-cookie", "NAME", "a cookie that holds a token; needs allow-origin", NULL,
     AT(token_cookie), .kind = TEXT, .commands = FOR_SERVE, .reloads = true},
    {"no-token-query", NULL, "do not take ?token= as a credential", "false", AT(no_token_query),
     .kind = SWITCH, .commands = FOR_SERVE, .reloads = true},
    {"password-file", "FILE", "NAME:HASH[:SUBSCRIBE[:PUBLISH]] lines for Basic", NULL,
     AT(password_file), .kind = TEXT, .commands = FOR_SERVE, .reloads = true},
    {"auth-url", "URL", "a POST there decides on requests without a token", NULL, AT(auth_url),
     .kind = TEXT, .commands = FOR_SERVE},
    {"auth-timeout", "SECONDS", "how long a decision may take", "5", OPTION(authorize_timeout_ms),
     .kind = SECONDS, .least = 1, .most = 60, .commands = FOR_SERVE},
    {"anonymous-subscribe", "PATTERN", "topics for everybody: a name, or 'news.*'; repeatable",
     "* without any credential set up", AT(anonymous_subscribe), .kind = LIST, .most = LIST_MAX,
     .commands = FOR_SERVE, .reloads = true},
    {"anonymous-publish", "PATTERN", "the same for publishing", "* without any credential set up",
     AT(anonymous_publish), .kind = LIST, .most = LIST_MAX, .commands = FOR_SERVE, .reloads = true},
    {"certificate-subscribe", "PATTERN", "topics for who has a certificate (tls-client-ca)", NULL,
     AT(certificate_subscribe), .kind = LIST, .most = LIST_MAX, .commands = FOR_SERVE,
     .reloads = true},
    {"certificate-publish", "PATTERN", "the same for publishing", NULL, AT(certificate_publish),
     .kind = LIST, .most = LIST_MAX, .commands = FOR_SERVE, .reloads = true},
    {"certificate-observe", NULL, "let who has a certificate read /metrics and /debug", "false",
     AT(certificate_observe), .kind = SWITCH, .commands = FOR_SERVE, .reloads = true},
    {"anonymous-observe", NULL, "let everybody read /metrics and /debug", "false",
     AT(anonymous_observe), .kind = SWITCH, .commands = FOR_SERVE, .reloads = true},
};
const unsigned settings_count = sizeof settings_table / sizeof *settings_table;
static_assert(sizeof settings_table / sizeof *settings_table <= SETTINGS_MAX,
              "origins_of has room");

/* A value's memory. */
struct text {
    struct text *next;
    char characters[];
};

int settings_find(const char *name, size_t count)
{
    for (unsigned row = 0; row < settings_count; row++) {
        if (strlen(settings_table[row].name) == count &&
            strncmp(settings_table[row].name, name, count) == 0)
            return (int)row;
    }
    return -1;
}

/* The edit distance of two short names (Wagner and Fischer, 1974). */
static unsigned distance(const char *a, const char *b)
{
    unsigned costs[64];
    size_t b_count = strlen(b);
    if (strlen(a) > 63 || b_count > 62)
        return UINT32_MAX;
    for (unsigned j = 0; j <= b_count; j++)
        costs[j] = j;
    for (unsigned i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = costs[0];
        costs[0] = i + 1;
        for (unsigned j = 0; j < b_count; j++) {
            unsigned least = diagonal + (a[i] != b[j]);
            diagonal = costs[j + 1];
            least = costs[j] + 1 < least ? costs[j] + 1 : least;
            costs[j + 1] = diagonal + 1 < least ? diagonal + 1 : least;
        }
    }
    return costs[b_count];
}

const char *settings_nearest(const char *name)
{
    const char *nearest = NULL;
    unsigned least = (unsigned)strlen(name) / 2 + 1; /* half of it wrong is another word */
    for (unsigned row = 0; row < settings_count; row++) {
        unsigned far = distance(name, settings_table[row].name);
        if (far < least) {
            nearest = settings_table[row].name;
            least = far;
        }
    }
    return nearest;
}

/* ---- life ------------------------------------------------------------------------------------ */

void settings_init(struct settings *settings)
{
    *settings = (struct settings){.options = FW_SERVER_OPTIONS, .token_skew_s = 60};
}

void settings_clear(struct settings *settings)
{
    while (settings->texts != NULL) {
        struct text *next = settings->texts->next;
        free(settings->texts);
        settings->texts = next;
    }
}

const char *settings_copy(struct settings *settings, const char *characters, size_t count)
{
    struct text *text = malloc(sizeof *text + count + 1);
    if (text == NULL) {
        say_mistake("out of memory");
        exit(EXIT_FAILED);
    }
    memcpy(text->characters, characters, count);
    text->characters[count] = '\0';
    text->next = settings->texts;
    settings->texts = text;
    return text->characters;
}

static const char *copy(struct settings *settings, const char *value)
{
    return settings_copy(settings, value, strlen(value));
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool wrong(const char *what, const char *wants, const char *value)
{
    say_mistake("%s takes %s, not '%s'", what, wants, value);
    return false;
}

static bool set_number(const struct setting *setting, void *member, const char *value,
                       const char *what)
{
    char *end;
    char wants[96];
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number < setting->least ||
        number > setting->most) {
        snprintf(wants, sizeof wants, "a number from %" PRIu64 " to %" PRIu64, setting->least,
                 setting->most);
        return wrong(what, wants, value);
    }
    if (setting->kind == LARGE) {
        *(uint64_t *)member = number;
        return true;
    }
    if (setting->kind == SECONDS)
        number *= 1000;
    *(uint32_t *)member = number == 0 && setting->zero_is_never ? FW_UNLIMITED : (uint32_t)number;
    return true;
}

static bool set_switch(bool *member, const char *value, const char *what)
{
    for (unsigned i = 0; i < sizeof booleans / sizeof *booleans; i++) {
        if (strcmp(value, booleans[i]) == 0) {
            *member = i % 2 == 1;
            return true;
        }
    }
    return wrong(what, "true or false", value);
}

static bool set_choice(const struct setting *setting, uint32_t *member, const char *value,
                       const char *what)
{
    for (uint32_t i = 0; setting->choices[i] != NULL; i++) {
        if (strcmp(value, setting->choices[i]) == 0) {
            *member = i;
            return true;
        }
    }
    return wrong(what, setting->argument, value);
}

static bool add_to_list(struct settings *settings, const struct setting *setting, struct list *list,
                        const char *value, const char *what)
{
    if (list->count == setting->most) {
        say_mistake("%s may be given %u times", what, (unsigned)setting->most);
        return false;
    }
    if (*value == '\0')
        return wrong(what, setting->argument, value);
    list->at[list->count++] = copy(settings, value);
    list->at[list->count] = NULL;
    return true;
}

bool settings_set(struct settings *settings, unsigned row, const char *value, struct origin origin,
                  const char *what)
{
    const struct setting *setting = &settings_table[row];
    void *member = (char *)settings + setting->offset;
    struct origin *before = &settings->origins_of[row];
    if (before->source > origin.source)
        return true;
    if (setting->kind == LIST && before->source < origin.source)
        ((struct list *)member)->count = 0;
    *before = origin;
    switch (setting->kind) {
    case TEXT:
        *(const char **)member = copy(settings, value);
        return *value != '\0' || wrong(what, setting->argument, value);
    case LIST:
        return add_to_list(settings, setting, member, value, what);
    case SWITCH:
        return set_switch(member, value, what);
    case NUMBER:
    case LARGE:
    case SECONDS:
        return set_number(setting, member, value, what);
    case CHOICE:
        return set_choice(setting, member, value, what);
    }
    return false;
}

bool settings_is_set(const struct settings *settings, const void *member)
{
    size_t offset = (size_t)((const char *)member - (const char *)settings);
    for (unsigned row = 0; row < settings_count; row++) {
        if (settings_table[row].offset == offset)
            return settings->origins_of[row].source != FROM_DEFAULT;
    }
    return false;
}

/* ---- printing -------------------------------------------------------------------------------- */

/* Escapes a character beyond ASCII that YAML ends lines at, or refuses (YAML 1.1, section 5.1).
 *
 * returns      its octets; 0 for others, which stand for themselves
 */
static size_t print_special(const char *text, FILE *out)
{
    static const struct {
        char octets[4];
        const char *escape;
    } specials[] = {{"\xe2\x80\xa8", "\\u2028"},
                    {"\xe2\x80\xa9", "\\u2029"},
                    {"\xef\xbb\xbf", "\\ufeff"},
                    {"\xef\xbf\xbe", "\\ufffe"},
                    {"\xef\xbf\xbf", "\\uffff"}};
    unsigned char second = (unsigned char)text[1];
    if ((unsigned char)text[0] == 0xc2 && second >= 0x80 && second < 0xa0) {
        fprintf(out, "\\x%02x", second);
        return 2;
    }
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        if (strncmp(text, specials[i].octets, 3) == 0) {
            fputs(specials[i].escape, out);
            return 3;
        }
    }
    return 0;
}

/* A text as a YAML scalar in double quotes. */
static void print_text(const char *text, FILE *out)
{
    putc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        size_t special = c < 0x80 ? 0 : print_special(text, out);
        if (special > 0)
            text += special - 1;
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            putc(c, out);
    }
    putc('"', out);
}

static void print_list(const struct list *list, FILE *out)
{
    putc('[', out);
    for (unsigned i = 0; i < list->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_text(list->at[i], out);
    }
    putc(']', out);
}

void settings_print(const struct settings *settings, unsigned row, FILE *out)
{
    const struct setting *setting = &settings_table[row];
    const void *member = (const char *)settings + setting->offset;
    switch (setting->kind) {
    case TEXT:
        print_text(*(const char *const *)member, out);
        break;
    case LIST:
        print_list(member, out);
        break;
    case SWITCH:
        fputs(*(const bool *)member ? "true" : "false", out);
        break;
    case LARGE:
        fprintf(out, "%" PRIu64, *(const uint64_t *)member);
        break;
    case NUMBER:
    case SECONDS: {
        uint32_t number = *(const uint32_t *)member;
        if (number == FW_UNLIMITED && setting->zero_is_never)
            number = 0;
        fprintf(out, "%" PRIu32, setting->kind == SECONDS ? number / 1000 : number);
        break;
    }
    case CHOICE:
        fputs(setting->choices[*(const uint32_t *)member], out);
        break;
    }
}

/* ---- reloading ------------------------------------------------------------------------------- */

static size_t size_of(enum kind kind)
{
    switch (kind) {
    case TEXT:
        return sizeof(const char *);
    case LIST:
        return sizeof(struct list);
    case SWITCH:
        return sizeof(bool);
    case LARGE:
        return sizeof(uint64_t);
    case NUMBER:
    case SECONDS:
    case CHOICE:
        break;
    }
    return sizeof(uint32_t);
}

static bool same_list(const struct list *a, const struct list *b)
{
    for (unsigned i = 0; a->count == b->count && i < a->count; i++) {
        if (strcmp(a->at[i], b->at[i]) != 0)
            return false;
    }
    return a->count == b->count;
}

static bool same_value(enum kind kind, const void *a, const void *b)
{
    const char *const *texts[] = {a, b};
    if (kind == LIST)
        return same_list(a, b);
    if (kind != TEXT)
        return memcmp(a, b, size_of(kind)) == 0;
    if (*texts[0] == NULL || *texts[1] == NULL)
        return *texts[0] == *texts[1];
    return strcmp(*texts[0], *texts[1]) == 0;
}

void settings_keep(struct settings *settings, const struct settings *running,
                   bool differs_out[SETTINGS_MAX])
{
    for (unsigned row = 0; row < settings_count; row++) {
        const struct setting *setting = &settings_table[row];
        void *member = (char *)settings + setting->offset;
        const void *runs = (const char *)running + setting->offset;
        differs_out[row] = false;
        if (setting->reloads)
            continue;
        bool was_set = running->origins_of[row].source != FROM_DEFAULT;
        bool is_set = settings->origins_of[row].source != FROM_DEFAULT;
        /* A default is what the table says, whatever the member holds meanwhile. */
        differs_out[row] =
            was_set != is_set || (is_set && !same_value(setting->kind, member, runs));
        memcpy(member, runs, size_of(setting->kind));
        settings->origins_of[row] = running->origins_of[row];
    }
}
