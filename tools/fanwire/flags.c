/* flags.c: the flags that serve and echo share, and those of serve.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGE_SECONDS_MAX 604800 /* a week */

enum flag {
    FLAG_LISTEN = 256,
    FLAG_WORKERS,
    FLAG_ENGINE,
    FLAG_MAX_MESSAGE,
    FLAG_MAX_FRAGMENTS,
    FLAG_MAX_OUTPUT,
    FLAG_MAX_CONNECTIONS,
    FLAG_PING_INTERVAL,
    FLAG_HANDSHAKE_TIMEOUT,
    FLAG_ALLOW_ORIGIN,
    FLAG_ALLOW_HOST,
    FLAG_MAX_CONTROL_RATE,
    FLAG_DEFLATE,
    FLAG_DEFLATE_MEMORY,
    FLAG_TLS_CERT,
    FLAG_TLS_KEY,
    FLAG_TLS_CLIENT_CA,
    FLAG_TLS_SELF_SIGNED,
    FLAG_QUIET,
    FLAG_HELP,
    FLAG_DEMO,
    FLAG_INSECURE_PUBLISH,
    FLAG_MAX_PUBLISH,
    FLAG_HISTORY,
    FLAG_HISTORY_BYTES,
    FLAG_HISTORY_AGE,
    FLAG_HISTORY_MAX,
    FLAG_TOPIC,
    FLAG_MAX_TOPICS,
};

static const char common_help[] =
    "  --listen ADDR:PORT        where to listen; repeatable; unix:/path too (127.0.0.1:8080);\n"
    "                            with TLS, plain:ADDR:PORT is a listener without\n"
    "  --workers N               worker threads, 1 to 256 (one per allowed CPU)\n"
    "  --engine auto|uring|epoll (auto: io_uring where it works)\n"
    "  --max-message BYTES       largest message of a client (65536)\n"
    "  --max-fragments N         most frames of one message, 0 for any number (128)\n"
    "  --max-output BYTES        what a connection may owe before it is too slow (1048576)\n"
    "  --max-connections N       all workers together (what RLIMIT_NOFILE allows)\n"
    "  --ping-interval SECONDS   silence before a ping, 0 for never (25)\n"
    "  --handshake-timeout SECONDS (5)\n"
    "  --allow-origin ORIGIN     a browser origin besides our own; repeatable; * for every one\n"
    "  --allow-host NAME         a Host besides localhost on a loopback listener; repeatable; *\n"
    "  --max-control-rate N      pings and pongs of a client a second, 0 for any number (10)\n"
    "  --deflate                 compress for clients that offer permessage-deflate\n"
    "  --deflate-memory BYTES    for compression that remembers earlier messages (0)\n"
    "  --tls-cert FILE           a certificate (PEM, its intermediates after it); repeatable\n"
    "  --tls-key FILE            its key, readable by nobody else; one for each certificate\n"
    "  --tls-client-ca FILE      demand a certificate by these CAs of every client\n"
    "  --tls-self-signed         TLS with a throw-away certificate, for trying out\n"
    "  --quiet                   log warnings and errors only\n"
    "  --help\n";

static const char serve_help[] =
    "  --demo                    publish a ticker of made-up prices\n"
    "  --insecure-publish        allow publishing from other hosts without a credential\n"
    "  --max-publish BYTES       largest published message (1048576)\n"
    "  --history COUNT           messages kept of each topic, 0 for none (64)\n"
    "  --history-bytes BYTES     the same in bytes (1048576)\n"
    "  --history-age SECONDS     the same in time (300)\n"
    "  --history-max BYTES       kept of all topics together (268435456)\n"
    "  --topic PREFIX:SETTINGS   of the topics of a prefix; repeatable: history=N, bytes=N, "
    "age=N,\n"
    "                            policy=disconnect|drop-oldest|latest, separated by commas\n"
    "  --max-topics N            (65536)\n";

