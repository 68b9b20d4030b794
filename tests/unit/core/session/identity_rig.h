/* identity_rig.h: a fake host under a policy of one key, for the tests of session/identity.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_IDENTITY_RIG_H
#define TESTS_IDENTITY_RIG_H

#include "support/fake_host.h"
#include "unit/core/access/token_rig.h"

/* Makes the host, without a policy; and the key of the tokens, which is the caller's. */
struct fw_key *identity_rig_init(struct fake_host *fake);
void identity_rig_clear(struct fake_host *fake, struct fw_key *key);

/* A suite each of whose tests has a host, `fake`, and the `key` of its tokens. */
#define IDENTITY_SUITE(name)                                                                       \
    static struct fake_host fake;                                                                  \
    static struct fw_key *key;                                                                     \
    static void begin(void)                                                                        \
    {                                                                                              \
        key = identity_rig_init(&fake);                                                            \
    }                                                                                              \
    static void end(void)                                                                          \
    {                                                                                              \
        identity_rig_clear(&fake, key);                                                            \
    }                                                                                              \
    TestSuite(name, .init = begin, .fini = end, .timeout = 60);

/* Makes the host's policy of the options, whose key is TEXT_SECRET; one that it had goes. */
void identity_rig_policy(struct fake_host *fake, struct fw_access_options options);

/* A new connection, under the same policy. */
void identity_rig_renew(struct fake_host *fake);

/* The status of the first answer; 0: there is none yet. */
unsigned identity_rig_answered(struct fake_host *fake);

#endif
