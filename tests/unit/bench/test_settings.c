/* test_settings.c: what the command line of fanwire-bench is taken for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/server.h"
#include "bench/settings.h"
#include "bench/target.h"
#include "support/in_child.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(bench_settings, reads_cpu_lists)
{
    static const struct {
        const char *text;
        int count; /* 0: refused */
    } lists[] = {{"0", 1},  {"0-3", 4}, {"0,2", 2},  {"1-2,5,7-8", 5}, {"", 0},
                 {"a", 0},  {"3-1", 0}, {"0,", 0},   {",0", 0},        {"0-", 0},
                 {"-1", 0}, {"0 1", 0}, {"99999", 0}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        cpu_set_t cpus;
        bool good = bench_cpu_list_parse(lists[i].text, &cpus);
        cr_assert_eq(good, lists[i].count > 0, "'%s'", lists[i].text);
        if (good)
            cr_assert_eq(CPU_COUNT(&cpus), lists[i].count, "'%s'", lists[i].text);
    }
}

Test(bench_settings, reads_targets_that_run)
{
    struct bench_peer peer;
    cr_assert(bench_peer_parse("a=ws://127.0.0.1:9/x,pid=77", &peer));
    cr_assert_str_eq(peer.name, "a");
    cr_assert_str_eq(peer.url, "ws://127.0.0.1:9/x");
    cr_assert_eq(peer.pid, 77);
    cr_assert_not(peer.raw);
    free((char *)(uintptr_t)peer.url); /* the program keeps it for its life */
    cr_assert(bench_peer_parse("b=tcp://[::1]:9", &peer));
    cr_assert(peer.raw);
    cr_assert_eq(peer.pid, 0);
    free((char *)(uintptr_t)peer.url);
}

Test(bench_settings, reads_targets_to_start)
{
    struct bench_peer peer;
    cr_assert(bench_peer_parse("mine=/bin/server --port {port}", &peer));
    cr_assert_str_eq(peer.command, "/bin/server --port {port}");
    cr_assert_not(peer.raw);
    cr_assert(bench_peer_parse("raw-mine=/bin/server {port}", &peer));
    cr_assert(peer.raw);
}

Test(bench_settings, refuses_what_is_no_target)
{
    static const char *const texts[] = {"",
                                        "a",
                                        "=ws://h:1",
                                        "a=",
                                        "a=server without a port",
                                        "a=ws://h:1,pid=",
                                        "a=ws://h:1,pid=x",
                                        "a=ws://h:1,pid=-3",
                                        "a-name-that-is-longer-than-31-octets=ws://h:1"};
    struct bench_peer peer;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_not(bench_peer_parse(texts[i], &peer), "'%s'", texts[i]);
}

static void words_of(const struct bench_peer *peer, const struct bench_start *start, char **words)
{
    static char text[512];
    cr_assert(bench_server_words(peer, start, 4711, text, sizeof text, words, 16));
}

Test(bench_settings, fills_in_commands)
{
    const struct bench_start start = {.role = BENCH_ECHO, .payload_bytes = 200};
    struct bench_peer peer;
    char *words[16];
    cr_assert(bench_peer_parse("x=server {role} -p {port} --in={in} --out={out} {other}", &peer));
    words_of(&peer, &start, words);
    cr_assert_str_eq(words[0], "server");
    cr_assert_str_eq(words[1], "echo");
    cr_assert_str_eq(words[3], "4711");
    /* RFC 6455, section 5.2: 2 + 2 octets of header for 200, and 4 of key when masked. */
    cr_assert_str_eq(words[4], "--in=208");
    cr_assert_str_eq(words[5], "--out=204");
    cr_assert_str_eq(words[6], "{other}");
    cr_assert_null(words[7]);
}

Test(bench_settings, tells_our_own_server_where_to_listen)
{
    const struct bench_start start = {
        .role = BENCH_FEED, .ours_flags = "--workers 3", .listen_host = "0.0.0.0"};
    const struct bench_peer peer = {.command = "fanwire {role} {flags}", .ours = true};
    char *words[16];
    words_of(&peer, &start, words);
    cr_assert_str_eq(words[1], "serve");
    cr_assert_str_eq(words[2], "--listen");
    cr_assert_str_eq(words[3], "0.0.0.0:4711");
    cr_assert_str_eq(words[5], "3");
}

