/* fuzz_settings.c: libFuzzer target of the command's settings (tools/fanwire/settings.h).
 *
 * Lines at the front that begin with "--" are flags, those that begin with "FANWIRE_" variables;
 * the rest is the file, fanwire.yaml(5). The oracle: a mistake is told on stderr, in a line of
 * ours; a value is within the bounds of its row in the table; and what was read, written as
 * `fanwire config show` writes it, is a file that means the same, with every flag and variable in
 * it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "tools/fanwire/settings.h"

#include "proto/utf8.h"

#include <fcntl.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#define INPUT_BYTES_MAX 4096
#define FLAGS_MAX       16
#define VARIABLES_MAX   16

extern char **environ;

struct input {
    char *arguments[FLAGS_MAX + 4];
    int arguments_count;
    char *variables[VARIABLES_MAX + 1];
    unsigned variables_count;
    struct fw_bytes file;
};

/* ---- streams of its own ---------------------------------------------------------------------- */

/* What the code under test says, instead of on stderr and stdout. */
struct capture {
    FILE *stdout_before;
    FILE *stderr_before;
    FILE *said;
    char *text;
    size_t count;
};

static void begin_capture(struct capture *capture)
{
    *capture = (struct capture){.stdout_before = stdout, .stderr_before = stderr};
    capture->said = open_memstream(&capture->text, &capture->count);
    require(capture->said != NULL, "memory");
    stdout = capture->said;
    stderr = capture->said;
}

static void end_capture(struct capture *capture)
{
    stdout = capture->stdout_before;
    stderr = capture->stderr_before;
    fclose(capture->said);
}

/* ---- the input ------------------------------------------------------------------------------- */

/* A file without a place, by its descriptor's name. */
static int open_file(struct fw_bytes bytes, char path_out[32])
{
    int fd = memfd_create("fanwire.yaml", MFD_CLOEXEC);
    require(fd >= 0, "a file");
    require(write(fd, bytes.at, bytes.count) == (ssize_t)bytes.count, "its octets");
    snprintf(path_out, 32, "/proc/self/fd/%d", fd);
    return fd;
}

static bool begins_with(struct fw_bytes text, const char *prefix)
{
    size_t count = strlen(prefix);
    return text.count >= count && strncasecmp((const char *)text.at, prefix, count) == 0;
}

/* Only the file that is given is read, however much of its flag's name is written. */
static bool names_a_file(struct fw_bytes line)
{
    return begins_with(line, "--co") || begins_with(line, "FANWIRE_CONFIG");
}

static void read_input(struct fw_bytes rest, struct input *input)
{
    for (struct fw_bytes before = rest; rest.count > 0; before = rest) {
        struct fw_bytes line = cut_at(&rest, '\n');
        bool flag = begins_with(line, "--") && input->arguments_count < FLAGS_MAX + 2;
        bool variable = begins_with(line, "FANWIRE_") && input->variables_count < VARIABLES_MAX;
        if (!flag && !variable) {
            input->file = before;
            return;
        }
        if (names_a_file(line))
            continue;
        if (flag)
            input->arguments[input->arguments_count++] = string_of(line);
        else
            input->variables[input->variables_count++] = string_of(line);
    }
}

static void free_input(struct input *input)
{
    for (int i = 2; i < input->arguments_count; i++)
        free(input->arguments[i]);
    for (unsigned i = 0; i < input->variables_count; i++)
        free(input->variables[i]);
}

/* ---- the oracle ------------------------------------------------------------------------------ */

static void require_bounds(const struct settings *settings, const struct setting *setting)
{
    const void *member = (const char *)settings + setting->offset;
    uint64_t number =
        setting->kind == LARGE ? *(const uint64_t *)member : *(const uint32_t *)member;
    if (number == FW_UNLIMITED && setting->zero_is_never)
        return;
    if (setting->kind == SECONDS) {
        require(number % 1000 == 0, "whole seconds");
        number /= 1000;
    }
    require(number >= setting->least && number <= setting->most, "within the bounds of its row");
}

