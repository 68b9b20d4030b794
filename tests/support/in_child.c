/* in_child.c: see in_child.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/in_child.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Before what the test program has for its own end: reports, the search for leaks. */
static void leave(int status, void *unused)
{
    (void)unused;
    fflush(stderr);
    _exit(status);
}

int in_child(void (*function)(void *argument), void *argument, char *said_out, size_t said_bytes)
{
    int ends[2];
    int status = 0;
    size_t held = 0;
    ssize_t got = 0;
    fflush(NULL);
    pid_t child = pipe(ends) == 0 ? fork() : -1;
    if (child < 0) {
        perror("in_child");
        abort();
    }
    if (child == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        on_exit(leave, NULL);
        function(argument);
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], said_out + held, said_bytes - 1 - held)) > 0)
        held += (size_t)got;
    said_out[held] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
