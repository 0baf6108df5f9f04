import type { Stage } from '../pipe/stage.ts'
import { bitsOfPoints, type HookScope, numberOfPoint } from './hooks.ts'
import type { Transaction } from './transaction.ts'

/** What a body passes on its way, and whether that may change it. */
export interface Stages {
  readonly stages: readonly Stage[]
  readonly changing: boolean
}

export const noStages: Stages = { stages: [], changing: false }
export const requestBodyBits: number = bitsOfPoints('requestBody', 'requestChunk')
export const responseBodyBits: number = bitsOfPoints('responseBody', 'responseChunk')

/** Asks the hooks of the scopes, in their order, what a body passes: first what may change it, then who looks at it. */
export function stagesOf(
  body: 'request' | 'response',
  scopes: readonly (HookScope | undefined)[],
  transaction: Transaction,
): Stages {
  const stages: Stage[] = []
  for (const scope of scopes) {
    for (const hook of scope?.at(numberOfPoint(`${body}Body`)) ?? []) {
      const given = (hook as (transaction: Transaction) => Stage | readonly Stage[] | undefined)(transaction)
      if (given !== undefined) stages.push(...(Array.isArray(given) ? (given as readonly Stage[]) : [given as Stage]))
    }
  }
  const changing = stages.length > 0
  const taps = scopes.flatMap((scope) => scope?.at(numberOfPoint(`${body}Chunk`)) ?? [])
  if (taps.length > 0) {
    stages.push((chunk) => {
      for (const tap of taps) (tap as (transaction: Transaction, chunk: Uint8Array) => void)(transaction, chunk)
      return chunk
    })
  }
  return { stages, changing }
}
