/* test_settings.c: the table of settings, and their sources (tools/fanwire/settings.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tools/fanwire/settings.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct settings settings;

static int read_with(char *first, char *second)
{
    char name[] = "serve";
    char *arguments[] = {name, first, second, NULL};
    int count = first == NULL ? 1 : second == NULL ? 2 : 3;
    return settings_read(&settings, FOR_SERVE, count, arguments);
}

Test(settings, have_names_that_are_flags_and_variables_and_no_two_alike)
{
    for (unsigned row = 0; row < settings_count; row++) {
        const struct setting *setting = &settings_table[row];
        for (const char *at = setting->name; *at != '\0'; at++)
            cr_assert(islower((unsigned char)*at) || *at == '-', "%s", setting->name);
        cr_assert_eq(settings_find(setting->name, strlen(setting->name)), (int)row);
        cr_assert_eq(setting->kind == SWITCH, setting->argument == NULL, "%s", setting->name);
        cr_assert(setting->kind != CHOICE || setting->choices != NULL);
        cr_assert(setting->kind != LIST || setting->most > 0, "%s", setting->name);
        cr_assert(setting->kind == TEXT || setting->kind == SWITCH || setting->kind == CHOICE ||
                      setting->most > setting->least,
                  "%s", setting->name);
    }
}

Test(settings, suggest_what_is_near_and_nothing_that_is_not)
{
    cr_assert_str_eq(settings_nearest("max-topcs"), "max-topics");
    cr_assert_str_eq(settings_nearest("listn"), "listen");
    cr_assert_str_eq(settings_nearest("tokenkey"), "token-key");
    cr_assert_null(settings_nearest("zzzzzzzz"));
    cr_assert_null(settings_nearest(""));
    char long_name[200];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    cr_assert_null(settings_nearest(long_name));
}

Test(settings, of_a_flag_are_stronger_than_of_a_variable)
{
    char flag[] = "--max-topics=300";
    setenv("FANWIRE_MAX_TOPICS", "400", 1);
    setenv("FANWIRE_MAX_OUTPUT", "5000", 1);
    setenv("FANWIRE_LISTEN", "a:1,b:2", 1);
    cr_assert_eq(read_with(flag, NULL), 0);
    cr_assert_eq(settings.options.topics_max, 300u);
    cr_assert_eq(settings.options.output_bytes_max, 5000u);
    cr_assert_eq(settings.listen.count, 2u);
    cr_assert_str_eq(settings.listen.at[1], "b:2");
    settings_clear(&settings);
}

Test(settings, listen_on_this_machine_when_nobody_says_where)
{
    cr_assert_eq(read_with(NULL, NULL), 0);
    cr_assert_eq(settings.listen.count, 1u);
    cr_assert_str_eq(settings.listen.at[0], "127.0.0.1:8080");
    settings_clear(&settings);
}

Test(settings, that_are_wrong_are_refused)
{
    static const char *const flags[] = {"--max-topics=63",
                                        "--max-topics=",
                                        "--max-topics=1x",
                                        "--max-topics=-1",
                                        "--max-topics= 100",
                                        "--max-topics=1e9",
                                        "--engine=fast",
                                        "--deflate=perhaps",
                                        "--listen=",
                                        "--workers=257",
                                        "--ping-interval=3601",
                                        "--no-such-flag",
                                        "--max-topics=99999999999999999999",
                                        "--history=16777217",
                                        "--history-bytes=0",
                                        "--history-age=604801",
                                        "--topic=prices.",
                                        "--topic=prices.:",
                                        "--topic=prices.:history",
                                        "--topic=prices.:history=",
                                        "--topic=prices.:history=16777217",
                                        "--topic=prices.:bytes=0",
                                        "--topic=prices.:age=604801",
                                        "--topic=prices.:policy=newest",
                                        "--topic=prices.:history=1,",
                                        "--topic=prices.:history=1 ",
                                        "--topic=prices.:history=-1",
                                        "word",
                                        "-x"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        char flag[64];
        strcpy(flag, flags[i]);
        cr_assert_eq(read_with(flag, NULL), EXIT_USAGE, "%s", flags[i]);
        settings_clear(&settings);
    }
}

Test(settings, take_zero_for_never_where_that_is_meant)
{
    char never[] = "--ping-interval=0";
    char on[] = "--deflate";
    cr_assert_eq(read_with(never, on), 0);
    cr_assert_eq(settings.options.ping_interval_ms, FW_UNLIMITED);
    cr_assert(settings.options.deflate);
    settings_clear(&settings);
}

Test(settings, of_topics_are_read_by_prefix_which_may_hold_colons)
{
    char two[] = "--topic=prices.:history=1000,bytes=5,age=60,policy=latest";
    char three[] = "--topic=a:b:history=0";
    cr_assert_eq(read_with(two, three), 0);
    const struct fw_topic_settings *topics = settings.options.topic_settings;
    cr_assert_eq(settings.options.topic_settings_count, 2u);
    cr_assert_str_eq(topics[0].prefix, "prices.");
    cr_assert_eq(topics[0].history_count, 1000u);
    cr_assert_eq(topics[0].history_bytes, 5u);
    cr_assert_eq(topics[0].history_age_ms, 60000u);
    cr_assert_eq(topics[0].policy, FW_SLOW_LATEST);
    cr_assert_str_eq(topics[1].prefix, "a:b");
    cr_assert_eq(topics[1].history_count, FW_NO_HISTORY);
    settings_clear(&settings);
}

Test(settings, of_topics_in_a_variable_are_separated_by_spaces)
{
    setenv("FANWIRE_TOPIC", "a.:history=3,age=2 b.:policy=drop-oldest", 1);
    cr_assert_eq(read_with(NULL, NULL), 0);
    cr_assert_eq(settings.options.topic_settings_count, 2u);
    cr_assert_eq(settings.options.topic_settings[0].history_age_ms, 2000u);
    cr_assert_eq(settings.options.topic_settings[1].policy, FW_SLOW_DROP_OLDEST);
    settings_clear(&settings);
    unsetenv("FANWIRE_TOPIC");
}

Test(settings, of_history_take_zero_for_none)
{
    char none[] = "--history=0";
    char age[] = "--history-age=604800";
    cr_assert_eq(read_with(none, age), 0);
    cr_assert_eq(settings.options.history_count, FW_NO_HISTORY);
    cr_assert_eq(settings.options.history_age_ms, 604800000u);
    settings_clear(&settings);
}

/* A file cut off anywhere is read or refused, and nothing worse. */
Test(settings, of_a_file_cut_anywhere_are_read_or_refused)
{
    static const char text[] = "# settings\nlisten: [127.0.0.1:1, \"unix:/a b\"]\ndeflate: yes\n"
                               "max-topics: 100\nallow-origin:\n  - https://a.example\n";
    char path[] = "/tmp/fanwire-settings-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    for (size_t cut = 0; cut < sizeof text; cut++) {
        cr_assert_eq(ftruncate(fd, 0), 0);
        cr_assert_eq(pwrite(fd, text, cut, 0), (ssize_t)cut);
        settings_init(&settings);
        bool good = settings_read_file(&settings, FOR_SERVE, path);
        if (cut == sizeof text - 1) {
            cr_assert(good);
            cr_assert_eq(settings.listen.count, 2u);
            cr_assert_str_eq(settings.listen.at[1], "unix:/a b");
            cr_assert_str_eq(settings.origins.at[0], "https://a.example");
            cr_assert_eq(settings.options.topics_max, 100u);
        }
        settings_clear(&settings);
    }
    close(fd);
    unlink(path);
}

