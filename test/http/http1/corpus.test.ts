import { describe, expect, it } from 'vitest'
import { malformedRequests, truncatedRequests } from '../corpus/requests.ts'
import { malformedResponses, truncatedResponses } from '../corpus/responses.ts'
import { unusualRequests, unusualResponses } from '../corpus/unusual.ts'
import { readEveryWay, readRequests, readResponses } from './support.ts'

describe('The corpora', () => {
  it('are as large as they should be, and name no case twice', () => {
    expect(malformedRequests.length).toBeGreaterThan(300)
    expect(malformedResponses.length).toBeGreaterThan(150)
    for (const cases of [malformedRequests, malformedResponses, unusualRequests, unusualResponses]) {
      const names = cases.map((one) => one.name)
      expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
      const bytes = cases.map((one) => one.bytes.toString('latin1'))
      expect(bytes.filter((one, index) => bytes.indexOf(one) !== index)).toEqual([])
    }
  })
})

describe('A request is refused, however it is cut, that has', () => {
  it.each(malformedRequests)('$name', ({ bytes, status, before, where }) => {
    const reading = readEveryWay(bytes, (pieces) => readRequests(pieces))
    expect(reading.error).toMatchObject({ status, origin: 'client' })
    expect(reading.messages.length).toBe(before)
    expect(reading.partial === undefined ? 'head' : 'body').toBe(where)
  })
})

describe('A response is refused, however it is cut, that has', () => {
  it.each(malformedResponses)('$name', ({ bytes, method, where }) => {
    const reading = readEveryWay(bytes, (pieces) => readResponses(pieces, [method]))
    expect(reading.error).toEqual({ status: 502, code: 'XPS_BAD_RESPONSE', origin: 'upstream' })
    expect(reading.messages.filter(({ status }) => status >= 200)).toEqual([])
    expect(reading.partial === undefined ? 'head' : 'body').toBe(where)
  })
})

describe('A message is not taken for whole, however it is cut, that is', () => {
  it.each(truncatedRequests)('a request: $name', ({ bytes, where }) => {
    const reading = readEveryWay(bytes, (pieces) => readRequests(pieces))
    expect(reading).toMatchObject({ error: undefined, messages: [], stands: where })
  })

  it.each(truncatedResponses)('a response: $name', ({ bytes, where }) => {
    const reading = readEveryWay(bytes, (pieces) => readResponses(pieces))
    expect(reading.error).toBeUndefined()
    expect(reading.messages.filter(({ status }) => status >= 200)).toEqual([])
    expect(reading.stands === 'body').toBe(where === 'body')
  })
})

describe('A request is understood, however it is cut, that has', () => {
  it.each(unusualRequests)('$name', ({ bytes, means }) => {
    const reading = readEveryWay(bytes, (pieces) => readRequests(pieces))
    expect(reading.error).toBeUndefined()
    expect(reading.messages).toMatchObject(means)
    expect(reading.messages.length).toBe(means.length)
  })
})

describe('A response is understood, however it is cut, that has', () => {
  it.each(unusualResponses)('$name', ({ bytes, methods, means }) => {
    const reading = readEveryWay(bytes, (pieces) => readResponses(pieces, methods))
    expect(reading.error).toBeUndefined()
    expect(reading.messages).toMatchObject(means)
    expect(reading.messages.length).toBe(means.length)
  })
})
