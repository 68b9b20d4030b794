/* token.c: `fanwire token`: makes tokens, and keys to make them with.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATTERNS_BYTES 4097
#define KEY_TEXT_BYTES 512
#define PATH_BYTES     4096
/* A token that lives longer is a password: ten years. */
#define EXPIRES_S_MAX 315360000u

static const char help[] =
    "usage: fanwire token --key FILE [flags]        make a token, on standard output\n"
    "       fanwire token --new-key KIND --key FILE make a key, and its public half FILE.pub\n"
    "\n"
    "  --key FILE           a JWK, PEM, or a secret of 32 to 512 octets; it must be able to sign\n"
    "  --id NAME            the key's id: of a new key, or which one of a set\n"
    "  --sub NAME           who the token is for\n"
    "  --subscribe PATTERN  a topic, or 'prices.*'; repeatable\n"
    "  --publish PATTERN    the same for publishing\n"
    "  --observe            may read /metrics and /debug\n"
    "  --expires TIME       from now: 30s, 15m, 1h, 7d (1h)\n"
    "  --not-before TIME    from now (at once)\n"
    "  --aud NAME           the audience that the server has (none)\n"
    "  --iss NAME           the issuer that the server wants (none)\n"
    "  --new-key KIND       hs256 (a shared secret), es256 or eddsa (key pairs)\n"
    "  --help\n";

enum flag {
    FLAG_KEY = 256,
    FLAG_ID,
    FLAG_SUB,
    FLAG_SUBSCRIBE,
    FLAG_PUBLISH,
    FLAG_OBSERVE,
    FLAG_EXPIRES,
    FLAG_NOT_BEFORE,
    FLAG_AUD,
    FLAG_ISS,
    FLAG_NEW_KEY,
    FLAG_HELP,
};

static const struct option flags[] = {
    {"key", required_argument, NULL, FLAG_KEY},
    {"id", required_argument, NULL, FLAG_ID},
    {"sub", required_argument, NULL, FLAG_SUB},
    {"subscribe", required_argument, NULL, FLAG_SUBSCRIBE},
    {"publish", required_argument, NULL, FLAG_PUBLISH},
    {"observe", no_argument, NULL, FLAG_OBSERVE},
    {"expires", required_argument, NULL, FLAG_EXPIRES},
    {"not-before", required_argument, NULL, FLAG_NOT_BEFORE},
    {"aud", required_argument, NULL, FLAG_AUD},
    {"iss", required_argument, NULL, FLAG_ISS},
    {"new-key", required_argument, NULL, FLAG_NEW_KEY},
    {"help", no_argument, NULL, FLAG_HELP},
    {NULL, 0, NULL, 0},
};

struct order {
    struct fw_token_claims claims;
    const char *key_path;
    const char *id;
    const char *new_key;
    uint64_t expires_s;
    uint64_t not_before_s;
    char subscribe[PATTERNS_BYTES];
    char publish[PATTERNS_BYTES];
    bool help;
};

/* ---- flags ----------------------------------------------------------------------------------- */

/* "90s", "15m", "1h", "7d" or "90"; false for anything else, and for more than ten years. */
static bool read_duration(const char *text, uint64_t *seconds_out)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    uint64_t unit = *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 1;
    if (*end != '\0' && strchr("smhd", *end) != NULL)
        end++;
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
        number > EXPIRES_S_MAX / unit)
        return false;
    *seconds_out = number * unit;
    return true;
}

static bool read_time(const char *flag, uint64_t *seconds_out)
{
    if (read_duration(optarg, seconds_out))
        return true;
    fprintf(stderr, "fanwire: --%s takes a time like 30s, 15m, 1h or 7d, not '%s'\n", flag, optarg);
    return false;
}

static bool add_pattern(char *list, const char *flag)
{
    size_t used = strlen(list);
    if (used + 1 + strlen(optarg) >= PATTERNS_BYTES) {
        fprintf(stderr, "fanwire: --%s: the patterns are longer than 4096 characters\n", flag);
        return false;
    }
    if (used > 0)
        list[used++] = ' ';
    strcpy(list + used, optarg);
    return true;
}

static bool read_flag(struct order *order, int flag)
{
    switch (flag) {
    case FLAG_KEY:
        order->key_path = optarg;
        return true;
    case FLAG_ID:
        order->id = optarg;
        return true;
    case FLAG_SUB:
        order->claims.subject = optarg;
        return true;
    case FLAG_SUBSCRIBE:
        order->claims.subscribe = order->subscribe;
        return add_pattern(order->subscribe, "subscribe");
    case FLAG_PUBLISH:
        order->claims.publish = order->publish;
        return add_pattern(order->publish, "publish");
    case FLAG_OBSERVE:
        order->claims.observe = true;
        return true;
    case FLAG_EXPIRES:
        return read_time("expires", &order->expires_s);
    case FLAG_NOT_BEFORE:
        return read_time("not-before", &order->not_before_s);
    case FLAG_AUD:
        order->claims.audience = optarg;
        return true;
    case FLAG_ISS:
        order->claims.issuer = optarg;
        return true;
    case FLAG_NEW_KEY:
        order->new_key = optarg;
        return true;
    case FLAG_HELP:
        order->help = true;
        return true;
    default:
        return false; /* getopt has said what is wrong */
    }
}

