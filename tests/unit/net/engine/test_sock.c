/* test_sock.c: addresses as text, and listening sockets, on real sockets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/sock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_OF_107 "/tmp/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "ab"
#define TEN         "0123456789"

/* ---- parsing --------------------------------------------------------------------------------- */

Test(sock_address, is_read_and_written_back)
{
    static const struct {
        const char *text;
        const char *written; /* NULL: the same */
        int family;
        bool local;
    } cases[] = {
        {"127.0.0.1:8080", NULL, AF_INET, true},
        {"127.255.255.254:1", NULL, AF_INET, true},
        {"0.0.0.0:0", NULL, AF_INET, false},
        {"192.0.2.1:65535", NULL, AF_INET, false},
        {"localhost:8080", "127.0.0.1:8080", AF_INET, true},
        {"[::1]:8080", NULL, AF_INET6, true},
        {"[::]:80", NULL, AF_INET6, false},
        {"[2001:DB8:0:0::1]:80", "[2001:db8::1]:80", AF_INET6, false},
        {"[::ffff:127.0.0.1]:80", NULL, AF_INET6, false},
        {"unix:/run/fanwire.sock", NULL, AF_UNIX, true},
        {"unix:/tmp/with: a colon", NULL, AF_UNIX, true},
        {"unix:" PATH_OF_107, NULL, AF_UNIX, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fw_sock_address address;
        char text[FW_SOCK_TEXT_BYTES];
        cr_assert_eq(fw_sock_address_parse(cases[i].text, &address), 0, "%s", cases[i].text);
        cr_assert_eq(address.at.any.sa_family, cases[i].family, "%s", cases[i].text);
        cr_assert_eq(fw_sock_address_is_local(&address), cases[i].local, "%s", cases[i].text);
        fw_sock_address_text(&address.at.any, address.bytes, text, sizeof text);
        cr_assert_str_eq(text, cases[i].written ? cases[i].written : cases[i].text);
    }
}

Test(sock_address, refuses_what_is_not_exactly_an_address)
{
    static const char *const texts[] = {
        "",
        ":",
        "8080",
        ":8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:99999",
        "127.0.0.1:100000",
        "127.0.0.1:080",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 80",
        "127.0.0.1:80 ",
        "127.0.0.1:80/",
        "127.0.0.1:0x50",
        "127.0.0.1:http",
        " 127.0.0.1:80",
        "127.1:80",
        "127.0.0.01:80",
        "127.0.0.256:80",
        "2130706433:80",
        "0x7f.0.0.1:80",
        "127.0.0.1.:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1]:",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[127.0.0.1]:80",
        "[localhost]:80",
        "[::1%lo]:80",
        "[::g]:80",
        "[[::1]]:80",
        "*:80",
        "unix:",
        "unix:relative",
        "unix:" PATH_OF_107 "c",
        "Unix:/tmp/x",
        "/tmp/x",
        "http://127.0.0.1:80",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct fw_sock_address address;
        memset(&address, 0x5a, sizeof address);
        cr_assert_eq(fw_sock_address_parse(texts[i], &address), FW_ERR_ADDRESS, "'%s'", texts[i]);
        cr_assert_eq(address.bytes, 0x5a5a5a5au, "'%s' wrote an address", texts[i]);
        /* Nor does any of them go to the resolver as a name, which would take its time. */
        cr_assert_eq(fw_sock_address_resolve(texts[i], &address), FW_ERR_ADDRESS, "'%s'", texts[i]);
    }
}

Test(sock_address, names_are_only_for_resolve)
{
    struct fw_sock_address address;
    cr_assert_eq(fw_sock_address_parse("feed.example.com:80", &address), FW_ERR_ADDRESS);
    cr_assert_eq(fw_sock_address_resolve("127.0.0.1:80", &address), 0);
    cr_assert_eq(ntohs(address.at.in4.sin_port), 80);
    /* RFC 6761, section 6.4: no name under .invalid has an address. Without a network the resolver
     * may not know that. */
    int status = fw_sock_address_resolve("nobody.invalid:80", &address);
    cr_assert(status == FW_ERR_ABSENT || status == -EAGAIN, "%s", fw_status_name(status));
}

Test(sock_address, resolve_finds_this_machine)
{
    struct fw_sock_address address;
    char text[FW_SOCK_TEXT_BYTES];
    int status = fw_sock_address_resolve("LOCALHOST:7000", &address);
    if (status != 0)
        cr_skip_test("the resolver of this machine does not know localhost: %s",
                     fw_status_name(status));
    fw_sock_address_text(&address.at.any, address.bytes, text, sizeof text);
    cr_assert(fw_sock_address_is_local(&address), "%s", text);
    cr_assert_str_eq(strrchr(text, ':'), ":7000");
}

Test(sock_address, text_is_cut_to_its_room_and_terminated)
{
    struct fw_sock_address address;
    cr_assert_eq(fw_sock_address_parse("127.0.0.1:8080", &address), 0);
    char text[8];
    memset(text, 'x', sizeof text);
    fw_sock_address_text(&address.at.any, address.bytes, text, sizeof text);
    cr_assert_str_eq(text, "127.0.0");
}

Test(sock_address, text_of_a_unix_peer_without_a_name)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct fw_sock_address address;
    char text[FW_SOCK_TEXT_BYTES];
    cr_assert_eq(fw_sock_address_bound(pair[0], &address), 0);
    fw_sock_address_text(&address.at.any, address.bytes, text, sizeof text);
    cr_assert_str_eq(text, "unix:");
    close(pair[0]);
    close(pair[1]);
}

