/* publish_threads.c: four threads that Fanwire knows nothing of publish to one topic at once.
 *
 *     cc publish_threads.c $(pkg-config --cflags --libs fanwire) -pthread -o publish_threads
 *     ./publish_threads 127.0.0.1:8080
 *
 * Once somebody listens at /topics/numbers each thread publishes 1000 numbers. Every subscriber
 * gets them all, each thread's in order; then the program ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fanwire/fanwire.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define THREADS 4
#define NUMBERS 1000

static fw_server *server;
static const struct timespec moment = {.tv_nsec = 10000000};

static void *publish(void *argument)
{
    const char *name = argument;
    for (int number = 0; number < NUMBERS; number++) {
        char text[32];
        int count = snprintf(text, sizeof text, "%s %d", name, number);
        while (fw_publish(server, "numbers", FW_TEXT, text, (size_t)count, NULL) == FW_ERR_BUSY)
            nanosleep(&moment, NULL); /* the workers are behind: publishers wait, nothing is lost */
    }
    return NULL;
}

static void await_subscriber(void)
{
    struct fw_topic_info info = {0};
    while (fw_topic_info(server, "numbers", &info) != 0 || info.subscribers == 0)
        nanosleep(&moment, NULL);
}

int main(int argc, char **argv)
{
    static char names[THREADS][8] = {"north", "east", "south", "west"};
    struct fw_server_options options = FW_SERVER_OPTIONS;
    options.feed = true;
    if (fw_server_create(&options, &server) != 0 ||
        fw_server_listen(server, argc > 1 ? argv[1] : "127.0.0.1:8080") != 0 ||
        fw_server_start(server) != 0)
        return 1;
    printf("listening on %s\n", fw_server_address(server, 0));
    fflush(stdout);

    await_subscriber();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, publish, names[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    fw_server_stop(server); /* what is published goes out before the close frames */
    fw_server_wait(server);
    fw_server_destroy(server);
    return 0;
}
