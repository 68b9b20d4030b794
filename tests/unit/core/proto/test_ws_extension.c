/* test_ws_extension.c: the reader of Sec-WebSocket-Extensions (RFC 6455, section 9.1), alone and as
 * the check of a handshake uses it.
 *
 * Every input stands flush against an unreadable page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_handshake.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define REQUEST                                                                                    \
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

static struct guard_buf guard;

static void set_up(void)
{
    guard_buf_init(&guard, FW_HTTP_HEAD_BYTES_MAX);
}

static void tear_down(void)
{
    guard_buf_clear(&guard);
}

TestSuite(ws_extension, .init = set_up, .fini = tear_down);

/* Whether a handshake with these header lines passes the check. */
static int check_with(const char *lines)
{
    char text[512];
    char accept[FW_WS_ACCEPT_CHARS];
    struct fw_http_head head;
    cr_assert_lt(strlen(REQUEST "\r\n") + strlen(lines), sizeof text);
    strcpy(stpcpy(stpcpy(text, REQUEST), lines), "\r\n");
    size_t bytes = strlen(text);
    uint8_t *in = guard_buf_at_end(&guard, text, bytes);
    fw_http_head_init(&head);
    cr_assert_eq(fw_http_request_parse(&head, in, bytes), (ssize_t)bytes, "%s", text);
    return fw_ws_handshake_check(&head, in, accept);
}

static bool is(struct fw_bytes bytes, const char *text)
{
    return fw_bytes_equal(bytes, fw_bytes_of(text));
}

/* Walks a value and writes what came as "name(param=value,param)...", or the error's sign. */
static void walk(struct fw_bytes value, char *out)
{
    struct fw_ws_extension_reader reader;
    struct fw_ws_extension_param param;
    struct fw_bytes name;
    int more;
    int params = 0;
    fw_ws_extension_begin(&reader, value);
    while ((more = fw_ws_extension_next(&reader, &name)) > 0) {
        out += sprintf(out, "%.*s(", (int)name.count, (const char *)name.at);
        while ((params = fw_ws_extension_param_next(&reader, &param)) > 0) {
            const char *quote = param.quoted ? "\"" : "";
            out += sprintf(out, "%.*s", (int)param.name.count, (const char *)param.name.at);
            if (param.has_value)
                out += sprintf(out, "=%s%.*s%s", quote, (int)param.value.count,
                               (const char *)param.value.at, quote);
            out += sprintf(out, ",");
        }
        out += sprintf(out, ")");
    }
    strcpy(out, more < 0 ? "!" : "");
    cr_expect(more == 0 || more == FW_ERR_WS_EXTENSION);
    cr_expect_eq(fw_ws_extension_next(&reader, &name), more, "the end stays the end");
}

Test(ws_extension, takes_offers_apart)
{
    /* RFC 6455, section 9.1; RFC 7692, section 7 */
    static const struct {
        const char *value;
        const char *expected;
    } cases[] = {
        {"permessage-deflate", "permessage-deflate()"},
        {"permessage-deflate; client_max_window_bits",
         "permessage-deflate(client_max_window_bits,)"},
        {"a;b=1;c=\"2\";d, e ,f;g", "a(b=1,c=\"2\",d,)e()f(g,)"},
        {"a \t;\t b=1 \t", "a(b=1,)"},
        {"a;b=\"x\" ;c", "a(b=\"x\",c,)"},
        {"a;b=\"\\x\\y\"", "a(b=\"\\x\\y\",)"},
        {",, a,,b ,", "a()b()"},
        {"", ""},
        {" ", ""},
        {",", ""},
    };
    char out[256];
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t bytes = strlen(cases[i].value);
        walk((struct fw_bytes){guard_buf_at_end(&guard, cases[i].value, bytes), bytes}, out);
        cr_expect_str_eq(out, cases[i].expected, "%s: %s", cases[i].value, out);
    }
}

/* What a header of extensions must not be; refused by the check as by the reader. */
/* clang-format off */
static const char *const malformed_extensions[] = {
    "a;b=\"\\x\\\\\"", "a ; b = 1", ";", "a;", "a;;b", "a;b;", ";a", "=", "a=b", "a b", "a;b c",
    "a;b=", "a;b=;c", "a;=c", "a;b==c", "a;b=c=d", "\"a\"", "a;\"b\"", "a;b=\"", "a;b=\"c",
    "a;b=\"\"", "a;b=\"c\"d", "a;b=c\"d\"", "a;b=\"\\", "a;b=\"\\\"", "a;b=\"c d\"",
    "a;b=\"c,d\"", "a;b=\"c;d\"", "a;b= c", "a;b =c", "a;b=\"c\" d", "a;b=(c)", "@", "a,@",
    "a;b=\xff", "\xc3\xa4", "a/b", "a;b=\"c\"\"d\"", "a;b=\"\\ \"", "a,b;", "a;b=\"\xff\"",
    "a;b=\"c\td\"",
};
/* clang-format on */

