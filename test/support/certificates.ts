import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A certificate with its key, as PEM and as files. */
export interface TestCertificate {
  readonly pem: { readonly cert: string; readonly key: string }
  readonly files: { readonly cert: string; readonly key: string }
}

/** An authority of the test's own, made by openssl, which the CI script installs. Its files are gone with it. */
export class TestAuthority implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'xps-certificates-'))
  readonly ca: TestCertificate
  #count = 0

  constructor(name = 'xps test authority') {
    this.ca = this.#certificate(name, 'basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash', [])
  }

  /** A certificate for names or addresses (`127.0.0.1`). */
  issue(...names: string[]): TestCertificate {
    const alternatives = names.map((name) => `${/^[\d.]+$|:/.test(name) ? 'IP' : 'DNS'}:${name}`).join(',')
    const { cert: ca, key: caKey } = this.ca.files
    const signed = ['-CA', ca, '-CAkey', caKey, '-set_serial', `${++this.#count}`]
    return this.#certificate(names[0] ?? '', `subjectAltName=${alternatives}`, signed)
  }

  /** The path of a file that has a certificate and its key in it (PKCS #12). */
  bundle({ files }: TestCertificate, passphrase: string): string {
    const file = this.#file('p12')
    run('pkcs12', '-export', '-inkey', files.key, '-in', files.cert, '-out', file, '-passout', `pass:${passphrase}`)
    return file
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true })
  }

  /** In one call of openssl: to start it is what takes time. */
  #certificate(name: string, extension: string, signed: string[]): TestCertificate {
    const [config, certFile, keyFile] = [this.#file('conf'), this.#file('crt'), this.#file('key')]
    writeFileSync(config, `[req]\ndistinguished_name=dn\nx509_extensions=own\n[dn]\n[own]\n${extension}\n`)
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile]
    run('req', '-x509', '-config', config, ...key, '-out', certFile, '-days', '2', '-subj', `/CN=${name}`, ...signed)
    return read(certFile, keyFile)
  }

  #file(extension: string): string {
    return join(this.folder, `${++this.#count}.${extension}`)
  }
}

function read(certFile: string, keyFile: string): TestCertificate {
  return {
    pem: { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') },
    files: { cert: certFile, key: keyFile },
  }
}

function run(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
