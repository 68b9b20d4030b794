/* demo.c: made-up prices that move, published from a thread of the program's own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "command.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* 5 symbols move 20 times a second: 100 messages a second on the page's chart. */
#define TICK_MS           50
#define MOVES_PER_TICK    5
#define SYMBOLS_COUNT     (sizeof symbols / sizeof symbols[0])
#define START_PRICE_LEAST 20.0

static const char *const symbols[] = {
    "ALDR", "BIRC", "CEDR", "DOGW", "ELMT", "FNWR", "GORS", "HAZL", "IVYX", "JUNP", "KAPK", "LARC",
    "MAPL", "NEEM", "OAKS", "PINE", "QUIN", "ROWN", "SPRC", "TEAK", "ULMO", "VINE", "WLLW", "YEWS"};

struct quote {
    double open;
    double price;
};

static struct {
    fw_server *server;
    pthread_t thread;
    atomic_bool stop;
    bool runs;
    uint64_t random;
} demo;

static char topics_json[SYMBOLS_COUNT * 16 + 32];

/* xorshift64: prices need no more. Returns a number in [0, 1). */
static double next_random(void)
{
    demo.random ^= demo.random << 13;
    demo.random ^= demo.random >> 7;
    demo.random ^= demo.random << 17;
    return (double)(demo.random >> 11) / 9007199254740992.0;
}

const char *demo_topics(size_t *bytes_out)
{
    *bytes_out = strlen(topics_json);
    return topics_json;
}

static void write_topics(void)
{
    char *at = topics_json;
    at += sprintf(at, "{\"topics\":[");
    for (size_t i = 0; i < SYMBOLS_COUNT; i++)
        at += sprintf(at, "%s\"ticker.%s\"", i > 0 ? "," : "", symbols[i]);
    sprintf(at, "]}\n");
}

static void publish_quote(size_t i, struct quote *quote)
{
    char topic[32];
    char text[160];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    quote->price *= 1 + (next_random() - 0.5) * 0.004;
    snprintf(topic, sizeof topic, "ticker.%s", symbols[i]);
    int count = snprintf(text, sizeof text,
                         "{\"symbol\":\"%s\",\"price\":%.2f,\"change\":%.2f,\"at\":%lld}",
                         symbols[i], quote->price, quote->price - quote->open,
                         (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    /* Busy or stopping: this quote is dropped, the next one is newer anyway. */
    (void)fw_publish(demo.server, topic, FW_TEXT, text, (size_t)count, NULL);
}

static void *run(void *unused)
{
    struct quote quotes[SYMBOLS_COUNT];
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    (void)unused;
    for (size_t i = 0; i < SYMBOLS_COUNT; i++) {
        quotes[i].open = START_PRICE_LEAST + next_random() * 400;
        quotes[i].price = quotes[i].open;
        publish_quote(i, &quotes[i]);
    }
    while (!atomic_load(&demo.stop)) {
        for (int move = 0; move < MOVES_PER_TICK; move++) {
            size_t i = (size_t)(next_random() * (double)SYMBOLS_COUNT);
            publish_quote(i, &quotes[i]);
        }
        nanosleep(&tick, NULL);
    }
    return NULL;
}

void demo_start(fw_server *server, bool tls)
{
    write_topics();
    demo.server = server;
    demo.random = (uint64_t)time(NULL) * 2654435761u + 88172645463325252u;
    demo.runs = pthread_create(&demo.thread, NULL, run, NULL) == 0;
    const char *address = fw_server_address(server, 0);
    if (strncmp(address, "unix:", 5) != 0) {
        printf("demo: open http%s://%s/ in a browser\n", tls ? "s" : "", address);
        fflush(stdout);
    }
}

void demo_stop(void)
{
    if (!demo.runs)
        return;
    atomic_store(&demo.stop, true);
    pthread_join(demo.thread, NULL);
    demo.runs = false;
}