static const struct option flags[] = {
    {"listen", required_argument, NULL, FLAG_LISTEN},
    {"workers", required_argument, NULL, FLAG_WORKERS},
    {"engine", required_argument, NULL, FLAG_ENGINE},
    {"max-message", required_argument, NULL, FLAG_MAX_MESSAGE},
    {"max-fragments", required_argument, NULL, FLAG_MAX_FRAGMENTS},
    {"max-output", required_argument, NULL, FLAG_MAX_OUTPUT},
    {"max-connections", required_argument, NULL, FLAG_MAX_CONNECTIONS},
    {"ping-interval", required_argument, NULL, FLAG_PING_INTERVAL},
    {"handshake-timeout", required_argument, NULL, FLAG_HANDSHAKE_TIMEOUT},
    {"allow-origin", required_argument, NULL, FLAG_ALLOW_ORIGIN},
    {"allow-host", required_argument, NULL, FLAG_ALLOW_HOST},
    {"max-control-rate", required_argument, NULL, FLAG_MAX_CONTROL_RATE},
    {"deflate", no_argument, NULL, FLAG_DEFLATE},
    {"deflate-memory", required_argument, NULL, FLAG_DEFLATE_MEMORY},
    {"tls-cert", required_argument, NULL, FLAG_TLS_CERT},
    {"tls-key", required_argument, NULL, FLAG_TLS_KEY},
    {"tls-client-ca", required_argument, NULL, FLAG_TLS_CLIENT_CA},
    {"tls-self-signed", no_argument, NULL, FLAG_TLS_SELF_SIGNED},
    {"quiet", no_argument, NULL, FLAG_QUIET},
    {"help", no_argument, NULL, FLAG_HELP},
    {"demo", no_argument, NULL, FLAG_DEMO},
    {"insecure-publish", no_argument, NULL, FLAG_INSECURE_PUBLISH},
    {"max-publish", required_argument, NULL, FLAG_MAX_PUBLISH},
    {"history", required_argument, NULL, FLAG_HISTORY},
    {"history-bytes", required_argument, NULL, FLAG_HISTORY_BYTES},
    {"history-age", required_argument, NULL, FLAG_HISTORY_AGE},
    {"history-max", required_argument, NULL, FLAG_HISTORY_MAX},
    {"topic", required_argument, NULL, FLAG_TOPIC},
    {"max-topics", required_argument, NULL, FLAG_MAX_TOPICS},
    {NULL, 0, NULL, 0},
};

static const char *flag_name(int flag)
{
    for (const struct option *option = flags; option->name != NULL; option++) {
        if (option->val == flag)
            return option->name;
    }
    return "";
}

/* Reads a whole decimal number of [least, most]; says what is wrong with anything else. */
static bool read_number(int flag, uint64_t least, uint64_t most, uint64_t *number_out)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(optarg, &end, 10);
    bool digits = optarg[0] >= '0' && optarg[0] <= '9' && *end == '\0' && errno == 0;
    if (digits && number >= least && number <= most) {
        *number_out = number;
        return true;
    }
    fprintf(stderr, "fanwire: --%s takes a number from %llu to %llu, not '%s'\n", flag_name(flag),
            (unsigned long long)least, (unsigned long long)most, optarg);
    return false;
}

static bool read_32(int flag, uint64_t least, uint64_t most, uint32_t *number_out)
{
    uint64_t number;
    if (!read_number(flag, least, most, &number))
        return false;
    *number_out = (uint32_t)number;
    return true;
}

/* Seconds to milliseconds; 0 is "never" where it is allowed. */
static bool read_seconds(int flag, uint64_t least, uint32_t *ms_out)
{
    uint64_t seconds;
    if (!read_number(flag, least, 3600, &seconds))
        return false;
    *ms_out = seconds == 0 ? FW_UNLIMITED : (uint32_t)seconds * 1000;
    return true;
}

static bool read_engine(struct settings *settings)
{
    static const char *const names[] = {"auto", "uring", "epoll"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(optarg, names[i]) == 0) {
            settings->options.engine = (enum fw_engine_choice)i;
            return true;
        }
    }
    fprintf(stderr, "fanwire: --engine takes auto, uring or epoll, not '%s'\n", optarg);
    return false;
}

static bool add_string(int flag, const char **list, unsigned *count, unsigned most)
{
    if (*count == most) {
        fprintf(stderr, "fanwire: --%s may be given %u times\n", flag_name(flag), most);
        return false;
    }
    list[(*count)++] = optarg;
    return true;
}

