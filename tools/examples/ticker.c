/* ticker.c: a feed: publishes a counter to the topic "ticker" ten times a second.
 *
 *     cc ticker.c $(pkg-config --cflags --libs fanwire) -o ticker && ./ticker 127.0.0.1:8080
 *
 * Subscribe with any WebSocket client at ws://127.0.0.1:8080/topics/ticker.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fanwire/fanwire.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

int main(int argc, char **argv)
{
    struct fw_server_options options = FW_SERVER_OPTIONS;
    options.feed = true; /* serves /topics/NAME: POST publishes, a WebSocket subscribes */

    fw_server *server;
    int result = fw_server_create(&options, &server);
    if (result == 0)
        result = fw_server_listen(server, argc > 1 ? argv[1] : "127.0.0.1:8080");
    if (result == 0)
        result = fw_server_start(server); /* returns; the server's threads serve */
    if (result != 0) {
        fprintf(stderr, "ticker: %s\n", fw_status_text(result));
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    printf("listening on %s\n", fw_server_address(server, 0));
    fflush(stdout);

    const struct timespec tenth = {.tv_nsec = 100000000};
    for (unsigned long tick = 1; !stopped; tick++) {
        char text[64];
        int count = snprintf(text, sizeof text, "tick %lu", tick);
        struct fw_published published;
        if (fw_publish(server, "ticker", FW_TEXT, text, (size_t)count, &published) == 0 &&
            tick % 10 == 0)
            printf("%lu ticks, %u subscribers\n", tick, published.receivers);
        nanosleep(&tenth, NULL);
    }
    fw_server_stop(server);
    fw_server_wait(server);
    fw_server_destroy(server);
    return 0;
}
