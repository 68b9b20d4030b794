/* tls_file.h: certificate and key files, read whole and with suspicion.
 *
 * Thread: any; reads files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_TLS_FILE_H
#define FW_NET_TLS_FILE_H

#include <stddef.h>
#include <stdint.h>

/* A bundle of all the web's roots is 200 KiB. */
#define FW_TLS_FILE_BYTES_MAX (1024 * 1024)

struct fw_tls_file {
    uint8_t *bytes; /* with a 0 behind, not counted */
    size_t count;
};

enum fw_tls_file_kind { FW_TLS_FILE_PUBLIC, FW_TLS_FILE_SECRET };

/* Reads a file. A secret one must be readable and writable by nobody but its owner and group, and
 * not writable by the group.
 *
 * why          written on failure
 * errors       FW_ERR_TLS_FILE, FW_ERR_TLS_KEY_EXPOSED, -ENOMEM
 */
int fw_tls_file_read(const char *path, enum fw_tls_file_kind kind, char *why, size_t why_bytes,
                     struct fw_tls_file *file_out);

/* Wipes and frees what was read. */
void fw_tls_file_clear(struct fw_tls_file *file);

#endif
