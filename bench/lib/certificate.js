// A certificate for 127.0.0.1 that nobody trusts, made by openssl.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { temporaryFolder } from './processes.js'

let made

/** The files of the certificate and of its key. */
export function certificate() {
  if (made === undefined) {
    const folder = temporaryFolder()
    made = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', made.key]
    const subject = ['-subj', '/CN=127.0.0.1', '-days', '2', '-out', made.cert]
    execFileSync('openssl', ['req', '-x509', ...key, ...subject], { stdio: ['ignore', 'ignore', 'pipe'] })
  }
  return made
}
