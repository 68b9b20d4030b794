/* file.c: the YAML file into settings (fanwire.yaml(5)): one flat mapping of names to values.
 *
 * libyaml's events, not a tree: they carry the lines that messages and `config show` name. Anchors,
 * aliases and nesting are refused, as is a key that occurs twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "settings.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#define WHAT_BYTES 512

struct reader {
    struct settings *settings;
    const char *path;
    unsigned command;
    yaml_parser_t parser;
    yaml_event_t event;
    bool seen[SETTINGS_MAX];
};

static unsigned line_of(const struct reader *reader)
{
    return (unsigned)reader->event.start_mark.line + 1;
}

static bool complain(const struct reader *reader, const char *what)
{
    say_mistake("%s:%u: %s", reader->path, line_of(reader), what);
    return false;
}

/* The next event replaces the last one. */
static bool next(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (yaml_parser_parse(&reader->parser, &reader->event))
        return true;
    say_mistake("%s:%zu: this is not YAML: %s", reader->path, reader->parser.problem_mark.line + 1,
                reader->parser.problem == NULL ? "it cannot be read" : reader->parser.problem);
    memset(&reader->event, 0, sizeof reader->event);
    return false;
}

/* The event's text, without NUL octets in it; NULL when it is no scalar. */
static const char *scalar(const struct reader *reader)
{
    const char *value = (const char *)reader->event.data.scalar.value;
    if (reader->event.type != YAML_SCALAR_EVENT || reader->event.data.scalar.anchor != NULL ||
        strlen(value) != reader->event.data.scalar.length)
        return NULL;
    return value;
}

static bool set(struct reader *reader, unsigned row)
{
    char what[WHAT_BYTES];
    const struct origin origin = {.source = FROM_FILE, .line = line_of(reader)};
    const char *value = scalar(reader);
    if (value == NULL)
        return complain(reader, "a value is a text or a number, or a list of them");
    snprintf(what, sizeof what, "%s:%u: %s", reader->path, origin.line, settings_table[row].name);
    return settings_set(reader->settings, row, value, origin, what);
}

static bool read_value(struct reader *reader, unsigned row)
{
    if (!next(reader))
        return false;
    if (reader->event.type != YAML_SEQUENCE_START_EVENT)
        return set(reader, row);
    if (settings_table[row].kind != LIST)
        return complain(reader, "this setting has one value, not a list");
    for (;;) {
        if (!next(reader))
            return false;
        if (reader->event.type == YAML_SEQUENCE_END_EVENT)
            return true;
        if (!set(reader, row))
            return false;
    }
}

/* The row of the key at hand, -1 after saying what is wrong with it. */
static int read_key(struct reader *reader)
{
    char text[WHAT_BYTES];
    const char *key = scalar(reader);
    int row = key == NULL ? -1 : settings_find(key, strlen(key));
    if (key == NULL) {
        complain(reader, "a key is the name of a setting");
    } else if (row < 0) {
        const char *nearest = settings_nearest(key);
        snprintf(text, sizeof text, "there is no setting '%.100s'%s%s%s", key,
                 nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                 nearest == NULL ? "" : "'?");
        complain(reader, text);
    } else if (reader->seen[row] || strcmp(key, "config") == 0) {
        snprintf(text, sizeof text,
                 reader->seen[row] ? "'%s' is there twice" : "'%s' cannot be set by the file", key);
        complain(reader, text);
        return -1;
    } else {
        reader->seen[row] = true;
    }
    return row;
}

/* A setting of the other command is checked and kept: one file may serve both. */
static bool read_mapping(struct reader *reader)
{
    for (;;) {
        if (!next(reader))
            return false;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            return true;
        int row = read_key(reader);
        if (row < 0 || !read_value(reader, (unsigned)row))
            return false;
    }
}

static bool read_stream(struct reader *reader)
{
    if (!next(reader) || !next(reader)) /* the stream begins; its first document, or its end */
        return false;
    if (reader->event.type == YAML_STREAM_END_EVENT)
        return true;
    if (!next(reader))
        return false;
    if (reader->event.type == YAML_SCALAR_EVENT && reader->event.data.scalar.length == 0)
        return true; /* comments only */
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return complain(reader, "settings are lines of NAME: VALUE");
    if (!read_mapping(reader) || !next(reader) || !next(reader))
        return false;
    return reader->event.type == YAML_STREAM_END_EVENT ||
           complain(reader, "one document is enough");
}

bool settings_read_file(struct settings *settings, unsigned command, const char *path)
{
    struct reader reader = {.settings = settings, .path = path, .command = command};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        say_mistake("config: cannot read '%s': %s", path, strerror(errno));
        return false;
    }
    bool good = yaml_parser_initialize(&reader.parser) != 0;
    if (good) {
        yaml_parser_set_input_file(&reader.parser, file);
        good = read_stream(&reader);
        yaml_event_delete(&reader.event);
        yaml_parser_delete(&reader.parser);
    }
    fclose(file);
    return good;
}
