/* metrics.c: see metrics.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define TEXT_BYTES 8192

static _Atomic(fw_server *) served;
static time_t started_s;

struct text {
    char bytes[TEXT_BYTES];
    size_t count;
};

void metrics_start(fw_server *server)
{
    started_s = time(NULL);
    atomic_store(&served, server);
}

static void put(struct text *text, const char *name, const char *kind, const char *help,
                uint64_t value)
{
    int count = snprintf(text->bytes + text->count, sizeof text->bytes - text->count,
                         "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, kind,
                         name, value);
    if (count > 0 && (size_t)count < sizeof text->bytes - text->count)
        text->count += (size_t)count;
}

/* One more series of the name that was put last, with a label of ours. */
static void put_labelled(struct text *text, const char *name, const char *label, const char *is,
                         uint64_t value)
{
    int count = snprintf(text->bytes + text->count, sizeof text->bytes - text->count,
                         "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, is, value);
    if (count > 0 && (size_t)count < sizeof text->bytes - text->count)
        text->count += (size_t)count;
}

static void put_head(struct text *text, const char *name, const char *kind, const char *help)
{
    int count = snprintf(text->bytes + text->count, sizeof text->bytes - text->count,
                         "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
    if (count > 0 && (size_t)count < sizeof text->bytes - text->count)
        text->count += (size_t)count;
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    int fields = fscanf(file, "%llu %llu", &pages, &resident);
    fclose(file);
    return fields == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t open_descriptors(void)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder's own */
}

static void put_refusals(struct text *text, const struct fw_server_stats *stats)
{
    static const char name[] = "fanwire_refused_total";
    put_head(text, name, "counter", "What was refused, by reason.");
    put_labelled(text, name, "reason", "handshake", stats->connections_refused);
    put_labelled(text, name, "reason", "address_connections", stats->address_full);
    put_labelled(text, name, "reason", "address_rate", stats->address_fast);
    put_labelled(text, name, "reason", "message_rate", stats->rate_limited);
    put_labelled(text, name, "reason", "slow", stats->slow_closed);
    put_labelled(text, name, "reason", "proxy_header", stats->proxy_refused);
}

/* What connections take, and then what is everybody's. Bytes that several connections are owed are
 * counted for each of them. */
static void put_memory(struct text *text, const struct fw_server_stats *stats)
{
    static const char name[] = "fanwire_memory_bytes";
    static const char each[] = "fanwire_connection_bytes";
    const struct {
        const char *category;
        uint64_t bytes;
    } rows[] = {
        {"session", stats->connection_bytes},
        {"output", stats->output_bytes},
        {"input", stats->input_bytes},
        {"deflate", stats->deflate_bytes},
        {"tls", stats->tls_bytes},
        {"receive", stats->receive_bytes},
        {"history", stats->history_bytes},
        {"mailbox", stats->mailbox_bytes},
        {"heap", stats->heap_bytes},
    };
    const size_t of_connections = 6;
    put_head(text, name, "gauge", "Memory by what it is for; heap is all of the library's blocks.");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        put_labelled(text, name, "category", rows[i].category, rows[i].bytes);
    put_head(text, each, "gauge", "The same for an open connection, on average.");
    for (size_t i = 0; i < of_connections; i++)
        put_labelled(text, each, "category", rows[i].category,
                     stats->connections == 0 ? 0 : rows[i].bytes / stats->connections);
    put(text, "fanwire_memory_limit_bytes", "gauge", "The ceiling of memory; 0: none.",
        stats->memory_bytes_max);
    put(text, "fanwire_memory_pressure", "gauge", "0 to 4: below 80 %, 80, 85, 90, 95 % of it.",
        stats->memory_pressure);
    put(text, "fanwire_memory_closed_total", "counter", "Connections closed for want of memory.",
        stats->memory_closed);
    put(text, "process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
}

static void put_all(struct text *text, fw_server *server)
{
    struct fw_server_stats stats;
    fw_server_stats(server, &stats);
    put(text, "fanwire_connections", "gauge", "Connections that are open.", stats.connections);
    put(text, "fanwire_connections_total", "counter", "Connections ever.",
        stats.connections_accepted);
    put(text, "fanwire_messages_received_total", "counter", "Messages of clients.",
        stats.messages_received);
    put(text, "fanwire_messages_delivered_total", "counter",
        "Published messages times their subscribers.", stats.messages_delivered);
    put_refusals(text, &stats);
    put(text, "fanwire_accept_pauses_total", "counter", "Times that accept-rate was reached.",
        stats.accept_pauses);
    put_memory(text, &stats);
    put(text, "fanwire_turn_microseconds_max", "gauge",
        "The longest turn of a worker, processor time; with turn-times.", stats.turn_us_max);
    put(text, "fanwire_workers", "gauge", "Worker threads.", fw_server_workers(server));
    put(text, "process_open_fds", "gauge", "Open descriptors.", open_descriptors());
    put(text, "process_start_time_seconds", "gauge", "Unix time of the start.",
        (uint64_t)started_s);
    put_head(text, "fanwire_build_info", "gauge", "Version and engine.");
    int count = snprintf(text->bytes + text->count, sizeof text->bytes - text->count,
                         "fanwire_build_info{version=\"%s\",engine=\"%s\"} 1\n", FANWIRE_VERSION,
                         fw_server_engine(server));
    text->count += count > 0 ? (size_t)count : 0;
}

void metrics_answer(fw_request *request)
{
    struct text text = {.count = 0};
    fw_server *server = atomic_load(&served);
    int result = fw_request_may(request, FW_MAY_OBSERVE, NULL);
    if (result == 0 && server != NULL) {
        put_all(&text, server);
        fw_request_answer(request, 200, "text/plain; version=0.0.4; charset=utf-8",
                          "Cache-Control: no-store\r\n", text.bytes, text.count);
        return;
    }
    unsigned status = result == 0 ? 503u : (unsigned)fw_status_answer(result);
    text.count = (size_t)snprintf(text.bytes, sizeof text.bytes, "%s\n",
                                  result == 0 ? "not yet" : fw_status_text(result));
    fw_request_answer(request, status, "text/plain; charset=utf-8", "Cache-Control: no-store\r\n",
                      text.bytes, text.count);
}
