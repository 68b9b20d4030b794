/* http1.c: HTTP/1.1 heads, octets to struct (RFC 9112), strict and resumable.
 *
 * No allocation, no I/O. The opening handshake is ws_handshake.c's, bodies and routing the
 * session's.
 *
 *   START -> [START_LF] -> METHOD -> TARGET -> VERSION -> LINE_CR --+
 *            (an empty line)                                        |
 *   STATUS_VERSION -> STATUS_CODE -> REASON ------------------------+-> LINE_LF
 *                                                                         |
 *       +---------------------------- NAME -> VALUE -> VALUE_LF <---+     |
 *       |                              ^           (a header line)  |     |
 *       v                              |                            |     |
 *   HEADER_START <---------------------+----------------------------+-----+
 *       |
 *       +-> END_LF -> WHOLE                any state -> FAILED
 *
 * Each state has one step, named after it, which takes octets off the input up to its delimiter. A
 * step that meets the end of the input leaves the state as it is and goes on from `scanned` at the
 * next call, so it may keep nothing that `head` does not hold. A step sees each octet once; a whole
 * line is then looked at once more by whoever gives it a meaning (white space trimmed, name known,
 * value read), so that at most twice the octets received are ever examined.
 *
 * Every refusal depends only on the octets up to the refused one, never on how they were cut: the
 * limits are ends of input that no later call can move.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/http1.h"

#include "base/check.h"
#include "fanwire/status.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum state {
    START,
    START_LF,
    METHOD,
    TARGET,
    VERSION,
    LINE_CR,
    STATUS_VERSION,
    STATUS_CODE,
    REASON,
    LINE_LF,
    HEADER_START,
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    WHOLE,
    FAILED,
};

/* What a head has said so far, in `seen`. */
enum {
    SEEN_HOST = 1,
    SEEN_CLOSE = 2,
    SEEN_KEEP_ALIVE = 4,
};

/* What a step returns when it did not fail. */
enum {
    MORE = 0, /* the input, or the room that the limits leave, is used up */
    ON = 1,   /* the next state's turn */
};

/* The input of one call: [at, end) is what this line may still take. */
struct scan {
    const uint8_t *in;
    size_t at;
    size_t end;
    size_t in_bytes;
};

/* "OPTIONS" and "CONNECT". */
#define METHOD_CHARS_MAX 7
#define VERSION_CHARS    8

/* What an octet may be part of. */
enum {
    IN_TOKEN = 1,  /* RFC 9110, section 5.6.2 */
    IN_TARGET = 2, /* visible ASCII but " # < >: RFC 3986 and browsers both escape these */
    IN_VALUE = 4,  /* VCHAR, obs-text, SP, HTAB: RFC 9110, section 5.5 */
    IN_NAME = 8,   /* of a host: RFC 3986, section 3.2.2, without ',' (two Hosts, merged) and '%' */
    IN_DIGITS = 16,
    IN_LITERAL = 32, /* of an IPv6 address */
};

