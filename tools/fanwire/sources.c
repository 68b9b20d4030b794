/* sources.c: flags and environment into settings; the help (settings.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "settings.h"
#include "watch.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define FLAG_HELP   ((int)SETTINGS_MAX + 256)
#define NAME_BYTES  64
#define VALUE_BYTES 8192

extern char **environ;

static void print_help(const char *name, unsigned command)
{
    printf("usage: fanwire %s [flags]\n\n", name);
    for (unsigned row = 0; row < settings_count; row++) {
        const struct setting *setting = &settings_table[row];
        char flag[NAME_BYTES];
        if ((setting->commands & command) == 0)
            continue;
        snprintf(flag, sizeof flag, "--%s %s", setting->name,
                 setting->argument == NULL ? "" : setting->argument);
        printf("  %-31s %s", flag, setting->help);
        if (setting->standard != NULL && setting->kind != SWITCH)
            printf(" (%s)", setting->standard);
        putchar('\n');
    }
    printf(
        "  --help\n\n"
        "Each is also a key of the file and a variable: FANWIRE_MAX_MESSAGE for --max-message.\n");
}

/* ---- flags ----------------------------------------------------------------------------------- */

static void make_flags(struct option *flags, unsigned command)
{
    unsigned count = 0;
    for (unsigned row = 0; row < settings_count; row++) {
        const struct setting *setting = &settings_table[row];
        int argument = setting->kind == SWITCH ? optional_argument : required_argument;
        if (setting->commands & command)
            flags[count++] = (struct option){setting->name, argument, NULL, 256 + (int)row};
    }
    flags[count++] = (struct option){"help", no_argument, NULL, FLAG_HELP};
    flags[count] = (struct option){NULL, 0, NULL, 0};
}

/* A flag that the other command has is told apart from one that there is not. */
static int say_unknown(const char *command, const char *flag)
{
    char name[NAME_BYTES];
    const char *nearest;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(flag, "="), flag);
    if (strncmp(name, "--", 2) != 0 || settings_find(name + 2, strlen(name + 2)) >= 0)
        say_mistake("%s does not take %s", command, name);
    else if ((nearest = settings_nearest(name + 2)) != NULL)
        say_mistake("there is no flag %s; did you mean --%s?", name, nearest);
    else
        say_mistake("there is no flag %s; fanwire %s --help lists them", name, command);
    return EXIT_USAGE;
}

static int read_flags(struct settings *settings, unsigned command, int argc, char **argv)
{
    struct option flags[SETTINGS_MAX + 2];
    char what[NAME_BYTES];
    int flag;
    make_flags(flags, command);
    optind = 1;
    opterr = 0;
    while ((flag = getopt_long(argc, argv, ":", flags, NULL)) != -1) {
        if (flag == FLAG_HELP) {
            print_help(argv[0], command);
            return -1;
        }
        if (flag == '?')
            return say_unknown(argv[0], argv[optind - 1]);
        if (flag == ':') {
            say_mistake("%s needs a value", argv[optind - 1]);
            return EXIT_USAGE;
        }
        snprintf(what, sizeof what, "--%s", settings_table[flag - 256].name);
        const struct origin origin = {.source = FROM_FLAG};
        if (!settings_set(settings, (unsigned)flag - 256, optarg == NULL ? "true" : optarg, origin,
                          what))
            return EXIT_USAGE;
    }
    if (optind == argc)
        return 0;
    say_mistake("%s does not take '%s'", argv[0], argv[optind]);
    return EXIT_USAGE;
}

/* ---- environment ----------------------------------------------------------------------------- */

/* FANWIRE_MAX_TOPICS as max-topics; false when it is too long to be a name. */
static bool name_of(const char *variable, size_t count, char *name)
{
    if (count >= NAME_BYTES)
        return false;
    for (size_t i = 0; i < count; i++)
        name[i] = variable[i] == '_' ? '-' : (char)tolower((unsigned char)variable[i]);
    name[count] = '\0';
    return true;
}

