/* web_assets.h: the files of the web page, compiled in.
 *
 * The build fills the table from tools/web (tools/cmake/FanwireEmbed.cmake). Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_WEB_ASSETS_H
#define FANWIRE_WEB_ASSETS_H

#include <stddef.h>
#include <stdint.h>

struct web_asset {
    const char *path;         /* "/", "/chat" or "/feed.js" */
    const char *content_type; /* the value of the header */
    const uint8_t *bytes;
    size_t bytes_count;
};

/* Finds a file by its exact path, without decoding or cleaning anything.
 *
 * path         path_bytes of a request target without its query, borrowed
 * returns      an asset that lives for ever; NULL when there is none of that path
 */
const struct web_asset *web_asset_find(const char *path, size_t path_bytes);

#endif
