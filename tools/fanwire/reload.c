/* reload.c: see reload.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reload.h"
#include "access.h"
#include "log.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const struct settings *running; /* what the server was started with */
    unsigned command;               /* FOR_SERVE, FOR_ECHO */
    int argc;
    char **argv;
    pthread_t thread;
    bool runs;
    atomic_bool ends;
    fw_server *server;
} reload;

static sigset_t hang_up(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    return set;
}

void reload_init(const struct settings *settings, unsigned command, int argc, char **argv)
{
    const sigset_t set = hang_up();
    reload.running = settings;
    reload.command = command;
    reload.argc = argc;
    reload.argv = argv;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void say(int level, const char *text)
{
    log_line(level, text, NULL);
}

static void say_left_out(const bool left_out[SETTINGS_MAX])
{
    for (unsigned row = 0; row < settings_count; row++) {
        char line[256];
        if (!left_out[row])
            continue;
        snprintf(line, sizeof line, "reload: %s has changed; that takes a restart",
                 settings_table[row].name);
        say(FW_LEVEL_WARN, line);
    }
}

/* Whether what would then be in force makes sense: the new settings, and those that stay. */
static int check(struct settings *fresh)
{
    fresh->options.on_authorize = reload.running->options.on_authorize;
    if (fresh->password_file != NULL && fresh->options.on_authorize == NULL) {
        say(FW_LEVEL_ERROR, "reload: a password-file takes a restart when there was none");
        return EXIT_USAGE;
    }
    return reload.command == FOR_SERVE ? serve_check(fresh) : 0;
}

/* Nothing is applied unless all of it is good. What was set up without a hook cannot get one. */
static void reload_now(void)
{
    struct settings fresh;
    bool left_out[SETTINGS_MAX];
    int result = settings_read(&fresh, reload.command, reload.argc, reload.argv);
    if (result == 0) {
        settings_keep(&fresh, reload.running, left_out);
        result = check(&fresh);
    }
    /* It changes nothing when it fails, and its log says why. */
    if (result == 0 && settings_want_tls(reload.running) &&
        fw_server_reload_tls(reload.server) != 0)
        result = EXIT_FAILED;
    if (result == 0 && reload.command == FOR_SERVE)
        result = access_apply(&fresh, reload.server);
    if (result == 0) {
        log_configure(&fresh);
        say_left_out(left_out);
        say(FW_LEVEL_INFO, "reload: the settings are applied");
    } else {
        say(FW_LEVEL_ERROR, "reload: the settings are wrong; those from before stay");
    }
    settings_clear(&fresh);
}

static void *obey(void *unused)
{
    const sigset_t set = hang_up();
    int number;
    (void)unused;
    for (;;) {
        int result = sigwait(&set, &number);
        if (atomic_load(&reload.ends))
            return NULL;
        if (result == 0)
            reload_now();
    }
}

void reload_start(fw_server *server)
{
    reload.server = server;
    reload.runs = pthread_create(&reload.thread, NULL, obey, NULL) == 0;
    if (!reload.runs)
        say(FW_LEVEL_WARN, "SIGHUP is not obeyed: there is no thread for it");
}

void reload_stop(void)
{
    if (!reload.runs)
        return;
    atomic_store(&reload.ends, true);
    pthread_kill(reload.thread, SIGHUP); /* it waits for one */
    pthread_join(reload.thread, NULL);
    reload.runs = false;
}
