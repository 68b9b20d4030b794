/* command.h: what the files of the `fanwire` command share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_COMMAND_H
#define FANWIRE_COMMAND_H

#include <fanwire/fanwire.h>

/* Exit codes: done, failed, bad usage. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct settings; /* settings.h */

/* A line to stderr, as options.on_log wants it (log.c). */
void log_line(int level, const char *line, void *context);

/* Says what is wrong with a setting, or with what it names: on stderr behind "fanwire: ", or, once
 * a server runs, as an error line of its log. Cut at 1 KiB. */
void say_mistake(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Creates, listens, prints the ready line, runs until SIGTERM or SIGINT, destroys.
 *
 * started      called once the server runs, and stopped when it no longer does; either may be NULL
 * returns      an exit code
 */
int run_server(struct settings *settings, void (*started)(fw_server *server),
               void (*stopped)(void));

/* Says whether a server can be created of the settings and can listen where they say, by doing so
 * for a moment; an address that is in use, as that of a running server, is a good one.
 *
 * returns      an exit code
 */
int check_server(struct settings *settings);

/* serve.c: whether all that its settings name makes sense together, and can be read; fills in the
 * defaults that hold where strangers connect.
 *
 * returns      0, or an exit code after saying what is wrong
 */
int serve_check(struct settings *settings);

/* The subcommands. */
int serve_main(int argc, char **argv);
int echo_main(int argc, char **argv);
int token_main(int argc, char **argv);
int config_main(int argc, char **argv);
int doctor_main(int argc, char **argv);

/* demo.c: a ticker of a few dozen symbols, published by a thread of its own. */
void demo_start(fw_server *server, bool tls);
void demo_stop(void);
/* The JSON of /demo.json; lives for ever. */
const char *demo_topics(size_t *bytes_out);

#endif
