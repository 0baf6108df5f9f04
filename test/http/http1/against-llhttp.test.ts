import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fuzzing } from '../../support/fuzzing.ts'
import { readWithLlhttp } from '../../support/llhttp.ts'
import { malformedRequests } from '../corpus/requests.ts'
import { malformedResponses } from '../corpus/responses.ts'
import { unusualRequests, unusualResponses } from '../corpus/unusual.ts'
import { expectSameRequests, expectSameResponses } from './agreement.ts'
import { mutatedRequests, mutatedResponses } from './mutations.ts'
import { cutAt, readRequests, readResponses, visible, whole } from './support.ts'

function compareRequests(bytes: Buffer, pieces: Buffer[]): number {
  const ours = readRequests(pieces)
  const { messages, error } = readWithLlhttp('request', bytes)
  expectSameRequests(ours, messages, error)
  return ours.messages.length
}

function compareResponses(bytes: Buffer, pieces: Buffer[], methods: readonly string[]): number {
  const ours = readResponses(pieces, methods)
  const { messages, error } = readWithLlhttp('response', bytes, methods)
  expectSameResponses(ours, messages, error)
  return ours.messages.length
}

/** Fails with what differs and the bytes that made it. */
function explained(bytes: Buffer, compare: () => number): number {
  try {
    return compare()
  } catch (error) {
    throw new Error(`${visible(bytes, 2_000)}\n${(error as Error).message}`, { cause: error })
  }
}

describe('Whatever we accept, llhttp reads in the same way', () => {
  it('as the corpora show', () => {
    for (const { bytes } of [...malformedRequests, ...unusualRequests]) {
      explained(bytes, () => compareRequests(bytes, whole(bytes)))
    }
    for (const { bytes, method } of malformedResponses) {
      explained(bytes, () => compareResponses(bytes, whole(bytes), [method]))
    }
    for (const { bytes, methods } of unusualResponses) {
      explained(bytes, () => compareResponses(bytes, whole(bytes), methods))
    }
  })

  const requests = fuzzing(4_000)
  it(`as requests with random faults show (seed ${requests.seed})`, { timeout: requests.timeout }, () => {
    let accepted = 0
    let all = 0
    fc.assert(
      fc.property(mutatedRequests, fc.array(fc.nat(400), { maxLength: 4 }), (bytes, cuts) => {
        all++
        if (explained(bytes, () => compareRequests(bytes, cutAt(bytes, cuts))) > 0) accepted++
      }),
      requests.parameters as fc.Parameters<[Buffer, number[]]>,
    )
    // Otherwise nothing has been compared.
    expect(accepted / all).toBeGreaterThan(0.15)
  })

  const responses = fuzzing(4_000)
  it(`as responses with random faults show (seed ${responses.seed})`, { timeout: responses.timeout }, () => {
    let accepted = 0
    let all = 0
    const methods = fc.array(fc.constantFrom('GET', 'HEAD'), { maxLength: 4 })
    fc.assert(
      fc.property(mutatedResponses, methods, fc.array(fc.nat(400), { maxLength: 4 }), (bytes, asked, cuts) => {
        all++
        if (explained(bytes, () => compareResponses(bytes, cutAt(bytes, cuts), asked)) > 0) accepted++
      }),
      responses.parameters as fc.Parameters<[Buffer, string[], number[]]>,
    )
    expect(accepted / all).toBeGreaterThan(0.15)
  })
})
