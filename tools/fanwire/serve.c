/* serve.c: `fanwire serve`: the feed server, and its page.
 *
 * Topics, health and readiness are the library's (options.feed); here are the page, the rule that
 * strangers do not publish, and what clients may say on a subscription: nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access.h"
#include "metrics.h"
#include "reload.h"
#include "watch.h"
#include "web_assets.h"

#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What a page of ours may do: only what it brings itself. */
static const char page_headers[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Permissions-Policy: camera=(), geolocation=(), microphone=()\r\n"
    "Cache-Control: no-cache\r\n";

static bool demo_runs;
static bool demo_tls;

static unsigned on_open(fw_conn *conn, const fw_request *request, void *context)
{
    (void)conn;
    (void)context;
    return strncmp(fw_request_path(request), "/topics/", 8) == 0 ? 0 : 404;
}

static void on_message(fw_conn *conn, enum fw_message_type type, const void *bytes,
                       size_t bytes_count, void *context)
{
    (void)type;
    (void)bytes;
    (void)bytes_count;
    (void)context;
    fw_conn_close(conn, 1003, "this connection only receives; publish with POST");
}

static void on_request(fw_request *request, void *context)
{
    const char *path = fw_request_path(request);
    const char *method = fw_request_method(request);
    (void)context;
    if (demo_runs && strcmp(path, "/demo.json") == 0) {
        size_t bytes;
        const char *topics = demo_topics(&bytes);
        fw_request_answer(request, 200, "application/json", page_headers, topics, bytes);
        return;
    }
    if (strcmp(path, "/metrics") == 0) {
        metrics_answer(request);
        return;
    }
    const struct web_asset *asset = web_asset_find(path, strlen(path));
    if (asset == NULL)
        return;
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        fw_request_answer(request, 200, asset->content_type, page_headers, asset->bytes,
                          asset->bytes_count);
    else
        fw_request_answer(request, 405, "text/plain; charset=utf-8", NULL, "only GET\n", 9);
}

/* The same of "fd:N", a socket that somebody else opened. */
static bool is_local_socket(const char *address)
{
    union {
        struct sockaddr_storage any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
    socklen_t bytes = sizeof at;
    if (getsockname(atoi(address + 3), (struct sockaddr *)&at, &bytes) != 0)
        return false;
    return at.any.ss_family == AF_UNIX ||
           (at.any.ss_family == AF_INET && ntohl(at.v4.sin_addr.s_addr) >> 24 == 127) ||
           (at.any.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&at.v6.sin6_addr));
}

/* Whether only this machine reaches a listener. */
static bool is_local(const char *address)
{
    if (strncmp(address, "plain:", 6) == 0)
        address += 6;
    if (strncmp(address, "fd:", 3) == 0)
        return is_local_socket(address);
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0 || strncmp(address, "unix:", 5) == 0;
}

/* Whether strangers would have to say who they are before they publish. */
static bool publishers_are_known(const struct settings *settings)
{
    bool credentials = settings->token_keys.count > 0 || settings->password_file != NULL ||
                       settings->auth_url != NULL || settings->certificate_publish.count > 0;
    return credentials && settings->anonymous_publish.count == 0;
}

static bool may_listen(const struct settings *settings)
{
    for (unsigned i = 0; i < settings->listen.count; i++) {
        if (is_local(settings->listen.at[i]) || settings->insecure_publish ||
            publishers_are_known(settings))
            continue;
        say_mistake("'%s' is reachable from other hosts, and anybody there could publish: "
                    "set up a credential (--token-key, --password-file, --auth-url), listen on "
                    "127.0.0.1, or say --insecure-publish",
                    settings->listen.at[i]);
        return false;
    }
    return true;
}

static void set_default(const struct settings *settings, uint32_t *member, uint32_t value)
{
    if (!settings_is_set(settings, member))
        *member = value;
}

/* Handshakes cost: what a CPU can do besides its messages. */
static uint32_t accepts_per_s(const struct settings *settings)
{
    cpu_set_t cpus;
    unsigned count = settings->options.workers;
    if (count == 0)
        count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
    return count * (settings_want_tls(settings) ? 3000u : 5000u);
}

/* What holds where strangers connect; on this machine alone, a proxy or a test would meet it. */
static void set_defaults(struct settings *settings)
{
    struct fw_server_options *options = &settings->options;
    settings->local = true;
    for (unsigned i = 0; i < settings->listen.count; i++)
        settings->local = settings->local && is_local(settings->listen.at[i]);
    set_default(settings, &options->drain_time_ms, 30000);
    set_default(settings, &options->address_accepts_burst, 50);
    set_default(settings, &options->messages_burst, 100);
    if (settings->local)
        return;
    set_default(settings, &options->accepts_per_s, accepts_per_s(settings));
    set_default(settings, &options->address_connections_max, 256);
    set_default(settings, &options->address_accepts_per_s, 20);
    set_default(settings, &options->messages_per_s, 50);
    set_default(settings, &options->message_bytes_per_s, 262144);
}

static void on_started(fw_server *server)
{
    metrics_start(server);
    reload_start(server);
    watch_start(server);
    if (demo_runs)
        demo_start(server, demo_tls);
}

static void on_stopped(void)
{
    watch_stop();
    reload_stop();
    if (demo_runs)
        demo_stop();
    access_stop();
}

int serve_check(struct settings *settings)
{
    if (!may_listen(settings))
        return EXIT_USAGE;
    set_defaults(settings);
    settings->options.feed = true;
    return access_check(settings);
}

int serve_main(int argc, char **argv)
{
    struct settings settings;
    int result = settings_read(&settings, FOR_SERVE, argc, argv);
    if (result == 0)
        result = serve_check(&settings);
    if (result == 0) {
        demo_runs = settings.demo;
        demo_tls = settings_want_tls(&settings) && strncmp(settings.listen.at[0], "plain:", 6) != 0;
        settings.options.on_open = on_open;
        settings.options.on_message = on_message;
        settings.options.on_request = on_request;
        settings.prepare = access_apply;
        access_options(&settings);
        reload_init(&settings, FOR_SERVE, argc, argv);
        result = run_server(&settings, on_started, on_stopped);
    }
    settings_clear(&settings);
    return result < 0 ? EXIT_DONE : result;
}