Test(ws_extension, refuses_what_is_malformed_asked_for_parameters_or_not)
{
    /* RFC 6455, section 9.1: the server must fail the handshake */
    char line[256];
    for (size_t i = 0; i < COUNT(malformed_extensions); i++) {
        const char *value = malformed_extensions[i];
        size_t bytes = strlen(value);
        char out[256];
        walk((struct fw_bytes){guard_buf_at_end(&guard, value, bytes), bytes}, out);
        cr_expect(strchr(out, '!') != NULL, "%s: %s", value, out);
        snprintf(line, sizeof line, "Sec-WebSocket-Extensions: %s\r\n", value);
        cr_expect_eq(check_with(line), FW_ERR_WS_EXTENSION, "%s", value);
    }
    cr_expect_eq(check_with("Sec-WebSocket-Extensions:\r\n"), FW_ERR_WS_EXTENSION);
    cr_expect_eq(check_with("Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: ,\r\n"),
                 FW_ERR_WS_EXTENSION);
}

Test(ws_extension, passes_over_parameters_that_were_not_asked_for)
{
    /* RFC 6455, section 9.1 */
    struct fw_ws_extension_reader reader;
    struct fw_ws_extension_param param;
    struct fw_bytes name;
    fw_ws_extension_begin(&reader, fw_bytes_of("a;b;c=d, e;f, g"));
    cr_expect_eq(fw_ws_extension_next(&reader, &name), 1);
    cr_expect_eq(fw_ws_extension_param_next(&reader, &param), 1);
    cr_expect(is(param.name, "b") && !param.has_value && param.value.count == 0);
    cr_expect_eq(fw_ws_extension_next(&reader, &name), 1);
    cr_expect(is(name, "e"));
    cr_expect_eq(fw_ws_extension_next(&reader, &name), 1);
    cr_expect(is(name, "g"));
    cr_expect_eq(fw_ws_extension_param_next(&reader, &param), 0);
    cr_expect_eq(fw_ws_extension_param_next(&reader, &param), 0);
    cr_expect_eq(fw_ws_extension_next(&reader, &name), 0);
}

/* What fw_ws_extension_next says in the end, and after how many extensions. */
static int last_of(const char *value, size_t bytes, int *count_out)
{
    struct fw_ws_extension_reader reader;
    struct fw_bytes name;
    int more;
    *count_out = 0;
    fw_ws_extension_begin(&reader, (struct fw_bytes){(const uint8_t *)value, bytes});
    while ((more = fw_ws_extension_next(&reader, &name)) > 0)
        ++*count_out;
    return more;
}

Test(ws_extension, bounds_a_value_at_32_tokens_and_1024_octets)
{
    /* websocket-extensions CVE-2020-7662: whoever walks a list is bounded, not only the check */
    static char value[FW_WS_LIST_BYTES_MAX + 1];
    int count;
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = i % 2 == 0 ? 'a' : ',';
    cr_expect_eq(last_of(value, 2 * FW_WS_LIST_TOKENS_MAX, &count), 0);
    cr_expect_eq(count, FW_WS_LIST_TOKENS_MAX);
    cr_expect_eq(last_of(value, 2 * FW_WS_LIST_TOKENS_MAX + 1, &count), FW_ERR_WS_EXTENSION);
    cr_expect_eq(count, FW_WS_LIST_TOKENS_MAX);
    memset(value, ' ', sizeof value);
    cr_expect_eq(last_of(value, FW_WS_LIST_BYTES_MAX, &count), 0);
    cr_expect_eq(last_of(value, FW_WS_LIST_BYTES_MAX + 1, &count), FW_ERR_WS_EXTENSION);
    cr_expect_eq(count, 0);
}

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* The best of a few runs, each of which parses what an attacker fills 8 KiB with. */
static double hostile_us(uint8_t fill, size_t bytes)
{
    static uint8_t value[FW_HTTP_HEAD_BYTES_MAX];
    double best = 1e9;
    memset(value, fill, bytes);
    for (int run = 0; run < 20; run++) {
        struct fw_bytes list = {value, bytes};
        struct fw_bytes element;
        struct fw_ws_extension_reader reader;
        double start = cpu_us();
        while (fw_http_list_next(&list, &element))
            fw_http_token_span(element);
        fw_ws_extension_begin(&reader, (struct fw_bytes){value, bytes});
        while (fw_ws_extension_next(&reader, &element) > 0)
            continue;
        double took = cpu_us() - start;
        best = took < best ? took : best;
    }
    return best;
}

Test(ws_extension, takes_linear_time_for_hostile_lists)
{
    /* ws CVE-2021-32640, websocket-extensions CVE-2020-7662, -7663. Quadratic work on 8 KiB is 33
     * million steps, tens of ms; a linear walk takes some tens of us even under a sanitizer. */
    static const char fills[] = " ,\"\t;=\\a";
    for (size_t i = 0; i < sizeof fills - 1; i++) {
        double took = hostile_us((uint8_t)fills[i], FW_HTTP_HEAD_BYTES_MAX);
        cr_expect_lt(took, 1000.0, "'%c': %.1f us", fills[i], took);
    }
}