#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_ALPHA(c) (((c) >= 'A' && (c) <= 'Z') || ((c) >= 'a' && (c) <= 'z'))
#define IS_HEX(c)   (IS_DIGIT(c) || ((c) >= 'A' && (c) <= 'F') || ((c) >= 'a' && (c) <= 'f'))
#define IS_BOTH(c)                                                                                 \
    ((c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '*' || (c) == '+' ||          \
     (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define IS_TOKEN(c)                                                                                \
    (IS_ALPHA(c) || IS_DIGIT(c) || IS_BOTH(c) || (c) == '#' || (c) == '%' || (c) == '^' ||         \
     (c) == '`' || (c) == '|')
#define IS_NAME(c)                                                                                 \
    (IS_ALPHA(c) || IS_DIGIT(c) || IS_BOTH(c) || (c) == '(' || (c) == ')' || (c) == ';' ||         \
     (c) == '=')
#define IS_VISIBLE(c) ((c) > 0x20 && (c) < 0x7f)
#define IS_TARGET(c)  (IS_VISIBLE(c) && (c) != '"' && (c) != '#' && (c) != '<' && (c) != '>')
#define IS_VALUE(c)   (IS_VISIBLE(c) || (c) == ' ' || (c) == '\t' || (c) >= 0x80)
#define IS_LITERAL(c) (IS_HEX(c) || (c) == ':' || (c) == '.')

#define CLASS(c)                                                                                   \
    ((IS_TOKEN(c) ? IN_TOKEN : 0) | (IS_TARGET(c) ? IN_TARGET : 0) |                               \
     (IS_VALUE(c) ? IN_VALUE : 0) | (IS_NAME(c) ? IN_NAME : 0) | (IS_DIGIT(c) ? IN_DIGITS : 0) |   \
     (IS_LITERAL(c) ? IN_LITERAL : 0))
#define CLASS_4(c)  CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS_16(c) CLASS_4(c), CLASS_4((c) + 4), CLASS_4((c) + 8), CLASS_4((c) + 12)
#define CLASS_64(c) CLASS_16(c), CLASS_16((c) + 16), CLASS_16((c) + 32), CLASS_16((c) + 48)

static const uint8_t classes[256] = {CLASS_64(0), CLASS_64(64), CLASS_64(128), CLASS_64(192)};

static inline size_t class_end(const uint8_t *in, size_t at, size_t end, unsigned class)
{
    while (at < end && (classes[in[at]] & class) != 0)
        at++;
    return at;
}

/* Where a field value ends, if it ends before `end`: most octets of a head lie in values, so these
 * are taken 16 at a time. */
static inline size_t value_end(const uint8_t *in, size_t at, size_t end)
{
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        __m128i octets = _mm_loadu_si128((const __m128i *)(const void *)(in + at));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(octets, _mm_set1_epi8(0x1f)), octets);
        __m128i tab = _mm_cmpeq_epi8(octets, _mm_set1_epi8('\t'));
        __m128i delete = _mm_cmpeq_epi8(octets, _mm_set1_epi8(0x7f));
        int stops = _mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), delete));
        if (stops != 0)
            return at + (size_t)__builtin_ctz((unsigned)stops);
    }
#endif
    return class_end(in, at, end, IN_VALUE);
}

static inline bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct fw_bytes trim(struct fw_bytes bytes)
{
    while (bytes.count > 0 && is_blank(bytes.at[bytes.count - 1]))
        bytes.count--;
    while (bytes.count > 0 && is_blank(bytes.at[0])) {
        bytes.at++;
        bytes.count--;
    }
    return bytes;
}

/* A bare LF is the classic of request smuggling, so it is told from other wrong octets. */
static inline int wrong_octet(uint8_t c, int error)
{
    return c == '\n' ? FW_ERR_HTTP_LINE_END : error;
}

/* A new line begins here, and may not grow beyond its limit. */
static inline void begin_line(struct fw_http_head *head, struct scan *scan)
{
    size_t line_end = scan->at + FW_HTTP_LINE_BYTES_MAX;
    head->line = (uint16_t)scan->at;
    scan->end = scan->in_bytes < FW_HTTP_HEAD_BYTES_MAX ? scan->in_bytes : FW_HTTP_HEAD_BYTES_MAX;
    if (scan->end > line_end)
        scan->end = line_end;
}

static inline int expect_octet(struct fw_http_head *head, struct scan *scan, uint8_t octet,
                               enum state next)
{
    if (scan->at == scan->end)
        return MORE;
    if (scan->in[scan->at] != octet)
        return FW_ERR_HTTP_LINE_END;
    scan->at++;
    head->state = (uint8_t)next;
    return ON;
}

/* RFC 9112, section 2.2: clients of old send an empty line after a body. One is passed over. */
static int start_step(struct fw_http_head *head, struct scan *scan)
{
    if (scan->at == scan->end)
        return MORE;
    bool empty_line = scan->in[scan->at] == '\r';
    if (empty_line)
        scan->at++;
    head->state = empty_line ? START_LF : METHOD;
    return ON;
}

static int start_lf_step(struct fw_http_head *head, struct scan *scan)
{
    int result = expect_octet(head, scan, '\n', METHOD);
    if (result == ON)
        begin_line(head, scan);
    return result;
}

