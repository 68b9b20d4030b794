/* version.h: the version of Fanwire that these headers belong to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_VERSION_H
#define FANWIRE_VERSION_H

#define FANWIRE_VERSION_MAJOR 0
#define FANWIRE_VERSION_MINOR 1
#define FANWIRE_VERSION_PATCH 0
#define FANWIRE_VERSION       "0.1.0"

#endif
