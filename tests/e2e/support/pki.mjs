/* pki.mjs: a certificate authority for a test, and certificates by it, from the openssl command.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

function openssl(...args) {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  if (status !== 0) {
    throw new Error(`openssl ${args[0]} ended with ${status}: ${stderr}`);
  }
}

function makeKey(file) {
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file);
  fs.chmodSync(file, 0o600);
}

/* A CA in a folder. Gives { file, make(name, names) }; make gives { cert, key } of a certificate for
 * DNS names and addresses ("DNS:localhost,IP:127.0.0.1"). */
export function makeCa(folder) {
  const file = path.join(folder, 'ca.pem');
  const caKey = path.join(folder, 'ca.key');
  makeKey(caKey);
  openssl('req', '-x509', '-new', '-key', caKey, '-days', '2', '-subj', '/CN=Fanwire test CA',
    '-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-out', file);
  return {
    file,
    make(name, names) {
      const cert = path.join(folder, `${name}.pem`);
      const key = path.join(folder, `${name}.key`);
      const request = path.join(folder, `${name}.csr`);
      const extensions = path.join(folder, `${name}.ext`);
      makeKey(key);
      fs.writeFileSync(extensions, `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
      openssl('req', '-new', '-key', key, '-subj', `/CN=${name}`, '-out', request);
      openssl('x509', '-req', '-in', request, '-CA', file, '-CAkey', caKey, '-CAcreateserial',
        '-days', '1', '-extfile', extensions, '-out', cert);
      return { cert, key };
    },
  };
}
