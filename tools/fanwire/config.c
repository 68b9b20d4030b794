/* config.c: `fanwire config check|show`: what a server would be told, and by whom.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "settings.h"

#include <string.h>

static const char usage[] =
    "usage: fanwire config check [flags of serve]   whether a server could start with this\n"
    "       fanwire config show [flags of serve]    every setting, and where its value comes "
    "from\n";

static void show_origin(const struct settings *settings, unsigned row)
{
    const struct origin *origin = &settings->origins_of[row];
    const char *name = settings_table[row].name;
    switch (origin->source) {
    case FROM_DEFAULT:
        printf("  # default\n");
        break;
    case FROM_FILE:
        printf("  # %s:%u\n", settings->config, origin->line);
        break;
    case FROM_VARIABLE:
        printf("  # FANWIRE_");
        for (; *name != '\0'; name++)
            putchar(*name == '-' ? '_' : *name >= 'a' && *name <= 'z' ? *name - 32 : *name);
        putchar('\n');
        break;
    case FROM_FLAG:
        printf("  # --%s\n", name);
        break;
    }
}

static void show(const struct settings *settings)
{
    for (unsigned row = 0; row < settings_count; row++) {
        const struct setting *setting = &settings_table[row];
        bool is_set = settings->origins_of[row].source != FROM_DEFAULT;
        if (strcmp(setting->name, "config") == 0)
            continue;
        /* What the library fills in is no value of ours: it is shown as the table says it. */
        if (is_set) {
            printf("%s: ", setting->name);
            settings_print(settings, row, stdout);
        } else {
            printf("# %s: %s", setting->name, setting->standard == NULL ? "" : setting->standard);
        }
        show_origin(settings, row);
    }
}

int config_main(int argc, char **argv)
{
    struct settings settings;
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    if (strcmp(verb, "check") != 0 && strcmp(verb, "show") != 0) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    int result = settings_read(&settings, FOR_SERVE, argc - 1, argv + 1);
    if (result == 0 && strcmp(verb, "show") == 0)
        show(&settings);
    if (result == 0 && strcmp(verb, "check") == 0) {
        result = serve_check(&settings);
        if (result == 0)
            result = check_server(&settings);
        if (result == 0)
            puts("the settings are good");
    }
    settings_clear(&settings);
    return result < 0 ? EXIT_DONE : result;
}