Test(bench_settings, refuses_commands_without_room)
{
    const struct bench_start start = {.role = BENCH_FEED};
    const struct bench_peer peer = {.command = "a b c d {port}"};
    char text[64];
    char *words[4];
    cr_assert_not(bench_server_words(&peer, &start, 1, text, sizeof text, words, 4));
    cr_assert_not(bench_server_words(&peer, &start, 1, text, 8, words, 4));
}

Test(bench_target, takes_urls_apart)
{
    static const struct {
        const char *text;
        enum bench_speech speech;
        const char *host;
        const char *path;
    } urls[] = {{"ws://127.0.0.1:8080/topics/a", BENCH_WS, "127.0.0.1:8080", "/topics/a"},
                {"ws://127.0.0.1:8080", BENCH_WS, "127.0.0.1:8080", ""},
                {"http://127.0.0.1/x?y", BENCH_HTTP, "127.0.0.1:80", "/x?y"},
                {"ws://127.0.0.1:1?q", BENCH_WS, "127.0.0.1:1", "/?q"},
                {"tcp://[::1]:9", BENCH_RAW, "[::1]:9", ""},
                {"ws://[::1]/", BENCH_WS, "[::1]:80", "/"},
                {"wss://127.0.0.1/a", BENCH_WS, "127.0.0.1:443", "/a"},
                {"https://[::1]:9/", BENCH_HTTP, "[::1]:9", "/"},
                {"nats+ws://127.0.0.1:4222/t", BENCH_WS, "127.0.0.1:4222", "/t"},
                {"socket.io+wss://[::1]", BENCH_WS, "[::1]:443", ""}};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct bench_url url;
        cr_assert_eq(bench_url_parse(urls[i].text, &url), 0, "%s", urls[i].text);
        cr_assert_eq(url.speech, urls[i].speech);
        cr_assert_str_eq(url.host, urls[i].host);
        cr_assert_str_eq(url.path, urls[i].path);
    }
}

Test(bench_target, refuses_what_is_no_url)
{
    static const char *const texts[] = {"",
                                        "127.0.0.1:8080",
                                        "ftp://127.0.0.1:1/",
                                        "ws:///x",
                                        "ws://127.0.0.1:1/a b",
                                        "ws://127.0.0.1:1/a\r\nX: y",
                                        "ws://127.0.0.1:1/#f",
                                        "ws://user@127.0.0.1:1/",
                                        "nats+http://127.0.0.1:1/",
                                        "nats+nats+ws://127.0.0.1:1/",
                                        "nats+tcp://127.0.0.1:1",
                                        "ws://127.0.0.1:99999/"};
    struct bench_url url;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_lt(bench_url_parse(texts[i], &url), 0, "'%s'", texts[i]);
}

Test(bench_target, knows_tls_and_dialects)
{
    static const struct {
        const char *text;
        bool tls;
        enum bench_dialect dialect;
        const char *name;
    } urls[] = {{"ws://127.0.0.1:1/", false, BENCH_BARE, "127.0.0.1"},
                {"wss://127.0.0.1:1/", true, BENCH_BARE, "127.0.0.1"},
                {"https://[::1]/", true, BENCH_BARE, "::1"},
                {"nats+ws://127.0.0.1:1/", false, BENCH_NATS, "127.0.0.1"},
                {"nats+wss://[::1]:4222/", true, BENCH_NATS, "::1"},
                {"socket.io+wss://127.0.0.1/", true, BENCH_SOCKET_IO, "127.0.0.1"}};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct bench_url url;
        char name[BENCH_HOST_BYTES];
        cr_assert_eq(bench_url_parse(urls[i].text, &url), 0, "%s", urls[i].text);
        cr_assert_eq(url.tls, urls[i].tls, "%s", urls[i].text);
        cr_assert_eq(url.dialect, urls[i].dialect, "%s", urls[i].text);
        cr_assert_not(url.trust_anyone);
        bench_url_name(&url, name);
        cr_assert_str_eq(name, urls[i].name);
    }
}

