/* watch.c: see watch.h. The protocol of sd_notify(3) is one datagram: no library is needed for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "watch.h"

#include "log.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A worker that takes longer is spoken of; one that takes WATCHDOG_MS is left to the manager. */
#define WARN_MS           1000u
#define WATCHDOG_MS       2000u
#define FIRST_LISTEN_FD   3
#define INHERITED_FDS_MAX 16

static struct {
    fw_server *server;
    struct fw_server_stall stall; /* the last one that was spoken of; stalled_ms 0: none is */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool runs;
    bool ends;
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

void watch_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof address.sun_path)
        return;
    size_t count = strlen(path);
    memcpy(address.sun_path, path, count);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + count);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *)(const void *)&address, bytes);
    (void)sent; /* a manager that does not listen stops nobody */
    close(fd);
}

void watch_inherited(struct settings *settings)
{
    static char names[INHERITED_FDS_MAX][16];
    const char *pid = getenv("LISTEN_PID");
    const char *fds = getenv("LISTEN_FDS");
    if (pid == NULL || fds == NULL || atol(pid) != (long)getpid())
        return;
    int count = atoi(fds);
    for (int i = 0; i < count && i < INHERITED_FDS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "fd:%d", FIRST_LISTEN_FD + i);
        settings->listen.at[settings->listen.count++] = names[i];
    }
}

/* ---- the watchdog ---------------------------------------------------------------------------- */

static void warn(const char *line)
{
    log_line(FW_LEVEL_WARN, line, NULL);
}

static void look(void)
{
    struct fw_server_stall stall;
    char line[256];
    fw_server_stalled(watch.server, &stall);
    if (stall.stalled_ms > WARN_MS) {
        snprintf(line, sizeof line, "worker %u has not come round for %u ms; it began last: %s",
                 stall.worker, stall.stalled_ms, stall.doing);
        warn(line);
        watch.stall = stall;
    } else if (stall.stalled_ms == 0 && watch.stall.stalled_ms != 0) {
        snprintf(line, sizeof line, "worker %u comes round again, after %u ms or more of: %s",
                 watch.stall.worker, watch.stall.stalled_ms, watch.stall.doing);
        warn(line);
        watch.stall.stalled_ms = 0;
    }
    if (stall.stalled_ms < WATCHDOG_MS)
        watch_notify("WATCHDOG=1");
}

static void *keep_looking(void *unused)
{
    (void)unused;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&watch.lock);
    while (!watch.ends) {
        next.tv_sec++;
        while (!watch.ends && pthread_cond_timedwait(&watch.changed, &watch.lock, &next) == 0)
            continue;
        if (!watch.ends)
            look();
    }
    pthread_mutex_unlock(&watch.lock);
    return NULL;
}

void watch_start(fw_server *server)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watch.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    watch.server = server;
    watch.stall = (struct fw_server_stall){0};
    watch.ends = false;
    watch.runs = pthread_create(&watch.thread, NULL, keep_looking, NULL) == 0;
}

void watch_stop(void)
{
    watch_notify("STOPPING=1");
    if (!watch.runs)
        return;
    pthread_mutex_lock(&watch.lock);
    watch.ends = true;
    pthread_cond_signal(&watch.changed);
    pthread_mutex_unlock(&watch.lock);
    pthread_join(watch.thread, NULL);
    watch.runs = false;
}
