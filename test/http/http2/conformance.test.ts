import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Http2Wire } from '../../support/http2-wire.ts'
import { conformanceCases } from './conformance/all.ts'
import { nodeTarget, type Target } from './conformance/node-server.ts'
import { proxyTarget } from './conformance/proxy-target.ts'

// By hand, to see what is Node's own: XPS_CONFORMANCE=node npx vitest run … test/http/http2/conformance.test.ts
const start = process.env['XPS_CONFORMANCE'] === 'node' ? nodeTarget : proxyTarget

describe('HTTP/2 as its specification wants it', () => {
  let target: Target
  beforeAll(async () => {
    target = await start()
  })
  afterAll(() => target[Symbol.asyncDispose]())

  for (const one of conformanceCases) {
    it(`RFC ${one.section}: ${one.name}: ${one.expect.text}`, async () => {
      const before = target.reached()
      await using wire = await Http2Wire.connect(target.port, one.options)
      await one.send(wire)
      await one.expect.check(wire)
      if (one.expect.text.startsWith('malformed:')) expect(target.reached(), 'requests that were served').toBe(before)
    })
  }
})
