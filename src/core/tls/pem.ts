import { readFileSync } from 'node:fs'
import { systemCode } from '../../errors.ts'
import { invalidOption } from '../../options.ts'

/** A certificate, a chain of them or a key: the path of a file, or what would be in it (PEM). */
export type Pem = string | Uint8Array

/** Whether it is a path, and not PEM itself. */
export function isPath(pem: Pem): pem is string {
  return typeof pem === 'string' && !pem.includes('-----BEGIN ')
}

/** What is in it. Throws `XPS_INVALID_OPTION` for a file that cannot be read, with the option's name. */
export function readPem(name: string, pem: Pem): string | Buffer {
  if (typeof pem !== 'string' && !(pem instanceof Uint8Array)) throw invalidOption(name, pem, 'a path, or PEM')
  if (pem instanceof Uint8Array) return Buffer.from(pem)
  return isPath(pem) ? readFile(name, pem) : pem
}

/** The bytes of a file that is no PEM, given by its path or as they are. Throws `XPS_INVALID_OPTION` as {@link readPem} does. */
export function readBytes(name: string, given: string | Uint8Array): Buffer {
  if (typeof given !== 'string' && !(given instanceof Uint8Array)) throw invalidOption(name, given, 'a path, or bytes')
  return typeof given === 'string' ? readFile(name, given) : Buffer.from(given)
}

/** One or several, read. */
export function readPems(name: string, pems: Pem | readonly Pem[]): (string | Buffer)[] {
  return (Array.isArray(pems) ? (pems as readonly Pem[]) : [pems as Pem]).map((pem) => readPem(name, pem))
}

function readFile(name: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw invalidOption(name, path, `a file that can be read (${systemCode(error) ?? 'error'})`)
  }
}