/* Sets a variable's value, or each part of a list between commas. */
static bool set_variable(struct settings *settings, unsigned row, const char *value,
                         const char *what)
{
    const struct origin origin = {.source = FROM_VARIABLE};
    char part[VALUE_BYTES];
    if (settings_table[row].kind != LIST)
        return settings_set(settings, row, value, origin, what);
    const char *separator = settings_table[row].has_commas ? " " : ",";
    for (;;) {
        size_t count = strcspn(value, separator);
        if (count >= sizeof part) {
            say_mistake("%s is too long", what);
            return false;
        }
        snprintf(part, sizeof part, "%.*s", (int)count, value);
        if (!settings_set(settings, row, part, origin, what))
            return false;
        if (value[count] == '\0')
            return true;
        value += count + 1;
    }
}

/* Variables for the library, and those that other programs of ours read. */
static bool is_foreign(const char *name)
{
    return strcmp(name, "simd") == 0 || strcmp(name, "wolfssl") == 0 || strcmp(name, "bin") == 0;
}

static bool read_environment(struct settings *settings, unsigned command)
{
    static const char prefix[] = "FANWIRE_";
    for (char **at = environ; *at != NULL; at++) {
        const char *variable = *at;
        size_t count = strcspn(variable, "=");
        char name[NAME_BYTES];
        char what[NAME_BYTES + 8];
        if (strncmp(variable, prefix, sizeof prefix - 1) != 0 || variable[count] == '\0' ||
            !name_of(variable + sizeof prefix - 1, count - (sizeof prefix - 1), name))
            continue;
        int row = settings_find(name, strlen(name));
        snprintf(what, sizeof what, "%.*s", (int)count, variable);
        if (row < 0) {
            const char *nearest = settings_nearest(name);
            if (!is_foreign(name)) /* not an error: the variables of a machine are not all ours */
                say_mistake("%s is no setting%s%s", what, nearest == NULL ? "" : "; did you mean ",
                            nearest == NULL ? "" : nearest);
            continue;
        }
        if ((settings_table[row].commands & command) != 0 &&
            !set_variable(settings, (unsigned)row, variable + count + 1, what))
            return false;
    }
    return true;
}

bool settings_want_tls(const struct settings *settings)
{
    return settings->tls_certs.count > 0 || settings->options.tls_self_signed;
}

/* What the settings of TLS say together. */
static bool check_tls(struct settings *settings)
{
    struct fw_server_options *options = &settings->options;
    const char *mistake = NULL;
    if (settings->tls_certs.count != settings->tls_keys.count)
        mistake = "each --tls-cert wants its --tls-key, in the same order";
    else if (settings->tls_certs.count > 0 && options->tls_self_signed)
        mistake = "--tls-self-signed is instead of --tls-cert and --tls-key";
    else if (options->tls_client_ca_file != NULL && !settings_want_tls(settings))
        mistake = "--tls-client-ca wants --tls-cert and --tls-key";
    if (mistake != NULL) {
        say_mistake("%s", mistake);
        return false;
    }
    if (settings->tls_certs.count > 0) {
        options->tls_cert_files = settings->tls_certs.at;
        options->tls_key_files = settings->tls_keys.at;
    }
    return true;
}

/* ---- all of them ----------------------------------------------------------------------------- */

int settings_read(struct settings *settings, unsigned command, int argc, char **argv)
{
    settings_init(settings);
    int result = read_flags(settings, command, argc, argv);
    if (result != 0)
        return result;
    if (!read_environment(settings, command))
        return EXIT_USAGE;
    if (settings->config != NULL && !settings_read_file(settings, command, settings->config))
        return EXIT_USAGE;
    if (settings->listen.count == 0)
        watch_inherited(settings);
    if (settings->listen.count == 0)
        settings->listen.at[settings->listen.count++] = "127.0.0.1:8080";
    if (!check_tls(settings) || !settings_read_topics(settings))
        return EXIT_USAGE;
    if (settings->hosts.count > 0)
        settings->options.allow_hosts = settings->hosts.at;
    if (settings->proxies.count > 0)
        settings->options.trusted_proxies = settings->proxies.at;
    if (settings->origins.count > 0)
        settings->options.allow_origins = settings->origins.at;
    return 0;
}