/* The method that a token names, or -1. */
static int method_named(struct fw_bytes token)
{
    static const struct {
        const char *name;
        enum fw_http_method method;
    } methods[] = {
        {"GET", FW_HTTP_GET},         {"POST", FW_HTTP_POST},   {"HEAD", FW_HTTP_HEAD},
        {"OPTIONS", FW_HTTP_OPTIONS}, {"PUT", FW_HTTP_OTHER},   {"DELETE", FW_HTTP_OTHER},
        {"PATCH", FW_HTTP_OTHER},     {"TRACE", FW_HTTP_OTHER}, {"CONNECT", FW_HTTP_OTHER},
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (fw_bytes_equal(token, fw_bytes_of(methods[i].name)))
            return (int)methods[i].method;
    }
    return -1;
}

static int method_step(struct fw_http_head *head, struct scan *scan)
{
    size_t stop = (size_t)head->line + METHOD_CHARS_MAX + 1;
    if (stop > scan->end)
        stop = scan->end;
    scan->at = class_end(scan->in, scan->at, stop, IN_TOKEN);
    struct fw_bytes token = {scan->in + head->line, scan->at - head->line};
    if (token.count > METHOD_CHARS_MAX)
        return FW_ERR_HTTP_METHOD;
    if (scan->at == scan->end)
        return MORE;
    uint8_t delimiter = scan->in[scan->at];
    if (token.count == 0 && (delimiter == '\r' || delimiter == '\n'))
        return FW_ERR_HTTP_LINE_END;
    int method = method_named(token);
    if (method < 0 && (token.count == 0 || delimiter != ' ')) /* another protocol */
        return wrong_octet(delimiter, FW_ERR_HTTP_REQUEST_LINE);
    if (method < 0)
        return FW_ERR_HTTP_METHOD;
    if (delimiter != ' ')
        return wrong_octet(delimiter, FW_ERR_HTTP_TARGET);
    head->method = (uint8_t)method;
    head->target.at = (uint16_t)++scan->at;
    head->state = TARGET;
    return ON;
}

static void split_target(struct fw_http_head *head, const uint8_t *in)
{
    struct fw_http_span target = head->target;
    const uint8_t *mark = memchr(in + target.at, '?', target.count);
    head->path = target;
    head->query = (struct fw_http_span){(uint16_t)(target.at + target.count), 0};
    if (mark == NULL)
        return;
    head->path.count = (uint16_t)(mark - (in + target.at));
    head->query.at = (uint16_t)(target.at + head->path.count + 1);
    head->query.count = (uint16_t)(target.count - head->path.count - 1);
}

/* Origin-form only (RFC 9112, section 3.2.1): "*", absolute and authority form have no slash first.
 */
static int target_step(struct fw_http_head *head, struct scan *scan)
{
    if (scan->at == scan->end)
        return MORE;
    if (scan->at == head->target.at && scan->in[scan->at] != '/')
        return wrong_octet(scan->in[scan->at], FW_ERR_HTTP_TARGET);
    scan->at = class_end(scan->in, scan->at, scan->end, IN_TARGET);
    if (scan->at == scan->end)
        return MORE;
    uint8_t delimiter = scan->in[scan->at];
    if (delimiter == '\r') /* HTTP/0.9, or a version that was forgotten */
        return FW_ERR_HTTP_VERSION;
    if (delimiter != ' ')
        return wrong_octet(delimiter, FW_ERR_HTTP_TARGET);
    head->target.count = (uint16_t)(scan->at - head->target.at);
    split_target(head, scan->in);
    scan->at++;
    head->state = VERSION;
    return ON;
}

/* Takes "HTTP/1.0" or "HTTP/1.1", which begins at `begin`. */
static int take_version(struct fw_http_head *head, struct scan *scan, size_t begin, int error)
{
    static const char prefix[] = "HTTP/1.";
    for (; scan->at < scan->end; scan->at++) {
        uint8_t octet = scan->in[scan->at];
        size_t place = scan->at - begin;
        if (place == VERSION_CHARS - 1) {
            if (octet != '0' && octet != '1')
                return wrong_octet(octet, error);
            head->minor = octet - '0';
            scan->at++;
            return ON;
        }
        if (octet != (uint8_t)prefix[place])
            return wrong_octet(octet, error);
    }
    return MORE;
}

static int version_step(struct fw_http_head *head, struct scan *scan)
{
    size_t begin = (size_t)head->target.at + head->target.count + 1;
    int result = take_version(head, scan, begin, FW_ERR_HTTP_VERSION);
    if (result == ON)
        head->state = LINE_CR;
    return result;
}

