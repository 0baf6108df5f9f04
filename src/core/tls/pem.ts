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
  if (!isPath(pem)) return pem
  try {
    return readFileSync(pem)
  } catch (error) {
    throw invalidOption(name, pem, `a file that can be read (${systemCode(error) ?? 'error'})`)
  }
}

/** One or several, read. */
export function readPems(name: string, pems: Pem | readonly Pem[]): (string | Buffer)[] {
  return (Array.isArray(pems) ? (pems as readonly Pem[]) : [pems as Pem]).map((pem) => readPem(name, pem))
}
