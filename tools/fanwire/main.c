/* main.c: the `fanwire` command: picks the subcommand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: fanwire COMMAND [flags]\n"
    "\n"
    "  serve     serve live topics: publish by POST, subscribe by WebSocket\n"
    "  echo      send every message back: for conformance tests and benchmarks\n"
    "  token     make tokens that say who may subscribe and publish, and keys\n"
    "  config    check settings, or show them and where each comes from\n"
    "  doctor    say what this machine lacks for many connections\n"
    "  version   print the version\n"
    "\n"
    "fanwire COMMAND --help lists a command's flags; man fanwire says more.\n";

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "serve") == 0)
        return serve_main(argc - 1, argv + 1);
    if (strcmp(command, "echo") == 0)
        return echo_main(argc - 1, argv + 1);
    if (strcmp(command, "token") == 0)
        return token_main(argc - 1, argv + 1);
    if (strcmp(command, "config") == 0)
        return config_main(argc - 1, argv + 1);
    if (strcmp(command, "doctor") == 0)
        return doctor_main(argc - 1, argv + 1);
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
        printf("fanwire %s\n", FANWIRE_VERSION);
        return EXIT_DONE;
    }
    if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    if (*command == '\0')
        fputs("fanwire: a command is missing\n", stderr);
    else
        fprintf(stderr, "fanwire: there is no command '%s'\n", command);
    fputs(usage, stderr);
    return EXIT_USAGE;
}