/* YAML 1.1, section 5.1: what ends lines, or is refused, is escaped where it is shown. */
Test(settings, that_are_shown_are_read_again)
{
    static const char text[] = "\"\\ \x01\x7f caf\xc3\xa9 \xc2\x80 \xc2\x85 \xc2\x9f \xc2\xa0 "
                               "\xe2\x80\xa7 \xe2\x80\xa8 \xe2\x80\xa9 \xef\xbb\xbf \xef\xbf\xbd "
                               "\xef\xbf\xbe \xef\xbf\xbf \xf0\x9f\x9a\x80";
    char path[] = "/tmp/fanwire-settings-XXXXXX";
    int row = settings_find("token-audience", strlen("token-audience"));
    const struct origin flag = {.source = FROM_FLAG};
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    FILE *file = fdopen(fd, "w");
    settings_init(&settings);
    cr_assert(settings_set(&settings, (unsigned)row, text, flag, "--token-audience"));
    fputs("token-audience: ", file);
    settings_print(&settings, (unsigned)row, file);
    fclose(file);
    settings_clear(&settings);
    settings_init(&settings);
    cr_assert(settings_read_file(&settings, FOR_SERVE, path));
    cr_assert_str_eq(settings.token_audience, text);
    settings_clear(&settings);
    unlink(path);
}

/* One row of each kind: what only a restart changes is kept, told when it differs, and only then.
 */
Test(settings, that_take_a_restart_stay_as_they_run)
{
    static const struct {
        const char *name;
        const char *one;
        const char *other;
    } rows[] = {{"tls-client-ca", "/a", "/b"}, {"listen", "a:1", "a:2"},
                {"demo", "true", "false"},     {"max-output", "5000", "5001"},
                {"history-bytes", "10", "11"}, {"ping-interval", "1", "2"},
                {"engine", "uring", "epoll"},  {"token-audience", "a", "b"}};
    static struct settings fresh;
    const struct origin flag = {.source = FROM_FLAG};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned row = (unsigned)settings_find(rows[i].name, strlen(rows[i].name));
        bool reloads = settings_table[row].reloads;
        for (int kind = 0; kind < 4; kind++) { /* bits: the running one is set, the fresh one is */
            const char *value = kind == 3 ? rows[i].other : rows[i].one;
            bool differs[SETTINGS_MAX];
            settings_init(&settings);
            settings_init(&fresh);
            cr_assert(!(kind & 1) || settings_set(&settings, row, rows[i].one, flag, "a"));
            cr_assert(!(kind & 2) || settings_set(&fresh, row, value, flag, "a"));
            settings_keep(&fresh, &settings, differs);
            cr_assert_eq(differs[row], !reloads && kind != 0, "%s %d", rows[i].name, kind);
            cr_assert(reloads || fresh.origins_of[row].source == settings.origins_of[row].source);
            settings_keep(&fresh, &settings, differs);
            cr_assert(!differs[row], "%s %d", rows[i].name, kind);
            settings_clear(&fresh);
            settings_clear(&settings);
        }
    }
}
