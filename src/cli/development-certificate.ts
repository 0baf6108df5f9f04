import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir, hostname } from 'node:os'
import { join } from 'node:path'
import { XpsError } from '../index.ts'

/** A certificate that nobody trusts, with its key, as files. */
export interface DevelopmentCertificate {
  readonly cert: string
  readonly key: string
}

const days = 365
const dayMilliseconds = 86_400_000

/**
 * A self-signed certificate for `localhost` and this machine's name: the one that was made before, or a new one. Its files
 * lie in the folder, by default `xps` in the user's data folder (`$XDG_DATA_HOME`, else `~/.local/share`), and only the user can
 * read them. Rejects with `XPS_NOT_FOUND` if the optional package selfsigned, which makes it, is not installed.
 */
export async function developmentCertificate(folder: string = defaultFolder()): Promise<DevelopmentCertificate> {
  const files = {
    cert: join(folder, 'self-signed-for-development-only.crt'),
    key: join(folder, 'self-signed-for-development-only.key'),
  }
  if (await isUsable(files)) return files
  const made = await make()
  await mkdir(folder, { recursive: true, mode: 0o700 })
  // The key first: whoever sees the certificate has its key as well.
  await replace(files.key, made.private)
  await replace(files.cert, made.cert)
  return files
}

function defaultFolder(): string {
  const data = process.env['XDG_DATA_HOME']
  return join(data === undefined || data === '' ? join(homedir(), '.local', 'share') : data, 'xps')
}

/** It is there, its key fits, and it is good for another day at least. */
async function isUsable({ cert, key }: DevelopmentCertificate): Promise<boolean> {
  try {
    const certificate = new X509Certificate(await readFile(cert))
    const until = Date.parse(certificate.validTo)
    return until > Date.now() + dayMilliseconds && certificate.checkPrivateKey(createPrivateKey(await readFile(key)))
  } catch {
    return false // There is none, or what is there is none: a new one is made.
  }
}

async function make(): Promise<{ cert: string; private: string }> {
  const { generate } = await import('selfsigned').catch(() => {
    const help = 'give --cert and --key, or install the package that makes one: npm install selfsigned'
    throw new XpsError('XPS_NOT_FOUND', `there is no certificate: ${help}`)
  })
  const names = ['localhost', hostname().toLowerCase()].map((value) => ({ type: 2 as const, value }))
  const addresses = ['127.0.0.1', '::1'].map((ip) => ({ type: 7 as const, ip }))
  return generate([{ name: 'commonName', value: 'xps self-signed for development only' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + days * dayMilliseconds),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [...names, ...addresses] },
    ],
  })
}

/** Never half a file, also for another program that reads it now. */
async function replace(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}`
  await writeFile(temporary, text, { mode: 0o600 })
  await rename(temporary, file)
}
