/* test_origin.c: which browser pages may use the server (core/access/origin.h).
 *
 * SECURITY.md, cross-site WebSocket hijacking: exact (scheme, host, port) against a list.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/origin.h"

#include <criterion/criterion.h>

static const char *const none[] = {NULL};
static const char *const exact[] = {"https://app.example.com", "http://127.0.0.1:8080",
                                    "https://[2001:db8::1]:8443", NULL};
static const char *const below[] = {"https://*.example.com", NULL};
static const char *const all[] = {"*", NULL};

struct row {
    const char *origin;
    const char *host;
    const char *const *allowed;
    bool wanted;
    const char *why;
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool allowed = fw_origin_allowed(fw_bytes_of(rows[i].origin), fw_bytes_of(rows[i].host),
                                         rows[i].allowed);
        cr_assert_eq(allowed, rows[i].wanted, "%s at %s: %s", rows[i].origin, rows[i].host,
                     rows[i].why);
    }
}

#define CHECK(rows) check(rows, sizeof rows / sizeof *rows)

/* RFC 6454, section 5: two origins are the same when scheme, host and port are; the scheme is not
 * ours to see behind a proxy. */
Test(origin, takes_the_servers_own)
{
    static const struct row rows[] = {
        {"http://example.com", "example.com", NULL, true, "the same host, the default port"},
        {"http://example.com", "example.com", none, true, "an empty list refuses no own page"},
        {"https://example.com", "example.com", NULL, true, "TLS may end in a proxy"},
        {"http://example.com:80", "example.com", NULL, true, "the default port, spelled out"},
        {"http://example.com", "example.com:80", NULL, true, "the same on the other side"},
        {"https://example.com:443", "example.com", NULL, true, "https's default port"},
        {"http://127.0.0.1:8080", "127.0.0.1:8080", NULL, true, "an address"},
        {"http://EXAMPLE.com", "example.COM", NULL, true, "hosts have no case (RFC 3986, 3.2.2)"},
        {"HTTP://example.com", "example.com", NULL, true, "nor have schemes"},
        {"http://[::1]:8080", "[::1]:8080", NULL, true, "IPv6 with a port"},
        {"http://[::1]", "[::1]", NULL, true, "IPv6 without one"},
        {"http://localhost:8080", "localhost:8080", NULL, true, "a name without a dot"},
        {"https://xn--exmple-cua.com", "XN--EXMPLE-CUA.com", NULL, true, "an IDN in ASCII form"},
    };
    CHECK(rows);
}