static bool read_order(struct order *order, int argc, char **argv)
{
    int flag;
    optind = 1;
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        if (!read_flag(order, flag))
            return false;
    }
    if (optind < argc) {
        fprintf(stderr, "fanwire: token does not take '%s'\n", argv[optind]);
        return false;
    }
    if (order->key_path == NULL && !order->help) {
        fputs("fanwire: token needs --key FILE; fanwire token --help says more\n", stderr);
        return false;
    }
    return true;
}

/* ---- making a key ---------------------------------------------------------------------------- */

/* Writes a new file; an old one stays as it is. */
static bool write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    size_t count = strlen(text);
    bool good = fd >= 0 && write(fd, text, count) == (ssize_t)count && fsync(fd) == 0;
    if (!good)
        fprintf(stderr, "fanwire: cannot write '%s': %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return good;
}

static int make_key(const struct order *order)
{
    static const char *const names[] = {"hs256", "rs256", "es256", "eddsa"};
    char private_text[KEY_TEXT_BYTES];
    char public_text[KEY_TEXT_BYTES];
    char public_path[PATH_BYTES];
    int kind = -1;
    for (int i = 0; i < 4; i++)
        kind = strcmp(order->new_key, names[i]) == 0 ? i : kind;
    if (kind < 0 || kind == FW_RS256) {
        fprintf(stderr,
                "fanwire: --new-key takes hs256, es256 or eddsa, not '%s' (RSA keys: openssl "
                "genrsa)\n",
                order->new_key);
        return EXIT_USAGE;
    }
    int result = fw_key_generate((enum fw_algorithm)kind, order->id, private_text,
                                 sizeof private_text, public_text, sizeof public_text);
    if (result != 0) {
        fprintf(stderr, "fanwire: cannot make a key: %s\n", fw_status_text(result));
        return result == FW_ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
    }
    snprintf(public_path, sizeof public_path, "%s.pub", order->key_path);
    bool good = write_file(order->key_path, private_text, 0600) &&
                (public_text[0] == '\0' || write_file(public_path, public_text, 0644));
    explicit_bzero(private_text, sizeof private_text);
    return good ? EXIT_DONE : EXIT_FAILED;
}

/* ---- making a token -------------------------------------------------------------------------- */

static ssize_t read_keys(const char *path, fw_key **keys)
{
    static char text[65537];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (count < 0)
        fprintf(stderr, "fanwire: cannot read '%s': %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (count < 0)
        return count;
    ssize_t keys_count = fw_keys_read(text, (size_t)count, keys);
    explicit_bzero(text, sizeof text);
    if (keys_count < 0)
        fprintf(stderr, "fanwire: '%s': %s\n", path, fw_status_text((int)keys_count));
    return keys_count;
}

/* Signs with the key at hand, and prints. */
static int print_token(const struct order *order, const fw_key *key)
{
    char token[FW_TOKEN_BYTES_MAX + 1];
    struct fw_token_claims claims = order->claims;
    uint64_t now_s = (uint64_t)time(NULL);
    claims.expires_s = now_s + order->expires_s;
    claims.not_before_s = order->not_before_s > 0 ? now_s + order->not_before_s : 0;
    ssize_t count = fw_token_make(key, &claims, token);
    if (count == FW_ERR_KEY)
        fprintf(stderr, "fanwire: '%s' can check tokens, not make them: give the private key\n",
                order->key_path);
    else if (count == FW_ERR_USAGE)
        fputs("fanwire: a pattern is a topic's name, or a beginning and '*'; texts are UTF-8, and "
              "a token is at most 8 KiB\n",
              stderr);
    else if (count < 0)
        fprintf(stderr, "fanwire: cannot sign: %s\n", fw_status_text((int)count));
    if (count < 0)
        return count == FW_ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
    puts(token);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int make_token(const struct order *order)
{
    fw_key *keys[FW_KEYS_MAX];
    ssize_t count = read_keys(order->key_path, keys);
    if (count < 0)
        return EXIT_FAILED;
    const fw_key *chosen = NULL;
    for (ssize_t i = 0; i < count && chosen == NULL; i++) {
        const char *id = fw_key_id(keys[i]);
        if (order->id == NULL ? count == 1 : id != NULL && strcmp(id, order->id) == 0)
            chosen = keys[i];
    }
    int result = EXIT_USAGE;
    if (chosen != NULL)
        result = print_token(order, chosen);
    else
        fprintf(stderr, "fanwire: '%s' holds %zd keys; --id says which\n", order->key_path, count);
    for (ssize_t i = 0; i < count; i++)
        fw_key_destroy(keys[i]);
    return result;
}

int token_main(int argc, char **argv)
{
    static struct order order = {.claims = FW_TOKEN_CLAIMS, .expires_s = 3600};
    if (!read_order(&order, argc, argv))
        return EXIT_USAGE;
    if (order.help) {
        fputs(help, stdout);
        return EXIT_DONE;
    }
    return order.new_key != NULL ? make_key(&order) : make_token(&order);
}
