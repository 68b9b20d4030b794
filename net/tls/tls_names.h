/* tls_names.h: names in certificates: whom one is for, and who its subject is.
 *
 * Pure functions; no wolfSSL. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_TLS_NAMES_H
#define FW_NET_TLS_NAMES_H

#include "base/bytes.h"

/* Whether a dNSName of a certificate is for a host: equal without regard to case, or "*" as its
 * whole left-most label for exactly one label, and at least two labels after it.
 *
 * source       RFC 9525, section 6.3
 */
bool fw_tls_name_matches(struct fw_bytes name, const char *host);

/* Writes a Name as RFC 4514 says, last RDN first, specials escaped: no value can pose as two.
 *
 * name         the DER of the RDNSequence, without its outer tag and length
 * text_out     written always; "" for an empty name
 * returns      whether the name was well-formed and fitted; otherwise text_out is ""
 * source       RFC 4514, section 2
 */
bool fw_tls_name_write(struct fw_bytes name, char *text_out, size_t text_bytes);

#endif