static int line_cr_step(struct fw_http_head *head, struct scan *scan)
{
    int result = expect_octet(head, scan, '\r', LINE_LF);
    if (result < 0)
        return wrong_octet(scan->in[scan->at], FW_ERR_HTTP_VERSION);
    return result;
}

static int status_version_step(struct fw_http_head *head, struct scan *scan)
{
    int result = take_version(head, scan, head->line, FW_ERR_HTTP_STATUS_LINE);
    if (result == ON)
        head->state = STATUS_CODE;
    return result;
}

/* Takes " 101 ": the space after the code is required even when no reason follows (RFC 9112,
 * section 4). */
static int status_code_step(struct fw_http_head *head, struct scan *scan)
{
    size_t begin = (size_t)head->line + VERSION_CHARS;
    for (; scan->at < scan->end; scan->at++) {
        uint8_t octet = scan->in[scan->at];
        bool space = scan->at == begin || scan->at == begin + 4;
        if (space ? octet != ' ' : !IS_DIGIT(octet))
            return wrong_octet(octet, FW_ERR_HTTP_STATUS_LINE);
        if (!space) {
            head->status = (uint16_t)(head->status * 10 + (octet - '0'));
        } else if (scan->at > begin) {
            scan->at++;
            head->state = REASON;
            return head->status >= 100 && head->status <= 599 ? ON : FW_ERR_HTTP_STATUS_LINE;
        }
    }
    return MORE;
}

static int reason_step(struct fw_http_head *head, struct scan *scan)
{
    scan->at = value_end(scan->in, scan->at, scan->end);
    if (scan->at == scan->end)
        return MORE;
    if (scan->in[scan->at] != '\r')
        return wrong_octet(scan->in[scan->at], FW_ERR_HTTP_STATUS_LINE);
    scan->at++;
    head->state = LINE_LF;
    return ON;
}

static int line_lf_step(struct fw_http_head *head, struct scan *scan)
{
    int result = expect_octet(head, scan, '\n', HEADER_START);
    if (result == ON)
        begin_line(head, scan);
    return result;
}

/* A line that begins with white space continues the one before (obs-fold, RFC 9112, section 5.2),
 * or hides from a peer that skips it when it is the first one (section 2.2). */
static inline int header_start_step(struct fw_http_head *head, struct scan *scan)
{
    if (scan->at == scan->end)
        return MORE;
    uint8_t octet = scan->in[scan->at];
    if (octet == '\r') {
        scan->at++;
        head->state = END_LF;
        return ON;
    }
    if (is_blank(octet))
        return FW_ERR_HTTP_FOLDED;
    if (octet == '\n')
        return FW_ERR_HTTP_LINE_END;
    if (head->headers_count == FW_HTTP_HEADERS_MAX)
        return FW_ERR_HTTP_HEADERS_TOO_MANY;
    head->state = NAME;
    return ON;
}

static inline int name_step(struct fw_http_head *head, struct scan *scan)
{
    scan->at = class_end(scan->in, scan->at, scan->end, IN_TOKEN);
    if (scan->at == scan->end)
        return MORE;
    uint8_t delimiter = scan->in[scan->at];
    if (delimiter != ':' || scan->at == head->line)
        return wrong_octet(delimiter, FW_ERR_HTTP_HEADER_NAME);
    struct fw_http_header *header = &head->headers[head->headers_count];
    header->name = (struct fw_http_span){head->line, (uint16_t)(scan->at - head->line)};
    header->value.at = (uint16_t)++scan->at;
    head->state = VALUE;
    return ON;
}

static inline int value_step(struct fw_http_head *head, struct scan *scan)
{
    scan->at = value_end(scan->in, scan->at, scan->end);
    if (scan->at == scan->end)
        return MORE;
    if (scan->in[scan->at] != '\r')
        return wrong_octet(scan->in[scan->at], FW_ERR_HTTP_HEADER_VALUE);
    struct fw_http_span *value = &head->headers[head->headers_count].value;
    struct fw_bytes raw = {scan->in + value->at, scan->at - value->at};
    struct fw_bytes trimmed = trim(raw);
    value->at = (uint16_t)(trimmed.at - scan->in);
    value->count = (uint16_t)trimmed.count;
    scan->at++;
    head->state = VALUE_LF;
    return ON;
}