/* ---- listening ------------------------------------------------------------------------------- */

static int listen_on(const char *text, const struct fw_sock_listen_options *options, int *fd_out)
{
    struct fw_sock_address address;
    int status = fw_sock_address_parse(text, &address);
    return status == 0 ? fw_sock_listen(&address, options, fd_out) : status;
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    cr_assert_eq(getsockopt(fd, level, option, &value, &bytes), 0, "%s", strerror(errno));
    return value;
}

/* The listener's end and the peer's of a connection to it. */
static void connect_to(int listener, int *accepted_out, int *peer_out)
{
    struct fw_sock_address address;
    cr_assert_eq(fw_sock_address_bound(listener, &address), 0);
    *peer_out = socket(address.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(*peer_out, &address.at.any, address.bytes), 0, "%s", strerror(errno));
    *accepted_out = accept(listener, NULL, NULL);
    cr_assert_geq(*accepted_out, 0, "%s", strerror(errno));
}

Test(sock_listen, says_which_port_it_got)
{
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0"};
    for (size_t i = 0; i < 2; i++) {
        int fd;
        int status = listen_on(texts[i], NULL, &fd);
        if (status == -EADDRNOTAVAIL || status == -EAFNOSUPPORT)
            cr_skip_test("this machine has no IPv6");
        cr_assert_eq(status, 0, "%s: %s", texts[i], fw_status_name(status));
        struct fw_sock_address address;
        char text[FW_SOCK_TEXT_BYTES];
        cr_assert_eq(fw_sock_address_bound(fd, &address), 0);
        fw_sock_address_text(&address.at.any, address.bytes, text, sizeof text);
        cr_assert_neq(strcmp(strrchr(text, ':'), ":0"), 0, "%s", text);
        int accepted;
        int peer;
        connect_to(fd, &accepted, &peer);
        close(accepted);
        close(peer);
        close(fd);
    }
}

Test(sock_listen, is_non_blocking_and_closed_on_exec)
{
    int fd;
    cr_assert_eq(listen_on("127.0.0.1:0", NULL, &fd), 0);
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(accept(fd, NULL, NULL), -1);
    cr_assert_eq(errno, EAGAIN);
    close(fd);
}