static void require_list(const struct settings *settings, const struct setting *setting)
{
    const struct list *list = (const void *)((const char *)settings + setting->offset);
    require(list->count >= 1 && list->count <= setting->most, "so many of a list");
    for (unsigned i = 0; i < list->count; i++)
        require(list->at[i][0] != '\0', "nothing in a list is empty");
    require(list->at[list->count] == NULL, "a list ends");
}

static void require_row(const struct settings *settings, unsigned row)
{
    const struct setting *setting = &settings_table[row];
    switch (setting->kind) {
    case TEXT:
        require(**(const char *const *)(const void *)((const char *)settings + setting->offset) !=
                    '\0',
                "a text");
        break;
    case LIST:
        require_list(settings, setting);
        break;
    case NUMBER:
    case LARGE:
    case SECONDS:
        require_bounds(settings, setting);
        break;
    case SWITCH:
    case CHOICE:
        break;
    }
}

/* All that somebody has set, as a file; the caller's to free. */
static char *write_settings(const struct settings *settings)
{
    char *text;
    size_t count;
    FILE *out = open_memstream(&text, &count);
    require(out != NULL, "memory");
    for (unsigned row = 0; row < settings_count; row++) {
        if (settings->origins_of[row].source == FROM_DEFAULT ||
            strcmp(settings_table[row].name, "config") == 0)
            continue;
        require_row(settings, row);
        fprintf(out, "%s: ", settings_table[row].name);
        settings_print(settings, row, out);
        putc('\n', out);
    }
    fclose(out);
    return text;
}

static void require_same_topics(const struct settings *a, const struct settings *b)
{
    require(a->options.topic_settings_count == b->options.topic_settings_count, "topics");
    for (size_t i = 0; i < a->options.topic_settings_count; i++) {
        const struct fw_topic_settings *one = &a->topic_settings[i];
        const struct fw_topic_settings *other = &b->topic_settings[i];
        require(strcmp(one->prefix, other->prefix) == 0 &&
                    one->history_count == other->history_count &&
                    one->history_bytes == other->history_bytes &&
                    one->history_age_ms == other->history_age_ms && one->policy == other->policy,
                "what a topic's settings say");
    }
}

/* Reads what was written, and compares. */
static void check_again(const struct settings *settings)
{
    char *written = write_settings(settings);
    char path[32];
    int fd = open_file(fw_bytes_of(written), path);
    char name[] = "serve";
    char flag[] = "--config";
    char *arguments[] = {name, flag, path, NULL};
    struct settings again;
    struct capture capture;
    begin_capture(&capture);
    int result = settings_read(&again, FOR_SERVE, 3, arguments);
    end_capture(&capture);
    require(result == 0, capture.text);
    free(capture.text);
    char *twice = write_settings(&again);
    require(strcmp(written, twice) == 0, "what is written means the same");
    require_same_topics(settings, &again);
    free(written);
    free(twice);
    settings_clear(&again);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings;
    struct capture capture;
    struct input input = {.arguments_count = 2};
    char name[] = "serve";
    char path[32];
    char config[64];
    /* YAML cannot say what is not UTF-8: of such settings there is nothing to compare. */
    if (size > INPUT_BYTES_MAX || !fw_utf8_valid(data, size))
        return -1;
    read_input((struct fw_bytes){data, size}, &input);
    int fd = open_file(input.file, path);
    snprintf(config, sizeof config, "--config=%s", path);
    input.arguments[0] = name;
    input.arguments[1] = config;
    char **environ_before = environ;
    environ = input.variables;
    begin_capture(&capture);
    int result = settings_read(&settings, FOR_SERVE, input.arguments_count, input.arguments);
    end_capture(&capture);
    bool ours = strncmp(capture.text, "fanwire: ", 9) == 0;
    require(result != EXIT_USAGE || ours, "a mistake is told");
    require(result == EXIT_USAGE || result == 0 || result == -1, "a result that is documented");
    require(result != 0 || capture.count == 0 || ours, "what else it says is ours");
    free(capture.text);
    environ = (char *[]){NULL};
    if (result == 0)
        check_again(&settings);
    environ = environ_before;
    settings_clear(&settings);
    free_input(&input);
    close(fd);
    return 0;
}
