/* run.c: one server's run, from the settings to the exit code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "log.h"
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static _Atomic(fw_server *) running;

static void on_signal(int number)
{
    int saved = errno;
    (void)number;
    fw_server *server = atomic_load(&running);
    if (server != NULL)
        fw_server_stop(server);
    errno = saved;
}

static void catch_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

/* Every connection is a descriptor, or an entry of a table that is bounded like descriptors are. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Opens every listener; an error that is passed over counts as success. */
static int listen_all(fw_server *server, const struct settings *settings, int passed_over)
{
    for (unsigned i = 0; i < settings->listen.count; i++) {
        int result = fw_server_listen(server, settings->listen.at[i]);
        if (result == 0 || result == passed_over)
            continue;
        fprintf(stderr, "fanwire: cannot listen on '%s': %s\n", settings->listen.at[i],
                fw_status_text(result));
        return result == FW_ERR_ADDRESS ? EXIT_USAGE : EXIT_FAILED;
    }
    return EXIT_DONE;
}

/* The library's lines say which option is wrong; what is good is not spoken of. */
static void say_fault(int level, const char *line, void *context)
{
    (void)context;
    if (level == FW_LEVEL_ERROR)
        say_mistake("%s", line);
}

int check_server(struct settings *settings)
{
    fw_server *server;
    settings->options.on_log = say_fault;
    raise_descriptors();
    int result = fw_server_create(&settings->options, &server);
    if (result != 0) {
        say_mistake("a server cannot start: %s", fw_status_text(result));
        return result == FW_ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
    }
    int code = listen_all(server, settings, -EADDRINUSE);
    fw_server_destroy(server);
    return code;
}

static void print_ready(fw_server *server)
{
    const char *address;
    printf("ready: listening on ");
    for (unsigned i = 0; (address = fw_server_address(server, i)) != NULL; i++)
        printf("%s%s", i > 0 ? ", " : "", address);
    unsigned workers = fw_server_workers(server);
    printf(" (%s, %u worker%s)\n", fw_server_engine(server), workers, workers == 1 ? "" : "s");
    fflush(stdout);
}

static int serve_until_stopped(fw_server *server, void (*started)(fw_server *server),
                               void (*stopped)(void))
{
    /* Before the start: a stop that comes meanwhile is obeyed as soon as there is something to
     * stop. */
    atomic_store(&running, server);
    catch_signals();
    int result = fw_server_start(server);
    if (result != 0) {
        atomic_store(&running, NULL);
        fprintf(stderr, "fanwire: cannot start: %s\n", fw_status_text(result));
        return EXIT_FAILED;
    }
    log_take_mistakes();
    if (started != NULL)
        started(server);
    print_ready(server);
    watch_notify("READY=1");
    fw_server_wait(server);
    if (stopped != NULL)
        stopped();
    atomic_store(&running, NULL);
    return EXIT_DONE;
}

int run_server(struct settings *settings, void (*started)(fw_server *server), void (*stopped)(void))
{
    fw_server *server;
    log_configure(settings);
    settings->options.on_log = log_line;
    raise_descriptors();
    int result = fw_server_create(&settings->options, &server);
    if (result != 0) {
        fprintf(stderr, "fanwire: cannot start: %s\n", fw_status_text(result));
        return result == FW_ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
    }
    if (settings->prepare != NULL)
        result = settings->prepare(settings, server);
    if (result == EXIT_DONE)
        result = listen_all(server, settings, 0);
    if (result == EXIT_DONE)
        result = serve_until_stopped(server, started, stopped);
    fw_server_destroy(server);
    return result;
}
