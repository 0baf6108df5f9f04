import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { XpsError } from '../../errors.ts'

/** What a hash costs, in the words of scrypt: about 50 ms and 32 MB. */
const cost = { N: 2 ** 15, r: 8, p: 1 }
const keyLength = 32

/** The hash of a password, with its salt and what it costs: `scrypt$N$r$p$salt$hash`. For {@link verifyPassword}. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const key = await derive(password, salt, cost)
  return ['scrypt', cost.N, cost.r, cost.p, salt.toString('base64'), key.toString('base64')].join('$')
}

/**
 * Whether a password has the hash. Give undefined for a user that there is not: it takes as long, and the answer is no.
 * Throws `XPS_INVALID_OPTION` for a hash that {@link hashPassword} did not make.
 */
export async function verifyPassword(password: string, hash: string | undefined): Promise<boolean> {
  const { options, salt, key } = parse(hash ?? nobody)
  const derived = await derive(password, salt, options)
  return timingSafeEqual(derived, key) && hash !== undefined
}

/** The hash of nobody's password. */
const nobody = `scrypt$${cost.N}$${cost.r}$${cost.p}$${Buffer.alloc(16).toString('base64')}$${Buffer.alloc(keyLength).toString('base64')}`

function parse(hash: string): { options: typeof cost; salt: Buffer; key: Buffer } {
  const [name, N, r, p, salt = '', key = ''] = hash.split('$')
  const options = { N: Number(N), r: Number(r), p: Number(p) }
  const bytes = Buffer.from(key, 'base64')
  if (name !== 'scrypt' || Object.values(options).some((one) => !(one >= 1)) || bytes.length !== keyLength) {
    throw new XpsError('XPS_INVALID_OPTION', 'hash must be one that hashPassword has made')
  }
  return { options, salt: Buffer.from(salt, 'base64'), key: bytes }
}

function derive(password: string, salt: Buffer, { N, r, p }: typeof cost): Promise<Buffer> {
  const options: ScryptOptions = { N, r, p, maxmem: 256 * N * r }
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, keyLength, options, (error, key) => {
      if (error === null) resolve(key)
      else reject(error)
    })
  })
}
