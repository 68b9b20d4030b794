/* proxy_header.h: the PROXY protocol's version 2, what a proxy says before its client's first byte.
 *
 *    0  signature     12   0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a
 *   12  version, command   0x20 LOCAL: the proxy speaks for itself; 0x21 PROXY: for a client
 *   13  family, transport  0x00, or 1 IPv4, 2 IPv6, 3 unix in the high half; 1 stream, 2 datagram
 *   14  length         2   of what follows, in network order
 *   16  addresses          IPv4: 4 + 4, ports 2 + 2; IPv6: 16 + 16, 2 + 2; unix: 108 + 108
 *       TLVs               type 1, length 2, value: read over
 *
 * Push bytes as they come, however they are cut. Of up to 65,551 octets 52 are kept; nothing is
 * allocated. What cannot be a header any more is refused at its first wrong octet, so that who is
 * no proxy is not waited for. Version 1, a line of text, is recognized and refused.
 *
 * Source: "The PROXY protocol, versions 1 & 2", W. Tarreau, 2.2. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_PROXY_HEADER_H
#define FW_PROTO_PROXY_HEADER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Signature, version, family, length; and the longest addresses that are read. */
#define FW_PROXY_FIXED_BYTES 16u
#define FW_PROXY_KEPT_BYTES  (FW_PROXY_FIXED_BYTES + 36u)
/* The longest header: fixed part and what a 16-bit length says. */
#define FW_PROXY_HEADER_BYTES_MAX (FW_PROXY_FIXED_BYTES + 65535u)

/* Who a proxy speaks for. */
struct fw_proxy_client {
    uint8_t family;      /* 4 or 6; 0: it did not say, or the connection is its own */
    uint8_t address[16]; /* IPv6; an IPv4 address is mapped (RFC 4291, section 2.5.5.2) */
    uint16_t port;
};

/* Zeroed before the first byte. */
struct fw_proxy_decoder {
    uint8_t kept[FW_PROXY_KEPT_BYTES];
    uint8_t kept_count;
    uint8_t tlv_count;    /* octets of a TLV's head that have come */
    uint16_t left;        /* of the length: octets that have not come */
    uint16_t skip;        /* of them: octets that are read over */
    uint16_t value_bytes; /* of the TLV whose head is coming */
};

/* Takes the next bytes of a connection.
 *
 * client_out   written when the header is whole
 * returns      octets of `in` that were the header's, 1 or more, once it is whole; 0 while it is
 *              not: all of them were
 * errors       FW_ERR_PROXY_MISSING, FW_ERR_PROXY_V1, FW_ERR_PROXY_VERSION, FW_ERR_PROXY_FAMILY,
 *              FW_ERR_PROXY_LENGTH; the decoder is not to be used again
 */
ssize_t fw_proxy_decode(struct fw_proxy_decoder *decoder, const uint8_t *in, size_t in_bytes,
                        struct fw_proxy_client *client_out);

#endif