Test(origin, refuses_what_only_looks_like_its_own)
{
    static const struct row rows[] = {
        {"null", "example.com", NULL, false, "an opaque origin: sandboxed frames, files"},
        {"", "example.com", NULL, false, "nothing"},
        {"http://", "example.com", NULL, false, "no host"},
        {"example.com", "example.com", NULL, false, "no scheme"},
        {"//example.com", "example.com", NULL, false, "no scheme, with slashes"},
        {"://example.com", "example.com", NULL, false, "an empty scheme"},
        {"ftp://example.com", "example.com", NULL, false, "a scheme of no page"},
        {"file://example.com", "example.com", NULL, false, "another"},
        {"ws://example.com", "example.com", NULL, false, "ours is no page's either"},
        {"httpx://example.com", "example.com", NULL, false, "a longer scheme"},
        {"http:/example.com", "example.com", NULL, false, "one slash"},
        {"http://evil.com", "example.com", NULL, false, "another host"},
        {"http://example.com.evil.com", "example.com", NULL, false, "ours as its prefix"},
        {"http://evil-example.com", "example.com", NULL, false, "ours as its suffix"},
        {"http://evilexample.com", "example.com", NULL, false, "the same without a hyphen"},
        {"http://app.example.com", "example.com", NULL, false, "a subdomain of ours"},
        {"http://example.com", "app.example.com", NULL, false, "a domain above ours"},
        {"http://example.co", "example.com", NULL, false, "cut short"},
        {"http://example.com.", "example.com", NULL, false, "a trailing dot is another name"},
        {"http://example.com", "example.com.", NULL, false, "on either side"},
        {"http://example.com:8080", "example.com", NULL, false, "another port"},
        {"http://example.com", "example.com:8080", NULL, false, "on either side"},
        {"https://example.com", "example.com:80", NULL, false, "https is on 443"},
        {"http://example.com:", "example.com", NULL, false, "a colon without a port"},
        {"http://example.com:0", "example.com:0", NULL, false, "port 0"},
        {"http://example.com:65536", "example.com:65536", NULL, false, "beyond the last port"},
        {"http://example.com:99999999999", "example.com", NULL, false, "far beyond"},
        {"http://example.com:65616", "example.com", NULL, false, "80 more than 16 bits"},
        {"http://example.com:8o", "example.com:80", NULL, false, "a letter in the port"},
        {"http://example.com: 80", "example.com", NULL, false, "a space in it"},
        {"http://example.com:+80", "example.com", NULL, false, "a sign in it"},
        {"http://user@example.com", "example.com", NULL, false, "a user"},
        {"http://example.com@evil.com", "example.com", NULL, false, "ours as the user"},
        {"http://user:pass@example.com", "example.com", NULL, false, "a user and password"},
        {"http://example.com:80@evil.com", "example.com", NULL, false, "ours as both"},
        {"http://example.com/", "example.com", NULL, false, "a path: an origin has none"},
        {"http://example.com/a", "example.com", NULL, false, "a longer one"},
        {"http://example.com?a", "example.com", NULL, false, "a query"},
        {"http://example.com#a", "example.com", NULL, false, "a fragment"},
        {"http://example.com\\evil.com", "example.com", NULL, false, "a backslash"},
        {"http://example.com evil.com", "example.com", NULL, false, "a space"},
        {" http://example.com", "example.com", NULL, false, "a space in front"},
        {"http://example.com ", "example.com", NULL, false, "and behind"},
        {"http://example.com, http://evil.com", "example.com", NULL, false, "two of them"},
        {"http://example.com http://example.com", "example.com", NULL, false, "RFC 6454's list"},
        {"http://ex\xc3\xa4mple.com", "example.com", NULL, false, "not in ASCII form"},
        {"http://xn--exmple-cua.com", "ex\xc3\xa4mple.com", NULL, false, "one name, two forms"},
        {"http://ex\xc3\xa4mple.com", "xn--exmple-cua.com", NULL, false, "on either side"},
        {"http://\xd0\xb5xample.com", "example.com", NULL, false, "a Cyrillic letter"},
        {"http://example\xe3\x80\x82"
         "com",
         "example.com", NULL, false, "an ideographic dot"},
        {"http://\xef\xbd\x85xample.com", "example.com", NULL, false, "a wide letter"},
        {"http://ex%61mple.com", "example.com", NULL, false, "escaped"},
        {"http://[::1", "[::1]", NULL, false, "an address that does not end"},
        {"http://::1", "[::1]", NULL, false, "one without brackets"},
        {"http://[::1]evil.com", "[::1]", NULL, false, "something behind one"},
        {"http://[::1]:8080", "[::1]", NULL, false, "its port counts"},
        {"http://[::2]", "[::1]", NULL, false, "another address"},
        {"http://*.example.com", "*.example.com", NULL, false, "a pattern is no origin"},
        {"http://*", "*", NULL, false, "nor is the widest one"},
        {"http://example.com", "", NULL, false, "no Host"},
    };
    CHECK(rows);
}

Test(origin, takes_those_of_the_list_exactly)
{
    static const struct row rows[] = {
        {"https://app.example.com", "feed.example.net", exact, true, "named"},
        {"https://app.example.com:443", "feed.example.net", exact, true, "its port spelled out"},
        {"https://APP.example.com", "feed.example.net", exact, true, "without regard to case"},
        {"http://127.0.0.1:8080", "feed.example.net", exact, true, "an address and port"},
        {"https://[2001:db8::1]:8443", "feed.example.net", exact, true, "an IPv6 one"},
        {"https://[2001:DB8::1]:8443", "feed.example.net", exact, true, "in capitals"},
        {"https://feed.example.net", "feed.example.net", exact, true, "besides its own"},

        {"http://app.example.com", "feed.example.net", exact, false, "another scheme"},
        {"http://app.example.com:443", "feed.example.net", exact, false, "with the same port"},
        {"https://app.example.com:8443", "feed.example.net", exact, false, "another port"},
        {"https://xapp.example.com", "feed.example.net", exact, false, "a prefix"},
        {"https://x.app.example.com", "feed.example.net", exact, false, "a subdomain"},
        {"https://app.example.com.evil.com", "feed.example.net", exact, false, "a suffix"},
        {"https://app.example.com.", "feed.example.net", exact, false, "a trailing dot"},
        {"https://appxexample.com", "feed.example.net", exact, false, "a dot is a dot"},
        {"https://app.example.com@evil.com", "feed.example.net", exact, false, "as a user"},
        {"http://127.0.0.1", "feed.example.net", exact, false, "the address, another port"},
        {"http://127.0.0.1:8081", "feed.example.net", exact, false, "the next port"},
        {"https://[2001:db8::1]", "feed.example.net", exact, false, "IPv6, another port"},
        {"null", "feed.example.net", exact, false, "null is never in a list"},
        {"https://app.example.com", "feed.example.net", none, false, "the list is empty"},
        {"https://app.example.com", "feed.example.net", NULL, false, "there is none"},
    };
    CHECK(rows);
}

