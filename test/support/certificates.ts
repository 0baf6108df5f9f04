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
    const keyFile = this.#key()
    const certFile = this.#file('crt')
    run('req', '-x509', '-new', '-key', keyFile, '-out', certFile, '-days', '2', '-subj', `/CN=${name}`)
    this.ca = read(certFile, keyFile)
  }

  /** A certificate for names or addresses (`127.0.0.1`). */
  issue(...names: string[]): TestCertificate {
    const keyFile = this.#key()
    const request = this.#file('csr')
    const extensions = this.#file('ext')
    const certFile = this.#file('crt')
    const alternatives = names.map((name) => `${/^[\d.]+$|:/.test(name) ? 'IP' : 'DNS'}:${name}`).join(',')
    writeFileSync(extensions, `subjectAltName=${alternatives}\n`)
    run('req', '-new', '-key', keyFile, '-out', request, '-subj', `/CN=${names[0]}`)
    const { cert: ca, key: caKey } = this.ca.files
    const signed = ['-CA', ca, '-CAkey', caKey, '-set_serial', `${++this.#count}`, '-days', '2', '-extfile', extensions]
    run('x509', '-req', '-in', request, '-out', certFile, ...signed)
    return read(certFile, keyFile)
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

  #key(): string {
    const file = this.#file('key')
    run('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file)
    return file
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
