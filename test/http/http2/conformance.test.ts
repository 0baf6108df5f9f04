import { appendFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Http2Wire } from '../../support/http2-wire.ts'
import { conformanceCases } from './conformance/all.ts'
import { nodeTarget, type Target } from './conformance/node-server.ts'

describe('HTTP/2 as its specification wants it', () => {
  let target: Target
  beforeAll(async () => {
    target = await nodeTarget()
  })
  afterAll(() => target[Symbol.asyncDispose]())

  for (const one of conformanceCases) {
    it(`RFC ${one.section}: ${one.name}: ${one.expect.text}`, async () => {
      const before = target.reached()
      await using wire = await Http2Wire.connect(target.port, one.options)
      await one.send(wire)
      const came = await one.expect.check(wire)
      if (process.env['NOTE']) appendFileSync(process.env['NOTE'], `${one.section}\t${one.name}\t${came}\n`)
      if (one.expect.text.startsWith('malformed:')) expect(target.reached(), 'requests that were served').toBe(before)
    })
  }
})