Test(origin, takes_names_below_a_domain_of_the_list)
{
    static const struct row rows[] = {
        {"https://a.example.com", "feed.net", below, true, "one label below"},
        {"https://a.b.c.example.com", "feed.net", below, true, "several"},
        {"https://A.EXAMPLE.COM", "feed.net", below, true, "in capitals"},
        {"https://a.example.com:443", "feed.net", below, true, "the default port"},

        {"https://example.com", "feed.net", below, false, "the domain itself is not below it"},
        {"https://.example.com", "feed.net", below, false, "an empty label"},
        {"https://evilexample.com", "feed.net", below, false, "ends alike, but not below"},
        {"https://a.example.com.evil.com", "feed.net", below, false, "goes on"},
        {"https://a.example.com.", "feed.net", below, false, "a trailing dot"},
        {"http://a.example.com", "feed.net", below, false, "another scheme"},
        {"https://a.example.com:8443", "feed.net", below, false, "another port"},
        {"https://*.example.com", "feed.net", below, false, "the pattern itself"},
        {"https://evil.com#.example.com", "feed.net", below, false, "hidden in a fragment"},
        {"https://evil.com/.example.com", "feed.net", below, false, "in a path"},
        {"https://evil.com?.example.com", "feed.net", below, false, "in a query"},
        {"https://evil.com:80.example.com", "feed.net", below, false, "in a port"},
        {"https://evil.com@a.example.com", "feed.net", below, false, "behind a user"},
        {"https://[::1].example.com", "feed.net", below, false, "behind an address"},
    };
    CHECK(rows);
}

Test(origin, takes_every_one_when_the_list_says_so)
{
    static const struct row rows[] = {
        {"https://evil.com", "feed.net", all, true, "any"},
        {"null", "feed.net", all, true, "an opaque one, too"},
        {"nonsense", "feed.net", all, true, "whatever it is"},
    };
    CHECK(rows);
}

Test(origin_pattern, is_an_origin_or_names_below_one_or_a_star)
{
    static const char *const good[] = {
        "*",
        "http://example.com",
        "https://example.com:8443",
        "https://*.example.com",
        "https://*.example.com:8443",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://localhost",
        "HTTPS://Example.COM",
    };
    static const char *const bad[] = {
        "",
        "**",
        "example.com",
        "*.example.com",
        "https://",
        "https://*",
        "https://*.",
        "https://*.:443",
        "https://*example.com",
        "https://a.*.example.com",
        "https://example.*",
        "https://example.com/",
        "https://example.com/path",
        "https://user@example.com",
        "https://example.com:0",
        "https://example.com:99999",
        "https://example.com:",
        "https://exa mple.com",
        "wss://example.com",
        "null",
        "https://[::1",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(fw_origin_pattern_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(fw_origin_pattern_valid(bad[i]), "%s", bad[i]);
}

/* ---- Host ------------------------------------------------------------------------------------ */

Test(origin_host, a_loopback_server_is_called_by_loopback_names)
{
    static const char *const good[] = {
        "localhost",   "LocalHost", "localhost:8080",        "127.0.0.1",
        "127.0.0.1:1", "127.1.2.3", "127.255.255.255:65535", "[::1]",
        "[::1]:8080",
    };
    static const char *const bad[] = {
        "",
        "evil.example",
        "localhost.evil.example",
        "evil.localhost",
        "localhost.",
        "127.0.0.1.evil.example",
        "127.0.0.1.",
        "127.0.0",
        "127.0.0.0.1",
        "127.0.0.256",
        "127.0.0.0001",
        "127..0.1",
        "127.evil.example",
        "128.0.0.1",
        "0127.0.0.1",
        "1.127.0.0",
        "[::2]",
        "[::1",
        "::1",
        "[::1]evil.example",
        "localhost:0",
        "localhost:x",
        "localhost:",
        "*",
        "*.example.com",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(fw_host_allowed(fw_bytes_of(good[i]), NULL), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(fw_host_allowed(fw_bytes_of(bad[i]), NULL), "%s", bad[i]);
}

Test(origin_host, takes_names_of_the_list_and_no_others)
{
    static const char *const list[] = {"feed.example.com", "*.example.net", NULL};
    static const char *const any[] = {"*", NULL};
    static const struct {
        const char *host;
        bool allowed;
    } rows[] = {
        {"feed.example.com", true},   {"FEED.example.com:8080", true},
        {"a.b.example.net", true},    {"localhost", true},
        {"xfeed.example.com", false}, {"feed.example.com.evil.com", false},
        {"example.net", false},       {"evilexample.net", false},
        {"*.example.net", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(fw_host_allowed(fw_bytes_of(rows[i].host), list), rows[i].allowed, "%s",
                     rows[i].host);
    cr_assert(fw_host_allowed(fw_bytes_of("evil.example"), any));
    cr_assert_not(fw_host_allowed(fw_bytes_of("not a name"), any),
                  "it must be a name all the same");
}

Test(origin_host, list_is_of_names)
{
    static const char *const good[] = {"*", "feed.example.com", "*.example.com", "10.0.0.1",
                                       "[::2]"};
    static const char *const bad[] = {
        "", "https://feed.example.com", "feed.example.com/", "a b", "*.", "*.:80"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(fw_host_pattern_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(fw_host_pattern_valid(bad[i]), "%s", bad[i]);
}