static bool host_valid(struct fw_bytes host)
{
    size_t at = 0;
    if (host.count > 0 && host.at[0] == '[') {
        at = class_end(host.at, 1, host.count, IN_LITERAL);
        if (at < 3 || at == host.count || host.at[at] != ']') /* "[::]" is the shortest */
            return false;
        at++;
    } else {
        at = class_end(host.at, 0, host.count, IN_NAME);
    }
    if (at == 0 || at == host.count)
        return at > 0;
    return host.at[at] == ':' && class_end(host.at, at + 1, host.count, IN_DIGITS) == host.count;
}

static int understand_host(struct fw_http_head *head, struct fw_bytes value)
{
    if ((head->seen & SEEN_HOST) != 0 || !host_valid(value))
        return FW_ERR_HTTP_HOST;
    head->seen |= SEEN_HOST;
    return ON;
}

/* A repeated Content-Length is refused even when it says the same: peers on the way may have read
 * either (RFC 9110, section 8.6, allows that). */
static int understand_length(struct fw_http_head *head, struct fw_bytes value)
{
    if (head->has_length || value.count == 0)
        return FW_ERR_HTTP_LENGTH;
    uint64_t length = 0;
    for (size_t i = 0; i < value.count; i++) {
        uint8_t octet = value.at[i];
        if (!IS_DIGIT(octet) || __builtin_mul_overflow(length, 10U, &length) ||
            __builtin_add_overflow(length, (uint64_t)(octet - '0'), &length))
            return FW_ERR_HTTP_LENGTH;
    }
    head->has_length = true;
    head->content_length = length;
    return ON;
}

static int understand_connection(struct fw_http_head *head, struct fw_bytes value)
{
    struct fw_bytes element;
    while (fw_http_list_next(&value, &element)) {
        if (fw_bytes_equal_lower(element, "upgrade"))
            head->upgrade = true;
        else if (fw_bytes_equal_lower(element, "close"))
            head->seen |= SEEN_CLOSE;
        else if (fw_bytes_equal_lower(element, "keep-alive"))
            head->seen |= SEEN_KEEP_ALIVE;
    }
    return ON;
}

static int understand_expect(struct fw_http_head *head, struct fw_bytes value)
{
    struct fw_bytes element;
    while (fw_http_list_next(&value, &element)) {
        if (fw_bytes_equal_lower(element, "100-continue"))
            head->expect_continue = true;
    }
    return ON;
}

/* Acts on the few headers that shape the message. The length of the name tells them apart, so that
 * the others, which are most, cost one comparison. */
static inline int understand_header(struct fw_http_head *head, const uint8_t *in,
                                    const struct fw_http_header *header)
{
    struct fw_bytes name = fw_http_bytes(in, header->name);
    struct fw_bytes value = fw_http_bytes(in, header->value);
    bool request = head->status == 0;
    switch (name.count) {
    case 4:
        return request && fw_bytes_equal_lower(name, "host") ? understand_host(head, value) : ON;
    case 6:
        return request && fw_bytes_equal_lower(name, "expect") ? understand_expect(head, value)
                                                               : ON;
    case 10:
        return fw_bytes_equal_lower(name, "connection") ? understand_connection(head, value) : ON;
    case 14:
        return fw_bytes_equal_lower(name, "content-length") ? understand_length(head, value) : ON;
    case 17:
        return request && fw_bytes_equal_lower(name, "transfer-encoding") ? FW_ERR_HTTP_CODING : ON;
    default:
        return ON;
    }
}

static inline int value_lf_step(struct fw_http_head *head, struct scan *scan)
{
    int result = expect_octet(head, scan, '\n', HEADER_START);
    if (result != ON)
        return result;
    begin_line(head, scan);
    return understand_header(head, scan->in, &head->headers[head->headers_count++]);
}

/* Judges what only the whole head can show: RFC 9112, sections 3.2 (Host) and 9.3 (persistence);
 * RFC 9110, section 10.1.1 (no 100 (Continue) for HTTP/1.0). */
