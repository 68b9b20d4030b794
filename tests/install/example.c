/* example.c: a program outside the tree: what it needs is what `cmake --install` gave.
 *
 * Starts a server on a free port, publishes from a thread that is none of the server's, and stops.
 * tests/install/run builds it by pkg-config and by CMake's find_package.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fanwire/fanwire.h>

#include <stdio.h>

static int fail(const char *what, int status)
{
    fprintf(stderr, "%s: %s\n", what, fw_status_text(status));
    return 1;
}

static int publish_one(fw_server *server)
{
    struct fw_published published;
    struct fw_topic_info info;
    int status = fw_publish(server, "news", FW_TEXT, "hello", 5, &published);
    if (status != 0)
        return fail("fw_publish", status);
    status = fw_topic_info(server, "news", &info);
    if (status != 0)
        return fail("fw_topic_info", status);
    if (published.offset != 1 || info.offset != 1 || published.receivers != 0) {
        fprintf(stderr, "the first message has offset %llu\n", (unsigned long long)info.offset);
        return 1;
    }
    return 0;
}

int main(void)
{
    struct fw_server_options options = FW_SERVER_OPTIONS;
    options.workers = 1;
    options.feed = true;

    fw_server *server;
    int status = fw_server_create(&options, &server);
    if (status != 0)
        return fail("fw_server_create", status);
    status = fw_server_listen(server, "127.0.0.1:0");
    if (status != 0)
        return fail("fw_server_listen", status);
    status = fw_server_start(server);
    if (status != 0)
        return fail("fw_server_start", status);

    printf("fanwire %s on %s (%s)\n", FANWIRE_VERSION, fw_server_address(server, 0),
           fw_server_engine(server));
    int failed = publish_one(server);
    fw_server_stop(server);
    fw_server_wait(server);
    fw_server_destroy(server);
    return failed;
}
