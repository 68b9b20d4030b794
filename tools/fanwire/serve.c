/* serve.c: `fanwire serve`: the feed server, and its page.
 *
 * Topics, health and readiness are the library's (options.feed); here are the page, the rule that
 * strangers do not publish, and what clients may say on a subscription: nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "command.h"
#include "web_assets.h"

#include <stdio.h>
#include <string.h>

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
    const struct web_asset *asset = web_asset_find(path, strlen(path));
    if (asset == NULL)
        return;
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        fw_request_answer(request, 200, asset->content_type, page_headers, asset->bytes,
                          asset->bytes_count);
    else
        fw_request_answer(request, 405, "text/plain; charset=utf-8", NULL, "only GET\n", 9);
}

/* Whether only this machine reaches a listener. */
static bool is_local(const char *address)
{
    if (strncmp(address, "plain:", 6) == 0)
        address += 6;
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0 || strncmp(address, "unix:", 5) == 0;
}

static bool may_listen(const struct settings *settings)
{
    for (unsigned i = 0; i < settings->listen_count; i++) {
        if (is_local(settings->listen[i]) || settings->insecure_publish)
            continue;
        fprintf(stderr,
                "fanwire: '%s' is reachable from other hosts, and anybody there could publish: "
                "listen on 127.0.0.1 behind a proxy, or say --insecure-publish\n",
                settings->listen[i]);
        return false;
    }
    return true;
}

static bool demo_tls;

static void start_demo(fw_server *server)
{
    demo_start(server, demo_tls);
}

int serve_main(int argc, char **argv)
{
    struct settings settings;
    int result = flags_read(&settings, true, argc, argv);
    if (result != 0)
        return result < 0 ? EXIT_DONE : result;
    if (!may_listen(&settings))
        return EXIT_USAGE;
    demo_runs = settings.demo;
    demo_tls = wants_tls(&settings) && strncmp(settings.listen[0], "plain:", 6) != 0;
    settings.options.feed = true;
    settings.options.on_open = on_open;
    settings.options.on_message = on_message;
    settings.options.on_request = on_request;
    return run_server(&settings, settings.demo ? start_demo : NULL,
                      settings.demo ? demo_stop : NULL);
}