static int end_lf_step(struct fw_http_head *head, struct scan *scan)
{
    int result = expect_octet(head, scan, '\n', WHOLE);
    if (result != ON)
        return result;
    if (head->status == 0 && head->minor == 1 && (head->seen & SEEN_HOST) == 0)
        return FW_ERR_HTTP_HOST;
    head->keep_alive =
        (head->seen & SEEN_CLOSE) == 0 && (head->minor == 1 || (head->seen & SEEN_KEEP_ALIVE) != 0);
    if (head->minor == 0)
        head->expect_continue = false;
    return ON;
}

/* A whole header line in one turn, or what is left of one. */
static inline int header_line_step(struct fw_http_head *head, struct scan *scan)
{
    int result = ON;
    if (head->state == HEADER_START)
        result = header_start_step(head, scan);
    if (result == ON && head->state == NAME)
        result = name_step(head, scan);
    if (result == ON && head->state == VALUE)
        result = value_step(head, scan);
    if (result == ON && head->state == VALUE_LF)
        result = value_lf_step(head, scan);
    return result;
}

static inline int step(struct fw_http_head *head, struct scan *scan)
{
    switch ((enum state)head->state) {
    case START:
        return start_step(head, scan);
    case START_LF:
        return start_lf_step(head, scan);
    case METHOD:
        return method_step(head, scan);
    case TARGET:
        return target_step(head, scan);
    case VERSION:
        return version_step(head, scan);
    case LINE_CR:
        return line_cr_step(head, scan);
    case STATUS_VERSION:
        return status_version_step(head, scan);
    case STATUS_CODE:
        return status_code_step(head, scan);
    case REASON:
        return reason_step(head, scan);
    case LINE_LF:
        return line_lf_step(head, scan);
    case HEADER_START:
    case NAME:
    case VALUE:
    case VALUE_LF:
        return header_line_step(head, scan);
    case END_LF:
        return end_lf_step(head, scan);
    case WHOLE:
    case FAILED:
        break;
    }
    return MORE;
}

/* Input that ends where a limit is will not be helped by more of it. */
static int limit_reached(const struct fw_http_head *head)
{
    if (head->state < HEADER_START && head->scanned == head->line + FW_HTTP_LINE_BYTES_MAX)
        return FW_ERR_HTTP_LINE_TOO_LONG;
    if (head->scanned == head->line + FW_HTTP_LINE_BYTES_MAX ||
        head->scanned == FW_HTTP_HEAD_BYTES_MAX)
        return FW_ERR_HTTP_HEAD_TOO_LARGE;
    return MORE;
}

static ssize_t parse(struct fw_http_head *head, const uint8_t *in, size_t in_bytes)
{
    fw_assert(head->state < FAILED && in_bytes >= head->scanned);
    struct scan scan = {.in = in, .at = head->line, .in_bytes = in_bytes};
    begin_line(head, &scan);
    scan.at = head->scanned;
    int result = ON;
    while (result == ON)
        result = step(head, &scan);
    head->scanned = (uint16_t)scan.at;
    if (head->state == WHOLE && result == MORE)
        return head->scanned;
    if (result == MORE)
        result = limit_reached(head);
    if (result < 0)
        head->state = FAILED;
    return result;
}

void fw_http_head_init(struct fw_http_head *head)
{
    memset(head, 0, offsetof(struct fw_http_head, headers));
}

ssize_t fw_http_request_parse(struct fw_http_head *head, const uint8_t *in, size_t in_bytes)
{
    return parse(head, in, in_bytes);
}

ssize_t fw_http_response_parse(struct fw_http_head *head, const uint8_t *in, size_t in_bytes)
{
    if (head->state == START)
        head->state = STATUS_VERSION;
    return parse(head, in, in_bytes);
}

size_t fw_http_token_span(struct fw_bytes in)
{
    return class_end(in.at, 0, in.count, IN_TOKEN);
}

bool fw_http_list_next(struct fw_bytes *list, struct fw_bytes *element_out)
{
    const uint8_t *at = list->at;
    size_t begin = 0;
    while (begin < list->count && (at[begin] == ',' || is_blank(at[begin])))
        begin++;
    size_t end = begin;
    while (end < list->count && at[end] != ',')
        end++;
    *list = (struct fw_bytes){at + end, list->count - end};
    if (begin == end)
        return false;
    *element_out = trim((struct fw_bytes){at + begin, end - begin});
    return true;
}
