/* test_ws_url.c: URLs of WebSockets (RFC 6455, section 3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/ws_url.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>

struct good {
    const char *text;
    const char *address;
    const char *host;
    const char *target;
    bool secure;
    bool local;
};

Test(ws_url, takes_good_ones_apart)
{
    static const struct good cases[] = {
        {"ws://example.com", "example.com:80", "example.com", "/", false, false},
        {"ws://example.com/", "example.com:80", "example.com", "/", false, false},
        {"WS://Example.com:80/a", "Example.com:80", "Example.com", "/a", false, false},
        {"ws://127.0.0.1:8080/chat?room=1&x=%20", "127.0.0.1:8080", "127.0.0.1:8080",
         "/chat?room=1&x=%20", false, false},
        {"ws://a-b.c_d.example:65535?q", "a-b.c_d.example:65535", "a-b.c_d.example:65535", "/?q",
         false, false},
        {"ws://[::1]:9000/x", "[::1]:9000", "[::1]:9000", "/x", false, false},
        {"ws://[2001:db8::1]", "[2001:db8::1]:80", "[2001:db8::1]", "/", false, false},
        {"wss://example.com/feed", "example.com:443", "example.com", "/feed", true, false},
        {"wss://example.com:80/feed", "example.com:80", "example.com:80", "/feed", true, false},
        {"unix:/run/feed.sock", "unix:/run/feed.sock", "localhost", "/", false, true},
        {"unix:/run/feed.sock:/chat?x=1", "unix:/run/feed.sock", "localhost", "/chat?x=1", false,
         true},
        {"ws://h/~!$&'()*+,;=:@/?-._", "h:80", "h", "/~!$&'()*+,;=:@/?-._", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fw_ws_url url;
        cr_assert_eq(fw_ws_url_parse(cases[i].text, &url), 0, "%s", cases[i].text);
        cr_assert_str_eq(url.address, cases[i].address);
        cr_assert_str_eq(url.host, cases[i].host);
        cr_assert_str_eq(url.target, cases[i].target);
        cr_assert_eq(url.secure, cases[i].secure);
        cr_assert_eq(url.local, cases[i].local);
    }
}

/* What a certificate must be for: RFC 6066, section 3, has no dot at the end of a name. */
Test(ws_url, gives_the_name_that_a_certificate_is_for)
{
    static const struct {
        const char *text;
        const char *name;
    } cases[] = {
        {"wss://Example.com:8443/", "Example.com"}, {"wss://example.com./", "example.com"},
        {"wss://192.0.2.7", "192.0.2.7"},           {"wss://[2001:db8::1]:8443/", "2001:db8::1"},
        {"unix:/run/feed.sock", "localhost"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fw_ws_url url;
        cr_assert_eq(fw_ws_url_parse(cases[i].text, &url), 0, "%s", cases[i].text);
        cr_assert_str_eq(url.name, cases[i].name);
    }
}

Test(ws_url, refuses_what_is_not_sure)
{
    static const char *const cases[] = {
        "",
        "ws",
        "ws:",
        "ws:/",
        "ws://",
        "ws:///path",
        "ws://:80/",
        "ws://?q",
        "http://example.com/",
        "https://example.com/",
        "//example.com/",
        "example.com",
        " ws://example.com/",
        "ws://example.com/ ",
        "ws://exa mple.com/",
        "ws://example.com/a b",
        "ws://example.com/#fragment",
        "ws://example.com#",
        "ws://user@example.com/",
        "ws://user:secret@example.com/",
        "ws://example.com:/",
        "ws://example.com:0/",
        "ws://example.com:08/",
        "ws://example.com:65536/",
        "ws://example.com:999999/",
        "ws://example.com:-1/",
        "ws://example.com:80x/",
        "ws://example.com\\path",
        "ws://.example.com/",
        "ws://-example.com/",
        "ws://ex%41mple.com/",
        "ws://ex\xc3\xa4mple.com/",
        "ws://[::1",
        "ws://[]/",
        "ws://[::1]x/",
        "ws://[fe80::1%25eth0]/",
        "ws://::1/",
        "ws://example.com/%",
        "ws://example.com/%4",
        "ws://example.com/%4g",
        "ws://example.com/\"",
        "ws://example.com/<a>",
        "ws://example.com/{a}",
        "ws://example.com/a\r\nX: y",
        "ws://example.com/\x7f",
        "ws://example.com/\xc3\xa4",
        "unix:",
        "unix:/",
        "unix:relative",
        "unix:/run/feed.sock:/a b",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fw_ws_url url;
        cr_assert_eq(fw_ws_url_parse(cases[i], &url), FW_ERR_URL, "%s", cases[i]);
    }
    struct fw_ws_url url;
    cr_assert_eq(fw_ws_url_parse(NULL, &url), FW_ERR_URL);
}

Test(ws_url, is_bounded)
{
    char text[FW_WS_URL_BYTES_MAX + 2];
    struct fw_ws_url url;
    memset(text, 'a', sizeof text);
    memcpy(text, "ws://h/", 7);
    text[FW_WS_URL_BYTES_MAX] = '\0';
    cr_assert_eq(fw_ws_url_parse(text, &url), 0);
    cr_assert_eq(strlen(url.target), FW_WS_URL_BYTES_MAX - 6u);
    text[6] = '?';
    cr_assert_eq(fw_ws_url_parse(text, &url), 0);
    cr_assert_eq(strlen(url.target), FW_WS_URL_BYTES_MAX - 5u, "a path is put in front");
    text[FW_WS_URL_BYTES_MAX] = 'a';
    text[FW_WS_URL_BYTES_MAX + 1] = '\0';
    cr_assert_eq(fw_ws_url_parse(text, &url), FW_ERR_URL);

    memset(text, 'a', sizeof text);
    memcpy(text, "ws://", 5);
    text[5 + FW_WS_URL_HOST_BYTES_MAX] = '\0';
    cr_assert_eq(fw_ws_url_parse(text, &url), 0);
    text[5 + FW_WS_URL_HOST_BYTES_MAX] = 'a';
    text[5 + FW_WS_URL_HOST_BYTES_MAX + 1] = '\0';
    cr_assert_eq(fw_ws_url_parse(text, &url), FW_ERR_URL);

    memset(text, 'a', sizeof text);
    memcpy(text, "unix:/", 6);
    text[5 + 107] = '\0';
    cr_assert_eq(fw_ws_url_parse(text, &url), 0);
    text[5 + 107] = 'a';
    text[5 + 108] = '\0';
    cr_assert_eq(fw_ws_url_parse(text, &url), FW_ERR_URL);
}
