/* identity_rig.c: see identity_rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/core/session/identity_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct fw_key *identity_rig_init(struct fake_host *fake)
{
    fake_host_init(fake);
    return key_of(TEXT_SECRET);
}

void identity_rig_clear(struct fake_host *fake, struct fw_key *key)
{
    struct fw_access *access = fake->host.access;
    fake_host_clear(fake);
    fw_access_destroy(access);
    fw_key_destroy(key);
}

void identity_rig_policy(struct fake_host *fake, struct fw_access_options options)
{
    struct fw_key *own = key_of(TEXT_SECRET);
    options.size = sizeof options;
    options.keys = &own;
    options.keys_count = 1;
    fw_access_destroy(fake->host.access);
    cr_assert_eq(fw_access_create(&options, &fake->host.access), 0);
}

void identity_rig_renew(struct fake_host *fake)
{
    struct fw_access *access = fake->host.access;
    fake_host_clear(fake);
    fake_host_init(fake);
    fake->host.access = access;
}

unsigned identity_rig_answered(struct fake_host *fake)
{
    unsigned status = 0;
    sscanf(fake_host_sent(fake), "HTTP/1.1 %u", &status);
    return status;
}
