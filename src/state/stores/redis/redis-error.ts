import { XpsError } from '../../../errors.ts'

/** The error that a client of Redis rejected with as one of ours. No key is in such messages. */
export function redisError(error: unknown): XpsError {
  if (error instanceof XpsError) return error
  const message = error instanceof Error ? error.message : String(error)
  const options = { origin: 'upstream', cause: error } as const
  const kind = kindOf(error)
  if (notSent.has(kind)) return new XpsError('XPS_CONNECT', `redis: ${message}`, { ...options, retryable: true })
  if (!isReply(error)) return new XpsError('XPS_RESET', `redis: ${message}`, options)
  if (/^(NOAUTH|WRONGPASS|NOPERM)\b/.test(message)) return new XpsError('XPS_FORBIDDEN', `redis: ${message}`, options)
  const help = message.includes('compiling script') ? ' (Redis 7 or Valkey is needed)' : ''
  return new XpsError('XPS_READ', `redis: ${message}${help}`, options)
}

/** Whether Redis has answered that it has no memory for it. */
export function isOutOfMemory(error: unknown): boolean {
  return answers(error, 'OOM')
}

/** Whether Redis has answered that it does not know a script. */
export function isNoScript(error: unknown): boolean {
  return answers(error, 'NOSCRIPT')
}

function answers(error: unknown, code: string): boolean {
  const reply = error instanceof XpsError ? error.cause : error
  return isReply(reply) && (reply as Error).message.startsWith(code)
}

/** What node-redis says of a command that it never sent. */
const notSent = new Set(['ClientClosedError', 'ClientOfflineError'])

/** An answer of Redis, as node-redis and ioredis name it. */
function isReply(error: unknown): boolean {
  return /^(ReplyError|SimpleError|BlobError|ErrorReply)$/.test(kindOf(error))
}

function kindOf(error: unknown): string {
  return error instanceof Error ? error.constructor.name : ''
}
