/* load_idle.c: what does a connection that does nothing cost the server in memory?
 *
 * Reads the server's resident memory, opens connections (WebSocket subscribers, or bare TCP), lets
 * the server rest, reads again, and divides. Everything counts: also buffers that were touched for
 * the first time because so many handshakes came. --cycle has such memory touched before the first
 * reading, by that many connections that come and go one after the other. The kernel's memory for
 * sockets is not in these figures.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "load.h"

#include <string.h>
#include <time.h>

struct idle_load {
    struct load_target target;
    size_t conns_count;
    size_t warm_count;
    size_t cycle_count;
    size_t settle_ms;
    size_t server;
    bool as_json;
};

static void settle(const struct idle_load *load)
{
    struct timespec rest = {.tv_sec = (time_t)(load->settle_ms / 1000),
                            .tv_nsec = (long)(load->settle_ms % 1000) * 1000000L};
    nanosleep(&rest, NULL);
}

static void cycle(const struct idle_load *load)
{
    for (size_t i = 0; i < load->cycle_count; i++) {
        int fd = -1;
        load_open(&load->target, &fd, 1, i % LOAD_CONNS_PER_SOURCE);
        load_close(&fd, 1);
    }
}

static double each(size_t before, size_t after, size_t conns)
{
    return ((double)after - (double)before) / (double)conns;
}

static void report(const struct idle_load *load, struct load_memory before,
                   struct load_memory after)
{
    size_t conns = load->conns_count;
    bench_report_open(load->as_json);
    bench_report_text("program", "load-idle");
    bench_report_text("mode", load->target.raw ? "raw" : "ws");
    bench_report_count("conns", conns);
    bench_report_count("warm", load->warm_count);
    bench_report_count("cycle", load->cycle_count);
    bench_report_count("rss_before_bytes", before.rss_bytes);
    bench_report_count("rss_after_bytes", after.rss_bytes);
    bench_report_real("rss_bytes_per_conn", each(before.rss_bytes, after.rss_bytes, conns));
    bench_report_real("private_bytes_per_conn",
                      each(before.private_bytes, after.private_bytes, conns));
    bench_report_real("anonymous_bytes_per_conn",
                      each(before.anonymous_bytes, after.anonymous_bytes, conns));
    bench_report_close();
}

static void read_options(struct idle_load *load, int argc, char **argv)
{
    const struct bench_option options[] = {
        BENCH_NUMBER("port", &load->target.port, 1, 65535, "the server's port on 127.0.0.1"),
        BENCH_TEXT("path", &load->target.path, "what is asked for"),
        BENCH_FLAG("raw", &load->target.raw, "bare TCP, no upgrade"),
        BENCH_NUMBER("conns", &load->conns_count, 1, 100000, "connections to measure"),
        BENCH_NUMBER("warm", &load->warm_count, 1, 100000, "connections opened, and kept, before"),
        BENCH_NUMBER("cycle", &load->cycle_count, 0, 1000000, "opened and closed before that"),
        BENCH_NUMBER("settle-ms", &load->settle_ms, 0, 60000, "rest before a reading"),
        BENCH_NUMBER("server-pid", &load->server, 1, 1u << 30, "whose memory to read; needed"),
        BENCH_FLAG("json", &load->as_json, "report as one line of JSON"),
        BENCH_OPTIONS_END,
    };
    bench_options_read(argc, argv, options, "the memory of idle connections");
    if (load->server == 0)
        bench_die("--server-pid is needed");
}

int main(int argc, char **argv)
{
    struct idle_load load = {.target = {.port = 8080, .path = "/topics/bench"},
                             .conns_count = 15000,
                             .warm_count = 1,
                             .settle_ms = 500};
    read_options(&load, argc, argv);
    size_t all = load.conns_count + load.warm_count;
    bench_descriptors_raise(all);
    int *fds = bench_alloc(all, sizeof(*fds));
    cycle(&load);
    load_open(&load.target, fds, load.warm_count, 0);
    settle(&load);
    struct load_memory before = load_memory_of((pid_t)load.server);
    load_open(&load.target, fds + load.warm_count, load.conns_count, load.warm_count);
    settle(&load);
    struct load_memory after = load_memory_of((pid_t)load.server);
    report(&load, before, after);
    load_close(fds, all);
    return 0;
}