/* A host and a path may be as long as their room, and no longer. */
Test(bench_target, bounds_hosts_and_paths)
{
    static char text[4096];
    struct bench_url url;
    for (int more = 0; more < 2; more++) {
        int path = BENCH_PATH_BYTES - 3 + more;
        snprintf(text, sizeof text, "ws://127.0.0.1:1/%0*d", path, 0);
        cr_assert_eq(bench_url_parse(text, &url) == 0, more == 0);
        int host = BENCH_HOST_BYTES - 5 + more;
        snprintf(text, sizeof text, "ws://%0*d/", host, 0);
        if (more == 1)
            cr_assert_eq(bench_url_parse(text, &url), FW_ERR_ADDRESS);
    }
}

Test(bench_settings, names_say_dialects)
{
    struct bench_peer peer;
    cr_assert(bench_peer_parse("nats=run {port}", &peer));
    cr_assert_eq(peer.dialect, BENCH_NATS);
    cr_assert(bench_peer_parse("socket.io-2=run {port}", &peer));
    cr_assert_eq(peer.dialect, BENCH_SOCKET_IO);
    cr_assert(bench_peer_parse("anything=run {port}", &peer));
    cr_assert_eq(peer.dialect, BENCH_BARE);
}

static void add(const char *text, bool ours)
{
    struct bench_peer *peer = &bench_settings.peers[bench_settings.peers_count++];
    cr_assert(bench_peer_parse(text, peer));
    peer->ours = ours;
}

/* Who can take part once more stands behind its plain self, and knows it. */
Test(bench_settings, has_targets_take_part_once_more)
{
    static const struct {
        const char *name;
        bool tls;
        bool deflate;
        unsigned plain;
    } wanted[] = {
        {"raw-x", false, false, 0},          {"ours", false, false, 0},
        {"ours-tls", true, false, 2},        {"ours-deflate", false, true, 2},
        {"ours-tls-deflate", true, true, 2}, {"told", false, false, 0},
        {"told-tls", true, false, 6},        {"told-deflate", false, true, 6},
        {"told-tls-deflate", true, true, 6}, {"untold", false, false, 0},
        {"untold-deflate", false, true, 10},
    };
    bench_settings.peers_count = 0;
    add("raw-x=run {port}", false);
    add("ours=run {port} {flags}", true);
    add("told=run {port} {over}", false);
    add("untold=run {port}", false);
    bench_settings_vary(true, true);
    cr_assert_eq(bench_settings.peers_count, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct bench_peer *peer = &bench_settings.peers[i];
        cr_assert_str_eq(peer->name, wanted[i].name);
        cr_assert_eq(peer->tls, wanted[i].tls, "%s", peer->name);
        cr_assert_eq(peer->deflate, wanted[i].deflate, "%s", peer->name);
        cr_assert_eq(peer->plain, wanted[i].plain, "%s", peer->name);
    }
}

static void vary_a_long_name(void *unused)
{
    (void)unused;
    bench_settings.peers_count = 0;
    add("a-name-of-thirty-octets-1234567=run {port} {over}", false);
    bench_settings_vary(true, false);
}

Test(bench_settings, refuses_names_without_room_for_more)
{
    char said[256];
    cr_assert_eq(in_child(vary_a_long_name, NULL, said, sizeof said), 2);
    cr_assert_not_null(strstr(said, "too long a name"), "%s", said);
}

Test(bench_settings, tells_servers_what_they_speak_over)
{
    static const struct {
        bool tls;
        bool deflate;
        const char *theirs;
        const char *ours;
    } overs[] = {{false, false, "plain", NULL},
                 {true, false, "tls", "--tls-self-signed"},
                 {false, true, "plain+deflate", "--deflate"},
                 {true, true, "tls+deflate", "--tls-self-signed"}};
    const struct bench_start start = {.role = BENCH_FEED};
    char *words[16];
    for (size_t i = 0; i < sizeof overs / sizeof *overs; i++) {
        struct bench_peer peer = {
            .command = "run {over}", .tls = overs[i].tls, .deflate = overs[i].deflate};
        words_of(&peer, &start, words);
        cr_assert_str_eq(words[1], overs[i].theirs);
        peer.command = "fanwire {flags}";
        peer.ours = true;
        words_of(&peer, &start, words);
        cr_assert_eq(words[3] == NULL, overs[i].ours == NULL);
        if (overs[i].ours != NULL)
            cr_assert_str_eq(words[3], overs[i].ours);
    }
}
