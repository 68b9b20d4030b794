/* status.h: every return code of Fanwire, in one table.
 *
 * A function that can fail returns an int: 0 for success, -errno as the kernel gave it, or one of
 * the FW_ERR_* below, which start under -10000 so that the two never meet. Counts come back as
 * ssize_t in the same space. "Need more bytes" is 0, never an error.
 *
 * The peer's mistakes carry how they are answered: the WebSocket close code (RFC 6455, section
 * 7.4.1) or the HTTP status, 0 where there is none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_STATUS_H
#define FANWIRE_STATUS_H

#include <fanwire/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, answer, sentence) */
#define FW_STATUS_TABLE(X)                                                                         \
    /* ours */                                                                                     \
    X(FW_ERR_USAGE, -10001, 0, "an argument is outside what the function takes")                   \
    X(FW_ERR_CLOSED, -10002, 0, "the connection or server is closing or closed")                   \
    X(FW_ERR_BUSY, -10003, 0, "a bounded queue is full; try again later")                          \
    X(FW_ERR_LIMIT, -10004, 0, "a configured limit is reached")                                    \
    X(FW_ERR_TOPIC, -10005, 400, "a topic name is 1 to 128 of A-Z a-z 0-9 _ - . :")                \
    X(FW_ERR_ADDRESS, -10006, 0, "an address is HOST:PORT, [HOST]:PORT or unix:/path")             \
    X(FW_ERR_ENGINE, -10007, 0, "the I/O engine that was asked for does not work here")            \
    X(FW_ERR_NOT_UTF8, -10008, 400, "text must be valid UTF-8")                                    \
    X(FW_ERR_EXISTS, -10009, 0, "it is there already")                                             \
    X(FW_ERR_ABSENT, -10010, 404, "it is not there")                                               \
    X(FW_ERR_POSITION, -10011, 400, "a position is EPOCH:OFFSET for each topic, or first or now")  \
    X(FW_ERR_JSON, -10012, 400, "this is not a JSON object with unique keys, at most 8 deep")      \
    X(FW_ERR_COMMAND, -10013, 400, "a field is missing, of the wrong type or unknown")             \
    X(FW_ERR_MEMORY, -10041, 503, "the server is short of memory; try again later")                \
    X(FW_ERR_URL, -10021, 0, "a URL is ws://HOST[:PORT][/PATH][?QUERY] or unix:/path[:/PATH]")     \
    /* HTTP requests (RFC 9112) and the opening handshake (RFC 6455, section 4) */                 \
    X(FW_ERR_HTTP_METHOD, -10101, 501, "the method is not one this server knows")                  \
    X(FW_ERR_HTTP_TARGET, -10102, 400, "the request target is malformed")                          \
    X(FW_ERR_HTTP_VERSION, -10103, 400, "the protocol version is not HTTP/1.0 or HTTP/1.1")        \
    X(FW_ERR_HTTP_LINE_END, -10104, 400, "a line must end in CR LF")                               \
    X(FW_ERR_HTTP_HEADER_NAME, -10105, 400, "a header name is empty or holds a wrong character")   \
    X(FW_ERR_HTTP_HEADER_VALUE, -10106, 400, "a header value holds a control character")           \
    X(FW_ERR_HTTP_FOLDED, -10107, 400, "header lines must not be folded")                          \
    X(FW_ERR_HTTP_HOST, -10108, 400, "exactly one non-empty Host header is required")              \
    X(FW_ERR_HTTP_LENGTH, -10109, 400, "Content-Length must be one decimal number")                \
    X(FW_ERR_HTTP_CODING, -10110, 501, "Transfer-Encoding is not accepted; send Content-Length")   \
    X(FW_ERR_HTTP_LENGTH_MISSING, -10111, 411, "a POST needs a Content-Length")                    \
    X(FW_ERR_HTTP_LINE_TOO_LONG, -10112, 414, "the request line is too long")                      \
    X(FW_ERR_HTTP_HEAD_TOO_LARGE, -10113, 431, "the request head is too large")                    \
    X(FW_ERR_HTTP_HEADERS_TOO_MANY, -10114, 431, "the request has too many headers")               \
    X(FW_ERR_HTTP_BODY_TOO_LARGE, -10115, 413, "the request body is too large")                    \
    X(FW_ERR_HTTP_BODY_UNEXPECTED, -10116, 400, "an upgrade request must not carry a body")        \
    X(FW_ERR_HTTP_METHOD_NOT_ALLOWED, -10117, 405, "this resource does not take this method")      \
    X(FW_ERR_HTTP_STATUS_LINE, -10118, 0, "the response's status line is malformed")               \
    X(FW_ERR_HTTP_REQUEST_LINE, -10119, 400, "the first line is not that of an HTTP request")      \
    X(FW_ERR_HTTP_HOST_FOREIGN, -10120, 421, "this server is not the one that Host names")         \
    X(FW_ERR_WS_UPGRADE, -10121, 400, "Upgrade: websocket and Connection: Upgrade are required")   \
    X(FW_ERR_WS_KEY, -10122, 400, "Sec-WebSocket-Key must be 16 octets in base64, once")           \
    X(FW_ERR_WS_VERSION, -10123, 426, "Sec-WebSocket-Version must be 13")                          \
    X(FW_ERR_WS_PROTOCOL, -10124, 400, "Sec-WebSocket-Protocol is malformed")                      \
    X(FW_ERR_WS_EXTENSION, -10125, 400, "Sec-WebSocket-Extensions is malformed")                   \
    X(FW_ERR_WS_METHOD, -10126, 405, "the opening handshake is a GET")                             \
    X(FW_ERR_WS_ACCEPT, -10127, 0, "the response's Sec-WebSocket-Accept does not match our key")   \
    X(FW_ERR_WS_REFUSED, -10128, 0, "the server did not switch protocols")                         \
    X(FW_ERR_WS_OFFER, -10129, 0, "the server chose a subprotocol or extension not offered")       \
    X(FW_ERR_HTTP_ORIGIN, -10130, 403, "this origin may not connect")                              \
    X(FW_ERR_HTTP_TLS, -10131, 400, "this port speaks plain HTTP: use http:// or ws:// here")      \
    X(FW_ERR_WS_NO_ANSWER, -10141, 0, "the server ended the connection before it answered")        \
    /* frames and messages (RFC 6455, sections 5 to 8; RFC 7692) */                                \
    X(FW_ERR_WS_RESERVED_BITS, -10201, 1002, "a reserved bit is set")                              \
    X(FW_ERR_WS_OPCODE, -10202, 1002, "the opcode is reserved")                                    \
    X(FW_ERR_WS_LENGTH_NOT_MINIMAL, -10203, 1002, "the length is not encoded minimally")           \
    X(FW_ERR_WS_LENGTH_TOO_LARGE, -10204, 1002, "the length's highest bit is set")                 \
    X(FW_ERR_WS_MASK, -10205, 1002, "client frames must be masked, server frames must not")        \
    X(FW_ERR_WS_CONTROL_TOO_LONG, -10206, 1002, "a control frame is over 125 octets")              \
    X(FW_ERR_WS_CONTROL_FRAGMENTED, -10207, 1002, "a control frame is fragmented")                 \
    X(FW_ERR_WS_CONTINUATION, -10208, 1002, "a continuation frame continues nothing")              \
    X(FW_ERR_WS_INTERLEAVED, -10209, 1002, "a new message began before the last one ended")        \
    X(FW_ERR_WS_CLOSE_PAYLOAD, -10210, 1002, "a close frame's payload has one octet")              \
    X(FW_ERR_WS_CLOSE_CODE, -10211, 1002, "the close code must not be sent")                       \
    X(FW_ERR_WS_CLOSE_REASON, -10212, 1007, "the close reason is not valid UTF-8")                 \
    X(FW_ERR_WS_TEXT, -10213, 1007, "a text message is not valid UTF-8")                           \
    X(FW_ERR_WS_MESSAGE_TOO_LARGE, -10214, 1009, "the message is larger than the limit")           \
    X(FW_ERR_WS_FRAGMENTS_TOO_MANY, -10215, 1009, "the message has more fragments than the limit") \
    X(FW_ERR_WS_INFLATE, -10216, 1007, "the compressed message is malformed")                      \
    X(FW_ERR_WS_MEMORY, -10217, 1011, "out of memory for this message")                            \
    X(FW_ERR_WS_CONTROL_FLOOD, -10218, 1008, "control frames come faster than the limit")          \
    /* TLS (RFC 8446): the peer's bytes */                                                         \
    X(FW_ERR_TLS_ENDED, -10301, 0, "the peer ended the TLS session")                               \
    X(FW_ERR_TLS_NOT_TLS, -10302, 0, "the first bytes are not TLS")                                \
    X(FW_ERR_TLS_HELLO, -10303, 0, "the ClientHello is malformed")                                 \
    X(FW_ERR_TLS_HELLO_TOO_LARGE, -10304, 0, "the ClientHello is larger than 4 KiB")               \
    X(FW_ERR_TLS_HANDSHAKE_TOO_LARGE, -10305, 0, "the peer's handshake is larger than the limit")  \
    X(FW_ERR_TLS_RECORD, -10306, 0, "a TLS record's header is malformed or out of place")          \
    X(FW_ERR_TLS_RECORD_TOO_LARGE, -10307, 0, "a TLS record is larger than 16 KiB")                \
    X(FW_ERR_TLS_EMPTY_RECORD, -10308, 0, "a TLS record is too short to hold anything")            \
    X(FW_ERR_TLS_FLOOD, -10309, 0, "too many TLS records came without data")                       \
    X(FW_ERR_TLS_RENEGOTIATION, -10310, 0, "TLS renegotiation is not accepted")                    \
    X(FW_ERR_TLS_CORRUPT, -10311, 0, "a TLS record failed its authentication")                     \
    X(FW_ERR_TLS_VERSION, -10312, 0, "no TLS version in common; 1.2 and 1.3 are accepted")         \
    X(FW_ERR_TLS_CIPHER, -10313, 0, "no TLS cipher suite, group or signature in common")           \
    X(FW_ERR_TLS_ALPN, -10314, 0, "no application protocol in common (ALPN)")                      \
    X(FW_ERR_TLS_ALERT, -10315, 0, "the peer refused with a TLS alert")                            \
    X(FW_ERR_TLS_HANDSHAKE, -10316, 0, "the TLS handshake failed")                                 \
    X(FW_ERR_TLS_LIBRARY, -10317, 0, "the TLS library failed or lacks what is asked")              \
    /* TLS: the peer's certificate */                                                              \
    X(FW_ERR_TLS_CERT_MISSING, -10321, 0, "the peer sent no certificate")                          \
    X(FW_ERR_TLS_CERT_HOST, -10322, 0, "the certificate is not for this host name")                \
    X(FW_ERR_TLS_CERT_EXPIRED, -10323, 0, "the certificate has expired")                           \
    X(FW_ERR_TLS_CERT_NOT_YET, -10324, 0, "the certificate is not valid yet")                      \
    X(FW_ERR_TLS_CERT_SELF_SIGNED, -10325, 0, "the certificate is self-signed and not trusted")    \
    X(FW_ERR_TLS_CERT_ISSUER, -10326, 0, "the certificate's issuer is not trusted")                \
    X(FW_ERR_TLS_CERT_SIGNATURE, -10327, 0, "the certificate's signature is wrong")                \
    X(FW_ERR_TLS_CERT_INVALID, -10328, 0, "the certificate is malformed or not for this use")      \
    /* TLS: our own files */                                                                       \
    X(FW_ERR_TLS_FILE, -10331, 0, "a certificate or key file cannot be used")                      \
    X(FW_ERR_TLS_KEY_EXPOSED, -10332, 0, "a key file can be read or written by others")            \
    X(FW_ERR_TLS_KEY_MISMATCH, -10333, 0, "a key does not belong to its certificate")              \
    /* credentials and rights (RFC 6750, RFC 7515, RFC 7519) */                                    \
    X(FW_ERR_KEY, -10401, 0, "a key is a JWK, a JWK set, PEM, or a secret of 32 octets or more")   \
    X(FW_ERR_CREDENTIAL, -10402, 401, "this needs a credential")                                   \
    X(FW_ERR_CREDENTIAL_WRONG, -10403, 401, "the credential is not valid")                         \
    X(FW_ERR_CREDENTIAL_TWICE, -10404, 400, "more than one credential was sent")                   \
    X(FW_ERR_FORBIDDEN, -10405, 403, "the credential does not allow this")                         \
    X(FW_ERR_TOKEN_MALFORMED, -10406, 401, "the token is not a JSON Web Token of at most 8 KiB")   \
    X(FW_ERR_TOKEN_ALGORITHM, -10407, 401, "the token's algorithm is not that of its key")         \
    X(FW_ERR_TOKEN_KEY, -10408, 401, "the token's key is not known here")                          \
    X(FW_ERR_TOKEN_SIGNATURE, -10409, 401, "the token's signature is wrong")                       \
    X(FW_ERR_TOKEN_CLAIM, -10410, 401, "a claim of the token's is missing or malformed")           \
    X(FW_ERR_TOKEN_EXPIRED, -10411, 401, "the token has expired")                                  \
    X(FW_ERR_TOKEN_EARLY, -10412, 401, "the token is not valid yet")                               \
    X(FW_ERR_TOKEN_AUDIENCE, -10413, 401, "the token is for another audience")                     \
    X(FW_ERR_TOKEN_ISSUER, -10414, 401, "the token has another issuer")                            \
    X(FW_ERR_COOKIE_ORIGIN, -10415, 403, "a cookie counts only from an origin that may connect")   \
    X(FW_ERR_RATE, -10416, 429, "this comes faster than the limit")                                \
    X(FW_ERR_WS_RATE, -10417, 1008, "messages come faster than the limit")                         \
    /* the PROXY protocol: what a proxy says first */                                              \
    X(FW_ERR_PROXY_MISSING, -10501, 0, "the first bytes are no PROXY protocol header")             \
    X(FW_ERR_PROXY_V1, -10502, 0, "version 1 of the PROXY protocol is not accepted; send 2")       \
    X(FW_ERR_PROXY_VERSION, -10503, 0, "the PROXY header's version or command is not known")       \
    X(FW_ERR_PROXY_FAMILY, -10504, 0, "the PROXY header's address family is not known")            \
    X(FW_ERR_PROXY_LENGTH, -10505, 0, "the PROXY header's lengths contradict each other")

enum fw_status {
    FW_OK = 0,
#define FW_STATUS_ENUM(name, value, answer, sentence) name = value,
    FW_STATUS_TABLE(FW_STATUS_ENUM)
#undef FW_STATUS_ENUM
};

/* One English sentence for any return code of Fanwire, errno values included.
 *
 * thread       any
 * returns      a string that lives for ever; "unknown error" for a code that is nobody's
 */
FW_PUBLIC const char *fw_status_text(int status);

/* The name of a code, "FW_ERR_WS_TEXT" or "ENOMEM".
 *
 * thread       any
 * returns      a string that lives for ever; "FW_OK" for 0 and counts, "unknown" for nobody's code
 */
FW_PUBLIC const char *fw_status_name(int status);

/* How a mistake of the peer's is answered: a WebSocket close code, an HTTP status, or 0.
 *
 * thread       any
 */
FW_PUBLIC int fw_status_answer(int status);

#ifdef __cplusplus
}
#endif

#endif