Test(sock_listen, connections_inherit_what_is_set_once)
{
    const struct fw_sock_listen_options options = {
        .send_buffer_bytes = 50000, .receive_buffer_bytes = 60000, .user_timeout_ms = 30000};
    int fd;
    int accepted;
    int peer;
    cr_assert_eq(listen_on("127.0.0.1:0", &options, &fd), 0);
    connect_to(fd, &accepted, &peer);
    cr_assert_eq(option_of(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
    cr_assert_eq(option_of(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
    /* The kernel doubles what it is asked for (socket(7)). */
    cr_assert_eq(option_of(accepted, SOL_SOCKET, SO_SNDBUF), 100000);
    cr_assert_eq(option_of(accepted, SOL_SOCKET, SO_RCVBUF), 120000);
    close(accepted);
    close(peer);
    close(fd);
}

Test(sock_listen, refuses_a_port_that_is_taken_unless_it_is_shared)
{
    int first;
    int second;
    struct fw_sock_address address;
    cr_assert_eq(listen_on("127.0.0.1:0", NULL, &first), 0);
    cr_assert_eq(fw_sock_address_bound(first, &address), 0);
    cr_assert_eq(fw_sock_listen(&address, NULL, &second), -EADDRINUSE);
    close(first);

    const struct fw_sock_listen_options shared = {.reuse_port = true};
    cr_assert_eq(fw_sock_listen(&address, &shared, &first), 0);
    cr_assert_eq(fw_sock_listen(&address, &shared, &second), 0);
    close(first);
    close(second);
}

/* A server that is started again must not wait for its old connections' TIME_WAIT. */
Test(sock_listen, takes_a_port_again_that_has_connections_in_time_wait)
{
    int fd;
    int accepted;
    int peer;
    struct fw_sock_address address;
    cr_assert_eq(listen_on("127.0.0.1:0", NULL, &fd), 0);
    cr_assert_eq(fw_sock_address_bound(fd, &address), 0);
    connect_to(fd, &accepted, &peer);
    close(accepted); /* the side that closes first waits */
    close(peer);
    close(fd);
    cr_assert_eq(fw_sock_listen(&address, NULL, &fd), 0);
    close(fd);
}

Test(sock_listen, fails_on_an_address_that_is_not_ours)
{
    int fd = -7;
    cr_assert_eq(listen_on("192.0.2.1:0", NULL, &fd), -EADDRNOTAVAIL); /* RFC 5737: documentation */
    cr_assert_eq(fd, -7, "no socket on failure");
}

/* [::] is IPv6 only, so that 0.0.0.0 with the same port is somebody else's to take. */
Test(sock_listen, ipv6_leaves_ipv4_alone)
{
    int six;
    int four;
    int status = listen_on("[::]:0", NULL, &six);
    if (status == -EADDRNOTAVAIL || status == -EAFNOSUPPORT)
        cr_skip_test("this machine has no IPv6");
    cr_assert_eq(status, 0);
    struct fw_sock_address address;
    cr_assert_eq(fw_sock_address_bound(six, &address), 0);
    char text[FW_SOCK_TEXT_BYTES];
    snprintf(text, sizeof text, "0.0.0.0:%u", ntohs(address.at.in6.sin6_port));
    status = listen_on(text, NULL, &four);
    cr_assert_eq(status, 0, "%s: %s", text, fw_status_name(status));
    close(four);
    close(six);
}

/* ---- unix sockets ---------------------------------------------------------------------------- */

static void path_of(const char *name, char *path, char *text)
{
    snprintf(path, 100, "/tmp/test_sock.%d.%s", (int)getpid(), name);
    snprintf(text, 110, "unix:%s", path);
    unlink(path);
}

Test(sock_listen_unix, accepts_and_leaves_its_path)
{
    char path[100];
    char text[110];
    int fd;
    int accepted;
    int peer;
    path_of("plain", path, text);
    cr_assert_eq(listen_on(text, NULL, &fd), 0);
    connect_to(fd, &accepted, &peer);
    cr_assert_eq(write(peer, "x", 1), 1);
    close(accepted);
    close(peer);
    close(fd);
    cr_assert_eq(access(path, F_OK), 0);
    unlink(path);
}

Test(sock_listen_unix, takes_over_a_path_that_nobody_answers_on)
{
    char path[100];
    char text[110];
    int fd;
    int accepted;
    int peer;
    path_of("stale", path, text);
    cr_assert_eq(listen_on(text, NULL, &fd), 0);
    close(fd);
    cr_assert_eq(listen_on(text, NULL, &fd), 0, "a stale socket is taken over");
    connect_to(fd, &accepted, &peer);
    close(accepted);
    close(peer);
    close(fd);
    unlink(path);
}

Test(sock_listen_unix, leaves_a_path_alone_that_somebody_answers_on)
{
    char path[100];
    char text[110];
    int fd;
    int second;
    int peers[3];
    path_of("live", path, text);
    const struct fw_sock_listen_options small = {.backlog = 1};
    cr_assert_eq(listen_on(text, &small, &fd), 0);
    cr_assert_eq(listen_on(text, NULL, &second), -EADDRINUSE);
    /* Also when its backlog is full, so that connecting says EAGAIN. */
    struct fw_sock_address address;
    cr_assert_eq(fw_sock_address_parse(text, &address), 0);
    for (unsigned i = 0; i < 3; i++) {
        peers[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(peers[i], &address.at.any, address.bytes);
    }
    cr_assert_eq(listen_on(text, NULL, &second), -EADDRINUSE);
    while (accept(fd, NULL, NULL) >= 0) {
    }
    int accepted;
    int peer;
    connect_to(fd, &accepted, &peer);
    close(fd);
    unlink(path);
}

Test(sock_listen_unix, never_removes_what_is_no_socket)
{
    char path[100];
    char text[110];
    int fd;
    path_of("file", path, text);
    int file = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, "precious", 8), 8);
    close(file);
    cr_assert_eq(listen_on(text, NULL, &fd), -EADDRINUSE);
    struct stat there;
    cr_assert_eq(stat(path, &there), 0);
    cr_assert_eq(there.st_size, 8);
    unlink(path);

    cr_assert_eq(symlink("/nonexistent", path), 0);
    cr_assert_eq(listen_on(text, NULL, &fd), -EADDRINUSE);
    cr_assert_eq(lstat(path, &there), 0, "the link is still there");
    unlink(path);
}

Test(sock_listen_unix, fails_in_a_folder_that_is_not_there)
{
    int fd;
    cr_assert_eq(listen_on("unix:/nonexistent/folder/x", NULL, &fd), -ENOENT);
}
