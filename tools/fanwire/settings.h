/* settings.h: what the command can be told, and by whom it was.
 *
 * One table (settings.c) holds every setting: its name is the flag --max-topics, the variable
 * FANWIRE_MAX_TOPICS and the key max-topics of the YAML file. A flag is stronger than a variable, a
 * variable stronger than the file. To add a setting, add a member to struct settings and a row to
 * the table; the manual must name it (a test looks).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_SETTINGS_H
#define FANWIRE_SETTINGS_H

#include "command.h"

#include <stdio.h>

#define LIST_MAX     64
#define SETTINGS_MAX 96

/* A repeatable setting, NULL-terminated. */
struct list {
    const char *at[LIST_MAX + 1];
    unsigned count;
};

enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

/* Where a value came from, weakest first. */
enum source { FROM_DEFAULT, FROM_FILE, FROM_VARIABLE, FROM_FLAG };

struct origin {
    enum source source;
    unsigned line; /* of the file */
};

struct text; /* settings.c: memory of values */

struct settings {
    struct fw_server_options options;
    const char *config; /* the YAML file */
    struct list listen;
    struct list origins;
    struct list proxies;
    struct list hosts;
    struct list tls_certs;
    struct list tls_keys;
    bool quiet;
    bool demo;
    bool insecure_publish;
    struct list topics; /* PREFIX:SETTINGS, read into topic_settings */
    struct fw_topic_settings topic_settings[LIST_MAX];

    /* Access. */
    struct list token_keys; /* files */
    const char *token_audience;
    const char *token_issuer;
    const char *token_cookie;
    uint32_t token_skew_s;
    bool no_token_query;
    const char *password_file;
    const char *auth_url;
    struct list anonymous_subscribe;
    struct list anonymous_publish;
    bool anonymous_observe;
    struct list certificate_subscribe;
    struct list certificate_publish;
    bool certificate_observe;

    uint32_t log_format; /* enum log_format */
    bool local;          /* only this machine reaches the listeners */

    /* Called between the server's creation and its start; NULL, or an exit code. */
    int (*prepare)(const struct settings *settings, fw_server *server);

    struct origin origins_of[SETTINGS_MAX]; /* by row of the table */
    struct text *texts;
};

enum kind {
    TEXT,    /* const char * */
    LIST,    /* struct list; in the file a sequence or one value, in a variable split at commas */
    SWITCH,  /* bool */
    NUMBER,  /* uint32_t */
    LARGE,   /* uint64_t */
    SECONDS, /* uint32_t, in milliseconds */
    CHOICE,  /* uint32_t or an enum: the place in `choices` */
};

/* Which commands take it. */
enum { FOR_SERVE = 1, FOR_ECHO = 2, FOR_BOTH = 3 };

struct setting {
    const char *name;
    const char *argument; /* of the flag, for the help; NULL for a switch */
    const char *help;
    const char *standard; /* the default, for the help and config show; NULL: none */
    const char *const *choices;
    size_t offset; /* in struct settings */
    uint64_t least;
    uint64_t most;
    enum kind kind;
    unsigned commands;
    bool zero_is_never; /* 0 becomes FW_UNLIMITED */
    bool reloads;       /* SIGHUP applies it */
    bool has_commas;    /* of a LIST: in a variable split at spaces instead */
};

extern const struct setting settings_table[];
extern const unsigned settings_count;

/* The row of a name with so many characters, -1 when there is none. */
int settings_find(const char *name, size_t count);

/* The name that is nearest to one that there is not; NULL when none is near. */
const char *settings_nearest(const char *name);

void settings_init(struct settings *settings);
void settings_clear(struct settings *settings);

/* Gives the settings that only a restart changes the values of those that a server runs with.
 *
 * differs_out  by row: whether the value was another one
 */
void settings_keep(struct settings *settings, const struct settings *running,
                   bool differs_out[SETTINGS_MAX]);

/* Sets one value, unless a stronger source has set it already; the same source adds to a list.
 *
 * what         how messages call it: "--max-topics", "fanwire.yaml:7: max-topics"
 * returns      false after saying what is wrong with it
 */
bool settings_set(struct settings *settings, unsigned row, const char *value, struct origin origin,
                  const char *what);

/* So many characters with an end, which live as long as the settings. */
const char *settings_copy(struct settings *settings, const char *characters, size_t count);

/* topics.c: reads what --topic says into the options. False after saying what is wrong. */
bool settings_read_topics(struct settings *settings);

/* Whether somebody has set a member of struct settings. */
bool settings_is_set(const struct settings *settings, const void *member);

/* Writes a value as the file would have it. */
void settings_print(const struct settings *settings, unsigned row, FILE *out);

/* sources.c: reads flags, variables and the file, in that order of strength.
 *
 * command      FOR_SERVE or FOR_ECHO
 * returns      0; EXIT_USAGE for a mistake, which it says; -1 when the help was printed
 */
int settings_read(struct settings *settings, unsigned command, int argc, char **argv);

/* Whether the settings ask for TLS. */
bool settings_want_tls(const struct settings *settings);

/* file.c: the YAML file. False after saying what is wrong. */
bool settings_read_file(struct settings *settings, unsigned command, const char *path);

#endif