/* One of the settings of --topic. */
static bool read_topic_setting(struct fw_topic_settings *topic, const char *name, const char *value)
{
    static const char *const policies[] = {"disconnect", "drop-oldest", "latest"};
    char *end;
    for (int i = 0; strcmp(name, "policy") == 0 && i < 3; i++) {
        if (strcmp(value, policies[i]) != 0)
            continue;
        topic->policy = (enum fw_slow_policy)i;
        return true;
    }
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0)
        return false;
    if (strcmp(name, "history") == 0 && number <= 1u << 24)
        topic->history_count = number == 0 ? FW_NO_HISTORY : (uint32_t)number;
    else if (strcmp(name, "bytes") == 0 && number > 0)
        topic->history_bytes = number;
    else if (strcmp(name, "age") == 0 && number > 0 && number <= AGE_SECONDS_MAX)
        topic->history_age_ms = (uint32_t)number * 1000;
    else
        return false;
    return true;
}

/* PREFIX:NAME=VALUE,... A prefix may hold colons: the settings are behind the last one. The
 * argument is cut where it stands. */
static bool read_topic(struct settings *settings)
{
    char *colon = strrchr(optarg, ':');
    if (settings->topics_count == TOPICS_MAX) {
        fprintf(stderr, "fanwire: --topic may be given %d times\n", TOPICS_MAX);
        return false;
    }
    struct fw_topic_settings *topic = &settings->topics[settings->topics_count++];
    *topic = (struct fw_topic_settings){.prefix = optarg};
    if (colon != NULL)
        *colon = '\0';
    char *rest = colon == NULL ? NULL : colon + 1;
    for (char *setting = rest; setting != NULL; setting = rest) {
        rest = strchr(setting, ',');
        if (rest != NULL)
            *rest++ = '\0';
        char *value = strchr(setting, '=');
        if (value != NULL)
            *value++ = '\0';
        if (value != NULL && read_topic_setting(topic, setting, value))
            continue;
        fprintf(stderr,
                "fanwire: --topic %s: '%s%s%s' is none of history=N, bytes=N, age=SECONDS, "
                "policy=disconnect|drop-oldest|latest\n",
                optarg, setting, value == NULL ? "" : "=", value == NULL ? "" : value);
        return false;
    }
    if (colon != NULL)
        return true;
    fprintf(stderr, "fanwire: --topic takes PREFIX:SETTINGS, not '%s'\n", optarg);
    return false;
}

static bool read_flag(struct settings *settings, int flag)
{
    struct fw_server_options *options = &settings->options;
    uint64_t number = 0;
    switch (flag) {
    case FLAG_LISTEN:
        return add_string(flag, settings->listen, &settings->listen_count, LISTEN_MAX);
    case FLAG_WORKERS:
        return read_number(flag, 1, 256, &number) && (options->workers = (unsigned)number, true);
    case FLAG_ENGINE:
        return read_engine(settings);
    case FLAG_MAX_MESSAGE:
        return read_number(flag, 1, 1u << 30, &options->message_bytes_max);
    case FLAG_MAX_FRAGMENTS:
        if (!read_32(flag, 0, 1000000000, &options->fragments_max))
            return false;
        if (options->fragments_max == 0)
            options->fragments_max = FW_UNLIMITED;
        return true;
    case FLAG_MAX_OUTPUT:
        return read_32(flag, 4096, 1u << 30, &options->output_bytes_max);
    case FLAG_MAX_CONNECTIONS:
        return read_32(flag, 1, 1000000000, &options->connections_max);
    case FLAG_PING_INTERVAL:
        return read_seconds(flag, 0, &options->ping_interval_ms);
    case FLAG_HANDSHAKE_TIMEOUT:
        return read_seconds(flag, 1, &options->handshake_timeout_ms);
    case FLAG_ALLOW_ORIGIN:
        return add_string(flag, settings->origins, &settings->origins_count, ORIGINS_MAX);
    case FLAG_ALLOW_HOST:
        return add_string(flag, settings->hosts, &settings->hosts_count, HOSTS_MAX);
    case FLAG_MAX_CONTROL_RATE:
        if (!read_32(flag, 0, 1000, &options->control_per_second))
            return false;
        if (options->control_per_second == 0)
            options->control_per_second = FW_UNLIMITED;
        return true;
    case FLAG_DEFLATE:
        options->deflate = true;
        return true;
    case FLAG_DEFLATE_MEMORY:
        return read_number(flag, 0, UINT64_MAX, &options->deflate_bytes_max);
    case FLAG_TLS_CERT:
        return add_string(flag, settings->certs, &settings->certs_count, CERTS_MAX);
    case FLAG_TLS_KEY:
        return add_string(flag, settings->keys, &settings->keys_count, CERTS_MAX);
    case FLAG_TLS_CLIENT_CA:
        options->tls_client_ca_file = optarg;
        return true;
    case FLAG_TLS_SELF_SIGNED:
        options->tls_self_signed = true;
        return true;
    case FLAG_QUIET:
        settings->quiet = true;
        return true;
    case FLAG_DEMO:
        settings->demo = true;
        return true;
    case FLAG_INSECURE_PUBLISH:
        settings->insecure_publish = true;
        return true;
    case FLAG_MAX_PUBLISH:
        return read_32(flag, 1, 1u << 30, &options->publish_bytes_max);
    case FLAG_HISTORY:
        if (!read_32(flag, 0, 1u << 24, &options->history_count))
            return false;
        if (options->history_count == 0)
            options->history_count = FW_NO_HISTORY;
        return true;
    case FLAG_HISTORY_BYTES:
        return read_number(flag, 1, UINT64_MAX, &options->history_bytes);
    case FLAG_HISTORY_AGE:
        return read_number(flag, 1, AGE_SECONDS_MAX, &number) &&
               (options->history_age_ms = (uint32_t)number * 1000, true);
    case FLAG_HISTORY_MAX:
        return read_number(flag, 1, UINT64_MAX, &options->history_total_bytes);
    case FLAG_TOPIC:
        return read_topic(settings);
    case FLAG_MAX_TOPICS:
        return read_32(flag, 64, 1000000000, &options->topics_max);
    default:
        return false; /* getopt has said what is wrong */
    }
}

bool wants_tls(const struct settings *settings)
{
    return settings->certs_count > 0 || settings->options.tls_self_signed;
}

/* What the flags of TLS say together. */
static bool check_tls(struct settings *settings)
{
    struct fw_server_options *options = &settings->options;
    const char *mistake = NULL;
    if (settings->certs_count != settings->keys_count)
        mistake = "each --tls-cert wants its --tls-key, in the same order";
    else if (settings->certs_count > 0 && options->tls_self_signed)
        mistake = "--tls-self-signed is instead of --tls-cert and --tls-key";
    else if (options->tls_client_ca_file != NULL && !wants_tls(settings))
        mistake = "--tls-client-ca wants --tls-cert and --tls-key";
    if (mistake != NULL) {
        fprintf(stderr, "fanwire: %s\n", mistake);
        return false;
    }
    if (settings->certs_count > 0) {
        options->tls_cert_files = settings->certs;
        options->tls_key_files = settings->keys;
    }
    return true;
}

int flags_read(struct settings *settings, bool serve, int argc, char **argv)
{
    *settings = (struct settings){.options = FW_SERVER_OPTIONS};
    int flag;
    optind = 1;
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        if (flag == FLAG_HELP) {
            printf("usage: fanwire %s [flags]\n\n%s%s", argv[0], common_help,
                   serve ? serve_help : "");
            return -1;
        }
        if (!serve && flag >= FLAG_DEMO && flag <= FLAG_MAX_TOPICS) {
            fprintf(stderr, "fanwire: %s does not take --%s\n", argv[0], flag_name(flag));
            return EXIT_USAGE;
        }
        if (!read_flag(settings, flag))
            return EXIT_USAGE;
    }
    if (optind < argc) {
        fprintf(stderr, "fanwire: %s does not take '%s'\n", argv[0], argv[optind]);
        return EXIT_USAGE;
    }
    if (!check_tls(settings))
        return EXIT_USAGE;
    if (settings->listen_count == 0)
        settings->listen[settings->listen_count++] = "127.0.0.1:8080";
    settings->options.topic_settings = settings->topics;
    settings->options.topic_settings_count = settings->topics_count;
    if (settings->origins_count > 0)
        settings->options.allow_origins = settings->origins;
    if (settings->hosts_count > 0)
        settings->options.allow_hosts = settings->hosts;
    return 0;
}
